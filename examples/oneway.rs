//! Sends messages without waiting for receipts, for data that may get lost: metrics, traces, logs.
//!
//! Run it with a cluster at hand (`NAMESRV_ADDR`, else 127.0.0.1:9876):
//! `cargo run -p ferrocket --example oneway`

use ferrocket::{Client, Message};

#[tokio::main]
async fn main() -> ferrocket::Result<()> {
    let name_servers = std::env::var("NAMESRV_ADDR").unwrap_or_else(|_| "127.0.0.1:9876".into());
    let client = Client::builder(&name_servers).build()?;
    let producer = client.producer("example-oneway").start().await?;

    // ANCHOR: oneway
    for n in 0..100 {
        producer.send_oneway(Message::new("TopicTest", format!("measured {n}")).tags("metrics")).await?;
    }
    // ANCHOR_END: oneway
    println!("100 messages are on their way");
    client.shutdown().await
}
