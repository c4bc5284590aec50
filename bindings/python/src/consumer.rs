//! Consumers: batches are taken out of them, and each delivery is answered by itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferrocket_bindings::ferrocket::{
    self, ConsumeOrderlyResult, Deliveries, ErrorKind, MessageQueue as Queue,
};
use ferrocket_bindings::{self as bindings, Held, Inbox};
use pyo3::prelude::*;
use pyo3::types::PyType;
use tokio::sync::watch;

use crate::client::{batch, selector};
use crate::port::Op;
use crate::process::Raise;
use crate::values::{MessageExt, MessageQueue, duration, from_millis, messages, queues};

/// What one look takes at most: a wake-up costs about as much as a hundred messages.
pub(crate) const TAKEN_MAX: usize = 256;
/// How long a poll without a limit waits, in effect.
const FOREVER: Duration = Duration::from_secs(1 << 31);

/// What is in an inbox, up to `max`, once there is something; empty at its end and at the client's.
pub(crate) async fn take_from<T>(
    inbox: Inbox<T>,
    mut rung: watch::Receiver<()>,
    mut closed: watch::Receiver<bool>,
    max: usize,
) -> Vec<T> {
    loop {
        rung.mark_unchanged();
        let taken = inbox.drain(max);
        if !taken.is_empty() || inbox.is_ended() || *closed.borrow() {
            return taken;
        }
        tokio::select! {
            _ = rung.changed() => {}
            _ = closed.changed() => {}
        }
    }
}

/// The methods that both kinds of push consumers have.
macro_rules! push_consumer {
    ($name:ident { $($methods:tt)* }) => {
        #[pymethods]
        impl $name {
            #[getter]
            fn group(&self, py: Python<'_>) -> PyResult<&str> {
                Ok(self.0.get().raise(py)?.consumer.group())
            }

            fn queues(&self, py: Python<'_>) -> PyResult<Vec<MessageQueue>> {
                Ok(queues(self.0.get().raise(py)?.consumer.queues()))
            }

            fn subscribe(&self, py: Python<'_>, topic: String, expression: String, is_sql: bool) -> PyResult<Op> {
                let consumer = self.0.get().raise(py)?.consumer.clone();
                Ok(Op::new(async move { consumer.subscribe(&topic, selector(expression, is_sql)).await }))
            }

            fn unsubscribe(&self, py: Python<'_>, topic: &str) -> PyResult<()> {
                self.0.get().raise(py)?.consumer.unsubscribe(topic);
                Ok(())
            }

            fn suspend(&self, py: Python<'_>) -> PyResult<()> {
                self.0.get().raise(py)?.consumer.suspend();
                Ok(())
            }

            fn resume(&self, py: Python<'_>) -> PyResult<()> {
                self.0.get().raise(py)?.consumer.resume();
                Ok(())
            }

            $($methods)*
        }
    };
}

#[pyclass(frozen, module = "ferrocket._core")]
pub(crate) struct PushConsumer(Held<Concurrent>);

struct Concurrent {
    consumer: ferrocket::PushConsumer,
    deliveries: Deliveries,
}

impl PushConsumer {
    pub(crate) fn new((consumer, deliveries): (ferrocket::PushConsumer, Deliveries)) -> Self {
        Self(Held::new(Concurrent { consumer, deliveries }))
    }
}

push_consumer!(PushConsumer {
    /// The next deliveries; none after the end.
    fn take(&self, py: Python<'_>) -> PyResult<Op> {
        let mut deliveries = self.0.get().raise(py)?.deliveries.clone();
        Ok(Op::new(async move { Ok(handed(batch(&mut deliveries, TAKEN_MAX).await?)) }))
    }

    fn shutdown(&self, py: Python<'_>) -> PyResult<Op> {
        let consumer = self.0.get().raise(py)?.consumer.clone();
        Ok(Op::new(async move {
            consumer.shutdown().await;
            Ok(())
        }))
    }
});

#[pyclass(frozen, extends = MessageExt, module = "ferrocket._core")]
pub(crate) struct Delivery(Held<Mutex<Option<ferrocket::Delivery>>>);

/// A delivery that becomes an object.
struct Handed(ferrocket::Delivery);

impl<'py> IntoPyObject<'py> for Handed {
    type Target = Delivery;
    type Output = Bound<'py, Delivery>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        let message = MessageExt(self.0.message().clone());
        Bound::new(py, (Delivery(Held::new(Mutex::new(Some(self.0)))), message))
    }
}

fn handed(deliveries: Vec<ferrocket::Delivery>) -> Vec<Handed> {
    deliveries.into_iter().map(Handed).collect()
}

impl Delivery {
    fn open(&self, py: Python<'_>) -> PyResult<MutexGuard<'_, Option<ferrocket::Delivery>>> {
        Ok(self.0.get().raise(py)?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[pymethods]
impl Delivery {
    #[getter]
    fn is_answered(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.open(py)?.is_none())
    }

    fn ack(&self, py: Python<'_>) -> PyResult<()> {
        let delivery = self.open(py)?.take();
        if let Some(delivery) = delivery {
            delivery.ack();
        }
        Ok(())
    }

    #[pyo3(signature = (level=0))]
    fn retry_later(&self, py: Python<'_>, level: i32) -> PyResult<()> {
        let delivery = self.open(py)?.take();
        if let Some(delivery) = delivery {
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

struct Orderly {
    consumer: ferrocket::PushConsumer,
    batches: Inbox<bindings::OrderlyBatch>,
    /// Changes when there are batches.
    rung: watch::Receiver<()>,
    closed: watch::Receiver<bool>,
}

impl OrderlyConsumer {
    pub(crate) fn new(
        consumer: ferrocket::PushConsumer,
        batches: Inbox<bindings::OrderlyBatch>,
        rung: watch::Receiver<()>,
        closed: watch::Receiver<bool>,
    ) -> Self {
        Self(Held::new(Orderly { consumer, batches, rung, closed }))
    }
}

push_consumer!(OrderlyConsumer {
    /// The next batches, one of a queue; none after the end.
    fn take(&self, py: Python<'_>) -> PyResult<Op> {
        let Orderly { batches, rung, closed, .. } = self.0.get().raise(py)?;
        let (batches, rung, closed) = (batches.clone(), rung.clone(), closed.clone());
        Ok(Op::new(async move {
            let taken = take_from(batches, rung, closed, TAKEN_MAX).await.into_iter();
            Ok(taken.map(OrderlyBatch::new).collect::<Vec<_>>())
        }))
    }

    fn shutdown(&self, py: Python<'_>) -> PyResult<Op> {
        let Orderly { consumer, batches, .. } = self.0.get().raise(py)?;
        let (consumer, batches) = (consumer.clone(), batches.clone());
        Ok(Op::new(async move {
            // What nobody has taken is not waited for.
            batches.close();
            consumer.shutdown().await;
            Ok(())
        }))
    }
});

#[pyclass(frozen, module = "ferrocket._core")]
pub(crate) struct OrderlyBatch {
    messages: Vec<ferrocket::MessageExt>,
    question: Held<Mutex<Option<bindings::OrderlyBatch>>>,
}

impl OrderlyBatch {
    fn new(question: bindings::OrderlyBatch) -> Self {
        let messages = question.subject.clone();
        Self { messages, question: Held::new(Mutex::new(Some(question))) }
    }

    fn answer(&self, py: Python<'_>, answer: ConsumeOrderlyResult) -> PyResult<()> {
        let question = self.question.get().raise(py)?.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(question) = question {
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
        self.messages.first().map(|message| {
            MessageQueue(Queue {
                topic: message.topic.clone(),
                broker_name: message.broker_name.clone(),
                queue_id: message.queue_id,
            })
        })
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.messages().into_pyobject(py)?.call_method0("__iter__")
    }

    fn __len__(&self) -> usize {
        self.messages.len()
    }

    #[getter]
    fn is_answered(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.question.get().raise(py)?.lock().unwrap_or_else(PoisonError::into_inner).is_none())
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
    fn suspend(&self, py: Python<'_>, pause: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        self.answer(
            py,
            match pause {
                None => ConsumeOrderlyResult::SuspendCurrentQueueAMoment,
                Some(pause) => ConsumeOrderlyResult::SuspendCurrentQueueFor(duration(pause)?),
            },
        )
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
        let why = error.map_or_else(String::new, |error| {
            error.repr().map_or_else(|_| String::new(), |text| text.to_string())
        });
        self.answer(py, ConsumeOrderlyResult::Failed(why))
    }
}

#[pyclass(frozen, module = "ferrocket._core")]
pub(crate) struct LitePullConsumer(Held<Arc<ferrocket::LitePullConsumer>>);

impl LitePullConsumer {
    pub(crate) fn new(consumer: ferrocket::LitePullConsumer) -> Self {
        Self(Held::new(Arc::new(consumer)))
    }

    fn get(&self, py: Python<'_>) -> PyResult<Arc<ferrocket::LitePullConsumer>> {
        Ok(Arc::clone(self.0.get().raise(py)?))
    }
}

#[pymethods]
impl LitePullConsumer {
    #[getter]
    fn group(&self, py: Python<'_>) -> PyResult<&str> {
        Ok(self.0.get().raise(py)?.group())
    }

    fn queues(&self, py: Python<'_>) -> PyResult<Vec<MessageQueue>> {
        Ok(queues(self.get(py)?.assignment()))
    }

    fn subscribe(&self, py: Python<'_>, topic: String, expression: String, is_sql: bool) -> PyResult<Op> {
        let consumer = self.get(py)?;
        Ok(Op::new(async move { consumer.subscribe(&topic, selector(expression, is_sql)).await }))
    }

    fn unsubscribe(&self, py: Python<'_>, topic: &str) -> PyResult<()> {
        self.get(py)?.unsubscribe(topic);
        Ok(())
    }

    /// With a limit an end in between is an error; without one it yields nothing.
    fn poll(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Op> {
        let (consumer, limit) = (self.get(py)?, timeout.map(duration).transpose()?);
        Ok(Op::new(async move {
            match (consumer.poll(limit.unwrap_or(FOREVER)).await, limit) {
                (Err(error), None) if error.kind() == ErrorKind::Closed => Ok(Vec::new()),
                (polled, _) => polled.map(messages),
            }
        }))
    }

    fn assign(&self, py: Python<'_>, queues: Vec<PyRef<'_, MessageQueue>>) -> PyResult<Op> {
        let (consumer, queues) = (self.get(py)?, owned(&queues));
        Ok(Op::new(async move { consumer.assign(queues).await }))
    }

    fn seek(&self, py: Python<'_>, queue: &MessageQueue, offset: i64) -> PyResult<Op> {
        let (consumer, queue) = (self.get(py)?, queue.0.clone());
        Ok(Op::new(async move { consumer.seek(&queue, offset).await }))
    }

    fn seek_to_begin(&self, py: Python<'_>, queue: &MessageQueue) -> PyResult<Op> {
        let (consumer, queue) = (self.get(py)?, queue.0.clone());
        Ok(Op::new(async move { consumer.seek_to_begin(&queue).await }))
    }

    fn seek_to_end(&self, py: Python<'_>, queue: &MessageQueue) -> PyResult<Op> {
        let (consumer, queue) = (self.get(py)?, queue.0.clone());
        Ok(Op::new(async move { consumer.seek_to_end(&queue).await }))
    }

    fn pause(&self, py: Python<'_>, queues: Vec<PyRef<'_, MessageQueue>>) -> PyResult<()> {
        self.get(py)?.pause(&owned(&queues));
        Ok(())
    }

    fn resume(&self, py: Python<'_>, queues: Vec<PyRef<'_, MessageQueue>>) -> PyResult<()> {
        self.get(py)?.resume(&owned(&queues));
        Ok(())
    }

    fn commit(&self, py: Python<'_>) -> PyResult<Op> {
        let consumer = self.get(py)?;
        Ok(Op::new(async move { consumer.commit().await }))
    }

    fn commit_offsets(&self, py: Python<'_>, offsets: Vec<(PyRef<'_, MessageQueue>, i64)>) -> PyResult<Op> {
        let consumer = self.get(py)?;
        let offsets: Vec<_> = offsets.iter().map(|(queue, offset)| (queue.0.clone(), *offset)).collect();
        Ok(Op::new(async move { consumer.commit_offsets(offsets).await }))
    }

    fn committed(&self, py: Python<'_>, queue: &MessageQueue) -> PyResult<Op> {
        let (consumer, queue) = (self.get(py)?, queue.0.clone());
        Ok(Op::new(async move { consumer.committed(&queue).await }))
    }

    fn offset_for_timestamp(&self, py: Python<'_>, queue: &MessageQueue, time: i64) -> PyResult<Op> {
        let (consumer, queue, time) = (self.get(py)?, queue.0.clone(), from_millis(time));
        Ok(Op::new(async move { consumer.offset_for_timestamp(&queue, time).await }))
    }

    fn fetch_queues(&self, py: Python<'_>, topic: String) -> PyResult<Op> {
        let consumer = self.get(py)?;
        Ok(Op::new(async move { Ok(queues(consumer.fetch_queues(&topic).await?)) }))
    }

    fn shutdown(&self, py: Python<'_>) -> PyResult<Op> {
        let consumer = self.get(py)?;
        Ok(Op::new(async move {
            consumer.shutdown().await;
            Ok(())
        }))
    }
}

fn owned(queues: &[PyRef<'_, MessageQueue>]) -> Vec<Queue> {
    queues.iter().map(|queue| queue.0.clone()).collect()
}
