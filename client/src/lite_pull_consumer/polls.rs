//! What a polled consumer has handed out, and the topics whose queues it watches.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferrocket_protocol::Text;
use ferrocket_protocol::body::message_queue::MessageQueue;

use crate::consumer::{Bell, Consumer, Hold, stats::Event};
use crate::message::MessageExt;
use crate::message_ids::now_ms;

type TopicListener = dyn Fn(&str, &[MessageQueue]) + Send + Sync;

/// See the file's head.
#[derive(Default)]
pub(crate) struct Polls {
    /// Rung when there are messages, and at the end.
    pub(crate) bell: Bell,
    /// Held for one look-up or change.
    state: Mutex<State>,
    /// Topics whose changes the application wants to hear of.
    watched: Mutex<BTreeMap<Text, Watched>>,
}

#[derive(Default)]
struct State {
    /// The queue that the last messages came from: the next one's turn is it.
    last: Option<MessageQueue>,
    /// Up to where each queue was handed out since the last commit, for those it concerns.
    handed: BTreeMap<MessageQueue, (Hold, i64)>,
}

struct Watched {
    queues: Vec<MessageQueue>,
    listener: Arc<TopicListener>,
}

impl Polls {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watched(&self) -> MutexGuard<'_, BTreeMap<Text, Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Up to `max` messages of the next queue that has any and is not paused.
    pub(crate) fn take(&self, consumer: &Consumer, max: usize) -> Vec<MessageExt> {
        let mut state = self.state();
        let queues = consumer.queues();
        let after = state.last.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let turn = queues.range((after, Bound::Unbounded)).chain(queues.iter());
        for (queue, assigned) in turn.filter(|(_, assigned)| !assigned.is_paused()) {
            let (messages, offset) = {
                let mut process = assigned.process();
                (process.take(max, now_ms()), process.commit())
            };
            let Some(offset) = offset else { continue };
            state.last = Some(queue.clone());
            state.handed.insert(queue.clone(), (assigned.hold.clone(), offset));
            assigned.handled.notify_waiters();
            consumer.count(&queue.topic, Event::Handled { ms: 0, ok: messages.len() as u64, failed: 0 });
            return messages;
        }
        Vec::new()
    }

    /// A queue goes on at this offset without messages before it: it was passed over by a filter, or sought.
    pub(crate) fn passed(&self, hold: &Hold, offset: i64) {
        let mut state = self.state();
        // What the pulling of an earlier assignment says is void.
        if state.handed.get(hold.queue()).is_none_or(|(known, _)| !hold.is_older_than(known)) {
            state.handed.insert(hold.queue().clone(), (hold.clone(), offset));
        }
    }

    /// What was handed out is done; the keeper stores it.
    pub(crate) fn commit(&self, consumer: &Consumer) {
        let handed = std::mem::take(&mut self.state().handed);
        if handed.is_empty() {
            return;
        }
        let mut table = consumer.offsets.table();
        for (hold, offset) in handed.into_values() {
            table.set(&hold, offset);
        }
    }

    /// The topics whose routes have to be known for [`watch`](Self::watch).
    pub(crate) fn watched_topics(&self) -> Vec<Text> {
        self.watched().keys().cloned().collect()
    }

    /// Has `listener` told when a topic has other queues than these.
    pub(crate) fn watch(&self, topic: Text, queues: Vec<MessageQueue>, listener: Arc<TopicListener>) {
        self.watched().insert(topic, Watched { queues, listener });
    }

    /// Tells the listeners of topics whose queues have changed.
    pub(crate) async fn look_at_watched(&self, consumer: &Consumer) {
        for topic in self.watched_topics() {
            let route = match consumer.calls.client.route(&topic).await {
                Ok(route) => route,
                Err(error) => {
                    tracing::debug!(group = %consumer.calls.group, %topic, %error, "the topic's queues cannot be looked at");
                    continue;
                }
            };
            let changed = self.watched().get_mut(&topic).and_then(|known| {
                let changed = known.queues != route.subscribe_queues();
                known.queues = route.subscribe_queues().to_vec();
                changed.then(|| Arc::clone(&known.listener))
            });
            let Some(listener) = changed else { continue };
            let client = &consumer.calls.client;
            let (bare, queues) = (client.unwrapped(&topic), client.bare_queues(route.subscribe_queues()));
            // Called without the lock: it may watch another topic.
            if catch_unwind(AssertUnwindSafe(|| listener(&bare, &queues))).is_err() {
                tracing::error!(group = %consumer.calls.group, %topic, "the listener of a topic's queues panicked");
            }
        }
    }
}
