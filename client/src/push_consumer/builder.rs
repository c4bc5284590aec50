//! How a push consumer is set up and started.
//!
//! Names and defaults are Java's, in Rust's case. Java counterpart: the settings of `DefaultMQPushConsumer`.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ferrocket_protocol::Text;
use ferrocket_protocol::body::heartbeat::{ConsumeFromWhere, MessageModel};
use tokio::sync::{Notify, OnceCell, mpsc};

use super::calls::Calls;
use super::listener::{
    ConsumeOrderlyResult, ConsumeResult, Listener, MessageListenerConcurrently, MessageListenerOrderly,
};
use super::registered::Registered;
use super::signal::Signal;
use super::workers::Workers;
use super::{Consumer, PushConsumer, Subscription, config};
use crate::allocate::{AllocateMessageQueueStrategy, Averagely};
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::message::{MessageExt, RETRY_TOPIC_PREFIX};
use crate::message_ids::now_ms;
use crate::offset_store::{OffsetFile, OffsetStore, Place};
use crate::rebalance;
use crate::validate::check_group;

/// Commands that wait for the keeper at most; more are refused with a log line.
const COMMANDS_MAX: usize = 256;

/// What a consumer was built with.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) message_model: MessageModel,
    pub(crate) consume_from_where: ConsumeFromWhere,
    pub(crate) consume_timestamp_ms: i64,
    pub(crate) strategy: Arc<dyn AllocateMessageQueueStrategy>,
    pub(crate) concurrency: usize,
    pub(crate) consume_concurrently_max_span: i64,
    pub(crate) pull_threshold_for_queue: usize,
    pub(crate) pull_threshold_size_for_queue: usize,
    pub(crate) pull_threshold_for_topic: Option<usize>,
    pub(crate) pull_threshold_size_for_topic: Option<usize>,
    pub(crate) pull_interval: Duration,
    pub(crate) pull_batch_size: i32,
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

/// Sets up a [`PushConsumer`]. Obtained from [`Client::push_consumer`]; names and defaults are Java's.
#[must_use]
pub struct PushConsumerBuilder {
    client: Client,
    group: Text,
    subscriptions: Vec<(String, String)>,
    listener: Option<Listener>,
    /// The listener takes one message at a time, whatever the batch size.
    single: bool,
    settings: Settings,
}

impl Client {
    /// A push consumer of this group, to be set up and started.
    ///
    /// ```no_run
    /// use ferrocket::{Client, ConsumeResult};
    ///
    /// # async fn run() -> ferrocket::Result<()> {
    /// let client = Client::builder("127.0.0.1:9876").build()?;
    /// let consumer = client
    ///     .push_consumer("billing")
    ///     .subscribe("Orders", "paid || refunded")
    ///     .on_message(|message| async move {
    ///         println!("{}: {} bytes", message.msg_id, message.body.len());
    ///         ConsumeResult::Success
    ///     })
    ///     .start()
    ///     .await?;
    /// # consumer.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn push_consumer(&self, group: &str) -> PushConsumerBuilder {
        PushConsumerBuilder::new(self.clone(), group)
    }
}

impl PushConsumerBuilder {
    fn new(client: Client, group: &str) -> Self {
        let settings = Settings {
            message_model: MessageModel::Clustering,
            consume_from_where: ConsumeFromWhere::LastOffset,
            consume_timestamp_ms: now_ms() - 30 * 60 * 1000,
            strategy: Arc::new(Averagely),
            concurrency: 20,
            consume_concurrently_max_span: 2000,
            pull_threshold_for_queue: 1000,
            pull_threshold_size_for_queue: 100,
            pull_threshold_for_topic: None,
            pull_threshold_size_for_topic: None,
            pull_interval: Duration::ZERO,
            pull_batch_size: 32,
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
        };
        Self {
            client,
            group: group.into(),
            subscriptions: Vec::new(),
            listener: None,
            single: false,
            settings,
        }
    }

    /// Subscribes to a topic. `expression` is `*` (or empty) for every message, or tags with `||` between
    /// them. A second subscription to the topic replaces the first.
    pub fn subscribe(mut self, topic: &str, expression: &str) -> Self {
        self.subscriptions.retain(|(known, _)| known != topic);
        self.subscriptions.push((topic.to_owned(), expression.to_owned()));
        self
    }

    /// Has `listener` consume messages in any order, many at once. The last listener or closure given is the
    /// consumer's.
    ///
    /// ```no_run
    /// use async_trait::async_trait;
    /// use ferrocket::{ConsumeResult, MessageExt, MessageListenerConcurrently};
    ///
    /// struct Billing {
    ///     currency: String,
    /// }
    ///
    /// #[async_trait]
    /// impl MessageListenerConcurrently for Billing {
    ///     async fn consume_message(&self, messages: Vec<MessageExt>) -> ConsumeResult {
    ///         println!("{} orders in {}", messages.len(), self.currency);
    ///         ConsumeResult::Success
    ///     }
    /// }
    ///
    /// # async fn run(client: ferrocket::Client) -> ferrocket::Result<()> {
    /// let billing = Billing { currency: "EUR".into() };
    /// client.push_consumer("billing").subscribe("Orders", "paid").listener(billing).start().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn listener(mut self, listener: impl MessageListenerConcurrently) -> Self {
        self.listener = Some(Listener::Concurrently(Arc::new(listener)));
        self.single = false;
        self
    }

    /// Has `listener` consume the messages of each queue in order, one call at a time per queue; different
    /// queues run at once. Failed messages come again after a pause, and their queue waits for them.
    pub fn orderly_listener(mut self, listener: impl MessageListenerOrderly) -> Self {
        self.listener = Some(Listener::Orderly(Arc::new(listener)));
        self.single = false;
        self
    }

    /// Calls `handle` for each message, many at once. It answers a [`ConsumeResult`], `()` for success, or a
    /// `Result` whose error means that the message comes again later, as it does after a panic.
    pub fn on_message<F, A>(self, handle: F) -> Self
    where
        F: Fn(MessageExt) -> A + Send + Sync + 'static,
        A: Future<Output: Into<ConsumeResult>> + Send + 'static,
    {
        // The list never holds more than one message, see `start`.
        let mut builder = self.on_batch(move |messages| {
            let answer = messages.into_iter().next().map(&handle);
            async move {
                match answer {
                    Some(answer) => answer.await.into(),
                    None => ConsumeResult::Success,
                }
            }
        });
        builder.single = true;
        builder
    }

    /// Calls `handle` for up to [`consume_message_batch_max_size`](Self::consume_message_batch_max_size)
    /// messages of one queue at a time.
    pub fn on_batch<F, A>(self, handle: F) -> Self
    where
        F: Fn(Vec<MessageExt>) -> A + Send + Sync + 'static,
        A: Future<Output: Into<ConsumeResult>> + Send + 'static,
    {
        self.listener(handle)
    }

    /// Calls `handle` for each message of a queue in order, one at a time per queue; different queues run at
    /// once. A failed message comes again after a pause, and the queue waits for it.
    pub fn on_message_orderly<F, A>(self, handle: F) -> Self
    where
        F: Fn(MessageExt) -> A + Send + Sync + 'static,
        A: Future<Output: Into<ConsumeOrderlyResult>> + Send + 'static,
    {
        // The list never holds more than one message, see `start`.
        let mut builder = self.on_batch_orderly(move |messages| {
            let answer = messages.into_iter().next().map(&handle);
            async move {
                match answer {
                    Some(answer) => answer.await.into(),
                    None => ConsumeOrderlyResult::Success,
                }
            }
        });
        builder.single = true;
        builder
    }

    /// Calls `handle` in order for up to
    /// [`consume_message_batch_max_size`](Self::consume_message_batch_max_size) messages at a time.
    pub fn on_batch_orderly<F, A>(self, handle: F) -> Self
    where
        F: Fn(Vec<MessageExt>) -> A + Send + Sync + 'static,
        A: Future<Output: Into<ConsumeOrderlyResult>> + Send + 'static,
    {
        self.orderly_listener(handle)
    }

    /// `messageModel`: whether each message goes to one consumer of the group (default) or to all.
    ///
    /// A broadcasting consumer keeps its offsets in a file and does not try failed messages again.
    pub fn message_model(mut self, model: MessageModel) -> Self {
        self.settings.message_model = model;
        self
    }

    /// `consumeFromWhere`: where a group without stored offset begins. Default: the end of the queue.
    pub fn consume_from(mut self, from: ConsumeFromWhere) -> Self {
        self.settings.consume_from_where = from;
        self
    }

    /// `consumeTimestamp`: the time for [`ConsumeFromWhere::Timestamp`]. Default: 30 minutes ago.
    pub fn consume_timestamp(mut self, time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.settings.consume_timestamp_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        self
    }

    /// `allocateMessageQueueStrategy`: how queues are divided within the group. Default: [`Averagely`].
    /// All consumers of a group must use the same.
    pub fn allocate(mut self, strategy: impl AllocateMessageQueueStrategy) -> Self {
        self.settings.strategy = Arc::new(strategy);
        self
    }

    /// Handlers at work at once, 1 to 1000. Default 20. Java: `consumeThreadMin` and `consumeThreadMax`.
    pub fn concurrency(mut self, handlers: usize) -> Self {
        self.settings.concurrency = handlers;
        self
    }

    /// `consumeConcurrentlyMaxSpan`: pulling of a queue pauses when its oldest and newest message in memory
    /// are further apart, 1 to 65535. Default 2000. Not for orderly consumers.
    pub fn consume_concurrently_max_span(mut self, offsets: u32) -> Self {
        self.settings.consume_concurrently_max_span = i64::from(offsets);
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

    /// `pullThresholdForTopic`: messages in memory over all queues, 1 to 6,553,500; each queue gets an equal
    /// part instead of its own threshold. Default: none.
    pub fn pull_threshold_for_topic(mut self, messages: usize) -> Self {
        self.settings.pull_threshold_for_topic = Some(messages);
        self
    }

    /// `pullThresholdSizeForTopic`: MiB in memory over all queues, 1 to 102,400. Default: none.
    pub fn pull_threshold_size_for_topic(mut self, mib: usize) -> Self {
        self.settings.pull_threshold_size_for_topic = Some(mib);
        self
    }

    /// `pullInterval`: pause between two pulls of a queue, at most 65,535 ms. Default none.
    pub fn pull_interval(mut self, interval: Duration) -> Self {
        self.settings.pull_interval = interval;
        self
    }

    /// `pullBatchSize`: messages per pull, 1 to 1024. Default 32.
    pub fn pull_batch_size(mut self, messages: u16) -> Self {
        self.settings.pull_batch_size = i32::from(messages);
        self
    }

    /// `consumeMessageBatchMaxSize`: messages per call of a listener, 1 to 1024. Default 1. Closures of
    /// [`on_message`](Self::on_message) and [`on_message_orderly`](Self::on_message_orderly) get one in any case.
    pub fn consume_message_batch_max_size(mut self, messages: usize) -> Self {
        self.settings.consume_message_batch_max_size = messages;
        self
    }

    /// `postSubscriptionWhenPull`: whether every pull carries the expression. Default no.
    pub fn post_subscription_when_pull(mut self, post: bool) -> Self {
        self.settings.post_subscription_when_pull = post;
        self
    }

    /// `maxReconsumeTimes`: how often a failed message comes again before it becomes a dead letter.
    /// Default: 16 times, in orderly consumption without end.
    pub fn max_reconsume_times(mut self, times: u16) -> Self {
        self.settings.max_reconsume_times = Some(i32::from(times));
        self
    }

    /// `suspendCurrentQueueTimeMillis`: pause of an orderly queue after a failure, kept between 10 ms and
    /// 30 s. Default 1 s.
    pub fn suspend_current_queue_time(mut self, pause: Duration) -> Self {
        self.settings.suspend_current_queue_time = pause;
        self
    }

    /// `consumeTimeout`: a message whose handler runs longer is given back to the broker for another try.
    /// Default 15 minutes. Not for orderly consumers.
    pub fn consume_timeout(mut self, timeout: Duration) -> Self {
        self.settings.consume_timeout = timeout;
        self
    }

    /// Whether an orderly handler's success commits at once (default), or only its
    /// [`ConsumeOrderlyResult::Commit`]. Java: `ConsumeOrderlyContext.autoCommit`.
    pub fn auto_commit(mut self, auto_commit: bool) -> Self {
        self.settings.auto_commit = auto_commit;
        self
    }

    /// `awaitTerminationMillisWhenShutdown`: how long a shutdown waits for running handlers. Default 30 s
    /// (Java: 0, which abandons them).
    pub fn await_termination_when_shutdown(mut self, wait: Duration) -> Self {
        self.settings.await_termination = wait;
        self
    }

    /// `persistConsumerOffsetInterval`: time between two commits of offsets. Default 5 s.
    pub fn persist_consumer_offset_interval(mut self, interval: Duration) -> Self {
        self.settings.persist_interval = interval;
        self
    }

    /// `rocketmq.client.rebalance.waitInterval`: time between two divisions of queues when nobody came or
    /// went. Default 20 s.
    pub fn rebalance_interval(mut self, interval: Duration) -> Self {
        self.settings.rebalance_interval = interval;
        self
    }

    /// `pullTimeDelayMillsWhenException`: pause after a failed pull. Default 1 s.
    pub fn pull_time_delay_when_exception(mut self, delay: Duration) -> Self {
        self.settings.pull_delay_on_failure = delay;
        self
    }

    /// `rocketmq.client.localOffsetStoreDir`: folder of a broadcasting consumer's offsets.
    /// Default `.rocketmq_offsets` in the home directory.
    pub fn local_offset_store_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.settings.offset_dir = Some(dir.into());
        self
    }

    /// Registers the consumer with the brokers and begins to consume.
    ///
    /// Topics that do not exist yet are no error: they are consumed once they do.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for names and settings that cannot work, a missing listener or subscription, or a
    /// group that this client consumes already; [`ErrorKind::Io`] for an unreadable offset file;
    /// [`ErrorKind::Closed`] after the client's shutdown.
    pub async fn start(self) -> Result<PushConsumer> {
        let Self { client, group, subscriptions, listener, single, mut settings } = self;
        check_group(&group)?;
        settings.check()?;
        if single {
            settings.consume_message_batch_max_size = 1;
        }
        let listener =
            listener.ok_or_else(|| config("a consumer needs a listener, or on_message or its like"))?;
        let now = now_ms();
        let calls = Calls { client: client.clone(), group: group.clone() };
        let mut subscribed = BTreeMap::new();
        for (topic, expression) in &subscriptions {
            let subscription = Subscription::new(topic, expression, now)?;
            subscribed.insert(Text::from(topic.as_str()), subscription);
        }
        if subscribed.is_empty() {
            return Err(config("a consumer needs a subscription"));
        }
        let place = match settings.message_model {
            MessageModel::Broadcasting => {
                let dir = settings.offset_dir.clone().unwrap_or_else(OffsetFile::default_dir);
                let file = OffsetFile::new(&dir, &local_id(&client), &group);
                // Read now, so that a broken file stops the start and not the consumption.
                rebalance::blocking({
                    let file = file.clone();
                    move || file.load()
                })
                .await
                .map_err(|error| {
                    Error::new(ErrorKind::Io, format!("the group's offset file is unreadable: {error}"))
                        .with_source(error)
                })?;
                Place::File(file)
            }
            _ => {
                let retry_topic = calls.retry_topic();
                subscribed.insert(retry_topic.clone(), Subscription::new(&retry_topic, "*", now)?);
                Place::Broker
            }
        };
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        let consumer = Arc::new(Consumer {
            workers: Workers::new(settings.concurrency),
            subscriptions: Mutex::new(subscribed),
            queues: Mutex::default(),
            offsets: OffsetStore::new(place),
            stats: Mutex::default(),
            commands,
            wake: Notify::new(),
            stop: Signal::default(),
            paused: AtomicBool::new(false),
            started_ms: now,
            tasks: Mutex::default(),
            ended: OnceCell::new(),
            calls,
            settings,
            listener,
        });
        client.register_consumer(Arc::new(Registered(Arc::clone(&consumer))))?;
        for topic in consumer.topics() {
            if let Err(error) = client.fetch_route(&topic, None).await
                && !topic.starts_with(RETRY_TOPIC_PREFIX)
            {
                tracing::warn!(%group, %topic, %error, "the topic cannot be consumed yet");
            }
        }
        client.heartbeat().await;
        let mut tasks = vec![tokio::spawn(rebalance::keep(Arc::clone(&consumer), inbox))];
        if consumer.is_locking() {
            tasks.push(tokio::spawn(rebalance::keep_locks(Arc::clone(&consumer))));
        }
        consumer.tasks.lock().unwrap_or_else(PoisonError::into_inner).extend(tasks);
        tracing::info!(%group, client_id = client.client_id(), "consumer started");
        Ok(PushConsumer { consumer })
    }
}

/// The part of a client's id that survives a restart, for files: without process number and random part.
fn local_id(client: &Client) -> String {
    let config = client.config();
    config.client_id(config.instance_name.as_deref().unwrap_or("DEFAULT"))
}

impl Settings {
    fn check(&self) -> Result<()> {
        fn within(name: &str, value: u128, min: u128, max: u128) -> Result<()> {
            if (min..=max).contains(&value) {
                return Ok(());
            }
            Err(config(format!("{name} is {value}, it must be from {min} to {max}")))
        }
        within("concurrency", self.concurrency as u128, 1, 1000)?;
        let span = self.consume_concurrently_max_span.unsigned_abs();
        within("consume_concurrently_max_span", span.into(), 1, 65_535)?;
        within("pull_threshold_for_queue", self.pull_threshold_for_queue as u128, 1, 65_535)?;
        within("pull_threshold_size_for_queue", self.pull_threshold_size_for_queue as u128, 1, 1024)?;
        if let Some(messages) = self.pull_threshold_for_topic {
            within("pull_threshold_for_topic", messages as u128, 1, 6_553_500)?;
        }
        if let Some(mib) = self.pull_threshold_size_for_topic {
            within("pull_threshold_size_for_topic", mib as u128, 1, 102_400)?;
        }
        within("pull_interval (ms)", self.pull_interval.as_millis(), 0, 65_535)?;
        within("pull_batch_size", self.pull_batch_size.unsigned_abs().into(), 1, 1024)?;
        within("consume_message_batch_max_size", self.consume_message_batch_max_size as u128, 1, 1024)?;
        within("consume_timeout (ms)", self.consume_timeout.as_millis(), 1, u128::MAX)?;
        within("persist_consumer_offset_interval (ms)", self.persist_interval.as_millis(), 1, u128::MAX)?;
        within("rebalance_interval (ms)", self.rebalance_interval.as_millis(), 1, u128::MAX)?;
        if self.message_model == MessageModel::Unknown || self.consume_from_where == ConsumeFromWhere::Unknown
        {
            return Err(config("message_model and consume_from must be known values"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        Client::builder("127.0.0.1:9876").client_ip([10, 0, 0, 1].into()).build().unwrap()
    }

    async fn refused(builder: PushConsumerBuilder) -> String {
        let error = builder.start().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        error.to_string()
    }

    /// What cannot work is refused before anything is sent, and named.
    #[tokio::test]
    async fn settings_are_checked() {
        let client = client();
        let whole = || client.push_consumer("g").subscribe("T", "*").on_message(|_| async {});
        assert!(refused(client.push_consumer("a b").subscribe("T", "*")).await.contains("illegal"));
        assert!(refused(client.push_consumer("g").subscribe("T", "*")).await.contains("listener"));
        assert!(refused(client.push_consumer("g").on_message(|_| async {})).await.contains("subscription"));
        assert!(refused(whole().subscribe("U", " || ")).await.contains("names no tag"));
        assert!(
            refused(whole().concurrency(0)).await.contains("concurrency is 0, it must be from 1 to 1000")
        );
        assert!(refused(whole().pull_batch_size(1025)).await.contains("pull_batch_size"));
        assert!(refused(whole().message_model(MessageModel::Unknown)).await.contains("message_model"));
    }

    /// Offsets of a broadcasting group are found again after a restart: the path has no process number.
    #[test]
    fn broadcasting_files_survive_restarts() {
        assert_eq!(local_id(&client()), "10.0.0.1@DEFAULT");
        let named = Client::builder("127.0.0.1:9876").client_ip([10, 0, 0, 1].into()).instance_name("i");
        assert_eq!(local_id(&named.unit_name("u").build().unwrap()), "10.0.0.1@i@u");
    }
}
