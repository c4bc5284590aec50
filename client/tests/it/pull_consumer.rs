//! Pull consumers: one request for each call, nothing behind the program's back.

use std::time::{Duration, UNIX_EPOCH};

use ferrocket::{ErrorKind, MessageModel, MessageQueue, PullStatus};
use ferrocket_protocol::requests::pull::PullMessageHeader;
use ferrocket_protocol::requests::send::ConsumerSendMsgBackHeader;
use ferrocket_protocol::{Header, RequestCode};

use crate::world::{World, text};

/// A queue is read from one end to the other, its offsets asked for and stored; nothing else is pulled.
#[tokio::test]
async fn queues_are_read_by_hand() {
    let world = World::new().await;
    for (body, tag) in [("0", "a"), ("1", "b"), ("2", "a")] {
        world.broker.store("T", 0, body, Some(tag));
    }
    let consumer = world.client.pull_consumer("g").start().await.unwrap();
    let queue = consumer.fetch_queues("T").await.unwrap().remove(0);
    assert_eq!(
        (consumer.min_offset(&queue).await.unwrap(), consumer.max_offset(&queue).await.unwrap()),
        (0, 3)
    );
    let time = UNIX_EPOCH + Duration::from_millis(1001);
    assert_eq!(consumer.search_offset(&queue, time).await.unwrap(), 1);
    assert_eq!(consumer.fetch_consume_offset(&queue).await.unwrap(), None);

    let pulled = consumer.pull(&queue, "a", 0, 32).await.unwrap();
    assert_eq!((pulled.status, pulled.next_begin_offset), (PullStatus::Found, 3));
    assert_eq!(pulled.messages.iter().map(text).collect::<Vec<_>>(), ["0", "2"]);
    assert_eq!((pulled.min_offset, pulled.max_offset), (0, 3));
    let wrong = consumer.pull(&queue, "*", 9, 32).await.unwrap();
    assert_eq!((wrong.status, wrong.next_begin_offset), (PullStatus::OffsetIllegal, 3));

    // Held by the broker until there is something.
    let (held, ()) = tokio::join!(consumer.pull_block_if_not_found(&queue, "*", 3, 1), async {
        world.broker.wait_for(RequestCode::PullMessage, 3).await;
        world.broker.store("T", 0, "3", None);
    });
    assert_eq!(text(&held.unwrap().messages[0]), "3");
    let flags = world.broker.seen(RequestCode::PullMessage).into_iter().map(|request| {
        let header = PullMessageHeader::decode(&request.ext_fields).unwrap();
        (header.sys_flag, header.suspend_timeout_millis)
    });
    assert_eq!(flags.collect::<Vec<_>>(), [(4, 0), (4, 0), (2 | 4, 20_000)]);

    consumer.update_consume_offset(&queue, 2).await.unwrap();
    assert_eq!(world.broker.offset("T", 0), Some(2));
    assert_eq!(consumer.fetch_consume_offset(&queue).await.unwrap(), Some(2));
    consumer.send_message_back(&pulled.messages[1], -1).await.unwrap();
    let back = world.broker.seen(RequestCode::ConsumerSendMsgBack).remove(0);
    let back = ConsumerSendMsgBackHeader::decode(&back.ext_fields).unwrap();
    assert_eq!((back.delay_level, back.max_reconsume_times), (-1, Some(16)));
    for (offset, max) in [(-1, 1), (0, 0)] {
        assert_eq!(consumer.pull(&queue, "*", offset, max).await.unwrap_err().kind(), ErrorKind::Config);
    }
    consumer.shutdown().await;
    assert_eq!(consumer.pull(&queue, "*", 0, 1).await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(world.broker.seen(RequestCode::UnregisterClient).len(), 1);
}

/// Its share of a topic is what the group's members would divide; broadcasting takes all.
#[tokio::test]
async fn shares_are_computed() {
    let world = World::new().await;
    world.broker.state.lock().unwrap().other_members.insert("~".into());
    let consumer = world.client.pull_consumer("g").start().await.unwrap();
    let share = consumer.fetch_queues_in_balance("T").await.unwrap();
    assert_eq!(share, [MessageQueue::new("T", "a", 0)]);
    let dir = std::env::temp_dir().join(format!("ferrocket-pull-{}", std::process::id()));
    let builder = world.client.pull_consumer("all").message_model(MessageModel::Broadcasting);
    let all = builder.local_offset_store_dir(&dir).start().await.unwrap();
    assert_eq!(all.fetch_queues_in_balance("T").await.unwrap().len(), 2);
    let other = MessageQueue::new("T", "a", 1);
    let (first, second) =
        tokio::join!(all.update_consume_offset(&share[0], 5), all.update_consume_offset(&other, 6));
    first.and(second).unwrap();
    assert_eq!(all.fetch_consume_offset(&share[0]).await.unwrap(), Some(5));
    assert_eq!(all.fetch_consume_offset(&other).await.unwrap(), Some(6));
    assert_eq!(world.broker.offset("T", 0), None);
    std::fs::remove_dir_all(&dir).unwrap();
}
