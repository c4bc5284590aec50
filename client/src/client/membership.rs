//! Who is part of this client, and telling brokers so.
//!
//! Java counterparts: `registerProducer`, `registerConsumer`, `sendHeartbeatToAllBroker`, `unregisterClient`,
//! `cleanOfflineBroker` of `MQClientInstance`.

use std::collections::BTreeSet;
use std::collections::btree_map::Entry;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, Weak};
use std::time::Duration;

use ferrocket_protocol::body::heartbeat::{HeartbeatData, ProducerData};
use ferrocket_protocol::requests::Empty;
use ferrocket_protocol::requests::client::UnregisterClientHeader;
use ferrocket_protocol::{RemotingCommand, RequestCode, Text, fastjson};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Client, Shared, State};
use crate::consumer::ConsumerHandle;
use crate::error::{Error, ErrorKind, Result};
use crate::producer::Checks;
use crate::route::MASTER_ID;

/// Two heartbeats that nobody scheduled are at least this far apart.
const HEARTBEAT_SPACING: Duration = Duration::from_secs(1);

impl Client {
    /// Registers a producer group; one client has one producer of a group.
    pub(crate) fn register_producer(&self, group: &Text, checks: Option<Arc<Checks>>) -> Result<()> {
        let mut state = self.lock_open()?;
        match state.producers.entry(group.clone()) {
            Entry::Vacant(entry) => entry.insert(checks),
            Entry::Occupied(_) => {
                let text = format!(
                    "The producer group[{group}] has been created before, specify another name please."
                );
                return Err(Error::new(ErrorKind::Config, text));
            }
        };
        state.membership += 1;
        drop(state);
        self.shared.heartbeat_wanted.notify_one();
        Ok(())
    }

    /// The tables for one more member, unless the client ends. The look at that is made with the lock, so that the
    /// shutdown, which comes for the members afterwards, finds all of them.
    fn lock_open(&self) -> Result<MutexGuard<'_, State>> {
        self.start_background()?;
        let state = self.lock();
        if self.is_closing() { Err(Error::closed("the client")) } else { Ok(state) }
    }

    /// Takes a producer group out and tells the brokers.
    pub(crate) async fn unregister_producer(&self, group: &Text) {
        let known = self.lock().producers.remove(group).is_some();
        if known {
            self.unregister(Some(group), None).await;
        }
    }

    /// Who answers about the transactions of a producer group.
    pub(crate) fn checks(&self, group: &str) -> Option<Arc<Checks>> {
        self.lock().producers.get(group).cloned().flatten()
    }

    /// Registers a consumer: from now on it is part of heartbeats and hears of routes and brokers' requests.
    pub(crate) fn register_consumer(&self, consumer: Arc<dyn ConsumerHandle>) -> Result<()> {
        let mut state = self.lock_open()?;
        if state.consumers.iter().any(|known| known.group() == consumer.group()) {
            let group = consumer.group();
            let text =
                format!("The consumer group[{group}] has been created before, specify another name please.");
            return Err(Error::new(ErrorKind::Config, text));
        }
        state.consumers.push(consumer);
        state.membership += 1;
        Ok(())
    }

    /// Takes a consumer out and tells the brokers.
    pub(crate) async fn unregister_consumer(&self, group: &Text) {
        let known = {
            let mut state = self.lock();
            let before = state.consumers.len();
            state.consumers.retain(|consumer| consumer.group() != group);
            state.consumers.len() < before
        };
        if known {
            self.unregister(None, Some(group)).await;
        }
    }

    /// The registered consumer of a group.
    pub(crate) fn consumer(&self, group: &str) -> Option<Arc<dyn ConsumerHandle>> {
        self.lock().consumers.iter().find(|consumer| **consumer.group() == *group).cloned()
    }

    async fn unregister(&self, producer_group: Option<&Text>, consumer_group: Option<&Text>) {
        let header = UnregisterClientHeader {
            client_id: self.shared.client_id.clone(),
            producer_group: producer_group.cloned(),
            consumer_group: consumer_group.cloned(),
        };
        let request = self.request(RequestCode::UnregisterClient, &header);
        let addrs: BTreeSet<Text> = self.lock().routes.addrs().map(|(_, addr)| addr.clone()).collect();
        let turn = self.membership_turn().await;
        // Brokers we have no connection to do not know us.
        let connected = addrs.into_iter().filter(|addr| self.shared.dialer.existing(addr).is_some());
        self.call_each(connected, request, "unregister").await;
        drop(turn);
    }

    /// Heartbeats and farewells of one client take turns, from collecting what to say until all brokers have
    /// answered: Java brokers handle them on different threads, and a heartbeat handled after the farewell
    /// would leave a consumer that nobody is, with queues of its own, for two minutes. Java's `lockHeartbeat`.
    async fn membership_turn(&self) -> Option<OwnedSemaphorePermit> {
        // Never closed, so there is always a permit in the end.
        Arc::clone(&self.shared.membership_turn).acquire_owned().await.ok()
    }

    /// Tells all brokers who is here: masters, and slaves too if there are consumers. A caller that gives up
    /// waiting does not end what has begun.
    ///
    /// Many who wait for their turn are served by one heartbeat: the first that begins after they asked.
    pub(crate) async fn heartbeat(&self) {
        let begun = self.shared.beats.load(Ordering::Acquire);
        let turn = self.membership_turn().await;
        if self.shared.beats.load(Ordering::Acquire) == begun {
            self.heartbeat_in(turn).await;
        }
    }

    /// Tells brokers who is here unless all of them know.
    pub(crate) async fn announce(&self) {
        if !self.is_announced() {
            let turn = self.membership_turn().await;
            // Others may have waited for the turn for the same reason.
            if !self.is_announced() {
                self.heartbeat_in(turn).await;
            }
        }
    }

    async fn heartbeat_in(&self, turn: Option<OwnedSemaphorePermit>) {
        let client = self.clone();
        let beat = tokio::spawn(async move {
            client.beat().await;
            drop(turn);
        });
        if let Err(error) = beat.await {
            tracing::error!(%error, "heartbeat");
        }
    }

    async fn beat(&self) {
        // Before collecting: who comes later needs another one.
        self.shared.beats.fetch_add(1, Ordering::AcqRel);
        let (producers, consumers, membership, addrs) = {
            let mut state = self.lock();
            for addr in state.routes.drop_offline() {
                state.announced.remove(&addr);
                tracing::info!(%addr, "broker is in no route any more");
                self.shared.dialer.forget(&addr);
            }
            let all = !state.consumers.is_empty();
            let addrs: BTreeSet<Text> = state
                .routes
                .addrs()
                .filter(|(id, _)| all || *id == MASTER_ID)
                .map(|(_, addr)| addr.clone())
                .collect();
            (
                state.producers.keys().cloned().collect::<Vec<_>>(),
                state.consumers.clone(),
                state.membership,
                addrs,
            )
        };
        if producers.is_empty() && consumers.is_empty() {
            return;
        }
        let producer = |group: Text| ProducerData { group_name: group.to_string() };
        let data = HeartbeatData {
            client_id: self.shared.client_id.to_string(),
            producer_data_set: producers.into_iter().map(producer).collect(),
            consumer_data_set: consumers.iter().map(|consumer| consumer.consumer_data()).collect(),
            ..Default::default()
        };
        let request = self.request(RequestCode::HeartBeat, &Empty).with_body(fastjson::to_vec(&data));
        self.call_each(addrs.iter().cloned(), request, "heartbeat").await;
        let mut state = self.lock();
        for addr in addrs {
            let connection = self.shared.dialer.existing(&addr).map(|connection| connection.id());
            state.announced.insert(addr, (connection, membership));
        }
    }

    /// Whether every master was told who is here on the connection it has now. One that could not be told is
    /// left to the next regular heartbeat.
    fn is_announced(&self) -> bool {
        let state = self.lock();
        let mut masters = state.routes.addrs().filter(|(id, _)| *id == MASTER_ID);
        masters.all(|(_, addr)| {
            let connection = self.shared.dialer.existing(addr).map(|connection| connection.id());
            let told = state.announced.get(addr);
            told.is_some_and(|(on, who)| {
                *who == state.membership && (connection.is_none() || *on == connection)
            })
        })
    }

    /// Sends one request to many at once and waits for all; failures are only worth a line.
    async fn call_each(
        &self,
        addrs: impl IntoIterator<Item = Text>,
        request: RemotingCommand,
        what: &'static str,
    ) {
        let mut calls = JoinSet::new();
        for addr in addrs {
            let (client, request) = (self.clone(), request.clone());
            calls.spawn(async move {
                let asked = Instant::now();
                let Err(error) = client.call_ok(&addr, request).await else { return };
                tracing::info!(%addr, %error, "{what} failed");
                client.forget_if_silent(&addr, &error, asked);
            });
        }
        calls.join_all().await;
    }

    /// A heartbeat soon, but not more often than once a second.
    pub(crate) fn want_heartbeat(&self) {
        self.shared.heartbeat_wanted.notify_one();
    }
}

/// Sends heartbeats for ever, while the client is there.
pub(super) async fn heartbeater(shared: Weak<Shared>, wanted: Arc<Notify>, interval: Duration) {
    // Java sends the first one a second after the start.
    let mut next = Instant::now() + HEARTBEAT_SPACING.min(interval);
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            () = wanted.notified() => {
                // Several changes in a row, or connections that open because of it, make one heartbeat.
                tokio::time::sleep(HEARTBEAT_SPACING.min(interval)).await;
            }
        }
        let Some(client) = Client::upgrade(&shared) else { return };
        client.heartbeat().await;
        next = Instant::now() + interval;
    }
}
