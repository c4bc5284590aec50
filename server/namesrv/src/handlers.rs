//! One function per request, named after it, in the file of its family.

use ferrocket_protocol::{HeaderError, RemotingCommand, ResponseCode, Text, fastjson};
use serde::Serialize;

pub(crate) mod config;
pub(crate) mod kv;
pub(crate) mod route;
pub(crate) mod topic;

/// Success, with this value in Java's JSON: number keys without quotes.
fn json<T: Serialize>(request: &RemotingCommand, value: &T) -> RemotingCommand {
    request.reply(ResponseCode::SUCCESS).with_body(fastjson::to_vec_lenient(value))
}

/// A field of a request whose header has no type here.
fn field<'a>(request: &'a RemotingCommand, name: &'static str) -> Result<&'a Text, HeaderError> {
    let missing = HeaderError { field: name, value: None, expected: "text" };
    request.ext_fields.get(name).ok_or(missing)
}
