//! Names that clients put together: namespaces and units. Where they belong the Broker takes them as they are.

use ferrocket_protocol::body::group::GroupList;
use ferrocket_protocol::body::heartbeat::{ConsumerData, HeartbeatData, SubscriptionData};
use ferrocket_protocol::body::topic::TopicConfigSerializeWrapper;
use ferrocket_protocol::message_id::OffsetMessageId;
use ferrocket_protocol::requests::Empty;
use ferrocket_protocol::requests::group::QueryTopicConsumeByWhoHeader;
use ferrocket_protocol::requests::pull::PullMessageHeader;
use ferrocket_protocol::requests::send::{ConsumerSendMsgBackHeader, SendMessageHeader};
use ferrocket_protocol::{RemotingCommand, RequestCode, fastjson, properties};

use crate::support::{COMMIT, Peer, Rig, field, message, pull, send_request};

async fn give_back(peer: &Peer, header: &ConsumerSendMsgBackHeader) {
    let reply = peer.call(RemotingCommand::request(RequestCode::ConsumerSendMsgBack, header)).await;
    assert_eq!(reply.code, 0, "{reply:?}");
}

fn offset_of(reply: &RemotingCommand) -> i64 {
    OffsetMessageId::parse(field(reply, "msgId")).unwrap().physical_offset
}

/// A client with a namespace sends to `ns%T`, consumes as `ns%g` and gets retries and dead letters through
/// `%RETRY%ns%g` and `%DLQ%ns%g`; the fields in which 5.x says the same once more change nothing.
#[tokio::test]
async fn namespaces() {
    let rig = Rig::start(&[("messageDelayLevel", "1s 1s 1s")]).await;
    let peer = rig.peer().await;
    let mut request = send_request(&message("ns%T", 0, "TAGS\u{1}A"), "x");
    request.ext_fields.push("ns", "ns");
    request.ext_fields.push("nsd", "true");
    let sent = peer.call(request).await;
    assert_eq!(sent.code, 0, "{sent:?}");
    peer.heartbeat("c1", "ns%g", 1, &[("ns%T", "A"), ("%RETRY%ns%g", "*")]).await;
    let mine = |topic: &str| PullMessageHeader {
        consumer_group: "ns%g".into(),
        sys_flag: COMMIT,
        sub_version: 1,
        ..pull(topic, 0, 0)
    };
    let mut request = RemotingCommand::request(RequestCode::PullMessage, &mine("ns%T"));
    request.ext_fields.push("ns", "ns");
    request.ext_fields.push("nsd", "true");
    assert_eq!(peer.call(request).await.code, 0);
    let who = QueryTopicConsumeByWhoHeader { topic: "ns%T".into() };
    let reply = peer.call(RemotingCommand::request(RequestCode::QueryTopicConsumeByWho, &who)).await;
    let groups: GroupList = fastjson::from_slice(&reply.body).unwrap();
    assert_eq!(groups.group_list.into_iter().collect::<Vec<_>>(), ["ns%g"]);
    let back = ConsumerSendMsgBackHeader {
        offset: offset_of(&sent),
        group: "ns%g".into(),
        origin_topic: Some("ns%T".into()),
        ..ConsumerSendMsgBackHeader::default()
    };
    give_back(&peer, &back).await;
    let again = peer.first_message("%RETRY%ns%g", 0).await;
    assert_eq!(properties::get(&again.properties, "RETRY_TOPIC"), Some("ns%T"));
    assert_eq!(peer.pull(&mine("%RETRY%ns%g")).await.code, 0);
    give_back(&peer, &ConsumerSendMsgBackHeader { delay_level: -1, ..back }).await;
    assert_eq!(&peer.first_message("%DLQ%ns%g", 0).await.body[..], b"x");
}

/// Topics that clients of a unit make are marked as the unit's, and retry topics as read by one: by sending, by
/// heartbeats and by giving back.
#[tokio::test]
async fn units() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    let unit = |topic: &str| SendMessageHeader { unit_mode: Some(true), ..message(topic, 0, "") };
    peer.store("plain", 0, "", "x").await;
    let sent = peer.send(&unit("mine"), "x").await;
    assert_eq!(sent.code, 0);
    peer.send(&unit("%RETRY%sent"), "x").await;
    // A topic that is there stays what it is.
    peer.send(&unit("plain"), "x").await;
    let heartbeat = HeartbeatData {
        client_id: "c1".to_owned(),
        consumer_data_set: vec![ConsumerData {
            group_name: "beat".to_owned(),
            subscription_data_set: vec![SubscriptionData {
                topic: "mine".to_owned(),
                ..SubscriptionData::default()
            }],
            unit_mode: true,
            ..ConsumerData::default()
        }],
        ..HeartbeatData::default()
    };
    let request = RemotingCommand::request(RequestCode::HeartBeat, &Empty);
    assert_eq!(peer.call(request.with_body(fastjson::to_vec(&heartbeat))).await.code, 0);
    let back = ConsumerSendMsgBackHeader {
        offset: offset_of(&sent),
        group: "back".into(),
        unit_mode: Some(true),
        ..ConsumerSendMsgBackHeader::default()
    };
    give_back(&peer, &back).await;
    let reply = peer.call(RemotingCommand::request(RequestCode::GetAllTopicConfig, &Empty)).await;
    let topics: TopicConfigSerializeWrapper = fastjson::from_slice(&reply.body).unwrap();
    for (topic, flag) in
        [("plain", 0), ("mine", 1), ("%RETRY%sent", 2), ("%RETRY%beat", 2), ("%RETRY%back", 2)]
    {
        assert_eq!(topics.topic_config_table[topic].topic_sys_flag, flag, "{topic}");
    }
}
