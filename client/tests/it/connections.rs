//! How clusters are reached: namespaces, second ports, web servers that know the NameServers, several clusters.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferrocket::{
    Client, ConsumeFromWhere, ErrorKind, Event, LocalTransactionState, Message, MessageQueue, SocksProxy,
};
use ferrocket_protocol::body::heartbeat::HeartbeatData;
use ferrocket_protocol::{RemotingCommand, RequestCode, fastjson, properties};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::cluster::{Server, Take, builder, name_server, name_server_for, route, send_header, stored};
use crate::queue_broker::QueueBroker;
use crate::world::{next, text};
use socks_proxy::socks_proxy;
use web_server::web_server;

#[path = "../../../remoting/tests/support/socks_proxy.rs"]
mod socks_proxy;
#[path = "../../../remoting/tests/support/web_server.rs"]
mod web_server;

const SENDS: RequestCode = RequestCode::SendMessageV2;

fn heartbeat(request: &RemotingCommand) -> HeartbeatData {
    fastjson::from_slice(&request.body).unwrap()
}

/// A broker too slow for heartbeats keeps its connection while it answers anything; one that is silent is dialled anew.
#[tokio::test]
async fn only_silent_connections_are_given_up() {
    let broker = Server::start(|request| match request.request_code() {
        Some(RequestCode::HeartBeat) => Take::Silence,
        _ => Take::Reply(stored(request)),
    })
    .await;
    let data = route(&[("a", broker.addr, 1)]);
    let names = name_server(move |_| Some(data.clone())).await;
    let second = Duration::from_secs(1);
    let client =
        builder(&names).mq_client_api_timeout(second).heartbeat_broker_interval(second).build().unwrap();
    let producer = client.producer("g").start().await.unwrap();
    while broker.seen(RequestCode::HeartBeat).len() < 2 {
        assert!(producer.send(Message::new("T", "m")).await.unwrap().is_ok());
    }
    assert_eq!(broker.connections().len(), 1);
    let beats = broker.seen(RequestCode::HeartBeat).len();
    broker.wait_for(RequestCode::HeartBeat, beats + 2).await;
    assert!(broker.connections().len() > 1);
    client.shutdown().await.unwrap();
}

/// In a namespace the cluster sees `ns%name` for topics and groups and the program sees bare names, in receipts,
/// selectors and unsent messages as well.
#[tokio::test]
async fn producers_in_a_namespace() {
    let broker = Server::broker().await;
    let data = route(&[("a", broker.addr, 2)]);
    let names =
        name_server(move |topic| ["ns%T", "c_REPLY_TOPIC"].contains(&topic).then(|| data.clone())).await;
    let client = builder(&names).namespace("ns").build().unwrap();
    let check = |_| async { LocalTransactionState::Unknown };
    let producer = client.producer("g").check_local_transaction(check).start().await.unwrap();
    let plain = producer.producer();
    assert_eq!(plain.fetch_queues("T").await.unwrap()[0].topic, "T");
    let sent = plain
        .send_with(Message::new("T", "m"), |queues, message| {
            assert_eq!((&*queues[1].topic, message.topic()), ("T", "T"));
            queues.get(1).cloned()
        })
        .await
        .unwrap();
    assert_eq!((&*sent.message_queue.topic, sent.message_queue.queue_id), ("T", 1));
    let queue = sent.message_queue;
    assert_eq!(plain.send_to(Message::new("T", "m"), &queue).await.unwrap().message_queue, queue);
    let commit = |_| async { LocalTransactionState::CommitMessage };
    assert_eq!(
        producer.send_in_transaction(Message::new("T", "m"), commit).await.unwrap().sent.message_queue.topic,
        "T"
    );
    for request in broker.seen(SENDS) {
        let header = send_header(&request);
        assert_eq!((&*header.topic, &*header.producer_group), ("ns%T", "ns%g"));
        let text = header.properties.unwrap();
        assert_eq!(properties::get(&text, "INSTANCE_ID"), Some("ns"));
        assert!([None, Some("ns%g")].contains(&properties::get(&text, "PGROUP")));
    }
    let end = broker.wait_for(RequestCode::EndTransaction, 1).await.remove(0);
    assert_eq!(end.ext_fields.get("producerGroup").unwrap(), "ns%g");
    let beat = heartbeat(&broker.wait_for(RequestCode::HeartBeat, 1).await[0]);
    assert_eq!(beat.producer_data_set[0].group_name, "ns%g");
    let batch = vec![Message::new("T", "1"), Message::new("T", "2")];
    assert_eq!(plain.send_batch(batch).await.unwrap().message_queue.topic, "T");
    assert_eq!(send_header(&broker.seen(RequestCode::SendBatchMessage)[0]).topic, "ns%T");
    // Replies go to the topic that the cluster has for everybody.
    let reply = Message::new("c_REPLY_TOPIC", "m").property("MSG_TYPE", "reply");
    let _sent = plain.send(reply).await.unwrap();
    assert_eq!(send_header(&broker.seen(RequestCode::SendReplyMessageV2)[0]).topic, "c_REPLY_TOPIC");
    let error = plain.send(Message::new("Unknown", "m")).await.unwrap_err();
    assert_eq!((error.kind(), error.unsent()[0].topic()), (ErrorKind::NoRoute, "Unknown"));
}

/// Listeners in a namespace get messages with bare topics; what they give back goes to the group's own topics.
#[tokio::test]
async fn consumers_in_a_namespace() {
    let broker = QueueBroker::start().await;
    let data = route(&[("a", broker.addr, 1)]);
    let names = name_server(move |topic| topic.ends_with("ns%T").then(|| data.clone())).await;
    broker.store("ns%T", 0, "m", None);
    let client = builder(&names).namespace("ns").build().unwrap();
    let (sender, mut received) = mpsc::unbounded_channel();
    let consumer = client
        .push_consumer("g")
        .subscribe("T", "*")
        .consume_from(ConsumeFromWhere::FirstOffset)
        .on_message(move |message| {
            let _ = sender.send(message.topic);
            async { Err::<(), _>("again") }
        })
        .start()
        .await
        .unwrap();
    let topic = tokio::time::timeout(Duration::from_secs(20), received.recv()).await.unwrap().unwrap();
    assert_eq!(topic, "T");
    assert_eq!(consumer.queues()[0].topic, "T");
    broker.wait_for(RequestCode::ConsumerSendMsgBack, 1).await;
    let back = broker.seen(RequestCode::ConsumerSendMsgBack).remove(0);
    let field = |name| back.ext_fields.get(name).map(ToString::to_string);
    assert_eq!((field("group").unwrap(), field("originTopic").unwrap()), ("ns%g".into(), "ns%T".into()));
    let beat = heartbeat(&broker.seen(RequestCode::HeartBeat)[0]).consumer_data_set.remove(0);
    assert_eq!(beat.group_name, "ns%g");
    let topics: Vec<_> = beat.subscription_data_set.iter().map(|data| data.topic.to_string()).collect();
    assert_eq!(topics, ["%RETRY%ns%g", "ns%T"]);
}

/// Who handles queues in a namespace calls them, and hears of them, by the topic's bare name; the cluster never does.
#[tokio::test]
async fn queues_in_a_namespace() {
    let broker = QueueBroker::start().await;
    let width = Arc::new(Mutex::new(1));
    let (addr, at_names) = (broker.addr, Arc::clone(&width));
    let names = name_server(move |topic| {
        topic.ends_with("ns%T").then(|| route(&[("a", addr, *at_names.lock().unwrap())]))
    })
    .await;
    for body in ["0", "1"] {
        broker.store("ns%T", 0, body, None);
    }
    let interval = Duration::from_millis(20);
    let client = builder(&names).namespace("ns").poll_name_server_interval(interval).build().unwrap();
    let mut events = client.events();
    let queue = |id| MessageQueue::new("T", "a", id);
    let queues = client.fetch_subscribe_queues("T").await.unwrap();
    assert_eq!(queues, [queue(0)]);

    let by_hand = client
        .lite_pull_consumer("lite")
        .auto_commit(false)
        .pull_batch_size(1)
        .assign(queues)
        .start()
        .await
        .unwrap();
    let poll = async || by_hand.poll(Duration::from_secs(20)).await.unwrap().remove(0);
    let assigned = async {
        while by_hand.assignment() != [queue(0)] {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), assigned).await.unwrap();
    by_hand.seek(&queue(0), 1).await.unwrap();
    let message = poll().await;
    assert_eq!((&*message.topic, text(&message)), ("T", "1".to_owned()));
    by_hand.seek_to_begin(&queue(0)).await.unwrap();
    assert_eq!(text(&poll().await), "0");
    by_hand.commit_offsets([(queue(0), 1)]).await.unwrap();
    assert_eq!(by_hand.committed(&queue(0)).await.unwrap(), Some(1));
    by_hand.pause(&[queue(0)]);
    assert!(by_hand.poll(Duration::ZERO).await.unwrap().is_empty());
    by_hand.resume(&[queue(0)]);
    assert_eq!(text(&poll().await), "1");
    assert_eq!(by_hand.fetch_queues("T").await.unwrap(), [queue(0)]);
    let absent = by_hand.seek(&queue(7), 0).await.unwrap_err().to_string();
    assert!(absent.contains("topic=T"), "{absent}");

    let (sender, mut told) = mpsc::unbounded_channel();
    let (changed_to, assigned_to) = (sender.clone(), sender);
    let listener = move |topic: &str, all: &[MessageQueue]| {
        changed_to.send((topic.to_owned(), all.to_vec(), None)).unwrap();
    };
    by_hand.topic_queue_change_listener("T", listener).await.unwrap();
    *width.lock().unwrap() = 2;
    let both = vec![queue(0), queue(1)];
    assert_eq!(next(&mut told).await, ("T".into(), both.clone(), None));
    let listener = move |topic: &str, all: &[MessageQueue], mine: &[MessageQueue]| {
        assigned_to.send((topic.to_owned(), all.to_vec(), Some(mine.to_vec()))).unwrap();
    };
    let divided = client.lite_pull_consumer("divided").subscribe("T", "*").message_queue_listener(listener);
    let divided = divided.start().await.unwrap();
    assert_eq!(next(&mut told).await, ("T".into(), both.clone(), Some(both.clone())));
    assert_eq!(divided.assignment(), both);

    let pulling = client.pull_consumer("pull").start().await.unwrap();
    assert_eq!(pulling.fetch_queues("T").await.unwrap(), both);
    assert_eq!(pulling.fetch_queues_in_balance("T").await.unwrap(), both);
    assert_eq!(
        (pulling.min_offset(&both[0]).await.unwrap(), pulling.max_offset(&both[0]).await.unwrap()),
        (0, 2)
    );
    let pulled = pulling.pull(&both[0], "*", 1, 1).await.unwrap().messages.remove(0);
    assert_eq!((&*pulled.topic, text(&pulled)), ("T", "1".to_owned()));
    pulling.update_consume_offset(&both[0], 2).await.unwrap();
    assert_eq!(pulling.fetch_consume_offset(&both[0]).await.unwrap(), Some(2));
    pulling.send_message_back(&pulled, 3).await.unwrap();
    let back = broker.seen(RequestCode::ConsumerSendMsgBack).remove(0);
    assert_eq!(back.ext_fields.get("originTopic").unwrap(), "ns%T");
    assert_eq!((broker.offset("ns%T", 0), broker.offset("T", 0)), (Some(2), None));

    client.shutdown().await.unwrap();
    let mut seen = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            Event::RouteChanged { topic } => seen.push(topic),
            Event::Rebalanced { group, topic, queues } => {
                assert!(group.starts_with("ns%"), "{group}");
                seen.extend(queues.into_iter().map(|queue| queue.topic.to_string()).chain([topic]));
            }
            _ => {}
        }
    }
    assert!(seen.len() > 4 && seen.iter().all(|topic| topic == "T"), "{seen:?}");
}

/// Names that make no namespace are refused; an instance's endpoint brings its own.
#[tokio::test]
async fn namespaces_are_checked() {
    for bad in ["a b", "a%b", "\u{e4}"] {
        let error = Client::builder("ns:9876").namespace(bad).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{bad}");
    }
    let long = Client::builder("ns:9876").namespace("n".repeat(120)).build().unwrap();
    let producer = long.producer("g").start().await.unwrap();
    let error = producer.send(Message::new("TopicTest", "m")).await.unwrap_err();
    assert_eq!((error.kind(), error.unsent().len()), (ErrorKind::InvalidMessage, 1));
    let hosted = Client::builder("http://MQ_INST_1_a.ns.invalid:80").build().unwrap();
    assert_eq!(hosted.producer("g").start().await.unwrap().group(), "MQ_INST_1_a%g");
}

/// With the VIP channel on, messages go to the port two below, and everything else to the first.
#[tokio::test]
async fn sends_to_the_second_port() {
    let vip = Server::broker().await;
    let first = SocketAddr::new(vip.addr.ip(), vip.addr.port() + 2);
    let names = name_server_for(&[("a", first, 1)]).await;
    let client = builder(&names).vip_channel_enabled(true).build().unwrap();
    let producer = client.producer("g").start().await.unwrap();
    assert!(producer.send(Message::new("T", "m")).await.unwrap().is_ok());
    assert!(producer.enqueue(Message::new("T", "m")).await.unwrap().await.unwrap().is_ok());
    producer.send_oneway(Message::new("T", "m")).await.unwrap();
    assert_eq!(vip.wait_for(SENDS, 3).await.len(), 3);
    assert!(vip.seen(RequestCode::HeartBeat).is_empty());
}

/// Peers are told the version, the language, the unit and the instance that the program sets.
#[tokio::test]
async fn peers_are_told_who_we_are() {
    let broker = Server::broker().await;
    let names = name_server_for(&[("a", broker.addr, 1)]).await;
    let client = builder(&names)
        .version(453)
        .language(ferrocket::LanguageCode::RUST)
        .client_ip("10.0.0.7".parse().unwrap())
        .instance_name("one")
        .unit_name("u")
        .unit_mode(true)
        .build()
        .unwrap();
    assert_eq!(client.client_id(), "10.0.0.7@one@u");
    let producer = client.producer("g").start().await.unwrap();
    assert!(producer.send(Message::new("T", "m")).await.unwrap().is_ok());
    let request = broker.seen(SENDS).remove(0);
    assert_eq!((request.version, request.language), (453, ferrocket::LanguageCode::RUST));
    assert_eq!(send_header(&request).unit_mode, Some(true));
}

/// Two clusters in one process have nothing in common, not even groups of the same name.
#[tokio::test]
async fn two_clusters_at_once() {
    let (one, two) = (Server::broker().await, Server::broker().await);
    let mut clients = Vec::new();
    for broker in [&one, &two] {
        let names = name_server_for(&[("a", broker.addr, 1)]).await;
        let client = builder(&names).build().unwrap();
        let producer = client.producer("g").start().await.unwrap();
        assert!(producer.send(Message::new("T", "m")).await.unwrap().is_ok());
        clients.push((client, names));
    }
    assert_eq!((one.seen(SENDS).len(), two.seen(SENDS).len()), (1, 1));
    assert_ne!(clients[0].0.client_id(), clients[1].0.client_id());
    clients[0].0.shutdown().await.unwrap();
    assert_eq!(two.seen(RequestCode::UnregisterClient).len(), 0);
}

/// The NameServers are those that the web server names; when none of them answers any more, it is asked again.
#[tokio::test]
async fn name_servers_are_discovered() {
    let broker = Server::broker().await;
    let old = name_server_for(&[("a", broker.addr, 1)]).await;
    let new = name_server_for(&[("a", broker.addr, 1)]).await;
    let list = Arc::new(Mutex::new(old.addr.to_string()));
    let (web, mut asked) = web_server(Arc::clone(&list)).await;
    let client = Client::builder("").namesrv_domain(web.to_string()).unit_name("u1").build().unwrap();
    assert_eq!(client.fetch_queues("T").await.unwrap().len(), 1);
    assert_eq!(client.fetch_queues("T").await.unwrap().len(), 1);
    assert_eq!(asked.try_recv().unwrap(), "GET /rocketmq/nsaddr-u1?nofix=1 HTTP/1.0");
    assert!(asked.try_recv().is_err());

    *list.lock().unwrap() = new.addr.to_string();
    let connection = old.connection();
    drop(old);
    connection.closed().await;
    assert_eq!(client.fetch_queues("T").await.unwrap().len(), 1);
    assert!(asked.try_recv().is_ok());
    assert_eq!(new.seen(RequestCode::GetRouteinfoByTopic).len(), 1);

    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let lost = Client::builder("").namesrv_domain(nobody.to_string()).build().unwrap();
    let error = lost.fetch_queues("T").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(error.to_string().contains("/rocketmq/nsaddr"), "{error}");
}

/// Where a name leads is asked anew with each connection, here of a proxy: a NameServer that has moved is found.
#[tokio::test]
async fn names_may_move() {
    let broker = Server::broker().await;
    let old = name_server_for(&[("a", broker.addr, 1)]).await;
    let new = name_server_for(&[("a", broker.addr, 1)]).await;
    let place = Arc::new(Mutex::new(old.addr));
    let (asked, mut names) = mpsc::unbounded_channel();
    let leads_to = Arc::clone(&place);
    let proxy = socks_proxy(move |name| {
        let _ = asked.send(name.to_owned());
        *leads_to.lock().unwrap()
    })
    .await;
    let client = Client::builder("names.test:9876").socks_proxy(SocksProxy::new(proxy.to_string()));
    let client = client.build().unwrap();
    let mut events = client.events();
    for _ in 0..2 {
        assert_eq!(client.fetch_queues("T").await.unwrap().len(), 1);
    }
    assert_eq!((names.try_recv().unwrap(), names.try_recv().is_err()), ("names.test:9876".to_owned(), true));

    *place.lock().unwrap() = new.addr;
    drop(old);
    while !matches!(events.next().await.unwrap(), Event::Disconnected { .. }) {}
    assert_eq!(client.fetch_queues("T").await.unwrap().len(), 1);
    assert_eq!(names.try_recv().unwrap(), "names.test:9876");
    assert_eq!(new.seen(RequestCode::GetRouteinfoByTopic).len(), 1);
}

/// A NameServer that is gone costs one attempt; the next in the list is asked, and kept.
#[tokio::test]
async fn name_servers_stand_in_for_each_other() {
    let broker = Server::broker().await;
    let names = name_server_for(&[("a", broker.addr, 1)]).await;
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let client = Client::builder(&format!("{dead};localhost:{}", names.addr.port())).build().unwrap();
    for _ in 0..3 {
        assert_eq!(client.fetch_queues("T").await.unwrap().len(), 1);
    }
    assert_eq!(names.seen(RequestCode::GetRouteinfoByTopic).len(), 3);
}
