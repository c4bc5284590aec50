//! Sends a message through TLS.
//!
//! `TLS_CA` names the PEM file of the authority that issued the servers' certificates. Without it any server is
//! believed, as Java's clients do unless told otherwise.
//! Run it with a cluster at hand (`NAMESRV_ADDR`, else 127.0.0.1:9876):
//! `cargo run -p ferrocket --features tls --example tls`

use ferrocket::{Client, Message, TlsOptions};

#[tokio::main]
async fn main() -> ferrocket::Result<()> {
    let name_servers = std::env::var("NAMESRV_ADDR").unwrap_or_else(|_| "127.0.0.1:9876".into());
    // ANCHOR: tls
    let tls = match std::env::var_os("TLS_CA") {
        Some(path) => TlsOptions::trusting(path),
        None => TlsOptions::trusting_anyone(),
    };
    let client = Client::builder(&name_servers).tls(tls).build()?;
    // ANCHOR_END: tls
    let producer = client.producer("example-tls").start().await?;
    println!("{}", producer.send(Message::new("TopicTest", "Nobody else reads this")).await?);
    client.shutdown().await
}
