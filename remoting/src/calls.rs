//! The calls of one connection whose answers have not come yet.
//!
//! Pure: numbers requests and keeps answers until they are fetched. Who waits, and how long, is the connection's
//! business.
//!
//! Java counterpart: `NettyRemotingAbstract.responseTable` and `RemotingCommand.requestId`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::task::{Context, Poll, Waker};

/// Opaque → call, for at most `max` calls.
#[derive(Debug)]
pub(crate) struct Calls<A> {
    calls: HashMap<i32, Call<A>>,
    next: i32,
    max: usize,
    open: bool,
}

/// What became of a call. Not a channel, which would be one more piece of memory per call.
#[derive(Debug)]
pub(crate) enum Call<A> {
    /// With whom to wake.
    Waiting(Option<Waker>),
    Answered(A),
}

/// Why a call is not entered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The table is at its limit.
    Full,
    /// The connection is closed: no answer will ever come.
    Closed,
}

impl<A> Calls<A> {
    pub(crate) fn new(max: usize) -> Self {
        Self { calls: HashMap::new(), next: 0, max, open: true }
    }

    /// A number for a request that nobody waits for.
    pub(crate) fn number(&mut self) -> i32 {
        let opaque = self.next;
        self.next = self.next.wrapping_add(1);
        opaque
    }

    /// Enters a call under a number that no other call has.
    pub(crate) fn enter(&mut self) -> Result<i32, Refused> {
        if !self.open {
            return Err(Refused::Closed);
        }
        if self.calls.len() >= self.max {
            return Err(Refused::Full);
        }
        // After 2^32 calls the numbers come round again and meet those that still wait.
        loop {
            let opaque = self.number();
            if let Entry::Vacant(vacant) = self.calls.entry(opaque) {
                vacant.insert(Call::Waiting(None));
                return Ok(opaque);
            }
        }
    }

    /// Keeps an answer for its call, if that has none, and returns whom to wake.
    pub(crate) fn answer(&mut self, opaque: i32, answer: A) -> Option<Waker> {
        let call = self.calls.get_mut(&opaque)?;
        let Call::Waiting(waker) = call else { return None };
        let waker = waker.take();
        *call = Call::Answered(answer);
        waker
    }

    /// Fetches the answer to a call; `None` when none will come.
    pub(crate) fn poll(&mut self, opaque: i32, cx: &Context<'_>) -> Poll<Option<A>> {
        if let Some(Call::Waiting(waker)) = self.calls.get_mut(&opaque) {
            *waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        match self.calls.remove(&opaque) {
            Some(Call::Answered(answer)) => Poll::Ready(Some(answer)),
            _ => Poll::Ready(None),
        }
    }

    /// Takes out a call that was given up, if it is still there.
    pub(crate) fn forget(&mut self, opaque: i32) -> Option<Call<A>> {
        self.calls.remove(&opaque)
    }

    /// Enters no more calls, forgets those without an answer and returns whom to wake.
    pub(crate) fn close(&mut self) -> Vec<Waker> {
        self.open = false;
        let waiting = self.calls.extract_if(|_, call| matches!(call, Call::Waiting(_)));
        waiting.filter_map(|(_, call)| if let Call::Waiting(waker) = call { waker } else { None }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(calls: &mut Calls<&'static str>, opaque: i32) -> Poll<Option<&'static str>> {
        calls.poll(opaque, &Context::from_waker(Waker::noop()))
    }

    /// Each answer finds its own call, whatever the order; a second one finds none.
    #[test]
    fn answers_find_their_calls() {
        let mut calls = Calls::new(8);
        let a = calls.enter().unwrap();
        let oneway = calls.number();
        let b = calls.enter().unwrap();
        assert!(a != b && a != oneway && b != oneway);
        assert!(poll(&mut calls, a).is_pending());
        assert!(calls.answer(b, "b").is_none(), "nobody to wake yet");
        assert!(calls.answer(a, "a").is_some());
        assert!(calls.answer(a, "again").is_none());
        assert!(calls.answer(oneway, "to nobody").is_none());
        assert_eq!(poll(&mut calls, b), Poll::Ready(Some("b")));
        assert_eq!(poll(&mut calls, a), Poll::Ready(Some("a")));
        assert_eq!(poll(&mut calls, a), Poll::Ready(None));
    }

    /// At the limit and after closing, calls are refused; closing wakes who still waits, and leaves answers to be
    /// fetched.
    #[test]
    fn refuses_at_the_limit_and_when_closed() {
        let mut calls = Calls::new(2);
        let (a, b) = (calls.enter().unwrap(), calls.enter().unwrap());
        assert_eq!(calls.enter(), Err(Refused::Full));
        assert!(poll(&mut calls, a).is_pending());
        calls.answer(b, "b");
        assert_eq!(calls.close().len(), 1);
        assert_eq!(calls.enter(), Err(Refused::Closed));
        assert_eq!(poll(&mut calls, a), Poll::Ready(None));
        assert_eq!(poll(&mut calls, b), Poll::Ready(Some("b")));
    }

    /// Numbers that come round again skip those still in use; a call given up makes room.
    #[test]
    fn numbers_come_round() {
        let mut calls = Calls::<()>::new(2);
        calls.next = i32::MAX;
        assert_eq!(calls.enter(), Ok(i32::MAX));
        assert_eq!(calls.enter(), Ok(i32::MIN));
        calls.forget(i32::MIN);
        calls.next = i32::MAX;
        assert_eq!(calls.enter(), Ok(i32::MIN));
    }
}
