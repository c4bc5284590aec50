//! FORMATS §30: what Java refuses, cuts or destroys, one test per rule at least, from both sides.
//!
//! | Rule | Tests: here unless said otherwise |
//! |---|---|
//! | 1 an unreadable record ends the log | `one_unreadable_record_ends_the_log`, `whatever_java_cannot_read_ends_the_log`, `no_record_is_one_that_java_cannot_read`; no holes: `crash.rs` |
//! | 2 a lagging queue is not caught up after a clean stop | `a_clean_stop_leaves_no_queue_behind`, `a_stop_that_fails_leaves_abort`, `a_lagging_queue_is_completed`, `queues_are_rebuilt_from_the_log` |
//! | 3 truncation leaves stale bytes | `one_unreadable_record_ends_the_log` (ours zeroes), `stale_entries_do_not_come_back` (Java's are dropped) |
//! | 4 a queue file with a zero first unit | `no_queue_file_is_without_a_first_entry`, `truncation_goes_from_the_last_queue_file_backwards` |
//! | 5 the next offset is the end of the queue | `an_empty_log_keeps_the_queues`, `the_last_files_stay_for_ever` |
//! | 6 checks at load | `strange_files_are_refused_by_name`, `segments_made_ahead_are_dropped` |
//! | 7 unreadable topics.json | broker: `java_rules.rs`; whole replacement: `files.rs` `config_files_are_replaced_whole` |
//! | 8 the lock comes first | `a_folder_in_use_is_not_touched`, `a_second_try_does_not_give_the_lock_away` |
//! | 9 a level absent from delayOffset.json | broker: `java_rules.rs` |
//! | 10 op messages | broker: `java_rules.rs` |
//! | 11 index and checkpoint | `keys_survive_a_kill`, `keys_behind_the_log_go`, `index_files_are_named_upwards`, `keys_are_those_of_the_stored_topic` |
//! | 12 where recovery starts | `recovery_starts_where_java_starts`, `dispatching_again_doubles_nothing`, `a_blank_record_counts_by_its_magic` |
//! | 13 the checkpoint | `the_checkpoint_keeps_what_others_wrote`, `keys_survive_a_kill` |
//! | 14 consume queues | `truncation_goes_from_the_last_queue_file_backwards`, `a_queue_begins_where_the_log_does`, `units_that_fill_are_valid`, `no_tags_are_code_zero` |
//! | 15 file times are data | `old_files_keep_their_times`, `segments_expire_by_their_files_times` |
//! | 16 files of a fresh store, and of 5.3 | `files_of_later_releases_are_left_alone`; JSON files, broker: `java_rules.rs` |
//! | 17 batch consume queues | `batch_consume_queues_are_refused`; topics.json, broker: `java_rules.rs` |

use ferrocket_protocol::message::{MAGIC_V1, MAGIC_V2};
use ferrocket_protocol::{MessageRecord, RecordView};
use ferrocket_store::{AppendError, Call, Disk, Fault, GetLimits, GetStatus, OpenError, OsDisk, StoreError};

use crate::java;
use crate::world::{START_MS, World, bodies, get, message, send, try_send};

/// The first log file and the first file of queue 0 of topic A.
const LOG: &str = "commitlog/00000000000000000000";
const QUEUE: &str = "consumequeue/A/0/00000000000000000000";

fn store_with(world: &World, messages: usize) {
    let store = world.open();
    for number in 0..messages {
        send(&store, "A", 0, &number.to_string());
    }
    store.close().unwrap();
}

/// Rule 1: the log ends at the first record that cannot be read. Where later records had reached the disk this
/// store asks first; told to cut, it does what Java does, and zeroes.
#[test]
fn one_unreadable_record_ends_the_log() {
    let mut world = World::new();
    store_with(&world, 5);
    let second = i64::from(u32::from_be_bytes(world.bytes(LOG)[..4].try_into().unwrap()));
    world.file(LOG).write_at(&[0xDA, 0xA3, 0x20, 0xA8], second as u64 + 4).unwrap();
    assert!(
        matches!(world.try_open(), Err(OpenError::Damaged { physical_offset, .. }) if physical_offset == second)
    );
    assert_eq!(java::open(&world).unwrap().log_end, second);
    world.config.cut_damaged_log = true;
    let store = world.open();
    assert_eq!(store.max_physical_offset(), second);
    assert_eq!(bodies(&store, "A", 0), ["0"]);
    let log = world.bytes(LOG);
    assert!(log[second as usize..].iter().all(|byte| *byte == 0));
    let queue = world.bytes(QUEUE);
    assert!(queue[20..].iter().all(|byte| *byte == 0));
}

/// Rule 2: after a clean stop Java dispatches nothing again, so every queue is complete by then.
#[test]
fn a_clean_stop_leaves_no_queue_behind() {
    let world = World::new();
    let store = world.open();
    for number in 0..30 {
        send(&store, ["A", "B"][number % 2], 0, &number.to_string());
        if number == 10 {
            store.keep_house(false).unwrap();
        }
    }
    store.close().unwrap();
    let view = java::open(&world).unwrap();
    assert_eq!(view.queues.len(), 2);
    assert!(view.queues.values().all(|queue| queue.entries.len() == 15));
    assert!(!world.names("").contains(&"abort".to_owned()));
}

/// Rule 2, from Java: a queue that was left behind is completed, also after a clean stop, and from further
/// back than the last segment if need be.
#[test]
fn a_lagging_queue_is_completed() {
    for clean in [true, false] {
        let world = World::new();
        let store = world.open();
        for number in 0..60 {
            send(&store, ["A", "B"][number % 2], 0, &format!("{number}{}", "x".repeat(200)));
        }
        store.close().unwrap();
        // Queue A loses its last twenty entries, and with them two files.
        world.disk.remove_file(&world.path("consumequeue/A/0/00000000000000000400")).unwrap();
        world.disk.remove_file(&world.path("consumequeue/A/0/00000000000000000200")).unwrap();
        if !clean {
            world.put("abort", 0, b"");
        }
        let store = world.open();
        assert_eq!((bodies(&store, "A", 0).len(), bodies(&store, "B", 0).len()), (30, 30));
        store.close().unwrap();
        assert_eq!(java::open(&world).unwrap().queues[&("A".to_owned(), 0)].entries.len(), 30);
    }
}

/// Rule 2: without any queue everything is rebuilt, and from a log whose beginning is gone too.
#[test]
fn queues_are_rebuilt_from_the_log() {
    let world = World::new();
    let store = world.open();
    for number in 0..60 {
        send(&store, "A", 0, &format!("{number}{}", "x".repeat(200)));
    }
    store.close().unwrap();
    for name in world.names("consumequeue/A/0") {
        world.disk.remove_file(&world.path(&format!("consumequeue/A/0/{name}"))).unwrap();
    }
    let store = world.open();
    assert_eq!(bodies(&store, "A", 0).len(), 60);
    store.close().unwrap();
    for name in world.names("consumequeue/A/0") {
        world.disk.remove_file(&world.path(&format!("consumequeue/A/0/{name}"))).unwrap();
    }
    world.disk.remove_file(&world.path(LOG)).unwrap();
    let store = world.open();
    let (min, max) = (store.min_offset("A", 0), store.max_offset("A", 0));
    assert_eq!((min > 0, max), (true, 60));
    assert_eq!(bodies(&store, "A", 0).len() as i64, 60 - min);
    store.close().unwrap();
    // The head of the first file is filled, as in Java.
    let first = world.bytes("consumequeue/A/0/00000000000000000200");
    assert_eq!(first[..12], [0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff]);
    assert_eq!(world.names("consumequeue/A/0")[0], "00000000000000000200");
    let store = world.open();
    assert_eq!((store.min_offset("A", 0), store.max_offset("A", 0)), (min, 60));
    assert_eq!(get(&store, "A", 0, min).status, GetStatus::Found);
}

/// Rule 3: entries that Java left behind a truncation, valid by themselves, do not come back.
#[test]
fn stale_entries_do_not_come_back() {
    let world = World::new();
    let store = world.open();
    for number in 0..4 {
        send(&store, "A", 0, &number.to_string());
    }
    send(&store, "B", 0, "b");
    store.close().unwrap();
    let queue = world.file(QUEUE);
    let first = world.bytes(QUEUE)[..20].to_vec();
    let b = world.bytes("consumequeue/B/0/00000000000000000000")[..20].to_vec();
    // An entry whose record is another queue's, and one that goes back.
    queue.write_at(&b, 80).unwrap();
    queue.write_at(&first, 100).unwrap();
    let store = world.open();
    assert_eq!(store.max_offset("A", 0), 4);
    assert_eq!(send(&store, "A", 0, "4").queue_offset, 4);
    assert_eq!(bodies(&store, "A", 0).len(), 5);
    store.close().unwrap();
    assert!(world.bytes(QUEUE)[100..].iter().all(|byte| *byte == 0));
    assert_eq!(java::open(&world).unwrap().queues[&("A".to_owned(), 0)].entries.len(), 5);
}

/// Rule 4: no queue file without a first entry is left, wherever a file ends.
#[test]
fn no_queue_file_is_without_a_first_entry() {
    for messages in [9, 10, 11, 20] {
        let world = World::new();
        store_with(&world, messages);
        assert_eq!(world.names("consumequeue/A/0").len(), messages.div_ceil(10));
        // A Java that was killed after making the next file.
        let next = messages.div_ceil(10) * 200;
        world.put(&format!("consumequeue/A/0/{next:020}"), 200, b"");
        let store = world.open();
        assert_eq!(store.max_offset("A", 0), messages as i64);
        store.close().unwrap();
        assert_eq!(world.names("consumequeue/A/0").len(), messages.div_ceil(10));
        java::open(&world).unwrap();
    }
}

/// Rule 5: an empty commitlog folder does not cost the queues' offsets unless asked for.
#[test]
fn an_empty_log_keeps_the_queues() {
    let mut world = World::new();
    store_with(&world, 5);
    world.disk.remove_file(&world.path(LOG)).unwrap();
    assert!(matches!(world.try_open(), Err(OpenError::Layout { .. })));
    world.config.cut_damaged_log = true;
    let store = world.open();
    assert_eq!((store.max_offset("A", 0), store.max_physical_offset()), (0, 0));
    assert_eq!(send(&store, "A", 0, "new").queue_offset, 0);
}

/// Rule 6: what Java refuses at load is refused, by name; a zero-length last file of a killed Java goes.
#[test]
fn strange_files_are_refused_by_name() {
    let refused = |below: &str, len| {
        let world = World::new();
        store_with(&world, 5);
        world.put(below, len, b"");
        assert!(java::open(&world).is_err());
        world.try_open().unwrap_err().to_string()
    };
    assert!(refused("commitlog/00000000000000004096", 4095).contains("00000000000000004096 has 4095 bytes"));
    assert!(refused("consumequeue/A/0/00000000000000000200", 199).contains("has 199 bytes"));
    assert!(refused("commitlog/.swp", 0).contains(".swp has 0 bytes"));
    assert!(refused("commitlog/00000000000000000001", 100).contains("has 100 bytes"));
    let world = World::new();
    store_with(&world, 5);
    world.disk.create_dir_all(&world.path("commitlog/sub")).unwrap();
    assert!(world.try_open().unwrap_err().to_string().contains("a folder has no place here"));
    let world = World::new();
    store_with(&world, 5);
    world.put("commitlog/00000000000000008192", 4096, b"");
    assert!(world.try_open().unwrap_err().to_string().contains("the file before it is missing"));
    let world = World::new();
    store_with(&world, 5);
    world.put("commitlog/00000000000000004096", 0, b"");
    world.put("consumequeue/A/0/00000000000000000200", 0, b"");
    assert_eq!(world.open().max_offset("A", 0), 5);
}

/// Rule 6: a segment that Java made ahead is dropped; ours waits elsewhere, at full length, and goes with a
/// clean stop.
#[test]
fn segments_made_ahead_are_dropped() {
    let world = World::new();
    let store = world.open();
    send(&store, "A", 0, "1");
    store.keep_house(false).unwrap();
    assert_eq!((world.names("commitlog").len(), world.names("building").len()), (1, 1));
    store.abandon();
    world.disk.kill();
    world.put("commitlog/00000000000000004096", 4096, b"");
    let store = world.open();
    assert_eq!((world.names("commitlog").len(), world.names("building").len()), (1, 0));
    store.keep_house(false).unwrap();
    for number in 0..40 {
        send(&store, "A", 0, &format!("{number}{}", "x".repeat(200)));
        store.keep_house(number % 7 == 0).unwrap();
    }
    store.close().unwrap();
    assert_eq!(world.names("commitlog").len() as i64, store.max_physical_offset() / 4096 + 1);
    assert!(world.names("building").is_empty());
    assert_eq!(bodies(&world.open(), "A", 0).len(), 41);
}

/// Rule 8: the lock comes before everything else: a folder in use is not touched.
#[test]
fn a_folder_in_use_is_not_touched() {
    let world = World::new();
    let store = world.open();
    send(&store, "A", 0, "1");
    let calls = [ferrocket_store::Call::Create, ferrocket_store::Call::Write, ferrocket_store::Call::Remove];
    let before = calls.map(|call| world.disk.calls(call));
    assert!(world.try_open().is_err());
    assert_eq!(calls.map(|call| world.disk.calls(call)), before);
}

/// Rule 11: the index says in the checkpoint only what is on the disk; after a kill keys are found again, in
/// files that Java would have dropped too.
#[test]
fn keys_survive_a_kill() {
    let world = World::new();
    let store = world.open();
    for number in 0..30 {
        world.clock.advance(1_000);
        send(&store, "A", 0, &number.to_string());
        if number == 15 {
            store.keep_house(true).unwrap();
        }
    }
    let time = |at: usize| i64::from_be_bytes(world.bytes("checkpoint")[at..at + 8].try_into().unwrap());
    assert_eq!([time(0), time(8), time(16)], [START_MS + 16_000; 3]);
    store.abandon();
    world.disk.kill();
    let store = world.open();
    for number in 0..30 {
        assert_eq!(store.query("A", &format!("k-{number}"), 9, 0, i64::MAX).records.len(), 1, "{number}");
    }
    assert_eq!(store.query("A", "all", 64, 0, i64::MAX).records.len(), 30);
}

/// Rule 11: index entries behind a cut log go.
#[test]
fn keys_behind_the_log_go() {
    let mut world = World::new();
    store_with(&world, 10);
    let log = world.bytes(LOG);
    let mut at = 0;
    for _ in 0..6 {
        at += u32::from_be_bytes(log[at..at + 4].try_into().unwrap()) as usize;
    }
    world.file(LOG).write_at(&[0; 8], at as u64).unwrap();
    world.config.cut_damaged_log = true;
    let store = world.open();
    assert_eq!(store.max_offset("A", 0), 6);
    send(&store, "A", 0, "new");
    for (key, count) in [("u-5", 1), ("u-6", 0), ("u-new", 1), ("all", 7)] {
        assert_eq!(store.query("A", key, 64, 0, i64::MAX).records.len(), count, "{key}");
    }
}

/// Rule 13: the checkpoint never runs ahead of the disk and keeps what later releases put behind it.
#[test]
fn the_checkpoint_keeps_what_others_wrote() {
    let world = World::new();
    store_with(&world, 3);
    world.file("checkpoint").write_at(&[9; 16], 24).unwrap();
    world.clock.advance(5_000);
    let store = world.open();
    send(&store, "A", 0, "later");
    store.keep_house(false).unwrap();
    let physic = || i64::from_be_bytes(world.bytes("checkpoint")[..8].try_into().unwrap());
    assert_eq!(physic(), START_MS);
    store.close().unwrap();
    assert_eq!(physic(), START_MS + 5_000);
    assert_eq!(world.bytes("checkpoint")[24..40], [9; 16]);
    assert_eq!(world.bytes("checkpoint").len(), 4096);
}

/// Rule 15: opening and closing does not touch files that are not written to: their times are data.
#[test]
fn old_files_keep_their_times() {
    let world = World::new();
    let store = world.open();
    for number in 0..60 {
        send(&store, "A", 0, &format!("{number}{}", "x".repeat(200)));
    }
    store.close().unwrap();
    world.disk.set_now(START_MS + 99);
    world.open().close().unwrap();
    let touched = |dir: &str| -> Vec<String> {
        let entries = world.disk.list(&world.path(dir)).unwrap();
        entries
            .into_iter()
            .filter(|entry| entry.modified_ms == START_MS + 99)
            .map(|entry| entry.name)
            .collect()
    };
    assert!(touched("consumequeue/A/0").is_empty());
    assert!(touched("commitlog").len() <= 1);
}

/// Where each record of the first log file starts.
fn record_places(world: &World) -> Vec<usize> {
    let log = world.bytes(LOG);
    let (mut at, mut places) = (0, Vec::new());
    while RecordView::parse(&log[at..]).is_ok() {
        places.push(at);
        at += u32::from_be_bytes(log[at..at + 4].try_into().unwrap()) as usize;
    }
    places
}

/// Rule 1: a wrong body, a wrong length and a foreign magic are all unreadable. A record of version 2 ends the
/// log for Java 4.9 only: this store reads it, so that what 5.x wrote is not lost here.
#[test]
fn whatever_java_cannot_read_ends_the_log() {
    type Spoil<'a> = &'a dyn Fn(&World, u64);
    let spoil: [(&str, Spoil<'_>); 4] = [
        ("magic", &|world, at| world.file(LOG).write_at(&[0; 4], at + 4).map(drop).unwrap()),
        ("size", &|world, at| world.file(LOG).write_at(&[0, 0, 1, 0], at).map(drop).unwrap()),
        ("body", &|world, at| world.disk.flip_bit(&world.path(LOG), at + 88, 1)),
        ("topic", &|world, at| world.file(LOG).write_at(&[200], at + 89).map(drop).unwrap()),
    ];
    for (what, spoil) in spoil {
        let mut world = World::new();
        store_with(&world, 5);
        let third = record_places(&world)[2];
        spoil(&world, third as u64);
        assert_eq!(java::open(&world).unwrap().log_end, third as i64, "{what}");
        assert!(matches!(world.try_open(), Err(OpenError::Damaged { .. })), "{what}");
        world.config.cut_damaged_log = true;
        assert_eq!(bodies(&world.open(), "A", 0), ["0", "1"], "{what}");
    }
    let world = World::new();
    store_with(&world, 2);
    let second = record_places(&world)[1];
    // The same record as version 2, whose topic length takes two bytes.
    let mut record = world.bytes(LOG)[second..][..record_len(&world, second)].to_vec();
    record.insert(89, 0);
    let len = record.len() as u32;
    record[..4].copy_from_slice(&len.to_be_bytes());
    record[4..8].copy_from_slice(&MAGIC_V2.to_be_bytes());
    world.file(LOG).write_at(&record, second as u64).unwrap();
    world.file(QUEUE).write_at(&len.to_be_bytes(), 20 + 8).unwrap();
    assert_eq!(java::open(&world).unwrap().log_end, second as i64);
    assert_eq!(world.open().max_physical_offset(), (second + record.len()) as i64);
}

fn record_len(world: &World, at: usize) -> usize {
    u32::from_be_bytes(world.bytes(LOG)[at..at + 4].try_into().unwrap()) as usize
}

/// Rule 1: nothing is stored that Java would take for the end of the log: every record is of version 1, and
/// topics that need version 2 are refused.
#[test]
fn no_record_is_one_that_java_cannot_read() {
    let world = World::new();
    let store = world.open();
    send(&store, &"t".repeat(127), 0, "longest");
    for topic in ["t".repeat(128), "t".repeat(255), "t".repeat(256)] {
        assert!(matches!(try_send(&store, message(&topic, 0, "x")), Err(AppendError::Topic { .. })));
    }
    send(&store, "A", 0, "");
    store.close().unwrap();
    let log = world.bytes(LOG);
    let places = record_places(&world);
    assert_eq!(places.len(), 2);
    assert!(places.iter().all(|at| RecordView::parse(&log[*at..]).unwrap().magic == MAGIC_V1));
    assert_eq!(java::open(&world).unwrap().log_end, store.max_physical_offset());
}

/// Rule 2: while a queue may lack an entry on the disk, `abort` stays, and with it Java looks for what is
/// missing.
#[test]
fn a_stop_that_fails_leaves_abort() {
    let world = World::new();
    let store = world.open();
    send(&store, "A", 0, "1");
    for nth in 1..=4 {
        world.disk.inject(Call::Sync, nth, Fault::Fail(std::io::ErrorKind::Other));
    }
    assert!(matches!(store.close(), Err(StoreError::Failed(_))));
    assert!(world.names("").contains(&"abort".to_owned()));
}

/// Rule 5: however old everything is, the newest log file and each queue's last file stay.
#[test]
fn the_last_files_stay_for_ever() {
    let world = World::new();
    let store = world.open();
    for number in 0..40 {
        send(&store, ["A", "B"][number / 20], 0, &format!("{number}{}", "x".repeat(200)));
    }
    store.keep_house(true).unwrap();
    world.clock.set(START_MS + 9_999 * 3_600_000);
    while store.delete_expired_segments() > 0 {}
    assert_eq!(world.names("commitlog").len(), 1);
    assert!(store.min_physical_offset() > 0);
    assert_eq!(world.names("consumequeue/A/0"), ["00000000000000000200"]);
    store.close().unwrap();
    let store = world.open();
    assert_eq!(send(&store, "A", 0, "next").queue_offset, 20);
    store.close().unwrap();
    assert_eq!(java::open(&world).unwrap().queues[&("A".to_owned(), 0)].first, 10);
}

/// The second process of the test below: whether it gets the lock of the folder it is told.
#[test]
fn tries_a_lock() {
    let Some(path) = std::env::var_os("FERROCKET_TEST_LOCK") else { return };
    assert!(OsDisk.lock(path.as_ref()).unwrap().is_none(), "the folder is free");
}

/// Rule 8: a second try in the process that holds the lock, refused as it is, does not give the lock away to
/// other processes, as closing the file once would. When the lock is given back, others get it.
#[test]
fn a_second_try_does_not_give_the_lock_away() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("lock");
    let elsewhere = || {
        let mut test = std::process::Command::new(std::env::current_exe().unwrap());
        test.args(["--exact", "java_rules::tries_a_lock"]).env("FERROCKET_TEST_LOCK", &path);
        let output = test.output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed") == output.status.success());
        output.status.success()
    };
    let lock = OsDisk.lock(&path).unwrap().unwrap();
    assert!(OsDisk.lock(&path).unwrap().is_none());
    assert!(elsewhere());
    drop(lock);
    assert!(!elsewhere());
}

/// Rule 11: Java takes the last index file by name for the newest, so names only grow, whatever the clock does.
#[test]
fn index_files_are_named_upwards() {
    let world = World::new();
    let store = world.open();
    let mut known: Vec<String> = Vec::new();
    for number in 0..60 {
        // A week back and forth: more than the clock may be corrected by unnoticed.
        world.clock.set(START_MS + if number % 2 == 0 { 7 * 86_400_000 } else { 0 });
        send(&store, "A", 0, &number.to_string());
        store.keep_house(true).unwrap();
        let names = world.names("index");
        assert!(names.starts_with(&known), "{known:?} {names:?}");
        known = names;
    }
    assert!(known.len() >= 4);
}

/// Rule 11: a delayed message is found by its keys under the topic it is stored in; its unique key's entry comes
/// first.
#[test]
fn keys_are_those_of_the_stored_topic() {
    let world = World::new();
    let store = world.open();
    let delayed = MessageRecord {
        properties: "UNIQ_KEY\u{1}u\u{2}KEYS\u{1}k\u{2}DELAY\u{1}1\u{2}REAL_TOPIC\u{1}A".into(),
        ..message("SCHEDULE_TOPIC_XXXX", 0, "late")
    };
    try_send(&store, delayed).unwrap();
    let found = |topic: &str, key: &str| store.query(topic, key, 9, 0, i64::MAX).records.len();
    for key in ["u", "k"] {
        assert_eq!((found("SCHEDULE_TOPIC_XXXX", key), found("A", key)), (1, 0));
    }
    store.close().unwrap();
    let name = world.names("index").remove(0);
    let file = world.bytes(&format!("index/{name}"));
    // Behind the header, the slots and an entry that is never used.
    let entries = &file[40 + world.config.max_hash_slot_num as usize * 4 + 20..];
    let hash = |at: usize| i32::from_be_bytes(entries[at * 20..][..4].try_into().unwrap());
    let java_hash = |key: &str| {
        let text = format!("SCHEDULE_TOPIC_XXXX#{key}");
        text.bytes().fold(0_i32, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into())).abs()
    };
    assert_eq!([hash(0), hash(1), hash(2)], [java_hash("u"), java_hash("k"), 0]);
}

/// A closed store of four log files and more, with messages a minute apart; answers where its log ends.
fn long_store(world: &World) -> i64 {
    let store = world.open();
    for number in 0..60 {
        world.clock.advance(60_000);
        send(&store, "A", 0, &format!("{number}{}", "x".repeat(200)));
    }
    store.close().unwrap();
    assert!(world.names("commitlog").len() > 4);
    store.max_physical_offset()
}

/// Rule 12: after a clean stop only the end of the log is read; after a crash all from the newest file that the
/// checkpoint covers, and without a checkpoint everything. What is damaged before the start is not met.
#[test]
fn recovery_starts_where_java_starts() {
    let world = |checkpoint: Option<i64>, clean: bool| {
        let mut world = World::new();
        world.config.message_index_enable = false;
        let end = long_store(&world);
        // The second record: the first tells when its file begins.
        let second = record_places(&world)[1];
        world.file(LOG).write_at(&[0; 8], second as u64).unwrap();
        match checkpoint {
            Some(time) => world.file("checkpoint").write_at(&[time.to_be_bytes(); 2].concat(), 0).map(drop),
            None => world.disk.remove_file(&world.path("checkpoint")),
        }
        .unwrap();
        if !clean {
            world.put("abort", 0, b"");
        }
        (world, end, second as i64)
    };
    let newest = START_MS + 60 * 60_000;
    for (checkpoint, clean) in [(Some(newest), true), (None, true), (Some(newest), false)] {
        let (world, end, _) = world(checkpoint, clean);
        assert_eq!(world.open().max_physical_offset(), end, "{checkpoint:?} {clean}");
    }
    for checkpoint in [None, Some(0), Some(START_MS)] {
        // Nothing says that what lies behind had reached the disk: there the log ends.
        let (world, _, second) = world(checkpoint, false);
        assert_eq!(world.open().max_physical_offset(), second, "{checkpoint:?}");
    }
    // Java agrees on both starts after a crash.
    let (covered, end, _) = world(Some(newest), false);
    assert_eq!(java::open(&covered).unwrap().log_end, end);
    let (bare, _, second) = world(Some(0), false);
    assert_eq!(java::open(&bare).unwrap().log_end, second);
}

/// Rule 12: after a crash everything is dispatched again, and each queue skips what it has.
#[test]
fn dispatching_again_doubles_nothing() {
    let world = World::new();
    let end = long_store(&world);
    world.file("checkpoint").write_at(&[0; 24], 0).unwrap();
    let queue = world.bytes(QUEUE);
    for _ in 0..2 {
        world.put("abort", 0, b"");
        let store = world.open();
        assert_eq!((store.max_offset("A", 0), store.max_physical_offset()), (60, end));
        assert_eq!(store.query("A", "all", 64, 0, i64::MAX).records.len(), 60);
        store.close().unwrap();
        assert_eq!(world.bytes(QUEUE), queue);
        world.file("checkpoint").write_at(&[0; 24], 0).unwrap();
    }
    assert_eq!(java::open(&world).unwrap().queues[&("A".to_owned(), 0)].entries.len(), 60);
}

/// Rule 12: in a blank record the magic alone moves on to the next file.
#[test]
fn a_blank_record_counts_by_its_magic() {
    let world = World::new();
    let end = long_store(&world);
    let last = record_places(&world).pop().unwrap();
    let blank = last + record_len(&world, last);
    assert_eq!(world.bytes(LOG)[blank + 4..blank + 8], [0xCB, 0xD4, 0x31, 0x94]);
    world.file(LOG).write_at(&[0xFF; 4], blank as u64).unwrap();
    world.file("checkpoint").write_at(&[0; 24], 0).unwrap();
    world.put("abort", 0, b"");
    assert_eq!(java::open(&world).unwrap().log_end, end);
    let store = world.open();
    assert_eq!((store.max_physical_offset(), bodies(&store, "A", 0).len()), (end, 60));
}

/// Rule 14: a log cut far back takes whole queue files with it, the last ones first, and the rest of the one in
/// which the queue now ends; a queue that ends before the cut is not touched.
#[test]
fn truncation_goes_from_the_last_queue_file_backwards() {
    for (kept, files) in [(5, 1), (10, 1), (11, 2), (20, 2), (25, 3)] {
        let mut world = World::new();
        world.config.mapped_file_size_commit_log = 1 << 16;
        let store = world.open();
        send(&store, "B", 0, "before");
        for number in 0..30 {
            send(&store, "A", 0, &number.to_string());
        }
        store.close().unwrap();
        let other = world.bytes("consumequeue/B/0/00000000000000000000");
        let cut = record_places(&world)[1 + kept];
        world.file(LOG).write_at(&[0; 8], cut as u64).unwrap();
        world.config.cut_damaged_log = true;
        let store = world.open();
        assert_eq!((store.max_offset("A", 0), store.max_physical_offset()), (kept as i64, cut as i64));
        assert_eq!(bodies(&store, "A", 0).len(), kept);
        store.close().unwrap();
        assert_eq!(world.names("consumequeue/A/0").len(), files, "{kept}");
        assert_eq!(world.bytes("consumequeue/B/0/00000000000000000000"), other);
        assert_eq!(java::open(&world).unwrap().queues[&("A".to_owned(), 0)].entries.len(), kept);
    }
}

/// Rule 14: a queue's lowest offset is its first unit whose record the log still has, after a restart too.
#[test]
fn a_queue_begins_where_the_log_does() {
    let world = World::new();
    long_store(&world);
    let begin = world.config.mapped_file_size_commit_log;
    let queue = world.bytes(QUEUE);
    let place = |at: usize| i64::from_be_bytes(queue[at * 20..][..8].try_into().unwrap());
    assert!(place(9) < begin, "the queue's second file holds the place");
    world.disk.remove_file(&world.path(LOG)).unwrap();
    let store = world.open();
    let min = store.min_offset("A", 0);
    assert_eq!(store.min_physical_offset(), begin);
    assert_eq!(store.entry("A", 0, min).unwrap().physical_offset, begin);
    assert!(store.entry("A", 0, min - 1).is_none_or(|entry| entry.physical_offset < begin));
    assert_eq!(get(&store, "A", 0, min - 1).status, GetStatus::OffsetTooSmall);
    assert_eq!(bodies(&store, "A", 0).len() as i64, 60 - min);
}

/// Rule 14: units that fill the head of a queue, as Java writes them, count as valid and as no message.
#[test]
fn units_that_fill_are_valid() {
    let world = World::new();
    long_store(&world);
    world.disk.remove_file(&world.path(LOG)).unwrap();
    let store = world.open();
    let min = store.min_offset("A", 0);
    store.close().unwrap();
    // What Java leaves when it rebuilds a queue whose first messages are gone.
    let file = format!("consumequeue/A/0/{:020}", min / 10 * 200);
    let fill = [[0; 8].as_slice(), &i32::MAX.to_be_bytes(), &[0; 8]].concat().repeat((min % 10) as usize);
    world.file(&file).write_at(&fill, 0).unwrap();
    for name in world.names("consumequeue/A/0") {
        if name < format!("{:020}", min / 10 * 200) {
            world.disk.remove_file(&world.path(&format!("consumequeue/A/0/{name}"))).unwrap();
        }
    }
    for clean in [true, false] {
        if !clean {
            world.put("abort", 0, b"");
        }
        let store = world.open();
        assert_eq!((store.min_offset("A", 0), store.max_offset("A", 0)), (min, 60), "{clean}");
        assert_eq!(bodies(&store, "A", 0).len() as i64, 60 - min);
        store.close().unwrap();
        assert!(world.bytes(&file).starts_with(&fill));
    }
}

/// Rule 14: without tags the unit's third field is 0.
#[test]
fn no_tags_are_code_zero() {
    let world = World::new();
    let store = world.open();
    try_send(&store, MessageRecord { properties: "".into(), ..message("A", 0, "none") }).unwrap();
    send(&store, "A", 0, "some");
    assert_eq!(store.entry("A", 0, 0).unwrap().tags_code, 0);
    assert_eq!(store.entry("A", 0, 1).unwrap().tags_code, i64::from(b'A'));
    store.close().unwrap();
    assert_eq!(world.bytes(QUEUE)[12..20], [0; 8]);
}

/// Rule 15: log files expire by their files' times, not by those of their messages.
#[test]
fn segments_expire_by_their_files_times() {
    const RESERVED_MS: i64 = 72 * 3_600_000;
    let world = World::new();
    let store = world.open();
    for number in 0..60 {
        send(&store, "A", 0, &format!("{number}{}", "x".repeat(200)));
        if number == 29 {
            store.keep_house(true).unwrap();
            world.disk.set_now(START_MS + RESERVED_MS);
        }
    }
    store.keep_house(true).unwrap();
    let all = world.names("commitlog").len();
    world.clock.set(START_MS + RESERVED_MS + 3_600_000);
    let mut deleted = 0;
    while let count @ 1.. = store.delete_expired_segments() {
        deleted += count;
    }
    assert!((1..all - 1).contains(&deleted), "{deleted} of {all}");
    assert_eq!(store.min_physical_offset(), (deleted * 4096) as i64);
    store.close().unwrap();
    assert_eq!(world.open().delete_expired_segments(), 0);
}

/// Rule 16: what 5.3 keeps beside the files of 4.9 stays as it is.
#[test]
fn files_of_later_releases_are_left_alone() {
    let world = World::new();
    store_with(&world, 5);
    let foreign = [
        "abort.bak",
        "timerwheel",
        "timercheck",
        "timerlog/00000000000000000000",
        "compaction/position-checkpoint",
        "config/timercheck",
    ];
    for name in foreign {
        world.put(name, 7, b"foreign");
    }
    for clean in [true, false] {
        if !clean {
            world.put("abort", 0, b"");
        }
        let store = world.open();
        assert_eq!((store.max_offset("A", 0), store.max_offset("B", 0)), (5, 0));
        assert_eq!(store.clean_expired_queues(), 0);
        store.close().unwrap();
        for name in foreign {
            assert_eq!(world.bytes(name), b"foreign", "{name}");
        }
        java::open(&world).unwrap();
    }
}

/// Rule 17: a folder with batch consume queues is refused before anything is made in it, by the topic's name;
/// without a topic in it their folder is no matter.
#[test]
fn batch_consume_queues_are_refused() {
    let world = World::new();
    store_with(&world, 5);
    world.disk.create_dir_all(&world.path("batchconsumequeue")).unwrap();
    world.open().close().unwrap();
    world.put("batchconsumequeue/B/0/00000000000000000000", 46, b"");
    let before = world.names("");
    let refusal = world.try_open().unwrap_err().to_string();
    assert!(refusal.starts_with("/store/batchconsumequeue/B: batch consume queues of 5.x"), "{refusal}");
    assert_eq!(
        (world.names(""), world.bytes("batchconsumequeue/B/0/00000000000000000000").len()),
        (before, 46)
    );
}

/// Entries that Java wrote with `enableConsumeQueueExt` hold a place instead of a tags code: filters, due times
/// and `entry` find the code all the same, a record that cannot be read goes out, and files of units go when
/// nothing refers to them.
#[test]
fn entries_of_consumequeue_ext() {
    let world = World::new();
    let store = world.open();
    for number in 0..6 {
        let topic = ["A", "B"][number % 2];
        let mut message = message("T", 0, &number.to_string());
        message.properties = format!("TAGS\u{1}{topic}").into();
        try_send(&store, message).unwrap();
    }
    let mut delayed = message("SCHEDULE_TOPIC_XXXX", 1, "later");
    delayed.properties = "DELAY\u{1}2".into();
    try_send(&store, delayed).unwrap();
    let before: Vec<_> = (0..6).map(|offset| store.entry("T", 0, offset)).collect();
    let due = store.entry("SCHEDULE_TOPIC_XXXX", 1, 0);
    store.close().unwrap();
    // Files of 100 bytes of units; what Java gives the places is not looked at.
    let refer = |topic: &str, number: u64, place: i64| {
        let file = world.file(&format!("consumequeue/{topic}/00000000000000000000"));
        file.write_at(&(place + i64::MIN).to_be_bytes(), number * 20 + 12).unwrap();
    };
    for number in 1..4 {
        refer("T/0", number, 200 + number as i64 * 20);
    }
    refer("SCHEDULE_TOPIC_XXXX/1", 0, 0);
    for name in ["T/0/00000000000000000000", "T/0/00000000000000000100", "T/0/00000000000000000200"] {
        world.put(&format!("consumequeue_ext/{name}"), 100, &[]);
    }
    world.put("consumequeue_ext/SCHEDULE_TOPIC_XXXX/1/00000000000000000000", 100, &[]);
    world.put("consumequeue_ext/Gone/0/00000000000000000000", 100, &[]);

    let store = world.open();
    assert_eq!((0..6).map(|offset| store.entry("T", 0, offset)).collect::<Vec<_>>(), before);
    assert_eq!(store.entry("SCHEDULE_TOPIC_XXXX", 1, 0), due);
    let tag_b = ferrocket_protocol::message::tags_code(Some("B"));
    let found = store.get("T", 0, 0, &GetLimits::default(), &|code| code == tag_b);
    assert_eq!((found.message_count, found.next_begin_offset), (3, 6));
    assert_eq!(world.names("consumequeue_ext"), ["SCHEDULE_TOPIC_XXXX", "T"]);
    assert_eq!(world.names("consumequeue_ext/T/0"), ["00000000000000000200"]);
    store.delete_topic("T").unwrap();
    assert_eq!(world.names("consumequeue_ext"), ["SCHEDULE_TOPIC_XXXX"]);
}

/// An entry is the disk's word and may say anything, first of a file, last or between: the store opens, and a reader gets
/// past it.
#[test]
fn entries_may_say_anything() {
    let nonsense = [
        (i64::MAX - 1, 100),
        (i64::MAX, i32::MAX),
        (i64::MAX, -1),
        (i64::MIN, 1),
        (-1, i32::MIN),
        (1, i32::MAX),
        (0, 0),
    ];
    for (physical, size) in nonsense {
        for number in [0, 3, 9, 25, 59] {
            let world = World::new();
            store_with(&world, 60);
            let file = world.file(&format!("consumequeue/A/0/{:020}", number / 10 * 200));
            let entry = [&physical.to_be_bytes()[..], &i32::to_be_bytes(size)].concat();
            file.write_at(&entry, number % 10 * 20).unwrap();
            let store = world.open();
            let (mut offset, mut count) = (store.min_offset("A", 0), 0);
            while offset < store.max_offset("A", 0) {
                let limits = GetLimits::default();
                let found = store.get("A", 0, offset, &limits, &|_| true);
                let wanted = store.get_wanted("A", 0, offset, &limits, &|_, _| true, &|_| true);
                assert!(found.next_begin_offset > offset && wanted.next_begin_offset > offset);
                count += found.message_count;
                offset = found.next_begin_offset;
            }
            assert!(count > 0, "{physical} {size} at {number}");
            send(&store, "A", 0, "more");
            store.close().unwrap();
            world.open().close().unwrap();
        }
    }
}

/// So may a record say what number it has: one that no file can have a place for is in no queue, and the others are.
#[test]
fn numbers_may_be_anything() {
    for number in [i64::MIN, -1, i64::MAX / 20 - 1, i64::MAX / 20 + 1, i64::MAX] {
        let world = World::new();
        store_with(&world, 3);
        let last = 2 * u64::from(u32::from_be_bytes(world.bytes(LOG)[..4].try_into().unwrap()));
        world.file(LOG).write_at(&number.to_be_bytes(), last + 20).unwrap();
        world.disk.remove_file(&world.path(QUEUE)).unwrap();
        world.put("abort", 0, b"");
        let store = world.open();
        assert_eq!(bodies(&store, "A", 0), ["0", "1"], "{number}");
        send(&store, "A", 0, "more");
        store.close().unwrap();
        assert_eq!(bodies(&world.open(), "A", 0), ["0", "1", "more"], "{number}");
    }
}
