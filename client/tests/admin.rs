//! Administration of a cluster by an application, against our own servers.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use ferrocket::admin::{SubscriptionGroupConfig, TopicConfig};
use ferrocket::testing::Cluster;
use ferrocket::{Client, ConsumeFromWhere, ConsumeResult, ErrorKind, Message};
use tokio::sync::mpsc;

async fn cluster() -> (Cluster, Client) {
    let cluster = Cluster::builder().broker_setting("autoCreateTopicEnable", "false").start().await.unwrap();
    let client = cluster.client().build().unwrap();
    (cluster, client)
}

async fn end(cluster: Cluster, client: &Client) {
    client.shutdown().await.unwrap();
    cluster.shutdown().await.unwrap();
}

/// A topic is made, shows in routes and statistics, takes messages, and is gone when it is deleted.
#[tokio::test]
async fn topics_come_and_go() {
    let (cluster, client) = cluster().await;
    let admin = client.admin();
    assert_eq!(admin.topic_route("Orders").await.unwrap_err().kind(), ErrorKind::NoRoute);
    admin.create_topic(&TopicConfig::new("Orders", 3, 2, 6)).await.unwrap();
    assert!(admin.topics().await.unwrap().contains("Orders"));
    let route = admin.topic_route("Orders").await.unwrap();
    assert_eq!((route.queue_datas[0].read_queue_nums, route.queue_datas[0].write_queue_nums), (3, 2));
    let brokers = admin.cluster_info().await.unwrap().broker_addr_table;
    assert_eq!(brokers.keys().collect::<Vec<_>>(), [&route.broker_datas[0].broker_name]);

    let producer = client.producer("p").start().await.unwrap();
    assert!(producer.send(Message::new("Orders", "one")).await.unwrap().is_ok());
    let stats = admin.topic_stats("Orders").await.unwrap().offset_table;
    // Of the queues that can be written.
    assert_eq!((stats.len(), stats.values().map(|offset| offset.max_offset).sum::<i64>()), (2, 1));

    admin.delete_topic("Orders").await.unwrap();
    assert_eq!(admin.topic_route("Orders").await.unwrap_err().kind(), ErrorKind::NoRoute);
    let error = admin.create_topic(&TopicConfig::new("no such name", 1, 1, 6)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    end(cluster, &client).await;
}

/// A message is found by each of its three names, and not by another's.
#[tokio::test]
async fn messages_are_found() {
    let (cluster, client) = cluster().await;
    let admin = client.admin();
    admin.create_topic(&TopicConfig::new("Orders", 1, 1, 6)).await.unwrap();
    let producer = client.producer("p").start().await.unwrap();
    let paid = producer.send(Message::new("Orders", "paid").key("o-1")).await.unwrap();
    let sent = producer.send(Message::new("Orders", "sent").keys(["o-1", "o-2"])).await.unwrap();

    let (begin, end_of_time) = (SystemTime::UNIX_EPOCH, SystemTime::now() + Duration::from_secs(60));
    let query = |key, max| admin.query_message("Orders", key, max, begin, end_of_time);
    let bodies = |found: Vec<ferrocket::MessageExt>| -> Vec<String> {
        found.iter().map(|message| String::from_utf8_lossy(&message.body).into_owned()).collect()
    };
    assert_eq!(bodies(query("o-1", 32).await.unwrap()), ["paid", "sent"]);
    assert_eq!(bodies(query("o-2", 32).await.unwrap()), ["sent"]);
    assert_eq!(query("o-1", 1).await.unwrap().len(), 1);
    assert!(query("o-3", 32).await.unwrap().is_empty());
    let early = admin.query_message("Orders", "o-1", 32, begin, SystemTime::UNIX_EPOCH).await.unwrap();
    assert!(early.is_empty());

    let by_unique_key = |key| admin.query_message_by_unique_key("Orders", key);
    assert_eq!(by_unique_key(&sent.msg_id).await.unwrap().unwrap().body, "sent");
    assert!(by_unique_key("0".repeat(32).as_str()).await.unwrap().is_none());

    let id = &*paid.offset_msg_id;
    let viewed = admin.view_message("Orders", id).await.unwrap();
    assert_eq!((&viewed.body[..], &*viewed.msg_id), (&b"paid"[..], &*paid.msg_id));
    let error = admin.view_message("Orders", "o-1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    // An id of somebody else, who is not asked.
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    stranger.set_nonblocking(true).unwrap();
    let SocketAddr::V4(host) = stranger.local_addr().unwrap() else { unreachable!() };
    let forged = format!("7F000001{:08X}{:016X}", host.port(), 0);
    let error = admin.view_message("Orders", &forged).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.to_string().contains(&host.to_string()), "{error}");
    assert_eq!(stranger.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    end(cluster, &client).await;
}

/// A group's progress is told and set back, with its consumers there and without.
#[tokio::test]
async fn groups_are_watched_and_set_back() {
    let (cluster, client) = cluster().await;
    let admin = client.admin();
    admin.create_topic(&TopicConfig::new("Orders", 1, 1, 6)).await.unwrap();
    let group = SubscriptionGroupConfig { retry_max_times: 3, ..SubscriptionGroupConfig::new("billing") };
    admin.create_group(&group).await.unwrap();
    assert_eq!(admin.consumer_connection("billing", "Orders").await.unwrap(), None);

    let producer = client.producer("p").start().await.unwrap();
    for number in 0..3 {
        assert!(producer.send(Message::new("Orders", number.to_string())).await.unwrap().is_ok());
    }
    let (heard, mut messages) = mpsc::unbounded_channel();
    let consume = async || {
        let heard = heard.clone();
        client
            .push_consumer("billing")
            .consume_from(ConsumeFromWhere::FirstOffset)
            .subscribe("Orders", "*")
            .on_message(move |message| {
                heard.send(String::from_utf8_lossy(&message.body).into_owned()).unwrap();
                async { ConsumeResult::Success }
            })
            .start()
            .await
            .unwrap()
    };
    let consumer = consume().await;
    for expected in ["0", "1", "2"] {
        assert_eq!(messages.recv().await.unwrap(), expected);
    }
    // Only a group with stored offsets can be set back.
    consumer.shutdown().await;
    let consumer = consume().await;
    let connection = admin.consumer_connection("billing", "Orders").await.unwrap().unwrap();
    assert_eq!(connection.connection_set[0].client_id, client.client_id());

    let reset = admin.reset_offset("billing", "Orders", SystemTime::UNIX_EPOCH).await.unwrap();
    assert_eq!(reset.values().copied().collect::<Vec<_>>(), [0]);
    for expected in ["0", "1", "2"] {
        assert_eq!(messages.recv().await.unwrap(), expected);
    }
    consumer.shutdown().await;

    let progress = |stats: ferrocket::admin::ConsumeStats| {
        let (_, offset) = stats.offset_table.into_iter().next().unwrap();
        (offset.consumer_offset, offset.broker_offset)
    };
    let stats = admin.consume_stats("billing", "Orders").await.unwrap();
    assert_eq!((progress(stats.clone()), stats.total_diff()), ((3, 3), 0));
    let reset = admin.reset_offset("billing", "Orders", SystemTime::UNIX_EPOCH).await.unwrap();
    assert_eq!(reset.values().copied().collect::<Vec<_>>(), [0]);
    assert_eq!(progress(admin.consume_stats("billing", "Orders").await.unwrap()), (0, 3));

    let reset = admin.reset_offset("billing", "Orders", SystemTime::now() + Duration::from_secs(60)).await;
    assert_eq!(reset.unwrap().values().copied().collect::<Vec<_>>(), [3]);
    admin.delete_group("billing").await.unwrap();
    // Brokers tell 0 of a group that they know nothing of.
    assert_eq!(progress(admin.consume_stats("billing", "Orders").await.unwrap()), (0, 3));
    end(cluster, &client).await;
}

/// A client's namespace is not put before names that its administration is given.
#[tokio::test]
async fn a_namespace_stays_out_of_it() {
    let (cluster, bare) = cluster().await;
    let client = cluster.client().namespace("ns").build().unwrap();
    let admin = client.admin();
    admin.create_group(&SubscriptionGroupConfig::new("billing")).await.unwrap();
    for topic in ["Orders", "ns%Orders"] {
        admin.create_topic(&TopicConfig::new(topic, 1, 1, 6)).await.unwrap();
        let queue = bare.fetch_subscribe_queues(topic).await.unwrap().remove(0);
        let consumer = bare.pull_consumer("billing").start().await.unwrap();
        consumer.update_consume_offset(&queue, 0).await.unwrap();
        // Without anyone connected the stored offsets are set.
        consumer.shutdown().await;
        let reset = admin.reset_offset("billing", topic, SystemTime::UNIX_EPOCH).await.unwrap();
        assert_eq!(reset.into_iter().collect::<Vec<_>>(), [(queue, 0)]);
    }
    client.shutdown().await.unwrap();
    end(cluster, &bare).await;
}
