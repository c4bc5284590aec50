//! Handlers of the topic family.
