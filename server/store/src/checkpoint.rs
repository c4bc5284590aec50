//! The checkpoint: up to which store time log, queues and index are on the disk.
//!
//! ```text
//! 0  newest flushed message 8 | newest message up to which all queues are flushed 8 | index 8
//! 24 5.3: master flushed offset 8 | confirmed offset 8 | zero up to 4096
//! ```
//!
//! Times are those of messages, in milliseconds, never the clock's. Java counterpart: `StoreCheckpoint`.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::disk::{Disk, DiskFile, write_full};
use crate::error::OpenError;
use crate::segments;

const FILE_LEN: i64 = 4096;
/// What recovery takes off, in milliseconds.
const MARGIN_MS: i64 = 3_000;

/// The three times that this release knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) physic: i64,
    pub(crate) logic: i64,
    pub(crate) index: i64,
}

impl Times {
    /// Recovery after a crash starts at a record not younger than this.
    pub(crate) fn recovery_start(self) -> i64 {
        (self.physic.min(self.logic) - MARGIN_MS).max(0)
    }
}

pub(crate) struct Checkpoint {
    file: Arc<dyn DiskFile>,
    pub(crate) times: Times,
    /// How often [`Checkpoint::lower`] was called.
    pub(crate) lowered: u64,
}

impl Checkpoint {
    /// Reads the file, or makes one that says nothing: then recovery reads the whole log.
    pub(crate) fn open(disk: &dyn Disk, building: &Path, path: &Path) -> Result<Self, OpenError> {
        let failed = || OpenError::io("opening", path);
        if !disk.exists(path).map_err(failed())? {
            let file = segments::build(disk, building, path, FILE_LEN, &[]).map_err(failed())?;
            return Ok(Self { file, times: Times::default(), lowered: 0 });
        }
        let file = disk.open(path).map_err(failed())?;
        // A file cut short counts as zeros from there on, as it does when Java maps it.
        let mut bytes = [0; 24];
        let mut read = 0;
        while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, read as u64).map_err(failed())? {
                0 => break,
                more => read += more,
            }
        }
        let [physic, logic, index] =
            [0, 8, 16].map(|at| i64::from_be_bytes(bytes[at..at + 8].try_into().unwrap_or_default()));
        Ok(Self { file, times: Times { physic, logic, index }, lowered: 0 })
    }

    /// The next record's time is earlier than that of the one before: the checkpoint must not speak of it.
    pub(crate) fn lower(&mut self, timestamp: i64) -> io::Result<()> {
        self.lowered += 1;
        let Times { physic, logic, index } = self.times;
        let below = |time: i64| time.min(timestamp - 1);
        self.write(Times { physic: below(physic), logic: below(logic), index: below(index) })
    }

    /// Writes the times; what later releases keep behind them stays.
    pub(crate) fn write(&mut self, times: Times) -> io::Result<()> {
        let bytes: Vec<u8> =
            [times.physic, times.logic, times.index].iter().flat_map(|time| time.to_be_bytes()).collect();
        write_full(&*self.file, &bytes, 0)?;
        self.file.sync()?;
        self.times = times;
        Ok(())
    }
}
