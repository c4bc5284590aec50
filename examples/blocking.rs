//! Sends ten messages and consumes them, in a program without `async`.
//!
//! `.wait()` stands where other programs say `.await`. Run it with a cluster at hand (`NAMESRV_ADDR`, else
//! 127.0.0.1:9876): `cargo run -p ferrocket --features blocking --example blocking`

use std::sync::mpsc;

use ferrocket::blocking::{Wait, on_thread};
use ferrocket::{Client, ConsumeFromWhere, Message, MessageExt};

fn main() -> ferrocket::Result<()> {
    let name_servers = std::env::var("NAMESRV_ADDR").unwrap_or_else(|_| "127.0.0.1:9876".into());
    let client = Client::builder(&name_servers).build()?;

    // ANCHOR: blocking
    let producer = client.producer("example-blocking").start().wait()?;
    for n in 0..10 {
        println!("{}", producer.send(Message::new("BlockingTopic", format!("without async {n}"))).wait()?);
    }

    let (consumed, bodies) = mpsc::channel();
    let consumer = client
        .push_consumer("example-blocking-consumer")
        .subscribe("BlockingTopic", "*")
        .consume_from(ConsumeFromWhere::FirstOffset)
        .on_message(on_thread(move |message: MessageExt| consumed.send(message.body)))
        .start()
        .wait()?;
    for body in bodies.iter().take(10) {
        println!("consumed: {}", String::from_utf8_lossy(&body));
    }
    consumer.shutdown().wait();
    // ANCHOR_END: blocking
    client.shutdown().wait()
}
