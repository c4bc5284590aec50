//! Tests code against a cluster in its own process, whose clock it turns: an hour's delay is over at once.
//!
//! In a test, `#[tokio::test]` stands where `#[tokio::main]` is. It needs no cluster at hand:
//! `cargo run -p ferrocket --features testing --example testing`

use std::time::Duration;

use ferrocket::testing::Cluster;
use ferrocket::{ConsumeFromWhere, Message};

#[tokio::main]
async fn main() -> ferrocket::Result<()> {
    // ANCHOR: cluster
    let cluster = Cluster::builder().broker_setting("messageDelayLevel", "1h").start().await?;
    let client = cluster.client().build()?;
    let producer = client.producer("example-testing").start().await?;
    let sent = producer.send(Message::new("Reminders", "an hour has passed").delay_level(1)).await?;
    println!("{sent}");

    let consumer = client
        .lite_pull_consumer("example-testing-consumer")
        .subscribe("Reminders", "*")
        .consume_from(ConsumeFromWhere::FirstOffset)
        .start()
        .await?;
    cluster.advance(Duration::from_secs(60 * 60));
    for message in consumer.poll(Duration::from_secs(10)).await? {
        println!("{}", String::from_utf8_lossy(&message.body));
    }
    // ANCHOR_END: cluster
    client.shutdown().await?;
    cluster.shutdown().await
}
