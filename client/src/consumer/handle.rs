//! What the client core asks of a registered consumer.
//!
//! Java counterpart: `MQConsumerInner`.

use async_trait::async_trait;
use ferrocket_protocol::Text;
use ferrocket_protocol::body::group::{ConsumeMessageDirectlyResult, ConsumerRunningInfo};
use ferrocket_protocol::body::heartbeat::ConsumerData;
use ferrocket_protocol::body::message_queue::MessageQueue;

use crate::message::MessageExt;

/// A consumer, as heartbeats, routes and requests of brokers see it.
///
/// No method may block; all but the last two are called on connection tasks.
#[async_trait]
pub(crate) trait ConsumerHandle: Send + Sync + 'static {
    /// Its group.
    fn group(&self) -> &Text;
    /// What the heartbeat says about it.
    fn consumer_data(&self) -> ConsumerData;
    /// The topics whose routes it needs, the retry topic among them.
    fn topics(&self) -> Vec<Text>;
    /// The route of one of its topics, or of another topic, changed.
    fn route_changed(&self, topic: &Text);
    /// A broker says that consumers of the group came or went (40).
    fn consumer_ids_changed(&self);
    /// An administrator moves the group's offsets of a topic (220).
    fn reset_offset(&self, topic: &Text, offsets: Vec<(MessageQueue, i64)>);
    /// The consumed offsets of a topic (221).
    fn consumer_status(&self, topic: &str) -> Vec<(MessageQueue, i64)>;
    /// What `consumerStatus` shows (307). The client adds NameServers and version.
    fn running_info(&self) -> ConsumerRunningInfo;
    /// Whether messages are handed to the program, which 309 needs.
    fn has_listener(&self) -> bool;
    /// Hands one message to the program's listener on an administrator's behalf (309).
    async fn consume_directly(&self, message: MessageExt) -> ConsumeMessageDirectlyResult;
    /// Stops pulling, finishes what is under way, stores offsets and unregisters.
    async fn shutdown(&self);
}
