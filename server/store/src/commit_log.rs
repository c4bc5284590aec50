//! The CommitLog: every message of the broker, one behind the other, in segments of one length.
//!
//! ```text
//! segment:  record | record | … | blank
//! blank:    bytes left in the segment 4 | magic 0xCBD43194 4 | zero …
//! ```
//!
//! No record crosses a segment's end; a record that does not fit with the eight bytes of a blank behind it
//! goes to the next one. The newest records are also kept in memory. Java counterpart: `CommitLog`.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

use bytes::Bytes;
use ferrocket_protocol::message::{MAGIC_BLANK, MAGIC_V1, MAGIC_V2, PHYSICAL_OFFSET_AT};

use crate::config::RECORD_LEN_MAX;
use crate::disk::{self, Disk, DiskFile, read_full, write_full};
use crate::record::{self, BLANK_LEN};
use crate::segments::{self, Segments};

/// How far the clock may step back before stored times follow it. Within it they stand still: recovery and
/// the search by time rely on times that do not fall.
const CLOCK_STEP_MAX_MS: i64 = 24 * 3_600 * 1_000;

/// The log. Locks are taken in the order tail, segments, recent.
pub(crate) struct CommitLog {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    building: Arc<Path>,
    segment_len: i64,
    tail: Mutex<Tail>,
    /// Read by every get that misses memory, changed when a segment comes or goes.
    segments: RwLock<Segments>,
    /// Everything before is in the file, as the operating system sees it.
    written: AtomicI64,
    /// Whether a segment got its name since the folder was synced.
    named: AtomicBool,
    recent: RwLock<Recent>,
}

/// Where the next record goes. The lock of the append path.
pub(crate) struct Tail {
    /// The physical offset of the next record.
    pub(crate) end: i64,
    /// The newest record's store timestamp.
    pub(crate) timestamp: i64,
    /// The segment that holds `end`, with where it starts; none before the first append.
    file: Option<(i64, Arc<dyn DiskFile>)>,
    /// The next segment, made ahead, still under the name it was built with.
    next: Option<(PathBuf, Arc<dyn DiskFile>)>,
}

impl Tail {
    /// The time of the records that are appended now.
    pub(crate) fn stamp(&mut self, now_ms: i64) -> i64 {
        let behind = self.timestamp - now_ms;
        if !(0..CLOCK_STEP_MAX_MS).contains(&behind) {
            self.timestamp = now_ms;
        }
        self.timestamp
    }
}

/// The newest parts of the log, without a gap between them.
#[derive(Default)]
struct Recent {
    parts: VecDeque<(i64, Bytes)>,
    bytes: usize,
    bytes_max: usize,
}

impl Recent {
    fn push(&mut self, start: i64, bytes: Bytes) {
        self.bytes += bytes.len();
        self.parts.push_back((start, bytes));
        while self.bytes > self.bytes_max
            && let Some((_, oldest)) = self.parts.pop_front()
        {
            self.bytes -= oldest.len();
        }
    }

    fn get(&self, offset: i64, len: usize) -> Option<Bytes> {
        let at = self.parts.partition_point(|(start, _)| *start <= offset).checked_sub(1)?;
        let (start, bytes) = self.parts.get(at)?;
        let from = usize::try_from(offset - start).ok()?;
        (from + len <= bytes.len()).then(|| bytes.slice(from..from + len))
    }
}

impl CommitLog {
    /// A log over what was loaded; [`CommitLog::start_at`] says where it ends.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        building: Arc<Path>,
        segments: Segments,
        recent_bytes_max: usize,
    ) -> Self {
        Self {
            disk,
            dir,
            building,
            segment_len: segments.file_len(),
            tail: Mutex::new(Tail { end: 0, timestamp: 0, file: None, next: None }),
            segments: RwLock::new(segments),
            written: AtomicI64::new(0),
            // A process that was killed may have left names unsynced.
            named: AtomicBool::new(true),
            recent: RwLock::new(Recent { bytes_max: recent_bytes_max, ..Recent::default() }),
        }
    }

    /// Sets the end that recovery found.
    pub(crate) fn start_at(&self, end: i64, timestamp: i64) {
        let mut tail = self.tail();
        tail.end = end;
        tail.timestamp = timestamp;
        tail.file = self.segments.read().expect("segments").opened(end);
        self.written.store(end, Ordering::Release);
    }

    pub(crate) fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().expect("a thread panicked while it held the tail of the log")
    }

    /// Runs `act` on the segments, which nobody else sees meanwhile.
    pub(crate) fn with_segments<T>(&self, act: impl FnOnce(&mut Segments) -> T) -> T {
        act(&mut self.segments.write().expect("a thread panicked while it held the segments"))
    }

    pub(crate) fn segment_len(&self) -> i64 {
        self.segment_len
    }

    /// Where the next record goes, as far as readers may look.
    pub(crate) fn written(&self) -> i64 {
        self.written.load(Ordering::Acquire)
    }

    /// Where the oldest segment starts; 0 without one.
    pub(crate) fn min(&self) -> i64 {
        self.segments.read().expect("segments").first().unwrap_or(0)
    }

    /// Bytes left for records in the segment that holds the tail.
    pub(crate) fn room(&self, tail: &Tail) -> i64 {
        self.segment_len - tail.end % self.segment_len
    }

    /// Writes records at the tail, which has room for them. On a full disk nothing of them stays: whole records
    /// could come back after a crash although they were refused.
    pub(crate) fn write(&self, tail: &mut Tail, bytes: &Bytes) -> io::Result<()> {
        let (start, file) = self.segment_of_tail(tail)?;
        let at = (tail.end - start) as u64;
        if let Err(error) = write_full(&*file, bytes, at) {
            return if disk::is_full(&error) { file.zero_from(at).and(Err(error)) } else { Err(error) };
        }
        self.recent.write().expect("recent").push(tail.end, bytes.clone());
        tail.end += bytes.len() as i64;
        self.written.store(tail.end, Ordering::Release);
        Ok(())
    }

    /// Fills the segment with a blank record, so that the tail is at the start of the next.
    pub(crate) fn roll(&self, tail: &mut Tail) -> io::Result<()> {
        let room = self.room(tail);
        if room == self.segment_len {
            return Ok(());
        }
        let (start, file) = self.segment_of_tail(tail)?;
        let mut blank = [0; BLANK_LEN as usize];
        blank[..4].copy_from_slice(&(room as i32).to_be_bytes());
        blank[4..].copy_from_slice(&MAGIC_BLANK.to_be_bytes());
        write_full(&*file, &blank, (tail.end - start) as u64)?;
        tail.end += room;
        self.written.store(tail.end, Ordering::Release);
        Ok(())
    }

    fn segment_of_tail(&self, tail: &mut Tail) -> io::Result<(i64, Arc<dyn DiskFile>)> {
        let start = tail.end - tail.end % self.segment_len;
        if let Some((at, file)) = &tail.file
            && *at == start
        {
            return Ok((start, file.clone()));
        }
        let file = match tail.next.take() {
            Some((raw, file)) => {
                self.with_segments(|segments| segments.adopt(start, &raw, &file))?;
                // After the renaming: a flush under way meanwhile may have synced the folder without the name.
                self.named.store(true, Ordering::Release);
                file
            }
            None => self.with_segments(|segments| segments.add(start, &[]))?,
        };
        tail.file = Some((start, file.clone()));
        Ok((start, file))
    }

    /// Makes the next segment if there is none yet, so that no append waits for it.
    pub(crate) fn prepare_next(&self) -> io::Result<()> {
        let wanted = {
            let tail = self.tail();
            tail.file.is_some() && tail.next.is_none()
        };
        // On a disk of its own the log cannot take a file built elsewhere.
        if wanted && self.dir.parent() == self.building.parent() {
            let next = segments::build_raw(&*self.disk, &self.building, self.segment_len, &[])?;
            self.tail().next = Some(next);
        }
        Ok(())
    }

    /// Removes a segment that was made ahead and never used.
    pub(crate) fn drop_next(&self) -> io::Result<()> {
        let next = self.tail().next.take();
        next.map_or(Ok(()), |(raw, _)| self.disk.remove_file(&raw))
    }

    /// Puts the names of the segments on the disk.
    pub(crate) fn sync_names(&self) -> io::Result<()> {
        if self.named.swap(false, Ordering::AcqRel) { self.disk.sync_dir(&self.dir) } else { Ok(()) }
    }

    /// The files that hold the bytes from `from` up to `to`.
    pub(crate) fn files_between(&self, from: i64, to: i64) -> Vec<Arc<dyn DiskFile>> {
        let segments = self.segments.read().expect("segments");
        let starts = segments.starts().into_iter();
        let touched = starts.filter(|start| start + self.segment_len > from && *start < to);
        touched.filter_map(|start| segments.opened(start)).map(|(_, file)| file).collect()
    }

    /// `len` bytes of the log at `offset`, if they are there and in one segment.
    pub(crate) fn read(&self, offset: i64, len: usize) -> Option<Bytes> {
        let end = offset.checked_add(len as i64)?;
        if offset < 0 || end > self.written() {
            return None;
        }
        if let Some(recent) = self.read_recent(offset, len) {
            return Some(recent);
        }
        let (start, file) = self.segments.read().expect("segments").opened(offset)?;
        if end > start + self.segment_len {
            return None;
        }
        let mut bytes = vec![0; len];
        match read_full(&*file, &mut bytes, (offset - start) as u64) {
            Ok(()) => Some(bytes.into()),
            Err(error) => {
                tracing::error!(offset, len, %error, "CommitLog read");
                None
            }
        }
    }

    /// `len` bytes of the log at `offset`, if they are in memory.
    pub(crate) fn read_recent(&self, offset: i64, len: usize) -> Option<Bytes> {
        self.recent.read().expect("recent").get(offset, len)
    }

    /// The record at `offset`; at most `len_max` bytes of it are believed, and only if it says itself that it
    /// stands there.
    pub(crate) fn record_at(&self, offset: i64) -> Option<Bytes> {
        let head = self.read(offset, PHYSICAL_OFFSET_AT + 8)?;
        let (size, magic) = record::size_and_magic(&head)?;
        let own_offset =
            head.get(PHYSICAL_OFFSET_AT..)?.first_chunk().map(|bytes| i64::from_be_bytes(*bytes));
        let size = usize::try_from(size).ok().filter(|size| *size <= RECORD_LEN_MAX)?;
        let is_record = [MAGIC_V1, MAGIC_V2].contains(&magic) && own_offset == Some(offset);
        is_record.then(|| self.read(offset, size))?
    }

    /// The store timestamp of the record at `offset`.
    pub(crate) fn store_timestamp_at(&self, offset: i64, size: usize) -> Option<i64> {
        record::store_timestamp(&self.read(offset, size.min(record::STORE_TIMESTAMP_LEN))?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use super::*;
    use crate::disk::{DirEntry, DiskLock, DiskSpace, SimDisk};
    use crate::segments::OpenFiles;

    /// A disk on which a flush comes in the middle of each renaming: just before the name changes.
    struct Flushing(SimDisk, OnceLock<std::sync::Weak<CommitLog>>);

    impl Disk for Flushing {
        fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
            self.0.open(path)
        }
        fn create(&self, path: &Path, len: u64) -> io::Result<Arc<dyn DiskFile>> {
            self.0.create(path, len)
        }
        fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
            self.0.list(dir)
        }
        fn exists(&self, path: &Path) -> io::Result<bool> {
            self.0.exists(path)
        }
        fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
            self.0.create_dir_all(dir)
        }
        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            self.1.get().and_then(std::sync::Weak::upgrade).map_or(Ok(()), |log| log.sync_names())?;
            self.0.rename(from, to)
        }
        fn remove_file(&self, path: &Path) -> io::Result<()> {
            self.0.remove_file(path)
        }
        fn remove_dir(&self, dir: &Path) -> io::Result<()> {
            self.0.remove_dir(dir)
        }
        fn sync_dir(&self, dir: &Path) -> io::Result<()> {
            self.0.sync_dir(dir)
        }
        fn sync_all(&self, dir: &Path) -> io::Result<()> {
            self.0.sync_all(dir)
        }
        fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
            self.0.lock(path)
        }
        fn space(&self, dir: &Path) -> io::Result<DiskSpace> {
            self.0.space(dir)
        }
    }

    /// A segment that gets its name while a flush is under way has it on the disk after the next flush.
    #[test]
    fn names_are_synced_after_they_are_given() {
        // Seeds decide whether a power cut takes what was not synced.
        for seed in 0..16 {
            let sim = SimDisk::new();
            let flushing = Arc::new(Flushing(sim.clone(), OnceLock::new()));
            let disk: Arc<dyn Disk> = flushing.clone();
            let (dir, building) = (PathBuf::from("/log"), Path::new("/building"));
            disk.create_dir_all(building).unwrap();
            let segments =
                Segments::new(disk.clone(), dir.clone(), building.into(), 64, OpenFiles::up_to(usize::MAX));
            let log = Arc::new(CommitLog::new(disk.clone(), dir.clone(), building.into(), segments, 0));
            flushing.1.set(Arc::downgrade(&log)).unwrap();
            let write = |bytes| log.write(&mut log.tail(), &Bytes::from_static(bytes)).unwrap();
            write(&[1; 32]);
            log.prepare_next().unwrap();
            log.roll(&mut log.tail()).unwrap();
            write(&[2; 32]);
            log.sync_names().unwrap();
            sim.reboot(seed);
            assert_eq!(disk.list(&dir).unwrap().len(), 2, "seed {seed}");
        }
    }
}
