//! Messages: what a producer sends and what a consumer receives.
//!
//! Java counterparts: `Message`, `MessageExt`, `MessageDecoder`, `MessageAccessor`.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Buf, Bytes};
use ferrocket_protocol::message::sys_flag;
use ferrocket_protocol::message_id::OffsetMessageId;
use ferrocket_protocol::properties::{Properties, names};
use ferrocket_protocol::requests::send::ReplyMessageHeader;
use ferrocket_protocol::{RecordView, Text, compression, frame};

use crate::error::{Error, ErrorKind, Result};
use crate::message_ids::ms_of;
use crate::validate::TIMERS;

/// Before a consumer group's name in the topic that holds its messages for another try.
pub(crate) const RETRY_TOPIC_PREFIX: &str = "%RETRY%";
/// The type of a message that answers a request.
const REPLY: &str = "reply";
/// Behind a cluster's name in the topic of its replies.
const REPLY_TOPIC_SUFFIX: &str = "_REPLY_TOPIC";
/// Between the keys of a message.
pub(crate) const KEY_SEPARATOR: char = ' ';
/// Largest body that is unpacked, in bytes: no client could send a longer one unpacked. Beyond it a message is
/// handed over as it was stored.
const BODY_LEN_MAX: usize = frame::FRAME_LEN_MAX;

/// A message to be sent. Built in one expression; clones share the body.
///
/// ```
/// use ferrocket::Message;
///
/// let message = Message::new("Orders", "paid").tags("vip").key("o-42").property("region", "north");
/// assert_eq!(message.property_value("KEYS"), Some("o-42"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    topic: Text,
    flag: i32,
    body: Bytes,
    properties: Properties,
}

impl Message {
    /// A message for `topic`. Names and sizes are checked when it is sent.
    pub fn new(topic: impl Into<String>, body: impl Into<Bytes>) -> Self {
        // Java's constructor sets WAIT, too: brokers read it as "answer when it is as safe as configured".
        let mut properties = Properties::new();
        properties.set(Text::from_static(names::WAIT_STORE_MSG_OK), Text::from_static("true"));
        Self { topic: topic.into().into(), flag: 0, body: body.into(), properties }
    }

    /// One word by which consumers filter.
    ///
    /// ```
    /// use ferrocket::Message;
    ///
    /// let message = Message::new("Orders", "paid").tags("vip");
    /// assert_eq!(message.property_value("TAGS"), Some("vip"));
    /// ```
    pub fn tags(self, tags: impl Into<String>) -> Self {
        self.property(names::TAGS, tags)
    }

    /// One more key under which the message can be looked up.
    ///
    /// ```
    /// use ferrocket::Message;
    ///
    /// let message = Message::new("Orders", "paid").key("o-42").key("customer-7");
    /// assert_eq!(message.property_value("KEYS"), Some("o-42 customer-7"));
    /// ```
    pub fn key(self, key: impl Into<String>) -> Self {
        let key = key.into();
        match self.property_value(names::KEYS).map(|keys| format!("{keys}{KEY_SEPARATOR}{key}")) {
            Some(keys) => self.property(names::KEYS, keys),
            None => self.property(names::KEYS, key),
        }
    }

    /// Several more keys, as [`Message::key`].
    ///
    /// ```
    /// use ferrocket::Message;
    ///
    /// let message = Message::new("Orders", "paid").keys(["o-42", "customer-7"]);
    /// assert_eq!(message, Message::new("Orders", "paid").key("o-42").key("customer-7"));
    /// ```
    pub fn keys<K: Into<String>>(self, keys: impl IntoIterator<Item = K>) -> Self {
        keys.into_iter().fold(self, |message, key| message.key(key))
    }

    /// Delivery after the broker's delay of this level: 1 to 18 are 1s 5s 10s 30s 1m 2m … 10m 20m 30m 1h 2h
    /// by default; 0 is no delay.
    ///
    /// ```
    /// use ferrocket::Message;
    ///
    /// // In ten seconds, unless the broker has other levels.
    /// let message = Message::new("Reminders", "pay o-42").delay_level(3);
    /// assert_eq!(message.property_value("DELAY"), Some("3"));
    /// ```
    pub fn delay_level(mut self, level: u32) -> Self {
        if level == 0 {
            self.properties.remove(names::DELAY_TIME_LEVEL);
            return self;
        }
        self.property(names::DELAY_TIME_LEVEL, level.to_string())
    }

    /// Delivery at this time, to the millisecond. Brokers from 5.0 on (`timerWheelEnable`) wait for it, up to three
    /// days by default; older ones deliver at once. Java: `setDeliverTimeMs`.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    ///
    /// use ferrocket::Message;
    ///
    /// let tomorrow = SystemTime::now() + Duration::from_secs(24 * 60 * 60);
    /// let message = Message::new("Reminders", "pay o-42").deliver_at(tomorrow);
    /// ```
    pub fn deliver_at(self, time: SystemTime) -> Self {
        self.timed(names::TIMER_DELIVER_MS, ms_of(time))
    }

    /// Delivery after this time, counted by the broker; otherwise as [`Message::deliver_at`].
    /// Java: `setDelayTimeSec`, or `setDelayTimeMs` where it is no whole number of seconds.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use ferrocket::Message;
    ///
    /// let message = Message::new("Reminders", "pay o-42").deliver_after(Duration::from_secs(90));
    /// assert_eq!(message.property_value("TIMER_DELAY_SEC"), Some("90"));
    /// ```
    pub fn deliver_after(self, delay: Duration) -> Self {
        match delay.subsec_nanos() {
            0 => self.timed(names::TIMER_DELAY_SEC, delay.as_secs()),
            _ => self.timed(names::TIMER_DELAY_MS, delay.as_millis()),
        }
    }

    /// The same message with this delay in place of any other.
    fn timed(mut self, name: &'static str, value: impl ToString) -> Self {
        for other in TIMERS {
            self.properties.remove(other);
        }
        self.set_property(Text::from_static(name), value.to_string());
        self
    }

    /// Whether the broker answers only when the message is flushed and replicated as it is set up to
    /// (default), or as soon as it is written.
    ///
    /// ```
    /// use ferrocket::Message;
    ///
    /// // Faster, where the loss of a few is no harm.
    /// let message = Message::new("Metrics", "cpu 0.7").wait_store_msg_ok(false);
    /// ```
    pub fn wait_store_msg_ok(self, wait: bool) -> Self {
        self.property(names::WAIT_STORE_MSG_OK, if wait { "true" } else { "false" })
    }

    /// The application's own flag; RocketMQ stores and returns it (default 0).
    pub fn flag(mut self, flag: i32) -> Self {
        self.flag = flag;
        self
    }

    /// Any other property. Upper-case names may have a meaning to brokers, see
    /// [`ferrocket_protocol::properties::names`].
    ///
    /// ```
    /// use ferrocket::Message;
    ///
    /// // Consumers can select it by `region = 'north' AND amount > 100`.
    /// let message = Message::new("Orders", "paid").property("region", "north").property("amount", "120");
    /// assert_eq!(message.property_value("region"), Some("north"));
    /// ```
    pub fn property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.set_property(name.into(), value.into());
        self
    }

    /// The answer to a request of which only the properties are at hand, see [`MessageExt::reply_message`].
    ///
    /// ```
    /// use std::collections::HashMap;
    ///
    /// use ferrocket::Message;
    ///
    /// // What a gateway kept of a request.
    /// let kept = HashMap::from([("CLUSTER", "main"), ("CORRELATION_ID", "7"), ("REPLY_TO_CLIENT", "10.0.0.7@1")]);
    /// let reply = Message::reply_to(|name| kept.get(name).copied(), "1.99")?;
    /// assert_eq!(reply.topic(), "main_REPLY_TOPIC");
    /// # Ok::<(), ferrocket::Error>(())
    /// ```
    ///
    /// # Errors
    /// As there.
    pub fn reply_to<'a>(property: impl Fn(&str) -> Option<&'a str>, body: impl Into<Bytes>) -> Result<Self> {
        let cluster = property(names::CLUSTER).ok_or_else(|| {
            let text =
                "create reply message fail, requestMessage error, property[CLUSTER] is null.".to_owned();
            Error::new(ErrorKind::InvalidMessage, text)
        })?;
        let mut properties = Properties::new();
        properties.set(Text::from_static(names::MESSAGE_TYPE), Text::from_static(REPLY));
        for name in [names::CORRELATION_ID, names::MESSAGE_REPLY_TO_CLIENT, names::MESSAGE_TTL] {
            if let Some(value) = property(name) {
                properties.set(Text::from_static(name), value);
            }
        }
        let topic = format!("{cluster}{REPLY_TOPIC_SUFFIX}").into();
        Ok(Self { topic, flag: 0, body: body.into(), properties })
    }

    pub(crate) fn set_property(&mut self, name: impl Into<Text>, value: impl Into<Text>) {
        self.properties.set(name, value);
    }

    pub(crate) fn remove_property(&mut self, name: &str) -> Option<Text> {
        self.properties.remove(name)
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    pub(crate) fn topic_text(&self) -> &Text {
        &self.topic
    }

    /// The body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The application's flag.
    pub fn flag_value(&self) -> i32 {
        self.flag
    }

    /// The value of a property.
    pub fn property_value(&self, name: &str) -> Option<&str> {
        self.properties.get(name)
    }

    pub(crate) fn property_text(&self, name: &str) -> Option<&Text> {
        self.properties.text_of(name)
    }

    /// All properties in the order they were set.
    pub fn properties(&self) -> impl Iterator<Item = (&str, &str)> {
        self.properties.iter()
    }

    pub(crate) fn properties_text(&self) -> Text {
        self.properties.to_text()
    }

    /// Whether the message is the half message of a transaction.
    pub(crate) fn is_half(&self) -> bool {
        self.property_value(names::TRANSACTION_PREPARED).is_some_and(|half| half.eq_ignore_ascii_case("true"))
    }

    /// Whether the message may become part of an automatic batch.
    pub(crate) fn can_be_batched(&self) -> bool {
        let alone = [names::DELAY_TIME_LEVEL, names::MESSAGE_TYPE, names::CORRELATION_ID];
        let alone = alone.iter().chain(&TIMERS).any(|name| self.property_value(name).is_some());
        !alone && !self.is_half() && !self.topic.starts_with(RETRY_TOPIC_PREFIX)
    }

    /// Whether the message answers a request.
    pub(crate) fn is_reply(&self) -> bool {
        self.property_value(names::MESSAGE_TYPE) == Some(REPLY)
    }

    pub(crate) fn waits_for_store(&self) -> bool {
        self.property_value(names::WAIT_STORE_MSG_OK).is_none_or(|wait| wait.eq_ignore_ascii_case("true"))
    }

    /// Bytes this message takes in memory and on the wire, roughly.
    pub(crate) fn weight(&self) -> usize {
        let properties: usize =
            self.properties.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
        self.topic.len() + self.body.len() + properties
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("topic", &self.topic())
            .field("flag", &self.flag)
            .field("properties", &Entries(&self.properties))
            .field("body_len", &self.body.len())
            .finish()
    }
}

/// A message as a broker delivered it.
///
/// ```
/// use std::time::Duration;
///
/// use ferrocket::{ConsumeFromWhere, Message};
///
/// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
/// # let producer = client.producer("order-service").start().await?;
/// let order = Message::new("Orders", "paid").tags("vip").key("o-42").property("region", "north");
/// let sent = producer.send(order).await?;
/// # let consumer = client.lite_pull_consumer("audit").subscribe("Orders", "*");
/// # let consumer = consumer.consume_from(ConsumeFromWhere::FirstOffset).start().await?;
/// let received = consumer.poll(Duration::from_secs(30)).await?.remove(0);
/// assert_eq!((received.tags(), received.keys().next()), (Some("vip"), Some("o-42")));
/// assert_eq!((&received.body[..], received.property("region")), (&b"paid"[..], Some("north")));
/// assert_eq!((received.msg_id, received.queue_offset), (sent.msg_id, sent.queue_offset));
/// # Ok(()) }).unwrap();
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageExt {
    /// The topic; for a message that is tried again the original one.
    pub topic: Text,
    /// The broker it came from.
    pub broker_name: Text,
    /// The queue within the topic.
    pub queue_id: i32,
    /// The number within the queue.
    pub queue_offset: i64,
    /// The body, unpacked.
    pub body: Bytes,
    /// The producer's id of the message, or the broker's where the producer gave none.
    pub msg_id: Text,
    /// Position of the record in the broker's CommitLog.
    pub commit_log_offset: i64,
    /// The application's own flag.
    pub flag: i32,
    /// RocketMQ's flags, see [`ferrocket_protocol::message::sys_flag`].
    pub sys_flag: i32,
    /// When the producer made it, ms since 1970.
    pub born_timestamp: i64,
    /// The producer's address.
    pub born_host: SocketAddr,
    /// When the broker stored it, ms since 1970.
    pub store_timestamp: i64,
    /// The broker's address.
    pub store_host: SocketAddr,
    /// Bytes of the stored record.
    pub store_size: i32,
    /// CRC of the stored body.
    pub body_crc: i32,
    /// How often its consumption was tried before.
    pub reconsume_times: i32,
    /// Of a committed transactional message: the physical offset of its half message.
    pub prepared_transaction_offset: i64,
    /// Shared, because a message is in memory and in a handler's hands at once.
    properties: Arc<Properties>,
}

impl MessageExt {
    /// Reads the records of a pull's answer, which stand back to back.
    pub(crate) fn decode_all(mut bytes: Bytes, broker_name: &Text) -> Result<Vec<Self>> {
        let mut messages = Vec::new();
        while !bytes.is_empty() {
            messages.push(Self::decode(&mut bytes, broker_name)?);
        }
        Ok(messages)
    }

    /// Takes the record at the front of `bytes`; an unpacked body is a copy, any other shares the memory.
    pub(crate) fn decode(bytes: &mut Bytes, broker_name: &Text) -> Result<Self> {
        let view = RecordView::parse(bytes).map_err(|error| {
            Error::new(
                ErrorKind::Protocol,
                format!("broker {broker_name} sent a record that is none: {error}"),
            )
        })?;
        let properties = Properties::parse(view.properties);
        let msg_id: Text = match properties.get(names::UNIQ_CLIENT_MESSAGE_ID_KEYIDX) {
            Some(id) => id.into(),
            None => offset_msg_id(view.store_host, view.physical_offset).into(),
        };
        let (body, flags) = unpacked(bytes.slice_ref(view.body), view.sys_flag, &msg_id);
        let message = Self {
            topic: view.topic.into(),
            broker_name: broker_name.clone(),
            queue_id: view.queue_id,
            queue_offset: view.queue_offset,
            body,
            msg_id,
            commit_log_offset: view.physical_offset,
            flag: view.flag,
            sys_flag: flags,
            born_timestamp: view.born_timestamp,
            born_host: view.born_host,
            store_timestamp: view.store_timestamp,
            store_host: view.store_host,
            store_size: i32::try_from(view.total_size).unwrap_or(i32::MAX),
            body_crc: view.body_crc,
            reconsume_times: view.reconsume_times,
            prepared_transaction_offset: view.prepared_transaction_offset,
            properties: Arc::new(properties),
        };
        bytes.advance(view.total_size);
        Ok(message)
    }

    /// Reads the reply that a broker pushes to the client whose request it answers.
    /// Java: `ClientRemotingProcessor.receiveReplyMessage`.
    pub(crate) fn from_reply(header: ReplyMessageHeader, body: Bytes, now_ms: i64) -> Self {
        let mut properties = Properties::parse(header.properties.as_deref().unwrap_or_default());
        properties.set(Text::from_static(names::REPLY_MESSAGE_ARRIVE_TIME), now_ms.to_string());
        let msg_id: Text = properties.get(names::UNIQ_CLIENT_MESSAGE_ID_KEYIDX).unwrap_or_default().into();
        let (body, flags) = unpacked(body, header.sys_flag, &msg_id);
        Self {
            topic: header.topic,
            broker_name: Text::new(),
            queue_id: header.queue_id,
            queue_offset: 0,
            body,
            msg_id,
            commit_log_offset: 0,
            flag: header.flag,
            sys_flag: flags,
            born_timestamp: header.born_timestamp,
            born_host: host(&header.born_host),
            store_timestamp: header.store_timestamp,
            store_host: host(&header.store_host),
            store_size: 0,
            body_crc: 0,
            reconsume_times: header.reconsume_times.unwrap_or(0),
            prepared_transaction_offset: 0,
            properties: Arc::new(properties),
        }
    }

    /// The answer to this request, to be sent with any producer: the broker brings it to the one who asked with
    /// [`Producer::request`](crate::Producer::request). Java: `MessageUtil.createReplyMessage`.
    ///
    /// ```
    /// use ferrocket::{Client, Producer, PushConsumer, Result};
    ///
    /// async fn answer_prices(client: &Client, replier: Producer) -> Result<PushConsumer> {
    ///     let answer = move |message: ferrocket::MessageExt| {
    ///         let replier = replier.clone();
    ///         async move { replier.send(message.reply_message("1.99")?).await.map(drop) }
    ///     };
    ///     client.push_consumer("prices").subscribe("Prices", "*").on_message(answer).start().await
    /// }
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |_, client| {
    /// #     let replier = client.producer("replier").start().await?;
    /// #     answer_prices(&client, replier).await.map(drop)
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidMessage`] when this is no message of a broker that knows its cluster.
    pub fn reply_message(&self, body: impl Into<Bytes>) -> Result<Message> {
        Message::reply_to(|name| self.property(name), body)
    }

    /// The broker's id of the message: its address and the place in its CommitLog.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ferrocket::{ConsumeFromWhere, Message};
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let sent = client.producer("order-service").start().await?.send(Message::new("Orders", "paid")).await?;
    /// # let consumer = client.lite_pull_consumer("audit").subscribe("Orders", "*");
    /// # let consumer = consumer.consume_from(ConsumeFromWhere::FirstOffset).start().await?;
    /// # let message = consumer.poll(Duration::from_secs(30)).await?.remove(0);
    /// // Shown to somebody, and looked up by it later.
    /// let id = message.offset_msg_id();
    /// let found = client.admin().view_message("Orders", &id).await?;
    /// assert_eq!(found.msg_id, message.msg_id);
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn offset_msg_id(&self) -> String {
        offset_msg_id(self.store_host, self.commit_log_offset)
    }

    /// The word by which consumers filter.
    pub fn tags(&self) -> Option<&str> {
        self.property(names::TAGS)
    }

    /// The id of the transaction that the message is or was part of.
    ///
    /// ```
    /// use ferrocket::{LocalTransactionState, MessageExt};
    ///
    /// /// For `check_local_transaction`: the local work left a file of that name.
    /// async fn check(half: MessageExt) -> LocalTransactionState {
    ///     match half.transaction_id().map(std::fs::exists) {
    ///         Some(Ok(true)) => LocalTransactionState::CommitMessage,
    ///         _ => LocalTransactionState::Unknown,
    ///     }
    /// }
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// client.producer("orders").check_local_transaction(check).start().await?;
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn transaction_id(&self) -> Option<&str> {
        let half = self.property(names::TRANSACTION_PREPARED)?;
        half.eq_ignore_ascii_case("true").then(|| self.property(names::UNIQ_CLIENT_MESSAGE_ID_KEYIDX))?
    }

    /// The lookup keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.property(names::KEYS).unwrap_or_default().split(KEY_SEPARATOR).filter(|key| !key.is_empty())
    }

    /// The level of its delay, 0 for none.
    pub fn delay_level(&self) -> u32 {
        self.property(names::DELAY_TIME_LEVEL).and_then(|level| level.parse().ok()).unwrap_or(0)
    }

    /// The value of a property.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties.get(name)
    }

    /// All properties in stored order.
    pub fn properties(&self) -> impl Iterator<Item = (&str, &str)> {
        self.properties.iter()
    }

    /// Whether the body could not be unpacked and is still as it was stored.
    pub fn is_body_packed(&self) -> bool {
        self.sys_flag & sys_flag::COMPRESSED != 0
    }

    pub(crate) fn set_property(&mut self, name: impl Into<Text>, value: impl Into<Text>) {
        Arc::make_mut(&mut self.properties).set(name, value);
    }

    /// A message with the same content, to be sent to `topic`.
    pub(crate) fn to_message(&self, topic: impl Into<Text>) -> Message {
        Message {
            topic: topic.into(),
            flag: self.flag,
            body: self.body.clone(),
            properties: (*self.properties).clone(),
        }
    }
}

fn offset_msg_id(host: SocketAddr, physical_offset: i64) -> String {
    OffsetMessageId { host, physical_offset }.to_string()
}

/// An address as Java prints it: a name or nothing, `/`, ip and port. One that cannot be read is 0.0.0.0:0.
fn host(text: &str) -> SocketAddr {
    let addr = text.rsplit_once('/').map_or(text, |(_, addr)| addr);
    addr.parse().unwrap_or_else(|_| SocketAddr::from(([0; 4], 0)))
}

/// A body as consumers want it, and the flags that are true of it then.
fn unpacked(body: Bytes, flags: i32, msg_id: &str) -> (Bytes, i32) {
    if flags & sys_flag::COMPRESSED == 0 {
        return (body, flags);
    }
    match unpack(&body, flags) {
        // The flag says what the body *is*; after unpacking that is no longer compressed.
        Ok(unpacked) => (unpacked, flags & !sys_flag::COMPRESSED),
        Err(reason) => {
            tracing::warn!(msg_id, "body handed over packed: {reason}");
            (body, flags)
        }
    }
}

/// The body of a message with these flags.
pub(crate) fn unpack(body: &[u8], flags: i32) -> Result<Bytes, String> {
    // Before 4.9.3 there was only zlib, and the three bits were 0.
    match (flags & sys_flag::COMPRESSION_KIND) >> 8 {
        0 | 3 => compression::unzlib(body, BODY_LEN_MAX).map_err(|error| error.to_string()),
        #[cfg(feature = "lz4")]
        1 => compression::unlz4(body, BODY_LEN_MAX).map_err(|error| error.to_string()),
        #[cfg(not(feature = "lz4"))]
        1 => Err("this build does not read lz4".into()),
        #[cfg(feature = "zstd")]
        2 => compression::unzstd(body, BODY_LEN_MAX).map_err(|error| error.to_string()),
        #[cfg(not(feature = "zstd"))]
        2 => Err("this build does not read zstd".into()),
        kind => Err(format!("compression {kind} is unknown")),
    }
}

impl fmt::Debug for MessageExt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageExt")
            .field("topic", &&*self.topic)
            .field("broker_name", &&*self.broker_name)
            .field("queue_id", &self.queue_id)
            .field("queue_offset", &self.queue_offset)
            .field("msg_id", &&*self.msg_id)
            .field("reconsume_times", &self.reconsume_times)
            .field("properties", &Entries(&self.properties))
            .field("body_len", &self.body.len())
            .finish_non_exhaustive()
    }
}

struct Entries<'a>(&'a Properties);

impl fmt::Debug for Entries<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use ferrocket_protocol::MessageRecord;

    use super::*;

    fn record(body: impl Into<Bytes>, flags: i32, properties: &str) -> Bytes {
        let record = MessageRecord {
            topic: "T".into(),
            queue_id: 1,
            flag: 9,
            sys_flag: flags,
            queue_offset: 5,
            physical_offset: 1024,
            born_timestamp: 1,
            born_host: "10.0.0.9:40000".parse().unwrap(),
            store_timestamp: 2,
            store_host: "10.0.0.1:10911".parse().unwrap(),
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: body.into(),
            properties: properties.into(),
        };
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        bytes.into()
    }

    /// Keys add up, a level of 0 takes the delay away, and the receipt wish is on unless switched off.
    #[test]
    fn builder_writes_properties() {
        let message =
            Message::new("T", "b").keys(["a", "b"]).key("c").delay_level(3).delay_level(0).tags("x");
        assert_eq!(&*message.properties_text(), "WAIT\u{1}true\u{2}KEYS\u{1}a b c\u{2}TAGS\u{1}x");
        assert!(message.waits_for_store());
        assert!(!message.wait_store_msg_ok(false).waits_for_store());
    }

    /// Packed bodies are unpacked, whether the kind bits say zlib or nothing (before 4.9.3).
    #[test]
    fn received_bodies_are_unpacked() {
        let body = vec![7u8; 10_000];
        for kind in [0, 0x300] {
            let packed = compression::zlib(&body, 5);
            let mut bytes = record(packed, sys_flag::COMPRESSED | kind, "UNIQ_KEY\u{1}ID\u{2}KEYS\u{1}a b");
            let message = MessageExt::decode(&mut bytes, &"broker-a".into()).unwrap();
            assert!(bytes.is_empty());
            assert_eq!(message.body, body);
            assert_eq!(message.msg_id, "ID");
            assert_eq!(message.keys().collect::<Vec<_>>(), ["a", "b"]);
            assert!(!message.is_body_packed());
        }
    }

    /// A body that cannot be unpacked is not lost: it is handed over as stored, and says so.
    #[test]
    fn what_cannot_be_unpacked_is_handed_over() {
        for kind in [0x100, 0x200, 0x300, 0x700] {
            let mut bytes = record("garbage", sys_flag::COMPRESSED | kind, "");
            let message = MessageExt::decode(&mut bytes, &"b".into()).unwrap();
            assert!(message.is_body_packed());
            assert_eq!(message.body, "garbage");
            assert_eq!(message.msg_id, "0A00000100002A9F0000000000000400");
        }
        for (len, packed) in [(BODY_LEN_MAX, false), (BODY_LEN_MAX + 1, true)] {
            let body = compression::zlib(&vec![0; len], 1);
            let mut bytes = record(body.clone(), sys_flag::COMPRESSED, "");
            let message = MessageExt::decode(&mut bytes, &"b".into()).unwrap();
            assert_eq!(message.is_body_packed(), packed);
            assert_eq!(message.body.len(), if packed { body.len() } else { len });
        }
    }

    /// Records stand back to back; a torn one is an error, not a shorter list.
    #[test]
    fn pulls_are_read_whole_or_not_at_all() {
        let mut bytes = record("a", 0, "").to_vec();
        bytes.extend_from_slice(&record("b", 0, ""));
        let all = MessageExt::decode_all(bytes.clone().into(), &"b".into()).unwrap();
        assert_eq!(all.iter().map(|message| &message.body[..]).collect::<Vec<_>>(), [b"a", b"b"]);
        bytes.pop();
        assert!(MessageExt::decode_all(bytes.into(), &"b".into()).is_err());
    }
}
