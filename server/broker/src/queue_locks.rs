//! Which client of a group may consume which queue in order: leases of 60 seconds.
//!
//! A plain core. Neither unregistering nor a closed connection releases a lease; it runs out, which is seen
//! at the next attempt of another client. Java counterpart: `RebalanceLockManager`.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ferrocket_protocol::Text;
use ferrocket_protocol::body::message_queue::MessageQueue;

/// How long a lease lasts after it was taken or renewed.
const LEASE_MS: i64 = 60_000;
/// Leases of all groups; when they are used up, expired ones are thrown out, and then nothing new is locked.
const LEASES_MAX: usize = if cfg!(test) { 1_000 } else { 1_000_000 };

/// All leases of the broker.
#[derive(Debug, Default)]
pub(crate) struct QueueLocks {
    /// Held for the queues of one request.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    groups: HashMap<Text, HashMap<MessageQueue, Lease>>,
    leases: usize,
}

#[derive(Debug)]
struct Lease {
    client_id: Text,
    renewed_ms: i64,
}

impl Lease {
    fn expired(&self, now_ms: i64) -> bool {
        now_ms - self.renewed_ms > LEASE_MS
    }
}

impl QueueLocks {
    /// Takes or renews leases for `client_id`; answers the queues it holds now.
    pub(crate) fn lock(
        &self,
        group: &Text,
        client_id: &Text,
        queues: impl IntoIterator<Item = MessageQueue>,
        now_ms: i64,
    ) -> Vec<MessageQueue> {
        let mut state = self.state();
        if state.leases >= LEASES_MAX {
            state.drop_expired(now_ms);
        }
        let State { groups, leases } = &mut *state;
        let held = groups.entry(group.clone()).or_default();
        let mut locked = Vec::new();
        for queue in queues {
            match held.get_mut(&queue) {
                Some(lease) if lease.client_id == *client_id => lease.renewed_ms = now_ms,
                Some(lease) if lease.expired(now_ms) => {
                    tracing::info!(%group, %queue, from = %lease.client_id, to = %client_id, "an expired lease changed hands");
                    *lease = Lease { client_id: client_id.clone(), renewed_ms: now_ms };
                }
                Some(_) => continue,
                None if *leases >= LEASES_MAX => continue,
                None => {
                    held.insert(queue.clone(), Lease { client_id: client_id.clone(), renewed_ms: now_ms });
                    *leases += 1;
                }
            }
            locked.push(queue);
        }
        if held.is_empty() {
            groups.remove(group);
        }
        locked
    }

    /// Gives back leases of `client_id`. Queues that another client holds stay its own.
    pub(crate) fn unlock(
        &self,
        group: &str,
        client_id: &str,
        queues: impl IntoIterator<Item = MessageQueue>,
    ) {
        let mut state = self.state();
        let State { groups, leases } = &mut *state;
        let Some(held) = groups.get_mut(group) else { return };
        for queue in queues {
            if held.get(&queue).is_some_and(|lease| lease.client_id == *client_id) {
                held.remove(&queue);
                *leases -= 1;
            }
        }
        if held.is_empty() {
            groups.remove(group);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The count can only be too large after a panic, and is corrected when the limit is met.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn drop_expired(&mut self, now_ms: i64) {
        for held in self.groups.values_mut() {
            held.retain(|_, lease| !lease.expired(now_ms));
        }
        self.groups.retain(|_, held| !held.is_empty());
        self.leases = self.groups.values().map(HashMap::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(queue_id: i32) -> MessageQueue {
        MessageQueue { topic: "t".into(), broker_name: "b".into(), queue_id }
    }

    /// The first client gets the queue, renews it, and loses it only 60 s after its last renewal.
    #[test]
    fn leases_expire_after_60_seconds() {
        let (locks, group) = (QueueLocks::default(), Text::from("g"));
        let lock = |client: &'static str, now_ms| {
            locks.lock(&group, &client.into(), [queue(0), queue(1)], now_ms).len()
        };
        assert_eq!(lock("a", 0), 2);
        assert_eq!(lock("b", 1), 0);
        assert_eq!(lock("a", 20_000), 2, "the owner renews");
        assert_eq!(lock("b", 80_000), 0, "the lease still holds in its sixtieth second");
        assert_eq!(lock("b", 80_001), 2);
        assert_eq!(lock("a", 80_002), 0);
        assert_eq!(
            locks.lock(&"other".into(), &"a".into(), [queue(0)], 80_002).len(),
            1,
            "groups do not share leases"
        );
    }

    /// One lease more than there may be is not given, until others have expired; leases that are there are renewed.
    #[test]
    fn leases_have_a_limit() {
        let (locks, group, client) = (QueueLocks::default(), Text::from("g"), Text::from("a"));
        let one = LEASES_MAX as i32;
        let lock = |queues: std::ops::RangeInclusive<i32>, now_ms| {
            locks.lock(&group, &client, queues.map(queue), now_ms).len()
        };
        assert_eq!(lock(1..=one, 0), LEASES_MAX);
        assert_eq!(lock(0..=0, 1), 0);
        assert_eq!(lock(0..=7, 1), 7);
        assert_eq!(lock(0..=0, 60_001), 1);
        assert_eq!(locks.state().leases, 8, "the seven that were renewed, and the new one");
    }

    /// Only the owner can give a queue back; unknown groups and queues are no error.
    #[test]
    fn only_the_owner_unlocks() {
        let (locks, group) = (QueueLocks::default(), Text::from("g"));
        locks.lock(&group, &"a".into(), [queue(0)], 0);
        locks.unlock("g", "b", [queue(0), queue(7)]);
        locks.unlock("unknown", "a", [queue(0)]);
        assert!(locks.lock(&group, &"b".into(), [queue(0)], 1).is_empty());
        locks.unlock("g", "a", [queue(0)]);
        assert_eq!(locks.lock(&group, &"b".into(), [queue(0)], 2), [queue(0)]);
        assert!(locks.lock(&group, &"b".into(), [], 2).is_empty());
    }
}
