//! What a language says about one send alone: the queue, and the time that it may take.

use std::time::Duration;

use ferrocket::{
    Error, ErrorKind, Message, MessageQueue, PendingSend, Producer, Result, SendResult, Sending,
};

/// What is sent as one request.
#[derive(Clone, Debug)]
pub enum Load {
    /// One message.
    One(Message),
    /// Messages of one topic, stored next to each other, all or none.
    Batch(Vec<Message>),
}

impl From<Message> for Load {
    fn from(message: Message) -> Self {
        Self::One(message)
    }
}

impl From<Vec<Message>> for Load {
    fn from(messages: Vec<Message>) -> Self {
        Self::Batch(messages)
    }
}

impl Load {
    pub(crate) fn into_messages(self) -> Vec<Message> {
        match self {
            Self::One(message) => vec![message],
            Self::Batch(messages) => messages,
        }
    }
}

/// Where messages go.
#[derive(Clone, Debug)]
pub enum Destination {
    /// To this queue.
    To(MessageQueue),
    /// To the queue of all messages with this key.
    OrderedBy(String),
}

/// The terms of one send. Without any it is sent as its producer sends.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// In place of the producer's choice. Such a message is tried once.
    pub destination: Option<Destination>,
    /// In place of the producer's send timeout.
    pub timeout: Option<Duration>,
}

impl Terms {
    /// The terms of languages where each can be given by its name.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a queue together with a key.
    pub fn new(
        queue: Option<MessageQueue>,
        ordered_by: Option<String>,
        timeout: Option<Duration>,
    ) -> Result<Self> {
        let destination = match (queue, ordered_by) {
            (Some(_), Some(_)) => {
                let text = "a message goes to a queue or to that of a key, not to both";
                return Err(Error::new(ErrorKind::Config, text));
            }
            (queue, key) => queue.map(Destination::To).or(key.map(Destination::OrderedBy)),
        };
        Ok(Self { destination, timeout })
    }

    /// `None` for no terms.
    fn sending<'a>(&'a self, producer: &'a Producer) -> Option<Sending<'a>> {
        let sending = match &self.destination {
            None => return self.timeout.map(|timeout| producer.within(timeout)),
            Some(Destination::To(queue)) => producer.to(queue),
            Some(Destination::OrderedBy(key)) => producer.ordered(key),
        };
        Some(match self.timeout {
            Some(timeout) => sending.within(timeout),
            None => sending,
        })
    }

    /// As [`Producer::send`] and [`Sending::send`].
    ///
    /// # Errors
    /// As theirs.
    pub async fn send(&self, producer: &Producer, message: Message) -> Result<SendResult> {
        match self.sending(producer) {
            Some(sending) => sending.send(message).await,
            None => producer.send(message).await,
        }
    }

    /// As [`Producer::enqueue`], [`Producer::enqueue_batch`] and those of [`Sending`].
    pub(crate) async fn enqueue(&self, producer: &Producer, load: Load) -> Result<PendingSend> {
        match (self.sending(producer), load) {
            (Some(sending), Load::One(message)) => sending.enqueue(message).await,
            (Some(sending), Load::Batch(messages)) => sending.enqueue_batch(messages).await,
            (None, Load::One(message)) => producer.enqueue(message).await,
            (None, Load::Batch(messages)) => producer.enqueue_batch(messages).await,
        }
    }

    /// As [`Producer::send_oneway`] and [`Sending::send_oneway`].
    ///
    /// # Errors
    /// As theirs.
    pub async fn send_oneway(&self, producer: &Producer, message: Message) -> Result<()> {
        match self.sending(producer) {
            Some(sending) => sending.send_oneway(message).await,
            None => producer.send_oneway(message).await,
        }
    }

    /// As [`Producer::send_batch`] and [`Sending::send_batch`].
    ///
    /// # Errors
    /// As theirs.
    pub async fn send_batch(&self, producer: &Producer, messages: Vec<Message>) -> Result<SendResult> {
        match self.sending(producer) {
            Some(sending) => sending.send_batch(messages).await,
            None => producer.send_batch(messages).await,
        }
    }
}
