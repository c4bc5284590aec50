//! The extension of a ConsumeQueue (`enableConsumeQueueExt`): units that hold what an entry has no room for.
//!
//! ```text
//! tags code of an entry < -2^31:  a place in consumequeue_ext/<topic>/<id>/, plus the smallest 64-bit number
//! unit there:                     size 2 | tags code 8 | store time 8 | bit map's size 2 | bit map
//! behind a file's last unit:      -1 (2), where the next one found no room before the last 4 bytes
//! ```
//!
//! A unit holds nothing that the record does not, but for the bit map, which says which filters may want the
//! message (see [`BitMaps`]). What it says is believed, and so no entry may point to another's unit:
//!
//! - a place is never given twice, whatever became of the unit there;
//! - units are written before the entries that point to them, and synced before the checkpoint;
//! - after a crash entries that no checkpoint covers hold their tags code again, as do all that recovery makes.
//!
//! Entries with and without a place stand side by side, as in Java, where a unit may fail to be written. A store
//! that is opened without the setting takes the tags codes of entries with a place from the records. Files of units
//! go when no entry refers to them, or to one before them, any more: when their messages do, at open, and with
//! their queue. Java counterpart: `ConsumeQueueExt`.

use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use crate::commit_log::CommitLog;
use crate::config::UNIT_LEN;
use crate::consume_queue::{ConsumeQueue, QueueEntry};
use crate::disk::{Disk, read_full};
use crate::queue_files::{Files, Tail};
use crate::queues::Queues;
use crate::record::{self, Place, StoreProperties};
use crate::segments::Segments;
use crate::store::Store;

/// Entries that are read at a time.
const CHUNK: usize = 3_200;
/// Bytes of a unit before its bit map.
const HEAD_LEN: usize = 20;
/// Bytes of a unit at most. Also what is read at a time.
const EXT_UNIT_LEN_MAX: usize = i16::MAX as usize;
/// Bytes at the end of a file in which no unit ends.
const END_LEN: i64 = 4;
/// Bytes of the shortest file that has room for a unit.
pub(crate) const EXT_FILE_LEN_MIN: i64 = HEAD_LEN as i64 + END_LEN;
/// Places behind this one could not be told from tags codes.
const PLACE_MAX: i64 = i64::MAX - (1 << 31);
/// Bytes that an entry's unit takes at most, with what may be left out before it.
const BYTES_OF_ENTRY_MAX: i64 = 1 << 16;

/// Says which filters want a message, when it is stored. Java counterpart: `CommitLogDispatcherCalcBitMap`.
pub trait BitMaps: Send + Sync {
    /// The bit map of a message with these properties; `None` if its topic has no filters. Called without a lock of
    /// the store.
    fn bit_map(&self, topic: &str, properties: &str) -> Option<BitMap>;

    /// Whether the bit map still covers all filters. Called when the message has its store time, under the lock of
    /// the log's tail: a bit map that does not is left out.
    fn is_current(&self, bit_map: &BitMap) -> bool;
}

/// What [`BitMaps`] says of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BitMap {
    /// The bits of a Bloom filter.
    pub bits: Vec<u8>,
    /// Tells the filters apart for which it was made from those that there were before or are since.
    pub filters: u64,
}

/// What stands at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExtUnit<'a> {
    pub(crate) tags_code: i64,
    pub(crate) store_timestamp: i64,
    /// Empty if there is none.
    pub(crate) bit_map: &'a [u8],
}

impl<'a> ExtUnit<'a> {
    /// A bit map that makes the unit too long is left out: then the message is looked at.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let fits = self.bit_map.len() <= EXT_UNIT_LEN_MAX - HEAD_LEN;
        let bit_map = if fits { self.bit_map } else { &[] };
        let mut bytes = Vec::with_capacity(HEAD_LEN + bit_map.len());
        bytes.extend_from_slice(&((HEAD_LEN + bit_map.len()) as i16).to_be_bytes());
        bytes.extend_from_slice(&self.tags_code.to_be_bytes());
        bytes.extend_from_slice(&self.store_timestamp.to_be_bytes());
        bytes.extend_from_slice(&(bit_map.len() as i16).to_be_bytes());
        bytes.extend_from_slice(bit_map);
        bytes
    }

    /// The unit at the head of `bytes`, if all of it is there.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let len = unit_len(bytes)?;
        let (head, bit_map) = bytes.get(..len)?.split_at_checked(HEAD_LEN)?;
        let number = |at: usize| Some(i64::from_be_bytes(*head.get(at..)?.first_chunk()?));
        Some(Self { tags_code: number(2)?, store_timestamp: number(10)?, bit_map })
    }
}

/// Bytes of the unit that has this head, if it is one.
fn unit_len(head: &[u8]) -> Option<usize> {
    let len_at = |at: usize| usize::try_from(i16::from_be_bytes(*head.get(at..)?.first_chunk()?)).ok();
    let (len, bit_map) = (len_at(0)?, len_at(HEAD_LEN - 2)?);
    (len == HEAD_LEN + bit_map).then_some(len)
}

/// The units of one queue.
pub(crate) struct Units {
    file_len: i64,
    files: Mutex<Files>,
    tail: Mutex<Tail>,
}

/// Units that were read together.
#[derive(Default)]
pub(crate) struct UnitWindow {
    place: i64,
    bytes: Vec<u8>,
}

impl Units {
    /// Those of a queue with `entries` entries: they go on behind the last unit. Without a file none of the entries
    /// can have a place from there on.
    pub(crate) fn load(mut segments: Segments, entries: i64) -> io::Result<Self> {
        let end = match end_of_units(&mut segments)? {
            Some(end) => end,
            None if entries == 0 => 0,
            None => {
                let given = entries.saturating_mul(BYTES_OF_ENTRY_MAX).min(PLACE_MAX);
                given - given % segments.file_len() + segments.file_len()
            }
        };
        let units = Self::empty(segments);
        units.tail().written = end;
        Ok(units)
    }

    /// Those of a queue without entries.
    pub(crate) fn empty(segments: Segments) -> Self {
        let file_len = segments.file_len();
        Self { file_len, files: Mutex::new(Files::new(segments)), tail: Mutex::default() }
    }

    pub(crate) fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().expect("a thread panicked while it held the files of units")
    }

    fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().expect("a thread panicked while it held units")
    }

    /// Adds a unit. Returns what stands for its place in an entry, and how many bytes wait to be written out; `None`
    /// if no file has room for it or there are no places left. Called under the lock of the log's tail.
    pub(crate) fn put(&self, unit: &[u8]) -> Option<(i64, usize)> {
        let len = self.file_len;
        let mut tail = self.tail();
        let mut place = tail.end();
        let room = len - place % len;
        let needed = unit.len() as i64 + END_LEN;
        if tail.gone || needed > len || place > PLACE_MAX - room - needed {
            return None;
        }
        if needed > room {
            let from = tail.pending.len();
            tail.pending.resize(from + room as usize, 0);
            tail.pending.iter_mut().skip(from).take(2).for_each(|byte| *byte = 0xff);
            place += room;
        }
        tail.pending.extend_from_slice(unit);
        Some((place.wrapping_add(i64::MIN), tail.pending.len()))
    }

    /// What stands at a place; `None` if nothing does, or it cannot be read.
    pub(crate) fn read<'a>(&self, place: i64, window: &'a mut UnitWindow) -> Option<ExtUnit<'a>> {
        let at = |window: &UnitWindow| usize::try_from(place - window.place).ok();
        let is_there =
            |window: &UnitWindow| at(window).and_then(|at| ExtUnit::read(window.bytes.get(at..)?)).is_some();
        if !is_there(window) {
            let bytes = self.fetch(place).unwrap_or_else(|error| {
                tracing::error!(place, %error, "reading units of a ConsumeQueue");
                Vec::new()
            });
            *window = UnitWindow { place, bytes };
        }
        ExtUnit::read(window.bytes.get(at(window)?..)?)
    }

    /// Bytes from `place` on: a unit at least, if there is one.
    fn fetch(&self, place: i64) -> io::Result<Vec<u8>> {
        let found = self.tail().find(place, EXT_UNIT_LEN_MAX);
        found.bytes(|| self.files())
    }

    /// Writes out what is in memory.
    pub(crate) fn write_out(&self) -> io::Result<()> {
        let mut files = self.files();
        let (at, bytes) = self.tail().begin_writing();
        let end = files.append(at, &bytes)?;
        self.tail().end_writing(end);
        Ok(())
    }

    /// Removes the files that end before `place`.
    pub(crate) fn delete_before(&self, place: i64) -> io::Result<()> {
        let mut files = self.files();
        while files.segments.count() > 1
            && files.segments.first().is_some_and(|first| first + self.file_len <= place)
        {
            files.segments.remove_first()?;
        }
        Ok(())
    }

    /// Removes everything. Nothing is kept any more afterwards.
    pub(crate) fn destroy(&self) -> io::Result<()> {
        let mut files = self.files();
        files.count_as_synced();
        *self.tail() = Tail::gone();
        files.segments.remove_all()
    }
}

/// Where the units of the last file end, if there is a file.
fn end_of_units(segments: &mut Segments) -> io::Result<Option<i64>> {
    let Some((start, file)) = segments.last().map(|start| segments.file_of(start)).transpose()?.flatten()
    else {
        return Ok(None);
    };
    let len = segments.file_len() as usize;
    let (mut at, mut from, mut bytes) = (0, 0, Vec::new());
    loop {
        if at + HEAD_LEN > from + bytes.len() {
            if at + HEAD_LEN > len {
                break;
            }
            bytes.resize(EXT_UNIT_LEN_MAX.min(len - at), 0);
            read_full(&*file, &mut bytes, at as u64)?;
            from = at;
        }
        match bytes.get(at - from..).and_then(unit_len) {
            Some(unit) if at + unit <= len => at += unit,
            _ => break,
        }
    }
    segments.close_files();
    Ok(Some(start + at as i64))
}

/// Where in the units of its queue an entry points to, if it does.
pub(crate) fn place_of(entry: QueueEntry) -> Option<i64> {
    (entry.tags_code < i64::from(i32::MIN)).then(|| entry.tags_code.wrapping_sub(i64::MIN))
}

/// The entry as its record makes it; `None` if that cannot be read.
pub(crate) fn entry_of_record(
    log: &CommitLog,
    delay_levels: &[i64],
    entry: QueueEntry,
) -> Option<QueueEntry> {
    let bytes = log.read(entry.physical_offset, usize::try_from(entry.size).ok()?)?;
    let Place::Record(found) = record::read(&bytes, false) else { return None };
    let properties = StoreProperties::read(&found.properties);
    let tags_code = properties.tags_code(&found.topic, found.store_timestamp, delay_levels);
    Some(QueueEntry { tags_code, ..entry })
}

/// The first place that an entry of this queue still points to.
fn first_place(queue: &ConsumeQueue) -> Option<i64> {
    let mut number = queue.min();
    loop {
        let units = queue.read(number, CHUNK);
        let mut entries = units.chunks_exact(UNIT_LEN).filter_map(QueueEntry::read);
        match entries.find_map(place_of) {
            Some(place) => return Some(place),
            // That the disk fails just now is no reason to remove anything.
            None if units.is_empty() => return (number < queue.end()).then_some(0),
            None => number += (units.len() / UNIT_LEN) as i64,
        }
    }
}

/// Removes the files of units that no entry refers to any more. A queue that has its units open removes them itself.
pub(crate) fn clean(disk: &dyn Disk, root: &Path, queues: &Queues) -> io::Result<()> {
    let dir = root.join("consumequeue_ext");
    for topic in disk.list(&dir)?.into_iter().filter(|entry| entry.is_dir) {
        let topic_dir = dir.join(&topic.name);
        for number in disk.list(&topic_dir)?.into_iter().filter(|entry| entry.is_dir) {
            let Ok(queue_id) = number.name.parse() else { continue };
            let queue = queues.get(&topic.name, queue_id);
            if queue.as_ref().is_some_and(|queue| queue.units.get().is_some()) {
                continue;
            }
            let needed_from = queue.and_then(|queue| first_place(&queue));
            let queue_dir = topic_dir.join(&number.name);
            for file in disk.list(&queue_dir)? {
                let end =
                    file.name.parse::<i64>().ok().and_then(|start| start.checked_add_unsigned(file.len));
                let needed = end.is_none_or(|end| needed_from.is_some_and(|from| end >= from));
                if !file.is_dir && !needed {
                    tracing::info!(
                        topic = topic.name,
                        queue_id,
                        file = file.name,
                        "no entry needs these units"
                    );
                    disk.remove_file(&queue_dir.join(&file.name))?;
                }
            }
            if disk.list(&queue_dir)?.is_empty() {
                disk.remove_dir(&queue_dir)?;
            }
        }
        if disk.list(&topic_dir)?.is_empty() {
            disk.remove_dir(&topic_dir)?;
        }
    }
    Ok(())
}

impl Store {
    /// The entry with its tags code, where it holds the place of one; `None` if that cannot be read.
    pub(crate) fn with_tags_code(
        &self,
        queue: &ConsumeQueue,
        entry: QueueEntry,
        window: &mut UnitWindow,
    ) -> Option<QueueEntry> {
        let Some(place) = place_of(entry) else { return Some(entry) };
        match queue.units.get().and_then(|units| units.read(place, window)) {
            Some(unit) => Some(QueueEntry { tags_code: unit.tags_code, ..entry }),
            None => entry_of_record(&self.log, &self.delay_levels, entry),
        }
    }

    /// Removes what is left of queues that are gone; a failure costs disk space, nothing else.
    pub(crate) fn clean_ext(&self) {
        let cleaned = clean(&*self.disk, &self.opened.store_path_root_dir, &self.queues);
        if let Err(error) = cleaned {
            tracing::warn!(%error, "removing units of consumequeue_ext");
        }
    }
}
