//! Sending: messages, send-backs and replies.

use super::{HeaderError, headers};
use crate::command::{ExtFields, Text};

headers! {
    /// Header of `SEND_MESSAGE`. Java: `SendMessageRequestHeader`.
    SendMessageHeader {
        producer_group: Text = "producerGroup" default,
        topic: Text = "topic" required,
        default_topic: Text = "defaultTopic" default,
        default_topic_queue_nums: i32 = "defaultTopicQueueNums" default,
        queue_id: i32 = "queueId" required,
        sys_flag: i32 = "sysFlag" default,
        born_timestamp: i64 = "bornTimestamp" default,
        flag: i32 = "flag" default,
        properties: Text = "properties" optional,
        reconsume_times: i32 = "reconsumeTimes" optional,
        unit_mode: bool = "unitMode" optional,
        batch: bool = "batch" optional,
        max_reconsume_times: i32 = "maxReconsumeTimes" optional,
    }

    /// Reply to `SEND_MESSAGE`. Java: `SendMessageResponseHeader`.
    SendMessageReply {
        msg_id: Text = "msgId" required,
        queue_id: i32 = "queueId" required,
        queue_offset: i64 = "queueOffset" required,
        transaction_id: Text = "transactionId" optional,
        batch_uniq_id: Text = "batchUniqId" optional,
        recall_handle: Text = "recallHandle" optional,
    }

    /// Header of `CONSUMER_SEND_MSG_BACK`. Java: `ConsumerSendMsgBackRequestHeader`.
    ConsumerSendMsgBackHeader {
        offset: i64 = "offset" required,
        group: Text = "group" required,
        delay_level: i32 = "delayLevel" default,
        origin_msg_id: Text = "originMsgId" optional,
        origin_topic: Text = "originTopic" optional,
        unit_mode: bool = "unitMode" optional,
        max_reconsume_times: i32 = "maxReconsumeTimes" optional,
    }

    /// Header of `PUSH_REPLY_MESSAGE_TO_CLIENT`. Java: `ReplyMessageRequestHeader`.
    ReplyMessageHeader {
        producer_group: Text = "producerGroup" required,
        topic: Text = "topic" required,
        default_topic: Text = "defaultTopic" required,
        default_topic_queue_nums: i32 = "defaultTopicQueueNums" required,
        queue_id: i32 = "queueId" required,
        sys_flag: i32 = "sysFlag" required,
        born_timestamp: i64 = "bornTimestamp" required,
        flag: i32 = "flag" required,
        properties: Text = "properties" optional,
        reconsume_times: i32 = "reconsumeTimes" optional,
        unit_mode: bool = "unitMode" optional,
        born_host: Text = "bornHost" required,
        store_host: Text = "storeHost" required,
        store_timestamp: i64 = "storeTimestamp" required,
    }
}

/// The one-letter names of `SEND_MESSAGE_V2`, in the order of [`SendMessageHeader`]'s fields.
const SHORT_NAMES: [&str; 13] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "m", "l"];

impl SendMessageHeader {
    /// Reads the short form (310, 320, 325). Java: `SendMessageRequestHeaderV2`.
    pub fn decode_v2(fields: &ExtFields) -> Result<Self, HeaderError> {
        Self::decode_named(fields, SHORT_NAMES)
    }

    /// The short form, as fields.
    pub fn encode_v2(self, fields: &mut ExtFields) {
        self.encode_named(fields, SHORT_NAMES);
    }
}
