//! What a ConsumeQueue holds, for admin tools.

use serde::{Deserialize, Serialize};

use super::heartbeat::SubscriptionData;

/// Answer to `QUERY_CONSUME_QUEUE`. Java: `QueryConsumeQueueResponseBody`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct QueryConsumeQueueResponseBody {
    /// The group's filter in words.
    pub filter_data: Option<String>,
    /// The offset behind the last entry.
    pub max_queue_index: i64,
    /// The first offset.
    pub min_queue_index: i64,
    /// The entries asked for.
    pub queue_data: Vec<ConsumeQueueData>,
    /// The group's subscription.
    pub subscription_data: Option<SubscriptionData>,
}

/// One entry of a ConsumeQueue. Java: `ConsumeQueueData`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConsumeQueueData {
    /// Filter bits of the extended queue.
    pub bit_map: Option<String>,
    /// Whether the group's filter takes the message.
    pub eval: bool,
    /// The extended entry.
    pub extend_data_json: Option<String>,
    /// What is wrong with the message, if anything.
    pub msg: Option<String>,
    /// Where the message stands in the CommitLog.
    pub physic_offset: i64,
    /// Its size there.
    pub physic_size: i32,
    /// Its tags code.
    pub tags_code: i64,
}
