//! The Broker: what its handlers share, and how it starts and stops.
