//! Strategies that know where brokers and consumers stand.
//!
//! Java counterparts: `AllocateMessageQueueByMachineRoom`, `AllocateMachineRoomNearby`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use ferrocket_protocol::body::message_queue::MessageQueue;

use super::{AllocateError, AllocateMessageQueueStrategy, index_of};

/// Only the queues of the given rooms, where a broker's name says its room: `room@name`.
/// Java: `AllocateMessageQueueByMachineRoom`.
///
/// ```
/// use ferrocket::MessageQueue;
/// use ferrocket::allocate::{AllocateMessageQueueStrategy, MachineRoom};
///
/// let (near, far) = (MessageQueue::new("T", "room1@broker-a", 0), MessageQueue::new("T", "room2@broker-b", 0));
/// let mine = MachineRoom::new(["room1"]).allocate("g", "a", &[near.clone(), far], &["a".into()])?;
/// assert_eq!(mine, [near]);
/// # Ok::<(), ferrocket::allocate::AllocateError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct MachineRoom {
    rooms: BTreeSet<String>,
}

impl MachineRoom {
    /// The queues of brokers in these rooms.
    pub fn new<R: Into<String>>(rooms: impl IntoIterator<Item = R>) -> Self {
        Self { rooms: rooms.into_iter().map(Into::into).collect() }
    }
}

impl AllocateMessageQueueStrategy for MachineRoom {
    fn allocate(
        &self,
        _group: &str,
        client_id: &str,
        queues: &[MessageQueue],
        clients: &[String],
    ) -> Result<Vec<MessageQueue>, AllocateError> {
        let Some(index) = index_of(client_id, queues, clients)? else { return Ok(Vec::new()) };
        let near: Vec<&MessageQueue> = queues
            .iter()
            .filter(|queue| room(&queue.broker_name).is_some_and(|r| self.rooms.contains(r)))
            .collect();
        // Equal runs first; what is left over goes to the first consumers, one each.
        let size = near.len() / clients.len();
        let run = near.iter().skip(size * index).take(size);
        let left_over = near.iter().skip(size * clients.len()).nth(index);
        Ok(run.chain(left_over).map(|queue| (*queue).clone()).collect())
    }

    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed("MACHINE_ROOM")
    }
}

/// The room in `room@name`. Java splits at every `@` and forgets empty parts at the end.
fn room(broker_name: &str) -> Option<&str> {
    let (room, name) = broker_name.trim_end_matches('@').split_once('@')?;
    (!name.contains('@')).then_some(room)
}

/// Says in which machine room a broker or a consumer stands. An empty answer is an error.
///
/// ```
/// use ferrocket::MessageQueue;
/// use ferrocket::allocate::MachineRoomResolver;
///
/// /// Brokers are named after their room, clients by their network.
/// struct Rooms;
///
/// impl MachineRoomResolver for Rooms {
///     fn broker_deploy_in(&self, queue: &MessageQueue) -> String {
///         queue.broker_name.split('-').next().unwrap_or_default().to_owned()
///     }
///
///     fn consumer_deploy_in(&self, client_id: &str) -> String {
///         if client_id.starts_with("10.1.") { "room1".into() } else { "room2".into() }
///     }
/// }
/// ```
pub trait MachineRoomResolver: Send + Sync + 'static {
    /// The room of the queue's broker.
    fn broker_deploy_in(&self, queue: &MessageQueue) -> String;
    /// The room of the consumer.
    fn consumer_deploy_in(&self, client_id: &str) -> String;
}

/// The queues of the consumer's own room go to the consumers there; rooms without consumers are divided among
/// all. Java: `AllocateMachineRoomNearby`.
///
/// ```
/// use ferrocket::MessageQueue;
/// use ferrocket::allocate::{AllocateMessageQueueStrategy, Averagely, MachineRoomNearby, MachineRoomResolver};
///
/// # struct Rooms;
/// # impl MachineRoomResolver for Rooms {
/// #     fn broker_deploy_in(&self, queue: &MessageQueue) -> String { queue.broker_name[..5].to_owned() }
/// #     fn consumer_deploy_in(&self, client_id: &str) -> String { client_id[..5].to_owned() }
/// # }
/// // `Rooms` says where everybody stands.
/// let strategy = MachineRoomNearby::new(Averagely, Rooms);
/// let queues = [MessageQueue::new("T", "room1-a", 0), MessageQueue::new("T", "room2-a", 0)];
/// let mine = strategy.allocate("g", "room2-x", &queues, &["room1-x".into(), "room2-x".into()])?;
/// assert_eq!(mine, queues[1..]);
/// # Ok::<(), ferrocket::allocate::AllocateError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct MachineRoomNearby<S, R> {
    strategy: S,
    resolver: R,
}

impl<S: AllocateMessageQueueStrategy, R: MachineRoomResolver> MachineRoomNearby<S, R> {
    /// Divides with `strategy` within what `resolver` says are the rooms.
    pub fn new(strategy: S, resolver: R) -> Self {
        Self { strategy, resolver }
    }
}

impl<S: AllocateMessageQueueStrategy, R: MachineRoomResolver> AllocateMessageQueueStrategy
    for MachineRoomNearby<S, R>
{
    fn allocate(
        &self,
        group: &str,
        client_id: &str,
        queues: &[MessageQueue],
        clients: &[String],
    ) -> Result<Vec<MessageQueue>, AllocateError> {
        if index_of(client_id, queues, clients)?.is_none() {
            return Ok(Vec::new());
        }
        let mut queues_by_room: BTreeMap<String, Vec<MessageQueue>> = BTreeMap::new();
        for queue in queues {
            let room = known(self.resolver.broker_deploy_in(queue), || queue.to_string())?;
            queues_by_room.entry(room).or_default().push(queue.clone());
        }
        let mut clients_by_room: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for client in clients {
            let room = known(self.resolver.consumer_deploy_in(client), || client.clone())?;
            clients_by_room.entry(room).or_default().push(client.clone());
        }
        let mut allocated = Vec::new();
        let own_room = self.resolver.consumer_deploy_in(client_id);
        if let (Some(queues), Some(clients)) =
            (queues_by_room.remove(&own_room), clients_by_room.get(&own_room))
        {
            allocated = self.strategy.allocate(group, client_id, &queues, clients)?;
        }
        for (room, queues) in &queues_by_room {
            if !clients_by_room.contains_key(room) {
                allocated.extend(self.strategy.allocate(group, client_id, queues, clients)?);
            }
        }
        Ok(allocated)
    }

    fn name(&self) -> Cow<'static, str> {
        Cow::Owned(format!("MACHINE_ROOM_NEARBY-{}", self.strategy.name()))
    }
}

fn known(room: String, what: impl FnOnce() -> String) -> Result<String, AllocateError> {
    if room.is_empty() { Err(AllocateError::NoMachineRoom(what())) } else { Ok(room) }
}
