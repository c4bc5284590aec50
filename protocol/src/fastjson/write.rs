//! Writing: a serde serializer whose map keys may be numbers and objects.

use std::fmt;

use serde::ser::{self, Serialize};

use crate::json_text::put_string;

#[derive(Clone, Copy)]
pub(super) struct Style {
    quote_number_keys: bool,
    pretty: bool,
}

impl Style {
    pub(super) const STRICT: Self = Self { quote_number_keys: true, pretty: false };
    pub(super) const LENIENT: Self = Self { quote_number_keys: false, pretty: false };
    pub(super) const PRETTY: Self = Self { quote_number_keys: false, pretty: true };
}

pub(super) fn to_vec<T: Serialize + ?Sized>(value: &T, style: Style) -> Vec<u8> {
    let mut writer = Writer { out: Vec::with_capacity(128), style, indent: 0, key: false };
    if let Err(WriteError(reason)) = value.serialize(&mut writer) {
        panic!("a value cannot be written as JSON: {reason}");
    }
    writer.out
}

/// Only a foreign `Serialize` can make one.
#[derive(Debug)]
pub(super) struct WriteError(String);

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WriteError {}

impl ser::Error for WriteError {
    fn custom<T: fmt::Display>(reason: T) -> Self {
        Self(reason.to_string())
    }
}

pub(super) struct Writer {
    out: Vec<u8>,
    style: Style,
    indent: usize,
    /// The next value is a map key.
    key: bool,
}

impl Writer {
    fn number(&mut self, number: impl fmt::Display) {
        let quoted = self.key && self.style.quote_number_keys;
        let quote = if quoted { "\"" } else { "" };
        self.out.extend_from_slice(format!("{quote}{number}{quote}").as_bytes());
    }

    fn line(&mut self) {
        if self.style.pretty {
            self.out.push(b'\n');
            self.out.resize(self.out.len() + self.indent, b'\t');
        }
    }

    fn open(&mut self, bracket: u8) -> Compound<'_> {
        self.key = false;
        self.out.push(bracket);
        self.indent += 1;
        // Java puts every member of an object on a line of its own, and entries of a list on one.
        Compound { closing: bracket + 2, lines: bracket == b'{', first: true, writer: self }
    }
}

/// An object or a list that is being written.
pub(super) struct Compound<'a> {
    writer: &'a mut Writer,
    closing: u8,
    lines: bool,
    first: bool,
}

impl Compound<'_> {
    fn separate(&mut self) {
        if !self.first {
            self.writer.out.push(b',');
        }
        if self.lines {
            self.writer.line();
        }
        self.first = false;
    }

    fn entry<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), WriteError> {
        self.separate();
        value.serialize(&mut *self.writer)
    }

    /// Writes a named member, and takes it back if its value is null.
    fn member<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), WriteError> {
        let (len, first) = (self.writer.out.len(), self.first);
        self.separate();
        put_string(&mut self.writer.out, name);
        self.writer.out.push(b':');
        let at = self.writer.out.len();
        value.serialize(&mut *self.writer)?;
        if self.writer.out.get(at..) == Some(b"null") {
            self.writer.out.truncate(len);
            self.first = first;
        }
        Ok(())
    }

    fn close(self) -> Result<(), WriteError> {
        self.writer.indent -= 1;
        if self.lines && !self.first {
            self.writer.line();
        }
        self.writer.out.push(self.closing);
        Ok(())
    }
}

type Written = Result<(), WriteError>;

macro_rules! numbers {
    ($($method:ident $type:ty),*) => {
        $(fn $method(self, value: $type) -> Written {
            self.number(value);
            Ok(())
        })*
    };
}

macro_rules! openings {
    ($($method:ident($($type:ty),*) $bracket:literal,)*) => {
        $(fn $method(self, $(_: $type),*) -> Result<Compound<'a>, WriteError> {
            Ok(self.open($bracket))
        })*
    };
}

impl<'a> ser::Serializer for &'a mut Writer {
    type Ok = ();
    type Error = WriteError;
    type SerializeSeq = Compound<'a>;
    type SerializeTuple = Compound<'a>;
    type SerializeTupleStruct = Compound<'a>;
    type SerializeTupleVariant = Compound<'a>;
    type SerializeMap = Compound<'a>;
    type SerializeStruct = Compound<'a>;
    type SerializeStructVariant = Compound<'a>;

    numbers! { serialize_bool bool, serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64,
    serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64 }

    fn serialize_f32(self, value: f32) -> Written {
        self.serialize_f64(f64::from(value))
    }
    fn serialize_f64(self, value: f64) -> Written {
        // `Debug` keeps the ".0" that tells Java a double; fastjson writes what is no number as null.
        if value.is_finite() {
            self.number(format_args!("{value:?}"))
        } else {
            self.serialize_unit()?
        }
        Ok(())
    }
    fn serialize_char(self, value: char) -> Written {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }
    fn serialize_str(self, value: &str) -> Written {
        put_string(&mut self.out, value);
        Ok(())
    }
    fn serialize_bytes(self, value: &[u8]) -> Written {
        use base64::Engine;
        self.serialize_str(&base64::engine::general_purpose::STANDARD.encode(value))
    }
    fn serialize_none(self) -> Written {
        self.serialize_unit()
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Written {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Written {
        self.out.extend_from_slice(b"null");
        Ok(())
    }
    fn serialize_unit_struct(self, _: &'static str) -> Written {
        self.serialize_unit()
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, name: &'static str) -> Written {
        self.serialize_str(name)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Written {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        value: &T,
    ) -> Written {
        let mut object = self.open(b'{');
        object.member(name, value)?;
        object.close()
    }
    openings! {
        serialize_seq(Option<usize>) b'[',
        serialize_tuple(usize) b'[',
        serialize_tuple_struct(&'static str, usize) b'[',
        serialize_tuple_variant(&'static str, u32, &'static str, usize) b'[',
        serialize_map(Option<usize>) b'{',
        serialize_struct_variant(&'static str, u32, &'static str, usize) b'{',
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Compound<'a>, WriteError> {
        let key = self.key;
        let mut object = self.open(b'{');
        // An object that is a key stays on its line.
        object.lines &= !key;
        Ok(object)
    }
}

impl ser::SerializeMap for Compound<'_> {
    type Ok = ();
    type Error = WriteError;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Written {
        self.separate();
        self.writer.key = true;
        key.serialize(&mut *self.writer)?;
        self.writer.key = false;
        self.writer.out.push(b':');
        Ok(())
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        value.serialize(&mut *self.writer)
    }
    fn end(self) -> Written {
        self.close()
    }
}

macro_rules! compound {
    ($($trait:ident $method:ident($($name:ident)?) $how:ident;)*) => {
        $(impl ser::$trait for Compound<'_> {
            type Ok = ();
            type Error = WriteError;
            fn $method<T: Serialize + ?Sized>(&mut self, $($name: &'static str,)? value: &T) -> Written {
                self.$how($($name,)? value)
            }
            fn end(self) -> Written {
                self.close()
            }
        })*
    };
}

compound! {
    SerializeSeq serialize_element() entry;
    SerializeTuple serialize_element() entry;
    SerializeTupleStruct serialize_field() entry;
    SerializeTupleVariant serialize_field() entry;
    SerializeStruct serialize_field(name) member;
    SerializeStructVariant serialize_field(name) member;
}
