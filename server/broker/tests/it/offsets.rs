//! Offsets of groups and of queues, and locks on queues.

use ferrocket_protocol::body::lock::{LockBatchRequestBody, LockBatchResponseBody, UnlockBatchRequestBody};
use ferrocket_protocol::body::message_queue::MessageQueue;
use ferrocket_protocol::body::offset::{ConsumerOffsetTable, ResetOffsetBody, ResetOffsetBodyForC};
use ferrocket_protocol::requests::Empty;
use ferrocket_protocol::requests::offset::{
    CloneGroupOffsetHeader, GetEarliestMsgStoretimeHeader, GetMaxOffsetHeader, GetMinOffsetHeader,
    QueryConsumerOffsetHeader, ResetOffsetHeader, SearchOffsetHeader,
};
use ferrocket_protocol::{LanguageCode, RemotingCommand, RequestCode, ResponseCode, fastjson};

use crate::support::{Peer, Rig, field};

async fn committed(peer: &Peer, group: &str, topic: &str, queue_id: i32) -> RemotingCommand {
    let header = QueryConsumerOffsetHeader {
        consumer_group: group.into(),
        topic: topic.into(),
        queue_id,
        set_zero_if_not_found: Some(false),
    };
    peer.ask(RequestCode::QueryConsumerOffset, &header).await
}

/// A group without a stored offset starts at 0, also of queues and topics that do not exist: its client would
/// skip what arrives meanwhile if it had to ask for the end.
#[tokio::test]
async fn a_new_group_starts_at_the_beginning() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    peer.store("T", 0, "", "x").await;
    for (topic, queue_id) in [("T", 0), ("T", 1), ("T", 77), ("unknown", 0)] {
        let reply = committed(&peer, "g", topic, queue_id).await;
        assert_eq!((reply.code, field(&reply, "offset")), (0, "0"), "{topic} {queue_id}");
    }
}

/// Commits overwrite in both directions, ask for nothing to exist, and survive a restart.
#[tokio::test]
async fn commits_overwrite_and_survive() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    for offset in [7, 3] {
        peer.commit("g", "unknown", 2, offset).await;
        assert_eq!(field(&committed(&peer, "g", "unknown", 2).await, "offset"), offset.to_string());
    }
    peer.commit("old", "unknown", 2, 9).await;
    peer.commit("old", "unknown", 2, -1).await;
    assert_eq!(
        field(&committed(&peer, "old", "unknown", 2).await, "offset"),
        "0",
        "-1 is as good as nothing"
    );
    let rig = rig.restart().await;
    let peer = rig.peer().await;
    assert_eq!(field(&committed(&peer, "g", "unknown", 2).await, "offset"), "3");
    let all = peer.call(RemotingCommand::request(RequestCode::GetAllConsumerOffset, &Empty)).await;
    let all: ConsumerOffsetTable = fastjson::from_slice(&all.body).unwrap();
    assert_eq!(all.offset_table["unknown@g"][&2], 3);
}

/// Offsets of queues that hold nothing or do not exist are 0, their time is −1, and it is never an error.
#[tokio::test]
async fn empty_queues_have_offsets() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    peer.topic("T", 1, 6).await;
    for (topic, queue_id) in [("T", 0), ("T", 9), ("unknown", 0)] {
        let topic = || topic.into();
        let max = peer
            .ask(RequestCode::GetMaxOffset, &GetMaxOffsetHeader { topic: topic(), queue_id, committed: None })
            .await;
        let min = peer.ask(RequestCode::GetMinOffset, &GetMinOffsetHeader { topic: topic(), queue_id }).await;
        let at = SearchOffsetHeader { topic: topic(), queue_id, timestamp: 5, boundary_type: None };
        let at = peer.ask(RequestCode::SearchOffsetByTimestamp, &at).await;
        for reply in [max, min, at] {
            assert_eq!((reply.code, field(&reply, "offset")), (0, "0"));
        }
        let time = GetEarliestMsgStoretimeHeader { topic: topic(), queue_id };
        let time = peer.ask(RequestCode::GetEarliestMsgStoretime, &time).await;
        assert_eq!((time.code, field(&time, "timestamp")), (0, "-1"));
    }
}

/// Offsets of a queue with messages, by number and by time.
#[tokio::test]
async fn filled_queues_have_offsets() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    for _ in 0..3 {
        peer.store("T", 0, "", "x").await;
    }
    assert_eq!(peer.max_offset("T", 0).await, 3);
    let header = GetEarliestMsgStoretimeHeader { topic: "T".into(), queue_id: 0 };
    let first: i64 =
        field(&peer.ask(RequestCode::GetEarliestMsgStoretime, &header).await, "timestamp").parse().unwrap();
    assert!(first > 1_700_000_000_000);
    for (timestamp, offset) in [(first - 10_000, "0"), (first, "0"), (first + 86_400_000, "3")] {
        let header = SearchOffsetHeader { topic: "T".into(), queue_id: 0, timestamp, boundary_type: None };
        assert_eq!(field(&peer.ask(RequestCode::SearchOffsetByTimestamp, &header).await, "offset"), offset);
    }
}

/// A reset is passed to the consumers, as a list to C++; without offsets or consumers it is refused.
#[tokio::test]
async fn resets_reach_the_consumers() {
    let rig = Rig::start(&[]).await;
    let (admin, mut consumer) = (rig.peer().await, rig.peer().await);
    admin.topic("T", 1, 6).await;
    for _ in 0..5 {
        admin.store("T", 0, "", "x").await;
    }
    let reset = ResetOffsetHeader {
        group: "g".into(),
        topic: "T".into(),
        timestamp: 0,
        is_force: true,
        ..ResetOffsetHeader::default()
    };
    let request = RemotingCommand::request(RequestCode::InvokeBrokerToResetOffset, &reset);
    let reply = admin.call(request.clone()).await;
    assert_eq!((reply.code, reply.remark.as_deref()), (1, Some("THe consumer group <g> not exist")));
    admin.commit("g", "T", 0, 4).await;
    let reply = admin.call(request.clone()).await;
    assert_eq!(reply.response_code(), ResponseCode::CONSUMER_NOT_ONLINE);
    assert_eq!(
        reply.remark.as_deref(),
        Some("Consumer not online, so can not reset offset, Group: g Topic: T Timestamp: 0")
    );
    consumer.heartbeat("c@1", "g", 1, &[("T", "*")]).await;
    consumer.push().await;
    let queue = MessageQueue::new("T", "broker-a", 0);
    let reply = admin.call(request.clone()).await;
    assert_eq!(fastjson::from_slice::<ResetOffsetBody>(&reply.body).unwrap().offset_table[&queue], 0);
    let order = consumer.push().await;
    assert_eq!(order.request_code(), Some(RequestCode::ResetConsumerClientOffset));
    assert_eq!(&order.body[..], br#"{"offsetTable":{{"brokerName":"broker-a","queueId":0,"topic":"T"}:0}}"#);
    admin.call(RemotingCommand { language: LanguageCode::CPP, ..request }).await;
    let order = consumer.push().await;
    assert_eq!(fastjson::from_slice::<ResetOffsetBodyForC>(&order.body).unwrap().offset_table[0].offset, 0);
    let unknown = ResetOffsetHeader { topic: "unknown".into(), ..reset };
    let reply = admin.ask(RequestCode::InvokeBrokerToResetOffset, &unknown).await;
    assert_eq!(
        reply.remark.as_deref(),
        Some("[reset-offset] reset offset failed, no topic in this broker. topic=unknown")
    );
}

/// Offsets of one group are given to another, topic by topic.
#[tokio::test]
async fn offsets_are_cloned() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    peer.topic("T", 1, 6).await;
    peer.topic("U", 1, 6).await;
    peer.commit("from", "T", 0, 4).await;
    peer.commit("from", "U", 0, 5).await;
    peer.commit("from", "deleted", 0, 6).await;
    let header = CloneGroupOffsetHeader {
        src_group: "from".into(),
        dest_group: "to".into(),
        topic: None,
        offline: None,
    };
    assert_eq!(peer.ask(RequestCode::CloneGroupOffset, &header).await.code, 0);
    for (topic, offset) in [("T", "4"), ("U", "5"), ("deleted", "0")] {
        assert_eq!(field(&committed(&peer, "to", topic, 0).await, "offset"), offset);
    }
}

/// Locks belong to a client id: its own requests renew them, those of others get nothing, and neither a
/// foreign unlock nor a closed connection releases them.
#[tokio::test]
async fn queue_locks() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    let queue = MessageQueue::new("T", "broker-a", 0);
    let lock = async |peer: &Peer, client: &str| {
        let body = LockBatchRequestBody {
            client_id: client.to_owned(),
            consumer_group: "g".to_owned(),
            mq_set: [queue.clone()].into(),
        };
        let request =
            RemotingCommand::request(RequestCode::LockBatchMq, &Empty).with_body(fastjson::to_vec(&body));
        let reply = peer.call(request).await;
        assert_eq!(reply.code, 0);
        fastjson::from_slice::<LockBatchResponseBody>(&reply.body).unwrap().lock_ok_mq_set.len()
    };
    let unlock = async |peer: &Peer, client: &str, group: &str| {
        let body = UnlockBatchRequestBody {
            client_id: client.to_owned(),
            consumer_group: group.to_owned(),
            mq_set: [queue.clone()].into(),
        };
        let request =
            RemotingCommand::request(RequestCode::UnlockBatchMq, &Empty).with_body(fastjson::to_vec(&body));
        assert_eq!(peer.call(request).await.code, 0);
    };
    let other = rig.peer().await;
    assert_eq!(lock(&other, "a").await, 1);
    assert_eq!((lock(&peer, "b").await, lock(&peer, "a").await), (0, 1));
    unlock(&peer, "b", "g").await;
    unlock(&peer, "a", "unknown").await;
    other.connection.close();
    other.connection.closed().await;
    assert_eq!(lock(&peer, "b").await, 0);
    unlock(&peer, "a", "g").await;
    assert_eq!(lock(&peer, "b").await, 1);
}
