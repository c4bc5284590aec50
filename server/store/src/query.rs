//! Questions about what is stored: by place, by time, by key. Java counterpart: the query methods of
//! `DefaultMessageStore`.

use bytes::Bytes;
use ferrocket_protocol::Text;

use crate::consume_queue::{ConsumeQueue, QueueEntry};
use crate::consume_queue_ext::UnitWindow;
use crate::record;
use crate::store::Store;

/// How often a query by key goes back in time when it found nothing that is still there.
const QUERY_ROUNDS: usize = 3;
/// The answer to a query by key.
#[derive(Clone, Debug, Default)]
pub struct QueryResult {
    /// The records, in the order of the log. Keys with the same hash are not told apart: clients do that.
    pub records: Vec<Bytes>,
    /// The store time of the newest indexed message, ms since 1970.
    pub index_last_update_timestamp: i64,
    /// Where the newest indexed message is.
    pub index_last_update_phyoffset: i64,
}

impl Store {
    /// The record that starts at this place, if one can be there.
    pub fn record_at(&self, physical_offset: i64) -> Option<Bytes> {
        self.log.record_at(physical_offset)
    }

    /// The first offset of a queue that can be read; 0 if there is no such queue.
    pub fn min_offset(&self, topic: &str, queue_id: i32) -> i64 {
        self.queues.get(topic, queue_id).map_or(0, |queue| queue.min())
    }

    /// The offset of the next message that consumers will see; 0 if there is no such queue.
    pub fn max_offset(&self, topic: &str, queue_id: i32) -> i64 {
        self.queues.get(topic, queue_id).map_or(0, |queue| self.visible_end(&queue))
    }

    /// The entry of a message, if the queue has it.
    pub fn entry(&self, topic: &str, queue_id: i32, offset: i64) -> Option<QueueEntry> {
        let queue = self.queues.get(topic, queue_id)?;
        let visible = (queue.min()..self.visible_end(&queue)).contains(&offset);
        let entry = visible.then(|| queue.entry(offset))?.filter(|entry| *entry != QueueEntry::BLANK)?;
        Some(self.with_tags_code(&queue, entry, &mut UnitWindow::default()).unwrap_or(entry))
    }

    /// When the message was stored, ms since 1970; -1 if it is not there.
    pub fn store_time_of(&self, topic: &str, queue_id: i32, offset: i64) -> i64 {
        let queue = self.queues.get(topic, queue_id);
        queue.and_then(|queue| self.time_of(&queue, offset)).unwrap_or(-1)
    }

    /// When the queue's first message was stored, ms since 1970; -1 if it has none.
    pub fn earliest_store_time(&self, topic: &str, queue_id: i32) -> i64 {
        let queue = self.queues.get(topic, queue_id);
        queue.and_then(|queue| self.time_of(&queue, queue.min())).unwrap_or(-1)
    }

    /// When the oldest message of the log was stored, ms since 1970; -1 if it has none.
    pub fn earliest_log_time(&self) -> i64 {
        self.log.store_timestamp_at(self.log.min(), record::STORE_TIMESTAMP_LEN).unwrap_or(-1)
    }

    fn time_of(&self, queue: &ConsumeQueue, offset: i64) -> Option<i64> {
        let entry = queue.entry(offset).filter(|entry| entry.physical_offset >= self.log.min())?;
        self.log.store_timestamp_at(entry.physical_offset, usize::try_from(entry.size).ok()?)
    }

    /// The offset of the message stored nearest to `timestamp` (ms since 1970), the earlier of two that are
    /// as near; 0 if the queue has none. As in Java, a time after the last message gives the last message.
    pub fn offset_by_time(&self, topic: &str, queue_id: i32, timestamp: i64) -> i64 {
        let Some(queue) = self.queues.get(topic, queue_id) else { return 0 };
        let (min, max) = (queue.min(), self.visible_end(&queue));
        let (mut low, mut high) = (min, max);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.time_of(&queue, middle) {
                Some(time) if time >= timestamp => high = middle,
                _ => low = middle + 1,
            }
        }
        if low >= max {
            return (max - 1).max(min).max(0);
        }
        let right = self.time_of(&queue, low).unwrap_or(i64::MAX);
        match (low > min).then(|| self.time_of(&queue, low - 1)).flatten() {
            Some(left) if timestamp - left <= right.saturating_sub(timestamp) && right != timestamp => {
                low - 1
            }
            _ => low,
        }
    }

    /// Messages of a topic with this key, or with this unique key, stored between two times (ms since 1970).
    pub fn query(&self, topic: &str, key: &str, max_num: usize, begin_ms: i64, end_ms: i64) -> QueryResult {
        let hash = record::index_hash(record::topic_hash(topic), key);
        let max = max_num.min(self.config().max_msgs_num_batch);
        let mut result = QueryResult::default();
        let mut end_ms = end_ms;
        for _ in 0..QUERY_ROUNDS {
            let mut matches = self.index.query(hash, max, begin_ms, end_ms);
            if matches.physical_offsets.is_empty() {
                break;
            }
            matches.physical_offsets.sort_unstable();
            matches.physical_offsets.dedup();
            result.index_last_update_timestamp = matches.last_update_timestamp;
            result.index_last_update_phyoffset = matches.last_update_physical_offset;
            for (at, offset) in matches.physical_offsets.into_iter().enumerate() {
                let Some(record) = self.record_at(offset) else { continue };
                if at == 0 {
                    end_ms = record::store_timestamp(&record).unwrap_or(end_ms);
                }
                result.records.push(record);
            }
            if !result.records.is_empty() || end_ms < begin_ms {
                break;
            }
        }
        result
    }

    /// Where the oldest segment starts.
    pub fn min_physical_offset(&self) -> i64 {
        self.log.min()
    }

    /// Where the next record goes.
    pub fn max_physical_offset(&self) -> i64 {
        self.log.written()
    }

    /// Everything before is on the disk.
    pub fn flushed_offset(&self) -> i64 {
        self.durability.flushed()
    }

    /// All queues that ever had a message and were not deleted: topic and queue id.
    pub fn queues(&self) -> Vec<(Text, i32)> {
        let queues = self.queues.all().into_iter().filter(|queue| queue.end() > 0);
        queues.map(|queue| (queue.topic.clone(), queue.queue_id)).collect()
    }
}
