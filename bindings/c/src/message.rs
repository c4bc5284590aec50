//! Messages, queues, receipts and lists of them.

use std::ffi::{c_char, c_void};
use std::ptr;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use ferrocket_bindings::ferrocket::{Message, MessageExt, MessageQueue, SendResult, SendStatus};

use crate::error::{Result, fr_error_t, fr_status_t};
use crate::handle::{Tagged, Texts, call, free, get, kinds, lock, make, read, slice, text};

/// A message to be sent.
///
/// Owned by the program, which may send it any number of times; free it with fr_message_free. Thread-safe.
pub struct fr_message_t(Mutex<Message>);

/// A message as a broker delivered it.
///
/// Owned by the list or delivery that it is in, or by the program where a call gives it alone
/// (fr_message_ext_free). Does not change: any threads may read it at once.
pub struct fr_message_ext_t {
    pub(crate) message: MessageExt,
    texts: Texts,
}

/// Messages that were delivered together. Owned by whom the call gave it; free it with fr_messages_free. Does not
/// change: any threads may read it at once.
pub struct fr_messages_t(Vec<Tagged<fr_message_ext_t>>);

/// A queue: a topic, a broker's name and a number.
///
/// Owned by the object that it is part of, or by the program where it made one (fr_queue_new, fr_queue_free). Does
/// not change: any threads may read it at once.
pub struct fr_queue_t {
    pub(crate) queue: MessageQueue,
    texts: Texts,
}

/// Queues. Owned by whom the call gave it; free it with fr_queues_free. Does not change: any threads may read it.
pub struct fr_queues_t(Vec<Tagged<fr_queue_t>>);

/// The broker's receipt for a message.
///
/// Owned by whom the call gave it; free it with fr_send_result_free. Does not change: any threads may read it at once.
pub struct fr_send_result_t {
    sent: SendResult,
    queue: Tagged<fr_queue_t>,
    texts: Texts,
}

kinds! {
    fr_message_t: "a message to be sent",
    fr_message_ext_t: "a delivered message",
    fr_messages_t: "a list of messages",
    fr_queue_t: "a queue",
    fr_queues_t: "a list of queues",
    fr_send_result_t: "a receipt",
}

/// How safe a stored message is. All four mean that the broker has it.
#[repr(i32)]
#[derive(Clone, Copy)]
pub enum fr_send_status_t {
    /// Stored as safely as the broker is set up to.
    FR_SEND_OK = 0,
    /// Stored, but the disk did not confirm in time (only with synchronous flush).
    FR_FLUSH_DISK_TIMEOUT = 1,
    /// Stored, but no slave confirmed in time (only with a synchronous master).
    FR_FLUSH_SLAVE_TIMEOUT = 2,
    /// Stored, but there is no slave to confirm it (only with a synchronous master).
    FR_SLAVE_NOT_AVAILABLE = 3,
}

impl fr_message_t {
    pub(crate) fn new(message: Message) -> Self {
        Self(Mutex::new(message))
    }

    /// The message as it is now; the copy shares the body.
    pub(crate) fn message(&self) -> Message {
        lock(&self.0).clone()
    }
}

impl fr_message_ext_t {
    pub(crate) fn new(message: MessageExt) -> Self {
        Self { message, texts: Texts::default() }
    }
}

impl fr_messages_t {
    pub(crate) fn new(messages: Vec<MessageExt>) -> Self {
        Self(messages.into_iter().map(|message| Tagged::new(fr_message_ext_t::new(message))).collect())
    }
}

impl fr_queue_t {
    pub(crate) fn new(queue: MessageQueue) -> Self {
        Self { queue, texts: Texts::default() }
    }
}

impl fr_queues_t {
    pub(crate) fn new(queues: impl IntoIterator<Item = MessageQueue>) -> Self {
        Self(queues.into_iter().map(|queue| Tagged::new(fr_queue_t::new(queue))).collect())
    }
}

impl fr_send_result_t {
    pub(crate) fn new(sent: SendResult) -> Self {
        let queue = Tagged::new(fr_queue_t::new(sent.message_queue.clone()));
        Self { sent, queue, texts: Texts::default() }
    }
}

/// A body of C, copied.
pub(crate) fn body(start: *const c_void, len: usize) -> Result<Vec<u8>> {
    Ok(slice(start.cast::<u8>(), len, "the body")?.to_vec())
}

/// Changes a message.
fn change(
    message: *mut fr_message_t,
    error: *mut *mut fr_error_t,
    change: impl FnOnce(Message) -> Result<Message>,
) -> fr_status_t {
    call(error, || {
        let mut kept = lock(&get(message)?.0);
        let changed = change(kept.clone())?;
        *kept = changed;
        Ok(())
    })
}

/// Makes a message for a topic. Names and sizes are checked when it is sent. The body, len bytes, is copied; it may be
/// NULL where len is 0. Thread-safe.
///
/// Gives the message into *message; the program owns it (fr_message_free).
#[unsafe(no_mangle)]
pub extern "C" fn fr_message_new(
    topic: *const c_char,
    start: *const c_void,
    len: usize,
    message: *mut *mut fr_message_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    make(message, error, || Ok(fr_message_t::new(Message::new(text(topic, "the topic")?, body(start, len)?))))
}

/// Sets the word by which consumers filter. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_message_set_tags(
    message: *mut fr_message_t,
    tags: *const c_char,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    change(message, error, |message| Ok(message.tags(text(tags, "the tag")?)))
}

/// Adds a key under which the message can be looked up. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_message_add_key(
    message: *mut fr_message_t,
    key: *const c_char,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    change(message, error, |message| Ok(message.key(text(key, "the key")?)))
}

/// Sets a property. Upper-case names may have a meaning to brokers. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_message_set_property(
    message: *mut fr_message_t,
    name: *const c_char,
    value: *const c_char,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    change(message, error, |message| {
        Ok(message.property(text(name, "the property's name")?, text(value, "the property's value")?))
    })
}

/// Has the message delivered after the broker's delay of this level: 1 to 18 are 1s 5s 10s 30s 1m 2m ... 10m 20m 30m
/// 1h 2h by default; 0 is no delay. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_message_set_delay_level(
    message: *mut fr_message_t,
    level: u32,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    change(message, error, |message| Ok(message.delay_level(level)))
}

/// Has the message delivered at this time, milliseconds since 1970. Brokers from 5.0 on wait for it, up to three days
/// by default; older ones deliver at once. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_message_deliver_at(
    message: *mut fr_message_t,
    time_ms: i64,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    change(message, error, |message| Ok(message.deliver_at(time(time_ms)?)))
}

/// Has the message delivered after so many milliseconds, counted by the broker; else as fr_message_deliver_at.
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_message_deliver_after(
    message: *mut fr_message_t,
    delay_ms: u64,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    change(message, error, |message| Ok(message.deliver_after(Duration::from_millis(delay_ms))))
}

/// Whether the broker answers only when the message is flushed and replicated as it is set up to (default), or as soon
/// as it is written. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_message_set_wait_store(
    message: *mut fr_message_t,
    wait: bool,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    change(message, error, |message| Ok(message.wait_store_msg_ok(wait)))
}

/// Sets the application's own flag, which RocketMQ stores and returns (default 0). Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_message_set_flag(
    message: *mut fr_message_t,
    flag: i32,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    change(message, error, |message| Ok(message.flag(flag)))
}

/// Frees a message. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn fr_message_free(message: *mut fr_message_t) {
    free(message);
}

/// The time so many milliseconds after 1970.
pub(crate) fn time(ms: i64) -> Result<SystemTime> {
    let since = u64::try_from(ms).ok().map(Duration::from_millis);
    let time = since.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
    time.ok_or_else(|| fr_error_t::config(format!("{ms} ms after 1970 is no time")))
}

/// The topic; for a message that is tried again the original one. Valid as long as the message. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_message_ext_topic(message: *const fr_message_ext_t) -> *const c_char {
    read(message, ptr::null(), |m| m.texts.get("topic", Some(&m.message.topic)))
}

/// The body, unpacked; its length goes to *len, which may be NULL. Not ended by NUL. Valid as long as the message.
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_message_ext_body(message: *const fr_message_ext_t, len: *mut usize) -> *const c_void {
    let (start, bytes) = read(message, (ptr::null(), 0), |m| (m.message.body.as_ptr(), m.message.body.len()));
    if let Ok(len) = crate::handle::Out::new(len, 0) {
        len.put(bytes);
    }
    start.cast()
}

/// The producer's id of the message, or the broker's where the producer gave none. Valid as long as the message.
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_message_ext_msg_id(message: *const fr_message_ext_t) -> *const c_char {
    read(message, ptr::null(), |m| m.texts.get("id", Some(&m.message.msg_id)))
}

/// The broker's id of the message, for fr_admin_view_message. Valid as long as the message. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_message_ext_offset_msg_id(message: *const fr_message_ext_t) -> *const c_char {
    read(message, ptr::null(), |m| m.texts.get("offset id", Some(&m.message.offset_msg_id())))
}

/// The word by which consumers filter; NULL if there is none. Valid as long as the message. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_message_ext_tags(message: *const fr_message_ext_t) -> *const c_char {
    read(message, ptr::null(), |m| m.texts.get("tags", m.message.tags()))
}

/// The keys, with a space between two; NULL if there is none. Valid as long as the message. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_message_ext_keys(message: *const fr_message_ext_t) -> *const c_char {
    read(message, ptr::null(), |m| m.texts.get("keys", m.message.property("KEYS")))
}

/// The value of a property; NULL if there is none. Valid as long as the message. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_message_ext_property(
    message: *const fr_message_ext_t,
    name: *const c_char,
) -> *const c_char {
    read(message, ptr::null(), |m| {
        let name = text(name, "the property's name").unwrap_or_default();
        m.texts.get(&format!("property {name}"), m.message.property(name))
    })
}

/// The name of the property with this number, in the order of their names; NULL from their count on. Valid as long as
/// the message. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_message_ext_property_name(message: *const fr_message_ext_t, at: usize) -> *const c_char {
    read(message, ptr::null(), |m| {
        let name = m.message.properties().nth(at).map(|(name, _)| name);
        m.texts.get(&format!("name {}", name.unwrap_or_default()), name)
    })
}

/// The id of the transaction that the message is or was part of; NULL if there is none. Valid as long as the message.
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_message_ext_transaction_id(message: *const fr_message_ext_t) -> *const c_char {
    read(message, ptr::null(), |m| m.texts.get("transaction", m.message.transaction_id()))
}

/// The name of the broker that it came from. Valid as long as the message. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_message_ext_broker_name(message: *const fr_message_ext_t) -> *const c_char {
    read(message, ptr::null(), |m| m.texts.get("broker", Some(&m.message.broker_name)))
}

/// The queue within the topic and broker; -1 for NULL. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_message_ext_queue_id(message: *const fr_message_ext_t) -> i32 {
    read(message, -1, |m| m.message.queue_id)
}

/// The number within the queue; -1 for NULL. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_message_ext_queue_offset(message: *const fr_message_ext_t) -> i64 {
    read(message, -1, |m| m.message.queue_offset)
}

/// How often its consumption was tried before; -1 for NULL. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_message_ext_reconsume_times(message: *const fr_message_ext_t) -> i32 {
    read(message, -1, |m| m.message.reconsume_times)
}

/// The level of its delay, 0 for none. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_message_ext_delay_level(message: *const fr_message_ext_t) -> u32 {
    read(message, 0, |m| m.message.delay_level())
}

/// The application's own flag. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_message_ext_flag(message: *const fr_message_ext_t) -> i32 {
    read(message, 0, |m| m.message.flag)
}

/// When the producer made it, milliseconds since 1970; -1 for NULL. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_message_ext_born_timestamp(message: *const fr_message_ext_t) -> i64 {
    read(message, -1, |m| m.message.born_timestamp)
}

/// When the broker stored it, milliseconds since 1970; -1 for NULL. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_message_ext_store_timestamp(message: *const fr_message_ext_t) -> i64 {
    read(message, -1, |m| m.message.store_timestamp)
}

/// Makes the reply to a request, to be sent with any producer: the broker brings it to the one who asked with
/// fr_producer_request. The body is as for fr_message_new. FR_ERROR_INVALID_MESSAGE for a message of a broker that does
/// not name its cluster. Thread-safe.
///
/// Gives the reply into *reply; the program owns it (fr_message_free).
#[unsafe(no_mangle)]
pub extern "C" fn fr_message_ext_reply(
    message: *const fr_message_ext_t,
    start: *const c_void,
    len: usize,
    reply: *mut *mut fr_message_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    make(reply, error, || Ok(fr_message_t::new(get(message)?.message.reply_message(body(start, len)?)?)))
}

/// Frees a message that a call gave alone. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn fr_message_ext_free(message: *mut fr_message_ext_t) {
    free(message);
}

/// How many there are. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_messages_count(messages: *const fr_messages_t) -> usize {
    read(messages, 0, |messages| messages.0.len())
}

/// The message with this number, from 0; NULL from their count on. Valid as long as the list. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_messages_at(messages: *const fr_messages_t, at: usize) -> *const fr_message_ext_t {
    read(messages, ptr::null(), |messages| messages.0.get(at).map_or(ptr::null(), Tagged::borrowed))
}

/// Frees messages. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn fr_messages_free(messages: *mut fr_messages_t) {
    free(messages);
}

/// Makes a queue. Thread-safe.
///
/// Gives it into *queue; the program owns it (fr_queue_free).
#[unsafe(no_mangle)]
pub extern "C" fn fr_queue_new(
    topic: *const c_char,
    broker_name: *const c_char,
    id: i32,
    queue: *mut *mut fr_queue_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    make(queue, error, || {
        let (topic, broker_name) = (text(topic, "the topic")?, text(broker_name, "the broker's name")?);
        Ok(fr_queue_t::new(MessageQueue::new(topic, broker_name, id)))
    })
}

/// The topic. Valid as long as the queue. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_queue_topic(queue: *const fr_queue_t) -> *const c_char {
    read(queue, ptr::null(), |queue| queue.texts.get("topic", Some(&queue.queue.topic)))
}

/// The broker's name. Valid as long as the queue. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_queue_broker_name(queue: *const fr_queue_t) -> *const c_char {
    read(queue, ptr::null(), |queue| queue.texts.get("broker", Some(&queue.queue.broker_name)))
}

/// The number; -1 for NULL. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_queue_id(queue: *const fr_queue_t) -> i32 {
    read(queue, -1, |queue| queue.queue.queue_id)
}

/// Frees a queue that the program made. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn fr_queue_free(queue: *mut fr_queue_t) {
    free(queue);
}

/// How many there are. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_queues_count(queues: *const fr_queues_t) -> usize {
    read(queues, 0, |queues| queues.0.len())
}

/// The queue with this number, from 0; NULL from their count on. Valid as long as the list. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_queues_at(queues: *const fr_queues_t, at: usize) -> *const fr_queue_t {
    read(queues, ptr::null(), |queues| queues.0.get(at).map_or(ptr::null(), Tagged::borrowed))
}

/// Frees queues. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn fr_queues_free(queues: *mut fr_queues_t) {
    free(queues);
}

/// How safe the message is. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_send_result_status(result: *const fr_send_result_t) -> fr_send_status_t {
    use fr_send_status_t::*;
    read(result, FR_SEND_OK, |result| match result.sent.status {
        SendStatus::FlushDiskTimeout => FR_FLUSH_DISK_TIMEOUT,
        SendStatus::FlushSlaveTimeout => FR_FLUSH_SLAVE_TIMEOUT,
        SendStatus::SlaveNotAvailable => FR_SLAVE_NOT_AVAILABLE,
        _ => FR_SEND_OK,
    })
}

/// The client's own id of the message; for a batch all of them, comma separated. Valid as long as the receipt.
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_send_result_msg_id(result: *const fr_send_result_t) -> *const c_char {
    read(result, ptr::null(), |result| result.texts.get("id", Some(&result.sent.msg_id)))
}

/// The broker's id: its address and the place in its CommitLog; for a batch comma separated. Valid as long as the
/// receipt. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_send_result_offset_msg_id(result: *const fr_send_result_t) -> *const c_char {
    read(result, ptr::null(), |result| result.texts.get("offset id", Some(&result.sent.offset_msg_id)))
}

/// The queue that the message stands in. Valid as long as the receipt. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_send_result_queue(result: *const fr_send_result_t) -> *const fr_queue_t {
    read(result, ptr::null(), |result| result.queue.borrowed())
}

/// Its number in that queue; for a batch that of the first message. -1 for NULL. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_send_result_queue_offset(result: *const fr_send_result_t) -> i64 {
    read(result, -1, |result| result.sent.queue_offset)
}

/// Takes a delayed message back, see fr_producer_recall; NULL from brokers before 5.3. Valid as long as the receipt.
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_send_result_recall_handle(result: *const fr_send_result_t) -> *const c_char {
    read(result, ptr::null(), |result| result.texts.get("recall", result.sent.recall_handle.as_deref()))
}

/// Frees a receipt. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn fr_send_result_free(result: *mut fr_send_result_t) {
    free(result);
}
