//! The JSON header: one flat object, scanned in place.
//!
//! Tolerant where real clients differ from Java (any key order, numbers and booleans where Java writes
//! strings, `language` as a number, missing `extFields`, white space, unknown keys), strict about
//! everything that would make two readers disagree. A general parser into a map takes six times as long.

use bytes::{BufMut, Bytes, BytesMut};

use crate::command::{ExtFields, LanguageCode, RemotingCommand, SerializeType, Text};
use crate::decimal::Decimal;
use crate::fastjson::DEPTH_MAX;
use crate::frame::{EXT_FIELDS_MAX, EXT_KEY_LEN_MAX, FrameError};
use crate::json_text::{put_string, unescape, unusual_of_eight};
use crate::text_block;

/// Reads a header; the command's body is left empty.
pub(crate) fn decode(header: &Bytes) -> Result<RemotingCommand, FrameError> {
    let mut scanner = Scanner { header, rest: header };
    scanner.header().map_err(|reason| FrameError::Header(format!("{reason} at byte {}", scanner.at())))
}

/// Writes a header with Java's keys in Java's (alphabetical) order.
pub(crate) fn encode(command: &RemotingCommand, out: &mut BytesMut) {
    text_block::with_scratch(|head| {
        write(command, head);
        out.extend_from_slice(head);
    });
}

fn write(command: &RemotingCommand, out: &mut Vec<u8>) {
    out.put_slice(b"{\"code\":");
    put_int(out, command.code);
    if !command.ext_fields.is_empty() || command.is_response() {
        out.put_slice(b",\"extFields\":");
        let mut before = b'{';
        for (key, value) in command.ext_fields.iter() {
            match &**key.as_bytes() {
                // All names of a send.
                [letter @ b'a'..=b'z'] => out.put_slice(&[before, b'"', *letter, b'"', b':']),
                _ => {
                    out.put_u8(before);
                    put_string(out, key);
                    out.put_u8(b':');
                }
            }
            put_string(out, value);
            before = b',';
        }
        out.put_slice(if before == b'{' { b"{}" } else { b"}" });
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
    match value {
        0..=9 => out.put_u8(b'0' + value as u8),
        _ => out.put_slice(Decimal::new(value.into()).as_bytes()),
    }
}

/// Names and values that nearly every header has: they need no share of the frame's memory, whose readers are counted.
#[inline]
fn known(text: &[u8]) -> Option<&'static str> {
    #[rustfmt::skip]
    const KNOWN: [&str; 9] = [
        "true", "false", "msgId", "queueId", "queueOffset", "MSG_REGION", "DefaultRegion", "TRACE_ON", "TBW102",
    ];
    KNOWN.into_iter().find(|known| known.as_bytes() == text)
}

/// The same for a single letter or digit: all names of a send, and half of its values.
#[inline]
fn known_byte(byte: u8) -> Option<&'static str> {
    const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz";
    const DIGITS: &str = "0123456789";
    let (all, at) = match byte {
        b'a'..=b'z' => (LETTERS, usize::from(byte - b'a')),
        b'0'..=b'9' => (DIGITS, usize::from(byte - b'0')),
        _ => return None,
    };
    all.get(at..=at)
}

/// A command of which nothing is read yet.
const UNREAD: RemotingCommand = RemotingCommand {
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

struct Scanner<'a> {
    header: &'a Bytes,
    /// What of the header's bytes is not read yet.
    rest: &'a [u8],
}

/// What went wrong; the position is the scanner's.
type Scan<T> = Result<T, &'static str>;

const NOT_UTF8: &str = "text that is not UTF-8";

impl<'a> Scanner<'a> {
    fn header(&mut self) -> Scan<RemotingCommand> {
        let mut command = UNREAD;
        if self.usual(&mut command).is_some() {
            return Ok(command);
        }
        command = UNREAD;
        self.rest = self.header;
        self.any(&mut command).map(|()| command)
    }

    /// A header just as [`write`] and Java do it: there is no need to find out which key comes next. `None` for any
    /// other, of which a part may be read then.
    fn usual(&mut self, command: &mut RemotingCommand) -> Option<()> {
        self.skip_exactly(b"{\"code\":")?;
        command.code = self.int().ok()?;
        if self.skip_exactly(b",\"extFields\":").is_some() {
            self.ext_fields(&mut command.ext_fields).ok()?;
        }
        self.skip_exactly(b",\"flag\":")?;
        command.flag = self.int().ok()?;
        self.skip_exactly(b",\"language\":\"JAVA\",\"opaque\":")?;
        command.opaque = self.int().ok()?;
        if self.skip_exactly(b",\"remark\":").is_some() {
            command.remark = self.scalar().ok()?;
        }
        self.skip_exactly(b",\"serializeTypeCurrentRPC\":\"JSON\",\"version\":")?;
        command.version = self.int().ok()?;
        (self.rest == b"}").then_some(())
    }

    #[inline]
    fn skip_exactly(&mut self, text: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(text)?;
        Some(())
    }

    /// A header with its keys in any order.
    #[cold]
    fn any(&mut self, command: &mut RemotingCommand) -> Scan<()> {
        let mut has_code = false;
        self.object(|scanner| {
            let unescaped;
            let key = match scanner.plain() {
                Some(key) => key,
                None => {
                    unescaped = scanner.unescaped()?;
                    unescaped.as_bytes()
                }
            };
            scanner.expect(b':', "a colon expected")?;
            // Compared as a whole; patterns of bytes would be compared byte by byte.
            match key {
                _ if key == b"code" => {
                    command.code = scanner.int()?;
                    has_code = true;
                }
                _ if key == b"version" => command.version = scanner.int()?,
                _ if key == b"opaque" => command.opaque = scanner.int()?,
                _ if key == b"flag" => command.flag = scanner.int()?,
                _ if key == b"language" => {
                    command.language = match scanner.peek()? {
                        b'"' => LanguageCode::from_name(&scanner.string()?),
                        b'n' => scanner.literal(b"null", LanguageCode::JAVA)?,
                        _ => u8::try_from(scanner.int()?).map_or(LanguageCode::OTHER, LanguageCode),
                    }
                }
                _ if key == b"remark" => command.remark = scanner.scalar()?,
                _ if key == b"extFields" => {
                    if scanner.peek()? == b'n' {
                        return scanner.literal(b"null", ());
                    }
                    scanner.ext_fields(&mut command.ext_fields)?;
                }
                _ => scanner.skip(2)?,
            }
            Ok(())
        })?;
        self.space();
        if !self.rest.is_empty() {
            return Err("text after the object");
        }
        if !has_code {
            return Err("no code");
        }
        Ok(())
    }

    fn ext_fields(&mut self, fields: &mut ExtFields) -> Scan<()> {
        self.object(|scanner| {
            let key = scanner.string()?;
            scanner.expect(b':', "a colon expected")?;
            if key.len() > EXT_KEY_LEN_MAX {
                return Err("field name too long");
            }
            if fields.len() == EXT_FIELDS_MAX {
                return Err("too many fields");
            }
            if let Some(value) = scanner.scalar()? {
                fields.push(key, value);
            }
            Ok(())
        })
    }

    /// Where the scanner stands.
    fn at(&self) -> usize {
        self.header.len() - self.rest.len()
    }

    #[cold]
    fn space(&mut self) {
        while let [b' ' | b'\n' | b'\r' | b'\t', behind @ ..] = self.rest {
            self.rest = behind;
        }
    }

    /// The next byte that is not white space, which is not consumed.
    #[inline]
    fn peek(&mut self) -> Scan<u8> {
        match self.rest {
            [byte, ..] if *byte > b' ' => Ok(*byte),
            _ => {
                self.space();
                self.rest.first().copied().ok_or("unexpected end")
            }
        }
    }

    /// Consumes what was peeked at.
    #[inline]
    fn pass(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    #[inline]
    fn expect(&mut self, byte: u8, otherwise: &'static str) -> Scan<()> {
        if self.peek()? != byte {
            return Err(otherwise);
        }
        self.pass();
        Ok(())
    }

    fn literal<T>(&mut self, word: &[u8], value: T) -> Scan<T> {
        self.rest = self.rest.strip_prefix(word).ok_or("unknown word")?;
        Ok(value)
    }

    /// Reads an object. Each quoted key is left to `member`, which must consume it, the colon and the value.
    #[inline]
    fn object(&mut self, mut member: impl FnMut(&mut Self) -> Scan<()>) -> Scan<()> {
        self.expect(b'{', "an object expected")?;
        if self.peek()? == b'}' {
            self.pass();
            return Ok(());
        }
        loop {
            if self.peek()? != b'"' {
                return Err("a quoted key expected");
            }
            member(self)?;
            match self.peek()? {
                b',' => self.pass(),
                b'}' => {
                    self.pass();
                    return Ok(());
                }
                _ => return Err("a comma or closing brace expected"),
            }
        }
    }

    /// A string, number or boolean as text; `None` for null.
    #[inline]
    fn scalar(&mut self) -> Scan<Option<Text>> {
        match self.peek()? {
            b'"' => self.string().map(Some),
            _ => self.bare_scalar(),
        }
    }

    /// A number, a boolean or null.
    #[cold]
    fn bare_scalar(&mut self) -> Scan<Option<Text>> {
        match self.peek()? {
            b'n' => self.literal(b"null", None),
            b't' => self.literal(b"true", Some(Text::from_static("true"))),
            b'f' => self.literal(b"false", Some(Text::from_static("false"))),
            b'-' | b'0'..=b'9' => {
                let number = self.number();
                self.kept(number).map(Some)
            }
            _ => Err("a text, number or boolean expected"),
        }
    }

    /// Passes over a number, or what begins like one.
    fn number(&mut self) -> &'a [u8] {
        let beyond = |byte: &u8| !matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
        let (number, rest) = self.rest.split_at(self.rest.iter().position(beyond).unwrap_or(self.rest.len()));
        self.rest = rest;
        number
    }

    #[inline]
    fn int(&mut self) -> Scan<i32> {
        let (mut value, mut rest) = (0_i32, self.rest);
        while let [digit @ b'0'..=b'9', behind @ ..] = rest
            && value < 100_000_000
        {
            value = value * 10 + i32::from(digit - b'0');
            rest = behind;
        }
        match rest {
            [b',' | b'}', ..] if rest.len() < self.rest.len() => {
                self.rest = rest;
                Ok(value)
            }
            _ => self.any_int(),
        }
    }

    /// An integer of up to ten digits, with a sign, or in quotes.
    #[cold]
    fn any_int(&mut self) -> Scan<i32> {
        let number = match self.peek()? {
            b'-' | b'0'..=b'9' => str::from_utf8(self.number()).ok().and_then(|number| number.parse().ok()),
            _ => self.scalar()?.and_then(|text| text.parse().ok()),
        };
        number.ok_or("a 32-bit number expected")
    }

    /// A part of the header as a text.
    #[inline]
    fn kept(&self, part: &[u8]) -> Scan<Text> {
        match known(part) {
            Some(known) => Ok(Text::from_static(known)),
            None => Text::try_from(self.header.slice_ref(part)).map_err(|_| NOT_UTF8),
        }
    }

    /// A quoted text that is kept.
    #[inline]
    fn string(&mut self) -> Scan<Text> {
        if let [b'"', byte, b'"', behind @ ..] = self.rest
            && let Some(known) = known_byte(*byte)
        {
            self.rest = behind;
            return Ok(Text::from_static(known));
        }
        match self.plain() {
            Some(part) => self.kept(part),
            None => self.unescaped(),
        }
    }

    /// A quoted text of ASCII without escapes, and not at the header's end; any other is left to
    /// [`Self::unescaped`].
    #[inline]
    fn plain(&mut self) -> Option<&'a [u8]> {
        let text = self.rest.get(1..)?;
        let mut words = text.as_chunks().0.iter().enumerate();
        let end = words.find_map(|(n, word)| unusual_of_eight(*word).map(|at| 8 * n + at))?;
        if *text.get(end)? != b'"' {
            return None;
        }
        self.rest = text.get(end + 1..)?;
        text.get(..end)
    }

    /// Any quoted text, in memory of its own.
    #[cold]
    fn unescaped(&mut self) -> Scan<Text> {
        text_block::with_scratch(|text| {
            let mut at = self.at() + 1;
            let read = unescape(self.header, &mut at, b'"', text);
            self.rest = &self.header[at..];
            read?;
            Text::try_from(text_block::bytes(&[text])).map_err(|_| NOT_UTF8)
        })
    }

    /// Passes over a value of any kind on this level.
    fn skip(&mut self, depth: usize) -> Scan<()> {
        let first = self.peek()?;
        if depth > DEPTH_MAX && matches!(first, b'{' | b'[') {
            return Err("nested too deeply");
        }
        match first {
            b'{' => self.object(|scanner| {
                scanner.skip_string()?;
                scanner.expect(b':', "a colon expected")?;
                scanner.skip(depth + 1)
            }),
            b'[' => {
                self.pass();
                if self.peek()? == b']' {
                    self.pass();
                    return Ok(());
                }
                loop {
                    self.skip(depth + 1)?;
                    match self.peek()? {
                        b',' => self.pass(),
                        b']' => {
                            self.pass();
                            return Ok(());
                        }
                        _ => return Err("a comma or closing bracket expected"),
                    }
                }
            }
            b'"' => self.skip_string(),
            _ => self.bare_scalar().map(|_| ()),
        }
    }

    #[inline]
    fn skip_string(&mut self) -> Scan<()> {
        match self.plain() {
            Some(_) => Ok(()),
            None => self.unescaped().map(|_| ()),
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

    /// However a header is written, with white space, escapes or neither, the same command is read: the ways that are
    /// slower and seldom agree with the one that nearly every header takes.
    #[test]
    fn all_spellings_read_alike() {
        let spaced = |text: &str| {
            let mut quoted = false;
            let space = |character: char| {
                let space = if quoted || matches!(character, '-' | '0'..='9') { "" } else { " \r\n\t" };
                quoted ^= character == '"';
                format!("{space}{character}")
            };
            text.chars().map(space).collect::<String>()
        };
        let escaped = |text: &str| {
            let mut quoted = false;
            let escape = |character: char| {
                quoted ^= character == '"';
                if !quoted || character == '"' {
                    return character.to_string();
                }
                character.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
            };
            text.chars().map(escape).collect::<String>()
        };
        for len in 0..24 {
            for odd in ["", "b", "\u{e9}", "\u{4e2d}", "\u{1f600}"] {
                let text = format!("{}{odd}{}", "x".repeat(len), "y".repeat(len / 3));
                for number in [0, 7, -7, 123_456_789, 1_234_567_890, i32::MAX, i32::MIN] {
                    let fields = [("a", &*text), (&*text, "msgId"), ("queueId", ""), ("b", "2")];
                    let command = RemotingCommand {
                        code: number,
                        version: number,
                        opaque: number,
                        flag: number,
                        remark: (len % 3 > 0).then(|| text.clone().into()),
                        ext_fields: fields.into_iter().take(len % 5).collect(),
                        ..UNREAD
                    };
                    let mut header = BytesMut::new();
                    encode(&command, &mut header);
                    let header = str::from_utf8(&header).unwrap();
                    let unknown = format!("{{\"other\":[{{\"{text}\":\"{text}\"}}],");
                    for other in [
                        header,
                        &spaced(header),
                        &escaped(header),
                        &spaced(&escaped(header)),
                        &header.replacen('{', &unknown, 1),
                        &header.replacen("\"JAVA\"", "0", 1),
                    ] {
                        assert_eq!(read(other), Ok(command.clone()), "{other}");
                    }
                    for at in (0..header.len()).filter(|at| header.is_char_boundary(*at)) {
                        assert!(read(&header[..at]).is_err(), "{}", &header[..at]);
                    }
                }
            }
        }
        for mut bytes in
            (0..9).map(|len| format!("{{\"code\":1,\"a\":\"{}?\"}}", "x".repeat(len)).into_bytes())
        {
            let at = bytes.len() - 3;
            bytes[at] = 0xff;
            let fault = FrameError::Header(format!("text that is not UTF-8 at byte {}", at + 2));
            assert_eq!(decode(&bytes.into()), Err(fault));
        }
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
