//! Every row of the golden vectors that is a format of the store, in both directions.

use ferrocket_protocol::message::tags_code;

use crate::consume_queue::QueueEntry;
use crate::disk::{Disk, OsDisk, SimDisk};
use vectors::Owner;

#[path = "../../../protocol/tests/it/vectors.rs"]
mod vectors;

/// A row that no branch knows fails: a new vector cannot be forgotten.
#[test]
fn every_row() {
    let entry = |physical_offset, size, tags_code| QueueEntry { physical_offset, size, tags_code };
    for row in vectors::of(Owner::Store) {
        let expected = match row.name.as_str() {
            "consume queue entry" => entry(197, 206, tags_code(Some("TagB"))),
            // The time at which the message is due.
            "consume queue entry, SCHEDULE_TOPIC_XXXX queue 2" => entry(815, 244, 1_795_395_441_530),
            "consume queue entry in DLedger mode" => entry(48, 153, tags_code(Some("TagR"))),
            "lock file" => {
                lock_file(&row.bytes);
                continue;
            }
            other => panic!("no test for {other}"),
        };
        assert_eq!(QueueEntry::read(&row.bytes), Some(expected));
        assert_eq!(expected.to_bytes(), row.bytes[..]);
    }
}

/// Java's file is taken as it is, and a new one gets the same bytes, on either disk.
fn lock_file(bytes: &[u8]) {
    let root = tempfile::tempdir().unwrap();
    for disk in [&OsDisk as &dyn Disk, &SimDisk::new()] {
        disk.create_dir_all(root.path()).unwrap();
        for (name, content) in [("new", &b""[..]), ("java", bytes)] {
            let path = root.path().join(name);
            disk.create(&path, content.len() as u64).unwrap().write_at(content, 0).unwrap();
            let lock = disk.lock(&path).unwrap().unwrap();
            lock.mark().unwrap();
            let file = disk.open(&path).unwrap();
            let mut written = vec![0; file.len().unwrap() as usize];
            file.read_at(&mut written, 0).unwrap();
            assert_eq!(written, bytes, "{name}");
            assert!(disk.lock(&path).unwrap().is_none(), "held twice");
        }
    }
}
