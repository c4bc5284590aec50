//! Spans, as a program's subscriber sees them.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use ferrocket::{ErrorKind, Message, MessageExt};
use ferrocket_protocol::ResponseCode;
use tokio::sync::mpsc;
use tracing::subscriber::{DefaultGuard, NoSubscriber};
use tracing::{Dispatch, Instrument, Level};
use tracing_subscriber::fmt::format::FmtSpan;

use crate::cluster::{Server, Take, builder, is_send, name_server, name_server_for, route, stored};
use crate::world::{World, next};

/// Spans of the client.
const NAMES: [&str; 4] = ["send", "attempt", "pull", "consume"];

/// What this thread's subscriber wrote: every event, and every span at its end.
struct Written {
    text: Arc<Mutex<Vec<u8>>>,
    _guard: DefaultGuard,
    /// As long as a process has a single subscriber, `tracing` asks that of the thread which first comes by a span, and
    /// none there means nobody wants it, ever: the threads of other tests have none.
    _second: Dispatch,
}

struct Pen(Arc<Mutex<Vec<u8>>>);

impl io::Write for Pen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Written {
    fn start(level: Level) -> Self {
        let text = Arc::default();
        let shared = Arc::clone(&text);
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .with_target(false)
            .without_time()
            .with_span_events(FmtSpan::CLOSE)
            .with_writer(move || Pen(Arc::clone(&shared)))
            .finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        Self { text, _guard, _second: Dispatch::new(NoSubscriber::default()) }
    }

    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.text.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| line.trim().to_owned()).collect()
    }

    /// The spans with this name that have ended.
    fn ended(&self, name: &str) -> Vec<String> {
        let lines = self.lines().into_iter();
        let ended = lines.filter_map(|line| line.strip_suffix(": close").map(str::to_owned));
        let innermost =
            |spans: &String| NAMES.into_iter().max_by_key(|name| spans.rfind(&format!("{name}{{")));
        ended.filter(|spans| innermost(spans) == Some(name)).collect()
    }
}

/// A send is a span within the caller's, with one for each attempt; names are those that the program knows.
#[tokio::test]
async fn sends_and_their_attempts() {
    let refused = AtomicBool::new(false);
    let broker =
        Server::start(move |request| match is_send(request) && !refused.swap(true, Ordering::SeqCst) {
            true => Take::Reply(request.reply_error(ResponseCode::SYSTEM_ERROR, "as told")),
            false => Take::Reply(stored(request)),
        })
        .await;
    let data = route(&[("a", broker.addr, 1)]);
    let names = name_server(move |topic| (topic == "ns%T").then(|| data.clone())).await;
    let client = builder(&names).namespace("ns").build().unwrap();
    let producer = client.producer("g").start().await.unwrap();

    let written = Written::start(Level::DEBUG);
    let order = tracing::debug_span!("order");
    let sent = producer.send(Message::new("T", "m")).instrument(order.clone()).await.unwrap();
    let send = format!("DEBUG order:send{{topic=T group=g msg_id={}}}", sent.msg_id);
    let attempt = format!("{send}:attempt{{broker=a queue=0 addr=\"{}\"", broker.addr);
    assert_eq!(written.ended("send"), std::slice::from_ref(&send), "{:#?}", written.lines());
    assert_eq!(written.ended("attempt"), [format!("{attempt}}}"), format!("{attempt} status=SEND_OK}}")]);
    assert!(written.lines().iter().any(|line| line.starts_with(&format!("{send}: send failed"))));
    // The receipt of a queued one comes on a task of its own.
    let pending = producer.enqueue(Message::new("T", "m")).instrument(order).await.unwrap();
    let sent = pending.await.unwrap();
    let send = format!("DEBUG order:send{{topic=T group=g msg_id={}}}", sent.msg_id);
    assert_eq!(written.ended("send")[1], send);
    assert!(written.ended("attempt")[2].starts_with(&format!("{send}:attempt{{")));
    producer.send_oneway(Message::new("T", "m")).await.unwrap();
    assert_eq!((written.ended("send").len(), written.ended("attempt").len()), (3, 4));
    drop(written);

    let written = Written::start(Level::INFO);
    assert!(producer.send(Message::new("T", "m")).await.unwrap().is_ok());
    assert_eq!(written.lines(), Vec::<String>::new());
}

/// A subscriber that panics takes the queued message along that it was told of, not the connection that others share.
#[tokio::test]
async fn subscribers_end_no_connection() {
    let broker = Server::start(|request| match is_send(request) && request.body == "bad" {
        true => Take::Reply(request.reply_error(ResponseCode::SYSTEM_ERROR, "as told")),
        false => Take::Reply(stored(request)),
    })
    .await;
    let names = name_server_for(&[("a", broker.addr, 1)]).await;
    let producer = builder(&names).in_flight_max(2).build().unwrap().producer("g").start().await.unwrap();
    assert!(producer.send(Message::new("T", "good")).await.unwrap().is_ok());
    let panics = || -> io::Sink { panic!("as told") };
    let subscriber = tracing_subscriber::fmt().with_max_level(Level::DEBUG).with_writer(panics).finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let _second = Dispatch::new(NoSubscriber::default());
    let mut receipts = Vec::new();
    for body in ["bad", "good", "bad", "good"] {
        receipts.push(producer.enqueue(Message::new("T", body)).await.unwrap());
    }
    for (receipt, is_good) in receipts.into_iter().zip([false, true].repeat(2)) {
        match receipt.await {
            Ok(_) => assert!(is_good),
            Err(error) => {
                assert_eq!((error.kind(), error.unsent().len(), is_good), (ErrorKind::Internal, 1, false))
            }
        }
    }
    drop(guard);
    assert_eq!(broker.connections().len(), 1);
}

/// A pull and the listener's call are spans; what the listener says is inside its own.
#[tokio::test]
async fn pulls_and_listeners() {
    let written = Written::start(Level::DEBUG);
    let world = World::new().await;
    world.broker.store("T", 0, "m", None);
    let (sender, mut received) = mpsc::unbounded_channel();
    let handle = move |message: MessageExt| {
        tracing::info!("paid");
        sender.send(message.msg_id.to_string()).unwrap();
        async { Err::<(), _>("no stock") }
    };
    let consumer = world.consumer().on_message(handle).start().await.unwrap();
    let msg_id = next(&mut received).await;
    consumer.shutdown().await;
    let consume = format!("consume{{topic=T group=g broker=a queue=0 msg_id={msg_id}");
    assert!(written.lines().contains(&format!("INFO {consume}}}: paid")), "{:#?}", written.lines());
    assert_eq!(written.ended("consume"), [format!("DEBUG {consume} result=Exception}}")]);
    let pull = format!(
        "DEBUG pull{{topic=T group=g broker=a queue=0 offset=0 addr=\"{}\" status=Found}}",
        world.broker.addr
    );
    assert!(written.ended("pull").contains(&pull), "{:#?}", written.ended("pull"));
}
