//! Topics of this broker. Java counterpart: the topic requests of `AdminBrokerProcessor`.

use std::collections::BTreeMap;
use std::sync::Arc;

use ferrocket_protocol::body::topic::{
    CreateTopicListBody, TopicConfig, TopicFilterType, TopicList, TopicOffset, TopicStatsTable,
};
use ferrocket_protocol::requests::topic::{
    CreateTopicHeader, DeleteTopicHeader, GetTopicConfigHeader, GetTopicStatsInfoHeader,
};
use ferrocket_protocol::{Header, RemotingCommand, ResponseCode, fastjson};
use ferrocket_remoting::Connection;
use ferrocket_store::is_lmq;

use super::{Answer, body};
use crate::broker::Shared;
use crate::refusal::Refusal;
use crate::saving::{self, File};
use crate::{late, topics};

/// What Java's `RemotingCommand` carries when a processor sets only the code; tools print it.
pub(super) const NOT_SET: &str = "not set any response code";

/// 17: creates or changes a topic. Answered once the file is written and the NameServers know.
pub(crate) fn update_and_create_topic(
    broker: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let header = CreateTopicHeader::decode(&request.ext_fields)?;
    topics::validate(&header.topic)?;
    broker.topics.refuse_system(&header.topic)?;
    let filter = TopicFilterType::from_name(&header.topic_filter_type);
    let config = TopicConfig {
        topic_filter_type: if filter == TopicFilterType::Unknown {
            TopicFilterType::SingleTag
        } else {
            filter
        },
        topic_sys_flag: header.topic_sys_flag.unwrap_or(0),
        ..TopicConfig::new(&*header.topic, header.read_queue_nums, header.write_queue_nums, header.perm)
    };
    let counter = broker.topics.update(config, broker.clock.now_ms())?;
    answer_known(broker, connection, request, counter)
}

/// 18, of 5.x: the same for several topics. All names are looked at before the first is created. Attributes
/// mean nothing here and are left out.
pub(crate) fn update_and_create_topic_list(
    broker: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let CreateTopicListBody { topic_config_list: topics } = body(request)?;
    for TopicConfig { topic_name: name, .. } in &topics {
        topics::validate(name)
            .and_then(|()| broker.topics.refuse_system(name))
            .map_err(|refusal| Refusal { code: ResponseCode::INVALID_PARAMETER, ..refusal })?;
    }
    let mut counter = 0;
    for topic in topics {
        counter = broker.topics.update(TopicConfig { attributes: None, ..topic }, broker.clock.now_ms())?;
    }
    answer_known(broker, connection, request, counter)
}

/// Answers once the file is written and the NameServers know this version of the topics.
fn answer_known(
    broker: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
    counter: i64,
) -> Answer {
    late::answer(broker, connection, request, |broker, asked| async move {
        let writer = broker.clone();
        late::blocking(move || saved(&writer, File::Topics)).await?;
        let timeout = broker.settings.now().register_timeout;
        broker.registration.has(counter, timeout).await;
        Ok(asked.reply_error(ResponseCode::SUCCESS, NOT_SET))
    })
}

/// Makes a file as new as memory is now. Blocks.
pub(super) fn saved(broker: &Shared, file: File) -> Result<(), Refusal> {
    saving::save(broker, file).map_err(Refusal::not_on_disk)
}

/// 215: deletes a topic with its messages' queues. An unknown topic is deleted already.
pub(crate) fn delete_topic_in_broker(
    broker: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let DeleteTopicHeader { topic } = DeleteTopicHeader::decode(&request.ext_fields)?;
    topics::validate(&topic)?;
    broker.topics.refuse_system(&topic)?;
    broker.topics.delete(&topic, broker.clock.now_ms());
    if broker.settings.now().auto_delete_unused_stats {
        broker.stats.topic_deleted(&topic);
    }
    late::answer_blocking(broker, connection, request, move |broker, asked| {
        delete_queues(broker, &topic)?;
        saved(broker, File::Topics)?;
        Ok(asked.reply(ResponseCode::SUCCESS))
    })
}

fn delete_queues(broker: &Shared, topic: &str) -> Result<(), Refusal> {
    let fault = |error| Refusal::system_error(format!("the queues of {topic} cannot be deleted: {error}"));
    broker.store.delete_topic(topic).map_err(fault)
}

/// 21: all topics, for slaves and tools.
pub(crate) fn get_all_topic_config(
    broker: &Arc<Shared>,
    _: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let body = fastjson::to_vec(&broker.topics.to_wrapper());
    Ok(Some(request.reply(ResponseCode::SUCCESS).with_body(body)))
}

/// 202: from where to where each write queue of a topic reaches. A fresh topic has all its rows at once:
/// admin clients take an empty table for a topic that does not exist.
pub(crate) fn get_topic_stats_info(
    broker: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let GetTopicStatsInfoHeader { topic } = GetTopicStatsInfoHeader::decode(&request.ext_fields)?;
    let config = existing(broker, &topic)?;
    late::answer_blocking(broker, connection, request, move |broker, asked| {
        let mut offset_table = BTreeMap::new();
        for queue_id in 0..config.write_queue_nums {
            let max_offset = broker.store.max_offset(&topic, queue_id).max(0);
            let last_update_timestamp = match max_offset {
                0 => 0,
                _ => broker.store.store_time_of(&topic, queue_id, max_offset - 1),
            };
            let min_offset = broker.store.min_offset(&topic, queue_id).max(0);
            let offset = TopicOffset { last_update_timestamp, max_offset, min_offset };
            offset_table.insert(broker.queue(topic.clone(), queue_id), offset);
        }
        let table = TopicStatsTable { offset_table, ..TopicStatsTable::default() };
        Ok(asked.reply(ResponseCode::SUCCESS).with_body(fastjson::to_vec(&table)))
    })
}

/// The topic, or Java's words for one that is not there.
pub(super) fn existing(broker: &Shared, topic: &str) -> Result<Arc<TopicConfig>, Refusal> {
    let missing = || Refusal::new(ResponseCode::TOPIC_NOT_EXIST, format!("topic[{topic}] not exist"));
    broker.topics.get(topic).ok_or_else(missing)
}

/// 351, of 5.x: one topic.
pub(crate) fn get_topic_config(broker: &Arc<Shared>, _: &Connection, request: &RemotingCommand) -> Answer {
    let GetTopicConfigHeader { topic } = GetTopicConfigHeader::decode(&request.ext_fields)?;
    match broker.topics.get(&topic) {
        Some(config) => Ok(Some(request.reply(ResponseCode::SUCCESS).with_body(fastjson::to_vec(&*config)))),
        None => {
            let remark = format!("No topic in this broker. topic: {topic}");
            Err(Refusal::new(ResponseCode::TOPIC_NOT_EXIST, remark))
        }
    }
}

/// 305: the names that belong to the broker itself.
pub(crate) fn get_system_topic_list_from_broker(
    broker: &Arc<Shared>,
    _: &Connection,
    request: &RemotingCommand,
) -> Answer {
    let list = TopicList { topic_list: broker.topics.system_topics().clone(), ..TopicList::default() };
    Ok(Some(request.reply(ResponseCode::SUCCESS).with_body(fastjson::to_vec(&list))))
}

/// 316: deletes the queues of topics that no longer exist.
pub(crate) fn clean_unused_topic(
    broker: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
) -> Answer {
    late::answer_blocking(broker, connection, request, move |broker, asked| {
        let known = broker.topics.names();
        // Half and retry queues may exist before their topic does; light ones never have one.
        let kept = |topic: &str| {
            known.contains(topic) || is_lmq(topic) || broker.topics.refuse_system(topic).is_err()
        };
        let mut unused: Vec<_> = broker.store.queues().into_iter().map(|(topic, _)| topic).collect();
        unused.retain(|topic| !kept(topic));
        unused.dedup();
        for topic in unused {
            tracing::warn!(%topic, "deleting the queues of a topic that does not exist");
            delete_queues(broker, &topic)?;
        }
        Ok(asked.reply(ResponseCode::SUCCESS))
    })
}
