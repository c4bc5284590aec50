//! Where topics live: queues to write, queues to read, brokers' addresses.
//!
//! Pure values; [`crate::client`] asks the NameServers and stores the answers here.
//! Java counterparts: the route parts of `MQClientInstance`, `TopicPublishInfo`.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, LazyLock};

use ferrocket_protocol::Text;
use ferrocket_protocol::body::message_queue::MessageQueue;
pub(crate) use ferrocket_protocol::body::route::MASTER_ID;
use ferrocket_protocol::body::route::TopicRouteData;
use ferrocket_protocol::body::topic::{PERM_READ, PERM_WRITE};

use crate::error::{Error, ErrorKind, Result};

/// Most topics a client keeps routes of.
const TOPICS_MAX: usize = 65_536;
/// Most queues of one topic on one broker that a route may ask us to list.
const QUEUES_MAX: i32 = 65_536;

/// The route of one topic: a snapshot, replaced as a whole.
#[derive(Clone, Debug)]
pub(crate) struct TopicRoute {
    topic: Text,
    data: TopicRouteData,
    publish: Vec<MessageQueue>,
    subscribe: Vec<MessageQueue>,
    /// Made from the template topic because the topic does not exist yet.
    is_template: bool,
}

impl TopicRoute {
    /// The route of a topic that no broker has.
    pub(crate) fn nowhere() -> &'static Self {
        static NOWHERE: LazyLock<TopicRoute> =
            LazyLock::new(|| TopicRoute::new(Text::new(), TopicRouteData::default()));
        &NOWHERE
    }

    /// The route that a NameServer answered for `topic`.
    pub(crate) fn new(topic: Text, mut data: TopicRouteData) -> Self {
        data.queue_datas.sort_by(|a, b| a.broker_name.cmp(&b.broker_name));
        data.broker_datas.sort_by(|a, b| a.broker_name.cmp(&b.broker_name));
        let list = |broker_name: &str, nums: i32| {
            let (topic, broker_name) = (topic.clone(), Text::from(broker_name));
            (0..nums.min(QUEUES_MAX)).map(move |id| MessageQueue::new(topic.clone(), broker_name.clone(), id))
        };
        let mut publish = Vec::new();
        match data.order_topic_conf.as_deref().filter(|conf| !conf.is_empty()) {
            Some(conf) => {
                for (broker, nums) in conf.split(';').filter_map(|entry| entry.split_once(':')) {
                    publish.extend(list(broker, nums.trim().parse().unwrap_or(0)));
                }
            }
            None => {
                for queues in data.queue_datas.iter().filter(|queues| queues.perm & PERM_WRITE != 0) {
                    let broker =
                        data.broker_datas.iter().find(|broker| broker.broker_name == queues.broker_name);
                    if broker.is_some_and(|broker| broker.broker_addrs.contains_key(&MASTER_ID)) {
                        publish.extend(list(&queues.broker_name, queues.write_queue_nums));
                    }
                }
            }
        }
        let mut subscribe = Vec::new();
        for queues in data.queue_datas.iter().filter(|queues| queues.perm & PERM_READ != 0) {
            subscribe.extend(list(&queues.broker_name, queues.read_queue_nums));
        }
        Self { topic, data, publish, subscribe, is_template: false }
    }

    /// A route for a `topic` that does not exist yet: its first message creates it from the template topic,
    /// whose route `data` is, with at most `queue_nums` queues per broker.
    pub(crate) fn from_template(topic: Text, mut data: TopicRouteData, queue_nums: i32) -> Self {
        for queues in &mut data.queue_datas {
            let nums = queue_nums.min(queues.read_queue_nums);
            (queues.read_queue_nums, queues.write_queue_nums) = (nums, nums);
        }
        Self { is_template: true, ..Self::new(topic, data) }
    }

    /// The topic.
    pub(crate) fn topic(&self) -> &Text {
        &self.topic
    }

    /// Queues to write to, ordered by broker name and queue id.
    pub(crate) fn publish_queues(&self) -> &[MessageQueue] {
        &self.publish
    }

    /// Queues to read from, ordered by broker name and queue id.
    pub(crate) fn subscribe_queues(&self) -> &[MessageQueue] {
        &self.subscribe
    }

    /// How many queues may be written on this broker.
    pub(crate) fn write_queue_nums(&self, broker_name: &str) -> Option<i32> {
        let mut writable = self.data.queue_datas.iter().filter(|queues| queues.perm & PERM_WRITE != 0);
        writable.find(|queues| queues.broker_name == broker_name).map(|queues| queues.write_queue_nums)
    }

    /// Whether the topic does not exist yet.
    pub(crate) fn is_template(&self) -> bool {
        self.is_template
    }

    fn addrs(&self) -> impl Iterator<Item = &str> {
        self.data.broker_datas.iter().flat_map(|broker| broker.broker_addrs.values()).map(|addr| &**addr)
    }
}

/// A broker to pull from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BrokerAddr {
    /// `host:port`.
    pub(crate) addr: Text,
    /// Not the master: it takes no commits of offsets.
    pub(crate) is_slave: bool,
}

/// What a new route changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RouteChange {
    /// The route differs from the one before.
    pub(crate) changed: bool,
    /// A broker address appeared that no heartbeat went to yet.
    pub(crate) new_addrs: bool,
}

/// All routes of a client, and the broker addresses they name.
#[derive(Debug, Default)]
pub(crate) struct RouteTable {
    topics: BTreeMap<Text, Arc<TopicRoute>>,
    brokers: BTreeMap<Text, BTreeMap<i64, Text>>,
}

impl RouteTable {
    /// The route of a topic as last heard.
    pub(crate) fn get(&self, topic: &str) -> Option<&Arc<TopicRoute>> {
        self.topics.get(topic)
    }

    /// Every topic with a route.
    pub(crate) fn topics(&self) -> impl Iterator<Item = &Text> {
        self.topics.keys()
    }

    /// Takes a new route in.
    pub(crate) fn put(&mut self, route: Arc<TopicRoute>) -> Result<RouteChange> {
        let old = self.topics.get(&route.topic);
        if old.is_none() && self.topics.len() >= TOPICS_MAX {
            let text = format!("this client has routes of {TOPICS_MAX} topics already");
            return Err(Error::new(ErrorKind::FlowControl, text));
        }
        let changed = old.is_none_or(|old| old.data != route.data || old.is_template != route.is_template);
        let mut new_addrs = false;
        for broker in &route.data.broker_datas {
            let addrs: BTreeMap<i64, Text> =
                broker.broker_addrs.iter().map(|(id, addr)| (*id, addr.as_str().into())).collect();
            let old =
                self.brokers.insert(broker.broker_name.as_str().into(), addrs.clone()).unwrap_or_default();
            new_addrs |= addrs.values().any(|addr| !old.values().any(|known| known == addr));
        }
        self.topics.insert(route.topic.clone(), route);
        Ok(RouteChange { changed, new_addrs })
    }

    /// The master's address.
    pub(crate) fn master_addr(&self, broker_name: &str) -> Option<Text> {
        self.brokers.get(broker_name)?.get(&MASTER_ID).cloned()
    }

    /// The address of the broker with this name and id; without it and unless `only_this`, any of its name.
    pub(crate) fn broker_addr(&self, broker_name: &str, id: i64, only_this: bool) -> Option<BrokerAddr> {
        let addrs = self.brokers.get(broker_name)?;
        let found = |id: i64, addr: &Text| BrokerAddr { addr: addr.clone(), is_slave: id != MASTER_ID };
        if let Some(addr) = addrs.get(&id) {
            return Some(found(id, addr));
        }
        // A slave that was suggested may be gone, and the next one there.
        if id != MASTER_ID
            && let Some(addr) = id.checked_add(1).and_then(|next| addrs.get(&next))
        {
            return Some(found(id, addr));
        }
        addrs.iter().next().filter(|_| !only_this).map(|(id, addr)| found(*id, addr))
    }

    /// The broker of a topic to ask about its groups: the master where there is one. `turn` spreads load.
    pub(crate) fn any_broker_of(&self, topic: &str, turn: usize) -> Option<Text> {
        let brokers = &self.topics.get(topic)?.data.broker_datas;
        let broker = brokers.get(turn.checked_rem(brokers.len())?)?;
        let addr = broker.broker_addrs.get(&MASTER_ID).or_else(|| broker.broker_addrs.values().next());
        addr.map(|addr| addr.as_str().into())
    }

    /// Every broker address with its id.
    pub(crate) fn addrs(&self) -> impl Iterator<Item = (i64, &Text)> {
        self.brokers.values().flat_map(|addrs| addrs.iter().map(|(id, addr)| (*id, addr)))
    }

    /// Drops the addresses that no route names any more, and returns them.
    pub(crate) fn drop_offline(&mut self) -> Vec<Text> {
        let alive: HashSet<&str> = self.topics.values().flat_map(|route| route.addrs()).collect();
        let mut dropped = Vec::new();
        self.brokers.retain(|_, addrs| {
            addrs.retain(|_, addr| {
                let keep = alive.contains(&**addr);
                if !keep {
                    dropped.push(addr.clone());
                }
                keep
            });
            !addrs.is_empty()
        });
        dropped
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use ferrocket_protocol::body::route::{BrokerData, QueueData};

    use super::*;

    impl TopicRoute {
        /// A route over brokers of these names with so many queues each; masters only.
        pub(crate) fn for_test(topic: &str, brokers: &[(&str, i32)]) -> Self {
            let mut data = TopicRouteData::default();
            for (name, nums) in brokers {
                data.queue_datas.push(QueueData {
                    broker_name: (*name).into(),
                    read_queue_nums: *nums,
                    write_queue_nums: *nums,
                    perm: PERM_READ | PERM_WRITE,
                    ..Default::default()
                });
                data.broker_datas.push(BrokerData {
                    cluster: "c".into(),
                    broker_name: (*name).into(),
                    broker_addrs: [(MASTER_ID, format!("{name}:10911"))].into_iter().collect(),
                });
            }
            Self::new(topic.into(), data)
        }
    }

    /// Brokers a and b with `nums` queues each.
    pub(crate) fn two_brokers(nums: i32) -> TopicRoute {
        TopicRoute::for_test("T", &[("b", nums), ("a", nums)])
    }

    /// Only writable queues of brokers with a master are written; all readable ones are read.
    #[test]
    fn permissions_and_masters_decide() {
        let mut data = two_brokers(2).data;
        data.queue_datas[0].perm = PERM_READ;
        let route = TopicRoute::new("T".into(), data.clone());
        assert_eq!(route.publish_queues().len(), 2);
        assert!(route.publish_queues().iter().all(|queue| &*queue.broker_name == "b"));
        assert_eq!(route.subscribe_queues().len(), 4);
        assert_eq!((route.write_queue_nums("a"), route.write_queue_nums("b")), (None, Some(2)));
        data.broker_datas[1].broker_addrs = [(1, "b-slave:10911".into())].into_iter().collect();
        assert!(TopicRoute::new("T".into(), data).publish_queues().is_empty());
    }

    /// The order configuration of a topic replaces the writable queues; broken entries in it are skipped.
    #[test]
    fn order_configuration_lists_the_queues() {
        let mut data = two_brokers(2).data;
        data.order_topic_conf = Some("b:1;a:3;nonsense;c:x".into());
        let route = TopicRoute::new("T".into(), data);
        let names: Vec<_> = route.publish_queues().iter().map(|queue| &*queue.broker_name).collect();
        assert_eq!(names, ["b", "a", "a", "a"]);
    }

    /// A topic to be created gets the template's queues, but no more than the producer asks for.
    #[test]
    fn templates_limit_the_queues() {
        let route =
            TopicRoute::from_template("New".into(), TopicRoute::for_test("TBW102", &[("a", 8)]).data, 4);
        assert!(route.is_template());
        assert_eq!(route.publish_queues().len(), 4);
        assert_eq!(&*route.publish_queues()[0].topic, "New");
    }

    /// A changed route is noticed, and so are addresses to send heartbeats to; gone ones are dropped.
    #[test]
    fn the_table_follows_the_routes() {
        let mut table = RouteTable::default();
        let put = |table: &mut RouteTable, brokers: &[(&str, i32)]| {
            table.put(Arc::new(TopicRoute::for_test("T", brokers))).unwrap()
        };
        assert_eq!(put(&mut table, &[("a", 1)]), RouteChange { changed: true, new_addrs: true });
        assert_eq!(put(&mut table, &[("a", 1)]), RouteChange { changed: false, new_addrs: false });
        assert_eq!(put(&mut table, &[("a", 2)]), RouteChange { changed: true, new_addrs: false });
        assert_eq!(put(&mut table, &[("b", 2)]), RouteChange { changed: true, new_addrs: true });
        assert_eq!(table.drop_offline(), ["a:10911"]);
        assert_eq!((table.master_addr("a"), table.master_addr("b").as_deref()), (None, Some("b:10911")));
        assert_eq!(table.any_broker_of("T", 7).as_deref(), Some("b:10911"));
    }

    /// Pulls find the suggested broker, the next slave, or whichever there is.
    #[test]
    fn pulls_find_a_broker() {
        let mut route = TopicRoute::for_test("T", &[("a", 1)]);
        route.data.broker_datas[0].broker_addrs.insert(2, "slave:10911".into());
        let mut table = RouteTable::default();
        table.put(Arc::new(route)).unwrap();
        let master = BrokerAddr { addr: "a:10911".into(), is_slave: false };
        let slave = BrokerAddr { addr: "slave:10911".into(), is_slave: true };
        assert_eq!(table.broker_addr("a", 0, true), Some(master.clone()));
        assert_eq!(table.broker_addr("a", 2, true), Some(slave.clone()));
        assert_eq!(table.broker_addr("a", 1, true), Some(slave));
        assert_eq!(table.broker_addr("a", 7, true), None);
        assert_eq!(table.broker_addr("a", 7, false), Some(master));
        assert_eq!(table.broker_addr("nobody", 0, false), None);
    }
}
