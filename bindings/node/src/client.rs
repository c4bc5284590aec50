//! What a client can do: it opens what sends and consumes, and tells what happens in it.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use ferrocket_bindings::ferrocket::{Client, Event, Events, MessageQueue, Result};
use ferrocket_bindings::on_check;
use futures_core::Stream;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::args::{Args, Reply, Selector};
use crate::port::{Object, Shared, unknown};
use crate::producer::{Sender, inbox};
use crate::push::Push;

/// Settings by their Java names, as text.
type Settings = BTreeMap<String, String>;
type Subscriptions = BTreeMap<String, Selector>;

/// Events that are told of at once.
const EVENTS_MAX: usize = 256;

/// Whoever watches a client.
pub(crate) struct Watcher(Mutex<Events>);

pub(crate) fn open(port: &Shared, args: Args) -> Result<Reply> {
    let mut settings: Settings = args.read()?;
    let addr = settings.remove("namesrvAddr").unwrap_or_default();
    let builder = set(Client::builder(&addr), settings, |builder, key, value| builder.set(key, value))?;
    let client = builder.build()?;
    let client_id = client.client_id().to_owned();
    Reply::new(&json!({ "handle": port.keep(Object::Client(client)), "clientId": client_id }))
}

/// Makes settings on a builder.
fn set<B>(builder: B, settings: Settings, set: impl Fn(B, &str, &str) -> Result<B>) -> Result<B> {
    settings.iter().try_fold(builder, |builder, (key, value)| set(builder, key, value))
}

#[derive(Deserialize)]
struct Sending {
    group: String,
    settings: Settings,
}

#[derive(Deserialize)]
struct Consuming {
    group: String,
    subscriptions: Subscriptions,
    #[serde(default)]
    orderly: bool,
    assign: Option<Vec<MessageQueue>>,
    settings: Settings,
}

pub(crate) async fn call(port: &Shared, client: &Client, operation: &str, args: Args) -> Result<Reply> {
    let object = match operation {
        "producer" => {
            let Sending { group, settings } = args.read()?;
            let builder =
                set(client.producer(&group), settings, |builder, key, value| builder.set(key, value))?;
            let producer = builder.start().await?;
            Object::Producer(Sender::plain(producer)?.into())
        }
        "transactionProducer" => {
            let Sending { group, settings } = args.read()?;
            let (inbox, bell) = inbox();
            let builder = on_check(client.producer(&group), &inbox);
            let producer =
                set(builder, settings, |builder, key, value| builder.set(key, value))?.start().await?;
            Object::Producer(Sender::transactional(producer, inbox, bell)?.into())
        }
        "pushConsumer" => {
            let Consuming { group, subscriptions, orderly, settings, .. } = args.read()?;
            let mut builder = client.push_consumer(&group);
            for (topic, selector) in subscriptions {
                builder = builder.subscribe(&topic, selector);
            }
            let builder = set(builder, settings, |builder, key, value| builder.set(key, value))?;
            Object::Push(Push::start(builder, orderly).await?.into())
        }
        "litePullConsumer" => {
            let Consuming { group, subscriptions, assign, settings, .. } = args.read()?;
            let mut builder = client.lite_pull_consumer(&group);
            for (topic, selector) in subscriptions {
                builder = builder.subscribe(&topic, selector);
            }
            if let Some(queues) = assign {
                builder = builder.assign(queues);
            }
            let builder = set(builder, settings, |builder, key, value| builder.set(key, value))?;
            Object::Lite(builder.start().await?)
        }
        "watch" => Object::Watcher(Watcher(Mutex::new(client.events())).into()),
        "fetchQueues" => {
            let topic: String = args.read()?;
            return Reply::new(&client.fetch_queues(&topic).await?);
        }
        _ => return Err(unknown(operation)),
    };
    Reply::new(&port.keep(object))
}

impl Watcher {
    /// What happened, once something has; nothing at the end.
    pub(crate) async fn take(&self) -> Result<Reply> {
        let mut events = self.0.lock().await;
        let taken: Vec<Value> = ready(&mut *events, EVENTS_MAX).await.iter().map(told).collect();
        if taken.is_empty() { Reply::empty() } else { Reply::new(&taken) }
    }
}

/// What is there of a stream, once something is; nothing at its end. Giving up on the future loses nothing.
pub(crate) async fn ready<S: Stream + Unpin>(stream: &mut S, max: usize) -> Vec<S::Item> {
    let mut taken = Vec::new();
    poll_fn(|context| {
        while taken.len() < max {
            match Pin::new(&mut *stream).poll_next(context) {
                Poll::Ready(Some(item)) => taken.push(item),
                Poll::Pending if taken.is_empty() => return Poll::Pending,
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        Poll::Ready(())
    })
    .await;
    taken
}

fn told(event: &Event) -> Value {
    match event {
        Event::Rebalanced { group, topic, queues } => {
            json!({ "type": "rebalanced", "group": group, "topic": topic, "queues": queues })
        }
        Event::RouteChanged { topic } => json!({ "type": "routeChanged", "topic": topic }),
        Event::Connected { addr } => json!({ "type": "connected", "addr": addr }),
        Event::Disconnected { addr } => json!({ "type": "disconnected", "addr": addr }),
        Event::SlowHandler { group, queue, msg_id, timeout } => {
            let timeout = timeout.as_secs_f64() * 1000.0;
            json!({ "type": "slowHandler", "group": group, "queue": queue, "msgId": msg_id, "timeoutMs": timeout })
        }
        Event::FlowControl { group, queue, messages } => {
            json!({ "type": "flowControl", "group": group, "queue": queue, "messages": messages })
        }
        Event::Missed(events) => json!({ "type": "missed", "events": events }),
        other => json!({ "type": "other", "text": format!("{other:?}") }),
    }
}
