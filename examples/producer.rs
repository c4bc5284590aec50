//! Sends ten messages and prints the broker's receipts.
//!
//! Run it with a cluster at hand (`NAMESRV_ADDR`, else 127.0.0.1:9876):
//! `cargo run -p ferrocket --example producer`

// ANCHOR: send
use ferrocket::{Client, Message};

#[tokio::main]
async fn main() -> ferrocket::Result<()> {
    let name_servers = std::env::var("NAMESRV_ADDR").unwrap_or_else(|_| "127.0.0.1:9876".into());
    let client = Client::builder(&name_servers).build()?;
    let producer = client.producer("example-producer").start().await?;

    for n in 0..10 {
        let message = Message::new("TopicTest", format!("Hello, RocketMQ {n}"))
            .tags(if n % 2 == 0 { "TagA" } else { "TagB" })
            .key(format!("order-{n}"));
        let sent = producer.send(message).await?;
        println!("{sent}");
    }
    client.shutdown().await
}
// ANCHOR_END: send
