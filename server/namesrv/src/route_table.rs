//! Who has which topic: what brokers registered, and which of them are alive.
//!
//! Pure: time and connection numbers are handed in, nothing is durable. Brokers teach a NameServer that
//! was started again. Queue mappings and acting masters of 5.x are left out.
//!
//! Java counterpart: `RouteInfoManager`. Where 4.9.8 loses routes that its own brokers registered, this
//! table follows 5.3.3; the places say so.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ferrocket_protocol::body::register::RegisterBrokerBody;
use ferrocket_protocol::body::route::{BrokerData, ClusterInfo, MASTER_ID, QueueData, TopicRouteData};
use ferrocket_protocol::body::topic::{DataVersion, TopicConfig, TopicList};
use ferrocket_protocol::requests::route::{RegisterBrokerHeader, RegisterBrokerReply};

/// A broker that has not been heard of for longer than this is dead. Java: `BROKER_CHANNEL_EXPIRED_TIME`.
pub(crate) const BROKER_TIMEOUT_MS: i64 = 120_000;
/// Most brokers that are registered at once.
pub(crate) const BROKERS_MAX: usize = 16_384;
/// Most topics that have routes; further ones of a registration are passed over.
pub(crate) const TOPICS_MAX: usize = if cfg!(test) { 1_000 } else { 1_000_000 };

/// Bit of `QueueData::topic_sys_flag`. Java: `TopicSysFlag`.
pub(crate) const FLAG_UNIT: i32 = 1;
/// See [`FLAG_UNIT`].
pub(crate) const FLAG_UNIT_SUB: i32 = 2;

/// One registration of a broker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registration {
    pub(crate) header: RegisterBrokerHeader,
    /// All topics of the broker, or only those that changed.
    pub(crate) body: RegisterBrokerBody,
    /// The connection it came over.
    pub(crate) connection: u64,
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
    ) -> Result<RegisterBrokerReply, Unregistered> {
        let Registration { header, body, connection } = registration;
        let topics = body.topic_config_serialize_wrapper;
        let (broker_id, broker_addr) = (header.broker_id, header.broker_addr.to_string());
        let broker_name = header.broker_name.to_string();
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
        broker.cluster = header.cluster_name.to_string();
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
            timeout_ms: header.heartbeat_timeout_millis.filter(|ms| *ms > 0).unwrap_or(BROKER_TIMEOUT_MS),
            data_version: topics.data_version,
            connection,
            ha_server_addr: header.ha_server_addr.to_string(),
            filter_servers: body.filter_server_list,
        };
        if self.live.insert(broker_addr.clone(), live).is_none() {
            tracing::info!(broker_name, broker_id, broker_addr, "new broker registered");
        }
        Ok(if broker_id == MASTER_ID { RegisterBrokerReply::default() } else { self.master_of(&broker_name) })
    }

    /// What a slave learns from its registration; a master learns nothing.
    fn master_of(&self, broker_name: &str) -> RegisterBrokerReply {
        let addr = self.brokers.get(broker_name).and_then(|broker| broker.broker_addrs.get(&MASTER_ID));
        let live = addr.and_then(|addr| self.live.get(addr));
        RegisterBrokerReply {
            ha_server_addr: live.map(|live| live.ha_server_addr.clone().into()),
            master_addr: live.and(addr).map(|addr| addr.clone().into()),
        }
    }

    fn put_queues(&mut self, broker_name: &str, config: TopicConfig, changed: bool) {
        let topic = config.topic_name;
        if self.topics.len() >= TOPICS_MAX && !self.topics.contains_key(&topic) {
            tracing::warn!(topic, broker_name, "too many topics, passed over");
            return;
        }
        let data = QueueData {
            broker_name: broker_name.to_owned(),
            perm: config.perm,
            read_queue_nums: config.read_queue_nums,
            topic_sys_flag: config.topic_sys_flag,
            write_queue_nums: config.write_queue_nums,
        };
        let queues = self.topics.entry(topic.clone()).or_default();
        let old = queues.get(broker_name);
        if old.is_none() || (changed && old != Some(&data)) {
            tracing::info!(topic, ?old, new = ?data, "topic registered");
            queues.insert(broker_name.to_owned(), data);
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
        self.forget_where("its connection closed", |live| live.connection == connection);
    }

    /// Forgets the brokers that have been silent for too long; returns how many.
    pub(crate) fn expire(&mut self, now_ms: i64) -> usize {
        self.forget_where("silent for too long", |live| {
            live.heard_ms.saturating_add(live.timeout_ms) < now_ms
        })
    }

    fn forget_where(&mut self, why: &str, is: impl Fn(&Live) -> bool) -> usize {
        let live = self.live.iter().filter(|(_, live)| is(live));
        let addrs: Vec<String> = live.map(|(addr, _)| addr.clone()).collect();
        for addr in &addrs {
            tracing::warn!(broker_addr = addr, why, "broker forgotten");
            self.forget(addr);
        }
        addrs.len()
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

    /// Changes the permission of all queues of a broker; returns how many topics it has.
    pub(crate) fn set_perm(&mut self, broker_name: &str, perm: impl Fn(i32) -> i32) -> i32 {
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

    /// Topics that have exactly these of the masked bits on their first broker, as in Java.
    pub(crate) fn topics_flagged(&self, mask: i32, flags: i32) -> TopicList {
        self.topics_where(|queues| {
            queues.values().next().is_some_and(|data| data.topic_sys_flag & mask == flags)
        })
    }

    fn topics_where(&self, is: impl Fn(&BTreeMap<String, QueueData>) -> bool) -> TopicList {
        let topics = self.topics.iter().filter(|(_, queues)| is(queues));
        TopicList { broker_addr: None, topic_list: topics.map(|(topic, _)| topic.clone()).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: &str = "DefaultCluster";

    /// The clock that tests turn, and what brokers send.
    #[derive(Default)]
    struct World {
        table: RouteTable,
        now_ms: i64,
    }

    fn version(counter: i64) -> DataVersion {
        DataVersion { counter, state_version: 0, timestamp: 1_700_000_000_000 }
    }

    fn registration(name: &str, id: i64, addr: &str, counter: i64, topics: &[&str]) -> Registration {
        let header = RegisterBrokerHeader {
            broker_name: name.into(),
            broker_addr: addr.into(),
            cluster_name: CLUSTER.into(),
            ha_server_addr: format!("ha-of-{addr}").into(),
            broker_id: id,
            ..RegisterBrokerHeader::default()
        };
        let mut body = RegisterBrokerBody::default();
        let table = &mut body.topic_config_serialize_wrapper;
        table.data_version = version(counter);
        for topic in topics {
            table.topic_config_table.insert((*topic).into(), TopicConfig::new(*topic, 4, 4, 6));
        }
        Registration { header, body, connection: 1 }
    }

    fn in_cluster(cluster: &str, mut registration: Registration) -> Registration {
        registration.header.cluster_name = cluster.into();
        registration
    }

    fn with_timeout(ms: i64, mut registration: Registration) -> Registration {
        registration.header.heartbeat_timeout_millis = Some(ms);
        registration
    }

    impl World {
        fn register(&mut self, registration: Registration) -> RegisterBrokerReply {
            self.table.register(registration, self.now_ms).unwrap()
        }

        fn topics(&self) -> Vec<String> {
            self.table.topics().topic_list.into_iter().collect()
        }

        fn addrs(&self, name: &str) -> Vec<(i64, &str)> {
            let broker = self.table.brokers.get(name);
            broker.iter().flat_map(|it| &it.broker_addrs).map(|(id, addr)| (*id, &**addr)).collect()
        }

        fn perm(&self, topic: &str) -> i32 {
            self.table.route(topic).unwrap().queue_datas[0].perm
        }
    }

    /// A registration with some of a broker's topics changes those and keeps the others.
    #[test]
    fn partial_registrations_are_merged() {
        let mut world = World::default();
        world.register(registration("a", 0, "a:1", 1, &["T1", "T2"]));
        let mut partial = registration("a", 0, "a:1", 2, &["T2"]);
        partial.body.topic_config_serialize_wrapper.topic_config_table.get_mut("T2").unwrap().perm = 4;
        world.register(partial);
        assert_eq!(world.topics(), ["T1", "T2"]);
        assert_eq!((world.perm("T1"), world.perm("T2")), (6, 4));
        assert_eq!(world.table.data_version("a:1"), Some(version(2)));
    }

    /// A single topic of a broker that is not registered is refused and leaves no trace, so that the whole
    /// table, which comes later with the same DataVersion, is taken.
    #[test]
    fn partial_registration_of_an_unknown_broker() {
        let mut world = World::default();
        let partial = registration("a", 0, "a:1", 3, &["T"]);
        assert_eq!(world.table.register(partial.clone(), 0), Err(Unregistered::Partial));
        assert_eq!(world.table.data_version("a:1"), None);
        assert!(world.table.cluster_info().cluster_addr_table.is_empty());
        // A name that only a slave has registered is not enough.
        world.register(registration("a", 1, "a:2", 3, &["T", "TBW102"]));
        assert_eq!(world.table.register(partial, 0), Err(Unregistered::Partial));
        world.register(registration("a", 0, "a:1", 3, &["T", "TBW102"]));
        assert_eq!(world.topics(), ["T", "TBW102"]);
    }

    /// One more broker than the table takes is refused and leaves no trace; those that are there go on.
    #[test]
    fn brokers_have_a_limit() {
        let mut world = World::default();
        for number in 0..BROKERS_MAX {
            world.register(registration(&format!("a{number}"), 0, &format!("a:{number}"), 1, &[]));
        }
        let another = registration("b", 0, "b:1", 1, &["T", "U"]);
        assert_eq!(world.table.register(another.clone(), 0), Err(Unregistered::TooManyBrokers));
        assert!(world.addrs("b").is_empty() && world.topics().is_empty());
        world.register(registration("a7", 0, "a:7", 2, &[]));
        world.table.unregister("a8", "a:8");
        world.register(another);
        assert_eq!((world.addrs("b"), world.topics().len()), (vec![(0, "b:1")], 2));
    }

    /// One topic more than the table takes is passed over; those that are there get further brokers.
    #[test]
    fn topics_have_a_limit() {
        let mut world = World::default();
        let names: Vec<String> = (0..TOPICS_MAX).map(|number| format!("T{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        world.register(registration("a", 0, "a:1", 1, &names));
        world.register(registration("b", 0, "b:1", 1, &["T7", "U"]));
        assert_eq!(world.topics().len(), TOPICS_MAX);
        assert!(world.table.route("U").is_none());
        assert_eq!(world.table.route("T7").unwrap().queue_datas.len(), 2);
        let queues = world.table.route("T7").unwrap().queue_datas;
        assert!(!world.table.register_topic("U", queues.clone()) && world.table.register_topic("T8", queues));
    }

    /// With an equal DataVersion, topics that are missing are added and those that are there stay as they
    /// were changed here; with another one the broker's word counts.
    #[test]
    fn equal_data_version() {
        let mut world = World::default();
        world.register(registration("a", 0, "a:1", 1, &["T1", "T2"]));
        assert_eq!(world.table.set_perm("a", |perm| perm & 4), 2);
        assert_eq!(world.perm("T1"), 4);
        world.register(registration("a", 0, "a:1", 1, &["T1", "T2", "T3"]));
        assert_eq!((world.perm("T1"), world.perm("T3")), (4, 6));
        world.table.delete_topic("T2", None);
        world.register(registration("a", 0, "a:1", 1, &["T1", "T2", "T3"]));
        assert_eq!((world.topics().len(), world.perm("T2")), (3, 6));
        world.register(registration("a", 0, "a:1", 2, &["T1", "T2", "T3"]));
        assert_eq!(world.perm("T1"), 6);
        assert_eq!(world.table.set_perm("a", |_| 6), 3);
        assert_eq!(world.table.set_perm("nobody", |_| 6), 0);
    }

    /// Queues come from masters only; a slave learns its master's addresses once there is one.
    #[test]
    fn slaves_learn_their_master() {
        let mut world = World::default();
        let learnt = world.register(registration("a", 1, "a:2", 1, &["T1", "T2"]));
        assert_eq!((learnt, world.topics().len()), (RegisterBrokerReply::default(), 0));
        let learnt = world.register(registration("a", 0, "a:1", 1, &["T1", "T2"]));
        assert_eq!(learnt, RegisterBrokerReply::default());
        let learnt = world.register(registration("a", 1, "a:2", 1, &["T1", "T2"]));
        let expected =
            RegisterBrokerReply { master_addr: Some("a:1".into()), ha_server_addr: Some("ha-of-a:1".into()) };
        assert_eq!(learnt, expected);
        // The slave becomes the master: one address, one number.
        world.register(registration("a", 0, "a:2", 1, &["T1", "T2"]));
        assert_eq!(world.addrs("a"), [(0, "a:2")]);
    }

    /// Only the connection of a broker's last registration takes the broker with it; a dead master's queues
    /// stay while a slave lives.
    #[test]
    fn closing_connections() {
        let mut world = World::default();
        world.register(registration("a", 0, "a:1", 1, &["T1", "T2"]));
        world.register(Registration { connection: 2, ..registration("a", 0, "a:1", 1, &["T1", "T2"]) });
        world.register(Registration { connection: 3, ..registration("a", 1, "a:2", 1, &["T1", "T2"]) });
        world.table.connection_closed(1);
        assert_eq!(world.addrs("a"), [(0, "a:1"), (1, "a:2")]);
        world.table.connection_closed(2);
        assert_eq!(world.addrs("a"), [(1, "a:2")]);
        let route = world.table.route("T1").unwrap();
        assert_eq!(route.queue_datas[0].broker_name, "a");
        assert_eq!(route.broker_datas[0].broker_addrs, BTreeMap::from([(1, "a:2".to_owned())]));
        world.table.connection_closed(3);
        assert!(world.topics().is_empty() && world.table.route("T1").is_none());
        assert!(world.table.cluster_info().cluster_addr_table.is_empty());
    }

    /// A farewell removes its own address only: the late one of an old process leaves the new one alone.
    #[test]
    fn farewells_remove_their_own_address() {
        let mut world = World::default();
        world.register(registration("a", 0, "old:1", 1, &["T1", "T2"]));
        world.register(registration("a", 0, "new:1", 1, &["T1", "T2"]));
        world.table.unregister("a", "old:1");
        assert_eq!(world.addrs("a"), [(0, "new:1")]);
        world.table.unregister("b", "new:1");
        assert_eq!((world.addrs("a").len(), world.topics().len()), (1, 2));
        world.table.unregister("a", "new:1");
        assert!(world.topics().is_empty());
    }

    /// A silent broker is forgotten after its time, not before; asking for its version counts as a word.
    #[test]
    fn silent_brokers_expire() {
        let mut world = World::default();
        world.register(registration("a", 0, "a:1", 1, &["T1", "T2"]));
        world.register(with_timeout(10_000, registration("b", 0, "b:1", 1, &["T1", "T3"])));
        assert_eq!(world.table.expire(10_000), 0);
        assert_eq!(world.table.expire(10_001), 1);
        assert_eq!(world.topics(), ["T1", "T2"]);
        assert!(world.table.is_changed("b:1", &version(1)) && !world.table.is_changed("a:1", &version(1)));
        world.table.heard("a:1", 60_000);
        assert_eq!(world.table.expire(60_000 + BROKER_TIMEOUT_MS), 0);
        assert_eq!(world.table.expire(60_001 + BROKER_TIMEOUT_MS), 1);
        assert!(world.topics().is_empty());
        world.register(with_timeout(i64::MAX, registration("c", 0, "c:1", 1, &[])));
        assert_eq!(world.table.expire(i64::MAX), 0);
    }

    /// Topics are deleted everywhere or in one cluster.
    #[test]
    fn deletes_topics() {
        let mut world = World::default();
        world.register(registration("a", 0, "a:1", 1, &["T1", "T2"]));
        world.register(in_cluster("Other", registration("b", 0, "b:1", 1, &["T1", "T2"])));
        world.table.delete_topic("T1", Some("Other"));
        assert_eq!(world.table.route("T1").unwrap().queue_datas.len(), 1);
        world.table.delete_topic("T1", Some("Nowhere"));
        world.table.delete_topic("T1", Some(CLUSTER));
        assert!(world.table.route("T1").is_none());
        world.table.delete_topic("T2", None);
        world.table.delete_topic("T2", None);
        assert!(world.topics().is_empty());
        assert!(world.table.topics_of_cluster(CLUSTER).topic_list.is_empty());
    }

    /// The lists of topics.
    #[test]
    fn lists_topics() {
        let mut world = World::default();
        let mut first = registration("a", 0, "a:1", 1, &["T0", "T1", "T2", "T3"]);
        for (flags, config) in
            first.body.topic_config_serialize_wrapper.topic_config_table.values_mut().enumerate()
        {
            config.topic_sys_flag = flags as i32;
        }
        world.register(first);
        world.register(in_cluster("Other", registration("b", 0, "b:1", 1, &["X", "Y"])));
        let list = |list: TopicList| list.topic_list.into_iter().collect::<Vec<_>>();
        assert_eq!(list(world.table.topics_flagged(1, 1)), ["T1", "T3"]);
        assert_eq!(list(world.table.topics_flagged(2, 2)), ["T2", "T3"]);
        assert_eq!(list(world.table.topics_flagged(3, 2)), ["T2"]);
        assert_eq!(list(world.table.topics_of_cluster("Other")), ["X", "Y"]);
        assert!(list(world.table.topics_of_cluster("Nowhere")).is_empty());
        let system = world.table.system_topics();
        assert_eq!(system.broker_addr.as_deref(), Some("a:1"));
        assert_eq!(list(system), [CLUSTER, "Other", "a", "b"]);
    }

    /// Queues of a single topic (5.x) are taken from registered brokers only.
    #[test]
    fn registers_single_topics() {
        let mut world = World::default();
        let queues = |name: &str| QueueData { broker_name: name.into(), perm: 6, ..QueueData::default() };
        assert!(!world.table.register_topic("S", vec![queues("a")]));
        world.register(registration("a", 0, "a:1", 1, &["T1", "T2"]));
        assert!(!world.table.register_topic("S", vec![queues("a"), queues("b")]));
        assert!(!world.table.register_topic("S", vec![]));
        assert!(world.table.route("S").is_none());
        assert!(world.table.register_topic("S", vec![queues("a")]));
        assert_eq!(world.perm("S"), 6);
    }

    /// A broker that moves to another cluster leaves the old one; filter servers show in routes.
    #[test]
    fn moves_between_clusters() {
        let mut world = World::default();
        world.register(registration("a", 0, "a:1", 1, &["T1", "T2"]));
        let servers = vec!["f:1".to_owned()];
        let mut moved = in_cluster("Other", registration("a", 0, "a:1", 1, &["T1", "T2"]));
        moved.body.filter_server_list.clone_from(&servers);
        world.register(moved);
        let clusters = world.table.cluster_info().cluster_addr_table;
        assert_eq!(clusters.into_keys().collect::<Vec<_>>(), ["Other"]);
        let route = world.table.route("T1").unwrap();
        assert_eq!(route.filter_server_table, BTreeMap::from([("a:1".to_owned(), servers)]));
    }
}
