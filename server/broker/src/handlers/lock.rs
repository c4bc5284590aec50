//! Handlers of the lock family.
