//! Messages that are listed in several queues, and light queues.

use std::sync::{Arc, Mutex};

use ferrocket_protocol::message::{sys_flag, tags_code};
use ferrocket_protocol::{MessageRecord, RecordView, properties};
use ferrocket_store::{Append, AppendError, Arrivals, Disk, GetLimits, GetStatus, Store};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::world::{World, get, message, send, singles, try_send};

fn world() -> World {
    let mut world = World::new();
    world.config.enable_multi_dispatch = true;
    world.config.enable_lmq = true;
    world
}

/// A message that is also to be listed in these queues.
fn listed(topic: &str, queue_id: i32, body: &str, queues: &str) -> MessageRecord {
    let mut message = message(topic, queue_id, body);
    message.properties = format!("{}\u{2}INNER_MULTI_DISPATCH\u{1}{queues}", message.properties).into();
    message
}

/// Bodies of a queue's messages, and what each says about its places.
fn read(store: &Store, topic: &str, queue_id: i32) -> Vec<(String, Option<String>)> {
    let mut found = Vec::new();
    let mut offset = store.min_offset(topic, queue_id);
    while offset < store.max_offset(topic, queue_id) {
        let result = get(store, topic, queue_id, offset);
        assert_eq!(result.status, GetStatus::Found, "{topic} {queue_id} {offset}");
        for record in &result.records {
            let view = RecordView::parse(record).unwrap();
            let places = properties::get(view.properties, "INNER_MULTI_QUEUE_OFFSET").map(str::to_owned);
            found.push((String::from_utf8_lossy(view.body).into_owned(), places));
        }
        offset = result.next_begin_offset;
    }
    found
}

fn one(body: &str, places: &str) -> (String, Option<String>) {
    (body.to_owned(), Some(places.to_owned()))
}

type Heard = (String, i32, i64, i64);

#[derive(Default)]
struct Ear(Mutex<Vec<Heard>>);

impl Arrivals for Ear {
    fn arrived(&self, topic: &str, queue_id: i32, queue_offset: i64, tags_code: i64) {
        self.0.lock().unwrap().push((topic.to_owned(), queue_id, queue_offset, tags_code));
    }
}

/// A message stands in its own queue and in those it names, with its tags code, under the numbers that it tells;
/// whoever waits there is told; the same queue counts once, however often and under whatever name it is meant.
#[test]
fn a_message_stands_in_all_its_queues() {
    let world = world();
    let store = world.open();
    let ear = Arc::new(Ear::default());
    store.on_arrival(ear.clone());
    // One group, so that their places are assigned together.
    let sent = store.append(singles(vec![
        listed("T", 3, "one", "%LMQ%a,%LMQ%b"),
        message("U", 3, "own"),
        listed("T", 0, "two", "%LMQ%b,U,%LMQ%b,T"),
        listed("T", 3, "three", "U,%LMQ%a"),
    ]));
    let offsets: Vec<i64> = sent.into_iter().map(|appended| appended.unwrap().queue_offset).collect();
    assert_eq!(offsets, [0, 0, 0, 1]);
    assert_eq!(read(&store, "T", 3), [one("one", "0,0"), one("three", "1,1")]);
    assert_eq!(read(&store, "T", 0), [one("two", "1,0,1,0")]);
    assert_eq!(read(&store, "U", 3), [("own".to_owned(), None), one("three", "1,1")]);
    assert_eq!(read(&store, "U", 0), [one("two", "1,0,1,0")]);
    assert_eq!(read(&store, "%LMQ%a", 0), [one("one", "0,0"), one("three", "1,1")]);
    assert_eq!(read(&store, "%LMQ%b", 0), [one("one", "0,0"), one("two", "1,0,1,0")]);
    let heard = ear.0.lock().unwrap().clone();
    let tags = tags_code(Some("T"));
    let of_two: Vec<&Heard> = heard.iter().skip(4).take(3).collect();
    assert_eq!(
        of_two,
        [&("T".to_owned(), 0, 0, tags), &("%LMQ%b".to_owned(), 0, 1, tags), &("U".to_owned(), 0, 0, tags)]
    );
    assert_eq!(heard.len(), 10);
    // Indexed once, under its own topic.
    assert_eq!(store.query("T", "k-two", 32, 0, i64::MAX).records.len(), 1);
    assert_eq!(store.query("%LMQ%b", "k-two", 32, 0, i64::MAX).records.len(), 0);
}

/// The list of a message from a 5.x client, whose properties end with a separator, reads as well.
#[test]
fn properties_end_either_way() {
    let store = world().open();
    let mut message = listed("T", 0, "x", "%LMQ%a");
    message.properties = format!("{}\u{2}", message.properties).into();
    try_send(&store, message).unwrap();
    let record = get(&store, "%LMQ%a", 0, 0).records.remove(0);
    let view = RecordView::parse(&record).unwrap();
    assert!(view.properties.ends_with("INNER_MULTI_DISPATCH\u{1}%LMQ%a\u{2}INNER_MULTI_QUEUE_OFFSET\u{1}0"));
}

/// Without light queues such a name is a topic's, and its queue has the message's number. Without the
/// dispatch nothing is listed.
#[test]
fn settings_decide() {
    let mut world = world();
    world.config.enable_lmq = false;
    let store = world.open();
    try_send(&store, listed("T", 2, "x", "%LMQ%a,U")).unwrap();
    assert_eq!(read(&store, "%LMQ%a", 2).len(), 1);
    assert_eq!(read(&store, "U", 2).len(), 1);
    store.close().unwrap();
    world.config.enable_multi_dispatch = false;
    let store = world.open();
    try_send(&store, listed("T", 2, "y", "%LMQ%a,U")).unwrap();
    assert_eq!(read(&store, "%LMQ%a", 2).len(), 1, "what there was stays");
    assert_eq!(read(&store, "T", 2)[1], ("y".to_owned(), None));
}

/// Half and delayed messages are listed when they are delivered, batches never; offsets that a sender made up
/// are taken out, on or off: else recovery would believe them.
#[test]
fn what_is_not_listed() {
    for enabled in [true, false] {
        let mut world = world();
        world.config.enable_multi_dispatch = enabled;
        let store = world.open();
        let mut half = listed("T", 0, "half", "%LMQ%a");
        half.sys_flag = sys_flag::TRANSACTION_PREPARED;
        let mut delayed = listed("SCHEDULE_TOPIC_XXXX", 2, "later", "%LMQ%a");
        delayed.properties = format!("{}\u{2}DELAY\u{1}3", delayed.properties).into();
        let stored_half = listed("RMQ_SYS_TRANS_HALF_TOPIC", 0, "half", "%LMQ%a");
        let mut forged = listed("T", 0, "forged", "%LMQ%a,U");
        forged.properties = format!("INNER_MULTI_QUEUE_OFFSET\u{1}0,0\u{2}{}", forged.properties).into();
        let batch = Append { records: vec![forged.clone(), forged] };
        for sent in store.append(vec![
            Append { records: vec![half] },
            Append { records: vec![delayed] },
            Append { records: vec![stored_half] },
            batch,
        ]) {
            sent.unwrap();
        }
        assert_eq!(store.queues().len(), 3, "{:?}", store.queues());
        assert_eq!(read(&store, "T", 0), [("forged".to_owned(), None), ("forged".to_owned(), None)]);
    }
}

/// Names that cannot be folders and too many of them are refused before anything is written; so is a message
/// for one light queue more than there may be, in a list or sent there, and those for known ones go on.
#[test]
fn limits() {
    let mut world = world();
    world.config.max_lmq_consume_queue_num = 2;
    world.config.mapped_file_size_commit_log = 1 << 20;
    let store = world.open();
    let many = vec!["U"; 1_025].join(",");
    let long = "n".repeat(256);
    for queues in ["../../etc", "a/b", "%LMQ%a,,%LMQ%b", ".", &many, &long] {
        let refused = try_send(&store, listed("T", 0, "x", queues));
        assert!(matches!(refused, Err(AppendError::Listed { .. })), "{queues}: {refused:?}");
    }
    let wide = "w,".repeat(1_024);
    let refused = try_send(
        &store,
        MessageRecord {
            properties: format!("{}\u{2}p\u{1}{}", listed("T", 0, "x", &wide).properties, "p".repeat(12_000))
                .into(),
            ..message("T", 0, "x")
        },
    );
    assert!(matches!(refused, Err(AppendError::Properties { .. })), "{refused:?}");
    for empty in [" ", ",,"] {
        try_send(&store, listed("T", 0, "x", empty)).unwrap();
    }
    assert_eq!(
        store.max_physical_offset(),
        store.entry("T", 0, 1).map(|e| e.physical_offset + i64::from(e.size)).unwrap()
    );
    try_send(&store, listed("T", 0, "x", "%LMQ%a")).unwrap();
    send(&store, "%LMQ%b", 0, "sent there");
    assert_eq!(try_send(&store, listed("T", 0, "x", "%LMQ%c")), Err(AppendError::LightQueues { max: 2 }));
    assert_eq!(try_send(&store, message("%LMQ%c", 0, "x")), Err(AppendError::LightQueues { max: 2 }));
    try_send(&store, listed("T", 0, "x", "%LMQ%a,%LMQ%b,U")).unwrap();
    store.close().unwrap();
    let store = world.open();
    assert_eq!(try_send(&store, listed("T", 0, "x", "%LMQ%c")), Err(AppendError::LightQueues { max: 2 }));
    store.delete_topic("%LMQ%a").unwrap();
    try_send(&store, listed("T", 0, "x", "%LMQ%c")).unwrap();
}

/// A filter by record in a light queue goes on at that queue's offsets, not at those of the messages' own.
#[test]
fn filters_count_in_the_queue_that_is_read() {
    let store = world().open();
    for number in 0..10 {
        send(&store, "T", 0, "between");
        try_send(&store, listed("T", 0, &format!("m{number}"), "%LMQ%a")).unwrap();
    }
    let limits = GetLimits { count_max: 2, ..GetLimits::default() };
    let even = |record: &[u8]| {
        RecordView::parse(record).unwrap().body.last().is_some_and(|last| last.is_multiple_of(2))
    };
    let first = store.get_wanted("%LMQ%a", 0, 0, &limits, &|_, _| true, &even);
    assert_eq!((first.message_count, first.next_begin_offset), (2, 4));
    let second = store.get_wanted("%LMQ%a", 0, 4, &limits, &|_, _| true, &even);
    assert_eq!((second.message_count, second.next_begin_offset), (2, 8));
}

/// Queues that are gone come back from the log alone.
#[test]
fn lost_queues_are_rebuilt() {
    let world = world();
    let store = world.open();
    for number in 0..50 {
        let queues = ["%LMQ%a", "%LMQ%a,%LMQ%b", "U"][number % 3];
        try_send(&store, listed("T", (number % 2) as i32, &number.to_string(), queues)).unwrap();
    }
    let all = [("T", 0), ("T", 1), ("U", 0), ("U", 1), ("%LMQ%a", 0), ("%LMQ%b", 0)];
    let before = all.map(|(topic, id)| read(&store, topic, id));
    assert_eq!(before[4].len(), 34);
    store.close().unwrap();
    for (topic, id) in all {
        for name in world.names(&format!("consumequeue/{topic}/{id}")) {
            world.disk.remove_file(&world.path(&format!("consumequeue/{topic}/{id}/{name}"))).unwrap();
        }
    }
    let store = world.open();
    assert_eq!(all.map(|(topic, id)| read(&store, topic, id)), before);
    let sent = try_send(&store, listed("T", 0, "next", "%LMQ%a,%LMQ%b")).unwrap();
    assert_eq!(read(&store, "T", 0)[sent.queue_offset as usize], one("next", "34,17"));
}

/// Power goes in the middle of random work, again and again: every queue is what the surviving log says, without
/// a gap, and goes on from there.
#[test]
fn power_cuts() {
    const NAMES: [&str; 4] = ["%LMQ%a", "%LMQ%b", "U", "T"];
    for seed in 0..60 {
        let mut rng = StdRng::seed_from_u64(seed);
        let world = world();
        let mut number = 0;
        for round in 0..4 {
            let store = world.open();
            for _ in 0..rng.random_range(1..40) {
                number += 1;
                let queues: Vec<&str> = NAMES.into_iter().filter(|_| rng.random_bool(0.5)).collect();
                let body = format!("{number}{}", "x".repeat(rng.random_range(0..300)));
                let message = match queues.is_empty() {
                    true => message("T", number % 2, &body),
                    false => listed("T", number % 2, &body, &queues.join(",")),
                };
                world.clock.advance(rng.random_range(0..2_000));
                drop(try_send(&store, message));
                match rng.random_range(0..8) {
                    0 => drop(store.flush()),
                    1 => drop(store.keep_house(false)),
                    2 => drop(store.keep_house(true)),
                    _ => {}
                }
            }
            store.abandon();
            match rng.random_range(0..3) {
                0 => {}
                _ => world.disk.reboot(seed * 10 + round),
            }
            let store = world.open();
            agrees_with_log(&store, &format!("seed {seed} round {round}"));
            match rng.random_bool(0.5) {
                true => store.close().unwrap(),
                false => store.abandon(),
            }
        }
    }
}

/// Every place that a record in T tells of is where the queue has that record, and queues have nothing else.
fn agrees_with_log(store: &Store, label: &str) {
    let mut places = std::collections::BTreeMap::<(String, i32), Vec<(i64, i64)>>::new();
    for id in 0..2 {
        for offset in store.min_offset("T", id)..store.max_offset("T", id) {
            let entry = store.entry("T", id, offset).unwrap();
            let record = store.record_at(entry.physical_offset).unwrap();
            let view = RecordView::parse(&record).unwrap();
            assert_eq!((view.topic, view.queue_id, view.queue_offset), ("T", id, offset), "{label}");
            let text = |name| properties::get(view.properties, name).unwrap_or_default().to_owned();
            let (names, offsets) = (text("INNER_MULTI_DISPATCH"), text("INNER_MULTI_QUEUE_OFFSET"));
            for (name, at) in names.split(',').zip(offsets.split(',')).filter(|(name, _)| !name.is_empty()) {
                let queue = (name.to_owned(), if name.starts_with("%LMQ%") { 0 } else { id });
                places.entry(queue).or_default().push((at.parse().unwrap(), entry.physical_offset));
            }
        }
    }
    for ((topic, id), mut expected) in places {
        expected.sort_unstable();
        let range = store.min_offset(&topic, id)..store.max_offset(&topic, id);
        let found: Vec<(i64, i64)> =
            range.map(|at| (at, store.entry(&topic, id, at).unwrap().physical_offset)).collect();
        if topic == "T" {
            assert!(expected.iter().all(|place| found.contains(place)), "{label} {topic} {id}");
        } else {
            assert_eq!(found, expected, "{label} {topic} {id}");
        }
    }
}
