//! Which brokers were slow or failing lately, and for how long to go around them.
//!
//! Off unless `sendLatencyFaultEnable` is set. Pure: the time comes in as milliseconds.
//! Java counterparts: `MQFaultStrategy`, `LatencyFaultToleranceImpl`.

use std::collections::HashMap;

use ferrocket_protocol::Text;

/// From this latency on (ms) a broker is avoided for that long (ms); the last row that fits counts.
const AVOIDANCE: [(i64, i64); 7] = [
    (50, 0),
    (100, 0),
    (550, 30_000),
    (1_000, 60_000),
    (2_000, 120_000),
    (3_000, 180_000),
    (15_000, 600_000),
];
/// The latency that a failed send counts as, ms.
const FAILURE_LATENCY_MS: i64 = 30_000;
/// Most brokers remembered. Beyond it new ones count as fine.
const BROKERS_MAX: usize = 4_096;

#[derive(Clone, Copy, Debug)]
struct Fault {
    latency_ms: i64,
    /// When the broker may be used again.
    until_ms: i64,
}

/// The memory of all brokers.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    by_broker: HashMap<Text, Fault>,
    /// Walks through the better half, so that several bad brokers share the load.
    turn: usize,
}

impl Faults {
    /// A send to `broker` took this long, or failed.
    pub(crate) fn record(&mut self, broker: &Text, latency_ms: i64, failed: bool, now_ms: i64) {
        if self.by_broker.len() >= BROKERS_MAX && !self.by_broker.contains_key(broker) {
            return;
        }
        let weighed = if failed { FAILURE_LATENCY_MS } else { latency_ms };
        let row = AVOIDANCE.iter().rev().find(|(from, _)| weighed >= *from);
        let until_ms = now_ms + row.map_or(0, |(_, avoid)| *avoid);
        self.by_broker.insert(broker.clone(), Fault { latency_ms, until_ms });
    }

    /// Whether `broker` is not to be avoided now.
    pub(crate) fn is_available(&self, broker: &str, now_ms: i64) -> bool {
        self.by_broker.get(broker).is_none_or(|fault| now_ms >= fault.until_ms)
    }

    /// When all are to be avoided: one of the better half, by turns. `None` if none is remembered.
    pub(crate) fn least_bad(&mut self, now_ms: i64) -> Option<Text> {
        let mut ranked: Vec<_> = self.by_broker.iter().collect();
        ranked.sort_by_key(|(name, fault)| {
            (now_ms < fault.until_ms, fault.latency_ms, fault.until_ms, (*name).clone())
        });
        let half = (ranked.len() / 2).max(1);
        self.turn = self.turn.wrapping_add(1);
        ranked.get(self.turn % half).map(|(name, _)| (*name).clone())
    }

    /// Forgets a broker that is not in the route any more.
    pub(crate) fn forget(&mut self, broker: &str) {
        self.by_broker.remove(broker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of latencies is Java's, at its edges; a failure weighs as 30 s.
    #[test]
    fn avoidance_follows_the_table() {
        for (latency, failed, avoided_ms) in [
            (549, false, 0),
            (550, false, 30_000),
            (1_000, false, 60_000),
            (2_999, false, 120_000),
            (14_999, false, 180_000),
            (15_000, false, 600_000),
            (1, true, 600_000),
        ] {
            let mut faults = Faults::default();
            faults.record(&"a".into(), latency, failed, 1_000);
            if avoided_ms > 0 {
                assert!(!faults.is_available("a", 1_000 + avoided_ms - 1), "{latency}");
            }
            assert!(faults.is_available("a", 1_000 + avoided_ms), "{latency}");
        }
    }

    /// A later good send ends the avoidance.
    #[test]
    fn a_good_send_clears() {
        let mut faults = Faults::default();
        faults.record(&"a".into(), 10, true, 0);
        assert!(!faults.is_available("a", 1));
        faults.record(&"a".into(), 10, false, 2);
        assert!(faults.is_available("a", 2));
        assert!(faults.is_available("never seen", 2));
    }

    /// Among bad ones the faster half is used by turns.
    #[test]
    fn the_better_half_shares_the_load() {
        let mut faults = Faults::default();
        assert_eq!(faults.least_bad(0), None);
        for (name, latency) in [("a", 4_000), ("b", 3_000), ("c", 3_500), ("d", 9_000)] {
            faults.record(&name.into(), latency, false, 0);
        }
        let mut picked: Vec<_> = (0..4).filter_map(|_| faults.least_bad(1)).collect();
        picked.sort();
        assert_eq!(picked, ["b", "b", "c", "c"]);
        faults.forget("b");
        faults.forget("c");
        faults.forget("d");
        assert_eq!(faults.least_bad(1).as_deref(), Some("a"));
    }
}
