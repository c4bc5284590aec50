//! The operating system's files, through `pread`, `pwrite` and `fdatasync`. No file is ever mapped: a full or
//! failing disk is an error here, not a signal.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;

use rustix::fs::{FallocateFlags, FlockOperation};

use super::{DirEntry, Disk, DiskFile, DiskLock, DiskSpace};

/// Bytes zeroed at a time where the file system cannot punch holes.
const ZERO_CHUNK: usize = 256 * 1024;

/// The real disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsDisk;

struct OsFile(File);

impl Disk for OsDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(OsFile(OpenOptions::new().read(true).write(true).open(path)?)))
    }

    fn create(&self, path: &Path, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        file.set_len(len)?;
        Ok(Arc::new(OsFile(file)))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let entries = match fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // Among very many folders, asking for each costs more than all else.
            if entry.file_type()?.is_dir() {
                found.push(DirEntry { name, len: 0, is_dir: true, modified_ms: 0 });
                continue;
            }
            let metadata = match fs::metadata(entry.path()) {
                // Removed since the folder was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                metadata => metadata?,
            };
            let modified = metadata.modified()?.duration_since(UNIX_EPOCH);
            found.push(DirEntry {
                name,
                len: metadata.len(),
                is_dir: metadata.is_dir(),
                modified_ms: modified.map_or(0, |since| since.as_millis() as i64),
            });
        }
        Ok(found)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn guard_like(&self, path: &Path, like: &Path) -> io::Result<()> {
        fs::set_permissions(path, fs::metadata(like)?.permissions())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        fs::remove_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn sync_all(&self, dir: &Path) -> io::Result<()> {
        Ok(rustix::fs::syncfs(File::open(dir)?)?)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        Ok(OsLock::take(path)?.map(|lock| Box::new(lock) as Box<dyn DiskLock>))
    }

    fn space(&self, dir: &Path) -> io::Result<DiskSpace> {
        let stat = rustix::fs::statvfs(dir)?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        let used = stat.f_blocks.saturating_sub(stat.f_bfree);
        Ok(DiskSpace { used: bytes(used), available: bytes(stat.f_bavail) })
    }
}

impl DiskFile for OsFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(bytes, offset)
    }

    fn zero_from(&self, offset: u64) -> io::Result<()> {
        let len = self.0.metadata()?.len();
        if offset >= len {
            return Ok(());
        }
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        if rustix::fs::fallocate(&self.0, hole, offset, len - offset).is_ok() {
            return Ok(());
        }
        let zeros = vec![0; ZERO_CHUNK];
        let mut at = offset;
        while at < len {
            let chunk = zeros.get(..(len - at).min(ZERO_CHUNK as u64) as usize).unwrap_or(&zeros);
            super::write_full(self, chunk, at)?;
            at += chunk.len() as u64;
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

/// Lock files that this process holds. A POSIX lock belongs to the process and goes when *any* descriptor of
/// the file is closed, so a second store in the same process must be turned away before it opens the file.
static HELD: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn held() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An `fcntl` lock, which is what Java's `FileChannel.tryLock` takes: the two exclude each other.
struct OsLock {
    // Declared first, so that the descriptor closes before the name is given back.
    file: File,
    _name: HeldName,
}

struct HeldName(PathBuf);

impl Drop for HeldName {
    fn drop(&mut self) {
        held().remove(&self.0);
    }
}

impl OsLock {
    fn take(path: &Path) -> io::Result<Option<Self>> {
        let parent = path.parent().unwrap_or(Path::new(".")).canonicalize()?;
        let name = parent.join(path.file_name().unwrap_or_default());
        if !held().insert(name.clone()) {
            return Ok(None);
        }
        let name = HeldName(name);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&name.0)?;
        match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { file, _name: name })),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl DiskLock for OsLock {
    fn mark(&self) -> io::Result<()> {
        self.file.write_all_at(b"lock", 0)
    }
}
