//! Transactional messages, with a producer by hand.

use std::time::{SystemTime, UNIX_EPOCH};

use ferrocket_protocol::body::heartbeat::{HeartbeatData, ProducerData};
use ferrocket_protocol::message_id::OffsetMessageId;
use ferrocket_protocol::requests::Empty;
use ferrocket_protocol::requests::send::SendMessageHeader;
use ferrocket_protocol::requests::transaction::{EndTransactionHeader, ResumeCheckHalfMessageHeader};
use ferrocket_protocol::{MessageRecord, RemotingCommand, RequestCode, ResponseCode, fastjson, properties};

use crate::support::{PATIENCE, Peer, Rig, end_of, field, message, send_request};

const HALF: &str = "RMQ_SYS_TRANS_HALF_TOPIC";
const OP: &str = "RMQ_SYS_TRANS_OP_HALF_TOPIC";
const GIVEN_UP: &str = "TRANS_CHECK_MAX_TIME_TOPIC";
const COMMIT: i32 = 8;
const ROLLBACK: i32 = 12;
/// Settings under which half messages are asked about at once.
const EAGER: [(&str, &str); 2] = [("transactionCheckInterval", "100"), ("transactionTimeOut", "0")];

fn half(more: &str) -> SendMessageHeader {
    let properties = format!("TRAN_MSG\u{1}true\u{2}PGROUP\u{1}pg\u{2}UNIQ_KEY\u{1}k1{more}");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    SendMessageHeader { sys_flag: 4, born_timestamp: now.as_millis() as i64, ..message("T", 2, &properties) }
}

/// Sends a half message; answers the header of its end.
async fn send_half(peer: &Peer, more: &str, body: &'static str) -> EndTransactionHeader {
    let reply = peer.send(&half(more), body).await;
    assert_eq!(reply.response_code(), ResponseCode::SUCCESS, "{reply:?}");
    assert_eq!(field(&reply, "queueId"), "2");
    EndTransactionHeader { msg_id: "k1".into(), ..end_of(&reply) }
}

async fn end(peer: &Peer, half: &EndTransactionHeader, commit_or_rollback: i32) -> RemotingCommand {
    let header = EndTransactionHeader { commit_or_rollback, ..half.clone() };
    peer.call(RemotingCommand::request(RequestCode::EndTransaction, &header)).await
}

async fn register_producer(peer: &Peer) {
    let body = HeartbeatData {
        client_id: "c".to_owned(),
        producer_data_set: vec![ProducerData { group_name: "pg".to_owned() }],
        ..HeartbeatData::default()
    };
    let request = RemotingCommand::request(RequestCode::HeartBeat, &Empty).with_body(fastjson::to_vec(&body));
    assert_eq!(peer.call(request).await.response_code(), ResponseCode::SUCCESS);
}

/// What a check asks about, as the header of its end, and the message it shows.
fn asked(request: RemotingCommand) -> (EndTransactionHeader, MessageRecord) {
    assert_eq!(request.request_code(), Some(RequestCode::CheckTransactionState));
    assert!(request.is_oneway());
    let header = EndTransactionHeader {
        producer_group: "pg".into(),
        tran_state_table_offset: field(&request, "tranStateTableOffset").parse().unwrap(),
        commit_log_offset: field(&request, "commitLogOffset").parse().unwrap(),
        from_transaction_check: Some(true),
        msg_id: field(&request, "msgId").to_owned().into(),
        ..EndTransactionHeader::default()
    };
    (header, MessageRecord::decode(&mut request.body.clone()).unwrap())
}

/// Nobody sees a half message before it is committed, and nobody at all one that is rolled back.
#[tokio::test]
async fn commit_and_rollback() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    let dropped = send_half(&peer, "", "dropped").await;
    let kept = send_half(&peer, "\u{2}TAGS\u{1}A", "kept").await;
    assert_eq!(end(&peer, &dropped, ROLLBACK).await.response_code(), ResponseCode::SUCCESS);
    assert_eq!(end(&peer, &kept, COMMIT).await.response_code(), ResponseCode::SUCCESS);
    let message = peer.first_message("T", 2).await;
    assert_eq!((&message.body[..], message.sys_flag), (&b"kept"[..], 8));
    assert_eq!(message.prepared_transaction_offset, kept.commit_log_offset);
    for (name, value) in [("TAGS", "A"), ("PGROUP", "pg"), ("REAL_TOPIC", "T"), ("REAL_QID", "2")] {
        assert_eq!(properties::get(&message.properties, name), Some(value), "{name}");
    }
    let waiting = peer.messages(HALF, 0, 0).await;
    assert_eq!(waiting.iter().map(|half| half.sys_flag).collect::<Vec<_>>(), [0, 0]);
    assert_eq!(peer.max_offset(OP, 0).await, 2);
}

/// A delayed half message is delayed from its commit on.
#[tokio::test]
async fn a_committed_message_may_be_delayed() {
    let rig = Rig::start(&[("messageDelayLevel", "1s")]).await;
    let peer = rig.peer().await;
    let half = send_half(&peer, "\u{2}DELAY\u{1}1", "later").await;
    assert_eq!(end(&peer, &half, COMMIT).await.response_code(), ResponseCode::SUCCESS);
    let message = peer.first_message("T", 2).await;
    assert_eq!((&message.body[..], message.sys_flag), (&b"later"[..], 8));
}

/// Ends that are not about a half message are refused in Java's words and store nothing.
#[tokio::test]
async fn wrong_ends_are_refused() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    let half = send_half(&peer, "", "x").await;
    let plain = peer.store("T", 0, "PGROUP\u{1}pg\u{2}REAL_TOPIC\u{1}T\u{2}REAL_QID\u{1}0", "plain").await;
    let plain = EndTransactionHeader {
        tran_state_table_offset: 0,
        commit_log_offset: OffsetMessageId::parse(field(&plain, "msgId")).unwrap().physical_offset,
        ..half.clone()
    };
    let not_found = "Find prepared transaction message failed";
    for (header, remark) in [
        (EndTransactionHeader { producer_group: "other".into(), ..half.clone() }, "The producer group wrong"),
        (
            EndTransactionHeader { tran_state_table_offset: 7, ..half.clone() },
            "The transaction state table offset wrong",
        ),
        (EndTransactionHeader { commit_log_offset: 1 << 40, ..half.clone() }, not_found),
        (EndTransactionHeader { commit_log_offset: -1, ..half.clone() }, not_found),
        (plain, not_found),
    ] {
        let reply = end(&peer, &header, COMMIT).await;
        assert_eq!(
            (reply.response_code(), reply.remark.as_deref()),
            (ResponseCode::SYSTEM_ERROR, Some(remark))
        );
    }
    assert_eq!(end(&peer, &half, 5).await.response_code(), ResponseCode::SYSTEM_ERROR);
    assert_eq!(end(&peer, &half, 0).await.response_code(), ResponseCode::SUCCESS, "still unknown");
    assert_eq!(end(&peer, &half, COMMIT).await.response_code(), ResponseCode::SUCCESS);
    assert_eq!(&peer.first_message("T", 2).await.body[..], b"x");
}

/// A producer that does not know is asked until it does, about a copy each time.
#[tokio::test]
async fn unknown_is_asked_about() {
    let rig = Rig::start(&EAGER).await;
    let mut peer = rig.peer().await;
    register_producer(&peer).await;
    let half = send_half(&peer, "", "x").await;
    assert_eq!(end(&peer, &half, 0).await.response_code(), ResponseCode::SUCCESS);
    let (first, shown) = asked(peer.push().await);
    assert!(first.tran_state_table_offset > half.tran_state_table_offset);
    assert_eq!(&*first.msg_id, "k1");
    assert_eq!((&*shown.topic, shown.queue_id, &shown.body[..]), ("T", 2, &b"x"[..]));
    assert_eq!(properties::get(&shown.properties, "TRANSACTION_CHECK_TIMES"), Some("1"));
    let (second, shown) = asked(peer.push().await);
    assert!(second.tran_state_table_offset > first.tran_state_table_offset);
    assert_eq!(properties::get(&shown.properties, "TRANSACTION_CHECK_TIMES"), Some("2"));
    assert_eq!(end(&peer, &second, COMMIT).await.response_code(), ResponseCode::SUCCESS);
    assert_eq!(peer.first_message("T", 2).await.prepared_transaction_offset, second.commit_log_offset);
}

/// What nobody answers for is given up in the end, and can be resumed.
#[tokio::test]
async fn who_never_answers_is_given_up() {
    let mut settings = EAGER.to_vec();
    settings.push(("transactionCheckMax", "1"));
    let rig = Rig::start(&settings).await;
    let mut peer = rig.peer().await;
    register_producer(&peer).await;
    send_half(&peer, "", "x").await;
    asked(peer.push().await);
    // Its topic is made for the first one, so there is no pull to wait with.
    let parking = async { while peer.max_offset(GIVEN_UP, 0).await == 0 {} };
    tokio::time::timeout(PATIENCE, parking).await.unwrap();
    let parked = peer.first_message(GIVEN_UP, 0).await;
    assert_eq!(properties::get(&parked.properties, "REAL_TOPIC"), Some("T"));
    let id = OffsetMessageId { host: parked.store_host, physical_offset: parked.physical_offset };
    let resume = |id: String| {
        let header = ResumeCheckHalfMessageHeader { msg_id: Some(id.into()), ..Default::default() };
        RemotingCommand::request(RequestCode::ResumeCheckHalfMessage, &header)
    };
    assert_eq!(peer.call(resume(id.to_string())).await.response_code(), ResponseCode::SUCCESS);
    let (again, _) = asked(peer.push().await);
    assert_eq!(end(&peer, &again, COMMIT).await.response_code(), ResponseCode::SUCCESS);
    assert_eq!(&peer.first_message("T", 2).await.body[..], b"x");
    let reply = peer.call(resume("nonsense".to_owned())).await;
    let words = "Exception was thrown when putting message back to RMQ_SYS_TRANS_HALF_TOPIC.";
    assert_eq!(reply.remark.as_deref(), Some(words));
}

/// A restart forgets neither half messages nor what ended them: only the open one is asked about.
#[tokio::test]
async fn transactions_survive_a_restart() {
    let rig = Rig::start(&[("transactionTimeOut", "0"), ("transactionCheckInterval", "1000")]).await;
    let peer = rig.peer().await;
    let done = send_half(&peer, "", "done").await;
    send_half(&peer, "", "open").await;
    assert_eq!(end(&peer, &done, ROLLBACK).await.response_code(), ResponseCode::SUCCESS);
    let rig = rig.restart().await;
    let mut peer = rig.peer().await;
    register_producer(&peer).await;
    let (asked, shown) = asked(peer.push().await);
    assert_eq!(&shown.body[..], b"open");
    assert_eq!(end(&peer, &asked, COMMIT).await.response_code(), ResponseCode::SUCCESS);
    assert_eq!(&peer.first_message("T", 2).await.body[..], b"open");
}

/// `rejectTransactionMessage` refuses half messages and nothing else.
#[tokio::test]
async fn half_messages_can_be_refused() {
    let rig = Rig::start(&[("rejectTransactionMessage", "true")]).await;
    let peer = rig.peer().await;
    let reply = peer.call(send_request(&half(""), "x")).await;
    assert_eq!(reply.response_code(), ResponseCode::NO_PERMISSION);
    let words = "the broker[127.0.0.1] sending transaction message is forbidden";
    assert_eq!(reply.remark.as_deref(), Some(words));
    peer.store("T", 0, "", "plain").await;
}
