//! The interop harness: starts real servers (ours and Java's), drives real clients (ours, Java, Go,
//! C++ and Node) and accounts for every message by content.
//!
//! A *cell* is one NameServer x Broker x client combination ([`matrix`]). Cells that share their
//! servers run together on one [`cluster`]; each client is one [`peer`] process speaking the line
//! protocol of `peers/README.md`; a [`scenario`] tells the peer what to send and consume and feeds
//! what it reports into a [`ledger`], which says what was lost, repeated or out of order.
//!
//! It leaves out what one process can test: wire bytes live in `protocol`, the store in `store`.

pub mod cluster;
pub mod differential;
pub mod examples;
pub mod ledger;
pub mod matrix;
pub mod peer;
pub mod play;
pub mod process;
pub mod report;
pub mod route;
pub mod run;
pub mod scenario;
pub mod setup;
pub mod wire;
