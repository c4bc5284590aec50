//! Held pulls: pulls that found nothing and wait for a message, by queue. A pure core.
//!
//! A pull is parked; an arrival hands back the pulls that want the message; a tick hands back those whose
//! time is up. A message that a pull does not want leaves it held, but not for long: its consumer must learn
//! that the queue has moved on, or it would scan the same messages again after every restart.
//!
//! Whoever parks a pull compares the queue's max offset once more afterwards: a message may have arrived
//! between the look and the parking. Java counterpart: `PullRequestHoldService`, which looks every 5 s.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ferrocket_protocol::Text;
use ferrocket_protocol::properties::{self, names};

use crate::consumer_filters::FilterBits;
use crate::filter::Expression;

/// Pulls held at a time, of all queues together. One more is answered at once, as if its time were up.
pub(crate) const HELD_PULLS_MAX: usize = 200_000;
/// The same for one connection.
const HELD_PER_HOLDER_MAX: usize = 4_096;
/// Pulls of one group for one queue held for one connection. One more takes the place of the oldest, which is
/// answered. One would do for a working client; Java's answers two that overlap.
const HELD_PER_KEY_MAX: usize = 4;
/// The longest that a pull is held, whatever its consumer asks for.
pub(crate) const HOLD_MS_MAX: i64 = 60_000;

/// How long a held pull may lie behind messages that it does not want. With a tick of a second the consumer
/// hears of them within the 5 s that Java takes.
const BEHIND_MS: i64 = 4_000;

/// Which messages a pull wants.
#[derive(Clone, Debug)]
pub(crate) enum PullFilter {
    /// Every message.
    All,
    /// Messages whose tags have one of these hashes, sorted. Different tags may share a hash: clients look
    /// at the tags themselves again.
    Hashes(Arc<[i32]>),
    /// Messages whose properties match.
    Properties(PropertyFilter),
}

/// A filter that looks into the message.
#[derive(Clone, Debug)]
pub(crate) enum PropertyFilter {
    /// An SQL92 expression.
    Sql(Arc<Expression>),
    /// One that the group registered, with what bit maps say about it.
    Registered(Arc<Expression>, FilterBits),
    /// On a retry topic: the expression for the topic that the message comes from; a message of another topic
    /// is wanted. Java: `ExpressionForRetryMessageFilter`.
    ByOrigin(Arc<BTreeMap<String, Arc<Expression>>>),
}

impl PropertyFilter {
    /// Whether a message with this store time (ms since 1970) and bit map may be wanted.
    pub(crate) fn may_want(&self, stored_ms: i64, bit_map: &[u8]) -> bool {
        match self {
            Self::Registered(_, bits) => bits.may_want(stored_ms, bit_map),
            Self::Sql(_) | Self::ByOrigin(_) => true,
        }
    }

    /// Whether a message with these properties is wanted.
    pub(crate) fn wants(&self, properties: &str) -> bool {
        let expression = match self {
            Self::Sql(expression) | Self::Registered(expression, _) => Some(expression),
            Self::ByOrigin(filters) => {
                properties::get(properties, names::RETRY_TOPIC).and_then(|topic| filters.get(topic))
            }
        };
        expression.is_none_or(|expression| expression.wants(properties))
    }
}

impl PullFilter {
    /// A filter by these hashes.
    pub(crate) fn of_hashes(hashes: impl IntoIterator<Item = i32>) -> Self {
        let mut hashes: Vec<i32> = hashes.into_iter().collect();
        hashes.sort_unstable();
        Self::Hashes(hashes.into())
    }

    /// Whether a message with this tags code is wanted, as far as that tells. Java compares the lower 32 bits.
    pub(crate) fn wants_tags(&self, tags_code: i64) -> bool {
        match self {
            Self::All | Self::Properties(_) => true,
            Self::Hashes(hashes) => hashes.binary_search(&(tags_code as i32)).is_ok(),
        }
    }

    /// Whether a message is wanted, as far as what is known of it tells.
    fn wants(&self, tags_code: i64, properties: Option<&str>) -> bool {
        match (self, properties) {
            (Self::Properties(filter), Some(properties)) => filter.wants(properties),
            _ => self.wants_tags(tags_code),
        }
    }
}

/// A pull to be held; `P` is what is needed to answer it.
#[derive(Debug)]
pub(crate) struct HeldPull<P> {
    /// Whose it is: a connection's number.
    pub(crate) holder: u64,
    /// The consumer group.
    pub(crate) group: Text,
    /// The offset it asked for: it waits for a message there or later.
    pub(crate) from_offset: i64,
    /// What it wants.
    pub(crate) filter: PullFilter,
    /// When it is answered in any case, ms since the Broker's start.
    pub(crate) deadline_ms: i64,
    /// What is needed to answer it.
    pub(crate) pull: P,
}

/// All held pulls. Used under one lock, which is never held while a pull is answered.
#[derive(Debug)]
pub(crate) struct HeldPulls<P> {
    /// By topic, then by queue id: an arrival looks up with a borrowed topic.
    topics: HashMap<Text, HashMap<i32, Vec<HeldPull<P>>>>,
    /// How many each holder has.
    holders: HashMap<u64, usize>,
    len: usize,
}

impl<P> Default for HeldPulls<P> {
    fn default() -> Self {
        Self { topics: HashMap::new(), holders: HashMap::new(), len: 0 }
    }
}

impl<P> HeldPulls<P> {
    /// Parks a pull. Answers a pull that there is no room for, which is to be answered as if its time were
    /// up: an older one of the same group, queue and holder, or, at the other limits, this one.
    pub(crate) fn park(&mut self, topic: Text, queue_id: i32, pull: HeldPull<P>) -> Option<P> {
        let of_holder = self.holders.entry(pull.holder).or_default();
        if self.len >= HELD_PULLS_MAX || *of_holder >= HELD_PER_HOLDER_MAX {
            return Some(pull.pull);
        }
        *of_holder += 1;
        self.len += 1;
        let held = self.topics.entry(topic).or_default().entry(queue_id).or_default();
        let same = |held: &HeldPull<P>| held.holder == pull.holder && held.group == pull.group;
        let oldest = held
            .iter()
            .position(same)
            .filter(|_| held.iter().filter(|held| same(held)).count() >= HELD_PER_KEY_MAX);
        let shed = oldest.map(|at| held.remove(at));
        held.push(pull);
        shed.map(|shed| self.forget(shed))
    }

    fn forget(&mut self, held: HeldPull<P>) -> P {
        self.len -= 1;
        if let Some(count) = self.holders.get_mut(&held.holder) {
            *count -= 1;
            if *count == 0 {
                self.holders.remove(&held.holder);
            }
        }
        held.pull
    }

    /// Whether a message at this offset must be looked into before it is known which pulls want it.
    pub(crate) fn ask_for_properties(&self, topic: &str, queue_id: i32, queue_offset: i64) -> bool {
        let held = self.topics.get(topic).and_then(|queues| queues.get(&queue_id));
        held.into_iter()
            .flatten()
            .any(|held| matches!(held.filter, PullFilter::Properties(_)) && held.from_offset <= queue_offset)
    }

    /// A message with this tags code and, if they are known, these properties is at `queue_offset`: takes out
    /// the pulls that want it.
    pub(crate) fn arrived(
        &mut self,
        topic: &str,
        queue_id: i32,
        queue_offset: i64,
        tags_code: i64,
        properties: Option<&str>,
        now_ms: i64,
    ) -> Vec<P> {
        self.take_from(topic, queue_id, |held| {
            if held.from_offset > queue_offset {
                return false;
            }
            let wanted = held.filter.wants(tags_code, properties);
            if !wanted {
                held.deadline_ms = held.deadline_ms.min(now_ms + BEHIND_MS);
            }
            wanted
        })
    }

    /// The queue's max offset is known to be `max_offset`: takes out the pulls that are behind it. Which
    /// messages stand there is not known, so filters are not asked.
    pub(crate) fn moved_to(&mut self, topic: &str, queue_id: i32, max_offset: i64) -> Vec<P> {
        self.take_from(topic, queue_id, |held| held.from_offset < max_offset)
    }

    /// Takes out the pulls whose time is up, and drops those that `gone` says nobody waits for any more.
    pub(crate) fn tick(&mut self, now_ms: i64, gone: impl Fn(&P) -> bool) -> Vec<P> {
        let mut due = Vec::new();
        for queues in self.topics.values_mut() {
            for held in queues.values_mut() {
                due.extend(held.extract_if(.., |held| held.deadline_ms <= now_ms || gone(&held.pull)));
            }
            queues.retain(|_, held| !held.is_empty());
        }
        self.topics.retain(|_, queues| !queues.is_empty());
        due.into_iter().map(|held| self.forget(held)).filter(|pull| !gone(pull)).collect()
    }

    /// Takes out all of them: the Broker stops.
    pub(crate) fn drain(&mut self) -> Vec<P> {
        self.len = 0;
        self.holders.clear();
        let topics = std::mem::take(&mut self.topics);
        topics.into_values().flat_map(HashMap::into_values).flatten().map(|held| held.pull).collect()
    }

    fn take_from(
        &mut self,
        topic: &str,
        queue_id: i32,
        take: impl FnMut(&mut HeldPull<P>) -> bool,
    ) -> Vec<P> {
        let Some(held) = self.topics.get_mut(topic).and_then(|queues| queues.get_mut(&queue_id)) else {
            return Vec::new();
        };
        let taken: Vec<_> = held.extract_if(.., take).collect();
        taken.into_iter().map(|held| self.forget(held)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrocket_protocol::message::tags_code;

    const NONE: [u32; 0] = [];

    fn pull(from_offset: i64, filter: PullFilter, deadline_ms: i64, pull: u32) -> HeldPull<u32> {
        HeldPull { holder: 1, group: "g".into(), from_offset, filter, deadline_ms, pull }
    }

    fn park(held: &mut HeldPulls<u32>, pull: HeldPull<u32>) {
        assert_eq!(held.park("T".into(), 0, pull), None);
    }

    /// A message wakes the pulls of its queue that ask for its offset or an older one, and no others.
    #[test]
    fn an_arrival_wakes_who_waits_for_it() {
        let mut held = HeldPulls::default();
        park(&mut held, pull(5, PullFilter::All, 15_000, 1));
        park(&mut held, pull(6, PullFilter::All, 15_000, 2));
        assert_eq!(held.park("T".into(), 1, pull(5, PullFilter::All, 15_000, 3)), None);
        assert_eq!(held.arrived("T", 0, 5, 0, None, 0), [1]);
        assert_eq!(held.arrived("T", 0, 5, 0, None, 0), NONE);
        assert_eq!(held.arrived("Other", 0, 5, 0, None, 0), NONE);
        assert_eq!(held.len, 2);
        assert_eq!(held.moved_to("T", 0, 6), NONE);
        assert_eq!(held.moved_to("T", 0, 7), [2]);
        assert_eq!(held.drain(), [3]);
        assert_eq!(held.len, 0);
    }

    /// A message with another tag leaves the pull held, but it is answered within 5 s, not at its timeout.
    #[test]
    fn an_unwanted_message_shortens_the_wait() {
        let mut held = HeldPulls::default();
        let filter = PullFilter::of_hashes(["TagB", "TagA"].map(|tag| tags_code(Some(tag)) as i32));
        park(&mut held, pull(5, filter.clone(), 15_000, 1));
        park(&mut held, pull(9, filter, 15_000, 2));
        assert_eq!(held.arrived("T", 0, 5, tags_code(Some("TagC")), None, 100), NONE);
        assert_eq!(held.tick(100 + BEHIND_MS - 1, |_| false), NONE);
        assert_eq!(held.tick(100 + BEHIND_MS, |_| false), [1]);
        assert_eq!(held.arrived("T", 0, 9, tags_code(Some("TagA")), None, 100), [2]);
        assert_eq!(held.len, 0);
    }

    /// A pull that filters by properties is woken by those that match, and by a message that is not known.
    #[test]
    fn properties_wake_who_wants_them() {
        let sql = |text| Arc::new(Expression::compile(text).unwrap());
        let origin = BTreeMap::from([("T".to_owned(), sql("a > 5"))]);
        let by_origin = PullFilter::Properties(PropertyFilter::ByOrigin(Arc::new(origin)));
        for (filter, unwanted, wanted) in [
            (PullFilter::Properties(PropertyFilter::Sql(sql("a > 5"))), "a\u{1}5", "a\u{1}6"),
            (by_origin.clone(), "RETRY_TOPIC\u{1}T\u{2}a\u{1}5", "RETRY_TOPIC\u{1}T\u{2}a\u{1}6"),
            (by_origin.clone(), "RETRY_TOPIC\u{1}T", "RETRY_TOPIC\u{1}U\u{2}a\u{1}5"),
            (by_origin, "RETRY_TOPIC\u{1}T", "a\u{1}5"),
        ] {
            let mut held = HeldPulls::default();
            park(&mut held, pull(5, PullFilter::All, 15_000, 1));
            assert!(!held.ask_for_properties("T", 0, 5));
            park(&mut held, pull(6, filter.clone(), 15_000, 2));
            assert!(held.ask_for_properties("T", 0, 6) && !held.ask_for_properties("T", 0, 5));
            assert_eq!(held.arrived("T", 0, 6, 0, Some(unwanted), 0), [1]);
            assert_eq!(held.arrived("T", 0, 6, 0, Some(wanted), 0), [2]);
            park(&mut held, pull(6, filter, 15_000, 3));
            assert_eq!(held.arrived("T", 0, 6, 0, None, 0), [3]);
        }
    }

    /// Time wakes a pull; one whose connection is gone is dropped without a word.
    #[test]
    fn a_tick_answers_and_forgets() {
        let mut held = HeldPulls::default();
        park(&mut held, pull(5, PullFilter::All, 1_000, 1));
        park(&mut held, pull(5, PullFilter::All, 1_000, 2));
        park(&mut held, pull(5, PullFilter::All, 2_000, 3));
        park(&mut held, pull(5, PullFilter::All, 2_000, 4));
        assert_eq!(held.tick(1_000, |pull| *pull == 2 || *pull == 3), [1]);
        assert_eq!(held.len, 1);
        assert_eq!(held.tick(2_000, |_| false), [4]);
    }

    /// One more than a group may hold on a queue answers its oldest; other groups and connections do not
    /// count. One more than a connection may hold is not held.
    #[test]
    fn limits_shed_pulls() {
        let mut held = HeldPulls::default();
        for number in 0..HELD_PER_KEY_MAX as u32 {
            park(&mut held, pull(5, PullFilter::All, 15_000, number));
        }
        park(&mut held, HeldPull { holder: 2, ..pull(5, PullFilter::All, 15_000, 100) });
        park(&mut held, HeldPull { group: "h".into(), ..pull(5, PullFilter::All, 15_000, 101) });
        assert_eq!(held.park("T".into(), 0, pull(5, PullFilter::All, 15_000, 9)), Some(0));
        assert_eq!(held.park("T".into(), 0, pull(5, PullFilter::All, 15_000, 10)), Some(1));
        assert_eq!(held.arrived("T", 0, 5, 0, None, 0).len(), HELD_PER_KEY_MAX + 2);
        for queue_id in 0..HELD_PER_HOLDER_MAX as i32 {
            assert_eq!(held.park("T".into(), queue_id, pull(0, PullFilter::All, 15_000, 1)), None);
        }
        assert_eq!(held.park("T".into(), -1, pull(0, PullFilter::All, 15_000, 2)), Some(2));
        assert_eq!(held.tick(15_000, |_| false).len(), HELD_PER_HOLDER_MAX);
        assert_eq!((held.len, held.holders.len()), (0, 0));
    }

    /// One more than the Broker may hold is not held, whoever asks; a place that is given back is used again.
    #[test]
    fn all_together_have_a_limit() {
        let mut held = HeldPulls::default();
        let of =
            |number: usize| HeldPull { holder: number as u64 / 4, ..pull(0, PullFilter::All, 15_000, 1) };
        for number in 0..HELD_PULLS_MAX {
            assert_eq!(held.park("T".into(), number as i32 / 4, of(number)), None);
        }
        assert_eq!(held.park("U".into(), 0, of(HELD_PULLS_MAX)), Some(1));
        assert_eq!(held.arrived("T", 7, 0, 0, None, 0).len(), 4);
        assert_eq!(held.park("U".into(), 0, of(HELD_PULLS_MAX)), None);
    }
}
