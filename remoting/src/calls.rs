//! The calls of one connection whose answers have not come yet.
//!
//! Pure: numbers requests, keeps answers until they are fetched and says whose time is up. The time comes in.
//!
//! Java counterpart: `NettyRemotingAbstract.responseTable` with its scan, and `RemotingCommand.requestId`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

/// Least time between two looks for calls whose time is up: with many of them, looks are what costs.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Opaque → call, for at most `max` calls.
#[derive(Debug)]
pub(crate) struct Calls<A> {
    calls: HashMap<i32, Call<A>, BuildHasherDefault<Spread>>,
    next: i32,
    max: usize,
    open: bool,
    /// When [`Calls::expire`] is due. Not moved when the call that it was set for is answered: one look in a
    /// timeout's length, not a timer for each call.
    look_at: Option<Instant>,
}

/// What became of a call. Not a channel, which would be one more piece of memory per call.
#[derive(Debug)]
pub(crate) enum Call<A> {
    /// With whom to wake, and when its time is up.
    Waiting(Option<Waker>, Instant),
    Answered(A),
    Expired,
}

/// Why no answer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// Its time is up.
    Expired,
    /// The connection is closed.
    Closed,
}

/// Why a call is not entered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The table is at its limit.
    Full,
    /// The connection is closed: no answer will ever come.
    Closed,
}

/// Spreads our own consecutive numbers, which need no defence against anybody.
#[derive(Debug, Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_i32((self.0 as i32) << 8 | i32::from(*byte)));
    }

    fn write_i32(&mut self, number: i32) {
        self.0 = u64::from(number as u32).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl<A> Calls<A> {
    pub(crate) fn new(max: usize) -> Self {
        Self { calls: HashMap::default(), next: 0, max, open: true, look_at: None }
    }

    /// A number for a request that nobody waits for.
    pub(crate) fn number(&mut self) -> i32 {
        let opaque = self.next;
        self.next = self.next.wrapping_add(1);
        opaque
    }

    /// Enters a call under a number that no other call has. The flag says that [`Calls::look_at`] came nearer.
    pub(crate) fn enter(&mut self, deadline: Instant) -> Result<(i32, bool), Refused> {
        if !self.open {
            return Err(Refused::Closed);
        }
        if self.calls.len() >= self.max {
            return Err(Refused::Full);
        }
        let is_nearer = self.look_at.is_none_or(|look_at| deadline < look_at);
        if is_nearer {
            self.look_at = Some(deadline);
        }
        // After 2^32 calls the numbers come round again and meet those that still wait.
        loop {
            let opaque = self.number();
            if let Entry::Vacant(vacant) = self.calls.entry(opaque) {
                vacant.insert(Call::Waiting(None, deadline));
                return Ok((opaque, is_nearer));
            }
        }
    }

    /// Keeps an answer for its call, if that has none, and returns whom to wake.
    pub(crate) fn answer(&mut self, opaque: i32, answer: A) -> Option<Waker> {
        let call = self.calls.get_mut(&opaque)?;
        let Call::Waiting(waker, _) = call else { return None };
        let waker = waker.take();
        *call = Call::Answered(answer);
        waker
    }

    /// Fetches what became of a call.
    pub(crate) fn poll(&mut self, opaque: i32, cx: &Context<'_>) -> Poll<Result<A, NoAnswer>> {
        let Entry::Occupied(mut call) = self.calls.entry(opaque) else {
            return Poll::Ready(Err(NoAnswer::Closed));
        };
        if let Call::Waiting(waker, _) = call.get_mut() {
            *waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(match call.remove() {
            Call::Answered(answer) => Ok(answer),
            Call::Expired => Err(NoAnswer::Expired),
            Call::Waiting(..) => Err(NoAnswer::Closed),
        })
    }

    /// Takes out a call that was given up, if it is still there.
    pub(crate) fn forget(&mut self, opaque: i32) -> Option<Call<A>> {
        self.calls.remove(&opaque)
    }

    /// When [`Calls::expire`] is due.
    pub(crate) fn look_at(&self) -> Option<Instant> {
        self.look_at
    }

    /// Ends the calls whose time is up and returns whom to wake.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<Waker> {
        let (mut wakers, mut next) = (Vec::new(), None);
        for call in self.calls.values_mut() {
            let Call::Waiting(waker, deadline) = call else { continue };
            if *deadline > now {
                next = Some(next.map_or(*deadline, |next: Instant| next.min(*deadline)));
                continue;
            }
            wakers.extend(waker.take());
            *call = Call::Expired;
        }
        self.look_at = next.map(|next| next.max(now + LOOK_EVERY));
        wakers
    }

    /// Enters no more calls, forgets those without an answer and returns whom to wake.
    pub(crate) fn close(&mut self) -> Vec<Waker> {
        self.open = false;
        let waiting = self.calls.extract_if(|_, call| matches!(call, Call::Waiting(..)));
        waiting
            .filter_map(|(_, call)| if let Call::Waiting(waker, _) = call { waker } else { None })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(calls: &mut Calls<&'static str>, opaque: i32) -> Poll<Result<&'static str, NoAnswer>> {
        calls.poll(opaque, &Context::from_waker(Waker::noop()))
    }

    /// Enters a call with a minute's time.
    fn enter(calls: &mut Calls<&'static str>) -> Result<i32, Refused> {
        calls.enter(Instant::now() + Duration::from_secs(60)).map(|(opaque, _)| opaque)
    }

    /// Each answer finds its own call, whatever the order; a second one finds none.
    #[test]
    fn answers_find_their_calls() {
        let mut calls = Calls::new(8);
        let a = enter(&mut calls).unwrap();
        let oneway = calls.number();
        let b = enter(&mut calls).unwrap();
        assert!(a != b && a != oneway && b != oneway);
        assert!(poll(&mut calls, a).is_pending());
        assert!(calls.answer(b, "b").is_none(), "nobody to wake yet");
        assert!(calls.answer(a, "a").is_some());
        assert!(calls.answer(a, "again").is_none());
        assert!(calls.answer(oneway, "to nobody").is_none());
        assert_eq!(poll(&mut calls, b), Poll::Ready(Ok("b")));
        assert_eq!(poll(&mut calls, a), Poll::Ready(Ok("a")));
        assert_eq!(poll(&mut calls, a), Poll::Ready(Err(NoAnswer::Closed)));
    }

    /// At the limit and after closing, calls are refused; closing wakes who still waits, and leaves answers to be
    /// fetched.
    #[test]
    fn refuses_at_the_limit_and_when_closed() {
        let mut calls = Calls::new(2);
        let (a, b) = (enter(&mut calls).unwrap(), enter(&mut calls).unwrap());
        assert_eq!(enter(&mut calls), Err(Refused::Full));
        assert!(poll(&mut calls, a).is_pending());
        calls.answer(b, "b");
        assert_eq!(calls.close().len(), 1);
        assert_eq!(enter(&mut calls), Err(Refused::Closed));
        assert_eq!(poll(&mut calls, a), Poll::Ready(Err(NoAnswer::Closed)));
        assert_eq!(poll(&mut calls, b), Poll::Ready(Ok("b")));
    }

    /// Calls end when their time is up; the next look is due for the next of them, and not before a while. Only a
    /// call that ends sooner than all others asks for a look of its own.
    #[test]
    fn time_is_up() {
        let mut calls = Calls::new(8);
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let (late, nearer) = calls.enter(at(300)).unwrap();
        assert!(nearer);
        let (soon, nearer) = calls.enter(at(100)).unwrap();
        assert!(nearer);
        let (_, nearer) = calls.enter(at(100)).unwrap();
        assert!(!nearer && poll(&mut calls, soon).is_pending());
        assert_eq!((calls.look_at(), calls.expire(at(99)).len()), (Some(at(100)), 0));
        assert_eq!(calls.expire(at(100)).len(), 1, "only one was waiting to be woken");
        assert_eq!(poll(&mut calls, soon), Poll::Ready(Err(NoAnswer::Expired)));
        assert!(calls.answer(soon, "late").is_none() && poll(&mut calls, late).is_pending());
        assert_eq!(calls.look_at(), Some(at(300)));
        calls.expire(at(299));
        assert_eq!(calls.look_at(), Some(at(299) + LOOK_EVERY));
        assert_eq!((calls.expire(at(400)).len(), calls.look_at()), (1, None));
    }

    /// Numbers that come round again skip those still in use; a call given up makes room.
    #[test]
    fn numbers_come_round() {
        let mut calls = Calls::new(2);
        calls.next = i32::MAX;
        assert_eq!(enter(&mut calls), Ok(i32::MAX));
        assert_eq!(enter(&mut calls), Ok(i32::MIN));
        calls.forget(i32::MIN);
        calls.next = i32::MAX;
        assert_eq!(enter(&mut calls), Ok(i32::MIN));
    }
}
