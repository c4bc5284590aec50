//! Why a call got no answer.
//!
//! Java counterparts: `RemotingConnectException`, `RemotingTimeoutException`, `RemotingSendRequestException`
//! and `RemotingTooMuchRequestException`.

use std::time::Duration;
use std::{fmt, io};

/// Why a call got no answer. Every variant names the peer's address.
///
/// After [`CallError::Connect`], [`CallError::Busy`] and [`CallError::TooLarge`] the request was not sent;
/// after the others the peer may have handled it.
#[derive(Debug)]
pub enum CallError {
    /// No connection to the peer came about.
    Connect {
        /// The address that was dialled.
        addr: String,
        /// The system's reason.
        source: io::Error,
    },
    /// No answer came in time.
    Timeout {
        /// The peer's address.
        addr: String,
        /// How long the caller waited.
        after: Duration,
    },
    /// The connection closed before the answer came.
    Closed {
        /// The peer's address.
        addr: String,
    },
    /// The connection awaits as many answers as it may.
    Busy {
        /// The peer's address.
        addr: String,
    },
    /// The request does not fit a frame.
    TooLarge {
        /// The peer's address.
        addr: String,
        /// The greatest length its frame could have, in bytes.
        len: usize,
    },
}

impl CallError {
    /// The peer's address.
    pub fn addr(&self) -> &str {
        match self {
            Self::Connect { addr, .. }
            | Self::Timeout { addr, .. }
            | Self::Closed { addr }
            | Self::Busy { addr }
            | Self::TooLarge { addr, .. } => addr,
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { addr, source } => write!(f, "cannot connect to {addr}: {source}"),
            Self::Timeout { addr, after } => write!(f, "no answer from {addr} within {after:?}"),
            Self::Closed { addr } => write!(f, "the connection to {addr} is closed"),
            Self::Busy { addr } => write!(f, "too many calls to {addr} await an answer"),
            Self::TooLarge { addr, len } => {
                write!(f, "a request of {len} bytes to {addr} exceeds the greatest frame")
            }
        }
    }
}

impl std::error::Error for CallError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Connect { source, .. } => Some(source),
            _ => None,
        }
    }
}
