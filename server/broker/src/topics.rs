//! Topics of the Broker.
