//! The body of `SEND_BATCH_MESSAGE`: messages of one topic, back to back.
//!
//! ```text
//! offset  size  field
//! 0       4     unit size
//! 4       4     magic, always 0
//! 8       4     CRC, always 0
//! 12      4     application flag
//! 16      4+n   body
//! 20+n    2+p   properties
//! ```
//!
//! Everything else about the messages stands in the request's header. Java counterpart:
//! `MessageDecoder.encodeMessages`, `decodeMessages`.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::command::Text;
use crate::message::PROPERTIES_LEN_MAX;

/// Bytes of a unit without its body and properties.
const UNIT_LEN: usize = 22;

/// One message of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchMessage {
    /// The application's own flag.
    pub flag: i32,
    /// The body, which batches never compress.
    pub body: Bytes,
    /// The properties text (see [`crate::properties`]).
    pub properties: Text,
}

/// Why bytes are not a batch; names the unit by its number, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchError {
    /// The number of the broken unit.
    pub unit: usize,
    /// What is wrong with it.
    pub fault: &'static str,
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message {} of the batch: {}", self.unit, self.fault)
    }
}

impl std::error::Error for BatchError {}

/// The body for these messages.
///
/// # Panics
/// If properties exceed [`PROPERTIES_LEN_MAX`]: callers refuse such messages before.
pub fn encode(messages: &[BatchMessage]) -> Bytes {
    let len = |message: &BatchMessage| UNIT_LEN + message.body.len() + message.properties.len();
    let mut out = BytesMut::with_capacity(messages.iter().map(len).sum());
    for message in messages {
        assert!(message.properties.len() <= PROPERTIES_LEN_MAX, "properties are too long for a batch");
        out.put_u32(len(message) as u32);
        out.put_u64(0);
        out.put_i32(message.flag);
        out.put_u32(message.body.len() as u32);
        out.put_slice(&message.body);
        out.put_u16(message.properties.len() as u16);
        out.put_slice(message.properties.as_bytes());
    }
    out.freeze()
}

/// The messages of a body, sharing its memory. A batch without messages is no batch.
pub fn decode(mut body: Bytes) -> Result<Vec<BatchMessage>, BatchError> {
    let mut messages = Vec::new();
    loop {
        let unit = messages.len();
        messages.push(take(&mut body).map_err(|fault| BatchError { unit, fault })?);
        if body.is_empty() {
            return Ok(messages);
        }
    }
}

fn take(rest: &mut Bytes) -> Result<BatchMessage, &'static str> {
    if rest.len() < UNIT_LEN {
        return Err("it is cut off");
    }
    let size = rest.get_u32() as usize;
    // Its own word is already read.
    let Some(size) = size.checked_sub(4).filter(|size| (UNIT_LEN - 4..=rest.len()).contains(size)) else {
        return Err("its size does not fit what follows");
    };
    let mut unit = rest.split_to(size);
    // Java writes zeros for magic and CRC and checks neither.
    unit.advance(8);
    let flag = unit.get_i32();
    let body_len = unit.get_u32() as usize;
    if body_len > unit.len() - 2 {
        return Err("its body does not fit its size");
    }
    let body = unit.split_to(body_len);
    let properties_len = usize::from(unit.get_u16());
    if properties_len != unit.len() || properties_len > PROPERTIES_LEN_MAX {
        return Err("its properties do not fit its size");
    }
    let properties = Text::try_from(unit).map_err(|_| "its properties are not UTF-8")?;
    Ok(BatchMessage { flag, body, properties })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Batches come back; cut or lying ones name the unit at fault.
    #[test]
    fn round_trip_and_faults() {
        let one = BatchMessage { flag: 7, body: Bytes::from_static(b"a"), properties: "K\u{1}v".into() };
        let two = BatchMessage::default();
        let bytes = encode(&[one.clone(), two.clone()]);
        assert_eq!(decode(bytes.clone()), Ok(vec![one.clone(), two]));
        let first = UNIT_LEN + 4;
        for len in 0..bytes.len() {
            let expected = match len {
                n if n == first => Ok(vec![one.clone()]),
                n if n < first => Err(0),
                _ => Err(1),
            };
            assert_eq!(decode(bytes.slice(..len)).map_err(|error| error.unit), expected, "{len}");
        }
        for (at, fault) in [(0, "its size"), (16, "its body"), (21, "its properties")] {
            let mut lying = bytes.to_vec();
            lying[at] = 0xff;
            let error = decode(lying.into()).unwrap_err();
            assert!(error.unit == 0 && error.fault.starts_with(fault), "{error}");
        }
    }
}
