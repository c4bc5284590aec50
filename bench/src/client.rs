//! What a send costs the client, ours and Java's 4.9.8 on the same Broker: CPU time of the client's process, user and
//! system, in runs that alternate. Each run is a process of its own; the JVM's compilers and collector count.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::Command;

use clap::Args;
use ferrocket::admin::TopicConfig;
use ferrocket::{Client, Message, PendingSend, Producer};
use ferrocket_interop_tests::cluster::Cluster;
use ferrocket_interop_tests::matrix::Server;
use ferrocket_interop_tests::setup::Workshop;
use ferrocket_protocol::body::topic::{PERM_READ, PERM_WRITE};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use crate::compare::median;
use crate::measure::cpu_time;

const TOPIC: &str = "ClientBench";
const QUEUES: i32 = 4;

/// Options of `client`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Pairs of runs of each workload
    #[arg(long, default_value_t = 5)]
    pairs: usize,
    /// Divides all message counts, to see quickly that everything runs
    #[arg(long, default_value_t = 1)]
    scale_down: u64,
    /// On Java 4.9.7's servers instead of ours
    #[arg(long)]
    java_servers: bool,
}

/// One run of our client, in a process that does nothing else.
#[derive(Debug, Args)]
pub(crate) struct Run {
    namesrv: String,
    messages: u64,
    warm_up: u64,
    /// Messages under way from each sender; 1 sends synchronously
    window: usize,
    body_size: usize,
    /// On a runtime of one thread, the caller's, instead of one of several beside it
    #[arg(long)]
    one_thread: bool,
    /// Tasks that share the messages evenly; 0: the thread that runs `main` sends
    #[arg(long, default_value_t = 0)]
    tasks: u64,
}

struct Workload {
    name: &'static str,
    messages: u64,
    /// Enough for Java's compilers.
    warm_up: u64,
    window: usize,
    /// Of ours; Java has a thread for each, and its `main`, which costs as much as another, for none.
    tasks: u64,
    /// Whether ours are on a runtime of one thread.
    one_thread: bool,
}

const BODY_LEN: usize = 1024;
const AWAITED: Workload = Workload {
    name: "awaited, by the thread that runs main",
    messages: 60_000,
    warm_up: 60_000,
    window: 1,
    tasks: 0,
    one_thread: false,
};
const AWAITED_BY_64: Workload = Workload {
    name: "awaited, by each of 64 tasks",
    messages: 300_000,
    warm_up: 200_000,
    tasks: 64,
    ..AWAITED
};
const QUEUED: Workload = Workload {
    name: "one of 256 under way",
    messages: 400_000,
    warm_up: 400_000,
    window: 256,
    tasks: 0,
    one_thread: false,
};
const WORKLOADS: [Workload; 9] = [
    AWAITED,
    Workload { name: "awaited, by a task", tasks: 1, ..AWAITED },
    // The body of a `main` with `flavor = "current_thread"`, which tokio polls apart from tasks.
    Workload { name: "awaited, on a runtime of one thread", one_thread: true, ..AWAITED },
    Workload { name: "awaited, by a task on a runtime of one thread", tasks: 1, one_thread: true, ..AWAITED },
    AWAITED_BY_64,
    Workload {
        name: "awaited, by each of 64 tasks on a runtime of one thread",
        one_thread: true,
        ..AWAITED_BY_64
    },
    QUEUED,
    Workload { name: "one of 256 under way, by a task", tasks: 1, ..QUEUED },
    Workload { name: "one of 256 under way, on a runtime of one thread", one_thread: true, ..QUEUED },
];

/// Runs all pairs and prints a table of medians.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let workshop = Workshop::find()?;
    let folder = tempfile::tempdir().map_err(|error| format!("a temporary folder: {error}"))?;
    let server = if options.java_servers { Server::Java49 } else { Server::Ours };
    let cluster = Cluster::start(&workshop, server, server, folder.path())?;
    let namesrv = cluster.namesrv_address();
    create_topic(&namesrv)?;
    cluster.wait_route(TOPIC)?;
    println!(
        "| sends (servers: {}) | ours, us of CPU | Java 4.9.8, us of CPU | ratio |\n|---|---|---|---|",
        server.label()
    );
    for workload in &WORKLOADS {
        let (mut ours, mut javas, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for pair in 0..options.pairs.max(1) {
            let our_run = || cpu_us(our_command(&namesrv, workload, options)?, workload, options);
            let java_run =
                || cpu_us(java_command(&workshop, &namesrv, workload, options)?, workload, options);
            // Java, ours, ours, Java, …: what one run leaves behind must not always meet the same other.
            let (our, java) = if pair % 2 == 0 {
                let java = java_run()?;
                (our_run()?, java)
            } else {
                (our_run()?, java_run()?)
            };
            eprintln!("{}: ours {our:.2} us, Java {java:.2} us", workload.name);
            ours.push(our);
            javas.push(java);
            ratios.push(our / java);
        }
        let low = ratios.iter().copied().fold(f64::MAX, f64::min);
        let high = ratios.iter().copied().fold(0.0, f64::max);
        let [ours, javas, ratio] = [ours, javas, ratios].map(|values| median(values.into_iter()));
        println!("| {} | {ours:.2} | {javas:.2} | {ratio:.2} [{low:.2} .. {high:.2}] |", workload.name);
    }
    Ok(())
}

fn create_topic(namesrv: &str) -> Result<(), String> {
    let runtime = Runtime::new().map_err(|error| format!("a runtime: {error}"))?;
    let client = Client::builder(namesrv).build().map_err(|error| error.to_string())?;
    let topic = TopicConfig::new(TOPIC, QUEUES, QUEUES, PERM_READ | PERM_WRITE);
    runtime.block_on(client.admin().create_topic(&topic)).map_err(|error| error.to_string())
}

fn counts(workload: &Workload, options: &Options) -> [u64; 2] {
    [workload.messages, workload.warm_up].map(|count| (count / options.scale_down.max(1)).max(100))
}

fn our_command(namesrv: &str, workload: &Workload, options: &Options) -> Result<Command, String> {
    let here: PathBuf = std::env::current_exe().map_err(|error| format!("this program: {error}"))?;
    let [messages, warm_up] = counts(workload, options);
    let mut command = Command::new(here);
    command.args(["client-run", namesrv, &messages.to_string(), &warm_up.to_string()]);
    command.args([workload.window.to_string(), BODY_LEN.to_string()]);
    command.args(["--tasks", &workload.tasks.to_string()]);
    if workload.one_thread {
        command.arg("--one-thread");
    }
    Ok(command)
}

fn java_command(
    workshop: &Workshop,
    namesrv: &str,
    workload: &Workload,
    options: &Options,
) -> Result<Command, String> {
    let [messages, warm_up] = counts(workload, options);
    let mut command = Command::new("java");
    // Compiled as it starts: one file.
    command.args(["-Xms512m", "-Xmx512m", "-Drocketmq.client.logUseSlf4j=true", "-cp"]);
    command.arg(workshop.class_path("client-4.9.8")?);
    command.arg(workshop.peers.join("java/ClientBench.java"));
    command.args([namesrv, TOPIC, &messages.to_string(), &warm_up.to_string()]);
    command.args([workload.window.to_string(), BODY_LEN.to_string(), workload.tasks.max(1).to_string()]);
    Ok(command)
}

/// Runs one client and returns the microseconds of CPU time for a message.
fn cpu_us(mut command: Command, workload: &Workload, options: &Options) -> Result<f64, String> {
    let output = command.output().map_err(|error| format!("{}: {error}", workload.name))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let words = text.lines().find_map(|line| line.strip_prefix("cpu\t"));
    let (nanos, failed) = words.and_then(|words| words.split_once('\t')).ok_or_else(|| {
        let errors = String::from_utf8_lossy(&output.stderr);
        format!("{} ended with {}: {text}{errors}", workload.name, output.status)
    })?;
    let nanos: f64 = nanos.parse().map_err(|error| format!("{nanos}: {error}"))?;
    if failed != "0" {
        eprintln!("{}: {failed} sends failed", workload.name);
    }
    Ok(nanos / 1000.0 / counts(workload, options)[0] as f64)
}

/// One run of our client: what [`cpu_us`] starts.
pub(crate) fn run_one(run: &Run) -> Result<(), String> {
    let mut runtime =
        if run.one_thread { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    let runtime = runtime.enable_all().build().map_err(|error| format!("a runtime: {error}"))?;
    runtime.block_on(measure(run)).map_err(|error| error.to_string())
}

async fn measure(run: &Run) -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::builder(&run.namesrv).build()?;
    let producer = client.producer("client-bench-ours").start().await?;
    send(&producer, run, run.warm_up).await?;
    let before = cpu_time(std::process::id())?;
    send(&producer, run, run.messages).await?;
    let cpu = cpu_time(std::process::id())?.saturating_sub(before);
    println!("cpu\t{}\t0", cpu.as_nanos());
    Ok(client.shutdown().await?)
}

async fn send(producer: &Producer, run: &Run, count: u64) -> Result<(), Box<dyn std::error::Error>> {
    // Shared by all messages, as a program would share what it sends again and again.
    let body = bytes::Bytes::from(vec![0; run.body_size]);
    if run.tasks == 0 {
        return Ok(send_share(producer, run.window, body, count).await?);
    }
    let mut senders = JoinSet::new();
    for number in 0..run.tasks {
        let (producer, window, body) = (producer.clone(), run.window, body.clone());
        // These shares add up to `count`.
        let share = (count + number) / run.tasks;
        senders.spawn(async move { send_share(&producer, window, body, share).await });
    }
    while let Some(ended) = senders.join_next().await {
        ended??;
    }
    Ok(())
}

/// What one sender does.
async fn send_share(
    producer: &Producer,
    window: usize,
    body: bytes::Bytes,
    count: u64,
) -> ferrocket::Result<()> {
    let mut under_way: VecDeque<PendingSend> = VecDeque::with_capacity(window);
    for _ in 0..count {
        let message = Message::new(TOPIC, body.clone());
        if window == 1 {
            let _receipt = producer.send(message).await?;
            continue;
        }
        if under_way.len() >= window
            && let Some(oldest) = under_way.pop_front()
        {
            let _receipt = oldest.await?;
        }
        under_way.push_back(producer.enqueue(message).await?);
    }
    for pending in under_way {
        let _receipt = pending.await?;
    }
    Ok(())
}
