//! Delay levels: messages wait in the queues of `SCHEDULE_TOPIC_XXXX` until their level's time has passed.
//!
//! The core says when an entry is due, what is appended in its place and how far each level has come; the
//! driver at the bottom sleeps until the earliest due entry or until a delayed message arrives, whichever is
//! first. Progress is kept in `config/delayOffset.json` and written every 10 s and at stop, so that a killed
//! Broker delivers up to 10 s of delayed messages again, as Java's does.
//!
//! Java counterpart: `ScheduleMessageService`, which looks at each level ten times a second.

use std::collections::BTreeMap;

use ferrocket_protocol::message::MessageRecord;
use ferrocket_protocol::properties::{self, names};

use crate::topics::{SCHEDULE_TOPIC, TRANS_HALF_TOPIC};

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
        let delay_ms = usize::try_from(level - 1).ok().and_then(|at| self.delays_ms.get(at)).copied().unwrap_or(1_000);
        if deliver_at_ms <= now_ms || deliver_at_ms > now_ms + delay_ms { Due::Now } else { Due::At(deliver_at_ms) }
    }
}

/// What is appended for a delayed message whose time has come, `None` for a record that names no destination
/// (only a foreign writer makes one). Properties stay as they are, `DELAY` too.
pub(crate) fn delivery(record: MessageRecord) -> Option<MessageRecord> {
    let topic = properties::get(&record.properties, names::REAL_TOPIC)?;
    let queue_id = properties::get(&record.properties, names::REAL_QUEUE_ID)?.parse().ok()?;
    if topic == SCHEDULE_TOPIC || topic == TRANS_HALF_TOPIC {
        return None;
    }
    Some(MessageRecord { topic: topic.into(), queue_id, ..record })
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
