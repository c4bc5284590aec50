//! The client when its surroundings do not behave: consumers that come and go, servers that are killed, a broker
//! that cannot keep up. Ours and Java's servers, our client in processes of its own (`ferrocket-load`).
//!
//! Every step waits for what the one before it must lead to. How long that may take is judged on quiet cores; beside
//! other work a limit of half a minute tells slow from never. `FERROCKET_BIN` names our server program. `FERROCKET_SOAK` makes all of it as
//! large and as long as the project's goals say (`cargo xtask soak`).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ferrocket::admin::TopicConfig;
use ferrocket::{Client, Message, MessageQueue, Producer};
use ferrocket_interop_tests::cluster::Cluster;
use ferrocket_interop_tests::ledger::{Delivery, Ledger, Sent};
use ferrocket_interop_tests::matrix::Server;
use ferrocket_interop_tests::process::{POLL, Process, status_kib};
use ferrocket_interop_tests::setup::Workshop;
use ferrocket_protocol::body::topic::{PERM_READ, PERM_WRITE};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval_at};

/// Something that must happen did not, if it takes so long.
const LIMIT: Duration = Duration::from_secs(120);
/// Of a consumer process: what it asks for in one pull.
const PULL_BATCH: usize = 8;
const TOPIC: &str = "resilience";

/// How much is done.
struct Scale {
    consumers: u32,
    queues: i32,
    /// Messages a second, all queues together.
    rate: u32,
    /// Consumers that are killed after all have been restarted.
    kills: u32,
    /// How often the servers are killed, and how many messages are acknowledged between two kills.
    outages: u32,
    acks_between: usize,
    load_rate: u32,
    flood: u64,
    window: u32,
    flood_timeout_s: u64,
    /// How often the flooded broker is suspended.
    pauses: u32,
    /// Longest time from a send to its first delivery while members come and go.
    unconsumed_max: Duration,
    /// Longest time from the servers' return to the next receipt.
    resumed_max: Duration,
}

fn scale() -> Scale {
    if std::env::var_os("FERROCKET_SOAK").is_some() {
        return Scale {
            consumers: 20,
            queues: 200,
            rate: 5_000,
            kills: 5,
            outages: 30,
            acks_between: 10_000,
            load_rate: 1_000,
            flood: 3_000_000,
            window: 10_000,
            flood_timeout_s: 3,
            pauses: 0,
            unconsumed_max: Duration::from_secs(2),
            resumed_max: Duration::from_secs(1),
        };
    }
    Scale {
        consumers: 8,
        queues: 64,
        rate: 256,
        kills: 2,
        outages: 5,
        acks_between: 300,
        load_rate: 100,
        flood: 100_000,
        window: 2_000,
        flood_timeout_s: 60,
        pauses: 3,
        unconsumed_max: Duration::from_secs(30),
        resumed_max: Duration::from_secs(30),
    }
}

#[test]
fn rolling_restart_on_our_servers() {
    rolling_restart(Server::Ours);
}

#[test]
fn rolling_restart_on_java_servers() {
    rolling_restart(Server::Java49);
}

#[test]
fn outages_of_our_servers() {
    outages(Server::Ours);
}

#[test]
fn outages_of_java_servers() {
    outages(Server::Java49);
}

#[test]
fn overload_of_our_broker() {
    overload(Server::Ours);
}

#[test]
fn overload_of_a_java_broker() {
    overload(Server::Java49);
}

/// Consumers are restarted one after the other under a steady load, then some are killed: nothing is lost; in
/// order nothing is repeated or overtaken; what a stopped member handled does not come again, and of what a killed
/// one handled at most what it had not told the broker yet.
fn rolling_restart(server: Server) {
    let _alone = alone();
    let scale = scale();
    let stage = Stage::new(server);
    // Kills come without order only: the broker keeps a dead member's locks for a minute, Java's as ours.
    for (mode, kills) in [("orderly", 0), ("concurrent", scale.kills)] {
        stage.create_topic(mode, scale.queues);
        let board = Arc::new(Board::default());
        let mut members: Vec<(u64, Process)> = Vec::new();
        let mut born = 0;
        let mut join = |members: &mut Vec<(u64, Process)>, at: usize| {
            born += 1;
            let arguments = ["consume", &stage.namesrv(), mode, mode, mode];
            let process = stage.spawn(&format!("{mode}-{born}"), &arguments, &board, born);
            members.insert(at, (born, process));
            born
        };
        for at in 0..scale.consumers as usize {
            join(&mut members, at);
        }
        let load = Load::start(&stage, &board, mode, scale.rate);
        let everyone: Vec<u64> = members.iter().map(|(member, _)| *member).collect();
        board.wait("every member gets something", |seen| everyone.iter().all(|m| seen.members.contains(m)));
        for at in 0..members.len() {
            let (member, mut process) = members.remove(at);
            board.happens(Happening::Stop(member));
            drop(process.take_stdin());
            board.wait("the member stops", |seen| seen.stopped.contains(&member));
            process.wait(LIMIT).expect("the member ends");
            board.wait_all_queues(scale.queues, "after a stop");
            board.happens(Happening::Join);
            let member = join(&mut members, at);
            board.wait("the new member gets something", |seen| seen.members.contains(&member));
            board.wait_all_queues(scale.queues, "after a start");
        }
        for at in 0..kills as usize {
            let (member, mut process) = members.remove(at);
            process.kill();
            board.happens(Happening::Kill(member));
            board.wait_all_queues(scale.queues, "after a kill");
            board.happens(Happening::Join);
            let member = join(&mut members, at);
            board.wait("the new member gets something", |seen| seen.members.contains(&member));
            board.wait_all_queues(scale.queues, "after a start");
        }
        load.stop();
        board.wait("everything acknowledged arrives", Seen::has_all);
        for (member, process) in &mut members {
            drop(process.take_stdin());
            board.wait("the member stops", |seen| seen.stopped.contains(member));
        }
        Account::of(&board).judge(server, mode, scale.unconsumed_max);
    }
    stage.end();
}

/// NameServer and Broker are killed and started again, many times, under load: the client goes on as before, with
/// as much memory and as many tasks, and nothing that was acknowledged is missing.
fn outages(server: Server) {
    let _alone = alone();
    let scale = scale();
    let mut stage = Stage::new(server);
    stage.create_topic(TOPIC, 8);
    let board = Arc::new(Board::default());
    let rate = scale.load_rate.to_string();
    let mut client = stage.spawn("load", &["load", &stage.namesrv(), TOPIC, "8", &rate], &board, 1);
    let mut stdin = client.take_stdin().expect("standard input");
    let mut look = |client: &Process| {
        let looks = board.lock().tasks.len();
        std::io::Write::write_all(&mut stdin, b"look\n").expect("the client reads");
        board.wait("the client counts its tasks", |seen| seen.tasks.len() > looks);
        (board.lock().tasks[looks], status_kib(client.id(), "VmRSS").expect("the process lives"))
    };
    let mut acked = 0;
    let more = |acked: &mut usize, wanted: usize| {
        let before = board.lock().sent.len();
        board.wait("messages are acknowledged", |seen| seen.sent.len() >= before + wanted);
        board.wait("messages arrive", |seen| seen.bodies.len() > *acked);
        *acked = board.lock().bodies.len();
    };
    more(&mut acked, scale.acks_between);
    let (mut warm, mut resumed) = (None, Vec::new());
    for _ in 0..scale.outages {
        stage.cluster.kill();
        let failed = board.lock().failures.len();
        board.wait("a send fails", |seen| seen.failures.len() > failed);
        stage.cluster.revive().expect("the servers start again");
        let (sent, back) = (board.lock().sent.len(), Instant::now());
        board.wait("sending resumes", |seen| seen.sent.len() > sent);
        resumed.push(back.elapsed());
        more(&mut acked, scale.acks_between);
        client.check_alive().expect("the client lives");
        warm = warm.or_else(|| Some(look(&client)));
    }
    let (warm, end) = (warm.expect("an outage"), look(&client));
    drop(stdin);
    board.wait("the client ends", |seen| seen.stopped.contains(&1));
    // What it had not consumed yet, another of the group gets.
    let rest = ["consume", &stage.namesrv(), TOPIC, "load-consumer", "concurrent"];
    let _rest = stage.spawn("rest", &rest, &board, 2);
    board.wait("everything acknowledged arrives", Seen::has_all);
    let acknowledged = board.lock().sent.len();
    let failed = board.lock().failures.len();
    println!(
        "{}: {} outages, {acknowledged} messages acknowledged and all there, {failed} refused; sending again \
         after {resumed:.2?}; tasks {} then {}, resident {} then {} KiB",
        server.label(),
        scale.outages,
        warm.0,
        end.0,
        warm.1,
        end.1,
    );
    let slowest = resumed.iter().max().copied().unwrap_or_default();
    assert!(slowest <= scale.resumed_max, "sending went on {slowest:?} after the servers were back");
    // Some sends and pulls are under way at the moment of looking.
    assert!(end.0 <= warm.0 + 16, "{} tasks after the first outage, {} after the last", warm.0, end.0);
    let memory = warm.1 + warm.1 / 2 + 8 * 1024;
    assert!(end.1 <= memory, "{} KiB after the first outage, {} after the last", warm.1, end.1);
    let text = std::fs::read_to_string(stage.folder.path().join("load.err")).expect("the client's log");
    assert!(!text.contains("panicked"), "the client panicked: see its log");
    stage.end();
}

/// A program enqueues in a tight loop, much more than the client's window and faster than the broker takes it: it is
/// held back, no send fails, and memory stays what the window needs.
fn overload(server: Server) {
    let _alone = alone();
    let scale = scale();
    let stage = Stage::new(server);
    stage.create_topic(TOPIC, 4);
    let board = Arc::new(Board::default());
    let [count, window, timeout] =
        [scale.flood, scale.window.into(), scale.flood_timeout_s].map(|n| n.to_string());
    let arguments = ["flood", &stage.namesrv(), TOPIC, &count, &window, &timeout];
    let started = Instant::now();
    let mut client = stage.spawn("flood", &arguments, &board, 1);
    board.wait("the flood begins", |seen| seen.members_ready == 1);
    for _ in 0..scale.pauses {
        // Not waits for anything: this is how slow the broker is.
        stage.cluster.signal_broker("-STOP").expect("the broker stands still");
        std::thread::sleep(Duration::from_secs(1));
        stage.cluster.signal_broker("-CONT").expect("the broker goes on");
        std::thread::sleep(Duration::from_millis(200));
    }
    board.wait_for("the flood ends", LIMIT * 10, |seen| seen.flooded.is_some());
    let (acknowledged, failed, peak_kib) = board.lock().flooded.expect("a figure");
    println!(
        "{}: {acknowledged} of {count} enqueued acknowledged, {failed} failed, at most {peak_kib} KiB, {:.1} s",
        server.label(),
        started.elapsed().as_secs_f32()
    );
    let failures = board.lock().failures.clone();
    assert_eq!((acknowledged, failed), (scale.flood, 0), "{:?}", failures.first());
    let memory = 32 * 1024 + u64::from(scale.window) * 12;
    assert!(peak_kib <= memory, "{peak_kib} KiB for a window of {window} messages");
    drop(client.take_stdin());
    client.wait(LIMIT).expect("the client ends");
    // All are there; a broker lists them a moment after it has acknowledged them. A send whose connection ended, or
    // whose answer did not come, is repeated and may be there twice.
    let deadline = Instant::now() + LIMIT;
    while stage.stored(TOPIC) < scale.flood && Instant::now() < deadline {
        std::thread::sleep(POLL);
    }
    let stored = stage.stored(TOPIC);
    println!("{}: {stored} stored", server.label());
    assert!(stored >= scale.flood, "{stored} of {} are there", scale.flood);
    stage.end();
}

/// Two at once would spoil each other's figures.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

/// Servers, and a client of this process.
struct Stage {
    client: Client,
    runtime: Runtime,
    cluster: Cluster,
    folder: tempfile::TempDir,
}

impl Stage {
    fn new(server: Server) -> Self {
        let mut folder = tempfile::tempdir().expect("a temporary folder");
        // Kept if anything fails.
        folder.disable_cleanup(true);
        println!("store, logs and settings: {}", folder.path().display());
        let workshop = Workshop::find().expect("the repository");
        let cluster = Cluster::start(&workshop, server, server, folder.path()).expect("the servers start");
        let runtime = Runtime::new().expect("a runtime");
        let client = Client::builder(&cluster.namesrv_address()).build().expect("a client");
        Self { client, runtime, cluster, folder }
    }

    fn create_topic(&self, topic: &str, queues: i32) {
        let config = TopicConfig::new(topic, queues, queues, PERM_READ | PERM_WRITE);
        self.runtime.block_on(self.client.admin().create_topic(&config)).expect("the topic is made");
        self.cluster.wait_route(topic).expect("the topic is known");
    }

    /// How many messages the topic has.
    fn stored(&self, topic: &str) -> u64 {
        let stats =
            self.runtime.block_on(self.client.admin().topic_stats(topic)).expect("the topic's offsets");
        stats.offset_table.values().map(|offset| (offset.max_offset - offset.min_offset) as u64).sum()
    }

    /// The test has passed.
    fn end(mut self) {
        self.folder.disable_cleanup(false);
    }

    fn namesrv(&self) -> String {
        self.cluster.namesrv_address()
    }

    /// Starts a client process whose words go to the board, as those of `member`.
    fn spawn(&self, name: &str, arguments: &[&str], board: &Arc<Board>, member: u64) -> Process {
        let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_ferrocket-load")));
        let board = Arc::clone(board);
        Process::spawn(command.args(arguments), name, self.folder.path(), move |line| {
            board.heard(member, line)
        })
        .expect("the client starts")
    }
}

/// What was done to the group's members, and from when on what follows is put down to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Happening {
    Join,
    Stop(u64),
    Kill(u64),
}

/// What the processes said so far.
#[derive(Default)]
struct Board {
    /// Held for one line, or one look.
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    members_ready: usize,
    /// Members that got a message.
    members: BTreeSet<u64>,
    stopped: BTreeSet<u64>,
    /// Acknowledged bodies, with where they are if that was told.
    sent: HashMap<String, Option<(i32, i64)>>,
    failures: Vec<String>,
    /// When a message was about to be sent.
    sending_us: HashMap<String, u64>,
    deliveries: Vec<(u64, Delivery)>,
    bodies: BTreeSet<String>,
    tasks: Vec<usize>,
    flooded: Option<(u64, u64, u64)>,
    happenings: Vec<(u64, Happening)>,
}

impl Seen {
    /// Whether all that was acknowledged has arrived.
    fn has_all(&self) -> bool {
        self.bodies.len() >= self.sent.len() && self.sent.keys().all(|body| self.bodies.contains(body))
    }
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn happens(&self, what: Happening) {
        self.lock().happenings.push((now_us(), what));
    }

    /// Reads a line of `ferrocket-load`.
    fn heard(&self, member: u64, line: &str) {
        let words: Vec<&str> = line.split('\t').collect();
        let seen = &mut *self.lock();
        match words[..] {
            ["READY"] => seen.members_ready += 1,
            ["RECV", body, queue, offset, time_us] => {
                let number = |text: &str| text.parse::<i64>().expect("a number");
                let delivery = Delivery {
                    consumer: member,
                    body: body.to_owned(),
                    queue: number(queue) as i32,
                    offset: number(offset),
                    reconsume_times: 0,
                    tag: None,
                    age_ms: None,
                };
                seen.bodies.insert(body.to_owned());
                seen.members.insert(member);
                seen.deliveries.push((number(time_us) as u64, delivery));
            }
            ["ACK", body, _] => {
                seen.sent.insert(body.to_owned(), None);
            }
            ["FAIL", body, why] => seen.failures.push(format!("{body}: {why}")),
            ["TASKS", count] => seen.tasks.push(count.parse().expect("a number")),
            ["FLOODED", acknowledged, failed, peak] => {
                let [a, b, c] =
                    [acknowledged, failed, peak].map(|text| text.trim().parse().expect("a number"));
                seen.flooded = Some((a, b, c));
            }
            ["STOPPED"] => {
                seen.stopped.insert(member);
            }
            // Their number does not come out, then.
            _ => eprintln!("ferrocket-load said {line}"),
        }
    }

    /// Waits until `done`; the test fails if that takes longer than anything sensible. Looks now and then, since a
    /// look may go through all that was delivered: one for each line would be most of the load.
    fn wait(&self, what: &str, done: impl Fn(&Seen) -> bool) {
        self.wait_for(what, LIMIT, done);
    }

    fn wait_for(&self, what: &str, limit: Duration, done: impl Fn(&Seen) -> bool) {
        let deadline = Instant::now() + limit;
        while !done(&self.lock()) {
            if Instant::now() > deadline {
                let seen = self.lock();
                let (failures, changes) = (seen.failures.len(), seen.happenings.len());
                panic!("never: {what} ({failures} sends failed, {changes} changes of members)");
            }
            std::thread::sleep(POLL);
        }
    }

    /// Waits until something that was sent from now on came from each queue.
    fn wait_all_queues(&self, queues: i32, when: &str) {
        let (now, from) = (now_us(), self.lock().deliveries.len());
        self.wait(&format!("all queues are consumed {when}"), |seen| {
            let fresh = seen.deliveries[from..].iter().map(|(_, delivery)| delivery);
            let fresh = fresh.filter(|d| seen.sending_us.get(&d.body).is_some_and(|sending| *sending > now));
            fresh.map(|delivery| delivery.queue).collect::<BTreeSet<_>>().len() == queues as usize
        });
    }
}

/// Messages to every queue in turn, each with a number of its own sequence, at a steady rate.
struct Load<'a> {
    stage: &'a Stage,
    stop: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl<'a> Load<'a> {
    fn start(stage: &'a Stage, board: &Arc<Board>, topic: &str, rate: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        let producer = stage.runtime.block_on(stage.client.producer(&format!("load-{topic}")).start());
        let producer = producer.expect("a producer");
        let queues = stage.runtime.block_on(producer.fetch_queues(topic)).expect("the topic's queues");
        let pause = Duration::from_secs(1) * queues.len() as u32 / rate;
        let phase = AtomicU32::new(0);
        for queue in queues.clone() {
            // Not all queues at one moment.
            let late = pause * phase.fetch_add(1, Ordering::Relaxed) / queues.len() as u32;
            let body = format!("{topic}-{}", queue.queue_id);
            let sending =
                send_on(producer.clone(), queue, body, late, pause, Arc::clone(&stop), Arc::clone(board));
            tasks.spawn_on(sending, stage.runtime.handle());
        }
        Self { stage, stop, tasks }
    }

    fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.stage.runtime.block_on(async {
            while let Some(ended) = self.tasks.join_next().await {
                ended.expect("no sender fails");
            }
        });
    }
}

async fn send_on(
    producer: Producer,
    queue: MessageQueue,
    key: String,
    late: Duration,
    pause: Duration,
    stop: Arc<AtomicBool>,
    board: Arc<Board>,
) {
    let mut ticks = interval_at(tokio::time::Instant::now() + late, pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 0u64.. {
        ticks.tick().await;
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let body = format!("{key}-{number}");
        board.lock().sending_us.insert(body.clone(), now_us());
        let sent = producer
            .send_to(Message::new(&*queue.topic, body.clone()), &queue)
            .await
            .expect("the send succeeds");
        let place = (sent.message_queue.queue_id, sent.queue_offset);
        board.lock().sent.insert(body, Some(place));
    }
}

/// What a rolling restart came to.
struct Account {
    ledger: Ledger,
    /// Messages that came again, by what had happened to the group last: to a member that was stopped, by queue to
    /// one that was killed, and between members that lived.
    after_stop: Vec<String>,
    after_kill: BTreeMap<(u64, i32), usize>,
    moved: usize,
    /// The longest time from a send to its first delivery, by what had happened last, in microseconds.
    longest_us: BTreeMap<&'static str, u64>,
}

impl Account {
    fn of(board: &Board) -> Self {
        let mut seen = board.lock();
        let seen = &mut *seen;
        let mut account = Self {
            ledger: Ledger::default(),
            after_stop: Vec::new(),
            after_kill: BTreeMap::new(),
            moved: 0,
            longest_us: BTreeMap::new(),
        };
        for (body, place) in &seen.sent {
            let sent = Sent { status: "SEND_OK".into(), place: *place, message_id: None };
            account.ledger.record_sent(body, sent);
        }
        seen.deliveries.sort_by_key(|(time_us, _)| *time_us);
        let mut first: HashMap<&str, u64> = HashMap::new();
        for (time_us, delivery) in &seen.deliveries {
            let last = seen.happenings.iter().rev().find(|(since, _)| since <= time_us);
            let last = last.map_or(Happening::Join, |(_, what)| *what);
            match first.get(&*delivery.body) {
                None => {
                    first.insert(&delivery.body, delivery.consumer);
                    let sent = seen.sending_us.get(&delivery.body).copied().unwrap_or(*time_us);
                    let name = match last {
                        Happening::Join => "start",
                        Happening::Stop(_) => "stop",
                        Happening::Kill(_) => "kill",
                    };
                    let longest = account.longest_us.entry(name).or_default();
                    *longest = (*longest).max(time_us.saturating_sub(sent));
                }
                Some(member) if last == Happening::Stop(*member) => {
                    account.after_stop.push(delivery.body.clone());
                }
                Some(member) if last == Happening::Kill(*member) => {
                    *account.after_kill.entry((*member, delivery.queue)).or_default() += 1;
                }
                Some(_) => account.moved += 1,
            }
            account.ledger.record_delivery(Delivery { consumer: 0, ..delivery.clone() });
        }
        account
    }

    fn judge(&self, server: Server, mode: &str, unconsumed_max: Duration) {
        let killed: usize = self.after_kill.values().sum();
        let longest: Vec<String> =
            self.longest_us.iter().map(|(name, us)| format!("{} ms after a {name}", us / 1000)).collect();
        println!(
            "{}, {mode}: {} messages; came again: {} of stopped, {killed} of killed members, {} that moved between \
             living ones; longest wait for a message: {}",
            server.label(),
            self.ledger.sent_count(),
            self.after_stop.len(),
            self.moved,
            longest.join(", "),
        );
        for (name, us) in &self.longest_us {
            let waited = Duration::from_micros(*us);
            assert!(waited <= unconsumed_max, "a message waited {waited:?} after a {name}");
        }
        assert_eq!(self.ledger.at_least_once(), Vec::<String>::new());
        assert_eq!(self.ledger.misplaced(), Vec::<String>::new());
        if server == Server::Ours {
            assert_eq!(self.after_stop, Vec::<String>::new(), "stopped in order, but not all was told");
            if mode == "orderly" {
                assert_eq!(self.ledger.order_faults(), Vec::<String>::new());
            }
        } else {
            // Java's broker works on the requests of a connection side by side: the older offset that a pull
            // carries may overwrite the last one, which was sent after it.
            assert!(self.after_stop.len() <= 2 * PULL_BATCH, "came again: {:?}", self.after_stop);
            if mode == "orderly" {
                assert_eq!(self.ledger.first_order_faults(), Vec::<String>::new());
            }
        }
        // The broker learns with each pull what was handled before it: what two pulls brought is at stake.
        let most = self.after_kill.values().max().copied().unwrap_or(0);
        assert!(most <= 2 * PULL_BATCH, "{most} messages of one queue came again after a kill");
    }
}
