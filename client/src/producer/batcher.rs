//! Many small sends of one topic travel as one: what comes while a batch is under way is the next batch.
//!
//! ```text
//! send ──▶ lane of the topic ──▶ under way (one at a time) ──▶ each sender's own receipt
//!            waiting: the next batch, up to batch_max_bytes
//! ```
//!
//! Nothing waits for a timer: a message that finds its lane idle is sent at once, alone. Under load the batches grow
//! to what arrives during one round trip. Java counterpart: `ProduceAccumulator` of 5.x, which collects for 10 ms.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferrocket_protocol::Text;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;

use super::parcel::set_unique_key;
use super::{Parcel, Patience, Shared};
use crate::error::{Error, ErrorKind, Result};
use crate::message::Message;
use crate::message_ids::now_ms;
use crate::send_result::SendResult;
use crate::validate::check_batch;

/// Java's `totalBatchMaxBytes`: messages that wait, over all lanes.
pub(super) const TOTAL_BATCH_MAX_BYTES: usize = 32 << 20;
/// Java's `batchMaxBytes`: a batch, as far as it is made here.
pub(super) const BATCH_MAX_BYTES: usize = 32 << 10;

/// Messages that can travel together.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Lane {
    topic: Text,
    waits_for_store: bool,
}

struct Waiting {
    message: Message,
    weight: usize,
    /// When the time for its send is up.
    due: Instant,
    receipt: oneshot::Sender<Result<SendResult>>,
    _taken: Taken,
}

impl Waiting {
    /// The time for this one is up. Nobody may be waiting any more.
    fn too_late(self) {
        let error = Error::new(ErrorKind::Timeout, "the time for this send is up");
        let _ = self.receipt.send(Err(error.with_unsent(vec![self.message])));
    }
}

/// What a message holds until its receipt is there: room, and the client, which does not end before.
struct Taken {
    _room: OwnedSemaphorePermit,
    _batched: OwnedSemaphorePermit,
}

/// The lanes of a producer. A lane is there while something of it is under way.
pub(super) struct Batcher {
    /// Held to add a message or to take a batch.
    lanes: Mutex<HashMap<Lane, VecDeque<Waiting>>>,
    room: Arc<Semaphore>,
    room_max: u32,
    batch_max_bytes: usize,
}

impl Batcher {
    pub(super) fn new(batch_max_bytes: usize, total_max_bytes: usize) -> Self {
        let room_max = u32::try_from(total_max_bytes).unwrap_or(u32::MAX).min(u32::MAX >> 4);
        let room = Arc::new(Semaphore::new(room_max as usize));
        Self { lanes: Mutex::default(), room, room_max, batch_max_bytes }
    }

    fn lanes(&self) -> MutexGuard<'_, HashMap<Lane, VecDeque<Waiting>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next batch of a lane; the lane ends when there is none.
    fn take(&self, lane: &Lane) -> Vec<Waiting> {
        let mut lanes = self.lanes();
        let Some(waiting) = lanes.get_mut(lane) else { return Vec::new() };
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some(next) = waiting.front() {
            bytes += next.weight;
            if !batch.is_empty() && bytes > self.batch_max_bytes {
                break;
            }
            batch.extend(waiting.pop_front());
        }
        if batch.is_empty() {
            lanes.remove(lane);
        }
        batch
    }
}

/// Ends a lane whose driver is gone before its end, by a panic of a hook or with the runtime: those who wait there
/// learn of it, and the next message begins anew.
struct Driving<'a> {
    batcher: &'a Batcher,
    lane: &'a Lane,
    done: bool,
}

impl Drop for Driving<'_> {
    fn drop(&mut self) {
        if !self.done {
            let waiting = self.batcher.lanes().remove(self.lane);
            drop(waiting);
        }
    }
}

impl Shared {
    /// Sends a message with whatever else is ready for its topic.
    pub(super) async fn send_batched(
        self: &Arc<Self>,
        batcher: &Batcher,
        message: Message,
    ) -> Result<SendResult> {
        if let Err(error) = check_batch(std::slice::from_ref(&message), self.packing.message_len_max) {
            return Err(error.with_unsent(vec![message]));
        }
        let batched = match self.check_open().and_then(|()| self.client.in_flight().batched()) {
            Ok(batched) => batched,
            Err(error) => return Err(error.with_unsent(vec![message])),
        };
        let weight = message.weight();
        let timeout = self.settings.send_msg_timeout;
        let due = Instant::now() + timeout;
        // One that exceeds the whole room takes all of it.
        let room = u32::try_from(weight).unwrap_or(u32::MAX).min(batcher.room_max);
        let room = Arc::clone(&batcher.room).acquire_many_owned(room);
        let Ok(Ok(room)) = tokio::time::timeout(timeout, room).await else {
            let text = format!("no room for another message to be batched within {timeout:?}");
            return Err(Error::new(ErrorKind::FlowControl, text).with_unsent(vec![message]));
        };
        let lane = Lane { topic: message.topic_text().clone(), waits_for_store: message.waits_for_store() };
        let (receipt, received) = oneshot::channel();
        let _taken = Taken { _room: room, _batched: batched };
        let waiting = Waiting { message, weight, due, receipt, _taken };
        let is_idle = {
            let mut lanes = batcher.lanes();
            let known = lanes.contains_key(&lane);
            lanes.entry(lane.clone()).or_default().push_back(waiting);
            !known
        };
        if is_idle {
            let shared = Arc::clone(self);
            tokio::spawn(async move { shared.drive(lane).await });
        }
        received.await.unwrap_or_else(|_| Err(Error::closed("the sender of automatic batches")))
    }

    /// Sends batch after batch of a lane until nothing waits.
    async fn drive(&self, lane: Lane) {
        let Some(batcher) = &self.batcher else { return };
        let mut driving = Driving { batcher, lane: &lane, done: false };
        loop {
            let batch = batcher.take(&lane);
            if batch.is_empty() {
                driving.done = true;
                return;
            }
            let now = Instant::now();
            let (batch, late): (Vec<_>, Vec<_>) = batch.into_iter().partition(|waiting| waiting.due > now);
            late.into_iter().for_each(Waiting::too_late);
            self.send_in_time(batch, now).await;
        }
    }

    /// Sends a batch while any of its messages has time; each sender waits no longer than its own.
    async fn send_in_time(&self, mut batch: Vec<Waiting>, now: Instant) {
        let Some(last) = batch.iter().map(|waiting| waiting.due).max() else { return };
        // What is given back while the batch is under way has the id that it may be stored with.
        let set_id = |waiting: &mut Waiting| set_unique_key(&mut waiting.message, &self.client, now_ms());
        batch.iter_mut().for_each(set_id);
        let messages = batch.iter().map(|waiting| waiting.message.clone()).collect();
        let mut sending = pin!(self.send_together(messages, last - now));
        // Those with the most time learn what came of it; the others may be late, the soonest of them last in this list.
        let due = batch.iter().enumerate().map(|(place, waiting)| (waiting.due, place));
        let mut due: Vec<_> = due.filter(|(due, _)| *due < last).collect();
        due.sort_unstable_by(|a, b| b.cmp(a));
        let mut batch: Vec<_> = batch.into_iter().map(Some).collect();
        let results = loop {
            let Some((next, place)) = due.last().copied() else { break sending.await };
            tokio::select! {
                biased;
                results = &mut sending => break results,
                () = tokio::time::sleep_until(next) => {
                    due.pop();
                    batch.get_mut(place).and_then(Option::take).into_iter().for_each(Waiting::too_late);
                }
            }
        };
        for (waiting, result) in batch.into_iter().zip(results) {
            if let Some(waiting) = waiting {
                // Nobody may be waiting any more.
                let _ = waiting.receipt.send(result);
            }
        }
    }

    /// One result for each message.
    async fn send_together(&self, mut messages: Vec<Message>, timeout: Duration) -> Vec<Result<SendResult>> {
        let count = messages.len();
        let parcel = match (count, messages.pop()) {
            (1, Some(only)) => Parcel::single(only, &self.packing, &self.client),
            (_, last) => {
                messages.extend(last);
                Parcel::batch(messages, &self.packing, &self.client)
            }
        };
        let sent = match parcel {
            Ok(parcel) => {
                let patience = Patience { timeout, while_moving: false };
                let mut journey = self.journey(parcel, patience);
                let sent = async {
                    // Taken while the producer was open: what waits when it ends is sent.
                    self.set_out(&mut journey, patience).await?;
                    self.go(&mut journey).await
                };
                sent.await.map_err(|error| journey.failed(error))
            }
            Err(error) => Err(error),
        };
        match sent {
            Ok(sent) => sent.split(count).into_iter().map(Ok).collect(),
            Err(error) => {
                let plain = error.clone().with_unsent(Vec::new());
                let mut unsent = error.into_unsent().into_iter();
                let with_own = |_| Err(plain.clone().with_unsent(unsent.next().into_iter().collect()));
                (0..count).map(with_own).collect()
            }
        }
    }
}
