//! Topics: lists, and the two requests that change them without a broker's registration.

use ferrocket_protocol::body::route::TopicRouteData;
use ferrocket_protocol::requests::topic_list::{DeleteTopicFromNamesrvHeader, GetTopicsByClusterHeader};
use ferrocket_protocol::{Header, RemotingCommand, ResponseCode, fastjson};

use super::{field, json};
use crate::dispatch::{Answered, Refusal};
use crate::namesrv::Shared;
use crate::route_table::{FLAG_UNIT, FLAG_UNIT_SUB};

/// Takes the queues of one topic (5.x). Old clients mean something else by this code and send no topic.
pub(crate) fn register_topic_in_namesrv(shared: &Shared, request: &RemotingCommand) -> Answered {
    let topic = field(request, "topic")?;
    let route: TopicRouteData = fastjson::from_slice(&request.body)
        .map_err(|error| Refusal::new(ResponseCode::SYSTEM_ERROR, format!("TopicRouteData: {error}")))?;
    if !shared.routes().register_topic(topic, route.queue_datas) {
        tracing::warn!(topic = &**topic, "queues of an unknown broker, passed over");
    }
    Ok(request.reply(ResponseCode::SUCCESS))
}

/// Forgets a topic; success also when there is none.
pub(crate) fn delete_topic_in_namesrv(shared: &Shared, request: &RemotingCommand) -> Answered {
    let header = DeleteTopicFromNamesrvHeader::decode(&request.ext_fields)?;
    let cluster = header.cluster_name.filter(|cluster| !cluster.is_empty());
    shared.routes().delete_topic(&header.topic, cluster.as_deref());
    Ok(request.reply(ResponseCode::SUCCESS))
}

/// All topics.
pub(crate) fn get_all_topic_list_from_nameserver(
    shared: &Shared,
    request: &RemotingCommand,
) -> RemotingCommand {
    json(request, &shared.routes().topics())
}

/// The topics of a cluster; of an unknown one, none.
pub(crate) fn get_topics_by_cluster(shared: &Shared, request: &RemotingCommand) -> Answered {
    let header = GetTopicsByClusterHeader::decode(&request.ext_fields)?;
    Ok(json(request, &shared.routes().topics_of_cluster(&header.cluster)))
}

/// The names of clusters and brokers, which are topics too, and some broker's address.
pub(crate) fn get_system_topic_list_from_ns(shared: &Shared, request: &RemotingCommand) -> RemotingCommand {
    json(request, &shared.routes().system_topics())
}

/// Topics of units.
pub(crate) fn get_unit_topic_list(shared: &Shared, request: &RemotingCommand) -> RemotingCommand {
    json(request, &shared.routes().topics_flagged(FLAG_UNIT, FLAG_UNIT))
}

/// Topics that units subscribe to.
pub(crate) fn get_has_unit_sub_topic_list(shared: &Shared, request: &RemotingCommand) -> RemotingCommand {
    json(request, &shared.routes().topics_flagged(FLAG_UNIT_SUB, FLAG_UNIT_SUB))
}

/// Topics that units subscribe to and that are not of a unit.
pub(crate) fn get_has_unit_sub_ununit_topic_list(
    shared: &Shared,
    request: &RemotingCommand,
) -> RemotingCommand {
    json(request, &shared.routes().topics_flagged(FLAG_UNIT | FLAG_UNIT_SUB, FLAG_UNIT_SUB))
}
