//! A store folder goes from Java's store to ours and back, and the other way, after clean stops and after
//! kills: every message is in its queue at its offset, and in the light queues that it names, with its id, content,
//! tags code and key, on both sides.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use ferrocket_interop_tests::setup::Workshop;
use ferrocket_protocol::message::java_hash;
use ferrocket_protocol::message_id::OffsetMessageId;
use ferrocket_protocol::{MessageRecord, RecordView, properties};
use ferrocket_store::{Append, GetLimits, OpenError, OsDisk, Store, StoreConfig, SystemClock};

const SEGMENT: i64 = 1 << 15;
const QUEUE_FILE: i64 = 400;
/// As `StoreTool.java` has it.
const EXT_FILE: i64 = 1_000;
const SLOTS: u32 = 100;
const ENTRIES: u32 = 300;
/// Messages that each side writes in a turn: several segments, queue files and index files.
const COUNT: usize = 150;
/// Entries that they make: every fourth also stands in a light queue, every eighth in two.
const ENTRIES_MADE: usize = COUNT + COUNT.div_ceil(4) + COUNT.div_ceil(8);
const HOST: &str = "127.0.0.1:10911";
const TOPICS: [&str; 3] = ["TopicA", "TopicB", "%RETRY%group"];
const SCHEDULE_TOPIC: &str = "SCHEDULE_TOPIC_XXXX";

/// How a side ends its turn.
#[derive(Clone, Copy, Debug)]
enum End {
    Clean,
    Kill,
}

/// Which store a turn is played with.
#[derive(Clone, Copy, Debug)]
enum Side {
    Java,
    Ours,
}

struct Folder {
    dir: tempfile::TempDir,
    class_path: String,
    tool: PathBuf,
    /// What the side before found at its end, one line for each message.
    expected: Vec<String>,
    turns: usize,
    /// Whether Java keeps tags codes in `consumequeue_ext`, and whether ours does.
    ext: [bool; 2],
}

impl Folder {
    fn new() -> Self {
        let workshop = Workshop::find().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let class_path = workshop.class_path("servers-4.9.7").unwrap();
        let tool = workshop.peers.join("java/StoreTool.java");
        Self { dir, class_path, tool, expected: Vec::new(), turns: 0, ext: [false; 2] }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    /// One side opens the folder, finds what it should, writes and ends.
    fn turn(&mut self, side: Side, end: End) {
        self.turns += 1;
        let label = format!("turn{}", self.turns);
        let (before, after) = match side {
            Side::Java => {
                self.java(&label, COUNT, end).unwrap_or_else(|refusal| panic!("{label}: {refusal}"))
            }
            Side::Ours => self.ours(&label, end),
        };
        compare(&before, &self.expected, &format!("{side:?} opens the folder in {label}"));
        assert_eq!(after.len(), before.len() + ENTRIES_MADE, "{side:?} {end:?} in {label}");
        self.expected = after;
    }

    fn java(&self, label: &str, count: usize, end: End) -> Result<(Vec<String>, Vec<String>), String> {
        let opens = ["java.base/java.nio", "java.base/sun.nio.ch", "java.base/jdk.internal.ref"];
        let mut java = Command::new("java");
        java.args(opens.map(|package| format!("--add-opens={package}=ALL-UNNAMED")));
        java.arg(format!("-Duser.home={}", self.dir.path().display()));
        java.arg("-cp").arg(&self.class_path).arg(&self.tool).arg(self.root());
        java.args(
            [SEGMENT, QUEUE_FILE, SLOTS.into(), ENTRIES.into(), count as i64].map(|arg| arg.to_string()),
        );
        java.args([label, if matches!(end, End::Clean) { "close" } else { "halt" }]);
        java.arg(if self.ext[0] { "ext" } else { "plain" });
        let output = java.output().map_err(|error| format!("java: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        // The store logs to the same place.
        let said: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("tool: ")).collect();
        let Some((["before", before @ ..], after)) =
            said.iter().position(|line| *line == "after").map(|at| (&said[..at], &said[at + 1..]))
        else {
            return Err(format!("{said:?}\n{}", String::from_utf8_lossy(&output.stderr)));
        };
        let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        Ok((lines(before), lines(after)))
    }

    fn ours(&self, label: &str, end: End) -> (Vec<String>, Vec<String>) {
        let store = open(&self.root(), self.ext[1]).unwrap_or_else(|refusal| panic!("{label}: {refusal}"));
        let before = list(&store);
        for number in 0..COUNT {
            let appended = store.append(vec![Append { records: vec![message(label, number)] }]);
            assert!(appended[0].is_ok(), "{appended:?}");
        }
        let after = list(&store);
        match end {
            End::Clean => store.close().unwrap(),
            End::Kill => store.abandon(),
        }
        (before, after)
    }
}

fn open(root: &Path, ext: bool) -> Result<Arc<Store>, OpenError> {
    let config = StoreConfig {
        store_path_root_dir: root.to_path_buf(),
        mapped_file_size_commit_log: SEGMENT,
        mapped_file_size_consume_queue: QUEUE_FILE,
        enable_consume_queue_ext: ext,
        mapped_file_size_consume_queue_ext: EXT_FILE,
        max_hash_slot_num: SLOTS,
        max_index_num: ENTRIES,
        store_host: HOST.parse().unwrap(),
        disk_space_warning_level_ratio: 100,
        enable_lmq: true,
        enable_multi_dispatch: true,
        ..StoreConfig::default()
    };
    Store::open(config, Arc::new(OsDisk), Arc::new(SystemClock))
}

/// The message that `StoreTool.java` would put.
fn message(label: &str, number: usize) -> MessageRecord {
    let body = format!("{label}-{number}");
    let padding = (0..number * 37 % 900).map(|at| char::from(b'a' + (at % 26) as u8));
    let text: String = body.chars().chain(padding).collect();
    let (topic, queue_id) = (TOPICS[number % 3], (number % 2) as i32);
    let mut properties = format!("UNIQ_KEY\u{1}id-{body}\u{2}KEYS\u{1}k-{body} all");
    if !number.is_multiple_of(3) {
        properties.push_str(&format!("\u{2}TAGS\u{1}Tag{}", number % 3));
    }
    let delayed = number % 10 == 9;
    if delayed {
        properties
            .push_str(&format!("\u{2}DELAY\u{1}18\u{2}REAL_TOPIC\u{1}{topic}\u{2}REAL_QID\u{1}{queue_id}"));
    }
    if number.is_multiple_of(4) {
        let queues = if number.is_multiple_of(8) { "%LMQ%a,%LMQ%b" } else { "%LMQ%b" };
        properties.push_str(&format!("\u{2}INNER_MULTI_DISPATCH\u{1}{queues}"));
    }
    MessageRecord {
        topic: if delayed { SCHEDULE_TOPIC } else { topic }.into(),
        queue_id: if delayed { 17 } else { queue_id },
        flag: 0,
        sys_flag: 0,
        queue_offset: 0,
        physical_offset: 0,
        born_timestamp: 1_700_000_000_000,
        born_host: HOST.parse().unwrap(),
        store_timestamp: 0,
        store_host: HOST.parse().unwrap(),
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: text.into_bytes().into(),
        properties: properties.into(),
    }
}

/// The lines that `StoreTool.java` would print.
fn list(store: &Store) -> Vec<String> {
    let mut queues = store.queues();
    queues.sort();
    let mut lines = Vec::new();
    for (topic, queue_id) in queues {
        for offset in store.min_offset(&topic, queue_id)..store.max_offset(&topic, queue_id) {
            let limits = GetLimits { count_max: 1, ..GetLimits::default() };
            let result = store.get(&topic, queue_id, offset, &limits, &|_| true);
            let Some(record) = result.records.first() else {
                lines.push(format!("{topic} {queue_id} {offset} {:?}", result.status));
                continue;
            };
            let view = RecordView::parse(record).unwrap();
            let key = properties::get(view.properties, "UNIQ_KEY").unwrap();
            let matches = store.query(view.topic, key, 32, 0, i64::MAX).records.len();
            let id = OffsetMessageId { host: view.store_host, physical_offset: view.physical_offset };
            let hash = java_hash(std::str::from_utf8(view.body).unwrap());
            let tags_code = store.entry(&topic, queue_id, offset).unwrap().tags_code;
            let own = format!("{}-{}-{}", view.topic, view.queue_id, view.queue_offset);
            let places = properties::get(view.properties, "INNER_MULTI_QUEUE_OFFSET").unwrap_or("null");
            lines.push(format!(
                "{topic} {queue_id} {offset} {own} {places} {id} {hash} {tags_code} {matches}"
            ));
        }
    }
    lines
}

fn compare(found: &[String], expected: &[String], what: &str) {
    let missing: Vec<&String> = expected.iter().filter(|line| !found.contains(line)).collect();
    let strange: Vec<&String> = found.iter().filter(|line| !expected.contains(line)).collect();
    assert!(missing.is_empty() && strange.is_empty(), "{what}: missing {missing:#?}, instead {strange:#?}");
    let unfound: Vec<&String> = found.iter().filter(|line| !line.ends_with(" 1")).collect();
    assert!(unfound.is_empty(), "{what}: keys of {unfound:#?}");
}

/// Java writes, ours goes on, Java goes on, ours reads; each end clean or not.
#[test]
fn java_to_ours_to_java() {
    for ends in [
        [End::Clean; 3],
        [End::Kill; 3],
        [End::Clean, End::Kill, End::Clean],
        [End::Kill, End::Clean, End::Kill],
    ] {
        let mut folder = Folder::new();
        folder.turn(Side::Java, ends[0]);
        folder.turn(Side::Ours, ends[1]);
        folder.turn(Side::Java, ends[2]);
        folder.turn(Side::Ours, End::Clean);
    }
}

/// Java with `enableConsumeQueueExt` and ours, with it or without, take turns: each knows the tags code of every entry
/// of the other's, and goes on behind the other's units.
#[test]
fn java_with_consumequeue_ext() {
    for (ends, ours) in [
        ([End::Clean, End::Kill], false),
        ([End::Kill, End::Clean], false),
        ([End::Clean, End::Kill], true),
        ([End::Kill, End::Clean], true),
    ] {
        let mut folder = Folder { ext: [true, ours], ..Folder::new() };
        folder.turn(Side::Java, ends[0]);
        let units = folder.root().join("consumequeue_ext/TopicA/0");
        assert!(units.is_dir());
        folder.turn(Side::Ours, ends[1]);
        // Those that a kill may have cost are not kept.
        assert!(!ours || matches!(ends[1], End::Kill) || units.is_dir());
        folder.turn(Side::Java, ends[1]);
        folder.turn(Side::Ours, ends[0]);
        folder.turn(Side::Java, End::Clean);
    }
}

/// Ours writes, Java goes on, ours goes on, Java reads; each end clean or not.
#[test]
fn ours_to_java_to_ours() {
    for ends in [[End::Clean; 3], [End::Kill; 3]] {
        let mut folder = Folder::new();
        folder.turn(Side::Ours, ends[0]);
        folder.turn(Side::Java, ends[1]);
        folder.turn(Side::Ours, ends[2]);
        folder.turn(Side::Java, End::Clean);
    }
}

/// While ours is open, Java does not get past the lock.
#[test]
fn java_does_not_open_what_is_open() {
    let folder = Folder::new();
    let store = open(&folder.root(), false).unwrap();
    let refusal = folder.java("locked", 0, End::Kill).unwrap_err();
    assert!(refusal.contains("Lock failed,MQ already started"), "{refusal}");
    store.close().unwrap();
    folder.java("free", 0, End::Clean).unwrap();
}
