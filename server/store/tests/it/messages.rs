//! Storing and reading: offsets, statuses, filters, batches, times, keys, arrivals.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use ferrocket_protocol::message::{MAGIC_BLANK, sys_flag, tags_code};
use ferrocket_protocol::{MessageRecord, RecordView};
use ferrocket_store::{Append, AppendError, Arrivals, GetLimits, GetStatus, StoreError};

use crate::world::{START_MS, World, bodies, get, message, send, singles, try_send};

/// Messages come out of their queues as they went in, with both offsets, through every way of reading.
#[test]
fn messages_come_back() {
    let world = World::new();
    let store = world.open();
    let first = send(&store, "A", 0, "one");
    let second = send(&store, "A", 0, "two");
    let other = send(&store, "A", 1, "three");
    assert_eq!((first.queue_offset, second.queue_offset, other.queue_offset), (0, 1, 0));
    assert_eq!((first.physical_offset, second.physical_offset), (0, first.end_offset));
    assert_eq!(first.store_timestamp, START_MS);
    assert_eq!(bodies(&store, "A", 0), ["one", "two"]);
    let record = store.record_at(second.physical_offset).unwrap();
    let view = RecordView::parse(&record).unwrap();
    assert_eq!(
        (view.body, view.queue_offset, view.physical_offset),
        (&b"two"[..], 1, second.physical_offset)
    );
    assert_eq!(view.store_host, world.config.store_host);
    assert_eq!(store.record_at(second.physical_offset + 1), None);
    assert_eq!(store.record_at(other.end_offset), None);
    let entry = store.entry("A", 0, 1).unwrap();
    assert_eq!(entry.tags_code, tags_code(Some("A")));
    assert_eq!((store.min_offset("A", 0), store.max_offset("A", 0), store.max_offset("Z", 0)), (0, 2, 0));
    assert_eq!(store.queues().len(), 2);
}

/// The bytes of a record on disk are those that Java 4.9.8 writes for the same message.
#[test]
fn the_log_has_javas_bytes() {
    const GOLDEN: &str = "00000076daa320a777d1898200000003000000000000000000000000000000000000000000000000\
        0000018bcfe568000a000001000030390000018bcfe5687b0a00000200002a9f0000000100000000000000000000000548656c6c\
        6f09546f70696354657374000d61013102544147530154616741";
    let mut world = World::new();
    world.config.store_host = "10.0.0.2:10911".parse().unwrap();
    world.clock.set(1_700_000_000_123);
    let store = world.open();
    let message = MessageRecord {
        born_host: "10.0.0.1:12345".parse().unwrap(),
        born_timestamp: 1_700_000_000_000,
        reconsume_times: 1,
        properties: "a\u{1}1\u{2}TAGS\u{1}TagA".into(),
        ..message("TopicTest", 3, "Hello")
    };
    try_send(&store, message).unwrap();
    store.close().unwrap();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(&world.bytes("commitlog/00000000000000000000")[..118]), GOLDEN);
    let unit = hex(&world.bytes("consumequeue/TopicTest/3/00000000000000000000")[..20]);
    assert_eq!(unit, "0000000000000000000000760000000000 27a807".replace(' ', ""));
}

/// Each status of a get, with where to go on.
#[test]
fn gets_answer_as_java_does() {
    let world = World::new();
    let store = world.open();
    let answer = |offset| {
        let result = get(&store, "A", 0, offset);
        (result.status, result.next_begin_offset, result.message_count)
    };
    assert_eq!(answer(7), (GetStatus::NoMessageInQueue, 0, 0));
    for number in 0..40 {
        send(&store, "A", 0, &number.to_string());
    }
    assert_eq!(answer(0), (GetStatus::Found, 32, 32));
    assert_eq!(answer(32), (GetStatus::Found, 40, 8));
    assert_eq!(answer(40), (GetStatus::OffsetOverflowOne, 40, 0));
    assert_eq!(answer(41), (GetStatus::OffsetOverflowBadly, 40, 0));
    assert_eq!(answer(-1), (GetStatus::OffsetTooSmall, 0, 0));
    let limits = GetLimits { count_max: 100, bytes_max: 1 };
    let one = store.get("A", 0, 3, &limits, &|_| true);
    assert_eq!((one.message_count, one.next_begin_offset), (1, 4));
    let none = store.get("A", 0, 3, &limits, &|_| false);
    assert_eq!((none.status, none.next_begin_offset), (GetStatus::NoMatchedMessage, 40));
    assert_eq!((none.min_offset, none.max_offset), (0, 40));
}

/// A filter sees tags codes and the answer leaves out what it does not want, wherever the entries are.
#[test]
fn filters_leave_out() {
    let world = World::new();
    let store = world.open();
    for number in 0..100 {
        let mut message = message("A", 0, &number.to_string());
        message.properties = format!("TAGS\u{1}{}", if number % 10 == 0 { "ten" } else { "no" }).into();
        try_send(&store, message).unwrap();
        if number == 60 {
            store.keep_house(true).unwrap();
        }
    }
    let ten = tags_code(Some("ten"));
    let result = store.get("A", 0, 5, &GetLimits::default(), &|code| code == ten);
    let numbers: Vec<i64> =
        result.records.iter().map(|record| RecordView::parse(record).unwrap().queue_offset).collect();
    assert_eq!(numbers, [10, 20, 30, 40, 50, 60, 70, 80, 90]);
    assert_eq!(result.next_begin_offset, 100);
}

/// A filter that looks into the records leaves out what it does not want and keeps the limits; the next get
/// goes on with the first message that had no room.
#[test]
fn filters_by_record_leave_out() {
    let world = World::new();
    let store = world.open();
    for number in 0..1_000 {
        send(&store, "A", 0, &number.to_string());
        if number == 500 {
            store.keep_house(true).unwrap();
        }
    }
    let get = |offset, count_max, ending: &str| {
        let limits = GetLimits { count_max, ..GetLimits::default() };
        let wants = |record: &[u8]| RecordView::parse(record).unwrap().body.ends_with(ending.as_bytes());
        let result = store.get_wanted("A", 0, offset, &limits, &|_, _| true, &wants);
        let bodies = result.records.iter().map(|record| RecordView::parse(record).unwrap().queue_offset);
        assert_eq!(result.message_count, result.records.len());
        assert_eq!(result.bytes, result.records.iter().map(|record| record.len()).sum::<usize>());
        (result.status, bodies.collect::<Vec<_>>(), result.next_begin_offset)
    };
    assert_eq!(get(0, 3, "99"), (GetStatus::Found, vec![99, 199, 299], 399));
    assert_eq!(get(399, 32, "99"), (GetStatus::Found, vec![399, 499, 599, 699, 799, 899, 999], 1_000));
    assert_eq!(get(150, 32, "x"), (GetStatus::NoMatchedMessage, vec![], 950), "800 messages are looked at");
    assert_eq!(get(950, 32, "x"), (GetStatus::NoMatchedMessage, vec![], 1_000));
    assert_eq!(get(1_000, 32, "x"), (GetStatus::OffsetOverflowOne, vec![], 1_000));
    assert_eq!(get(-1, 32, "9"), (GetStatus::OffsetTooSmall, vec![], 0));
}

/// A record of more than 16 MiB is refused whatever the settings say: it could not be asked for by its place.
#[test]
fn records_have_a_longest() {
    const LONGEST: usize = 16 << 20;
    let mut world = World::new();
    world.config.mapped_file_size_commit_log = 40 << 20;
    world.config.max_message_size = 20 << 20;
    let store = world.open();
    let short = send(&store, "A", 0, &"x".repeat(12));
    let around = (short.end_offset - short.physical_offset) as usize - 12;
    let place = send(&store, "A", 0, &"x".repeat(LONGEST - around)).physical_offset;
    assert_eq!(store.record_at(place).map(|record| record.len()), Some(LONGEST));
    let longer = try_send(&store, message("A", 0, &"x".repeat(LONGEST - around + 1)));
    assert_eq!(longer, Err(AppendError::Size { len: LONGEST + 1, max: LONGEST }));
}

/// A batch has consecutive offsets in one segment; a group is one write.
#[test]
fn batches_stay_together() {
    let world = World::new();
    let store = world.open();
    send(&store, "A", 0, &"x".repeat(1500));
    let batch =
        Append { records: (0..4).map(|n| message("A", 0, &format!("{n}{}", "y".repeat(500)))).collect() };
    let single = Append { records: vec![message("B", 0, "z")] };
    let writes = world.disk.calls(ferrocket_store::Call::Write);
    let answers = store.append(vec![single.clone(), batch, single]);
    // What fits, the blank, and the rest in the next segment.
    assert_eq!(world.disk.calls(ferrocket_store::Call::Write) - writes, 3);
    let batch = answers[1].as_ref().unwrap();
    assert_eq!((batch.queue_offset, batch.physical_offset), (1, 4096));
    assert_eq!(batch.physical_offsets.len(), 4);
    let before = answers[0].as_ref().unwrap();
    let blank = &world.bytes("commitlog/00000000000000000000")[before.end_offset as usize..][..8];
    assert_eq!(blank[..4], (4096 - before.end_offset as i32).to_be_bytes());
    assert_eq!(blank[4..], MAGIC_BLANK.to_be_bytes());
    assert_eq!(bodies(&store, "A", 0).len(), 5);
    assert_eq!(bodies(&store, "B", 0), ["z", "z"]);
}

/// What cannot be stored is refused by name, and the rest of its group is stored.
#[test]
fn refusals_are_single() {
    let world = World::new();
    let store = world.open();
    let mut mixed = Append { records: vec![message("A", 0, "a"), message("A", 1, "b")] };
    let mut long_properties = message("A", 0, "p");
    long_properties.properties = "x".repeat(32_768).into();
    let mut group = singles(vec![
        message(&"t".repeat(128), 0, "a"),
        message("../etc", 0, "a"),
        message("A", 0, &"b".repeat(2049)),
        long_properties,
        message("A", 0, "good"),
    ]);
    group.push(mixed.clone());
    mixed.records.clear();
    group.push(mixed);
    let answers = store.append(group);
    assert_eq!(answers[0], Err(AppendError::Topic { len: 128 }));
    assert_eq!(answers[1], Err(AppendError::Topic { len: 6 }));
    assert_eq!(answers[2], Err(AppendError::Size { len: 2049, max: 2048 }));
    assert_eq!(answers[3], Err(AppendError::Properties { len: 32_768 }));
    assert_eq!(answers[4].as_ref().unwrap().queue_offset, 0);
    assert_eq!(answers[5..], [Err(AppendError::Batch), Err(AppendError::Batch)]);
    let batch = Append { records: (0..4).map(|_| message("A", 0, &"b".repeat(1000))).collect() };
    assert!(matches!(store.append(vec![batch])[0], Err(AppendError::Size { max: 4088, .. })));
}

/// Half and rolled back messages have no place in a queue; committed ones do; rolled back ones no keys.
#[test]
fn transactions_have_their_places() {
    let world = World::new();
    let store = world.open();
    let send = |flag, body: &str| {
        let record = MessageRecord { sys_flag: flag, ..message("A", 0, body) };
        try_send(&store, record).unwrap().queue_offset
    };
    assert_eq!(send(0, "plain"), 0);
    assert_eq!(send(sys_flag::TRANSACTION_PREPARED, "half"), 0);
    assert_eq!(send(sys_flag::TRANSACTION_ROLLBACK, "back"), 0);
    assert_eq!(send(sys_flag::TRANSACTION_COMMIT, "committed"), 1);
    assert_eq!(bodies(&store, "A", 0), ["plain", "committed"]);
    let found = |body: &str| store.query("A", &format!("u-{body}"), 9, 0, i64::MAX).records.len();
    assert_eq!([found("plain"), found("half"), found("back"), found("committed")], [1, 1, 0, 1]);
}

/// A delayed message's entry says when it is due.
#[test]
fn delayed_messages_are_due() {
    let world = World::new();
    let store = world.open();
    let mut delayed = message("SCHEDULE_TOPIC_XXXX", 2, "late");
    delayed.properties = "DELAY\u{1}3".into();
    try_send(&store, delayed).unwrap();
    assert_eq!(store.entry("SCHEDULE_TOPIC_XXXX", 2, 0).unwrap().tags_code, START_MS + 10_000);
}

/// Search by time gives the nearest message; before and after all of them the first and the last.
#[test]
fn times_are_found() {
    let world = World::new();
    let store = world.open();
    assert_eq!(store.offset_by_time("A", 0, START_MS), 0);
    for number in 0..25 {
        world.clock.set(START_MS + number * 100);
        send(&store, "A", 0, &number.to_string());
    }
    store.keep_house(true).unwrap();
    let at = |after| store.offset_by_time("A", 0, START_MS + after);
    assert_eq!(
        [at(-1), at(0), at(1000), at(1049), at(1050), at(1051), at(2400), at(9000)],
        [0, 0, 10, 10, 10, 11, 24, 24]
    );
    assert_eq!(store.store_time_of("A", 0, 3), START_MS + 300);
    assert_eq!(store.store_time_of("A", 0, 25), -1);
    assert_eq!([i64::MIN, -1, i64::MAX].map(|offset| store.store_time_of("A", 0, offset)), [-1; 3]);
    assert_eq!(store.earliest_store_time("A", 0), START_MS);
    assert_eq!(store.earliest_store_time("B", 0), -1);
    assert_eq!(store.earliest_log_time(), START_MS);
}

/// The clock may step back: stored times do not fall.
#[test]
fn stored_times_do_not_fall() {
    let world = World::new();
    let store = world.open();
    assert_eq!(send(&store, "A", 0, "1").store_timestamp, START_MS);
    world.clock.set(START_MS - 3_600_000);
    assert_eq!(send(&store, "A", 0, "2").store_timestamp, START_MS);
    world.clock.set(START_MS - 7 * 86_400_000);
    assert_eq!(send(&store, "A", 0, "3").store_timestamp, START_MS - 7 * 86_400_000);
}

/// Keys find messages: unique keys, each word, over several index files, from memory and from disk.
#[test]
fn keys_are_found() {
    let world = World::new();
    let store = world.open();
    for number in 0..60 {
        world.clock.advance(1_000);
        send(&store, "A", 0, &number.to_string());
        if number == 20 {
            store.keep_house(false).unwrap();
        }
        if number == 40 {
            store.keep_house(true).unwrap();
        }
    }
    assert!(world.names("index").len() >= 4, "{:?}", world.names("index"));
    let found = |topic: &str, key: &str, begin, end| -> Vec<String> {
        let records = store.query(topic, key, 100, begin, end).records;
        records
            .iter()
            .map(|r| String::from_utf8_lossy(RecordView::parse(r).unwrap().body).into_owned())
            .collect()
    };
    for number in 0..60 {
        let body = number.to_string();
        assert_eq!(found("A", &format!("u-{body}"), 0, i64::MAX), [&*body]);
        assert_eq!(found("A", &format!("k-{body}"), 0, i64::MAX), [&*body]);
    }
    assert_eq!(found("A", "all", 0, i64::MAX).len(), 60);
    assert_eq!(found("A", "all", START_MS + 11_000, START_MS + 12_999), ["10", "11"]);
    assert!(found("B", "u-1", 0, i64::MAX).is_empty());
    let newest = store.query("A", "all", 1, 0, i64::MAX);
    assert_eq!((newest.records.len(), newest.index_last_update_timestamp), (1, START_MS + 60_000));
}

#[derive(Default)]
struct Heard(Mutex<Vec<(String, i32, i64)>>);

impl Arrivals for Heard {
    fn arrived(&self, topic: &str, queue_id: i32, queue_offset: i64, tags_code: i64) {
        assert_eq!(tags_code, tags_code_of(topic));
        self.0.lock().unwrap().push((topic.to_owned(), queue_id, queue_offset));
    }
}

fn tags_code_of(topic: &str) -> i64 {
    tags_code(Some(topic))
}

/// In asynchronous mode messages are seen and announced at once.
#[test]
fn arrivals_are_announced() {
    let world = World::new();
    let store = world.open();
    let heard = Arc::new(Heard::default());
    store.on_arrival(heard.clone());
    store.append(singles(vec![message("A", 1, "a"), message("B", 0, "b"), message("A", 1, "c")]));
    let expected = [("A".to_owned(), 1, 0), ("B".to_owned(), 0, 0), ("A".to_owned(), 1, 1)];
    assert_eq!(*heard.0.lock().unwrap(), expected);
}

fn is_ready(future: impl Future<Output = Result<(), StoreError>>) -> Option<Result<(), StoreError>> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}

/// In synchronous mode nobody sees a message before it is on the disk.
#[test]
fn unflushed_messages_are_hidden() {
    let world = World::new().sync_flush();
    let store = world.open();
    let heard = Arc::new(Heard::default());
    store.on_arrival(heard.clone());
    send(&store, "A", 0, "one");
    store.flush().unwrap();
    let second = send(&store, "A", 0, "two");
    assert!(store.sync_flush());
    assert_eq!((store.max_offset("A", 0), heard.0.lock().unwrap().len()), (1, 1));
    assert_eq!(get(&store, "A", 0, 1).status, GetStatus::OffsetOverflowOne);
    assert_eq!(is_ready(store.wait_durable(second.end_offset)), None);
    assert_eq!(store.flush(), Ok(second.end_offset));
    assert_eq!(is_ready(store.wait_durable(second.end_offset)), Some(Ok(())));
    assert_eq!((store.max_offset("A", 0), heard.0.lock().unwrap().len()), (2, 2));
    assert_eq!(bodies(&store, "A", 0), ["one", "two"]);
    assert_eq!(store.flushed_offset(), store.max_physical_offset());
}

/// Old messages come from the files, new ones from memory: the answers are the same.
#[test]
fn reads_agree_with_and_without_memory() {
    let mut world = World::new();
    world.config.recent_bytes_max = 700;
    let store = world.open();
    for number in 0..60 {
        send(&store, ["A", "B"][number % 2], 0, &number.to_string());
        if number % 7 == 0 {
            store.keep_house(false).unwrap();
        }
    }
    let expected: Vec<String> = (0..60).step_by(2).map(|number| number.to_string()).collect();
    assert_eq!(bodies(&store, "A", 0), expected);
    store.close().unwrap();
    assert_eq!(bodies(&world.open(), "A", 0), expected);
}
