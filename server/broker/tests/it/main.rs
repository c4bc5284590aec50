//! The Broker through real sockets, as peers see it.

mod acl;
mod admin;
mod clients;
mod consume;
mod delay;
mod filters;
mod full_disk;
mod java_rules;
mod life;
mod light_queues;
mod limits;
mod names;
mod offsets;
mod pull;
mod registration;
mod reply;
mod send;
mod support;
mod tables;
mod transaction;
