//! The store through its public calls, on a simulated disk unless a test says otherwise.

mod consume_queue_ext;
mod crash;
mod faults;
mod files;
mod java;
mod java_rules;
mod messages;
mod multi_dispatch;
mod world;
