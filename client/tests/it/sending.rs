//! What producers offer around a send: hooks, automatic batches, times of delivery, and taking messages back.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use ferrocket::{
    Error, ErrorKind, Message, Producer, ProducerBuilder, SendMessageContext, SendMessageHook, SendResult,
};
use ferrocket_protocol::{RequestCode, ResponseCode, batch, properties};

use tokio::time::Instant;

use crate::cluster::{Server, Take, builder, is_send, name_server_for, stored};

const SENDS: RequestCode = RequestCode::SendMessageV2;

async fn producer(
    broker: &Server,
    set: impl FnOnce(ProducerBuilder) -> ProducerBuilder,
) -> (Producer, Server) {
    let names = name_server_for(&[("a", broker.addr, 1)]).await;
    let client = builder(&names).build().unwrap();
    (set(client.producer("g")).start().await.unwrap(), names)
}

/// Writes down what it is told.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl SendMessageHook for Notes {
    fn send_message_before(&self, context: &SendMessageContext<'_>) {
        let bodies: Vec<_> = context.messages.iter().map(|message| message.body().clone()).collect();
        let note = format!("{} {:?} to {}", context.producer_group, bodies, context.message_queue.queue_id);
        self.0.lock().unwrap().push(note);
    }

    fn send_message_after(&self, _: &SendMessageContext<'_>, outcome: Result<Option<&SendResult>, &Error>) {
        let note = match outcome {
            Ok(Some(sent)) => sent.status.to_string(),
            Ok(None) => "oneway".into(),
            Err(error) => format!("{:?}", error.kind()),
        };
        self.0.lock().unwrap().push(note);
    }
}

/// A hook hears of every attempt before and after it, of batches and oneway sends, too.
#[tokio::test]
async fn hooks_hear_of_every_attempt() {
    let broker = Server::start(|request| {
        Take::Reply(match is_send(request) && request.body == "refused" {
            true => request.reply_error(ResponseCode::SYSTEM_ERROR, "as told"),
            false => stored(request),
        })
    })
    .await;
    let notes = Notes::default();
    let (producer, _names) = producer(&broker, |set| set.retries(1).send_message_hook(notes.clone())).await;
    assert!(producer.send(Message::new("T", "good")).await.unwrap().is_ok());
    assert!(producer.send(Message::new("T", "refused")).await.is_err());
    producer.send_oneway(Message::new("T", "lost")).await.unwrap();
    let two = vec![Message::new("T", "1"), Message::new("T", "2")];
    assert!(producer.send_batch(two).await.unwrap().is_ok());
    let queued = producer.enqueue(Message::new("T", "queued")).await.unwrap();
    assert!(queued.await.unwrap().is_ok());
    let refused = ["g [b\"refused\"] to 0", "Broker"];
    let expect = [
        &["g [b\"good\"] to 0", "SEND_OK"][..],
        &refused,
        &refused,
        &["g [b\"lost\"] to 0", "oneway", "g [b\"1\", b\"2\"] to 0", "SEND_OK"],
        &["g [b\"queued\"] to 0", "SEND_OK"],
    ]
    .concat();
    assert_eq!(*notes.0.lock().unwrap(), expect);
}

/// So it does of those that reach nobody, once each.
#[tokio::test]
async fn hooks_hear_of_brokers_that_are_not_there() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let names = name_server_for(&[("a", gone, 1)]).await;
    let (notes, client) = (Notes::default(), builder(&names).build().unwrap());
    let set = client.producer("g").retries(0).enqueue_retries(0).send_message_hook(notes.clone());
    let producer = set.start().await.unwrap();
    assert!(producer.send(Message::new("T", "m")).await.is_err());
    assert!(producer.enqueue(Message::new("T", "m")).await.unwrap().await.is_err());
    assert!(producer.send_oneway(Message::new("T", "m")).await.is_err());
    assert_eq!(*notes.0.lock().unwrap(), ["g [b\"m\"] to 0", "Connect"].repeat(3));
}

/// A hook that panics takes the queued message along that it was told of, not the connection that others share.
#[tokio::test]
async fn hooks_end_no_connection() {
    struct Panics;
    impl SendMessageHook for Panics {
        fn send_message_after(
            &self,
            context: &SendMessageContext<'_>,
            _: Result<Option<&SendResult>, &Error>,
        ) {
            assert_ne!(context.messages[0].body(), "bad", "as told");
        }
    }
    let broker = Server::broker().await;
    let (producer, _names) = producer(&broker, |set| set.send_message_hook(Panics)).await;
    let mut receipts = Vec::new();
    for body in ["bad", "good", "good"] {
        receipts.push(producer.enqueue(Message::new("T", body)).await.unwrap());
    }
    let good = receipts.split_off(1);
    assert_eq!(receipts.remove(0).await.unwrap_err().kind(), ErrorKind::Internal);
    for receipt in good {
        assert!(receipt.await.unwrap().is_ok());
    }
}

/// A message that finds its topic idle goes alone and at once; what comes meanwhile is one batch, whose messages
/// get receipts of their own. What cannot be batched goes alone.
#[tokio::test]
async fn ready_messages_travel_together() {
    let broker = Server::start(|request| match is_send(request) && request.body == "first" {
        true => Take::Silence,
        false => {
            let mut reply = stored(request);
            if request.code == RequestCode::SendBatchMessage.code() {
                let ids = vec!["0".repeat(32); 3].join(",");
                reply = request.reply_with(&ferrocket_protocol::requests::send::SendMessageReply {
                    msg_id: ids.into(),
                    queue_offset: 20,
                    ..Default::default()
                });
            }
            Take::Reply(reply)
        }
    })
    .await;
    let (producer, _names) = producer(&broker, |set| set.auto_batch(true)).await;
    let send = |body: &'static str| {
        let producer = producer.clone();
        tokio::spawn(async move { producer.send(Message::new("T", body)).await })
    };
    let first = send("first");
    let request = broker.wait_for(SENDS, 1).await.remove(0);
    let others = ["a", "b", "c"].map(send);
    // Not part of the batch: it goes by itself while the first is under way.
    assert!(producer.send(Message::new("T", "later").delay_level(1)).await.unwrap().is_ok());
    assert!(broker.seen(RequestCode::SendBatchMessage).is_empty());
    assert!(broker.connection().reply(stored(&request)));
    assert!(first.await.unwrap().unwrap().is_ok());
    let mut receipts = Vec::new();
    for other in others {
        receipts.push(other.await.unwrap().unwrap());
    }
    let requests = broker.seen(RequestCode::SendBatchMessage);
    assert_eq!(requests.len(), 1);
    let entries = batch::decode(requests[0].body.clone()).unwrap();
    let mut sent: Vec<_> = receipts.iter().map(|receipt| (receipt.queue_offset, &*receipt.msg_id)).collect();
    sent.sort();
    let ids = entries.iter().map(|entry| properties::get(&entry.properties, "UNIQ_KEY").unwrap());
    assert_eq!(sent, (20..).zip(ids).collect::<Vec<_>>());
    assert_eq!(receipts[0].offset_msg_id.len(), 32);
}

/// A refused batch gives each sender its own message back; one that breaks a rule harms nobody else.
#[tokio::test]
async fn each_sender_gets_its_own_message_back() {
    let broker = Server::refusing(ResponseCode::MESSAGE_ILLEGAL).await;
    let (producer, _names) = producer(&broker, |set| set.auto_batch(true)).await;
    let send = |body: &'static str| producer.send(Message::new("T", body));
    let (one, two, three, empty) = tokio::join!(send("one"), send("two"), send("three"), send(""));
    for (result, body) in [(one, "one"), (two, "two"), (three, "three")] {
        let error = result.unwrap_err();
        assert_eq!((error.code(), error.unsent().len()), (Some(13), 1));
        assert_eq!(error.unsent()[0].body(), body);
    }
    assert_eq!(empty.unwrap_err().kind(), ErrorKind::InvalidMessage);
}

/// A message that is larger than all that may wait goes all the same, when nothing else waits.
#[tokio::test]
async fn large_messages_find_room() {
    let broker = Server::broker().await;
    let (producer, _names) = producer(&broker, |set| set.auto_batch(true).total_batch_max_bytes(10)).await;
    for _ in 0..2 {
        assert!(producer.send(Message::new("T", vec![7; 1_000])).await.unwrap().is_ok());
    }
}

/// Who waits behind a batch that is not answered gives up in time, and is not sent afterwards.
#[tokio::test]
async fn waiting_for_a_batch_is_part_of_the_time() {
    let broker = Server::start(|request| match is_send(request) {
        true => Take::Silence,
        false => Take::Reply(stored(request)),
    })
    .await;
    let set = |set: ProducerBuilder| set.auto_batch(true).batch_max_bytes(1).retries(0);
    let (producer, _names) =
        producer(&broker, |builder| set(builder).send_msg_timeout(Duration::from_millis(200))).await;
    let send = |body: &'static str| producer.send(Message::new("T", body));
    let (first, second, third) = tokio::join!(send("first"), send("second"), send("third"));
    assert_eq!(first.unwrap_err().kind(), ErrorKind::Timeout);
    for (late, body) in [(second, "second"), (third, "third")] {
        let error = late.unwrap_err();
        assert_eq!((error.kind(), error.unsent()[0].body()), (ErrorKind::Timeout, &body.into()));
    }
    assert_eq!(broker.seen(SENDS).len(), 1);
}

/// A batch that is not answered holds nobody longer than its own send may take, whoever else is part of it.
#[tokio::test]
async fn each_sender_waits_for_its_own_time() {
    let broker = Server::start(|request| match is_send(request) {
        true => Take::Silence,
        false => Take::Reply(stored(request)),
    })
    .await;
    let timeout = Duration::from_secs(4);
    let (producer, _names) =
        producer(&broker, |set| set.auto_batch(true).retries(0).send_msg_timeout(timeout)).await;
    let send = |body: &'static str| {
        let producer = producer.clone();
        tokio::spawn(async move {
            let begun = Instant::now();
            let error = producer.send(Message::new("T", body)).await.unwrap_err();
            (error, begun.elapsed())
        })
    };
    let first = send("first");
    broker.wait_for(SENDS, 1).await;
    tokio::time::pause();
    let mut senders = vec![(first, "first")];
    for body in ["a", "b"] {
        tokio::time::advance(timeout / 4).await;
        senders.push((send(body), body));
        tokio::task::yield_now().await;
    }
    for (sender, body) in senders {
        let (error, took) = sender.await.unwrap();
        assert_eq!((error.kind(), error.unsent()[0].body()), (ErrorKind::Timeout, &body.into()));
        assert!(took <= timeout + Duration::from_millis(100), "{body}: {took:?}");
        assert!(body == "first" || error.unsent()[0].property_value("UNIQ_KEY").is_some());
    }
    assert_eq!(broker.seen(RequestCode::SendBatchMessage).len(), 1);
}

/// What waits for an automatic batch when the producer or its client ends is sent first, and nothing afterwards.
#[tokio::test]
async fn waiting_batches_are_sent_before_the_end() {
    for of_client in [true, false] {
        let broker = Server::start(|request| match (is_send(request), &*request.body) {
            (true, b"first") => Take::Silence,
            _ => Take::Reply(stored(request)),
        })
        .await;
        let names = name_server_for(&[("a", broker.addr, 1)]).await;
        let client = builder(&names).build().unwrap();
        let producer = client.producer("g").auto_batch(true).start().await.unwrap();
        let send = |body: &'static str| {
            let producer = producer.clone();
            async move { producer.send(Message::new("T", body)).await }
        };
        let first = tokio::spawn(send("first"));
        let request = broker.wait_for(SENDS, 1).await.remove(0);
        let end = async {
            match of_client {
                true => client.shutdown().await.unwrap(),
                false => producer.shutdown().await,
            }
        };
        let answer = async { assert!(broker.connection().reply(stored(&request))) };
        let (a, b, (), ()) = tokio::join!(send("a"), send("b"), end, answer);
        let first = first.await.unwrap();
        for sent in [first, a, b] {
            assert!(sent.unwrap().is_ok());
        }
        assert_eq!(broker.seen(RequestCode::SendBatchMessage).len(), 1);
        let error = send("late").await.unwrap_err();
        assert_eq!((error.kind(), error.unsent().len()), (ErrorKind::Closed, 1));
    }
}

/// A hook that panics takes the sends of its batch along, and none that come later.
#[tokio::test]
async fn panics_end_no_lane() {
    struct Panics;
    impl SendMessageHook for Panics {
        fn send_message_before(&self, context: &SendMessageContext<'_>) {
            assert_ne!(context.messages[0].body(), "bad", "as told");
        }
    }
    let broker = Server::broker().await;
    let (producer, _names) = producer(&broker, |set| set.auto_batch(true).send_message_hook(Panics)).await;
    let error = producer.send(Message::new("T", "bad")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    assert!(producer.send(Message::new("T", "good")).await.unwrap().is_ok());
}

/// Times of delivery are the properties of 5.x, one at a time.
#[test]
fn times_of_delivery() {
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
    let message = Message::new("T", "m").deliver_at(at);
    assert_eq!(message.property_value("TIMER_DELIVER_MS"), Some("1700000000123"));
    let message = message.deliver_after(Duration::from_secs(90));
    assert_eq!(message.property_value("TIMER_DELAY_SEC"), Some("90"));
    assert_eq!(message.property_value("TIMER_DELIVER_MS"), None);
    let message = message.deliver_after(Duration::from_millis(1_500));
    assert_eq!(message.property_value("TIMER_DELAY_MS"), Some("1500"));
    assert_eq!(message.property_value("TIMER_DELAY_SEC"), None);
}

/// The handle of a delayed message's receipt takes it back at the broker that has it.
#[tokio::test]
async fn delayed_messages_are_recalled() {
    // v1 T a 1700000000000 ID
    let handle = "djEgVCBhIDE3MDAwMDAwMDAwMDAgSUQ=";
    let broker = Server::start(move |request| {
        let mut reply = stored(request);
        match request.request_code() {
            Some(RequestCode::RecallMessage) => reply.ext_fields.push("msgId", "ID"),
            _ => reply.ext_fields.push("recallHandle", handle),
        }
        Take::Reply(reply)
    })
    .await;
    let (producer, _names) = producer(&broker, |set| set).await;
    let message = Message::new("T", "m").deliver_after(Duration::from_secs(60));
    let sent = producer.send(message).await.unwrap();
    let handle = sent.recall_handle.unwrap();
    assert_eq!(producer.recall("T", &handle).await.unwrap(), "ID");
    let request = broker.seen(RequestCode::RecallMessage).remove(0);
    for (name, value) in [("producerGroup", "g"), ("topic", "T"), ("recallHandle", &*handle), ("bname", "a")]
    {
        assert_eq!(request.ext_fields.get(name).map(|text| &**text), Some(value), "{name}");
    }
    assert_eq!(producer.recall("T", "nonsense").await.unwrap_err().kind(), ErrorKind::Config);
}

/// What cannot work is refused before a byte is sent, with the field and its limit in the text.
#[tokio::test]
async fn refusals_name_field_and_limit() {
    let broker = Server::broker().await;
    let (producer, names) = producer(&broker, |set| set.max_message_size(10)).await;
    let long = "v".repeat(32_767);
    for (message, words) in [
        (Message::new("a b", "m"), ["topic[a b]", "allowing only"]),
        (Message::new("t".repeat(128), "m"), ["topic", "127"]),
        (Message::new("T", "0123456789x"), ["body", "MAX: 10"]),
        (Message::new("T", "m").property("key", "a\u{2}b"), ["property \"key\"", "control character"]),
        (Message::new("T", "m").property("key", long.as_str()), ["properties", "MAX: 32767"]),
    ] {
        let error = producer.send(message).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.unsent().len(), error.is_retryable()),
            (ErrorKind::InvalidMessage, 1, false)
        );
        assert!(words.iter().all(|word| error.to_string().contains(word)), "{error}");
    }
    let batch = vec![Message::new("T", "m"), Message::new("T", "m").property("key", long)];
    let error = producer.send_batch(batch).await.unwrap_err();
    assert_eq!((error.kind(), error.unsent().len()), (ErrorKind::InvalidMessage, 2));
    assert!(broker.seen(SENDS).is_empty() && broker.seen(RequestCode::SendBatchMessage).is_empty());

    let client = builder(&names).build().unwrap();
    for (set, words) in [
        (client.producer("a b"), ["group[a b]", "allowing only"]),
        (client.producer("g".repeat(256).as_str()), ["group", "255"]),
        (client.producer("g").max_message_size(16 << 20), ["max_message_size", "15728640"]),
        (client.producer("g").send_msg_timeout(Duration::ZERO), ["send_msg_timeout", "from 1"]),
        (
            client.producer("g").send_msg_max_timeout_per_request(Duration::ZERO),
            ["send_msg_max_timeout_per_request", "from 1"],
        ),
        (client.producer("g").default_topic_queue_nums(0), ["default_topic_queue_nums", "from 1"]),
        (client.producer("g").create_topic_key("a b"), ["create_topic_key", "allowing only"]),
        (client.producer("g").compress_level(22), ["compress_level of Zlib is 22", "from 0 to 9"]),
        (
            client.producer("g").set("compressLevel", "10").unwrap(),
            ["compress_level of Zlib is 10", "from 0 to 9"],
        ),
    ] {
        let error = set.start().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(words.iter().all(|word| error.to_string().contains(word)), "{error}");
    }
}
