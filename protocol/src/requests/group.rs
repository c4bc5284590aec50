//! Subscription groups and their consumption.

use super::headers;
use crate::command::Text;

headers! {
    /// Header of `DELETE_SUBSCRIPTIONGROUP`. Java: `DeleteSubscriptionGroupRequestHeader`.
    DeleteSubscriptionGroupHeader {
        group_name: Text = "groupName" required,
        clean_offset: bool = "cleanOffset" optional,
        remove_offset: bool = "removeOffset" optional,
    }

    /// Header of `GET_CONSUME_STATS`. Java: `GetConsumeStatsRequestHeader`.
    GetConsumeStatsHeader {
        consumer_group: Text = "consumerGroup" required,
        topic: Text = "topic" optional,
        topic_list: Text = "topicList" optional,
    }

    /// Header of `QUERY_TOPIC_CONSUME_BY_WHO`. Java: `QueryTopicConsumeByWhoRequestHeader`.
    QueryTopicConsumeByWhoHeader {
        topic: Text = "topic" required,
    }

    /// Header of `QUERY_CONSUME_TIME_SPAN`. Java: `QueryConsumeTimeSpanRequestHeader`.
    QueryConsumeTimeSpanHeader {
        topic: Text = "topic" required,
        group: Text = "group" required,
    }

    /// Header of `GET_BROKER_CONSUME_STATS`. Java: `GetConsumeStatsInBrokerHeader`.
    GetConsumeStatsInBrokerHeader {
        is_order: bool = "isOrder" default,
    }

    /// Header of `GET_SUBSCRIPTIONGROUP_CONFIG`. Java: `GetSubscriptionGroupConfigRequestHeader`.
    GetSubscriptionGroupConfigHeader {
        group: Text = "group" required,
    }

    /// Header of `QUERY_TOPICS_BY_CONSUMER`. Java: `QueryTopicsByConsumerRequestHeader`.
    QueryTopicsByConsumerHeader {
        group: Text = "group" required,
    }

    /// Header of `QUERY_SUBSCRIPTION_BY_CONSUMER`. Java: `QuerySubscriptionByConsumerRequestHeader`.
    QuerySubscriptionByConsumerHeader {
        group: Text = "group" required,
        topic: Text = "topic" optional,
    }
}
