//! Routes: brokers register, clients ask.

use super::headers;
use crate::command::Text;

headers! {
    /// Header of `REGISTER_BROKER`. Java: `RegisterBrokerRequestHeader`.
    RegisterBrokerHeader {
        broker_name: Text = "brokerName" required,
        broker_addr: Text = "brokerAddr" required,
        cluster_name: Text = "clusterName" required,
        ha_server_addr: Text = "haServerAddr" default,
        broker_id: i64 = "brokerId" required,
        heartbeat_timeout_millis: i64 = "heartbeatTimeoutMillis" optional,
        enable_acting_master: bool = "enableActingMaster" optional,
        compressed: bool = "compressed" optional,
        body_crc32: i32 = "bodyCrc32" optional,
    }

    /// Reply to `REGISTER_BROKER`. Java: `RegisterBrokerResponseHeader`.
    RegisterBrokerReply {
        ha_server_addr: Text = "haServerAddr" optional,
        master_addr: Text = "masterAddr" optional,
    }

    /// Header of `UNREGISTER_BROKER`. Java: `UnRegisterBrokerRequestHeader`.
    UnregisterBrokerHeader {
        broker_name: Text = "brokerName" required,
        broker_addr: Text = "brokerAddr" required,
        cluster_name: Text = "clusterName" required,
        broker_id: i64 = "brokerId" required,
    }

    /// Header of `GET_ROUTEINFO_BY_TOPIC`. Java: `GetRouteInfoRequestHeader`.
    GetRouteInfoHeader {
        topic: Text = "topic" required,
        accept_standard_json_only: bool = "acceptStandardJsonOnly" optional,
    }

    /// Header of `WIPE_WRITE_PERM_OF_BROKER`. Java: `WipeWritePermOfBrokerRequestHeader`.
    WipeWritePermOfBrokerHeader {
        broker_name: Text = "brokerName" required,
    }

    /// Reply to `WIPE_WRITE_PERM_OF_BROKER`. Java: `WipeWritePermOfBrokerResponseHeader`.
    WipeWritePermOfBrokerReply {
        wipe_topic_count: i32 = "wipeTopicCount" required,
    }

    /// Header of `QUERY_DATA_VERSION`. Java: `QueryDataVersionRequestHeader`.
    QueryDataVersionHeader {
        broker_name: Text = "brokerName" required,
        broker_addr: Text = "brokerAddr" required,
        cluster_name: Text = "clusterName" required,
        broker_id: i64 = "brokerId" required,
    }

    /// Reply to `QUERY_DATA_VERSION`. Java: `QueryDataVersionResponseHeader`.
    QueryDataVersionReply {
        changed: bool = "changed" required,
    }

    /// Header of `ADD_WRITE_PERM_OF_BROKER`. Java: `AddWritePermOfBrokerRequestHeader`.
    AddWritePermOfBrokerHeader {
        broker_name: Text = "brokerName" required,
    }

    /// Reply to `ADD_WRITE_PERM_OF_BROKER`. Java: `AddWritePermOfBrokerResponseHeader`.
    AddWritePermOfBrokerReply {
        add_topic_count: i32 = "addTopicCount" required,
    }
}
