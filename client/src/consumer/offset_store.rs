//! How far a group has consumed each queue: pending commits, and where they are kept.
//!
//! Clustering keeps offsets at the broker, broadcasting in a file of this client. The table is pure; reading
//! and writing are thin drivers over it.
//!
//! ```text
//! hold(queue) -> Hold      a queue was assigned: only this Hold may set its offset
//! set / advance(Hold, ..)  nothing happens once the Hold is out of date
//! revoke(Hold) -> offset   the queue was taken away: the caller persists this offset once more, later ones are void
//! ```
//!
//! Java counterparts: `OffsetStore`, `RemoteBrokerOffsetStore`, `LocalFileOffsetStore`.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ferrocket_protocol::body::message_queue::MessageQueue;
use ferrocket_protocol::body::offset::ResetOffsetBody;
use ferrocket_protocol::fastjson;

use super::settings::Settings;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};

/// The right to set the offset of a queue, from its assignment until it is revoked.
///
/// The number tells two assignments of one queue apart: a handler that outlives its assignment cannot move
/// the offset of the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hold {
    queue: MessageQueue,
    number: u64,
}

impl Hold {
    /// The queue it is for.
    pub(crate) fn queue(&self) -> &MessageQueue {
        &self.queue
    }

    /// Whether the other one of the same queue was made later.
    pub(crate) fn is_older_than(&self, other: &Self) -> bool {
        self.number < other.number
    }
}

/// Offsets of the queues that are held, waiting to be persisted.
#[derive(Debug, Default)]
pub(crate) struct OffsetTable {
    holds: BTreeMap<MessageQueue, Held>,
    holds_made: u64,
}

#[derive(Debug)]
struct Held {
    number: u64,
    offset: Option<i64>,
}

impl OffsetTable {
    /// Begins an assignment; any earlier one of the same queue is void. No offset is pending.
    pub(crate) fn hold(&mut self, queue: MessageQueue) -> Hold {
        self.holds_made += 1;
        let number = self.holds_made;
        self.holds.insert(queue.clone(), Held { number, offset: None });
        Hold { queue, number }
    }

    fn held(&mut self, hold: &Hold) -> Option<&mut Held> {
        self.holds.get_mut(&hold.queue).filter(|held| held.number == hold.number)
    }

    /// Moves the offset forward, never back.
    pub(crate) fn advance(&mut self, hold: &Hold, offset: i64) {
        if let Some(held) = self.held(hold) {
            held.offset = held.offset.max(Some(offset));
        }
    }

    /// Sets the offset, back too.
    pub(crate) fn set(&mut self, hold: &Hold, offset: i64) {
        if let Some(held) = self.held(hold) {
            held.offset = Some(offset);
        }
    }

    /// The pending offset.
    pub(crate) fn get(&self, queue: &MessageQueue) -> Option<i64> {
        self.holds.get(queue)?.offset
    }

    /// Whether the assignment still stands.
    pub(crate) fn is_held(&self, hold: &Hold) -> bool {
        self.holds.get(&hold.queue).is_some_and(|held| held.number == hold.number)
    }

    /// Ends the assignment. Answers the offset that has to be persisted a last time, if there is one.
    pub(crate) fn revoke(&mut self, hold: &Hold) -> Option<i64> {
        self.held(hold)?;
        self.holds.remove(&hold.queue)?.offset
    }

    /// All pending offsets.
    pub(crate) fn pending(&self) -> Vec<(MessageQueue, i64)> {
        self.holds.iter().filter_map(|(queue, held)| Some((queue.clone(), held.offset?))).collect()
    }
}

/// Where offsets are kept.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// At each queue's broker.
    Broker,
    /// In a file.
    File(OffsetFile),
}

/// The offsets of one group in this process.
#[derive(Debug)]
pub(crate) struct OffsetStore {
    /// Guards the table alone, for the length of one look-up or change.
    table: Mutex<OffsetTable>,
    place: Place,
}

impl OffsetStore {
    /// Nothing pending yet.
    pub(crate) fn new(place: Place) -> Self {
        Self { table: Mutex::default(), place }
    }

    /// Where they are kept.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// The table, for one step.
    pub(crate) fn table(&self) -> MutexGuard<'_, OffsetTable> {
        // A panic cannot leave the table half changed: every change is one assignment.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file of a broadcasting group: `DIR/CLIENT_ID/GROUP/offsets.json`, in Java's format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OffsetFile(PathBuf);

impl OffsetFile {
    /// The file of this client and group below `dir`.
    pub(crate) fn new(dir: &Path, client_id: &str, group: &str) -> Self {
        Self(dir.join(client_id).join(group).join("offsets.json"))
    }

    /// The file of a client's broadcasting group. It is read once, so that a broken one stops the start and
    /// not the consumption.
    pub(crate) async fn open(client: &Client, settings: &Settings, group: &str) -> Result<Self> {
        let dir = settings.offset_dir.clone().unwrap_or_else(Self::default_dir);
        let file = Self::new(&dir, &local_id(client), group);
        file.read().await?;
        Ok(file)
    }

    /// The offsets in the file, read where that may block.
    pub(crate) async fn read(&self) -> Result<BTreeMap<MessageQueue, i64>> {
        let file = self.clone();
        blocking(move || file.load()).await.map_err(|error| {
            Error::new(ErrorKind::Io, format!("the group's offset file is unreadable: {error}"))
                .with_source(error)
        })
    }

    /// Writes offsets where that may block.
    pub(crate) async fn write(&self, pending: Vec<(MessageQueue, i64)>) -> Result<()> {
        let file = self.clone();
        blocking(move || file.store(&pending)).await.map_err(|error| {
            Error::new(ErrorKind::Io, format!("the group's offset file cannot be written: {error}"))
                .with_source(error)
        })
    }

    /// Java's default folder: `.rocketmq_offsets` in the home directory.
    fn default_dir() -> PathBuf {
        std::env::home_dir().unwrap_or_default().join(".rocketmq_offsets")
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.0.clone().into_os_string();
        name.push(ending);
        name.into()
    }

    /// The offsets in the file; those of the backup where the file is missing, empty or broken; none where
    /// there is no backup either. Blocks on the disk.
    pub(crate) fn load(&self) -> io::Result<BTreeMap<MessageQueue, i64>> {
        match read(&self.0) {
            Ok(Some(offsets)) => Ok(offsets),
            Ok(None) => Ok(read(&self.beside(".bak"))?.unwrap_or_default()),
            Err(error) => {
                tracing::warn!(file = %self.0.display(), %error, "offsets are unreadable, the backup is tried");
                Ok(read(&self.beside(".bak"))?.unwrap_or_default())
            }
        }
    }

    /// Puts these offsets into the file, beside those of other queues. A crash leaves the old file or the new
    /// one. Blocks on the disk.
    pub(crate) fn store(&self, pending: &[(MessageQueue, i64)]) -> io::Result<()> {
        let mut offsets = self.load()?;
        offsets.extend(pending.iter().cloned());
        let text = fastjson::to_pretty(&ResetOffsetBody { offset_table: offsets });
        if let Some(dir) = self.0.parent() {
            std::fs::create_dir_all(dir)?;
        }
        let fresh = self.beside(".tmp");
        let mut file = std::fs::File::create(&fresh)?;
        io::Write::write_all(&mut file, text.as_bytes())?;
        file.sync_all()?;
        if self.0.exists() {
            std::fs::copy(&self.0, self.beside(".bak"))?;
        }
        std::fs::rename(&fresh, &self.0)?;
        if let Some(dir) = self.0.parent()
            && let Err(error) = std::fs::File::open(dir).and_then(|dir| dir.sync_all())
        {
            // Some systems cannot. Then the rename may be lost with the power, which leaves the old file.
            tracing::debug!(dir = %dir.display(), %error, "the folder of offsets cannot be synced");
        }
        Ok(())
    }
}

/// The part of a client's id that survives a restart, for files: without process number and random part.
fn local_id(client: &Client) -> String {
    let config = client.config();
    config.client_id(config.instance_name.as_deref().unwrap_or("DEFAULT"))
}

/// Runs a piece of disk work where it may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(io::Error::other(error)),
    }
}

fn read(path: &Path) -> io::Result<Option<BTreeMap<MessageQueue, i64>>> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if text.is_empty() {
        return Ok(None);
    }
    let body: ResetOffsetBody =
        fastjson::from_slice(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(Some(body.offset_table))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(id: i32) -> MessageQueue {
        MessageQueue { topic: "T".into(), broker_name: "broker-a".into(), queue_id: id }
    }

    /// Commits only go forward, corrections may go back.
    #[test]
    fn commits_go_forward() {
        let mut table = OffsetTable::default();
        let hold = table.hold(queue(0));
        assert_eq!(table.get(&queue(0)), None);
        table.advance(&hold, 5);
        table.advance(&hold, 3);
        assert_eq!(table.get(&queue(0)), Some(5));
        table.set(&hold, 3);
        assert_eq!(table.pending(), [(queue(0), 3)]);
    }

    /// Revoking a queue gives out its offset once; whatever comes later from that assignment is void, even
    /// when the queue has been assigned again.
    #[test]
    fn revoking_voids_pending_commits() {
        let mut table = OffsetTable::default();
        let first = table.hold(queue(0));
        table.advance(&first, 5);
        assert!(table.is_held(&first));
        assert_eq!(table.revoke(&first), Some(5));
        assert!(!table.is_held(&first));
        table.advance(&first, 6);
        table.set(&first, 6);
        assert_eq!(table.pending(), []);
        let second = table.hold(queue(0));
        table.advance(&second, 2);
        table.advance(&first, 7);
        assert_eq!(table.revoke(&first), None);
        assert_eq!(table.pending(), [(queue(0), 2)]);
        assert_eq!(second.queue(), &queue(0));
    }

    struct TempDir(PathBuf);

    impl TempDir {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("ferrocket-offsets-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&dir);
            Self(dir)
        }
    }

    impl Drop for TempDir {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// The file stands where Java looks for it, keeps other queues' offsets, and reads back.
    #[test]
    fn file_round_trip() {
        let dir = TempDir::new("round-trip");
        let file = OffsetFile::new(&dir.0, "10.0.0.1@DEFAULT", "group");
        assert_eq!(file.load().unwrap(), BTreeMap::new());
        file.store(&[(queue(0), 5), (queue(1), 7)]).unwrap();
        file.store(&[(queue(1), 8)]).unwrap();
        assert!(dir.0.join("10.0.0.1@DEFAULT/group/offsets.json").exists());
        assert_eq!(file.load().unwrap(), BTreeMap::from([(queue(0), 5), (queue(1), 8)]));
    }

    /// A file written by Java is read, and a broken one gives way to its backup.
    #[test]
    fn reads_javas_file_and_falls_back() {
        let dir = TempDir::new("java");
        let file = OffsetFile::new(&dir.0, "c", "g");
        let java = "{\n\t\"offsetTable\":{{\n\t\t\t\"brokerName\":\"broker-a\",\n\t\t\t\"queueId\":1,\n\t\t\t\
                    \"topic\":\"T\"\n\t\t}:7,{\n\t\t\t\"brokerName\":\"broker-a\",\n\t\t\t\"queueId\":0,\n\t\t\t\
                    \"topic\":\"T\"\n\t\t}:5\n\t}\n}";
        std::fs::create_dir_all(dir.0.join("c/g")).unwrap();
        std::fs::write(dir.0.join("c/g/offsets.json"), java).unwrap();
        assert_eq!(file.load().unwrap(), BTreeMap::from([(queue(0), 5), (queue(1), 7)]));
        file.store(&[(queue(0), 6)]).unwrap();
        for broken in ["", "{\"offsetTable\":{"] {
            std::fs::write(dir.0.join("c/g/offsets.json"), broken).unwrap();
            assert_eq!(file.load().unwrap(), BTreeMap::from([(queue(0), 5), (queue(1), 7)]), "{broken:?}");
        }
    }

    /// Offsets of a broadcasting group are found again after a restart: the path has no process number.
    #[test]
    fn broadcasting_files_survive_restarts() {
        let builder = || Client::builder("127.0.0.1:9876").client_ip([10, 0, 0, 1].into());
        assert_eq!(local_id(&builder().build().unwrap()), "10.0.0.1@DEFAULT");
        let named = builder().instance_name("i").unit_name("u").build().unwrap();
        assert_eq!(local_id(&named), "10.0.0.1@i@u");
    }
}
