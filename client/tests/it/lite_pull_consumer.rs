//! Lite pull consumers: what polls hand out, what is committed, and where queues go on.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use ferrocket::{
    ConsumeFromWhere, ErrorKind, LitePullConsumer, LitePullConsumerBuilder, MessageModel, MessageQueue,
    MessageSelector,
};
use ferrocket_protocol::body::heartbeat::{ConsumeType, HeartbeatData};
use ferrocket_protocol::body::offset::ResetOffsetBody;
use ferrocket_protocol::requests::client::ConsumeMessageDirectlyHeader;
use ferrocket_protocol::requests::offset::ResetOffsetHeader;
use ferrocket_protocol::requests::pull::PullMessageHeader;
use ferrocket_protocol::{Header, RemotingCommand, RequestCode, ResponseCode, fastjson};
use tokio::sync::mpsc;

use crate::cluster::{builder, name_server, route};
use crate::world::{World, next, text};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

fn queue(id: i32) -> MessageQueue {
    MessageQueue::new("T", "a", id)
}

impl World {
    fn lite(&self) -> LitePullConsumerBuilder {
        self.client.lite_pull_consumer("g").consume_from(ConsumeFromWhere::FirstOffset)
    }
}

/// The bodies of so many messages, over as many polls as that takes.
async fn bodies(consumer: &LitePullConsumer, count: usize) -> Vec<String> {
    let mut bodies = Vec::new();
    while bodies.len() < count {
        let messages = consumer.poll(PATIENCE).await.unwrap();
        assert!(!messages.is_empty(), "only {bodies:?} came");
        bodies.extend(messages.iter().map(text));
    }
    bodies
}

/// Polls hand out each queue in order and commit what polls before them handed out; pulls are Java's lite ones;
/// the end stores everything.
#[tokio::test]
async fn polls_commit_what_was_handed_out_before() {
    let world = World::new().await;
    for number in 0..15 {
        world.broker.store("T", 0, &number.to_string(), None);
    }
    let consumer = world.lite().subscribe("T", "*").start().await.unwrap();
    let first = consumer.poll(PATIENCE).await.unwrap();
    assert_eq!(
        first.iter().map(text).collect::<Vec<_>>(),
        (0..10).map(|n| n.to_string()).collect::<Vec<_>>()
    );
    assert_eq!(consumer.committed(&queue(0)).await.unwrap(), None, "nobody said that they are done");
    let second = consumer.poll(PATIENCE).await.unwrap();
    assert_eq!(second.iter().map(|message| message.queue_offset).collect::<Vec<_>>(), [10, 11, 12, 13, 14]);
    assert_eq!(consumer.committed(&queue(0)).await.unwrap(), Some(10));
    assert!(consumer.poll(Duration::ZERO).await.unwrap().is_empty());
    assert_eq!(consumer.assignment(), [queue(0), queue(1)]);

    let pull = world.broker.seen(RequestCode::LitePullMessage).remove(0);
    let header = PullMessageHeader::decode(&pull.ext_fields).unwrap();
    // The broker may hold it; it has an expression; it is a lite pull.
    assert_eq!((header.sys_flag, header.suspend_timeout_millis), (2 | 4 | 16, 20_000));
    assert_eq!((header.subscription.as_deref(), header.sub_version), (Some("*"), 0));
    assert!(world.broker.seen(RequestCode::PullMessage).is_empty());
    let heartbeat = world.broker.seen(RequestCode::HeartBeat).pop().unwrap();
    let heartbeat: HeartbeatData = fastjson::from_slice(&heartbeat.body).unwrap();
    let group = &heartbeat.consumer_data_set[0];
    assert_eq!((group.consume_type, group.subscription_data_set.len()), (ConsumeType::Actively, 1));

    consumer.shutdown().await;
    assert_eq!(world.broker.offset("T", 0), Some(15));
    assert_eq!(consumer.poll(PATIENCE).await.unwrap_err().kind(), ErrorKind::Closed);
}

/// A broker that does not know lite pulls is asked by ordinary ones, and not for lite ones again.
#[tokio::test]
async fn brokers_of_49_are_pulled_from() {
    let world = World::new().await;
    world.broker.state.lock().unwrap().refuse_lite_pull = true;
    for number in 0..4 {
        world.broker.store("T", 0, &number.to_string(), None);
    }
    let consumer = world.lite().subscribe("T", "*").pull_batch_size(2).start().await.unwrap();
    assert_eq!(bodies(&consumer, 4).await, ["0", "1", "2", "3"]);
    consumer.shutdown().await;
    // At most the first of each of both queues, asked at once.
    assert!((1..=2).contains(&world.broker.seen(RequestCode::LitePullMessage).len()));
}

/// Without automatic commits only `commit` stores, and confirms it; the client's end stores nothing more.
#[tokio::test]
async fn commits_by_hand() {
    let world = World::new().await;
    for number in 0..4 {
        world.broker.store("T", 0, &number.to_string(), None);
    }
    let consumer =
        world.lite().subscribe("T", "*").auto_commit(false).pull_batch_size(2).start().await.unwrap();
    assert_eq!(bodies(&consumer, 2).await, ["0", "1"]);
    assert_eq!(world.broker.offset("T", 0), None);
    consumer.commit().await.unwrap();
    assert_eq!(world.broker.offset("T", 0), Some(2));
    assert_eq!(bodies(&consumer, 2).await, ["2", "3"]);
    assert_eq!(world.broker.offset("T", 0), Some(2));
    consumer.commit_offsets([(queue(0), 3)]).await.unwrap();
    assert_eq!(world.broker.offset("T", 0), Some(3));
    assert_eq!(consumer.committed(&queue(0)).await.unwrap(), Some(3));
    for bad in [(queue(7), 1), (queue(0), -1)] {
        assert_eq!(consumer.commit_offsets([bad]).await.unwrap_err().kind(), ErrorKind::Config);
    }
    world.client.shutdown().await.unwrap();
    assert_eq!(world.broker.offset("T", 0), Some(3));
}

/// A queue goes on where it is sent, by offset, end or time; what is stored follows with the next commit.
#[tokio::test]
async fn queues_can_be_sought() {
    let world = World::new().await;
    for number in 0..5 {
        world.broker.store("T", 0, &number.to_string(), None);
    }
    world.broker.state.lock().unwrap().min_offsets.insert(("T".into(), 0), 1);
    world.broker.state.lock().unwrap().offsets.insert(("T".into(), 0), 4);
    let consumer = world.lite().subscribe("T", "*").start().await.unwrap();
    assert_eq!(bodies(&consumer, 1).await, ["4"]);
    consumer.seek(&queue(0), 3).await.unwrap();
    assert_eq!(bodies(&consumer, 2).await, ["3", "4"]);
    consumer.seek_to_begin(&queue(0)).await.unwrap();
    assert_eq!(bodies(&consumer, 4).await, ["1", "2", "3", "4"]);
    // The message with offset 2 was stored after three seconds.
    let time = UNIX_EPOCH + Duration::from_millis(2001);
    assert_eq!(consumer.offset_for_timestamp(&queue(0), time).await.unwrap(), 2);
    consumer.seek_to_time(&queue(0), time).await.unwrap();
    assert_eq!(bodies(&consumer, 3).await, ["2", "3", "4"]);
    consumer.seek(&queue(0), 2).await.unwrap();
    consumer.commit().await.unwrap();
    assert_eq!(world.broker.offset("T", 0), Some(2), "commits go back, too");
    consumer.seek_to_end(&queue(0)).await.unwrap();
    world.broker.store("T", 0, "5", None);
    assert_eq!(bodies(&consumer, 1).await, ["5"]);
    for (bad, offset) in [(queue(0), 0), (queue(0), 7), (queue(9), 1)] {
        assert_eq!(consumer.seek(&bad, offset).await.unwrap_err().kind(), ErrorKind::Config);
    }
    consumer.shutdown().await;
    assert_eq!(world.broker.offset("T", 0), Some(6));
}

/// A paused queue gives nothing while others do, and all that it kept back afterwards.
#[tokio::test]
async fn paused_queues_keep_their_messages() {
    let world = World::new().await;
    world.broker.store("T", 0, "kept", None);
    world.broker.store("T", 1, "other", None);
    let consumer = world.lite().subscribe("T", "*").start().await.unwrap();
    while consumer.assignment().len() < 2 {
        tokio::task::yield_now().await;
    }
    consumer.pause(&[queue(0)]);
    assert_eq!(bodies(&consumer, 1).await, ["other"]);
    assert!(consumer.poll(Duration::ZERO).await.unwrap().is_empty());
    consumer.resume(&[queue(0)]);
    assert_eq!(bodies(&consumer, 1).await, ["kept"]);
    consumer.shutdown().await;
}

/// Chosen queues are pulled without asking for a share, by a filter of their own, and can be changed.
#[tokio::test]
async fn queues_can_be_assigned() {
    let world = World::new().await;
    for id in 0..2 {
        for tag in ["a", "b"] {
            world.broker.store("T", id, &format!("{id}{tag}"), Some(tag));
        }
    }
    let consumer = world.lite().assign([queue(1)]).assign_filter("T", "b").start().await.unwrap();
    assert_eq!(bodies(&consumer, 1).await, ["1b"]);
    assert_eq!(consumer.assignment(), [queue(1)]);
    consumer.assign([queue(0)]).await.unwrap();
    assert_eq!(consumer.assignment(), [queue(0)]);
    assert_eq!(bodies(&consumer, 1).await, ["0b"]);
    assert_eq!(consumer.fetch_queues("T").await.unwrap(), [queue(0), queue(1)]);
    assert!(world.broker.seen(RequestCode::GetConsumerListByGroup).is_empty());
    let error = consumer.subscribe("T", "*").await.unwrap_err();
    assert_eq!(error.to_string(), "Subscribe and assign are mutually exclusive.");
    consumer.shutdown().await;
    assert_eq!((world.broker.offset("T", 0), world.broker.offset("T", 1)), (Some(2), Some(2)));
}

/// A stream gives messages one by one and counts each as done when the next is asked for.
#[tokio::test]
async fn streams_commit_message_by_message() {
    let world = World::new().await;
    for number in 0..3 {
        world.broker.store("T", 0, &number.to_string(), None);
    }
    let consumer = world.lite().subscribe("T", "*").start().await.unwrap();
    let mut messages = consumer.stream();
    for number in 0..3 {
        assert_eq!(text(&messages.next().await.unwrap()), number.to_string());
        let committed = consumer.committed(&queue(0)).await.unwrap();
        assert_eq!(committed, Some(number).filter(|number| *number > 0));
    }
    world.client.shutdown().await.unwrap();
    assert!(messages.next().await.is_none());
    assert_eq!(world.broker.offset("T", 0), Some(2), "nobody said that the last one is done");
}

/// More messages than the thresholds allow are not pulled before some are handed out.
#[tokio::test]
async fn pulling_pauses_at_the_thresholds() {
    let world = World::new().await;
    for number in 0..6 {
        world.broker.store("T", 0, &number.to_string(), None);
        world.broker.store("T", 1, &number.to_string(), None);
    }
    let small = || world.lite().subscribe("T", "*").pull_batch_size(2);
    for builder in [small().pull_threshold_for_queue(1), small().pull_threshold_for_all(3)] {
        let consumer = builder.start().await.unwrap();
        let mut seen = BTreeSet::new();
        while seen.len() < 12 {
            for message in consumer.poll(PATIENCE).await.unwrap() {
                seen.insert((message.queue_id, message.queue_offset));
                let pulled = world.broker.seen(RequestCode::LitePullMessage);
                let furthest = pulled.iter().filter_map(|request| {
                    let header = PullMessageHeader::decode(&request.ext_fields).unwrap();
                    (header.queue_id == message.queue_id).then_some(header.queue_offset)
                });
                // Two in memory, two in hand, and a pull from there on.
                assert!(furthest.max().unwrap() <= message.queue_offset + 6);
            }
        }
        consumer.seek_to_begin(&queue(0)).await.unwrap();
        consumer.seek_to_begin(&queue(1)).await.unwrap();
        consumer.shutdown().await;
    }
}

/// The application hears which queues are its, and when a topic gets other queues.
#[tokio::test]
async fn changes_of_queues_are_told() {
    let world = World::new().await;
    let queues = Arc::new(Mutex::new(1));
    let (addr, at_names) = (world.broker.addr, Arc::clone(&queues));
    let names =
        name_server(move |topic| (topic == "T").then(|| route(&[("a", addr, *at_names.lock().unwrap())])))
            .await;
    let client = builder(&names).poll_name_server_interval(Duration::from_millis(20)).build().unwrap();
    let (assigned_to, mut assigned) = mpsc::unbounded_channel();
    let (changed_to, mut changed) = mpsc::unbounded_channel();
    let consumer = client
        .lite_pull_consumer("g")
        .subscribe("T", "*")
        .message_queue_listener(move |topic, all, mine| {
            assigned_to.send((topic.to_owned(), all.to_vec(), mine.to_vec())).unwrap();
        })
        .start()
        .await
        .unwrap();
    assert_eq!(next(&mut assigned).await, ("T".into(), vec![queue(0)], vec![queue(0)]));
    let listener = move |_: &str, queues: &[MessageQueue]| changed_to.send(queues.to_vec()).unwrap();
    consumer.topic_queue_change_listener("T", listener).await.unwrap();
    *queues.lock().unwrap() = 2;
    let both = vec![queue(0), queue(1)];
    assert_eq!(next(&mut changed).await, both);
    assert_eq!(next(&mut assigned).await, ("T".into(), both.clone(), both));
    consumer.shutdown().await;
}

/// A broadcasting consumer begins where its own file says, and asks the broker for no offset.
#[tokio::test]
async fn broadcasting_polls_keep_offsets_in_a_file() {
    let dir = std::env::temp_dir().join(format!("ferrocket-lite-broadcasting-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    let world = World::new().await;
    for body in ["0", "1"] {
        world.broker.store("T", 0, body, None);
        let builder = world.lite().subscribe("T", "*").message_model(MessageModel::Broadcasting);
        let consumer = builder.local_offset_store_dir(&dir).start().await.unwrap();
        assert_eq!(bodies(&consumer, 1).await, [body]);
        consumer.shutdown().await;
    }
    for code in [RequestCode::GetConsumerListByGroup, RequestCode::UpdateConsumerOffset] {
        assert!(world.broker.seen(code).is_empty(), "{code}");
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

/// Conditions travel with every pull, and as what they are in heartbeats.
#[tokio::test]
async fn conditions_are_told_to_the_broker() {
    let world = World::new().await;
    world.broker.store("T", 0, "untagged", None);
    let consumer = world.lite().subscribe("T", MessageSelector::by_sql("a > 5")).start().await.unwrap();
    assert_eq!(bodies(&consumer, 1).await, ["untagged"], "the broker has judged, not the client");
    let pull = world.broker.seen(RequestCode::LitePullMessage).remove(0);
    let header = PullMessageHeader::decode(&pull.ext_fields).unwrap();
    assert_eq!(
        (header.subscription.as_deref(), header.expression_type.as_deref()),
        (Some("a > 5"), Some("SQL92"))
    );
    assert!(header.sub_version > 0);
    let heartbeat = world.broker.seen(RequestCode::HeartBeat).remove(0);
    let heartbeat: HeartbeatData = fastjson::from_slice(&heartbeat.body).unwrap();
    let subscription = &heartbeat.consumer_data_set[0].subscription_data_set[0];
    assert_eq!((&*subscription.expression_type, &*subscription.sub_string), ("SQL92", "a > 5"));
    consumer.shutdown().await;
}

/// Administrators can reset its offsets; it has no listener to consume a message directly with.
#[tokio::test]
async fn administrators_reset_what_is_polled() {
    let world = World::new().await;
    for number in 0..3 {
        world.broker.store("T", 0, &number.to_string(), None);
    }
    let consumer = world.lite().subscribe("T", "*").start().await.unwrap();
    assert_eq!(bodies(&consumer, 3).await, ["0", "1", "2"]);
    let header =
        ResetOffsetHeader { group: "g".into(), topic: "T".into(), timestamp: 0, ..Default::default() };
    let body = ResetOffsetBody { offset_table: [(queue(0), 1)].into() };
    let reset = RemotingCommand::request(RequestCode::ResetConsumerClientOffset, &header)
        .with_body(fastjson::to_vec(&body));
    world.broker.connection().oneway(reset).await.unwrap();
    assert_eq!(bodies(&consumer, 2).await, ["1", "2"]);
    let header = ConsumeMessageDirectlyHeader { consumer_group: "g".into(), ..Default::default() };
    let request = RemotingCommand::request(RequestCode::ConsumeMessageDirectly, &header);
    let reply = world.broker.connection().call(request, PATIENCE).await.unwrap();
    assert_eq!(reply.response_code(), ResponseCode::SYSTEM_ERROR);
    assert_eq!(reply.remark.as_deref(), Some("The Consumer Group <g> not exist in this consumer"));
    consumer.shutdown().await;
}
