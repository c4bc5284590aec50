//! Sends a thousand small messages from as many tasks; what is ready at the same time travels as one request.
//!
//! Nothing waits for a timer: a message that finds nothing under way goes at once, and what comes meanwhile is the
//! next batch. Run it with a cluster at hand (`NAMESRV_ADDR`, else 127.0.0.1:9876):
//! `cargo run -p ferrocket --example auto_batch`

use ferrocket::{Client, Message};
use tokio::task::JoinSet;

#[tokio::main]
async fn main() -> ferrocket::Result<()> {
    let name_servers = std::env::var("NAMESRV_ADDR").unwrap_or_else(|_| "127.0.0.1:9876".into());
    let client = Client::builder(&name_servers).build()?;

    // ANCHOR: auto_batch
    let producer = client.producer("example-auto-batch").auto_batch(true).start().await?;
    let mut sends = JoinSet::new();
    for n in 0..1000 {
        let producer = producer.clone();
        // Each send gets a receipt of its own, or its own message back.
        sends.spawn(async move { producer.send(Message::new("ReadingTopic", format!("reading {n}"))).await });
    }
    // ANCHOR_END: auto_batch
    let mut stored = 0;
    for sent in sends.join_all().await {
        match sent {
            Ok(_) => stored += 1,
            Err(error) => eprintln!("{error}: {:?}", error.unsent()),
        }
    }
    println!("{stored} of 1000 readings are stored");
    client.shutdown().await
}
