//! Producers, and transactions in two steps: `begin` yields when the local work is to be done, `end` says its outcome.

use ferrocket_bindings::ferrocket::{self, Error, ErrorKind, LocalTransaction, Result};
use ferrocket_bindings::{self as bindings, Held, Load, Pipeline, TransactionAnswer, spawn};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio::sync::oneshot;

use crate::consumer::Asked;
use crate::port::{Once, Op, Port, methods};
use crate::process::{Raise, raised};
use crate::values::{Message, MessageExt, MessageQueue, Seconds, SendResult, TransactionSendResult, state};

/// The keyword arguments of a send.
struct Terms(bindings::Terms);

impl FromPyObject<'_, '_> for Terms {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let (mut queue, mut ordered_by, mut timeout) = (None, None, None::<Seconds>);
        for (name, value) in given.cast::<PyDict>()?.iter() {
            match name.extract()? {
                // None is no queue and no key: the order would be lost without a word.
                "queue" => queue = Some(value.extract::<MessageQueue>()?.0),
                "ordered_by" => ordered_by = Some(value.extract()?),
                "timeout" => timeout = value.extract()?,
                other => {
                    return Err(PyTypeError::new_err(format!(
                        "a send takes queue, ordered_by and timeout, not {other}"
                    )));
                }
            }
        }
        let terms = bindings::Terms::new(queue, ordered_by, timeout.map(|it| it.0));
        terms.map(Self).raise(given.py())
    }
}

#[pyclass(frozen, module = "ferrocket._core")]
pub(crate) struct Producer(Held<(ferrocket::Producer, Pipeline)>);

impl Producer {
    pub(crate) fn new(producer: ferrocket::Producer) -> Result<Self> {
        let pipeline = Pipeline::new(producer.clone())?;
        Ok(Self(Held::new((producer, pipeline))))
    }

    fn get(&self, py: Python<'_>) -> PyResult<&ferrocket::Producer> {
        Ok(&self.0.get().raise(py)?.0)
    }

    fn put(
        &self,
        py: Python<'_>,
        load: impl Into<Load>,
        terms: Terms,
        port: Option<&Port>,
        token: u64,
    ) -> PyResult<Option<Op>> {
        let pipeline = &self.0.get().raise(py)?.1;
        if let Some(port) = port {
            let tell = port.teller(py, token)?;
            pipeline.send(load, terms.0, |sent| tell(sent.map(SendResult))).raise(py)?;
            return Ok(None);
        }
        let (done, receipt) = oneshot::channel();
        pipeline.send(load, terms.0, |sent| drop(done.send(sent))).raise(py)?;
        Ok(Some(Op::new(async move { receipt.await.unwrap_or_else(|_| Err(gone())).map(SendResult) })))
    }
}

methods! { Producer
    fields {}
    operations {
        send(message: Message, terms: Terms) = |producer| {
            terms.0.send(&producer, message.0).await.map(SendResult)
        };
        send_oneway(message: Message, terms: Terms) = |producer| terms.0.send_oneway(&producer, message.0).await;
        send_batch(messages: Vec<Message>, terms: Terms) = |producer| {
            let messages = messages.into_iter().map(|message| message.0).collect();
            terms.0.send_batch(&producer, messages).await.map(SendResult)
        };
        request(message: Message, timeout: Seconds) = |producer| {
            producer.request(message.0, timeout.0).await.map(MessageExt)
        };
        recall(topic: String, recall_handle: String) = |producer| producer.recall(&topic, &recall_handle).await;
    }

    /// What is in line goes out first.
    fn shutdown(&self, py: Python<'_>) -> PyResult<Op> {
        let (producer, pipeline) = self.0.get().raise(py)?.clone();
        Ok(Op::new(async move {
            pipeline.flush().await;
            producer.shutdown().await;
            Ok(())
        }))
    }

    #[getter]
    fn group(&self, py: Python<'_>) -> PyResult<&str> {
        Ok(self.get(py)?.group())
    }

    /// With a port it starts at once and yields nothing; without, it yields what is to be waited for.
    #[pyo3(signature = (message, terms, port=None, token=0))]
    fn enqueue(
        &self,
        py: Python<'_>,
        message: Message,
        terms: Terms,
        port: Option<&Port>,
        token: u64,
    ) -> PyResult<Option<Op>> {
        self.put(py, message.0, terms, port, token)
    }

    #[pyo3(signature = (messages, terms, port=None, token=0))]
    fn enqueue_batch(
        &self,
        py: Python<'_>,
        messages: Vec<Message>,
        terms: Terms,
        port: Option<&Port>,
        token: u64,
    ) -> PyResult<Option<Op>> {
        let messages: Vec<_> = messages.into_iter().map(|message| message.0).collect();
        self.put(py, messages, terms, port, token)
    }
}

fn gone() -> Error {
    Error::new(ErrorKind::Closed, "the call was given up before it was done")
}

#[pyclass(frozen, module = "ferrocket._core")]
pub(crate) struct TransactionProducer(Held<Checked>);

#[derive(Clone)]
struct Checked {
    producer: ferrocket::TransactionProducer,
    checks: Asked<bindings::Check>,
}

impl TransactionProducer {
    pub(crate) fn new(producer: ferrocket::TransactionProducer, checks: Asked<bindings::Check>) -> Self {
        Self(Held::new(Checked { producer, checks }))
    }

    fn get(&self, py: Python<'_>) -> PyResult<&Checked> {
        self.0.get().raise(py)
    }
}

methods! { TransactionProducer
    fields {}
    operations {
        // The next checks; none after the end.
        checks() = |it| Ok(it.checks.take().await.into_iter().map(Check::new).collect::<Vec<_>>());
        begin(message: Message) = |it| begin(it.producer, message.0).await;
        shutdown() = |it| {
            it.producer.shutdown().await;
            it.checks.inbox.close();
            Ok(())
        };
    }

    #[getter]
    fn group(&self, py: Python<'_>) -> PyResult<&str> {
        Ok(self.get(py)?.producer.producer().group())
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
    end: Once<End>,
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
        Self { local, end: Once::new(End { answer, outcome }) }
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
        let ended = || raised(py, Error::new(ErrorKind::Config, "the transaction was ended before"));
        let End { answer, outcome } = self.end.take(py)?.ok_or_else(ended)?;
        if let Some(answer) = answer {
            let _ = answer.send(failure.map_or(Ok(state), Err));
        }
        Ok(Op::new(async move { outcome.await.unwrap_or_else(|_| Err(gone())).map(TransactionSendResult) }))
    }
}

#[pyclass(frozen, module = "ferrocket._core")]
pub(crate) struct Check {
    message: ferrocket::MessageExt,
    question: Once<bindings::Check>,
}

impl Check {
    fn new(question: bindings::Check) -> Self {
        let message = question.subject.clone();
        Self { message, question: Once::new(question) }
    }

    fn tell(&self, py: Python<'_>, answer: TransactionAnswer) -> PyResult<()> {
        if let Some(question) = self.question.take(py)? {
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
