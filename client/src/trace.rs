//! Message traces: what was sent, consumed and ended, as messages of the trace topic.
//!
//! ```text
//! send, consume, end ──▶ queue of 1,024 ──▶ one task: up to 500 ms or 118,000 bytes ──▶ RMQ_SYS_TRACE_TOPIC
//!                          full: dropped and counted
//! ```
//!
//! The text is Java's, so that `mqadmin queryMsgTraceById` and the dashboards read it. Every record ends with
//! 0x02, its fields are separated by 0x01, and a field that is not there says `null`. Left out: the access
//! channel CLOUD. Java counterparts: `AsyncTraceDispatcher`, `TraceDataEncoder` and the three trace hooks.

use std::collections::BTreeSet;
use std::sync::Weak;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ferrocket_protocol::Text;
use ferrocket_protocol::properties::names;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::client::{Client, Shared};
use crate::message::{KEY_SEPARATOR, Message, MessageExt};
use crate::message_ids::now_ms;
use crate::producer::LocalTransactionState;
use crate::send_result::{DEFAULT_REGION, SendResult};

/// The topic of traces unless another one is set.
pub(crate) const TRACE_TOPIC: &str = "RMQ_SYS_TRACE_TOPIC";
/// Largest trace message, in bytes (Java: `maxMsgSize`).
pub(crate) const MESSAGE_LEN_MAX: usize = 128_000;
/// The group of the producer of traces (`TraceConstants.GROUP_NAME_PREFIX`).
pub(crate) const GROUP: &str = "_INNER_TRACE_PRODUCER";
/// Most records that wait for the task.
const QUEUE_MAX: usize = 1_024;
/// A trace message is sent from this many bytes on, or this long after its first record.
const BATCH_LEN: usize = MESSAGE_LEN_MAX - 10_000;
const BATCH_TIME: Duration = Duration::from_millis(500);
/// Keys of a message are one property, all of which must be shorter than 32 KiB; Java lets such a message fail.
const KEYS_LEN: usize = 16_000;
/// How long the client's shutdown waits for the last traces.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

const FIELD: char = '\u{1}';
const END: char = '\u{2}';

/// One or more records, and the keys under which they can be found.
#[derive(Debug)]
struct Traced {
    data: String,
    keys: Vec<String>,
}

enum Event {
    Traced(Traced),
    Flush(oneshot::Sender<()>),
}

/// Takes records in; held by the client.
#[derive(Debug)]
pub(crate) struct Tracer {
    topic: Text,
    events: mpsc::Sender<Event>,
    dropped: AtomicU64,
}

/// The other end of the queue, until the task is started.
pub(crate) struct TraceQueue(mpsc::Receiver<Event>);

impl Tracer {
    pub(crate) fn new(topic: Text) -> (Self, TraceQueue) {
        let (events, queue) = mpsc::channel(QUEUE_MAX);
        (Self { topic, events, dropped: AtomicU64::new(0) }, TraceQueue(queue))
    }

    /// Records that found no room.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Traces of traces are not traced.
    fn skips(&self, topic: &str) -> bool {
        topic.starts_with(&*self.topic)
    }

    fn append(&self, traced: Traced) {
        if self.events.try_send(Event::Traced(traced)).is_err() {
            let before = self.dropped.fetch_add(1, Ordering::Relaxed);
            if before == 0 {
                tracing::warn!("message traces come faster than they can be sent; some are dropped");
            }
        }
    }

    /// Sends what waits; ends when it is sent, or after 5 s.
    pub(crate) async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        let flush = async {
            if self.events.send(Event::Flush(done)).await.is_ok() {
                // An error is the end of the task: nothing waits.
                let _ = flushed.await;
            }
        };
        if tokio::time::timeout(FLUSH_TIMEOUT, flush).await.is_err() {
            tracing::warn!("the last message traces could not be sent within {FLUSH_TIMEOUT:?}");
        }
    }
}

/// The task that sends, while the client is there.
pub(crate) async fn dispatcher(mut queue: TraceQueue, client: Weak<Shared>) {
    let mut batch = Batch::default();
    loop {
        let event = match batch.due {
            None => queue.0.recv().await,
            Some(due) => match tokio::time::timeout_at(due, queue.0.recv()).await {
                Ok(event) => event,
                Err(_) => {
                    batch.send(&client).await;
                    continue;
                }
            },
        };
        match event {
            Some(Event::Traced(traced)) => {
                if batch.add(traced) {
                    batch.send(&client).await;
                }
            }
            Some(Event::Flush(done)) => {
                batch.send(&client).await;
                // Whoever asked may have gone.
                let _ = done.send(());
            }
            None => return,
        }
    }
}

/// Records on their way into one message.
#[derive(Default)]
struct Batch {
    data: String,
    keys: BTreeSet<String>,
    keys_len: usize,
    due: Option<Instant>,
}

impl Batch {
    /// Takes records in; true when the message is large enough.
    fn add(&mut self, traced: Traced) -> bool {
        self.due.get_or_insert_with(|| Instant::now() + BATCH_TIME);
        self.data.push_str(&traced.data);
        for key in traced.keys {
            self.keys_len += key.len() + 1;
            self.keys.insert(key);
        }
        self.data.len() >= BATCH_LEN || self.keys_len >= KEYS_LEN
    }

    async fn send(&mut self, client: &Weak<Shared>) {
        let Self { data, keys, due, .. } = std::mem::take(self);
        if due.is_none() {
            return;
        }
        let Some(client) = Client::upgrade(client) else { return };
        let Some(topic) = client.tracer().map(|tracer| tracer.topic.to_string()) else { return };
        let producer = client.producer(GROUP).for_traces();
        if let Err(error) = producer.send(Message::new(topic, data).keys(keys)).await {
            tracing::warn!(%error, "message traces are lost");
        }
    }
}

/// A record being written: fields are appended, then it is ended.
struct Record(String);

impl Record {
    fn new(kind: &str) -> Self {
        let mut text = String::with_capacity(256);
        text.push_str(kind);
        Self(text)
    }

    fn field(mut self, value: impl std::fmt::Display) -> Self {
        use std::fmt::Write;
        self.0.push(FIELD);
        // Writing to memory cannot fail.
        let _ = write!(self.0, "{value}");
        self
    }

    /// As Java appends a string that may be null.
    fn text(self, value: Option<&str>) -> Self {
        self.field(value.unwrap_or("null"))
    }

    fn end(mut self) -> String {
        self.0.push(END);
        self.0
    }
}

/// The id and the keys of a message.
fn keys(msg_id: &str, keys: Option<&str>) -> Vec<String> {
    let keys = keys.unwrap_or_default().split(KEY_SEPARATOR).filter(|key| !key.is_empty());
    std::iter::once(msg_id).chain(keys).map(str::to_owned).collect()
}

/// The kind of a sent message; the numbers are those of Java's `MessageType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MessageType {
    Normal = 0,
    TransactionHalf = 1,
    TransactionCommit = 2,
    Delay = 3,
}

impl MessageType {
    /// As Java's producer tells them apart: a delay counts more than a transaction.
    pub(crate) fn of(message: &Message) -> Self {
        let delays = ["__STARTDELIVERTIME", names::DELAY_TIME_LEVEL];
        if delays.iter().any(|name| message.property_value(name).is_some()) {
            Self::Delay
        } else if message.is_half() {
            Self::TransactionHalf
        } else {
            Self::Normal
        }
    }
}

/// A message was sent. `message` is `None` for a batch, which has neither tags nor keys of its own.
pub(crate) struct Sent<'a> {
    pub(crate) group: &'a Text,
    pub(crate) topic: &'a str,
    pub(crate) message: Option<&'a Message>,
    pub(crate) body_len: usize,
    pub(crate) addr: &'a str,
    pub(crate) began_ms: i64,
    pub(crate) result: &'a SendResult,
}

/// Traces a send that was answered. Java: `SendMessageTraceHookImpl`.
pub(crate) fn sent(client: &Client, sent: &Sent<'_>) {
    let Some(tracer) = client.tracer().filter(|tracer| !tracer.skips(sent.topic)) else { return };
    if sent.result.trace_on {
        let group = client.unwrapped(sent.group);
        tracer.append(sent_record(sent, &group, now_ms()));
    }
}

fn sent_record(sent: &Sent<'_>, group: &str, now_ms: i64) -> Traced {
    let property = |name| sent.message.and_then(|message| message.property_value(name));
    let kind = sent.message.map_or(MessageType::Normal, MessageType::of);
    let data = Record::new("Pub")
        .field(sent.began_ms)
        .field(&sent.result.region_id)
        .field(group)
        .field(sent.topic)
        .field(&sent.result.msg_id)
        .text(property(names::TAGS))
        .text(property(names::KEYS))
        .field(sent.addr)
        .field(sent.body_len)
        .field(now_ms - sent.began_ms)
        .field(kind as i32)
        .field(&sent.result.offset_msg_id)
        .field(sent.result.is_ok())
        .end();
    Traced { data, keys: keys(&sent.result.msg_id, property(names::KEYS)) }
}

/// The end of a transaction, told by `addr`'s producer.
pub(crate) struct Ended<'a> {
    pub(crate) group: &'a Text,
    pub(crate) topic: &'a str,
    pub(crate) msg_id: &'a str,
    pub(crate) tags: Option<&'a str>,
    pub(crate) keys: Option<&'a str>,
    pub(crate) region: Option<&'a str>,
    pub(crate) addr: &'a str,
    pub(crate) transaction_id: Option<&'a str>,
    pub(crate) state: LocalTransactionState,
    pub(crate) from_check: bool,
}

/// Traces the end of a transaction. Java: `EndTransactionTraceHookImpl`.
pub(crate) fn ended(client: &Client, ended: &Ended<'_>) {
    let Some(tracer) = client.tracer().filter(|tracer| !tracer.skips(ended.topic)) else { return };
    let group = client.unwrapped(ended.group);
    tracer.append(ended_record(ended, &group, now_ms()));
}

fn ended_record(ended: &Ended<'_>, group: &str, now_ms: i64) -> Traced {
    let data = Record::new("EndTransaction")
        .field(now_ms)
        .field(ended.region.filter(|region| !region.is_empty()).unwrap_or(DEFAULT_REGION))
        .field(group)
        .field(ended.topic)
        .field(ended.msg_id)
        .text(ended.tags)
        .text(ended.keys)
        .field(ended.addr)
        .field(MessageType::TransactionCommit as i32)
        .text(ended.transaction_id)
        .field(ended.state)
        .field(ended.from_check)
        .end();
    Traced { data, keys: keys(ended.msg_id, ended.keys) }
}

/// How a listener's call ended; the numbers are those of Java's `ConsumeReturnType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConsumeReturnType {
    Success = 0,
    TimeOut = 1,
    Exception = 2,
    Failed = 4,
}

/// A listener's call that is being traced.
#[derive(Debug)]
pub(crate) struct Consuming {
    request_id: Text,
    group: Text,
    began_ms: i64,
    /// All messages of the call, those without trace among them.
    count: i64,
    /// Ids and keys of the traced ones.
    messages: Vec<(Text, Option<String>)>,
}

/// Traces that a listener is called; `None` when nothing of it is traced. The answer goes to
/// [`consume_after`]. Java: `ConsumeMessageTraceHookImpl.consumeMessageBefore`.
pub(crate) fn consume_before(client: &Client, group: &Text, messages: &[MessageExt]) -> Option<Consuming> {
    let (tracer, now_ms) = (client.tracer()?, now_ms());
    let (consuming, traced) =
        before_record(&client.unwrapped(group), messages, client.next_message_id(now_ms), now_ms)?;
    tracer.append(traced);
    Some(consuming)
}

fn before_record(
    group: &Text,
    messages: &[MessageExt],
    request_id: Text,
    now_ms: i64,
) -> Option<(Consuming, Traced)> {
    let traced = || messages.iter().filter(|message| message.property(names::TRACE_SWITCH) != Some("false"));
    // Java keeps one region for the whole call, that of the last message.
    let region = traced().last()?.property(names::MSG_REGION);
    let (mut data, mut all_keys) = (String::new(), Vec::new());
    let mut known = Vec::new();
    for message in traced() {
        let own_keys = message.property(names::KEYS);
        let record = Record::new("SubBefore")
            .field(now_ms)
            .text(region)
            .field(group)
            .field(&request_id)
            .field(&message.msg_id)
            .field(message.reconsume_times)
            .text(own_keys);
        data.push_str(&record.end());
        all_keys.extend(keys(&message.msg_id, own_keys));
        known.push((message.msg_id.clone(), own_keys.map(str::to_owned)));
    }
    let consuming = Consuming {
        request_id,
        group: group.clone(),
        began_ms: now_ms,
        count: messages.len() as i64,
        messages: known,
    };
    Some((consuming, Traced { data, keys: all_keys }))
}

/// Traces what the listener answered. Java: `ConsumeMessageTraceHookImpl.consumeMessageAfter`.
pub(crate) fn consume_after(client: &Client, call: Option<Consuming>, success: bool, how: ConsumeReturnType) {
    let (Some(tracer), Some(call)) = (client.tracer(), call) else { return };
    tracer.append(after_record(&call, success, how, now_ms()));
}

fn after_record(call: &Consuming, success: bool, how: ConsumeReturnType, now_ms: i64) -> Traced {
    let (mut data, mut all_keys) = (String::new(), Vec::new());
    for (msg_id, own_keys) in &call.messages {
        let record = Record::new("SubAfter")
            .field(&call.request_id)
            .field(msg_id)
            .field((now_ms - call.began_ms) / call.count.max(1))
            .field(success)
            .text(own_keys.as_deref())
            .field(how as i32)
            .field(now_ms)
            .field(&call.group);
        data.push_str(&record.end());
        all_keys.extend(keys(msg_id, own_keys.as_deref()));
    }
    Traced { data, keys: all_keys }
}

#[cfg(test)]
mod tests {
    use ferrocket_protocol::MessageRecord;
    use ferrocket_protocol::body::message_queue::MessageQueue;
    use ferrocket_protocol::properties::Properties;

    use super::*;
    use crate::send_result::SendStatus;

    fn result() -> SendResult {
        SendResult {
            status: SendStatus::SendOk,
            msg_id: "ID".into(),
            offset_msg_id: "OFFSETID".into(),
            message_queue: MessageQueue::new("T", "a", 0),
            queue_offset: 1,
            transaction_id: None,
            recall_handle: None,
            region_id: "DefaultRegion".into(),
            trace_on: true,
        }
    }

    fn received(properties: &[(&'static str, &'static str)]) -> MessageExt {
        let record = MessageRecord {
            topic: "T".into(),
            queue_id: 0,
            flag: 0,
            sys_flag: 0,
            queue_offset: 0,
            physical_offset: 0,
            born_timestamp: 0,
            born_host: "10.0.0.9:4".parse().unwrap(),
            store_timestamp: 0,
            store_host: "10.0.0.1:5".parse().unwrap(),
            reconsume_times: 2,
            prepared_transaction_offset: 0,
            body: "b".into(),
            properties: properties.iter().copied().collect::<Properties>().to_text(),
        };
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        MessageExt::decode(&mut bytes.into(), &"a".into()).unwrap()
    }

    /// The fields as Java's encoder lines them up, `null` where there is nothing; a batch has no words of its own.
    #[test]
    fn sends_are_written_as_java_does() {
        let message = Message::new("T", "hello").tags("x").key("k1").key("k2");
        let (result, mut kinds, group) = (result(), Vec::new(), Text::from_static("ns%g"));
        let sent = |message| Sent {
            group: &group,
            topic: "T",
            message,
            body_len: 5,
            addr: "10.0.0.1:10911",
            began_ms: 1_000,
            result: &result,
        };
        let traced = sent_record(&sent(Some(&message)), "g", 1_007);
        assert_eq!(
            traced.data.replace(FIELD, "|"),
            "Pub|1000|DefaultRegion|g|T|ID|x|k1 k2|10.0.0.1:10911|5|7|0|OFFSETID|true\u{2}"
        );
        assert_eq!(traced.keys, ["ID", "k1", "k2"]);
        let traced = sent_record(&sent(None), "g", 1_000);
        assert_eq!(
            traced.data.replace(FIELD, "|"),
            "Pub|1000|DefaultRegion|g|T|ID|null|null|10.0.0.1:10911|5|0|0|OFFSETID|true\u{2}"
        );
        let half = message.clone().property("TRAN_MSG", "true");
        for message in [message, half.clone(), half.delay_level(1)] {
            kinds.push(MessageType::of(&message) as i32);
        }
        assert_eq!(kinds, [0, 1, 3]);
    }

    /// Both records of a listener's call share its id; a message whose broker wants no trace is left out, and the
    /// time is shared among all.
    #[test]
    fn consumption_is_written_as_java_does() {
        let group = "g".into();
        let first = received(&[("UNIQ_KEY", "A"), ("KEYS", "k"), ("MSG_REGION", "R")]);
        let untraced = received(&[("UNIQ_KEY", "B"), ("TRACE_ON", "false")]);
        assert!(before_record(&group, std::slice::from_ref(&untraced), "RID".into(), 1).is_none());
        let (call, traced) = before_record(&group, &[first, untraced], "RID".into(), 1_000).unwrap();
        assert_eq!(traced.data.replace(FIELD, "|"), "SubBefore|1000|R|g|RID|A|2|k\u{2}");
        assert_eq!(traced.keys, ["A", "k"]);
        let traced = after_record(&call, false, ConsumeReturnType::Failed, 1_010);
        assert_eq!(traced.data.replace(FIELD, "|"), "SubAfter|RID|A|5|false|k|4|1010|g\u{2}");
    }

    /// The end of a transaction has Java's misspelt state and says whether a broker had asked.
    #[test]
    fn ends_are_written_as_java_does() {
        let ended = Ended {
            group: &Text::from_static("g"),
            topic: "T",
            msg_id: "ID",
            tags: None,
            keys: None,
            region: Some(""),
            addr: "10.0.0.1:10911",
            transaction_id: Some("ID"),
            state: LocalTransactionState::Unknown,
            from_check: true,
        };
        assert_eq!(
            ended_record(&ended, "g", 1_000).data.replace(FIELD, "|"),
            "EndTransaction|1000|DefaultRegion|g|T|ID|null|null|10.0.0.1:10911|2|ID|UNKNOW|true\u{2}"
        );
    }

    /// What finds no room is dropped and counted, and whoever traces never waits.
    #[test]
    fn drops_are_counted() {
        let (tracer, _queue) = Tracer::new(TRACE_TOPIC.into());
        for _ in 0..QUEUE_MAX + 3 {
            tracer.append(Traced { data: String::new(), keys: Vec::new() });
        }
        assert_eq!(tracer.dropped(), 3);
        assert!(tracer.skips("RMQ_SYS_TRACE_TOPIC") && !tracer.skips("T"));
    }

    /// A message is sent when it is large, or has many keys; each key is in it once.
    #[test]
    fn batches_end() {
        let traced =
            |len: usize, key: &str| Traced { data: "x".repeat(len), keys: vec![key.into(), "same".into()] };
        let mut batch = Batch::default();
        assert!(!batch.add(traced(BATCH_LEN - 1, "a")));
        assert!(batch.add(traced(1, "b")));
        assert_eq!(batch.keys.len(), 3);
        let mut batch = Batch::default();
        assert!(!batch.add(traced(1, &"k".repeat(KEYS_LEN - 100))));
        assert!(batch.add(traced(1, &"l".repeat(100))));
    }
}
