//! The consumer that messages are pushed to: concurrent or orderly, taken by the program or by its handler.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use ferrocket_bindings::ferrocket::{ConsumeOrderlyResult, Delivery, MessageExt, PushConsumer};
use ferrocket_bindings::{Check, Deliveries, Held, Inbox, OrderlyBatch, block_on, deliveries, orderly};

use crate::callers::{Callers, Close, EventFd, FOREVER, close, close_and_free, millis, number};
use crate::client::fr_client_t;
use crate::config::{fr_config_t, selector};
use crate::error::{Result, fr_error_t, fr_status_t};
use crate::handle::{
    Tagged, User, call, free, get, get_if, kinds, make, make_up_to, read, slice, take, text,
};
use crate::message::{fr_messages_t, fr_queues_t};
use crate::producer::state;

/// A consumer that brokers' messages are pushed to.
///
/// Owned by the program; free it with fr_push_consumer_free. Thread-safe.
pub struct fr_push_consumer_t {
    consumer: Held<PushConsumer>,
    source: Held<Arc<Source>>,
    fd: EventFd,
    callers: Callers,
}

/// Messages that the program has to answer for.
///
/// Owned by the program, which gives it back with fr_delivery_answer or fr_deliveries_ack, or with fr_delivery_free as
/// not answered; while a handler is called, owned by the library. Any threads may read it at once.
pub struct fr_delivery_t {
    messages: Tagged<fr_messages_t>,
    answer: Held<Answer>,
}

kinds!(fr_push_consumer_t: "a push consumer", fr_delivery_t: "a delivery");

/// In which order messages are consumed.
#[repr(i32)]
#[derive(Clone, Copy)]
pub enum fr_order_t {
    /// In any order, many at once; each delivery is one message.
    FR_CONCURRENTLY = 0,
    /// Those of each queue in order: a delivery has up to `consumeMessageBatchMaxSize` messages of one queue, which
    /// waits for the answer.
    FR_ORDERLY = 1,
}

/// What the program says about a delivery, or about a transaction.
#[repr(i32)]
#[derive(Clone, Copy)]
pub enum fr_answer_t {
    /// It is done.
    FR_SUCCESS = 0,
    /// Not now. Concurrent: the message comes again after a delay. Orderly: the messages come again after a pause, for
    /// which the queue waits. A transaction: the broker asks again.
    FR_LATER = 1,
    /// Orderly: done, with everything before; with automatic commits (`autoCommit`, the default) as FR_SUCCESS.
    /// A transaction: consumers get the message.
    FR_COMMIT = 2,
    /// Orderly, without automatic commits: everything since the last commit comes again after a pause. A transaction:
    /// nobody gets the message.
    FR_ROLLBACK = 3,
}

/// Consumes a delivery and answers one of fr_answer_t; any other number counts as FR_LATER. The delivery is valid
/// during the call. It may be called by several threads at once; it may block, and call everything but what closes its
/// own consumer. No exception of C++ may leave it (ferrocket.hpp has a wrapper that sees to that).
pub type fr_handler_t = Option<extern "C" fn(delivery: *const fr_delivery_t, user: *mut c_void) -> i32>;

/// Who waits for the answer.
pub(crate) enum Answer {
    Concurrent(Delivery),
    Orderly(OrderlyBatch),
    Check(Check),
}

/// Where deliveries come from.
enum Source {
    Concurrent(Deliveries),
    Orderly(Inbox<OrderlyBatch>),
}

impl Source {
    fn wait(&self, max: usize, timeout: Duration) -> Vec<fr_delivery_t> {
        match self {
            Self::Concurrent(deliveries) => {
                let one = |delivery: Delivery| {
                    fr_delivery_t::new(vec![delivery.message().clone()], Answer::Concurrent(delivery))
                };
                deliveries.wait(max, timeout).into_iter().map(one).collect()
            }
            Self::Orderly(batches) => {
                let one = |mut batch: OrderlyBatch| {
                    fr_delivery_t::new(std::mem::take(&mut batch.subject), Answer::Orderly(batch))
                };
                batches.wait(max, timeout).into_iter().map(one).collect()
            }
        }
    }

    fn is_ended(&self) -> bool {
        match self {
            Self::Concurrent(deliveries) => deliveries.is_ended(),
            Self::Orderly(batches) => batches.is_ended(),
        }
    }

    /// What nobody has taken need not be waited for: it comes again.
    fn close(&self) {
        match self {
            Self::Concurrent(deliveries) => deliveries.close(),
            Self::Orderly(batches) => batches.close(),
        }
    }
}

impl fr_delivery_t {
    pub(crate) fn new(messages: Vec<MessageExt>, answer: Answer) -> Self {
        Self { messages: Tagged::new(fr_messages_t::new(messages)), answer: Held::new(answer) }
    }

    /// Answers; an answer that there is not leaves it unanswered.
    fn answer(self, answer: i32, argument: i32) -> Result<()> {
        let is = |known: fr_answer_t| answer == known as i32;
        let unknown = || fr_error_t::config(format!("{answer} answers no such delivery, see fr_answer_t"));
        match self.answer.take()? {
            Answer::Concurrent(delivery) if is(fr_answer_t::FR_SUCCESS) => delivery.ack(),
            Answer::Concurrent(delivery) if is(fr_answer_t::FR_LATER) => delivery.retry_later(argument),
            Answer::Concurrent(_) => return Err(unknown()),
            Answer::Check(check) => {
                // As below.
                let _ = check.answer(Ok(state(answer)?));
            }
            Answer::Orderly(batch) => {
                let pause = u64::try_from(argument).unwrap_or(0);
                // Nobody waits any more after the consumer's end.
                let _ = batch.answer(match answer {
                    _ if is(fr_answer_t::FR_SUCCESS) => ConsumeOrderlyResult::Success,
                    _ if is(fr_answer_t::FR_COMMIT) => ConsumeOrderlyResult::Commit,
                    _ if is(fr_answer_t::FR_ROLLBACK) => ConsumeOrderlyResult::Rollback,
                    _ if !is(fr_answer_t::FR_LATER) => return Err(unknown()),
                    _ if pause == 0 => ConsumeOrderlyResult::SuspendCurrentQueueAMoment,
                    _ => ConsumeOrderlyResult::SuspendCurrentQueueFor(Duration::from_millis(pause)),
                });
            }
        }
        Ok(())
    }
}

/// Starts threads that take deliveries and have the handler answer each.
pub(crate) fn handle_deliveries(
    callers: &Callers,
    threads: usize,
    handler: fr_handler_t,
    user: User,
    take: impl Fn() -> Option<fr_delivery_t> + Clone + Send + 'static,
) -> Result<()> {
    let handler = handler.ok_or_else(|| fr_error_t::config("a handler is needed, NULL was given"))?;
    callers.start(threads, move || {
        while let Some(delivery) = take().map(Tagged::new) {
            let answer = handler(delivery.borrowed(), user.get());
            if let Err(error) = delivery.into_inner().answer(answer, 0) {
                tracing::warn!(error = %error.text(), "a handler's answer counts as FR_LATER");
            }
        }
    })
}

/// Starts a consumer of this group with the subscriptions of its configuration; its keys are in the list "push
/// consumer". The order is one of fr_order_t. Deliveries wait for fr_push_consumer_poll, or for a handler given with
/// fr_push_consumer_handle; the thresholds of pulling bound what waits. Thread-safe.
///
/// Gives it into *consumer; the program owns it (fr_push_consumer_free).
#[unsafe(no_mangle)]
pub extern "C" fn fr_push_consumer_start(
    client: *const fr_client_t,
    group: *const c_char,
    config: *const fr_config_t,
    order: i32,
    consumer: *mut *mut fr_push_consumer_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    make(consumer, error, || {
        let mut builder = get(client)?.client()?.push_consumer(text(group, "the group")?);
        if let Some(config) = get_if(config)? {
            for (key, value) in config.settings() {
                builder = builder.set(&key, &value)?;
            }
            for (topic, selector) in config.subscriptions() {
                builder = builder.subscribe(&topic, selector);
            }
        }
        let fd = EventFd::new()?;
        let (consumer, source) = match order {
            order if order == fr_order_t::FR_CONCURRENTLY as i32 => {
                let (consumer, deliveries) = block_on(deliveries(builder, fd.wake()))?;
                (consumer, Source::Concurrent(deliveries))
            }
            order if order == fr_order_t::FR_ORDERLY as i32 => {
                let batches = Inbox::new(fd.wake());
                (block_on(orderly(builder, &batches).start())?, Source::Orderly(batches))
            }
            other => return Err(fr_error_t::config(format!("{other} is no order, see fr_order_t"))),
        };
        // What came before the first look is found by it.
        fd.ring();
        let (consumer, source) = (Held::new(consumer), Held::new(Arc::new(source)));
        Ok(fr_push_consumer_t { consumer, source, fd, callers: Callers::default() })
    })
}

/// A descriptor that is readable when fr_push_consumer_poll may have something, for epoll and its like; -1 where there
/// is no such thing. The library's own: only wait for it, never read or close it. Valid as long as the consumer.
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_push_consumer_fd(consumer: *const fr_push_consumer_t) -> c_int {
    read(consumer, -1, |consumer| number(&consumer.fd))
}

/// Takes up to max deliveries, and waits at most so many milliseconds for one to be there. What was taken is to be
/// answered within `consumeTimeout`; later it is given back to the broker. FR_ERROR_CLOSED when the consumer is closed.
/// Thread-safe.
///
/// Gives them into array, which has room for max handles, and their number into *count; the program owns them
/// (fr_delivery_answer, fr_deliveries_ack or fr_delivery_free).
#[unsafe(no_mangle)]
pub extern "C" fn fr_push_consumer_poll(
    consumer: *const fr_push_consumer_t,
    array: *mut *mut fr_delivery_t,
    max: usize,
    timeout_ms: u32,
    count: *mut usize,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    make_up_to(max, array, count, error, || {
        let consumer = get(consumer)?;
        let source = consumer.source.get()?;
        consumer.fd.clear();
        let taken = source.wait(max, millis(timeout_ms));
        if taken.is_empty() && source.is_ended() {
            return Err(fr_error_t::closed("the consumer"));
        }
        Ok(taken)
    })
}

/// Has so many threads of the library's own call this handler for every delivery, up to 1,000 in all. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_push_consumer_handle(
    consumer: *const fr_push_consumer_t,
    threads: usize,
    handler: fr_handler_t,
    user: *mut c_void,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    call(error, || {
        let consumer = get(consumer)?;
        let source = Arc::clone(consumer.source.get()?);
        handle_deliveries(&consumer.callers, threads, handler, User(user), move || {
            source.wait(1, FOREVER).pop()
        })
    })
}

/// The messages of a delivery: one, or several of an orderly consumer. Valid as long as the delivery. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_delivery_messages(delivery: *const fr_delivery_t) -> *const fr_messages_t {
    read(delivery, ptr::null(), |delivery| delivery.messages.borrowed())
}

/// Answers a delivery with one of fr_answer_t and frees it, whatever this returns. For FR_LATER the argument is, of a
/// concurrent delivery, the delay level (1 to 18 by default, 0 lets the broker choose by the number of attempts, -1
/// makes it a dead letter at once), of an orderly one the pause in milliseconds (0 for the consumer's own). An answer
/// that there is not is FR_ERROR_CONFIG and counts as FR_LATER.
#[unsafe(no_mangle)]
pub extern "C" fn fr_delivery_answer(
    delivery: *mut fr_delivery_t,
    answer: i32,
    argument: i32,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    call(error, || taken(delivery)?.answer(answer, argument))
}

/// Answers so many deliveries with FR_SUCCESS and frees them. NULL in the array is passed over; for what is no delivery
/// nothing is done, and FR_ERROR_CONFIG the answer.
#[unsafe(no_mangle)]
pub extern "C" fn fr_deliveries_ack(
    deliveries: *const *mut fr_delivery_t,
    count: usize,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    call(error, || {
        let deliveries = slice(deliveries, count, "the array of deliveries")?;
        let deliveries = || deliveries.iter().filter(|delivery| !delivery.is_null());
        deliveries().try_for_each(|delivery| get(delivery.cast_const()).map(drop))?;
        let answer = |delivery| taken(delivery)?.answer(fr_answer_t::FR_SUCCESS as i32, 0);
        // One that cannot be answered so keeps none of the others from it.
        deliveries().map(|delivery| answer(*delivery)).fold(Ok(()), Result::and)
    })
}

/// Takes a delivery back from the program, which answers it.
fn taken(delivery: *mut fr_delivery_t) -> Result<fr_delivery_t> {
    get(delivery.cast_const())?;
    let text = "the delivery was answered before, or a handler has it, whose result is the answer";
    take(delivery).ok_or_else(|| fr_error_t::config(text))
}

/// Frees a delivery as not answered: as FR_LATER. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn fr_delivery_free(delivery: *mut fr_delivery_t) {
    free(delivery);
}

/// Subscribes to another topic, or to the same by another expression, of a kind of fr_expression_t. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_push_consumer_subscribe(
    consumer: *const fr_push_consumer_t,
    topic: *const c_char,
    expression: *const c_char,
    kind: i32,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    call(error, || {
        let consumer = get(consumer)?.consumer.get()?;
        Ok(block_on(consumer.subscribe(text(topic, "the topic")?, selector(expression, kind)?))?)
    })
}

/// Gives a topic up. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_push_consumer_unsubscribe(
    consumer: *const fr_push_consumer_t,
    topic: *const c_char,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    call(error, || {
        get(consumer)?.consumer.get()?.unsubscribe(text(topic, "the topic")?);
        Ok(())
    })
}

/// Takes nothing more from brokers, until fr_push_consumer_resume. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_push_consumer_suspend(
    consumer: *const fr_push_consumer_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    call(error, || {
        get(consumer)?.consumer.get()?.suspend();
        Ok(())
    })
}

/// Goes on after fr_push_consumer_suspend. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_push_consumer_resume(
    consumer: *const fr_push_consumer_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    call(error, || {
        get(consumer)?.consumer.get()?.resume();
        Ok(())
    })
}

/// The queues that the consumer has at the moment. Thread-safe.
///
/// Gives them into *list; the program owns them (fr_queues_free).
#[unsafe(no_mangle)]
pub extern "C" fn fr_push_consumer_queues(
    consumer: *const fr_push_consumer_t,
    list: *mut *mut fr_queues_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    make(list, error, || Ok(fr_queues_t::new(get(consumer)?.consumer.get()?.queues())))
}

impl Close for fr_push_consumer_t {
    fn close(&self) -> Result<()> {
        // First: also after fr_stop, when the consumer cannot end by itself, its handlers do.
        self.source.get()?.close();
        let ended = block_on(async {
            self.consumer.get()?.shutdown().await;
            Ok(())
        });
        self.callers.join();
        Ok(ended?)
    }
}

/// Ends the consumer: it stops pulling, waits at most `awaitTerminationMillisWhenShutdown` (30 s) for what the program
/// was given to be answered, stores the offsets and unregisters. No handler is called after this. Not to be called by a
/// callback. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_push_consumer_close(
    consumer: *const fr_push_consumer_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    close(consumer, error)
}

/// Closes and frees a consumer. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn fr_push_consumer_free(consumer: *mut fr_push_consumer_t) {
    close_and_free(consumer);
}
