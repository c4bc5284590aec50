//! Brokers that take less than is sent: senders are held back, and nothing fails.

use std::sync::Arc;
use std::time::Duration;

use ferrocket::{Message, Producer};
use ferrocket_protocol::RequestCode;
use tokio::sync::mpsc;

use crate::cluster::{Server, Take, builder, is_send, name_server_for, stored};

const SENDS: RequestCode = RequestCode::SendMessageV2;

/// A broker that stores one message after the other, each in this time.
async fn slow_broker(time: Duration) -> Arc<Server> {
    let (arrived, mut waiting) = mpsc::unbounded_channel();
    let broker = Server::start(move |request| {
        if !is_send(request) {
            return Take::Reply(stored(request));
        }
        arrived.send(request.clone()).unwrap();
        Take::Silence
    })
    .await;
    let broker = Arc::new(broker);
    let weak = Arc::downgrade(&broker);
    tokio::spawn(async move {
        let mut works = tokio::time::interval(time);
        while let Some(request) = waiting.recv().await {
            works.tick().await;
            let Some(broker) = weak.upgrade() else { return };
            broker.connection().reply(stored(&request));
        }
    });
    broker
}

async fn producer(brokers: &[(&str, &Server)], timeout: Duration) -> (Producer, Server) {
    let brokers: Vec<_> = brokers.iter().map(|(name, server)| (*name, server.addr, 2)).collect();
    let names = name_server_for(&brokers).await;
    let client = builder(&names).build().unwrap();
    (client.producer("g").send_msg_timeout(timeout).start().await.unwrap(), names)
}

/// A program enqueues three times as much as the broker stores within the send timeout: all of it is stored, each
/// message once.
#[tokio::test]
async fn a_slow_broker_fails_nothing() {
    let broker = slow_broker(Duration::from_millis(3)).await;
    let (producer, _names) = producer(&[("a", &broker)], Duration::from_secs(1)).await;
    let mut receipts = Vec::new();
    for number in 0..1_000 {
        receipts.push(producer.enqueue(Message::new("T", number.to_string())).await.unwrap());
    }
    for receipt in receipts {
        assert!(receipt.await.unwrap().is_ok());
    }
    assert_eq!(broker.seen(SENDS).len(), 1_000);
}

/// Many tasks that enqueue at once wait for as long as the broker stores what is before them.
#[tokio::test]
async fn whoever_waits_gets_on() {
    let broker = slow_broker(Duration::from_millis(3)).await;
    let (producer, _names) = producer(&[("a", &broker)], Duration::from_millis(500)).await;
    let tasks: Vec<_> = (0..500)
        .map(|number| {
            let producer = producer.clone();
            tokio::spawn(async move { producer.enqueue(Message::new("T", number.to_string())).await?.await })
        })
        .collect();
    for task in tasks {
        assert!(task.await.unwrap().unwrap().is_ok());
    }
}

/// Of two brokers one hangs: it gets a few messages, the other all the rest, and nobody waits.
#[tokio::test]
async fn a_broker_that_hangs_holds_up_no_other() {
    let hangs = Server::start(|_| Take::Silence).await;
    let works = Server::broker().await;
    let (producer, _names) = producer(&[("a", &hangs), ("b", &works)], Duration::from_secs(600)).await;
    for number in 0..1_000 {
        let _pending = producer.enqueue(Message::new("T", number.to_string())).await.unwrap();
    }
    works.wait_for(SENDS, 900).await;
    assert!(hangs.seen(SENDS).len() < 100);
}
