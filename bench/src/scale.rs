//! Many topics and queues on our Broker: what making them, keeping them and starting with them costs.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use ferrocket_interop_tests::process::POLL;
use ferrocket_interop_tests::setup::Workshop;
use ferrocket_protocol::command::RemotingCommand;
use ferrocket_protocol::requests::RequestCode;

use crate::Load;
use crate::compare::Server;
use crate::measure::{Meter, cpu_time, latencies};
use crate::send::{keyed_template, template};
use crate::wire::{Template, Wire, create_topic, is_success, topic_header};

/// Requests under way while first messages are sent.
const WINDOW: usize = 64;
/// How long queue files, or a Broker that stops, may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// A Broker that uses less of a core than this is done with what came before.
const QUIET: f64 = 0.01;
const QUIET_SPAN: Duration = Duration::from_secs(5);

/// Options of `scale`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Topics to make, one request after the other
    #[arg(long, default_value_t = 10_000)]
    topics: u32,
    /// Queues of each
    #[arg(long, default_value_t = 5)]
    queues: u32,
    /// Seconds for which the idle Broker is watched; its rarest work comes once a minute
    #[arg(long, default_value_t = 120)]
    idle_seconds: u64,
    /// Writes the table into this file, too
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

impl Options {
    fn all_queues(&self) -> u64 {
        u64::from(self.topics) * u64::from(self.queues)
    }

    fn load(&self, server: &Server, topic: u32) -> Load {
        Load {
            addr: server.addr,
            topic: format!("Scale{topic:05}"),
            queues: self.queues,
            connections: 1,
            window: 1,
            body_size: 100,
            messages: 0,
            warm_up: 0,
            rate: 0,
            pid: Some(server.id()),
        }
    }
}

/// Runs everything and prints the table.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let workshop = Workshop::find()?;
    let folder = tempfile::tempdir().map_err(|error| format!("a temporary folder: {error}"))?;
    let folder = folder.path();
    let queues = options.all_queues();
    let mut table = format!(
        "{} topics with {queues} queues\n\n| step | time | CPU | resident memory | open files |\n|---|---|---|---|---|\n",
        options.topics
    );
    let mut server = Server::ours(&workshop, folder, "ASYNC_FLUSH")?;
    let mut row = |step: &str, took: Duration, cpu: f64, server: &Server| -> Result<(), String> {
        let line = format!(
            "| {step} | {:.2} s | {cpu:.2} s | {:.1} MiB | {} |\n",
            took.as_secs_f64(),
            server.resident_kib()? as f64 / 1024.0,
            server.open_files()?,
        );
        eprint!("{line}");
        table.push_str(&line);
        Ok(())
    };
    row("an empty Broker", Duration::ZERO, 0.0, &server)?;
    // What the newest messages and the index keep in memory depends on messages, not on queues.
    let (took, cpu) = timed(&server, || fill_caches(options, &server))?;
    row("as many messages in one queue", took, cpu, &server)?;
    let filled_kib = server.resident_kib()?;
    let (topics_took, cpu) = timed(&server, || make_topics(options, &server))?;
    row("topics made, one after the other", topics_took, cpu, &server)?;
    let (sends_took, cpu) = timed(&server, || send_firsts(options, &server))?;
    row("a first message in every queue", sends_took, cpu, &server)?;
    let (files_took, cpu) = timed(&server, || wait_for_files(options, folder))?;
    row("until all queue files are there", files_took, cpu, &server)?;
    let (quiet_took, cpu) = timed(&server, || wait_for_quiet(&server))?;
    row("until nothing is left to do", quiet_took, cpu, &server)?;
    let full_kib = server.resident_kib()?;
    let span = Duration::from_secs(options.idle_seconds);
    let (_, idle_cpu) = timed(&server, || {
        thread::sleep(span);
        Ok(())
    })?;
    row("idle", span, idle_cpu, &server)?;

    let started = Instant::now();
    server.terminate(PATIENCE)?;
    let stop_took = started.elapsed().as_secs_f64();
    let again = || {
        let started = Instant::now();
        let server = Server::ours(&workshop, folder, "ASYNC_FLUSH")?;
        Ok::<_, String>((started.elapsed(), cpu_time(server.id())?.as_secs_f64(), server))
    };
    let (restart, cpu, mut server) = again()?;
    row(&format!("stopped in {stop_took:.2} s, started again"), restart, cpu, &server)?;
    server.kill();
    let (after_kill, cpu, server) = again()?;
    row("killed, started again", after_kill, cpu, &server)?;

    let a_queue = |took: Duration| took.as_secs_f64() * 1000.0 / queues as f64;
    let bytes = |kib: u64| kib.saturating_sub(filled_kib) as f64 * 1024.0 / queues as f64;
    let made = topics_took + sends_took + files_took;
    let _ = write!(
        table,
        "\n| goal | limit | measured |\n|---|---|---|\n\
         | making a queue: topic, first message, file | 1 ms | {:.3} ms |\n\
         | resident memory of a queue | 1024 B | {:.0} B |\n\
         | idle CPU | 0.5 % of a core | {:.2} % |\n\
         | restart | 3 s | {:.2} s, {:.2} s after a kill |\n",
        a_queue(made),
        bytes(full_kib),
        idle_cpu * 100.0 / span.as_secs_f64().max(1.0),
        restart.as_secs_f64(),
        after_kill.as_secs_f64(),
    );
    println!("{table}");
    match &options.write {
        Some(file) => fs::write(file, table).map_err(|error| format!("{}: {error}", file.display())),
        None => Ok(()),
    }
}

/// How long `work` takes, and how many seconds of CPU the Broker uses meanwhile.
fn timed(server: &Server, work: impl FnOnce() -> Result<(), String>) -> Result<(Duration, f64), String> {
    let meter = Meter::start(Some(server.id()))?;
    work()?;
    let measured = meter.stop(0, latencies()?)?;
    Ok((measured.took, measured.server_cpu.unwrap_or_default().as_secs_f64()))
}

fn make_topics(options: &Options, server: &Server) -> Result<(), String> {
    let mut wire = Wire::connect(server.addr, 1)?;
    for topic in 0..options.topics {
        let header = topic_header(&options.load(server, topic));
        let request = RemotingCommand::request(RequestCode::UpdateAndCreateTopic, &header);
        Template::new(request)?.write(0, 0, &[], wire.out(0));
        wire.flush(0)?;
        let mut answered = false;
        while !answered {
            wire.round(None, |_, _, frame, _| {
                answered = true;
                succeeded(frame)
            })?;
        }
    }
    Ok(())
}

fn succeeded(frame: &[u8]) -> Result<(), String> {
    if is_success(frame) { Ok(()) } else { Err(format!("refused: {}", String::from_utf8_lossy(frame))) }
}

/// Messages with keys of their own to one queue, as many as there will be queues.
fn fill_caches(options: &Options, server: &Server) -> Result<(), String> {
    let load = Load { topic: "ScaleFirst".to_owned(), queues: 1, ..options.load(server, 0) };
    create_topic(&load)?;
    // Spread over the whole index, as the keys of many topics are.
    let key = |number: u64| format!("7F0000010001ABCD{:016X}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    send_all(server, options.all_queues(), |number| keyed_template(&load, 0, &key(number)))
}

fn send_firsts(options: &Options, server: &Server) -> Result<(), String> {
    send_all(server, options.all_queues(), |number| {
        let (topic, queue) = (number / u64::from(options.queues), number % u64::from(options.queues));
        template(&options.load(server, topic as u32), queue as u32)
    })
}

fn send_all(
    server: &Server,
    total: u64,
    next: impl Fn(u64) -> Result<Template, String>,
) -> Result<(), String> {
    let mut wire = Wire::connect(server.addr, 1)?;
    let (mut sent, mut answered) = (0, 0);
    while sent < total.min(WINDOW as u64) {
        next(sent)?.write(sent as usize, 0, &[], wire.out(0));
        sent += 1;
    }
    wire.flush(0)?;
    while answered < total {
        wire.round(None, |_, slot, frame, out| {
            succeeded(frame)?;
            answered += 1;
            if sent < total {
                next(sent)?.write(slot, 0, &[], out);
                sent += 1;
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn wait_for_files(options: &Options, folder: &Path) -> Result<(), String> {
    let started = Instant::now();
    let folders: Vec<PathBuf> = (0..options.topics)
        .flat_map(|topic| {
            let topic = folder.join(format!("store/consumequeue/Scale{topic:05}"));
            (0..options.queues).map(move |queue| topic.join(queue.to_string()))
        })
        .collect();
    // They come in the order of the sends, or nearly so: each is waited for once.
    for folder in folders {
        while !folder.join("00000000000000000000").is_file() {
            if started.elapsed() > PATIENCE {
                return Err(format!("no queue file in {} after {PATIENCE:?}", folder.display()));
            }
            thread::sleep(POLL);
        }
    }
    Ok(())
}

fn wait_for_quiet(server: &Server) -> Result<(), String> {
    let started = Instant::now();
    loop {
        let before = cpu_time(server.id())?;
        thread::sleep(QUIET_SPAN);
        let used = cpu_time(server.id())?.saturating_sub(before);
        if used.as_secs_f64() < QUIET * QUIET_SPAN.as_secs_f64() {
            return Ok(());
        }
        if started.elapsed() > PATIENCE {
            return Err(format!("the Broker is still busy after {PATIENCE:?}"));
        }
    }
}
