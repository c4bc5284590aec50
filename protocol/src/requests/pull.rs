//! Pulling messages.

use super::headers;
use crate::command::Text;

headers! {
    /// Header of `PULL_MESSAGE`. Java: `PullMessageRequestHeader`.
    PullMessageHeader {
        consumer_group: Text = "consumerGroup" required,
        topic: Text = "topic" required,
        queue_id: i32 = "queueId" required,
        queue_offset: i64 = "queueOffset" required,
        max_msg_nums: i32 = "maxMsgNums" required,
        sys_flag: i32 = "sysFlag" required,
        commit_offset: i64 = "commitOffset" default,
        suspend_timeout_millis: i64 = "suspendTimeoutMillis" default,
        subscription: Text = "subscription" optional,
        sub_version: i64 = "subVersion" default,
        expression_type: Text = "expressionType" optional,
        max_msg_bytes: i32 = "maxMsgBytes" optional,
        request_source: i32 = "requestSource" optional,
        proxy_forward_client_id: Text = "proxyFrowardClientId" optional,
    }

    /// Reply to `PULL_MESSAGE`. Java: `PullMessageResponseHeader`.
    PullMessageReply {
        suggest_which_broker_id: i64 = "suggestWhichBrokerId" required,
        next_begin_offset: i64 = "nextBeginOffset" required,
        min_offset: i64 = "minOffset" required,
        max_offset: i64 = "maxOffset" required,
        offset_delta: i64 = "offsetDelta" optional,
        topic_sys_flag: i32 = "topicSysFlag" optional,
        group_sys_flag: i32 = "groupSysFlag" optional,
        forbidden_type: i32 = "forbiddenType" optional,
    }
}
