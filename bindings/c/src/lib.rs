//! The C interface: `include/ferrocket.h`, whose text is made of the comments here, with `libferrocket.so` and `.a`.
//!
//! ```text
//! handle.rs     pointers of C, and the crate's only unsafe code
//! callers.rs    threads that call the program back
//! error.rs      config.rs     client.rs     message.rs   send_terms.rs
//! producer.rs   consumer.rs   lite_pull_consumer.rs   admin.rs   testing.rs
//! ```
//!
//! The names of functions, types and constants are those of C. Every entry goes through `handle::call` or
//! `handle::read`, where a panic ends. Leaves out: the pull consumer for programs that manage queues themselves, hooks,
//! and allocation strategies of the program's own.

#![allow(non_camel_case_types)]

mod admin;
mod callers;
mod client;
mod config;
mod consumer;
mod error;
mod handle;
mod lite_pull_consumer;
mod message;
mod producer;
mod send_terms;
mod testing;
