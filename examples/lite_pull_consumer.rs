//! Asks for messages instead of being called with them, and commits when they are done, until Ctrl-C.
//!
//! Run it with a cluster at hand (`NAMESRV_ADDR`, else 127.0.0.1:9876):
//! `cargo run -p ferrocket --example lite_pull_consumer`

use std::pin::pin;
use std::time::Duration;

use ferrocket::{Client, ConsumeFromWhere};

#[tokio::main]
async fn main() -> ferrocket::Result<()> {
    let name_servers = std::env::var("NAMESRV_ADDR").unwrap_or_else(|_| "127.0.0.1:9876".into());
    let client = Client::builder(&name_servers).build()?;
    // ANCHOR: poll
    let consumer = client
        .lite_pull_consumer("example-lite-pull-consumer")
        .subscribe("TopicTest", "*")
        .consume_from(ConsumeFromWhere::FirstOffset)
        .auto_commit(false)
        .start()
        .await?;

    println!("waiting for messages, Ctrl-C ends");
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    loop {
        let messages = tokio::select! {
            messages = consumer.poll(Duration::from_secs(5)) => messages?,
            _ = &mut interrupted => break,
        };
        for message in &messages {
            println!("{} at {}: {} bytes", message.msg_id, message.queue_offset, message.body.len());
        }
        if !messages.is_empty() {
            consumer.commit().await?;
        }
    }
    consumer.shutdown().await;
    // ANCHOR_END: poll
    client.shutdown().await
}
