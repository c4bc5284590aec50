//! Consumers of every kind against real servers: members that come and go, polls, single pulls.

use std::collections::BTreeSet;
use std::time::Duration;

use ferrocket::{Client, ConsumeFromWhere, Event, Events, PullStatus, PushConsumer};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::support::{Home, PATIENCE, Signal, bodies, send, text};

/// Longer than the test: whatever happens before is no matter of a timer.
const NEVER: Duration = Duration::from_secs(3600);

async fn member(
    namesrv: String,
    name: &'static str,
    to: UnboundedSender<(String, String)>,
) -> (Client, PushConsumer) {
    let client = Client::builder(&namesrv).instance_name(name).build().unwrap();
    let consumer = client
        .push_consumer("group")
        .subscribe("T", "*")
        .consume_from(ConsumeFromWhere::FirstOffset)
        .rebalance_interval(NEVER)
        .on_message(move |message| {
            let _ = to.send((name.to_owned(), text(&message)));
            async {}
        })
        .start()
        .await
        .unwrap();
    (client, consumer)
}

/// Waits until the consumer has so many queues of the topic.
async fn until_queues(events: &mut Events, count: usize) {
    let has = async {
        loop {
            match events.next().await.unwrap() {
                Event::Rebalanced { topic, queues, .. } if topic == "T" && queues.len() == count => return,
                _ => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, has).await.unwrap_or_else(|_| panic!("it does not get {count} queues"));
}

/// A member that dies and one that leaves are replaced as soon as the Broker knows, without any timer: the other gets
/// all queues, and every message.
#[tokio::test(flavor = "multi_thread")]
async fn queues_of_members_that_go_are_taken_over() {
    let home = Home::new();
    let servers = home.standalone();
    send(&servers.namesrv, "T", &bodies("first", 1)).await;
    let (to, mut received) = unbounded_channel();
    let (client, staying) = member(servers.namesrv.clone(), "staying", to.clone()).await;
    let mut events = client.events();
    while staying.queues().iter().filter(|queue| &*queue.topic == "T").count() == 0 {
        tokio::task::yield_now().await;
    }
    let all = client.fetch_subscribe_queues("T").await.unwrap().len();
    assert!(all > 1);

    // A runtime of its own can end as a killed process does: connections break, and nobody says goodbye.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let dying = runtime.spawn(member(servers.namesrv.clone(), "dying", to.clone())).await.unwrap();
    until_queues(&mut events, all / 2).await;
    runtime.shutdown_background();
    until_queues(&mut events, all).await;
    drop(dying);

    let (leaving_client, leaving) = member(servers.namesrv.clone(), "leaving", to).await;
    until_queues(&mut events, all / 2).await;
    leaving.shutdown().await;
    leaving_client.shutdown().await.unwrap();
    until_queues(&mut events, all).await;

    send(&servers.namesrv, "T", &bodies("last", 16)).await;
    let mut last = BTreeSet::new();
    while last.len() < 16 {
        let (by, body) = tokio::time::timeout(PATIENCE, received.recv()).await.unwrap().unwrap();
        if body.starts_with("last") {
            assert_eq!(by, "staying");
            last.insert(body);
        }
    }
    client.shutdown().await.unwrap();
    servers.process.stop(Signal::TERM);
}

/// What polls have committed is not polled again after a restart, unless a queue is sought back; a single pull finds
/// the same.
#[tokio::test(flavor = "multi_thread")]
async fn queues_are_polled_and_pulled() {
    let home = Home::new();
    let servers = home.standalone();
    let (first, second) = (bodies("first", 20), bodies("second", 3));
    send(&servers.namesrv, "T", &first).await;
    let client = Client::builder(&servers.namesrv).build().unwrap();
    let poll = async |count: usize, back: bool| {
        let builder = client.lite_pull_consumer("polls").subscribe("T", "*");
        let consumer = builder.consume_from(ConsumeFromWhere::FirstOffset).start().await.unwrap();
        if back {
            let queues = consumer.fetch_queues("T").await.unwrap();
            while consumer.assignment() != queues {
                tokio::task::yield_now().await;
            }
            for queue in queues {
                consumer.seek_to_begin(&queue).await.unwrap();
            }
        }
        let mut polled = BTreeSet::new();
        while polled.len() < count {
            let messages = consumer.poll(PATIENCE).await.unwrap();
            assert!(!messages.is_empty(), "only {polled:?}");
            polled.extend(messages.iter().map(text));
        }
        consumer.shutdown().await;
        polled
    };
    assert_eq!(poll(20, false).await, first.iter().cloned().collect());
    send(&servers.namesrv, "T", &second).await;
    assert_eq!(poll(3, false).await, second.iter().cloned().collect());
    let all: BTreeSet<String> = first.iter().chain(&second).cloned().collect();
    assert_eq!(poll(23, true).await, all);

    let consumer = client.pull_consumer("pulls").start().await.unwrap();
    let mut pulled = BTreeSet::new();
    for queue in consumer.fetch_queues("T").await.unwrap() {
        let end = consumer.max_offset(&queue).await.unwrap();
        let mut offset = consumer.min_offset(&queue).await.unwrap();
        while offset < end {
            let found = consumer.pull(&queue, "*", offset, 4).await.unwrap();
            assert_eq!(found.status, PullStatus::Found);
            pulled.extend(found.messages.iter().map(text));
            offset = found.next_begin_offset;
        }
        consumer.update_consume_offset(&queue, offset).await.unwrap();
        assert_eq!(consumer.fetch_consume_offset(&queue).await.unwrap(), Some(end));
    }
    assert_eq!(pulled, all);
    client.shutdown().await.unwrap();
    servers.process.stop(Signal::TERM);
}
