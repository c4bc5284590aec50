//! Consumers whose messages are taken in batches.

use std::collections::BTreeSet;
use std::sync::mpsc;

use ferrocket_bindings::ferrocket::{
    Client, ConsumeFromWhere, ConsumeOrderlyResult, Event, Message, PushConsumerBuilder,
};
use ferrocket_bindings::{EventFd, Inbox, block_on, deliveries, events, orderly};

use crate::{LONG, end, world};

fn send(client: &Client, bodies: &[&str]) {
    block_on(async {
        let producer = client.producer("p").default_topic_queue_nums(1).start().await?;
        for body in bodies {
            assert!(producer.send(Message::new("Orders", body.to_string())).await?.is_ok());
        }
        producer.shutdown().await;
        Ok(())
    })
    .unwrap();
}

fn consumer(client: &Client) -> PushConsumerBuilder {
    client.push_consumer("g").subscribe("Orders", "*").consume_from(ConsumeFromWhere::FirstOffset)
}

fn body(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Deliveries come in batches through the wake-up; what is acknowledged is done, what is dropped comes again.
#[test]
fn deliveries_come_in_batches() {
    let (broker, client) = world(&[]);
    send(&client, &["a", "b", "c"]);
    let (sender, rung) = mpsc::channel();
    let wake = move || {
        // The test may be over.
        let _ = sender.send(());
    };
    let (consumer, inbox) = block_on(deliveries(consumer(&client), wake)).unwrap();
    let mut seen = BTreeSet::new();
    while seen.len() < 3 {
        rung.recv_timeout(LONG).unwrap();
        for delivery in inbox.drain(2) {
            seen.insert(body(&delivery.body));
            match &delivery.body[..] {
                b"b" => drop(delivery),
                _ => delivery.ack(),
            }
        }
    }
    // The retry topic's first delay level, which the test does not wait for.
    let again = loop {
        block_on(broker.advance(LONG)).unwrap();
        let batch = inbox.wait(9, std::time::Duration::from_millis(200));
        if !batch.is_empty() {
            break batch;
        }
    };
    let again: Vec<_> = again
        .into_iter()
        .map(|delivery| {
            let what = (body(&delivery.body), delivery.reconsume_times);
            delivery.ack();
            what
        })
        .collect();
    assert_eq!(again, [("b".to_owned(), 1)]);
    block_on(async {
        consumer.shutdown().await;
        Ok(())
    })
    .unwrap();
    assert!(inbox.wait(1, LONG).is_empty() && inbox.is_ended());
    end(&broker, &client);
}

/// A queue's messages come in order, one batch at a time, and wait for the answer; a dropped batch comes again.
#[test]
fn orderly_batches_wait_for_answers() {
    let (broker, client) = world(&[]);
    send(&client, &["a", "b", "c"]);
    let fd = EventFd::new().unwrap();
    let inbox = Inbox::new(fd.wake());
    let builder =
        orderly(consumer(&client).suspend_current_queue_time(std::time::Duration::from_millis(10)), &inbox);
    let consumer = block_on(builder.start()).unwrap();
    let mut bodies = Vec::new();
    for turn in 0..5 {
        let batch = inbox.wait(9, LONG);
        fd.clear();
        let [question] = <[_; 1]>::try_from(batch).unwrap();
        bodies.push(body(&question.subject[0].body));
        match turn {
            0 => drop(question),
            1 => assert!(question.answer(ConsumeOrderlyResult::SuspendCurrentQueueAMoment)),
            _ => assert!(question.answer(ConsumeOrderlyResult::Success)),
        }
    }
    assert_eq!(bodies, ["a", "a", "a", "b", "c"]);
    inbox.close();
    block_on(async {
        consumer.shutdown().await;
        Ok(())
    })
    .unwrap();
    end(&broker, &client);
}

/// Events are values; the stream ends with the client.
#[test]
fn events_end_with_the_client() {
    let (broker, client) = world(&[]);
    let watched = events(&client, || ()).unwrap();
    send(&client, &["a"]);
    let mut connected = false;
    while !connected {
        let batch = watched.wait(16, LONG);
        assert!(!batch.is_empty());
        connected = batch.iter().any(|event| matches!(event, Event::Connected { .. }));
    }
    end(&broker, &client);
    while !watched.is_ended() {
        watched.wait(16, LONG);
    }
}
