//! Where a send goes and how long it may take: what can be said about one send alone.
//!
//! Java counterparts: the forms of `DefaultMQProducer.send` and `sendOneway` with a queue, with a
//! `MessageQueueSelector` and with a timeout.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ferrocket_protocol::body::message_queue::MessageQueue;

use super::{Journey, Parcel, PendingSend, Producer, Shared, hash_index};
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::message::Message;
use crate::send_result::SendResult;
use crate::validate::{MS_MAX, within};

/// One send with a queue or a timeout of its own. Obtained from [`Producer::to`], [`Producer::ordered`],
/// [`Producer::with`] and [`Producer::within`]; each kind of send that a producer has can follow.
///
/// A message with a queue of its own is tried once: a second attempt might store it behind later ones. It is never
/// part of an automatic batch, nor is one with a timeout of its own.
///
/// Messages queued one after the other for the same queue are in line for its broker in this order. Ferrocket's broker
/// stores them in it; Java's from 4.9.1 on stores with up to four threads, and keeps the order of what is under way together
/// only with `sendMessageThreadPoolNums=1`: else await each receipt before the next send. When one of them fails, those that were queued after it may be stored all the same.
///
/// ```
/// use std::time::Duration;
///
/// use ferrocket::Message;
///
/// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
/// # let producer = client.producer("order-service").start().await?;
/// let mut receipts = Vec::new();
/// for step in ["created", "paid", "shipped"] {
///     receipts.push(producer.ordered("order-7").enqueue(Message::new("Orders", step)).await?);
/// }
/// for receipt in receipts {
///     println!("{}", receipt.await?);
/// }
/// let hurry = producer.within(Duration::from_secs(1));
/// # let hurry = producer.within(Duration::from_secs(60));
/// println!("{}", hurry.send(Message::new("Orders", "cancelled")).await?);
/// # Ok(()) }).unwrap();
/// ```
#[must_use = "nothing is sent yet"]
pub struct Sending<'a> {
    shared: &'a Arc<Shared>,
    terms: Terms<'a>,
}

/// What one send is told.
pub(super) struct Terms<'a> {
    pub(super) destination: Destination<'a>,
    pub(super) timeout: Duration,
}

type Select<'a> = dyn FnOnce(&[MessageQueue], &Message) -> Option<MessageQueue> + Send + 'a;

/// The queue of a message.
pub(super) enum Destination<'a> {
    /// The producer's choice.
    Any,
    To(&'a MessageQueue),
    /// That of all messages with this key.
    Ordered(&'a str),
    With(Box<Select<'a>>),
}

impl Destination<'_> {
    pub(super) fn is_any(&self) -> bool {
        matches!(self, Self::Any)
    }
}

impl Journey {
    pub(super) fn bind(&mut self, destination: Destination<'_>, client: &Client) -> Result<()> {
        match destination {
            Destination::Any => Ok(()),
            Destination::To(queue) => self.select(client, |_, _| Some(queue.clone())),
            Destination::Ordered(key) => {
                self.select(client, |queues, _| queues.get(hash_index(key, queues.len())?).cloned())
            }
            Destination::With(select) => {
                let selected = self.select(client, select);
                // The program may have taken its time.
                self.look();
                selected
            }
        }
    }
}

impl Producer {
    /// What is sent to this queue.
    ///
    /// ```
    /// use ferrocket::Message;
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let producer = client.producer("order-service").start().await?;
    /// # let sent = producer.send(Message::new("Orders", "the first")).await?;
    /// let queue = producer.fetch_queues("Orders").await?.remove(2);
    /// let pending = producer.to(&queue).enqueue(Message::new("Orders", "paid")).await?;
    /// assert_eq!(pending.await?.message_queue, queue);
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn to<'a>(&'a self, queue: &'a MessageQueue) -> Sending<'a> {
        self.sending(Destination::To(queue))
    }

    /// What is sent to the queue that all messages with this key go to, so that they keep their order: the queue
    /// that Java's `SelectMessageQueueByHash` picks for the same text.
    ///
    /// ```
    /// use ferrocket::Message;
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let producer = client.producer("order-service").start().await?;
    /// let steps = ["created", "paid"].map(|step| Message::new("Orders", step));
    /// let sent = producer.ordered("o-42").send_batch(steps.into()).await?;
    /// println!("both in {}", sent.message_queue);
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn ordered<'a>(&'a self, key: &'a str) -> Sending<'a> {
        self.sending(Destination::Ordered(key))
    }

    /// What is sent to the queue that `select` picks among those that can be written, which are ordered by broker
    /// and queue id. Of a batch it sees the first message. Java: `MessageQueueSelector`.
    ///
    /// ```
    /// use ferrocket::Message;
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let producer = client.producer("order-service").start().await?;
    /// // All orders of a shop in one queue.
    /// let message = Message::new("Orders", "paid").property("shop", "7");
    /// let by_shop = producer.with(|queues, message| {
    ///     let shop: usize = message.property_value("shop")?.parse().ok()?;
    ///     queues.get(shop % queues.len()).cloned()
    /// });
    /// by_shop.send_oneway(message).await?;
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn with<'a>(
        &'a self,
        select: impl FnOnce(&[MessageQueue], &Message) -> Option<MessageQueue> + Send + 'a,
    ) -> Sending<'a> {
        self.sending(Destination::With(Box::new(select)))
    }

    /// What is sent with this timeout in place of the producer's [send
    /// timeout](super::ProducerBuilder::send_msg_timeout).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use ferrocket::Message;
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let producer = client.producer("order-service").start().await?;
    /// let hurry = Duration::from_millis(500);
    /// # let hurry = Duration::from_secs(60);
    /// let sent = producer.within(hurry).send(Message::new("Orders", "paid")).await?;
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn within(&self, timeout: Duration) -> Sending<'_> {
        self.sending(Destination::Any).within(timeout)
    }

    pub(super) fn sending<'a>(&'a self, destination: Destination<'a>) -> Sending<'a> {
        let shared = &self.shared;
        Sending { shared, terms: Terms { destination, ..shared.terms() } }
    }
}

impl Sending<'_> {
    /// The same within this time, in place of the producer's send timeout: at least 1 ms.
    pub fn within(mut self, timeout: Duration) -> Self {
        self.terms.timeout = timeout;
        self
    }

    /// As [`Producer::send`].
    ///
    /// # Errors
    /// Its, and all with the messages in [`Error::unsent`]: [`ErrorKind::Config`] for a timeout that is none, a
    /// negative queue id and when a selector picks none; [`ErrorKind::InvalidMessage`] when queue and message name
    /// different topics.
    pub async fn send(self, message: Message) -> Result<SendResult> {
        let parcel = self.check(Parcel::single(message, &self.shared.packing, &self.shared.client)?)?;
        self.shared.deliver(parcel, self.terms).await
    }

    /// As [`Producer::enqueue`].
    ///
    /// # Errors
    /// Its, and those of [`send`](Self::send). With a queue of its own, [`ErrorKind::Connect`] when its broker cannot
    /// be reached.
    pub async fn enqueue(self, message: Message) -> Result<PendingSend> {
        let parcel = self.check(Parcel::single(message, &self.shared.packing, &self.shared.client)?)?;
        self.shared.enqueue(parcel, self.terms).await
    }

    /// As [`Producer::send_oneway`].
    ///
    /// # Errors
    /// Its, and those of [`send`](Self::send).
    pub async fn send_oneway(self, message: Message) -> Result<()> {
        let parcel = self.check(Parcel::single(message, &self.shared.packing, &self.shared.client)?)?;
        self.shared.send_oneway(parcel, self.terms).await
    }

    /// As [`Producer::send_batch`].
    ///
    /// # Errors
    /// Its, and those of [`send`](Self::send).
    pub async fn send_batch(self, messages: Vec<Message>) -> Result<SendResult> {
        let parcel = self.check(Parcel::batch(messages, &self.shared.packing, &self.shared.client)?)?;
        self.shared.deliver(parcel, self.terms).await
    }

    /// As [`Producer::enqueue_batch`].
    ///
    /// # Errors
    /// Its, and those of [`enqueue`](Self::enqueue).
    pub async fn enqueue_batch(self, messages: Vec<Message>) -> Result<PendingSend> {
        let parcel = self.check(Parcel::batch(messages, &self.shared.packing, &self.shared.client)?)?;
        self.shared.enqueue(parcel, self.terms).await
    }

    /// Gives the messages back with the error when they cannot go where they are told to, or in no time.
    fn check(&self, parcel: Parcel) -> Result<Parcel> {
        let Terms { destination, timeout } = &self.terms;
        let checked = match (destination, parcel.message()) {
            (Destination::To(queue), Some(message))
                if self.shared.client.wrapped(message.topic())
                    != self.shared.client.wrapped(&queue.topic) =>
            {
                Err(Error::new(ErrorKind::InvalidMessage, "message's topic not equal mq's topic"))
            }
            _ => within("timeout (ms)", timeout.as_millis(), 1, MS_MAX),
        };
        match checked {
            Ok(()) => Ok(parcel),
            Err(error) => Err(error.with_unsent(parcel.into_messages())),
        }
    }
}

impl fmt::Debug for Sending<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending").field("timeout", &self.terms.timeout).finish_non_exhaustive()
    }
}
