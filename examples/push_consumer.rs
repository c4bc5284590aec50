//! Consumes messages as they arrive, many at once, until Ctrl-C.
//!
//! A handler that answers an error, or panics, gets the message again after a delay that grows with each attempt.
//! Run it with a cluster at hand (`NAMESRV_ADDR`, else 127.0.0.1:9876):
//! `cargo run -p ferrocket --example push_consumer`

use ferrocket::{Client, ConsumeFromWhere};

#[tokio::main]
async fn main() -> ferrocket::Result<()> {
    let name_servers = std::env::var("NAMESRV_ADDR").unwrap_or_else(|_| "127.0.0.1:9876".into());
    let client = Client::builder(&name_servers).build()?;
    // ANCHOR: consume
    let _consumer = client
        .push_consumer("example-push-consumer")
        .subscribe("TopicTest", "TagA || TagB")
        .consume_from(ConsumeFromWhere::FirstOffset)
        .on_message(|message| async move {
            let text = String::from_utf8(message.body.to_vec())?;
            println!("{}: {text}", message.msg_id);
            Ok::<(), std::string::FromUtf8Error>(())
        })
        .start()
        .await?;
    // ANCHOR_END: consume

    println!("waiting for messages, Ctrl-C ends");
    tokio::signal::ctrl_c().await.ok();
    client.shutdown().await
}
