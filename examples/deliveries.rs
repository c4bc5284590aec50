//! Takes messages from a stream and answers each, until Ctrl-C.
//!
//! What is neither acknowledged nor put off comes again later. Run it with a cluster at hand (`NAMESRV_ADDR`, else
//! 127.0.0.1:9876): `cargo run -p ferrocket --example deliveries`

use std::pin::pin;

use ferrocket::{Client, ConsumeFromWhere};

#[tokio::main]
async fn main() -> ferrocket::Result<()> {
    let name_servers = std::env::var("NAMESRV_ADDR").unwrap_or_else(|_| "127.0.0.1:9876".into());
    let client = Client::builder(&name_servers).build()?;
    // ANCHOR: deliveries
    let (_consumer, mut deliveries) = client
        .push_consumer("example-deliveries")
        .subscribe("TopicTest", "*")
        .consume_from(ConsumeFromWhere::FirstOffset)
        .deliveries()
        .await?;

    println!("waiting for messages, Ctrl-C ends");
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    loop {
        let delivery = tokio::select! {
            delivery = deliveries.next() => delivery,
            _ = &mut interrupted => None,
        };
        let Some(delivery) = delivery else { break };
        match std::str::from_utf8(&delivery.body) {
            Ok(text) => {
                println!("{}: {text}", delivery.msg_id);
                delivery.ack();
            }
            Err(_) => delivery.retry_later(0),
        }
    }
    // ANCHOR_END: deliveries
    client.shutdown().await
}
