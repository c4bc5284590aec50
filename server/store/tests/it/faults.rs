//! Calls that fail: nothing is acknowledged that may be lost, and nothing is stored on top of it.

use std::io::ErrorKind;

use ferrocket_store::{AppendError, Call, Disk, Fault, GetStatus, Store, StoreError};

use crate::world::{START_MS, World, bodies, get, key_of, message, send, singles, try_send};

/// After a failed sync the store takes nothing, acknowledges nothing, and keeps the abort file.
#[tokio::test]
async fn a_failed_sync_ends_the_store() {
    let world = World::new().sync_flush();
    let store = world.open();
    let durable = send(&store, "A", 0, "durable");
    store.flush().unwrap();
    let lost = send(&store, "A", 0, "perhaps lost");
    world.disk.inject(Call::Sync, 1, Fault::Fail(ErrorKind::Other));
    assert!(matches!(store.flush(), Err(StoreError::Failed(_))));
    assert!(matches!(store.flush(), Err(StoreError::Failed(_))), "a second sync proves nothing");
    assert_eq!(store.wait_durable(durable.end_offset).await, Ok(()));
    assert!(matches!(store.wait_durable(lost.end_offset).await, Err(StoreError::Failed(_))));
    assert_eq!(
        store.flush().unwrap_err().to_string(),
        "the message store failed: syncing the CommitLog: other error"
    );
    assert!(matches!(try_send(&store, message("A", 0, "more")), Err(AppendError::Failed(_))));
    assert!(!store.is_writable());
    assert_eq!(bodies(&store, "A", 0), ["durable"]);
    assert!(store.close().is_err());
    assert!(world.names("").contains(&"abort".to_owned()));
    let store = world.open();
    assert_eq!(bodies(&store, "A", 0)[0], "durable");
    send(&store, "A", 0, "again");
}

/// What the system takes for written after a failed sync, although it is not, is written again by the next start:
/// the power may go later, when more is stored behind it.
#[test]
fn a_failed_sync_is_made_good_at_the_next_start() {
    for seed in 0..40 {
        let world = World::new().sync_flush();
        let store = world.open();
        let body = |number: i32| format!("{number:03}{}", "x".repeat(400));
        (0..5).for_each(|number| drop(send(&store, "A", 0, &body(number))));
        store.keep_house(true).unwrap();
        world.clock.advance(10_000);
        (5..20).for_each(|number| drop(send(&store, "A", 0, &body(number))));
        // The log's, the queue's or the index's.
        world.disk.inject(Call::Sync, seed % 5 + 1, Fault::Fail(ErrorKind::Other));
        assert!(store.keep_house(true).is_err());
        store.abandon();
        world.disk.kill();
        let store = world.open();
        assert_eq!(bodies(&store, "A", 0).len(), 20);
        (20..40).for_each(|number| drop(send(&store, "A", 0, &body(number))));
        store.keep_house(true).unwrap();
        store.abandon();
        world.disk.reboot(seed);
        let store = world.open();
        assert_eq!(bodies(&store, "A", 0), (0..40).map(body).collect::<Vec<_>>(), "seed {seed}");
        assert_eq!(indexed(&store), 40, "seed {seed}");
    }
}

/// A sync that fails for want of room is a failed sync: what it was to write is not on the disk when a later one
/// succeeds.
#[test]
fn a_sync_without_room_is_no_full_disk() {
    for seed in 0..80 {
        let world = World::new().sync_flush();
        let store = world.open();
        let body = |number: i32| format!("{number:03}{}", "x".repeat(100));
        for number in 0..150 {
            world.clock.advance(1_000);
            send(&store, "A", 0, &body(number));
            // Written out, and not synced.
            store.keep_house(false).unwrap();
        }
        store.flush().unwrap();
        world.disk.inject(Call::Sync, seed % 8 + 1, Fault::Fail(ErrorKind::StorageFull));
        // Where that was no failure, the second round is to make it good.
        let _: [Result<(), StoreError>; 2] = [(); 2].map(|()| store.keep_house(true));
        store.abandon();
        world.disk.reboot(seed);
        let store = world.open();
        assert_eq!(bodies(&store, "A", 0).len(), 150, "seed {seed}");
        assert_eq!(indexed(&store), 150, "seed {seed}");
    }
}

/// After the clock was set back by days, the checkpoint's time does not vouch for what is stored then: not when the
/// power goes, nor when a sync of the next start fails besides.
#[test]
fn a_clock_set_back_far_loses_nothing() {
    for seed in 0..60 {
        let world = World::new().sync_flush();
        let store = world.open();
        let body = |number: i32| format!("{number:03}{}", "x".repeat(400));
        (0..20).for_each(|number| drop(send(&store, "A", 0, &body(number))));
        store.keep_house(true).unwrap();
        world.clock.set(START_MS - 7 * 86_400_000);
        for number in 20..60 {
            world.clock.advance(1_000);
            send(&store, "A", 0, &body(number));
        }
        store.flush().unwrap();
        store.keep_house(false).unwrap();
        store.abandon();
        world.disk.reboot(seed);
        world.disk.inject(Call::Sync, seed % 20 + 1, Fault::Fail(ErrorKind::Other));
        if let Ok(store) = world.try_open() {
            let _ = store.keep_house(true);
            store.abandon();
        }
        world.disk.kill();
        let store = world.open();
        store.keep_house(true).unwrap();
        store.abandon();
        world.disk.reboot(seed + 1);
        let store = world.open();
        assert_eq!(bodies(&store, "A", 0), (0..60).map(body).collect::<Vec<_>>(), "seed {seed}");
        assert_eq!(indexed(&store), 60, "seed {seed}");
    }
}

/// Where an appender flushes because too many messages wait for it, it is told that this failed.
#[test]
fn a_flush_for_too_many_waiting_messages_may_fail() {
    let mut world = World::new().sync_flush();
    world.config.mapped_file_size_commit_log = 1 << 27;
    world.config.message_index_enable = false;
    let store = world.open();
    send(&store, "A", 0, "makes the segment");
    store.flush().unwrap();
    world.disk.inject(Call::Sync, 1, Fault::Fail(ErrorKind::Other));
    let answers = store.append(singles(vec![message("A", 0, ""); (1 << 18) + 1]));
    let refused = answers.iter().filter(|answer| matches!(answer, Err(AppendError::Failed(_)))).count();
    assert_eq!(refused, answers.len());
}

/// A failed write refuses its group; a short one is finished.
#[test]
fn failed_writes_are_refused() {
    let world = World::new();
    let store = world.open();
    world.disk.inject(Call::Write, 1, Fault::Short(10));
    send(&store, "A", 0, "short");
    world.disk.inject(Call::Write, 1, Fault::Fail(ErrorKind::Other));
    assert!(matches!(try_send(&store, message("A", 0, "failed")), Err(AppendError::Failed(_))));
    assert!(matches!(try_send(&store, message("A", 0, "later")), Err(AppendError::Failed(_))));
    assert_eq!(bodies(&store, "A", 0), ["short"]);
    assert!(store.status().refuses.is_some());
    store.abandon();
    world.disk.kill();
    assert_eq!(bodies(&world.open(), "A", 0), ["short"]);
}

/// A write that finds the disk full refuses what did not fit and nothing else. Once there is room, messages get
/// the offsets that the refused ones would have had, and a crash brings none of those back.
#[test]
fn a_full_disk_is_not_the_end() {
    // In a segment, and in the middle of a group that goes on in the next one.
    for (before, stored) in [(1, 0), (12, 2)] {
        let world = World::new();
        let store = world.open();
        let text = |number: usize| format!("{number:03}{}", "x".repeat(130));
        let sent: Vec<String> = (0..before).map(text).collect();
        for body in &sent {
            send(&store, "A", 0, body);
        }
        store.keep_house(true).unwrap();
        let group: Vec<_> = (before..before + 6).map(|number| message("A", 0, &text(number))).collect();
        // The first write is the group's, or what of it fits into the segment, then come the blank and the rest.
        if stored == 0 {
            world.disk.inject(Call::Write, 1, Fault::Short(700));
            world.disk.inject(Call::Write, 2, Fault::Fail(ErrorKind::StorageFull));
        } else {
            world.disk.inject(Call::Write, 3, Fault::Fail(ErrorKind::StorageFull));
        }
        let answers = store.append(singles(group));
        let count = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!((answers.len(), count), (6, stored), "{answers:?}");
        assert!(answers[count..].iter().all(|answer| *answer == Err(AppendError::DiskFull)));
        assert_eq!(try_send(&store, message("A", 0, "too early")), Err(AppendError::DiskFull));
        let kept = before + stored;
        assert_eq!(store.max_offset("A", 0), kept as i64);
        // The expirer finds room.
        store.delete_expired_segments();
        assert_eq!(send(&store, "A", 0, &text(kept)).queue_offset, kept as i64);
        let expected: Vec<String> = (0..=kept).map(text).collect();
        assert_eq!(bodies(&store, "A", 0), expected);
        store.abandon();
        world.disk.kill();
        let store = world.open();
        assert_eq!(bodies(&store, "A", 0), expected);
        assert!(store.query("A", "k-too early", 1, 0, i64::MAX).records.is_empty());
    }
}

/// What the keeper cannot write to a full disk stays in memory, is read from there, and is written later.
#[test]
fn queues_wait_for_room() {
    for nth in 1..6 {
        let world = World::new();
        let store = world.open();
        (0..5).for_each(|number| drop(send(&store, "A", number, "first")));
        world.disk.inject(Call::Write, nth, Fault::Fail(ErrorKind::StorageFull));
        store.keep_house(true).unwrap();
        assert!(!store.is_writable(), "write {nth}");
        assert!(world.names("building").len() <= 1, "nothing but the next segment is left");
        store.delete_expired_segments();
        (0..5).for_each(|number| drop(send(&store, "A", number, "second")));
        let check = |store: &ferrocket_store::Store| {
            (0..5).for_each(|number| {
                assert_eq!(bodies(store, "A", number), ["first", "second"], "write {nth}")
            });
        };
        check(&store);
        store.keep_house(true).unwrap();
        assert!(store.is_writable());
        check(&store);
        store.close().unwrap();
        check(&world.open());
    }
}

/// Where the names of a queue's files found no room, they are synced when there is: before a second file is made.
#[test]
fn names_wait_for_room() {
    let world = World::new();
    let store = world.open();
    (0..5).for_each(|number| drop(send(&store, "A", 0, &number.to_string())));
    store.keep_house(false).unwrap();
    // Queue files have ten entries.
    (5..15).for_each(|number| drop(send(&store, "A", 0, &number.to_string())));
    world.disk.inject(Call::SyncDir, 1, Fault::Fail(ErrorKind::StorageFull));
    store.keep_house(false).unwrap();
    assert!(!store.is_writable());
    let before = world.disk.calls(Call::SyncDir);
    store.keep_house(false).unwrap();
    assert_eq!(world.names("consumequeue/A/0").len(), 2);
    // Those of the queue, its topic and all topics, and the second file's.
    assert_eq!(world.disk.calls(Call::SyncDir) - before, 4);
}

/// Whatever single call fails while the store works, closing either succeeds or leaves a folder that
/// recovers with everything that was durable.
#[test]
fn any_failing_call_is_survived() {
    for call in [Call::Write, Call::Sync, Call::SyncDir, Call::Create, Call::Rename, Call::Remove] {
        for nth in 1..40 {
            let world = World::new().sync_flush();
            let store = world.open();
            world.disk.inject(call, nth, Fault::Fail(ErrorKind::Other));
            let mut durable = 0;
            for number in 0..30 {
                let sent =
                    try_send(&store, message("A", number % 2, &format!("{number}{}", "x".repeat(200))));
                let _ = store.keep_house(number % 5 == 0);
                if sent.is_ok() && store.flush().is_ok() {
                    assert_eq!(durable, number, "{call:?} {nth}: nothing is stored behind a failure");
                    durable += 1;
                }
            }
            let _ = store.close();
            world.disk.kill();
            let store = world.open();
            let found = bodies(&store, "A", 0).len() + bodies(&store, "A", 1).len();
            assert!(found >= durable as usize, "{call:?} {nth}: {found} of {durable}");
        }
    }
}

/// How many messages of queue A 0 can be found by their key.
fn indexed(store: &Store) -> usize {
    let found = |body: &String| {
        let records = store.query("A", &format!("u-{}", key_of(body)), 9, 0, i64::MAX).records;
        records.len() == 1
    };
    bodies(store, "A", 0).iter().filter(|body| found(body)).count()
}

/// Where an index file could not be made, messages are stored without keys; the next start gives them theirs,
/// however the store ended.
#[test]
fn an_index_that_stopped_is_completed_at_the_next_start() {
    // The second file that the first message makes, and the first one behind a full index file.
    for (before, nth, closes) in [(0, 2, true), (0, 2, false), (13, 1, true), (13, 1, false)] {
        let world = World::new();
        let store = world.open();
        let send = |number: i32| {
            world.clock.advance(1_000);
            send(&store, "A", 0, &format!("{number:03}{}", "x".repeat(200)));
            store.keep_house(true).unwrap();
        };
        (0..before).for_each(send);
        world.disk.inject(Call::Create, nth, Fault::Fail(ErrorKind::StorageFull));
        (before..60).for_each(send);
        assert!(store.status().index_stopped.is_some());
        assert_eq!(indexed(&store), before as usize);
        if closes {
            store.close().unwrap();
        } else {
            store.abandon();
            world.disk.kill();
        }
        let store = world.open();
        assert_eq!(indexed(&store), 60, "{before} {closes}");
    }
}

/// Queues and index are made again from the log alone, both or one of them, however the store ended. The index,
/// of which Java makes less again, is on the disk as soon as the store is open.
#[test]
fn removed_queues_and_index_are_made_again() {
    let (queue, index) = ("consumequeue/A/0", "index");
    let removed = [vec![queue, index], vec![queue], vec![index]];
    for (closes, folders) in
        [true, false].into_iter().flat_map(|closes| removed.iter().map(move |folders| (closes, folders)))
    {
        let world = World::new();
        let store = world.open();
        for number in 0..60 {
            world.clock.advance(1_000);
            send(&store, "A", 0, &format!("{number:03}{}", "x".repeat(200)));
            store.keep_house(true).unwrap();
        }
        if closes {
            store.close().unwrap();
        } else {
            store.abandon();
            world.disk.kill();
        }
        for folder in folders {
            for name in world.names(folder) {
                world.disk.remove_file(&world.path(folder).join(name)).unwrap();
            }
        }
        let store = world.open();
        assert_eq!((bodies(&store, "A", 0).len(), indexed(&store)), (60, 60), "{closes} {folders:?}");
        let files = || world.names(index).iter().map(|name| world.bytes(&format!("index/{name}"))).collect();
        let opened: Vec<Vec<u8>> = files();
        store.close().unwrap();
        assert!(opened == files(), "{closes} {folders:?}");
    }
}

/// A queue's file that cannot be read once costs no message: the reader is sent to the same place again.
#[test]
fn a_failed_read_of_a_queue_skips_nothing() {
    let world = World::new();
    let store = world.open();
    (0..25).for_each(|number| drop(send(&store, "A", 0, &number.to_string())));
    store.keep_house(true).unwrap();
    world.disk.inject(Call::Read, 1, Fault::Fail(ErrorKind::Other));
    let failed = get(&store, "A", 0, 3);
    assert_eq!((failed.status, failed.next_begin_offset), (GetStatus::OffsetFoundNull, 3));
    assert_eq!(get(&store, "A", 0, 3).message_count, 22);
}

/// Single flipped bits of the log are found at the next start, or do not matter: no message is altered.
#[test]
fn flipped_bits_in_bodies_are_found() {
    for byte in 88..93 {
        let world = World::new();
        let store = world.open();
        send(&store, "A", 0, "hello");
        send(&store, "A", 0, "world");
        store.close().unwrap();
        world.disk.flip_bit(&world.path("commitlog/00000000000000000000"), byte, byte as u8);
        let refusal = world.try_open().unwrap_err();
        assert!(refusal.to_string().contains("is damaged at physical offset 0"), "{refusal}");
    }
}
