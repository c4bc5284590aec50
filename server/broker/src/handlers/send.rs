//! Sending: `SEND_MESSAGE` (10), `SEND_MESSAGE_V2` (310), `SEND_BATCH_MESSAGE` (320) and
//! `CONSUMER_SEND_MSG_BACK` (36).
//!
//! Two steps: [`plan`] decides what a request becomes, [`append`] stores everything that was planned in one
//! round as one group and answers. Whether a send is a batch is decided by its field, not by its code. With
//! ASYNC_FLUSH the answers go out in the round's own write; with SYNC_FLUSH one task per round waits for the
//! disk. Left out: slaves; a SYNC_MASTER says that it has none. Java counterparts:
//! `SendMessageProcessor`, `AbstractSendMessageProcessor`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use ferrocket_protocol::body::topic::{PERM_READ, PERM_WRITE, TopicConfig, TopicFilterType, perm_text};
use ferrocket_protocol::message::{MessageRecord, TOPIC_LEN_MAX};
use ferrocket_protocol::message_id::OffsetMessageId;
use ferrocket_protocol::properties::{self, names};
use ferrocket_protocol::requests::send::{ConsumerSendMsgBackHeader, SendMessageHeader, SendMessageReply};
use ferrocket_protocol::requests::{Header, RequestCode};
use ferrocket_protocol::response_code::ResponseCode;
use ferrocket_protocol::{RemotingCommand, Text};
use ferrocket_remoting::Connection;
use ferrocket_store::{Append, AppendError, Appended};

use super::acl;
use crate::broker::{Shared, put};
use crate::refusal::Refusal;
use crate::send_plan::{self, DEAD_LETTER_QUEUES, Destination, SEE_FAQ, SendRules};
use crate::settings::Values;
use crate::stats::Put;
use crate::topics::{self, RETRY_PREFIX, TRANS_HALF_TOPIC, retry_topic};
use crate::transactions;

/// A planned send on its way into the log.
#[derive(Debug)]
pub(crate) struct Outgoing {
    records: Vec<MessageRecord>,
    /// Whether the answer waits for the disk.
    wait: bool,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// A producer's message or batch; the queue id is for the reply.
    Send { queue_id: i32 },
    /// A message given back by this group, which had got it from this topic.
    Back { group: Text, topic: Text },
}

/// Decides what becomes of a send, and creates its topic if need be.
pub(crate) fn plan(
    broker: &Shared,
    connection: &Connection,
    request: &RemotingCommand,
) -> Result<Outgoing, Refusal> {
    match request.request_code() {
        Some(RequestCode::ConsumerSendMsgBack) => plan_back(broker, connection, request),
        Some(RequestCode::SendMessage) => {
            plan_send(broker, connection, request, &SendMessageHeader::decode(&request.ext_fields)?)
        }
        _ => plan_send(broker, connection, request, &SendMessageHeader::decode_v2(&request.ext_fields)?),
    }
}

/// Whether this may be sent: the topic it goes to, which is created if need be. Java: `msgCheck`.
pub(super) fn admit(
    broker: &Shared,
    connection: &Connection,
    header: &SendMessageHeader,
) -> Result<Arc<TopicConfig>, Refusal> {
    let settings = broker.settings.now();
    let now_ms = broker.clock.now_ms();
    if now_ms < settings.start_accept_send_ms {
        let remark = format!("broker unable to service, until {}", settings.start_accept_send_ms);
        return Err(Refusal::system_error(remark));
    }
    let there = broker.topics.get(&header.topic);
    // Only for ordered topics: clients are to notice through the route that this Broker takes no more.
    if settings.permission & PERM_WRITE == 0 && there.as_ref().is_some_and(|topic| topic.order) {
        return Err(sending_forbidden(broker));
    }
    topics::validate(&header.topic)?;
    topics::refuse_sending(&header.topic)?;
    let topic = match there {
        Some(topic) => topic,
        None => {
            let sys_flag = send_plan::topic_sys_flag(&header.topic, header.unit_mode.unwrap_or(false));
            let created = broker.topics.create_in_send(
                &header.topic,
                &header.default_topic,
                header.default_topic_queue_nums,
                sys_flag,
                settings.auto_create_topic,
                now_ms,
            );
            let for_retry = || {
                let topic = Some(&header.topic).filter(|topic| topic.starts_with(RETRY_PREFIX))?;
                broker.topics.create_in_send_back(topic, 1, PERM_READ | PERM_WRITE, sys_flag, now_ms)
            };
            created.or_else(for_retry).ok_or_else(|| no_topic(&header.topic))?
        }
    };
    // Also after creation: the topic may have fewer queues than the client believes.
    if header.queue_id >= topic.write_queue_nums.max(topic.read_queue_nums) {
        return Err(Refusal::system_error(format!(
            "request queueId[{}] is illegal, {} Producer: {}",
            header.queue_id,
            topic_text(&topic),
            connection.peer_addr()
        )));
    }
    Ok(topic)
}

fn plan_send(
    broker: &Shared,
    connection: &Connection,
    request: &RemotingCommand,
    header: &SendMessageHeader,
) -> Result<Outgoing, Refusal> {
    let topic = admit(broker, connection, header)?;
    let settings = broker.settings.now();
    let now_ms = broker.clock.now_ms();
    let sender = connection.peer_addr();
    let destination = Destination {
        write_queues: topic.write_queue_nums,
        multi_tag: topic.topic_filter_type == TopicFilterType::MultiTag,
        turn: broker.turn.fetch_add(1, Ordering::Relaxed),
    };
    if settings.multi_dispatch {
        admit_listed(broker, connection, request, header.properties.as_deref().unwrap_or_default())?;
    }
    let (rules, body) = (rules(broker, &settings), request.body.clone());
    let planned = if header.batch.unwrap_or(false) {
        send_plan::plan_batch(&rules, header, body, sender, destination)?
    } else {
        let dead_letter = match header.topic.strip_prefix(RETRY_PREFIX) {
            Some(group) => {
                let config = broker.groups.find(group, settings.auto_create_group, now_ms);
                let retry_max = config.ok_or_else(|| no_group(group))?.retry_max_times;
                send_plan::dead_letter_topic(header, request.version, group, retry_max)
            }
            None => None,
        };
        if let Some(topic) = &dead_letter {
            ensure_topic(broker, topic, DEAD_LETTER_QUEUES, 0, now_ms)?;
        }
        send_plan::plan_message(&rules, header, body, sender, destination, dead_letter)?
    };
    if planned.records.first().is_some_and(|record| *record.topic == *TRANS_HALF_TOPIC) {
        transactions::ensure_topic(broker, TRANS_HALF_TOPIC, now_ms);
    }
    let kind = Kind::Send { queue_id: planned.queue_id };
    Ok(Outgoing { records: planned.records, wait: planned.wait, kind })
}

fn no_topic(topic: &str) -> Refusal {
    let remark = format!("topic[{topic}] not exist, apply first please!{SEE_FAQ}");
    Refusal::new(ResponseCode::TOPIC_NOT_EXIST, remark)
}

/// Whether the message may be listed in the other topics that it names: they exist, and may be sent to. Java
/// lists it anywhere, whoever sends it; light queues belong to nobody.
fn admit_listed(
    broker: &Shared,
    connection: &Connection,
    request: &RemotingCommand,
    properties: &str,
) -> Result<(), Refusal> {
    let names = properties::get(properties, names::INNER_MULTI_DISPATCH).unwrap_or_default();
    let is_light = |name: &str| broker.topics.is_light(name);
    for topic in names.split(',').filter(|name| !name.trim().is_empty() && !is_light(name)) {
        topics::validate(topic)?;
        topics::refuse_sending(topic)?;
        broker.topics.get(topic).ok_or_else(|| no_topic(topic))?;
        acl::admit_sending(broker, request, connection.peer_addr().ip(), topic)?;
    }
    Ok(())
}

fn rules(broker: &Shared, settings: &Values) -> SendRules {
    SendRules {
        cluster: settings.cluster.clone(),
        broker_ip: broker.broker_ip.clone(),
        store_host: broker.store_host,
        body_len_max: settings.max_message_size,
        delay_level_max: broker.delay.level_max(),
        reject_transaction: settings.reject_transaction,
        check_properties: settings.check_properties,
    }
}

fn sending_forbidden(broker: &Shared) -> Refusal {
    let remark = format!("the broker[{}] sending message is forbidden", broker.broker_ip);
    Refusal::new(ResponseCode::NO_PERMISSION, remark)
}

/// Java's `TopicConfig.toString`.
fn topic_text(topic: &TopicConfig) -> String {
    format!(
        "TopicConfig [topicName={}, readQueueNums={}, writeQueueNums={}, perm={}, topicFilterType={}, \
         topicSysFlag={}, order={}]",
        topic.topic_name,
        topic.read_queue_nums,
        topic.write_queue_nums,
        perm_text(topic.perm),
        topic.topic_filter_type,
        topic.topic_sys_flag,
        topic.order
    )
}

fn plan_back(
    broker: &Shared,
    connection: &Connection,
    request: &RemotingCommand,
) -> Result<Outgoing, Refusal> {
    let header = ConsumerSendMsgBackHeader::decode(&request.ext_fields)?;
    let settings = broker.settings.now();
    let now_ms = broker.clock.now_ms();
    let Some(group) = broker.groups.find(&header.group, settings.auto_create_group, now_ms) else {
        return Err(no_group(&header.group));
    };
    if settings.permission & PERM_WRITE == 0 {
        return Err(sending_forbidden(broker));
    }
    let kind = |topic: Text| Kind::Back { group: header.group.clone(), topic };
    if group.retry_queue_nums <= 0 {
        // The group does not want its messages again: nothing to store, and that is a success.
        return Ok(Outgoing { records: Vec::new(), wait: false, kind: kind(Text::new()) });
    }
    let sys_flag = if header.unit_mode.unwrap_or(false) { 2 } else { 0 };
    let retry = retry_topic(&header.group);
    // Any group is made by being named; what waits for its delay must not turn out to have no place then.
    if retry.len() > TOPIC_LEN_MAX || retry.contains(['/', '\\', '\0']) {
        return Err(Refusal::system_error(format!("no topic can have the name {retry}")));
    }
    let perm = ensure_topic(broker, &retry, group.retry_queue_nums, sys_flag, now_ms)?;
    if perm & PERM_WRITE == 0 {
        return Err(Refusal::new(
            ResponseCode::NO_PERMISSION,
            format!("the topic[{retry}] sending message is forbidden"),
        ));
    }
    let missing = || Refusal::system_error(format!("look message by offset failed, {}", header.offset));
    let mut record = broker.store.record_at(header.offset).ok_or_else(missing)?;
    // It is read from the retry topic next, whatever topic it is from.
    acl::admit_reading(broker, request, connection.peer_addr().ip(), &record)?;
    let record = MessageRecord::decode(&mut record).map_err(|_| missing())?;
    let origin =
        properties::get(&record.properties, names::RETRY_TOPIC).map_or(record.topic.clone(), Text::from);
    let back = send_plan::plan_send_back(
        &rules(broker, &settings),
        &header,
        request.version,
        group.retry_max_times,
        group.retry_queue_nums,
        broker.turn.fetch_add(1, Ordering::Relaxed),
        record,
    )?;
    if back.is_dead {
        ensure_topic(broker, &back.topic, DEAD_LETTER_QUEUES, 0, now_ms)?;
    }
    Ok(Outgoing { records: vec![back.record], wait: false, kind: kind(origin) })
}

fn no_group(group: &str) -> Refusal {
    Refusal::new(
        ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST,
        format!("subscription group not exist, {group} {SEE_FAQ}"),
    )
}

/// Makes sure that a retry or dead letter topic is there; answers its permissions.
fn ensure_topic(
    broker: &Shared,
    topic: &str,
    queues: i32,
    sys_flag: i32,
    now_ms: i64,
) -> Result<i32, Refusal> {
    let created = broker.topics.create_in_send_back(topic, queues, PERM_READ | PERM_WRITE, sys_flag, now_ms);
    created.map(|topic| topic.perm).ok_or_else(|| Refusal::system_error(format!("topic[{topic}] not exist")))
}

/// Appends everything planned in one round, with the requests it came from, as one group, and answers.
pub(crate) fn append(
    broker: &Arc<Shared>,
    connection: &Connection,
    outgoing: &mut Vec<(RemotingCommand, Outgoing)>,
    replies: &mut Vec<RemotingCommand>,
) {
    if outgoing.is_empty() {
        return;
    }
    let started = Instant::now();
    let settings = broker.settings.now();
    let mut group = Vec::with_capacity(outgoing.len());
    let mut sends = Vec::with_capacity(outgoing.len());
    for (request, Outgoing { records, wait, kind }) in outgoing.drain(..) {
        match records.first().map(|record| (record.topic.clone(), record.queue_id)) {
            None => reply(replies, &request, request.reply(ResponseCode::SUCCESS)),
            Some(place) => {
                sends.push((request, wait, kind, place));
                group.push(Append { records });
            }
        }
    }
    let sync = broker.store.sync_flush();
    let mut waiting = Vec::new();
    let mut end_offset = 0;
    for ((request, wait, kind, (topic, queue_id)), appended) in
        sends.into_iter().zip(broker.store.append(group))
    {
        match appended {
            Ok(appended) => {
                let put = put(&topic, queue_id, &appended);
                let mut answer = stored(broker, &settings, &request, &kind, &put, &appended);
                if settings.sync_master && wait {
                    // There are no slaves. Stored, and readable: a success that says so, as in Java.
                    answer.code = ResponseCode::SLAVE_NOT_AVAILABLE.0;
                }
                if sync && wait && !request.is_oneway() {
                    end_offset = end_offset.max(appended.end_offset);
                    waiting.push(answer);
                } else {
                    reply(replies, &request, answer);
                }
            }
            Err(error) => {
                broker.stats.put_failed();
                let refusal = not_stored(broker, &error);
                let answer = match (kind, refusal.code) {
                    (Kind::Send { .. }, _) => refused(broker, &request, refusal),
                    // Java names its own status here.
                    (Kind::Back { .. }, ResponseCode::MESSAGE_ILLEGAL) => {
                        Refusal::system_error("MESSAGE_ILLEGAL").reply_to(&request)
                    }
                    (Kind::Back { .. }, _) => {
                        Refusal::system_error("SERVICE_NOT_AVAILABLE").reply_to(&request)
                    }
                };
                reply(replies, &request, answer);
            }
        }
    }
    broker.stats.put_took(started.elapsed().as_millis() as u64);
    if !waiting.is_empty() {
        let (broker, connection) = (broker.clone(), connection.clone());
        tokio::spawn(async move { answer_durable(&broker, &connection, end_offset, waiting).await });
    }
}

fn reply(replies: &mut Vec<RemotingCommand>, request: &RemotingCommand, answer: RemotingCommand) {
    if !request.is_oneway() {
        replies.push(answer);
    }
}

/// Answers a round's sends once all of them are on disk, or when that takes longer than `syncFlushTimeout`.
async fn answer_durable(
    broker: &Shared,
    connection: &Connection,
    end_offset: i64,
    waiting: Vec<RemotingCommand>,
) {
    let durable = broker.store.wait_durable(end_offset);
    let outcome = tokio::time::timeout(broker.settings.now().sync_flush_timeout, durable).await;
    for mut answer in waiting {
        match &outcome {
            Ok(Ok(())) => {}
            // Also a success that says so; that there is no slave weighs more.
            Err(_) if answer.code != ResponseCode::SUCCESS.0 => {}
            Err(_) => answer.code = ResponseCode::FLUSH_DISK_TIMEOUT.0,
            // What was written may be gone after a restart: not a success of any kind.
            Ok(Err(error)) => {
                answer.code = ResponseCode::SERVICE_NOT_AVAILABLE.0;
                answer.remark = Some(error.to_string().into());
            }
        }
        // False means that the peer is gone; what it sent is stored all the same.
        connection.reply(answer);
    }
}

fn stored(
    broker: &Shared,
    settings: &Values,
    request: &RemotingCommand,
    kind: &Kind,
    put: &Put<'_>,
    appended: &Appended,
) -> RemotingCommand {
    match kind {
        Kind::Back { group, topic } => {
            broker.stats.sent_back(group, topic, put);
            request.reply(ResponseCode::SUCCESS)
        }
        Kind::Send { queue_id } => {
            broker.stats.put(put);
            let host = broker.store_host;
            let id = |at: &i64| OffsetMessageId { host, physical_offset: *at }.to_string();
            let ids = match &appended.physical_offsets[..] {
                [only] => id(only),
                several => several.iter().map(id).collect::<Vec<_>>().join(","),
            };
            let mut answer = request.reply_with(&SendMessageReply {
                msg_id: ids.into(),
                queue_id: *queue_id,
                queue_offset: appended.queue_offset,
                ..SendMessageReply::default()
            });
            trace_fields(settings, &mut answer);
            answer
        }
    }
}

/// Why a message was not stored, as its sender is told.
pub(super) fn not_stored(broker: &Shared, error: &AppendError) -> Refusal {
    match error {
        AppendError::Topic { .. }
        | AppendError::Properties { .. }
        | AppendError::Size { .. }
        | AppendError::Listed { .. }
        | AppendError::Batch => send_plan::illegal(broker.settings.now().max_message_size),
        AppendError::LightQueues { .. } => Refusal::system_error(
            "[LMQ_CONSUME_QUEUE_NUM_EXCEEDED]broker config enableLmq and enableMultiDispatch, lmq consumeQueue num \
             exceed maxLmqConsumeQueueNum config num, default limit 2w.",
        ),
        AppendError::DiskFull | AppendError::Closed | AppendError::Failed(_) => {
            tracing::warn!(%error, "a message was not stored");
            let remark = "service not available now. It may be caused by one of the following reasons: the broker's \
                          disk is full, messages are put to the slave, message store has been shut down, etc.";
            Refusal::new(ResponseCode::SERVICE_NOT_AVAILABLE, remark)
        }
    }
}

/// The reply to a send that is refused: clients read the trace fields from it as well.
pub(crate) fn refused(broker: &Shared, request: &RemotingCommand, refusal: Refusal) -> RemotingCommand {
    let mut answer = refusal.reply_to(request);
    if request.request_code() != Some(RequestCode::ConsumerSendMsgBack) {
        trace_fields(&broker.settings.now(), &mut answer);
    }
    answer
}

/// Tells the client which region this is and whether to trace.
pub(super) fn trace_fields(settings: &Values, answer: &mut RemotingCommand) {
    answer.ext_fields.push(names::MSG_REGION, settings.region_id.clone());
    answer.ext_fields.push(names::TRACE_SWITCH, if settings.trace_on { "true" } else { "false" });
}
