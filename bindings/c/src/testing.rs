//! The servers in the process of a test.

use std::ffi::{CString, c_char};
use std::ptr;
use std::time::Duration;

use ferrocket_bindings::testing::Broker;
use ferrocket_bindings::{Held, block_on};

use crate::config::{fr_config_t, settings};
use crate::error::{fr_error_t, fr_status_t};
use crate::handle::{c_text, call, free_after, get, kinds, make, read};

/// A NameServer and a Broker in this process, on free ports of the loopback address and with the store in memory: the
/// real servers, without a disk.
///
/// Owned by the program; free it with fr_testing_broker_free. Thread-safe.
pub struct fr_testing_broker_t {
    broker: Held<Broker>,
    namesrv_addr: CString,
}

kinds!(fr_testing_broker_t: "a testing broker");

/// Starts servers; they serve when this returns. The configuration has the Broker's settings by their names in
/// broker.conf, for instance `messageDelayLevel`; it may be NULL. Thread-safe.
///
/// Gives them into *broker; the program owns them (fr_testing_broker_free).
#[unsafe(no_mangle)]
pub extern "C" fn fr_testing_broker_start(
    config: *const fr_config_t,
    broker: *mut *mut fr_testing_broker_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    make(broker, error, || {
        let broker = block_on(Broker::start(settings(config)?))?;
        let namesrv_addr = c_text(broker.namesrv_addr());
        Ok(fr_testing_broker_t { broker: Held::new(broker), namesrv_addr })
    })
}

/// Where the NameServer listens, for `namesrvAddr`. Valid as long as the servers' handle. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_testing_broker_namesrv_addr(broker: *const fr_testing_broker_t) -> *const c_char {
    read(broker, ptr::null(), |broker| broker.namesrv_addr.as_ptr())
}

/// Turns the Broker's clock on by so many milliseconds: delayed messages and retries that are due then are delivered
/// now, transactions asked about. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_testing_broker_advance(
    broker: *const fr_testing_broker_t,
    by_ms: u64,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    call(error, || Ok(block_on(get(broker)?.broker.get()?.advance(Duration::from_millis(by_ms)))?))
}

/// Stops and frees the servers. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn fr_testing_broker_free(broker: *mut fr_testing_broker_t) {
    free_after(broker, |broker| {
        // They go in any case.
        let _ = broker.broker.get().and_then(|broker| block_on(broker.shutdown()));
    });
}
