//! What the application does with messages, and what it answers.
//!
//! A listener that panics has failed, like one that answers an error; the consumer goes on.
//! Java counterparts: `MessageListenerConcurrently`, `MessageListenerOrderly` and their statuses.

use std::any::Any;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;

use super::deliveries::Inbox;
use crate::message::MessageExt;

/// What a concurrent listener says about its messages. Java: `ConsumeConcurrentlyStatus` with the two settings
/// of `ConsumeConcurrentlyContext`.
///
/// `()` converts into `Success`, and a `Result`'s error into `Failed`, so that closures may answer those.
///
/// ```
/// use ferrocket::{ConsumeResult, MessageExt};
///
/// fn book(message: &MessageExt) -> ConsumeResult {
///     match message.property("amount").map(str::parse::<u64>) {
///         Some(Ok(amount)) => ConsumeResult::Success,
///         Some(Err(error)) => ConsumeResult::Failed(error.to_string()),
///         // Of no use, however often it comes: a dead letter at once.
///         None => ConsumeResult::ReconsumeAfterLevel(-1),
///     }
/// }
/// // What closures may answer as well.
/// assert_eq!(ConsumeResult::from(()), ConsumeResult::Success);
/// assert_eq!(ConsumeResult::from(Err::<(), _>("no stock")), ConsumeResult::Failed("no stock".into()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConsumeResult {
    /// All are done.
    Success,
    /// The first `n` of the batch are done, the others come again (Java's `ackIndex` is one less).
    SuccessOf(usize),
    /// The first `done` of the batch are done, the others come again after the broker's delay of this level, as with
    /// [`ReconsumeAfterLevel`](Self::ReconsumeAfterLevel).
    SuccessOfThenLevel {
        /// How many are done (Java's `ackIndex` is one less).
        done: usize,
        /// Java's `delayLevelWhenNextConsume`.
        level: i32,
    },
    /// All come again later; the broker chooses the delay by the number of attempts.
    ReconsumeLater,
    /// All come again after the broker's delay of this level (1 to 18 by default); -1 sends them to the dead
    /// letters at once.
    ReconsumeAfterLevel(i32),
    /// All come again later, for this reason: it is logged, and told to administrators who have a message
    /// consumed directly. Java: an exception.
    Failed(String),
}

/// What an orderly listener says about its messages. Java: `ConsumeOrderlyStatus`.
///
/// `()` converts into `Success`, and a `Result`'s error into `Failed`, so that closures may answer those.
///
/// ```
/// use std::time::Duration;
///
/// use ferrocket::ConsumeOrderlyResult;
///
/// /// The queue waits for a database that is away for a moment.
/// fn answer(booked: std::io::Result<()>) -> ConsumeOrderlyResult {
///     match booked {
///         Ok(()) => ConsumeOrderlyResult::Success,
///         Err(_) => ConsumeOrderlyResult::SuspendCurrentQueueFor(Duration::from_secs(5)),
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// The same after the usual pause, for this reason: it is logged, and told to administrators who have a
    /// message consumed directly. Java: an exception.
    Failed(String),
}

impl From<()> for ConsumeResult {
    fn from((): ()) -> Self {
        Self::Success
    }
}

impl<T: Into<Self>, E: fmt::Display> From<Result<T, E>> for ConsumeResult {
    fn from(result: Result<T, E>) -> Self {
        result.map_or_else(|error| Self::Failed(error.to_string()), Into::into)
    }
}

impl From<()> for ConsumeOrderlyResult {
    fn from((): ()) -> Self {
        Self::Success
    }
}

impl<T: Into<Self>, E: fmt::Display> From<Result<T, E>> for ConsumeOrderlyResult {
    fn from(result: Result<T, E>) -> Self {
        result.map_or_else(|error| Self::Failed(error.to_string()), Into::into)
    }
}

/// Consumes messages in any order, many calls at once. Closures that take messages and answer a future of
/// anything that converts into a [`ConsumeResult`] are such listeners.
///
/// Implement it with the attribute of the crate `async-trait`; see
/// [`PushConsumerBuilder::listener`](crate::PushConsumerBuilder::listener).
///
/// ```
/// use async_trait::async_trait;
/// use ferrocket::{ConsumeResult, MessageExt, MessageListenerConcurrently};
///
/// struct Count(std::sync::atomic::AtomicUsize);
///
/// #[async_trait]
/// impl MessageListenerConcurrently for Count {
///     async fn consume_message(&self, messages: Vec<MessageExt>) -> ConsumeResult {
///         self.0.fetch_add(messages.len(), std::sync::atomic::Ordering::Relaxed);
///         ConsumeResult::Success
///     }
/// }
/// ```
#[async_trait]
pub trait MessageListenerConcurrently: Send + Sync + 'static {
    /// Consumes messages of one queue: one, or up to
    /// [`consume_message_batch_max_size`](crate::PushConsumerBuilder::consume_message_batch_max_size).
    /// A panic is a [`ConsumeResult::Failed`].
    async fn consume_message(&self, messages: Vec<MessageExt>) -> ConsumeResult;
}

/// Consumes the messages of each queue in order, one call at a time for each queue. Closures that take messages
/// and answer a future of anything that converts into a [`ConsumeOrderlyResult`] are such listeners.
///
/// Implement it with the attribute of the crate `async-trait`; see
/// [`PushConsumerBuilder::orderly_listener`](crate::PushConsumerBuilder::orderly_listener).
///
/// ```
/// use async_trait::async_trait;
/// use ferrocket::{ConsumeOrderlyResult, MessageExt, MessageListenerOrderly};
///
/// struct Replica;
///
/// #[async_trait]
/// impl MessageListenerOrderly for Replica {
///     async fn consume_message(&self, changes: Vec<MessageExt>) -> ConsumeOrderlyResult {
///         for change in &changes {
///             println!("{} of queue {}", change.queue_offset, change.queue_id);
///         }
///         ConsumeOrderlyResult::Success
///     }
/// }
/// ```
#[async_trait]
pub trait MessageListenerOrderly: Send + Sync + 'static {
    /// Consumes messages of one queue: one, or up to
    /// [`consume_message_batch_max_size`](crate::PushConsumerBuilder::consume_message_batch_max_size).
    /// A panic is a [`ConsumeOrderlyResult::Failed`].
    async fn consume_message(&self, messages: Vec<MessageExt>) -> ConsumeOrderlyResult;
}

#[async_trait]
impl<F, A> MessageListenerConcurrently for F
where
    F: Fn(Vec<MessageExt>) -> A + Send + Sync + 'static,
    A: Future<Output: Into<ConsumeResult>> + Send + 'static,
{
    async fn consume_message(&self, messages: Vec<MessageExt>) -> ConsumeResult {
        self(messages).await.into()
    }
}

#[async_trait]
impl<F, A> MessageListenerOrderly for F
where
    F: Fn(Vec<MessageExt>) -> A + Send + Sync + 'static,
    A: Future<Output: Into<ConsumeOrderlyResult>> + Send + 'static,
{
    async fn consume_message(&self, messages: Vec<MessageExt>) -> ConsumeOrderlyResult {
        self(messages).await.into()
    }
}

/// The application's listener, of either kind. Cheap to clone.
#[derive(Clone)]
pub(crate) enum Listener {
    Concurrently(Arc<dyn MessageListenerConcurrently>),
    Orderly(Arc<dyn MessageListenerOrderly>),
    /// None: the application takes deliveries.
    Deliveries(Arc<Inbox>),
}

impl Listener {
    pub(crate) fn is_orderly(&self) -> bool {
        matches!(self, Self::Orderly(_))
    }
}

/// Has a concurrent listener consume messages; a panic in it ends here.
pub(crate) async fn concurrently(
    listener: &dyn MessageListenerConcurrently,
    messages: Vec<MessageExt>,
) -> ConsumeResult {
    // In a future of its own, lest an implementation panics before it gives us one.
    catch_panic(async { listener.consume_message(messages).await }).await.into()
}

/// Has an orderly listener consume messages; a panic in it ends here.
pub(crate) async fn orderly(
    listener: &dyn MessageListenerOrderly,
    messages: Vec<MessageExt>,
) -> ConsumeOrderlyResult {
    catch_panic(async { listener.consume_message(messages).await }).await.into()
}

/// What `answer` yields, or the text of its panic. After that it is dropped and not polled again.
pub(crate) async fn catch_panic<R>(answer: impl Future<Output = R>) -> Result<R, String> {
    let mut answer = pin!(answer);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context))) {
        Ok(answer) => answer.map(Ok),
        Err(payload) => Poll::Ready(Err(format!("panic: {}", panic_text(&*payload)))),
    })
    .await
}

fn panic_text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answer_of<F, A>(handle: F) -> ConsumeResult
    where
        F: Fn(Vec<MessageExt>) -> A + Send + Sync + 'static,
        A: Future<Output: Into<ConsumeResult>> + Send + 'static,
    {
        concurrently(&handle, Vec::new()).await
    }

    /// Closures may answer a status, nothing, or a result; errors and panics are failures with a text.
    #[tokio::test]
    async fn answers_of_all_kinds() {
        use ConsumeResult::{Failed, Success, SuccessOf};
        assert_eq!(answer_of(|_| async {}).await, Success);
        assert_eq!(answer_of(|_| async { SuccessOf(2) }).await, SuccessOf(2));
        assert_eq!(answer_of(|_| async { Ok::<_, String>(SuccessOf(3)) }).await, SuccessOf(3));
        assert_eq!(answer_of(|_| async { Err::<(), _>("no stock") }).await, Failed("no stock".into()));
        let late = answer_of(|_| async {
            if true {
                panic!("late {}", 1)
            }
        });
        assert_eq!(late.await, Failed("panic: late 1".into()));
    }

    /// A listener that panics before it answers a future has failed, too.
    #[tokio::test]
    async fn early_panics() {
        let early = |messages: Vec<MessageExt>| {
            assert!(!messages.is_empty(), "early");
            async {}
        };
        assert_eq!(orderly(&early, Vec::new()).await, ConsumeOrderlyResult::Failed("panic: early".into()));
    }
}
