//! Watches what happens in a client: connections, routes, queues that come and go, slow handlers. Until Ctrl-C.
//!
//! Run it with a cluster at hand (`NAMESRV_ADDR`, else 127.0.0.1:9876):
//! `cargo run -p ferrocket --example events`

use std::pin::pin;

use ferrocket::{Client, Event};

#[tokio::main]
async fn main() -> ferrocket::Result<()> {
    let name_servers = std::env::var("NAMESRV_ADDR").unwrap_or_else(|_| "127.0.0.1:9876".into());
    let client = Client::builder(&name_servers).build()?;

    // ANCHOR: events
    // Before anything happens: a stream has what comes after it was asked for.
    let mut events = client.events();
    let _consumer = client
        .push_consumer("example-events")
        .subscribe("TopicTest", "*")
        .on_message(|_| async {})
        .start()
        .await?;

    println!("waiting for messages, Ctrl-C ends");
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            _ = &mut interrupted => None,
        };
        match event {
            Some(Event::Connected { addr }) => println!("connected to {addr}"),
            Some(Event::Disconnected { addr }) => println!("no longer connected to {addr}"),
            Some(Event::Rebalanced { group, topic, queues }) => {
                println!("{group} has {} queues of {topic}", queues.len());
            }
            Some(other) => println!("{other:?}"),
            None => break,
        }
    }
    // ANCHOR_END: events
    client.shutdown().await
}
