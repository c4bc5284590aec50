//! The binary `ROCKETMQ` header.
//!
//! ```text
//! offset  size  field
//! 0       2     code (signed)
//! 2       1     language
//! 3       2     version (signed)
//! 5       4     opaque
//! 9       4     flag
//! 13      4+R   remark length, remark (0: none)
//! 17+R    4+E   length of the fields, then each: key length 2, key, value length 4, value
//! ```
//!
//! Java counterpart: `RocketMQSerializable`. Codes above 32,767 do not fit: [`crate::frame`] writes those as JSON.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::command::{ExtFields, LanguageCode, RemotingCommand, SerializeType, Text};
use crate::frame::{EXT_FIELDS_MAX, EXT_KEY_LEN_MAX, FrameError};

/// Reads a header; the command's body is left empty.
pub(crate) fn decode(header: &Bytes) -> Result<RemotingCommand, FrameError> {
    let mut rest = header.clone();
    read(&mut rest)
        .map_err(|reason| FrameError::Header(format!("{reason} at byte {}", header.len() - rest.len())))
}

fn read(rest: &mut Bytes) -> Result<RemotingCommand, &'static str> {
    if rest.len() < 21 {
        return Err("shorter than its fixed part");
    }
    let mut command = RemotingCommand {
        code: i32::from(rest.get_i16()),
        language: LanguageCode(rest.get_u8()),
        version: i32::from(rest.get_i16()),
        opaque: rest.get_i32(),
        flag: rest.get_i32(),
        remark: None,
        ext_fields: ExtFields::new(),
        serialize_type: SerializeType::RocketMq,
        body: Bytes::new(),
    };
    let remark_len = rest.get_u32() as usize;
    if remark_len > 0 {
        command.remark = Some(text(rest, remark_len)?);
    }
    let fields_len = rest.try_get_u32().map_err(|_| "no room for the fields' length")? as usize;
    if fields_len != rest.len() {
        return Err("the fields' length is not what is left");
    }
    while !rest.is_empty() {
        let key_len = usize::from(rest.try_get_u16().map_err(|_| "no room for a key length")?);
        if key_len > EXT_KEY_LEN_MAX {
            return Err("field name too long");
        }
        let key = text(rest, key_len)?;
        let value_len = rest.try_get_u32().map_err(|_| "no room for a value length")? as usize;
        let value = text(rest, value_len)?;
        if command.ext_fields.len() == EXT_FIELDS_MAX {
            return Err("too many fields");
        }
        // Java reads a zero-length key or value as null, that is: as absent.
        if !key.is_empty() && !value.is_empty() {
            command.ext_fields.push(key, value);
        }
    }
    Ok(command)
}

fn text(rest: &mut Bytes, len: usize) -> Result<Text, &'static str> {
    if len > rest.len() {
        return Err("a text reaches beyond the header");
    }
    Text::try_from(rest.split_to(len)).map_err(|_| "text that is not UTF-8")
}

/// Writes a header.
pub(crate) fn encode(command: &RemotingCommand, out: &mut BytesMut) {
    out.put_i16(command.code as i16);
    out.put_u8(command.language.0);
    out.put_i16(command.version as i16);
    out.put_i32(command.opaque);
    out.put_i32(command.flag);
    let remark = command.remark.as_deref().unwrap_or_default();
    out.put_u32(remark.len() as u32);
    out.put_slice(remark.as_bytes());
    let fields = command.ext_fields.iter().filter(|(key, _)| key.len() <= usize::from(u16::MAX));
    out.put_u32(fields.clone().map(|(key, value)| 6 + key.len() + value.len()).sum::<usize>() as u32);
    for (key, value) in fields {
        out.put_u16(key.len() as u16);
        out.put_slice(key.as_bytes());
        out.put_u32(value.len() as u32);
        out.put_slice(value.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cutting a header anywhere is refused, never a panic.
    #[test]
    fn refuses_every_cut() {
        let mut command = read(&mut Bytes::from_static(&[0; 21])).unwrap();
        command.remark = Some("why".into());
        command.ext_fields.push("key", "value");
        let mut out = BytesMut::new();
        encode(&command, &mut out);
        let whole = out.freeze();
        assert_eq!(decode(&whole).unwrap(), command);
        for len in 0..whole.len() {
            assert!(matches!(decode(&whole.slice(..len)), Err(FrameError::Header(_))), "{len}");
        }
    }
}
