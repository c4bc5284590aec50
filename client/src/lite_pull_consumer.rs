//! A consumer that is asked for messages, while pulling goes on behind it.
//!
//! ```text
//! builder.rs   settings, and the start
//! polls.rs     hands messages out, queue by queue in turn, and knows how far that went
//! ```
//!
//! Dividing queues, pulling them, and storing offsets are those of every consumer, in `consumer`.
//! Java counterparts: `DefaultLitePullConsumer`, `DefaultLitePullConsumerImpl`, `AssignedMessageQueue`.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use ferrocket_protocol::body::message_queue::MessageQueue;
use futures_core::Stream;

use crate::client::Client;
use crate::consumer::{Assigned, Command, Consumer, Sink};
use crate::error::{Error, Result};
use crate::message::MessageExt;
use crate::message_ids::ms_of;
use crate::selector::MessageSelector;
use crate::validate::{check_topic, config};

mod builder;
mod polls;

pub use builder::LitePullConsumerBuilder;
pub(crate) use polls::Polls;

/// A running consumer that is polled for messages. Cheap to clone; one task should poll at a time, see
/// [`poll`](Self::poll). Java: `DefaultLitePullConsumer`.
///
/// Dropping it does not stop it while something else of its [`Client`] is there: [`LitePullConsumer::shutdown`] or
/// [`shutdown`](Client::shutdown) of its client does.
///
/// ```
/// use std::time::Duration;
///
/// use ferrocket::{ConsumeFromWhere, Message};
///
/// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
/// # let sent = client.producer("p").start().await?.send(Message::new("Orders", "paid")).await?;
/// let consumer = client
///     .lite_pull_consumer("audit")
///     .subscribe("Orders", "*")
///     .consume_from(ConsumeFromWhere::FirstOffset)
///     .auto_commit(false)
///     .start()
///     .await?;
/// let messages = consumer.poll(Duration::from_secs(30)).await?;
/// assert_eq!(&messages[0].body[..], b"paid");
/// consumer.commit().await?;
/// # Ok(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct LitePullConsumer {
    consumer: Arc<Consumer>,
    /// Who has a consumer uses the client.
    _client: Client,
}

impl LitePullConsumer {
    /// The group. Java: `getConsumerGroup`.
    pub fn group(&self) -> &str {
        &self.consumer.calls.group
    }

    /// The queues this consumer pulls at the moment, ordered by topic, broker and number. Java: `assignment`.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let consumer = client.lite_pull_consumer("audit").subscribe("Orders", "*").start().await?;
    /// for queue in consumer.assignment() {
    ///     println!("{queue}: {:?}", consumer.committed(&queue).await?);
    /// }
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn assignment(&self) -> Vec<MessageQueue> {
        self.client().bare_queues(self.consumer.queues().keys())
    }

    /// Subscribes to another topic, or to the same by another selector. Java: `subscribe`.
    ///
    /// ```
    /// use ferrocket::MessageSelector;
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// let consumer = client.lite_pull_consumer("audit").subscribe("Orders", "*").start().await?;
    /// consumer.subscribe("Refunds", "*").await?;
    /// // From now on only these of the first topic.
    /// consumer.subscribe("Orders", MessageSelector::by_tag("vip || gold")).await?;
    /// consumer.unsubscribe("Refunds");
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for a name or selector that cannot work, and after
    /// [`assign`](Self::assign); [`ErrorKind::Closed`](crate::ErrorKind::Closed) after the shutdown.
    pub async fn subscribe(&self, topic: &str, selector: impl Into<MessageSelector>) -> Result<()> {
        if self.consumer.by_hand().is_some() {
            return Err(exclusive());
        }
        self.consumer.subscribe(topic, &selector.into()).await
    }

    /// Gives a topic up; its queues are released with the next division, which follows at once. Java:
    /// `unsubscribe`.
    pub fn unsubscribe(&self, topic: &str) {
        self.consumer.unsubscribe(topic);
    }

    /// Pulls exactly these queues from now on, whoever else is in the group. Returns when those that could be
    /// reached are [assigned](Self::assignment); the others follow. With automatic commits what was handed out
    /// before counts as done. Java: `assign`.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let sent = client.producer("p").start().await?.send(ferrocket::Message::new("Orders", "paid")).await?;
    /// let consumer = client.lite_pull_consumer("export").start().await?;
    /// let queues = consumer.fetch_queues("Orders").await?;
    /// consumer.assign(queues.clone()).await?;
    /// assert_eq!(consumer.assignment(), queues);
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for no queues, and for a consumer with subscriptions;
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) after the shutdown.
    pub async fn assign(&self, queues: impl IntoIterator<Item = MessageQueue>) -> Result<()> {
        let queues = chosen(self.client(), queues)?;
        {
            let mut by_hand = self.consumer.by_hand();
            if by_hand.is_none() && !self.consumer.subscriptions().is_empty() {
                return Err(exclusive());
            }
            *by_hand = Some(queues);
        }
        self.done_before();
        self.consumer.ask(|done| Command::Divide { done }).await
    }

    /// The next messages, all of one queue and in its order, at most
    /// [`pull_batch_size`](LitePullConsumerBuilder::pull_batch_size); none when `timeout` passed without any.
    /// Queues take turns. Java: `poll`.
    ///
    /// With automatic commits (the default) a poll says that the messages of all polls before it are done: a
    /// program that polls from several tasks should commit by itself. Giving up on the future loses nothing.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// # async fn run(client: ferrocket::Client) -> ferrocket::Result<()> {
    /// let consumer = client.lite_pull_consumer("audit").subscribe("Orders", "*").start().await?;
    /// loop {
    ///     for message in consumer.poll(Duration::from_secs(5)).await? {
    ///         println!("{}: {} bytes", message.msg_id, message.body.len());
    ///     }
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) after the shutdown. Brokers that do not answer are
    /// logged and tried again.
    pub async fn poll(&self, timeout: Duration) -> Result<Vec<MessageExt>> {
        self.done_before();
        let max = self.consumer.settings.pull_batch_size.unsigned_abs() as usize;
        let messages = poll_fn(|context| self.poll_messages(context, max));
        match tokio::time::timeout(timeout, messages).await {
            Ok(messages) => messages.ok_or_else(|| Error::closed("the consumer")),
            Err(_) => Ok(Vec::new()),
        }
    }

    /// The messages as a stream, one by one. With automatic commits, asking for a message says that those before
    /// it are done. It ends with the consumer.
    ///
    /// ```no_run
    /// # async fn run(consumer: ferrocket::LitePullConsumer) {
    /// let mut messages = consumer.stream();
    /// while let Some(message) = messages.next().await {
    ///     println!("{}: {} bytes", message.msg_id, message.body.len());
    /// }
    /// # }
    /// ```
    pub fn stream(&self) -> LitePullStream {
        LitePullStream { consumer: self.clone() }
    }

    /// What is there, or later; `None` after the shutdown.
    fn poll_messages(&self, context: &Context<'_>, max: usize) -> Poll<Option<Vec<MessageExt>>> {
        let polls = self.polls();
        polls.bell.register(context);
        if self.consumer.stop.is_raised() {
            return Poll::Ready(None);
        }
        match polls.take(&self.consumer, max) {
            messages if messages.is_empty() => Poll::Pending,
            mut messages => {
                self.client().unwrap_topics(&mut messages);
                Poll::Ready(Some(messages))
            }
        }
    }

    /// Automatic commits: what was handed out is done.
    fn done_before(&self) {
        if self.consumer.settings.auto_commit {
            self.polls().commit(&self.consumer);
        }
    }

    fn client(&self) -> &Client {
        &self.consumer.calls.client
    }

    /// A queue as the cluster calls it: all that follows knows it by that name.
    fn wired<'a>(&self, queue: &'a MessageQueue) -> Cow<'a, MessageQueue> {
        self.client().wired_queue(queue)
    }

    fn polls(&self) -> &Polls {
        match &self.consumer.sink {
            Sink::Poll(polls) => polls,
            Sink::Push(_) => unreachable!("built with polls"),
        }
    }

    /// Goes on at this offset of a queue; messages of it in memory are thrown away. What the group has stored
    /// changes with the next commit. Java: `seek`.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use ferrocket::Message;
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let producer = client.producer("p").start().await?;
    /// # let queue = producer.send_ordered(Message::new("Orders", "o-42"), "k").await?.message_queue;
    /// # let next = producer.send_ordered(Message::new("Orders", "o-43"), "k").await?.queue_offset;
    /// let consumer = client.lite_pull_consumer("export").start().await?;
    /// consumer.assign([queue.clone()]).await?;
    /// consumer.seek(&queue, next).await?;
    /// assert_eq!(&consumer.poll(Duration::from_secs(30)).await?[0].body[..], b"o-43");
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for a queue that is not assigned, and an offset that it
    /// does not have; whatever keeps the broker from telling its offsets.
    pub async fn seek(&self, queue: &MessageQueue, offset: i64) -> Result<()> {
        let queue = &*self.wired(queue);
        let (min, max) = (self.begin(queue).await?, self.end(queue).await?);
        if !(min..=max).contains(&offset) {
            return Err(config(format!(
                "Seek offset illegal, seek offset = {offset}, min offset = {min}, max offset = {max}"
            )));
        }
        self.seek_now(queue, offset).await
    }

    /// Goes on at the first message that the queue still has. Java: `seekToBegin`.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use ferrocket::Message;
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let sent = client.producer("p").start().await?.send(Message::new("Orders", "o-42")).await?;
    /// # let consumer = client.lite_pull_consumer("export").start().await?;
    /// # consumer.assign([sent.message_queue]).await?;
    /// // Everything once more.
    /// for queue in consumer.assignment() {
    ///     consumer.seek_to_begin(&queue).await?;
    /// }
    /// assert_eq!(&consumer.poll(Duration::from_secs(30)).await?[0].body[..], b"o-42");
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`seek`](Self::seek).
    pub async fn seek_to_begin(&self, queue: &MessageQueue) -> Result<()> {
        let queue = &*self.wired(queue);
        self.seek_now(queue, self.begin(queue).await?).await
    }

    /// Goes on behind the last message of the queue. Java: `seekToEnd`.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let sent = client.producer("p").start().await?.send(ferrocket::Message::new("Orders", "o-42")).await?;
    /// # let consumer = client.lite_pull_consumer("export").start().await?;
    /// # consumer.assign([sent.message_queue]).await?;
    /// // Only what comes from now on.
    /// for queue in consumer.assignment() {
    ///     consumer.seek_to_end(&queue).await?;
    /// }
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`seek`](Self::seek).
    pub async fn seek_to_end(&self, queue: &MessageQueue) -> Result<()> {
        let queue = &*self.wired(queue);
        self.seek_now(queue, self.end(queue).await?).await
    }

    /// Goes on at the first message stored at this time or later. Java: `offsetForTimestamp` and `seek`.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let sent = client.producer("p").start().await?.send(ferrocket::Message::new("Orders", "o-42")).await?;
    /// # let consumer = client.lite_pull_consumer("export").start().await?;
    /// # consumer.assign([sent.message_queue]).await?;
    /// let an_hour_ago = SystemTime::now() - Duration::from_secs(3600);
    /// for queue in consumer.assignment() {
    ///     consumer.seek_to_time(&queue, an_hour_ago).await?;
    /// }
    /// # assert_eq!(&consumer.poll(Duration::from_secs(30)).await?[0].body[..], b"o-42");
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`seek`](Self::seek).
    pub async fn seek_to_time(&self, queue: &MessageQueue, time: SystemTime) -> Result<()> {
        let queue = &*self.wired(queue);
        self.seek_now(queue, self.offset_for_timestamp(queue, time).await?).await
    }

    async fn begin(&self, queue: &MessageQueue) -> Result<i64> {
        self.assigned(queue)?;
        self.consumer.calls.min_offset(queue).await
    }

    async fn end(&self, queue: &MessageQueue) -> Result<i64> {
        self.assigned(queue)?;
        self.consumer.calls.max_offset(queue).await
    }

    async fn seek_now(&self, queue: &MessageQueue, offset: i64) -> Result<()> {
        self.assigned(queue)?;
        self.consumer.ask(|done| Command::Seek { queue: queue.clone(), offset, done }).await?
    }

    fn assigned(&self, queue: &MessageQueue) -> Result<Arc<Assigned>> {
        if let Some(assigned) = self.consumer.queues().get(queue) {
            return Ok(Arc::clone(assigned));
        }
        let queue = self.client().bare_queue(queue);
        let why = if self.consumer.by_hand().is_none() { ", may be rebalancing" } else { "" };
        Err(config(format!("The message queue is not in assigned list{why}, message queue: {queue}")))
    }

    /// Pulls these queues no more, and keeps what is in memory of them back (Java still hands that out). Lasts
    /// until [`resume`](Self::resume), or until the queue goes to another consumer. Java: `pause`.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let sent = client.producer("p").start().await?.send(ferrocket::Message::new("Orders", "o-42")).await?;
    /// # let consumer = client.lite_pull_consumer("export").start().await?;
    /// # consumer.assign([sent.message_queue]).await?;
    /// let queues = consumer.assignment();
    /// consumer.pause(&queues);
    /// // The disk is full; later:
    /// consumer.resume(&queues);
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn pause<'a>(&self, queues: impl IntoIterator<Item = &'a MessageQueue>) {
        self.set_paused(queues, true);
    }

    /// Goes on with these queues. Java: `resume`.
    pub fn resume<'a>(&self, queues: impl IntoIterator<Item = &'a MessageQueue>) {
        self.set_paused(queues, false);
        self.polls().bell.ring();
    }

    fn set_paused<'a>(&self, queues: impl IntoIterator<Item = &'a MessageQueue>, paused: bool) {
        let assigned = self.consumer.queues();
        for queue in queues {
            if let Some(assigned) = assigned.get(&*self.wired(queue)) {
                assigned.paused.store(paused, Ordering::Relaxed);
                assigned.handled.notify_waiters();
            }
        }
    }

    /// Stores that everything handed out so far is consumed, and waits until brokers have confirmed it. Java:
    /// `commitSync`, which returns before anything is stored.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let sent = client.producer("p").start().await?.send(ferrocket::Message::new("Orders", "o-42")).await?;
    /// # let consumer = client.lite_pull_consumer("audit").auto_commit(false).subscribe("Orders", "*");
    /// # let consumer = consumer.consume_from(ferrocket::ConsumeFromWhere::FirstOffset).start().await?;
    /// # async fn store(messages: &[ferrocket::MessageExt]) -> ferrocket::Result<()> { Ok(()) }
    /// let messages = consumer.poll(Duration::from_secs(30)).await?;
    /// store(&messages).await?;
    /// consumer.commit().await?;
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The first failure; what was not stored is tried again every
    /// [`auto_commit_interval`](LitePullConsumerBuilder::auto_commit_interval).
    pub async fn commit(&self) -> Result<()> {
        self.polls().commit(&self.consumer);
        self.consumer.ask(|done| Command::Store { queues: None, done }).await?
    }

    /// Stores these offsets, each that of the next message to consume, and waits for the brokers. Java:
    /// `commit(Map<MessageQueue, Long>, boolean)`.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let sent = client.producer("p").start().await?.send(ferrocket::Message::new("Orders", "o-42")).await?;
    /// # let queue = sent.message_queue.clone();
    /// # let consumer = client.lite_pull_consumer("export").auto_commit(false).start().await?;
    /// # consumer.assign([queue.clone()]).await?;
    /// // Found in the program's own database.
    /// let next = 1;
    /// consumer.commit_offsets([(queue.clone(), next)]).await?;
    /// assert_eq!(consumer.committed(&queue).await?, Some(next));
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for a queue that is not assigned or a negative offset:
    /// then nothing is stored; else as [`commit`](Self::commit).
    pub async fn commit_offsets(&self, offsets: impl IntoIterator<Item = (MessageQueue, i64)>) -> Result<()> {
        let mut holds = Vec::new();
        for (queue, offset) in offsets {
            if offset < 0 {
                return Err(config(format!("offset {offset} of {queue} is negative")));
            }
            holds.push((self.assigned(&self.wired(&queue))?.hold.clone(), offset));
        }
        let queues = Some(holds.iter().map(|(hold, _)| hold.queue().clone()).collect::<BTreeSet<_>>());
        {
            let mut table = self.consumer.offsets.table();
            for (hold, offset) in &holds {
                table.set(hold, *offset);
            }
        }
        self.consumer.ask(|done| Command::Store { queues, done }).await?
    }

    /// The committed offset of a queue: what this consumer committed last, else what the group has stored.
    /// Java: `committed`, which answers -1 for none.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let sent = client.producer("p").start().await?.send(ferrocket::Message::new("Orders", "o-42")).await?;
    /// # let consumer = client.lite_pull_consumer("export").start().await?;
    /// # consumer.assign([sent.message_queue]).await?;
    /// for queue in consumer.assignment() {
    ///     match consumer.committed(&queue).await? {
    ///         Some(next) => println!("{queue}: goes on at {next}"),
    ///         None => println!("{queue}: nothing yet"),
    ///     }
    /// }
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Whatever keeps the broker, or the file of a broadcasting consumer, from telling it.
    pub async fn committed(&self, queue: &MessageQueue) -> Result<Option<i64>> {
        let queue = &*self.wired(queue);
        let known = self.consumer.offsets.table().get(queue);
        match known {
            Some(offset) => Ok(Some(offset)),
            None => self.consumer.stored_offset(queue).await,
        }
    }

    /// The offset of the first message of a queue stored at this time or later. Java: `offsetForTimestamp`.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let sent = client.producer("p").start().await?.send(ferrocket::Message::new("Orders", "o-42")).await?;
    /// # let queue = sent.message_queue.clone();
    /// # let consumer = client.lite_pull_consumer("export").start().await?;
    /// # consumer.assign([queue.clone()]).await?;
    /// let an_hour_ago = SystemTime::now() - Duration::from_secs(3600);
    /// let offset = consumer.offset_for_timestamp(&queue, an_hour_ago).await?;
    /// assert_eq!(offset, sent.queue_offset);
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Whatever keeps the broker from answering.
    pub async fn offset_for_timestamp(&self, queue: &MessageQueue, time: SystemTime) -> Result<i64> {
        self.consumer.calls.search_offset(&self.wired(queue), ms_of(time)).await
    }

    /// The queues of a topic, to [`assign`](Self::assign) some of them. Java: `fetchMessageQueues`.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let sent = client.producer("p").start().await?.send(ferrocket::Message::new("Orders", "o-42")).await?;
    /// let consumer = client.lite_pull_consumer("export").start().await?;
    /// // Those of one broker.
    /// let queues = consumer.fetch_queues("Orders").await?;
    /// let of_one = queues.iter().filter(|queue| queue.broker_name == queues[0].broker_name);
    /// consumer.assign(of_one.cloned()).await?;
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`Client::fetch_subscribe_queues`](crate::Client::fetch_subscribe_queues).
    pub async fn fetch_queues(&self, topic: &str) -> Result<Vec<MessageQueue>> {
        self.client().fetch_subscribe_queues(topic).await
    }

    /// Has `listener` called with a topic's queues whenever they change, as soon as that is known: every
    /// [`poll_name_server_interval`](crate::ClientBuilder::poll_name_server_interval). A second listener of a
    /// topic replaces the first. Java: `registerTopicMessageQueueChangeListener`.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let sent = client.producer("p").start().await?.send(ferrocket::Message::new("Orders", "o-42")).await?;
    /// let consumer = client.lite_pull_consumer("export").start().await?;
    /// let told = |topic: &str, queues: &[ferrocket::MessageQueue]| println!("{topic} has {} queues", queues.len());
    /// consumer.topic_queue_change_listener("Orders", told).await?;
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`fetch_queues`](Self::fetch_queues): the listener hears of what differs from the queues now.
    pub async fn topic_queue_change_listener(
        &self,
        topic: &str,
        listener: impl Fn(&str, &[MessageQueue]) + Send + Sync + 'static,
    ) -> Result<()> {
        check_topic(topic)?;
        let queues = self.client().wired_subscribe_queues(topic).await?;
        self.polls().watch(self.client().wrapped(topic), queues, Arc::new(listener));
        Ok(())
    }

    /// Stops pulling, stores the offsets and unregisters. With automatic commits everything handed out counts as
    /// consumed; a shutdown of the client cannot know that, and stores what polls have committed. Further calls
    /// wait for the first. Java: `shutdown`.
    pub async fn shutdown(&self) {
        self.done_before();
        self.consumer.shutdown().await;
    }
}

impl fmt::Debug for LitePullConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LitePullConsumer").field("group", &self.group()).finish_non_exhaustive()
    }
}

fn exclusive() -> Error {
    config("Subscribe and assign are mutually exclusive.")
}

fn chosen(client: &Client, queues: impl IntoIterator<Item = MessageQueue>) -> Result<BTreeSet<MessageQueue>> {
    let queues: BTreeSet<MessageQueue> =
        queues.into_iter().map(|queue| client.wired_queue(&queue).into_owned()).collect();
    if queues.is_empty() {
        return Err(config("Message queues can not be null or empty."));
    }
    for queue in &queues {
        check_topic(&queue.topic)?;
    }
    Ok(queues)
}

/// The messages of a [`LitePullConsumer`], see [`LitePullConsumer::stream`].
///
/// ```
/// use ferrocket::{ConsumeFromWhere, Message};
///
/// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
/// # let sent = client.producer("p").start().await?.send(Message::new("Orders", "paid")).await?;
/// # let consumer = client.lite_pull_consumer("audit").subscribe("Orders", "*");
/// # let consumer = consumer.consume_from(ConsumeFromWhere::FirstOffset).start().await?;
/// let mut messages = consumer.stream();
/// if let Some(message) = messages.next().await {
///     println!("{}: {} bytes", message.msg_id, message.body.len());
/// }
/// # Ok(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct LitePullStream {
    consumer: LitePullConsumer,
}

impl LitePullStream {
    /// The next message; `None` after the consumer's shutdown. Giving up on the future loses nothing.
    pub async fn next(&mut self) -> Option<MessageExt> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Stream for LitePullStream {
    type Item = MessageExt;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<MessageExt>> {
        self.consumer.done_before();
        let messages = self.consumer.poll_messages(context, 1);
        messages.map(|messages| messages.and_then(|messages| messages.into_iter().next()))
    }
}
