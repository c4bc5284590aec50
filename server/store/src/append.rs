//! The way of a message into the store: records are encoded outside the lock; within it a group gets its
//! offsets and goes to the CommitLog with one `pwrite`, and its ConsumeQueue entries and index keys are made
//! in the same round. Java counterparts: `CommitLog.asyncPutMessage(s)`, `ReputMessageService`.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use ferrocket_protocol::MessageRecord;
use ferrocket_protocol::message::{
    PHYSICAL_OFFSET_AT, PROPERTIES_LEN_MAX, QUEUE_OFFSET_AT, TOPIC_LEN_MAX, store_timestamp_at,
};

use crate::commit_log::Tail;
use crate::config::{RECORD_LEN_MAX, StoreConfig};
use crate::consume_queue::{ConsumeQueue, PENDING_BYTES_MAX, QueueEntry};
use crate::consume_queue_ext::{BitMap, BitMaps, ExtUnit};
use crate::disk;
use crate::error::{AppendError, StoreError};
use crate::index::IndexKey;
use crate::multi_dispatch::{self, Listed};
use crate::queues::is_folder_name;
use crate::record::{self, BLANK_LEN, StoreProperties};
use crate::store::{Arrival, Store};

/// A message to store, or a batch: several for one topic and queue, which get consecutive offsets and stay in
/// one segment.
#[derive(Clone, Debug)]
pub struct Append {
    /// The messages. Queue offset, physical offset, store timestamp and store host are filled in by the store.
    pub records: Vec<MessageRecord>,
}

/// Where a message, or a batch, was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Where the first record starts.
    pub physical_offset: i64,
    /// Where the last record ends: what [`Store::wait_durable`] takes.
    pub end_offset: i64,
    /// The first message's queue offset; 0 for half and rolled back messages, which have none.
    pub queue_offset: i64,
    /// When they were stored, ms since 1970.
    pub store_timestamp: i64,
    /// Where each record starts.
    pub physical_offsets: Vec<i64>,
}

/// The accepted appends of a group, with all that can be known of them before they have offsets.
#[derive(Default)]
struct Group<'a> {
    parts: Vec<Part>,
    /// The records of all parts.
    records: Vec<Encoded<'a>>,
    bytes: Vec<u8>,
}

/// An append that was accepted, encoded into its place of the group's buffer.
struct Part {
    records: usize,
    bytes: Range<usize>,
    queue: Arc<ConsumeQueue>,
}

struct Encoded<'a> {
    len: usize,
    flags: i32,
    /// Bytes of the properties, which are the end of the record.
    properties_len: usize,
    properties: StoreProperties<'a>,
    /// With `enableConsumeQueueExt`: which filters want it.
    bit_map: Option<BitMap>,
    /// Other queues that it stands in, too.
    listed: Listed,
    /// Its place in its queue and in those, given under the lock.
    queue_offset: i64,
    places: Vec<i64>,
}

/// What readers shall see of a group once it is written.
#[derive(Default)]
struct Placed {
    answers: Vec<Appended>,
    arrivals: Vec<Arrival>,
    keys: Vec<IndexKey>,
    /// Physical offsets, and which bytes of the group's buffer go there. More than one if a segment ends.
    runs: Vec<(i64, Range<usize>)>,
}

impl Placed {
    /// Takes back what was not written: everything from `end` on. Only under the lock of the tail, so that the
    /// queue offsets are given again.
    fn take_back(&mut self, end: i64) {
        let kept = self.arrivals.partition_point(|arrival| arrival.entry.end() <= end);
        for arrival in self.arrivals.drain(kept..) {
            arrival.queue.next.fetch_sub(1, Ordering::Relaxed);
        }
        self.keys.retain(|key| key.physical_offset < end);
    }
}

impl Store {
    /// Stores a group of messages: one lock, one write (two when a segment ends within the group). Blocks for
    /// as long as that takes. The answers come in the order of the group.
    ///
    /// In synchronous mode a message is durable only after [`Store::wait_durable`] of its
    /// [`Appended::end_offset`], and no consumer sees it before.
    pub fn append(&self, mut group: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
        let config = self.config();
        let mut len = 0;
        for record in group.iter_mut().flat_map(|append| &mut append.records) {
            record.store_host = config.store_host;
            multi_dispatch::prepare(record);
            len += record.encoded_len();
        }
        let mut accepted = Group { bytes: Vec::with_capacity(len), ..Group::default() };
        let refusals: Vec<Option<AppendError>> =
            group.iter().map(|append| self.encode(&config, append, &mut accepted).err()).collect();
        let mut placed = self.place(accepted).map(Vec::into_iter);
        let answer = |refusal| match (refusal, &mut placed) {
            (Some(refusal), _) => Err(refusal),
            (None, Ok(placed)) => placed.next().expect("every part was placed"),
            (None, Err(refusal)) => Err(refusal.clone()),
        };
        refusals.into_iter().map(answer).collect()
    }

    /// Adds an append to its group if it can be stored.
    fn encode<'a>(
        &self,
        config: &StoreConfig,
        append: &'a Append,
        group: &mut Group<'a>,
    ) -> Result<(), AppendError> {
        let first = self.check(config, append)?;
        multi_dispatch::admit_new(config, &self.queues, &[(&first.topic, first.queue_id)])?;
        let mut listed = Listed::default();
        if config.enable_multi_dispatch && append.records.len() == 1 {
            listed = multi_dispatch::find(config, &self.queues, first)?;
            self.check_len(first, first.encoded_len(), listed.len_max())?;
        }
        let bit_maps = self.bit_maps();
        let from = group.bytes.len();
        for record in &append.records {
            record.encode(&mut group.bytes);
            group.records.push(Encoded {
                len: record.encoded_len(),
                flags: record.wire_sys_flag(),
                properties_len: record.properties.len(),
                properties: StoreProperties::read(&record.properties),
                bit_map: bit_maps.as_ref().and_then(|maps| maps.bit_map(&record.topic, &record.properties)),
                listed: std::mem::take(&mut listed),
                queue_offset: 0,
                places: Vec::new(),
            });
        }
        let queue = self.queues.get_or_create(&first.topic, first.queue_id);
        group.parts.push(Part { records: append.records.len(), bytes: from..group.bytes.len(), queue });
        Ok(())
    }

    /// Whether the append can be stored at all. Returns its first record.
    fn check<'a>(&self, config: &StoreConfig, append: &'a Append) -> Result<&'a MessageRecord, AppendError> {
        let first = append.records.first().ok_or(AppendError::Batch)?;
        let mut len = 0;
        for record in &append.records {
            if record.topic != first.topic || record.queue_id != first.queue_id {
                return Err(AppendError::Batch);
            }
            if record.topic.len() > TOPIC_LEN_MAX || !is_folder_name(&record.topic) || record.queue_id < 0 {
                return Err(AppendError::Topic { len: record.topic.len() });
            }
            self.check_len(record, 0, 0)?;
            if record.body.len() > config.max_message_size {
                return Err(AppendError::Size { len: record.body.len(), max: config.max_message_size });
            }
            if record.encoded_len() > RECORD_LEN_MAX {
                return Err(AppendError::Size { len: record.encoded_len(), max: RECORD_LEN_MAX });
            }
            len += record.encoded_len();
        }
        self.check_len(first, len, 0)?;
        Ok(first)
    }

    /// Whether properties that grow by `more` bytes, and `len` bytes of records that do, can be stored.
    fn check_len(&self, record: &MessageRecord, len: usize, more: usize) -> Result<(), AppendError> {
        let properties = record.properties.len() + more;
        if properties > PROPERTIES_LEN_MAX {
            return Err(AppendError::Properties { len: properties });
        }
        let (len, max) = (len + more, (self.log.segment_len() - BLANK_LEN) as usize);
        if len > max { Err(AppendError::Size { len, max }) } else { Ok(()) }
    }

    /// Gives a group its offsets, writes it and shows it to readers. On a full disk the first parts may be stored
    /// and the others not.
    fn place(&self, mut group: Group<'_>) -> Result<Vec<Result<Appended, AppendError>>, AppendError> {
        if group.parts.is_empty() {
            return Ok(Vec::new());
        }
        let mut tail = self.log.tail();
        self.admits()?;
        let now_ms = self.clock.now_ms();
        let newest = tail.timestamp;
        self.appending_since.store(now_ms, Ordering::Relaxed);
        let store_timestamp = tail.stamp(now_ms);
        if store_timestamp < newest {
            let lowered = self.checkpoint.lock().expect("checkpoint").lower(store_timestamp);
            lowered.map_err(|error| self.failed("writing the checkpoint", &error))?;
        }
        number(&mut group);
        let mut placed = self.assign(tail.end, store_timestamp, &mut group);
        let bytes = Bytes::from(group.bytes);
        let written = self.write_runs(&mut tail, &placed.runs, &bytes);
        self.appending_since.store(0, Ordering::Relaxed);
        match written {
            Err(error) if disk::is_full(&error) => {
                self.note_full(&error);
                placed.take_back(tail.end);
            }
            written => written.map_err(|error| self.failed("writing the CommitLog", &error))?,
        }
        let end = tail.end;
        let Placed { answers, mut arrivals, keys, .. } = placed;
        let mut crowded = false;
        for arrival in &mut arrivals {
            let waiting = match arrival.unit.take() {
                Some(unit) => arrival.queue.push_with(arrival.entry, &unit),
                None => arrival.queue.push(arrival.entry),
            };
            crowded |= waiting >= PENDING_BYTES_MAX;
            self.queues.list_dirty(&arrival.queue);
        }
        let crowded_arrivals = self.sync_flush() && self.park_arrivals(std::mem::take(&mut arrivals));
        // Taken before the tail is let go: index entries come in the order of the log.
        let mut index = (!keys.is_empty()).then(|| self.index.lock());
        drop(tail);
        if let Some(index) = &mut index {
            crowded |= self.index.put(index, &keys, now_ms);
        }
        drop(index);
        // More unflushed messages than may wait: the appender pays for the flush. If the store was closed
        // meanwhile, closing has flushed them.
        if crowded_arrivals && let Err(why @ StoreError::Failed(_)) = self.flush() {
            return Err(why.into());
        }
        self.announce(&arrivals);
        self.wake_keepers(crowded);
        let is_stored = |answer: &Appended| answer.end_offset <= end;
        Ok(answers
            .into_iter()
            .map(|answer| if is_stored(&answer) { Ok(answer) } else { Err(AppendError::DiskFull) })
            .collect())
    }

    /// Decides where each record goes and writes that into it.
    fn assign(&self, mut end: i64, store_timestamp: i64, group: &mut Group<'_>) -> Placed {
        let mut placed = Placed { answers: Vec::with_capacity(group.parts.len()), ..Placed::default() };
        let mut rest = &mut group.bytes[..];
        let mut records = group.records.iter();
        let bit_maps = self.bit_maps();
        let index_enable = self.opened.message_index_enable;
        for part in &group.parts {
            let len = part.bytes.len() as i64;
            let room = self.log.segment_len() - end % self.log.segment_len();
            if len + BLANK_LEN > room {
                end += room;
            }
            match placed.runs.last_mut() {
                Some((start, run)) if *start + run.len() as i64 == end => run.end = part.bytes.end,
                _ => placed.runs.push((end, part.bytes.clone())),
            }
            let mut appended = Appended {
                physical_offset: end,
                end_offset: end + len,
                queue_offset: 0,
                store_timestamp,
                physical_offsets: Vec::with_capacity(part.records),
            };
            for encoded in records.by_ref().take(part.records) {
                let Encoded { len, flags, properties, queue_offset, listed, places, bit_map, .. } = encoded;
                let (shown, queue_offset) = (record::has_queue_offset(*flags), *queue_offset);
                if appended.physical_offsets.is_empty() {
                    appended.queue_offset = queue_offset;
                }
                let physical_offset = end;
                appended.physical_offsets.push(physical_offset);
                let record;
                (record, rest) = rest.split_at_mut(*len);
                patch(record, QUEUE_OFFSET_AT, queue_offset);
                patch(record, PHYSICAL_OFFSET_AT, physical_offset);
                patch(record, store_timestamp_at(*flags), store_timestamp);
                if index_enable && record::is_indexed(*flags) {
                    let hashes = properties.key_hashes(part.queue.key_hash);
                    placed.keys.extend(hashes.map(|hash| IndexKey {
                        hash,
                        physical_offset,
                        store_timestamp,
                    }));
                }
                if shown {
                    let topic = &part.queue.topic;
                    let tags_code = properties.tags_code(topic, store_timestamp, &self.delay_levels);
                    let entry = QueueEntry { physical_offset, size: *len as i32, tags_code };
                    let queue = part.queue.clone();
                    let unit = self.opened.enable_consume_queue_ext.then(|| {
                        let is_current =
                            |map: &&BitMap| bit_maps.as_ref().is_some_and(|maps| maps.is_current(map));
                        let bit_map = bit_map.as_ref().filter(is_current).map_or(&[][..], |map| &map.bits);
                        ExtUnit { tags_code, store_timestamp, bit_map }.to_bytes()
                    });
                    placed.arrivals.push(Arrival { queue, entry, queue_offset, unit });
                    // As in Java their entries hold the tags code.
                    placed.arrivals.extend(listed.with(places).map(|(queue, queue_offset)| Arrival {
                        queue: queue.clone(),
                        entry,
                        queue_offset,
                        unit: None,
                    }));
                }
                end += *len as i64;
            }
            placed.answers.push(appended);
        }
        placed
    }

    /// Who makes bit maps, if entries have units that hold them.
    fn bit_maps(&self) -> Option<Arc<dyn BitMaps>> {
        let bit_maps = self.opened.enable_consume_queue_ext.then(|| self.bit_maps.read().expect("bit maps"));
        bit_maps.and_then(|bit_maps| bit_maps.clone())
    }

    /// Writes each run where it belongs, filling the segment that ends before it with a blank.
    fn write_runs(&self, tail: &mut Tail, runs: &[(i64, Range<usize>)], bytes: &Bytes) -> io::Result<()> {
        for (start, run) in runs {
            if tail.end != *start {
                self.log.roll(tail)?;
            }
            assert_eq!(tail.end, *start, "records go where their offsets say");
            self.log.write(tail, &bytes.slice(run.clone()))?;
        }
        Ok(())
    }
}

/// Gives every message its places in the queues. Those in other queues are written into it, which makes it
/// longer: the group's buffer is then put together anew.
fn number(group: &mut Group<'_>) {
    let mut records = group.records.iter_mut();
    let mut is_longer = false;
    for part in &group.parts {
        for record in records.by_ref().take(part.records) {
            if record::has_queue_offset(record.flags) {
                record.queue_offset = part.queue.next.fetch_add(1, Ordering::Relaxed);
                record.places = record.listed.take_places();
                is_longer |= !record.listed.is_empty();
            }
        }
    }
    if !is_longer {
        return;
    }
    let old = std::mem::take(&mut group.bytes);
    let mut rest = &old[..];
    let mut records = group.records.iter_mut();
    for part in &mut group.parts {
        let from = group.bytes.len();
        for record in records.by_ref().take(part.records) {
            let bytes;
            (bytes, rest) = rest.split_at(record.len);
            let start = group.bytes.len();
            group.bytes.extend_from_slice(bytes);
            if record.listed.is_empty() {
                continue;
            }
            let property = record.listed.property(record.queue_offset, &record.places);
            group.bytes.extend_from_slice(property.as_bytes());
            let len_at = start + record.len - record.properties_len - 2;
            record.len += property.len();
            record.properties_len += property.len();
            group.bytes[start..start + 4].copy_from_slice(&(record.len as i32).to_be_bytes());
            group.bytes[len_at..len_at + 2].copy_from_slice(&(record.properties_len as i16).to_be_bytes());
        }
        part.bytes = from..group.bytes.len();
    }
}

fn patch(record: &mut [u8], at: usize, value: i64) {
    record[at..at + 8].copy_from_slice(&value.to_be_bytes());
}
