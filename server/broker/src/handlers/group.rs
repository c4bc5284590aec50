//! Consumer groups: their settings and how far they are. Java counterpart: the group requests of
//! `AdminBrokerProcessor`.

use std::collections::BTreeMap;
use std::sync::Arc;

use ferrocket_protocol::body::group::{
    ConsumeStats, ConsumeStatsList, GroupList, OffsetWrapper, QuerySubscriptionBody, SubscriptionGroupConfig,
    SubscriptionGroupList,
};
use ferrocket_protocol::body::offset::{QueryConsumeTimeSpanBody, QueueTimeSpan};
use ferrocket_protocol::body::topic::TopicList;
use ferrocket_protocol::requests::group::{
    DeleteSubscriptionGroupHeader, GetConsumeStatsHeader, GetConsumeStatsInBrokerHeader,
    GetSubscriptionGroupConfigHeader, QueryConsumeTimeSpanHeader, QuerySubscriptionByConsumerHeader,
    QueryTopicConsumeByWhoHeader, QueryTopicsByConsumerHeader,
};
use ferrocket_protocol::{Header, RemotingCommand, ResponseCode, fastjson};
use ferrocket_remoting::Connection;

use super::topic::{existing, saved};
use super::{Answer, body};
use crate::broker::Shared;
use crate::late;
use crate::refusal::Refusal;
use crate::saving::File;

/// 200: creates or changes a group. Answered once the file is written.
pub(crate) fn update_and_create_subscriptiongroup(
    broker: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let config: SubscriptionGroupConfig = body(request)?;
    update(broker, connection, request, vec![config])
}

/// 225, of 5.x: the same for several groups.
pub(crate) fn update_and_create_subscriptiongroup_list(
    broker: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let SubscriptionGroupList { group_config_list: configs } = body(request)?;
    update(broker, connection, request, configs)
}

fn update(
    broker: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
    configs: Vec<SubscriptionGroupConfig>,
) -> Answer {
    if configs.iter().any(|config| config.group_name.trim().is_empty()) {
        return Err(Refusal::system_error("the body names no group"));
    }
    for config in configs {
        broker.groups.update(config, broker.clock.now_ms())?;
    }
    late::answer_blocking(broker, connection, request, move |broker, asked| {
        saved(broker, File::Groups)?;
        Ok(asked.reply(ResponseCode::SUCCESS))
    })
}

/// 201: all groups, for slaves and tools.
pub(crate) fn get_all_subscriptiongroup_config(
    broker: &Arc<Shared>,
    _: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let body = fastjson::to_vec(&broker.groups.to_wrapper());
    Ok(Some(request.reply(ResponseCode::SUCCESS).with_body(body)))
}

/// 352, of 5.x: one group, created first if consumers may create groups.
pub(crate) fn get_subscriptiongroup_config(
    broker: &Arc<Shared>,
    _: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let GetSubscriptionGroupConfigHeader { group } = Header::decode(&request.ext_fields)?;
    let auto_create = broker.settings.now().auto_create_group;
    match broker.groups.find(&group, auto_create, broker.clock.now_ms()) {
        Some(config) => Ok(Some(request.reply(ResponseCode::SUCCESS).with_body(fastjson::to_vec(&*config)))),
        None => Err(Refusal::new(ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST, "No group in this broker")),
    }
}

/// 343, of 5.x: the topics that a group has offsets of.
pub(crate) fn query_topics_by_consumer(
    broker: &Arc<Shared>,
    _: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let QueryTopicsByConsumerHeader { group } = Header::decode(&request.ext_fields)?;
    let list = TopicList {
        topic_list: broker.offsets.topics_of(&group),
        broker_addr: Some(broker.registration.identity().addr.to_string()),
    };
    Ok(Some(request.reply(ResponseCode::SUCCESS).with_body(fastjson::to_vec(&list))))
}

/// 345, of 5.x: what a connected group subscribes to of a topic.
pub(crate) fn query_subscription_by_consumer(
    broker: &Arc<Shared>,
    _: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let QuerySubscriptionByConsumerHeader { group, topic } = Header::decode(&request.ext_fields)?;
    let data = topic.as_ref().and_then(|topic| broker.clients.subscription(&group, topic));
    let body = QuerySubscriptionBody {
        group: group.to_string(),
        subscription_data: data.map(|data| (*data).clone()),
        topic: topic.map(|topic| topic.to_string()),
    };
    Ok(Some(request.reply(ResponseCode::SUCCESS).with_body(fastjson::to_vec(&body))))
}

/// 207: deletes a group, on request with its offsets (4.9 calls that `removeOffset`, 5.x `cleanOffset`). An
/// unknown group is deleted already.
pub(crate) fn delete_subscriptiongroup(
    broker: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let header = DeleteSubscriptionGroupHeader::decode(&request.ext_fields)?;
    broker.groups.delete(&header.group_name, broker.clock.now_ms());
    if header.remove_offset.or(header.clean_offset).unwrap_or(false) {
        broker.offsets.remove_group(&header.group_name);
    }
    if broker.settings.now().auto_delete_unused_stats {
        broker.stats.group_deleted(&header.group_name);
    }
    late::answer_blocking(broker, connection, request, move |broker, asked| {
        saved(broker, File::Groups)?;
        saved(broker, File::Offsets)?;
        Ok(asked.reply(ResponseCode::SUCCESS))
    })
}

/// 208: how far a group is, in one topic or in all it has offsets of.
pub(crate) fn get_consume_stats(
    broker: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let GetConsumeStatsHeader { consumer_group: group, topic, .. } = Header::decode(&request.ext_fields)?;
    late::answer_blocking(broker, connection, request, move |broker, asked| {
        let topics = match topic.filter(|topic| !topic.trim().is_empty()) {
            Some(topic) => [topic.to_string()].into(),
            None => broker.offsets.topics_of(&group),
        };
        let mut stats = ConsumeStats::default();
        for topic in topics.iter().filter(|topic| is_consumed(broker, &group, topic)) {
            let of_topic = progress(broker, &group, topic, |config| config.read_queue_nums);
            stats.offset_table.extend(of_topic.offset_table);
            stats.consume_tps += of_topic.consume_tps;
        }
        Ok(asked.reply(ResponseCode::SUCCESS).with_body(fastjson::to_vec(&stats)))
    })
}

/// Whether a topic exists and a connected group still subscribes to it.
fn is_consumed(broker: &Shared, group: &str, topic: &str) -> bool {
    broker.topics.get(topic).is_some()
        && (broker.clients.subscription(group, topic).is_some()
            || broker.clients.subscription_count(group) == 0)
}

fn progress(
    broker: &Shared,
    group: &str,
    topic: &str,
    queues: impl Fn(&ferrocket_protocol::body::topic::TopicConfig) -> i32,
) -> ConsumeStats {
    let mut offset_table = BTreeMap::new();
    for queue_id in 0..broker.topics.get(topic).map_or(0, |config| queues(&config)) {
        let consumer_offset = broker.offsets.query(group, topic, queue_id).max(0);
        let last_timestamp = match consumer_offset {
            0 => 0,
            _ => broker.store.store_time_of(topic, queue_id, consumer_offset - 1).max(0),
        };
        let broker_offset = broker.store.max_offset(topic, queue_id).max(0);
        // How far it has pulled is not known. Without a number 5.x's tools take 0, and show less than nothing in flight.
        let pull_offset = Some(consumer_offset);
        let offset = OffsetWrapper { broker_offset, consumer_offset, last_timestamp, pull_offset };
        offset_table.insert(broker.queue(topic, queue_id), offset);
    }
    ConsumeStats { consume_tps: broker.stats.group_get_tps(group, topic), offset_table }
}

/// 317: how far all groups are.
pub(crate) fn get_broker_consume_stats(
    broker: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let GetConsumeStatsInBrokerHeader { is_order } = Header::decode(&request.ext_fields)?;
    late::answer_blocking(broker, connection, request, move |broker, asked| {
        let mut list = ConsumeStatsList {
            broker_addr: broker.registration.identity().addr.to_string(),
            ..ConsumeStatsList::default()
        };
        for group in broker.groups.names() {
            let mut topics = broker.offsets.topics_of(&group);
            topics.retain(|topic| is_consumed(broker, &group, topic));
            topics.retain(|topic| !is_order || broker.topics.get(topic).is_some_and(|config| config.order));
            let stats: Vec<_> = topics
                .iter()
                .map(|topic| progress(broker, &group, topic, |config| config.write_queue_nums))
                .collect();
            list.total_diff += stats.iter().map(ConsumeStats::total_diff).sum::<i64>();
            list.consume_stats_list.push(BTreeMap::from([(group, stats)]));
        }
        Ok(asked.reply(ResponseCode::SUCCESS).with_body(fastjson::to_vec(&list)))
    })
}

/// 300: the groups that subscribe to a topic or have offsets of it.
pub(crate) fn query_topic_consume_by_who(
    broker: &Arc<Shared>,
    _: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let QueryTopicConsumeByWhoHeader { topic } = Header::decode(&request.ext_fields)?;
    let mut group_list = broker.clients.groups_of(&topic);
    group_list.extend(broker.offsets.groups_of(&topic));
    let body = fastjson::to_vec(&GroupList { group_list });
    Ok(Some(request.reply(ResponseCode::SUCCESS).with_body(body)))
}

/// 303: from when to when the messages of each queue are, and how far in time a group is.
pub(crate) fn query_consume_time_span(
    broker: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let QueryConsumeTimeSpanHeader { topic, group } = Header::decode(&request.ext_fields)?;
    let config = existing(broker, &topic)?;
    late::answer_blocking(broker, connection, request, move |broker, asked| {
        let span = |queue_id| {
            let max_offset = broker.store.max_offset(&topic, queue_id);
            let consumed = broker.offsets.query(&group, &topic, queue_id);
            let min_time_stamp = broker.store.earliest_store_time(&topic, queue_id);
            let time_of = |offset| broker.store.store_time_of(&topic, queue_id, offset);
            QueueTimeSpan {
                consume_time_stamp: if consumed > 0 { time_of(consumed - 1) } else { min_time_stamp },
                delay_time: if consumed < max_offset {
                    broker.clock.now_ms() - time_of(consumed.max(0))
                } else {
                    0
                },
                max_time_stamp: time_of(max_offset - 1),
                message_queue: broker.queue(topic.clone(), queue_id),
                min_time_stamp,
            }
        };
        let body = QueryConsumeTimeSpanBody {
            consume_time_span_set: (0..config.write_queue_nums).map(span).collect(),
        };
        Ok(asked.reply(ResponseCode::SUCCESS).with_body(fastjson::to_vec(&body)))
    })
}
