//! Keeps the JSON files under `config/` as new as memory, and reads them at start.
//!
//! Topics and groups are written soon after every change, offsets and filters every
//! `flushConsumerOffsetInterval`, the progress of delay levels every `flushDelayOffsetInterval`, all of them at
//! the end. Java writes topics and groups inside the request that changes them; here that would block a
//! connection's task, so only requests of admins wait for it.
//!
//! Java writes the whole file for each change, too, which with ten thousand topics is megabytes a change. Here a
//! change of a topic goes to the end of a file beside it, `topics.json.changes`:
//!
//! ```text
//! {"counter":7,"timestamp":…}                      the version of the topics.json that the changes come after
//! {"dataVersion":…,"topicConfigTable":{"T":{…}}}   a change: topics that are new or different now
//! {"dataVersion":…,"gone":["U"]}                   … or gone
//! ```
//!
//! The whole file takes its place when it is due, at the latest after `flushConsumerOffsetInterval`, and at the
//! end: what a Java broker finds after a clean stop is complete. Changes that come after another version are
//! left alone. Java counterpart: `ConfigManager`.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferrocket_protocol::body::topic::DataVersion;
use ferrocket_protocol::fastjson::{self, JsonError};
use ferrocket_store::ConfigFiles;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior};

use crate::broker::{Shared, stopped};

/// Bytes of changes beside a file, from which on the whole file is written instead.
const CHANGES_LEN_MAX: usize = 4 << 20;
/// A table that others change all the time is written for a part of the time only: after each write, as many
/// times as long as it took pass before the next, but not more than this.
const REST_FACTOR: u32 = 4;
const REST_MAX: Duration = Duration::from_secs(1);

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

    /// How single changes are kept, for a table in which they are.
    fn changes(&self) -> Option<&dyn Changes> {
        None
    }
}

/// A table whose changes are kept one by one.
pub(crate) trait Changes {
    /// The table's version.
    fn version(&self) -> DataVersion;

    /// The text of the whole file, with the version it is of.
    fn whole(&self) -> (DataVersion, String);

    /// What changed since the version had this counter, as a line of JSON, with the version it leads to; `None`
    /// if that is not known any more.
    fn since(&self, counter: i64) -> Option<(DataVersion, String)>;

    /// Does again what a line says.
    fn redo(&self, line: &str) -> Result<(), JsonError>;
}

/// What of a table is in its files.
#[derive(Clone, Copy, Debug, Default)]
struct Written {
    /// The version of the whole file; `None` if there is none.
    whole: Option<DataVersion>,
    /// The counter of the last change beside it.
    last: i64,
    /// Bytes of the changes; [`CHANGES_LEN_MAX`] if nothing is to be added to them.
    changes_len: usize,
}

/// Whether a table in memory knows more than its file.
#[derive(Debug, Default)]
pub(crate) struct Unsaved {
    unsaved: AtomicBool,
    /// Wakes who writes the file.
    changed: Notify,
    /// Held while a text is made and written, by threads that may block only, so that an older text never
    /// replaces a newer one.
    writer: Mutex<Written>,
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

    fn writer(&self) -> MutexGuard<'_, Written> {
        // It says what was written before a panic.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file of a table's changes.
fn changes_file(name: &str) -> String {
    format!("{name}.changes")
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
        if let Some(changes) = table.changes() {
            redo(files, *table, changes).map_err(io)?;
        }
        if table.unsaved().take() {
            replace(files, *table, &mut table.unsaved().writer()).map_err(io)?;
        }
    }
    Ok(())
}

/// Does again the changes that come after the file just read.
fn redo(files: &ConfigFiles, table: &dyn Kept, changes: &dyn Changes) -> io::Result<()> {
    let name = changes_file(table.file());
    let version = changes.version();
    let text = files.read_appended(&name)?;
    let changes_len = if redo_text(&name, &text, changes) { text.len() } else { CHANGES_LEN_MAX };
    *table.unsaved().writer() =
        Written { whole: Some(version), last: changes.version().counter, changes_len };
    Ok(())
}

/// Does again what a text of changes says, if it comes after this version of the table. Whether further changes may
/// be written behind it.
pub(crate) fn redo_text(name: &str, text: &str, changes: &dyn Changes) -> bool {
    let version = changes.version();
    let mut lines = text.lines().filter(|line| !line.is_empty());
    let after = lines.next().and_then(|line| fastjson::from_slice::<DataVersion>(line.as_bytes()).ok());
    if after == Some(version) {
        for line in lines {
            // Half a line is what a failed write leaves: nobody relies on what it says.
            if let Err(error) = changes.redo(line) {
                tracing::warn!(name, %error, "a change that was not written to its end");
            }
        }
        tracing::info!(name, from = version.counter, to = changes.version().counter, "changes done again");
    }
    text.is_empty() || (after == Some(version) && text.ends_with('\n'))
}

/// Writes what memory knows more than a table's files. Blocks. When it returns, everything that was in memory
/// when it was called is on disk.
pub(crate) fn save(broker: &Shared, file: File) -> io::Result<()> {
    write(broker, file, false)
}

/// With `whole` nothing is left beside the file itself.
fn write(broker: &Shared, file: File, whole: bool) -> io::Result<()> {
    let table = file.table(broker);
    let mut written = table.unsaved().writer();
    let due = table.unsaved().take() || (whole && written.changes_len > 0);
    if !due {
        return Ok(());
    }
    let name = table.file();
    let files = broker.store.config_files();
    let added = if whole { None } else { add(files, table, &mut written) };
    added.unwrap_or_else(|| replace(files, table, &mut written)).inspect_err(|error| {
        // Without waking anybody: the next regular look tries again.
        table.unsaved().unsaved.store(true, Ordering::Release);
        tracing::error!(name, %error, "could not write a config file");
    })
}

/// Adds what is new to the changes beside the file; `None` if the whole is to be written.
fn add(files: &ConfigFiles, table: &dyn Kept, written: &mut Written) -> Option<io::Result<()>> {
    let whole = written.whole.filter(|_| written.changes_len < CHANGES_LEN_MAX)?;
    let (version, line) = table.changes()?.since(written.last)?;
    let mut text = line + "\n";
    if written.changes_len == 0 {
        text = String::from_utf8(fastjson::to_vec(&whole)).ok()? + "\n" + &text;
    }
    // If it fails, a part of it may be there, and nothing is to come behind that.
    let changes_len = std::mem::replace(&mut written.changes_len, CHANGES_LEN_MAX);
    Some(files.append(&changes_file(table.file()), &text).map(|()| {
        written.changes_len = changes_len + text.len();
        written.last = version.counter;
    }))
}

fn replace(files: &ConfigFiles, table: &dyn Kept, written: &mut Written) -> io::Result<()> {
    let Some(changes) = table.changes() else { return files.replace(table.file(), &table.text()) };
    // Until all is done, nothing is to be added to what there is.
    written.changes_len = CHANGES_LEN_MAX;
    let (version, text) = changes.whole();
    files.replace(table.file(), &text)?;
    files.remove(&changes_file(table.file()))?;
    *written = Written { whole: Some(version), last: version.counter, changes_len: 0 };
    Ok(())
}

/// Writes whatever is not written yet. Blocks.
pub(crate) fn save_all(broker: &Shared) -> io::Result<()> {
    File::ALL.map(|file| write(broker, file, true)).into_iter().collect()
}

/// Writes the files when they are due, until the Broker stops.
pub(crate) async fn keep_saved(broker: Arc<Shared>, mut stop: watch::Receiver<()>) {
    let settings = broker.settings.now();
    let mut regular = every(settings.flush_consumer_offset_interval);
    let mut delays = every(settings.flush_delay_offset_interval);
    loop {
        let (due, whole): (&[File], bool) = tokio::select! {
            () = broker.topics.unsaved().changed.notified() => (&[File::Topics], false),
            () = broker.groups.unsaved().changed.notified() => (&[File::Groups], false),
            // Topics and groups that could not be written before, too.
            _ = regular.tick() => (&[File::Topics, File::Groups, File::Offsets, File::Filters], true),
            _ = delays.tick() => (&[File::Delays], false),
            () = stopped(&mut stop) => return,
        };
        let started = Instant::now();
        let broker = broker.clone();
        // A file that could not be written has been logged and is tried again.
        let writing = tokio::task::spawn_blocking(move || {
            due.iter().for_each(|file| drop(write(&broker, *file, whole)))
        });
        if let Err(error) = writing.await {
            tracing::error!(%error, "the config files could not be saved");
        }
        tokio::select! {
            () = tokio::time::sleep((started.elapsed() * REST_FACTOR).min(REST_MAX)) => {}
            () = stopped(&mut stop) => return,
        }
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = tokio::time::interval_at(Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
