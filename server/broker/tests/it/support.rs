//! A Broker on a free port with a folder of its own, and a peer that speaks raw requests.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ferrocket_broker::{Broker, BrokerSettings};
use ferrocket_protocol::body::heartbeat::{
    ConsumeFromWhere, ConsumeType, ConsumerData, HeartbeatData, MessageModel, SubscriptionData,
};
use ferrocket_protocol::message::java_hash;
use ferrocket_protocol::message_id::OffsetMessageId;
use ferrocket_protocol::requests::Empty;
use ferrocket_protocol::requests::offset::{
    GetMaxOffsetHeader, QueryConsumerOffsetHeader, UpdateConsumerOffsetHeader,
};
use ferrocket_protocol::requests::pull::PullMessageHeader;
use ferrocket_protocol::requests::send::SendMessageHeader;
use ferrocket_protocol::requests::topic::CreateTopicHeader;
use ferrocket_protocol::requests::transaction::EndTransactionHeader;
use ferrocket_protocol::{
    ExtFields, Header, MessageRecord, RemotingCommand, RequestCode, ResponseCode, fastjson,
};
use ferrocket_remoting::{Connection, Handler, RemotingConfig, dial};
use tempfile::TempDir;
use tokio::sync::mpsc;

/// Longer than anything here takes; whoever waits so long has found a bug.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Bits of a pull's system flag.
pub(crate) const COMMIT: i32 = 1;
pub(crate) const SUSPEND: i32 = 2;
pub(crate) const SUBSCRIPTION: i32 = 4;

/// The settings of a Broker on a free port, with small files in `dir`, and whatever else is given.
pub(crate) fn settings_in<'a>(
    dir: &'a Path,
    more: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> BrokerSettings {
    let mut all = BrokerSettings::default();
    let fixed = [
        ("storePathRootDir", dir.to_str().unwrap()),
        ("listenPort", "0"),
        ("bindAddress", "127.0.0.1"),
        ("brokerIP1", "127.0.0.1"),
        ("brokerName", "broker-a"),
        ("mappedFileSizeCommitLog", "16777216"),
        ("maxHashSlotNum", "1000"),
        ("maxIndexNum", "4000"),
    ];
    for (key, value) in fixed.into_iter().chain(more) {
        all.set(key, value).unwrap();
    }
    all
}

/// A running Broker.
pub(crate) struct Rig {
    pub(crate) broker: Broker,
    settings: Vec<(String, String)>,
    dir: TempDir,
}

impl Rig {
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Self {
        let settings = settings.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        Self::start_in(tempfile::tempdir().unwrap(), settings).await
    }

    async fn start_in(dir: TempDir, settings: Vec<(String, String)>) -> Self {
        let all = settings_in(dir.path(), settings.iter().map(|(key, value)| (&**key, &**value)));
        Self { broker: Broker::start(all).await.unwrap(), settings, dir }
    }

    /// Stops cleanly and starts again on the same folder.
    pub(crate) async fn restart(self) -> Self {
        self.broker.shutdown().await.unwrap();
        Self::start_in(self.dir, self.settings).await
    }

    /// The same with other settings.
    pub(crate) async fn restart_with(mut self, settings: &[(&str, &str)]) -> Self {
        self.settings = settings.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        self.restart().await
    }

    pub(crate) fn store_dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) async fn peer(&self) -> Peer {
        Peer::connect(self.broker.local_addr()).await
    }
}

/// A client by hand.
pub(crate) struct Peer {
    pub(crate) connection: Connection,
    /// What the Broker asks or tells.
    pub(crate) pushed: mpsc::UnboundedReceiver<RemotingCommand>,
}

struct Pushed(mpsc::UnboundedSender<RemotingCommand>);

impl Handler for Pushed {
    fn handle(&self, _: &Connection, requests: &mut Vec<RemotingCommand>, _: &mut Vec<RemotingCommand>) {
        for request in requests.drain(..) {
            let _ = self.0.send(request);
        }
    }
}

impl Peer {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let (sender, pushed) = mpsc::unbounded_channel();
        let connection =
            dial(&addr.to_string(), Arc::new(Pushed(sender)), &RemotingConfig::default()).await.unwrap();
        Self { connection, pushed }
    }

    pub(crate) async fn call(&self, request: RemotingCommand) -> RemotingCommand {
        self.connection.call(request, PATIENCE).await.unwrap()
    }

    /// The next thing the Broker says by itself.
    pub(crate) async fn push(&mut self) -> RemotingCommand {
        tokio::time::timeout(PATIENCE, self.pushed.recv()).await.unwrap().unwrap()
    }

    pub(crate) async fn ask(&self, code: RequestCode, header: &impl Header) -> RemotingCommand {
        self.call(RemotingCommand::request(code, header)).await
    }

    pub(crate) async fn send(&self, header: &SendMessageHeader, body: impl Into<Bytes>) -> RemotingCommand {
        self.call(send_request(header, body)).await
    }

    /// Stores a message that must be accepted; answers the reply.
    pub(crate) async fn store(
        &self,
        topic: &str,
        queue_id: i32,
        properties: &str,
        body: &'static str,
    ) -> RemotingCommand {
        let reply = self.send(&message(topic, queue_id, properties), body).await;
        assert_eq!(reply.response_code(), ResponseCode::SUCCESS, "{reply:?}");
        reply
    }

    pub(crate) async fn pull(&self, header: &PullMessageHeader) -> RemotingCommand {
        self.ask(RequestCode::PullMessage, header).await
    }

    /// The messages of a queue from this offset on, once there is at least one.
    pub(crate) async fn messages(&self, topic: &str, queue_id: i32, offset: i64) -> Vec<MessageRecord> {
        let mut header = pull(topic, queue_id, offset);
        header.sys_flag |= SUSPEND;
        header.suspend_timeout_millis = 20_000;
        let reply = self.pull(&header).await;
        assert_eq!(reply.response_code(), ResponseCode::SUCCESS, "{reply:?}");
        MessageRecord::decode_all(reply.body).unwrap()
    }

    /// The first message of a queue, once it is there.
    pub(crate) async fn first_message(&self, topic: &str, queue_id: i32) -> MessageRecord {
        self.messages(topic, queue_id, 0).await.remove(0)
    }

    /// Creates or changes a topic.
    pub(crate) async fn topic(&self, topic: &str, queues: i32, perm: i32) {
        let header = CreateTopicHeader { perm, ..new_topic(topic, queues, queues) };
        let reply = self.ask(RequestCode::UpdateAndCreateTopic, &header).await;
        assert_eq!(reply.response_code(), ResponseCode::SUCCESS, "{reply:?}");
    }

    /// Stores how far a group has come in a queue.
    pub(crate) async fn commit(&self, group: &str, topic: &str, queue_id: i32, commit_offset: i64) {
        let header = UpdateConsumerOffsetHeader {
            consumer_group: group.into(),
            topic: topic.into(),
            queue_id,
            commit_offset,
        };
        assert_eq!(self.ask(RequestCode::UpdateConsumerOffset, &header).await.code, 0);
    }

    /// How far a group has come in a queue.
    pub(crate) async fn committed(&self, group: &str, topic: &str, queue_id: i32) -> String {
        let header = QueryConsumerOffsetHeader {
            consumer_group: group.into(),
            topic: topic.into(),
            queue_id,
            set_zero_if_not_found: None,
        };
        field(&self.ask(RequestCode::QueryConsumerOffset, &header).await, "offset").to_owned()
    }

    /// Where a queue ends.
    pub(crate) async fn max_offset(&self, topic: &str, queue_id: i32) -> i64 {
        let header = GetMaxOffsetHeader { topic: topic.into(), queue_id, committed: None };
        field(&self.ask(RequestCode::GetMaxOffset, &header).await, "offset").parse().unwrap()
    }

    /// A heartbeat of one consumer group with these topics and expressions.
    pub(crate) async fn heartbeat(
        &self,
        client_id: &str,
        group: &str,
        version: i64,
        topics: &[(&str, &str)],
    ) {
        let subscriptions = topics.iter().map(|(topic, expression)| SubscriptionData {
            topic: topic.to_string(),
            sub_string: expression.to_string(),
            sub_version: version,
            tags_set: tags(expression).map(str::to_owned).collect(),
            code_set: tags(expression).map(java_hash).collect(),
            ..SubscriptionData::default()
        });
        self.subscribe(client_id, group, subscriptions.collect()).await;
    }

    /// A heartbeat of one consumer group with these subscriptions.
    pub(crate) async fn subscribe(&self, client_id: &str, group: &str, subscriptions: Vec<SubscriptionData>) {
        let body = HeartbeatData {
            client_id: client_id.to_owned(),
            consumer_data_set: vec![ConsumerData {
                group_name: group.to_owned(),
                consume_type: ConsumeType::Passively,
                message_model: MessageModel::Clustering,
                consume_from_where: ConsumeFromWhere::LastOffset,
                subscription_data_set: subscriptions,
                unit_mode: false,
            }],
            ..HeartbeatData::default()
        };
        let request =
            RemotingCommand::request(RequestCode::HeartBeat, &Empty).with_body(fastjson::to_vec(&body));
        let reply = self.call(request).await;
        assert_eq!(reply.response_code(), ResponseCode::SUCCESS, "{reply:?}");
    }
}

fn tags(expression: &str) -> impl Iterator<Item = &str> {
    expression.split("||").map(str::trim).filter(|tag| *tag != "*")
}

/// A field of a reply; every value is a text.
pub(crate) fn field<'a>(reply: &'a RemotingCommand, name: &str) -> &'a str {
    reply.ext_fields.get(name).map_or("(absent)", |value| value)
}

/// Code and offset to go on at of a pull's reply.
pub(crate) fn outcome(reply: &RemotingCommand) -> (i32, &str) {
    (reply.code, field(reply, "nextBeginOffset"))
}

/// A topic to be created or changed.
pub(crate) fn new_topic(topic: &str, read: i32, write: i32) -> CreateTopicHeader {
    CreateTopicHeader {
        topic: topic.into(),
        default_topic: "TBW102".into(),
        read_queue_nums: read,
        write_queue_nums: write,
        perm: 6,
        topic_filter_type: "SINGLE_TAG".into(),
        ..CreateTopicHeader::default()
    }
}

/// The end of a half message, of which this is the answer.
pub(crate) fn end_of(half: &RemotingCommand) -> EndTransactionHeader {
    EndTransactionHeader {
        producer_group: "pg".into(),
        tran_state_table_offset: field(half, "queueOffset").parse().unwrap(),
        commit_log_offset: OffsetMessageId::parse(field(half, "msgId")).unwrap().physical_offset,
        ..EndTransactionHeader::default()
    }
}

pub(crate) fn message(topic: &str, queue_id: i32, properties: &str) -> SendMessageHeader {
    SendMessageHeader {
        producer_group: "pg".into(),
        topic: topic.into(),
        default_topic: "TBW102".into(),
        default_topic_queue_nums: 4,
        queue_id,
        born_timestamp: 1_700_000_000_000,
        properties: Some(properties.into()),
        batch: Some(false),
        ..SendMessageHeader::default()
    }
}

pub(crate) fn send_request(header: &SendMessageHeader, body: impl Into<Bytes>) -> RemotingCommand {
    let mut request = RemotingCommand::request(RequestCode::SendMessageV2, &Empty).with_body(body);
    let mut fields = ExtFields::new();
    header.clone().encode_v2(&mut fields);
    request.ext_fields = fields;
    request
}

/// A pull that brings its subscription (everything) along and does not wait.
pub(crate) fn pull(topic: &str, queue_id: i32, offset: i64) -> PullMessageHeader {
    PullMessageHeader {
        consumer_group: "cg".into(),
        topic: topic.into(),
        queue_id,
        queue_offset: offset,
        max_msg_nums: 32,
        sys_flag: SUBSCRIPTION,
        subscription: Some("*".into()),
        expression_type: Some("TAG".into()),
        ..PullMessageHeader::default()
    }
}
