//! One NameServer and one Broker as real processes, ours or Java's, in a folder of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use ferrocket_protocol::body::route::TopicRouteData;
use ferrocket_protocol::fastjson;

use crate::matrix::Server;
use crate::process::{POLL, Process, free_port};
use crate::route;
use crate::setup::Workshop;

/// The name of the only broker.
pub const BROKER_NAME: &str = "broker-a";

/// A Java server on two cores that others use too.
const START_LIMIT: Duration = Duration::from_secs(60);
/// A 5.3.3 broker registers only some ten seconds after it started.
const ROUTE_LIMIT: Duration = Duration::from_secs(45);
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// What JDK 17 needs to let either Java version map and unmap its files.
pub const JDK_17: [&str; 3] = [
    "--add-exports=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/jdk.internal.ref=ALL-UNNAMED",
];

const JVM_FLAGS: [&str; 7] = [
    "-Xms128m",
    "-Xmx512m",
    "-XX:MaxDirectMemorySize=512m",
    // On a disk fuller than this a Java broker refuses writes or deletes its log; ours is told in its settings.
    "-Drocketmq.broker.diskSpaceWarningLevelRatio=0.98",
    "-Drocketmq.broker.diskSpaceCleanForciblyRatio=0.97",
    // Start quickly rather than run fast: each server lives for a minute.
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
];

const LOGBACK: &str = r#"<configuration>
  <appender name="console" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d %-5level %logger - %msg%n</pattern></encoder>
  </appender>
  <root level="WARN"><appender-ref ref="console"/></root>
</configuration>
"#;

/// A NameServer with a registered Broker. Both are killed when it is dropped.
pub struct Cluster {
    workshop: Workshop,
    folder: PathBuf,
    namesrv_server: Server,
    broker_server: Server,
    namesrv_port: u16,
    broker_port: u16,
    namesrv: Process,
    broker: Process,
}

impl Cluster {
    /// Starts both and waits until the NameServer routes to the Broker. Configurations, stores and
    /// logs go into `folder`.
    pub fn start(
        workshop: &Workshop,
        namesrv: Server,
        broker: Server,
        folder: &Path,
    ) -> Result<Self, String> {
        let home = folder.join("home");
        fs::create_dir_all(home.join("conf")).map_err(|e| format!("{}: {e}", home.display()))?;
        for name in ["logback_namesrv.xml", "logback_broker.xml", "logback_tools.xml"] {
            write(&home.join("conf").join(name), LOGBACK)?;
        }
        let (namesrv_port, broker_port) = (free_port(), free_port());
        // Java servers are told of TLS on their command line, and ignore these rows.
        let tls = workshop.tls_config.as_deref().map(|path| format!("tls.config.file={}\n", path.display()));
        let tls = tls.unwrap_or_default();
        write(&folder.join("namesrv.conf"), &format!("listenPort={namesrv_port}\n{tls}"))?;
        // Short delay levels: consumption is retried after seconds, not after half a minute. A Java
        // broker refuses sends that waited 200 ms, or while an append takes a second, which on two cores they do.
        let store = folder.join("store");
        let config = format!(
            "brokerClusterName=DefaultCluster\nbrokerName={BROKER_NAME}\nbrokerId=0\nbrokerIP1=127.0.0.1\n\
             namesrvAddr=127.0.0.1:{namesrv_port}\nlistenPort={broker_port}\nstorePathRootDir={store}\n\
             storePathCommitLog={store}/commitlog\nmappedFileSizeCommitLog=67108864\n\
             autoCreateTopicEnable=true\nautoCreateSubscriptionGroup=true\nflushDiskType=ASYNC_FLUSH\n\
             waitTimeMillsInSendQueue=5000\nosPageCacheBusyTimeOutMills=30000\n\
             enablePropertyFilter=true\ntraceTopicEnable=true\n\
             messageDelayLevel=1s 1s 1s 2s 2s 2s 2s 2s 2s 2s 2s 2s 2s 2s 2s 2s 2s 2s\n\
             transactionTimeOut=3000\ntransactionCheckInterval=2000\ntransactionCheckMax=2\n\
             transactionOpBatchInterval=500\n\
             diskSpaceWarningLevelRatio=98\ndiskSpaceCleanForciblyRatio=97\n{tls}\
             useTLS={}\n{}",
            workshop.tls_config.is_some(),
            workshop.broker_settings,
            store = store.display(),
        );
        write(&folder.join("broker.conf"), &config)?;
        let namesrv_process = start_namesrv(workshop, namesrv, folder)?;
        let broker_process = start_broker(workshop, broker, folder, namesrv_port)?;
        let mut cluster = Self {
            workshop: workshop.clone(),
            folder: folder.to_owned(),
            namesrv_server: namesrv,
            broker_server: broker,
            namesrv_port,
            broker_port,
            namesrv: namesrv_process,
            broker: broker_process,
        };
        cluster.wait_registered()?;
        Ok(cluster)
    }

    /// Whose Broker it is.
    pub fn broker_server(&self) -> Server {
        self.broker_server
    }

    /// `host:port` of the NameServer.
    pub fn namesrv_address(&self) -> String {
        format!("127.0.0.1:{}", self.namesrv_port)
    }

    /// `host:port` of the Broker.
    pub fn broker_address(&self) -> String {
        format!("127.0.0.1:{}", self.broker_port)
    }

    /// Whether the NameServer knows `topic`.
    pub fn knows(&self, topic: &str) -> Result<bool, String> {
        let route = route::query(self.namesrv_port, topic);
        route.map(|route| route.is_some()).map_err(|e| format!("route of {topic}: {e}"))
    }

    /// The system flag of `topic`, as the NameServer tells it.
    pub fn topic_flags(&self, topic: &str) -> Result<i32, String> {
        let route = route::query(self.namesrv_port, topic).map_err(|e| format!("route of {topic}: {e}"))?;
        let route = route.ok_or_else(|| format!("no route of {topic}"))?;
        let route: TopicRouteData =
            fastjson::from_slice(route.as_bytes()).map_err(|e| format!("{route}: {e}"))?;
        let queues = route.queue_datas.first().ok_or_else(|| format!("{topic} is at no Broker"))?;
        Ok(queues.topic_sys_flag)
    }

    /// Waits until the NameServer routes `topic` to the Broker.
    pub fn wait_route(&self, topic: &str) -> Result<(), String> {
        self.wait_route_for(topic, ROUTE_LIMIT)
    }

    /// The same with a limit of the caller's.
    pub fn wait_route_for(&self, topic: &str, limit: Duration) -> Result<(), String> {
        route::wait(self.namesrv_port, topic, self.broker_port, limit)
    }

    /// Whether a topic may never be routed: a 5.3.3 broker registers each new topic alone, two made
    /// at once under the same data version, and a 4.9.7 NameServer ignores the second.
    pub fn may_lose_topics(&self) -> bool {
        self.namesrv_server == Server::Java49 && self.broker_server == Server::Java53
    }

    /// Ends the Broker process in order, starts another on the same port and store, and waits
    /// until it is registered.
    pub fn restart_broker(&mut self) -> Result<(), String> {
        self.broker.terminate(STOP_LIMIT)?;
        // A NameServer that missed the unregistration would show the old route at once.
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.knows("TBW102")? && Instant::now() < deadline {
            std::thread::sleep(POLL);
        }
        self.broker = start_broker(&self.workshop, self.broker_server, &self.folder, self.namesrv_port)?;
        self.wait_registered()
    }

    /// Kills both servers at once (SIGKILL).
    pub fn kill(&mut self) {
        self.broker.kill();
        self.namesrv.kill();
    }

    /// Starts both again after [`Cluster::kill`], on the same ports and store. The Broker serves when this returns.
    pub fn revive(&mut self) -> Result<(), String> {
        self.namesrv = start_namesrv(&self.workshop, self.namesrv_server, &self.folder)?;
        self.broker = start_broker(&self.workshop, self.broker_server, &self.folder, self.namesrv_port)?;
        Ok(())
    }

    /// Sends the Broker a signal, such as `-STOP`.
    pub fn signal_broker(&self, signal: &str) -> Result<(), String> {
        self.broker.signal(signal)
    }

    /// Starts the Broker anew, with `accounts` as its accounts' file.
    pub fn restart_with_accounts(&mut self, accounts: &str) -> Result<(), String> {
        write(&self.folder.join("home/conf/plain_acl.yml"), accounts)?;
        let file = self.folder.join("broker.conf");
        let config = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        write(&file, &format!("{config}aclEnable=true\n"))?;
        self.restart_broker()
    }

    /// An error if one of the servers is gone.
    pub fn check_alive(&mut self) -> Result<(), String> {
        self.namesrv.check_alive()?;
        self.broker.check_alive()
    }

    fn wait_registered(&mut self) -> Result<(), String> {
        self.wait_route("TBW102").or_else(|fault| self.check_alive().and(Err(fault)))
    }
}

fn start_namesrv(workshop: &Workshop, server: Server, folder: &Path) -> Result<Process, String> {
    let mut command = match server {
        Server::Ours => {
            let mut command = Command::new(workshop.our_server()?);
            // Some files have their place in the home folder, as Java's have.
            command.arg("namesrv").env("HOME", folder.join("home"));
            command
        }
        java => java_command(workshop, java, folder, "org.apache.rocketmq.namesrv.NamesrvStartup")?,
    };
    command.arg("-c").arg(folder.join("namesrv.conf"));
    ready(&mut command, "namesrv", folder, "The Name Server boot success")
}

fn start_broker(workshop: &Workshop, server: Server, folder: &Path, namesrv: u16) -> Result<Process, String> {
    let mut command = match server {
        Server::Ours => {
            let mut command = Command::new(workshop.our_server()?);
            command.arg("broker").env("HOME", folder.join("home")).env("ROCKETMQ_HOME", folder.join("home"));
            command
        }
        java => java_command(workshop, java, folder, "org.apache.rocketmq.broker.BrokerStartup")?,
    };
    command.arg("-n").arg(format!("127.0.0.1:{namesrv}")).arg("-c").arg(folder.join("broker.conf"));
    ready(&mut command, "broker", folder, &format!("The broker[{BROKER_NAME}, "))
}

fn java_command(workshop: &Workshop, server: Server, folder: &Path, class: &str) -> Result<Command, String> {
    let version = if server == Server::Java49 { "4.9.7" } else { "5.3.3" };
    let home = folder.join("home");
    let mut command = Command::new("java");
    command
        .args(JDK_17)
        .args(JVM_FLAGS)
        .args(workshop.java_tls())
        .arg(format!("-Duser.home={}", home.display()))
        .arg(format!("-Drocketmq.client.logRoot={}", home.display()))
        .args(["-cp", &workshop.class_path(&format!("servers-{version}"))?, class])
        .env("ROCKETMQ_HOME", home);
    Ok(command)
}

/// Starts a server and waits for a line that holds `sign` and `boot success`.
pub fn ready(command: &mut Command, name: &str, folder: &Path, sign: &str) -> Result<Process, String> {
    let (ready, started) = mpsc::channel();
    let expected = sign.to_owned();
    let process = Process::spawn(command, name, folder, move |line| {
        if line.contains(&expected) && line.contains("boot success") {
            let _ = ready.send(());
        }
    })?;
    match started.recv_timeout(START_LIMIT) {
        Ok(()) => Ok(process),
        Err(RecvTimeoutError::Timeout) => Err(format!("{name} printed no `{sign}…` within {START_LIMIT:?}")),
        Err(RecvTimeoutError::Disconnected) => {
            let text = fs::read_to_string(folder.join(format!("{name}.err"))).unwrap_or_default();
            Err(format!("{name} ended while starting: {}", text.lines().next_back().unwrap_or("")))
        }
    }
}

fn write(file: &Path, content: &str) -> Result<(), String> {
    fs::write(file, content).map_err(|e| format!("{}: {e}", file.display()))
}
