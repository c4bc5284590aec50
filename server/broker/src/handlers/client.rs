//! Handlers of the client family.
