//! The accounts of a running process.
//!
//! What is read is checked whole before it replaces what was in force: a faulty file leaves everything as it
//! was, and is told once. Java counterparts: `PlainAccessValidator`, `PlainPermissionManager`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferrocket_protocol::RemotingCommand;
use ferrocket_protocol::body::acl::AclConfig;
use ferrocket_protocol::body::topic::DataVersion;

use crate::account::AccountRow;
use crate::accounts::{Accounts, Denied};
use crate::files::{self, AclFile, Look};

/// The files, by their paths in the order in which they were read.
type Files = Vec<(PathBuf, AclFile)>;

/// The accounts in force, and the files they come from.
pub struct Access {
    default_file: PathBuf,
    /// Read by every request: held to clone the pointer.
    accounts: Mutex<Arc<Accounts>>,
    /// Held while files are read or written, so by one change at a time.
    state: Mutex<State>,
}

struct State {
    files: Files,
    /// What was seen when the files were last looked at, faulty ones too.
    seen: Vec<Look>,
}

impl Access {
    /// The accounts that a server's settings ask for: `aclFile`, or without it the file of a RocketMQ home.
    /// None if they are not `enabled`. Blocks.
    ///
    /// # Errors
    /// As [`Access::open`]; also if no file is named.
    pub fn for_settings(enabled: bool, acl_file: &str, rocketmq_home: &str) -> Result<Option<Self>, String> {
        let file = match (acl_file, rocketmq_home) {
            _ if !enabled => {
                tracing::info!("access control is off: whoever reaches the port is served");
                return Ok(None);
            }
            ("", "") => {
                return Err("aclEnable=true: aclFile must name the file of accounts, or rocketmqHome the \
                            folder of conf/plain_acl.yml"
                    .to_owned());
            }
            ("", home) => Path::new(home).join("conf/plain_acl.yml"),
            (file, _) => PathBuf::from(file),
        };
        Self::open(&file).map(Some)
    }

    /// Reads `plain_acl.yml` at this path and the folder `acl` beside it. Blocks.
    ///
    /// # Errors
    /// There is no file at all, or one is faulty: names it and the fault.
    pub fn open(default_file: &Path) -> Result<Self, String> {
        let default_file = std::path::absolute(default_file).map_err(|error| error.to_string())?;
        let seen = files::look(&default_file)?;
        if seen.iter().all(|(_, found)| found.is_none()) {
            return Err(format!("there is no file of accounts {}", default_file.display()));
        }
        let files = read(&seen)?;
        let accounts = build(&files)?;
        tracing::info!(accounts = accounts.len(), files = files.len(), "access control is on");
        if accounts.is_empty() {
            tracing::warn!("there are no accounts: only white addresses are served");
        }
        Ok(Self {
            default_file,
            accounts: Mutex::new(Arc::new(accounts)),
            state: Mutex::new(State { files, seen }),
        })
    }

    /// Whether this request may be served to a peer at this address.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, request: &RemotingCommand, peer: IpAddr) -> Result<(), Denied> {
        self.accounts().check(request, peer)
    }

    /// Whether the sender of a request may read a topic that was not known from the request itself.
    ///
    /// # Errors
    /// Why not.
    pub fn check_reading(&self, request: &RemotingCommand, peer: IpAddr, topic: &str) -> Result<(), Denied> {
        self.accounts().check_reading(request, peer, topic)
    }

    /// Whether the sender of a request may send to a topic that was not known from the request itself.
    ///
    /// # Errors
    /// Why not.
    pub fn check_sending(&self, request: &RemotingCommand, peer: IpAddr, topic: &str) -> Result<(), Denied> {
        self.accounts().check_sending(request, peer, topic)
    }

    fn accounts(&self) -> Arc<Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Both fields are replaced whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put_in_force(&self, state: &mut State, files: Files, accounts: Accounts) {
        state.files = files;
        *self.accounts.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(accounts);
    }

    /// Reads the files again if one has changed, come or gone since the last look. Blocks. Returns whether
    /// what is in force has been replaced.
    pub fn look(&self) -> bool {
        let mut state = self.state();
        let seen = match files::look(&self.default_file) {
            Ok(seen) if seen == state.seen => return false,
            Ok(seen) => seen,
            Err(error) => {
                tracing::error!(error, "the files of accounts cannot be listed");
                return false;
            }
        };
        let fresh = read(&seen).and_then(|files| build(&files).map(|accounts| (files, accounts)));
        state.seen = seen;
        match fresh {
            Ok((files, accounts)) => {
                tracing::info!(accounts = accounts.len(), "the files of accounts have changed");
                self.put_in_force(&mut state, files, accounts);
                true
            }
            Err(error) => {
                tracing::error!(error, "a file of accounts is faulty: what was in force stays");
                false
            }
        }
    }

    /// Creates an account in the default file, or changes one where it is. Blocks.
    ///
    /// # Errors
    /// What is wrong with it, in Java's words, or with the file; nothing is changed then.
    pub fn update_account(&self, row: AccountRow, now_ms: i64) -> Result<(), String> {
        // Java wants the secret also for a change.
        Accounts::default().add(&row)?;
        self.change(now_ms, |files| {
            let named = |account: &AccountRow| account.access_key == row.access_key;
            let there = files.iter_mut().find(|(_, file)| file.accounts.iter().flatten().any(named));
            match there {
                Some((path, file)) => {
                    if let Some(account) = file.accounts.iter_mut().flatten().find(|account| named(account)) {
                        account.update(row.clone());
                    }
                    Some(path.clone())
                }
                None => {
                    let (path, file) = self.default_of(files)?;
                    file.accounts.get_or_insert_default().push(row.clone());
                    Some(path.clone())
                }
            }
        })
        .map(|_| ())
    }

    /// Deletes an account; false if there is none. Blocks.
    ///
    /// # Errors
    /// The file's fault; nothing is changed then.
    pub fn delete_account(&self, access_key: &str, now_ms: i64) -> Result<bool, String> {
        self.change(now_ms, |files| {
            let named = |account: &AccountRow| account.access_key.as_deref() == Some(access_key);
            let (path, file) =
                files.iter_mut().find(|(_, file)| file.accounts.iter().flatten().any(named))?;
            file.accounts.iter_mut().for_each(|accounts| accounts.retain(|account| !named(account)));
            Some(path.clone())
        })
    }

    /// Replaces the addresses that need no account, in the default file or, if the path is not empty, in
    /// that one; false if it is none of the files of accounts. Blocks.
    ///
    /// # Errors
    /// A pattern that is none, or the file's fault; nothing is changed then.
    pub fn update_white(&self, patterns: Vec<String>, path: &str, now_ms: i64) -> Result<bool, String> {
        self.change(now_ms, |files| {
            let (path, file) = match path {
                "" => self.default_of(files)?,
                path => files.iter_mut().find(|(known, _)| known == Path::new(path))?,
            };
            file.global_white_remote_addresses = Some(patterns);
            Some(path.clone())
        })
    }

    fn default_of<'a>(&self, files: &'a mut Files) -> Option<&'a mut (PathBuf, AclFile)> {
        files.iter_mut().find(|(path, _)| *path == self.default_file)
    }

    /// Changes the files as they are on the disk, checks the whole, writes the file that `change` names and
    /// puts it in force.
    fn change(
        &self,
        now_ms: i64,
        change: impl FnOnce(&mut Files) -> Option<PathBuf>,
    ) -> Result<bool, String> {
        let mut state = self.state();
        let mut seen = files::look(&self.default_file)?;
        let mut files = read(&seen)?;
        let Some(path) = change(&mut files) else { return Ok(false) };
        let accounts = build(&files)?;
        if let Some((path, file)) = files.iter_mut().find(|(known, _)| *known == path) {
            file.advance(now_ms);
            file.write(path)?;
        }
        for (known, found) in &mut seen {
            if *known == path {
                *found = files::found(&path);
            }
        }
        state.seen = seen;
        self.put_in_force(&mut state, files, accounts);
        Ok(true)
    }

    /// The version of the default file.
    pub fn version(&self) -> DataVersion {
        self.versions().remove(&self.default_file.display().to_string()).unwrap_or_default()
    }

    /// The versions of all files, by path.
    pub fn versions(&self) -> BTreeMap<String, DataVersion> {
        let state = self.state();
        let versions = state.files.iter().map(|(path, file)| (path.display().to_string(), file.version()));
        versions.collect()
    }

    /// All that is in force, without the secrets.
    pub fn masked(&self) -> AclConfig {
        let state = self.state();
        let files = || state.files.iter().map(|(_, file)| file);
        let mut named = BTreeSet::new();
        let rows = files().flat_map(|file| file.accounts.iter().flatten());
        AclConfig {
            global_white_addrs: files()
                .flat_map(|file| file.global_white_remote_addresses.iter().flatten().cloned())
                .collect(),
            plain_access_configs: rows
                .filter(|row| named.insert(row.access_key.clone()))
                .map(AccountRow::masked)
                .collect(),
        }
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("default_file", &self.default_file).finish_non_exhaustive()
    }
}

fn read(seen: &[Look]) -> Result<Files, String> {
    seen.iter().map(|(path, _)| Ok((path.clone(), AclFile::read(path)?))).collect()
}

/// The accounts of all files together.
fn build(files: &Files) -> Result<Accounts, String> {
    let mut accounts = Accounts::default();
    for (path, file) in files {
        let twice = |access_key: &str| {
            tracing::warn!(access_key, file = %path.display(), "an account is there twice, the first counts");
        };
        file.add_to(&mut accounts, twice).map_err(|fault| format!("{}: {fault}", path.display()))?;
    }
    Ok(accounts)
}
