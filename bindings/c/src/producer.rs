//! Producers, and those of transactional messages.

use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use ferrocket_bindings::ferrocket::{
    ErrorKind, LocalTransactionState, Message, Producer, ProducerBuilder, SendResult, TransactionProducer,
    TransactionSendResult,
};
use ferrocket_bindings::{Check, Held, Inbox, Load, LocalWork, Pipeline, Terms, block_on, on_check, spawn};

use crate::callers::{Callers, Close, EventFd, FOREVER, close, close_and_free, millis, number};
use crate::client::fr_client_t;
use crate::config::{fr_config_t, settings};
use crate::consumer::{Answer, fr_answer_t, fr_delivery_t, fr_handler_t, handle_deliveries};
use crate::error::{Result, fr_error_t, fr_status_t};
use crate::handle::{Tagged, User, all, c_text, call, free, get, kinds, lock, make, make_up_to, read, text};
use crate::message::{fr_message_ext_t, fr_message_t, fr_queue_t, fr_send_result_t};
use crate::send_terms::{fr_send_terms_t, of};

/// Asynchronous sends of one producer whose completion was not taken yet; further ones are refused.
const COMPLETIONS_MAX: usize = 65_536;

/// Sends messages in the name of a producer group.
///
/// Owned by the program, or by the transaction producer that it is part of; free it with fr_producer_free.
/// Thread-safe.
pub struct fr_producer_t {
    producer: Held<Producer>,
    /// Sends that do not wait, in the order of their calls.
    pipeline: Held<Pipeline>,
    /// Completions for the program to take.
    polled: Inbox<fr_completion_t>,
    fd: EventFd,
    /// Completions for callbacks, and the thread that makes those.
    called: Inbox<(fr_completion_t, SendCallback)>,
    callers: Callers,
    open: Arc<Open>,
}

/// Sends that do not wait.
#[derive(Default)]
struct Open {
    /// Held for one look or change.
    sends: Mutex<Sends>,
    done: Condvar,
}

#[derive(Default)]
struct Sends {
    under_way: usize,
    /// Those whose completion nobody has taken, with those under way.
    untaken: usize,
    /// The producer ends: no more begin.
    closed: bool,
}

/// How an asynchronous send ended.
///
/// Owned by the program; free it with fr_completion_free. Does not change: any threads may read it at once.
pub struct fr_completion_t {
    user: User,
    outcome: std::result::Result<Tagged<fr_send_result_t>, Tagged<fr_error_t>>,
}

/// Sends messages that consumers get only if a local transaction was committed, and is asked by brokers about those
/// whose end they did not hear of.
///
/// Owned by the program; free it with fr_transaction_producer_free. Thread-safe.
pub struct fr_transaction_producer_t {
    transactions: Held<TransactionProducer>,
    producer: Tagged<fr_producer_t>,
    checks: Inbox<Check>,
    fd: EventFd,
    callers: Callers,
}

/// A transaction that was begun: the broker has its half message.
///
/// Owned by the program; free it with fr_transaction_free. Thread-safe.
pub struct fr_transaction_t {
    id: CString,
    half: Tagged<fr_send_result_t>,
    /// Taken by the end, which then waits until the broker was told.
    work: Mutex<Option<Held<LocalWork>>>,
    told: Mutex<Receiver<ferrocket_bindings::ferrocket::Result<TransactionSendResult>>>,
}

kinds! {
    fr_producer_t: "a producer",
    fr_completion_t: "a completion",
    fr_transaction_producer_t: "a transaction producer",
    fr_transaction_t: "a transaction",
}

/// Told how an asynchronous send ended: either a receipt or an error, the other one is NULL; and the word given with
/// the send. Both are valid during the call.
pub type fr_send_callback_t =
    Option<extern "C" fn(result: *const fr_send_result_t, error: *const fr_error_t, user: *mut c_void)>;

/// One that is there.
type SendCallback = extern "C" fn(*const fr_send_result_t, *const fr_error_t, *mut c_void);

impl fr_producer_t {
    fn new(producer: Producer) -> Result<Self> {
        let fd = EventFd::new()?;
        Ok(Self {
            pipeline: Held::new(Pipeline::new(producer.clone())?),
            producer: Held::new(producer),
            polled: Inbox::new(fd.wake()),
            fd,
            called: Inbox::new(|| ()),
            callers: Callers::default(),
            open: Arc::default(),
        })
    }

    fn send_async(&self, load: Load, terms: Terms, callback: fr_send_callback_t, user: User) -> Result<()> {
        let pipeline = self.pipeline.get()?;
        self.open.begin()?;
        let (polled, called, open) = (self.polled.clone(), self.called.clone(), Arc::clone(&self.open));
        let done = move |sent: ferrocket_bindings::ferrocket::Result<SendResult>| {
            let outcome = match sent {
                Ok(sent) => Ok(Tagged::new(fr_send_result_t::new(sent))),
                Err(error) => Err(Tagged::new(error.into())),
            };
            let completion = fr_completion_t { user, outcome };
            match callback {
                Some(callback) => called.push((completion, callback)),
                None => polled.push(completion),
            };
            open.one_ended();
        };
        let ready = if callback.is_some() { self.ready_to_call() } else { Ok(()) };
        let sent = ready.and_then(|()| Ok(pipeline.send(load, terms, done)?));
        if sent.is_err() {
            self.open.taken(1);
            self.open.one_ended();
        }
        sent
    }

    /// Has one thread call callbacks.
    fn ready_to_call(&self) -> Result<()> {
        let (called, open) = (self.called.clone(), Arc::clone(&self.open));
        self.callers.start_first(move || {
            while let Some((completion, callback)) = called.wait(1, FOREVER).pop() {
                open.taken(1);
                callback(completion.result(), completion.error(), completion.user.get());
            }
        })
    }
}

impl Close for fr_producer_t {
    fn close(&self) -> Result<()> {
        // Nothing of the kind is there in a forked child.
        let (producer, pipeline) = (self.producer.get()?, self.pipeline.get()?);
        lock(&self.open.sends).closed = true;
        let ended = block_on(async {
            pipeline.flush().await;
            producer.shutdown().await;
            Ok(())
        });
        // What was begun ends within the send timeout, and is told of before this returns.
        self.open.all_ended();
        self.polled.finish();
        self.called.finish();
        self.callers.join();
        Ok(ended?)
    }
}

impl Open {
    fn begin(&self) -> Result<()> {
        let mut sends = lock(&self.sends);
        if sends.closed {
            return Err(fr_error_t::closed("the producer"));
        }
        if sends.untaken >= COMPLETIONS_MAX {
            let text = format!("{COMPLETIONS_MAX} completions were not taken");
            return Err(fr_error_t::new(ErrorKind::FlowControl, text));
        }
        sends.under_way += 1;
        sends.untaken += 1;
        Ok(())
    }

    fn taken(&self, count: usize) {
        lock(&self.sends).untaken -= count;
    }

    fn one_ended(&self) {
        lock(&self.sends).under_way -= 1;
        self.done.notify_all();
    }

    fn all_ended(&self) {
        let sends = self.done.wait_while(lock(&self.sends), |sends| sends.under_way > 0);
        drop(sends.unwrap_or_else(PoisonError::into_inner));
    }
}

impl fr_completion_t {
    fn result(&self) -> *const fr_send_result_t {
        self.outcome.as_ref().map_or(ptr::null(), Tagged::borrowed)
    }

    fn error(&self) -> *const fr_error_t {
        self.outcome.as_ref().err().map_or(ptr::null(), Tagged::borrowed)
    }
}

/// The builder of a producer with the configuration's settings.
fn builder(client: *const fr_client_t, group: *const c_char) -> Result<ProducerBuilder> {
    Ok(get(client)?.client()?.producer(text(group, "the group")?))
}

/// Sends, and gives the receipt to C.
fn send(
    producer: *const fr_producer_t,
    result: *mut *mut fr_send_result_t,
    error: *mut *mut fr_error_t,
    send: impl AsyncFnOnce(&Producer) -> Result<SendResult>,
) -> fr_status_t {
    make(result, error, || {
        let producer = get(producer)?.producer.get()?;
        Ok(fr_send_result_t::new(block_on(async { Ok(send(producer).await) })??))
    })
}

fn batch(messages: *const *const fr_message_t, count: usize) -> Result<Vec<Message>> {
    let messages = all(messages, count, "the array of messages")?;
    Ok(messages.into_iter().map(fr_message_t::message).collect())
}

/// Starts a producer of this group. The configuration may be NULL; its keys are in the list "producer". Thread-safe.
///
/// Gives it into *producer; the program owns it (fr_producer_free).
#[unsafe(no_mangle)]
pub extern "C" fn fr_producer_start(
    client: *const fr_client_t,
    group: *const c_char,
    config: *const fr_config_t,
    producer: *mut *mut fr_producer_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    make(producer, error, || {
        let mut builder = builder(client, group)?;
        for (key, value) in settings(config)? {
            builder = builder.set(&key, &value)?;
        }
        fr_producer_t::new(block_on(builder.start())?)
    })
}

/// Sends a message and waits for the broker's receipt; after a failure another broker is tried, while time is left
/// (`sendMsgTimeout`). After FR_ERROR_TIMEOUT and FR_ERROR_CONNECT it may have been stored all the same. The message
/// stays the program's. Thread-safe.
///
/// Gives the receipt into *result; the program owns it (fr_send_result_free).
#[unsafe(no_mangle)]
pub extern "C" fn fr_producer_send(
    producer: *const fr_producer_t,
    message: *const fr_message_t,
    result: *mut *mut fr_send_result_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    fr_producer_send_with(producer, message, ptr::null(), result, error)
}

/// The same on terms, which may be NULL.
///
/// Gives the receipt into *result; the program owns it (fr_send_result_free). Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_producer_send_with(
    producer: *const fr_producer_t,
    message: *const fr_message_t,
    terms: *const fr_send_terms_t,
    result: *mut *mut fr_send_result_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    send(producer, result, error, async |producer| {
        Ok(of(terms)?.send(producer, get(message)?.message()).await?)
    })
}

/// Sends a message to this queue. Tried once; else as fr_producer_send.
#[unsafe(no_mangle)]
pub extern "C" fn fr_producer_send_to(
    producer: *const fr_producer_t,
    message: *const fr_message_t,
    queue: *const fr_queue_t,
    result: *mut *mut fr_send_result_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    send(producer, result, error, async |producer| {
        Ok(producer.send_to(get(message)?.message(), &get(queue)?.queue).await?)
    })
}

/// Sends a message to the queue that all messages with this key go to, so that they keep their order. Tried once; else
/// as fr_producer_send.
#[unsafe(no_mangle)]
pub extern "C" fn fr_producer_send_ordered(
    producer: *const fr_producer_t,
    message: *const fr_message_t,
    key: *const c_char,
    result: *mut *mut fr_send_result_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    send(producer, result, error, async |producer| {
        Ok(producer.send_ordered(get(message)?.message(), text(key, "the key")?).await?)
    })
}

/// Sends several messages of one topic as one request: stored next to each other in one queue, all or none. Never
/// compressed; together at most `maxMessageSize`. Else as fr_producer_send.
#[unsafe(no_mangle)]
pub extern "C" fn fr_producer_send_batch(
    producer: *const fr_producer_t,
    messages: *const *const fr_message_t,
    count: usize,
    result: *mut *mut fr_send_result_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    fr_producer_send_batch_with(producer, messages, count, ptr::null(), result, error)
}

/// The same on terms, which may be NULL.
///
/// Gives the receipt into *result; the program owns it (fr_send_result_free). Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_producer_send_batch_with(
    producer: *const fr_producer_t,
    messages: *const *const fr_message_t,
    count: usize,
    terms: *const fr_send_terms_t,
    result: *mut *mut fr_send_result_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    send(producer, result, error, async |producer| {
        Ok(of(terms)?.send_batch(producer, batch(messages, count)?).await?)
    })
}

/// Sends a message and waits for nothing but room in the connection. It may get lost. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_producer_send_oneway(
    producer: *const fr_producer_t,
    message: *const fr_message_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    fr_producer_send_oneway_with(producer, message, ptr::null(), error)
}

/// The same on terms, which may be NULL. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_producer_send_oneway_with(
    producer: *const fr_producer_t,
    message: *const fr_message_t,
    terms: *const fr_send_terms_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    call(error, || {
        let producer = get(producer)?.producer.get()?;
        Ok(block_on(of(terms)?.send_oneway(producer, get(message)?.message()))?)
    })
}

/// Sends a message and waits for nothing: messages leave in the order of these calls. How it ended is told to the
/// callback, which is called on a thread of the producer's own, one call at a time; without callback (NULL) the
/// completion waits for fr_producer_poll. The message may be freed or changed at once. FR_ERROR_FLOW_CONTROL when
/// 65,536 completions were not taken. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_producer_send_async(
    producer: *const fr_producer_t,
    message: *const fr_message_t,
    callback: fr_send_callback_t,
    user: *mut c_void,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    fr_producer_send_async_with(producer, message, ptr::null(), callback, user, error)
}

/// The same on terms, which may be NULL. A message that must wait for the broker of its queue holds the later ones back,
/// at most for its timeout. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_producer_send_async_with(
    producer: *const fr_producer_t,
    message: *const fr_message_t,
    terms: *const fr_send_terms_t,
    callback: fr_send_callback_t,
    user: *mut c_void,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    call(error, || {
        get(producer)?.send_async(get(message)?.message().into(), of(terms)?, callback, User(user))
    })
}

/// Sends several messages of one topic as one request, see fr_producer_send_batch, and waits for nothing, as
/// fr_producer_send_async_with: it is one completion. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_producer_send_batch_async_with(
    producer: *const fr_producer_t,
    messages: *const *const fr_message_t,
    count: usize,
    terms: *const fr_send_terms_t,
    callback: fr_send_callback_t,
    user: *mut c_void,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    call(error, || {
        get(producer)?.send_async(batch(messages, count)?.into(), of(terms)?, callback, User(user))
    })
}

/// A descriptor that is readable when fr_producer_poll may have something, for epoll and its like; -1 where there is
/// no such thing. The library's own: only wait for it, never read or close it. Valid as long as the producer.
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_producer_fd(producer: *const fr_producer_t) -> c_int {
    read(producer, -1, |producer| number(&producer.fd))
}

/// Takes up to max completions of asynchronous sends without callback, and waits at most so many milliseconds for one
/// to be there. FR_ERROR_CLOSED when the producer is closed and nothing is left. Thread-safe.
///
/// Gives them into array, which has room for max handles, and their number into *count; the program owns them
/// (fr_completion_free).
#[unsafe(no_mangle)]
pub extern "C" fn fr_producer_poll(
    producer: *const fr_producer_t,
    array: *mut *mut fr_completion_t,
    max: usize,
    timeout_ms: u32,
    count: *mut usize,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    make_up_to(max, array, count, error, || {
        let producer = get(producer)?;
        // The descriptor is the parent's in a forked child.
        producer.producer.get()?;
        producer.fd.clear();
        let taken = producer.polled.wait(max, millis(timeout_ms));
        if taken.is_empty() && producer.polled.is_ended() {
            return Err(fr_error_t::closed("the producer"));
        }
        producer.open.taken(taken.len());
        Ok(taken)
    })
}

/// The word given with the send. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_completion_user(completion: *const fr_completion_t) -> *mut c_void {
    read(completion, ptr::null_mut(), |completion| completion.user.get())
}

/// The receipt; NULL if the send failed. Valid as long as the completion. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_completion_result(completion: *const fr_completion_t) -> *const fr_send_result_t {
    read(completion, ptr::null(), fr_completion_t::result)
}

/// Why the send failed; NULL if it did not. Valid as long as the completion. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_completion_error(completion: *const fr_completion_t) -> *const fr_error_t {
    read(completion, ptr::null(), fr_completion_t::error)
}

/// Frees a completion. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn fr_completion_free(completion: *mut fr_completion_t) {
    free(completion);
}

/// Sends a request and waits for the reply that its consumer makes with fr_message_ext_reply, both together at most so
/// many milliseconds. Thread-safe.
///
/// Gives the reply into *reply; the program owns it (fr_message_ext_free).
#[unsafe(no_mangle)]
pub extern "C" fn fr_producer_request(
    producer: *const fr_producer_t,
    message: *const fr_message_t,
    timeout_ms: u32,
    reply: *mut *mut fr_message_ext_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    make(reply, error, || {
        let (producer, message) = (get(producer)?.producer.get()?, get(message)?.message());
        Ok(fr_message_ext_t::new(block_on(producer.request(message, millis(timeout_ms)))?))
    })
}

/// Takes a message back that is to be delivered later, by the handle of its receipt (fr_send_result_recall_handle).
/// FR_ERROR_BROKER when the broker does not recall, as older ones never do. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_producer_recall(
    producer: *const fr_producer_t,
    topic: *const c_char,
    recall_handle: *const c_char,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    call(error, || {
        let producer = get(producer)?.producer.get()?;
        let (topic, handle) = (text(topic, "the topic")?, text(recall_handle, "the recall handle")?);
        Ok(block_on(producer.recall(topic, handle)).map(drop)?)
    })
}

/// Ends the producer: further sends are refused (FR_ERROR_CLOSED), and so is what still waits in line after 10 s; those
/// under way are finished and told of, brokers are told. No callback comes after this. Not to be called by a callback.
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_producer_close(
    producer: *const fr_producer_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    close(producer, error)
}

/// Closes and frees a producer; completions that were not taken go with it. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn fr_producer_free(producer: *mut fr_producer_t) {
    close_and_free(producer);
}

/// Starts a producer of transactional messages. The configuration may be NULL; its keys are in the list "transaction
/// producer". Brokers' checks wait for fr_transaction_producer_poll, or for a handler given with
/// fr_transaction_producer_handle. Thread-safe.
///
/// Gives it into *producer; the program owns it (fr_transaction_producer_free).
#[unsafe(no_mangle)]
pub extern "C" fn fr_transaction_producer_start(
    client: *const fr_client_t,
    group: *const c_char,
    config: *const fr_config_t,
    producer: *mut *mut fr_transaction_producer_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    make(producer, error, || {
        let fd = EventFd::new()?;
        let checks = Inbox::new(fd.wake());
        let mut builder = on_check(builder(client, group)?, &checks);
        for (key, value) in settings(config)? {
            builder = builder.set(&key, &value)?;
        }
        let transactions = block_on(builder.start())?;
        let producer = Tagged::new(fr_producer_t::new(transactions.producer().clone())?);
        let (transactions, callers) = (Held::new(transactions), Callers::default());
        Ok(fr_transaction_producer_t { transactions, producer, checks, fd, callers })
    })
}

/// The producer of the same group, for messages without transaction. Owned by the transaction producer and valid as
/// long; not to be closed or freed. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_transaction_producer_producer(
    producer: *const fr_transaction_producer_t,
) -> *const fr_producer_t {
    read(producer, ptr::null(), |producer| producer.producer.borrowed())
}

/// A descriptor that is readable when fr_transaction_producer_poll may have something, as fr_producer_fd. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_transaction_producer_fd(producer: *const fr_transaction_producer_t) -> c_int {
    read(producer, -1, |producer| number(&producer.fd))
}

fn check(check: Check) -> fr_delivery_t {
    fr_delivery_t::new(vec![check.subject.clone()], Answer::Check(check))
}

/// Takes up to max checks, and waits at most so many milliseconds for one to be there. Each is a delivery of one
/// message, to be answered with FR_COMMIT, FR_ROLLBACK or FR_LATER, on which the broker asks again. FR_ERROR_CLOSED
/// when the producer is closed. Thread-safe.
///
/// Gives them into array, which has room for max handles, and their number into *count; the program owns them
/// (fr_delivery_answer or fr_delivery_free).
#[unsafe(no_mangle)]
pub extern "C" fn fr_transaction_producer_poll(
    producer: *const fr_transaction_producer_t,
    array: *mut *mut fr_delivery_t,
    max: usize,
    timeout_ms: u32,
    count: *mut usize,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    make_up_to(max, array, count, error, || {
        let producer = get(producer)?;
        producer.transactions.get()?;
        producer.fd.clear();
        let taken = producer.checks.wait(max, millis(timeout_ms));
        if taken.is_empty() && producer.checks.is_ended() {
            return Err(fr_error_t::closed("the transaction producer"));
        }
        Ok(taken.into_iter().map(check).collect())
    })
}

/// Has so many threads of the library's own call this handler for every check. It answers FR_COMMIT, FR_ROLLBACK or
/// FR_LATER; anything else is FR_LATER. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_transaction_producer_handle(
    producer: *const fr_transaction_producer_t,
    threads: usize,
    handler: fr_handler_t,
    user: *mut c_void,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    call(error, || {
        let producer = get(producer)?;
        producer.transactions.get()?;
        let checks = producer.checks.clone();
        let take = move || checks.wait(1, FOREVER).pop().map(check);
        handle_deliveries(&producer.callers, threads, handler, User(user), take)
    })
}

/// Sends a half message and waits until the broker has it. Then the program does its local work and says with
/// fr_transaction_end what became of it. A delay level is ignored; the message stays the program's. Thread-safe.
///
/// Gives the transaction into *transaction; the program owns it (fr_transaction_free).
#[unsafe(no_mangle)]
pub extern "C" fn fr_transaction_begin(
    producer: *const fr_transaction_producer_t,
    message: *const fr_message_t,
    transaction: *mut *mut fr_transaction_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    make(transaction, error, || {
        let (producer, message) = (get(producer)?.transactions.get()?.clone(), get(message)?.message());
        let (tell, told) = sync_channel(1);
        let begun = Inbox::new(|| ());
        let (inbox, finished) = (begun.clone(), begun.clone());
        let sent = async move { ferrocket_bindings::send_in_transaction(&producer, message, &inbox).await };
        spawn(sent, move |result| {
            // Nobody listens who has freed the transaction.
            let _ = tell.send(result);
            finished.finish();
        })?;
        let Some(work) = begun.wait(1, FOREVER).pop() else {
            let sent = told.recv().map_err(|_| fr_error_t::closed("the library"))??;
            let text = format!("the half message was stored with {} and is rolled back", sent.sent.status);
            return Err(fr_error_t::new(ErrorKind::Broker, text));
        };
        let id = c_text(&work.subject.transaction_id);
        let half = Tagged::new(fr_send_result_t::new(work.subject.half.clone()));
        let work = Mutex::new(Some(Held::new(work)));
        Ok(fr_transaction_t { id, half, work, told: Mutex::new(told) })
    })
}

/// Names the transaction: a check brings the same id, see fr_message_ext_transaction_id. Valid as long as the
/// transaction. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_transaction_id(transaction: *const fr_transaction_t) -> *const c_char {
    read(transaction, ptr::null(), |transaction| transaction.id.as_ptr())
}

/// The broker's receipt for the half message. Valid as long as the transaction. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_transaction_half(transaction: *const fr_transaction_t) -> *const fr_send_result_t {
    read(transaction, ptr::null(), |transaction| transaction.half.borrowed())
}

/// Ends a transaction: with FR_COMMIT consumers get the message, with FR_ROLLBACK nobody, and with FR_LATER the broker
/// asks. FR_ERROR_CONFIG for another answer, and when it was ended before. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_transaction_end(
    transaction: *const fr_transaction_t,
    answer: i32,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    call(error, || {
        let transaction = get(transaction)?;
        let state = state(answer)?;
        let work = lock(&transaction.work).take();
        let work = work.ok_or_else(|| fr_error_t::config("the transaction was ended before"))?;
        work.take()?.answer(Ok(state));
        let told = lock(&transaction.told).recv().map_err(|_| fr_error_t::closed("the library"))?;
        Ok(told.map(drop)?)
    })
}

/// The state that an answer means.
pub(crate) fn state(answer: i32) -> Result<LocalTransactionState> {
    match answer {
        answer if answer == fr_answer_t::FR_COMMIT as i32 => Ok(LocalTransactionState::CommitMessage),
        answer if answer == fr_answer_t::FR_ROLLBACK as i32 => Ok(LocalTransactionState::RollbackMessage),
        answer if answer == fr_answer_t::FR_LATER as i32 => Ok(LocalTransactionState::Unknown),
        other => Err(fr_error_t::config(format!("{other} answers no transaction, see fr_answer_t"))),
    }
}

/// Frees a transaction. If it was not ended, the broker will ask. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn fr_transaction_free(transaction: *mut fr_transaction_t) {
    free(transaction);
}

impl Close for fr_transaction_producer_t {
    fn close(&self) -> Result<()> {
        self.transactions.get()?;
        self.checks.close();
        let ended = self.producer.close();
        self.callers.join();
        ended
    }
}

/// Ends the producer as fr_producer_close; checks under way are still answered, and no more are taken.
#[unsafe(no_mangle)]
pub extern "C" fn fr_transaction_producer_close(
    producer: *const fr_transaction_producer_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    close(producer, error)
}

/// Closes and frees a producer. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn fr_transaction_producer_free(producer: *mut fr_transaction_producer_t) {
    close_and_free(producer);
}
