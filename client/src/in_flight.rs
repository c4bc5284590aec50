//! How much a client may have under way: in all, and at each broker.
//!
//! ```text
//! send → InFlight::take: messages, bytes     → Lane::enter: the broker's window → bytes to the broker
//!        fixed limits, over all producers       adapts to how fast it answers
//! ```
//!
//! Whoever finds no room waits, in the order of asking: a broker that is slow holds its senders back instead of
//! failing what they sent.
//!
//! Java counterpart: `semaphoreAsyncSendNum` and `semaphoreAsyncSendSize` of 5.x, which are fixed; 4.9 has no limit.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferrocket_protocol::Text;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::error::{Error, ErrorKind, Result};
use crate::message_ids::as_millis;

mod window;

pub(crate) use window::Answer;
use window::{Finished, Window};

/// Before anything was stored.
const NEVER: i64 = -1;
/// More messages than can wait for automatic batches.
const BATCHED_MAX: u32 = u32::MAX >> 4;
/// Brokers whose windows are remembered while nothing is under way to them.
const LANES_MAX: usize = 1_024;

/// Two budgets, messages and bytes, that every send takes from and gives back to, and a window for each broker.
#[derive(Debug)]
pub(crate) struct InFlight {
    messages: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    messages_max: u32,
    bytes_max: u32,
    /// A permit for each message of an automatic batch: while it waits for the batch it has no share of the others.
    batched: Arc<Semaphore>,
    /// By broker name. Held for a look-up, which in so small a map costs less than a hash.
    lanes: Mutex<BTreeMap<Text, Arc<Lane>>>,
    /// When a broker last stored something.
    stored_ms: Arc<AtomicI64>,
    /// When it began: milliseconds count from here.
    epoch: Instant,
}

/// A share of the budgets, given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    _messages: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

/// How long to wait for room.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// At most this.
    pub(crate) timeout: Duration,
    /// The time begins anew while brokers store what is under way: who waits gets on.
    pub(crate) while_moving: bool,
}

impl InFlight {
    /// Empty budgets of this size; more than the semaphores count is as good as the most they count.
    pub(crate) fn new(messages_max: usize, bytes_max: usize) -> Self {
        let [messages_max, bytes_max] =
            [messages_max, bytes_max].map(|max| u32::try_from(max).unwrap_or(u32::MAX).min(u32::MAX >> 4));
        Self {
            messages: Arc::new(Semaphore::new(messages_max as usize)),
            bytes: Arc::new(Semaphore::new(bytes_max as usize)),
            messages_max,
            bytes_max,
            batched: Arc::new(Semaphore::new(BATCHED_MAX as usize)),
            lanes: Mutex::default(),
            stored_ms: Arc::new(AtomicI64::new(NEVER)),
            epoch: Instant::now(),
        }
    }

    /// Takes the share of one send of `bytes` if there is room. Those who wait are not overtaken: what is given back is
    /// theirs at once.
    pub(crate) fn try_take(&self, bytes: usize) -> Option<Share> {
        let messages = Arc::clone(&self.messages).try_acquire_owned().ok()?;
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(self.part(bytes)).ok()?;
        Some(Share { _messages: messages, _bytes: bytes })
    }

    /// What a send of `bytes` takes: one that exceeds the whole budget takes all of it.
    fn part(&self, bytes: usize) -> u32 {
        u32::try_from(bytes).unwrap_or(u32::MAX).min(self.bytes_max)
    }

    /// Takes the share of one send of `bytes`, in the order of asking.
    pub(crate) async fn take(&self, bytes: usize, patience: Patience) -> Result<Share> {
        let bytes = self.part(bytes);
        let take = async {
            let messages = Arc::clone(&self.messages).acquire_owned().await.ok()?;
            let bytes = Arc::clone(&self.bytes).acquire_many_owned(bytes).await.ok()?;
            Some(Share { _messages: messages, _bytes: bytes })
        };
        match patiently(take, patience, &self.stored_ms).await {
            Some(Some(share)) => Ok(share),
            Some(None) => Err(Error::closed("the client")),
            None => {
                let text = format!(
                    "{} messages or {} bytes are under way, and none finished within {:?}",
                    self.messages_max, self.bytes_max, patience.timeout
                );
                Err(Error::new(ErrorKind::FlowControl, text))
            }
        }
    }

    /// The window of the broker with this name.
    pub(crate) fn lane(&self, broker: &Text) -> Arc<Lane> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get(broker) {
            return Arc::clone(lane);
        }
        if lanes.len() >= LANES_MAX {
            lanes.retain(|_, lane| Arc::strong_count(lane) > 1);
        }
        let lane = Arc::new(Lane::new(broker.clone(), self));
        // The client was closed meanwhile, perhaps: then nothing enters this one either.
        if self.messages.is_closed() {
            lane.room.close();
        }
        lanes.insert(broker.clone(), Arc::clone(&lane));
        lane
    }

    /// A message is to be part of an automatic batch; until that is dropped it counts as under way. None while the
    /// client ends.
    pub(crate) fn batched(&self) -> Result<OwnedSemaphorePermit> {
        Arc::clone(&self.batched).try_acquire_owned().map_err(|_| Error::closed("the client"))
    }

    /// Returns once nothing is under way, or after `timeout`.
    pub(crate) async fn drained(&self, timeout: Duration) -> bool {
        let all = async {
            let _batched = self.batched.acquire_many(BATCHED_MAX).await;
            let _others = self.messages.acquire_many(self.messages_max).await;
        };
        tokio::time::timeout(timeout, all).await.is_ok()
    }

    /// No share is given any more.
    pub(crate) fn close(&self) {
        self.messages.close();
        self.bytes.close();
        for lane in self.lanes.lock().unwrap_or_else(PoisonError::into_inner).values() {
            lane.room.close();
        }
    }
}

/// Waits for room, as patiently as that; `None` when the time is up.
async fn patiently<T>(room: impl Future<Output = T>, patience: Patience, stored_ms: &AtomicI64) -> Option<T> {
    // The same future again and again: it keeps its place in line.
    let mut room = pin!(room);
    loop {
        let before = stored_ms.load(Ordering::Relaxed);
        match tokio::time::timeout(patience.timeout, room.as_mut()).await {
            Ok(room) => return Some(room),
            Err(_) if patience.while_moving && stored_ms.load(Ordering::Relaxed) != before => {}
            Err(_) => return None,
        }
    }
}

/// What is under way to one broker, and how much that may be.
#[derive(Debug)]
pub(crate) struct Lane {
    broker: Text,
    /// Permits for what the window leaves.
    room: Semaphore,
    /// Held for the end of one message.
    state: Mutex<LaneState>,
    /// When this broker last stored something, and when any did.
    stored_ms: AtomicI64,
    stored_anywhere_ms: Arc<AtomicI64>,
    epoch: Instant,
}

#[derive(Debug)]
struct LaneState {
    window: Window,
    /// Permits beyond the window's size that are still out: as many are not given back.
    surplus: u32,
}

/// Room for one message in a broker's window, given back when dropped.
#[derive(Debug)]
pub(crate) struct Room {
    lane: Arc<Lane>,
}

impl Lane {
    fn new(broker: Text, budget: &InFlight) -> Self {
        let window = Window::new(budget.messages_max);
        Self {
            broker,
            room: Semaphore::new(window.size() as usize),
            state: Mutex::new(LaneState { window, surplus: 0 }),
            stored_ms: AtomicI64::new(NEVER),
            stored_anywhere_ms: Arc::clone(&budget.stored_ms),
            epoch: budget.epoch,
        }
    }

    /// When the broker last stored something; before everything if it never did.
    pub(crate) fn stored_ms(&self) -> i64 {
        self.stored_ms.load(Ordering::Relaxed)
    }

    /// Takes room if there is some.
    pub(crate) fn try_enter(self: &Arc<Self>) -> Option<Room> {
        self.room.try_acquire().ok()?.forget();
        Some(self.entered())
    }

    /// Takes room, in the order of asking.
    pub(crate) async fn enter(self: &Arc<Self>, patience: Patience) -> Result<Room> {
        let room = async { self.room.acquire().await.map(SemaphorePermit::forget) };
        self.judge(patiently(room, patience, &self.stored_ms).await, patience)?;
        Ok(self.entered())
    }

    /// Takes room here or at the other broker, wherever there is some first. True if it is the other one.
    pub(crate) async fn enter_either(
        self: &Arc<Self>,
        other: &Arc<Self>,
        patience: Patience,
    ) -> Result<(Room, bool)> {
        let room = async {
            tokio::select! {
                biased;
                room = self.room.acquire() => room.map(|room| (room.forget(), false)),
                room = other.room.acquire() => room.map(|room| (room.forget(), true)),
            }
        };
        let ((), elsewhere) =
            self.judge(patiently(room, patience, &self.stored_anywhere_ms).await, patience)?;
        Ok((if elsewhere { other.entered() } else { self.entered() }, elsewhere))
    }

    /// What came of waiting: room, the end of the client, or nothing in time.
    fn judge<T>(&self, waited: Option<Result<T, AcquireError>>, patience: Patience) -> Result<T> {
        match waited {
            Some(Ok(room)) => Ok(room),
            Some(Err(_)) => Err(Error::closed("the client")),
            None => {
                let (broker, size, timeout) = (&self.broker, self.state().window.size(), patience.timeout);
                let text = format!(
                    "{size} messages are under way to broker {broker}, and there was no room for another within {timeout:?}"
                );
                Err(Error::new(ErrorKind::FlowControl, text))
            }
        }
    }

    /// Adapts the window to the end of one message, whose room is given back afterwards.
    fn finished(&self, answer: Answer, sent: Instant, timeout: Duration) {
        let [sent_ms, now_ms] = [sent, Instant::now()].map(|time| self.ms(time));
        if answer == Answer::Stored {
            self.stored_ms.store(now_ms, Ordering::Relaxed);
            self.stored_anywhere_ms.store(now_ms, Ordering::Relaxed);
        }
        let mut state = self.state();
        let before = state.window.size();
        let left = u32::try_from(self.room.available_permits()).unwrap_or(u32::MAX);
        let under_way = before.saturating_add(state.surplus).saturating_sub(left);
        let timeout_ms = as_millis(timeout);
        let halved = state.window.finished(Finished { answer, sent_ms, timeout_ms, under_way }, now_ms);
        let size = state.window.size();
        if size > before {
            // What is out beyond the window fits it again, or there is more room.
            let covered = state.surplus.min(size - before);
            state.surplus -= covered;
            self.room.add_permits((size - before - covered) as usize);
        } else if size < before {
            let unused = self.room.forget_permits((before - size) as usize) as u32;
            state.surplus += before - size - unused;
        }
        drop(state);
        if halved {
            tracing::debug!(broker = %self.broker, before, size, "answers are slow: less is sent ahead of them");
        }
    }

    fn entered(self: &Arc<Self>) -> Room {
        Room { lane: Arc::clone(self) }
    }

    fn ms(&self, time: Instant) -> i64 {
        time.duration_since(self.epoch).as_millis() as i64
    }

    fn state(&self) -> MutexGuard<'_, LaneState> {
        // Whole after each statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    /// The message that was sent then is no longer under way, and this is what became of it. `timeout` is that of the
    /// whole send.
    pub(crate) fn leave(self, answer: Answer, sent: Instant, timeout: Duration) {
        self.lane.finished(answer, sent, timeout);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut state = self.lane.state();
        if state.surplus > 0 {
            state.surplus -= 1;
        } else {
            self.lane.room.add_permits(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const PATIENCE: Patience = Patience { timeout: SECOND, while_moving: false };

    /// At the limit a send waits, and is refused when its time is up; a returned share lets it through.
    #[tokio::test(start_paused = true)]
    async fn limits_hold() {
        let budget = InFlight::new(2, 100);
        let first = budget.take(60, PATIENCE).await.unwrap();
        assert_eq!(budget.take(60, PATIENCE).await.unwrap_err().kind(), ErrorKind::FlowControl);
        drop(first);
        let huge = budget.take(1_000, PATIENCE).await.unwrap();
        assert!(!budget.drained(SECOND).await);
        drop(huge);
        assert!(budget.drained(SECOND).await);
        let lane = budget.lane(&"a".into());
        budget.close();
        assert_eq!(budget.take(1, PATIENCE).await.unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(lane.enter(PATIENCE).await.unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(budget.lane(&"b".into()).enter(PATIENCE).await.unwrap_err().kind(), ErrorKind::Closed);
    }

    fn fill(lane: &Arc<Lane>) -> Vec<Room> {
        std::iter::from_fn(|| lane.try_enter()).collect()
    }

    /// A window grows with answers and shrinks under what is out: what is beyond it is not given out again.
    #[tokio::test(start_paused = true)]
    async fn windows_grow_and_shrink_under_load() {
        let budget = InFlight::new(1_000, 1_000);
        let lane = budget.lane(&"a".into());
        let mut rooms = fill(&lane);
        let start = rooms.len();
        rooms.pop().unwrap().leave(Answer::Stored, Instant::now(), SECOND);
        rooms.extend(fill(&lane));
        assert_eq!(rooms.len(), start + 1);
        rooms.pop().unwrap().leave(Answer::Busy, Instant::now(), SECOND);
        assert!(fill(&lane).is_empty());
        let size = lane.state().window.size() as usize;
        assert!(size < start);
        while rooms.len() > size {
            rooms.pop().unwrap().leave(Answer::Other, Instant::now(), SECOND);
            assert!(fill(&lane).is_empty() || rooms.len() < size);
        }
        // Dropped without a word, as when the send is given up.
        drop(rooms);
        assert_eq!(fill(&lane).len(), size);
    }

    /// Who waits gets room in the order of asking, before anybody who comes later; and is patient as long as the
    /// broker stores something, if that is wanted.
    #[tokio::test(start_paused = true)]
    async fn waiters_are_served_in_order() {
        let budget = InFlight::new(2, 1_000);
        let lane = budget.lane(&"a".into());
        let mut rooms = fill(&lane);
        assert_eq!(rooms.len(), 2);
        let order = Arc::new(Mutex::new(Vec::new()));
        let waiters: Vec<_> = (0..5)
            .map(|number| {
                let (lane, order) = (Arc::clone(&lane), Arc::clone(&order));
                tokio::spawn(async move {
                    let patience = Patience { timeout: SECOND, while_moving: true };
                    let room = lane.enter(patience).await?;
                    order.lock().unwrap().push(number);
                    let entered = Instant::now();
                    tokio::time::sleep(SECOND * 9 / 10).await;
                    room.leave(Answer::Stored, entered, SECOND * 10);
                    Result::<()>::Ok(())
                })
            })
            .collect();
        let (late, entered) = (lane.enter(PATIENCE), Instant::now());
        tokio::time::sleep(SECOND / 2).await;
        rooms.pop().unwrap().leave(Answer::Stored, entered, SECOND * 10);
        assert!(lane.try_enter().is_none());
        assert_eq!(late.await.unwrap_err().kind(), ErrorKind::FlowControl);
        for waiter in waiters {
            waiter.await.unwrap().unwrap();
        }
        assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
        let patience = Patience { timeout: SECOND, while_moving: true };
        rooms.extend(fill(&lane));
        assert_eq!(lane.enter(patience).await.unwrap_err().kind(), ErrorKind::FlowControl);
    }
}
