//! What consumers are told while they run, and what they tell: suspensions, subscriptions, the time to begin at,
//! listeners of queues, handlers that take too long.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ferrocket::admin::TopicConfig;
use ferrocket::{
    ConsumeFromWhere, Event, Message, MessageExt, MessageQueue, PushConsumer, PushConsumerBuilder,
};
use ferrocket_interop_tests::cluster::Cluster;
use ferrocket_interop_tests::process::POLL;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::timeout;

use crate::{LIMIT, builder, consume, next, producer, subscriber, until_routed};

/// What one pull brings at most.
const PULL: usize = 32;
/// Sent to a queue whose consumer is suspended: more than its last pull can bring.
const UNHEARD: usize = 3 * PULL;
/// Queues of a topic that its first message makes.
const QUEUES: usize = 4;
/// As short as routes and divisions are renewed where a test waits for that.
const SOON: Duration = Duration::from_millis(500);
const READ_WRITE: i32 = 6;
/// How long a change of a topic is waited for before another one is made: a 5.3.3 Broker may register two topics at
/// once under one version, and the NameServer passes over the second if it knows the topic.
const AGAIN: Duration = Duration::from_secs(5);

fn text(message: &MessageExt) -> String {
    String::from_utf8(message.body.to_vec()).unwrap()
}

/// A suspended consumer gets no more than the pull brings that was under way; when it is resumed, all the rest.
pub(crate) async fn suspension(cluster: &Cluster) {
    let client = builder(cluster).build().unwrap();
    let producer = producer(&client, "suspended").await;
    let topic = "client-suspension";
    let queue = producer.send(Message::new(topic, "first")).await.unwrap().message_queue;
    let (consumer, mut arrivals) = consume(&client, topic).await;
    assert_eq!(next(&mut arrivals).await.body, "first");
    consumer.suspend();
    for number in 0..UNHEARD {
        assert!(producer.send_to(Message::new(topic, number.to_string()), &queue).await.unwrap().is_ok());
    }
    let (other, mut others) = subscriber(&client, "client-not-suspended", topic);
    let _other = other.start().await.unwrap();
    let mut there = BTreeSet::new();
    while there.len() < 1 + UNHEARD {
        there.insert(text(&next(&mut others).await));
    }
    assert!(arrivals.len() <= PULL, "{} messages though it is suspended", arrivals.len());
    consumer.resume();
    let mut got = BTreeSet::from(["first".to_owned()]);
    while got != there {
        got.insert(text(&next(&mut arrivals).await));
    }
    client.shutdown().await.unwrap();
}

/// Waits until a consumer holds no queue of a topic, of which nothing tells.
async fn until_given_up(consumer: &PushConsumer, topic: &str) {
    let given_up = async {
        while consumer.queues().iter().any(|queue| queue.topic == topic) {
            tokio::time::sleep(POLL).await;
        }
    };
    timeout(LIMIT, given_up).await.expect("the topic to be given up");
}

/// A topic that a running consumer subscribes to is consumed, one that it gives up is not, until it is subscribed to
/// again: then it goes on where it was.
pub(crate) async fn subscriptions(cluster: &Cluster) {
    let client = builder(cluster).build().unwrap();
    let producer = producer(&client, "subscriptions").await;
    let [first, second] = ["client-subscribed", "client-subscribed-later"];
    for topic in [first, second] {
        assert!(producer.send(Message::new(topic, topic)).await.unwrap().is_ok());
    }
    let (consumer, mut arrivals) = consume(&client, first).await;
    assert_eq!(next(&mut arrivals).await.body, first);
    consumer.subscribe(second, "*").await.unwrap();
    assert_eq!(next(&mut arrivals).await.body, second);
    consumer.unsubscribe(first);
    until_given_up(&consumer, first).await;
    for (topic, body) in [(first, "waits"), (second, "arrives")] {
        assert!(producer.send(Message::new(topic, body)).await.unwrap().is_ok());
    }
    assert_eq!(next(&mut arrivals).await.body, "arrives");
    consumer.subscribe(first, "*").await.unwrap();
    assert_eq!(next(&mut arrivals).await.body, "waits");
    client.shutdown().await.unwrap();
}

/// A new group begins with the message of the time that it is told.
pub(crate) async fn from_a_time(cluster: &Cluster) {
    let client = builder(cluster).build().unwrap();
    let producer = producer(&client, "times-to-begin").await;
    let (admin, topic) = (client.admin(), "client-from-a-time");
    let stored = async |offset_msg_id: &str| {
        let message = admin.view_message(topic, offset_msg_id).await.unwrap();
        UNIX_EPOCH + Duration::from_millis(message.store_timestamp.unsigned_abs())
    };
    let old = producer.send(Message::new(topic, "old")).await.unwrap();
    until_routed(&client, topic).await;
    let before = stored(&old.offset_msg_id).await;
    while SystemTime::now() < before + Duration::from_millis(2) {
        tokio::task::yield_now().await;
    }
    let new = producer.send_to(Message::new(topic, "new"), &old.message_queue).await.unwrap();
    let begin = stored(&new.offset_msg_id).await;
    assert!(begin > before);
    // What one group gets is listed in its queue.
    let (_all, mut both) = consume(&client, topic).await;
    for _ in ["old", "new"] {
        next(&mut both).await;
    }
    let (consumer, mut arrivals) = subscriber(&client, "client-begins-late", topic);
    let consumer = consumer.consume_from(ConsumeFromWhere::Timestamp).consume_timestamp(begin).concurrency(1);
    let _consumer = consumer.start().await.unwrap();
    assert_eq!(next(&mut arrivals).await.body, "new");
    assert!(producer.send_to(Message::new(topic, "newest"), &old.message_queue).await.unwrap().is_ok());
    assert_eq!(next(&mut arrivals).await.body, "newest");
    client.shutdown().await.unwrap();
}

/// What a listener was told of a topic: how many queues it has, and which are the consumer's.
type Division = (usize, BTreeSet<MessageQueue>);

fn listening(
    consumer: PushConsumerBuilder,
    topic: &'static str,
) -> (PushConsumerBuilder, UnboundedReceiver<Division>) {
    let (told, divisions) = mpsc::unbounded_channel();
    let listener = move |of: &str, all: &[MessageQueue], mine: &[MessageQueue]| {
        if of == topic {
            let _ = told.send((all.len(), mine.iter().cloned().collect()));
        }
    };
    (consumer.message_queue_listener(listener), divisions)
}

/// Waits until the consumer has so many queues.
async fn until_divided(divisions: &mut UnboundedReceiver<Division>, due: usize) -> BTreeSet<MessageQueue> {
    let divided = async {
        loop {
            let (all, mine) = divisions.recv().await.unwrap();
            assert_eq!(all, QUEUES);
            if mine.len() == due {
                return mine;
            }
        }
    };
    timeout(LIMIT, divided).await.expect("another division of the queues")
}

/// The listener of a consumer's queues hears of those it loses to another one of its group, and of their return.
pub(crate) async fn queue_listeners(cluster: &Cluster) {
    let topic = "client-queue-listeners";
    let clients = [(); 2].map(|()| builder(cluster).build().unwrap());
    let producer = producer(&clients[0], "queue-listeners").await;
    assert!(producer.send(Message::new(topic, "there")).await.unwrap().is_ok());
    let [(first, mut kept), (second, mut taken)] =
        clients.each_ref().map(|client| listening(subscriber(client, "client-queues", topic).0, topic));
    let _first = first.start().await.unwrap();
    let all = until_divided(&mut kept, QUEUES).await;
    let second = second.start().await.unwrap();
    let (kept_now, taken_now) =
        (until_divided(&mut kept, QUEUES / 2).await, until_divided(&mut taken, QUEUES / 2).await);
    assert_eq!(&kept_now | &taken_now, all);
    second.shutdown().await;
    assert_eq!(until_divided(&mut kept, QUEUES).await, all);
    for client in clients {
        client.shutdown().await.unwrap();
    }
}

/// The listener of a topic's queues hears that an administrator gives it more; they are then consumed.
pub(crate) async fn topic_growth(cluster: &Cluster) {
    let topic = "client-growth";
    let client = builder(cluster).poll_name_server_interval(SOON).build().unwrap();
    let producer = producer(&client, "growth").await;
    let small = producer.send(Message::new(topic, "there")).await.unwrap().message_queue;
    until_routed(&client, topic).await;
    let consumer = client
        .lite_pull_consumer("g-client-growth")
        .subscribe(topic, "*")
        .consume_from(ConsumeFromWhere::FirstOffset)
        .rebalance_interval(SOON)
        .start()
        .await
        .unwrap();
    let (teller, mut changes) = mpsc::unbounded_channel();
    let listener = move |_: &str, queues: &[MessageQueue]| {
        let _ = teller.send(queues.len());
    };
    consumer.topic_queue_change_listener(topic, listener).await.unwrap();
    let told = async {
        for queues in 2 * QUEUES.. {
            let grown = TopicConfig::new(topic, queues as i32, queues as i32, READ_WRITE);
            client.admin().create_topic(&grown).await.unwrap();
            if let Ok(told) = timeout(AGAIN, changes.recv()).await {
                return told;
            }
        }
        None
    };
    assert!(timeout(LIMIT, told).await.expect("a change in time") >= Some(2 * QUEUES));
    let last = MessageQueue::new(topic, &*small.broker_name, 2 * QUEUES as i32 - 1);
    assert!(producer.send_to(Message::new(topic, "in a new queue"), &last).await.unwrap().is_ok());
    let consumed = async {
        let mut got = BTreeSet::new();
        while got.len() < 2 {
            let messages = consumer.poll(SOON).await.unwrap();
            got.extend(messages.iter().map(|message| (message.queue_id, text(message))));
        }
        got
    };
    let due = [(small.queue_id, "there".to_owned()), (last.queue_id, "in a new queue".to_owned())];
    assert_eq!(timeout(LIMIT, consumed).await.expect("both messages"), due.into());
    client.shutdown().await.unwrap();
}

/// A message whose handler takes longer than `consume_timeout` is given back, and comes again.
pub(crate) async fn slow_handlers(cluster: &Cluster) {
    let (topic, limit) = ("client-slow-handlers", Duration::from_secs(1));
    let client = builder(cluster).poll_name_server_interval(SOON).build().unwrap();
    let mut events = client.events();
    let producer = producer(&client, "slow-handlers").await;
    let sent = producer.send(Message::new(topic, "slow")).await.unwrap();
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let consumer =
        client.push_consumer("g-client-slow-handlers").subscribe(topic, "*").on_message(move |message| {
            let (held, first) = (Arc::clone(&held), message.reconsume_times == 0);
            let _ = arrived.send(message);
            async move {
                if first {
                    held.acquire().await.unwrap().forget();
                }
            }
        });
    let consumer = consumer.consume_from(ConsumeFromWhere::FirstOffset).consume_timeout(limit);
    let _consumer = consumer.rebalance_interval(SOON).start().await.unwrap();
    let seen =
        [next(&mut arrivals).await, next(&mut arrivals).await].map(|one| (text(&one), one.reconsume_times));
    assert_eq!(seen, [0, 1].map(|times| ("slow".to_owned(), times)));
    let told = async {
        loop {
            if let Some(Event::SlowHandler { msg_id, timeout, .. }) = events.next().await {
                return (msg_id, timeout);
            }
        }
    };
    assert_eq!(timeout(LIMIT, told).await.expect("word of it"), (sent.msg_id.to_string(), limit));
    gate.add_permits(1);
    client.shutdown().await.unwrap();
}
