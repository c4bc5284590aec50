//! Registers this broker at every NameServer, and keeps it registered.
//!
//! Each NameServer has a task of its own, so that one that is down delays nobody. It registers the whole
//! table on every new connection and every `registerNameServerPeriod`, and single topics at once when they
//! change. [`Enrolment`] decides which of these is due. Left out: filter servers, what slaves
//! take from the answer. Java counterparts: `BrokerController.registerBrokerAll`, `BrokerOuterAPI`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use ferrocket_protocol::body::register::{KVTable, RegisterBrokerBody};
use ferrocket_protocol::body::topic::{DataVersion, PERM_READ, PERM_WRITE, TopicConfigSerializeWrapper};
use ferrocket_protocol::requests::route::{
    QueryDataVersionHeader, QueryDataVersionReply, RegisterBrokerHeader, UnregisterBrokerHeader,
};
use ferrocket_protocol::{Header, RemotingCommand, RequestCode, ResponseCode, Text, fastjson, message};
use ferrocket_remoting::{CallError, Connection, Dialer, RefuseAll, RemotingConfig};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::broker::Shared;
use crate::topics::{Missed, Topics};

/// NameServers of one broker.
const SERVERS_MAX: usize = 64;
/// After a failure, the first attempt comes this much later. Java waits for the next period.
const RETRY_AFTER: Duration = Duration::from_secs(3);
/// How long a NameServer may take to hear our goodbye.
const UNREGISTER_TIMEOUT: Duration = Duration::from_secs(3);
/// Bounds of `registerNameServerPeriod`, as Java clamps it.
const PERIOD: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(60));

/// What a broker is to NameServers. Fixed once its port is known.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// `brokerClusterName`.
    pub(crate) cluster: Text,
    /// `brokerName`.
    pub(crate) broker_name: Text,
    /// `brokerId`.
    pub(crate) broker_id: i64,
    /// The address that clients are given.
    pub(crate) addr: Text,
    /// The address that slaves are given.
    pub(crate) ha_addr: Text,
}

/// What is due at a NameServer: the plain core of a server's task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Enrolment {
    /// The connection of the last successful registration. On another one the NameServer has forgotten us or
    /// is another process.
    connection: Option<u64>,
    /// The counter of the version it has.
    counter: i64,
}

/// What to send.
#[derive(Debug, PartialEq)]
pub(crate) enum Due {
    /// The whole table.
    Whole,
    /// Some topics, under this version.
    Topics(TopicConfigSerializeWrapper),
    /// Nothing: it has everything.
    Nothing,
}

impl Enrolment {
    /// What is due on this connection; `period_over` asks for the regular registration.
    pub(crate) fn due(self, connection_id: u64, period_over: bool, topics: &Topics) -> Due {
        if self.connection != Some(connection_id) || period_over {
            return Due::Whole;
        }
        match topics.changed_since(self.counter) {
            (_, Missed::Unknown) => Due::Whole,
            (_, Missed::Topics(changed)) if changed.is_empty() => Due::Nothing,
            (data_version, Missed::Topics(changed)) => Due::Topics(TopicConfigSerializeWrapper {
                data_version,
                topic_config_table: changed
                    .iter()
                    .map(|topic| (topic.topic_name.clone(), (**topic).clone()))
                    .collect(),
            }),
        }
    }

    /// The NameServer has the version with this counter now.
    pub(crate) fn registered(&mut self, connection_id: u64, counter: i64) {
        *self = Self { connection: Some(connection_id), counter };
    }

    /// Nothing is known about what it has.
    pub(crate) fn failed(&mut self) {
        self.connection = None;
    }
}

/// What others can see of a server's task.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    attempts: u64,
    /// Whether the last attempt failed.
    failing: bool,
    /// The counter of the version the server has.
    counter: i64,
}

#[derive(Debug)]
struct Server {
    progress: watch::Receiver<Progress>,
    /// Dropped to end the task.
    stop: watch::Sender<()>,
    task: JoinHandle<()>,
}

/// This broker's registrations.
pub(crate) struct Registration {
    identity: Identity,
    dialer: Dialer,
    /// By address. Held to look up and to exchange entries.
    servers: Mutex<BTreeMap<String, Server>>,
    /// The address server is to be asked now, not when its time has come.
    pub(crate) ask_at_once: Arc<Notify>,
    /// What asks it.
    asking: Mutex<Option<JoinHandle<()>>>,
}

impl Registration {
    /// Nothing is registered before [`Registration::set_servers`].
    pub(crate) fn new(identity: Identity, config: RemotingConfig) -> Self {
        Self {
            identity,
            dialer: Dialer::new(Arc::new(RefuseAll), config),
            servers: Mutex::default(),
            ask_at_once: Arc::default(),
            asking: Mutex::default(),
        }
    }

    /// What NameServers are told about this broker.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    fn servers(&self) -> MutexGuard<'_, BTreeMap<String, Server>> {
        // Entries are exchanged whole.
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the task that asks the address server, until the shutdown.
    pub(crate) fn keep(&self, asking: JoinHandle<()>) {
        *self.asking.lock().unwrap_or_else(PoisonError::into_inner) = Some(asking);
    }

    /// Registers at the NameServers of `namesrvAddr` from now on, and at no others; when it names none, at those
    /// that were `found` (`;` between). At those that are no longer in it the entry expires. Needs a Tokio runtime.
    pub(crate) fn set_servers(broker: &Arc<Shared>, found: &str) {
        let mut servers = broker.registration.servers();
        // Read under the lock: of two that set servers, the last one has the last settings.
        let settings = broker.settings.now();
        let list = if settings.namesrv_addr.is_empty() { found } else { &settings.namesrv_addr };
        let mut wanted: Vec<&str> = list.split(';').map(str::trim).filter(|addr| !addr.is_empty()).collect();
        if wanted.len() > SERVERS_MAX {
            tracing::warn!(SERVERS_MAX, "too many NameServers: the rest is left out");
            wanted.truncate(SERVERS_MAX);
        }
        servers.retain(|addr, _| wanted.contains(&&**addr));
        for addr in wanted {
            if servers.contains_key(addr) {
                continue;
            }
            let (report, progress) = watch::channel(Progress::default());
            let (stop, stopped) = watch::channel(());
            let changes = broker.topics.changes();
            let broker = Arc::downgrade(broker);
            let task = tokio::spawn(keep_registered(broker, changes, addr.to_owned(), report, stopped));
            servers.insert(addr.to_owned(), Server { progress, stop, task });
        }
    }

    /// Waits until every NameServer has been tried once.
    pub(crate) async fn tried(&self) {
        self.wait(|progress| progress.attempts > 0).await;
    }

    /// Waits until every NameServer that works has the version with this counter, but not longer than
    /// `timeout`: whoever created a topic looks for its route next.
    pub(crate) async fn has(&self, counter: i64, timeout: Duration) {
        let all = self.wait(|progress| progress.failing || progress.counter >= counter);
        if tokio::time::timeout(timeout, all).await.is_err() {
            tracing::warn!("a NameServer did not take a changed topic within {timeout:?}");
        }
    }

    async fn wait(&self, reached: impl Fn(&Progress) -> bool + Copy) {
        let all: Vec<_> = self.servers().values().map(|server| server.progress.clone()).collect();
        for mut progress in all {
            // An error means that the task has ended: nothing more will come of it.
            let _ = progress.wait_for(reached).await;
        }
    }

    /// Ends all tasks and takes the broker off every NameServer that can be reached.
    pub(crate) async fn shutdown(&self) {
        let asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(asking) = asking {
            // Waited for: it must not find a NameServer once more.
            asking.abort();
            let _ = asking.await;
        }
        let servers = std::mem::take(&mut *self.servers());
        let mut goodbyes = JoinSet::new();
        for (addr, Server { stop, task, .. }) in servers {
            let Identity { cluster, broker_name, broker_id, addr: broker_addr, .. } = self.identity.clone();
            let dialer = self.dialer.clone();
            goodbyes.spawn(async move {
                // Over before the goodbye: it must not register once more, nor miss the connection that we close.
                drop(stop);
                if let Err(error) = task.await {
                    tracing::error!(namesrv = addr, %error, "registering failed");
                }
                let header = UnregisterBrokerHeader { broker_name, broker_addr, cluster_name: cluster, broker_id };
                let request = RemotingCommand::request(RequestCode::UnregisterBroker, &header);
                match dialer.call(&addr, request, UNREGISTER_TIMEOUT).await {
                    Ok(reply) if reply.response_code() == ResponseCode::SUCCESS => {
                        tracing::info!(namesrv = addr, "unregistered");
                    }
                    Ok(reply) => tracing::warn!(namesrv = addr, code = reply.code, remark = ?reply.remark, "could not unregister"),
                    Err(error) => tracing::warn!(namesrv = addr, %error, "could not unregister"),
                }
            });
        }
        while goodbyes.join_next().await.is_some() {}
        self.dialer.close_all();
    }
}

/// Keeps the broker registered at one NameServer, until the other end of `stopped` is dropped. Holds the
/// broker only while it registers, or a dropped one would live on for it.
async fn keep_registered(
    broker: Weak<Shared>,
    mut changes: watch::Receiver<i64>,
    addr: String,
    report: watch::Sender<Progress>,
    mut stopped: watch::Receiver<()>,
) {
    let mut enrolment = Enrolment::default();
    let mut next_regular = Instant::now();
    loop {
        changes.mark_unchanged();
        let Some(broker) = broker.upgrade() else { return };
        let period_over = Instant::now() >= next_regular;
        let attempt = register(&broker, &addr, &mut enrolment, period_over);
        let result = tokio::select! {
            result = attempt => result,
            _ = stopped.changed() => return,
        };
        let wait = match &result {
            Ok(_) => {
                if period_over {
                    next_regular =
                        Instant::now() + broker.settings.now().register_period.clamp(PERIOD.0, PERIOD.1);
                }
                next_regular
            }
            Err(error) => {
                enrolment.failed();
                match report.borrow().failing {
                    false => tracing::warn!(namesrv = addr, error, "could not register, trying on"),
                    true => tracing::debug!(namesrv = addr, error, "could not register"),
                }
                Instant::now() + RETRY_AFTER
            }
        };
        report.send_modify(|progress| {
            progress.attempts += 1;
            progress.failing = result.is_err();
            progress.counter = enrolment.counter;
        });
        drop(broker);
        let lost = async {
            match &result {
                Ok(connection) => connection.closed().await,
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            () = tokio::time::sleep_until(wait) => {}
            // A NameServer that comes back has forgotten everything.
            () = lost => tracing::warn!(namesrv = addr, "lost the connection to the NameServer"),
            // A NameServer that fails gets the whole table when it works again. An error means that the broker
            // is gone, which the loop sees.
            _ = changes.changed(), if result.is_ok() => {}
            _ = stopped.changed() => return,
        }
    }
}

/// Sends what is due. The failure in words.
async fn register(
    broker: &Shared,
    addr: &str,
    enrolment: &mut Enrolment,
    period_over: bool,
) -> Result<Connection, String> {
    let registration = &broker.registration;
    let settings = broker.settings.now();
    let timeout = settings.register_timeout;
    let words = |error: CallError| error.to_string();
    let connection = registration.dialer.connection(addr).await.map_err(words)?;
    let (mut table, whole) = match enrolment.due(connection.id(), period_over, &broker.topics) {
        Due::Nothing => return Ok(connection),
        Due::Whole => (broker.topics.to_wrapper(), true),
        Due::Topics(table) => (table, false),
    };
    let version = table.data_version;
    // A table that the NameServer has already need not be sent again, unless the settings want it.
    let first_here = enrolment.connection != Some(connection.id());
    if whole
        && !first_here
        && !settings.force_register
        && !needs(registration, &connection, version, timeout).await?
    {
        enrolment.registered(connection.id(), version.counter);
        return Ok(connection);
    }
    if settings.permission & (PERM_READ | PERM_WRITE) != PERM_READ | PERM_WRITE {
        for topic in table.topic_config_table.values_mut() {
            topic.perm &= settings.permission;
        }
    }
    let body = RegisterBrokerBody { filter_server_list: Vec::new(), topic_config_serialize_wrapper: table };
    let body = body.encode(settings.compressed_register);
    let identity = registration.identity.clone();
    let header = RegisterBrokerHeader {
        broker_name: identity.broker_name,
        broker_addr: identity.addr,
        cluster_name: identity.cluster,
        ha_server_addr: identity.ha_addr,
        broker_id: identity.broker_id,
        compressed: Some(settings.compressed_register),
        body_crc32: Some(message::body_crc(&body)),
        ..RegisterBrokerHeader::default()
    };
    let request = RemotingCommand::request(RequestCode::RegisterBroker, &header).with_body(body);
    let reply = connection.call(request, timeout).await.map_err(words)?;
    refused(&reply)?;
    if first_here {
        tracing::info!(namesrv = addr, "registered");
    }
    enrolment.registered(connection.id(), version.counter);
    let leads = registration
        .servers()
        .iter()
        .find(|(_, server)| !server.progress.borrow().failing)
        .map(|(first, _)| first == addr);
    // Of several NameServers the first that works decides which topics are ordered, or they would undo each other.
    if !reply.body.is_empty() && leads == Some(true) {
        let ordered: KVTable = fastjson::from_slice(&reply.body).map_err(|error| error.to_string())?;
        broker.topics.update_order(&ordered.table, broker.clock.now_ms());
    }
    Ok(connection)
}

/// Whether the NameServer lacks this version. Java: `needRegister`.
async fn needs(
    registration: &Registration,
    connection: &Connection,
    version: DataVersion,
    timeout: Duration,
) -> Result<bool, String> {
    let Identity { cluster, broker_name, broker_id, addr, .. } = registration.identity.clone();
    let header = QueryDataVersionHeader { broker_name, broker_addr: addr, cluster_name: cluster, broker_id };
    let request = RemotingCommand::request(RequestCode::QueryDataVersion, &header)
        .with_body(fastjson::to_vec(&version));
    let reply = connection.call(request, timeout).await.map_err(|error| error.to_string())?;
    refused(&reply)?;
    let changed =
        QueryDataVersionReply::decode(&reply.ext_fields).map_err(|error| error.to_string())?.changed;
    let theirs = (!reply.body.is_empty()).then(|| fastjson::from_slice::<DataVersion>(&reply.body));
    Ok(changed || matches!(theirs, Some(Ok(theirs)) if theirs != version))
}

fn refused(reply: &RemotingCommand) -> Result<(), String> {
    match reply.response_code() {
        ResponseCode::SUCCESS => Ok(()),
        code => Err(format!("{code}: {}", reply.remark.as_deref().unwrap_or("no reason given"))),
    }
}

#[cfg(test)]
mod tests {
    use ferrocket_protocol::body::topic::TopicConfig;

    use super::*;
    use crate::saving::Changes;
    use crate::topics::TopicSettings;

    fn topics() -> Topics {
        let settings = TopicSettings {
            cluster: "c".to_owned(),
            broker: "b".to_owned(),
            default_queue_nums: 8,
            auto_create: true,
            cluster_topic: true,
            broker_topic: true,
            trace_topic: None,
            light: false,
        };
        Topics::new(&settings, 0)
    }

    /// Whole tables first, after a lost connection, after a failure and when the period is over; single
    /// topics between.
    #[test]
    fn what_is_due() {
        let topics = topics();
        let mut enrolment = Enrolment::default();
        assert_eq!(enrolment.due(1, false, &topics), Due::Whole);
        enrolment.registered(1, topics.version().counter);
        assert_eq!(enrolment.due(1, false, &topics), Due::Nothing);
        assert_eq!(enrolment.due(1, true, &topics), Due::Whole);
        topics.update(TopicConfig::new("t", 4, 4, 6), 1).unwrap();
        match enrolment.due(1, false, &topics) {
            Due::Topics(table) => {
                assert_eq!(table.data_version, topics.version());
                assert_eq!(table.topic_config_table.into_keys().collect::<Vec<_>>(), ["t"]);
            }
            other => panic!("one topic is due, not {other:?}"),
        }
        assert_eq!(enrolment.due(2, false, &topics), Due::Whole, "a new connection starts over");
        enrolment.registered(1, topics.version().counter);
        topics.delete("t", 2);
        assert_eq!(enrolment.due(1, false, &topics), Due::Whole);
        enrolment.registered(1, topics.version().counter);
        enrolment.failed();
        assert_eq!(enrolment.due(1, false, &topics), Due::Whole);
    }
}
