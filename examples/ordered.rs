//! Sends the steps of several orders so that those of one order stay in order.
//!
//! Messages with the same key go to the same queue, and a queue keeps its order. To consume them in order, see
//! `orderly_consumer`. Run it with a cluster at hand (`NAMESRV_ADDR`, else 127.0.0.1:9876):
//! `cargo run -p ferrocket --example ordered`

use ferrocket::{Client, Message};

#[tokio::main]
async fn main() -> ferrocket::Result<()> {
    let name_servers = std::env::var("NAMESRV_ADDR").unwrap_or_else(|_| "127.0.0.1:9876".into());
    let client = Client::builder(&name_servers).build()?;
    let producer = client.producer("example-ordered").start().await?;

    // ANCHOR: ordered
    for step in ["created", "paid", "shipped"] {
        for order in ["order-1", "order-2", "order-3"] {
            let message = Message::new("OrderTopic", format!("{order} {step}")).tags(step).key(order);
            let sent = producer.send_ordered(message, order).await?;
            println!("{order} {step}: queue {}, offset {}", sent.message_queue.queue_id, sent.queue_offset);
        }
    }
    // ANCHOR_END: ordered

    // ANCHOR: send_with
    // Any other rule: the closure sees the queues and the message.
    let last = Message::new("OrderTopic", "all orders are done").tags("done");
    let sent = producer.send_with(last, |queues, _message| queues.first().cloned()).await?;
    // ANCHOR_END: send_with
    println!("{sent}");

    // ANCHOR: enqueue
    let mut receipts = Vec::new();
    for step in ["packed", "sent", "received"] {
        let message = Message::new("OrderTopic", format!("order-4 {step}")).tags(step).key("order-4");
        receipts.push(producer.ordered("order-4").enqueue(message).await?);
    }
    // ANCHOR_END: enqueue
    for receipt in receipts {
        println!("order-4: offset {}", receipt.await?.queue_offset);
    }
    client.shutdown().await
}
