//! Request-reply: `SEND_REPLY_MESSAGE` (324, 325), the answer of a consumer to a producer's request.
//!
//! The reply names the client that waits for it and is pushed to it (326); with `storeReplyMessageEnable` it
//! is stored as well, in the cluster's reply topic. The answer tells how the push went, also when nothing
//! could be stored. Java counterpart: `ReplyMessageProcessor`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ferrocket_protocol::message::MessageRecord;
use ferrocket_protocol::message_id::OffsetMessageId;
use ferrocket_protocol::properties::{self, Properties, names};
use ferrocket_protocol::requests::send::{ReplyMessageHeader, SendMessageHeader, SendMessageReply};
use ferrocket_protocol::{Header, RemotingCommand, RequestCode, ResponseCode, Text};
use ferrocket_remoting::Connection;

use super::{Answer, send};
use crate::broker::Shared;
use crate::{late, send_plan};

/// How long the client that waits may take to acknowledge its reply.
const PUSH_TIMEOUT: Duration = Duration::from_secs(10);

/// 324 and 325: brings a reply to the client that waits for it.
pub(crate) fn send_reply_message(
    broker: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let header = match request.request_code() {
        Some(RequestCode::SendReplyMessage) => SendMessageHeader::decode(&request.ext_fields)?,
        _ => SendMessageHeader::decode_v2(&request.ext_fields)?,
    };
    let topic = send::admit(broker, connection, &header)?;
    let turn = broker.turn.fetch_add(1, Ordering::Relaxed);
    let queue_id = send_plan::choose_queue(header.queue_id, topic.write_queue_nums, turn)?;
    let (sender, body) = (connection.peer_addr(), request.body.clone());
    let properties = header.properties.clone().unwrap_or_default();
    if broker.settings.now().check_properties {
        send_plan::check_properties(&properties)?;
    }
    let record = send_plan::sent_record(&header, queue_id, 0, sender, broker.store_host, body, properties);
    late::answer(broker, connection, request, |broker, asked| async move {
        let pushed = push(&broker, header, &record).await;
        let id = if broker.settings.now().store_reply { store(&broker, record) } else { None };
        let (msg_id, queue_offset) = match (id, &pushed) {
            (Some((id, offset)), _) => (Some(id), offset),
            // Clients want a number here.
            (None, Ok(())) => (Some("0".into()), 0),
            (None, Err(_)) => (None, 0),
        };
        let mut reply = match msg_id {
            Some(msg_id) => asked.reply_with(&SendMessageReply {
                msg_id,
                queue_id,
                queue_offset,
                ..SendMessageReply::default()
            }),
            None => asked.reply(ResponseCode::SYSTEM_ERROR),
        };
        if let Err(remark) = pushed {
            reply.code = ResponseCode::SYSTEM_ERROR.0;
            reply.remark = Some(remark.into());
        }
        send::trace_fields(&broker.settings.now(), &mut reply);
        Ok(reply)
    })
}

/// Hands the reply to the client that its properties name; fails with Java's words.
async fn push(broker: &Shared, header: SendMessageHeader, record: &MessageRecord) -> Result<(), String> {
    let name = names::MESSAGE_REPLY_TO_CLIENT;
    let Some(client_id) = properties::get(&record.properties, name) else {
        return Err(format!("reply message properties[{name}] is null"));
    };
    let Some(waiting) = broker.clients.producer(client_id) else {
        return Err(format!("push reply message fail, channel of <{client_id}> not found."));
    };
    let now_ms = broker.clock.now_ms();
    let mut properties = Properties::parse(&record.properties);
    properties.set(names::PUSH_REPLY_TIME, now_ms.to_string());
    let header = ReplyMessageHeader {
        producer_group: header.producer_group,
        topic: header.topic,
        default_topic: header.default_topic,
        default_topic_queue_nums: header.default_topic_queue_nums,
        queue_id: header.queue_id,
        sys_flag: header.sys_flag,
        born_timestamp: header.born_timestamp,
        flag: header.flag,
        properties: Some(properties.to_text()),
        reconsume_times: header.reconsume_times,
        unit_mode: header.unit_mode,
        born_host: record.born_host.to_string().into(),
        store_host: record.store_host.to_string().into(),
        store_timestamp: now_ms,
    };
    let order = RemotingCommand::request(RequestCode::PushReplyMessageToClient, &header)
        .with_body(record.body.clone());
    match waiting.call(order, PUSH_TIMEOUT).await {
        Ok(answer) if answer.response_code() == ResponseCode::SUCCESS => return Ok(()),
        Ok(answer) => tracing::warn!(client_id, code = answer.code, "a client does not take its reply"),
        Err(error) => tracing::warn!(client_id, %error, "a reply could not be pushed"),
    }
    // Java has no blank there either.
    Err(format!("push reply message to {client_id}fail."))
}

/// Stores the reply; answers its id and queue offset. A failure is logged only, as in Java.
fn store(broker: &Shared, record: MessageRecord) -> Option<(Text, i64)> {
    let (topic, len) = (record.topic.clone(), record.body.len());
    if len > broker.settings.now().max_message_size {
        tracing::warn!(%topic, len, "a reply is longer than maxMessageSize and was not stored");
        return None;
    }
    let stored = broker.append(record);
    let appended =
        stored.inspect_err(|error| tracing::warn!(%topic, %error, "a reply was not stored")).ok()?;
    let id = OffsetMessageId { host: broker.store_host, physical_offset: appended.physical_offset };
    Some((id.to_string().into(), appended.queue_offset))
}
