//! Sends whose order is that of the calls, for languages whose calls do not wait.
//!
//! Futures that are spawned one by one overtake each other; here one task queues the messages, and receipts come when
//! they come.

use std::time::Duration;

use ferrocket::{Error, ErrorKind, Producer, Result, SendResult};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::runtime::{Done, guarded, is_forked, runtime, spawn};
use crate::terms::{Load, Terms};

/// Messages that wait to be queued at most; what is queued is bounded by the client's settings.
const WAITING_MAX: usize = 65_536;

/// How long a producer's end waits for messages in line: as long as for those on their way.
const FLUSH_MAX: Duration = Duration::from_secs(10);

type Tell = Box<dyn FnOnce(Result<SendResult>) + Send>;

struct Call {
    load: Load,
    terms: Terms,
    done: Done<SendResult, Tell>,
}

enum Step {
    Send(Call),
    /// Told when everything before it is queued.
    Mark(oneshot::Sender<()>),
}

/// One producer's sends in line. Dropping it takes no message back.
#[derive(Clone, Debug)]
pub struct Pipeline {
    line: mpsc::Sender<Step>,
}

impl Pipeline {
    /// For the messages of this producer.
    ///
    /// # Errors
    /// As [`runtime`].
    pub fn new(producer: Producer) -> Result<Self> {
        let (line, mut steps) = mpsc::channel(WAITING_MAX);
        let runtime = runtime()?;
        let queue = async move {
            while let Some(step) = steps.recv().await {
                let Call { load, terms, mut done } = match step {
                    Step::Send(call) => call,
                    Step::Mark(reached) => {
                        let _ = reached.send(());
                        continue;
                    }
                };
                match guarded(terms.enqueue(&producer, load)).await {
                    Ok(pending) => drop(runtime.spawn(async move { done.tell(guarded(pending).await) })),
                    Err(error) => done.tell(Err(error)),
                }
            }
            Ok(())
        };
        spawn(queue, |_| ())?;
        Ok(Self { line })
    }

    /// Puts a message, or a batch, in line behind those of all earlier calls and calls `done` with its receipt, as
    /// [`spawn`] does. One that must wait for its broker holds the later ones back, at most for its timeout.
    ///
    /// # Errors
    /// As [`runtime`]; [`ErrorKind::FlowControl`] with the message when too many wait already. Then `done` is not
    /// called.
    pub fn send(
        &self,
        load: impl Into<Load>,
        terms: Terms,
        done: impl FnOnce(Result<SendResult>) + Send + 'static,
    ) -> Result<()> {
        if is_forked() {
            return runtime().map(|_| ());
        }
        let call = Call { load: load.into(), terms, done: Done::new(Box::new(done)) };
        self.line.try_send(Step::Send(call)).map_err(|refused| {
            let (error, step) = match refused {
                TrySendError::Full(step) => {
                    let text = format!("{WAITING_MAX} messages wait to be queued");
                    (Error::new(ErrorKind::FlowControl, text), step)
                }
                TrySendError::Closed(step) => (Error::new(ErrorKind::Closed, "ferrocket is stopped"), step),
            };
            let Step::Send(mut call) = step else { return error };
            call.done.forget();
            error.with_unsent(call.load.into_messages())
        })
    }

    /// Until all messages in line are queued, at most ten seconds: a producer that is shut down before refuses them.
    pub async fn flush(&self) {
        let (mark, reached) = oneshot::channel();
        let passed = async {
            if self.line.send(Step::Mark(mark)).await.is_ok() {
                let _ = reached.await;
            }
        };
        let _ = timeout(FLUSH_MAX, passed).await;
    }
}
