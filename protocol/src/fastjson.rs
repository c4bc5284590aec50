//! The JSON of bodies and config files, in the dialect of Java's fastjson.
//!
//! Java writes map keys that are no texts as they are: `{0:"addr"}` and `{{"topic":..}:{..}}`. Reading takes
//! those and quoted keys alike, and everything else in which real peers differ from Java:
//!
//! - numbers and booleans in quotes, and texts without (C++ quotes `subVersion` and `codeSet`);
//! - members whose value is null count as absent, as for Java's primitive fields;
//! - names without quotes, single quotes, fastjson's own escapes, a comma behind the last entry.
//!
//! Left out: back references (`$ref`), comments, and Java class names in the text.
//!
//! Writing leaves absent options out, as Java does. Types list their fields in alphabetical order, because
//! that is Java's order and some peers take texts apart by hand.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

mod read;
mod write;

/// Deepest nesting that is read, in bodies and in headers; the outermost value is the first level. Java's bodies
/// have up to six.
pub const DEPTH_MAX: usize = 16;

/// Why a text is not what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// The fault, in words.
    pub reason: String,
    /// The byte where it was noticed.
    pub at: usize,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.reason, self.at)
    }
}

impl std::error::Error for JsonError {}

/// Reads one value. Java: `RemotingSerializable.decode`.
///
/// Memory is taken for what the type keeps; unknown members cost nothing.
pub fn from_slice<T: DeserializeOwned>(text: &[u8]) -> Result<T, JsonError> {
    let mut reader = read::Reader::new(text);
    match T::deserialize(&mut reader).and_then(|value| reader.end().map(|()| value)) {
        Ok(value) => Ok(value),
        Err(error) => Err(JsonError { reason: error.reason, at: reader.at() }),
    }
}

/// Compact text; number keys in quotes, which Java, Go, C++ and Node all read. Java: `RemotingSerializable.encode`.
///
/// # Panics
/// If a `Serialize` of the caller's own fails; those of this crate do not.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    write::to_vec(value, write::Style::STRICT)
}

/// Compact text with number keys as fastjson writes them, without quotes: what Java answers to peers that
/// did not ask for standard JSON.
///
/// # Panics
/// See [`to_vec`].
pub fn to_vec_lenient<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    write::to_vec(value, write::Style::LENIENT)
}

/// Text for files: one member a line, indented with tabs, number keys without quotes, as Java's
/// `RemotingSerializable.toJson(true)`.
///
/// # Panics
/// See [`to_vec`].
pub fn to_pretty<T: Serialize + ?Sized>(value: &T) -> String {
    String::from_utf8(write::to_vec(value, write::Style::PRETTY)).expect("the writer only writes text")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;
    use crate::body::message_queue::MessageQueue;

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Sample {
        flag: bool,
        list: Vec<i64>,
        name: String,
        number: i32,
        ratio: f64,
        remark: Option<String>,
    }

    /// Texts that Java, C++, Python and Node produce for the same thing read as the same thing.
    #[test]
    fn reads_every_dialect() {
        let expected =
            Sample { flag: true, list: vec![1, -2], name: "a\"b".into(), number: 7, ..Sample::default() };
        for text in [
            r#"{"flag":true,"list":[1,-2],"name":"a\"b","number":7,"ratio":0.0}"#,
            r#" { "number" : "7" , "flag" : "true", "list":["1","-2"], "name":"a\u0022b", "ratio":"0" } "#,
            r#"{flag:1,list:[1,-2,],name:'a"b',number:7,remark:null,ratio:null,other:{"x":[{}],y:null},}"#,
            r#"{"flag":true,"number":7,"name":"a\x22b","list":[1,-2],"extra":{{"a":1}:2,3:4}}"#,
        ] {
            assert_eq!(from_slice::<Sample>(text.as_bytes()).as_ref(), Ok(&expected), "{text}");
        }
    }

    /// Map keys: quoted, raw, and objects, as Java writes them and as a strict writer would.
    #[test]
    fn reads_raw_keys() {
        type Offsets = BTreeMap<String, BTreeMap<i32, i64>>;
        let expected = Offsets::from([("t@g".to_owned(), BTreeMap::from([(0, 5), (1, 6)]))]);
        assert_eq!(from_slice::<Offsets>(br#"{"t@g":{0:5,1:6}}"#).unwrap(), expected);
        assert_eq!(from_slice::<Offsets>(br#"{"t@g":{"0":5,"1":6}}"#).unwrap(), expected);
        assert_eq!(to_vec(&expected), br#"{"t@g":{"0":5,"1":6}}"#);
        assert_eq!(to_vec_lenient(&expected), br#"{"t@g":{0:5,1:6}}"#);

        type Queues = BTreeMap<MessageQueue, i64>;
        let expected =
            Queues::from([(MessageQueue::new("T", "b", 0), 5), (MessageQueue::new("T", "b", 1), 6)]);
        let java =
            br#"{{"brokerName":"b","queueId":0,"topic":"T"}:5,{"brokerName":"b","queueId":1,"topic":"T"}:6}"#;
        assert_eq!(from_slice::<Queues>(java).unwrap(), expected);
        assert_eq!(to_vec(&expected), java);
        let quoted =
            br#"{"{\"brokerName\":\"b\",\"queueId\":0,\"topic\":\"T\"}":5,"{brokerName:'b',queueId:1,topic:'T'}":6}"#;
        assert_eq!(from_slice::<Queues>(quoted).unwrap(), expected);
    }

    /// What is written is read back, also by a strict reader; files look as Java's do.
    #[test]
    fn writes_what_is_read() {
        let sample = Sample {
            name: "\u{1}\u{4e2d}\u{1f600}\n/".into(),
            list: vec![i64::MAX, i64::MIN],
            ratio: 0.5,
            number: -1,
            ..Sample::default()
        };
        let text = to_vec(&sample);
        assert_eq!(from_slice::<Sample>(&text).unwrap(), sample);
        assert_eq!(serde_json::from_slice::<Sample>(&text).unwrap(), sample);
        assert!(!String::from_utf8(text).unwrap().contains("remark"));
        let pretty = to_pretty(&BTreeMap::from([("offsetTable", BTreeMap::from([(3, 2), (4, 1)]))]));
        assert_eq!(pretty, "{\n\t\"offsetTable\":{\n\t\t3:2,\n\t\t4:1\n\t}\n}");
        let empty: BTreeMap<i32, i32> = BTreeMap::new();
        assert_eq!(to_pretty(&empty), "{}");
    }

    /// Faults are named with their place; depth is bounded.
    #[test]
    fn refuses_what_is_no_json() {
        for (text, fault) in [
            ("", "unexpected end at byte 0"),
            ("{", "unexpected end at byte 1"),
            ("{\"a\"1}", "a colon expected at byte 4"),
            ("{\"number\":\"x\"}", "a number expected"),
            ("{\"number\":99999999999}", "invalid value"),
            ("{\"name\":\"x}", "unexpected end in a text"),
            ("{}x", "text after the value at byte 2"),
            ("[1]", "an object expected at byte 0"),
            ("{\"name\":\"\u{0}\\q\"}", "unknown escape"),
        ] {
            let error = from_slice::<Sample>(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(fault), "{text}: {error}");
        }
        let deep = [b"{\"x\":".as_slice(), &b"[".repeat(100_000)].concat();
        assert_eq!(from_slice::<Sample>(&deep).unwrap_err().reason, "nested too deeply");
        let deep = b"[".repeat(100_000);
        assert_eq!(from_slice::<serde_json::Value>(&deep).unwrap_err().reason, "nested too deeply");
        let deep = b"{".repeat(100_000);
        assert_eq!(from_slice::<serde_json::Value>(&deep).unwrap_err().reason, "nested too deeply");
        assert!(from_slice::<Sample>(b"{\"name\":\"\xff\"}").is_err());
    }
}
