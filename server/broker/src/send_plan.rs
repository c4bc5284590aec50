//! What a send becomes: records to append, or why it is refused. A pure core.
//!
//! Checks and their order, codes and texts are those of Java's `SendMessageProcessor`,
//! `AbstractSendMessageProcessor` and, for delayed messages, `CommitLog.asyncPutMessage`. What is different:
//! a direct send to a retry topic that is over its limit becomes a dead letter at once, whatever delay it
//! asks for; a negative queue id takes the queues in turn instead of by chance; the delay of a half message
//! begins when it is committed, where Java loses the message.

use std::collections::HashSet;
use std::net::SocketAddr;

use bytes::Bytes;
use ferrocket_protocol::Text;
use ferrocket_protocol::batch;
use ferrocket_protocol::command::VERSION_3_4_9;
use ferrocket_protocol::message::{MessageRecord, PROPERTIES_LEN_MAX, TOPIC_LEN_MAX, sys_flag};
use ferrocket_protocol::message_id::OffsetMessageId;
use ferrocket_protocol::properties::{self, NAME_VALUE_SEPARATOR, PROPERTY_SEPARATOR, Properties, names};
use ferrocket_protocol::requests::send::{ConsumerSendMsgBackHeader, SendMessageHeader};
use ferrocket_protocol::response_code::ResponseCode;

use crate::refusal::Refusal;
use crate::topics::{RETRY_PREFIX, SCHEDULE_TOPIC, dlq_topic, retry_topic};
use crate::transactions;

/// Queues of a dead letter topic.
pub(crate) const DEAD_LETTER_QUEUES: i32 = 1;
/// Bytes of a record beyond body limit (`maxMessageSize`) that properties, topic and fixed part may take.
const RECORD_OVERHEAD_MAX: usize = 64 * 1024;
/// Messages of one batch. Java has no limit.
const BATCH_MESSAGES_MAX: usize = 32_768;
/// Characters of a property that a remark shows.
const SHOWN_MAX: usize = 64;
/// Behind remarks that a page explains. Java: `FAQUrl.suggestTodo`.
pub(crate) const SEE_FAQ: &str = "\nSee http://rocketmq.apache.org/docs/faq/ for further details.";

/// What planning needs to know of the Broker, a snapshot of its settings.
#[derive(Clone, Debug)]
pub(crate) struct SendRules {
    /// `brokerClusterName`, stored with every message.
    pub(crate) cluster: Text,
    /// `brokerIP1`, for texts.
    pub(crate) broker_ip: Text,
    /// The address that offset message ids name.
    pub(crate) store_host: SocketAddr,
    /// `maxMessageSize`: longest body in bytes.
    pub(crate) body_len_max: usize,
    /// The highest delay level.
    pub(crate) delay_level_max: i32,
    /// `rejectTransactionMessage`.
    pub(crate) reject_transaction: bool,
    /// `checkProperties`.
    pub(crate) check_properties: bool,
}

/// What planning needs to know of the topic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Destination {
    /// Number of queues written to.
    pub(crate) write_queues: i32,
    /// Whether messages have several tags (`topicFilterType` is `MULTI_TAG`).
    pub(crate) multi_tag: bool,
    /// For a negative queue id: any number, best a counter.
    pub(crate) turn: u32,
}

/// Records to append as one, and what the reply needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    /// One record, or those of a batch: one topic and queue.
    pub(crate) records: Vec<MessageRecord>,
    /// The queue id for the reply: of the real topic, also when the message waits elsewhere.
    pub(crate) queue_id: i32,
    /// Whether the sender wants to know that the message is durable. Absent `WAIT` means yes.
    pub(crate) wait: bool,
}

/// The system flag of a topic that a send with `unit_mode` creates. Java: `TopicSysFlag`.
pub(crate) fn topic_sys_flag(topic: &str, unit_mode: bool) -> i32 {
    match (unit_mode, topic.starts_with(RETRY_PREFIX)) {
        (false, _) => 0,
        (true, false) => 1,
        (true, true) => 2,
    }
}

/// For a send to the retry topic of `group` that has used up its tries: the dead letter topic it goes to
/// instead. `retry_max` is the group's `retryMaxTimes`; newer clients send their own.
pub(crate) fn dead_letter_topic(
    header: &SendMessageHeader,
    version: i32,
    group: &str,
    retry_max: i32,
) -> Option<Text> {
    let retry_max = header.max_reconsume_times.filter(|_| version >= VERSION_3_4_9).unwrap_or(retry_max);
    (header.reconsume_times.unwrap_or(0) >= retry_max).then(|| dlq_topic(group).into())
}

/// Plans one message. `dead_letter` is what [`dead_letter_topic`] said.
pub(crate) fn plan_message(
    rules: &SendRules,
    header: &SendMessageHeader,
    body: Bytes,
    sender: SocketAddr,
    destination: Destination,
    dead_letter: Option<Text>,
) -> Result<Planned, Refusal> {
    let queue_id = choose_queue(header.queue_id, destination.write_queues, destination.turn)?;
    if rules.check_properties {
        check_properties(header.properties.as_deref().unwrap_or_default())?;
    }
    let sent = SentProperties::read(header.properties.as_deref().unwrap_or_default(), &rules.cluster)?;
    let flags = system_flag(header, destination);
    let transaction = flags & sys_flag::TRANSACTION_ROLLBACK;
    if sent.half && rules.reject_transaction {
        return Err(Refusal::new(
            ResponseCode::NO_PERMISSION,
            format!("the broker[{}] sending transaction message is forbidden", rules.broker_ip),
        ));
    }
    let (topic, stored_queue_id, delay_level) = match dead_letter {
        // The reply names the queue that was asked for, as Java's does.
        Some(topic) => (topic, 0, 0),
        None => (header.topic.clone(), queue_id, sent.delay_level),
    };
    let record = MessageRecord {
        topic,
        ..sent_record(header, stored_queue_id, flags, sender, rules.store_host, body, sent.text.into())
    };
    let record = if sent.half {
        // Java writes the properties anew here, and WAIT comes back.
        let wait =
            properties::get(header.properties.as_deref().unwrap_or_default(), names::WAIT_STORE_MSG_OK);
        transactions::half(record, wait)
    } else if transaction == 0 || transaction == sys_flag::TRANSACTION_COMMIT {
        delayed(record, delay_level, rules.delay_level_max)
    } else {
        record
    };
    check_record(rules, &record)?;
    Ok(Planned { records: vec![record], queue_id, wait: sent.wait })
}

/// Plans a batch: the messages in `body`, each with the batch's own properties behind its own.
pub(crate) fn plan_batch(
    rules: &SendRules,
    header: &SendMessageHeader,
    body: Bytes,
    sender: SocketAddr,
    destination: Destination,
) -> Result<Planned, Refusal> {
    let queue_id = choose_queue(header.queue_id, destination.write_queues, destination.turn)?;
    let flags = system_flag(header, destination);
    let of_batch = header.properties.as_deref().unwrap_or_default();
    if rules.check_properties {
        check_properties(of_batch)?;
    }
    let mut sent = SentProperties::read(of_batch, &rules.cluster)?;
    if body.len() > rules.body_len_max || flags & sys_flag::TRANSACTION_ROLLBACK != 0 || sent.delay_level > 0
    {
        return Err(illegal(rules.body_len_max));
    }
    // Java 4.9 stores it with the messages of a batch, though not with single ones.
    if let Some(wait) = properties::get(of_batch, names::WAIT_STORE_MSG_OK) {
        sent.push(names::WAIT_STORE_MSG_OK, wait);
    }
    let messages = batch::decode(body).map_err(|error| {
        Refusal::new(ResponseCode::MESSAGE_ILLEGAL, format!("the batch cannot be read: {error}"))
    })?;
    if messages.is_empty() || messages.len() > BATCH_MESSAGES_MAX {
        let remark = format!("a batch holds 1 to {BATCH_MESSAGES_MAX} messages, this one {}", messages.len());
        return Err(Refusal::new(ResponseCode::MESSAGE_ILLEGAL, remark));
    }
    let mut records = Vec::with_capacity(messages.len());
    for message in messages {
        if rules.check_properties {
            check_properties(&message.properties)?;
        }
        let mut properties = String::with_capacity(message.properties.len() + sent.text.len() + 1);
        properties.push_str(&message.properties);
        if !properties.is_empty() && !properties.ends_with(PROPERTY_SEPARATOR) {
            properties.push(PROPERTY_SEPARATOR);
        }
        properties.push_str(&sent.text);
        let (body, properties) = (message.body, properties.into());
        let record = MessageRecord {
            flag: message.flag,
            ..sent_record(header, queue_id, flags, sender, rules.store_host, body, properties)
        };
        check_record(rules, &record)?;
        records.push(record);
    }
    Ok(Planned { records, queue_id, wait: sent.wait })
}

/// Refuses a text in which something else stands than a sender can have meant: all that is left to see of a separator
/// inside a name or a value, unless it makes one more property of a new name. Java takes such texts.
pub(crate) fn check_properties(text: &str) -> Result<(), Refusal> {
    let mut seen = HashSet::new();
    for entry in text.split(PROPERTY_SEPARATOR).filter(|entry| !entry.is_empty()) {
        let good = entry.split_once(NAME_VALUE_SEPARATOR).is_some_and(|(name, value)| {
            !value.contains(NAME_VALUE_SEPARATOR) && !entry.contains('\0') && seen.insert(name)
        });
        if !good {
            let shown: String = entry.chars().take(SHOWN_MAX).collect();
            return Err(Refusal::new(
                ResponseCode::MESSAGE_ILLEGAL,
                format!(
                    "property {shown:?} is broken or there twice: names and values must not hold control characters \
                     (0x00 to 0x02)"
                ),
            ));
        }
    }
    Ok(())
}

/// The record of a message as this header sends it. The store fills in what is 0 here.
pub(crate) fn sent_record(
    header: &SendMessageHeader,
    queue_id: i32,
    sys_flag: i32,
    born_host: SocketAddr,
    store_host: SocketAddr,
    body: Bytes,
    properties: Text,
) -> MessageRecord {
    MessageRecord {
        topic: header.topic.clone(),
        queue_id,
        flag: header.flag,
        sys_flag,
        queue_offset: 0,
        physical_offset: 0,
        born_timestamp: header.born_timestamp,
        born_host,
        store_timestamp: 0,
        store_host,
        reconsume_times: header.reconsume_times.unwrap_or(0),
        prepared_transaction_offset: 0,
        body,
        properties,
    }
}

/// Where a message that a consumer gave back goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SendBack {
    /// The record to append.
    pub(crate) record: MessageRecord,
    /// The topic that must exist: the retry topic or the dead letter topic.
    pub(crate) topic: Text,
    /// Whether it is a dead letter.
    pub(crate) is_dead: bool,
}

/// Plans the return of `record` by the group that `header` names: once more after a delay that grows with
/// each try, or to the dead letters when its tries are used up or the consumer asks for it (`delayLevel` < 0).
///
/// `retry_max` and `retry_queues` are the group's settings.
pub(crate) fn plan_send_back(
    rules: &SendRules,
    header: &ConsumerSendMsgBackHeader,
    version: i32,
    retry_max: i32,
    retry_queues: i32,
    turn: u32,
    record: MessageRecord,
) -> Result<SendBack, Refusal> {
    let retry_max = header.max_reconsume_times.filter(|_| version >= VERSION_3_4_9).unwrap_or(retry_max);
    let is_dead = record.reconsume_times >= retry_max || header.delay_level < 0;
    let (topic, queue_id, delay_level) = if is_dead {
        (dlq_topic(&header.group), 0, 0)
    } else {
        let level = if header.delay_level == 0 { 3 + record.reconsume_times } else { header.delay_level };
        (retry_topic(&header.group), in_turn(turn, retry_queues), level)
    };
    let topic = Text::from(topic);
    let mut properties = Properties::parse(&record.properties);
    if properties.get(names::RETRY_TOPIC).is_none() {
        properties.set(names::RETRY_TOPIC, record.topic.clone());
    }
    properties.set(names::WAIT_STORE_MSG_OK, "false");
    properties.set(names::DELAY_TIME_LEVEL, delay_level.to_string());
    if properties.get(names::ORIGIN_MESSAGE_ID).is_none_or(|id| id.trim().is_empty()) {
        let id = OffsetMessageId { host: record.store_host, physical_offset: record.physical_offset };
        properties.set(names::ORIGIN_MESSAGE_ID, id.to_string());
    }
    let record = MessageRecord {
        topic: topic.clone(),
        queue_id,
        reconsume_times: record.reconsume_times.saturating_add(1),
        properties: properties.to_text(),
        ..record
    };
    let record = delayed(record, delay_level, rules.delay_level_max);
    check_record(rules, &record)?;
    Ok(SendBack { record, topic, is_dead })
}

/// Sends a record with a delay level to the queue of its level; its destination goes into its properties.
pub(crate) fn delayed(record: MessageRecord, level: i32, level_max: i32) -> MessageRecord {
    if level <= 0 {
        return record;
    }
    let level = level.min(level_max);
    let mut properties = Properties::parse(&record.properties);
    properties.set(names::DELAY_TIME_LEVEL, level.to_string());
    properties.set(names::REAL_TOPIC, record.topic.clone());
    properties.set(names::REAL_QUEUE_ID, record.queue_id.to_string());
    MessageRecord {
        topic: Text::from_static(SCHEDULE_TOPIC),
        queue_id: level - 1,
        properties: properties.to_text(),
        ..record
    }
}

/// Where a record belongs that waits in one of the Broker's own topics: what [`delayed`] and
/// [`transactions::half`] noted.
pub(crate) fn destination(waiting: &MessageRecord) -> Option<(Text, i32)> {
    let topic = properties::get(&waiting.properties, names::REAL_TOPIC)?;
    let queue_id = properties::get(&waiting.properties, names::REAL_QUEUE_ID)?.parse().ok()?;
    Some((topic.into(), queue_id))
}

fn check_record(rules: &SendRules, record: &MessageRecord) -> Result<(), Refusal> {
    let fits = record.body.len() <= rules.body_len_max
        && record.properties.len() <= PROPERTIES_LEN_MAX
        && record.topic.len() <= TOPIC_LEN_MAX
        && record.encoded_len() <= rules.body_len_max.saturating_add(RECORD_OVERHEAD_MAX);
    if fits { Ok(()) } else { Err(illegal(rules.body_len_max)) }
}

/// Java's answer to every message that does not fit.
pub(crate) fn illegal(body_len_max: usize) -> Refusal {
    Refusal::new(
        ResponseCode::MESSAGE_ILLEGAL,
        format!(
            "the message is illegal, maybe msg body or properties length not matched. msg body length limit {body_len_max}B, \
             msg properties length limit 32KB."
        ),
    )
}

/// The queue asked for; for a negative one, the queues in turn.
pub(crate) fn choose_queue(asked: i32, write_queues: i32, turn: u32) -> Result<i32, Refusal> {
    match asked {
        0.. => Ok(asked),
        _ if write_queues > 0 => Ok(in_turn(turn, write_queues)),
        _ => Err(Refusal::system_error("the topic has no queue that is written to")),
    }
}

fn in_turn(turn: u32, queues: i32) -> i32 {
    let queues = u32::try_from(queues).unwrap_or(0).max(1);
    (turn % queues) as i32
}

fn system_flag(header: &SendMessageHeader, destination: Destination) -> i32 {
    header.sys_flag | if destination.multi_tag { sys_flag::MULTI_TAGS } else { 0 }
}

/// The properties of a send as they are stored, and what they say about it.
struct SentProperties {
    /// As sent, without `WAIT`, with `CLUSTER` last.
    text: String,
    wait: bool,
    delay_level: i32,
    half: bool,
}

impl SentProperties {
    fn read(sent: &str, cluster: &str) -> Result<Self, Refusal> {
        let mut read = Self {
            text: String::with_capacity(sent.len() + names::CLUSTER.len() + cluster.len() + 2),
            wait: true,
            delay_level: 0,
            half: false,
        };
        for (name, value) in properties::iter(sent) {
            match name {
                names::WAIT_STORE_MSG_OK => {
                    read.wait = value.eq_ignore_ascii_case("true");
                    continue;
                }
                names::CLUSTER => continue,
                names::DELAY_TIME_LEVEL => {
                    // Java throws NumberFormatException here, which its peers see as code 1 with this text.
                    let level = value.parse();
                    read.delay_level =
                        level.map_err(|_| Refusal::system_error(format!("For input string: \"{value}\"")))?;
                }
                names::TRANSACTION_PREPARED => read.half = value.eq_ignore_ascii_case("true"),
                _ => {}
            }
            read.push(name, value);
        }
        if !cluster.is_empty() {
            read.push(names::CLUSTER, cluster);
        }
        Ok(read)
    }

    fn push(&mut self, name: &str, value: &str) {
        if !self.text.is_empty() {
            self.text.push(PROPERTY_SEPARATOR);
        }
        self.text.push_str(name);
        self.text.push(NAME_VALUE_SEPARATOR);
        self.text.push_str(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrocket_protocol::command::VERSION_4_9_8;

    fn rules() -> SendRules {
        SendRules {
            cluster: "DefaultCluster".into(),
            broker_ip: "10.0.0.2".into(),
            store_host: "10.0.0.2:10911".parse().unwrap(),
            body_len_max: 4 * 1024 * 1024,
            delay_level_max: 18,
            reject_transaction: false,
            check_properties: false,
        }
    }

    fn sender() -> SocketAddr {
        "10.0.0.1:4000".parse().unwrap()
    }

    fn destination() -> Destination {
        Destination { write_queues: 4, multi_tag: false, turn: 6 }
    }

    fn header(properties: &str) -> SendMessageHeader {
        SendMessageHeader {
            topic: "T".into(),
            queue_id: 3,
            born_timestamp: 1_000,
            properties: Some(properties.into()),
            ..SendMessageHeader::default()
        }
    }

    fn plan(header: &SendMessageHeader) -> Result<Planned, Refusal> {
        plan_message(&rules(), header, Bytes::from_static(b"x"), sender(), destination(), None)
    }

    /// WAIT is obeyed and not stored, the cluster's name is, everything else passes through.
    #[test]
    fn properties_are_stored_as_java_stores_them() {
        let planned = plan(&header("TAGS\u{1}A\u{2}WAIT\u{1}false\u{2}k\u{1}v\u{2}")).unwrap();
        assert!(!planned.wait);
        assert_eq!(&*planned.records[0].properties, "TAGS\u{1}A\u{2}k\u{1}v\u{2}CLUSTER\u{1}DefaultCluster");
        let planned = plan(&header("")).unwrap();
        assert!(planned.wait);
        assert_eq!(&*planned.records[0].properties, "CLUSTER\u{1}DefaultCluster");
    }

    /// By default, what separators in a value leave is passed over as Java does; with `checkProperties` it is refused.
    #[test]
    fn broken_properties() {
        let broken = [
            "k\u{1}before\u{2}after\u{2}TAGS\u{1}A",
            "k\u{1}one\u{1}two",
            "k\u{1}a\0b",
            "k\0\u{1}v",
            "TAGS\u{1}A\u{2}k\u{1}v\u{2}TAGS\u{1}B",
        ];
        let good = ["", "k\u{1}v", "k\u{1}v\u{2}", "k\u{1}\u{2}TAGS\u{1}A\u{2}\u{2}WAIT\u{1}true"];
        let (lenient, strict) = (rules(), SendRules { check_properties: true, ..rules() });
        let plan = |rules, properties| {
            plan_message(rules, &header(properties), Bytes::new(), sender(), destination(), None)
        };
        for properties in broken {
            plan(&lenient, properties).unwrap();
            let refusal = plan(&strict, properties).unwrap_err();
            assert_eq!(refusal.code, ResponseCode::MESSAGE_ILLEGAL, "{properties:?}");
            let words =
                "broken or there twice: names and values must not hold control characters (0x00 to 0x02)";
            assert!(refusal.remark.ends_with(words), "{}", refusal.remark);

            // Of a batch, and of one message in it.
            let batch = |of_message: &str| {
                let properties = of_message.into();
                batch::encode(&[batch::BatchMessage { flag: 0, body: Bytes::from_static(b"x"), properties }])
            };
            let plan = |rules, of_batch, of_message| {
                plan_batch(rules, &header(of_batch), batch(of_message), sender(), destination())
            };
            for (of_batch, of_message) in [(properties, "k\u{1}v"), ("k\u{1}v", properties)] {
                plan(&lenient, of_batch, of_message).unwrap();
                assert_eq!(plan(&strict, of_batch, of_message).unwrap_err(), refusal);
            }
            plan(&strict, "k\u{1}v", "k\u{1}v").unwrap();
        }
        for properties in good {
            plan(&strict, properties).unwrap();
        }
    }

    /// A delay level moves the message to its level's queue; too high ones count as the highest.
    #[test]
    fn delayed_messages_wait_in_the_schedule_topic() {
        let planned = plan(&header("DELAY\u{1}99")).unwrap();
        let record = &planned.records[0];
        assert_eq!((&*record.topic, record.queue_id, planned.queue_id), (SCHEDULE_TOPIC, 17, 3));
        assert_eq!(properties::get(&record.properties, "REAL_TOPIC"), Some("T"));
        assert_eq!(properties::get(&record.properties, "REAL_QID"), Some("3"));
        assert_eq!(properties::get(&record.properties, "DELAY"), Some("18"));
        assert_eq!(&*plan(&header("DELAY\u{1}0")).unwrap().records[0].topic, "T");
        let refusal = plan(&header("DELAY\u{1}x")).unwrap_err();
        assert_eq!((refusal.code, &*refusal.remark), (ResponseCode::SYSTEM_ERROR, "For input string: \"x\""));
    }

    /// A negative queue id takes the queues in turn.
    #[test]
    fn a_negative_queue_id_is_the_brokers_choice() {
        let planned = plan(&SendMessageHeader { queue_id: -1, ..header("") }).unwrap();
        assert_eq!((planned.queue_id, planned.records[0].queue_id), (2, 2));
        let nowhere = Destination { write_queues: 0, ..destination() };
        let header = SendMessageHeader { queue_id: -1, ..header("") };
        assert!(plan_message(&rules(), &header, Bytes::new(), sender(), nowhere, None).is_err());
    }

    /// A half message waits among its like until it is ended, also if it is to be delayed then; the reply names
    /// the queue it was sent to. `rejectTransactionMessage` refuses it.
    #[test]
    fn half_messages_wait() {
        let header = SendMessageHeader { sys_flag: 4, ..header("TRAN_MSG\u{1}true\u{2}DELAY\u{1}2") };
        let planned = plan(&header).unwrap();
        let record = &planned.records[0];
        assert_eq!((&*record.topic, record.queue_id, planned.queue_id), ("RMQ_SYS_TRANS_HALF_TOPIC", 0, 3));
        assert_eq!(record.sys_flag, 0);
        assert_eq!(properties::get(&record.properties, "REAL_TOPIC"), Some("T"));
        assert_eq!(properties::get(&record.properties, "REAL_QID"), Some("3"));
        let rules = SendRules { reject_transaction: true, ..rules() };
        let refusal = plan_message(&rules, &header, Bytes::new(), sender(), destination(), None).unwrap_err();
        assert_eq!(refusal.code, ResponseCode::NO_PERMISSION);
        assert_eq!(refusal.remark, "the broker[10.0.0.2] sending transaction message is forbidden");
    }

    /// What does not fit gets code 13 with Java's text.
    #[test]
    fn limits_are_javas() {
        let ok = format!("k\u{1}{}", "v".repeat(PROPERTIES_LEN_MAX - 2 - 23));
        assert_eq!(plan(&header(&ok)).unwrap().records[0].properties.len(), PROPERTIES_LEN_MAX);
        let refusal = plan(&header(&format!("{ok}v"))).unwrap_err();
        assert_eq!(refusal.code, ResponseCode::MESSAGE_ILLEGAL);
        assert!(
            refusal.remark.ends_with("msg body length limit 4194304B, msg properties length limit 32KB.")
        );
        let body = Bytes::from(vec![0; 4 * 1024 * 1024 + 1]);
        assert!(plan_message(&rules(), &header(""), body, sender(), destination(), None).is_err());
    }

    /// A direct send to a retry topic over its limit is a dead letter at once, whatever its delay.
    #[test]
    fn used_up_retries_become_dead_letters() {
        let retry = |times, max| SendMessageHeader {
            topic: "%RETRY%g".into(),
            reconsume_times: Some(times),
            max_reconsume_times: max,
            ..header("DELAY\u{1}5")
        };
        assert_eq!(dead_letter_topic(&retry(15, None), VERSION_4_9_8, "g", 16), None);
        assert_eq!(dead_letter_topic(&retry(3, Some(3)), VERSION_3_4_9 - 1, "g", 16), None);
        let dead = dead_letter_topic(&retry(3, Some(3)), VERSION_4_9_8, "g", 16);
        assert_eq!(dead.as_deref(), Some("%DLQ%g"));
        let planned =
            plan_message(&rules(), &retry(3, Some(3)), Bytes::new(), sender(), destination(), dead).unwrap();
        assert_eq!((&*planned.records[0].topic, planned.records[0].queue_id), ("%DLQ%g", 0));
        assert_eq!(planned.queue_id, 3);
    }

    fn consumed() -> MessageRecord {
        let mut record = plan(&header("TAGS\u{1}A")).unwrap().records.remove(0);
        record.physical_offset = 256;
        record
    }

    fn back(delay_level: i32, max: Option<i32>) -> ConsumerSendMsgBackHeader {
        ConsumerSendMsgBackHeader {
            group: "g".into(),
            delay_level,
            max_reconsume_times: max,
            ..ConsumerSendMsgBackHeader::default()
        }
    }

    fn give_back(header: &ConsumerSendMsgBackHeader, record: MessageRecord) -> SendBack {
        plan_send_back(&rules(), header, VERSION_4_9_8, 16, 1, 7, record).unwrap()
    }

    /// A returned message waits at level 3 + tries, remembers where it came from, and counts the try.
    #[test]
    fn a_returned_message_is_retried_later() {
        let first = give_back(&back(0, None), consumed());
        assert_eq!((&*first.topic, first.is_dead), ("%RETRY%g", false));
        assert_eq!((&*first.record.topic, first.record.queue_id), (SCHEDULE_TOPIC, 2));
        assert_eq!(first.record.reconsume_times, 1);
        let property = |name| properties::get(&first.record.properties, name);
        assert_eq!(property("REAL_TOPIC"), Some("%RETRY%g"));
        assert_eq!(property("RETRY_TOPIC"), Some("T"));
        assert_eq!(property("ORIGIN_MESSAGE_ID"), Some("0A00000200002A9F0000000000000100"));
        assert_eq!(
            (property("DELAY"), property("TAGS"), property("WAIT")),
            (Some("3"), Some("A"), Some("false"))
        );
        let again = MessageRecord { topic: "%RETRY%g".into(), physical_offset: 999, ..first.record.clone() };
        let second = give_back(&back(0, None), again);
        assert_eq!(second.record.queue_id, 3);
        assert_eq!(properties::get(&second.record.properties, "RETRY_TOPIC"), Some("T"));
        let id = properties::get(&second.record.properties, "ORIGIN_MESSAGE_ID");
        assert_eq!(id, Some("0A00000200002A9F0000000000000100"));
    }

    /// Used-up tries and a negative level go to the dead letters at once.
    #[test]
    fn a_returned_message_may_be_dead() {
        for (header, tries) in [(back(-1, None), 0), (back(0, None), 16), (back(5, Some(2)), 2)] {
            let dead = give_back(&header, MessageRecord { reconsume_times: tries, ..consumed() });
            assert!(dead.is_dead);
            assert_eq!((&*dead.record.topic, dead.record.queue_id), ("%DLQ%g", 0));
            assert_eq!(properties::get(&dead.record.properties, "DELAY"), Some("0"));
        }
    }

    /// A batch becomes one record per message in one queue, the batch's properties behind each one's own.
    #[test]
    fn a_batch_is_taken_apart() {
        let message = |body: &'static [u8], properties: &str| batch::BatchMessage {
            flag: 7,
            body: Bytes::from_static(body),
            properties: properties.into(),
        };
        let body = batch::encode(&[message(b"1", "TAGS\u{1}A"), message(b"2", "")]);
        let planned = plan_batch(&rules(), &header("WAIT\u{1}true"), body, sender(), destination()).unwrap();
        assert_eq!(planned.records.len(), 2);
        let [first, second] = &planned.records[..] else { panic!() };
        assert_eq!(&*first.properties, "TAGS\u{1}A\u{2}CLUSTER\u{1}DefaultCluster\u{2}WAIT\u{1}true");
        assert_eq!(&*second.properties, "CLUSTER\u{1}DefaultCluster\u{2}WAIT\u{1}true");
        assert_eq!((first.queue_id, second.queue_id, first.flag, &first.body[..]), (3, 3, 7, &b"1"[..]));
        for bad in [Bytes::new(), Bytes::from_static(b"xyz")] {
            let refusal = plan_batch(&rules(), &header(""), bad, sender(), destination()).unwrap_err();
            assert_eq!(refusal.code, ResponseCode::MESSAGE_ILLEGAL);
        }
    }
}
