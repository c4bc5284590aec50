//! How far each consumer group has come in each queue: `topic@group`, queue id, next offset.
//!
//! A plain table, kept in `consumerOffset.json`. The handlers commit and query. With `enableLmq` a group whose
//! name begins with `%LMQ%` has one offset for each topic, and the file is `lmqConsumerOffset.json`, as in Java,
//! but while there is none the other one is read. Left out: the history file. Java counterparts:
//! `ConsumerOffsetManager`, `LmqConsumerOffsetManager`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ferrocket_protocol::body::offset::ConsumerOffsetTable;
use ferrocket_protocol::fastjson::{self, JsonError};
use ferrocket_protocol::message::TOPIC_V2_LEN_MAX;
use ferrocket_store::is_lmq;

use crate::groups::GROUP_LEN_MAX;
use crate::saving::{Kept, Unsaved};

/// What [`ConsumerOffsets::query`] answers when nothing is stored. A client may store it, too.
pub(crate) const NO_OFFSET: i64 = -1;
/// `topic@group` pairs; commits of further ones are refused.
const PAIRS_MAX: usize = if cfg!(test) { 1_000 } else { 1_000_000 };
/// Queues of one pair; commits of further ones are refused.
const QUEUES_MAX: usize = 65_536;

/// The offsets of all consumer groups.
#[derive(Debug, Default)]
pub(crate) struct ConsumerOffsets {
    /// By `topic@group`, then queue id. Held for one look-up, and while the whole is copied for the file.
    table: Mutex<HashMap<String, BTreeMap<i32, i64>>>,
    /// With `enableLmq`: the offsets of light groups, by `topic@group`. Never locked together with `table`.
    light: Option<Mutex<HashMap<String, i64>>>,
    unsaved: Unsaved,
}

impl ConsumerOffsets {
    /// The same with `enableLmq`, or without.
    pub(crate) fn with_light(self, enabled: bool) -> Self {
        Self { light: enabled.then(Mutex::default), ..self }
    }

    /// The offsets that a group of this name has its own among, if it is a light one.
    fn light(&self, group: &str) -> Option<MutexGuard<'_, HashMap<String, i64>>> {
        let light = self.light.as_ref().filter(|_| is_lmq(group))?;
        Some(light.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The table as it is now, for the file and for slaves.
    pub(crate) fn to_table(&self) -> ConsumerOffsetTable {
        let light = self.light.as_ref().map(|light| light.lock().unwrap_or_else(PoisonError::into_inner));
        let lmq_offset_table =
            light.map(|light| light.iter().map(|(pair, offset)| (pair.clone(), *offset)).collect());
        ConsumerOffsetTable {
            lmq_offset_table,
            offset_table: self.lock().iter().map(|(pair, queues)| (pair.clone(), queues.clone())).collect(),
            ..ConsumerOffsetTable::default()
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, BTreeMap<i32, i64>>> {
        // Every entry is whole at any moment, so a panic elsewhere leaves a usable table.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores the offset from which `group` will read on. A smaller one replaces a larger one: resets rely on
    /// it. Neither topic nor group needs to exist. False when the table is full, or when their names are longer than
    /// names can be.
    pub(crate) fn commit(&self, group: &str, topic: &str, queue_id: i32, offset: i64) -> bool {
        if topic.len() > TOPIC_V2_LEN_MAX || group.len() > GROUP_LEN_MAX {
            return false;
        }
        let pair = pair(topic, group);
        if let Some(mut light) = self.light(group) {
            let room = light.len() < PAIRS_MAX || light.contains_key(&pair);
            if room && light.insert(pair, offset) != Some(offset) {
                self.unsaved.set();
            }
            return room;
        }
        let mut table = self.lock();
        let full = table.len() >= PAIRS_MAX;
        let queues = match table.get_mut(&pair) {
            Some(queues) => queues,
            None if full => return false,
            None => table.entry(pair.clone()).or_default(),
        };
        if queues.len() >= QUEUES_MAX && !queues.contains_key(&queue_id) {
            return false;
        }
        let old = queues.insert(queue_id, offset);
        drop(table);
        if old != Some(offset) {
            self.unsaved.set();
        }
        if let Some(old) = old.filter(|old| offset < *old) {
            tracing::warn!(pair, queue_id, old, offset, "a consumer offset went back");
        }
        true
    }

    /// The stored offset, [`NO_OFFSET`] if there is none.
    pub(crate) fn query(&self, group: &str, topic: &str, queue_id: i32) -> i64 {
        if let Some(light) = self.light(group) {
            return light.get(&pair(topic, group)).copied().unwrap_or(NO_OFFSET);
        }
        self.lock()
            .get(&pair(topic, group))
            .and_then(|queues| queues.get(&queue_id))
            .copied()
            .unwrap_or(NO_OFFSET)
    }

    /// All queues of one topic and group.
    pub(crate) fn queues(&self, group: &str, topic: &str) -> BTreeMap<i32, i64> {
        if let Some(light) = self.light(group) {
            return light.get(&pair(topic, group)).map(|offset| (0, *offset)).into_iter().collect();
        }
        self.lock().get(&pair(topic, group)).cloned().unwrap_or_default()
    }

    /// The topics of which `group` has offsets.
    pub(crate) fn topics_of(&self, group: &str) -> BTreeSet<String> {
        let of_group = |pair: &String| {
            let (topic, of) = split(pair)?;
            (of == group).then(|| topic.to_owned())
        };
        match self.light(group) {
            Some(light) => light.keys().filter_map(of_group).collect(),
            None => self.lock().keys().filter_map(of_group).collect(),
        }
    }

    /// The groups that have offsets of `topic`.
    pub(crate) fn groups_of(&self, topic: &str) -> BTreeSet<String> {
        let table = self.lock();
        table
            .keys()
            .filter_map(|pair| split(pair))
            .filter(|(of, _)| *of == topic)
            .map(|(_, group)| group.to_owned())
            .collect()
    }

    /// Gives `to` the offsets that `from` has of `topic`, and no others; nothing happens if it has none. False as
    /// with [`Self::commit`].
    pub(crate) fn clone_group(&self, from: &str, to: &str, topic: &str) -> bool {
        let queues = self.queues(from, topic);
        if !queues.is_empty()
            && let Some(known) = self.lock().get_mut(&pair(topic, to))
        {
            known.retain(|queue_id, _| queues.contains_key(queue_id));
            self.unsaved.set();
        }
        queues.into_iter().all(|(queue_id, offset)| self.commit(to, topic, queue_id, offset))
    }

    /// Forgets all offsets of a group.
    pub(crate) fn remove_group(&self, group: &str) {
        let stays = |pair: &String| split(pair).is_none_or(|(_, of)| of != group);
        match self.light(group) {
            Some(mut light) => light.retain(|pair, _| stays(pair)),
            None => self.lock().retain(|pair, _| stays(pair)),
        }
        self.unsaved.set();
    }

    /// The smallest offset per queue of `topic` over all groups but the left-out ones, of those offsets that
    /// are still in the queue.
    pub(crate) fn min_of_all_groups(
        &self,
        topic: &str,
        left_out: &[&str],
        min_offset: impl Fn(i32) -> i64,
    ) -> BTreeMap<i32, i64> {
        let mut smallest = BTreeMap::new();
        for (pair, queues) in self.lock().iter() {
            let Some((of, group)) = split(pair) else { continue };
            if of != topic || left_out.contains(&group) {
                continue;
            }
            for (queue_id, offset) in queues {
                if *offset >= min_offset(*queue_id) {
                    let least = smallest.entry(*queue_id).or_insert(*offset);
                    *least = (*least).min(*offset);
                }
            }
        }
        smallest
    }
}

impl Kept for ConsumerOffsets {
    fn file(&self) -> &'static str {
        if self.light.is_some() { "lmqConsumerOffset.json" } else { "consumerOffset.json" }
    }

    fn former_file(&self) -> Option<&'static str> {
        self.light.is_some().then_some("consumerOffset.json")
    }

    /// Takes over the file's text. Java's unquoted queue ids are read as well as quoted ones.
    fn load(&self, text: &str, _: i64) -> Result<(), JsonError> {
        let read: ConsumerOffsetTable = fastjson::from_slice(text.as_bytes())?;
        *self.lock() = read.offset_table.into_iter().collect();
        if let Some(light) = &self.light {
            *light.lock().unwrap_or_else(PoisonError::into_inner) =
                read.lmq_offset_table.unwrap_or_default().into_iter().collect();
        }
        Ok(())
    }

    fn text(&self) -> String {
        fastjson::to_pretty(&self.to_table())
    }

    fn unsaved(&self) -> &Unsaved {
        &self.unsaved
    }
}

fn pair(topic: &str, group: &str) -> String {
    let mut pair = String::with_capacity(topic.len() + 1 + group.len());
    pair.push_str(topic);
    pair.push('@');
    pair.push_str(group);
    pair
}

/// Topic and group of a pair; Java leaves out pairs in which `@` stands more than once.
fn split(pair: &str) -> Option<(&str, &str)> {
    pair.split_once('@').filter(|(_, group)| !group.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A smaller offset replaces a larger one, also the −1 of old clients, after which nothing counts as stored.
    #[test]
    fn commits_overwrite() {
        let offsets = ConsumerOffsets::default();
        assert_eq!(offsets.query("g", "t", 0), NO_OFFSET);
        assert!(!offsets.unsaved.take());
        for offset in [7, 3, 9, -1] {
            assert!(offsets.commit("g", "t", 0, offset));
            assert_eq!(offsets.query("g", "t", 0), offset);
        }
        assert!(offsets.unsaved.take());
        assert!(!offsets.unsaved.take());
        offsets.commit("g", "t", 0, -1);
        assert!(!offsets.unsaved.take(), "the same offset again is no change");
        assert!(!offsets.commit(&"g".repeat(GROUP_LEN_MAX + 1), "t", 0, 1));
        assert!(!offsets.commit("g", &"t".repeat(TOPIC_V2_LEN_MAX + 1), 0, 1));
    }

    /// One queue more than a pair may have, and one pair more than there may be, are not stored; what is there can
    /// change.
    #[test]
    fn offsets_have_a_limit() {
        let offsets = ConsumerOffsets::default().with_light(true);
        let queues = QUEUES_MAX as i32;
        for queue_id in 0..queues {
            assert!(offsets.commit("g", "t", queue_id, 1));
        }
        assert!(!offsets.commit("g", "t", queues, 1) && offsets.commit("g", "t", 7, 2));
        for group in ["g", "%LMQ%g"] {
            for number in 0..PAIRS_MAX {
                offsets.commit(group, &format!("t{number}"), 0, 1);
            }
            assert!(!offsets.commit(group, "one", 0, 1) && offsets.commit(group, "t77", 0, 2));
            assert_eq!((offsets.query(group, "one", 0), offsets.query(group, "t77", 0)), (NO_OFFSET, 2));
        }
    }

    /// The file has Java's shape, and Java's own text with unquoted queue ids is read.
    #[test]
    fn file_round_trip() {
        let offsets = ConsumerOffsets::default();
        offsets
            .load("{\n\t\"offsetTable\":{\n\t\t\"t@g\":{0:5,1:6\n\t\t},\"%RETRY%g@g\":{0:1}\n\t}\n}", 0)
            .unwrap();
        assert_eq!((offsets.query("g", "t", 1), offsets.query("g", "%RETRY%g", 0)), (6, 1));
        let again = ConsumerOffsets::default();
        again.load(&offsets.text(), 0).unwrap();
        assert_eq!(again.queues("g", "t"), BTreeMap::from([(0, 5), (1, 6)]));
        assert!(offsets.load("{", 0).is_err());
        assert_eq!(offsets.query("g", "t", 1), 6, "a broken text changes nothing");
    }

    /// Light groups have one offset for each topic, in Java's file; a file without them is read, too.
    #[test]
    fn light_groups() {
        let offsets = ConsumerOffsets::default().with_light(true);
        offsets.load("{\"offsetTable\":{\"t@g\":{0:5}}}", 0).unwrap();
        assert!(offsets.commit("%LMQ%g", "%LMQ%a", 3, 7) && offsets.commit("g", "%LMQ%a", 0, 8));
        assert_eq!((offsets.query("%LMQ%g", "%LMQ%a", 0), offsets.query("g", "t", 0)), (7, 5));
        assert_eq!(offsets.queues("%LMQ%g", "%LMQ%a"), BTreeMap::from([(0, 7)]));
        assert_eq!(offsets.topics_of("%LMQ%g"), BTreeSet::from(["%LMQ%a".to_owned()]));
        let java =
            "{\"lmqOffsetTable\":{\"%LMQ%a@%LMQ%g\":7},\"offsetTable\":{\"t@g\":{0:5},\"%LMQ%a@g\":{0:8}}}";
        let again = ConsumerOffsets::default().with_light(true);
        again.load(java, 0).unwrap();
        assert_eq!(again.to_table(), offsets.to_table());
        assert!(offsets.text().contains("\"lmqOffsetTable\""));
        offsets.remove_group("%LMQ%g");
        assert_eq!(offsets.query("%LMQ%g", "%LMQ%a", 0), NO_OFFSET);
        let off = ConsumerOffsets::default();
        off.commit("%LMQ%g", "%LMQ%a", 3, 7);
        assert_eq!(off.queues("%LMQ%g", "%LMQ%a"), BTreeMap::from([(3, 7)]));
    }

    /// Groups and topics find each other; cloning and removing touch one group only.
    #[test]
    fn groups() {
        let offsets = ConsumerOffsets::default();
        offsets.commit("g1", "t", 0, 10);
        offsets.commit("g1", "u", 0, 1);
        offsets.commit("g2", "t", 0, 4);
        offsets.commit("g2", "t", 1, 8);
        assert_eq!(offsets.topics_of("g1"), BTreeSet::from(["t".to_owned(), "u".to_owned()]));
        assert_eq!(offsets.groups_of("t"), BTreeSet::from(["g1".to_owned(), "g2".to_owned()]));
        assert_eq!(offsets.min_of_all_groups("t", &[], |_| 0), BTreeMap::from([(0, 4), (1, 8)]));
        assert_eq!(offsets.min_of_all_groups("t", &["g2"], |_| 0), BTreeMap::from([(0, 10)]));
        assert_eq!(offsets.min_of_all_groups("t", &[], |_| 5), BTreeMap::from([(0, 10), (1, 8)]));
        offsets.commit("g3", "t", 2, 1);
        assert!(offsets.clone_group("g2", "g3", "t") && offsets.clone_group("g2", "g3", "unknown"));
        assert_eq!(offsets.queues("g3", "t"), BTreeMap::from([(0, 4), (1, 8)]));
        assert!(!offsets.clone_group("g2", &"g".repeat(GROUP_LEN_MAX + 1), "t"));
        offsets.remove_group("g2");
        assert_eq!(offsets.query("g2", "t", 0), NO_OFFSET);
        assert_eq!(offsets.query("g3", "t", 0), 4);
    }
}
