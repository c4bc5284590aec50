//! What the application does with messages, and what it answers.
//!
//! A handler that panics has failed, like one that answers an error; the consumer goes on.
//! Java counterparts: `MessageListenerConcurrently`, `MessageListenerOrderly` and their statuses.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::message::MessageExt;

/// What a concurrent handler says about its messages. Java: `ConsumeConcurrentlyStatus` with the two settings
/// of `ConsumeConcurrentlyContext`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConsumeResult {
    /// All are done.
    Success,
    /// The first `n` of the batch are done, the others come again (Java's `ackIndex` is one less).
    SuccessOf(usize),
    /// All come again later; the broker chooses the delay by the number of attempts.
    ReconsumeLater,
    /// All come again after the broker's delay of this level (1 to 18 by default); -1 sends them to the dead
    /// letters at once.
    ReconsumeAfterLevel(i32),
}

/// What an orderly handler says about its messages. Java: `ConsumeOrderlyStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConsumeOrderlyResult {
    /// Done. With `auto_commit(false)` the offset stays until a later [`Commit`](Self::Commit).
    Success,
    /// Done, with everything before. With automatic commits the same as `Success`.
    Commit,
    /// Everything since the last commit comes again after the pause. Only with `auto_commit(false)`; otherwise
    /// the same as `Success`, as in Java.
    Rollback,
    /// These messages come again after the consumer's usual pause; the queue waits for them.
    SuspendCurrentQueueAMoment,
    /// The same after this pause, kept between 10 ms and 30 s.
    SuspendCurrentQueueFor(Duration),
}

/// What a concurrent handler may answer: a [`ConsumeResult`], nothing (done), or a `Result` of either, whose
/// error means that the messages come again later.
pub trait IntoConsumeResult {
    /// The answer, or the error's text.
    fn into_consume_result(self) -> Result<ConsumeResult, String>;
}

impl IntoConsumeResult for ConsumeResult {
    fn into_consume_result(self) -> Result<ConsumeResult, String> {
        Ok(self)
    }
}

impl IntoConsumeResult for () {
    fn into_consume_result(self) -> Result<ConsumeResult, String> {
        Ok(ConsumeResult::Success)
    }
}

impl<T: IntoConsumeResult, E: fmt::Display> IntoConsumeResult for Result<T, E> {
    fn into_consume_result(self) -> Result<ConsumeResult, String> {
        self.map_err(|error| error.to_string())?.into_consume_result()
    }
}

/// What an orderly handler may answer: a [`ConsumeOrderlyResult`], nothing (done), or a `Result` of either,
/// whose error means that the queue pauses and the messages come again.
pub trait IntoConsumeOrderlyResult {
    /// The answer, or the error's text.
    fn into_consume_orderly_result(self) -> Result<ConsumeOrderlyResult, String>;
}

impl IntoConsumeOrderlyResult for ConsumeOrderlyResult {
    fn into_consume_orderly_result(self) -> Result<ConsumeOrderlyResult, String> {
        Ok(self)
    }
}

impl IntoConsumeOrderlyResult for () {
    fn into_consume_orderly_result(self) -> Result<ConsumeOrderlyResult, String> {
        Ok(ConsumeOrderlyResult::Success)
    }
}

impl<T: IntoConsumeOrderlyResult, E: fmt::Display> IntoConsumeOrderlyResult for Result<T, E> {
    fn into_consume_orderly_result(self) -> Result<ConsumeOrderlyResult, String> {
        self.map_err(|error| error.to_string())?.into_consume_orderly_result()
    }
}

type Answer<R> = Pin<Box<dyn Future<Output = Result<R, String>> + Send>>;
/// A handler without its types.
pub(crate) type Call<R> = Arc<dyn Fn(Vec<MessageExt>) -> Answer<R> + Send + Sync>;

/// The application's handler, of either kind. Cheap to clone.
#[derive(Clone)]
pub(crate) enum Handler {
    Concurrent(Call<ConsumeResult>),
    Orderly(Call<ConsumeOrderlyResult>),
}

impl Handler {
    pub(crate) fn concurrent<F, A>(handle: F) -> Self
    where
        F: Fn(Vec<MessageExt>) -> A + Send + Sync + 'static,
        A: Future<Output: IntoConsumeResult> + Send + 'static,
    {
        Self::Concurrent(Arc::new(move |messages| {
            let answer = handle(messages);
            Box::pin(async move { answer.await.into_consume_result() })
        }))
    }

    pub(crate) fn orderly<F, A>(handle: F) -> Self
    where
        F: Fn(Vec<MessageExt>) -> A + Send + Sync + 'static,
        A: Future<Output: IntoConsumeOrderlyResult> + Send + 'static,
    {
        Self::Orderly(Arc::new(move |messages| {
            let answer = handle(messages);
            Box::pin(async move { answer.await.into_consume_orderly_result() })
        }))
    }

    pub(crate) fn is_orderly(&self) -> bool {
        matches!(self, Self::Orderly(_))
    }
}

/// Why a handler did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It answered an error.
    Error(String),
    /// It panicked.
    Panic(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(text) => f.write_str(text),
            Self::Panic(text) => write!(f, "panic: {text}"),
        }
    }
}

/// Calls a handler; a panic in it ends here.
pub(crate) async fn call<R>(handle: &Call<R>, messages: Vec<MessageExt>) -> Result<R, Failure> {
    match catch_unwind(AssertUnwindSafe(|| handle(messages))) {
        Ok(answer) => CatchPanic { answer: Some(answer) }.await,
        Err(payload) => Err(Failure::Panic(panic_text(&*payload))),
    }
}

fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no text".to_owned())
}

/// A handler's future that answers a panic as an error. What panicked is dropped and not polled again.
struct CatchPanic<R> {
    answer: Option<Answer<R>>,
}

impl<R> Future for CatchPanic<R> {
    type Output = Result<R, Failure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(answer) = &mut self.answer else {
            return Poll::Ready(Err(Failure::Error("polled after its end".to_owned())));
        };
        let answer = match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(answer)) => answer.map_err(Failure::Error),
            Err(payload) => Err(Failure::Panic(panic_text(&*payload))),
        };
        self.answer = None;
        Poll::Ready(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answer_of<F, A>(handle: F) -> Result<ConsumeResult, Failure>
    where
        F: Fn(Vec<MessageExt>) -> A + Send + Sync + 'static,
        A: Future<Output: IntoConsumeResult> + Send + 'static,
    {
        match Handler::concurrent(handle) {
            Handler::Concurrent(handle) => call(&handle, Vec::new()).await,
            Handler::Orderly(_) => unreachable!(),
        }
    }

    /// Handlers may answer a status, nothing, or a result; errors and panics are failures with a text.
    #[tokio::test]
    async fn answers_of_all_kinds() {
        use ConsumeResult::{Success, SuccessOf};
        assert_eq!(answer_of(|_| async {}).await, Ok(Success));
        assert_eq!(answer_of(|_| async { SuccessOf(2) }).await, Ok(SuccessOf(2)));
        assert_eq!(answer_of(|_| async { Ok::<_, String>(Success) }).await, Ok(Success));
        assert_eq!(
            answer_of(|_| async { Err::<(), _>("no stock") }).await,
            Err(Failure::Error("no stock".into()))
        );
        assert_eq!(
            answer_of(|_| async {
                if true {
                    panic!("late {}", 1)
                }
            })
            .await,
            Err(Failure::Panic("late 1".into()))
        );
        let early = |messages: Vec<MessageExt>| {
            assert!(!messages.is_empty(), "early");
            async {}
        };
        assert_eq!(answer_of(early).await, Err(Failure::Panic("early".into())));
    }
}
