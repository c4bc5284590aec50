//! The server commands: settings from file, options and environment; start; wait for a signal; stop cleanly.

use std::env::VarError;
use std::fmt::Display;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use ferrocket_broker::{Broker, BrokerSettings};
use ferrocket_namesrv::{NameServer, NamesrvSettings};
use ferrocket_protocol::settings::{TEXT_LEN_MAX, parse_properties};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{ServerArgs, StandaloneArgs};

/// `ferrocket namesrv`, Java's `mqnamesrv`.
pub(crate) async fn namesrv(args: ServerArgs) -> Result<(), String> {
    let mut settings = NamesrvSettings::default();
    let mut set = |key: &str, value: &str| settings.set(key, value).map_err(|error| error.to_string());
    if let Some(home) = from_environment("ROCKETMQ_HOME")? {
        set("rocketmqHome", &home)?;
    }
    if let Some(file) = &args.config_file {
        let name = file.display();
        warn(settings.load(&read_config(file)?).map_err(|error| format!("{name}: {error}"))?);
        // As in Java: settings that are changed at runtime are saved into the file they came from.
        let path = file.to_str().ok_or_else(|| format!("-c {name}: the path is not UTF-8"))?;
        settings.set("configStorePath", path).map_err(|error| error.to_string())?;
    }
    if args.print_all || args.print_important {
        say(if args.print_all { settings.print_all() } else { settings.print_important() }.trim_end());
        return Ok(());
    }
    let stop = Stop::new()?;
    let server = NameServer::start(settings).await.map_err(|error| error.to_string())?;
    say("The Name Server boot success. serializeType=JSON");
    stop.wait().await;
    server.shutdown().await;
    Ok(())
}

/// `ferrocket broker`, Java's `mqbroker`.
pub(crate) async fn broker(args: ServerArgs) -> Result<(), String> {
    let mut settings = BrokerSettings::default();
    let mut set = |key: &str, value: &str| settings.set(key, value).map_err(|error| error.to_string());
    // The environment is the weakest source, then the file, then the option: as Java has it.
    for (variable, key) in [("NAMESRV_ADDR", "namesrvAddr"), ("ROCKETMQ_HOME", "rocketmqHome")] {
        if let Some(value) = from_environment(variable)? {
            set(key, &value)?;
        }
    }
    if let Some(file) = &args.config_file {
        let name = file.display();
        warn(settings.load(&read_config(file)?).map_err(|error| format!("{name}: {error}"))?);
        let path = file.to_str().ok_or_else(|| format!("-c {name}: the path is not UTF-8"))?;
        settings.set("brokerConfigPath", path).map_err(|error| error.to_string())?;
    }
    if let Some(addr) = &args.namesrv_addr {
        settings.set("namesrvAddr", addr).map_err(|error| error.to_string())?;
    }
    if args.print_all || args.print_important {
        say(if args.print_all { settings.print_all() } else { settings.print_important() }.trim_end());
        return Ok(());
    }
    let stop = Stop::new()?;
    let broker = Broker::start(settings).await.map_err(|error| error.to_string())?;
    say(boot_line(&broker));
    stop.wait().await;
    broker.shutdown().await.map_err(|error| error.to_string())
}

/// `ferrocket standalone`: the two servers in one process, the Broker registered at the NameServer.
pub(crate) async fn standalone(args: StandaloneArgs) -> Result<(), String> {
    let stop = Stop::new()?;
    let servers = Standalone::start(&args).await?;
    say("The Name Server boot success. serializeType=JSON");
    say(boot_line(&servers.broker));
    say(format_args!("standalone: name server {}, data in {}", servers.namesrv_addr(), args.data.display()));
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
        let config = args.config_file.as_deref().map(read_config).transpose()?.unwrap_or_default();
        let mut settings = NamesrvSettings::default();
        for (key, value) in parse_properties(&config).map_err(|error| error.to_string())? {
            // Else one of the two would serve whom the other refuses.
            if ["acl", "tls.", "rocketmqHome"].iter().any(|shared| key.starts_with(shared)) {
                settings.set(&key, &value).map_err(|error| error.to_string())?;
            }
        }
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
        warn(settings.load(&config).map_err(|error| error.to_string())?);
        let mut broker_settings = vec![
            ("bindAddress", listen.clone()),
            ("listenPort", args.broker_port.to_string()),
            ("namesrvAddr", reachable(namesrv.local_addr())),
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

    /// Where clients on this machine find the NameServer.
    pub(crate) fn namesrv_addr(&self) -> String {
        reachable(self.namesrv.local_addr())
    }

    /// The Broker first, so that it can still unregister.
    pub(crate) async fn shutdown(self) -> Result<(), String> {
        let stopped = self.broker.shutdown().await.map_err(|error| error.to_string());
        self.namesrv.shutdown().await;
        stopped
    }
}

/// Where this machine reaches a listener: one that listens everywhere also does so on the loopback address.
fn reachable(mut addr: SocketAddr) -> String {
    match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => addr.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => addr.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    addr.to_string()
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

/// A line for whoever started this. What runs keeps running when nobody reads any more, as behind
/// `| grep -m 1 'boot success'`.
pub(crate) fn say(line: impl Display) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// A settings file's text. Java reads Latin-1; a file that is no UTF-8 is taken as that.
fn read_config(file: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    // One byte more than is accepted, so that a file that is too long is refused rather than cut.
    std::fs::File::open(file)
        .and_then(|opened| opened.take(TEXT_LEN_MAX as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot read -c {}: {error}", file.display()))?;
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| error.as_bytes().iter().map(|byte| char::from(*byte)).collect()))
}

fn warn(warnings: Vec<String>) {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}

/// A variable's value, if it is set to something.
fn from_environment(variable: &str) -> Result<Option<String>, String> {
    match std::env::var(variable) {
        Ok(value) => Ok(Some(value).filter(|value| !value.trim().is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(format!("{variable}: the value is not UTF-8")),
    }
}

/// SIGINT, SIGTERM or SIGHUP, which all stop a JVM in order. Listening begins before the servers start, so
/// that an early signal is not lost.
pub(crate) struct Stop {
    interrupt: Signal,
    terminate: Signal,
    /// Absent when whoever started the process wants it to outlive the terminal (`nohup`).
    hangup: Option<Signal>,
}

impl Stop {
    pub(crate) fn new() -> Result<Self, String> {
        let listen = |kind| signal(kind).map_err(|error| format!("cannot listen for signals: {error}"));
        // Listening would end that the signal is ignored.
        let hangup = if ignores(SignalKind::hangup()) { None } else { Some(listen(SignalKind::hangup())?) };
        let (interrupt, terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate, hangup })
    }

    /// Waits for one of them; answers its name.
    pub(crate) async fn wait(mut self) -> &'static str {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        let name = tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
            _ = hangup => "SIGHUP",
        };
        tracing::info!("{name}: shutting down");
        name
    }
}

/// Whether this process was started with a signal ignored. Linux tells; elsewhere it counts as ignored.
fn ignores(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(u64::MAX);
    mask >> (kind.as_raw_value() - 1) & 1 == 1
}
