//! What an application may ask and change of its cluster.

use std::ffi::c_char;
use std::ptr;

use ferrocket_bindings::block_on;
use ferrocket_bindings::ferrocket::MessageQueue;
use ferrocket_bindings::ferrocket::admin::{Admin, SubscriptionGroupConfig, TopicConfig};

use crate::client::fr_client_t;
use crate::error::{Result, fr_error_t, fr_status_t};
use crate::handle::{Kind, Tagged, Texts, call, free, get, kinds, make, read, text};
use crate::message::{fr_message_ext_t, fr_messages_t, fr_queue_t, time};

/// Names, for instance of topics. Owned by the program; free it with fr_names_free. Does not change: any threads may
/// read it at once.
pub struct fr_names_t {
    names: Vec<String>,
    texts: Texts,
}

/// Offsets of queues, two of each. Owned by the program; free it with fr_offsets_free. Does not change: any threads may
/// read it at once.
pub struct fr_offsets_t(Vec<(Tagged<fr_queue_t>, i64, i64)>);

kinds!(fr_names_t: "a list of names", fr_offsets_t: "a list of offsets");

/// Has the cluster of a client do something.
fn tell(
    client: *const fr_client_t,
    error: *mut *mut fr_error_t,
    tell: impl AsyncFnOnce(Admin) -> Result<()>,
) -> fr_status_t {
    call(error, || {
        let admin = get(client)?.client()?.admin();
        block_on(async { Ok(tell(admin).await) })?
    })
}

/// Asks the cluster of a client, and gives the answer to C.
fn ask<T: Kind>(
    client: *const fr_client_t,
    answer: *mut *mut T,
    error: *mut *mut fr_error_t,
    ask: impl AsyncFnOnce(Admin) -> Result<T>,
) -> fr_status_t {
    make(answer, error, || {
        let admin = get(client)?.client()?.admin();
        block_on(async { Ok(ask(admin).await) })?
    })
}

impl fr_names_t {
    fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self { names: names.into_iter().collect(), texts: Texts::default() }
    }
}

impl fr_offsets_t {
    fn new(offsets: impl IntoIterator<Item = (MessageQueue, i64, i64)>) -> Self {
        let row = |(queue, first, second)| (Tagged::new(fr_queue_t::new(queue)), first, second);
        Self(offsets.into_iter().map(row).collect())
    }
}

/// Makes a topic on every broker, or gives it these settings where it is. perm has 2 for writing and 4 for reading, 6
/// for both. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_admin_create_topic(
    client: *const fr_client_t,
    topic: *const c_char,
    read_queues: i32,
    write_queues: i32,
    perm: i32,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    tell(client, error, async |admin| {
        let topic = TopicConfig::new(text(topic, "the topic")?, read_queues, write_queues, perm);
        Ok(admin.create_topic(&topic).await?)
    })
}

/// Removes a topic from every broker, then from the NameServer. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_admin_delete_topic(
    client: *const fr_client_t,
    topic: *const c_char,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    tell(client, error, async |admin| Ok(admin.delete_topic(text(topic, "the topic")?).await?))
}

/// Makes a consumer group on every broker, or gives it this setting: how often a failed message comes again before it
/// becomes a dead letter. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_admin_create_group(
    client: *const fr_client_t,
    group: *const c_char,
    retry_max: i32,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    tell(client, error, async |admin| {
        let mut config = SubscriptionGroupConfig::new(text(group, "the group")?);
        config.retry_max_times = retry_max;
        Ok(admin.create_group(&config).await?)
    })
}

/// Removes a consumer group and its offsets from every broker. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_admin_delete_group(
    client: *const fr_client_t,
    group: *const c_char,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    tell(client, error, async |admin| Ok(admin.delete_group(text(group, "the group")?).await?))
}

/// The names of all topics, those of RocketMQ's own among them. Thread-safe.
///
/// Gives them into *names; the program owns them (fr_names_free).
#[unsafe(no_mangle)]
pub extern "C" fn fr_admin_topics(
    client: *const fr_client_t,
    names: *mut *mut fr_names_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    ask(client, names, error, async |admin| Ok(fr_names_t::new(admin.topics().await?)))
}

/// The brokers of all clusters, each as `CLUSTER NAME ID ADDRESS`, where id 0 is a master. Thread-safe.
///
/// Gives them into *names; the program owns them (fr_names_free).
#[unsafe(no_mangle)]
pub extern "C" fn fr_admin_brokers(
    client: *const fr_client_t,
    names: *mut *mut fr_names_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    ask(client, names, error, async |admin| {
        let mut brokers = Vec::new();
        for broker in admin.cluster_info().await?.broker_addr_table.into_values() {
            for (id, addr) in broker.broker_addrs {
                brokers.push(format!("{} {} {id} {addr}", broker.cluster, broker.broker_name));
            }
        }
        Ok(fr_names_t::new(brokers))
    })
}

/// The brokers that have a topic, each as `NAME READ_QUEUES WRITE_QUEUES PERM`. FR_ERROR_NO_ROUTE when none has it.
/// Thread-safe.
///
/// Gives them into *names; the program owns them (fr_names_free).
#[unsafe(no_mangle)]
pub extern "C" fn fr_admin_topic_route(
    client: *const fr_client_t,
    topic: *const c_char,
    names: *mut *mut fr_names_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    ask(client, names, error, async |admin| {
        let route = admin.topic_route(text(topic, "the topic")?).await?;
        Ok(fr_names_t::new(route.queue_datas.into_iter().map(|queues| {
            let (read, write) = (queues.read_queue_nums, queues.write_queue_nums);
            format!("{} {read} {write} {}", queues.broker_name, queues.perm)
        })))
    })
}

/// The ids of the clients that consume in a group, as a broker of the topic sees it; none when nobody is connected.
/// Thread-safe.
///
/// Gives them into *names; the program owns them (fr_names_free).
#[unsafe(no_mangle)]
pub extern "C" fn fr_admin_consumers(
    client: *const fr_client_t,
    group: *const c_char,
    topic: *const c_char,
    names: *mut *mut fr_names_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    ask(client, names, error, async |admin| {
        let (group, topic) = (text(group, "the group")?, text(topic, "the topic")?);
        let connection = admin.consumer_connection(group, topic).await?;
        let clients = connection.into_iter().flat_map(|connection| connection.connection_set);
        Ok(fr_names_t::new(clients.map(|client| client.client_id)))
    })
}

/// The offset of the first message of every queue of a topic, and that behind the last. Thread-safe.
///
/// Gives them into *offsets; the program owns them (fr_offsets_free).
#[unsafe(no_mangle)]
pub extern "C" fn fr_admin_topic_stats(
    client: *const fr_client_t,
    topic: *const c_char,
    offsets: *mut *mut fr_offsets_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    ask(client, offsets, error, async |admin| {
        let rows = admin.topic_stats(text(topic, "the topic")?).await?.offset_table.into_iter();
        Ok(fr_offsets_t::new(rows.map(|(queue, offset)| (queue, offset.min_offset, offset.max_offset))))
    })
}

/// How far a group is in every queue of a topic, and the offset behind the queue's last message. Thread-safe.
///
/// Gives them into *offsets; the program owns them (fr_offsets_free).
#[unsafe(no_mangle)]
pub extern "C" fn fr_admin_consume_stats(
    client: *const fr_client_t,
    group: *const c_char,
    topic: *const c_char,
    offsets: *mut *mut fr_offsets_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    ask(client, offsets, error, async |admin| {
        let stats = admin.consume_stats(text(group, "the group")?, text(topic, "the topic")?).await?;
        let rows = stats.offset_table.into_iter();
        Ok(fr_offsets_t::new(rows.map(|(queue, at)| (queue, at.consumer_offset, at.broker_offset))))
    })
}

/// Has a group go on, in every queue of a topic, with the first message stored at this time, milliseconds since 1970,
/// or later. Thread-safe.
///
/// Gives where that is into *offsets, the same twice; the program owns them (fr_offsets_free).
#[unsafe(no_mangle)]
pub extern "C" fn fr_admin_reset_offset(
    client: *const fr_client_t,
    group: *const c_char,
    topic: *const c_char,
    time_ms: i64,
    offsets: *mut *mut fr_offsets_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    ask(client, offsets, error, async |admin| {
        let (group, topic) = (text(group, "the group")?, text(topic, "the topic")?);
        let reset = admin.reset_offset(group, topic, time(time_ms)?).await?;
        Ok(fr_offsets_t::new(reset.into_iter().map(|(queue, offset)| (queue, offset, offset))))
    })
}

/// The message with this offset message id (fr_message_ext_offset_msg_id, fr_send_result_offset_msg_id). Thread-safe.
///
/// Gives it into *message; the program owns it (fr_message_ext_free).
#[unsafe(no_mangle)]
pub extern "C" fn fr_admin_view_message(
    client: *const fr_client_t,
    topic: *const c_char,
    offset_msg_id: *const c_char,
    message: *mut *mut fr_message_ext_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    ask(client, message, error, async |admin| {
        let (topic, id) = (text(topic, "the topic")?, text(offset_msg_id, "the message id")?);
        Ok(fr_message_ext_t::new(admin.view_message(topic, id).await?))
    })
}

/// Up to max messages of a topic with this key (fr_message_add_key), stored between the two times, milliseconds since
/// 1970, the oldest first. Thread-safe.
///
/// Gives them into *messages; the program owns them (fr_messages_free).
#[unsafe(no_mangle)]
pub extern "C" fn fr_admin_query_message(
    client: *const fr_client_t,
    topic: *const c_char,
    key: *const c_char,
    max: u16,
    begin_ms: i64,
    end_ms: i64,
    messages: *mut *mut fr_messages_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    ask(client, messages, error, async |admin| {
        let (topic, key) = (text(topic, "the topic")?, text(key, "the key")?);
        let found = admin.query_message(topic, key, max, time(begin_ms)?, time(end_ms)?).await?;
        Ok(fr_messages_t::new(found))
    })
}

/// The message with this id of its producer (fr_send_result_msg_id). Thread-safe.
///
/// Gives it into *messages, an empty list when there is none; the program owns it (fr_messages_free).
#[unsafe(no_mangle)]
pub extern "C" fn fr_admin_query_message_by_id(
    client: *const fr_client_t,
    topic: *const c_char,
    msg_id: *const c_char,
    messages: *mut *mut fr_messages_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    ask(client, messages, error, async |admin| {
        let (topic, id) = (text(topic, "the topic")?, text(msg_id, "the message id")?);
        let found = admin.query_message_by_unique_key(topic, id).await?;
        Ok(fr_messages_t::new(found.into_iter().collect()))
    })
}

/// How many there are. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_names_count(names: *const fr_names_t) -> usize {
    read(names, 0, |names| names.names.len())
}

/// The name with this number, from 0; NULL from their count on. Valid as long as the list. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_names_at(names: *const fr_names_t, at: usize) -> *const c_char {
    read(names, ptr::null(), |names| {
        names.texts.get(&at.to_string(), names.names.get(at).map(String::as_str))
    })
}

/// Frees names. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn fr_names_free(names: *mut fr_names_t) {
    free(names);
}

/// How many queues there are. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_offsets_count(offsets: *const fr_offsets_t) -> usize {
    read(offsets, 0, |offsets| offsets.0.len())
}

/// The queue with this number, from 0; NULL from their count on. Valid as long as the list. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_offsets_queue(offsets: *const fr_offsets_t, at: usize) -> *const fr_queue_t {
    read(offsets, ptr::null(), |offsets| {
        offsets.0.get(at).map_or(ptr::null(), |(queue, ..)| queue.borrowed())
    })
}

/// The first offset of the queue with this number; -1 from their count on. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_offsets_first(offsets: *const fr_offsets_t, at: usize) -> i64 {
    read(offsets, -1, |offsets| offsets.0.get(at).map_or(-1, |(_, first, _)| *first))
}

/// The second offset of the queue with this number; -1 from their count on. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_offsets_second(offsets: *const fr_offsets_t, at: usize) -> i64 {
    read(offsets, -1, |offsets| offsets.0.get(at).map_or(-1, |(_, _, second)| *second))
}

/// Frees offsets. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn fr_offsets_free(offsets: *mut fr_offsets_t) {
    free(offsets);
}
