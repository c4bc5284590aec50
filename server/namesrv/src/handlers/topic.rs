//! Topics: lists, and the two requests that change them without a broker's registration.

use ferrocket_protocol::body::route::TopicRouteData;
use ferrocket_protocol::command::RemotingCommand;
use ferrocket_protocol::fastjson;
use ferrocket_protocol::requests::Header;
use ferrocket_protocol::requests::topic_list::{DeleteTopicFromNamesrvHeader, GetTopicsByClusterHeader};
use ferrocket_protocol::response_code::ResponseCode;

use super::{field, json};
use crate::dispatch::Refusal;
use crate::namesrv::Shared;

/// Takes the queues of one topic (5.x). Old clients mean something else by this code and send no topic.
pub(crate) fn register_topic_in_namesrv(
    shared: &Shared,
    request: &RemotingCommand,
) -> Result<RemotingCommand, Refusal> {
    let topic = field(request, "topic")?;
    let route: TopicRouteData = fastjson::from_slice(&request.body)
        .map_err(|error| Refusal::new(ResponseCode::SYSTEM_ERROR, format!("TopicRouteData: {error}")))?;
    if !shared.routes().register_topic(topic, route.queue_datas) {
        tracing::warn!(topic = &**topic, "queues of an unknown broker, passed over");
    }
    Ok(request.reply(ResponseCode::SUCCESS))
}

/// Forgets a topic; success also when there is none.
pub(crate) fn delete_topic_in_namesrv(
    shared: &Shared,
    request: &RemotingCommand,
) -> Result<RemotingCommand, Refusal> {
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
    let topics = shared.routes().topics();
    json(request, &topics)
}

/// The topics of a cluster; of an unknown one, none.
pub(crate) fn get_topics_by_cluster(
    shared: &Shared,
    request: &RemotingCommand,
) -> Result<RemotingCommand, Refusal> {
    let header = GetTopicsByClusterHeader::decode(&request.ext_fields)?;
    let topics = shared.routes().topics_of_cluster(&header.cluster);
    Ok(json(request, &topics))
}

/// The names of clusters and brokers, which are topics too, and some broker's address.
pub(crate) fn get_system_topic_list_from_ns(shared: &Shared, request: &RemotingCommand) -> RemotingCommand {
    let topics = shared.routes().system_topics();
    json(request, &topics)
}

/// Topics of units.
pub(crate) fn get_unit_topic_list(shared: &Shared, request: &RemotingCommand) -> RemotingCommand {
    let topics = shared.routes().unit_topics();
    json(request, &topics)
}

/// Topics that units subscribe to.
pub(crate) fn get_has_unit_sub_topic_list(shared: &Shared, request: &RemotingCommand) -> RemotingCommand {
    let topics = shared.routes().unit_sub_topics();
    json(request, &topics)
}

/// Topics that units subscribe to and that are not of a unit.
pub(crate) fn get_has_unit_sub_ununit_topic_list(
    shared: &Shared,
    request: &RemotingCommand,
) -> RemotingCommand {
    let topics = shared.routes().unit_sub_ununit_topics();
    json(request, &topics)
}
