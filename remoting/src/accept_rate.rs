//! How fast connections are accepted: a token bucket. A pure core.
//!
//! It holds what comes in one second, and is full to begin with: a cluster of clients that connects again after a
//! restart is let in at once, a flood only at the rate. Java has no such limit.

use std::time::Duration;

use tokio::time::Instant;

/// The bucket, kept as the time at which it is full again.
#[derive(Debug)]
pub(crate) struct AcceptRate {
    /// Between two connections at the rate.
    interval: Duration,
    full_at: Instant,
}

impl AcceptRate {
    /// A full bucket for this many connections a second, at least one.
    pub(crate) fn new(per_second: u32, now: Instant) -> Self {
        Self { interval: Duration::from_secs(1) / per_second.max(1), full_at: now }
    }

    /// From when on the next connection may be accepted; it may lie in the past.
    pub(crate) fn next_at(&self) -> Instant {
        (self.full_at + self.interval).checked_sub(Duration::from_secs(1)).unwrap_or(self.full_at)
    }

    /// A connection was accepted.
    pub(crate) fn accepted(&mut self, now: Instant) {
        self.full_at = self.full_at.max(now) + self.interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many connections are let in at once.
    fn burst(rate: &mut AcceptRate, now: Instant) -> usize {
        let mut count = 0;
        while rate.next_at() <= now {
            rate.accepted(now);
            count += 1;
        }
        count
    }

    /// A second's worth at once, then one with every interval; a pause fills the bucket and no more than that.
    #[test]
    fn refills_with_time() {
        let start = Instant::now() + Duration::from_secs(3_600);
        let at = |ms| start + Duration::from_millis(ms);
        let mut rate = AcceptRate::new(10, start);
        for (ms, expected) in [(0, 10), (0, 0), (99, 0), (100, 1), (199, 0), (450, 3), (500, 1), (99_000, 10)]
        {
            assert_eq!(burst(&mut rate, at(ms)), expected, "at {ms} ms");
        }
        assert_eq!(rate.next_at(), at(99_100));
        let mut one = AcceptRate::new(0, start);
        assert_eq!((burst(&mut one, start), one.next_at()), (1, at(1_000)));
    }
}
