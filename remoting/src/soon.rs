//! Waking once a connection's round is over.
//!
//! An answer may end a piece of work in the connection's own task, as a queued send, whose outcome somebody on another
//! thread waits for. That thread would wake up for the first answer of many, find the second one missing, sleep, and be
//! woken again for each of them: two system calls and a change of threads for one answer.

use std::cell::RefCell;
use std::task::Waker;

thread_local! {
    /// Those to wake after the round, one for each of its frames at most; `None` outside of one.
    static WAITING: RefCell<Option<Vec<Waker>>> = const { RefCell::new(None) };
}

/// Wakes after the round that this thread is in; at once if it is in none.
///
/// For wakers that do their work as they are woken, see [`PendingCall`](crate::PendingCall).
pub fn wake_soon(waker: Waker) {
    let mut waker = Some(waker);
    // A thread that ends is in no round.
    let _ = WAITING.try_with(|waiting| {
        if let Some(waiting) = &mut *waiting.borrow_mut() {
            waiting.extend(waker.take());
        }
    });
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Lasts as long as the round, and wakes when it is dropped, whatever ends it.
pub(crate) struct Round(());

impl Round {
    pub(crate) fn begin() -> Self {
        WAITING.set(Some(Vec::new()));
        Self(())
    }
}

impl Drop for Round {
    fn drop(&mut self) {
        WAITING.take().into_iter().flatten().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::task::Wake;

    use super::*;
    use crate::connection::lock;

    /// Notes that it was woken, after whoever it wakes itself.
    struct Noted(&'static str, Option<&'static str>, Arc<Mutex<Vec<&'static str>>>);

    impl Wake for Noted {
        fn wake(self: Arc<Self>) {
            if let Some(next) = self.1 {
                wake_soon(Arc::new(Self(next, None, self.2.clone())).into());
            }
            lock(&self.2).push(self.0);
        }
    }

    /// In a round nobody is woken before it ends, by a panic too; outside of one at once.
    #[test]
    fn a_round_ends_first() {
        let woken = Arc::new(Mutex::new(Vec::new()));
        let wake_with = |name, next| wake_soon(Arc::new(Noted(name, next, woken.clone())).into());
        let wake = |name| wake_with(name, None);
        wake("a");
        assert_eq!(*lock(&woken), ["a"]);
        let round = Round::begin();
        wake("b");
        wake_with("c", Some("d"));
        assert_eq!(*lock(&woken), ["a"]);
        drop(round);
        // Who is woken then may wake others.
        assert_eq!(*lock(&woken), ["a", "b", "d", "c"]);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _round = Round::begin();
            wake("f");
            panic!("in the round");
        }));
        assert!(panicked.is_err());
        wake("g");
        assert_eq!(lock(&woken)[4..], ["f", "g"]);
    }
}
