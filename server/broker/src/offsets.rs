//! Consumer offsets.
