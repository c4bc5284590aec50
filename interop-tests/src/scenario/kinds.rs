//! The kinds of messages: batches at their limits, delays, transactions, requests, namespaces, traces, light queues,
//! units.

use std::collections::BTreeSet;

use super::{Names, verdict};
use crate::cluster::BROKER_NAME;
use crate::ledger::named;
use crate::matrix::Server;
use crate::peer::Client;
use crate::play::{Play, Stage};

/// How long each body of a batch of 16 is: together less than the 4 MiB that a Broker takes.
const BATCH_BODY: &str = "200000";
/// The same for a batch that is too long.
const BATCH_BODY_OVER: &str = "300000";
/// A message by itself that is too long.
const BODY_OVER: &str = "4194305";
/// What clients show of response code MESSAGE_ILLEGAL, and of what 5.3.3 says of a batch, with code 1.
const TOO_LONG: [&str; 3] = ["CODE: 13", "is illegal", "size exceeded"];

/// Delay levels of the cluster with their delays in milliseconds.
const DELAYS: [(&str, i64); 2] = [("1", 1000), ("4", 2000)];

/// How often a transaction is asked for, as the cluster is set, before it is given up.
const CHECKS: usize = 2;
const PARK_TOPIC: &str = "TRANS_CHECK_MAX_TIME_TOPIC";

const NAMESPACE: &str = "space";

const UNIT: &str = "unit-1";
/// Bits of a topic's system flag: it is a unit's; a unit subscribes to it.
const FLAG_UNIT: i32 = 1;
const FLAG_UNIT_SUB: i32 = 2;

pub(super) fn batch_limits(mut play: Play<'_>, names: &Names) -> Result<(), String> {
    let topic = &names.topic;
    play.prepare_topic(topic)?;
    let fits = [("length", BATCH_BODY)];
    play.send_with(topic, "batch", "first", 16, &fits)?;
    for (mode, prefix, count, length) in
        [("batch", "over", 16, BATCH_BODY_OVER), ("sync", "long", 1, BODY_OVER)]
    {
        let failure = play.send_refused(topic, mode, prefix, count, &[("length", length)])?;
        if !TOO_LONG.iter().any(|word| failure.contains(word)) {
            return Err(format!("{prefix} was refused for another reason: {failure}"));
        }
    }
    play.send_with(topic, "batch", "last", 16, &fits)?;
    let consumer = play.start_consumer(topic, &names.group, &fits)?;
    play.pump_all("all received")?;
    play.stop(consumer)?;
    verdict(play.ledger.exactly_once())
}

pub(super) fn delay(mut play: Play<'_>, names: &Names) -> Result<(), String> {
    let Names { topic, group } = names;
    play.prepare_topic(topic)?;
    play.send(topic, "sync", "first", 16)?;
    let consumer = play.start_consumer(topic, group, &[])?;
    play.pump_all("consumer works")?;
    let prefix = |level: &str| format!("level{level}");
    for (level, _) in DELAYS {
        play.send_with(topic, "sync", &prefix(level), 16, &[("delay-level", level)])?;
    }
    play.pump_all("all received")?;
    play.stop(consumer)?;
    // The receipt tells the place in the topic in which they wait.
    play.ledger.forget_places(|body| body.starts_with("level"));
    let mut faults = play.ledger.exactly_once();
    for (level, due_ms) in DELAYS {
        for delivery in play.ledger.deliveries().iter().filter(|d| d.body.starts_with(&prefix(level))) {
            match delivery.age_ms {
                Some(age) if age >= due_ms => {}
                age => faults.push(format!("{} arrived {age:?} ms old, due after {due_ms}", delivery.body)),
            }
        }
    }
    verdict(faults)
}

/// Starts a producer that sends `count` transactions, settles them with `local` and answers `check` when asked.
fn start_transactions(
    play: &mut Play<'_>,
    topic: &str,
    prefix: &str,
    count: usize,
    local: &str,
    check: &str,
) -> Result<u64, String> {
    let expected = play.ledger.sent_count() + count;
    let options = [("mode", "transaction"), ("local", local), ("check", check), ("stay", "true")];
    let producer = play.start_sender(topic, prefix, count, &options)?;
    play.pump("half messages sent", |play| play.ledger.sent_count() == expected)?;
    Ok(producer)
}

/// The bodies that a producer was asked about.
fn checked(play: &Play<'_>, producer: u64) -> Vec<String> {
    play.told_by(producer).into_iter().filter_map(|words| words.into_iter().nth(1)).collect()
}

pub(super) fn transaction(mut play: Play<'_>, names: &Names) -> Result<(), String> {
    let topic = &names.topic;
    play.prepare_topic(topic)?;
    let (commit, rollback, open) = ("COMMIT_MESSAGE", "ROLLBACK_MESSAGE", "UNKNOW");
    let mut producers = Vec::new();
    for (prefix, local, check) in [
        ("commit", commit, open),
        ("rollback", rollback, open),
        ("late-commit", open, commit),
        ("late-rollback", open, rollback),
    ] {
        producers.push(start_transactions(&mut play, topic, prefix, 8, local, check)?);
    }
    let wanted = |body: &str| !body.contains("rollback");
    let consumer = play.start_consumer(topic, &names.group, &[])?;
    play.pump("all committed received, all open ones asked for", |play| {
        let asked: BTreeSet<String> = producers[2..].iter().flat_map(|p| checked(play, *p)).collect();
        play.ledger.missing(None, wanted).is_empty() && asked.len() == 16
    })?;
    for producer in producers {
        play.stop(producer)?;
    }
    play.send(topic, "sync", "after", 16)?;
    play.pump("all received", |play| play.ledger.missing(None, wanted).is_empty())?;
    play.stop(consumer)?;
    let mut faults = play.ledger.send_faults();
    faults.extend(named("not committed", &play.ledger.unexpected(wanted)));
    faults.extend(named("repeated", &play.ledger.repeated(|_| true)));
    faults.extend(play.ledger.misplaced());
    verdict(faults)
}

pub(super) fn park(mut play: Play<'_>, names: &Names) -> Result<(), String> {
    let Names { topic, group } = names;
    play.prepare_topic(topic)?;
    // All clients share the topic in which they are put.
    let prefix = format!("open-{}", play.stage.peer.client.word());
    let producer = start_transactions(&mut play, topic, &prefix, 4, "UNKNOW", "UNKNOW")?;
    play.send(topic, "sync", "after", 16)?;
    let consumer = play.start_consumer(topic, group, &[])?;
    let parked = play.start_consumer(PARK_TOPIC, &format!("{group}-parked"), &[])?;
    let ours = |body: &str| body.starts_with(&prefix);
    play.pump("all parked, the others received", |play| {
        play.ledger.missing(Some(parked), ours).is_empty()
            && play.ledger.missing(Some(consumer), |body| !ours(body)).is_empty()
    })?;
    for command in [producer, consumer, parked] {
        play.stop(command)?;
    }
    let mut faults = play.ledger.send_faults();
    faults.extend(named("repeated", &play.ledger.repeated(|_| true)));
    let strays = play.ledger.deliveries().iter().filter(|d| d.consumer == consumer && ours(&d.body));
    faults.extend(strays.map(|d| format!("{} was delivered", d.body)));
    let asked = checked(&play, producer);
    for i in 0..4 {
        let body = format!("{prefix}-{i}");
        let times = asked.iter().filter(|one| **one == body).count();
        if times != CHECKS {
            faults.push(format!("{body} was asked for {times} times, not {CHECKS}"));
        }
    }
    verdict(faults)
}

pub(super) fn request_reply(mut play: Play<'_>, names: &Names) -> Result<(), String> {
    let (peer, java) = (play.stage.peer, play.stage.admin);
    // What the Broker has made for the answers of its cluster.
    play.wait_route("DefaultCluster_REPLY_TOPIC")?;
    for (side, asker, answerer) in [("asks", peer, java), ("answers", java, peer)] {
        let (topic, group) = (format!("{}-{side}", names.topic), format!("{}-{side}", names.group));
        play.admin("create-topic", &[("topic", &topic)])?;
        play.wait_route(&topic)?;
        let replies = play.start_at(answerer, "reply", &topic, &group, &[])?;
        let asks = [
            ("topic", topic.as_str()),
            ("group", &format!("p-{topic}")),
            ("prefix", side),
            ("count", "8"),
            ("mode", "request"),
            // It has an answer before it says so to the Broker, which then says so to who answered: an asker that goes
            // as soon as it has all leaves the last one to be tried for ever.
            ("stay", "true"),
        ];
        let requests = play.command(asker, "send", &asks)?;
        let due = play.ledger.sent_count() + 16;
        play.pump("all asked and answered", |play| play.ledger.sent_count() >= due)?;
        play.stop(requests)?;
        play.stop(replies)?;
        let got = play.ledger.counts(Some(requests));
        let due: Vec<String> = (0..8).map(|i| format!("re-{side}-{i}")).collect();
        if !got.iter().map(|(body, times)| (*body, *times)).eq(due.iter().map(|body| (body.as_str(), 1))) {
            return Err(format!("{side}: answers {got:?}"));
        }
    }
    verdict(play.ledger.exactly_once())
}

pub(super) fn namespace(mut play: Play<'_>, names: &Names) -> Result<(), String> {
    let Names { topic, group } = names;
    let (real, inside) = (format!("{NAMESPACE}%{topic}"), ("namespace", NAMESPACE));
    play.prepare_topic(topic)?;
    play.prepare_topic(&real)?;
    play.send_with(topic, "sync", "inside", 16, &[inside])?;
    play.send(topic, "sync", "outside", 16)?;
    let consumers = [
        ("inside", play.start_consumer(topic, group, &[inside])?),
        ("outside", play.start_consumer(topic, group, &[])?),
        ("inside", play.start_consumer(&real, &format!("{group}-real"), &[])?),
    ];
    play.pump("all received", |play| {
        let missing = |(side, consumer): &(&str, u64)| {
            !play.ledger.missing(Some(*consumer), |body| body.starts_with(side)).is_empty()
        };
        !consumers.iter().any(missing)
    })?;
    for (_, consumer) in &consumers {
        play.stop(*consumer)?;
    }
    // Of two topics.
    play.ledger.forget_places(|body| body.starts_with("outside"));
    let mut faults = play.ledger.send_faults();
    faults.extend(named("repeated", &play.ledger.repeated(|_| true)));
    for (side, consumer) in &consumers {
        let bodies = play.ledger.bodies(Some(*consumer));
        let strays: Vec<&str> = bodies.into_iter().filter(|body| !body.starts_with(side)).collect();
        faults.extend(named(&format!("from elsewhere at the consumer {side}"), &strays));
    }
    verdict(faults)
}

pub(super) fn trace(mut play: Play<'_>, names: &Names) -> Result<(), String> {
    let Names { topic, group } = names;
    play.prepare_topic(topic)?;
    let traces = [("trace", "true"), ("stay", "true")];
    let producer = play.start_sender(topic, "t", 1, &traces)?;
    let consumer = play.start_consumer(topic, group, &traces)?;
    play.pump("received", |play| play.ledger.sent_count() == 1 && play.ledger.bodies(None).contains("t-0"))?;
    let id = play.ledger.message_id("t-0").unwrap_or_default().to_owned();
    let producers = format!("p-{topic}-t");
    let mut due = vec![["Pub", &producers]];
    // 5.3.3's consumer leaves out what has no region, which only a 5.x Broker stores with a message.
    let Stage { cluster, peer, .. } = play.stage;
    if peer.client != Client::Java53 || cluster.broker_server() == Server::Java53 {
        due.extend([["SubAfter", group], ["SubBefore", group]]);
    }
    let count = due.len().to_string();
    let mut told = play.ask("trace", &[("message-id", &id), ("count", &count)])?;
    play.stop(consumer)?;
    play.stop(producer)?;
    told.sort();
    let mut faults = play.ledger.exactly_once();
    if !told.iter().map(|row| &row[..2]).eq(due.iter().map(|row| &row[..])) {
        faults.push(format!("traces of {id}: {told:?}, due {due:?}"));
    }
    verdict(faults)
}

/// A consumer, and which bodies it has to get.
type Due = (u64, fn(&str) -> bool);

pub(super) fn light_queues(mut play: Play<'_>, names: &Names) -> Result<(), String> {
    let Names { topic, group } = names;
    let [a, b] = ["a", "b"].map(|name| format!("%LMQ%{topic}-{name}"));
    let both = format!("{a},{b}");
    play.prepare_topic(topic)?;
    play.send_with(topic, "sync", "ab", 8, &[("dispatch", &both)])?;
    play.send_with(topic, "sync", "a", 8, &[("dispatch", &a)])?;
    play.send(topic, "sync", "none", 8)?;
    play.wait_route(topic)?;
    let light = [("mode", "light"), ("of", topic), ("broker-name", BROKER_NAME)];
    let peer = play.stage.peer;
    let of_a = play.start_at(peer, "consume", &a, &format!("{group}-a"), &light)?;
    let of_b = play.start_at(peer, "consume", &b, &format!("{group}-b"), &light)?;
    let all = play.start_consumer(topic, group, &[])?;
    let due: [Due; 3] = [
        (of_a, |body| body.starts_with('a')),
        (of_b, |body| body.starts_with("ab-") || body.starts_with("b-")),
        (all, |_| true),
    ];
    let there = |play: &Play<'_>| {
        due.iter().all(|(consumer, wanted)| play.ledger.missing(Some(*consumer), wanted).is_empty())
    };
    play.pump("all received where they are due", there)?;
    play.send_with(topic, "sync", "b", 8, &[("dispatch", &b)])?;
    play.pump("new ones received where they are due", there)?;
    for (consumer, _) in due {
        play.stop(consumer)?;
    }
    if matches!(peer.client, Client::Java53 | Client::Go) {
        // They say of a message the number of the queue that they have pulled.
        play.ledger.forget_places(|_| true);
    }
    let mut faults = play.ledger.send_faults();
    faults.extend(play.ledger.misplaced());
    faults.extend(named("repeated", &play.ledger.repeated(|_| true)));
    for (consumer, wanted) in due {
        let strays: Vec<&str> =
            play.ledger.bodies(Some(consumer)).into_iter().filter(|body| !wanted(body)).collect();
        faults.extend(named("in a queue that they do not name", &strays));
    }
    verdict(faults)
}

pub(super) fn unit(mut play: Play<'_>, names: &Names) -> Result<(), String> {
    let Names { topic, group } = names;
    let unit = [("unit", UNIT)];
    play.send_with(topic, "sync", "m", 16, &unit)?;
    let consumer = play.start_consumer(topic, group, &unit)?;
    play.pump_all("all received")?;
    let retries = format!("%RETRY%{group}");
    play.wait_route(&retries)?;
    let ids = play.ask("clients", &[("group", group)])?;
    let cluster = play.stage.cluster;
    let marks = [topic, &retries].map(|topic| cluster.topic_flags(topic));
    play.stop(consumer)?;
    let mut faults = play.ledger.exactly_once();
    if !matches!(&ids[..], [id] if id.len() == 1 && id[0].ends_with(&format!("@{UNIT}"))) {
        faults.push(format!("the group's clients are {ids:?}"));
    }
    if marks != [Ok(FLAG_UNIT), Ok(FLAG_UNIT_SUB)] {
        faults.push(format!("the topics are marked {marks:?}"));
    }
    verdict(faults)
}
