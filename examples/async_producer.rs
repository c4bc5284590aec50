//! Queues a thousand messages, without waiting for each receipt, and then counts the receipts.
//!
//! `enqueue` returns once the bytes are in line for the broker; the receipt is awaited whenever it suits.
//! Run it with a cluster at hand (`NAMESRV_ADDR`, else 127.0.0.1:9876):
//! `cargo run -p ferrocket --example async_producer`

use ferrocket::{Client, Message};

#[tokio::main]
async fn main() -> ferrocket::Result<()> {
    let name_servers = std::env::var("NAMESRV_ADDR").unwrap_or_else(|_| "127.0.0.1:9876".into());
    let client = Client::builder(&name_servers).build()?;
    let producer = client.producer("example-async-producer").enqueue_retries(2).start().await?;

    // ANCHOR: enqueue
    let mut receipts = Vec::new();
    for n in 0..1000 {
        receipts.push(producer.enqueue(Message::new("TopicTest", format!("queued {n}"))).await?);
    }
    // ANCHOR_END: enqueue
    let mut stored = 0;
    for receipt in receipts {
        match receipt.await {
            Ok(_) => stored += 1,
            // The message comes back with the error: keep it, send it again, or let it go.
            Err(error) => eprintln!("{error}: {:?}", error.unsent()),
        }
    }
    println!("{stored} of 1000 messages are stored");
    client.shutdown().await
}
