//! Registration at the NameServers.
