//! The core that producers and consumers of one program share: NameServers, routes, connections, heartbeats.
//!
//! Java counterpart: `MQClientInstance`. Left out: filter servers.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use ferrocket_protocol::body::message_queue::MessageQueue;
use ferrocket_protocol::{Header, RemotingCommand, RequestCode, ResponseCode, Text, fastjson};
use ferrocket_remoting::{Connection, Dialer, PendingCall};
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use tokio::sync::{Notify, OnceCell, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::callbacks::Callbacks;
use crate::config::{ClientBuilder, ClientConfig};
use crate::consumer::ConsumerHandle;
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Event, Events, Watchers};
use crate::in_flight::InFlight;
use crate::message::MessageExt;
use crate::message_ids::{MessageIds, now_ms, random};
use crate::name_servers::{self, NameServers};
use crate::namespace::{unwrap, wrap};
use crate::producer::{Checks, ProducerBuilder, Replies};
use crate::route::{RouteTable, TopicRoute};
use crate::trace::{TraceQueue, Tracer, dispatcher};
use crate::validate::check_topic;

mod membership;
mod routing;

use membership::heartbeater;
use routing::{discoverer, refresher};

/// How long a shutdown waits for sends under way.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// The topic whose settings new topics take over, unless another is set.
pub(crate) const CREATE_TOPIC_KEY: &str = "TBW102";

/// A cluster's clients in this program: producers and consumers that share connections, routes and
/// heartbeats.
///
/// Cheap to clone. Needs a Tokio runtime with time and I/O once producers or consumers are started.
/// [`Client::shutdown`] ends everything in order. When the last clone, producer and consumer of a program is
/// dropped without it, that is logged, and the shutdown begins in the background: nothing is lost, but the program
/// may end before offsets are stored, and messages come again.
///
/// A listener that owns a clone, or a producer, keeps its client in use as long as it consumes: such a client goes on
/// when everything else of it is dropped, and has to be shut down. When its runtime ends without that, this is logged.
///
/// ```
/// use ferrocket::{Client, Message};
///
/// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
/// # let namesrv_addr = cluster.namesrv_addr();
/// let client = Client::builder(namesrv_addr).build()?;
/// let producer = client.producer("order-service").start().await?;
/// let consumer = client.lite_pull_consumer("audit").subscribe("Orders", "*").start().await?;
/// let sent = producer.send(Message::new("Orders", "paid")).await?;
/// println!("{sent} by {}", client.client_id());
/// // Ends both, and whatever else uses the client.
/// client.shutdown().await?;
/// # Ok(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    /// None for what the client itself does: its tasks do not keep it alive.
    _in_use: Option<Arc<InUse>>,
}

/// Somebody in the program can still use the client.
struct InUse(Weak<Shared>);

impl Drop for InUse {
    fn drop(&mut self) {
        if let Some(client) = Client::upgrade(&self.0) {
            client.abandoned();
        }
    }
}

pub(crate) struct Shared {
    config: ClientConfig,
    client_id: Text,
    name_servers: NameServers,
    dialer: Dialer,
    ids: MessageIds,
    in_flight: InFlight,
    replies: Replies,
    tracer: Option<Tracer>,
    /// The queue of traces until the task that empties it starts.
    trace_queue: Mutex<Option<TraceQueue>>,
    watchers: Watchers,
    /// Routes, registrations and fetches under way. Held for look-ups and exchanges, never across an await.
    state: Mutex<State>,
    /// When the client was built: durations are counted from here.
    epoch: Instant,
    /// Grows with every choice of a broker among equals.
    turn: AtomicUsize,
    /// No new producers or consumers.
    closing: AtomicBool,
    /// No new sends. Set later: until they are through, handlers send what they have to.
    sends_closed: AtomicBool,
    /// Set when the shutdown is through: how it went.
    ended: OnceCell<Result<()>>,
    /// Something changed that brokers should hear of soon.
    heartbeat_wanted: Arc<Notify>,
    /// One permit: see [`Client::membership_turn`].
    membership_turn: Arc<Semaphore>,
    /// Heartbeats begun, see [`Client::heartbeat`].
    beats: AtomicU64,
    /// One permit: who asks the web server for NameServers.
    discovery_turn: Semaphore,
    /// Set to true, or dropped, it ends the background tasks.
    stop: watch::Sender<bool>,
    /// Set once the background tasks run: where they do.
    background: OnceLock<Handle>,
}

/// What those who wait for one fetch see: nothing yet, then its outcome.
type Fetched = watch::Receiver<Option<Result<Arc<TopicRoute>>>>;

#[derive(Default)]
struct State {
    routes: RouteTable,
    /// Groups of producers, and who answers about their transactions.
    producers: BTreeMap<Text, Option<Arc<Checks>>>,
    consumers: Vec<Arc<dyn ConsumerHandle>>,
    /// Grows when a producer or a consumer is registered.
    membership: u64,
    /// The connection after the last heartbeat to each broker, and the membership in it.
    announced: HashMap<Text, (Option<u64>, u64)>,
    /// Fetches of routes under way, by topic and whether a template will do; one at a time for each.
    fetches: HashMap<(Text, bool), Fetched>,
}

/// The topic whose settings a new topic takes over, and how many queues the producer asks for.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    pub(crate) topic: Text,
    pub(crate) queue_nums: i32,
}

impl Default for Template {
    fn default() -> Self {
        Self { topic: Text::from_static(CREATE_TOPIC_KEY), queue_nums: 4 }
    }
}

impl Client {
    /// Sets up a client for the cluster of these NameServers: `"host:port;host:port"`. An empty list reads
    /// the environment variable `NAMESRV_ADDR`, as Java's clients do.
    ///
    /// ```
    /// use ferrocket::{Client, Message};
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let namesrv_addr = &format!("127.0.0.1:9;{}", cluster.namesrv_addr());
    /// // Any of them will do: when one does not answer, the next is asked.
    /// let client = Client::builder(namesrv_addr).build()?;
    /// let producer = client.producer("order-service").start().await?;
    /// let sent = producer.send(Message::new("Orders", "paid")).await?;
    /// assert!(sent.is_ok());
    /// # client.shutdown().await?;
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn builder(namesrv_addr: &str) -> ClientBuilder {
        ClientBuilder::new(namesrv_addr)
    }

    pub(crate) fn from_config(config: ClientConfig) -> Result<Self> {
        let seed = random();
        let addrs = match &config.discovery {
            Some(_) => Vec::new(),
            None => name_servers::parse(&config.namesrv_addr)?,
        };
        let name_servers = NameServers::new(addrs, seed as usize);
        let instance = match &config.instance_name {
            Some(name) => name.clone(),
            // Java appends nanoseconds of a clock with an arbitrary start; all that matters is that they differ.
            None => format!("{}#{}", std::process::id(), seed >> 1),
        };
        let (tracer, trace_queue) =
            config.enable_trace.then(|| Tracer::new(config.trace_topic.as_str().into())).unzip();
        let shared = Arc::new_cyclic(|shared: &Weak<Shared>| Shared {
            client_id: config.client_id(&instance).into(),
            name_servers,
            dialer: Dialer::new(Arc::new(Callbacks::new(shared.clone())), config.remoting.clone()),
            ids: MessageIds::new(config.client_ip, now_ms()),
            in_flight: InFlight::new(config.in_flight_max, config.in_flight_bytes_max),
            replies: Replies::default(),
            tracer,
            trace_queue: Mutex::new(trace_queue),
            watchers: Watchers::default(),
            state: Mutex::default(),
            epoch: Instant::now(),
            turn: AtomicUsize::new(seed as usize >> 1),
            closing: AtomicBool::new(false),
            sends_closed: AtomicBool::new(false),
            ended: OnceCell::new(),
            heartbeat_wanted: Arc::default(),
            membership_turn: Arc::new(Semaphore::new(1)),
            beats: AtomicU64::new(0),
            discovery_turn: Semaphore::new(1),
            stop: watch::Sender::new(false),
            background: OnceLock::new(),
            config,
        });
        let in_use = Some(Arc::new(InUse(Arc::downgrade(&shared))));
        Ok(Self { shared, _in_use: in_use })
    }

    pub(crate) fn upgrade(shared: &Weak<Shared>) -> Option<Self> {
        shared.upgrade().map(|shared| Self { shared, _in_use: None })
    }

    /// The same for tasks and tables of the client's own.
    pub(crate) fn internal(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), _in_use: None }
    }

    /// Nobody can shut the client down any more.
    fn abandoned(self) {
        let Some((producers, consumers)) = self.left_behind() else { return };
        tracing::warn!(client_id = %self.shared.client_id, producers, consumers, "the client was dropped without a shutdown, which begins now");
        if let Some(runtime) = self.shared.background.get().cloned() {
            runtime.spawn(async move {
                if let Err(error) = self.shutdown().await {
                    tracing::warn!(%error, "the shutdown of a dropped client");
                }
            });
        }
    }

    /// The runtime that the client needs ends.
    fn stranded(self) {
        if let Some((producers, consumers)) = self.left_behind() {
            tracing::warn!(client_id = %self.shared.client_id, producers, consumers, "the runtime ended without a shutdown of the client: what it consumed may come again");
        }
    }

    /// The producers and consumers of a client that nobody has shut down, if it has any. No new ones are taken from
    /// then on, as in a shutdown; after one has begun, and a second time, none are told.
    fn left_behind(&self) -> Option<(usize, usize)> {
        let (producers, consumers) = {
            let state = self.lock();
            (state.producers.len(), state.consumers.len())
        };
        let is_left = producers + consumers > 0 && !self.shared.closing.swap(true, Ordering::AcqRel);
        is_left.then_some((producers, consumers))
    }

    /// A producer of this group, to be set up and started.
    ///
    /// ```
    /// use ferrocket::Message;
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// let producer = client.producer("order-service").retries(3).start().await?;
    /// let sent = producer.send(Message::new("Orders", "paid").key("o-42")).await?;
    /// println!("{} at {}", sent.msg_id, sent.queue_offset);
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn producer(&self, group: &str) -> ProducerBuilder {
        ProducerBuilder::new(self.clone(), group)
    }

    /// How brokers call this client: address, `@`, process and instance.
    ///
    /// ```
    /// use ferrocket::Client;
    ///
    /// let client = Client::builder("127.0.0.1:9876").instance_name("billing-1").build()?;
    /// // 10.0.0.7@billing-1
    /// assert!(client.client_id().ends_with("@billing-1"));
    /// # Ok::<(), ferrocket::Error>(())
    /// ```
    pub fn client_id(&self) -> &str {
        &self.shared.client_id
    }

    /// Message traces that were dropped so far because they came faster than they could be sent; 0 without
    /// [`enable_trace`](ClientBuilder::enable_trace).
    pub fn traces_dropped(&self) -> u64 {
        self.tracer().map_or(0, Tracer::dropped)
    }

    /// The queues that messages of `topic` can be sent to, ordered by broker and queue id.
    /// Java: `fetchPublishMessageQueues`.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let sent = client.producer("p").start().await?.send(ferrocket::Message::new("Orders", "paid")).await?;
    /// for queue in client.fetch_queues("Orders").await? {
    ///     println!("queue {} of broker {}", queue.queue_id, queue.broker_name);
    /// }
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::NoRoute`] when the topic does not exist, and whatever keeps NameServers from answering.
    pub async fn fetch_queues(&self, topic: &str) -> Result<Vec<MessageQueue>> {
        check_topic(topic)?;
        Ok(self.bare_queues(self.fetch_route(&self.wrapped(topic), None).await?.publish_queues()))
    }

    /// The queues that messages of `topic` can be read from, ordered by broker and queue id.
    /// Java: `fetchSubscribeMessageQueues`.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let sent = client.producer("p").start().await?.send(ferrocket::Message::new("Orders", "paid")).await?;
    /// // Every other queue, whoever else consumes.
    /// let queues = client.fetch_subscribe_queues("Orders").await?;
    /// let consumer = client.lite_pull_consumer("audit").start().await?;
    /// consumer.assign(queues.into_iter().step_by(2)).await?;
    /// assert_eq!(consumer.assignment().len(), 2);
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`Client::fetch_queues`].
    pub async fn fetch_subscribe_queues(&self, topic: &str) -> Result<Vec<MessageQueue>> {
        Ok(self.bare_queues(&self.wired_subscribe_queues(topic).await?))
    }

    /// The same, called as the cluster calls them.
    pub(crate) async fn wired_subscribe_queues(&self, topic: &str) -> Result<Vec<MessageQueue>> {
        check_topic(topic)?;
        Ok(self.fetch_route(&self.wrapped(topic), None).await?.subscribe_queues().to_vec())
    }

    /// What happens in this client from now on: queues divided, routes changed, connections opened and lost, slow
    /// handlers, pauses of pulling. At most 256 wait to be taken; the next are counted as
    /// [`Event::Missed`](crate::Event::Missed). Every stream gets every event.
    ///
    /// ```
    /// use ferrocket::Event;
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// let mut events = client.events();
    /// tokio::spawn(async move {
    ///     while let Some(event) = events.next().await {
    ///         match event {
    ///             Event::SlowHandler { group, msg_id, .. } => eprintln!("{group}: {msg_id} takes long"),
    ///             other => println!("{other:?}"),
    ///         }
    ///     }
    /// });
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn events(&self) -> Events {
        self.shared.watchers.watch()
    }

    /// Ends everything this client started, in this order: consumers stop pulling; their handlers finish, for at
    /// most [`await_termination_when_shutdown`](crate::PushConsumerBuilder::await_termination_when_shutdown)
    /// (30 s), and may send and reply until then; offsets are stored, locks given back and consumers unregistered;
    /// from here on sends are refused, and those under way are finished, for at most 10 s, automatic batches with
    /// all that waits for them; producers are unregistered; connections close. Further calls wait for the first, and
    /// whoever gives up waiting does not stop it. A handler must not await it, since it would be waited for; it may spawn
    /// it.
    ///
    /// ```
    /// use ferrocket::{ErrorKind, Message};
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// let producer = client.producer("order-service").start().await?;
    /// let pending = producer.enqueue(Message::new("Orders", "paid")).await?;
    /// client.shutdown().await?;
    /// // What was under way has been stored, and nothing more is taken.
    /// assert!(pending.await?.is_ok());
    /// let refused = producer.send(Message::new("Orders", "late")).await.unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::Closed);
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] when sends were still under way after 10 s. All is closed nevertheless.
    pub async fn shutdown(&self) -> Result<()> {
        self.shared.closing.store(true, Ordering::Release);
        let client = self.internal();
        let ended =
            tokio::spawn(async move { client.shared.ended.get_or_init(|| client.end()).await.clone() });
        ended.await.unwrap_or_else(|error| Err(Error::new(ErrorKind::Internal, error.to_string())))
    }

    async fn end(&self) -> Result<()> {
        // All at once, so that the slowest handler decides how long it takes.
        let mut ends = JoinSet::new();
        let consumers = self.lock().consumers.clone();
        for consumer in consumers {
            ends.spawn(async move { consumer.shutdown().await });
        }
        ends.join_all().await;
        self.shared.sends_closed.store(true, Ordering::Release);
        let drained = self.shared.in_flight.drained(DRAIN_TIMEOUT).await;
        if let Some(tracer) = self.tracer() {
            tracer.flush().await;
        }
        self.shared.in_flight.close();
        let groups: Vec<Text> = self.lock().producers.keys().cloned().collect();
        for group in groups {
            self.unregister_producer(&group).await;
        }
        self.lock().consumers.clear();
        self.shared.stop.send_replace(true);
        self.shared.dialer.close_all();
        self.shared.replies.close();
        self.shared.watchers.close();
        if drained {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Timeout, format!("sends were still under way after {DRAIN_TIMEOUT:?}")))
    }
}

/// What producers and consumers build on.
impl Client {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change leaves the tables whole, so a panic elsewhere does not spoil them.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn config(&self) -> &ClientConfig {
        &self.shared.config
    }

    pub(crate) fn dialer(&self) -> &Dialer {
        &self.shared.dialer
    }

    /// Tells those who watch.
    pub(crate) fn tell(&self, event: impl FnOnce() -> Event) {
        self.shared.watchers.tell(event);
    }

    pub(crate) fn in_flight(&self) -> &InFlight {
        &self.shared.in_flight
    }

    pub(crate) fn tracer(&self) -> Option<&Tracer> {
        self.shared.tracer.as_ref()
    }

    pub(crate) fn replies(&self) -> &Replies {
        &self.shared.replies
    }

    /// The name of a topic or a group in this client's namespace.
    pub(crate) fn wrapped(&self, name: &str) -> Text {
        wrap(&self.config().namespace, name).as_ref().into()
    }

    /// The name without this client's namespace.
    pub(crate) fn unwrapped(&self, name: &Text) -> Text {
        match unwrap(&self.config().namespace, name) {
            Cow::Borrowed(_) => name.clone(),
            Cow::Owned(bare) => bare.into(),
        }
    }

    /// Queues as the program knows them.
    pub(crate) fn bare_queues<'a>(
        &self,
        queues: impl IntoIterator<Item = &'a MessageQueue>,
    ) -> Vec<MessageQueue> {
        queues.into_iter().map(|queue| self.bare_queue(queue)).collect()
    }

    /// A queue as the program knows it.
    pub(crate) fn bare_queue(&self, queue: &MessageQueue) -> MessageQueue {
        MessageQueue { topic: self.unwrapped(&queue.topic), ..queue.clone() }
    }

    /// A queue as the cluster knows it, whichever way the program calls it.
    pub(crate) fn wired_queue<'a>(&self, queue: &'a MessageQueue) -> Cow<'a, MessageQueue> {
        match wrap(&self.config().namespace, &queue.topic) {
            Cow::Borrowed(_) => Cow::Borrowed(queue),
            Cow::Owned(topic) => Cow::Owned(MessageQueue { topic: topic.into(), ..queue.clone() }),
        }
    }

    /// Takes the namespace away from the topics of messages that the program gets.
    pub(crate) fn unwrap_topics(&self, messages: &mut [MessageExt]) {
        if !self.config().namespace.is_empty() {
            for message in messages {
                message.topic = self.unwrapped(&message.topic);
            }
        }
    }

    pub(crate) fn name_server_addrs(&self) -> Arc<[String]> {
        self.shared.name_servers.addrs()
    }

    /// An instant before all others of this client.
    pub(crate) fn epoch(&self) -> Instant {
        self.shared.epoch
    }

    /// A new unique key for a message.
    pub(crate) fn next_message_id(&self, now_ms: i64) -> Text {
        self.shared.ids.next(now_ms)
    }

    /// Whether the client was shut down, or is about to be.
    pub(crate) fn is_closing(&self) -> bool {
        self.shared.closing.load(Ordering::Acquire)
    }

    /// Whether producers may still send.
    pub(crate) fn takes_sends(&self) -> bool {
        !self.shared.sends_closed.load(Ordering::Acquire)
    }

    /// A number that differs from call to call, to take turns by.
    pub(crate) fn next_turn(&self) -> usize {
        self.shared.turn.fetch_add(1, Ordering::Relaxed) & (usize::MAX >> 1)
    }

    /// A request in this client's language and serialization.
    pub(crate) fn request<H: Header>(&self, code: RequestCode, header: &H) -> RemotingCommand {
        let mut request = RemotingCommand::request(code, header);
        request.language = self.shared.config.language;
        request.serialize_type = self.shared.config.serialize_type;
        request.version = self.shared.config.version;
        request
    }

    /// Nothing is dialled for a client whose connections were closed.
    fn check_running(&self) -> Result<()> {
        if *self.shared.stop.borrow() { Err(Error::closed("the client")) } else { Ok(()) }
    }

    /// One call; any answer is a success.
    pub(crate) async fn call(
        &self,
        addr: &str,
        request: RemotingCommand,
        timeout: Duration,
    ) -> Result<RemotingCommand> {
        let reply = self.begin(addr, request, Instant::now(), timeout).await?.await?;
        Ok(self.replied(addr, reply))
    }

    /// The first half of a call, whose time counts from `now`: when this returns, the request is in line. Its answer is
    /// to be shown to [`Client::replied`].
    pub(crate) async fn begin(
        &self,
        addr: &str,
        request: RemotingCommand,
        now: Instant,
        timeout: Duration,
    ) -> Result<PendingCall> {
        self.check_running()?;
        Ok(self.shared.dialer.begin(addr, request, now, timeout).await?)
    }

    /// The same over a connection that was looked up before.
    pub(crate) async fn begin_over(
        &self,
        connection: &Connection,
        request: RemotingCommand,
        now: Instant,
        timeout: Duration,
    ) -> Result<PendingCall> {
        self.check_running()?;
        Ok(connection.begin(request, now, timeout).await?)
    }

    /// Does what an answer asks of the client itself, whatever the request was.
    pub(crate) fn replied(&self, addr: &str, reply: RemotingCommand) -> RemotingCommand {
        if reply.response_code() == ResponseCode::GO_AWAY {
            // A broker of 5.x that is about to stop, or a proxy: it refused the request, and answers on a new
            // connection, if it is still or again there.
            tracing::info!(addr, "the server asked to connect anew");
            self.shared.dialer.retire(addr);
        }
        reply
    }

    /// After a call that was not answered in time: if not a word has come since, the connection may lead nowhere,
    /// which sends alone would take many minutes to notice, and the next call dials anew. One to a peer that is
    /// merely slow stays: others wait for their answers on it.
    fn forget_if_silent(&self, addr: &str, error: &Error, asked: Instant) {
        let is_silent = |connection: Connection| connection.silent() >= asked.elapsed();
        if error.kind() == ErrorKind::Timeout && self.dialer().existing(addr).is_none_or(is_silent) {
            self.dialer().forget(addr);
        }
    }

    /// One call within `mqClientApiTimeout`; an answer with another code than success is an error.
    pub(crate) async fn call_ok(&self, addr: &str, request: RemotingCommand) -> Result<RemotingCommand> {
        self.call_ok_within(addr, request, self.shared.config.mq_client_api_timeout).await
    }

    /// The same within `timeout`.
    pub(crate) async fn call_ok_within(
        &self,
        addr: &str,
        request: RemotingCommand,
        timeout: Duration,
    ) -> Result<RemotingCommand> {
        succeeded(self.call(addr, request, timeout).await?, addr)
    }

    /// Hands a request over for which no answer is expected; waits for room in the connection.
    pub(crate) async fn oneway_within(
        &self,
        addr: &str,
        request: RemotingCommand,
        timeout: Duration,
    ) -> Result<()> {
        self.check_running()?;
        match tokio::time::timeout(timeout, self.dialer().oneway(addr, request)).await {
            Ok(sent) => Ok(sent?),
            Err(_) => {
                Err(Error::new(ErrorKind::Timeout, format!("{addr} took no more bytes within {timeout:?}")))
            }
        }
    }

    /// Starts the tasks that refresh routes and send heartbeats, once.
    fn start_background(&self) -> Result<()> {
        if self.shared.background.get().is_some() {
            return Ok(());
        }
        let runtime = Handle::try_current().map_err(|error| {
            Error::new(ErrorKind::Config, format!("a client needs a Tokio runtime: {error}"))
        })?;
        self.shared.background.get_or_init(|| {
            let weak = Arc::downgrade(&self.shared);
            runtime.spawn(until(
                self.shared.stop.subscribe(),
                refresher(weak.clone(), self.config().poll_name_server_interval),
            ));
            if self.config().discovery.is_some() {
                runtime.spawn(until(self.shared.stop.subscribe(), discoverer(weak.clone())));
            }
            let wanted = Arc::clone(&self.shared.heartbeat_wanted);
            let interval = self.config().heartbeat_broker_interval;
            let queue = self.shared.trace_queue.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(queue) = queue {
                runtime.spawn(until(self.shared.stop.subscribe(), dispatcher(queue, weak.clone())));
            }
            let ashore = Ashore(weak.clone());
            let beats = until(self.shared.stop.subscribe(), heartbeater(weak, wanted, interval));
            runtime.spawn(async move {
                let _ashore = ashore;
                beats.await;
            });
            runtime
        });
        Ok(())
    }
}

/// The answer, if its code is success.
pub(crate) fn succeeded(reply: RemotingCommand, addr: &str) -> Result<RemotingCommand> {
    match reply.response_code() {
        ResponseCode::SUCCESS => Ok(reply),
        code => Err(Error::broker(code, reply.remark.as_deref(), addr)),
    }
}

/// What an answer's body says in JSON.
pub(crate) fn read_body<B: DeserializeOwned>(reply: &RemotingCommand, addr: &str) -> Result<B> {
    fastjson::from_slice(&reply.body).map_err(|error| Error::protocol(error, addr))
}

/// Runs `task` until it ends, the client is shut down or its last handle is dropped.
async fn until(mut stop: watch::Receiver<bool>, task: impl Future<Output = ()>) {
    tokio::select! {
        () = task => {}
        // An error is the sender's end: as good as a stop.
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

/// Held by a task that ends with the client's shutdown, or with its runtime.
struct Ashore(Weak<Shared>);

impl Drop for Ashore {
    fn drop(&mut self) {
        if let Some(client) = Client::upgrade(&self.0) {
            client.stranded();
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.dialer.close_all();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("client_id", &self.client_id())
            .field("name_servers", &self.name_server_addrs())
            .finish_non_exhaustive()
    }
}
