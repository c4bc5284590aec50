//! Consumer and producer groups: settings, members, progress.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::heartbeat::{ConsumeFromWhere, ConsumeType, MessageModel, SubscriptionData};
use super::java_enums;
use super::message_queue::MessageQueue;
use super::topic::DataVersion;
use crate::command::LanguageCode;

/// A consumer group's settings on a broker. Java: `SubscriptionGroupConfig`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SubscriptionGroupConfig {
    /// 5.x: attributes by name.
    pub attributes: Option<BTreeMap<String, String>>,
    /// The broker id that it reads from.
    pub broker_id: i64,
    /// Whether it may broadcast.
    pub consume_broadcast_enable: bool,
    /// Whether it may consume at all.
    pub consume_enable: bool,
    /// Whether it may begin at the smallest offset.
    pub consume_from_min_enable: bool,
    /// 5.x: whether pop keeps the order.
    pub consume_message_orderly: Option<bool>,
    /// 5.x: minutes that consuming a message may take.
    pub consume_timeout_minute: Option<i32>,
    /// The group.
    pub group_name: String,
    /// 5.x: how long retries wait.
    pub group_retry_policy: Option<serde_json::Value>,
    /// 5.x: unit bits.
    pub group_sys_flag: Option<i32>,
    /// Whether members are told when others come and go.
    pub notify_consumer_ids_changed_enable: bool,
    /// Deliveries after which a message is a dead letter.
    pub retry_max_times: i32,
    /// Queues of the retry topic; 0 disables retries.
    pub retry_queue_nums: i32,
    /// 5.x: subscriptions fixed by the operator.
    pub subscription_data_set: Option<serde_json::Value>,
    /// The broker id that slow consumers are sent to.
    pub which_broker_when_consume_slowly: i64,
}

impl Default for SubscriptionGroupConfig {
    fn default() -> Self {
        Self {
            attributes: None,
            broker_id: 0,
            consume_broadcast_enable: true,
            consume_enable: true,
            consume_from_min_enable: true,
            consume_message_orderly: None,
            consume_timeout_minute: None,
            group_name: String::new(),
            group_retry_policy: None,
            group_sys_flag: None,
            notify_consumer_ids_changed_enable: true,
            retry_max_times: 16,
            retry_queue_nums: 1,
            subscription_data_set: None,
            which_broker_when_consume_slowly: 1,
        }
    }
}

impl SubscriptionGroupConfig {
    /// The defaults for a group.
    pub fn new(group_name: impl Into<String>) -> Self {
        Self { group_name: group_name.into(), ..Self::default() }
    }
}

/// All groups of a broker; also the file `subscriptionGroup.json`. Java: `SubscriptionGroupWrapper`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SubscriptionGroupWrapper {
    /// The table's version.
    pub data_version: DataVersion,
    /// 5.x, in the file only: what may not be read, by group and topic.
    pub forbidden_table: Option<serde_json::Value>,
    /// Settings by group.
    pub subscription_group_table: BTreeMap<String, SubscriptionGroupConfig>,
}

/// Body of `UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST`. Java: `SubscriptionGroupList`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SubscriptionGroupList {
    /// The groups.
    pub group_config_list: Vec<SubscriptionGroupConfig>,
}

/// Answer to `QUERY_SUBSCRIPTION_BY_CONSUMER`. Java: `QuerySubscriptionResponseBody`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct QuerySubscriptionBody {
    /// The group asked for.
    pub group: String,
    /// What it subscribes to, if it does.
    pub subscription_data: Option<SubscriptionData>,
    /// The topic asked for.
    pub topic: Option<String>,
}

/// Names of groups. Java: `GroupList`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct GroupList {
    /// The names.
    pub group_list: BTreeSet<String>,
}

/// Answer to `GET_CONSUMER_LIST_BY_GROUP`. Java: `GetConsumerListByGroupResponseBody`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConsumerListBody {
    /// The client ids of the group's members.
    pub consumer_id_list: Vec<String>,
}

/// A client's connection as admin tools see it. Java: `Connection`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Connection {
    /// The address it comes from.
    pub client_addr: String,
    /// The client's id.
    pub client_id: String,
    /// The language it says it is written in.
    pub language: LanguageCode,
    /// Its version (`MQVersion` ordinal).
    pub version: i32,
}

/// Answer to `GET_CONSUMER_CONNECTION_LIST`. Java: `ConsumerConnection`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConsumerConnection {
    /// The members.
    pub connection_set: Vec<Connection>,
    /// Where the group begins.
    pub consume_from_where: ConsumeFromWhere,
    /// How it gets its messages.
    pub consume_type: ConsumeType,
    /// Whether each member gets every message.
    pub message_model: MessageModel,
    /// Subscriptions by topic.
    pub subscription_table: BTreeMap<String, SubscriptionData>,
}

/// Answer to `GET_PRODUCER_CONNECTION_LIST`. Java: `ProducerConnection`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ProducerConnection {
    /// The members.
    pub connection_set: Vec<Connection>,
}

/// A producer in the answer to `GET_ALL_PRODUCER_INFO`. Java: `ProducerInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ProducerInfo {
    /// The client's id.
    pub client_id: String,
    /// The language it says it is written in.
    pub language: LanguageCode,
    /// When its last heartbeat came, ms since 1970.
    pub last_update_timestamp: i64,
    /// The address it comes from.
    #[serde(rename = "remoteIP")]
    pub remote_ip: String,
    /// Its version.
    pub version: i32,
}

/// Answer to `GET_ALL_PRODUCER_INFO`. Java: `ProducerTableInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ProducerTableInfo {
    /// Producers by group.
    pub data: BTreeMap<String, Vec<ProducerInfo>>,
}

/// Body of `CHECK_CLIENT_CONFIG`. Java: `CheckClientRequestBody`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CheckClientRequestBody {
    /// The client's id.
    pub client_id: String,
    /// Its group.
    pub group: String,
    /// The subscription that is to be judged.
    pub subscription_data: Option<SubscriptionData>,
}

/// Answer to `GET_CONSUME_STATS`. Java: `ConsumeStats`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConsumeStats {
    /// Messages consumed per second.
    pub consume_tps: f64,
    /// How far the group is in each queue.
    pub offset_table: BTreeMap<MessageQueue, OffsetWrapper>,
}

impl ConsumeStats {
    /// Messages that wait for the group. Java: `computeTotalDiff`.
    pub fn total_diff(&self) -> i64 {
        self.offset_table
            .values()
            .map(|offset| offset.broker_offset.wrapping_sub(offset.consumer_offset))
            .sum()
    }
}

/// How far a group is in a queue. Java: `OffsetWrapper`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OffsetWrapper {
    /// The offset behind the queue's last message.
    pub broker_offset: i64,
    /// The offset of the next message to consume.
    pub consumer_offset: i64,
    /// When the last consumed message was stored, ms since 1970.
    pub last_timestamp: i64,
    /// 5.x: the offset of the next message to pull.
    pub pull_offset: Option<i64>,
}

/// Answer to `GET_BROKER_CONSUME_STATS`. Java: `ConsumeStatsList`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConsumeStatsList {
    /// The broker that answers.
    pub broker_addr: String,
    /// Per group one entry, each topic's progress by group.
    pub consume_stats_list: Vec<BTreeMap<String, Vec<ConsumeStats>>>,
    /// Messages that wait, of all groups.
    pub total_diff: i64,
}

java_enums! {
    /// What a consumer made of one message.
    CMResult {
        /// Consumed.
        Success = "CR_SUCCESS",
        /// To be consumed again.
        Later = "CR_LATER",
        /// Rolled back (orderly).
        Rollback = "CR_ROLLBACK",
        /// Committed (orderly).
        Commit = "CR_COMMIT",
        /// The listener failed.
        ThrowException = "CR_THROW_EXCEPTION",
        /// The listener gave no status.
        ReturnNull = "CR_RETURN_NULL",
    }
}

/// Answer to `CONSUME_MESSAGE_DIRECTLY`. Java: `ConsumeMessageDirectlyResult`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConsumeMessageDirectlyResult {
    /// Whether orderly consumption commits by itself.
    pub auto_commit: bool,
    /// What the listener made of the message.
    pub consume_result: CMResult,
    /// Whether the group consumes in order.
    pub order: bool,
    /// The failure in words.
    pub remark: Option<String>,
    /// How long it took, ms.
    pub spent_time_mills: i64,
}

impl Default for ConsumeMessageDirectlyResult {
    fn default() -> Self {
        Self {
            auto_commit: true,
            consume_result: CMResult::Unknown,
            order: false,
            remark: None,
            spent_time_mills: 0,
        }
    }
}

/// Answer to `GET_CONSUMER_RUNNING_INFO`. Java: `ConsumerRunningInfo`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConsumerRunningInfo {
    /// Stacks of the consumer's threads, if asked for.
    pub jstack: Option<String>,
    /// 5.x: the queues that it pops.
    pub mq_pop_table: Option<BTreeMap<MessageQueue, PopProcessQueueInfo>>,
    /// The queues that it pulls.
    pub mq_table: BTreeMap<MessageQueue, ProcessQueueInfo>,
    /// Settings, and the [`running_info`] keys that tools look for.
    pub properties: BTreeMap<String, String>,
    /// Speed by topic.
    pub status_table: BTreeMap<String, ConsumeStatus>,
    /// Its subscriptions, by topic.
    pub subscription_set: Vec<SubscriptionData>,
    /// 5.x: whatever the application adds.
    pub user_consumer_info: Option<BTreeMap<String, String>>,
}

/// Keys of [`ConsumerRunningInfo::properties`] that tools look for.
pub mod running_info {
    /// The NameServers' addresses.
    pub const NAMESERVER_ADDR: &str = "PROP_NAMESERVER_ADDR";
    /// Threads that consume.
    pub const THREADPOOL_CORE_SIZE: &str = "PROP_THREADPOOL_CORE_SIZE";
    /// `true` or `false`.
    pub const CONSUME_ORDERLY: &str = "PROP_CONSUMEORDERLY";
    /// Name of a [`super::ConsumeType`].
    pub const CONSUME_TYPE: &str = "PROP_CONSUME_TYPE";
    /// Name of the client's version, `V4_9_8`.
    pub const CLIENT_VERSION: &str = "PROP_CLIENT_VERSION";
    /// Ms since 1970.
    pub const CONSUMER_START_TIMESTAMP: &str = "PROP_CONSUMER_START_TIMESTAMP";
}

/// State of one pulled queue. Java: `ProcessQueueInfo`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ProcessQueueInfo {
    /// Messages fetched and not yet consumed.
    pub cached_msg_count: i32,
    /// The last of them.
    pub cached_msg_max_offset: i64,
    /// The first of them.
    pub cached_msg_min_offset: i64,
    /// Their bodies, MiB.
    pub cached_msg_size_in_mi_b: i32,
    /// The stored offset.
    pub commit_offset: i64,
    /// Whether the queue was given to someone else; Java's spelling.
    pub droped: bool,
    /// When a message was last consumed, ms since 1970.
    pub last_consume_timestamp: i64,
    /// When the lock was last renewed.
    pub last_lock_timestamp: i64,
    /// When the queue was last pulled.
    pub last_pull_timestamp: i64,
    /// Whether the queue is locked for orderly consumption.
    pub locked: bool,
    /// Messages being consumed in order.
    pub transaction_msg_count: i32,
    /// The last of them.
    pub transaction_msg_max_offset: i64,
    /// The first of them.
    pub transaction_msg_min_offset: i64,
    /// How often giving the lock back was tried.
    pub try_unlock_times: i64,
}

/// State of one popped queue. Java: `PopProcessQueueInfo` (5.x).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PopProcessQueueInfo {
    /// Whether the queue was given to someone else; Java's spelling.
    pub droped: bool,
    /// When the queue was last popped, ms since 1970.
    pub last_pop_timestamp: i64,
    /// Messages that wait for their acknowledgement.
    pub wait_ack_count: i32,
}

/// Speed of a consumer in one topic. Java: `ConsumeStatus`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConsumeStatus {
    /// Messages that failed within the last hour.
    pub consume_failed_msgs: i64,
    /// Messages that fail per second.
    #[serde(rename = "consumeFailedTPS")]
    pub consume_failed_tps: f64,
    /// Messages that succeed per second.
    #[serde(rename = "consumeOKTPS")]
    pub consume_ok_tps: f64,
    /// Time to consume a message, ms.
    #[serde(rename = "consumeRT")]
    pub consume_rt: f64,
    /// Time to pull, ms.
    #[serde(rename = "pullRT")]
    pub pull_rt: f64,
    /// Messages pulled per second.
    #[serde(rename = "pullTPS")]
    pub pull_tps: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fastjson;

    /// A Java client's own account of itself, with an enum and a number among its properties.
    #[test]
    fn running_info_round_trips() {
        let java = br#"{"jstack":"t","mqTable":{{"brokerName":"b","queueId":1,"topic":"T"}:{"cachedMsgCount":1,"cachedMsgMaxOffset":9,"cachedMsgMinOffset":8,"cachedMsgSizeInMiB":3,"commitOffset":8,"droped":false,"lastConsumeTimestamp":1,"lastLockTimestamp":2,"lastPullTimestamp":3,"locked":true,"transactionMsgCount":0,"transactionMsgMaxOffset":0,"transactionMsgMinOffset":0,"tryUnlockTimes":0}},"properties":{"PROP_CONSUMER_START_TIMESTAMP":1700000000000,"PROP_CONSUME_TYPE":"CONSUME_PASSIVELY","consumeThreadMin":"20"},"statusTable":{"T":{"consumeFailedMsgs":0,"consumeFailedTPS":0.0,"consumeOKTPS":1.5,"consumeRT":0.25,"pullRT":1.0,"pullTPS":2.0}},"subscriptionSet":[{"classFilterMode":false,"codeSet":[],"expressionType":"TAG","subString":"*","subVersion":1,"tagsSet":[],"topic":"T"}]}"#;
        let info: ConsumerRunningInfo = fastjson::from_slice(java).unwrap();
        assert_eq!(info.mq_table[&MessageQueue::new("T", "b", 1)].cached_msg_size_in_mi_b, 3);
        assert_eq!(info.properties[running_info::CONSUMER_START_TIMESTAMP], "1700000000000");
        assert_eq!(info.status_table["T"].consume_ok_tps, 1.5);
        let written = String::from_utf8(fastjson::to_vec(&info)).unwrap();
        assert_eq!(written.replace("\"1700000000000\"", "1700000000000").as_bytes(), java);
    }

    /// Connections keep their language by name; the group's progress adds up.
    #[test]
    fn connections_and_progress() {
        let java = br#"{"connectionSet":[{"clientAddr":"127.0.0.1:1","clientId":"c@1","language":"GO","version":409}],"consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","consumeType":"CONSUME_PASSIVELY","messageModel":"CLUSTERING","subscriptionTable":{}}"#;
        let connection: ConsumerConnection = fastjson::from_slice(java).unwrap();
        assert_eq!(connection.connection_set[0].language.name(), "GO");
        assert_eq!(fastjson::to_vec(&connection), java);
        let stats: ConsumeStats = fastjson::from_slice(
            br#"{"consumeTps":0,"offsetTable":{{"brokerName":"b","queueId":0,"topic":"T"}:{"brokerOffset":9,"consumerOffset":4,"lastTimestamp":0},{"brokerName":"b","queueId":1,"topic":"T"}:{"brokerOffset":3,"consumerOffset":3,"lastTimestamp":0}}}"#,
        )
        .unwrap();
        assert_eq!(stats.total_diff(), 5);
    }

    /// Java's defaults, and the fields of 5.x that only pass through.
    #[test]
    fn group_defaults() {
        let config: SubscriptionGroupConfig = fastjson::from_slice(br#"{"groupName":"G"}"#).unwrap();
        assert_eq!(config, SubscriptionGroupConfig::new("G"));
        assert_eq!(
            fastjson::to_vec(&config),
            br#"{"brokerId":0,"consumeBroadcastEnable":true,"consumeEnable":true,"consumeFromMinEnable":true,"groupName":"G","notifyConsumerIdsChangedEnable":true,"retryMaxTimes":16,"retryQueueNums":1,"whichBrokerWhenConsumeSlowly":1}"#
        );
    }
}
