//! Messages and receipts. A received message becomes an object whose fields are converted when they are asked for.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use ferrocket_bindings::ferrocket::{self, Result};
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use crate::port::methods;
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
pub(crate) struct Seconds(pub(crate) Duration);

impl FromPyObject<'_, '_> for Seconds {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let seconds: f64 = match given.extract() {
            Ok(seconds) => seconds,
            Err(_) => given.call_method0("total_seconds").map_err(|_| no_time(&given))?.extract()?,
        };
        let duration = Duration::try_from_secs_f64(seconds);
        duration.map(Self).map_err(|error| PyValueError::new_err(format!("{seconds} s: {error}")))
    }
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

#[pyclass(frozen, eq, from_py_object, module = "ferrocket._core")]
#[derive(Clone, PartialEq)]
pub(crate) struct Message(pub(crate) ferrocket::Message);

/// One key, or several.
#[derive(FromPyObject)]
enum Keys {
    One(String),
    Several(Vec<String>),
}

methods! { Message
    fields {
        topic: &str = |message| message.topic();
        body: Bytes = |message| message.body().clone();
        flag: i32 = |message| message.flag_value();
        properties: BTreeMap<&str, &str> = |message| message.properties().collect();
    }
    operations {}

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
        deliver_after: Option<Seconds>,
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
            message = message.deliver_after(delay.0);
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

    fn property(&self, name: &str) -> Option<&str> {
        self.0.property_value(name)
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

#[pyclass(frozen, eq, ord, hash, from_py_object, module = "ferrocket._core")]
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MessageQueue(pub(crate) ferrocket::MessageQueue);

methods! { MessageQueue
    fields {
        topic: &str = |queue| &queue.topic;
        broker_name: &str = |queue| &queue.broker_name;
        queue_id: i32 = |queue| queue.queue_id;
    }
    operations {}

    #[new]
    fn new(topic: &str, broker_name: &str, queue_id: i32) -> Self {
        Self(ferrocket::MessageQueue::new(topic, broker_name, queue_id))
    }

    fn __repr__(&self) -> String {
        self.0.to_string()
    }
}

/// The queue that a message stands in.
pub(crate) fn queue_of(message: &ferrocket::MessageExt) -> MessageQueue {
    let (topic, broker_name) = (message.topic.clone(), message.broker_name.clone());
    MessageQueue(ferrocket::MessageQueue { topic, broker_name, queue_id: message.queue_id })
}

#[pyclass(frozen, subclass, module = "ferrocket._core")]
pub(crate) struct MessageExt(pub(crate) ferrocket::MessageExt);

methods! { MessageExt
    fields {
        topic: &str = |message| &message.topic;
        body: Bytes = |message| message.body.clone();
        text: PyResult<&str> = |message| std::str::from_utf8(&message.body).map_err(|error| {
            PyValueError::new_err(format!("the body is no text: {error}"))
        });
        tags: Option<&str> = |message| message.tags();
        keys: Vec<&str> = |message| message.keys().collect();
        properties: BTreeMap<&str, &str> = |message| message.properties().collect();
        msg_id: &str = |message| &message.msg_id;
        offset_msg_id: String = |message| message.offset_msg_id();
        transaction_id: Option<&str> = |message| message.transaction_id();
        message_queue: MessageQueue = |message| queue_of(message);
        broker_name: &str = |message| &message.broker_name;
        queue_id: i32 = |message| message.queue_id;
        queue_offset: i64 = |message| message.queue_offset;
        reconsume_times: i32 = |message| message.reconsume_times;
        flag: i32 = |message| message.flag;
        sys_flag: i32 = |message| message.sys_flag;
        born_timestamp: i64 = |message| message.born_timestamp;
        born_host: String = |message| message.born_host.to_string();
        store_timestamp: i64 = |message| message.store_timestamp;
        store_host: String = |message| message.store_host.to_string();
        commit_log_offset: i64 = |message| message.commit_log_offset;
        delay_level: u32 = |message| message.delay_level();
    }
    operations {}

    fn property(&self, name: &str) -> Option<&str> {
        self.0.property(name)
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

methods! { SendResult
    fields {
        status: &'static str = |sent| sent.status.name();
        is_ok: bool = |sent| sent.is_ok();
        msg_id: &str = |sent| &sent.msg_id;
        offset_msg_id: &str = |sent| &sent.offset_msg_id;
        message_queue: MessageQueue = |sent| MessageQueue(sent.message_queue.clone());
        queue_offset: i64 = |sent| sent.queue_offset;
        transaction_id: Option<&str> = |sent| sent.transaction_id.as_deref();
        recall_handle: Option<&str> = |sent| sent.recall_handle.as_deref();
    }
    operations {}

    fn __repr__(&self) -> String {
        self.0.to_string()
    }
}

#[pyclass(frozen, module = "ferrocket._core")]
pub(crate) struct TransactionSendResult(pub(crate) ferrocket::TransactionSendResult);

methods! { TransactionSendResult
    fields {
        sent: SendResult = |ended| SendResult(ended.sent.clone());
        local_transaction_state: &'static str = |ended| ended.local_transaction_state.name();
        failure: Option<&str> = |ended| ended.failure.as_deref();
    }
    operations {}
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
