//! What JSON headers and JSON bodies share: how a text stands between its quotes.

/// A byte eight times.
const fn eight(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Which of eight bytes is the first that a plain part of a text ends at: its quote, a backslash, and with `CONTROLS`
/// any byte below a space. Texts are most of what is read and written for a message, so that they are looked at in such
/// pieces.
#[inline]
fn stop_of_eight<const CONTROLS: bool>(word: u64, quote: u8) -> Option<usize> {
    // Highest bits mark bytes of `word` below `limit`; above the lowest mark there may be wrong ones.
    let below = |word: u64, limit: u8| word.wrapping_sub(eight(limit));
    let controls = if CONTROLS { below(word, b' ') } else { 0 };
    let found = controls | below(word ^ eight(quote), 1) | below(word ^ eight(b'\\'), 1);
    first_marked(found & !word)
}

/// Which of eight bytes is the first that is a double quote, a backslash or not ASCII.
#[inline]
pub(crate) fn unusual_of_eight(bytes: [u8; 8]) -> Option<usize> {
    let word = u64::from_le_bytes(bytes);
    let zero = |word: u64| word.wrapping_sub(eight(1));
    first_marked(zero(word ^ eight(b'"')) | zero(word ^ eight(b'\\')) | word)
}

/// The lowest byte whose highest bit is set.
#[inline]
fn first_marked(word: u64) -> Option<usize> {
    let marks = word & eight(0x80);
    (marks != 0).then(|| marks.trailing_zeros() as usize / 8)
}

/// Appends what comes before the first byte that stops, and answers the rest.
#[inline]
fn copy_plain<'a, const CONTROLS: bool>(mut bytes: &'a [u8], quote: u8, out: &mut Vec<u8>) -> &'a [u8] {
    // For what is left in the end, which comes as the last bytes of a whole word when there is one.
    let last = bytes.last_chunk();
    // Always eight bytes are appended, of which fewer may stay: a number known beforehand is copied without a call.
    while let Some((word, behind)) = bytes.split_first_chunk() {
        out.extend_from_slice(word);
        if let Some(plain) = stop_of_eight::<CONTROLS>(u64::from_le_bytes(*word), quote) {
            out.truncate(out.len() - (8 - plain));
            return &bytes[plain..];
        }
        bytes = behind;
    }
    if bytes.is_empty() {
        return bytes;
    }
    let word = match last {
        Some(last) => u64::from_le_bytes(*last) >> (64 - 8 * bytes.len()),
        None => bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    let plain = stop_of_eight::<CONTROLS>(word, quote).map_or(bytes.len(), |stop| stop.min(bytes.len()));
    out.extend_from_slice(&word.to_le_bytes());
    out.truncate(out.len() - (8 - plain));
    &bytes[plain..]
}

/// Appends `text` between double quotes, with the escapes that fastjson writes.
#[inline]
pub(crate) fn put_string(out: &mut Vec<u8>, text: &str) {
    match text.as_bytes() {
        // Most names in the header of a send, and most of its values.
        [byte @ (b'a'..=b'z' | b'0'..=b'9')] => out.extend_from_slice(&[b'"', *byte, b'"']),
        b"false" => out.extend_from_slice(b"\"false\""),
        _ => put_any_string(out, text),
    }
}

fn put_any_string(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    out.push(b'"');
    loop {
        rest = copy_plain::<true>(rest, b'"', out);
        let Some((byte, behind)) = rest.split_first() else { break };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                const HEX: &[u8; 16] = b"0123456789ABCDEF";
                let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digits[0], digits[1]]);
            }
        }
        rest = behind;
    }
    out.push(b'"');
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
        *at = source.len() - copy_plain::<false>(&source[*at..], quote, out).len();
        let byte = *source.get(*at).ok_or("unexpected end in a text")?;
        *at += 1;
        if byte == quote {
            return Ok(());
        }
        let escape = *source.get(*at).ok_or("unexpected end in an escape")?;
        *at += 1;
        let character = match escape {
            b'"' | b'\\' | b'/' | b'\'' => char::from(escape),
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'b' => '\u{8}',
            b'f' | b'F' => '\u{c}',
            b'v' => '\u{b}',
            b'0'..=b'7' => char::from(escape - b'0'),
            b'x' => u8::try_from(hex(source, at, 2)?).map_or('?', char::from),
            // What separates properties.
            b'u' if let [b'0', b'0', b'0', digit @ b'0'..=b'9', ..] = source[*at..] => {
                *at += 4;
                char::from(digit - b'0')
            }
            b'u' => unicode(source, at)?,
            _ => return Err("unknown escape"),
        };
        if character.is_ascii() {
            out.push(character as u8);
        } else {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
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
                    let stops = matches!(stop, b'"' | b'\\') || stop < b' ';
                    let mut copied = vec![];
                    let rest = copy_plain::<true>(&bytes, b'"', &mut copied);
                    assert_eq!(copied, bytes[..if stops { at } else { 20 }], "{stop} at {at}");
                    assert_eq!(rest, &bytes[copied.len()..]);
                    let unusual = |byte: &u8| matches!(byte, b'"' | b'\\' | 0x80..);
                    let first = &bytes[at / 2..][..8];
                    let word = <[u8; 8]>::try_from(first).unwrap();
                    assert_eq!(unusual_of_eight(word), first.iter().position(unusual), "{stop} at {at}");
                }
            }
        }
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
