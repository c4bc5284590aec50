//! Sends a message and records that it was sent, where RocketMQ's tools find it.
//!
//! The Brokers need `traceTopicEnable=true`, or a topic of that name. Run it with a cluster at hand (`NAMESRV_ADDR`,
//! else 127.0.0.1:9876): `cargo run -p ferrocket --example trace`

use ferrocket::{Client, Message};

#[tokio::main]
async fn main() -> ferrocket::Result<()> {
    let name_servers = std::env::var("NAMESRV_ADDR").unwrap_or_else(|_| "127.0.0.1:9876".into());
    // ANCHOR: trace
    let client = Client::builder(&name_servers).enable_trace(true).build()?;
    let producer = client.producer("example-trace").start().await?;
    let sent = producer.send(Message::new("TopicTest", "followed").key("order-42")).await?;
    // What is not sent yet of the trace goes out now.
    client.shutdown().await?;
    println!("mqadmin queryMsgTraceById -n {name_servers} -i {}", sent.msg_id);
    // ANCHOR_END: trace
    Ok(())
}
