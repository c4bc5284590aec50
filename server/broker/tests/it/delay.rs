//! Delayed messages.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ferrocket_protocol::requests::Empty;
use ferrocket_protocol::requests::send::SendMessageHeader;
use ferrocket_protocol::requests::stats::ViewBrokerStatsDataHeader;
use ferrocket_protocol::requests::transaction::EndTransactionHeader;
use ferrocket_protocol::{RemotingCommand, RequestCode, ResponseCode, properties};
use tokio::task::JoinSet;

use crate::support::{PATIENCE, Rig, field};

/// A delayed message reaches its queue when its level's time has passed, in order, and not before; a long
/// level does not hold up a short one.
#[tokio::test]
async fn a_delayed_message_comes_when_it_is_due() {
    let rig = Rig::start(&[("messageDelayLevel", "1s 2h")]).await;
    let peer = rig.peer().await;
    let started = Instant::now();
    peer.store("T", 1, "DELAY\u{1}2", "in two hours").await;
    for body in ["first", "second", "third"] {
        let reply = peer.store("T", 1, "DELAY\u{1}1", body).await;
        assert_eq!(field(&reply, "queueId"), "1");
    }
    let first = peer.first_message("T", 1).await;
    let took = started.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(5)).contains(&took), "{took:?}");
    assert_eq!((&first.body[..], first.queue_offset), (&b"first"[..], 0));
    for (name, value) in [("DELAY", "1"), ("REAL_TOPIC", "T"), ("REAL_QID", "1")] {
        assert_eq!(properties::get(&first.properties, name), Some(value));
    }
    assert_eq!(&peer.messages("T", 1, 1).await[0].body[..], b"second");
    assert_eq!(&peer.messages("T", 1, 2).await[0].body[..], b"third");
    // What came and went is counted by level, just behind the delivery.
    let (waits, goes) = ("SCHEDULE_TOPIC_XXXX@0", "SCHEDULE_TOPIC_XXXX@0@SCHEDULE_CONSUMER");
    for (name, key) in [("PUT_NUMS", waits), ("PUT_SIZE", waits), ("GET_NUMS", goes), ("GET_SIZE", goes)] {
        let header = ViewBrokerStatsDataHeader {
            stats_name: format!("QUEUE_{name}").into(),
            stats_key: key.to_owned().into(),
        };
        let known = async { while peer.ask(RequestCode::ViewBrokerStatsData, &header).await.code != 0 {} };
        tokio::time::timeout(PATIENCE, known).await.unwrap_or_else(|_| panic!("{name} {key}"));
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// Messages of three levels reach consumers that wait for them within 100 ms of their time, and none of them early. The
/// most punctual of ten counts, since other tests have the cores, too.
#[tokio::test]
async fn delays_are_kept_to() {
    let rig = Rig::start(&[("messageDelayLevel", "1s 2s 3s")]).await;
    let peer = rig.peer().await;
    peer.topic("T", 10, 6).await;
    let mut waiting = JoinSet::new();
    for queue_id in 0..10 {
        let consumer = rig.peer().await;
        waiting.spawn(async move {
            consumer.first_message("T", queue_id).await;
            (queue_id, now_ms())
        });
    }
    let mut due_ms = Vec::new();
    for queue_id in 0..10 {
        let level = i64::from(queue_id % 3 + 1);
        due_ms.push(now_ms() + level * 1_000);
        peer.store("T", queue_id, &format!("DELAY\u{1}{level}"), "x").await;
    }
    let arrived = waiting.join_all().await.into_iter();
    let mut late_ms: Vec<i64> = arrived.map(|(queue_id, at_ms)| at_ms - due_ms[queue_id as usize]).collect();
    late_ms.sort_unstable();
    assert!((0..=100).contains(&late_ms[0]), "{late_ms:?}");
}

/// A restart neither loses a delayed message nor delivers one again that was delivered.
#[tokio::test]
async fn delay_survives_a_restart() {
    let rig = Rig::start(&[("messageDelayLevel", "1s 2s")]).await;
    let peer = rig.peer().await;
    peer.store("T", 0, "DELAY\u{1}1", "before").await;
    assert_eq!(&peer.first_message("T", 0).await.body[..], b"before");
    peer.store("T", 0, "DELAY\u{1}2", "after").await;
    let rig = rig.restart().await;
    let peer = rig.peer().await;
    assert_eq!(&peer.messages("T", 0, 1).await[0].body[..], b"after");
    peer.store("T", 0, "", "last").await;
    assert_eq!(&peer.messages("T", 0, 2).await[0].body[..], b"last");
}

/// A delayed message that was accepted arrives, and a half message can be committed, also if `maxMessageSize` has become
/// less meanwhile.
#[tokio::test]
async fn what_was_accepted_arrives() {
    let rig = Rig::start(&[("messageDelayLevel", "1s")]).await;
    let peer = rig.peer().await;
    peer.store("T", 0, "DELAY\u{1}1", "longer").await;
    let half = crate::support::message("T", 1, "TRAN_MSG\u{1}true\u{2}PGROUP\u{1}pg");
    let half = peer.send(&SendMessageHeader { sys_flag: 4, ..half }, "longer").await;
    assert_eq!(half.response_code(), ResponseCode::SUCCESS);
    let text = "maxMessageSize=3\n";
    let update = RemotingCommand::request(RequestCode::UpdateBrokerConfig, &Empty).with_body(text);
    assert_eq!(peer.call(update).await.response_code(), ResponseCode::SUCCESS);
    let refused = peer.send(&crate::support::message("T", 0, ""), "longer").await;
    assert_eq!(refused.response_code(), ResponseCode::MESSAGE_ILLEGAL);
    let end = EndTransactionHeader { commit_or_rollback: 8, ..crate::support::end_of(&half) };
    assert_eq!(peer.ask(RequestCode::EndTransaction, &end).await.response_code(), ResponseCode::SUCCESS);
    for queue_id in [0, 1] {
        assert_eq!(&peer.first_message("T", queue_id).await.body[..], b"longer");
    }
}

/// A level beyond the last one is the last one.
#[tokio::test]
async fn high_levels_are_lowered() {
    let rig = Rig::start(&[("messageDelayLevel", "1s 1s")]).await;
    let peer = rig.peer().await;
    peer.store("T", 0, "DELAY\u{1}99", "x").await;
    assert_eq!(properties::get(&peer.first_message("T", 0).await.properties, "DELAY"), Some("2"));
}

/// A message that cannot be stored where it belongs, whenever it is tried, does not hold up those behind it, and these
/// come once.
#[tokio::test]
async fn what_cannot_be_delivered_is_skipped() {
    let rig = Rig::start(&[
        ("messageDelayLevel", "1s"),
        ("enableLmq", "true"),
        ("enableMultiDispatch", "true"),
        ("maxLmqConsumeQueueNum", "1"),
    ])
    .await;
    let peer = rig.peer().await;
    for (queue, body) in [("a", "the only light queue"), ("b", "one too many"), ("a", "behind it")] {
        peer.store("T", 0, &format!("DELAY\u{1}1\u{2}INNER_MULTI_DISPATCH\u{1}%LMQ%{queue}"), body).await;
    }
    assert_eq!(&peer.first_message("T", 0).await.body[..], b"the only light queue");
    assert_eq!(&peer.messages("T", 0, 1).await[0].body[..], b"behind it");
    // Whoever tried the second one again would deliver the third one again, too.
    peer.store("T", 0, "DELAY\u{1}1", "later").await;
    assert_eq!(&peer.messages("T", 0, 2).await[0].body[..], b"later");
}
