//! Push consumers whose messages are taken, and what may change while any push consumer runs.

use std::time::Duration;

use ferrocket::{Deliveries, Delivery, ErrorKind, MessageExt, MessageQueue};
use ferrocket_protocol::body::group::{CMResult, ConsumeMessageDirectlyResult};
use ferrocket_protocol::requests::client::ConsumeMessageDirectlyHeader;
use ferrocket_protocol::requests::send::ConsumerSendMsgBackHeader;
use ferrocket_protocol::{Header, RemotingCommand, RequestCode, fastjson};
use tokio::sync::mpsc;

use crate::queue_broker::record;
use crate::world::{World, next, text};

async fn take(deliveries: &mut Deliveries) -> Delivery {
    tokio::time::timeout(Duration::from_secs(20), deliveries.next()).await.unwrap().unwrap()
}

/// What is acknowledged is committed, what is not is given back: by word, with its level, and by being dropped.
#[tokio::test]
async fn deliveries_are_answered_one_by_one() {
    let world = World::new().await;
    for body in ["done", "later", "dropped"] {
        world.broker.store("T", 0, body, None);
    }
    let (consumer, mut deliveries) = world.consumer().deliveries().await.unwrap();
    let mut levels = Vec::new();
    for body in ["done", "later", "dropped"] {
        let delivery = take(&mut deliveries).await;
        assert_eq!(text(&delivery), body);
        match body {
            "done" => delivery.ack(),
            "later" => delivery.retry_later(4),
            _ => drop(delivery),
        }
    }
    world.broker.wait_for(RequestCode::ConsumerSendMsgBack, 2).await;
    for request in world.broker.seen(RequestCode::ConsumerSendMsgBack) {
        levels.push(ConsumerSendMsgBackHeader::decode(&request.ext_fields).unwrap().delay_level);
    }
    levels.sort_unstable();
    assert_eq!(levels, [0, 4]);
    let mut again = Vec::new();
    for _ in 0..2 {
        let delivery = take(&mut deliveries).await;
        assert_eq!((&*delivery.topic, delivery.reconsume_times), ("T", 1));
        again.push(text(&delivery));
        delivery.ack();
    }
    again.sort();
    assert_eq!(again, ["dropped", "later"]);
    consumer.shutdown().await;
    assert!(deliveries.next().await.is_none());
    assert_eq!((world.broker.offset("T", 0), world.broker.offset("%RETRY%g", 0)), (Some(3), Some(2)));
}

/// The end waits for what was taken, and stores its answer; what nobody took stays for later.
#[tokio::test]
async fn shutdown_waits_for_deliveries() {
    let world = World::new().await;
    for number in 0..3 {
        world.broker.store("T", 0, &number.to_string(), None);
    }
    let (consumer, mut deliveries) = world.consumer().deliveries().await.unwrap();
    let first = take(&mut deliveries).await;
    let mut other = deliveries.clone();
    // Polled second: the shutdown has begun by then, and has to wait for the first delivery.
    let end = async {
        assert!(other.next().await.is_none());
        first.ack();
    };
    tokio::join!(consumer.shutdown(), end);
    assert!(deliveries.next().await.is_none());
    assert_eq!(world.broker.offset("T", 0), Some(1));
}

/// An administrator's message reaches whoever takes deliveries, and the answer reaches the administrator.
#[tokio::test]
async fn deliveries_consume_directly() {
    let world = World::new().await;
    world.broker.store("T", 0, "0", None);
    let (consumer, mut deliveries) = world.consumer().deliveries().await.unwrap();
    take(&mut deliveries).await.ack();
    let mut body = Vec::new();
    record("T".into(), 0, "direct".into(), "".into()).encode(&mut body);
    let header = ConsumeMessageDirectlyHeader { consumer_group: "g".into(), ..Default::default() };
    let ask = RemotingCommand::request(RequestCode::ConsumeMessageDirectly, &header).with_body(body);
    let connection = world.broker.connection();
    for (ack, expected) in [(true, CMResult::Success), (false, CMResult::Later)] {
        let (reply, ()) = tokio::join!(connection.call(ask.clone(), Duration::from_secs(20)), async {
            let delivery = take(&mut deliveries).await;
            assert_eq!(text(&delivery), "direct");
            if ack { delivery.ack() } else { drop(delivery) }
        });
        let result: ConsumeMessageDirectlyResult = fastjson::from_slice(&reply.unwrap().body).unwrap();
        assert_eq!(result.consume_result, expected);
    }
    assert!(world.broker.seen(RequestCode::ConsumerSendMsgBack).is_empty(), "it was not the group's message");
    consumer.shutdown().await;
    let both = world.consumer().on_message(|_| async {}).deliveries().await;
    assert_eq!(both.unwrap_err().kind(), ErrorKind::Config);
}

/// A running consumer can take on a topic and give it up, stop pulling and go on, and change its concurrency.
#[tokio::test]
async fn a_running_consumer_can_change() {
    let world = World::new().await;
    let (sender, mut received) = mpsc::unbounded_channel();
    let handle = move |message: MessageExt| {
        sender.send(format!("{}:{}", message.topic, text(&message))).unwrap();
        async {}
    };
    let consumer = world.consumer().on_message(handle).start().await.unwrap();
    world.broker.store("T", 0, "0", None);
    assert_eq!(next(&mut received).await, "T:0");
    consumer.subscribe("U", "*").await.unwrap();
    world.broker.store("U", 0, "0", None);
    assert_eq!(next(&mut received).await, "U:0");
    let of_u = MessageQueue::new("U", "a", 0);
    assert!(consumer.queues().contains(&of_u));
    consumer.unsubscribe("U");
    while consumer.queues().contains(&of_u) {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.broker.offset("U", 0), Some(1), "stored when it is given up");

    consumer.suspend();
    let pulls = || world.broker.seen(RequestCode::PullMessage).len();
    let before = pulls();
    // Pulls under way are answered; after that nothing asks for more.
    world.broker.store("T", 0, "1", None);
    assert_eq!(next(&mut received).await, "T:1");
    // Its heartbeat follows on the connection that would have carried another pull.
    consumer.subscribe("T", "*").await.unwrap();
    assert_eq!(pulls(), before);
    world.broker.store("T", 0, "2", None);
    consumer.resume();
    assert_eq!(next(&mut received).await, "T:2");
    assert!(pulls() > before, "it came with a pull after the resume");

    consumer.set_concurrency(1).unwrap();
    world.broker.store("T", 0, "3", None);
    assert_eq!(next(&mut received).await, "T:3");
    assert_eq!(consumer.set_concurrency(0).unwrap_err().kind(), ErrorKind::Config);
    world.client.shutdown().await.unwrap();
    assert_eq!(consumer.subscribe("U", "*").await.unwrap_err().kind(), ErrorKind::Closed);
}
