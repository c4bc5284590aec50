//! The NameServer: answers who has a topic, from what brokers register.
//!
//! ```text
//! dispatch.rs       request → handler
//! handlers/         one function per request, by family: route, topic, kv, config
//! route_table.rs    what brokers registered; pure
//! kv_config.rs      the key-value table and its file
//! namesrv.rs        start, stop, and the tick that expires silent brokers
//! ```
//!
//! Java counterpart: the module `namesrv`.

mod dispatch;
mod handlers;
mod kv_config;
mod namesrv;
mod route_table;
mod settings;

pub use namesrv::{NameServer, StartError};
pub use settings::NamesrvSettings;
