//! The Broker: stores messages for producers and hands them to consumers.
//!
//! [`Broker::start`] is the way in. `dispatch` has one arm per request, `handlers` one file per family of
//! requests, the other modules one noun each: a plain table or a pure core that takes `now_ms` and says what
//! should happen. Left out of this crate: pop consumption, access
//! control, replication. Java counterpart: the `broker` module.

mod address_server;
mod advertised;
mod bloom;
mod broker;
mod clients;
mod consumer_filters;
mod delay;
mod dispatch;
mod filter;
mod groups;
mod handlers;
mod held_pulls;
mod late;
mod offsets;
mod queue_locks;
mod refusal;
mod registration;
mod saving;
mod send_plan;
mod settings;
mod stats;
mod topics;
mod transactions;

pub use broker::{Broker, StartError, StopError};
pub use settings::{BrokerSettings, InvalidSettings};

/// Whether a message with this text of properties is wanted by an SQL92 expression: what the Broker asks for each
/// message of a filtered pull.
///
/// # Errors
/// Why the text is no expression, as its sender is told.
pub fn sql92_wants(expression: &str, properties: &str) -> Result<bool, String> {
    filter::Expression::compile(expression)
        .map(|expression| expression.wants(properties))
        .map_err(|error| error.to_string())
}

/// What a Broker makes of the texts of `topics.json` and `topics.json.changes` at its start: the text that it would
/// write.
///
/// # Errors
/// Why the first text is no table of topics, as the Broker says it. Changes that cannot be read are passed over.
pub fn topics_of_files(table: &str, changes: &str) -> Result<String, String> {
    topics::table_of_files(table, changes).map_err(|error| error.to_string())
}
