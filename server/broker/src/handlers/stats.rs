//! Handlers of the stats family.
