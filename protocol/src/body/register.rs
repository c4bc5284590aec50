//! Registrations of brokers and the NameServer's key-value config.

use std::collections::BTreeMap;
use std::fmt;

use bytes::{Buf, BufMut, Bytes};
use serde::{Deserialize, Serialize};

use super::topic::{DataVersion, TopicConfig, TopicConfigSerializeWrapper};
use crate::compression;
use crate::fastjson::{self, JsonError};

/// Most bytes that a compressed registration may unfold to: room for half a million topics.
pub const REGISTRATION_LEN_MAX: usize = 64 * 1024 * 1024;

/// Body of `REGISTER_BROKER`. Java: `RegisterBrokerBody`.
///
/// The header's `bodyCrc32` is [`crate::message::body_crc`] of the bytes as sent, 0 for "do not check".
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RegisterBrokerBody {
    /// Filter servers; always empty.
    pub filter_server_list: Vec<String>,
    /// The topics that are registered: all of the broker, or those that changed.
    pub topic_config_serialize_wrapper: TopicConfigSerializeWrapper,
}

/// Why bytes are not a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistrationError {
    /// The compressed form does not unfold.
    Compression(compression::CompressionError),
    /// A JSON part is broken.
    Json(JsonError),
    /// A length or a count does not fit what follows it.
    Length,
    /// A topic's line does not read.
    Topic(String),
}

impl fmt::Display for RegistrationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compression(error) => write!(f, "bad registration: {error}"),
            Self::Json(error) => write!(f, "bad registration: {error}"),
            Self::Length => f.write_str("bad registration: a length does not fit what follows"),
            Self::Topic(line) => write!(f, "bad registration: topic line {line:?}"),
        }
    }
}

impl std::error::Error for RegistrationError {}

impl From<JsonError> for RegistrationError {
    fn from(error: JsonError) -> Self {
        Self::Json(error)
    }
}

impl RegisterBrokerBody {
    /// The bytes: JSON, or with `compressed` a zlib stream of lengths, JSON parts and topic lines.
    ///
    /// ```text
    /// 4+n  DataVersion, JSON
    /// 4    number of topics
    /// 4+n  per topic: its line (see `TopicConfig::to_line`)
    /// 4+n  filter servers, JSON
    /// ```
    pub fn encode(&self, compressed: bool) -> Bytes {
        if !compressed {
            return fastjson::to_vec(self).into();
        }
        let mut plain = Vec::new();
        let table = &self.topic_config_serialize_wrapper;
        put_part(&mut plain, &fastjson::to_vec(&table.data_version));
        plain.put_u32(table.topic_config_table.len() as u32);
        for config in table.topic_config_table.values() {
            put_part(&mut plain, config.to_line().as_bytes());
        }
        put_part(&mut plain, &fastjson::to_vec(&self.filter_server_list));
        compression::zlib(&plain, 9).into()
    }

    /// Reads either form. The queue mappings that 5.x puts behind the filter servers are passed over.
    pub fn decode(body: &[u8], compressed: bool) -> Result<Self, RegistrationError> {
        if !compressed {
            return Ok(fastjson::from_slice(body)?);
        }
        let plain =
            compression::unzlib(body, REGISTRATION_LEN_MAX).map_err(RegistrationError::Compression)?;
        let mut rest = &plain[..];
        let data_version: DataVersion = fastjson::from_slice(part(&mut rest)?)?;
        let count = length(&mut rest)?;
        let mut topic_config_table = BTreeMap::new();
        for _ in 0..count {
            let line = String::from_utf8_lossy(part(&mut rest)?);
            let config =
                TopicConfig::from_line(&line).ok_or_else(|| RegistrationError::Topic(line.into_owned()))?;
            topic_config_table.insert(config.topic_name.clone(), config);
        }
        let filter_server_list = fastjson::from_slice(part(&mut rest)?)?;
        let topic_config_serialize_wrapper = TopicConfigSerializeWrapper { data_version, topic_config_table };
        Ok(Self { filter_server_list, topic_config_serialize_wrapper })
    }
}

fn put_part(out: &mut Vec<u8>, part: &[u8]) {
    out.put_u32(part.len() as u32);
    out.put_slice(part);
}

fn length(rest: &mut &[u8]) -> Result<usize, RegistrationError> {
    if rest.len() < 4 {
        return Err(RegistrationError::Length);
    }
    Ok(rest.get_u32() as usize)
}

fn part<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], RegistrationError> {
    let len = length(rest)?;
    let (part, behind) = rest.split_at_checked(len).ok_or(RegistrationError::Length)?;
    *rest = behind;
    Ok(part)
}

/// A table of texts. Java: `KVTable`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct KVTable {
    /// Values by key.
    pub table: BTreeMap<String, String>,
}

/// The NameServer's file `kvConfig.json`. Java: `KVConfigSerializeWrapper`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct KVConfig {
    /// Values by namespace and key.
    pub config_table: BTreeMap<String, BTreeMap<String, String>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both forms keep everything that 4.9 registers; broken ones are refused.
    #[test]
    fn registrations_round_trip() {
        let mut body = RegisterBrokerBody::default();
        let table = &mut body.topic_config_serialize_wrapper;
        table.data_version = DataVersion { counter: 7, state_version: 0, timestamp: 1_700_000_000_000 };
        for name in ["TBW102", "%RETRY%g", "T"] {
            table.topic_config_table.insert(name.to_owned(), TopicConfig::new(name, 4, 8, 7));
        }
        for compressed in [false, true] {
            let bytes = body.encode(compressed);
            assert_eq!(RegisterBrokerBody::decode(&bytes, compressed).as_ref(), Ok(&body));
            for len in 0..bytes.len() {
                assert!(RegisterBrokerBody::decode(&bytes[..len], compressed).is_err(), "{len}");
            }
        }
        let mut lying = Vec::new();
        lying.put_u32(2);
        lying.put_slice(b"{}");
        lying.put_u32(u32::MAX);
        let error = RegisterBrokerBody::decode(&compression::zlib(&lying, 9), true).unwrap_err();
        assert_eq!(error, RegistrationError::Length);
    }
}
