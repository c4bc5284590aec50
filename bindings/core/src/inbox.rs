//! Values on their way from the runtime to the language, which takes them in batches when it is woken.
//!
//! ```text
//! task -> push -> [ waiting ] -> ring -> wake: eventfd, threadsafe function, condition
//!                                            the language's own thread -> drain(max) -> batch
//! ```
//!
//! A wake-up says "look", not "one more": it comes when something is there that was not at the last look, and again
//! when a look leaves something behind.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use futures_core::Stream;
use tokio::task::block_in_place;

use crate::runtime::is_forked;

/// Wakes whoever takes: through the language's own means, and those who block in `wait`.
struct Ring {
    wake: Box<dyn Fn() + Send + Sync>,
    /// Rings so far. Held for one look or change.
    rings: Mutex<u64>,
    waiting: Condvar,
}

impl Ring {
    fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self { wake: Box::new(wake), rings: Mutex::new(0), waiting: Condvar::new() }
    }

    fn rings(&self) -> MutexGuard<'_, u64> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        *self.rings() += 1;
        self.waiting.notify_all();
        (self.wake)();
    }

    /// Looks, and looks again after each ring, until something is there or the time is up.
    fn wait<T>(&self, timeout: Duration, look: impl Fn() -> Option<Vec<T>>) -> Vec<T> {
        if is_forked() {
            return Vec::new();
        }
        // `None` is later than anybody waits for.
        let until = Instant::now().checked_add(timeout);
        block_in_place(|| {
            loop {
                let before = *self.rings();
                if let Some(found) = look() {
                    return found;
                }
                let mut rings = self.rings();
                while *rings == before {
                    let left = until.map(|until| until.saturating_duration_since(Instant::now()));
                    let left = left.unwrap_or(Duration::from_secs(1 << 30));
                    if left.is_zero() {
                        return Vec::new();
                    }
                    (rings, _) =
                        self.waiting.wait_timeout(rings, left).unwrap_or_else(PoisonError::into_inner);
                }
            }
        })
    }
}

impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

/// Values that tasks push and the language takes. Bounded by what feeds it: calls that somebody awaits, handlers at
/// work. Clones are the same inbox.
pub struct Inbox<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    ring: Arc<Ring>,
    /// Held for one look or change.
    state: Mutex<State<T>>,
}

struct State<T> {
    waiting: VecDeque<T>,
    /// No more come.
    ended: bool,
}

impl<T> Inbox<T> {
    /// An empty inbox; `wake` is called when there is something to take, on any thread, and must not wait.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        let state = Mutex::new(State { waiting: VecDeque::new(), ended: false });
        Self { shared: Arc::new(Shared { ring: Arc::new(Ring::new(wake)), state }) }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a value; wakes when it is the first. After the end the value is dropped, and this is `false`.
    pub fn push(&self, value: T) -> bool {
        let mut state = self.state();
        if state.ended {
            drop(state);
            return false;
        }
        let first = state.waiting.is_empty();
        state.waiting.push_back(value);
        drop(state);
        if first {
            self.shared.ring.ring();
        }
        true
    }

    /// Takes up to `max` of what is there, without waiting. Wakes when something is left.
    pub fn drain(&self, max: usize) -> Vec<T> {
        let mut state = self.state();
        let count = max.min(state.waiting.len());
        let taken = state.waiting.drain(..count).collect();
        let is_left = !state.waiting.is_empty();
        drop(state);
        if is_left {
            self.shared.ring.ring();
        }
        taken
    }

    /// The same, and waits up to `timeout` for something to be there. Empty when nothing came, and at the end.
    pub fn wait(&self, max: usize, timeout: Duration) -> Vec<T> {
        self.shared.ring.wait(timeout, || {
            let taken = self.drain(max);
            (!taken.is_empty() || self.is_ended()).then_some(taken)
        })
    }

    /// No more values come; those that wait can still be taken.
    pub fn finish(&self) {
        self.state().ended = true;
        self.shared.ring.ring();
    }

    /// Nobody takes any more: what waits is dropped, and what comes.
    pub fn close(&self) {
        let dropped = {
            let mut state = self.state();
            state.ended = true;
            std::mem::take(&mut state.waiting)
        };
        // Values may have something to say when they go.
        drop(dropped);
        self.shared.ring.ring();
    }

    /// Whether nothing is there and nothing will come.
    pub fn is_ended(&self) -> bool {
        let state = self.state();
        state.ended && state.waiting.is_empty()
    }

    /// How many values wait.
    pub(crate) fn len(&self) -> usize {
        self.state().waiting.len()
    }
}

impl<T> Clone for Inbox<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> fmt::Debug for Inbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("waiting", &self.len()).finish_non_exhaustive()
    }
}

/// A stream of the client's as an inbox: nothing leaves the stream before the language takes it, so that the
/// stream's own bound holds.
pub struct StreamInbox<S> {
    ring: Arc<Ring>,
    /// Held for one look.
    state: Mutex<Streaming<S>>,
}

struct Streaming<S> {
    /// `None` after the end.
    stream: Option<S>,
    waker: Waker,
}

impl<S: Stream + Unpin> StreamInbox<S> {
    /// The stream's items; `wake` is called when there may be something to take, on any thread and once before this
    /// returns. It must not wait.
    pub fn new(stream: S, wake: impl Fn() + Send + Sync + 'static) -> Self {
        let ring = Arc::new(Ring::new(wake));
        let waker = Waker::from(Arc::clone(&ring));
        // A stream tells only those who have looked.
        ring.ring();
        Self { ring, state: Mutex::new(Streaming { stream: Some(stream), waker }) }
    }

    /// As [`Inbox::drain`]. Empty in a forked child.
    pub fn drain(&self, max: usize) -> Vec<S::Item> {
        if is_forked() {
            return Vec::new();
        }
        let mut taken = Vec::new();
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let Streaming { stream, waker } = &mut *state;
            let mut context = Context::from_waker(waker);
            while taken.len() < max {
                let Some(open) = stream else { return taken };
                match Pin::new(open).poll_next(&mut context) {
                    Poll::Ready(Some(item)) => taken.push(item),
                    Poll::Ready(None) => *stream = None,
                    Poll::Pending => return taken,
                }
            }
        }
        // There may be more, and the stream tells of new ones only.
        self.ring.ring();
        taken
    }

    /// As [`Inbox::wait`].
    pub fn wait(&self, max: usize, timeout: Duration) -> Vec<S::Item> {
        self.ring.wait(timeout, || {
            let taken = self.drain(max);
            (!taken.is_empty() || self.is_ended()).then_some(taken)
        })
    }

    /// Nobody takes any more: the stream goes, with what waits in it.
    pub fn close(&self) {
        let stream = self.state.lock().unwrap_or_else(PoisonError::into_inner).stream.take();
        drop(stream);
        self.ring.ring();
    }

    /// Whether the stream has ended and everything of it was taken.
    pub fn is_ended(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).stream.is_none()
    }
}

impl<S> fmt::Debug for StreamInbox<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamInbox").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    fn counted() -> (Arc<AtomicUsize>, impl Fn() + Send + Sync + 'static) {
        let rings = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&rings);
        (rings, move || {
            counter.fetch_add(1, Ordering::SeqCst);
        })
    }

    /// The first value wakes, further ones do not, and a look that leaves something wakes again.
    #[test]
    fn wakes_once_for_a_batch() {
        let (rings, wake) = counted();
        let inbox = Inbox::new(wake);
        for value in 0..5 {
            assert!(inbox.push(value));
        }
        assert_eq!((rings.load(Ordering::SeqCst), inbox.len()), (1, 5));
        assert_eq!((inbox.drain(3), rings.load(Ordering::SeqCst)), (vec![0, 1, 2], 2));
        assert_eq!((inbox.drain(3), rings.load(Ordering::SeqCst)), (vec![3, 4], 2));
        assert!(inbox.drain(3).is_empty());
        inbox.push(5);
        assert_eq!(rings.load(Ordering::SeqCst), 3);
    }

    /// What waits at the end can be taken; what waits when nobody takes is dropped. Both ends wake.
    #[test]
    fn ends() {
        let (rings, wake) = counted();
        let inbox = Inbox::new(wake);
        inbox.push(1);
        inbox.finish();
        assert_eq!((rings.load(Ordering::SeqCst), inbox.is_ended(), inbox.push(2)), (2, false, false));
        assert_eq!((inbox.drain(9), inbox.is_ended()), (vec![1], true));
        let inbox = Inbox::new(|| ());
        let value = Arc::new(());
        inbox.push(Arc::clone(&value));
        inbox.close();
        assert!(inbox.is_ended() && !inbox.push(Arc::clone(&value)));
        assert_eq!(Arc::strong_count(&value), 1);
    }

    /// A stream that nobody takes from any more is dropped, and whoever waits for it returns.
    #[test]
    fn streams_are_closed() {
        struct Endless {
            _dropped: Arc<()>,
        }
        impl Stream for Endless {
            type Item = ();
            fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<()>> {
                Poll::Pending
            }
        }
        let value = Arc::new(());
        let inbox = StreamInbox::new(Endless { _dropped: Arc::clone(&value) }, || ());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| inbox.wait(1, Duration::MAX));
            inbox.close();
            assert!(waiting.join().unwrap().is_empty() && inbox.is_ended());
        });
        assert_eq!(Arc::strong_count(&value), 1);
    }

    /// Threads that wait get what comes, each value once, and all return at the end.
    #[test]
    fn threads_wait() {
        let inbox = Inbox::new(|| ());
        assert!(inbox.wait(1, Duration::ZERO).is_empty());
        let (sender, taken) = mpsc::channel();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let (inbox, sender) = (inbox.clone(), sender.clone());
                scope.spawn(move || {
                    loop {
                        let batch = inbox.wait(2, Duration::MAX);
                        if batch.is_empty() {
                            return;
                        }
                        batch.into_iter().for_each(|value| sender.send(value).unwrap());
                    }
                });
            }
            for value in 0..1000 {
                inbox.push(value);
            }
            inbox.finish();
        });
        drop(sender);
        let mut all: Vec<i32> = taken.iter().collect();
        all.sort_unstable();
        assert_eq!(all, (0..1000).collect::<Vec<_>>());
    }
}
