//! The core that producers and consumers of one program share: NameServers, routes, connections, heartbeats.
//!
//! Java counterpart: `MQClientInstance`. Left out: the admin calls, filter servers, the VIP channel.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use ferrocket_protocol::body::heartbeat::{HeartbeatData, ProducerData};
use ferrocket_protocol::body::message_queue::MessageQueue;
use ferrocket_protocol::body::route::TopicRouteData;
use ferrocket_protocol::requests::Empty;
use ferrocket_protocol::requests::client::UnregisterClientHeader;
use ferrocket_protocol::requests::route::GetRouteInfoHeader;
use ferrocket_protocol::{Header, RemotingCommand, RequestCode, ResponseCode, Text, fastjson};
use ferrocket_remoting::Dialer;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::callbacks::Callbacks;
use crate::config::{ClientBuilder, ClientConfig};
use crate::consumer_handle::ConsumerHandle;
use crate::error::{Error, ErrorKind, Result};
use crate::in_flight::InFlight;
use crate::message_ids::{MessageIds, now_ms, random};
use crate::name_servers::NameServers;
use crate::producer::ProducerBuilder;
use crate::route::{BrokerAddr, MASTER_ID, RouteTable, TopicRoute};
use crate::validate::check_topic;

/// Two heartbeats that nobody scheduled are at least this far apart.
const HEARTBEAT_SPACING: Duration = Duration::from_secs(1);
/// How long a shutdown waits for sends under way.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// A cluster's clients in this program: producers and consumers that share connections, routes and
/// heartbeats.
///
/// Cheap to clone. Needs a Tokio runtime with time and I/O once producers or consumers are started.
/// [`Client::shutdown`] ends everything in order.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    config: ClientConfig,
    client_id: Text,
    name_servers: NameServers,
    dialer: Dialer,
    ids: MessageIds,
    in_flight: InFlight,
    /// Routes, registrations and fetches under way. Held for look-ups and exchanges, never across an await.
    state: Mutex<State>,
    /// When the client was built: durations are counted from here.
    epoch: Instant,
    /// Grows with every choice of a broker among equals.
    turn: AtomicUsize,
    /// No new producers, consumers or sends.
    closing: AtomicBool,
    /// Something changed that brokers should hear of soon.
    heartbeat_wanted: Arc<Notify>,
    /// Set to true, or dropped, it ends the background tasks.
    stop: watch::Sender<bool>,
    background: OnceLock<()>,
}

/// What those who wait for one fetch see: nothing yet, then its outcome.
type Fetched = watch::Receiver<Option<Result<Arc<TopicRoute>>>>;

#[derive(Default)]
struct State {
    routes: RouteTable,
    producers: BTreeSet<Text>,
    consumers: Vec<Arc<dyn ConsumerHandle>>,
    /// Fetches of routes under way, by topic and whether a template will do; one at a time for each.
    fetches: HashMap<(Text, bool), Fetched>,
}

/// The topic whose settings a new topic takes over, and how many queues the producer asks for.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    pub(crate) topic: Text,
    pub(crate) queue_nums: i32,
}

impl Client {
    /// Sets up a client for the cluster of these NameServers: `"host:port;host:port"`. An empty list reads
    /// the environment variable `NAMESRV_ADDR`, as Java's clients do.
    pub fn builder(namesrv_addr: &str) -> ClientBuilder {
        ClientBuilder::new(namesrv_addr)
    }

    pub(crate) fn from_config(config: ClientConfig) -> Result<Self> {
        let seed = random();
        let name_servers = NameServers::parse(&config.namesrv_addr, seed as usize)?;
        let instance = match &config.instance_name {
            Some(name) => name.clone(),
            // Java appends nanoseconds of a clock with an arbitrary start; all that matters is that they differ.
            None => format!("{}#{}", std::process::id(), seed >> 1),
        };
        let mut client_id = format!("{}@{instance}", config.client_ip);
        if let Some(unit) = config.unit_name.as_deref().filter(|unit| !unit.trim().is_empty()) {
            client_id = format!("{client_id}@{unit}");
        }
        let shared = Arc::new_cyclic(|shared: &Weak<Shared>| Shared {
            client_id: client_id.into(),
            name_servers,
            dialer: Dialer::new(Arc::new(Callbacks::new(shared.clone())), config.remoting.clone()),
            ids: MessageIds::new(config.client_ip, now_ms()),
            in_flight: InFlight::new(config.in_flight_max, config.in_flight_bytes_max),
            state: Mutex::default(),
            epoch: Instant::now(),
            turn: AtomicUsize::new(seed as usize >> 1),
            closing: AtomicBool::new(false),
            heartbeat_wanted: Arc::default(),
            stop: watch::Sender::new(false),
            background: OnceLock::new(),
            config,
        });
        Ok(Self { shared })
    }

    pub(crate) fn upgrade(shared: &Weak<Shared>) -> Option<Self> {
        shared.upgrade().map(|shared| Self { shared })
    }

    /// A producer of this group, to be set up and started.
    pub fn producer(&self, group: &str) -> ProducerBuilder {
        ProducerBuilder::new(self.clone(), group)
    }

    /// How brokers call this client: address, `@`, process and instance.
    pub fn client_id(&self) -> &str {
        &self.shared.client_id
    }

    /// The queues that messages of `topic` can be sent to, ordered by broker and queue id.
    /// Java: `fetchPublishMessageQueues`.
    ///
    /// # Errors
    /// [`ErrorKind::NoRoute`] when the topic does not exist, and whatever keeps NameServers from answering.
    pub async fn fetch_queues(&self, topic: &str) -> Result<Vec<MessageQueue>> {
        check_topic(topic)?;
        Ok(self.fetch_route(&topic.into(), None).await?.publish_queues().to_vec())
    }

    /// The queues that messages of `topic` can be read from, ordered by broker and queue id.
    /// Java: `fetchSubscribeMessageQueues`.
    ///
    /// # Errors
    /// As [`Client::fetch_queues`].
    pub async fn fetch_subscribe_queues(&self, topic: &str) -> Result<Vec<MessageQueue>> {
        check_topic(topic)?;
        Ok(self.fetch_route(&topic.into(), None).await?.subscribe_queues().to_vec())
    }

    /// Ends everything this client started: consumers stop, finish and store their offsets; sends under way
    /// are finished; brokers are told; connections close. Further calls have no effect.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] when sends were still under way after 10 s. All is closed nevertheless.
    pub async fn shutdown(&self) -> Result<()> {
        if self.shared.closing.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let consumers = self.lock().consumers.clone();
        for consumer in consumers {
            consumer.shutdown().await;
        }
        let drained = self.shared.in_flight.drained(DRAIN_TIMEOUT).await;
        self.shared.in_flight.close();
        let groups: Vec<Text> = self.lock().producers.iter().cloned().collect();
        for group in groups {
            self.unregister_producer(&group).await;
        }
        self.lock().consumers.clear();
        self.shared.stop.send_replace(true);
        self.shared.dialer.close_all();
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

    pub(crate) fn in_flight(&self) -> &InFlight {
        &self.shared.in_flight
    }

    pub(crate) fn name_server_addrs(&self) -> &[String] {
        self.shared.name_servers.addrs()
    }

    /// An instant before all others of this client.
    pub(crate) fn epoch(&self) -> Instant {
        self.shared.epoch
    }

    /// A new unique key for a message.
    pub(crate) fn next_message_id(&self) -> String {
        self.shared.ids.next(now_ms())
    }

    /// Whether the client was shut down, or is about to be.
    pub(crate) fn is_closing(&self) -> bool {
        self.shared.closing.load(Ordering::Acquire)
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
        request
    }

    /// One call; any answer is a success.
    pub(crate) async fn call(
        &self,
        addr: &str,
        request: RemotingCommand,
        timeout: Duration,
    ) -> Result<RemotingCommand> {
        if *self.shared.stop.borrow() {
            return Err(Error::closed("the client"));
        }
        Ok(self.shared.dialer.call(addr, request, timeout).await?)
    }

    /// One call within `mqClientApiTimeout`; an answer with another code than success is an error.
    pub(crate) async fn call_ok(&self, addr: &str, request: RemotingCommand) -> Result<RemotingCommand> {
        let reply = self.call(addr, request, self.shared.config.mq_client_api_timeout).await?;
        match reply.response_code() {
            ResponseCode::SUCCESS => Ok(reply),
            code => Err(Error::broker(code, reply.remark.as_deref(), addr)),
        }
    }

    /// Asks the NameServer in use, and the others in turn when it fails. Answers with its address.
    async fn call_name_server(&self, request: RemotingCommand) -> Result<(RemotingCommand, String)> {
        let timeout = self.shared.config.mq_client_api_timeout;
        let mut last = None;
        let candidates: Vec<String> = self.shared.name_servers.candidates().map(str::to_owned).collect();
        for addr in candidates {
            match self.call(&addr, request.clone(), timeout).await {
                Ok(reply) => {
                    self.shared.name_servers.keep(&addr);
                    return Ok((reply, addr));
                }
                Err(error) if error.kind() == ErrorKind::Closed => return Err(error),
                Err(error) => {
                    tracing::debug!(%addr, %error, "NameServer does not answer");
                    if error.kind() == ErrorKind::Timeout {
                        // The connection may lead nowhere: the next call dials anew.
                        self.shared.dialer.forget(&addr);
                    }
                    last = Some(error);
                }
            }
        }
        Err(last.unwrap_or_else(|| Error::new(ErrorKind::Config, "No name server address, please set it.")))
    }

    /// What NameServers say about a topic.
    async fn query_route(&self, topic: &Text) -> Result<TopicRouteData> {
        // Java 4.9.8 does not ask for standard JSON: NameServers go by the version.
        let header = GetRouteInfoHeader { topic: topic.clone(), ..Default::default() };
        let request = self.request(RequestCode::GetRouteinfoByTopic, &header);
        let (reply, addr) = self.call_name_server(request).await?;
        match reply.response_code() {
            ResponseCode::SUCCESS => {
                fastjson::from_slice(&reply.body).map_err(|error| Error::protocol(error, &addr))
            }
            ResponseCode::TOPIC_NOT_EXIST => {
                let text = format!("No route info of this topic: {topic}");
                Err(Error::new(ErrorKind::NoRoute, text).with_answer(&reply, &addr))
            }
            code => Err(Error::broker(code, reply.remark.as_deref(), &addr)),
        }
    }

    /// Asks NameServers for a route and keeps it; those who ask at the same time share one question.
    pub(crate) async fn fetch_route(
        &self,
        topic: &Text,
        template: Option<&Template>,
    ) -> Result<Arc<TopicRoute>> {
        self.start_background()?;
        let key = (topic.clone(), template.is_some());
        let mut fetched = {
            let mut state = self.lock();
            match state.fetches.get(&key) {
                Some(fetched) => fetched.clone(),
                None => {
                    let (outcome, fetched) = watch::channel(None);
                    state.fetches.insert(key.clone(), fetched.clone());
                    let (client, template) = (self.clone(), template.cloned());
                    // A task of its own: who gives up must not take the others' answer along.
                    tokio::spawn(async move {
                        let result = client.fetch_and_keep(&key.0, template).await;
                        client.lock().fetches.remove(&key);
                        outcome.send_replace(Some(result));
                    });
                    fetched
                }
            }
        };
        let outcome = fetched.wait_for(Option::is_some).await.ok().and_then(|outcome| (*outcome).clone());
        outcome.unwrap_or_else(|| Err(Error::closed("the client")))
    }

    async fn fetch_and_keep(&self, topic: &Text, template: Option<Template>) -> Result<Arc<TopicRoute>> {
        let route = match (self.query_route(topic).await, template) {
            (Ok(data), _) => TopicRoute::new(topic.clone(), data),
            (Err(error), Some(template)) if error.kind() == ErrorKind::NoRoute => {
                // The error about the topic itself says more than one about the template.
                let data = self.query_route(&template.topic).await.map_err(|_| error)?;
                TopicRoute::from_template(topic.clone(), data, template.queue_nums)
            }
            (Err(error), _) => return Err(error),
        };
        let route = Arc::new(route);
        let (change, consumers) = {
            let mut state = self.lock();
            let change = state.routes.put(Arc::clone(&route))?;
            (change, if change.changed { state.consumers.clone() } else { Vec::new() })
        };
        if change.changed {
            tracing::debug!(%topic, queues = route.publish_queues().len(), "route changed");
        }
        if change.new_addrs {
            self.shared.heartbeat_wanted.notify_one();
        }
        for consumer in consumers {
            consumer.route_changed(topic, route.subscribe_queues());
        }
        Ok(route)
    }

    /// The route of a topic that exists, from memory or from NameServers.
    pub(crate) async fn route(&self, topic: &Text) -> Result<Arc<TopicRoute>> {
        let known = self.lock().routes.get(topic).filter(|route| !route.is_template()).cloned();
        match known {
            Some(route) => Ok(route),
            None => self.fetch_route(topic, None).await,
        }
    }

    /// The route to publish by, from memory if it has queues to write; a topic that does not exist gets one
    /// from the template. Java: `tryToFindTopicPublishInfo`.
    pub(crate) async fn publish_route(&self, topic: &Text, template: &Template) -> Result<Arc<TopicRoute>> {
        let known = self.lock().routes.get(topic).filter(|route| !route.publish_queues().is_empty()).cloned();
        let route = match known {
            Some(route) => route,
            None => self.fetch_route(topic, Some(template)).await?,
        };
        if route.publish_queues().is_empty() {
            let text = format!("no queue of topic {topic} can be written at present");
            return Err(Error::new(ErrorKind::NoRoute, text));
        }
        Ok(route)
    }

    /// The address of the master with this name, as last heard.
    pub(crate) fn master_addr(&self, broker_name: &str) -> Option<Text> {
        self.lock().routes.master_addr(broker_name)
    }

    /// The address to pull from, as last heard. Java: `findBrokerAddressInSubscribe`.
    pub(crate) fn broker_addr(&self, broker_name: &str, id: i64, only_this: bool) -> Option<BrokerAddr> {
        self.lock().routes.broker_addr(broker_name, id, only_this)
    }

    /// A broker that knows the consumers of a topic. Java: `findBrokerAddrByTopic`.
    pub(crate) fn any_broker_of(&self, topic: &str) -> Option<Text> {
        let turn = self.next_turn();
        self.lock().routes.any_broker_of(topic, turn)
    }

    /// Registers a producer group; one client has one producer of a group.
    pub(crate) fn register_producer(&self, group: &Text) -> Result<()> {
        self.start_background()?;
        if self.is_closing() {
            return Err(Error::closed("the client"));
        }
        if !self.lock().producers.insert(group.clone()) {
            let text =
                format!("The producer group[{group}] has been created before, specify another name please.");
            return Err(Error::new(ErrorKind::Config, text));
        }
        self.shared.heartbeat_wanted.notify_one();
        Ok(())
    }

    /// Takes a producer group out and tells the brokers.
    pub(crate) async fn unregister_producer(&self, group: &Text) {
        if self.lock().producers.remove(group) {
            self.unregister(Some(group), None).await;
        }
    }

    /// Registers a consumer: from now on it is part of heartbeats and hears of routes and brokers' requests.
    pub(crate) fn register_consumer(&self, consumer: Arc<dyn ConsumerHandle>) -> Result<()> {
        self.start_background()?;
        if self.is_closing() {
            return Err(Error::closed("the client"));
        }
        let mut state = self.lock();
        if state.consumers.iter().any(|known| known.group() == consumer.group()) {
            let group = consumer.group();
            let text =
                format!("The consumer group[{group}] has been created before, specify another name please.");
            return Err(Error::new(ErrorKind::Config, text));
        }
        state.consumers.push(consumer);
        Ok(())
    }

    /// Takes a consumer out and tells the brokers.
    pub(crate) async fn unregister_consumer(&self, group: &Text) {
        let known = {
            let mut state = self.lock();
            let before = state.consumers.len();
            state.consumers.retain(|consumer| consumer.group() != group);
            state.consumers.len() < before
        };
        if known {
            self.unregister(None, Some(group)).await;
        }
    }

    /// The registered consumer of a group.
    pub(crate) fn consumer(&self, group: &str) -> Option<Arc<dyn ConsumerHandle>> {
        self.lock().consumers.iter().find(|consumer| **consumer.group() == *group).cloned()
    }

    async fn unregister(&self, producer_group: Option<&Text>, consumer_group: Option<&Text>) {
        let header = UnregisterClientHeader {
            client_id: self.shared.client_id.clone(),
            producer_group: producer_group.cloned(),
            consumer_group: consumer_group.cloned(),
        };
        let request = self.request(RequestCode::UnregisterClient, &header);
        let addrs: BTreeSet<Text> = self.lock().routes.addrs().map(|(_, addr)| addr.clone()).collect();
        // Brokers we have no connection to do not know us.
        let connected = addrs.into_iter().filter(|addr| self.shared.dialer.existing(addr).is_some());
        self.call_each(connected, request, "unregister").await;
    }

    /// Tells all brokers who is here: masters, and slaves too if there are consumers.
    pub(crate) async fn heartbeat(&self) {
        let (producers, consumers, addrs) = {
            let mut state = self.lock();
            for addr in state.routes.drop_offline() {
                tracing::info!(%addr, "broker is in no route any more");
                self.shared.dialer.forget(&addr);
            }
            let all = !state.consumers.is_empty();
            let addrs: BTreeSet<Text> = state
                .routes
                .addrs()
                .filter(|(id, _)| all || *id == MASTER_ID)
                .map(|(_, addr)| addr.clone())
                .collect();
            (state.producers.clone(), state.consumers.clone(), addrs)
        };
        if producers.is_empty() && consumers.is_empty() {
            return;
        }
        let producer = |group: Text| ProducerData { group_name: group.to_string() };
        let data = HeartbeatData {
            client_id: self.shared.client_id.to_string(),
            producer_data_set: producers.into_iter().map(producer).collect(),
            consumer_data_set: consumers.iter().map(|consumer| consumer.consumer_data()).collect(),
            ..Default::default()
        };
        let request = self.request(RequestCode::HeartBeat, &Empty).with_body(fastjson::to_vec(&data));
        self.call_each(addrs, request, "heartbeat").await;
    }

    /// Sends one request to many at once and waits for all; failures are only worth a line.
    async fn call_each(
        &self,
        addrs: impl IntoIterator<Item = Text>,
        request: RemotingCommand,
        what: &'static str,
    ) {
        let mut calls = JoinSet::new();
        for addr in addrs {
            let (client, request) = (self.clone(), request.clone());
            calls.spawn(async move {
                if let Err(error) = client.call_ok(&addr, request).await {
                    tracing::info!(%addr, %error, "{what} failed");
                }
            });
        }
        calls.join_all().await;
    }

    /// A heartbeat soon, but not more often than once a second.
    pub(crate) fn want_heartbeat(&self) {
        self.shared.heartbeat_wanted.notify_one();
    }

    /// Asks NameServers again about every topic in use.
    async fn refresh_routes(&self) {
        let (mut topics, consumers) = {
            let state = self.lock();
            (state.routes.topics().cloned().collect::<BTreeSet<_>>(), state.consumers.clone())
        };
        topics.extend(consumers.iter().flat_map(|consumer| consumer.topics()));
        for topic in topics {
            match self.fetch_route(&topic, None).await {
                Ok(_) => {}
                // Kept as it was: brokers still have the topic while NameServers learn of it again.
                Err(error) if error.kind() == ErrorKind::NoRoute => {
                    tracing::debug!(%topic, "no NameServer has a route");
                }
                Err(error) => {
                    tracing::warn!(%error, "routes could not be refreshed");
                    return;
                }
            }
        }
    }

    /// Starts the tasks that refresh routes and send heartbeats, once.
    fn start_background(&self) -> Result<()> {
        if self.shared.background.get().is_some() {
            return Ok(());
        }
        let runtime = tokio::runtime::Handle::try_current().map_err(|error| {
            Error::new(ErrorKind::Config, format!("a client needs a Tokio runtime: {error}"))
        })?;
        self.shared.background.get_or_init(|| {
            let weak = Arc::downgrade(&self.shared);
            runtime
                .spawn(until(self.shared.stop.subscribe(), refresher(weak.clone(), self.config().clone())));
            let wanted = Arc::clone(&self.shared.heartbeat_wanted);
            let interval = self.config().heartbeat_broker_interval;
            runtime.spawn(until(self.shared.stop.subscribe(), heartbeater(weak, wanted, interval)));
        });
        Ok(())
    }
}

/// Runs `task` until it ends, the client is shut down or its last handle is dropped.
async fn until(mut stop: watch::Receiver<bool>, task: impl Future<Output = ()>) {
    tokio::select! {
        () = task => {}
        // An error is the sender's end: as good as a stop.
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

async fn refresher(shared: Weak<Shared>, config: ClientConfig) {
    let interval = config.poll_name_server_interval;
    let mut ticks = tokio::time::interval_at(Instant::now() + interval, interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(client) = Client::upgrade(&shared) else { return };
        client.refresh_routes().await;
    }
}

async fn heartbeater(shared: Weak<Shared>, wanted: Arc<Notify>, interval: Duration) {
    // Java sends the first one a second after the start.
    let mut next = Instant::now() + HEARTBEAT_SPACING.min(interval);
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            () = wanted.notified() => {
                // Several changes in a row, or connections that open because of it, make one heartbeat.
                tokio::time::sleep(HEARTBEAT_SPACING.min(interval)).await;
            }
        }
        let Some(client) = Client::upgrade(&shared) else { return };
        client.heartbeat().await;
        next = Instant::now() + interval;
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
