//! A consumer whose listener is called as messages arrive.
//!
//! ```text
//! builder.rs        settings, and the start
//! listener.rs       what the application does with messages
//! rebalance.rs      keeper task: divides queues, persists offsets, corrects and resets them
//! pull.rs           one task per queue: pull -> process queue -> work
//! concurrent.rs     work of any order: handle, send back what failed, commit
//! orderly.rs        work in order, one run per queue at a time
//! workers.rs        runs work, `concurrency` pieces at once
//! ```
//!
//! Leaves out the POP mode of 5.x, SQL filters.
//! Java counterparts: `DefaultMQPushConsumer`, `DefaultMQPushConsumerImpl`.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferrocket_protocol::Text;
use ferrocket_protocol::body::heartbeat::SubscriptionData;
use ferrocket_protocol::body::message_queue::MessageQueue;
use tokio::sync::{Notify, OnceCell, mpsc};
use tokio::task::JoinHandle;

use crate::error::{Error, ErrorKind, Result};
use crate::message_ids::now_ms;
use crate::offset_store::{Hold, OffsetStore};
use crate::process_queue::{ProcessQueue, Thresholds};
use crate::rebalance::{Command, by_broker};
use crate::trace::ConsumeReturnType;
use crate::validate::check_topic;

mod builder;
mod calls;
mod concurrent;
mod listener;
mod orderly;
mod pull;
mod registered;
mod signal;
mod stats;
mod workers;

pub use builder::PushConsumerBuilder;
use builder::Settings;
use calls::Calls;
use listener::Listener;
pub(crate) use listener::catch_panic;
pub use listener::{
    ConsumeOrderlyResult, ConsumeResult, MessageListenerConcurrently, MessageListenerOrderly,
};
use signal::Signal;
use stats::{Event, Stats};
use workers::Workers;

pub use ferrocket_protocol::body::heartbeat::{ConsumeFromWhere, MessageModel};

/// Java's `maxReconsumeTimes` of -1 for concurrent consumption.
const RECONSUME_TIMES_MAX: i32 = 16;

/// A running push consumer. Cheap to clone.
///
/// Dropping it does not stop it: [`PushConsumer::shutdown`] or [`shutdown`](crate::Client::shutdown) of its client does.
#[derive(Clone)]
pub struct PushConsumer {
    consumer: Arc<Consumer>,
}

impl PushConsumer {
    /// The group.
    pub fn group(&self) -> &str {
        &self.consumer.calls.group
    }

    /// The queues this consumer holds at the moment, ordered by topic, broker and number.
    pub fn queues(&self) -> Vec<MessageQueue> {
        self.consumer.queues().keys().cloned().collect()
    }

    /// Subscribes to another topic, or to the same by another expression (see
    /// [`PushConsumerBuilder::subscribe`]).
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a topic name or an expression that cannot work.
    pub async fn subscribe(&self, topic: &str, expression: &str) -> Result<()> {
        let subscription = Subscription::new(topic, expression, now_ms())?;
        self.consumer.subscriptions().insert(topic.into(), subscription);
        self.consumer.calls.client.heartbeat().await;
        self.consumer.wake.notify_one();
        Ok(())
    }

    /// Gives a topic up; its queues are released with the next division, which follows at once.
    pub fn unsubscribe(&self, topic: &str) {
        self.consumer.subscriptions().remove(topic);
        self.consumer.wake.notify_one();
    }

    /// Stops pulling; messages in memory are still handled. Java: `suspend`.
    pub fn suspend(&self) {
        self.consumer.paused.store(true, Ordering::Relaxed);
    }

    /// Pulls again. Java: `resume`.
    pub fn resume(&self) {
        self.consumer.paused.store(false, Ordering::Relaxed);
        self.consumer.wake.notify_one();
    }

    /// Stops pulling, lets running handlers finish (up to
    /// [`await_termination_when_shutdown`](PushConsumerBuilder::await_termination_when_shutdown)), stores the
    /// offsets, gives locks back and unregisters. Further calls wait for the first.
    pub async fn shutdown(&self) {
        self.consumer.shutdown().await;
    }
}

impl fmt::Debug for PushConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushConsumer").field("group", &self.group()).finish_non_exhaustive()
    }
}

fn config(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, text)
}

/// What the group wants of one topic.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    /// As heartbeats announce it.
    pub(crate) data: SubscriptionData,
    /// The version that all brokers have heard of: a pull with a newer one than its broker's is refused.
    pub(crate) pull_version: i64,
}

impl Subscription {
    fn new(topic: &str, expression: &str, now_ms: i64) -> Result<Self> {
        check_topic(topic)?;
        let data = SubscriptionData::tags(topic, expression, now_ms)
            .ok_or_else(|| config(format!("subscription {expression:?} of topic {topic} names no tag")))?;
        Ok(Self { data, pull_version: now_ms })
    }
}

/// One queue that is ours.
#[derive(Debug)]
pub(crate) struct Assigned {
    /// The right to commit its offset.
    pub(crate) hold: Hold,
    /// Guards one step of the process queue; no lock is taken while it is held.
    process: Mutex<ProcessQueue>,
    /// Raised when pulling has to end.
    pub(crate) gone: Signal,
    /// Told when a handler has answered.
    pub(crate) handled: Notify,
    /// Its offset is being corrected; the keeper releases it when that is through.
    pub(crate) correcting: AtomicBool,
}

impl Assigned {
    pub(crate) fn new(hold: Hold, now_ms: i64) -> Self {
        Self {
            hold,
            process: Mutex::new(ProcessQueue::new(now_ms)),
            gone: Signal::default(),
            handled: Notify::new(),
            correcting: AtomicBool::new(false),
        }
    }

    pub(crate) fn queue(&self) -> &MessageQueue {
        self.hold.queue()
    }

    pub(crate) fn process(&self) -> MutexGuard<'_, ProcessQueue> {
        // Every step leaves the queue whole.
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A piece of work for a handler: a run of messages, or for orderly listeners whatever the queue holds.
struct Work {
    assigned: Arc<Assigned>,
    /// Concurrent: the offsets of the run.
    offsets: Vec<i64>,
}

/// The consumer itself, shared by its tasks.
pub(crate) struct Consumer {
    pub(crate) calls: Calls,
    pub(crate) settings: Settings,
    pub(crate) listener: Listener,
    /// Subscriptions by topic. Held for one look-up or change.
    subscriptions: Mutex<BTreeMap<Text, Subscription>>,
    /// The queues that are ours. Changed by the keeper and by the shutdown after it; held for one step.
    queues: Mutex<BTreeMap<MessageQueue, Arc<Assigned>>>,
    pub(crate) offsets: OffsetStore,
    workers: Workers<Work>,
    stats: Mutex<Stats>,
    /// To the keeper, which alone touches stored offsets.
    commands: mpsc::Sender<Command>,
    /// Asks the keeper to divide the queues now.
    pub(crate) wake: Notify,
    /// Raised when everything has to end.
    pub(crate) stop: Signal,
    paused: AtomicBool,
    started_ms: i64,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    /// Set when the shutdown is through.
    ended: OnceCell<()>,
}

impl Consumer {
    pub(crate) fn subscriptions(&self) -> MutexGuard<'_, BTreeMap<Text, Subscription>> {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn queues(&self) -> MutexGuard<'_, BTreeMap<MessageQueue, Arc<Assigned>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn topics(&self) -> Vec<Text> {
        self.subscriptions().keys().cloned().collect()
    }

    fn count(&self, topic: &Text, event: Event) {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner).count(topic, event, now_ms());
    }

    /// How a listener's call is told of in traces.
    fn return_type(&self, success: bool, failed: bool, ms: u64) -> ConsumeReturnType {
        if failed {
            ConsumeReturnType::Exception
        } else if u128::from(ms) >= self.settings.consume_timeout.as_millis() {
            ConsumeReturnType::TimeOut
        } else if success {
            ConsumeReturnType::Success
        } else {
            ConsumeReturnType::Failed
        }
    }

    pub(crate) fn is_clustering(&self) -> bool {
        self.settings.message_model == MessageModel::Clustering
    }

    /// Whether queues have to be locked at the broker. Java locks in broadcasting, too, where the consumers
    /// then take the queues from each other.
    pub(crate) fn is_locking(&self) -> bool {
        self.listener.is_orderly() && self.is_clustering()
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    /// Sends the keeper a command. It never waits; a keeper that far behind gets no more.
    pub(crate) fn command(&self, command: Command) {
        if let Err(error) = self.commands.try_send(command) {
            tracing::warn!(group = %self.calls.group, %error, "the consumer is too busy for a correction of offsets");
        }
    }

    /// The greatest number of attempts that brokers are told for concurrent consumption.
    pub(crate) fn reconsume_times_max(&self) -> i32 {
        self.settings.max_reconsume_times.unwrap_or(RECONSUME_TIMES_MAX)
    }

    /// The thresholds of one queue, given how many there are.
    fn thresholds(&self) -> Thresholds {
        let settings = &self.settings;
        let share = |whole: Option<usize>, own: usize| match whole {
            Some(whole) => (whole / self.queues().len().max(1)).max(1),
            None => own,
        };
        let span = settings.consume_concurrently_max_span;
        Thresholds {
            count: share(settings.pull_threshold_for_topic, settings.pull_threshold_for_queue),
            size_mib: share(settings.pull_threshold_size_for_topic, settings.pull_threshold_size_for_queue),
            span: (!self.listener.is_orderly()).then_some(span),
        }
    }

    /// Starts what has to be done with a pull's messages.
    fn submit(self: &Arc<Self>, assigned: &Arc<Assigned>, fresh: &[i64], start: bool) {
        match self.listener {
            Listener::Concurrently(_) => concurrent::submit(self, assigned, fresh),
            Listener::Orderly(_) if start => orderly::submit(self, assigned),
            Listener::Orderly(_) => {}
        }
    }

    fn work(self: &Arc<Self>, jobs: impl IntoIterator<Item = Work>) {
        let consumer = Arc::clone(self);
        self.workers.submit(jobs, move |Work { assigned, offsets }| {
            let consumer = Arc::clone(&consumer);
            async move {
                match &consumer.listener {
                    Listener::Concurrently(listener) => {
                        concurrent::handle(&consumer, &**listener, &assigned, &offsets).await;
                    }
                    Listener::Orderly(listener) => orderly::run(&consumer, &**listener, &assigned).await,
                }
            }
        });
    }

    /// Pulls a queue until it is gone.
    pub(crate) fn pull(
        self: &Arc<Self>,
        assigned: Arc<Assigned>,
        offset: i64,
    ) -> impl Future<Output = ()> + Send + 'static {
        pull::run(Arc::clone(self), assigned, offset)
    }

    /// Gives messages back to the broker whose handlers run for too long.
    pub(crate) async fn expire(&self) {
        concurrent::expire(self).await;
    }

    /// See [`PushConsumer::shutdown`].
    pub(crate) async fn shutdown(&self) {
        self.ended
            .get_or_init(|| async {
                self.stop.raise();
                // First of all: a worker that is done must not begin something else.
                self.workers.close();
                let tasks =
                    std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
                for task in tasks {
                    if let Err(error) = task.await {
                        tracing::error!(group = %self.calls.group, %error, "a task of the consumer failed");
                    }
                }
                let assigned: Vec<Arc<Assigned>> = self.queues().values().cloned().collect();
                for queue in &assigned {
                    queue.gone.raise();
                }
                let wait = self.settings.await_termination;
                if tokio::time::timeout(wait, self.workers.idle()).await.is_err() {
                    tracing::warn!(group = %self.calls.group, "handlers still run {wait:?} after the shutdown began; their messages will come again");
                }
                self.release_all(assigned).await;
                self.calls.client.unregister_consumer(&self.calls.group).await;
                tracing::info!(group = %self.calls.group, "consumer ended");
            })
            .await;
    }

    /// Stores all offsets a last time, then gives all locks back: who gets a queue next must find its offset.
    async fn release_all(&self, assigned: Vec<Arc<Assigned>>) {
        for queue in &assigned {
            queue.process().drop_queue();
        }
        let pending = {
            let mut table = self.offsets.table();
            let pending = table.pending();
            for queue in &assigned {
                table.revoke(&queue.hold);
            }
            pending
        };
        self.store_offsets(pending, true).await;
        self.queues().clear();
        if self.is_locking() {
            for (broker, queues) in by_broker(assigned.iter().map(|queue| queue.queue().clone())) {
                if let Err(error) = self.calls.unlock(queues).await {
                    tracing::info!(group = %self.calls.group, %broker, %error, "locks are not given back, they run out");
                }
            }
        }
    }
}
