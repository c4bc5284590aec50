//! What surrounds the log: lock, retention, a full disk, config files, the real disk and the threads.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ferrocket_store::{
    AppendError, Call, ConfigFiles, Disk, DiskSpace, Fault, FlushDiskType, OpenError, OsDisk, Store,
    StoreConfig, SystemClock,
};

use crate::world::{START_MS, World, bodies, get, message, send, try_send};

const HOUR_MS: i64 = 3_600_000;

/// A second store on the same folder is refused before it reads anything, and may open when the first ends.
#[test]
fn one_store_at_a_time() {
    let world = World::new();
    let store = world.open();
    let refusal = world.try_open().unwrap_err();
    assert!(matches!(refusal, OpenError::Locked { .. }));
    assert!(refusal.to_string().starts_with("Lock failed,MQ already started"));
    store.close().unwrap();
    assert_eq!(world.bytes("lock"), b"lock");
    world.open();
}

/// However many queues there are, few of their files are open at once: while they are written and read, when the
/// disk has no room for them, at a start after a kill, at one that has to cut them all, and at the end.
#[test]
fn many_queues_open_few_files() {
    const QUEUES: i32 = 600;
    // The documented limit, and some for log, index, checkpoint and what is in use just now.
    const OPEN_MAX: usize = 256 + 12;
    let mut world = World::new();
    world.config.mapped_file_size_commit_log = 1 << 20;
    world.config.max_index_num = 20_000;
    world.disk.set_open_max(OPEN_MAX);
    let expect = |store: &Store, expected: &[&str]| {
        (0..QUEUES).for_each(|queue| assert_eq!(bodies(store, "A", queue), expected, "queue {queue}"));
    };
    let send_all = |store: &Store, body: &str| {
        (0..QUEUES).for_each(|queue| drop(send(store, "A", queue, body)));
    };
    let mut store = world.open();
    send_all(&store, "1");
    (1..QUEUES as u64 / 2).for_each(|nth| {
        world.disk.inject(Call::Write, nth, Fault::Fail(ErrorKind::StorageFull));
    });
    store.keep_house(true).unwrap();
    store.delete_expired_segments();
    store.keep_house(true).unwrap();
    assert!(store.is_writable());
    expect(&store, &["1"]);
    send_all(&store, "2");
    store.keep_house(false).unwrap();
    store.abandon();
    world.disk.kill();
    store = world.open();
    expect(&store, &["1", "2"]);
    store.flush().unwrap();
    send_all(&store, "3");
    store.keep_house(false).unwrap();
    let log = world.file("commitlog/00000000000000000000");
    log.zero_from(store.flushed_offset() as u64).unwrap();
    world.disk.sync_all(&world.path("")).unwrap();
    store.abandon();
    world.disk.reboot(1);
    store = world.open();
    expect(&store, &["1", "2"]);
    store.close().unwrap();
    drop(store);
    expect(&world.open(), &["1", "2"]);
}

fn on_os_disk(root: &Path, mode: FlushDiskType) -> StoreConfig {
    StoreConfig {
        store_path_root_dir: root.to_path_buf(),
        mapped_file_size_commit_log: 1 << 16,
        max_message_size: 4096,
        max_hash_slot_num: 100,
        max_index_num: 1000,
        flush_disk_type: mode,
        flush_interval_commit_log: Duration::from_millis(1),
        flush_interval_consume_queue: Duration::from_millis(1),
        flush_consume_queue_thorough_interval: Duration::from_millis(5),
        disk_space_warning_level_ratio: 100,
        ..StoreConfig::default()
    }
}

/// The real disk and the threads: messages become durable without anybody asking, segments roll, files have
/// their full length, and the lock is this process's and another store's.
#[tokio::test]
async fn the_real_disk_and_the_threads() {
    for mode in [FlushDiskType::AsyncFlush, FlushDiskType::SyncFlush] {
        let root = tempfile::tempdir().unwrap();
        let config = on_os_disk(root.path(), mode);
        let open = || Store::open(config.clone(), Arc::new(OsDisk), Arc::new(SystemClock));
        let store = open().unwrap();
        assert!(matches!(open(), Err(OpenError::Locked { .. })));
        for number in 0..300 {
            let body = format!("{number}{}", "x".repeat(400));
            let appended = send(&store, "A", number % 3, &body);
            store.wait_durable(appended.end_offset).await.unwrap();
        }
        store.close().unwrap();
        assert_eq!(store.close(), Ok(()));
        assert!(!root.path().join("abort").exists());
        for entry in OsDisk.list(&root.path().join("commitlog")).unwrap() {
            assert_eq!(entry.len, 1 << 16);
        }
        let again = open().unwrap();
        assert_eq!((0..3).map(|id| bodies(&again, "A", id).len()).sum::<usize>(), 300);
        again.abandon();
        assert!(root.path().join("abort").exists());
        assert_eq!(bodies(&open().unwrap(), "A", 2).len(), 100);
    }
}

/// Punched tails of real files read as zeros and keep their length.
#[test]
fn real_files_are_zeroed_in_place() {
    let root = tempfile::tempdir().unwrap();
    let file = OsDisk.create(&root.path().join("f"), 10_000).unwrap();
    file.write_at(&[7; 10_000], 0).unwrap();
    file.zero_from(5_000).unwrap();
    let mut bytes = [1; 10_000];
    assert_eq!(file.read_at(&mut bytes, 0).unwrap(), 10_000);
    assert!(bytes[..5_000].iter().all(|byte| *byte == 7) && bytes[5_000..].iter().all(|byte| *byte == 0));
    assert_eq!(file.len().unwrap(), 10_000);
}

fn fill(world: &World, store: &Store, messages: i64) {
    for number in 0..messages {
        world.clock.advance(HOUR_MS);
        world.disk.set_now(START_MS + (number + 1) * HOUR_MS);
        send(store, ["A", "B"][(number / 20 % 2) as usize], 0, &format!("{number}{}", "x".repeat(1000)));
    }
    store.keep_house(true).unwrap();
}

/// Segments go when their time is over, oldest first; queues follow; the last segment and each queue's last
/// file stay, so that offsets go on where they were.
#[test]
fn expired_segments_go() {
    let world = World::new();
    let store = world.open();
    fill(&world, &store, 60);
    world.clock.set(START_MS + 2000 * HOUR_MS);
    let mut deleted = 0;
    while let count @ 1.. = store.delete_expired_segments() {
        assert!(count <= 10);
        deleted += count;
    }
    assert!(deleted >= 18);
    assert_eq!(store.min_physical_offset(), deleted as i64 * 4096);
    let (min, max) = (store.min_offset("A", 0), store.max_offset("A", 0));
    assert_eq!(max, 40);
    assert_eq!(get(&store, "A", 0, 0).next_begin_offset, min);
    assert_eq!((store.min_offset("B", 0), store.max_offset("B", 0)), (20, 20));
    assert_eq!(world.names("consumequeue/B/0"), ["00000000000000000200"]);
    assert!(world.names("index").len() < 4);
    store.close().unwrap();
    let store = world.open();
    assert_eq!((store.min_offset("A", 0), store.max_offset("A", 0)), (min, max));
    assert_eq!((store.min_offset("B", 0), store.max_offset("B", 0)), (20, 20));
    assert_eq!(send(&store, "B", 0, "next").queue_offset, 20);
    assert_eq!(store.clean_expired_queues(), 0);
}

/// A queue whose messages are all gone goes when the operator asks; a deleted topic begins at 0 again, also
/// after a crash.
#[test]
fn queues_are_removed_on_request() {
    let world = World::new();
    let store = world.open();
    fill(&world, &store, 60);
    world.clock.set(START_MS + 2000 * HOUR_MS);
    while store.delete_expired_segments() > 0 {}
    assert_eq!(store.clean_expired_queues(), 1);
    assert_eq!(store.max_offset("B", 0), 0);
    store.delete_topic("A").unwrap();
    assert_eq!(send(&store, "A", 0, "anew").queue_offset, 0);
    assert!(
        !world.names("consumequeue").contains(&"B".to_owned()) || world.names("consumequeue/B").is_empty()
    );
    store.abandon();
    world.disk.kill();
    assert_eq!(bodies(&world.open(), "A", 0), ["anew"]);
}

/// Above the warning level nothing is stored, until there is room again; a full disk costs old segments.
#[test]
fn a_full_disk_refuses() {
    let world = World::new();
    let store = world.open();
    fill(&world, &store, 20);
    world.disk.set_space(DiskSpace { used: 91, available: 9 });
    assert!(store.delete_expired_segments() > 0);
    assert_eq!(try_send(&store, message("A", 0, "no")), Err(AppendError::DiskFull));
    assert_eq!(store.status().disk_used_percent, 91);
    world.disk.set_space(DiskSpace { used: 80, available: 20 });
    assert_eq!(store.delete_expired_segments(), 0);
    send(&store, "A", 0, "yes");
}

/// The fuller of the disks of CommitLog and root counts. Above 85 percent segments go before their time, unless
/// `cleanFileForciblyEnable` is off; up to it they do not.
#[test]
fn the_fuller_disk_counts() {
    for (forcibly, used, gone) in [(true, 86, true), (true, 85, false), (false, 99, false)] {
        for dir in ["/store", "/log"] {
            let mut world = World::new();
            world.config.store_path_commit_log = Some("/log".into());
            world.config.clean_file_forcibly_enable = forcibly;
            let store = world.open();
            fill(&world, &store, 20);
            world.disk.set_space_of(Path::new(dir), DiskSpace { used, available: 100 - used });
            let deleted = store.delete_expired_segments();
            assert_eq!(deleted > 0, gone, "{forcibly} {used} {dir}");
            assert_eq!(store.status().disk_used_percent, used as i64);
            assert_eq!(store.is_writable(), used <= 90);
        }
    }
}

/// An open store takes a shorter retention, other bounds of the disk, and other sizes of messages and answers; what
/// is longer than it would take now can still be read.
#[test]
fn settings_change_while_open() {
    let mut world = World::new();
    world.config.mapped_file_size_commit_log = 8 << 20;
    world.config.max_message_size = 5 << 20;
    let store = world.open();
    let long = send(&store, "L", 0, &"x".repeat(5 << 20));
    send(&store, "L", 0, &"x".repeat(5 << 20));
    world.disk.set_space(DiskSpace { used: 93, available: 7 });
    assert_eq!(store.delete_expired_segments(), 1, "before its time");
    assert_eq!(try_send(&store, message("A", 0, "no")), Err(AppendError::DiskFull));
    let at = store.max_physical_offset() - (long.end_offset - long.physical_offset);
    let mut config = world.config.clone();
    config.disk_space_warning_level_ratio = 95;
    config.disk_space_clean_forcibly_ratio = 94;
    config.max_message_size = 3;
    config.max_transfer_count_on_message_in_memory = 2;
    config.mapped_file_size_commit_log = 4096;
    store.reconfigure(config.clone());
    assert_eq!(store.delete_expired_segments(), 0);
    (0..3).for_each(|_| drop(send(&store, "A", 0, "yes")));
    assert_eq!(try_send(&store, message("A", 0, "long")), Err(AppendError::Size { len: 4, max: 3 }));
    assert_eq!(get(&store, "A", 0, 0).message_count, 2);
    assert!(store.record_at(at).is_some());
    config.max_message_size = 5 << 20;
    store.reconfigure(config.clone());
    send(&store, "L", 0, &"x".repeat(5 << 20));
    world.clock.advance(2 * HOUR_MS);
    assert_eq!(store.delete_expired_segments(), 0);
    config.file_reserved_time = 1;
    store.reconfigure(config);
    assert_eq!(store.delete_expired_segments(), 1);
}

/// A clock that was set back keeps segments until their time by that clock, whatever the disk then needs; one that
/// runs ahead lets go what has expired by it, and never the last segment. Offsets go on in any case.
#[test]
fn retention_when_the_clock_steps() {
    let world = World::new();
    let store = world.open();
    fill(&world, &store, 20);
    world.clock.set(START_MS - 365 * 24 * HOUR_MS);
    assert_eq!(store.delete_expired_segments(), 0);
    let back = send(&store, "A", 0, "back");
    assert_eq!(back.store_timestamp, START_MS - 365 * 24 * HOUR_MS);
    world.disk.set_space(DiskSpace { used: 86, available: 14 });
    assert!(store.delete_expired_segments() > 0);
    world.disk.set_space(DiskSpace { used: 1, available: 99 });
    world.clock.set(START_MS + 10 * 365 * 24 * HOUR_MS);
    while store.delete_expired_segments() > 0 {}
    assert!(store.min_physical_offset() < store.max_physical_offset());
    assert_eq!(send(&store, "A", 0, "ahead").queue_offset, back.queue_offset + 1);
    let (min, max) = (store.min_offset("A", 0), store.max_offset("A", 0));
    store.abandon();
    world.disk.kill();
    let store = world.open();
    assert_eq!((store.min_offset("A", 0), store.max_offset("A", 0)), (min, max));
    assert_eq!(bodies(&store, "A", 0).pop().as_deref(), Some("ahead"));
}

/// A config file is replaced whole or not at all, and the former version is kept beside it.
#[test]
fn config_files_are_replaced_whole() {
    let world = World::new();
    let store = world.open();
    let files = store.config_files();
    assert_eq!(files.read("topics.json").unwrap(), None);
    files.replace("topics.json", "one").unwrap();
    files.replace("topics.json", "two").unwrap();
    assert_eq!(files.read("topics.json").unwrap().as_deref(), Some("two"));
    assert_eq!(files.read_backup("topics.json").unwrap().as_deref(), Some("one"));
    // Java deletes the file before it renames: a crash between leaves only the backup.
    world.disk.remove_file(&world.path("config/topics.json")).unwrap();
    assert_eq!(files.read("topics.json").unwrap().as_deref(), Some("one"));
    world.put("config/topics.json", 0, b"");
    assert_eq!(files.read("topics.json").unwrap().as_deref(), Some("one"));
    store.close().unwrap();
    for (call, count) in [(Call::Sync, 2), (Call::Rename, 2), (Call::SyncDir, 1), (Call::Create, 2)] {
        for nth in 1..=count {
            let world = World::new();
            let store = world.open();
            store.config_files().replace("f", "one").unwrap();
            store.config_files().replace("f", "two").unwrap();
            world.disk.inject(call, nth, Fault::PowerCut);
            assert!(store.config_files().replace("f", "three").is_err());
            store.abandon();
            world.disk.reboot(nth);
            let text = world.open().config_files().read("f").unwrap().unwrap();
            assert!(text == "two" || text == "three", "{call:?} {nth}: {text}");
        }
    }
}

/// A config file that only its owner may read stays one, and so does its former version.
#[cfg(unix)]
#[test]
fn config_files_stay_as_closed_as_they_are() {
    use std::fs::{Permissions, metadata, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.conf");
    write(&path, "secretKey=a").unwrap();
    set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let files = ConfigFiles::new(Arc::new(OsDisk), folder.path().to_owned());
    files.replace("broker.conf", "secretKey=b").unwrap();
    for path in [path.with_added_extension("bak"), path] {
        assert_eq!(metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{path:?}");
    }
}

/// Settings with which nothing could be stored are refused by name.
#[test]
fn settings_are_checked() {
    let refused = |change: &dyn Fn(&mut StoreConfig)| {
        let mut world = World::new();
        change(&mut world.config);
        world.try_open().unwrap_err().to_string()
    };
    assert!(
        refused(&|config| config.mapped_file_size_commit_log = 0).contains("mapped_file_size_commit_log 0")
    );
    assert!(refused(&|config| config.message_delay_level = "1x".to_owned()).contains("messageDelayLevel"));
}
