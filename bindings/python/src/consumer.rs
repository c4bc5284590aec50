//! Consumers: batches are taken out of them, and each delivery is answered by itself.

use std::future::Future;
use std::time::Duration;

use ferrocket_bindings::ferrocket::{self, ConsumeOrderlyResult, Deliveries, ErrorKind};
use ferrocket_bindings::{self as bindings, Held, Inbox};
use pyo3::prelude::*;
use pyo3::types::PyType;
use tokio::sync::watch;

use crate::client::{batch, selector};
use crate::port::{Once, methods};
use crate::process::Raise;
use crate::values::{MessageExt, MessageQueue, Seconds, from_millis, messages, queue_of, queues};

/// What one look takes at most: a wake-up costs about as much as a hundred messages.
pub(crate) const TAKEN_MAX: usize = 256;
/// How long a poll without a limit waits, in effect.
const FOREVER: Duration = Duration::from_secs(1 << 31);

/// Questions of the client's, and who is told of them and of the client's end.
pub(crate) struct Asked<T> {
    pub(crate) inbox: Inbox<T>,
    rung: watch::Receiver<()>,
    closed: watch::Receiver<bool>,
}

impl<T> Asked<T> {
    pub(crate) fn new(closed: watch::Receiver<bool>) -> Self {
        let bell = watch::Sender::new(());
        let rung = bell.subscribe();
        Self { inbox: Inbox::new(move || bell.send_replace(())), rung, closed }
    }

    /// What is there, once there is something; empty at the end.
    pub(crate) async fn take(mut self) -> Vec<T> {
        loop {
            self.rung.mark_unchanged();
            let taken = self.inbox.drain(TAKEN_MAX);
            if !taken.is_empty() || self.inbox.is_ended() {
                return taken;
            }
            tokio::select! {
                _ = self.rung.changed() => {}
                // Also when the client is gone without an end.
                _ = self.closed.wait_for(|closed| *closed) => return taken,
            }
        }
    }
}

impl<T> Clone for Asked<T> {
    fn clone(&self) -> Self {
        Self { inbox: self.inbox.clone(), rung: self.rung.clone(), closed: self.closed.clone() }
    }
}

/// The methods of all consumers, besides rows of operations.
macro_rules! consumer {
    ($name:ident is $held:ident operations { $($rows:tt)* } $($rest:tt)*) => {
        methods! { $name
            fields {}
            operations {
                subscribe(topic: String, expression: String, is_sql: bool) = |it| {
                    it.consumer.subscribe(&topic, selector(expression, is_sql)).await
                };
                $($rows)*
            }

            #[getter]
            fn group(&self, py: Python<'_>) -> PyResult<&str> {
                Ok(self.get(py)?.consumer.group())
            }

            fn unsubscribe(&self, py: Python<'_>, topic: &str) -> PyResult<()> {
                self.get(py)?.consumer.unsubscribe(topic);
                Ok(())
            }

            $($rest)*
        }

        impl $name {
            fn get(&self, py: Python<'_>) -> PyResult<&$held> {
                self.0.get().raise(py)
            }
        }
    };
}

/// The same for those that need not ask.
macro_rules! push_consumer {
    ($name:ident is $held:ident operations { $($rows:tt)* }) => {
        consumer! { $name is $held
            operations { $($rows)* }

            fn queues(&self, py: Python<'_>) -> PyResult<Vec<MessageQueue>> {
                Ok(queues(self.get(py)?.consumer.queues()))
            }

            fn suspend(&self, py: Python<'_>) -> PyResult<()> {
                self.get(py)?.consumer.suspend();
                Ok(())
            }

            fn resume(&self, py: Python<'_>) -> PyResult<()> {
                self.get(py)?.consumer.resume();
                Ok(())
            }
        }
    };
}

#[pyclass(frozen, module = "ferrocket._core")]
pub(crate) struct PushConsumer(Held<Concurrent>);

#[derive(Clone)]
struct Concurrent {
    consumer: ferrocket::PushConsumer,
    deliveries: Deliveries,
}

impl PushConsumer {
    pub(crate) fn new((consumer, deliveries): (ferrocket::PushConsumer, Deliveries)) -> Self {
        Self(Held::new(Concurrent { consumer, deliveries }))
    }
}

push_consumer! { PushConsumer is Concurrent
    operations {
        // The next deliveries; none after the end.
        take() = |it| {
            let mut deliveries = it.deliveries;
            Ok(batch(&mut deliveries, TAKEN_MAX).await?.into_iter().map(Handed).collect::<Vec<_>>())
        };
        shutdown() = |it| {
            it.consumer.shutdown().await;
            Ok(())
        };
    }
}

#[pyclass(frozen, extends = MessageExt, module = "ferrocket._core")]
pub(crate) struct Delivery(Once<ferrocket::Delivery>);

/// A delivery that becomes an object.
struct Handed(ferrocket::Delivery);

impl<'py> IntoPyObject<'py> for Handed {
    type Target = Delivery;
    type Output = Bound<'py, Delivery>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        let message = MessageExt(self.0.message().clone());
        Bound::new(py, (Delivery(Once::new(self.0)), message))
    }
}

#[pymethods]
impl Delivery {
    #[getter]
    fn is_answered(&self, py: Python<'_>) -> PyResult<bool> {
        self.0.is_taken(py)
    }

    fn ack(&self, py: Python<'_>) -> PyResult<()> {
        if let Some(delivery) = self.0.take(py)? {
            delivery.ack();
        }
        Ok(())
    }

    #[pyo3(signature = (level=0))]
    fn retry_later(&self, py: Python<'_>, level: i32) -> PyResult<()> {
        if let Some(delivery) = self.0.take(py)? {
            delivery.retry_later(level);
        }
        Ok(())
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        kind: Option<&Bound<'_, PyType>>,
        _error: Option<&Bound<'_, PyAny>>,
        _trace: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        if kind.is_none() { self.ack(py) } else { self.retry_later(py, 0) }
    }
}

#[pyclass(frozen, module = "ferrocket._core")]
pub(crate) struct OrderlyConsumer(Held<Orderly>);

#[derive(Clone)]
struct Orderly {
    consumer: ferrocket::PushConsumer,
    batches: Asked<bindings::OrderlyBatch>,
}

impl OrderlyConsumer {
    pub(crate) fn new(consumer: ferrocket::PushConsumer, batches: Asked<bindings::OrderlyBatch>) -> Self {
        Self(Held::new(Orderly { consumer, batches }))
    }
}

push_consumer! { OrderlyConsumer is Orderly
    operations {
        // The next batches, one of a queue; none after the end.
        take() = |it| Ok(it.batches.take().await.into_iter().map(OrderlyBatch::new).collect::<Vec<_>>());
        shutdown() = |it| {
            // What nobody has taken is not waited for.
            it.batches.inbox.close();
            it.consumer.shutdown().await;
            Ok(())
        };
    }
}

#[pyclass(frozen, module = "ferrocket._core")]
pub(crate) struct OrderlyBatch {
    messages: Vec<ferrocket::MessageExt>,
    question: Once<bindings::OrderlyBatch>,
}

impl OrderlyBatch {
    fn new(question: bindings::OrderlyBatch) -> Self {
        let messages = question.subject.clone();
        Self { messages, question: Once::new(question) }
    }

    fn answer(&self, py: Python<'_>, answer: ConsumeOrderlyResult) -> PyResult<()> {
        if let Some(question) = self.question.take(py)? {
            question.answer(answer);
        }
        Ok(())
    }
}

#[pymethods]
impl OrderlyBatch {
    #[getter]
    fn messages(&self) -> Vec<MessageExt> {
        self.messages.iter().cloned().map(MessageExt).collect()
    }

    #[getter]
    fn message_queue(&self) -> Option<MessageQueue> {
        self.messages.first().map(queue_of)
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.messages().into_pyobject(py)?.call_method0("__iter__")
    }

    fn __len__(&self) -> usize {
        self.messages.len()
    }

    #[getter]
    fn is_answered(&self, py: Python<'_>) -> PyResult<bool> {
        self.question.is_taken(py)
    }

    fn success(&self, py: Python<'_>) -> PyResult<()> {
        self.answer(py, ConsumeOrderlyResult::Success)
    }

    fn commit(&self, py: Python<'_>) -> PyResult<()> {
        self.answer(py, ConsumeOrderlyResult::Commit)
    }

    fn rollback(&self, py: Python<'_>) -> PyResult<()> {
        self.answer(py, ConsumeOrderlyResult::Rollback)
    }

    #[pyo3(signature = (pause=None))]
    fn suspend(&self, py: Python<'_>, pause: Option<Seconds>) -> PyResult<()> {
        let usual = ConsumeOrderlyResult::SuspendCurrentQueueAMoment;
        self.answer(py, pause.map_or(usual, |pause| ConsumeOrderlyResult::SuspendCurrentQueueFor(pause.0)))
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        kind: Option<&Bound<'_, PyType>>,
        error: Option<&Bound<'_, PyAny>>,
        _trace: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        if kind.is_none() {
            return self.success(py);
        }
        let why = error.and_then(|error| error.repr().ok()).map_or_else(String::new, |text| text.to_string());
        self.answer(py, ConsumeOrderlyResult::Failed(why))
    }
}

#[pyclass(frozen, module = "ferrocket._core")]
pub(crate) struct LitePullConsumer(Held<Polled>);

#[derive(Clone)]
struct Polled {
    consumer: ferrocket::LitePullConsumer,
    /// Told when nobody waits for messages any more.
    over: watch::Sender<bool>,
}

impl LitePullConsumer {
    pub(crate) fn new(consumer: ferrocket::LitePullConsumer) -> Self {
        Self(Held::new(Polled { consumer, over: watch::Sender::new(false) }))
    }
}

/// What waits for messages, or nothing when waiting is over. Giving up on it takes no message.
async fn unless_over<T: Default>(
    over: &watch::Sender<bool>,
    wait: impl Future<Output = ferrocket::Result<T>>,
) -> ferrocket::Result<T> {
    let ended = async { over.subscribe().wait_for(|over| *over).await.is_ok() };
    tokio::select! {
        biased;
        _ = ended => Ok(T::default()),
        taken = wait => taken,
    }
}

consumer! { LitePullConsumer is Polled
    operations {
        // The next message; none after the end.
        next() = |it| {
            let mut stream = it.consumer.stream();
            let next = async { Ok(messages(stream.next().await.into_iter().collect())) };
            unless_over(&it.over, next).await
        };
        // With a limit an end in between is an error; without one it yields nothing.
        poll(timeout: Option<Seconds>) = |it| {
            let limit = timeout.as_ref().map_or(FOREVER, |limit| limit.0);
            let polled = async { it.consumer.poll(limit).await.map(messages) };
            match (unless_over(&it.over, polled).await, timeout) {
                (Err(error), None) if error.kind() == ErrorKind::Closed => Ok(Vec::new()),
                (polled, _) => polled,
            }
        };
        assign(queues: Vec<MessageQueue>) = |it| it.consumer.assign(owned(queues)).await;
        seek(queue: MessageQueue, offset: i64) = |it| it.consumer.seek(&queue.0, offset).await;
        seek_to_begin(queue: MessageQueue) = |it| it.consumer.seek_to_begin(&queue.0).await;
        seek_to_end(queue: MessageQueue) = |it| it.consumer.seek_to_end(&queue.0).await;
        commit() = |it| it.consumer.commit().await;
        commit_offsets(offsets: Vec<(MessageQueue, i64)>) = |it| {
            it.consumer.commit_offsets(offsets.into_iter().map(|(queue, offset)| (queue.0, offset))).await
        };
        committed(queue: MessageQueue) = |it| it.consumer.committed(&queue.0).await;
        offset_for_timestamp(queue: MessageQueue, time: i64) = |it| {
            it.consumer.offset_for_timestamp(&queue.0, from_millis(time)).await
        };
        fetch_queues(topic: String) = |it| Ok(queues(it.consumer.fetch_queues(&topic).await?));
        shutdown() = |it| {
            it.consumer.shutdown().await;
            Ok(())
        };
    }

    fn queues(&self, py: Python<'_>) -> PyResult<Vec<MessageQueue>> {
        Ok(queues(self.get(py)?.consumer.assignment()))
    }

    /// Waits for messages end, and bring none.
    fn end_waits(&self, py: Python<'_>) -> PyResult<()> {
        self.get(py)?.over.send_replace(true);
        Ok(())
    }

    fn pause(&self, py: Python<'_>, queues: Vec<MessageQueue>) -> PyResult<()> {
        self.get(py)?.consumer.pause(&owned(queues));
        Ok(())
    }

    fn resume(&self, py: Python<'_>, queues: Vec<MessageQueue>) -> PyResult<()> {
        self.get(py)?.consumer.resume(&owned(queues));
        Ok(())
    }
}

fn owned(queues: Vec<MessageQueue>) -> Vec<ferrocket::MessageQueue> {
    queues.into_iter().map(|queue| queue.0).collect()
}
