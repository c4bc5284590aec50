//! What becomes of messages whose handler does not come to an end, or cannot be given back to the broker.

use std::sync::Arc;
use std::time::Duration;

use ferrocket::MessageExt;
use ferrocket_protocol::requests::send::ConsumerSendMsgBackHeader;
use ferrocket_protocol::{Header, RequestCode};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use crate::world::{World, next, stuck, text};

/// How often the client sends the copy of a message that the broker does not take back.
const SEND_ATTEMPTS: usize = 3;
/// How often stuck messages are looked for, and how long a handler may take.
const ROUND: Duration = Duration::from_millis(20);

/// A message whose handler is stuck is given back once, is consumed elsewhere, and does not hold up its queue's
/// offset; what the handler says in the end is void.
#[tokio::test]
async fn a_stuck_handler_loses_its_message() {
    let world = World::new().await;
    for body in ["stuck", "quick"] {
        world.broker.store("T", 0, body, None);
    }
    let (gate, ended) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (sender, mut received) = mpsc::unbounded_channel();
    let handle = {
        let (gate, ended) = (Arc::clone(&gate), Arc::clone(&ended));
        move |message: MessageExt| {
            sender.send((text(&message), message.topic.to_string(), message.reconsume_times)).unwrap();
            let (gate, ended) = (Arc::clone(&gate), Arc::clone(&ended));
            async move {
                if text(&message) == "stuck" && message.reconsume_times == 0 {
                    gate.acquire().await.unwrap().forget();
                    ended.add_permits(1);
                    return Err("too late");
                }
                Ok(())
            }
        }
    };
    let builder = world.consumer().concurrency(2).consume_timeout(ROUND);
    let consumer = builder.on_message(handle).start().await.unwrap();
    let mut deliveries = Vec::new();
    for _ in 0..3 {
        deliveries.push(next(&mut received).await);
    }
    deliveries.sort_by_key(|(_, _, reconsume_times)| *reconsume_times);
    assert_eq!(deliveries.pop().unwrap(), ("stuck".to_owned(), "T".to_owned(), 1));
    let backs = world.broker.seen(RequestCode::ConsumerSendMsgBack);
    let header = ConsumerSendMsgBackHeader::decode(&backs[0].ext_fields).unwrap();
    assert_eq!((header.delay_level, header.max_reconsume_times), (3, Some(16)));

    gate.add_permits(1);
    ended.acquire().await.unwrap().forget();
    consumer.shutdown().await;
    assert_eq!((world.broker.offset("T", 0), world.broker.offset("%RETRY%g", 0)), (Some(2), Some(1)));
    assert_eq!(world.broker.seen(RequestCode::ConsumerSendMsgBack).len(), 1);
    assert!(received.try_recv().is_err());
}

/// As long as the broker takes it back in no way, a stuck message stays: it is tried again at the next round.
#[tokio::test]
async fn a_stuck_message_stays_until_it_is_taken() {
    let world = World::new().await;
    {
        let mut state = world.broker.state.lock().unwrap();
        (state.refuse_send_back, state.refuse_send) = (true, true);
    }
    world.broker.store("T", 0, "stuck", None);
    let (sender, mut received) = mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let handle = {
        let gate = Arc::clone(&gate);
        move |message: MessageExt| {
            sender.send(message.reconsume_times).unwrap();
            let gate = Arc::clone(&gate);
            async move {
                if message.reconsume_times == 0 {
                    gate.acquire().await.unwrap().forget();
                }
            }
        }
    };
    let builder = world.consumer().concurrency(2).consume_timeout(ROUND);
    let consumer = builder.on_message(handle).start().await.unwrap();
    assert_eq!(next(&mut received).await, 0);
    world.broker.wait_for(RequestCode::ConsumerSendMsgBack, 2).await;
    assert!(received.try_recv().is_err());
    assert_eq!(world.broker.offset("T", 0), None);
    world.broker.state.lock().unwrap().refuse_send_back = false;
    assert_eq!(next(&mut received).await, 1);
    gate.add_permits(1);
    consumer.shutdown().await;
    assert_eq!((world.broker.offset("T", 0), world.broker.offset("%RETRY%g", 0)), (Some(1), Some(1)));
}

/// While a broker is slow to take a stuck message back, further rounds do not give it back once more.
#[tokio::test]
async fn a_stuck_message_is_given_back_once_at_a_time() {
    let world = World::new().await;
    world.broker.state.lock().unwrap().ignore_send_back = true;
    world.broker.store("T", 0, "stuck", None);
    let gate = Arc::new(Semaphore::new(0));
    let builder = world.consumer().concurrency(1).consume_timeout(ROUND);
    let consumer = builder.on_message(stuck(&gate)).start().await.unwrap();
    world.broker.wait_for(RequestCode::ConsumerSendMsgBack, 1).await;
    tokio::time::pause();
    for _ in 0..10 {
        tokio::time::advance(ROUND).await;
    }
    tokio::time::resume();
    gate.add_permits(1);
    // It says goodbye on the connection that would have carried more.
    consumer.shutdown().await;
    world.broker.wait_for(RequestCode::UnregisterClient, 1).await;
    assert_eq!(world.broker.seen(RequestCode::ConsumerSendMsgBack).len(), 1);
}

/// A failed message that the broker takes back in no way is handled here again after five seconds, as another
/// attempt, and its queue's offset waits for it.
#[tokio::test]
async fn what_cannot_be_given_back_is_tried_here() {
    let world = World::new().await;
    {
        let mut state = world.broker.state.lock().unwrap();
        (state.refuse_send_back, state.refuse_send) = (true, true);
    }
    for body in ["fails", "succeeds"] {
        world.broker.store("T", 0, body, None);
    }
    let (sender, mut received) = mpsc::unbounded_channel();
    let handle = move |message: MessageExt| {
        sender.send((text(&message), message.reconsume_times)).unwrap();
        async move { if text(&message) == "fails" && message.reconsume_times < 2 { Err("no") } else { Ok(()) } }
    };
    let consumer = world.consumer().concurrency(1).on_message(handle).start().await.unwrap();
    assert_eq!(next(&mut received).await, ("fails".to_owned(), 0));
    assert_eq!(next(&mut received).await, ("succeeds".to_owned(), 0));
    // The message had been refused before the other one was handled: from here on only the clock matters.
    assert_eq!(world.broker.seen(RequestCode::SendMessageV2).len(), SEND_ATTEMPTS);
    tokio::time::pause();
    for attempt in 1..=2 {
        let failed = Instant::now();
        assert_eq!(next(&mut received).await, ("fails".to_owned(), attempt));
        let took = failed.elapsed();
        assert!((Duration::from_millis(4_500)..Duration::from_millis(5_500)).contains(&took), "{took:?}");
        assert_ne!(world.broker.offset("T", 0), Some(2));
    }
    tokio::time::resume();
    assert_eq!(world.broker.seen(RequestCode::ConsumerSendMsgBack).len(), 2);
    assert_eq!(world.broker.seen(RequestCode::SendMessageV2).len(), 2 * SEND_ATTEMPTS);
    consumer.shutdown().await;
    assert_eq!(world.broker.offset("T", 0), Some(2));
    assert!(received.try_recv().is_err());
}
