//! The cluster's time and luck: a list of events in the order of their time, and one random generator.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use ferrocket::allocate::{AllocateMessageQueueStrategy, Averagely, AveragelyByCircle, ConsistentHash};
use ferrocket_protocol::body::message_queue::MessageQueue;
use ferrocket_store::{FlushDiskType, GetLimits, GetStatus};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::broker::{Broker, Send};
use crate::clients::{Consumer, Held, Producer};
use crate::ledger::Down;

const START_MS: i64 = 1_700_000_000_000;
/// How long after the repair everything must be consumed.
const REPAIR_MS: i64 = 600_000;
const SEND_TIMEOUT_MS: i64 = 3_000;

#[derive(Clone, Debug)]
enum Event {
    Produce(usize),
    Arrive(Send),
    Answer(Send, bool),
    Timeout(usize, u64),
    /// Of a broker in one of its lives.
    Flush(usize, u64),
    /// One round of the keeper, every second; each tenth is thorough and saves the offsets.
    House(usize, u64, u64),
    Start(usize),
    Fault,
    Poll(usize),
    Consumed(usize, MessageQueue, u64, Vec<i64>),
    Join(usize),
    Leave(usize),
    Notice(usize),
}

/// What a seed came to: how often each thing happened, and a digest of everything in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    counts: BTreeMap<&'static str, u64>,
    digest: u64,
}

impl Report {
    fn count(&mut self, what: &'static str, by: u64) {
        *self.counts.entry(what).or_default() += by;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        other.counts.iter().for_each(|(what, by)| self.count(what, *by));
        self.digest ^= other.digest;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counts.iter().try_for_each(|(what, count)| write!(f, "{count} {what}, "))?;
        write!(f, "digest {:016x}", self.digest)
    }
}

pub(crate) struct World {
    rng: StdRng,
    now_ms: i64,
    events: BTreeMap<(i64, u64), Event>,
    number: u64,
    queues: Vec<MessageQueue>,
    strategy: Box<dyn AllocateMessageQueueStrategy>,
    brokers: Vec<Broker>,
    producers: Vec<Producer>,
    consumers: Vec<Consumer>,
    /// Every key that was ever sent: `number-attempt`.
    keys: BTreeSet<String>,
    messages: u64,
    /// Share of requests and of answers that the network loses.
    loss: f64,
    /// Between two faults, about.
    fault_ms: i64,
    repaired: bool,
    report: Report,
    hasher: DefaultHasher,
    trace: bool,
    last: String,
}

impl World {
    /// The size of everything follows from the seed, too.
    pub(crate) fn new(seed: u64, trace: bool) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let (brokers, ids) = (rng.random_range(1..4), rng.random_range(1..4));
        let mut queues = Vec::new();
        for topic in ["TopicA", "TopicB"] {
            for broker in 0..brokers {
                let name = format!("broker-{broker}");
                let queue = |queue_id| MessageQueue {
                    topic: topic.into(),
                    broker_name: name.as_str().into(),
                    queue_id,
                };
                queues.extend((0..ids).map(queue));
            }
        }
        queues.sort();
        let strategy: Box<dyn AllocateMessageQueueStrategy> = match rng.random_range(0..3) {
            0 => Box::new(Averagely),
            1 => Box::new(AveragelyByCircle),
            _ => Box::new(ConsistentHash::default()),
        };
        let broker = |number: usize| {
            let sync = (seed as usize + number).is_multiple_of(2);
            let mode = if sync { FlushDiskType::SyncFlush } else { FlushDiskType::AsyncFlush };
            Broker::new(mode, queues.iter().filter(|queue| index(queue) == number).cloned())
        };
        Self {
            now_ms: START_MS,
            events: BTreeMap::new(),
            number: 0,
            brokers: (0..brokers).map(broker).collect(),
            producers: (0..rng.random_range(1..4)).map(|_| Producer::default()).collect(),
            consumers: (0..rng.random_range(1..5)).map(Consumer::new).collect(),
            queues,
            strategy,
            keys: BTreeSet::new(),
            messages: 0,
            loss: [0.0, 0.02, 0.2][rng.random_range(0..3)],
            fault_ms: [1_000, 5_000, 20_000][rng.random_range(0..3)],
            repaired: false,
            report: Report::default(),
            hasher: DefaultHasher::new(),
            trace,
            last: String::new(),
            rng,
        }
    }

    pub(crate) fn elapsed_ms(&self) -> i64 {
        self.now_ms - START_MS
    }

    pub(crate) fn last(&self) -> &str {
        &self.last
    }

    /// `steps` events with faults, then repair, then the reckoning.
    pub(crate) fn run(&mut self, steps: u64) -> Report {
        (0..self.brokers.len()).for_each(|broker| self.after(0, Event::Start(broker)));
        (0..self.producers.len()).for_each(|producer| self.after(10, Event::Produce(producer)));
        for consumer in 0..self.consumers.len() {
            self.after(10, Event::Notice(consumer));
            self.after(20, Event::Poll(consumer));
        }
        self.after(self.fault_ms, Event::Fault);
        (0..steps).for_each(|_| self.step());
        self.repair();
        let until = self.now_ms + REPAIR_MS;
        let mut open = self.unfinished();
        while let Some(what) = &open {
            assert!(self.now_ms < until, "not done {} s after the repair: {what}", REPAIR_MS / 1_000);
            self.step();
            open = self.unfinished();
        }
        for broker in &mut self.brokers {
            broker.rebuild(&mut self.rng, &self.keys);
            self.report.count("stored", broker.ledger.all_consumed().expect("all is consumed"));
            self.report.count("lost as ASYNC_FLUSH may", broker.ledger.lost);
        }
        self.report.count("seconds", (self.elapsed_ms() / 1_000) as u64);
        self.report.digest = self.hasher.finish();
        self.report.clone()
    }

    /// From here on nothing fails: disks have room and work, nobody leaves.
    fn repair(&mut self) {
        self.note("everything is repaired");
        (self.repaired, self.loss) = (true, 0.0);
        for broker in 0..self.brokers.len() {
            let down = self.any_down();
            self.stop(broker, down);
        }
        for consumer in 0..self.consumers.len() {
            self.after(0, Event::Join(consumer));
        }
    }

    fn unfinished(&self) -> Option<String> {
        let producer = self.producers.iter().find(|producer| !producer.pending.is_empty());
        if let Some(producer) = producer {
            return Some(format!("{producer:?}"));
        }
        self.brokers.iter().enumerate().find_map(|(number, broker)| {
            let down = broker.store.is_none().then(|| format!("broker {number} is down"));
            down.or_else(|| broker.ledger.all_consumed().err())
        })
    }

    fn after(&mut self, delay_ms: i64, event: Event) {
        self.number += 1;
        self.events.insert((self.now_ms + delay_ms, self.number), event);
    }

    fn note(&mut self, what: &str) {
        self.last = format!("{:>9} {what}", self.elapsed_ms());
        self.last.hash(&mut self.hasher);
        if self.trace {
            println!("{}", self.last);
        }
    }

    fn chance(&mut self, share: f64) -> bool {
        self.rng.random_bool(share)
    }

    fn delay(&mut self, up_to: i64) -> i64 {
        self.rng.random_range(1..=up_to)
    }

    fn step(&mut self) {
        let ((at, _), event) = self.events.pop_first().expect("there is always something to come");
        self.now_ms = at;
        self.brokers.iter().for_each(|broker| broker.set_now(at));
        self.report.count("events", 1);
        self.note(&format!("{event:?}"));
        match event {
            Event::Produce(producer) => self.produce(producer),
            Event::Arrive(send) => self.arrive(send),
            Event::Answer(send, stored) => self.answer(&send, stored),
            Event::Timeout(producer, attempt) => {
                if self.producers[producer].attempt == attempt && !self.producers[producer].pending.is_empty()
                {
                    self.send(producer);
                }
            }
            Event::Flush(broker, life) => self.flush(broker, life),
            Event::House(broker, life, round) => self.keep_house(broker, life, round),
            Event::Start(broker) => self.start(broker),
            Event::Fault => self.fault(),
            Event::Poll(consumer) => self.poll(consumer),
            Event::Consumed(consumer, queue, session, offsets) => {
                self.consumed(consumer, &queue, session, &offsets);
            }
            Event::Join(consumer) => self.member(consumer, true),
            Event::Leave(consumer) => self.member(consumer, false),
            Event::Notice(consumer) => {
                let members = self.consumers.iter().filter(|consumer| consumer.is_member);
                let view = members.map(|consumer| consumer.id.clone()).collect();
                self.consumers[consumer].view = view;
            }
        }
    }

    fn produce(&mut self, producer: usize) {
        let pause = self.delay(400);
        if !self.repaired {
            self.after(pause, Event::Produce(producer));
        }
        if self.repaired || !self.producers[producer].pending.is_empty() {
            return;
        }
        let count = self.rng.random_range(1..5);
        self.producers[producer].pending = (self.messages..self.messages + count).collect();
        self.producers[producer].batch = self.chance(0.3);
        self.messages += count;
        self.send(producer);
    }

    /// The next attempt, to any queue.
    fn send(&mut self, producer: usize) {
        let queue = self.queues[self.rng.random_range(0..self.queues.len())].clone();
        let Producer { pending, batch, attempt } = &mut self.producers[producer];
        *attempt += 1;
        let (attempt, batch) = (*attempt, *batch);
        let keys: Vec<String> = pending.iter().map(|number| format!("{number}-{attempt}")).collect();
        self.keys.extend(keys.iter().cloned());
        if !self.chance(self.loss) {
            let delay = self.delay(20);
            self.after(delay, Event::Arrive(Send { producer, attempt, queue, keys, batch }));
        }
        self.after(SEND_TIMEOUT_MS, Event::Timeout(producer, attempt));
    }

    /// What arrives at a broker in the next moment, too, is appended together with it.
    fn arrive(&mut self, send: Send) {
        let number = index(&send.queue);
        let near = self.events.range(..(self.now_ms + 5, 0)).filter_map(|(at, event)| match event {
            Event::Arrive(other) if index(&other.queue) == number => Some((*at, other.clone())),
            _ => None,
        });
        let (near, others): (Vec<_>, Vec<_>) = near.unzip();
        near.iter().for_each(|at| drop(self.events.remove(at)));
        let group = std::iter::once(send).chain(others).collect();
        let answers = self.brokers[number].append(group);
        self.deliver(answers);
        if self.brokers[number].is_sync() && self.brokers[number].store.is_some() {
            // A disk that hangs makes groups large, and lets producers give up and consumers change.
            let hang = if self.chance(0.02) { 4_000 } else { 6 };
            let delay = self.delay(hang);
            self.after(delay, Event::Flush(number, self.brokers[number].life));
        }
        self.look_after(number);
    }

    /// Answers go their way through the network.
    fn deliver(&mut self, answers: Vec<(Send, bool)>) {
        for (send, stored) in answers {
            if !self.chance(self.loss) {
                let delay = self.delay(20);
                self.after(delay, Event::Answer(send, stored));
            }
        }
    }

    fn answer(&mut self, send: &Send, stored: bool) {
        let producer = &mut self.producers[send.producer];
        if producer.attempt != send.attempt || producer.pending.is_empty() {
            return;
        }
        if stored {
            self.report.count("acknowledged", producer.pending.len() as u64);
            producer.pending.clear();
        } else {
            self.send(send.producer);
        }
    }

    fn flush(&mut self, number: usize, life: u64) {
        if self.brokers[number].life != life {
            return;
        }
        // A failure is seen by all who wait, and by `look_after`.
        let _ = self.brokers[number].store.as_ref().map(|store| store.flush());
        let answers = self.brokers[number].answers();
        self.deliver(answers);
        if !self.brokers[number].is_sync() {
            self.after(500, Event::Flush(number, life));
        }
        self.look_after(number);
    }

    fn keep_house(&mut self, number: usize, life: u64, round: u64) {
        if self.brokers[number].life != life {
            return;
        }
        let thorough = round.is_multiple_of(10);
        let _ = self.brokers[number].store.as_ref().map(|store| store.keep_house(thorough));
        if thorough {
            self.brokers[number].save_offsets();
        }
        let answers = self.brokers[number].answers();
        self.deliver(answers);
        self.after(1_000, Event::House(number, life, round + 1));
        self.look_after(number);
    }

    /// Checks a broker after something happened to it, and replaces it if it is broken.
    fn look_after(&mut self, number: usize) {
        if self.brokers[number].is_broken() {
            let down = self.any_down();
            self.stop(number, down);
        } else if let Broker { store: Some(store), ledger, .. } = &mut self.brokers[number] {
            ledger.progress(store);
        }
    }

    fn any_down(&mut self) -> Down {
        if self.chance(0.5) { Down::Kill } else { Down::Power }
    }

    fn stop(&mut self, number: usize, down: Down) {
        if self.brokers[number].store.is_some() {
            self.brokers[number].stop(&mut self.rng, down);
            self.note(&format!("broker {number} went down: {:?}", self.brokers[number].down));
            let what = if self.brokers[number].down == Down::Power { "power cuts" } else { "kills" };
            self.report.count(what, 1);
            let delay = self.delay(4_000);
            self.after(delay, Event::Start(number));
        }
    }

    fn start(&mut self, number: usize) {
        let faulty = !self.repaired && self.chance(0.3);
        if self.brokers[number].store.is_some() {
            return;
        }
        if self.brokers[number].start(&mut self.rng, faulty, &self.keys) {
            self.report.count("starts", 1);
            let life = self.brokers[number].life;
            self.after(1_000, Event::House(number, life, 1));
            if !self.brokers[number].is_sync() {
                self.after(500, Event::Flush(number, life));
            }
        } else {
            self.after(1_000, Event::Start(number));
        }
        self.note(&format!("broker {number}: {:?}", self.brokers[number].store));
    }

    fn fault(&mut self) {
        if self.repaired {
            return;
        }
        let pause = self.delay(2 * self.fault_ms);
        self.after(pause, Event::Fault);
        let number = self.rng.random_range(0..self.brokers.len());
        let consumer = self.rng.random_range(0..self.consumers.len());
        let kind = self.rng.random_range(0..9);
        self.note(&format!("kind {kind}, broker {number}, consumer {consumer}"));
        match kind {
            0 => self.stop(number, Down::Power),
            1 => self.stop(number, Down::Kill),
            2 if self.brokers[number].store.is_some() => {
                self.brokers[number].close(&mut self.rng);
                self.after(500, Event::Start(number));
            }
            3 | 4 if self.brokers[number].store.is_some() => {
                let fault = self.brokers[number].inject(&mut self.rng);
                self.note(&fault);
            }
            5 => {
                let hours = 3_600_000;
                let steps = [-30 * hours, -2 * hours, -700, 700, 5 * hours, 30 * hours];
                self.brokers[number].skew_ms += steps[self.rng.random_range(0..steps.len())];
            }
            6 | 7 => self.after(0, Event::Join(consumer)),
            8 => self.after(0, Event::Leave(consumer)),
            _ => {}
        }
    }

    /// The others learn of it within some seconds, each for itself.
    fn member(&mut self, consumer: usize, joins: bool) {
        if self.consumers[consumer].is_member == joins {
            return;
        }
        let Consumer { is_member, held, .. } = &mut self.consumers[consumer];
        *is_member = joins;
        held.clear();
        for other in 0..self.consumers.len() {
            let delay = self.delay(4_000);
            self.after(delay, Event::Notice(other));
        }
        if joins {
            self.after(1, Event::Poll(consumer));
        }
    }

    /// Takes up new queues at the group's offset, and asks for messages of every queue that is idle.
    fn poll(&mut self, number: usize) {
        let consumer = &mut self.consumers[number];
        if !consumer.is_member {
            return;
        }
        for queue in consumer.rebalance(&*self.strategy, &self.queues) {
            let broker = &self.brokers[index(&queue)];
            if broker.store.is_some() {
                self.number += 1;
                let held = Held { next: broker.offset(&queue), session: self.number, busy: false };
                consumer.held.insert(queue, held);
            }
        }
        let idle: Vec<(MessageQueue, Held)> = consumer
            .held
            .iter()
            .filter(|(_, held)| !held.busy)
            .map(|(queue, held)| (queue.clone(), held.clone()))
            .collect();
        for (queue, held) in idle {
            if !self.chance(self.loss) {
                self.pull(number, &queue, &held);
            }
        }
        let pause = self.delay(300);
        self.after(pause, Event::Poll(number));
    }

    fn pull(&mut self, consumer: usize, queue: &MessageQueue, held: &Held) {
        let broker = &mut self.brokers[index(queue)];
        let Some(store) = broker.store.clone() else { return };
        let result = store.get(&queue.topic, queue.queue_id, held.next, &GetLimits::default(), &|_| true);
        let mine = self.consumers[consumer].held.get_mut(queue).expect("it asked for a queue it holds");
        match result.status {
            GetStatus::Found => {
                let offsets: Vec<i64> = (held.next..).take(result.records.len()).collect();
                for (offset, record) in offsets.iter().zip(&result.records) {
                    broker.ledger.show(queue, *offset, record);
                }
                mine.busy = true;
                let (queue, session) = (queue.clone(), held.session);
                let delay = self.delay(200);
                self.after(delay, Event::Consumed(consumer, queue, session, offsets));
            }
            GetStatus::OffsetOverflowOne | GetStatus::NoMessageInQueue => {}
            // As real consumers do; only what ASYNC_FLUSH lost can be the cause.
            GetStatus::OffsetOverflowBadly if !broker.is_sync() => mine.next = result.next_begin_offset,
            status => assert!(broker.disk.is_off(), "{queue} {}: {status:?}", held.next),
        }
    }

    fn consumed(&mut self, consumer: usize, queue: &MessageQueue, session: u64, offsets: &[i64]) {
        let held = self.consumers[consumer].held.get_mut(queue).filter(|held| held.session == session);
        let (Some(held), Some(last)) = (held, offsets.last()) else { return };
        (held.busy, held.next) = (false, last + 1);
        let broker = &mut self.brokers[index(queue)];
        offsets.iter().for_each(|offset| broker.ledger.consume(queue, *offset));
        self.report.count("consumed", offsets.len() as u64);
        if broker.store.is_some() && !self.rng.random_bool(self.loss) {
            broker.commit(queue, last + 1);
        }
    }
}

/// Brokers are numbered as they are named.
fn index(queue: &MessageQueue) -> usize {
    let number = queue.broker_name.rsplit('-').next().and_then(|number| number.parse().ok());
    number.expect("brokers are named after their numbers")
}
