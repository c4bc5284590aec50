//! What a program's `tracing` subscriber sees of the client beside events: spans of level DEBUG.
//!
//! ```text
//! send {topic, group, msg_id}                      from the call to the receipt; inside what the caller was in
//! └─ attempt {broker, queue, addr, status}         one request to store it
//! pull {topic, group, broker, queue, offset, addr, status}
//! consume {topic, group, broker, queue, msg_id, result}   the listener's call, or a delivery until its answer
//! ```
//!
//! Topics and groups have the names that the program knows. Without a subscriber that wants it a span is one look at a
//! static number: no field is computed, nothing is allocated. Java has no counterpart.

use ferrocket_protocol::Text;
use ferrocket_protocol::body::message_queue::MessageQueue;
use tracing::field::{self, Empty};
use tracing::{Span, debug_span};

use crate::client::Client;
use crate::consumer::calls::PullStatus;
use crate::message::MessageExt;
use crate::send_result::SendResult;
use crate::trace::ConsumeReturnType;

/// A message, or several that travel as one, on the way to the broker that stores it.
pub(crate) fn send(client: &Client, topic: &Text, group: &Text, msg_id: impl FnOnce() -> Text) -> Span {
    debug_span!(
        "send",
        topic = %client.unwrapped(topic),
        group = %client.unwrapped(group),
        msg_id = %msg_id(),
    )
}

/// One request of a send.
pub(crate) fn attempt(send: &Span, queue: &MessageQueue, addr: &str) -> Span {
    debug_span!(
        parent: send,
        "attempt",
        broker = %queue.broker_name,
        queue = queue.queue_id,
        addr,
        status = Empty,
    )
}

/// What the broker says about the message that it has.
pub(crate) fn stored(attempt: &Span, result: &SendResult) {
    attempt.record("status", field::display(result.status));
}

/// One request for the messages of a queue.
pub(crate) fn pull(client: &Client, group: &Text, queue: &MessageQueue, offset: i64, addr: &str) -> Span {
    debug_span!(
        "pull",
        topic = %client.unwrapped(&queue.topic),
        group = %client.unwrapped(group),
        broker = %queue.broker_name,
        queue = queue.queue_id,
        offset,
        addr,
        status = Empty,
    )
}

/// What it found.
pub(crate) fn pulled(pull: &Span, status: PullStatus) {
    pull.record("status", field::debug(status));
}

/// The program's work on messages of one queue.
pub(crate) fn consume(client: &Client, group: &Text, messages: &[MessageExt]) -> Span {
    let Some(first) = messages.first() else { return Span::none() };
    debug_span!(
        "consume",
        topic = %client.unwrapped(&first.topic),
        group = %client.unwrapped(group),
        broker = %first.broker_name,
        queue = first.queue_id,
        msg_id = %messages.iter().map(|message| &*message.msg_id).collect::<Vec<_>>().join(","),
        result = Empty,
    )
}

/// How it ended.
pub(crate) fn consumed(consume: &Span, how: ConsumeReturnType) {
    consume.record("result", field::debug(how));
}
