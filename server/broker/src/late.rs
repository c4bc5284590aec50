//! Requests that are answered later: work that reads or writes disks, or waits for others, and so must not run
//! on a connection's task. Java counterpart: the thread pools of admin and query processors.

use std::future::Future;
use std::sync::Arc;

use ferrocket_protocol::{RemotingCommand, ResponseCode};
use ferrocket_remoting::Connection;
use tokio::sync::Semaphore;

use crate::broker::Shared;
use crate::handlers::Answer;
use crate::refusal::Refusal;

/// Requests of this kind at a time, of all connections; one more is refused as Java's full queue refuses it.
pub(crate) const LATE_MAX: usize = 1024;

/// The places that a Broker has for them.
#[derive(Clone, Debug)]
pub(crate) struct Places(Arc<Semaphore>);

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(LATE_MAX)))
    }
}

impl Places {
    /// How many requests are being answered at the moment, or wait for that.
    pub(crate) fn taken(&self) -> usize {
        LATE_MAX.saturating_sub(self.0.available_permits())
    }
}

/// Answers `request` with what `work` comes to, which is given what it needs to answer: the request without its
/// body. Answers nothing to a oneway request.
pub(crate) fn answer<W>(
    broker: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
    work: impl FnOnce(Arc<Shared>, RemotingCommand) -> W,
) -> Answer
where
    W: Future<Output = Result<RemotingCommand, Refusal>> + Send + 'static,
{
    let Ok(place) = broker.late.0.clone().try_acquire_owned() else {
        let remark = "[REJECTREQUEST]system busy, start flow control for a while";
        return Err(Refusal::new(ResponseCode::SYSTEM_BUSY, remark));
    };
    let asked = RemotingCommand { body: bytes::Bytes::new(), ..request.clone() };
    let (connection, work) = (connection.clone(), work(broker.clone(), asked.clone()));
    tokio::spawn(async move {
        let reply = work.await.unwrap_or_else(|refusal| refusal.reply_to(&asked));
        drop(place);
        if !asked.is_oneway() {
            connection.reply(reply);
        }
    });
    Ok(None)
}

/// The same for work that blocks.
pub(crate) fn answer_blocking(
    broker: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
    work: impl FnOnce(&Shared, &RemotingCommand) -> Result<RemotingCommand, Refusal> + Send + 'static,
) -> Answer {
    answer(broker, connection, request, |broker, asked| blocking(move || work(&broker, &asked)))
}

/// Does what blocks where it may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        // The work panicked, which has been logged; or the process stops.
        Err(_) => Err(Refusal::system_error("the broker could not finish the request")),
    }
}
