//! The index over message keys: a row of [`IndexFile`]s, of which the last is written to.
//! Java counterpart: `IndexService`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::disk::Disk;
use crate::error::OpenError;
use crate::index_file::{Header, IndexFile, Shape};
use crate::segments;

/// Bytes of entries that wait for the next round before one is asked for.
const PENDING_MAX: usize = 1 << 16;

/// All index files.
pub(crate) struct Index {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    building: Arc<Path>,
    shape: Shape,
    /// Taken while the log's tail is held, so that entries come in the order of the log.
    state: Mutex<State>,
}

/// The files, oldest first.
pub(crate) struct State {
    files: Vec<IndexFile>,
    /// Why nothing more is indexed until the store is reopened.
    broken: Option<String>,
    puts: usize,
    /// Whether there is no file where there was one: then the whole log is to be indexed again.
    lost: bool,
}

/// A key of a message, as the index knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IndexKey {
    pub(crate) hash: u32,
    pub(crate) physical_offset: i64,
    pub(crate) store_timestamp: i64,
}

/// Where a query's messages are.
#[derive(Debug, Default)]
pub(crate) struct IndexMatches {
    pub(crate) physical_offsets: Vec<i64>,
    pub(crate) last_update_timestamp: i64,
    pub(crate) last_update_physical_offset: i64,
}

impl Index {
    /// Reads the folder. Files of another length are refused: their slots would be read wrongly.
    pub(crate) fn load(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        building: Arc<Path>,
        shape: Shape,
    ) -> Result<Self, OpenError> {
        let mut entries = disk.list(&dir).map_err(OpenError::io("listing", &dir))?;
        entries.retain(|entry| !entry.is_dir && entry.name.parse::<i64>().is_ok());
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let mut files = Vec::new();
        for entry in entries {
            let path = dir.join(&entry.name);
            if entry.len == 0 {
                disk.remove_file(&path).map_err(OpenError::io("removing the empty", &path))?;
                continue;
            }
            let expected = shape.file_len();
            if entry.len != expected {
                return Err(OpenError::Length { path, found: entry.len, expected });
            }
            let file = disk.open(&path).and_then(|file| IndexFile::load(entry.name, shape, file));
            files.push(file.map_err(OpenError::io("reading", &path))?);
        }
        let state = Mutex::new(State { files, broken: None, puts: 0, lost: false });
        Ok(Self { disk, dir, building, shape, state })
    }

    /// The state; appends take it before they let go of the log's tail.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("a thread panicked while it held the index")
    }

    /// Adds keys in the order of the log. A failure stops indexing, not the store: the index is only a
    /// shortcut, and recovery goes on where it ends. Returns whether a round should be written soon.
    pub(crate) fn put(&self, state: &mut State, keys: &[IndexKey], now_ms: i64) -> bool {
        for key in keys {
            if state.broken.is_some() {
                return false;
            }
            if let Err(error) = self.put_one(state, *key, now_ms) {
                tracing::error!(%error, "indexing stops until the store is reopened");
                state.broken = Some(error.to_string());
            }
        }
        state.puts += keys.len();
        state.puts >= PENDING_MAX
    }

    fn put_one(&self, state: &mut State, key: IndexKey, now_ms: i64) -> std::io::Result<()> {
        if state.files.last().is_none_or(IndexFile::is_full) {
            let header = match state.files.last() {
                Some(full) => Header::after(full.header.end_physical, full.header.end_timestamp),
                None => Header::after(0, 0),
            };
            let newest = state.files.last().and_then(|file| file.name.parse::<i64>().ok()).unwrap_or(0);
            let name = name_of(now_ms).max(newest + 1).to_string();
            let path = self.dir.join(&name);
            let len = self.shape.file_len() as i64;
            let file = segments::build(&*self.disk, &self.building, &path, len, &header.to_bytes())?;
            state.files.push(IndexFile::new(name, header, self.shape, file));
        }
        match state.files.last_mut() {
            Some(file) => file.put(key.hash, key.physical_offset, key.store_timestamp),
            None => Ok(()),
        }
    }

    /// Whether a record that recovery found at `physical_offset` is indexed already.
    pub(crate) fn has(&self, state: &State, physical_offset: i64) -> bool {
        state.files.last().is_some_and(|last| {
            // Of the message that filled a file, or that was to begin the next one, keys may be missing.
            let whole = last.header.count > 1 && !last.is_full();
            physical_offset < last.header.end_physical + i64::from(whole)
        })
    }

    /// Up to where the log is indexed; `None` if nothing was when the store was closed.
    pub(crate) fn end(&self) -> Option<i64> {
        let state = self.lock();
        state.files.last().map(|last| last.header.end_physical).or(state.lost.then_some(0))
    }

    /// Writes out new entries; with `all` also slots and headers, synced. Returns the newest time that is on
    /// the disk for good, for the checkpoint.
    pub(crate) fn write_out(&self, all: bool) -> std::io::Result<i64> {
        let mut names: Vec<String> = Vec::new();
        {
            let mut state = self.lock();
            state.puts = 0;
            names.extend(state.files.iter().map(|file| file.name.clone()));
        }
        let mut synced = 0;
        for name in names {
            let (round, end_timestamp) = {
                let mut state = self.lock();
                let Some(file) = state.files.iter_mut().find(|file| file.name == name) else { continue };
                (file.round(all), file.header.end_timestamp)
            };
            if let Some(round) = round {
                round.write()?;
                let mut state = self.lock();
                if let Some(file) = state.files.iter_mut().find(|file| file.name == name) {
                    file.round_done(&round);
                }
            }
            synced = end_timestamp;
        }
        Ok(synced)
    }

    /// Drops or repairs what a crash or a cut of the log left. Files that end at or before the checkpoint's
    /// index time and within the log are good.
    pub(crate) fn recover(
        &self,
        clean: bool,
        checkpoint: i64,
        log_end: i64,
        time_of: impl Fn(i64) -> Option<i64>,
    ) -> Result<(), OpenError> {
        let mut state = self.lock();
        let mut kept: Vec<IndexFile> = Vec::new();
        let newest = state.files.last().map(|file| file.name.clone());
        for mut file in std::mem::take(&mut state.files) {
            let in_log = file.header.count <= 1 || file.header.end_physical < log_end;
            // The slots of a file that was being written may be older than its entries.
            let was_written = !file.is_full() || newest.as_ref() == Some(&file.name);
            let doubtful = !clean && (was_written || file.header.end_timestamp > checkpoint);
            let path = self.dir.join(&file.name);
            // A file that lacks entries makes those after it worthless: they say that its part is indexed.
            let follows_gap = kept.last().is_some_and(|before| !before.is_full());
            let keep = if follows_gap {
                false
            } else if in_log && !doubtful {
                true
            } else {
                file.repair(log_end, &time_of).map_err(OpenError::io("reading", &path))?
            };
            if keep {
                kept.push(file);
            } else {
                self.disk.remove_file(&path).map_err(OpenError::io("removing", &path))?;
            }
        }
        // After a clean stop none means that there never was one, unless the checkpoint knows better.
        state.lost = kept.is_empty() && (!clean || checkpoint > 0);
        state.files = kept;
        Ok(())
    }

    /// Removes the files that end before `min_physical`, never the last. Returns how many.
    pub(crate) fn delete_expired(&self, min_physical: i64) -> std::io::Result<usize> {
        let mut state = self.lock();
        let mut deleted = 0;
        while state.files.len() > 1
            && let Some(first) = state.files.first().filter(|file| file.header.end_physical < min_physical)
        {
            self.disk.remove_file(&self.dir.join(&first.name))?;
            state.files.remove(0);
            deleted += 1;
        }
        Ok(deleted)
    }

    /// Where messages with this hash were stored between two times, newest first. Collisions are not told
    /// apart.
    pub(crate) fn query(&self, hash: u32, max: usize, begin: i64, end: i64) -> IndexMatches {
        let mut matches = IndexMatches::default();
        let mut views = Vec::new();
        {
            let state = self.lock();
            if let Some(last) = state.files.last() {
                matches.last_update_timestamp = last.header.end_timestamp;
                matches.last_update_physical_offset = last.header.end_physical;
            }
            for file in state.files.iter().rev() {
                views.extend(file.view(hash, begin, end));
                if file.header.begin_timestamp < begin {
                    break;
                }
            }
        }
        for view in views {
            if matches.physical_offsets.len() >= max {
                break;
            }
            view.select(hash, begin, end, max, &mut matches.physical_offsets);
        }
        matches
    }

    /// Why indexing stopped, if it did.
    pub(crate) fn broken(&self) -> Option<String> {
        self.lock().broken.clone()
    }
}

/// The name of a file made now: local time as digits, `yyyyMMddHHmmssSSS`.
fn name_of(now_ms: i64) -> i64 {
    let now = Timestamp::from_millisecond(now_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    let local = now.to_zoned(TimeZone::system());
    let date = i64::from(local.year()) * 10_000 + i64::from(local.month()) * 100 + i64::from(local.day());
    let time = i64::from(local.hour()) * 10_000 + i64::from(local.minute()) * 100 + i64::from(local.second());
    (date * 1_000_000 + time) * 1_000 + i64::from(local.millisecond())
}
