//! Reading messages by queue offset. Java counterpart: `DefaultMessageStore.getMessage`.

use bytes::Bytes;

use crate::config::{StoreConfig, UNIT_LEN};
use crate::consume_queue::{ConsumeQueue, QueueEntry};
use crate::consume_queue_ext::{UnitWindow, place_of};
use crate::store::Store;

/// Entries that one get looks at, unless it may answer with more messages (Java: 16,000 bytes).
const SCAN_MAX: usize = 16_000 / UNIT_LEN;
/// Entries that are read at a time.
const CHUNK: usize = 64;
/// Bytes that one read of the log fetches at most, records and what lies between them.
const SPAN_MAX: i64 = 256 * 1024;
/// Bytes between two records that are read with them.
const GAP_MAX: i64 = 4096;
/// Bytes of records that one get reads when it has to look into them.
const LOOK_BYTES_MAX: usize = 8 << 20;

/// How much one get may answer with; the store's own `maxTransfer…` settings bound it as well.
#[derive(Clone, Copy, Debug)]
pub struct GetLimits {
    /// Messages. Default 32.
    pub count_max: usize,
    /// Bytes of records; one record is given even if it is longer. Default 256 KiB.
    pub bytes_max: usize,
}

impl Default for GetLimits {
    fn default() -> Self {
        Self { count_max: 32, bytes_max: 256 * 1024 }
    }
}

/// What became of a get. Java counterpart: `GetMessageStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GetStatus {
    /// There are messages.
    Found,
    /// None of those looked at matched the filter.
    NoMatchedMessage,
    /// The messages are being deleted.
    MessageWasRemoving,
    /// The entry could not be read.
    OffsetFoundNull,
    /// The offset is beyond the end.
    OffsetOverflowBadly,
    /// The offset is the end: the message asked for is the next to come.
    OffsetOverflowOne,
    /// The offset lies before the first message.
    OffsetTooSmall,
    /// There is no such queue. Java makes the queue instead and answers [`GetStatus::NoMessageInQueue`],
    /// and so does this store; the name is here for the mapping to response codes.
    NoMatchedLogicQueue,
    /// The queue never had a message.
    NoMessageInQueue,
}

/// The answer to a get.
#[derive(Clone, Debug)]
pub struct GetResult {
    /// What became of it.
    pub status: GetStatus,
    /// The records as they are in the log, one each.
    pub records: Vec<Bytes>,
    /// How many.
    pub message_count: usize,
    /// Bytes of all of them.
    pub bytes: usize,
    /// Where to go on.
    pub next_begin_offset: i64,
    /// The queue's first offset.
    pub min_offset: i64,
    /// The queue's next offset.
    pub max_offset: i64,
    /// Whether the reader is so far behind that a slave should serve it.
    pub suggest_pulling_from_slave: bool,
    /// Bytes from the newest message looked at to the end of the log; `None` if none was looked at.
    pub behind: Option<i64>,
    /// Of each record the offset that follows it. What it says itself is its offset in its own queue.
    next_offsets: Vec<i64>,
}

impl GetResult {
    fn empty(status: GetStatus, next_begin_offset: i64, min_offset: i64, max_offset: i64) -> Self {
        Self {
            status,
            records: Vec::new(),
            message_count: 0,
            bytes: 0,
            next_begin_offset,
            min_offset,
            max_offset,
            suggest_pulling_from_slave: false,
            behind: None,
            next_offsets: Vec::new(),
        }
    }
}

/// Entries chosen so far.
#[derive(Default)]
struct Picked {
    /// With the offset that follows each.
    entries: Vec<(QueueEntry, i64)>,
    bytes: usize,
}

impl Store {
    /// Messages of a queue from `offset` on for which `matches` accepts the tags code.
    pub fn get(
        &self,
        topic: &str,
        queue_id: i32,
        offset: i64,
        limits: &GetLimits,
        matches: &dyn Fn(i64) -> bool,
    ) -> GetResult {
        let mut window = UnitWindow::default();
        // Whose tags are not known goes out: clients look at them again.
        let mut goes_out = |queue: &ConsumeQueue, entry| {
            self.with_tags_code(queue, entry, &mut window).is_none_or(|entry| matches(entry.tags_code))
        };
        self.get_entries(topic, queue_id, offset, limits, &mut goes_out)
    }

    /// Messages of a queue from `offset` on whose entries go out.
    fn get_entries(
        &self,
        topic: &str,
        queue_id: i32,
        offset: i64,
        limits: &GetLimits,
        goes_out: &mut dyn FnMut(&ConsumeQueue, QueueEntry) -> bool,
    ) -> GetResult {
        let Some(queue) = self.queues.get(topic, queue_id) else {
            return GetResult::empty(GetStatus::NoMessageInQueue, 0, 0, 0);
        };
        let (min, max) = (queue.min(), self.visible_end(&queue));
        let empty = |status, next| GetResult::empty(status, next, min, max);
        if max == 0 {
            return empty(GetStatus::NoMessageInQueue, 0);
        }
        if offset < min {
            return empty(GetStatus::OffsetTooSmall, min);
        }
        if offset >= max {
            let one = offset == max;
            let status = if one { GetStatus::OffsetOverflowOne } else { GetStatus::OffsetOverflowBadly };
            return empty(status, max);
        }
        let (log_min, log_end) = (self.log.min(), self.log.written());
        let config = self.config();
        let memory = config.memory_bytes / 100 * config.access_message_in_memory_max_ratio;
        let mut result = empty(GetStatus::NoMatchedMessage, offset);
        let mut picked = Picked::default();
        let scan_max = SCAN_MAX.max(limits.count_max) as i64;
        let mut skip_before = i64::MIN;
        let mut newest = None;
        'scan: while result.next_begin_offset < max && result.next_begin_offset - offset < scan_max {
            let left = (max - result.next_begin_offset).min(offset + scan_max - result.next_begin_offset);
            let units = queue.read(result.next_begin_offset, (left as usize).min(CHUNK));
            if units.is_empty() {
                if result.next_begin_offset == offset {
                    // Java sends the reader on to the next file. But the disk may only have failed this once;
                    // and if the file has expired, the next get says where the queue begins.
                    return empty(GetStatus::OffsetFoundNull, offset);
                }
                break;
            }
            for entry in units.chunks_exact(UNIT_LEN).filter_map(QueueEntry::read) {
                newest = Some(entry.physical_offset);
                if entry.physical_offset < skip_before {
                    result.next_begin_offset += 1;
                    continue;
                }
                // An entry is the disk's word: it may say anything.
                let in_disk = log_end.saturating_sub(entry.physical_offset) > memory;
                let chosen = (picked.entries.len(), picked.bytes);
                if is_full(&config, limits, chosen, entry.size as usize, in_disk) {
                    break 'scan;
                }
                result.next_begin_offset += 1;
                if !goes_out(&queue, entry) {
                    continue;
                }
                if !entry.is_message() || entry.physical_offset < log_min {
                    if picked.entries.is_empty() {
                        result.status = GetStatus::MessageWasRemoving;
                    }
                    // Gone with its segment are the others in it. Nonsense says nothing about those behind it.
                    if entry.is_message() {
                        let segment = self.log.segment_len();
                        skip_before = entry.physical_offset - entry.physical_offset % segment + segment;
                    }
                    continue;
                }
                skip_before = i64::MIN;
                picked.bytes += entry.size as usize;
                picked.entries.push((entry, result.next_begin_offset));
            }
        }
        result.behind = newest.map(|newest| log_end.saturating_sub(newest));
        result.suggest_pulling_from_slave = result.behind.unwrap_or(log_end) > memory;
        self.fetch(&picked, &mut result);
        result
    }

    /// Messages of a queue from `offset` on that `wants` accepts, given the whole record. It reads what it
    /// leaves out, too, so it ends early when that is much: with what it has, or with
    /// [`GetStatus::NoMatchedMessage`]. Not read is what `may_want` leaves out, given the store time (ms since 1970)
    /// and the bit map of a message that has one.
    pub fn get_wanted(
        &self,
        topic: &str,
        queue_id: i32,
        offset: i64,
        limits: &GetLimits,
        may_want: &dyn Fn(i64, &[u8]) -> bool,
        wants: &dyn Fn(&[u8]) -> bool,
    ) -> GetResult {
        let config = self.config();
        let scan_max = SCAN_MAX.max(limits.count_max) as i64;
        let mut wanted: Vec<Bytes> = Vec::new();
        let (mut bytes, mut looked_at) = (0, 0);
        let mut next = offset;
        let mut window = UnitWindow::default();
        let mut goes_out = |queue: &ConsumeQueue, entry: QueueEntry| {
            let place = place_of(entry);
            let unit =
                place.and_then(|place| queue.units.get().and_then(|units| units.read(place, &mut window)));
            unit.is_none_or(|unit| unit.bit_map.is_empty() || may_want(unit.store_timestamp, unit.bit_map))
        };
        loop {
            let mut part = self.get_entries(topic, queue_id, next, &GetLimits::default(), &mut goes_out);
            let mut is_end = !matches!(part.status, GetStatus::Found | GetStatus::NoMatchedMessage);
            if is_end {
                if next == offset {
                    return part;
                }
                part.next_begin_offset = next;
            }
            let records = std::mem::take(&mut part.records).into_iter();
            for (record, next_offset) in records.zip(std::mem::take(&mut part.next_offsets)) {
                looked_at += record.len();
                if !wants(&record) {
                    continue;
                }
                let in_disk = part.suggest_pulling_from_slave;
                if is_full(&config, limits, (wanted.len(), bytes), record.len(), in_disk) {
                    part.next_begin_offset = next_offset - 1;
                    is_end = true;
                    break;
                }
                bytes += record.len();
                wanted.push(record);
            }
            next = part.next_begin_offset;
            is_end |= next >= part.max_offset || next - offset >= scan_max || looked_at >= LOOK_BYTES_MAX;
            if is_end {
                let status = if wanted.is_empty() { GetStatus::NoMatchedMessage } else { GetStatus::Found };
                return GetResult { status, message_count: wanted.len(), bytes, records: wanted, ..part };
            }
        }
    }

    /// Reads the chosen records. What cannot be read ends the answer. If it comes first the reader goes on behind
    /// it, as in Java: it has expired, or it would stop the queue for good.
    fn fetch(&self, picked: &Picked, result: &mut GetResult) {
        let mut span: Option<(i64, Bytes)> = None;
        for (at, (entry, next)) in picked.entries.iter().enumerate() {
            let (offset, size) = (entry.physical_offset, entry.size as usize);
            let in_span = |(start, bytes): &(i64, Bytes)| {
                let from = usize::try_from(offset - start).ok()?;
                (from + size <= bytes.len()).then(|| bytes.slice(from..from + size))
            };
            let mut record = span.as_ref().and_then(in_span).or_else(|| self.log.read_recent(offset, size));
            if record.is_none() {
                let len = self.span(offset, picked.entries.get(at..).unwrap_or_default());
                span = self.log.read(offset, len).map(|bytes| (offset, bytes));
                record = span.as_ref().and_then(in_span);
            }
            let Some(record) = record else {
                result.next_begin_offset = if at == 0 { *next } else { *next - 1 };
                if at == 0 {
                    result.status = GetStatus::MessageWasRemoving;
                }
                break;
            };
            result.status = GetStatus::Found;
            result.bytes += size;
            result.message_count += 1;
            result.records.push(record);
            result.next_offsets.push(*next);
        }
    }

    /// Bytes from `offset` on that are worth reading at once: what lies between two records may cost less to
    /// copy than a second read.
    fn span(&self, offset: i64, entries: &[(QueueEntry, i64)]) -> usize {
        let segment_end = (offset - offset % self.log.segment_len()).saturating_add(self.log.segment_len());
        let mut end = offset;
        for (entry, _) in entries {
            let gap = entry.physical_offset - end;
            let entry_end = entry.end();
            let fits = entry_end <= segment_end && (end == offset || entry_end - offset <= SPAN_MAX);
            if !(0..=GAP_MAX).contains(&gap) || !fits {
                break;
            }
            end = entry_end;
        }
        (end - offset) as usize
    }

    /// The queue's end as consumers may see it: in synchronous mode only what is durable.
    pub(crate) fn visible_end(&self, queue: &ConsumeQueue) -> i64 {
        if self.sync_flush() { queue.end_within(self.durability.flushed()) } else { queue.end() }
    }
}

/// Java's `isTheBatchFull`: whether a message of this size is too much for an answer with so many messages and bytes.
/// The first one always fits.
fn is_full(
    config: &StoreConfig,
    limits: &GetLimits,
    (count, bytes): (usize, usize),
    size: usize,
    in_disk: bool,
) -> bool {
    let (count_max, bytes_max) = if in_disk {
        (config.max_transfer_count_on_message_in_disk, config.max_transfer_bytes_on_message_in_disk)
    } else {
        (config.max_transfer_count_on_message_in_memory, config.max_transfer_bytes_on_message_in_memory)
    };
    let is_long = bytes.saturating_add(size) > bytes_max.min(limits.bytes_max);
    count > 0 && (count >= count_max.min(limits.count_max) || is_long)
}
