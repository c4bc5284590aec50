//! Requests that wait for a reply of whoever consumes them.
//!
//! ```text
//! request: CORRELATION_ID, REPLY_TO_CLIENT, TTL ──▶ broker ──▶ consumer
//! reply:   PUSH_REPLY_MESSAGE_TO_CLIENT (326)   ◀── broker ◀── reply topic of the cluster (325)
//! ```
//!
//! Java counterparts: `DefaultMQProducer.request`, `RequestResponseFuture`, `RequestFutureHolder`,
//! `CorrelationIdUtil`. The consumer's side is [`MessageExt::reply_message`].

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferrocket_protocol::Text;
use ferrocket_protocol::body::message_queue::MessageQueue;
use ferrocket_protocol::properties::names;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::parcel::set_unique_key;
use super::{Parcel, Patience, Producer};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Message, MessageExt};
use crate::message_ids::{now_ms, random};
use crate::validate::{MS_MAX, within};

/// Most requests of a client that wait for their replies at once.
const REQUESTS_MAX: usize = 65_536;

/// The requests of a client that wait for their replies, by correlation id.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    /// Held for one look-up or change.
    waiting: Mutex<HashMap<Text, oneshot::Sender<MessageExt>>>,
}

/// One waiting request; forgotten when dropped.
struct Awaited<'a> {
    replies: &'a Replies,
    correlation_id: Text,
    reply: oneshot::Receiver<MessageExt>,
}

impl Replies {
    fn waiting(&self) -> MutexGuard<'_, HashMap<Text, oneshot::Sender<MessageExt>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn expect(&self, correlation_id: Text) -> Result<Awaited<'_>> {
        let mut waiting = self.waiting();
        if waiting.len() >= REQUESTS_MAX {
            let text = format!("{REQUESTS_MAX} requests wait for their replies already");
            return Err(Error::new(ErrorKind::FlowControl, text));
        }
        let (sender, reply) = oneshot::channel();
        waiting.insert(correlation_id.clone(), sender);
        Ok(Awaited { replies: self, correlation_id, reply })
    }

    /// No reply comes any more: those who wait learn of it.
    pub(crate) fn close(&self) {
        self.waiting().clear();
    }

    /// Hands a reply to the request it belongs to; one that comes too late is for nobody.
    pub(crate) fn arrived(&self, reply: MessageExt) {
        let waiter = reply.property(names::CORRELATION_ID).and_then(|id| self.waiting().remove(id));
        match waiter {
            // Nobody may be waiting any more.
            Some(waiter) => drop(waiter.send(reply)),
            None => {
                let id = reply.property(names::CORRELATION_ID);
                tracing::warn!(correlation_id = id, from = %reply.born_host, "a reply matches no request");
            }
        }
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        self.replies.waiting().remove(&self.correlation_id);
    }
}

impl Producer {
    /// Sends a request and waits for the reply that its consumer makes with [`MessageExt::reply_message`].
    /// `timeout` covers both, in place of the send timeout; the consumer is told it.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use ferrocket::{ConsumeFromWhere, Message};
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let producer = client.producer("shop").start().await?;
    /// # let sent = producer.send(Message::new("Prices", "to make the topic")).await?;
    /// # let replier = producer.clone();
    /// # let answering = client.push_consumer("prices").subscribe("Prices", "*").on_message(move |message| {
    /// #     let replier = replier.clone();
    /// #     async move {
    /// #         match message.property("REPLY_TO_CLIENT") {
    /// #             Some(_) => replier.send(message.reply_message("1.99")?).await.map(drop),
    /// #             None => Ok(()),
    /// #         }
    /// #     }
    /// # });
    /// # let answering = answering.consume_from(ConsumeFromWhere::FirstOffset).start().await?;
    /// let question = Message::new("Prices", "apples");
    /// let reply = producer.request(question, Duration::from_secs(30)).await?;
    /// assert_eq!(&reply.body[..], b"1.99");
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`Producer::send`] with the message in [`Error::unsent`]; [`ErrorKind::Timeout`] without it when the
    /// request was stored and no reply came in time, [`ErrorKind::Closed`] when the client ended meanwhile.
    pub async fn request(&self, message: Message, timeout: Duration) -> Result<MessageExt> {
        self.request_by(message, timeout, None::<fn(&[MessageQueue], &Message) -> Option<MessageQueue>>).await
    }

    /// The same through the queue that `select` picks, as in [`Producer::send_with`].
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use ferrocket::{Message, MessageExt, Producer, Result};
    ///
    /// /// Asks the shop's own queue.
    /// async fn price(producer: &Producer, shop: usize) -> Result<MessageExt> {
    ///     let question = Message::new("Prices", "apples");
    ///     let of_shop = |queues: &[_], _: &_| queues.get(shop % queues.len()).cloned();
    ///     producer.request_with(question, Duration::from_secs(3), of_shop).await
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`Producer::request`]; [`ErrorKind::Config`] when `select` picks none.
    pub async fn request_with(
        &self,
        message: Message,
        timeout: Duration,
        select: impl FnOnce(&[MessageQueue], &Message) -> Option<MessageQueue>,
    ) -> Result<MessageExt> {
        self.request_by(message, timeout, Some(select)).await
    }

    async fn request_by(
        &self,
        mut message: Message,
        timeout: Duration,
        select: Option<impl FnOnce(&[MessageQueue], &Message) -> Option<MessageQueue>>,
    ) -> Result<MessageExt> {
        let shared = &self.shared;
        if let Err(error) = within("timeout (ms)", timeout.as_millis(), 0, MS_MAX) {
            return Err(error.with_unsent(vec![message]));
        }
        let deadline = Instant::now() + timeout;
        set_unique_key(&mut message, &shared.client, now_ms());
        let correlation_id = Text::from(correlation_id([random(), random()]));
        let mut request = message.clone();
        for (name, value) in [
            (names::CORRELATION_ID, correlation_id.clone()),
            (names::MESSAGE_REPLY_TO_CLIENT, shared.client.client_id().into()),
            (names::MESSAGE_TTL, timeout.as_millis().to_string().into()),
        ] {
            request.set_property(Text::from_static(name), value);
        }
        let mut awaited = match shared.client.replies().expect(correlation_id) {
            Ok(awaited) => awaited,
            Err(error) => return Err(error.with_unsent(vec![message])),
        };
        let topic = request.topic_text().clone();
        let sent = async {
            let parcel = Parcel::single(request, &shared.packing, &shared.client)?;
            let patience = Patience { timeout, while_moving: false };
            let mut journey = shared.journey(parcel, patience);
            let sent = async {
                shared.depart(&mut journey, patience).await?;
                if let Some(select) = select {
                    journey.select(&shared.client, select)?;
                }
                // Brokers bring replies to clients that they know by a heartbeat.
                let left = deadline.saturating_duration_since(Instant::now());
                // Without it the request may still be answered.
                let _ = tokio::time::timeout(left, shared.client.announce()).await;
                journey.look();
                shared.go(&mut journey).await
            };
            sent.await.map_err(|error| journey.failed(error))
        };
        let late = || {
            let text = format!(
                "send request message to <{topic}> OK, but wait reply message timeout, {} ms.",
                timeout.as_millis()
            );
            Error::new(ErrorKind::Timeout, text)
        };
        tokio::select! {
            // The reply may overtake the receipt.
            reply = &mut awaited.reply => return reply.map_err(|_| Error::closed("the client")),
            sent = sent => {
                if let Err(error) = sent {
                    let error = error.with_context(format_args!("send request message to <{topic}> fail"));
                    return Err(error.with_unsent(vec![message]));
                }
            }
        }
        match tokio::time::timeout_at(deadline, &mut awaited.reply).await {
            Ok(reply) => reply.map_err(|_| Error::closed("the client")),
            Err(_) => Err(late()),
        }
    }
}

/// Random bits in the form of Java's `UUID.randomUUID().toString()`.
fn correlation_id([high, low]: [u64; 2]) -> String {
    let high = (high & !0xf000) | 0x4000;
    let low = (low & !(0b11 << 62)) | (0b10 << 62);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids have the form that Java's have, version and variant included.
    #[test]
    fn ids_look_like_javas() {
        assert_eq!(correlation_id([u64::MAX, u64::MAX]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(correlation_id([0x0123_4567_89ab_cdef, 0]), "01234567-89ab-4def-8000-000000000000");
    }
}
