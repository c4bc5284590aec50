//! Requests and their replies.

use std::time::Duration;

use ferrocket::{ErrorKind, Message};
use ferrocket_protocol::requests::send::ReplyMessageHeader;
use ferrocket_protocol::{RemotingCommand, RequestCode, ResponseCode, compression, properties};

use crate::cluster::{Server, Take, builder, is_send, name_server_for, send_header, stored};

const SENDS: RequestCode = RequestCode::SendMessageV2;
const LONG: Duration = Duration::from_secs(20);

/// What a broker pushes for a reply with this body to the request with these properties.
fn push(request: &RemotingCommand, body: &str, packed: bool) -> RemotingCommand {
    let text = send_header(request).properties.unwrap();
    let correlation_id = properties::get(&text, "CORRELATION_ID").unwrap();
    let header = ReplyMessageHeader {
        producer_group: "replier".into(),
        topic: "c_REPLY_TOPIC".into(),
        default_topic: "TBW102".into(),
        default_topic_queue_nums: 4,
        queue_id: 2,
        sys_flag: if packed { 0x301 } else { 0 },
        born_timestamp: 5,
        flag: 7,
        properties: Some(
            format!("MSG_TYPE\u{1}reply\u{2}CORRELATION_ID\u{1}{correlation_id}\u{2}UNIQ_KEY\u{1}R1").into(),
        ),
        reconsume_times: Some(0),
        unit_mode: Some(false),
        born_host: "/10.0.0.9:40000".into(),
        store_host: "10.0.0.1:10911".into(),
        store_timestamp: 6,
    };
    let body = if packed { compression::zlib(body.as_bytes(), 5) } else { body.as_bytes().to_vec() };
    RemotingCommand::request(RequestCode::PushReplyMessageToClient, &header).with_body(body)
}

/// A request says who waits, for how long and for what; the reply reaches it, whichever of several is answered
/// first, and the broker hears that it did.
#[tokio::test]
async fn replies_find_their_requests() {
    let broker = Server::broker().await;
    let names = name_server_for(&[("a", broker.addr, 1)]).await;
    let client = builder(&names).heartbeat_broker_interval(LONG).build().unwrap();
    let producer = client.producer("g").start().await.unwrap();
    let (one, two, ()) = tokio::join!(
        producer.request(Message::new("T", "one"), LONG),
        producer.request_with(Message::new("T", "two"), LONG, |queues, _| queues.first().cloned()),
        async {
            let mut requests = broker.wait_for(SENDS, 2).await;
            requests.sort_by_key(|request| std::cmp::Reverse(request.body.clone()));
            let mut ids = Vec::new();
            for (request, packed) in requests.iter().zip([true, false]) {
                let text = send_header(request).properties.unwrap();
                assert_eq!(properties::get(&text, "REPLY_TO_CLIENT"), Some(client.client_id()));
                assert_eq!(properties::get(&text, "TTL"), Some("20000"));
                ids.push(properties::get(&text, "CORRELATION_ID").unwrap().to_owned());
                let body = format!("re: {}", std::str::from_utf8(&request.body).unwrap());
                let pushed = broker.connection().call(push(request, &body, packed), LONG).await.unwrap();
                assert_eq!(pushed.response_code(), ResponseCode::SUCCESS);
            }
            assert!(ids[0] != ids[1] && ids.iter().all(|id| id.len() == 36), "{ids:?}");
        }
    );
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!((&one.body[..], &two.body[..]), (&b"re: one"[..], &b"re: two"[..]));
    assert_eq!((&*two.topic, two.queue_id, two.flag, &*two.msg_id), ("c_REPLY_TOPIC", 2, 7, "R1"));
    assert_eq!(two.born_host.to_string(), "10.0.0.9:40000");
    assert!(!two.is_body_packed());
    assert!(two.property("ARRIVE_TIME").is_some());
    // Brokers bring replies to clients that they know: the heartbeat came before the request.
    assert_eq!(broker.seen(RequestCode::HeartBeat).len(), 1);
    // A reply nobody waits for any more is taken all the same.
    let late = push(&broker.seen(SENDS)[0], "late", false);
    assert_eq!(broker.connection().call(late, LONG).await.unwrap().response_code(), ResponseCode::SUCCESS);
}

/// Without a reply the request was stored: nothing comes back to be sent again. A request that is refused does.
#[tokio::test]
async fn requests_fail_in_two_ways() {
    let mut wait = Duration::from_millis(50);
    let broker = Server::broker().await;
    let names = name_server_for(&[("a", broker.addr, 1)]).await;
    let client = builder(&names).build().unwrap();
    let producer = client.producer("g").start().await.unwrap();
    let error = loop {
        let error = producer.request(Message::new("T", "m"), wait).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        if error.unsent().is_empty() {
            break error;
        }
        // On a busy machine it was not even stored in that time.
        wait *= 2;
    };
    let words = "send request message to <T> OK, but wait reply message timeout";
    assert_eq!(error.to_string(), format!("{words}, {} ms.", wait.as_millis()));

    let refusing = Server::start(|request| match is_send(request) {
        true => Take::Reply(request.reply_error(ResponseCode::MESSAGE_ILLEGAL, "as told")),
        false => Take::Reply(stored(request)),
    })
    .await;
    let names = name_server_for(&[("a", refusing.addr, 1)]).await;
    let client = builder(&names).build().unwrap();
    let producer = client.producer("g").start().await.unwrap();
    let error = producer.request(Message::new("T", "m"), LONG).await.unwrap_err();
    assert_eq!((error.code(), error.unsent().len()), (Some(13), 1));
    assert!(error.to_string().starts_with("send request message to <T> fail: "), "{error}");
    assert_eq!(error.unsent()[0].property_value("CORRELATION_ID"), None);
}

/// A client that ends has nobody wait for a reply that cannot come any more.
#[tokio::test]
async fn requests_end_with_the_client() {
    let broker = Server::broker().await;
    let names = name_server_for(&[("a", broker.addr, 1)]).await;
    let client = builder(&names).build().unwrap();
    let producer = client.producer("g").start().await.unwrap();
    let (requested, ()) =
        tokio::join!(producer.request(Message::new("T", "m"), Duration::from_secs(3_600)), async {
            broker.wait_for(SENDS, 1).await;
            client.shutdown().await.unwrap();
        });
    assert_eq!(requested.unwrap_err().kind(), ErrorKind::Closed);
}
