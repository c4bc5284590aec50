//! Starting and stopping a NameServer.
//!
//! Java counterparts: `NamesrvController` and `BrokerHousekeepingService`.

use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, io};

use ferrocket_acl::Access;
use ferrocket_remoting::Listener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

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
    pub(crate) saving: Mutex<()>,
    /// Held only to look up, to list and to change entries.
    routes: Mutex<RouteTable>,
    pub(crate) kv: KvConfig,
    /// Who may ask for what; none without `aclEnable`.
    pub(crate) access: Option<Arc<Access>>,
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

    pub(crate) fn routes(&self) -> MutexGuard<'_, RouteTable> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.started.elapsed().as_millis() as i64
    }
}

/// Why a NameServer does not start, in words: the setting or address at fault and the reason.
#[derive(Debug)]
pub struct StartError(String);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

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
    /// `bindAddress` is no IP address, it cannot be listened on, the table's file cannot be read, or TLS is asked
    /// for with files that do not do.
    pub async fn start(settings: NamesrvSettings) -> Result<Self, StartError> {
        let failed = |what: String| move |error: io::Error| StartError(format!("{what}: {error}"));
        let addr = settings.listen_addr().map_err(|error| StartError(error.to_string()))?;
        let path = settings.path("kvConfigPath");
        let failed_path = failed(format!("kvConfigPath {}", path.display()));
        let kv = KvConfig::load(path).map_err(failed_path)?;
        let access = settings.access().map_err(StartError)?.map(Arc::new);
        let remoting = settings.remoting().map_err(|error| StartError(error.to_string()))?;
        let listening = Listener::bind(addr, remoting).await;
        let listener = listening.map_err(failed(format!("cannot listen on {addr}")))?;
        let local_addr = listener.local_addr();
        let shared = Arc::new(Shared {
            settings: Mutex::new(settings),
            saving: Mutex::default(),
            routes: Mutex::default(),
            kv,
            access,
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

/// Forgets silent brokers and looks for changed accounts, for ever.
async fn expire(shared: &Shared) {
    let mut tick = tokio::time::interval(EXPIRE_EVERY);
    loop {
        tick.tick().await;
        if let Some(access) = shared.access.clone() {
            tokio::task::spawn_blocking(move || access.look());
        }
        shared.routes().expire(shared.now_ms());
    }
}
