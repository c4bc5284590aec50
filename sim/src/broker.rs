//! A broker: the real store without its threads on a simulated disk, and the group's offsets in the real
//! config files. What the real broker does around the store is modelled here in a few lines.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use ferrocket_protocol::body::message_queue::MessageQueue;
use ferrocket_protocol::body::offset::ConsumerOffsetTable;
use ferrocket_protocol::{MessageRecord, fastjson};
use ferrocket_store::{
    Append, AppendError, Call, Disk, Fault, FlushDiskType, ManualClock, OpenError, SimDisk, Store,
    StoreConfig, StoreError,
};
use rand::Rng;
use rand::rngs::StdRng;

use crate::ledger::{Down, Ledger, body_of, contents};

pub(crate) const SEGMENT_LEN: i64 = 8192;
const GROUP: &str = "group";
const OFFSETS: &str = "consumerOffset.json";
const CALLS: [Call; 6] = [Call::Write, Call::Sync, Call::SyncDir, Call::Create, Call::Rename, Call::Remove];

type Durable = Pin<Box<dyn Future<Output = Result<(), StoreError>>>>;

/// A request to store messages in one queue.
#[derive(Clone, Debug)]
pub(crate) struct Send {
    pub(crate) producer: usize,
    pub(crate) attempt: u64,
    pub(crate) queue: MessageQueue,
    pub(crate) keys: Vec<String>,
    /// Stored as one batch instead of one by one.
    pub(crate) batch: bool,
}

pub(crate) struct Broker {
    pub(crate) store: Option<Arc<Store>>,
    pub(crate) ledger: Ledger,
    pub(crate) disk: SimDisk,
    pub(crate) clock: Arc<ManualClock>,
    /// How far the broker's clock is off.
    pub(crate) skew_ms: i64,
    /// Grows with every start.
    pub(crate) life: u64,
    /// The worst that happened since the store was open.
    pub(crate) down: Down,
    config: StoreConfig,
    offsets: BTreeMap<MessageQueue, i64>,
    /// Answers that wait for the disk: the request and the offsets of its messages.
    waiting: Vec<(Send, Vec<i64>, Durable)>,
}

impl Broker {
    pub(crate) fn new(mode: FlushDiskType, queues: impl Iterator<Item = MessageQueue>) -> Self {
        let config = StoreConfig {
            store_path_root_dir: PathBuf::from("/store"),
            mapped_file_size_commit_log: SEGMENT_LEN,
            mapped_file_size_consume_queue: 400,
            flush_disk_type: mode,
            max_hash_slot_num: 16,
            max_index_num: 60,
            file_reserved_time: 1_000_000,
            clean_file_forcibly_enable: false,
            memory_bytes: 1 << 30,
            background: false,
            ..StoreConfig::default()
        };
        Self {
            store: None,
            ledger: Ledger::new(queues),
            disk: SimDisk::new(),
            clock: Arc::new(ManualClock::new(0)),
            skew_ms: 0,
            life: 0,
            down: Down::Kill,
            config,
            offsets: BTreeMap::new(),
            waiting: Vec::new(),
        }
    }

    pub(crate) fn is_sync(&self) -> bool {
        self.config.flush_disk_type == FlushDiskType::SyncFlush
    }

    pub(crate) fn set_now(&self, now_ms: i64) {
        self.clock.set(now_ms + self.skew_ms);
        self.disk.set_now(now_ms + self.skew_ms);
    }

    /// Starts the broker; everything that was promised must be there. Failing is allowed only to a disk that
    /// fails.
    pub(crate) fn start(&mut self, rng: &mut StdRng, faulty: bool, keys: &BTreeSet<String>) -> bool {
        self.life += 1;
        if faulty {
            self.inject(rng);
        }
        match Store::open(self.config.clone(), Arc::new(self.disk.clone()), self.clock.clone()) {
            Ok(store) if !self.disk.is_off() => {
                self.ledger.reopened(&store, self.down, keys);
                self.down = Down::Kill;
                let text = store.config_files().read(OFFSETS).expect("offsets can be read");
                let table: ConsumerOffsetTable = text
                    .map(|text| fastjson::from_slice(text.as_bytes()).expect("offsets"))
                    .unwrap_or_default();
                self.offsets.clear();
                for queue in self.ledger.queues.keys() {
                    let queues = table.offset_table.get(&format!("{}@{GROUP}", queue.topic));
                    let Some(offset) = queues.and_then(|queues| queues.get(&queue.queue_id)) else {
                        continue;
                    };
                    self.ledger.committed(queue, *offset);
                    if self.is_sync() {
                        assert!(
                            *offset <= store.max_offset(&queue.topic, queue.queue_id),
                            "{queue}: {offset}"
                        );
                    }
                    self.offsets.insert(queue.clone(), *offset);
                }
                self.store = Some(store);
                true
            }
            Ok(store) => {
                store.abandon();
                self.stop(rng, Down::Power);
                false
            }
            Err(error) => {
                let failed = faulty && matches!(error, OpenError::Io { .. } | OpenError::Layout { .. });
                assert!(failed || self.disk.is_off(), "the store does not open: {error}");
                self.stop(rng, Down::Kill);
                false
            }
        }
    }

    /// Ends the broker. A machine that lost its power while it worked loses it here, too.
    pub(crate) fn stop(&mut self, rng: &mut StdRng, down: Down) {
        let down = if self.disk.is_off() { Down::Power } else { down };
        self.waiting.clear();
        if let Some(store) = self.store.take() {
            store.abandon();
        }
        match down {
            Down::Kill => self.disk.kill(),
            Down::Power => {
                self.down = Down::Power;
                self.disk.reboot(rng.random());
            }
        }
        self.life += 1;
    }

    /// Ends the broker in good order, if that succeeds.
    pub(crate) fn close(&mut self, rng: &mut StdRng) {
        self.save_offsets();
        if let Some(store) = &self.store
            && store.close().is_ok()
        {
            self.ledger.progress(store);
        }
        self.stop(rng, Down::Kill);
    }

    /// Lets one of the coming calls fail, or the power go there. Returns which.
    pub(crate) fn inject(&self, rng: &mut StdRng) -> String {
        let call = CALLS[rng.random_range(0..CALLS.len())];
        let fault = match rng.random_range(0..6) {
            0 if call == Call::Write => Fault::Short(rng.random_range(1..40)),
            0 | 1 => Fault::Fail(ErrorKind::Other),
            2 => Fault::Fail(ErrorKind::StorageFull),
            _ => Fault::PowerCut,
        };
        let nth = rng.random_range(1..25);
        self.disk.inject(call, nth, fault);
        format!("{call:?} number {nth} from now: {fault:?}")
    }

    /// Whether the broker has to be started again: its disk is off, or its store has ended itself.
    pub(crate) fn is_broken(&self) -> bool {
        let ended = |store: &Arc<Store>| matches!(store.status().refuses, Some(AppendError::Failed(_)));
        self.disk.is_off() || self.store.as_ref().is_some_and(ended)
    }

    /// Stores what several requests ask for as one group. Returns what can be answered at once, and how.
    pub(crate) fn append(&mut self, sends: Vec<Send>) -> Vec<(Send, bool)> {
        let Some(store) = self.store.clone() else { return Vec::new() };
        let singles = |send: &Send| -> Vec<Append> {
            let records = send.keys.iter().map(|key| record(&send.queue, key));
            if send.batch {
                vec![Append { records: records.collect() }]
            } else {
                records.map(|record| Append { records: vec![record] }).collect()
            }
        };
        let mut stored = store.append(sends.iter().flat_map(singles).collect()).into_iter();
        let mut answers = Vec::new();
        for send in sends {
            let parts: Vec<_> = stored.by_ref().take(if send.batch { 1 } else { send.keys.len() }).collect();
            let mut ends = Vec::new();
            for appended in parts.into_iter().flatten() {
                for (at, start) in appended.physical_offsets.iter().enumerate() {
                    let key = send.keys[ends.len()].clone();
                    let end = start + record(&send.queue, &key).encoded_len() as i64;
                    self.ledger.stored(&send.queue, appended.queue_offset + at as i64, key, end);
                    ends.push((appended.queue_offset + at as i64, end));
                }
            }
            let offsets = ends.iter().map(|(offset, _)| *offset).collect();
            match ends.last() {
                Some((_, end)) if ends.len() == send.keys.len() => {
                    let durable = Box::pin(store.wait_durable(*end));
                    self.waiting.push((send, offsets, durable));
                }
                _ => answers.push((send, false)),
            }
        }
        answers.extend(self.answers());
        answers
    }

    /// The answers that need not wait any longer. With each the messages are promised.
    pub(crate) fn answers(&mut self) -> Vec<(Send, bool)> {
        let (mut answers, mut waiting) = (Vec::new(), Vec::new());
        for (send, offsets, mut durable) in std::mem::take(&mut self.waiting) {
            let state = match durable.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending if self.is_sync() => {
                    waiting.push((send, offsets, durable));
                    continue;
                }
                Poll::Pending => true,
                Poll::Ready(state) => state.is_ok(),
            };
            if state {
                offsets.iter().for_each(|offset| self.ledger.promise(&send.queue, *offset));
            }
            answers.push((send, state));
        }
        self.waiting = waiting;
        answers
    }

    pub(crate) fn offset(&self, queue: &MessageQueue) -> i64 {
        self.offsets.get(queue).copied().unwrap_or(0)
    }

    pub(crate) fn commit(&mut self, queue: &MessageQueue, offset: i64) {
        self.ledger.committed(queue, offset);
        self.offsets.insert(queue.clone(), offset);
    }

    /// Writes the group's offsets into their file; a failure leaves the old ones.
    pub(crate) fn save_offsets(&self) {
        let Some(store) = &self.store else { return };
        let mut table = ConsumerOffsetTable::default();
        for (queue, offset) in &self.offsets {
            let queues = table.offset_table.entry(format!("{}@{GROUP}", queue.topic)).or_default();
            queues.insert(queue.queue_id, *offset);
        }
        let _ = store.config_files().replace(OFFSETS, &fastjson::to_pretty(&table));
    }

    /// Queues and index, made again from the log alone, are what they were.
    pub(crate) fn rebuild(&mut self, rng: &mut StdRng, keys: &BTreeSet<String>) {
        let queues: Vec<MessageQueue> = self.ledger.queues.keys().cloned().collect();
        let all = |broker: &Self| -> Vec<_> {
            queues.iter().filter_map(|queue| Some(contents(broker.store.as_deref()?, queue))).collect()
        };
        self.store.as_ref().expect("the broker is up").flush().expect("the disk works");
        let before = all(self);
        let (queues_dir, index_dir) = ("/store/consumequeue", "/store/index");
        for (orderly, folders) in
            [(true, vec![queues_dir, index_dir]), (false, vec![queues_dir]), (false, vec![index_dir])]
        {
            if orderly {
                self.close(rng)
            } else {
                self.stop(rng, Down::Kill)
            }
            for folder in folders {
                remove_files(&self.disk, Path::new(folder));
            }
            assert!(self.start(rng, false, keys), "starts without queues and index");
            assert_eq!(all(self), before, "queues made again");
        }
    }
}

fn remove_files(disk: &SimDisk, dir: &Path) {
    for entry in disk.list(dir).expect("a folder") {
        let path = dir.join(&entry.name);
        if entry.is_dir {
            remove_files(disk, &path);
        } else {
            disk.remove_file(&path).expect("a file");
        }
    }
}

fn record(queue: &MessageQueue, key: &str) -> MessageRecord {
    MessageRecord {
        topic: queue.topic.clone(),
        queue_id: queue.queue_id,
        flag: 0,
        sys_flag: 0,
        queue_offset: 0,
        physical_offset: 0,
        born_timestamp: 0,
        born_host: ([10, 0, 0, 1], 1234).into(),
        store_timestamp: 0,
        store_host: ([10, 0, 0, 2], 10911).into(),
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: Bytes::from(body_of(key)),
        properties: format!("UNIQ_KEY\u{1}u-{key}\u{2}KEYS\u{1}all\u{2}TAGS\u{1}t").into(),
    }
}
