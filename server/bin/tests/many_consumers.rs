//! A thousand consumers in one process, against a real server: what they cost, and that they consume.
//!
//! In a process of its own, because memory and threads are the process's.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ferrocket::{Client, ConsumeFromWhere, Message};
use tokio::sync::Notify;
use tokio::task::JoinSet;

const CONSUMERS: usize = 1_000;
/// Bar of the project: what a thousand consumers may take in memory.
const MEMORY_MAX_KIB: usize = 64 * 1024;
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(240);

/// Killed when dropped.
struct Server {
    process: Child,
    name_server: String,
}

impl Server {
    fn start(data: &str) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_ferrocket"))
            .args(["standalone", "--data", data, "--namesrv-port", "0", "--broker-port", "0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let ready = lines.map(Result::unwrap).find_map(|line| {
            let rest = line.split_once("standalone: name server ")?.1;
            Some(rest.split_once(", data in ")?.0.to_owned())
        });
        Self { process, name_server: ready.unwrap() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A number of `/proc/self/status`.
fn status(name: &str) -> usize {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').split_whitespace().next().unwrap().parse().unwrap()
}

/// A thousand groups consume a topic of four queues in one process: in less than 64 MiB, without a thread more, and
/// with one task for each queue and two more for each consumer at most.
#[test]
fn a_thousand_consumers_are_cheap() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(home.path().to_str().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::builder(&server.name_server).build().unwrap();
        let producer = client.producer("producer").start().await.unwrap();
        assert!(producer.send(Message::new("T", "first")).await.unwrap().is_ok());
        let metrics = tokio::runtime::Handle::current().metrics();
        let before = (status("VmRSS"), status("Threads"), metrics.num_alive_tasks());

        let (count, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let mut starts = JoinSet::new();
        for number in 0..CONSUMERS {
            let (count, done) = (Arc::clone(&count), Arc::clone(&done));
            let builder = client
                .push_consumer(&format!("group-{number}"))
                .subscribe("T", "*")
                .consume_from(ConsumeFromWhere::FirstOffset)
                .on_message(move |_| {
                    if count.fetch_add(1, Ordering::SeqCst) + 1 == 2 * CONSUMERS {
                        done.notify_one();
                    }
                    async {}
                });
            starts.spawn(builder.start());
        }
        let consumers: Vec<_> =
            starts.join_all().await.into_iter().map(|started| started.expect("it starts")).collect();
        assert!(producer.send(Message::new("T", "second")).await.unwrap().is_ok());
        let all = tokio::time::timeout(PATIENCE, done.notified()).await;
        assert!(all.is_ok(), "{} of {} messages were consumed", count.load(Ordering::SeqCst), 2 * CONSUMERS);

        // Four of the topic, and the retry topic's.
        let held = async {
            loop {
                let queues: usize = consumers.iter().map(|consumer| consumer.queues().len()).sum();
                if queues == 5 * CONSUMERS {
                    return queues;
                }
                tokio::task::yield_now().await;
            }
        };
        let queues = tokio::time::timeout(PATIENCE, held).await.expect("some queues are held by nobody");
        let after = (status("VmRSS"), status("Threads"), metrics.num_alive_tasks());
        let memory = after.0.saturating_sub(before.0);
        println!(
            "{CONSUMERS} consumers with {queues} queues: {memory} KiB, {} tasks, {} threads",
            after.2, after.1
        );
        assert!(memory < MEMORY_MAX_KIB, "{CONSUMERS} consumers take {memory} KiB");
        assert_eq!(after.1, before.1, "threads");
        let tasks = after.2 - before.2;
        assert!(
            tasks <= queues + 2 * CONSUMERS,
            "{tasks} tasks for {queues} queues of {CONSUMERS} consumers"
        );
        client.shutdown().await.unwrap();
    });
}
