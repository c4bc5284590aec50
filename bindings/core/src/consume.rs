//! Consuming and transactions: what the client calls a handler for, the language takes out of an inbox.
//!
//! Deliveries are taken in batches and answered one by one. Where the client waits for an answer, the language gets
//! a [`Question`]. Whatever is dropped unanswered comes again later: nothing counts as done that nobody said was.

use ferrocket::{
    Client, ConsumeOrderlyResult, Events, LocalTransaction, LocalTransactionState, Message, MessageExt,
    ProducerBuilder, PushConsumer, PushConsumerBuilder, Result, TransactionProducer,
    TransactionProducerBuilder, TransactionSendResult,
};
use tokio::sync::oneshot;

use crate::inbox::{Inbox, StreamInbox};
use crate::runtime::runtime;

/// The deliveries of a concurrent consumer, bounded by its thresholds of pulling.
pub type Deliveries = StreamInbox<ferrocket::Deliveries>;

/// The events of a client.
pub type Watched = StreamInbox<Events>;

/// Starts a concurrent consumer whose deliveries are taken in batches. Each is answered by itself: several threads or
/// tasks of the language may have some.
///
/// # Errors
/// As [`PushConsumerBuilder::deliveries`].
pub async fn deliveries(
    builder: PushConsumerBuilder,
    wake: impl Fn() + Send + Sync + 'static,
) -> Result<(PushConsumer, Deliveries)> {
    let (consumer, deliveries) = builder.deliveries().await?;
    Ok((consumer, StreamInbox::new(deliveries, wake)))
}

/// What happens in a client from now on.
///
/// # Errors
/// As [`runtime`].
pub fn events(client: &Client, wake: impl Fn() + Send + Sync + 'static) -> Result<Watched> {
    let _context = runtime()?.enter();
    Ok(StreamInbox::new(client.events(), wake))
}

/// Something that a task of the client waits for an answer to.
#[derive(Debug)]
#[must_use]
pub struct Question<Q, A> {
    /// What it is about.
    pub subject: Q,
    answer: oneshot::Sender<A>,
}

impl<Q, A> Question<Q, A> {
    /// Answers; `false` when nobody waits any more, because the consumer or producer was shut down.
    pub fn answer(self, answer: A) -> bool {
        self.answer.send(answer).is_ok()
    }
}

/// Puts a question into the inbox and waits; `None` when it was dropped unanswered.
async fn ask<Q, A>(inbox: &Inbox<Question<Q, A>>, subject: Q) -> Option<A> {
    let (answer, answered) = oneshot::channel();
    inbox.push(Question { subject, answer });
    answered.await.ok()
}

/// Messages of one queue in its order; the queue waits for the answer.
pub type OrderlyBatch = Question<Vec<MessageExt>, ConsumeOrderlyResult>;

/// Has an orderly consumer's batches go into this inbox, one of each queue at most and together not more than its
/// handlers at work. Dropped unanswered, a batch comes again after the consumer's pause.
pub fn orderly(builder: PushConsumerBuilder, inbox: &Inbox<OrderlyBatch>) -> PushConsumerBuilder {
    let inbox = inbox.clone();
    builder.on_batch_orderly(move |messages| {
        let inbox = inbox.clone();
        async move { ask(&inbox, messages).await.unwrap_or(ConsumeOrderlyResult::SuspendCurrentQueueAMoment) }
    })
}

/// What the language says about a transaction: its state, or why it cannot say.
pub type TransactionAnswer = Result<LocalTransactionState, String>;

/// A broker asks what became of a transaction.
pub type Check = Question<MessageExt, TransactionAnswer>;

/// The local work of a transaction is to be done.
pub type LocalWork = Question<LocalTransaction, TransactionAnswer>;

/// Turns to a producer of transactional messages whose checks go into this inbox, as many at once as the producer
/// may have. Dropped unanswered, the broker asks again.
pub fn on_check(builder: ProducerBuilder, inbox: &Inbox<Check>) -> TransactionProducerBuilder {
    let inbox = inbox.clone();
    builder.check_local_transaction(move |message| {
        let inbox = inbox.clone();
        async move { ask(&inbox, message).await.unwrap_or_else(unanswered) }
    })
}

/// Sends a message in a transaction whose local work goes into this inbox, one for each call that is under way.
/// Dropped unanswered, the broker will ask.
///
/// # Errors
/// As [`TransactionProducer::send_in_transaction`].
pub async fn send_in_transaction(
    producer: &TransactionProducer,
    message: Message,
    inbox: &Inbox<LocalWork>,
) -> Result<TransactionSendResult> {
    producer
        .send_in_transaction(message, |local| async { ask(inbox, local).await.unwrap_or_else(unanswered) })
        .await
}

fn unanswered() -> TransactionAnswer {
    Err("nobody answered".to_owned())
}
