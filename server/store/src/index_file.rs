//! One index file: a hash table on disk from message keys to places in the CommitLog.
//!
//! ```text
//! 0    header, 40 bytes:   begin time 8 | end time 8 | begin physical offset 8 | end physical offset 8
//!                          | used slots 4 | next entry number 4 (starts at 1)
//! 40   slots, 4 bytes each:    number of the slot's newest entry, 0 for none
//! ..   entries, 20 bytes each: key hash 4 | physical offset 8 | seconds since begin time 4 | previous entry 4
//! ```
//!
//! A file that is being written has its slots in memory. New entries go to the file in order, in rounds; slots
//! and header follow when everything before is synced, so after a crash the header tells the truth and the
//! slots can be made again from the entries. Java counterparts: `IndexFile`, `IndexHeader`.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::disk::{DiskFile, read_full, sync_for_good, write_full};

pub(crate) const HEADER_LEN: usize = 40;
pub(crate) const SLOT_LEN: usize = 4;
pub(crate) const ENTRY_LEN: usize = 20;
/// Slots that are written out together.
const SLOTS_PER_PAGE: usize = 1024;
/// Bytes that are read at a time.
const SCAN_CHUNK: usize = 1 << 20;

/// Slots and entries of every file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) slots: u32,
    pub(crate) entries: u32,
}

impl Shape {
    /// Bytes of a file.
    pub(crate) fn file_len(self) -> u64 {
        self.entry_at(self.entries)
    }

    fn entry_at(self, number: u32) -> u64 {
        HEADER_LEN as u64 + u64::from(self.slots) * SLOT_LEN as u64 + u64::from(number) * ENTRY_LEN as u64
    }
}

/// The head of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) begin_timestamp: i64,
    pub(crate) end_timestamp: i64,
    pub(crate) begin_physical: i64,
    pub(crate) end_physical: i64,
    pub(crate) slots_used: u32,
    /// The number of the next entry; entry 0 is never used.
    pub(crate) count: u32,
}

impl Header {
    /// The head of a new file, seeded from where the one before it ended.
    pub(crate) fn after(end_physical: i64, end_timestamp: i64) -> Self {
        let (physical, timestamp) = (end_physical.max(0), end_timestamp.max(0));
        Self {
            begin_timestamp: timestamp,
            end_timestamp: timestamp,
            begin_physical: physical,
            end_physical: physical,
            slots_used: 0,
            count: 1,
        }
    }

    pub(crate) fn to_bytes(self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let longs = [self.begin_timestamp, self.end_timestamp, self.begin_physical, self.end_physical];
        for (place, long) in bytes.chunks_exact_mut(8).zip(longs) {
            place.copy_from_slice(&long.to_be_bytes());
        }
        bytes[32..36].copy_from_slice(&self.slots_used.to_be_bytes());
        bytes[36..].copy_from_slice(&self.count.to_be_bytes());
        bytes
    }

    fn read(bytes: &[u8; HEADER_LEN], shape: Shape) -> Self {
        let long = |at: usize| i64::from_be_bytes(bytes[at..at + 8].try_into().unwrap_or_default());
        let int = |at: usize| i32::from_be_bytes(bytes[at..at + 4].try_into().unwrap_or_default());
        Self {
            begin_timestamp: long(0),
            end_timestamp: long(8),
            begin_physical: long(16),
            end_physical: long(24),
            slots_used: int(32).max(0) as u32,
            count: (int(36).max(1) as u32).min(shape.entries),
        }
    }

    /// Java's `isTimeMatched`.
    fn overlaps(&self, begin: i64, end: i64) -> bool {
        let own = self.begin_timestamp..=self.end_timestamp;
        (begin < self.begin_timestamp && end > self.end_timestamp)
            || own.contains(&begin)
            || own.contains(&end)
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u32,
    physical: i64,
    seconds: i32,
    previous: u32,
}

impl Entry {
    fn to_bytes(self) -> [u8; ENTRY_LEN] {
        let mut bytes = [0; ENTRY_LEN];
        bytes[..4].copy_from_slice(&self.hash.to_be_bytes());
        bytes[4..12].copy_from_slice(&self.physical.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.seconds.to_be_bytes());
        bytes[16..].copy_from_slice(&self.previous.to_be_bytes());
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (hash, rest) = bytes.split_first_chunk()?;
        let (physical, rest) = rest.split_first_chunk()?;
        let (seconds, rest) = rest.split_first_chunk()?;
        Some(Self {
            hash: u32::from_be_bytes(*hash),
            physical: i64::from_be_bytes(*physical),
            seconds: i32::from_be_bytes(*seconds),
            previous: u32::from_be_bytes(*rest.first_chunk()?),
        })
    }
}

/// An index file, with what is not yet in it.
pub(crate) struct IndexFile {
    pub(crate) name: String,
    pub(crate) header: Header,
    shape: Shape,
    file: Arc<dyn DiskFile>,
    live: Option<Live>,
}

/// What a file that is being written has in memory.
struct Live {
    slots: Vec<u32>,
    dirty_pages: BTreeSet<usize>,
    /// Entries from this number on are in memory.
    written: u32,
    writing: Bytes,
    pending: Vec<u8>,
    /// Whether the header on disk says less than the one here.
    header_dirty: bool,
}

/// What one round writes, taken under the index's lock and written without it.
pub(crate) struct Round {
    file: Arc<dyn DiskFile>,
    entries: (u64, Bytes),
    pages: Vec<(u64, Vec<u8>)>,
    header: Option<[u8; HEADER_LEN]>,
}

impl Round {
    /// Entries and slots first; the header only when they are on the disk.
    pub(crate) fn write(&self) -> io::Result<()> {
        write_full(&*self.file, &self.entries.1, self.entries.0)?;
        for (at, page) in &self.pages {
            write_full(&*self.file, page, *at)?;
        }
        if let Some(header) = &self.header {
            sync_for_good(&*self.file)?;
            write_full(&*self.file, header, 0)?;
            sync_for_good(&*self.file)?;
        }
        Ok(())
    }
}

impl IndexFile {
    /// A file just made.
    pub(crate) fn new(name: String, header: Header, shape: Shape, file: Arc<dyn DiskFile>) -> Self {
        let live = Live {
            slots: vec![0; shape.slots as usize],
            dirty_pages: BTreeSet::new(),
            written: header.count,
            writing: Bytes::new(),
            pending: Vec::new(),
            header_dirty: true,
        };
        Self { name, header, shape, file, live: Some(live) }
    }

    /// A file that was there before.
    pub(crate) fn load(name: String, shape: Shape, file: Arc<dyn DiskFile>) -> io::Result<Self> {
        let mut bytes = [0; HEADER_LEN];
        read_full(&*file, &mut bytes, 0)?;
        Ok(Self { name, header: Header::read(&bytes, shape), shape, file, live: None })
    }

    pub(crate) fn is_full(&self) -> bool {
        self.header.count >= self.shape.entries
    }

    /// Adds an entry; the file must not be full.
    pub(crate) fn put(&mut self, hash: u32, physical: i64, timestamp: i64) -> io::Result<()> {
        self.wake()?;
        let Some(live) = &mut self.live else { return Ok(()) };
        let header = &mut self.header;
        let slot = (hash % self.shape.slots) as usize;
        let Some(newest) = live.slots.get_mut(slot) else { return Ok(()) };
        let previous = if *newest > header.count { 0 } else { *newest };
        let seconds = match header.begin_timestamp {
            ..=0 => 0,
            begin => ((timestamp - begin) / 1000).clamp(0, i64::from(i32::MAX)) as i32,
        };
        live.pending.extend_from_slice(&Entry { hash, physical, seconds, previous }.to_bytes());
        *newest = header.count;
        live.dirty_pages.insert(slot / SLOTS_PER_PAGE);
        live.header_dirty = true;
        if header.count <= 1 {
            header.begin_physical = physical;
            header.begin_timestamp = timestamp;
        }
        if previous == 0 {
            header.slots_used += 1;
        }
        header.count += 1;
        header.end_physical = physical;
        header.end_timestamp = timestamp;
        Ok(())
    }

    /// Brings the slots into memory.
    fn wake(&mut self) -> io::Result<()> {
        if self.live.is_some() {
            return Ok(());
        }
        let mut bytes = vec![0; self.shape.slots as usize * SLOT_LEN];
        read_full(&*self.file, &mut bytes, HEADER_LEN as u64)?;
        let slots = bytes.as_chunks::<SLOT_LEN>().0.iter().map(|slot| u32::from_be_bytes(*slot)).collect();
        self.live = Some(Live {
            slots,
            dirty_pages: BTreeSet::new(),
            written: self.header.count,
            writing: Bytes::new(),
            pending: Vec::new(),
            header_dirty: false,
        });
        Ok(())
    }

    /// What is to be written now; with `all` slots and header too. `None` if there is nothing.
    pub(crate) fn round(&mut self, all: bool) -> Option<Round> {
        let live = self.live.as_mut()?;
        if live.writing.is_empty() {
            live.writing = Bytes::from(std::mem::take(&mut live.pending));
        } else if all {
            // An earlier round failed; the header may only follow when everything is written.
            let mut entries = live.writing.to_vec();
            entries.append(&mut live.pending);
            live.writing = entries.into();
        }
        let mut pages = Vec::new();
        if all {
            for page in &live.dirty_pages {
                let from = page * SLOTS_PER_PAGE;
                let slots = live.slots.iter().skip(from).take(SLOTS_PER_PAGE);
                let at = (HEADER_LEN + from * SLOT_LEN) as u64;
                pages.push((at, slots.flat_map(|slot| slot.to_be_bytes()).collect()));
            }
        }
        let header = (all && live.header_dirty).then(|| self.header.to_bytes());
        if live.writing.is_empty() && pages.is_empty() && header.is_none() {
            return None;
        }
        let at = self.shape.entry_at(live.written);
        Some(Round { file: self.file.clone(), entries: (at, live.writing.clone()), pages, header })
    }

    /// The round was written. Entries put meanwhile stay.
    pub(crate) fn round_done(&mut self, round: &Round) {
        let full = self.is_full();
        let Some(live) = &mut self.live else { return };
        live.written += (round.entries.1.len() / ENTRY_LEN) as u32;
        live.writing = Bytes::new();
        if round.header.is_some() && live.pending.is_empty() {
            live.dirty_pages.clear();
            live.header_dirty = false;
            if full {
                self.live = None;
            }
        }
    }

    /// What a query needs of this file; `None` if nothing in it can match.
    pub(crate) fn view(&self, hash: u32, begin: i64, end: i64) -> Option<View> {
        if !self.header.overlaps(begin, end) {
            return None;
        }
        let slot = hash % self.shape.slots;
        let (newest, written, tail) = match &self.live {
            Some(live) => {
                let mut tail = live.writing.to_vec();
                tail.extend_from_slice(&live.pending);
                (live.slots.get(slot as usize).copied(), live.written, tail)
            }
            None => (None, self.header.count, Vec::new()),
        };
        Some(View {
            file: self.file.clone(),
            shape: self.shape,
            header: self.header,
            slot,
            newest,
            written,
            tail,
        })
    }

    /// After a crash: keeps the entries up to the first that cannot be right or points behind `log_end`, and
    /// makes the slots again from them. `time_of` gives a record's store time. Returns whether anything is
    /// left.
    pub(crate) fn repair(&mut self, log_end: i64, time_of: impl Fn(i64) -> Option<i64>) -> io::Result<bool> {
        let mut slots = vec![0; self.shape.slots as usize];
        let mut header = Header { slots_used: 0, count: 1, ..self.header };
        let mut newest = header.begin_physical;
        let mut valid: Vec<Entry> = Vec::new();
        let mut number = 1;
        'scan: while number < self.header.count {
            let entries = ((self.header.count - number) as usize).min(SCAN_CHUNK / ENTRY_LEN);
            let mut chunk = vec![0; entries * ENTRY_LEN];
            read_full(&*self.file, &mut chunk, self.shape.entry_at(number))?;
            for bytes in chunk.chunks_exact(ENTRY_LEN) {
                let Some(entry) = Entry::read(bytes) else { break 'scan };
                let linked = entry.previous < number && entry.hash <= i32::MAX as u32 && entry.seconds >= 0;
                if !linked || entry.physical < newest {
                    break 'scan;
                }
                if entry.physical > newest {
                    self.accept(&mut header, &mut slots, &mut valid);
                }
                if entry.physical >= log_end {
                    break 'scan;
                }
                newest = entry.physical;
                valid.push(entry);
                number += 1;
            }
        }
        if number >= self.header.count {
            self.accept(&mut header, &mut slots, &mut valid);
        }
        // Of a message that is only partly there nothing is kept: it is indexed again.
        if header.count <= 1 {
            return Ok(false);
        }
        let last = header.end_physical;
        let seconds = (header.end_timestamp - header.begin_timestamp).max(0);
        header.end_timestamp = time_of(last).unwrap_or(header.begin_timestamp + seconds);
        self.header = header;
        let pages = slots.len().div_ceil(SLOTS_PER_PAGE);
        self.live = Some(Live {
            slots,
            dirty_pages: (0..pages).collect(),
            written: header.count,
            writing: Bytes::new(),
            pending: Vec::new(),
            header_dirty: true,
        });
        Ok(true)
    }

    fn accept(&self, header: &mut Header, slots: &mut [u32], valid: &mut Vec<Entry>) {
        for entry in valid.drain(..) {
            let Some(slot) = slots.get_mut((entry.hash % self.shape.slots) as usize) else { continue };
            if *slot == 0 {
                header.slots_used += 1;
            }
            *slot = header.count;
            header.count += 1;
            header.end_physical = entry.physical;
            header.end_timestamp = header.begin_timestamp + i64::from(entry.seconds) * 1000;
        }
    }
}

/// One file as a query sees it.
pub(crate) struct View {
    file: Arc<dyn DiskFile>,
    shape: Shape,
    header: Header,
    slot: u32,
    newest: Option<u32>,
    written: u32,
    tail: Vec<u8>,
}

impl View {
    fn entry(&self, number: u32) -> Option<Entry> {
        match number.checked_sub(self.written) {
            Some(at) => Entry::read(self.tail.get(at as usize * ENTRY_LEN..)?),
            None => {
                let mut bytes = [0; ENTRY_LEN];
                read_full(&*self.file, &mut bytes, self.shape.entry_at(number)).ok()?;
                Entry::read(&bytes)
            }
        }
    }

    /// Adds the places of entries with this hash and time, newest first, until there are `max`.
    pub(crate) fn select(&self, hash: u32, begin: i64, end: i64, max: usize, found: &mut Vec<i64>) {
        let newest = self.newest.or_else(|| {
            let mut bytes = [0; SLOT_LEN];
            let at = HEADER_LEN as u64 + u64::from(self.slot) * SLOT_LEN as u64;
            read_full(&*self.file, &mut bytes, at).ok().map(|()| u32::from_be_bytes(bytes))
        });
        let mut number = newest.filter(|newest| *newest <= self.header.count).unwrap_or(0);
        while number > 0 && found.len() < max {
            let Some(entry) = self.entry(number).filter(|entry| entry.seconds >= 0) else { break };
            let time = self.header.begin_timestamp + i64::from(entry.seconds) * 1000;
            if entry.hash == hash && (begin..=end).contains(&time) {
                found.push(entry.physical);
            }
            // Links lead back only; anything else would go round for ever.
            if time < begin || entry.previous >= number {
                break;
            }
            number = entry.previous;
        }
    }
}
