//! Keeps the JSON files under `config/` as new as memory, and reads them at start.
//!
//! Topics and groups are written soon after every change, offsets and filters every
//! `flushConsumerOffsetInterval`, the progress of delay levels every `flushDelayOffsetInterval`, all of them at
//! the end. Java writes topics and groups inside the request that changes them; here that would block a
//! connection's task, so only requests of admins wait for it. Java counterpart: `ConfigManager`.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ferrocket_protocol::fastjson::JsonError;
use ferrocket_store::ConfigFiles;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior};

use crate::broker::{Shared, stopped};

/// A table that is kept in a file under `config/`.
pub(crate) trait Kept {
    /// The file's name.
    fn file(&self) -> &'static str;

    /// The file that is read if there is none of that name.
    fn former_file(&self) -> Option<&'static str> {
        None
    }

    /// Takes over the file's text; one that is not what it should be changes nothing.
    fn load(&self, text: &str, now_ms: i64) -> Result<(), JsonError>;

    /// The text of the file as it should be now.
    fn text(&self) -> String;

    /// What the table has to say about its file.
    fn unsaved(&self) -> &Unsaved;
}

/// Whether a table in memory knows more than its file.
#[derive(Debug, Default)]
pub(crate) struct Unsaved {
    unsaved: AtomicBool,
    /// Wakes who writes the file.
    changed: Notify,
    /// Held while a text is made and written, by threads that may block only, so that an older text never
    /// replaces a newer one.
    writer: Mutex<()>,
}

impl Unsaved {
    /// The table has changed.
    pub(crate) fn set(&self) {
        self.unsaved.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    /// Whether there is something to save; from now on it counts as saved.
    pub(crate) fn take(&self) -> bool {
        self.unsaved.swap(false, Ordering::AcqRel)
    }
}

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
    /// `delayOffset.json`.
    Delays,
}

impl File {
    const ALL: [Self; 5] = [Self::Topics, Self::Groups, Self::Offsets, Self::Filters, Self::Delays];

    fn table(self, broker: &Shared) -> &dyn Kept {
        match self {
            Self::Topics => &broker.topics,
            Self::Groups => &broker.groups,
            Self::Offsets => &broker.offsets,
            Self::Filters => &broker.filters,
            Self::Delays => &broker.delay,
        }
    }
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

/// Takes over the files of these tables. A damaged file is replaced by the copy of its former version; with
/// both damaged the Broker does not start, or it would forget everybody's topics and offsets. A table that
/// corrects what its file says is written at once.
pub(crate) fn load(files: &ConfigFiles, tables: &[&dyn Kept], now_ms: i64) -> Result<(), LoadError> {
    for table in tables {
        let mut name = table.file();
        let mut read = files.read(name);
        if let (Ok(None), Some(former)) = (&read, table.former_file()) {
            (name, read) = (former, files.read(former));
        }
        let io = |error| LoadError::Io(name, error);
        let damage = match read {
            Ok(None) => continue,
            Ok(Some(text)) => table.load(&text, now_ms).err().map(|damage| LoadError::Json(name, damage)),
            Err(no_text) if no_text.kind() == io::ErrorKind::InvalidData => Some(io(no_text)),
            Err(error) => return Err(io(error)),
        };
        if let Some(damage) = damage {
            let copy = files.read_backup(name).ok().flatten();
            if copy.is_none_or(|text| table.load(&text, now_ms).is_err()) {
                return Err(damage);
            }
            tracing::warn!(name, ?damage, "a config file is damaged and kept as .damaged, taking its .bak");
            files.set_aside(name).map_err(io)?;
        }
        if table.unsaved().take() {
            files.replace(table.file(), &table.text()).map_err(io)?;
        }
    }
    Ok(())
}

/// Writes a file if memory knows more than it. Blocks. When it returns, everything that was in memory when it
/// was called is on disk.
pub(crate) fn save(broker: &Shared, file: File) -> io::Result<()> {
    let table = file.table(broker);
    let _writer = table.unsaved().writer.lock().unwrap_or_else(PoisonError::into_inner);
    if !table.unsaved().take() {
        return Ok(());
    }
    let name = table.file();
    broker.store.config_files().replace(name, &table.text()).inspect_err(|error| {
        // Without waking anybody: the next regular look tries again.
        table.unsaved().unsaved.store(true, Ordering::Release);
        tracing::error!(name, %error, "could not write a config file");
    })
}

/// Writes whatever is not written yet. Blocks.
pub(crate) fn save_all(broker: &Shared) -> io::Result<()> {
    File::ALL.map(|file| save(broker, file)).into_iter().collect()
}

/// Writes the files when they are due, until the Broker stops.
pub(crate) async fn keep_saved(broker: Arc<Shared>, mut stop: watch::Receiver<()>) {
    let settings = broker.settings.now();
    let mut regular = every(settings.flush_consumer_offset_interval);
    let mut delays = every(settings.flush_delay_offset_interval);
    loop {
        let due: &[File] = tokio::select! {
            () = broker.topics.unsaved().changed.notified() => &[File::Topics],
            () = broker.groups.unsaved().changed.notified() => &[File::Groups],
            // Topics and groups that could not be written before, too.
            _ = regular.tick() => &[File::Topics, File::Groups, File::Offsets, File::Filters],
            _ = delays.tick() => &[File::Delays],
            () = stopped(&mut stop) => return,
        };
        let broker = broker.clone();
        // A file that could not be written has been logged and is tried again.
        let writing =
            tokio::task::spawn_blocking(move || due.iter().for_each(|file| drop(save(&broker, *file))));
        if let Err(error) = writing.await {
            tracing::error!(%error, "the config files could not be saved");
        }
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = tokio::time::interval_at(Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
