//! Asks a question through a topic and waits for the answer of whoever consumes it.
//!
//! Run it with a cluster at hand (`NAMESRV_ADDR`, else 127.0.0.1:9876):
//! `cargo run -p ferrocket --example request_reply`

use std::time::Duration;

use ferrocket::{Client, Message};

#[tokio::main]
async fn main() -> ferrocket::Result<()> {
    let name_servers = std::env::var("NAMESRV_ADDR").unwrap_or_else(|_| "127.0.0.1:9876".into());
    let client = Client::builder(&name_servers).build()?;
    let producer = client.producer("example-request-reply").start().await?;

    // ANCHOR: reply
    // The side that answers, usually another program. Any producer may send the reply.
    let replier = producer.clone();
    let _answering = client
        .push_consumer("example-answering")
        .subscribe("RequestTopic", "*")
        .on_message(move |message| {
            let replier = replier.clone();
            async move {
                let reply = message.reply_message(format!("{} bytes", message.body.len()))?;
                replier.send(reply).await.map(drop)
            }
        })
        .start()
        .await?;
    // ANCHOR_END: reply

    // ANCHOR: request
    let reply =
        producer.request(Message::new("RequestTopic", "how long am I?"), Duration::from_secs(10)).await?;
    println!("the answer: {}", String::from_utf8_lossy(&reply.body));
    // ANCHOR_END: request
    client.shutdown().await
}
