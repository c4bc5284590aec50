//! The Broker: what its handlers share, and how it starts and stops.
//!
//! Start: bind the port, open the store (which recovers), read the tables, serve, register, look after what
//! goes by time. Stop: unregister, answer who still waits, close connections, save, close the store. Left
//! out: slaves, access control, TLS. Java counterparts: `BrokerController`, `BrokerStartup`.

use std::net::SocketAddr;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use std::{fmt, io};

use ferrocket_protocol::Text;
use ferrocket_protocol::body::message_queue::MessageQueue;
use ferrocket_protocol::body::offset::DelayOffsetTable;
use ferrocket_remoting::{Connection, Handler, Listener, RemotingConfig};
use ferrocket_store::{Arrivals, Clock, Disk, OpenError, OsDisk, Store, SystemClock};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::advertised::{self, Machine};
use crate::clients::Clients;
use crate::delay::{self, Delay};
use crate::dispatch::Dispatch;
use crate::groups::SubscriptionGroups;
use crate::handlers::pull::{self, ParkedPull};
use crate::held_pulls::HeldPulls;
use crate::offsets::ConsumerOffsets;
use crate::queue_locks::QueueLocks;
use crate::registration::{Identity, Registration};
use crate::saving::{self, Saving};
use crate::settings::{BrokerSettings, InvalidSettings, LiveSettings};
use crate::stats::Stats;
use crate::topics::{SCHEDULE_TOPIC, Topics};

/// Between two looks at held pulls and statistics.
const TICK: Duration = Duration::from_secs(1);
/// Between two scans for silent clients, in ticks. Java: `ClientHousekeepingService`.
const CLIENT_SCAN_TICKS: u64 = 10;
/// How far below the main port the same is served again, for old clients (Java's VIP channel).
const VIP_PORT_BELOW: u16 = 2;

/// What all handlers share. One per Broker, behind an [`Arc`].
///
/// Each part has a lock of its own. None is held across a call into another part.
pub(crate) struct Shared {
    /// Settings; the hot ones change while the Broker runs.
    pub(crate) settings: LiveSettings,
    /// Time for everything but timeouts.
    pub(crate) clock: Arc<dyn Clock>,
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
    /// Leases of orderly consumers.
    pub(crate) queue_locks: QueueLocks,
    /// Counters.
    pub(crate) stats: Stats,
    /// The NameServers.
    pub(crate) registration: Registration,
    /// Orders the writers of the files under `config/`.
    pub(crate) saving: Saving,
    /// Delayed messages and `delayOffset.json`.
    pub(crate) delay: Delay,
    /// Counts sends that leave the queue to the Broker.
    pub(crate) turn: AtomicU32,
    /// `brokerIP1` as found, for texts.
    pub(crate) broker_ip: Text,
    /// The address in records and offset message ids: where clients reach this Broker.
    pub(crate) store_host: SocketAddr,
    held_pulls: Mutex<HeldPulls<ParkedPull>>,
}

impl Shared {
    /// Pulls that wait for messages. The lock is never held while one is answered.
    pub(crate) fn held_pulls(&self) -> MutexGuard<'_, HeldPulls<ParkedPull>> {
        // Parking and taking out leave a usable table wherever they stop.
        self.held_pulls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A queue of this Broker by its full name.
    pub(crate) fn queue(&self, topic: &Text, queue_id: i32) -> MessageQueue {
        MessageQueue::new(topic.clone(), self.registration.identity().broker_name.clone(), queue_id)
    }

    /// The progress of delay levels, as slaves ask for it.
    pub(crate) fn delay_offsets(&self) -> DelayOffsetTable {
        self.delay.to_table()
    }

    /// A connection is gone, with every client on it.
    pub(crate) fn connection_closed(&self, connection: &Connection) {
        self.clients.closed(connection, self.settings.now().notify_consumer_ids_changed);
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shared of {}", self.store_host)
    }
}

/// Tells whoever waits for messages that one has arrived.
struct Arrived(Weak<Shared>);

impl Arrivals for Arrived {
    fn arrived(&self, topic: &str, queue_id: i32, queue_offset: i64, tags_code: i64, store_timestamp: i64) {
        let Some(broker) = self.0.upgrade() else { return };
        if topic == SCHEDULE_TOPIC {
            broker.delay.arrived(tags_code);
        }
        let woken = broker.held_pulls().arrived(topic, queue_id, queue_offset, tags_code, store_timestamp);
        pull::answer_held(&broker, woken);
    }
}

/// A running Broker. Dropping it without [`Broker::shutdown`] is like killing the process.
pub struct Broker {
    shared: Arc<Shared>,
    local_addr: SocketAddr,
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

    async fn start_on(
        settings: BrokerSettings,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let live = LiveSettings::new(settings.clone(), clock.now_ms()).map_err(StartError::Settings)?;
        let values = live.now();
        let remoting = RemotingConfig { idle_timeout: values.idle_timeout, ..RemotingConfig::default() };
        let bind = |addr: SocketAddr| {
            let remoting = remoting.clone();
            async move { Listener::bind(addr, remoting).await.map_err(|source| StartError::Bind { addr, source }) }
        };
        let main = bind(values.listen_addr).await?;
        let local_addr = main.local_addr();
        let vip_addr = local_addr.port().checked_sub(VIP_PORT_BELOW).filter(|port| *port > 0);
        let vip = match vip_addr.map(|port| SocketAddr::new(local_addr.ip(), port)) {
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
        let store_host = advertised.socket;
        let store_config = settings.store_config(store_host).map_err(StartError::Settings)?;
        let delays_ms = store_config.delay_levels().map_err(StartError::Levels)?;
        let store = {
            let clock = clock.clone();
            blocking(move || Store::open(store_config, disk, clock).map_err(StartError::Store)).await?
        };

        let now_ms = clock.now_ms();
        let topics = Topics::new(&values.topics, now_ms);
        let groups = SubscriptionGroups::new(now_ms);
        let offsets = ConsumerOffsets::default();
        let delay = Delay::new(delays_ms);
        saving::load(store.config_files(), &topics, &offsets, &groups)
            .map_err(|error| StartError::Config(error.to_string()))?;
        delay.load(store.config_files()).map_err(|error| StartError::Config(error.to_string()))?;

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
            stats: Stats::new(&values.cluster, now_ms, local_day(now_ms)),
            settings: live,
            clock,
            store,
            topics,
            groups,
            offsets,
            clients: Clients::default(),
            queue_locks: QueueLocks::default(),
            saving: Saving::default(),
            registration: Registration::new(identity, RemotingConfig::default()),
            delay,
            turn: AtomicU32::new(0),
            broker_ip: advertised.host.into(),
            store_host,
            held_pulls: Mutex::default(),
        });
        shared.store.on_arrival(Arc::new(Arrived(Arc::downgrade(&shared))));

        let stop = watch::Sender::new(());
        let mut listeners = JoinSet::new();
        let handler: Arc<dyn Handler> = Arc::new(Dispatch::new(shared.clone()));
        for listener in [Some(main), vip].into_iter().flatten() {
            let (handler, mut stop) = (handler.clone(), stop.subscribe());
            listeners
                .spawn(async move { listener.serve(handler, async move { stopped(&mut stop).await }).await });
        }
        let mut background = JoinSet::new();
        background.spawn(delay::run(shared.clone(), stop.subscribe()));
        background.spawn(look_after_time(shared.clone(), stop.subscribe()));
        background.spawn(saving::keep_saved(shared.clone(), stop.subscribe()));
        Registration::set_servers(&shared, &values.namesrv_addr);
        shared.registration.tried().await;
        Ok(Self { shared, local_addr, stop, listeners, background })
    }

    /// The address of the main port.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The address that clients are given: `brokerIP1:port`.
    pub fn advertised_addr(&self) -> String {
        self.shared.registration.identity().addr.to_string()
    }

    /// `brokerName`.
    pub fn name(&self) -> String {
        self.shared.registration.identity().broker_name.to_string()
    }

    /// `namesrvAddr`, empty when the Broker registers nowhere.
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
            let saved = saving::save_all(&shared).and(shared.delay.save(shared.store.config_files()));
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

/// Once a second: pulls whose time is up, rates, and every tenth time clients that are silent.
async fn look_after_time(broker: Arc<Shared>, mut stop: watch::Receiver<()>) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for ticks in 1_u64.. {
        tokio::select! {
            _ = tick.tick() => {}
            () = stopped(&mut stop) => return,
        }
        let now_ms = broker.clock.now_ms();
        let due = broker.held_pulls().tick(now_ms, |held| held.connection.is_closed());
        pull::answer_held(&broker, due);
        broker.stats.tick(now_ms, local_day(now_ms));
        if ticks % CLIENT_SCAN_TICKS == 0 {
            broker.clients.scan(now_ms, broker.settings.now().notify_consumer_ids_changed);
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
