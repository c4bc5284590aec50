//! A whole cluster in the test's own process: a NameServer and a Broker, ours, on free ports of the loopback
//! address, with the store in memory and a clock that the test can turn.
//!
//! ```
//! use ferrocket::Message;
//! use ferrocket::testing::Cluster;
//!
//! # #[tokio::main]
//! # async fn main() -> ferrocket::Result<()> {
//! let cluster = Cluster::start().await?;
//! let client = cluster.client().build()?;
//! let producer = client.producer("orders").start().await?;
//! let sent = producer.send(Message::new("Orders", "paid")).await?;
//! assert!(sent.is_ok());
//! client.shutdown().await?;
//! cluster.shutdown().await
//! # }
//! ```
//!
//! Everything is as with the real servers, since these are the real servers: topics come into being with the first
//! message, retries and dead letters work, requests go over TCP. Only the disk is not there: what is stored is gone
//! with the cluster.

use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use ferrocket_broker::{Broker, BrokerSettings};
use ferrocket_namesrv::{NameServer, NamesrvSettings};
use ferrocket_store::{Clock, SimDisk, SystemClock};
use tokio::runtime::{Builder, Runtime};

use crate::client::Client;
use crate::config::ClientBuilder;
use crate::error::{Error, ErrorKind, Result};
use crate::message_ids::as_millis;

/// How long an example may take: on a busy machine, too.
const EXAMPLE_TIMEOUT: Duration = Duration::from_secs(120);

/// A running NameServer and Broker. Dropping it stops both without the courtesies of [`Cluster::shutdown`].
///
/// ```
/// use ferrocket::Message;
/// use ferrocket::testing::Cluster;
///
/// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
/// let cluster = Cluster::start().await?;
/// let client = cluster.client().build()?;
/// let producer = client.producer("orders").start().await?;
/// assert!(producer.send(Message::new("Orders", "paid")).await?.is_ok());
/// client.shutdown().await?;
/// cluster.shutdown().await?;
/// # Ok(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct Cluster {
    namesrv: NameServer,
    broker: Broker,
    clock: Arc<TurnedClock>,
    namesrv_addr: String,
    /// For the NameServer's key-value table, the one file of a cluster.
    _folder: Folder,
}

/// Sets up a [`Cluster`]. Obtained from [`Cluster::builder`].
///
/// ```
/// use ferrocket::testing::Cluster;
///
/// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
/// let cluster = Cluster::builder()
///     .broker_setting("messageDelayLevel", "1h 1d")
///     .broker_setting("enablePropertyFilter", "true")
///     .namesrv_setting("orderMessageEnable", "true")
///     .start()
///     .await?;
/// # cluster.shutdown().await?;
/// # Ok(()) }).unwrap();
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ClusterBuilder {
    broker: Vec<(String, String)>,
    namesrv: Vec<(String, String)>,
}

impl ClusterBuilder {
    /// One of the Broker's settings by its Java name, for instance `messageDelayLevel`.
    pub fn broker_setting(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.broker.push((key.into(), value.into()));
        self
    }

    /// One of the NameServer's settings by its Java name, for instance `orderMessageEnable`.
    pub fn namesrv_setting(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.namesrv.push((key.into(), value.into()));
        self
    }

    /// The cluster. It serves when this returns, and the NameServer knows the Broker.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a setting that there is not, or a value that it cannot have; [`ErrorKind::Io`]
    /// when no port can be listened on.
    pub async fn start(self) -> Result<Cluster> {
        let folder = Folder::new();
        let file = |name: &str| folder.0.join(name).to_string_lossy().into_owned();
        let mut settings = NamesrvSettings::default();
        let places =
            [("kvConfigPath", file("kvConfig.json")), ("configStorePath", file("namesrv.properties"))];
        let loopback = [("bindAddress", "127.0.0.1"), ("listenPort", "0")];
        let ours = loopback.into_iter().chain(places.iter().map(|(key, value)| (*key, value.as_str())));
        for (key, value) in ours.chain(pairs(&self.namesrv)) {
            settings.set(key, value).map_err(config)?;
        }
        let namesrv = NameServer::start(settings).await.map_err(io)?;
        let namesrv_addr = namesrv.local_addr().to_string();

        let mut settings = BrokerSettings::default();
        let ours = [
            ("brokerIP1", "127.0.0.1"),
            ("namesrvAddr", namesrv_addr.as_str()),
            ("storePathRootDir", "/store"),
            ("storePathCommitLog", "/store/commitlog"),
        ];
        for (key, value) in loopback.into_iter().chain(ours).chain(pairs(&self.broker)) {
            settings.set(key, value).map_err(config)?;
        }
        let clock = Arc::new(TurnedClock::default());
        let broker = Broker::start_on(settings, Arc::new(SimDisk::new()), clock.clone()).await.map_err(io)?;
        Ok(Cluster { namesrv, broker, clock, namesrv_addr, _folder: folder })
    }
}

impl Cluster {
    /// A cluster as it is by default: topics and groups are created by being used.
    ///
    /// # Errors
    /// As [`ClusterBuilder::start`].
    pub async fn start() -> Result<Self> {
        Self::builder().start().await
    }

    /// For a cluster with settings of its own.
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder::default()
    }

    /// Where the NameServer listens, `127.0.0.1:port`.
    ///
    /// ```
    /// use ferrocket::testing::Cluster;
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// let cluster = Cluster::start().await?;
    /// // For a client in another language, or another process.
    /// println!("NAMESRV_ADDR={}", cluster.namesrv_addr());
    /// # cluster.shutdown().await?;
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn namesrv_addr(&self) -> &str {
        &self.namesrv_addr
    }

    /// For a client of this cluster.
    pub fn client(&self) -> ClientBuilder {
        Client::builder(&self.namesrv_addr)
    }

    /// Turns the Broker's clock on by so much. What is due then happens now: delayed messages, retries among them,
    /// are delivered, half messages asked about. Leases of queues and the silence of clients are counted in real
    /// time and do not run out.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use ferrocket::testing::Cluster;
    /// use ferrocket::{ConsumeFromWhere, Message};
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// let cluster = Cluster::builder().broker_setting("messageDelayLevel", "1d").start().await?;
    /// # let client = cluster.client().build()?;
    /// # let producer = client.producer("p").start().await?;
    /// let sent = producer.send(Message::new("Reminders", "a day has passed").delay_level(1)).await?;
    /// cluster.advance(Duration::from_secs(24 * 60 * 60));
    /// # let consumer = client.lite_pull_consumer("c").subscribe("Reminders", "*");
    /// # let consumer = consumer.consume_from(ConsumeFromWhere::FirstOffset).start().await?;
    /// let messages = consumer.poll(Duration::from_secs(30)).await?;
    /// assert_eq!(&messages[0].body[..], b"a day has passed");
    /// # client.shutdown().await?;
    /// # cluster.shutdown().await?;
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn advance(&self, by: Duration) {
        self.clock.0.fetch_add(as_millis(by), Ordering::SeqCst);
        self.broker.clock_turned();
    }

    /// Stops the Broker, then the NameServer.
    ///
    /// # Errors
    /// [`ErrorKind::Io`], with what the Broker could not finish.
    pub async fn shutdown(self) -> Result<()> {
        let stopped = self.broker.shutdown().await.map_err(io);
        self.namesrv.shutdown().await;
        stopped
    }
}

/// Runs the program of an example in this documentation, with a client of a cluster of its own.
///
/// # Errors
/// The program's own, and [`ErrorKind::Timeout`] for one that does not end.
#[doc(hidden)]
pub fn example(program: impl AsyncFnOnce(&Cluster, Client) -> Result<()>) -> Result<()> {
    let stage = Stage::new()?;
    let ran = stage.run(pin!(program(&stage.cluster, stage.client.clone())));
    ran.and(stage.end())
}

/// Where an example runs. There are many of them: what is here is built once, and not with each.
struct Stage {
    runtime: Runtime,
    cluster: Cluster,
    client: Client,
}

impl Stage {
    fn new() -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(io)?;
        let cluster = runtime.block_on(Cluster::start())?;
        let client = cluster.client().mq_client_api_timeout(EXAMPLE_TIMEOUT).build()?;
        Ok(Self { runtime, cluster, client })
    }

    fn run(&self, program: Pin<&mut dyn Future<Output = Result<()>>>) -> Result<()> {
        let ran = self.runtime.block_on(async { tokio::time::timeout(EXAMPLE_TIMEOUT, program).await });
        ran.unwrap_or_else(|_| Err(Error::new(ErrorKind::Timeout, "the example does not end")))
    }

    fn end(self) -> Result<()> {
        self.runtime.block_on(async {
            self.client.shutdown().await?;
            self.cluster.shutdown().await
        })
    }
}

fn pairs(settings: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    settings.iter().map(|(key, value)| (key.as_str(), value.as_str()))
}

fn config(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Config, error.to_string())
}

fn io(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Io, error.to_string())
}

/// The machine's clock, turned on by some milliseconds.
#[derive(Debug, Default)]
struct TurnedClock(AtomicI64);

impl Clock for TurnedClock {
    fn now_ms(&self) -> i64 {
        SystemClock.now_ms().saturating_add(self.0.load(Ordering::SeqCst))
    }
}

/// A folder of this cluster's own among the machine's temporary ones; made by who writes into it.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("ferrocket-testing-{}-{number}", std::process::id())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        match std::fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(folder = %self.0.display(), %error, "a cluster's folder stays behind");
            }
            _ => {}
        }
    }
}
