//! The topics of this broker: how many queues each has and what may be done with it.
//!
//! A plain table with a version, kept in `topics.json`. NameServers' tasks watch [`Topics::changes`] and ask
//! [`Topics::changed_since`]. Left out: 5.x attributes' meaning, static topics.
//! Java counterparts: `TopicConfigManager`, `TopicValidator`.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferrocket_protocol::Text;
use ferrocket_protocol::body::topic::{
    DataVersion, PERM_INHERIT, PERM_READ, PERM_WRITE, TopicConfig, TopicConfigSerializeWrapper,
};
use ferrocket_protocol::fastjson::{self, JsonError};
use ferrocket_protocol::response_code::ResponseCode;
use ferrocket_store::is_lmq;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::refusal::Refusal;
use crate::saving::{self, Changes, Kept, Unsaved};

/// Template of topics that are created by their first message.
pub(crate) const TBW102: &str = "TBW102";
/// Delayed messages wait here, one queue per level.
pub(crate) const SCHEDULE_TOPIC: &str = "SCHEDULE_TOPIC_XXXX";
/// Half messages of transactions.
pub(crate) const TRANS_HALF_TOPIC: &str = "RMQ_SYS_TRANS_HALF_TOPIC";
/// Events of consumers whose offset was moved.
pub(crate) const OFFSET_MOVED_EVENT: &str = "OFFSET_MOVED_EVENT";
/// Before the group in the topic of messages to consume again.
pub(crate) const RETRY_PREFIX: &str = "%RETRY%";
/// Before the group in the topic of dead letters.
pub(crate) const DLQ_PREFIX: &str = "%DLQ%";

const SELF_TEST_TOPIC: &str = "SELF_TEST_TOPIC";
const BENCHMARK_TOPIC: &str = "BenchmarkTest";
const TRACE_TOPIC: &str = "RMQ_SYS_TRACE_TOPIC";
/// What ended them.
pub(crate) const TRANS_OP_HALF_TOPIC: &str = "RMQ_SYS_TRANS_OP_HALF_TOPIC";
/// Those that were given up.
pub(crate) const TRANS_CHECK_MAX_TIME_TOPIC: &str = "TRANS_CHECK_MAX_TIME_TOPIC";
const SYSTEM_PREFIX: &str = "rmq_sys_";
const SYSTEM_TOPICS: [&str; 9] = [
    TBW102,
    SCHEDULE_TOPIC,
    BENCHMARK_TOPIC,
    TRANS_HALF_TOPIC,
    TRACE_TOPIC,
    TRANS_OP_HALF_TOPIC,
    TRANS_CHECK_MAX_TIME_TOPIC,
    SELF_TEST_TOPIC,
    OFFSET_MOVED_EVENT,
];
const NOT_FOR_CLIENTS: [&str; 6] = [
    SCHEDULE_TOPIC,
    TRANS_HALF_TOPIC,
    TRANS_OP_HALF_TOPIC,
    TRANS_CHECK_MAX_TIME_TOPIC,
    SELF_TEST_TOPIC,
    OFFSET_MOVED_EVENT,
];

/// Longest topic name.
const NAME_LEN_MAX: usize = ferrocket_protocol::message::TOPIC_LEN_MAX;
/// Topics of one broker; further ones are not created.
const TOPICS_MAX: usize = if cfg!(test) { 5_000 } else { 1_000_000 };
/// Queues of a topic, each way. Java has no limit; a queue is a folder on disk and a row in 202.
const QUEUES_MAX: i32 = 65_536;
/// Queues of the topic of delayed messages.
const SCHEDULE_QUEUES: i32 = 18;
/// Queues of a topic when nothing says otherwise (Java's `TopicConfig`).
const DEFAULT_QUEUES: i32 = 16;
/// Changes of single topics that are remembered; whoever is further behind takes the whole table.
const CHANGES_MAX: usize = 1024;

/// What the settings say about topics.
#[derive(Clone, Debug)]
pub(crate) struct TopicSettings {
    /// `brokerClusterName`, also a topic.
    pub(crate) cluster: String,
    /// `brokerName`, also a topic.
    pub(crate) broker: String,
    /// `defaultTopicQueueNums`: queues of [`TBW102`].
    pub(crate) default_queue_nums: i32,
    /// `autoCreateTopicEnable`: [`TBW102`] exists.
    pub(crate) auto_create: bool,
    /// `clusterTopicEnable`: the cluster's topic can be used.
    pub(crate) cluster_topic: bool,
    /// `brokerTopicEnable`: the broker's topic can be used.
    pub(crate) broker_topic: bool,
    /// `msgTraceTopicName`, if `traceTopicEnable`.
    pub(crate) trace_topic: Option<String>,
    /// `enableLmq`: topics of light queues have one queue and are not kept.
    pub(crate) light: bool,
}

/// 5.x: the attribute that names the kind of a topic's queues.
const QUEUE_TYPE: &str = "queue.type";
/// Its value for queues in `batchconsumequeue/`.
const BATCH_QUEUES: &str = "BatchCQ";

/// All topics of the broker.
#[derive(Debug)]
pub(crate) struct Topics {
    /// Looked at by every send and pull; held for one look-up or one change.
    state: Mutex<State>,
    /// Names that belong to the broker itself. Fixed at start.
    system: BTreeSet<String>,
    /// See [`TopicSettings::light`].
    light: bool,
    /// The counter of the version, for those who wait for changes.
    changes: watch::Sender<i64>,
    unsaved: Unsaved,
}

#[derive(Debug)]
struct State {
    table: HashMap<Text, Arc<TopicConfig>>,
    version: DataVersion,
    /// Counter and topic of the last changes, oldest first; the counters have no gaps.
    log: VecDeque<(i64, Change)>,
}

#[derive(Clone, Debug)]
enum Change {
    Topic(Text),
    Gone(Text),
    /// Many topics, or what goes with every registration.
    Whole,
}

impl State {
    /// The changes that led from the version with this counter to the present one; `None` if they are not
    /// remembered.
    fn changes_after(&self, counter: i64) -> Option<impl Iterator<Item = &Change>> {
        let now = self.version.counter;
        let remembered = self.log.front().is_some_and(|(first, _)| *first <= counter.wrapping_add(1));
        let known = counter == now || (remembered && counter < now);
        known.then(|| self.log.iter().filter(move |(at, _)| *at > counter).map(|(_, change)| change))
    }
}

/// Changes of topics as they are written behind one another.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ChangeLine {
    data_version: DataVersion,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    topic_config_table: BTreeMap<String, TopicConfig>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    gone: BTreeSet<String>,
}

/// What someone who knows an older version has missed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Missed {
    /// These topics were created or changed.
    Topics(Vec<Arc<TopicConfig>>),
    /// More than is remembered: the whole table is needed.
    Unknown,
}

impl Topics {
    /// The topics that every broker has.
    pub(crate) fn new(settings: &TopicSettings, now_ms: i64) -> Self {
        let all = PERM_READ | PERM_WRITE;
        let mut topics = vec![
            config(SELF_TEST_TOPIC, 1, all),
            config(BENCHMARK_TOPIC, 1024, all),
            config(
                &settings.cluster,
                DEFAULT_QUEUES,
                PERM_INHERIT | if settings.cluster_topic { all } else { 0 },
            ),
            config(&settings.broker, 1, PERM_INHERIT | if settings.broker_topic { all } else { 0 }),
            config(OFFSET_MOVED_EVENT, 1, all),
            config(SCHEDULE_TOPIC, SCHEDULE_QUEUES, all),
            config(&reply_topic(&settings.cluster), 1, all),
        ];
        if settings.auto_create {
            topics.push(config(TBW102, settings.default_queue_nums, PERM_INHERIT | all));
        }
        topics.extend(settings.trace_topic.as_ref().map(|name| config(name, 1, all)));
        let system = SYSTEM_TOPICS.into_iter().chain(topics.iter().map(|topic| &*topic.topic_name));
        Self {
            system: system.map(str::to_owned).collect(),
            light: settings.light,
            state: Mutex::new(State {
                table: topics
                    .into_iter()
                    .map(|topic| (Text::from(&*topic.topic_name), Arc::new(topic)))
                    .collect(),
                version: DataVersion::new(now_ms),
                log: VecDeque::new(),
            }),
            changes: watch::Sender::new(0),
            unsaved: Unsaved::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Changes are single inserts; a panic elsewhere leaves a usable table.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The topic of this name. Java: `selectTopicConfig`.
    pub(crate) fn get(&self, topic: &str) -> Option<Arc<TopicConfig>> {
        if self.is_light(topic) {
            return Some(Arc::new(config(topic, 1, PERM_READ | PERM_WRITE)));
        }
        self.lock().table.get(topic).cloned()
    }

    /// Whether this is a light queue's topic.
    pub(crate) fn is_light(&self, topic: &str) -> bool {
        self.light && is_lmq(topic)
    }

    /// All names.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        self.lock().table.keys().map(|name| name.to_string()).collect()
    }

    /// The whole table, for the file, slaves and NameServers.
    pub(crate) fn to_wrapper(&self) -> TopicConfigSerializeWrapper {
        let state = self.lock();
        TopicConfigSerializeWrapper {
            data_version: state.version,
            topic_config_table: state
                .table
                .iter()
                .map(|(name, topic)| (name.to_string(), TopicConfig::clone(topic)))
                .collect(),
        }
    }

    /// Wakes up with the version's counter after every change.
    pub(crate) fn changes(&self) -> watch::Receiver<i64> {
        self.changes.subscribe()
    }

    /// What changed since the version had this counter, with the version now.
    pub(crate) fn changed_since(&self, counter: i64) -> (DataVersion, Missed) {
        let state = self.lock();
        let version = state.version;
        let Some(changes) = state.changes_after(counter) else { return (version, Missed::Unknown) };
        let mut names = BTreeSet::new();
        for change in changes {
            match change {
                Change::Topic(name) => names.insert(name),
                // A NameServer learns of a topic that is gone by not hearing of it.
                Change::Gone(_) | Change::Whole => return (version, Missed::Unknown),
            };
        }
        let topics = names.into_iter().filter_map(|name| state.table.get(name).cloned()).collect();
        (version, Missed::Topics(topics))
    }

    fn changed(&self, state: &mut State, change: Change, now_ms: i64) {
        state.version.advance(now_ms);
        let counter = state.version.counter;
        state.log.push_back((counter, change));
        if state.log.len() > CHANGES_MAX {
            state.log.pop_front();
        }
        self.unsaved.set();
        self.changes.send_replace(counter);
    }

    /// Raises the version although no topic changed: `brokerPermission` did, which goes into every
    /// registration.
    pub(crate) fn touch(&self, now_ms: i64) {
        self.changed(&mut self.lock(), Change::Whole, now_ms);
    }

    /// The topic a message is for, created after `template` if need be; `None` if the template does not allow
    /// it. `auto_create` is the setting `autoCreateTopicEnable` as it is now: without it a [`TBW102`] left over
    /// in the file stops being a template. Java: `createTopicInSendMessageMethod`.
    pub(crate) fn create_in_send(
        &self,
        topic: &Text,
        template: &str,
        client_queue_nums: i32,
        topic_sys_flag: i32,
        auto_create: bool,
        now_ms: i64,
    ) -> Option<Arc<TopicConfig>> {
        let mut state = self.lock();
        if let Some(there) = state.table.get(topic) {
            return Some(there.clone());
        }
        let Some(parent) = state.table.get_mut(template) else {
            tracing::warn!(%topic, template, "cannot create the topic: its template does not exist");
            return None;
        };
        if template == TBW102 && !auto_create && parent.perm & PERM_INHERIT != 0 {
            Arc::make_mut(parent).perm = PERM_READ | PERM_WRITE;
        }
        let parent = parent.clone();
        if parent.perm & PERM_INHERIT == 0 {
            tracing::warn!(%topic, template, perm = parent.perm, "cannot create the topic: its template is not one");
            return None;
        }
        if state.table.len() >= TOPICS_MAX {
            tracing::warn!(%topic, TOPICS_MAX, "cannot create the topic: there are too many");
            return None;
        }
        let queues = client_queue_nums.min(parent.write_queue_nums).max(0);
        let created = Arc::new(TopicConfig {
            topic_filter_type: parent.topic_filter_type,
            topic_sys_flag,
            ..config(topic, queues, parent.perm & !PERM_INHERIT)
        });
        tracing::info!(%topic, template, queues, perm = created.perm, "created a topic for its first message");
        state.table.insert(topic.clone(), created.clone());
        self.changed(&mut state, Change::Topic(topic.clone()), now_ms);
        Some(created)
    }

    /// The retry or dead letter topic of a group, created if need be; `None` when there are too many topics.
    /// Java: `createTopicInSendMessageBackMethod`.
    pub(crate) fn create_in_send_back(
        &self,
        topic: &str,
        queue_nums: i32,
        perm: i32,
        topic_sys_flag: i32,
        now_ms: i64,
    ) -> Option<Arc<TopicConfig>> {
        let mut state = self.lock();
        if let Some(there) = state.table.get(topic) {
            return Some(there.clone());
        }
        if state.table.len() >= TOPICS_MAX {
            tracing::warn!(topic, TOPICS_MAX, "cannot create the topic: there are too many");
            return None;
        }
        let created = Arc::new(TopicConfig { topic_sys_flag, ..config(topic, queue_nums, perm) });
        tracing::info!(topic, queue_nums, perm, "created a topic");
        state.table.insert(topic.into(), created.clone());
        self.changed(&mut state, Change::Topic(topic.into()), now_ms);
        Some(created)
    }

    /// Creates or replaces a topic; answers the version's counter. A light one stays what it is. Java: `updateTopicConfig`.
    pub(crate) fn update(&self, topic: TopicConfig, now_ms: i64) -> Result<i64, Refusal> {
        for (what, queues) in
            [("readQueueNums", topic.read_queue_nums), ("writeQueueNums", topic.write_queue_nums)]
        {
            if !(0..=QUEUES_MAX).contains(&queues) {
                let remark = format!("{what} is {queues}, allowed are 0 to {QUEUES_MAX}");
                return Err(Refusal::system_error(remark));
            }
        }
        let mut state = self.lock();
        if self.is_light(&topic.topic_name) {
            return Ok(state.version.counter);
        }
        if state.table.len() >= TOPICS_MAX && !state.table.contains_key(&*topic.topic_name) {
            return Err(Refusal::system_error(format!(
                "the broker has {TOPICS_MAX} topics, which is its limit"
            )));
        }
        let name = Text::from(&*topic.topic_name);
        tracing::info!(topic = %name, read = topic.read_queue_nums, write = topic.write_queue_nums, perm = topic.perm, "topic set");
        state.table.insert(name.clone(), Arc::new(topic));
        self.changed(&mut state, Change::Topic(name), now_ms);
        Ok(state.version.counter)
    }

    /// Takes a topic out; false if there is none. Java: `deleteTopicConfig`.
    pub(crate) fn delete(&self, topic: &str, now_ms: i64) -> bool {
        let mut state = self.lock();
        let there = state.table.remove(topic).is_some();
        if there {
            tracing::info!(topic, "topic deleted");
            self.changed(&mut state, Change::Gone(topic.into()), now_ms);
        }
        there
    }

    /// Marks exactly these topics as ordered: the NameServer's `ORDER_TOPIC_CONFIG`. Java:
    /// `updateOrderTopicConfig`.
    pub(crate) fn update_order(&self, ordered: &BTreeMap<String, String>, now_ms: i64) {
        let mut state = self.lock();
        let mut any = false;
        for (name, topic) in &mut state.table {
            let order = ordered.contains_key(&**name);
            if topic.order != order {
                tracing::info!(topic = %name, order, "ordered topics changed");
                Arc::make_mut(topic).order = order;
                any = true;
            }
        }
        if any {
            self.changed(&mut state, Change::Whole, now_ms);
        }
    }

    /// Names that belong to the broker itself, for 305 and for the checks below.
    pub(crate) fn system_topics(&self) -> &BTreeSet<String> {
        &self.system
    }

    /// Refuses topics that belong to the broker itself.
    pub(crate) fn refuse_system(&self, topic: &str) -> Result<(), Refusal> {
        if self.system.contains(topic) || topic.starts_with(SYSTEM_PREFIX) {
            return Err(Refusal::system_error(format!("The topic[{topic}] is conflict with system topic.")));
        }
        Ok(())
    }
}

impl Kept for Topics {
    fn file(&self) -> &'static str {
        "topics.json"
    }

    /// Adds the file's topics and takes its version. Queues are plain ones here, and 5.3 does not start on a
    /// folder in which a topic has those but is said to have batch queues: a file that says so is corrected.
    fn load(&self, text: &str, _: i64) -> Result<(), JsonError> {
        let read: TopicConfigSerializeWrapper = fastjson::from_slice(text.as_bytes())?;
        let mut state = self.lock();
        for (name, mut topic) in read.topic_config_table {
            topic.topic_name = name.clone();
            if let Some(attributes) = &mut topic.attributes
                && attributes.get(QUEUE_TYPE).is_some_and(|kind| kind == BATCH_QUEUES)
            {
                tracing::warn!(topic = name, "the topic's queues become plain ones");
                attributes.remove(QUEUE_TYPE);
                self.unsaved.set();
            }
            state.table.insert(name.into(), Arc::new(topic));
        }
        state.version = read.data_version;
        state.log.clear();
        self.changes.send_replace(state.version.counter);
        Ok(())
    }

    fn text(&self) -> String {
        self.whole().1
    }

    fn unsaved(&self) -> &Unsaved {
        &self.unsaved
    }

    fn changes(&self) -> Option<&dyn Changes> {
        Some(self)
    }
}

/// The table that a Broker without topics of its own makes of these files, as it would write it.
pub(crate) fn table_of_files(table: &str, changes: &str) -> Result<String, JsonError> {
    let topics = Topics::new(
        &TopicSettings {
            cluster: String::new(),
            broker: String::new(),
            default_queue_nums: 0,
            auto_create: false,
            cluster_topic: false,
            broker_topic: false,
            trace_topic: None,
            light: false,
        },
        0,
    );
    topics.load(table, 0)?;
    saving::redo_text("topics.json.changes", changes, &topics);
    Ok(topics.text())
}

impl Changes for Topics {
    fn version(&self) -> DataVersion {
        self.lock().version
    }

    fn whole(&self) -> (DataVersion, String) {
        let wrapper = self.to_wrapper();
        (wrapper.data_version, fastjson::to_pretty(&wrapper))
    }

    fn since(&self, counter: i64) -> Option<(DataVersion, String)> {
        let state = self.lock();
        let mut line = ChangeLine { data_version: state.version, ..ChangeLine::default() };
        for change in state.changes_after(counter)? {
            let (Change::Topic(name) | Change::Gone(name)) = change else { return None };
            match state.table.get(name) {
                Some(topic) => drop(line.topic_config_table.insert(name.to_string(), (**topic).clone())),
                None => drop(line.gone.insert(name.to_string())),
            }
        }
        drop(state);
        Some((line.data_version, String::from_utf8(fastjson::to_vec(&line)).ok()?))
    }

    fn redo(&self, line: &str) -> Result<(), JsonError> {
        let line: ChangeLine = fastjson::from_slice(line.as_bytes())?;
        let mut state = self.lock();
        for (name, mut topic) in line.topic_config_table {
            topic.topic_name = name.clone();
            state.table.insert(name.into(), Arc::new(topic));
        }
        for name in line.gone {
            state.table.remove(&*name);
        }
        state.version = line.data_version;
        self.changes.send_replace(state.version.counter);
        Ok(())
    }
}

/// Refuses names that cannot be a topic's. Java: `TopicValidator.validateTopic`.
pub(crate) fn validate(topic: &str) -> Result<(), Refusal> {
    if topic.trim().is_empty() {
        return Err(Refusal::system_error("The specified topic is blank."));
    }
    if !topic.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"%|_-".contains(&byte)) {
        return Err(Refusal::system_error(
            "The specified topic contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$",
        ));
    }
    if topic.len() > NAME_LEN_MAX {
        return Err(Refusal::system_error("The specified topic is longer than topic max length."));
    }
    Ok(())
}

/// Refuses topics that clients must not send to. Java: `TopicValidator.isNotAllowedSendTopic`.
pub(crate) fn refuse_sending(topic: &str) -> Result<(), Refusal> {
    if NOT_FOR_CLIENTS.contains(&topic) {
        let remark = format!("Sending message to topic[{topic}] is forbidden.");
        return Err(Refusal::new(ResponseCode::NO_PERMISSION, remark));
    }
    Ok(())
}

/// The topic of replies stored for the requesters of a cluster.
pub(crate) fn reply_topic(cluster: &str) -> String {
    format!("{cluster}_REPLY_TOPIC")
}

/// The topic of messages that `group` is to consume again.
pub(crate) fn retry_topic(group: &str) -> String {
    format!("{RETRY_PREFIX}{group}")
}

/// The topic of messages that `group` could not consume.
pub(crate) fn dlq_topic(group: &str) -> String {
    format!("{DLQ_PREFIX}{group}")
}

fn config(name: &str, queues: i32, perm: i32) -> TopicConfig {
    TopicConfig::new(name, queues, queues, perm)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> TopicSettings {
        TopicSettings {
            cluster: "DefaultCluster".to_owned(),
            broker: "broker-a".to_owned(),
            default_queue_nums: 8,
            auto_create: true,
            cluster_topic: true,
            broker_topic: true,
            trace_topic: None,
            light: false,
        }
    }

    fn topics() -> Topics {
        Topics::new(&settings(), 1)
    }

    /// A fresh broker has Java's topics, with its queues and permissions.
    #[test]
    fn built_in_topics() {
        let topics = topics();
        let shape = |name: &str| topics.get(name).map(|topic| (topic.read_queue_nums, topic.perm));
        assert_eq!(shape("TBW102"), Some((8, 7)));
        assert_eq!(shape("DefaultCluster"), Some((16, 7)));
        assert_eq!(shape("broker-a"), Some((1, 7)));
        assert_eq!(shape("SELF_TEST_TOPIC"), Some((1, 6)));
        assert_eq!(shape("BenchmarkTest"), Some((1024, 6)));
        assert_eq!(shape("OFFSET_MOVED_EVENT"), Some((1, 6)));
        assert_eq!(shape("SCHEDULE_TOPIC_XXXX"), Some((18, 6)));
        assert_eq!(shape("DefaultCluster_REPLY_TOPIC"), Some((1, 6)));
        assert_eq!(shape("RMQ_SYS_TRANS_HALF_TOPIC"), None);
        assert_eq!(topics.names().len(), 8);
        let bare = TopicSettings {
            auto_create: false,
            cluster_topic: false,
            trace_topic: Some("trace".into()),
            ..settings()
        };
        let topics = Topics::new(&bare, 1);
        assert!(topics.get("TBW102").is_none() && topics.get("trace").is_some());
        assert_eq!(topics.get("DefaultCluster").map(|topic| topic.perm), Some(1));
        assert!(topics.refuse_system("trace").is_err());
    }

    /// Queues are the smaller of what the client and the template say; any topic with the inherit bit is a
    /// template, and an unknown one is not.
    #[test]
    fn creation_follows_the_template() {
        let topics = topics();
        let create = |name: &str, template: &str, queues| {
            topics
                .create_in_send(&name.into(), template, queues, 0, true, 2)
                .map(|topic| (topic.write_queue_nums, topic.perm))
        };
        assert_eq!(create("a", "TBW102", 4), Some((4, 6)));
        assert_eq!(create("b", "TBW102", 40), Some((8, 6)));
        assert_eq!(create("c", "TBW102", -1), Some((0, 6)));
        assert_eq!(create("d", "broker-a", 4), Some((1, 6)));
        assert_eq!(create("e", "unknown", 4), None);
        assert_eq!(create("e", "a", 4), None, "a plain topic is no template");
        assert_eq!(create("a", "unknown", 9), Some((4, 6)), "a topic that is there stays as it is");
        assert_eq!(topics.version().counter, 4);
    }

    /// One topic more than there may be is created in no way; those that are there can change and make room.
    #[test]
    fn topics_have_a_limit() {
        let topics = topics();
        for number in topics.names().len()..TOPICS_MAX {
            topics.update(config(&format!("t{number}"), 1, 6), 1).unwrap();
        }
        let refused = topics.update(config("one", 1, 6), 2).unwrap_err();
        assert_eq!(refused.code, ResponseCode::SYSTEM_ERROR);
        assert!(topics.create_in_send(&"one".into(), "TBW102", 4, 0, true, 2).is_none());
        assert!(topics.create_in_send_back("one", 1, 6, 0, 2).is_none());
        assert_eq!(topics.names().len(), TOPICS_MAX);
        assert!(topics.update(config("t77", 2, 6), 3).is_ok() && topics.delete("t78", 3));
        assert!(topics.create_in_send(&"one".into(), "TBW102", 4, 0, true, 4).is_some());
    }

    /// With autoCreateTopicEnable=false a TBW102 left in the file loses the inherit bit at its first use.
    #[test]
    fn a_leftover_template_is_disarmed() {
        let topics = topics();
        assert!(topics.create_in_send(&"a".into(), "TBW102", 4, 0, false, 2).is_none());
        assert_eq!(topics.get("TBW102").map(|topic| topic.perm), Some(6));
        assert!(topics.create_in_send(&"a".into(), "broker-a", 4, 0, false, 2).is_some());
    }

    /// Whoever knows a recent version gets single topics, everyone else the whole table.
    #[test]
    fn changes_are_remembered() {
        let topics = topics();
        let mut changes = topics.changes();
        let start = topics.version().counter;
        topics.create_in_send_back("%RETRY%g", 1, 6, 0, 5).unwrap();
        topics.update(config("t", 4, 6), 6).unwrap();
        assert_eq!(topics.update(config("t", 5, 6), 7), Ok(3));
        assert!(changes.has_changed().unwrap());
        assert_eq!(*changes.borrow_and_update(), 3);
        let missed = |counter| match topics.changed_since(counter).1 {
            Missed::Topics(topics) => Some(topics.iter().map(|t| t.topic_name.clone()).collect::<Vec<_>>()),
            Missed::Unknown => None,
        };
        assert_eq!(missed(start), Some(vec!["%RETRY%g".to_owned(), "t".to_owned()]));
        assert_eq!(missed(2), Some(vec!["t".to_owned()]));
        assert_eq!(missed(3), Some(vec![]));
        assert_eq!((missed(-1), missed(4)), (None, None));
        assert!(topics.delete("t", 8) && !topics.delete("t", 8));
        assert_eq!(missed(3), None, "a deletion cannot be told by single topics");
        assert_eq!(missed(4), Some(vec![]));
        let mut last = 0;
        for at in 0..2 * CHANGES_MAX {
            last = topics.update(config("u", 1, 6), at as i64).unwrap();
        }
        assert_eq!((missed(4), missed(last - 1).map(|names| names.len())), (None, Some(1)));
    }

    /// A saved table is taken over with its version, and Java's own file is read.
    #[test]
    fn file_round_trip() {
        let first = topics();
        first.update(config("mine", 3, 6), 99).unwrap();
        let second = topics();
        second.load(&first.text(), 0).unwrap();
        assert_eq!(second.version(), first.version());
        assert_eq!(second.get("mine"), first.get("mine"));
        let java = "{\n\t\"dataVersion\":{\n\t\t\"counter\":7,\n\t\t\"timestamp\":1700000000000\n\t},\n\t\"topicConfigTable\":{\n\t\t\"old\":{\n\t\t\t\"order\":false,\n\t\t\t\"perm\":6,\n\t\t\t\"readQueueNums\":4,\n\t\t\t\"topicFilterType\":\"SINGLE_TAG\",\n\t\t\t\"topicName\":\"old\",\n\t\t\t\"topicSysFlag\":0,\n\t\t\t\"writeQueueNums\":5\n\t\t}\n\t}\n}";
        second.load(java, 0).unwrap();
        assert_eq!(
            second.get("old").map(|topic| (topic.read_queue_nums, topic.write_queue_nums)),
            Some((4, 5))
        );
        assert_eq!((second.version().counter, second.get("mine").is_some()), (7, true));
    }

    /// Names are checked with Java's words.
    #[test]
    fn names() {
        let remark = |topic: &str| validate(topic).err().map(|refusal| refusal.remark);
        assert_eq!(remark("%RETRY%a-b_c|1"), None);
        assert_eq!(remark("  ").as_deref(), Some("The specified topic is blank."));
        assert_eq!(
            remark("a b").as_deref(),
            Some("The specified topic contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$")
        );
        assert_eq!(remark(&"a".repeat(127)), None);
        assert_eq!(
            remark(&"a".repeat(128)).as_deref(),
            Some("The specified topic is longer than topic max length.")
        );
        let topics = topics();
        for system in ["TBW102", "DefaultCluster", "broker-a", "DefaultCluster_REPLY_TOPIC", "rmq_sys_x"] {
            assert_eq!(
                topics.refuse_system(system).unwrap_err().remark,
                format!("The topic[{system}] is conflict with system topic.")
            );
        }
        assert!(topics.refuse_system("mine").is_ok());
        assert_eq!(refuse_sending(SCHEDULE_TOPIC).unwrap_err().code, ResponseCode::NO_PERMISSION);
        assert!(refuse_sending("TBW102").is_ok());
    }

    /// Topics of light queues are always there, are not kept and stay as they are.
    #[test]
    fn light_topics() {
        let topics = Topics::new(&TopicSettings { light: true, ..settings() }, 1);
        let before = topics.names();
        topics.update(config("%LMQ%a", 8, PERM_READ), 2).unwrap();
        let light = topics.get("%LMQ%a").unwrap();
        assert_eq!((light.read_queue_nums, light.write_queue_nums, light.perm), (1, 1, 6));
        assert_eq!((topics.names(), topics.version().counter), (before, 0));
    }

    /// The NameServer's table of ordered topics is taken over in both directions.
    #[test]
    fn ordered_topics() {
        let topics = topics();
        topics.update(config("t", 4, 6), 2).unwrap();
        let ordered = BTreeMap::from([("t".to_owned(), "broker-a:4".to_owned())]);
        topics.update_order(&ordered, 3);
        assert_eq!((topics.get("t").map(|topic| topic.order), topics.version().counter), (Some(true), 2));
        topics.update_order(&ordered, 4);
        assert_eq!(topics.version().counter, 2, "nothing changed");
        topics.update_order(&BTreeMap::new(), 5);
        assert_eq!(topics.get("t").map(|topic| topic.order), Some(false));
    }
}
