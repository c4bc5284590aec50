//! Lists of topics, and topics that change without a registration.

use ferrocket_protocol::requests::RequestCode::*;

use crate::peer::{BROKER_A, World, call, refusal, registration, request, text};

/// Every list, in Java's form.
#[tokio::test]
async fn lists() {
    let world = World::start().await;
    let mut body = registration(1, &["T0", "T1", "T2", "T3"]);
    for (flags, config) in body.topic_config_serialize_wrapper.topic_config_table.values_mut().enumerate() {
        config.topic_sys_flag = flags as i32;
    }
    text(&call(&world.peer, request(RegisterBroker, BROKER_A).with_body(body.encode(false))).await);
    for (code, fields, expected) in [
        (GetAllTopicListFromNameserver, vec![], r#"{"topicList":["T0","T1","T2","T3"]}"#),
        (GetTopicsByCluster, vec![("cluster", "DefaultCluster")], r#"{"topicList":["T0","T1","T2","T3"]}"#),
        (GetTopicsByCluster, vec![("cluster", "nowhere")], r#"{"topicList":[]}"#),
        (
            GetSystemTopicListFromNs,
            vec![],
            r#"{"brokerAddr":"127.0.0.1:40911","topicList":["DefaultCluster","broker-a"]}"#,
        ),
        (GetUnitTopicList, vec![], r#"{"topicList":["T1","T3"]}"#),
        (GetHasUnitSubTopicList, vec![], r#"{"topicList":["T2","T3"]}"#),
        (GetHasUnitSubUnunitTopicList, vec![], r#"{"topicList":["T2"]}"#),
    ] {
        assert_eq!(world.body(code, &fields).await, expected, "{code}");
    }
}

/// Topics are deleted everywhere or in a cluster; deleting what is not there succeeds.
#[tokio::test]
async fn deletes() {
    let world = World::start().await;
    text(&world.register(&["T1", "T2", "T3"]).await);
    for fields in [
        vec![("topic", "T1")],
        vec![("topic", "T1"), ("clusterName", "")],
        vec![("topic", "T2"), ("clusterName", "DefaultCluster")],
        vec![("topic", "T3"), ("clusterName", "nowhere")],
    ] {
        text(&world.call(DeleteTopicInNamesrv, &fields).await);
    }
    assert_eq!(world.body(GetAllTopicListFromNameserver, &[]).await, r#"{"topicList":["T3"]}"#);
}

/// 5.x registers a single topic; the old meaning of that code, which sends no topic, fails cleanly.
#[tokio::test]
async fn registers_a_topic() {
    let world = World::start().await;
    text(&world.register(&["T1", "T2"]).await);
    let route = r#"{"queueDatas":[{"brokerName":"broker-a","perm":6,"readQueueNums":3,"writeQueueNums":3}]}"#;
    let register = request(RegisterTopicInNamesrv, &[("topic", "S")]).with_body(route);
    text(&call(&world.peer, register).await);
    assert!(world.body(GetRouteinfoByTopic, &[("topic", "S")]).await.contains(r#""readQueueNums":3,"#));
    let reply = world.call(RegisterTopicInNamesrv, &[("namespace", "PROJECT"), ("value", "v")]).await;
    assert_eq!(refusal(&reply), (1, "field topic is missing, a value of type text is expected"));
}
