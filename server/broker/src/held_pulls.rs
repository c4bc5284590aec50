//! Held pulls: pulls that found nothing and wait for a message, by queue. A pure core.
//!
//! A pull is parked; an arrival hands back the pulls that want the message; a tick hands back those whose
//! time is up. A message that a pull does not want leaves it held, but not for long: its consumer must learn
//! that the queue has moved on, or it would scan the same messages again after every restart.
//!
//! Whoever parks a pull compares the queue's max offset once more afterwards: a message may have arrived
//! between the look and the parking. Java counterpart: `PullRequestHoldService`, which looks every 5 s.

use std::collections::HashMap;
use std::sync::Arc;

use ferrocket_protocol::Text;

/// Pulls held at a time, of all queues together. One more is answered at once, as if its time were up.
pub(crate) const HELD_PULLS_MAX: usize = 200_000;

/// How long a held pull may lie behind messages that it does not want. With a tick of a second the consumer
/// hears of them within the 5 s that Java takes.
const BEHIND_MS: i64 = 4_000;

/// Which messages a pull wants, judged by the hash of their tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TagFilter {
    /// Every message.
    All,
    /// Messages whose tags have one of these hashes, sorted. Different tags may share a hash: clients look
    /// at the tags themselves again.
    Hashes(Arc<[i32]>),
}

impl TagFilter {
    /// A filter by these hashes.
    pub(crate) fn of_hashes(hashes: impl IntoIterator<Item = i32>) -> Self {
        let mut hashes: Vec<i32> = hashes.into_iter().collect();
        hashes.sort_unstable();
        Self::Hashes(hashes.into())
    }

    /// Whether a message with this tags code is wanted. Java compares the lower 32 bits.
    pub(crate) fn wants(&self, tags_code: i64) -> bool {
        match self {
            Self::All => true,
            Self::Hashes(hashes) => hashes.binary_search(&(tags_code as i32)).is_ok(),
        }
    }
}

/// A pull to be held; `P` is what is needed to answer it.
#[derive(Debug)]
pub(crate) struct HeldPull<P> {
    /// The offset it asked for: it waits for a message there or later.
    pub(crate) from_offset: i64,
    /// What it wants.
    pub(crate) filter: TagFilter,
    /// When it is answered in any case, ms since 1970.
    pub(crate) deadline_ms: i64,
    /// What is needed to answer it.
    pub(crate) pull: P,
}

/// All held pulls. Used under one lock, which is never held while a pull is answered.
#[derive(Debug)]
pub(crate) struct HeldPulls<P> {
    /// By topic, then by queue id: an arrival looks up with a borrowed topic.
    topics: HashMap<Text, HashMap<i32, Vec<HeldPull<P>>>>,
    len: usize,
}

impl<P> Default for HeldPulls<P> {
    fn default() -> Self {
        Self { topics: HashMap::new(), len: 0 }
    }
}

impl<P> HeldPulls<P> {
    /// How many are held.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Parks a pull, or gives it back when there are [`HELD_PULLS_MAX`] already.
    pub(crate) fn park(&mut self, topic: Text, queue_id: i32, pull: HeldPull<P>) -> Result<(), HeldPull<P>> {
        if self.len >= HELD_PULLS_MAX {
            return Err(pull);
        }
        self.len += 1;
        self.topics.entry(topic).or_default().entry(queue_id).or_default().push(pull);
        Ok(())
    }

    /// A message with this tags code is at `queue_offset`: takes out the pulls that want it.
    pub(crate) fn arrived(
        &mut self,
        topic: &str,
        queue_id: i32,
        queue_offset: i64,
        tags_code: i64,
        now_ms: i64,
    ) -> Vec<P> {
        self.take_from(topic, queue_id, |held| {
            if held.from_offset > queue_offset {
                return false;
            }
            let wanted = held.filter.wants(tags_code);
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
        self.len -= due.len();
        due.into_iter().map(|held| held.pull).filter(|pull| !gone(pull)).collect()
    }

    /// Takes out all of them: the Broker stops.
    pub(crate) fn drain(&mut self) -> Vec<P> {
        self.len = 0;
        let topics = std::mem::take(&mut self.topics);
        topics.into_values().flat_map(HashMap::into_values).flatten().map(|held| held.pull).collect()
    }

    fn take_from(&mut self, topic: &str, queue_id: i32, take: impl FnMut(&mut HeldPull<P>) -> bool) -> Vec<P> {
        let Some(held) = self.topics.get_mut(topic).and_then(|queues| queues.get_mut(&queue_id)) else {
            return Vec::new();
        };
        let taken: Vec<P> = held.extract_if(.., take).map(|held| held.pull).collect();
        self.len -= taken.len();
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrocket_protocol::message::tags_code;

    const NONE: [u32; 0] = [];

    fn pull(from_offset: i64, filter: TagFilter, deadline_ms: i64, pull: u32) -> HeldPull<u32> {
        HeldPull { from_offset, filter, deadline_ms, pull }
    }

    fn park(held: &mut HeldPulls<u32>, pull: HeldPull<u32>) {
        held.park("T".into(), 0, pull).unwrap();
    }

    /// A message wakes the pulls of its queue that ask for its offset or an older one, and no others.
    #[test]
    fn an_arrival_wakes_who_waits_for_it() {
        let mut held = HeldPulls::default();
        park(&mut held, pull(5, TagFilter::All, 15_000, 1));
        park(&mut held, pull(6, TagFilter::All, 15_000, 2));
        held.park("T".into(), 1, pull(5, TagFilter::All, 15_000, 3)).unwrap();
        assert_eq!(held.arrived("T", 0, 5, 0, 0), [1]);
        assert_eq!(held.arrived("T", 0, 5, 0, 0), NONE);
        assert_eq!(held.arrived("Other", 0, 5, 0, 0), NONE);
        assert_eq!(held.len(), 2);
        assert_eq!(held.moved_to("T", 0, 6), NONE);
        assert_eq!(held.moved_to("T", 0, 7), [2]);
        assert_eq!(held.drain(), [3]);
        assert_eq!(held.len(), 0);
    }

    /// A message with another tag leaves the pull held, but it is answered within 5 s, not at its timeout.
    #[test]
    fn an_unwanted_message_shortens_the_wait() {
        let mut held = HeldPulls::default();
        let filter = TagFilter::of_hashes(["TagB", "TagA"].map(|tag| tags_code(Some(tag)) as i32));
        park(&mut held, pull(5, filter.clone(), 15_000, 1));
        park(&mut held, pull(9, filter, 15_000, 2));
        assert_eq!(held.arrived("T", 0, 5, tags_code(Some("TagC")), 100), NONE);
        assert_eq!(held.tick(100 + BEHIND_MS - 1, |_| false), NONE);
        assert_eq!(held.tick(100 + BEHIND_MS, |_| false), [1]);
        assert_eq!(held.arrived("T", 0, 9, tags_code(Some("TagA")), 100), [2]);
        assert_eq!(held.len(), 0);
    }

    /// Time wakes a pull; one whose connection is gone is dropped without a word.
    #[test]
    fn a_tick_answers_and_forgets() {
        let mut held = HeldPulls::default();
        park(&mut held, pull(5, TagFilter::All, 1_000, 1));
        park(&mut held, pull(5, TagFilter::All, 1_000, 2));
        park(&mut held, pull(5, TagFilter::All, 2_000, 3));
        park(&mut held, pull(5, TagFilter::All, 2_000, 4));
        assert_eq!(held.tick(1_000, |pull| *pull == 2 || *pull == 3), [1]);
        assert_eq!(held.len(), 1);
        assert_eq!(held.tick(2_000, |_| false), [4]);
    }
}
