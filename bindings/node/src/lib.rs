//! The native part of the npm package `ferrocket`, whose TypeScript layer stands beside this file.
//!
//! ```text
//! addon.rs     the functions that JavaScript sees
//! port.rs      a JavaScript thread's calls: who is under way, what is answered, what it has opened
//! args.rs      arguments as JSON, and the answers
//! batch.rs     messages as one buffer
//! client.rs, producer.rs, push.rs, lite.rs, admin.rs, servers.rs, logs.rs   what each kind of object can do
//! ```
//!
//! JavaScript calls an operation by name with a number, JSON and bodies; the answer comes back under that number, in
//! one batch with all others that are ready. So there is one entry, which is guarded, and one way back. Leaves out
//! everything that a user of the package sees: names, defaults, classes and events are the TypeScript layer's.

#![cfg_attr(test, allow(dead_code, reason = "napi-derive registers nothing in a build for tests"))]

mod addon;
mod admin;
mod args;
mod batch;
mod client;
mod lite;
mod logs;
mod port;
mod producer;
mod push;
mod servers;
