//! Java's `.properties` syntax (`java.util.Properties`), as UTF-8.

use super::SettingError;

/// Longest text that is read, in bytes.
pub const TEXT_LEN_MAX: usize = 1024 * 1024;

/// What Java takes for white space within a line.
const SPACE: [char; 3] = [' ', '\t', '\u{c}'];

/// Keys and values in written order.
///
/// `#` and `!` open comments; `=`, `:` or white space ends a key; a backslash at the end continues the line,
/// and elsewhere it escapes (`\t`, `\n`, `\r`, `\f`, `\uXXXX`, or the character itself).
pub fn parse(text: &str) -> Result<Vec<(String, String)>, SettingError> {
    let entries = lines(text)?.into_iter().filter_map(|line| Some((line.number, line.logical?)));
    entries
        .map(|(number, logical)| {
            entry(&logical).map_err(|fault| SettingError::Syntax { line: number, fault })
        })
        .collect()
}

/// `text` with other values for some keys. Comments, order and all other lines stay as they are; a key that
/// has several lines keeps the first, one that has none gets one at the end.
pub fn replace_values(text: &str, values: &[(&str, &str)]) -> Result<String, SettingError> {
    let mut replaced = String::with_capacity(text.len());
    let mut missing = values.to_vec();
    let put = |text: &mut String, key: &str, value: &str| {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.extend([key, "=", &escape(value), "\n"]);
    };
    for line in lines(text)? {
        let key = line.logical.and_then(|logical| entry(&logical).ok()).map(|(key, _)| key);
        match key.filter(|key| values.iter().any(|(name, _)| name == key)) {
            None => replaced.push_str(line.raw),
            Some(key) => {
                for (name, value) in missing.extract_if(.., |(name, _)| *name == key) {
                    put(&mut replaced, name, value);
                }
            }
        }
    }
    let last = replaced.lines().next_back().unwrap_or_default();
    if !missing.is_empty() && continues(last.strip_suffix('\r').unwrap_or(last)) {
        // It would go on in what is put behind it.
        replaced.push_str(if replaced.ends_with('\n') { "\n" } else { "\n\n" });
    }
    for (name, value) in missing {
        put(&mut replaced, name, value);
    }
    Ok(replaced)
}

struct Line<'a> {
    /// The first line's number, counted from 1.
    number: usize,
    /// As written, with those that continue it and the line's end.
    raw: &'a str,
    /// What it says, put together; `None` for a comment or nothing.
    logical: Option<String>,
}

fn lines(text: &str) -> Result<Vec<Line<'_>>, SettingError> {
    if text.len() > TEXT_LEN_MAX {
        return Err(SettingError::Syntax { line: 1, fault: "the text is longer than 1 MiB" });
    }
    let mut found = Vec::new();
    let (mut number, mut rest) = (0, text);
    while !rest.is_empty() {
        number += 1;
        let (whole, first) = (rest, number);
        let line = next_line(&mut rest).trim_start_matches(SPACE);
        let logical = (!line.is_empty() && !line.starts_with(['#', '!'])).then(|| {
            let mut logical = line.to_owned();
            while continues(&logical) {
                logical.pop();
                if rest.is_empty() {
                    break;
                }
                number += 1;
                logical.push_str(next_line(&mut rest).trim_start_matches(SPACE));
            }
            logical
        });
        let raw = whole.get(..whole.len() - rest.len()).unwrap_or(whole);
        found.push(Line { number: first, raw, logical });
    }
    Ok(found)
}

/// Takes one line off `rest`, without its end.
fn next_line<'a>(rest: &mut &'a str) -> &'a str {
    let (line, left) = rest.split_once('\n').unwrap_or((*rest, ""));
    *rest = left;
    line.strip_suffix('\r').unwrap_or(line)
}

/// Whether an odd number of backslashes ends the line.
fn continues(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

fn entry(line: &str) -> Result<(String, String), &'static str> {
    let mut escaped = false;
    let ends_key = |c: char| {
        let ends = !escaped && (SPACE.contains(&c) || c == '=' || c == ':');
        escaped = !escaped && c == '\\';
        ends
    };
    let (key, rest) = line.split_at(line.find(ends_key).unwrap_or(line.len()));
    let rest = rest.trim_start_matches(SPACE);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start_matches(SPACE);
    Ok((unescape(key)?, unescape(value)?))
}

fn unescape(text: &str) -> Result<String, &'static str> {
    let mut plain = String::with_capacity(text.len());
    let mut units = Vec::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c == '\\' && rest.as_str().starts_with('u') {
            // Several in a row may be the two halves of one character.
            let digits =
                rest.as_str().get(1..5).filter(|digits| digits.bytes().all(|d| d.is_ascii_hexdigit()));
            let unit = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
            units.push(unit.ok_or("\\u without four hexadecimal digits")?);
            rest = rest.as_str().get(5..).unwrap_or_default().chars();
            continue;
        }
        flush(&mut units, &mut plain);
        match if c == '\\' { rest.next() } else { None } {
            None if c == '\\' => {}
            None => plain.push(c),
            Some('t') => plain.push('\t'),
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('f') => plain.push('\u{c}'),
            Some(other) => plain.push(other),
        }
    }
    flush(&mut units, &mut plain);
    Ok(plain)
}

fn flush(units: &mut Vec<u16>, plain: &mut String) {
    plain.extend(char::decode_utf16(units.drain(..)).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)));
}

/// A value such that reading gives it back.
pub(super) fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            '\u{c}' => escaped.push_str("\\f"),
            ' ' if escaped.is_empty() => escaped.push_str("\\ "),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file keeps its comments, its order and what it says otherwise when values are put into it.
    #[test]
    fn values_are_replaced_in_place() {
        let text = "# mine\r\na = 1\n\nb=x\\\n  y\na=2\n! end";
        assert_eq!(
            replace_values(text, &[("b", " \\"), ("c", "new"), ("a", "3")]).unwrap(),
            "# mine\r\na=3\n\nb=\\ \\\\\n! end\nc=new\n"
        );
        assert_eq!(replace_values("", &[("a", "1")]).unwrap(), "a=1\n");
        assert_eq!(replace_values(text, &[]).unwrap(), text);
    }

    /// The examples of Java's own documentation, and the corners.
    #[test]
    fn reads_as_java_does() {
        for (text, key, value) in [
            ("Truth = Beauty", "Truth", "Beauty"),
            (" Truth:Beauty", "Truth", "Beauty"),
            ("Truth\t\t\t:Beauty", "Truth", "Beauty"),
            ("fruits  apple, banana, \\\r\n        pear, \\\n   plum", "fruits", "apple, banana, pear, plum"),
            ("cheeses", "cheeses", ""),
            ("a\\ b\\=\\:c = d", "a b=:c", "d"),
            ("a==b", "a", "=b"),
            ("a = :b", "a", ":b"),
            ("p=C:\\\\x\\\\", "p", "C:\\x\\"),
            ("u=\\u4e2d\\ud83d\\ude00\\q\\t", "u", "\u{4e2d}\u{1f600}q\t"),
            ("=x", "", "x"),
            ("a=b\\", "a", "b"),
            ("# c \\\n! d\n\n  \\\na=\u{4e2d}  ", "a", "\u{4e2d}  "),
        ] {
            assert_eq!(parse(text), Ok(vec![(key.to_owned(), value.to_owned())]), "{text}");
        }
        assert_eq!(
            parse("a=1\nb=\\u00zz\n"),
            Err(SettingError::Syntax { line: 2, fault: "\\u without four hexadecimal digits" })
        );
        assert!(parse(&" ".repeat(TEXT_LEN_MAX + 1)).is_err());
        assert_eq!(parse("a=\\u"), parse("a=\\u\u{4e2d}\u{4e2d}"));
    }

    /// What is added does not become part of a last line that goes on nowhere.
    #[test]
    fn an_open_last_line_is_closed() {
        for text in ["a=b\\", "a=b\\\n", "a=b\\\r\n", "a=b\\\\"] {
            let parsed = parse(&replace_values(text, &[("new", "c")]).unwrap()).unwrap();
            assert_eq!(parsed.len(), 2, "{text:?}: {parsed:?}");
            assert_eq!(parsed[1], ("new".to_owned(), "c".to_owned()), "{text:?}");
        }
    }
}
