//! Producers, and transactions in two steps: `begin` yields when the local work is to be done, `end` says its outcome.

use std::sync::{Mutex, PoisonError};

use ferrocket_bindings::ferrocket::{self, Error, ErrorKind, LocalTransaction, Result};
use ferrocket_bindings::{self as bindings, Held, Inbox, Pipeline, TransactionAnswer, spawn};
use pyo3::prelude::*;
use tokio::sync::{oneshot, watch};

use crate::consumer::{TAKEN_MAX, take_from};
use crate::port::{Op, Port};
use crate::process::{Raise, raised};
use crate::values::{Message, MessageExt, MessageQueue, SendResult, TransactionSendResult, duration, state};

#[pyclass(frozen, module = "ferrocket._core")]
pub(crate) struct Producer(Held<(ferrocket::Producer, Pipeline)>);

impl Producer {
    pub(crate) fn new(producer: ferrocket::Producer) -> Result<Self> {
        let pipeline = Pipeline::new(producer.clone())?;
        Ok(Self(Held::new((producer, pipeline))))
    }

    fn get(&self, py: Python<'_>) -> PyResult<ferrocket::Producer> {
        Ok(self.0.get().raise(py)?.0.clone())
    }
}

#[pymethods]
impl Producer {
    #[getter]
    fn group(&self, py: Python<'_>) -> PyResult<&str> {
        Ok(self.0.get().raise(py)?.0.group())
    }

    fn send(&self, py: Python<'_>, message: &Message) -> PyResult<Op> {
        let (producer, message) = (self.get(py)?, message.0.clone());
        Ok(Op::new(async move { producer.send(message).await.map(SendResult) }))
    }

    /// With a port it starts at once and yields nothing; without, it yields what is to be waited for.
    #[pyo3(signature = (message, port=None, token=0))]
    fn enqueue(
        &self,
        py: Python<'_>,
        message: &Message,
        port: Option<&Port>,
        token: u64,
    ) -> PyResult<Option<Op>> {
        let pipeline = &self.0.get().raise(py)?.1;
        if let Some(port) = port {
            let tell = port.teller(py, token)?;
            pipeline.send(message.0.clone(), |sent| tell(sent.map(SendResult))).raise(py)?;
            return Ok(None);
        }
        let (done, receipt) = oneshot::channel();
        pipeline.send(message.0.clone(), |sent| drop(done.send(sent))).raise(py)?;
        Ok(Some(Op::new(async move { receipt.await.unwrap_or_else(|_| Err(gone())).map(SendResult) })))
    }

    fn send_oneway(&self, py: Python<'_>, message: &Message) -> PyResult<Op> {
        let (producer, message) = (self.get(py)?, message.0.clone());
        Ok(Op::new(async move { producer.send_oneway(message).await }))
    }

    fn send_batch(&self, py: Python<'_>, messages: Vec<PyRef<'_, Message>>) -> PyResult<Op> {
        let producer = self.get(py)?;
        let messages = messages.iter().map(|message| message.0.clone()).collect();
        Ok(Op::new(async move { producer.send_batch(messages).await.map(SendResult) }))
    }

    fn send_ordered(&self, py: Python<'_>, message: &Message, key: String) -> PyResult<Op> {
        let (producer, message) = (self.get(py)?, message.0.clone());
        Ok(Op::new(async move { producer.send_ordered(message, &key).await.map(SendResult) }))
    }

    fn send_to(&self, py: Python<'_>, message: &Message, queue: &MessageQueue) -> PyResult<Op> {
        let (producer, message, queue) = (self.get(py)?, message.0.clone(), queue.0.clone());
        Ok(Op::new(async move { producer.send_to(message, &queue).await.map(SendResult) }))
    }

    fn request(&self, py: Python<'_>, message: &Message, timeout: &Bound<'_, PyAny>) -> PyResult<Op> {
        let (producer, message, timeout) = (self.get(py)?, message.0.clone(), duration(timeout)?);
        Ok(Op::new(async move { producer.request(message, timeout).await.map(MessageExt) }))
    }

    fn recall(&self, py: Python<'_>, topic: String, recall_handle: String) -> PyResult<Op> {
        let producer = self.get(py)?;
        Ok(Op::new(async move { producer.recall(&topic, &recall_handle).await }))
    }

    fn shutdown(&self, py: Python<'_>) -> PyResult<Op> {
        let producer = self.get(py)?;
        Ok(Op::new(async move {
            producer.shutdown().await;
            Ok(())
        }))
    }
}

fn gone() -> Error {
    Error::new(ErrorKind::Closed, "the call was given up before it was done")
}

#[pyclass(frozen, module = "ferrocket._core")]
pub(crate) struct TransactionProducer(Held<Checked>);

struct Checked {
    producer: ferrocket::TransactionProducer,
    checks: Inbox<bindings::Check>,
    /// Changes when there are checks.
    rung: watch::Receiver<()>,
    closed: watch::Receiver<bool>,
}

impl TransactionProducer {
    pub(crate) fn new(
        producer: ferrocket::TransactionProducer,
        checks: Inbox<bindings::Check>,
        rung: watch::Receiver<()>,
        closed: watch::Receiver<bool>,
    ) -> Self {
        Self(Held::new(Checked { producer, checks, rung, closed }))
    }
}

#[pymethods]
impl TransactionProducer {
    #[getter]
    fn group(&self, py: Python<'_>) -> PyResult<&str> {
        Ok(self.0.get().raise(py)?.producer.producer().group())
    }

    /// The next checks; none after the end.
    fn checks(&self, py: Python<'_>) -> PyResult<Op> {
        let Checked { checks, rung, closed, .. } = self.0.get().raise(py)?;
        let (checks, rung, closed) = (checks.clone(), rung.clone(), closed.clone());
        Ok(Op::new(async move {
            let asked = take_from(checks, rung, closed, TAKEN_MAX).await.into_iter();
            Ok(asked.map(Check::new).collect::<Vec<_>>())
        }))
    }

    fn begin(&self, py: Python<'_>, message: &Message) -> PyResult<Op> {
        let (producer, message) = (self.0.get().raise(py)?.producer.clone(), message.0.clone());
        Ok(Op::new(begin(producer, message)))
    }

    fn shutdown(&self, py: Python<'_>) -> PyResult<Op> {
        let Checked { producer, checks, .. } = self.0.get().raise(py)?;
        let (producer, checks) = (producer.clone(), checks.clone());
        Ok(Op::new(async move {
            producer.shutdown().await;
            checks.close();
            Ok(())
        }))
    }
}

type Outcome = Result<ferrocket::TransactionSendResult>;

async fn begin(producer: ferrocket::TransactionProducer, message: ferrocket::Message) -> Result<Transaction> {
    let (work, given) = oneshot::channel();
    let (done, mut outcome) = oneshot::channel::<Outcome>();
    let sending = async move {
        let local = |local: LocalTransaction| async move {
            let (answer, answered) = oneshot::channel::<TransactionAnswer>();
            let _ = work.send((local, answer));
            answered.await.unwrap_or_else(|_| Err("nobody answered".to_owned()))
        };
        producer.send_in_transaction(message, local).await
    };
    spawn(sending, |sent| drop(done.send(sent)))?;
    match given.await {
        Ok((local, answer)) => Ok(Transaction::new(Some(local), Some(answer), outcome)),
        // There is nothing to be done: the send failed, or was stored with another status and is rolled back.
        Err(_) => {
            let sent = (&mut outcome).await.unwrap_or_else(|_| Err(gone()))?;
            let (done, outcome) = oneshot::channel();
            let _ = done.send(Ok(sent));
            Ok(Transaction::new(None, None, outcome))
        }
    }
}

#[pyclass(frozen, module = "ferrocket._core")]
pub(crate) struct Transaction {
    local: Option<LocalTransaction>,
    /// Taken by the end.
    end: Held<Mutex<Option<End>>>,
}

struct End {
    answer: Option<oneshot::Sender<TransactionAnswer>>,
    outcome: oneshot::Receiver<Outcome>,
}

impl Transaction {
    fn new(
        local: Option<LocalTransaction>,
        answer: Option<oneshot::Sender<TransactionAnswer>>,
        outcome: oneshot::Receiver<Outcome>,
    ) -> Self {
        Self { local, end: Held::new(Mutex::new(Some(End { answer, outcome }))) }
    }
}

#[pymethods]
impl Transaction {
    /// Whether the local work is to be done.
    #[getter]
    fn is_open(&self) -> bool {
        self.local.is_some()
    }

    #[getter]
    fn message(&self) -> Option<Message> {
        self.local.as_ref().map(|local| Message(local.message.clone()))
    }

    #[getter]
    fn transaction_id(&self) -> Option<&str> {
        self.local.as_ref().map(|local| &*local.transaction_id)
    }

    #[getter]
    fn half(&self) -> Option<SendResult> {
        self.local.as_ref().map(|local| SendResult(local.half.clone()))
    }

    fn end(&self, py: Python<'_>, word: &str, failure: Option<String>) -> PyResult<Op> {
        let state = state(word).raise(py)?;
        let end = self.end.get().raise(py)?.lock().unwrap_or_else(PoisonError::into_inner).take();
        let ended = || raised(py, Error::new(ErrorKind::Config, "the transaction was ended before"));
        let End { answer, outcome } = end.ok_or_else(ended)?;
        if let Some(answer) = answer {
            let _ = answer.send(failure.map_or(Ok(state), Err));
        }
        Ok(Op::new(async move { outcome.await.unwrap_or_else(|_| Err(gone())).map(TransactionSendResult) }))
    }
}

#[pyclass(frozen, module = "ferrocket._core")]
pub(crate) struct Check {
    message: ferrocket::MessageExt,
    question: Held<Mutex<Option<bindings::Check>>>,
}

impl Check {
    fn new(question: bindings::Check) -> Self {
        let message = question.subject.clone();
        Self { message, question: Held::new(Mutex::new(Some(question))) }
    }

    fn tell(&self, py: Python<'_>, answer: TransactionAnswer) -> PyResult<()> {
        let question = self.question.get().raise(py)?.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(question) = question {
            question.answer(answer);
        }
        Ok(())
    }
}

#[pymethods]
impl Check {
    #[getter]
    fn message(&self) -> MessageExt {
        MessageExt(self.message.clone())
    }

    fn answer(&self, py: Python<'_>, word: &str) -> PyResult<()> {
        let state = state(word).raise(py)?;
        self.tell(py, Ok(state))
    }

    fn fail(&self, py: Python<'_>, why: String) -> PyResult<()> {
        self.tell(py, Err(why))
    }
}
