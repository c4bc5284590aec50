//! The client: what it starts, its administration, its events.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use ferrocket_bindings::ferrocket::admin::{SubscriptionGroupConfig, TopicConfig};
use ferrocket_bindings::ferrocket::{self, Event, MessageSelector, Result};
use ferrocket_bindings::{Held, Inbox, guard, on_check, orderly, runtime};
use futures_core::Stream;
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use tokio::sync::{Mutex, watch};

use crate::consumer::{LitePullConsumer, OrderlyConsumer, PushConsumer, TAKEN_MAX};
use crate::port::Op;
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

    fn admin(&self, py: Python<'_>) -> PyResult<ferrocket::admin::Admin> {
        Ok(self.get(py)?.admin())
    }
}

#[pymethods]
impl Client {
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
        let bell = watch::Sender::new(());
        let rung = bell.subscribe();
        let checks = Inbox::new(move || bell.send_replace(()));
        let builder = on_check(self.get(py)?.producer(group), &checks);
        let builder = set!(py, builder, settings);
        let closed = self.closed.subscribe();
        Ok(Op::new(async move { Ok(TransactionProducer::new(builder.start().await?, checks, rung, closed)) }))
    }

    fn push_consumer(
        &self,
        py: Python<'_>,
        group: &str,
        subscriptions: Subscriptions,
        settings: Settings,
    ) -> PyResult<Op> {
        let builder = subscribed!(py, self.get(py)?.push_consumer(group), subscriptions, settings);
        Ok(Op::new(async move { Ok(PushConsumer::new(builder.deliveries().await?)) }))
    }

    fn orderly_consumer(
        &self,
        py: Python<'_>,
        group: &str,
        subscriptions: Subscriptions,
        settings: Settings,
    ) -> PyResult<Op> {
        let bell = watch::Sender::new(());
        let rung = bell.subscribe();
        let batches = Inbox::new(move || bell.send_replace(()));
        let builder = subscribed!(py, self.get(py)?.push_consumer(group), subscriptions, settings);
        let builder = orderly(builder, &batches);
        let closed = self.closed.subscribe();
        Ok(Op::new(async move { Ok(OrderlyConsumer::new(builder.start().await?, batches, rung, closed)) }))
    }

    fn lite_pull_consumer(
        &self,
        py: Python<'_>,
        group: &str,
        subscriptions: Subscriptions,
        settings: Settings,
    ) -> PyResult<Op> {
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

    fn fetch_queues(&self, py: Python<'_>, topic: String) -> PyResult<Op> {
        let client = self.get(py)?.clone();
        Ok(Op::new(async move { Ok(queues(client.fetch_queues(&topic).await?)) }))
    }

    fn create_topic(&self, py: Python<'_>, topic: &str, queues: i32, perm: i32) -> PyResult<Op> {
        let (admin, config) = (self.admin(py)?, TopicConfig::new(topic, queues, queues, perm));
        Ok(Op::new(async move { admin.create_topic(&config).await }))
    }

    fn delete_topic(&self, py: Python<'_>, topic: String) -> PyResult<Op> {
        let admin = self.admin(py)?;
        Ok(Op::new(async move { admin.delete_topic(&topic).await }))
    }

    fn create_group(&self, py: Python<'_>, group: &str, retry_max_times: i32) -> PyResult<Op> {
        let admin = self.admin(py)?;
        let mut config = SubscriptionGroupConfig::new(group);
        config.retry_max_times = retry_max_times;
        Ok(Op::new(async move { admin.create_group(&config).await }))
    }

    fn delete_group(&self, py: Python<'_>, group: String) -> PyResult<Op> {
        let admin = self.admin(py)?;
        Ok(Op::new(async move { admin.delete_group(&group).await }))
    }

    fn topics(&self, py: Python<'_>) -> PyResult<Op> {
        let admin = self.admin(py)?;
        Ok(Op::new(async move { Ok(admin.topics().await?.into_iter().collect::<Vec<_>>()) }))
    }

    fn topic_route(&self, py: Python<'_>, topic: String) -> PyResult<Op> {
        let admin = self.admin(py)?;
        Ok(Op::new(async move {
            let route = admin.topic_route(&topic).await?;
            let brokers = route.broker_datas.into_iter();
            let brokers = brokers.map(|broker| {
                let addrs: BTreeMap<_, _> = broker.broker_addrs.into_iter().collect();
                (broker.cluster, broker.broker_name, addrs)
            });
            let queues = route.queue_datas.into_iter();
            let queues = queues
                .map(|queue| (queue.broker_name, queue.read_queue_nums, queue.write_queue_nums, queue.perm));
            Ok((brokers.collect::<Vec<_>>(), queues.collect::<Vec<_>>()))
        }))
    }

    fn topic_stats(&self, py: Python<'_>, topic: String) -> PyResult<Op> {
        let admin = self.admin(py)?;
        Ok(Op::new(async move {
            let stats = admin.topic_stats(&topic).await?.offset_table.into_iter();
            let stats = stats.map(|(queue, offset)| {
                (MessageQueue(queue), offset.min_offset, offset.max_offset, offset.last_update_timestamp)
            });
            Ok(stats.collect::<Vec<_>>())
        }))
    }

    fn consume_stats(&self, py: Python<'_>, group: String, topic: String) -> PyResult<Op> {
        let admin = self.admin(py)?;
        Ok(Op::new(async move {
            let stats = admin.consume_stats(&group, &topic).await?.offset_table.into_iter();
            let stats = stats.map(|(queue, offset)| {
                (MessageQueue(queue), offset.broker_offset, offset.consumer_offset, offset.last_timestamp)
            });
            Ok(stats.collect::<Vec<_>>())
        }))
    }

    fn consumer_connection(&self, py: Python<'_>, group: String, topic: String) -> PyResult<Op> {
        let admin = self.admin(py)?;
        Ok(Op::new(async move {
            let Some(known) = admin.consumer_connection(&group, &topic).await? else { return Ok(None) };
            let connections = known
                .connection_set
                .into_iter()
                .map(|one| (one.client_id, one.client_addr, one.language.name().to_owned(), one.version));
            let subscriptions = known.subscription_table.into_iter();
            let subscriptions = subscriptions.map(|(topic, wanted)| (topic, wanted.sub_string));
            Ok(Some((connections.collect::<Vec<_>>(), subscriptions.collect::<BTreeMap<_, _>>())))
        }))
    }

    fn view_message(&self, py: Python<'_>, topic: String, offset_msg_id: String) -> PyResult<Op> {
        let admin = self.admin(py)?;
        Ok(Op::new(async move { admin.view_message(&topic, &offset_msg_id).await.map(MessageExt) }))
    }

    fn query_message(
        &self,
        py: Python<'_>,
        topic: String,
        key: String,
        max: u16,
        begin: i64,
        end: i64,
    ) -> PyResult<Op> {
        let admin = self.admin(py)?;
        let (begin, end) = (from_millis(begin), from_millis(end));
        Ok(Op::new(async move { Ok(messages(admin.query_message(&topic, &key, max, begin, end).await?)) }))
    }

    fn query_message_by_unique_key(&self, py: Python<'_>, topic: String, key: String) -> PyResult<Op> {
        let admin = self.admin(py)?;
        Ok(Op::new(async move { Ok(admin.query_message_by_unique_key(&topic, &key).await?.map(MessageExt)) }))
    }

    fn reset_offset(&self, py: Python<'_>, group: String, topic: String, time: i64) -> PyResult<Op> {
        let admin = self.admin(py)?;
        Ok(Op::new(async move {
            let reset = admin.reset_offset(&group, &topic, from_millis(time)).await?;
            Ok(reset.into_iter().map(|(queue, offset)| (MessageQueue(queue), offset)).collect::<Vec<_>>())
        }))
    }
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
