//! Transactional messages: half messages wait in `RMQ_SYS_TRANS_HALF_TOPIC` until their producer ends them, and
//! whoever does not is asked.
//!
//! Ending a half message writes an op message with its queue offset into `RMQ_SYS_TRANS_OP_HALF_TOPIC`. From
//! time to time a round goes through the half messages that are new since the last one, in order: what an op
//! message names is passed, what is too young ends the round, and of everything else a copy is put behind the
//! others and its producer asked. So the queue's front always moves on, and the offsets that `CID_RMQ_SYS_TRANS`
//! has come to are all that is kept between rounds. The core ([`CheckRound`]) decides, the driver at the bottom
//! reads and appends.
//!
//! What differs from Java: op messages are read ahead of every decision, also those that name the original of a
//! copy made during its immunity time, where Java forgets them and asks once more; such a copy does not count
//! as a check; and what cannot be appended stays. Java counterparts: `TransactionalMessageServiceImpl`,
//! `TransactionalMessageBridge`, `TransactionalMessageCheckService`.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use ferrocket_protocol::body::topic::{PERM_READ, PERM_WRITE};
use ferrocket_protocol::message::{MessageRecord, sys_flag};
use ferrocket_protocol::message_id::OffsetMessageId;
use ferrocket_protocol::properties::{self, Properties, names};
use ferrocket_protocol::requests::transaction::{CheckTransactionStateHeader, EndTransactionHeader};
use ferrocket_protocol::{RemotingCommand, RequestCode, Text};
use ferrocket_store::{AppendError, Appended};
use tokio::sync::watch;

use crate::broker::{Shared, stopped};
use crate::offsets::NO_OFFSET;
use crate::refusal::Refusal;
use crate::send_plan::destination;
use crate::topics::{TRANS_CHECK_MAX_TIME_TOPIC, TRANS_HALF_TOPIC, TRANS_OP_HALF_TOPIC};

/// The group whose offsets say how far the rounds have come. Java: `CID_SYS_RMQ_TRANS`.
pub(crate) const GROUP: &str = "CID_RMQ_SYS_TRANS";
/// The tag of op messages.
const REMOVED: &str = "d";
/// Half messages that are known to be ended and not reached yet.
const ENDED_MAX: usize = if cfg!(test) { 1 << 10 } else { 1 << 20 };
/// A round ends after this time; the next one goes on.
const ROUND_MS_MAX: i64 = 60_000;

/// What a half message becomes when it is stored: it waits in queue 0, and its properties say where it belongs.
/// `wait` is the `WAIT` that was sent, which only half messages keep.
pub(crate) fn half(record: MessageRecord, wait: Option<&str>) -> MessageRecord {
    let mut properties = Properties::parse(&record.properties);
    if let Some(wait) = wait {
        properties.set(names::WAIT_STORE_MSG_OK, wait.to_owned());
    }
    properties.set(names::REAL_TOPIC, record.topic.clone());
    properties.set(names::REAL_QUEUE_ID, record.queue_id.to_string());
    MessageRecord {
        topic: Text::from_static(TRANS_HALF_TOPIC),
        queue_id: 0,
        sys_flag: record.sys_flag & !sys_flag::TRANSACTION_ROLLBACK,
        properties: properties.to_text(),
        ..record
    }
}

/// Whether `half` is what this end of a transaction is about, with Java's words if not.
pub(crate) fn check_end(half: &MessageRecord, end: &EndTransactionHeader) -> Result<(), Refusal> {
    let group = properties::get(&half.properties, names::PRODUCER_GROUP);
    let wrong = if group != Some(&*end.producer_group) {
        "The producer group wrong"
    } else if half.queue_offset != end.tran_state_table_offset {
        "The transaction state table offset wrong"
    } else if half.physical_offset != end.commit_log_offset {
        "The commit log offset wrong"
    } else {
        return Ok(());
    };
    Err(Refusal::system_error(wrong))
}

/// The message that consumers get once `half` is committed; `None` if it names no destination. Its properties
/// stay as they are.
pub(crate) fn committed(half: &MessageRecord) -> Option<MessageRecord> {
    let (topic, queue_id) = destination(half)?;
    Some(MessageRecord {
        topic,
        queue_id,
        sys_flag: half.sys_flag & !sys_flag::TRANSACTION_ROLLBACK | sys_flag::TRANSACTION_COMMIT,
        prepared_transaction_offset: half.physical_offset,
        ..half.clone()
    })
}

/// The op message that says that `half` is ended.
pub(crate) fn op(half: &MessageRecord, now_ms: i64) -> MessageRecord {
    MessageRecord {
        topic: Text::from_static(TRANS_OP_HALF_TOPIC),
        flag: 0,
        sys_flag: 0,
        queue_offset: 0,
        physical_offset: 0,
        born_timestamp: now_ms,
        born_host: half.store_host,
        reconsume_times: 0,
        body: Bytes::from(half.queue_offset.to_string()),
        properties: "WAIT\u{1}true\u{2}TAGS\u{1}d".into(),
        ..half.clone()
    }
}

/// The half message that is asked for anew although it had been asked for too often; `None` if `record` is not
/// a half message.
pub(crate) fn resumed(record: MessageRecord) -> Option<MessageRecord> {
    destination(&record)?;
    let mut properties = Properties::parse(&record.properties);
    properties.set(names::TRANSACTION_CHECK_TIMES, "0");
    let topic = Text::from_static(TRANS_HALF_TOPIC);
    Some(MessageRecord { topic, queue_id: 0, properties: properties.to_text(), ..record })
}

/// The request that asks a producer what became of `half`, and the producer's group. Offsets are those of the
/// copy that was `appended`: that is what the answer will end.
pub(crate) fn check_request(half: MessageRecord, appended: &Appended) -> Option<(Text, RemotingCommand)> {
    let (topic, queue_id) = destination(&half)?;
    let property = |name| properties::get(&half.properties, name).map(Text::from);
    let group = property(names::PRODUCER_GROUP)?;
    let unique_key = property(names::UNIQ_CLIENT_MESSAGE_ID_KEYIDX);
    let id = OffsetMessageId { host: half.store_host, physical_offset: appended.physical_offset };
    let header = CheckTransactionStateHeader {
        topic: None,
        tran_state_table_offset: appended.queue_offset,
        commit_log_offset: appended.physical_offset,
        msg_id: unique_key.clone(),
        transaction_id: unique_key,
        offset_msg_id: Some(id.to_string().into()),
    };
    let shown = MessageRecord {
        topic,
        queue_id,
        queue_offset: appended.queue_offset,
        physical_offset: appended.physical_offset,
        ..half
    };
    let mut body = Vec::with_capacity(shown.encoded_len());
    shown.encode(&mut body);
    Some((group, RemotingCommand::request(RequestCode::CheckTransactionState, &header).with_body(body)))
}

/// The limits of a round, a snapshot of the settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CheckRules {
    /// `transactionTimeOut`: younger half messages are left alone.
    pub(crate) timeout_ms: i64,
    /// `transactionCheckMax`: who has been asked for so often is parked.
    pub(crate) checks_max: i32,
    /// `fileReservedTime`: who is older is parked.
    pub(crate) reserved_ms: i64,
}

/// What to do with a half message that nobody has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Pass it: an op message names its original.
    Ended,
    /// Append this to the topic of those that are given up, then pass it.
    Park(MessageRecord),
    /// Append this copy, then pass it: it is still immune.
    PutBack(MessageRecord),
    /// Append this copy, pass it and ask its producer.
    Check(MessageRecord),
    /// It is too young, and so are all behind it: the round is over.
    TooYoung,
}

/// One walk through a half queue and its op queue.
#[derive(Debug)]
pub(crate) struct CheckRound {
    rules: CheckRules,
    started_ms: i64,
    /// Where the round started in the half queue.
    first_half: i64,
    next_half: i64,
    /// Op messages from here on are not done: they name half messages that are not passed yet.
    first_op: i64,
    /// How many half messages that are not passed yet each op message names, from `first_op` on.
    open: VecDeque<u32>,
    /// Ended half messages and who said so. Those before `first_half` stay for the sake of their copies.
    ended: HashMap<i64, i64>,
}

impl CheckRound {
    /// A round that starts at these offsets.
    pub(crate) fn new(rules: CheckRules, started_ms: i64, half_offset: i64, op_offset: i64) -> Self {
        Self {
            rules,
            started_ms,
            first_half: half_offset,
            next_half: half_offset,
            first_op: op_offset,
            open: VecDeque::new(),
            ended: HashMap::new(),
        }
    }

    /// The half message to look at.
    pub(crate) fn next_half(&self) -> i64 {
        self.next_half
    }

    /// The op message to read, unless enough are known.
    pub(crate) fn next_op(&self) -> Option<i64> {
        let room = self.ended.len() < ENDED_MAX && self.open.len() < ENDED_MAX;
        room.then_some(self.first_op + self.open.len() as i64)
    }

    /// Takes the op message at [`Self::next_op`], `None` if it is gone. 4.9 names one half message in each, 5.x
    /// several with a comma behind each.
    pub(crate) fn op(&mut self, op: Option<&MessageRecord>) {
        let at = self.first_op + self.open.len() as i64;
        self.open.push_back(0);
        let tagged = |op: &&MessageRecord| properties::get(&op.properties, names::TAGS) == Some(REMOVED);
        let body = op.filter(tagged).map_or(&b""[..], |op| &op.body);
        for half in str::from_utf8(body).unwrap_or_default().split(',').filter_map(|text| text.parse().ok()) {
            let before = self.ended.insert(half, at);
            if half < self.next_half {
                continue;
            }
            if let Some(open) = self.open.back_mut() {
                *open += 1;
            }
            if let Some(before) = before {
                self.close(before);
            }
        }
        self.drop_done();
    }

    fn close(&mut self, op: i64) {
        let at = usize::try_from(op - self.first_op).ok();
        if let Some(open) = at.and_then(|at| self.open.get_mut(at)) {
            *open = open.saturating_sub(1);
        }
        self.drop_done();
    }

    fn drop_done(&mut self) {
        while self.open.front() == Some(&0) {
            self.open.pop_front();
            self.first_op += 1;
        }
    }

    /// Passes the next half message if it is ended.
    pub(crate) fn pass_ended(&mut self) -> bool {
        let Some(op) = self.ended.remove(&self.next_half) else { return false };
        self.close(op);
        self.next_half += 1;
        true
    }

    /// The next half message has been dealt with.
    pub(crate) fn pass(&mut self) {
        self.next_half += 1;
    }

    /// Half messages before this offset are gone from the queue.
    pub(crate) fn skip_to(&mut self, offset: i64) {
        while self.next_half < offset {
            if !self.pass_ended() {
                self.pass();
            }
        }
    }

    /// Decides on the next half message, which no op message names.
    pub(crate) fn half(&self, half: MessageRecord, now_ms: i64) -> Verdict {
        let mut properties = Properties::parse(&half.properties);
        let number = |name: &str| properties.get(name).map(|text| text.parse::<i64>().unwrap_or(-1));
        let original = number(names::TRANSACTION_PREPARED_QUEUE_OFFSET);
        if original.is_some_and(|original| self.ended.contains_key(&original)) {
            return Verdict::Ended;
        }
        let age_ms = now_ms.saturating_sub(half.born_timestamp);
        let checks = number(names::TRANSACTION_CHECK_TIMES);
        if checks.is_some_and(|checks| checks >= i64::from(self.rules.checks_max))
            || age_ms > self.rules.reserved_ms
        {
            let topic = Text::from_static(TRANS_CHECK_MAX_TIME_TOPIC);
            return Verdict::Park(MessageRecord { topic, queue_id: 0, ..half });
        }
        // With all known ones still to come, whoever ended this one may not have been read. The next round has
        // room; only at its very start would that go on for ever.
        let unsure = self.next_op().is_none() && self.next_half > self.first_half;
        if half.store_timestamp >= self.started_ms || unsure {
            return Verdict::TooYoung;
        }
        let copy =
            |properties: Properties| MessageRecord { properties: properties.to_text(), ..half.clone() };
        match number(names::CHECK_IMMUNITY_TIME_IN_SECONDS) {
            Some(seconds) => {
                let immune_ms =
                    if seconds == -1 { self.rules.timeout_ms } else { seconds.saturating_mul(1_000) };
                if age_ms < immune_ms {
                    if original.is_none_or(|original| original < 0) {
                        let offset = half.queue_offset.to_string();
                        properties.set(names::TRANSACTION_PREPARED_QUEUE_OFFSET, offset);
                    }
                    return Verdict::PutBack(copy(properties));
                }
            }
            // Born in the future: some clock is wrong, and waiting would not help.
            None if (0..self.rules.timeout_ms).contains(&age_ms) => return Verdict::TooYoung,
            None => {}
        }
        let checks = checks.map_or(1, |checks| checks + 1);
        properties.set(names::TRANSACTION_CHECK_TIMES, checks.to_string());
        Verdict::Check(copy(properties))
    }

    /// The offsets at which the next round starts, in the half queue and in the op queue.
    pub(crate) fn progress(&self) -> (i64, i64) {
        (self.next_half, self.first_op)
    }
}

/// Looks for half messages to ask about every `transactionCheckInterval`, until the Broker stops.
pub(crate) async fn run(broker: Arc<Shared>, mut stop: watch::Receiver<()>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(broker.settings.now().transaction_check_interval) => {}
            () = broker.transactions_due.notified() => {}
            () = stopped(&mut stop) => return,
        }
        let (broker, stop) = (broker.clone(), stop.clone());
        if let Err(error) = tokio::task::spawn_blocking(move || check(&broker, &stop)).await {
            tracing::error!(%error, "a round of transaction checks failed");
        }
    }
}

/// Makes sure that the topic of half messages, or of those given up, is in the table.
pub(crate) fn ensure_topic(broker: &Shared, topic: &str, now_ms: i64) -> i32 {
    let topic = broker.topics.create_in_send_back(topic, 1, PERM_READ | PERM_WRITE, 0, now_ms);
    topic.map_or(0, |topic| topic.read_queue_nums)
}

fn check(broker: &Shared, stop: &watch::Receiver<()>) {
    // Half messages are in queue 0; Java looks at all that the topic has.
    for queue_id in 0..ensure_topic(broker, TRANS_HALF_TOPIC, broker.clock.now_ms()) {
        check_queue(broker, queue_id, stop);
    }
}

fn check_queue(broker: &Shared, queue_id: i32, stop: &watch::Receiver<()>) {
    let (store, offsets, settings) = (&broker.store, &broker.offsets, broker.settings.now());
    let rules = CheckRules {
        timeout_ms: settings.transaction_timeout_ms,
        checks_max: settings.transaction_checks_max,
        reserved_ms: settings.file_reserved_ms,
    };
    let start = |topic| {
        let (min, max) = (store.min_offset(topic, queue_id), store.max_offset(topic, queue_id));
        match offsets.query(GROUP, topic, queue_id) {
            NO_OFFSET => min,
            saved => saved.clamp(min, max.max(min)),
        }
    };
    let started_ms = broker.clock.now_ms();
    let mut round = CheckRound::new(rules, started_ms, start(TRANS_HALF_TOPIC), start(TRANS_OP_HALF_TOPIC));
    while broker.clock.now_ms() - started_ms <= ROUND_MS_MAX && stop.has_changed().is_ok() {
        let ops = store.max_offset(TRANS_OP_HALF_TOPIC, queue_id);
        while let Some(at) = round.next_op().filter(|at| *at < ops) {
            round.op(read(broker, TRANS_OP_HALF_TOPIC, queue_id, at).as_ref());
        }
        let at = round.next_half();
        if at >= store.max_offset(TRANS_HALF_TOPIC, queue_id) {
            break;
        }
        if round.pass_ended() {
            continue;
        }
        let Some(record) = read(broker, TRANS_HALF_TOPIC, queue_id, at) else {
            tracing::warn!(queue_id, offset = at, "a half message is gone from the log and skipped");
            round.skip_to(store.min_offset(TRANS_HALF_TOPIC, queue_id).max(at + 1));
            continue;
        };
        let verdict = round.half(record, broker.clock.now_ms());
        if verdict == Verdict::TooYoung {
            break;
        }
        if let Err(error) = carry_out(broker, verdict) {
            tracing::warn!(queue_id, offset = at, %error, "a half message could not be put back yet");
            break;
        }
        round.pass();
    }
    let (half, op) = round.progress();
    for (topic, offset) in [(TRANS_HALF_TOPIC, half), (TRANS_OP_HALF_TOPIC, op)] {
        if start(topic) != offset {
            offsets.commit(GROUP, topic, queue_id, offset);
        }
    }
}

fn read(broker: &Shared, topic: &str, queue_id: i32, offset: i64) -> Option<MessageRecord> {
    let entry = broker.store.entry(topic, queue_id, offset)?;
    broker.message_at(entry.physical_offset)
}

fn carry_out(broker: &Shared, verdict: Verdict) -> Result<(), AppendError> {
    match verdict {
        Verdict::Ended | Verdict::TooYoung => {}
        Verdict::PutBack(copy) => drop(broker.append(copy)?),
        Verdict::Park(record) => {
            let real = properties::get(&record.properties, names::REAL_TOPIC);
            tracing::warn!(topic = real, born = record.born_timestamp, "a half message is given up");
            ensure_topic(broker, TRANS_CHECK_MAX_TIME_TOPIC, broker.clock.now_ms());
            broker.append(record)?;
        }
        Verdict::Check(copy) => {
            let appended = broker.append(copy.clone())?;
            match check_request(copy, &appended) {
                Some((group, request)) => ask(broker, &group, &request),
                None => tracing::warn!(offset = appended.queue_offset, "a half message names no producer"),
            }
        }
    }
    Ok(())
}

/// Asks one producer of the group, the next one each time. Whoever is missed is asked in the next round.
fn ask(broker: &Shared, group: &str, request: &RemotingCommand) {
    let producers = broker.clients.producer_group(group).unwrap_or_default();
    let turn = broker.turn.fetch_add(1, Ordering::Relaxed) as usize;
    let all = producers.iter().cycle().skip(turn % producers.len().max(1)).take(producers.len());
    if !all.into_iter().any(|(_, connection)| connection.oneway_ready(request.clone())) {
        tracing::warn!(group, "no producer to ask about a half message");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: CheckRules = CheckRules { timeout_ms: 6_000, checks_max: 3, reserved_ms: 100_000 };

    fn message(properties: &str) -> MessageRecord {
        MessageRecord {
            topic: "T".into(),
            queue_id: 2,
            flag: 7,
            sys_flag: sys_flag::TRANSACTION_PREPARED | sys_flag::COMPRESSED,
            queue_offset: 0,
            physical_offset: 0,
            born_timestamp: 1_000,
            born_host: "10.0.0.1:4000".parse().unwrap(),
            store_timestamp: 1_001,
            store_host: "10.0.0.2:10911".parse().unwrap(),
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: Bytes::from_static(b"x"),
            properties: properties.into(),
        }
    }

    /// A half message as it is read back from this queue offset.
    fn stored(queue_offset: i64, more: &str) -> MessageRecord {
        let sent = format!("PGROUP\u{1}pg\u{2}UNIQ_KEY\u{1}key{more}");
        MessageRecord { queue_offset, physical_offset: 1_000 + queue_offset, ..half(message(&sent), None) }
    }

    fn round(half_offset: i64, op_offset: i64) -> CheckRound {
        CheckRound::new(RULES, 50_000, half_offset, op_offset)
    }

    fn says(body: &'static str) -> MessageRecord {
        MessageRecord { body: Bytes::from_static(body.as_bytes()), ..op(&stored(0, ""), 5) }
    }

    fn end(offset: i64, group: &'static str) -> EndTransactionHeader {
        EndTransactionHeader {
            producer_group: group.into(),
            tran_state_table_offset: offset,
            commit_log_offset: 1_000 + offset,
            ..EndTransactionHeader::default()
        }
    }

    /// A half message waits in queue 0 as an ordinary record, and its commit goes where it was sent.
    #[test]
    fn half_and_commit() {
        let half = stored(4, "");
        assert_eq!((&*half.topic, half.queue_id), (TRANS_HALF_TOPIC, 0));
        assert_eq!(half.sys_flag, sys_flag::COMPRESSED);
        let done = committed(&half).unwrap();
        assert_eq!((&*done.topic, done.queue_id, done.flag), ("T", 2, 7));
        assert_eq!(done.sys_flag, sys_flag::COMPRESSED | sys_flag::TRANSACTION_COMMIT);
        assert_eq!(done.prepared_transaction_offset, 1_004);
        assert_eq!(done.properties, half.properties);
        assert_eq!(committed(&message("PGROUP\u{1}pg")), None);
    }

    /// While as many ends are known as are kept, no further op message is read.
    #[test]
    fn ends_have_a_limit() {
        let mut round = round(0, 0);
        let ends: String = (0..ENDED_MAX).map(|half| format!("{half},")).collect();
        assert_eq!(round.next_op(), Some(0));
        round.op(Some(&MessageRecord { body: ends.into(), ..says("") }));
        assert_eq!(round.next_op(), None);
        assert!(round.pass_ended());
        assert_eq!(round.next_op(), Some(1));
    }

    /// An op message is what Java writes: the offset in decimal, with the tag d.
    #[test]
    fn op_messages() {
        let op = op(&stored(12, ""), 77);
        assert_eq!((&*op.topic, op.queue_id, &op.body[..]), (TRANS_OP_HALF_TOPIC, 0, &b"12"[..]));
        assert_eq!((op.born_host, op.born_timestamp), (op.store_host, 77));
        assert_eq!(properties::get(&op.properties, "TAGS"), Some("d"));
    }

    /// The end must be the end of this half message, in Java's words.
    #[test]
    fn ends_are_checked() {
        let half = stored(4, "");
        assert_eq!(check_end(&half, &end(4, "pg")), Ok(()));
        let remark = |header| check_end(&half, &header).unwrap_err().remark;
        assert_eq!(remark(end(4, "other")), "The producer group wrong");
        assert_eq!(remark(end(5, "pg")), "The transaction state table offset wrong");
        let elsewhere = EndTransactionHeader { commit_log_offset: 1, ..end(4, "pg") };
        assert_eq!(remark(elsewhere), "The commit log offset wrong");
        assert!(check_end(&message(""), &end(0, "pg")).is_err());
    }

    /// Ended half messages are passed, in whatever order they were ended and whoever wrote the op messages; an
    /// op message is done when all it names are passed.
    #[test]
    fn op_messages_end_half_messages() {
        let mut round = round(10, 5);
        for body in ["12", "3", "10,11,", "12"] {
            round.op(Some(&says(body)));
        }
        assert_eq!(round.next_op(), Some(9));
        assert_eq!(round.progress(), (10, 7), "the first is repeated by the last, the second is old");
        assert!(round.pass_ended());
        assert_eq!(round.progress(), (11, 7));
        assert!(round.pass_ended() && round.pass_ended() && !round.pass_ended());
        assert_eq!(round.progress(), (13, 9));
    }

    /// Op messages that are gone or say nothing hold up nothing.
    #[test]
    fn broken_op_messages() {
        let mut round = round(10, 5);
        round.op(None);
        round.op(Some(&says("no number")));
        round.op(Some(&MessageRecord { properties: "TAGS\u{1}z".into(), ..says("10") }));
        assert_eq!(round.progress(), (10, 8));
        assert!(!round.pass_ended());
        round.op(Some(&says("11")));
        round.skip_to(12);
        assert_eq!(round.progress(), (12, 9));
    }

    /// Half messages are asked for from the timeout on; each time is counted in the copy.
    #[test]
    fn who_does_not_end_is_asked() {
        let round = round(4, 0);
        assert_eq!(round.half(stored(4, ""), 6_999), Verdict::TooYoung);
        let Verdict::Check(copy) = round.half(stored(4, ""), 7_000) else { panic!() };
        assert_eq!(properties::get(&copy.properties, "TRANSACTION_CHECK_TIMES"), Some("1"));
        assert_eq!((&*copy.topic, copy.flag), (TRANS_HALF_TOPIC, 7));
        let Verdict::Check(copy) = round.half(stored(5, "\u{2}TRANSACTION_CHECK_TIMES\u{1}2"), 7_000) else {
            panic!()
        };
        assert_eq!(properties::get(&copy.properties, "TRANSACTION_CHECK_TIMES"), Some("3"));
        assert!(matches!(round.half(stored(4, ""), 999), Verdict::Check(_)), "born in the future");
        let fresh = MessageRecord { store_timestamp: 50_000, ..stored(4, "") };
        assert_eq!(round.half(fresh, 60_000), Verdict::TooYoung, "put back in this very round");
    }

    /// Asked for too often, or older than messages are kept: parked as it is.
    #[test]
    fn who_never_ends_is_parked() {
        let round = round(4, 0);
        let half = stored(4, "\u{2}TRANSACTION_CHECK_TIMES\u{1}3");
        let Verdict::Park(parked) = round.half(half.clone(), 2_000) else { panic!() };
        assert_eq!((&*parked.topic, parked.queue_id), (TRANS_CHECK_MAX_TIME_TOPIC, 0));
        assert_eq!(parked.properties, half.properties);
        assert!(matches!(round.half(stored(4, ""), 101_001), Verdict::Park(_)));
        let again = resumed(parked).unwrap();
        assert_eq!(&*again.topic, TRANS_HALF_TOPIC);
        assert_eq!(properties::get(&again.properties, "TRANSACTION_CHECK_TIMES"), Some("0"));
        assert_eq!(resumed(message("")), None);
    }

    /// During its own immunity time a half message is put back uncounted, and remembers which one it was when
    /// its producer got to know its offset; an op message for that one ends it.
    #[test]
    fn immunity() {
        let mut round = round(8, 0);
        let immune = stored(8, "\u{2}CHECK_IMMUNITY_TIME_IN_SECONDS\u{1}20");
        let Verdict::PutBack(copy) = round.half(immune, 20_999) else { panic!() };
        let property = |name| properties::get(&copy.properties, name);
        assert_eq!(property("TRAN_PREPARED_QUEUE_OFFSET"), Some("8"));
        assert_eq!(property("TRANSACTION_CHECK_TIMES"), None);
        let copy = MessageRecord { queue_offset: 9, ..copy };
        let Verdict::PutBack(second) = round.half(copy.clone(), 20_999) else { panic!() };
        assert_eq!(properties::get(&second.properties, "TRAN_PREPARED_QUEUE_OFFSET"), Some("8"));
        assert!(matches!(round.half(copy.clone(), 21_000), Verdict::Check(_)));
        round.pass();
        round.op(Some(&says("8")));
        assert_eq!(round.progress(), (9, 1));
        assert_eq!(round.half(copy, 21_000), Verdict::Ended);
        let unreadable = stored(9, "\u{2}CHECK_IMMUNITY_TIME_IN_SECONDS\u{1}soon");
        assert!(matches!(round.half(unreadable.clone(), 6_999), Verdict::PutBack(_)));
        assert!(matches!(round.half(unreadable, 7_000), Verdict::Check(_)));
    }

    /// The question names the copy, and shows the message as its producer knows it.
    #[test]
    fn the_question() {
        let appended = Appended {
            physical_offset: 256,
            end_offset: 500,
            queue_offset: 31,
            store_timestamp: 9,
            physical_offsets: vec![256],
        };
        let (group, request) = check_request(stored(4, ""), &appended).unwrap();
        assert_eq!(&*group, "pg");
        let field = |name| request.ext_fields.get(name).map(|value| value.to_string());
        assert_eq!(field("tranStateTableOffset").as_deref(), Some("31"));
        assert_eq!(field("commitLogOffset").as_deref(), Some("256"));
        assert_eq!((field("msgId"), field("transactionId")), (Some("key".into()), Some("key".into())));
        assert_eq!(field("offsetMsgId").as_deref(), Some("0A00000200002A9F0000000000000100"));
        let shown = MessageRecord::decode(&mut request.body.clone()).unwrap();
        assert_eq!((&*shown.topic, shown.queue_id, shown.queue_offset), ("T", 2, 31));
        assert_eq!(shown.physical_offset, 256);
        assert!(check_request(message("PGROUP\u{1}pg"), &appended).is_none());
    }
}
