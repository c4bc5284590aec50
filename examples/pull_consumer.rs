//! Reads every queue of a topic from where it was left to its present end, and keeps the offsets itself.
//!
//! For exports and tools: no group is balanced, nothing runs in the background, each call is one request. Run it
//! again and it goes on where it stopped. With a cluster at hand (`NAMESRV_ADDR`, else 127.0.0.1:9876):
//! `cargo run -p ferrocket --example pull_consumer`

use ferrocket::Client;

#[tokio::main]
async fn main() -> ferrocket::Result<()> {
    let name_servers = std::env::var("NAMESRV_ADDR").unwrap_or_else(|_| "127.0.0.1:9876".into());
    let client = Client::builder(&name_servers).build()?;

    // ANCHOR: pull
    let consumer = client.pull_consumer("example-pull-consumer").start().await?;
    let mut count = 0;
    for queue in consumer.fetch_queues("TopicTest").await? {
        let mut offset = match consumer.fetch_consume_offset(&queue).await? {
            Some(stored) => stored,
            None => consumer.min_offset(&queue).await?,
        };
        let end = consumer.max_offset(&queue).await?;
        while offset < end {
            let pulled = consumer.pull(&queue, "*", offset, 32).await?;
            count += pulled.messages.len();
            offset = pulled.next_begin_offset;
            consumer.update_consume_offset(&queue, offset).await?;
        }
        println!("{queue}: read to offset {offset}");
    }
    // ANCHOR_END: pull
    println!("{count} messages");
    client.shutdown().await
}
