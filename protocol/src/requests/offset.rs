//! Queue offsets and consumer offsets.

use super::headers;
use crate::command::Text;

headers! {
    /// Header of `QUERY_CONSUMER_OFFSET`. Java: `QueryConsumerOffsetRequestHeader`.
    QueryConsumerOffsetHeader {
        consumer_group: Text = "consumerGroup" required,
        topic: Text = "topic" required,
        queue_id: i32 = "queueId" required,
        set_zero_if_not_found: bool = "setZeroIfNotFound" optional,
    }

    /// Reply to `QUERY_CONSUMER_OFFSET`. Java: `QueryConsumerOffsetResponseHeader`.
    QueryConsumerOffsetReply {
        offset: i64 = "offset" required,
    }

    /// Header of `UPDATE_CONSUMER_OFFSET`. Java: `UpdateConsumerOffsetRequestHeader`.
    UpdateConsumerOffsetHeader {
        consumer_group: Text = "consumerGroup" required,
        topic: Text = "topic" required,
        queue_id: i32 = "queueId" required,
        commit_offset: i64 = "commitOffset" required,
    }

    /// Header of `SEARCH_OFFSET_BY_TIMESTAMP`. Java: `SearchOffsetRequestHeader`.
    SearchOffsetHeader {
        topic: Text = "topic" required,
        queue_id: i32 = "queueId" required,
        timestamp: i64 = "timestamp" required,
        boundary_type: Text = "boundaryType" optional,
    }

    /// Reply to `SEARCH_OFFSET_BY_TIMESTAMP`. Java: `SearchOffsetResponseHeader`.
    SearchOffsetReply {
        offset: i64 = "offset" required,
    }

    /// Header of `GET_MAX_OFFSET`. Java: `GetMaxOffsetRequestHeader`.
    GetMaxOffsetHeader {
        topic: Text = "topic" required,
        queue_id: i32 = "queueId" required,
        committed: bool = "committed" optional,
    }

    /// Reply to `GET_MAX_OFFSET`. Java: `GetMaxOffsetResponseHeader`.
    GetMaxOffsetReply {
        offset: i64 = "offset" required,
    }

    /// Header of `GET_MIN_OFFSET`. Java: `GetMinOffsetRequestHeader`.
    GetMinOffsetHeader {
        topic: Text = "topic" required,
        queue_id: i32 = "queueId" required,
    }

    /// Reply to `GET_MIN_OFFSET`. Java: `GetMinOffsetResponseHeader`.
    GetMinOffsetReply {
        offset: i64 = "offset" required,
    }

    /// Header of `GET_EARLIEST_MSG_STORETIME`. Java: `GetEarliestMsgStoretimeRequestHeader`.
    GetEarliestMsgStoretimeHeader {
        topic: Text = "topic" required,
        queue_id: i32 = "queueId" required,
    }

    /// Reply to `GET_EARLIEST_MSG_STORETIME`. Java: `GetEarliestMsgStoretimeResponseHeader`.
    GetEarliestMsgStoretimeReply {
        timestamp: i64 = "timestamp" required,
    }

    /// Header of `RESET_CONSUMER_CLIENT_OFFSET`. Java: `ResetOffsetRequestHeader`.
    ResetOffsetHeader {
        group: Text = "group" required,
        topic: Text = "topic" required,
        queue_id: i32 = "queueId" optional,
        offset: i64 = "offset" optional,
        timestamp: i64 = "timestamp" required,
        is_force: bool = "isForce" default,
    }

    /// Header of `GET_CONSUMER_STATUS_FROM_CLIENT`. Java: `GetConsumerStatusRequestHeader`.
    GetConsumerStatusHeader {
        topic: Text = "topic" required,
        group: Text = "group" required,
        client_addr: Text = "clientAddr" optional,
    }

    /// Header of `QUERY_CORRECTION_OFFSET`. Java: `QueryCorrectionOffsetHeader`.
    QueryCorrectionOffsetHeader {
        filter_groups: Text = "filterGroups" optional,
        compare_group: Text = "compareGroup" required,
        topic: Text = "topic" required,
    }

    /// Header of `CLONE_GROUP_OFFSET`. Java: `CloneGroupOffsetRequestHeader`.
    CloneGroupOffsetHeader {
        src_group: Text = "srcGroup" required,
        dest_group: Text = "destGroup" required,
        topic: Text = "topic" optional,
        offline: bool = "offline" optional,
    }
}
