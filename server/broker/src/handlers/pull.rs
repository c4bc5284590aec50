//! Pulling messages: `PULL_MESSAGE` (11) and `LITE_PULL_MESSAGE` (361, the same with another number).
//!
//! A pull that finds nothing and may wait is held (see [`crate::held_pulls`]) and answered when a message
//! arrives or its time is up; then the whole request is judged again, as in Java, since subscriptions and
//! permissions may have changed meanwhile. Java counterpart: `PullMessageProcessor`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use ferrocket_protocol::body::heartbeat::{MessageModel, SubscriptionData};
use ferrocket_protocol::body::offset::OffsetMovedEvent;
use ferrocket_protocol::body::topic::PERM_READ;
use ferrocket_protocol::message::{MessageRecord, RecordView, java_hash};
use ferrocket_protocol::properties::{Properties, names};
use ferrocket_protocol::requests::Header;
use ferrocket_protocol::requests::pull::{PullMessageHeader, PullMessageReply};
use ferrocket_protocol::response_code::ResponseCode;
use ferrocket_protocol::{RemotingCommand, Text, fastjson};
use ferrocket_remoting::Connection;
use ferrocket_store::{GetLimits, GetStatus};

use crate::broker::Shared;
use crate::consumer_filters;
use crate::handlers::Answer;
use crate::held_pulls::{HOLD_MS_MAX, HeldPull, PropertyFilter, PullFilter};
use crate::refusal::Refusal;
use crate::send_plan::SEE_FAQ;
use crate::topics::{OFFSET_MOVED_EVENT, RETRY_PREFIX};

/// Bits of a pull's `sysFlag` (`PullSysFlag`).
mod flag {
    /// `commitOffset` is to be stored.
    pub(super) const COMMIT_OFFSET: i32 = 1;
    /// The pull may be held.
    pub(super) const SUSPEND: i32 = 2;
    /// The subscription comes with the pull, not with heartbeats.
    pub(super) const SUBSCRIPTION: i32 = 4;
}

/// Bytes waiting to be written to a consumer from which on its held pulls are answered without messages.
const HELD_ANSWERS_BYTES_MAX: usize = 8 << 20;

/// A held pull: what it takes to answer it.
#[derive(Debug)]
pub(crate) struct ParkedPull {
    /// Who asked.
    pub(crate) connection: Connection,
    /// What it asked.
    pub(crate) request: RemotingCommand,
}

/// Answers a pull, or holds it.
pub(crate) fn pull_message(
    broker: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let header = PullMessageHeader::decode(&request.ext_fields)?;
    let filter = admit(broker, connection.peer_addr(), &header)?;
    let reply = look(broker, request, &header, &filter);
    if header.sys_flag & flag::COMMIT_OFFSET != 0 {
        broker.offsets.commit(&header.consumer_group, &header.topic, header.queue_id, header.commit_offset);
    }
    if reply.code != ResponseCode::PULL_NOT_FOUND.0 || header.sys_flag & flag::SUSPEND == 0 {
        return Ok(Some(reply));
    }
    let settings = broker.settings.now();
    let wait_ms = match settings.long_polling {
        true => header.suspend_timeout_millis,
        false => settings.short_polling.as_millis() as i64,
    };
    let held = HeldPull {
        holder: connection.id(),
        group: header.consumer_group.clone(),
        from_offset: header.queue_offset,
        filter,
        deadline_ms: broker.elapsed_ms().saturating_add(wait_ms.clamp(0, HOLD_MS_MAX)),
        pull: ParkedPull { connection: connection.clone(), request: request.clone() },
    };
    let no_room = broker.held_pulls().park(header.topic.clone(), header.queue_id, held);
    answer_held(broker, no_room);
    // A message may have arrived between the look and the parking; its arrival found nobody to wake.
    let max_offset = broker.store.max_offset(&header.topic, header.queue_id);
    if max_offset > header.queue_offset {
        let woken = broker.held_pulls().moved_to(&header.topic, header.queue_id, max_offset);
        answer_held(broker, woken);
    }
    Ok(None)
}

/// Answers pulls that were held, whatever there is for them now.
pub(crate) fn answer_held(broker: &Arc<Shared>, pulls: impl IntoIterator<Item = ParkedPull>) {
    for ParkedPull { connection, request } in pulls {
        let answer = if connection.write_pending() > HELD_ANSWERS_BYTES_MAX {
            put_off(broker, &request)
        } else {
            answer_now(broker, &connection, &request)
        };
        // False means that the consumer has gone; it will ask again. A held pull is never oneway.
        if let Some(reply) = answer.unwrap_or_else(|refusal| Some(refusal.reply_to(&request))) {
            connection.reply(reply);
        }
    }
}

fn answer_now(broker: &Arc<Shared>, connection: &Connection, request: &RemotingCommand) -> Answer {
    let header = PullMessageHeader::decode(&request.ext_fields)?;
    let filter = admit(broker, connection.peer_addr(), &header)?;
    Ok(Some(look(broker, request, &header, &filter)))
}

/// Asks a consumer that reads slowly to ask again, at the same offset.
pub(crate) fn put_off(broker: &Shared, request: &RemotingCommand) -> Answer {
    let header = PullMessageHeader::decode(&request.ext_fields)?;
    let mut reply = request.reply_with(&PullMessageReply {
        suggest_which_broker_id: 0,
        next_begin_offset: header.queue_offset,
        min_offset: broker.store.min_offset(&header.topic, header.queue_id),
        max_offset: broker.store.max_offset(&header.topic, header.queue_id),
        ..PullMessageReply::default()
    });
    reply.code = ResponseCode::PULL_RETRY_IMMEDIATELY.0;
    reply.remark = Some(Text::from_static("the consumer does not read its answers fast enough"));
    Ok(Some(reply))
}

/// Whether this group may read this queue, and which messages it wants.
fn admit(broker: &Arc<Shared>, peer: SocketAddr, header: &PullMessageHeader) -> Result<PullFilter, Refusal> {
    let (topic, group) = (&header.topic, &header.consumer_group);
    let no_permission = |remark: String| Refusal::new(ResponseCode::NO_PERMISSION, remark);
    let settings = broker.settings.now();
    if settings.permission & PERM_READ == 0 {
        return Err(no_permission(format!("the broker[{}] pulling message is forbidden", broker.broker_ip)));
    }
    let Some(group_config) = broker.groups.find(group, settings.auto_create_group, broker.clock.now_ms())
    else {
        return Err(Refusal::new(
            ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST,
            format!("subscription group [{group}] does not exist, {SEE_FAQ}"),
        ));
    };
    if !group_config.consume_enable {
        return Err(no_permission(format!("subscription group no permission, {group}")));
    }
    let Some(topic_config) = broker.topics.get(topic) else {
        return Err(Refusal::new(
            ResponseCode::TOPIC_NOT_EXIST,
            format!("topic[{topic}] not exist, apply first please! {SEE_FAQ}"),
        ));
    };
    if topic_config.perm & PERM_READ == 0 {
        return Err(no_permission(format!("the topic[{topic}] pulling message is forbidden")));
    }
    if !(0..topic_config.read_queue_nums).contains(&header.queue_id) {
        return Err(Refusal::system_error(format!(
            "queueId[{}] is illegal, topic:[{topic}] topicConfig.readQueueNums:[{}] consumer:[/{peer}]",
            header.queue_id, topic_config.read_queue_nums
        )));
    }
    if header.sys_flag & flag::SUBSCRIPTION != 0 {
        return filter_of_pull(broker, header);
    }
    let not_subscribed = |what: &str| {
        Refusal::new(
            ResponseCode::SUBSCRIPTION_NOT_EXIST,
            format!("the consumer's {what} not exist{SEE_FAQ}"),
        )
    };
    let (model, subscribed) =
        broker.clients.for_pull(group, topic).ok_or_else(|| not_subscribed("group info"))?;
    if !group_config.consume_broadcast_enable && model == MessageModel::Broadcasting {
        return Err(no_permission(format!("the consumer group[{group}] can not consume by broadcast way")));
    }
    filter_of_subscription(broker, header, &*subscribed.ok_or_else(|| not_subscribed("subscription"))?)
}

/// What a subscription of this type is told without `enablePropertyFilter`.
pub(crate) fn not_supported(expression_type: &str) -> Refusal {
    Refusal::system_error(format!(
        "The broker does not support consumer to filter message by {expression_type}"
    ))
}

fn is_tag_type(expression_type: Option<&str>) -> bool {
    expression_type.is_none_or(|kind| kind.is_empty() || kind == "TAG")
}

/// The filter of a subscription that the pull brings along. Java: `FilterAPI.build`. An expression that does
/// not compile is refused; Java, which means to, hands out every message instead.
fn filter_of_pull(broker: &Shared, header: &PullMessageHeader) -> Result<PullFilter, Refusal> {
    let parse_failed =
        || Refusal::new(ResponseCode::SUBSCRIPTION_PARSE_FAILED, "parse the consumer's subscription failed");
    let expression = header.subscription.as_deref().unwrap_or_default();
    let expression_type = header.expression_type.as_deref();
    if !is_tag_type(expression_type) {
        if expression.is_empty() {
            return Err(parse_failed());
        }
        let expression_type = expression_type.unwrap_or_default();
        if !broker.settings.now().property_filter {
            return Err(not_supported(expression_type));
        }
        let compiled = consumer_filters::compile(expression_type, expression).map_err(|_| parse_failed())?;
        return Ok(PullFilter::Properties(PropertyFilter::Sql(Arc::new(compiled))));
    }
    if expression.is_empty() || expression == "*" {
        return Ok(all_messages(broker, header));
    }
    if expression.split("||").all(str::is_empty) {
        return Err(parse_failed());
    }
    let tags = expression.split("||").map(str::trim).filter(|tag| !tag.is_empty());
    Ok(PullFilter::of_hashes(tags.map(java_hash)))
}

/// What a pull for every message gets: on a retry topic, with `filterSupportRetry`, what the group's filters
/// leave.
fn all_messages(broker: &Shared, header: &PullMessageHeader) -> PullFilter {
    match header.topic.strip_prefix(RETRY_PREFIX) {
        Some(group) if broker.settings.now().filter_support_retry => {
            PullFilter::Properties(PropertyFilter::ByOrigin(Arc::new(broker.filters.of_group(group))))
        }
        _ => PullFilter::All,
    }
}

/// The filter of a subscription known from heartbeats.
fn filter_of_subscription(
    broker: &Shared,
    header: &PullMessageHeader,
    subscribed: &SubscriptionData,
) -> Result<PullFilter, Refusal> {
    if subscribed.sub_version < header.sub_version {
        return Err(Refusal::new(
            ResponseCode::SUBSCRIPTION_NOT_LATEST,
            "the consumer's subscription not latest",
        ));
    }
    if !is_tag_type(Some(&subscribed.expression_type)) {
        let (compiled, version, bits) =
            broker.filters.find(&header.consumer_group, &header.topic).ok_or_else(|| {
                Refusal::new(
                    ResponseCode::FILTER_DATA_NOT_EXIST,
                    "The broker's consumer filter data is not exist!Your expression may be wrong!",
                )
            })?;
        if version < header.sub_version {
            return Err(Refusal::new(
                ResponseCode::FILTER_DATA_NOT_LATEST,
                "the consumer's consumer filter data not latest",
            ));
        }
        if !broker.settings.now().property_filter {
            return Err(not_supported(&subscribed.expression_type));
        }
        return Ok(PullFilter::Properties(PropertyFilter::Registered(compiled, bits)));
    }
    // A class filter is applied by whoever runs the class.
    if subscribed.class_filter_mode {
        return Ok(PullFilter::All);
    }
    if subscribed.sub_string == "*" {
        return Ok(all_messages(broker, header));
    }
    Ok(PullFilter::of_hashes(subscribed.code_set.iter().copied()))
}

/// Reads what there is now.
fn look(
    broker: &Arc<Shared>,
    request: &RemotingCommand,
    header: &PullMessageHeader,
    filter: &PullFilter,
) -> RemotingCommand {
    let limits =
        GetLimits { count_max: usize::try_from(header.max_msg_nums).unwrap_or(0), ..GetLimits::default() };
    let (topic, queue_id, offset) = (&header.topic, header.queue_id, header.queue_offset);
    let started = Instant::now();
    let found = match filter {
        PullFilter::Properties(filter) => {
            let wants =
                |record: &[u8]| RecordView::parse(record).is_ok_and(|record| filter.wants(record.properties));
            let may_want = |stored_ms, bit_map: &[u8]| filter.may_want(stored_ms, bit_map);
            broker.store.get_wanted(topic, queue_id, offset, &limits, &may_want, &wants)
        }
        _ => broker.store.get(topic, queue_id, offset, &limits, &|tags_code| filter.wants_tags(tags_code)),
    };
    let took_ms = started.elapsed().as_millis() as u64;
    if let (Some(bytes), Some(_)) = (found.behind, broker.settings.now().behind_max) {
        broker.stats.behind(&header.consumer_group, (topic, queue_id), bytes);
    }
    let code = code_of(found.status, header.queue_offset);
    let mut reply = request.reply_with(&PullMessageReply {
        suggest_which_broker_id: suggested(broker, header, found.suggest_pulling_from_slave),
        next_begin_offset: found.next_begin_offset,
        min_offset: found.min_offset,
        max_offset: found.max_offset,
        ..PullMessageReply::default()
    });
    reply.code = code.0;
    reply.remark = Some(Text::from_static(java_name(found.status)));
    match code {
        ResponseCode::SUCCESS => {
            reply.body = join(found.records);
            let (count, bytes) = (found.message_count as u64, reply.body.len() as u64);
            broker.stats.got(&header.consumer_group, (topic, queue_id), count, bytes, took_ms);
        }
        ResponseCode::PULL_OFFSET_MOVED => {
            broker.stats.get_missed(took_ms);
            tracing::info!(
                group = &*header.consumer_group,
                topic = &*header.topic,
                queue_id = header.queue_id,
                asked = header.queue_offset,
                next = found.next_begin_offset,
                "a consumer's offset is outside the queue and was corrected"
            );
            note_offset_moved(broker, header, found.next_begin_offset);
        }
        _ => broker.stats.get_missed(took_ms),
    }
    reply
}

/// The broker id to pull from next: as the group's settings say, if slaves may be read from at all.
fn suggested(broker: &Shared, header: &PullMessageHeader, is_slow: bool) -> i64 {
    if !broker.settings.now().slave_read {
        return 0;
    }
    let group = broker.groups.find(&header.consumer_group, false, broker.clock.now_ms());
    group.map_or(0, |group| if is_slow { group.which_broker_when_consume_slowly } else { group.broker_id })
}

fn code_of(status: GetStatus, asked: i64) -> ResponseCode {
    match status {
        GetStatus::Found => ResponseCode::SUCCESS,
        GetStatus::MessageWasRemoving | GetStatus::NoMatchedMessage => ResponseCode::PULL_RETRY_IMMEDIATELY,
        GetStatus::NoMatchedLogicQueue | GetStatus::NoMessageInQueue if asked != 0 => {
            ResponseCode::PULL_OFFSET_MOVED
        }
        GetStatus::NoMatchedLogicQueue
        | GetStatus::NoMessageInQueue
        | GetStatus::OffsetFoundNull
        | GetStatus::OffsetOverflowOne => ResponseCode::PULL_NOT_FOUND,
        GetStatus::OffsetOverflowBadly | GetStatus::OffsetTooSmall => ResponseCode::PULL_OFFSET_MOVED,
    }
}

/// Java's name of the status, which is the remark of its replies.
const fn java_name(status: GetStatus) -> &'static str {
    match status {
        GetStatus::Found => "FOUND",
        GetStatus::NoMatchedMessage => "NO_MATCHED_MESSAGE",
        GetStatus::MessageWasRemoving => "MESSAGE_WAS_REMOVING",
        GetStatus::OffsetFoundNull => "OFFSET_FOUND_NULL",
        GetStatus::OffsetOverflowBadly => "OFFSET_OVERFLOW_BADLY",
        GetStatus::OffsetOverflowOne => "OFFSET_OVERFLOW_ONE",
        GetStatus::OffsetTooSmall => "OFFSET_TOO_SMALL",
        GetStatus::NoMatchedLogicQueue => "NO_MATCHED_LOGIC_QUEUE",
        GetStatus::NoMessageInQueue => "NO_MESSAGE_IN_QUEUE",
    }
}

/// Records as one body; what is in one piece already is not copied.
pub(super) fn join(chunks: Vec<Bytes>) -> Bytes {
    match <[Bytes; 1]>::try_from(chunks) {
        Ok([only]) => only,
        Err(chunks) => chunks.concat().into(),
    }
}

/// Notes a corrected offset in its own topic, as Java does for its tools. Java: `generateOffsetMovedEvent`.
fn note_offset_moved(broker: &Shared, header: &PullMessageHeader, next: i64) {
    let event = OffsetMovedEvent {
        consumer_group: header.consumer_group.to_string(),
        message_queue: broker.queue(header.topic.clone(), header.queue_id),
        offset_new: next,
        offset_request: header.queue_offset,
    };
    let group = &*header.consumer_group;
    let properties = [(names::TAGS, group), (names::KEYS, group)].into_iter().collect::<Properties>();
    let record = MessageRecord {
        topic: Text::from_static(OFFSET_MOVED_EVENT),
        queue_id: 0,
        flag: 0,
        sys_flag: 0,
        queue_offset: 0,
        physical_offset: 0,
        born_timestamp: broker.clock.now_ms(),
        born_host: broker.store_host,
        store_timestamp: 0,
        store_host: broker.store_host,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: fastjson::to_vec(&event).into(),
        properties: properties.to_text(),
    };
    if let Err(error) = broker.append(record) {
        tracing::warn!(%error, "could not note a corrected offset");
    }
}
