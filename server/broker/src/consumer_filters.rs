//! The SQL92 filters that consumer groups registered with their heartbeats, compiled once.
//!
//! A plain table, kept in `consumerFilter.json`. For one group and topic the greatest
//! `subVersion` wins. A filter outlives its consumers by `filterDataCleanTimeSpan`; as long as they are away
//! it counts as dead.
//!
//! With `enableConsumeQueueExt` and `enableCalcFilterBitMap` every filter of a topic judges a message when it is
//! stored, and the bit map that comes out tells who may want it. It tells about filters that were in the table then:
//! those whose `bornTime` is before the message's store time. Java counterparts: `ConsumerFilterManager`,
//! `ConsumerFilterData`, `CommitLogDispatcherCalcBitMap`.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferrocket_protocol::body::heartbeat::{SQL92, SubscriptionData};
use ferrocket_protocol::fastjson::{self, JsonError};
use ferrocket_store::BitMap;
use serde::{Deserialize, Serialize};

use crate::bloom::{BloomFilter, BloomFilterData};
use crate::filter::{Expression, InvalidExpression};
use crate::saving::{Kept, Unsaved};

/// Filters of all groups together; further ones are not taken, as if they did not compile.
const FILTERS_MAX: usize = 10_000;
/// Filters of one topic by which messages are judged when they are stored; with more of them they are not.
const JUDGES_MAX: usize = 1_000;
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
    bloom_filter_data: BloomFilterData,
    /// No message that was stored before it was in the table has a later time.
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

/// The filters by topic, as they judge messages.
#[derive(Debug)]
struct Judges {
    of_topic: HashMap<String, Vec<(Arc<Expression>, BloomFilterData)>>,
    changes: u64,
}

/// What a filter of the table makes of the bit maps of messages.
#[derive(Clone, Debug)]
pub(crate) struct FilterBits {
    data: BloomFilterData,
    born_time: i64,
}

impl FilterBits {
    /// Whether the message with this store time (ms since 1970) and bit map may be wanted.
    pub(crate) fn may_want(&self, stored_ms: i64, bit_map: &[u8]) -> bool {
        stored_ms <= self.born_time || self.data.may_want(bit_map)
    }
}

/// The filters of all groups.
#[derive(Debug, Default)]
pub(crate) struct ConsumerFilters {
    bloom: BloomFilter,
    /// Store time of the newest message when the Broker started.
    stored_ms: i64,
    /// Held for one look-up or one heartbeat's changes; nothing is compiled under it.
    table: Mutex<Filters>,
    /// Grows with every filter that is new in the table, while that is locked.
    changes: AtomicU64,
    /// Made when a message is to be judged and the filters have changed; locked after the table.
    judges: Mutex<Option<Arc<Judges>>>,
    unsaved: Unsaved,
}

impl ConsumerFilters {
    /// Without filters yet, for a store whose newest message has this store time (ms since 1970).
    pub(crate) fn new(bloom: BloomFilter, stored_ms: i64) -> Self {
        Self { bloom, stored_ms, ..Self::default() }
    }

    /// Judges a message by the properties it is stored with; nothing without filters for its topic.
    pub(crate) fn bit_map(&self, topic: &str, properties: &str) -> Option<BitMap> {
        let judges = self.judges();
        let filters = judges.of_topic.get(topic).filter(|filters| filters.len() <= JUDGES_MAX)?;
        let mut bits = self.bloom.bit_map();
        for (_, data) in filters.iter().filter(|(expression, _)| expression.wants(properties)) {
            data.set_in(&mut bits);
        }
        Some(BitMap { bits, filters: judges.changes })
    }

    /// Whether no filter has come since the bit map was made.
    pub(crate) fn is_current(&self, bit_map: &BitMap) -> bool {
        self.changes.load(Ordering::Acquire) == bit_map.filters
    }

    fn judges(&self) -> Arc<Judges> {
        let current = self.changes.load(Ordering::Acquire);
        let made = self.judges.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(judges) = made.filter(|judges| judges.changes == current) {
            return judges;
        }
        let table = self.lock();
        let mut of_topic: HashMap<_, Vec<_>> = HashMap::new();
        for (topic, filter) in table.values().flatten() {
            let judge = (filter.compiled.clone(), filter.data.bloom_filter_data.clone());
            of_topic.entry(topic.clone()).or_default().push(judge);
        }
        let judges = Arc::new(Judges { of_topic, changes: self.changes.load(Ordering::Acquire) });
        *self.judges.lock().unwrap_or_else(PoisonError::into_inner) = Some(judges.clone());
        judges
    }

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
    ///
    /// `now_ms` gives the time, or that of the newest message if it is later.
    pub(crate) fn heartbeat(
        &self,
        group: &str,
        subscriptions: &[SubscriptionData],
        now_ms: &dyn Fn() -> i64,
    ) {
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
                filter.data.die(now_ms());
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

    fn register(&self, group: &str, data: &SubscriptionData, now_ms: &dyn Fn() -> i64) {
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
                // A message that was judged without it gets no bit map from now on, or has its time by now.
                self.changes.fetch_add(1, Ordering::AcqRel);
                let data = FilterData {
                    bloom_filter_data: self.bloom.data(group, topic),
                    born_time: now_ms(),
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
    pub(crate) fn find(&self, group: &str, topic: &str) -> Option<(Arc<Expression>, i64, FilterBits)> {
        let table = self.lock();
        let Filter { data, compiled } = table.get(group)?.get(topic)?;
        let bits = FilterBits { data: data.bloom_filter_data.clone(), born_time: data.born_time };
        Some((compiled.clone(), data.client_version, bits))
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
                    filter.data.die(now_ms);
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
                        let bloom_filter_data = self.bloom.data(&group, &topic);
                        if data.bloom_filter_data != bloom_filter_data {
                            // Bit maps that were made until now do not speak of these bits.
                            data.born_time = now_ms.max(self.stored_ms);
                            data.bloom_filter_data = bloom_filter_data;
                        }
                        let gone = if data.dead_time == 0 { now_ms - GONE_BEFORE_MS } else { data.dead_time };
                        data.die(gone);
                        let filter = Filter { data, compiled: Arc::new(compiled) };
                        filters.entry(group).or_default().insert(topic.clone(), filter);
                    }
                    Err(error) => tracing::warn!(group, topic, %error, "a saved filter is left out"),
                }
            }
        }
        let mut table = self.lock();
        self.changes.fetch_add(1, Ordering::AcqRel);
        *table = filters;
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

    fn die(&mut self, now_ms: i64) {
        self.dead_time = now_ms.max(self.born_time);
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
        filters.find("g", "T").map(|(_, version, _)| version)
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
            filters.heartbeat("g", &[sql("T", expression, sub_version)], &|| 100);
            assert_eq!(version(&filters), expected, "{expression} {sub_version}");
        }
        let (compiled, ..) = filters.find("g", "T").unwrap();
        assert!(compiled.wants("a\u{1}3") && !compiled.wants("a\u{1}1"));
        filters.heartbeat(
            "g",
            &[SubscriptionData { expression_type: "X".into(), ..sql("U", "a = 1", 1) }],
            &|| 1,
        );
        assert!(filters.find("g", "U").is_none());
    }

    /// A filter whose topic or consumers are gone dies, comes back with the same heartbeat, and is forgotten
    /// after its time.
    #[test]
    fn filters_die_and_come_back() {
        let filters = ConsumerFilters::default();
        let dead = || filters.to_json("g", "T").contains("\"dead\":true");
        filters.heartbeat("g", &[sql("T", "a = 1", 5)], &|| 100);
        assert!(!dead());
        filters.heartbeat("g", &[], &|| 200);
        assert!(dead());
        filters.heartbeat("g", &[sql("T", "a = 1", 5)], &|| 300);
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
            filters.heartbeat(&format!("g{group}"), &topics, &|| 100);
        }
        filters.heartbeat("g", &[sql("T", "a = 1", 1)], &|| 100);
        assert_eq!(version(&filters), None);
        assert!(!filters.groups().contains(&"g".to_owned()), "it left no trace");
        let newer: Vec<_> = topics.iter().map(|data| sql(&data.topic, "a = 2", 2)).collect();
        filters.heartbeat("g7", &newer, &|| 200);
        assert_eq!(filters.find("g7", "T42").map(|(_, version, _)| version), Some(2));
        filters.heartbeat("g8", &topics[1..], &|| 200);
        filters.bury(&[], 300, 100);
        filters.heartbeat("g", &[sql("T", "a = 1", 1)], &|| 300);
        assert_eq!(version(&filters), Some(1));
    }

    /// The file is Java's; a file of Java's with its Bloom filters is read, and everybody in it is gone. Where they
    /// are missing, or others, what messages say about them does not count until now.
    #[test]
    fn the_file_is_javas() {
        let java = r#"{"filterDataByTopic":{"T":{"groupFilterData":{"g":{"bloomFilterData":{"bitNum":112,"bitPos":[90,68,28]},"bornTime":100,"clientVersion":7,"consumerGroup":"g","dead":false,"deadTime":0,"expression":"a = 1","expressionType":"SQL92","topic":"T"},"h":{"expression":"=","expressionType":"SQL92"}},"topic":"T"}}}"#;
        let filters = ConsumerFilters::default();
        filters.load(java, 50_000).unwrap();
        assert_eq!(version(&filters), Some(7));
        assert_eq!(filters.groups(), ["g"]);
        let text = String::from_utf8(fastjson::to_vec(&filters.to_table())).unwrap();
        let ours = r#"{"filterDataByTopic":{"T":{"groupFilterData":{"g":{"bloomFilterData":{"bitNum":112,"bitPos":[90,68,28]},"bornTime":100,"clientVersion":7,"consumerGroup":"g","dead":true,"deadTime":20000,"expression":"a = 1","expressionType":"SQL92","topic":"T"}},"topic":"T"}}}"#;
        assert_eq!(text, ours);
        assert!(filters.load("[", 0).is_err());
        for other in
            [r#"{"bitNum":112,"bitPos":[90,68,29]}"#, r#"{"bitNum":104,"bitPos":[90,68,28]}"#, "null"]
        {
            let filters = ConsumerFilters::new(BloomFilter::default(), 60_000);
            filters.load(&java.replace(r#"{"bitNum":112,"bitPos":[90,68,28]}"#, other), 50_000).unwrap();
            let born = text.replace(r#""bornTime":100"#, r#""bornTime":60000"#).replace(":20000", ":60000");
            assert_eq!(String::from_utf8(fastjson::to_vec(&filters.to_table())).unwrap(), born);
        }
    }

    /// A message's bit map has the bits of the filters for its topic that want it, dead ones too; a filter that came
    /// meanwhile makes it worthless, and what a bit map says of a filter counts from its birth on.
    #[test]
    fn messages_are_judged() {
        let filters = ConsumerFilters::default();
        assert_eq!(filters.bit_map("T", "a\u{1}1"), None);
        for (group, expression, now_ms) in [("g", "a = 1", 100), ("h", "a = 2", 200), ("i", "a > 0", 300)] {
            filters.heartbeat(group, &[sql("T", expression, 1)], &|| now_ms);
        }
        filters.heartbeat("h", &[], &|| 400);
        assert_eq!(filters.bit_map("U", "a\u{1}1"), None);
        let may_want = |group: &str, stored_ms, properties: &str| {
            let (.., bits) = filters.find(group, "T").unwrap();
            bits.may_want(stored_ms, &filters.bit_map("T", properties).unwrap().bits)
        };
        let who =
            |stored_ms, properties: &str| ["g", "h", "i"].map(|group| may_want(group, stored_ms, properties));
        assert_eq!(who(500, "a\u{1}1"), [true, false, true]);
        assert_eq!(who(500, "a\u{1}2"), [false, true, true]);
        assert_eq!(who(500, "a\u{1}0"), [false; 3]);
        assert_eq!(who(200, "a\u{1}0"), [false, true, true]);
        let bit_map = filters.bit_map("T", "a\u{1}1").unwrap();
        filters.heartbeat("h", &[sql("T", "a = 2", 2)], &|| 600);
        assert!(filters.is_current(&bit_map), "it is the same filter");
        let before = Mutex::new(None);
        filters.heartbeat("h", &[sql("T", "a = 1", 3)], &|| {
            before.lock().unwrap().get_or_insert(filters.is_current(&bit_map));
            700
        });
        assert_eq!(before.into_inner().unwrap(), Some(false), "before the filter is born");
        assert!(!filters.is_current(&bit_map));
        assert_eq!(who(800, "a\u{1}1"), [true, true, true]);
        for number in 3..=JUDGES_MAX {
            assert!(filters.bit_map("T", "a\u{1}1").is_some(), "{number}");
            filters.heartbeat(&number.to_string(), &[sql("T", "a = 1", 1)], &|| 900);
        }
        assert_eq!(filters.bit_map("T", "a\u{1}1"), None, "one too many");
    }
}
