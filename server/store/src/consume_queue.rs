//! A ConsumeQueue: the numbered list of one queue's messages, as positions in the CommitLog.
//!
//! ```text
//! entry, 20 bytes:  physical offset 8 | record size 4 | tags code 8
//! ```
//!
//! The entry's number is the message's queue offset. New entries are kept in memory, where readers find them,
//! and are written out in rounds: the CommitLog can give them again. An entry `(0, 2147483647, 0)` fills the
//! head of a queue whose first messages are gone. Java counterpart: `ConsumeQueue`; its extension files
//! are in `consume_queue_ext.rs`.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};

use ferrocket_protocol::Text;

use crate::config::UNIT_LEN;
use crate::consume_queue_ext::{Units, place_of};
use crate::disk::{read_full, write_full};
use crate::queue_files::{Files, Tail, sync_apart};
use crate::record;
use crate::segments::Segments;

const UNIT: i64 = UNIT_LEN as i64;
/// The smallest piece that a disk writes as a whole.
const SECTOR_LEN: i64 = 512;
/// Bytes that recovery reads at a time, and at first: most of very many queues are short.
const SCAN_CHUNK: usize = 64 * 1024;
const SCAN_CHUNK_FIRST: usize = 2 * 1024;
/// Entries of a queue. Files have places for some more, for those behind the last one that a record asks for.
const ENTRIES_MAX: i64 = (i64::MAX - (1 << 40)) / UNIT;
/// Entries that [`ConsumeQueue::correct`] reads at a time.
const CORRECT_CHUNK: usize = 3_200;
/// Files, from the last one back, in which recovery looks for the end, as Java does.
const RECENT_FILES: usize = 3;
/// Bytes of entries in memory at which recovery writes them out and an append asks the keeper to.
pub(crate) const PENDING_BYTES_MAX: usize = 1 << 20;

/// One entry of a ConsumeQueue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueEntry {
    /// Where the record stands in the CommitLog.
    pub physical_offset: i64,
    /// Bytes of the record.
    pub size: i32,
    /// Hash of the tags, or when a delayed message is due (ms since 1970). In a file it may be the place of a unit
    /// that holds it (see `consume_queue_ext.rs`); what [`crate::Store`] gives out is the code itself.
    pub tags_code: i64,
}

impl QueueEntry {
    /// Fills the head of a queue that does not begin at 0.
    pub(crate) const BLANK: Self = Self { physical_offset: 0, size: i32::MAX, tags_code: 0 };

    pub(crate) fn to_bytes(self) -> [u8; UNIT_LEN] {
        let mut bytes = [0; UNIT_LEN];
        bytes[..8].copy_from_slice(&self.physical_offset.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.size.to_be_bytes());
        bytes[12..].copy_from_slice(&self.tags_code.to_be_bytes());
        bytes
    }

    /// The first entry of `bytes`.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (physical_offset, rest) = bytes.split_first_chunk()?;
        let (size, rest) = rest.split_first_chunk()?;
        let tags_code = rest.first_chunk()?;
        Some(Self {
            physical_offset: i64::from_be_bytes(*physical_offset),
            size: i32::from_be_bytes(*size),
            tags_code: i64::from_be_bytes(*tags_code),
        })
    }

    /// Java's test for the end of a queue.
    fn is_valid(self) -> bool {
        self.physical_offset >= 0 && self.size > 0
    }

    /// Whether a power cut can have made `self` out of `whole`: both are the same up to where a disk sector ends
    /// within the entry, which stands at `at` in its file, and `self` is zero from there on.
    pub(crate) fn is_torn(self, whole: Self, at: i64) -> bool {
        let kept = (-at).rem_euclid(SECTOR_LEN) as usize;
        let (torn, whole) = (self.to_bytes(), whole.to_bytes());
        kept > 0
            && kept < UNIT_LEN
            && torn != whole
            && torn[..kept] == whole[..kept]
            && torn[kept..].iter().all(|byte| *byte == 0)
    }

    /// Whether it can belong to a message.
    pub(crate) fn is_message(self) -> bool {
        self.is_valid() && self != Self::BLANK
    }

    /// Where its record ends; 0 for a blank one.
    pub(crate) fn end(self) -> i64 {
        if self == Self::BLANK { 0 } else { self.physical_offset.saturating_add(self.size.into()) }
    }
}

/// One queue. Locks are taken in the order of the fields.
pub(crate) struct ConsumeQueue {
    pub(crate) topic: Text,
    pub(crate) queue_id: i32,
    /// Java's hash of `topic#`, from which the hashes of index keys go on.
    pub(crate) key_hash: i32,
    /// The queue offset of the next message. Only touched under the lock of the log's tail, so that both
    /// offsets of a message are assigned together.
    pub(crate) next: AtomicI64,
    /// Whether the queue is listed as having something to write out.
    pub(crate) listed: AtomicBool,
    files: Mutex<Files>,
    /// With `enableConsumeQueueExt`; has locks of its own, taken after that of the files.
    pub(crate) units: OnceLock<Box<Units>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The number of the first entry whose message is still in the log.
    min: i64,
    /// The entries that are in memory.
    tail: Tail,
    /// Where the newest entry's record ends.
    max_physical: i64,
}

impl State {
    fn end(&self) -> i64 {
        self.tail.end() / UNIT
    }
}

impl ConsumeQueue {
    pub(crate) fn new(topic: Text, queue_id: i32, segments: Segments) -> Self {
        let key_hash = record::topic_hash(&topic);
        Self {
            topic,
            queue_id,
            key_hash,
            next: AtomicI64::new(0),
            listed: AtomicBool::new(false),
            files: Mutex::new(Files::new(segments)),
            units: OnceLock::new(),
            state: Mutex::new(State::default()),
        }
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().expect("a thread panicked while it held a queue's files")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("a thread panicked while it held a queue's state")
    }

    /// The first entry that is there, whether its message is or not.
    pub(crate) fn first(&self) -> i64 {
        let first = self.files().segments.first();
        first.unwrap_or_else(|| self.state().tail.written) / UNIT
    }

    /// The first entry that can be read.
    pub(crate) fn min(&self) -> i64 {
        self.state().min
    }

    /// The number that the next entry gets.
    pub(crate) fn end(&self) -> i64 {
        self.state().end()
    }

    /// Where the newest entry's record ends in the CommitLog; 0 without entries.
    pub(crate) fn max_physical(&self) -> i64 {
        self.state().max_physical
    }

    /// The end as far as records are on the disk up to `flushed`: entries behind it are not shown in
    /// synchronous mode. Looked for from the end, where few entries are waiting.
    pub(crate) fn end_within(&self, flushed: i64) -> i64 {
        let (min, end, max_physical) = {
            let state = self.state();
            (state.min, state.end(), state.max_physical)
        };
        if max_physical <= flushed {
            return end;
        }
        let waits = |number: i64| self.entry(number).is_some_and(|entry| entry.end() > flushed);
        let (mut high, mut step) = (end, 1);
        while high - step > min && waits(high - step) {
            high -= step;
            step *= 2;
        }
        let mut low = (high - step).max(min);
        while low < high {
            let middle = low + (high - low) / 2;
            if waits(middle) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }

    /// Adds the entry of a message just appended. Returns the bytes waiting to be written out.
    pub(crate) fn push(&self, entry: QueueEntry) -> usize {
        let mut state = self.state();
        if state.tail.gone {
            return 0;
        }
        state.tail.pending.extend_from_slice(&entry.to_bytes());
        state.max_physical = entry.end();
        state.tail.pending.len()
    }

    /// The same with a unit that holds what the entry says and more; the entry then holds its place, if it gets one.
    pub(crate) fn push_with(&self, entry: QueueEntry, unit: &[u8]) -> usize {
        let Some((place, waiting)) = self.units.get().and_then(|units| units.put(unit)) else {
            return self.push(entry);
        };
        self.push(QueueEntry { tags_code: place, ..entry }).max(waiting)
    }

    /// The entry of this number.
    pub(crate) fn entry(&self, number: i64) -> Option<QueueEntry> {
        QueueEntry::read(&self.read(number, 1))
    }

    /// Up to `count` entries from `number` on, as bytes. Fewer at the end or at the end of a file; none if the
    /// disk fails.
    pub(crate) fn read(&self, number: i64, count: usize) -> Vec<u8> {
        self.try_read(number, count).unwrap_or_else(|error| {
            tracing::error!(topic = %self.topic, queue_id = self.queue_id, number, %error, "ConsumeQueue read");
            Vec::new()
        })
    }

    fn try_read(&self, number: i64, count: usize) -> io::Result<Vec<u8>> {
        // Asked for by consumers, so any number may come.
        let found = self.state().tail.find(number.saturating_mul(UNIT), count * UNIT_LEN);
        found.bytes(|| self.files())
    }

    /// Writes out what is in memory. Nothing is synced, except new files.
    pub(crate) fn write_out(&self) -> io::Result<()> {
        let mut files = self.files();
        let (at, bytes) = self.state().tail.begin_writing();
        // Those that these entries point to were there before them, and come first.
        if let Some(units) = self.units.get() {
            units.write_out()?;
        }
        let end = files.append(at, &bytes)?;
        self.state().tail.end_writing(end);
        Ok(())
    }

    /// What has been written out counts as being on the disk: for whoever syncs everything next.
    pub(crate) fn count_as_synced(&self) {
        self.files().count_as_synced();
        if let Some(units) = self.units.get() {
            units.files().count_as_synced();
        }
    }

    /// Whether [`ConsumeQueue::sync`] has something to do.
    pub(crate) fn is_unsynced(&self) -> bool {
        self.files().is_unsynced() || self.units.get().is_some_and(|units| units.files().is_unsynced())
    }

    /// Puts on the disk what has been written out. Does nothing if it is there.
    pub(crate) fn sync(&self) -> io::Result<()> {
        if let Some(units) = self.units.get() {
            sync_apart(|| units.files())?;
        }
        sync_apart(|| self.files())
    }

    /// After a crash: the entries of records from `synced` on may not be on the disk yet. They are written again,
    /// as the crash may have followed a failed sync.
    pub(crate) fn mark_unsynced(&self, synced: i64) -> io::Result<()> {
        let at = self.first_behind(synced) * UNIT;
        let end = self.state().tail.written;
        self.files().rewrite(at, end)
    }

    /// After a crash, when entries may point to units that are not on the disk: those from `number` on for which
    /// `right` gives another one are that from now on.
    pub(crate) fn correct(
        &self,
        mut number: i64,
        right: &dyn Fn(QueueEntry) -> Option<QueueEntry>,
    ) -> io::Result<()> {
        let written = self.state().tail.written / UNIT;
        while number < written {
            let units = self.try_read(number, CORRECT_CHUNK.min((written - number) as usize))?;
            if units.is_empty() {
                break;
            }
            let mut files = self.files();
            for unit in units.chunks_exact(UNIT_LEN) {
                let entry = QueueEntry::read(unit);
                if let Some(right) = entry.and_then(right).filter(|right| Some(*right) != entry)
                    && let Some((start, file)) = files.segments.file_of(number * UNIT)?
                {
                    write_full(&*file, &right.to_bytes(), (number * UNIT - start) as u64)?;
                }
                number += 1;
            }
        }
        Ok(())
    }

    /// Closes the files.
    pub(crate) fn close(&self) {
        self.files().segments.close_files();
    }

    /// Closes the files of a queue that nobody has used since the last call.
    pub(crate) fn close_idle(&self) {
        self.files().close_idle();
        if let Some(units) = self.units.get() {
            units.files().close_idle();
        }
    }

    /// Finds the end as Java does, by the first entry that is none, from the third last file on, and forgets
    /// entries whose physical offset does not grow. Cut files are zeroed behind the end or removed.
    ///
    /// Entries of records before `synced` are known to be on the disk. Java relies on the third last file to
    /// be such; here the search begins with a file that is.
    pub(crate) fn recover(&self, synced: i64) -> io::Result<()> {
        let mut files = self.files();
        let starts = files.segments.starts();
        let from = unsynced_from(&mut files.segments, &starts, synced)?;
        let mut end = starts.get(from).copied().unwrap_or(0);
        let mut max_physical = 0;
        for start in starts.into_iter().skip(from) {
            let (valid, newest) = scan(&mut files.segments, start, max_physical)?;
            end = start + valid;
            max_physical = newest.max(max_physical);
            if valid < files.segments.file_len() {
                break;
            }
        }
        let mut state = self.state();
        *state = State { tail: Tail::at(end), max_physical, ..State::default() };
        drop(state);
        self.drop_files_behind(&mut files, end)?;
        Ok(())
    }

    /// Removes the files that hold nothing before `end` (bytes). A file without a first entry must not stay:
    /// Java would take the zeros for one.
    fn drop_files_behind(&self, files: &mut Files, end: i64) -> io::Result<()> {
        while files.segments.last().is_some_and(|start| start >= end) {
            files.segments.remove_last()?;
        }
        Ok(())
    }

    /// Forgets the entries from `end` on and zeroes them.
    pub(crate) fn cut(&self, end: i64) -> io::Result<()> {
        let mut files = self.files();
        let written = {
            let mut state = self.state();
            if end >= state.end() {
                return Ok(());
            }
            state.tail.cut(end * UNIT);
            state.min = state.min.min(end);
            state.tail.written
        };
        self.drop_files_behind(&mut files, written)?;
        if let Some((start, file)) = files.segments.file_of(written)? {
            file.zero_from((written - start) as u64)?;
            file.sync()?;
        }
        let first = files.segments.first();
        drop(files);
        if first.is_none() && written == end * UNIT {
            // Nothing is left that could say where the queue ended.
            *self.state() = State::default();
            return Ok(());
        }
        let newest = self.entry(end - 1).map_or(0, QueueEntry::end);
        let mut state = self.state();
        state.max_physical = newest;
        state.min = state.min.min(end);
        Ok(())
    }

    /// Gives the queue the entry of a record that recovery found in the log. Does nothing if it has it.
    ///
    /// A record that is newer than all entries but has the number of an older one belongs to a topic that was
    /// deleted and made again: the older entries go. A number that no entry can have is passed over. Returns false,
    /// and changes nothing, if entries before this one are missing and `fill` is not set; with it blank ones take
    /// their place.
    pub(crate) fn restore(&self, number: i64, entry: QueueEntry, fill: bool) -> io::Result<bool> {
        let (end, max_physical) = {
            let state = self.state();
            (state.end(), state.max_physical)
        };
        if !(0..ENTRIES_MAX).contains(&number) || entry.end() <= max_physical {
            return Ok(true);
        }
        if number < end {
            self.cut(number)?;
        }
        let end = self.end();
        if number > end {
            if !fill {
                return Ok(false);
            }
            let first = self.files().segments.first();
            let file = self.files().segments.file_len() / UNIT;
            if (first.is_none() && end == 0) || number / file > end / file {
                // A queue that begins in the middle: its first file is filled with blanks when it is made.
                self.files().segments.remove_all()?;
                let tail = Tail::at(number * UNIT);
                *self.state() = State { min: number, tail, ..State::default() };
            } else {
                let blanks = QueueEntry::BLANK.to_bytes().repeat((number - end) as usize);
                self.state().tail.pending.extend_from_slice(&blanks);
            }
        }
        if self.push(entry) >= PENDING_BYTES_MAX {
            self.write_out()?;
        }
        Ok(true)
    }

    /// The number of the first entry whose record starts at or behind `physical`.
    pub(crate) fn first_behind(&self, physical: i64) -> i64 {
        let (mut low, mut high) = (self.first(), self.end());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.entry(middle) {
                Some(entry) if entry != QueueEntry::BLANK && entry.physical_offset >= physical => {
                    high = middle
                }
                _ => low = middle + 1,
            }
        }
        low
    }

    /// Sets the first entry that can be read, when the log begins at `min_physical`. Java counterpart:
    /// `correctMinOffset`, which gives up after the first file.
    pub(crate) fn correct_min(&self, min_physical: i64) {
        let min = self.first_behind(min_physical);
        self.state().min = min;
    }

    /// Removes the files whose last entry lies before `min_physical`, never the last file. Returns how many.
    pub(crate) fn delete_expired(&self, min_physical: i64) -> io::Result<usize> {
        let mut deleted = 0;
        loop {
            let (first, count) = {
                let files = self.files();
                (files.segments.first(), files.segments.count())
            };
            let Some(first) = first.filter(|_| count > 1) else { break };
            let last_of_file = (first + self.files().segments.file_len()) / UNIT - 1;
            let Some(entry) = self.entry(last_of_file) else { break };
            if entry.physical_offset >= min_physical {
                break;
            }
            self.files().segments.remove_first()?;
            deleted += 1;
        }
        self.correct_min(min_physical);
        if let Some(units) = self.units.get()
            && let Some(place) = self.entry(self.min()).and_then(place_of)
        {
            units.delete_before(place)?;
        }
        Ok(deleted)
    }

    /// Removes everything. The queue is not to be used afterwards.
    pub(crate) fn destroy(&self) -> io::Result<()> {
        let mut files = self.files();
        files.count_as_synced();
        *self.state() = State { tail: Tail::gone(), ..State::default() };
        if let Some(units) = self.units.get() {
            units.destroy()?;
        }
        files.segments.remove_all()
    }
}

/// Which file is the newest that begins with an entry known to be on the disk, as its record stands before
/// `synced`; but not later than the third last.
fn unsynced_from(segments: &mut Segments, starts: &[i64], synced: i64) -> io::Result<usize> {
    let mut from = starts.len().saturating_sub(RECENT_FILES);
    while let Some(start) = starts.get(from).filter(|_| from > 0) {
        let Some((_, file)) = segments.file_of(*start)? else { break };
        let mut bytes = [0; UNIT_LEN];
        read_full(&*file, &mut bytes, 0)?;
        let first = QueueEntry::read(&bytes);
        if first.is_some_and(|first| first.is_message() && first.physical_offset < synced) {
            break;
        }
        from -= 1;
    }
    Ok(from)
}

/// Bytes of valid entries at the front of a file, and where the newest of their records ends.
fn scan(segments: &mut Segments, start: i64, max_physical: i64) -> io::Result<(i64, i64)> {
    let Some((_, file)) = segments.file_of(start)? else { return Ok((0, max_physical)) };
    let len = segments.file_len() as usize;
    let mut newest = max_physical;
    let mut at = 0;
    let mut chunk = Vec::new();
    while at < len {
        let most = if at == 0 { SCAN_CHUNK_FIRST } else { SCAN_CHUNK };
        chunk.resize((len - at).min(most / UNIT_LEN * UNIT_LEN), 0);
        read_full(&*file, &mut chunk, at as u64)?;
        for bytes in chunk.chunks_exact(UNIT_LEN) {
            let Some(entry) = QueueEntry::read(bytes).filter(|entry| entry.is_valid()) else {
                return Ok((at as i64, newest));
            };
            if entry != QueueEntry::BLANK {
                if entry.physical_offset < newest {
                    return Ok((at as i64, newest));
                }
                newest = entry.end();
            }
            at += UNIT_LEN;
        }
    }
    Ok((len as i64, newest))
}

impl std::fmt::Debug for ConsumeQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{} ..{}", self.topic, self.queue_id, self.next.load(Ordering::Relaxed))
    }
}
