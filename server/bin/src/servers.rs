//! The server commands: settings from file, options and environment; start; wait for a signal; stop cleanly.

use std::path::Path;

use ferrocket_broker::{Broker, BrokerSettings};
use ferrocket_namesrv::{NameServer, NamesrvSettings};
use tokio::signal::unix::{SignalKind, signal};

use crate::{ServerArgs, StandaloneArgs};

/// `ferrocket namesrv`, Java's `mqnamesrv`.
pub(crate) async fn namesrv(args: ServerArgs) -> Result<(), String> {
    let mut settings = NamesrvSettings::default();
    if let Some(text) = read_config(args.config_file.as_deref())? {
        warn(settings.load(&text).map_err(|error| in_file(args.config_file.as_deref(), error))?);
    }
    set_home(|key, value| settings.set(key, value).map_err(|error| error.to_string()))?;
    if args.print_all || args.print_important {
        print!("{}", if args.print_all { settings.print_all() } else { settings.print_important() });
        return Ok(());
    }
    let stop = Stop::new()?;
    let server = NameServer::start(settings).await.map_err(|error| error.to_string())?;
    println!("The Name Server boot success. serializeType=JSON");
    stop.wait().await;
    server.shutdown().await;
    Ok(())
}

/// `ferrocket broker`, Java's `mqbroker`.
pub(crate) async fn broker(args: ServerArgs) -> Result<(), String> {
    let mut settings = BrokerSettings::default();
    // The environment is the weakest source, then the file, then the option: as Java has it.
    if let Ok(addr) = std::env::var("NAMESRV_ADDR") {
        settings.set("namesrvAddr", &addr).map_err(|error| error.to_string())?;
    }
    if let Some(text) = read_config(args.config_file.as_deref())? {
        warn(settings.load(&text).map_err(|error| in_file(args.config_file.as_deref(), error))?);
    }
    if let Some(addr) = &args.namesrv_addr {
        settings.set("namesrvAddr", addr).map_err(|error| error.to_string())?;
    }
    set_home(|key, value| settings.set(key, value).map_err(|error| error.to_string()))?;
    if args.print_all || args.print_important {
        print!("{}", if args.print_all { settings.print_all() } else { settings.print_important() });
        return Ok(());
    }
    let stop = Stop::new()?;
    let broker = Broker::start(settings).await.map_err(|error| error.to_string())?;
    println!("{}", boot_line(&broker));
    stop.wait().await;
    broker.shutdown().await.map_err(|error| error.to_string())
}

/// `ferrocket standalone`: the two servers in one process, the Broker registered at the NameServer.
pub(crate) async fn standalone(args: StandaloneArgs) -> Result<(), String> {
    let stop = Stop::new()?;
    let servers = Standalone::start(&args).await?;
    println!("The Name Server boot success. serializeType=JSON");
    println!("{}", boot_line(&servers.broker));
    println!("standalone: name server {}, data in {}", servers.namesrv_addr(), args.data.display());
    stop.wait().await;
    servers.shutdown().await
}

/// A NameServer and a Broker that live and stop together.
pub(crate) struct Standalone {
    namesrv: NameServer,
    broker: Broker,
}

impl Standalone {
    /// Both servers; when it returns, the Broker's routes are known to the NameServer.
    pub(crate) async fn start(args: &StandaloneArgs) -> Result<Self, String> {
        let home = args.data.to_str().ok_or("--data: the path is not UTF-8")?;
        std::fs::create_dir_all(&args.data).map_err(|error| format!("cannot create {home}: {error}"))?;
        let listen = args.listen.to_string();
        let mut settings = NamesrvSettings::default();
        let namesrv_settings = [
            ("bindAddress", listen.clone()),
            ("listenPort", args.namesrv_port.to_string()),
            ("kvConfigPath", format!("{home}/namesrv/kvConfig.json")),
            ("configStorePath", format!("{home}/namesrv/namesrv.properties")),
        ];
        for (key, value) in namesrv_settings {
            settings.set(key, &value).map_err(|error| error.to_string())?;
        }
        let namesrv = NameServer::start(settings).await.map_err(|error| error.to_string())?;

        let mut settings = BrokerSettings::default();
        let mut broker_settings = vec![
            ("bindAddress", listen.clone()),
            ("listenPort", args.broker_port.to_string()),
            ("namesrvAddr", namesrv.local_addr().to_string()),
            ("storePathRootDir", format!("{home}/store")),
            ("storePathCommitLog", format!("{home}/store/commitlog")),
        ];
        // An unspecified address cannot be given to clients: the Broker then chooses as it does alone.
        if !args.listen.is_unspecified() {
            broker_settings.push(("brokerIP1", listen));
        }
        for (key, value) in broker_settings {
            settings.set(key, &value).map_err(|error| error.to_string())?;
        }
        match Broker::start(settings).await {
            Ok(broker) => Ok(Self { namesrv, broker }),
            Err(error) => {
                namesrv.shutdown().await;
                Err(error.to_string())
            }
        }
    }

    /// Where clients find the NameServer.
    pub(crate) fn namesrv_addr(&self) -> String {
        self.namesrv.local_addr().to_string()
    }

    /// The Broker first, so that it can still unregister.
    pub(crate) async fn shutdown(self) -> Result<(), String> {
        let stopped = self.broker.shutdown().await.map_err(|error| error.to_string());
        self.namesrv.shutdown().await;
        stopped
    }
}

/// What Java prints when its broker is ready; start scripts wait for it.
fn boot_line(broker: &Broker) -> String {
    let line = format!(
        "The broker[{}, {}] boot success. serializeType=JSON",
        broker.name(),
        broker.advertised_addr()
    );
    match broker.namesrv_addr() {
        addr if addr.is_empty() => line,
        addr => format!("{line} and name server is {addr}"),
    }
}

fn read_config(file: Option<&Path>) -> Result<Option<String>, String> {
    file.map(|file| {
        std::fs::read_to_string(file).map_err(|error| format!("cannot read -c {}: {error}", file.display()))
    })
    .transpose()
}

fn in_file(file: Option<&Path>, error: impl std::fmt::Display) -> String {
    format!("{}: {error}", file.unwrap_or(Path::new("")).display())
}

fn warn(warnings: Vec<String>) {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}

/// `ROCKETMQ_HOME` is kept as the setting `rocketmqHome`; nothing here needs it.
fn set_home(mut set: impl FnMut(&str, &str) -> Result<(), String>) -> Result<(), String> {
    match std::env::var("ROCKETMQ_HOME") {
        Ok(home) => set("rocketmqHome", &home),
        Err(_) => Ok(()),
    }
}

/// SIGINT or SIGTERM. Listening begins before the servers start, so that an early signal is not lost.
struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Stop {
    fn new() -> Result<Self, String> {
        let listen = |kind| signal(kind).map_err(|error| format!("cannot listen for signals: {error}"));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    async fn wait(mut self) {
        let name = tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        };
        tracing::info!("{name}: shutting down");
    }
}
