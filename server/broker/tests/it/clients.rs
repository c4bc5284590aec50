//! Heartbeats, goodbyes and who hears of them; requests that are passed on to a client.

use ferrocket_protocol::body::group::{
    CheckClientRequestBody, ConsumerConnection, ConsumerListBody, ProducerConnection, ProducerTableInfo,
};
use ferrocket_protocol::body::heartbeat::{HeartbeatData, ProducerData, SubscriptionData};
use ferrocket_protocol::requests::Empty;
use ferrocket_protocol::requests::client::{
    ConsumeMessageDirectlyHeader, GetConsumerConnectionListHeader, GetConsumerListByGroupHeader,
    GetConsumerRunningInfoHeader, GetProducerConnectionListHeader, UnregisterClientHeader,
};
use ferrocket_protocol::requests::topic::GetTopicStatsInfoHeader;
use ferrocket_protocol::{Header, RemotingCommand, RequestCode, ResponseCode, fastjson};

use crate::support::{Peer, Rig, field};

async fn ids(peer: &Peer, group: &str) -> RemotingCommand {
    let header = GetConsumerListByGroupHeader { consumer_group: group.into() };
    peer.call(RemotingCommand::request(RequestCode::GetConsumerListByGroup, &header)).await
}

fn listed(reply: &RemotingCommand) -> Vec<String> {
    fastjson::from_slice::<ConsumerListBody>(&reply.body).unwrap().consumer_id_list
}

/// The group that a notification names.
async fn notified(peer: &mut Peer) -> String {
    let push = peer.push().await;
    assert_eq!(push.request_code(), Some(RequestCode::NotifyConsumerIdsChanged));
    assert!(push.is_oneway());
    field(&push, "consumerGroup").to_owned()
}

/// Everything that was told so far has arrived once this request is answered.
async fn nothing_more(peer: &mut Peer) {
    ids(peer, "g").await;
    assert!(peer.pushed.try_recv().is_err(), "an unexpected notification");
}

/// Whoever joins makes the whole group rebalance, itself included; a repeated heartbeat or a newer expression
/// does not.
#[tokio::test]
async fn joining_is_told_to_all() {
    let rig = Rig::start(&[]).await;
    let (mut first, mut second) = (rig.peer().await, rig.peer().await);
    assert_eq!(ids(&first, "g").await.remark.as_deref(), Some("no consumer for this group, g"));
    first.heartbeat("a@1", "g", 1, &[("T", "*")]).await;
    assert_eq!(notified(&mut first).await, "g");
    second.heartbeat("b@1", "g", 1, &[("T", "*")]).await;
    assert_eq!(notified(&mut first).await, "g");
    assert_eq!(notified(&mut second).await, "g");
    assert_eq!(listed(&ids(&first, "g").await), ["a@1", "b@1"]);
    first.heartbeat("a@1", "g", 1, &[("T", "*")]).await;
    second.heartbeat("b@1", "g", 2, &[("T", "TagA")]).await;
    nothing_more(&mut first).await;
    nothing_more(&mut second).await;
    second.heartbeat("b@1", "g", 2, &[("T", "TagA"), ("U", "*")]).await;
    assert_eq!(notified(&mut first).await, "g");
}

/// The notification comes before the answer of the heartbeat that caused it.
#[tokio::test]
async fn the_joining_consumer_hears_first() {
    let rig = Rig::start(&[]).await;
    let mut peer = rig.peer().await;
    peer.heartbeat("a@1", "g", 1, &[("T", "*")]).await;
    assert!(peer.pushed.try_recv().is_ok());
}

/// A goodbye and a lost connection are told to those who remain, and the last one takes the group with it.
#[tokio::test]
async fn leaving_is_told_to_those_who_remain() {
    let rig = Rig::start(&[]).await;
    let (mut first, second, third) = (rig.peer().await, rig.peer().await, rig.peer().await);
    for (peer, id) in [(&first, "a@1"), (&second, "b@1"), (&third, "c@1")] {
        peer.heartbeat(id, "g", 1, &[("T", "*")]).await;
    }
    for _ in 0..3 {
        notified(&mut first).await;
    }
    let goodbye = UnregisterClientHeader {
        client_id: "b@1".into(),
        producer_group: None,
        consumer_group: Some("g".into()),
    };
    let reply = second.call(RemotingCommand::request(RequestCode::UnregisterClient, &goodbye)).await;
    assert_eq!(reply.code, 0);
    assert_eq!(notified(&mut first).await, "g");
    // Go clients never say goodbye.
    third.connection.close();
    assert_eq!(notified(&mut first).await, "g");
    assert_eq!(listed(&ids(&first, "g").await), ["a@1"]);
    let goodbye = UnregisterClientHeader { client_id: "a@1".into(), ..goodbye };
    first.call(RemotingCommand::request(RequestCode::UnregisterClient, &goodbye)).await;
    assert_eq!(ids(&first, "g").await.code, 1);
}

/// Notifications can be switched off for the whole broker.
#[tokio::test]
async fn notifications_can_be_off() {
    let rig = Rig::start(&[("notifyConsumerIdsChangedEnable", "false")]).await;
    let mut peer = rig.peer().await;
    peer.heartbeat("a@1", "g", 1, &[("T", "*")]).await;
    nothing_more(&mut peer).await;
}

/// A heartbeat creates the group and its retry topic, which its client asks the NameServer for next.
#[tokio::test]
async fn a_heartbeat_creates_the_retry_topic() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    peer.heartbeat("a@1", "g", 1, &[("T", "*")]).await;
    let header = GetTopicStatsInfoHeader { topic: "%RETRY%g".into() };
    let reply = peer.call(RemotingCommand::request(RequestCode::GetTopicStatsInfo, &header)).await;
    assert_eq!(reply.code, 0);
    assert!(String::from_utf8_lossy(&reply.body).contains("\"queueId\":0,\"topic\":\"%RETRY%g\"}:{"));
    let answer = peer.call(RemotingCommand::request(RequestCode::HeartBeat, &Empty).with_body("{")).await;
    assert_eq!(answer.code, 1);
    assert!(answer.version >= 401, "clients take the broker's version from this answer");
}

/// Tools see consumers and producers with address, language and version.
#[tokio::test]
async fn connections_are_shown() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    let of = |group: &'static str| GetConsumerConnectionListHeader { consumer_group: group.into() };
    let reply = peer.call(RemotingCommand::request(RequestCode::GetConsumerConnectionList, &of("g"))).await;
    assert_eq!(reply.response_code(), ResponseCode::CONSUMER_NOT_ONLINE);
    assert_eq!(reply.remark.as_deref(), Some("the consumer group[g] not online"));
    peer.heartbeat("a@1", "g", 7, &[("T", "TagA || TagB")]).await;
    let reply = peer.call(RemotingCommand::request(RequestCode::GetConsumerConnectionList, &of("g"))).await;
    let shown: ConsumerConnection = fastjson::from_slice(&reply.body).unwrap();
    assert_eq!(shown.connection_set.len(), 1);
    assert_eq!(shown.connection_set[0].client_addr, peer.connection.local_addr().to_string());
    assert_eq!((&*shown.connection_set[0].client_id, shown.connection_set[0].version), ("a@1", 409));
    assert_eq!(shown.subscription_table["T"].sub_string, "TagA || TagB");

    let of = |group: &'static str| GetProducerConnectionListHeader { producer_group: group.into() };
    let reply = peer.call(RemotingCommand::request(RequestCode::GetProducerConnectionList, &of("p"))).await;
    assert_eq!((reply.code, reply.remark.as_deref()), (1, Some("the producer group[p] not exist")));
    let heartbeat = HeartbeatData {
        client_id: "p@1".to_owned(),
        producer_data_set: vec![ProducerData { group_name: "p".to_owned() }],
        ..HeartbeatData::default()
    };
    let request =
        RemotingCommand::request(RequestCode::HeartBeat, &Empty).with_body(fastjson::to_vec(&heartbeat));
    assert_eq!(peer.call(request).await.code, 0);
    let reply = peer.call(RemotingCommand::request(RequestCode::GetProducerConnectionList, &of("p"))).await;
    let shown: ProducerConnection = fastjson::from_slice(&reply.body).unwrap();
    assert_eq!(shown.connection_set[0].client_id, "p@1");
    let reply = peer.call(RemotingCommand::request(RequestCode::GetAllProducerInfo, &Empty)).await;
    let shown: ProducerTableInfo = fastjson::from_slice(&reply.body).unwrap();
    assert_eq!(shown.data["p"][0].remote_ip, format!("/{}", peer.connection.local_addr()));
}

/// Filters by tags are supported; others are refused under Java's words.
#[tokio::test]
async fn subscriptions_are_judged() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    for (kind, code, remark) in [
        ("TAG", 0, None),
        ("SQL92", 1, Some("The broker does not support consumer to filter message by SQL92")),
    ] {
        let data = SubscriptionData { expression_type: kind.to_owned(), ..SubscriptionData::default() };
        let body =
            CheckClientRequestBody { subscription_data: Some(data), ..CheckClientRequestBody::default() };
        let request = RemotingCommand::request(RequestCode::CheckClientConfig, &Empty)
            .with_body(fastjson::to_vec(&body));
        let reply = peer.call(request).await;
        assert_eq!((reply.code, reply.remark.as_deref()), (code, remark));
    }
}

/// A request for one consumer reaches it with all fields, and its answer comes back whole.
#[tokio::test]
async fn requests_are_passed_on() {
    let rig = Rig::start(&[]).await;
    let (admin, mut consumer) = (rig.peer().await, rig.peer().await);
    let header = GetConsumerRunningInfoHeader {
        consumer_group: "g".into(),
        client_id: "a@1".into(),
        jstack_enable: Some(true),
    };
    let question = RemotingCommand::request(RequestCode::GetConsumerRunningInfo, &header);
    let reply = admin.call(question.clone()).await;
    assert_eq!((reply.code, reply.remark.as_deref()), (1, Some("The Consumer <g> <a@1> not online")));
    consumer.heartbeat("a@1", "g", 1, &[("T", "*")]).await;
    notified(&mut consumer).await;
    let asked = admin.connection.clone();
    let answer = tokio::spawn(async move { asked.call(question, crate::support::PATIENCE).await.unwrap() });
    let passed_on = consumer.push().await;
    assert_eq!(passed_on.request_code(), Some(RequestCode::GetConsumerRunningInfo));
    assert_eq!(GetConsumerRunningInfoHeader::decode(&passed_on.ext_fields), Ok(header));
    consumer.connection.reply(passed_on.reply(ResponseCode::SUCCESS).with_body("{\"jstack\":\"x\"}"));
    assert_eq!(&answer.await.unwrap().body[..], b"{\"jstack\":\"x\"}");

    let stored = admin.store("T", 0, "", "once more").await;
    let header = ConsumeMessageDirectlyHeader {
        consumer_group: "g".into(),
        client_id: Some("a@1".into()),
        msg_id: Some(field(&stored, "msgId").into()),
        ..ConsumeMessageDirectlyHeader::default()
    };
    let request = RemotingCommand::request(RequestCode::ConsumeMessageDirectly, &header);
    let asked = admin.connection.clone();
    let answer = tokio::spawn(async move { asked.call(request, crate::support::PATIENCE).await.unwrap() });
    let passed_on = consumer.push().await;
    assert_eq!(field(&passed_on, "brokerName"), "broker-a");
    assert!(passed_on.body.windows(9).any(|bytes| bytes == b"once more"));
    consumer.connection.reply(passed_on.reply_error(ResponseCode::SYSTEM_ERROR, "no"));
    let answer = answer.await.unwrap();
    assert_eq!((answer.code, answer.remark.as_deref()), (1, Some("no")));
}
