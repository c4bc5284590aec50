//! The SQL92 filters that consumer groups registered with their heartbeats, compiled once.
//!
//! A plain table, kept in `consumerFilter.json`. For one group and topic the greatest
//! `subVersion` wins. A filter outlives its consumers by `filterDataCleanTimeSpan`; as long as they are away
//! it counts as dead. Left out: the Bloom filters with which Java judges messages when it stores them
//! (`enableConsumeQueueExt`); Java disregards a file without them and fills its table by heartbeats again.
//! Java counterparts: `ConsumerFilterManager`, `ConsumerFilterData`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferrocket_protocol::body::heartbeat::{SQL92, SubscriptionData};
use ferrocket_protocol::fastjson::{self, JsonError};
use serde::{Deserialize, Serialize};

use crate::filter::{Expression, InvalidExpression};
use crate::saving::{Kept, Unsaved};

/// Filters of all groups together; further ones are not taken, as if they did not compile.
const FILTERS_MAX: usize = 10_000;
/// How long before the Broker's start the consumers in the file count as gone: Java's 30 s.
const GONE_BEFORE_MS: i64 = 30_000;

/// Compiles an expression of a type other than tags.
pub(crate) fn compile(expression_type: &str, text: &str) -> Result<Expression, InvalidExpression> {
    if expression_type != SQL92 {
        return Err(InvalidExpression::of_type(expression_type));
    }
    Expression::compile(text)
}

/// A filter as the file has it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct FilterData {
    born_time: i64,
    client_version: i64,
    consumer_group: String,
    /// Follows from the two times; written because Java writes it.
    dead: bool,
    /// When its consumers were seen to be gone; 0 while they are there.
    dead_time: i64,
    expression: String,
    expression_type: String,
    topic: String,
}

/// The filters of a topic in the file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct TopicFilters {
    group_filter_data: BTreeMap<String, FilterData>,
    topic: String,
}

/// The file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct FilterTable {
    filter_data_by_topic: BTreeMap<String, TopicFilters>,
}

#[derive(Debug)]
struct Filter {
    data: FilterData,
    compiled: Arc<Expression>,
}

/// By group, then by topic: heartbeats come by group.
type Filters = BTreeMap<String, BTreeMap<String, Filter>>;

/// The filters of all groups.
#[derive(Debug, Default)]
pub(crate) struct ConsumerFilters {
    /// Held for one look-up or one heartbeat's changes; nothing is compiled under it.
    table: Mutex<Filters>,
    unsaved: Unsaved,
}

impl ConsumerFilters {
    /// The table as it is now, for the file.
    fn to_table(&self) -> FilterTable {
        let mut table = FilterTable::default();
        for (group, topics) in &*self.lock() {
            for (topic, filter) in topics {
                let of_topic = table.filter_data_by_topic.entry(topic.clone()).or_default();
                of_topic.topic.clone_from(topic);
                of_topic.group_filter_data.insert(group.clone(), filter.shown());
            }
        }
        table
    }

    fn lock(&self) -> MutexGuard<'_, Filters> {
        // Every entry is whole at any moment, so a panic elsewhere leaves a usable table.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A heartbeat of `group`. Filters of topics that it does not name count as dead. A newer expression that
    /// does not compile takes the older one's place: the group's pulls are refused until it sends a good one.
    pub(crate) fn heartbeat(&self, group: &str, subscriptions: &[SubscriptionData], now_ms: i64) {
        let by_expression: Vec<&SubscriptionData> =
            subscriptions.iter().filter(|data| !data.is_tag_type() && !data.sub_string.is_empty()).collect();
        for data in by_expression {
            if !self.revived(group, data) {
                self.register(group, data, now_ms);
            }
        }
        let mut table = self.lock();
        let Some(topics) = table.get_mut(group) else { return };
        for (topic, filter) in topics {
            if !filter.data.is_dead() && !subscriptions.iter().any(|data| data.topic == *topic) {
                filter.data.dead_time = now_ms;
                self.unsaved.set();
            }
        }
    }

    /// Whether this expression, or one that is at least as new, is there; it counts as alive if it is this.
    fn revived(&self, group: &str, data: &SubscriptionData) -> bool {
        let mut table = self.lock();
        let Some(old) = table.get_mut(group).and_then(|topics| topics.get_mut(&data.topic)) else {
            return false;
        };
        let version = old.data.client_version;
        let same =
            (&old.data.expression, &old.data.expression_type) == (&data.sub_string, &data.expression_type);
        if data.sub_version < version || data.sub_version > version && !same {
            return data.sub_version < version;
        }
        if data.sub_version > version || old.data.is_dead() {
            old.data.client_version = data.sub_version;
            old.data.dead_time = 0;
            self.unsaved.set();
        }
        true
    }

    fn register(&self, group: &str, data: &SubscriptionData, now_ms: i64) {
        let (topic, version) = (&*data.topic, data.sub_version);
        let compiled = compile(&data.expression_type, &data.sub_string);
        let mut table = self.lock();
        let full = table.values().map(BTreeMap::len).sum::<usize>() >= FILTERS_MAX;
        let topics = table.entry(group.to_owned()).or_default();
        let old = topics.remove(topic);
        match compiled {
            Ok(_) if full && old.is_none() => {
                tracing::warn!(group, topic, "there are too many filters, one is not taken");
            }
            Ok(compiled) => {
                let data = FilterData {
                    born_time: now_ms,
                    client_version: version,
                    consumer_group: group.to_owned(),
                    expression: data.sub_string.clone(),
                    expression_type: data.expression_type.clone(),
                    topic: topic.to_owned(),
                    ..FilterData::default()
                };
                topics.insert(topic.to_owned(), Filter { data, compiled: Arc::new(compiled) });
            }
            Err(error) => tracing::warn!(group, topic, %error, "a consumer's expression is wrong"),
        }
        if topics.is_empty() {
            table.remove(group);
        }
        self.unsaved.set();
    }

    /// The filter of `group` for `topic`, with the version of the subscription it comes from.
    pub(crate) fn find(&self, group: &str, topic: &str) -> Option<(Arc<Expression>, i64)> {
        let table = self.lock();
        let filter = table.get(group)?.get(topic)?;
        Some((filter.compiled.clone(), filter.data.client_version))
    }

    /// All filters of `group`, by topic.
    pub(crate) fn of_group(&self, group: &str) -> BTreeMap<String, Arc<Expression>> {
        let table = self.lock();
        let filters = table.get(group).into_iter().flatten();
        filters.map(|(topic, filter)| (topic.clone(), filter.compiled.clone())).collect()
    }

    /// The filter as Java's tools show it: JSON, or `null`.
    pub(crate) fn to_json(&self, group: &str, topic: &str) -> String {
        let shown = self.lock().get(group).and_then(|topics| topics.get(topic)).map(Filter::shown);
        fastjson::to_pretty(&shown)
    }

    /// The groups that have filters.
    pub(crate) fn groups(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// Nobody of these groups is connected: their filters are dead, and go when they have been so for long.
    pub(crate) fn bury(&self, groups: &[String], now_ms: i64, kept_ms: i64) {
        let mut table = self.lock();
        for group in groups {
            for filter in table.get_mut(group).into_iter().flat_map(BTreeMap::values_mut) {
                if !filter.data.is_dead() {
                    filter.data.dead_time = now_ms;
                    self.unsaved.set();
                }
            }
        }
        table.retain(|_, topics| {
            let before = topics.len();
            topics.retain(|_, filter| !filter.data.is_dead() || now_ms - filter.data.dead_time < kept_ms);
            if topics.len() != before {
                self.unsaved.set();
            }
            !topics.is_empty()
        });
    }
}

impl Kept for ConsumerFilters {
    fn file(&self) -> &'static str {
        "consumerFilter.json"
    }

    /// Takes over the file's text: all of its consumers count as gone. What does not compile is left out.
    fn load(&self, text: &str, now_ms: i64) -> Result<(), JsonError> {
        let read: FilterTable = fastjson::from_slice(text.as_bytes())?;
        let mut filters = Filters::new();
        for (topic, of_topic) in read.filter_data_by_topic {
            for (group, mut data) in of_topic.group_filter_data {
                match compile(&data.expression_type, &data.expression) {
                    Ok(compiled) => {
                        if data.dead_time == 0 {
                            data.dead_time = data.born_time.max(now_ms - GONE_BEFORE_MS);
                        }
                        let filter = Filter { data, compiled: Arc::new(compiled) };
                        filters.entry(group).or_default().insert(topic.clone(), filter);
                    }
                    Err(error) => tracing::warn!(group, topic, %error, "a saved filter is left out"),
                }
            }
        }
        *self.lock() = filters;
        Ok(())
    }

    fn text(&self) -> String {
        fastjson::to_pretty(&self.to_table())
    }

    fn unsaved(&self) -> &Unsaved {
        &self.unsaved
    }
}

impl FilterData {
    fn is_dead(&self) -> bool {
        self.dead_time >= self.born_time
    }
}

impl Filter {
    fn shown(&self) -> FilterData {
        FilterData { dead: self.data.is_dead(), ..self.data.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sql(topic: &str, expression: &str, version: i64) -> SubscriptionData {
        SubscriptionData {
            topic: topic.to_owned(),
            sub_string: expression.to_owned(),
            expression_type: SQL92.to_owned(),
            sub_version: version,
            ..SubscriptionData::default()
        }
    }

    fn version(filters: &ConsumerFilters) -> Option<i64> {
        filters.find("g", "T").map(|(_, version)| version)
    }

    /// Of two expressions the newer one counts, also when it is wrong: then there is none.
    #[test]
    fn the_newest_counts() {
        let filters = ConsumerFilters::default();
        for (expression, sub_version, expected) in [
            ("a = 1", 5, Some(5)),
            ("a = 2", 4, Some(5)),
            ("a = 2", 5, Some(5)),
            ("a = 1", 6, Some(6)),
            ("a = 2", 7, Some(7)),
            ("a =", 6, Some(7)),
            ("a =", 8, None),
            ("a = 3", 1, Some(1)),
            ("", 9, Some(1)),
        ] {
            filters.heartbeat("g", &[sql("T", expression, sub_version)], 100);
            assert_eq!(version(&filters), expected, "{expression} {sub_version}");
        }
        let (compiled, _) = filters.find("g", "T").unwrap();
        assert!(compiled.wants("a\u{1}3") && !compiled.wants("a\u{1}1"));
        filters.heartbeat(
            "g",
            &[SubscriptionData { expression_type: "X".into(), ..sql("U", "a = 1", 1) }],
            1,
        );
        assert!(filters.find("g", "U").is_none());
    }

    /// A filter whose topic or consumers are gone dies, comes back with the same heartbeat, and is forgotten
    /// after its time.
    #[test]
    fn filters_die_and_come_back() {
        let filters = ConsumerFilters::default();
        let dead = || filters.to_json("g", "T").contains("\"dead\":true");
        filters.heartbeat("g", &[sql("T", "a = 1", 5)], 100);
        assert!(!dead());
        filters.heartbeat("g", &[], 200);
        assert!(dead());
        filters.heartbeat("g", &[sql("T", "a = 1", 5)], 300);
        assert!(!dead());
        assert_eq!(filters.groups(), ["g"]);
        filters.bury(&["g".to_owned()], 400, 1_000);
        filters.bury(&[], 1_399, 1_000);
        assert!(dead());
        filters.bury(&[], 1_400, 1_000);
        assert_eq!((filters.groups().len(), filters.to_json("g", "T")), (0, "null".to_owned()));
    }

    /// One filter more than there may be is not kept; those that are there can change and make room.
    #[test]
    fn filters_have_a_limit() {
        let filters = ConsumerFilters::default();
        let topics: Vec<_> = (0..100).map(|number| sql(&format!("T{number}"), "a = 1", 1)).collect();
        for group in 0..FILTERS_MAX / topics.len() {
            filters.heartbeat(&format!("g{group}"), &topics, 100);
        }
        filters.heartbeat("g", &[sql("T", "a = 1", 1)], 100);
        assert_eq!(version(&filters), None);
        assert!(!filters.groups().contains(&"g".to_owned()), "it left no trace");
        let newer: Vec<_> = topics.iter().map(|data| sql(&data.topic, "a = 2", 2)).collect();
        filters.heartbeat("g7", &newer, 200);
        assert_eq!(filters.find("g7", "T42").map(|(_, version)| version), Some(2));
        filters.heartbeat("g8", &topics[1..], 200);
        filters.bury(&[], 300, 100);
        filters.heartbeat("g", &[sql("T", "a = 1", 1)], 300);
        assert_eq!(version(&filters), Some(1));
    }

    /// The file is Java's; a file of Java's with its Bloom filters is read, and everybody in it is gone.
    #[test]
    fn the_file_is_javas() {
        let java = r#"{"filterDataByTopic":{"T":{"groupFilterData":{"g":{"bloomFilterData":{"bitNum":112,"bitPos":[30,66,102]},"bornTime":100,"clientVersion":7,"consumerGroup":"g","dead":false,"deadTime":0,"expression":"a = 1","expressionType":"SQL92","topic":"T"},"h":{"expression":"=","expressionType":"SQL92"}},"topic":"T"}}}"#;
        let filters = ConsumerFilters::default();
        filters.load(java, 50_000).unwrap();
        assert_eq!(version(&filters), Some(7));
        assert_eq!(filters.groups(), ["g"]);
        let text = String::from_utf8(fastjson::to_vec(&filters.to_table())).unwrap();
        let ours = r#"{"filterDataByTopic":{"T":{"groupFilterData":{"g":{"bornTime":100,"clientVersion":7,"consumerGroup":"g","dead":true,"deadTime":20000,"expression":"a = 1","expressionType":"SQL92","topic":"T"}},"topic":"T"}}}"#;
        assert_eq!(text, ours);
        assert!(filters.load("[", 0).is_err());
    }
}
