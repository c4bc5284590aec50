//! Handlers of the offset family.
