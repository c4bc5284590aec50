//! Producers and consumers: what they know and decide, without time or network.

use std::collections::{BTreeMap, BTreeSet};

use ferrocket::allocate::AllocateMessageQueueStrategy;
use ferrocket_protocol::body::message_queue::MessageQueue;

/// Sends its messages until each is acknowledged, every time to another queue.
#[derive(Debug, Default)]
pub(crate) struct Producer {
    /// The messages on their way, and the attempt that counts; answers to earlier ones come too late.
    pub(crate) pending: Vec<u64>,
    pub(crate) batch: bool,
    pub(crate) attempt: u64,
}

/// A queue that a consumer holds.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) next: i64,
    /// Tells this holding from an earlier one.
    pub(crate) session: u64,
    /// Messages are being consumed.
    pub(crate) busy: bool,
}

/// A member of the group; others learn late that it came or went.
#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) id: String,
    pub(crate) is_member: bool,
    /// The members it knows of, sorted.
    pub(crate) view: Vec<String>,
    pub(crate) held: BTreeMap<MessageQueue, Held>,
}

impl Consumer {
    pub(crate) fn new(number: usize) -> Self {
        Self { id: format!("consumer-{number}"), is_member: true, view: Vec::new(), held: BTreeMap::new() }
    }

    /// Divides each topic's queues among the members it knows of. What it does not hold any more is forgotten,
    /// with all that was going on there. Returns the queues that are new to it.
    pub(crate) fn rebalance(
        &mut self,
        strategy: &dyn AllocateMessageQueueStrategy,
        queues: &[MessageQueue],
    ) -> Vec<MessageQueue> {
        let mut mine = BTreeSet::new();
        for topic in queues.chunk_by(|one, other| one.topic == other.topic) {
            let share = strategy.allocate("group", &self.id, topic, &self.view).unwrap_or_default();
            mine.extend(share);
        }
        self.held.retain(|queue, _| mine.contains(queue));
        mine.into_iter().filter(|queue| !self.held.contains_key(queue)).collect()
    }
}
