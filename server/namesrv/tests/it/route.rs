//! Registrations and routes.

use ferrocket_protocol::command::RemotingCommand;
use ferrocket_protocol::fastjson;
use ferrocket_protocol::message::body_crc;
use ferrocket_protocol::requests::RequestCode::*;

use crate::peer::{BROKER_A, World, call, connect, refusal, registration, request, text, with};

/// What Java 4.9.8 answered for this registration, captured live.
const LENIENT: &str = r#"{"brokerDatas":[{"brokerAddrs":{0:"127.0.0.1:40911"},"brokerName":"broker-a","cluster":"DefaultCluster"}],"filterServerTable":{},"queueDatas":[{"brokerName":"broker-a","perm":6,"readQueueNums":4,"topicSysFlag":0,"writeQueueNums":4}]}"#;

fn field<'a>(reply: &'a RemotingCommand, name: &str) -> Option<&'a str> {
    reply.ext_fields.get(name).map(|value| &**value)
}

async fn topics(world: &World) -> String {
    world.body(GetAllTopicListFromNameserver, &[]).await
}

/// Routes read byte for byte as Java's: number keys in quotes for peers of 4.9.4 on and for those who ask.
#[tokio::test]
async fn routes_as_java_writes_them() {
    let world = World::start().await;
    text(&world.register(&["T", "TBW102"]).await);
    let strict = LENIENT.replace("0:\"127", "\"0\":\"127");
    for (version, fields, expected) in [
        (409, vec![("topic", "T")], &*strict),
        (401, vec![("topic", "T")], &strict),
        (400, vec![("topic", "T")], LENIENT),
        (0, vec![("topic", "T"), ("acceptStandardJsonOnly", "true")], &strict),
        (0, vec![("topic", "T"), ("acceptStandardJsonOnly", "false")], LENIENT),
    ] {
        let mut request = request(GetRouteinfoByTopic, &fields);
        request.version = version;
        assert_eq!(text(&call(&world.peer, request).await), expected, "version {version}");
    }
    let reply = world.call(GetRouteinfoByTopic, &[("topic", "nowhere")]).await;
    let remark = "No topic route info in name server for the topic: nowhere\nSee http://rocketmq.apache.org/docs/faq/ for further details.";
    assert_eq!(refusal(&reply), (17, remark));
}

/// Order configs show in routes only where the setting wants it; brokers get them with every registration.
#[tokio::test]
async fn order_configs() {
    for (enabled, shown) in [("false", false), ("true", true)] {
        let world = World::start_in(tempfile::tempdir().unwrap(), &[("orderMessageEnable", enabled)]).await;
        assert!(world.register(&["T", "TBW102"]).await.body.is_empty());
        let order = [("namespace", "ORDER_TOPIC_CONFIG"), ("key", "T"), ("value", "broker-a:4")];
        text(&world.call(PutKvConfig, &order).await);
        assert_eq!(text(&world.register(&["T", "TBW102"]).await), r#"{"table":{"T":"broker-a:4"}}"#);
        let route = world.body(GetRouteinfoByTopic, &[("topic", "T")]).await;
        assert_eq!(route.contains(r#""orderTopicConf":"broker-a:4","#), shown, "{route}");
        assert!(!world.body(GetRouteinfoByTopic, &[("topic", "TBW102")]).await.contains("orderTopicConf"));
    }
}

/// All forms of a registration's body: JSON, compressed, with checksum, none, and that of brokers before
/// 3.0.11; what does not read or match is refused.
#[tokio::test]
async fn forms_of_registrations() {
    let world = World::start().await;
    let register = |fields: &[(&str, &str)], version: i32, body: Vec<u8>| {
        let mut request = request(RegisterBroker, fields).with_body(body);
        request.version = version;
        call(&world.peer, request)
    };
    text(&register(BROKER_A, 409, registration(1, &["J1", "J2"]).encode(false).to_vec()).await);
    let compressed = with(BROKER_A, "compressed", "true");
    text(&register(&compressed, 409, registration(2, &["Z1", "Z2"]).encode(true).to_vec()).await);
    // Bytes that Java 4.9.8 wrote: one topic, T.
    let java = "78da63606050af564ace2fcd2b492d52b232d0512ac9cc4d2d2e49cc2d50b23234b73435b634353733b030b2ac656060600462911005433310325308f6f473f7718d0f7174078a3345c70200eeb911a7";
    let java: Vec<u8> =
        (0..java.len()).step_by(2).map(|at| u8::from_str_radix(&java[at..at + 2], 16).unwrap()).collect();
    text(&register(&compressed, 409, java).await);
    let old = registration(3, &["O1", "O2"]).topic_config_serialize_wrapper;
    text(&register(BROKER_A, 36, fastjson::to_vec(&old)).await);
    text(&register(BROKER_A, 409, Vec::new()).await);
    assert_eq!(topics(&world).await, r#"{"topicList":["J1","J2","O1","O2","T","Z1","Z2"]}"#);

    let body = registration(4, &["C1", "C2"]).encode(false).to_vec();
    let crc = body_crc(&body).to_string();
    text(&register(&with(BROKER_A, "bodyCrc32", &crc), 409, body.clone()).await);
    let reply = register(&with(BROKER_A, "bodyCrc32", "1"), 409, body.clone()).await;
    assert_eq!(refusal(&reply), (1, "crc32 not match"));
    let reply = register(&compressed, 409, body).await;
    assert!(refusal(&reply).1.starts_with("Failed to decode RegisterBrokerBody: "), "{reply:?}");
    let reply = register(&[("brokerName", "b")], 409, Vec::new()).await;
    assert_eq!(refusal(&reply), (1, "field brokerAddr is missing, a value of type text is expected"));
}

/// A single topic is added to a registered broker's, also by a oneway request; from any other broker it is
/// refused.
#[tokio::test]
async fn single_topics() {
    let world = World::start().await;
    assert_eq!(refusal(&world.register(&["T"]).await), (1, "register broker failed"));
    text(&world.register(&["T", "TBW102"]).await);
    let body = registration(2, &["Auto"]).encode(false);
    world.peer.oneway(request(RegisterBroker, BROKER_A).with_body(body)).await.unwrap();
    // Answers come in order, so the oneway request has none.
    assert_eq!(topics(&world).await, r#"{"topicList":["Auto","T","TBW102"]}"#);
}

/// A slave's registration tells it where its master is.
#[tokio::test]
async fn slaves() {
    let world = World::start().await;
    let slave = with(&with(BROKER_A, "brokerId", "1"), "brokerAddr", "127.0.0.1:40921");
    let body = registration(1, &["T", "TBW102"]).encode(false);
    let reply = call(&world.peer, request(RegisterBroker, &slave).with_body(body.clone())).await;
    assert_eq!((reply.code, field(&reply, "masterAddr")), (0, None));
    world.register(&["T", "TBW102"]).await;
    let reply = call(&world.peer, request(RegisterBroker, &slave).with_body(body)).await;
    assert_eq!(field(&reply, "masterAddr"), Some("127.0.0.1:40911"));
    assert_eq!(field(&reply, "haServerAddr"), Some("127.0.0.1:40912"));
    let expected = r#"{"brokerAddrTable":{"broker-a":{"brokerAddrs":{0:"127.0.0.1:40911",1:"127.0.0.1:40921"},"brokerName":"broker-a","cluster":"DefaultCluster"}},"clusterAddrTable":{"DefaultCluster":["broker-a"]}}"#;
    assert_eq!(world.body(GetBrokerClusterInfo, &[]).await, expected);
    let group = world
        .body(GetBrokerMemberGroup, &[("clusterName", "DefaultCluster"), ("brokerName", "broker-a")])
        .await;
    let expected = r#"{"brokerMemberGroup":{"brokerAddrs":{0:"127.0.0.1:40911",1:"127.0.0.1:40921"},"brokerName":"broker-a","cluster":"DefaultCluster"}}"#;
    assert_eq!(group, expected);
    // The slave says farewell; the master stays.
    text(&world.call(UnregisterBroker, &slave).await);
    let expected = r#"{"brokerAddrTable":{"broker-a":{"brokerAddrs":{0:"127.0.0.1:40911"},"brokerName":"broker-a","cluster":"DefaultCluster"}},"clusterAddrTable":{"DefaultCluster":["broker-a"]}}"#;
    assert_eq!(world.body(GetBrokerClusterInfo, &[]).await, expected);
    text(&world.call(UnregisterBroker, BROKER_A).await);
    text(&world.call(UnregisterBroker, BROKER_A).await);
    let nothing = r#"{"brokerAddrTable":{},"clusterAddrTable":{}}"#;
    assert_eq!(world.body(GetBrokerClusterInfo, &[]).await, nothing);
}

/// A broker asks whether it has to register.
#[tokio::test]
async fn data_versions() {
    let world = World::start().await;
    let ask = |counter: i64| {
        let version = registration(counter, &[]).topic_config_serialize_wrapper.data_version;
        call(&world.peer, request(QueryDataVersion, BROKER_A).with_body(fastjson::to_vec(&version)))
    };
    let reply = ask(1).await;
    assert_eq!((field(&reply, "changed"), text(&reply)), (Some("true"), String::new()));
    world.register(&["T", "TBW102"]).await;
    let known = r#"{"counter":1,"timestamp":1795395760829}"#;
    let reply = ask(1).await;
    assert_eq!((field(&reply, "changed"), text(&reply)), (Some("false"), known.to_owned()));
    let reply = ask(2).await;
    assert_eq!((field(&reply, "changed"), text(&reply)), (Some("true"), known.to_owned()));
    let reply = call(&world.peer, request(QueryDataVersion, BROKER_A).with_body("{")).await;
    assert_eq!(reply.code, 1);
    text(&world.call(BrokerHeartbeat, &[("brokerAddr", "127.0.0.1:40911")]).await);
    text(&world.call(BrokerHeartbeat, &[("brokerAddr", "nobody:1")]).await);
}

/// Write permission is taken and given back for all of a broker's topics, and outlives the registration
/// that a broker repeats.
#[tokio::test]
async fn write_permission() {
    let world = World::start().await;
    world.register(&["T", "TBW102"]).await;
    let broker = [("brokerName", "broker-a")];
    let reply = world.call(WipeWritePermOfBroker, &broker).await;
    assert_eq!((reply.code, field(&reply, "wipeTopicCount")), (0, Some("2")));
    world.register(&["T", "TBW102"]).await;
    assert!(world.body(GetRouteinfoByTopic, &[("topic", "T")]).await.contains(r#""perm":4,"#));
    let reply = world.call(AddWritePermOfBroker, &broker).await;
    assert_eq!((reply.code, field(&reply, "addTopicCount")), (0, Some("2")));
    assert!(world.body(GetRouteinfoByTopic, &[("topic", "T")]).await.contains(r#""perm":6,"#));
    let reply = world.call(WipeWritePermOfBroker, &[("brokerName", "nobody")]).await;
    assert_eq!((reply.code, field(&reply, "wipeTopicCount")), (0, Some("0")));
}

/// A broker is forgotten when the connection of its last registration closes, and only then.
#[tokio::test]
async fn closed_connections() {
    let world = World::start().await;
    let body = registration(1, &["T", "TBW102"]).encode(false);
    let (first, second) = (connect(&world.server).await, connect(&world.server).await);
    for peer in [&first, &second] {
        text(&call(peer, request(RegisterBroker, BROKER_A).with_body(body.clone())).await);
    }
    first.close();
    first.closed().await;
    second.close();
    second.closed().await;
    while topics(&world).await != r#"{"topicList":[]}"# {}
    text(&world.register(&["T", "TBW102"]).await);
    let other = connect(&world.server).await;
    call(&other, request(GetBrokerClusterInfo, &[])).await;
    other.close();
    other.closed().await;
    assert_eq!(topics(&world).await, r#"{"topicList":["T","TBW102"]}"#);
}

/// Requests of brokers and unknown codes are answered with code 3, oneway ones not at all.
#[tokio::test]
async fn unknown_requests() {
    let world = World::start().await;
    let mut unknown = request(SendMessage, &[]);
    world.peer.oneway(unknown.clone()).await.unwrap();
    assert_eq!(refusal(&call(&world.peer, unknown.clone()).await), (3, " request type 10 not supported"));
    unknown.code = 123_456;
    let reply = call(&world.peer, unknown).await;
    assert_eq!(refusal(&reply), (3, " request type 123456 not supported"));
}
