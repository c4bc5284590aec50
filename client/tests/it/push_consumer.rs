//! Push consumers: what they consume, what they do when handlers fail, and what they tell the broker.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use ferrocket::{
    ConsumeOrderlyResult, ConsumeResult, ErrorKind, Message, MessageExt, MessageListenerConcurrently,
    MessageListenerOrderly, MessageModel, MessageQueue,
};
use ferrocket_protocol::body::group::{CMResult, ConsumeMessageDirectlyResult, ConsumerRunningInfo};
use ferrocket_protocol::body::lock::LockBatchRequestBody;
use ferrocket_protocol::body::offset::{GetConsumerStatusBody, ResetOffsetBody};
use ferrocket_protocol::properties::names;
use ferrocket_protocol::requests::client::{
    ConsumeMessageDirectlyHeader, GetConsumerRunningInfoHeader, NotifyConsumerIdsChangedHeader,
};
use ferrocket_protocol::requests::offset::{
    GetConsumerStatusHeader, ResetOffsetHeader, UpdateConsumerOffsetHeader,
};
use ferrocket_protocol::requests::pull::PullMessageHeader;
use ferrocket_protocol::requests::send::{ConsumerSendMsgBackHeader, SendMessageHeader};
use ferrocket_protocol::{Header, RemotingCommand, RequestCode, ResponseCode, fastjson};
use tokio::sync::{Semaphore, mpsc};

use crate::cluster::builder;
use crate::queue_broker::record;
use crate::world::{Handled, World, next, text};

/// Everything is consumed once, from the first offset; the end stores how far each queue got and signs off.
#[tokio::test]
async fn consumes_everything_once() {
    let world = World::new().await;
    for number in 0..200 {
        world.broker.store("T", number % 2, &number.to_string(), None);
    }
    let (sender, mut received) = mpsc::unbounded_channel();
    let handle = move |message: MessageExt| {
        sender.send(text(&message)).unwrap();
        async {}
    };
    let consumer = world.consumer().on_message(handle).start().await.unwrap();
    let mut texts = BTreeSet::new();
    for _ in 0..200 {
        assert!(texts.insert(next(&mut received).await));
    }
    world.broker.store("T", 1, "late", None);
    assert_eq!(next(&mut received).await, "late");
    assert_eq!(consumer.queues().len(), 3, "the retry topic's queue is one of them");
    consumer.shutdown().await;
    assert_eq!((world.broker.offset("T", 0), world.broker.offset("T", 1)), (Some(100), Some(101)));
    assert_eq!(world.broker.seen(RequestCode::UnregisterClient).len(), 1);
    assert!(received.try_recv().is_err());
    world.client.shutdown().await.unwrap();
}

/// A group without stored offsets begins at the end by default, and at stored ones afterwards.
#[tokio::test]
async fn begins_at_the_end_or_where_it_stopped() {
    let world = World::new().await;
    world.broker.store("T", 0, "old", None);
    world.broker.store("T", 1, "old", None);
    world.broker.store("T", 1, "new", None);
    world.broker.state.lock().unwrap().offsets.insert(("T".into(), 1), 1);
    let (sender, mut received) = mpsc::unbounded_channel();
    let handle = move |message: MessageExt| {
        sender.send(text(&message)).unwrap();
        async {}
    };
    let builder = world.client.push_consumer("g").subscribe("T", "*").on_message(handle);
    let consumer = builder.start().await.unwrap();
    assert_eq!(next(&mut received).await, "new");
    // Three pulls are held: the queues of T and of the retry topic.
    world.broker.wait_for(RequestCode::PullMessage, 3).await;
    world.broker.store("T", 0, "newer", None);
    assert_eq!(next(&mut received).await, "newer");
    consumer.shutdown().await;
}

/// Messages whose tags were not asked for are not handed out, even if the broker sends them.
#[tokio::test]
async fn filters_tags_again() {
    let world = World::new().await;
    for (body, tags) in [("1", Some("A")), ("2", Some("B")), ("3", None), ("4", Some("C"))] {
        world.broker.store("T", 0, body, tags);
    }
    let (sender, mut received) = mpsc::unbounded_channel();
    let handle = move |message: MessageExt| {
        sender.send(text(&message)).unwrap();
        async {}
    };
    let consumer = world.consumer().subscribe("T", "A || C").on_message(handle).start().await.unwrap();
    let got = BTreeSet::from([next(&mut received).await, next(&mut received).await]);
    assert_eq!(got, ["1", "4"].map(String::from).into());
    consumer.shutdown().await;
    assert_eq!(world.broker.offset("T", 0), Some(4));
}

/// Errors and panics give the message back to the broker, and it comes again under its own topic.
#[tokio::test]
async fn failures_come_again() {
    let world = World::new().await;
    for body in ["error", "panic", "level"] {
        world.broker.store("T", 0, body, None);
    }
    let (sender, mut received) = mpsc::unbounded_channel();
    let handle = move |message: MessageExt| {
        sender.send((text(&message), message.topic.to_string(), message.reconsume_times)).unwrap();
        async move {
            match (&*text(&message), message.reconsume_times) {
                ("error", 0) => Err("no".to_owned()),
                ("panic", 0) => panic!("the handler's panic"),
                ("level", 0) => Ok(ConsumeResult::ReconsumeAfterLevel(7)),
                _ => Ok(ConsumeResult::Success),
            }
        }
    };
    let consumer = world.consumer().on_message(handle).start().await.unwrap();
    let mut again = BTreeSet::new();
    while again.len() < 3 {
        let (body, topic, reconsume_times) = next(&mut received).await;
        assert_eq!(topic, "T");
        if reconsume_times == 1 {
            again.insert(body);
        }
    }
    let headers: Vec<ConsumerSendMsgBackHeader> = world
        .broker
        .seen(RequestCode::ConsumerSendMsgBack)
        .iter()
        .map(|request| Header::decode(&request.ext_fields).unwrap())
        .collect();
    assert_eq!(headers.len(), 3);
    assert!(headers.iter().all(|header| header.max_reconsume_times == Some(16)));
    assert_eq!(headers.iter().map(|header| header.delay_level).max(), Some(7));
    consumer.shutdown().await;
    assert_eq!((world.broker.offset("T", 0), world.broker.offset("%RETRY%g", 0)), (Some(3), Some(3)));
}

/// When the broker refuses to take a message back, a copy goes to the retry topic.
#[tokio::test]
async fn refused_send_backs_are_sent_anew() {
    let world = World::new().await;
    world.broker.state.lock().unwrap().refuse_send_back = true;
    world.broker.store("T", 0, "m", Some("A"));
    let (sender, mut received) = mpsc::unbounded_channel();
    let handle = move |message: MessageExt| {
        sender.send(message.reconsume_times).unwrap();
        async move { if message.reconsume_times == 0 { Err("no") } else { Ok(()) } }
    };
    let consumer = world.consumer().on_message(handle).start().await.unwrap();
    assert_eq!((next(&mut received).await, next(&mut received).await), (0, 1));
    let send = world.broker.seen(RequestCode::SendMessageV2).remove(0);
    let header = SendMessageHeader::decode_v2(&send.ext_fields).unwrap();
    assert_eq!((&*header.topic, header.reconsume_times), ("%RETRY%g", Some(1)));
    assert_eq!(header.max_reconsume_times, Some(16));
    let property = |name| ferrocket_protocol::properties::get(header.properties.as_deref().unwrap(), name);
    assert_eq!((property(names::RETRY_TOPIC), property(names::DELAY_TIME_LEVEL)), (Some("T"), Some("3")));
    assert_eq!(property(names::TAGS), Some("A"));
    assert!(property(names::ORIGIN_MESSAGE_ID).is_some());
    consumer.shutdown().await;
}

/// A batch handler may be done with the first messages only; the others come again, after the delay that it wants.
#[tokio::test]
async fn batches_may_be_done_in_part() {
    let world = World::new().await;
    for number in 0..4 {
        world.broker.store("T", 0, &number.to_string(), None);
    }
    let (sender, mut received) = mpsc::unbounded_channel();
    let handle = move |messages: Vec<MessageExt>| {
        sender
            .send(messages.iter().map(|message| (text(message), message.reconsume_times)).collect())
            .unwrap();
        let is_first = messages.len() > 1;
        async move {
            match is_first {
                true => ConsumeResult::SuccessOfThenLevel { done: 2, level: 5 },
                false => ConsumeResult::SuccessOf(1),
            }
        }
    };
    let builder = world.consumer().consume_message_batch_max_size(10).on_batch(handle);
    let consumer = builder.start().await.unwrap();
    let first: Vec<(String, i32)> = next(&mut received).await;
    assert_eq!(first, [("0", 0), ("1", 0), ("2", 0), ("3", 0)].map(|(body, n)| (body.to_owned(), n)));
    // Given back one after the other, and so perhaps handled one by one.
    let mut again = Vec::new();
    while again.len() < 2 {
        again.extend(next(&mut received).await);
    }
    assert_eq!(again, [("2".to_owned(), 1), ("3".to_owned(), 1)]);
    consumer.shutdown().await;
    let backs = world.broker.seen(RequestCode::ConsumerSendMsgBack);
    let levels =
        backs.iter().map(|back| ConsumerSendMsgBackHeader::decode(&back.ext_fields).unwrap().delay_level);
    assert_eq!(levels.collect::<Vec<_>>(), [5, 5]);
}

/// Reports each call, and fails the first of every message.
struct Listener(mpsc::UnboundedSender<Vec<(String, i32)>>);

impl Listener {
    fn consume(&self, messages: &[MessageExt]) -> Result<(), &'static str> {
        self.0
            .send(messages.iter().map(|message| (text(message), message.reconsume_times)).collect())
            .unwrap();
        messages.iter().all(|message| message.reconsume_times > 0).then_some(()).ok_or("not yet")
    }
}

#[async_trait]
impl MessageListenerConcurrently for Listener {
    async fn consume_message(&self, messages: Vec<MessageExt>) -> ConsumeResult {
        self.consume(&messages).into()
    }
}

#[async_trait]
impl MessageListenerOrderly for Listener {
    async fn consume_message(&self, messages: Vec<MessageExt>) -> ConsumeOrderlyResult {
        self.consume(&messages).into()
    }
}

/// Types with the listener traits consume like closures: in batches, and again what failed.
#[tokio::test]
async fn listeners_of_own_types() {
    let world = World::new().await;
    for body in ["0", "1"] {
        world.broker.store("T", 0, body, None);
    }
    let batch = |attempt: i32| vec![("0".to_owned(), attempt), ("1".to_owned(), attempt)];
    let pause = Duration::from_millis(10);
    let builder = || world.consumer().consume_message_batch_max_size(10).suspend_current_queue_time(pause);

    let (sender, mut received) = mpsc::unbounded_channel();
    let consumer = builder().orderly_listener(Listener(sender)).start().await.unwrap();
    assert_eq!((next(&mut received).await, next(&mut received).await), (batch(0), batch(1)));
    consumer.shutdown().await;
    assert_eq!(world.broker.offset("T", 0), Some(2));

    for body in ["0", "1"] {
        world.broker.store("T", 1, body, None);
    }
    let (sender, mut received) = mpsc::unbounded_channel();
    let consumer = builder().listener(Listener(sender)).start().await.unwrap();
    assert_eq!(next(&mut received).await, batch(0));
    // The retry topic may bring them one by one.
    let mut again = next(&mut received).await;
    while again.len() < 2 {
        again.extend(next(&mut received).await);
    }
    again.sort();
    assert_eq!(again, batch(1));
    consumer.shutdown().await;
    assert_eq!((world.broker.offset("T", 1), world.broker.offset("%RETRY%g", 0)), (Some(2), Some(2)));
}

/// A handler of single messages gets every message, also with a batch size set after it.
#[tokio::test]
async fn single_handlers_get_every_message() {
    let world = World::new().await;
    for number in 0..4 {
        world.broker.store("T", 0, &number.to_string(), None);
    }
    let (sender, mut received) = mpsc::unbounded_channel();
    let handle = move |message: MessageExt| {
        sender.send(text(&message)).unwrap();
        async {}
    };
    let builder = world.consumer().on_message(handle).consume_message_batch_max_size(10);
    let consumer = builder.start().await.unwrap();
    for number in 0..4 {
        assert_eq!(next(&mut received).await, number.to_string());
    }
    consumer.shutdown().await;
}

/// An offset that the broker has deleted already is corrected, and consumption goes on at what is left.
#[tokio::test]
async fn illegal_offsets_are_corrected() {
    let world = World::new().await;
    for number in 0..4 {
        world.broker.store("T", 0, &number.to_string(), None);
    }
    {
        let mut state = world.broker.state.lock().unwrap();
        state.min_offsets.insert(("T".into(), 0), 2);
        state.offsets.insert(("T".into(), 1), 7);
    }
    world.broker.store("T", 1, "below the stored offset", None);
    let (sender, mut received) = mpsc::unbounded_channel();
    let handle = move |message: MessageExt| {
        sender.send(text(&message)).unwrap();
        async {}
    };
    let delay = Duration::from_millis(10);
    let builder = world.consumer().pull_time_delay_when_exception(delay).on_message(handle);
    let consumer = builder.start().await.unwrap();
    assert_eq!((next(&mut received).await, next(&mut received).await), ("2".to_owned(), "3".to_owned()));
    world.broker.until(|seen| stores(seen, 1, 1)).await;
    consumer.shutdown().await;
    assert_eq!((world.broker.offset("T", 0), world.broker.offset("T", 1)), (Some(4), Some(1)));
}

/// A broker came back without its messages: all of more queues than the keeper has room for commands are corrected.
#[tokio::test]
async fn many_illegal_offsets_are_corrected() {
    let world = World::new().await;
    let queues = || (0..300).map(|queue_id| ("W".into(), queue_id));
    world.broker.state.lock().unwrap().offsets.extend(queues().map(|queue| (queue, 7)));
    let builder = world.client.push_consumer("g").subscribe("W", "*");
    let builder = builder.pull_time_delay_when_exception(Duration::from_millis(1));
    let consumer = builder.on_message(|_| async {}).start().await.unwrap();
    let state = Arc::clone(&world.broker.state);
    world.broker.until(|_| queues().all(|queue| state.lock().unwrap().offsets[&queue] == 0)).await;
    consumer.shutdown().await;
}

/// Whether this offset of a queue of T was to be stored.
fn stores(seen: &[RemotingCommand], queue_id: i32, offset: i64) -> bool {
    seen.iter().filter(|request| request.code == RequestCode::UpdateConsumerOffset.code()).any(|request| {
        let header = UpdateConsumerOffsetHeader::decode(&request.ext_fields).unwrap();
        (&*header.topic, header.queue_id, header.commit_offset) == ("T", queue_id, offset)
    })
}

/// Another member comes, with an id behind every other: the last queue of each topic becomes its.
async fn hand_last_queues_over(world: &World) {
    world.broker.state.lock().unwrap().other_members.insert("~".into());
    let header = NotifyConsumerIdsChangedHeader { consumer_group: "g".into() };
    let notify = RemotingCommand::request(RequestCode::NotifyConsumerIdsChanged, &header);
    world.broker.connection().oneway(notify).await.unwrap();
}

/// A pull of the queue T 0 at this offset, as it came.
fn pull_at(seen: &[RemotingCommand], offset: i64) -> Option<PullMessageHeader> {
    let pulls = seen.iter().filter(|request| request.code == RequestCode::PullMessage.code());
    let mut pulls = pulls.map(|request| PullMessageHeader::decode(&request.ext_fields).unwrap());
    pulls.find(|pull| (&*pull.topic, pull.queue_id, pull.queue_offset) == ("T", 0, offset))
}

/// A handler that tells what it gets and holds a queue's second message until the first semaphore has a permit; the
/// other one then gets a permit.
fn holding_the_second() -> (
    impl Fn(MessageExt) -> Handled + Send + Sync,
    mpsc::UnboundedReceiver<String>,
    Arc<Semaphore>,
    Arc<Semaphore>,
) {
    let (sender, received) = mpsc::unbounded_channel();
    let [gate, opened] = [(); 2].map(|()| Arc::new(Semaphore::new(0)));
    let (held, ended) = (Arc::clone(&gate), Arc::clone(&opened));
    let handle = move |message: MessageExt| -> Handled {
        sender.send(text(&message)).unwrap();
        let (held, ended) = (Arc::clone(&held), Arc::clone(&ended));
        Box::pin(async move {
            if message.queue_offset == 1 {
                held.acquire().await.unwrap().forget();
                ended.add_permits(1);
            }
        })
    };
    (handle, received, gate, opened)
}

/// A busy broker carries a pull out after the offset that a shutdown stores, and what the pull commits is older: the
/// end waits for the pull.
#[tokio::test]
async fn no_pull_takes_the_last_commit_back() {
    let world = World::new().await;
    for number in 0..6 {
        world.broker.store("T", 0, &number.to_string(), None);
    }
    world.broker.state.lock().unwrap().stalled_from = Some(2);
    let (handle, mut received, gate, opened) = holding_the_second();
    let consumer =
        world.consumer().concurrency(1).pull_batch_size(2).on_message(handle).start().await.unwrap();
    assert_eq!((next(&mut received).await, next(&mut received).await), ("0".to_owned(), "1".to_owned()));
    world.broker.until(|seen| pull_at(seen, 2).is_some()).await;
    // What is pulled next commits that the first message is consumed.
    world.broker.release(4);
    world.broker.until(|seen| pull_at(seen, 4).is_some()).await;
    let pull = pull_at(&world.broker.seen(RequestCode::PullMessage), 4).unwrap();
    assert_eq!((pull.sys_flag & 1, pull.commit_offset), (1, 1));
    let ending = consumer.clone();
    let mut ending = tokio::spawn(async move { ending.shutdown().await });
    gate.add_permits(1);
    opened.acquire().await.unwrap().forget();
    let early = tokio::time::timeout(Duration::from_millis(300), &mut ending).await;
    assert!(early.is_err(), "it ended before the pull");
    world.broker.release(i64::MAX);
    ending.await.unwrap();
    assert_eq!(world.broker.offset("T", 0), Some(2));
}

/// A pull that the broker holds because nothing more is there commits nothing older than what is consumed before its
/// answer, and the end does not wait for it.
#[tokio::test]
async fn held_pulls_commit_all_or_nothing() {
    let world = World::new().await;
    for number in 0..3 {
        world.broker.store("T", 0, &number.to_string(), None);
    }
    world.broker.state.lock().unwrap().stalled_from = Some(2);
    let (handle, mut received, gate, _) = holding_the_second();
    let consumer =
        world.consumer().concurrency(1).pull_batch_size(2).on_message(handle).start().await.unwrap();
    assert_eq!((next(&mut received).await, next(&mut received).await), ("0".to_owned(), "1".to_owned()));
    world.broker.until(|seen| pull_at(seen, 2).is_some()).await;
    world.broker.release(3);
    world.broker.until(|seen| pull_at(seen, 3).is_some()).await;
    gate.add_permits(1);
    assert_eq!(next(&mut received).await, "2");
    consumer.shutdown().await;
    world.broker.release(i64::MAX);
    assert_eq!(world.broker.offset("T", 0), Some(3));
}

/// A busy broker carries an offset out that was stored for a queue on its way to another consumer, while this one ends
/// with a later offset: the later one is written behind it.
#[tokio::test]
async fn the_last_offset_is_written_last() {
    let world = World::new().await;
    world.broker.store("T", 1, "0", None);
    world.broker.store("T", 1, "1", None);
    let (handle, mut received, gate, _) = holding_the_second();
    let consumer = world.consumer().concurrency(1).on_message(handle).start().await.unwrap();
    assert_eq!((next(&mut received).await, next(&mut received).await), ("0".to_owned(), "1".to_owned()));
    world.broker.state.lock().unwrap().stalls_updates = true;
    hand_last_queues_over(&world).await;
    world.broker.until(|seen| stores(seen, 1, 1)).await;
    world.broker.state.lock().unwrap().stalls_updates = false;
    let mut ending = tokio::spawn(async move { consumer.shutdown().await });
    gate.add_permits(1);
    let early = tokio::time::timeout(Duration::from_millis(300), &mut ending).await;
    assert!(early.is_err(), "it ended before what it had begun to store");
    world.broker.release(i64::MAX);
    ending.await.unwrap();
    assert_eq!(world.broker.offset("T", 1), Some(2));
}

/// In order: a failed message comes again before the next; the queue is locked, and unlocked only after its
/// offset is stored.
#[tokio::test]
async fn orderly_queues_wait_for_failures() {
    let world = World::new().await;
    for number in 0..4 {
        world.broker.store("T", 0, &number.to_string(), None);
    }
    let (sender, mut received) = mpsc::unbounded_channel();
    let handle = move |message: MessageExt| {
        sender.send((text(&message), message.reconsume_times)).unwrap();
        async move {
            match (message.queue_offset, message.reconsume_times) {
                (1, 0) => Err("not yet"),
                (1, 1) => panic!("not yet"),
                _ => Ok(()),
            }
        }
    };
    let pause = Duration::from_millis(10);
    let builder = world.consumer().suspend_current_queue_time(pause).on_message_orderly(handle);
    let consumer = builder.start().await.unwrap();
    for (body, reconsume_times) in [("0", 0), ("1", 0), ("1", 1), ("1", 2), ("2", 0), ("3", 0)] {
        assert_eq!(next(&mut received).await, (body.to_owned(), reconsume_times));
    }
    assert_eq!(world.broker.state.lock().unwrap().locks.len(), 3);
    consumer.shutdown().await;
    assert_eq!(world.broker.offset("T", 0), Some(4));
    assert!(world.broker.state.lock().unwrap().locks.is_empty());
    world
        .broker
        .until(|seen| {
            let at = |code: RequestCode| seen.iter().rposition(|request| request.code == code.code());
            at(RequestCode::UpdateConsumerOffset) < at(RequestCode::UnlockBatchMq)
        })
        .await;
}

/// A consumer whose connection was lost gives its locks back over another one when it stops.
#[tokio::test]
async fn locks_are_given_back_after_a_lost_connection() {
    let world = World::new().await;
    world.broker.store("T", 0, "m", None);
    let (sender, mut received) = mpsc::unbounded_channel();
    let handle = move |message: MessageExt| {
        sender.send(text(&message)).unwrap();
        async {}
    };
    let consumer = world.consumer().on_message_orderly(handle).start().await.unwrap();
    assert_eq!(next(&mut received).await, "m");
    let connections = std::mem::take(&mut world.broker.state.lock().unwrap().connections);
    for connection in connections {
        connection.close();
        connection.closed().await;
    }
    assert!(!world.broker.state.lock().unwrap().locks.is_empty());
    consumer.shutdown().await;
    assert!(world.broker.state.lock().unwrap().locks.is_empty());
}

/// The queue of an orderly consumer that died is left alone while the broker has it locked for that one, and is taken
/// when the lease is over.
#[tokio::test]
async fn a_dead_members_queue_is_taken_when_its_lease_ends() {
    let world = World::new().await;
    let queue = MessageQueue::new("T", "a", 0);
    world.broker.state.lock().unwrap().locks.insert(queue.clone(), "dead".into());
    for (queue_id, body) in [(0, "of the dead"), (1, "ours")] {
        world.broker.store("T", queue_id, body, None);
    }
    let (sender, mut received) = mpsc::unbounded_channel();
    let handle = move |message: MessageExt| {
        sender.send(text(&message)).unwrap();
        async {}
    };
    let consumer = world.consumer().on_message_orderly(handle).start().await.unwrap();
    assert_eq!(next(&mut received).await, "ours");
    let asked = |request: &&RemotingCommand| {
        request.code == RequestCode::LockBatchMq.code()
            && fastjson::from_slice::<LockBatchRequestBody>(&request.body)
                .is_ok_and(|body| body.mq_set.contains(&queue))
    };
    world.broker.until(|seen| seen.iter().filter(asked).count() >= 2).await;
    assert!(received.try_recv().is_err());
    world.broker.state.lock().unwrap().locks.remove(&queue);
    assert_eq!(next(&mut received).await, "of the dead");
    consumer.shutdown().await;
}

/// A consumer that is stopped while it takes a queue gives the lock back that it has already: the next one does not
/// have to wait for a minute.
#[tokio::test]
async fn a_lock_is_given_back_when_the_queue_was_not_taken_yet() {
    let world = World::new().await;
    world.broker.state.lock().unwrap().ignore_offset_query = true;
    let builder = world.consumer().on_message_orderly(|_: MessageExt| async {});
    let starting = tokio::spawn(builder.start());
    world.broker.wait_for(RequestCode::QueryConsumerOffset, 1).await;
    assert_eq!(world.broker.state.lock().unwrap().locks.len(), 1);
    let consumer = starting.await.unwrap().unwrap();
    consumer.shutdown().await;
    assert!(world.broker.state.lock().unwrap().locks.is_empty());
}

/// An orderly message out of attempts goes to the retry topic, where the broker makes a dead letter of it.
#[tokio::test]
async fn orderly_messages_run_out_of_attempts() {
    let world = World::new().await;
    world.broker.store("T", 0, "bad", None);
    world.broker.store("T", 0, "good", None);
    let (sender, mut received) = mpsc::unbounded_channel();
    let handle = move |message: MessageExt| {
        sender.send((text(&message), message.topic.to_string())).unwrap();
        async move { if message.body == "bad" && message.queue_offset == 0 { Err("no") } else { Ok(()) } }
    };
    let builder = world.consumer().max_reconsume_times(1).on_message_orderly(handle);
    let pause = Duration::from_millis(10);
    let consumer = builder.suspend_current_queue_time(pause).start().await.unwrap();
    for _ in 0..2 {
        assert_eq!(next(&mut received).await.0, "bad");
    }
    world.broker.wait_for(RequestCode::SendMessageV2, 1).await;
    let send = world.broker.seen(RequestCode::SendMessageV2).remove(0);
    let header = SendMessageHeader::decode_v2(&send.ext_fields).unwrap();
    assert_eq!((&*header.topic, header.reconsume_times), ("%RETRY%g", Some(1)));
    assert_eq!(header.max_reconsume_times, Some(1));
    let shutdown = async { while next(&mut received).await.0 != "good" {} };
    shutdown.await;
    consumer.shutdown().await;
    assert_eq!(world.broker.offset("T", 0), Some(2));
}

/// A queue that goes to another consumer is stored once more, and what its handlers answer later is void.
#[tokio::test]
async fn revoked_queues_are_not_committed() {
    let world = World::new().await;
    world.broker.store("T", 1, "0", None);
    world.broker.store("T", 1, "1", None);
    let gate = Arc::new(Semaphore::new(0));
    let (sender, mut received) = mpsc::unbounded_channel();
    let handle = {
        let gate = Arc::clone(&gate);
        move |message: MessageExt| {
            let (gate, sender) = (Arc::clone(&gate), sender.clone());
            async move {
                if message.body == "1" {
                    gate.acquire().await.unwrap().forget();
                }
                sender.send(text(&message)).unwrap();
            }
        }
    };
    let consumer = world.consumer().on_message(handle).start().await.unwrap();
    assert_eq!(next(&mut received).await, "0");
    hand_last_queues_over(&world).await;
    world.broker.until(|seen| stores(seen, 1, 1)).await;
    while consumer.queues().contains(&MessageQueue::new("T", "a", 1)) {
        tokio::task::yield_now().await;
    }
    gate.add_permits(1);
    assert_eq!(next(&mut received).await, "1");
    consumer.shutdown().await;
    assert_eq!(world.broker.offset("T", 1), Some(1), "the message belongs to the next consumer");
    assert_eq!(consumer.queues(), []);
}

/// The end waits for a running handler and stores its success; what has not started stays for later.
#[tokio::test]
async fn shutdown_waits_for_running_handlers() {
    let world = World::new().await;
    for number in 0..5 {
        world.broker.store("T", 0, &number.to_string(), None);
    }
    let gate = Arc::new(Semaphore::new(0));
    let (sender, mut received) = mpsc::unbounded_channel();
    let handle = {
        let gate = Arc::clone(&gate);
        move |message: MessageExt| {
            sender.send(text(&message)).unwrap();
            let gate = Arc::clone(&gate);
            async move { gate.acquire().await.unwrap().forget() }
        }
    };
    let consumer = world.consumer().concurrency(1).on_message(handle).start().await.unwrap();
    assert_eq!(next(&mut received).await, "0");
    let (_, ()) = tokio::join!(consumer.shutdown(), async { gate.add_permits(1) });
    assert_eq!(world.broker.offset("T", 0), Some(1));
    assert!(received.try_recv().is_err());
    // A second call finds it done.
    consumer.shutdown().await;
    assert_eq!(world.broker.seen(RequestCode::UnregisterClient).len(), 1);
}

/// A start that is given up leaves no member behind: the next one of the group begins as usual.
#[tokio::test]
async fn starts_can_be_given_up() {
    let world = World::new().await;
    world.broker.store("T", 0, "0", None);
    let start = || {
        let (sender, received) = mpsc::unbounded_channel();
        let handle = move |message: MessageExt| {
            sender.send(text(&message)).unwrap();
            async {}
        };
        (world.consumer().on_message(handle).start(), received)
    };
    tokio::select! {
        biased;
        started = start().0 => panic!("{started:?} before the broker has answered"),
        () = world.broker.wait_for(RequestCode::HeartBeat, 1) => {}
    }
    world.broker.wait_for(RequestCode::UnregisterClient, 1).await;
    let (starting, mut received) = start();
    let consumer = starting.await.unwrap();
    assert_eq!(next(&mut received).await, "0");
    consumer.shutdown().await;
}

/// Handlers that finish while the client ends send what they have to; once they are through, nobody does.
#[tokio::test]
async fn handlers_send_until_they_are_through() {
    let world = World::new().await;
    world.broker.store("T", 0, "0", None);
    let producer = world.client.producer("p").start().await.unwrap();
    let (sender, mut received) = mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let handle = {
        let (gate, producer) = (Arc::clone(&gate), producer.clone());
        move |message: MessageExt| {
            sender.send(text(&message)).unwrap();
            let (gate, producer) = (Arc::clone(&gate), producer.clone());
            async move {
                gate.acquire().await.unwrap().forget();
                producer.send(Message::new("U", message.body)).await.map(drop)
            }
        }
    };
    world.consumer().on_message(handle).start().await.unwrap();
    assert_eq!(next(&mut received).await, "0");
    let (ended, ()) = tokio::join!(world.client.shutdown(), async { gate.add_permits(1) });
    ended.unwrap();
    assert_eq!(world.broker.seen(RequestCode::SendMessageV2)[0].body, "0");
    assert_eq!((world.broker.offset("T", 0), received.try_recv().is_err()), (Some(1), true));
    assert_eq!(producer.send(Message::new("U", "late")).await.unwrap_err().kind(), ErrorKind::Closed);
}

/// A shutdown goes on when whoever began it gives up, the client's and the consumer's.
#[tokio::test]
async fn shutdowns_go_on() {
    async fn given_up(shutdown: impl Future<Output: Debug>) {
        tokio::select! {
            biased;
            ended = shutdown => panic!("{ended:?} while a handler runs"),
            () = std::future::ready(()) => {}
        }
    }
    for of_client in [false, true] {
        let world = World::new().await;
        let mut events = world.client.events();
        world.broker.store("T", 0, "0", None);
        let (sender, mut received) = mpsc::unbounded_channel();
        let gate = Arc::new(Semaphore::new(0));
        let held = Arc::clone(&gate);
        let handle = move |message: MessageExt| {
            sender.send(text(&message)).unwrap();
            let held = Arc::clone(&held);
            async move { held.acquire().await.unwrap().forget() }
        };
        let consumer = world.consumer().on_message(handle).start().await.unwrap();
        assert_eq!(next(&mut received).await, "0");
        match of_client {
            true => given_up(world.client.shutdown()).await,
            false => given_up(consumer.shutdown()).await,
        }
        gate.add_permits(1);
        // Another one waits for the first.
        world.client.shutdown().await.unwrap();
        assert_eq!(world.broker.seen(RequestCode::UnregisterClient).len(), 1);
        assert_eq!(world.broker.offset("T", 0), Some(1));
        let ended = async { while events.next().await.is_some() {} };
        tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap();
    }
}

/// An administrator's reset throws away what is in memory and begins again at the offset given.
#[tokio::test]
async fn offsets_can_be_reset() {
    let world = World::new().await;
    for number in 0..3 {
        world.broker.store("T", 0, &number.to_string(), None);
    }
    let (sender, mut received) = mpsc::unbounded_channel();
    let handle = move |message: MessageExt| {
        sender.send(text(&message)).unwrap();
        async {}
    };
    let consumer = world.consumer().concurrency(1).on_message(handle).start().await.unwrap();
    for number in 0..3 {
        assert_eq!(next(&mut received).await, number.to_string());
    }
    world.broker.connection().oneway(reset_to(1)).await.unwrap();
    assert_eq!((next(&mut received).await, next(&mut received).await), ("1".to_owned(), "2".to_owned()));
    consumer.shutdown().await;
    assert_eq!(world.broker.offset("T", 0), Some(3));
}

/// A reset of the queue T 0, as an administrator has the broker send it.
fn reset_to(offset: i64) -> RemotingCommand {
    let header =
        ResetOffsetHeader { group: "g".into(), topic: "T".into(), timestamp: 0, ..Default::default() };
    let body = ResetOffsetBody { offset_table: [(MessageQueue::new("T", "a", 0), offset)].into() };
    RemotingCommand::request(RequestCode::ResetConsumerClientOffset, &header)
        .with_body(fastjson::to_vec(&body))
}

/// A reset that comes before the consumer has got its queues is not lost.
#[tokio::test]
async fn early_resets_are_kept() {
    let world = World::new().await;
    for number in 0..3 {
        world.broker.store("T", 0, &number.to_string(), None);
    }
    {
        let mut state = world.broker.state.lock().unwrap();
        state.offsets.insert(("T".into(), 0), 3);
        state.ignore_offset_query = true;
    }
    let (sender, mut received) = mpsc::unbounded_channel();
    let handle = move |message: MessageExt| {
        sender.send(text(&message)).unwrap();
        async {}
    };
    let client = builder(&world.names).mq_client_api_timeout(Duration::from_secs(1)).build().unwrap();
    let consumer = client.push_consumer("g").subscribe("T", "*").concurrency(1).on_message(handle);
    let consumer = consumer.start().await.unwrap();
    // The first is for the retry topic's queue.
    world.broker.wait_for(RequestCode::QueryConsumerOffset, 2).await;
    world.broker.connection().oneway(reset_to(1)).await.unwrap();
    world.broker.state.lock().unwrap().ignore_offset_query = false;
    assert_eq!((next(&mut received).await, next(&mut received).await), ("1".to_owned(), "2".to_owned()));
    consumer.shutdown().await;
    assert_eq!(world.broker.offset("T", 0), Some(3));
}

/// Broadcasting asks no one for its share, keeps offsets in a file, and does not try again.
#[tokio::test]
async fn broadcasting_keeps_offsets_in_a_file() {
    let dir = std::env::temp_dir().join(format!("ferrocket-broadcasting-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    let world = World::new().await;
    world.broker.store("T", 0, "0", None);
    let texts = Arc::new(Mutex::new(Vec::new()));
    for body in ["0", "1"] {
        let (sender, mut received) = mpsc::unbounded_channel();
        let handle = move |message: MessageExt| {
            sender.send(text(&message)).unwrap();
            async { Err::<(), _>("broadcasting does not care") }
        };
        let builder = world.consumer().message_model(MessageModel::Broadcasting).on_message(handle);
        let consumer = builder.local_offset_store_dir(&dir).start().await.unwrap();
        assert_eq!(next(&mut received).await, body);
        consumer.shutdown().await;
        texts.lock().unwrap().push(body);
        world.broker.store("T", 0, "1", None);
    }
    for code in [
        RequestCode::GetConsumerListByGroup,
        RequestCode::ConsumerSendMsgBack,
        RequestCode::UpdateConsumerOffset,
        RequestCode::QueryConsumerOffset,
    ] {
        assert!(world.broker.seen(code).is_empty(), "{code}");
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

/// Administrators see the consumer's queues and settings, and can have it handle one message.
#[tokio::test]
async fn administrators_look_inside() {
    let world = World::new().await;
    world.broker.store("T", 0, "0", None);
    // Consumed before, by this group.
    world.broker.store("T", 1, "1", None);
    world.broker.state.lock().unwrap().offsets.insert(("T".into(), 1), 1);
    let (sender, mut received) = mpsc::unbounded_channel();
    let handle = move |message: MessageExt| {
        sender.send(text(&message)).unwrap();
        async move { if message.body == "bad" { Err("no stock") } else { Ok(()) } }
    };
    let consumer = world.consumer().on_message(handle).start().await.unwrap();
    assert_eq!(next(&mut received).await, "0");
    world.broker.wait_for(RequestCode::PullMessage, 4).await;
    let connection = world.broker.connection();
    let ask = async |request| {
        let reply = connection.call(request, Duration::from_secs(5)).await.unwrap();
        assert_eq!(reply.response_code(), ResponseCode::SUCCESS);
        reply.body
    };
    let header = GetConsumerRunningInfoHeader {
        consumer_group: "g".into(),
        client_id: world.client.client_id().into(),
        jstack_enable: None,
    };
    let body = ask(RemotingCommand::request(RequestCode::GetConsumerRunningInfo, &header)).await;
    let info: ConsumerRunningInfo = fastjson::from_slice(&body).unwrap();
    assert_eq!(info.mq_table[&MessageQueue::new("T", "a", 0)].commit_offset, 1);
    assert_eq!(info.properties["PROP_CONSUMEORDERLY"], "false");
    assert_eq!(info.properties["PROP_CONSUME_TYPE"], "CONSUME_PASSIVELY");
    assert!(info.status_table["T"].consume_ok_tps > 0.0);
    assert_eq!(info.subscription_set.len(), 2);

    for (topic, group, offsets) in [("T", "g", &[(0, 1), (1, 1)][..]), ("U", "g", &[]), ("T", "nobody", &[])]
    {
        let header = GetConsumerStatusHeader { topic: topic.into(), group: group.into(), client_addr: None };
        let body = ask(RemotingCommand::request(RequestCode::GetConsumerStatusFromClient, &header)).await;
        let status: GetConsumerStatusBody = fastjson::from_slice(&body).unwrap();
        let told: Vec<_> = status.message_queue_table.into_iter().collect();
        let queue = |(id, offset): &(i32, i64)| (MessageQueue::new("T", "a", *id), *offset);
        assert_eq!(told, offsets.iter().map(queue).collect::<Vec<_>>(), "{topic} {group}");
    }

    let mut body = Vec::new();
    record("T".into(), 0, "bad".into(), "".into()).encode(&mut body);
    let header = ConsumeMessageDirectlyHeader {
        consumer_group: "g".into(),
        broker_name: Some("a".into()),
        ..Default::default()
    };
    let request = RemotingCommand::request(RequestCode::ConsumeMessageDirectly, &header).with_body(body);
    let result: ConsumeMessageDirectlyResult = fastjson::from_slice(&ask(request).await).unwrap();
    assert_eq!(result.consume_result, CMResult::ThrowException);
    assert_eq!((result.remark.as_deref(), result.order), (Some("no stock"), false));
    consumer.shutdown().await;
}
