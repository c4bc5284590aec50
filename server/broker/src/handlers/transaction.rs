//! Handlers of the transaction family.
