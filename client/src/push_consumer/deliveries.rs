//! Messages as a stream of deliveries, each answered by whoever took it.
//!
//! ```text
//! pull -> process queue -> inbox -> next() -> Delivery -> ack           out of the process queue, committed
//!                                                     -> retry_later    given back to the broker
//!                                                     -> dropped        the same
//! ```
//!
//! No task waits for a delivery: what is in the program's hands is bounded by the thresholds of pulling.
//! Java has no counterpart.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_core::Stream;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

use super::concurrent::{self, Handed};
use super::listener::ConsumeResult;
use crate::client::Client;
use crate::consumer::{Assigned, Bell, Consumer, Sink};
use crate::message::MessageExt;
use crate::message_ids::now_ms;
use crate::push_consumer::Listener;

/// What waits for somebody to take it.
pub(crate) struct Inbox {
    /// Rung when there is something, and at the end.
    bell: Bell,
    /// Held for one look-up or change.
    state: Mutex<State>,
    /// Told when nothing is in anybody's hands any more.
    idle: Notify,
    /// Where messages are given back; a delivery may be dropped anywhere.
    runtime: Handle,
}

#[derive(Default)]
struct State {
    /// Not more than the process queues hold, and what administrators may have under way.
    waiting: VecDeque<Waiting>,
    /// Taken and not answered.
    taken: usize,
    closed: bool,
}

enum Waiting {
    /// A message of a process queue.
    Queued(Arc<Assigned>, i64),
    /// A message that an administrator sent.
    Direct(Box<MessageExt>, oneshot::Sender<ConsumeResult>),
}

impl Inbox {
    pub(crate) fn new(runtime: Handle) -> Self {
        Self { bell: Bell::default(), state: Mutex::default(), idle: Notify::new(), runtime }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, waiting: impl IntoIterator<Item = Waiting>) {
        let mut state = self.state();
        if !state.closed {
            state.waiting.extend(waiting);
        }
        drop(state);
        self.bell.ring();
    }

    /// Adds the messages with these offsets of a queue.
    pub(super) fn submit(&self, assigned: &Arc<Assigned>, offsets: &[i64]) {
        self.put(offsets.iter().map(|offset| Waiting::Queued(Arc::clone(assigned), *offset)));
    }

    /// Has whoever takes it consume one message on an administrator's behalf.
    pub(crate) async fn direct(&self, message: MessageExt) -> ConsumeResult {
        let (answer, answered) = oneshot::channel();
        self.put([Waiting::Direct(Box::new(message), answer)]);
        answered.await.unwrap_or(ConsumeResult::ReconsumeLater)
    }

    /// Throws away what nobody has taken, and ends the streams.
    pub(super) fn close(&self) {
        let thrown = {
            let mut state = self.state();
            state.closed = true;
            std::mem::take(&mut state.waiting)
        };
        drop(thrown);
        self.bell.ring();
    }

    /// Waits until everything taken is answered.
    pub(super) async fn idle(&self) {
        loop {
            let idle = self.idle.notified();
            if self.state().taken == 0 {
                return;
            }
            idle.await;
        }
    }

    /// What is next; `None` inside for the end.
    fn poll(&self, consumer: &Arc<Consumer>, context: &Context<'_>) -> Poll<Option<Delivery>> {
        self.bell.register(context);
        loop {
            let mut state = self.state();
            if state.closed {
                return Poll::Ready(None);
            }
            let Some(waiting) = state.waiting.pop_front() else { return Poll::Pending };
            // Counted before the end can look for it.
            state.taken += 1;
            drop(state);
            let taken = Taken(Arc::clone(consumer));
            let (message, ticket) = match waiting {
                Waiting::Direct(message, answer) => (*message, Ticket::Direct(answer)),
                Waiting::Queued(assigned, offset) => {
                    let started_ms = now_ms();
                    let message = assigned.process().start(&[offset], started_ms).pop();
                    // Settled or taken away meanwhile.
                    let Some(mut message) = message else { continue };
                    consumer.calls.client.unwrap_topics(std::slice::from_mut(&mut message));
                    let handed = Handed::new(consumer, std::slice::from_ref(&message), started_ms);
                    (message, Ticket::Queued { assigned, offset, handed })
                }
            };
            return Poll::Ready(Some(Delivery { message, ticket: Some((ticket, taken)) }));
        }
    }
}

fn inbox(consumer: &Consumer) -> Option<&Inbox> {
    match &consumer.sink {
        Sink::Push(pushed) => match &pushed.listener {
            Listener::Deliveries(inbox) => Some(inbox),
            Listener::Concurrently(_) | Listener::Orderly(_) => None,
        },
        Sink::Poll(_) => None,
    }
}

/// Counts a delivery out, however it ends.
struct Taken(Arc<Consumer>);

impl Drop for Taken {
    fn drop(&mut self) {
        let Some(inbox) = inbox(&self.0) else { return };
        let mut state = inbox.state();
        state.taken -= 1;
        if state.taken == 0 {
            inbox.idle.notify_waiters();
        }
    }
}

enum Ticket {
    Queued { assigned: Arc<Assigned>, offset: i64, handed: Handed },
    Direct(oneshot::Sender<ConsumeResult>),
}

/// One message and the duty to answer for it: [`ack`](Self::ack) or [`retry_later`](Self::retry_later).
///
/// Dropped without an answer, also by a panic or a cancelled task, it counts as `retry_later(0)`: nothing is lost,
/// and nothing is taken for done that is not. Derefs to its message.
///
/// ```
/// use ferrocket::{ConsumeFromWhere, Delivery, Message};
///
/// async fn book(order: Delivery) {
///     // An early return or a panic drops it: then it comes again.
///     match order.property("amount").and_then(|amount| amount.parse::<u64>().ok()) {
///         Some(amount) => println!("{}: {amount}", order.msg_id),
///         // Nobody can read it: a dead letter at once.
///         None => return order.retry_later(-1),
///     }
///     order.ack();
/// }
///
/// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
/// # let order = Message::new("Orders", "paid").property("amount", "42");
/// # let sent = client.producer("p").start().await?.send(order).await?;
/// # let billing = client.push_consumer("billing").subscribe("Orders", "*");
/// # let (consumer, mut orders) = billing.consume_from(ConsumeFromWhere::FirstOffset).deliveries().await?;
/// if let Some(order) = orders.next().await {
///     book(order).await;
/// }
/// # Ok(()) }).unwrap();
/// ```
#[must_use]
pub struct Delivery {
    message: MessageExt,
    /// Taken out by the answer.
    ticket: Option<(Ticket, Taken)>,
}

impl Delivery {
    /// The message.
    pub fn message(&self) -> &MessageExt {
        &self.message
    }

    /// It is done. Java: `CONSUME_SUCCESS`.
    pub fn ack(mut self) {
        self.answer(ConsumeResult::Success);
    }

    /// It comes again after the broker's delay of this level: 1 to 18 by default, 0 lets the broker choose by the
    /// number of attempts, -1 makes it a dead letter at once. Java: `RECONSUME_LATER` with
    /// `delayLevelWhenNextConsume`.
    ///
    /// ```
    /// use ferrocket::{ConsumeFromWhere, Message};
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let sent = client.producer("p").start().await?.send(Message::new("Orders", "paid")).await?;
    /// # let billing = client.push_consumer("billing").subscribe("Orders", "*");
    /// # let (consumer, mut orders) = billing.consume_from(ConsumeFromWhere::FirstOffset).deliveries().await?;
    /// if let Some(order) = orders.next().await {
    ///     match order.reconsume_times {
    ///         0..3 => order.retry_later(2), // in five seconds
    ///         _ => order.retry_later(-1),   // a dead letter
    ///     }
    /// }
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn retry_later(mut self, level: i32) {
        self.answer(ConsumeResult::ReconsumeAfterLevel(level));
    }

    fn answer(&mut self, answer: ConsumeResult) {
        match self.ticket.take() {
            None => {}
            Some((Ticket::Direct(answered), _taken)) => {
                // The administrator may have given up.
                let _ = answered.send(answer);
            }
            Some((Ticket::Queued { assigned, offset, handed }, taken)) => {
                let consumer = Arc::clone(&taken.0);
                if answer == ConsumeResult::Success {
                    concurrent::done(&consumer, &assigned, &[offset], handed);
                } else if let Some(runtime) = inbox(&consumer).map(|inbox| inbox.runtime.clone()) {
                    runtime.spawn(async move {
                        concurrent::answered(&consumer, &assigned, &[offset], answer, handed).await;
                        drop(taken);
                    });
                }
            }
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.answer(ConsumeResult::ReconsumeLater);
    }
}

impl Deref for Delivery {
    type Target = MessageExt;

    fn deref(&self) -> &MessageExt {
        &self.message
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Delivery").field(&self.message).finish()
    }
}

/// The deliveries of a push consumer, see [`PushConsumerBuilder::deliveries`](super::PushConsumerBuilder::deliveries).
/// Clones take turns: each delivery goes to one of them.
///
/// ```
/// use ferrocket::{ConsumeFromWhere, Message};
///
/// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
/// # let sent = client.producer("p").start().await?.send(Message::new("Orders", "paid")).await?;
/// # let billing = client.push_consumer("billing").subscribe("Orders", "*");
/// # let (consumer, orders) = billing.consume_from(ConsumeFromWhere::FirstOffset).deliveries().await?;
/// // Four tasks share them.
/// for worker in 0..4 {
///     let mut orders = orders.clone();
///     tokio::spawn(async move {
///         while let Some(order) = orders.next().await {
///             println!("{worker}: {}", order.msg_id);
///             order.ack();
///         }
///     });
/// }
/// # Ok(()) }).unwrap();
/// ```
#[derive(Clone)]
#[must_use]
pub struct Deliveries {
    pub(super) consumer: Arc<Consumer>,
    /// Who takes deliveries uses the client.
    pub(super) _client: Client,
}

impl Deliveries {
    /// The next delivery; `None` after the shutdown. Giving up on the future loses nothing.
    pub async fn next(&mut self) -> Option<Delivery> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Stream for Deliveries {
    type Item = Delivery;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Delivery>> {
        inbox(&self.consumer).map_or(Poll::Ready(None), |inbox| inbox.poll(&self.consumer, context))
    }
}

impl fmt::Debug for Deliveries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deliveries").field("group", &&*self.consumer.calls.group).finish_non_exhaustive()
    }
}
