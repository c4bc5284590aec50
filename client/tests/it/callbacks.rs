//! What brokers ask of a client.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ferrocket::Message;
use ferrocket_protocol::requests::Empty;
use ferrocket_protocol::requests::client::{GetConsumerRunningInfoHeader, NotifyConsumerIdsChangedHeader};
use ferrocket_protocol::{RemotingCommand, RequestCode, ResponseCode};

use crate::cluster::{Server, Take, builder, is_send, name_server_for, stored};

/// Requests about groups that are not here, and unknown requests, are answered as Java answers them; the
/// connection stays.
#[tokio::test]
async fn every_request_is_answered() {
    let broker = Server::broker().await;
    let names = name_server_for(&[("a", broker.addr, 1)]).await;
    let client = builder(&names).build().unwrap();
    let producer = client.producer("g").start().await.unwrap();
    assert!(producer.send(Message::new("T", "m")).await.unwrap().is_ok());
    let connection = broker.connection();
    let ask = async |request| connection.call(request, Duration::from_secs(5)).await.unwrap();

    let header = GetConsumerRunningInfoHeader {
        consumer_group: "nobody".into(),
        client_id: client.client_id().into(),
        jstack_enable: None,
    };
    let reply = ask(RemotingCommand::request(RequestCode::GetConsumerRunningInfo, &header)).await;
    assert_eq!(reply.response_code(), ResponseCode::SYSTEM_ERROR);
    assert_eq!(reply.remark.as_deref(), Some("The Consumer Group <nobody> not exist in this consumer"));

    let header = NotifyConsumerIdsChangedHeader { consumer_group: "nobody".into() };
    let reply = ask(RemotingCommand::request(RequestCode::NotifyConsumerIdsChanged, &header)).await;
    assert_eq!(reply.response_code(), ResponseCode::SUCCESS);

    let reply = ask(RemotingCommand::request(RequestCode::GetConsumerRunningInfo, &Empty)).await;
    assert_eq!(reply.response_code(), ResponseCode::SYSTEM_ERROR);

    let reply = ask(RemotingCommand::request(RequestCode::GetBrokerConfig, &Empty)).await;
    assert_eq!(reply.response_code(), ResponseCode::REQUEST_CODE_NOT_SUPPORTED);
    assert!(producer.send(Message::new("T", "m")).await.unwrap().is_ok());
}

/// A broker of 5.x that is about to stop asks to go away: what it refused goes over a new connection.
#[tokio::test]
async fn asked_to_go_away_it_connects_anew() {
    let told = AtomicBool::new(false);
    let broker = Server::start(move |request| match is_send(request) && !told.swap(true, Ordering::SeqCst) {
        true => Take::Reply(request.reply_error(ResponseCode::GO_AWAY, "please go away")),
        false => Take::Reply(stored(request)),
    })
    .await;
    let names = name_server_for(&[("a", broker.addr, 1)]).await;
    let client = builder(&names).build().unwrap();
    let producer = client.producer("g").start().await.unwrap();
    let heartbeats = broker.wait_for(RequestCode::HeartBeat, 1);
    let (sent, _) = tokio::join!(producer.send(Message::new("T", "m")), heartbeats);
    assert!(sent.unwrap().is_ok());
    let peers: BTreeSet<_> = broker.connections().iter().map(|connection| connection.peer_addr()).collect();
    assert_eq!(peers.len(), 2);
    assert_eq!(broker.seen(RequestCode::SendMessageV2).len(), 2);
}

/// A farewell waits for the answer to a heartbeat under way: a broker that handled them the other way round
/// would keep a client that is gone.
#[tokio::test]
async fn a_farewell_does_not_overtake_a_heartbeat() {
    let broker = Server::start(|request| match request.request_code() {
        Some(RequestCode::HeartBeat) => Take::Silence,
        _ => Take::Reply(stored(request)),
    })
    .await;
    let names = name_server_for(&[("a", broker.addr, 1)]).await;
    let client = builder(&names).build().unwrap();
    let (leaving, staying) = (
        client.producer("leaving").start().await.unwrap(),
        client.producer("staying").start().await.unwrap(),
    );
    assert!(staying.send(Message::new("T", "m")).await.unwrap().is_ok());
    let heartbeat = broker.wait_for(RequestCode::HeartBeat, 1).await.remove(0);

    let farewell = tokio::spawn(async move { leaving.shutdown().await });
    // Written after a farewell that did not wait, on the same connection.
    assert!(staying.send(Message::new("T", "m")).await.unwrap().is_ok());
    assert!(broker.seen(RequestCode::UnregisterClient).is_empty());

    assert!(broker.connection().reply(heartbeat.reply(ResponseCode::SUCCESS)));
    farewell.await.unwrap();
    assert_eq!(broker.seen(RequestCode::UnregisterClient).len(), 1);
}
