//! Sends that are told where to go, or how long they may take: each form of each kind.

use std::time::{Duration, Instant};

use ferrocket::{ErrorKind, Message, MessageQueue, Producer, ProducerBuilder};
use ferrocket_protocol::{RequestCode, ResponseCode};

use crate::cluster::{Server, Take, builder, is_send, name_server_for, send_header, stored};

const SENDS: RequestCode = RequestCode::SendMessageV2;
const BATCHES: RequestCode = RequestCode::SendBatchMessage;

/// A producer for topic `T`, with four queues on this broker; the NameServer has to stay alive.
async fn producer(
    broker: &Server,
    set: impl FnOnce(ProducerBuilder) -> ProducerBuilder,
) -> (Producer, Server) {
    let names = name_server_for(&[("a", broker.addr, 4)]).await;
    let client = builder(&names).build().unwrap();
    (set(client.producer("g")).start().await.unwrap(), names)
}

/// A broker that stores everything but what says `silence`.
async fn selective() -> Server {
    Server::start(|request| match is_send(request) && request.body == "silence" {
        true => Take::Silence,
        false => Take::Reply(stored(request)),
    })
    .await
}

fn message() -> Message {
    Message::new("T", "m")
}

fn two() -> Vec<Message> {
    vec![message(), message()]
}

/// Awaited, queued, oneway and batched: each goes to the queue that is named, that a key has, or that a closure picks.
#[tokio::test]
async fn every_kind_goes_where_it_is_told_to() {
    let broker = Server::broker().await;
    let (producer, _names) = producer(&broker, |set| set).await;
    let queue = producer.fetch_queues("T").await.unwrap().remove(3);
    for (at, expect) in [3, 1, 2].into_iter().enumerate() {
        let told = || match at {
            0 => producer.to(&queue),
            // It has the hash code 97.
            1 => producer.ordered("a"),
            _ => producer.with(|queues, first| queues.get(first.body().len() * 2).cloned()),
        };
        assert_eq!(told().send(message()).await.unwrap().message_queue.queue_id, expect);
        let receipt = told().enqueue(message()).await.unwrap();
        assert_eq!(receipt.await.unwrap().message_queue.queue_id, expect);
        assert_eq!(told().send_batch(two()).await.unwrap().message_queue.queue_id, expect);
        let receipt = told().enqueue_batch(two()).await.unwrap();
        assert_eq!(receipt.await.unwrap().message_queue.queue_id, expect);
        told().send_oneway(message()).await.unwrap();
        let oneway = broker.wait_for(SENDS, 3 * (at + 1)).await.pop().unwrap();
        assert_eq!((oneway.is_oneway(), send_header(&oneway).queue_id), (true, expect));
    }
    assert_eq!(broker.seen(BATCHES).len(), 6);
    assert!(producer.enqueue_batch(two()).await.unwrap().await.unwrap().is_ok());
}

/// What is queued for one queue is stored in the order of the calls, whatever the threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn queued_messages_of_a_queue_keep_their_order() {
    const COUNT: usize = 400;
    let broker = Server::broker().await;
    let (producer, _names) = producer(&broker, |set| set).await;
    let mut receipts = Vec::new();
    for n in 0..COUNT {
        receipts.push(producer.ordered("key").enqueue(Message::new("T", n.to_string())).await.unwrap());
    }
    for receipt in receipts {
        assert!(receipt.await.unwrap().is_ok());
    }
    let bodies: Vec<_> = broker.seen(SENDS).iter().map(|request| request.body.clone()).collect();
    assert_eq!(bodies, (0..COUNT).map(|n| n.to_string()).collect::<Vec<_>>());
}

/// A queued message with a queue of its own is tried once, and comes back at once when its broker cannot be reached.
#[tokio::test]
async fn queued_messages_of_a_queue_are_tried_once() {
    let refusing = Server::refusing(ResponseCode::SYSTEM_ERROR).await;
    let (told, _names) = producer(&refusing, |set| set).await;
    let receipt = told.ordered("key").enqueue(message()).await.unwrap();
    assert_eq!(receipt.await.unwrap_err().unsent().len(), 1);
    assert_eq!(refusing.seen(SENDS).len(), 1);
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let names = name_server_for(&[("a", gone, 4)]).await;
    let producer = builder(&names).build().unwrap().producer("g").start().await.unwrap();
    let error = producer.ordered("key").enqueue_batch(two()).await.unwrap_err();
    assert_eq!((error.kind(), error.unsent().len()), (ErrorKind::Connect, 2));
}

/// A broker that could not be connected to is avoided, whoever chose its queue.
#[tokio::test]
async fn a_dead_broker_of_a_chosen_queue_is_avoided() {
    let good = Server::broker().await;
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let names = name_server_for(&[("a", gone, 1), ("b", good.addr, 1)]).await;
    let producer = builder(&names).build().unwrap().producer("g").send_latency_fault_enable(true).retries(0);
    let producer = producer.start().await.unwrap();
    let error = producer.to(&MessageQueue::new("T", "a", 0)).enqueue(message()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    for _ in 0..4 {
        assert_eq!(&*producer.send(message()).await.unwrap().message_queue.broker_name, "b");
    }
}

/// A timeout of its own ends a send to a silent broker, and gives its messages back; others keep the producer's.
#[tokio::test]
async fn a_send_has_a_timeout_of_its_own() {
    let (broker, short, long) = (selective().await, Duration::from_millis(50), Duration::from_secs(600));
    let (producer, _names) = producer(&broker, |set| set.send_msg_timeout(long).retries(0)).await;
    let silence = || Message::new("T", "silence");
    let under_way = producer.enqueue(silence()).await.unwrap();
    let began = Instant::now();
    for error in [
        producer.within(short).send(silence()).await.unwrap_err(),
        producer.ordered("key").within(short).send(silence()).await.unwrap_err(),
        producer.within(short).enqueue(silence()).await.unwrap().await.unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.unsent().len()), (ErrorKind::Timeout, 1));
    }
    assert!(began.elapsed() < long / 2);
    assert!(producer.within(long).send_batch(two()).await.unwrap().is_ok());
    drop(under_way);
    for refused in [Duration::ZERO, Duration::MAX] {
        let error = producer.within(refused).enqueue_batch(two()).await.unwrap_err();
        assert_eq!((error.kind(), error.unsent().len()), (ErrorKind::Config, 2));
        assert!(error.to_string().starts_with("timeout (ms) is "), "{error}");
    }
}

/// What is told more than its message waits for no automatic batch.
#[tokio::test]
async fn automatic_batches_are_for_those_told_nothing() {
    let broker = selective().await;
    let (producer, _names) = producer(&broker, |set| set.auto_batch(true)).await;
    let first = tokio::spawn({
        let producer = producer.clone();
        async move { producer.send(Message::new("T", "silence")).await }
    });
    broker.wait_for(SENDS, 1).await;
    assert!(producer.within(Duration::from_secs(20)).send(message()).await.unwrap().is_ok());
    assert!(producer.ordered("key").send(message()).await.unwrap().is_ok());
    assert_eq!(broker.seen(SENDS).len(), 3);
    first.abort();
}

/// A queue of another topic is refused in every form, and the messages come back.
#[tokio::test]
async fn queues_of_other_topics_are_refused() {
    let broker = Server::broker().await;
    let (producer, _names) = producer(&broker, |set| set).await;
    let other = MessageQueue::new("U", "a", 0);
    let sends = [
        producer.to(&other).send(message()).await.map(drop),
        producer.to(&other).enqueue(message()).await.map(drop),
        producer.to(&other).send_oneway(message()).await,
        producer.to(&other).send_batch(two()).await.map(drop),
        producer.to(&other).enqueue_batch(two()).await.map(drop),
    ];
    for (sent, messages) in sends.into_iter().zip([1, 1, 1, 2, 2]) {
        let error = sent.unwrap_err();
        assert_eq!((error.kind(), error.unsent().len()), (ErrorKind::InvalidMessage, messages));
    }
    assert!(broker.seen(SENDS).is_empty() && broker.seen(BATCHES).is_empty());
}
