//! The NameServer's key-value table, the only thing it keeps over a restart.
//!
//! The file is Java's `kvConfig.json`: `{"configTable":{"NAMESPACE":{"key":"value"}}}`.
//!
//! Java counterpart: `KVConfigManager`.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ferrocket_protocol::body::register::{KVConfig, KVTable};
use ferrocket_protocol::fastjson;

/// The namespace whose keys are topics and whose values are their order configs.
pub(crate) const ORDER_TOPIC_CONFIG: &str = "ORDER_TOPIC_CONFIG";
/// Most bytes of all keys and values.
pub(crate) const LEN_MAX: usize = 64 * 1024 * 1024;

/// The table and its file.
#[derive(Debug)]
pub(crate) struct KvConfig {
    path: PathBuf,
    /// Held only to look up and to change entries, never while the file is written.
    table: Mutex<KVConfig>,
    /// Held while the file is written, so that an older state never replaces a newer one.
    file: Mutex<()>,
}

/// The table has no room for an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl KvConfig {
    /// Reads the file; a missing one is an empty table.
    pub(crate) fn load(path: PathBuf) -> io::Result<Self> {
        // Java may have stopped between removing the file and renaming the new one.
        let text = read(&path)?.map_or_else(|| read(&with_suffix(&path, ".bak")), |text| Ok(Some(text)))?;
        let broken = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let table =
            text.map(|text| fastjson::from_slice(&text).map_err(broken)).transpose()?.unwrap_or_default();
        Ok(Self { path, table: Mutex::new(table), file: Mutex::default() })
    }

    pub(crate) fn get(&self, namespace: &str, key: &str) -> Option<String> {
        self.table().config_table.get(namespace)?.get(key).cloned()
    }

    /// All keys of a namespace; `None` if nothing was ever put into it.
    pub(crate) fn namespace(&self, namespace: &str) -> Option<KVTable> {
        Some(KVTable { table: self.table().config_table.get(namespace)?.clone() })
    }

    /// Sets a value in memory; [`KvConfig::persist`] makes it last.
    pub(crate) fn put(&self, namespace: String, key: String, value: String) -> Result<(), Full> {
        let mut table = self.table();
        let len: usize =
            table.config_table.values().flatten().map(|(key, value)| key.len() + value.len()).sum();
        if len + namespace.len() + key.len() + value.len() > LEN_MAX {
            return Err(Full);
        }
        tracing::info!(namespace, key, value, "key-value config put");
        table.config_table.entry(namespace).or_default().insert(key, value);
        Ok(())
    }

    /// Removes a value in memory, if there is one; the namespace stays, as in Java.
    pub(crate) fn delete(&self, namespace: &str, key: &str) {
        let removed = self.table().config_table.get_mut(namespace).and_then(|keys| keys.remove(key));
        tracing::info!(namespace, key, value = removed, "key-value config deleted");
    }

    /// Writes the current state to the file. Blocks.
    pub(crate) fn persist(&self) -> io::Result<()> {
        let _writing = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let text = fastjson::to_vec(&*self.table());
        replace(&self.path, &text)
    }

    fn table(&self) -> MutexGuard<'_, KVConfig> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file's bytes, if there are any.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => Ok(Some(read?).filter(|text| !text.is_empty())),
    }
}

/// Replaces a file as a whole: after a crash there is the old or the new one. Keeps the old text in `.bak`,
/// as Java does (`MixAll.string2File`). Both are as open to others as the file was.
pub(crate) fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let former = path.try_exists()?.then(|| std::fs::metadata(path)).transpose()?;
    let permissions = former.map(|metadata| metadata.permissions());
    if let Some(old) = read(path)? {
        write(&with_suffix(path, ".bak"), permissions.clone(), &old)?;
    }
    write(path, permissions, text)?;
    File::open(folder)?.sync_all()
}

fn write(path: &Path, permissions: Option<Permissions>, text: &[u8]) -> io::Result<()> {
    let temporary = with_suffix(path, ".tmp");
    let mut file = File::create(&temporary)?;
    if let Some(permissions) = permissions {
        file.set_permissions(permissions)?;
    }
    file.write_all(text)?;
    file.sync_all()?;
    std::fs::rename(temporary, path)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    /// A file that only its owner may read stays one, and so does what it said before.
    #[cfg(unix)]
    #[test]
    fn nobody_else_may_read_it() {
        use std::os::unix::fs::PermissionsExt;

        let folder = folder();
        let path = folder.path().join("namesrv.properties");
        std::fs::write(&path, "a=1").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        replace(&path, b"a=2").unwrap();
        for path in [with_suffix(&path, ".bak"), path] {
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{path:?}");
        }
    }

    /// What is put lasts, in Java's format; the file before is the backup.
    #[test]
    fn lasts() {
        let folder = folder();
        let path = folder.path().join("deeper").join("kvConfig.json");
        let kv = KvConfig::load(path.clone()).unwrap();
        for value in ["a:4", "a:8;b:8"] {
            kv.put("NS".into(), "T".into(), value.into()).unwrap();
            kv.persist().unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, r#"{"configTable":{"NS":{"T":"a:8;b:8"}}}"#);
        let backup = std::fs::read_to_string(with_suffix(&path, ".bak")).unwrap();
        assert_eq!(backup, r#"{"configTable":{"NS":{"T":"a:4"}}}"#);
        let again = KvConfig::load(path.clone()).unwrap();
        assert_eq!(again.get("NS", "T").as_deref(), Some("a:8;b:8"));
        again.delete("NS", "T");
        again.delete("nowhere", "T");
        again.persist().unwrap();
        let again = KvConfig::load(path).unwrap();
        assert_eq!((again.get("NS", "T"), again.namespace("NS")), (None, Some(KVTable::default())));
        assert_eq!(again.namespace("nowhere"), None);
    }

    /// The backup stands in for a missing file; a broken file is an error, not an empty table.
    #[test]
    fn damaged_files() {
        let folder = folder();
        let path = folder.path().join("kvConfig.json");
        std::fs::write(with_suffix(&path, ".bak"), r#"{"configTable":{"NS":{"k":"v"}}}"#).unwrap();
        assert_eq!(KvConfig::load(path.clone()).unwrap().get("NS", "k").as_deref(), Some("v"));
        std::fs::write(&path, "{\"configTable\":{").unwrap();
        assert_eq!(KvConfig::load(path).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    /// The table has a limit.
    #[test]
    fn has_a_limit() {
        let kv = KvConfig::load(folder().path().join("kvConfig.json")).unwrap();
        let half = "x".repeat(LEN_MAX / 2);
        kv.put("NS".into(), "a".into(), half.clone()).unwrap();
        assert_eq!(kv.put("NS".into(), "b".into(), half), Err(Full));
        assert_eq!(kv.get("NS", "b"), None);
    }
}
