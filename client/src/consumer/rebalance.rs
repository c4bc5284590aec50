//! The keeper of a consumer: divides queues, stores offsets, corrects and resets them.
//!
//! One task per consumer does all of it in turn, so that two writes of one queue's offset cannot overtake each
//! other, and a queue that was given up is not stored again. Renewing the locks of orderly consumption is a
//! task of its own, because a slow broker must not cost the locks of the others.
//!
//! ```text
//! give a queue up:  stop its pulling -> (orderly: its handler ends) -> store its offset -> void its hold
//!                   -> forget it -> (orderly: unlock)
//! take a queue:     (orderly: lock) -> find its offset -> hold -> pull
//! ```
//!
//! Java counterparts: `RebalanceImpl`, `RebalancePushImpl`, `RebalanceService`.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ferrocket_protocol::Text;
use ferrocket_protocol::body::message_queue::MessageQueue;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use super::offset_store::{Hold, Place};
use super::{Assigned, Consumer, Sink};
use crate::error::{Error, ErrorKind, Result};
use crate::events::Event;
use crate::message::RETRY_TOPIC_PREFIX;
use crate::message_ids::{as_millis, now_ms};
use crate::push_consumer::{ConsumeFromWhere, MessageModel};
use crate::validate::config;

/// First pause before another try when something was missing; doubles up to the usual interval.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause while another consumer has a queue locked, which may end at any moment.
const LOCK_PAUSE_MAX: Duration = Duration::from_secs(2);
/// How long giving a queue up waits for its orderly handler.
const HANDLER_WAIT: Duration = Duration::from_secs(1);
/// Time between two renewals of the locks, and before the first.
const LOCK_INTERVAL: Duration = Duration::from_secs(20);
const LOCK_FIRST: Duration = Duration::from_secs(1);

/// How often handlers are looked at within the time that they may take, but no more often than this.
const LOOKS: u32 = 16;
const LOOK_PAUSE_MIN: Duration = Duration::from_millis(10);

/// What others ask of the keeper.
#[derive(Debug)]
pub(crate) enum Command {
    /// The broker says that the offset of a queue is wrong: store this one and take the queue anew.
    Correct {
        /// The queue, no longer pulled.
        assigned: Arc<Assigned>,
        /// The offset that is right.
        offset: i64,
    },
    /// An administrator sets the offsets of a topic.
    Reset {
        /// The topic.
        topic: Text,
        /// The new offsets.
        offsets: Vec<(MessageQueue, i64)>,
    },
    /// The application wants a queue from this offset on.
    Seek {
        /// The queue.
        queue: MessageQueue,
        /// The offset to go on at.
        offset: i64,
        /// Told when it is pulled from there, or why not.
        done: oneshot::Sender<Result<()>>,
    },
    /// Divide the queues now.
    Divide {
        /// Told when that is through, complete or not.
        done: oneshot::Sender<()>,
    },
    /// Store what is pending for these queues, confirmed.
    Store {
        /// The queues; all if none are named.
        queues: Option<BTreeSet<MessageQueue>>,
        /// Told when that is through.
        done: oneshot::Sender<Result<()>>,
    },
}

/// Runs the keeper until the consumer stops.
pub(crate) async fn keep(consumer: Arc<Consumer>, commands: mpsc::Receiver<Command>) {
    tokio::select! {
        () = consumer.stop.raised() => {}
        () = keep_on(&consumer, commands) => {}
    }
}

async fn keep_on(consumer: &Arc<Consumer>, mut commands: mpsc::Receiver<Command>) {
    let settings = &consumer.settings;
    let every = |period: Duration| {
        let mut ticks = tokio::time::interval_at(Instant::now() + period, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    };
    let mut persist = every(settings.persist_interval);
    let mut look = every(pause_between_looks(settings.consume_timeout));
    // One at a time: two would give the same message back twice.
    let mut expiring: Option<JoinHandle<()>> = None;
    let mut retry_pause = RETRY_PAUSE;
    let mut next_division = Instant::now();
    loop {
        tokio::select! {
            biased;
            Some(command) = commands.recv() => match command {
                Command::Correct { assigned, offset } => consumer.correct(&assigned, offset).await,
                Command::Reset { topic, offsets } => consumer.reset(&topic, offsets).await,
                // Whoever asked may be gone.
                Command::Seek { queue, offset, done } => {
                    let _ = done.send(consumer.seek(&queue, offset));
                },
                Command::Divide { done } => {
                    if !consumer.rebalance().await {
                        consumer.wake.notify_one();
                    }
                    let _ = done.send(());
                }
                Command::Store { queues, done } => {
                    let mut pending = consumer.offsets.table().pending();
                    pending.retain(|(queue, _)| queues.as_ref().is_none_or(|wanted| wanted.contains(queue)));
                    let _ = done.send(consumer.store_offsets(pending).await);
                }
            },
            _ = persist.tick() => {
                let pending = consumer.offsets.table().pending();
                // What fails has been told, and is tried again with the next.
                let _ = consumer.store_offsets(pending).await;
            }
            () = consumer.wake.notified() => {
                retry_pause = RETRY_PAUSE;
                next_division = Instant::now();
            }
            () = tokio::time::sleep_until(next_division) => {
                consumer.locked_elsewhere.store(false, Ordering::Relaxed);
                let pause = match consumer.rebalance().await {
                    true => {
                        retry_pause = RETRY_PAUSE;
                        settings.rebalance_interval
                    }
                    false => {
                        let locked = consumer.locked_elsewhere.load(Ordering::Relaxed);
                        let pause = pause_before_retry(retry_pause, settings.rebalance_interval, locked);
                        retry_pause = retry_pause.saturating_mul(2);
                        pause
                    }
                };
                next_division = Instant::now() + pause;
                if let Sink::Poll(polls) = &consumer.sink {
                    polls.look_at_watched(consumer).await;
                }
            }
            _ = look.tick(), if matches!(consumer.sink, Sink::Push(_)) => {
                consumer.tell_of_slow_handlers();
                if expiring.as_ref().is_some_and(|last| !last.is_finished()) {
                    continue;
                }
                let consumer = Arc::clone(consumer);
                expiring = Some(tokio::spawn(async move {
                    let Sink::Push(pushed) = &consumer.sink else { return };
                    tokio::select! {
                        () = consumer.stop.raised() => {}
                        () = pushed.expire(&consumer) => {}
                    }
                }));
            }
        }
    }
}

/// The pause before queues that are missing are tried again; `locked` if another consumer has the lock on some.
fn pause_before_retry(pause: Duration, usual: Duration, locked: bool) -> Duration {
    let longest = if locked { LOCK_PAUSE_MAX.min(usual) } else { usual };
    pause.min(longest)
}

/// The pause between two looks for handlers that run for longer than `consume_timeout`.
fn pause_between_looks(consume_timeout: Duration) -> Duration {
    (consume_timeout / LOOKS).max(LOOK_PAUSE_MIN).min(consume_timeout)
}

/// Renews the broker's locks on all queues until the consumer stops.
pub(crate) async fn keep_locks(consumer: Arc<Consumer>) {
    let renewals = async {
        let mut ticks = tokio::time::interval_at(Instant::now() + LOCK_FIRST, LOCK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            consumer.renew_locks().await;
        }
    };
    tokio::select! {
        () = consumer.stop.raised() => {}
        () = renewals => {}
    }
}

/// Queues by the broker that they are locked at.
pub(crate) fn by_broker(
    queues: impl IntoIterator<Item = MessageQueue>,
) -> BTreeMap<Text, BTreeSet<MessageQueue>> {
    let mut brokers: BTreeMap<Text, BTreeSet<MessageQueue>> = BTreeMap::new();
    for queue in queues {
        brokers.entry(queue.broker_name.clone()).or_default().insert(queue);
    }
    brokers
}

/// Which of the queues at hand have to go, and which have to come. Pure.
#[derive(Debug, PartialEq, Eq)]
struct Division {
    release: Vec<MessageQueue>,
    take: Vec<MessageQueue>,
}

/// State of a queue at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct AtHand {
    /// No longer pulled, although it is still listed.
    dropped: bool,
    /// On its way to another offset; whoever corrects it releases it.
    correcting: bool,
    /// Not pulled for so long that something must be broken.
    idle: bool,
}

fn divide(at_hand: &BTreeMap<MessageQueue, AtHand>, assigned: &BTreeSet<MessageQueue>) -> Division {
    let release: Vec<MessageQueue> = at_hand
        .iter()
        .filter(|(queue, state)| {
            !assigned.contains(queue) || (!state.correcting && (state.dropped || state.idle))
        })
        .map(|(queue, _)| queue.clone())
        .collect();
    let take = assigned
        .iter()
        .filter(|queue| !at_hand.contains_key(queue) || release.contains(queue))
        .cloned()
        .collect();
    Division { release, take }
}

/// Where a group without a stored offset begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begin {
    Zero,
    Max,
    Time,
}

fn begin(from: ConsumeFromWhere, is_retry: bool) -> Begin {
    match from {
        ConsumeFromWhere::FirstOffset => Begin::Zero,
        // Java: what is to be consumed again was stored after the group began.
        ConsumeFromWhere::Timestamp if is_retry => Begin::Max,
        ConsumeFromWhere::Timestamp => Begin::Time,
        _ if is_retry => Begin::Zero,
        _ => Begin::Max,
    }
}

impl Consumer {
    /// Divides the queues of all topics. Answers whether nothing was missing.
    async fn rebalance(self: &Arc<Self>) -> bool {
        if self.is_paused() {
            return true;
        }
        let (mut balanced, mut changed) = (true, Vec::new());
        let topics = self.topics();
        for topic in &topics {
            match self.rebalance_topic(topic).await {
                Ok((is_balanced, is_changed)) => {
                    balanced &= is_balanced;
                    if is_changed {
                        changed.push(topic.clone());
                    }
                }
                Err(error) => {
                    balanced = false;
                    if topic.starts_with(RETRY_TOPIC_PREFIX) {
                        tracing::debug!(group = %self.calls.group, %topic, %error, "queues cannot be divided");
                    } else {
                        tracing::warn!(group = %self.calls.group, %topic, %error, "queues cannot be divided");
                    }
                }
            }
        }
        let given_up: Vec<Arc<Assigned>> =
            self.queues().values().filter(|queue| !topics.contains(&queue.queue().topic)).cloned().collect();
        for queue in given_up {
            balanced &= self.give_up(&queue).await;
        }
        if !changed.is_empty() && matches!(self.sink, Sink::Push(_)) {
            self.announce(&changed).await;
        }
        balanced
    }

    /// Tells the brokers that subscriptions have a new version, as Java does after every change: brokers then
    /// compare what the members of the group say. Pulls carry the new version only afterwards.
    async fn announce(&self, topics: &[Text]) {
        let version = now_ms();
        for topic in topics {
            if let Some(subscription) = self.subscriptions().get_mut(topic) {
                subscription.data.sub_version = version.max(subscription.data.sub_version);
            }
        }
        self.calls.client.heartbeat().await;
        for topic in topics {
            if let Some(subscription) = self.subscriptions().get_mut(topic) {
                subscription.pull_version = subscription.data.sub_version;
            }
        }
    }

    /// Answers whether nothing was missing, and whether anything changed.
    async fn rebalance_topic(self: &Arc<Self>, topic: &Text) -> Result<(bool, bool)> {
        let mut queues = self.calls.client.route(topic).await?.subscribe_queues().to_vec();
        queues.sort();
        let chosen = self.by_hand().as_ref().map(|chosen| {
            chosen.iter().filter(|queue| queue.topic == *topic).cloned().collect::<BTreeSet<_>>()
        });
        let (assigned, mut balanced) = match chosen {
            Some(chosen) => (chosen, true),
            None => self.share(topic, &queues).await?,
        };
        let at_hand: BTreeMap<MessageQueue, AtHand> = {
            let now = now_ms();
            let table = self.queues();
            let of_topic = table.iter().filter(|(queue, _)| queue.topic == *topic);
            of_topic.map(|(queue, assigned)| (queue.clone(), assigned.at_hand(now))).collect()
        };
        let Division { release, take } = divide(&at_hand, &assigned);
        let mut changed = false;
        for queue in release {
            let Some(assigned) = self.queues().get(&queue).cloned() else { continue };
            let released = self.give_up(&assigned).await;
            balanced &= released;
            changed |= released;
        }
        // A broker that does not answer once is not asked about its other queues in this round.
        let mut silent = BTreeSet::new();
        for queue in take {
            if self.queues().contains_key(&queue) || silent.contains(&queue.broker_name) {
                balanced = false;
                continue;
            }
            match self.take(&queue).await {
                Ok(true) => changed = true,
                Ok(false) => balanced = false,
                Err(error) => {
                    tracing::warn!(group = %self.calls.group, %queue, %error, "the queue cannot be taken yet");
                    silent.insert(queue.broker_name.clone());
                    balanced = false;
                }
            }
        }
        if changed {
            self.tell(topic, &queues);
        }
        Ok((balanced, changed))
    }

    /// The share of a topic's sorted queues that should be ours, and whether the broker that was asked for the
    /// group's members knows us: before that there is no share.
    pub(crate) async fn share(
        &self,
        topic: &Text,
        queues: &[MessageQueue],
    ) -> Result<(BTreeSet<MessageQueue>, bool)> {
        if self.settings.message_model == MessageModel::Broadcasting {
            return Ok((queues.iter().cloned().collect(), true));
        }
        let mut ids = self.calls.consumer_ids(topic).await?;
        ids.sort();
        let known = ids.iter().any(|id| id == self.calls.client.client_id());
        if !known {
            self.calls.client.want_heartbeat();
        }
        let strategy = &self.settings.strategy;
        let share = strategy.allocate(&self.calls.group, self.calls.client.client_id(), queues, &ids);
        let share = share.map_err(|error| {
            let name = strategy.name();
            config(format!("strategy {name} refuses: {error}")).with_source(error)
        })?;
        // A strategy of listed queues may have their bare names.
        let client = &self.calls.client;
        Ok((share.iter().map(|queue| client.wired_queue(queue).into_owned()).collect(), known))
    }

    /// Tells the application what is ours of a topic's queues now.
    fn tell(&self, topic: &Text, all: &[MessageQueue]) {
        let client = &self.calls.client;
        let bare_topic = client.unwrapped(topic);
        let mine = client.bare_queues(self.queues().keys().filter(|queue| queue.topic == *topic));
        client.tell(|| {
            let (group, topic) = (self.calls.group.to_string(), bare_topic.to_string());
            Event::Rebalanced { group, topic, queues: mine.clone() }
        });
        let Some(listener) = &self.settings.queue_listener else { return };
        let all = client.bare_queues(all);
        if catch_unwind(AssertUnwindSafe(|| listener(&bare_topic, &all, &mine))).is_err() {
            tracing::error!(group = %self.calls.group, %topic, "the message queue listener panicked");
        }
    }

    /// Tells the application of handlers and deliveries that take longer than they may, once of each.
    fn tell_of_slow_handlers(&self) {
        let timeout = self.settings.consume_timeout;
        let timeout_ms = as_millis(timeout);
        let queues: Vec<Arc<Assigned>> = self.queues().values().cloned().collect();
        for assigned in queues {
            for msg_id in assigned.process().slow(timeout_ms, now_ms()) {
                self.calls.client.tell(|| Event::SlowHandler {
                    group: self.calls.group.to_string(),
                    queue: self.calls.client.bare_queue(assigned.queue()),
                    msg_id: msg_id.to_string(),
                    timeout,
                });
            }
        }
    }

    /// Takes a queue and pulls it. Answers false if another consumer has it locked still.
    async fn take(self: &Arc<Self>, queue: &MessageQueue) -> Result<bool> {
        if self.is_locking() {
            self.locks().insert(queue.clone());
            let locked = self.calls.lock(BTreeSet::from([queue.clone()])).await?;
            if !locked.contains(queue) {
                self.locks().remove(queue);
                self.locked_elsewhere.store(true, Ordering::Relaxed);
                tracing::info!(group = %self.calls.group, %queue, "the queue is locked by another consumer still");
                return Ok(false);
            }
        }
        let (stored, offset) = match self.first_offset(queue).await {
            Ok(found) => found,
            Err(error) => {
                // It may be another's with the next division.
                self.unlock(queue).await;
                return Err(error);
            }
        };
        self.begin(queue, stored, offset, false);
        Ok(true)
    }

    /// The stored offset of a queue, and the one to begin at.
    async fn first_offset(&self, queue: &MessageQueue) -> Result<(Option<i64>, i64)> {
        let stored = self.stored_offset(queue).await?;
        let offset = match stored {
            Some(offset) => offset,
            None => {
                let is_retry = queue.topic.starts_with(RETRY_TOPIC_PREFIX);
                match begin(self.settings.consume_from_where, is_retry) {
                    Begin::Zero => 0,
                    Begin::Max => self.calls.max_offset(queue).await?,
                    Begin::Time => {
                        self.calls.search_offset(queue, self.settings.consume_timestamp_ms).await?
                    }
                }
            }
        };
        Ok((stored, offset))
    }

    /// Gives the lock on a queue back, if there is one.
    async fn unlock(&self, queue: &MessageQueue) {
        if !self.is_locking() {
            return;
        }
        match self.calls.unlock(BTreeSet::from([queue.clone()])).await {
            Ok(()) => drop(self.locks().remove(queue)),
            Err(error) => {
                tracing::info!(group = %self.calls.group, %queue, %error, "the lock is not given back, it runs out");
            }
        }
    }

    /// Pulls a queue from an offset on. Only the keeper calls it.
    fn begin(self: &Arc<Self>, queue: &MessageQueue, stored: Option<i64>, offset: i64, paused: bool) -> Hold {
        let hold = self.offsets.table().hold(queue.clone());
        if let Some(offset) = stored {
            self.offsets.table().advance(&hold, offset);
        }
        let assigned = Arc::new(Assigned::new(hold.clone(), now_ms()));
        assigned.paused.store(paused, Ordering::Relaxed);
        if self.is_locking() {
            assigned.process().lock(now_ms());
        }
        self.queues().insert(queue.clone(), Arc::clone(&assigned));
        tracing::info!(group = %self.calls.group, %queue, offset, "the queue is ours");
        tokio::spawn(self.pull(assigned, offset));
        hold
    }

    /// Pulls a queue that is ours from another offset on; what is in memory is thrown away, and what is stored
    /// stays until the application commits.
    fn seek(self: &Arc<Self>, queue: &MessageQueue, offset: i64) -> Result<()> {
        let known = self.queues().get(queue).cloned();
        let Some(assigned) = known.filter(|_| !self.stop.is_raised()) else {
            let queue = self.calls.client.bare_queue(queue);
            return Err(config(format!(
                "the message queue is not in the assigned list, it may have gone: {queue}"
            )));
        };
        assigned.process().drop_and_clear();
        assigned.gone.raise();
        let stored = self.offsets.table().get(queue);
        let hold = self.begin(queue, stored, offset, assigned.is_paused());
        if let Sink::Poll(polls) = &self.sink {
            polls.passed(&hold, offset);
        }
        Ok(())
    }

    /// Gives a queue up. Answers false if its orderly handler still runs: then it is tried again.
    async fn give_up(self: &Arc<Self>, assigned: &Arc<Assigned>) -> bool {
        let queue = assigned.queue();
        assigned.process().drop_queue();
        assigned.gone.raise();
        if self.is_locking() && !assigned.handler_ended(HANDLER_WAIT).await {
            tracing::warn!(group = %self.calls.group, %queue, "the queue is given up once its handler answers");
            assigned.process().note_unlock_refused();
            return false;
        }
        assigned.pulled.raised().await;
        // Stored before it is void: whoever stops us in between stores what is still pending.
        let pending = self.offsets.table().get(queue);
        if let Some(offset) = pending {
            // What fails has been told, and comes again.
            let _ = self.store_offsets(vec![(queue.clone(), offset)]).await;
        }
        let last = self.offsets.table().revoke(&assigned.hold);
        if let Some(offset) = last.filter(|_| last != pending) {
            // What fails has been told, and comes again.
            let _ = self.store_offsets(vec![(queue.clone(), offset)]).await;
        }
        self.forget(assigned).await;
        true
    }

    /// Takes a released queue out of the list and gives its lock back.
    ///
    /// Java waits 20 s with the lock when messages are left in memory. Here no handler runs any more and the
    /// offset is stored, so the next consumer can go on at once.
    async fn forget(&self, assigned: &Arc<Assigned>) {
        let queue = assigned.queue();
        {
            let mut table = self.queues();
            if table.get(queue).is_some_and(|known| Arc::ptr_eq(known, assigned)) {
                table.remove(queue);
            }
        }
        // Whatever waits for a handler still would keep its messages in memory.
        assigned.process().drop_and_clear();
        tracing::info!(group = %self.calls.group, %queue, "the queue is given up");
        self.unlock(queue).await;
    }

    /// Stores another offset for a queue and takes it anew.
    async fn correct(self: &Arc<Self>, assigned: &Arc<Assigned>, offset: i64) {
        {
            let mut table = self.offsets.table();
            if !table.is_held(&assigned.hold) {
                return;
            }
            table.revoke(&assigned.hold);
        }
        assigned.process().drop_queue();
        assigned.gone.raise();
        assigned.pulled.raised().await;
        // What fails has been told; the pull that follows finds the offset wrong again.
        let _ = self.store_offsets(vec![(assigned.queue().clone(), offset)]).await;
        self.forget(assigned).await;
        self.wake.notify_one();
    }

    /// Moves the offsets of queues that are ours; messages in memory are thrown away.
    ///
    /// Java waits 10 s for running handlers. Here their commits are void as soon as the queue is released. A queue
    /// that should be ours and is not taken yet is taken first: Java forgets a reset that comes before.
    async fn reset(self: &Arc<Self>, topic: &Text, offsets: Vec<(MessageQueue, i64)>) {
        let is_missing = |(queue, _): &(MessageQueue, i64)| !self.queues().contains_key(queue);
        if offsets.iter().any(is_missing) && !self.rebalance().await {
            self.wake.notify_one();
        }
        for (queue, offset) in offsets {
            let assigned = self.queues().get(&queue).cloned();
            let Some(assigned) = assigned.filter(|_| queue.topic == *topic) else { continue };
            assigned.process().drop_and_clear();
            tracing::info!(group = %self.calls.group, %queue, offset, "the offset is reset");
            self.correct(&assigned, offset).await;
        }
    }

    /// The group's stored offset of a queue.
    pub(crate) async fn stored_offset(&self, queue: &MessageQueue) -> Result<Option<i64>> {
        match self.offsets.place() {
            Place::Broker => self.calls.query_offset(queue).await,
            Place::File(file) => Ok(file.read().await?.get(queue).copied()),
        }
    }

    /// Writes offsets down, each confirmed, after all that were to be written before. A caller that stops does not
    /// end what has begun: a Broker of many threads could carry it out after what is written next, and a file has one
    /// writer. Only the keeper calls it, or the shutdown after it, or a program that keeps its own offsets in a file.
    pub(crate) async fn store_offsets(self: &Arc<Self>, pending: Vec<(MessageQueue, i64)>) -> Result<()> {
        // Never closed, so there is always a permit in the end.
        let turn = Arc::clone(&self.storing_turn).acquire_owned().await.ok();
        let consumer = Arc::clone(self);
        let stored = tokio::spawn(async move {
            let stored = consumer.write_offsets(pending).await;
            drop(turn);
            stored
        });
        stored.await.unwrap_or_else(|error| Err(Error::new(ErrorKind::Internal, error.to_string())))
    }

    /// What fails is worth a line; answers the first failure.
    async fn write_offsets(&self, pending: Vec<(MessageQueue, i64)>) -> Result<()> {
        let mut failure = Ok(());
        match self.offsets.place() {
            Place::Broker => {
                let mut silent = BTreeSet::new();
                for (queue, offset) in pending {
                    if silent.contains(&queue.broker_name) {
                        continue;
                    }
                    if let Err(error) = self.calls.update_offset(&queue, offset).await {
                        tracing::warn!(group = %self.calls.group, %queue, offset, %error, "the offset is not stored");
                        if error.kind() != ErrorKind::Broker {
                            silent.insert(queue.broker_name);
                        }
                        failure = failure.and(Err(error));
                    }
                }
            }
            Place::File(file) => {
                if !pending.is_empty()
                    && let Err(error) = file.write(pending).await
                {
                    tracing::warn!(group = %self.calls.group, %error, "offsets are not stored");
                    failure = Err(error);
                }
            }
        }
        failure
    }

    /// Asks every broker to lock our queues on it again. What is refused is not consumed until it is granted.
    async fn renew_locks(&self) {
        let queues: Vec<MessageQueue> = self.queues().keys().cloned().collect();
        for (broker, mut queues) in by_broker(queues) {
            // One that was given up while another broker was asked must not be locked again.
            queues.retain(|queue| self.queues().contains_key(queue));
            let asked_ms = now_ms();
            let locked = match self.calls.lock(queues.clone()).await {
                Ok(locked) => locked,
                Err(error) => {
                    tracing::warn!(group = %self.calls.group, %broker, %error, "locks are not renewed");
                    continue;
                }
            };
            for queue in queues {
                let Some(assigned) = self.queues().get(&queue).cloned() else { continue };
                if locked.contains(&queue) {
                    // From the question on, not from the answer: the lease must not seem longer than it is.
                    assigned.process().lock(asked_ms);
                } else {
                    tracing::warn!(group = %self.calls.group, %queue, "the lock is lost");
                    assigned.process().unlock();
                }
            }
        }
    }
}

impl Assigned {
    fn at_hand(&self, now_ms: i64) -> AtHand {
        let process = self.process();
        AtHand {
            dropped: process.is_dropped(),
            correcting: self.correcting.load(Ordering::Acquire),
            idle: process.is_pull_idle(now_ms),
        }
    }

    /// Waits until no orderly handler runs; false if one still does after `wait`.
    async fn handler_ended(&self, wait: Duration) -> bool {
        let ended = async {
            loop {
                let handled = self.handled.notified();
                if !self.process().is_handling() {
                    return;
                }
                handled.await;
            }
        };
        tokio::time::timeout(wait, ended).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(id: i32) -> MessageQueue {
        MessageQueue::new("T", "broker-a", id)
    }

    const WELL: AtHand = AtHand { dropped: false, correcting: false, idle: false };

    /// Foreign and broken queues go, missing and broken ones come, those being corrected stay while they
    /// are ours.
    #[test]
    fn divisions_release_and_take() {
        let at_hand = BTreeMap::from([
            (queue(0), WELL),
            (queue(1), AtHand { dropped: true, ..WELL }),
            (queue(2), AtHand { idle: true, ..WELL }),
            (queue(3), AtHand { dropped: true, correcting: true, ..WELL }),
            (queue(4), WELL),
            (queue(5), AtHand { dropped: true, correcting: true, ..WELL }),
        ]);
        let assigned = [0, 1, 2, 3, 6].map(queue).into_iter().collect();
        let division = divide(&at_hand, &assigned);
        assert_eq!(division.release, [1, 2, 4, 5].map(queue));
        assert_eq!(division.take, [1, 2, 6].map(queue));
    }

    /// What is missing is tried again less and less often, but a lock that another may lose at any moment every two
    /// seconds.
    #[test]
    fn locked_queues_are_tried_often() {
        let usual = Duration::from_secs(20);
        let pauses = |locked| {
            [1, 2, 4, 64].map(|s| pause_before_retry(Duration::from_secs(s), usual, locked).as_secs())
        };
        assert_eq!((pauses(false), pauses(true)), ([1, 2, 4, 20], [1, 2, 2, 2]));
        let short = Duration::from_millis(500);
        assert_eq!(pause_before_retry(RETRY_PAUSE, short, true), short);
    }

    /// Whoever takes too long is found soon, at less cost the longer it may take.
    #[test]
    fn handlers_are_looked_at_often_enough() {
        let ms = Duration::from_millis;
        for (timeout, pause) in [(900_000, 56_250), (16_000, 1_000), (100, 10), (10, 10), (1, 1)] {
            assert_eq!(pause_between_looks(ms(timeout)), ms(pause));
        }
    }

    /// Where a new group begins, retry topics included.
    #[test]
    fn beginnings_as_in_java() {
        use ConsumeFromWhere::{FirstOffset, LastOffset, MinOffset, Timestamp};
        for (from, topic, retry) in [
            (LastOffset, Begin::Max, Begin::Zero),
            (MinOffset, Begin::Max, Begin::Zero),
            (FirstOffset, Begin::Zero, Begin::Zero),
            (Timestamp, Begin::Time, Begin::Max),
        ] {
            assert_eq!((begin(from, false), begin(from, true)), (topic, retry));
        }
    }
}
