//! Sends a hundred messages in one request: fewer round trips, all stored or none.
//!
//! Run it with a cluster at hand (`NAMESRV_ADDR`, else 127.0.0.1:9876):
//! `cargo run -p ferrocket --example batch`

use ferrocket::{Client, Message};

#[tokio::main]
async fn main() -> ferrocket::Result<()> {
    let name_servers = std::env::var("NAMESRV_ADDR").unwrap_or_else(|_| "127.0.0.1:9876".into());
    let client = Client::builder(&name_servers).build()?;
    let producer = client.producer("example-batch").start().await?;

    // ANCHOR: batch
    let messages = (0..100).map(|n| Message::new("TopicTest", format!("batched {n}")).tags("TagA")).collect();
    let sent = producer.send_batch(messages).await?;
    // ANCHOR_END: batch
    println!(
        "{}: {} messages from offset {}",
        sent.status,
        sent.msg_id.split(',').count(),
        sent.queue_offset
    );
    client.shutdown().await
}
