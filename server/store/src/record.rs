//! A stored record as recovery meets it, and what is taken from it for the ConsumeQueue and the index.
//!
//! Recovery must cut the log exactly where Java's `checkMessageAndReturnSize` does, so it has its own reader:
//! unlike [`ferrocket_protocol::RecordView`] it accepts texts that are not UTF-8, which a client can get into
//! a batch, and it can be asked to compare the body's CRC.

use std::borrow::Cow;

use ferrocket_protocol::message::{
    MAGIC_BLANK, MAGIC_V1, MAGIC_V2, PHYSICAL_OFFSET_AT, QUEUE_OFFSET_AT, TOPIC_LEN_MAX, body_crc, java_hash,
    store_timestamp_at, sys_flag, tags_code,
};
use ferrocket_protocol::properties::{self, names};

use crate::multi_dispatch::Places;

/// The hidden topic of delayed messages.
pub(crate) const SCHEDULE_TOPIC: &str = "SCHEDULE_TOPIC_XXXX";
/// What a delayed message waits if its level is unknown, in milliseconds.
const DELAY_UNKNOWN_MS: i64 = 1_000;
/// The smallest piece that a disk writes as a whole.
const SECTOR_LEN: usize = 512;
const QUEUE_ID_AT: usize = 12;
const SYS_FLAG_AT: usize = 36;
/// Bytes of a blank record's own content.
pub(crate) const BLANK_LEN: i64 = 8;

/// What recovery needs of a record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found<'a> {
    pub(crate) size: usize,
    pub(crate) queue_id: i32,
    pub(crate) queue_offset: i64,
    pub(crate) physical_offset: i64,
    pub(crate) sys_flag: i32,
    pub(crate) store_timestamp: i64,
    /// Where in the record the topic begins; nothing from there on is covered by the CRC.
    pub(crate) text_at: usize,
    pub(crate) topic: Cow<'a, str>,
    pub(crate) properties: Cow<'a, str>,
}

/// What stands at a place in the log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    Record(Found<'a>),
    /// The rest of the segment is blank.
    Blank,
    /// Nothing that can be read, and why.
    Broken(&'static str),
}

/// The size and magic at a place, if there are bytes for them.
pub(crate) fn size_and_magic(bytes: &[u8]) -> Option<(i32, i32)> {
    let (size, rest) = bytes.split_first_chunk()?;
    Some((i32::from_be_bytes(*size), i32::from_be_bytes(*rest.first_chunk()?)))
}

/// The store timestamp of the record at the front of `bytes`.
pub(crate) fn store_timestamp(bytes: &[u8]) -> Option<i64> {
    let flags = i32::from_be_bytes(*bytes.get(SYS_FLAG_AT..)?.first_chunk()?);
    bytes.get(store_timestamp_at(flags)..)?.first_chunk().map(|bytes| i64::from_be_bytes(*bytes))
}

/// Bytes from which [`store_timestamp`] can always be read.
pub(crate) const STORE_TIMESTAMP_LEN: usize = 76;

/// Reads what stands at the front of `bytes`, which reach to the end of the segment or hold the whole record.
pub(crate) fn read(bytes: &[u8], check_crc: bool) -> Place<'_> {
    let Some((size, magic)) = size_and_magic(bytes) else { return Place::Broken("no room for a record") };
    match magic {
        MAGIC_V1 | MAGIC_V2 => {}
        MAGIC_BLANK => return Place::Blank,
        0 if size == 0 => return Place::Broken("zero bytes"),
        _ => return Place::Broken("the magic is that of no record"),
    }
    let record = usize::try_from(size).ok().and_then(|size| bytes.get(..size));
    let Some(record) = record else { return Place::Broken("the size exceeds the segment") };
    match parse(record, magic, check_crc) {
        Ok(found) => Place::Record(found),
        Err(what) => Place::Broken(what),
    }
}

fn parse(record: &[u8], magic: i32, check_crc: bool) -> Result<Found<'_>, &'static str> {
    const SHORT: &str = "the lengths do not add up to the size";
    let i32_at = |at: usize| record.get(at..)?.first_chunk().map(|bytes| i32::from_be_bytes(*bytes));
    let i64_at = |at: usize| record.get(at..)?.first_chunk().map(|bytes| i64::from_be_bytes(*bytes));
    let flags = i32_at(SYS_FLAG_AT).ok_or(SHORT)?;
    let timestamp_at = store_timestamp_at(flags);
    let store_host_len = if flags & sys_flag::STORE_HOST_V6 == 0 { 8 } else { 20 };
    // Behind the store host: reconsume times 4, prepared transaction offset 8.
    let body_at = timestamp_at + 8 + store_host_len + 12;
    let body_len = i32_at(body_at).ok_or(SHORT)?;
    let rest = record.get(body_at + 4..).ok_or(SHORT)?;
    let body_len = usize::try_from(body_len).unwrap_or(0);
    let (body, rest) = rest.split_at_checked(body_len).ok_or(SHORT)?;
    let (topic_len, rest) = if magic == MAGIC_V1 {
        let (len, rest) = rest.split_first().ok_or(SHORT)?;
        (usize::from(*len), rest)
    } else {
        let (len, rest) = rest.split_first_chunk().ok_or(SHORT)?;
        (usize::from(u16::from_be_bytes(*len)), rest)
    };
    if magic == MAGIC_V1 && topic_len > TOPIC_LEN_MAX {
        return Err("the topic is longer than 127 bytes");
    }
    let (topic, rest) = rest.split_at_checked(topic_len).ok_or(SHORT)?;
    let (properties_len, rest) = rest.split_first_chunk().ok_or(SHORT)?;
    let properties_len = usize::try_from(i16::from_be_bytes(*properties_len)).unwrap_or(0);
    let (properties, rest) = rest.split_at_checked(properties_len).ok_or(SHORT)?;
    if !rest.is_empty() {
        return Err(SHORT);
    }
    if check_crc && !body.is_empty() && i32_at(8) != Some(body_crc(body)) {
        return Err("the body's CRC is wrong");
    }
    Ok(Found {
        size: record.len(),
        queue_id: i32_at(QUEUE_ID_AT).ok_or(SHORT)?,
        queue_offset: i64_at(QUEUE_OFFSET_AT).ok_or(SHORT)?,
        physical_offset: i64_at(PHYSICAL_OFFSET_AT).ok_or(SHORT)?,
        sys_flag: flags,
        store_timestamp: i64_at(timestamp_at).ok_or(SHORT)?,
        text_at: body_at + 4 + body_len + if magic == MAGIC_V1 { 1 } else { 2 },
        topic: String::from_utf8_lossy(topic),
        properties: String::from_utf8_lossy(properties),
    })
}

/// Whether a power cut may have taken a part of the record at `offset` that no CRC covers: a piece of its texts,
/// from the start of a disk sector on, that is zero. No text has a zero just there except by a rare accident.
pub(crate) fn is_torn(record: &[u8], offset: i64, text_at: usize) -> bool {
    let to_boundary = (-offset).rem_euclid(SECTOR_LEN as i64) as usize;
    let boundaries = (to_boundary..record.len()).step_by(SECTOR_LEN);
    let mut pieces = boundaries.filter(|at| *at >= text_at).filter_map(|at| record.get(at..));
    pieces.any(|rest| rest.iter().take(SECTOR_LEN).all(|byte| *byte == 0))
}

/// Whether a record with this system flag has a place in a ConsumeQueue: neither half nor rolled back.
pub(crate) fn has_queue_offset(flags: i32) -> bool {
    let kind = flags & sys_flag::TRANSACTION_ROLLBACK;
    kind == 0 || kind == sys_flag::TRANSACTION_COMMIT
}

/// Whether a record with this system flag is indexed: all but rolled back ones.
pub(crate) fn is_indexed(flags: i32) -> bool {
    flags & sys_flag::TRANSACTION_ROLLBACK != sys_flag::TRANSACTION_ROLLBACK
}

/// The properties that the store itself looks at.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct StoreProperties<'a> {
    tags: Option<&'a str>,
    delay: Option<&'a str>,
    unique_key: Option<&'a str>,
    keys: Option<&'a str>,
    /// In other queues.
    pub(crate) places: Places<'a>,
}

impl<'a> StoreProperties<'a> {
    pub(crate) fn read(text: &'a str) -> Self {
        let mut found = Self::default();
        for (name, value) in properties::iter(text) {
            match name {
                names::TAGS => found.tags = Some(value),
                names::DELAY_TIME_LEVEL => found.delay = Some(value),
                names::UNIQ_CLIENT_MESSAGE_ID_KEYIDX => found.unique_key = Some(value),
                names::KEYS => found.keys = Some(value),
                names::INNER_MULTI_DISPATCH => found.places.names = Some(value),
                names::INNER_MULTI_QUEUE_OFFSET => found.places.offsets = Some(value),
                _ => {}
            }
        }
        found
    }

    /// What the ConsumeQueue entry holds: the hash of the tags, or when a delayed message is due. `levels` are
    /// the delays in milliseconds.
    pub(crate) fn tags_code(&self, topic: &str, store_timestamp: i64, levels: &[i64]) -> i64 {
        if topic == SCHEDULE_TOPIC
            && let Some(level) = self.delay.and_then(|level| level.parse::<usize>().ok())
            && let Some(index) = level.min(levels.len()).checked_sub(1)
        {
            return store_timestamp + levels.get(index).copied().unwrap_or(DELAY_UNKNOWN_MS);
        }
        tags_code(self.tags)
    }

    /// The index hashes of the unique key and of each key, in Java's order. `key_hash` is that of `topic#`.
    pub(crate) fn key_hashes(&self, key_hash: i32) -> impl Iterator<Item = u32> {
        let keys = self.keys.unwrap_or("").split(' ').filter(|key| !key.is_empty());
        self.unique_key.into_iter().chain(keys).map(move |key| index_hash(key_hash, key))
    }
}

/// Java's hash of `topic#`, from which the hashes of the topic's keys go on.
pub(crate) fn topic_hash(topic: &str) -> i32 {
    java_hash(topic).wrapping_mul(31).wrapping_add(i32::from(b'#'))
}

/// Java's `indexKeyHashMethod` of `topic#key`, given the hash of `topic#`.
pub(crate) fn index_hash(key_hash: i32, key: &str) -> u32 {
    let step = |hash: i32, unit: u16| hash.wrapping_mul(31).wrapping_add(i32::from(unit));
    let hash = key.encode_utf16().fold(key_hash, step);
    // `Math.abs(Integer.MIN_VALUE)` is negative, for which Java takes 0.
    hash.checked_abs().unwrap_or(0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = "00000076daa320a777d189820000000300000000000000000000002a0000000000000400000000000000018bcfe568000a000001000030390000018bcfe5687b0a00000200002a9f0000000100000000000000000000000548656c6c6f09546f70696354657374000d61013102544147530154616741";

    fn golden() -> Vec<u8> {
        (0..GOLDEN.len()).step_by(2).map(|at| u8::from_str_radix(&GOLDEN[at..at + 2], 16).unwrap()).collect()
    }

    /// Bytes that Java 4.9.8 wrote give the fields it wrote.
    #[test]
    fn reads_javas_bytes() {
        let bytes = golden();
        let Place::Record(found) = read(&bytes, true) else { panic!("{:?}", read(&bytes, true)) };
        assert_eq!((found.size, found.queue_id, found.queue_offset), (118, 3, 42));
        assert_eq!((found.physical_offset, found.store_timestamp), (1024, 1_700_000_000_123));
        assert_eq!(store_timestamp(&bytes), Some(1_700_000_000_123));
        assert_eq!((&*found.topic, &*found.properties), ("TopicTest", "a\u{1}1\u{2}TAGS\u{1}TagA"));
        assert_eq!(StoreProperties::read(&found.properties).tags_code("TopicTest", 0, &[]), 2_598_919);
    }

    /// What Java 4.9 cannot read ends the log; text that is not UTF-8 does not.
    #[test]
    fn ends_where_java_does() {
        let broken = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = golden();
            change(&mut bytes);
            matches!(read(&bytes, true), Place::Broken(_))
        };
        assert!(broken(&|bytes| bytes[4] = 0), "magic");
        assert!(broken(&|bytes| bytes[88] ^= 1), "body");
        assert!(broken(&|bytes| bytes[87] = 6), "body length");
        assert!(broken(&|bytes| bytes[93] = 0x80), "topic length");
        assert!(broken(&|bytes| bytes[104] = 0x0e), "properties length");
        assert!(broken(&|bytes| bytes.truncate(117)), "size");
        assert!(broken(&|bytes| bytes.fill(0)), "zero");
        assert!(!broken(&|bytes| bytes[106] = 0xff), "properties that are not UTF-8");
        for len in 0..golden().len() {
            assert!(matches!(read(&golden()[..len], true), Place::Broken(_)), "{len}");
        }
        let blank = [0, 0, 1, 0, 0xCB, 0xD4, 0x31, 0x94];
        assert_eq!(read(&blank, true), Place::Blank);
    }

    /// A zeroed sector within the texts is seen, zeros elsewhere are not held against a record.
    #[test]
    fn torn_records_are_seen() {
        let bytes = golden();
        let offset = SECTOR_LEN as i64 - 110;
        assert!(!is_torn(&bytes, offset, 94));
        let mut torn = bytes.clone();
        torn[110..].fill(0);
        assert!(is_torn(&torn, offset, 94));
        assert!(!is_torn(&torn, offset + 1, 94));
        assert!(!is_torn(&torn, offset, 112));
    }

    /// Index hashes as Java computes them, with the case in which `Math.abs` fails.
    #[test]
    fn index_hashes_are_javas() {
        assert_eq!(index_hash(topic_hash("TopicTest"), "key1"), 1_655_984_460);
        assert_eq!(index_hash(i32::MIN, ""), 0);
        let properties = "KEYS\u{1}a  b\u{2}UNIQ_KEY\u{1}u\u{2}";
        let hashes: Vec<u32> = StoreProperties::read(properties).key_hashes(0).collect();
        assert_eq!(hashes, [u32::from(b'u'), u32::from(b'a'), u32::from(b'b')]);
    }

    /// Delayed messages are due after their level's delay; the level is bounded as in Java.
    #[test]
    fn delayed_messages_are_due() {
        let due = |level: &str| {
            let text = format!("DELAY\u{1}{level}\u{2}TAGS\u{1}x");
            StoreProperties::read(&text).tags_code(SCHEDULE_TOPIC, 1_000, &[10, 20])
        };
        let tags = tags_code(Some("x"));
        assert_eq!([due("1"), due("2"), due("9"), due("0"), due("z")], [1_010, 1_020, 1_020, tags, tags]);
    }
}
