//! What each client does in each cell, and what must come of it.
//!
//! Messages are sent before a consumer starts wherever the scenario allows it: then every queue
//! has a first message, and a client that starts "at the end" of a queue nobody consumed yet (C++)
//! still begins at offset 0. Every scenario has topics and groups of its own.

mod acl;
mod control;
mod kinds;

pub use acl::accounts;

use crate::ledger::named;
use crate::play::{Play, Stage};

/// The scenarios, in table order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scenario {
    /// Synchronous sends, concurrent push consumption.
    Sync,
    /// Asynchronous sends.
    Async,
    /// Oneway sends.
    Oneway,
    /// Batches of 16.
    Batch,
    /// Sends by key, orderly push consumption.
    Ordered,
    /// Two broadcasting consumers.
    Broadcast,
    /// `TagA || TagC` out of three tags.
    Tags,
    /// An SQL92 expression that takes two tags out of three.
    Sql,
    /// Two failures, then success.
    Retry,
    /// More failures than allowed.
    DeadLetter,
    /// A second consumer comes and goes under load.
    JoinLeave,
    /// A send to a topic that does not exist.
    AutoCreate,
    /// Batches and messages at and over the limits.
    BatchLimits,
    /// Delay levels.
    Delay,
    /// Transactions settled at once and by check-back.
    Transaction,
    /// Transactions that nobody settles.
    Park,
    /// Requests and their replies.
    RequestReply,
    /// The same names in and out of a namespace.
    Namespace,
    /// Message traces.
    Trace,
    /// Queue locks that change hands.
    OrderedTurns,
    /// A pull consumer that keeps a group's offsets.
    LitePull,
    /// Offsets reset under a running consumer.
    ResetOffset,
    /// A group's offsets cloned.
    CloneOffset,
    /// Messages consumed on an administrator's behalf.
    ConsumeDirectly,
    /// What a consumer tells an administrator.
    RunningInfo,
    /// Messages that stand in light queues (LMQ), too.
    LightQueues,
    /// Producer and consumer of a unit.
    Unit,
    /// Consumer and broker restart; only what is new arrives.
    Restart,
    /// Accounts, signatures and rights.
    Acl,
}

/// A scenario's row: the name in tables, topics and groups; what happens and what must come of it; how it is played.
type Row = (&'static str, &'static str, fn(Play<'_>, &Names) -> Result<(), String>);

impl Scenario {
    /// All, in table order. The last two are played apart: they need the Broker started anew.
    pub const ALL: [Self; 29] = [
        Self::Sync,
        Self::Async,
        Self::Oneway,
        Self::Batch,
        Self::Ordered,
        Self::Broadcast,
        Self::Tags,
        Self::Sql,
        Self::Retry,
        Self::DeadLetter,
        Self::JoinLeave,
        Self::AutoCreate,
        Self::BatchLimits,
        Self::Delay,
        Self::Transaction,
        Self::Park,
        Self::RequestReply,
        Self::Namespace,
        Self::Trace,
        Self::OrderedTurns,
        Self::LitePull,
        Self::ResetOffset,
        Self::CloneOffset,
        Self::ConsumeDirectly,
        Self::RunningInfo,
        Self::LightQueues,
        Self::Unit,
        Self::Restart,
        Self::Acl,
    ];

    fn row(self) -> Row {
        match self {
            Self::Sync => (
                "sync",
                "64 messages, then a consumer: each arrives once, where its receipt said",
                |play, names| plain(play, names, "sync"),
            ),
            Self::Async => {
                ("async", "the same with asynchronous sends", |play, names| plain(play, names, "async"))
            }
            Self::Oneway => {
                ("oneway", "the same with oneway sends", |play, names| plain(play, names, "oneway"))
            }
            Self::Batch => ("batch", "the same in batches of 16", |play, names| plain(play, names, "batch")),
            Self::Ordered => (
                "ordered",
                "four keys, each to one queue, consumed in order: every key's sequence is kept",
                ordered,
            ),
            Self::Broadcast => {
                ("broadcast", "two broadcasting consumers: each gets everything once", broadcast)
            }
            Self::Tags => {
                ("tags", "`TagA || TagC` out of three tags: nothing else arrives", |play, names| {
                    tags(play, names, ("expression", "TagA || TagC"))
                })
            }
            Self::Sql => {
                ("sql", "the same by an SQL92 expression on the message's properties", |play, names| {
                    tags(play, names, ("sql", "TAGS IN ('TagA', 'TagC') AND TAGS <> 'TagB'"))
                })
            }
            Self::Retry => (
                "retry",
                "each consumption fails twice: deliveries with reconsumeTimes 0, 1, 2 and no other",
                retry,
            ),
            Self::DeadLetter => (
                "dead-letter",
                "one redelivery allowed, all fail: everything is in the dead-letter topic, and consumed from there",
                dead_letter,
            ),
            Self::JoinLeave => {
                ("join-leave", "a second consumer comes and goes under load: nothing is lost", join_leave)
            }
            Self::AutoCreate => {
                ("auto-create", "a send to a topic that does not exist yet: the Broker makes it", auto_create)
            }
            Self::BatchLimits => (
                "batch-limits",
                "batches of 3 MB arrive whole; a batch and a message over 4 MiB are refused, and nothing of them arrives",
                kinds::batch_limits,
            ),
            Self::Delay => (
                "delay",
                "messages of two delay levels under a running consumer: each arrives once, none early",
                kinds::delay,
            ),
            Self::Transaction => (
                "transaction",
                "transactions committed, rolled back, and left open until the Broker asks: what is committed arrives once, \
                 nothing else does",
                kinds::transaction,
            ),
            Self::Park => (
                "transaction-park",
                "transactions that stay open: each is asked for twice, as the Broker is set, then is in \
                 TRANS_CHECK_MAX_TIME_TOPIC and nowhere else",
                kinds::park,
            ),
            Self::RequestReply => (
                "request-reply",
                "requests to a Java client and from one: each is answered once, and its asker gets the answer",
                kinds::request_reply,
            ),
            Self::Namespace => (
                "namespace",
                "one topic and group name in a namespace and outside: each consumer gets its own side's, a third \
                 what is in the namespace by its full name",
                kinds::namespace,
            ),
            Self::Trace => (
                "trace",
                "producer and consumer trace a message: queryMsgTraceById finds all three records",
                kinds::trace,
            ),
            Self::OrderedTurns => (
                "ordered-turns",
                "a second orderly consumer comes and goes under load: queues change hands, every key's sequence is kept",
                control::ordered_turns,
            ),
            Self::LitePull => (
                "lite-pull",
                "a pull consumer of the group's queues, then a second: it gets what the first has not consumed",
                control::lite_pull,
            ),
            Self::ResetOffset => (
                "reset-offset",
                "offsets reset to the start under a running consumer: everything arrives a second time, then what is new",
                control::reset_offset,
            ),
            Self::CloneOffset => (
                "clone-offset",
                "a group's offsets cloned to a group that never consumed: it gets only what is new",
                control::clone_offset,
            ),
            Self::ConsumeDirectly => (
                "consume-directly",
                "some messages consumed directly (309): these arrive a second time, and the administrator is told of success",
                control::consume_directly,
            ),
            Self::RunningInfo => (
                "running-info",
                "consumerStatus (307): the consumer tells its subscription and the four queues that it holds",
                control::running_info,
            ),
            Self::LightQueues => (
                "light-queues",
                "messages that name light queues (`INNER_MULTI_DISPATCH`, `%LMQ%`): each is pulled from every queue that \
                 it names and consumed from its topic, a pull that waits is woken",
                kinds::light_queues,
            ),
            Self::Unit => (
                "unit",
                "a producer and a consumer of a unit: the topics that are made for them are marked, the client's id ends \
                 with the unit's name, and each message arrives once",
                kinds::unit,
            ),
            Self::Restart => (
                "restart",
                "the Broker is stopped and started on its store: only what is sent afterwards arrives",
                |_, _| Err("restart is played in two halves".into()),
            ),
            Self::Acl => (
                "acl",
                "with the right key all arrives once; a wrong secret, no key, a topic without the right to send or to \
                 consume, and administration without the right are refused, and nothing of them arrives",
                acl::play_rights,
            ),
        }
    }

    /// The name in tables, topics and groups.
    pub fn label(self) -> &'static str {
        self.row().0
    }

    /// What happens and what must come of it, for the page.
    pub fn about(self) -> &'static str {
        self.row().1
    }

    /// Whether the NameServer makes no difference to it beyond the routes that all others need too.
    pub fn is_between_broker_and_client(self) -> bool {
        self >= Self::BatchLimits && self != Self::Restart
    }

    /// Plays it to the end. [`Scenario::Restart`] has two halves of its own.
    pub fn play(self, stage: Stage<'_>) -> Result<(), String> {
        (self.row().2)(Play::new(stage), &Names::new(self, stage))
    }
}

struct Names {
    topic: String,
    group: String,
}

impl Names {
    fn new(scenario: Scenario, stage: Stage<'_>) -> Self {
        let name = format!("{}-{}", stage.peer.client.word(), scenario.label());
        Self { topic: format!("it-{name}"), group: format!("g-{name}") }
    }
}

fn verdict(faults: Vec<String>) -> Result<(), String> {
    if faults.is_empty() {
        return Ok(());
    }
    let more = if faults.len() > 4 { format!("; and {} more", faults.len() - 4) } else { String::new() };
    Err(faults[..faults.len().min(4)].join("; ") + &more)
}

fn plain(mut play: Play<'_>, names: &Names, mode: &str) -> Result<(), String> {
    play.prepare_topic(&names.topic)?;
    // A oneway producer stays until its messages are seen: closing a connection may drop them.
    let oneway = mode == "oneway";
    let sender = if oneway { Some(play.send_oneway(&names.topic, "m", 64)?) } else { None };
    if !oneway {
        play.send(&names.topic, mode, "m", 64)?;
    }
    let consumer = play.start_consumer(&names.topic, &names.group, &[])?;
    play.pump_all("all received")?;
    play.stop(consumer)?;
    sender.map_or(Ok(()), |sender| play.stop(sender))?;
    verdict(play.ledger.exactly_once())
}

fn ordered(mut play: Play<'_>, names: &Names) -> Result<(), String> {
    play.prepare_topic(&names.topic)?;
    play.send(&names.topic, "orderly", "o", 64)?;
    let consumer = play.start_consumer(&names.topic, &names.group, &[("mode", "orderly")])?;
    play.pump_all("all received")?;
    play.stop(consumer)?;
    let mut faults = play.ledger.exactly_once();
    faults.extend(play.ledger.order_faults());
    verdict(faults)
}

/// A broadcasting group has no offsets at the broker, so a consumer may start at the end of each
/// queue. Rounds of warm-up messages show when both listen to all four; only what is sent after
/// that counts.
fn broadcast(mut play: Play<'_>, names: &Names) -> Result<(), String> {
    let Names { topic, group } = names;
    play.prepare_topic(topic)?;
    play.send(topic, "sync", "first", 16)?;
    let a = play.start_consumer(topic, group, &[("mode", "broadcast")])?;
    let b = play.start_consumer(topic, group, &[("mode", "broadcast")])?;
    let sender = play.start_sender(topic, "warm", 100_000, &[("interval-ms", "100")])?;
    let listens = |play: &Play<'_>, consumer| {
        let warm = play.ledger.deliveries().iter();
        let warm = warm.filter(|d| d.consumer == consumer && d.body.starts_with("warm"));
        warm.map(|d| d.queue).collect::<std::collections::BTreeSet<_>>().len() == 4
    };
    play.pump("both consumers listen to all queues", |play| listens(play, a) && listens(play, b))?;
    play.stop(sender)?;
    let counts = |body: &str| body.starts_with("m-");
    play.send(topic, "sync", "m", 32)?;
    play.pump("all received by both", |play| {
        [a, b].iter().all(|c| play.ledger.missing(Some(*c), counts).is_empty())
    })?;
    play.stop(a)?;
    play.stop(b)?;
    let mut faults = play.ledger.send_faults();
    faults.extend(named("repeated", &play.ledger.repeated(counts)));
    faults.extend(play.ledger.misplaced());
    verdict(faults)
}

fn tags(mut play: Play<'_>, names: &Names, subscription: (&str, &str)) -> Result<(), String> {
    play.prepare_topic(&names.topic)?;
    for tag in ["TagA", "TagB", "TagC"] {
        play.send_with(&names.topic, "sync", tag, 16, &[("tag", tag)])?;
    }
    let wanted = |body: &str| !body.starts_with("TagB");
    let consumer = play.start_consumer(&names.topic, &names.group, &[subscription])?;
    play.pump("all matching received", |play| play.ledger.missing(None, wanted).is_empty())?;
    // Sent after everything else: when these are here, the pulls have passed every TagB.
    play.send_with(&names.topic, "sync", "TagA-late", 16, &[("tag", "TagA")])?;
    play.pump("late ones received", |play| play.ledger.missing(None, wanted).is_empty())?;
    play.stop(consumer)?;
    let mut faults = play.ledger.send_faults();
    faults.extend(named("not matching", &play.ledger.unexpected(wanted)));
    faults.extend(named("repeated", &play.ledger.repeated(|_| true)));
    let tagged = play.ledger.deliveries().iter();
    let wrong = tagged.filter(|d| d.tag.as_deref().is_none_or(|tag| !d.body.starts_with(tag)));
    faults.extend(wrong.map(|d| format!("{} came with tag {:?}", d.body, d.tag)));
    verdict(faults)
}

/// Ends a consumer once the Broker has it that everything in the topic is consumed. Ours needs no such time: its end is
/// through when its last commits are. Others send them oneway, and a Broker under load may carry them out later than
/// what comes next, in another order, or, of a group's first, some not at all: clients repeat them every few seconds.
fn stop_committed(play: &mut Play<'_>, consumer: u64, topic: &str, group: &str) -> Result<(), String> {
    if !play.stage.peer.client.is_ours() {
        let count = play.ledger.sent_count().to_string();
        play.wait_committed(topic, group, &count)?;
    }
    play.stop(consumer)
}

/// A consumer of the group comes and goes, on a topic of its own: it makes the broker create the
/// retry topic, so the consumer that counts finds its route at once. A client looks for new routes
/// only every 30 s, which is its affair and not the servers'.
fn warm_group(play: &mut Play<'_>, names: &Names) -> Result<(), String> {
    let topic = format!("{}-warm", names.topic);
    play.prepare_topic(&topic)?;
    play.send(&topic, "sync", "warm", 1)?;
    let consumer = play.start_consumer(&topic, &names.group, &[])?;
    play.pump_all("warm-up received")?;
    play.stop(consumer)?;
    verdict(std::mem::take(&mut play.ledger).at_least_once())?;
    play.wait_route(&format!("%RETRY%{}", names.group))
}

/// Sends messages `<prefix>-…` that will fail, starts the consumer that fails them, and waits until
/// it had each `times` times; one by one where a failure would take others with it. Gives the
/// consumer and how many messages there were.
fn fail(
    play: &mut Play<'_>,
    names: &Names,
    prefix: &str,
    times: usize,
    more: &[(&str, &str)],
) -> Result<(u64, usize), String> {
    let (rounds, count) = if play.stage.peer.client.fails_whole_pulls() { (2, 1) } else { (1, 8) };
    play.prepare_topic(&names.topic)?;
    let mut started = None;
    for round in 1..=rounds {
        play.send(&names.topic, "sync", &format!("{prefix}-{round}"), count)?;
        let consumer = match started {
            Some(consumer) => consumer,
            None => play.start_consumer(&names.topic, &names.group, more)?,
        };
        started = Some(consumer);
        let expected = times * count * round;
        play.pump(&format!("{times} deliveries each"), |play| {
            play.ledger.delivered(Some(consumer), |_| true) >= expected
        })?;
    }
    started.map(|consumer| (consumer, rounds * count)).ok_or_else(|| "no round".to_owned())
}

fn retry(mut play: Play<'_>, names: &Names) -> Result<(), String> {
    warm_group(&mut play, names)?;
    let (consumer, _) = fail(&mut play, names, "r", 3, &[("fail-times", "2")])?;
    play.stop(consumer)?;
    let mut faults = play.ledger.at_least_once();
    faults.extend(play.ledger.retry_faults(2, |body| body.starts_with("r-")));
    faults.extend(play.ledger.misplaced());
    verdict(faults)
}

fn dead_letter(mut play: Play<'_>, names: &Names) -> Result<(), String> {
    play.limit_retries(&names.group, "1")?;
    warm_group(&mut play, names)?;
    let limits = [("fail-times", "1000"), ("max-reconsume", "1")];
    let (failing, count) = fail(&mut play, names, "d", 2, &limits)?;
    let (topic, group) = (format!("%DLQ%{}", names.group), format!("{}-dead", names.group));
    let reader = play.start_consumer(&topic, &group, &[])?;
    let counts = |body: &str| body.starts_with("d-");
    let all = |play: &Play<'_>| play.ledger.missing(Some(reader), counts).is_empty();
    play.pump("dead letters received", all)?;
    play.stop(failing)?;
    play.stop(reader)?;
    let mut faults = play.ledger.at_least_once();
    for (consumer, expected, what) in
        [(failing, 2 * count, "failing deliveries"), (reader, count, "dead letters")]
    {
        let got = play.ledger.delivered(Some(consumer), |_| true);
        if got != expected {
            faults.push(format!("{got} {what}, expected {expected}"));
        }
    }
    verdict(faults)
}

fn join_leave(mut play: Play<'_>, names: &Names) -> Result<(), String> {
    let Names { topic, group } = names;
    play.prepare_topic(topic)?;
    play.send(topic, "sync", "first", 32)?;
    let stays = play.start_consumer(topic, group, &[])?;
    let sender = play.start_sender(topic, "m", 100_000, &[("interval-ms", "20")])?;
    play.pump("first consumer works", |play| play.ledger.bodies(Some(stays)).len() >= 64)?;
    let guest = play.start_consumer(topic, group, &[])?;
    play.pump("second consumer works", |play| play.ledger.bodies(Some(guest)).len() >= 32)?;
    play.stop(guest)?;
    let after = play.ledger.sent_count();
    play.pump("sends go on", |play| play.ledger.sent_count() >= after + 64)?;
    play.stop(sender)?;
    play.pump_all("all received")?;
    play.stop(stays)?;
    // Queues change hands with unconsumed fetches in flight: repetition is the protocol's promise.
    verdict(play.ledger.at_least_once())
}

fn auto_create(mut play: Play<'_>, names: &Names) -> Result<(), String> {
    if play.stage.cluster.knows(&names.topic)? {
        return Err("the topic exists before the first send".into());
    }
    play.send(&names.topic, "sync", "m", 16)?;
    let consumer = play.start_consumer(&names.topic, &names.group, &[])?;
    play.pump_all("all received")?;
    play.stop(consumer)?;
    verdict(play.ledger.exactly_once())
}

/// First half of [`Scenario::Restart`]: consume everything, stop the consumer.
pub fn before_restart(stage: Stage<'_>) -> Result<(), String> {
    let Names { topic, group } = Names::new(Scenario::Restart, stage);
    let mut play = Play::new(stage);
    play.prepare_topic(&topic)?;
    play.send(&topic, "sync", "m", 64)?;
    let consumer = play.start_consumer(&topic, &group, &[])?;
    play.pump_all("all received")?;
    stop_committed(&mut play, consumer, &topic, &group)?;
    verdict(play.ledger.exactly_once())
}

/// Second half, after the broker's restart: a new consumer of the same group gets what is sent
/// now and nothing of what was consumed before.
pub fn after_restart(stage: Stage<'_>) -> Result<(), String> {
    let Names { topic, group } = Names::new(Scenario::Restart, stage);
    let mut play = Play::new(stage);
    play.wait_route(&topic)?;
    play.send(&topic, "sync", "new", 32)?;
    let consumer = play.start_consumer(&topic, &group, &[])?;
    play.pump_all("all new received")?;
    play.stop(consumer)?;
    verdict(play.ledger.exactly_once())
}
