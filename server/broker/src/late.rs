//! Requests that are answered later: work that reads or writes disks, or waits for others, and so must not run
//! on a connection's task. Java counterpart: the thread pools of admin and query processors.

use std::future::Future;

use ferrocket_protocol::{RemotingCommand, ResponseCode};
use ferrocket_remoting::Connection;
use tokio::sync::Semaphore;

use crate::handlers::Answer;
use crate::refusal::Refusal;

/// Requests of this kind at a time, of all connections; one more is refused as Java's full queue refuses it.
const LATE_MAX: usize = 1024;

static PLACES: Semaphore = Semaphore::const_new(LATE_MAX);

/// Answers `request` with what `work` comes to. Answers nothing to a oneway request.
pub(crate) fn answer(
    connection: &Connection,
    request: &RemotingCommand,
    work: impl Future<Output = Result<RemotingCommand, Refusal>> + Send + 'static,
) -> Answer {
    let Ok(place) = PLACES.try_acquire() else {
        let remark = "[REJECTREQUEST]system busy, start flow control for a while";
        return Err(Refusal::new(ResponseCode::SYSTEM_BUSY, remark));
    };
    let (connection, request) = (connection.clone(), without_body(request));
    tokio::spawn(async move {
        let reply = work.await.unwrap_or_else(|refusal| refusal.reply_to(&request));
        drop(place);
        if !request.is_oneway() {
            connection.reply(reply);
        }
    });
    Ok(None)
}

/// The same for work that blocks.
pub(crate) fn answer_blocking(
    connection: &Connection,
    request: &RemotingCommand,
    work: impl FnOnce() -> Result<RemotingCommand, Refusal> + Send + 'static,
) -> Answer {
    answer(connection, request, async move {
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result,
            // The work panicked, which has been logged; or the process stops.
            Err(_) => Err(Refusal::system_error("the broker could not finish the request")),
        }
    })
}

/// What is needed to answer: everything but the body.
fn without_body(request: &RemotingCommand) -> RemotingCommand {
    RemotingCommand { body: bytes::Bytes::new(), ..request.clone() }
}
