//! Sending messages.
//!
//! ```text
//! send → Parcel (checked, id, compressed) → route → SendPlan: queue → Client::call → SendResult
//!                                                       ▲    │ failed: another broker, while time is left
//!                                                       └────┘
//! ```
//!
//! Java counterparts: `DefaultMQProducer`, `DefaultMQProducerImpl`.

use std::fmt;
use std::future::{self, Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use ferrocket_protocol::Text;
use ferrocket_protocol::body::message_queue::MessageQueue;
use ferrocket_remoting::Connection;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{Instrument, Span};

use crate::client::{Client, Template};
use crate::error::{Error, ErrorKind, Result};
use crate::fault::Faults;
use crate::in_flight::{Answer, Lane, Patience, Room, Share};
use crate::message::Message;
use crate::message_ids::{as_millis, now_ms};
use crate::route::TopicRoute;
use crate::send_result::SendResult;
use crate::validate::{MS_MAX, check_group, check_topic, within};
use crate::{spans, trace};

mod batcher;
mod hooks;
mod parcel;
mod plan;
mod recall;
mod request;
mod sending;
mod transaction;

use batcher::{BATCH_MAX_BYTES, Batcher, TOTAL_BATCH_MAX_BYTES};
use hooks::Hooks;
pub use hooks::{SendMessageContext, SendMessageHook};
pub use parcel::CompressionType;
use parcel::{Packing, Parcel};
use plan::{SendPlan, choose_queue, hash_index, other_brokers, tries_again};
pub(crate) use request::Replies;
pub use sending::Sending;
use sending::{Destination, Terms};
pub(crate) use transaction::Checks;
pub use transaction::{
    LocalTransaction, LocalTransactionAnswer, LocalTransactionState, TransactionProducer,
    TransactionProducerBuilder, TransactionSendResult,
};

/// Largest body that can be set as the limit: it has to fit a frame of 16 MiB with its header.
pub(crate) const MESSAGE_LEN_MAX: usize = 15 << 20;

/// Sets up a [`Producer`]. Obtained from [`Client::producer`]. Names and defaults are Java's.
///
/// ```
/// use std::time::Duration;
///
/// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
/// let producer = client
///     .producer("order-service")
///     .send_msg_timeout(Duration::from_secs(10))
///     .send_msg_max_timeout_per_request(Duration::from_secs(2))
///     .retries(4)
///     .compress_msg_body_over_howmuch(16 << 10)
///     .start()
///     .await?;
/// # Ok(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ProducerBuilder {
    client: Client,
    group: String,
    settings: Settings,
}

#[derive(Clone, Debug)]
struct Settings {
    template: Template,
    send_msg_timeout: Duration,
    send_msg_max_timeout_per_request: Option<Duration>,
    compress_msg_body_over_howmuch: usize,
    compress_type: CompressionType,
    compress_level: u32,
    retry_times_when_send_failed: u32,
    retry_times_when_send_async_failed: u32,
    retry_another_broker_when_not_store_ok: bool,
    max_message_size: usize,
    send_latency_fault_enable: bool,
    auto_batch: bool,
    batch_max_bytes: usize,
    total_batch_max_bytes: usize,
    hooks: Hooks,
    /// Sends the client's own messages, also while it ends.
    is_internal: bool,
}

impl ProducerBuilder {
    pub(crate) fn new(client: Client, group: &str) -> Self {
        let settings = Settings {
            template: Template::default(),
            send_msg_timeout: Duration::from_secs(3),
            send_msg_max_timeout_per_request: None,
            compress_msg_body_over_howmuch: 4_096,
            compress_type: CompressionType::Zlib,
            compress_level: 5,
            retry_times_when_send_failed: 2,
            retry_times_when_send_async_failed: 2,
            retry_another_broker_when_not_store_ok: false,
            max_message_size: 4 << 20,
            send_latency_fault_enable: false,
            auto_batch: false,
            batch_max_bytes: BATCH_MAX_BYTES,
            total_batch_max_bytes: TOTAL_BATCH_MAX_BYTES,
            hooks: Hooks::default(),
            is_internal: false,
        };
        Self { client, group: group.to_owned(), settings }
    }

    /// `retryTimesWhenSendFailed`: how often a failed send that is awaited is tried again, on another broker where
    /// there is one. Default 2.
    pub fn retries(mut self, times: u32) -> Self {
        self.settings.retry_times_when_send_failed = times;
        self
    }

    /// `retryTimesWhenSendAsyncFailed`: the same for what is queued ([`Producer::enqueue`]). Default 2.
    pub fn enqueue_retries(mut self, times: u32) -> Self {
        self.settings.retry_times_when_send_async_failed = times;
        self
    }

    /// `sendMsgTimeout`: how long a send takes at most, all attempts together. Default 3 s.
    pub fn send_msg_timeout(mut self, timeout: Duration) -> Self {
        self.settings.send_msg_timeout = timeout;
        self
    }

    /// `sendMsgMaxTimeoutPerRequest`: how long one attempt takes at most while another may follow, so that a broker
    /// that is silent does not use up the time for the others. The last attempt has all the time that is left. Default
    /// none: so has every attempt.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// // Within three seconds, three brokers may be tried.
    /// let producer = client
    ///     .producer("order-service")
    ///     .send_msg_timeout(Duration::from_secs(3))
    ///     .send_msg_max_timeout_per_request(Duration::from_secs(1))
    ///     .start()
    ///     .await?;
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn send_msg_max_timeout_per_request(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.settings.send_msg_max_timeout_per_request = timeout.into();
        self
    }

    /// `compressMsgBodyOverHowmuch`: bodies of this many bytes and more are compressed. Default 4,096.
    pub fn compress_msg_body_over_howmuch(mut self, bytes: usize) -> Self {
        self.settings.compress_msg_body_over_howmuch = bytes;
        self
    }

    /// `compressType`: how they are compressed. Default zlib.
    ///
    /// ```
    /// use ferrocket::CompressionType;
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # #[cfg(feature = "zstd")] {
    /// let producer = client.producer("logs").compress_type(CompressionType::Zstd).compress_level(3).start().await?;
    /// # }
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn compress_type(mut self, kind: CompressionType) -> Self {
        self.settings.compress_type = kind;
        self
    }

    /// `compressLevel`: 0 (stored) to 9 (smallest) for zlib, 1 to 22 for zstd; LZ4 has none. Default 5.
    pub fn compress_level(mut self, level: u32) -> Self {
        self.settings.compress_level = level;
        self
    }

    /// `maxMessageSize`: largest body, and largest batch, in bytes. Default 4 MiB; brokers have their own limit.
    pub fn max_message_size(mut self, bytes: usize) -> Self {
        self.settings.max_message_size = bytes;
        self
    }

    /// `retryAnotherBrokerWhenNotStoreOK`: whether a message that was stored with another status than
    /// `SEND_OK` is sent to another broker as well. Default no.
    pub fn retry_another_broker_when_not_store_ok(mut self, retry: bool) -> Self {
        self.settings.retry_another_broker_when_not_store_ok = retry;
        self
    }

    /// `sendLatencyFaultEnable`: whether brokers that were slow or failing are avoided for a while.
    /// Default no: a failed attempt only keeps its own next attempt away.
    pub fn send_latency_fault_enable(mut self, enable: bool) -> Self {
        self.settings.send_latency_fault_enable = enable;
        self
    }

    /// `autoBatch`: whether [`Producer::send`] sends what is ready for the same topic as one batch. Default no.
    ///
    /// No message waits for a timer: one that finds nothing of its topic under way is sent at once, and what
    /// comes until its receipt is the next batch. Each message gets a receipt of its own. Large bodies are not
    /// compressed within a batch. Messages that cannot be part of one (delays, transactions) are sent alone.
    ///
    /// ```
    /// use ferrocket::Message;
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// let producer = client.producer("clicks").auto_batch(true).start().await?;
    /// // Each task has its own receipt, and few requests carry them all.
    /// let tasks: Vec<_> = (0..100)
    ///     .map(|click| (producer.clone(), Message::new("Clicks", click.to_string())))
    ///     .map(|(producer, message)| tokio::spawn(async move { producer.send(message).await }))
    ///     .collect();
    /// for task in tasks {
    ///     assert!(task.await.expect("no panic")?.is_ok());
    /// }
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn auto_batch(mut self, enable: bool) -> Self {
        self.settings.auto_batch = enable;
        self
    }

    /// `batchMaxBytes`: how large an automatic batch gets. Default 32 KiB.
    pub fn batch_max_bytes(mut self, bytes: usize) -> Self {
        self.settings.batch_max_bytes = bytes;
        self
    }

    /// `totalBatchMaxBytes`: messages that wait for a batch; further sends wait. Default 32 MiB.
    pub fn total_batch_max_bytes(mut self, bytes: usize) -> Self {
        self.settings.total_batch_max_bytes = bytes;
        self
    }

    /// Has `hook` called around every attempt to send; several are called in the order they were added.
    /// Java: `registerSendMessageHook`.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// use ferrocket::{Error, Message, SendMessageContext, SendMessageHook, SendResult};
    ///
    /// struct Failures(Arc<AtomicU64>);
    ///
    /// impl SendMessageHook for Failures {
    ///     fn send_message_after(&self, _: &SendMessageContext<'_>, outcome: Result<Option<&SendResult>, &Error>) {
    ///         self.0.fetch_add(u64::from(outcome.is_err()), Ordering::Relaxed);
    ///     }
    /// }
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// let failures = Arc::<AtomicU64>::default();
    /// let producer = client.producer("orders").send_message_hook(Failures(failures.clone())).start().await?;
    /// # let sent = producer.send(Message::new("Orders", "paid")).await?;
    /// # assert_eq!(failures.load(Ordering::Relaxed), 0);
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn send_message_hook(mut self, hook: impl SendMessageHook) -> Self {
        self.settings.hooks.add(hook);
        self
    }

    /// `createTopicKey`: the topic whose settings a topic takes over that its first message creates.
    /// Default `TBW102`.
    pub fn create_topic_key(mut self, topic: impl Into<String>) -> Self {
        self.settings.template.topic = topic.into().into();
        self
    }

    /// `defaultTopicQueueNums`: queues per broker of a topic that its first message creates. Default 4.
    ///
    /// ```
    /// use ferrocket::Message;
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// let producer = client.producer("order-service").default_topic_queue_nums(2).start().await?;
    /// let sent = producer.send(Message::new("NewTopic", "the first of all")).await?;
    /// assert_eq!(producer.fetch_queues("NewTopic").await?.len(), 2);
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn default_topic_queue_nums(mut self, queues: i32) -> Self {
        self.settings.template.queue_nums = queues;
        self
    }

    /// Starts the producer. Brokers hear of it with the first heartbeat after they are known from a route.
    ///
    /// ```
    /// use ferrocket::ErrorKind;
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// let producer = client.producer("order-service").start().await?;
    /// // One of each group in a client: clones are cheap.
    /// let (one, other) = (producer.clone(), producer);
    /// let twice = client.producer("order-service").start().await.unwrap_err();
    /// assert_eq!(twice.kind(), ErrorKind::Config);
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a group that cannot be one or that has a producer in this client already;
    /// [`ErrorKind::Closed`] after the client's shutdown.
    pub async fn start(self) -> Result<Producer> {
        self.open(None)
    }

    /// The group as the cluster knows it, if it can be one.
    fn group_name(&self) -> Result<Text> {
        check_group(&self.group)?;
        let group = self.client.wrapped(&self.group);
        check_group(&group)?;
        Ok(group)
    }

    /// Checks the settings and registers the group; `checks` answer brokers about its transactions.
    fn open(self, checks: Option<Arc<Checks>>) -> Result<Producer> {
        let group = self.group_name()?;
        let settings = &self.settings;
        check_topic(&settings.template.topic).map_err(|error| error.with_context("create_topic_key"))?;
        let attempt = settings.send_msg_max_timeout_per_request.unwrap_or(settings.send_msg_timeout);
        for (name, value, max) in [
            ("send_msg_timeout (ms)", settings.send_msg_timeout.as_millis(), MS_MAX),
            ("send_msg_max_timeout_per_request (ms)", attempt.as_millis(), MS_MAX),
            ("default_topic_queue_nums", u128::try_from(settings.template.queue_nums).unwrap_or(0), 65_536),
            ("max_message_size", settings.max_message_size as u128, MESSAGE_LEN_MAX as u128),
            ("batch_max_bytes", settings.batch_max_bytes as u128, MESSAGE_LEN_MAX as u128),
            ("total_batch_max_bytes", settings.total_batch_max_bytes as u128, 1 << 30),
        ] {
            within(name, value, 1, max)?;
        }
        let (kind, levels) = (settings.compress_type, settings.compress_type.levels());
        let name = format!("compress_level of {kind:?}");
        let (min, max) = (u128::from(*levels.start()), u128::from(*levels.end()));
        within(&name, settings.compress_level.into(), min, max)?;
        self.client.register_producer(&group, checks)?;
        Ok(self.producer(group))
    }

    /// A producer of the client's own, for message traces: brokers do not hear of it.
    pub(crate) fn for_traces(mut self) -> Producer {
        self.settings.send_msg_timeout = Duration::from_secs(5);
        self.settings.max_message_size = trace::MESSAGE_LEN_MAX;
        self.settings.is_internal = true;
        let group = self.group.as_str().into();
        self.producer(group)
    }

    fn producer(self, group: Text) -> Producer {
        let Self { client, settings, .. } = self;
        let packing = Packing {
            group,
            in_namespace: !settings.is_internal,
            template: settings.template.clone(),
            compress_from: settings.compress_msg_body_over_howmuch,
            compress_type: settings.compress_type,
            compress_level: settings.compress_level,
            message_len_max: settings.max_message_size,
        };
        let faults = settings.send_latency_fault_enable.then(Mutex::default);
        let batcher = settings
            .auto_batch
            .then(|| Batcher::new(settings.batch_max_bytes, settings.total_batch_max_bytes));
        Producer {
            shared: Arc::new(Shared {
                client,
                packing,
                settings,
                faults,
                batcher,
                closed: AtomicBool::new(false),
            }),
        }
    }
}

/// Sends messages in the name of a producer group. Cheap to clone; all methods take `&self`.
///
/// ```
/// use ferrocket::Message;
///
/// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
/// let producer = client.producer("order-service").start().await?;
/// // Awaited until it is stored,
/// let sent = producer.send(Message::new("Orders", "created").key("o-42")).await?;
/// // in line behind others, with the receipt later,
/// let pending = producer.ordered("o-42").enqueue(Message::new("Orders", "paid").key("o-42")).await?;
/// println!("{sent}, then {}", pending.await?);
/// // or without any.
/// producer.send_oneway(Message::new("Clicks", "one more")).await?;
/// # Ok(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct Producer {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    packing: Packing,
    settings: Settings,
    /// How brokers did lately; `None` while avoidance is off. Held for one choice or one entry.
    faults: Option<Mutex<Faults>>,
    /// `None` unless sends are batched by themselves.
    batcher: Option<Batcher>,
    closed: AtomicBool,
}

impl Producer {
    /// Sends one message and waits for the broker's receipt. After a failure another broker is tried, while
    /// time is left.
    ///
    /// ```
    /// use ferrocket::{Message, SendStatus};
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let producer = client.producer("order-service").start().await?;
    /// let sent = producer.send(Message::new("Orders", "paid").tags("vip").key("o-42")).await?;
    /// assert_eq!(sent.status, SendStatus::SendOk);
    /// println!("{} is in {} at {}", sent.msg_id, sent.message_queue, sent.queue_offset);
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// What the last attempt met; the message comes back in [`Error::unsent`]. After
    /// [`ErrorKind::Timeout`] and [`ErrorKind::Connect`] it may have been stored all the same, and sending it
    /// again stores it twice, with the same `msg_id`.
    pub async fn send(&self, message: Message) -> Result<SendResult> {
        if let Some(batcher) = self.shared.batcher.as_ref().filter(|_| message.can_be_batched()) {
            return self.shared.send_batched(batcher, message).await;
        }
        let parcel = Parcel::single(message, &self.shared.packing, &self.shared.client)?;
        self.shared.deliver(parcel, self.shared.terms()).await
    }

    /// Sends several messages of one topic as one request: stored next to each other in one queue, all or
    /// none. Never compressed; together at most `max_message_size`.
    ///
    /// ```
    /// use ferrocket::Message;
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let producer = client.producer("order-service").start().await?;
    /// let lines = ["3 apples", "1 melon"].map(|line| Message::new("OrderLines", line).key("o-42"));
    /// let sent = producer.send_batch(lines.into()).await?;
    /// assert_eq!(sent.msg_id.split(',').count(), 2);
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`Producer::send`].
    pub async fn send_batch(&self, messages: Vec<Message>) -> Result<SendResult> {
        self.sending(Destination::Any).send_batch(messages).await
    }

    /// Queues a message: when this returns, its bytes are in line for the broker, behind those of all earlier
    /// calls for the same broker. The receipt is awaited later, or never. Failed attempts are repeated
    /// [`enqueue_retries`](ProducerBuilder::enqueue_retries) times, then out of line.
    ///
    /// Waits while as much is under way to the broker as it answers quickly, or to all of them as the client may
    /// have (`in_flight_max`, `in_flight_bytes_max`): a program that sends faster than its brokers store is held
    /// back, and nothing fails. The send timeout counts from when there is room.
    ///
    /// ```
    /// use ferrocket::Message;
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let producer = client.producer("order-service").start().await?;
    /// let mut pending = Vec::new();
    /// for number in 0..1_000 {
    ///     // Waits only while the brokers have enough to do.
    ///     pending.push(producer.enqueue(Message::new("Numbers", number.to_string())).await?);
    /// }
    /// for receipt in pending {
    ///     assert!(receipt.await?.is_ok());
    /// }
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// What can be known before sending: bad messages, no route; [`ErrorKind::FlowControl`] when brokers have
    /// stored nothing within the send timeout that would make room.
    pub async fn enqueue(&self, message: Message) -> Result<PendingSend> {
        self.sending(Destination::Any).enqueue(message).await
    }

    /// Queues several messages of one topic as one request, as [`Producer::send_batch`] sends them.
    ///
    /// ```
    /// use ferrocket::Message;
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let producer = client.producer("order-service").start().await?;
    /// let first = producer.enqueue_batch(vec![Message::new("Numbers", "1"), Message::new("Numbers", "2")]).await?;
    /// let second = producer.enqueue_batch(vec![Message::new("Numbers", "3")]).await?;
    /// println!("{} and {}", first.await?, second.await?);
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`Producer::enqueue`].
    pub async fn enqueue_batch(&self, messages: Vec<Message>) -> Result<PendingSend> {
        self.sending(Destination::Any).enqueue_batch(messages).await
    }

    /// Sends a message and waits for nothing but room in the connection. It may get lost.
    ///
    /// ```
    /// use ferrocket::Message;
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let producer = client.producer("metrics").start().await?;
    /// producer.send_oneway(Message::new("Metrics", "cpu 0.7")).await?;
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// What can be known before the bytes leave: bad messages, no route, no connection.
    pub async fn send_oneway(&self, message: Message) -> Result<()> {
        self.sending(Destination::Any).send_oneway(message).await
    }

    /// Sends a message to this queue. Tried once.
    ///
    /// ```
    /// use ferrocket::Message;
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let producer = client.producer("order-service").start().await?;
    /// # let sent = producer.send(Message::new("Orders", "the first")).await?;
    /// let queues = producer.fetch_queues("Orders").await?;
    /// let sent = producer.send_to(Message::new("Orders", "paid"), &queues[0]).await?;
    /// assert_eq!(sent.message_queue, queues[0]);
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`Producer::send`]; [`ErrorKind::InvalidMessage`] when queue and message name different topics,
    /// [`ErrorKind::Config`] for a negative queue id.
    pub async fn send_to(&self, message: Message, queue: &MessageQueue) -> Result<SendResult> {
        self.to(queue).send(message).await
    }

    /// Sends a message to the queue that all messages with this key go to, so that they keep their order:
    /// the queue that Java's `SelectMessageQueueByHash` picks for the same text. Tried once.
    ///
    /// ```
    /// use ferrocket::Message;
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let producer = client.producer("order-service").start().await?;
    /// let created = producer.send_ordered(Message::new("Orders", "created"), "o-42").await?;
    /// let paid = producer.send_ordered(Message::new("Orders", "paid"), "o-42").await?;
    /// assert_eq!(created.message_queue, paid.message_queue);
    /// assert!(created.queue_offset < paid.queue_offset);
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`Producer::send`].
    pub async fn send_ordered(&self, message: Message, key: &str) -> Result<SendResult> {
        self.ordered(key).send(message).await
    }

    /// Sends a message to the queue that `select` picks among those that can be written, which are ordered
    /// by broker and queue id. Tried once. Java: `MessageQueueSelector`.
    ///
    /// ```
    /// use ferrocket::Message;
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let producer = client.producer("order-service").start().await?;
    /// let shop = 7_usize;
    /// let message = Message::new("Orders", "paid");
    /// let sent = producer.send_with(message, |queues, _| queues.get(shop % queues.len()).cloned()).await?;
    /// assert_eq!(sent.message_queue.queue_id, 3);
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`Producer::send`]; [`ErrorKind::Config`] when `select` picks none.
    pub async fn send_with(
        &self,
        message: Message,
        select: impl FnOnce(&[MessageQueue], &Message) -> Option<MessageQueue> + Send,
    ) -> Result<SendResult> {
        self.with(select).send(message).await
    }

    /// The queues that messages of `topic` can be sent to. Java: `fetchPublishMessageQueues`.
    ///
    /// ```
    /// use ferrocket::Message;
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let producer = client.producer("order-service").start().await?;
    /// # let sent = producer.send(Message::new("Orders", "the first")).await?;
    /// // The same news for every queue.
    /// for queue in producer.fetch_queues("Orders").await? {
    ///     let sent = producer.send_to(Message::new("Orders", "end of day"), &queue).await?;
    /// }
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`Client::fetch_queues`].
    pub async fn fetch_queues(&self, topic: &str) -> Result<Vec<MessageQueue>> {
        self.shared.client.fetch_queues(topic).await
    }

    /// The group.
    pub fn group(&self) -> &str {
        &self.shared.packing.group
    }

    /// Ends this producer: further sends are refused, those under way finish by themselves, brokers are told.
    /// The client and its other producers and consumers go on. Further calls have no effect.
    ///
    /// ```
    /// use ferrocket::{ErrorKind, Message};
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// let producer = client.producer("order-service").start().await?;
    /// producer.shutdown().await;
    /// let refused = producer.send(Message::new("Orders", "late")).await.unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::Closed);
    /// // The group may be used anew.
    /// let producer = client.producer("order-service").start().await?;
    /// # Ok(()) }).unwrap();
    /// ```
    pub async fn shutdown(&self) {
        if !self.shared.closed.swap(true, Ordering::AcqRel) {
            self.shared.client.unregister_producer(&self.shared.packing.group).await;
        }
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("group", &self.group()).finish_non_exhaustive()
    }
}

/// The receipt of a queued message, to be awaited. Dropping it does not take the message back.
///
/// ```
/// use ferrocket::Message;
///
/// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
/// # let producer = client.producer("order-service").start().await?;
/// let pending = producer.enqueue(Message::new("Orders", "paid")).await?;
/// // Something else meanwhile, then
/// match pending.await {
///     Ok(sent) => println!("{sent}"),
///     Err(error) => println!("{error}; not sent: {:?}", error.unsent()),
/// }
/// # Ok(()) }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "without awaiting it nobody learns whether the message was stored"]
pub struct PendingSend(Receipt);

#[derive(Debug)]
enum Receipt {
    /// Rare: the first attempt failed at once, and was the last.
    Here(Box<future::Ready<Result<SendResult>>>),
    OnItsWay(JoinHandle<Result<SendResult>>),
}

impl Future for PendingSend {
    type Output = Result<SendResult>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Receipt::Here(receipt) => Pin::new(receipt).poll(cx),
            // The task goes without a word only when the runtime is torn down.
            Receipt::OnItsWay(task) => Pin::new(task)
                .poll(cx)
                .map(|ended| ended.unwrap_or_else(|_| Err(Error::closed("the runtime")))),
        }
    }
}

/// A parcel that has its share of the budget and its route, and is about to be tried.
struct Journey {
    parcel: Parcel,
    plan: SendPlan,
    route: Arc<TopicRoute>,
    /// The queue of the first attempt, if it was chosen before.
    first: Option<MessageQueue>,
    /// The way to that queue's broker, if it was looked up before.
    line: Option<Line>,
    /// Its place in the window of that queue's broker, until the first attempt has ended.
    room: Option<Room>,
    started: Instant,
    /// What a subscriber sees of it; ends with it.
    span: Span,
    _share: Share,
}

/// A broker's address, and the connection to it.
struct Line {
    addr: Text,
    connection: Connection,
}

impl Journey {
    /// The error with the messages that it is about.
    fn failed(self, error: Error) -> Error {
        error.with_unsent(self.parcel.into_messages())
    }

    /// The journey to the queue that `select` picks, and to no other.
    fn select(
        mut self,
        client: &Client,
        select: impl FnOnce(&[MessageQueue], &Message) -> Option<MessageQueue>,
    ) -> Result<Self> {
        let message = self.parcel.message();
        match message.and_then(|message| match client.config().namespace.is_empty() {
            true => select(self.route.publish_queues(), message),
            false => select(&client.bare_queues(self.route.publish_queues()), message),
        }) {
            Some(mut queue) if queue.queue_id >= 0 => {
                self.plan.only_once();
                // As those that the producer chooses: hooks see it.
                queue.topic = self.route.topic().clone();
                self.first = Some(queue);
                Ok(self)
            }
            chosen => {
                // For such a number the broker would choose a queue itself.
                let text = chosen.map_or_else(
                    || "select message queue return null.".to_owned(),
                    |queue| format!("the id of {queue} must be at least 0"),
                );
                Err(Error::new(ErrorKind::Config, text).with_unsent(self.parcel.into_messages()))
            }
        }
    }
}

impl Shared {
    /// Milliseconds of a clock that tests can move: differences of it are all that counts.
    fn now_ms(&self) -> i64 {
        self.ms(Instant::now())
    }

    fn ms(&self, now: Instant) -> i64 {
        now.duration_since(self.client.epoch()).as_millis() as i64
    }

    /// What a send is told that is told nothing.
    fn terms(&self) -> Terms<'_> {
        Terms { destination: Destination::Any, timeout: self.settings.send_msg_timeout }
    }

    async fn deliver(&self, parcel: Parcel, Terms { destination, timeout }: Terms<'_>) -> Result<SendResult> {
        let patience = Patience { timeout, while_moving: false };
        let journey = self.depart(parcel, patience).await?.bound_for(destination, &self.client)?;
        self.go(journey).await
    }

    async fn send_oneway(&self, parcel: Parcel, Terms { destination, timeout }: Terms<'_>) -> Result<()> {
        let patience = Patience { timeout, while_moving: false };
        let mut journey = self.depart(parcel, patience).await?.bound_for(destination, &self.client)?;
        let sent = match journey.first.take().or_else(|| self.choose(&journey.plan, &journey.route)) {
            Some(queue) => self.oneway(&journey, &queue).await,
            None => Err(no_queue(journey.parcel.topic())),
        };
        sent.map_err(|error| journey.failed(error))
    }

    async fn enqueue(
        self: &Arc<Self>,
        parcel: Parcel,
        Terms { destination, timeout }: Terms<'_>,
    ) -> Result<PendingSend> {
        let (patience, is_free) = (Patience { timeout, while_moving: true }, destination.is_any());
        // Everything that could make the first attempt wait comes before it, so that the order of calls is the
        // order of bytes.
        let mut journey = self.depart(parcel, patience).await?.bound_for(destination, &self.client)?;
        if let Err(error) = self.board(&mut journey, patience).await {
            return Err(journey.failed(error));
        }
        // The time counts from now.
        journey.started = Instant::now();
        journey.plan.restart(self.ms(journey.started), as_millis(timeout));
        let first = journey.first.as_ref();
        let addr = first.and_then(|queue| self.addr(&queue.broker_name));
        let ready = addr.and_then(|addr| {
            let connection = self.client.dialer().existing(&addr)?;
            Some(Line { addr, connection })
        });
        journey.line = match ready {
            Some(line) => Some(line),
            // Rare, so that it may have memory of its own.
            None => match Box::pin(self.line(&journey, timeout)).await {
                Ok(line) => Some(line),
                // It shows again in the attempt itself, and others follow.
                Err(_) if is_free => None,
                // An attempt that waits now would be overtaken.
                Err(error) => return Err(journey.failed(error)),
            },
        };
        let owner = Arc::clone(self);
        // By reference: what an async function takes by value it keeps twice, and moves.
        let mut sending = Box::pin(async move {
            let sent = owner.travel(&mut journey).await;
            sent.map_err(|error| journey.failed(error))
        });
        let first = poll_fn(|cx| Poll::Ready(sending.as_mut().poll(cx))).await;
        Ok(PendingSend(match first {
            Poll::Ready(result) => Receipt::Here(Box::new(future::ready(result))),
            Poll::Pending => Receipt::OnItsWay(tokio::spawn(sending)),
        }))
    }

    /// The time of the next attempt, when so much is left for all.
    fn attempt_timeout(&self, plan: &SendPlan, left: Duration) -> Duration {
        let max = self.settings.send_msg_max_timeout_per_request.filter(|_| plan.has_another());
        max.map_or(left, |max| left.min(max))
    }

    /// The way to the broker of the first attempt.
    async fn line(&self, journey: &Journey, timeout: Duration) -> Result<Line> {
        let timeout = self.attempt_timeout(&journey.plan, timeout);
        let Some(queue) = &journey.first else { return Err(no_queue(journey.parcel.topic())) };
        let ready = async {
            let addr = match self.addr(&queue.broker_name) {
                Some(addr) => addr,
                None => self.find_master(journey.route.topic(), queue, timeout).await?,
            };
            let connection = self.client.dialer().connection(&addr).await?;
            Ok(Line { addr, connection })
        };
        let began_ms = self.now_ms();
        let line = tokio::time::timeout(timeout, ready).await.unwrap_or_else(|_| {
            let text = format!("broker {} was not connected to within {timeout:?}", queue.broker_name);
            Err(Error::new(ErrorKind::Timeout, text))
        });
        if line.is_err() {
            self.record(&queue.broker_name, began_ms, true);
        }
        line
    }

    /// Whether sends are taken.
    fn check_open(&self) -> Result<()> {
        let is_open = self.client.takes_sends() || self.settings.is_internal;
        match is_open && !self.closed.load(Ordering::Acquire) {
            true => Ok(()),
            false => Err(Error::closed(&format!("producer {}", self.packing.group))),
        }
    }

    /// Takes a share of the budget and finds the route, unless sends are refused.
    fn depart(&self, parcel: Parcel, patience: Patience) -> impl Future<Output = Result<Journey>> {
        self.set_out(parcel, patience, self.check_open())
    }

    /// The same for what may be `open` to sends that were taken before.
    async fn set_out(&self, parcel: Parcel, patience: Patience, open: Result<()>) -> Result<Journey> {
        let started = Instant::now();
        let settings = &self.settings;
        // Only what is queued waits for as long as others get on.
        let retries = match patience.while_moving {
            true => settings.retry_times_when_send_async_failed,
            false => settings.retry_times_when_send_failed,
        };
        let plan = SendPlan::new(retries, self.ms(started), as_millis(patience.timeout));
        let span = spans::send(&self.client, parcel.topic(), &self.packing.group, || parcel.msg_id());
        let ready = async {
            open?;
            let share = self.client.in_flight().take(parcel.weight(), patience).await?;
            if let Some(route) = self.client.known_publish_route(parcel.topic()) {
                return Ok((share, route));
            }
            let route = self.client.publish_route(parcel.topic(), &self.packing.template);
            let left = match patience.while_moving {
                true => patience.timeout,
                false => millis(plan.remaining_ms(self.now_ms()).unwrap_or(0)),
            };
            // Rare: with memory of its own it is no part of every send.
            match Box::pin(tokio::time::timeout(left, route)).await {
                Ok(route) => Ok((share, route?)),
                Err(_) => {
                    let (topic, timeout) = (parcel.topic(), patience.timeout);
                    let text = format!("no NameServer answered about {topic} within {timeout:?}");
                    Err(Error::new(ErrorKind::Timeout, text))
                }
            }
        };
        match ready.await {
            Ok((share, route)) => Ok(Journey {
                parcel,
                plan,
                route,
                first: None,
                line: None,
                room: None,
                started,
                span,
                _share: share,
            }),
            Err(error) => Err(error.with_unsent(parcel.into_messages())),
        }
    }

    /// Chooses the queue of the first attempt, unless that is done, and takes room in its broker's window. While
    /// that is full a free choice falls on another broker that has room; and if none has, on whichever has first of
    /// the chosen one and the one that last stored something: nobody waits for a broker that hangs while another
    /// works.
    async fn board(&self, journey: &mut Journey, patience: Patience) -> Result<()> {
        let given = journey.first.take();
        let is_free = given.is_none() && self.faults.is_none();
        let Some(mut queue) = given.or_else(|| self.choose(&journey.plan, &journey.route)) else {
            return Err(no_queue(journey.parcel.topic()));
        };
        let in_flight = self.client.in_flight();
        let lane = in_flight.lane(&queue.broker_name);
        let mut room = lane.try_enter();
        let mut other: Option<(&MessageQueue, Arc<Lane>)> = None;
        if room.is_none() && is_free {
            let full = queue.broker_name.clone();
            for elsewhere in other_brokers(&journey.route, &full, self.client.next_turn()) {
                let next = in_flight.lane(&elsewhere.broker_name);
                room = next.try_enter();
                if room.is_some() {
                    queue = elsewhere.clone();
                    break;
                }
                if other.as_ref().is_none_or(|(_, known)| next.stored_ms() > known.stored_ms()) {
                    other = Some((elsewhere, next));
                }
            }
        }
        let room = match (room, other) {
            (Some(room), _) => room,
            (None, None) => lane.enter(patience).await?,
            (None, Some((elsewhere, other))) => {
                let (room, is_elsewhere) = lane.enter_either(&other, patience).await?;
                if is_elsewhere {
                    queue = elsewhere.clone();
                }
                room
            }
        };
        (journey.first, journey.room) = (Some(queue), Some(room));
        Ok(())
    }

    /// Waits for room within the time of the whole send, and tries.
    async fn go(&self, mut journey: Journey) -> Result<SendResult> {
        let timeout = millis(journey.plan.remaining_ms(self.now_ms()).unwrap_or(0));
        let boarded = self.board(&mut journey, Patience { timeout, while_moving: false }).await;
        let sent = match boarded {
            Ok(()) => self.travel(&mut journey).await,
            Err(error) => Err(error),
        };
        sent.map_err(|error| journey.failed(error))
    }

    /// Tries until the parcel is stored or the plan is at its end. Java: `sendDefaultImpl`.
    async fn travel(&self, journey: &mut Journey) -> Result<SendResult> {
        let mut sent: Option<SendResult> = None;
        let mut last: Option<Error> = None;
        let mut brokers: Vec<Text> = Vec::new();
        while journey.plan.has_attempt() {
            let chosen = journey.first.take().or_else(|| self.choose(&journey.plan, &journey.route));
            let Some(queue) = chosen else { break };
            let now = self.now_ms();
            let Some(left) = journey.plan.remaining_ms(now) else {
                last.get_or_insert_with(|| Error::new(ErrorKind::Timeout, "the time for this send is up"));
                break;
            };
            let timeout = self.attempt_timeout(&journey.plan, millis(left));
            journey.plan.attempt(&queue.broker_name);
            // Further attempts are few, and go without.
            let (room, line) = (journey.room.take(), journey.line.take());
            let result = self.attempt(journey, line, &queue, timeout).await;
            if let Some(room) = room {
                // Whoever is in a hurry does not make the broker slow.
                room.leave(answer_of(&result), millis(left).max(self.settings.send_msg_timeout));
            }
            self.record(&queue.broker_name, now, result.is_err());
            match result {
                Ok(result) if result.is_ok() || !self.settings.retry_another_broker_when_not_store_ok => {
                    return Ok(result);
                }
                Ok(result) => {
                    sent = Some(result);
                    brokers.push(queue.broker_name);
                }
                Err(error) => {
                    let topic = journey.parcel.topic();
                    // With the span switched off, it is inside the program's.
                    journey.span.in_scope(|| tracing::debug!(%topic, %queue, %error, "send failed"));
                    brokers.push(queue.broker_name);
                    let again = tries_again(&error);
                    last = Some(error);
                    if !again {
                        break;
                    }
                }
            }
        }
        // Stored somewhere, if less safely than hoped.
        if let Some(sent) = sent {
            return Ok(sent);
        }
        let error = last.unwrap_or_else(|| no_queue(journey.parcel.topic()));
        let cost = journey.started.elapsed().as_millis();
        Err(match brokers.len() {
            0 | 1 => error,
            times => error.with_context(format_args!(
                "Send [{times}] times, still failed, cost [{cost}]ms, Topic: {}, BrokersSent: [{}]",
                journey.parcel.topic(),
                brokers.join(", ")
            )),
        })
    }

    fn choose(&self, plan: &SendPlan, route: &TopicRoute) -> Option<MessageQueue> {
        let mut faults =
            self.faults.as_ref().map(|faults| faults.lock().unwrap_or_else(PoisonError::into_inner));
        // Only faults grow old.
        let now_ms = if faults.is_some() { self.now_ms() } else { 0 };
        choose_queue(route, plan.last_broker(), faults.as_deref_mut(), now_ms, || self.client.next_turn())
    }

    fn record(&self, broker: &Text, began_ms: i64, failed: bool) {
        if let Some(faults) = &self.faults {
            let now = self.now_ms();
            faults.lock().unwrap_or_else(PoisonError::into_inner).record(broker, now - began_ms, failed, now);
        }
    }

    async fn attempt(
        &self,
        journey: &Journey,
        line: Option<Line>,
        queue: &MessageQueue,
        timeout: Duration,
    ) -> Result<SendResult> {
        let (parcel, wire_topic) = (&journey.parcel, journey.route.topic());
        let (known, connection) = line.map(|line| (line.addr, line.connection)).unzip();
        let (addr, timeout) = match known.or_else(|| self.addr(&queue.broker_name)) {
            Some(addr) => (addr, timeout),
            None => {
                let asked = Instant::now();
                let addr = Box::pin(self.find_master(wire_topic, queue, timeout)).await?;
                (addr, timeout.saturating_sub(asked.elapsed()))
            }
        };
        let topic = self.client.unwrapped(wire_topic);
        let began_ms = now_ms();
        let request = parcel.request(wire_topic, queue, &self.packing, &self.client, began_ms);
        let body_len = request.body.len();
        let context = self.hook_context(parcel, queue, &addr);
        self.settings.hooks.before(&context);
        let span = spans::attempt(&journey.span, queue, &addr);
        let reply = match &connection {
            Some(connection) => {
                self.client.call_over(connection, &addr, request, timeout).instrument(span.clone()).await
            }
            None => self.client.call(&addr, request, timeout).instrument(span.clone()).await,
        };
        let answered = reply.and_then(|reply| {
            SendResult::from_reply(&reply, &addr, &topic, &queue.broker_name, parcel.msg_id())
        });
        self.settings.hooks.after(&context, answered.as_ref().map(Some));
        let result = answered?;
        spans::stored(&span, &result);
        let sent = trace::Sent {
            group: &self.packing.group,
            topic: &topic,
            message: parcel.message().filter(|_| !parcel.is_batch()),
            body_len,
            addr: &addr,
            began_ms,
            result: &result,
        };
        trace::sent(&self.client, &sent);
        Ok(result)
    }

    async fn oneway(&self, journey: &Journey, queue: &MessageQueue) -> Result<()> {
        let parcel = &journey.parcel;
        let left = || millis(journey.plan.remaining_ms(self.now_ms()).unwrap_or(1));
        let addr = match self.addr(&queue.broker_name) {
            Some(addr) => addr,
            None => self.find_master(parcel.topic(), queue, left()).await?,
        };
        let request = parcel.request(journey.route.topic(), queue, &self.packing, &self.client, now_ms());
        let context = self.hook_context(parcel, queue, &addr);
        self.settings.hooks.before(&context);
        let span = spans::attempt(&journey.span, queue, &addr);
        let sent = self.client.oneway_within(&addr, request, left()).instrument(span).await;
        self.settings.hooks.after(&context, sent.as_ref().map(|()| None));
        sent
    }

    fn hook_context<'a>(
        &'a self,
        parcel: &'a Parcel,
        queue: &'a MessageQueue,
        addr: &'a str,
    ) -> SendMessageContext<'a> {
        SendMessageContext {
            producer_group: &self.packing.group,
            messages: parcel.messages(),
            message_queue: queue,
            broker_addr: addr,
        }
    }

    /// The address to send to: the master's, or its second port. Java: `MixAll.brokerVIPChannel`.
    fn addr(&self, broker_name: &str) -> Option<Text> {
        let addr = self.client.master_addr(broker_name)?;
        if !self.client.config().vip_channel_enabled {
            return Some(addr);
        }
        let (host, port) = addr.rsplit_once(':')?;
        Some(format!("{host}:{}", port.parse::<u16>().ok()?.checked_sub(2)?).into())
    }

    /// The address to send to, when none is known: asks NameServers once more.
    async fn find_master(&self, topic: &Text, queue: &MessageQueue, timeout: Duration) -> Result<Text> {
        let fetch = self.client.fetch_route(topic, Some(&self.packing.template));
        if let Ok(fetched) = tokio::time::timeout(timeout, fetch).await {
            fetched?;
        }
        self.addr(&queue.broker_name).ok_or_else(|| Error::no_broker(&queue.broker_name))
    }
}

fn millis(left: i64) -> Duration {
    Duration::from_millis(u64::try_from(left).unwrap_or(0))
}

/// What a broker's window learns from an attempt.
fn answer_of(result: &Result<SendResult>) -> Answer {
    match result {
        Ok(_) => Answer::Stored,
        Err(error) => match error.kind() {
            // Not our own limit, but the broker's answer.
            ErrorKind::FlowControl if error.code().is_some() => Answer::Busy,
            ErrorKind::Timeout => Answer::Missing,
            _ => Answer::Other,
        },
    }
}

fn no_queue(topic: &Text) -> Error {
    Error::new(ErrorKind::NoRoute, format!("No route info of this topic: {topic}"))
}
