//! How a lite pull consumer is set up and started.
//!
//! Names and defaults are Java's, in Rust's case. Java counterpart: the settings of `DefaultLitePullConsumer`.

use std::time::Duration;

use ferrocket_protocol::Text;
use ferrocket_protocol::body::message_queue::MessageQueue;

use super::{LitePullConsumer, Polls, chosen, exclusive};
use crate::client::Client;
use crate::consumer::{Consumer, Settings, Sink, consumer_settings};
use crate::error::Result;
use crate::selector::MessageSelector;
use crate::validate::within;

/// Sets up a [`LitePullConsumer`]. Obtained from [`Client::lite_pull_consumer`]; names and defaults are Java's.
///
/// ```
/// use std::time::Duration;
///
/// use ferrocket::ConsumeFromWhere;
///
/// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
/// let consumer = client
///     .lite_pull_consumer("audit")
///     .subscribe("Orders", "paid || refunded")
///     .consume_from(ConsumeFromWhere::FirstOffset)
///     .pull_batch_size(100)
///     .auto_commit_interval(Duration::from_secs(1))
///     .start()
///     .await?;
/// # Ok(()) }).unwrap();
/// ```
#[must_use]
pub struct LitePullConsumerBuilder {
    client: Client,
    group: Text,
    subscriptions: Vec<(String, MessageSelector)>,
    filters: Vec<(String, MessageSelector)>,
    by_hand: Option<Vec<MessageQueue>>,
    pub(crate) settings: Settings,
}

impl Client {
    /// A consumer of this group that is polled for messages, to be set up and started. Java:
    /// `DefaultLitePullConsumer`.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// # async fn run(client: ferrocket::Client) -> ferrocket::Result<()> {
    /// let consumer = client.lite_pull_consumer("audit").subscribe("Orders", "paid").start().await?;
    /// let messages = consumer.poll(Duration::from_secs(5)).await?;
    /// println!("{} messages of {:?}", messages.len(), consumer.assignment());
    /// consumer.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn lite_pull_consumer(&self, group: &str) -> LitePullConsumerBuilder {
        LitePullConsumerBuilder {
            client: self.clone(),
            group: group.into(),
            subscriptions: Vec::new(),
            filters: Vec::new(),
            by_hand: None,
            settings: Settings::lite_pull(),
        }
    }
}

impl LitePullConsumerBuilder {
    consumer_settings!(every);
    consumer_settings!(subscribing);
    consumer_settings!(on_demand);

    /// Pulls exactly these queues, whoever else is in the group. Not together with [`subscribe`](Self::subscribe).
    /// Java: `assign`.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let sent = client.producer("p").start().await?.send(ferrocket::Message::new("Orders", "o-42")).await?;
    /// let mut queues = client.fetch_subscribe_queues("Orders").await?;
    /// queues.truncate(2);
    /// let consumer = client.lite_pull_consumer("export").assign(queues).start().await?;
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn assign(mut self, queues: impl IntoIterator<Item = MessageQueue>) -> Self {
        self.by_hand = Some(queues.into_iter().collect());
        self
    }

    /// Which messages of a topic are wanted whose queues are [assigned](Self::assign). Default: all. Java:
    /// `setSubExpressionForAssign`, which takes tags only.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let sent = client.producer("p").start().await?.send(ferrocket::Message::new("Orders", "o-42")).await?;
    /// let queues = client.fetch_subscribe_queues("Orders").await?;
    /// let consumer = client.lite_pull_consumer("export").assign(queues).assign_filter("Orders", "vip").start().await?;
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn assign_filter(mut self, topic: &str, selector: impl Into<MessageSelector>) -> Self {
        self.filters.retain(|(known, _)| known != topic);
        self.filters.push((topic.to_owned(), selector.into()));
        self
    }

    /// `autoCommit`: whether a poll commits what the polls before it handed out (default), or only
    /// [`LitePullConsumer::commit`] does.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// // What was polled and not committed comes again after a crash.
    /// let consumer = client.lite_pull_consumer("audit").subscribe("Orders", "*").auto_commit(false).start().await?;
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn auto_commit(mut self, auto_commit: bool) -> Self {
        self.settings.auto_commit = auto_commit;
        self
    }

    /// `autoCommitIntervalMillis`: time between two stores of what is committed, at least 1 s. Default 5 s.
    pub fn auto_commit_interval(mut self, interval: Duration) -> Self {
        self.settings.persist_interval = interval;
        self
    }

    /// `pullBatchSize`: messages per pull, and per poll at most, 1 to 1024. Default 10.
    pub fn pull_batch_size(mut self, messages: u16) -> Self {
        self.settings.pull_batch_size = i32::from(messages);
        self
    }

    /// `pullThresholdForAll`: pulling pauses with more messages of all queues in memory. Default 10,000.
    pub fn pull_threshold_for_all(mut self, messages: usize) -> Self {
        self.settings.pull_threshold_for_all = messages;
        self
    }

    /// `consumeMaxSpan`: pulling of a queue pauses when its oldest and newest message in memory are further
    /// apart, 1 to 65535. Default 2000.
    pub fn consume_max_span(mut self, offsets: u32) -> Self {
        self.settings.consume_max_span = i64::from(offsets);
        self
    }

    /// Registers the consumer with the brokers and begins to pull. Subscriptions and assignments may follow.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for names and settings that cannot work, or a group that
    /// this client consumes already; [`ErrorKind::Io`](crate::ErrorKind::Io) for an unreadable offset file;
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) after the client's shutdown.
    pub async fn start(self) -> Result<LitePullConsumer> {
        let Self { client, group, subscriptions, filters, by_hand, settings } = self;
        // Java's MIN_AUTOCOMMIT_INTERVAL_MILLIS.
        within("auto_commit_interval (ms)", settings.persist_interval.as_millis(), 1000, u128::MAX)?;
        let by_hand = by_hand.map(|queues| chosen(&client, queues)).transpose()?;
        if by_hand.is_some() && !subscriptions.is_empty() || by_hand.is_none() && !filters.is_empty() {
            return Err(exclusive());
        }
        let wanted = if by_hand.is_some() { filters } else { subscriptions };
        let sink = Sink::Poll(Polls::default());
        let consumer = Consumer::start(&client, group, wanted, by_hand, settings, sink).await?;
        Ok(LitePullConsumer { consumer, _client: client })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    /// What cannot work is refused before anything is sent, and named.
    #[tokio::test]
    async fn settings_are_checked() {
        let client = Client::builder("127.0.0.1:9876").client_ip([10, 0, 0, 1].into()).build().unwrap();
        let whole = || client.lite_pull_consumer("g").subscribe("T", "*");
        let queue = MessageQueue::new("T", "a", 0);
        let short = Duration::from_millis(999);
        for (builder, named) in [
            (client.lite_pull_consumer("a b"), "illegal"),
            (whole().assign([queue.clone()]), "mutually exclusive"),
            (client.lite_pull_consumer("g").assign_filter("T", "a"), "mutually exclusive"),
            (client.lite_pull_consumer("g").assign([]), "can not be null or empty"),
            (
                whole().auto_commit_interval(short),
                "auto_commit_interval (ms) is 999, it must be at least 1000",
            ),
            (whole().consumer_timeout_when_suspend(short), "consumer_timeout_when_suspend"),
            (whole().pull_batch_size(0), "pull_batch_size"),
            (whole().subscribe("U", MessageSelector::by_sql("")), "condition of topic U is empty"),
        ] {
            let error = builder.start().await.unwrap_err();
            assert_eq!(
                (error.kind(), error.to_string().contains(named)),
                (ErrorKind::Config, true),
                "{error}"
            );
        }
    }
}
