//! Who has which topic: what brokers registered, and which of them are alive.
//!
//! Pure: time and connection numbers are handed in, nothing is durable. Brokers teach a NameServer that
//! was started again. Queue mappings and acting masters of 5.x are left out.
//!
//! Java counterpart: `RouteInfoManager`. Where 4.9.8 loses routes that its own brokers registered, this
//! table follows 5.3.3; the places say so.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ferrocket_protocol::body::route::{BrokerData, ClusterInfo, MASTER_ID, QueueData, TopicRouteData};
use ferrocket_protocol::body::topic::{
    DataVersion, PERM_READ, PERM_WRITE, TopicConfig, TopicConfigSerializeWrapper, TopicList,
};

/// A broker that has not been heard of for longer than this is dead. Java: `BROKER_CHANNEL_EXPIRED_TIME`.
pub(crate) const BROKER_TIMEOUT_MS: i64 = 120_000;
/// Most brokers that are registered at once.
pub(crate) const BROKERS_MAX: usize = 16_384;
/// Most topics that have routes; further ones of a registration are passed over.
pub(crate) const TOPICS_MAX: usize = 1_000_000;

/// Unit bits of `QueueData::topic_sys_flag`. Java: `TopicSysFlag`.
const FLAG_UNIT: i32 = 1;
const FLAG_UNIT_SUB: i32 = 1 << 1;

/// One registration of a broker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registration {
    pub(crate) cluster: String,
    pub(crate) broker_name: String,
    pub(crate) broker_addr: String,
    pub(crate) broker_id: i64,
    pub(crate) ha_server_addr: String,
    /// Silence after which the broker is dead, if it says so itself (5.x).
    pub(crate) timeout_ms: Option<i64>,
    /// All its topics, or only those that changed.
    pub(crate) topics: TopicConfigSerializeWrapper,
    pub(crate) filter_servers: Vec<String>,
    /// The connection it came over.
    pub(crate) connection: u64,
}

/// What a slave learns from its registration; a master learns nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Registered {
    pub(crate) master_addr: Option<String>,
    pub(crate) ha_server_addr: Option<String>,
}

/// Why a registration is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unregistered {
    /// A broker that is not registered sent a single topic. Taking it would record the DataVersion of a
    /// table that is not known, and the rest of that table would then be taken for old news (4.9.8).
    Partial,
    /// The table is full.
    TooManyBrokers,
}

#[derive(Debug)]
struct Live {
    heard_ms: i64,
    timeout_ms: i64,
    data_version: DataVersion,
    connection: u64,
    ha_server_addr: String,
    filter_servers: Vec<String>,
}

/// The tables of a NameServer.
#[derive(Debug, Default)]
pub(crate) struct RouteTable {
    /// Topic → broker name → its queues. No topic is without queues.
    topics: BTreeMap<String, BTreeMap<String, QueueData>>,
    /// Broker name → addresses. No broker is without addresses.
    brokers: BTreeMap<String, BrokerData>,
    /// Broker address → what was last heard from it.
    live: HashMap<String, Live>,
}

impl RouteTable {
    /// Takes a registration: adds and changes topics, never removes one.
    ///
    /// Queues are taken from masters only. Those of a topic that is there already, in a table whose
    /// DataVersion did not change, stay as they are: permissions set at this NameServer outlive the
    /// registration that every broker repeats.
    pub(crate) fn register(
        &mut self,
        registration: Registration,
        now_ms: i64,
    ) -> Result<Registered, Unregistered> {
        let Registration { broker_name, broker_addr, broker_id, topics, .. } = registration;
        let is_new =
            self.brokers.get(&broker_name).is_none_or(|it| !it.broker_addrs.contains_key(&broker_id));
        if is_new && topics.topic_config_table.len() == 1 {
            return Err(Unregistered::Partial);
        }
        if self.live.len() >= BROKERS_MAX && !self.live.contains_key(&broker_addr) {
            return Err(Unregistered::TooManyBrokers);
        }
        let broker = self.brokers.entry(broker_name.clone()).or_default();
        broker.broker_name.clone_from(&broker_name);
        broker.cluster = registration.cluster;
        // A slave that became the master leaves its old number.
        broker.broker_addrs.retain(|id, addr| *addr != broker_addr || *id == broker_id);
        let old_addr = broker.broker_addrs.insert(broker_id, broker_addr.clone());
        if broker_id == MASTER_ID && old_addr.as_ref() != Some(&broker_addr) {
            tracing::info!(cluster = broker.cluster, broker_name, ?old_addr, broker_addr, "master changed");
        }

        if broker_id == MASTER_ID {
            let changed = is_new || self.is_changed(&broker_addr, &topics.data_version);
            for config in topics.topic_config_table.into_values() {
                self.put_queues(&broker_name, config, changed);
            }
        }

        let live = Live {
            heard_ms: now_ms,
            timeout_ms: registration.timeout_ms.filter(|ms| *ms > 0).unwrap_or(BROKER_TIMEOUT_MS),
            data_version: topics.data_version,
            connection: registration.connection,
            ha_server_addr: registration.ha_server_addr,
            filter_servers: registration.filter_servers,
        };
        if self.live.insert(broker_addr.clone(), live).is_none() {
            tracing::info!(broker_name, broker_id, broker_addr, "new broker registered");
        }
        Ok(if broker_id == MASTER_ID { Registered::default() } else { self.master_of(&broker_name) })
    }

    fn master_of(&self, broker_name: &str) -> Registered {
        let addr = self.brokers.get(broker_name).and_then(|broker| broker.broker_addrs.get(&MASTER_ID));
        match addr.and_then(|addr| Some((addr, self.live.get(addr)?))) {
            Some((addr, live)) => Registered {
                master_addr: Some(addr.clone()),
                ha_server_addr: Some(live.ha_server_addr.clone()),
            },
            None => Registered::default(),
        }
    }

    fn put_queues(&mut self, broker_name: &str, config: TopicConfig, changed: bool) {
        let full = self.topics.len() >= TOPICS_MAX;
        let topic = config.topic_name;
        let queues = match self.topics.get_mut(&topic) {
            Some(queues) => queues,
            None if full => {
                tracing::warn!(topic, broker_name, "too many topics, passed over");
                return;
            }
            None => self.topics.entry(topic.clone()).or_default(),
        };
        let data = QueueData {
            broker_name: broker_name.to_owned(),
            perm: config.perm,
            read_queue_nums: config.read_queue_nums,
            topic_sys_flag: config.topic_sys_flag,
            write_queue_nums: config.write_queue_nums,
        };
        match queues.get_mut(broker_name) {
            None => {
                tracing::info!(topic, ?data, "new topic registered");
                queues.insert(broker_name.to_owned(), data);
            }
            Some(old) if changed && *old != data => {
                tracing::info!(topic, ?old, new = ?data, "topic changed");
                *old = data;
            }
            Some(_) => {}
        }
    }

    /// Takes queues of one topic, from brokers that are registered (5.x). False, and nothing is taken, if
    /// one is not.
    pub(crate) fn register_topic(&mut self, topic: &str, queues: Vec<QueueData>) -> bool {
        let known = queues.iter().all(|data| self.brokers.contains_key(&data.broker_name));
        let room = self.topics.len() < TOPICS_MAX || self.topics.contains_key(topic);
        if queues.is_empty() || !known || !room {
            return false;
        }
        let named = queues.into_iter().map(|data| (data.broker_name.clone(), data));
        self.topics.entry(topic.to_owned()).or_default().extend(named);
        true
    }

    /// Forgets this address of a broker. An address that took its place stays (5.3.3; 4.9.8 goes by the
    /// broker's number and lets the late farewell of an old process remove the new one).
    pub(crate) fn unregister(&mut self, broker_name: &str, broker_addr: &str) {
        let ours = self.brokers.get(broker_name);
        if ours.is_some_and(|broker| broker.broker_addrs.values().any(|addr| addr == broker_addr)) {
            tracing::info!(broker_name, broker_addr, "broker unregistered");
            self.forget(broker_addr);
        }
    }

    /// Forgets the brokers whose last registration came over this connection.
    pub(crate) fn connection_closed(&mut self, connection: u64) {
        for addr in self.live_where(|live| live.connection == connection) {
            tracing::info!(broker_addr = addr, "the broker's connection closed");
            self.forget(&addr);
        }
    }

    /// Forgets the brokers that have been silent for too long; returns how many.
    pub(crate) fn expire(&mut self, now_ms: i64) -> usize {
        let expired = self.live_where(|live| live.heard_ms.saturating_add(live.timeout_ms) < now_ms);
        for addr in &expired {
            tracing::warn!(broker_addr = addr, "the broker has been silent for too long");
            self.forget(addr);
        }
        expired.len()
    }

    fn live_where(&self, is: impl Fn(&Live) -> bool) -> Vec<String> {
        self.live.iter().filter(|(_, live)| is(live)).map(|(addr, _)| addr.clone()).collect()
    }

    /// Forgets an address; with the last address of a broker, its name and queues.
    fn forget(&mut self, addr: &str) {
        self.live.remove(addr);
        let mut gone = Vec::new();
        self.brokers.retain(|name, broker| {
            broker.broker_addrs.retain(|_, other| other != addr);
            let stays = !broker.broker_addrs.is_empty();
            if !stays {
                gone.push(name.clone());
            }
            stays
        });
        for name in gone {
            tracing::info!(broker_name = name, "the broker's last address is gone, and its topics");
            self.topics.retain(|_, queues| {
                queues.remove(&name);
                !queues.is_empty()
            });
        }
    }

    /// Whether the topics of this broker differ from what is known of it; true for an unknown broker.
    pub(crate) fn is_changed(&self, broker_addr: &str, version: &DataVersion) -> bool {
        self.data_version(broker_addr).is_none_or(|known| known != *version)
    }

    /// The version of the topics that a broker last registered.
    pub(crate) fn data_version(&self, broker_addr: &str) -> Option<DataVersion> {
        self.live.get(broker_addr).map(|live| live.data_version)
    }

    /// Notes that a broker is alive.
    pub(crate) fn heard(&mut self, broker_addr: &str, now_ms: i64) {
        if let Some(live) = self.live.get_mut(broker_addr) {
            live.heard_ms = now_ms;
        }
    }

    /// Takes write permission from all queues of a broker; returns how many topics it has.
    pub(crate) fn wipe_write_perm(&mut self, broker_name: &str) -> i32 {
        self.set_perm(broker_name, |perm| perm & !PERM_WRITE)
    }

    /// Lets a broker's queues be read and written, whatever they were before; returns how many topics it
    /// has.
    pub(crate) fn add_write_perm(&mut self, broker_name: &str) -> i32 {
        self.set_perm(broker_name, |_| PERM_READ | PERM_WRITE)
    }

    fn set_perm(&mut self, broker_name: &str, perm: impl Fn(i32) -> i32) -> i32 {
        let mut count = 0;
        for data in self.topics.values_mut().filter_map(|queues| queues.get_mut(broker_name)) {
            data.perm = perm(data.perm);
            count += 1;
        }
        count
    }

    /// Forgets a topic: everywhere, or on the brokers of one cluster.
    pub(crate) fn delete_topic(&mut self, topic: &str, cluster: Option<&str>) {
        let Some(queues) = self.topics.get_mut(topic) else { return };
        if let Some(cluster) = cluster {
            let brokers = &self.brokers;
            queues.retain(|name, _| brokers.get(name).is_none_or(|broker| broker.cluster != cluster));
        }
        if cluster.is_none() || queues.is_empty() {
            tracing::info!(topic, "topic deleted");
            self.topics.remove(topic);
        }
    }

    /// The route of a topic, if a broker that has it is alive.
    pub(crate) fn route(&self, topic: &str) -> Option<TopicRouteData> {
        let queues = self.topics.get(topic)?;
        let broker_datas: Vec<_> = queues.keys().filter_map(|name| self.brokers.get(name)).cloned().collect();
        if broker_datas.is_empty() {
            return None;
        }
        let addrs = broker_datas.iter().flat_map(|broker| broker.broker_addrs.values());
        let filter_server_table = addrs
            .filter_map(|addr| Some((addr.clone(), self.live.get(addr)?.filter_servers.clone())))
            .filter(|(_, servers)| !servers.is_empty())
            .collect();
        let queue_datas = queues.values().cloned().collect();
        Some(TopicRouteData { broker_datas, filter_server_table, order_topic_conf: None, queue_datas })
    }

    /// All clusters and brokers.
    pub(crate) fn cluster_info(&self) -> ClusterInfo {
        ClusterInfo { broker_addr_table: self.brokers.clone(), cluster_addr_table: self.clusters() }
    }

    fn clusters(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut clusters: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for broker in self.brokers.values() {
            clusters.entry(broker.cluster.clone()).or_default().insert(broker.broker_name.clone());
        }
        clusters
    }

    /// The addresses of a broker.
    pub(crate) fn broker(&self, broker_name: &str) -> Option<&BrokerData> {
        self.brokers.get(broker_name)
    }

    /// All topics.
    pub(crate) fn topics(&self) -> TopicList {
        self.topics_where(|_| true)
    }

    /// The topics of a cluster.
    pub(crate) fn topics_of_cluster(&self, cluster: &str) -> TopicList {
        let in_cluster = |name: &String| self.brokers.get(name).is_some_and(|it| it.cluster == cluster);
        self.topics_where(|queues| queues.keys().any(in_cluster))
    }

    /// The names that every broker registers for itself: of clusters and of brokers.
    pub(crate) fn system_topics(&self) -> TopicList {
        let clusters = self.clusters();
        let broker = self.brokers.values().next();
        TopicList {
            broker_addr: broker.and_then(|broker| broker.broker_addrs.values().next()).cloned(),
            topic_list: clusters
                .into_iter()
                .flat_map(|(name, brokers)| brokers.into_iter().chain([name]))
                .collect(),
        }
    }

    /// Topics with the unit bit.
    pub(crate) fn unit_topics(&self) -> TopicList {
        self.topics_flagged(|flags| flags & FLAG_UNIT != 0)
    }

    /// Topics with the unit subscription bit.
    pub(crate) fn unit_sub_topics(&self) -> TopicList {
        self.topics_flagged(|flags| flags & FLAG_UNIT_SUB != 0)
    }

    /// Topics with the unit subscription bit and without the unit bit.
    pub(crate) fn unit_sub_ununit_topics(&self) -> TopicList {
        self.topics_flagged(|flags| flags & (FLAG_UNIT | FLAG_UNIT_SUB) == FLAG_UNIT_SUB)
    }

    /// Topics by the bits of one of their brokers, as in Java.
    fn topics_flagged(&self, is: impl Fn(i32) -> bool) -> TopicList {
        self.topics_where(|queues| queues.values().next().is_some_and(|data| is(data.topic_sys_flag)))
    }

    fn topics_where(&self, is: impl Fn(&BTreeMap<String, QueueData>) -> bool) -> TopicList {
        let topics = self.topics.iter().filter(|(_, queues)| is(queues));
        TopicList { broker_addr: None, topic_list: topics.map(|(topic, _)| topic.clone()).collect() }
    }
}
