//! What a client tells of itself, and what it does when nobody is left to tell it to end.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferrocket::{Event, Events, Message, MessageExt, MessageModel, MessageQueue};
use ferrocket_protocol::RequestCode;
use tokio::sync::{Semaphore, mpsc};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Metadata, Subscriber};

use crate::world::{World, next, stuck, text};

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
    let handle = stuck(&gate);
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

/// A stuck handler is told of whatever the consumer is, once; in order and in broadcasting nothing is given back.
#[tokio::test]
async fn every_slow_handler_is_told() {
    let world = World::new().await;
    world.broker.store("T", 1, "0", None);
    let dir = std::env::temp_dir().join(format!("ferrocket-slow-broadcasting-{}", std::process::id()));
    for orderly in [true, false] {
        let mut events = world.client.events();
        let gate = Arc::new(Semaphore::new(0));
        let handle = stuck(&gate);
        let timeout = Duration::from_millis(20);
        let builder = world.consumer().consume_timeout(timeout);
        let builder = match orderly {
            true => builder.on_message_orderly(handle),
            false => builder
                .message_model(MessageModel::Broadcasting)
                .local_offset_store_dir(&dir)
                .on_message(handle),
        };
        let consumer = builder.start().await.unwrap();
        let is_slow = |event: &Event| matches!(event, Event::SlowHandler { .. });
        let Event::SlowHandler { queue, timeout: told, .. } = until(&mut events, is_slow).await else {
            unreachable!("as asked for");
        };
        assert_eq!((queue, told), (MessageQueue::new("T", "a", 1), timeout));
        gate.add_permits(1);
        consumer.shutdown().await;
        // The next one begins anew.
        world.broker.state.lock().unwrap().offsets.clear();
    }
    assert!(world.broker.seen(RequestCode::ConsumerSendMsgBack).is_empty());
    std::fs::remove_dir_all(&dir).unwrap();
}

/// The warnings of one thread.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    /// Those that speak of a missing shutdown.
    fn of_the_end(&self) -> Vec<String> {
        let all = self.0.lock().unwrap();
        all.iter().filter(|warning| warning.contains("without a shutdown")).cloned().collect()
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn event(&self, event: &tracing::Event<'_>) {
        struct Text<'a>(&'a Warnings);
        impl Visit for Text<'_> {
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                if field.name() == "message" {
                    self.0.0.lock().unwrap().push(format!("{value:?}"));
                }
            }
        }
        event.record(&mut Text(self));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// A client that is dropped without a shutdown shuts itself down as soon as the last of its handles goes, and not
/// before; and says so.
#[tokio::test]
async fn dropped_clients_sign_off() {
    let warnings = Warnings::default();
    let _logged = tracing::subscriber::set_default(warnings.clone());
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
    assert_eq!(warnings.of_the_end(), [""; 0]);
    drop(consumer);
    assert_eq!(warnings.of_the_end(), ["the client was dropped without a shutdown, which begins now"]);
    broker.wait_for(RequestCode::UnregisterClient, 2).await;
    assert_eq!(broker.offset("T", 0), Some(1));
    // The handler is gone with the consumer.
    assert_eq!(received.recv().await, None);
    drop(names);
}

/// A client that its own listener keeps in use goes on when it is dropped; when its runtime ends, that is told, unless it
/// was shut down.
#[test]
fn ends_of_runtimes_are_told() {
    for is_shut_down in [false, true] {
        let warnings = Warnings::default();
        let _logged = tracing::subscriber::set_default(warnings.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let World { broker, client, names } = World::new().await;
            let (sender, mut received) = mpsc::unbounded_channel();
            let producer = client.producer("p").start().await.unwrap();
            let handle = move |message: MessageExt| {
                let (producer, sender) = (producer.clone(), sender.clone());
                async move {
                    sender.send(text(&message)).unwrap();
                    producer.send(Message::new("U", message.body)).await.map(drop)
                }
            };
            let consumer =
                client.push_consumer("g").subscribe("T", "*").on_message(handle).start().await.unwrap();
            while consumer.queues().len() < 3 {
                tokio::task::yield_now().await;
            }
            if is_shut_down {
                client.shutdown().await.unwrap();
                return;
            }
            drop((client, consumer));
            broker.store("T", 0, "0", None);
            assert_eq!(next(&mut received).await, "0");
            broker.wait_for(RequestCode::SendMessageV2, 1).await;
            drop(names);
        });
        assert_eq!(warnings.of_the_end(), [""; 0]);
        drop(runtime);
        let told = "the runtime ended without a shutdown of the client: what it consumed may come again";
        assert_eq!(warnings.of_the_end(), [told].repeat(usize::from(!is_shut_down)));
    }
}
