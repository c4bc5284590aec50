//! The accounting of one scenario: what was sent, what arrived, and what is wrong with that.
//! A plain struct without processes or clocks; bodies are the identity of a message.

use std::collections::{BTreeMap, BTreeSet};

/// One answered (or oneway) send, as the driver reported it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// `SEND_OK`, another status, `ONEWAY`, or `EXCEPTION …`.
    pub status: String,
    /// Queue id and queue offset, where the client tells both.
    pub place: Option<(i32, i64)>,
    /// The id that the producer was told or made, where it tells one.
    pub message_id: Option<String>,
}

/// One delivery to a consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Which consumer of the scenario got it (its task id).
    pub consumer: u64,
    /// The message body.
    pub body: String,
    /// Queue id, in the retry topic for repeated deliveries.
    pub queue: i32,
    /// Queue offset in that queue.
    pub offset: i64,
    /// How often consumption of it had failed before.
    pub reconsume_times: i32,
    /// The tag, if it has one.
    pub tag: Option<String>,
    /// Milliseconds since the message was born, where the client tells its birth.
    pub age_ms: Option<i64>,
}

/// Everything sent and everything delivered in one scenario.
#[derive(Debug, Default)]
pub struct Ledger {
    sent: BTreeMap<String, Sent>,
    sent_twice: Vec<String>,
    deliveries: Vec<Delivery>,
}

impl Ledger {
    /// Notes a send.
    pub fn record_sent(&mut self, body: &str, sent: Sent) {
        if self.sent.insert(body.to_owned(), sent).is_some() {
            self.sent_twice.push(body.to_owned());
        }
    }

    /// Notes a delivery.
    pub fn record_delivery(&mut self, delivery: Delivery) {
        self.deliveries.push(delivery);
    }

    /// The id of a sent message.
    pub fn message_id(&self, body: &str) -> Option<&str> {
        self.sent.get(body)?.message_id.as_deref()
    }

    /// Forgets where messages chosen by `chosen` were put: they are moved before they are delivered.
    pub fn forget_places(&mut self, chosen: impl Fn(&str) -> bool) {
        self.sent.iter_mut().filter(|(body, _)| chosen(body)).for_each(|(_, sent)| sent.place = None);
    }

    /// How often each body came to `consumer`, or to anybody.
    pub fn counts(&self, consumer: Option<u64>) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for delivery in self.deliveries.iter().filter(|d| consumer.is_none_or(|c| c == d.consumer)) {
            *counts.entry(delivery.body.as_str()).or_default() += 1;
        }
        counts
    }

    /// Bodies that did not arrive exactly as often as `due` says.
    pub fn count_faults(&self, due: impl Fn(&str) -> usize) -> Vec<String> {
        let wrong = self.counts(None).into_iter().filter(|(body, times)| *times != due(body));
        wrong.map(|(body, times)| format!("{body} arrived {times} times, not {}", due(body))).collect()
    }

    /// Bodies `<prefix>-<key>-<seq>` whose first deliveries, at whichever consumer, do not rise by one per key.
    /// What comes again after a queue has changed hands is no fault.
    pub fn first_order_faults(&self) -> Vec<String> {
        let mut next: BTreeMap<&str, u64> = BTreeMap::new();
        let mut faults = Vec::new();
        for body in self.deliveries.iter().map(|d| d.body.as_str()) {
            let Some((key, seq)) =
                body.rsplit_once('-').and_then(|(key, n)| Some((key, n.parse::<u64>().ok()?)))
            else {
                faults.push(format!("{body} has no sequence"));
                continue;
            };
            let due = next.entry(key).or_default();
            match seq.cmp(due) {
                std::cmp::Ordering::Equal => *due += 1,
                std::cmp::Ordering::Greater => {
                    faults.push(format!("{key}: {seq} arrived where {due} was due"))
                }
                std::cmp::Ordering::Less => {}
            }
        }
        faults
    }

    /// All deliveries in the order the harness read them.
    pub fn deliveries(&self) -> &[Delivery] {
        &self.deliveries
    }

    /// How many messages were sent.
    pub fn sent_count(&self) -> usize {
        self.sent.len()
    }

    /// The distinct bodies that `consumer` got, or that anybody got.
    pub fn bodies(&self, consumer: Option<u64>) -> BTreeSet<&str> {
        let wanted = |d: &&Delivery| consumer.is_none_or(|c| c == d.consumer);
        self.deliveries.iter().filter(wanted).map(|d| d.body.as_str()).collect()
    }

    /// How many deliveries `consumer` (or anybody) had of bodies chosen by `chosen`.
    pub fn delivered(&self, consumer: Option<u64>, chosen: impl Fn(&str) -> bool) -> usize {
        let wanted = |d: &&Delivery| consumer.is_none_or(|c| c == d.consumer) && chosen(&d.body);
        self.deliveries.iter().filter(wanted).count()
    }

    /// The sent bodies chosen by `chosen` that did not arrive (at `consumer`, or anywhere).
    pub fn missing(&self, consumer: Option<u64>, chosen: impl Fn(&str) -> bool) -> Vec<&str> {
        let arrived = self.bodies(consumer);
        let expected = self.sent.keys().map(String::as_str);
        expected.filter(|body| chosen(body) && !arrived.contains(body)).collect()
    }

    /// Deliveries beyond the first, per consumer, of bodies chosen by `chosen`.
    pub fn repeated(&self, chosen: impl Fn(&str) -> bool) -> Vec<&str> {
        let mut seen = BTreeSet::new();
        let chosen = self.deliveries.iter().filter(|d| chosen(&d.body));
        chosen.filter(|d| !seen.insert((d.consumer, &d.body))).map(|d| d.body.as_str()).collect()
    }

    /// Bodies that arrived though nobody sent them, or though `chosen` excludes them.
    pub fn unexpected(&self, chosen: impl Fn(&str) -> bool) -> Vec<&str> {
        let arrived = self.bodies(None);
        arrived.into_iter().filter(|body| !self.sent.contains_key(*body) || !chosen(body)).collect()
    }

    /// Sends without success, bodies sent twice, and two messages told the same place.
    pub fn send_faults(&self) -> Vec<String> {
        let mut faults: Vec<String> = self.sent_twice.iter().map(|b| format!("{b} sent twice")).collect();
        let mut places = BTreeMap::new();
        for (body, sent) in &self.sent {
            if sent.status != "SEND_OK" && sent.status != "ONEWAY" {
                faults.push(format!("{body}: {}", sent.status));
            }
            if let Some(place) = sent.place
                && let Some(other) = places.insert(place, body)
            {
                faults.push(format!("{other} and {body} both at queue {} offset {}", place.0, place.1));
            }
        }
        faults
    }

    /// First deliveries at another place than the producer was told.
    pub fn misplaced(&self) -> Vec<String> {
        let first = self.deliveries.iter().filter(|d| d.reconsume_times == 0);
        first
            .filter_map(|d| {
                let told = self.sent.get(&d.body)?.place?;
                let got = (d.queue, d.offset);
                (told != got).then(|| format!("{} sent to {told:?}, received from {got:?}", d.body))
            })
            .collect()
    }

    /// Order faults of bodies `<prefix>-<key>-<seq>`: a key in two queues, a sequence that does not
    /// rise by one per key, or offsets that do not rise within a queue.
    pub fn order_faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut next: BTreeMap<&str, u64> = BTreeMap::new();
        let mut queue_of: BTreeMap<&str, i32> = BTreeMap::new();
        let mut last_offset: BTreeMap<i32, i64> = BTreeMap::new();
        for d in &self.deliveries {
            let mut parts = d.body.rsplitn(3, '-');
            let seq = parts.next().and_then(|s| s.parse::<u64>().ok());
            let (Some(seq), Some(key)) = (seq, parts.next()) else {
                faults.push(format!("{} is not an ordered body", d.body));
                continue;
            };
            let expected = next.entry(key).or_default();
            if *expected != seq {
                faults.push(format!("key {key}: {seq} arrived where {expected} was due"));
            }
            *expected = seq + 1;
            if *queue_of.entry(key).or_insert(d.queue) != d.queue {
                faults.push(format!("key {key} spread over queues"));
            }
            if last_offset.insert(d.queue, d.offset).is_some_and(|last| last >= d.offset) {
                faults.push(format!("queue {}: offset {} after a larger one", d.queue, d.offset));
            }
        }
        faults
    }

    /// Bodies chosen by `chosen` whose deliveries do not show reconsume times 0, 1, … `last` exactly
    /// once each.
    pub fn retry_faults(&self, last: i32, chosen: impl Fn(&str) -> bool) -> Vec<String> {
        let expected: Vec<i32> = (0..=last).collect();
        let mut times: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for d in self.deliveries.iter().filter(|d| chosen(&d.body)) {
            times.entry(&d.body).or_default().push(d.reconsume_times);
        }
        times
            .into_iter()
            .filter(|(_, seen)| *seen != expected)
            .map(|(body, seen)| format!("{body}: reconsumeTimes {seen:?}, expected {expected:?}"))
            .collect()
    }

    /// The faults of a scenario in which every sent message must arrive exactly once per consumer.
    pub fn exactly_once(&self) -> Vec<String> {
        let mut faults = self.at_least_once();
        faults.extend(named("repeated", &self.repeated(|_| true)));
        faults.extend(self.misplaced());
        faults
    }

    /// The faults of a scenario in which repeated deliveries are allowed.
    pub fn at_least_once(&self) -> Vec<String> {
        let mut faults = self.send_faults();
        faults.extend(named("lost", &self.missing(None, |_| true)));
        faults.extend(named("never sent", &self.unexpected(|_| true)));
        faults
    }
}

/// One line that names the first few of `bodies`, or nothing when there are none.
pub fn named(what: &str, bodies: &[&str]) -> Option<String> {
    let some = bodies.iter().take(5).copied().collect::<Vec<_>>().join(", ");
    let more = if bodies.len() > 5 { ", …" } else { "" };
    (!bodies.is_empty()).then(|| format!("{} {what}: {some}{more}", bodies.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(ledger: &mut Ledger, body: &str, queue: i32, offset: i64) {
        ledger.record_sent(
            body,
            Sent { status: "SEND_OK".into(), place: Some((queue, offset)), message_id: None },
        );
    }

    fn got(ledger: &mut Ledger, consumer: u64, body: &str, queue: i32, offset: i64, reconsume_times: i32) {
        let body = body.to_owned();
        ledger.record_delivery(Delivery {
            consumer,
            body,
            queue,
            offset,
            reconsume_times,
            tag: None,
            age_ms: None,
        });
    }

    /// A complete run has no faults; each kind of loss, repetition and stranger is named.
    #[test]
    fn exactly_once_names_each_fault() {
        let mut ledger = Ledger::default();
        sent(&mut ledger, "a-0", 0, 0);
        sent(&mut ledger, "a-1", 1, 0);
        got(&mut ledger, 1, "a-0", 0, 0, 0);
        got(&mut ledger, 1, "a-1", 1, 0, 0);
        assert_eq!(ledger.exactly_once(), Vec::<String>::new());
        got(&mut ledger, 1, "a-1", 1, 0, 0);
        got(&mut ledger, 1, "b-0", 1, 1, 0);
        sent(&mut ledger, "a-2", 1, 2);
        assert_eq!(ledger.exactly_once(), ["1 lost: a-2", "1 never sent: b-0", "1 repeated: a-1"]);
    }

    /// The same message at two consumers is not a repetition, but must reach each.
    #[test]
    fn consumers_are_counted_apart() {
        let mut ledger = Ledger::default();
        sent(&mut ledger, "a-0", 0, 0);
        got(&mut ledger, 1, "a-0", 0, 0, 0);
        assert_eq!(ledger.missing(Some(2), |_| true), ["a-0"]);
        got(&mut ledger, 2, "a-0", 0, 0, 0);
        assert!(ledger.missing(Some(2), |_| true).is_empty());
        assert!(ledger.repeated(|_| true).is_empty());
    }

    /// Failed sends, places given twice and deliveries from elsewhere are faults.
    #[test]
    fn places_are_checked() {
        let mut ledger = Ledger::default();
        sent(&mut ledger, "a-0", 0, 0);
        sent(&mut ledger, "a-1", 0, 0);
        ledger.record_sent("a-2", Sent { status: "EXCEPTION x".into(), place: None, message_id: None });
        got(&mut ledger, 1, "a-0", 0, 7, 0);
        assert_eq!(ledger.send_faults(), ["a-0 and a-1 both at queue 0 offset 0", "a-2: EXCEPTION x"]);
        assert_eq!(ledger.misplaced(), ["a-0 sent to (0, 0), received from (0, 7)"]);
    }

    /// Keys keep their sequence and their queue; queues keep their offsets.
    #[test]
    fn order_is_per_key_and_queue() {
        let mut ledger = Ledger::default();
        got(&mut ledger, 1, "p-0-0", 0, 0, 0);
        got(&mut ledger, 1, "p-1-0", 1, 0, 0);
        got(&mut ledger, 1, "p-0-1", 0, 1, 0);
        assert_eq!(ledger.order_faults(), Vec::<String>::new());
        got(&mut ledger, 1, "p-0-3", 0, 3, 0);
        got(&mut ledger, 1, "p-0-4", 1, 1, 0);
        got(&mut ledger, 1, "p-1-1", 1, 1, 0);
        assert_eq!(
            ledger.order_faults(),
            [
                "key 0: 3 arrived where 2 was due",
                "key 0 spread over queues",
                "queue 1: offset 1 after a larger one"
            ]
        );
    }

    /// What comes again is no fault of order, what comes too early is.
    #[test]
    fn first_deliveries_rise() {
        let mut ledger = Ledger::default();
        for (consumer, body) in [(1, "p-0-0"), (2, "p-0-1"), (2, "p-1-0"), (1, "p-0-1"), (1, "p-0-2")] {
            got(&mut ledger, consumer, body, 0, 0, 0);
        }
        assert_eq!(ledger.first_order_faults(), Vec::<String>::new());
        assert_eq!(ledger.counts(None)["p-0-1"], 2);
        got(&mut ledger, 2, "p-1-2", 0, 0, 0);
        assert_eq!(ledger.first_order_faults(), ["p-1: 2 arrived where 1 was due"]);
    }

    /// Every failed consumption raises reconsumeTimes by one.
    #[test]
    fn retries_count_up() {
        let mut ledger = Ledger::default();
        for times in 0..=2 {
            got(&mut ledger, 1, "r-0", 0, 0, times);
            got(&mut ledger, 1, "r-1", 0, 1, 0);
        }
        assert_eq!(ledger.retry_faults(2, |_| true), ["r-1: reconsumeTimes [0, 0, 0], expected [0, 1, 2]"]);
    }
}
