//! Pop consumption (5.x): assignments, acknowledgements, and the messages of the revive topic.
//!
//! Java counterparts: `QueryAssignmentResponseBody`, `BatchAckMessageRequestBody`, and in its store
//! `PopCheckPoint`, `AckMsg`.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::java_enums;
use super::message_queue::MessageQueue;

java_enums! {
    /// How a consumer gets the messages of a queue. Absent means pull.
    MessageRequestMode {
        /// By offset.
        Pull = "PULL",
        /// By pop.
        Pop = "POP",
    }

    /// Which of a group's topics a popped message is in. Java: the flag `retry`.
    TopicKind {
        /// The topic itself.
        Normal = "0",
        /// `%RETRY%group_topic`, and every other retry topic without a `+`.
        RetryV1 = "1",
        /// `%RETRY%group+topic`.
        RetryV2 = "2",
    }
}

impl TopicKind {
    /// The kind of the topic with this name.
    pub fn of(topic: &str) -> Self {
        match topic.strip_prefix("%RETRY%") {
            None => Self::Normal,
            Some(rest) if rest.contains('+') => Self::RetryV2,
            Some(_) => Self::RetryV1,
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(Self::from_name(text)).filter(|kind| *kind != Self::Unknown)
    }
}

/// Answer to `QUERY_ASSIGNMENT`. Java: `QueryAssignmentResponseBody`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct QueryAssignmentResponseBody {
    /// The caller's queues.
    pub message_queue_assignments: Vec<MessageQueueAssignment>,
}

/// One queue that a consumer shall consume. Java: `MessageQueueAssignment`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MessageQueueAssignment {
    /// Anything else about it.
    pub attachments: Option<BTreeMap<String, String>>,
    /// The queue; number -1 stands for all of the broker's.
    pub message_queue: MessageQueue,
    /// How.
    pub mode: MessageRequestMode,
}

/// Body of `BATCH_ACK_MESSAGE`. Java: `BatchAckMessageRequestBody`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct BatchAckMessageRequestBody {
    /// One for each pop from one queue.
    pub acks: Vec<BatchAck>,
    /// The broker's name.
    pub broker_name: String,
}

/// Bodies whose members have names of one or two letters on the wire.
macro_rules! short_names {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $wire:literal $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
            #[serde(default)]
            pub struct $name {
                $($(#[$field_doc])* #[serde(rename = $wire)] pub $field: $type,)*
            }
        )*
    };
}

short_names! {
    /// Messages of one pop from one queue that are done with. Java: `BatchAck`.
    BatchAck {
        /// Which messages, as Java's `BitSet.toByteArray`: see [`BatchAck::bits`] and [`BatchAck::offsets`].
        "b" bit_set: Bytes,
        /// The group.
        "c" consumer_group: String,
        /// For how long they were invisible, ms.
        "it" invisible_time: i64,
        /// When they were popped, ms since 1970.
        "pt" pop_time: i64,
        /// Their queue.
        "q" queue_id: i32,
        /// Which topic they are in.
        "r" retry: TopicKind,
        /// The queue of the revive topic with their checkpoint.
        "rq" revive_queue_id: i32,
        /// The queue offset that the first bit stands for.
        "so" start_offset: i64,
        /// The topic without its kind.
        "t" topic: String,
    }

    /// A message of the revive topic with tag `ack`: one popped message is done with. Java: `AckMsg`.
    AckMsg {
        /// The message's queue offset.
        "ao" ack_offset: i64,
        /// The broker's name.
        "bn" broker_name: String,
        /// The group.
        "c" consumer_group: String,
        /// When it was popped, ms since 1970.
        "pt" pop_time: i64,
        /// Its queue.
        "q" queue_id: i32,
        /// The queue offset of the first message of its checkpoint.
        "so" start_offset: i64,
        /// Its topic.
        "t" topic: String,
    }

    /// A message of the revive topic with tag `ck`: what one pop has taken from one queue. Java: `PopCheckPoint`.
    PopCheckPoint {
        /// Which of its messages are done with.
        "bm" bit_map: i32,
        /// The broker's name.
        "bn" broker_name: String,
        /// The group.
        "c" cid: String,
        /// The messages' distances from the first one; absent if there is no gap between them.
        "d" queue_offset_diff: Option<Vec<i32>>,
        /// For how long they are invisible, ms.
        "it" invisible_time: i64,
        /// How many there are.
        "n" num: i8,
        /// When they were popped, ms since 1970.
        "pt" pop_time: i64,
        /// Their queue.
        "q" queue_id: i32,
        /// Pop time and invisible time together; written for readers, and ignored by Java.
        "reviveTime" revive_time: i64,
        /// Where the checkpoint itself stands in its queue.
        "ro" revive_offset: i64,
        /// How often the checkpoint was put off; absent for never.
        "rp" re_put_times: Option<String>,
        /// The queue offset of the first message.
        "so" start_offset: i64,
        /// Their topic.
        "t" topic: String,
    }
}

impl BatchAck {
    /// The bits for messages at these distances from the start offset.
    pub fn bits(distances: &[u16]) -> Bytes {
        let mut bits = vec![0u8; distances.iter().max().map_or(0, |last| usize::from(*last / 8) + 1)];
        distances.iter().for_each(|distance| bits[usize::from(*distance / 8)] |= 1 << (distance % 8));
        bits.into()
    }

    /// The queue offsets that the bits stand for, lowest first; a bit behind the highest offset is none.
    pub fn offsets(&self) -> impl Iterator<Item = i64> {
        let set = (0i64..).zip(&self.bit_set).flat_map(|(at, byte)| {
            (0..8).filter(move |bit| byte >> bit & 1 == 1).map(move |bit| at * 8 + bit)
        });
        set.filter_map(|distance| self.start_offset.checked_add(distance))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bits come back as offsets.
    #[test]
    fn bits_of_acknowledgements() {
        let offsets = |start_offset, bit_set: Bytes| {
            BatchAck { start_offset, bit_set, ..BatchAck::default() }.offsets().collect::<Vec<_>>()
        };
        assert_eq!(offsets(10, BatchAck::bits(&[9, 0, u16::MAX])), [10, 19, 65_545]);
        assert_eq!(offsets(10, BatchAck::bits(&[])), [0; 0]);
        assert_eq!(offsets(i64::MAX, BatchAck::bits(&[0, 1])), [i64::MAX]);
    }
}
