//! The client against small servers of our own making: what it sends, and what it does when they fail.
//!
//! Real servers are the business of `interop-tests`.

mod callbacks;
mod chosen;
mod cluster;
mod connections;
mod deliveries;
mod events;
mod generated;
mod given_back;
mod lite_pull_consumer;
mod overload;
mod producer;
mod pull_consumer;
mod push_consumer;
mod queue_broker;
mod request;
mod routes;
mod sending;
mod spans;
mod trace;
mod transaction;
mod world;
