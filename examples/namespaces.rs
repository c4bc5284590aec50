//! Sends and consumes in a namespace: the same names as elsewhere in the cluster, and other topics and groups.
//!
//! Run it with a cluster at hand (`NAMESRV_ADDR`, else 127.0.0.1:9876):
//! `cargo run -p ferrocket --example namespaces`

use ferrocket::{Client, ConsumeFromWhere, Message};

#[tokio::main]
async fn main() -> ferrocket::Result<()> {
    let name_servers = std::env::var("NAMESRV_ADDR").unwrap_or_else(|_| "127.0.0.1:9876".into());

    // ANCHOR: namespaces
    let client = Client::builder(&name_servers).namespace("shop").build()?;
    let producer = client.producer("example-namespaces").start().await?;
    for n in 0..3 {
        println!("{}", producer.send(Message::new("Orders", format!("order {n}"))).await?);
    }
    let _consumer = client
        .push_consumer("example-namespaces-consumer")
        .subscribe("Orders", "*")
        .consume_from(ConsumeFromWhere::FirstOffset)
        .on_message(|message| async move {
            println!("from {}: {}", message.topic, String::from_utf8_lossy(&message.body));
        })
        .start()
        .await?;
    // ANCHOR_END: namespaces

    // What the others call it, and tools.
    let outside = Client::builder(&name_servers).build()?;
    for broker in outside.admin().topic_route("shop%Orders").await?.broker_datas {
        println!("shop%Orders is on {}", broker.broker_name);
    }
    outside.shutdown().await?;

    println!("waiting for messages, Ctrl-C ends");
    tokio::signal::ctrl_c().await.ok();
    client.shutdown().await
}
