//! RocketMQ's remoting protocol and disk records: bytes to typed values and back.
//!
//! No I/O, no clock, no async. [`frame`] and [`command`] are the envelope, [`requests`] is the table of all
//! requests, [`body`] holds the JSON bodies and [`message`] the stored record. [`settings`] is the vocabulary of
//! a process's settings.

pub mod acl;
pub mod batch;
pub mod body;
pub mod command;
pub mod compression;
mod decimal;
pub mod fastjson;
pub mod frame;
mod json_header;
mod json_text;
pub mod message;
pub mod message_id;
pub mod properties;
pub mod requests;
pub mod response_code;
mod rocketmq_header;
pub mod settings;
mod text_block;

pub use command::{ExtFields, LanguageCode, RemotingCommand, SerializeType, Text};
pub use message::{MessageRecord, RecordView};
pub use requests::{Header, HeaderError, RequestCode};
pub use response_code::ResponseCode;
