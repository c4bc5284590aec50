//! Handlers of the group family.
