//! What admin tools ask for: topics, groups, settings, counters, messages by key and id.

use ferrocket_protocol::body::group::{
    ConsumeStats, ConsumeStatsList, GroupList, QuerySubscriptionBody, SubscriptionGroupConfig,
    SubscriptionGroupWrapper,
};
use ferrocket_protocol::body::message_queue::MessageQueue;
use ferrocket_protocol::body::query::QueryConsumeQueueResponseBody;
use ferrocket_protocol::body::register::KVTable;
use ferrocket_protocol::body::stats::BrokerStatsData;
use ferrocket_protocol::body::topic::{TopicConfig, TopicConfigSerializeWrapper, TopicList, TopicStatsTable};
use ferrocket_protocol::message_id::OffsetMessageId;
use ferrocket_protocol::requests::Empty;
use ferrocket_protocol::requests::group::{
    DeleteSubscriptionGroupHeader, GetConsumeStatsHeader, GetConsumeStatsInBrokerHeader,
    GetSubscriptionGroupConfigHeader, QueryConsumeTimeSpanHeader, QuerySubscriptionByConsumerHeader,
    QueryTopicConsumeByWhoHeader, QueryTopicsByConsumerHeader,
};
use ferrocket_protocol::requests::query::{QueryConsumeQueueHeader, QueryMessageHeader, ViewMessageHeader};
use ferrocket_protocol::requests::stats::ViewBrokerStatsDataHeader;
use ferrocket_protocol::requests::topic::{DeleteTopicHeader, GetTopicConfigHeader, GetTopicStatsInfoHeader};
use ferrocket_protocol::{MessageRecord, RemotingCommand, RequestCode, ResponseCode, fastjson};

use crate::support::{Rig, field, new_topic};

/// A created topic is answered as Java answers, shows all its write queues at once, and survives a restart.
#[tokio::test]
async fn topics_are_created_and_kept() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    let stats = |topic: &'static str| GetTopicStatsInfoHeader { topic: topic.into() };
    let reply = peer.ask(RequestCode::GetTopicStatsInfo, &stats("T")).await;
    assert_eq!(reply.response_code(), ResponseCode::TOPIC_NOT_EXIST);
    assert_eq!(reply.remark.as_deref(), Some("topic[T] not exist"));
    let reply = peer.ask(RequestCode::UpdateAndCreateTopic, &new_topic("T", 3, 5)).await;
    assert_eq!((reply.code, reply.remark.as_deref()), (0, Some("not set any response code")));
    let reply = peer.ask(RequestCode::GetTopicStatsInfo, &stats("T")).await;
    let table: TopicStatsTable = fastjson::from_slice(&reply.body).unwrap();
    assert_eq!(table.offset_table.len(), 5);
    assert!(
        String::from_utf8_lossy(&reply.body)
            .starts_with(r#"{"offsetTable":{{"brokerName":"broker-a","queueId":0,"topic":"T"}:{"#)
    );
    peer.store("T", 4, "", "x").await;
    let reply = peer.ask(RequestCode::GetTopicStatsInfo, &stats("T")).await;
    let table: TopicStatsTable = fastjson::from_slice(&reply.body).unwrap();
    let queue = table.offset_table[&MessageQueue::new("T", "broker-a", 4)];
    assert_eq!((queue.min_offset, queue.max_offset), (0, 1));
    assert!(queue.last_update_timestamp > 0);

    let rig = rig.restart().await;
    let peer = rig.peer().await;
    let all: TopicConfigSerializeWrapper =
        fastjson::from_slice(&peer.ask(RequestCode::GetAllTopicConfig, &Empty).await.body).unwrap();
    let topic = &all.topic_config_table["T"];
    assert_eq!((topic.read_queue_nums, topic.write_queue_nums, topic.perm), (3, 5, 6));
    assert_eq!(all.topic_config_table["DefaultCluster"].perm, 7);
    assert!(all.data_version.counter > 0);
}

/// Names are checked in Java's words; the broker's own topics are left alone.
#[tokio::test]
async fn bad_topics_are_refused() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    for (topic, words) in [
        ("a b", "The specified topic contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$"),
        (" ", "The specified topic is blank."),
        ("TBW102", "The topic[TBW102] is conflict with system topic."),
        ("broker-a", "The topic[broker-a] is conflict with system topic."),
    ] {
        for reply in [
            peer.ask(RequestCode::UpdateAndCreateTopic, &new_topic(topic, 1, 1)).await,
            peer.ask(RequestCode::DeleteTopicInBroker, &DeleteTopicHeader { topic: topic.into() }).await,
        ] {
            assert_eq!((reply.code, reply.remark.as_deref()), (1, Some(words)));
        }
    }
    let reply = peer.ask(RequestCode::GetSystemTopicListFromBroker, &Empty).await;
    let list: TopicList = fastjson::from_slice(&reply.body).unwrap();
    assert!(
        list.topic_list.contains("SCHEDULE_TOPIC_XXXX")
            && list.topic_list.contains("DefaultCluster_REPLY_TOPIC")
    );
}

/// A deleted topic is gone with its messages; deleting what is not there succeeds.
#[tokio::test]
async fn topics_are_deleted() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    peer.store("T", 0, "", "x").await;
    let delete = DeleteTopicHeader { topic: "T".into() };
    for _ in 0..2 {
        assert_eq!(peer.ask(RequestCode::DeleteTopicInBroker, &delete).await.code, 0);
    }
    let stats = GetTopicStatsInfoHeader { topic: "T".into() };
    assert_eq!(
        peer.ask(RequestCode::GetTopicStatsInfo, &stats).await.response_code(),
        ResponseCode::TOPIC_NOT_EXIST
    );
    assert_eq!(peer.max_offset("T", 0).await, 0);
}

/// Groups are created, listed with Java's defaults, deleted with or without their offsets, and kept.
#[tokio::test]
async fn groups_are_created_and_deleted() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    let body = fastjson::to_vec(&SubscriptionGroupConfig {
        retry_max_times: 3,
        ..SubscriptionGroupConfig::new("g")
    });
    let request =
        RemotingCommand::request(RequestCode::UpdateAndCreateSubscriptiongroup, &Empty).with_body(body);
    assert_eq!(peer.call(request).await.code, 0);
    peer.commit("g", "T", 0, 5).await;
    let rig = rig.restart().await;
    let peer = rig.peer().await;
    let groups = async || -> SubscriptionGroupWrapper {
        let reply = peer.ask(RequestCode::GetAllSubscriptiongroupConfig, &Empty).await;
        fastjson::from_slice(&reply.body).unwrap()
    };
    let all = groups().await;
    assert_eq!(all.subscription_group_table["g"].retry_max_times, 3);
    assert_eq!(all.subscription_group_table["TOOLS_CONSUMER"].retry_max_times, 16);
    let who = QueryTopicConsumeByWhoHeader { topic: "T".into() };
    let who = async || -> GroupList {
        fastjson::from_slice(&peer.ask(RequestCode::QueryTopicConsumeByWho, &who).await.body).unwrap()
    };
    assert!(who().await.group_list.contains("g"));
    let delete = DeleteSubscriptionGroupHeader {
        group_name: "g".into(),
        clean_offset: None,
        remove_offset: Some(true),
    };
    for _ in 0..2 {
        assert_eq!(peer.ask(RequestCode::DeleteSubscriptiongroup, &delete).await.code, 0);
    }
    assert!(!groups().await.subscription_group_table.contains_key("g"));
    assert!(who().await.group_list.is_empty());
}

/// How far a group is: its queues, what waits, and when the last message that it consumed was stored.
#[tokio::test]
async fn progress_of_groups() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    peer.topic("T", 2, 6).await;
    for _ in 0..3 {
        peer.store("T", 0, "", "x").await;
    }
    peer.commit("g", "T", 0, 1).await;
    let header = GetConsumeStatsHeader { consumer_group: "g".into(), topic: None, topic_list: None };
    let reply = peer.ask(RequestCode::GetConsumeStats, &header).await;
    let stats: ConsumeStats = fastjson::from_slice(&reply.body).unwrap();
    let queue = stats.offset_table[&MessageQueue::new("T", "broker-a", 0)];
    assert_eq!((queue.broker_offset, queue.consumer_offset, queue.pull_offset), (3, 1, Some(1)));
    assert!(queue.last_timestamp > 0);
    assert_eq!((stats.offset_table.len(), stats.total_diff()), (2, 2));
    peer.heartbeat("c@1", "g", 1, &[("other", "*")]).await;
    let reply = peer.ask(RequestCode::GetConsumeStats, &header).await;
    let stats: ConsumeStats = fastjson::from_slice(&reply.body).unwrap();
    assert!(stats.offset_table.is_empty(), "a connected group no longer subscribes to the topic");
    let header = GetConsumeStatsInBrokerHeader { is_order: false };
    let reply = peer.ask(RequestCode::GetBrokerConsumeStats, &header).await;
    let list: ConsumeStatsList = fastjson::from_slice(&reply.body).unwrap();
    assert_eq!(list.broker_addr, rig.broker.advertised_addr());
    let header = QueryConsumeTimeSpanHeader { topic: "T".into(), group: "g".into() };
    let reply = peer.ask(RequestCode::QueryConsumeTimeSpan, &header).await;
    assert_eq!(String::from_utf8_lossy(&reply.body).matches("minTimeStamp\"").count(), 2);
}

/// Settings are shown, and changed at runtime only where the table allows it.
#[tokio::test]
async fn settings_at_runtime() {
    let passwords = [("tls.server.keyPassword", "hidden"), ("tls.client.keyPassword", "hidden")];
    let rig = Rig::start(&passwords).await;
    let peer = rig.peer().await;
    let update = async |text: &'static str| {
        peer.call(RemotingCommand::request(RequestCode::UpdateBrokerConfig, &Empty).with_body(text)).await
    };
    let shown = async || {
        let reply = peer.ask(RequestCode::GetBrokerConfig, &Empty).await;
        (field(&reply, "version").to_owned(), String::from_utf8_lossy(&reply.body).into_owned())
    };
    let (version, text) = shown().await;
    assert!(version.starts_with("{\"counter\":0,"));
    assert!(text.contains("brokerName=broker-a\n") && text.contains("brokerIP1=127.0.0.1\n"));
    assert!(text.contains(&format!("listenPort={}\n", rig.broker.local_addr().port())));
    for (key, _) in passwords {
        assert!(text.contains(&format!("\n{key}=******\n")), "{key}");
    }
    // Java's exportConfigs fails on a key that is not there.
    for key in ["brokerRole", "fileReservedTime", "filterServerNums", "slaveReadEnable", "traceOn", "useTLS"]
    {
        assert!(text.contains(&format!("\n{key}=")), "{key}");
    }
    assert_eq!(update("autoCreateTopicEnable=false\n").await.code, 0);
    let (version, text) = shown().await;
    assert!(version.starts_with("{\"counter\":1,") && text.contains("autoCreateTopicEnable=false\n"));
    let reply = update("fileReservedTime=1\nmaxMessageSize=3\nmaxTransferCountOnMessageInMemory=1\n").await;
    assert_eq!((reply.code, reply.remark), (0, None));
    let text = shown().await.1;
    assert!(text.contains("\nfileReservedTime=1\n") && text.contains("\nmaxMessageSize=3\n"), "{text}");
    peer.topic("T", 1, 6).await;
    for _ in 0..2 {
        peer.store("T", 0, "", "fit").await;
    }
    assert_eq!(peer.messages("T", 0, 0).await.len(), 1);
    let reply = peer.send(&crate::support::message("T", 0, ""), "long").await;
    assert_eq!(reply.response_code(), ResponseCode::MESSAGE_ILLEGAL);
    let reply = update("brokerFastFailureEnable=false\nsendMessageThreadPoolNums=4\ntraceOn=false\n").await;
    let words = "without effect here: brokerFastFailureEnable, sendMessageThreadPoolNums";
    assert_eq!((reply.code, reply.remark.as_deref()), (0, Some(words)));
    let reply = update("storePathRootDir=/tmp/x\n").await;
    assert_eq!(reply.response_code(), ResponseCode::NO_PERMISSION);
    assert!(reply.remark.unwrap().contains("storePathRootDir"));
    assert_eq!(update("brokerPermission=99\n").await.code, 1);
    assert_eq!(
        peer.send(&crate::support::message("new", 0, ""), "x").await.response_code(),
        ResponseCode::TOPIC_NOT_EXIST
    );
}

/// What changes at runtime is written into the Broker's file, which keeps what else it says.
#[tokio::test]
async fn settings_outlast_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("broker.conf");
    std::fs::write(&file, "# ours\nautoCreateTopicEnable = true\nsomethingElse=1\n").unwrap();
    let rig = Rig::start(&[("brokerConfigPath", file.to_str().unwrap())]).await;
    let peer = rig.peer().await;
    let update = async |text: &'static str| {
        peer.call(RemotingCommand::request(RequestCode::UpdateBrokerConfig, &Empty).with_body(text)).await
    };
    let text = || std::fs::read_to_string(&file).unwrap();
    assert_eq!(update("autoCreateTopicEnable=false\ndefaultQueryMaxNum=16\n").await.code, 0);
    assert_eq!(text(), "# ours\nautoCreateTopicEnable=false\nsomethingElse=1\ndefaultQueryMaxNum=16\n");
    let former = std::fs::read_to_string(dir.path().join("broker.conf.bak")).unwrap();
    assert!(former.contains("autoCreateTopicEnable = true"));
    let reply = update("brokerConfigPath=/tmp/x\n").await;
    assert_eq!(reply.response_code(), ResponseCode::NO_PERMISSION);
    assert_eq!(reply.remark.as_deref(), Some("Can not update config in black list."));
    // In effect, but not on disk: that is no success.
    std::fs::remove_dir_all(dir.path()).unwrap();
    let reply = update("traceOn=false\n").await;
    assert_eq!(reply.code, 1);
    assert!(reply.remark.unwrap().starts_with("the change is in effect but not on disk: "));
}

/// What only 5.x asks for is answered as 5.3.3 does.
#[tokio::test]
async fn requests_of_5() {
    let rig = Rig::start(&[("autoCreateSubscriptionGroup", "false")]).await;
    let peer = rig.peer().await;
    let list = async |code, body: &'static str| {
        peer.call(RemotingCommand::request(code, &Empty).with_body(body)).await
    };
    let code = RequestCode::UpdateAndCreateTopicList;
    let reply = list(
        code,
        r#"{"topicConfigList":[{"topicName":"T1","readQueueNums":2,"writeQueueNums":3,"perm":4,"attributes":{"+message.type":"NORMAL"}},{"topicName":"T2"}]}"#,
    )
    .await;
    assert_eq!((reply.code, reply.remark.as_deref()), (0, Some("not set any response code")));
    let reply = list(code, r#"{"topicConfigList":[{"topicName":"T3"},{"topicName":"TBW102"}]}"#).await;
    assert_eq!(reply.response_code(), ResponseCode::INVALID_PARAMETER);
    assert_eq!(reply.remark.as_deref(), Some("The topic[TBW102] is conflict with system topic."));

    let code = RequestCode::GetTopicConfig;
    let topic = |topic: &'static str| GetTopicConfigHeader { topic: topic.into() };
    let config: TopicConfig = fastjson::from_slice(&peer.ask(code, &topic("T1")).await.body).unwrap();
    assert_eq!((config.read_queue_nums, config.write_queue_nums, config.perm), (2, 3, 4));
    let reply = peer.ask(code, &topic("T3")).await;
    assert_eq!(reply.response_code(), ResponseCode::TOPIC_NOT_EXIST);
    assert_eq!(reply.remark.as_deref(), Some("No topic in this broker. topic: T3"));

    let code = RequestCode::UpdateAndCreateSubscriptiongroupList;
    let body = r#"{"groupConfigList":[{"groupName":"g1","retryMaxTimes":3},{"groupName":"g2"}]}"#;
    let reply = list(code, body).await;
    assert_eq!((reply.code, reply.remark), (0, None));
    let code = RequestCode::GetSubscriptiongroupConfig;
    let group = |group: &'static str| GetSubscriptionGroupConfigHeader { group: group.into() };
    let config: SubscriptionGroupConfig =
        fastjson::from_slice(&peer.ask(code, &group("g1")).await.body).unwrap();
    assert_eq!((&*config.group_name, config.retry_max_times), ("g1", 3));
    let reply = peer.ask(code, &group("g3")).await;
    assert_eq!(reply.response_code(), ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST);
    assert_eq!(reply.remark.as_deref(), Some("No group in this broker"));

    peer.commit("g1", "T1", 0, 0).await;
    peer.heartbeat("c@1", "g1", 7, &[("T2", "A")]).await;
    let header = QueryTopicsByConsumerHeader { group: "g1".into() };
    let reply = peer.ask(RequestCode::QueryTopicsByConsumer, &header).await;
    let topics: TopicList = fastjson::from_slice(&reply.body).unwrap();
    assert_eq!(topics.broker_addr, Some(rig.broker.advertised_addr()));
    assert_eq!(topics.topic_list, ["T1".to_owned()].into());
    let subscription = |topic: &str| QuerySubscriptionByConsumerHeader {
        group: "g1".into(),
        topic: Some(topic.to_owned().into()),
    };
    let code = RequestCode::QuerySubscriptionByConsumer;
    let reply = peer.ask(code, &subscription("T2")).await;
    let body: QuerySubscriptionBody = fastjson::from_slice(&reply.body).unwrap();
    assert_eq!(body.subscription_data.unwrap().sub_string, "A");
    let reply = peer.ask(code, &subscription("T1")).await;
    let body: QuerySubscriptionBody = fastjson::from_slice(&reply.body).unwrap();
    assert_eq!((body.subscription_data, body.topic.as_deref()), (None, Some("T1")));
}

/// The runtime table has every key that tools read without asking, in the form they split.
#[tokio::test]
async fn runtime_table() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    peer.store("T", 0, "", "x").await;
    let reply = peer.ask(RequestCode::GetBrokerRuntimeInfo, &Empty).await;
    let table = fastjson::from_slice::<KVTable>(&reply.body).unwrap().table;
    for key in [
        "bootTimestamp",
        "runtime",
        "putMessageEntireTimeMax",
        "putMessageTimesTotal",
        "putMessageFailedTimes",
        "putMessageSizeTotal",
        "putMessageDistributeTime",
        "putMessageAverageSize",
        "dispatchMaxBuffer",
        "getMessageEntireTimeMax",
        "putTps",
        "getFoundTps",
        "getMissTps",
        "getTotalTps",
        "getTransferedTps",
        "getTransferredTps",
        "brokerVersionDesc",
        "brokerVersion",
        "msgPutTotalYesterdayMorning",
        "msgPutTotalTodayMorning",
        "msgPutTotalTodayNow",
        "msgGetTotalYesterdayMorning",
        "msgGetTotalTodayMorning",
        "msgGetTotalTodayNow",
        "sendThreadPoolQueueSize",
        "sendThreadPoolQueueCapacity",
        "pullThreadPoolQueueSize",
        "pullThreadPoolQueueCapacity",
        "queryThreadPoolQueueSize",
        "queryThreadPoolQueueCapacity",
        "EndTransactionQueueSize",
        "EndTransactionThreadPoolQueueCapacity",
        "dispatchBehindBytes",
        "pageCacheLockTimeMills",
        "sendThreadPoolQueueHeadWaitTimeMills",
        "pullThreadPoolQueueHeadWaitTimeMills",
        "queryThreadPoolQueueHeadWaitTimeMills",
        "earliestMessageTimeStamp",
        "startAcceptSendRequestTimeStamp",
        "remainTransientStoreBufferNumbs",
        "remainHowManyDataToFlush",
        "commitLogDirCapacity",
        "commitLogDiskRatio",
        "consumeQueueDiskRatio",
        "commitLogMinOffset",
        "commitLogMaxOffset",
        "putLatency99",
        "putLatency999",
    ] {
        assert!(table.contains_key(key), "{key}");
    }
    assert_eq!(table["putMessageTimesTotal"], "1");
    assert_eq!(table["putTps"].split(' ').filter(|tps| tps.parse::<f64>().is_ok()).count(), 3);
    let words: Vec<&str> = table["commitLogDirCapacity"].split(' ').collect();
    assert_eq!((words.len(), words[0], words[4]), (8, "Total", "Free"), "{words:?}");
    assert_eq!(table["remainHowManyDataToFlush"].split(' ').count(), 2);
    assert!(table["earliestMessageTimeStamp"].parse::<i64>().unwrap() > 1_700_000_000_000);
}

/// A statistic that never counted is an error in Java's words.
#[tokio::test]
async fn named_statistics() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    let header = ViewBrokerStatsDataHeader { stats_name: "TOPIC_PUT_NUMS".into(), stats_key: "T".into() };
    let reply = peer.ask(RequestCode::ViewBrokerStatsData, &header).await;
    assert_eq!((reply.code, reply.remark.as_deref()), (1, Some("The stats <TOPIC_PUT_NUMS> <T> not exist")));
    peer.store("T", 0, "", "x").await;
    let reply = peer.ask(RequestCode::ViewBrokerStatsData, &header).await;
    assert_eq!(reply.code, 0);
    fastjson::from_slice::<BrokerStatsData>(&reply.body).unwrap();
    assert!(String::from_utf8_lossy(&reply.body).contains("\"statsMinute\":{"));
}

/// A message is found by its key in the first query after its send was answered; a miss still tells how far
/// the index is.
#[tokio::test]
async fn messages_by_key() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    let query = |key: &'static str| QueryMessageHeader {
        topic: "T".into(),
        key: key.into(),
        max_num: 32,
        begin_timestamp: 0,
        end_timestamp: i64::MAX,
    };
    let reply = peer.ask(RequestCode::QueryMessage, &query("order1")).await;
    assert_eq!(reply.response_code(), ResponseCode::QUERY_NOT_FOUND);
    assert_eq!(reply.remark.as_deref(), Some("can not find message, maybe time range not correct"));
    assert_eq!(
        (field(&reply, "indexLastUpdatePhyoffset"), field(&reply, "indexLastUpdateTimestamp")),
        ("0", "0")
    );
    for body in ["first", "second"] {
        peer.store("T", 0, "KEYS\u{1}order1 order2\u{2}UNIQ_KEY\u{1}id1", body).await;
    }
    for key in ["order1", "order2", "id1"] {
        let reply = peer.ask(RequestCode::QueryMessage, &query(key)).await;
        let found = MessageRecord::decode_all(reply.body.clone()).unwrap();
        assert_eq!(
            found.iter().map(|message| &message.body[..]).collect::<Vec<_>>(),
            [&b"first"[..], b"second"]
        );
        assert_ne!(field(&reply, "indexLastUpdateTimestamp"), "0");
    }
    let mut unique = RemotingCommand::request(
        RequestCode::QueryMessage,
        &QueryMessageHeader { max_num: 0, ..query("id1") },
    );
    unique.ext_fields.push("_UNIQUE_KEY_QUERY", "true");
    assert_eq!(MessageRecord::decode_all(peer.call(unique).await.body).unwrap().len(), 2);
}

/// A message is found by the place that its id names.
#[tokio::test]
async fn messages_by_id() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    let reply = peer.store("T", 0, "TAGS\u{1}A", "x").await;
    let id = OffsetMessageId::parse(field(&reply, "msgId")).unwrap();
    let view = |offset| ViewMessageHeader { topic: None, offset };
    let reply = peer.ask(RequestCode::ViewMessageById, &view(id.physical_offset)).await;
    assert_eq!(&MessageRecord::decode_all(reply.body).unwrap()[0].body[..], b"x");
    for offset in [7, 1 << 40, -1] {
        let reply = peer.ask(RequestCode::ViewMessageById, &view(offset)).await;
        let words = format!("can not find message by the offset, {offset}");
        assert_eq!((reply.code, reply.remark.as_deref()), (1, Some(&*words)));
    }
    let header = QueryConsumeQueueHeader {
        topic: Some("T".into()),
        queue_id: Some(0),
        index: Some(0),
        count: Some(10),
        consumer_group: Some("g".into()),
    };
    let reply = peer.ask(RequestCode::QueryConsumeQueue, &header).await;
    let queue: QueryConsumeQueueResponseBody = fastjson::from_slice(&reply.body).unwrap();
    assert_eq!((queue.max_queue_index, queue.queue_data[0].tags_code), (1, 65));
    // Java sets no remark, and its tools see that.
    assert_eq!(reply.remark.as_deref(), Some("not set any response code"));
    assert_eq!(queue.filter_data.as_deref(), Some("g@T is not online!"));
    let unknown = QueryConsumeQueueHeader { queue_id: Some(9), ..header };
    let reply = peer.ask(RequestCode::QueryConsumeQueue, &unknown).await;
    assert_eq!((reply.code, reply.remark.as_deref()), (1, Some("9@T is not exist!")));
}
