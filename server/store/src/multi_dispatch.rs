//! Messages that stand in several queues: those that `INNER_MULTI_DISPATCH` names, beside their own.
//!
//! The message is stored once, under its own topic. Its places in the other queues are assigned together with
//! its own and written into it, in the order of the names, so that recovery finds them:
//!
//! ```text
//! INNER_MULTI_DISPATCH      %LMQ%a,%LMQ%b,T        by the sender
//! INNER_MULTI_QUEUE_OFFSET  17,0,42                by the store; last among the properties
//! ```
//!
//! A light queue (LMQ) is a queue whose topic begins with `%LMQ%`: it has the number 0 and no settings. A name
//! without the prefix, or every name without `enableLmq`, is an ordinary topic; the queue in it has the
//! message's number. Unlike Java, delayed and half messages are listed when they are delivered, not also before;
//! offsets that a sender made up are taken out; a name that cannot be a folder is refused. Java counterpart:
//! `MultiDispatch`.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ferrocket_protocol::MessageRecord;
use ferrocket_protocol::message::PROPERTIES_LEN_MAX;
use ferrocket_protocol::properties::{NAME_VALUE_SEPARATOR, PROPERTY_SEPARATOR, Properties, get, names};

use crate::config::StoreConfig;
use crate::consume_queue::ConsumeQueue;
use crate::error::AppendError;
use crate::queues::{Queues, is_folder_name};
use crate::record::{self, SCHEDULE_TOPIC};

/// Before the topics of light queues.
const LMQ_PREFIX: &str = "%LMQ%";
/// Between two names, and two offsets.
const SPLITTER: char = ',';
/// Where messages wait that are not to be seen yet, or not at all.
const WAITING_TOPICS: [&str; 3] = [SCHEDULE_TOPIC, "RMQ_SYS_TRANS_HALF_TOPIC", "TRANS_CHECK_MAX_TIME_TOPIC"];
/// Queues that one message may name. Java sets no limit but that of the properties.
pub(crate) const LISTED_MAX: usize = 1_024;
/// Bytes of a queue's name: what a folder's name may have.
const NAME_LEN_MAX: usize = 255;
/// Bytes of an offset and what separates it.
const OFFSET_LEN_MAX: usize = 20;

/// Whether this is a light queue's topic, or a group that reads such.
pub fn is_lmq(name: &str) -> bool {
    name.starts_with(LMQ_PREFIX)
}

/// The names of a list, as Java's `split` finds them: empty ones at the end do not count.
pub(crate) fn listed(names: &str) -> impl Iterator<Item = &str> {
    names.trim_end_matches(SPLITTER).split(SPLITTER)
}

/// Which queues a message is listed in beside its own.
#[derive(Default)]
pub(crate) struct Listed {
    /// Each once.
    queues: Vec<Arc<ConsumeQueue>>,
    /// What must come between the properties and one more.
    separator: &'static str,
    /// For each name of the list its queue in `queues`; `None` is the message's own.
    names: Vec<Option<usize>>,
}

impl Listed {
    /// Whether it is listed nowhere else.
    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Bytes that the offsets add to the message at most.
    pub(crate) fn len_max(&self) -> usize {
        if self.is_empty() {
            0
        } else {
            names::INNER_MULTI_QUEUE_OFFSET.len() + 2 + self.names.len() * OFFSET_LEN_MAX
        }
    }

    /// Takes the next place in each queue; to be called under the lock of the log's tail.
    pub(crate) fn take_places(&self) -> Vec<i64> {
        self.queues.iter().map(|queue| queue.next.fetch_add(1, Ordering::Relaxed)).collect()
    }

    /// The queues with the places taken in them.
    pub(crate) fn with<'a>(
        &'a self,
        places: &'a [i64],
    ) -> impl Iterator<Item = (&'a Arc<ConsumeQueue>, i64)> {
        self.queues.iter().zip(places.iter().copied())
    }

    /// The property that tells the places, as it is put behind the others. 5.x ends each property with the
    /// separator, 4.9 all but the last: between them there is one either way.
    pub(crate) fn property(&self, own: i64, places: &[i64]) -> String {
        let place =
            |name: &Option<usize>| name.and_then(|at| places.get(at)).copied().unwrap_or(own).to_string();
        let offsets = self.names.iter().map(place).collect::<Vec<_>>().join(",");
        let name = names::INNER_MULTI_QUEUE_OFFSET;
        format!("{}{name}{NAME_VALUE_SEPARATOR}{offsets}", self.separator)
    }
}

/// Takes offsets out that a sender made up, whatever the settings: they may change, and recovery believes what a
/// record says of its places.
pub(crate) fn prepare(record: &mut MessageRecord) {
    if record.properties.contains(names::INNER_MULTI_QUEUE_OFFSET) {
        let mut properties = Properties::parse(&record.properties);
        properties.remove(names::INNER_MULTI_QUEUE_OFFSET);
        record.properties = properties.to_text();
    }
}

/// Where a message that is not part of a batch is to be listed.
///
/// # Errors
/// That a name is none, that there are too many, or that no further light queue may be made.
pub(crate) fn find(
    config: &StoreConfig,
    queues: &Queues,
    record: &MessageRecord,
) -> Result<Listed, AppendError> {
    let mut found = Listed::default();
    let waits = WAITING_TOPICS.contains(&&*record.topic) || !record::has_queue_offset(record.sys_flag);
    if waits || !record.properties.contains(names::INNER_MULTI_DISPATCH) {
        return Ok(found);
    }
    let list = get(&record.properties, names::INNER_MULTI_DISPATCH).unwrap_or_default();
    if list.trim().trim_end_matches(SPLITTER).is_empty() {
        return Ok(found);
    }
    if !record.properties.ends_with(PROPERTY_SEPARATOR) {
        found.separator = "\u{2}";
    }
    let mut known = HashMap::from([((&*record.topic, record.queue_id), None)]);
    let mut others = Vec::new();
    for name in listed(list) {
        if name.len() > NAME_LEN_MAX || !is_folder_name(name) || found.names.len() >= LISTED_MAX {
            return Err(AppendError::Listed { len: found.names.len() + 1, max: LISTED_MAX });
        }
        let key = (name, queue_id_in(config, name, record.queue_id));
        found.names.push(*known.entry(key).or_insert_with(|| {
            others.push(key);
            Some(others.len() - 1)
        }));
    }
    admit_new(config, queues, &others)?;
    found.queues = others.into_iter().map(|(name, queue_id)| queues.get_or_create(name, queue_id)).collect();
    Ok(found)
}

/// Whether these queues are there, or may be made.
pub(crate) fn admit_new(
    config: &StoreConfig,
    queues: &Queues,
    keys: &[(&str, i32)],
) -> Result<(), AppendError> {
    if config.enable_lmq {
        let is_new = |key: &&(&str, i32)| is_lmq(key.0) && queues.get(key.0, key.1).is_none();
        let new = keys.iter().filter(is_new).count();
        let max = config.max_lmq_consume_queue_num;
        if new > 0 && queues.lmq_count() + new > max {
            return Err(AppendError::LightQueues { max });
        }
    }
    Ok(())
}

/// The number of the queue in a topic that a message with this one is listed in.
fn queue_id_in(config: &StoreConfig, topic: &str, queue_id: i32) -> i32 {
    if config.enable_lmq && is_lmq(topic) { 0 } else { queue_id }
}

/// What a stored record says about its places in other queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Places<'a> {
    pub(crate) names: Option<&'a str>,
    pub(crate) offsets: Option<&'a str>,
}

impl<'a> Places<'a> {
    /// The queues with the record's offsets in them. Nothing if the lists do not fit, and without offsets that
    /// cannot be: there are no more messages before a record than bytes.
    pub(crate) fn iter(self, physical_offset: i64) -> impl Iterator<Item = (&'a str, i64)> {
        let both = self.names.zip(self.offsets);
        let both = both.filter(|(names, offsets)| listed(names).count() == listed(offsets).count());
        let pairs = both.into_iter().flat_map(|(names, offsets)| listed(names).zip(listed(offsets)));
        pairs.take(PROPERTIES_LEN_MAX).filter_map(move |(name, offset)| {
            let offset = offset.parse().ok().filter(|offset| (0..=physical_offset).contains(offset))?;
            is_folder_name(name).then_some((name, offset))
        })
    }

    /// The same with each queue's number, as [`find`] chose it.
    pub(crate) fn queues(
        self,
        config: &StoreConfig,
        queue_id: i32,
        physical_offset: i64,
    ) -> impl Iterator<Item = (&'a str, i32, i64)> {
        self.iter(physical_offset)
            .map(move |(name, offset)| (name, queue_id_in(config, name, queue_id), offset))
    }

    /// Whether the record, whose own queue has this number, is in this queue at this offset, whatever the
    /// settings were when it was stored.
    pub(crate) fn has(
        self,
        own_id: i32,
        physical_offset: i64,
        topic: &str,
        queue_id: i32,
        offset: i64,
    ) -> bool {
        let numbered = queue_id == own_id || (queue_id == 0 && is_lmq(topic));
        numbered && self.iter(physical_offset).any(|(name, at)| name == topic && at == offset)
    }
}
