//! Sends messages that consumers get only after a while.
//!
//! The broker knows 18 levels: 1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h. Run it with a cluster
//! at hand (`NAMESRV_ADDR`, else 127.0.0.1:9876): `cargo run -p ferrocket --example delayed`

use ferrocket::{Client, Message};

#[tokio::main]
async fn main() -> ferrocket::Result<()> {
    let name_servers = std::env::var("NAMESRV_ADDR").unwrap_or_else(|_| "127.0.0.1:9876".into());
    let client = Client::builder(&name_servers).build()?;
    let producer = client.producer("example-delayed").start().await?;

    // ANCHOR: delayed
    for (level, delay) in [(1, "1 second"), (2, "5 seconds"), (3, "10 seconds")] {
        let message = Message::new("TopicTest", format!("after {delay}")).delay_level(level);
        println!("to be delivered after {delay}: {}", producer.send(message).await?);
    }
    // ANCHOR_END: delayed
    client.shutdown().await
}
