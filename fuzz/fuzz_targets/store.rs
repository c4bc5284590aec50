//! Files of ConsumeQueues, of their units and of the index, with damage anywhere, beside a log that is whole: the store
//! opens, answers and goes on.
#![no_main]

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use ferrocket_protocol::MessageRecord;
use ferrocket_store::{
    Append, BitMap, BitMaps, Disk, GetLimits, GetStatus, ManualClock, SimDisk, Store, StoreConfig,
};
use libfuzzer_sys::fuzz_target;

const START_MS: i64 = 1_700_000_000_000;
const MESSAGES: usize = 12;
/// Damaged together or alone, by the bits of the first byte; two more bits say that the store was not closed, and that
/// it is opened without units.
const DAMAGED: [&str; 4] = [
    "consumequeue/A/0/00000000000000000000",
    "consumequeue/A/0/00000000000000000200",
    "consumequeue_ext/A/0/00000000000000000000",
    "index/",
];
const UNCLEAN: u8 = 1 << 4;
const PLAIN: u8 = 1 << 5;

struct Bits;

impl BitMaps for Bits {
    fn bit_map(&self, _topic: &str, _properties: &str) -> Option<BitMap> {
        Some(BitMap { bits: vec![5; 14], filters: 0 })
    }

    fn is_current(&self, _bit_map: &BitMap) -> bool {
        true
    }
}

fn open(disk: &SimDisk, ext: bool) -> Arc<Store> {
    let config = StoreConfig {
        store_path_root_dir: PathBuf::from("/store"),
        mapped_file_size_commit_log: 8_192,
        mapped_file_size_consume_queue: 200,
        enable_consume_queue_ext: ext,
        mapped_file_size_consume_queue_ext: 1_000,
        max_hash_slot_num: 8,
        max_index_num: 40,
        background: false,
        memory_bytes: 1 << 30,
        ..StoreConfig::default()
    };
    let store = Store::open(config, Arc::new(disk.clone()), Arc::new(ManualClock::new(START_MS)));
    let store = store.unwrap_or_else(|refusal| panic!("{refusal}"));
    store.make_bit_maps(Arc::new(Bits));
    store
}

fn send(store: &Store, number: usize) {
    let host = ([10, 0, 0, 1], 1_234).into();
    let record = MessageRecord {
        topic: "A".into(),
        queue_id: 0,
        flag: 0,
        sys_flag: 0,
        queue_offset: 0,
        physical_offset: 0,
        born_timestamp: START_MS,
        born_host: host,
        store_timestamp: 0,
        store_host: host,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: Bytes::from(vec![b'x'; 40]),
        properties: format!("KEYS\u{1}k{number} all\u{2}TAGS\u{1}A").into(),
    };
    assert!(store.append(vec![Append { records: vec![record] }]).iter().all(Result::is_ok));
}

/// The files of a store that was closed.
fn files() -> &'static [(PathBuf, Vec<u8>)] {
    static FILES: OnceLock<Vec<(PathBuf, Vec<u8>)>> = OnceLock::new();
    FILES.get_or_init(|| {
        let disk = SimDisk::new();
        disk.set_now(START_MS);
        let store = open(&disk, true);
        (0..MESSAGES).for_each(|number| send(&store, number));
        store.close().unwrap();
        let mut files = Vec::new();
        read_all(&disk, Path::new("/store"), &mut files);
        files
    })
}

fn read_all(disk: &SimDisk, dir: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in disk.list(dir).unwrap() {
        let path = dir.join(entry.name);
        if entry.is_dir {
            read_all(disk, &path, files);
        } else {
            let mut bytes = vec![0; entry.len as usize];
            disk.open(&path).unwrap().read_at(&mut bytes, 0).unwrap();
            files.push((path, bytes));
        }
    }
}

/// Everything that can be asked.
fn ask(store: &Store) {
    let limits = GetLimits { count_max: 3, ..GetLimits::default() };
    let max = store.max_offset("A", 0);
    for filter in 0..3 {
        let mut offset = store.min_offset("A", 0);
        while offset < max {
            let found = match filter {
                0 => store.get("A", 0, offset, &limits, &|_| true),
                1 => store.get("A", 0, offset, &limits, &|code| code == 65),
                _ => {
                    store.get_wanted("A", 0, offset, &limits, &|time, bits| time != 0 && bits != [0], &|_| {
                        true
                    })
                }
            };
            let stays = [GetStatus::OffsetFoundNull].contains(&found.status);
            assert!(found.next_begin_offset > offset || stays, "{offset} {:?}", found.status);
            offset = found.next_begin_offset.max(offset + 1);
        }
    }
    for offset in [i64::MIN, -1, 0, 5, max, max + 1, i64::MAX] {
        let _ = store.get("A", 0, offset, &limits, &|_| true);
        let _ = (store.entry("A", 0, offset), store.store_time_of("A", 0, offset), store.record_at(offset));
        let _ = store.offset_by_time("A", 0, offset);
    }
    let _ = (store.earliest_store_time("A", 0), store.offset_by_time("A", 0, START_MS));
    for key in ["k3", "all", "none"] {
        let _ = store.query("A", key, 64, 0, i64::MAX);
        let _ = store.query("A", key, 2, START_MS, START_MS);
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((first, damage)) = data.split_first() else { return };
    let disk = SimDisk::new();
    disk.set_now(START_MS);
    let damaged = DAMAGED.iter().enumerate().filter(|(bit, _)| first >> bit & 1 != 0).map(|(_, name)| *name);
    let damaged: Vec<&str> = damaged.collect();
    let mut pieces = damage.chunks(damage.len().div_ceil(damaged.len().max(1)).max(1));
    for (path, bytes) in files() {
        let mut bytes = bytes.clone();
        let name = path.strip_prefix("/store").unwrap().to_str().unwrap();
        if damaged.iter().any(|damaged| name.starts_with(damaged)) {
            let piece = pieces.next().unwrap_or_default();
            bytes.iter_mut().zip(piece).for_each(|(byte, damage)| *byte ^= damage);
        }
        disk.create_dir_all(path.parent().unwrap()).unwrap();
        let file = disk.create(path, bytes.len() as u64).unwrap();
        assert_eq!(file.write_at(&bytes, 0).unwrap(), bytes.len());
    }
    if first & UNCLEAN != 0 {
        disk.create(Path::new("/store/abort"), 0).unwrap();
    }
    let store = open(&disk, first & PLAIN == 0);
    ask(&store);
    send(&store, MESSAGES);
    ask(&store);
    store.close().unwrap();
    let again = open(&disk, true);
    ask(&again);
    again.close().unwrap();
});
