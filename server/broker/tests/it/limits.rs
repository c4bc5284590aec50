//! Limits of requests: one more than allowed is an answer, and the connection lives on.

use ferrocket_protocol::batch::{self, BatchMessage};
use ferrocket_protocol::requests::Empty;
use ferrocket_protocol::requests::client::GetConsumerRunningInfoHeader;
use ferrocket_protocol::requests::pull::PullMessageHeader;
use ferrocket_protocol::requests::send::SendMessageHeader;
use ferrocket_protocol::{RemotingCommand, RequestCode, ResponseCode};
use tokio::task::JoinSet;

use crate::support::{PATIENCE, Peer, Rig, SUBSCRIPTION, SUSPEND, field, message, new_topic, outcome, pull};

/// Pulls these queues of `T` and waits; the number is the pull's, in the order of asking.
fn wait_for(peer: &Peer, queues: impl IntoIterator<Item = i32>) -> JoinSet<(usize, RemotingCommand)> {
    let mut pulls = JoinSet::new();
    for (number, queue_id) in queues.into_iter().enumerate() {
        let connection = peer.connection.clone();
        let header = PullMessageHeader {
            sys_flag: SUBSCRIPTION | SUSPEND,
            suspend_timeout_millis: 30_000,
            ..pull("T", queue_id, 0)
        };
        pulls.spawn(async move {
            let request = RemotingCommand::request(RequestCode::PullMessage, &header);
            (number, connection.call(request, PATIENCE).await.unwrap())
        });
    }
    pulls
}

/// What a pull that is not held any longer says: go on where you are.
fn assert_shed(reply: &RemotingCommand) {
    assert_eq!(outcome(reply), (ResponseCode::PULL_NOT_FOUND.0, "0"));
    for name in ["minOffset", "maxOffset", "suggestWhichBrokerId"] {
        assert_eq!(field(reply, name), "0", "{name}");
    }
}

/// A connection holds four pulls of one group for one queue; the next one takes the place of the oldest, which is
/// answered. Another connection has places of its own.
#[tokio::test]
async fn pulls_of_one_queue() {
    let rig = Rig::start(&[]).await;
    let (peer, other) = (rig.peer().await, rig.peer().await);
    peer.topic("T", 2, 6).await;
    let mut others = wait_for(&other, [0]);
    let mut pulls = wait_for(&peer, [0; 5]);
    let (number, shed) = pulls.join_next().await.unwrap().unwrap();
    assert_eq!(number, 0);
    assert_shed(&shed);
    assert_eq!(outcome(&peer.pull(&pull("T", 1, 0)).await), (19, "0"));
    assert_eq!(outcome(&other.pull(&pull("T", 1, 0)).await), (19, "0"));
    assert!(pulls.try_join_next().is_none() && others.try_join_next().is_none());
    peer.store("T", 0, "", "x").await;
    for (number, reply) in [pulls.join_all().await, others.join_all().await].concat() {
        assert_eq!(outcome(&reply), (0, "1"), "{number}");
    }
}

/// Properties that are broken by a separator in a value are taken as Java takes them, until the settings refuse them,
/// in messages and in replies.
#[tokio::test]
async fn broken_properties() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    let broken = "REPLY_TO_CLIENT\u{1}nobody\u{2}k\u{1}before\u{2}after";
    peer.store("T", 0, broken, "x").await;
    let reply = RemotingCommand::request(
        RequestCode::SendReplyMessage,
        &message("DefaultCluster_REPLY_TOPIC", 0, broken),
    );
    let remark = peer.call(reply.clone()).await.remark.unwrap();
    assert!(remark.contains("channel of <nobody> not found"), "{remark}");

    let update = RemotingCommand::request(RequestCode::UpdateBrokerConfig, &Empty);
    assert_eq!(peer.call(update.with_body("checkProperties=true")).await.code, 0);
    for answer in [peer.send(&message("T", 0, broken), "x").await, peer.call(reply).await] {
        assert_eq!(answer.response_code(), ResponseCode::MESSAGE_ILLEGAL);
        assert!(answer.remark.unwrap().starts_with("property \"after\" is broken"));
    }
    peer.store("T", 0, "k\u{1}whole", "y").await;
}

/// A connection holds 4,096 pulls; one more is answered at once.
#[tokio::test]
async fn pulls_of_one_connection() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    peer.topic("T", 4_097, 6).await;
    let mut pulls = wait_for(&peer, 0..4_097);
    let (number, shed) = pulls.join_next().await.unwrap().unwrap();
    assert_eq!(number, 4_096);
    assert_shed(&shed);
    assert!(pulls.try_join_next().is_none());
    let other = rig.peer().await;
    other.store("T", 4_095, "", "x").await;
    let (number, woken) = pulls.join_next().await.unwrap().unwrap();
    assert_eq!((number, outcome(&woken)), (4_095, (0, "1")));
}

/// A batch holds 32,768 messages, however small they are.
#[tokio::test]
async fn messages_of_a_batch() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    let send = async |count: usize| {
        let one = BatchMessage { flag: 0, body: "x".into(), properties: "".into() };
        let header = SendMessageHeader { batch: Some(true), ..message("T", 0, "") };
        peer.send(&header, batch::encode(&vec![one; count])).await
    };
    let refused = send(32_769).await;
    assert_eq!(refused.response_code(), ResponseCode::MESSAGE_ILLEGAL);
    assert_eq!(refused.remark.as_deref(), Some("a batch holds 1 to 32768 messages, this one 32769"));
    let sent = send(32_768).await;
    assert_eq!((sent.code, field(&sent, "queueOffset")), (0, "0"));
    assert_eq!(field(&peer.store("T", 0, "", "next").await, "queueOffset"), "32768");
}

/// A topic's name has 127 bytes, and it has 65,536 queues.
#[tokio::test]
async fn topics() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    for (len, expected) in [(127, ResponseCode::SUCCESS), (128, ResponseCode::SYSTEM_ERROR)] {
        let reply = peer.send(&message(&"t".repeat(len), 0, ""), "x").await;
        assert_eq!(reply.response_code(), expected, "{reply:?}");
    }
    peer.topic("T", 65_536, 6).await;
    let reply = peer.ask(RequestCode::UpdateAndCreateTopic, &new_topic("T", 65_537, 1)).await;
    assert_eq!(reply.response_code(), ResponseCode::SYSTEM_ERROR);
    assert!(reply.remark.unwrap().contains("65537, allowed are 0 to 65536"));
}

/// A Broker has 1,024 places for what it answers later: one more is refused, until a place is free again.
#[tokio::test]
async fn requests_that_are_answered_later() {
    let rig = Rig::start(&[]).await;
    let (asker, mut silent) = (rig.peer().await, rig.peer().await);
    silent.heartbeat("c@1", "g", 1, &[("T", "*")]).await;
    let running_info = || {
        let header = GetConsumerRunningInfoHeader {
            consumer_group: "g".into(),
            client_id: "c@1".into(),
            jstack_enable: None,
        };
        RemotingCommand::request(RequestCode::GetConsumerRunningInfo, &header)
    };
    let mut waiting = JoinSet::new();
    for _ in 0..1_024 {
        let connection = asker.connection.clone();
        waiting.spawn(async move { connection.call(running_info(), PATIENCE).await.unwrap() });
    }
    for _ in 0..1_024 {
        silent.push().await;
    }
    let refused = asker.call(running_info()).await;
    assert_eq!(refused.response_code(), ResponseCode::SYSTEM_BUSY);
    let other = Rig::start(&[]).await;
    let peer = other.peer().await;
    assert_eq!(
        peer.ask(RequestCode::GetBrokerRuntimeInfo, &Empty).await.code,
        0,
        "another Broker has its own"
    );
    assert!(waiting.try_join_next().is_none());
    silent.connection.close();
    for reply in waiting.join_all().await {
        assert_eq!(reply.response_code(), ResponseCode::SYSTEM_ERROR);
    }
    assert_eq!(asker.ask(RequestCode::GetBrokerRuntimeInfo, &Empty).await.code, 0);
}
