//! Subscription groups.
