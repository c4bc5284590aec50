//! Runs handlers, never more than `concurrency` at once, in the order in which their messages arrived.
//!
//! Work waits in one list; its length is bounded by what the process queues may hold. A runner is a task that
//! takes work until there is none: under load nothing is spawned, boxed or woken for a single message.
//! Java counterpart: the `consumeExecutor` of the two consume services.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// After this many pieces of work a runner lets other tasks run, for handlers that never wait.
const YIELD_AFTER: u32 = 32;

/// See the file's head.
pub(crate) struct Workers<J> {
    shared: Arc<Shared<J>>,
}

struct Shared<J> {
    /// Guards the list and the counts, for one push or pop.
    state: Mutex<State<J>>,
    /// Told when the last runner ends.
    idle: Notify,
}

struct State<J> {
    waiting: VecDeque<J>,
    running: usize,
    /// How many may run.
    concurrency: usize,
    closed: bool,
}

impl<J> Shared<J> {
    fn state(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One runner less.
    fn end(&self, state: &mut State<J>) {
        state.running -= 1;
        if state.running == 0 {
            self.idle.notify_waiters();
        }
    }
}

/// Counts a runner until it is over, also by a panic of ours.
struct Running<J> {
    shared: Arc<Shared<J>>,
    is_over: bool,
}

impl<J> Running<J> {
    fn new(shared: &Arc<Shared<J>>) -> Self {
        Self { shared: Arc::clone(shared), is_over: false }
    }

    /// The next piece of work; without any the runner is over, by the same look: work that comes afterwards finds it
    /// gone, and starts another.
    fn next(&mut self) -> Option<J> {
        let mut state = self.shared.state();
        // When fewer may run than before, this one is too many.
        let next = if state.running > state.concurrency { None } else { state.waiting.pop_front() };
        if next.is_none() {
            self.is_over = true;
            self.shared.end(&mut state);
        }
        next
    }
}

impl<J> Drop for Running<J> {
    fn drop(&mut self) {
        if !self.is_over {
            self.shared.end(&mut self.shared.state());
        }
    }
}

impl<J: Send + 'static> Workers<J> {
    /// At most `concurrency` pieces of work at once, at least one.
    pub(crate) fn new(concurrency: usize) -> Self {
        let concurrency = concurrency.max(1);
        let state = Mutex::new(State { waiting: VecDeque::new(), running: 0, concurrency, closed: false });
        Self { shared: Arc::new(Shared { state, idle: Notify::new() }) }
    }

    /// How many pieces of work may run at once.
    pub(crate) fn concurrency(&self) -> usize {
        self.shared.state().concurrency
    }

    /// From now on at most so many at once, at least one. More start with the next
    /// [`submit`](Self::submit), of nothing too.
    pub(crate) fn set_concurrency(&self, concurrency: usize) {
        self.shared.state().concurrency = concurrency.max(1);
    }

    /// Adds work to the end of the list, for runners that `work` on it; after [`close`](Self::close) it is
    /// thrown away.
    pub(crate) fn submit<W, A>(&self, jobs: impl IntoIterator<Item = J>, work: W)
    where
        W: Fn(J) -> A + Clone + Send + 'static,
        A: Future<Output = ()> + Send,
    {
        let starts = {
            let mut state = self.shared.state();
            if state.closed {
                return;
            }
            state.waiting.extend(jobs);
            let starts = state.waiting.len().min(state.concurrency.saturating_sub(state.running));
            state.running += starts;
            starts
        };
        for _ in 0..starts {
            let (mut running, work) = (Running::new(&self.shared), work.clone());
            tokio::spawn(async move {
                let mut done = 0u32;
                while let Some(job) = running.next() {
                    work(job).await;
                    done = done.wrapping_add(1);
                    if done.is_multiple_of(YIELD_AFTER) {
                        tokio::task::yield_now().await;
                    }
                }
            });
        }
    }

    /// Throws away what has not started, and takes nothing more.
    pub(crate) fn close(&self) {
        let thrown = {
            let mut state = self.shared.state();
            state.closed = true;
            std::mem::take(&mut state.waiting)
        };
        // Dropped without the lock: work may own anything.
        drop(thrown);
    }

    /// Waits until nothing runs. Only after [`close`](Self::close) does that last.
    pub(crate) async fn idle(&self) {
        loop {
            let idle = self.shared.idle.notified();
            if self.shared.state().running == 0 {
                return;
            }
            idle.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    /// No more than the limit run at once, and all run in order.
    #[tokio::test]
    async fn limits_what_runs_at_once() {
        let workers = Workers::new(3);
        let (gate, order) = (Arc::new(Semaphore::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let work = {
            let (gate, order, now, most) = (gate.clone(), order.clone(), now.clone(), most.clone());
            move |number| {
                let (gate, order, now, most) = (gate.clone(), order.clone(), now.clone(), most.clone());
                async move {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    order.lock().unwrap().push(number);
                    gate.acquire().await.unwrap().forget();
                    now.fetch_sub(1, Ordering::SeqCst);
                }
            }
        };
        workers.submit(0..10, work);
        // On one thread every task that can run has run after so many turns.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        gate.add_permits(10);
        workers.idle().await;
        assert_eq!(most.load(Ordering::SeqCst), 3);
        assert_eq!(*order.lock().unwrap(), (0..10).collect::<Vec<_>>());
    }

    /// More work at once after the limit was raised, and less after it was lowered.
    #[tokio::test]
    async fn the_limit_can_change() {
        let workers = Workers::new(1);
        let (started, mut starts) = tokio::sync::mpsc::unbounded_channel();
        let gate = Arc::new(Semaphore::new(0));
        let work = {
            let gate = gate.clone();
            move |number: i32| {
                let (gate, started) = (gate.clone(), started.clone());
                async move {
                    started.send(number).unwrap();
                    gate.acquire().await.unwrap().forget();
                }
            }
        };
        workers.submit(0..6, work.clone());
        assert_eq!(starts.recv().await, Some(0));
        workers.set_concurrency(3);
        workers.submit([], work);
        assert_eq!((starts.recv().await, starts.recv().await), (Some(1), Some(2)));
        workers.set_concurrency(1);
        // Two of the three end with their work, the third goes on.
        gate.add_permits(3);
        assert_eq!(starts.recv().await, Some(3));
        let running = workers.shared.state().running;
        assert_eq!((running, workers.concurrency()), (1, 1));
        gate.add_permits(3);
        workers.idle().await;
    }

    /// Work that comes while the last runner ends has one of its own, and of too many runners only those end that are.
    #[tokio::test]
    async fn no_work_is_left_behind() {
        let workers = Workers::new(1);
        workers.shared.state().running = 1;
        let mut ending = Running::new(&workers.shared);
        assert_eq!(ending.next(), None);
        let (started, mut starts) = tokio::sync::mpsc::unbounded_channel();
        let work = move |number| {
            started.send(number).unwrap();
            async {}
        };
        workers.submit([7], work);
        assert_eq!(starts.recv().await, Some(7));
        workers.idle().await;
        {
            let mut state = workers.shared.state();
            state.running = 2;
            state.waiting.extend([8]);
        }
        let mut two = [Running::new(&workers.shared), Running::new(&workers.shared)];
        assert_eq!(two.each_mut().map(Running::next), [None, Some(8)]);
    }

    /// Closing lets what runs finish, and starts nothing more.
    #[tokio::test]
    async fn closing_finishes_what_runs() {
        let workers = Workers::new(1);
        let (gate, started, done) =
            (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
        let work = {
            let (gate, started, done) = (gate.clone(), started.clone(), done.clone());
            move |_: i32| {
                let (gate, started, done) = (gate.clone(), started.clone(), done.clone());
                async move {
                    started.notify_one();
                    gate.notified().await;
                    done.fetch_add(1, Ordering::SeqCst);
                }
            }
        };
        workers.submit(0..3, work);
        started.notified().await;
        workers.close();
        gate.notify_one();
        workers.idle().await;
        workers.submit([3], |_| async { unreachable!() });
        workers.idle().await;
        assert_eq!(done.load(Ordering::SeqCst), 1);
    }
}
