//! The settings of consumer groups: may they consume, how often is a message tried again.
//!
//! A plain table with a version, kept in `subscriptionGroup.json`. Java counterpart:
//! `SubscriptionGroupManager`.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferrocket_protocol::Text;
use ferrocket_protocol::body::group::{SubscriptionGroupConfig, SubscriptionGroupWrapper};
use ferrocket_protocol::body::topic::DataVersion;
use ferrocket_protocol::fastjson::{self, JsonError};

use ferrocket_store::is_lmq;

use crate::refusal::Refusal;
use crate::saving::{Kept, Unsaved};

/// Groups of one broker; further ones are not created.
const GROUPS_MAX: usize = if cfg!(test) { 1_000 } else { 1_000_000 };
/// Most bytes of a group's name. Java: `CHARACTER_MAX_LENGTH` of the client's `Validators`.
pub(crate) const GROUP_LEN_MAX: usize = 255;
/// Before the names of the system's own groups, which are created even when clients' groups are not.
const SYSTEM_PREFIX: &str = "CID_RMQ_SYS_";
const BUILT_IN: [&str; 7] = [
    "TOOLS_CONSUMER",
    "FILTERSRV_CONSUMER",
    "SELF_TEST_C_GROUP",
    "CID_ONS-HTTP-PROXY",
    "CID_ONSAPI_PULL",
    "CID_ONSAPI_PERMISSION",
    "CID_ONSAPI_OWNER",
];

/// The settings of all consumer groups.
#[derive(Debug)]
pub(crate) struct SubscriptionGroups {
    /// Looked at by every pull; held for one look-up or one change.
    state: Mutex<State>,
    /// `enableLmq`: groups of light queues have the defaults and are not kept.
    light: bool,
    unsaved: Unsaved,
}

#[derive(Debug)]
struct State {
    table: HashMap<Text, Arc<SubscriptionGroupConfig>>,
    version: DataVersion,
}

impl SubscriptionGroups {
    /// The groups that every broker has.
    pub(crate) fn new(now_ms: i64) -> Self {
        let table = BUILT_IN
            .into_iter()
            .map(|name| (Text::from_static(name), Arc::new(SubscriptionGroupConfig::new(name))))
            .collect();
        let version = DataVersion::new(now_ms);
        Self { state: Mutex::new(State { table, version }), light: false, unsaved: Unsaved::default() }
    }

    /// The same with `enableLmq`, or without.
    pub(crate) fn with_light(self, light: bool) -> Self {
        Self { light, ..self }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Changes are single inserts; a panic elsewhere leaves a usable table.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The whole table, for the file and for slaves.
    pub(crate) fn to_wrapper(&self) -> SubscriptionGroupWrapper {
        let state = self.lock();
        SubscriptionGroupWrapper {
            data_version: state.version,
            subscription_group_table: state
                .table
                .iter()
                .map(|(name, group)| (name.to_string(), SubscriptionGroupConfig::clone(group)))
                .collect(),
            ..SubscriptionGroupWrapper::default()
        }
    }

    fn changed(&self, state: &mut State, now_ms: i64) {
        state.version.advance(now_ms);
        self.unsaved.set();
    }

    /// All names.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        self.lock().table.keys().map(|name| name.to_string()).collect()
    }

    /// The settings of a group. An unknown one is created if `auto_create` (the setting
    /// `autoCreateSubscriptionGroup`) or if it is one of the system's. Java: `findSubscriptionGroupConfig`.
    pub(crate) fn find(
        &self,
        group: &str,
        auto_create: bool,
        now_ms: i64,
    ) -> Option<Arc<SubscriptionGroupConfig>> {
        if self.light && is_lmq(group) {
            return Some(Arc::new(SubscriptionGroupConfig::new(group)));
        }
        let mut state = self.lock();
        if let Some(there) = state.table.get(group) {
            return Some(there.clone());
        }
        if !auto_create && !group.starts_with(SYSTEM_PREFIX) {
            return None;
        }
        if group.len() > GROUP_LEN_MAX {
            tracing::warn!(len = group.len(), GROUP_LEN_MAX, "the name of a consumer group is too long");
            return None;
        }
        if state.table.len() >= GROUPS_MAX {
            tracing::warn!(group, GROUPS_MAX, "cannot create the consumer group: there are too many");
            return None;
        }
        tracing::info!(group, "created a consumer group");
        let created = Arc::new(SubscriptionGroupConfig::new(group));
        state.table.insert(group.into(), created.clone());
        self.changed(&mut state, now_ms);
        Some(created)
    }

    /// Creates or replaces a group's settings; those of a light group stay what they are. Java: `updateSubscriptionGroupConfig`.
    pub(crate) fn update(&self, group: SubscriptionGroupConfig, now_ms: i64) -> Result<(), Refusal> {
        if group.group_name.len() > GROUP_LEN_MAX {
            let len = group.group_name.len();
            return Err(Refusal::system_error(format!(
                "the group's name has {len} bytes, allowed are {GROUP_LEN_MAX}"
            )));
        }
        if self.light && is_lmq(&group.group_name) {
            return Ok(());
        }
        let mut state = self.lock();
        if state.table.len() >= GROUPS_MAX && !state.table.contains_key(&*group.group_name) {
            return Err(Refusal::system_error(format!(
                "the broker has {GROUPS_MAX} groups, which is its limit"
            )));
        }
        tracing::info!(group = %group.group_name, "consumer group set");
        state.table.insert(Text::from(&*group.group_name), Arc::new(group));
        self.changed(&mut state, now_ms);
        Ok(())
    }

    /// Forbids a group to consume; false if it may not anyway. Java: `disableConsume`.
    pub(crate) fn disable(&self, group: &str, now_ms: i64) -> bool {
        let mut state = self.lock();
        let Some(there) = state.table.get_mut(group).filter(|there| there.consume_enable) else {
            return false;
        };
        Arc::make_mut(there).consume_enable = false;
        self.changed(&mut state, now_ms);
        true
    }

    /// Takes a group out; false if there is none. Java: `deleteSubscriptionGroupConfig`.
    pub(crate) fn delete(&self, group: &str, now_ms: i64) -> bool {
        let mut state = self.lock();
        let there = state.table.remove(group).is_some();
        if there {
            tracing::info!(group, "consumer group deleted");
            self.changed(&mut state, now_ms);
        }
        there
    }
}

impl Kept for SubscriptionGroups {
    fn file(&self) -> &'static str {
        "subscriptionGroup.json"
    }

    /// Adds the file's groups and takes its version.
    fn load(&self, text: &str, _: i64) -> Result<(), JsonError> {
        let read: SubscriptionGroupWrapper = fastjson::from_slice(text.as_bytes())?;
        let mut state = self.lock();
        for (name, mut group) in read.subscription_group_table {
            group.group_name = name.clone();
            state.table.insert(name.into(), Arc::new(group));
        }
        state.version = read.data_version;
        Ok(())
    }

    fn text(&self) -> String {
        fastjson::to_pretty(&self.to_wrapper())
    }

    fn unsaved(&self) -> &Unsaved {
        &self.unsaved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups of light queues need not exist and are not kept.
    #[test]
    fn light_groups() {
        let groups = SubscriptionGroups::new(1).with_light(true);
        assert!(groups.find("%LMQ%g", false, 2).unwrap().consume_enable);
        let off = SubscriptionGroupConfig { consume_enable: false, ..SubscriptionGroupConfig::new("%LMQ%g") };
        groups.update(off.clone(), 2).unwrap();
        assert!(groups.find("%LMQ%g", true, 2).unwrap().consume_enable);
        assert!(!groups.names().contains("%LMQ%g"));
        let groups = SubscriptionGroups::new(1);
        assert!(groups.find("%LMQ%g", false, 2).is_none());
        groups.update(off, 2).unwrap();
        assert!(!groups.find("%LMQ%g", true, 2).unwrap().consume_enable);
    }

    /// Java's seven groups are there at start, with Java's defaults.
    #[test]
    fn built_in_groups() {
        let groups = SubscriptionGroups::new(1);
        assert_eq!(groups.names().len(), 7);
        let tools = groups.find("TOOLS_CONSUMER", false, 2).unwrap();
        assert_eq!((tools.consume_enable, tools.retry_max_times, tools.retry_queue_nums), (true, 16, 1));
        assert_eq!((tools.broker_id, tools.which_broker_when_consume_slowly), (0, 1));
        assert!(tools.notify_consumer_ids_changed_enable && tools.consume_broadcast_enable);
    }

    /// Unknown groups are created if that is allowed, the system's own always.
    #[test]
    fn creation() {
        let groups = SubscriptionGroups::new(1);
        assert!(groups.find("g", false, 2).is_none());
        let long = "g".repeat(GROUP_LEN_MAX + 1);
        assert!(groups.find(&long, true, 2).is_none());
        assert!(groups.update(SubscriptionGroupConfig::new(long), 2).is_err());
        assert!(groups.find("CID_RMQ_SYS_TRANS", false, 2).is_some());
        assert!(groups.find("g", true, 3).is_some());
        assert!(groups.find("g", false, 4).is_some());
        assert!(groups.unsaved.take() && !groups.unsaved.take());
    }

    /// One group more than there may be is created in no way; those that are there can change and make room.
    #[test]
    fn groups_have_a_limit() {
        let groups = SubscriptionGroups::new(1);
        for number in groups.names().len()..GROUPS_MAX {
            groups.update(SubscriptionGroupConfig::new(format!("g{number}")), 1).unwrap();
        }
        assert!(groups.find("one", true, 2).is_none());
        assert!(groups.update(SubscriptionGroupConfig::new("one"), 2).is_err());
        assert_eq!(groups.names().len(), GROUPS_MAX);
        assert!(groups.update(SubscriptionGroupConfig::new("g77"), 3).is_ok());
        groups.delete("g78", 3);
        assert!(groups.find("one", true, 4).is_some());
    }

    /// Settings survive the file; deleting an unknown group changes nothing.
    #[test]
    fn file_round_trip() {
        let first = SubscriptionGroups::new(1);
        first
            .update(SubscriptionGroupConfig { retry_max_times: 3, ..SubscriptionGroupConfig::new("g") }, 5)
            .unwrap();
        let second = SubscriptionGroups::new(2);
        second.load(&first.text(), 0).unwrap();
        assert_eq!(second.find("g", false, 3).map(|group| group.retry_max_times), Some(3));
        assert_eq!(second.to_wrapper().data_version.counter, 1);
        assert!(!second.delete("unknown", 6));
        assert!(second.delete("g", 6));
        assert_eq!(second.to_wrapper().data_version.counter, 2);
        assert!(second.load("[", 0).is_err());
    }
}
