//! The NameServer over a socket: every request it serves.

mod acl;
mod config;
mod kv;
mod peer;
mod route;
mod topic;
