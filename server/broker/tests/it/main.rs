//! The Broker through real sockets, as peers see it.

mod acl;
mod admin;
mod clients;
mod consume;
mod delay;
mod life;
mod offsets;
mod pull;
mod registration;
mod send;
mod support;
