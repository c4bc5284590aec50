//! What is said about one send alone.

use std::ffi::c_char;
use std::sync::Mutex;

use ferrocket_bindings::{Destination, Terms};

use crate::callers::millis;
use crate::error::{Result, fr_error_t, fr_status_t};
use crate::handle::{call, free, get, get_if, give, kinds, lock, text};
use crate::message::fr_queue_t;

/// The terms of sends: a queue, or a key that orders them, and a timeout. Without any a message is sent as its producer
/// sends.
///
/// Owned by the program, which may use it any number of times; free it with fr_send_terms_free. Thread-safe.
#[derive(Default)]
pub struct fr_send_terms_t(Mutex<Terms>);

kinds!(fr_send_terms_t: "the terms of a send");

/// The terms as they are now; none for NULL.
pub(crate) fn of(terms: *const fr_send_terms_t) -> Result<Terms> {
    Ok(get_if(terms)?.map(|terms| lock(&terms.0).clone()).unwrap_or_default())
}

fn change(
    terms: *mut fr_send_terms_t,
    error: *mut *mut fr_error_t,
    change: impl FnOnce(&mut Terms) -> Result<()>,
) -> fr_status_t {
    call(error, || change(&mut lock(&get(terms)?.0)))
}

/// Makes terms that say nothing yet. The program owns them (fr_send_terms_free). Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_send_terms_new() -> *mut fr_send_terms_t {
    give(fr_send_terms_t::default())
}

/// Has messages go to this queue, in place of a key that was set before. Each is tried once. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_send_terms_set_queue(
    terms: *mut fr_send_terms_t,
    queue: *const fr_queue_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    change(terms, error, |terms| {
        terms.destination = Some(Destination::To(get(queue)?.queue.clone()));
        Ok(())
    })
}

/// Has messages go to the queue of all messages with this key, so that they keep their order, in place of a queue that
/// was set before. Each is tried once. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_send_terms_set_ordered_by(
    terms: *mut fr_send_terms_t,
    key: *const c_char,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    change(terms, error, |terms| {
        terms.destination = Some(Destination::OrderedBy(text(key, "the key")?.to_owned()));
        Ok(())
    })
}

/// Has a send take at most so many milliseconds, 1 or more, in place of the producer's `sendMsgTimeout`. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_send_terms_set_timeout(
    terms: *mut fr_send_terms_t,
    timeout_ms: u32,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    change(terms, error, |terms| {
        terms.timeout = Some(millis(timeout_ms));
        Ok(())
    })
}

/// Frees the terms of sends. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn fr_send_terms_free(terms: *mut fr_send_terms_t) {
    free(terms);
}
