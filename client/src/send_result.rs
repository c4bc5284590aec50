//! What a broker says about a message it received.
//!
//! Java counterparts: `SendResult`, `SendStatus`.

use std::fmt;

use ferrocket_protocol::body::message_queue::MessageQueue;
use ferrocket_protocol::properties::names;
use ferrocket_protocol::requests::send::SendMessageReply;
use ferrocket_protocol::{Header, RemotingCommand, ResponseCode, Text};

use crate::error::{Error, Result};

/// The region that Java assumes when a broker names none.
pub(crate) const DEFAULT_REGION: &str = "DefaultRegion";

/// How safe a stored message is. All four mean that the broker has it.
///
/// ```
/// use ferrocket::{Message, SendStatus};
///
/// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
/// # let producer = client.producer("order-service").start().await?;
/// let sent = producer.send(Message::new("Orders", "paid")).await?;
/// match sent.status {
///     SendStatus::SendOk => {}
///     // Stored, but not yet on disk or on a slave.
///     status => eprintln!("{}: {status}", sent.msg_id),
/// }
/// # Ok(()) }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SendStatus {
    /// Stored as safely as the broker is set up to.
    SendOk,
    /// Stored, but the disk did not confirm in time (only with synchronous flush).
    FlushDiskTimeout,
    /// Stored, but no slave confirmed in time (only with a synchronous master).
    FlushSlaveTimeout,
    /// Stored, but there is no slave to confirm it (only with a synchronous master).
    SlaveNotAvailable,
}

impl SendStatus {
    /// Java's name of the constant.
    pub fn name(self) -> &'static str {
        match self {
            Self::SendOk => "SEND_OK",
            Self::FlushDiskTimeout => "FLUSH_DISK_TIMEOUT",
            Self::FlushSlaveTimeout => "FLUSH_SLAVE_TIMEOUT",
            Self::SlaveNotAvailable => "SLAVE_NOT_AVAILABLE",
        }
    }

    fn from_code(code: ResponseCode) -> Option<Self> {
        match code {
            ResponseCode::SUCCESS => Some(Self::SendOk),
            ResponseCode::FLUSH_DISK_TIMEOUT => Some(Self::FlushDiskTimeout),
            ResponseCode::FLUSH_SLAVE_TIMEOUT => Some(Self::FlushSlaveTimeout),
            ResponseCode::SLAVE_NOT_AVAILABLE => Some(Self::SlaveNotAvailable),
            _ => None,
        }
    }
}

impl fmt::Display for SendStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The broker's receipt. Its text form is that of Java's `SendResult.toString`.
///
/// ```
/// use ferrocket::Message;
///
/// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
/// # let producer = client.producer("order-service").start().await?;
/// let sent = producer.send(Message::new("Orders", "paid")).await?;
/// assert!(sent.is_ok());
/// let (queue, offset) = (&sent.message_queue, sent.queue_offset);
/// println!("{} is number {offset} of {queue}", sent.msg_id);
/// // Java's words.
/// assert!(sent.to_string().starts_with("SendResult [sendStatus=SEND_OK, msgId="));
/// # Ok(()) }).unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub struct SendResult {
    /// How safe the message is.
    pub status: SendStatus,
    /// The client's own id of the message (`UNIQ_KEY`); for a batch all of them, comma separated.
    pub msg_id: Text,
    /// The broker's id: its address and the place in its CommitLog; for a batch comma separated.
    pub offset_msg_id: Text,
    /// The queue the message stands in.
    pub message_queue: MessageQueue,
    /// Its number in that queue; for a batch that of the first message.
    pub queue_offset: i64,
    /// The transaction the broker opened, if any.
    pub transaction_id: Option<Text>,
    /// Takes a delayed message back, see [`Producer::recall`](crate::Producer::recall). Brokers from 5.3 on give it.
    pub recall_handle: Option<Text>,
    /// The broker's region, for message traces.
    pub region_id: Text,
    /// Whether the broker wants message traces.
    pub trace_on: bool,
}

impl SendResult {
    /// Whether the message is stored as safely as the broker is set up to.
    pub fn is_ok(&self) -> bool {
        self.status == SendStatus::SendOk
    }

    /// The receipts of the messages of a batch.
    pub(crate) fn split(self, count: usize) -> Vec<Self> {
        if count == 1 {
            return vec![self];
        }
        let (mut own, mut offsets) = (self.msg_id.split(','), self.offset_msg_id.split(','));
        let part = |ids: &Text, id: Option<&str>| id.map_or_else(|| ids.clone(), |id| ids.slice_ref(id));
        let one = |at: usize| Self {
            msg_id: part(&self.msg_id, own.next()),
            offset_msg_id: part(&self.offset_msg_id, offsets.next()),
            queue_offset: self.queue_offset + at as i64,
            ..self.clone()
        };
        (0..count).map(one).collect()
    }

    /// Reads the reply of the broker called `broker_name` at `addr` to a send of `topic`.
    pub(crate) fn from_reply(
        reply: &RemotingCommand,
        addr: &str,
        topic: Text,
        broker_name: &Text,
        msg_id: Text,
    ) -> Result<Self> {
        let Some(status) = SendStatus::from_code(reply.response_code()) else {
            return Err(Error::broker(reply.response_code(), reply.remark.as_deref(), addr));
        };
        let header =
            SendMessageReply::decode(&reply.ext_fields).map_err(|error| Error::protocol(error, addr))?;
        let region = reply.ext_fields.get(names::MSG_REGION).filter(|region| !region.is_empty());
        Ok(Self {
            status,
            msg_id,
            offset_msg_id: header.msg_id,
            message_queue: MessageQueue {
                topic,
                broker_name: broker_name.clone(),
                queue_id: header.queue_id,
            },
            queue_offset: header.queue_offset,
            transaction_id: header.transaction_id,
            recall_handle: header.recall_handle,
            region_id: region.cloned().unwrap_or(Text::from_static(DEFAULT_REGION)),
            trace_on: reply.ext_fields.get(names::TRACE_SWITCH).is_none_or(|on| **on != *"false"),
        })
    }
}

impl fmt::Display for SendResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SendResult [sendStatus={}, msgId={}, offsetMsgId={}, messageQueue={}, queueOffset={}]",
            self.status, self.msg_id, self.offset_msg_id, self.message_queue, self.queue_offset
        )
    }
}

#[cfg(test)]
mod tests {
    use ferrocket_protocol::RequestCode;
    use ferrocket_protocol::requests::Empty;

    use super::*;

    fn reply(code: ResponseCode) -> RemotingCommand {
        let header = SendMessageReply {
            msg_id: "0A00000100002A9F0000000000000400".into(),
            queue_id: 3,
            queue_offset: 7,
            ..Default::default()
        };
        let mut reply = RemotingCommand::request(RequestCode::SendMessage, &Empty).reply_with(&header);
        reply.code = code.0;
        reply
    }

    fn read(reply: &RemotingCommand) -> Result<SendResult> {
        SendResult::from_reply(reply, "10.0.0.1:10911", "T".into(), &"broker-a".into(), "ID".into())
    }

    /// Programs parse this text: it is Java's, to the letter.
    #[test]
    fn prints_as_java_does() {
        assert_eq!(
            read(&reply(ResponseCode::SUCCESS)).unwrap().to_string(),
            "SendResult [sendStatus=SEND_OK, msgId=ID, offsetMsgId=0A00000100002A9F0000000000000400, \
             messageQueue=MessageQueue [topic=T, brokerName=broker-a, queueId=3], queueOffset=7]"
        );
    }

    /// Three error codes are successes with a status; all others are errors.
    #[test]
    fn stored_is_stored() {
        for (code, status) in [
            (ResponseCode::FLUSH_DISK_TIMEOUT, SendStatus::FlushDiskTimeout),
            (ResponseCode::FLUSH_SLAVE_TIMEOUT, SendStatus::FlushSlaveTimeout),
            (ResponseCode::SLAVE_NOT_AVAILABLE, SendStatus::SlaveNotAvailable),
        ] {
            let result = read(&reply(code)).unwrap();
            assert_eq!(result.status, status);
            assert!(!result.is_ok());
        }
        assert_eq!(read(&reply(ResponseCode::MESSAGE_ILLEGAL)).unwrap_err().code(), Some(13));
    }

    /// Region and trace switch have Java's defaults; "false" alone switches traces off.
    #[test]
    fn region_and_trace_switch() {
        let mut reply = reply(ResponseCode::SUCCESS);
        let result = read(&reply).unwrap();
        assert_eq!((&*result.region_id, result.trace_on), ("DefaultRegion", true));
        reply.ext_fields.push("MSG_REGION", "R1");
        reply.ext_fields.push("TRACE_ON", "false");
        let result = read(&reply).unwrap();
        assert_eq!((&*result.region_id, result.trace_on), ("R1", false));
    }
}
