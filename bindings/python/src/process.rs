//! What there is once in a process: exceptions, log lines, the end of the interpreter; and the test broker.

use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use ferrocket_bindings::ferrocket::{self, Error, ErrorKind, Result};
use ferrocket_bindings::logs::{self, Line};
use ferrocket_bindings::{Bridge, EventFd, Held, Inbox, block_on, testing};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tokio::task::JoinSet;

use crate::port::{WAITING, waiting};
use crate::values::Message;

/// Log lines for one look.
const LINES_MAX: usize = 256;

/// The exception for an error, of the class that `ferrocket._errors` has for its kind.
pub(crate) fn raised(py: Python<'_>, error: Error) -> PyErr {
    static CLASSES: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let exception = CLASSES
        .get_or_try_init(py, || Ok(py.import("ferrocket._errors")?.getattr("BY_KIND")?.unbind()))
        .and_then(|classes| {
            let unsent = error.unsent().iter().cloned().map(Message);
            let details = (
                error.to_string(),
                error.code(),
                error.remark(),
                error.addr(),
                error.is_retryable(),
                unsent.collect::<Vec<_>>(),
            );
            classes.bind(py).get_item(error.kind().name())?.call1(details)
        });
    match exception {
        Ok(exception) => PyErr::from_value(exception),
        Err(problem) => PyRuntimeError::new_err(format!("{error} (and {problem})")),
    }
}

/// Turns results of the client's into results of Python's.
pub(crate) trait Raise<T> {
    fn raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> Raise<T> for Result<T> {
    fn raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| raised(py, error))
    }
}

/// Clients whose shutdown belongs to the end of the process. Held for one change or look.
static CLIENTS: Mutex<Vec<Weak<Held<ferrocket::Client>>>> = Mutex::new(Vec::new());

pub(crate) fn remember(client: Weak<Held<ferrocket::Client>>) {
    let mut clients = CLIENTS.lock().unwrap_or_else(PoisonError::into_inner);
    clients.retain(|known| known.strong_count() > 0);
    clients.push(client);
}

static STOPPED: AtomicBool = AtomicBool::new(false);

/// Ends everything, within so many seconds, before the interpreter goes.
#[pyfunction]
pub(crate) fn stop(py: Python<'_>, timeout: f64) {
    let limit = Duration::try_from_secs_f64(timeout).unwrap_or(Duration::ZERO);
    let until = Instant::now() + limit;
    if ferrocket_bindings::is_forked() {
        STOPPED.store(true, Ordering::SeqCst);
        return;
    }
    let clients = std::mem::take(&mut *CLIENTS.lock().unwrap_or_else(PoisonError::into_inner));
    let clients: Vec<_> = clients.iter().filter_map(Weak::upgrade).collect();
    if !clients.is_empty() {
        let ends = async move {
            let mut ends = JoinSet::new();
            for client in clients {
                ends.spawn(async move { client.get()?.shutdown().await });
            }
            Ok(tokio::time::timeout(limit, ends.join_all()).await)
        };
        // An end that takes too long, or fails, is an end.
        let _ = waiting(py, || block_on(ends));
    }
    STOPPED.store(true, Ordering::SeqCst);
    py.detach(|| {
        Bridge::stop(until.saturating_duration_since(Instant::now()).max(Duration::from_millis(500)));
    });
    if let Ok(lines) = &*LINES {
        lines.1.finish();
    }
    // Whoever waited is on its way back into the interpreter, which must not end under it.
    let until = Instant::now() + Duration::from_secs(1);
    while WAITING.load(Ordering::SeqCst) > 0 && Instant::now() < until {
        py.detach(|| std::thread::sleep(Duration::from_millis(1)));
    }
}

/// Whether `stop` was called.
#[pyfunction]
pub(crate) fn is_stopped() -> bool {
    STOPPED.load(Ordering::Relaxed)
}

static LINES: LazyLock<Result<(EventFd, Inbox<Line>)>> = LazyLock::new(|| {
    let event = EventFd::new()?;
    let inbox = Inbox::new(event.wake());
    Ok((event, inbox))
});

fn lines(py: Python<'_>) -> PyResult<&'static (EventFd, Inbox<Line>)> {
    LINES.as_ref().map_err(|error| raised(py, error.clone()))
}

/// From which level on (1 error to 5 trace; 0 none) lines are kept.
#[pyfunction]
pub(crate) fn set_log_level(py: Python<'_>, level: u8) -> PyResult<()> {
    let inbox = lines(py)?.1.clone();
    logs::forward(level, inbox).raise(py)
}

/// The descriptor that is readable when there are lines, and at the end.
#[pyfunction]
pub(crate) fn logs_fileno(py: Python<'_>) -> PyResult<i32> {
    Ok(lines(py)?.0.as_raw_fd())
}

/// Level, module and text of the lines there are; the level 0 is the end.
#[pyfunction]
pub(crate) fn take_logs(py: Python<'_>) -> PyResult<Vec<(u8, String, String)>> {
    let (event, inbox) = lines(py)?;
    event.clear();
    let taken = inbox.drain(LINES_MAX).into_iter();
    let mut lines: Vec<_> = taken.map(|Line { level, target, text }| (level, target, text)).collect();
    if inbox.is_ended() {
        lines.push((0, String::new(), String::new()));
    }
    Ok(lines)
}

/// A NameServer and a Broker in this process.
#[pyclass(frozen, module = "ferrocket._core")]
pub(crate) struct Broker(Held<testing::Broker>);

#[pymethods]
impl Broker {
    #[new]
    fn new(py: Python<'_>, settings: Vec<(String, String)>) -> PyResult<Self> {
        let started = waiting(py, || block_on(testing::Broker::start(settings)));
        Ok(Self(Held::new(started.raise(py)?)))
    }

    #[getter]
    fn namesrv_addr(&self, py: Python<'_>) -> PyResult<&str> {
        Ok(self.0.get().raise(py)?.namesrv_addr())
    }

    fn advance(&self, py: Python<'_>, seconds: f64) -> PyResult<()> {
        let broker = self.0.get().raise(py)?;
        let by = Duration::try_from_secs_f64(seconds);
        let advanced = by
            .map_err(|error| Error::new(ErrorKind::Config, format!("{seconds} s: {error}")))
            .and_then(|by| waiting(py, || block_on(broker.advance(by))));
        advanced.raise(py)
    }

    fn shutdown(&self, py: Python<'_>) -> PyResult<()> {
        let broker = self.0.get().raise(py)?;
        waiting(py, || block_on(broker.shutdown())).raise(py)
    }
}
