//! Processes whose lines are events, folders of their own for them, and clients to use them with.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use ferrocket::{
    Client, ConsumeFromWhere, Message, MessageExt, PushConsumer, PushConsumerBuilder, SendResult, SendStatus,
};
pub(crate) use rustix::process::Signal;
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Longer than anything here takes; whoever waits so long has found a bug.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Where nobody listens, and no process gets a free port.
pub(crate) const NOBODY: &str = "127.0.0.1:1";

const BINARY: &str = env!("CARGO_BIN_EXE_ferrocket");

/// A folder that is HOME and working directory of the processes started in it.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file; answers its path as text.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The settings of a Broker on free ports with small files, and whatever else is given.
    pub(crate) fn broker_conf(&self, more: &str) -> String {
        let conf = format!(
            "brokerName=broker-t\nlistenPort=0\nbindAddress=127.0.0.1\nbrokerIP1=127.0.0.1\n\
             storePathRootDir={}\nmappedFileSizeCommitLog=16777216\nmaxHashSlotNum=1000\nmaxIndexNum=4000\n{more}\n",
            self.path("store").display()
        );
        self.file("broker.conf", conf)
    }

    /// `ferrocket ARGS`, untouched by the environment of whoever runs the tests.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.command_of(Path::new(BINARY), args)
    }

    /// The same through a link of this name.
    pub(crate) fn linked(&self, name: &str, args: &[&str]) -> Command {
        let link = self.path(name);
        if !link.exists() {
            std::os::unix::fs::symlink(BINARY, &link).unwrap();
        }
        self.command_of(&link, args)
    }

    fn command_of(&self, program: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.0.path()).env("HOME", self.0.path());
        for variable in ["NAMESRV_ADDR", "ROCKETMQ_HOME", "FERROCKET_LOG"] {
            command.env_remove(variable);
        }
        command
    }

    /// A NameServer and a Broker with these settings, each a process, and the NameServer's address.
    pub(crate) fn servers(&self, settings: &str) -> (Process, Process, String) {
        let conf = self.file("namesrv.properties", "listenPort=0\nbindAddress=127.0.0.1\n");
        let mut namesrv = Process::start(&mut self.command(&["namesrv", "-c", &conf]));
        let line = namesrv.err_line("the NameServer listens");
        let addr = line.split("local_addr=").nth(1).unwrap().trim().to_owned();
        let conf = self.broker_conf(settings);
        let mut broker = Process::start(&mut self.command(&["broker", "-n", &addr, "-c", &conf]));
        broker.err_line("registered");
        (namesrv, broker, addr)
    }

    /// Both servers on free ports, their data in `data`.
    pub(crate) fn standalone(&self) -> Standalone {
        let data = self.path("data");
        let mut process = Process::start(&mut self.command(&[
            "standalone",
            "--data",
            data.to_str().unwrap(),
            "--namesrv-port",
            "0",
            "--broker-port",
            "0",
        ]));
        assert_eq!(process.out_line(), "The Name Server boot success. serializeType=JSON");
        let boot = process.out_line();
        let broker = boot.split_once(", ").and_then(|(_, rest)| rest.split_once(']')).unwrap().0.to_owned();
        let ready = process.out_line();
        let namesrv = between(&ready, "standalone: name server ", ", data in ");
        assert!(
            boot.ends_with(&format!("boot success. serializeType=JSON and name server is {namesrv}")),
            "{boot}"
        );
        Standalone { process, namesrv, broker }
    }
}

/// A message's body.
pub(crate) fn text(message: &MessageExt) -> String {
    String::from_utf8(message.body.to_vec()).unwrap()
}

/// What stands between two texts.
pub(crate) fn between(line: &str, before: &str, behind: &str) -> String {
    let found = line.split_once(before).and_then(|(_, rest)| rest.split_once(behind));
    found.unwrap_or_else(|| panic!("{line}: nothing between {before:?} and {behind:?}")).0.to_owned()
}

/// A NameServer and a Broker in one process, with their addresses.
pub(crate) struct Standalone {
    pub(crate) process: Process,
    pub(crate) namesrv: String,
    pub(crate) broker: String,
}

enum Line {
    Out(String),
    Err(String),
}

/// A running process. Killed when dropped.
pub(crate) struct Process {
    child: Child,
    lines: mpsc::Receiver<Line>,
    /// What has been read of stdout.
    pub(crate) out: Vec<String>,
    /// What has been read of stderr.
    pub(crate) err: Vec<String>,
}

/// A process that has ended, and all it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) out: Vec<String>,
    pub(crate) err: Vec<String>,
}

impl Ended {
    /// What it said on stderr, except that the port two below a free one that it took was not free as well.
    pub(crate) fn complaints(&self) -> Vec<&str> {
        let lines = self.err.iter().map(String::as_str);
        lines.filter(|line| !line.contains("old clients are not served")).collect()
    }
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        read_lines(child.stdout.take().unwrap(), sender.clone(), Line::Out);
        read_lines(child.stderr.take().unwrap(), sender, Line::Err);
        Self { child, lines, out: Vec::new(), err: Vec::new() }
    }

    /// Reads one line more; `false` when both streams have ended.
    fn read(&mut self) -> bool {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(Line::Out(line)) => self.out.push(line),
            Ok(Line::Err(line)) => self.err.push(line),
            Err(mpsc::RecvTimeoutError::Disconnected) => return false,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("silence after {:#?} {:#?}", self.out, self.err),
        }
        true
    }

    /// The next line of stdout.
    pub(crate) fn out_line(&mut self) -> String {
        let known = self.out.len();
        while self.out.len() == known {
            assert!(self.read(), "ended after {:#?} {:#?}", self.out, self.err);
        }
        self.out[known].clone()
    }

    /// The first line of stderr with this text, now or later.
    pub(crate) fn err_line(&mut self, text: &str) -> String {
        let mut looked_at = 0;
        loop {
            if let Some(line) = self.err[looked_at..].iter().find(|line| line.contains(text)) {
                return line.clone();
            }
            looked_at = self.err.len();
            assert!(self.read(), "ended without {text:?}: {:#?} {:#?}", self.out, self.err);
        }
    }

    /// Waits until it ends by itself.
    pub(crate) fn end(mut self) -> Ended {
        while self.read() {}
        let status = self.child.wait().unwrap();
        Ended { status, out: std::mem::take(&mut self.out), err: std::mem::take(&mut self.err) }
    }

    /// Sends it a signal.
    pub(crate) fn kill(&self, signal: Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    /// Ends it with a signal.
    pub(crate) fn signal(self, signal: Signal) -> Ended {
        self.kill(signal);
        self.end()
    }

    /// Ends it and sees that it ended well.
    pub(crate) fn stop(self, signal: Signal) -> Ended {
        let ended = self.signal(signal);
        assert!(ended.status.success(), "{ended:#?}");
        ended
    }

    /// A line of `/proc/PID/status` that is an amount of memory, in KiB.
    pub(crate) fn memory_kib(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Reads no more of what it says, as a start script that has seen enough.
    pub(crate) fn read_no_more(&mut self) {
        self.lines = mpsc::channel().1;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lines until the stream ends or nobody wants them; then the stream is closed.
fn read_lines(stream: impl Read + Send + 'static, to: mpsc::Sender<Line>, kind: fn(String) -> Line) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n') {
            let Ok(line) = line else { return };
            if to.send(kind(String::from_utf8_lossy(&line).into_owned())).is_err() {
                return;
            }
        }
    });
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Ended {
    Process::start(command).end()
}

/// Runs a command that must not start: the one line that says why.
pub(crate) fn refused(command: &mut Command) -> String {
    let ended = run(command);
    assert_eq!(ended.status.code(), Some(1), "{ended:#?}");
    assert!(ended.out.is_empty(), "{ended:#?}");
    let told: Vec<&String> = ended.err.iter().filter(|line| !is_log(line)).collect();
    assert_eq!(told.len(), 1, "{ended:#?}");
    told[0].strip_prefix("ferrocket: ").unwrap_or_else(|| panic!("{ended:#?}")).to_owned()
}

/// Whether a line of stderr is the log's: those start with the time.
fn is_log(line: &str) -> bool {
    line.starts_with("20") && line.contains("Z ")
}

/// Sends messages with these bodies, one after the other.
pub(crate) async fn send(namesrv: &str, topic: &str, bodies: &[String]) -> Vec<SendResult> {
    let client = Client::builder(namesrv).build().unwrap();
    let producer = client.producer("test_producer").start().await.unwrap();
    let mut results = Vec::new();
    for body in bodies {
        let sent = producer.send(Message::new(topic, body.clone())).await.unwrap();
        assert_eq!(sent.status, SendStatus::SendOk);
        results.push(sent);
    }
    client.shutdown().await.unwrap();
    results
}

/// Starts a consumer; what arrives there.
pub(crate) async fn arrivals(builder: PushConsumerBuilder) -> (PushConsumer, UnboundedReceiver<MessageExt>) {
    let (sender, received) = unbounded_channel();
    let builder = builder.on_message(move |message| {
        // A test that has seen enough reads no more.
        let _ = sender.send(message);
        async {}
    });
    (builder.start().await.unwrap(), received)
}

/// The next message, once it is there.
pub(crate) async fn arrival(received: &mut UnboundedReceiver<MessageExt>) -> MessageExt {
    tokio::time::timeout(PATIENCE, received.recv()).await.expect("nothing arrived").unwrap()
}

/// What a group gets until it has this many different messages. What it acknowledged is known to the Broker
/// when this returns.
pub(crate) async fn consume(namesrv: &str, topic: &str, group: &str, count: usize) -> BTreeSet<String> {
    let client = Client::builder(namesrv).build().unwrap();
    let builder = client.push_consumer(group).subscribe(topic, "*");
    let (consumer, mut received) = arrivals(builder.consume_from(ConsumeFromWhere::FirstOffset)).await;
    let mut bodies = BTreeSet::new();
    while bodies.len() < count {
        let arrived = tokio::time::timeout(PATIENCE, received.recv()).await;
        bodies.insert(text(&arrived.unwrap_or_else(|_| panic!("only {bodies:?}")).unwrap()));
    }
    consumer.shutdown().await;
    client.shutdown().await.unwrap();
    bodies
}

/// `NAME-0`, `NAME-1`, …
pub(crate) fn bodies(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{name}-{number}")).collect()
}
