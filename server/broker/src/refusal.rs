//! Why a request is refused: the response code and the remark that the peer gets.
//!
//! Every failure of a handler becomes one of these and `dispatch` turns it into the reply. Java counterpart:
//! the `setCode`/`setRemark` pairs in its processors, and code 1 for what they throw.

use std::io;

use ferrocket_acl::Denied;
use ferrocket_protocol::response_code::ResponseCode;
use ferrocket_protocol::{HeaderError, RemotingCommand, Text};

/// A refused request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The code of the reply.
    pub(crate) code: ResponseCode,
    /// The reason in words; Java's words where Java has some, since tools show and compare them. Empty for
    /// Java's `null`.
    pub(crate) remark: String,
}

impl Refusal {
    /// A refusal with this code and these words.
    pub(crate) fn new(code: ResponseCode, remark: impl Into<String>) -> Self {
        Self { code, remark: remark.into() }
    }

    /// Code 1, Java's answer to most of what goes wrong.
    pub(crate) fn system_error(remark: impl Into<String>) -> Self {
        Self::new(ResponseCode::SYSTEM_ERROR, remark)
    }

    /// What was asked for is done, but would not outlast the process.
    pub(crate) fn not_on_disk(error: io::Error) -> Self {
        Self::system_error(format!("the change is in effect but not on disk: {error}"))
    }

    /// The reply to `request`.
    pub(crate) fn reply_to(self, request: &RemotingCommand) -> RemotingCommand {
        let mut reply = request.reply(self.code);
        reply.remark = (!self.remark.is_empty()).then(|| Text::from(self.remark));
        reply
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        Self::system_error(denied.to_string())
    }
}

impl From<HeaderError> for Refusal {
    /// Java answers a header it cannot decode with code 1 and the exception's text.
    fn from(error: HeaderError) -> Self {
        Self::system_error(error.to_string())
    }
}
