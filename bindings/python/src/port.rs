//! Operations and their outcomes.
//!
//! An [`Op`] is waited for by a thread of Python's, with the interpreter's lock released, or started with a [`Port`]
//! and a number: then a task of the runtime puts number and outcome into the port, whose descriptor becomes readable.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferrocket_bindings::ferrocket::{Error, ErrorKind, Result};
use ferrocket_bindings::{EventFd, Held, Inbox, block_on, spawn};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use std::os::fd::AsRawFd;

use crate::process::{Raise, is_stopped, raised};

/// How long a wait lasts before Python may handle a signal, such as Ctrl-C.
const SLICE: Duration = Duration::from_millis(50);

/// Threads that wait in here with the interpreter's lock released. The interpreter must not end before they are back.
pub(crate) static WAITING: AtomicUsize = AtomicUsize::new(0);

/// Makes an outcome an object, where the interpreter's lock is held.
type Made = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;
type Work = Pin<Box<dyn Future<Output = Result<Made>> + Send>>;

fn made<T: Outcome>(value: T) -> Made {
    Box::new(move |py| value.into_py_any(py))
}

/// What can be made an object of Python's, later and on another thread.
pub(crate) trait Outcome: for<'py> IntoPyObject<'py> + Send + 'static {}

impl<T: for<'py> IntoPyObject<'py> + Send + 'static> Outcome for T {}

/// What an object has until it is taken: work, a question.
pub(crate) struct Once<T>(Held<Mutex<Option<T>>>);

impl<T> Once<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Held::new(Mutex::new(Some(value))))
    }

    fn slot(&self, py: Python<'_>) -> PyResult<MutexGuard<'_, Option<T>>> {
        Ok(self.0.get().raise(py)?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// It, the first time.
    pub(crate) fn take(&self, py: Python<'_>) -> PyResult<Option<T>> {
        Ok(self.slot(py)?.take())
    }

    pub(crate) fn is_taken(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.slot(py)?.is_none())
    }
}

/// Something to be done once: `wait` for it, or `start` it.
#[pyclass(frozen, generic, module = "ferrocket._core")]
pub(crate) struct Op(Once<Work>);

impl Op {
    pub(crate) fn new<T: Outcome>(work: impl Future<Output = Result<T>> + Send + 'static) -> Self {
        let work: Work = Box::pin(async move { work.await.map(made) });
        Self(Once::new(work))
    }

    fn take(&self, py: Python<'_>) -> PyResult<Work> {
        self.0.take(py)?.ok_or_else(|| {
            raised(py, Error::new(ErrorKind::Config, "this was waited for, or started, before"))
        })
    }
}

#[pymethods]
impl Op {
    fn wait(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let mut work = self.take(py)?;
        loop {
            let waited = waiting(py, || block_on(async { Ok(tokio::time::timeout(SLICE, &mut work).await) }));
            match waited {
                Ok(Ok(outcome)) => return outcome.raise(py)?(py),
                Ok(Err(_)) => py.check_signals()?,
                Err(error) => return Err(raised(py, error)),
            }
        }
    }

    fn start(&self, py: Python<'_>, port: &Port, token: u64) -> PyResult<()> {
        let arrived = port.arrived(py)?.clone();
        let work = self.take(py)?;
        let tell = move |outcome| {
            arrived.push((token, outcome));
        };
        spawn(work, tell).map(drop).raise(py)
    }
}

/// Waits with the interpreter's lock released, unless the interpreter is about to end.
pub(crate) fn waiting<T: Send>(py: Python<'_>, wait: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    if is_stopped() {
        return Err(Error::new(ErrorKind::Closed, "ferrocket is stopped: the interpreter ends"));
    }
    WAITING.fetch_add(1, Ordering::SeqCst);
    let waited = py.detach(wait);
    WAITING.fetch_sub(1, Ordering::SeqCst);
    waited
}

type Arrived = Inbox<(u64, Result<Made>)>;

/// Where outcomes arrive for one event loop.
#[pyclass(frozen, module = "ferrocket._core")]
pub(crate) struct Port {
    event: EventFd,
    arrived: Held<Arrived>,
}

impl Port {
    fn arrived(&self, py: Python<'_>) -> PyResult<&Arrived> {
        self.arrived.get().raise(py)
    }

    /// Whom to tell when an operation with this number is done.
    pub(crate) fn teller<T: Outcome>(
        &self,
        py: Python<'_>,
        token: u64,
    ) -> PyResult<impl FnOnce(Result<T>) + Send + use<T>> {
        let arrived = self.arrived(py)?.clone();
        Ok(move |outcome: Result<T>| {
            arrived.push((token, outcome.map(made)));
        })
    }
}

#[pymethods]
impl Port {
    #[new]
    fn new(py: Python<'_>) -> PyResult<Self> {
        let event = EventFd::new().raise(py)?;
        let inbox = Inbox::new(event.wake());
        Ok(Self { event, arrived: Held::new(inbox) })
    }

    fn fileno(&self) -> i32 {
        self.event.as_raw_fd()
    }

    fn drain(&self, py: Python<'_>) -> PyResult<Vec<(u64, bool, Py<PyAny>)>> {
        let inbox = self.arrived(py)?;
        self.event.clear();
        let outcomes = inbox.drain(usize::MAX).into_iter().map(|(token, outcome)| {
            let object = match outcome {
                Ok(made) => made(py),
                Err(error) => Err(raised(py, error)),
            };
            match object {
                Ok(object) => Ok((token, true, object)),
                Err(error) => Ok((token, false, error.into_value(py).into_any())),
            }
        });
        outcomes.collect()
    }
}

/// The methods of a class. Fields are read from what it holds; operations are done with a clone of what its `get`
/// gives, one row each.
macro_rules! methods {
    ($class:ident
        fields { $($field:ident: $kind:ty = |$this:ident| $value:expr;)* }
        operations { $($name:ident($($argument:ident: $type:ty),*) = |$owned:ident| $work:expr;)* }
        $($rest:tt)*
    ) => {
        #[pyo3::pymethods]
        impl $class {
            $(#[getter]
            fn $field(&self) -> $kind {
                let $this = &self.0;
                $value
            })*
            $(fn $name(&self, py: pyo3::Python<'_>, $($argument: $type),*) -> pyo3::PyResult<crate::port::Op> {
                let $owned = self.get(py)?.clone();
                Ok(crate::port::Op::new(async move { $work }))
            })*
            $($rest)*
        }
    };
}
pub(crate) use methods;
