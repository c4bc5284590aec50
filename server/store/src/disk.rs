//! The seam between the store and the disk: [`OsDisk`] is the operating system's, [`SimDisk`] one in memory
//! that loses power and fails calls on demand.
//!
//! A write is on the disk only after [`DiskFile::sync`]; a new, renamed or removed name only after
//! [`Disk::sync_dir`] of its folder.

use std::io;
use std::path::Path;
use std::sync::Arc;

/// Bytes that [`rewrite`] holds.
const REWRITTEN_AT_ONCE: u64 = 1 << 20;

mod os;
mod sim;

pub use os::OsDisk;
pub use sim::{Call, Fault, SimDisk};

/// A file system.
pub trait Disk: Send + Sync + 'static {
    /// Opens an existing file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Makes a file of `len` zero bytes that take no room yet, replacing what was there.
    fn create(&self, path: &Path, len: u64) -> io::Result<Arc<dyn DiskFile>>;
    /// What a folder holds, in no particular order; nothing if there is no such folder.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;
    /// Whether there is something of this name.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Makes a folder and those above it.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Lets those read and write `path` who may read and write `like`, and no others.
    fn guard_like(&self, path: &Path, like: &Path) -> io::Result<()> {
        let _ = (path, like);
        Ok(())
    }
    /// Renames a file, replacing what has the new name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty folder.
    fn remove_dir(&self, dir: &Path) -> io::Result<()>;
    /// Waits until the folder's names are on the disk.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Waits until everything that was written to the file system of `dir` is on the disk, files and names: many
    /// of them at the price of a few.
    fn sync_all(&self, dir: &Path) -> io::Result<()>;
    /// Takes the lock of `path`, making the file if need be, until the returned value is dropped. `None` if
    /// somebody else has it.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>>;
    /// How full the disk that holds `dir` is.
    fn space(&self, dir: &Path) -> io::Result<DiskSpace>;
}

/// An open file. Positions are absolute; calls may come from several threads.
pub trait DiskFile: Send + Sync {
    /// Reads up to `buffer.len()` bytes; 0 at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes up to `bytes.len()` bytes.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Makes the bytes from `offset` to the end of the file zero without changing its length.
    fn zero_from(&self, offset: u64) -> io::Result<()>;
    /// Waits until the content is on the disk (`fdatasync`).
    fn sync(&self) -> io::Result<()>;
    /// Bytes of the file.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// A lock that is held until this is dropped.
pub trait DiskLock: Send + Sync {
    /// Writes Java's four bytes into the lock file.
    fn mark(&self) -> io::Result<()>;
}

/// Something in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// Its name.
    pub name: String,
    /// Bytes, if it is a file; for a folder nothing that counts.
    pub len: u64,
    /// Whether it is a folder.
    pub is_dir: bool,
    /// When its content changed last, milliseconds since 1970, if it is a file.
    pub modified_ms: i64,
}

/// How full a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    /// Bytes in use.
    pub used: u64,
    /// Bytes that this program may still use.
    pub available: u64,
}

impl DiskSpace {
    /// Percent in use, rounded up, as Java counts it.
    pub fn used_percent(&self) -> i64 {
        let entire = self.used.saturating_add(self.available);
        if entire == 0 { 0 } else { (u128::from(self.used) * 100).div_ceil(u128::from(entire)) as i64 }
    }
}

/// Whether a call failed only because there is no room at the moment.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Waits for what the system will not be asked to write again. A sync that finds no room is then no reason to try
/// later: what it could not write counts as written from then on, and is lost.
pub(crate) fn sync_for_good(file: &dyn DiskFile) -> io::Result<()> {
    file.sync().map_err(|error| if is_full(&error) { io::Error::other(error) } else { error })
}

/// Fills `buffer` from `offset`; the file ending before is an error.
pub(crate) fn read_full(file: &dyn DiskFile, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match file.read_at(buffer, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                buffer = buffer.get_mut(read..).unwrap_or_default();
                offset += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes what is there from `from` to `to` once more, so that the next sync puts it on the disk. After a sync that
/// failed, Linux takes what it did not write for written; that ends with the machine, not with the program.
pub(crate) fn rewrite(file: &dyn DiskFile, mut from: u64, to: u64) -> io::Result<()> {
    let mut bytes = Vec::new();
    while from < to {
        bytes.resize((to - from).min(REWRITTEN_AT_ONCE) as usize, 0);
        read_full(file, &mut bytes, from)?;
        write_full(file, &bytes, from)?;
        from += bytes.len() as u64;
    }
    Ok(())
}

/// Writes all of `bytes` at `offset`.
pub(crate) fn write_full(file: &dyn DiskFile, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = bytes.get(written..).unwrap_or_default();
                offset += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
