//! Client sessions: heartbeats, groups, and what is asked of clients.

use super::headers;
use crate::command::Text;

headers! {
    /// Header of `UNREGISTER_CLIENT`. Java: `UnregisterClientRequestHeader`.
    UnregisterClientHeader {
        client_id: Text = "clientID" required,
        producer_group: Text = "producerGroup" optional,
        consumer_group: Text = "consumerGroup" optional,
    }

    /// Header of `GET_CONSUMER_LIST_BY_GROUP`. Java: `GetConsumerListByGroupRequestHeader`.
    GetConsumerListByGroupHeader {
        consumer_group: Text = "consumerGroup" required,
    }

    /// Header of `NOTIFY_CONSUMER_IDS_CHANGED`. Java: `NotifyConsumerIdsChangedRequestHeader`.
    NotifyConsumerIdsChangedHeader {
        consumer_group: Text = "consumerGroup" required,
    }

    /// Header of `GET_CONSUMER_CONNECTION_LIST`. Java: `GetConsumerConnectionListRequestHeader`.
    GetConsumerConnectionListHeader {
        consumer_group: Text = "consumerGroup" required,
    }

    /// Header of `GET_PRODUCER_CONNECTION_LIST`. Java: `GetProducerConnectionListRequestHeader`.
    GetProducerConnectionListHeader {
        producer_group: Text = "producerGroup" required,
    }

    /// Header of `GET_CONSUMER_RUNNING_INFO`. Java: `GetConsumerRunningInfoRequestHeader`.
    GetConsumerRunningInfoHeader {
        consumer_group: Text = "consumerGroup" required,
        client_id: Text = "clientId" required,
        jstack_enable: bool = "jstackEnable" optional,
    }

    /// Header of `CONSUME_MESSAGE_DIRECTLY`. Java: `ConsumeMessageDirectlyResultRequestHeader`.
    ConsumeMessageDirectlyHeader {
        consumer_group: Text = "consumerGroup" required,
        client_id: Text = "clientId" optional,
        msg_id: Text = "msgId" optional,
        broker_name: Text = "brokerName" optional,
        topic: Text = "topic" optional,
        topic_sys_flag: i32 = "topicSysFlag" optional,
        group_sys_flag: i32 = "groupSysFlag" optional,
    }
}
