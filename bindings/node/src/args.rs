//! Arguments as JSON, and the answers.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use ferrocket_bindings::Terms;
use ferrocket_bindings::ferrocket::{
    Error, ErrorKind, Message, MessageExt, MessageSelector, Result, SendResult,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, from_value, json};

use crate::batch;

/// What an operation is given.
pub(crate) struct Args {
    json: String,
    bodies: std::vec::IntoIter<Bytes>,
}

impl Args {
    pub(crate) fn new(json: String, bodies: Vec<Bytes>) -> Self {
        Self { json, bodies: bodies.into_iter() }
    }

    /// The arguments, which the program may have got wrong.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T> {
        self.read_as(ErrorKind::Config)
    }

    fn read_as<T: DeserializeOwned>(&self, kind: ErrorKind) -> Result<T> {
        serde_json::from_str(&self.json).map_err(|error| {
            let text = error.to_string();
            // The place is one in a text that nobody sees.
            let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
            Error::new(kind, format!("an argument is wrong: {what}"))
        })
    }

    /// The next body.
    pub(crate) fn body(&mut self) -> Bytes {
        self.bodies.next().unwrap_or_default()
    }

    /// One message.
    pub(crate) fn message(&mut self) -> Result<Message> {
        Ok(self.message_and_terms()?.0)
    }

    /// One message, and what is said about its send alone.
    pub(crate) fn message_and_terms(&mut self) -> Result<(Message, Terms)> {
        let Sending { message, terms } = self.read_as(ErrorKind::InvalidMessage)?;
        Ok((message.with_body(self.body())?, read_terms(terms)?))
    }

    /// Several messages, and the same.
    pub(crate) fn messages_and_terms(&mut self) -> Result<(Vec<Message>, Terms)> {
        let Batch { messages, terms } = self.read_as(ErrorKind::InvalidMessage)?;
        let messages =
            messages.into_iter().map(|draft| draft.with_body(self.body())).collect::<Result<_>>()?;
        Ok((messages, read_terms(terms)?))
    }
}

#[derive(Deserialize)]
struct Sending {
    message: Draft,
    #[serde(default)]
    terms: Map<String, Value>,
}

#[derive(Deserialize)]
struct Batch {
    messages: Vec<Draft>,
    #[serde(default)]
    terms: Map<String, Value>,
}

fn read_terms(given: Map<String, Value>) -> Result<Terms> {
    let (mut queue, mut ordered_by, mut timeout) = (None, None, None);
    let wrong = |text: String| Error::new(ErrorKind::Config, text);
    for (name, value) in given {
        let read = match &*name {
            "queue" => from_value(value).map(|value| queue = Some(value)),
            "orderedBy" => from_value(value).map(|value| ordered_by = Some(value)),
            "timeout" => from_value(value).map(|value| timeout = Some(value)),
            _ => return Err(wrong(format!("a send takes queue, orderedBy and timeout, not {name}"))),
        };
        read.map_err(|error| wrong(format!("{name} of a send is wrong: {error}")))?;
    }
    Terms::new(queue, ordered_by, timeout.map(millis).transpose()?)
}

/// A message without its body.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Draft {
    topic: String,
    tags: Option<String>,
    #[serde(default)]
    keys: Vec<String>,
    delay_level: Option<u32>,
    deliver_at: Option<f64>,
    deliver_after: Option<f64>,
    flag: Option<i32>,
    wait_store_msg_ok: Option<bool>,
    #[serde(default)]
    properties: BTreeMap<String, String>,
}

impl Draft {
    fn with_body(self, body: Bytes) -> Result<Message> {
        let mut message = Message::new(self.topic, body).keys(self.keys);
        if let Some(tags) = self.tags {
            message = message.tags(tags);
        }
        if let Some(level) = self.delay_level {
            message = message.delay_level(level);
        }
        if let Some(at) = self.deliver_at {
            message = message.deliver_at(time(at)?);
        }
        if let Some(delay) = self.deliver_after {
            message = message.deliver_after(millis(delay)?);
        }
        if let Some(flag) = self.flag {
            message = message.flag(flag);
        }
        if let Some(wait) = self.wait_store_msg_ok {
            message = message.wait_store_msg_ok(wait);
        }
        Ok(self.properties.into_iter().fold(message, |message, (name, value)| message.property(name, value)))
    }
}

/// Which messages of a topic.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a selector is a text, or an object with the text sql")]
pub(crate) enum Selector {
    Tags(String),
    Sql { sql: String },
}

impl From<Selector> for MessageSelector {
    fn from(selector: Selector) -> Self {
        match selector {
            Selector::Tags(tags) => tags.into(),
            Selector::Sql { sql } => Self::by_sql(sql),
        }
    }
}

/// A subscription to be made.
#[derive(Deserialize)]
pub(crate) struct Subscription {
    pub(crate) topic: String,
    pub(crate) selector: Selector,
}

fn out_of_range(ms: f64) -> Error {
    Error::new(ErrorKind::Config, format!("{ms} ms is no time that there can be"))
}

/// A span of so many milliseconds.
pub(crate) fn millis(ms: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(ms / 1000.0).map_err(|_| out_of_range(ms))
}

/// A moment, ms since 1970.
pub(crate) fn time(ms: f64) -> Result<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(millis(ms)?).ok_or_else(|| out_of_range(ms))
}

/// What an operation answers: JSON, and messages where it has some.
pub(crate) struct Reply {
    json: String,
    data: Option<Vec<u8>>,
}

impl Reply {
    pub(crate) fn new(value: &impl Serialize) -> Result<Self> {
        let json = serde_json::to_string(value)
            .map_err(|error| Error::new(ErrorKind::Internal, format!("an answer has no JSON: {error}")))?;
        Ok(Self { json, data: None })
    }

    /// Nothing to say.
    pub(crate) fn empty() -> Result<Self> {
        Ok(Self { json: "null".to_owned(), data: None })
    }

    pub(crate) fn sent(sent: &SendResult) -> Result<Self> {
        Self::new(&receipt(sent))
    }

    /// The same with a number.
    pub(crate) fn with_value(mut self, value: u32) -> Self {
        self.json = value.to_string();
        self
    }

    pub(crate) fn messages<'a>(messages: impl IntoIterator<Item = &'a MessageExt>) -> Result<Self> {
        Self::empty()?.with_messages(messages)
    }

    /// The same with messages.
    pub(crate) fn with_messages<'a>(
        mut self,
        messages: impl IntoIterator<Item = &'a MessageExt>,
    ) -> Result<Self> {
        self.data = Some(batch::encode(messages)?);
        Ok(self)
    }
}

/// A receipt in JavaScript's names.
pub(crate) fn receipt(sent: &SendResult) -> Value {
    let mut receipt = json!({
        "sendStatus": sent.status.name(),
        "msgId": &*sent.msg_id,
        "offsetMsgId": &*sent.offset_msg_id,
        "messageQueue": sent.message_queue,
        "queueOffset": sent.queue_offset,
        "regionId": &*sent.region_id,
        "traceOn": sent.trace_on,
    });
    for (name, value) in [("transactionId", &sent.transaction_id), ("recallHandle", &sent.recall_handle)] {
        if let Some(value) = value {
            receipt[name] = json!(&**value);
        }
    }
    receipt
}

/// Answers as they go to JavaScript, see [`addon::Batch`](crate::addon::Batch).
pub(crate) fn pack(answers: Vec<(u32, Result<Reply>)>) -> (String, Vec<Vec<u8>>) {
    let (mut text, mut buffers) = (String::from("["), Vec::new());
    for (id, answer) in answers {
        if text.len() > 1 {
            text.push(',');
        }
        let (kind, json) = match answer {
            Err(error) => (0, fault(&error)),
            Ok(Reply { json, data: None }) => (1, json),
            Ok(Reply { json, data: Some(data) }) => {
                buffers.push(data);
                (2, json)
            }
        };
        // Writing into a text cannot fail.
        let _ = write!(text, "[{id},{kind},{json}]");
    }
    text.push(']');
    (text, buffers)
}

fn fault(error: &Error) -> String {
    let mut fault = json!({
        "kind": error.kind().name(),
        "message": error.to_string(),
        "retryable": error.is_retryable(),
    });
    if let Some(code) = error.code() {
        fault["code"] = json!(code);
    }
    let cause = std::error::Error::source(error).map(ToString::to_string);
    for (name, value) in [("remark", error.remark()), ("addr", error.addr()), ("cause", cause.as_deref())] {
        if let Some(value) = value {
            fault[name] = json!(value);
        }
    }
    fault.to_string()
}
