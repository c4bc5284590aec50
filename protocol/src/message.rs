//! The stored message: the record in the CommitLog, which is also what a pull answers.
//!
//! ```text
//! offset  size    field                      offset  size      field
//! 0       4       total size                 40      8         born timestamp, ms
//! 4       4       magic                      48      4|16 + 4  born host: ip, port
//! 8       4       body CRC (31 bit)          56      8         store timestamp, ms
//! 12      4       queue id                   64      4|16 + 4  store host: ip, port
//! 16      4       application flag           72      4         reconsume times
//! 20      8       queue offset               76      8         prepared transaction offset
//! 28      8       physical offset            84      4 + n     body
//! 36      4       system flag                88+n    1 + t     topic (magic V2: 2 + t)
//!                                            ..      2 + p     properties
//! ```
//!
//! Offsets are for IPv4; system flag 0x10 widens the born host and 0x20 the store host by 12 bytes.
//! Java counterparts: `MessageExtEncoder`, `MessageDecoder`, `MessageVersion`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::{Buf, BufMut, Bytes};

use crate::command::Text;

/// Magic of a record with a one-byte topic length.
pub const MAGIC_V1: i32 = -626_843_481;
/// Magic of a record with a two-byte topic length (5.x only; 4.9 cannot read it, so it is never written).
pub const MAGIC_V2: i32 = -626_843_477;
/// Magic of the blank that fills the end of a CommitLog segment.
pub const MAGIC_BLANK: i32 = -875_286_124;

/// Where the queue offset stands in a record.
pub const QUEUE_OFFSET_AT: usize = 20;
/// Where the physical offset stands in a record.
pub const PHYSICAL_OFFSET_AT: usize = 28;
/// Longest topic that a V1 record holds, in bytes.
pub const TOPIC_LEN_MAX: usize = 127;
/// Longest topic that a V2 record holds, in bytes.
pub const TOPIC_V2_LEN_MAX: usize = 255;
/// Longest properties text, in bytes.
pub const PROPERTIES_LEN_MAX: usize = 32_767;

/// Bits of a message's system flag (`MessageSysFlag`).
pub mod sys_flag {
    /// The body is compressed.
    pub const COMPRESSED: i32 = 0x1;
    /// The message has several tags.
    pub const MULTI_TAGS: i32 = 0x2;
    /// Half (prepared) transactional message.
    pub const TRANSACTION_PREPARED: i32 = 0x4;
    /// Committed transactional message.
    pub const TRANSACTION_COMMIT: i32 = 0x8;
    /// Rolled back; also the mask of the two transaction bits.
    pub const TRANSACTION_ROLLBACK: i32 = 0xC;
    /// The born host is an IPv6 address.
    pub const BORN_HOST_V6: i32 = 0x10;
    /// The store host is an IPv6 address.
    pub const STORE_HOST_V6: i32 = 0x20;
    /// The body is a batch that the client takes apart (5.x).
    pub const NEED_UNWRAP: i32 = 0x40;
    /// The record is an inner batch (5.x).
    pub const INNER_BATCH: i32 = 0x80;
    /// The three bits of the compression kind (5.x): 0 and 3 zlib, 1 lz4, 2 zstd.
    pub const COMPRESSION_KIND: i32 = 0x700;
}

/// A stored message with all its fields. Java counterparts: `MessageExt`, `MessageExtBrokerInner`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRecord {
    /// The topic, at most [`TOPIC_LEN_MAX`] bytes.
    pub topic: Text,
    /// The queue within the topic.
    pub queue_id: i32,
    /// The application's own flag.
    pub flag: i32,
    /// Bits of [`sys_flag`].
    pub sys_flag: i32,
    /// Number of the entry in its ConsumeQueue.
    pub queue_offset: i64,
    /// Position of the record in the CommitLog.
    pub physical_offset: i64,
    /// When the producer made the message, ms since 1970.
    pub born_timestamp: i64,
    /// The producer's address.
    pub born_host: SocketAddr,
    /// When the broker stored it, ms since 1970.
    pub store_timestamp: i64,
    /// The broker's address, the first part of the offset message id.
    pub store_host: SocketAddr,
    /// How often consumption was tried again.
    pub reconsume_times: i32,
    /// On a committed transactional message: the physical offset of its half message.
    pub prepared_transaction_offset: i64,
    /// The body as stored (possibly compressed).
    pub body: Bytes,
    /// The properties text (see [`crate::properties`]).
    pub properties: Text,
}

/// A record read in place. Nothing is copied; the lengths have been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordView<'a> {
    /// Bytes of the whole record.
    pub total_size: usize,
    /// [`MAGIC_V1`] or [`MAGIC_V2`].
    pub magic: i32,
    /// CRC of the body as the writer computed it; see [`RecordView::body_crc_matches`].
    pub body_crc: i32,
    /// See [`MessageRecord::queue_id`].
    pub queue_id: i32,
    /// See [`MessageRecord::flag`].
    pub flag: i32,
    /// See [`MessageRecord::queue_offset`].
    pub queue_offset: i64,
    /// See [`MessageRecord::physical_offset`].
    pub physical_offset: i64,
    /// See [`MessageRecord::sys_flag`].
    pub sys_flag: i32,
    /// See [`MessageRecord::born_timestamp`].
    pub born_timestamp: i64,
    /// See [`MessageRecord::born_host`].
    pub born_host: SocketAddr,
    /// See [`MessageRecord::store_timestamp`].
    pub store_timestamp: i64,
    /// See [`MessageRecord::store_host`].
    pub store_host: SocketAddr,
    /// See [`MessageRecord::reconsume_times`].
    pub reconsume_times: i32,
    /// See [`MessageRecord::prepared_transaction_offset`].
    pub prepared_transaction_offset: i64,
    /// See [`MessageRecord::body`].
    pub body: &'a [u8],
    /// See [`MessageRecord::topic`].
    pub topic: &'a str,
    /// See [`MessageRecord::properties`].
    pub properties: &'a str,
}

/// Why bytes are not a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// Fewer bytes than the record's size, or than the eight of size and magic.
    Short {
        /// How many the record needs.
        need: usize,
    },
    /// The magic belongs to no record.
    Magic(i32),
    /// The named length does not fit the record's size.
    Length(&'static str),
    /// The named field is not UTF-8.
    Text(&'static str),
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { need } => write!(f, "the record needs {need} bytes, fewer are left"),
            Self::Magic(magic) => write!(f, "magic {magic:#010x} is not that of a message"),
            Self::Length(field) => write!(f, "the length of {field} does not fit the record"),
            Self::Text(field) => write!(f, "{field} is not UTF-8"),
        }
    }
}

impl std::error::Error for RecordError {}

/// Java's 31-bit CRC of a body (`UtilAll.crc32`).
pub fn body_crc(body: &[u8]) -> i32 {
    (crc32fast::hash(body) & 0x7fff_ffff) as i32
}

/// Where the store timestamp stands in a record with this system flag.
pub fn store_timestamp_at(flags: i32) -> usize {
    if flags & sys_flag::BORN_HOST_V6 == 0 { 56 } else { 68 }
}

impl MessageRecord {
    /// The system flag with the address bits that the two hosts ask for.
    pub fn wire_sys_flag(&self) -> i32 {
        let bit = |host: SocketAddr, bit| if host.is_ipv6() { bit } else { 0 };
        (self.sys_flag & !(sys_flag::BORN_HOST_V6 | sys_flag::STORE_HOST_V6))
            | bit(self.born_host, sys_flag::BORN_HOST_V6)
            | bit(self.store_host, sys_flag::STORE_HOST_V6)
    }

    /// Bytes of the encoded record.
    pub fn encoded_len(&self) -> usize {
        let host = |host: SocketAddr| if host.is_ipv6() { 20 } else { 8 };
        75 + host(self.born_host)
            + host(self.store_host)
            + self.body.len()
            + self.topic.len()
            + self.properties.len()
    }

    /// Appends the record in V1 form.
    ///
    /// # Panics
    /// If topic or properties exceed their limits: callers refuse such messages before.
    pub fn encode(&self, out: &mut Vec<u8>) {
        assert!(self.topic.len() <= TOPIC_LEN_MAX, "topic {} is too long for a record", self.topic);
        assert!(self.properties.len() <= PROPERTIES_LEN_MAX, "properties are too long for a record");
        out.put_i32(self.encoded_len() as i32);
        out.put_i32(MAGIC_V1);
        out.put_i32(body_crc(&self.body));
        out.put_i32(self.queue_id);
        out.put_i32(self.flag);
        out.put_i64(self.queue_offset);
        out.put_i64(self.physical_offset);
        out.put_i32(self.wire_sys_flag());
        out.put_i64(self.born_timestamp);
        put_host(out, self.born_host);
        out.put_i64(self.store_timestamp);
        put_host(out, self.store_host);
        out.put_i32(self.reconsume_times);
        out.put_i64(self.prepared_transaction_offset);
        out.put_i32(self.body.len() as i32);
        out.put_slice(&self.body);
        out.put_u8(self.topic.len() as u8);
        out.put_slice(self.topic.as_bytes());
        out.put_i16(self.properties.len() as i16);
        out.put_slice(self.properties.as_bytes());
    }

    /// Takes the record at the front of `bytes`; body and texts share its memory.
    pub fn decode(bytes: &mut Bytes) -> Result<Self, RecordError> {
        let view = RecordView::parse(bytes)?;
        // The view has found both to be UTF-8.
        let text = |part: &str| Text::try_from(bytes.slice_ref(part.as_bytes())).unwrap_or_default();
        let record = Self {
            topic: text(view.topic),
            queue_id: view.queue_id,
            flag: view.flag,
            sys_flag: view.sys_flag,
            queue_offset: view.queue_offset,
            physical_offset: view.physical_offset,
            born_timestamp: view.born_timestamp,
            born_host: view.born_host,
            store_timestamp: view.store_timestamp,
            store_host: view.store_host,
            reconsume_times: view.reconsume_times,
            prepared_transaction_offset: view.prepared_transaction_offset,
            body: bytes.slice_ref(view.body),
            properties: text(view.properties),
        };
        let len = view.total_size;
        bytes.advance(len);
        Ok(record)
    }

    /// All records of a pull's body, which stand back to back.
    pub fn decode_all(mut bytes: Bytes) -> Result<Vec<Self>, RecordError> {
        let mut records = Vec::new();
        while !bytes.is_empty() {
            records.push(Self::decode(&mut bytes)?);
        }
        Ok(records)
    }
}

fn put_host(out: &mut Vec<u8>, host: SocketAddr) {
    match host.ip() {
        IpAddr::V4(ip) => out.put_slice(&ip.octets()),
        IpAddr::V6(ip) => out.put_slice(&ip.octets()),
    }
    out.put_i32(i32::from(host.port()));
}

impl<'a> RecordView<'a> {
    /// Reads the record at the front of `bytes`, which may be followed by others.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RecordError> {
        let mut cursor = Cursor { rest: bytes };
        if bytes.len() < 8 {
            return Err(RecordError::Short { need: 8 });
        }
        let total_size = cursor.i32("size")?;
        let magic = cursor.i32("magic")?;
        if magic != MAGIC_V1 && magic != MAGIC_V2 {
            return Err(RecordError::Magic(magic));
        }
        let total_size = usize::try_from(total_size).map_err(|_| RecordError::Length("the record"))?;
        let record = bytes.get(..total_size).ok_or(RecordError::Short { need: total_size })?;
        cursor.rest = record.get(8..).ok_or(RecordError::Length("the record"))?;
        let body_crc = cursor.i32("body CRC")?;
        let queue_id = cursor.i32("queue id")?;
        let flag = cursor.i32("flag")?;
        let queue_offset = cursor.i64("queue offset")?;
        let physical_offset = cursor.i64("physical offset")?;
        let flags = cursor.i32("system flag")?;
        let born_timestamp = cursor.i64("born timestamp")?;
        let born_host = cursor.host("born host", flags & sys_flag::BORN_HOST_V6 != 0)?;
        let store_timestamp = cursor.i64("store timestamp")?;
        let store_host = cursor.host("store host", flags & sys_flag::STORE_HOST_V6 != 0)?;
        let reconsume_times = cursor.i32("reconsume times")?;
        let prepared_transaction_offset = cursor.i64("prepared transaction offset")?;
        let body_len = cursor.i32("body")?;
        let body =
            cursor.take("body", usize::try_from(body_len).map_err(|_| RecordError::Length("body"))?)?;
        // Java reads lengths as signed numbers: what exceeds their positive half is broken.
        let (topic_len, topic_len_max) = match magic {
            MAGIC_V1 => (usize::from(cursor.array::<1>("topic")?[0]), TOPIC_LEN_MAX),
            _ => (usize::from(cursor.u16("topic")?), TOPIC_V2_LEN_MAX),
        };
        if topic_len > topic_len_max {
            return Err(RecordError::Length("topic"));
        }
        let topic = cursor.text("topic", topic_len)?;
        let properties_len = usize::from(cursor.u16("properties")?);
        if properties_len > PROPERTIES_LEN_MAX {
            return Err(RecordError::Length("properties"));
        }
        let properties = cursor.text("properties", properties_len)?;
        if !cursor.rest.is_empty() {
            return Err(RecordError::Length("properties"));
        }
        Ok(Self {
            total_size,
            magic,
            body_crc,
            queue_id,
            flag,
            queue_offset,
            physical_offset,
            sys_flag: flags,
            born_timestamp,
            born_host,
            store_timestamp,
            store_host,
            reconsume_times,
            prepared_transaction_offset,
            body,
            topic,
            properties,
        })
    }

    /// Whether the stored CRC is that of the body.
    pub fn body_crc_matches(&self) -> bool {
        self.body_crc == body_crc(self.body)
    }
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn take(&mut self, field: &'static str, len: usize) -> Result<&'a [u8], RecordError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(RecordError::Length(field))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], RecordError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(RecordError::Length(field))?;
        self.rest = rest;
        Ok(*taken)
    }

    fn i32(&mut self, field: &'static str) -> Result<i32, RecordError> {
        self.array(field).map(i32::from_be_bytes)
    }

    fn i64(&mut self, field: &'static str) -> Result<i64, RecordError> {
        self.array(field).map(i64::from_be_bytes)
    }

    fn u16(&mut self, field: &'static str) -> Result<u16, RecordError> {
        self.array(field).map(u16::from_be_bytes)
    }

    fn text(&mut self, field: &'static str, len: usize) -> Result<&'a str, RecordError> {
        str::from_utf8(self.take(field, len)?).map_err(|_| RecordError::Text(field))
    }

    fn host(&mut self, field: &'static str, v6: bool) -> Result<SocketAddr, RecordError> {
        let ip = if v6 {
            IpAddr::V6(Ipv6Addr::from(self.array::<16>(field)?))
        } else {
            IpAddr::V4(Ipv4Addr::from(self.array::<4>(field)?))
        };
        // Java keeps the port in four bytes; what does not fit sixteen bits was never a port.
        Ok(SocketAddr::new(ip, self.i32(field)? as u16))
    }
}

/// Java's `String.hashCode`, over UTF-16 units: tags, index keys and selectors depend on it.
pub fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// What a ConsumeQueue entry holds for these tags: their hash, 0 without tags.
pub fn tags_code(tags: Option<&str>) -> i64 {
    tags.filter(|tags| !tags.is_empty()).map_or(0, |tags| i64::from(java_hash(tags)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> MessageRecord {
        MessageRecord {
            topic: "TopicTest".into(),
            queue_id: 3,
            flag: 0,
            sys_flag: 0,
            queue_offset: 42,
            physical_offset: 1024,
            born_timestamp: 1_700_000_000_000,
            born_host: "10.0.0.1:12345".parse().unwrap(),
            store_timestamp: 1_700_000_000_123,
            store_host: "10.0.0.2:10911".parse().unwrap(),
            reconsume_times: 1,
            prepared_transaction_offset: 0,
            body: Bytes::from_static(b"Hello"),
            properties: "a\u{1}1\u{2}TAGS\u{1}TagA".into(),
        }
    }

    /// Every cut and every length that lies is refused; nothing panics.
    #[test]
    fn refuses_broken_records() {
        let mut bytes = Vec::new();
        record().encode(&mut bytes);
        for len in 0..bytes.len() {
            assert!(RecordView::parse(&bytes[..len]).is_err(), "{len}");
        }
        for at in 0..bytes.len() {
            for value in [0, 0x7f, 0xff] {
                let mut broken = bytes.clone();
                broken[at] = value;
                let _ = RecordView::parse(&broken);
            }
        }
        for (topic_len, accepted) in [(TOPIC_LEN_MAX, true), (TOPIC_LEN_MAX + 1, false)] {
            // The encoder refuses such a topic, so its length is patched in.
            let mut long = record();
            (long.topic, long.body) = ("".into(), Bytes::new());
            let mut bytes = Vec::new();
            long.encode(&mut bytes);
            bytes[88] = topic_len as u8;
            bytes.splice(89..89, vec![b'x'; topic_len]);
            let len = bytes.len() as i32;
            bytes[..4].copy_from_slice(&len.to_be_bytes());
            assert_eq!(RecordView::parse(&bytes).is_ok(), accepted, "{topic_len}");
        }
        bytes[84..88].copy_from_slice(&i32::MAX.to_be_bytes());
        assert_eq!(RecordView::parse(&bytes), Err(RecordError::Length("body")));
        bytes[4] = 0;
        assert!(matches!(RecordView::parse(&bytes), Err(RecordError::Magic(_))));
    }

    /// Records back to back come out as they went in.
    #[test]
    fn decodes_back_to_back() {
        let (first, mut second) = (record(), record());
        second.born_host = "[2001:db8::1]:1".parse().unwrap();
        second.sys_flag = sys_flag::BORN_HOST_V6;
        let mut bytes = Vec::new();
        first.encode(&mut bytes);
        second.encode(&mut bytes);
        assert_eq!(bytes.len(), first.encoded_len() + second.encoded_len());
        assert_eq!(MessageRecord::decode_all(bytes.into()).unwrap(), [first, second]);
    }
}
