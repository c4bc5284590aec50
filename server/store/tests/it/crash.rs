//! Power goes at every sync, every name change and at random: what was acknowledged as durable is there
//! afterwards, what survives is a prefix, and Java would see the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use ferrocket_protocol::RecordView;
use ferrocket_protocol::message::tags_code;
use ferrocket_store::{Append, Call, Fault, GetLimits, GetStatus, Store};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::java;
use crate::world::{World, bodies, key_of, message};

/// A message that was appended: topic, queue, queue offset, body.
type Sent = (String, i32, i64, String);

/// What the tester knows.
#[derive(Default)]
struct Ledger {
    /// In the order of the log.
    sent: Vec<(Sent, i64)>,
    /// Everything up to this place of the log was reported as flushed.
    flushed: i64,
    number: u32,
}

impl Ledger {
    /// Random work until the power goes or `steps` are done.
    fn work(&mut self, world: &World, store: &Store, rng: &mut StdRng, steps: usize) {
        for _ in 0..steps {
            world.clock.advance(rng.random_range(0..2_000));
            world.disk.set_now(ferrocket_store::Clock::now_ms(&*world.clock));
            match rng.random_range(0..10) {
                0 => self.note_flush(store.flush()),
                1 => drop(store.keep_house(false)),
                2 => drop(store.keep_house(true)),
                _ => self.append(store, rng),
            }
        }
    }

    fn append(&mut self, store: &Store, rng: &mut StdRng) {
        let group: Vec<Append> = (0..rng.random_range(1..4))
            .map(|_| {
                let (topic, queue) = (["A", "B", "C"][rng.random_range(0..3)], rng.random_range(0..2));
                let records = (0..rng.random_range(1..3))
                    .map(|_| {
                        self.number += 1;
                        let padding = "x".repeat(rng.random_range(0..300));
                        message(topic, queue, &format!("{}{padding}", self.number))
                    })
                    .collect();
                Append { records }
            })
            .collect();
        let answers = store.append(group.clone());
        for (append, answer) in group.into_iter().zip(answers) {
            let Ok(appended) = answer else { continue };
            for (at, record) in append.records.iter().enumerate() {
                let body = String::from_utf8(record.body.to_vec()).unwrap();
                let sent =
                    (record.topic.to_string(), record.queue_id, appended.queue_offset + at as i64, body);
                let end = appended.physical_offsets.get(at + 1).copied().unwrap_or(appended.end_offset);
                self.sent.push((sent, end));
            }
        }
    }

    fn note_flush(&mut self, flushed: Result<i64, ferrocket_store::StoreError>) {
        self.flushed = flushed.unwrap_or(self.flushed);
    }

    /// Compares with the store and forgets what is lost. What survives must be a prefix of what was sent that
    /// reaches at least to `flushed`. Messages whose append failed for the power may be there or not: they
    /// are not in the ledger, so they may only follow.
    fn check(&mut self, store: &Store, everything: bool) {
        let end = store.max_physical_offset();
        let kept = self.sent.partition_point(|(_, sent_end)| *sent_end <= end);
        let durable = self.sent.partition_point(|(_, sent_end)| *sent_end <= self.flushed);
        assert!(
            kept >= durable,
            "lost: {:?}",
            self.sent[kept..durable].iter().map(|sent| &sent.0).collect::<Vec<_>>()
        );
        if everything {
            assert_eq!(kept, self.sent.len(), "a killed process loses nothing");
        }
        self.sent.truncate(kept);
        let mut queues: BTreeMap<(String, i32), Vec<String>> = BTreeMap::new();
        for ((topic, queue, offset, body), _) in &self.sent {
            let queue = queues.entry((topic.clone(), *queue)).or_default();
            assert_eq!(*offset, queue.len() as i64);
            queue.push(body.clone());
        }
        for topic in ["A", "B", "C"] {
            for id in 0..2 {
                let stored = bodies(store, topic, id);
                let expected = queues.remove(&(topic.to_owned(), id)).unwrap_or_default();
                assert!(
                    stored.starts_with(&expected),
                    "{topic} {id}: {} of {}",
                    stored.len(),
                    expected.len()
                );
                // What follows was written but not acknowledged: it has its place now.
                for (at, body) in stored.iter().enumerate().skip(expected.len()) {
                    let entry = store.entry(topic, id, at as i64).unwrap();
                    let sent = (topic.to_owned(), id, at as i64, body.clone());
                    self.sent.push((sent, entry.physical_offset + i64::from(entry.size)));
                }
            }
        }
        self.sent.sort_by_key(|(_, end)| *end);
        for ((topic, queue, offset, body), _) in &self.sent {
            let entry = store.entry(topic, *queue, *offset).unwrap();
            assert_eq!(entry.tags_code, tags_code(Some(topic)), "tags code of {body} in {topic}");
            // An entry has no unit or its own.
            let key = format!("u-{}", key_of(body));
            let is_own = |_: i64, bit_map: &[u8]| bit_map == key.as_bytes();
            let is_it = |record: &[u8]| RecordView::parse(record).unwrap().queue_offset == *offset;
            let found = store.get_wanted(topic, *queue, *offset, &GetLimits::default(), &is_own, &is_it);
            assert_eq!(
                (found.status, found.message_count),
                (GetStatus::Found, 1),
                "unit of {body} in {topic}"
            );
        }
        for ((topic, _, offset, body), _) in &self.sent {
            let found = store.query(topic, &format!("u-{}", key_of(body)), 9, 0, i64::MAX).records;
            let one = |record: &bytes::Bytes| RecordView::parse(record).unwrap().queue_offset == *offset;
            assert_eq!(found.iter().filter(|record| one(record)).count(), 1, "key of {body} in {topic}");
        }
        self.flushed = store.flushed_offset().max(self.flushed.min(end));
    }
}

/// Java, opening the folder as it is, finds the log's end and every queue where this store does.
fn compare_with_java(world: &World, ledger: &Ledger, when: &str) {
    let view = java::open(world).unwrap_or_else(|refusal| panic!("Java refuses {when}: {refusal}"));
    let mut expected: BTreeMap<(String, i32), i64> = BTreeMap::new();
    for ((topic, queue, offset, _), _) in &ledger.sent {
        expected.insert((topic.clone(), *queue), offset + 1);
    }
    let found: BTreeMap<(String, i32), i64> = view
        .queues
        .into_iter()
        .map(|(name, queue)| (name, queue.first + queue.entries.len() as i64))
        .collect();
    assert_eq!(found, expected, "Java's queues {when}");
    assert_eq!(
        Some(view.log_end),
        ledger.sent.last().map(|sent| sent.1).or(Some(0)),
        "Java's log end {when}"
    );
}

fn one_life(world: &World, ledger: &mut Ledger, rng: &mut StdRng, seed: u64, cut: Option<(Call, u64)>) {
    if let Some((call, nth)) = cut {
        world.disk.inject(call, nth, Fault::PowerCut);
    }
    let store = match world.try_open() {
        Ok(store) => store,
        Err(refusal) => {
            assert!(world.disk.is_off(), "seed {seed}: {refusal}");
            world.disk.reboot(seed);
            return;
        }
    };
    ledger.check(&store, false);
    ledger.work(world, &store, rng, 30);
    if rng.random_bool(0.3) && store.close().is_ok() {
        ledger.flushed = store.max_physical_offset();
        if !world.disk.is_off() {
            compare_with_java(world, ledger, &format!("after a clean stop, seed {seed}"));
        }
    }
    store.abandon();
    // Sometimes only the process dies: what it wrote is still in memory when the power goes in the next life.
    if !world.disk.is_off() && rng.random_bool(0.3) {
        world.disk.kill();
    } else {
        world.disk.reboot(rng.random());
    }
}

/// The power goes at each sync of a life, then at each change of a name; recovery may be hit as well.
#[test]
fn power_cuts_at_every_sync_lose_nothing_durable() {
    for call in [Call::Sync, Call::SyncDir, Call::Rename, Call::Create, Call::Remove] {
        for nth in 1..60 {
            let seed = nth * 7 + 1;
            let (mut world, mut ledger) = (World::new().sync_flush(), Ledger::default());
            if nth % 3 == 0 {
                world = world.ext();
            }
            let mut rng = StdRng::seed_from_u64(seed);
            println!("{call:?} {nth}, seed {seed}");
            one_life(&world, &mut ledger, &mut rng, seed, None);
            one_life(&world, &mut ledger, &mut rng, seed, Some((call, nth)));
            one_life(&world, &mut ledger, &mut rng, seed, Some((call, nth % 5 + 1)));
            one_life(&world, &mut ledger, &mut rng, seed, None);
        }
    }
}

/// How many seeds a test tries: `FERROCKET_SEEDS`, or few enough for every run.
fn seeds() -> std::ops::Range<u64> {
    0..std::env::var("FERROCKET_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(40)
}

/// Many lives of one folder, with the power going at random writes and syncs.
#[test]
fn random_power_cuts_lose_nothing_durable() {
    for seed in seeds() {
        println!("seed {seed}");
        let mut world = World::new();
        if seed % 2 == 0 {
            world = world.sync_flush();
        }
        if seed % 3 == 0 {
            world = world.ext();
        }
        let (mut ledger, mut rng) = (Ledger::default(), StdRng::seed_from_u64(seed));
        for _ in 0..8 {
            let call = [Call::Sync, Call::Write, Call::SyncDir][rng.random_range(0..3)];
            let cut = rng.random_bool(0.7).then(|| (call, rng.random_range(1..80)));
            one_life(&world, &mut ledger, &mut rng, seed, cut);
        }
    }
}

/// A killed process loses nothing at all, and Java finds all of it too, whatever was written out by then.
#[test]
fn kills_lose_nothing() {
    for seed in seeds() {
        println!("seed {seed}");
        let (mut world, mut ledger) = (World::new(), Ledger::default());
        if seed % 3 == 0 {
            world = world.ext();
        }
        let mut rng = StdRng::seed_from_u64(seed);
        for _ in 0..4 {
            let store = world.open();
            ledger.check(&store, true);
            ledger.work(&world, &store, &mut rng, 25);
            let store: Arc<Store> = store;
            store.abandon();
            world.disk.kill();
            compare_with_java(&world, &ledger, &format!("after a kill, seed {seed}"));
        }
    }
}

/// Recovering twice is recovering once.
#[test]
fn recovery_is_idempotent() {
    for seed in seeds() {
        let (world, mut ledger) = (World::new(), Ledger::default());
        let mut rng = StdRng::seed_from_u64(seed);
        one_life(&world, &mut ledger, &mut rng, seed, Some((Call::Write, 70)));
        let ends: Vec<i64> = (0..3)
            .map(|_| {
                let store = world.open();
                let end = store.max_physical_offset();
                store.abandon();
                world.disk.kill();
                end
            })
            .collect();
        assert!(ends.iter().all(|end| *end == ends[0]), "seed {seed}: {ends:?}");
    }
}

/// A clock that is set back by a week and forward again, with a kill in between: recovery finds its start by the
/// times of messages, and none is lost all the same.
#[test]
fn clock_steps_lose_nothing() {
    const WEEK_MS: i64 = 7 * 24 * 3_600_000;
    for segments_between in [0, 1, 3] {
        let world = World::new();
        let send = |store: &Store, topic: &str, count: u32| {
            for number in 0..count {
                world.clock.advance(1);
                crate::world::send(store, topic, 0, &format!("{number}{}", "x".repeat(300)));
            }
        };
        let store = world.open();
        send(&store, "safe", 20);
        store.keep_house(true).unwrap();
        // Known to nobody but the log when the process is killed.
        send(&store, "before", 1);
        world.clock.advance(-WEEK_MS);
        send(&store, "between", 1 + 12 * segments_between);
        store.abandon();
        world.disk.kill();
        let store = world.open();
        let count = |store: &Store, topic: &str| bodies(store, topic, 0).len();
        assert_eq!((count(&store, "safe"), count(&store, "before")), (20, 1), "{segments_between}");
        assert_eq!(count(&store, "between") as u32, 1 + 12 * segments_between);
        world.clock.advance(2 * WEEK_MS);
        send(&store, "after", 30);
        store.keep_house(true).unwrap();
        send(&store, "last", 1);
        store.abandon();
        world.disk.kill();
        let store = world.open();
        assert_eq!((count(&store, "before"), count(&store, "after"), count(&store, "last")), (1, 30, 1));
        assert_eq!(store.query("last", "k-0xxxxxxxxxxx", 8, 0, i64::MAX).records.len(), 1);
    }
}
