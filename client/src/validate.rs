//! The rules for names and messages that are checked before anything is sent.
//!
//! Java counterparts: `Validators`, `TopicValidator`, the checks in `MessageBatch.generateFromList`.

use ferrocket_protocol::message::{PROPERTIES_LEN_MAX, TOPIC_LEN_MAX};
use ferrocket_protocol::properties::{PROPERTY_SEPARATOR, names};

use crate::error::{Error, ErrorKind, Result};
use crate::message::{Message, RETRY_TOPIC_PREFIX};

/// Longest group name, in characters.
const GROUP_LEN_MAX: usize = 255;
/// The group that Java reserves for a producer nobody named.
const DEFAULT_PRODUCER_GROUP: &str = "DEFAULT_PRODUCER";
/// The group that Java reserves for a consumer nobody named.
const DEFAULT_CONSUMER_GROUP: &str = "DEFAULT_CONSUMER";
/// The properties of 5.x that delay a message.
pub(crate) const TIMERS: [&str; 3] = [names::TIMER_DELAY_SEC, names::TIMER_DELAY_MS, names::TIMER_DELIVER_MS];
/// Topics that only brokers write to.
pub(crate) const NOT_ALLOWED_SEND_TOPICS: [&str; 6] = [
    "SCHEDULE_TOPIC_XXXX",
    "RMQ_SYS_TRANS_HALF_TOPIC",
    "RMQ_SYS_TRANS_OP_HALF_TOPIC",
    "TRANS_CHECK_MAX_TIME_TOPIC",
    "SELF_TEST_TOPIC",
    "OFFSET_MOVED_EVENT",
];

/// Only `%`, `|`, `_`, `-`, digits and ASCII letters.
fn is_legal(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'%' | b'|' | b'_' | b'-'))
}

pub(crate) fn config(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, text)
}

/// Longest time that can be counted with: a clock has no time beyond it.
pub(crate) const MS_MAX: u128 = i64::MAX as u128;

/// Refuses a value outside its bounds, by name.
pub(crate) fn within(name: &str, value: u128, min: u128, max: u128) -> Result<()> {
    match (min..=max).contains(&value) {
        true => Ok(()),
        false if max == u128::MAX => Err(config(format!("{name} is {value}, it must be at least {min}"))),
        false => Err(config(format!("{name} is {value}, it must be from {min} to {max}"))),
    }
}

/// Whether `group` can name a group of producers or consumers.
pub(crate) fn check_group(group: &str) -> Result<()> {
    if group.trim().is_empty() {
        return Err(config("the specified group is blank"));
    }
    if group.chars().count() > GROUP_LEN_MAX {
        return Err(config("the specified group is longer than group max length 255."));
    }
    if !is_legal(group) {
        return Err(config(format!(
            "the specified group[{group}] contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$"
        )));
    }
    if group == DEFAULT_PRODUCER_GROUP || group == DEFAULT_CONSUMER_GROUP {
        return Err(config(format!("the group can not equal {group}, please specify another one.")));
    }
    Ok(())
}

/// Whether `namespace` can stand before names; an empty one stands for none.
pub(crate) fn check_namespace(namespace: &str) -> Result<()> {
    if !is_legal(namespace) || namespace.contains('%') {
        let text =
            format!("namespace {namespace:?} contains illegal characters, allowing only ^[|a-zA-Z0-9_-]+$");
        return Err(config(text));
    }
    Ok(())
}

/// Whether `topic` can name a topic.
pub(crate) fn check_topic(topic: &str) -> Result<()> {
    // Legal characters are one byte each.
    if (1..=TOPIC_LEN_MAX).contains(&topic.len()) && is_legal(topic) {
        return Ok(());
    }
    if topic.trim().is_empty() {
        return Err(config("The specified topic is blank"));
    }
    if topic.chars().count() > TOPIC_LEN_MAX {
        return Err(config(format!("The specified topic is longer than topic max length {TOPIC_LEN_MAX}.")));
    }
    Err(config(format!(
        "The specified topic[{topic}] contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$"
    )))
}

/// Whether `message` may be sent. `message_len_max` is Java's `maxMessageSize`, in bytes of the body.
pub(crate) fn check_message(message: &Message, message_len_max: usize) -> Result<()> {
    let invalid = |text: String| Err(Error::new(ErrorKind::InvalidMessage, text));
    check_topic(message.topic()).or_else(|error| invalid(error.to_string()))?;
    if NOT_ALLOWED_SEND_TOPICS.contains(&message.topic()) {
        return invalid(format!("Sending message to topic[{}] is forbidden.", message.topic()));
    }
    if message.body().is_empty() {
        return invalid("the message body length is zero".into());
    }
    if message.body().len() > message_len_max {
        return invalid(format!("the message body size over max value, MAX: {message_len_max}"));
    }
    // Java sends such names and values, and the broker then reads other properties than were meant.
    let separates = |text: &str| text.bytes().any(|byte| byte <= PROPERTY_SEPARATOR as u8);
    for (name, value) in message.properties() {
        if name.is_empty() || value.is_empty() || separates(name) || separates(value) {
            return invalid(format!(
                "property {name:?} is empty or contains a control character (0x00 to 0x02)"
            ));
        }
    }
    Ok(())
}

/// Whether a message's properties, as the text that is stored, are short enough for brokers.
pub(crate) fn check_properties_len(text: &str) -> Result<()> {
    if text.len() > PROPERTIES_LEN_MAX {
        let text = format!("the properties have {} bytes together, MAX: {PROPERTIES_LEN_MAX}", text.len());
        return Err(Error::new(ErrorKind::InvalidMessage, text));
    }
    Ok(())
}

/// Whether the messages may travel as one batch: one topic, no delay, no retry topic, one kind of waiting.
pub(crate) fn check_batch(messages: &[Message], message_len_max: usize) -> Result<()> {
    let invalid = |text: &str| Err(Error::new(ErrorKind::InvalidMessage, text));
    let Some(first) = messages.first() else { return invalid("a batch needs at least one message") };
    for message in messages {
        if message.property_value(names::DELAY_TIME_LEVEL).is_some_and(|level| level.parse().unwrap_or(0) > 0)
        {
            return invalid("TimeDelayLevel is not supported for batching");
        }
        if TIMERS.iter().any(|name| message.property_value(name).is_some()) {
            return invalid("a time of delivery is not supported for batching");
        }
        if message.topic().starts_with(RETRY_TOPIC_PREFIX) {
            return invalid("Retry Group is not supported for batching");
        }
        if message.topic() != first.topic() {
            return invalid("The topic of the messages in one batch should be the same");
        }
        if message.waits_for_store() != first.waits_for_store() {
            return invalid("The waitStoreMsgOK of the messages in one batch should the same");
        }
        check_message(message, message_len_max)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names that Java refuses are refused with Java's words.
    #[test]
    fn names_follow_javas_rules() {
        assert!(check_topic("%RETRY%g-1_a|b").is_ok());
        assert_eq!(check_topic(" ").unwrap_err().to_string(), "The specified topic is blank");
        assert!(check_topic("a b").unwrap_err().to_string().contains("illegal characters"));
        assert!(check_topic(&"t".repeat(127)).is_ok());
        assert!(check_topic(&"t".repeat(128)).is_err());
        assert!(check_group(&"g".repeat(255)).is_ok());
        assert!(check_group(&"g".repeat(256)).is_err());
        assert!(check_group("gr\u{f6}up").is_err());
        assert!(check_group("DEFAULT_PRODUCER").is_err());
    }

    /// Bodies must be there and fit; system topics are closed; properties cannot smuggle separators.
    #[test]
    fn messages_follow_javas_rules() {
        assert!(check_message(&Message::new("T", vec![0; 8]), 8).is_ok());
        assert!(check_message(&Message::new("T", vec![0; 9]), 8).is_err());
        assert!(check_message(&Message::new("T", ""), 8).is_err());
        assert!(check_message(&Message::new("SCHEDULE_TOPIC_XXXX", "a"), 8).is_err());
        assert!(check_message(&Message::new("T", "a").property("k", "v\u{1}w"), 8).is_err());
        let error = check_message(&Message::new("", "a"), 8).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidMessage);
    }

    /// What cannot be one batch: nothing, two topics, delays, mixed waiting.
    #[test]
    fn batches_are_uniform() {
        let plain = || Message::new("T", "a");
        assert!(check_batch(&[plain(), plain()], 8).is_ok());
        assert!(check_batch(&[], 8).is_err());
        assert!(check_batch(&[plain(), Message::new("U", "a")], 8).is_err());
        assert!(check_batch(&[plain().delay_level(1)], 8).is_err());
        assert!(check_batch(&[plain(), plain().wait_store_msg_ok(false)], 8).is_err());
        assert!(check_batch(&[Message::new("%RETRY%g", "a")], 8).is_err());
    }
}
