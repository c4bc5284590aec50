//! The client from code without `async`.

use std::sync::mpsc;

use ferrocket::blocking::{Wait, on_thread};
use ferrocket::testing::Cluster;
use ferrocket::{ConsumeFromWhere, ConsumeOrderlyResult, ConsumeResult, Message};

/// Sends, pushes and polls, with handlers that block, and no runtime in sight.
#[test]
fn everything_can_be_waited_for() {
    let cluster = Cluster::start().wait().unwrap();
    let client = cluster.client().build().unwrap();
    let producer = client.producer("p").start().wait().unwrap();
    let pending: Vec<_> = (0..100)
        .map(|number| producer.enqueue(Message::new("T", number.to_string())).wait().unwrap())
        .collect();
    for sent in pending {
        assert!(sent.wait().unwrap().is_ok());
    }

    let (heard, messages) = mpsc::channel();
    let consumer = client
        .push_consumer("push")
        .consume_from(ConsumeFromWhere::FirstOffset)
        .subscribe("T", "*")
        .on_message(on_thread(move |message: ferrocket::MessageExt| {
            heard.send(String::from_utf8_lossy(&message.body).into_owned()).unwrap();
            ConsumeResult::Success
        }))
        .start()
        .wait()
        .unwrap();
    let mut received: Vec<u32> = messages.iter().take(100).map(|body| body.parse().unwrap()).collect();
    received.sort_unstable();
    assert_eq!(received, (0..100).collect::<Vec<_>>());
    consumer.shutdown().wait();
    client.shutdown().wait().unwrap();
    cluster.shutdown().wait().unwrap();
}

/// A handler's panic is its failure, and the message comes again; the handler's thread may wait for the client.
#[test]
fn handlers_may_panic_and_wait() {
    let cluster = Cluster::start().wait().unwrap();
    let client = cluster.client().build().unwrap();
    let producer = client.producer("p").start().wait().unwrap();
    assert!(producer.send(Message::new("T", "first")).wait().unwrap().is_ok());
    let (heard, answers) = mpsc::channel();
    let consumer = client
        .push_consumer("orderly")
        .consume_from(ConsumeFromWhere::FirstOffset)
        .suspend_current_queue_time(std::time::Duration::from_millis(10))
        .subscribe("T", "*")
        .on_message_orderly(on_thread(move |message: ferrocket::MessageExt| {
            assert!(message.reconsume_times > 0, "the first time");
            heard.send(producer.send(Message::new("Answers", "second")).wait().unwrap()).unwrap();
            ConsumeOrderlyResult::Success
        }))
        .start()
        .wait()
        .unwrap();
    assert!(answers.recv().unwrap().is_ok());
    consumer.shutdown().wait();
    client.shutdown().wait().unwrap();
    cluster.shutdown().wait().unwrap();
}
