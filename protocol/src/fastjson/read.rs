//! Reading: a serde deserializer that takes what the expected type allows.

use std::fmt;

use serde::de::{self, DeserializeSeed, IntoDeserializer, Visitor};

use super::{DEPTH_MAX, JsonError};
use crate::json_text::unescape;

pub(super) struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
}

type Read<T> = Result<T, JsonError>;

impl de::Error for JsonError {
    fn custom<T: fmt::Display>(reason: T) -> Self {
        Self { reason: reason.to_string(), at: 0 }
    }
}

/// The place is added by whoever owns the reader.
fn fault<T>(reason: &str) -> Read<T> {
    Err(JsonError { reason: reason.to_owned(), at: 0 })
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at.min(self.text.len())
    }

    pub(super) fn end(&mut self) -> Read<()> {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { fault("text after the value") }
    }

    fn space(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// The next byte that is not white space, which is not consumed.
    fn peek(&mut self) -> Read<u8> {
        self.space();
        match self.text.get(self.at) {
            Some(byte) => Ok(*byte),
            None => fault("unexpected end"),
        }
    }

    fn expect(&mut self, byte: u8, otherwise: &str) -> Read<()> {
        if self.peek()? != byte {
            return fault(otherwise);
        }
        self.at += 1;
        Ok(())
    }

    fn deeper(&mut self) -> Read<()> {
        self.depth += 1;
        if self.depth > DEPTH_MAX { fault("nested too deeply") } else { Ok(()) }
    }

    /// A word or number without quotes.
    fn bare(&mut self) -> Read<&'a str> {
        self.space();
        let start = self.at;
        while matches!(
            self.text.get(self.at),
            Some(b'-' | b'+' | b'.' | b'_' | b'$' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z')
        ) {
            self.at += 1;
        }
        let word = self.text.get(start..self.at).and_then(|word| str::from_utf8(word).ok());
        match word {
            Some(word) if !word.is_empty() => Ok(word),
            _ if start == self.text.len() => fault("unexpected end"),
            _ => fault("a value expected"),
        }
    }

    /// Consumes `null` if it comes next.
    fn null(&mut self) -> Read<bool> {
        if self.peek()? != b'n' {
            return Ok(false);
        }
        let before = self.at;
        if self.bare()? == "null" {
            return Ok(true);
        }
        self.at = before;
        Ok(false)
    }

    fn quoted(&mut self) -> Read<String> {
        let quote = self.peek()?;
        self.at += 1;
        let mut text = Vec::new();
        if let Err(reason) = unescape(self.text, &mut self.at, quote, &mut text) {
            return fault(reason);
        }
        String::from_utf8(text).or_else(|_| fault("text that is not UTF-8"))
    }

    /// A text, or the text of whatever else stands there.
    fn string(&mut self) -> Read<String> {
        match self.peek()? {
            b'"' | b'\'' => self.quoted(),
            b'{' | b'[' => {
                let start = self.at;
                self.skip()?;
                let raw = self.text.get(start..self.at).and_then(|raw| str::from_utf8(raw).ok());
                raw.map(str::to_owned).map_or_else(|| fault("text that is not UTF-8"), Ok)
            }
            _ => self.bare().map(str::to_owned),
        }
    }

    /// The text of a number or boolean, in quotes or not.
    fn scalar(&mut self, otherwise: &str) -> Read<String> {
        match self.peek()? {
            b'{' | b'[' => fault(otherwise),
            _ => self.string(),
        }
    }

    /// Passes over a value of any kind without recursion.
    fn skip(&mut self) -> Read<()> {
        let bottom = self.depth;
        loop {
            match self.peek()? {
                b'{' | b'[' => {
                    self.deeper()?;
                    self.at += 1;
                    continue;
                }
                b'}' | b']' if self.depth > bottom => {
                    self.depth -= 1;
                    self.at += 1;
                }
                b'"' | b'\'' => self.skip_quoted()?,
                b',' | b':' if self.depth > bottom => {
                    self.at += 1;
                    continue;
                }
                _ => {
                    self.bare()?;
                }
            }
            if self.depth == bottom {
                return Ok(());
            }
        }
    }

    fn skip_quoted(&mut self) -> Read<()> {
        let quote = self.peek()?;
        loop {
            self.at += 1;
            match self.text.get(self.at) {
                Some(b'\\') => self.at += 1,
                Some(byte) if *byte == quote => break,
                Some(_) => {}
                None => return fault("unexpected end in a text"),
            }
        }
        self.at += 1;
        Ok(())
    }

    /// After the opening bracket or an entry: whether another entry follows. Consumes commas and the end.
    fn more(&mut self, closing: u8, first: &mut bool) -> Read<bool> {
        let mut separated = std::mem::take(first);
        loop {
            match self.peek()? {
                b',' => {
                    separated = true;
                    self.at += 1;
                }
                byte if byte == closing => {
                    self.at += 1;
                    self.depth -= 1;
                    return Ok(false);
                }
                _ if separated => return Ok(true),
                _ => return fault("a comma or the closing bracket expected"),
            }
        }
    }
}

macro_rules! integers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
            let text = self.scalar("a number expected")?;
            let text = text.trim();
            match (text.parse::<i64>(), text.parse::<u64>()) {
                (Ok(value), _) => visitor.visit_i64(value),
                (_, Ok(value)) => visitor.visit_u64(value),
                _ => fault("a number expected"),
            }
        })*
    };
}

macro_rules! strings {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
            visitor.visit_string(self.string()?)
        })*
    };
}

/// Methods that do what another one does, whatever else they are told.
macro_rules! forwards {
    ($($method:ident($($type:ty),*) $other:ident,)*) => {
        $(fn $method<V: Visitor<'de>>(self, $(_: $type,)* visitor: V) -> Read<V::Value> {
            self.$other(visitor)
        })*
    };
}

// Nothing is borrowed from the text, so the lifetime that serde asks for is not the text's: an object in
// quotes is read by a reader over text that lives only here.
impl<'de> de::Deserializer<'de> for &mut Reader<'_> {
    type Error = JsonError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        match self.peek()? {
            b'{' => self.deserialize_map(visitor),
            b'[' => self.deserialize_seq(visitor),
            b'"' | b'\'' => visitor.visit_string(self.quoted()?),
            _ => match self.bare()? {
                "null" => visitor.visit_unit(),
                "true" => visitor.visit_bool(true),
                "false" => visitor.visit_bool(false),
                number => match (number.parse::<i64>(), number.parse::<u64>(), number.parse::<f64>()) {
                    (Ok(value), ..) => visitor.visit_i64(value),
                    (_, Ok(value), _) => visitor.visit_u64(value),
                    (.., Ok(value)) if value.is_finite() => visitor.visit_f64(value),
                    _ => fault("a value expected"),
                },
            },
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        // What fastjson's `castToBoolean` knows.
        match &*self.scalar("true or false expected")?.to_ascii_lowercase() {
            "true" | "1" | "y" | "t" => visitor.visit_bool(true),
            "false" | "0" | "n" | "f" => visitor.visit_bool(false),
            _ => fault("true or false expected"),
        }
    }

    integers! { deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
    deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        match self.scalar("a number expected")?.trim().parse::<f64>() {
            Ok(value) if value.is_finite() => visitor.visit_f64(value),
            _ => fault("a number expected"),
        }
    }

    strings! { deserialize_char deserialize_str deserialize_string deserialize_identifier }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        use base64::Engine;
        match base64::engine::general_purpose::STANDARD.decode(self.string()?) {
            Ok(bytes) => visitor.visit_byte_buf(bytes),
            Err(_) => fault("Base64 expected"),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        if self.null()? { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        self.skip()?;
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Read<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        self.expect(b'[', "a list expected")?;
        self.deeper()?;
        let mut entries = Entries { reader: self, first: true, ended: false };
        let value = visitor.visit_seq(&mut entries)?;
        // A visitor that counts, as those of tuples, has not asked for the end.
        if !entries.ended && entries.reader.more(b']', &mut entries.first)? {
            return fault("a shorter list expected");
        }
        Ok(value)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        if matches!(self.peek()?, b'"' | b'\'') {
            // An object that a strict writer had to quote, because it is a key.
            let text = self.quoted()?;
            let mut reader = Reader { text: text.as_bytes(), at: 0, depth: self.depth };
            reader.expect(b'{', "an object expected")?;
            reader.deeper()?;
            let value = visitor.visit_map(Members { reader: &mut reader, first: true })?;
            return reader.end().map(|()| value);
        }
        self.expect(b'{', "an object expected")?;
        self.deeper()?;
        visitor.visit_map(Members { reader: self, first: true })
    }

    forwards! {
        deserialize_f32() deserialize_f64,
        deserialize_byte_buf() deserialize_bytes,
        deserialize_unit_struct(&'static str) deserialize_unit,
        deserialize_ignored_any() deserialize_unit,
        deserialize_tuple(usize) deserialize_seq,
        deserialize_tuple_struct(&'static str, usize) deserialize_seq,
        deserialize_struct(&'static str, &'static [&'static str]) deserialize_map,
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Read<V::Value> {
        visitor.visit_enum(self.string()?.into_deserializer())
    }
}

/// A list that is being read.
struct Entries<'r, 'a> {
    reader: &'r mut Reader<'a>,
    first: bool,
    ended: bool,
}

impl<'de> de::SeqAccess<'de> for &mut Entries<'_, '_> {
    type Error = JsonError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Read<Option<T::Value>> {
        if !self.reader.more(b']', &mut self.first)? {
            self.ended = true;
            return Ok(None);
        }
        seed.deserialize(&mut *self.reader).map(Some)
    }
}

/// An object that is being read.
struct Members<'r, 'a> {
    reader: &'r mut Reader<'a>,
    first: bool,
}

impl<'de> de::MapAccess<'de> for Members<'_, '_> {
    type Error = JsonError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Read<Option<K::Value>> {
        while self.reader.more(b'}', &mut self.first)? {
            let before = self.reader.at;
            self.reader.skip()?;
            self.reader.expect(b':', "a colon expected")?;
            if !self.reader.null()? {
                self.reader.at = before;
                return seed.deserialize(&mut *self.reader).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Read<V::Value> {
        self.reader.expect(b':', "a colon expected")?;
        seed.deserialize(&mut *self.reader)
    }
}
