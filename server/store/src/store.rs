//! The store as a whole: opening, closing, and what its parts share.
//! Java counterpart: `DefaultMessageStore`.

use std::collections::VecDeque;
use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::JoinHandle;

use crate::checkpoint::Checkpoint;
use crate::clock::Clock;
use crate::commit_log::CommitLog;
use crate::config::{FlushDiskType, StoreConfig};
use crate::config_files::ConfigFiles;
use crate::consume_queue::{ConsumeQueue, QueueEntry};
use crate::consume_queue_ext::{self, BitMaps, EXT_FILE_LEN_MIN};
use crate::disk::{Disk, DiskLock};
use crate::durability::{Durability, Signal};
use crate::error::{AppendError, OpenError, StoreError};
use crate::index::Index;
use crate::index_file::Shape;
use crate::queues::Queues;
use crate::recovery;
use crate::segments::{OpenFiles, Segments};

/// Messages that may wait for a flush before they are announced; beyond it appenders flush themselves.
const PARKED_MAX: usize = 1 << 18;
/// Java's hidden topics whose queues are never cleaned up.
pub(crate) const KEPT_TOPICS: [&str; 2] = [crate::record::SCHEDULE_TOPIC, "RMQ_SYS_TRANS_OP_HALF_TOPIC"];

/// Is told of messages that consumers can see from now on. Java counterpart: `MessageArrivingListener`.
pub trait Arrivals: Send + Sync {
    /// A message has come. Called without a lock of the store, in asynchronous mode by the appending thread,
    /// in synchronous mode by the flushing one. `queue_offset` is the new message's.
    fn arrived(&self, topic: &str, queue_id: i32, queue_offset: i64, tags_code: i64);
}

/// How a store is doing.
#[derive(Clone, Debug)]
pub struct StoreStatus {
    /// Where the oldest segment starts.
    pub min_physical_offset: i64,
    /// Where the next record goes.
    pub max_physical_offset: i64,
    /// Everything before is on the disk.
    pub flushed_offset: i64,
    /// ConsumeQueues.
    pub queues: usize,
    /// Percent of the disk in use when the expirer looked last.
    pub disk_used_percent: i64,
    /// Why nothing is stored at the moment, if so.
    pub refuses: Option<AppendError>,
    /// Why keys are not indexed until the store is reopened, if so.
    pub index_stopped: Option<String>,
}

/// A message that consumers can see, or will when it is durable.
pub(crate) struct Arrival {
    pub(crate) queue: Arc<ConsumeQueue>,
    pub(crate) entry: QueueEntry,
    pub(crate) queue_offset: i64,
    /// What its entry shall point to, until the queue has it.
    pub(crate) unit: Option<Vec<u8>>,
}

/// An open store. Locks are taken in the order: flushing, tail of the log, segments, queue table, a queue,
/// parked arrivals, index. None is held while [`Arrivals`] are told.
pub struct Store {
    /// What it was opened with, for what cannot change since.
    pub(crate) opened: StoreConfig,
    /// The same with what was changed since: an immutable snapshot, swapped whole.
    config: RwLock<Arc<StoreConfig>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) log: CommitLog,
    pub(crate) queues: Queues,
    pub(crate) index: Index,
    pub(crate) durability: Durability,
    /// Delays of levels 1, 2, … in milliseconds.
    pub(crate) delay_levels: Vec<i64>,
    pub(crate) checkpoint: Mutex<Checkpoint>,
    /// Store time of the newest flushed message.
    pub(crate) flushed_timestamp: AtomicI64,
    /// Percent of the disk in use, and whether that is too much.
    pub(crate) disk_used_percent: AtomicI64,
    pub(crate) disk_full: AtomicBool,
    /// One flush at a time.
    pub(crate) flushing: Mutex<()>,
    /// Since when the tail of the log is held for an append, ms since 1970; 0 if it is not.
    pub(crate) appending_since: AtomicI64,
    /// Messages that are announced when they are durable, in the order of the log.
    parked: Mutex<VecDeque<Arrival>>,
    arrivals: RwLock<Option<Arc<dyn Arrivals>>>,
    pub(crate) bit_maps: RwLock<Option<Arc<dyn BitMaps>>>,
    config_files: ConfigFiles,
    closed: AtomicBool,
    pub(crate) flusher: Arc<Signal>,
    pub(crate) keeper: Arc<Signal>,
    pub(crate) expirer: Arc<Signal>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Held as long as the store is open.
    lock: Mutex<Option<Box<dyn DiskLock>>>,
}

impl Store {
    /// Opens the folder, or makes it; recovers it if it was not closed.
    ///
    /// The lock is taken before anything is read. What Java refuses is refused here too.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(
        config: StoreConfig,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, OpenError> {
        let delay_levels = config.delay_levels().map_err(OpenError::Setting)?;
        check(&config)?;
        let root = &config.store_path_root_dir;
        let building = root.join("building");
        disk.create_dir_all(root).map_err(OpenError::io("making", root))?;
        let lock_path = root.join("lock");
        let lock = disk.lock(&lock_path).map_err(OpenError::io("locking", &lock_path))?;
        let lock = lock.ok_or_else(|| OpenError::Locked { path: lock_path.clone() })?;
        lock.mark().map_err(OpenError::io("writing", &lock_path))?;
        refuse_batch_queues(&*disk, &root.join("batchconsumequeue"))?;
        for dir in [&config.commit_log_dir(), &root.join("consumequeue"), &root.join("index"), &building] {
            disk.create_dir_all(dir).map_err(OpenError::io("making", dir))?;
        }
        for left in disk.list(&building).map_err(OpenError::io("listing", &building))? {
            let path = building.join(left.name);
            disk.remove_file(&path).map_err(OpenError::io("removing", &path))?;
        }
        let abort = root.join("abort");
        let clean = !disk.exists(&abort).map_err(OpenError::io("looking for", &abort))?;
        let building: Arc<std::path::Path> = building.into();
        let log_dir = config.commit_log_dir();
        let segment_len = config.mapped_file_size_commit_log;
        let mut segments = Segments::load(
            disk.clone(),
            log_dir.clone(),
            building.clone(),
            segment_len,
            // All are open, so that a get that misses memory changes nothing.
            OpenFiles::up_to(usize::MAX),
        )?;
        segments.open_all().map_err(OpenError::io("opening segments in", &log_dir))?;
        let queue_len = config.consume_queue_file_len();
        let queues = Queues::load(disk.clone(), root.join("consumequeue"), building.clone(), queue_len)?;
        let checkpoint = Checkpoint::open(&*disk, &building, &root.join("checkpoint"))?;
        let shape = Shape { slots: config.max_hash_slot_num, entries: config.max_index_num };
        let index = Index::load(disk.clone(), root.join("index"), building.clone(), shape)?;
        let log = CommitLog::new(disk.clone(), log_dir, building, segments, config.recent_bytes_max);
        let ext_dir = root.join("consumequeue_ext");
        let parts = recovery::Parts {
            config: &config,
            log: &log,
            queues: &queues,
            index: &index,
            times: checkpoint.times,
            delay_levels: &delay_levels,
            now_ms: clock.now_ms(),
            has_ext: config.enable_consume_queue_ext
                || disk.exists(&ext_dir).map_err(OpenError::io("looking for", &ext_dir))?,
        };
        let newest = recovery::recover(&parts, clean)?;
        if config.enable_consume_queue_ext {
            consume_queue_ext::clean(&*disk, root, &queues).map_err(OpenError::io("cleaning", &ext_dir))?;
            queues.open_units(ext_dir, config.mapped_file_size_consume_queue_ext)?;
        }
        disk.create(&abort, 0).map_err(OpenError::io("making", &abort))?;
        disk.sync_dir(root).map_err(OpenError::io("syncing", root))?;
        let durability = Durability::new();
        durability.advance(log.written());
        let store = Arc::new(Self {
            config_files: ConfigFiles::new(disk.clone(), root.join("config")),
            checkpoint: Mutex::new(checkpoint),
            flushed_timestamp: AtomicI64::new(newest),
            disk_used_percent: AtomicI64::new(0),
            disk_full: AtomicBool::new(false),
            flushing: Mutex::new(()),
            appending_since: AtomicI64::new(0),
            parked: Mutex::new(VecDeque::new()),
            arrivals: RwLock::new(None),
            bit_maps: RwLock::new(None),
            closed: AtomicBool::new(false),
            flusher: Arc::default(),
            keeper: Arc::default(),
            expirer: Arc::default(),
            threads: Mutex::new(Vec::new()),
            lock: Mutex::new(Some(lock)),
            opened: config.clone(),
            config: RwLock::new(Arc::new(config)),
            clock,
            disk,
            log,
            queues,
            index,
            durability,
            delay_levels,
        });
        store.look_at_disk();
        store.clean_ext();
        if store.opened.background {
            *store.threads.lock().expect("threads") = store.start_keepers();
        }
        Ok(store)
    }

    /// Ends the store: nothing more is accepted, everything is written and synced, and the abort file goes, so
    /// that the next start has nothing to repair. Where indexing stopped there is: the abort file stays.
    ///
    /// # Errors
    /// That something could not be written, now or earlier. Then the abort file stays and the next start
    /// recovers.
    pub fn close(&self) -> Result<(), StoreError> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return self.durability.ended().filter(|why| *why != StoreError::Closed).map_or(Ok(()), Err);
        }
        // Who got past the check before holds the tail; after this there is nobody.
        drop(self.log.tail());
        self.stop_keepers();
        let done = self.log.drop_next().map_err(|error| self.failed("removing the unused segment", &error));
        let done = done.and_then(|()| self.try_keep_house(true)).and_then(|done| match done {
            true => Ok(()),
            false => Err(self.failed("writing out", &std::io::ErrorKind::StorageFull.into())),
        });
        let done = done.and_then(|()| self.index.broken().map_or_else(|| self.remove_abort(), |_| Ok(())));
        self.durability.end(StoreError::Closed);
        self.lock.lock().expect("lock file").take();
        done
    }

    fn remove_abort(&self) -> Result<(), StoreError> {
        let root = &self.opened.store_path_root_dir;
        let removed = self.disk.remove_file(&root.join("abort")).and_then(|()| self.disk.sync_dir(root));
        removed.map_err(|error| self.failed("removing the abort file", &error))
    }

    /// Stops where it stands, as a killed process does: nothing more is written or synced, the abort file
    /// stays, the lock is free. For tests of what survives.
    pub fn abandon(&self) {
        self.closed.store(true, Ordering::Release);
        drop(self.log.tail());
        self.stop_keepers();
        self.durability.end(StoreError::Closed);
        self.lock.lock().expect("lock file").take();
    }

    fn stop_keepers(&self) {
        for signal in [&self.flusher, &self.keeper, &self.expirer] {
            signal.stop();
        }
        let threads = std::mem::take(&mut *self.threads.lock().expect("threads"));
        for thread in threads {
            // A thread that panicked has said so; the others must still be waited for.
            let _ = thread.join();
        }
    }

    /// Whether messages count as stored only once they are on the disk.
    pub fn sync_flush(&self) -> bool {
        self.opened.flush_disk_type == FlushDiskType::SyncFlush
    }

    /// Completes when everything before `end_offset` is on the disk, in either mode; fails when that is not
    /// going to happen any more.
    pub fn wait_durable(
        &self,
        end_offset: i64,
    ) -> impl Future<Output = Result<(), StoreError>> + Send + 'static {
        self.durability.wait(end_offset)
    }

    /// Sets who is told of new messages; there is one such listener.
    pub fn on_arrival(&self, arrivals: Arc<dyn Arrivals>) {
        *self.arrivals.write().expect("arrivals") = Some(arrivals);
    }

    /// The newest message's store time, ms since 1970; 0 if there is none.
    pub fn newest_timestamp(&self) -> i64 {
        self.log.tail().timestamp
    }

    /// Sets who makes bit maps for the units of messages (`enableConsumeQueueExt`); there is one such.
    pub fn make_bit_maps(&self, bit_maps: Arc<dyn BitMaps>) {
        *self.bit_maps.write().expect("bit maps") = Some(bit_maps);
    }

    /// Whether messages are accepted.
    pub fn is_writable(&self) -> bool {
        self.admits().is_ok()
    }

    /// Why nothing is accepted, if so.
    pub(crate) fn admits(&self) -> Result<(), AppendError> {
        match self.durability.ended() {
            Some(why) => Err(why.into()),
            None if self.closed.load(Ordering::Acquire) => Err(AppendError::Closed),
            None if self.disk_full.load(Ordering::Relaxed) => Err(AppendError::DiskFull),
            None => Ok(()),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// For how many milliseconds an append has been keeping others waiting; 0 if none is. Java counterpart:
    /// `lockTimeMills`.
    pub fn append_lock_ms(&self) -> i64 {
        match self.appending_since.load(Ordering::Relaxed) {
            0 => 0,
            since => self.clock.now_ms().saturating_sub(since).max(0),
        }
    }

    /// How the store is doing.
    pub fn status(&self) -> StoreStatus {
        StoreStatus {
            min_physical_offset: self.log.min(),
            max_physical_offset: self.log.written(),
            flushed_offset: self.durability.flushed(),
            queues: self.queues.all().len(),
            disk_used_percent: self.disk_used_percent.load(Ordering::Relaxed),
            refuses: self.admits().err(),
            index_stopped: self.index.broken(),
        }
    }

    /// The broker's own files.
    pub fn config_files(&self) -> &ConfigFiles {
        &self.config_files
    }

    /// The store's root folder.
    pub fn root(&self) -> PathBuf {
        self.opened.store_path_root_dir.clone()
    }

    /// The settings as they are now.
    pub(crate) fn config(&self) -> Arc<StoreConfig> {
        self.config.read().expect("config").clone()
    }

    /// Takes over what can change in an open store: how long messages are kept, how full the disk may be, how long a
    /// message and how large an answer may be. All else stays as it was opened. The expirer goes by it from its next
    /// round on, everything else at once.
    pub fn reconfigure(&self, to: StoreConfig) {
        let mut config = self.config.write().expect("config");
        *config = Arc::new(StoreConfig {
            file_reserved_time: to.file_reserved_time,
            delete_when: to.delete_when,
            disk_max_used_space_ratio: to.disk_max_used_space_ratio,
            disk_space_clean_forcibly_ratio: to.disk_space_clean_forcibly_ratio,
            disk_space_warning_level_ratio: to.disk_space_warning_level_ratio,
            clean_file_forcibly_enable: to.clean_file_forcibly_enable,
            max_message_size: to.max_message_size,
            max_transfer_bytes_on_message_in_memory: to.max_transfer_bytes_on_message_in_memory,
            max_transfer_count_on_message_in_memory: to.max_transfer_count_on_message_in_memory,
            max_transfer_bytes_on_message_in_disk: to.max_transfer_bytes_on_message_in_disk,
            max_transfer_count_on_message_in_disk: to.max_transfer_count_on_message_in_disk,
            access_message_in_memory_max_ratio: to.access_message_in_memory_max_ratio,
            max_msgs_num_batch: to.max_msgs_num_batch,
            ..StoreConfig::clone(&config)
        });
    }

    /// Removes a topic's queues; a new topic of this name begins at offset 0. Its messages stay in the log
    /// until their segments go.
    ///
    /// # Errors
    /// That files could not be removed.
    pub fn delete_topic(&self, topic: &str) -> std::io::Result<()> {
        self.queues.remove(|queue| *queue.topic == *topic)?;
        self.clean_ext();
        Ok(())
    }

    /// Removes the queues whose messages are all gone from the log. Their next offsets are forgotten, so this
    /// is for an operator to ask. Returns how many. Java counterpart: `cleanExpiredConsumerQueue`.
    pub fn clean_expired_queues(&self) -> usize {
        let min = self.log.min();
        let gone = |queue: &ConsumeQueue| {
            let end = queue.max_physical();
            end > 0 && end < min && !KEPT_TOPICS[..1].contains(&&*queue.topic)
        };
        let removed = self.queues.remove(gone).unwrap_or_else(|error| {
            tracing::error!(%error, "removing expired queues");
            0
        });
        self.clean_ext();
        removed
    }

    /// Ends the store for good, before it acknowledges what it may have lost. Returns the first reason.
    pub(crate) fn failed(&self, doing: &str, error: &std::io::Error) -> StoreError {
        let why = format!("{doing}: {error}");
        tracing::error!(why, "the store takes nothing more until it is reopened");
        self.durability.end(StoreError::Failed(why))
    }

    /// Takes no messages until the expirer finds room again: a write has found none.
    pub(crate) fn note_full(&self, error: &std::io::Error) {
        if !self.disk_full.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "the disk is full: nothing is stored until there is room");
        }
    }

    /// Keeps messages until they are durable. Returns whether too many are waiting.
    pub(crate) fn park_arrivals(&self, arrivals: Vec<Arrival>) -> bool {
        let mut parked = self.parked.lock().expect("parked arrivals");
        parked.extend(arrivals);
        parked.len() > PARKED_MAX
    }

    /// Announces the messages that are durable now.
    pub(crate) fn announce_parked(&self, flushed: i64) {
        let ready: Vec<Arrival> = {
            let mut parked = self.parked.lock().expect("parked arrivals");
            let ready = parked.partition_point(|arrival| arrival.entry.end() <= flushed);
            parked.drain(..ready).collect()
        };
        self.announce(&ready);
    }

    /// Tells the listener.
    pub(crate) fn announce(&self, arrivals: &[Arrival]) {
        let Some(listener) = self.arrivals.read().expect("arrivals").clone() else { return };
        for Arrival { queue, entry, queue_offset, .. } in arrivals {
            listener.arrived(&queue.topic, queue.queue_id, *queue_offset, entry.tags_code);
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        for signal in [&self.flusher, &self.keeper, &self.expirer] {
            signal.stop();
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Store").field(&self.status()).finish()
    }
}

/// Refuses a folder with batch consume queues of 5.x: their messages would seem gone, and 5.x would not start
/// on it again once their topics had plain queues. Java 4.9 does not look there.
fn refuse_batch_queues(disk: &dyn Disk, dir: &std::path::Path) -> Result<(), OpenError> {
    let topics = disk.list(dir).map_err(OpenError::io("listing", dir))?;
    let Some(topic) = topics.into_iter().find(|entry| entry.is_dir) else { return Ok(()) };
    let problem = "batch consume queues of 5.x cannot be read; delete their topic with 5.x first".to_owned();
    Err(OpenError::Layout { path: dir.join(topic.name), problem })
}

/// Refuses settings with which nothing could be stored.
fn check(config: &StoreConfig) -> Result<(), OpenError> {
    let segment = config.mapped_file_size_commit_log;
    if !(1024..=i64::from(i32::MAX)).contains(&segment) {
        return Err(OpenError::Setting(format!(
            "mapped_file_size_commit_log {segment} is not within 1024..=2^31-1"
        )));
    }
    let queue = config.mapped_file_size_consume_queue;
    if !(1..=i64::from(i32::MAX)).contains(&queue) {
        return Err(OpenError::Setting(format!(
            "mapped_file_size_consume_queue {queue} is not within 1..=2^31-1"
        )));
    }
    let ext = config.mapped_file_size_consume_queue_ext;
    if config.enable_consume_queue_ext && !(EXT_FILE_LEN_MIN..=i64::from(i32::MAX)).contains(&ext) {
        return Err(OpenError::Setting(format!(
            "mapped_file_size_consume_queue_ext {ext} is not within {EXT_FILE_LEN_MIN}..=2^31-1"
        )));
    }
    if config.max_hash_slot_num == 0 || config.max_index_num < 2 {
        return Err(OpenError::Setting("an index file needs a slot and two entries".to_owned()));
    }
    Ok(())
}
