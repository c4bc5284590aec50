//! Delay levels: messages wait in the queues of `SCHEDULE_TOPIC_XXXX` until their level's time has passed.
//!
//! The core says when an entry is due, what is appended in its place and how far each level has come; the
//! driver at the bottom sleeps until the earliest due entry or until a delayed message arrives, whichever is
//! first. Progress is kept in `delayOffset.json`, written every `flushDelayOffsetInterval` and at stop, so that
//! a killed Broker delivers up to 10 s of delayed messages again, as Java's does.
//!
//! Java counterpart: `ScheduleMessageService`, which looks at each level ten times a second.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferrocket_protocol::body::offset::DelayOffsetTable;
use ferrocket_protocol::fastjson::{self, JsonError};
use ferrocket_protocol::message::MessageRecord;
use ferrocket_store::{Append, AppendError};
use tokio::sync::{Notify, watch};

use crate::broker::{Shared, put, stopped};
use crate::saving::{Kept, Unsaved};
use crate::send_plan;
use crate::topics::{SCHEDULE_TOPIC, TRANS_HALF_TOPIC};

/// Messages of one level that are delivered as one group.
const GROUP_MAX: usize = 32;
/// After a delivery that the store refused, the next attempt comes this much later.
const RETRY_MS: i64 = 100;
/// The longest sleep: the wall clock may be set meanwhile.
const SLEEP_MAX_MS: i64 = 10_000;

/// How far each level has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DelayLevels {
    /// The delay of level 1, 2, … in ms.
    delays_ms: Vec<i64>,
    /// The offset of the next entry to deliver, by level; only levels that delivered something are listed.
    progress: BTreeMap<i32, i64>,
}

/// What to do with an entry of a level's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Deliver it.
    Now,
    /// Look again at this time, ms since 1970.
    At(i64),
}

impl DelayLevels {
    /// Levels with these delays in ms; level 1 comes first.
    pub(crate) fn new(delays_ms: Vec<i64>) -> Self {
        Self { delays_ms, progress: BTreeMap::new() }
    }

    /// The highest level; higher ones in messages are lowered to it.
    pub(crate) fn level_max(&self) -> i32 {
        self.delays_ms.len() as i32
    }

    /// Takes over saved progress.
    pub(crate) fn restore(&mut self, saved: BTreeMap<i32, i64>) {
        self.progress = saved;
    }

    /// Progress to be saved.
    pub(crate) fn progress(&self) -> &BTreeMap<i32, i64> {
        &self.progress
    }

    /// The offset of the next entry of `level`, moved into what the queue holds now.
    pub(crate) fn next_offset(&mut self, level: i32, queue_min: i64, queue_max: i64) -> i64 {
        match self.progress.get_mut(&level) {
            Some(offset) => {
                *offset = (*offset).clamp(queue_min, queue_max.max(queue_min));
                *offset
            }
            None => queue_min,
        }
    }

    /// Everything before `offset` has been delivered.
    pub(crate) fn delivered_to(&mut self, level: i32, offset: i64) {
        self.progress.insert(level, offset);
    }

    /// Whether an entry of `level` with this tags code, which is its delivery time, is due. A time further
    /// away than the level's delay was made by a clock that went backwards: it is due now, as in Java.
    pub(crate) fn due(&self, level: i32, deliver_at_ms: i64, now_ms: i64) -> Due {
        let delay_ms =
            usize::try_from(level - 1).ok().and_then(|at| self.delays_ms.get(at)).copied().unwrap_or(1_000);
        if deliver_at_ms <= now_ms || deliver_at_ms > now_ms + delay_ms {
            Due::Now
        } else {
            Due::At(deliver_at_ms)
        }
    }
}

/// What is appended for a delayed message whose time has come, `None` for a record that names no destination
/// (only a foreign writer makes one). Properties stay as they are, `DELAY` too.
pub(crate) fn delivery(record: MessageRecord) -> Option<MessageRecord> {
    let (topic, queue_id) = send_plan::destination(&record)?;
    if *topic == *SCHEDULE_TOPIC || *topic == *TRANS_HALF_TOPIC {
        return None;
    }
    Some(MessageRecord { topic, queue_id, ..record })
}

/// The delay levels of a running Broker.
#[derive(Debug)]
pub(crate) struct Delay {
    levels: Mutex<DelayLevels>,
    level_max: i32,
    /// Until when the driver sleeps, ms since 1970.
    sleeps_until_ms: AtomicI64,
    /// Tells the driver that something is due before that.
    sooner: Notify,
    unsaved: Unsaved,
}

impl Delay {
    /// Levels with these delays in ms, which have delivered nothing yet.
    pub(crate) fn new(delays_ms: Vec<i64>) -> Self {
        let levels = DelayLevels::new(delays_ms);
        Self {
            level_max: levels.level_max(),
            levels: Mutex::new(levels),
            sleeps_until_ms: AtomicI64::new(i64::MAX),
            sooner: Notify::new(),
            unsaved: Unsaved::default(),
        }
    }

    /// The highest level; higher ones in messages are lowered to it.
    pub(crate) fn level_max(&self) -> i32 {
        self.level_max
    }

    /// How far all levels have come, for the file and for slaves.
    pub(crate) fn to_table(&self) -> DelayOffsetTable {
        DelayOffsetTable { offset_table: self.lock().progress().clone(), ..DelayOffsetTable::default() }
    }

    /// It may be later than the driver reckons.
    pub(crate) fn clock_turned(&self) {
        self.sooner.notify_one();
    }

    /// A delayed message has been stored that is due at this time.
    pub(crate) fn arrived(&self, deliver_at_ms: i64) {
        if deliver_at_ms < self.sleeps_until_ms.load(Ordering::Acquire) {
            self.sooner.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, DelayLevels> {
        // Progress is a number per level, whole at any moment.
        self.levels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Delivers what is due, at most one group per level; answers when the next entry is due, if any waits.
    fn deliver(&self, broker: &Shared, now_ms: i64) -> Option<i64> {
        (1..=self.level_max).filter_map(|level| self.deliver_level(broker, level, now_ms)).min()
    }

    fn deliver_level(&self, broker: &Shared, level: i32, now_ms: i64) -> Option<i64> {
        let store = &broker.store;
        let queue_id = level - 1;
        let max_offset = store.max_offset(SCHEDULE_TOPIC, queue_id);
        let start = self.lock().next_offset(level, store.min_offset(SCHEDULE_TOPIC, queue_id), max_offset);
        let (mut offset, mut next_due) = (start, None);
        let (mut offsets, mut group) = (Vec::new(), Vec::new());
        while offset < max_offset {
            if group.len() == GROUP_MAX {
                next_due = Some(now_ms);
                break;
            }
            // Missing: the queue's front was cut off this very moment.
            let Some(entry) = store.entry(SCHEDULE_TOPIC, queue_id, offset) else { break };
            if let Due::At(at) = self.lock().due(level, entry.tags_code, now_ms) {
                next_due = Some(at);
                break;
            }
            match broker.message_at(entry.physical_offset).and_then(delivery) {
                Some(record) => {
                    offsets.push(offset);
                    group.push(Append { records: vec![record] });
                }
                None => tracing::warn!(level, offset, "a delayed message is gone from the log and skipped"),
            }
            offset += 1;
        }
        let places: Vec<_> = group
            .iter()
            .filter_map(|append| append.records.first())
            .map(|record| (record.topic.clone(), record.queue_id))
            .collect();
        let by_name = broker.settings.now().schedule_stats;
        let results = if group.is_empty() { Vec::new() } else { store.append(group) };
        for ((at, (topic, to)), result) in offsets.into_iter().zip(places).zip(results) {
            match result {
                Ok(appended) => broker.stats.delivered(queue_id, &put(&topic, to, &appended), by_name),
                Err(error) if !clears(&error) => {
                    tracing::warn!(level, offset = at, %error, "a delayed message cannot be stored and is skipped");
                }
                Err(error) => {
                    // Those behind it may have been stored; they will be delivered once more.
                    tracing::warn!(level, offset = at, %error, "a delayed message could not be delivered yet");
                    (offset, next_due) = (at, Some(now_ms + RETRY_MS));
                    break;
                }
            }
        }
        if offset != start {
            self.lock().delivered_to(level, offset);
            self.unsaved.set();
        }
        next_due
    }
}

/// Whether what the store refused now it may take later. All else is the message's own fault: waiting for it would
/// hold up its level for ever.
fn clears(error: &AppendError) -> bool {
    matches!(error, AppendError::DiskFull | AppendError::Closed | AppendError::Failed(_))
}

impl Kept for Delay {
    fn file(&self) -> &'static str {
        "delayOffset.json"
    }

    fn load(&self, text: &str, _: i64) -> Result<(), JsonError> {
        let read: DelayOffsetTable = fastjson::from_slice(text.as_bytes())?;
        self.lock().restore(read.offset_table);
        Ok(())
    }

    fn text(&self) -> String {
        fastjson::to_pretty(&self.to_table())
    }

    fn unsaved(&self) -> &Unsaved {
        &self.unsaved
    }
}

/// Delivers delayed messages until the Broker stops.
pub(crate) async fn run(broker: Arc<Shared>, mut stop: watch::Receiver<()>) {
    let delay = &broker.delay;
    loop {
        // Entries that arrive from here on wake the sleep below.
        delay.sleeps_until_ms.store(i64::MAX, Ordering::Release);
        let next_due = delay.deliver(&broker, broker.clock.now_ms());
        let now_ms = broker.clock.now_ms();
        let until_ms = next_due.unwrap_or(i64::MAX).min(now_ms.saturating_add(SLEEP_MAX_MS));
        delay.sleeps_until_ms.store(until_ms, Ordering::Release);
        let sleep = Duration::from_millis(u64::try_from(until_ms - now_ms).unwrap_or(0));
        if sleep.is_zero() {
            tokio::task::yield_now().await;
            if stop.has_changed().is_err() {
                return;
            }
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(sleep) => {}
            () = delay.sooner.notified() => {}
            () = stopped(&mut stop) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    /// Due when the time has come, or when the clock must have gone backwards.
    #[test]
    fn an_entry_is_due_at_its_time() {
        let levels = DelayLevels::new(vec![1_000, 5_000]);
        assert_eq!(levels.due(2, 6_000, 1_000), Due::At(6_000));
        assert_eq!(levels.due(2, 6_000, 6_000), Due::Now);
        assert_eq!(levels.due(2, 6_001, 1_000), Due::Now);
    }

    /// A level without saved progress starts at the queue's begin, a saved one within the queue's bounds.
    #[test]
    fn progress_is_moved_into_the_queue() {
        let mut levels = DelayLevels::new(vec![1_000, 5_000, 10_000]);
        levels.restore(BTreeMap::from([(1, 7), (2, 1)]));
        assert_eq!(levels.next_offset(1, 0, 5), 5);
        assert_eq!(levels.next_offset(2, 3, 5), 3);
        assert_eq!(levels.next_offset(3, 3, 5), 3);
        levels.delivered_to(3, 4);
        assert_eq!(levels.progress(), &BTreeMap::from([(1, 5), (2, 3), (3, 4)]));
    }

    /// A delivery goes to the real topic and queue; everything else is as it was.
    #[test]
    fn a_delivery_goes_where_the_producer_sent_it() {
        let record = MessageRecord {
            topic: SCHEDULE_TOPIC.into(),
            queue_id: 2,
            flag: 1,
            sys_flag: 0,
            queue_offset: 9,
            physical_offset: 900,
            born_timestamp: 1,
            born_host: "10.0.0.1:1".parse().unwrap(),
            store_timestamp: 2,
            store_host: "10.0.0.2:10911".parse().unwrap(),
            reconsume_times: 3,
            prepared_transaction_offset: 0,
            body: Bytes::from_static(b"x"),
            properties: "DELAY\u{1}3\u{2}REAL_TOPIC\u{1}T\u{2}REAL_QID\u{1}5".into(),
        };
        let delivered = delivery(record.clone()).unwrap();
        assert_eq!((&*delivered.topic, delivered.queue_id, delivered.reconsume_times), ("T", 5, 3));
        assert_eq!(delivered.properties, record.properties);
        assert_eq!(delivery(MessageRecord { properties: "DELAY\u{1}3".into(), ..record }), None);
    }
}
