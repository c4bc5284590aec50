//! The whole client for code without `async`: where asynchronous code says `.await`, say [`.wait()`](Wait::wait).
//!
//! ```no_run
//! use ferrocket::blocking::{Wait, on_thread};
//! use ferrocket::{Client, ConsumeResult, Message, MessageExt};
//!
//! fn main() -> ferrocket::Result<()> {
//!     let client = Client::builder("127.0.0.1:9876").build()?;
//!     let producer = client.producer("orders").start().wait()?;
//!     println!("{}", producer.send(Message::new("Orders", "paid")).wait()?);
//!
//!     let consumer = client
//!         .push_consumer("billing")
//!         .subscribe("Orders", "*")
//!         .on_message(on_thread(|message: MessageExt| {
//!             println!("{}", message.msg_id);
//!             ConsumeResult::Success
//!         }))
//!         .start()
//!         .wait()?;
//!     std::thread::park_timeout(std::time::Duration::from_secs(10));
//!     consumer.shutdown().wait();
//!     client.shutdown().wait()
//! }
//! ```
//!
//! Connections, timers and handlers run on one thread of this module, which starts with the first `wait` and lives as
//! long as the program; blocking handlers have threads of their own.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use tokio::runtime::{Builder, Handle, Runtime};

/// Waits for what asynchronous code would `.await`.
///
/// ```
/// use ferrocket::Message;
/// use ferrocket::blocking::Wait;
///
/// # #[cfg(feature = "testing")] fn run() -> ferrocket::Result<()> {
/// # let cluster = ferrocket::testing::Cluster::start().wait()?;
/// # let client = cluster.client().build()?;
/// let producer = client.producer("orders").start().wait()?;
/// let sent = producer.send(Message::new("Orders", "paid")).wait()?;
/// println!("{sent}");
/// client.shutdown().wait()?;
/// # cluster.shutdown().wait()
/// # }
/// # #[cfg(feature = "testing")] run().unwrap();
/// ```
pub trait Wait: IntoFuture + Sized {
    /// Blocks the calling thread until the result is there.
    ///
    /// In asynchronous code `.await` is right: this would keep the runtime's thread from its other work.
    ///
    /// # Panics
    /// If the system gives no thread at the first call.
    fn wait(self) -> Self::Output;
}

impl<F: IntoFuture> Wait for F {
    fn wait(self) -> Self::Output {
        // Timers and sockets that the future makes belong to that runtime.
        let _context = runtime().enter();
        let mut future = pin!(self.into_future());
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            match future.as_mut().poll(&mut context) {
                Poll::Ready(output) => return output,
                Poll::Pending => std::thread::park(),
            }
        }
    }
}

/// Makes a handler of a function that blocks: it is called on a thread of its own, so that others are not kept waiting.
/// For `on_message`, `on_batch` and their orderly kin; a panic counts as one of the handler.
///
/// ```
/// use ferrocket::blocking::{Wait, on_thread};
/// use ferrocket::{ConsumeFromWhere, Message, MessageExt};
///
/// # #[cfg(feature = "testing")] fn run() -> ferrocket::Result<()> {
/// # let cluster = ferrocket::testing::Cluster::start().wait()?;
/// # let client = cluster.client().build()?;
/// # let sent = client.producer("p").start().wait()?.send(Message::new("Orders", "paid")).wait()?;
/// let (bodies, heard) = std::sync::mpsc::channel();
/// let consumer = client
///     .push_consumer("billing")
///     .subscribe("Orders", "*")
///     .consume_from(ConsumeFromWhere::FirstOffset)
///     // It may read files, or wait for a database.
///     .on_message(on_thread(move |message: MessageExt| bodies.send(message.body)))
///     .start()
///     .wait()?;
/// assert_eq!(heard.recv().unwrap(), "paid");
/// # client.shutdown().wait()?;
/// # cluster.shutdown().wait()
/// # }
/// # #[cfg(feature = "testing")] run().unwrap();
/// ```
pub fn on_thread<M, R>(
    handle: impl Fn(M) -> R + Send + Sync + 'static,
) -> impl Fn(M) -> Pin<Box<dyn Future<Output = R> + Send>> + Send + Sync + 'static
where
    M: Send + 'static,
    R: Send + 'static,
{
    let handle = Arc::new(handle);
    move |message| {
        let handle = Arc::clone(&handle);
        Box::pin(async move {
            match tokio::task::spawn_blocking(move || handle(message)).await {
                Ok(result) => result,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // The runtime ends and starts no more threads.
                    Err(cancelled) => panic!("{cancelled}"),
                },
            }
        })
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn runtime() -> &'static Handle {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let start = || {
        let threads =
            Builder::new_multi_thread().worker_threads(1).thread_name("ferrocket").enable_all().build();
        threads.expect("the system gives a thread")
    };
    RUNTIME.get_or_init(start).handle()
}
