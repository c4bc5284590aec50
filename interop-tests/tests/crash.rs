//! `kill -9` on our Broker, under load and while it starts: nothing acknowledged may be missing or altered,
//! queue offsets stay dense, and a consumer that lives through all of it gets everything.
//!
//! The ledger is in this process, outside the crash. Power cuts are the simulated disk's affair (`store`):
//! after a kill the kernel still has every byte that was written.
//!
//! `FERROCKET_BIN` names the server program. `FERROCKET_CRASH_SEED` repeats the choices of a run (not its
//! timing), `FERROCKET_CRASH_ROUNDS` makes it longer or shorter.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ferrocket::{Client, ConsumeFromWhere, MessageExt, PushConsumer};
use ferrocket_interop_tests::process::{POLL, Process, free_port};
use ferrocket_interop_tests::setup::Workshop;
use ferrocket_protocol::batch::{self, BatchMessage};
use ferrocket_protocol::command::{ExtFields, RemotingCommand};
use ferrocket_protocol::message::RecordView;
use ferrocket_protocol::requests::offset::{
    GetMaxOffsetHeader, GetMaxOffsetReply, QueryConsumerOffsetHeader, QueryConsumerOffsetReply,
    UpdateConsumerOffsetHeader,
};
use ferrocket_protocol::requests::pull::{PullMessageHeader, PullMessageReply};
use ferrocket_protocol::requests::send::{SendMessageHeader, SendMessageReply};
use ferrocket_protocol::requests::{Header, RequestCode};
use ferrocket_protocol::response_code::ResponseCode;
use ferrocket_remoting::{CallError, Connection, RefuseAll, RemotingConfig, dial};
use rand::rngs::{SmallRng, StdRng};
use rand::{Rng, RngCore, SeedableRng};

const ROUNDS: u64 = 40;
/// Every so many rounds the broker is also killed while it starts on what the last kill left.
const KILL_START_EVERY: u64 = 4;
const TOPIC: &str = "crash";
const QUEUES: i32 = 4;
const CONNECTIONS: usize = 3;
/// Requests under way on each connection, so that kills meet groups of appends.
const SENDERS: usize = 8;
const BATCH: u64 = 5;
/// The group of the reads by offset; the consumer has its own.
const READER: &str = "crash-reader";
const CALL_LIMIT: Duration = Duration::from_secs(10);
const START_LIMIT: Duration = Duration::from_secs(30);
/// For the consumer to get everything after the last start.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(60);
/// `sysFlag` of a pull that says what it subscribes to.
const SUBSCRIPTION: i32 = 4;

/// Kills at random points of a load of single messages and batches, restarts on the same store, compares.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost() {
    let seed = setting("FERROCKET_CRASH_SEED").unwrap_or_else(clock_seed);
    let rounds = setting("FERROCKET_CRASH_ROUNDS").unwrap_or(ROUNDS);
    println!("FERROCKET_CRASH_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut folder = tempfile::tempdir().expect("a temporary folder");
    // Kept if anything below fails.
    folder.disable_cleanup(true);
    println!("store, logs and settings: {}", folder.path().display());
    let servers = Servers::new(folder.path());
    let _namesrv = servers.start("namesrv");
    let ledger = Arc::new(Ledger::new(seed));
    let mut consumer = None;
    let mut kills = 0;
    let started = Instant::now();
    let mut broker = servers.start("broker");
    for round in 0..rounds {
        let load = Load::start(&servers.broker_addr, &ledger, rng.random()).await;
        // Not waits for anything: the first kill comes at any moment of the load, the second at any of a start.
        tokio::time::sleep(Duration::from_millis(rng.random_range(20..700))).await;
        broker.kill();
        kills += 1;
        load.end().await;
        if round % KILL_START_EVERY == 0 {
            let mut starting = servers.spawn("broker", |_| {});
            tokio::time::sleep(Duration::from_millis(rng.random_range(0..60))).await;
            starting.kill();
            kills += 1;
        }
        broker = servers.start("broker");
        compare(&servers.broker_addr, &ledger).await;
        if consumer.is_none() {
            // The topic exists now.
            consumer = Some(consume(&servers.namesrv_addr, &ledger).await);
        }
    }
    let sent = ledger.next_key.load(Ordering::Relaxed);
    // What earlier rounds compared is still there, and reads from the beginning.
    lock(&ledger.compared).clear();
    compare(&servers.broker_addr, &ledger).await;
    let acked = lock(&ledger.acked).len();
    let deadline = Instant::now() + CATCH_UP_LIMIT;
    // A look goes through the whole ledger, so there is not one for each delivery.
    while let Some(missing) = ledger.first_undelivered() {
        assert!(Instant::now() < deadline, "message {missing} was acknowledged, but never consumed");
        tokio::time::sleep(POLL).await;
    }
    if let Some((client, consumer)) = consumer {
        consumer.shutdown().await;
        client.shutdown().await.expect("the client ends");
    }
    folder.disable_cleanup(false);
    let took = started.elapsed().as_secs_f32();
    println!("{kills} kills, {sent} messages sent, {acked} acknowledged and all there, {took:.0} s");
    assert!(acked as u64 > rounds * 10, "too little load to mean anything: {acked} acknowledged");
}

/// A seed of no other run.
fn clock_seed() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The two server programs, their settings and logs.
struct Servers {
    program: PathBuf,
    folder: PathBuf,
    namesrv_addr: String,
    broker_addr: String,
}

impl Servers {
    /// Writes the settings. Small files, so that kills meet many changes of segments.
    fn new(folder: &Path) -> Self {
        let program = Workshop::find().and_then(|workshop| workshop.our_server()).expect("FERROCKET_BIN");
        let (namesrv, broker) = (free_port(), free_port());
        let write = |name: &str, text: String| {
            std::fs::write(folder.join(name), text).expect("settings are written");
        };
        write("namesrv.conf", format!("listenPort={namesrv}\nbindAddress=127.0.0.1\n"));
        write(
            "broker.conf",
            format!(
                "brokerName=broker-a\nbrokerId=0\nbrokerIP1=127.0.0.1\nbindAddress=127.0.0.1\n\
                 listenPort={broker}\nnamesrvAddr=127.0.0.1:{namesrv}\nstorePathRootDir={}\n\
                 flushDiskType=SYNC_FLUSH\nmappedFileSizeCommitLog=1048576\n\
                 mappedFileSizeConsumeQueue=4000\nautoCreateTopicEnable=true\n",
                folder.join("store").display()
            ),
        );
        Self {
            program,
            folder: folder.to_owned(),
            namesrv_addr: format!("127.0.0.1:{namesrv}"),
            broker_addr: format!("127.0.0.1:{broker}"),
        }
    }

    fn spawn(&self, role: &str, on_line: impl FnMut(&str) + Send + 'static) -> Process {
        let mut command = Command::new(&self.program);
        command.arg(role).arg("-c").arg(self.folder.join(format!("{role}.conf")));
        Process::spawn(&mut command, role, &self.folder, on_line).expect("the server starts")
    }

    /// Starts a server and waits until it says that it is ready.
    fn start(&self, role: &str) -> Process {
        let (ready, started) = mpsc::channel();
        let process = self.spawn(role, move |line| {
            if line.contains("boot success") {
                let _ = ready.send(());
            }
        });
        if started.recv_timeout(START_LIMIT).is_err() {
            let text = std::fs::read_to_string(self.folder.join(format!("{role}.err"))).unwrap_or_default();
            panic!(
                "{role} did not start: {}",
                text.lines().next_back().unwrap_or("no word on standard error")
            );
        }
        process
    }
}

/// Where a message stands.
type Place = (i32, i64);

/// What was sent, acknowledged, found and consumed. Every lock is held for single look-ups.
struct Ledger {
    seed: u64,
    next_key: AtomicU64,
    /// The message that the broker said it has, by place.
    acked: Mutex<HashMap<Place, u64>>,
    /// Per queue the offset up to which the store was compared.
    compared: Mutex<HashMap<i32, i64>>,
    /// Messages the consumer got.
    delivered: Mutex<HashSet<u64>>,
}

impl Ledger {
    fn new(seed: u64) -> Self {
        Self {
            seed,
            next_key: AtomicU64::new(0),
            acked: Mutex::default(),
            compared: Mutex::default(),
            delivered: Mutex::default(),
        }
    }

    /// The body of a message, made from its key alone: the key, then noise, now and then much of it.
    fn body(&self, key: u64) -> Vec<u8> {
        let mut noise = SmallRng::seed_from_u64(self.seed ^ key.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let len = if noise.random_ratio(1, 100) { 60_000 } else { noise.random_range(0..2000) };
        let mut body = key.to_be_bytes().to_vec();
        body.resize(8 + len, 0);
        noise.fill_bytes(&mut body[8..]);
        body
    }

    /// The key of a body that is exactly as it was sent.
    fn key_of(&self, body: &[u8]) -> Option<u64> {
        let key = u64::from_be_bytes(*body.first_chunk()?);
        let sent = key < self.next_key.load(Ordering::Relaxed);
        (sent && *body == *self.body(key)).then_some(key)
    }

    fn acknowledge(&self, queue: i32, first: i64, keys: impl Iterator<Item = u64>) {
        let mut acked = lock(&self.acked);
        for (offset, key) in (first..).zip(keys) {
            let other = acked.insert((queue, offset), key);
            assert_eq!(other, None, "queue {queue} offset {offset} was given twice");
        }
    }

    fn first_undelivered(&self) -> Option<u64> {
        let delivered = lock(&self.delivered);
        lock(&self.acked).values().copied().find(|key| !delivered.contains(key))
    }
}

/// Senders at work.
struct Load(tokio::task::JoinSet<()>);

impl Load {
    async fn start(addr: &str, ledger: &Arc<Ledger>, seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut senders = tokio::task::JoinSet::new();
        for _ in 0..CONNECTIONS {
            let connection = connect(addr).await;
            for _ in 0..SENDERS {
                let rng = SmallRng::seed_from_u64(rng.random());
                senders.spawn(send_until_closed(connection.clone(), Arc::clone(ledger), rng));
            }
        }
        Self(senders)
    }

    /// Waits until every sender has noticed that the broker is gone.
    async fn end(mut self) {
        while let Some(ended) = self.0.join_next().await {
            ended.expect("no sender fails");
        }
    }
}

async fn send_until_closed(connection: Connection, ledger: Arc<Ledger>, mut rng: SmallRng) {
    loop {
        let count = if rng.random_ratio(1, 6) { BATCH } else { 1 };
        let key = ledger.next_key.fetch_add(count, Ordering::Relaxed);
        let keys = key..key + count;
        let queue_id = rng.random_range(0..QUEUES);
        let header = SendMessageHeader {
            producer_group: "crash-producer".into(),
            topic: TOPIC.into(),
            default_topic: "TBW102".into(),
            default_topic_queue_nums: QUEUES,
            queue_id,
            sys_flag: 0,
            born_timestamp: 0,
            flag: 0,
            properties: None,
            reconsume_times: None,
            unit_mode: None,
            batch: (count > 1).then_some(true),
            max_reconsume_times: None,
        };
        let (code, body) = if count > 1 {
            let messages: Vec<BatchMessage> = keys
                .clone()
                .map(|key| BatchMessage { flag: 0, body: ledger.body(key).into(), properties: "".into() })
                .collect();
            (RequestCode::SendBatchMessage, batch::encode(&messages))
        } else {
            (RequestCode::SendMessageV2, ledger.body(key).into())
        };
        let mut request = RemotingCommand::request(code, &header).with_body(body);
        request.ext_fields = ExtFields::new();
        header.encode_v2(&mut request.ext_fields);
        let reply = match connection.call(request, CALL_LIMIT).await {
            Ok(reply) => reply,
            Err(CallError::Closed { .. }) => return,
            Err(error) => panic!("a send on a living connection: {error}"),
        };
        assert_eq!(reply.response_code(), ResponseCode::SUCCESS, "send refused: {:?}", reply.remark);
        let receipt = SendMessageReply::decode(&reply.ext_fields).expect("a receipt");
        assert_eq!(receipt.queue_id, queue_id);
        ledger.acknowledge(receipt.queue_id, receipt.queue_offset, keys);
    }
}

async fn connect(addr: &str) -> Connection {
    dial(addr, Arc::new(RefuseAll), &RemotingConfig::default()).await.expect("the broker listens")
}

async fn ask<H: Header, R: Header>(connection: &Connection, code: RequestCode, header: &H) -> R {
    let reply = call(connection, code, header).await;
    assert_eq!(reply.response_code(), ResponseCode::SUCCESS, "{code:?}: {:?}", reply.remark);
    R::decode(&reply.ext_fields).expect("a reply header")
}

async fn call<H: Header>(connection: &Connection, code: RequestCode, header: &H) -> RemotingCommand {
    connection.call(RemotingCommand::request(code, header), CALL_LIMIT).await.expect("an answer")
}

/// Reads every queue on from where the last comparison ended. Each offset must hold one message exactly as
/// it was sent, each acknowledged place the message it was given to, and no message may stand twice.
async fn compare(addr: &str, ledger: &Ledger) {
    let connection = connect(addr).await;
    let acked = lock(&ledger.acked).clone();
    let mut seen = HashSet::new();
    for queue_id in 0..QUEUES {
        let from = lock(&ledger.compared).get(&queue_id).copied().unwrap_or(0);
        let header = GetMaxOffsetHeader { topic: TOPIC.into(), queue_id, committed: None };
        let end = ask::<_, GetMaxOffsetReply>(&connection, RequestCode::GetMaxOffset, &header).await.offset;
        let last = acked.keys().filter(|place| place.0 == queue_id).map(|place| place.1).max();
        if let Some(last) = last {
            assert!(end > last, "queue {queue_id} ends at {end}, but offset {last} was acknowledged");
        }
        let committed = read_committed(&connection, queue_id).await;
        assert!(committed <= end, "queue {queue_id} ends at {end}, but the group stands at {committed}");
        let mut next = from;
        while next < end {
            next = compare_pull(&connection, ledger, &acked, &mut seen, queue_id, next).await;
        }
        let header = UpdateConsumerOffsetHeader {
            consumer_group: READER.into(),
            topic: TOPIC.into(),
            queue_id,
            commit_offset: next,
        };
        let reply = call(&connection, RequestCode::UpdateConsumerOffset, &header).await;
        assert_eq!(reply.response_code(), ResponseCode::SUCCESS);
        assert_eq!(read_committed(&connection, queue_id).await, next);
        lock(&ledger.compared).insert(queue_id, next);
    }
    connection.close();
}

/// The reader's stored offset: what it committed, or what was saved before the kill.
async fn read_committed(connection: &Connection, queue_id: i32) -> i64 {
    let header = QueryConsumerOffsetHeader {
        consumer_group: READER.into(),
        topic: TOPIC.into(),
        queue_id,
        set_zero_if_not_found: None,
    };
    ask::<_, QueryConsumerOffsetReply>(connection, RequestCode::QueryConsumerOffset, &header).await.offset
}

/// Compares what one pull from `offset` brings, and says where the next one starts.
async fn compare_pull(
    connection: &Connection,
    ledger: &Ledger,
    acked: &HashMap<Place, u64>,
    seen: &mut HashSet<u64>,
    queue_id: i32,
    offset: i64,
) -> i64 {
    let header = PullMessageHeader {
        consumer_group: READER.into(),
        topic: TOPIC.into(),
        queue_id,
        queue_offset: offset,
        max_msg_nums: 32,
        sys_flag: SUBSCRIPTION,
        commit_offset: 0,
        suspend_timeout_millis: 0,
        subscription: Some("*".into()),
        sub_version: 0,
        expression_type: Some("TAG".into()),
        max_msg_bytes: None,
        request_source: None,
        proxy_forward_client_id: None,
    };
    let reply = call(connection, RequestCode::PullMessage, &header).await;
    assert_eq!(
        reply.response_code(),
        ResponseCode::SUCCESS,
        "pull of {queue_id}/{offset}: {:?}",
        reply.remark
    );
    let mut next = offset;
    let mut bytes = &reply.body[..];
    while !bytes.is_empty() {
        let record = RecordView::parse(bytes).expect("a whole record");
        assert_eq!((record.queue_id, record.queue_offset), (queue_id, next), "offsets are dense");
        let Some(key) = ledger.key_of(record.body) else {
            panic!("queue {queue_id} offset {next} holds {} bytes nobody sent", record.body.len());
        };
        assert!(seen.insert(key), "message {key} stands twice, the second time at {queue_id}/{next}");
        if let Some(expected) = acked.get(&(queue_id, next)) {
            assert_eq!(key, *expected, "queue {queue_id} offset {next} was acknowledged for another message");
        }
        next += 1;
        bytes = &bytes[record.total_size..];
    }
    let told = PullMessageReply::decode(&reply.ext_fields).expect("a pull's header").next_begin_offset;
    assert!(next > offset, "a pull below the queue's end brings nothing");
    assert_eq!(told, next, "the next pull's offset");
    next
}

/// Starts the consumer that lives through all kills. Its intervals are short: it finds out about a restart
/// by itself, and Java's 30 s would only make this slow.
async fn consume(namesrv: &str, ledger: &Arc<Ledger>) -> (Client, PushConsumer) {
    let second = Duration::from_secs(1);
    let client = Client::builder(namesrv)
        .poll_name_server_interval(second)
        .heartbeat_broker_interval(second)
        .build()
        .expect("a client");
    let ledger = Arc::clone(ledger);
    let consumer = client
        .push_consumer("crash-consumer")
        .subscribe(TOPIC, "*")
        .consume_from(ConsumeFromWhere::FirstOffset)
        .rebalance_interval(second)
        .on_message(move |message: MessageExt| {
            let key = ledger.key_of(&message.body).expect("a consumed message is as it was sent");
            lock(&ledger.delivered).insert(key);
            std::future::ready(())
        })
        .start()
        .await
        .expect("the consumer starts");
    (client, consumer)
}
