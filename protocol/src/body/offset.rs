//! Offsets of groups: tables, resets, time spans.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::message_queue::{MessageQueue, MessageQueueForC};
use super::topic::DataVersion;

/// The file `consumerOffset.json` and the answer to `GET_ALL_CONSUMER_OFFSET`. Java:
/// `ConsumerOffsetSerializeWrapper`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConsumerOffsetTable {
    /// 5.x: the table's version.
    pub data_version: Option<DataVersion>,
    /// The next offset to consume, by `topic@group` and queue id.
    pub offset_table: BTreeMap<String, BTreeMap<i32, i64>>,
    /// With `enableLmq`: those of groups that read light queues, by `topic@group`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lmq_offset_table: Option<BTreeMap<String, i64>>,
}

/// The file `delayOffset.json` and the answer to `GET_ALL_DELAY_OFFSET`. Java: `DelayOffsetSerializeWrapper`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DelayOffsetTable {
    /// 5.x: the table's version.
    pub data_version: Option<DataVersion>,
    /// The next offset to deliver, by delay level.
    pub offset_table: BTreeMap<i32, i64>,
}

/// Offsets by queue: the body of `RESET_CONSUMER_CLIENT_OFFSET`, and the file `offsets.json` of a
/// broadcasting client. Java: `ResetOffsetBody`, `OffsetSerializeWrapper`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ResetOffsetBody {
    /// The offset of each queue.
    pub offset_table: BTreeMap<MessageQueue, i64>,
}

/// The body of `RESET_CONSUMER_CLIENT_OFFSET` for C++ clients. Java: `ResetOffsetBodyForC`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ResetOffsetBodyForC {
    /// The offset of each queue.
    pub offset_table: Vec<MessageQueueForC>,
}

/// Answer to `GET_CONSUMER_STATUS_FROM_CLIENT`. Java: `GetConsumerStatusBody`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct GetConsumerStatusBody {
    /// A broker's answer: the clients' offsets by client id.
    pub consumer_table: BTreeMap<String, BTreeMap<MessageQueue, i64>>,
    /// A client's answer: its own offsets.
    pub message_queue_table: BTreeMap<MessageQueue, i64>,
}

/// Answer to `QUERY_CORRECTION_OFFSET`. Java: `QueryCorrectionOffsetBody`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct QueryCorrectionOffsetBody {
    /// Offsets by queue id.
    pub correction_offsets: BTreeMap<i32, i64>,
}

/// Message body in the topic `OFFSET_MOVED_EVENT`. Java: `OffsetMovedEvent`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OffsetMovedEvent {
    /// The group.
    pub consumer_group: String,
    /// The queue.
    pub message_queue: MessageQueue,
    /// The offset it was sent to.
    pub offset_new: i64,
    /// The offset it asked for.
    pub offset_request: i64,
}

/// Answer to `QUERY_CONSUME_TIME_SPAN`. Java: `QueryConsumeTimeSpanBody`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct QueryConsumeTimeSpanBody {
    /// One entry for each queue.
    pub consume_time_span_set: Vec<QueueTimeSpan>,
}

/// From when to when a queue's messages are, all times ms since 1970. Java: `QueueTimeSpan`, whose three
/// fields of formatted time are left out: Java computes them from the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct QueueTimeSpan {
    /// When the next message to consume was stored.
    pub consume_time_stamp: i64,
    /// By how much the group is behind, ms.
    pub delay_time: i64,
    /// When the last message was stored.
    pub max_time_stamp: i64,
    /// The queue.
    pub message_queue: MessageQueue,
    /// When the first message was stored.
    pub min_time_stamp: i64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fastjson;

    /// Files of both versions; unknown members of 5.x do not get in the way.
    #[test]
    fn reads_offset_files() {
        let table: ConsumerOffsetTable = fastjson::from_slice(
            b"{\n\t\"dataVersion\":{\"counter\":1,\"stateVersion\":0,\"timestamp\":2},\n\t\"groupTopicMap\":{},\n\t\"offsetTable\":{\n\t\t\"T@g\":{0:5,1:6\n\t\t}\n\t}\n}",
        )
        .unwrap();
        assert_eq!(table.offset_table["T@g"], BTreeMap::from([(0, 5), (1, 6)]));
        assert_eq!(table.data_version.unwrap().counter, 1);
        let status = br#"{"consumerTable":{"c":{{"brokerName":"b","queueId":0,"topic":"T"}:5}},"messageQueueTable":{}}"#;
        let body: GetConsumerStatusBody = fastjson::from_slice(status).unwrap();
        assert_eq!(fastjson::to_vec(&body), status);
    }
}
