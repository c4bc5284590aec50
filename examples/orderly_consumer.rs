//! Consumes the messages of each queue in order, one at a time, until Ctrl-C, with a listener of its own type.
//!
//! Different queues run at once. A failed message makes its queue wait and comes again: nothing overtakes it.
//! A closure does as well, with `on_message_orderly`. Fill the topic with `ordered`. Run it with a cluster at hand
//! (`NAMESRV_ADDR`, else 127.0.0.1:9876): `cargo run -p ferrocket --example orderly_consumer`

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use ferrocket::{Client, ConsumeFromWhere, ConsumeOrderlyResult, MessageExt, MessageListenerOrderly};

/// Prints messages and numbers them.
#[derive(Default)]
struct Printer {
    printed: AtomicUsize,
}

// ANCHOR: listener
#[async_trait]
impl MessageListenerOrderly for Printer {
    async fn consume_message(&self, messages: Vec<MessageExt>) -> ConsumeOrderlyResult {
        for message in messages {
            let number = self.printed.fetch_add(1, Ordering::Relaxed);
            let text = String::from_utf8_lossy(&message.body);
            println!("{number}: queue {} offset {}: {text}", message.queue_id, message.queue_offset);
        }
        ConsumeOrderlyResult::Success
    }
}
// ANCHOR_END: listener

#[tokio::main]
async fn main() -> ferrocket::Result<()> {
    let name_servers = std::env::var("NAMESRV_ADDR").unwrap_or_else(|_| "127.0.0.1:9876".into());
    let client = Client::builder(&name_servers).build()?;
    // ANCHOR: consume
    let _consumer = client
        .push_consumer("example-orderly-consumer")
        .subscribe("OrderTopic", "*")
        .consume_from(ConsumeFromWhere::FirstOffset)
        .orderly_listener(Printer::default())
        .start()
        .await?;
    // ANCHOR_END: consume

    println!("waiting for messages, Ctrl-C ends");
    tokio::signal::ctrl_c().await.ok();
    client.shutdown().await
}
