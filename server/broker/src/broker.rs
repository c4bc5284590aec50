//! The Broker: what its handlers share, and how it starts and stops.
//!
//! Start: bind the port, open the store (which recovers), read the tables, serve, register, look after what
//! goes by time. Stop: unregister, answer who still waits, close connections, save, close the store. Left
//! out: slaves. Java counterparts: `BrokerController`, `BrokerStartup`.

use std::net::SocketAddr;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use std::{fmt, io};

use ferrocket_acl::Access;
use ferrocket_protocol::body::message_queue::MessageQueue;
use ferrocket_protocol::message::{MessageRecord, RecordView};
use ferrocket_protocol::{RemotingCommand, Text};
use ferrocket_remoting::{Connection, Handler, Listener, RemotingConfig, TlsError};
use ferrocket_store::{
    Append, AppendError, Appended, Arrivals, BitMap, BitMaps, Clock, Disk, GetLimits, OpenError, OsDisk,
    Store, SystemClock,
};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::address_server::find_name_servers;
use crate::advertised::{self, Machine};
use crate::clients::Clients;
use crate::consumer_filters::ConsumerFilters;
use crate::delay::{self, Delay};
use crate::dispatch::Dispatch;
use crate::groups::SubscriptionGroups;
use crate::handlers::pull::{self, ParkedPull};
use crate::held_pulls::HeldPulls;
use crate::late::Places;
use crate::offsets::ConsumerOffsets;
use crate::queue_locks::QueueLocks;
use crate::refusal::Refusal;
use crate::registration::{Identity, Registration};
use crate::saving;
use crate::settings::{BrokerSettings, InvalidSettings, LiveSettings};
use crate::stats::{Put, Stats};
use crate::topics::{SCHEDULE_TOPIC, Topics};
use crate::transactions;

/// Between two looks at held pulls and statistics.
const TICK: Duration = Duration::from_secs(1);
/// Between two scans for silent clients, in ticks. Java: `ClientHousekeepingService`.
const CLIENT_SCAN_TICKS: u64 = 10;
/// Between two looks for changed files of accounts, in ticks. Java: `AclFileWatchService`.
const ACL_LOOK_TICKS: u64 = 5;
/// Between two looks for groups that consume too slowly, in ticks. Java: `protectBroker`.
const SLOW_LOOK_TICKS: u64 = 180;
/// How far below the main port the same is served again, for old clients (Java's VIP channel).
const VIP_PORT_BELOW: u16 = 2;

/// What all handlers share. One per Broker, behind an [`Arc`].
///
/// Each part has a lock of its own. None is held across a call into another part, but the settings' while the store is
/// told of a change, so that changes reach it in their order, and the filters' while the store is asked for its newest
/// time.
pub(crate) struct Shared {
    /// Settings; the hot ones change while the Broker runs.
    pub(crate) settings: LiveSettings,
    /// What time it is.
    pub(crate) clock: Arc<dyn Clock>,
    started: Instant,
    /// CommitLog, ConsumeQueues, index.
    pub(crate) store: Arc<Store>,
    /// `topics.json`.
    pub(crate) topics: Topics,
    /// `subscriptionGroup.json`.
    pub(crate) groups: SubscriptionGroups,
    /// `consumerOffset.json`.
    pub(crate) offsets: ConsumerOffsets,
    /// Who is connected.
    pub(crate) clients: Clients,
    /// SQL92 filters of consumer groups, `consumerFilter.json`.
    pub(crate) filters: ConsumerFilters,
    /// Leases of orderly consumers.
    pub(crate) queue_locks: QueueLocks,
    /// Counters.
    pub(crate) stats: Stats,
    /// The NameServers.
    pub(crate) registration: Registration,
    /// Who may ask for what; none without `aclEnable`.
    pub(crate) access: Option<Arc<Access>>,
    /// Delayed messages and `delayOffset.json`.
    pub(crate) delay: Delay,
    /// Counts sends that leave the queue to the Broker.
    pub(crate) turn: AtomicU32,
    /// `brokerIP1` as found, for texts.
    pub(crate) broker_ip: Text,
    /// The address in records and offset message ids: where clients reach this Broker.
    pub(crate) store_host: SocketAddr,
    /// Requests that are answered later.
    pub(crate) late: Places,
    /// Half messages are to be looked through now.
    pub(crate) transactions_due: Notify,
    held_pulls: Mutex<HeldPulls<ParkedPull>>,
}

impl Shared {
    /// Pulls that wait for messages. The lock is never held while one is answered.
    pub(crate) fn held_pulls(&self) -> MutexGuard<'_, HeldPulls<ParkedPull>> {
        // Parking and taking out leave a usable table wherever they stop.
        self.held_pulls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since the start. Waits, leases and silences are counted by it: setting the machine's clock must
    /// neither end nor lengthen them.
    pub(crate) fn elapsed_ms(&self) -> i64 {
        self.started.elapsed().as_millis() as i64
    }

    /// A queue of this Broker by its full name.
    pub(crate) fn queue(&self, topic: impl Into<Text>, queue_id: i32) -> MessageQueue {
        MessageQueue::new(topic, self.registration.identity().broker_name.clone(), queue_id)
    }

    /// The message at this place of the log.
    pub(crate) fn message_at(&self, physical_offset: i64) -> Option<MessageRecord> {
        MessageRecord::decode(&mut self.store.record_at(physical_offset)?).ok()
    }

    /// Stores one record of the Broker's own making and counts it.
    pub(crate) fn append(&self, record: MessageRecord) -> Result<Appended, AppendError> {
        let (topic, queue_id) = (record.topic.clone(), record.queue_id);
        let appended = self.store.append(vec![Append { records: vec![record] }]).pop();
        let appended = appended.unwrap_or(Err(AppendError::Closed))?;
        self.stats.put(&put(&topic, queue_id, &appended));
        Ok(appended)
    }

    /// Forbids groups to consume that are too far behind, if the settings want that: what they read is no longer in
    /// memory, and slows everyone down.
    fn disable_slow_groups(&self) {
        // Taken also without: nobody is judged later by what was seen before.
        let bytes_max = self.settings.now().behind_max.unwrap_or(i64::MAX);
        for (group, bytes) in self.stats.take_behind(bytes_max) {
            if self.groups.disable(&group, self.clock.now_ms()) {
                tracing::warn!(
                    group,
                    bytes,
                    bytes_max,
                    "a consumer group is too far behind and was disabled"
                );
            }
        }
    }

    /// Whether the sender of this request may have it served.
    pub(crate) fn admit(&self, connection: &Connection, request: &RemotingCommand) -> Result<(), Refusal> {
        let Some(access) = &self.access else { return Ok(()) };
        let checked = access.check(request, connection.peer_addr().ip());
        Ok(checked.inspect_err(|denied| {
            tracing::debug!(?connection, code = request.code, %denied, "denied");
        })?)
    }
}

/// What one append stored in a queue, to be counted.
pub(crate) fn put<'a>(topic: &'a str, queue_id: i32, appended: &Appended) -> Put<'a> {
    let bytes = u64::try_from(appended.end_offset - appended.physical_offset).unwrap_or(0);
    Put { topic, queue_id, messages: appended.physical_offsets.len() as u64, bytes }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shared of {}", self.store_host)
    }
}

/// Tells whoever waits for messages that one has arrived.
struct Arrived(Weak<Shared>);

impl Arrivals for Arrived {
    fn arrived(&self, topic: &str, queue_id: i32, queue_offset: i64, tags_code: i64) {
        let Some(broker) = self.0.upgrade() else { return };
        if topic == SCHEDULE_TOPIC {
            broker.delay.arrived(tags_code);
        }
        let mut held = broker.held_pulls();
        let mut record = None;
        if held.ask_for_properties(topic, queue_id, queue_offset) {
            drop(held);
            let limits = GetLimits { count_max: 1, ..GetLimits::default() };
            record = broker.store.get(topic, queue_id, queue_offset, &limits, &|_| true).records.pop();
            held = broker.held_pulls();
        }
        let properties = record.as_deref().and_then(|record| RecordView::parse(record).ok());
        let properties = properties.map(|record| record.properties);
        let woken = held.arrived(topic, queue_id, queue_offset, tags_code, properties, broker.elapsed_ms());
        drop(held);
        pull::answer_held(&broker, woken);
    }
}

/// Has messages judged by the filters for their topic, with `enableCalcFilterBitMap`.
struct Judged(Weak<Shared>);

impl BitMaps for Judged {
    fn bit_map(&self, topic: &str, properties: &str) -> Option<BitMap> {
        let broker = self.0.upgrade().filter(|broker| broker.settings.now().calc_filter_bit_map)?;
        broker.filters.bit_map(topic, properties)
    }

    fn is_current(&self, bit_map: &BitMap) -> bool {
        self.0.upgrade().is_some_and(|broker| broker.filters.is_current(bit_map))
    }
}

/// A running Broker. To be stopped with [`Broker::shutdown`]; dropping it saves nothing and leaves open
/// connections served until the runtime ends.
pub struct Broker {
    shared: Arc<Shared>,
    local_addr: SocketAddr,
    vip_addr: Option<SocketAddr>,
    /// Dropped when the Broker stops: whoever looks after something waits for it.
    stop: watch::Sender<()>,
    /// Serve connections.
    listeners: JoinSet<()>,
    /// Do what goes by time.
    background: JoinSet<()>,
}

impl Broker {
    /// Starts a Broker with these settings, on the runtime that runs this future. When it returns, the Broker
    /// serves, and every NameServer has been tried once.
    ///
    /// # Errors
    /// See [`StartError`]; nothing keeps running then.
    pub async fn start(settings: BrokerSettings) -> Result<Self, StartError> {
        Self::start_on(settings, Arc::new(OsDisk), Arc::new(SystemClock)).await
    }

    /// The same on another disk and by another clock: for simulations, and for tests that turn the clock.
    ///
    /// # Errors
    /// As [`Broker::start`].
    pub async fn start_on(
        settings: BrokerSettings,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let live = LiveSettings::new(settings.clone(), clock.now_ms()).map_err(StartError::Settings)?;
        let values = live.now();
        let (server_tls, client_tls) = settings.tls().map_err(StartError::Tls)?;
        let remoting = RemotingConfig {
            idle_timeout: values.idle_timeout,
            backlog: values.backlog,
            send_buffer: values.send_buffer,
            receive_buffer: values.receive_buffer,
            server_tls,
            ..RemotingConfig::default()
        };
        let bind = |addr: SocketAddr| {
            let remoting = remoting.clone();
            async move { Listener::bind(addr, remoting).await.map_err(|source| StartError::Bind { addr, source }) }
        };
        let main = bind(values.listen_addr).await?;
        let local_addr = main.local_addr();
        let vip_port = local_addr.port().checked_sub(VIP_PORT_BELOW).filter(|port| *port > 0);
        let vip = match vip_port.map(|port| SocketAddr::new(local_addr.ip(), port)) {
            Some(addr) => bind(addr)
                .await
                .inspect_err(|error| tracing::warn!(%error, "old clients are not served"))
                .ok(),
            None => None,
        };

        let advertised = {
            let values = values.clone();
            blocking(move || {
                let machine = Machine::look(&values.namesrv_addr);
                advertised::choose(&values.broker_ip1, local_addr, machine).map_err(StartError::Host)
            })
            .await?
        };
        tracing::info!("clients are given the address {}", advertised.addr());
        if let Some(warning) = &advertised.warning {
            tracing::warn!("{warning}");
        }
        let access = {
            let settings = settings.clone();
            blocking(move || settings.access().map_err(StartError::Config)).await?.map(Arc::new)
        };
        let store_host = advertised.socket;
        let store_config = settings.store_config(store_host).map_err(StartError::Settings)?;
        let delays_ms = store_config.delay_levels().map_err(StartError::Levels)?;
        let store = {
            let clock = clock.clone();
            blocking(move || Store::open(store_config, disk, clock).map_err(StartError::Store)).await?
        };

        let now_ms = clock.now_ms();
        let light = values.topics.light;
        let topics = Topics::new(&values.topics, now_ms);
        let groups = SubscriptionGroups::new(now_ms).with_light(light);
        let offsets = ConsumerOffsets::default().with_light(light);
        let filters = ConsumerFilters::new(values.bloom, store.newest_timestamp());
        let delay = Delay::new(delays_ms);
        // In Java's order.
        if let Err(error) =
            saving::load(store.config_files(), &[&topics, &offsets, &groups, &filters, &delay], now_ms)
        {
            // A store that stays open would hold its folder.
            if let Err(error) = store.close() {
                tracing::warn!(%error, "the store was not closed cleanly");
            }
            return Err(StartError::Config(error.to_string()));
        }

        let ha_host = if values.broker_ip2.is_empty() { &advertised.host } else { &values.broker_ip2 };
        let identity = Identity {
            cluster: values.cluster.clone(),
            broker_name: values.broker_name.clone(),
            broker_id: 0,
            addr: advertised.addr().into(),
            ha_addr: advertised::joined(ha_host, local_addr.port().wrapping_add(1)).into(),
        };
        for (key, value) in
            [("brokerIP1", advertised.host.clone()), ("listenPort", local_addr.port().to_string())]
        {
            if let Err(error) = live.set_found(key, &value) {
                tracing::warn!(key, %error, "a setting could not be filled in");
            }
        }
        let shared = Arc::new(Shared {
            stats: Stats::new(&values.cluster, now_ms, local_day(now_ms))
                .with_light(light)
                .with_detail(values.detail_stat),
            settings: live,
            clock,
            started: Instant::now(),
            store,
            topics,
            groups,
            offsets,
            clients: Clients::default(),
            filters,
            queue_locks: QueueLocks::default(),
            registration: Registration::new(
                identity,
                RemotingConfig {
                    client_tls,
                    credentials: values.credentials.clone(),
                    ..RemotingConfig::default()
                },
            ),
            access,
            delay,
            turn: AtomicU32::new(0),
            broker_ip: advertised.host.into(),
            store_host,
            late: Places::default(),
            transactions_due: Notify::new(),
            held_pulls: Mutex::default(),
        });
        shared.store.on_arrival(Arc::new(Arrived(Arc::downgrade(&shared))));
        shared.store.make_bit_maps(Arc::new(Judged(Arc::downgrade(&shared))));

        let stop = watch::Sender::new(());
        let vip_addr = vip.as_ref().map(Listener::local_addr);
        let mut listeners = JoinSet::new();
        let handler: Arc<dyn Handler> = Arc::new(Dispatch::new(shared.clone()));
        for listener in [Some(main), vip].into_iter().flatten() {
            let (handler, mut stop) = (handler.clone(), stop.subscribe());
            listeners
                .spawn(async move { listener.serve(handler, async move { stopped(&mut stop).await }).await });
        }
        let mut background = JoinSet::new();
        background.spawn(delay::run(shared.clone(), stop.subscribe()));
        background.spawn(transactions::run(shared.clone(), stop.subscribe()));
        background.spawn(look_after_time(shared.clone(), stop.subscribe()));
        background.spawn(saving::keep_saved(shared.clone(), stop.subscribe()));
        Registration::set_servers(&shared, "");
        if values.by_address_server {
            find_name_servers(&shared).await;
        }
        shared.registration.tried().await;
        Ok(Self { shared, local_addr, vip_addr, stop, listeners, background })
    }

    /// The address of the main port.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Where the same is served for old clients, two below the main port; `None` if that port was taken.
    pub fn vip_addr(&self) -> Option<SocketAddr> {
        self.vip_addr
    }

    /// The address that clients are given: `brokerIP1:port`.
    pub fn advertised_addr(&self) -> String {
        self.shared.registration.identity().addr.to_string()
    }

    /// `brokerName`.
    pub fn name(&self) -> String {
        self.shared.registration.identity().broker_name.to_string()
    }

    /// The clock given to [`Broker::start_on`] was set forward: what is due by it now is done at once, not when its
    /// time would have come.
    pub fn clock_turned(&self) {
        self.shared.delay.clock_turned();
        self.shared.transactions_due.notify_one();
    }

    /// `namesrvAddr`, empty when it names none.
    pub fn namesrv_addr(&self) -> String {
        self.shared.settings.now().namesrv_addr.clone()
    }

    /// Stops cleanly: clients hear of it first, what was accepted is stored, all tables are saved.
    ///
    /// # Errors
    /// What the store could not make durable; the Broker is stopped all the same.
    pub async fn shutdown(self) -> Result<(), StopError> {
        let Self { shared, stop, mut listeners, mut background, .. } = self;
        shared.registration.shutdown().await;
        let held = shared.held_pulls().drain();
        pull::answer_held(&shared, held);
        drop(stop);
        while listeners.join_next().await.is_some() {}
        while background.join_next().await.is_some() {}
        let closed = tokio::task::spawn_blocking(move || {
            let saved = saving::save_all(&shared);
            let closed = shared.store.close();
            saved.map_err(|error| error.to_string()).and(closed.map_err(|error| error.to_string()))
        });
        closed.await.unwrap_or_else(|error| Err(error.to_string())).map_err(StopError)
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Broker {} at {}", self.name(), self.local_addr)
    }
}

/// Once a second: pulls whose time is up, rates, and more rarely changed accounts and clients that are silent.
async fn look_after_time(broker: Arc<Shared>, mut stop: watch::Receiver<()>) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for ticks in 1_u64.. {
        tokio::select! {
            _ = tick.tick() => {}
            () = stopped(&mut stop) => return,
        }
        let (now_ms, elapsed_ms) = (broker.clock.now_ms(), broker.elapsed_ms());
        let due = broker.held_pulls().tick(elapsed_ms, |held| held.connection.is_closed());
        pull::answer_held(&broker, due);
        broker.stats.tick(now_ms, local_day(now_ms));
        if let Some(access) = broker.access.clone().filter(|_| ticks % ACL_LOOK_TICKS == 0) {
            tokio::task::spawn_blocking(move || access.look());
        }
        if ticks % SLOW_LOOK_TICKS == 0 {
            broker.disable_slow_groups();
        }
        if ticks % CLIENT_SCAN_TICKS == 0 {
            let settings = broker.settings.now();
            broker.clients.scan(elapsed_ms, settings.notify_consumer_ids_changed);
            let mut gone = broker.filters.groups();
            gone.retain(|group| broker.clients.client_ids(group).is_none());
            broker.filters.bury(&gone, now_ms, settings.filter_data_clean_ms);
        }
    }
}

/// Returns when the Broker stops.
pub(crate) async fn stopped(stop: &mut watch::Receiver<()>) {
    // Nothing is ever sent: the error when the sender is gone is the signal.
    while stop.changed().await.is_ok() {}
}

/// Runs what blocks on the disk or on name resolution.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StartError> + Send + 'static,
) -> Result<T, StartError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(StartError::Panic(error.to_string())),
    }
}

/// A number that changes at local midnight.
fn local_day(now_ms: i64) -> i64 {
    let zoned = jiff::Timestamp::from_millisecond(now_ms).map(|at| at.to_zoned(jiff::tz::TimeZone::system()));
    zoned.map_or(0, |zoned| i64::from(zoned.year()) * 366 + i64::from(zoned.day_of_year()))
}

/// Why a Broker did not start.
#[derive(Debug)]
pub enum StartError {
    /// Settings do not fit together.
    Settings(InvalidSettings),
    /// TLS is asked for with files that do not do; names setting and file.
    Tls(TlsError),
    /// `messageDelayLevel` is wrong.
    Levels(String),
    /// The port cannot be listened on.
    Bind {
        /// The address.
        addr: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// `brokerIP1` names no address; says why.
    Host(String),
    /// The store does not open.
    Store(OpenError),
    /// A file under `config/` cannot be used; says which and why.
    Config(String),
    /// A part of the start panicked.
    Panic(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(error) => error.fmt(f),
            Self::Tls(error) => error.fmt(f),
            Self::Levels(error) | Self::Host(error) | Self::Config(error) | Self::Panic(error) => {
                f.write_str(error)
            }
            Self::Bind { addr, source } => write!(f, "cannot listen on {addr}: {source}"),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Settings(error) => Some(error),
            Self::Tls(error) => Some(error),
            Self::Bind { source, .. } => Some(source),
            Self::Store(error) => Some(error),
            Self::Levels(_) | Self::Host(_) | Self::Config(_) | Self::Panic(_) => None,
        }
    }
}

/// What a Broker could not make durable when it stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopError(String);

impl fmt::Display for StopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StopError {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use ferrocket_protocol::requests::Empty;
    use ferrocket_protocol::requests::pull::PullMessageHeader;
    use ferrocket_protocol::requests::send::SendMessageHeader;
    use ferrocket_protocol::requests::topic::{CreateTopicHeader, DeleteTopicHeader};
    use ferrocket_protocol::{RemotingCommand, RequestCode, ResponseCode};
    use ferrocket_remoting::{RefuseAll, dial};
    use ferrocket_store::{Call, DiskSpace, Fault, SimDisk};

    use super::*;
    use crate::saving::Changes;

    async fn start(disk: &SimDisk, settings: &[(&str, &str)]) -> (Broker, Connection) {
        let mut all = BrokerSettings::default();
        for (key, value) in [
            ("storePathRootDir", "/sim"),
            ("listenPort", "0"),
            ("bindAddress", "127.0.0.1"),
            ("brokerIP1", "127.0.0.1"),
            ("mappedFileSizeCommitLog", "1048576"),
            ("maxHashSlotNum", "100"),
            ("maxIndexNum", "400"),
        ]
        .iter()
        .chain(settings)
        {
            all.set(key, value).unwrap();
        }
        let broker = Broker::start_on(all, Arc::new(disk.clone()), Arc::new(SystemClock)).await.unwrap();
        let addr = broker.local_addr().to_string();
        let connection = dial(&addr, Arc::new(RefuseAll), &RemotingConfig::default()).await.unwrap();
        (broker, connection)
    }

    async fn call(connection: &Connection, request: RemotingCommand) -> RemotingCommand {
        connection.call(request, Duration::from_secs(30)).await.unwrap()
    }

    async fn send(connection: &Connection, properties: &str) -> RemotingCommand {
        let header = SendMessageHeader {
            topic: "T".into(),
            default_topic: "TBW102".into(),
            default_topic_queue_nums: 1,
            properties: Some(properties.into()),
            ..SendMessageHeader::default()
        };
        let mut request = RemotingCommand::request(RequestCode::SendMessageV2, &Empty).with_body("x");
        header.encode_v2(&mut request.ext_fields);
        call(connection, request).await
    }

    async fn create(connection: &Connection, topic: &str) -> RemotingCommand {
        let header = CreateTopicHeader {
            topic: topic.into(),
            default_topic: "TBW102".into(),
            read_queue_nums: 3,
            write_queue_nums: 3,
            perm: 6,
            topic_filter_type: "SINGLE_TAG".into(),
            ..CreateTopicHeader::default()
        };
        call(connection, RemotingCommand::request(RequestCode::UpdateAndCreateTopic, &header)).await
    }

    async fn pull(
        connection: &Connection,
        queue_offset: i64,
        suspend_timeout_millis: i64,
    ) -> RemotingCommand {
        let header = PullMessageHeader {
            consumer_group: "g".into(),
            topic: "T".into(),
            queue_offset,
            max_msg_nums: 32,
            sys_flag: 2 | 4,
            suspend_timeout_millis,
            ..PullMessageHeader::default()
        };
        call(connection, RemotingCommand::request(RequestCode::PullMessage, &header)).await
    }

    /// A flush that fails is no success of any kind: the message may be gone after a restart. Nothing more is
    /// taken from then on, and readers are still served what is known to be safe.
    #[tokio::test]
    async fn a_failed_flush_is_not_acknowledged() {
        let disk = SimDisk::new();
        let (_broker, connection) = start(&disk, &[("flushDiskType", "SYNC_FLUSH")]).await;
        assert_eq!(send(&connection, "").await.response_code(), ResponseCode::SUCCESS);
        // Several: the new topic's table is synced at about the same time.
        for nth in 1..=8 {
            disk.inject(Call::Sync, nth, Fault::Fail(io::ErrorKind::Other));
        }
        for _ in 0..2 {
            let reply = send(&connection, "").await;
            assert_eq!(reply.response_code(), ResponseCode::SERVICE_NOT_AVAILABLE, "{reply:?}");
            assert!(reply.ext_fields.get("MSG_REGION").is_some());
        }
        let reply = pull(&connection, 0, 0).await;
        assert_eq!(MessageRecord::decode_all(reply.body).unwrap().len(), 1);
    }

    /// A consumer that asks to be held for ever is answered after a minute.
    #[tokio::test]
    async fn holding_has_a_longest_time() {
        let (broker, connection) = start(&SimDisk::new(), &[]).await;
        assert_eq!(send(&connection, "").await.response_code(), ResponseCode::SUCCESS);
        let asked_ms = broker.shared.elapsed_ms();
        let asking = connection.clone();
        let held = tokio::spawn(async move { pull(&asking, 1, i64::MAX).await });
        tokio::task::yield_now().await;
        // A connection's requests are handled in order: when this one is answered, the other is held.
        assert_eq!(pull(&connection, 0, 0).await.response_code(), ResponseCode::SUCCESS);
        let due = broker.shared.held_pulls().tick(asked_ms + 59_999, |_| false);
        assert!(due.is_empty());
        let due = broker.shared.held_pulls().tick(broker.shared.elapsed_ms() + 60_000, |_| false);
        assert_eq!(due.len(), 1);
        pull::answer_held(&broker.shared, due);
        assert_eq!(held.await.unwrap().response_code(), ResponseCode::PULL_NOT_FOUND);
    }

    /// A group that is further behind than allowed may not consume any more, with the setting; one that has caught up
    /// may.
    #[tokio::test]
    async fn slow_groups_are_disabled() {
        let disk = SimDisk::new();
        let settings =
            [("disableConsumeIfConsumerReadSlowly", "true"), ("consumerFallbehindThreshold", "300")];
        let (broker, connection) = start(&disk, &settings).await;
        for _ in 0..9 {
            assert_eq!(send(&connection, "").await.response_code(), ResponseCode::SUCCESS);
        }
        assert_eq!(pull(&connection, 8, 0).await.response_code(), ResponseCode::SUCCESS);
        broker.shared.disable_slow_groups();
        broker
            .shared
            .settings
            .update("maxTransferCountOnMessageInMemory=1\n", 1, |config| {
                broker.shared.store.reconfigure(config);
            })
            .unwrap();
        assert_eq!(pull(&connection, 0, 0).await.response_code(), ResponseCode::SUCCESS);
        broker.shared.disable_slow_groups();
        let reply = pull(&connection, 0, 0).await;
        assert_eq!(reply.response_code(), ResponseCode::NO_PERMISSION, "{reply:?}");
        assert!(!broker.shared.groups.find("g", false, 1).unwrap().consume_enable);
    }

    /// A write that fails is code 14 with Java's words.
    #[tokio::test]
    async fn a_failed_write_is_an_answer() {
        let disk = SimDisk::new();
        let (_broker, connection) = start(&disk, &[]).await;
        assert_eq!(send(&connection, "").await.response_code(), ResponseCode::SUCCESS);
        // Several: the new topic's table is written at about the same time.
        for nth in 1..=8 {
            disk.inject(Call::Write, nth, Fault::Fail(io::ErrorKind::StorageFull));
        }
        let reply = send(&connection, "").await;
        assert_eq!(reply.response_code(), ResponseCode::SERVICE_NOT_AVAILABLE);
        assert!(reply.remark.unwrap().starts_with("service not available now."));
        assert_eq!(MessageRecord::decode_all(pull(&connection, 0, 0).await.body).unwrap().len(), 1);
    }

    /// A delayed message that is due while the disk is full is delivered once there is room again.
    #[tokio::test]
    async fn a_due_message_waits_for_room() {
        let disk = SimDisk::new();
        let settings = [("cleanResourceInterval", "1000"), ("messageDelayLevel", "1s")];
        let (broker, connection) = start(&disk, &settings).await;
        assert_eq!(send(&connection, "DELAY\u{1}1").await.response_code(), ResponseCode::SUCCESS);
        disk.set_space(DiskSpace { used: 99, available: 1 });
        // Sends are refused from the next look at the disk on; until then each is one more message.
        let mut stored = 0;
        while send(&connection, "").await.response_code() == ResponseCode::SUCCESS {
            stored += 1;
        }
        let full = broker.shared.store.max_offset("T", 0);
        disk.set_space(DiskSpace { used: 1, available: 99 });
        // The message may have been delivered before the disk was found full.
        if full == stored {
            assert_eq!(pull(&connection, full, 20_000).await.response_code(), ResponseCode::SUCCESS);
        }
        assert_eq!(broker.shared.store.max_offset("T", 0), stored + 1);
    }

    /// When the file `abort` goes, how far the delay levels have come is on the disk.
    #[tokio::test]
    async fn levels_are_saved_before_abort_goes() {
        let disk = SimDisk::new();
        let (broker, connection) = start(&disk, &[("messageDelayLevel", "1s")]).await;
        assert_eq!(send(&connection, "DELAY\u{1}1").await.response_code(), ResponseCode::SUCCESS);
        let delivered = loop {
            let reply = pull(&connection, 0, 20_000).await;
            if reply.response_code() == ResponseCode::SUCCESS {
                break MessageRecord::decode_all(reply.body).unwrap();
            }
        };
        assert_eq!(delivered.len(), 1);
        disk.inject(Call::Remove, 1, Fault::PowerCut);
        broker.shutdown().await.unwrap_err();
        disk.reboot(1);
        assert!(disk.exists("/sim/abort".as_ref()).unwrap());
        let files = ferrocket_store::ConfigFiles::new(Arc::new(disk), "/sim/config".into());
        let saved = files.read("delayOffset.json").unwrap().unwrap();
        assert!(saved.split_whitespace().collect::<String>().contains("\"offsetTable\":{1:1"), "{saved}");
    }

    /// A topic that an admin was told of survives a kill and a power cut, although the table is not written whole
    /// for each of them, and half a line at the end of the changes costs nothing. A clean stop leaves the whole.
    #[tokio::test]
    async fn changed_topics_are_written_one_by_one() {
        let read = |disk: &SimDisk, name: &str| {
            let file = disk.open(Path::new("/sim/config").join(name).as_path()).ok()?;
            let mut bytes = vec![0; file.len().unwrap() as usize];
            file.read_at(&mut bytes, 0).unwrap();
            String::from_utf8(bytes).ok()
        };
        for seed in 0..6 {
            let disk = SimDisk::new();
            // The regular rounds, which write the whole, stay away.
            let settings = [("flushConsumerOffsetInterval", "3600000")];
            let (broker, connection) = start(&disk, &settings).await;
            for number in 0..12 {
                let reply = create(&connection, &format!("T{number}")).await;
                assert_eq!(reply.response_code(), ResponseCode::SUCCESS, "{reply:?}");
            }
            let delete = DeleteTopicHeader { topic: "T3".into() };
            let delete = RemotingCommand::request(RequestCode::DeleteTopicInBroker, &delete);
            assert_eq!(call(&connection, delete).await.response_code(), ResponseCode::SUCCESS);
            assert!(!read(&disk, "topics.json").unwrap().contains("T11"));
            assert!(read(&disk, "topics.json.changes").unwrap().contains("T11"));
            let version = broker.shared.topics.version();
            if seed == 0 {
                disk.kill()
            } else {
                disk.reboot(seed)
            }
            let file = disk.open(Path::new("/sim/config/topics.json.changes")).unwrap();
            file.write_at(b"\n{\"dataVersion\":{\"counter\":99", file.len().unwrap()).unwrap();
            let (again, connection) = start(&disk, &settings).await;
            let topics = &again.shared.topics;
            assert_eq!(topics.version(), version);
            let queues = |name| topics.get(name).map(|topic| topic.write_queue_nums);
            assert_eq!((queues("T0"), queues("T3"), queues("T11")), (Some(3), None, Some(3)));
            assert_eq!(create(&connection, "T12").await.response_code(), ResponseCode::SUCCESS);
            again.shutdown().await.unwrap();
            assert!(read(&disk, "topics.json").unwrap().contains("T12"));
            assert_eq!(read(&disk, "topics.json.changes"), None);
            let (last, _connection) = start(&disk, &settings).await;
            assert!(last.shared.topics.get("T12").is_some() && last.shared.topics.get("T3").is_none());
        }
    }

    /// A change that was written in part, at the very beginning, takes none of those after it along.
    #[tokio::test]
    async fn a_failed_change_spoils_no_other() {
        let disk = SimDisk::new();
        let settings = [("flushConsumerOffsetInterval", "3600000")];
        let (_broker, connection) = start(&disk, &settings).await;
        assert_eq!(create(&connection, "T0").await.response_code(), ResponseCode::SUCCESS);
        disk.inject(Call::Write, 1, Fault::Short(5));
        disk.inject(Call::Write, 2, Fault::Fail(io::ErrorKind::StorageFull));
        // Whether this is answered by the attempt that fails or by the next is left open.
        create(&connection, "T1").await;
        for name in ["T2", "T3"] {
            assert_eq!(create(&connection, name).await.response_code(), ResponseCode::SUCCESS);
        }
        disk.kill();
        let (again, _connection) = start(&disk, &settings).await;
        for name in ["T0", "T1", "T2", "T3"] {
            assert!(again.shared.topics.get(name).is_some(), "{name}");
        }
    }

    /// Without the permission to write, only sends to ordered topics are refused: their producers must go
    /// where order is kept.
    #[tokio::test]
    async fn a_read_only_broker_refuses_ordered_topics() {
        let disk = SimDisk::new();
        let (broker, connection) = start(&disk, &[("brokerPermission", "4")]).await;
        assert_eq!(send(&connection, "").await.response_code(), ResponseCode::SUCCESS);
        broker.shared.topics.update_order(&BTreeMap::from([("T".to_owned(), "x:1".to_owned())]), 1);
        let reply = send(&connection, "").await;
        assert_eq!(reply.response_code(), ResponseCode::NO_PERMISSION);
        assert_eq!(reply.remark.as_deref(), Some("the broker[127.0.0.1] sending message is forbidden"));
    }
}
