//! The files of a ConsumeQueue, or of its units, and their end, which is in memory only.
//!
//! ```text
//! files .. | writing | pending ..
//!          written               end
//! ```
//!
//! [`Files`] and [`Tail`] are locked apart, in this order: whoever adds, or reads what is in memory, does not wait for
//! the disk.

use std::collections::BTreeSet;
use std::io;
use std::sync::MutexGuard;

use bytes::Bytes;

use crate::config::UNIT_LEN;
use crate::consume_queue::QueueEntry;
use crate::disk::{read_full, rewrite, sync_for_good, write_full};
use crate::segments::Segments;

/// The files of a queue, or of its units.
pub(crate) struct Files {
    pub(crate) segments: Segments,
    /// Whether what lies behind the end in the last file is known to be zero.
    clean_tail: bool,
    /// Where the files start that were written to since they were synced.
    unsynced: BTreeSet<i64>,
    /// Whether the names of the first file and its folders may not be on the disk yet.
    unsynced_names: bool,
    /// Used since the last sweep of idle files.
    used: bool,
}

impl Files {
    pub(crate) fn new(segments: Segments) -> Self {
        Self { segments, clean_tail: false, unsynced: BTreeSet::new(), unsynced_names: false, used: false }
    }

    /// Writes at the end, which is `at`, and makes the files that it takes. Returns the new end.
    pub(crate) fn append(&mut self, mut at: i64, bytes: &[u8]) -> io::Result<i64> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let len = self.segments.file_len();
            let start = at - at % len;
            let (now, later) = rest.split_at_checked((start + len - at) as usize).unwrap_or((rest, &[]));
            match self.segments.file_of(at)? {
                Some((start, file)) => {
                    if !self.clean_tail {
                        file.zero_from((at - start) as u64)?;
                    }
                    write_full(&*file, now, (at - start) as u64)?;
                }
                None => {
                    let blanks = (at - start) as usize / UNIT_LEN;
                    let mut content = QueueEntry::BLANK.to_bytes().repeat(blanks);
                    content.extend_from_slice(now);
                    if self.segments.count() == 0 {
                        self.segments.add_first(start, &content)?;
                        self.unsynced_names = true;
                    } else {
                        self.sync()?;
                        self.segments.add(start, &content)?;
                    }
                }
            }
            self.clean_tail = true;
            self.used = true;
            self.unsynced.insert(start);
            at += now.len() as i64;
            rest = later;
        }
        Ok(at)
    }

    pub(crate) fn is_unsynced(&self) -> bool {
        self.unsynced_names || !self.unsynced.is_empty()
    }

    pub(crate) fn count_as_synced(&mut self) {
        self.unsynced.clear();
        self.unsynced_names = false;
    }

    /// Puts all of it on the disk.
    fn sync(&mut self) -> io::Result<()> {
        for start in std::mem::take(&mut self.unsynced) {
            if let Some((_, file)) = self.segments.file_of(start)? {
                sync_for_good(&*file)?;
            }
        }
        if self.unsynced_names {
            self.segments.sync_names()?;
            self.unsynced_names = false;
        }
        Ok(())
    }

    /// Writes what is there from `at` to `end` once more, and counts it as not synced.
    pub(crate) fn rewrite(&mut self, mut at: i64, end: i64) -> io::Result<()> {
        while at < end {
            let Some((start, file)) = self.segments.file_of(at)? else { break };
            let to = end.min(start + self.segments.file_len());
            rewrite(&*file, (at - start) as u64, (to - start) as u64)?;
            self.unsynced.insert(start);
            at = to;
        }
        self.unsynced_names = !self.unsynced.is_empty();
        Ok(())
    }

    /// Closes files that nobody has used since the last call.
    pub(crate) fn close_idle(&mut self) {
        if !std::mem::take(&mut self.used) {
            self.segments.close_files();
        }
    }
}

/// Puts on the disk what has been written, and waits for that without the lock.
pub(crate) fn sync_apart<'a>(files: impl Fn() -> MutexGuard<'a, Files>) -> io::Result<()> {
    let unsynced = {
        let mut files = files();
        if std::mem::take(&mut files.unsynced_names) {
            files.segments.sync_names()?;
        }
        std::mem::take(&mut files.unsynced)
    };
    for start in unsynced {
        // The file may have been removed meanwhile, with all that was in it.
        let file = files().segments.file_of(start)?;
        if let Some((_, file)) = file {
            file.sync()?;
        }
    }
    Ok(())
}

/// What is in memory. Places are bytes, as in the files.
#[derive(Default)]
pub(crate) struct Tail {
    /// Where it begins; what lies before is in the files.
    pub(crate) written: i64,
    /// What is being written out just now, from `written` on.
    writing: Bytes,
    /// What lies behind that.
    pub(crate) pending: Vec<u8>,
    /// Whether the queue was removed; whoever still holds it writes nothing any more.
    pub(crate) gone: bool,
}

impl Tail {
    /// Nothing, behind files that end at `written`.
    pub(crate) fn at(written: i64) -> Self {
        Self { written, ..Self::default() }
    }

    /// That of a queue that was removed.
    pub(crate) fn gone() -> Self {
        Self { gone: true, ..Self::default() }
    }

    pub(crate) fn end(&self) -> i64 {
        self.written + (self.writing.len() + self.pending.len()) as i64
    }

    /// Up to `len` bytes from `at` on; fewer at the end.
    pub(crate) fn find(&self, at: i64, len: usize) -> Found {
        if !(0..self.end()).contains(&at) {
            return Found::InMemory(Vec::new());
        }
        let Ok(from) = usize::try_from(at - self.written) else {
            return Found::InFiles { at, end: self.written.min(at.saturating_add(len as i64)) };
        };
        Found::InMemory(match from.checked_sub(self.writing.len()) {
            // The usual case, at memcpy speed.
            Some(from) => {
                let pending = &self.pending[from..];
                pending.get(..len).unwrap_or(pending).to_vec()
            }
            None => self.writing.iter().chain(&self.pending).skip(from).take(len).copied().collect(),
        })
    }

    /// What is to be written out, and where. It is kept until [`Tail::end_writing`].
    pub(crate) fn begin_writing(&mut self) -> (i64, Bytes) {
        let pending = std::mem::take(&mut self.pending);
        // A round that found no room has left something.
        let writing = if self.writing.is_empty() { pending } else { [&self.writing[..], &pending].concat() };
        self.writing = Bytes::from(writing);
        (self.written, self.writing.clone())
    }

    /// It is in the files, up to `end`.
    pub(crate) fn end_writing(&mut self, end: i64) {
        self.written = end;
        self.writing = Bytes::new();
    }

    /// Forgets what lies behind `end`.
    pub(crate) fn cut(&mut self, end: i64) {
        self.pending = [&self.writing[..], &self.pending].concat();
        self.pending.truncate(usize::try_from(end - self.written).unwrap_or(0));
        self.writing = Bytes::new();
        self.written = self.written.min(end);
    }
}

/// What was asked for.
pub(crate) enum Found {
    InMemory(Vec<u8>),
    InFiles { at: i64, end: i64 },
}

impl Found {
    /// The bytes, from the files if need be; of two files only the first one's.
    pub(crate) fn bytes<'a>(self, files: impl FnOnce() -> MutexGuard<'a, Files>) -> io::Result<Vec<u8>> {
        let (at, end) = match self {
            Self::InMemory(bytes) => return Ok(bytes),
            Self::InFiles { at, end } => (at, end),
        };
        let mut files = files();
        files.used = true;
        let Some((start, file)) = files.segments.file_of(at)? else { return Ok(Vec::new()) };
        let end = end.min(start + files.segments.file_len());
        drop(files);
        let mut bytes = vec![0; (end - at) as usize];
        read_full(&*file, &mut bytes, (at - start) as u64)?;
        Ok(bytes)
    }
}
