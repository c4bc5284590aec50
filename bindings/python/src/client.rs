//! The client: what it starts, its administration, its events.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use ferrocket_bindings::ferrocket::admin::{
    ConsumerConnection, SubscriptionGroupConfig, TopicConfig, TopicRouteData,
};
use ferrocket_bindings::ferrocket::{self, Event, MessageSelector, Result};
use ferrocket_bindings::{Held, guard, on_check, orderly, runtime};
use futures_core::Stream;
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use tokio::sync::{Mutex, watch};

use crate::consumer::{Asked, LitePullConsumer, OrderlyConsumer, PushConsumer, TAKEN_MAX};
use crate::port::{Op, methods};
use crate::process::{Raise, remember};
use crate::producer::{Producer, TransactionProducer};
use crate::values::{MessageExt, MessageQueue, from_millis, messages, queues};

/// By Java's names.
type Settings = Vec<(String, String)>;
/// Topic, expression, and whether that is SQL92.
type Subscriptions = Vec<(String, String, bool)>;

pub(crate) fn selector(expression: String, is_sql: bool) -> MessageSelector {
    if is_sql { MessageSelector::by_sql(expression) } else { MessageSelector::by_tag(expression) }
}

/// Puts settings into a builder.
macro_rules! set {
    ($py:ident, $builder:expr, $settings:ident) => {{
        let builder = $builder;
        let set = || $settings.iter().try_fold(builder, |builder, (key, value)| builder.set(key, value));
        guard(set).raise($py)?
    }};
}

/// Puts subscriptions and settings into a builder.
macro_rules! subscribed {
    ($py:ident, $builder:expr, $subscriptions:ident, $settings:ident) => {{
        let wanted = $subscriptions.into_iter();
        let builder = wanted.fold($builder, |builder, (topic, expression, is_sql)| {
            builder.subscribe(&topic, selector(expression, is_sql))
        });
        set!($py, builder, $settings)
    }};
}

#[pyclass(frozen, module = "ferrocket._core")]
pub(crate) struct Client {
    client: Arc<Held<ferrocket::Client>>,
    closing: AtomicBool,
    /// Whether the client is shut down, for those who wait for what only it could bring.
    closed: watch::Sender<bool>,
}

impl Client {
    fn get(&self, py: Python<'_>) -> PyResult<&ferrocket::Client> {
        self.client.get().raise(py)
    }
}

methods! { Client
    fields {}
    operations {
        fetch_queues(topic: String) = |client| Ok(queues(client.fetch_queues(&topic).await?));
        create_topic(topic: String, queues: i32, perm: i32) = |client| {
            client.admin().create_topic(&TopicConfig::new(topic, queues, queues, perm)).await
        };
        delete_topic(topic: String) = |client| client.admin().delete_topic(&topic).await;
        create_group(group: String, retry_max_times: i32) = |client| {
            let config = SubscriptionGroupConfig { retry_max_times, ..SubscriptionGroupConfig::new(group) };
            client.admin().create_group(&config).await
        };
        delete_group(group: String) = |client| client.admin().delete_group(&group).await;
        topics() = |client| Ok(client.admin().topics().await?.into_iter().collect::<Vec<_>>());
        topic_route(topic: String) = |client| Ok(route(client.admin().topic_route(&topic).await?));
        topic_stats(topic: String) = |client| {
            let stats = client.admin().topic_stats(&topic).await?.offset_table.into_iter();
            Ok(stats.map(|(queue, offset)| {
                (MessageQueue(queue), offset.min_offset, offset.max_offset, offset.last_update_timestamp)
            }).collect::<Vec<_>>())
        };
        consume_stats(group: String, topic: String) = |client| {
            let stats = client.admin().consume_stats(&group, &topic).await?.offset_table.into_iter();
            Ok(stats.map(|(queue, offset)| {
                (MessageQueue(queue), offset.broker_offset, offset.consumer_offset, offset.last_timestamp)
            }).collect::<Vec<_>>())
        };
        consumer_connection(group: String, topic: String) = |client| {
            Ok(client.admin().consumer_connection(&group, &topic).await?.map(connections))
        };
        view_message(topic: String, offset_msg_id: String) = |client| {
            client.admin().view_message(&topic, &offset_msg_id).await.map(MessageExt)
        };
        query_message(topic: String, key: String, max: u16, begin: i64, end: i64) = |client| {
            let (begin, end) = (from_millis(begin), from_millis(end));
            Ok(messages(client.admin().query_message(&topic, &key, max, begin, end).await?))
        };
        query_message_by_unique_key(topic: String, key: String) = |client| {
            Ok(client.admin().query_message_by_unique_key(&topic, &key).await?.map(MessageExt))
        };
        reset_offset(group: String, topic: String, time: i64) = |client| {
            let reset = client.admin().reset_offset(&group, &topic, from_millis(time)).await?;
            Ok(reset.into_iter().map(|(queue, offset)| (MessageQueue(queue), offset)).collect::<Vec<_>>())
        };
    }

    #[new]
    fn new(py: Python<'_>, namesrv_addr: &str, settings: Settings) -> PyResult<Self> {
        let runtime = runtime().raise(py)?;
        let _context = runtime.enter();
        let builder = set!(py, ferrocket::Client::builder(namesrv_addr), settings);
        let client = guard(|| builder.build()).raise(py)?;
        let client = Arc::new(Held::new(client));
        remember(Arc::downgrade(&client));
        Ok(Self { client, closing: AtomicBool::new(false), closed: watch::Sender::new(false) })
    }

    #[getter]
    fn client_id(&self, py: Python<'_>) -> PyResult<&str> {
        Ok(self.get(py)?.client_id())
    }

    #[getter]
    fn is_closed(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    fn producer(&self, py: Python<'_>, group: &str, settings: Settings) -> PyResult<Op> {
        let builder = set!(py, self.get(py)?.producer(group), settings);
        Ok(Op::new(async move { Producer::new(builder.start().await?) }))
    }

    fn transaction_producer(&self, py: Python<'_>, group: &str, settings: Settings) -> PyResult<Op> {
        let checks = Asked::new(self.closed.subscribe());
        let builder = set!(py, on_check(self.get(py)?.producer(group), &checks.inbox), settings);
        Ok(Op::new(async move { Ok(TransactionProducer::new(builder.start().await?, checks)) }))
    }

    fn push_consumer(&self, py: Python<'_>, group: &str, subscriptions: Subscriptions, settings: Settings) -> PyResult<Op> {
        let builder = subscribed!(py, self.get(py)?.push_consumer(group), subscriptions, settings);
        Ok(Op::new(async move { Ok(PushConsumer::new(builder.deliveries().await?)) }))
    }

    fn orderly_consumer(&self, py: Python<'_>, group: &str, subscriptions: Subscriptions, settings: Settings) -> PyResult<Op> {
        let batches = Asked::new(self.closed.subscribe());
        let builder = subscribed!(py, self.get(py)?.push_consumer(group), subscriptions, settings);
        let builder = orderly(builder, &batches.inbox);
        Ok(Op::new(async move { Ok(OrderlyConsumer::new(builder.start().await?, batches)) }))
    }

    fn lite_pull_consumer(&self, py: Python<'_>, group: &str, subscriptions: Subscriptions, settings: Settings) -> PyResult<Op> {
        let builder = subscribed!(py, self.get(py)?.lite_pull_consumer(group), subscriptions, settings);
        Ok(Op::new(async move { Ok(LitePullConsumer::new(builder.start().await?)) }))
    }

    fn shutdown(&self, py: Python<'_>) -> PyResult<Op> {
        self.closing.store(true, Ordering::Relaxed);
        let (client, closed) = (self.get(py)?.clone(), self.closed.clone());
        Ok(Op::new(async move {
            let ended = client.shutdown().await;
            closed.send_replace(true);
            ended
        }))
    }

    fn events(&self, py: Python<'_>) -> PyResult<Events> {
        let events = self.get(py)?.events();
        Ok(Events(Held::new(Arc::new(Mutex::new(events)))))
    }
}

type Brokers = Vec<(String, String, BTreeMap<i64, String>)>;
type Queues = Vec<(String, i32, i32, i32)>;

/// Brokers and queues of a route, as `ferrocket._values` takes them.
fn route(route: TopicRouteData) -> (Brokers, Queues) {
    let brokers = route.broker_datas.into_iter();
    let brokers =
        brokers.map(|one| (one.cluster, one.broker_name.to_string(), one.broker_addrs.into_iter().collect()));
    let queues = route.queue_datas.into_iter();
    let queues =
        queues.map(|one| (one.broker_name.to_string(), one.read_queue_nums, one.write_queue_nums, one.perm));
    (brokers.collect(), queues.collect())
}

type Connections = Vec<(String, String, String, i32)>;

/// Connections and subscriptions of a group, as `ferrocket._values` takes them.
fn connections(known: ConsumerConnection) -> (Connections, BTreeMap<String, String>) {
    let connections = known.connection_set.into_iter();
    let connections =
        connections.map(|one| (one.client_id, one.client_addr, one.language.name().to_owned(), one.version));
    let subscriptions =
        known.subscription_table.into_iter().map(|(topic, wanted)| (topic, wanted.sub_string));
    (connections.collect(), subscriptions.collect())
}

/// What a stream has ready, up to `max`, once there is something; empty at its end.
pub(crate) async fn batch<S: Stream + Unpin>(stream: &mut S, max: usize) -> Result<Vec<S::Item>> {
    let mut taken = Vec::new();
    let mut look = |context: &mut Context<'_>| {
        while taken.len() < max {
            match Pin::new(&mut *stream).poll_next(context) {
                Poll::Ready(Some(item)) => taken.push(item),
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending if taken.is_empty() => return Poll::Pending,
                Poll::Pending => return Poll::Ready(()),
            }
        }
        Poll::Ready(())
    };
    poll_fn(&mut look).await;
    Ok(taken)
}

#[pyclass(frozen, module = "ferrocket._core")]
pub(crate) struct Events(Held<Arc<Mutex<ferrocket::Events>>>);

#[pymethods]
impl Events {
    fn next(&self, py: Python<'_>) -> PyResult<Op> {
        let events = Arc::clone(self.0.get().raise(py)?);
        Ok(Op::new(async move { Ok(told(batch(&mut *events.lock().await, TAKEN_MAX).await?)) }))
    }
}

/// An event, which becomes the name of a class in `ferrocket._values` with its fields.
struct Told(Event);

fn told(events: Vec<Event>) -> Vec<Told> {
    events.into_iter().map(Told).collect()
}

impl<'py> IntoPyObject<'py> for Told {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        match self.0 {
            Event::Rebalanced { group, topic, queues: now } => {
                ("Rebalanced", (group, topic, queues(now))).into_bound_py_any(py)
            }
            Event::RouteChanged { topic } => ("RouteChanged", (topic,)).into_bound_py_any(py),
            Event::Connected { addr } => ("Connected", (addr.to_string(),)).into_bound_py_any(py),
            Event::Disconnected { addr } => ("Disconnected", (addr.to_string(),)).into_bound_py_any(py),
            Event::SlowHandler { group, queue, msg_id, timeout } => {
                let fields = (group, MessageQueue(queue), msg_id, timeout.as_secs_f64());
                ("SlowHandler", fields).into_bound_py_any(py)
            }
            Event::FlowControl { group, queue, messages } => {
                ("FlowControl", (group, MessageQueue(queue), messages)).into_bound_py_any(py)
            }
            Event::Missed(events) => ("Missed", (events,)).into_bound_py_any(py),
            other => (format!("{other:?}"), ()).into_bound_py_any(py),
        }
    }
}
