//! What calls answer.

use std::ffi::{CStr, c_char};
use std::ptr;

use ferrocket_bindings::ferrocket::ErrorKind;

use crate::handle::{Texts, free, kinds, read};

/// The result of everything in this crate.
pub(crate) type Result<T> = std::result::Result<T, fr_error_t>;

/// What a call answers: FR_OK, or the kind of its error.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum fr_status_t {
    /// It worked.
    FR_OK = 0,
    /// A setting, a name or an argument that cannot work. Trying again does not help.
    FR_ERROR_CONFIG = 1,
    /// The client, producer or consumer was closed.
    FR_ERROR_CLOSED = 2,
    /// No NameServer knows a route for the topic.
    FR_ERROR_NO_ROUTE = 3,
    /// The route names a broker that has no master address at present.
    FR_ERROR_NO_BROKER = 4,
    /// No connection to the address, or it was lost. A message may have been stored nevertheless.
    FR_ERROR_CONNECT = 5,
    /// No answer in time. A message may have been stored nevertheless.
    FR_ERROR_TIMEOUT = 6,
    /// A limit of this client is reached, or the server asked to slow down.
    FR_ERROR_FLOW_CONTROL = 7,
    /// The server answered with an error code.
    FR_ERROR_BROKER = 8,
    /// The message breaks a rule and was not sent.
    FR_ERROR_INVALID_MESSAGE = 9,
    /// An answer that cannot be read.
    FR_ERROR_PROTOCOL = 10,
    /// A local file, or a local port.
    FR_ERROR_IO = 11,
    /// A fault of this library; please report it.
    FR_ERROR_INTERNAL = 12,
}

/// Each status with the table's name of its kind.
const NAMES: [(fr_status_t, &CStr); 13] = [
    (fr_status_t::FR_OK, c"Ok"),
    (fr_status_t::FR_ERROR_CONFIG, c"Config"),
    (fr_status_t::FR_ERROR_CLOSED, c"Closed"),
    (fr_status_t::FR_ERROR_NO_ROUTE, c"NoRoute"),
    (fr_status_t::FR_ERROR_NO_BROKER, c"NoBroker"),
    (fr_status_t::FR_ERROR_CONNECT, c"Connect"),
    (fr_status_t::FR_ERROR_TIMEOUT, c"Timeout"),
    (fr_status_t::FR_ERROR_FLOW_CONTROL, c"FlowControl"),
    (fr_status_t::FR_ERROR_BROKER, c"Broker"),
    (fr_status_t::FR_ERROR_INVALID_MESSAGE, c"InvalidMessage"),
    (fr_status_t::FR_ERROR_PROTOCOL, c"Protocol"),
    (fr_status_t::FR_ERROR_IO, c"Io"),
    (fr_status_t::FR_ERROR_INTERNAL, c"Internal"),
];

/// Why a call failed.
///
/// Owned by whom the call gave it; free it with fr_error_free. Does not change: any threads may read it at once.
pub struct fr_error_t {
    kind: ErrorKind,
    text: String,
    code: Option<i32>,
    remark: Option<String>,
    addr: Option<String>,
    is_retryable: bool,
    texts: Texts,
}

kinds!(fr_error_t: "an error");

impl fr_error_t {
    pub(crate) fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        let texts = Texts::default();
        Self { kind, text: text.into(), code: None, remark: None, addr: None, is_retryable: false, texts }
    }

    pub(crate) fn config(text: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, text)
    }

    pub(crate) fn closed(what: &str) -> Self {
        Self::new(ErrorKind::Closed, format!("{what} is closed"))
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn status(&self) -> fr_status_t {
        let known = NAMES.iter().find(|(_, known)| known.to_bytes() == self.kind.name().as_bytes());
        known.map_or(fr_status_t::FR_ERROR_INTERNAL, |(status, _)| *status)
    }
}

impl From<ferrocket_bindings::ferrocket::Error> for fr_error_t {
    fn from(error: ferrocket_bindings::ferrocket::Error) -> Self {
        Self {
            code: error.code(),
            remark: error.remark().map(str::to_owned),
            addr: error.addr().map(str::to_owned),
            is_retryable: error.is_retryable(),
            ..Self::new(error.kind(), error.to_string())
        }
    }
}

/// The name of a status, such as `NoRoute`; `Unknown` for a number that is none. Valid for ever. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_status_name(status: i32) -> *const c_char {
    let known = NAMES.iter().find(|(known, _)| *known as i32 == status);
    known.map_or(c"Unknown", |(_, name)| *name).as_ptr()
}

/// The kind of error, which the call answered, too. FR_ERROR_INTERNAL for NULL. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_error_status(error: *const fr_error_t) -> fr_status_t {
    read(error, fr_status_t::FR_ERROR_INTERNAL, fr_error_t::status)
}

/// What happened, in a sentence. Valid until the error is freed; NULL for NULL. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_error_message(error: *const fr_error_t) -> *const c_char {
    read(error, ptr::null(), |error| error.texts.get("text", Some(&error.text)))
}

/// The server's response code; -1 if no server answered. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_error_code(error: *const fr_error_t) -> i32 {
    read(error, -1, |error| error.code.unwrap_or(-1))
}

/// The server's remark, word for word; NULL if there is none. Valid until the error is freed. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_error_remark(error: *const fr_error_t) -> *const c_char {
    read(error, ptr::null(), |error| error.texts.get("remark", error.remark.as_deref()))
}

/// The address that was talked to; NULL if none was. Valid until the error is freed. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_error_addr(error: *const fr_error_t) -> *const c_char {
    read(error, ptr::null(), |error| error.texts.get("addr", error.addr.as_deref()))
}

/// Whether the same call may succeed later without any change by the caller. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_error_is_retryable(error: *const fr_error_t) -> bool {
    read(error, false, |error| error.is_retryable)
}

/// Frees an error. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn fr_error_free(error: *mut fr_error_t) {
    free(error);
}
