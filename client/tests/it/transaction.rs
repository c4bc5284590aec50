//! Transactional messages: half messages, their ends, and what brokers ask when they hear of none.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ferrocket::{ErrorKind, LocalTransactionState, Message, TransactionProducer};
use ferrocket_protocol::message_id::OffsetMessageId;
use ferrocket_protocol::requests::transaction::{CheckTransactionStateHeader, EndTransactionHeader};
use ferrocket_protocol::{Header, MessageRecord, RemotingCommand, RequestCode, ResponseCode, properties};

use crate::cluster::{Server, Take, builder, is_send, name_server_for, send_header, stored};

const END: RequestCode = RequestCode::EndTransaction;
/// The transaction bits of a system flag.
const HALF: i32 = 4;

/// A producer whose checks commit; the NameServer has to stay alive.
async fn producer(broker: &Server) -> (TransactionProducer, Server) {
    let names = name_server_for(&[("a", broker.addr, 1)]).await;
    let client = builder(&names).build().unwrap();
    let check = |_| async { LocalTransactionState::CommitMessage };
    (client.producer("g").check_local_transaction(check).start().await.unwrap(), names)
}

fn end(request: &RemotingCommand) -> EndTransactionHeader {
    EndTransactionHeader::decode(&request.ext_fields).unwrap()
}

/// Each state ends the half message that the broker has, oneway and with the fields Java writes.
#[tokio::test]
async fn the_local_state_is_told() {
    let broker = Server::broker().await;
    let (producer, _names) = producer(&broker).await;
    for (at, (state, bits)) in [
        (LocalTransactionState::CommitMessage, 8),
        (LocalTransactionState::RollbackMessage, 12),
        (LocalTransactionState::Unknown, 0),
    ]
    .into_iter()
    .enumerate()
    {
        let message = Message::new("T", "half").delay_level(3);
        let sent = producer
            .send_in_transaction(message, |local| async move {
                assert_eq!(local.message.property_value("TRAN_MSG"), Some("true"));
                assert_eq!(local.transaction_id, *local.half.msg_id);
                state
            })
            .await
            .unwrap();
        assert_eq!((sent.local_transaction_state, sent.failure), (state, None));

        let header = send_header(&broker.seen(RequestCode::SendMessageV2)[at]);
        assert_eq!(header.sys_flag, HALF);
        let text = header.properties.unwrap();
        let wanted = [("TRAN_MSG", "true"), ("PGROUP", "g"), ("UNIQ_KEY", &*sent.sent.msg_id)];
        for (name, value) in wanted {
            assert_eq!(properties::get(&text, name), Some(value), "{name}");
        }
        assert_eq!(properties::get(&text, "DELAY"), None);

        let request = broker.wait_for(END, at + 1).await.remove(at);
        assert!(request.is_oneway());
        assert_eq!(
            (request.remark.as_deref(), request.ext_fields.get("bname").unwrap().as_ref()),
            (None, "a")
        );
        let offset = OffsetMessageId::parse(&sent.sent.offset_msg_id).unwrap().physical_offset;
        let expect = EndTransactionHeader {
            topic: Some("T".into()),
            producer_group: "g".into(),
            tran_state_table_offset: 9,
            commit_log_offset: offset,
            commit_or_rollback: bits,
            from_transaction_check: Some(false),
            msg_id: sent.sent.msg_id.clone(),
            transaction_id: None,
        };
        assert_eq!(end(&request), expect);
    }
}

/// Local work that fails, by an error or a panic, leaves the state unknown, and the broker learns why.
#[tokio::test]
async fn failed_local_work_is_unknown() {
    let broker = Server::broker().await;
    let (producer, _names) = producer(&broker).await;
    let fails = |_| async { Err::<LocalTransactionState, _>("no stock") };
    let sent = producer.send_in_transaction(Message::new("T", "m"), fails).await.unwrap();
    assert_eq!(
        (sent.local_transaction_state, sent.failure.as_deref()),
        (LocalTransactionState::Unknown, Some("no stock"))
    );
    let panics = |_| async {
        assert!(broker.seen(END).is_empty(), "it broke");
        LocalTransactionState::CommitMessage
    };
    let _ = broker.wait_for(END, 1).await;
    let sent = producer.send_in_transaction(Message::new("T", "m"), panics).await.unwrap();
    assert_eq!(sent.local_transaction_state, LocalTransactionState::Unknown);
    let ends = broker.wait_for(END, 2).await;
    let remarks: Vec<_> = ends.iter().map(|end| end.remark.as_deref().unwrap()).collect();
    let before = "executeLocalTransactionBranch exception: ";
    assert_eq!(remarks, [format!("{before}no stock"), format!("{before}panic: it broke")]);
}

/// A half message that is not safe is rolled back without local work; one that is refused comes back plain.
#[tokio::test]
async fn no_local_work_without_a_half_message() {
    for code in [ResponseCode::FLUSH_DISK_TIMEOUT, ResponseCode::NO_PERMISSION] {
        let broker = Server::start(move |request| {
            let mut reply = stored(request);
            if is_send(request) {
                reply.code = code.0;
            }
            Take::Reply(reply)
        })
        .await;
        let (producer, _names) = producer(&broker).await;
        let never = async |_| -> LocalTransactionState { panic!("there is no half message to work for") };
        let sent = producer.send_in_transaction(Message::new("T", "m"), never).await;
        if code == ResponseCode::FLUSH_DISK_TIMEOUT {
            assert_eq!(sent.unwrap().local_transaction_state, LocalTransactionState::RollbackMessage);
            assert_eq!(end(&broker.wait_for(END, 1).await[0]).commit_or_rollback, 12);
            continue;
        }
        let error = sent.unwrap_err();
        assert_eq!((error.kind(), error.code(), error.unsent().len()), (ErrorKind::Broker, Some(16), 1));
        assert_eq!(error.unsent()[0].property_value("TRAN_MSG"), None);
        assert!(broker.seen(END).is_empty());
    }
}

/// The check of a half message of this group, as a broker sends it.
fn check(group: &str) -> RemotingCommand {
    let text = format!("TRAN_MSG\u{1}true\u{2}PGROUP\u{1}{group}\u{2}UNIQ_KEY\u{1}ID7\u{2}REAL_TOPIC\u{1}T");
    let record = MessageRecord {
        topic: "T".into(),
        queue_id: 0,
        flag: 0,
        sys_flag: 0,
        queue_offset: 3,
        physical_offset: 700,
        born_timestamp: 1,
        born_host: "10.0.0.9:40000".parse().unwrap(),
        store_timestamp: 2,
        store_host: "10.0.0.1:10911".parse().unwrap(),
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: "half".into(),
        properties: text.into(),
    };
    let mut body = Vec::new();
    record.encode(&mut body);
    let header = CheckTransactionStateHeader {
        topic: None,
        tran_state_table_offset: 3,
        commit_log_offset: 700,
        msg_id: Some("ID7".into()),
        transaction_id: Some("ID7".into()),
        offset_msg_id: None,
    };
    let mut request = RemotingCommand::request(RequestCode::CheckTransactionState, &header).with_body(body);
    request.ext_fields.push("bname", "a");
    request
}

/// A check, here of a producer that is gone, is answered on the connection it came on by what the group's
/// check says; one of another group by nobody.
#[tokio::test]
async fn checks_are_answered() {
    let broker = Server::broker().await;
    let names = name_server_for(&[("a", broker.addr, 1)]).await;
    let client = builder(&names).build().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let producer = client
        .producer("g")
        .check_local_transaction(move |message| {
            let turn = count.fetch_add(1, Ordering::SeqCst);
            async move {
                assert_eq!((&*message.topic, message.transaction_id()), ("T", Some("ID7")));
                match turn {
                    0 => Ok(LocalTransactionState::CommitMessage),
                    1 => Err("locked"),
                    _ => Ok(LocalTransactionState::RollbackMessage),
                }
            }
        })
        .start()
        .await
        .unwrap();
    assert!(producer.producer().send(Message::new("T", "m")).await.unwrap().is_ok());
    let connection = broker.connection();
    connection.oneway(check("elsewhere")).await.unwrap();
    for (at, (bits, remark)) in
        [(8, None), (0, Some("checkLocalTransactionState Exception: locked")), (12, None)]
            .into_iter()
            .enumerate()
    {
        let mut request = check("g");
        if at == 2 {
            // One that is not oneway gets an answer besides.
            let timeout = Duration::from_secs(5);
            let reply = connection.call(request, timeout).await.unwrap();
            assert_eq!(reply.response_code(), ResponseCode::SUCCESS);
        } else {
            request.set_oneway();
            connection.oneway(request).await.unwrap();
        }
        let request = broker.wait_for(END, at + 1).await.remove(at);
        assert!(request.is_oneway());
        assert_eq!(request.remark.as_deref(), remark);
        let expect = EndTransactionHeader {
            topic: None,
            producer_group: "g".into(),
            tran_state_table_offset: 3,
            commit_log_offset: 700,
            commit_or_rollback: bits,
            from_transaction_check: Some(true),
            msg_id: "ID7".into(),
            transaction_id: Some("ID7".into()),
        };
        assert_eq!(end(&request), expect);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

/// Limits of checks that cannot work are refused by name.
#[tokio::test]
async fn check_limits_are_checked() {
    let client = ferrocket::Client::builder("127.0.0.1:9876").build().unwrap();
    let check = |_| async { LocalTransactionState::Unknown };
    let builder = client.producer("g").check_local_transaction(check).check_request_hold_max(0);
    let error = builder.start().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("check_request_hold_max"), "{error}");
}
