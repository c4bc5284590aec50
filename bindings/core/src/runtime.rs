//! The process's one Tokio runtime, made at first use, and the ways across the boundary.
//!
//! A forked child has the parent's memory and none of its threads: whoever waits there waits for ever. So the process
//! that made the runtime is remembered, and every other one is refused before it touches a lock.

use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::mem::forget;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::task::Poll;
use std::time::Duration;

use ferrocket::{Error, ErrorKind, Result};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;
use tokio::task::{AbortHandle, block_in_place};

/// Threads that do the client's work; the language's own threads do the rest.
const WORKERS: usize = 2;

/// The process that may use the runtime; 0 until the first use.
static OWNER: AtomicU32 = AtomicU32::new(0);
static BRIDGE: OnceLock<Result<Bridge, String>> = OnceLock::new();

/// The runtime and its end.
#[derive(Debug)]
pub struct Bridge {
    handle: Handle,
    /// Taken by the end. Held for one exchange.
    runtime: Mutex<Option<Runtime>>,
    stopping: watch::Sender<bool>,
}

impl Bridge {
    fn start() -> Result<Self, String> {
        let builder = &mut Builder::new_multi_thread();
        let runtime = builder.worker_threads(WORKERS).thread_name("ferrocket").enable_all().build();
        let runtime = runtime.map_err(|error| format!("the system gives no threads: {error}"))?;
        let handle = runtime.handle().clone();
        Ok(Self { handle, runtime: Mutex::new(Some(runtime)), stopping: watch::Sender::new(false) })
    }

    fn get() -> Result<&'static Self> {
        let here = std::process::id();
        if let Err(owner) = OWNER.compare_exchange(0, here, Ordering::AcqRel, Ordering::Acquire)
            && owner != here
        {
            return Err(forked());
        }
        let bridge = BRIDGE.get_or_init(Self::start).as_ref();
        let bridge = bridge.map_err(|text| Error::new(ErrorKind::Internal, text))?;
        if *bridge.stopping.borrow() { Err(stopped()) } else { Ok(bridge) }
    }

    /// Ends the runtime, for the exit of the process: whoever waits in [`block_on`] and every task of [`spawn`] gets
    /// [`ErrorKind::Closed`], and later uses do, too. Waits at most `timeout` for tasks that are just at work. Clients
    /// should have been shut down before. Without effect in a forked child.
    pub fn stop(timeout: Duration) {
        let Ok(bridge) = Self::get() else { return };
        bridge.stopping.send_replace(true);
        let runtime = bridge.runtime.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(runtime) = runtime else { return };
        if tokio::task::try_id().is_some() {
            // One of its own threads cannot wait for itself.
            runtime.shutdown_background();
        } else {
            runtime.shutdown_timeout(timeout);
        }
    }
}

/// The runtime, for whoever needs its context.
///
/// # Errors
/// [`ErrorKind::Closed`] in a forked child of the process that used it first, and after [`Bridge::stop`];
/// [`ErrorKind::Internal`] when the system gives no threads.
pub fn runtime() -> Result<Handle> {
    Ok(Bridge::get()?.handle.clone())
}

/// Whether another process, of which this one is a forked child, owns the runtime.
pub fn is_forked() -> bool {
    let owner = OWNER.load(Ordering::Acquire);
    owner != 0 && owner != std::process::id()
}

fn forked() -> Error {
    let owner = OWNER.load(Ordering::Acquire);
    let text = format!(
        "this process was forked from process {owner} after ferrocket was used there, and has none of its connections \
         and threads: use ferrocket only after the fork, or start processes with spawn"
    );
    Error::new(ErrorKind::Closed, text)
}

fn stopped() -> Error {
    Error::new(ErrorKind::Closed, "ferrocket is stopped: the process ends")
}

fn internal(payload: Box<dyn std::any::Any + Send>) -> Error {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text");
    let error = Error::new(ErrorKind::Internal, format!("a fault of ferrocket, please report it: {text}"));
    tracing::error!(%error, "a panic was caught");
    error
}

/// Runs what an entry of the binding does; a panic becomes an [`ErrorKind::Internal`].
///
/// # Errors
/// What `entry` returns, or that.
pub fn guard<T>(entry: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(entry)).unwrap_or_else(|payload| Err(internal(payload)))
}

/// The same for a future.
pub(crate) async fn guarded<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let mut future = pin!(future);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(result) => result,
        Err(payload) => Poll::Ready(Err(internal(payload))),
    })
    .await
}

/// Waits for a future on the calling thread, which may be any, one of the runtime's own among them.
///
/// # Errors
/// What the future yields; as [`runtime`], also when the end comes while it waits.
pub fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let bridge = Bridge::get()?;
    let mut stopping = bridge.stopping.subscribe();
    let either = async {
        let mut future = pin!(guarded(future));
        let mut end = pin!(stopping.wait_for(|stopping| *stopping));
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Pending => end.as_mut().poll(context).map(|_| Err(stopped())),
            ready => ready,
        })
        .await
    };
    guard(|| block_in_place(|| bridge.handle.block_on(either)))
}

/// Work that was begun with [`spawn`].
#[derive(Clone, Debug)]
pub struct Task(AbortHandle);

impl Task {
    /// Gives the work up, if it is not done: `done` is called with [`ErrorKind::Closed`]. A send that is under way may
    /// be stored all the same.
    pub fn cancel(&self) {
        self.0.abort();
    }
}

/// Runs a future on the runtime and calls `done` with what it yields, on one of the runtime's threads and exactly
/// once, also after a panic, [`Task::cancel`] and [`Bridge::stop`]. `done` must not wait.
///
/// # Errors
/// As [`runtime`]; then `done` is not called.
pub fn spawn<T: Send + 'static>(
    future: impl Future<Output = Result<T>> + Send + 'static,
    done: impl FnOnce(Result<T>) + Send + 'static,
) -> Result<Task> {
    let bridge = Bridge::get()?;
    let mut done = Done::new(done);
    let task = async move {
        let result = guarded(future).await;
        done.tell(result);
    };
    Ok(Task(bridge.handle.spawn(task).abort_handle()))
}

/// Whoever is to be told, however the work ends.
pub(crate) struct Done<T, D: FnOnce(Result<T>)>(Option<D>, PhantomData<fn(T)>);

impl<T, D: FnOnce(Result<T>)> Done<T, D> {
    pub(crate) fn new(done: D) -> Self {
        Self(Some(done), PhantomData)
    }

    /// The work was not begun, and the caller knows.
    pub(crate) fn forget(&mut self) {
        self.0 = None;
    }

    pub(crate) fn tell(&mut self, result: Result<T>) {
        if let Some(done) = self.0.take() {
            // A panic has nobody else to go to.
            let _ = guard(|| {
                done(result);
                Ok(())
            });
        }
    }
}

impl<T, D: FnOnce(Result<T>)> Drop for Done<T, D> {
    fn drop(&mut self) {
        self.tell(Err(Error::new(ErrorKind::Closed, "the call was given up before it was done")));
    }
}

/// Something of the client's that an object of the language owns. In a forked child it can neither be used nor
/// dropped: both would wait for threads that are not there.
#[derive(Debug)]
pub struct Held<T>(Option<T>);

impl<T> Held<T> {
    /// Owns it.
    pub fn new(value: T) -> Self {
        Self(Some(value))
    }

    /// It, for one call.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] in a forked child.
    pub fn get(&self) -> Result<&T> {
        match &self.0 {
            Some(value) if !is_forked() => Ok(value),
            _ => Err(forked()),
        }
    }

    /// It, for good.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] in a forked child.
    pub fn take(mut self) -> Result<T> {
        self.get()?;
        self.0.take().ok_or_else(forked)
    }
}

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        let Some(value) = self.0.take() else { return };
        if is_forked() {
            return forget(value);
        }
        // What is dropped may begin to shut down, which needs the runtime.
        let runtime = runtime();
        let _context = runtime.as_ref().ok().map(Handle::enter);
        let _ = guard(|| {
            drop(value);
            Ok(())
        });
    }
}
