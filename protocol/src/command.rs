//! One remoting command: a request or a reply, as values.
//!
//! Java counterpart: `RemotingCommand`. The bytes are in [`crate::frame`]; typed headers, which are
//! views of [`ExtFields`], are in [`crate::requests`].

use std::cell::RefCell;

use bytes::Bytes;
use bytestring::ByteString;

use crate::requests::{Header, RequestCode};
use crate::response_code::ResponseCode;

/// Immutable text that shares the buffer it was read from: cloning and slicing allocate nothing.
pub type Text = ByteString;

/// The version number of Java 4.9.8 in RocketMQ's own numbering (`MQVersion.V4_9_8`), which is what
/// this implementation behaves as.
pub const VERSION_4_9_8: i32 = 409;
/// `MQVersion.V4_9_4`: from here on a NameServer answers route queries in strict JSON.
pub const VERSION_4_9_4: i32 = 401;
/// `MQVersion.V3_4_9`: from here on a send-back carries the client's own `maxReconsumeTimes`.
pub const VERSION_3_4_9: i32 = 121;

/// Flag bit 0: the command is a reply.
const FLAG_RESPONSE: i32 = 1;
/// Flag bit 1: the sender waits for no reply.
const FLAG_ONEWAY: i32 = 2;

/// How the header of a frame is written (the byte before the 24-bit header length).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SerializeType {
    /// A flat JSON object; Java's default.
    #[default]
    Json,
    /// The binary `ROCKETMQ` layout.
    RocketMq,
}

/// The programming language that a peer says it is written in.
///
/// A number with known names; a number this build does not know survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct LanguageCode(pub u8);

impl LanguageCode {
    /// Java, also what an absent language means.
    pub const JAVA: Self = Self(0);
    /// C++; a reset-offset request from it is answered in its own list form.
    pub const CPP: Self = Self(1);
    /// "Something else", also what an unknown name is read as.
    pub const OTHER: Self = Self(7);
    /// Rust; known to Java from 4.9.2 on.
    pub const RUST: Self = Self(12);

    const NAMES: [&'static str; 14] = [
        "JAVA", "CPP", "DOTNET", "PYTHON", "DELPHI", "ERLANG", "RUBY", "OTHER", "HTTP", "GO", "PHP", "OMS",
        "RUST", "NODE_JS",
    ];

    /// Java's name of the language; numbers without one are called `OTHER`.
    pub fn name(self) -> &'static str {
        Self::NAMES.get(usize::from(self.0)).copied().unwrap_or("OTHER")
    }

    /// The language of this name, [`LanguageCode::OTHER`] for names nobody knows.
    pub fn from_name(name: &str) -> Self {
        match Self::NAMES.iter().position(|known| *known == name) {
            Some(at) => Self(at as u8),
            None => Self::OTHER,
        }
    }
}

impl serde::Serialize for LanguageCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Takes Java's name or the number.
impl<'de> serde::Deserialize<'de> for LanguageCode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <String as serde::Deserialize>::deserialize(deserializer)?;
        Ok(text.parse().map_or_else(|_| Self::from_name(&text), Self))
    }
}

/// Room for the fields of most headers: a send that is read has thirteen.
const FIELDS_USUAL: usize = 16;
/// Most fields of a list that is used again.
const SPARE_FIELDS_MAX: usize = 2 * FIELDS_USUAL;
/// Most emptied lists that a thread keeps: as many as one round of a connection reads.
const SPARE_MAX: usize = 256;

thread_local! {
    /// Emptied lists of fields, for the next headers that this thread reads or writes.
    static SPARE: RefCell<Vec<Vec<(Text, Text)>>> = const { RefCell::new(Vec::new()) };
}

/// The extension fields of a header: text by name, in the order they were written.
///
/// A name may occur twice (Java's binary header repeats fields that its ACL hook copied); the last
/// one wins, as in Java.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtFields(Vec<(Text, Text)>);

impl ExtFields {
    /// No fields.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&Text> {
        self.0.iter().rev().find(|(key, _)| **key == *name).map(|(_, value)| value)
    }

    /// Appends a field without looking for an older one of the same name.
    #[inline]
    pub fn push(&mut self, name: impl Into<Text>, value: impl Into<Text>) {
        if self.0.capacity() == 0 {
            self.reserve(1);
        }
        self.0.push((name.into(), value.into()));
    }

    /// Takes room for so many more fields at once.
    #[inline(never)]
    pub(crate) fn reserve(&mut self, count: usize) {
        if self.0.capacity() == 0 {
            // Room for all at once, not for four, eight and sixteen.
            let spare = SPARE.try_with(|spare| spare.borrow_mut().pop());
            self.0 = spare.ok().flatten().unwrap_or_else(|| Vec::with_capacity(FIELDS_USUAL));
        }
        self.0.reserve(count);
    }

    /// All fields in written order.
    pub fn iter(&self) -> impl Iterator<Item = (&Text, &Text)> + Clone {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// The number of fields.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Drop for ExtFields {
    fn drop(&mut self) {
        if !(1..=SPARE_FIELDS_MAX).contains(&self.0.capacity()) {
            return;
        }
        let mut fields = std::mem::take(&mut self.0);
        fields.clear();
        // Without effect when the thread is about to end.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < SPARE_MAX {
                spare.push(fields);
            }
        });
    }
}

impl<K: Into<Text>, V: Into<Text>> FromIterator<(K, V)> for ExtFields {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(fields: I) -> Self {
        Self(fields.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

/// A request or a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemotingCommand {
    /// Request: the request code. Reply: the response code, 0 for success.
    pub code: i32,
    /// The language of whoever wrote it.
    pub language: LanguageCode,
    /// The sender's version (`MQVersion` ordinal).
    pub version: i32,
    /// Pairs a reply with its request; each side of a connection numbers its own requests.
    pub opaque: i32,
    /// Bit 0: reply. Bit 1: oneway.
    pub flag: i32,
    /// Human-readable text, mostly the reason of a failure.
    pub remark: Option<Text>,
    /// The header's fields.
    pub ext_fields: ExtFields,
    /// How the header was, or is to be, written.
    pub serialize_type: SerializeType,
    /// What follows the header.
    pub body: Bytes,
}

impl RemotingCommand {
    /// A request without body. Its opaque is 0 until a connection numbers it.
    pub fn request<H: Header>(code: RequestCode, header: &H) -> Self {
        let mut ext_fields = ExtFields::new();
        header.encode(&mut ext_fields);
        Self {
            code: code.code(),
            language: LanguageCode::JAVA,
            version: VERSION_4_9_8,
            opaque: 0,
            flag: 0,
            remark: None,
            ext_fields,
            serialize_type: SerializeType::Json,
            body: Bytes::new(),
        }
    }

    /// A reply to `self` with this code and no fields.
    ///
    /// Takes over the opaque and the serialization of the request; Java readers expect both.
    pub fn reply(&self, code: ResponseCode) -> Self {
        Self {
            code: code.0,
            language: LanguageCode::JAVA,
            version: VERSION_4_9_8,
            opaque: self.opaque,
            flag: FLAG_RESPONSE,
            remark: None,
            ext_fields: ExtFields::new(),
            serialize_type: self.serialize_type,
            body: Bytes::new(),
        }
    }

    /// A successful reply to `self` with these header fields.
    pub fn reply_with<H: Header>(&self, header: &H) -> Self {
        let mut reply = self.reply(ResponseCode::SUCCESS);
        header.encode(&mut reply.ext_fields);
        reply
    }

    /// A failed reply to `self`: the code and the reason in words.
    pub fn reply_error(&self, code: ResponseCode, remark: impl Into<Text>) -> Self {
        let mut reply = self.reply(code);
        reply.remark = Some(remark.into());
        reply
    }

    /// The same command with another body.
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Whether this is a reply.
    pub fn is_response(&self) -> bool {
        self.flag & FLAG_RESPONSE != 0
    }

    /// Whether the sender waits for no reply.
    pub fn is_oneway(&self) -> bool {
        self.flag & FLAG_ONEWAY != 0
    }

    /// Marks the request as oneway.
    pub fn set_oneway(&mut self) {
        self.flag |= FLAG_ONEWAY;
    }

    /// The row of the request table that this request belongs to, if its code is known.
    pub fn request_code(&self) -> Option<RequestCode> {
        RequestCode::from_code(self.code)
    }

    /// The reply's code.
    pub fn response_code(&self) -> ResponseCode {
        ResponseCode(self.code)
    }
}
