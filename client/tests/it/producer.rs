//! Sends: receipts, second attempts, limits, order.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use ferrocket::{ErrorKind, Message, MessageQueue, PendingSend, Producer, SendStatus};
use ferrocket_protocol::acl::is_signed;
use ferrocket_protocol::body::route::TopicRouteData;
use ferrocket_protocol::{
    RemotingCommand, RequestCode, ResponseCode, batch, compression, fastjson, properties,
};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::cluster::{Server, Take, builder, is_send, name_server_for, route, send_header, stored};
use crate::world::next;

const SENDS: RequestCode = RequestCode::SendMessageV2;

/// A producer for topic `T` on these brokers, one queue each; the NameServer has to stay alive.
async fn producer(brokers: &[(&str, &Server)]) -> (Producer, Server) {
    let route: Vec<_> = brokers.iter().map(|(name, server)| (*name, server.addr, 1)).collect();
    let names = name_server_for(&route).await;
    let client = builder(&names).build().unwrap();
    (client.producer("g").start().await.unwrap(), names)
}

/// An address where nobody listens.
async fn dead_addr() -> SocketAddr {
    let server = Server::broker().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    assert_ne!(addr, server.addr);
    addr
}

/// A message arrives as Java would send it, and the receipt says where it is.
#[tokio::test]
async fn a_send_is_received_and_receipted() {
    let broker = Server::broker().await;
    let (producer, _names) = producer(&[("a", &broker)]).await;
    let sent = producer.send(Message::new("T", "hello").tags("x").key("k")).await.unwrap();
    assert_eq!(sent.status, SendStatus::SendOk);
    assert_eq!((&*sent.message_queue.broker_name, sent.queue_offset), ("a", 9));
    assert_eq!(sent.offset_msg_id, "7F00000100002A9F0000000000000400");
    let request = broker.seen(SENDS).remove(0);
    assert_eq!(request.body, "hello");
    let text = send_header(&request).properties.unwrap();
    let wanted = [("UNIQ_KEY", &*sent.msg_id), ("TAGS", "x"), ("KEYS", "k"), ("WAIT", "true")];
    for (name, value) in wanted {
        assert_eq!(properties::get(&text, name), Some(value), "{name}");
    }
}

/// After an answer that Java retries, the other broker gets the message.
#[tokio::test]
async fn another_broker_is_tried() {
    let refusing = Server::refusing(ResponseCode::SERVICE_NOT_AVAILABLE).await;
    let good = Server::broker().await;
    let (producer, _names) = producer(&[("a", &refusing), ("b", &good)]).await;
    for _ in 0..4 {
        let sent = producer.send(Message::new("T", "m")).await.unwrap();
        assert_eq!(&*sent.message_queue.broker_name, "b");
    }
    // Whichever the turn, the first attempt goes to either broker, the second one never to the same again.
    assert!((1..=4).contains(&refusing.seen(SENDS).len()));
    assert_eq!(good.seen(SENDS).len(), 4);
}

/// Three attempts and no more; the error has the code and gives the message back with the id it had.
#[tokio::test]
async fn attempts_are_counted() {
    let refusing = Server::refusing(ResponseCode::SYSTEM_ERROR).await;
    let (producer, _names) = producer(&[("a", &refusing)]).await;
    let error = producer.send(Message::new("T", "m")).await.unwrap_err();
    assert_eq!((error.code(), error.remark()), (Some(1), Some("as told")));
    assert!(error.to_string().starts_with("Send [3] times, still failed"), "{error}");
    let requests = refusing.seen(SENDS);
    assert_eq!(requests.len(), 3);
    let id = error.unsent()[0].property_value("UNIQ_KEY").unwrap().to_owned();
    for request in requests {
        let text = send_header(&request).properties.unwrap();
        assert_eq!(properties::get(&text, "UNIQ_KEY"), Some(&*id));
    }
}

/// What the broker calls illegal is illegal everywhere.
#[tokio::test]
async fn refused_messages_are_not_tried_again() {
    let refusing = Server::refusing(ResponseCode::MESSAGE_ILLEGAL).await;
    let (producer, _names) = producer(&[("a", &refusing)]).await;
    let error = producer.send(Message::new("T", "m")).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Broker, false));
    assert_eq!(refusing.seen(SENDS).len(), 1);
}

/// A broker nobody answers for, and one that hangs up, are gone around.
#[tokio::test]
async fn dead_brokers_are_gone_around() {
    let hanging = Server::start(|request| match is_send(request) {
        true => Take::HangUp,
        false => Take::Reply(stored(request)),
    })
    .await;
    let good = Server::broker().await;
    let dead = dead_addr().await;
    for bad in [hanging.addr, dead] {
        let names = name_server_for(&[("a", bad, 1), ("b", good.addr, 1)]).await;
        let producer = builder(&names).build().unwrap().producer("g").start().await.unwrap();
        for _ in 0..2 {
            assert_eq!(&*producer.send(Message::new("T", "m")).await.unwrap().message_queue.broker_name, "b");
        }
    }
}

/// A silent broker costs the send timeout, once.
#[tokio::test]
async fn silence_ends_with_the_timeout() {
    let silent = Server::start(|_| Take::Silence).await;
    let names = name_server_for(&[("a", silent.addr, 1)]).await;
    let client = builder(&names).build().unwrap();
    let producer = client.producer("g").send_msg_timeout(Duration::from_millis(100)).start().await.unwrap();
    let began = Instant::now();
    let error = producer.send(Message::new("T", "m")).await.unwrap_err();
    assert_eq!((error.kind(), error.unsent().len()), (ErrorKind::Timeout, 1));
    let cost = began.elapsed();
    assert!(cost >= Duration::from_millis(100) && cost < Duration::from_secs(2), "{cost:?}");
    assert_eq!(silent.seen(SENDS).len(), 1);
}

/// An attempt that meets silence leaves time for the next one, if its time is limited: awaited or queued. The last one has
/// all that is left.
#[tokio::test]
async fn an_attempt_has_a_limit_of_its_own() {
    let sends = AtomicUsize::new(0);
    let server = Server::start(move |request| {
        match is_send(request) && sends.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            true => Take::Silence,
            false => Take::Reply(stored(request)),
        }
    })
    .await;
    let names = name_server_for(&[("a", server.addr, 1)]).await;
    let client = builder(&names).build().unwrap();
    let limited =
        client.producer("g").retries(1).enqueue_retries(1).send_msg_timeout(Duration::from_secs(60));
    let limited = limited.send_msg_max_timeout_per_request(Duration::from_millis(50)).start().await.unwrap();
    let began = Instant::now();
    assert!(limited.send(Message::new("T", "m")).await.unwrap().is_ok());
    assert!(limited.enqueue(Message::new("T", "m")).await.unwrap().await.unwrap().is_ok());
    assert!(began.elapsed() < Duration::from_secs(60));
    assert_eq!(server.seen(SENDS).len(), 4);
    let queue = MessageQueue::new("T", "a", 0);
    let once = client.producer("once").send_msg_timeout(Duration::from_millis(300));
    let once = once.send_msg_max_timeout_per_request(Duration::from_millis(1)).start().await.unwrap();
    let began = Instant::now();
    assert_eq!(once.send_to(Message::new("T", "m"), &queue).await.unwrap_err().kind(), ErrorKind::Timeout);
    assert!(began.elapsed() >= Duration::from_millis(300));
}

/// Large bodies travel compressed, and are given back as they were.
#[tokio::test]
async fn large_bodies_travel_compressed() {
    let broker = Server::broker().await;
    let (producer, _names) = producer(&[("a", &broker)]).await;
    let body = vec![b'x'; 100_000];
    let _receipt = producer.send(Message::new("T", body.clone())).await.unwrap();
    let request = broker.seen(SENDS).remove(0);
    assert_eq!(send_header(&request).sys_flag, 0x301);
    assert!(request.body.len() < 1_000);
    assert_eq!(compression::unzlib(&request.body, body.len()).unwrap(), body);
}

/// A batch is one request with all messages inside, and one receipt with all ids.
#[tokio::test]
async fn a_batch_is_one_request() {
    let broker = Server::broker().await;
    let (producer, _names) = producer(&[("a", &broker)]).await;
    let messages: Vec<_> = (0..3).map(|n| Message::new("T", format!("m{n}"))).collect();
    let sent = producer.send_batch(messages).await.unwrap();
    let request = broker.seen(RequestCode::SendBatchMessage).remove(0);
    let entries = batch::decode(request.body).unwrap();
    let bodies: Vec<_> = entries.iter().map(|entry| entry.body.clone()).collect();
    assert_eq!(bodies, ["m0", "m1", "m2"]);
    let ids: Vec<_> = entries.iter().filter_map(|e| properties::get(&e.properties, "UNIQ_KEY")).collect();
    assert_eq!(sent.msg_id, ids.join(","));
}

/// Nobody waits for a oneway send, and it says so to the broker.
#[tokio::test]
async fn oneway_sends_want_no_answer() {
    let broker = Server::broker().await;
    let (producer, _names) = producer(&[("a", &broker)]).await;
    producer.send_oneway(Message::new("T", "m")).await.unwrap();
    assert!(broker.wait_for(SENDS, 1).await.remove(0).is_oneway());
}

/// One key, one queue; the queue of a key is Java's. A queue the caller names is the one used.
#[tokio::test]
async fn keys_and_callers_choose_queues() {
    let broker = Server::broker().await;
    let names = name_server_for(&[("a", broker.addr, 4)]).await;
    let producer = builder(&names).build().unwrap().producer("g").start().await.unwrap();
    for _ in 0..3 {
        // "a" has the hash code 97.
        assert_eq!(
            producer.send_ordered(Message::new("T", "m"), "a").await.unwrap().message_queue.queue_id,
            1
        );
    }
    let queue = producer.fetch_queues("T").await.unwrap().remove(3);
    assert_eq!(producer.send_to(Message::new("T", "m"), &queue).await.unwrap().message_queue, queue);
    let error = producer.send_to(Message::new("U", "m"), &queue).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidMessage);
    let none = producer.send_with(Message::new("T", "m"), |_, _| None).await.unwrap_err();
    // The broker would choose another one.
    let negative =
        producer.send_to(Message::new("T", "m"), &MessageQueue::new("T", "a", -1)).await.unwrap_err();
    assert!(negative.to_string().contains("queueId=-1"), "{negative}");
    for error in [none, negative] {
        assert_eq!((error.kind(), error.unsent().len()), (ErrorKind::Config, 1));
    }
    assert_eq!(broker.seen(SENDS).len(), 4);
}

/// The time that it takes to find a broker is part of the send's.
#[tokio::test]
async fn looking_for_a_broker_is_part_of_the_time() {
    let mute = Server::start(|request| match is_send(request) {
        true => Take::Silence,
        false => Take::Reply(stored(request)),
    })
    .await;
    let broker = Server::broker().await;
    let reply = |request: &RemotingCommand, brokers: &[_]| {
        request.reply(ResponseCode::SUCCESS).with_body(fastjson::to_vec(&route(brokers)))
    };
    let (known, asked) = (broker.addr, AtomicBool::new(false));
    let names = Server::start(move |request| match asked.swap(true, Ordering::Relaxed) {
        false => Take::Reply(reply(request, &[("a", known, 1)])),
        true => Take::Silence,
    })
    .await;
    let client = builder(&names).mq_client_api_timeout(Duration::from_secs(20)).build().unwrap();
    let timeout = Duration::from_secs(4);
    let producer = client.producer("g").send_msg_timeout(timeout).start().await.unwrap();
    assert!(producer.send(Message::new("T", "m")).await.unwrap().is_ok());
    let sending = tokio::spawn(async move {
        let begun = tokio::time::Instant::now();
        let sent = producer.send_to(Message::new("T", "m"), &MessageQueue::new("T", "b", 0)).await;
        (sent, begun.elapsed())
    });
    let request = names.wait_for(RequestCode::GetRouteinfoByTopic, 2).await.remove(1);
    tokio::time::pause();
    tokio::time::advance(timeout / 2).await;
    tokio::time::resume();
    names.connection().reply(reply(&request, &[("a", known, 1), ("b", mute.addr, 1)]));
    mute.wait_for(SENDS, 1).await;
    tokio::time::pause();
    let (sent, took) = sending.await.unwrap();
    assert_eq!(sent.unwrap_err().kind(), ErrorKind::Timeout);
    assert!(took < timeout * 5 / 4, "{took:?}");
}

/// So it is for a queued message, which looks for its broker before it is in line.
#[tokio::test]
async fn looking_for_a_broker_is_part_of_a_queued_ones_time() {
    // Queues without the address of their broker.
    let data = TopicRouteData { order_topic_conf: Some("a:1".to_owned()), ..Default::default() };
    let asked = AtomicBool::new(false);
    let names = Server::start(move |request| match asked.swap(true, Ordering::Relaxed) {
        false => Take::Reply(request.reply(ResponseCode::SUCCESS).with_body(fastjson::to_vec(&data))),
        true => Take::Silence,
    })
    .await;
    let client = builder(&names).mq_client_api_timeout(Duration::from_secs(20)).build().unwrap();
    let timeout = Duration::from_secs(4);
    let producer = client.producer("g").send_msg_timeout(timeout).start().await.unwrap();
    let sending = tokio::spawn(async move {
        let begun = tokio::time::Instant::now();
        let sent = producer.enqueue(Message::new("T", "m")).await.unwrap().await;
        (sent, begun.elapsed())
    });
    names.wait_for(RequestCode::GetRouteinfoByTopic, 2).await;
    tokio::time::pause();
    let (sent, took) = sending.await.unwrap();
    let error = sent.unwrap_err();
    assert_eq!((error.kind(), error.unsent().len()), (ErrorKind::Timeout, 1));
    assert!(took < timeout * 5 / 4, "{took:?}");
}

/// And so is the time that the program takes to choose a queue: what is late then is not sent.
#[tokio::test]
async fn choosing_a_queue_is_part_of_the_time() {
    let broker = Server::broker().await;
    let names = name_server_for(&[("a", broker.addr, 1)]).await;
    let timeout = Duration::from_millis(50);
    let producer = builder(&names).build().unwrap().producer("g").send_msg_timeout(timeout);
    let producer = producer.start().await.unwrap();
    assert!(producer.within(timeout * 100).send(Message::new("T", "m")).await.unwrap().is_ok());
    let slowly = |queues: &[MessageQueue], _: &Message| {
        let began = Instant::now();
        while began.elapsed() < timeout {
            std::hint::spin_loop();
        }
        queues.first().cloned()
    };
    let error = producer.with(slowly).send(Message::new("T", "m")).await.unwrap_err();
    assert_eq!((error.kind(), error.unsent().len()), (ErrorKind::Timeout, 1));
    assert_eq!(broker.seen(SENDS).len(), 1);
}

/// Sends to a chosen queue are tried once.
#[tokio::test]
async fn chosen_queues_are_tried_once() {
    let refusing = Server::refusing(ResponseCode::SYSTEM_ERROR).await;
    let (producer, _names) = producer(&[("a", &refusing)]).await;
    assert!(producer.send_ordered(Message::new("T", "m"), "key").await.is_err());
    assert_eq!(refusing.seen(SENDS).len(), 1);
}

/// Queued messages leave in the order of calls, many before the first receipt; every receipt comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queued_messages_keep_their_order() {
    let broker = Server::broker().await;
    let (producer, _names) = producer(&[("a", &broker)]).await;
    let mut receipts = Vec::new();
    for n in 0..500 {
        receipts.push(producer.enqueue(Message::new("T", format!("{n}"))).await.unwrap());
    }
    for receipt in receipts {
        assert!(receipt.await.unwrap().is_ok());
    }
    let bodies: Vec<_> = broker.seen(SENDS).iter().map(|request| request.body.clone()).collect();
    assert_eq!(bodies, (0..500).map(|n| n.to_string()).collect::<Vec<_>>());
}

/// A queued message whose first attempt fails is tried elsewhere, too.
#[tokio::test]
async fn queued_messages_are_tried_again() {
    let refusing = Server::refusing(ResponseCode::SERVICE_NOT_AVAILABLE).await;
    let good = Server::broker().await;
    let (producer, _names) = producer(&[("a", &refusing), ("b", &good)]).await;
    for _ in 0..2 {
        let receipt = producer.enqueue(Message::new("T", "m")).await.unwrap();
        assert_eq!(&*receipt.await.unwrap().message_queue.broker_name, "b");
    }
}

/// Retries are counted apart for sends that are awaited and for those that are queued, by method and by Java's key.
#[tokio::test]
async fn queued_messages_have_retries_of_their_own() {
    let refusing = Server::refusing(ResponseCode::SYSTEM_ERROR).await;
    let names = name_server_for(&[("a", refusing.addr, 1)]).await;
    let client = builder(&names).build().unwrap();
    let mut seen = 0;
    for (group, awaited, queued) in [("g", 0, 1), ("h", 1, 0)] {
        let set = client.producer(group).retries(awaited);
        let set = set.set("retryTimesWhenSendAsyncFailed", &queued.to_string()).unwrap();
        let producer = set.start().await.unwrap();
        assert!(producer.send(Message::new("T", "m")).await.is_err());
        seen += 1 + awaited as usize;
        assert_eq!(refusing.seen(SENDS).len(), seen);
        assert!(producer.enqueue(Message::new("T", "m")).await.unwrap().await.is_err());
        seen += 1 + queued;
        assert_eq!(refusing.seen(SENDS).len(), seen);
    }
}

/// A receipt that nobody has awaited yet takes no room from the sends that follow, and keeps what it learned.
#[tokio::test]
async fn receipts_can_wait() {
    let broker = Server::broker().await;
    let names = name_server_for(&[("a", broker.addr, 1)]).await;
    let producer = builder(&names).in_flight_max(1).build().unwrap().producer("g").start().await.unwrap();
    let mut receipts = Vec::new();
    for _ in 0..3 {
        receipts.push(producer.enqueue(Message::new("T", "m")).await.unwrap());
    }
    for receipt in receipts {
        assert!(receipt.await.unwrap().is_ok());
    }
}

/// Who waits for a receipt is woken once all receipts that came with it are there.
#[tokio::test]
async fn receipts_come_together() {
    struct Looks(Mutex<PendingSend>, UnboundedSender<bool>);
    impl Wake for Looks {
        fn wake(self: Arc<Self>) {
            let mut other = self.0.lock().unwrap();
            let is_there = Pin::new(&mut *other).poll(&mut Context::from_waker(Waker::noop())).is_ready();
            self.1.send(is_there).unwrap();
        }
    }
    let broker = Server::broker().await;
    let (producer, _names) = producer(&[("a", &broker)]).await;
    assert!(producer.send(Message::new("T", "m")).await.unwrap().is_ok());
    // The first one leaves at once, the others together.
    let _first = producer.enqueue(Message::new("T", "m")).await.unwrap();
    let mut second = producer.enqueue(Message::new("T", "m")).await.unwrap();
    let third = producer.enqueue(Message::new("T", "m")).await.unwrap();
    let (sender, mut looked) = unbounded_channel();
    let looks = Waker::from(Arc::new(Looks(Mutex::new(third), sender)));
    assert!(Pin::new(&mut second).poll(&mut Context::from_waker(&looks)).is_pending());
    assert!(next(&mut looked).await);
    assert!(second.await.unwrap().is_ok());
}

/// A receipt outlives the runtime that its send was under way on: it tells that the end came first.
#[test]
fn receipts_tell_that_the_runtime_ended() {
    let [servers, clients] = [(); 2].map(|()| tokio::runtime::Runtime::new().unwrap());
    let silent = servers.block_on(Server::start(|_| Take::Silence));
    let names = servers.block_on(name_server_for(&[("a", silent.addr, 1)]));
    let (sender, receipt) = mpsc::channel();
    clients.block_on(async {
        let client = builder(&names).build().unwrap();
        let producer = client.producer("g").start().await.unwrap();
        sender.send(producer.enqueue(Message::new("T", "m")).await.unwrap()).unwrap();
    });
    drop(clients);
    let receipt = receipt.try_recv().unwrap();
    assert_eq!(servers.block_on(receipt).unwrap_err().kind(), ErrorKind::Closed);
}

/// At the client's limit the next send waits, is refused in time, and comes back.
#[tokio::test]
async fn the_limit_of_messages_under_way_holds() {
    let silent = Server::start(|_| Take::Silence).await;
    let names = name_server_for(&[("a", silent.addr, 1)]).await;
    let client = builder(&names).in_flight_max(1).build().unwrap();
    let slow = client.producer("slow").start().await.unwrap();
    let quick = client.producer("quick").send_msg_timeout(Duration::from_millis(50)).start().await.unwrap();
    let _under_way = slow.enqueue(Message::new("T", "m")).await.unwrap();
    let error = quick.enqueue(Message::new("T", "m")).await.unwrap_err();
    assert_eq!((error.kind(), error.unsent().len()), (ErrorKind::FlowControl, 1));
}

/// With fault avoidance on, a broker that failed once is left alone.
#[tokio::test]
async fn failing_brokers_are_avoided() {
    let refusing = Server::refusing(ResponseCode::SERVICE_NOT_AVAILABLE).await;
    let good = Server::broker().await;
    let names = name_server_for(&[("a", refusing.addr, 1), ("b", good.addr, 1)]).await;
    let client = builder(&names).build().unwrap();
    let producer = client.producer("g").send_latency_fault_enable(true).start().await.unwrap();
    for _ in 0..10 {
        assert!(producer.send(Message::new("T", "m")).await.unwrap().is_ok());
    }
    assert_eq!((refusing.seen(SENDS).len(), good.seen(SENDS).len()), (1, 10));
}

/// A message stored with a lesser status counts as sent, unless the producer asks for more.
#[tokio::test]
async fn lesser_statuses_are_receipts() {
    let lesser = Server::start(|request| {
        let mut reply = stored(request);
        if is_send(request) {
            reply.code = ResponseCode::FLUSH_DISK_TIMEOUT.0;
        }
        Take::Reply(reply)
    })
    .await;
    let names = name_server_for(&[("a", lesser.addr, 1)]).await;
    let client = builder(&names).build().unwrap();
    let content = client.producer("content").start().await.unwrap();
    assert_eq!(content.send(Message::new("T", "m")).await.unwrap().status, SendStatus::FlushDiskTimeout);
    assert_eq!(lesser.seen(SENDS).len(), 1);
    let picky = client.producer("picky").retry_another_broker_when_not_store_ok(true).start().await.unwrap();
    assert_eq!(picky.send(Message::new("T", "m")).await.unwrap().status, SendStatus::FlushDiskTimeout);
    assert_eq!(lesser.seen(SENDS).len(), 4);
}

/// Shutdown finishes what is under way, tells the brokers, and refuses what comes later.
#[tokio::test]
async fn shutdown_is_orderly() {
    let broker = Server::broker().await;
    let names = name_server_for(&[("a", broker.addr, 1)]).await;
    let client = builder(&names).build().unwrap();
    let producer = client.producer("g").start().await.unwrap();
    assert_eq!(client.producer("g").start().await.unwrap_err().kind(), ErrorKind::Config);
    let receipts: Vec<_> = {
        let mut receipts = Vec::new();
        for _ in 0..20 {
            receipts.push(producer.enqueue(Message::new("T", "m")).await.unwrap());
        }
        receipts
    };
    client.shutdown().await.unwrap();
    for receipt in receipts {
        assert!(receipt.await.unwrap().is_ok());
    }
    let goodbye = broker.seen(RequestCode::UnregisterClient).remove(0);
    assert_eq!(goodbye.ext_fields.get("producerGroup").map(|group| &**group), Some("g"));
    assert_eq!(goodbye.ext_fields.get("clientID").map(|id| &**id), Some(client.client_id()));
    let error = producer.send(Message::new("T", "m")).await.unwrap_err();
    assert_eq!((error.kind(), error.unsent().len()), (ErrorKind::Closed, 1));
    assert_eq!(client.producer("h").start().await.unwrap_err().kind(), ErrorKind::Closed);
}

/// With an account every request is signed, to NameServers and brokers, oneway or not; without, none.
#[tokio::test]
async fn requests_are_signed() {
    let broker = Server::broker().await;
    let names = name_server_for(&[("a", broker.addr, 1)]).await;
    let client = builder(&names).acl("RocketMQ", "12345678").build().unwrap();
    assert!(!format!("{:?}", client).contains("1234"));
    let producer = client.producer("g").start().await.unwrap();
    let _sent = producer.send(Message::new("T", "m")).await.unwrap();
    producer.send_oneway(Message::new("T", "m")).await.unwrap();
    let mut requests = broker.wait_for(SENDS, 2).await;
    requests.extend(broker.wait_for(RequestCode::HeartBeat, 1).await);
    requests.extend(names.seen(RequestCode::GetRouteinfoByTopic));
    for request in requests {
        assert!(is_signed(&request, "12345678"), "{request:?}");
        assert_eq!(request.ext_fields.get("AccessKey").map(|key| &**key), Some("RocketMQ"));
    }
}
