//! What the store does by itself: the flusher syncs the CommitLog, the keeper writes out queues and index and
//! makes segments ahead, the expirer watches the disk. Each sleeps as long as there is nothing to do; the
//! expirer looks every `cleanResourceInterval`.
//!
//! Java counterparts: `FlushRealTimeService`, `GroupCommitService`, `FlushConsumeQueueService`,
//! `AllocateMappedFileService`, `CleanCommitLogService`.

use std::cell::Cell;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::checkpoint::Times;
use crate::consume_queue::ConsumeQueue;
use crate::disk;
use crate::error::StoreError;
use crate::store::Store;

/// Queues that are synced one by one; more of them are synced with everything else on their file system.
const SINGLE_SYNCS_MAX: usize = 64;

impl Store {
    /// Starts the three threads. They hold the store weakly and end with it.
    pub(crate) fn start_keepers(self: &Arc<Self>) -> Vec<JoinHandle<()>> {
        let spawn = |name: &str, run: fn(&Weak<Self>)| {
            let store = Arc::downgrade(self);
            let thread = std::thread::Builder::new().name(name.to_owned());
            thread.spawn(move || run(&store)).expect("a thread can be started")
        };
        vec![
            spawn("store-flusher", Self::run_flusher),
            spawn("store-keeper", Self::run_keeper),
            spawn("store-expirer", Self::run_expirer),
        ]
    }

    fn run_flusher(store: &Weak<Self>) {
        let Some((signal, interval, sync)) = store
            .upgrade()
            .map(|store| (store.flusher.clone(), store.opened.flush_interval_commit_log, store.sync_flush()))
        else {
            return;
        };
        while signal.wait() {
            if !sync && !signal.pause(interval) {
                break;
            }
            let Some(store) = store.upgrade() else { break };
            // A failure has ended the store; whoever waits has been told.
            if store.flush().is_err() {
                break;
            }
        }
    }

    fn run_keeper(store: &Weak<Self>) {
        let Some((signal, interval, thorough_interval)) = store.upgrade().map(|store| {
            let config = &store.opened;
            let thorough = config.flush_consume_queue_thorough_interval;
            (store.keeper.clone(), config.flush_interval_consume_queue, thorough)
        }) else {
            return;
        };
        let mut last_thorough = Instant::now();
        // Whether something was written out that no thorough round has synced.
        let mut owed = true;
        loop {
            let until_thorough = thorough_interval.saturating_sub(last_thorough.elapsed());
            let work = if owed { signal.wait_for(until_thorough) } else { signal.wait().then_some(true) };
            let Some(work) = work else { break };
            if work && !signal.pause(interval.min(until_thorough.max(Duration::from_millis(1)))) {
                break;
            }
            let Some(store) = store.upgrade() else { break };
            owed |= work;
            let thorough = last_thorough.elapsed() >= thorough_interval;
            if store.keep_house(thorough).is_err() {
                break;
            }
            if thorough {
                last_thorough = Instant::now();
                owed = false;
            }
        }
    }

    fn run_expirer(store: &Weak<Self>) {
        let Some((signal, interval)) =
            store.upgrade().map(|store| (store.expirer.clone(), store.opened.clean_resource_interval))
        else {
            return;
        };
        while signal.pause(interval) {
            let Some(store) = store.upgrade() else { break };
            store.expire();
        }
    }

    /// Tells the threads that something was appended.
    pub(crate) fn wake_keepers(&self, crowded: bool) {
        if self.opened.background {
            self.flusher.raise(false);
            self.keeper.raise(crowded);
        }
    }

    /// Puts the CommitLog on the disk as far as it is written. Returns up to where.
    ///
    /// # Errors
    /// That it failed, now or earlier: nothing more is stored until the store is reopened.
    pub fn flush(&self) -> Result<i64, StoreError> {
        let flushed = self.flush_log()?;
        self.announce_parked(flushed);
        Ok(flushed)
    }

    fn flush_log(&self) -> Result<i64, StoreError> {
        let _one = self.flushing.lock().expect("a thread panicked while it flushed");
        if let Some(why) = self.durability.ended() {
            return Err(why);
        }
        let (end, timestamp) = {
            let tail = self.log.tail();
            (tail.end, tail.timestamp)
        };
        let flushed = self.durability.flushed();
        if end > flushed {
            let names = self.log.sync_names();
            names.map_err(|error| self.failed("syncing the CommitLog's folder", &error))?;
            for file in self.log.files_between(flushed, end) {
                file.sync().map_err(|error| self.failed("syncing the CommitLog", &error))?;
            }
            self.flushed_timestamp.store(timestamp, Ordering::Release);
            self.durability.advance(end);
        }
        Ok(end)
    }

    /// One round of the keeper: makes the next segment and writes out ConsumeQueue and index entries. A
    /// `thorough` one flushes the log, syncs queues and index and writes the checkpoint, so that recovery
    /// after a crash starts here.
    ///
    /// What finds no room on the disk stays in memory for the next round.
    ///
    /// # Errors
    /// That it failed, now or earlier: nothing more is stored until the store is reopened.
    pub fn keep_house(&self, thorough: bool) -> Result<(), StoreError> {
        if !self.try_keep_house(thorough)? && self.opened.background {
            self.keeper.raise(false);
        }
        Ok(())
    }

    /// Whether all was done; not if the disk is full.
    pub(crate) fn try_keep_house(&self, thorough: bool) -> Result<bool, StoreError> {
        let done = Cell::new(true);
        let or_full = |doing: &str, result: io::Result<()>| match result {
            Err(error) if disk::is_full(&error) => {
                self.note_full(&error);
                done.set(false);
                Ok(false)
            }
            result => result.map(|()| true).map_err(|error| self.failed(doing, &error)),
        };
        if let Some(why) = self.durability.ended() {
            return Err(why);
        }
        // Everything up to here is in the queues' memory, as the tail was free.
        let (mark, lowered) = {
            let tail = self.log.tail();
            (tail.timestamp, self.checkpoint.lock().expect("checkpoint").lowered)
        };
        if !self.is_closed() {
            or_full("making a segment", self.log.prepare_next())?;
        }
        if thorough {
            self.flush()?;
        }
        for queue in self.queues.take_dirty() {
            if !or_full("writing a ConsumeQueue", queue.write_out())? {
                self.queues.list_dirty(&queue);
            }
        }
        let mut indexed = 0;
        or_full("writing the index", self.index.write_out(thorough).map(|time| indexed = time))?;
        if !thorough || !done.get() {
            return Ok(done.get());
        }
        self.sync_queues().map_err(|error| self.failed("syncing a ConsumeQueue", &error))?;
        if mark > 0 {
            let physic = self.flushed_timestamp.load(Ordering::Acquire);
            let mut checkpoint = self.checkpoint.lock().expect("checkpoint");
            let times = Times { physic, logic: mark, index: indexed.max(checkpoint.times.index) };
            // Times of before a step back would speak of records behind it, too.
            if checkpoint.lowered == lowered {
                or_full("writing the checkpoint", checkpoint.write(times))?;
            }
        }
        Ok(done.get())
    }

    /// Puts on the disk what all queues have written out, and closes files that nobody uses.
    fn sync_queues(&self) -> io::Result<()> {
        let queues = self.queues.all();
        let unsynced: Vec<&Arc<ConsumeQueue>> = queues.iter().filter(|queue| queue.is_unsynced()).collect();
        if unsynced.len() > SINGLE_SYNCS_MAX {
            unsynced.iter().for_each(|queue| queue.count_as_synced());
            self.disk.sync_all(self.queues.dir())?;
        } else {
            unsynced.into_iter().try_for_each(|queue| queue.sync())?;
        }
        queues.iter().for_each(|queue| queue.close_idle());
        Ok(())
    }
}
