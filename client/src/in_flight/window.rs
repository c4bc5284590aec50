//! How many messages a broker may be sent before it has answered: as many as it takes quickly.
//!
//! Pure: answers and the time come in. As TCP does it with bytes: a window begins small, grows by one with every quick
//! answer (nearly twice as large after each round trip), and is halved when answers show that messages wait at the broker.
//! What is quick and what is slow counts from the fastest answer so far, so that distance is not taken for load; when
//! the smallest window is still too large, that is measured anew.
//!
//! Java counterpart: none. An asynchronous send of 4.9 is always under way; what waits for 200 ms at a Java broker is
//! refused by it, and what waits for 3 s has failed.

/// A window's size before the first answer.
const START: u32 = 32;
/// A window never gets smaller.
const FLOOR: u32 = 4;
/// An answer is quick if the message waited no longer than this at the broker. Java's brokers refuse what has waited
/// for 200 ms (`waitTimeMillsInSendQueue`).
const QUICK_MS: i64 = 50;
/// An answer is slow if the message waited longer than this, and twice the time that the fastest took.
const SLOW_MS: i64 = 150;
/// The same as parts of the time that a send has beyond that of the fastest: they count where they are shorter.
const QUICK_PART: i64 = 8;
const SLOW_PART: i64 = 3;

/// What became of a message that was under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The broker has it.
    Stored,
    /// The broker is too busy to take it.
    Busy,
    /// None came in time.
    Missing,
    /// Anything else, which says nothing about the broker's speed.
    Other,
}

/// One message that is no longer under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finished {
    pub(super) answer: Answer,
    pub(super) sent_ms: i64,
    /// How long the whole send may take.
    pub(super) timeout_ms: i64,
    /// Messages under way at that moment, this one included.
    pub(super) under_way: u32,
}

/// The window of one broker.
#[derive(Debug)]
pub(super) struct Window {
    size: u32,
    max: u32,
    /// The fastest receipt so far, or since the smallest window was too large: what an answer takes when nothing waits.
    fastest_ms: Option<i64>,
    /// Answers since the window last grew that were neither quick nor slow.
    neither: u32,
    /// When the window was last halved. What was sent before belongs to the larger window, and halves it no more.
    halved_ms: Option<i64>,
}

impl Window {
    pub(super) fn new(max: u32) -> Self {
        Self { size: START.min(max), max, fastest_ms: None, neither: 0, halved_ms: None }
    }

    /// Messages that may be under way.
    pub(super) fn size(&self) -> u32 {
        self.size
    }

    /// Takes the end of one message into account; true if the window was halved.
    pub(super) fn finished(&mut self, message: Finished, now_ms: i64) -> bool {
        let took = (now_ms - message.sent_ms).max(0);
        if message.answer == Answer::Stored {
            self.fastest_ms = Some(self.fastest_ms.map_or(took, |fastest| fastest.min(took)));
        }
        let fastest = self.fastest_ms.unwrap_or(0);
        let waited = took - fastest;
        let spare = message.timeout_ms.saturating_sub(fastest).max(0);
        let quick = waited <= QUICK_MS.min(spare / QUICK_PART);
        let slow = waited > fastest.saturating_mul(2).saturating_add(SLOW_MS).min(spare / SLOW_PART);
        match message.answer {
            Answer::Busy => self.halve(message, now_ms),
            Answer::Stored | Answer::Missing if slow => self.halve(message, now_ms),
            // A window that is not used says nothing about what the broker can take. Many answers come at once, before
            // anybody can use the room: a quarter is use enough.
            Answer::Stored if message.under_way.saturating_mul(4) >= self.size => {
                // What waits may be others', or this program may be slow to look: by one for a whole window.
                self.neither = if quick { self.size } else { self.neither + 1 };
                if self.neither >= self.size {
                    self.neither = 0;
                    self.size = self.size.saturating_add(1).min(self.max);
                }
                false
            }
            _ => false,
        }
    }

    fn halve(&mut self, message: Finished, now_ms: i64) -> bool {
        if self.halved_ms.is_some_and(|halved| message.sent_ms <= halved) {
            return false;
        }
        self.halved_ms = Some(now_ms);
        let took = now_ms - message.sent_ms;
        if self.size <= FLOOR && message.answer == Answer::Stored && took <= message.timeout_ms / SLOW_PART {
            // Too few to wait behind each other for long: the broker is farther away than it was. What takes most of
            // the time that a send has is no distance to send more over.
            self.fastest_ms = None;
        }
        self.size = (self.size.min(message.under_way) / 2).max(FLOOR.min(self.max));
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const TIMEOUT_MS: i64 = 3_000;

    /// A broker that stores messages one after the other, far away, and a program that always has more to send.
    struct World {
        window: Window,
        /// When each message under way was sent, oldest first.
        under_way: VecDeque<i64>,
        /// Parts of a message that the broker has worked on the oldest one, in thousandths.
        progress: i64,
        now_ms: i64,
        stored: i64,
        failed: i64,
        longest_ms: i64,
    }

    impl World {
        fn new(max: u32) -> Self {
            let window = Window::new(max);
            let under_way = VecDeque::new();
            Self { window, under_way, progress: 0, now_ms: 0, stored: 0, failed: 0, longest_ms: 0 }
        }

        fn end(&mut self, answer: Answer) {
            let under_way = self.under_way.len() as u32;
            let Some(sent_ms) = self.under_way.pop_front() else { return };
            self.longest_ms = self.longest_ms.max(self.now_ms - sent_ms);
            let finished = Finished { answer, sent_ms, timeout_ms: TIMEOUT_MS, under_way };
            self.window.finished(finished, self.now_ms);
        }

        /// So many milliseconds with a broker that stores so many messages a second, `distance` milliseconds away.
        fn pass(&mut self, ms: i64, per_second: i64, distance_ms: i64) {
            for _ in 0..ms {
                while self.under_way.len() < self.window.size() as usize {
                    self.under_way.push_back(self.now_ms);
                }
                self.now_ms += 1;
                self.progress += per_second;
                while self.progress >= 1_000 {
                    let arrived = self.under_way.front().is_some_and(|at| at + distance_ms <= self.now_ms);
                    if !arrived {
                        self.progress = 0;
                        break;
                    }
                    self.progress -= 1_000;
                    self.stored += 1;
                    self.end(Answer::Stored);
                }
                while self.under_way.front().is_some_and(|at| self.now_ms - at >= TIMEOUT_MS) {
                    self.failed += 1;
                    self.end(Answer::Missing);
                }
            }
        }
    }

    /// A slow broker has work all the time, and no message waits long for it.
    #[test]
    fn a_slow_broker_is_kept_busy_and_not_flooded() {
        for per_second in [20, 100, 500, 3_000] {
            let mut world = World::new(10_000);
            world.pass(60_000, per_second, 0);
            assert_eq!((world.failed, world.stored), (0, 60 * per_second), "{per_second} a second");
            world.longest_ms = 0;
            world.pass(60_000, per_second, 0);
            assert!(world.longest_ms < TIMEOUT_MS / 4, "{per_second} a second: {} ms", world.longest_ms);
        }
    }

    /// A fast broker gets the whole window after a few round trips, near or far.
    #[test]
    fn a_fast_broker_gets_the_whole_window() {
        for distance_ms in [1, 100] {
            let mut world = World::new(10_000);
            world.pass(14 * (distance_ms + 1), 10_000_000, distance_ms);
            assert_eq!((world.window.size(), world.failed), (10_000, 0), "{distance_ms} ms away");
        }
    }

    /// A broker that becomes twenty times slower at once fails no message, and neither does one that stands still
    /// for two seconds; afterwards the window is as large as before.
    #[test]
    fn sudden_slowness_fails_nothing() {
        let mut world = World::new(10_000);
        world.pass(10_000, 20_000, 1);
        let before = world.window.size();
        assert!(before > 500, "{before}");
        world.pass(10_000, 1_000, 1);
        assert!(world.window.size() < before / 4, "{} of {before}", world.window.size());
        world.pass(10_000, 20_000, 1);
        for _ in 0..3 {
            world.pass(2_000, 0, 1);
            world.pass(5_000, 20_000, 1);
        }
        assert_eq!(world.failed, 0);
        assert!(world.window.size() > before / 2, "{} of {before}", world.window.size());
    }

    /// A broker that moves away, as when another machine becomes master, gets the whole window again.
    #[test]
    fn distance_may_grow() {
        let mut world = World::new(1_000);
        for distance_ms in [1, 400] {
            world.pass(20_000, 10_000_000, distance_ms);
            assert_eq!((world.window.size(), world.failed), (1_000, 0), "{distance_ms} ms away");
        }
    }

    /// A broker that takes nearly as long as a send may does not get more because it always does.
    #[test]
    fn slowness_is_no_distance() {
        let mut window = Window::new(1_000);
        let mut finish = |answer, sent_ms, took| {
            let finished = Finished { answer, sent_ms, timeout_ms: TIMEOUT_MS, under_way: 32 };
            window.finished(finished, sent_ms + took);
            window.size()
        };
        assert_eq!(finish(Answer::Stored, 0, 1), START + 1);
        for sent_ms in [10, 20, 30, 40] {
            finish(Answer::Busy, sent_ms, 1);
        }
        for sent_ms in [10_000, 20_000, 30_000] {
            assert_eq!(finish(Answer::Stored, sent_ms, 2_800), FLOOR);
        }
    }

    /// The answers of one window halve it once; an answer that says busy does, however quickly it came.
    #[test]
    fn one_window_is_halved_once() {
        let mut window = Window::new(1_000);
        let mut finish = |answer, sent_ms, now_ms| {
            window.finished(Finished { answer, sent_ms, timeout_ms: TIMEOUT_MS, under_way: 32 }, now_ms);
            window.size()
        };
        assert_eq!(finish(Answer::Stored, 0, 1), 33);
        assert_eq!(finish(Answer::Stored, 1, 2_000), 16);
        assert_eq!(finish(Answer::Missing, 1, 3_001), 16);
        assert_eq!(finish(Answer::Busy, 1_999, 3_001), 16);
        assert_eq!(finish(Answer::Busy, 3_001, 3_002), 8);
        assert_eq!(finish(Answer::Other, 3_003, 9_000), 8);
        for sent_ms in [10_000, 20_000, 30_000] {
            finish(Answer::Missing, sent_ms, sent_ms + TIMEOUT_MS);
        }
        assert_eq!(finish(Answer::Missing, 40_000, 40_000 + TIMEOUT_MS), FLOOR);
    }

    /// Where every answer takes longer than the fastest once did, because of others, the window still grows, by one
    /// for all of its answers.
    #[test]
    fn a_busy_broker_is_shared() {
        let mut window = Window::new(1_000);
        let mut finish = |took| {
            let finished =
                Finished { answer: Answer::Stored, sent_ms: 0, timeout_ms: TIMEOUT_MS, under_way: 32 };
            window.finished(finished, took);
            window.size()
        };
        assert_eq!(finish(1), 33);
        assert_eq!((0..33).map(|_| finish(100)).last(), Some(34));
        assert_eq!((0..34).map(|_| finish(100)).last(), Some(35));
        assert_eq!(finish(1), 36);
    }

    /// A window that is not used does not grow, and none grows beyond its limit or shrinks below the floor or that.
    #[test]
    fn bounds_hold() {
        let mut window = Window::new(2);
        assert_eq!(window.size(), 2);
        let finished = |under_way, answer| Finished { answer, sent_ms: 10, timeout_ms: 100, under_way };
        window.finished(finished(2, Answer::Stored), 10);
        window.finished(finished(2, Answer::Busy), 10);
        assert_eq!(window.size(), 2);
        let mut window = Window::new(1_000);
        for _ in 0..100 {
            window.finished(finished(1, Answer::Stored), 10);
        }
        assert_eq!(window.size(), START);
    }
}
