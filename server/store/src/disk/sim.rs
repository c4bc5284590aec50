//! A disk in memory that can lose power and fail calls.
//!
//! Content is kept per sector of 512 bytes, twice: as programs see it and as the platters hold it. A power cut
//! keeps any subset of the sectors written since the last sync, so writes are lost, torn and reordered.
//! Names are kept the same way: of the changes to a folder since its last sync a power cut keeps some number
//! of the first ones.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::{DirEntry, Disk, DiskFile, DiskLock, DiskSpace};

const SECTOR: usize = 512;

type Sector = [u8; SECTOR];

/// The calls that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Writing to a file.
    Write,
    /// Reading from a file.
    Read,
    /// Syncing a file.
    Sync,
    /// Syncing a folder.
    SyncDir,
    /// Syncing everything.
    SyncAll,
    /// Making a file.
    Create,
    /// Renaming a file.
    Rename,
    /// Removing a file.
    Remove,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails with this kind; a failed sync leaves what was unsynced as if it were clean, on the platters
    /// or not, as Linux does.
    Fail(io::ErrorKind),
    /// A write takes only this many bytes.
    Short(usize),
    /// The power goes before the call: it and all later ones fail until [`SimDisk::reboot`].
    PowerCut,
}

/// The simulated disk. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct SimDisk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    files: HashMap<u64, Content>,
    next_file: u64,
    names: BTreeMap<PathBuf, u64>,
    dirs: BTreeSet<PathBuf>,
    durable_names: BTreeMap<PathBuf, u64>,
    /// Changes of names not yet synced, oldest first.
    unsynced: Vec<Change>,
    locks: BTreeSet<PathBuf>,
    faults: Vec<(Call, u64, Fault)>,
    calls: HashMap<&'static str, u64>,
    off: bool,
    /// Grows with every reboot: handles from before it are dead.
    boot: u64,
    /// Shared by all open files.
    handles: Arc<()>,
    open_max: usize,
    now_ms: i64,
    /// How full the disks below these folders are; the first one is the rest's.
    space: Vec<(PathBuf, DiskSpace)>,
    rng: u64,
}

#[derive(Clone, Debug, Default)]
struct Content {
    len: u64,
    durable_len: u64,
    sectors: HashMap<u64, Box<Sector>>,
    durable: HashMap<u64, Box<Sector>>,
    dirty: BTreeSet<u64>,
    modified_ms: i64,
}

#[derive(Clone, Debug)]
enum Change {
    Put(PathBuf, u64),
    Move(PathBuf, PathBuf, u64),
    Remove(PathBuf),
}

impl Change {
    fn dir(&self) -> Option<&Path> {
        match self {
            Self::Put(path, _) | Self::Move(_, path, _) | Self::Remove(path) => path.parent(),
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Self::Put(path, file) => {
                names.insert(path.clone(), *file);
            }
            Self::Move(from, to, file) => {
                names.remove(from);
                names.insert(to.clone(), *file);
            }
            Self::Remove(path) => {
                names.remove(path);
            }
        }
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            files: HashMap::new(),
            next_file: 0,
            names: BTreeMap::new(),
            dirs: BTreeSet::new(),
            durable_names: BTreeMap::new(),
            unsynced: Vec::new(),
            locks: BTreeSet::new(),
            faults: Vec::new(),
            calls: HashMap::new(),
            off: false,
            boot: 0,
            handles: Arc::default(),
            open_max: usize::MAX,
            now_ms: 0,
            space: vec![(PathBuf::new(), DiskSpace { used: 0, available: 1 << 40 })],
            rng: 0x9E37_79B9_7F4A_7C15,
        }
    }
}

impl SimDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("a thread panicked while it used the simulated disk")
    }

    /// Lets the `nth` of the coming calls of this kind (1 is the next) meet `fault`.
    pub fn inject(&self, call: Call, nth: u64, fault: Fault) {
        let mut state = self.state();
        let made = state.calls.get(call.name()).copied().unwrap_or(0);
        state.faults.push((call, made + nth, fault));
    }

    /// How many calls of this kind have been made.
    pub fn calls(&self, call: Call) -> u64 {
        self.state().calls.get(call.name()).copied().unwrap_or(0)
    }

    /// Whether the power is gone.
    pub fn is_off(&self) -> bool {
        self.state().off
    }

    /// Cuts the power now (if it is still on) and switches it on again: what was not synced is kept or lost
    /// as `seed` decides. Locks are free again and all open files are dead.
    pub fn reboot(&self, seed: u64) {
        let mut state = self.state();
        state.rng = seed | 1;
        state.lose_power();
    }

    /// Ends the program without harm to the disk, as `kill -9` does: locks are free, files that are open now
    /// fail from here on.
    pub fn kill(&self) {
        self.state().restart();
    }

    /// Sets how many files may be open at once: opening one more fails. Those from before a restart are closed.
    pub fn set_open_max(&self, open_max: usize) {
        self.state().open_max = open_max;
    }

    /// Sets the time that changed files get.
    pub fn set_now(&self, now_ms: i64) {
        self.state().now_ms = now_ms;
    }

    /// Sets how full the disk says it is.
    pub fn set_space(&self, space: DiskSpace) {
        self.state().space = vec![(PathBuf::new(), space)];
    }

    /// Sets how full the disk says it is that holds this folder, until [`SimDisk::set_space`].
    pub fn set_space_of(&self, dir: &Path, space: DiskSpace) {
        self.state().space.push((dir.to_path_buf(), space));
    }

    /// Flips one bit of a file, on the platters too.
    pub fn flip_bit(&self, path: &Path, byte: u64, bit: u8) {
        let mut state = self.state();
        let file = state.names.get(path).copied();
        let Some(content) = file.and_then(|file| state.files.get_mut(&file)) else { return };
        let mut old = [0];
        content.read(&mut old, byte);
        content.write(&[old[0] ^ (1 << (bit % 8))], byte);
        content.sync();
    }
}

impl Call {
    const fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::Sync => "sync",
            Self::SyncDir => "sync folder",
            Self::SyncAll => "sync all",
            Self::Create => "create",
            Self::Rename => "rename",
            Self::Remove => "remove",
        }
    }
}

impl State {
    /// xorshift64*: all that is needed is that a seed repeats.
    fn random(&mut self) -> u64 {
        self.rng ^= self.rng >> 12;
        self.rng ^= self.rng << 25;
        self.rng ^= self.rng >> 27;
        self.rng.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Counts the call and says what becomes of it.
    fn admit(&mut self, call: Call) -> io::Result<Option<Fault>> {
        let made = self.calls.entry(call.name()).or_default();
        *made += 1;
        let made = *made;
        if self.off {
            return Err(io::Error::other("the power is off"));
        }
        let Some(at) = self.faults.iter().position(|(kind, nth, _)| *kind == call && *nth == made) else {
            return Ok(None);
        };
        match self.faults.swap_remove(at).2 {
            Fault::PowerCut => {
                self.off = true;
                Err(io::Error::other("the power is off"))
            }
            fault => Ok(Some(fault)),
        }
    }

    fn simple(&mut self, call: Call) -> io::Result<()> {
        match self.admit(call)? {
            Some(Fault::Fail(kind)) => Err(kind.into()),
            _ => Ok(()),
        }
    }

    fn lose_power(&mut self) {
        let mut folders: Vec<PathBuf> = Vec::new();
        for change in &self.unsynced {
            let dir = change.dir().unwrap_or(Path::new("")).to_path_buf();
            if !folders.contains(&dir) {
                folders.push(dir);
            }
        }
        let changes = std::mem::take(&mut self.unsynced);
        for dir in folders {
            let of_dir: Vec<&Change> = changes.iter().filter(|change| change.dir() == Some(&dir)).collect();
            let kept = self.random() as usize % (of_dir.len() + 1);
            for change in of_dir.into_iter().take(kept) {
                change.apply(&mut self.durable_names);
            }
        }
        self.names = self.durable_names.clone();
        let mut files: Vec<u64> = self.files.keys().copied().collect();
        files.sort_unstable();
        for file in files {
            let Some(mut content) = self.files.remove(&file) else { continue };
            for sector in std::mem::take(&mut content.dirty) {
                if self.random().is_multiple_of(2) {
                    content.keep(sector);
                }
            }
            if self.random().is_multiple_of(2) {
                content.durable_len = content.len;
            }
            content.len = content.durable_len;
            content.sectors = content.durable.clone();
            self.files.insert(file, content);
        }
        self.restart();
    }

    fn restart(&mut self) {
        self.off = false;
        self.boot += 1;
        self.handles = Arc::default();
        self.locks.clear();
        self.faults.clear();
    }
}

impl Content {
    fn read(&self, buffer: &mut [u8], offset: u64) -> usize {
        let end = self.len.min(offset.saturating_add(buffer.len() as u64));
        let mut at = offset;
        while at < end {
            let (sector, within) = (at / SECTOR as u64, at as usize % SECTOR);
            let len = (SECTOR - within).min((end - at) as usize);
            let from = (at - offset) as usize;
            match self.sectors.get(&sector) {
                Some(bytes) => buffer[from..from + len].copy_from_slice(&bytes[within..within + len]),
                None => buffer[from..from + len].fill(0),
            }
            at += len as u64;
        }
        end.saturating_sub(offset) as usize
    }

    fn write(&mut self, bytes: &[u8], offset: u64) {
        let end = offset + bytes.len() as u64;
        let mut at = offset;
        while at < end {
            let (sector, within) = (at / SECTOR as u64, at as usize % SECTOR);
            let len = (SECTOR - within).min((end - at) as usize);
            let from = (at - offset) as usize;
            let content = self.sectors.entry(sector).or_insert_with(|| Box::new([0; SECTOR]));
            content[within..within + len].copy_from_slice(&bytes[from..from + len]);
            self.dirty.insert(sector);
            at += len as u64;
        }
        self.len = self.len.max(end);
    }

    fn zero_from(&mut self, offset: u64) {
        let boundary = offset.div_ceil(SECTOR as u64) * SECTOR as u64;
        if boundary > offset && offset < self.len {
            self.write(&vec![0; (boundary.min(self.len) - offset) as usize], offset);
        }
        let gone: Vec<u64> =
            self.sectors.keys().copied().filter(|sector| *sector >= boundary / SECTOR as u64).collect();
        for sector in gone {
            self.sectors.remove(&sector);
            self.dirty.insert(sector);
        }
    }

    fn keep(&mut self, sector: u64) {
        match self.sectors.get(&sector) {
            Some(bytes) => {
                self.durable.insert(sector, bytes.clone());
            }
            None => {
                self.durable.remove(&sector);
            }
        }
    }

    fn sync(&mut self) {
        for sector in std::mem::take(&mut self.dirty) {
            self.keep(sector);
        }
        self.durable_len = self.len;
    }
}

struct SimFile {
    disk: SimDisk,
    file: u64,
    boot: u64,
    _handle: Arc<()>,
}

impl SimDisk {
    fn handle(&self, state: &State, file: u64) -> io::Result<Arc<dyn DiskFile>> {
        // One is the disk's own.
        if Arc::strong_count(&state.handles) > state.open_max {
            return Err(io::Error::other("too many open files"));
        }
        let (boot, handle) = (state.boot, state.handles.clone());
        Ok(Arc::new(SimFile { disk: self.clone(), file, boot, _handle: handle }))
    }
}

fn missing(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{} does not exist", path.display()))
}

impl Disk for SimDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.state();
        let file = state.names.get(path).copied().ok_or_else(|| missing(path))?;
        self.handle(&state, file)
    }

    fn create(&self, path: &Path, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.simple(Call::Create)?;
        if !path.parent().is_some_and(|dir| state.dirs.contains(dir)) {
            return Err(missing(path));
        }
        let file = state.next_file;
        let handle = self.handle(&state, file)?;
        state.next_file += 1;
        let content = Content { len, modified_ms: state.now_ms, ..Content::default() };
        state.files.insert(file, content);
        state.names.insert(path.to_path_buf(), file);
        state.unsynced.push(Change::Put(path.to_path_buf(), file));
        Ok(handle)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let state = self.state();
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let below = |path: &&PathBuf| path.parent() == Some(dir);
        let dirs = state.dirs.iter().filter(below).map(|path| DirEntry {
            name: name(path),
            len: 0,
            is_dir: true,
            modified_ms: 0,
        });
        let files = state.names.iter().filter(|(path, _)| below(path)).filter_map(|(path, file)| {
            let content = state.files.get(file)?;
            Some(DirEntry {
                name: name(path),
                len: content.len,
                is_dir: false,
                modified_ms: content.modified_ms,
            })
        });
        Ok(dirs.chain(files).collect())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let state = self.state();
        Ok(state.names.contains_key(path) || state.dirs.contains(path))
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.state().dirs.extend(dir.ancestors().map(Path::to_path_buf));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.simple(Call::Rename)?;
        let file = state.names.remove(from).ok_or_else(|| missing(from))?;
        state.names.insert(to.to_path_buf(), file);
        state.unsynced.push(Change::Move(from.to_path_buf(), to.to_path_buf(), file));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.simple(Call::Remove)?;
        state.names.remove(path).ok_or_else(|| missing(path))?;
        state.unsynced.push(Change::Remove(path.to_path_buf()));
        Ok(())
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.dirs.remove(dir);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.simple(Call::SyncDir)?;
        let (synced, left): (Vec<Change>, Vec<Change>) =
            std::mem::take(&mut state.unsynced).into_iter().partition(|change| change.dir() == Some(dir));
        for change in &synced {
            change.apply(&mut state.durable_names);
        }
        state.unsynced = left;
        Ok(())
    }

    fn sync_all(&self, _dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.simple(Call::SyncAll)?;
        let state = &mut *state;
        state.files.values_mut().for_each(Content::sync);
        for change in state.unsynced.drain(..) {
            change.apply(&mut state.durable_names);
        }
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        let mut state = self.state();
        if !state.locks.insert(path.to_path_buf()) {
            return Ok(None);
        }
        let boot = state.boot;
        drop(state);
        Ok(Some(Box::new(SimLock { disk: self.clone(), path: path.to_path_buf(), boot })))
    }

    fn space(&self, dir: &Path) -> io::Result<DiskSpace> {
        let state = self.state();
        let space = state.space.iter().rev().find(|(below, _)| dir.starts_with(below));
        Ok(space.map_or(DiskSpace { used: 0, available: 0 }, |(_, space)| *space))
    }
}

struct SimLock {
    disk: SimDisk,
    path: PathBuf,
    boot: u64,
}

impl DiskLock for SimLock {
    fn mark(&self) -> io::Result<()> {
        let file = self.disk.create(&self.path, 0)?;
        super::write_full(&*file, b"lock", 0)
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        // A lock from before a reboot is gone already; its name may belong to somebody else by now.
        if state.boot == self.boot {
            state.locks.remove(&self.path);
        }
    }
}

impl SimFile {
    fn with<T>(
        &self,
        call: Option<Call>,
        act: impl FnOnce(&mut Content, Option<Fault>, i64) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.disk.state();
        if self.boot != state.boot {
            return Err(io::Error::other("the file was opened before the restart"));
        }
        let fault = call.map(|call| state.admit(call)).transpose()?.flatten();
        let now_ms = state.now_ms;
        let keep = state.random();
        let content = state.files.get_mut(&self.file).ok_or(io::ErrorKind::NotFound)?;
        if let (Some(Fault::Fail(kind)), Some(call)) = (fault, call) {
            if call == Call::Sync {
                // The pages are clean now, and on the platters or not.
                for (at, sector) in std::mem::take(&mut content.dirty).into_iter().enumerate() {
                    if keep >> (at % 64) & 1 == 0 {
                        content.keep(sector);
                    }
                }
            }
            return Err(kind.into());
        }
        act(content, fault, now_ms)
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(Some(Call::Read), |content, _, _| Ok(content.read(buffer, offset)))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.with(Some(Call::Write), |content, fault, now_ms| {
            let len = match fault {
                Some(Fault::Short(len)) => len.min(bytes.len()),
                _ => bytes.len(),
            };
            content.write(&bytes[..len], offset);
            content.modified_ms = now_ms;
            Ok(len)
        })
    }

    fn zero_from(&self, offset: u64) -> io::Result<()> {
        self.with(Some(Call::Write), |content, _, now_ms| {
            content.zero_from(offset);
            content.modified_ms = now_ms;
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.with(Some(Call::Sync), |content, _, _| {
            content.sync();
            Ok(())
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.with(None, |content, _, _| Ok(content.len))
    }
}
