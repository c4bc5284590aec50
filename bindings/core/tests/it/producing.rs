//! Sends in line and transactions.

use std::sync::mpsc;
use std::time::Duration;

use ferrocket_bindings::ferrocket::{ErrorKind, LocalTransactionState, Message, MessageQueue, Result};
use ferrocket_bindings::{Inbox, Pipeline, Terms, block_on, on_check, send_in_transaction, spawn};

use crate::{LONG, end, world};

/// Sends in line are stored in the order of the calls, whenever their receipts are looked at.
#[test]
fn sends_in_line_keep_their_order() {
    let (broker, client) = world(&[("defaultTopicQueueNums", "1")]);
    let producer = block_on(client.producer("p").default_topic_queue_nums(1).start()).unwrap();
    let inbox: Inbox<(usize, Result<i64>)> = Inbox::new(|| ());
    let line = Pipeline::new(producer).unwrap();
    for number in 0..200 {
        let inbox = inbox.clone();
        let done = move |sent: Result<_>| {
            inbox.push((
                number,
                sent.map(|sent: ferrocket_bindings::ferrocket::SendResult| sent.queue_offset),
            ));
        };
        line.send(Message::new("Line", number.to_string()), Terms::default(), done).unwrap();
    }
    let mut offsets = Vec::new();
    while offsets.len() < 200 {
        let batch = inbox.wait(64, LONG);
        assert!(!batch.is_empty());
        offsets.extend(batch.into_iter().map(|(number, offset)| (number, offset.unwrap())));
    }
    offsets.sort_unstable();
    assert!(offsets.iter().all(|(number, offset)| *number as i64 == *offset), "{offsets:?}");
    // What cannot be sent is told the same way.
    let (sender, refused) = mpsc::channel();
    line.send(Message::new("Line", ""), Terms::default(), move |sent| sender.send(sent).unwrap()).unwrap();
    assert_eq!(refused.recv_timeout(LONG).unwrap().unwrap_err().unsent().len(), 1);
    end(&broker, &client);
}

/// What was in line when the producer's end began is sent.
#[test]
fn the_end_waits_for_the_line() {
    let (broker, client) = world(&[]);
    let producer = block_on(client.producer("p").start()).unwrap();
    let line = Pipeline::new(producer.clone()).unwrap();
    let inbox: Inbox<Result<()>> = Inbox::new(|| ());
    for number in 0..1_000 {
        let inbox = inbox.clone();
        let done = move |sent: Result<_>| {
            inbox.push(sent.map(drop::<ferrocket_bindings::ferrocket::SendResult>));
        };
        line.send(Message::new("Line", number.to_string()), Terms::default(), done).unwrap();
    }
    block_on(async {
        line.flush().await;
        producer.shutdown().await;
        Ok(())
    })
    .unwrap();
    let mut sent = 0;
    while sent < 1_000 {
        let batch = inbox.wait(64, LONG);
        assert!(!batch.is_empty());
        sent += batch.into_iter().map(Result::unwrap).count();
    }
    end(&broker, &client);
}

/// Each kind of send goes where its terms say; without any, as the producer sends.
#[test]
fn sends_have_terms() {
    let (broker, client) = world(&[]);
    let producer = block_on(client.producer("p").start()).unwrap();
    let line = Pipeline::new(producer.clone()).unwrap();
    let message = || Message::new("Terms", "x");
    let (sender, receipts) = mpsc::channel();
    let enqueue = |terms: &Terms| {
        let sender = sender.clone();
        line.send(message(), terms.clone(), move |sent| sender.send(sent).unwrap()).unwrap();
    };
    let receipt = || receipts.recv_timeout(LONG).unwrap();
    let anywhere = block_on(Terms::default().send(&producer, message())).unwrap().message_queue;
    for queue_id in [0, 3] {
        let queue = MessageQueue { queue_id, ..anywhere.clone() };
        let terms = Terms::new(Some(queue.clone()), None, Some(LONG)).unwrap();
        let sent = block_on(terms.send(&producer, message())).unwrap();
        assert_eq!(sent.message_queue, queue);
        block_on(terms.send_oneway(&producer, message())).unwrap();
        enqueue(&terms);
        assert_eq!(receipt().unwrap().message_queue, queue);
        let batch = block_on(terms.send_batch(&producer, vec![message(), message()])).unwrap();
        // All before it were in line for the same queue.
        assert_eq!((batch.message_queue, batch.queue_offset), (queue, sent.queue_offset + 3));
    }
    let ordered = Terms::new(None, Some("order-7".to_owned()), None).unwrap();
    let first = block_on(ordered.send(&producer, message())).unwrap().message_queue;
    for _ in 0..3 {
        enqueue(&ordered);
    }
    for _ in 0..3 {
        assert_eq!(receipt().unwrap().message_queue, first);
    }
    let sender = sender.clone();
    line.send(vec![message(), message()], ordered, move |sent| sender.send(sent).unwrap()).unwrap();
    let batch = receipt().unwrap();
    assert_eq!((batch.message_queue, batch.msg_id.split(',').count()), (first, 2));
    // A time that is none, a queue of another topic and two places at once are refused.
    let no_time = Terms { timeout: Some(Duration::ZERO), ..Terms::default() };
    let refused = block_on(no_time.send(&producer, message())).unwrap_err();
    assert_eq!((refused.kind(), refused.unsent().len()), (ErrorKind::Config, 1));
    enqueue(&Terms::new(Some(MessageQueue::new("Other", "b", 0)), None, None).unwrap());
    let refused = receipt().unwrap_err();
    assert_eq!((refused.kind(), refused.unsent().len()), (ErrorKind::InvalidMessage, 1));
    let both = Terms::new(Some(anywhere), Some("order-7".to_owned()), None);
    assert_eq!(both.unwrap_err().kind(), ErrorKind::Config);
    end(&broker, &client);
}

/// Local work is done and checks are answered by whoever takes the questions; one that is dropped is asked again.
#[test]
fn transactions_are_questions() {
    let (broker, client) = world(&[("transactionTimeOut", "1000"), ("transactionCheckInterval", "1000")]);
    let (work, checks) = (Inbox::new(|| ()), Inbox::new(|| ()));
    let builder = on_check(client.producer("t"), &checks);
    let producer = block_on(builder.start()).unwrap();
    let send = |body: &'static str| {
        let (producer, work) = (producer.clone(), work.clone());
        let (sender, sent) = mpsc::channel();
        let sending = async move { send_in_transaction(&producer, Message::new("Tx", body), &work).await };
        spawn(sending, move |result| sender.send(result.unwrap().local_transaction_state).unwrap()).unwrap();
        sent
    };
    let sent = send("now");
    let local = work.wait(1, LONG).pop().unwrap();
    assert_eq!(&local.subject.message.body()[..], b"now");
    assert!(local.answer(Ok(LocalTransactionState::CommitMessage)));
    assert_eq!(sent.recv_timeout(LONG).unwrap(), LocalTransactionState::CommitMessage);

    let sent = send("later");
    drop(work.wait(1, LONG));
    assert_eq!(sent.recv_timeout(LONG).unwrap(), LocalTransactionState::Unknown);
    for last in [false, true] {
        let check = loop {
            block_on(broker.advance(Duration::from_secs(10))).unwrap();
            if let Some(check) = checks.wait(1, Duration::from_millis(200)).pop() {
                break check;
            }
        };
        assert_eq!(&check.subject.body[..], b"later");
        if last {
            assert!(check.answer(Ok(LocalTransactionState::CommitMessage)));
        }
    }
    end(&broker, &client);
}
