//! Routes: who is asked, when, and what happens when nobody knows.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use ferrocket::{Client, ErrorKind, Message};
use ferrocket_protocol::body::heartbeat::HeartbeatData;
use ferrocket_protocol::{RequestCode, fastjson};

use crate::cluster::{Server, Take, builder, name_server, name_server_for, route, send_header};

const QUERIES: RequestCode = RequestCode::GetRouteinfoByTopic;

/// A topic that does not exist is created by its first message, with the template's queues.
#[tokio::test]
async fn unknown_topics_are_created_from_the_template() {
    let broker = Server::broker().await;
    let template = route(&[("a", broker.addr, 8)]);
    let names = name_server(move |topic| (topic == "TBW102").then(|| template.clone())).await;
    let producer = builder(&names).build().unwrap().producer("g").start().await.unwrap();
    for _ in 0..8 {
        assert!(producer.send(Message::new("New", "m")).await.unwrap().message_queue.queue_id < 4);
    }
    let header = send_header(&broker.seen(RequestCode::SendMessageV2)[0]);
    assert_eq!((&*header.default_topic, header.default_topic_queue_nums), ("TBW102", 4));
    assert_eq!(names.seen(QUERIES).len(), 2);
    // To readers the topic does not exist yet.
    assert_eq!(producer.fetch_queues("New").await.unwrap_err().kind(), ErrorKind::NoRoute);
}

/// Without a template there is no route, in the NameServer's words.
#[tokio::test]
async fn no_route_is_said_so() {
    let names = name_server(|_| None).await;
    let producer = builder(&names).build().unwrap().producer("g").start().await.unwrap();
    let error = producer.send(Message::new("New", "m")).await.unwrap_err();
    assert_eq!((error.kind(), error.code(), error.unsent().len()), (ErrorKind::NoRoute, Some(17), 1));
    assert!(error.remark().unwrap().contains("No topic route info"), "{error:?}");
}

/// Many sends that need the same route ask once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_question_for_many() {
    let broker = Server::broker().await;
    let names = name_server_for(&[("a", broker.addr, 4)]).await;
    let producer = builder(&names).build().unwrap().producer("g").start().await.unwrap();
    let sends: Vec<_> = (0..50)
        .map(|_| {
            let producer = producer.clone();
            tokio::spawn(async move { producer.send(Message::new("T", "m")).await.unwrap().is_ok() })
        })
        .collect();
    for send in sends {
        assert!(send.await.unwrap());
    }
    assert_eq!(names.seen(QUERIES).len(), 1);
}

/// A NameServer that is away, and one that is silent, are passed over; the next is kept.
#[tokio::test]
async fn name_servers_are_asked_in_turn() {
    let broker = Server::broker().await;
    let good = name_server_for(&[("a", broker.addr, 4)]).await;
    let silent = Server::start(|_| Take::Silence).await;
    let list = format!("127.0.0.1:1;{};{}", silent.addr, good.addr);
    let client = Client::builder(&list).mq_client_api_timeout(Duration::from_millis(100)).build().unwrap();
    for _ in 0..4 {
        assert_eq!(client.fetch_queues("T").await.unwrap().len(), 4);
    }
    assert_eq!(good.seen(QUERIES).len(), 4);
    assert!(silent.seen(QUERIES).len() <= 1);
}

/// A changed route is noticed without anybody asking.
#[tokio::test]
async fn routes_are_refreshed() {
    let broker = Server::broker().await;
    let (queues, addr) = (Arc::new(AtomicI32::new(1)), broker.addr);
    let known = Arc::clone(&queues);
    let names = name_server(move |_| Some(route(&[("a", addr, known.load(Ordering::SeqCst))]))).await;
    let client = builder(&names).poll_name_server_interval(Duration::from_millis(20)).build().unwrap();
    let producer = client.producer("g").start().await.unwrap();
    assert_eq!(producer.send(Message::new("T", "m")).await.unwrap().message_queue.queue_id, 0);
    queues.store(2, Ordering::SeqCst);
    let asked = names.seen(QUERIES).len();
    names.wait_for(QUERIES, asked + 2).await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        ids.push(producer.send(Message::new("T", "m")).await.unwrap().message_queue.queue_id);
    }
    ids.sort_unstable();
    assert_eq!(ids, [0, 1]);
}

/// Brokers hear who is there once they are known, and again and again.
#[tokio::test]
async fn heartbeats_tell_who_is_there() {
    let broker = Server::broker().await;
    let names = name_server_for(&[("a", broker.addr, 4)]).await;
    let client = builder(&names).build().unwrap();
    let producer = client.producer("g").start().await.unwrap();
    assert!(producer.send(Message::new("T", "m")).await.unwrap().is_ok());
    let beats = broker.wait_for(RequestCode::HeartBeat, 3).await;
    let data: HeartbeatData = fastjson::from_slice(&beats[2].body).unwrap();
    assert_eq!(data.client_id, client.client_id());
    let groups: Vec<_> = data.producer_data_set.iter().map(|producer| producer.group_name.as_str()).collect();
    assert_eq!(groups, ["g"]);
    assert!(data.consumer_data_set.is_empty());
}

/// The id has Java's form: address, process, a number no other client has.
#[tokio::test]
async fn client_ids_have_javas_form() {
    let names = name_server(|_| None).await;
    let (one, two) = (builder(&names).build().unwrap(), builder(&names).build().unwrap());
    assert_ne!(one.client_id(), two.client_id());
    let (ip, instance) = one.client_id().split_once('@').unwrap();
    assert_eq!(ip, "127.0.0.1");
    assert!(instance.starts_with(&format!("{}#", std::process::id())));
    let named = builder(&names).instance_name("i").unit_name("u").build().unwrap();
    assert_eq!(named.client_id(), "127.0.0.1@i@u");
}
