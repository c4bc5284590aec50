//! The clients under test: one driver process each, many commands at once over one line protocol.
//!
//! ```text
//! to the driver     id TAB role TAB --option TAB value …        id TAB stop
//! from the driver   id TAB SENT | RECV | READY | DONE | STOPPED | ERROR TAB fields …
//! ```
//!
//! The fields are in `peers/README.md`. Other lines are a library's chatter: logged, not read.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::process::{ChildStdin, Command};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::ledger::{Delivery, Sent};
use crate::process::Process;
use crate::scenario::Scenario;
use crate::setup::Workshop;

/// A client library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Client {
    /// The `ferrocket` crate.
    Ours,
    /// Our Python package.
    OursPython,
    /// Our npm package.
    OursNode,
    /// Our C library.
    OursC,
    /// `rocketmq-client` 4.9.8.
    Java49,
    /// `rocketmq-client` 5.3.3.
    Java53,
    /// `rocketmq-client-go` v2.
    Go,
    /// `rocketmq-client-cpp` through its Python package.
    Cpp,
    /// `ali-ons` for Node.
    Node,
}

impl Client {
    /// All, in table order.
    pub const ALL: &[Self] = &[
        Self::Ours,
        Self::OursPython,
        Self::OursNode,
        Self::OursC,
        Self::Java49,
        Self::Java53,
        Self::Go,
        Self::Cpp,
        Self::Node,
    ];

    /// Whether it is our client, in whatever language.
    pub fn is_ours(self) -> bool {
        matches!(self, Self::Ours | Self::OursPython | Self::OursNode | Self::OursC)
    }

    /// The name in tables and on the command line.
    pub fn label(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::OursPython => "ours, Python",
            Self::OursNode => "ours, Node",
            Self::OursC => "ours, C",
            Self::Java49 => "Java 4.9.8",
            Self::Java53 => "Java 5.3.3",
            Self::Go => "Go 2.1.2",
            Self::Cpp => "C++ (Python 0.4.4)",
            Self::Node => "Node (ali-ons 3.12.0)",
        }
    }

    /// A word for file, topic and group names.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::OursPython => "ours-python",
            Self::OursNode => "ours-node",
            Self::OursC => "ours-c",
            Self::Java49 => "java49",
            Self::Java53 => "java53",
            Self::Go => "go",
            Self::Cpp => "cpp",
            Self::Node => "node",
        }
    }

    /// The folder with its driver below `interop-tests/peers`, and with what is made of that below `target/interop`.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Ours => "ferrocket",
            Self::OursPython => "ferrocket-python",
            Self::OursNode => "ferrocket-node",
            Self::OursC => "ferrocket-c",
            Self::Java49 | Self::Java53 => "java",
            Self::Go => "go",
            Self::Cpp => "python",
            Self::Node => "node",
        }
    }

    /// The file of a driver in JavaScript; of no use for others.
    pub(crate) fn node_driver(self) -> &'static str {
        if self == Self::Node { "driver.js" } else { "driver.mjs" }
    }

    /// The Java client's version; of no use for others.
    pub(crate) fn version(self) -> &'static str {
        if self == Self::Java49 { "4.9.8" } else { "5.3.3" }
    }

    /// Why this client cannot play `scenario` with any server; `None` if it can.
    /// [`Cell::lacks`](crate::matrix::Cell::lacks) knows what is left out besides.
    pub fn lacks(self, scenario: Scenario) -> Option<&'static str> {
        use Scenario::*;
        match (self, scenario) {
            (Self::Cpp, Batch) => Some(
                "the library writes the field `batch` as 1, which Java reads as false: 4.9.7 and 5.3.3 store \
                 the whole batch as one message",
            ),
            (Self::Cpp, BatchLimits) => Some("as for batch"),
            (Self::Cpp, Transaction | Park | RequestReply | LitePull | Namespace | Trace) => {
                Some("not in the C interface, on which the Python package is built")
            }
            (Self::Cpp, ConsumeDirectly) => Some("the library does not answer request 309"),
            (Self::Cpp, RunningInfo) => Some(
                "the library never sets the time at which it last locked a queue: at times what lies in memory \
                 there is no number that Java's tools can read",
            ),
            (Self::Node, Oneway | Batch | BatchLimits) => {
                Some("the library has neither oneway nor batch sends")
            }
            (Self::Node, Transaction | Park | RequestReply | LitePull | Trace) => Some("not in the library"),
            (Self::Node, OrderedTurns) => Some("the library locks no queues"),
            (Self::Go | Self::Cpp, OrderedTurns) => Some(
                "the library gives up no lock: a second consumer works after the lease of 60 s, if at all",
            ),
            (Self::Node, ResetOffset | ConsumeDirectly | RunningInfo) => {
                Some("the library answers no request of a Broker")
            }
            (Self::OursPython | Self::OursNode | Self::OursC, LightQueues) => {
                Some("the package has no pull consumer")
            }
            (Self::Cpp | Self::Node, LightQueues) => Some("the library has no pull consumer"),
            (Self::Go, Unit) => Some("the library knows a unit's name, and nothing sets its unit mode"),
            (Self::Cpp, Unit) => Some("not in the C interface, on which the Python package is built"),
            (Self::Node, Unit) => Some("as for auto-create"),
            (Self::Cpp | Self::Node, Sql) => Some("the library has no SQL92 filters"),
            (Self::Node, AutoCreate) => Some("the library gives up on code 17 and never uses TBW102"),
            _ => None,
        }
    }

    /// Whether it can send to a topic that does not exist yet.
    pub fn creates_topics(self) -> bool {
        self.lacks(Scenario::AutoCreate).is_none()
    }

    /// Whether it can say how often consumption may fail. Of the others the group's setting at the
    /// broker says it.
    pub fn limits_retries(self) -> bool {
        self != Self::Cpp
    }

    /// Whether one failure fails all messages of a pull, the rest without having been delivered.
    pub fn fails_whole_pulls(self) -> bool {
        self == Self::Cpp
    }
}

/// What a driver reports about one command.
#[derive(Debug)]
pub enum Event {
    /// The consumer runs.
    Ready,
    /// A message was sent.
    Sent(String, Sent),
    /// A message was delivered.
    Received(Delivery),
    /// Something else that the scenario asked for.
    Told(Vec<String>),
    /// The command ended in order.
    Ended,
    /// The command failed, or the driver ended.
    Failed(String),
}

type Listeners = Arc<Mutex<HashMap<u64, Sender<(u64, Event)>>>>;

/// A running driver. Told to end, then killed, when dropped.
pub struct Peer {
    /// Which library it drives.
    pub client: Client,
    stdin: Mutex<Option<ChildStdin>>,
    /// Who hears of which command. Guarded for one lookup at a time, never while blocking.
    listeners: Listeners,
    process: Process,
}

impl Peer {
    /// Starts the driver of `client`, with its logs and home folder in `folder`.
    pub fn start(workshop: &Workshop, client: Client, folder: &Path) -> Result<Self, String> {
        let home = folder.join(format!("home-{}", client.word()));
        std::fs::create_dir_all(&home).map_err(|e| format!("{}: {e}", home.display()))?;
        let mut command = match client {
            Client::Ours => Command::new(workshop.our_driver()?),
            Client::Java49 | Client::Java53 => {
                let version = client.version();
                let classes = workshop.java_driver(version);
                let class_path = workshop.class_path(&format!("client-{version}"))?;
                let mut java = Command::new("java");
                java.args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"])
                    .args(workshop.java_tls())
                    .arg(format!("-Duser.home={}", home.display()))
                    .arg(format!("-Drocketmq.client.logRoot={}", home.display()))
                    .arg("-cp")
                    .arg(format!("{}:{class_path}", classes.display()))
                    .arg("Driver");
                java
            }
            Client::Go | Client::OursC => Command::new(workshop.home(client).join("driver")),
            Client::Cpp | Client::OursPython => {
                let mut python = Command::new(workshop.home(client).join("bin/python3"));
                python.arg(workshop.sources(client).join("driver.py"));
                python
            }
            Client::Node | Client::OursNode => {
                let mut node = Command::new("node");
                node.arg(client.node_driver()).current_dir(workshop.home(client));
                node
            }
        };
        command.env("HOME", &home);
        let listeners = Listeners::default();
        let mut dispatch = Dispatch(Arc::clone(&listeners));
        let name = format!("peer-{}", client.word());
        let mut process = Process::spawn(&mut command, &name, folder, move |line| dispatch.line(line))?;
        let stdin = Mutex::new(process.take_stdin());
        Ok(Self { client, stdin, listeners, process })
    }

    /// Gives the driver a command; what it reports goes to `events` under the returned id.
    pub fn command(
        &self,
        role: &str,
        options: &[(&str, &str)],
        events: &Sender<(u64, Event)>,
    ) -> Result<u64, String> {
        // Unique over all drivers: instance names are made of it.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut line = format!("{id}\t{role}");
        for (name, value) in options {
            line.push_str(&format!("\t--{name}\t{value}"));
        }
        lock(&self.listeners).insert(id, events.clone());
        self.write(&line)?;
        Ok(id)
    }

    /// Tells the driver to end the command `id`.
    pub fn stop(&self, id: u64) -> Result<(), String> {
        self.write(&format!("{id}\tstop"))
    }

    fn write(&self, line: &str) -> Result<(), String> {
        let mut stdin = lock(&self.stdin);
        let pipe = stdin.as_mut().ok_or("the driver was told to end")?;
        let written = writeln!(pipe, "{line}").and_then(|()| pipe.flush());
        written.map_err(|e| format!("driver of {}: {e}", self.client.label()))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        lock(&self.stdin).take();
        // Killed after that by the process's own drop.
        let _ = self.process.wait(Duration::from_secs(12));
    }
}

/// Hands a driver's lines to who listens; tells all of them when the output ends.
struct Dispatch(Listeners);

impl Dispatch {
    fn line(&mut self, line: &str) {
        let mut words = line.split('\t');
        let Some(id) = words.next().and_then(|id| id.parse().ok()) else { return };
        let Some(event) = parse(id, words) else { return };
        let mut listeners = lock(&self.0);
        let Some(events) = listeners.get(&id) else { return };
        let last = matches!(event, Event::Ended | Event::Failed(_));
        let _ = events.send((id, event));
        if last {
            listeners.remove(&id);
        }
    }
}

impl Drop for Dispatch {
    fn drop(&mut self) {
        for (id, events) in lock(&self.0).drain() {
            let _ = events.send((id, Event::Failed("the driver process ended".into())));
        }
    }
}

/// The event of one line's words after the id; `None` for words that mean nothing.
fn parse<'a>(consumer: u64, mut words: impl Iterator<Item = &'a str>) -> Option<Event> {
    let known = |word: &str| (word != "-").then(|| word.to_owned());
    match words.next()? {
        "READY" => Some(Event::Ready),
        "DONE" | "STOPPED" => Some(Event::Ended),
        "ERROR" => Some(Event::Failed(words.next().unwrap_or("").to_owned())),
        "SENT" => {
            let (body, status) = (words.next()?.to_owned(), words.next()?.to_owned());
            let message_id = words.next().and_then(known);
            let queue = words.next().and_then(|word| word.parse().ok());
            let offset = words.next().and_then(|word| word.parse().ok());
            Some(Event::Sent(body, Sent { status, place: queue.zip(offset), message_id }))
        }
        "RECV" => {
            let body = words.next()?.to_owned();
            let queue = words.next()?.parse().ok()?;
            let offset = words.next()?.parse().ok()?;
            let reconsume_times = words.next()?.parse().ok()?;
            let tag = words.next().and_then(known);
            let age_ms = words.next().and_then(|word| word.parse().ok());
            Some(Event::Received(Delivery { consumer, body, queue, offset, reconsume_times, tag, age_ms }))
        }
        "TOLD" => Some(Event::Told(words.map(str::to_owned).collect())),
        _ => None,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of all drivers parse; an unknown queue leaves the place open, chatter is ignored.
    #[test]
    fn lines_become_events() {
        let event = |line: &str| parse(7, line.split('\t'));
        let Some(Event::Sent(body, sent)) = event("SENT\tP-1\tSEND_OK\tAB01\t3\t17") else { panic!() };
        assert_eq!((body.as_str(), sent.place), ("P-1", Some((3, 17))));
        let Some(Event::Sent(_, sent)) = event("SENT\tP-1\tSEND_OK\tAB01\t-\t17") else { panic!() };
        assert_eq!(sent.place, None);
        let Some(Event::Sent(_, sent)) = event("SENT\tP-1\tONEWAY") else { panic!() };
        assert_eq!(sent.status, "ONEWAY");
        let Some(Event::Received(got)) = event("RECV\tP-1\t3\t17\t0\t-") else { panic!() };
        assert_eq!((got.consumer, got.queue, got.tag), (7, 3, None));
        assert!(event("log: connected").is_none());
    }
}
