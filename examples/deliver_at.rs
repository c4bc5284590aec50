//! Sends messages that consumers get at a time of their own, and takes one back.
//!
//! Brokers from 5.0 on know times, those from 5.3 on take messages back (with `recallMessageEnable`); older ones
//! deliver such a message at once.
//! Run it with a cluster at hand (`NAMESRV_ADDR`, else 127.0.0.1:9876):
//! `cargo run -p ferrocket --example deliver_at`

use std::time::{Duration, SystemTime};

use ferrocket::{Client, Message};

#[tokio::main]
async fn main() -> ferrocket::Result<()> {
    let name_servers = std::env::var("NAMESRV_ADDR").unwrap_or_else(|_| "127.0.0.1:9876".into());
    let client = Client::builder(&name_servers).build()?;
    let producer = client.producer("example-deliver-at").start().await?;

    // ANCHOR: deliver_at
    let soon = SystemTime::now() + Duration::from_secs(2);
    let sent = producer.send(Message::new("TimerTopic", "at a time").deliver_at(soon)).await?;
    println!("to be delivered in two seconds: {sent}");

    let message = Message::new("TimerTopic", "after an hour").deliver_after(Duration::from_secs(60 * 60));
    let sent = producer.send(message).await?;
    println!("to be delivered in an hour: {sent}");
    match &sent.recall_handle {
        Some(handle) => println!("taken back: {}", producer.recall("TimerTopic", handle).await?),
        None => println!("this broker takes nothing back"),
    }
    // ANCHOR_END: deliver_at
    client.shutdown().await
}
