//! The consumer behind every kind of consumer: what is subscribed to, which queues are held, how far they are.
//!
//! ```text
//! rebalance.rs      keeper task: divides queues, persists offsets, corrects, resets and seeks
//! pull.rs           one task per queue: pull -> process queue -> where messages go
//! process_queue.rs  what was fetched of one queue and not yet committed
//! offset_store.rs   how far each queue is, and where that is kept
//! calls.rs          what is asked of brokers
//! registered.rs     the consumer as the client core and brokers see it
//! ```
//!
//! Who hands messages to the application is in [`Sink`]: listeners, a stream of deliveries, or polls.
//! Java counterparts: what `DefaultMQPushConsumerImpl` and `DefaultLitePullConsumerImpl` have in common.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferrocket_protocol::Text;
use ferrocket_protocol::body::heartbeat::{ConsumeType, MessageModel, SubscriptionData};
use ferrocket_protocol::body::message_queue::MessageQueue;
use tokio::runtime::Handle;
use tokio::sync::{Notify, OnceCell, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::client::Client;
use crate::error::{Error, Result};
use crate::lite_pull_consumer::Polls;
use crate::message::RETRY_TOPIC_PREFIX;
use crate::message_ids::now_ms;
use crate::push_consumer::Pushed;
use crate::selector::MessageSelector;
use crate::validate::{check_group, check_topic, config};

mod bell;
pub(crate) mod calls;
mod handle;
mod offset_store;
mod process_queue;
mod pull;
mod rebalance;
mod registered;
mod settings;
mod signal;
pub(crate) mod stats;

pub(crate) use bell::Bell;
pub(crate) use calls::Calls;
pub(crate) use handle::ConsumerHandle;
pub(crate) use offset_store::Hold;
use offset_store::{OffsetFile, OffsetStore, Place};
pub(crate) use process_queue::ProcessQueue;
use process_queue::Thresholds;
pub(crate) use pull::read;
pub(crate) use rebalance::Command;
use rebalance::by_broker;
use registered::Registered;
pub(crate) use settings::{Settings, consumer_settings};
pub(crate) use signal::Signal;
use stats::{Event, Stats};

/// Commands that wait for the keeper at most.
const COMMANDS_MAX: usize = 256;
/// Java's `maxReconsumeTimes` of -1 for concurrent consumption.
const RECONSUME_TIMES_MAX: i32 = 16;

/// What the group wants of one topic.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    /// As heartbeats announce it.
    pub(crate) data: SubscriptionData,
    /// The version that all brokers have heard of: a pull with a newer one than its broker's is refused.
    pub(crate) pull_version: i64,
}

impl Subscription {
    pub(crate) fn new(topic: &str, selector: &MessageSelector, now_ms: i64) -> Result<Self> {
        check_topic(topic)?;
        Ok(Self { data: selector.subscription(topic, now_ms)?, pull_version: now_ms })
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
    /// Raised when pulling has ended.
    pulled: Signal,
    /// Told when a handler has answered, or pulling may go on.
    pub(crate) handled: Notify,
    /// Its offset is being corrected; the keeper releases it when that is through.
    pub(crate) correcting: AtomicBool,
    /// The application does not want its messages for now.
    pub(crate) paused: AtomicBool,
}

impl Assigned {
    pub(crate) fn new(hold: Hold, now_ms: i64) -> Self {
        Self {
            hold,
            process: Mutex::new(ProcessQueue::new(now_ms)),
            gone: Signal::default(),
            pulled: Signal::default(),
            handled: Notify::new(),
            correcting: AtomicBool::new(false),
            paused: AtomicBool::new(false),
        }
    }

    pub(crate) fn queue(&self) -> &MessageQueue {
        self.hold.queue()
    }

    pub(crate) fn process(&self) -> MutexGuard<'_, ProcessQueue> {
        // Every step leaves the queue whole.
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }
}

/// Where messages go.
pub(crate) enum Sink {
    /// To a listener, or to whoever takes deliveries.
    Push(Pushed),
    /// They wait until the application asks for them.
    Poll(Polls),
}

/// The consumer itself, shared by its tasks.
pub(crate) struct Consumer {
    pub(crate) calls: Calls,
    pub(crate) settings: Settings,
    pub(crate) sink: Sink,
    /// Subscriptions by topic. Held for one look-up or change.
    subscriptions: Mutex<BTreeMap<Text, Subscription>>,
    /// The queues that the application chose instead of a share of its group. Held for one look-up or change.
    by_hand: Mutex<Option<BTreeSet<MessageQueue>>>,
    /// The queues that are ours. Changed by the keeper and by the shutdown after it; held for one step.
    queues: Mutex<BTreeMap<MessageQueue, Arc<Assigned>>>,
    /// Queues whose lock a broker may have given us, listed before it is asked: a keeper that is stopped while it
    /// takes or releases one must not leave it locked for a minute. Held for one look-up or change.
    locks: Mutex<BTreeSet<MessageQueue>>,
    /// Whether the last division found a queue that another consumer has locked.
    locked_elsewhere: AtomicBool,
    pub(crate) offsets: OffsetStore,
    /// One permit: see [`Consumer::store_offsets`].
    storing_turn: Arc<Semaphore>,
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

/// Ends a consumer whose start is given up: brokers may know it, and it would be a member that consumes nothing.
struct Starting(Option<Arc<Consumer>>, Handle);

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(consumer) = self.0.take() {
            self.1.spawn(async move { consumer.shutdown().await });
        }
    }
}

impl Consumer {
    /// Registers a consumer with the brokers and begins to pull.
    pub(crate) async fn start(
        client: &Client,
        group: Text,
        subscriptions: Vec<(String, MessageSelector)>,
        by_hand: Option<BTreeSet<MessageQueue>>,
        settings: Settings,
        sink: Sink,
    ) -> Result<Arc<Self>> {
        check_group(&group)?;
        let group = client.wrapped(&group);
        check_group(&group)?;
        settings.check()?;
        let now = now_ms();
        let calls = Calls::new(client.internal(), group.clone());
        let mut subscribed = BTreeMap::new();
        for (topic, selector) in &subscriptions {
            let topic = client.wrapped(topic);
            let subscription = Subscription::new(&topic, selector, now)?;
            subscribed.insert(topic, subscription);
        }
        let place = match settings.message_model {
            MessageModel::Broadcasting => Place::File(OffsetFile::open(client, &settings, &group).await?),
            _ => Place::Broker,
        };
        if matches!(sink, Sink::Push(_)) && matches!(place, Place::Broker) {
            let (topic, all) = (calls.retry_topic(), MessageSelector::all());
            subscribed.insert(topic.clone(), Subscription::new(&topic, &all, now)?);
        }
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        let consumer = Arc::new(Self {
            subscriptions: Mutex::new(subscribed),
            by_hand: Mutex::new(by_hand),
            queues: Mutex::default(),
            locks: Mutex::default(),
            locked_elsewhere: AtomicBool::new(false),
            offsets: OffsetStore::new(place),
            storing_turn: Arc::new(Semaphore::new(1)),
            stats: Mutex::default(),
            commands,
            wake: Notify::new(),
            stop: Signal::default(),
            paused: AtomicBool::new(false),
            started_ms: now,
            tasks: Mutex::default(),
            ended: OnceCell::new(),
            calls,
            settings,
            sink,
        });
        for topic in consumer.topics() {
            if let Err(error) = client.fetch_route(&topic, None).await
                && !topic.starts_with(RETRY_TOPIC_PREFIX)
            {
                tracing::warn!(%group, %topic, %error, "the topic cannot be consumed yet");
            }
        }
        let conditions: Vec<_> =
            consumer.subscriptions().values().map(|subscription| subscription.data.clone()).collect();
        for condition in conditions {
            consumer.calls.check_condition(&condition).await?;
        }
        client.register_consumer(Arc::new(Registered(Arc::clone(&consumer))))?;
        let mut starting = Starting(Some(Arc::clone(&consumer)), Handle::current());
        client.heartbeat().await;
        starting.0 = None;
        let mut tasks = vec![tokio::spawn(rebalance::keep(Arc::clone(&consumer), inbox))];
        if consumer.is_locking() {
            tasks.push(tokio::spawn(rebalance::keep_locks(Arc::clone(&consumer))));
        }
        consumer.tasks.lock().unwrap_or_else(PoisonError::into_inner).extend(tasks);
        tracing::info!(%group, client_id = client.client_id(), "consumer started");
        Ok(consumer)
    }

    pub(crate) fn subscriptions(&self) -> MutexGuard<'_, BTreeMap<Text, Subscription>> {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn queues(&self) -> MutexGuard<'_, BTreeMap<MessageQueue, Arc<Assigned>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn by_hand(&self) -> MutexGuard<'_, Option<BTreeSet<MessageQueue>>> {
        self.by_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The topics whose queues are divided, or that queues were chosen of.
    pub(crate) fn topics(&self) -> BTreeSet<Text> {
        match &*self.by_hand() {
            Some(queues) => queues.iter().map(|queue| queue.topic.clone()).collect(),
            None => self.subscriptions().keys().cloned().collect(),
        }
    }

    /// What is wanted of a topic; of chosen queues everything unless a filter was set.
    fn subscription(&self, topic: &Text) -> Result<Subscription> {
        if let Some(known) = self.subscriptions().get(topic).cloned() {
            return Ok(known);
        }
        if self.by_hand().is_some() {
            return Subscription::new(topic, &MessageSelector::all(), 0);
        }
        Err(config(format!("topic {topic} is not subscribed any more")))
    }

    /// Subscribes to one more topic, or to the same by another expression.
    pub(crate) async fn subscribe(&self, topic: &str, selector: &MessageSelector) -> Result<()> {
        let topic = self.calls.client.wrapped(topic);
        let subscription = Subscription::new(&topic, selector, now_ms())?;
        self.check_open()?;
        // Its brokers may be new to us, and have to know us before they are asked for our share.
        if let Err(error) = self.calls.client.route(&topic).await {
            tracing::warn!(group = %self.calls.group, %topic, %error, "the topic cannot be consumed yet");
        }
        self.calls.check_condition(&subscription.data).await?;
        self.subscriptions().insert(topic, subscription);
        self.calls.client.heartbeat().await;
        self.wake.notify_one();
        Ok(())
    }

    /// Refuses what an ended consumer does not do any more.
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.stop.is_raised() { Err(Error::closed("the consumer")) } else { Ok(()) }
    }

    /// Gives a topic up.
    pub(crate) fn unsubscribe(&self, topic: &str) {
        self.subscriptions().remove(&*self.calls.client.wrapped(topic));
        self.wake.notify_one();
    }

    pub(crate) fn count(&self, topic: &Text, event: Event) {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner).count(topic, event, now_ms());
    }

    pub(crate) fn is_clustering(&self) -> bool {
        self.settings.message_model == MessageModel::Clustering
    }

    pub(crate) fn is_orderly(&self) -> bool {
        matches!(&self.sink, Sink::Push(pushed) if pushed.is_orderly())
    }

    /// Whether queues have to be locked at the broker. Java locks in broadcasting, too, where the consumers
    /// then take the queues from each other.
    pub(crate) fn is_locking(&self) -> bool {
        self.is_orderly() && self.is_clustering()
    }

    pub(crate) fn consume_type(&self) -> ConsumeType {
        match self.sink {
            Sink::Push(_) => ConsumeType::Passively,
            Sink::Poll(_) => ConsumeType::Actively,
        }
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    pub(crate) fn suspend(&self) {
        self.paused.store(true, Ordering::Relaxed);
    }

    pub(crate) fn resume(&self) {
        self.paused.store(false, Ordering::Relaxed);
        for assigned in self.queues().values() {
            assigned.handled.notify_waiters();
        }
        self.wake.notify_one();
    }

    /// Has the keeper do something and waits until it is done.
    pub(crate) async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T> {
        let closed = || Error::closed("the consumer");
        let (done, answer) = oneshot::channel();
        let asked = async {
            self.commands.send(command(done)).await.ok()?;
            answer.await.ok()
        };
        tokio::select! {
            biased;
            answer = asked => answer.ok_or_else(closed),
            // The keeper ends without looking at what waits for it.
            () = self.stop.raised() => Err(closed()),
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
        Thresholds {
            count: share(settings.pull_threshold_for_topic, settings.pull_threshold_for_queue),
            size_mib: share(settings.pull_threshold_size_for_topic, settings.pull_threshold_size_for_queue),
            span: (!self.is_orderly()).then_some(settings.consume_max_span),
        }
    }

    /// Messages of all queues in memory.
    fn messages_in_memory(&self) -> usize {
        self.queues().values().map(|queue| queue.process().count()).sum()
    }

    /// Pulls a queue until it is gone.
    fn pull(
        self: &Arc<Self>,
        assigned: Arc<Assigned>,
        offset: i64,
    ) -> impl Future<Output = ()> + Send + 'static {
        pull::run(Arc::clone(self), assigned, offset)
    }

    pub(crate) fn locks(&self) -> MutexGuard<'_, BTreeSet<MessageQueue>> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the consumer. Whoever gives up waiting does not stop it: what is left would be a member that consumes
    /// nothing.
    pub(crate) async fn shutdown(self: &Arc<Self>) {
        self.stop.raise();
        match &self.sink {
            // First of all: a worker that is done must not begin something else.
            Sink::Push(pushed) => pushed.close(),
            Sink::Poll(polls) => polls.bell.ring(),
        }
        let consumer = Arc::clone(self);
        let ended = tokio::spawn(async move {
            consumer.ended.get_or_init(|| consumer.end()).await;
        });
        if let Err(error) = ended.await {
            tracing::error!(group = %self.calls.group, %error, "the end of the consumer failed");
        }
    }

    /// Lets running handlers finish, stores the offsets, gives locks back and unregisters.
    async fn end(self: &Arc<Self>) {
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(group = %self.calls.group, %error, "a task of the consumer failed");
            }
        }
        let assigned: Vec<Arc<Assigned>> = self.queues().values().cloned().collect();
        for queue in &assigned {
            queue.gone.raise();
        }
        if let Sink::Push(pushed) = &self.sink {
            let wait = self.settings.await_termination;
            if tokio::time::timeout(wait, pushed.idle()).await.is_err() {
                tracing::warn!(group = %self.calls.group, "handlers still run {wait:?} after the shutdown began; their messages will come again");
            }
        }
        for queue in &assigned {
            queue.pulled.raised().await;
        }
        self.release_all(assigned).await;
        self.calls.client.unregister_consumer(&self.calls.group).await;
        tracing::info!(group = %self.calls.group, "consumer ended");
    }

    /// Stores all offsets a last time, then gives all locks back: who gets a queue next must find its offset.
    async fn release_all(self: &Arc<Self>, assigned: Vec<Arc<Assigned>>) {
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
        // What fails has been told, and comes again.
        let _ = self.store_offsets(pending).await;
        self.queues().clear();
        if self.is_locking() {
            let locks = std::mem::take(&mut *self.locks());
            for (broker, queues) in by_broker(locks) {
                if let Err(error) = self.calls.unlock(queues).await {
                    tracing::info!(group = %self.calls.group, %broker, %error, "locks are not given back, they run out");
                }
            }
        }
    }
}
