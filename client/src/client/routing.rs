//! Asking NameServers for routes, and keeping them.
//!
//! Java counterparts: `updateTopicRouteInfoFromNameServer`, `tryToFindTopicPublishInfo`,
//! `findBrokerAddressInSubscribe`.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use ferrocket_protocol::body::route::TopicRouteData;
use ferrocket_protocol::requests::route::GetRouteInfoHeader;
use ferrocket_protocol::{RemotingCommand, RequestCode, ResponseCode, Text};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Client, Shared, Template, read_body, succeeded};
use crate::error::{Error, ErrorKind, Result};
use crate::events::Event;
use crate::name_servers;
use crate::route::{BrokerAddr, TopicRoute};

/// Between two questions to the web server that knows the NameServers.
const DISCOVERY_INTERVAL: Duration = Duration::from_secs(120);

impl Client {
    /// Asks the NameServer in use, and the others in turn when it fails. Answers with its address.
    pub(crate) async fn call_name_server(
        &self,
        request: RemotingCommand,
    ) -> Result<(RemotingCommand, String)> {
        if self.config().discovery.is_none() {
            return self.call_known_name_server(request).await;
        }
        if self.name_server_addrs().is_empty() {
            self.discover(|known| known.is_empty()).await?;
        }
        let asked = self.name_server_addrs();
        match self.call_known_name_server(request.clone()).await {
            Err(error) if error.kind() != ErrorKind::Closed => {
                // They may all have moved.
                self.discover(|known| *known == *asked).await.map_err(|_| error.clone())?;
                if self.name_server_addrs() == asked {
                    return Err(error);
                }
                self.call_known_name_server(request).await
            }
            answered => answered,
        }
    }

    /// Asks the web server where the NameServers are, if the list is `stale` when it is our turn.
    async fn discover(&self, stale: impl Fn(&[String]) -> bool) -> Result<()> {
        let Some(discovery) = &self.config().discovery else { return Ok(()) };
        // Never closed.
        let Ok(_turn) = self.shared.discovery_turn.acquire().await else { return Ok(()) };
        if !stale(&self.name_server_addrs()) {
            return Ok(());
        }
        let list = discovery
            .fetch(self.config().mq_client_api_timeout)
            .await
            .map_err(|error| Error::new(ErrorKind::Connect, error.to_string()).with_source(error))?;
        let addrs = name_servers::parse(&list)?;
        if let Some(gone) = self.shared.name_servers.replace(addrs) {
            tracing::info!(name_servers = ?self.name_server_addrs(), "NameServers changed");
            for addr in gone {
                self.shared.dialer.forget(&addr);
            }
        }
        Ok(())
    }

    async fn call_known_name_server(&self, request: RemotingCommand) -> Result<(RemotingCommand, String)> {
        let timeout = self.shared.config.mq_client_api_timeout;
        let mut last = None;
        for addr in self.shared.name_servers.candidates() {
            let asked = Instant::now();
            match self.call(&addr, request.clone(), timeout).await {
                Ok(reply) => {
                    self.shared.name_servers.keep(&addr);
                    return Ok((reply, addr));
                }
                Err(error) if error.kind() == ErrorKind::Closed => return Err(error),
                Err(error) => {
                    tracing::debug!(%addr, %error, "NameServer does not answer");
                    self.forget_if_silent(&addr, &error, asked);
                    last = Some(error);
                }
            }
        }
        Err(last.unwrap_or_else(|| Error::new(ErrorKind::Config, "No name server address, please set it.")))
    }

    /// What NameServers say about a topic.
    pub(crate) async fn query_route(&self, topic: &Text) -> Result<TopicRouteData> {
        // Java 4.9.8 does not ask for standard JSON: NameServers go by the version.
        let header = GetRouteInfoHeader { topic: topic.clone(), ..Default::default() };
        let request = self.request(RequestCode::GetRouteinfoByTopic, &header);
        let (reply, addr) = self.call_name_server(request).await?;
        match reply.response_code() {
            ResponseCode::TOPIC_NOT_EXIST => {
                let text = format!("No route info of this topic: {topic}");
                Err(Error::new(ErrorKind::NoRoute, text).with_answer(&reply, &addr))
            }
            _ => read_body(&succeeded(reply, &addr)?, &addr),
        }
    }

    /// Asks NameServers for a route and keeps it; those who ask at the same time share one question.
    pub(crate) async fn fetch_route(
        &self,
        topic: &Text,
        template: Option<&Template>,
    ) -> Result<Arc<TopicRoute>> {
        self.known_or_fetch(topic, template, |_| false).await
    }

    /// The same if the route in memory will not do.
    async fn known_or_fetch(
        &self,
        topic: &Text,
        template: Option<&Template>,
        will_do: impl Fn(&TopicRoute) -> bool,
    ) -> Result<Arc<TopicRoute>> {
        self.start_background()?;
        let key = (topic.clone(), template.is_some());
        let mut fetched = {
            // Not let go between the two looks: an answer may come that ends the question.
            let mut state = self.lock();
            if let Some(known) = state.routes.get(topic).filter(|route| will_do(route)) {
                return Ok(Arc::clone(known));
            }
            match state.fetches.get(&key) {
                Some(fetched) => fetched.clone(),
                None => {
                    let (outcome, fetched) = watch::channel(None);
                    state.fetches.insert(key.clone(), fetched.clone());
                    let (client, template) = (self.clone(), template.cloned());
                    // A task of its own: who gives up must not take the others' answer along.
                    tokio::spawn(async move {
                        let result = client.fetch_and_keep(&key.0, template).await;
                        client.lock().fetches.remove(&key);
                        outcome.send_replace(Some(result));
                    });
                    fetched
                }
            }
        };
        let outcome = fetched.wait_for(Option::is_some).await.ok().and_then(|outcome| (*outcome).clone());
        outcome.unwrap_or_else(|| Err(Error::closed("the client")))
    }

    async fn fetch_and_keep(&self, topic: &Text, template: Option<Template>) -> Result<Arc<TopicRoute>> {
        let route = match (self.query_route(topic).await, template) {
            (Ok(data), _) => TopicRoute::new(topic.clone(), data),
            (Err(error), Some(template)) if error.kind() == ErrorKind::NoRoute => {
                // The error about the topic itself says more than one about the template.
                let data = self.query_route(&template.topic).await.map_err(|_| error)?;
                TopicRoute::from_template(topic.clone(), data, template.queue_nums)
            }
            (Err(error), _) => return Err(error),
        };
        let route = Arc::new(route);
        let (change, consumers) = {
            let mut state = self.lock();
            let change = state.routes.put(Arc::clone(&route))?;
            (change, if change.changed { state.consumers.clone() } else { Vec::new() })
        };
        if change.changed {
            self.tell(|| Event::RouteChanged { topic: self.unwrapped(topic).to_string() });
            tracing::debug!(%topic, queues = route.publish_queues().len(), "route changed");
        }
        if change.new_addrs {
            self.shared.heartbeat_wanted.notify_one();
        }
        for consumer in consumers {
            consumer.route_changed(topic);
        }
        Ok(route)
    }

    /// The route of a topic that exists, from memory or from NameServers.
    pub(crate) async fn route(&self, topic: &Text) -> Result<Arc<TopicRoute>> {
        self.known_or_fetch(topic, None, |route| !route.is_template()).await
    }

    /// The route to publish by, if it is in memory and has queues to write.
    pub(crate) fn known_publish_route(&self, topic: &Text) -> Option<Arc<TopicRoute>> {
        self.lock().routes.get(topic).filter(|route| !route.publish_queues().is_empty()).cloned()
    }

    /// The route to publish by, from memory if it has queues to write; a topic that does not exist gets one
    /// from the template. Java: `tryToFindTopicPublishInfo`.
    pub(crate) async fn publish_route(&self, topic: &Text, template: &Template) -> Result<Arc<TopicRoute>> {
        let will_do = |route: &TopicRoute| !route.publish_queues().is_empty();
        let route = self.known_or_fetch(topic, Some(template), will_do).await?;
        if !will_do(&route) {
            let text = format!("no queue of topic {topic} can be written at present");
            return Err(Error::new(ErrorKind::NoRoute, text));
        }
        Ok(route)
    }

    /// The address of the master with this name, as last heard.
    pub(crate) fn master_addr(&self, broker_name: &str) -> Option<Text> {
        self.lock().routes.master_addr(broker_name)
    }

    /// The address to pull from, as last heard. Java: `findBrokerAddressInSubscribe`.
    pub(crate) fn broker_addr(&self, broker_name: &str, id: i64, only_this: bool) -> Option<BrokerAddr> {
        self.lock().routes.broker_addr(broker_name, id, only_this)
    }

    /// A broker that knows the consumers of a topic. Java: `findBrokerAddrByTopic`.
    pub(crate) fn any_broker_of(&self, topic: &str) -> Option<Text> {
        let turn = self.next_turn();
        self.lock().routes.any_broker_of(topic, turn)
    }

    /// Asks NameServers again about every topic in use.
    pub(super) async fn refresh_routes(&self) {
        let (mut topics, consumers) = {
            let state = self.lock();
            (state.routes.topics().cloned().collect::<BTreeSet<_>>(), state.consumers.clone())
        };
        topics.extend(consumers.iter().flat_map(|consumer| consumer.topics()));
        for topic in topics {
            match self.fetch_route(&topic, None).await {
                Ok(_) => {}
                // Kept as it was: brokers still have the topic while NameServers learn of it again.
                Err(error) if error.kind() == ErrorKind::NoRoute => {
                    tracing::debug!(%topic, "no NameServer has a route");
                }
                Err(error) => {
                    tracing::warn!(%error, "routes could not be refreshed");
                    return;
                }
            }
        }
    }
}

/// Asks for NameServers for ever, while the client is there.
pub(super) async fn discoverer(shared: Weak<Shared>) {
    let mut ticks = tokio::time::interval_at(Instant::now() + DISCOVERY_INTERVAL, DISCOVERY_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(client) = Client::upgrade(&shared) else { return };
        if let Err(error) = client.discover(|_| true).await {
            tracing::warn!(%error, "NameServers stay as they were");
        }
    }
}

/// Refreshes all routes for ever, while the client is there.
pub(super) async fn refresher(shared: Weak<Shared>, interval: Duration) {
    let mut ticks = tokio::time::interval_at(Instant::now() + interval, interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(client) = Client::upgrade(&shared) else { return };
        client.refresh_routes().await;
    }
}
