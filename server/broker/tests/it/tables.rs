//! The tables of the specification that concern a Broker, row by row: built-in topics and groups, limits, flags,
//! properties.

use bytes::Bytes;
use ferrocket_protocol::body::group::SubscriptionGroupWrapper;
use ferrocket_protocol::body::topic::{TopicConfigSerializeWrapper, TopicList};
use ferrocket_protocol::message::sys_flag;
use ferrocket_protocol::message_id::OffsetMessageId;
use ferrocket_protocol::requests::Empty;
use ferrocket_protocol::requests::pull::PullMessageHeader;
use ferrocket_protocol::requests::query::QueryMessageHeader;
use ferrocket_protocol::requests::send::{ConsumerSendMsgBackHeader, SendMessageHeader};
use ferrocket_protocol::requests::topic::CreateTopicHeader;
use ferrocket_protocol::{MessageRecord, RemotingCommand, RequestCode, ResponseCode, fastjson, properties};

use crate::support::{Peer, Rig, SUSPEND, field, message, new_topic, outcome, pull};

async fn topics(peer: &Peer) -> TopicConfigSerializeWrapper {
    let reply = peer.call(RemotingCommand::request(RequestCode::GetAllTopicConfig, &Empty)).await;
    fastjson::from_slice(&reply.body).unwrap()
}

async fn create(peer: &Peer, topic: &str) -> RemotingCommand {
    peer.ask(RequestCode::UpdateAndCreateTopic, &new_topic(topic, 8, 8)).await
}

/// A topic that is there at start.
struct BuiltIn {
    name: &'static str,
    queues: i32,
    perm: i32,
    /// The setting without which it has other permissions, or is not there.
    needs: Option<(&'static str, Option<i32>)>,
    /// Whether clients may send to it.
    open: bool,
}

const fn topic(name: &'static str, queues: i32, perm: i32) -> BuiltIn {
    BuiltIn { name, queues, perm, needs: None, open: true }
}

const fn needing(topic: BuiltIn, setting: &'static str, without: Option<i32>) -> BuiltIn {
    BuiltIn { needs: Some((setting, without)), ..topic }
}

const fn closed(topic: BuiltIn) -> BuiltIn {
    BuiltIn { open: false, ..topic }
}

const TOPICS: [BuiltIn; 9] = [
    closed(topic("SELF_TEST_TOPIC", 1, 6)),
    needing(topic("TBW102", 8, 7), "autoCreateTopicEnable", None),
    topic("BenchmarkTest", 1024, 6),
    needing(topic("DefaultCluster", 16, 7), "clusterTopicEnable", Some(1)),
    needing(topic("broker-a", 1, 7), "brokerTopicEnable", Some(1)),
    closed(topic("OFFSET_MOVED_EVENT", 1, 6)),
    closed(topic("SCHEDULE_TOPIC_XXXX", 18, 6)),
    needing(topic("RMQ_SYS_TRACE_TOPIC", 1, 6), "traceTopicEnable", None),
    topic("DefaultCluster_REPLY_TOPIC", 1, 6),
];
/// Those that come into being when they are needed; clients may send to none of them.
const LATER: [&str; 3] =
    ["RMQ_SYS_TRANS_HALF_TOPIC", "RMQ_SYS_TRANS_OP_HALF_TOPIC", "TRANS_CHECK_MAX_TIME_TOPIC"];

/// Built-in topics have Java's queues and permissions, are named to tools, and belong to the Broker.
#[tokio::test]
async fn built_in_topics() {
    let rig = Rig::start(&[("traceTopicEnable", "true")]).await;
    let peer = rig.peer().await;
    let all = topics(&peer).await.topic_config_table;
    assert_eq!(all.len(), TOPICS.len(), "{:?}", all.keys());
    let reply = peer.call(RemotingCommand::request(RequestCode::GetSystemTopicListFromBroker, &Empty)).await;
    let system: TopicList = fastjson::from_slice(&reply.body).unwrap();
    for BuiltIn { name, queues, perm, open, .. } in TOPICS {
        let topic = &all[name];
        assert_eq!(
            (topic.read_queue_nums, topic.write_queue_nums, topic.perm),
            (queues, queues, perm),
            "{name}"
        );
        assert!(system.topic_list.contains(name), "{name}");
        let refused = create(&peer, name).await;
        let words = format!("The topic[{name}] is conflict with system topic.");
        assert_eq!((refused.code, refused.remark.as_deref()), (1, Some(&*words)), "{name}");
        let code = peer.send(&message(name, 0, ""), "x").await.response_code();
        assert_eq!(code == ResponseCode::SUCCESS, open, "{name}: {code:?}");
    }
    for name in LATER {
        assert_eq!(
            peer.send(&message(name, 0, ""), "x").await.response_code(),
            ResponseCode::NO_PERMISSION,
            "{name}"
        );
        assert_eq!(create(&peer, name).await.code, 1, "{name}");
    }
    let off: Vec<_> = TOPICS.iter().filter_map(|topic| Some((topic.needs?.0, "false"))).collect();
    let rig = Rig::start(&off).await;
    let all = topics(&rig.peer().await).await.topic_config_table;
    for (name, perm) in TOPICS.iter().filter_map(|topic| Some((topic.name, topic.needs?.1))) {
        assert_eq!(all.get(name).map(|topic| topic.perm), perm, "{name}");
    }
}

/// Java's own groups are there at start; those of the system's prefix are made even when others are not.
#[tokio::test]
async fn built_in_groups() {
    let rig = Rig::start(&[("autoCreateSubscriptionGroup", "false")]).await;
    let peer = rig.peer().await;
    peer.store("T", 0, "", "x").await;
    let names = async || {
        let reply =
            peer.call(RemotingCommand::request(RequestCode::GetAllSubscriptiongroupConfig, &Empty)).await;
        let all: SubscriptionGroupWrapper = fastjson::from_slice(&reply.body).unwrap();
        all.subscription_group_table.into_keys().collect::<Vec<_>>()
    };
    let built_in = [
        "CID_ONS-HTTP-PROXY",
        "CID_ONSAPI_OWNER",
        "CID_ONSAPI_PERMISSION",
        "CID_ONSAPI_PULL",
        "FILTERSRV_CONSUMER",
        "SELF_TEST_C_GROUP",
        "TOOLS_CONSUMER",
    ];
    assert_eq!(names().await, built_in);
    for (group, expected) in [
        ("TOOLS_CONSUMER", ResponseCode::SUCCESS),
        ("CID_RMQ_SYS_ANY", ResponseCode::SUCCESS),
        ("__MONITOR_CONSUMER", ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST),
        ("mine", ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST),
    ] {
        let reply = peer.pull(&PullMessageHeader { consumer_group: group.into(), ..pull("T", 0, 0) }).await;
        assert_eq!(reply.response_code(), expected, "{group}");
    }
    assert!(names().await.contains(&"CID_RMQ_SYS_ANY".to_owned()));
}

/// Names of topics: 127 of the characters `%|a-zA-Z0-9_-`, as admins create them and as senders name them.
#[tokio::test]
async fn names_of_topics() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    let (longest, longer) = ("n".repeat(127), "n".repeat(128));
    for (name, fits) in [
        ("azAZ09%|_-", true),
        (&*longest, true),
        (&*longer, false),
        ("a b", false),
        ("a.b", false),
        ("a/b", false),
        ("ä", false),
        ("", false),
    ] {
        assert_eq!(create(&peer, name).await.code == 0, fits, "{name}");
        assert_eq!(peer.send(&message(name, 0, ""), "x").await.code == 0, fits, "{name}");
    }
}

/// Bodies, properties and batches end where Java's do, both ends included.
#[tokio::test]
async fn limits_of_messages() {
    let rig = Rig::start(&[("maxMessageSize", "10000")]).await;
    let peer = rig.peer().await;
    let send = async |header: SendMessageHeader, len: usize| {
        peer.send(&header, Bytes::from(vec![b'x'; len])).await.response_code()
    };
    assert_eq!(send(message("T", 0, ""), 10_000).await, ResponseCode::SUCCESS);
    assert_eq!(send(message("T", 0, ""), 10_001).await, ResponseCode::MESSAGE_ILLEGAL);
    let batch = SendMessageHeader { batch: Some(true), ..message("T", 0, "") };
    assert_eq!(send(batch, 10_001).await, ResponseCode::MESSAGE_ILLEGAL);
    // What the Broker adds counts: `\u{2}CLUSTER\u{1}DefaultCluster`.
    let room = 32_767 - "p\u{1}\u{2}CLUSTER\u{1}DefaultCluster".len();
    for (more, expected) in [(0, ResponseCode::SUCCESS), (1, ResponseCode::MESSAGE_ILLEGAL)] {
        let properties = format!("p\u{1}{}", "v".repeat(room + more));
        assert_eq!(send(message("T", 0, &properties), 1).await, expected);
    }
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    for (len, expected) in [(4_194_304, ResponseCode::SUCCESS), (4_194_305, ResponseCode::MESSAGE_ILLEGAL)] {
        let reply = peer.send(&message("T", 0, ""), Bytes::from(vec![b'x'; len])).await;
        assert_eq!(reply.response_code(), expected, "{len}");
    }
}

/// Levels of delay are clamped to the last one, and each has its queue; a retry begins with the third.
#[tokio::test]
async fn levels_of_delay() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    for (level, queue_id) in [(18, 17), (19, 17), (1_000, 17), (17, 16)] {
        let before = peer.pull(&pull("SCHEDULE_TOPIC_XXXX", queue_id, 0)).await;
        let next: i64 = field(&before, "maxOffset").parse().unwrap();
        peer.store("T", 0, &format!("DELAY\u{1}{level}"), "x").await;
        let stored = peer.messages("SCHEDULE_TOPIC_XXXX", queue_id, next).await;
        let clamped = level.min(18).to_string();
        assert_eq!(properties::get(&stored[0].properties, "DELAY"), Some(&*clamped), "{level}");
    }
    let sent = peer.store("T", 0, "", "x").await;
    let header = ConsumerSendMsgBackHeader {
        offset: OffsetMessageId::parse(field(&sent, "msgId")).unwrap().physical_offset,
        group: "cg".into(),
        ..ConsumerSendMsgBackHeader::default()
    };
    assert_eq!(peer.call(RemotingCommand::request(RequestCode::ConsumerSendMsgBack, &header)).await.code, 0);
    assert_eq!(peer.messages("SCHEDULE_TOPIC_XXXX", 2, 0).await.len(), 1);
}

/// One pull gives 32 messages or 256 KiB at most and looks at 800; one query by key gives 64.
#[tokio::test]
async fn limits_of_answers() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    for _ in 0..70 {
        peer.store("Many", 0, "KEYS\u{1}k", "x").await;
    }
    for _ in 0..4 {
        peer.send(&message("Large", 0, ""), Bytes::from(vec![b'x'; 100_000])).await;
    }
    for (topic, asked, found) in [("Many", 31, 31), ("Many", 100, 32), ("Large", 32, 2)] {
        let reply = peer.pull(&PullMessageHeader { max_msg_nums: asked, ..pull(topic, 0, 0) }).await;
        assert_eq!(MessageRecord::decode_all(reply.body).unwrap().len(), found, "{topic} {asked}");
    }
    let query = QueryMessageHeader {
        topic: "Many".into(),
        key: "k".into(),
        max_num: 100,
        begin_timestamp: 0,
        end_timestamp: i64::MAX,
    };
    let reply = peer.call(RemotingCommand::request(RequestCode::QueryMessage, &query)).await;
    assert_eq!(MessageRecord::decode_all(reply.body).unwrap().len(), 64);
    let mut header = message("Tags", 0, "TAGS\u{1}b");
    header.batch = Some(true);
    let one = ferrocket_protocol::batch::BatchMessage {
        flag: 0,
        body: Bytes::from_static(b"x"),
        properties: "".into(),
    };
    let reply = peer.send(&header, ferrocket_protocol::batch::encode(&vec![one; 1_000])).await;
    assert_eq!(reply.code, 0, "{reply:?}");
    for (asked, looked_at) in [(32, "800"), (900, "900")] {
        let other =
            PullMessageHeader { subscription: Some("a".into()), max_msg_nums: asked, ..pull("Tags", 0, 0) };
        assert_eq!(outcome(&peer.pull(&other).await), (20, looked_at));
    }
}

/// System flags of messages pass through, known and unknown; the Broker adds that of topics with several tags
/// and those of addresses, and takes that of half messages away.
#[tokio::test]
async fn flags_of_messages() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    let stored = async |topic: &str, flags: i32| {
        let header = SendMessageHeader { sys_flag: flags, ..message(topic, 0, "") };
        let reply = peer.send(&header, "x").await;
        peer.messages(topic, 0, field(&reply, "queueOffset").parse().unwrap()).await.remove(0).sys_flag
    };
    let compressed = sys_flag::COMPRESSED;
    for flags in
        [0, compressed, compressed | 0x100, compressed | 0x200, compressed | 0x300, 0x40, 0x80, 0x10_0000]
    {
        assert_eq!(stored("T", flags).await, flags, "{flags:#x}");
    }
    assert_eq!(stored("T", sys_flag::TRANSACTION_COMMIT).await, sys_flag::TRANSACTION_COMMIT);
    let header = CreateTopicHeader { topic_filter_type: "MULTI_TAG".into(), ..new_topic("M", 1, 1) };
    peer.call(RemotingCommand::request(RequestCode::UpdateAndCreateTopic, &header)).await;
    assert_eq!(stored("M", 0).await, sys_flag::MULTI_TAGS);
    peer.store("H", 0, "TRAN_MSG\u{1}true\u{2}PGROUP\u{1}pg", "x").await;
    let half = peer.messages("RMQ_SYS_TRANS_HALF_TOPIC", 0, 0).await.remove(0);
    assert_eq!(half.sys_flag & sys_flag::TRANSACTION_ROLLBACK, 0);
}

/// Every bit of a pull that has no meaning here is passed over; lite pulls carry one.
#[tokio::test]
async fn flags_of_pulls() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    peer.store("T", 0, "", "x").await;
    for more in [0, 0x8, 0x10, SUSPEND, 0x4000_0000] {
        let header = pull("T", 0, 0);
        let header = PullMessageHeader { sys_flag: header.sys_flag | more, ..header };
        assert_eq!(outcome(&peer.pull(&header).await), (0, "1"), "{more:#x}");
    }
}

/// Each property of every version: what is stored of a message that has it.
#[tokio::test]
async fn properties_of_messages() {
    // Nothing of these is the Broker's business in a message that is just sent.
    const KEPT: &str = "KEYS TAGS RETRY_TOPIC REAL_TOPIC REAL_QID PGROUP MIN_OFFSET MAX_OFFSET BUYER_ID \
        ORIGIN_MESSAGE_ID TRANSFER_FLAG CORRECTION_FLAG MQ2_FLAG RECONSUME_TIME MSG_REGION TRACE_ON UNIQ_KEY \
        EXTEND_UNIQ_INFO MAX_RECONSUME_TIMES CONSUME_START_TIME INNER_NUM INNER_BASE DUP_INFO \
        CHECK_IMMUNITY_TIME_IN_SECONDS TRAN_PREPARED_QUEUE_OFFSET __transactionId__ TRANSACTION_CHECK_TIMES \
        INSTANCE_ID CORRELATION_ID REPLY_TO_CLIENT TTL ARRIVE_TIME PUSH_REPLY_TIME MSG_TYPE POP_CK POP_CK_OFFSET \
        1ST_POP_TIME __SHARDINGKEY PROPERTY_FORWARD_QUEUE_ID REDIRECT INNER_MULTI_DISPATCH TRACE_CONTEXT \
        TIMER_DELAY_SEC TIMER_DELIVER_MS TIMER_DELAY_MS __BORNHOST BORN_TIMESTAMP TIMER_ENQUEUE_MS \
        TIMER_DEQUEUE_MS TIMER_ROLL_TIMES TIMER_OUT_MS TIMER_DEL_UNIQKEY TIMER_DELAY_LEVEL __CRC32# \
        DLQ_ORIGIN_TOPIC DLQ_ORIGIN_MESSAGE_ID any";
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    let kept = KEPT.split_ascii_whitespace().map(|name| (name, "7", Some("7")));
    let others = [
        ("WAIT", "true", None),
        ("DELAY", "0", Some("0")),
        ("TRAN_MSG", "false", Some("false")),
        ("CLUSTER", "other", Some("DefaultCluster")),
        ("INNER_MULTI_QUEUE_OFFSET", "7", None),
    ];
    for (offset, (name, sent, stored)) in kept.chain(others).enumerate() {
        let reply = peer.store("T", 0, &format!("{name}\u{1}{sent}"), "x").await;
        assert_eq!(field(&reply, "queueOffset"), offset.to_string(), "{name}");
        let message = peer.messages("T", 0, offset as i64).await.remove(0);
        assert_eq!(properties::get(&message.properties, name), stored, "{name}");
        assert_eq!(properties::get(&message.properties, "CLUSTER"), Some("DefaultCluster"), "{name}");
        // Told in every answer instead.
        assert_eq!((field(&reply, "MSG_REGION"), field(&reply, "TRACE_ON")), ("DefaultRegion", "true"));
    }
}
