//! Our Broker and Java's, side by side: both run, the workloads go to each in turn, and what counts is the
//! median of the ratios of neighbouring runs.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::Args;
use ferrocket_interop_tests::cluster::{JDK_17, ready};
use ferrocket_interop_tests::process::{Process, free_port, status_kib};
use ferrocket_interop_tests::setup::Workshop;

use crate::measure::Measured;
use crate::{Load, end_to_end, pull, send};

/// Options of `compare`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Pairs of runs of each workload
    #[arg(long, default_value_t = 5)]
    pairs: usize,
    /// Divides all message counts, to see quickly that everything runs
    #[arg(long, default_value_t = 1)]
    scale_down: u64,
    /// Writes the tables into this file, too
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

struct Workload {
    name: &'static str,
    kind: Kind,
    connections: u32,
    window: u32,
    body_size: u32,
    messages: u64,
}

#[derive(Clone, Copy)]
enum Kind {
    Send,
    Pull,
    EndToEnd(u64),
}

const fn send_of(
    name: &'static str,
    connections: u32,
    window: u32,
    body_size: u32,
    messages: u64,
) -> Workload {
    Workload { name, kind: Kind::Send, connections, window, body_size, messages }
}

const ASYNC_FLUSH: &[Workload] = &[
    send_of("sync, 1 client, 1 KiB", 1, 1, 1024, 40_000),
    send_of("sync, 16 clients, 1 KiB", 16, 1, 1024, 150_000),
    send_of("sync, 64 clients, 1 KiB", 64, 1, 1024, 150_000),
    send_of("pipelined 4 x 64, 1 KiB", 4, 64, 1024, 400_000),
    send_of("pipelined 4 x 64, 100 B", 4, 64, 100, 400_000),
    Workload {
        name: "catch-up pull, 4 queues, 1 KiB",
        kind: Kind::Pull,
        connections: 4,
        window: 1,
        body_size: 1024,
        messages: 1_000_000,
    },
    Workload {
        name: "send to consumer, 1000/s, 1 KiB",
        kind: Kind::EndToEnd(1000),
        connections: 1,
        window: 1,
        body_size: 1024,
        messages: 5_000,
    },
];

const SYNC_FLUSH: &[Workload] = &[
    send_of("sync, 1 client, 1 KiB", 1, 1, 1024, 8_000),
    send_of("sync, 64 clients, 1 KiB", 64, 1, 1024, 100_000),
    send_of("pipelined 4 x 64, 1 KiB", 4, 64, 1024, 200_000),
];

/// A heap as in many installations.
const JVM_FLAGS: [&str; 3] = ["-Xms2g", "-Xmx2g", "-XX:MaxDirectMemorySize=1g"];
/// Enough for the JIT compilers.
const WARM_UP: u64 = 500_000;
const LOGBACK: &str = "<configuration><root level=\"OFF\"/></configuration>\n";

/// Runs everything and prints the tables.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let workshop = Workshop::find()?;
    let mut report = String::new();
    for (flush, workloads) in [("ASYNC_FLUSH", ASYNC_FLUSH), ("SYNC_FLUSH", SYNC_FLUSH)] {
        let folder = tempfile::tempdir().map_err(|error| format!("a temporary folder: {error}"))?;
        let ours = Server::ours(&workshop, &folder.path().join("ours"), flush)?;
        let java = Server::java(&workshop, &folder.path().join("java"), flush)?;
        for server in [&java, &ours] {
            let count = if flush == "SYNC_FLUSH" { WARM_UP / 5 } else { WARM_UP };
            let workload = send_of("warm up", 4, 64, 1024, count);
            server.run(&workload, options.scale_down)?;
        }
        let table = table(&ours, &java, workloads, options)?;
        let _ = write!(report, "### {flush}\n\n{table}\n");
        println!("### {flush}\n\n{table}");
        for server in [&ours, &java] {
            let line = format!(
                "Resident memory of {} after the runs: {} MB.\n",
                server.name,
                server.resident_kib()? / 1024
            );
            report.push_str(&line);
            print!("{line}");
        }
        report.push('\n');
    }
    match &options.write {
        Some(file) => fs::write(file, report).map_err(|error| format!("{}: {error}", file.display())),
        None => Ok(()),
    }
}

/// A row for each workload: medians of both, and the median, lowest and highest of the paired ratios.
fn table(ours: &Server, java: &Server, workloads: &[Workload], options: &Options) -> Result<String, String> {
    let mut table = String::from(
        "| workload | ours, msg/s | Java, msg/s | ratio of msg/s | ratio of CPU per message | ratio of p50 | ratio of p99 |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for workload in workloads {
        let mut pairs = Vec::new();
        for pair in 0..options.pairs.max(1) {
            // J O, O J, J O, …: what one run leaves behind must not always meet the same other.
            let (first, second) = if pair % 2 == 0 { (java, ours) } else { (ours, java) };
            let (a, b) =
                (first.run(workload, options.scale_down)?, second.run(workload, options.scale_down)?);
            eprintln!("{} / {}: {a}\n{} / {}: {b}", workload.name, first.name, workload.name, second.name);
            pairs.push(if pair % 2 == 0 { (b, a) } else { (a, b) });
        }
        let rates = |of: fn(&(Measured, Measured)) -> f64| format!("{:.0}", median(pairs.iter().map(of)));
        let ratio = |of: fn(&Measured) -> f64| {
            let ratios: Vec<f64> = pairs.iter().map(|(ours, java)| of(ours) / of(java)).collect();
            if !ratios.iter().all(|ratio| ratio.is_finite()) {
                return "-".to_owned();
            }
            let (low, high) =
                ratios.iter().fold((f64::MAX, 0.0), |(low, high), &r| (r.min(low), r.max(high)));
            format!("{:.2} [{low:.2} .. {high:.2}]", median(ratios.iter().copied()))
        };
        let bound = pairs.iter().any(|(ours, _)| ours.client_bound());
        let _ = writeln!(
            table,
            "| {}{} | {} | {} | {} | {} | {} | {} |",
            workload.name,
            if bound { " (client-bound)" } else { "" },
            rates(|(ours, _)| ours.rate()),
            rates(|(_, java)| java.rate()),
            ratio(Measured::rate),
            ratio(|measured| measured.cpu_us().unwrap_or(f64::NAN)),
            ratio(|measured| quantile(measured, 0.5)),
            ratio(|measured| quantile(measured, 0.99)),
        );
    }
    Ok(table)
}

fn quantile(measured: &Measured, quantile: f64) -> f64 {
    if measured.latency_us.is_empty() { f64::NAN } else { measured.latency_us(quantile) }
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A Broker without a NameServer: the load goes straight to it.
pub(crate) struct Server {
    name: &'static str,
    pub(crate) addr: SocketAddr,
    process: Process,
}

impl Server {
    /// Starts our Broker on this folder, which may hold a store.
    pub(crate) fn ours(workshop: &Workshop, folder: &Path, flush: &str) -> Result<Self, String> {
        let mut command = Command::new(workshop.our_server()?);
        command.arg("broker");
        Self::start("ours", command, folder, flush)
    }

    fn java(workshop: &Workshop, folder: &Path, flush: &str) -> Result<Self, String> {
        let conf = folder.join("conf");
        fs::create_dir_all(&conf).map_err(|error| format!("{}: {error}", conf.display()))?;
        for name in ["logback_broker.xml", "logback_tools.xml"] {
            fs::write(conf.join(name), LOGBACK).map_err(|error| format!("{name}: {error}"))?;
        }
        let mut command = Command::new("java");
        command
            .args(JDK_17)
            .args(JVM_FLAGS)
            .arg(format!("-Duser.home={}", folder.display()))
            .args(["-cp", &workshop.class_path("servers-4.9.7")?, "org.apache.rocketmq.broker.BrokerStartup"])
            .env("ROCKETMQ_HOME", folder);
        Self::start("Java 4.9.7", command, folder, flush)
    }

    fn start(name: &'static str, mut command: Command, folder: &Path, flush: &str) -> Result<Self, String> {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let port = free_port();
        let store = folder.join("store");
        let config = format!(
            "brokerName=broker-a\nbrokerIP1=127.0.0.1\nlistenPort={port}\nflushDiskType={flush}\n\
             storePathRootDir={store}\nstorePathCommitLog={store}/commitlog\nautoCreateTopicEnable=false\n",
            store = store.display()
        );
        let file = folder.join("broker.conf");
        fs::write(&file, config).map_err(|error| format!("{}: {error}", file.display()))?;
        command.arg("-c").arg(&file);
        let process = ready(&mut command, "broker", folder, "The broker[")
            .map_err(|error| format!("{name} did not start: {error}"))?;
        Ok(Self { name, addr: SocketAddr::from(([127, 0, 0, 1], port)), process })
    }

    fn run(&self, workload: &Workload, scale_down: u64) -> Result<Measured, String> {
        let load = Load {
            addr: self.addr,
            topic: format!("Benchmark{}", workload.body_size),
            queues: 4,
            connections: workload.connections,
            window: workload.window,
            body_size: workload.body_size,
            messages: (workload.messages / scale_down.max(1)).max(100),
            warm_up: 1000 / scale_down.max(1),
            rate: if let Kind::EndToEnd(rate) = workload.kind { rate } else { 0 },
            pid: Some(self.process.id()),
        };
        let result = match workload.kind {
            Kind::Send => send::run(&load),
            Kind::Pull => pull::run(&load),
            Kind::EndToEnd(_) => end_to_end::run(&load),
        };
        result.map_err(|error| format!("{} / {}: {error}", workload.name, self.name))
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Asks the Broker to stop, and waits for it.
    pub(crate) fn terminate(&mut self, limit: Duration) -> Result<(), String> {
        self.process.terminate(limit)
    }

    /// Ends the Broker where it stands.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Resident memory.
    pub(crate) fn resident_kib(&self) -> Result<u64, String> {
        status_kib(self.process.id(), "VmRSS")
    }

    /// How many files and sockets are open.
    pub(crate) fn open_files(&self) -> Result<usize, String> {
        let folder = format!("/proc/{}/fd", self.process.id());
        fs::read_dir(&folder).map(Iterator::count).map_err(|error| format!("{folder}: {error}"))
    }
}
