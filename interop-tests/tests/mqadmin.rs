//! Java's mqadmin, 4.9.7's and 5.3.3's, prints for a cluster of ours what it prints for one of Java 4.9.7 with the same
//! state, but for addresses, ids, times and rates. `FERROCKET_PRINTED=FILE` writes down all that was printed.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{ChildStdin, Command};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use ferrocket_interop_tests::cluster::{BROKER_NAME, Cluster};
use ferrocket_interop_tests::matrix::Server;
use ferrocket_interop_tests::peer::{Client, Event, Peer};
use ferrocket_interop_tests::process::{POLL, Process};
use ferrocket_interop_tests::setup::Workshop;
use ferrocket_interop_tests::wire::{Outcome, Wire};
use ferrocket_protocol::message_id::OffsetMessageId;
use ferrocket_protocol::requests::offset::{QueryConsumerOffsetHeader, QueryConsumerOffsetReply};
use ferrocket_protocol::{Header, RemotingCommand, RequestCode};

/// The longest that one command may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// The longest that our consumer may take for what it is waited for.
const CONSUME_LIMIT: Duration = Duration::from_secs(60);

/// As whom consumeMessage pulls. A Broker hears of it only if that takes a second.
const TOOL_GROUP: &str = "TOOLS_CONSUMER";

/// How many messages are sent to see the trace of one.
const TRACE_TRIES: usize = 5;

/// Java's mqadmin in a process that runs one command after the other.
struct Tool {
    _process: Process,
    stdin: ChildStdin,
    lines: Receiver<String>,
}

impl Tool {
    fn start(workshop: &Workshop, version: &str, folder: &Path) -> Result<Self, String> {
        let home = folder.join(format!("tool-{version}"));
        std::fs::create_dir_all(home.join("conf")).map_err(|e| e.to_string())?;
        let quiet = "<configuration><root level=\"OFF\"/></configuration>\n";
        std::fs::write(home.join("conf/logback_tools.xml"), quiet).map_err(|e| e.to_string())?;
        let mut java = Command::new("java");
        java.args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"])
            .arg(format!("-Duser.home={}", home.display()))
            .arg(format!("-Drocketmq.client.logRoot={}", home.display()))
            .arg(format!("-Drmq.logback.configurationFile={}", home.join("conf/logback_tools.xml").display()))
            .env("ROCKETMQ_HOME", &home)
            .arg("-cp")
            .arg(workshop.class_path(&format!("servers-{version}"))?)
            .arg(workshop.peers.join("java/AdminTool.java"));
        let (sender, lines) = mpsc::channel();
        let mut process = Process::spawn(&mut java, &format!("tool-{version}"), folder, move |line| {
            let _ = sender.send(line.to_owned());
        })?;
        let stdin = process.take_stdin().ok_or("no standard input")?;
        Ok(Self { _process: process, stdin, lines })
    }

    /// What a command prints.
    fn run(&mut self, words: &[&str]) -> Result<Vec<String>, String> {
        writeln!(self.stdin, "{}", words.join("\t")).map_err(|e| format!("{words:?}: {e}"))?;
        let mut printed = Vec::new();
        loop {
            match self.lines.recv_timeout(COMMAND_LIMIT) {
                Ok(line) if line == "done" => return Ok(printed),
                Ok(line) => printed.extend(line.strip_prefix("| ").map(str::to_owned)),
                Err(e) => return Err(format!("{words:?}: {e}")),
            }
        }
    }
}

/// A consumer of our client, in a process of its own.
struct OurConsumer {
    peer: Peer,
    id: u64,
    events: Receiver<(u64, Event)>,
}

impl OurConsumer {
    fn start(
        workshop: &Workshop,
        cluster: &Cluster,
        folder: &Path,
        topic: &str,
        group: &str,
    ) -> Result<Self, String> {
        let peer = Peer::start(workshop, Client::Ours, folder)?;
        let (sender, events) = mpsc::channel();
        let namesrv = cluster.namesrv_address();
        let options = [("namesrv", &*namesrv), ("topic", topic), ("group", group)];
        let id = peer.command("consume", &options, &sender)?;
        Ok(Self { peer, id, events })
    }

    /// Waits until messages with all these bodies have come, from now on.
    fn consumes(&self, bodies: &[&str]) -> Result<(), String> {
        let mut missing: BTreeSet<&str> = bodies.iter().copied().collect();
        while !missing.is_empty() {
            match self.events.recv_timeout(CONSUME_LIMIT) {
                Ok((_, Event::Received(delivery))) => drop(missing.remove(&*delivery.body)),
                Ok((_, Event::Failed(why))) => return Err(format!("our consumer: {why}")),
                Ok(_) => {}
                Err(why) => return Err(format!("our consumer did not get {missing:?}: {why}")),
            }
        }
        Ok(())
    }

    fn stop(self) -> Result<(), String> {
        self.peer.stop(self.id)?;
        loop {
            match self.events.recv_timeout(CONSUME_LIMIT) {
                Ok((_, Event::Ended)) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Ok((_, Event::Failed(why))) => return Err(format!("our consumer: {why}")),
                Ok(_) => {}
                Err(why) => return Err(format!("our consumer does not stop: {why}")),
            }
        }
    }
}

/// A cluster, a tool, and what was printed so far.
struct Session<'a> {
    cluster: &'a Cluster,
    tool: Tool,
    broker: Wire,
    printed: Printed,
}

impl Session<'_> {
    /// Runs a command of the cluster and keeps what it prints.
    fn run(&mut self, command: &str) -> Result<Vec<String>, String> {
        let namesrv = self.cluster.namesrv_address();
        let filled = command.replace("BROKER_ADDRESS", &self.cluster.broker_address());
        let mut words: Vec<&str> = filled.split(' ').collect();
        words.extend(["-n", &namesrv]);
        let printed = self.tool.run(&words)?;
        self.printed.push((command.to_owned(), printed.clone()));
        Ok(printed)
    }

    /// The same, kept under a name: the command has in it what is of this cluster.
    fn named(&mut self, name: &str, command: &str) -> Result<Vec<String>, String> {
        let printed = self.run(command)?;
        if let Some((kept, _)) = self.printed.last_mut() {
            *kept = name.to_owned();
        }
        Ok(printed)
    }

    fn all(&mut self, commands: &[&str]) -> Result<(), String> {
        commands.iter().try_for_each(|command| self.run(command).map(drop))
    }
}

/// What is printed, by command.
type Printed = Vec<(String, Vec<String>)>;
type Play = fn(&Workshop, &str, &Cluster, &Path) -> Result<Printed, String>;

/// Everything that a tool of `version` prints about a cluster.
fn play(workshop: &Workshop, version: &str, cluster: &Cluster, folder: &Path) -> Result<Printed, String> {
    let fault = |e: std::io::Error| e.to_string();
    let topic = format!("Orders{}", version.replace('.', ""));
    let tool = Tool::start(workshop, version, folder)?;
    let broker = Wire::connect(&cluster.broker_address()).map_err(fault)?;
    let mut session = Session { cluster, tool, broker, printed: Vec::new() };
    session.all(&[
        "updateSubGroup -c DefaultCluster -g billing",
        &format!("updateTopic -c DefaultCluster -t {topic} -r 4 -w 4"),
        &format!("updateTopic -b BROKER_ADDRESS -t {topic} -r 4 -w 4 -o true"),
        &format!("topicRoute -t {topic}"),
        &format!("topicRoute -l -t {topic}"),
        &format!("sendMessage -t {topic} -p one -k key-1 -c A -b {BROKER_NAME} -i 0"),
        &format!("sendMessage -t {topic} -p two -k key-2 -c B -b {BROKER_NAME} -i 0"),
    ])?;
    let send = format!("sendMessage -t {topic} -p three -k key-3 -c A -b {BROKER_NAME} -i 1");
    let sent = session.run(&send)?;
    let id = sent.last().and_then(|row| row.split_whitespace().last()).unwrap_or_default().to_owned();
    ferrocket_interop_tests::differential::settle(&mut session.broker, false).map_err(fault)?;
    session.all(&[
        &format!("topicStatus -t {topic}"),
        &format!("queryMsgByKey -t {topic} -k key-1"),
        &format!("queryMsgByKey -t {topic} -k no-such-key"),
    ])?;
    let found = session.tool.run(&[
        "queryMsgByUniqueKey",
        "-t",
        &topic,
        "-i",
        &id,
        "-n",
        &cluster.namesrv_address(),
    ])?;
    let value = |name: &str| found.iter().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let offset_id = OffsetMessageId {
        host: value("Store Host:").and_then(|host| host.parse().ok()).ok_or("no store host")?,
        physical_offset: value("CommitLog Offset:").and_then(|at| at.parse().ok()).ok_or("no offset")?,
    };
    session.printed.push(("queryMsgByUniqueKey".to_owned(), found));
    let with_topic = if version == "5.3.3" { format!(" -t {topic}") } else { String::new() };
    session.named("queryMsgById", &format!("queryMsgById -i {offset_id}{with_topic}"))?;
    session.all(&[
        &format!("consumeMessage -t {topic} -b {BROKER_NAME} -i 0 -o 0 -c 2"),
        &format!("consumeMessage -t {topic}"),
        &format!("resetOffsetByTime -g billing -t {topic} -s 0"),
        "consumerProgress -g billing",
        "consumerConnection -g billing",
        &format!("producerConnection -g no-such-group -t {topic}"),
    ])?;
    let (producers, consumers) = (format!("producers-{topic}"), format!("consumers-{topic}"));
    let clients = ["clients", &cluster.namesrv_address(), &producers, &consumers, &topic, "3"];
    let complaint = session.tool.run(&clients)?;
    if complaint.iter().any(|line| !line.is_empty()) {
        return Err(format!("clients: {complaint:?}"));
    }
    let connection = session.run(&format!("consumerConnection -g {consumers}"))?;
    let client = connection.iter().find_map(|line| line.split_whitespace().find(|word| word.contains('@')));
    let client = client.ok_or_else(|| format!("no client: {connection:?}"))?.to_owned();
    session.named("consumerStatus", &format!("consumerStatus -g {consumers} -i {client}"))?;
    session.named(
        "queryMsgById, consumed directly",
        &format!("queryMsgById -i {offset_id}{with_topic} -g {consumers} -d {client}"),
    )?;
    session.all(&[
        &format!("producerConnection -g {producers} -t {topic}"),
        &format!("consumerProgress -g {consumers}"),
        "consumerProgress",
        &format!("statsAll -t {topic}"),
        "statsAll",
        &format!("resetOffsetByTime -g {consumers} -t {topic} -s -1"),
    ])?;
    session.all(&[
        "clusterList",
        "clusterList -m",
        "brokerStatus -b BROKER_ADDRESS",
        "brokerStatus -c DefaultCluster",
        "topicList",
        "topicList -c",
        "getBrokerConfig -b BROKER_ADDRESS",
        "updateBrokerConfig -b BROKER_ADDRESS -k longPollingEnable -v true",
        "updateBrokerConfig -b BROKER_ADDRESS -k fileReservedTime -v 48",
        &format!("wipeWritePerm -b {BROKER_NAME}"),
        &format!("topicRoute -t {topic}"),
        &format!("addWritePerm -b {BROKER_NAME}"),
        &format!("topicRoute -t {topic}"),
        "wipeWritePerm -b no-such-broker",
        "updateTopic -c DefaultCluster -t TBW102",
        "topicRoute -t no-such-topic",
        "topicStatus -t no-such-topic",
        &format!("cloneGroupOffset -s {consumers} -d copy -t {topic} -o true"),
        "consumerProgress -g copy",
    ])?;
    // A topic of its own: how much Java's consumer still takes of the other one is a matter of time.
    let own = topic.replace("Orders", "Ours");
    let ours = format!("readers-{own}");
    session.run(&format!("updateTopic -c DefaultCluster -t {own} -r 4 -w 4"))?;
    let bodies = ["north", "east", "south", "west"];
    for (queue, body) in bodies.iter().enumerate() {
        session.run(&format!("sendMessage -t {own} -p {body} -b {BROKER_NAME} -i {queue}"))?;
    }
    let consumer = OurConsumer::start(workshop, cluster, folder, &own, &ours)?;
    consumer.consumes(&bodies)?;
    let by_id = format!("queryMsgById -i {offset_id}{with_topic}");
    let java = alike(&connection, &consumers, &topic);
    play_ours(&mut session, &own, &ours, &by_id, &java)?;
    // The message that it was given by hand, and all of its own since the reset.
    consumer.consumes(&[&bodies[..], &["three"]].concat())?;
    consumer.stop()?;
    session.all(&[
        &format!("deleteTopic -c DefaultCluster -t {own}"),
        &format!("deleteTopic -c DefaultCluster -t {topic}"),
        &format!("topicRoute -t {topic}"),
        "topicList",
    ])?;
    Ok(session.printed)
}

/// What a command prints about a consumer, without what is its own.
fn alike(lines: &[String], group: &str, topic: &str) -> Vec<String> {
    let plain = |line: &String| normal(&line.replace(group, "GROUP").replace(topic, "TOPIC"));
    let mut lines: Vec<_> = lines.iter().map(plain).collect();
    lines.sort();
    lines
}

/// The commands that a consumer answers, for one of our client that has consumed a message of each queue. `by_id` finds
/// some message, `java` is what consumerConnection prints for a Java client.
fn play_ours(
    session: &mut Session<'_>,
    topic: &str,
    ours: &str,
    by_id: &str,
    java: &[String],
) -> Result<(), String> {
    let connection = session.run(&format!("consumerConnection -g {ours}"))?;
    let like = alike(&connection, ours, topic);
    if like != java {
        return Err(format!("consumerConnection, our client: {like:#?}\nJava's: {java:#?}"));
    }
    let client = connection.iter().find_map(|line| line.split_whitespace().find(|word| word.contains('@')));
    let client = client.ok_or_else(|| format!("no client: {connection:?}"))?.to_owned();
    let status =
        session.named("consumerStatus, our client", &format!("consumerStatus -g {ours} -i {client}"))?;
    let holds = |queue: &&str| {
        let row = [topic, BROKER_NAME, queue, "1"];
        status.iter().any(|line| line.split_whitespace().take(row.len()).eq(row))
    };
    let queues = ["0", "1", "2", "3"];
    if !queues.iter().all(holds) || !status.iter().any(|line| line.contains("PROP_CONSUMEORDERLY")) {
        return Err(format!("consumerStatus, our client: {status:#?}"));
    }
    let directly = session
        .named("queryMsgById, consumed directly by our client", &format!("{by_id} -g {ours} -d {client}"))?;
    if !directly.iter().any(|line| line.contains("consumeResult=CR_SUCCESS")) {
        return Err(format!("queryMsgById -g, our client: {directly:#?}"));
    }
    // What is not stored yet is not reset, by a Java Broker not even elsewhere.
    for queue in queues {
        wait_stored(&mut session.broker, [ours, topic, queue])?;
    }
    let reset = session.run(&format!("resetOffsetByTime -g {ours} -t {topic} -s 0"))?;
    match reset.iter().filter(|line| line.contains(BROKER_NAME)).count() {
        4 => Ok(()),
        _ => Err(format!("resetOffsetByTime, our client: {reset:#?}")),
    }
}

/// Waits until the Broker has stored that a group has consumed the first message of a queue.
fn wait_stored(broker: &mut Wire, [group, topic, queue]: [&str; 3]) -> Result<(), String> {
    let header = QueryConsumerOffsetHeader {
        consumer_group: group.into(),
        topic: topic.into(),
        queue_id: queue.parse().map_err(|e| format!("{queue}: {e}"))?,
        ..Default::default()
    };
    let deadline = Instant::now() + CONSUME_LIMIT;
    while Instant::now() < deadline {
        let question = RemotingCommand::request(RequestCode::QueryConsumerOffset, &header);
        let answer = broker.ask(question).map_err(|e| e.to_string())?;
        if let Outcome::Answered(answer) = answer
            && QueryConsumerOffsetReply::decode(&answer.ext_fields).is_ok_and(|reply| reply.offset == 1)
        {
            return Ok(());
        }
        std::thread::sleep(POLL);
    }
    Err(format!("it is not stored how far {group} has consumed queue {queue} of {topic}"))
}

/// A message with a trace, and its trace. By itself and last: a trace has the time that its send took, and so has not
/// the same length everywhere.
fn play_trace(
    workshop: &Workshop,
    version: &str,
    cluster: &Cluster,
    folder: &Path,
) -> Result<Printed, String> {
    let tool = Tool::start(workshop, version, folder)?;
    let broker = Wire::connect(&cluster.broker_address()).map_err(|e| e.to_string())?;
    let mut session = Session { cluster, tool, broker, printed: Vec::new() };
    session.run("updateTopic -c DefaultCluster -t Traced -r 4 -w 4")?;
    // Its producer may leave before its trace does: then another tries.
    for _ in 0..TRACE_TRIES {
        let sent = session.run(&format!("sendMessage -t Traced -p one -b {BROKER_NAME} -i 2 -m true"))?;
        let id = sent.last().and_then(|row| row.split_whitespace().last()).unwrap_or_default().to_owned();
        let traced = session.named("queryMsgTraceById", &format!("queryMsgTraceById -i {id}"))?;
        if traced.iter().any(|line| line.starts_with("Pub")) {
            return Ok(session.printed);
        }
        session.printed.truncate(1);
    }
    Err("no trace was found".to_owned())
}

/// A line as two clusters have it in common: words, without what is an address, an id, a time or a rate.
fn normal(line: &str) -> String {
    // "12:30:00,123" is one word, "a,b" are two.
    let chars: Vec<char> = line.chars().collect();
    let digit = |at: usize| chars.get(at).is_some_and(char::is_ascii_digit);
    let spaced: String = (0..chars.len())
        .map(|at| match chars[at] {
            ',' if at > 0 && digit(at - 1) && digit(at + 1) => ',',
            c if c.is_whitespace() || ",[]{}()\"=/".contains(c) => ' ',
            c => c,
        })
        .collect();
    spaced.split(' ').filter(|word| !word.is_empty()).map(normal_word).collect::<Vec<_>>().join(" ")
}

fn normal_word(word: &str) -> &str {
    let of = |set: &str| {
        word.chars().all(|c| c.is_ascii_digit() || set.contains(c))
            && word.contains(|c: char| c.is_ascii_digit())
    };
    let id = word.len() >= 32 && word.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
    let parts: Vec<&str> = word.split(['.', ':', '@']).collect();
    let address = parts.len() >= 4 && parts[..4].iter().all(|part| part.parse::<u8>().is_ok());
    let version = word.strip_prefix('V').is_some_and(|rest| rest.split('_').all(|n| n.parse::<u8>().is_ok()));
    let object = word.rsplit_once('@').filter(|(_, hash)| hash.bytes().all(|b| b.is_ascii_hexdigit()));
    let name = word.split_once("$$Lambda$").or(object).map_or(word, |(name, _)| name);
    match () {
        () if id || word.starts_with("0x") => "<id>",
        () if address => "<address>",
        () if version => "<version>",
        () if of("-:,") && (word.contains(':') || word.matches('-').count() == 2) => "<time>",
        () if of("") && [13, 14, 17].contains(&word.len()) => "<time>",
        () if of("ms") && word.ends_with("ms") => "<time>",
        () if of(".") && word.contains('.') => "<rate>",
        () => name,
    }
}

/// What is comparable of what a command printed for ours and for Java's.
fn comparable(command: &str, ours: &[String], java: &[String]) -> [Vec<String>; 2] {
    let mut both = [ours, java].map(|text| {
        text.iter()
            .map(|line| normal(line))
            // Where in the tool an exception was thrown is of no interest.
            .filter(|line| !line.is_empty() && !line.starts_with("at "))
            .collect::<Vec<String>>()
    });
    let name = command.split(' ').next().unwrap_or_default();
    // Java's come in the order of a hash.
    let unordered =
        ["topicList", "getBrokerConfig", "brokerStatus", "consumerProgress", "statsAll", "consumeMessage"];
    if unordered.contains(&name) {
        both.iter_mut().for_each(|lines| lines.sort());
    }
    match name {
        // A Java broker makes it when it first looks for open transactions.
        "topicList" => {
            let is_stable =
                |line: &String| !line.ends_with("RMQ_SYS_TRANS_HALF_TOPIC") && !line.contains(TOOL_GROUP);
            both.iter_mut().for_each(|lines| lines.retain(is_stable))
        }
        // A consumer takes its retry queue at a time of its own, and commits it when it has looked into it.
        "consumerProgress" | "consumerStatus" | "consumerStatus," => both.iter_mut().for_each(|lines| {
            lines.retain(|line| !line.starts_with("%RETRY%") && !line.contains(TOOL_GROUP))
        }),
        // What was counted before the first sample, 10 s after the first message, Java does not show.
        "statsAll" => both.iter_mut().flatten().for_each(|line| {
            if let Some(at) = line.find(" <rate> ") {
                line.truncate(at);
            }
        }),
        "queryMsgById," => both.iter_mut().flatten().for_each(|line| {
            if let Some(at) = line.find(" spentTimeMills ") {
                line.truncate(at);
            }
        }),
        // The count says how many topics there are.
        "wipeWritePerm" | "addWritePerm" => both.iter_mut().flatten().for_each(|line| {
            if let Some((text, _)) = line.split_once(" OK ") {
                *line = text.to_owned();
            }
        }),
        // The numbers are of the machine and the moment.
        "brokerStatus" => {
            for lines in &mut both {
                let names = lines
                    .iter()
                    .filter_map(|line| line.trim_start_matches("<address>").split_whitespace().next());
                *lines = names.filter(|name| *name != "getTransferredTps").map(str::to_owned).collect();
            }
        }
        "getBrokerConfig" => {
            let name = |line: &String| line.split(' ').next().unwrap_or_default().to_owned();
            let own = ["path", "Path", "Home", "IP2", "Port", "DiskFull", "diskSpace"];
            let names = both.each_ref().map(|lines| lines.iter().map(name).collect::<BTreeSet<_>>());
            for lines in &mut both {
                lines.retain(|line| {
                    let name = name(line);
                    names.iter().all(|names| names.contains(&name))
                        && !own.iter().any(|part| name.contains(part))
                });
            }
        }
        _ => {}
    }
    both
}

#[test]
fn mqadmin_prints_the_same() {
    let workshop = Workshop::find().unwrap();
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let servers = [Server::Java49, Server::Ours];
    let printed = std::thread::scope(|scope| {
        let players = [0, 1].map(|at| {
            let (workshop, folder, server) = (&workshop, folders[at].path(), servers[at]);
            scope.spawn(move || -> Result<_, String> {
                let cluster = Cluster::start(workshop, server, server, folder)?;
                let mut printed = Vec::new();
                let rounds =
                    [(play as Play, "4.9.7"), (play, "5.3.3"), (play_trace, "4.9.7"), (play_trace, "5.3.3")];
                for (play, version) in rounds {
                    let lines = play(workshop, version, &cluster, folder)?;
                    printed.extend(
                        lines.into_iter().map(|(command, text)| (format!("{command} ({version})"), text)),
                    );
                }
                Ok(printed)
            })
        });
        players.map(|player| player.join().expect("a player panicked").unwrap())
    });
    let [java, ours] = printed;
    assert_eq!(java.len(), ours.len());
    let mut faults = String::new();
    for ((command, java), (_, ours)) in java.iter().zip(&ours) {
        // 5.3.3's tool asks some things that 4.9.7's brokers do not know. Ours may, and then has to please it.
        if java.iter().any(|line| line.contains("request type 351 not supported")) {
            let refused = ours.iter().any(|line| line.contains("request type 351 not supported"));
            if !refused && ours.iter().any(|line| line.contains("Exception")) {
                faults.push_str(&format!("{command}\n  ours: {ours:#?}\n"));
            }
            continue;
        }
        let [ours, java] = comparable(command, ours, java);
        assert!(!java.is_empty(), "{command} prints nothing");
        if ours == java {
            continue;
        }
        let (a, b): (BTreeSet<_>, BTreeSet<_>) = (ours.iter().collect(), java.iter().collect());
        faults.push_str(&format!("{command}\n"));
        b.difference(&a).for_each(|line| faults.push_str(&format!("  Java: {line}\n")));
        a.difference(&b).for_each(|line| faults.push_str(&format!("  ours: {line}\n")));
    }
    println!("{} commands", java.len());
    if let Some(file) = std::env::var_os("FERROCKET_PRINTED") {
        std::fs::write(file, format!("{java:#?}\n{ours:#?}\n")).unwrap();
    }
    assert!(faults.is_empty(), "\n{faults}");
}
