//! A run of files of one length, named by the offset of their first byte, which together are one long file.
//! CommitLog and ConsumeQueue both are such a run. Java counterpart: `MappedFileQueue`.
//!
//! A new file is built at its full length in another folder and renamed in, because Java refuses a folder
//! with a file of any other length.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::disk::{Disk, DiskFile, write_full};
use crate::error::OpenError;

/// The files of one run, oldest first.
pub(crate) struct Segments {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// Where new files are built.
    building: Arc<Path>,
    len: i64,
    files: VecDeque<Segment>,
    open: OpenFiles,
}

struct Segment {
    start: i64,
    /// Opened at first use; stays if [`OpenFiles`] has a place for it.
    file: Option<Arc<dyn DiskFile>>,
}

/// How many files the runs that share it keep open, and may. One that finds no place closes with its last use.
#[derive(Clone, Debug)]
pub(crate) struct OpenFiles {
    open: Arc<AtomicUsize>,
    max: usize,
}

impl OpenFiles {
    pub(crate) fn up_to(max: usize) -> Self {
        Self { open: Arc::default(), max }
    }

    /// Counts one more, if it may stay open.
    fn take_place(&self) -> bool {
        let more = |open: usize| (open < self.max).then_some(open + 1);
        self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn give_back(&self, places: usize) {
        self.open.fetch_sub(places, Ordering::Relaxed);
    }
}

/// A run's folder, that of its topic, and the one in which all topics are.
const NEW_FOLDERS: usize = 3;

/// Tells apart the files that are being built.
static BUILT: AtomicU64 = AtomicU64::new(0);

impl Segments {
    /// A run without files yet. The folder is made together with the first file.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        building: Arc<Path>,
        len: i64,
        open: OpenFiles,
    ) -> Self {
        Self { disk, dir, building, len, files: VecDeque::new(), open }
    }

    /// Reads the folder. Refuses what Java 4.9 refuses, and a gap between files as well.
    pub(crate) fn load(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        building: Arc<Path>,
        len: i64,
        open: OpenFiles,
    ) -> Result<Self, OpenError> {
        let mut entries = disk.list(&dir).map_err(OpenError::io("listing", &dir))?;
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        // A Java that was killed while it made a file leaves it without bytes.
        if entries.last().is_some_and(|last| last.len == 0 && !last.is_dir)
            && let Some(last) = entries.pop()
        {
            let path = dir.join(&last.name);
            disk.remove_file(&path).map_err(OpenError::io("removing the empty", &path))?;
        }
        let mut segments = Self::new(disk, dir, building, len, open);
        for entry in entries {
            let path = segments.dir.join(&entry.name);
            if entry.is_dir {
                return Err(OpenError::Layout { path, problem: "a folder has no place here".to_owned() });
            }
            if entry.len != len as u64 {
                return Err(OpenError::Length { path, found: entry.len, expected: len as u64 });
            }
            let digits = entry.name.len() == 20 && entry.name.bytes().all(|byte| byte.is_ascii_digit());
            let start = entry.name.parse::<i64>().ok().filter(|start| digits && start % len == 0);
            let Some(start) = start else {
                let problem = format!("the name is not 20 digits of a multiple of {len}");
                return Err(OpenError::Layout { path, problem });
            };
            if segments.end().is_some_and(|end| end != start) {
                return Err(OpenError::Layout { path, problem: "the file before it is missing".to_owned() });
            }
            segments.push_segment(Segment { start, file: None });
        }
        Ok(segments)
    }

    /// Bytes of each file.
    pub(crate) fn file_len(&self) -> i64 {
        self.len
    }

    /// Where the first file starts.
    pub(crate) fn first(&self) -> Option<i64> {
        self.files.front().map(|segment| segment.start)
    }

    /// Where the last file starts.
    pub(crate) fn last(&self) -> Option<i64> {
        self.files.back().map(|segment| segment.start)
    }

    /// Where the last file ends.
    fn end(&self) -> Option<i64> {
        self.last().map(|start| start + self.len)
    }

    /// How many files there are.
    pub(crate) fn count(&self) -> usize {
        self.files.len()
    }

    /// Where all files start, oldest first.
    pub(crate) fn starts(&self) -> Vec<i64> {
        self.files.iter().map(|segment| segment.start).collect()
    }

    /// The path of the file that starts at `start`.
    pub(crate) fn path(&self, start: i64) -> PathBuf {
        self.dir.join(file_name(start))
    }

    fn position(&self, offset: i64) -> Option<usize> {
        let first = self.first()?;
        let position = usize::try_from((offset - first).div_euclid(self.len)).ok()?;
        (position < self.files.len()).then_some(position)
    }

    /// The file that holds `offset`, with where it starts, opened if need be. `None` if no file does.
    pub(crate) fn file_of(&mut self, offset: i64) -> io::Result<Option<(i64, Arc<dyn DiskFile>)>> {
        let Some(position) = self.position(offset) else { return Ok(None) };
        let Segment { start, file } = &self.files[position];
        let start = *start;
        if let Some(file) = file {
            return Ok(Some((start, file.clone())));
        }
        let file = self.disk.open(&self.path(start))?;
        self.files[position].file = self.keep(&file);
        Ok(Some((start, file)))
    }

    /// The file, if it may stay open. The run's older ones make room for it.
    fn keep(&mut self, file: &Arc<dyn DiskFile>) -> Option<Arc<dyn DiskFile>> {
        if !self.open.take_place() {
            self.close_files();
            if !self.open.take_place() {
                return None;
            }
        }
        Some(file.clone())
    }

    /// The file that holds `offset` if it has been opened before.
    pub(crate) fn opened(&self, offset: i64) -> Option<(i64, Arc<dyn DiskFile>)> {
        let segment = self.files.get(self.position(offset)?)?;
        Some((segment.start, segment.file.clone()?))
    }

    /// Opens every file, so that [`Segments::opened`] finds them.
    pub(crate) fn open_all(&mut self) -> io::Result<()> {
        self.starts().into_iter().try_for_each(|start| self.file_of(start).map(drop))
    }

    /// Closes what [`Segments::file_of`] opened.
    pub(crate) fn close_files(&mut self) {
        let closed = self.files.iter_mut().filter_map(|segment| segment.file.take()).count();
        self.open.give_back(closed);
    }

    fn push(&mut self, start: i64, file: &Arc<dyn DiskFile>) {
        let file = self.keep(file);
        self.push_segment(Segment { start, file });
    }

    fn push_segment(&mut self, segment: Segment) {
        // Most of very many runs have one file.
        if self.files.is_empty() {
            self.files.reserve_exact(1);
        }
        self.files.push_back(segment);
    }

    fn forget(&mut self, segment: Option<Segment>) {
        if segment.is_some_and(|segment| segment.file.is_some()) {
            self.open.give_back(1);
        }
    }

    /// Builds the file that starts at `start`, filled with `content` from its first byte, and adds it behind
    /// the last one. When this returns, the file is on the disk with its name.
    pub(crate) fn add(&mut self, start: i64, content: &[u8]) -> io::Result<Arc<dyn DiskFile>> {
        assert!(self.end().is_none_or(|end| end == start), "segments follow one another");
        let file = build(&*self.disk, &self.building, &self.path(start), self.len, content)?;
        self.push(start, &file);
        Ok(file)
    }

    /// Builds the first file of a run that can be made again, as [`Segments::add`] does, but waits for no disk:
    /// a power cut may leave the file without bytes, which loading takes for none, or not leave it at all.
    pub(crate) fn add_first(&mut self, start: i64, content: &[u8]) -> io::Result<()> {
        assert!(self.files.is_empty(), "others rely on the name being on the disk");
        self.disk.create_dir_all(&self.dir)?;
        let path = self.path(start);
        let (raw, file) = write_raw(&*self.disk, &self.building, self.len, content)?;
        self.disk.rename(&raw, &path)?;
        self.push(start, &file);
        Ok(())
    }

    /// Waits until the folder's names are on the disk, and those of the folders it is in that may be new with it.
    pub(crate) fn sync_names(&self) -> io::Result<()> {
        self.dir.ancestors().take(NEW_FOLDERS).try_for_each(|dir| self.disk.sync_dir(dir))
    }

    /// Adds a file made with [`build_raw`]. Its name is on the disk only when the folder is synced.
    pub(crate) fn adopt(&mut self, start: i64, raw: &Path, file: &Arc<dyn DiskFile>) -> io::Result<()> {
        assert!(self.end().is_none_or(|end| end == start), "segments follow one another");
        self.disk.rename(raw, &self.path(start))?;
        self.push(start, file);
        Ok(())
    }

    /// Removes the newest file.
    pub(crate) fn remove_last(&mut self) -> io::Result<()> {
        let Some(start) = self.last() else { return Ok(()) };
        self.disk.remove_file(&self.path(start))?;
        let gone = self.files.pop_back();
        self.forget(gone);
        self.disk.sync_dir(&self.dir)
    }

    /// Removes the oldest file.
    pub(crate) fn remove_first(&mut self) -> io::Result<()> {
        let Some(start) = self.first() else { return Ok(()) };
        self.disk.remove_file(&self.path(start))?;
        let gone = self.files.pop_front();
        self.forget(gone);
        Ok(())
    }

    /// Removes every file and the folder.
    pub(crate) fn remove_all(&mut self) -> io::Result<()> {
        while !self.files.is_empty() {
            self.remove_first()?;
        }
        match self.disk.remove_dir(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Drop for Segments {
    fn drop(&mut self) {
        self.close_files();
    }
}

/// The name of the file that starts at `start`.
pub(crate) fn file_name(start: i64) -> String {
    format!("{start:020}")
}

/// Makes a file of full length elsewhere, syncs it, and renames it to `path`.
pub(crate) fn build(
    disk: &dyn Disk,
    building: &Path,
    path: &Path,
    len: i64,
    content: &[u8],
) -> io::Result<Arc<dyn DiskFile>> {
    let dir = path.parent().unwrap_or(Path::new("."));
    if !disk.exists(dir)? {
        disk.create_dir_all(dir)?;
        // A queue's folder may be new together with its topic's.
        for above in dir.ancestors().take(NEW_FOLDERS).skip(1) {
            disk.sync_dir(above)?;
        }
    }
    let (raw, file) = build_raw(disk, building, len, content)?;
    let file = match disk.rename(&raw, path) {
        // The CommitLog may be on a disk of its own. Then a crash just here leaves a file that must be removed
        // by hand.
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            disk.remove_file(&raw)?;
            let file = disk.create(path, len as u64)?;
            write_full(&*file, content, 0)?;
            file.sync()?;
            file
        }
        renamed => renamed.map(|()| file)?,
    };
    disk.sync_dir(dir)?;
    Ok(file)
}

/// Makes a file of full length in the folder for new files and syncs it. Returns its name, too.
pub(crate) fn build_raw(
    disk: &dyn Disk,
    building: &Path,
    len: i64,
    content: &[u8],
) -> io::Result<(PathBuf, Arc<dyn DiskFile>)> {
    let (raw, file) = write_raw(disk, building, len, content)?;
    file.sync()?;
    Ok((raw, file))
}

fn write_raw(
    disk: &dyn Disk,
    building: &Path,
    len: i64,
    content: &[u8],
) -> io::Result<(PathBuf, Arc<dyn DiskFile>)> {
    let raw = building.join(BUILT.fetch_add(1, Ordering::Relaxed).to_string());
    let file = disk.create(&raw, len as u64)?;
    match write_full(&*file, content, 0) {
        Ok(()) => Ok((raw, file)),
        // On a full disk it is tried again and again.
        Err(error) => disk.remove_file(&raw).and(Err(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimDisk;

    /// However many runs there are, few of their files stay open, and all can be read.
    #[test]
    fn open_files_are_bounded() {
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new());
        let building: Arc<Path> = Path::new("/building").into();
        disk.create_dir_all(&building).unwrap();
        const MAX: usize = 8;
        let open = OpenFiles::up_to(MAX);
        let mut runs: Vec<Segments> = (0..2 * MAX)
            .map(|number| {
                let dir = PathBuf::from(format!("/run/{number}"));
                Segments::new(disk.clone(), dir, building.clone(), 100, open.clone())
            })
            .collect();
        for run in &mut runs {
            run.add(0, b"0").unwrap();
            assert!(open.open.load(Ordering::Relaxed) <= MAX);
        }
        assert_eq!(open.open.load(Ordering::Relaxed), MAX);
        for run in &mut runs {
            let (start, file) = run.file_of(99).unwrap().unwrap();
            let mut byte = [0];
            assert_eq!((start, file.read_at(&mut byte, 0).unwrap(), byte), (0, 1, *b"0"));
            assert!(open.open.load(Ordering::Relaxed) <= MAX);
        }
        // A run's newer file takes the place of its older one.
        runs[0].add(100, b"1").unwrap();
        assert!(runs[0].opened(0).is_none() && runs[0].opened(100).is_some());
        runs.clear();
        assert_eq!(open.open.load(Ordering::Relaxed), 0);
    }
}
