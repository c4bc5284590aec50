//! Handlers, one file per family of requests, the same families as in `protocol/src/requests`.

use ferrocket_protocol::{RemotingCommand, fastjson};
use serde::de::DeserializeOwned;

use crate::refusal::Refusal;

pub(crate) mod acl;
pub(crate) mod client;
pub(crate) mod config;
pub(crate) mod group;
pub(crate) mod lock;
pub(crate) mod offset;
pub(crate) mod pull;
pub(crate) mod query;
pub(crate) mod reply;
pub(crate) mod send;
pub(crate) mod stats;
pub(crate) mod topic;
pub(crate) mod transaction;

/// What a handler returns: the reply, nothing (answered later, or nobody waits), or why it is refused.
pub(crate) type Answer = Result<Option<RemotingCommand>, Refusal>;

/// A JSON body, or the refusal that names its fault.
fn body<T: DeserializeOwned>(request: &RemotingCommand) -> Result<T, Refusal> {
    fastjson::from_slice(&request.body)
        .map_err(|error| Refusal::system_error(format!("the body does not read: {error}")))
}
