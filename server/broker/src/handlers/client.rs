//! Clients: heartbeats, goodbyes, who is connected, and requests that are passed on to a client. Java
//! counterparts: `ClientManageProcessor`, `ConsumerManageProcessor.getConsumerListByGroup`, and the
//! connection requests of `AdminBrokerProcessor`.

use std::sync::Arc;
use std::time::Duration;

use ferrocket_protocol::body::group::{
    CheckClientRequestBody, Connection as ClientConnection, ConsumerConnection, ConsumerListBody,
    ProducerConnection, ProducerInfo, ProducerTableInfo,
};
use ferrocket_protocol::body::heartbeat::{HeartbeatData, SubscriptionData};
use ferrocket_protocol::body::topic::{PERM_READ, PERM_WRITE};
use ferrocket_protocol::message_id::OffsetMessageId;
use ferrocket_protocol::requests::client::{
    ConsumeMessageDirectlyHeader, GetConsumerConnectionListHeader, GetConsumerListByGroupHeader,
    GetConsumerRunningInfoHeader, GetProducerConnectionListHeader, UnregisterClientHeader,
};
use ferrocket_protocol::{Header, RemotingCommand, RequestCode, ResponseCode, Text, fastjson};
use ferrocket_remoting::{CallError, Connection};

use super::{Answer, body, pull};
use crate::broker::Shared;
use crate::clients::{ClientChannel, TooManyGroups};
use crate::refusal::Refusal;
use crate::{consumer_filters, late, topics};

/// Bit of a topic's system flag: consumers subscribe to it by unit (`TopicSysFlag.FLAG_UNIT_SUB`).
const UNIT_SUB: i32 = 0x2;
/// `MQVersion.V3_1_8_SNAPSHOT`: from here on consumers answer requests that are passed on.
const VERSION_3_1_8: i32 = 62;
/// How long a client may take for a request that is passed on.
const PASSED_ON_TIMEOUT: Duration = Duration::from_secs(10);

/// 34: a client is alive. Creates the retry topics of its consumer groups, which it asks the NameServer for
/// soon.
pub(crate) fn heart_beat(broker: &Arc<Shared>, connection: &Connection, request: &RemotingCommand) -> Answer {
    let heartbeat: HeartbeatData = body(request)?;
    let now_ms = broker.clock.now_ms();
    let settings = broker.settings.now();
    let channel = ClientChannel {
        connection_id: connection.id(),
        client_id: heartbeat.client_id.into(),
        language: request.language,
        version: request.version,
        last_seen_ms: broker.elapsed_ms(),
    };
    for consumer in &heartbeat.consumer_data_set {
        let mut notify = settings.notify_consumer_ids_changed;
        if let Some(group) = broker.groups.find(&consumer.group_name, settings.auto_create_group, now_ms) {
            notify &= group.notify_consumer_ids_changed_enable;
            let unit = if consumer.unit_mode { UNIT_SUB } else { 0 };
            let topic = topics::retry_topic(&consumer.group_name);
            broker.topics.create_in_send_back(
                &topic,
                group.retry_queue_nums,
                PERM_READ | PERM_WRITE,
                unit,
                now_ms,
            );
        }
        let changed = broker.clients.consumer_heartbeat(connection, &channel, consumer, notify);
        let not_before_messages = || broker.clock.now_ms().max(broker.store.newest_timestamp());
        broker.filters.heartbeat(&consumer.group_name, &consumer.subscription_data_set, &not_before_messages);
        if changed.map_err(too_many)? {
            tracing::info!(group = consumer.group_name, client_id = %channel.client_id, "the consumers of a group changed");
        }
    }
    for producer in heartbeat.producer_data_set {
        broker
            .clients
            .producer_heartbeat(connection, &channel, &producer.group_name.into())
            .map_err(too_many)?;
    }
    Ok(Some(request.reply(ResponseCode::SUCCESS)))
}

fn too_many(_: TooManyGroups) -> Refusal {
    Refusal::new(ResponseCode::SYSTEM_BUSY, "the broker has too many groups of clients")
}

/// 35: a client leaves its groups.
pub(crate) fn unregister_client(
    broker: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let header = UnregisterClientHeader::decode(&request.ext_fields)?;
    if let Some(group) = header.producer_group {
        broker.clients.unregister_producer(connection, &group);
    }
    if let Some(group) = header.consumer_group {
        let settings = broker.settings.now();
        let config = broker.groups.find(&group, false, broker.clock.now_ms());
        let wanted = config.is_none_or(|config| config.notify_consumer_ids_changed_enable);
        broker.clients.unregister_consumer(
            connection,
            &group,
            wanted && settings.notify_consumer_ids_changed,
        );
    }
    Ok(Some(request.reply(ResponseCode::SUCCESS)))
}

/// 46: whether this broker can do what a subscription asks for.
pub(crate) fn check_client_config(broker: &Arc<Shared>, _: &Connection, request: &RemotingCommand) -> Answer {
    let CheckClientRequestBody { subscription_data, .. } = body(request)?;
    if let Some(data) = subscription_data.filter(|data| !data.is_tag_type()) {
        if !broker.settings.now().property_filter {
            return Err(pull::not_supported(&data.expression_type));
        }
        if let Err(error) = consumer_filters::compile(&data.expression_type, &data.sub_string) {
            return Err(Refusal::new(ResponseCode::SUBSCRIPTION_PARSE_FAILED, error.to_string()));
        }
    }
    Ok(Some(request.reply(ResponseCode::SUCCESS)))
}

/// 38: the client ids of a group, among which its queues are divided.
pub(crate) fn get_consumer_list_by_group(
    broker: &Arc<Shared>,
    _: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let GetConsumerListByGroupHeader { consumer_group: group } = Header::decode(&request.ext_fields)?;
    match broker.clients.client_ids(&group) {
        Some(ids) if !ids.is_empty() => {
            let body = ConsumerListBody { consumer_id_list: ids.iter().map(Text::to_string).collect() };
            Ok(Some(request.reply(ResponseCode::SUCCESS).with_body(fastjson::to_vec(&body))))
        }
        _ => Err(Refusal::system_error(format!("no consumer for this group, {group}"))),
    }
}

/// 203: the connections and subscriptions of a consumer group.
pub(crate) fn get_consumer_connection_list(
    broker: &Arc<Shared>,
    _: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let GetConsumerConnectionListHeader { consumer_group: name } = Header::decode(&request.ext_fields)?;
    let Some((group, connections)) = broker.clients.consumer_group(&name) else {
        let remark = format!("the consumer group[{name}] not online");
        return Err(Refusal::new(ResponseCode::CONSUMER_NOT_ONLINE, remark));
    };
    let body = ConsumerConnection {
        connection_set: connections.iter().map(shown).collect(),
        consume_from_where: group.consume_from_where,
        consume_type: group.consume_type,
        message_model: group.message_model,
        subscription_table: group
            .subscriptions
            .iter()
            .map(|(topic, data)| (topic.to_string(), SubscriptionData::clone(data)))
            .collect(),
    };
    Ok(Some(request.reply(ResponseCode::SUCCESS).with_body(fastjson::to_vec(&body))))
}

fn shown((channel, connection): &(ClientChannel, Connection)) -> ClientConnection {
    ClientConnection {
        client_addr: connection.peer_addr().to_string(),
        client_id: channel.client_id.to_string(),
        language: channel.language,
        version: channel.version,
    }
}

/// 204: the connections of a producer group.
pub(crate) fn get_producer_connection_list(
    broker: &Arc<Shared>,
    _: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let GetProducerConnectionListHeader { producer_group: group } = Header::decode(&request.ext_fields)?;
    let Some(connections) = broker.clients.producer_group(&group) else {
        return Err(Refusal::system_error(format!("the producer group[{group}] not exist")));
    };
    let body = ProducerConnection { connection_set: connections.iter().map(shown).collect() };
    Ok(Some(request.reply(ResponseCode::SUCCESS).with_body(fastjson::to_vec(&body))))
}

/// 328: all producers.
pub(crate) fn get_all_producer_info(
    broker: &Arc<Shared>,
    _: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let started_ms = broker.clock.now_ms() - broker.elapsed_ms();
    let info = |(channel, connection): &(ClientChannel, Connection)| ProducerInfo {
        client_id: channel.client_id.to_string(),
        language: channel.language,
        last_update_timestamp: started_ms + channel.last_seen_ms,
        // Java prints a socket address, which begins with a slash.
        remote_ip: format!("/{}", connection.peer_addr()),
        version: channel.version,
    };
    let groups = broker.clients.producers().into_iter();
    let data = groups.map(|(group, producers)| (group, producers.iter().map(info).collect())).collect();
    let body = fastjson::to_vec(&ProducerTableInfo { data });
    Ok(Some(request.reply(ResponseCode::SUCCESS).with_body(body)))
}

/// 307: a consumer's account of itself.
pub(crate) fn get_consumer_running_info(
    broker: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let header = GetConsumerRunningInfoHeader::decode(&request.ext_fields)?;
    let question = RemotingCommand {
        ext_fields: request.ext_fields.clone(),
        body: request.body.clone(),
        ..RemotingCommand::request(RequestCode::GetConsumerRunningInfo, &header)
    };
    pass_on(broker, connection, request, question, &header.consumer_group, &header.client_id)
}

/// 309: lets one consumer consume one stored message, whatever its offset.
pub(crate) fn consume_message_directly(
    broker: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let mut header = ConsumeMessageDirectlyHeader::decode(&request.ext_fields)?;
    let (Some(client_id), Some(msg_id)) = (header.client_id.clone(), header.msg_id.clone()) else {
        return Err(Refusal::system_error("fields clientId and msgId are needed"));
    };
    let id = OffsetMessageId::parse(&msg_id);
    let record = id.and_then(|id| broker.store.record_at(id.physical_offset));
    let Some(record) = record else {
        return Err(Refusal::system_error(format!("can not find message by the id, {msg_id}")));
    };
    header.broker_name = Some(broker.settings.now().broker_name.clone());
    let order = RemotingCommand::request(RequestCode::ConsumeMessageDirectly, &header).with_body(record);
    pass_on(broker, connection, request, order, &header.consumer_group, &client_id)
}

/// Java: `callConsumer`.
fn pass_on(
    broker: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
    passed_on: RemotingCommand,
    group: &Text,
    client_id: &Text,
) -> Answer {
    let Some((channel, consumer)) = broker.clients.consumer(group, client_id) else {
        return Err(Refusal::system_error(format!("The Consumer <{group}> <{client_id}> not online")));
    };
    if channel.version < VERSION_3_1_8 {
        let version = channel.version;
        let remark = format!(
            "The Consumer <{client_id}> Version <{version}> too low to finish, please upgrade it to V3_1_8_SNAPSHOT"
        );
        return Err(Refusal::system_error(remark));
    }
    let (group, client_id) = (group.clone(), client_id.clone());
    late::answer(broker, connection, request, |_, asked| async move {
        match consumer.call(passed_on, PASSED_ON_TIMEOUT).await {
            Ok(answer) => {
                let mut reply = asked.reply(answer.response_code());
                reply.remark = answer.remark;
                reply.ext_fields = answer.ext_fields;
                reply.body = answer.body;
                Ok(reply)
            }
            Err(error @ CallError::Timeout { .. }) => {
                let remark = format!("consumer <{group}> <{client_id}> Timeout: {error}");
                Err(Refusal::new(ResponseCode::CONSUME_MSG_TIMEOUT, remark))
            }
            Err(error) => Err(Refusal::system_error(format!(
                "invoke consumer <{group}> <{client_id}> Exception: {error}"
            ))),
        }
    })
}
