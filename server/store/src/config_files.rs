//! The broker's own JSON files under `config/`: topics, groups, offsets.
//!
//! Replacing a file never leaves less than one whole version: the new text is written and synced under
//! another name, the former one is kept as `.bak`, and the rename is synced too. Java counterpart:
//! `ConfigManager` with `MixAll.string2File`, which deletes the file before it renames.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::disk::{Disk, read_full, write_full};

/// The files of one folder.
pub struct ConfigFiles {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// One replacement at a time: two of the same file would share the temporary name.
    replacing: Mutex<()>,
}

impl ConfigFiles {
    /// The files of `dir`, which is created with the first that is written.
    pub fn new(disk: Arc<dyn Disk>, dir: PathBuf) -> Self {
        Self { disk, dir, replacing: Mutex::new(()) }
    }

    /// The text of `name` (`topics.json`), or of its `.bak` if the file is missing or empty, as Java reads it.
    /// `None` if both are.
    ///
    /// # Errors
    /// The disk's, or that the text is not UTF-8.
    pub fn read(&self, name: &str) -> io::Result<Option<String>> {
        match self.read_file(&self.dir.join(name))? {
            Some(text) => Ok(Some(text)),
            None => self.read_backup(name),
        }
    }

    /// The former text of `name`, for when the present one cannot be parsed. `None` if there is none.
    ///
    /// # Errors
    /// The disk's, or that the text is not UTF-8.
    pub fn read_backup(&self, name: &str) -> io::Result<Option<String>> {
        self.read_file(&self.dir.join(format!("{name}.bak")))
    }

    /// Takes a `name` that cannot be parsed out of the way: it becomes `NAME.damaged`, so that the next
    /// [`replace`](Self::replace) does not put it in the place of the good `.bak`.
    ///
    /// # Errors
    /// The disk's.
    pub fn set_aside(&self, name: &str) -> io::Result<()> {
        let _one = self.replacing.lock().expect("a thread panicked while it replaced a config file");
        let path = self.dir.join(name);
        if !self.disk.exists(&path)? {
            return Ok(());
        }
        self.disk.rename(&path, &path.with_added_extension("damaged"))?;
        self.disk.sync_dir(&self.dir)
    }

    /// Puts `text` in the place of `name`, whose former text becomes its `.bak`; both are as open to others as the
    /// file was. When this returns, it is on the disk; if it fails, the former text still is.
    ///
    /// # Errors
    /// The disk's.
    pub fn replace(&self, name: &str, text: &str) -> io::Result<()> {
        let _one = self.replacing.lock().expect("a thread panicked while it replaced a config file");
        self.disk.create_dir_all(&self.dir)?;
        let path = self.dir.join(name);
        let former = self.read_file(&path).ok().flatten();
        if former.as_deref() == Some(text) {
            return Ok(());
        }
        if let Some(former) = former {
            self.put(&self.dir.join(format!("{name}.bak")), &path, &former)?;
        }
        self.put(&path, &path, text)?;
        self.disk.sync_dir(&self.dir)
    }

    /// Adds `text` at the end of `name`, which is made if need be. When this returns, it is on the disk; if it
    /// fails, a part of it may be.
    ///
    /// # Errors
    /// The disk's.
    pub fn append(&self, name: &str, text: &str) -> io::Result<()> {
        let path = self.dir.join(name);
        let is_new = !self.disk.exists(&path)?;
        let file = if is_new { self.disk.create(&path, 0)? } else { self.disk.open(&path)? };
        write_full(&*file, text.as_bytes(), file.len()?)?;
        file.sync()?;
        if is_new { self.disk.sync_dir(&self.dir) } else { Ok(()) }
    }

    /// Removes `name` if it is there. After a power cut it may be there again.
    ///
    /// # Errors
    /// The disk's.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.dir.join(name);
        if self.disk.exists(&path)? { self.disk.remove_file(&path) } else { Ok(()) }
    }

    fn put(&self, path: &Path, like: &Path, text: &str) -> io::Result<()> {
        let raw = path.with_added_extension("tmp");
        let file = self.disk.create(&raw, 0)?;
        if self.disk.exists(like)? {
            self.disk.guard_like(&raw, like)?;
        }
        write_full(&*file, text.as_bytes(), 0)?;
        file.sync()?;
        self.disk.rename(&raw, path)
    }

    /// What [`ConfigFiles::append`] has written to `name`; a part that a power cut has spoiled is there as it is,
    /// with what is no UTF-8 replaced. Empty if there is no such file.
    ///
    /// # Errors
    /// The disk's.
    pub fn read_appended(&self, name: &str) -> io::Result<String> {
        let bytes = self.read_bytes(&self.dir.join(name))?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn read_file(&self, path: &Path) -> io::Result<Option<String>> {
        let Some(bytes) = self.read_bytes(path)?.filter(|bytes| !bytes.is_empty()) else { return Ok(None) };
        let text = String::from_utf8(bytes);
        text.map(Some).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{} is not UTF-8", path.display()))
        })
    }

    fn read_bytes(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        if !self.disk.exists(path)? {
            return Ok(None);
        }
        let file = self.disk.open(path)?;
        let mut bytes = vec![0; file.len()? as usize];
        read_full(&*file, &mut bytes, 0)?;
        Ok(Some(bytes))
    }
}

impl std::fmt::Debug for ConfigFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ConfigFiles").field(&self.dir).finish()
    }
}
