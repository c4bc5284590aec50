//! Handlers of the config family.
