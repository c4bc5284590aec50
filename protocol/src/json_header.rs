//! The JSON header: one flat object, scanned in place.
//!
//! Tolerant where real clients differ from Java (any key order, numbers and booleans where Java writes
//! strings, `language` as a number, missing `extFields`, white space, unknown keys), strict about
//! everything that would make two readers disagree. A general parser into a map takes six times as long.

use std::cell::RefCell;

use bytes::{BufMut, Bytes, BytesMut};

use crate::command::{ExtFields, LanguageCode, RemotingCommand, SerializeType, Text};
use crate::decimal::Decimal;
use crate::fastjson::DEPTH_MAX;
use crate::frame::{EXT_FIELDS_MAX, EXT_KEY_LEN_MAX, FrameError};
use crate::json_text::{plain_len, put_string, unescape};

/// Reads a header; the command's body is left empty.
pub(crate) fn decode(header: &Bytes) -> Result<RemotingCommand, FrameError> {
    let mut scanner = Scanner { source: header, at: 0 };
    scanner.header().map_err(|reason| FrameError::Header(format!("{reason} at byte {}", scanner.at)))
}

/// Memory that a thread keeps to write headers in.
const HEAD_KEPT_MAX: usize = 16 << 10;

thread_local! {
    /// Where a header is put together: many small pieces, which a growing vector takes at the least cost.
    static HEAD: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Writes a header with Java's keys in Java's (alphabetical) order.
pub(crate) fn encode(command: &RemotingCommand, out: &mut BytesMut) {
    HEAD.with_borrow_mut(|head| {
        write(command, head);
        out.extend_from_slice(head);
        head.clear();
        head.shrink_to(HEAD_KEPT_MAX);
    });
}

fn write(command: &RemotingCommand, out: &mut Vec<u8>) {
    out.put_slice(b"{\"code\":");
    put_int(out, command.code);
    if !command.ext_fields.is_empty() || command.is_response() {
        out.put_slice(b",\"extFields\":{");
        for (n, (key, value)) in command.ext_fields.iter().enumerate() {
            if n > 0 {
                out.put_u8(b',');
            }
            put_string(out, key);
            out.put_u8(b':');
            put_string(out, value);
        }
        out.put_u8(b'}');
    }
    out.put_slice(b",\"flag\":");
    put_int(out, command.flag);
    out.put_slice(b",\"language\":\"");
    out.put_slice(command.language.name().as_bytes());
    out.put_slice(b"\",\"opaque\":");
    put_int(out, command.opaque);
    if let Some(remark) = &command.remark {
        out.put_slice(b",\"remark\":");
        put_string(out, remark);
    }
    out.put_slice(b",\"serializeTypeCurrentRPC\":\"JSON\",\"version\":");
    put_int(out, command.version);
    out.put_u8(b'}');
}

fn put_int(out: &mut Vec<u8>, value: i32) {
    out.put_slice(Decimal::new(value.into()).as_bytes());
}

/// Names and values that nearly every header has: they need no share of the frame's memory, whose readers are counted.
fn known(text: &[u8]) -> Option<&'static str> {
    const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz";
    const DIGITS: &str = "0123456789";
    Some(match text {
        [letter @ b'a'..=b'z'] => {
            let at = usize::from(letter - b'a');
            &LETTERS[at..=at]
        }
        [digit @ b'0'..=b'9'] => {
            let at = usize::from(digit - b'0');
            &DIGITS[at..=at]
        }
        b"true" => "true",
        b"false" => "false",
        b"msgId" => "msgId",
        b"queueId" => "queueId",
        b"queueOffset" => "queueOffset",
        b"MSG_REGION" => "MSG_REGION",
        b"DefaultRegion" => "DefaultRegion",
        b"TRACE_ON" => "TRACE_ON",
        _ => return None,
    })
}

struct Scanner<'a> {
    source: &'a Bytes,
    at: usize,
}

/// A quoted text as it was found.
enum Quoted {
    /// What stands between these places.
    Plain(usize, usize),
    /// It had escapes.
    Unescaped(Text),
}

/// What went wrong; the position is the scanner's.
type Scan<T> = Result<T, &'static str>;

const NOT_UTF8: &str = "text that is not UTF-8";

impl Scanner<'_> {
    fn header(&mut self) -> Scan<RemotingCommand> {
        let mut command = RemotingCommand {
            code: 0,
            language: LanguageCode::JAVA,
            version: 0,
            opaque: 0,
            flag: 0,
            remark: None,
            ext_fields: ExtFields::new(),
            serialize_type: SerializeType::Json,
            body: Bytes::new(),
        };
        let mut has_code = false;
        self.object(|scanner, key| {
            match scanner.str(&key)? {
                "code" => {
                    command.code = scanner.int()?;
                    has_code = true;
                }
                "version" => command.version = scanner.int()?,
                "opaque" => command.opaque = scanner.int()?,
                "flag" => command.flag = scanner.int()?,
                "language" => {
                    command.language = match scanner.peek()? {
                        b'"' => LanguageCode::from_name(&scanner.string()?),
                        b'n' => scanner.literal(b"null", LanguageCode::JAVA)?,
                        _ => u8::try_from(scanner.int()?).map_or(LanguageCode::OTHER, LanguageCode),
                    }
                }
                "remark" => command.remark = scanner.scalar()?,
                "extFields" => {
                    if scanner.peek()? == b'n' {
                        return scanner.literal(b"null", ());
                    }
                    scanner.object(|scanner, key| {
                        let key = scanner.kept(key)?;
                        if key.len() > EXT_KEY_LEN_MAX {
                            return Err("field name too long");
                        }
                        if command.ext_fields.len() == EXT_FIELDS_MAX {
                            return Err("too many fields");
                        }
                        if let Some(value) = scanner.scalar()? {
                            command.ext_fields.push(key, value);
                        }
                        Ok(())
                    })?;
                }
                _ => scanner.skip(2)?,
            }
            Ok(())
        })?;
        self.space();
        if self.at != self.source.len() {
            return Err("text after the object");
        }
        if !has_code {
            return Err("no code");
        }
        Ok(command)
    }

    fn space(&mut self) {
        while matches!(self.source.get(self.at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// The next byte that is not white space, which is not consumed.
    fn peek(&mut self) -> Scan<u8> {
        self.space();
        self.source.get(self.at).copied().ok_or("unexpected end")
    }

    fn expect(&mut self, byte: u8, otherwise: &'static str) -> Scan<()> {
        if self.peek()? != byte {
            return Err(otherwise);
        }
        self.at += 1;
        Ok(())
    }

    fn literal<T>(&mut self, word: &[u8], value: T) -> Scan<T> {
        if !self.source[self.at..].starts_with(word) {
            return Err("unknown word");
        }
        self.at += word.len();
        Ok(value)
    }

    /// Reads an object, handing each key to `member`, which must consume the value.
    fn object(&mut self, mut member: impl FnMut(&mut Self, Quoted) -> Scan<()>) -> Scan<()> {
        self.expect(b'{', "an object expected")?;
        if self.peek()? == b'}' {
            self.at += 1;
            return Ok(());
        }
        loop {
            if self.peek()? != b'"' {
                return Err("a quoted key expected");
            }
            let key = self.quoted()?;
            self.expect(b':', "a colon expected")?;
            self.peek()?;
            member(self, key)?;
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err("a comma or closing brace expected"),
            }
        }
    }

    /// A string, number or boolean as text; `None` for null.
    fn scalar(&mut self) -> Scan<Option<Text>> {
        match self.peek()? {
            b'"' => self.string().map(Some),
            b'n' => self.literal(b"null", None),
            b't' => self.literal(b"true", Some(Text::from_static("true"))),
            b'f' => self.literal(b"false", Some(Text::from_static("false"))),
            b'-' | b'0'..=b'9' => {
                let start = self.number();
                self.text(start, self.at).map(Some)
            }
            _ => Err("a text, number or boolean expected"),
        }
    }

    /// Passes over a number, or what begins like one, and answers where it began.
    fn number(&mut self) -> usize {
        let start = self.at;
        while matches!(self.source.get(self.at), Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')) {
            self.at += 1;
        }
        start
    }

    fn int(&mut self) -> Scan<i32> {
        let number = match self.peek()? {
            b'-' | b'0'..=b'9' => {
                let start = self.number();
                self.str(&Quoted::Plain(start, self.at))?.parse().ok()
            }
            _ => self.scalar()?.and_then(|text| text.parse().ok()),
        };
        number.ok_or("a 32-bit number expected")
    }

    fn text(&self, start: usize, end: usize) -> Scan<Text> {
        if let Some(known) = known(&self.source[start..end]) {
            return Ok(Text::from_static(known));
        }
        Text::try_from(self.source.slice(start..end)).map_err(|_| NOT_UTF8)
    }

    fn string(&mut self) -> Scan<Text> {
        let quoted = self.quoted()?;
        self.kept(quoted)
    }

    /// A quoted text as long as its bytes are there; most keys and many values are only looked at.
    fn str<'q>(&'q self, quoted: &'q Quoted) -> Scan<&'q str> {
        match quoted {
            Quoted::Plain(start, end) => {
                std::str::from_utf8(&self.source[*start..*end]).map_err(|_| NOT_UTF8)
            }
            Quoted::Unescaped(text) => Ok(text),
        }
    }

    /// A quoted text that is kept.
    fn kept(&self, quoted: Quoted) -> Scan<Text> {
        match quoted {
            Quoted::Plain(start, end) => self.text(start, end),
            Quoted::Unescaped(text) => Ok(text),
        }
    }

    fn quoted(&mut self) -> Scan<Quoted> {
        let start = self.at + 1;
        self.at = start + plain_len::<false>(&self.source[start..]);
        match self.source.get(self.at).ok_or("unexpected end in a text")? {
            b'"' => {
                self.at += 1;
                Ok(Quoted::Plain(start, self.at - 1))
            }
            _ => self.escaped_string(start).map(Quoted::Unescaped),
        }
    }

    /// The slow path of [`Self::quoted`]: from the first backslash on, into memory of its own.
    fn escaped_string(&mut self, start: usize) -> Scan<Text> {
        let mut unescaped = self.source[start..self.at].to_vec();
        unescape(self.source, &mut self.at, b'"', &mut unescaped)?;
        Text::try_from(Bytes::from(unescaped)).map_err(|_| NOT_UTF8)
    }

    /// Passes over a value of any kind on this level.
    fn skip(&mut self, depth: usize) -> Scan<()> {
        let first = self.peek()?;
        if depth > DEPTH_MAX && matches!(first, b'{' | b'[') {
            return Err("nested too deeply");
        }
        match first {
            b'{' => self.object(|scanner, _| scanner.skip(depth + 1)),
            b'[' => {
                self.at += 1;
                if self.peek()? == b']' {
                    self.at += 1;
                    return Ok(());
                }
                loop {
                    self.skip(depth + 1)?;
                    match self.peek()? {
                        b',' => self.at += 1,
                        b']' => {
                            self.at += 1;
                            return Ok(());
                        }
                        _ => return Err("a comma or closing bracket expected"),
                    }
                }
            }
            b'"' => {
                let quoted = self.quoted()?;
                self.str(&quoted).map(|_| ())
            }
            _ => self.scalar().map(|_| ()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<RemotingCommand, FrameError> {
        decode(&Bytes::copy_from_slice(text.as_bytes()))
    }

    /// Headers as C++, Node and Python clients write them.
    #[test]
    fn reads_what_other_clients_write() {
        let command = read(
            "{\"code\":310,\"extFields\":{\"e\":3,\"k\":false,\"m\":\"1\",\"x\":null},\"language\":1,\
             \"other\":[1,{\"a\":[]}],\"version\":63,\"opaque\":\"5\"}\n",
        )
        .unwrap();
        assert_eq!((command.code, command.version, command.opaque), (310, 63, 5));
        assert_eq!(command.language, LanguageCode::CPP);
        let fields: Vec<_> = command.ext_fields.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(fields, ["e=3", "k=false", "m=1"]);
        assert_eq!(read("{\"code\":0}").unwrap().ext_fields.len(), 0);
        assert_eq!(read("{\"code\":0,\"language\":\"KLINGON\"}").unwrap().language, LanguageCode::OTHER);
    }

    /// Escapes, also of characters beyond the first Unicode plane.
    #[test]
    fn reads_escapes() {
        let command =
            read(r#"{"code":1,"remark":"a\u0001\/\n\ud83d\ude00\ud83dx\u4e2d","extFields":null}"#).unwrap();
        assert_eq!(&*command.remark.unwrap(), "a\u{1}/\n\u{1f600}\u{fffd}x\u{4e2d}");
    }

    /// Broken headers name the fault; none panics.
    #[test]
    fn refuses_broken_headers() {
        for (text, fault) in [
            ("", "unexpected end"),
            ("[]", "an object expected"),
            ("{}", "no code"),
            ("{\"code\":1", "unexpected end"),
            ("{\"code\":1}x", "text after the object"),
            ("{\"code\":99999999999}", "a 32-bit number expected"),
            ("{code:1}", "a quoted key expected"),
            ("{\"code\":1,\"extFields\":{\"a\":[1]}}", "a text, number or boolean expected"),
            ("{\"code\":1,\"remark\":\"\\u12\"}", "a hexadecimal digit expected"),
            ("{\"code\":1,\"remark\":\"\\q\"}", "unknown escape"),
            ("{\"code\":1,\"remark\":nil}", "unknown word"),
        ] {
            let FrameError::Header(reason) = read(text).unwrap_err() else { panic!("{text}") };
            assert!(reason.starts_with(fault), "{text}: {reason}");
        }
        let deep = format!("{{\"code\":1,\"x\":{}{}}}", "[".repeat(100), "]".repeat(100));
        assert!(matches!(read(&deep), Err(FrameError::Header(reason)) if reason.starts_with("nested")));
        let many: String = (0..200).map(|n| format!("\"{n}\":1,")).collect();
        let many = format!("{{\"code\":1,\"extFields\":{{{}}}}}", many.trim_end_matches(','));
        assert!(matches!(read(&many), Err(FrameError::Header(reason)) if reason.starts_with("too many")));
    }
}
