//! Consuming again, and not at all: send-backs, dead letters, and who hears of whom.

use ferrocket_protocol::message_id::OffsetMessageId;
use ferrocket_protocol::requests::send::{ConsumerSendMsgBackHeader, SendMessageHeader};
use ferrocket_protocol::{RemotingCommand, RequestCode, ResponseCode, properties};

use crate::support::{Peer, Rig, field, message};

async fn give_back(peer: &Peer, offset: i64, delay_level: i32, max: Option<i32>) -> RemotingCommand {
    let header = ConsumerSendMsgBackHeader {
        offset,
        group: "cg".into(),
        delay_level,
        origin_topic: Some("T".into()),
        max_reconsume_times: max,
        ..ConsumerSendMsgBackHeader::default()
    };
    peer.call(RemotingCommand::request(RequestCode::ConsumerSendMsgBack, &header)).await
}

fn offset_of(reply: &RemotingCommand) -> i64 {
    OffsetMessageId::parse(field(reply, "msgId")).unwrap().physical_offset
}

/// A message given back comes again through the group's retry topic, knowing where it came from; the next
/// time it is too much and becomes a dead letter.
#[tokio::test]
async fn retries_and_dead_letters() {
    let rig = Rig::start(&[("messageDelayLevel", "1s 1s 1s 1s")]).await;
    let peer = rig.peer().await;
    let sent = peer.store("T", 0, "TAGS\u{1}A\u{2}KEYS\u{1}k", "body").await;
    assert_eq!(give_back(&peer, offset_of(&sent), 0, Some(1)).await.code, 0);
    let again = peer.first_message("%RETRY%cg", 0).await;
    assert_eq!((&again.body[..], again.reconsume_times), (&b"body"[..], 1));
    let property = |name| properties::get(&again.properties, name);
    assert_eq!(
        (property("RETRY_TOPIC"), property("ORIGIN_MESSAGE_ID")),
        (Some("T"), Some(field(&sent, "msgId")))
    );
    assert_eq!(
        (property("TAGS"), property("KEYS"), property("REAL_TOPIC")),
        (Some("A"), Some("k"), Some("%RETRY%cg"))
    );
    assert_eq!(give_back(&peer, again.physical_offset, 0, Some(1)).await.code, 0);
    let dead = peer.first_message("%DLQ%cg", 0).await;
    assert_eq!((dead.reconsume_times, properties::get(&dead.properties, "RETRY_TOPIC")), (2, Some("T")));
    // A negative level asks for it.
    assert_eq!(give_back(&peer, offset_of(&sent), -1, None).await.code, 0);
    assert_eq!(peer.messages("%DLQ%cg", 0, 1).await.len(), 1);
}

/// A message that is not there, a group that is not there, a Broker that takes nothing.
#[tokio::test]
async fn send_backs_that_are_refused() {
    let rig = Rig::start(&[("autoCreateSubscriptionGroup", "false")]).await;
    let reply = give_back(&rig.peer().await, 0, 0, None).await;
    assert_eq!(reply.response_code(), ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST);
    assert!(reply.remark.unwrap().starts_with("subscription group not exist, cg \nSee "));
    let rig = Rig::start(&[]).await;
    let reply = give_back(&rig.peer().await, 12_345, 0, None).await;
    assert_eq!((reply.code, reply.remark.as_deref()), (1, Some("look message by offset failed, 12345")));
    let rig = Rig::start(&[("brokerPermission", "4")]).await;
    let reply = give_back(&rig.peer().await, 0, 0, None).await;
    assert_eq!(
        (reply.code, reply.remark.as_deref()),
        (16, Some("the broker[127.0.0.1] sending message is forbidden"))
    );
}

/// A group whose retry topic cannot be one gives nothing back: the message would wait for its delay, and for ever.
#[tokio::test]
async fn groups_without_a_retry_topic() {
    let rig = Rig::start(&[("messageDelayLevel", "1s 1s 1s")]).await;
    let peer = rig.peer().await;
    let sent = peer.store("T", 0, "", "x").await;
    let long = "g".repeat(121);
    for group in ["a/b", &long] {
        let header = ConsumerSendMsgBackHeader {
            offset: offset_of(&sent),
            group: group.into(),
            ..ConsumerSendMsgBackHeader::default()
        };
        let reply = peer.call(RemotingCommand::request(RequestCode::ConsumerSendMsgBack, &header)).await;
        let words = format!("no topic can have the name %RETRY%{group}");
        assert_eq!((reply.code, reply.remark.as_deref()), (1, Some(&*words)));
    }
    assert_eq!(give_back(&peer, offset_of(&sent), 0, None).await.code, 0);
    assert_eq!(peer.first_message("%RETRY%cg", 0).await.reconsume_times, 1);
}

/// A direct send to the retry topic that has used up its tries is a dead letter at once, whatever its delay.
#[tokio::test]
async fn direct_sends_to_the_retry_topic() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    let retry = |times| SendMessageHeader {
        reconsume_times: Some(times),
        max_reconsume_times: Some(3),
        ..message("%RETRY%cg", 0, "DELAY\u{1}18\u{2}RETRY_TOPIC\u{1}T")
    };
    assert_eq!(peer.send(&retry(2), "later").await.code, 0);
    assert_eq!(peer.send(&retry(3), "dead").await.code, 0);
    let dead = peer.first_message("%DLQ%cg", 0).await;
    assert_eq!((&dead.body[..], dead.reconsume_times), (&b"dead"[..], 3));
    // The other waits two hours in its level's queue.
    assert_eq!(&peer.first_message("SCHEDULE_TOPIC_XXXX", 17).await.body[..], b"later");
}

/// Everyone in a group hears of a new member, the new one too; those who remain hear of a lost connection.
#[tokio::test]
async fn a_group_hears_of_its_members() {
    let rig = Rig::start(&[]).await;
    let (mut first, mut second) = (rig.peer().await, rig.peer().await);
    let changed = RequestCode::NotifyConsumerIdsChanged.code();
    first.heartbeat("c1", "cg", 1, &[("T", "*")]).await;
    assert_eq!(first.push().await.code, changed);
    second.heartbeat("c2", "cg", 1, &[("T", "*")]).await;
    for peer in [&mut first, &mut second] {
        let push = peer.push().await;
        assert_eq!((push.code, field(&push, "consumerGroup"), push.is_oneway()), (changed, "cg", true));
    }
    second.connection.close();
    assert_eq!(first.push().await.code, changed);
    assert!(first.pushed.is_empty());
}
