//! A small store on a simulated disk with a clock that stands still.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use ferrocket_protocol::{MessageRecord, RecordView, properties};
use ferrocket_store::{
    Append, AppendError, Appended, BitMap, BitMaps, Disk, DiskFile, FlushDiskType, GetLimits, GetResult,
    ManualClock, OpenError, SimDisk, Store, StoreConfig,
};

/// When every test begins, ms since 1970.
pub(crate) const START_MS: i64 = 1_700_000_000_000;

pub(crate) struct World {
    pub(crate) disk: SimDisk,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) config: StoreConfig,
}

impl World {
    /// Segments of 4 KiB, queue files of ten entries, index files of 16 slots and 40 entries.
    pub(crate) fn new() -> Self {
        let config = StoreConfig {
            store_path_root_dir: PathBuf::from("/store"),
            mapped_file_size_commit_log: 4096,
            mapped_file_size_consume_queue: 200,
            max_hash_slot_num: 16,
            max_index_num: 40,
            max_message_size: 2048,
            background: false,
            memory_bytes: 1 << 30,
            ..StoreConfig::default()
        };
        let disk = SimDisk::new();
        disk.set_now(START_MS);
        Self { disk, clock: Arc::new(ManualClock::new(START_MS)), config }
    }

    pub(crate) fn sync_flush(mut self) -> Self {
        self.config.flush_disk_type = FlushDiskType::SyncFlush;
        self
    }

    /// With units, in files of 150 bytes, whose bit map is the message's unique key.
    pub(crate) fn ext(mut self) -> Self {
        self.config.enable_consume_queue_ext = true;
        self.config.mapped_file_size_consume_queue_ext = 150;
        self
    }

    pub(crate) fn try_open(&self) -> Result<Arc<Store>, OpenError> {
        let store = Store::open(self.config.clone(), Arc::new(self.disk.clone()), self.clock.clone())?;
        store.make_bit_maps(Arc::new(Keys));
        Ok(store)
    }

    pub(crate) fn open(&self) -> Arc<Store> {
        self.try_open().unwrap_or_else(|error| panic!("open: {error}"))
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.config.store_path_root_dir.join(below)
    }

    pub(crate) fn file(&self, below: &str) -> Arc<dyn DiskFile> {
        self.disk.open(&self.path(below)).unwrap_or_else(|error| panic!("{below}: {error}"))
    }

    pub(crate) fn bytes(&self, below: &str) -> Vec<u8> {
        read(&self.disk, &self.path(below))
    }

    /// Makes a file as a foreign program would.
    pub(crate) fn put(&self, below: &str, len: u64, content: &[u8]) {
        let path = self.path(below);
        self.disk.create_dir_all(path.parent().unwrap()).unwrap();
        let file = self.disk.create(&path, len).unwrap();
        if !content.is_empty() {
            file.write_at(content, 0).unwrap();
        }
    }

    pub(crate) fn names(&self, below: &str) -> Vec<String> {
        let mut names: Vec<String> =
            self.disk.list(&self.path(below)).unwrap().into_iter().map(|entry| entry.name).collect();
        names.sort();
        names
    }
}

/// Makes bit maps of messages' unique keys.
struct Keys;

impl BitMaps for Keys {
    fn bit_map(&self, _topic: &str, properties: &str) -> Option<BitMap> {
        let bits = properties::get(properties, "UNIQ_KEY")?.as_bytes().to_vec();
        Some(BitMap { bits, filters: 0 })
    }

    fn is_current(&self, _bit_map: &BitMap) -> bool {
        true
    }
}

pub(crate) fn read(disk: &dyn Disk, path: &Path) -> Vec<u8> {
    let file = disk.open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut bytes = vec![0; file.len().unwrap() as usize];
    let mut at = 0;
    while at < bytes.len() {
        at += file.read_at(&mut bytes[at..], at as u64).unwrap();
    }
    bytes
}

pub(crate) fn message(topic: &str, queue_id: i32, body: &str) -> MessageRecord {
    MessageRecord {
        topic: topic.into(),
        queue_id,
        flag: 0,
        sys_flag: 0,
        queue_offset: 0,
        physical_offset: 0,
        born_timestamp: START_MS,
        born_host: SocketAddr::from(([10, 0, 0, 1], 1234)),
        store_timestamp: 0,
        store_host: SocketAddr::from(([0, 0, 0, 0], 0)),
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: Bytes::copy_from_slice(body.as_bytes()),
        properties: format!("UNIQ_KEY\u{1}u-{0}\u{2}KEYS\u{1}k-{0} all\u{2}TAGS\u{1}{topic}", key_of(body))
            .into(),
    }
}

/// What the keys of a message with this body are made of.
pub(crate) fn key_of(body: &str) -> &str {
    &body[..body.len().min(12)]
}

/// One message each.
pub(crate) fn singles(messages: Vec<MessageRecord>) -> Vec<Append> {
    messages.into_iter().map(|message| Append { records: vec![message] }).collect()
}

pub(crate) fn try_send(store: &Store, message: MessageRecord) -> Result<Appended, AppendError> {
    store.append(singles(vec![message])).pop().unwrap()
}

pub(crate) fn send(store: &Store, topic: &str, queue_id: i32, body: &str) -> Appended {
    try_send(store, message(topic, queue_id, body)).unwrap_or_else(|error| panic!("{topic} {body}: {error}"))
}

pub(crate) fn get(store: &Store, topic: &str, queue_id: i32, offset: i64) -> GetResult {
    store.get(topic, queue_id, offset, &GetLimits::default(), &|_| true)
}

/// The bodies of a queue's messages from `offset` on, each checked against its place.
pub(crate) fn bodies(store: &Store, topic: &str, queue_id: i32) -> Vec<String> {
    let mut offset = store.min_offset(topic, queue_id);
    let mut bodies = Vec::new();
    while offset < store.max_offset(topic, queue_id) {
        let result = get(store, topic, queue_id, offset);
        assert!(result.next_begin_offset > offset, "{topic} {queue_id} {offset}: {:?}", result.status);
        for record in &result.records {
            let view = RecordView::parse(record).unwrap();
            assert!(view.body_crc_matches());
            assert_eq!((view.topic, view.queue_id), (topic, queue_id));
            assert_eq!(
                store.entry(topic, queue_id, view.queue_offset).unwrap().physical_offset,
                view.physical_offset
            );
            bodies.push(String::from_utf8_lossy(view.body).into_owned());
        }
        offset = result.next_begin_offset;
    }
    bodies
}
