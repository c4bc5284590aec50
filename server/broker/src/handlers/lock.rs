//! Locks on queues for orderly consumers. Java counterpart: the lock requests of `AdminBrokerProcessor`.

use std::sync::Arc;

use ferrocket_protocol::body::lock::{LockBatchRequestBody, LockBatchResponseBody, UnlockBatchRequestBody};
use ferrocket_protocol::{RemotingCommand, ResponseCode, fastjson};
use ferrocket_remoting::Connection;

use super::{Answer, body};
use crate::broker::Shared;

/// 41: takes or renews locks. Always succeeds; the body lists the queues that the client holds now.
pub(crate) fn lock_batch_mq(broker: &Arc<Shared>, _: &Connection, request: &RemotingCommand) -> Answer {
    let LockBatchRequestBody { client_id, consumer_group, mq_set } = body(request)?;
    let held =
        broker.queue_locks.lock(&consumer_group.into(), &client_id.into(), mq_set, broker.elapsed_ms());
    let held = LockBatchResponseBody { lock_ok_mq_set: held.into_iter().collect() };
    Ok(Some(request.reply(ResponseCode::SUCCESS).with_body(fastjson::to_vec(&held))))
}

/// 42: gives locks back. Those of others stay.
pub(crate) fn unlock_batch_mq(broker: &Arc<Shared>, _: &Connection, request: &RemotingCommand) -> Answer {
    let UnlockBatchRequestBody { client_id, consumer_group, mq_set } = body(request)?;
    broker.queue_locks.unlock(&consumer_group, &client_id, mq_set);
    Ok(Some(request.reply(ResponseCode::SUCCESS)))
}
