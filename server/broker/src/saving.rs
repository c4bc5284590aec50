//! Keeps the JSON files under `config/` as new as memory, and reads them at start.
//!
//! Topics and groups are written soon after every change, offsets and filters every
//! `flushConsumerOffsetInterval`, all of them at the end. Java writes topics and groups inside the request that changes them; here that would block
//! a connection's task, so only requests of admins wait for it. Java counterpart: `ConfigManager`.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use ferrocket_protocol::fastjson::{self, JsonError};
use ferrocket_store::ConfigFiles;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::broker::Shared;
use crate::consumer_filters::{self, ConsumerFilters};
use crate::groups::SubscriptionGroups;
use crate::offsets::ConsumerOffsets;
use crate::topics::Topics;
use crate::{groups, offsets, topics};

/// One of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum File {
    /// `topics.json`.
    Topics,
    /// `subscriptionGroup.json`.
    Groups,
    /// `consumerOffset.json`.
    Offsets,
    /// `consumerFilter.json`.
    Filters,
}

/// Orders the writers of each file, so that an older text never replaces a newer one.
#[derive(Debug, Default)]
pub(crate) struct Saving {
    /// Held while a text is made and written, by threads that may block only.
    files: [Mutex<()>; 4],
}

/// A file that cannot be used.
#[derive(Debug)]
pub(crate) enum LoadError {
    /// It cannot be read.
    Io(&'static str, io::Error),
    /// Neither it nor the copy beside it is what it should be.
    Json(&'static str, JsonError),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(name, error) => write!(f, "cannot read config/{name}: {error}"),
            Self::Json(name, error) => write!(f, "config/{name} and its .bak are damaged: {error}"),
        }
    }
}

impl std::error::Error for LoadError {}

/// Takes over the files, in Java's order. A damaged file is replaced by the copy of its former version; with
/// both damaged the Broker does not start, or it would forget everybody's topics and offsets.
pub(crate) fn load(
    files: &ConfigFiles,
    topics: &Topics,
    offsets: &ConsumerOffsets,
    groups: &SubscriptionGroups,
    filters: &ConsumerFilters,
    now_ms: i64,
) -> Result<(), LoadError> {
    load_one(files, topics::FILE, |text| topics.load(text))?;
    load_one(files, offsets::FILE, |text| offsets.load(text))?;
    load_one(files, groups::FILE, |text| groups.load(text))?;
    load_one(files, consumer_filters::FILE, |text| filters.load(text, now_ms))
}

fn load_one(
    files: &ConfigFiles,
    name: &'static str,
    take: impl Fn(&str) -> Result<(), JsonError>,
) -> Result<(), LoadError> {
    let Some(text) = files.read(name).map_err(|error| LoadError::Io(name, error))? else { return Ok(()) };
    let Err(damage) = take(&text) else { return Ok(()) };
    tracing::warn!(name, %damage, "a config file is damaged, taking its .bak");
    let copy = files.read_backup(name).map_err(|error| LoadError::Io(name, error))?;
    match copy.map(|text| take(&text)) {
        Some(Ok(())) => Ok(()),
        Some(Err(_)) | None => Err(LoadError::Json(name, damage)),
    }
}

/// Writes a file if memory knows more than it. Blocks. When it returns, everything that was in memory when it
/// was called is on disk.
pub(crate) fn save(broker: &Shared, file: File) -> io::Result<()> {
    let lock = match file {
        File::Topics => &broker.saving.files[0],
        File::Groups => &broker.saving.files[1],
        File::Offsets => &broker.saving.files[2],
        File::Filters => &broker.saving.files[3],
    };
    let _writer = lock.lock().unwrap_or_else(PoisonError::into_inner);
    let files = broker.store.config_files();
    let (name, written) = match file {
        File::Topics if broker.topics.take_unsaved() => {
            (topics::FILE, files.replace(topics::FILE, &fastjson::to_pretty(&broker.topics.to_wrapper())))
        }
        File::Groups if broker.groups.take_unsaved() => {
            (groups::FILE, files.replace(groups::FILE, &fastjson::to_pretty(&broker.groups.to_wrapper())))
        }
        File::Offsets if broker.offsets.take_unsaved() => {
            (offsets::FILE, files.replace(offsets::FILE, &fastjson::to_pretty(&broker.offsets.to_table())))
        }
        File::Filters if broker.filters.take_unsaved() => (
            consumer_filters::FILE,
            files.replace(consumer_filters::FILE, &fastjson::to_pretty(&broker.filters.to_table())),
        ),
        _ => return Ok(()),
    };
    if let Err(error) = &written {
        match file {
            File::Topics => broker.topics.set_unsaved(),
            File::Groups => broker.groups.set_unsaved(),
            File::Offsets => broker.offsets.set_unsaved(),
            File::Filters => broker.filters.set_unsaved(),
        }
        tracing::error!(name, %error, "could not write a config file");
    }
    written
}

/// Writes whatever is not written yet. Blocks.
pub(crate) fn save_all(broker: &Shared) -> io::Result<()> {
    let results = [File::Topics, File::Groups, File::Offsets, File::Filters].map(|file| save(broker, file));
    results.into_iter().collect()
}

/// Writes the files when they are due, until the other end of `stopped` is dropped.
pub(crate) async fn keep_saved(broker: Arc<Shared>, mut stopped: watch::Receiver<()>) {
    let mut topics = broker.topics.changes();
    let mut groups = broker.groups.changes();
    let period = broker.settings.now().flush_consumer_offset_interval;
    let mut regular = tokio::time::interval_at(Instant::now() + period, period);
    regular.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let only = tokio::select! {
            // The senders live in `broker`.
            _ = topics.changed() => Some(File::Topics),
            _ = groups.changed() => Some(File::Groups),
            // Also what could not be written before.
            _ = regular.tick() => None,
            _ = stopped.changed() => return,
        };
        let broker = broker.clone();
        let writing = tokio::task::spawn_blocking(move || match only {
            Some(file) => save(&broker, file),
            None => save_all(&broker),
        });
        // A failure has been logged and is tried again.
        let _ = writing.await;
    }
}
