//! Threads that call the program back, and the descriptors that wake it instead.
//!
//! A callback may block, so it is never called by a thread of the runtime, and never on the stack of a call of C. Who
//! closes an object waits for its callbacks: after that none of them comes any more, and what they use may go.

use std::cell::Cell;
use std::sync::Mutex;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use ferrocket_bindings::ferrocket::ErrorKind;

use crate::error::{Result, fr_error_t, fr_status_t};
use crate::handle::{Kind, call, free_after, get, lock};

#[cfg(unix)]
pub(crate) use ferrocket_bindings::EventFd;
#[cfg(not(unix))]
pub(crate) use none::EventFd;

/// Callback threads of one object at most.
const THREADS_MAX: usize = 1000;

/// As long as it takes.
pub(crate) const FOREVER: Duration = Duration::MAX;

thread_local! {
    /// Whether this thread calls the program back.
    static CALLS_BACK: Cell<bool> = const { Cell::new(false) };
}

/// The threads of one object.
#[derive(Default)]
pub(crate) struct Callers {
    /// Held for one look or change.
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Held while somebody waits for them: whoever closes an object at the same time waits as long.
    joining: Mutex<()>,
}

impl Callers {
    /// Starts so many threads that run this, each until it returns.
    pub(crate) fn start(&self, count: usize, run: impl Fn() + Clone + Send + 'static) -> Result<()> {
        Self::add(&mut lock(&self.threads), count, run)
    }

    /// Starts one, unless there is one already.
    pub(crate) fn start_first(&self, run: impl Fn() + Clone + Send + 'static) -> Result<()> {
        let mut threads = lock(&self.threads);
        if threads.is_empty() { Self::add(&mut threads, 1, run) } else { Ok(()) }
    }

    fn add(
        threads: &mut Vec<JoinHandle<()>>,
        count: usize,
        run: impl Fn() + Clone + Send + 'static,
    ) -> Result<()> {
        if count == 0 || count > THREADS_MAX.saturating_sub(threads.len()) {
            let text = format!("{} and {count} more threads: allowed are 1 to {THREADS_MAX}", threads.len());
            return Err(fr_error_t::config(text));
        }
        for _ in 0..count {
            let run = run.clone();
            let body = move || {
                CALLS_BACK.set(true);
                run();
            };
            let thread = Builder::new().name("ferrocket-call".to_owned()).spawn(body).map_err(|error| {
                fr_error_t::new(ErrorKind::Internal, format!("the system gives no threads: {error}"))
            })?;
            threads.push(thread);
        }
        Ok(())
    }

    /// Waits until all have returned.
    pub(crate) fn join(&self) {
        let _joining = lock(&self.joining);
        let threads = std::mem::take(&mut *lock(&self.threads));
        for thread in threads {
            // One that panicked has returned, too.
            let _ = thread.join();
        }
    }
}

/// Refuses what would wait for the callback that asks for it.
pub(crate) fn not_in_callback(what: &str) -> Result<()> {
    if CALLS_BACK.get() {
        return Err(fr_error_t::config(format!("a callback cannot close {what}: it would wait for itself")));
    }
    Ok(())
}

/// What is closed before it is freed.
pub(crate) trait Close: Kind + Send + 'static {
    /// Ends it, and waits until none of its callbacks comes any more.
    fn close(&self) -> Result<()>;
}

/// The body of an `fr_..._close`.
pub(crate) fn close<T: Close>(handle: *const T, error: *mut *mut fr_error_t) -> fr_status_t {
    call(error, || {
        let object = get(handle)?;
        not_in_callback(T::NAME)?;
        object.close()
    })
}

/// The body of an `fr_..._free` that closes: at once, or behind the callback that frees.
pub(crate) fn close_and_free<T: Close>(handle: *mut T) {
    free_after(handle, |object| {
        let work = move || {
            // It goes in any case.
            let _ = object.close();
        };
        if CALLS_BACK.get() {
            // Without a thread more it goes unclosed, which is better than to wait for ever.
            let _ = Builder::new().name("ferrocket-end".to_owned()).spawn(work);
        } else {
            work();
        }
    });
}

/// The time that C gave.
pub(crate) fn millis(timeout_ms: u32) -> Duration {
    Duration::from_millis(timeout_ms.into())
}

/// Where there are no descriptors to be woken by.
#[cfg(not(unix))]
mod none {
    use ferrocket_bindings::ferrocket::Result;

    #[derive(Clone)]
    pub(crate) struct EventFd;

    impl EventFd {
        pub(crate) fn new() -> Result<Self> {
            Ok(Self)
        }

        pub(crate) fn ring(&self) {}

        pub(crate) fn clear(&self) {}

        pub(crate) fn wake(&self) -> impl Fn() + Send + Sync + 'static {
            || ()
        }
    }
}

/// A descriptor's number for C.
#[cfg(unix)]
pub(crate) fn number(fd: &EventFd) -> std::ffi::c_int {
    std::os::fd::AsRawFd::as_raw_fd(fd)
}

/// A descriptor's number for C.
#[cfg(not(unix))]
pub(crate) fn number(_: &EventFd) -> std::ffi::c_int {
    -1
}
