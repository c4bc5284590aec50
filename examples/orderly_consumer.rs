//! Consumes the messages of each queue in order, one at a time, until Ctrl-C.
//!
//! Different queues run at once. A failed message makes its queue wait and comes again: nothing overtakes it.
//! Fill the topic with `ordered`. Run it with a cluster at hand (`NAMESRV_ADDR`, else 127.0.0.1:9876):
//! `cargo run --example orderly_consumer`

use ferrocket::{Client, ConsumeFromWhere, ConsumeOrderlyResult};

#[tokio::main]
async fn main() -> ferrocket::Result<()> {
    let name_servers = std::env::var("NAMESRV_ADDR").unwrap_or_else(|_| "127.0.0.1:9876".into());
    let client = Client::builder(&name_servers).build()?;
    let _consumer = client
        .push_consumer("example-orderly-consumer")
        .subscribe("OrderTopic", "*")
        .consume_from(ConsumeFromWhere::FirstOffset)
        .on_message_orderly(|message| async move {
            let text = String::from_utf8_lossy(&message.body);
            println!("queue {} offset {}: {text}", message.queue_id, message.queue_offset);
            ConsumeOrderlyResult::Success
        })
        .start()
        .await?;

    println!("waiting for messages, Ctrl-C ends");
    tokio::signal::ctrl_c().await.ok();
    client.shutdown().await
}
