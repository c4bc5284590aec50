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

/// Opaque → call, for at most `max` calls. `A` is an answer, `T` who is told of it.
#[derive(Debug)]
pub(crate) struct Calls<A, T> {
    calls: HashMap<i32, Call<A, T>, BuildHasherDefault<Spread>>,
    next: i32,
    max: usize,
    open: bool,
    /// When [`Calls::expire`] is due. Not moved when the call that it was set for is answered: one look in a
    /// timeout's length, not a timer for each call.
    look_at: Option<Instant>,
}

/// What became of a call. Not a channel, which would be one more piece of memory per call.
#[derive(Debug)]
enum Call<A, T> {
    Waiting { waiter: Waiter<T>, deadline: Instant },
    Answered(A),
    Expired,
}

/// Who waits for an answer.
#[derive(Debug)]
pub(crate) enum Waiter<T> {
    /// A task, that fetches it with [`Calls::poll`] and may be woken then.
    Task(Option<Waker>),
    /// Somebody who is told.
    Told(T),
}

/// What follows from an answer, or from a call's end without one. Done once the table is free.
#[derive(Debug)]
pub(crate) enum Effect<A, T> {
    Wake(Waker),
    Tell(T, Result<A, NoAnswer>),
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

impl<A, T> Calls<A, T> {
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
    pub(crate) fn enter(&mut self, waiter: Waiter<T>, deadline: Instant) -> Result<(i32, bool), Refused> {
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
                vacant.insert(Call::Waiting { waiter, deadline });
                return Ok((opaque, is_nearer));
            }
        }
    }

    /// Takes an answer for its call, if that has none.
    pub(crate) fn answer(&mut self, opaque: i32, answer: A) -> Option<Effect<A, T>> {
        let Entry::Occupied(mut call) = self.calls.entry(opaque) else { return None };
        match call.get_mut() {
            Call::Waiting { waiter: Waiter::Task(waker), .. } => {
                let waker = waker.take();
                *call.get_mut() = Call::Answered(answer);
                waker.map(Effect::Wake)
            }
            Call::Waiting { .. } => tell(call.remove(), Ok(answer)),
            _ => None,
        }
    }

    /// Fetches what became of a task's call.
    pub(crate) fn poll(&mut self, opaque: i32, cx: &Context<'_>) -> Poll<Result<A, NoAnswer>> {
        let Entry::Occupied(mut call) = self.calls.entry(opaque) else {
            return Poll::Ready(Err(NoAnswer::Closed));
        };
        if let Call::Waiting { waiter: Waiter::Task(waker), .. } = call.get_mut() {
            *waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(match call.remove() {
            Call::Answered(answer) => Ok(answer),
            Call::Expired => Err(NoAnswer::Expired),
            Call::Waiting { .. } => Err(NoAnswer::Closed),
        })
    }

    /// Takes out a call that was given up, if it is still there.
    pub(crate) fn forget(&mut self, opaque: i32) -> Option<impl Sized + use<A, T>> {
        self.calls.remove(&opaque)
    }

    /// When [`Calls::expire`] is due.
    pub(crate) fn look_at(&self) -> Option<Instant> {
        self.look_at
    }

    /// Ends the calls whose time is up.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<Effect<A, T>> {
        let (mut effects, mut next) = (Vec::new(), None);
        let told = self.calls.extract_if(|_, call| {
            let Call::Waiting { waiter, deadline } = call else { return false };
            if *deadline > now {
                next = Some(next.map_or(*deadline, |next: Instant| next.min(*deadline)));
                return false;
            }
            let Waiter::Task(waker) = waiter else { return true };
            effects.extend(waker.take().map(Effect::Wake));
            // Until the task fetches it.
            *call = Call::Expired;
            false
        });
        let told: Vec<_> = told.filter_map(|(_, call)| tell(call, Err(NoAnswer::Expired))).collect();
        effects.extend(told);
        self.look_at = next.map(|next| next.max(now + LOOK_EVERY));
        effects
    }

    /// Enters no more calls and ends those without an answer.
    pub(crate) fn close(&mut self) -> Vec<Effect<A, T>> {
        self.open = false;
        let waiting = self.calls.extract_if(|_, call| matches!(call, Call::Waiting { .. }));
        waiting.filter_map(|(_, call)| tell(call, Err(NoAnswer::Closed))).collect()
    }
}

/// What a call that waits and was taken out comes to.
fn tell<A, T>(call: Call<A, T>, answer: Result<A, NoAnswer>) -> Option<Effect<A, T>> {
    match call {
        Call::Waiting { waiter: Waiter::Told(told), .. } => Some(Effect::Tell(told, answer)),
        Call::Waiting { waiter: Waiter::Task(waker), .. } => waker.map(Effect::Wake),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Table = Calls<&'static str, &'static str>;

    fn poll(calls: &mut Table, opaque: i32) -> Poll<Result<&'static str, NoAnswer>> {
        calls.poll(opaque, &Context::from_waker(Waker::noop()))
    }

    /// Enters a task's call with a minute's time.
    fn enter(calls: &mut Table) -> Result<i32, Refused> {
        calls.enter(Waiter::Task(None), Instant::now() + Duration::from_secs(60)).map(|(opaque, _)| opaque)
    }

    /// Each answer finds its own call, whatever the order; a second one finds none.
    #[test]
    fn answers_find_their_calls() {
        let mut calls = Table::new(8);
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
        let (c, _) = calls.enter(Waiter::Told("c's"), Instant::now()).unwrap();
        assert!(matches!(calls.answer(c, "c"), Some(Effect::Tell("c's", Ok("c")))));
        assert!(calls.answer(c, "again").is_none());
    }

    /// At the limit and after closing, calls are refused; closing ends what still waits, and leaves answers to be
    /// fetched.
    #[test]
    fn refuses_at_the_limit_and_when_closed() {
        let mut calls = Table::new(3);
        let (a, b) = (enter(&mut calls).unwrap(), enter(&mut calls).unwrap());
        calls.enter(Waiter::Told("c's"), Instant::now()).unwrap();
        assert_eq!(enter(&mut calls), Err(Refused::Full));
        assert!(poll(&mut calls, a).is_pending());
        calls.answer(b, "b");
        let effects = calls.close();
        let told = |effect: &Effect<_, _>| matches!(effect, Effect::Tell("c's", Err(NoAnswer::Closed)));
        assert_eq!((effects.len(), effects.iter().filter(|effect| told(effect)).count()), (2, 1));
        assert_eq!(enter(&mut calls), Err(Refused::Closed));
        assert_eq!(poll(&mut calls, a), Poll::Ready(Err(NoAnswer::Closed)));
        assert_eq!(poll(&mut calls, b), Poll::Ready(Ok("b")));
    }

    /// Calls end when their time is up; the next look is due for the next of them, and not before a while. Only a
    /// call that ends sooner than all others asks for a look of its own.
    #[test]
    fn time_is_up() {
        let mut calls = Table::new(8);
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let (late, nearer) = calls.enter(Waiter::Task(None), at(300)).unwrap();
        assert!(nearer);
        let (soon, nearer) = calls.enter(Waiter::Task(None), at(100)).unwrap();
        assert!(nearer);
        let (_, nearer) = calls.enter(Waiter::Told("it"), at(100)).unwrap();
        assert!(!nearer && poll(&mut calls, soon).is_pending());
        assert_eq!((calls.look_at(), calls.expire(at(99)).len()), (Some(at(100)), 0));
        let effects = calls.expire(at(100));
        assert_eq!(effects.len(), 2);
        assert!(matches!(effects[1], Effect::Tell("it", Err(NoAnswer::Expired))));
        assert_eq!(poll(&mut calls, soon), Poll::Ready(Err(NoAnswer::Expired)));
        assert!(poll(&mut calls, late).is_pending());
        assert_eq!(calls.look_at(), Some(at(300)));
        calls.expire(at(299));
        assert_eq!(calls.look_at(), Some(at(299) + LOOK_EVERY));
        assert_eq!((calls.expire(at(400)).len(), calls.look_at()), (1, None));
    }

    /// Numbers that come round again skip those still in use; a call given up makes room.
    #[test]
    fn numbers_come_round() {
        let mut calls = Table::new(2);
        calls.next = i32::MAX;
        assert_eq!(enter(&mut calls), Ok(i32::MAX));
        assert_eq!(enter(&mut calls), Ok(i32::MIN));
        calls.forget(i32::MIN);
        calls.next = i32::MAX;
        assert_eq!(enter(&mut calls), Ok(i32::MIN));
    }
}
