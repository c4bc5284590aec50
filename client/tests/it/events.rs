//! What a client tells of itself, and what it does when nobody is left to tell it to end.

use std::sync::Arc;
use std::time::Duration;

use ferrocket::{Event, Events, MessageExt, MessageQueue};
use ferrocket_protocol::RequestCode;
use tokio::sync::{Semaphore, mpsc};

use crate::world::{World, next, text};

/// The next event that `wanted` is true of.
async fn until(events: &mut Events, wanted: impl Fn(&Event) -> bool) -> Event {
    let found = async {
        loop {
            let event = events.next().await.expect("the client ended");
            if wanted(&event) {
                return event;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), found).await.expect("the event did not come")
}

/// Connections, routes, queues, full memory and stuck handlers are told, to everyone who watches; the stream ends
/// with the client.
#[tokio::test]
async fn what_happens_is_told() {
    let world = World::new().await;
    let (mut events, mut twin) = (world.client.events(), world.client.events());
    for number in 0..3 {
        world.broker.store("T", 0, &number.to_string(), None);
    }
    let gate = Arc::new(Semaphore::new(0));
    let handle = {
        let gate = Arc::clone(&gate);
        move |_: MessageExt| {
            let gate = Arc::clone(&gate);
            async move { gate.acquire().await.unwrap().forget() }
        }
    };
    let builder = world.consumer().pull_threshold_for_queue(1).consume_timeout(Duration::from_millis(20));
    let consumer = builder.on_message(handle).start().await.unwrap();
    until(&mut events, |event| matches!(event, Event::RouteChanged { topic } if topic == "T")).await;
    until(&mut events, |event| matches!(event, Event::Connected { addr } if *addr == world.broker.addr))
        .await;
    let queue = |id| MessageQueue::new("T", "a", id);
    let (group, topic) = ("g".to_owned(), "T".to_owned());
    let rebalanced = Event::Rebalanced { group: group.clone(), topic, queues: vec![queue(0), queue(1)] };
    until(&mut events, |event| *event == rebalanced).await;
    until(&mut twin, |event| *event == rebalanced).await;
    until(
        &mut events,
        |event| matches!(event, Event::FlowControl { queue: full, messages: 3, .. } if *full == queue(0)),
    )
    .await;
    until(
        &mut events,
        |event| matches!(event, Event::SlowHandler { queue: stuck, .. } if *stuck == queue(0)),
    )
    .await;
    // The stuck ones were given back, and come again.
    world.broker.wait_for(RequestCode::ConsumerSendMsgBack, 3).await;
    gate.add_permits(100);
    world.broker.connection().close();
    until(&mut events, |event| matches!(event, Event::Disconnected { addr } if *addr == world.broker.addr))
        .await;
    consumer.shutdown().await;
    world.client.shutdown().await.unwrap();
    while events.next().await.is_some() {}
}

/// A client that is dropped without a shutdown shuts itself down as soon as the last of its handles goes, and not
/// before.
#[tokio::test]
async fn dropped_clients_sign_off() {
    let World { broker, client, names } = World::new().await;
    let (sender, mut received) = mpsc::unbounded_channel();
    let handle = move |message: MessageExt| {
        sender.send(text(&message)).unwrap();
        async {}
    };
    let consumer = client.push_consumer("g").subscribe("T", "*").on_message(handle).start().await.unwrap();
    let _ = client.lite_pull_consumer("lite").subscribe("T", "*").start().await.unwrap();
    drop(client);
    while consumer.queues().len() < 3 {
        tokio::task::yield_now().await;
    }
    broker.store("T", 0, "0", None);
    assert_eq!(next(&mut received).await, "0", "the consumer's handle is one, too");
    assert!(broker.seen(RequestCode::UnregisterClient).is_empty());
    drop(consumer);
    broker.wait_for(RequestCode::UnregisterClient, 2).await;
    assert_eq!(broker.offset("T", 0), Some(1));
    // The handler is gone with the consumer.
    assert_eq!(received.recv().await, None);
    drop(names);
}
