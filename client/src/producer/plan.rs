//! How often, where and for how long one send is tried.
//!
//! Pure: routes, faults and the time come in. Java counterparts: the loop of `sendDefaultImpl`,
//! `TopicPublishInfo.selectOneMessageQueue`, `MQFaultStrategy.selectOneMessageQueue`,
//! `SelectMessageQueueByHash`.

use ferrocket_protocol::body::message_queue::MessageQueue;
use ferrocket_protocol::message::java_hash;
use ferrocket_protocol::{ResponseCode, Text};

use crate::error::{Error, ErrorKind};
use crate::fault::Faults;
use crate::route::TopicRoute;

/// The broker answers after which another broker is tried.
const RETRY_CODES: [ResponseCode; 7] = [
    ResponseCode::TOPIC_NOT_EXIST,
    ResponseCode::SERVICE_NOT_AVAILABLE,
    ResponseCode::SYSTEM_ERROR,
    ResponseCode::NO_PERMISSION,
    ResponseCode::NO_BUYER_ID,
    ResponseCode::NOT_IN_CURRENT_UNIT,
    // Java 5: the broker is about to stop, and has not stored it.
    ResponseCode::GO_AWAY,
];

/// What is left of one send.
#[derive(Debug)]
pub(crate) struct SendPlan {
    attempts_left: u32,
    deadline_ms: i64,
}

impl SendPlan {
    /// One attempt and `retries` more, all within `timeout_ms`.
    pub(crate) fn new(retries: u32, now_ms: i64, timeout_ms: i64) -> Self {
        Self { attempts_left: retries.saturating_add(1), deadline_ms: now_ms.saturating_add(timeout_ms) }
    }

    /// The time counts from now.
    pub(crate) fn restart(&mut self, now_ms: i64, timeout_ms: i64) {
        self.deadline_ms = now_ms.saturating_add(timeout_ms);
    }

    /// No second attempt: the queue was chosen by the caller.
    pub(crate) fn only_once(&mut self) {
        self.attempts_left = self.attempts_left.min(1);
    }

    /// Milliseconds until the time is up; `None` once it is.
    pub(crate) fn remaining_ms(&self, now_ms: i64) -> Option<i64> {
        Some(self.deadline_ms - now_ms).filter(|left| *left > 0)
    }

    /// Whether one more attempt is due.
    pub(crate) fn has_attempt(&self) -> bool {
        self.attempts_left > 0
    }

    /// Whether yet another attempt may follow the next one.
    pub(crate) fn has_another(&self) -> bool {
        self.attempts_left > 1
    }

    /// One attempt is made.
    pub(crate) fn attempt(&mut self) {
        self.attempts_left = self.attempts_left.saturating_sub(1);
    }
}

/// Whether after `error` the same message may be tried on another broker.
pub(crate) fn tries_again(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Connect | ErrorKind::Timeout | ErrorKind::NoBroker => true,
        // Busy may be our own limit (no code) or the broker's answer, which 4.9 does not retry.
        ErrorKind::FlowControl => error.code().is_none(),
        ErrorKind::Broker => error.code().is_some_and(|code| RETRY_CODES.contains(&ResponseCode(code))),
        _ => false,
    }
}

/// The queue for the next attempt: by turns, not on the broker that just failed; with `faults`, on brokers
/// that are well. `turn` grows with every look. `None` if the route has no queue to write to.
pub(crate) fn choose_queue(
    route: &TopicRoute,
    last_broker: Option<&Text>,
    faults: Option<&mut Faults>,
    now_ms: i64,
    mut turn: impl FnMut() -> usize,
) -> Option<MessageQueue> {
    let queues = route.publish_queues();
    let by_turn = |turn: usize| queues.get(turn.checked_rem(queues.len())?).cloned();
    if let Some(faults) = faults {
        let start = turn();
        let well = (0..queues.len())
            .filter_map(|step| by_turn(start.wrapping_add(step)))
            .find(|queue| faults.is_available(&queue.broker_name, now_ms));
        if well.is_some() {
            return well;
        }
        if let Some(broker) = faults.least_bad(now_ms) {
            match route.write_queue_nums(&broker) {
                Some(nums) if nums > 0 => {
                    let queue_id = i32::try_from(turn() % nums as usize).ok()?;
                    let topic = queues.first()?.topic.clone();
                    return Some(MessageQueue { topic, broker_name: broker, queue_id });
                }
                _ => faults.forget(&broker),
            }
        }
        return by_turn(turn());
    }
    if let Some(last) = last_broker {
        let elsewhere =
            queues.iter().find_map(|_| by_turn(turn()).filter(|queue| queue.broker_name != *last));
        if elsewhere.is_some() {
            return elsewhere;
        }
    }
    by_turn(turn())
}

/// One queue of each broker of a route but this one, by turns.
pub(crate) fn other_brokers<'a>(
    route: &'a TopicRoute,
    this: &str,
    turn: usize,
) -> impl Iterator<Item = &'a MessageQueue> {
    let queues = route.publish_queues();
    // Ordered by broker: when it is the first and the last, it is the only one.
    let is_this = |queue: Option<&MessageQueue>| queue.is_some_and(|queue| *queue.broker_name == *this);
    let queues = if is_this(queues.first()) && is_this(queues.last()) { &[] } else { queues };
    let of_brokers = queues.chunk_by(|a, b| a.broker_name == b.broker_name);
    let by_turn = of_brokers.filter_map(move |queues| queues.get(turn.checked_rem(queues.len())?));
    by_turn.filter(move |queue| *queue.broker_name != *this)
}

/// The place in a list of `len` queues that all messages with this key go to.
pub(crate) fn hash_index(key: &str, len: usize) -> Option<usize> {
    let len = i32::try_from(len).ok().filter(|len| *len > 0)?;
    Some(java_hash(key).wrapping_rem(len).unsigned_abs() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::tests::two_brokers;

    fn counter() -> impl FnMut() -> usize {
        let mut at = 0;
        move || {
            at += 1;
            at
        }
    }

    /// Queues take turns over all brokers.
    #[test]
    fn queues_take_turns() {
        let (route, mut turn) = (two_brokers(2), counter());
        let picked: Vec<_> = (0..5)
            .filter_map(|_| choose_queue(&route, None, None, 0, &mut turn))
            .map(|queue| (queue.broker_name.to_string(), queue.queue_id))
            .collect();
        let expect = [("a", 1), ("b", 0), ("b", 1), ("a", 0), ("a", 1)];
        assert_eq!(picked, expect.map(|(name, id)| (name.to_owned(), id)));
    }

    /// After a failure the other broker is next; with one broker it is that one again.
    #[test]
    fn a_failed_broker_is_left_aside() {
        let (route, mut turn) = (two_brokers(4), counter());
        for _ in 0..8 {
            let queue = choose_queue(&route, Some(&"a".into()), None, 0, &mut turn).unwrap();
            assert_eq!(&*queue.broker_name, "b");
        }
        let one = TopicRoute::for_test("T", &[("a", 2)]);
        assert_eq!(&*choose_queue(&one, Some(&"a".into()), None, 0, &mut turn).unwrap().broker_name, "a");
        assert_eq!(choose_queue(&TopicRoute::for_test("T", &[]), None, None, 0, &mut turn), None);
    }

    /// With fault avoidance on, slow brokers get nothing while another is well, and share when none is.
    #[test]
    fn slow_brokers_are_avoided() {
        let (route, mut turn, mut faults) = (two_brokers(2), counter(), Faults::default());
        faults.record(&"a".into(), 2_000, false, 0);
        for _ in 0..8 {
            let queue = choose_queue(&route, None, Some(&mut faults), 1, &mut turn).unwrap();
            assert_eq!(&*queue.broker_name, "b");
        }
        faults.record(&"b".into(), 3_000, false, 1);
        let queue = choose_queue(&route, None, Some(&mut faults), 2, &mut turn).unwrap();
        assert_eq!(&*queue.broker_name, "a");
        // A remembered broker that is in no route is forgotten, and any queue will do.
        faults.record(&"gone".into(), 600, false, 2);
        faults.record(&"gone".into(), 600, true, 2);
        assert!(choose_queue(&route, None, Some(&mut faults), 2, &mut turn).is_some());
    }

    /// The other brokers are all that are not the one whose window is full, each with its queues in turn.
    #[test]
    fn other_brokers_have_one_queue_each() {
        let route = TopicRoute::for_test("T", &[("a", 2), ("b", 3), ("c", 1)]);
        let others = |this, turn| {
            let all = other_brokers(&route, this, turn);
            all.map(|queue| format!("{}{}", queue.broker_name, queue.queue_id)).collect::<Vec<_>>()
        };
        assert_eq!(others("b", 0), ["a0", "c0"]);
        assert_eq!(others("c", 4), ["a0", "b1"]);
        let route = TopicRoute::for_test("T", &[("a", 2)]);
        assert_eq!(other_brokers(&route, "a", 0).count(), 0);
    }

    /// The plan counts attempts and time.
    #[test]
    fn plans_end() {
        let mut plan = SendPlan::new(2, 100, 3_000);
        for has_another in [true, true, false] {
            assert!(plan.has_attempt());
            assert_eq!(plan.has_another(), has_another);
            plan.attempt();
        }
        assert!(!plan.has_attempt());
        assert_eq!(plan.remaining_ms(100), Some(3_000));
        assert_eq!(plan.remaining_ms(3_099), Some(1));
        assert_eq!(plan.remaining_ms(3_100), None);
    }

    /// Java 4.9's six codes are retried, and what happens on the way there; busy and illegal are not.
    #[test]
    fn what_is_tried_again() {
        for code in [17, 14, 1, 16, 204, 205, 1500] {
            assert!(tries_again(&Error::broker(ResponseCode(code), None, "a:1")), "{code}");
        }
        for code in [2, 13, 215] {
            assert!(!tries_again(&Error::broker(ResponseCode(code), None, "a:1")), "{code}");
        }
        assert!(tries_again(&Error::new(ErrorKind::Timeout, "")));
        assert!(!tries_again(&Error::new(ErrorKind::InvalidMessage, "")));
    }

    /// The same queue as Java's SelectMessageQueueByHash, also for negative hashes.
    #[test]
    fn hashes_choose_javas_queue() {
        assert_eq!(hash_index("a", 4), Some(1)); // hash 97
        assert_eq!(hash_index("customer-7", 4), Some((java_hash("customer-7") % 4).unsigned_abs() as usize));
        assert_eq!(java_hash("polygenelubricants"), i32::MIN);
        assert_eq!(hash_index("polygenelubricants", 3), Some(2)); // MIN % 3 is -2
        assert_eq!(hash_index("a", 0), None);
    }
}
