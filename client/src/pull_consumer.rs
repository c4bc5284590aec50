//! A consumer that asks for one queue at a time, for programs that manage queues and offsets themselves.
//!
//! It divides nothing, remembers no position and pulls nothing by itself; every call is one request.
//! Java counterparts: `DefaultMQPullConsumer`, `DefaultMQPullConsumerImpl`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use ferrocket_protocol::Text;
use ferrocket_protocol::body::message_queue::MessageQueue;

use crate::client::Client;
use crate::consumer::calls::Pull;
pub use crate::consumer::calls::PullStatus;
use crate::consumer::{Consumer, Settings, Sink, Subscription, consumer_settings, read};
use crate::error::Result;
use crate::lite_pull_consumer::Polls;
use crate::message::MessageExt;
use crate::message_ids::ms_of;
use crate::route::MASTER_ID;
use crate::selector::MessageSelector;
use crate::validate::{config, within};

/// Queues whose suggested broker is remembered; beyond it all are asked of their masters again.
const SUGGESTIONS_MAX: usize = 65_536;

/// Sets up a [`PullConsumer`]. Obtained from [`Client::pull_consumer`]; names and defaults are Java's.
///
/// ```
/// use std::time::Duration;
///
/// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
/// let consumer = client
///     .pull_consumer("export")
///     .consumer_pull_timeout(Duration::from_secs(5))
///     .max_reconsume_times(3)
///     .start()
///     .await?;
/// # Ok(()) }).unwrap();
/// ```
#[must_use]
pub struct PullConsumerBuilder {
    client: Client,
    group: Text,
    pub(crate) consumer_pull_timeout: Duration,
    pub(crate) settings: Settings,
}

impl Client {
    /// A consumer of this group for programs that manage queues themselves, to be set up and started. Java:
    /// `DefaultMQPullConsumer`.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let sent = client.producer("p").start().await?.send(ferrocket::Message::new("Orders", "o-42")).await?;
    /// let consumer = client.pull_consumer("export").start().await?;
    /// for queue in consumer.fetch_queues("Orders").await? {
    ///     let mut offset = consumer.fetch_consume_offset(&queue).await?.unwrap_or(0);
    ///     loop {
    ///         let pulled = consumer.pull(&queue, "*", offset, 32).await?;
    ///         if pulled.next_begin_offset == offset {
    ///             break;
    ///         }
    ///         for message in &pulled.messages {
    ///             println!("{}", message.msg_id);
    ///         }
    ///         offset = pulled.next_begin_offset;
    ///         consumer.update_consume_offset(&queue, offset).await?;
    ///     }
    /// }
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn pull_consumer(&self, group: &str) -> PullConsumerBuilder {
        PullConsumerBuilder {
            client: self.clone(),
            group: group.into(),
            consumer_pull_timeout: Duration::from_secs(10),
            settings: Settings { max_reconsume_times: Some(16), ..Settings::lite_pull() },
        }
    }
}

impl PullConsumerBuilder {
    consumer_settings!(every);
    consumer_settings!(on_demand);

    /// `consumerPullTimeoutMillis`: how long [`PullConsumer::pull`] waits for its answer. Default 10 s.
    pub fn consumer_pull_timeout(mut self, timeout: Duration) -> Self {
        self.consumer_pull_timeout = timeout;
        self
    }

    /// `maxReconsumeTimes`: how often a message that was sent back comes again before it becomes a dead letter.
    /// Default 16.
    pub fn max_reconsume_times(mut self, times: u16) -> Self {
        self.settings.max_reconsume_times = Some(i32::from(times));
        self
    }

    /// Registers the consumer with the brokers.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for names and settings that cannot work, or a group that
    /// this client consumes already; [`ErrorKind::Closed`](crate::ErrorKind::Closed) after the client's
    /// shutdown.
    pub async fn start(self) -> Result<PullConsumer> {
        let Self { client, group, consumer_pull_timeout, settings } = self;
        within("consumer_pull_timeout (ms)", consumer_pull_timeout.as_millis(), 1, u128::MAX)?;
        // It chose no queues, and never will: nothing is divided and nothing pulled behind its back.
        let chosen = Some(BTreeSet::new());
        let sink = Sink::Poll(Polls::default());
        let consumer = Consumer::start(&client, group, Vec::new(), chosen, settings, sink).await?;
        let suggestions = Arc::default();
        Ok(PullConsumer { consumer, _client: client, consumer_pull_timeout, suggestions })
    }
}

/// What a pull found. Java: `PullResult`.
///
/// ```
/// use ferrocket::PullStatus;
///
/// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
/// # let sent = client.producer("p").start().await?.send(ferrocket::Message::new("Orders", "o-42")).await?;
/// # let queue = sent.message_queue.clone();
/// # let consumer = client.pull_consumer("export").start().await?;
/// let pulled = consumer.pull(&queue, "*", sent.queue_offset, 32).await?;
/// assert_eq!((pulled.status, pulled.messages.len()), (PullStatus::Found, 1));
/// assert_eq!(pulled.next_begin_offset, sent.queue_offset + 1);
/// println!("the queue goes from {} to {}", pulled.min_offset, pulled.max_offset);
/// # Ok(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PullResult {
    /// What became of it.
    pub status: PullStatus,
    /// The offset to go on at.
    pub next_begin_offset: i64,
    /// The first offset that the queue still has.
    pub min_offset: i64,
    /// The offset behind its last message.
    pub max_offset: i64,
    /// The messages, in the queue's order. With tags, fewer than were passed over.
    pub messages: Vec<MessageExt>,
}

/// A consumer for programs that manage queues and offsets themselves. Cheap to clone. Java:
/// `DefaultMQPullConsumer`.
///
/// ```
/// use ferrocket::PullStatus;
///
/// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
/// # let sent = client.producer("p").start().await?.send(ferrocket::Message::new("Orders", "o-42")).await?;
/// let consumer = client.pull_consumer("export").start().await?;
/// for queue in consumer.fetch_queues("Orders").await? {
///     let begin = consumer.min_offset(&queue).await?;
///     let pulled = consumer.pull(&queue, "*", begin, 32).await?;
///     if pulled.status == PullStatus::Found {
///         consumer.update_consume_offset(&queue, pulled.next_begin_offset).await?;
///     }
/// }
/// # Ok(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct PullConsumer {
    consumer: Arc<Consumer>,
    /// Who has a consumer uses the client.
    _client: Client,
    consumer_pull_timeout: Duration,
    /// The broker to ask for each queue, where it is not the master. Held for one look-up or change.
    suggestions: Arc<Mutex<BTreeMap<MessageQueue, i64>>>,
}

impl PullConsumer {
    /// The group. Java: `getConsumerGroup`.
    pub fn group(&self) -> &str {
        &self.consumer.calls.group
    }

    /// The queues of a topic. Java: `fetchSubscribeMessageQueues`.
    ///
    /// # Errors
    /// As [`Client::fetch_subscribe_queues`].
    pub async fn fetch_queues(&self, topic: &str) -> Result<Vec<MessageQueue>> {
        self.client().fetch_subscribe_queues(topic).await
    }

    /// The queues of a topic that are this consumer's share, if all of the group's consumers divide them so; all
    /// for a broadcasting one. Nobody else is kept from pulling them. Java: `fetchMessageQueuesInBalance`.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let sent = client.producer("p").start().await?.send(ferrocket::Message::new("Orders", "o-42")).await?;
    /// let consumer = client.pull_consumer("export").start().await?;
    /// // Nobody else is in the group.
    /// let mine = consumer.fetch_queues_in_balance("Orders").await?;
    /// assert_eq!(mine, consumer.fetch_queues("Orders").await?);
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`fetch_queues`](Self::fetch_queues), and whatever keeps the broker from telling the group's members.
    pub async fn fetch_queues_in_balance(&self, topic: &str) -> Result<Vec<MessageQueue>> {
        let client = self.client();
        let mut queues = client.wired_subscribe_queues(topic).await?;
        queues.sort();
        // The topic's brokers may not have heard of us: then we would have no share.
        client.heartbeat().await;
        let (share, _) = self.consumer.share(&client.wrapped(topic), &queues).await?;
        Ok(client.bare_queues(&share))
    }

    /// Up to `max` messages of a queue from `offset` on that match; at once, with or without any. Java: `pull`.
    ///
    /// ```
    /// use ferrocket::MessageSelector;
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let sent = client.producer("p").start().await?.send(ferrocket::Message::new("Orders", "o-42").tags("vip")).await?;
    /// # let (queue, offset) = (sent.message_queue.clone(), sent.queue_offset);
    /// # let consumer = client.pull_consumer("export").start().await?;
    /// let pulled = consumer.pull(&queue, MessageSelector::by_tag("vip || gold"), offset, 32).await?;
    /// for message in &pulled.messages {
    ///     println!("{}: {:?}", message.msg_id, message.tags());
    /// }
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for a negative offset, no messages, or a selector that
    /// cannot work; whatever keeps the broker from answering.
    pub async fn pull(
        &self,
        queue: &MessageQueue,
        selector: impl Into<MessageSelector>,
        offset: i64,
        max: u16,
    ) -> Result<PullResult> {
        self.ask(queue, &selector.into(), offset, max, None, self.consumer_pull_timeout).await
    }

    /// As [`pull`](Self::pull), but the broker holds the request until there is something, at most
    /// [`broker_suspend_max_time`](PullConsumerBuilder::broker_suspend_max_time). Java: `pullBlockIfNotFound`.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let sent = client.producer("p").start().await?.send(ferrocket::Message::new("Orders", "o-42")).await?;
    /// # let (queue, offset) = (sent.message_queue.clone(), sent.queue_offset);
    /// # let consumer = client.pull_consumer("export").start().await?;
    /// // Answered as soon as something is there.
    /// let pulled = consumer.pull_block_if_not_found(&queue, "*", offset, 32).await?;
    /// println!("{} messages, on at {}", pulled.messages.len(), pulled.next_begin_offset);
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`pull`](Self::pull).
    pub async fn pull_block_if_not_found(
        &self,
        queue: &MessageQueue,
        selector: impl Into<MessageSelector>,
        offset: i64,
        max: u16,
    ) -> Result<PullResult> {
        let settings = &self.consumer.settings;
        let suspend = Some(settings.broker_suspend_max);
        self.ask(queue, &selector.into(), offset, max, suspend, settings.pull_timeout).await
    }

    async fn ask(
        &self,
        queue: &MessageQueue,
        selector: &MessageSelector,
        offset: i64,
        max: u16,
        suspend: Option<Duration>,
        timeout: Duration,
    ) -> Result<PullResult> {
        self.consumer.check_open()?;
        if offset < 0 || max == 0 {
            return Err(config(format!("offset is {offset} and max {max}, they must be at least 0 and 1")));
        }
        let queue = &*self.wired(queue);
        let subscription = Subscription::new(&queue.topic, selector, 0)?.data;
        let suggested = self.suggestions().get(queue).copied();
        let pull = Pull {
            queue,
            offset,
            count_max: i32::from(max),
            broker_id: suggested.unwrap_or(MASTER_ID),
            commit: None,
            expression: Some(Text::from(subscription.sub_string.as_str())),
            expression_type: subscription.expression_type.as_str().into(),
            sub_version: 0,
            suspend,
            timeout,
            lite: false,
        };
        let pulled = self.consumer.calls.pull(pull).await?;
        self.suggest(queue, pulled.reply.suggest_which_broker_id);
        Ok(PullResult {
            status: pulled.status,
            next_begin_offset: pulled.reply.next_begin_offset,
            min_offset: pulled.reply.min_offset,
            max_offset: pulled.reply.max_offset,
            messages: match pulled.status {
                PullStatus::Found => {
                    let mut messages = read(pulled, &queue.broker_name, &subscription)?;
                    self.client().unwrap_topics(&mut messages);
                    messages
                }
                _ => Vec::new(),
            },
        })
    }

    fn client(&self) -> &Client {
        &self.consumer.calls.client
    }

    /// A queue as the cluster calls it.
    fn wired<'a>(&self, queue: &'a MessageQueue) -> Cow<'a, MessageQueue> {
        self.client().wired_queue(queue)
    }

    fn suggestions(&self) -> std::sync::MutexGuard<'_, BTreeMap<MessageQueue, i64>> {
        self.suggestions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn suggest(&self, queue: &MessageQueue, broker_id: i64) {
        let mut suggestions = self.suggestions();
        if broker_id == MASTER_ID {
            suggestions.remove(queue);
            return;
        }
        if suggestions.len() >= SUGGESTIONS_MAX {
            suggestions.clear();
        }
        suggestions.insert(queue.clone(), broker_id);
    }

    /// The offset of a queue's first message. Java: `minOffset`.
    ///
    /// # Errors
    /// Whatever keeps the broker from answering.
    pub async fn min_offset(&self, queue: &MessageQueue) -> Result<i64> {
        self.consumer.calls.min_offset(&self.wired(queue)).await
    }

    /// The offset behind a queue's last message. Java: `maxOffset`.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let sent = client.producer("p").start().await?.send(ferrocket::Message::new("Orders", "o-42")).await?;
    /// # let queue = sent.message_queue.clone();
    /// # let consumer = client.pull_consumer("export").start().await?;
    /// let (min, max) = (consumer.min_offset(&queue).await?, consumer.max_offset(&queue).await?);
    /// println!("{} messages are there", max - min);
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Whatever keeps the broker from answering.
    pub async fn max_offset(&self, queue: &MessageQueue) -> Result<i64> {
        self.consumer.calls.max_offset(&self.wired(queue)).await
    }

    /// The offset of the first message of a queue stored at this time or later. Java: `searchOffset`.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let sent = client.producer("p").start().await?.send(ferrocket::Message::new("Orders", "o-42")).await?;
    /// # let queue = sent.message_queue.clone();
    /// # let consumer = client.pull_consumer("export").start().await?;
    /// let yesterday = SystemTime::now() - Duration::from_secs(24 * 60 * 60);
    /// let offset = consumer.search_offset(&queue, yesterday).await?;
    /// let pulled = consumer.pull(&queue, "*", offset, 32).await?;
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Whatever keeps the broker from answering.
    pub async fn search_offset(&self, queue: &MessageQueue, time: SystemTime) -> Result<i64> {
        self.consumer.calls.search_offset(&self.wired(queue), ms_of(time)).await
    }

    /// The group's stored offset of a queue, if there is one. Java: `fetchConsumeOffset`, which answers -1 for
    /// none and -2 for a failure.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let sent = client.producer("p").start().await?.send(ferrocket::Message::new("Orders", "o-42")).await?;
    /// # let queue = sent.message_queue.clone();
    /// # let consumer = client.pull_consumer("export").start().await?;
    /// let offset = match consumer.fetch_consume_offset(&queue).await? {
    ///     Some(stored) => stored,
    ///     None => consumer.min_offset(&queue).await?,
    /// };
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Whatever keeps the broker, or the file of a broadcasting consumer, from telling it.
    pub async fn fetch_consume_offset(&self, queue: &MessageQueue) -> Result<Option<i64>> {
        self.consumer.stored_offset(&self.wired(queue)).await
    }

    /// Stores the group's offset of a queue, that of the next message to consume, and waits until it is stored.
    /// Java: `updateConsumeOffset`, which only notes it for the next round.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let sent = client.producer("p").start().await?.send(ferrocket::Message::new("Orders", "o-42")).await?;
    /// # let queue = sent.message_queue.clone();
    /// # let consumer = client.pull_consumer("export").start().await?;
    /// let pulled = consumer.pull(&queue, "*", 0, 32).await?;
    /// consumer.update_consume_offset(&queue, pulled.next_begin_offset).await?;
    /// assert_eq!(consumer.fetch_consume_offset(&queue).await?, Some(pulled.next_begin_offset));
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for a negative offset; whatever keeps the broker, or the
    /// file of a broadcasting consumer, from taking it.
    pub async fn update_consume_offset(&self, queue: &MessageQueue, offset: i64) -> Result<()> {
        if offset < 0 {
            return Err(config(format!("offset {offset} of {queue} is negative")));
        }
        let queue = self.wired(queue);
        if self.consumer.is_clustering() {
            // A slow broker holds up nobody's offsets but its own.
            return self.consumer.calls.update_offset(&queue, offset).await;
        }
        self.consumer.store_offsets(vec![(queue.into_owned(), offset)]).await
    }

    /// Has the group's push consumers get a message again after the broker's delay of this level: 0 by the number
    /// of attempts, -1 makes it a dead letter at once. Java: `sendMessageBack`.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let sent = client.producer("p").start().await?.send(ferrocket::Message::new("Orders", "o-42")).await?;
    /// # let queue = sent.message_queue.clone();
    /// # let consumer = client.pull_consumer("export").start().await?;
    /// # fn store(message: &ferrocket::MessageExt) -> std::io::Result<()> { Err(std::io::ErrorKind::StorageFull.into()) }
    /// for message in consumer.pull(&queue, "*", 0, 32).await?.messages {
    ///     if store(&message).is_err() {
    ///         // Push consumers of the group get it in ten seconds.
    ///         consumer.send_message_back(&message, 3).await?;
    ///     }
    /// }
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Whatever keeps the message's broker, and the retry topic's after it, from taking it.
    pub async fn send_message_back(&self, message: &MessageExt, delay_level: i32) -> Result<()> {
        let mut message = message.clone();
        message.topic = self.client().wrapped(&message.topic);
        self.consumer.calls.send_back(&message, delay_level, self.consumer.reconsume_times_max()).await
    }

    /// Unregisters. Java: `shutdown`.
    pub async fn shutdown(&self) {
        self.consumer.shutdown().await;
    }
}

impl fmt::Debug for PullConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PullConsumer").field("group", &self.group()).finish_non_exhaustive()
    }
}
