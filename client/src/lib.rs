//! The client SDK of Ferrocket: send to and consume from clusters that speak RocketMQ's remoting protocol,
//! Apache RocketMQ 4.9 and 5.x or Ferrocket's own servers.
//!
//! A first program, with a cluster whose NameServer listens on port 9876:
//!
//! ```no_run
//! use ferrocket::{Client, Message};
//!
//! #[tokio::main]
//! async fn main() -> ferrocket::Result<()> {
//!     let client = Client::builder("127.0.0.1:9876").build()?;
//!     let producer = client.producer("first-producer").start().await?;
//!     let sent = producer.send(Message::new("TopicTest", "Hello, RocketMQ")).await?;
//!     println!("{sent}");
//!     client.shutdown().await
//! }
//! ```
//!
//! [`Client`] is the connection to a cluster, shared by all [`Producer`]s and [`PushConsumer`]s of a
//! program.
//!
//! Every kind of message has a runnable file in the repository's `examples` folder.
//!
//! Names, defaults and behaviour are those of Java's client 4.9.8 in Rust's case. Left out: the VIP channel,
//! namespaces, SQL filters, pop and pull consumers.

pub mod allocate;
mod callbacks;
mod client;
mod config;
mod consumer_handle;
mod error;
mod fault;
mod in_flight;
mod message;
mod message_ids;
mod name_servers;
mod offset_store;
mod process_queue;
mod producer;
mod push_consumer;
mod rebalance;
mod route;
mod send_result;
mod trace;
mod validate;

pub use client::Client;
pub use config::ClientBuilder;
pub use error::{Error, ErrorKind, Result};
pub use ferrocket_protocol::body::message_queue::MessageQueue;
pub use ferrocket_protocol::{LanguageCode, SerializeType};
pub use ferrocket_remoting::RemotingConfig;
#[cfg(feature = "tls")]
pub use ferrocket_remoting::TlsOptions;
pub use message::{Message, MessageExt};
pub use producer::{
    LocalTransaction, LocalTransactionAnswer, LocalTransactionState, PendingSend, Producer, ProducerBuilder,
    TransactionProducer, TransactionProducerBuilder, TransactionSendResult,
};
pub use push_consumer::{
    ConsumeFromWhere, ConsumeOrderlyResult, ConsumeResult, MessageListenerConcurrently,
    MessageListenerOrderly, MessageModel, PushConsumer, PushConsumerBuilder,
};
pub use send_result::{SendResult, SendStatus};
