//! What JSON headers and JSON bodies share: how a text stands between its quotes.

use bytes::BufMut;

/// Appends `text` between double quotes, with the escapes that fastjson writes.
pub(crate) fn put_string(out: &mut impl BufMut, text: &str) {
    out.put_u8(b'"');
    let bytes = text.as_bytes();
    let mut plain_from = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let escaped: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..0x20 => b"",
            _ => continue,
        };
        out.put_slice(&bytes[plain_from..at]);
        plain_from = at + 1;
        if escaped.is_empty() {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            out.put_slice(b"\\u00");
            out.put_u8(HEX[usize::from(byte >> 4)]);
            out.put_u8(HEX[usize::from(byte & 15)]);
        } else {
            out.put_slice(escaped);
        }
    }
    out.put_slice(&bytes[plain_from..]);
    out.put_u8(b'"');
}

/// Reads on from `at`, which stands inside a text, to behind its closing `quote`, and appends the
/// characters to `out`. On a fault `at` stays near it.
pub(crate) fn unescape(
    source: &[u8],
    at: &mut usize,
    quote: u8,
    out: &mut Vec<u8>,
) -> Result<(), &'static str> {
    loop {
        let byte = *source.get(*at).ok_or("unexpected end in a text")?;
        *at += 1;
        if byte == quote {
            return Ok(());
        }
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let escape = *source.get(*at).ok_or("unexpected end in an escape")?;
        *at += 1;
        let plain = match escape {
            b'"' | b'\\' | b'/' | b'\'' => escape,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'b' => 8,
            b'f' | b'F' => 12,
            b'v' => 11,
            b'0'..=b'7' => escape - b'0',
            b'x' => u8::try_from(hex(source, at, 2)?).unwrap_or(b'?'),
            b'u' => {
                let unit = unicode(source, at)?;
                out.extend_from_slice(unit.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            _ => return Err("unknown escape"),
        };
        out.extend_from_slice(char::from(plain).encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// What follows `\u`: one character, of one or two UTF-16 units. A lone surrogate becomes U+FFFD.
fn unicode(source: &[u8], at: &mut usize) -> Result<char, &'static str> {
    let unit = hex(source, at, 4)?;
    let mut code = unit;
    if (0xD800..0xDC00).contains(&unit) && source.get(*at..*at + 2) == Some(b"\\u") {
        let before = *at;
        *at += 2;
        let low = hex(source, at, 4)?;
        if (0xDC00..0xE000).contains(&low) {
            code = 0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
        } else {
            *at = before;
        }
    }
    Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
}

fn hex(source: &[u8], at: &mut usize, digits: usize) -> Result<u32, &'static str> {
    let text = source.get(*at..*at + digits).ok_or("unexpected end in an escape")?;
    let mut value = 0;
    for digit in text {
        value = value << 4 | (*digit as char).to_digit(16).ok_or("a hexadecimal digit expected")?;
    }
    *at += digits;
    Ok(value)
}
