//! FORMATS §30: what Java refuses, cuts or destroys, one test per rule, from both sides.

use ferrocket_store::{Disk, GetStatus, OpenError};

use crate::java;
use crate::world::{START_MS, World, bodies, get, send};

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
    let second =
        i64::from(u32::from_be_bytes(world.bytes("commitlog/00000000000000000000")[..4].try_into().unwrap()));
    world
        .file("commitlog/00000000000000000000")
        .write_at(&[0xDA, 0xA3, 0x20, 0xA8], second as u64 + 4)
        .unwrap();
    assert!(
        matches!(world.try_open(), Err(OpenError::Damaged { physical_offset, .. }) if physical_offset == second)
    );
    assert_eq!(java::open(&world).unwrap().log_end, second);
    world.config.cut_damaged_log = true;
    let store = world.open();
    assert_eq!(store.max_physical_offset(), second);
    assert_eq!(bodies(&store, "A", 0), ["0"]);
    let log = world.bytes("commitlog/00000000000000000000");
    assert!(log[second as usize..].iter().all(|byte| *byte == 0));
    let queue = world.bytes("consumequeue/A/0/00000000000000000000");
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
    world.disk.remove_file(&world.path("commitlog/00000000000000000000")).unwrap();
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
    let queue = world.file("consumequeue/A/0/00000000000000000000");
    let first = world.bytes("consumequeue/A/0/00000000000000000000")[..20].to_vec();
    let b = world.bytes("consumequeue/B/0/00000000000000000000")[..20].to_vec();
    // An entry whose record is another queue's, and one that goes back.
    queue.write_at(&b, 80).unwrap();
    queue.write_at(&first, 100).unwrap();
    let store = world.open();
    assert_eq!(store.max_offset("A", 0), 4);
    assert_eq!(send(&store, "A", 0, "4").queue_offset, 4);
    assert_eq!(bodies(&store, "A", 0).len(), 5);
    store.close().unwrap();
    assert!(world.bytes("consumequeue/A/0/00000000000000000000")[100..].iter().all(|byte| *byte == 0));
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
    world.disk.remove_file(&world.path("commitlog/00000000000000000000")).unwrap();
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
    let log = world.bytes("commitlog/00000000000000000000");
    let mut at = 0;
    for _ in 0..6 {
        at += u32::from_be_bytes(log[at..at + 4].try_into().unwrap()) as usize;
    }
    world.file("commitlog/00000000000000000000").write_at(&[0; 8], at as u64).unwrap();
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
