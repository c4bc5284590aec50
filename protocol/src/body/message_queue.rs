//! A queue's name. Java counterparts: `MessageQueue`, `MessageQueueForC`.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::command::Text;

/// One queue of a topic on one broker; ordered by topic, broker name and number, as every client sorts them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MessageQueue {
    /// The broker's name.
    pub broker_name: Text,
    /// The number within the topic on that broker.
    pub queue_id: i32,
    /// The topic.
    pub topic: Text,
}

impl MessageQueue {
    /// The queue of this name, in Java's order of arguments.
    pub fn new(topic: impl Into<Text>, broker_name: impl Into<Text>, queue_id: i32) -> Self {
        Self { broker_name: broker_name.into(), queue_id, topic: topic.into() }
    }
}

impl Ord for MessageQueue {
    fn cmp(&self, other: &Self) -> Ordering {
        fn key(queue: &MessageQueue) -> (&str, &str, i32) {
            (&queue.topic, &queue.broker_name, queue.queue_id)
        }
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for MessageQueue {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for MessageQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { broker_name, queue_id, topic } = self;
        write!(f, "MessageQueue [topic={topic}, brokerName={broker_name}, queueId={queue_id}]")
    }
}

/// A queue with an offset, for clients that cannot read objects as map keys. Java: `MessageQueueForC`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MessageQueueForC {
    /// The broker's name.
    pub broker_name: Text,
    /// The offset that goes with the queue.
    pub offset: i64,
    /// The number within the topic on that broker.
    pub queue_id: i32,
    /// The topic.
    pub topic: Text,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Queues sort and print as in Java: allocation depends on the one, tools on the other.
    #[test]
    fn sorts_and_prints_as_java() {
        let mut queues = [("b", "x", 0), ("a", "y", 0), ("a", "x", 10), ("a", "x", 9)]
            .map(|(topic, broker, id)| MessageQueue::new(topic, broker, id));
        queues.sort();
        let texts = queues.map(|queue| queue.to_string());
        assert_eq!(texts[0], "MessageQueue [topic=a, brokerName=x, queueId=9]");
        assert_eq!(texts[3], "MessageQueue [topic=b, brokerName=x, queueId=0]");
        assert!(texts[1].contains("queueId=10") && texts[2].contains("brokerName=y"));
    }
}
