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
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferrocket_protocol::Text;
use ferrocket_protocol::body::message_queue::MessageQueue;
use tokio::time::Instant;

use crate::client::{Client, Template};
use crate::error::{Error, ErrorKind, Result};
use crate::fault::Faults;
use crate::in_flight::Patience;
use crate::message::Message;
use crate::message_ids::as_millis;
use crate::send_result::SendResult;
use crate::trace;
use crate::validate::{MS_MAX, check_group, check_topic, within};

mod batcher;
mod hooks;
mod journey;
mod parcel;
mod pending;
mod plan;
mod recall;
mod request;
mod sending;
mod transaction;

use batcher::{BATCH_MAX_BYTES, Batcher, TOTAL_BATCH_MAX_BYTES};
use hooks::Hooks;
pub use hooks::{SendMessageContext, SendMessageHook};
use journey::{Journey, Line};
pub use parcel::CompressionType;
use parcel::{Packing, Parcel};
pub use pending::PendingSend;
use plan::hash_index;
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
        let mut journey = self.journey(parcel, patience);
        let sent = async {
            self.depart(&mut journey, patience).await?;
            journey.bind(destination, &self.client)?;
            self.go(&mut journey).await
        };
        sent.await.map_err(|error| journey.failed(error))
    }

    async fn send_oneway(&self, parcel: Parcel, Terms { destination, timeout }: Terms<'_>) -> Result<()> {
        let patience = Patience { timeout, while_moving: false };
        let mut journey = self.journey(parcel, patience);
        let sent = async {
            self.depart(&mut journey, patience).await?;
            journey.bind(destination, &self.client)?;
            match journey.first.take().or_else(|| self.choose(&journey)) {
                Some(queue) => self.oneway(&journey, &queue).await,
                None => Err(journey.no_queue()),
            }
        };
        sent.await.map_err(|error| journey.failed(error))
    }

    async fn enqueue(
        self: &Arc<Self>,
        parcel: Parcel,
        Terms { destination, timeout }: Terms<'_>,
    ) -> Result<PendingSend> {
        let (patience, is_free) = (Patience { timeout, while_moving: true }, destination.is_any());
        let mut journey = self.journey(parcel, patience);
        // Everything that could make the first attempt wait comes before it, so that the order of calls is the
        // order of bytes.
        let ready = async {
            self.depart(&mut journey, patience).await?;
            journey.bind(destination, &self.client)?;
            self.board(&mut journey, patience).await?;
            // The time counts from now.
            journey.started = journey.now;
            journey.plan.restart(self.ms(journey.now), as_millis(timeout));
            match self.known_line(&journey) {
                Some(line) => Ok(Some(line)),
                // Rare, so that it may have memory of its own.
                None => match Box::pin(self.line(&mut journey, timeout)).await {
                    Ok(line) => Ok(Some(line)),
                    // It shows again in the attempt itself, and others follow.
                    Err(_) if is_free => Ok(None),
                    // An attempt that waits now would be overtaken.
                    Err(error) => Err(error),
                },
            }
        };
        let line = match ready.await {
            Ok(line) => line,
            Err(error) => return Err(journey.failed(error)),
        };
        let mut begun = None;
        if let Some(line) = line
            && let Some(leg) = self.set_off(&mut journey)
        {
            begun = Some(self.begin(&journey, leg, line).await);
        }
        Ok(PendingSend::new(Arc::clone(self), journey, begun))
    }

    /// The way to the broker of the first attempt, if it is there already.
    fn known_line(&self, journey: &Journey) -> Option<Line> {
        let addr = self.addr(&journey.first.as_ref()?.broker_name)?;
        let connection = self.client.dialer().existing(&addr)?;
        Some(Line { addr, connection })
    }

    /// The way to the broker of the first attempt.
    async fn line(&self, journey: &mut Journey, timeout: Duration) -> Result<Line> {
        let timeout = self.attempt_timeout(&journey.plan, timeout);
        let Some(queue) = &journey.first else { return Err(journey.no_queue()) };
        let ready = async {
            let addr = match self.addr(&queue.broker_name) {
                Some(addr) => addr,
                None => self.find_master(journey.route().topic(), queue, timeout).await?,
            };
            let connection = self.client.dialer().connection(&addr).await?;
            Ok(Line { addr, connection })
        };
        let line = tokio::time::timeout(timeout, ready).await.unwrap_or_else(|_| {
            let text = format!("broker {} was not connected to within {timeout:?}", queue.broker_name);
            Err(Error::new(ErrorKind::Timeout, text))
        });
        if line.is_err() {
            self.record(&queue.broker_name, journey.now, true);
            // Else it is part of the first attempt's time.
            journey.look();
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
    async fn depart(&self, journey: &mut Journey, patience: Patience) -> Result<()> {
        self.check_open()?;
        self.set_out(journey, patience).await
    }
}
