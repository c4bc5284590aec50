//! Messages and receipts. A received message becomes an object whose fields are converted when they are asked for.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use ferrocket_bindings::ferrocket::{self, Result};
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use crate::process::Raise;

/// A body: `str` as UTF-8, `bytes`, or anything with a buffer of bytes. Copied, so that no task holds an object.
pub(crate) fn body(given: &Bound<'_, PyAny>) -> PyResult<Bytes> {
    if let Ok(bytes) = given.cast::<PyBytes>() {
        return Ok(Bytes::copy_from_slice(bytes.as_bytes()));
    }
    if let Ok(text) = given.cast::<PyString>() {
        return Ok(Bytes::copy_from_slice(text.to_str()?.as_bytes()));
    }
    match PyBuffer::<u8>::get(given) {
        Ok(buffer) => Ok(buffer.to_vec(given.py())?.into()),
        Err(_) => Err(PyTypeError::new_err(format!(
            "a body is a str, bytes or a buffer of bytes, not {}",
            given.get_type().name()?
        ))),
    }
}

/// Seconds as a `float`, or a `timedelta`.
pub(crate) fn duration(given: &Bound<'_, PyAny>) -> PyResult<Duration> {
    let seconds: f64 = match given.extract() {
        Ok(seconds) => seconds,
        Err(_) => given.call_method0("total_seconds").map_err(|_| no_time(given))?.extract()?,
    };
    Duration::try_from_secs_f64(seconds)
        .map_err(|error| PyValueError::new_err(format!("{seconds} s: {error}")))
}

/// Seconds since 1970 as a `float`, or a `datetime`.
fn time(given: &Bound<'_, PyAny>) -> PyResult<SystemTime> {
    let seconds: f64 = match given.extract() {
        Ok(seconds) => seconds,
        Err(_) => given.call_method0("timestamp").map_err(|_| no_time(given))?.extract()?,
    };
    let since = Duration::try_from_secs_f64(seconds).ok();
    let time = since.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
    time.ok_or_else(|| PyValueError::new_err(format!("{seconds} s since 1970 is no time")))
}

fn no_time(given: &Bound<'_, PyAny>) -> PyErr {
    PyTypeError::new_err(format!("{given} is no time: give seconds, a timedelta or a datetime"))
}

/// The time of so many milliseconds since 1970.
pub(crate) fn from_millis(ms: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap_or(0).min(1 << 52))
}

fn dict<'py, 'a>(
    py: Python<'py>,
    properties: impl Iterator<Item = (&'a str, &'a str)>,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, value) in properties {
        dict.set_item(name, value)?;
    }
    Ok(dict)
}

#[pyclass(frozen, eq, module = "ferrocket._core")]
#[derive(Clone, PartialEq)]
pub(crate) struct Message(pub(crate) ferrocket::Message);

/// One key, or several.
#[derive(FromPyObject)]
enum Keys {
    One(String),
    Several(Vec<String>),
}

#[pymethods]
impl Message {
    #[new]
    #[pyo3(signature = (topic, body, *, tags=None, keys=None, delay_level=0, deliver_at=None, deliver_after=None, flag=0, wait_store_msg_ok=true, properties=None))]
    #[expect(clippy::too_many_arguments, reason = "they have names in Python")]
    fn new(
        topic: &str,
        body: &Bound<'_, PyAny>,
        tags: Option<&str>,
        keys: Option<Keys>,
        delay_level: u32,
        deliver_at: Option<&Bound<'_, PyAny>>,
        deliver_after: Option<&Bound<'_, PyAny>>,
        flag: i32,
        wait_store_msg_ok: bool,
        properties: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let mut message = ferrocket::Message::new(topic, self::body(body)?);
        if let Some(tags) = tags {
            message = message.tags(tags);
        }
        message = match keys {
            None => message,
            Some(Keys::One(key)) => message.key(key),
            Some(Keys::Several(keys)) => message.keys(keys),
        };
        if delay_level > 0 {
            message = message.delay_level(delay_level);
        }
        if let Some(at) = deliver_at {
            message = message.deliver_at(time(at)?);
        }
        if let Some(delay) = deliver_after {
            message = message.deliver_after(duration(delay)?);
        }
        if flag != 0 {
            message = message.flag(flag);
        }
        if !wait_store_msg_ok {
            message = message.wait_store_msg_ok(false);
        }
        for (name, value) in properties.into_iter().flatten() {
            message = message.property(name.extract::<String>()?, value.extract::<String>()?);
        }
        Ok(Self(message))
    }

    #[getter]
    fn topic(&self) -> &str {
        self.0.topic()
    }

    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.body())
    }

    #[getter]
    fn flag(&self) -> i32 {
        self.0.flag_value()
    }

    #[getter]
    fn properties<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        dict(py, self.0.properties())
    }

    fn property(&self, name: &str) -> Option<&str> {
        self.0.property_value(name)
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

#[pyclass(frozen, eq, ord, hash, module = "ferrocket._core")]
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MessageQueue(pub(crate) ferrocket::MessageQueue);

#[pymethods]
impl MessageQueue {
    #[new]
    fn new(topic: &str, broker_name: &str, queue_id: i32) -> Self {
        Self(ferrocket::MessageQueue::new(topic, broker_name, queue_id))
    }

    #[getter]
    fn topic(&self) -> &str {
        &self.0.topic
    }

    #[getter]
    fn broker_name(&self) -> &str {
        &self.0.broker_name
    }

    #[getter]
    fn queue_id(&self) -> i32 {
        self.0.queue_id
    }

    fn __repr__(&self) -> String {
        self.0.to_string()
    }
}

#[pyclass(frozen, subclass, module = "ferrocket._core")]
pub(crate) struct MessageExt(pub(crate) ferrocket::MessageExt);

#[pymethods]
impl MessageExt {
    #[getter]
    fn topic(&self) -> &str {
        &self.0.topic
    }

    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.body)
    }

    #[getter]
    fn text(&self) -> PyResult<&str> {
        std::str::from_utf8(&self.0.body)
            .map_err(|error| PyValueError::new_err(format!("the body is no text: {error}")))
    }

    #[getter]
    fn tags(&self) -> Option<&str> {
        self.0.tags()
    }

    #[getter]
    fn keys(&self) -> Vec<&str> {
        self.0.keys().collect()
    }

    #[getter]
    fn properties<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        dict(py, self.0.properties())
    }

    fn property(&self, name: &str) -> Option<&str> {
        self.0.property(name)
    }

    #[getter]
    fn msg_id(&self) -> &str {
        &self.0.msg_id
    }

    #[getter]
    fn offset_msg_id(&self) -> String {
        self.0.offset_msg_id()
    }

    #[getter]
    fn transaction_id(&self) -> Option<&str> {
        self.0.transaction_id()
    }

    #[getter]
    fn message_queue(&self) -> MessageQueue {
        let message = &self.0;
        MessageQueue(ferrocket::MessageQueue {
            topic: message.topic.clone(),
            broker_name: message.broker_name.clone(),
            queue_id: message.queue_id,
        })
    }

    #[getter]
    fn broker_name(&self) -> &str {
        &self.0.broker_name
    }

    #[getter]
    fn queue_id(&self) -> i32 {
        self.0.queue_id
    }

    #[getter]
    fn queue_offset(&self) -> i64 {
        self.0.queue_offset
    }

    #[getter]
    fn reconsume_times(&self) -> i32 {
        self.0.reconsume_times
    }

    #[getter]
    fn flag(&self) -> i32 {
        self.0.flag
    }

    #[getter]
    fn sys_flag(&self) -> i32 {
        self.0.sys_flag
    }

    #[getter]
    fn born_timestamp(&self) -> i64 {
        self.0.born_timestamp
    }

    #[getter]
    fn born_host(&self) -> String {
        self.0.born_host.to_string()
    }

    #[getter]
    fn store_timestamp(&self) -> i64 {
        self.0.store_timestamp
    }

    #[getter]
    fn store_host(&self) -> String {
        self.0.store_host.to_string()
    }

    #[getter]
    fn commit_log_offset(&self) -> i64 {
        self.0.commit_log_offset
    }

    #[getter]
    fn delay_level(&self) -> u32 {
        self.0.delay_level()
    }

    fn reply(&self, py: Python<'_>, body: &Bound<'_, PyAny>) -> PyResult<Message> {
        Ok(Message(self.0.reply_message(self::body(body)?).raise(py)?))
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

#[pyclass(frozen, eq, module = "ferrocket._core")]
#[derive(Clone, PartialEq)]
pub(crate) struct SendResult(pub(crate) ferrocket::SendResult);

#[pymethods]
impl SendResult {
    #[getter]
    fn status(&self) -> &'static str {
        self.0.status.name()
    }

    #[getter]
    fn is_ok(&self) -> bool {
        self.0.is_ok()
    }

    #[getter]
    fn msg_id(&self) -> &str {
        &self.0.msg_id
    }

    #[getter]
    fn offset_msg_id(&self) -> &str {
        &self.0.offset_msg_id
    }

    #[getter]
    fn message_queue(&self) -> MessageQueue {
        MessageQueue(self.0.message_queue.clone())
    }

    #[getter]
    fn queue_offset(&self) -> i64 {
        self.0.queue_offset
    }

    #[getter]
    fn transaction_id(&self) -> Option<&str> {
        self.0.transaction_id.as_deref()
    }

    #[getter]
    fn recall_handle(&self) -> Option<&str> {
        self.0.recall_handle.as_deref()
    }

    fn __repr__(&self) -> String {
        self.0.to_string()
    }
}

#[pyclass(frozen, module = "ferrocket._core")]
pub(crate) struct TransactionSendResult(pub(crate) ferrocket::TransactionSendResult);

#[pymethods]
impl TransactionSendResult {
    #[getter]
    fn sent(&self) -> SendResult {
        SendResult(self.0.sent.clone())
    }

    #[getter]
    fn local_transaction_state(&self) -> &'static str {
        self.0.local_transaction_state.name()
    }

    #[getter]
    fn failure(&self) -> Option<&str> {
        self.0.failure.as_deref()
    }
}

pub(crate) fn messages(found: Vec<ferrocket::MessageExt>) -> Vec<MessageExt> {
    found.into_iter().map(MessageExt).collect()
}

pub(crate) fn queues(found: Vec<ferrocket::MessageQueue>) -> Vec<MessageQueue> {
    found.into_iter().map(MessageQueue).collect()
}

/// One of RocketMQ's words for a state.
pub(crate) fn state(word: &str) -> Result<ferrocket::LocalTransactionState> {
    use ferrocket::LocalTransactionState::{CommitMessage, RollbackMessage, Unknown};
    [CommitMessage, RollbackMessage, Unknown].into_iter().find(|state| state.name() == word).ok_or_else(
        || {
            let text =
                format!("{word:?} is no state of a transaction: COMMIT_MESSAGE, ROLLBACK_MESSAGE or UNKNOW");
            ferrocket::Error::new(ferrocket::ErrorKind::Config, text)
        },
    )
}
