//! How a push consumer is set up and started.
//!
//! Names and defaults are Java's, in Rust's case. Java counterpart: the settings of `DefaultMQPushConsumer`.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ferrocket_protocol::Text;
use tokio::runtime::Handle;

use super::deliveries::Inbox;
use super::listener::{
    ConsumeOrderlyResult, ConsumeResult, Listener, MessageListenerConcurrently, MessageListenerOrderly,
};
use super::{Deliveries, PushConsumer, Pushed};
use crate::client::Client;
use crate::consumer::{Consumer, Settings, Sink, consumer_settings};
use crate::error::Result;
use crate::message::MessageExt;
use crate::selector::MessageSelector;
use crate::validate::config;

/// Sets up a [`PushConsumer`]. Obtained from [`Client::push_consumer`]; names and defaults are Java's.
///
/// ```
/// use std::time::Duration;
///
/// use ferrocket::{ConsumeFromWhere, ConsumeResult};
///
/// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
/// let consumer = client
///     .push_consumer("billing")
///     .subscribe("Orders", "paid || refunded")
///     .consume_from(ConsumeFromWhere::FirstOffset)
///     .concurrency(64)
///     .max_reconsume_times(5)
///     .consume_timeout(Duration::from_secs(60))
///     .on_message(|message| async move { ConsumeResult::Success })
///     .start()
///     .await?;
/// # Ok(()) }).unwrap();
/// ```
#[must_use]
pub struct PushConsumerBuilder {
    client: Client,
    group: Text,
    subscriptions: Vec<(String, MessageSelector)>,
    listener: Option<Listener>,
    /// The listener takes one message at a time, whatever the batch size.
    single: bool,
    pub(crate) settings: Settings,
}

impl Client {
    /// A push consumer of this group, to be set up and started.
    ///
    /// ```
    /// use ferrocket::ConsumeResult;
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// let consumer = client
    ///     .push_consumer("billing")
    ///     .subscribe("Orders", "paid || refunded")
    ///     .on_message(|message| async move {
    ///         println!("{}: {} bytes", message.msg_id, message.body.len());
    ///         ConsumeResult::Success
    ///     })
    ///     .start()
    ///     .await?;
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn push_consumer(&self, group: &str) -> PushConsumerBuilder {
        PushConsumerBuilder::new(self.clone(), group)
    }
}

impl PushConsumerBuilder {
    fn new(client: Client, group: &str) -> Self {
        Self {
            client,
            group: group.into(),
            subscriptions: Vec::new(),
            listener: None,
            single: false,
            settings: Settings::push(),
        }
    }

    consumer_settings!(every);
    consumer_settings!(subscribing);

    /// Has `listener` consume messages in any order, many at once. The last listener or closure given is the
    /// consumer's.
    ///
    /// ```
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
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// let billing = Billing { currency: "EUR".into() };
    /// client.push_consumer("billing").subscribe("Orders", "paid").listener(billing).start().await?;
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn listener(mut self, listener: impl MessageListenerConcurrently) -> Self {
        self.listener = Some(Listener::Concurrently(Arc::new(listener)));
        self.single = false;
        self
    }

    /// Has `listener` consume the messages of each queue in order, one call at a time per queue; different
    /// queues run at once. Failed messages come again after a pause, and their queue waits for them.
    ///
    /// ```
    /// use async_trait::async_trait;
    /// use ferrocket::{ConsumeOrderlyResult, MessageExt, MessageListenerOrderly};
    ///
    /// struct Ledger;
    ///
    /// #[async_trait]
    /// impl MessageListenerOrderly for Ledger {
    ///     async fn consume_message(&self, messages: Vec<MessageExt>) -> ConsumeOrderlyResult {
    ///         for message in messages {
    ///             println!("{} {}: {:?}", message.queue_id, message.queue_offset, message.body);
    ///         }
    ///         ConsumeOrderlyResult::Success
    ///     }
    /// }
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// client.push_consumer("ledger").subscribe("Orders", "*").orderly_listener(Ledger).start().await?;
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn orderly_listener(mut self, listener: impl MessageListenerOrderly) -> Self {
        self.listener = Some(Listener::Orderly(Arc::new(listener)));
        self.single = false;
        self
    }

    /// Calls `handle` for each message, many at once. It answers a [`ConsumeResult`], `()` for success, or a
    /// `Result` whose error means that the message comes again later, as it does after a panic.
    ///
    /// ```
    /// use ferrocket::{ConsumeFromWhere, Message};
    /// use tokio::sync::mpsc;
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let sent = client.producer("p").start().await?.send(Message::new("Orders", "42")).await?;
    /// let (amounts, mut booked) = mpsc::channel(100);
    /// let consumer = client
    ///     .push_consumer("billing")
    ///     .subscribe("Orders", "*")
    ///     .consume_from(ConsumeFromWhere::FirstOffset)
    ///     .on_message(move |message| {
    ///         let amounts = amounts.clone();
    ///         async move {
    ///             // An error means that the message comes again.
    ///             let amount: u64 = String::from_utf8_lossy(&message.body).parse()?;
    ///             amounts.send(amount).await?;
    ///             Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
    ///         }
    ///     })
    ///     .start()
    ///     .await?;
    /// assert_eq!(booked.recv().await, Some(42));
    /// # Ok(()) }).unwrap();
    /// ```
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
    ///
    /// ```
    /// use ferrocket::ConsumeResult;
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # async fn insert(rows: &[ferrocket::MessageExt]) -> Result<(), usize> { Ok(()) }
    /// let consumer = client
    ///     .push_consumer("warehouse")
    ///     .subscribe("Orders", "*")
    ///     .consume_message_batch_max_size(100)
    ///     .on_batch(|messages| async move {
    ///         match insert(&messages).await {
    ///             Ok(()) => ConsumeResult::Success,
    ///             // Those before it are in; it and the rest come again.
    ///             Err(first_failed) => ConsumeResult::SuccessOf(first_failed),
    ///         }
    ///     })
    ///     .start()
    ///     .await?;
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn on_batch<F, A>(self, handle: F) -> Self
    where
        F: Fn(Vec<MessageExt>) -> A + Send + Sync + 'static,
        A: Future<Output: Into<ConsumeResult>> + Send + 'static,
    {
        self.listener(handle)
    }

    /// Calls `handle` for each message of a queue in order, one at a time per queue; different queues run at
    /// once. A failed message comes again after a pause, and the queue waits for it.
    ///
    /// ```
    /// use ferrocket::{ConsumeFromWhere, Message};
    /// use tokio::sync::mpsc;
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let producer = client.producer("p").start().await?;
    /// for step in ["created", "paid", "shipped"] {
    ///     let sent = producer.send_ordered(Message::new("Orders", step), "o-42").await?;
    /// }
    /// let (steps, mut seen) = mpsc::unbounded_channel();
    /// let consumer = client
    ///     .push_consumer("tracking")
    ///     .subscribe("Orders", "*")
    ///     .consume_from(ConsumeFromWhere::FirstOffset)
    ///     .on_message_orderly(move |message| {
    ///         let sent = steps.send(message.body);
    ///         async move { sent }
    ///     })
    ///     .start()
    ///     .await?;
    /// assert_eq!(seen.recv().await.unwrap(), "created");
    /// assert_eq!(seen.recv().await.unwrap(), "paid");
    /// # Ok(()) }).unwrap();
    /// ```
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
    ///
    /// ```
    /// use ferrocket::ConsumeOrderlyResult;
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// let consumer = client
    ///     .push_consumer("tracking")
    ///     .subscribe("Orders", "*")
    ///     .consume_message_batch_max_size(16)
    ///     .on_batch_orderly(|messages| async move {
    ///         println!("{} in order", messages.len());
    ///         ConsumeOrderlyResult::Success
    ///     })
    ///     .start()
    ///     .await?;
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn on_batch_orderly<F, A>(self, handle: F) -> Self
    where
        F: Fn(Vec<MessageExt>) -> A + Send + Sync + 'static,
        A: Future<Output: Into<ConsumeOrderlyResult>> + Send + 'static,
    {
        self.orderly_listener(handle)
    }

    /// Handlers at work at once, 1 to 1000. Default 20. Java: `consumeThreadMin` and `consumeThreadMax`.
    pub fn concurrency(mut self, handlers: usize) -> Self {
        self.settings.concurrency = handlers;
        self
    }

    /// `consumeConcurrentlyMaxSpan`: pulling of a queue pauses when its oldest and newest message in memory
    /// are further apart, 1 to 65535. Default 2000. Not for orderly consumers.
    pub fn consume_concurrently_max_span(mut self, offsets: u32) -> Self {
        self.settings.consume_max_span = i64::from(offsets);
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
    /// Default 15 minutes. Orderly and broadcasting consumers are only told of, as are the others, by
    /// [`Event::SlowHandler`](crate::Event::SlowHandler).
    pub fn consume_timeout(mut self, timeout: Duration) -> Self {
        self.settings.consume_timeout = timeout;
        self
    }

    /// Whether an orderly handler's success commits at once (default), or only its
    /// [`ConsumeOrderlyResult::Commit`]. Java: `ConsumeOrderlyContext.autoCommit`.
    ///
    /// ```
    /// use ferrocket::ConsumeOrderlyResult;
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # async fn write(message: ferrocket::MessageExt) -> std::io::Result<bool> { Ok(true) }
    /// // `write` says whether its transaction is full, and was ended.
    /// let consumer = client
    ///     .push_consumer("ledger")
    ///     .subscribe("Orders", "*")
    ///     .auto_commit(false)
    ///     .on_message_orderly(|message| async move {
    ///         match write(message).await {
    ///             Ok(false) => ConsumeOrderlyResult::Success,
    ///             Ok(true) => ConsumeOrderlyResult::Commit,
    ///             Err(_) => ConsumeOrderlyResult::Rollback,
    ///         }
    ///     })
    ///     .start()
    ///     .await?;
    /// # Ok(()) }).unwrap();
    /// ```
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

    /// Registers the consumer with the brokers and begins to pull. Instead of a listener, the caller takes
    /// [`Deliveries`] at its own pace and answers each: several tasks may share them. `concurrency` and the
    /// batch size have no meaning here; the thresholds of pulling bound what is under way, and
    /// [`consume_timeout`](Self::consume_timeout) gives back what is not answered.
    ///
    /// ```no_run
    /// # async fn run(client: ferrocket::Client) -> ferrocket::Result<()> {
    /// let (consumer, mut deliveries) = client.push_consumer("billing").subscribe("Orders", "paid").deliveries().await?;
    /// while let Some(delivery) = deliveries.next().await {
    ///     match book(&delivery.body).await {
    ///         Ok(()) => delivery.ack(),
    ///         Err(_) => delivery.retry_later(3),
    ///     }
    /// }
    /// # consumer.shutdown().await;
    /// # async fn book(body: &[u8]) -> std::io::Result<()> { Ok(()) }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`start`](Self::start); [`ErrorKind::Config`](crate::ErrorKind::Config) also for a listener.
    pub async fn deliveries(mut self) -> Result<(PushConsumer, Deliveries)> {
        if self.listener.is_some() {
            return Err(config("a consumer has a listener or deliveries, not both"));
        }
        let runtime = Handle::try_current()
            .map_err(|error| config(format!("a consumer needs a Tokio runtime: {error}")))?;
        self.listener = Some(Listener::Deliveries(Arc::new(Inbox::new(runtime))));
        let push = self.start().await?;
        let deliveries = Deliveries { consumer: Arc::clone(&push.consumer), _client: push._client.clone() };
        Ok((push, deliveries))
    }

    /// Registers the consumer with the brokers and begins to consume.
    ///
    /// Topics that do not exist yet are no error: they are consumed once they do.
    ///
    /// ```
    /// use ferrocket::ErrorKind;
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// let builder = client.push_consumer("billing").subscribe("Orders", "*");
    /// // Without a listener it would consume and do nothing.
    /// let error = builder.start().await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Config);
    /// let consumer = client.push_consumer("billing").subscribe("Orders", "*").on_message(|_| async {}).start().await?;
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for names and settings that cannot work, a missing listener
    /// or subscription, or a group that this client consumes already; [`ErrorKind::Io`](crate::ErrorKind::Io) for an
    /// unreadable offset file;
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) after the client's shutdown.
    pub async fn start(self) -> Result<PushConsumer> {
        let Self { client, group, subscriptions, listener, single, mut settings } = self;
        if single {
            settings.consume_message_batch_max_size = 1;
        }
        let listener =
            listener.ok_or_else(|| config("a consumer needs a listener, or on_message or its like"))?;
        if subscriptions.is_empty() {
            return Err(config("a consumer needs a subscription"));
        }
        let sink = Sink::Push(Pushed::new(listener, settings.concurrency));
        let consumer = Consumer::start(&client, group, subscriptions, None, settings, sink).await?;
        Ok(PushConsumer { consumer, _client: client })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::push_consumer::MessageModel;

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
        assert!(
            refused(client.push_consumer("a b").subscribe("T", "*").on_message(|_| async {}))
                .await
                .contains("illegal")
        );
        assert!(refused(client.push_consumer("g").subscribe("T", "*")).await.contains("listener"));
        assert!(refused(client.push_consumer("g").on_message(|_| async {})).await.contains("subscription"));
        assert!(refused(whole().subscribe("U", " || ")).await.contains("names no tag"));
        assert!(
            refused(whole().concurrency(0)).await.contains("concurrency is 0, it must be from 1 to 1000")
        );
        assert!(refused(whole().pull_batch_size(1025)).await.contains("pull_batch_size"));
        assert!(refused(whole().consume_timeout(Duration::MAX)).await.contains("consume_timeout"));
        assert!(refused(whole().message_model(MessageModel::Unknown)).await.contains("message_model"));
    }
}
