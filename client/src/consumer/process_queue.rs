//! What a consumer has fetched from one queue and not yet committed. Pure: the time is handed in.
//!
//! ```text
//! pulled -> fetched -> handled                    concurrent: a message leaves when it was handled, in any order
//! pulled -> fetched -> taken -> committed         orderly: a run is taken, then committed or put back
//! offset to commit = the lowest offset still here, or one past the highest ever fetched
//! ```
//!
//! Leaves out pulling and consuming, which the drivers in `push_consumer` do.
//! Java counterpart: `ProcessQueue`.

use std::collections::BTreeMap;

use ferrocket_protocol::Text;
use ferrocket_protocol::body::group::ProcessQueueInfo;

use crate::message::MessageExt;

/// How long the broker's lock on a queue is trusted after the last renewal.
pub(crate) const LOCK_LIVE_MAX_MS: i64 = 30_000;
/// How long a queue may go without a pull before its pulling counts as broken.
pub(crate) const PULL_IDLE_MAX_MS: i64 = 120_000;
/// How many expired messages one clean-up takes out of one queue at most.
pub(crate) const EXPIRED_TAKEN_MAX: usize = 16;

const MIB: usize = 1024 * 1024;

/// Beyond these a queue is not pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Thresholds {
    /// Messages in memory.
    pub(crate) count: usize,
    /// MiB of bodies in memory.
    pub(crate) size_mib: usize,
    /// Distance between the lowest and the highest offset in memory; `None` for orderly consumption.
    pub(crate) span: Option<i64>,
}

/// Which threshold a queue is beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    Count,
    Size,
    Span,
    /// All queues together hold too much.
    All,
}

/// What became of the messages of a pull.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Put {
    /// Offsets of those that were not here before.
    pub(crate) fresh: Vec<i64>,
    /// Orderly: a consumer has to be started.
    pub(crate) start: bool,
}

/// A message, and its handler if there is one.
#[derive(Debug)]
struct Fetched {
    message: MessageExt,
    handling: Option<Handling>,
}

/// A handler at work.
#[derive(Debug)]
struct Handling {
    since_ms: i64,
    /// Whether it was told that this takes too long.
    told: bool,
}

impl Handling {
    fn new(since_ms: i64) -> Self {
        Self { since_ms, told: false }
    }

    fn exceeds(&self, timeout_ms: i64, now_ms: i64) -> bool {
        now_ms - self.since_ms > timeout_ms
    }

    /// The same, once.
    fn is_to_be_told(&mut self, timeout_ms: i64, now_ms: i64) -> bool {
        self.exceeds(timeout_ms, now_ms) && !std::mem::replace(&mut self.told, true)
    }
}

/// See the file's head. The queue is shared by the puller, the handlers and the rebalance, under one lock.
#[derive(Debug)]
pub(crate) struct ProcessQueue {
    /// Fetched and neither handled nor taken, by queue offset.
    fetched: BTreeMap<i64, Fetched>,
    /// In the hands of an orderly handler, or waiting for its commit.
    taken: BTreeMap<i64, MessageExt>,
    /// Bytes of all bodies in both maps.
    bytes: usize,
    /// The highest offset ever fetched.
    offset_max: Option<i64>,
    /// No longer ours: what is still being handled must not be committed.
    dropped: bool,
    /// Whether an orderly consumer of this queue runs or is about to.
    consuming: bool,
    /// The orderly handler that has messages in its hands, and the offset of the first.
    handling: Option<(i64, Handling)>,
    locked: bool,
    lock_tried_in_vain: i64,
    last_lock_ms: i64,
    last_pull_ms: i64,
    last_consume_ms: i64,
}

impl ProcessQueue {
    /// An empty queue, just assigned.
    pub(crate) fn new(now_ms: i64) -> Self {
        Self {
            fetched: BTreeMap::new(),
            taken: BTreeMap::new(),
            bytes: 0,
            offset_max: None,
            dropped: false,
            consuming: false,
            handling: None,
            locked: false,
            lock_tried_in_vain: 0,
            last_lock_ms: now_ms,
            last_pull_ms: now_ms,
            last_consume_ms: now_ms,
        }
    }

    /// Takes in what a pull brought.
    pub(crate) fn put(&mut self, messages: Vec<MessageExt>) -> Put {
        let mut fresh = Vec::with_capacity(messages.len());
        if self.dropped {
            return Put { fresh, start: false };
        }
        for message in messages {
            let offset = message.queue_offset;
            if self.fetched.contains_key(&offset) || self.taken.contains_key(&offset) {
                continue;
            }
            self.bytes += message.body.len();
            self.offset_max = self.offset_max.max(Some(offset));
            self.fetched.insert(offset, Fetched { message, handling: None });
            fresh.push(offset);
        }
        let start = !self.fetched.is_empty() && !self.consuming;
        self.consuming |= start;
        Put { fresh, start }
    }

    /// Concurrent: copies of these messages for a handler that starts now; those settled meanwhile are left
    /// out, and of a dropped queue all are.
    pub(crate) fn start(&mut self, offsets: &[i64], now_ms: i64) -> Vec<MessageExt> {
        if self.dropped {
            return Vec::new();
        }
        let mut messages = Vec::with_capacity(offsets.len());
        for offset in offsets {
            if let Some(fetched) = self.fetched.get_mut(offset) {
                fetched.handling = Some(Handling::new(now_ms));
                messages.push(fetched.message.clone());
            }
        }
        messages
    }

    /// Concurrent: a message that still waits to be settled.
    pub(crate) fn get(&self, offset: i64) -> Option<&MessageExt> {
        self.fetched.get(&offset).map(|fetched| &fetched.message)
    }

    /// Concurrent: the message will be handled here once more.
    pub(crate) fn try_again(&mut self, offset: i64) {
        if let Some(fetched) = self.fetched.get_mut(&offset) {
            fetched.message.reconsume_times += 1;
            fetched.handling = None;
        }
    }

    /// Takes handled messages out. Answers the offset to commit: everything below it has been handled.
    pub(crate) fn remove(&mut self, offsets: impl IntoIterator<Item = i64>, now_ms: i64) -> Option<i64> {
        self.last_consume_ms = now_ms;
        if self.fetched.is_empty() {
            return None;
        }
        for offset in offsets {
            if let Some(fetched) = self.fetched.remove(&offset) {
                self.bytes -= fetched.message.body.len();
            }
        }
        self.commit_offset()
    }

    /// The lowest offset not yet handled; with nothing left the one after the highest ever fetched.
    fn commit_offset(&self) -> Option<i64> {
        let lowest = self.fetched.keys().next().into_iter().chain(self.taken.keys().next()).min();
        lowest.copied().or(self.offset_max.map(|offset| offset + 1))
    }

    /// Messages at the front whose handlers have run for longer than `timeout_ms`. They stay here until
    /// [`remove`](Self::remove)d, so that a failed send-back loses nothing.
    pub(crate) fn expired(&self, timeout_ms: i64, now_ms: i64) -> Vec<MessageExt> {
        self.fetched
            .values()
            .take_while(|fetched| {
                fetched.handling.as_ref().is_some_and(|handling| handling.exceeds(timeout_ms, now_ms))
            })
            .take(EXPIRED_TAKEN_MAX)
            .map(|fetched| fetched.message.clone())
            .collect()
    }

    /// The messages whose handlers have run for longer than `timeout_ms`, each once; of an orderly handler the first
    /// of its messages.
    pub(crate) fn slow(&mut self, timeout_ms: i64, now_ms: i64) -> Vec<Text> {
        let handled = self.fetched.values_mut().filter_map(|fetched| {
            let handling = fetched.handling.as_mut()?;
            handling.is_to_be_told(timeout_ms, now_ms).then(|| fetched.message.msg_id.clone())
        });
        let mut slow: Vec<Text> = handled.collect();
        if let Some((offset, handling)) = &mut self.handling
            && handling.is_to_be_told(timeout_ms, now_ms)
        {
            slow.extend(self.taken.get(offset).map(|message| message.msg_id.clone()));
        }
        slow
    }

    /// Orderly: hands out up to `count` messages from the front; the handler runs until
    /// [`end_handling`](Self::end_handling). With none left the consumer is over, and the next
    /// [`put`](Self::put) starts another. A dropped queue hands out nothing.
    pub(crate) fn take(&mut self, count: usize, now_ms: i64) -> Vec<MessageExt> {
        self.last_consume_ms = now_ms;
        let mut run = Vec::new();
        while run.len() < count && !self.dropped {
            let Some((offset, fetched)) = self.fetched.pop_first() else { break };
            self.taken.insert(offset, fetched.message.clone());
            run.push(fetched.message);
        }
        self.consuming = !run.is_empty();
        self.handling = run.first().map(|message| (message.queue_offset, Handling::new(now_ms)));
        run
    }

    /// Orderly: the handler answered and its answer has been dealt with.
    pub(crate) fn end_handling(&mut self) {
        self.handling = None;
    }

    /// Orderly: whether a handler runs.
    pub(crate) fn is_handling(&self) -> bool {
        self.handling.is_some()
    }

    /// Orderly: all taken messages have been handled. Answers the offset to commit.
    pub(crate) fn commit(&mut self) -> Option<i64> {
        let offset = self.taken.keys().next_back().map(|last| last + 1)?;
        for message in std::mem::take(&mut self.taken).into_values() {
            self.bytes -= message.body.len();
        }
        Some(offset)
    }

    /// Orderly: all taken messages have to be handled again, also those of earlier runs without a commit.
    pub(crate) fn rollback(&mut self) {
        for (offset, message) in std::mem::take(&mut self.taken) {
            self.fetched.insert(offset, Fetched { message, handling: None });
        }
    }

    /// Orderly: these taken messages, with their new count of attempts, have to be handled again.
    pub(crate) fn put_back(&mut self, messages: Vec<MessageExt>) {
        for message in messages {
            if self.taken.remove(&message.queue_offset).is_some() {
                self.fetched.insert(message.queue_offset, Fetched { message, handling: None });
            }
        }
    }

    /// Which threshold forbids another pull.
    pub(crate) fn full(&self, thresholds: &Thresholds) -> Option<Full> {
        let span = match (self.fetched.first_key_value(), self.fetched.last_key_value()) {
            (Some((first, _)), Some((last, _))) => last - first,
            _ => 0,
        };
        if self.count() > thresholds.count {
            Some(Full::Count)
        } else if self.bytes / MIB > thresholds.size_mib {
            Some(Full::Size)
        } else if thresholds.span.is_some_and(|max| span > max) {
            Some(Full::Span)
        } else {
            None
        }
    }

    /// Messages in memory, taken ones included.
    pub(crate) fn count(&self) -> usize {
        self.fetched.len() + self.taken.len()
    }

    /// The queue is no longer ours.
    pub(crate) fn drop_queue(&mut self) {
        self.dropped = true;
    }

    /// The queue is no longer ours, and what is in memory is not to be handled.
    pub(crate) fn drop_and_clear(&mut self) {
        self.dropped = true;
        self.fetched.clear();
        self.taken.clear();
        self.bytes = 0;
        self.offset_max = None;
    }

    /// Whether the queue was taken away.
    pub(crate) fn is_dropped(&self) -> bool {
        self.dropped
    }

    /// The broker granted or renewed the lock.
    pub(crate) fn lock(&mut self, now_ms: i64) {
        self.locked = true;
        self.last_lock_ms = now_ms;
    }

    /// The broker refused the lock, or it was given back.
    pub(crate) fn unlock(&mut self) {
        self.locked = false;
    }

    /// Whether the broker's lock is held and was renewed recently enough to be trusted.
    pub(crate) fn is_locked(&self, now_ms: i64) -> bool {
        self.locked && now_ms - self.last_lock_ms <= LOCK_LIVE_MAX_MS
    }

    /// The queue was to be given back while its handler still ran.
    pub(crate) fn note_unlock_refused(&mut self) {
        self.lock_tried_in_vain += 1;
    }

    /// A pull starts.
    pub(crate) fn note_pull(&mut self, now_ms: i64) {
        self.last_pull_ms = now_ms;
    }

    /// Whether pulling this queue has stopped for so long that something must be broken.
    pub(crate) fn is_pull_idle(&self, now_ms: i64) -> bool {
        now_ms - self.last_pull_ms > PULL_IDLE_MAX_MS
    }

    /// What `GET_CONSUMER_RUNNING_INFO` tells about the queue, but for its stored offset, which others know.
    pub(crate) fn info(&self) -> ProcessQueueInfo {
        let count = |messages: usize| i32::try_from(messages).unwrap_or(i32::MAX);
        let (fetched, taken) = (range(self.fetched.keys()), range(self.taken.keys()));
        ProcessQueueInfo {
            cached_msg_count: count(self.fetched.len()),
            cached_msg_min_offset: fetched.0,
            cached_msg_max_offset: fetched.1,
            cached_msg_size_in_mi_b: count(self.bytes / MIB),
            commit_offset: -1,
            droped: self.dropped,
            last_consume_timestamp: self.last_consume_ms,
            last_lock_timestamp: self.last_lock_ms,
            last_pull_timestamp: self.last_pull_ms,
            locked: self.locked,
            transaction_msg_count: count(self.taken.len()),
            transaction_msg_min_offset: taken.0,
            transaction_msg_max_offset: taken.1,
            try_unlock_times: self.lock_tried_in_vain,
        }
    }
}

/// The first and last of ascending offsets, zeros without any.
fn range<'a>(mut offsets: impl DoubleEndedIterator<Item = &'a i64> + Clone) -> (i64, i64) {
    let last = offsets.clone().next_back();
    (offsets.next().copied().unwrap_or(0), last.copied().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use ferrocket_protocol::MessageRecord;

    use super::*;

    fn message(offset: i64, body_len: usize) -> MessageExt {
        let record = MessageRecord {
            topic: "T".into(),
            queue_id: 0,
            flag: 0,
            sys_flag: 0,
            queue_offset: offset,
            physical_offset: 0,
            born_timestamp: 0,
            born_host: "10.0.0.9:40000".parse().unwrap(),
            store_timestamp: 0,
            store_host: "10.0.0.1:10911".parse().unwrap(),
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: vec![0; body_len].into(),
            properties: "".into(),
        };
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        MessageExt::decode(&mut bytes.into(), &"broker-a".into()).unwrap()
    }

    fn messages(offsets: impl IntoIterator<Item = i64>) -> Vec<MessageExt> {
        offsets.into_iter().map(|offset| message(offset, 10)).collect()
    }

    fn offsets(messages: &[MessageExt]) -> Vec<i64> {
        messages.iter().map(|message| message.queue_offset).collect()
    }

    /// Whatever order handlers finish in, the commit never passes an unhandled message.
    #[test]
    fn commits_below_the_lowest_unhandled() {
        let mut queue = ProcessQueue::new(0);
        assert_eq!(queue.put(messages([5, 6, 8, 9])).fresh, [5, 6, 8, 9]);
        assert_eq!(queue.remove([6], 1), Some(5));
        assert_eq!(queue.remove([9], 1), Some(5));
        assert_eq!(queue.remove([5], 1), Some(8));
        assert_eq!(queue.remove([8], 1), Some(10));
        // A late second answer for a message that is gone changes nothing.
        assert_eq!(queue.remove([8], 1), None);
        assert_eq!((queue.count(), queue.bytes), (0, 0));
    }

    /// A message fetched twice is held and counted once.
    #[test]
    fn holds_a_message_once() {
        let mut queue = ProcessQueue::new(0);
        queue.put(messages([1, 2]));
        assert_eq!(queue.put(messages([2, 3])).fresh, [3]);
        assert_eq!((queue.count(), queue.bytes), (3, 30));
        queue.take(1, 0);
        assert!(queue.put(messages([1])).fresh.is_empty());
        assert_eq!((queue.count(), queue.bytes), (3, 30));
    }

    /// Each of the three thresholds stops pulling one step beyond it; orderly queues have no span.
    #[test]
    fn thresholds_stop_pulling() {
        let thresholds = Thresholds { count: 3, size_mib: 1, span: Some(100) };
        let mut queue = ProcessQueue::new(0);
        queue.put(messages([1, 2, 101]));
        assert_eq!(queue.full(&thresholds), None);
        queue.put(messages([102]));
        assert_eq!(queue.full(&thresholds), Some(Full::Count));
        queue.remove([2], 0);
        assert_eq!(queue.full(&thresholds), Some(Full::Span));
        assert_eq!(queue.full(&Thresholds { span: None, ..thresholds }), None);
        queue.remove([1], 0);
        queue.put(vec![message(103, 2 * MIB)]);
        assert_eq!(queue.full(&thresholds), Some(Full::Size));
    }

    /// Orderly: runs are taken from the front; commit, rollback and putting back leave no gap and no double.
    #[test]
    fn orderly_runs() {
        let mut queue = ProcessQueue::new(0);
        assert!(queue.put(messages(1..=5)).start);
        assert!(!queue.put(messages([6])).start, "one consumer at a time");
        assert_eq!(offsets(&queue.take(2, 0)), [1, 2]);
        assert!(queue.is_handling());
        assert_eq!(queue.commit(), Some(3));
        queue.end_handling();
        assert!(!queue.is_handling());
        assert_eq!(offsets(&queue.take(2, 0)), [3, 4]);
        let mut again = queue.take(1, 0);
        assert_eq!(offsets(&again), [5]);
        again[0].reconsume_times += 1;
        queue.put_back(again);
        queue.rollback();
        let run = queue.take(9, 0);
        assert_eq!(offsets(&run), [3, 4, 5, 6]);
        assert_eq!(run[2].reconsume_times, 1);
        assert_eq!(queue.commit(), Some(7));
        assert_eq!(queue.commit(), None);
        assert!(queue.take(9, 0).is_empty());
        assert_eq!((queue.count(), queue.bytes), (0, 0));
        assert!(queue.put(messages([7])).start, "the next message starts a consumer again");
    }

    /// Only messages at the front whose handlers started too long ago are expired.
    #[test]
    fn finds_stuck_messages() {
        let mut queue = ProcessQueue::new(0);
        queue.put(messages(1..=4));
        assert!(queue.expired(900_000, 10_000_000).is_empty(), "nothing has started");
        assert_eq!(offsets(&queue.start(&[1, 2, 4], 1_000)), [1, 2, 4]);
        assert!(queue.expired(900_000, 901_000).is_empty());
        assert_eq!(offsets(&queue.expired(900_000, 901_001)), [1, 2]);
        assert_eq!(queue.remove([1, 2], 0), Some(3));
        assert!(queue.get(1).is_none());
        queue.try_again(4);
        assert_eq!(queue.get(4).unwrap().reconsume_times, 1);
        assert!(queue.start(&[1], 0).is_empty(), "settled meanwhile");
    }

    /// Every handler that runs for too long is told of once, wherever its message is; another one of the same message
    /// anew.
    #[test]
    fn slow_handlers_are_told_once() {
        let mut queue = ProcessQueue::new(0);
        queue.put(messages(1..=3));
        let ids = |queue: &ProcessQueue, offset| vec![queue.get(offset).unwrap().msg_id.clone()];
        let (second, third) = (ids(&queue, 2), ids(&queue, 3));
        queue.start(&[2], 0);
        queue.start(&[3], 500);
        assert!(queue.slow(1_000, 1_000).is_empty());
        assert_eq!(queue.slow(1_000, 1_001), second);
        assert_eq!(queue.slow(1_000, 1_501), third);
        assert!(queue.slow(1_000, 9_000).is_empty());
        queue.try_again(3);
        assert!(queue.slow(1_000, 9_000).is_empty(), "nobody handles it");
        queue.start(&[3], 9_000);
        assert_eq!(queue.slow(1_000, 10_001), third);

        let mut queue = ProcessQueue::new(0);
        queue.put(messages(1..=3));
        let first = ids(&queue, 1);
        queue.take(2, 0);
        assert_eq!(queue.slow(1_000, 1_001), first);
        assert!(queue.slow(1_000, 9_000).is_empty());
        queue.commit();
        queue.end_handling();
        assert!(queue.slow(1_000, 9_000).is_empty());
    }

    /// A lock is trusted for 30 s after its last renewal, pulling for 120 s after its last pull.
    #[test]
    fn leases_run_out() {
        let mut queue = ProcessQueue::new(0);
        assert!(!queue.is_locked(0));
        queue.lock(1_000);
        assert!(queue.is_locked(31_000));
        assert!(!queue.is_locked(31_001));
        queue.lock(31_001);
        queue.unlock();
        assert!(!queue.is_locked(31_001));
        queue.note_pull(5_000);
        assert!(!queue.is_pull_idle(125_000));
        assert!(queue.is_pull_idle(125_001));
    }

    /// A queue that was taken away accepts nothing and offers nothing to commit after a reset.
    #[test]
    fn dropped_queues_are_dead() {
        let mut queue = ProcessQueue::new(0);
        queue.put(messages(1..=3));
        queue.drop_and_clear();
        assert_eq!(queue.put(messages([4])), Put { fresh: vec![], start: false });
        assert!(queue.start(&[1], 0).is_empty());
        assert!(queue.take(1, 0).is_empty());
        assert_eq!(queue.remove([1, 4], 0), None);
        assert_eq!(queue.info().cached_msg_count, 0);
    }
}
