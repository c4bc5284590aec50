//! Consumes the messages whose properties satisfy a condition, until Ctrl-C.
//!
//! The Broker judges, so that other messages do not travel: it needs `enablePropertyFilter=true`, which is not its
//! default. Run it with a cluster at hand (`NAMESRV_ADDR`, else 127.0.0.1:9876):
//! `cargo run -p ferrocket --example sql92`

use ferrocket::{Client, ConsumeFromWhere, Message, MessageSelector};

#[tokio::main]
async fn main() -> ferrocket::Result<()> {
    let name_servers = std::env::var("NAMESRV_ADDR").unwrap_or_else(|_| "127.0.0.1:9876".into());
    let client = Client::builder(&name_servers).build()?;
    let producer = client.producer("example-sql92").start().await?;
    for (region, amount) in [("north", "20"), ("north", "2000"), ("south", "3000"), ("west", "4000")] {
        let payment = Message::new("PaymentTopic", format!("{amount} paid in the {region}"));
        println!("{}", producer.send(payment.property("region", region).property("amount", amount)).await?);
    }

    // ANCHOR: subscribe
    let large = MessageSelector::by_sql("amount > 1000 AND region IN ('north', 'west')");
    let _consumer = client
        .push_consumer("example-sql92-consumer")
        .subscribe("PaymentTopic", large)
        .consume_from(ConsumeFromWhere::FirstOffset)
        .on_message(|message| async move {
            println!("a large payment: {}", String::from_utf8_lossy(&message.body));
        })
        .start()
        .await?;
    // ANCHOR_END: subscribe

    println!("waiting for messages, Ctrl-C ends");
    tokio::signal::ctrl_c().await.ok();
    client.shutdown().await
}
