//! Runs the programs of `examples/` to their end against a cluster, and looks at what they print.
//!
//! [`EXAMPLES`] is the order in which the book shows them and in which they run: consumers find what producers left.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::process::{POLL, Process, status};

/// For one example, on two cores that others use too.
const LIMIT: Duration = Duration::from_secs(90);

/// What an example says before it waits for Ctrl-C.
const WAITING: &str = "waiting for messages, Ctrl-C ends";

/// One program of `examples/`.
pub struct Example {
    /// Its file's name.
    pub name: &'static str,
    /// Whether it goes on until Ctrl-C.
    endless: bool,
    /// Texts, and the number of lines with each: of an endless one at least so many, but none stays none.
    prints: &'static [(&'static str, usize)],
    /// Texts that appear in this order.
    in_order: &'static [&'static [&'static str]],
}

/// What `deliver_at` says of a Broker that has handles to take messages back with: from 5.3 on.
const TAKEN_BACK: &str = "taken back: ";

const fn ends(name: &'static str, prints: &'static [(&'static str, usize)]) -> Example {
    Example { name, endless: false, prints, in_order: &[] }
}

const fn endless(name: &'static str, prints: &'static [(&'static str, usize)]) -> Example {
    Example { name, endless: true, prints, in_order: &[] }
}

/// All of them.
pub const EXAMPLES: &[Example] = &[
    ends("producer", &[("sendStatus=SEND_OK", 10)]),
    ends("async_producer", &[("1000 of 1000 messages are stored", 1)]),
    ends("oneway", &[("100 messages are on their way", 1)]),
    ends(
        "ordered",
        &[
            (" created: queue ", 3),
            (" paid: ", 3),
            (" shipped: ", 3),
            ("sendStatus=SEND_OK", 1),
            ("order-4: offset ", 3),
        ],
    ),
    ends("batch", &[("SEND_OK: 100 messages from offset ", 1)]),
    ends("auto_batch", &[("1000 of 1000 readings are stored", 1)]),
    ends("delayed", &[("to be delivered after ", 3), ("sendStatus=SEND_OK", 3)]),
    ends("deliver_at", &[("to be delivered in ", 2), ("sendStatus=SEND_OK", 2)]),
    ends(
        "transaction",
        &[("paid: COMMIT_MESSAGE SendResult [sendStatus=SEND_OK", 1), ("refused: ROLLBACK_MESSAGE", 1)],
    ),
    ends("request_reply", &[("the answer: 14 bytes", 1)]),
    endless(
        "push_consumer",
        &[
            (": Hello, RocketMQ ", 10),
            (": batched ", 100),
            // These have no tag, or another one.
            (": queued ", 0),
            (": measured ", 0),
        ],
    ),
    endless("deliveries", &[(": Hello, RocketMQ ", 10), (": queued ", 1_000), (": batched ", 100)]),
    Example {
        name: "orderly_consumer",
        endless: true,
        prints: &[("order-", 12), ("all orders are done", 1)],
        in_order: &[
            &["order-1 created", "order-1 paid", "order-1 shipped"],
            &["order-2 created", "order-2 paid", "order-2 shipped"],
            &["order-3 created", "order-3 paid", "order-3 shipped"],
            &["order-4 packed", "order-4 sent", "order-4 received"],
        ],
    },
    // All that the producers above sent to the topic: 10, 1,000, 100, 100, 3 later and 1 committed.
    endless("broadcasting", &[(" bytes", 1_214)]),
    endless(
        "sql92",
        &[
            ("a large payment: 2000 paid in the north", 1),
            ("a large payment: 4000 paid in the west", 1),
            ("a large payment: 20 ", 0),
            ("in the south", 0),
        ],
    ),
    endless("lite_pull_consumer", &[(" bytes", 1_214)]),
    ends("pull_consumer", &[(": read to offset ", 4), (" messages", 1)]),
    endless("namespaces", &[("from Orders: order ", 3), ("shop%Orders is on ", 1)]),
    ends("admin", &[("AdminTopic is on ", 1), ("by its id: administered", 1), ("topic=AdminTopic", 2)]),
    ends("trace", &[("mqadmin queryMsgTraceById -n ", 1)]),
    endless("events", &[("connected to ", 2), ("example-events has 4 queues of TopicTest", 1)]),
    ends("acl", &[("sendStatus=SEND_OK", 1)]),
    ends("tls", &[("sendStatus=SEND_OK", 1)]),
    ends("blocking", &[("sendStatus=SEND_OK", 10), ("consumed: without async ", 10)]),
    ends("testing", &[("an hour has passed", 1)]),
];

/// The built examples.
pub struct Programs(BTreeMap<String, PathBuf>);

impl Programs {
    /// Builds the examples of the repository in `root`, or finds that this is done.
    pub fn build(root: &Path) -> Result<Self, String> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        // With the packages and features of the crate tests, so that nothing is built twice.
        command.current_dir(root).args(["build", "--workspace", "--all-features"]);
        command.args(["--examples", "--message-format", "json-render-diagnostics"]);
        let output = command.output().map_err(|e| format!("cargo: {e}"))?;
        if !output.status.success() {
            return Err(format!("examples: {}", String::from_utf8_lossy(&output.stderr)));
        }
        let mut programs = BTreeMap::new();
        for line in output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let said: serde_json::Value = serde_json::from_slice(line).map_err(|e| format!("cargo: {e}"))?;
            if said["target"]["kind"][0] == "example"
                && let (Some(name), Some(path)) =
                    (said["target"]["name"].as_str(), said["executable"].as_str())
            {
                programs.insert(name.to_owned(), path.into());
            }
        }
        Ok(Self(programs))
    }

    /// Runs [`EXAMPLES`], one after the other, against servers that take messages back, or do not.
    pub fn run_all(&self, namesrv: &str, folder: &Path, takes_back: bool) -> Result<(), String> {
        for example in EXAMPLES {
            let printed = self.run(example.name, namesrv, folder, &[])?;
            let taken_back = printed.iter().filter(|line| line.starts_with(TAKEN_BACK)).count();
            if taken_back != usize::from(takes_back && example.name == "deliver_at") {
                return Err(format!("{} took {taken_back} messages back: {printed:#?}", example.name));
            }
        }
        Ok(())
    }

    /// Runs one example with `folder` as its home, and answers what it printed.
    pub fn run(
        &self,
        name: &str,
        namesrv: &str,
        folder: &Path,
        environment: &[(&str, &str)],
    ) -> Result<Vec<String>, String> {
        let example = EXAMPLES.iter().find(|example| example.name == name);
        let example = example.ok_or_else(|| format!("{name} is not in the list of examples"))?;
        let program = self.0.get(name).ok_or_else(|| format!("{name} is not an example of the client"))?;
        let (said, lines) = mpsc::channel();
        let mut command = Command::new(program);
        command.env("HOME", folder).env("NAMESRV_ADDR", namesrv).envs(environment.iter().copied());
        let mut process = Process::spawn(&mut command, name, folder, move |line| {
            let _ = said.send(line.to_owned());
        })?;
        let mut printed = Vec::new();
        let deadline = Instant::now() + LIMIT;
        let mut interrupted = false;
        loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => printed.push(line),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    let missing = example.judge(&printed).err().unwrap_or_else(|| "did not end".to_owned());
                    return Err(format!("{name} after {LIMIT:?}: {missing}"));
                }
            }
            if example.endless && !interrupted && example.judge(&printed).is_ok() {
                interrupt(&process, deadline)?;
                interrupted = true;
            }
        }
        let ended = process.succeed(LIMIT);
        let complaints = fs::read_to_string(folder.join(format!("{name}.err"))).unwrap_or_default();
        ended.map_err(|fault| format!("{fault}: {complaints}"))?;
        if !complaints.is_empty() {
            return Err(format!("{name} complains: {complaints}"));
        }
        example.judge(&printed).map_err(|fault| format!("{name}: {fault}"))?;
        Ok(printed)
    }
}

impl Example {
    fn judge(&self, printed: &[String]) -> Result<(), String> {
        let waiting = usize::from(self.endless);
        for (text, expected) in self.prints.iter().chain(&[(WAITING, waiting)]) {
            let count = printed.iter().filter(|line| line.contains(text)).count();
            let enough = if self.endless && *expected > 0 { count >= *expected } else { count == *expected };
            if !enough {
                return Err(format!("{count} lines with {text:?} instead of {expected} in {printed:#?}"));
            }
        }
        for texts in self.in_order {
            let place = |text: &&str| printed.iter().position(|line| line.contains(*text));
            if !texts.iter().map(place).is_sorted() {
                return Err(format!("not in the order {texts:?}: {printed:#?}"));
            }
        }
        Ok(())
    }
}

/// Presses Ctrl-C, once the process listens to it: before, it would end at once.
fn interrupt(process: &Process, deadline: Instant) -> Result<(), String> {
    const SIGINT: u64 = 1 << 1;
    loop {
        let mask = status(process.id(), "SigCgt")?;
        let mask = u64::from_str_radix(&mask, 16).map_err(|e| format!("SigCgt {mask}: {e}"))?;
        if mask & SIGINT != 0 {
            return process.signal("-INT");
        }
        if Instant::now() >= deadline {
            return Err("it does not listen to Ctrl-C".to_owned());
        }
        thread::sleep(POLL);
    }
}
