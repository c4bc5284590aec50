//! Handlers of the query family.
