//! Settings of the Broker.
