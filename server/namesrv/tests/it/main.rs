//! The NameServer over a socket: every request it serves.

mod config;
mod kv;
mod peer;
mod route;
mod topic;
