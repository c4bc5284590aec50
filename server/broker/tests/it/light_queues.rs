//! Light queues (LMQ) and messages that are listed in several queues.

use ferrocket_protocol::body::offset::ConsumerOffsetTable;
use ferrocket_protocol::requests::Empty;
use ferrocket_protocol::requests::pull::PullMessageHeader;
use ferrocket_protocol::requests::send::SendMessageHeader;
use ferrocket_protocol::requests::topic::DeleteTopicHeader;
use ferrocket_protocol::requests::transaction::EndTransactionHeader;
use ferrocket_protocol::{MessageRecord, RemotingCommand, RequestCode, ResponseCode, fastjson, properties};

use crate::support::{Rig, SUSPEND, end_of, message, outcome, pull};

const ON: [(&str, &str); 2] = [("enableLmq", "true"), ("enableMultiDispatch", "true")];

fn listed(queues: &str) -> String {
    format!("TAGS\u{1}t\u{2}INNER_MULTI_DISPATCH\u{1}{queues}")
}

/// A message is pulled from its topic and from each light queue; a pull that waits there is woken by it; nothing
/// is made for the queues but themselves, and they are there after a restart.
#[tokio::test]
async fn messages_are_read_from_light_queues() {
    let rig = Rig::start(&ON).await;
    let peer = rig.peer().await;
    let waiting = PullMessageHeader {
        consumer_group: "%LMQ%reader".into(),
        suspend_timeout_millis: 20_000,
        ..pull("%LMQ%a", 0, 0)
    };
    let waiting = PullMessageHeader { sys_flag: waiting.sys_flag | SUSPEND, ..waiting };
    let reader = rig.peer().await;
    let woken = tokio::spawn(async move { reader.pull(&waiting).await });
    peer.store("T", 1, &listed("%LMQ%a,%LMQ%b"), "one").await;
    assert_eq!(outcome(&woken.await.unwrap()), (0, "1"));
    peer.store("T", 1, &listed("%LMQ%b"), "two").await;
    let bodies = |messages: Vec<MessageRecord>| -> Vec<String> {
        messages.iter().map(|message| String::from_utf8_lossy(&message.body).into_owned()).collect()
    };
    assert_eq!(bodies(peer.messages("T", 1, 0).await), ["one", "two"]);
    let rig = rig.restart().await;
    let peer = rig.peer().await;
    let both = peer.messages("%LMQ%b", 0, 0).await;
    let places = properties::get(&both[1].properties, "INNER_MULTI_QUEUE_OFFSET");
    assert_eq!((&*both[1].topic, both[1].queue_offset, places), ("T", 1, Some("1")));
    assert_eq!(bodies(both), ["one", "two"]);
    assert_eq!((peer.max_offset("%LMQ%a", 0).await, peer.max_offset("%LMQ%b", 0).await), (1, 2));
    let reply = peer.pull(&pull("%LMQ%b", 1, 0)).await;
    assert_eq!(reply.response_code(), ResponseCode::SYSTEM_ERROR, "a light topic has one queue");
    let topics = peer.call(RemotingCommand::request(RequestCode::GetAllTopicConfig, &Empty)).await;
    assert!(!String::from_utf8_lossy(&topics.body).contains("%LMQ%"));
}

/// Cleaning up unused topics leaves light queues, deleting one empties it, and it begins anew.
#[tokio::test]
async fn light_queues_go_one_by_one() {
    let rig = Rig::start(&ON).await;
    let peer = rig.peer().await;
    peer.store("T", 0, &listed("%LMQ%a,%LMQ%b"), "one").await;
    let clean = RemotingCommand::request(RequestCode::CleanUnusedTopic, &Empty);
    assert_eq!(peer.call(clean).await.response_code(), ResponseCode::SUCCESS);
    assert_eq!(peer.max_offset("%LMQ%a", 0).await, 1);
    let delete = DeleteTopicHeader { topic: "%LMQ%a".into() };
    let reply = peer.call(RemotingCommand::request(RequestCode::DeleteTopicInBroker, &delete)).await;
    assert_eq!(reply.response_code(), ResponseCode::SUCCESS);
    assert_eq!((peer.max_offset("%LMQ%a", 0).await, peer.max_offset("%LMQ%b", 0).await), (0, 1));
    peer.store("T", 0, &listed("%LMQ%a"), "two").await;
    let again = peer.messages("%LMQ%a", 0, 0).await;
    assert_eq!((again.len(), &again[0].body[..]), (1, &b"two"[..]));
}

/// What a light group commits is one offset for each topic, and is there after a restart; what was committed
/// before light queues were switched on is not forgotten.
#[tokio::test]
async fn light_groups_commit() {
    let rig = Rig::start(&[("enableLmq", "false")]).await;
    rig.peer().await.commit("g", "T", 3, 5).await;
    let rig = rig.restart_with(&ON).await;
    let peer = rig.peer().await;
    peer.commit("%LMQ%g", "%LMQ%a", 0, 7).await;
    let rig = rig.restart().await;
    let peer = rig.peer().await;
    assert_eq!(peer.committed("g", "T", 3).await, "5");
    assert_eq!(
        (peer.committed("%LMQ%g", "%LMQ%a", 0).await, peer.committed("%LMQ%g", "%LMQ%a", 9).await),
        ("7".into(), "7".into())
    );
    let reply = peer.call(RemotingCommand::request(RequestCode::GetAllConsumerOffset, &Empty)).await;
    let table: ConsumerOffsetTable = fastjson::from_slice(&reply.body).unwrap();
    assert_eq!(
        table.lmq_offset_table.unwrap().into_iter().collect::<Vec<_>>(),
        [("%LMQ%a@%LMQ%g".to_owned(), 7)]
    );
}

/// What cannot be listed is refused, with Java's words where it has some, and nothing of it is stored.
#[tokio::test]
async fn what_cannot_be_listed_is_refused() {
    let rig = Rig::start(&[ON[0], ON[1], ("maxLmqConsumeQueueNum", "1")]).await;
    let peer = rig.peer().await;
    peer.topic("U", 4, 6).await;
    for (queues, code, words) in [
        (
            "%LMQ%a,%LMQ%b",
            ResponseCode::SYSTEM_ERROR,
            "[LMQ_CONSUME_QUEUE_NUM_EXCEEDED]broker config enableLmq",
        ),
        ("%LMQ%a/../../x", ResponseCode::MESSAGE_ILLEGAL, "the message is illegal"),
        ("SCHEDULE_TOPIC_XXXX", ResponseCode::NO_PERMISSION, "Sending message to topic[SCHEDULE_TOPIC_XXXX]"),
        ("V", ResponseCode::TOPIC_NOT_EXIST, "topic[V] not exist, apply first please!"),
        ("../x", ResponseCode::SYSTEM_ERROR, "The specified topic contains illegal characters"),
    ] {
        let reply = peer.send(&message("T", 0, &listed(queues)), "x").await;
        assert_eq!(reply.response_code(), code, "{queues}: {reply:?}");
        assert!(reply.remark.as_deref().unwrap().starts_with(words), "{queues}: {reply:?}");
    }
    assert_eq!(peer.max_offset("T", 0).await, 0);
    peer.store("T", 0, &listed("%LMQ%a,U"), "x").await;
    assert_eq!((peer.max_offset("%LMQ%a", 0).await, peer.max_offset("U", 0).await), (1, 1));
}

/// A half message is listed when it is committed, one that is rolled back never.
#[tokio::test]
async fn transactions_are_listed_when_they_end() {
    let rig = Rig::start(&ON).await;
    let peer = rig.peer().await;
    let properties = format!("TRAN_MSG\u{1}true\u{2}PGROUP\u{1}pg\u{2}{}", listed("%LMQ%a"));
    for (commit_or_rollback, there) in [(12, 0), (8, 1)] {
        let half = SendMessageHeader { sys_flag: 4, ..message("T", 0, &properties) };
        let sent = peer.send(&half, "x").await;
        assert_eq!(peer.max_offset("%LMQ%a", 0).await, 0);
        let end = EndTransactionHeader { commit_or_rollback, ..end_of(&sent) };
        let reply = peer.call(RemotingCommand::request(RequestCode::EndTransaction, &end)).await;
        assert_eq!(reply.code, 0, "{reply:?}");
        assert_eq!(peer.max_offset("%LMQ%a", 0).await, there);
    }
    assert_eq!(&*peer.first_message("%LMQ%a", 0).await.topic, "T");
}

/// A delayed message is listed when it is delivered, once.
#[tokio::test]
async fn delayed_messages_are_listed_when_they_are_due() {
    let rig = Rig::start(&[ON[0], ON[1], ("messageDelayLevel", "1s")]).await;
    let peer = rig.peer().await;
    peer.store("T", 0, &format!("{}\u{2}DELAY\u{1}1", listed("%LMQ%a")), "later").await;
    let due = peer.first_message("%LMQ%a", 0).await;
    assert_eq!((&*due.topic, &due.body[..]), ("T", &b"later"[..]));
    assert_eq!(peer.max_offset("%LMQ%a", 0).await, 1);
}

/// Without the settings the names mean nothing.
#[tokio::test]
async fn off_by_default() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    peer.store("T", 0, &listed("%LMQ%a"), "x").await;
    assert_eq!(peer.max_offset("%LMQ%a", 0).await, 0);
    assert_eq!(peer.pull(&pull("%LMQ%a", 0, 0)).await.response_code(), ResponseCode::TOPIC_NOT_EXIST);
    assert_eq!(
        properties::get(&peer.first_message("T", 0).await.properties, "INNER_MULTI_QUEUE_OFFSET"),
        None
    );
}
