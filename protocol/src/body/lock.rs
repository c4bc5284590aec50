//! Locks on queues, for consumers that keep the order.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::message_queue::MessageQueue;

/// Body of `LOCK_BATCH_MQ`. Java: `LockBatchRequestBody`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct LockBatchRequestBody {
    /// Who wants the locks.
    pub client_id: String,
    /// For which group.
    pub consumer_group: String,
    /// The queues.
    pub mq_set: BTreeSet<MessageQueue>,
}

/// Answer to `LOCK_BATCH_MQ`. Java: `LockBatchResponseBody`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LockBatchResponseBody {
    /// The queues that the client holds now.
    #[serde(rename = "lockOKMQSet")]
    pub lock_ok_mq_set: BTreeSet<MessageQueue>,
}

/// Body of `UNLOCK_BATCH_MQ`: the same, of locks that are given back. Java: `UnlockBatchRequestBody`.
pub type UnlockBatchRequestBody = LockBatchRequestBody;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fastjson;

    /// An answer without any lock is an empty list, not an absent one.
    #[test]
    fn empty_answers_have_a_list() {
        assert_eq!(fastjson::to_vec(&LockBatchResponseBody::default()), br#"{"lockOKMQSet":[]}"#);
        let some = br#"{"lockOKMQSet":[{"brokerName":"b","queueId":0,"topic":"T"}]}"#;
        assert_eq!(fastjson::to_vec(&fastjson::from_slice::<LockBatchResponseBody>(some).unwrap()), some);
    }
}
