//! Reads every queue of a topic once, from the group's stored offset to the end, and stores how far it came.
//!
//! Run it with a cluster at hand (`NAMESRV_ADDR`, else 127.0.0.1:9876):
//! `cargo run -p ferrocket --example pull_consumer`

use ferrocket::{Client, PullStatus};

#[tokio::main]
async fn main() -> ferrocket::Result<()> {
    let name_servers = std::env::var("NAMESRV_ADDR").unwrap_or_else(|_| "127.0.0.1:9876".into());
    let client = Client::builder(&name_servers).build()?;
    let consumer = client.pull_consumer("example-pull-consumer").start().await?;
    for queue in consumer.fetch_queues("TopicTest").await? {
        let mut offset = match consumer.fetch_consume_offset(&queue).await? {
            Some(offset) => offset,
            None => consumer.min_offset(&queue).await?,
        };
        loop {
            let pulled = consumer.pull(&queue, "*", offset, 32).await?;
            for message in &pulled.messages {
                println!("{} at {} of {queue}", message.msg_id, message.queue_offset);
            }
            offset = pulled.next_begin_offset;
            if pulled.status == PullStatus::NoNewMsg {
                break;
            }
        }
        consumer.update_consume_offset(&queue, offset).await?;
    }
    client.shutdown().await
}
