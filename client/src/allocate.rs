//! How the queues of a topic are divided among the consumers of a group.
//!
//! Every consumer computes the division for itself from the same sorted lists, so all strategies must be
//! deterministic, and equal to Java's where Java consumers are in the same group. Pure: no clock, no socket.
//!
//! Java counterparts: `AllocateMessageQueueStrategy` and the classes of `consumer.rebalance`.

use std::borrow::Cow;
use std::fmt;

use ferrocket_protocol::body::message_queue::MessageQueue;

mod consistent_hash;
mod machine_room;
mod md5;

pub use consistent_hash::ConsistentHash;
pub use machine_room::{MachineRoom, MachineRoomNearby, MachineRoomResolver};

/// Divides queues among consumers.
///
/// ```
/// use std::borrow::Cow;
///
/// use ferrocket::MessageQueue;
/// use ferrocket::allocate::{AllocateError, AllocateMessageQueueStrategy};
///
/// /// All queues to the first consumer; the others stand by.
/// struct OneAtWork;
///
/// impl AllocateMessageQueueStrategy for OneAtWork {
///     fn allocate(
///         &self,
///         _group: &str,
///         client_id: &str,
///         queues: &[MessageQueue],
///         clients: &[String],
///     ) -> Result<Vec<MessageQueue>, AllocateError> {
///         let is_first = clients.first().is_some_and(|first| first == client_id);
///         Ok(if is_first { queues.to_vec() } else { Vec::new() })
///     }
///
///     fn name(&self) -> Cow<'static, str> {
///         "ONE_AT_WORK".into()
///     }
/// }
/// ```
pub trait AllocateMessageQueueStrategy: Send + Sync + 'static {
    /// The queues of consumer `client_id` of `group`.
    ///
    /// `queues` (all of one topic) and `clients` (all consumer ids of the group) come sorted. A consumer that
    /// is not among `clients` gets nothing. On an error the consumer keeps the queues it has.
    fn allocate(
        &self,
        group: &str,
        client_id: &str,
        queues: &[MessageQueue],
        clients: &[String],
    ) -> Result<Vec<MessageQueue>, AllocateError>;

    /// Java's name of the strategy, for logs.
    fn name(&self) -> Cow<'static, str>;
}

/// Why no division is possible.
///
/// ```
/// use ferrocket::allocate::{AllocateError, AllocateMessageQueueStrategy, Averagely};
///
/// let divided = Averagely.allocate("billing", "10.0.0.7@1", &[], &["10.0.0.7@1".into()]);
/// assert_eq!(divided, Err(AllocateError::NoQueues));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AllocateError {
    /// The consumer's own id is empty.
    NoClientId,
    /// There are no queues.
    NoQueues,
    /// There are no consumers.
    NoClients,
    /// The machine room of this queue or consumer is not known.
    NoMachineRoom(String),
}

impl fmt::Display for AllocateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoClientId => f.write_str("the consumer's own id is empty"),
            Self::NoQueues => f.write_str("there are no queues to divide"),
            Self::NoClients => f.write_str("there are no consumers to divide among"),
            Self::NoMachineRoom(what) => write!(f, "the machine room of {what} is not known"),
        }
    }
}

impl std::error::Error for AllocateError {}

/// The place of `client_id` among `clients`; `None` if it is not there, which happens for a moment after a
/// consumer joined.
fn index_of(
    client_id: &str,
    queues: &[MessageQueue],
    clients: &[String],
) -> Result<Option<usize>, AllocateError> {
    if client_id.is_empty() {
        return Err(AllocateError::NoClientId);
    }
    if queues.is_empty() {
        return Err(AllocateError::NoQueues);
    }
    if clients.is_empty() {
        return Err(AllocateError::NoClients);
    }
    Ok(clients.iter().position(|client| client == client_id))
}

/// Runs of neighbouring queues, as even as possible; the default. Java: `AllocateMessageQueueAveragely`.
///
/// ```
/// use ferrocket::MessageQueue;
/// use ferrocket::allocate::{AllocateMessageQueueStrategy, Averagely};
///
/// let queues: Vec<_> = (0..5).map(|id| MessageQueue::new("Orders", "broker-a", id)).collect();
/// let members = ["a".to_owned(), "b".to_owned()];
/// assert_eq!(Averagely.allocate("billing", "a", &queues, &members)?, queues[..3]);
/// assert_eq!(Averagely.allocate("billing", "b", &queues, &members)?, queues[3..]);
/// # Ok::<(), ferrocket::allocate::AllocateError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Averagely;

impl AllocateMessageQueueStrategy for Averagely {
    fn allocate(
        &self,
        _group: &str,
        client_id: &str,
        queues: &[MessageQueue],
        clients: &[String],
    ) -> Result<Vec<MessageQueue>, AllocateError> {
        let Some(index) = index_of(client_id, queues, clients)? else { return Ok(Vec::new()) };
        // The first `longer` consumers get one queue more than the others.
        let longer = queues.len() % clients.len();
        let size = queues.len() / clients.len();
        let (start, len) =
            if index < longer { (index * (size + 1), size + 1) } else { (index * size + longer, size) };
        Ok(queues.iter().skip(start).take(len).cloned().collect())
    }

    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed("AVG")
    }
}

/// Every n-th queue. Java: `AllocateMessageQueueAveragelyByCircle`.
///
/// ```
/// use ferrocket::MessageQueue;
/// use ferrocket::allocate::{AllocateMessageQueueStrategy, AveragelyByCircle};
///
/// let queues: Vec<_> = (0..5).map(|id| MessageQueue::new("Orders", "broker-a", id)).collect();
/// let members = ["a".to_owned(), "b".to_owned()];
/// let shares = AveragelyByCircle.allocate("billing", "b", &queues, &members)?;
/// assert_eq!(shares, [queues[1].clone(), queues[3].clone()]);
/// # Ok::<(), ferrocket::allocate::AllocateError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct AveragelyByCircle;

impl AllocateMessageQueueStrategy for AveragelyByCircle {
    fn allocate(
        &self,
        _group: &str,
        client_id: &str,
        queues: &[MessageQueue],
        clients: &[String],
    ) -> Result<Vec<MessageQueue>, AllocateError> {
        let Some(index) = index_of(client_id, queues, clients)? else { return Ok(Vec::new()) };
        Ok(queues.iter().skip(index).step_by(clients.len()).cloned().collect())
    }

    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed("AVG_BY_CIRCLE")
    }
}

/// The queues given, whoever else is in the group. Java: `AllocateMessageQueueByConfig`.
///
/// ```
/// use ferrocket::MessageQueue;
/// use ferrocket::allocate::ByConfig;
///
/// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
/// // This instance, by its own configuration.
/// let mine = ByConfig::new([MessageQueue::new("Orders", "broker-a", 0)]);
/// let consumer = client.lite_pull_consumer("audit").subscribe("Orders", "*").allocate(mine).start().await?;
/// # Ok(()) }).unwrap();
/// ```
#[derive(Clone, Debug, Default)]
pub struct ByConfig {
    queues: Vec<MessageQueue>,
}

impl ByConfig {
    /// Always these queues.
    pub fn new(queues: impl IntoIterator<Item = MessageQueue>) -> Self {
        Self { queues: queues.into_iter().collect() }
    }
}

impl AllocateMessageQueueStrategy for ByConfig {
    fn allocate(
        &self,
        _group: &str,
        _client_id: &str,
        _queues: &[MessageQueue],
        _clients: &[String],
    ) -> Result<Vec<MessageQueue>, AllocateError> {
        Ok(self.queues.clone())
    }

    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed("CONFIG")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct BeforeDash;

    impl MachineRoomResolver for BeforeDash {
        fn broker_deploy_in(&self, queue: &MessageQueue) -> String {
            queue.broker_name.split('-').next().unwrap().to_owned()
        }

        fn consumer_deploy_in(&self, client_id: &str) -> String {
            client_id.split('-').next().unwrap().to_owned()
        }
    }

    fn queue(text: &str) -> MessageQueue {
        let (broker, id) = text.split_once('/').unwrap();
        MessageQueue { topic: "TopicTest".into(), broker_name: broker.into(), queue_id: id.parse().unwrap() }
    }

    fn strategy(text: &str) -> Box<dyn AllocateMessageQueueStrategy> {
        let words: Vec<&str> = text.split(' ').collect();
        match words[..] {
            ["AVG"] => Box::new(Averagely),
            ["AVG_BY_CIRCLE"] => Box::new(AveragelyByCircle),
            ["CONSISTENT_HASH", nodes] => Box::new(ConsistentHash::new(nodes.parse().unwrap())),
            ["CONFIG", ref queues @ ..] => Box::new(ByConfig::new(queues.iter().map(|text| queue(text)))),
            ["MACHINE_ROOM", ref rooms @ ..] => Box::new(MachineRoom::new(rooms.iter().copied())),
            ["MACHINE_ROOM_NEARBY", "AVG"] => Box::new(MachineRoomNearby::new(Averagely, BeforeDash)),
            ["MACHINE_ROOM_NEARBY", "AVG_BY_CIRCLE"] => {
                Box::new(MachineRoomNearby::new(AveragelyByCircle, BeforeDash))
            }
            _ => panic!("unknown strategy {text}"),
        }
    }

    /// All strategies divide as Java 4.9.8's classes did when the file was made by running them.
    #[test]
    fn divides_as_java_does() {
        let (mut cases, mut answers) = (0, 0);
        for case in include_str!("../testdata/allocate.txt").split("\n\n").skip(1) {
            cases += 1;
            let (mut chosen, mut name, mut queues, mut clients) = (None, "", Vec::new(), Vec::new());
            for line in case.lines() {
                match line.split_once(' ').unwrap() {
                    ("strategy", text) => chosen = Some(strategy(text)),
                    ("name", text) => name = text,
                    ("queues", text) => {
                        for part in text.split(' ') {
                            let (broker, count) = part.split_once('/').unwrap();
                            let count: i32 = count.parse().unwrap();
                            queues.extend((0..count).map(|id| queue(&format!("{broker}/{id}"))));
                        }
                        queues.sort();
                    }
                    ("consumers", text) => clients = text.split(' ').map(str::to_owned).collect(),
                    (client, answer) => {
                        answers += 1;
                        let chosen = chosen.as_ref().unwrap();
                        assert_eq!(chosen.name(), name);
                        let got = match chosen.allocate("group", client, &queues, &clients) {
                            Err(_) => "= error".to_owned(),
                            Ok(queues) => queues.iter().fold("=".to_owned(), |text, queue| {
                                text + &format!(" {}/{}", queue.broker_name, queue.queue_id)
                            }),
                        };
                        assert_eq!(got, answer, "{client} in\n{case}");
                    }
                }
            }
        }
        assert_eq!((cases, answers), (217, 989));
    }

    /// Lists that cannot be divided are refused, as in Java.
    #[test]
    fn refuses_empty_lists() {
        let (queues, clients) = (vec![queue("a/0")], vec!["c".to_owned()]);
        for strategy in [&Averagely as &dyn AllocateMessageQueueStrategy, &AveragelyByCircle] {
            assert_eq!(strategy.allocate("g", "", &queues, &clients), Err(AllocateError::NoClientId));
            assert_eq!(strategy.allocate("g", "c", &[], &clients), Err(AllocateError::NoQueues));
            assert_eq!(strategy.allocate("g", "c", &queues, &[]), Err(AllocateError::NoClients));
        }
    }
}
