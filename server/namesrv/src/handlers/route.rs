//! Brokers register and are found.

use std::collections::BTreeMap;
use std::sync::Arc;

use ferrocket_protocol::body::register::RegisterBrokerBody;
use ferrocket_protocol::body::route::BrokerData;
use ferrocket_protocol::body::topic::{DataVersion, PERM_READ, PERM_WRITE};
use ferrocket_protocol::command::VERSION_4_9_4;
use ferrocket_protocol::message::body_crc;
use ferrocket_protocol::requests::route::*;
use ferrocket_protocol::{Header, RemotingCommand, ResponseCode, fastjson};
use ferrocket_remoting::Connection;

use super::{field, json};
use crate::dispatch::{Answered, Refusal};
use crate::kv_config::ORDER_TOPIC_CONFIG;
use crate::namesrv::Shared;
use crate::route_table::Registration;

/// `MQVersion.V3_0_11`: older brokers register nothing but their topics.
const VERSION_3_0_11: i32 = 37;

/// Takes a broker's topics; answers the master's addresses and the order configs of topics.
pub(crate) fn register_broker(
    shared: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
) -> Answered {
    let header = RegisterBrokerHeader::decode(&request.ext_fields)?;
    let crc = header.body_crc32.unwrap_or(0);
    if crc != 0 && crc != body_crc(&request.body) {
        tracing::warn!(?connection, "the checksum of a registration does not match");
        return Err(Refusal::new(ResponseCode::SYSTEM_ERROR, "crc32 not match"));
    }
    let body = registration_body(request, header.compressed.unwrap_or(false))?;
    let broker_name = header.broker_name.clone();
    let registration = Registration { header, body, connection: connection.id() };
    let registered = shared.routes().register(registration, shared.now_ms()).map_err(|refused| {
        tracing::warn!(?connection, broker_name = &*broker_name, ?refused, "registration refused");
        Refusal::new(ResponseCode::SYSTEM_ERROR, "register broker failed")
    })?;
    let reply = request.reply_with(&registered);
    let orders = shared.kv.namespace(ORDER_TOPIC_CONFIG);
    Ok(reply.with_body(orders.map(|table| fastjson::to_vec(&table)).unwrap_or_default()))
}

fn registration_body(request: &RemotingCommand, compressed: bool) -> Result<RegisterBrokerBody, Refusal> {
    let body = match &request.body[..] {
        [] => Ok(RegisterBrokerBody::default()),
        topics if request.version < VERSION_3_0_11 => fastjson::from_slice(topics)
            .map(|topics| RegisterBrokerBody { topic_config_serialize_wrapper: topics, ..Default::default() })
            .map_err(|error| error.to_string()),
        body => RegisterBrokerBody::decode(body, compressed).map_err(|error| error.to_string()),
    };
    body.map_err(|reason| {
        Refusal::new(ResponseCode::SYSTEM_ERROR, format!("Failed to decode RegisterBrokerBody: {reason}"))
    })
}

/// Forgets a broker's address.
pub(crate) fn unregister_broker(shared: &Shared, request: &RemotingCommand) -> Answered {
    let header = UnregisterBrokerHeader::decode(&request.ext_fields)?;
    shared.routes().unregister(&header.broker_name, &header.broker_addr);
    Ok(request.reply(ResponseCode::SUCCESS))
}

/// Tells a broker whether it has to register; if not, counts as a sign of life.
pub(crate) fn query_data_version(shared: &Shared, request: &RemotingCommand) -> Answered {
    let header = QueryDataVersionHeader::decode(&request.ext_fields)?;
    let version: DataVersion = fastjson::from_slice(&request.body)
        .map_err(|error| Refusal::new(ResponseCode::SYSTEM_ERROR, format!("DataVersion: {error}")))?;
    let mut routes = shared.routes();
    let changed = routes.is_changed(&header.broker_addr, &version);
    if !changed {
        routes.heard(&header.broker_addr, shared.now_ms());
    }
    let reply = request.reply_with(&QueryDataVersionReply { changed });
    let known = routes.data_version(&header.broker_addr);
    Ok(reply.with_body(known.map(|version| fastjson::to_vec(&version)).unwrap_or_default()))
}

/// A sign of life (5.x).
pub(crate) fn broker_heartbeat(shared: &Shared, request: &RemotingCommand) -> Answered {
    shared.routes().heard(field(request, "brokerAddr")?, shared.now_ms());
    Ok(request.reply(ResponseCode::SUCCESS))
}

/// Who has a topic.
pub(crate) fn get_routeinfo_by_topic(shared: &Shared, request: &RemotingCommand) -> Answered {
    let header = GetRouteInfoHeader::decode(&request.ext_fields)?;
    let route = shared.routes().route(&header.topic);
    let Some(mut route) = route else {
        let topic = header.topic;
        let remark = format!(
            "No topic route info in name server for the topic: {topic}\n\
             See http://rocketmq.apache.org/docs/faq/ for further details."
        );
        return Err(Refusal::new(ResponseCode::TOPIC_NOT_EXIST, remark));
    };
    // Producers build their queues from it, so it does not show unless it is wanted.
    if shared.settings().order_message_enable() {
        route.order_topic_conf = shared.kv.get(ORDER_TOPIC_CONFIG, &header.topic);
    }
    let strict = request.version >= VERSION_4_9_4 || header.accept_standard_json_only == Some(true);
    let body = if strict { fastjson::to_vec(&route) } else { fastjson::to_vec_lenient(&route) };
    Ok(request.reply(ResponseCode::SUCCESS).with_body(body))
}

/// All clusters and brokers.
pub(crate) fn get_broker_cluster_info(shared: &Shared, request: &RemotingCommand) -> RemotingCommand {
    json(request, &shared.routes().cluster_info())
}

/// The addresses of a master and its slaves (5.x); of an unknown broker, none.
pub(crate) fn get_broker_member_group(shared: &Shared, request: &RemotingCommand) -> Answered {
    let (cluster, broker_name) = (field(request, "clusterName")?, field(request, "brokerName")?);
    let known = shared.routes().cluster_info().broker_addr_table.remove(&**broker_name);
    let unknown = || BrokerData {
        broker_name: broker_name.to_string(),
        cluster: cluster.to_string(),
        ..BrokerData::default()
    };
    // Java: `GetBrokerMemberGroupResponseBody`.
    Ok(json(request, &BTreeMap::from([("brokerMemberGroup", known.unwrap_or_else(unknown))])))
}

/// Takes write permission from a broker's queues.
pub(crate) fn wipe_write_perm_of_broker(shared: &Shared, request: &RemotingCommand) -> Answered {
    let header = WipeWritePermOfBrokerHeader::decode(&request.ext_fields)?;
    let wipe_topic_count = shared.routes().set_perm(&header.broker_name, |perm| perm & !PERM_WRITE);
    tracing::info!(broker_name = &*header.broker_name, wipe_topic_count, "write permission wiped");
    Ok(request.reply_with(&WipeWritePermOfBrokerReply { wipe_topic_count }))
}

/// Gives a broker's queues read and write permission, whatever they had before.
pub(crate) fn add_write_perm_of_broker(shared: &Shared, request: &RemotingCommand) -> Answered {
    let header = AddWritePermOfBrokerHeader::decode(&request.ext_fields)?;
    let add_topic_count = shared.routes().set_perm(&header.broker_name, |_| PERM_READ | PERM_WRITE);
    tracing::info!(broker_name = &*header.broker_name, add_topic_count, "write permission added");
    Ok(request.reply_with(&AddWritePermOfBrokerReply { add_topic_count }))
}
