//! Topics and their tables.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::java_enums;
use super::message_queue::MessageQueue;

/// Permission bit of priority; unused.
pub const PERM_PRIORITY: i32 = 8;
/// Permission bit: consumers may read.
pub const PERM_READ: i32 = 4;
/// Permission bit: producers may write.
pub const PERM_WRITE: i32 = 2;
/// Permission bit: other topics may be created in its image.
pub const PERM_INHERIT: i32 = 1;

/// The permission bits as tools print them: `RW-`. Java: `PermName.perm2String`.
pub fn perm_text(perm: i32) -> String {
    let letter = |bit, letter| if perm & bit != 0 { letter } else { '-' };
    [letter(PERM_READ, 'R'), letter(PERM_WRITE, 'W'), letter(PERM_INHERIT, 'X')].iter().collect()
}

java_enums! {
    /// How many tags a message of a topic may have.
    TopicFilterType {
        /// One.
        SingleTag = "SINGLE_TAG",
        /// Several.
        MultiTag = "MULTI_TAG",
    }
}

/// The number by which copies of a table are compared. Java: `DataVersion`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DataVersion {
    /// Grows by one per change.
    pub counter: i64,
    /// 5.x: the term of the controller's master; 4.9 knows none.
    #[serde(skip_serializing_if = "is_zero")]
    pub state_version: i64,
    /// When it changed, ms since 1970.
    pub timestamp: i64,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

impl DataVersion {
    /// The version of a fresh table.
    pub fn new(now_ms: i64) -> Self {
        Self { counter: 0, state_version: 0, timestamp: now_ms }
    }

    /// Moves on to the next version. Java: `nextVersion`.
    pub fn advance(&mut self, now_ms: i64) {
        self.timestamp = now_ms;
        self.counter = self.counter.wrapping_add(1);
    }
}

/// A topic's settings on a broker. Java: `TopicConfig`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TopicConfig {
    /// 5.x: attributes by name.
    pub attributes: Option<BTreeMap<String, String>>,
    /// Whether the NameServer's order table names it.
    pub order: bool,
    /// `PERM_` bits.
    pub perm: i32,
    /// Queues that consumers read.
    pub read_queue_nums: i32,
    /// How many tags a message may have; nothing depends on it, and what is unknown counts as one.
    #[serde(deserialize_with = "known_filter_type")]
    pub topic_filter_type: TopicFilterType,
    /// The name.
    pub topic_name: String,
    /// Unit bits.
    pub topic_sys_flag: i32,
    /// Queues that producers write.
    pub write_queue_nums: i32,
}

/// A Java NameServer fails on a name it does not know, so none is passed on.
fn known_filter_type<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<TopicFilterType, D::Error> {
    TopicFilterType::deserialize(deserializer).map(TopicFilterType::or_single_tag)
}

impl TopicFilterType {
    fn or_single_tag(self) -> Self {
        if self == Self::Unknown { Self::SingleTag } else { self }
    }
}

impl Default for TopicConfig {
    fn default() -> Self {
        Self::new("", 16, 16, PERM_READ | PERM_WRITE)
    }
}

impl TopicConfig {
    /// A topic with these numbers of queues.
    pub fn new(name: impl Into<String>, read_queue_nums: i32, write_queue_nums: i32, perm: i32) -> Self {
        Self {
            attributes: None,
            order: false,
            perm,
            read_queue_nums,
            topic_filter_type: TopicFilterType::SingleTag,
            topic_name: name.into(),
            topic_sys_flag: 0,
            write_queue_nums,
        }
    }

    /// Whether consumers may read.
    pub fn is_readable(&self) -> bool {
        self.perm & PERM_READ != 0
    }

    /// Whether producers may write.
    pub fn is_writable(&self) -> bool {
        self.perm & PERM_WRITE != 0
    }

    /// The line of a compressed registration: `name readQueues writeQueues perm filterType`, exactly these
    /// five words, since a 4.9 NameServer refuses the sixth that 5.x adds.
    pub fn to_line(&self) -> String {
        let Self { topic_name, read_queue_nums, write_queue_nums, perm, topic_filter_type, .. } = self;
        format!("{topic_name} {read_queue_nums} {write_queue_nums} {perm} {topic_filter_type}")
    }

    /// Reads such a line, of 4.9 or of 5.x, whose sixth word holds the attributes.
    pub fn from_line(line: &str) -> Option<Self> {
        let mut words = line.splitn(6, ' ');
        let name = words.next().filter(|name| !name.is_empty())?;
        let mut number = || words.next()?.parse().ok();
        let mut config = Self::new(name, number()?, number()?, number()?);
        config.topic_filter_type = TopicFilterType::from_name(words.next()?).or_single_tag();
        if let Some(attributes) = words.next().filter(|attributes| !attributes.is_empty()) {
            config.attributes = Some(crate::fastjson::from_slice(attributes.as_bytes()).ok()?);
        }
        Some(config)
    }
}

/// All topics of a broker; also the file `topics.json`. Java: `TopicConfigSerializeWrapper`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TopicConfigSerializeWrapper {
    /// The table's version.
    pub data_version: DataVersion,
    /// Topics by name.
    pub topic_config_table: BTreeMap<String, TopicConfig>,
}

/// Names of topics. Java: `TopicList`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TopicList {
    /// Address of some broker; only in the answer to `GET_SYSTEM_TOPIC_LIST_FROM_NS`.
    pub broker_addr: Option<String>,
    /// The names.
    pub topic_list: BTreeSet<String>,
}

/// Body of `UPDATE_AND_CREATE_TOPIC_LIST`. Java: `CreateTopicListRequestBody`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CreateTopicListBody {
    /// The topics.
    pub topic_config_list: Vec<TopicConfig>,
}

/// Answer to `GET_TOPIC_STATS_INFO`. Java: `TopicStatsTable`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TopicStatsTable {
    /// What each queue holds.
    pub offset_table: BTreeMap<MessageQueue, TopicOffset>,
    /// 5.x: messages put per second.
    pub topic_put_tps: Option<f64>,
}

/// What a queue holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TopicOffset {
    /// When its last message was stored, ms since 1970; 0 for an empty queue.
    pub last_update_timestamp: i64,
    /// The offset behind the last message.
    pub max_offset: i64,
    /// The first offset.
    pub min_offset: i64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fastjson;

    /// Lines of both versions; a 5.x file keeps what 4.9 does not know.
    #[test]
    fn topics_of_5_survive() {
        let line = r#"T 16 8 6 SINGLE_TAG {"+message.type":"FIFO"}"#;
        let config = TopicConfig::from_line(line).unwrap();
        assert_eq!(config.attributes.as_ref().unwrap()["+message.type"], "FIFO");
        assert_eq!(config.to_line(), "T 16 8 6 SINGLE_TAG");
        for line in ["T 16 8 6 SINGLE_TAG", "T 16 8 6 SINGLE_TAG "] {
            let config = TopicConfig::from_line(line).unwrap();
            assert_eq!((config.write_queue_nums, config.attributes), (8, None), "{line:?}");
        }
        for bad in ["", "T", "T 1 2 x SINGLE_TAG", "T 1 2 3", " 1 2 3 SINGLE_TAG", "T 1 2 3 SINGLE_TAG {"] {
            assert_eq!(TopicConfig::from_line(bad), None, "{bad}");
        }
        let file = br#"{"dataVersion":{"counter":2,"stateVersion":1,"timestamp":3},"topicConfigTable":{"T":{"attributes":{"a":"b"},"order":true,"perm":7,"readQueueNums":1,"topicFilterType":"MULTI_TAG","topicName":"T","topicSysFlag":1,"writeQueueNums":2}}}"#;
        let table: TopicConfigSerializeWrapper = fastjson::from_slice(file).unwrap();
        assert_eq!(fastjson::to_vec(&table), file);
    }

    /// Permissions print as in Java.
    #[test]
    fn perms_print() {
        assert_eq!((perm_text(6), perm_text(7), perm_text(4)), ("RW-".into(), "RWX".into(), "R--".into()));
    }
}
