//! Finds where the log ends and makes queues and index agree with it.
//!
//! As in Java, the log ends at the first record that cannot be read, from a segment on that depends on whether
//! the store was closed; every record read on the way is given to its queue and the index again, which skip
//! what they have. Unlike Java:
//!
//! - a break before data that is known to have been on the disk is damage, not an end: the store does not open
//!   unless told to cut;
//! - what is cut is zeroed, so that no later recovery takes it for data;
//! - entries whose record is another one are dropped, and a queue with missing entries makes the scan begin
//!   earlier instead of going on with wrong numbers;
//! - an empty log does not delete the queues.
//!
//! Java counterparts: `recoverNormally`, `recoverAbnormally`, `truncateDirtyLogicFiles`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use ferrocket_protocol::message::{MAGIC_V1, MAGIC_V2};

use crate::checkpoint::Times;
use crate::commit_log::CommitLog;
use crate::config::{StoreConfig, UNIT_LEN};
use crate::consume_queue::{ConsumeQueue, QueueEntry};
use crate::consume_queue_ext::entry_of_record;
use crate::disk::{self, DiskFile, read_full, rewrite};
use crate::error::OpenError;
use crate::index::{Index, IndexKey};
use crate::queues::{Queues, is_folder_name};
use crate::record::{self, BLANK_LEN, Found, Place, StoreProperties};

/// Bytes of the log that are read at a time.
const WINDOW: i64 = 4 << 20;

/// What recovery works on.
pub(crate) struct Parts<'a> {
    pub(crate) config: &'a StoreConfig,
    pub(crate) log: &'a CommitLog,
    pub(crate) queues: &'a Queues,
    pub(crate) index: &'a Index,
    pub(crate) times: Times,
    pub(crate) delay_levels: &'a [i64],
    pub(crate) now_ms: i64,
    /// Whether entries may point to units of `consumequeue_ext`.
    pub(crate) has_ext: bool,
}

/// Where a scan of the log stopped.
enum Stop {
    /// At the end of the data, or at damage.
    End(LogEnd),
    /// A queue lacks entries from before the scan: begin again in the segment of this place.
    Earlier(i64),
}

struct LogEnd {
    offset: i64,
    why: &'static str,
    /// Store time of the newest record.
    timestamp: i64,
    /// From here to `offset` the log may be in memory only.
    unsynced: i64,
}

/// How a segment ends.
enum SegmentEnd {
    Blank(i64),
    Broken(i64, &'static str),
    Earlier(i64),
}

/// Recovers the store; `clean` says that it was closed. Returns the store time of the newest record, 0 if none
/// was read.
pub(crate) fn recover(parts: &Parts<'_>, clean: bool) -> Result<i64, OpenError> {
    let consume_queue_dir = parts.config.store_path_root_dir.join("consumequeue");
    let queue_io = |queue: &ConsumeQueue| {
        OpenError::io("recovering", &consume_queue_dir.join(&*queue.topic).join(queue.queue_id.to_string()))
    };
    let starts = parts.log.with_segments(|segments| segments.starts());
    // Until the end is known, all that is there may be read.
    let provisional = starts.last().map_or(0, |last| last + parts.log.segment_len());
    parts.log.start_at(provisional, 0);
    let synced = if clean { provisional } else { flushed_start(parts, &starts) };
    // All about a queue at once, while its files are open.
    for queue in parts.queues.all() {
        let recovered = queue
            .recover(synced)
            .and_then(|()| if starts.is_empty() { Ok(()) } else { drop_foreign_tail(parts, &queue, clean) });
        recovered.map_err(queue_io(&queue))?;
        queue.correct_min(parts.log.min());
        queue.close();
    }
    if starts.is_empty() {
        let filled = parts.queues.all().into_iter().find(|queue| queue.end() > 0);
        if let Some(queue) = filled.filter(|_| !parts.config.cut_damaged_log) {
            let problem = format!(
                "no segment is left although {} has messages; start with cutDamagedLog=true to give up all queues",
                queue.topic
            );
            return Err(OpenError::Layout { path: parts.config.commit_log_dir(), problem });
        }
        return finish(parts, 0, &LogEnd { offset: 0, why: "", timestamp: 0, unsynced: 0 });
    }
    let time_of = |offset| parts.log.store_timestamp_at(offset, record::STORE_TIMESTAMP_LEN);
    parts.index.recover(clean, parts.times.index, synced, time_of)?;

    let start = if clean { clean_start(parts, &starts) } else { synced };
    let mut from = index_start(parts, &starts, start);
    let end = loop {
        match scan(parts, &starts, from, clean)? {
            Stop::End(end) => break end,
            Stop::Earlier(place) => from = segment_of(parts, place),
        }
    };
    tracing::info!(clean, from, end = end.offset, why = end.why, "log recovered");
    if !parts.config.cut_damaged_log {
        refuse_damage(parts, &end, clean)?;
    }
    if parts.index.end().is_some_and(|indexed| indexed >= end.offset) {
        parts.index.recover(false, i64::MIN, end.offset, time_of)?;
    }
    if !clean {
        for queue in parts.queues.all() {
            if parts.has_ext {
                let right = |entry| entry_of_record(parts.log, parts.delay_levels, entry);
                queue.correct(queue.first_behind(synced), &right).map_err(queue_io(&queue))?;
            }
            queue.mark_unsynced(synced).map_err(queue_io(&queue))?;
            // Leaves its place to the next one's, which are then opened once, too.
            queue.close();
        }
    }
    let newest = finish(parts, from, &end)?;
    // What was made again, before the next crash: Java, which may be the one that opens then, makes up for less.
    match parts.index.write_out(true) {
        Err(error) if disk::is_full(&error) => tracing::warn!(%error, "the index waits in memory"),
        written => {
            written.map_err(OpenError::io("writing", &parts.config.store_path_root_dir.join("index")))?;
        }
    }
    Ok(newest)
}

fn segment_of(parts: &Parts<'_>, offset: i64) -> i64 {
    offset - offset % parts.log.segment_len()
}

fn segment_path(parts: &Parts<'_>, start: i64) -> PathBuf {
    parts.log.with_segments(|segments| segments.path(start))
}

/// After a clean stop: the last segment into which a queue reaches, or the first.
fn clean_start(parts: &Parts<'_>, starts: &[i64]) -> i64 {
    let reached = parts.queues.all().iter().map(|queue| queue.max_physical()).max().unwrap_or(0);
    let at = starts.partition_point(|start| *start <= reached).saturating_sub(1);
    starts.get(at).copied().unwrap_or(0)
}

/// After a crash: the newest segment whose first record is not younger than the checkpoint, or the first.
/// Everything before it is on the disk, queues too.
fn flushed_start(parts: &Parts<'_>, starts: &[i64]) -> i64 {
    let flushed = parts.times.recovery_start();
    let is_flushed = |start: &i64| {
        let head = parts.log.read(*start, record::STORE_TIMESTAMP_LEN);
        let is_message = |head: &Bytes| {
            record::size_and_magic(head).is_some_and(|(_, magic)| [MAGIC_V1, MAGIC_V2].contains(&magic))
        };
        let time = head.filter(is_message).and_then(|head| record::store_timestamp(&head)).unwrap_or(0);
        time != 0 && time <= flushed
    };
    let first = starts.first().copied().unwrap_or(0);
    starts.iter().rev().copied().find(is_flushed).unwrap_or(first)
}

/// Where the scan begins if the rest needs it from `start` on: not behind the end of the index.
fn index_start(parts: &Parts<'_>, starts: &[i64], start: i64) -> i64 {
    let first = starts.first().copied().unwrap_or(0);
    match parts.index.end().filter(|_| parts.config.message_index_enable) {
        Some(indexed) => start.min(segment_of(parts, indexed).max(first)),
        None => start,
    }
}

/// Drops entries at the end of a queue whose record is not the one they mean: Java leaves such entries behind
/// when it truncates, and takes them up again later. Of a torn entry only the tags code may be wrong.
fn drop_foreign_tail(parts: &Parts<'_>, queue: &ConsumeQueue, clean: bool) -> std::io::Result<()> {
    let file_len = parts.config.consume_queue_file_len();
    let mut end = queue.end();
    while let Some(entry) = queue.entry(end - 1) {
        if entry == QueueEntry::BLANK || entry.physical_offset < parts.log.min() {
            break;
        }
        let at = (end - 1) * UNIT_LEN as i64 % file_len;
        match own_record(parts, queue, end - 1, entry) {
            Some((_, whole)) if clean || !entry.is_torn(whole, at) => break,
            _ => end -= 1,
        }
    }
    queue.cut(end)
}

/// The record that an entry means, if there is one and it is that: its store time and its entry.
fn own_record(
    parts: &Parts<'_>,
    queue: &ConsumeQueue,
    number: i64,
    entry: QueueEntry,
) -> Option<(i64, QueueEntry)> {
    let size = usize::try_from(entry.size).ok()?;
    let bytes = parts.log.read(entry.physical_offset, size)?;
    let Place::Record(found) = record::read(&bytes, false) else { return None };
    let properties = StoreProperties::read(&found.properties);
    let in_place =
        found.queue_id == queue.queue_id && found.queue_offset == number && *found.topic == *queue.topic;
    let listed = || {
        let places = properties.places;
        places.has(found.queue_id, found.physical_offset, &queue.topic, queue.queue_id, number)
    };
    let own = found.size == size && found.physical_offset == entry.physical_offset && (in_place || listed());
    own.then(|| (found.store_timestamp, entry_of(parts, &found, &properties)))
}

fn entry_of(parts: &Parts<'_>, found: &Found<'_>, properties: &StoreProperties<'_>) -> QueueEntry {
    let tags_code = properties.tags_code(&found.topic, found.store_timestamp, parts.delay_levels);
    QueueEntry { physical_offset: found.physical_offset, size: found.size as i32, tags_code }
}

/// Reads the log from a segment's start to its end and gives every record to its queue and the index.
fn scan(parts: &Parts<'_>, starts: &[i64], from: i64, clean: bool) -> Result<Stop, OpenError> {
    let mut timestamp = 0;
    let mut unsynced = None;
    let mut end = LogEnd { offset: from, why: "no segment", timestamp: 0, unsynced: from };
    for start in starts.iter().copied().filter(|start| *start >= from) {
        let path = segment_path(parts, start);
        let file = parts.log.with_segments(|segments| segments.file_of(start));
        let Some((_, file)) = file.map_err(OpenError::io("opening", &path))? else { break };
        let mut visit = |found: &Found<'_>| {
            timestamp = found.store_timestamp;
            if !clean && timestamp >= parts.times.physic {
                unsynced.get_or_insert(found.physical_offset);
            }
            dispatch(parts, found, from)
        };
        let ended =
            scan_segment(parts, &file, start, clean, &mut visit).map_err(OpenError::io("reading", &path))?;
        // What a rebuild holds in memory is bounded by a segment's messages.
        for queue in parts.queues.take_dirty() {
            queue.write_out().map_err(OpenError::io("writing a queue of", &path))?;
            parts.queues.list_dirty(&queue);
        }
        match ended {
            SegmentEnd::Earlier(place) => return Ok(Stop::Earlier(place)),
            SegmentEnd::Blank(offset) => {
                let unsynced = unsynced.unwrap_or(offset);
                end = LogEnd { offset, why: "no segment follows", timestamp, unsynced };
            }
            SegmentEnd::Broken(offset, why) => {
                let unsynced = unsynced.unwrap_or(offset);
                return Ok(Stop::End(LogEnd { offset, why, timestamp, unsynced }));
            }
        }
    }
    Ok(Stop::End(end))
}

fn scan_segment(
    parts: &Parts<'_>,
    file: &Arc<dyn DiskFile>,
    start: i64,
    clean: bool,
    visit: &mut dyn FnMut(&Found<'_>) -> std::io::Result<Option<i64>>,
) -> std::io::Result<SegmentEnd> {
    let len = parts.log.segment_len();
    let check_crc = parts.config.check_crc_on_recover;
    let mut window = Window { file, len, from: 0, bytes: Vec::new() };
    let mut at = 0;
    loop {
        let broken = |why| Ok(SegmentEnd::Broken(start + at, why));
        if at + BLANK_LEN > len {
            return broken("the segment is full");
        }
        let size = record::size_and_magic(window.get(at, BLANK_LEN)?).map_or(0, |(size, _)| i64::from(size));
        let need = if (BLANK_LEN..=len - at).contains(&size) { size } else { BLANK_LEN };
        let bytes = window.get(at, need)?;
        match record::read(bytes, check_crc) {
            Place::Blank => return Ok(SegmentEnd::Blank(start + at)),
            Place::Broken(why) => return broken(why),
            Place::Record(found) if found.physical_offset != start + at => {
                return broken("the record belongs to another place");
            }
            Place::Record(found) if !clean && record::is_torn(bytes, start + at, found.text_at) => {
                return broken("the record is torn");
            }
            Place::Record(found) => {
                if let Some(place) = visit(&found)? {
                    return Ok(SegmentEnd::Earlier(place));
                }
                at += size;
            }
        }
    }
}

/// A part of a segment in memory.
struct Window<'a> {
    file: &'a Arc<dyn DiskFile>,
    len: i64,
    from: i64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    /// `need` bytes at `at`, both within the segment.
    fn get(&mut self, at: i64, need: i64) -> std::io::Result<&[u8]> {
        let covered = at >= self.from && at + need <= self.from + self.bytes.len() as i64;
        if !covered {
            self.bytes.resize(need.max(WINDOW).min(self.len - at) as usize, 0);
            read_full(&**self.file, &mut self.bytes, at as u64)?;
            self.from = at;
        }
        let at = (at - self.from) as usize;
        Ok(self.bytes.get(at..at + need as usize).unwrap_or_default())
    }
}

/// Gives a record to its queue and the index. Returns a place if the scan must begin earlier, there.
fn dispatch(parts: &Parts<'_>, found: &Found<'_>, from: i64) -> std::io::Result<Option<i64>> {
    if !is_folder_name(&found.topic) {
        tracing::warn!(topic = %found.topic, "a record's topic cannot have a queue");
        return Ok(None);
    }
    let properties = StoreProperties::read(&found.properties);
    let queue = parts.queues.get_or_create(&found.topic, found.queue_id);
    if record::has_queue_offset(found.sys_flag) {
        let entry = entry_of(parts, found, &properties);
        if let Some(earlier) = restore(parts, &queue, found.queue_offset, entry, from)? {
            return Ok(Some(earlier));
        }
        if parts.config.enable_multi_dispatch {
            let others = properties.places.queues(parts.config, found.queue_id, found.physical_offset);
            for (topic, queue_id, number) in others {
                let queue = parts.queues.get_or_create(topic, queue_id);
                if let Some(earlier) = restore(parts, &queue, number, entry, from)? {
                    return Ok(Some(earlier));
                }
            }
        }
    }
    if parts.config.message_index_enable && record::is_indexed(found.sys_flag) {
        let mut index = parts.index.lock();
        if !parts.index.has(&index, found.physical_offset) {
            let hashes = properties.key_hashes(queue.key_hash);
            let (physical_offset, store_timestamp) = (found.physical_offset, found.store_timestamp);
            let keys: Vec<IndexKey> =
                hashes.map(|hash| IndexKey { hash, physical_offset, store_timestamp }).collect();
            let crowded = parts.index.put(&mut index, &keys, parts.now_ms);
            drop(index);
            if crowded {
                parts.index.write_out(false)?;
            }
        }
    }
    Ok(None)
}

/// Gives a queue an entry. Returns a place if the scan must begin earlier, there.
fn restore(
    parts: &Parts<'_>,
    queue: &Arc<ConsumeQueue>,
    number: i64,
    entry: QueueEntry,
    from: i64,
) -> std::io::Result<Option<i64>> {
    if !queue.restore(number, entry, false)? {
        let missing = segment_of(parts, queue.max_physical()).max(parts.log.min());
        if missing < from {
            return Ok(Some(missing));
        }
        queue.restore(number, entry, true)?;
    }
    parts.queues.list_dirty(queue);
    Ok(None)
}

/// Tells damage from an end: behind an end lies nothing that had reached the disk.
fn refuse_damage(parts: &Parts<'_>, end: &LogEnd, clean: bool) -> Result<(), OpenError> {
    for queue in parts.queues.all().into_iter().filter(|queue| queue.max_physical() > end.offset) {
        // The oldest message behind the end that can still be read.
        let behind = queue.first_behind(end.offset)..queue.end();
        let time =
            behind.into_iter().find_map(|number| own_record(parts, &queue, number, queue.entry(number)?));
        // Times are those of milliseconds: one that equals the checkpoint's may not have been flushed.
        let durable = time.is_some_and(|(time, _)| clean || time < parts.times.physic);
        if durable {
            return Err(OpenError::Damaged {
                path: segment_path(parts, segment_of(parts, end.offset)),
                physical_offset: end.offset,
                problem: end.why.to_owned(),
            });
        }
    }
    Ok(())
}

/// Cuts log and queues to the end and sets where they go on. After a kill what was read from `from` on may be in
/// memory only: it is synced, as it counts as flushed from now on. What no checkpoint covers is written again
/// before, as the program may have ended because a sync had failed.
fn finish(parts: &Parts<'_>, from: i64, end: &LogEnd) -> Result<i64, OpenError> {
    let dir = parts.config.commit_log_dir();
    parts.log.sync_names().map_err(OpenError::io("syncing", &dir))?;
    let mut at = end.unsynced;
    while at < end.offset {
        let file = parts.log.with_segments(|segments| segments.file_of(at));
        let Some((start, file)) = file.map_err(OpenError::io("opening the log in", &dir))? else { break };
        let to = end.offset.min(start + parts.log.segment_len());
        let rewritten = rewrite(&*file, (at - start) as u64, (to - start) as u64);
        rewritten.map_err(OpenError::io("writing the log in", &dir))?;
        at = to;
    }
    for file in parts.log.files_between(from, end.offset) {
        file.sync().map_err(OpenError::io("syncing the log in", &dir))?;
    }
    let cut = parts.log.with_segments(|segments| {
        // The segment that the end is in stays, even if it is empty: a log has one segment at least.
        while segments.last().is_some_and(|start| start > end.offset && segments.count() > 1) {
            segments.remove_last()?;
        }
        let Some((start, file)) = segments.file_of(end.offset)? else { return Ok(()) };
        file.zero_from((end.offset - start) as u64)?;
        file.sync()
    });
    cut.map_err(OpenError::io("cutting the log in", &dir))?;
    parts.log.start_at(end.offset, end.timestamp);
    let queue_dir = parts.config.store_path_root_dir.join("consumequeue");
    for queue in parts.queues.all() {
        if queue.max_physical() > end.offset {
            let cut = queue.cut(queue.first_behind(end.offset));
            cut.map_err(OpenError::io("cutting a queue in", &queue_dir))?;
            queue.correct_min(parts.log.min());
        }
        queue.next.store(queue.end(), Ordering::Release);
    }
    let empty = |queue: &ConsumeQueue| queue.end() == 0;
    parts.queues.remove(empty).map_err(OpenError::io("removing an empty queue in", &queue_dir))?;
    Ok(end.timestamp)
}
