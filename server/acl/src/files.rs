//! The files of accounts: `plain_acl.yml` and all `*.yml` and `*.yaml` in the folder `acl` beside it.
//!
//! A file that is changed loses its comments, as in Java; a key that nobody knows is an error, as it would be
//! lost too. Texts are taken as written: a secret `0123` is not a number in base 8, as it is to Java. Java
//! counterparts: `AclUtils.getYamlDataObject`, `AclFileWatchService`.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use ferrocket_protocol::body::topic::DataVersion;
use serde::{Deserialize, Serialize};

use crate::account::AccountRow;
use crate::accounts::Accounts;

/// Files of accounts of one process.
const FILES_MAX: usize = 256;
/// Folders below each other.
const DEPTH_MAX: usize = 8;
/// Bytes of one file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What a file says.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct AclFile {
    /// Addresses that need no account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) global_white_remote_addresses: Option<Vec<String>>,
    /// The accounts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) accounts: Option<Vec<AccountRow>>,
    /// One entry: the version, which grows with every change that a tool makes.
    #[serde(skip_serializing_if = "Option::is_none")]
    data_version: Option<Vec<Version>>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Version {
    counter: i64,
    timestamp: i64,
    #[serde(skip_serializing)]
    state_version: i64,
}

impl AclFile {
    /// Reads a file; one that is not there says nothing. The error names the file and the fault.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let named = |fault: String| format!("{}: {fault}", path.display());
        let mut text = String::new();
        match File::open(path) {
            Ok(file) => file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
        .map_err(|error| named(error.to_string()))?;
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(named(format!("longer than {FILE_BYTES_MAX} bytes")));
        }
        Self::parse(&text).map_err(named)
    }

    /// Reads a file's text. The error says where the fault is.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let file: Option<Self> = serde_saphyr::from_str(text).map_err(|error| {
            // The whole error shows lines of the file, and with them secrets.
            let place = error.location().map(|at| format!(" at line {}", at.line())).unwrap_or_default();
            format!("not a file of accounts{place}: {}", error.without_snippet())
        })?;
        Ok(file.unwrap_or_default())
    }

    /// Adds what the file says to the accounts. Accounts that were there already keep what they had; `twice` is
    /// told of them.
    pub(crate) fn add_to(&self, accounts: &mut Accounts, twice: impl Fn(&str)) -> Result<(), String> {
        for pattern in self.global_white_remote_addresses.iter().flatten() {
            accounts.add_white(pattern)?;
        }
        for row in self.accounts.iter().flatten() {
            if !accounts.add(row)? {
                twice(row.access_key.as_deref().unwrap_or_default());
            }
        }
        Ok(())
    }

    /// Puts this in the place of a file, all of it or nothing.
    pub(crate) fn write(&self, path: &Path) -> Result<(), String> {
        let text = serde_saphyr::to_string(self).map_err(|error| error.to_string())?;
        replace(path, &text).map_err(|error| format!("{} cannot be written: {error}", path.display()))
    }

    /// Its version; none counts as the first.
    pub(crate) fn version(&self) -> DataVersion {
        let version = self.data_version.iter().flatten().next().copied().unwrap_or_default();
        DataVersion { counter: version.counter, timestamp: version.timestamp, ..DataVersion::default() }
    }

    /// Goes on to the next version.
    pub(crate) fn advance(&mut self, now_ms: i64) {
        let mut version = self.version();
        version.advance(now_ms);
        let (counter, timestamp) = (version.counter, version.timestamp);
        self.data_version = Some(vec![Version { counter, timestamp, state_version: 0 }]);
    }
}

/// Writes under another name, makes that durable and readable by its owner only, and renames it.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let temporary = path.with_added_extension("tmp");
    let permissions = fs::metadata(path).ok().map(|metadata| metadata.permissions());
    let mut file = File::create(&temporary)?;
    file.set_permissions(permissions.unwrap_or(std::os::unix::fs::PermissionsExt::from_mode(0o600)))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// What a file looked like when it was read, to notice changes by: none if it was not there.
pub(crate) type Look = (PathBuf, Option<(SystemTime, u64)>);

/// What a file looks like.
pub(crate) fn found(path: &Path) -> Option<(SystemTime, u64)> {
    fs::metadata(path).and_then(|metadata| Ok((metadata.modified()?, metadata.len()))).ok()
}

/// All files there are, the default file last, as Java reads them: of two accounts of one name the first counts.
pub(crate) fn look(default_file: &Path) -> Result<Vec<Look>, String> {
    let folder = default_file.parent().unwrap_or(Path::new("")).join("acl");
    let mut paths = Vec::new();
    find(&folder, DEPTH_MAX, &mut paths).map_err(|error| format!("{}: {error}", folder.display()))?;
    paths.sort();
    if paths.len() >= FILES_MAX {
        return Err(format!("{}: more than {FILES_MAX} files", folder.display()));
    }
    paths.push(default_file.to_owned());
    let look = |path: PathBuf| {
        let found = found(&path);
        (path, found)
    };
    Ok(paths.into_iter().map(look).collect())
}

fn find(folder: &Path, depth: usize, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        let is_yaml = path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml");
        if is_yaml && path.is_file() && paths.len() < FILES_MAX {
            paths.push(path);
        } else if path.is_dir() && depth > 0 {
            find(&path, depth - 1, paths)?;
        }
    }
    Ok(())
}
