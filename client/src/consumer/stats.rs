//! How fast a consumer pulls and consumes, per topic, over the last minute.
//!
//! Pure: the time is handed in. Java counterpart: `ConsumerStatsManager`, which samples every 10 s; here
//! events fall into 10-second slots of a ring.

use std::collections::BTreeMap;

use ferrocket_protocol::Text;
use ferrocket_protocol::body::group::ConsumeStatus;

const SLOT_MS: i64 = 10_000;
const SLOTS: usize = 6;
const HOUR_MS: i64 = 3_600_000;

/// What happened, for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A pull brought messages after so many ms.
    Pulled { messages: u64, ms: u64 },
    /// A handler answered after so many ms: messages are consumed, or have to be consumed again.
    Handled { ms: u64, ok: u64, failed: u64 },
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    number: i64,
    pulls: u64,
    pull_ms: u64,
    pulled: u64,
    calls: u64,
    call_ms: u64,
    ok: u64,
    failed: u64,
}

#[derive(Clone, Debug, Default)]
struct Topic {
    slots: [Slot; SLOTS],
    /// Failures of the current clock hour.
    failed_hour: (i64, i64),
}

/// Counts of all topics of one consumer.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    topics: BTreeMap<Text, Topic>,
}

impl Stats {
    /// Counts one event.
    pub(crate) fn count(&mut self, topic: &Text, event: Event, now_ms: i64) {
        let counts = self.topics.entry(topic.clone()).or_default();
        let number = now_ms.div_euclid(SLOT_MS);
        let slot = &mut counts.slots[number.rem_euclid(SLOTS as i64) as usize];
        if slot.number != number {
            *slot = Slot { number, ..Slot::default() };
        }
        match event {
            Event::Pulled { messages, ms } => {
                slot.pulls += 1;
                slot.pull_ms += ms;
                slot.pulled += messages;
            }
            Event::Handled { ms, ok, failed } => {
                slot.calls += 1;
                slot.call_ms += ms;
                slot.ok += ok;
                slot.failed += failed;
                let hour = now_ms.div_euclid(HOUR_MS);
                if counts.failed_hour.0 != hour {
                    counts.failed_hour = (hour, 0);
                }
                counts.failed_hour.1 += i64::try_from(failed).unwrap_or(i64::MAX);
            }
        }
    }

    /// The rates of a topic, zeros for one that nothing is known about.
    pub(crate) fn rates(&self, topic: &str, now_ms: i64) -> ConsumeStatus {
        let Some(counts) = self.topics.get(topic) else { return ConsumeStatus::default() };
        let oldest = now_ms.div_euclid(SLOT_MS) - SLOTS as i64;
        let mut sum = Slot::default();
        for slot in counts.slots.iter().filter(|slot| slot.number > oldest) {
            sum.pulls += slot.pulls;
            sum.pull_ms += slot.pull_ms;
            sum.pulled += slot.pulled;
            sum.calls += slot.calls;
            sum.call_ms += slot.call_ms;
            sum.ok += slot.ok;
            sum.failed += slot.failed;
        }
        let per_second = |count: u64| count as f64 * 1000.0 / (SLOT_MS * SLOTS as i64) as f64;
        let mean = |total: u64, count: u64| if count == 0 { 0.0 } else { total as f64 / count as f64 };
        let (hour, failed) = counts.failed_hour;
        ConsumeStatus {
            pull_rt: mean(sum.pull_ms, sum.pulls),
            pull_tps: per_second(sum.pulled),
            consume_rt: mean(sum.call_ms, sum.calls),
            consume_ok_tps: per_second(sum.ok),
            consume_failed_tps: per_second(sum.failed),
            consume_failed_msgs: if hour == now_ms.div_euclid(HOUR_MS) { failed } else { 0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Events count for a minute, failures for their hour.
    #[test]
    fn rates_of_the_last_minute() {
        let mut stats = Stats::default();
        let (topic, start) = (Text::from("T"), 1000 * HOUR_MS);
        stats.count(&topic, Event::Pulled { messages: 60, ms: 4 }, start);
        stats.count(&topic, Event::Pulled { messages: 60, ms: 8 }, start + 55_000);
        stats.count(&topic, Event::Handled { ms: 3, ok: 30, failed: 6 }, start + 55_000);
        let rates = stats.rates("T", start + 59_000);
        assert_eq!((rates.pull_tps, rates.pull_rt, rates.consume_rt), (2.0, 6.0, 3.0));
        assert_eq!((rates.consume_ok_tps, rates.consume_failed_tps), (0.5, 0.1));
        let rates = stats.rates("T", start + 60_000);
        assert_eq!((rates.pull_tps, rates.pull_rt), (1.0, 8.0));
        let rates = stats.rates("T", start + 120_000);
        assert_eq!((rates.pull_tps, rates.consume_failed_msgs), (0.0, 6));
        assert_eq!(stats.rates("T", start + HOUR_MS), ConsumeStatus::default());
        assert_eq!(stats.rates("U", start), ConsumeStatus::default());
    }
}
