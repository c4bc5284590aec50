//! What a program may look at around every attempt to send.
//!
//! Java counterparts: `SendMessageHook`, `SendMessageContext`. Left out: `CheckForbiddenHook`.

use std::fmt;
use std::sync::Arc;

use ferrocket_protocol::body::message_queue::MessageQueue;

use crate::error::Error;
use crate::message::Message;
use crate::send_result::SendResult;

/// One attempt to send. Java: `SendMessageContext`.
///
/// ```
/// use ferrocket::{Error, SendMessageContext, SendResult};
///
/// /// A line for a log, for a `SendMessageHook`.
/// fn line(context: &SendMessageContext<'_>, outcome: Result<Option<&SendResult>, &Error>) -> String {
///     let keys: Vec<_> = context.messages.iter().filter_map(|message| message.property_value("KEYS")).collect();
///     let (group, addr) = (context.producer_group, context.broker_addr);
///     match outcome {
///         Ok(_) => format!("{group} sent {keys:?} to {addr}"),
///         Err(error) => format!("{group} could not send {keys:?} to {addr}: {error}"),
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SendMessageContext<'a> {
    /// The group, as the cluster knows it.
    pub producer_group: &'a str,
    /// The message, or those of a batch.
    pub messages: &'a [Message],
    /// Where it is sent; the topic as the cluster knows it.
    pub message_queue: &'a MessageQueue,
    /// The broker's address.
    pub broker_addr: &'a str,
}

/// Is called around every attempt to send, also those that are repeated. Calls are made on the sender's task and
/// must neither block nor panic. Java: `SendMessageHook`.
///
/// ```
/// use ferrocket::{SendMessageContext, SendMessageHook};
///
/// struct Audit;
///
/// impl SendMessageHook for Audit {
///     fn send_message_before(&self, context: &SendMessageContext<'_>) {
///         println!("{} messages to {}", context.messages.len(), context.message_queue);
///     }
/// }
///
/// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
/// let producer = client.producer("order-service").send_message_hook(Audit).start().await?;
/// # let sent = producer.send(ferrocket::Message::new("Orders", "paid")).await?;
/// # Ok(()) }).unwrap();
/// ```
pub trait SendMessageHook: Send + Sync + 'static {
    /// The request is about to be sent.
    fn send_message_before(&self, context: &SendMessageContext<'_>) {
        let _ = context;
    }

    /// The attempt is over: with the broker's receipt, with nothing for a oneway send, or with an error. An attempt
    /// that the caller gives up on is not told of.
    fn send_message_after(
        &self,
        context: &SendMessageContext<'_>,
        outcome: Result<Option<&SendResult>, &Error>,
    ) {
        let _ = (context, outcome);
    }
}

/// The hooks of a producer, in the order they were added.
#[derive(Clone, Default)]
pub(crate) struct Hooks(Vec<Arc<dyn SendMessageHook>>);

impl Hooks {
    pub(crate) fn add(&mut self, hook: impl SendMessageHook) {
        self.0.push(Arc::new(hook));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn before(&self, context: &SendMessageContext<'_>) {
        self.0.iter().for_each(|hook| hook.send_message_before(context));
    }

    pub(crate) fn after(
        &self,
        context: &SendMessageContext<'_>,
        outcome: Result<Option<&SendResult>, &Error>,
    ) {
        self.0.iter().for_each(|hook| hook.send_message_after(context, outcome));
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} hooks", self.0.len())
    }
}
