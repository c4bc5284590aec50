//! What JSON headers and JSON bodies share: how a text stands between its quotes.

use bytes::BufMut;

/// A byte eight times.
const fn eight(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The place of the first quote or backslash, or with `CONTROLS` also of the first byte below a space; the length if
/// there is none. Eight bytes at a time: texts are most of what is read and written for a message.
pub(crate) fn plain_len<const CONTROLS: bool>(bytes: &[u8]) -> usize {
    // Highest bits mark bytes of `word` below `limit`; above the lowest mark there may be wrong ones.
    let below = |word: u64, limit: u8| word.wrapping_sub(eight(limit)) & !word & eight(0x80);
    let (words, rest) = bytes.as_chunks::<8>();
    for (number, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let controls = if CONTROLS { below(word, b' ') } else { 0 };
        let found = controls | below(word ^ eight(b'"'), 1) | below(word ^ eight(b'\\'), 1);
        if found != 0 {
            return number * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let stops = |byte: &u8| matches!(byte, b'"' | b'\\') || CONTROLS && *byte < b' ';
    words.len() * 8 + rest.iter().position(stops).unwrap_or(rest.len())
}

/// Appends `text` between double quotes, with the escapes that fastjson writes.
pub(crate) fn put_string(out: &mut impl BufMut, text: &str) {
    let mut rest = text.as_bytes();
    // Most names in the header of a send, and half of its values.
    if let [byte @ (b'a'..=b'z' | b'0'..=b'9')] = rest {
        out.put_slice(&[b'"', *byte, b'"']);
        return;
    }
    out.put_u8(b'"');
    loop {
        let plain = plain_len::<true>(rest);
        if plain == rest.len() {
            out.put_slice(rest);
            break;
        }
        let (plain, others) = rest.split_at(plain);
        out.put_slice(plain);
        let Some((byte, behind)) = others.split_first() else { break };
        match byte {
            b'"' => out.put_slice(b"\\\""),
            b'\\' => out.put_slice(b"\\\\"),
            b'\n' => out.put_slice(b"\\n"),
            b'\r' => out.put_slice(b"\\r"),
            b'\t' => out.put_slice(b"\\t"),
            _ => {
                const HEX: &[u8; 16] = b"0123456789ABCDEF";
                let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                out.put_slice(&[b'\\', b'u', b'0', b'0', digits[0], digits[1]]);
            }
        }
        rest = behind;
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte that has to be seen is seen, wherever it stands and whatever stands around it.
    #[test]
    fn stops_where_it_must() {
        for around in [b' ', b'a', 0x7f, 0x80, 0xff] {
            for stop in 0..=u8::MAX {
                for at in 0..20 {
                    let mut bytes = [around; 20];
                    bytes[at] = stop;
                    let quoting = matches!(stop, b'"' | b'\\');
                    assert_eq!(plain_len::<false>(&bytes), if quoting { at } else { 20 }, "{stop} at {at}");
                    let stops = quoting || stop < b' ';
                    assert_eq!(plain_len::<true>(&bytes), if stops { at } else { 20 }, "{stop} at {at}");
                }
            }
        }
        assert_eq!(plain_len::<true>(b"12345678\"2345\\78\x01"), 8);
        assert_eq!(plain_len::<true>(b""), 0);
    }

    /// What is written is read again, with every character that has an escape.
    #[test]
    fn texts_come_back() {
        let text: String = (0..300).filter_map(char::from_u32).chain("\u{4e2d}\u{1f600}".chars()).collect();
        for from in text.char_indices().map(|(at, _)| at) {
            let mut out = Vec::new();
            put_string(&mut out, &text[from..]);
            let (mut at, mut read) = (1, Vec::new());
            unescape(&out, &mut at, b'"', &mut read).unwrap();
            assert_eq!((at, &*read), (out.len(), &text.as_bytes()[from..]));
        }
        let mut out = Vec::new();
        put_string(&mut out, "a\"\\\n\r\t\u{1}\u{1f}");
        assert_eq!(out, br#""a\"\\\n\r\t\u0001\u001F""#);
    }
}
