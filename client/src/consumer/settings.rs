//! What a consumer of any kind is set up with. Names and defaults are Java's, in Rust's case.
//!
//! Java counterparts: the settings of `DefaultMQPushConsumer`, `DefaultLitePullConsumer`, `DefaultMQPullConsumer`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ferrocket_protocol::body::heartbeat::{ConsumeFromWhere, MessageModel};
use ferrocket_protocol::body::message_queue::MessageQueue;

use crate::allocate::{AllocateMessageQueueStrategy, Averagely};
use crate::error::Result;
use crate::message_ids::now_ms;
use crate::validate::{MS_MAX, config, within};

/// Told of a topic's queues and of those among them that are ours. Java: `MessageQueueListener`.
pub(crate) type QueueListener = dyn Fn(&str, &[MessageQueue], &[MessageQueue]) + Send + Sync;

/// What a consumer was built with.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) message_model: MessageModel,
    pub(crate) consume_from_where: ConsumeFromWhere,
    pub(crate) consume_timestamp_ms: i64,
    pub(crate) strategy: Arc<dyn AllocateMessageQueueStrategy>,
    pub(crate) queue_listener: Option<Arc<QueueListener>>,
    pub(crate) concurrency: usize,
    pub(crate) consume_max_span: i64,
    pub(crate) pull_threshold_for_queue: usize,
    pub(crate) pull_threshold_size_for_queue: usize,
    pub(crate) pull_threshold_for_topic: Option<usize>,
    pub(crate) pull_threshold_size_for_topic: Option<usize>,
    pub(crate) pull_threshold_for_all: usize,
    pub(crate) pull_interval: Duration,
    pub(crate) pull_batch_size: i32,
    pub(crate) broker_suspend_max: Duration,
    pub(crate) pull_timeout: Duration,
    pub(crate) consume_message_batch_max_size: usize,
    pub(crate) post_subscription_when_pull: bool,
    pub(crate) max_reconsume_times: Option<i32>,
    pub(crate) suspend_current_queue_time: Duration,
    pub(crate) consume_timeout: Duration,
    pub(crate) auto_commit: bool,
    pub(crate) await_termination: Duration,
    pub(crate) persist_interval: Duration,
    pub(crate) rebalance_interval: Duration,
    pub(crate) pull_delay_on_failure: Duration,
    pub(crate) offset_dir: Option<PathBuf>,
}

impl Settings {
    /// Java's defaults of a push consumer.
    pub(crate) fn push() -> Self {
        Self {
            message_model: MessageModel::Clustering,
            consume_from_where: ConsumeFromWhere::LastOffset,
            consume_timestamp_ms: now_ms() - 30 * 60 * 1000,
            strategy: Arc::new(Averagely),
            queue_listener: None,
            concurrency: 20,
            consume_max_span: 2000,
            pull_threshold_for_queue: 1000,
            pull_threshold_size_for_queue: 100,
            pull_threshold_for_topic: None,
            pull_threshold_size_for_topic: None,
            pull_threshold_for_all: usize::MAX,
            pull_interval: Duration::ZERO,
            pull_batch_size: 32,
            broker_suspend_max: Duration::from_secs(15),
            pull_timeout: Duration::from_secs(30),
            consume_message_batch_max_size: 1,
            post_subscription_when_pull: false,
            max_reconsume_times: None,
            suspend_current_queue_time: Duration::from_secs(1),
            consume_timeout: Duration::from_secs(15 * 60),
            auto_commit: true,
            await_termination: Duration::from_secs(30),
            persist_interval: Duration::from_secs(5),
            rebalance_interval: Duration::from_secs(20),
            pull_delay_on_failure: Duration::from_secs(1),
            offset_dir: None,
        }
    }

    /// Java's defaults of a lite pull consumer.
    pub(crate) fn lite_pull() -> Self {
        Self {
            pull_threshold_for_all: 10_000,
            pull_batch_size: 10,
            broker_suspend_max: Duration::from_secs(20),
            post_subscription_when_pull: true,
            ..Self::push()
        }
    }

    /// Refuses what cannot work, by name.
    pub(crate) fn check(&self) -> Result<()> {
        within("concurrency", self.concurrency as u128, 1, 1000)?;
        within("consume_max_span", self.consume_max_span.unsigned_abs().into(), 1, 65_535)?;
        within("pull_threshold_for_queue", self.pull_threshold_for_queue as u128, 1, 65_535)?;
        within("pull_threshold_size_for_queue", self.pull_threshold_size_for_queue as u128, 1, 1024)?;
        if let Some(messages) = self.pull_threshold_for_topic {
            within("pull_threshold_for_topic", messages as u128, 1, 6_553_500)?;
        }
        if let Some(mib) = self.pull_threshold_size_for_topic {
            within("pull_threshold_size_for_topic", mib as u128, 1, 102_400)?;
        }
        within("pull_threshold_for_all", self.pull_threshold_for_all as u128, 1, u128::MAX)?;
        within("pull_interval (ms)", self.pull_interval.as_millis(), 0, 65_535)?;
        within("pull_batch_size", self.pull_batch_size.unsigned_abs().into(), 1, 1024)?;
        let suspend = self.broker_suspend_max.as_millis();
        within("broker_suspend_max_time (ms)", suspend, 1, MS_MAX)?;
        within("consumer_timeout_when_suspend (ms)", self.pull_timeout.as_millis(), suspend, u128::MAX)?;
        within("consume_message_batch_max_size", self.consume_message_batch_max_size as u128, 1, 1024)?;
        within("consume_timeout (ms)", self.consume_timeout.as_millis(), 1, MS_MAX)?;
        within("persist_consumer_offset_interval (ms)", self.persist_interval.as_millis(), 1, MS_MAX)?;
        within("rebalance_interval (ms)", self.rebalance_interval.as_millis(), 1, MS_MAX)?;
        if self.message_model == MessageModel::Unknown || self.consume_from_where == ConsumeFromWhere::Unknown
        {
            return Err(config("message_model and consume_from must be known values"));
        }
        Ok(())
    }
}

/// Setters for builders with the field `settings`: those of `every` builder, those of builders for `subscribing`
/// consumers, which have the field `subscriptions`, too, and those of consumers that pull `on_demand`.
macro_rules! consumer_settings {
    (every) => {
        /// `messageModel`: whether each message goes to one consumer of the group (default) or to all.
        ///
        /// A broadcasting consumer keeps its offsets in a file and does not try failed messages again.
        ///
        /// ```
        /// use ferrocket::MessageModel;
        ///
        /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
        /// # let folder = std::env::temp_dir();
        /// // Every instance gets every message.
        /// let consumer = client
        ///     .push_consumer("caches")
        ///     .message_model(MessageModel::Broadcasting)
        ///     .local_offset_store_dir(folder)
        ///     .subscribe("PriceChanges", "*")
        ///     .on_message(|message| async move { println!("forget {:?}", message.keys().next()) })
        ///     .start()
        ///     .await?;
        /// # Ok(()) }).unwrap();
        /// ```
        pub fn message_model(mut self, model: $crate::MessageModel) -> Self {
            self.settings.message_model = model;
            self
        }

        /// `allocateMessageQueueStrategy`: how queues are divided within the group. Default:
        /// [`Averagely`](crate::allocate::Averagely). All consumers of a group must use the same.
        ///
        /// ```
        /// use ferrocket::allocate::ConsistentHash;
        ///
        /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
        /// // A member that comes or goes moves few queues.
        /// let consumer = client
        ///     .push_consumer("billing")
        ///     .allocate(ConsistentHash::default())
        ///     .subscribe("Orders", "*")
        ///     .on_message(|_| async {})
        ///     .start()
        ///     .await?;
        /// # Ok(()) }).unwrap();
        /// ```
        pub fn allocate(mut self, strategy: impl $crate::allocate::AllocateMessageQueueStrategy) -> Self {
            self.settings.strategy = std::sync::Arc::new(strategy);
            self
        }

        /// `rocketmq.client.localOffsetStoreDir`: folder of a broadcasting consumer's offsets.
        /// Default `.rocketmq_offsets` in the home directory.
        pub fn local_offset_store_dir(mut self, dir: impl Into<std::path::PathBuf>) -> Self {
            self.settings.offset_dir = Some(dir.into());
            self
        }
    };
    (subscribing) => {
        /// Subscribes to a topic, whose queues are divided within the group; several calls make several topics.
        /// Text is `*` (or empty) for every message, or tags with `||` between them;
        /// [`MessageSelector::by_sql`](crate::MessageSelector::by_sql) selects by properties. A second
        /// subscription to the topic replaces the first. Java: `subscribe`.
        ///
        /// ```
        /// use ferrocket::MessageSelector;
        ///
        /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
        /// let consumer = client
        ///     .push_consumer("billing")
        ///     .subscribe("Orders", "paid || refunded")
        ///     .subscribe("Claims", MessageSelector::by_sql("amount > 1000"))
        ///     .on_message(|_| async {})
        ///     .start()
        ///     .await?;
        /// # Ok(()) }).unwrap();
        /// ```
        pub fn subscribe(mut self, topic: &str, selector: impl Into<$crate::MessageSelector>) -> Self {
            self.subscriptions.retain(|(known, _)| known != topic);
            self.subscriptions.push((topic.to_owned(), selector.into()));
            self
        }

        /// `consumeFromWhere`: where a group without stored offset begins. Default: the end of the queue.
        pub fn consume_from(mut self, from: $crate::ConsumeFromWhere) -> Self {
            self.settings.consume_from_where = from;
            self
        }

        /// `consumeTimestamp`: the time for `ConsumeFromWhere::Timestamp`. Default: 30 minutes ago.
        ///
        /// ```
        /// use std::time::{Duration, SystemTime};
        ///
        /// use ferrocket::ConsumeFromWhere;
        ///
        /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
        /// let consumer = client
        ///     .lite_pull_consumer("audit")
        ///     .subscribe("Orders", "*")
        ///     .consume_from(ConsumeFromWhere::Timestamp)
        ///     .consume_timestamp(SystemTime::now() - Duration::from_secs(24 * 60 * 60))
        ///     .start()
        ///     .await?;
        /// # Ok(()) }).unwrap();
        /// ```
        pub fn consume_timestamp(mut self, time: std::time::SystemTime) -> Self {
            self.settings.consume_timestamp_ms = $crate::message_ids::ms_of(time);
            self
        }

        /// `messageQueueListener`: called after each change with a topic, all its queues, and those among them
        /// that are this consumer's now. It must return soon; a panic in it is logged.
        ///
        /// ```
        /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
        /// let consumer = client
        ///     .lite_pull_consumer("audit")
        ///     .subscribe("Orders", "*")
        ///     .message_queue_listener(|topic, all, mine| println!("{topic}: {} of {}", mine.len(), all.len()))
        ///     .start()
        ///     .await?;
        /// # Ok(()) }).unwrap();
        /// ```
        pub fn message_queue_listener(
            mut self,
            listener: impl Fn(&str, &[$crate::MessageQueue], &[$crate::MessageQueue]) + Send + Sync + 'static,
        ) -> Self {
            self.settings.queue_listener = Some(std::sync::Arc::new(listener));
            self
        }

        /// `pullThresholdForQueue`: pulling of a queue pauses with more messages in memory, 1 to 65535.
        /// Default 1000.
        pub fn pull_threshold_for_queue(mut self, messages: usize) -> Self {
            self.settings.pull_threshold_for_queue = messages;
            self
        }

        /// `pullThresholdSizeForQueue`: pulling of a queue pauses with more MiB in memory, 1 to 1024.
        /// Default 100.
        pub fn pull_threshold_size_for_queue(mut self, mib: usize) -> Self {
            self.settings.pull_threshold_size_for_queue = mib;
            self
        }

        /// `rocketmq.client.rebalance.waitInterval`: time between two divisions of queues when nobody came or
        /// went. Default 20 s.
        pub fn rebalance_interval(mut self, interval: std::time::Duration) -> Self {
            self.settings.rebalance_interval = interval;
            self
        }

        /// `pullTimeDelayMillsWhenException`: pause after a failed pull. Default 1 s.
        pub fn pull_time_delay_when_exception(mut self, delay: std::time::Duration) -> Self {
            self.settings.pull_delay_on_failure = delay;
            self
        }
    };
    (on_demand) => {
        /// `brokerSuspendMaxTimeMillis`: how long a broker holds a pull that may wait and finds nothing.
        /// Default 20 s.
        pub fn broker_suspend_max_time(mut self, time: std::time::Duration) -> Self {
            self.settings.broker_suspend_max = time;
            self
        }

        /// `consumerTimeoutMillisWhenSuspend`: how long such a pull waits for its answer, at least as long as
        /// the broker may hold it. Default 30 s.
        pub fn consumer_timeout_when_suspend(mut self, timeout: std::time::Duration) -> Self {
            self.settings.pull_timeout = timeout;
            self
        }
    };
}
pub(crate) use consumer_settings;
