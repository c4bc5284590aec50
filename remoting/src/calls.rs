//! The calls of one connection whose answers have not come yet.
//!
//! Pure: numbers requests and pairs answers with waiters. Who waits, and how long, is the connection's
//! business.
//!
//! Java counterpart: `NettyRemotingAbstract.responseTable` and `RemotingCommand.requestId`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Opaque → waiter, for at most `max` waiters.
#[derive(Debug)]
pub(crate) struct Calls<W> {
    waiters: HashMap<i32, W>,
    next: i32,
    max: usize,
    open: bool,
}

/// Why a call is not entered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The table is at its limit.
    Full,
    /// The connection is closed: no answer will ever come.
    Closed,
}

impl<W> Calls<W> {
    pub(crate) fn new(max: usize) -> Self {
        Self { waiters: HashMap::new(), next: 0, max, open: true }
    }

    /// A number for a request that nobody waits for.
    pub(crate) fn number(&mut self) -> i32 {
        let opaque = self.next;
        self.next = self.next.wrapping_add(1);
        opaque
    }

    /// Enters a waiter under a number that no other waiter has.
    pub(crate) fn enter(&mut self, waiter: W) -> Result<i32, Refused> {
        if !self.open {
            return Err(Refused::Closed);
        }
        if self.waiters.len() >= self.max {
            return Err(Refused::Full);
        }
        // After 2^32 calls the numbers come round again and meet those that still wait.
        loop {
            let opaque = self.number();
            if let Entry::Vacant(vacant) = self.waiters.entry(opaque) {
                vacant.insert(waiter);
                return Ok(opaque);
            }
        }
    }

    /// Takes out the waiter of an answer, or of a call given up.
    pub(crate) fn take(&mut self, opaque: i32) -> Option<W> {
        self.waiters.remove(&opaque)
    }

    /// Takes out all waiters and enters no more.
    pub(crate) fn close(&mut self) -> HashMap<i32, W> {
        self.open = false;
        std::mem::take(&mut self.waiters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each answer finds its own waiter, whatever the order; a second one finds none.
    #[test]
    fn answers_find_their_waiters() {
        let mut calls = Calls::new(8);
        let a = calls.enter("a").unwrap();
        let oneway = calls.number();
        let b = calls.enter("b").unwrap();
        assert!(a != b && a != oneway && b != oneway);
        assert_eq!(calls.take(b), Some("b"));
        assert_eq!(calls.take(a), Some("a"));
        assert_eq!(calls.take(a), None);
    }

    /// At the limit and after closing, calls are refused; closing hands out who still waits.
    #[test]
    fn refuses_at_the_limit_and_when_closed() {
        let mut calls = Calls::new(1);
        let a = calls.enter("a").unwrap();
        assert_eq!(calls.enter("b"), Err(Refused::Full));
        assert_eq!(calls.close(), HashMap::from([(a, "a")]));
        assert_eq!(calls.enter("b"), Err(Refused::Closed));
    }

    /// Numbers that come round again skip those still in use.
    #[test]
    fn numbers_come_round() {
        let mut calls = Calls::new(8);
        calls.next = i32::MAX;
        assert_eq!(calls.enter("last"), Ok(i32::MAX));
        assert_eq!(calls.enter("negative"), Ok(i32::MIN));
        calls.next = i32::MAX;
        assert_eq!(calls.enter("skips both"), Ok(i32::MIN + 1));
    }
}
