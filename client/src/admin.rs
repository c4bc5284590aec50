//! What an application needs to know of its cluster, and to set up in it: topics, groups, progress, messages.
//!
//! Names are those that brokers have: a client's namespace is not put before them. Every call asks at once and keeps
//! nothing. Where a topic or a cluster has several brokers, all masters are asked,
//! and one that does not answer makes the call fail: half an answer would look like a whole one.
//! Java counterparts: `DefaultMQAdminExt`, `MQAdminImpl`. Left out: what operators do with `mqadmin`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::time::SystemTime;

pub use ferrocket_protocol::body::group::{
    Connection, ConsumeStats, ConsumerConnection, OffsetWrapper, SubscriptionGroupConfig,
};
use ferrocket_protocol::body::message_queue::MessageQueue;
use ferrocket_protocol::body::offset::ResetOffsetBody;
pub use ferrocket_protocol::body::route::{BrokerData, ClusterInfo, QueueData, TopicRouteData};
pub use ferrocket_protocol::body::topic::{TopicConfig, TopicOffset, TopicStatsTable};
use ferrocket_protocol::body::topic::{TopicFilterType, TopicList};
use ferrocket_protocol::message_id::OffsetMessageId;
use ferrocket_protocol::requests::Empty;
use ferrocket_protocol::requests::client::GetConsumerConnectionListHeader;
use ferrocket_protocol::requests::group::{DeleteSubscriptionGroupHeader, GetConsumeStatsHeader};
use ferrocket_protocol::requests::offset::ResetOffsetHeader;
use ferrocket_protocol::requests::query::{QueryMessageHeader, UNIQUE_KEY_QUERY, ViewMessageHeader};
use ferrocket_protocol::requests::topic::{CreateTopicHeader, DeleteTopicHeader, GetTopicStatsInfoHeader};
use ferrocket_protocol::requests::topic_list::DeleteTopicFromNamesrvHeader;
use ferrocket_protocol::{Header, RequestCode, ResponseCode, Text, fastjson};
use serde::de::DeserializeOwned;
use tokio::net::lookup_host;

use crate::client::{CREATE_TOPIC_KEY, Client, read_body, succeeded};
use crate::consumer::calls::Calls;
use crate::error::{Error, ErrorKind, Result};
use crate::message::MessageExt;
use crate::message_ids::ms_of;
use crate::route::MASTER_ID;
use crate::validate::{check_group, check_topic};

/// Administration with a client's connections and account. Cheap to clone. Java: `DefaultMQAdminExt`.
///
/// ```
/// use ferrocket::admin::TopicConfig;
///
/// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
/// let admin = client.admin();
/// admin.create_topic(&TopicConfig::new("Orders", 8, 8, 6)).await?;
/// for (queue, offset) in admin.topic_stats("Orders").await?.offset_table {
///     println!("{queue}: {} to {}", offset.min_offset, offset.max_offset);
/// }
/// # Ok(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct Admin {
    client: Client,
}

impl Client {
    /// What an application may ask and change of its cluster.
    pub fn admin(&self) -> Admin {
        Admin { client: self.clone() }
    }
}

/// A broker's name and its master's address.
struct Master {
    name: Text,
    addr: String,
}

impl Admin {
    /// The brokers of all clusters that the NameServer knows. Java: `examineBrokerClusterInfo`.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// for (name, broker) in client.admin().cluster_info().await?.broker_addr_table {
    ///     println!("{name} of {}: {:?}", broker.cluster, broker.broker_addrs);
    /// }
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Whatever keeps NameServers from answering.
    pub async fn cluster_info(&self) -> Result<ClusterInfo> {
        self.ask_name_server(RequestCode::GetBrokerClusterInfo, &Empty).await
    }

    /// The names of all topics, those of RocketMQ's own among them. Java: `fetchAllTopicList`.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let sent = client.producer("p").start().await?.send(ferrocket::Message::new("Orders", "o-42")).await?;
    /// let topics = client.admin().topics().await?;
    /// assert!(topics.contains("Orders"));
    /// println!("{} dead letter topics", topics.iter().filter(|topic| topic.starts_with("%DLQ%")).count());
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Whatever keeps NameServers from answering.
    pub async fn topics(&self) -> Result<BTreeSet<String>> {
        let list: TopicList =
            self.ask_name_server(RequestCode::GetAllTopicListFromNameserver, &Empty).await?;
        Ok(list.topic_list)
    }

    /// Which brokers have a topic, and how many queues of it. Java: `examineTopicRouteInfo`.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let sent = client.producer("p").start().await?.send(ferrocket::Message::new("Orders", "o-42")).await?;
    /// for queues in client.admin().topic_route("Orders").await?.queue_datas {
    ///     println!("{}: {} to write, {} to read", queues.broker_name, queues.write_queue_nums, queues.read_queue_nums);
    /// }
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::NoRoute`] when no broker has it, and whatever keeps NameServers from answering.
    pub async fn topic_route(&self, topic: &str) -> Result<TopicRouteData> {
        check_topic(topic)?;
        self.client.query_route(&topic.into()).await
    }

    /// Makes a topic on every broker, or gives it these settings where it is. Java: `createAndUpdateTopicConfig`.
    ///
    /// ```
    /// use ferrocket::admin::TopicConfig;
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// // Eight queues to read and to write, 6 for both rights.
    /// client.admin().create_topic(&TopicConfig::new("Orders", 8, 8, 6)).await?;
    /// # assert_eq!(client.fetch_queues("Orders").await?.len(), 8);
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a name that cannot be a topic's; what a broker refuses; brokers asked before it
    /// have the topic then.
    pub async fn create_topic(&self, topic: &TopicConfig) -> Result<()> {
        check_topic(&topic.topic_name)?;
        let attributes = topic.attributes.iter().flatten().map(|(key, value)| format!("{key}={value}"));
        let header = CreateTopicHeader {
            topic: topic.topic_name.as_str().into(),
            default_topic: CREATE_TOPIC_KEY.into(),
            read_queue_nums: topic.read_queue_nums,
            write_queue_nums: topic.write_queue_nums,
            perm: topic.perm,
            topic_filter_type: TopicFilterType::SingleTag.to_string().into(),
            topic_sys_flag: Some(topic.topic_sys_flag),
            order: topic.order,
            attributes: topic.attributes.as_ref().map(|_| attributes.collect::<Vec<_>>().join(",").into()),
            force: None,
        };
        self.tell_all(&self.all_masters().await?, RequestCode::UpdateAndCreateTopic, &header).await
    }

    /// Removes a topic from every broker, then from the NameServer. Its messages stay in the CommitLog until they
    /// expire, and are found no more. Java: `deleteTopicInBroker`, `deleteTopicInNameServer`.
    ///
    /// ```
    /// # use ferrocket::admin::TopicConfig;
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # client.admin().create_topic(&TopicConfig::new("Old", 1, 1, 6)).await?;
    /// client.admin().delete_topic("Old").await?;
    /// assert!(!client.admin().topics().await?.contains("Old"));
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`create_topic`](Self::create_topic).
    pub async fn delete_topic(&self, topic: &str) -> Result<()> {
        check_topic(topic)?;
        let header = DeleteTopicHeader { topic: topic.into() };
        self.tell_all(&self.all_masters().await?, RequestCode::DeleteTopicInBroker, &header).await?;
        let header = DeleteTopicFromNamesrvHeader { topic: topic.into(), ..Default::default() };
        // Each keeps its own table.
        for addr in self.client.name_server_addrs().iter() {
            let request = self.client.request(RequestCode::DeleteTopicInNamesrv, &header);
            self.client.call_ok(addr, request).await?;
        }
        Ok(())
    }

    /// Makes a consumer group on every broker, or gives it these settings. Java:
    /// `createAndUpdateSubscriptionGroupConfig`.
    ///
    /// ```
    /// use ferrocket::admin::SubscriptionGroupConfig;
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// let billing = SubscriptionGroupConfig { retry_max_times: 3, ..SubscriptionGroupConfig::new("billing") };
    /// client.admin().create_group(&billing).await?;
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`create_topic`](Self::create_topic).
    pub async fn create_group(&self, group: &SubscriptionGroupConfig) -> Result<()> {
        check_group(&group.group_name)?;
        for Master { addr, .. } in self.all_masters().await? {
            let request = self.client.request(RequestCode::UpdateAndCreateSubscriptiongroup, &Empty);
            self.client.call_ok(&addr, request.with_body(fastjson::to_vec(group))).await?;
        }
        Ok(())
    }

    /// Removes a consumer group and its offsets from every broker. Java: `deleteSubscriptionGroup` with
    /// `removeOffset`.
    ///
    /// ```
    /// # use ferrocket::admin::SubscriptionGroupConfig;
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # client.admin().create_group(&SubscriptionGroupConfig::new("old")).await?;
    /// client.admin().delete_group("old").await?;
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`create_topic`](Self::create_topic).
    pub async fn delete_group(&self, group: &str) -> Result<()> {
        check_group(group)?;
        // 5.x calls it the one, 4.9 the other.
        let header = DeleteSubscriptionGroupHeader {
            group_name: group.into(),
            clean_offset: Some(true),
            remove_offset: Some(true),
        };
        self.tell_all(&self.all_masters().await?, RequestCode::DeleteSubscriptiongroup, &header).await
    }

    /// First and last offset of every queue of a topic. Java: `examineTopicStats`.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let sent = client.producer("p").start().await?.send(ferrocket::Message::new("Orders", "o-42")).await?;
    /// let stats = client.admin().topic_stats("Orders").await?;
    /// let messages: i64 = stats.offset_table.values().map(|queue| queue.max_offset - queue.min_offset).sum();
    /// assert_eq!(messages, 1);
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`topic_route`](Self::topic_route), and whatever keeps a broker from answering.
    pub async fn topic_stats(&self, topic: &str) -> Result<TopicStatsTable> {
        let header = GetTopicStatsInfoHeader { topic: topic.into() };
        let mut all = TopicStatsTable::default();
        for Master { addr, .. } in self.masters_of(topic).await? {
            let one: TopicStatsTable = self.ask(&addr, RequestCode::GetTopicStatsInfo, &header).await?;
            all.offset_table.extend(one.offset_table);
        }
        Ok(all)
    }

    /// How far a group is in every queue of a topic; 0 where it never was. Java: `examineConsumeStats`.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let sent = client.producer("p").start().await?.send(ferrocket::Message::new("Orders", "o-42")).await?;
    /// # let consumer = client.pull_consumer("billing").start().await?;
    /// # consumer.update_consume_offset(&sent.message_queue, 0).await?;
    /// let stats = client.admin().consume_stats("billing", "Orders").await?;
    /// let behind: i64 = stats.offset_table.values().map(|queue| queue.broker_offset - queue.consumer_offset).sum();
    /// println!("{behind} messages behind");
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`topic_stats`](Self::topic_stats).
    pub async fn consume_stats(&self, group: &str, topic: &str) -> Result<ConsumeStats> {
        check_group(group)?;
        let header = GetConsumeStatsHeader {
            consumer_group: group.into(),
            topic: Some(topic.into()),
            topic_list: None,
        };
        let mut all = ConsumeStats::default();
        for Master { addr, .. } in self.masters_of(topic).await? {
            let one: ConsumeStats = self.ask(&addr, RequestCode::GetConsumeStats, &header).await?;
            all.consume_tps += one.consume_tps;
            all.offset_table.extend(one.offset_table);
        }
        Ok(all)
    }

    /// Who consumes in a group, as a broker of the topic sees it; none when nobody is connected. Java:
    /// `examineConsumerConnectionInfo`.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let sent = client.producer("p").start().await?.send(ferrocket::Message::new("Orders", "o-42")).await?;
    /// match client.admin().consumer_connection("billing", "Orders").await? {
    ///     Some(connected) => println!("{} members", connected.connection_set.len()),
    ///     None => println!("nobody consumes"),
    /// }
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`topic_route`](Self::topic_route), and whatever keeps the broker from answering.
    pub async fn consumer_connection(&self, group: &str, topic: &str) -> Result<Option<ConsumerConnection>> {
        check_group(group)?;
        let header = GetConsumerConnectionListHeader { consumer_group: group.into() };
        for Master { addr, .. } in self.masters_of(topic).await? {
            match self.ask(&addr, RequestCode::GetConsumerConnectionList, &header).await {
                Ok(connection) => return Ok(Some(connection)),
                Err(error) if error.code() == Some(ResponseCode::CONSUMER_NOT_ONLINE.0) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The message with this offset message id ([`MessageExt::offset_msg_id`], `SendResult::offset_msg_id`). The id
    /// says which of the topic's brokers has it. Java: `viewMessage`, which asks whatever address the id names.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let sent = client.producer("p").start().await?.send(ferrocket::Message::new("Orders", "o-42")).await?;
    /// let message = client.admin().view_message("Orders", &sent.offset_msg_id).await?;
    /// assert_eq!(message.msg_id, sent.msg_id);
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a text that is no such id, or names no broker of the topic: ids come from anywhere, and
    /// a signed request must not go where one of them points. [`ErrorKind::Connect`] when a broker of the topic has a name
    /// that is not known here. As [`topic_route`](Self::topic_route), and what the
    /// broker answers when it has no message there.
    pub async fn view_message(&self, topic: &str, offset_msg_id: &str) -> Result<MessageExt> {
        check_topic(topic)?;
        let id = OffsetMessageId::parse(offset_msg_id).ok_or_else(|| {
            Error::new(ErrorKind::Config, format!("{offset_msg_id:?} is no offset message id"))
        })?;
        let Some((name, addr)) = self.broker_at(topic, id.host).await? else {
            let text = format!("{offset_msg_id}: no broker of topic {topic} has the address {}", id.host);
            return Err(Error::new(ErrorKind::Config, text));
        };
        let header = ViewMessageHeader { topic: Some(topic.into()), offset: id.physical_offset };
        let request = self.client.request(RequestCode::ViewMessageById, &header);
        let mut body = self.client.call_ok(&addr, request).await?.body;
        MessageExt::decode(&mut body, &name)
    }

    /// The broker of a topic that is reached there, master or slave, as the route has it: name and address.
    async fn broker_at(&self, topic: &str, host: SocketAddr) -> Result<Option<(Text, String)>> {
        let mut unknown = None;
        for BrokerData { broker_name, broker_addrs, .. } in self.topic_route(topic).await?.broker_datas {
            for addr in broker_addrs.into_values() {
                let there = match addr.parse::<SocketAddr>() {
                    Ok(there) => there == host,
                    // Records have the address that the broker found for its name.
                    Err(_) => match lookup_host(&addr).await {
                        Ok(mut found) => found.any(|there| there == host),
                        Err(error) => {
                            unknown = Some((addr.clone(), error));
                            false
                        }
                    },
                };
                if there {
                    return Ok(Some((broker_name.into(), addr)));
                }
            }
        }
        // It might be the one, and only a proxy knows it.
        unknown.map_or(Ok(None), |(addr, error)| {
            let text = format!("broker {addr} of topic {topic} has no address here");
            Err(Error::new(ErrorKind::Connect, text).with_source(error))
        })
    }

    /// Up to `max` messages of a topic with this key ([`Message::key`](crate::Message::key)), stored between the two
    /// times, from every broker; the oldest first. Java: `queryMessage`.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let order = ferrocket::Message::new("Orders", "paid").key("o-42");
    /// # let sent = client.producer("p").start().await?.send(order).await?;
    /// let (now, hour) = (SystemTime::now(), Duration::from_secs(3600));
    /// for message in client.admin().query_message("Orders", "o-42", 32, now - hour, now + hour).await? {
    ///     println!("{} {:?}", message.msg_id, message.body);
    /// }
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`topic_stats`](Self::topic_stats).
    pub async fn query_message(
        &self,
        topic: &str,
        key: &str,
        max: u16,
        begin: SystemTime,
        end: SystemTime,
    ) -> Result<Vec<MessageExt>> {
        let mut found = self.query(topic, key, max, (ms_of(begin), ms_of(end)), false).await?;
        // Brokers go by a hash of the key.
        found.retain(|message| message.keys().any(|of_message| of_message == key));
        found.truncate(usize::from(max));
        Ok(found)
    }

    /// The message with this unique key, the id that `SendResult::msg_id` has; the last one where a retried send
    /// stored several. Java: `queryMessageByUniqKey`.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let sent = client.producer("p").start().await?.send(ferrocket::Message::new("Orders", "paid")).await?;
    /// let found = client.admin().query_message_by_unique_key("Orders", &sent.msg_id).await?;
    /// println!("{}", if found.is_some() { "it is there" } else { "nobody has it" });
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`topic_stats`](Self::topic_stats).
    pub async fn query_message_by_unique_key(&self, topic: &str, key: &str) -> Result<Option<MessageExt>> {
        let found = self.query(topic, key, 32, (0, i64::MAX), true).await?;
        Ok(found.into_iter().rfind(|message| *message.msg_id == *key))
    }

    async fn query(
        &self,
        topic: &str,
        key: &str,
        max: u16,
        (begin_timestamp, end_timestamp): (i64, i64),
        is_unique_key: bool,
    ) -> Result<Vec<MessageExt>> {
        let header = QueryMessageHeader {
            topic: topic.into(),
            key: key.into(),
            max_num: i32::from(max),
            begin_timestamp,
            end_timestamp,
        };
        let mut found = Vec::new();
        for Master { name, addr } in self.masters_of(topic).await? {
            let mut request = self.client.request(RequestCode::QueryMessage, &header);
            request.ext_fields.push(UNIQUE_KEY_QUERY, if is_unique_key { "true" } else { "false" });
            match self.client.call_ok(&addr, request).await {
                Ok(reply) => found.extend(MessageExt::decode_all(reply.body, &name)?),
                Err(error) if error.code() == Some(ResponseCode::QUERY_NOT_FOUND.0) => {}
                Err(error) => return Err(error),
            }
        }
        found.sort_by_key(|message| message.store_timestamp);
        Ok(found)
    }

    /// Has a group go on, in every queue of a topic, with the first message stored at this time or later; answers
    /// where that is. Consumers that are connected are told; without any, the stored offsets are set. A connected group
    /// without stored offsets is refused by the broker (code 1). Java:
    /// `resetOffsetByTimestamp` with `isForce`.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let sent = client.producer("p").start().await?.send(ferrocket::Message::new("Orders", "paid")).await?;
    /// # let billing = client.pull_consumer("billing").start().await?;
    /// # for queue in billing.fetch_queues("Orders").await? {
    /// #     billing.update_consume_offset(&queue, 1).await?;
    /// # }
    /// # billing.shutdown().await;
    /// // The last hour once more.
    /// let an_hour_ago = SystemTime::now() - Duration::from_secs(3600);
    /// for (queue, offset) in client.admin().reset_offset("billing", "Orders", an_hour_ago).await? {
    ///     println!("{queue}: goes on at {offset}");
    /// }
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`topic_stats`](Self::topic_stats); brokers asked before the one that fails have reset the group.
    pub async fn reset_offset(
        &self,
        group: &str,
        topic: &str,
        time: SystemTime,
    ) -> Result<BTreeMap<MessageQueue, i64>> {
        check_group(group)?;
        let header = ResetOffsetHeader {
            group: group.into(),
            topic: topic.into(),
            timestamp: ms_of(time),
            is_force: true,
            ..Default::default()
        };
        let mut all = BTreeMap::new();
        for Master { name, addr } in self.masters_of(topic).await? {
            match self.ask(&addr, RequestCode::InvokeBrokerToResetOffset, &header).await {
                Ok(ResetOffsetBody { offset_table }) => all.extend(offset_table),
                Err(error) if error.code() == Some(ResponseCode::CONSUMER_NOT_ONLINE.0) => {
                    all.extend(self.reset_stored(group, topic, &name, header.timestamp).await?);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    /// The same on one broker, for a group of which nobody is connected. Java: `resetOffsetByTimestampOld`.
    async fn reset_stored(
        &self,
        group: &str,
        topic: &str,
        broker_name: &str,
        timestamp: i64,
    ) -> Result<Vec<(MessageQueue, i64)>> {
        let calls = Calls::new(self.client.clone(), group.into());
        let route = self.client.fetch_route(&topic.into(), None).await?;
        let mut reset = Vec::new();
        for queue in route.subscribe_queues().iter().filter(|queue| *queue.broker_name == *broker_name) {
            let offset = calls.search_offset(queue, timestamp).await?;
            calls.update_offset(queue, offset).await?;
            reset.push((queue.clone(), offset));
        }
        Ok(reset)
    }

    /// The masters of all brokers.
    async fn all_masters(&self) -> Result<Vec<Master>> {
        let masters = masters(self.cluster_info().await?.broker_addr_table.into_values());
        if masters.is_empty() {
            return Err(Error::new(ErrorKind::NoBroker, "the NameServer knows no broker that is a master"));
        }
        Ok(masters)
    }

    async fn masters_of(&self, topic: &str) -> Result<Vec<Master>> {
        Ok(masters(self.topic_route(topic).await?.broker_datas))
    }

    async fn tell_all<H: Header>(&self, brokers: &[Master], code: RequestCode, header: &H) -> Result<()> {
        for Master { addr, .. } in brokers {
            self.client.call_ok(addr, self.client.request(code, header)).await?;
        }
        Ok(())
    }

    async fn ask<B: DeserializeOwned>(
        &self,
        addr: &str,
        code: RequestCode,
        header: &impl Header,
    ) -> Result<B> {
        let reply = self.client.call_ok(addr, self.client.request(code, header)).await?;
        read_body(&reply, addr)
    }

    async fn ask_name_server<B: DeserializeOwned>(
        &self,
        code: RequestCode,
        header: &impl Header,
    ) -> Result<B> {
        let (reply, addr) = self.client.call_name_server(self.client.request(code, header)).await?;
        read_body(&succeeded(reply, &addr)?, &addr)
    }
}

fn masters(brokers: impl IntoIterator<Item = BrokerData>) -> Vec<Master> {
    let master = |mut broker: BrokerData| {
        let addr = broker.broker_addrs.remove(&MASTER_ID)?;
        Some(Master { name: broker.broker_name.into(), addr })
    };
    brokers.into_iter().filter_map(master).collect()
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Admin").field(&self.client).finish()
    }
}
