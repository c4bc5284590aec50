//! Offsets: those of consumer groups, and those of queues. Java counterparts: `ConsumerManageProcessor` and
//! the offset requests of `AdminBrokerProcessor`, `Broker2Client.resetOffset`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ferrocket_protocol::body::message_queue::{MessageQueue, MessageQueueForC};
use ferrocket_protocol::body::offset::{
    GetConsumerStatusBody, QueryCorrectionOffsetBody, ResetOffsetBody, ResetOffsetBodyForC,
};
use ferrocket_protocol::requests::offset::{
    CloneGroupOffsetHeader, GetConsumerStatusHeader, GetEarliestMsgStoretimeHeader,
    GetEarliestMsgStoretimeReply, GetMaxOffsetHeader, GetMaxOffsetReply, GetMinOffsetHeader,
    GetMinOffsetReply, QueryConsumerOffsetHeader, QueryConsumerOffsetReply, QueryCorrectionOffsetHeader,
    ResetOffsetHeader, SearchOffsetHeader, SearchOffsetReply, UpdateConsumerOffsetHeader,
};
use ferrocket_protocol::{Header, LanguageCode, RemotingCommand, RequestCode, ResponseCode, fastjson};
use ferrocket_remoting::Connection;

use super::Answer;
use super::topic::NOT_SET;
use crate::broker::Shared;
use crate::clients::ClientChannel;
use crate::late;
use crate::offsets::NO_OFFSET;
use crate::refusal::Refusal;

/// `MQVersion.V3_0_7_SNAPSHOT`: from here on a client can be told to reset its offsets.
const VERSION_3_0_7: i32 = 28;
/// How long a client may take to tell its offsets.
const STATUS_TIMEOUT: Duration = Duration::from_secs(5);

/// 14: where a group reads on. A group without a stored offset starts at 0 as long as the queue's first
/// message is near; only then may its client choose the end instead.
pub(crate) fn query_consumer_offset(
    broker: &Arc<Shared>,
    _: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let header = QueryConsumerOffsetHeader::decode(&request.ext_fields)?;
    let QueryConsumerOffsetHeader { consumer_group: group, topic, queue_id, .. } = header;
    let mut offset = broker.offsets.query(&group, &topic, queue_id);
    if offset < 0 {
        if broker.store.min_offset(&topic, queue_id) > 0 || first_is_far(broker, &topic, queue_id) {
            let remark = "Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first";
            return Err(Refusal::new(ResponseCode::QUERY_NOT_FOUND, remark));
        }
        offset = 0;
    }
    Ok(Some(request.reply_with(&QueryConsumerOffsetReply { offset })))
}

/// Whether message 0 of a queue is further from the log's end than memory is thought to reach. Java:
/// `checkInDiskByConsumeOffset`.
fn first_is_far(broker: &Shared, topic: &str, queue_id: i32) -> bool {
    let Some(first) = broker.store.entry(topic, queue_id, 0) else { return false };
    broker.store.max_physical_offset() - first.physical_offset > broker.settings.now().near_bytes
}

/// 15: a group commits. Nothing needs to exist.
pub(crate) fn update_consumer_offset(
    broker: &Arc<Shared>,
    _: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let header = UpdateConsumerOffsetHeader::decode(&request.ext_fields)?;
    if !broker.offsets.commit(&header.consumer_group, &header.topic, header.queue_id, header.commit_offset) {
        return Err(no_room());
    }
    Ok(Some(request.reply(ResponseCode::SUCCESS)))
}

/// 29: the offset of the message nearest to a time; behind the last one for a later time.
pub(crate) fn search_offset_by_timestamp(
    broker: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let header = SearchOffsetHeader::decode(&request.ext_fields)?;
    late::answer_blocking(broker, connection, request, move |broker, asked| {
        let offset = offset_by_time(broker, &header.topic, header.queue_id, header.timestamp);
        Ok(asked.reply_with(&SearchOffsetReply { offset }))
    })
}

/// A time after the last message is the queue's end, as in 5.3: 4.9 answers the last message, which is then
/// delivered once more.
fn offset_by_time(broker: &Shared, topic: &str, queue_id: i32, timestamp: i64) -> i64 {
    let end = broker.store.max_offset(topic, queue_id);
    let last = broker.store.store_time_of(topic, queue_id, end - 1);
    if last >= 0 && timestamp > last { end } else { broker.store.offset_by_time(topic, queue_id, timestamp) }
}

/// 30: the offset behind the last message.
pub(crate) fn get_max_offset(broker: &Arc<Shared>, _: &Connection, request: &RemotingCommand) -> Answer {
    let header = GetMaxOffsetHeader::decode(&request.ext_fields)?;
    let offset = broker.store.max_offset(&header.topic, header.queue_id);
    Ok(Some(request.reply_with(&GetMaxOffsetReply { offset })))
}

/// 31: the offset of the first message that is still there.
pub(crate) fn get_min_offset(broker: &Arc<Shared>, _: &Connection, request: &RemotingCommand) -> Answer {
    let header = GetMinOffsetHeader::decode(&request.ext_fields)?;
    let offset = broker.store.min_offset(&header.topic, header.queue_id);
    Ok(Some(request.reply_with(&GetMinOffsetReply { offset })))
}

/// 32: when the first message was stored, −1 for an empty queue.
pub(crate) fn get_earliest_msg_storetime(
    broker: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let header = GetEarliestMsgStoretimeHeader::decode(&request.ext_fields)?;
    late::answer_blocking(broker, connection, request, move |broker, asked| {
        let timestamp = broker.store.earliest_store_time(&header.topic, header.queue_id);
        Ok(asked.reply_with(&GetEarliestMsgStoretimeReply { timestamp }))
    })
}

/// 43: the whole table, for slaves.
pub(crate) fn get_all_consumer_offset(
    broker: &Arc<Shared>,
    _: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let body = fastjson::to_vec(&broker.offsets.to_table());
    Ok(Some(request.reply(ResponseCode::SUCCESS).with_body(body)))
}

/// 45: the progress of all delay levels, for slaves.
pub(crate) fn get_all_delay_offset(
    broker: &Arc<Shared>,
    _: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let body = fastjson::to_vec(&broker.delay.to_table());
    Ok(Some(request.reply(ResponseCode::SUCCESS).with_body(body)))
}

/// 222: tells a group's consumers to go on from the messages of a time; −1 means the end.
pub(crate) fn invoke_broker_to_reset_offset(
    broker: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let header = ResetOffsetHeader::decode(&request.ext_fields)?;
    late::answer_blocking(broker, connection, request, move |broker, asked| {
        reset_offset(broker, &header, asked)
    })
}

fn reset_offset(
    broker: &Shared,
    header: &ResetOffsetHeader,
    request: &RemotingCommand,
) -> Result<RemotingCommand, Refusal> {
    let ResetOffsetHeader { group, topic, timestamp, is_force, .. } = header;
    let Some(config) = broker.topics.get(topic) else {
        let remark = format!("[reset-offset] reset offset failed, no topic in this broker. topic={topic}");
        return Err(Refusal::system_error(remark));
    };
    let mut offset_table = BTreeMap::new();
    for queue_id in 0..config.write_queue_nums {
        let committed = broker.offsets.query(group, topic, queue_id);
        if committed == NO_OFFSET {
            // Java's words, as its tools know them.
            return Err(Refusal::system_error(format!("THe consumer group <{group}> not exist")));
        }
        let wanted = match *timestamp {
            -1 => broker.store.max_offset(topic, queue_id),
            timestamp => offset_by_time(broker, topic, queue_id, timestamp),
        };
        let wanted = wanted.max(0);
        let offset = if *is_force || wanted < committed { wanted } else { committed };
        offset_table.insert(broker.queue(topic.clone(), queue_id), offset);
    }
    let order = ResetOffsetHeader {
        group: group.clone(),
        topic: topic.clone(),
        timestamp: *timestamp,
        ..Default::default()
    };
    let for_clients = if request.language == LanguageCode::CPP {
        fastjson::to_vec(&ResetOffsetBodyForC {
            offset_table: offset_table.iter().map(queue_for_c).collect(),
        })
    } else {
        fastjson::to_vec(&ResetOffsetBody { offset_table: offset_table.clone() })
    };
    let order =
        RemotingCommand::request(RequestCode::ResetConsumerClientOffset, &order).with_body(for_clients);
    let consumers = broker.clients.consumer_group(group).map(|(_, consumers)| consumers).unwrap_or_default();
    if consumers.is_empty() {
        let remark = format!(
            "Consumer not online, so can not reset offset, Group: {group} Topic: {topic} Timestamp: {timestamp}"
        );
        return Err(Refusal::new(ResponseCode::CONSUMER_NOT_ONLINE, remark));
    }
    for (channel, connection) in consumers {
        refuse_old(&channel)?;
        if !connection.oneway_ready(order.clone()) {
            tracing::warn!(%group, client_id = %channel.client_id, "could not tell a consumer to reset its offsets");
        }
    }
    let body = fastjson::to_vec(&ResetOffsetBody { offset_table });
    Ok(request.reply(ResponseCode::SUCCESS).with_body(body))
}

fn queue_for_c((queue, offset): (&MessageQueue, &i64)) -> MessageQueueForC {
    let MessageQueue { broker_name, queue_id, topic } = queue.clone();
    MessageQueueForC { broker_name, offset: *offset, queue_id, topic }
}

fn refuse_old(channel: &ClientChannel) -> Result<(), Refusal> {
    match channel.version {
        version if version < VERSION_3_0_7 => {
            Err(Refusal::system_error(format!("the client does not support this feature. version={version}")))
        }
        _ => Ok(()),
    }
}

/// 223: asks a group's consumers, or one of them, how far they are.
pub(crate) fn invoke_broker_to_get_consumer_status(
    broker: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let header = GetConsumerStatusHeader::decode(&request.ext_fields)?;
    let GetConsumerStatusHeader { topic, group, client_addr } = header;
    let only = client_addr.filter(|client_id| !client_id.trim().is_empty());
    let consumers = broker.clients.consumer_group(&group).map(|(_, consumers)| consumers).unwrap_or_default();
    if consumers.is_empty() {
        return Err(Refusal::system_error(format!(
            "No Any Consumer online in the consumer group: [{group}]"
        )));
    }
    late::answer(broker, connection, request, |_, asked| async move {
        let question = GetConsumerStatusHeader { topic, group, client_addr: None };
        let mut status = GetConsumerStatusBody::default();
        for (channel, consumer) in consumers {
            refuse_old(&channel)?;
            if only.as_ref().is_some_and(|only| *only != channel.client_id) {
                continue;
            }
            let question = RemotingCommand::request(RequestCode::GetConsumerStatusFromClient, &question);
            match consumer.call(question, STATUS_TIMEOUT).await {
                Ok(reply) if reply.response_code() == ResponseCode::SUCCESS => {
                    match fastjson::from_slice::<GetConsumerStatusBody>(&reply.body) {
                        Ok(body) => {
                            status
                                .consumer_table
                                .insert(channel.client_id.to_string(), body.message_queue_table);
                        }
                        Err(error) => {
                            tracing::warn!(client_id = %channel.client_id, %error, "a consumer's offsets do not read")
                        }
                    }
                }
                Ok(reply) => {
                    tracing::warn!(client_id = %channel.client_id, code = reply.code, "a consumer does not tell its offsets")
                }
                Err(error) => {
                    tracing::warn!(client_id = %channel.client_id, %error, "a consumer does not tell its offsets")
                }
            }
        }
        Ok(asked.reply_error(ResponseCode::SUCCESS, NOT_SET).with_body(fastjson::to_vec(&status)))
    })
}

/// 308: the smallest offset of all groups per queue, the greatest number where the compared group is behind.
pub(crate) fn query_correction_offset(
    broker: &Arc<Shared>,
    _: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let header = QueryCorrectionOffsetHeader::decode(&request.ext_fields)?;
    let left_out = header.filter_groups.unwrap_or_default();
    // Java takes the left-out groups out of its own table for good; here they are only passed over.
    let left_out: Vec<&str> = left_out.split(',').filter(|group| !group.is_empty()).collect();
    let topic = &header.topic;
    let mut offsets = broker
        .offsets
        .min_of_all_groups(topic, &left_out, |queue_id| broker.store.min_offset(topic, queue_id));
    for (queue_id, compared) in broker.offsets.queues(&header.compare_group, topic) {
        if let Some(offset) = offsets.get_mut(&queue_id).filter(|offset| **offset > compared) {
            *offset = i64::MAX;
        }
    }
    let body = fastjson::to_vec(&QueryCorrectionOffsetBody { correction_offsets: offsets });
    Ok(Some(request.reply(ResponseCode::SUCCESS).with_body(body)))
}

fn no_room() -> Refusal {
    let remark = "the broker stores too many consumer offsets, or the name of group or topic is too long";
    Refusal::new(ResponseCode::SYSTEM_BUSY, remark)
}

/// 314: gives one group the offsets of another, of one topic or of all.
pub(crate) fn clone_group_offset(broker: &Arc<Shared>, _: &Connection, request: &RemotingCommand) -> Answer {
    let header = CloneGroupOffsetHeader::decode(&request.ext_fields)?;
    let topic = header.topic.filter(|topic| !topic.trim().is_empty());
    let topics = match &topic {
        Some(topic) => [topic.to_string()].into(),
        None => broker.offsets.topics_of(&header.src_group),
    };
    for topic in topics {
        if broker.topics.get(&topic).is_none() {
            tracing::warn!(topic, "no offsets cloned of a topic that does not exist");
            continue;
        }
        let unsubscribed = broker.clients.subscription(&header.src_group, &topic).is_none()
            && broker.clients.subscription_count(&header.src_group) > 0;
        if !header.offline.unwrap_or(false) && unsubscribed {
            tracing::warn!(topic, group = %header.src_group, "no offsets cloned of a topic that the group does not subscribe to");
            continue;
        }
        if !broker.offsets.clone_group(&header.src_group, &header.dest_group, &topic) {
            return Err(no_room());
        }
    }
    Ok(Some(request.reply(ResponseCode::SUCCESS)))
}
