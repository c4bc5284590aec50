//! What JSON headers and JSON bodies share: how a text stands between its quotes.

/// A byte eight times.
const fn eight(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// What a text's plain part ends at: its quote, a backslash, and with `CONTROLS` any byte below a space.
#[inline]
fn stops<const CONTROLS: bool>(byte: u8, quote: u8) -> bool {
    byte == quote || byte == b'\\' || CONTROLS && byte < b' '
}

/// How many of eight bytes come before the first that stops. Texts are most of what is read and written for a message,
/// so that they are looked at in such pieces.
#[inline]
fn plain_of_eight<const CONTROLS: bool>(bytes: [u8; 8], quote: u8) -> usize {
    let word = u64::from_le_bytes(bytes);
    // Highest bits mark bytes of `word` below `limit`; above the lowest mark there may be wrong ones.
    let below = |word: u64, limit: u8| word.wrapping_sub(eight(limit)) & !word & eight(0x80);
    let controls = if CONTROLS { below(word, b' ') } else { 0 };
    let found = controls | below(word ^ eight(quote), 1) | below(word ^ eight(b'\\'), 1);
    found.trailing_zeros() as usize / 8
}

/// Which of eight bytes is the first that is a double quote, a backslash or not ASCII.
#[inline]
pub(crate) fn ascii_of_eight(bytes: [u8; 8]) -> Option<usize> {
    let word = u64::from_le_bytes(bytes);
    let zero = |word: u64| word.wrapping_sub(eight(1));
    let found = (zero(word ^ eight(b'"')) | zero(word ^ eight(b'\\')) | word) & eight(0x80);
    (found != 0).then(|| found.trailing_zeros() as usize / 8)
}

/// Appends what comes before the first byte that stops, and answers how much that is.
fn copy_plain<const CONTROLS: bool>(bytes: &[u8], quote: u8, out: &mut Vec<u8>) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut len = 0;
    for word in words {
        let plain = plain_of_eight::<CONTROLS>(*word, quote);
        len += plain;
        // Always eight, of which fewer may stay: a number known beforehand is copied without a call.
        out.extend_from_slice(word);
        if plain < 8 {
            out.truncate(out.len() - (8 - plain));
            return len;
        }
    }
    let plain = rest.iter().take_while(|byte| !stops::<CONTROLS>(**byte, quote));
    plain.fold(len, |len, byte| {
        out.push(*byte);
        len + 1
    })
}

/// Appends `text` between double quotes, with the escapes that fastjson writes.
#[inline]
pub(crate) fn put_string(out: &mut Vec<u8>, text: &str) {
    // Most names in the header of a send, and half of its values.
    if let [byte @ (b'a'..=b'z' | b'0'..=b'9')] = text.as_bytes() {
        out.extend_from_slice(&[b'"', *byte, b'"']);
    } else {
        put_any_string(out, text);
    }
}

fn put_any_string(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    out.push(b'"');
    loop {
        let plain = copy_plain::<true>(rest, b'"', out);
        let Some((byte, behind)) = rest[plain..].split_first() else { break };
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
        *at += copy_plain::<false>(&source[*at..], quote, out);
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
                    let plain = copy_plain::<true>(&bytes, b'"', &mut copied);
                    assert_eq!(plain, if stops { at } else { 20 }, "{stop} at {at}");
                    assert_eq!(copied, bytes[..plain]);
                    let unusual = |byte: &u8| matches!(byte, b'"' | b'\\' | 0x80..);
                    let first = &bytes[at / 2..][..8];
                    let word = <[u8; 8]>::try_from(first).unwrap();
                    assert_eq!(ascii_of_eight(word), first.iter().position(unusual), "{stop} at {at}");
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
