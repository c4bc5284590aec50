//! Heartbeats: who a client is, what it produces and what it subscribes to.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::java_enums;
use crate::message::java_hash;

/// The expression that takes every message.
pub const SUB_ALL: &str = "*";
/// The expression type of tags (`ExpressionType.TAG`).
pub const TAG: &str = "TAG";
/// The expression type of SQL filters (`ExpressionType.SQL92`).
pub const SQL92: &str = "SQL92";

java_enums! {
    /// How a consumer gets its messages.
    ConsumeType {
        /// It pulls by itself.
        Actively = "CONSUME_ACTIVELY",
        /// The client library pulls for it.
        Passively = "CONSUME_PASSIVELY",
        /// It pops (5.x).
        Pop = "CONSUME_POP",
    }

    /// Whether every consumer of a group gets every message.
    MessageModel {
        /// Every consumer gets every message.
        Broadcasting = "BROADCASTING",
        /// Each message goes to one consumer of the group.
        Clustering = "CLUSTERING",
    }

    /// Where a group without a stored offset begins.
    ConsumeFromWhere {
        /// At the end.
        LastOffset = "CONSUME_FROM_LAST_OFFSET",
        /// Deprecated; as `LastOffset`.
        LastOffsetAndFromMinWhenBootFirst = "CONSUME_FROM_LAST_OFFSET_AND_FROM_MIN_WHEN_BOOT_FIRST",
        /// Deprecated; as `LastOffset`.
        MinOffset = "CONSUME_FROM_MIN_OFFSET",
        /// Deprecated; as `LastOffset`.
        MaxOffset = "CONSUME_FROM_MAX_OFFSET",
        /// At the beginning.
        FirstOffset = "CONSUME_FROM_FIRST_OFFSET",
        /// At a time.
        Timestamp = "CONSUME_FROM_TIMESTAMP",
    }
}

/// Body of `HEART_BEAT`. Java: `HeartbeatData`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HeartbeatData {
    /// The client's id, `ip@instance`.
    #[serde(rename = "clientID")]
    pub client_id: String,
    /// Its consumer groups.
    pub consumer_data_set: Vec<ConsumerData>,
    /// 5.x: hash of what follows; not 0 asks for the second form of heartbeats.
    pub heartbeat_fingerprint: Option<i32>,
    /// Its producer groups.
    pub producer_data_set: Vec<ProducerData>,
    /// 5.x: the subscriptions are left out because they did not change.
    pub without_sub: Option<bool>,
}

/// A producer group of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ProducerData {
    /// The group.
    pub group_name: String,
}

/// A consumer group of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConsumerData {
    /// Where it begins.
    pub consume_from_where: ConsumeFromWhere,
    /// How it gets its messages.
    pub consume_type: ConsumeType,
    /// The group.
    pub group_name: String,
    /// Whether each consumer gets every message.
    pub message_model: MessageModel,
    /// What it subscribes to.
    pub subscription_data_set: Vec<SubscriptionData>,
    /// Whether topics are separate by unit.
    pub unit_mode: bool,
}

/// A subscription to a topic. Java: `SubscriptionData`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SubscriptionData {
    /// Whether a filter class does the filtering; gone since 4.4.
    pub class_filter_mode: bool,
    /// The hashes of the tags.
    pub code_set: BTreeSet<i32>,
    /// [`TAG`] or [`SQL92`].
    pub expression_type: String,
    /// The expression as the application wrote it.
    pub sub_string: String,
    /// Grows with every change (ms or ns, by client); only compared.
    pub sub_version: i64,
    /// The tags of the expression.
    pub tags_set: BTreeSet<String>,
    /// The topic.
    pub topic: String,
}

impl Default for SubscriptionData {
    fn default() -> Self {
        Self {
            class_filter_mode: false,
            code_set: BTreeSet::new(),
            expression_type: TAG.to_owned(),
            sub_string: String::new(),
            sub_version: 0,
            tags_set: BTreeSet::new(),
            topic: String::new(),
        }
    }
}

impl SubscriptionData {
    /// A subscription by tags: `*`, or tags with `||` between them. `None` if there are only separators.
    ///
    /// Java: `FilterAPI.buildSubscriptionData`.
    pub fn tags(topic: &str, expression: &str, sub_version: i64) -> Option<Self> {
        let all = expression.is_empty() || expression == SUB_ALL;
        let mut data = Self {
            sub_string: if all { SUB_ALL } else { expression }.to_owned(),
            sub_version,
            topic: topic.to_owned(),
            ..Self::default()
        };
        if !all {
            let tags = expression.split("||").map(str::trim).filter(|tag| !tag.is_empty());
            data.tags_set = tags.map(str::to_owned).collect();
            data.code_set = data.tags_set.iter().map(|tag| java_hash(tag)).collect();
            if data.tags_set.is_empty() {
                return None;
            }
        }
        Some(data)
    }

    /// Whether tags do the filtering; an absent type means tags.
    pub fn is_tag_type(&self) -> bool {
        self.expression_type.is_empty() || self.expression_type == TAG
    }

    /// Whether a message with this tags code may match, judged as a broker does, by the hash alone.
    /// Subscriptions of other types match here and are filtered elsewhere.
    pub fn matches_tags_code(&self, tags_code: i64) -> bool {
        self.class_filter_mode
            || !self.is_tag_type()
            || self.sub_string == SUB_ALL
            || self.code_set.contains(&(tags_code as i32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fastjson;

    /// A heartbeat of the C++ client: ordinals, numbers in quotes, no empty sets.
    #[test]
    fn reads_ordinals_and_quoted_numbers() {
        let data: HeartbeatData = fastjson::from_slice(
            br#"{"clientID":"c","consumerDataSet":[{"consumeFromWhere":4,"consumeType":1,"groupName":"g","messageModel":1,
            "subscriptionDataSet":[{"codeSet":["2598919"],"subString":"TagA","subVersion":"1767225600000000000","tagsSet":["TagA"],"topic":"T"}]}]}"#,
        )
        .unwrap();
        let consumer = &data.consumer_data_set[0];
        assert_eq!(consumer.consume_from_where, ConsumeFromWhere::FirstOffset);
        assert_eq!(consumer.consume_type, ConsumeType::Passively);
        assert_eq!(consumer.message_model, MessageModel::Clustering);
        let subscription = &consumer.subscription_data_set[0];
        assert_eq!(subscription.sub_version, 1_767_225_600_000_000_000);
        assert!(subscription.matches_tags_code(2598919) && !subscription.matches_tags_code(1));
        assert!(data.producer_data_set.is_empty());
    }

    /// A name from the future is no error, and is not sent on.
    #[test]
    fn unknown_names_are_tolerated() {
        let data: ConsumerData =
            fastjson::from_slice(br#"{"consumeType":"CONSUME_TELEPATHICALLY","messageModel":null}"#).unwrap();
        assert_eq!((data.consume_type, data.message_model), (ConsumeType::Unknown, MessageModel::Unknown));
        assert!(!String::from_utf8(fastjson::to_vec(&data)).unwrap().contains("consumeType"));
    }

    /// Tag expressions split as in Java.
    #[test]
    fn builds_tag_subscriptions() {
        let data = SubscriptionData::tags("T", "TagA || TagB||", 1).unwrap();
        assert_eq!(data.tags_set, BTreeSet::from(["TagA".to_owned(), "TagB".to_owned()]));
        assert_eq!(data.code_set, BTreeSet::from([2598919, 2598920]));
        assert_eq!(SubscriptionData::tags("T", "", 1).unwrap().sub_string, "*");
        assert_eq!(SubscriptionData::tags("T", "|| ||", 1), None);
    }
}
