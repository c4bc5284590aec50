//! The properties text of a message: `name 0x01 value 0x02 …`.
//!
//! 4.9 leaves the last 0x02 out and 5.3 writes it; readers accept both. Entries without name or value are
//! dropped, and of entries with the same name the last one counts, as in Java's `string2messageProperties`.

use crate::command::Text;
use crate::text_block;

/// Between a name and its value.
pub const NAME_VALUE_SEPARATOR: char = '\u{1}';
/// Between two properties.
pub const PROPERTY_SEPARATOR: char = '\u{2}';

/// Names that carry a meaning (`MessageConst`).
pub mod names {
    /// Search keys, space separated, indexed as topic#key.
    pub const KEYS: &str = "KEYS";
    /// Single tag; Java hashCode goes to the consume queue.
    pub const TAGS: &str = "TAGS";
    /// True means wait for flush/replication; stripped from plain sends before storing.
    pub const WAIT_STORE_MSG_OK: &str = "WAIT";
    /// Delay level number; kept on the delivered message.
    pub const DELAY_TIME_LEVEL: &str = "DELAY";
    /// Original topic of a retried message.
    pub const RETRY_TOPIC: &str = "RETRY_TOPIC";
    /// Destination topic while parked in schedule, timer or half topic.
    pub const REAL_TOPIC: &str = "REAL_TOPIC";
    /// Destination queue id while parked.
    pub const REAL_QUEUE_ID: &str = "REAL_QID";
    /// True marks a half message send.
    pub const TRANSACTION_PREPARED: &str = "TRAN_MSG";
    /// Group used for check-back and end-transaction validation.
    pub const PRODUCER_GROUP: &str = "PGROUP";
    /// Queue min offset at pull time.
    pub const MIN_OFFSET: &str = "MIN_OFFSET";
    /// Queue max offset at pull time.
    pub const MAX_OFFSET: &str = "MAX_OFFSET";
    /// Legacy unit routing id.
    pub const BUYER_ID: &str = "BUYER_ID";
    /// OffsetMsgId of the first store of a retried message.
    pub const ORIGIN_MESSAGE_ID: &str = "ORIGIN_MESSAGE_ID";
    /// Legacy transfer mark (5.x proxy copies it).
    pub const TRANSFER_FLAG: &str = "TRANSFER_FLAG";
    /// Legacy correction mark.
    pub const CORRECTION_FLAG: &str = "CORRECTION_FLAG";
    /// Legacy mark.
    pub const MQ2_FLAG: &str = "MQ2_FLAG";
    /// Reconsume count moved into the request header.
    pub const RECONSUME_TIME: &str = "RECONSUME_TIME";
    /// Broker region id.
    pub const MSG_REGION: &str = "MSG_REGION";
    /// Trace on or off.
    pub const TRACE_SWITCH: &str = "TRACE_ON";
    /// Client message id, indexed as topic#id.
    pub const UNIQ_CLIENT_MESSAGE_ID_KEYIDX: &str = "UNIQ_KEY";
    /// Reserved.
    pub const EXTEND_UNIQ_INFO: &str = "EXTEND_UNIQ_INFO";
    /// Max reconsume times moved into the request header.
    pub const MAX_RECONSUME_TIMES: &str = "MAX_RECONSUME_TIMES";
    /// Ms when consumption started.
    pub const CONSUME_START_TIMESTAMP: &str = "CONSUME_START_TIME";
    /// Number of messages in an inner batch.
    pub const INNER_NUM: &str = "INNER_NUM";
    /// Base queue offset of an inner batch.
    pub const INNER_BASE: &str = "INNER_BASE";
    /// Physical offset and size info of duplicates.
    pub const DUP_INFO: &str = "DUP_INFO";
    /// Seconds before the first check-back.
    pub const CHECK_IMMUNITY_TIME_IN_SECONDS: &str = "CHECK_IMMUNITY_TIME_IN_SECONDS";
    /// Queue offset of the first copy of a re-put half message.
    pub const TRANSACTION_PREPARED_QUEUE_OFFSET: &str = "TRAN_PREPARED_QUEUE_OFFSET";
    /// Transaction id of a half message.
    pub const TRANSACTION_ID: &str = "__transactionId__";
    /// Check-backs done so far.
    pub const TRANSACTION_CHECK_TIMES: &str = "TRANSACTION_CHECK_TIMES";
    /// Instance id.
    pub const INSTANCE_ID: &str = "INSTANCE_ID";
    /// Request-reply correlation id (UUID).
    pub const CORRELATION_ID: &str = "CORRELATION_ID";
    /// ClientId of the requester.
    pub const MESSAGE_REPLY_TO_CLIENT: &str = "REPLY_TO_CLIENT";
    /// Request timeout ms.
    pub const MESSAGE_TTL: &str = "TTL";
    /// Ms when the reply arrived.
    pub const REPLY_MESSAGE_ARRIVE_TIME: &str = "ARRIVE_TIME";
    /// Ms when the broker pushed the reply.
    pub const PUSH_REPLY_TIME: &str = "PUSH_REPLY_TIME";
    /// Cluster name, added to every stored message; used for reply topics.
    pub const CLUSTER: &str = "CLUSTER";
    /// Value reply marks a reply message.
    pub const MESSAGE_TYPE: &str = "MSG_TYPE";
    /// Pop extra info (space separated) needed to ack.
    pub const POP_CK: &str = "POP_CK";
    /// Reserved.
    pub const POP_CK_OFFSET: &str = "POP_CK_OFFSET";
    /// Ms of the first pop.
    pub const FIRST_POP_TIME: &str = "1ST_POP_TIME";
    /// Message group.
    pub const SHARDING_KEY: &str = "__SHARDINGKEY";
    /// Reserved.
    pub const FORWARD_QUEUE_ID: &str = "PROPERTY_FORWARD_QUEUE_ID";
    /// Reserved.
    pub const REDIRECT: &str = "REDIRECT";
    /// Comma list of LMQ queue names.
    pub const INNER_MULTI_DISPATCH: &str = "INNER_MULTI_DISPATCH";
    /// Comma list of LMQ queue offsets.
    pub const INNER_MULTI_QUEUE_OFFSET: &str = "INNER_MULTI_QUEUE_OFFSET";
    /// Trace context.
    pub const TRACE_CONTEXT: &str = "TRACE_CONTEXT";
    /// Timer delay seconds.
    pub const TIMER_DELAY_SEC: &str = "TIMER_DELAY_SEC";
    /// Timer delivery epoch ms.
    pub const TIMER_DELIVER_MS: &str = "TIMER_DELIVER_MS";
    /// Timer delay ms.
    pub const TIMER_DELAY_MS: &str = "TIMER_DELAY_MS";
    /// Original client address.
    pub const BORN_HOST: &str = "__BORNHOST";
    /// Original born time.
    pub const BORN_TIMESTAMP: &str = "BORN_TIMESTAMP";
    /// Prefix of properties never sent.
    pub const TRANSIENT_PREFIX: &str = "__RMQ.TRANSIENT.";
    /// Topic sysFlag cached on the message.
    pub const TRANSIENT_TOPIC_CONFIG: &str = "__RMQ.TRANSIENT.TOPIC_SYS_FLAG";
    /// Group sysFlag cached on the message.
    pub const TRANSIENT_GROUP_CONFIG: &str = "__RMQ.TRANSIENT.GROUP_SYS_FLAG";
    /// Ms when the timer enqueued it.
    pub const TIMER_ENQUEUE_MS: &str = "TIMER_ENQUEUE_MS";
    /// Ms when the timer dequeued it.
    pub const TIMER_DEQUEUE_MS: &str = "TIMER_DEQUEUE_MS";
    /// Number of rolls.
    pub const TIMER_ROLL_TIMES: &str = "TIMER_ROLL_TIMES";
    /// Aligned delivery ms.
    pub const TIMER_OUT_MS: &str = "TIMER_OUT_MS";
    /// Unique key of the timer message to cancel.
    pub const TIMER_DEL_UNIQKEY: &str = "TIMER_DEL_UNIQKEY";
    /// Reserved.
    pub const TIMER_DELAY_LEVEL: &str = "TIMER_DELAY_LEVEL";
    /// CRC of the stored message, 10 reversed decimal digits, always last.
    pub const CRC32: &str = "__CRC32#";
    /// Original topic of a dead letter.
    pub const DLQ_ORIGIN_TOPIC: &str = "DLQ_ORIGIN_TOPIC";
    /// Original id of a dead letter.
    pub const DLQ_ORIGIN_MESSAGE_ID: &str = "DLQ_ORIGIN_MESSAGE_ID";
}

/// The properties of a text in written order, broken entries left out.
pub fn iter(text: &str) -> impl Iterator<Item = (&str, &str)> {
    // A value may hold further separator bytes: only the first one separates.
    text.split(PROPERTY_SEPARATOR)
        .filter_map(|entry| entry.split_once(NAME_VALUE_SEPARATOR))
        .filter(|(name, value)| !name.is_empty() && !value.is_empty())
}

/// The value of `name`, the last one if it occurs twice.
pub fn get<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    iter(text).filter(|(key, _)| *key == name).map(|(_, value)| value).last()
}

/// Properties that can be changed, in the order they were first set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties(Vec<(Text, Text)>);

impl Properties {
    /// No properties.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Reads a text; of entries with the same name the last one stays.
    pub fn parse(text: &str) -> Self {
        let mut properties = Self::new();
        for (name, value) in iter(text) {
            properties.set(name, value);
        }
        properties
    }

    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.text_of(name).map(|value| &**value)
    }

    /// The same, as a text to share.
    pub fn text_of(&self, name: &str) -> Option<&Text> {
        self.0.iter().find(|(key, _)| **key == *name).map(|(_, value)| value)
    }

    /// Sets `name`, replacing an older value in its place.
    pub fn set(&mut self, name: impl Into<Text>, value: impl Into<Text>) {
        let name = name.into();
        match self.0.iter_mut().find(|(key, _)| *key == name) {
            Some((_, old)) => *old = value.into(),
            None => self.0.push((name, value.into())),
        }
    }

    /// Takes `name` out.
    pub fn remove(&mut self, name: &str) -> Option<Text> {
        let at = self.0.iter().position(|(key, _)| **key == *name)?;
        Some(self.0.remove(at).1)
    }

    /// All properties in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The text as 4.9 writes it: without a separator behind the last property.
    pub fn to_text(&self) -> Text {
        text_block::with_scratch(|text| {
            for (name, value) in self.iter() {
                text.extend_from_slice(name.as_bytes());
                text.push(NAME_VALUE_SEPARATOR as u8);
                text.extend_from_slice(value.as_bytes());
                text.push(PROPERTY_SEPARATOR as u8);
            }
            text.pop();
            text_block::text(&[text])
        })
    }
}

impl<K: Into<Text>, V: Into<Text>> FromIterator<(K, V)> for Properties {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut properties = Self::new();
        for (name, value) in entries {
            properties.set(name, value);
        }
        properties
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both endings, double names, and entries that Java drops.
    #[test]
    fn reads_as_java_does() {
        let text = "a\u{1}1\u{2}TAGS\u{1}TagA\u{2}a\u{1}2\u{2}x\u{2}\u{1}y\u{2}z\u{1}\u{2}";
        assert_eq!(iter(text).collect::<Vec<_>>(), [("a", "1"), ("TAGS", "TagA"), ("a", "2")]);
        assert_eq!(get(text, "a"), Some("2"));
        assert_eq!(&*Properties::parse(text).to_text(), "a\u{1}2\u{2}TAGS\u{1}TagA");
        assert_eq!(get("k\u{1}v\u{1}w\u{2}", "k"), Some("v\u{1}w"));
    }
}
