//! Messages by key, by id, and what a ConsumeQueue holds. Java counterpart: `QueryMessageProcessor`, and 321
//! of `AdminBrokerProcessor`.

use std::sync::Arc;

use ferrocket_protocol::body::query::{ConsumeQueueData, QueryConsumeQueueResponseBody};
use ferrocket_protocol::requests::query::{
    QueryConsumeQueueHeader, QueryMessageHeader, QueryMessageReply, UNIQUE_KEY_QUERY, ViewMessageHeader,
};
use ferrocket_protocol::{Header, RemotingCommand, ResponseCode, fastjson};
use ferrocket_remoting::Connection;

use super::topic::NOT_SET;
use super::{Answer, acl, pull};
use crate::broker::Shared;
use crate::late;
use crate::refusal::Refusal;

/// Most entries of a ConsumeQueue in one answer. Java answers as many as a file holds.
const ENTRIES_MAX: i32 = 10_000;

/// 12: messages by key, in the log's order. A miss still tells how far the index is.
pub(crate) fn query_message(
    broker: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let mut header = QueryMessageHeader::decode(&request.ext_fields)?;
    if request.ext_fields.get(UNIQUE_KEY_QUERY).is_some_and(|flag| *flag == *"true") {
        header.max_num = i32::try_from(broker.settings.now().default_query_max_num).unwrap_or(i32::MAX);
    }
    late::answer_blocking(broker, connection, request, move |broker, asked| {
        let QueryMessageHeader { topic, key, max_num, begin_timestamp, end_timestamp } = header;
        let max_num = usize::try_from(max_num).unwrap_or(0);
        let found = broker.store.query(&topic, &key, max_num, begin_timestamp, end_timestamp);
        let mut reply = asked.reply_with(&QueryMessageReply {
            index_last_update_timestamp: found.index_last_update_timestamp,
            index_last_update_phyoffset: found.index_last_update_phyoffset,
        });
        if found.records.is_empty() {
            reply.code = ResponseCode::QUERY_NOT_FOUND.0;
            reply.remark = Some("can not find message, maybe time range not correct".into());
        } else {
            reply.body = pull::join(found.records);
        }
        Ok(reply)
    })
}

/// 33: the message at a place in the log.
pub(crate) fn view_message_by_id(
    broker: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let ViewMessageHeader { offset, .. } = Header::decode(&request.ext_fields)?;
    // With its body, which is signed too.
    let (signed, peer) = (request.clone(), connection.peer_addr().ip());
    late::answer_blocking(broker, connection, request, move |broker, asked| {
        match broker.store.record_at(offset) {
            Some(record) => {
                acl::admit_reading(broker, &signed, peer, &record)?;
                Ok(asked.reply(ResponseCode::SUCCESS).with_body(record))
            }
            None => Err(Refusal::system_error(format!("can not find message by the offset, {offset}"))),
        }
    })
}

/// 321: entries of a ConsumeQueue from an offset on, and a group's subscription. Whether that takes an entry is
/// said of extended entries only, as in Java, and there are none here.
pub(crate) fn query_consume_queue(
    broker: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let header = QueryConsumeQueueHeader::decode(&request.ext_fields)?;
    late::answer_blocking(broker, connection, request, move |broker, asked| {
        let (topic, queue_id) = (header.topic.unwrap_or_default(), header.queue_id.unwrap_or(0));
        if !broker.store.queues().iter().any(|(known, id)| *known == topic && *id == queue_id) {
            return Err(Refusal::system_error(format!("{queue_id}@{topic} is not exist!")));
        }
        let mut body = QueryConsumeQueueResponseBody {
            max_queue_index: broker.store.max_offset(&topic, queue_id),
            min_queue_index: broker.store.min_offset(&topic, queue_id),
            ..QueryConsumeQueueResponseBody::default()
        };
        let subscription =
            header.consumer_group.as_ref().and_then(|group| broker.clients.subscription(group, &topic));
        body.filter_data = header.consumer_group.map(|group| match &subscription {
            Some(data) if !data.is_tag_type() => broker.filters.to_json(&group, &topic),
            // Java prints the SQL92 filter that is not there.
            Some(_) => "null".to_owned(),
            None => format!("{group}@{topic} is not online!"),
        });
        let from = header.index.unwrap_or(0);
        let mut reply = asked.reply_error(ResponseCode::SUCCESS, NOT_SET);
        if from < body.min_queue_index || from >= body.max_queue_index {
            reply.remark = Some(format!("Index {from} of {queue_id}@{topic} is not exist!").into());
            return Ok(reply);
        }
        let count = header.count.unwrap_or(0).clamp(0, ENTRIES_MAX);
        for offset in from..body.max_queue_index.min(from + i64::from(count)) {
            let Some(entry) = broker.store.entry(&topic, queue_id, offset) else { break };
            body.queue_data.push(ConsumeQueueData {
                physic_offset: entry.physical_offset,
                physic_size: entry.size,
                tags_code: entry.tags_code,
                ..ConsumeQueueData::default()
            });
        }
        body.subscription_data = subscription.map(|data| (*data).clone());
        Ok(reply.with_body(fastjson::to_vec(&body)))
    })
}
