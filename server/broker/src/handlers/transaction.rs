//! Transactions: `END_TRANSACTION` (37) and `RESUME_CHECK_HALF_MESSAGE` (323).
//!
//! Whoever waits for the answer to a state that is still unknown gets a success, where Java says nothing. A
//! place in the log counts as a half message only if the queue of half messages has it there. Java counterparts:
//! `EndTransactionProcessor`, `AdminBrokerProcessor`.

use std::sync::Arc;

use ferrocket_protocol::message::{MessageRecord, sys_flag};
use ferrocket_protocol::message_id::OffsetMessageId;
use ferrocket_protocol::properties::{self, names};
use ferrocket_protocol::requests::Header;
use ferrocket_protocol::requests::transaction::{EndTransactionHeader, ResumeCheckHalfMessageHeader};
use ferrocket_protocol::{RemotingCommand, ResponseCode};
use ferrocket_remoting::Connection;
use ferrocket_store::AppendError;

use super::{Answer, acl, send};
use crate::broker::Shared;
use crate::refusal::Refusal;
use crate::send_plan;
use crate::topics::TRANS_HALF_TOPIC;
use crate::transactions;

/// 37: commits or rolls back a half message, or leaves it to be asked about again.
pub(crate) fn end_transaction(
    broker: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let header = EndTransactionHeader::decode(&request.ext_fields)?;
    let commit = match header.commit_or_rollback {
        sys_flag::TRANSACTION_COMMIT => true,
        sys_flag::TRANSACTION_ROLLBACK => false,
        0 => {
            let remark = request.remark.as_deref();
            tracing::info!(peer = %connection.peer_addr(), ?header, remark, "a transaction is still pending");
            return Ok(Some(request.reply(ResponseCode::SUCCESS)));
        }
        other => {
            let remark = format!("commitOrRollback is {other}, allowed are 0, 8 and 12");
            return Err(Refusal::system_error(remark));
        }
    };
    let not_found = || Refusal::system_error("Find prepared transaction message failed");
    let half = broker
        .message_at(header.commit_log_offset)
        .filter(|record| *record.topic == *TRANS_HALF_TOPIC)
        .ok_or_else(not_found)?;
    transactions::check_end(&half, &header)?;
    let entry = broker.store.entry(TRANS_HALF_TOPIC, half.queue_id, half.queue_offset);
    if entry.is_none_or(|entry| entry.physical_offset != half.physical_offset) {
        return Err(not_found());
    }
    let message = transactions::committed(&half).ok_or_else(not_found)?;
    acl::admit_sending(broker, request, connection.peer_addr().ip(), &message.topic)?;
    if commit {
        let level = properties::get(&half.properties, names::DELAY_TIME_LEVEL);
        let level = level.and_then(|level| level.parse().ok()).unwrap_or(0);
        let message = send_plan::delayed(message, level, broker.delay.level_max());
        broker.append(message).map_err(|error| not_committed(broker, &error))?;
    }
    // Lost, the producer is asked, and this comes again.
    if let Err(error) = broker.append(transactions::op(&half, broker.clock.now_ms())) {
        tracing::error!(%error, offset = half.queue_offset, "the end of a transaction was not stored");
    }
    Ok(Some(request.reply(ResponseCode::SUCCESS)))
}

fn not_committed(broker: &Shared, error: &AppendError) -> Refusal {
    tracing::warn!(%error, "a message was not committed");
    match send::not_stored(broker, error) {
        // The one place where Java writes it with a capital letter.
        Refusal { code: ResponseCode::MESSAGE_ILLEGAL, remark } => {
            Refusal::new(ResponseCode::MESSAGE_ILLEGAL, remark.replacen('t', "T", 1))
        }
        Refusal { code, .. } => Refusal::new(code, "Service not available now."),
    }
}

/// 323: puts a half message that was given up back among those that are asked about.
pub(crate) fn resume_check_half_message(
    broker: &Arc<Shared>,
    _: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let header = ResumeCheckHalfMessageHeader::decode(&request.ext_fields)?;
    let id = header.msg_id.as_deref().and_then(OffsetMessageId::parse);
    let record: Option<MessageRecord> = id.and_then(|id| broker.message_at(id.physical_offset));
    let half = record.and_then(transactions::resumed).ok_or_else(|| {
        Refusal::system_error("Exception was thrown when putting message back to RMQ_SYS_TRANS_HALF_TOPIC.")
    })?;
    broker.append(half).map_err(|error| {
        tracing::error!(%error, "a half message was not put back");
        Refusal::system_error("Put message back to RMQ_SYS_TRANS_HALF_TOPIC failed.")
    })?;
    Ok(Some(request.reply(ResponseCode::SUCCESS)))
}
