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
//!     let producer = client.producer("order-service").start().await?;
//!     let sent = producer.send(Message::new("Orders", "paid").tags("vip").key("o-42")).await?;
//!     println!("{sent}");
//!     client.shutdown().await
//! }
//! ```
//!
//! [`Client`] is the connection to a cluster, shared by all [`Producer`]s and consumers of a program: a
//! [`PushConsumer`] calls a listener, a [`LitePullConsumer`] is polled, a [`PullConsumer`] asks for one queue at a
//! time.
//!
//! Every kind of message and consumer has a runnable file in the repository's `examples` folder. Who comes from
//! Java finds the names side by side in the book's guide `from-java`.
//!
//! Names, defaults and behaviour are those of Java's client 4.9.8 in Rust's case. Left out: pop consumers.

pub mod admin;
pub mod allocate;
#[cfg(feature = "blocking")]
pub mod blocking;
mod callbacks;
mod client;
mod config;
mod consumer;
mod error;
mod events;
mod fault;
mod in_flight;
mod lite_pull_consumer;
mod message;
mod message_ids;
mod name_servers;
mod namespace;
mod producer;
mod pull_consumer;
mod push_consumer;
mod route;
mod selector;
mod send_result;
pub mod settings;
mod spans;
#[cfg(feature = "testing")]
pub mod testing;
mod trace;
mod validate;

pub use client::Client;
pub use config::ClientBuilder;
pub use error::{Error, ErrorKind, Result};
pub use events::{Event, Events};
pub use ferrocket_protocol::body::message_queue::MessageQueue;
pub use ferrocket_protocol::{LanguageCode, SerializeType};
#[cfg(feature = "tls")]
pub use ferrocket_remoting::TlsOptions;
pub use ferrocket_remoting::{RemotingConfig, SocksProxy};
pub use lite_pull_consumer::{LitePullConsumer, LitePullConsumerBuilder, LitePullStream};
pub use message::{Message, MessageExt};
pub use producer::{
    CompressionType, LocalTransaction, LocalTransactionAnswer, LocalTransactionState, PendingSend, Producer,
    ProducerBuilder, SendMessageContext, SendMessageHook, Sending, TransactionProducer,
    TransactionProducerBuilder, TransactionSendResult,
};
pub use pull_consumer::{PullConsumer, PullConsumerBuilder, PullResult, PullStatus};
pub use push_consumer::{
    ConsumeFromWhere, ConsumeOrderlyResult, ConsumeResult, Deliveries, Delivery, MessageListenerConcurrently,
    MessageListenerOrderly, MessageModel, PushConsumer, PushConsumerBuilder,
};
pub use selector::MessageSelector;
pub use send_result::{SendResult, SendStatus};
