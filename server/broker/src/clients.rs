//! Connected clients.
