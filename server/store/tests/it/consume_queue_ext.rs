//! Units of `enableConsumeQueueExt`: their bytes, their files, and what they spare a reader.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ferrocket_protocol::RecordView;
use ferrocket_protocol::message::tags_code;
use ferrocket_store::{BitMap, BitMaps, Disk, GetLimits, GetResult, Store};

use crate::world::{START_MS, World, bodies, get, message, send, try_send};

/// The tags codes as the queue's first file has them.
fn codes(world: &World, topic: &str) -> Vec<i64> {
    let bytes = world.bytes(&format!("consumequeue/{topic}/0/00000000000000000000"));
    bytes.chunks_exact(20).map(|unit| i64::from_be_bytes(unit[12..].try_into().unwrap())).collect()
}

/// A unit of topic A without a bit map, as `ConsumeQueueExt.CqExtUnit.write` puts it.
fn unit(bit_map: &str) -> Vec<u8> {
    let len = 20 + bit_map.len() as i16;
    let mut bytes = len.to_be_bytes().to_vec();
    bytes.extend(tags_code(Some("A")).to_be_bytes());
    bytes.extend(START_MS.to_be_bytes());
    bytes.extend((bit_map.len() as i16).to_be_bytes());
    bytes.extend(bit_map.bytes());
    bytes
}

fn wanted(store: &Store, offset: i64, may_want: &dyn Fn(i64, &[u8]) -> bool) -> GetResult {
    store.get_wanted("A", 0, offset, &GetLimits::default(), may_want, &|_| true)
}

/// Files, places and what ends a file are Java's; a clean stop goes on behind the last unit, and the file that a
/// unit does not fit into is left to its end.
#[test]
fn units_are_javas() {
    let world = World::new().ext();
    let store = world.open();
    for number in 0..6 {
        send(&store, "A", 0, &number.to_string());
    }
    store.close().unwrap();
    let first = [unit("u-0"), unit("u-1"), unit("u-2"), unit("u-3"), unit("u-4"), unit("u-5")].concat();
    let bytes = world.bytes("consumequeue_ext/A/0/00000000000000000000");
    // 6 units of 23 bytes are 138; another one and 4 bytes do not go into 150.
    assert_eq!(bytes[..138], first);
    assert!(bytes[138..].iter().all(|byte| *byte == 0));
    let place = |at: i64| at + i64::MIN;
    assert_eq!(codes(&world, "A")[..6], [0, 23, 46, 69, 92, 115].map(place));

    let store = world.open();
    send(&store, "A", 0, "6");
    assert_eq!(bodies(&store, "A", 0).len(), 7);
    store.close().unwrap();
    let bytes = world.bytes("consumequeue_ext/A/0/00000000000000000000");
    assert_eq!((&bytes[..138], &bytes[138..142]), (&first[..], &[0xff, 0xff, 0, 0][..]));
    assert_eq!(
        world.bytes("consumequeue_ext/A/0/00000000000000000150")[..24],
        [unit("u-6"), vec![0]].concat()
    );
    assert_eq!(codes(&world, "A")[6], place(150));
}

/// Tags codes and bit maps come from units, in memory and in files, without a look at the messages that are
/// left out; entries without a unit are looked at.
#[test]
fn units_spare_a_look() {
    let mut world = World::new();
    let store = world.open();
    send(&store, "A", 0, "old");
    store.close().unwrap();
    world = world.ext();
    let store = world.open();
    for number in 0..8 {
        send(&store, "A", 0, &number.to_string());
        if number == 5 {
            store.keep_house(false).unwrap();
        }
    }
    let seen = RefCell::new(Vec::new());
    let found = wanted(&store, 0, &|time, bit_map| {
        assert_eq!(time, START_MS);
        seen.borrow_mut().push(String::from_utf8(bit_map.to_vec()).unwrap());
        bit_map == b"u-3" || bit_map == b"u-7"
    });
    assert_eq!(seen.into_inner(), (0..8).map(|number| format!("u-{number}")).collect::<Vec<_>>());
    let offsets = found.records.iter().map(|record| RecordView::parse(record).unwrap().queue_offset);
    assert_eq!((offsets.collect::<Vec<_>>(), found.next_begin_offset), (vec![0, 4, 8], 9));
    let found = wanted(&store, 1, &|_, _| false);
    assert_eq!((found.message_count, found.next_begin_offset), (0, 9));
    let tag_b = tags_code(Some("B"));
    let found = store.get("A", 0, 0, &GetLimits::default(), &|code| code == tag_b);
    assert_eq!((found.message_count, found.next_begin_offset), (0, 9));
    assert_eq!(get(&store, "A", 0, 0).message_count, 9);
}

/// A bit map for filters that have changed until the message got its time is left out, as is one that has no room.
#[test]
fn bit_maps_cover_all_filters() {
    struct Changing(AtomicU64);
    impl BitMaps for Changing {
        fn bit_map(&self, topic: &str, properties: &str) -> Option<BitMap> {
            let len = if properties.contains("long") { 40_000 } else { 8 };
            let bits = BitMap { bits: vec![1; len], filters: self.0.load(Ordering::Relaxed) };
            if properties.contains("late") {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
            (topic != "None").then_some(bits)
        }

        fn is_current(&self, bit_map: &BitMap) -> bool {
            self.0.load(Ordering::Relaxed) == bit_map.filters
        }
    }
    let mut world = World::new().ext();
    world.config.mapped_file_size_consume_queue_ext = 1 << 20;
    let store = world.open();
    store.make_bit_maps(Arc::new(Changing(AtomicU64::new(0))));
    for body in ["1", "late", "3", "long", "5"] {
        send(&store, "A", 0, body);
        send(&store, "None", 0, body);
    }
    let found = wanted(&store, 0, &|_, _| false);
    let offsets = found.records.iter().map(|record| RecordView::parse(record).unwrap().queue_offset);
    assert_eq!(offsets.collect::<Vec<_>>(), [1, 3]);
    let found = store.get_wanted("None", 0, 0, &GetLimits::default(), &|_, _| false, &|_| true);
    assert_eq!(found.message_count, 5);
}

/// A place is never given twice: not when the files of units were lost, nor when none was needed for a while.
#[test]
fn places_are_given_once() {
    let world = World::new().ext();
    let store = world.open();
    for number in 0..3 {
        send(&store, "A", 0, &number.to_string());
    }
    store.close().unwrap();
    world.disk.remove_file(&world.path("consumequeue_ext/A/0/00000000000000000000")).unwrap();
    let store = world.open();
    send(&store, "A", 0, "3");
    let found = wanted(&store, 0, &|_, bit_map| bit_map != b"u-3");
    assert_eq!((found.message_count, found.next_begin_offset), (3, 4), "the lost ones are looked at");
    assert_eq!(bodies(&store, "A", 0).len(), 4);
    store.close().unwrap();
    // Above any place that three entries may have had.
    assert_eq!(world.names("consumequeue_ext/A/0"), [format!("{:020}", 3 * 65_536 / 150 * 150 + 150)]);
    let store = world.open();
    assert_eq!(wanted(&store, 0, &|_, bit_map| bit_map != b"u-3").message_count, 3);
}

/// Units go with their messages, and with their queue.
#[test]
fn units_go_with_their_messages() {
    let world = World::new().ext();
    let store = world.open();
    for number in 0..40 {
        send(&store, "A", 0, &format!("{number}{}", "x".repeat(1_000)));
    }
    send(&store, "B", 0, "0");
    store.keep_house(true).unwrap();
    let files = world.names("consumequeue_ext/A/0").len();
    assert!(files > 5, "{files}");
    world.clock.advance(80 * 3_600_000);
    assert!(store.delete_expired_segments() > 0);
    let left = world.names("consumequeue_ext/A/0").len();
    assert!(left < files / 2, "{left} of {files}");
    let offset = store.min_offset("A", 0);
    let found = wanted(&store, offset, &|_, _| true);
    assert!(offset > 10 && found.message_count > 0, "{offset} {:?}", found.status);
    store.delete_topic("A").unwrap();
    assert_eq!(world.names("consumequeue_ext"), ["B"]);
    // A new topic of the name begins anew.
    send(&store, "A", 0, "0");
    store.close().unwrap();
    assert_eq!(world.names("consumequeue_ext/A/0"), ["00000000000000000000"]);
    assert_eq!(codes(&world, "A")[0], i64::MIN);
}

/// Entries of messages that are listed in other queues hold the tags code there, as Java's do; so do delayed
/// messages, whose unit holds when they are due, once the store is opened without the setting.
#[test]
fn with_and_without_units() {
    let mut world = World::new().ext();
    world.config.enable_multi_dispatch = true;
    let store = world.open();
    let mut listed = message("A", 0, "0");
    listed.properties = format!("{}\u{2}INNER_MULTI_DISPATCH\u{1}L", &*listed.properties).into();
    try_send(&store, listed).unwrap();
    let mut delayed = message("SCHEDULE_TOPIC_XXXX", 0, "later");
    delayed.properties = "DELAY\u{1}2".into();
    try_send(&store, delayed).unwrap();
    store.close().unwrap();
    assert_eq!(codes(&world, "L")[0], tags_code(Some("A")));
    assert_eq!(codes(&world, "SCHEDULE_TOPIC_XXXX")[0], i64::MIN);
    for is_on in [true, false, true] {
        world.config.enable_consume_queue_ext = is_on;
        let store = world.open();
        let code = |topic| store.entry(topic, 0, 0).unwrap().tags_code;
        assert_eq!((code("A"), code("SCHEDULE_TOPIC_XXXX")), (tags_code(Some("A")), START_MS + 5_000));
        store.close().unwrap();
    }
}
