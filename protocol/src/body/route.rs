//! Who has a topic, and which brokers a cluster has.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The broker id of a master (`MixAll.MASTER_ID`).
pub const MASTER_ID: i64 = 0;

/// Answer to `GET_ROUTEINFO_BY_TOPIC`. Java: `TopicRouteData`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TopicRouteData {
    /// The brokers that have the topic.
    pub broker_datas: Vec<BrokerData>,
    /// Filter servers by broker address; always empty.
    pub filter_server_table: BTreeMap<String, Vec<String>>,
    /// `broker:queues;…` of an order topic, from which producers build their queues.
    pub order_topic_conf: Option<String>,
    /// How many queues the topic has on each broker.
    pub queue_datas: Vec<QueueData>,
}

/// The queues of a topic on one broker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct QueueData {
    /// The broker's name.
    pub broker_name: String,
    /// Bits of [`super::topic`]'s `PERM_` constants.
    pub perm: i32,
    /// Queues that consumers read.
    pub read_queue_nums: i32,
    /// Unit bits of the topic; older peers spell it `topicSynFlag`.
    #[serde(alias = "topicSynFlag")]
    pub topic_sys_flag: i32,
    /// Queues that producers write.
    pub write_queue_nums: i32,
}

/// A master and its slaves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct BrokerData {
    /// Addresses by broker id; [`MASTER_ID`] is the master.
    pub broker_addrs: BTreeMap<i64, String>,
    /// The broker's name.
    pub broker_name: String,
    /// The cluster it belongs to.
    pub cluster: String,
}

/// Answer to `GET_BROKER_CLUSTER_INFO`. Java: `ClusterInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ClusterInfo {
    /// Brokers by name.
    pub broker_addr_table: BTreeMap<String, BrokerData>,
    /// Names of brokers by cluster.
    pub cluster_addr_table: BTreeMap<String, BTreeSet<String>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fastjson;

    /// Routes of a lenient and of an old NameServer.
    #[test]
    fn reads_routes() {
        let route: TopicRouteData = fastjson::from_slice(
            br#"{"brokerDatas":[{"brokerAddrs":{0:"[::1]:10911",1:"b:1"},"brokerName":"a","cluster":"c","zoneName":null}],
            "filterServerTable":{},"orderTopicConf":"a:4","queueDatas":[{"brokerName":"a","perm":6,"readQueueNums":4,"topicSynFlag":2,"writeQueueNums":8}]}"#,
        )
        .unwrap();
        assert_eq!(route.broker_datas[0].broker_addrs[&MASTER_ID], "[::1]:10911");
        assert_eq!((route.queue_datas[0].topic_sys_flag, route.queue_datas[0].write_queue_nums), (2, 8));
        assert_eq!(route.order_topic_conf.as_deref(), Some("a:4"));
        let text = fastjson::to_vec_lenient(&route.broker_datas);
        assert_eq!(text, br#"[{"brokerAddrs":{0:"[::1]:10911",1:"b:1"},"brokerName":"a","cluster":"c"}]"#);
    }

    /// The cluster's table, as Java writes it.
    #[test]
    fn round_trips_cluster_info() {
        let java = br#"{"brokerAddrTable":{"broker-a":{"brokerAddrs":{0:"127.0.0.1:10911"},"brokerName":"broker-a","cluster":"DefaultCluster"}},"clusterAddrTable":{"DefaultCluster":["broker-a"]}}"#;
        let info: ClusterInfo = fastjson::from_slice(java).unwrap();
        assert_eq!(fastjson::to_vec_lenient(&info), java);
    }
}
