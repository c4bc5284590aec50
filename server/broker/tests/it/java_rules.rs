//! FORMATS §30, the rules about what the Broker keeps beside the log: its files under `config/`, delayed and
//! transactional messages. The table of all rules and their tests heads the store's `java_rules.rs`.
//!
//! | Rule | Tests |
//! |---|---|
//! | 7 | `a_damaged_file_is_replaced_by_its_copy`, `two_damaged_files_stop_the_broker_and_nothing_is_lost`, `missing_files_are_defaults` |
//! | 9 | `every_level_that_delivered_is_saved`, `levels_go_on_where_java_stopped`; before `abort` goes: `broker.rs` `levels_are_saved_before_abort_goes` |
//! | 10 | `op_messages_are_javas`; reading both forms: `transactions.rs` `op_messages_end_half_messages` |
//! | 16 | `a_fresh_folder_has_no_topics_and_groups`, `transactions_have_javas_offset_keys`, `files_of_both_releases_are_read` |
//! | 17 | `topics_have_no_batch_queues` |

use std::path::Path;
use std::sync::Arc;

use ferrocket_broker::{Broker, StartError};
use ferrocket_protocol::requests::Empty;
use ferrocket_protocol::requests::send::SendMessageHeader;
use ferrocket_protocol::requests::transaction::EndTransactionHeader;
use ferrocket_protocol::{MessageRecord, RemotingCommand, RequestCode};
use ferrocket_store::{GetLimits, OsDisk, Store, StoreConfig, SystemClock};
use tempfile::TempDir;

use crate::support::{PATIENCE, Peer, end_of, message, settings_in};

const SCHEDULE: &str = "SCHEDULE_TOPIC_XXXX";
const HALF: &str = "RMQ_SYS_TRANS_HALF_TOPIC";
const OP: &str = "RMQ_SYS_TRANS_OP_HALF_TOPIC";

/// A store's folder, between and during the lives of Brokers.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    async fn try_start(&self, settings: &[(&str, &str)]) -> Result<Broker, StartError> {
        Broker::start(settings_in(self.0.path(), settings.iter().copied())).await
    }

    async fn start(&self, settings: &[(&str, &str)]) -> (Broker, Peer) {
        let broker = self.try_start(settings).await.unwrap();
        let peer = Peer::connect(broker.local_addr()).await;
        (broker, peer)
    }

    fn config(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join("config").join(name)
    }

    fn exists(&self, name: &str) -> bool {
        self.config(name).exists()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.config(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.config(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// The messages of queue 0 of a topic, also one that clients cannot pull. While no Broker runs.
    fn stored(&self, topic: &str) -> Vec<MessageRecord> {
        let config = StoreConfig {
            store_path_root_dir: self.0.path().to_owned(),
            mapped_file_size_commit_log: 16_777_216,
            max_hash_slot_num: 1000,
            max_index_num: 4000,
            ..StoreConfig::default()
        };
        let store = Store::open(config, Arc::new(OsDisk), Arc::new(SystemClock)).unwrap();
        let found = store.get(topic, 0, 0, &GetLimits::default(), &|_| true).records;
        store.close().unwrap();
        found.into_iter().map(|mut record| MessageRecord::decode(&mut record).unwrap()).collect()
    }

    /// Two lives, after which every file has a copy of its former version.
    async fn with_copies(&self) {
        for topic in ["First", "Second"] {
            let (broker, peer) = self.start(&[]).await;
            peer.topic(topic, 3, 6).await;
            peer.commit("cg", topic, 0, 7).await;
            broker.shutdown().await.unwrap();
        }
        for name in ["topics.json.bak", "consumerOffset.json.bak"] {
            assert!(self.exists(name), "{name}");
        }
    }
}

/// Whether the Broker knows the topic.
async fn knows(peer: &Peer, topic: &str) -> bool {
    let reply = peer.call(RemotingCommand::request(RequestCode::GetAllTopicConfig, &Empty)).await;
    String::from_utf8_lossy(&reply.body).contains(&format!("\"{topic}\""))
}

/// The names under `folder` and what they hold.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut contents: Vec<_> = files
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap()))
        .collect();
    contents.sort();
    contents
}

/// Rule 7: of a file that cannot be parsed, is no text, is empty or missing (Java deletes it before it renames
/// the new one), the copy is taken; and the damaged file never takes the place of the good copy.
#[tokio::test]
async fn a_damaged_file_is_replaced_by_its_copy() {
    for damage in [Some(&b"{\"topicConfigTable\":{"[..]), Some(&[0; 300]), Some(&[0xFF; 9]), Some(b""), None]
    {
        let folder = Folder::new();
        folder.with_copies().await;
        let copy = folder.read("topics.json.bak");
        match damage {
            Some(content) => folder.write("topics.json", content),
            None => std::fs::remove_file(folder.config("topics.json")).unwrap(),
        }
        // Started again before anything changes: the copy is there still.
        for _ in 0..2 {
            let (broker, peer) = folder.start(&[]).await;
            assert_eq!((knows(&peer, "First").await, knows(&peer, "Second").await), (true, false));
            assert_eq!(peer.committed("cg", "First", 0).await, "7");
            broker.shutdown().await.unwrap();
            assert_eq!(folder.read("topics.json.bak"), copy, "{damage:?}");
        }
        let (broker, peer) = folder.start(&[]).await;
        peer.topic("Third", 1, 6).await;
        broker.shutdown().await.unwrap();
        assert!(folder.read("topics.json").contains("\"First\""));
        assert!(folder.read("topics.json.bak").contains("\"First\""), "{damage:?}");
        if let Some(content) = damage.filter(|content| !content.is_empty()) {
            assert_eq!(std::fs::read(folder.config("topics.json.damaged")).unwrap(), content);
        }
    }
}

/// Rule 7: with its copy damaged as well the Broker does not start, names the file, and leaves all files as they
/// are, the offsets above all.
#[tokio::test]
async fn two_damaged_files_stop_the_broker_and_nothing_is_lost() {
    for name in ["topics.json", "consumerOffset.json", "subscriptionGroup.json", "delayOffset.json"] {
        let folder = Folder::new();
        folder.with_copies().await;
        folder.write(name, "{");
        folder.write(&format!("{name}.bak"), "{\"");
        let before = contents(&folder.config(""));
        let error = folder.try_start(&[]).await.unwrap_err();
        assert!(matches!(error, StartError::Config(_)), "{error:?}");
        let words = format!("config/{name} and its .bak are damaged: ");
        assert!(error.to_string().starts_with(&words), "{error}");
        assert_eq!(contents(&folder.config("")), before);
    }
}

/// Rule 7: a file that is missing or empty with its copy is a fresh one: the built-in topics, no offsets. The
/// messages are there again once their topic is.
#[tokio::test]
async fn missing_files_are_defaults() {
    let folder = Folder::new();
    let (broker, peer) = folder.start(&[]).await;
    peer.store("Kept", 0, "", "x").await;
    broker.shutdown().await.unwrap();
    for name in ["topics.json", "topics.json.bak"] {
        folder.write(name, "");
    }
    let (broker, peer) = folder.start(&[]).await;
    assert_eq!((knows(&peer, "Kept").await, knows(&peer, "TBW102").await), (false, true));
    peer.topic("Kept", 4, 6).await;
    assert_eq!(&peer.first_message("Kept", 0).await.body[..], b"x");
    broker.shutdown().await.unwrap();
}

/// Rule 9: after a clean stop every level that has delivered something is in the file. One that has not begins
/// at its queue's front, in the file or not.
#[tokio::test]
async fn every_level_that_delivered_is_saved() {
    let levels = [("messageDelayLevel", "1s 2h")];
    let folder = Folder::new();
    let (broker, peer) = folder.start(&levels).await;
    peer.store("T", 0, "DELAY\u{1}1", "soon").await;
    peer.store("T", 0, "DELAY\u{1}2", "late").await;
    assert_eq!(&peer.first_message("T", 0).await.body[..], b"soon");
    broker.shutdown().await.unwrap();
    assert_eq!(saved_levels(&folder), "1:1");
    let levels = [("messageDelayLevel", "1s 1s")];
    let (broker, peer) = folder.start(&levels).await;
    assert_eq!(&peer.messages("T", 0, 1).await[0].body[..], b"late");
    broker.shutdown().await.unwrap();
    assert_eq!(saved_levels(&folder), "1:1,2:1");
    assert_eq!(message_count(&folder, &levels).await, 2);
}

/// The saved levels without quotes and blanks.
fn saved_levels(folder: &Folder) -> String {
    let text: String = folder.read("delayOffset.json").split_whitespace().collect();
    let table = text.split_once("\"offsetTable\":{").and_then(|(_, rest)| rest.split_once('}')).unwrap().0;
    table.replace('"', "")
}

/// Rule 9: what Java delivered is not delivered again, and an offset outside the queue is moved into it.
#[tokio::test]
async fn levels_go_on_where_java_stopped() {
    let folder = Folder::new();
    let (broker, peer) = folder.start(&[("messageDelayLevel", "2h 2h")]).await;
    for (level, body) in [(1, "delivered"), (1, "open"), (2, "delivered, too")] {
        peer.store("T", 0, &format!("DELAY\u{1}{level}"), body).await;
    }
    broker.shutdown().await.unwrap();
    folder.write("delayOffset.json", "{\n\t\"offsetTable\":{1:1,2:99\n\t}\n}");
    // Now everything is due.
    let levels = [("messageDelayLevel", "1s 1s")];
    let (broker, peer) = folder.start(&levels).await;
    assert_eq!(&peer.first_message("T", 0).await.body[..], b"open");
    assert_eq!(peer.max_offset(SCHEDULE, 1).await, 1);
    peer.store("T", 0, "DELAY\u{1}2", "next").await;
    assert_eq!(&peer.messages("T", 0, 1).await[0].body[..], b"next");
    broker.shutdown().await.unwrap();
    assert_eq!(saved_levels(&folder), "1:2,2:2");
    assert_eq!(message_count(&folder, &levels).await, 2);
}

async fn message_count(folder: &Folder, settings: &[(&str, &str)]) -> i64 {
    let (broker, peer) = folder.start(settings).await;
    let count = peer.max_offset("T", 0).await;
    broker.shutdown().await.unwrap();
    count
}

/// Sends a half message that was born now; answers the header of its end.
async fn send_half(peer: &Peer, born_timestamp: i64) -> EndTransactionHeader {
    let properties = "TRAN_MSG\u{1}true\u{2}PGROUP\u{1}pg\u{2}UNIQ_KEY\u{1}k";
    let header = SendMessageHeader { sys_flag: 4, born_timestamp, ..message("T", 2, properties) };
    let reply = peer.send(&header, "half").await;
    assert_eq!(reply.code, 0, "{reply:?}");
    EndTransactionHeader { msg_id: "k".into(), ..end_of(&reply) }
}

async fn end(peer: &Peer, half: &EndTransactionHeader, commit_or_rollback: i32) {
    let header = EndTransactionHeader { commit_or_rollback, ..half.clone() };
    let reply = peer.call(RemotingCommand::request(RequestCode::EndTransaction, &header)).await;
    assert_eq!(reply.code, 0, "{reply:?}");
}

fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    now.as_millis() as i64
}

/// Rule 10: each end writes one op message: the half message's offset in decimal and nothing else, two
/// properties, born where it is stored; a rollback writes no other message, and giving up writes none.
#[tokio::test]
async fn op_messages_are_javas() {
    let folder = Folder::new();
    let (broker, peer) = folder.start(&[]).await;
    let mut halves = Vec::new();
    for _ in 0..12 {
        halves.push(send_half(&peer, now_ms()).await);
    }
    end(&peer, &halves[11], 12).await;
    end(&peer, &halves[3], 8).await;
    assert_eq!((peer.max_offset(HALF, 0).await, peer.max_offset("T", 2).await), (12, 1));
    broker.shutdown().await.unwrap();
    let ops = folder.stored(OP);
    let bodies: Vec<&[u8]> = ops.iter().map(|op| &op.body[..]).collect();
    assert_eq!(bodies, [&b"11"[..], b"3"]);
    for op in &ops {
        assert_eq!(&*op.properties, "WAIT\u{1}true\u{2}TAGS\u{1}d");
        assert_eq!((op.born_host, op.sys_flag, op.flag, op.queue_id), (op.store_host, 0, 0, 0));
    }

    // Asked about once in vain, and given up.
    let eager =
        [("transactionCheckInterval", "100"), ("transactionTimeOut", "0"), ("transactionCheckMax", "1")];
    let (broker, peer) = folder.start(&eager).await;
    send_half(&peer, now_ms()).await;
    let given_up = "TRANS_CHECK_MAX_TIME_TOPIC";
    let parking = async { while peer.max_offset(given_up, 0).await == 0 {} };
    tokio::time::timeout(PATIENCE, parking).await.unwrap();
    assert_eq!(peer.max_offset(OP, 0).await, 2);
    broker.shutdown().await.unwrap();
}

/// Rule 16: a fresh folder has no topics.json before the first change of a topic and no subscriptionGroup.json
/// before the first new group.
#[tokio::test]
async fn a_fresh_folder_has_no_topics_and_groups() {
    let folder = Folder::new();
    let (broker, peer) = folder.start(&[]).await;
    assert!(knows(&peer, "TBW102").await);
    broker.shutdown().await.unwrap();
    assert!(!folder.exists("topics.json") && !folder.exists("subscriptionGroup.json"));
    let (broker, peer) = folder.start(&[]).await;
    peer.heartbeat("c", "cg", 1, &[("TBW102", "*")]).await;
    broker.shutdown().await.unwrap();
    assert!(folder.read("topics.json").contains("\"%RETRY%cg\""));
    assert!(folder.read("subscriptionGroup.json").contains("\"cg\""));
}

/// Rule 16: how far the checks of transactions have come stands under Java's two keys, and is taken from there.
#[tokio::test]
async fn transactions_have_javas_offset_keys() {
    let eager = [("transactionCheckInterval", "100"), ("transactionTimeOut", "600000")];
    let folder = Folder::new();
    let (broker, peer) = folder.start(&eager).await;
    let half = send_half(&peer, now_ms()).await;
    end(&peer, &half, 12).await;
    let checked = async { while peer.committed("CID_RMQ_SYS_TRANS", OP, 0).await != "1" {} };
    tokio::time::timeout(PATIENCE, checked).await.unwrap();
    broker.shutdown().await.unwrap();
    let text: String =
        folder.read("consumerOffset.json").split_whitespace().collect::<String>().replace('"', "");
    for key in ["RMQ_SYS_TRANS_HALF_TOPIC@CID_RMQ_SYS_TRANS", "RMQ_SYS_TRANS_OP_HALF_TOPIC@CID_RMQ_SYS_TRANS"]
    {
        assert!(text.contains(&format!("{key}:{{0:1}}")), "{text}");
    }
}

/// Rule 16: files as 4.9 writes them, with bare queue ids, and as 5.3 does, quoted and with fields of its own;
/// what 5.3 says of a topic beyond 4.9 is kept.
#[tokio::test]
async fn files_of_both_releases_are_read() {
    let topic = |attributes: &str| {
        format!(
            "{{\"dataVersion\":{{\"counter\":3,\"stateVersion\":0,\"timestamp\":1700000000000}},\
             \"topicConfigTable\":{{\"T\":{{{attributes}\"order\":false,\"perm\":6,\"readQueueNums\":2,\
             \"topicFilterType\":\"SINGLE_TAG\",\"topicName\":\"T\",\"topicSysFlag\":0,\"writeQueueNums\":2}}}}}}"
        )
    };
    for (topics, offsets) in [
        (topic(""), "{\"offsetTable\":{\"T@cg\":{0:5,1:6}}}"),
        (
            topic("\"attributes\":{\"message.type\":\"FIFO\"},"),
            "{\"dataVersion\":{\"counter\":1,\"stateVersion\":0,\"timestamp\":1},\
             \"offsetTable\":{\"T@cg\":{\"0\":5,\"1\":6}},\"pullOffsetTable\":{},\"resetOffsetTable\":{}}",
        ),
    ] {
        let folder = Folder::new();
        let keeps = topics.contains("FIFO");
        folder.write("topics.json", topics);
        folder.write("consumerOffset.json", offsets);
        let (broker, peer) = folder.start(&[]).await;
        assert_eq!(
            (peer.committed("cg", "T", 0).await, peer.committed("cg", "T", 1).await),
            ("5".into(), "6".into())
        );
        peer.topic("U", 1, 6).await;
        peer.commit("cg", "T", 0, 7).await;
        broker.shutdown().await.unwrap();
        assert_eq!(folder.read("topics.json").contains("FIFO"), keeps);
        let (_broker, peer) = folder.start(&[]).await;
        assert_eq!(
            (peer.committed("cg", "T", 0).await, peer.committed("cg", "T", 1).await),
            ("7".into(), "6".into())
        );
        assert!(knows(&peer, "T").await);
    }
}

/// Rule 17: a topic that 5.3 was told to give batch queues, and that has none yet, becomes a plain one before
/// its first message: 5.3 would not start on it otherwise.
#[tokio::test]
async fn topics_have_no_batch_queues() {
    let folder = Folder::new();
    folder.write(
        "topics.json",
        "{\"dataVersion\":{\"counter\":3,\"stateVersion\":0,\"timestamp\":1700000000000},\"topicConfigTable\":\
         {\"B\":{\"attributes\":{\"queue.type\":\"BatchCQ\",\"message.type\":\"NORMAL\"},\"order\":false,\"perm\":6,\
         \"readQueueNums\":1,\"topicFilterType\":\"SINGLE_TAG\",\"topicName\":\"B\",\"topicSysFlag\":0,\
         \"writeQueueNums\":1}}}",
    );
    let (broker, peer) = folder.start(&[]).await;
    let text = folder.read("topics.json");
    assert!(!text.contains("BatchCQ") && text.contains("NORMAL"), "{text}");
    peer.store("B", 0, "", "x").await;
    broker.shutdown().await.unwrap();
    assert!(!folder.read("topics.json").contains("BatchCQ"));
    assert!(folder.0.path().join("consumequeue/B/0").is_dir());
}
