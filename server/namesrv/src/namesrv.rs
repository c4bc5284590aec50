//! Starting and stopping a NameServer.
//!
//! Java counterparts: `NamesrvController` and `BrokerHousekeepingService`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, io};

use ferrocket_remoting::Listener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::dispatch::Dispatch;
use crate::kv_config::KvConfig;
use crate::route_table::RouteTable;
use crate::settings::NamesrvSettings;

/// How often silent brokers are looked for (5.x; 10 s in 4.9).
const EXPIRE_EVERY: Duration = Duration::from_secs(5);

/// What handlers work on.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Held only to look up and to change single values.
    settings: Mutex<NamesrvSettings>,
    /// Held while the settings are saved, so that an older state never replaces a newer one.
    saving: Mutex<()>,
    /// Held only to look up and to change entries; answers are encoded outside.
    routes: Mutex<RouteTable>,
    pub(crate) kv: KvConfig,
    /// Requests whose answers wait for a file to be written.
    pub(crate) writing: AtomicUsize,
    /// Time zero of the route table: what counts there is how long a broker is silent, which setting the
    /// machine's clock must not change.
    started: Instant,
}

impl Shared {
    pub(crate) fn settings(&self) -> MutexGuard<'_, NamesrvSettings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn saving(&self) -> MutexGuard<'_, ()> {
        self.saving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn routes(&self) -> MutexGuard<'_, RouteTable> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.started.elapsed().as_millis() as i64
    }
}

/// Why a NameServer does not start.
#[derive(Debug)]
pub enum StartError {
    /// `bindAddress` is no IP address.
    BindAddress(std::net::AddrParseError),
    /// The address cannot be listened on.
    Listen {
        /// The address.
        addr: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The file of the key-value table cannot be read.
    KvConfig {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BindAddress(error) => write!(f, "bindAddress: {error}"),
            Self::Listen { addr, source } => write!(f, "cannot listen on {addr}: {source}"),
            Self::KvConfig { path, source } => write!(f, "kvConfigPath {}: {source}", path.display()),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::BindAddress(error) => Some(error),
            Self::Listen { source, .. } | Self::KvConfig { source, .. } => Some(source),
        }
    }
}

/// A running NameServer. Dropping it stops serving without the courtesies of [`NameServer::shutdown`].
#[derive(Debug)]
pub struct NameServer {
    local_addr: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl NameServer {
    /// Reads the key-value table, listens and serves on tasks of the current runtime.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(settings: NamesrvSettings) -> Result<Self, StartError> {
        let addr = settings.listen_addr().map_err(StartError::BindAddress)?;
        let path = settings.path("kvConfigPath");
        let kv = KvConfig::load(path.clone()).map_err(|source| StartError::KvConfig { path, source })?;
        let listener = Listener::bind(addr, settings.remoting())
            .await
            .map_err(|source| StartError::Listen { addr, source })?;
        let local_addr = listener.local_addr();
        let shared = Arc::new(Shared {
            settings: Mutex::new(settings),
            saving: Mutex::default(),
            routes: Mutex::default(),
            kv,
            writing: AtomicUsize::new(0),
            started: Instant::now(),
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let handler = Arc::new(Dispatch(shared.clone()));
        let serving = tokio::spawn(async move {
            let serve = listener.serve(handler, async {
                // Also when the NameServer is dropped.
                let _ = stopped.await;
            });
            tokio::select! {
                () = serve => {}
                () = expire(&shared) => {}
            }
        });
        tracing::info!(%local_addr, "the NameServer listens");
        Ok(Self { local_addr, stop, serving })
    }

    /// The address it listens on, with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Stops accepting, writes the answers that wait, and closes all connections.
    pub async fn shutdown(self) {
        let _ = self.stop.send(());
        // It fails only if serving panicked, which the log has told already.
        let _ = self.serving.await;
    }
}

/// Forgets silent brokers, for ever.
async fn expire(shared: &Shared) {
    let mut tick = tokio::time::interval(EXPIRE_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        shared.routes().expire(shared.now_ms());
    }
}
