//! Which producers and consumers are connected, and what each consumer group subscribes to.
//!
//! [`ClientTable`] is the plain core: heartbeats, goodbyes, closed connections and a scan go in, the groups
//! whose consumers must rebalance come out. [`Clients`] keeps it together with the connections and sends
//! those consumers `NOTIFY_CONSUMER_IDS_CHANGED`. Left out: 5.x heartbeat fingerprints. Java counterparts:
//! `ConsumerManager`, `ConsumerGroupInfo`, `ProducerManager`, `DefaultConsumerIdsChangeListener`.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferrocket_protocol::body::heartbeat::{
    ConsumeFromWhere, ConsumeType, ConsumerData, MessageModel, SubscriptionData,
};
use ferrocket_protocol::requests::client::NotifyConsumerIdsChangedHeader;
use ferrocket_protocol::{LanguageCode, RemotingCommand, RequestCode, Text};
use ferrocket_remoting::Connection;

/// A client that sends no heartbeat for this long is gone.
const SILENCE_MAX_MS: i64 = 120_000;
/// Groups of producers, and of consumers, at a time; further ones are refused.
const GROUPS_MAX: usize = if cfg!(test) { 1_000 } else { 200_000 };
/// Topics of one consumer group; further ones are left out.
const TOPICS_MAX: usize = 10_000;

/// One client's connection as a group knows it. Java: `ClientChannelInfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientChannel {
    /// [`Connection::id`].
    pub(crate) connection_id: u64,
    /// What the client calls itself, `ip@instance`.
    pub(crate) client_id: Text,
    /// What it is written in.
    pub(crate) language: LanguageCode,
    /// Its version.
    pub(crate) version: i32,
    /// When it last sent a heartbeat, ms since the Broker's start.
    pub(crate) last_seen_ms: i64,
}

/// The consumers of one group. Java: `ConsumerGroupInfo`.
#[derive(Clone, Debug)]
pub(crate) struct ConsumerGroup {
    /// How messages get to them: as the last heartbeat says, like the two fields below.
    pub(crate) consume_type: ConsumeType,
    /// Whether each gets every message.
    pub(crate) message_model: MessageModel,
    /// Where a new group begins.
    pub(crate) consume_from_where: ConsumeFromWhere,
    /// By topic: one table for all consumers of the group.
    pub(crate) subscriptions: BTreeMap<Text, Arc<SubscriptionData>>,
    /// By connection.
    pub(crate) channels: BTreeMap<u64, ClientChannel>,
}

/// There are too many groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManyGroups;

/// Who is connected: the plain core.
#[derive(Debug, Default)]
pub(crate) struct ClientTable {
    consumers: HashMap<Text, ConsumerGroup>,
    producers: HashMap<Text, BTreeMap<u64, ClientChannel>>,
}

/// What a scan found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    /// Connections on which every client is silent: to be closed.
    pub(crate) silent: BTreeSet<u64>,
    /// Groups that lost a consumer whose connection lives on.
    pub(crate) changed: BTreeSet<Text>,
}

impl ClientTable {
    /// A consumer's heartbeat. True if the group changed so that its consumers must rebalance: a new
    /// connection, or another set of topics. A newer expression for a known topic is taken over silently.
    pub(crate) fn consumer_heartbeat(
        &mut self,
        channel: &ClientChannel,
        data: &ConsumerData,
    ) -> Result<bool, TooManyGroups> {
        let full = self.consumers.len() >= GROUPS_MAX;
        let group = match self.consumers.entry(Text::from(&*data.group_name)) {
            Entry::Occupied(group) => group.into_mut(),
            Entry::Vacant(_) if full => return Err(TooManyGroups),
            Entry::Vacant(place) => place.insert(ConsumerGroup {
                consume_type: data.consume_type,
                message_model: data.message_model,
                consume_from_where: data.consume_from_where,
                subscriptions: BTreeMap::new(),
                channels: BTreeMap::new(),
            }),
        };
        group.consume_type = data.consume_type;
        group.message_model = data.message_model;
        group.consume_from_where = data.consume_from_where;
        let joined = group.channels.insert(channel.connection_id, channel.clone()).is_none();
        let topics_changed = group.subscribe(&data.subscription_data_set);
        Ok(joined || topics_changed)
    }

    /// A producer's heartbeat.
    pub(crate) fn producer_heartbeat(
        &mut self,
        channel: &ClientChannel,
        group: &Text,
    ) -> Result<(), TooManyGroups> {
        if self.producers.len() >= GROUPS_MAX && !self.producers.contains_key(group) {
            return Err(TooManyGroups);
        }
        self.producers.entry(group.clone()).or_default().insert(channel.connection_id, channel.clone());
        Ok(())
    }

    /// A consumer says goodbye. True if its group was known.
    pub(crate) fn unregister_consumer(&mut self, connection_id: u64, group: &str) -> bool {
        let Some(known) = self.consumers.get_mut(group) else { return false };
        known.channels.remove(&connection_id);
        if known.channels.is_empty() {
            self.consumers.remove(group);
        }
        true
    }

    /// A producer says goodbye.
    pub(crate) fn unregister_producer(&mut self, connection_id: u64, group: &str) {
        let Some(known) = self.producers.get_mut(group) else { return };
        known.remove(&connection_id);
        if known.is_empty() {
            self.producers.remove(group);
        }
    }

    /// A connection is gone; answers the groups that lost a consumer.
    pub(crate) fn closed(&mut self, connection_id: u64) -> BTreeSet<Text> {
        self.drop_channels(|channel| channel.connection_id == connection_id)
    }

    /// Finds clients that are silent for too long. A connection that another client is still alive on stays.
    pub(crate) fn scan(&mut self, now_ms: i64) -> Scan {
        let silent = |channel: &ClientChannel| now_ms - channel.last_seen_ms > SILENCE_MAX_MS;
        let all = self.consumers.values().flat_map(|group| group.channels.values());
        let all = all.chain(self.producers.values().flat_map(BTreeMap::values));
        let (dead, alive): (Vec<_>, Vec<_>) = all.partition(|channel| silent(channel));
        let alive: BTreeSet<u64> = alive.into_iter().map(|channel| channel.connection_id).collect();
        let dead: BTreeSet<u64> = dead.into_iter().map(|channel| channel.connection_id).collect();
        let changed = self.drop_channels(|channel| silent(channel) && alive.contains(&channel.connection_id));
        Scan { silent: dead.difference(&alive).copied().collect(), changed }
    }

    fn drop_channels(&mut self, gone: impl Fn(&ClientChannel) -> bool) -> BTreeSet<Text> {
        let mut changed = BTreeSet::new();
        self.consumers.retain(|name, group| {
            let before = group.channels.len();
            group.channels.retain(|_, channel| !gone(channel));
            if group.channels.len() != before {
                changed.insert(name.clone());
            }
            !group.channels.is_empty()
        });
        self.producers.retain(|_, channels| {
            channels.retain(|_, channel| !gone(channel));
            !channels.is_empty()
        });
        changed
    }
}

impl ConsumerGroup {
    /// Takes over a heartbeat's topics; true if the set of topics changed. For one topic the greatest
    /// `subVersion` wins, so that clients of one group that disagree do not undo each other for ever.
    fn subscribe(&mut self, wanted: &[SubscriptionData]) -> bool {
        let mut changed = false;
        for data in wanted {
            let full = self.subscriptions.len() >= TOPICS_MAX;
            match self.subscriptions.get_mut(&*data.topic) {
                Some(old) if data.sub_version > old.sub_version => *old = Arc::new(data.clone()),
                Some(_) => {}
                None if full => {}
                None => {
                    self.subscriptions.insert(Text::from(&*data.topic), Arc::new(data.clone()));
                    changed = true;
                }
            }
        }
        let topics: BTreeSet<&str> = wanted.iter().map(|data| &*data.topic).collect();
        let before = self.subscriptions.len();
        self.subscriptions.retain(|topic, _| topics.contains(&**topic));
        changed || self.subscriptions.len() != before
    }

    /// The ids of its clients, each once: an old connection that is not noticed to be dead yet must not make
    /// its client count twice when queues are divided. (Java counts it twice.)
    pub(crate) fn client_ids(&self) -> BTreeSet<Text> {
        self.channels.values().map(|channel| channel.client_id.clone()).collect()
    }
}

/// Who is connected, with the connections.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    /// Looked at by every pull; held for one look-up or one change. Nothing is sent under it.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    table: ClientTable,
    /// The connections that sent a heartbeat, by id.
    connections: HashMap<u64, Connection>,
    /// The connection of each producer, by what it calls itself: where replies go.
    producers: HashMap<Text, u64>,
}

impl State {
    fn connections_of(&self, group: &str) -> Vec<Connection> {
        let channels = self.table.consumers.get(group).into_iter().flat_map(|group| group.channels.keys());
        channels.filter_map(|id| self.connections.get(id)).cloned().collect()
    }

    fn with_connections<'a>(
        &'a self,
        channels: impl IntoIterator<Item = &'a ClientChannel>,
    ) -> Vec<(ClientChannel, Connection)> {
        let with = |channel: &ClientChannel| {
            Some((channel.clone(), self.connections.get(&channel.connection_id)?.clone()))
        };
        channels.into_iter().filter_map(with).collect()
    }
}

impl Clients {
    fn lock(&self) -> MutexGuard<'_, State> {
        // What a panic could leave half done is one client's entry, which its next heartbeat repairs.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A consumer's heartbeat; with `notify` its group hears of a change, the sender included. True if the
    /// group changed.
    pub(crate) fn consumer_heartbeat(
        &self,
        connection: &Connection,
        channel: &ClientChannel,
        data: &ConsumerData,
        notify: bool,
    ) -> Result<bool, TooManyGroups> {
        let mut state = self.lock();
        let changed = state.table.consumer_heartbeat(channel, data)?;
        state.connections.insert(channel.connection_id, connection.clone());
        let told = if changed && notify { state.connections_of(&data.group_name) } else { Vec::new() };
        drop(state);
        notify_ids_changed(&told, &data.group_name);
        Ok(changed)
    }

    /// A producer's heartbeat.
    pub(crate) fn producer_heartbeat(
        &self,
        connection: &Connection,
        channel: &ClientChannel,
        group: &Text,
    ) -> Result<(), TooManyGroups> {
        let mut state = self.lock();
        state.table.producer_heartbeat(channel, group)?;
        state.connections.insert(channel.connection_id, connection.clone());
        state.producers.insert(channel.client_id.clone(), channel.connection_id);
        Ok(())
    }

    /// A consumer says goodbye; with `notify` those who remain hear of it.
    pub(crate) fn unregister_consumer(&self, connection: &Connection, group: &Text, notify: bool) {
        let mut state = self.lock();
        let known = state.table.unregister_consumer(connection.id(), group);
        let told = if known && notify { state.connections_of(group) } else { Vec::new() };
        drop(state);
        notify_ids_changed(&told, group);
    }

    /// A producer says goodbye.
    pub(crate) fn unregister_producer(&self, connection: &Connection, group: &str) {
        self.lock().table.unregister_producer(connection.id(), group);
    }

    /// A connection is gone; with `notify` the consumers that remain hear of it.
    pub(crate) fn closed(&self, connection: &Connection, notify: bool) {
        let mut state = self.lock();
        if state.connections.remove(&connection.id()).is_none() {
            return;
        }
        state.producers.retain(|_, id| *id != connection.id());
        let changed = state.table.closed(connection.id());
        drop(state);
        self.notify(&changed, notify);
    }

    /// Closes connections whose clients are silent; to be called every ten seconds.
    pub(crate) fn scan(&self, now_ms: i64, notify: bool) {
        let mut state = self.lock();
        let Scan { silent, changed } = state.table.scan(now_ms);
        let closing: Vec<Connection> =
            silent.iter().filter_map(|id| state.connections.get(id)).cloned().collect();
        drop(state);
        for connection in closing {
            tracing::warn!(peer = %connection.peer_addr(), "closing a connection: no heartbeat for {SILENCE_MAX_MS} ms");
            connection.close();
        }
        self.notify(&changed, notify);
    }

    fn notify(&self, groups: &BTreeSet<Text>, notify: bool) {
        for group in groups.iter().filter(|_| notify) {
            let told = self.lock().connections_of(group);
            notify_ids_changed(&told, group);
        }
    }

    /// What `group` subscribes to of `topic`.
    pub(crate) fn subscription(&self, group: &str, topic: &str) -> Option<Arc<SubscriptionData>> {
        self.lock().table.consumers.get(group)?.subscriptions.get(topic).cloned()
    }

    /// Both that a pull has to know: `None` if nobody of the group is connected; else how the group consumes,
    /// and its subscription to `topic` if it has one.
    pub(crate) fn for_pull(
        &self,
        group: &str,
        topic: &str,
    ) -> Option<(MessageModel, Option<Arc<SubscriptionData>>)> {
        let state = self.lock();
        let group = state.table.consumers.get(group)?;
        Some((group.message_model, group.subscriptions.get(topic).cloned()))
    }

    /// How many topics `group` subscribes to, 0 if nobody is connected. Java: `findSubscriptionDataCount`.
    pub(crate) fn subscription_count(&self, group: &str) -> usize {
        self.lock().table.consumers.get(group).map_or(0, |group| group.subscriptions.len())
    }

    /// The ids of a group's consumers, `None` if nobody is connected.
    pub(crate) fn client_ids(&self, group: &str) -> Option<BTreeSet<Text>> {
        self.lock().table.consumers.get(group).map(ConsumerGroup::client_ids)
    }

    /// A group with its connections, `None` if nobody is connected.
    pub(crate) fn consumer_group(
        &self,
        group: &str,
    ) -> Option<(ConsumerGroup, Vec<(ClientChannel, Connection)>)> {
        let state = self.lock();
        let group = state.table.consumers.get(group)?;
        Some((group.clone(), state.with_connections(group.channels.values())))
    }

    /// The consumer that calls itself `client_id`.
    pub(crate) fn consumer(&self, group: &str, client_id: &str) -> Option<(ClientChannel, Connection)> {
        let state = self.lock();
        let channels = state.table.consumers.get(group)?.channels.values();
        state.with_connections(channels.filter(|channel| channel.client_id == *client_id)).pop()
    }

    /// The groups that subscribe to `topic`.
    pub(crate) fn groups_of(&self, topic: &str) -> BTreeSet<String> {
        let state = self.lock();
        let of = |(name, group): (&Text, &ConsumerGroup)| {
            group.subscriptions.contains_key(topic).then(|| name.to_string())
        };
        state.table.consumers.iter().filter_map(of).collect()
    }

    /// A producer group's connections, `None` if nobody is connected.
    pub(crate) fn producer_group(&self, group: &str) -> Option<Vec<(ClientChannel, Connection)>> {
        let state = self.lock();
        Some(state.with_connections(state.table.producers.get(group)?.values()))
    }

    /// The connection of the producer that calls itself `client_id`. Java: `ProducerManager.findChannel`.
    pub(crate) fn producer(&self, client_id: &str) -> Option<Connection> {
        let state = self.lock();
        state.connections.get(state.producers.get(client_id)?).cloned()
    }

    /// All producer groups with their connections.
    pub(crate) fn producers(&self) -> BTreeMap<String, Vec<(ClientChannel, Connection)>> {
        let state = self.lock();
        let groups = state.table.producers.iter();
        groups.map(|(name, channels)| (name.to_string(), state.with_connections(channels.values()))).collect()
    }
}

/// Tells consumers to rebalance. Whoever cannot take it right now rebalances by itself within 20 seconds.
fn notify_ids_changed(consumers: &[Connection], group: &str) {
    for connection in consumers {
        let header = NotifyConsumerIdsChangedHeader { consumer_group: group.into() };
        if !connection.oneway_ready(RemotingCommand::request(RequestCode::NotifyConsumerIdsChanged, &header))
        {
            tracing::debug!(group, peer = %connection.peer_addr(), "could not tell a consumer to rebalance");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(connection_id: u64, client_id: &'static str, now_ms: i64) -> ClientChannel {
        ClientChannel {
            connection_id,
            client_id: client_id.into(),
            language: LanguageCode::JAVA,
            version: 409,
            last_seen_ms: now_ms,
        }
    }

    fn consumer(group: &'static str, topics: &[(&'static str, i64)]) -> ConsumerData {
        let subscription = |(topic, version): &(&'static str, i64)| SubscriptionData {
            topic: (*topic).to_owned(),
            sub_version: *version,
            ..SubscriptionData::default()
        };
        ConsumerData {
            group_name: group.into(),
            subscription_data_set: topics.iter().map(subscription).collect(),
            ..ConsumerData::default()
        }
    }

    /// Rebalancing is for new connections and other topics; a repeated heartbeat or a newer expression is not
    /// worth it.
    #[test]
    fn what_counts_as_a_change() {
        let mut table = ClientTable::default();
        let mut beat = |id, topics: &[(&'static str, i64)]| {
            table.consumer_heartbeat(&channel(id, "c", 0), &consumer("g", topics)).unwrap()
        };
        assert!(beat(1, &[("t", 1)]), "the first");
        assert!(!beat(1, &[("t", 1)]), "the same again");
        assert!(!beat(1, &[("t", 2)]), "a newer expression");
        assert!(beat(1, &[("t", 2), ("u", 2)]), "one topic more");
        assert!(beat(1, &[("u", 2)]), "one topic less");
        assert!(beat(2, &[("u", 2)]), "one connection more");
    }

    /// Of two clients that disagree the one with the greater subVersion decides, in whatever order they come.
    #[test]
    fn the_greatest_sub_version_wins() {
        let mut table = ClientTable::default();
        let version = |table: &ClientTable| table.consumers["g"].subscriptions["t"].sub_version;
        for (id, sub_version, expected) in [(1, 5, 5), (2, 9, 9), (1, 5, 9), (1, 9, 9), (1, 10, 10)] {
            table.consumer_heartbeat(&channel(id, "c", 0), &consumer("g", &[("t", sub_version)])).unwrap();
            assert_eq!(version(&table), expected);
        }
    }

    /// A goodbye and a closed connection take the client out of its groups, and the last one the group.
    #[test]
    fn leaving() {
        let mut table = ClientTable::default();
        for id in [1, 2] {
            table.consumer_heartbeat(&channel(id, "c", 0), &consumer("g", &[("t", 1)])).unwrap();
            table.consumer_heartbeat(&channel(id, "c", 0), &consumer("h", &[("t", 1)])).unwrap();
            table.producer_heartbeat(&channel(id, "c", 0), &"p".into()).unwrap();
        }
        assert!(table.unregister_consumer(1, "g"));
        assert!(!table.unregister_consumer(1, "unknown"));
        assert_eq!(table.closed(1), BTreeSet::from([Text::from("h")]));
        assert_eq!(table.closed(1), BTreeSet::new());
        assert_eq!(table.producers["p"].len(), 1);
        table.unregister_producer(2, "p");
        assert!(table.producers.is_empty());
        assert_eq!(table.closed(2), BTreeSet::from([Text::from("g"), Text::from("h")]));
        assert!(table.consumers.is_empty());
    }

    /// Silence of 120 s ends a connection, unless another client on it is alive: then only the silent one goes.
    #[test]
    fn silent_clients() {
        let mut table = ClientTable::default();
        table.consumer_heartbeat(&channel(1, "a", 0), &consumer("g", &[])).unwrap();
        table.consumer_heartbeat(&channel(2, "b", 0), &consumer("g", &[])).unwrap();
        table.producer_heartbeat(&channel(2, "b", 100_000), &"p".into()).unwrap();
        assert_eq!(table.scan(120_000), Scan::default());
        let scan = table.scan(120_001);
        assert_eq!(scan, Scan { silent: BTreeSet::from([1]), changed: BTreeSet::from(["g".into()]) });
        assert_eq!(table.consumers["g"].channels.len(), 1, "the closed connection reports itself");
        table.closed(1);
        assert_eq!(table.scan(220_001), Scan { silent: BTreeSet::from([2]), changed: BTreeSet::new() });
    }

    /// One topic more than a group may subscribe to is left out, and the heartbeat is as good as any other.
    #[test]
    fn topics_of_a_group_have_a_limit() {
        let mut table = ClientTable::default();
        let subscription = |topic| SubscriptionData { topic, ..SubscriptionData::default() };
        let topics = (0..=TOPICS_MAX).map(|number| subscription(format!("t{number}")));
        let data = ConsumerData { subscription_data_set: topics.collect(), ..consumer("g", &[]) };
        assert_eq!(table.consumer_heartbeat(&channel(1, "c", 0), &data), Ok(true));
        let subscriptions = &table.consumers["g"].subscriptions;
        assert_eq!(subscriptions.len(), TOPICS_MAX);
        assert!(!subscriptions.contains_key(&*format!("t{TOPICS_MAX}")));
        assert_eq!(table.consumer_heartbeat(&channel(1, "c", 0), &data), Ok(false), "nothing changed");
    }

    /// One group more than there may be is refused; those that are there take further clients.
    #[test]
    fn groups_have_a_limit() {
        let mut table = ClientTable::default();
        for number in 0..GROUPS_MAX {
            let name = format!("g{number}");
            table.producer_heartbeat(&channel(1, "c", 0), &Text::from(&*name)).unwrap();
            let data = ConsumerData { group_name: name, ..ConsumerData::default() };
            table.consumer_heartbeat(&channel(1, "c", 0), &data).unwrap();
        }
        assert_eq!(table.producer_heartbeat(&channel(2, "d", 0), &"g".into()), Err(TooManyGroups));
        assert_eq!(table.consumer_heartbeat(&channel(2, "d", 0), &consumer("g", &[])), Err(TooManyGroups));
        assert_eq!(table.producer_heartbeat(&channel(2, "d", 0), &"g7".into()), Ok(()));
        assert_eq!(table.consumer_heartbeat(&channel(2, "d", 0), &consumer("g7", &[])), Ok(true));
    }

    /// A client that came back before its old connection was noticed to be dead counts once.
    #[test]
    fn clients_count_once() {
        let mut table = ClientTable::default();
        for (id, client) in [(1, "b"), (2, "a"), (3, "b")] {
            table.consumer_heartbeat(&channel(id, client, 0), &consumer("g", &[])).unwrap();
        }
        assert_eq!(table.consumers["g"].client_ids().into_iter().collect::<Vec<_>>(), ["a", "b"]);
    }
}
