//! The frame around every command.
//!
//! ```text
//! offset  size   field
//! 0       4      L, the number of bytes after this word
//! 4       1      serialize type: 0 JSON, 1 ROCKETMQ
//! 5       3      H, the header length
//! 8       H      header
//! 8+H     L-4-H  body
//! ```
//!
//! Java counterpart: `RemotingCommand.decode`/`encode` and `NettyDecoder`.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::command::{RemotingCommand, SerializeType};
use crate::{json_header, rocketmq_header};

/// Greatest whole frame, in bytes (`com.rocketmq.remoting.frameMaxLength`).
pub const FRAME_LEN_MAX: usize = 16 * 1024 * 1024;
/// Greatest header of a request, in bytes. 32 KiB of legal properties become up to 192 KiB of JSON.
pub const HEADER_LEN_MAX: usize = 256 * 1024;
/// Greatest header of an answer, in bytes. The one to a batch of 32,768 messages has as many ids, each of up to 57
/// bytes.
pub const ANSWER_HEADER_LEN_MAX: usize = 2 * 1024 * 1024;
/// Most extension fields in a header.
pub const EXT_FIELDS_MAX: usize = 128;
/// Longest name of an extension field, in bytes.
pub const EXT_KEY_LEN_MAX: usize = 256;

/// Why bytes are not a frame. The connection cannot go on: where the next frame starts is unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The declared length is negative, too small or above [`FRAME_LEN_MAX`].
    Length(u32),
    /// The header is longer than its frame, than [`ANSWER_HEADER_LEN_MAX`], or a request's than [`HEADER_LEN_MAX`].
    HeaderLength(u32),
    /// The serialize type is neither 0 nor 1.
    SerializeType(u8),
    /// The header's bytes do not parse; the text says what is wrong and where.
    Header(String),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(len) => write!(f, "frame length {len} is not within 4..={}", FRAME_LEN_MAX - 4),
            Self::HeaderLength(len) => {
                write!(
                    f,
                    "header length {len} exceeds its frame or the limit of {HEADER_LEN_MAX} for requests"
                )
            }
            Self::SerializeType(byte) => write!(f, "unknown serialize type {byte}"),
            Self::Header(reason) => write!(f, "bad header: {reason}"),
        }
    }
}

impl std::error::Error for FrameError {}

/// Takes one frame from the front of `buffer`, or `None` until it is complete.
///
/// Texts and body of the command share the buffer's memory.
pub fn decode(buffer: &mut BytesMut) -> Result<Option<RemotingCommand>, FrameError> {
    let Some(prefix) = buffer.first_chunk::<4>() else { return Ok(None) };
    let declared = u32::from_be_bytes(*prefix);
    let len = declared as usize;
    if !(4..=FRAME_LEN_MAX - 4).contains(&len) {
        return Err(FrameError::Length(declared));
    }
    // The header word is judged as soon as it is there, before a large body is waited for.
    let Some(word) = buffer.get(4..8) else { return Ok(None) };
    let serialize_type = match word[0] {
        0 => SerializeType::Json,
        1 => SerializeType::RocketMq,
        other => return Err(FrameError::SerializeType(other)),
    };
    let header_len = u32::from_be_bytes([0, word[1], word[2], word[3]]);
    if header_len as usize > (len - 4).min(ANSWER_HEADER_LEN_MAX) {
        return Err(FrameError::HeaderLength(header_len));
    }
    if buffer.len() < 4 + len {
        return Ok(None);
    }
    let mut frame = buffer.split_to(4 + len).freeze();
    frame.advance(8);
    let header = frame.split_to(header_len as usize);
    let mut command = match serialize_type {
        SerializeType::Json => json_header::decode(&header)?,
        SerializeType::RocketMq => rocketmq_header::decode(&header)?,
    };
    if header_len as usize > HEADER_LEN_MAX && !command.is_response() {
        return Err(FrameError::HeaderLength(header_len));
    }
    command.body = frame;
    Ok(Some(command))
}

/// How many bytes of a frame are still missing, once its length word is there.
///
/// A reader uses it to size its next read; it never reserves more than `at_most`, whatever a peer declares.
pub fn missing(buffer: &[u8], at_most: usize) -> usize {
    match buffer.first_chunk::<4>() {
        Some(prefix) => (4 + u32::from_be_bytes(*prefix) as usize).saturating_sub(buffer.len()).min(at_most),
        None => 0,
    }
}

/// Appends everything of the frame but its body, whose length is accounted for.
///
/// The caller writes `command.body` right behind it, which allows a large body to be sent without a copy.
///
/// # Panics
/// If the frame would exceed [`FRAME_LEN_MAX`]: callers bound bodies long before.
pub fn encode_head(command: &RemotingCommand, out: &mut BytesMut) {
    let start = out.len();
    // Codes of the pop family do not fit the binary header's 16 bits: such frames are JSON whatever is asked.
    let fits = i16::try_from(command.code).is_ok() && i16::try_from(command.version).is_ok();
    let binary = command.serialize_type == SerializeType::RocketMq && fits;
    out.put_u64(0);
    if binary {
        rocketmq_header::encode(command, out);
    } else {
        json_header::encode(command, out);
    }
    let header_len = out.len() - start - 8;
    let len = 4 + header_len + command.body.len();
    assert!(len <= FRAME_LEN_MAX - 4, "a frame of {len} bytes exceeds the protocol's limit");
    assert!(header_len < 1 << 24, "a header of {header_len} bytes does not fit its 24-bit length");
    out[start..start + 4].copy_from_slice(&(len as u32).to_be_bytes());
    out[start + 4..start + 8].copy_from_slice(&(header_len as u32).to_be_bytes());
    if binary {
        out[start + 4] = 1;
    }
}

/// Appends the whole frame.
pub fn encode(command: &RemotingCommand, out: &mut BytesMut) {
    encode_head(command, out);
    out.put_slice(&command.body);
}

/// The whole frame as bytes of its own; for tests and rare commands.
pub fn to_bytes(command: &RemotingCommand) -> Bytes {
    let mut out = BytesMut::new();
    encode(command, &mut out);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{ExtFields, LanguageCode};
    use crate::response_code::ResponseCode;

    fn sample(serialize_type: SerializeType) -> RemotingCommand {
        RemotingCommand {
            code: 310,
            language: LanguageCode::JAVA,
            version: 409,
            opaque: 7,
            flag: 0,
            remark: None,
            ext_fields: ExtFields::from_iter([("a", "group"), ("i", "k\u{1}v\u{2}\"\\\u{4e2d}")]),
            serialize_type,
            body: Bytes::from_static(b"body"),
        }
    }

    /// What is written is read back, whole or byte by byte, in both serializations.
    #[test]
    fn round_trip_in_pieces() {
        for serialize_type in [SerializeType::Json, SerializeType::RocketMq] {
            let command = sample(serialize_type);
            let bytes = to_bytes(&command);
            let mut buffer = BytesMut::new();
            for (at, byte) in bytes.iter().enumerate() {
                assert_eq!(decode(&mut buffer).unwrap(), None, "complete after {at} bytes");
                buffer.put_u8(*byte);
            }
            assert_eq!(decode(&mut buffer).unwrap(), Some(command));
            assert!(buffer.is_empty());
        }
    }

    /// A code beyond 16 bits survives although the binary header has no room for it.
    #[test]
    fn large_codes_travel_as_json() {
        let command = RemotingCommand { code: 200_050, ..sample(SerializeType::RocketMq) };
        let decoded = decode(&mut BytesMut::from(&to_bytes(&command)[..])).unwrap();
        assert_eq!(decoded, Some(RemotingCommand { serialize_type: SerializeType::Json, ..command }));
    }

    /// A reply takes opaque and serialization from its request.
    #[test]
    fn reply_pairs_with_request() {
        let request = sample(SerializeType::RocketMq);
        let reply = request.reply_error(ResponseCode::TOPIC_NOT_EXIST, "no such topic");
        assert!(reply.is_response());
        assert_eq!((reply.opaque, reply.serialize_type), (7, SerializeType::RocketMq));
    }

    /// Every broken length is refused as soon as it can be seen.
    #[test]
    fn refuses_bad_lengths() {
        let refuse = |bytes: &[u8]| decode(&mut BytesMut::from(bytes)).unwrap_err();
        assert_eq!(refuse(&[0, 0, 0, 3]), FrameError::Length(3));
        assert_eq!(refuse(&[0xff, 0xff, 0xff, 0xff]), FrameError::Length(u32::MAX));
        assert_eq!(refuse(&[0, 0, 0, 4, 0, 0, 0, 1]), FrameError::HeaderLength(1));
        assert_eq!(refuse(&[0, 0, 0, 4, 2, 0, 0, 0]), FrameError::SerializeType(2));
        assert_eq!(refuse(&[0, 0xf0, 0, 0, 0, 0xff, 0xff, 0xff]), FrameError::HeaderLength(0xff_ffff));
    }
}
