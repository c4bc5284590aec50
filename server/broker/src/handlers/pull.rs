//! Handlers of the pull family.
