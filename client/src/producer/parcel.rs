//! One send, packed once for all its attempts.
//!
//! Java counterparts: `sendKernelImpl`, `tryToCompressMessage`, `MessageBatch`, `MessageClientIDSetter.setUniqID`.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::slice;

use bytes::Bytes;
use ferrocket_protocol::batch::{self, BatchMessage};
use ferrocket_protocol::body::message_queue::MessageQueue;
use ferrocket_protocol::message::sys_flag;
use ferrocket_protocol::properties::{Properties, names};
use ferrocket_protocol::requests::Empty;
use ferrocket_protocol::requests::send::SendMessageHeader;
use ferrocket_protocol::{RemotingCommand, RequestCode, Text, compression};

use crate::client::{Client, Template};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Message, RETRY_TOPIC_PREFIX};
use crate::message_ids::now_ms;
use crate::validate::{check_batch, check_message, check_properties_len, check_topic};

/// Between the ids of a batch.
const ID_SEPARATOR: &str = ",";
/// How large bodies are compressed. Java: `CompressionType`.
///
/// ```
/// use ferrocket::CompressionType;
///
/// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
/// # #[cfg(feature = "lz4")] {
/// let quick = client.producer("logs").compress_type(CompressionType::Lz4).start().await?;
/// # }
/// let small = client.producer("archive").compress_type(CompressionType::Zlib).compress_level(9).start().await?;
/// # Ok(()) }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CompressionType {
    /// zlib, which every client reads.
    #[default]
    Zlib,
    /// LZ4 frames, which clients from 4.9.4 on read.
    #[cfg(feature = "lz4")]
    Lz4,
    /// zstd, which clients from 4.9.4 on read.
    #[cfg(feature = "zstd")]
    Zstd,
}

impl CompressionType {
    /// The levels that it knows; where there are none, any will do.
    pub(crate) fn levels(self) -> RangeInclusive<u32> {
        match self {
            Self::Zlib => 0..=9,
            #[cfg(feature = "lz4")]
            Self::Lz4 => 0..=u32::MAX,
            #[cfg(feature = "zstd")]
            Self::Zstd => 1..=22,
        }
    }

    /// The compressed body, and the flags that say so.
    fn pack(self, body: &[u8], level: u32) -> (Bytes, i32) {
        let (packed, kind) = match self {
            Self::Zlib => (compression::zlib(body, level), 3),
            #[cfg(feature = "lz4")]
            Self::Lz4 => (compression::lz4(body), 1),
            #[cfg(feature = "zstd")]
            Self::Zstd => (compression::zstd(body, level), 2),
        };
        (packed.into(), sys_flag::COMPRESSED | kind << 8)
    }
}

/// What a producer's settings say about packing.
#[derive(Clone, Debug)]
pub(crate) struct Packing {
    pub(crate) group: Text,
    /// Whether messages go to the client's namespace; traces do not.
    pub(crate) in_namespace: bool,
    pub(crate) template: Template,
    /// Bodies of this many bytes and more are compressed.
    pub(crate) compress_from: usize,
    pub(crate) compress_type: CompressionType,
    pub(crate) compress_level: u32,
    pub(crate) message_len_max: usize,
}

/// Messages that travel together, with everything that attempts have in common.
#[derive(Debug)]
pub(crate) struct Parcel {
    load: Load,
    flag: i32,
    sys_flag: i32,
    properties: Text,
    body: Bytes,
    reconsume_times: i32,
    max_reconsume_times: Option<i32>,
    /// When it was packed.
    made_ms: i64,
}

/// The messages as the caller gave them, each with its unique key, and the topic they go to.
#[derive(Debug)]
enum Load {
    /// The topic is the message's own, or what a namespace makes of it.
    Single { message: Message, wire_topic: Option<Text> },
    /// Several travel as one.
    Batch { messages: Vec<Message>, topic: Text },
}

impl Parcel {
    /// Packs one message; gives it back with the error when it breaks a rule.
    pub(crate) fn single(mut message: Message, packing: &Packing, client: &Client) -> Result<Self> {
        if let Err(error) = check_message(&message, packing.message_len_max) {
            return Err(error.with_unsent(vec![message]));
        }
        let wire_topic = match wire_topic(&message, packing, client) {
            Ok(topic) => topic,
            Err(error) => return Err(error.with_unsent(vec![message])),
        };
        let made_ms = now_ms();
        set_unique_key(&mut message, client, made_ms);
        let (mut reconsume_times, mut max_reconsume_times) = (0, None);
        // The message as it travels.
        let mut wire = Cow::Borrowed(&message);
        if wire_topic.as_deref().unwrap_or(message.topic()).starts_with(RETRY_TOPIC_PREFIX) {
            // Counts of a message that is tried again travel in the header, not with the message.
            let bare = wire.to_mut();
            let mut number = |name| bare.remove_property(name).and_then(|text| text.parse::<i32>().ok());
            reconsume_times = number(names::RECONSUME_TIME).unwrap_or(0);
            max_reconsume_times = number(names::MAX_RECONSUME_TIMES);
        }
        if let Some((name, namespace)) = instance(packing, client) {
            wire.to_mut().set_property(name, namespace);
        }
        let properties = wire.properties_text();
        drop(wire);
        if let Err(error) = check_properties_len(&properties) {
            return Err(error.with_unsent(vec![message]));
        }
        let (body, mut flags) = if message.body().len() >= packing.compress_from {
            packing.compress_type.pack(message.body(), packing.compress_level)
        } else {
            (message.body().clone(), 0)
        };
        if message.is_half() {
            flags |= sys_flag::TRANSACTION_PREPARED;
        }
        Ok(Self {
            flag: message.flag_value(),
            sys_flag: flags,
            properties,
            body,
            reconsume_times,
            max_reconsume_times,
            load: Load::Single { message, wire_topic },
            made_ms,
        })
    }

    /// Packs several messages as one; gives them back with the error when they cannot travel together.
    pub(crate) fn batch(mut messages: Vec<Message>, packing: &Packing, client: &Client) -> Result<Self> {
        if let Err(error) = check_batch(&messages, packing.message_len_max) {
            return Err(error.with_unsent(messages));
        }
        let made_ms = now_ms();
        let entries: Vec<_> = messages
            .iter_mut()
            .map(|message| {
                set_unique_key(message, client, made_ms);
                BatchMessage {
                    flag: message.flag_value(),
                    body: message.body().clone(),
                    properties: message.properties_text(),
                }
            })
            .collect();
        if let Err(error) = entries.iter().try_for_each(|entry| check_properties_len(&entry.properties)) {
            return Err(error.with_unsent(messages));
        }
        let body = batch::encode(&entries);
        if body.len() > packing.message_len_max {
            let text = format!("the message body size over max value, MAX: {}", packing.message_len_max);
            return Err(Error::new(ErrorKind::InvalidMessage, text).with_unsent(messages));
        }
        let waits = messages.first().is_none_or(Message::waits_for_store);
        let waits = (Text::from_static(names::WAIT_STORE_MSG_OK), Text::from(waits.to_string()));
        let properties: Properties = std::iter::once(waits).chain(instance(packing, client)).collect();
        let topic = match messages.first().map(|first| wire_topic(first, packing, client)).transpose() {
            Ok(wire) => wire.flatten().or_else(|| Some(messages.first()?.topic_text().clone())),
            Err(error) => return Err(error.with_unsent(messages)),
        };
        Ok(Self {
            flag: 0,
            sys_flag: 0,
            properties: properties.to_text(),
            body,
            reconsume_times: 0,
            max_reconsume_times: None,
            load: Load::Batch { messages, topic: topic.unwrap_or_default() },
            made_ms,
        })
    }

    /// The topic of all messages, in the client's namespace.
    pub(crate) fn topic(&self) -> &Text {
        match &self.load {
            Load::Single { message, wire_topic } => wire_topic.as_ref().unwrap_or(message.topic_text()),
            Load::Batch { topic, .. } => topic,
        }
    }

    /// The message, or the first one of a batch.
    pub(crate) fn message(&self) -> Option<&Message> {
        self.messages().first()
    }

    /// The messages, each with its unique key.
    pub(crate) fn messages(&self) -> &[Message] {
        match &self.load {
            Load::Single { message, .. } => slice::from_ref(message),
            Load::Batch { messages, .. } => messages,
        }
    }

    /// Whether several messages travel as one.
    pub(crate) fn is_batch(&self) -> bool {
        matches!(self.load, Load::Batch { .. })
    }

    /// When it was packed.
    pub(crate) fn made_ms(&self) -> i64 {
        self.made_ms
    }

    /// Bytes the parcel holds while it is under way.
    pub(crate) fn weight(&self) -> usize {
        self.messages().iter().map(Message::weight).sum()
    }

    /// The unique keys, comma separated.
    pub(crate) fn msg_id(&self) -> Text {
        let id = |message: &Message| message.property_text(names::UNIQ_CLIENT_MESSAGE_ID_KEYIDX).cloned();
        match self.messages() {
            [only] => id(only).unwrap_or_default(),
            all => all.iter().filter_map(id).collect::<Vec<_>>().join(ID_SEPARATOR).into(),
        }
    }

    /// The request that stores the parcel in `queue`. `topic` is [`Parcel::topic`]; the route's text of it is
    /// shared already.
    pub(crate) fn request(
        &self,
        topic: &Text,
        queue: &MessageQueue,
        packing: &Packing,
        client: &Client,
        now_ms: i64,
    ) -> RemotingCommand {
        let header = SendMessageHeader {
            producer_group: packing.group.clone(),
            topic: topic.clone(),
            default_topic: packing.template.topic.clone(),
            default_topic_queue_nums: packing.template.queue_nums,
            queue_id: queue.queue_id,
            sys_flag: self.sys_flag,
            born_timestamp: now_ms,
            flag: self.flag,
            properties: Some(self.properties.clone()),
            reconsume_times: Some(self.reconsume_times),
            unit_mode: Some(client.config().unit_mode),
            batch: Some(self.is_batch()),
            max_reconsume_times: self.max_reconsume_times,
        };
        let code = match self.message() {
            _ if self.is_batch() => RequestCode::SendBatchMessage,
            Some(message) if message.is_reply() => RequestCode::SendReplyMessageV2,
            _ => RequestCode::SendMessageV2,
        };
        let mut request = client.request(code, &Empty).with_body(self.body.clone());
        header.encode_v2(&mut request.ext_fields);
        // Java 4.9.8 names the broker, too; 5.x proxies go by it.
        request.ext_fields.push(Text::from_static("n"), queue.broker_name.clone());
        request
    }

    /// The messages, for an error that gives them back.
    pub(crate) fn into_messages(self) -> Vec<Message> {
        match self.load {
            Load::Single { message, .. } => vec![message],
            Load::Batch { messages, .. } => messages,
        }
    }
}

/// The message's topic in the client's namespace, if it has one. Replies go to a topic that the cluster has once.
fn wire_topic(message: &Message, packing: &Packing, client: &Client) -> Result<Option<Text>> {
    if instance(packing, client).is_none() || message.is_reply() {
        return Ok(None);
    }
    let topic = client.wrapped(message.topic());
    check_topic(&topic).map_err(|error| Error::new(ErrorKind::InvalidMessage, error.to_string()))?;
    Ok(Some(topic))
}

/// What a message in a namespace carries besides.
fn instance(packing: &Packing, client: &Client) -> Option<(Text, Text)> {
    let namespace = client.config().namespace.as_str();
    let is_used = packing.in_namespace && !namespace.is_empty();
    is_used.then(|| (Text::from_static(names::INSTANCE_ID), namespace.into()))
}

/// Gives a message its id unless it has one: a message sent again keeps it.
pub(super) fn set_unique_key(message: &mut Message, client: &Client, now_ms: i64) {
    if message.property_value(names::UNIQ_CLIENT_MESSAGE_ID_KEYIDX).is_none() {
        let name = Text::from_static(names::UNIQ_CLIENT_MESSAGE_ID_KEYIDX);
        message.set_property(name, client.next_message_id(now_ms));
    }
}

#[cfg(test)]
mod tests {
    use ferrocket_protocol::properties;

    use super::*;

    fn packing() -> Packing {
        Packing {
            group: "g".into(),
            in_namespace: true,
            template: Template::default(),
            compress_from: 4_096,
            compress_type: CompressionType::Zlib,
            compress_level: 5,
            message_len_max: 4 << 20,
        }
    }

    fn client() -> Client {
        Client::builder("127.0.0.1:9876").build().unwrap()
    }

    fn header(request: &RemotingCommand) -> SendMessageHeader {
        SendMessageHeader::decode_v2(&request.ext_fields).unwrap()
    }

    fn request(parcel: &Parcel) -> RemotingCommand {
        parcel.request(parcel.topic(), &MessageQueue::new("T", "a", 2), &packing(), &client(), 5)
    }

    /// The short header says what Java's says, and the message has got its id.
    #[test]
    fn a_single_message() {
        let message = Message::new("T", "hello").tags("x").flag(3);
        let parcel = Parcel::single(message, &packing(), &client()).unwrap();
        let request = request(&parcel);
        let names: Vec<_> = request.ext_fields.iter().map(|(name, _)| name.to_string()).collect();
        assert_eq!(names.join(""), "abcdefghijkmn");
        assert_eq!(request.code, 310);
        let header = header(&request);
        assert_eq!((&*header.topic, header.queue_id, header.flag, header.sys_flag), ("T", 2, 3, 0));
        assert_eq!((&*header.default_topic, header.batch), ("TBW102", Some(false)));
        let text = header.properties.unwrap();
        assert_eq!(properties::get(&text, "UNIQ_KEY"), Some(&*parcel.msg_id()));
        assert_eq!(parcel.msg_id().len(), 32);
        assert_eq!(parcel.into_messages()[0].property_value("TAGS"), Some("x"));
    }

    /// From 4 KiB on the body travels compressed; what the caller gets back is not.
    #[test]
    fn large_bodies_are_compressed() {
        for (len, compressed) in [(4_095, false), (4_096, true)] {
            let parcel = Parcel::single(Message::new("T", vec![b'a'; len]), &packing(), &client()).unwrap();
            let request = request(&parcel);
            assert_eq!(header(&request).sys_flag, if compressed { 0x301 } else { 0 });
            if compressed {
                assert_eq!(compression::unzlib(&request.body, len).unwrap(), vec![b'a'; len]);
            }
            assert_eq!(parcel.into_messages()[0].body().len(), len);
        }
    }

    /// Other kinds of compression say so in the flags, and are read again by them.
    #[test]
    #[cfg(all(feature = "lz4", feature = "zstd"))]
    fn other_kinds_of_compression() {
        let body = vec![b'a'; 5_000];
        for (kind, flags) in [(CompressionType::Lz4, 0x101), (CompressionType::Zstd, 0x201)] {
            let packing = Packing { compress_type: kind, ..packing() };
            let parcel = Parcel::single(Message::new("T", body.clone()), &packing, &client()).unwrap();
            let request = request(&parcel);
            assert_eq!(header(&request).sys_flag, flags);
            assert!(request.body.len() < 1_000);
            assert_eq!(crate::message::unpack(&request.body, flags).unwrap(), body);
        }
    }

    /// A batch has one id per message inside, its own code and field m, and is never compressed.
    #[test]
    fn a_batch() {
        let messages = vec![Message::new("T", vec![b'a'; 5_000]), Message::new("T", "b").tags("y")];
        let parcel = Parcel::batch(messages, &packing(), &client()).unwrap();
        let request = request(&parcel);
        assert_eq!((request.code, header(&request).batch, header(&request).sys_flag), (320, Some(true), 0));
        let entries = batch::decode(request.body).unwrap();
        assert_eq!(entries[1].body, "b");
        assert_eq!(properties::get(&entries[1].properties, "TAGS"), Some("y"));
        let ids: Vec<_> = entries.iter().filter_map(|e| properties::get(&e.properties, "UNIQ_KEY")).collect();
        assert_eq!(ids.join(","), *parcel.msg_id());
    }

    /// A refused batch gives all its messages back; the limit counts the encoded batch.
    #[test]
    fn refused_batches_come_back() {
        let packing = Packing { message_len_max: 1_000, ..packing() };
        let messages = vec![Message::new("T", vec![0; 600]); 2];
        let error = Parcel::batch(messages, &packing, &client()).unwrap_err();
        assert_eq!((error.kind(), error.unsent().len()), (ErrorKind::InvalidMessage, 2));
    }

    /// The counts of a message on its way to a retry topic move into the header.
    #[test]
    fn retry_counts_travel_in_the_header() {
        let message = Message::new("%RETRY%g", "a")
            .property(names::RECONSUME_TIME, "3")
            .property(names::MAX_RECONSUME_TIMES, "16");
        let header = header(&request(&Parcel::single(message, &packing(), &client()).unwrap()));
        assert_eq!((header.reconsume_times, header.max_reconsume_times), (Some(3), Some(16)));
        let text = header.properties.unwrap();
        assert_eq!(properties::get(&text, names::RECONSUME_TIME), None);
        assert_eq!(properties::get(&text, names::MAX_RECONSUME_TIMES), None);
    }
}
