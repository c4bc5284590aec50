//! What happens inside a client, for programs that watch it.
//!
//! Java has log lines only.

use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use ferrocket_protocol::body::message_queue::MessageQueue;
use futures_core::Stream;
use tokio::sync::mpsc;

/// Events that wait for one watcher at most; further ones are counted, see [`Event::Missed`].
const EVENTS_MAX: usize = 256;
/// Watchers of one client at most; the oldest has to go for another.
const WATCHERS_MAX: usize = 64;

/// Something that happened in a client. See [`Client::events`](crate::Client::events). In a namespace topics and queues
/// are called as in the program, groups as the consumers' `group()`, which has the namespace.
///
/// ```
/// use ferrocket::Event;
///
/// /// A line for those who watch the service.
/// fn line(event: &Event) -> Option<String> {
///     match event {
///         Event::Rebalanced { group, topic, queues } => Some(format!("{group}: {} of {topic}", queues.len())),
///         Event::Disconnected { addr } => Some(format!("no connection to {addr}")),
///         Event::Missed(count) => Some(format!("{count} events were not looked at")),
///         _ => None,
///     }
/// }
/// # assert_eq!(line(&Event::Missed(3)).as_deref(), Some("3 events were not looked at"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A consumer took queues of a topic or gave some up.
    Rebalanced {
        /// The group.
        group: String,
        /// The topic.
        topic: String,
        /// The queues of the topic that this consumer has now.
        queues: Vec<MessageQueue>,
    },
    /// A topic got another route: queues, permissions or brokers' addresses.
    RouteChanged {
        /// The topic.
        topic: String,
    },
    /// A connection to a broker or NameServer was opened.
    Connected {
        /// Its address.
        addr: SocketAddr,
    },
    /// A connection ended, on whoever's wish.
    Disconnected {
        /// Its address.
        addr: SocketAddr,
    },
    /// A handler or delivery is older than `consume_timeout`. Told once of each, at most a sixteenth of that time
    /// late. A concurrent consumer's message is given back to the broker; in order and in broadcasting nobody else may
    /// have it.
    SlowHandler {
        /// The group.
        group: String,
        /// The queue that the message is of.
        queue: MessageQueue,
        /// The message; of several that an orderly handler has, the first.
        msg_id: String,
        /// The time that it should not have passed.
        timeout: Duration,
    },
    /// Pulling of a queue pauses, because too much waits in memory or is in handlers. Told once until it goes on.
    FlowControl {
        /// The group.
        group: String,
        /// The queue.
        queue: MessageQueue,
        /// Messages of it in memory.
        messages: usize,
    },
    /// So many events were not kept, because nobody took those before.
    Missed(u64),
}

#[derive(Debug)]
struct Watcher {
    events: mpsc::Sender<Event>,
    missed: Arc<AtomicU64>,
}

/// Those who watch a client.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    /// Held while an event is passed on, which never waits.
    all: Mutex<Vec<Watcher>>,
    /// Set with that lock: nobody comes to watch any more.
    closed: AtomicBool,
}

impl Watchers {
    /// Passes an event on to everyone who watches; it is made only if somebody does.
    pub(crate) fn tell(&self, event: impl FnOnce() -> Event) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if all.is_empty() {
            return;
        }
        let event = event();
        all.retain(|watcher| match watcher.events.try_send(event.clone()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                watcher.missed.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        });
    }

    pub(crate) fn watch(&self) -> Events {
        let (events, inbox) = mpsc::channel(EVENTS_MAX);
        let missed = Arc::new(AtomicU64::new(0));
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= WATCHERS_MAX {
            all.remove(0);
        }
        if !self.closed.load(Ordering::Relaxed) {
            all.push(Watcher { events, missed: Arc::clone(&missed) });
        }
        Events { inbox, missed }
    }

    /// Ends the streams, and those that come later at once.
    pub(crate) fn close(&self) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        self.closed.store(true, Ordering::Relaxed);
        all.clear();
    }
}

/// The events of a client from the moment it was made, see [`Client::events`](crate::Client::events). It ends with
/// the client.
///
/// ```
/// use ferrocket::{Event, Message};
///
/// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
/// let mut events = client.events();
/// # let producer = client.producer("order-service").start().await?;
/// let sent = producer.send(Message::new("Orders", "paid")).await?;
/// while let Some(event) = events.next().await {
///     if let Event::Connected { addr } = event {
///         println!("connected to {addr}");
///         break;
///     }
/// }
/// # Ok(()) }).unwrap();
/// ```
#[must_use]
pub struct Events {
    inbox: mpsc::Receiver<Event>,
    missed: Arc<AtomicU64>,
}

impl Events {
    /// The next event; `None` after the client's shutdown. Giving up on the future loses nothing.
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        if self.missed.load(Ordering::Relaxed) > 0 && self.inbox.is_empty() {
            // Those before the gap have been seen.
            return Poll::Ready(Some(Event::Missed(self.missed.swap(0, Ordering::Relaxed))));
        }
        self.inbox.poll_recv(context)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("waiting", &self.inbox.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(topic: usize) -> Event {
        Event::RouteChanged { topic: topic.to_string() }
    }

    /// Who does not look loses the newest events and learns how many; others lose none; nobody is told for free.
    #[tokio::test]
    async fn what_is_not_taken_is_counted() {
        let watchers = Watchers::default();
        watchers.tell(|| unreachable!("nobody watches"));
        let mut slow = watchers.watch();
        for topic in 0..EVENTS_MAX + 3 {
            watchers.tell(|| route(topic));
        }
        for topic in 0..EVENTS_MAX {
            assert_eq!(slow.next().await, Some(route(topic)));
        }
        assert_eq!(slow.next().await, Some(Event::Missed(3)));
        watchers.tell(|| route(9));
        assert_eq!(slow.next().await, Some(route(9)));
        drop(watchers.watch());
        watchers.tell(|| route(10));
        assert_eq!(watchers.all.lock().unwrap().len(), 1, "who went is forgotten");
        watchers.close();
        assert_eq!((slow.next().await, slow.next().await), (Some(route(10)), None));
        assert_eq!(watchers.watch().next().await, None);
    }
}
