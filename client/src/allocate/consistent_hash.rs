//! Consistent hashing: a consumer that comes or goes moves only its own share of the queues.
//!
//! Java counterparts: `AllocateMessageQueueConsistentHash`, `ConsistentHashRouter`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use ferrocket_protocol::body::message_queue::MessageQueue;

use super::md5::md5;
use super::{AllocateError, AllocateMessageQueueStrategy, index_of};

/// Each consumer stands at several places of a ring; a queue belongs to the next one clockwise.
///
/// ```
/// use ferrocket::MessageQueue;
/// use ferrocket::allocate::{AllocateMessageQueueStrategy, ConsistentHash};
///
/// let queues: Vec<_> = (0..16).map(|id| MessageQueue::new("Orders", "broker-a", id)).collect();
/// let (three, two) = (["a".to_owned(), "b".into(), "c".into()], ["a".to_owned(), "b".into()]);
/// let strategy = ConsistentHash::new(100);
/// // When `c` goes, `a` keeps what it has.
/// let before = strategy.allocate("billing", "a", &queues, &three)?;
/// let after = strategy.allocate("billing", "a", &queues, &two)?;
/// assert!(before.iter().all(|queue| after.contains(queue)));
/// # Ok::<(), ferrocket::allocate::AllocateError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ConsistentHash {
    virtual_nodes: u32,
}

impl ConsistentHash {
    /// Each consumer at this many places. With none, nobody gets a queue.
    pub fn new(virtual_nodes: u32) -> Self {
        Self { virtual_nodes }
    }
}

impl Default for ConsistentHash {
    /// Ten places, as in Java.
    fn default() -> Self {
        Self::new(10)
    }
}

impl AllocateMessageQueueStrategy for ConsistentHash {
    fn allocate(
        &self,
        _group: &str,
        client_id: &str,
        queues: &[MessageQueue],
        clients: &[String],
    ) -> Result<Vec<MessageQueue>, AllocateError> {
        if index_of(client_id, queues, clients)?.is_none() {
            return Ok(Vec::new());
        }
        let mut ring: BTreeMap<u32, &str> = BTreeMap::new();
        for client in clients {
            // An id that stands in the list twice goes on counting where it stopped.
            let first = ring.values().filter(|other| *other == client).count();
            for replica in 0..self.virtual_nodes as usize {
                ring.insert(hash(&format!("{client}-{}", first + replica)), client);
            }
        }
        let owner = |queue: &MessageQueue| {
            let at = hash(&queue.to_string());
            ring.range(at..).next().or_else(|| ring.first_key_value()).map(|(_, client)| *client)
        };
        Ok(queues.iter().filter(|queue| owner(queue) == Some(client_id)).cloned().collect())
    }

    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed("CONSISTENT_HASH")
    }
}

/// The first four bytes of the MD5, as Java's router takes them.
fn hash(key: &str) -> u32 {
    let [a, b, c, d, ..] = md5(key.as_bytes());
    u32::from_be_bytes([a, b, c, d])
}
