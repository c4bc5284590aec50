//! Looking for messages.

use super::headers;
use crate::command::Text;

/// The field of a `QUERY_MESSAGE` that says whether its key is the client's unique one. Java:
/// `MixAll.UNIQUE_MSG_QUERY_FLAG`.
pub const UNIQUE_KEY_QUERY: &str = "_UNIQUE_KEY_QUERY";

headers! {
    /// Header of `QUERY_MESSAGE`. Java: `QueryMessageRequestHeader`.
    QueryMessageHeader {
        topic: Text = "topic" required,
        key: Text = "key" required,
        max_num: i32 = "maxNum" default,
        begin_timestamp: i64 = "beginTimestamp" required,
        end_timestamp: i64 = "endTimestamp" required,
    }

    /// Reply to `QUERY_MESSAGE`. Java: `QueryMessageResponseHeader`.
    QueryMessageReply {
        index_last_update_timestamp: i64 = "indexLastUpdateTimestamp" required,
        index_last_update_phyoffset: i64 = "indexLastUpdatePhyoffset" required,
    }

    /// Header of `VIEW_MESSAGE_BY_ID`. Java: `ViewMessageRequestHeader`.
    ViewMessageHeader {
        topic: Text = "topic" optional,
        offset: i64 = "offset" required,
    }

    /// Header of `QUERY_CONSUME_QUEUE`. Java: `QueryConsumeQueueRequestHeader`.
    QueryConsumeQueueHeader {
        topic: Text = "topic" optional,
        queue_id: i32 = "queueId" optional,
        index: i64 = "index" optional,
        count: i32 = "count" optional,
        consumer_group: Text = "consumerGroup" optional,
    }
}
