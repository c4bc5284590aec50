//! Handlers of the send family.
