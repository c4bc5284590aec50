//! Sends whose order is that of the calls, for languages whose calls do not wait.
//!
//! Futures that are spawned one by one overtake each other; here one task queues the messages, and receipts come when
//! they come.

use ferrocket::{Error, ErrorKind, Message, Producer, Result, SendResult};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::runtime::{Done, guarded, is_forked, runtime, spawn};

/// Messages that wait to be queued at most; what is queued is bounded by the client's settings.
const WAITING_MAX: usize = 65_536;

type Tell = Box<dyn FnOnce(Result<SendResult>) + Send>;

struct Call {
    message: Message,
    done: Done<SendResult, Tell>,
}

/// One producer's sends in line. Dropping it takes no message back.
#[derive(Debug)]
pub struct Pipeline {
    calls: mpsc::Sender<Call>,
}

impl Pipeline {
    /// For the messages of this producer.
    ///
    /// # Errors
    /// As [`runtime`].
    pub fn new(producer: Producer) -> Result<Self> {
        let (calls, mut line) = mpsc::channel::<Call>(WAITING_MAX);
        let runtime = runtime()?;
        let queue = async move {
            while let Some(Call { message, mut done }) = line.recv().await {
                match guarded(producer.enqueue(message)).await {
                    Ok(pending) => drop(runtime.spawn(async move { done.tell(guarded(pending).await) })),
                    Err(error) => done.tell(Err(error)),
                }
            }
            Ok(())
        };
        spawn(queue, |_| ())?;
        Ok(Self { calls })
    }

    /// Puts a message in line behind those of all earlier calls and calls `done` with its receipt, as
    /// [`spawn`] does.
    ///
    /// # Errors
    /// As [`runtime`]; [`ErrorKind::FlowControl`] with the message when too many wait already. Then `done` is not
    /// called.
    pub fn send(
        &self,
        message: Message,
        done: impl FnOnce(Result<SendResult>) + Send + 'static,
    ) -> Result<()> {
        if is_forked() {
            return runtime().map(|_| ());
        }
        let call = Call { message, done: Done::new(Box::new(done)) };
        self.calls.try_send(call).map_err(|refused| {
            let (error, mut call) = match refused {
                TrySendError::Full(call) => {
                    let text = format!("{WAITING_MAX} messages wait to be queued");
                    (Error::new(ErrorKind::FlowControl, text), call)
                }
                TrySendError::Closed(call) => (Error::new(ErrorKind::Closed, "ferrocket is stopped"), call),
            };
            call.done.forget();
            error.with_unsent(vec![call.message])
        })
    }
}
