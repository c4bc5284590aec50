//! Sends a message with an account's signature, to a cluster with access control.
//!
//! `ACCESS_KEY` and `SECRET_KEY` are the account's; a cluster without access control does not look at them. Run it
//! with a cluster at hand (`NAMESRV_ADDR`, else 127.0.0.1:9876): `cargo run -p ferrocket --example acl`

use ferrocket::{Client, Message};

#[tokio::main]
async fn main() -> ferrocket::Result<()> {
    let name_servers = std::env::var("NAMESRV_ADDR").unwrap_or_else(|_| "127.0.0.1:9876".into());
    let access_key = std::env::var("ACCESS_KEY").unwrap_or_else(|_| "RocketMQ".into());
    let secret_key = std::env::var("SECRET_KEY").unwrap_or_else(|_| "12345678".into());
    // ANCHOR: acl
    let client = Client::builder(&name_servers).acl(access_key, secret_key).build()?;
    // ANCHOR_END: acl
    let producer = client.producer("example-acl").start().await?;
    println!("{}", producer.send(Message::new("TopicTest", "Signed")).await?);
    client.shutdown().await
}
