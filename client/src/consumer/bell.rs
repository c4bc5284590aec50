//! Wakes those who wait for something that can be looked at without waiting.
//!
//! ```text
//! register(cx) -> look -> nothing: pending          whoever makes something to look at rings
//! ```

use std::sync::{Mutex, PoisonError};
use std::task::{Context, Waker};

/// Tasks that wait at most; beyond it all are woken and look again.
const WAITERS_MAX: usize = 1024;

/// Wakers of the tasks that wait. For futures and streams that look on every poll.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    /// Held for one push or exchange.
    waiting: Mutex<Vec<Waker>>,
}

impl Bell {
    /// Has the task woken by the next ring. To be called before looking.
    pub(crate) fn register(&self, context: &Context<'_>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.iter().any(|known| known.will_wake(context.waker())) {
            return;
        }
        let woken = if waiting.len() < WAITERS_MAX { Vec::new() } else { std::mem::take(&mut *waiting) };
        waiting.push(context.waker().clone());
        drop(waiting);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Wakes all who wait.
    pub(crate) fn ring(&self) {
        let woken = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        woken.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Poll;

    use super::*;

    /// A ring after the look wakes everyone who found nothing.
    #[tokio::test]
    async fn wakes_all() {
        let (bell, there) = (Bell::default(), AtomicBool::new(false));
        let look = || {
            poll_fn(|context| {
                bell.register(context);
                if there.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
            })
        };
        let ring = async {
            there.store(true, Ordering::SeqCst);
            bell.ring();
        };
        tokio::join!(look(), look(), ring);
    }
}
