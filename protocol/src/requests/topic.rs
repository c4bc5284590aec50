//! Topics of a broker.

use super::headers;
use crate::command::Text;

headers! {
    /// Header of `UPDATE_AND_CREATE_TOPIC`. Java: `CreateTopicRequestHeader`.
    CreateTopicHeader {
        topic: Text = "topic" required,
        default_topic: Text = "defaultTopic" default,
        read_queue_nums: i32 = "readQueueNums" required,
        write_queue_nums: i32 = "writeQueueNums" required,
        perm: i32 = "perm" required,
        topic_filter_type: Text = "topicFilterType" default,
        topic_sys_flag: i32 = "topicSysFlag" optional,
        order: bool = "order" default,
        attributes: Text = "attributes" optional,
        force: bool = "force" optional,
    }

    /// Header of `GET_TOPIC_STATS_INFO`. Java: `GetTopicStatsInfoRequestHeader`.
    GetTopicStatsInfoHeader {
        topic: Text = "topic" required,
    }

    /// Header of `DELETE_TOPIC_IN_BROKER`. Java: `DeleteTopicRequestHeader`.
    DeleteTopicHeader {
        topic: Text = "topic" required,
    }

    /// Header of `GET_TOPIC_CONFIG`. Java: `GetTopicConfigRequestHeader`.
    GetTopicConfigHeader {
        topic: Text = "topic" required,
    }
}
