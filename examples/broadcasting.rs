//! Consumes every message in every running copy of this program, until Ctrl-C: for caches and settings.
//!
//! Offsets are kept in a file on this machine, and failed messages do not come again. Run it with a cluster at
//! hand (`NAMESRV_ADDR`, else 127.0.0.1:9876): `cargo run -p ferrocket --example broadcasting`

use ferrocket::{Client, ConsumeFromWhere, MessageModel};

#[tokio::main]
async fn main() -> ferrocket::Result<()> {
    let name_servers = std::env::var("NAMESRV_ADDR").unwrap_or_else(|_| "127.0.0.1:9876".into());
    let client = Client::builder(&name_servers).build()?;
    // ANCHOR: consume
    let _consumer = client
        .push_consumer("example-broadcasting")
        .subscribe("TopicTest", "*")
        .message_model(MessageModel::Broadcasting)
        .consume_from(ConsumeFromWhere::FirstOffset)
        .on_message(|message| async move {
            println!("{}: {} bytes", message.msg_id, message.body.len());
        })
        .start()
        .await?;
    // ANCHOR_END: consume

    println!("waiting for messages, Ctrl-C ends");
    tokio::signal::ctrl_c().await.ok();
    client.shutdown().await
}
