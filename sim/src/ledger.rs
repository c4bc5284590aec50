//! What must be true: every message that a store took, was promised to a producer or shown to a consumer.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ferrocket_protocol::RecordView;
use ferrocket_protocol::body::message_queue::MessageQueue;
use ferrocket_store::{GetLimits, GetStatus, Store};

use crate::broker::SEGMENT_LEN;

/// How a broker went down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Down {
    /// The process ended; what it wrote is in the system's memory.
    Kill,
    /// The machine went, with everything that was not synced.
    Power,
}

/// A message at its queue offset.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Slot {
    key: String,
    /// Where its record ends in the log.
    end: i64,
    /// A producer was told, or a consumer saw it.
    promised: bool,
}

/// One queue.
#[derive(Clone, Debug, Default)]
pub(crate) struct QueueLedger {
    slots: Vec<Slot>,
    /// The group has consumed everything before.
    pub(crate) consumed: i64,
    /// The highest end of what consumers were shown.
    shown: i64,
    /// An asynchronous broker lost promised offsets below this one: what is stored there anew may find the
    /// group's offset behind it already. 0 under SYNC_FLUSH, always.
    blind: i64,
}

/// Everything known of one broker.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) queues: BTreeMap<MessageQueue, QueueLedger>,
    /// The store said that everything before is on the disk.
    flushed: i64,
    /// Promised messages that asynchronous flushing lost, as it may.
    pub(crate) lost: u64,
}

/// The body of a message follows from its key `number-attempt`, so that a changed byte is seen.
pub(crate) fn body_of(key: &str) -> String {
    let number: usize = key.split('-').next().and_then(|number| number.parse().ok()).unwrap_or(0);
    format!("{key}:{}", (b'a' + (number % 26) as u8) as char).repeat(1 + number * 7_919 % 40)
}

fn key_in(view: &RecordView<'_>) -> String {
    let key = view.body.split(|byte| *byte == b':').next().unwrap_or_default();
    String::from_utf8_lossy(key).into_owned()
}

/// Checks a record against its place and its own key, which it returns with the record's end.
fn read(queue: &MessageQueue, offset: i64, record: &[u8]) -> (String, i64) {
    let view = RecordView::parse(record).unwrap_or_else(|error| panic!("{queue} {offset}: {error}"));
    assert_eq!((view.topic, view.queue_id), (&*queue.topic, queue.queue_id), "record of {queue} {offset}");
    assert_eq!(view.queue_offset, offset, "queue offset of a record of {queue}");
    let key = key_in(&view);
    let unaltered = view.body_crc_matches() && view.body == body_of(&key).as_bytes();
    assert!(unaltered, "altered message {queue} {offset}: {view:?}");
    (key, view.physical_offset + record.len() as i64)
}

impl Ledger {
    pub(crate) fn new(queues: impl Iterator<Item = MessageQueue>) -> Self {
        Self { queues: queues.map(|queue| (queue, QueueLedger::default())).collect(), ..Self::default() }
    }

    fn queue(&mut self, queue: &MessageQueue) -> &mut QueueLedger {
        self.queues.get_mut(queue).expect("queues are known")
    }

    /// The store has taken a message.
    pub(crate) fn stored(&mut self, queue: &MessageQueue, offset: i64, key: String, end: i64) {
        let slots = &mut self.queue(queue).slots;
        assert_eq!(offset, slots.len() as i64, "{queue}: offset of {key} is not the next one");
        assert!(slots.last().is_none_or(|last| last.end < end), "{queue} {offset}: not in physical order");
        slots.push(Slot { key, end, promised: false });
    }

    /// The producer is told that this message is stored.
    pub(crate) fn promise(&mut self, queue: &MessageQueue, offset: i64) {
        self.queue(queue).slots[offset as usize].promised = true;
    }

    /// The store says how far the log is on the disk. What it lets consumers see ends there under SYNC_FLUSH.
    pub(crate) fn progress(&mut self, store: &Store) {
        let (flushed, written) = (store.flushed_offset(), store.max_physical_offset());
        assert!(
            self.flushed <= flushed && flushed <= written,
            "flushed {}, {flushed}, {written}",
            self.flushed
        );
        self.flushed = flushed;
        for queue in self.queues.keys().filter(|_| store.sync_flush()) {
            let last = store.max_offset(&queue.topic, queue.queue_id) - 1;
            let entry = store.entry(&queue.topic, queue.queue_id, last);
            let end = entry.map_or(0, |entry| entry.physical_offset + i64::from(entry.size));
            assert!(end <= flushed, "{queue} {last} is seen before it is durable");
        }
    }

    /// A consumer is shown a record.
    pub(crate) fn show(&mut self, queue: &MessageQueue, offset: i64, record: &[u8]) {
        let (key, _) = read(queue, offset, record);
        let state = self.queue(queue);
        let slot = state.slots.get_mut(offset as usize).unwrap_or_else(|| panic!("phantom {queue} {offset}"));
        assert_eq!(slot.key, key, "{queue} {offset} is another message than before");
        slot.promised = true;
        state.shown = state.shown.max(offset + 1);
    }

    /// A consumer has consumed the message at `offset`.
    pub(crate) fn consume(&mut self, queue: &MessageQueue, offset: i64) {
        let state = self.queue(queue);
        assert!(offset <= state.consumed.max(state.blind), "{queue}: {} skipped", state.consumed);
        state.consumed = state.consumed.max(offset + 1);
    }

    /// `offset` is the group's committed one.
    pub(crate) fn committed(&self, queue: &MessageQueue, offset: i64) {
        let consumed = self.queues[queue].consumed;
        assert!(offset <= consumed, "{queue}: committed {offset}, consumed {consumed}");
    }

    /// The store was opened after `down`: compares it with what is known, and learns what it found besides, which
    /// are messages whose append had failed.
    pub(crate) fn reopened(&mut self, store: &Store, down: Down, keys: &BTreeSet<String>) {
        let end = store.max_physical_offset();
        // A blank at the end of the last segment is on the disk, and is no message: where a full disk refused the next
        // segment, the log ends before it.
        let before_blank = self.flushed % SEGMENT_LEN == 0 && end > self.flushed - SEGMENT_LEN;
        assert!(
            end >= self.flushed || before_blank,
            "the log ends at {end}, {} was on the disk",
            self.flushed
        );
        self.flushed = self.flushed.min(end);
        let mut records = 0;
        for (queue, state) in &mut self.queues {
            let found = contents(store, queue);
            records += found.len();
            let kept = state.slots.partition_point(|slot| slot.end <= end);
            for slot in state.slots.drain(kept..) {
                assert_eq!(down, Down::Power, "{queue}: a killed process lost {slot:?}");
                assert!(!slot.promised || !store.sync_flush(), "{queue}: promised and lost: {slot:?}");
                self.lost += u64::from(slot.promised);
                state.blind = state.blind.max(state.shown).max(state.consumed);
            }
            for (offset, (key, end)) in found.iter().enumerate() {
                match state.slots.get(offset) {
                    Some(slot) => assert_eq!((&slot.key, slot.end), (key, *end), "{queue} {offset} changed"),
                    None => {
                        assert!(keys.contains(key), "{queue} {offset}: nobody sent {key}");
                        state.slots.push(Slot { key: key.clone(), end: *end, promised: false });
                    }
                }
            }
            assert_eq!(found.len(), state.slots.len(), "{queue}: the queue ends too early");
            // An index that could not be written is made up for at the next start.
            for slot in state.slots.iter().filter(|_| store.status().index_stopped.is_none()) {
                let found = store.query(&queue.topic, &format!("u-{}", slot.key), 9, 0, i64::MAX).records;
                let own =
                    |record: &&Bytes| RecordView::parse(record).is_ok_and(|view| key_in(&view) == slot.key);
                assert_eq!(found.iter().filter(own).count(), 1, "{queue}: index of {slot:?}");
            }
        }
        assert_eq!(records, log_records(store), "records of the log, and entries of its queues");
        self.progress(store);
    }

    /// Everything promised has been consumed. Returns how many messages there are.
    pub(crate) fn all_consumed(&self) -> Result<u64, String> {
        for (queue, state) in &self.queues {
            let due = |(offset, slot): &(usize, &Slot)| slot.promised && *offset as i64 >= state.blind;
            let last =
                state.slots.iter().enumerate().filter(due).map(|(offset, _)| offset as i64).next_back();
            if last.is_some_and(|last| last >= state.consumed) {
                return Err(format!("{queue}: {} of {last:?} consumed", state.consumed));
            }
        }
        Ok(self.queues.values().map(|state| state.slots.len() as u64).sum())
    }
}

/// All messages of a queue: from 0 on without a gap, and in the log's order.
pub(crate) fn contents(store: &Store, queue: &MessageQueue) -> Vec<(String, i64)> {
    let mut found: Vec<(String, i64)> = Vec::new();
    let max = store.max_offset(&queue.topic, queue.queue_id);
    while (found.len() as i64) < max {
        let offset = found.len() as i64;
        let result = store.get(&queue.topic, queue.queue_id, offset, &GetLimits::default(), &|_| true);
        assert_eq!(result.status, GetStatus::Found, "{queue} {offset} of {max}");
        for record in &result.records {
            let offset = found.len() as i64;
            let (key, end) = read(queue, offset, record);
            let entry = store.entry(&queue.topic, queue.queue_id, offset).expect("an entry");
            assert_eq!(entry.physical_offset + i64::from(entry.size), end, "entry of {queue} {offset}");
            assert!(found.last().is_none_or(|(_, last)| *last < end), "{queue} {offset}: physical order");
            found.push((key, end));
        }
    }
    found
}

/// Walks the log from record to record.
fn log_records(store: &Store) -> usize {
    let (mut at, mut records) = (store.min_physical_offset(), 0);
    while at < store.max_physical_offset() {
        match store.record_at(at) {
            Some(record) => {
                records += 1;
                at += record.len() as i64;
            }
            None => at += SEGMENT_LEN - at % SEGMENT_LEN,
        }
    }
    records
}
