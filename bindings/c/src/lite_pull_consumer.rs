//! The consumer that is polled for messages and commits offsets.

use std::ffi::c_char;

use ferrocket_bindings::ferrocket::{LitePullConsumer, MessageQueue};
use ferrocket_bindings::{Held, block_on};

use crate::callers::millis;
use crate::client::fr_client_t;
use crate::config::{fr_config_t, selector};
use crate::error::{Result, fr_error_t, fr_status_t};
use crate::handle::{Out, all, call, free_after, get, get_if, kinds, make, text};
use crate::message::{fr_messages_t, fr_queue_t, fr_queues_t, time};

/// A consumer that the program polls. With automatic commits (`autoCommit`, the default) a poll says that the messages
/// of all polls before it are done.
///
/// Owned by the program; free it with fr_lite_pull_consumer_free. Thread-safe.
pub struct fr_lite_pull_consumer_t(Held<LitePullConsumer>);

kinds!(fr_lite_pull_consumer_t: "a lite pull consumer");

/// Does something with a consumer.
fn with(
    consumer: *const fr_lite_pull_consumer_t,
    error: *mut *mut fr_error_t,
    run: impl FnOnce(&LitePullConsumer) -> Result<()>,
) -> fr_status_t {
    call(error, || run(get(consumer)?.0.get()?))
}

/// The queues of an array of C.
fn queues(start: *const *const fr_queue_t, count: usize) -> Result<Vec<MessageQueue>> {
    Ok(all(start, count, "the array of queues")?.into_iter().map(|queue| queue.queue.clone()).collect())
}

/// Starts a consumer of this group: with the subscriptions of its configuration, or with none, to be given queues by
/// fr_lite_pull_consumer_assign. The configuration may be NULL; its keys are in the list "lite pull consumer".
/// Thread-safe.
///
/// Gives it into *consumer; the program owns it (fr_lite_pull_consumer_free).
#[unsafe(no_mangle)]
pub extern "C" fn fr_lite_pull_consumer_start(
    client: *const fr_client_t,
    group: *const c_char,
    config: *const fr_config_t,
    consumer: *mut *mut fr_lite_pull_consumer_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    make(consumer, error, || {
        let mut builder = get(client)?.client()?.lite_pull_consumer(text(group, "the group")?);
        if let Some(config) = get_if(config)? {
            for (key, value) in config.settings() {
                builder = builder.set(&key, &value)?;
            }
            for (topic, selector) in config.subscriptions() {
                builder = builder.subscribe(&topic, selector);
            }
        }
        Ok(fr_lite_pull_consumer_t(Held::new(block_on(builder.start())?)))
    })
}

/// Subscribes to another topic, or to the same by another expression, of a kind of fr_expression_t. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_lite_pull_consumer_subscribe(
    consumer: *const fr_lite_pull_consumer_t,
    topic: *const c_char,
    expression: *const c_char,
    kind: i32,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    with(consumer, error, |consumer| {
        Ok(block_on(consumer.subscribe(text(topic, "the topic")?, selector(expression, kind)?))?)
    })
}

/// Gives a topic up. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_lite_pull_consumer_unsubscribe(
    consumer: *const fr_lite_pull_consumer_t,
    topic: *const c_char,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    with(consumer, error, |consumer| {
        consumer.unsubscribe(text(topic, "the topic")?);
        Ok(())
    })
}

/// Pulls exactly these queues from now on, whoever else is in the group. FR_ERROR_CONFIG for a consumer with
/// subscriptions. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_lite_pull_consumer_assign(
    consumer: *const fr_lite_pull_consumer_t,
    start: *const *const fr_queue_t,
    count: usize,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    with(consumer, error, |consumer| Ok(block_on(consumer.assign(queues(start, count)?))?))
}

/// The queues that the consumer pulls at the moment. Thread-safe.
///
/// Gives them into *list; the program owns them (fr_queues_free).
#[unsafe(no_mangle)]
pub extern "C" fn fr_lite_pull_consumer_assignment(
    consumer: *const fr_lite_pull_consumer_t,
    list: *mut *mut fr_queues_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    make(list, error, || Ok(fr_queues_t::new(get(consumer)?.0.get()?.assignment())))
}

/// The queues of a topic, to assign some of them. Thread-safe.
///
/// Gives them into *list; the program owns them (fr_queues_free).
#[unsafe(no_mangle)]
pub extern "C" fn fr_lite_pull_consumer_fetch_queues(
    consumer: *const fr_lite_pull_consumer_t,
    topic: *const c_char,
    list: *mut *mut fr_queues_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    make(list, error, || {
        let consumer = get(consumer)?.0.get()?;
        Ok(fr_queues_t::new(block_on(consumer.fetch_queues(text(topic, "the topic")?))?))
    })
}

/// The next messages, all of one queue and in its order, at most `pullBatchSize`; none when so many milliseconds
/// passed without any. Waits on the calling thread. Thread-safe; a program that polls from several threads should
/// commit by itself.
///
/// Gives them into *messages, an empty list for none; the program owns them (fr_messages_free).
#[unsafe(no_mangle)]
pub extern "C" fn fr_lite_pull_consumer_poll(
    consumer: *const fr_lite_pull_consumer_t,
    timeout_ms: u32,
    messages: *mut *mut fr_messages_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    make(messages, error, || {
        let consumer = get(consumer)?.0.get()?;
        Ok(fr_messages_t::new(block_on(consumer.poll(millis(timeout_ms)))?))
    })
}

/// Goes on at this offset of a queue; messages of it in memory are thrown away. FR_ERROR_CONFIG for a queue that is
/// not assigned, and an offset that it does not have. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_lite_pull_consumer_seek(
    consumer: *const fr_lite_pull_consumer_t,
    queue: *const fr_queue_t,
    offset: i64,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    with(consumer, error, |consumer| Ok(block_on(consumer.seek(&get(queue)?.queue, offset))?))
}

/// Goes on at the first message that the queue still has. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_lite_pull_consumer_seek_to_begin(
    consumer: *const fr_lite_pull_consumer_t,
    queue: *const fr_queue_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    with(consumer, error, |consumer| Ok(block_on(consumer.seek_to_begin(&get(queue)?.queue))?))
}

/// Goes on behind the last message of the queue. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_lite_pull_consumer_seek_to_end(
    consumer: *const fr_lite_pull_consumer_t,
    queue: *const fr_queue_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    with(consumer, error, |consumer| Ok(block_on(consumer.seek_to_end(&get(queue)?.queue))?))
}

/// Goes on at the first message stored at this time, milliseconds since 1970, or later. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_lite_pull_consumer_seek_to_time(
    consumer: *const fr_lite_pull_consumer_t,
    queue: *const fr_queue_t,
    time_ms: i64,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    with(consumer, error, |consumer| Ok(block_on(consumer.seek_to_time(&get(queue)?.queue, time(time_ms)?))?))
}

/// Pulls these queues no more, until fr_lite_pull_consumer_resume. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_lite_pull_consumer_pause(
    consumer: *const fr_lite_pull_consumer_t,
    start: *const *const fr_queue_t,
    count: usize,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    with(consumer, error, |consumer| {
        consumer.pause(&queues(start, count)?);
        Ok(())
    })
}

/// Goes on with these queues. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_lite_pull_consumer_resume(
    consumer: *const fr_lite_pull_consumer_t,
    start: *const *const fr_queue_t,
    count: usize,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    with(consumer, error, |consumer| {
        consumer.resume(&queues(start, count)?);
        Ok(())
    })
}

/// Stores that everything handed out so far is consumed, and waits until brokers have confirmed it. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_lite_pull_consumer_commit(
    consumer: *const fr_lite_pull_consumer_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    with(consumer, error, |consumer| Ok(block_on(consumer.commit())?))
}

/// Stores this offset of a queue, that of the next message to consume, and waits for the broker. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_lite_pull_consumer_commit_offset(
    consumer: *const fr_lite_pull_consumer_t,
    queue: *const fr_queue_t,
    offset: i64,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    with(consumer, error, |consumer| {
        Ok(block_on(consumer.commit_offsets([(get(queue)?.queue.clone(), offset)]))?)
    })
}

/// The committed offset of a queue into *offset: what this consumer committed last, else what the group has stored;
/// -1 for none. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_lite_pull_consumer_committed(
    consumer: *const fr_lite_pull_consumer_t,
    queue: *const fr_queue_t,
    offset: *mut i64,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    with(consumer, error, |consumer| {
        let place = Out::new(offset, -1)?;
        place.put(block_on(consumer.committed(&get(queue)?.queue))?.unwrap_or(-1));
        Ok(())
    })
}

/// The offset of a queue's first message stored at this time, milliseconds since 1970, or later, into *offset.
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_lite_pull_consumer_offset_for_timestamp(
    consumer: *const fr_lite_pull_consumer_t,
    queue: *const fr_queue_t,
    time_ms: i64,
    offset: *mut i64,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    with(consumer, error, |consumer| {
        let place = Out::new(offset, -1)?;
        place.put(block_on(consumer.offset_for_timestamp(&get(queue)?.queue, time(time_ms)?))?);
        Ok(())
    })
}

/// Stops pulling, stores the offsets and unregisters. With automatic commits everything handed out counts as
/// consumed. Other calls answer FR_ERROR_CLOSED from then on. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_lite_pull_consumer_close(
    consumer: *const fr_lite_pull_consumer_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    with(consumer, error, end)
}

fn end(consumer: &LitePullConsumer) -> Result<()> {
    Ok(block_on(async {
        consumer.shutdown().await;
        Ok(())
    })?)
}

/// Closes and frees a consumer. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn fr_lite_pull_consumer_free(consumer: *mut fr_lite_pull_consumer_t) {
    free_after(consumer, |consumer| {
        if let Ok(consumer) = consumer.0.get() {
            // It goes in any case.
            let _ = end(consumer);
        }
    });
}
