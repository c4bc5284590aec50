//! SQL92 filters: who may use them, what a pull gets, who is woken.

use std::time::{Duration, Instant};

use ferrocket_protocol::body::group::CheckClientRequestBody;
use ferrocket_protocol::body::heartbeat::SubscriptionData;
use ferrocket_protocol::body::query::QueryConsumeQueueResponseBody;
use ferrocket_protocol::requests::Empty;
use ferrocket_protocol::requests::pull::PullMessageHeader;
use ferrocket_protocol::requests::query::QueryConsumeQueueHeader;
use ferrocket_protocol::{MessageRecord, RemotingCommand, RequestCode, fastjson};

use crate::support::{Peer, Rig, SUBSCRIPTION, SUSPEND, outcome, pull};

const ON: (&str, &str) = ("enablePropertyFilter", "true");
/// The bits of `cg#T`, as Java's `BloomFilter` gives them.
const CG_BITS: [usize; 3] = [42, 57, 98];
const NOT_SUPPORTED: &str = "The broker does not support consumer to filter message by SQL92";

fn sql(topic: &str, expression: &str, version: i64) -> SubscriptionData {
    SubscriptionData {
        topic: topic.to_owned(),
        sub_string: expression.to_owned(),
        expression_type: "SQL92".to_owned(),
        sub_version: version,
        ..SubscriptionData::default()
    }
}

/// A pull that brings an expression along.
fn pull_by(topic: &str, offset: i64, expression: &str) -> PullMessageHeader {
    PullMessageHeader {
        subscription: Some(expression.into()),
        expression_type: Some("SQL92".into()),
        ..pull(topic, 0, offset)
    }
}

/// A pull for the group's own subscription.
fn pull_own(topic: &str, offset: i64, version: i64) -> PullMessageHeader {
    PullMessageHeader { sys_flag: 0, sub_version: version, ..pull(topic, 0, offset) }
}

fn said(reply: &RemotingCommand) -> (i32, &str) {
    (reply.code, reply.remark.as_deref().unwrap_or_default())
}

fn bodies(reply: RemotingCommand) -> Vec<String> {
    let messages = MessageRecord::decode_all(reply.body).unwrap();
    messages.iter().map(|message| String::from_utf8_lossy(&message.body).into_owned()).collect()
}

async fn store_three(peer: &Peer) {
    peer.store("T", 0, "a\u{1}1\u{2}TAGS\u{1}A", "one").await;
    peer.store("T", 0, "a\u{1}x", "not a number").await;
    peer.store("T", 0, "a\u{1}3", "three").await;
}

/// Asks whether a client may subscribe so.
async fn check(peer: &Peer, data: SubscriptionData) -> RemotingCommand {
    let body = CheckClientRequestBody { subscription_data: Some(data), ..CheckClientRequestBody::default() };
    let request = RemotingCommand::request(RequestCode::CheckClientConfig, &Empty);
    peer.call(request.with_body(fastjson::to_vec(&body))).await
}

/// The setting, the type and the expression are judged before a client subscribes.
#[tokio::test]
async fn clients_ask_first() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    assert_eq!(said(&check(&peer, sql("T", "a = 1", 1)).await), (1, NOT_SUPPORTED));
    let rig = Rig::start(&[ON]).await;
    let peer = rig.peer().await;
    assert_eq!(said(&check(&peer, sql("T", "a = 1", 1)).await), (0, ""));
    let refused = check(&peer, sql("T", "a >", 1)).await;
    assert_eq!(said(&refused), (23, "Invalid MessageSelector. a value expected, found End"));
    let other = SubscriptionData { expression_type: "XPATH".to_owned(), ..sql("T", "a = 1", 1) };
    assert_eq!(check(&peer, other).await.code, 23);
}

/// What is longer, bigger, deeper or more winding than an expression may be is refused, and the client hears by
/// what; what is just within the limits is judged.
#[tokio::test]
async fn expressions_have_limits() {
    let rig = Rig::start(&[ON]).await;
    let peer = rig.peer().await;
    store_three(&peer).await;
    let of_len = |len: usize| format!("a = '1' OR a = '{}'", "x".repeat(len - 17));
    let of_terms = |terms: usize| vec!["a = '1'"; terms].join(" OR ");
    let of_depth = |depth: usize| format!("{}a = '1'{}", "(".repeat(depth), ")".repeat(depth));
    let of_links = |links: usize| format!("a{}", " IS NOT NULL".repeat(links));
    for (within, beyond, why) in [
        (of_len(8_192), of_len(8_193), "8193 bytes are more than 8192"),
        (of_terms(341), of_terms(342), "more than 1024 operators and operands"),
        (of_depth(64), of_depth(65), "nested deeper than 64"),
        (of_links(8), of_links(9), "more than 8 comparisons in a row"),
    ] {
        let judged = check(&peer, sql("T", &within, 1)).await;
        assert_eq!(said(&judged), (0, ""), "{why}");
        let found = peer.pull(&pull_by("T", 0, &within)).await;
        assert_eq!(bodies(found).first().map(String::as_str), Some("one"), "{why}");
        let refused = check(&peer, sql("T", &beyond, 1)).await;
        assert_eq!(refused.code, 23);
        assert!(said(&refused).1.contains(why), "{refused:?}");
        assert_eq!(peer.pull(&pull_by("T", 0, &beyond)).await.code, 23);
    }
}

/// A pull with an expression of its own gets what matches, learns how far it has come, and hears that it is
/// wrong.
#[tokio::test]
async fn pulls_bring_expressions() {
    let rig = Rig::start(&[ON]).await;
    let peer = rig.peer().await;
    store_three(&peer).await;
    let found = peer.pull(&pull_by("T", 0, "a BETWEEN 2 AND 5 OR TAGS = 'B'")).await;
    assert_eq!(outcome(&found), (0, "3"));
    assert_eq!(bodies(found), ["three"]);
    let found = peer.pull(&pull_by("T", 0, "TAGS = 'A' OR a = 'x'")).await;
    assert_eq!(bodies(found), ["one", "not a number"]);
    let none = peer.pull(&pull_by("T", 0, "b IS NOT NULL")).await;
    assert_eq!((outcome(&none), said(&none).1), ((20, "3"), "NO_MATCHED_MESSAGE"));
    assert_eq!(outcome(&peer.pull(&pull_by("T", 3, "b IS NOT NULL")).await), (19, "3"));
    assert_eq!(outcome(&peer.pull(&pull_by("T", 4, "b IS NOT NULL")).await), (21, "3"));
    let wrong = peer.pull(&pull_by("T", 0, "a >")).await;
    assert_eq!(said(&wrong), (23, "parse the consumer's subscription failed"));
}

/// Without the setting nobody filters by properties, whoever brings the expression; it can be set at runtime.
#[tokio::test]
async fn the_setting_counts() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    store_three(&peer).await;
    peer.subscribe("c1", "cg", vec![sql("T", "a = 3", 5)]).await;
    assert_eq!(said(&peer.pull(&pull_own("T", 0, 5)).await), (1, NOT_SUPPORTED));
    assert_eq!(said(&peer.pull(&pull_by("T", 0, "a = 3")).await), (1, NOT_SUPPORTED));
    let update = RemotingCommand::request(RequestCode::UpdateBrokerConfig, &Empty);
    assert_eq!(peer.call(update.with_body("enablePropertyFilter=true")).await.code, 0);
    assert_eq!(bodies(peer.pull(&pull_by("T", 1, "a <> 'x'")).await), ["three"]);
}

/// The group's expression is the newest that its consumers sent; a wrong one is answered with 27 until they
/// send a good one.
#[tokio::test]
async fn the_groups_expression_counts() {
    let rig = Rig::start(&[ON]).await;
    let peer = rig.peer().await;
    peer.store("T", 0, "a\u{1}1", "one").await;
    peer.store("T", 0, "a\u{1}3", "three").await;
    peer.subscribe("c1", "cg", vec![sql("T", "a = 3", 5)]).await;
    assert_eq!(bodies(peer.pull(&pull_own("T", 0, 5)).await), ["three"]);
    let newer = peer.pull(&pull_own("T", 0, 6)).await;
    assert_eq!(said(&newer), (25, "the consumer's subscription not latest"));
    peer.subscribe("c1", "cg", vec![sql("T", "a =", 6)]).await;
    let wrong = peer.pull(&pull_own("T", 0, 6)).await;
    assert_eq!(
        said(&wrong),
        (27, "The broker's consumer filter data is not exist!Your expression may be wrong!")
    );
    peer.subscribe("c1", "cg", vec![sql("T", "a = 1", 7)]).await;
    assert_eq!(bodies(peer.pull(&pull_own("T", 0, 7)).await), ["one"]);

    let header = QueryConsumeQueueHeader {
        topic: Some("T".into()),
        queue_id: Some(0),
        index: Some(0),
        count: Some(1),
        consumer_group: Some("cg".into()),
    };
    let reply = peer.call(RemotingCommand::request(RequestCode::QueryConsumeQueue, &header)).await;
    let shown: QueryConsumeQueueResponseBody = fastjson::from_slice(&reply.body).unwrap();
    assert!(shown.filter_data.unwrap().contains("\"expression\":\"a = 1\""));
}

/// Filters outlive the Broker, under the version they came with.
#[tokio::test]
async fn filters_are_saved() {
    let rig = Rig::start(&[ON]).await;
    let peer = rig.peer().await;
    peer.store("T", 0, "a\u{1}1", "one").await;
    peer.subscribe("c1", "cg", vec![sql("T", "a = 1", 7)]).await;
    let rig = rig.restart().await;
    let peer = rig.peer().await;
    peer.subscribe("c1", "cg", vec![sql("T", "a = 2", 6)]).await;
    assert_eq!(bodies(peer.pull(&pull_own("T", 0, 6)).await), ["one"], "the newer one is the saved one");
    peer.subscribe("c1", "cg", vec![sql("T", "a = 2", 8)]).await;
    assert_eq!(outcome(&peer.pull(&pull_own("T", 0, 8)).await), (20, "1"));
}

/// A held pull is woken by the message that matches, at once, and by others only to learn where to go on.
#[tokio::test]
async fn a_matching_message_wakes() {
    let rig = Rig::start(&[ON]).await;
    let (waiter, peer) = (rig.peer().await, rig.peer().await);
    peer.store("T", 0, "a\u{1}1", "one").await;
    for (properties, expected, at_once) in
        [(["a\u{1}2", "a\u{1}3"], (0, "3"), true), (["a\u{1}4", "a\u{1}x"], (20, "5"), false)]
    {
        let from = if at_once { 1 } else { 3 };
        let header = PullMessageHeader {
            sys_flag: SUBSCRIPTION | SUSPEND,
            suspend_timeout_millis: 20_000,
            ..pull_by("T", from, "a = 3")
        };
        let probe = pull("T", 0, from);
        let held = waiter.pull(&header);
        tokio::pin!(held);
        // The Broker handles a connection's requests in order: once the second is answered, the first is held.
        tokio::select! {
            biased;
            reply = &mut held => panic!("{reply:?}"),
            reply = waiter.pull(&probe) => assert_eq!(reply.code, 19),
        }
        let started = Instant::now();
        for properties in properties {
            peer.store("T", 0, properties, "x").await;
        }
        let reply = held.await;
        assert_eq!(outcome(&reply), expected);
        assert_eq!(started.elapsed() < Duration::from_secs(2), at_once, "{:?}", started.elapsed());
    }
}

/// With `filterSupportRetry` a message that waits for its retry is judged once more, by the filter for the
/// topic it comes from.
#[tokio::test]
async fn retries_are_judged() {
    for (support, expected) in [("false", vec!["1", "2", "3"]), ("true", vec!["2", "3"])] {
        let rig = Rig::start(&[ON, ("filterSupportRetry", support)]).await;
        let peer = rig.peer().await;
        let retry = SubscriptionData {
            topic: "%RETRY%cg".to_owned(),
            sub_string: "*".to_owned(),
            sub_version: 5,
            ..SubscriptionData::default()
        };
        peer.subscribe("c1", "cg", vec![sql("T", "a = 2", 5), retry]).await;
        peer.store("%RETRY%cg", 0, "RETRY_TOPIC\u{1}T\u{2}a\u{1}1", "1").await;
        peer.store("%RETRY%cg", 0, "RETRY_TOPIC\u{1}T\u{2}a\u{1}2", "2").await;
        peer.store("%RETRY%cg", 0, "RETRY_TOPIC\u{1}U\u{2}a\u{1}1", "3").await;
        assert_eq!(bodies(peer.pull(&pull_own("%RETRY%cg", 0, 5)).await), expected);
    }
}

/// With both settings a message's unit has the bits that Java's Bloom filter gives to those who want it, and
/// what groups get is the same as without: old messages and new groups included.
#[tokio::test]
async fn messages_are_judged_when_they_are_stored() {
    let bit_maps = [
        ON,
        ("enableConsumeQueueExt", "true"),
        ("enableCalcFilterBitMap", "true"),
        ("mappedFileSizeConsumeQueueExt", "1000"),
    ];
    let rig = Rig::start(&bit_maps).await;
    let peer = rig.peer().await;
    peer.store("T", 0, "a\u{1}1", "unseen").await;
    peer.subscribe("c1", "g", vec![sql("T", "a = 1", 5)]).await;
    peer.subscribe("c1", "cg", vec![sql("T", "a > 1", 5)]).await;
    for (a, body) in [("1", "one"), ("2", "two"), ("0", "none")] {
        peer.store("T", 0, &format!("a\u{1}{a}"), body).await;
    }
    let of_group = async |peer: &Peer, group: &str| {
        let header = PullMessageHeader { consumer_group: group.into(), ..pull_own("T", 0, 5) };
        bodies(peer.pull(&header).await)
    };
    let rig = rig.restart().await;
    let peer = rig.peer().await;
    peer.subscribe("c1", "g", vec![sql("T", "a = 1", 5)]).await;
    peer.subscribe("c1", "cg", vec![sql("T", "a > 1", 5)]).await;
    peer.subscribe("c1", "new", vec![sql("T", "a < 2", 5)]).await;
    assert_eq!(of_group(&peer, "g").await, ["unseen", "one"]);
    assert_eq!(of_group(&peer, "cg").await, ["two"]);
    assert_eq!(of_group(&peer, "new").await, ["unseen", "one", "none"]);
    let units = std::fs::read(rig.store_dir().join("consumequeue_ext/T/0/00000000000000000000")).unwrap();
    // The first message found no filter; units of 34 bytes hold a bit map of 112 bits.
    let bits = |bits: &[usize]| {
        let mut bit_map = vec![0; 14];
        bits.iter().for_each(|bit| bit_map[bit / 8] |= 1 << (bit % 8));
        bit_map
    };
    assert_eq!(units[..2], [0, 20]);
    let bit_map = |number: usize| &units[20 + number * 34..][..34][20..];
    assert_eq!(bit_map(0), bits(&[90, 68, 28]), "g#T");
    assert_eq!(bit_map(1), bits(&CG_BITS), "cg#T");
    assert_eq!(bit_map(2), bits(&[]));
    assert!(units[20 + 3 * 34..].iter().all(|byte| *byte == 0));
}
