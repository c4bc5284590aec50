//! Where a new consumer group begins, with a client of ours on a NameServer and a Broker started as processes.
//!
//! A group's choice counts only where the Broker says that it knows nothing of the group. As in Java it says so
//! of a queue whose first message is gone or far behind the log's end; of a young one a new group gets
//! everything. `accessMessageInMemoryMaxRatio=0` makes every queue an old one.

use std::time::{Duration, UNIX_EPOCH};

use ferrocket::{Client, ConsumeFromWhere, Message, MessageExt, Producer, PushConsumer};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::support::{Home, Process, Signal, arrival, arrivals, text};

const TOPIC: &str = "Begin";

struct World {
    client: Client,
    producer: Producer,
    broker: Process,
    namesrv: Process,
    _home: Home,
    /// Number of the next message; it is the body, too. In one queue, so it is its offset as well.
    next: usize,
}

impl World {
    async fn new(broker_settings: &str) -> Self {
        let home = Home::new();
        let (namesrv, broker, addr) = home.servers(broker_settings);
        let client = Client::builder(&addr).build().unwrap();
        let producer = client.producer("p").default_topic_queue_nums(1).start().await.unwrap();
        Self { client, producer, broker, namesrv, _home: home, next: 0 }
    }

    async fn send(&mut self, count: usize) {
        for _ in 0..count {
            let sent = self.producer.send(Message::new(TOPIC, self.next.to_string())).await.unwrap();
            assert_eq!(sent.queue_offset, self.next as i64);
            self.next += 1;
        }
    }

    async fn consumer(
        &self,
        group: &str,
        from: ConsumeFromWhere,
        timestamp_ms: i64,
    ) -> (PushConsumer, UnboundedReceiver<MessageExt>) {
        let builder =
            self.client.push_consumer(group).subscribe(TOPIC, "*").concurrency(1).consume_from(from);
        let at = UNIX_EPOCH + Duration::from_millis(timestamp_ms as u64);
        arrivals(builder.consume_timestamp(at)).await
    }

    /// Starts a new group there, sends one message more, and sees that the group gets every message from number
    /// `first` on, each once, and none before.
    async fn begins_at(&mut self, group: &str, from: ConsumeFromWhere, timestamp_ms: i64, first: usize) {
        let (consumer, mut received) = self.consumer(group, from, timestamp_ms).await;
        let mut numbers = Vec::new();
        for _ in first..self.next {
            numbers.push(next(&mut received).await);
        }
        self.send(1).await;
        numbers.push(next(&mut received).await);
        consumer.shutdown().await;
        numbers.sort_unstable();
        assert_eq!(numbers, (first..self.next).collect::<Vec<_>>(), "{group}");
        assert!(received.try_recv().is_err(), "{group}");
    }

    /// Starts a new group there and sees that it gets no message that was there before, and all that are sent
    /// from its first one on, each once.
    async fn begins_behind(&mut self, group: &str, from: ConsumeFromWhere, timestamp_ms: i64) {
        let before = self.next;
        let (consumer, mut received) = self.consumer(group, from, timestamp_ms).await;
        // Until the group has begun, messages are sent that it may miss.
        let first = loop {
            self.send(1).await;
            if let Ok(message) = received.try_recv() {
                break message.queue_offset as usize;
            }
        };
        assert!(first >= before, "{group} {first} {before}");
        let mut numbers = vec![first];
        while numbers.len() < self.next - first {
            numbers.push(next(&mut received).await);
        }
        consumer.shutdown().await;
        numbers.sort_unstable();
        assert_eq!(numbers, (first..self.next).collect::<Vec<_>>(), "{group}");
        assert!(received.try_recv().is_err(), "{group}");
    }

    async fn end(self) {
        self.client.shutdown().await.unwrap();
        self.broker.stop(Signal::TERM);
        self.namesrv.stop(Signal::TERM);
    }
}

async fn next(received: &mut UnboundedReceiver<MessageExt>) -> usize {
    let message = arrival(received).await;
    let number = text(&message).parse().unwrap();
    assert_eq!(message.queue_offset, number as i64);
    number
}

/// Store time of each message so far, ms since 1970.
async fn store_times(world: &World) -> Vec<i64> {
    let (consumer, mut received) = world.consumer("times", ConsumeFromWhere::FirstOffset, 0).await;
    let mut times = vec![0; world.next];
    for _ in 0..world.next {
        let message = arrival(&mut received).await;
        times[message.queue_offset as usize] = message.store_timestamp;
    }
    consumer.shutdown().await;
    times
}

/// First offset: everything.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_message() {
    let mut world = World::new("accessMessageInMemoryMaxRatio=0").await;
    world.send(20).await;
    world.begins_at("g", ConsumeFromWhere::FirstOffset, 0, 0).await;
    world.end().await;
}

/// Last offset: nothing that was there before the group, everything after; and whatever a group chose counts
/// once: later it goes on where it was.
#[tokio::test(flavor = "multi_thread")]
async fn behind_the_last_message() {
    let mut world = World::new("accessMessageInMemoryMaxRatio=0").await;
    world.send(20).await;
    world.begins_behind("g", ConsumeFromWhere::LastOffset, 0).await;
    let known = world.next;
    world.send(5).await;
    world.begins_at("g", ConsumeFromWhere::FirstOffset, 0, known).await;
    world.end().await;
}

/// Timestamp: the message stored at that time and all behind it; with a time before all messages everything,
/// with one behind all of them nothing of what was there.
#[tokio::test(flavor = "multi_thread")]
async fn a_point_in_time() {
    let mut world = World::new("accessMessageInMemoryMaxRatio=0").await;
    world.send(30).await;
    let times = store_times(&world).await;
    // Several messages may have one time: the first of them counts.
    let at = times.iter().position(|time| *time == times[15]).unwrap();
    world.begins_at("g1", ConsumeFromWhere::Timestamp, times[15], at).await;
    world.begins_at("g2", ConsumeFromWhere::Timestamp, times[0] - 60_000, 0).await;
    world.begins_behind("g3", ConsumeFromWhere::Timestamp, times[29] + 3_600_000).await;
    world.end().await;
}

/// Of a young queue a new group gets everything, wherever it wants to begin.
#[tokio::test(flavor = "multi_thread")]
async fn a_young_queue_is_consumed_whole() {
    let mut world = World::new("").await;
    world.send(10).await;
    let tomorrow = store_times(&world).await[0] + 86_400_000;
    world.begins_at("g1", ConsumeFromWhere::LastOffset, 0, 0).await;
    world.begins_at("g2", ConsumeFromWhere::Timestamp, tomorrow, 0).await;
    world.end().await;
}
