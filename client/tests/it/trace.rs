//! Message traces, as brokers get them.

use std::time::Duration;

use ferrocket::{Client, LocalTransactionState, Message};
use ferrocket_protocol::{RequestCode, ResponseCode, properties};

use crate::cluster::{Server, Take, is_send, name_server, route, send_header, stored};
use crate::queue_broker::QueueBroker;

/// The trace messages a broker got: their keys, and their records with `|` between the fields.
fn traces(requests: &[ferrocket_protocol::RemotingCommand], topic: &str) -> (Vec<String>, Vec<String>) {
    let (mut keys, mut records) = (Vec::new(), Vec::new());
    for request in requests.iter().filter(|request| *send_header(request).topic == *topic) {
        let text = send_header(request).properties.unwrap();
        keys.extend(properties::get(&text, "KEYS").unwrap().split(' ').map(str::to_owned));
        let body = String::from_utf8(request.body.to_vec()).unwrap().replace('\u{1}', "|");
        assert!(body.ends_with('\u{2}'));
        records.extend(body.split_terminator('\u{2}').map(str::to_owned));
    }
    (keys, records)
}

/// What is sent is traced, retries and oneway sends are not, and all of it is there after the shutdown: in a topic
/// of one's own if one is named. A broker that wants no traces of its messages gets none.
#[tokio::test]
async fn sends_are_traced() {
    let broker = Server::start(|request| {
        let mut reply = stored(request);
        if is_send(request) && request.body == "untraced" {
            reply.ext_fields.push("TRACE_ON", "false");
        } else if is_send(request) && request.body == "refused" {
            reply = request.reply_error(ResponseCode::NO_PERMISSION, "as told");
        }
        Take::Reply(reply)
    })
    .await;
    let data = route(&[("a", broker.addr, 1)]);
    let names = name_server(move |topic| ["ns%T", "traces"].contains(&topic).then(|| data.clone())).await;
    let client = Client::builder(&names.addr.to_string())
        .enable_trace(true)
        .trace_topic("traces")
        .namespace("ns")
        .build()
        .unwrap();
    let check = |_| async { LocalTransactionState::Unknown };
    let producer = client.producer("g").retries(0).check_local_transaction(check).start().await.unwrap();
    let plain = producer.producer();
    let sent = plain.send(Message::new("T", "hello").tags("x").key("k")).await.unwrap();
    assert!(plain.send(Message::new("T", "untraced")).await.unwrap().is_ok());
    assert!(plain.send(Message::new("T", "refused")).await.is_err());
    plain.send_oneway(Message::new("T", "oneway")).await.unwrap();
    let rolled_back = |_| async { LocalTransactionState::RollbackMessage };
    let half = producer.send_in_transaction(Message::new("T", "half"), rolled_back).await.unwrap();
    client.shutdown().await.unwrap();

    let (keys, records) = traces(&broker.seen(RequestCode::SendMessageV2), "traces");
    let fields: Vec<Vec<&str>> = records.iter().map(|record| record.split('|').collect()).collect();
    let kinds: Vec<_> = fields.iter().map(|fields| (fields[0], fields[5])).collect();
    let (id, half) = (&*sent.msg_id, &*half.sent.msg_id);
    assert_eq!(kinds, [("Pub", id), ("Pub", half), ("EndTransaction", half)]);
    let addr = broker.addr.to_string();
    assert_eq!(fields[0][2..5], ["DefaultRegion", "g", "T"]);
    assert_eq!(fields[0][6..10], ["x", "k", &addr, "5"]);
    assert_eq!(fields[0][11..], ["0", &sent.offset_msg_id, "true"]);
    assert_eq!(fields[1][11], "1");
    assert_eq!(fields[2][8..], [&addr, "2", half, "ROLLBACK_MESSAGE", "false"]);
    assert_eq!(keys.len(), 3, "{keys:?}");
    assert!(["k", id, half].iter().all(|key| keys.iter().any(|known| known == key)), "{keys:?}");
    assert_eq!(client.traces_dropped(), 0);
}

/// A listener's call is traced before and after, under one id, with how it ended.
#[tokio::test]
async fn consumption_is_traced() {
    let broker = QueueBroker::start().await;
    let traced = Server::broker().await;
    let (data, trace_data) = (route(&[("a", broker.addr, 1)]), route(&[("b", traced.addr, 1)]));
    let names = name_server(move |topic| match topic {
        "RMQ_SYS_TRACE_TOPIC" => Some(trace_data.clone()),
        "T" => Some(data.clone()),
        _ => None,
    })
    .await;
    broker.store("T", 0, "good", None);
    broker.store("T", 0, "bad", None);
    let client = Client::builder(&names.addr.to_string())
        .heartbeat_broker_interval(Duration::from_millis(20))
        .enable_trace(true)
        .build()
        .unwrap();
    let _consumer = client
        .push_consumer("g")
        .subscribe("T", "*")
        .consume_from(ferrocket::ConsumeFromWhere::FirstOffset)
        .on_message(|message| async move { if message.body == "bad" { Err("no stock") } else { Ok(()) } })
        .start()
        .await
        .unwrap();
    let mut records = Vec::new();
    for count in 1.. {
        let requests = traced.wait_for(RequestCode::SendMessageV2, count).await;
        records = traces(&requests, "RMQ_SYS_TRACE_TOPIC").1;
        if records.len() >= 4 {
            break;
        }
    }
    let fields: Vec<Vec<&str>> = records.iter().map(|record| record.split('|').collect()).collect();
    let before: Vec<_> = fields.iter().filter(|fields| fields[0] == "SubBefore").collect();
    let after: Vec<_> = fields.iter().filter(|fields| fields[0] == "SubAfter").collect();
    assert_eq!((before.len(), after.len()), (2, 2), "{records:?}");
    for call in before {
        assert_eq!(call[3], "g");
        assert!(after.iter().any(|end| (end[1], end[2]) == (call[4], call[5])), "{records:?}");
    }
    let mut ends: Vec<_> = after.iter().map(|end| (end[4], end[6], end[8])).collect();
    ends.sort();
    assert_eq!(ends, [("false", "2", "g"), ("true", "0", "g")]);
}
