//! Brokers register and are found.

use std::sync::Arc;

use ferrocket_protocol::body::register::RegisterBrokerBody;
use ferrocket_protocol::body::route::BrokerData;
use ferrocket_protocol::body::topic::{DataVersion, TopicConfigSerializeWrapper};
use ferrocket_protocol::command::{RemotingCommand, VERSION_4_9_4};
use ferrocket_protocol::fastjson;
use ferrocket_protocol::message::body_crc;
use ferrocket_protocol::requests::Header;
use ferrocket_protocol::requests::route::{
    AddWritePermOfBrokerHeader, AddWritePermOfBrokerReply, GetRouteInfoHeader, QueryDataVersionHeader,
    QueryDataVersionReply, RegisterBrokerHeader, RegisterBrokerReply, UnregisterBrokerHeader,
    WipeWritePermOfBrokerHeader, WipeWritePermOfBrokerReply,
};
use ferrocket_protocol::response_code::ResponseCode;
use ferrocket_remoting::Connection;
use serde::Serialize;

use super::{field, json};
use crate::dispatch::Refusal;
use crate::kv_config::ORDER_TOPIC_CONFIG;
use crate::namesrv::Shared;
use crate::route_table::{Registration, Unregistered};

/// `MQVersion.V3_0_11`: older brokers register nothing but their topics.
const VERSION_3_0_11: i32 = 37;

/// Takes a broker's topics; answers the master's addresses and the order configs of topics.
pub(crate) fn register_broker(
    shared: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
) -> Result<RemotingCommand, Refusal> {
    let header = RegisterBrokerHeader::decode(&request.ext_fields)?;
    let crc = header.body_crc32.unwrap_or(0);
    if crc != 0 && crc != body_crc(&request.body) {
        tracing::warn!(?connection, "the checksum of a registration does not match");
        return Err(Refusal::new(ResponseCode::SYSTEM_ERROR, "crc32 not match"));
    }
    let body = registration_body(request, header.compressed.unwrap_or(false))?;
    let registration = Registration {
        cluster: header.cluster_name.to_string(),
        broker_name: header.broker_name.to_string(),
        broker_addr: header.broker_addr.to_string(),
        broker_id: header.broker_id,
        ha_server_addr: header.ha_server_addr.to_string(),
        timeout_ms: header.heartbeat_timeout_millis,
        topics: body.topic_config_serialize_wrapper,
        filter_servers: body.filter_server_list,
        connection: connection.id(),
    };
    let registered = shared.routes().register(registration, shared.now_ms()).map_err(|refused| {
        tracing::warn!(?connection, broker = &*header.broker_name, ?refused, "registration refused");
        let code = match refused {
            Unregistered::Partial => ResponseCode::SYSTEM_ERROR,
            Unregistered::TooManyBrokers => ResponseCode::SYSTEM_BUSY,
        };
        Refusal::new(code, "register broker failed")
    })?;
    let reply = request.reply_with(&RegisterBrokerReply {
        ha_server_addr: registered.ha_server_addr.map(Into::into),
        master_addr: registered.master_addr.map(Into::into),
    });
    Ok(match shared.kv.namespace(ORDER_TOPIC_CONFIG) {
        Some(table) => reply.with_body(fastjson::to_vec(&table)),
        None => reply,
    })
}

fn registration_body(request: &RemotingCommand, compressed: bool) -> Result<RegisterBrokerBody, Refusal> {
    let broken = |reason: &dyn std::fmt::Display| {
        let remark = format!("Failed to decode RegisterBrokerBody: {reason}");
        Refusal::new(ResponseCode::SYSTEM_ERROR, remark)
    };
    if request.body.is_empty() {
        return Ok(RegisterBrokerBody::default());
    }
    if request.version < VERSION_3_0_11 {
        let topics: TopicConfigSerializeWrapper =
            fastjson::from_slice(&request.body).map_err(|error| broken(&error))?;
        return Ok(RegisterBrokerBody {
            topic_config_serialize_wrapper: topics,
            ..RegisterBrokerBody::default()
        });
    }
    RegisterBrokerBody::decode(&request.body, compressed).map_err(|error| broken(&error))
}

/// Forgets a broker's address.
pub(crate) fn unregister_broker(
    shared: &Shared,
    request: &RemotingCommand,
) -> Result<RemotingCommand, Refusal> {
    let header = UnregisterBrokerHeader::decode(&request.ext_fields)?;
    shared.routes().unregister(&header.broker_name, &header.broker_addr);
    Ok(request.reply(ResponseCode::SUCCESS))
}

/// Tells a broker whether it has to register; if not, counts as a sign of life.
pub(crate) fn query_data_version(
    shared: &Shared,
    request: &RemotingCommand,
) -> Result<RemotingCommand, Refusal> {
    let header = QueryDataVersionHeader::decode(&request.ext_fields)?;
    let version: DataVersion = fastjson::from_slice(&request.body)
        .map_err(|error| Refusal::new(ResponseCode::SYSTEM_ERROR, format!("DataVersion: {error}")))?;
    let mut routes = shared.routes();
    let changed = routes.is_changed(&header.broker_addr, &version);
    if !changed {
        routes.heard(&header.broker_addr, shared.now_ms());
    }
    let reply = request.reply_with(&QueryDataVersionReply { changed });
    Ok(match routes.data_version(&header.broker_addr) {
        Some(known) => reply.with_body(fastjson::to_vec(&known)),
        None => reply,
    })
}

/// A sign of life (5.x).
pub(crate) fn broker_heartbeat(
    shared: &Shared,
    request: &RemotingCommand,
) -> Result<RemotingCommand, Refusal> {
    shared.routes().heard(field(request, "brokerAddr")?, shared.now_ms());
    Ok(request.reply(ResponseCode::SUCCESS))
}

/// Who has a topic.
pub(crate) fn get_routeinfo_by_topic(
    shared: &Shared,
    request: &RemotingCommand,
) -> Result<RemotingCommand, Refusal> {
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
    Ok(if strict {
        request.reply(ResponseCode::SUCCESS).with_body(fastjson::to_vec(&route))
    } else {
        json(request, &route)
    })
}

/// All clusters and brokers.
pub(crate) fn get_broker_cluster_info(shared: &Shared, request: &RemotingCommand) -> RemotingCommand {
    let info = shared.routes().cluster_info();
    json(request, &info)
}

/// Java: `GetBrokerMemberGroupResponseBody`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BrokerMemberGroup {
    broker_member_group: BrokerData,
}

/// The addresses of a master and its slaves (5.x); of an unknown broker, none.
pub(crate) fn get_broker_member_group(
    shared: &Shared,
    request: &RemotingCommand,
) -> Result<RemotingCommand, Refusal> {
    let (cluster, broker_name) = (field(request, "clusterName")?, field(request, "brokerName")?);
    let broker_addrs = shared.routes().broker(broker_name).map(|broker| broker.broker_addrs.clone());
    let broker_member_group = BrokerData {
        broker_addrs: broker_addrs.unwrap_or_default(),
        broker_name: broker_name.to_string(),
        cluster: cluster.to_string(),
    };
    Ok(json(request, &BrokerMemberGroup { broker_member_group }))
}

/// Takes write permission from a broker's queues.
pub(crate) fn wipe_write_perm_of_broker(
    shared: &Shared,
    request: &RemotingCommand,
) -> Result<RemotingCommand, Refusal> {
    let header = WipeWritePermOfBrokerHeader::decode(&request.ext_fields)?;
    let wipe_topic_count = shared.routes().wipe_write_perm(&header.broker_name);
    tracing::info!(broker_name = &*header.broker_name, wipe_topic_count, "write permission wiped");
    Ok(request.reply_with(&WipeWritePermOfBrokerReply { wipe_topic_count }))
}

/// Gives a broker's queues read and write permission.
pub(crate) fn add_write_perm_of_broker(
    shared: &Shared,
    request: &RemotingCommand,
) -> Result<RemotingCommand, Refusal> {
    let header = AddWritePermOfBrokerHeader::decode(&request.ext_fields)?;
    let add_topic_count = shared.routes().add_write_perm(&header.broker_name);
    tracing::info!(broker_name = &*header.broker_name, add_topic_count, "write permission added");
    Ok(request.reply_with(&AddWritePermOfBrokerReply { add_topic_count }))
}
