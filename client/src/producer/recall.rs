//! Taking a delayed message back before it is delivered (5.3).
//!
//! Java counterparts: `DefaultMQProducer.recallMessage`, `RecallMessageHandle`.

use ferrocket_protocol::requests::Empty;
use ferrocket_protocol::{RequestCode, Text};

use super::Producer;
use crate::error::{Error, ErrorKind, Result};
use crate::validate::check_topic;

/// The form of handle that this client reads.
const VERSION: &str = "v1";

impl Producer {
    /// Takes back a message that is to be delivered later; answers its id. `recall_handle` is that of its receipt
    /// ([`SendResult::recall_handle`](crate::SendResult::recall_handle)): brokers from 5.3 on give one for messages
    /// with [`deliver_at`](crate::Message::deliver_at) or [`deliver_after`](crate::Message::deliver_after).
    /// Java: `recallMessage`.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use ferrocket::Message;
    ///
    /// # async fn remind(producer: ferrocket::Producer) -> ferrocket::Result<()> {
    /// let later = Message::new("Reminders", "pay o-42").deliver_after(Duration::from_secs(3600));
    /// let sent = producer.send(later).await?;
    /// // It was paid: no reminder.
    /// if let Some(handle) = &sent.recall_handle {
    ///     producer.recall("Reminders", handle).await?;
    /// }
    /// # Ok(()) }
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |_, client| {
    /// #     remind(client.producer("order-service").start().await?).await
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a topic or a handle that is none; [`ErrorKind::Broker`] when the broker does not
    /// recall, as older ones never do.
    pub async fn recall(&self, topic: &str, recall_handle: &str) -> Result<String> {
        let shared = &self.shared;
        check_topic(topic)?;
        let broker_name = broker_of(recall_handle)
            .ok_or_else(|| Error::new(ErrorKind::Config, "recall handle is invalid"))?;
        let topic = shared.client.wrapped(topic);
        let client = &shared.client;
        if client.master_addr(&broker_name).is_none() {
            client.fetch_route(&topic, None).await?;
        }
        let addr = client.master_addr(&broker_name).ok_or_else(|| Error::no_broker(&broker_name))?;
        let mut request = client.request(RequestCode::RecallMessage, &Empty);
        for (name, value) in [
            ("producerGroup", shared.packing.group.clone()),
            ("topic", topic),
            ("recallHandle", recall_handle.into()),
            ("bname", broker_name),
        ] {
            request.ext_fields.push(Text::from_static(name), value);
        }
        let reply = client.call_ok_within(&addr, request, shared.settings.send_msg_timeout).await?;
        let msg_id = reply.ext_fields.get("msgId");
        msg_id.map(ToString::to_string).ok_or_else(|| Error::protocol("field msgId is missing", &addr))
    }
}

/// The broker that a handle (`v1 topic broker time id` in base64) names.
fn broker_of(handle: &str) -> Option<Text> {
    let text = String::from_utf8(from_base64url(handle)?).ok()?;
    let items: Vec<&str> = text.split(' ').collect();
    match items[..] {
        [VERSION, _, broker_name, _, _, ..] if !broker_name.is_empty() => Some(broker_name.into()),
        _ => None,
    }
}

/// The bytes of a text in the URL alphabet (RFC 4648, section 5), with or without padding.
fn from_base64url(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut count) = (0u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A handle as Java's `HandleV1.buildHandle("T", "broker-a", "1700000000000", "ID")` makes it; others are refused.
    #[test]
    fn handles_name_their_broker() {
        let handle = "djEgVCBicm9rZXItYSAxNzAwMDAwMDAwMDAwIElE";
        assert_eq!(broker_of(handle).as_deref(), Some("broker-a"));
        assert_eq!(from_base64url("-_8=").unwrap(), [0xfb, 0xff]);
        for bad in ["", "djI", "v1 T broker-a 1 ID", "djEgVCBicm9rZXItYQ"] {
            assert_eq!(broker_of(bad), None, "{bad}");
        }
    }
}
