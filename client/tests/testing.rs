//! The cluster that tests start in their own process.

use std::time::{Duration, Instant};

use ferrocket::testing::Cluster;
use ferrocket::{Client, ConsumeFromWhere, ConsumeResult, ErrorKind, Message, Producer, PushConsumerBuilder};
use tokio::sync::mpsc;

/// A client of the cluster with a producer, and a consumer of topic T to be given its listener.
async fn client(cluster: &Cluster) -> (Client, Producer, PushConsumerBuilder) {
    let client = cluster.client().build().unwrap();
    let producer = client.producer("p").start().await.unwrap();
    let consumer = client.push_consumer("c").consume_from(ConsumeFromWhere::FirstOffset).subscribe("T", "*");
    (client, producer, consumer)
}

/// A day's delay is over when the clock says so, and not before; orderly leases and live clients outlast it.
#[tokio::test]
async fn the_clock_can_be_turned() {
    let cluster = Cluster::builder().broker_setting("messageDelayLevel", "1d").start().await.unwrap();
    let (client, producer, consumer) = client(&cluster).await;
    let (heard, mut messages) = mpsc::unbounded_channel();
    let _consumer = consumer
        .on_message(move |message| {
            let heard = heard.clone();
            async move {
                heard.send(String::from_utf8_lossy(&message.body).into_owned()).unwrap();
                ConsumeResult::Success
            }
        })
        .start()
        .await
        .unwrap();
    assert!(producer.send(Message::new("T", "tomorrow").delay_level(1)).await.unwrap().is_ok());
    assert!(producer.send(Message::new("T", "now")).await.unwrap().is_ok());
    assert_eq!(messages.recv().await.unwrap(), "now");
    cluster.advance(Duration::from_secs(24 * 60 * 60));
    assert_eq!(messages.recv().await.unwrap(), "tomorrow");
    client.shutdown().await.unwrap();
    cluster.shutdown().await.unwrap();
}

/// Each test can have a cluster of its own. The fastest start counts, since other tests have the cores, too.
#[tokio::test]
async fn it_is_ready_at_once() {
    let mut fastest = Duration::MAX;
    for _ in 0..10 {
        let begin = Instant::now();
        let cluster = Cluster::start().await.unwrap();
        fastest = fastest.min(begin.elapsed());
        cluster.shutdown().await.unwrap();
    }
    assert!(fastest < Duration::from_millis(20), "ready after {fastest:?}");
}

/// A failed message comes again when the time of its retry has been made to pass.
#[tokio::test]
async fn retries_become_instant() {
    let cluster = Cluster::start().await.unwrap();
    let (client, producer, consumer) = client(&cluster).await;
    let (heard, mut tries) = mpsc::unbounded_channel();
    let _consumer = consumer
        .on_message(move |message| {
            let heard = heard.clone();
            async move {
                heard.send(message.reconsume_times).unwrap();
                if message.reconsume_times < 2 {
                    ConsumeResult::ReconsumeLater
                } else {
                    ConsumeResult::Success
                }
            }
        })
        .start()
        .await
        .unwrap();
    assert!(producer.send(Message::new("T", "again")).await.unwrap().is_ok());
    assert_eq!(tries.recv().await, Some(0));
    for expected in [1, 2] {
        // Sent back after the handler's answer: the clock is turned until it has come.
        let next = loop {
            cluster.advance(Duration::from_secs(60));
            match tokio::time::timeout(Duration::from_millis(10), tries.recv()).await {
                Ok(next) => break next,
                Err(_) => continue,
            }
        };
        assert_eq!(next, Some(expected));
    }
    client.shutdown().await.unwrap();
    cluster.shutdown().await.unwrap();
}

/// Settings are the servers' own, checked by name and value.
#[tokio::test]
async fn wrong_settings_are_refused_by_name() {
    let error = Cluster::builder().broker_setting("messageDelayLevels", "1s").start().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("messageDelayLevels"), "{error}");
    let error = Cluster::builder().namesrv_setting("listenPort", "abc").start().await.unwrap_err();
    assert!(error.to_string().contains("listenPort"), "{error}");
}

/// Several clusters in one process know nothing of each other.
#[tokio::test]
async fn clusters_are_apart() {
    let (one, two) = (Cluster::start().await.unwrap(), Cluster::start().await.unwrap());
    assert_ne!(one.namesrv_addr(), two.namesrv_addr());
    for cluster in [&one, &two] {
        let client = cluster.client().build().unwrap();
        let producer = client.producer("p").start().await.unwrap();
        let sent = producer.send(Message::new("T", "first")).await.unwrap();
        assert_eq!(sent.queue_offset, 0);
        client.shutdown().await.unwrap();
    }
    one.shutdown().await.unwrap();
    two.shutdown().await.unwrap();
}
