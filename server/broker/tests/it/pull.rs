//! Pulling: what is found, where to go on, who waits and for how long.

use std::time::{Duration, Instant};

use ferrocket_protocol::requests::Empty;
use ferrocket_protocol::requests::pull::PullMessageHeader;
use ferrocket_protocol::{MessageRecord, RemotingCommand, RequestCode, ResponseCode};

use crate::support::{COMMIT, Rig, SUBSCRIPTION, SUSPEND, field, outcome, pull};

/// A pull that may wait this long.
fn waiting(topic: &str, offset: i64, subscription: &str, timeout_ms: i64) -> PullMessageHeader {
    PullMessageHeader {
        sys_flag: SUBSCRIPTION | SUSPEND,
        suspend_timeout_millis: timeout_ms,
        subscription: Some(subscription.into()),
        ..pull(topic, 0, offset)
    }
}

/// Codes and offsets to go on at are those seen on running Java brokers.
#[tokio::test]
async fn offsets_outside_the_queue_are_corrected() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    for body in ["0", "1", "2"] {
        peer.store("T", 0, "", body).await;
    }
    let found = peer.pull(&pull("T", 0, 1)).await;
    assert_eq!(outcome(&found), (0, "3"));
    assert_eq!((field(&found, "minOffset"), field(&found, "maxOffset")), ("0", "3"));
    assert_eq!((field(&found, "suggestWhichBrokerId"), found.remark.as_deref()), ("0", Some("FOUND")));
    for (queue_id, offset, expected, remark) in [
        (0, -1, (21, "0"), "OFFSET_TOO_SMALL"),
        (0, 3, (19, "3"), "OFFSET_OVERFLOW_ONE"),
        (0, 4, (21, "3"), "OFFSET_OVERFLOW_BADLY"),
        (1, 0, (19, "0"), "NO_MESSAGE_IN_QUEUE"),
        (1, 5, (21, "0"), "NO_MESSAGE_IN_QUEUE"),
    ] {
        let reply = peer.pull(&pull("T", queue_id, offset)).await;
        assert_eq!(
            (outcome(&reply), reply.remark.as_deref()),
            (expected, Some(remark)),
            "{queue_id} {offset}"
        );
        for name in ["minOffset", "maxOffset", "suggestWhichBrokerId"] {
            assert!(field(&reply, name).parse::<i64>().is_ok(), "{name} of {reply:?}");
        }
    }
    let events = peer.messages("OFFSET_MOVED_EVENT", 0, 0).await;
    assert_eq!(events.len(), 3);
    assert_eq!(
        str::from_utf8(&events[1].body).unwrap(),
        r#"{"consumerGroup":"cg","messageQueue":{"brokerName":"broker-a","queueId":0,"topic":"T"},"offsetNew":3,"offsetRequest":4}"#
    );
}

/// LITE_PULL_MESSAGE is a pull.
#[tokio::test]
async fn lite_pulls_are_pulls() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    peer.store("T", 0, "", "x").await;
    let request = RemotingCommand::request(RequestCode::LitePullMessage, &pull("T", 0, 0));
    assert_eq!(outcome(&peer.call(request).await), (0, "1"));
}

/// At most as many messages as asked for; tags are judged by their hash, and when nothing matches the
/// consumer hears how far it has come.
#[tokio::test]
async fn limits_and_tags() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    for tag in ["A", "B", "C"] {
        peer.store("T", 0, &format!("TAGS\u{1}{tag}"), "x").await;
    }
    let reply = peer.pull(&PullMessageHeader { max_msg_nums: 2, ..pull("T", 0, 0) }).await;
    assert_eq!(outcome(&reply), (0, "2"));
    let reply =
        peer.pull(&PullMessageHeader { subscription: Some("A || C".into()), ..pull("T", 0, 0) }).await;
    assert_eq!(outcome(&reply), (0, "3"));
    let found = MessageRecord::decode_all(reply.body).unwrap();
    assert_eq!(found.iter().map(|message| message.queue_offset).collect::<Vec<_>>(), [0, 2]);
    let reply = peer.pull(&PullMessageHeader { subscription: Some("D".into()), ..pull("T", 0, 0) }).await;
    assert_eq!((outcome(&reply), reply.remark.as_deref()), ((20, "3"), Some("NO_MATCHED_MESSAGE")));
}

/// A held pull is answered by the message it waits for, at once, whoever else waits on the same socket.
#[tokio::test]
async fn a_message_wakes_the_pulls_that_want_it() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    peer.topic("T", 64, 6).await;
    let mut pulls = tokio::task::JoinSet::new();
    for queue_id in 0..64 {
        let connection = peer.connection.clone();
        let header = PullMessageHeader { queue_id, ..waiting("T", 0, "*", 20_000) };
        pulls.spawn(async move {
            let request = RemotingCommand::request(RequestCode::PullMessage, &header);
            (queue_id, connection.call(request, Duration::from_secs(30)).await.unwrap())
        });
    }
    // The Broker handles a connection's requests in order: when this one is answered, the pulls are parked.
    assert_eq!(outcome(&peer.pull(&pull("T", 63, 0)).await), (19, "0"));
    let other = rig.peer().await;
    let started = Instant::now();
    for queue_id in [17, 3] {
        other.store("T", queue_id, "", "x").await;
        let (woken, reply) = pulls.join_next().await.unwrap().unwrap();
        assert_eq!((woken, outcome(&reply)), (queue_id, (0, "1")));
    }
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

/// When its time is up a pull answers 19 with its own offset.
#[tokio::test]
async fn a_held_pull_times_out_where_it_stands() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    peer.store("T", 0, "", "x").await;
    let started = Instant::now();
    let reply = peer.pull(&waiting("T", 1, "*", 1_000)).await;
    assert_eq!(outcome(&reply), (19, "1"));
    let took = started.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(4)).contains(&took), "{took:?}");
}

/// A message with another tag does not wake a pull, but within 5 s its consumer hears that the queue moved on.
#[tokio::test]
async fn a_foreign_message_moves_the_held_pull_on() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    peer.store("T", 0, "TAGS\u{1}B", "x").await;
    let (connection, header) = (peer.connection.clone(), waiting("T", 1, "A", 20_000));
    let held = tokio::spawn(async move {
        let request = RemotingCommand::request(RequestCode::PullMessage, &header);
        connection.call(request, Duration::from_secs(30)).await.unwrap()
    });
    tokio::task::yield_now().await;
    assert_eq!(outcome(&peer.pull(&pull("T", 0, 1)).await), (19, "1"));
    let started = Instant::now();
    peer.store("T", 0, "TAGS\u{1}B", "y").await;
    assert_eq!(outcome(&held.await.unwrap()), (20, "2"));
    let took = started.elapsed();
    assert!((Duration::from_secs(2)..Duration::from_millis(6_500)).contains(&took), "{took:?}");
}

/// With longPollingEnable=false the Broker itself says how long a pull may wait.
#[tokio::test]
async fn short_polling() {
    let rig = Rig::start(&[("longPollingEnable", "false"), ("shortPollingTimeMills", "100")]).await;
    let peer = rig.peer().await;
    peer.topic("T", 1, 6).await;
    let started = Instant::now();
    assert_eq!(outcome(&peer.pull(&waiting("T", 0, "*", 20_000)).await), (19, "0"));
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

/// Who may not read, and what is not there: Java's codes and words.
#[tokio::test]
async fn refusals() {
    let rig = Rig::start(&[("autoCreateSubscriptionGroup", "false")]).await;
    let peer = rig.peer().await;
    peer.topic("T", 1, 6).await;
    let known = |header| PullMessageHeader { consumer_group: "TOOLS_CONSUMER".into(), ..header };
    let see = "\nSee http://rocketmq.apache.org/docs/faq/ for further details.";
    let said = |reply: RemotingCommand| {
        (reply.code, reply.remark.map(|remark| remark.to_string()).unwrap_or_default())
    };
    assert_eq!(
        said(peer.pull(&pull("T", 0, 0)).await),
        (26, format!("subscription group [cg] does not exist, {see}"))
    );
    assert_eq!(
        said(peer.pull(&known(pull("X", 0, 0))).await),
        (17, format!("topic[X] not exist, apply first please! {see}"))
    );
    let from = peer.connection.local_addr();
    assert_eq!(
        said(peer.pull(&known(pull("T", 1, 0))).await),
        (1, format!("queueId[1] is illegal, topic:[T] topicConfig.readQueueNums:[1] consumer:[/{from}]"))
    );
    peer.topic("W", 1, 2).await;
    assert_eq!(
        said(peer.pull(&known(pull("W", 0, 0))).await),
        (16, "the topic[W] pulling message is forbidden".to_owned())
    );
    let without = PullMessageHeader { sys_flag: 0, ..known(pull("T", 0, 0)) };
    assert_eq!(said(peer.pull(&without).await), (24, format!("the consumer's group info not exist{see}")));
    let sql = PullMessageHeader {
        subscription: Some("a > 1".into()),
        expression_type: Some("SQL92".into()),
        ..known(pull("T", 0, 0))
    };
    assert_eq!(
        said(peer.pull(&sql).await),
        (1, "The broker does not support consumer to filter message by SQL92".to_owned())
    );
    let broken = PullMessageHeader { subscription: Some("||".into()), ..known(pull("T", 0, 0)) };
    assert_eq!(said(peer.pull(&broken).await), (23, "parse the consumer's subscription failed".to_owned()));
}

/// Pulls without a subscription of their own are judged by the group's, which the greatest version sets.
#[tokio::test]
async fn the_groups_subscription_counts() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    for tag in ["A", "B"] {
        peer.store("T", 0, &format!("TAGS\u{1}{tag}"), "x").await;
    }
    peer.heartbeat("c1", "cg", 10, &[("T", "A")]).await;
    let with_version = |version| PullMessageHeader { sys_flag: 0, sub_version: version, ..pull("T", 0, 0) };
    let reply = peer.pull(&with_version(10)).await;
    assert_eq!(
        (outcome(&reply), MessageRecord::decode_all(reply.body.clone()).unwrap().len()),
        ((0, "2"), 1)
    );
    let reply = peer.pull(&with_version(11)).await;
    assert_eq!((reply.code, reply.remark.as_deref()), (25, Some("the consumer's subscription not latest")));
    let other = rig.peer().await;
    other.heartbeat("c2", "cg", 12, &[("T", "*")]).await;
    peer.heartbeat("c1", "cg", 10, &[("T", "A")]).await;
    let reply = peer.pull(&with_version(11)).await;
    assert_eq!(MessageRecord::decode_all(reply.body).unwrap().len(), 2);
    let reply = peer.pull(&PullMessageHeader { sys_flag: 0, ..pull("TBW102", 0, 0) }).await;
    assert_eq!(reply.response_code(), ResponseCode::SUBSCRIPTION_NOT_EXIST);
}

/// A pull may carry the offset to store, whatever it finds.
#[tokio::test]
async fn a_pull_commits_the_offset_it_brings() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    peer.store("T", 0, "", "x").await;
    let header = pull("T", 0, 1);
    let header = PullMessageHeader { sys_flag: header.sys_flag | COMMIT, commit_offset: 1, ..header };
    assert_eq!(outcome(&peer.pull(&header).await), (19, "1"));
    assert_eq!(peer.committed("cg", "T", 0).await, "1");
}

/// A consumer that asks for more than it reads is told to ask again, with the offset it stands at; nothing is
/// lost.
#[tokio::test]
async fn a_round_of_pulls_is_bounded() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    peer.send(&crate::support::message("T", 0, ""), vec![0; 4 << 20]).await;
    let mut pulls = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let connection = peer.connection.clone();
        pulls.spawn(async move {
            let request = RemotingCommand::request(RequestCode::PullMessage, &pull("T", 0, 0));
            connection.call(request, crate::support::PATIENCE).await.unwrap()
        });
    }
    for reply in pulls.join_all().await {
        assert!([(0, "1"), (20, "0")].contains(&outcome(&reply)), "{:?}", outcome(&reply));
        assert_eq!(field(&reply, "maxOffset"), "1");
        assert_eq!(reply.body.len() > 4 << 20, reply.code == 0);
    }
}

/// Producers and a waiting consumer at full speed on one queue: every message arrives once, in its place, and
/// no wake-up is lost, which would cost the rest of the 20 s that a pull may wait.
async fn everything_arrives(settings: &[(&str, &str)], producers: usize, each: usize) {
    let rig = Rig::start(settings).await;
    let peer = rig.peer().await;
    peer.topic("T", 1, 6).await;
    let started = Instant::now();
    let mut sending = tokio::task::JoinSet::new();
    for producer in 0..producers {
        let peer = rig.peer().await;
        sending.spawn(async move {
            for number in 0..each {
                let header = crate::support::message("T", 0, "");
                let reply = peer.send(&header, format!("{producer} {number}")).await;
                assert_eq!(reply.code, 0, "{reply:?}");
            }
        });
    }
    let mut bodies = std::collections::BTreeSet::new();
    let mut next = 0;
    while (next as usize) < producers * each {
        let reply = peer.pull(&waiting("T", next, "*", 20_000)).await;
        assert!([0, 19].contains(&reply.code), "{reply:?}");
        // A producer that failed sends no more.
        while let Some(ended) = sending.try_join_next() {
            ended.unwrap();
        }
        for message in MessageRecord::decode_all(reply.body).unwrap() {
            assert_eq!(message.queue_offset, next);
            assert!(bodies.insert(message.body), "twice");
            next += 1;
        }
    }
    sending.join_all().await;
    assert_eq!(bodies.len(), producers * each);
    assert!(started.elapsed() < Duration::from_secs(18), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everything_arrives_with_async_flush() {
    everything_arrives(&[], 8, 250).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everything_arrives_with_sync_flush() {
    everything_arrives(&[("flushDiskType", "SYNC_FLUSH")], 8, 50).await;
}

/// With `slaveReadEnable` a group's settings say where to read next.
#[tokio::test]
async fn where_to_read_next() {
    let group = r#"{"groupName":"cg","brokerId":7,"whichBrokerWhenConsumeSlowly":3}"#;
    // Nothing counts as in memory when the ratio is 0: whoever is one message behind is slow.
    for (memory, enabled, expected) in [("40", "false", "0"), ("40", "true", "7"), ("0", "true", "3")] {
        let settings = [("slaveReadEnable", enabled), ("accessMessageInMemoryMaxRatio", memory)];
        let rig = Rig::start(&settings).await;
        let peer = rig.peer().await;
        let code = RequestCode::UpdateAndCreateSubscriptiongroup;
        assert_eq!(peer.call(RemotingCommand::request(code, &Empty).with_body(group)).await.code, 0);
        for body in ["a", "b"] {
            peer.store("T", 0, "", body).await;
        }
        let header = PullMessageHeader { max_msg_nums: 1, ..pull("T", 0, 0) };
        assert_eq!(field(&peer.pull(&header).await, "suggestWhichBrokerId"), expected, "{settings:?}");
    }
}
