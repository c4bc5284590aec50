//! What is on the disk for good: a watermark that only grows, and those who wait for it.
//!
//! Synchronous flushing is group commit without timers: a thread syncs whatever has been written, and while it
//! does, the next group forms. After a failed write or sync the watermark stands still for ever and everyone
//! who waits gets the failure: a second `fdatasync` that succeeds proves nothing about the pages of the first.
//! Java counterparts: `GroupCommitService`, `FlushRealTimeService`, which retry and acknowledge.

use std::future::Future;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use tokio::sync::watch;

use crate::error::StoreError;

/// How far flushing has come.
#[derive(Clone, Debug, Default)]
struct Progress {
    flushed: i64,
    /// Set once nothing more will be flushed.
    ended: Option<StoreError>,
}

/// The flushed watermark.
pub(crate) struct Durability {
    progress: watch::Sender<Progress>,
}

impl Durability {
    pub(crate) fn new() -> Self {
        Self { progress: watch::Sender::new(Progress::default()) }
    }

    /// Everything before is on the disk.
    pub(crate) fn flushed(&self) -> i64 {
        self.progress.borrow().flushed
    }

    /// Why nothing more will be stored, if so.
    pub(crate) fn ended(&self) -> Option<StoreError> {
        self.progress.borrow().ended.clone()
    }

    /// Moves the watermark to `offset`, unless it has ended.
    pub(crate) fn advance(&self, offset: i64) {
        self.progress.send_if_modified(|progress| {
            let grows = progress.ended.is_none() && offset > progress.flushed;
            if grows {
                progress.flushed = offset;
            }
            grows
        });
    }

    /// Ends the watermark. Returns the reason that stays: the first.
    pub(crate) fn end(&self, why: StoreError) -> StoreError {
        let mut stays = why;
        self.progress.send_if_modified(|progress| {
            let first = progress.ended.is_none();
            stays = progress.ended.get_or_insert_with(|| stays.clone()).clone();
            first
        });
        stays
    }

    /// Completes when everything before `offset` is on the disk.
    pub(crate) fn wait(&self, offset: i64) -> impl Future<Output = Result<(), StoreError>> + Send + 'static {
        let mut progress = self.progress.subscribe();
        async move {
            let reached = |progress: &Progress| progress.flushed >= offset || progress.ended.is_some();
            let progress = progress.wait_for(reached).await.map_err(|_| StoreError::Closed)?;
            match &progress.ended {
                Some(why) if progress.flushed < offset => Err(why.clone()),
                _ => Ok(()),
            }
        }
    }
}

/// Wakes a background thread. What happened before [`Signal::raise`] is seen after [`Signal::wait`].
#[derive(Default)]
pub(crate) struct Signal {
    state: Mutex<Raised>,
    changed: Condvar,
}

#[derive(Default)]
struct Raised {
    work: bool,
    hurry: bool,
    stop: bool,
}

impl Signal {
    /// There is work, which with `hurry` does not wait for the end of a pause.
    pub(crate) fn raise(&self, hurry: bool) {
        let mut state = self.state.lock().expect("signal");
        if !state.work || (hurry && !state.hurry) {
            state.work = true;
            state.hurry |= hurry;
            self.changed.notify_all();
        }
    }

    /// The thread is to end.
    pub(crate) fn stop(&self) {
        self.state.lock().expect("signal").stop = true;
        self.changed.notify_all();
    }

    /// Sleeps until there is work. Returns false when the thread is to end.
    pub(crate) fn wait(&self) -> bool {
        let state = self.state.lock().expect("signal");
        let mut state = self.changed.wait_while(state, |state| !state.work && !state.stop).expect("signal");
        state.work = false;
        !state.stop
    }

    /// Sleeps until there is work, but no longer than `time`. `None` when the thread is to end, else whether
    /// there is work.
    pub(crate) fn wait_for(&self, time: Duration) -> Option<bool> {
        let state = self.state.lock().expect("signal");
        let idle = |state: &mut Raised| !state.work && !state.stop;
        let (mut state, _) = self.changed.wait_timeout_while(state, time, idle).expect("signal");
        (!state.stop).then(|| std::mem::take(&mut state.work))
    }

    /// Sleeps for `time`, unless work is in a hurry. Returns false when the thread is to end.
    pub(crate) fn pause(&self, time: Duration) -> bool {
        let state = self.state.lock().expect("signal");
        let calm = |state: &mut Raised| !state.stop && !state.hurry;
        let (mut state, _) = self.changed.wait_timeout_while(state, time, calm).expect("signal");
        state.hurry = false;
        !state.stop
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waiters complete when their offset is reached and not before; a failure reaches those behind it only.
    #[tokio::test]
    async fn waiters_follow_the_watermark() {
        let durability = Durability::new();
        let (near, far) = (durability.wait(10), durability.wait(20));
        durability.advance(15);
        assert_eq!(near.await, Ok(()));
        durability.end(StoreError::Failed("fdatasync".to_owned()));
        durability.advance(30);
        assert_eq!(durability.flushed(), 15);
        assert_eq!(far.await, Err(StoreError::Failed("fdatasync".to_owned())));
        assert_eq!(durability.wait(15).await, Ok(()));
    }
}
