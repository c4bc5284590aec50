//! The client of a cluster, its events, the process's log lines and its end.

use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr;
use std::sync::Mutex;

use ferrocket_bindings::ferrocket::{Client, Event};
use ferrocket_bindings::logs::{self, Line};
use ferrocket_bindings::{Bridge, Held, Inbox, Watched, block_on, runtime};

use crate::callers::{
    Callers, Close, EventFd, FOREVER, close, close_and_free, millis, not_in_callback, number,
};
use crate::config::{fr_config_t, settings};
use crate::error::{Result, fr_error_t, fr_status_t};
use crate::handle::{
    Tagged, Texts, User, c_text, call, free, get, kinds, lock, make, make_up_to, read, text,
};
use crate::message::fr_queues_t;

/// The connection to a cluster, shared by the producers and consumers of a program.
///
/// Owned by the program; free it with fr_client_free. Thread-safe.
pub struct fr_client_t {
    client: Held<Client>,
    id: CString,
}

/// What happens in a client, for programs that watch it.
///
/// Owned by the program; free it with fr_events_free. Thread-safe.
pub struct fr_events_t {
    watched: Held<Watched>,
    fd: EventFd,
}

/// Something that happened in a client.
///
/// Owned by the program; free it with fr_event_free. Does not change: any threads may read it at once.
pub struct fr_event_t {
    event: Event,
    queues: Tagged<fr_queues_t>,
    texts: Texts,
}

kinds!(fr_client_t: "a client", fr_events_t: "a client's events", fr_event_t: "an event");

/// What an event is about.
#[repr(i32)]
#[derive(Clone, Copy)]
pub enum fr_event_kind_t {
    /// A consumer took queues of a topic or gave some up: group, topic, and the queues that it has now.
    FR_EVENT_REBALANCED = 0,
    /// A topic got another route: topic.
    FR_EVENT_ROUTE_CHANGED = 1,
    /// A connection was opened: addr.
    FR_EVENT_CONNECTED = 2,
    /// A connection ended, on whoever's wish: addr.
    FR_EVENT_DISCONNECTED = 3,
    /// A delivery is older than `consumeTimeout`; its message is given back to the broker: group, queue, message id,
    /// and as number the milliseconds that it should not have passed.
    FR_EVENT_SLOW_HANDLER = 4,
    /// Pulling of a queue pauses, because too much waits in memory or is in handlers: group, queue, and as number the
    /// messages of it in memory.
    FR_EVENT_FLOW_CONTROL = 5,
    /// So many events (number) were not kept, because nobody took those before.
    FR_EVENT_MISSED = 6,
    /// Something that this header does not know yet.
    FR_EVENT_OTHER = 7,
}

/// Takes a line of the library's log: how grave it is (1 error, 2 warning, 3 information, 4 debugging, 5 trace), the
/// module it comes from, and what it says. The texts are valid during the call.
pub type fr_log_t =
    Option<extern "C" fn(level: i32, target: *const c_char, text: *const c_char, user: *mut c_void)>;

/// Who takes the log lines. Held for an exchange.
static LOGS: Mutex<Option<(Inbox<Line>, Callers)>> = Mutex::new(None);

impl fr_client_t {
    pub(crate) fn client(&self) -> Result<&Client> {
        Ok(self.client.get()?)
    }
}

impl Close for fr_client_t {
    fn close(&self) -> Result<()> {
        Ok(block_on(self.client.get()?.shutdown())?)
    }
}

/// The version of the library, such as `0.1.0`. Valid for ever. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}

/// Makes a client. It connects to nothing yet, but reads the files of TLS. The keys of its configuration are in the
/// list "client"; without `namesrvAddr` the environment's NAMESRV_ADDR is read, as by Java. Thread-safe.
///
/// Gives it into *client; the program owns it (fr_client_free).
#[unsafe(no_mangle)]
pub extern "C" fn fr_client_new(
    config: *const fr_config_t,
    client: *mut *mut fr_client_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    make(client, error, || {
        let mut builder = Client::builder("");
        for (key, value) in settings(config)? {
            builder = builder.set(&key, &value)?;
        }
        let client = block_on(async { builder.build() })?;
        let id = c_text(client.client_id());
        Ok(fr_client_t { client: Held::new(client), id })
    })
}

/// What brokers call the client. Valid as long as the client. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_client_id(client: *const fr_client_t) -> *const c_char {
    read(client, ptr::null(), |client| client.id.as_ptr())
}

/// The queues that messages of a topic can be sent to. FR_ERROR_NO_ROUTE when the topic does not exist. Thread-safe.
///
/// Gives them into *list; the program owns them (fr_queues_free).
#[unsafe(no_mangle)]
pub extern "C" fn fr_client_fetch_queues(
    client: *const fr_client_t,
    topic: *const c_char,
    list: *mut *mut fr_queues_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    make(list, error, || {
        let queues = block_on(get(client)?.client()?.fetch_queues(text(topic, "the topic")?))?;
        Ok(fr_queues_t::new(queues))
    })
}

/// Ends everything of this client, in this order: consumers stop pulling; their deliveries are answered, for at most
/// `awaitTerminationMillisWhenShutdown` (30 s); offsets are stored and consumers unregistered; sends under way are
/// finished, for at most 10 s (FR_ERROR_TIMEOUT if that was too short); producers are unregistered; connections close.
/// What fr_producer_send_async took and still has in line is refused: close producers first.
/// What uses the client answers FR_ERROR_CLOSED from then on; its handles stay the program's, to be freed. Not to be
/// called by a callback. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_client_close(client: *const fr_client_t, error: *mut *mut fr_error_t) -> fr_status_t {
    close(client, error)
}

/// Closes and frees a client. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn fr_client_free(client: *mut fr_client_t) {
    close_and_free(client);
}

/// Begins to watch a client. At most 256 events wait to be taken; the next are counted. Thread-safe.
///
/// Gives the events from now on into *events; the program owns them (fr_events_free).
#[unsafe(no_mangle)]
pub extern "C" fn fr_client_events(
    client: *const fr_client_t,
    events: *mut *mut fr_events_t,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    make(events, error, || {
        let fd = EventFd::new()?;
        let watched = ferrocket_bindings::events(get(client)?.client()?, fd.wake())?;
        fd.ring();
        Ok(fr_events_t { watched: Held::new(watched), fd })
    })
}

/// A descriptor that is readable when fr_events_poll may have something, for epoll and its like; -1 where there is no
/// such thing. The library's own: only wait for it, never read or close it. Valid as long as the events. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_events_fd(events: *const fr_events_t) -> c_int {
    read(events, -1, |events| number(&events.fd))
}

/// Takes up to max events, and waits at most so many milliseconds for one to be there. FR_ERROR_CLOSED when the client
/// is closed and nothing is left. Thread-safe.
///
/// Gives them into array, which has room for max handles, and their number into *count; the program owns them
/// (fr_event_free).
#[unsafe(no_mangle)]
pub extern "C" fn fr_events_poll(
    events: *const fr_events_t,
    array: *mut *mut fr_event_t,
    max: usize,
    timeout_ms: u32,
    count: *mut usize,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    make_up_to(max, array, count, error, || {
        let events = get(events)?;
        let watched = events.watched.get()?;
        events.fd.clear();
        let taken = watched.wait(max, millis(timeout_ms));
        if taken.is_empty() && watched.is_ended() {
            return Err(fr_error_t::closed("the client"));
        }
        Ok(taken.into_iter().map(fr_event_t::new).collect())
    })
}

/// Ends watching and frees the events. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn fr_events_free(events: *mut fr_events_t) {
    free(events);
}

impl fr_event_t {
    fn new(event: Event) -> Self {
        let queues = match &event {
            Event::Rebalanced { queues, .. } => queues.clone(),
            Event::SlowHandler { queue, .. } | Event::FlowControl { queue, .. } => vec![queue.clone()],
            _ => Vec::new(),
        };
        Self { event, queues: Tagged::new(fr_queues_t::new(queues)), texts: Texts::default() }
    }
}

/// What the event is about. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_event_kind(event: *const fr_event_t) -> fr_event_kind_t {
    use fr_event_kind_t::*;
    read(event, FR_EVENT_OTHER, |event| match event.event {
        Event::Rebalanced { .. } => FR_EVENT_REBALANCED,
        Event::RouteChanged { .. } => FR_EVENT_ROUTE_CHANGED,
        Event::Connected { .. } => FR_EVENT_CONNECTED,
        Event::Disconnected { .. } => FR_EVENT_DISCONNECTED,
        Event::SlowHandler { .. } => FR_EVENT_SLOW_HANDLER,
        Event::FlowControl { .. } => FR_EVENT_FLOW_CONTROL,
        Event::Missed(_) => FR_EVENT_MISSED,
        _ => FR_EVENT_OTHER,
    })
}

/// The consumer group; NULL for events without. Valid as long as the event. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_event_group(event: *const fr_event_t) -> *const c_char {
    read(event, ptr::null(), |event| match &event.event {
        Event::Rebalanced { group, .. }
        | Event::SlowHandler { group, .. }
        | Event::FlowControl { group, .. } => event.texts.get("group", Some(group)),
        _ => ptr::null(),
    })
}

/// The topic; NULL for events without. Valid as long as the event. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_event_topic(event: *const fr_event_t) -> *const c_char {
    read(event, ptr::null(), |event| match &event.event {
        Event::Rebalanced { topic, .. } | Event::RouteChanged { topic } => {
            event.texts.get("topic", Some(topic))
        }
        _ => ptr::null(),
    })
}

/// The address; NULL for events without. Valid as long as the event. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_event_addr(event: *const fr_event_t) -> *const c_char {
    read(event, ptr::null(), |event| match event.event {
        Event::Connected { addr } | Event::Disconnected { addr } => {
            event.texts.get("addr", Some(&addr.to_string()))
        }
        _ => ptr::null(),
    })
}

/// The message's id; NULL for events without. Valid as long as the event. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_event_msg_id(event: *const fr_event_t) -> *const c_char {
    read(event, ptr::null(), |event| match &event.event {
        Event::SlowHandler { msg_id, .. } => event.texts.get("id", Some(msg_id)),
        _ => ptr::null(),
    })
}

/// The queues, an empty list for events without. Valid as long as the event. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_event_queues(event: *const fr_event_t) -> *const fr_queues_t {
    read(event, ptr::null(), |event| event.queues.borrowed())
}

/// The number, see fr_event_kind_t; 0 for events without. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_event_number(event: *const fr_event_t) -> u64 {
    read(event, 0, |event| match event.event {
        Event::SlowHandler { timeout, .. } => u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
        Event::FlowControl { messages, .. } => messages as u64,
        Event::Missed(events) => events,
        _ => 0,
    })
}

/// Frees an event. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn fr_event_free(event: *mut fr_event_t) {
    free(event);
}

/// Has the library's log lines of this level and graver ones (1 error to 5 trace) go to `log`, which is called on a
/// thread of its own with one line at a time, instead of the one given before. NULL ends that: after this has returned,
/// the one before is called no more. At most 1,024 lines wait; the next are counted. Not to be called by `log`
/// itself. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_log_handle(
    level: u8,
    log: fr_log_t,
    user: *mut c_void,
    error: *mut *mut fr_error_t,
) -> fr_status_t {
    call(error, || {
        not_in_callback("the log")?;
        // The thread that takes lines is its parent's in a forked child.
        runtime()?;
        let mut logs = lock(&LOGS);
        let Some(log) = log else {
            logs::set_level(0)?;
            end_logs(logs.take());
            return Ok(());
        };
        let (inbox, callers, user) = (Inbox::<Line>::new(|| ()), Callers::default(), User(user));
        logs::forward(level, inbox.clone())?;
        let lines = inbox.clone();
        callers.start(1, move || {
            while let Some(line) = lines.wait(1, FOREVER).pop() {
                let (target, text) = (c_text(&line.target), c_text(&line.text));
                log(line.level.into(), target.as_ptr(), text.as_ptr(), user.get());
            }
        })?;
        end_logs(logs.replace((inbox, callers)));
        Ok(())
    })
}

fn end_logs(logs: Option<(Inbox<Line>, Callers)>) {
    if let Some((inbox, callers)) = logs {
        inbox.finish();
        callers.join();
    }
}

/// Ends the library's threads, for programs that unload it or look for leaks at their exit; waits at most so many
/// milliseconds for what is at work. Clients should have been closed before: every later call that needs a server
/// answers FR_ERROR_CLOSED, and so does this. Not needed else. Not to be called by a callback. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn fr_stop(timeout_ms: u32, error: *mut *mut fr_error_t) -> fr_status_t {
    call(error, || {
        not_in_callback("the library")?;
        runtime()?;
        Bridge::stop(millis(timeout_ms));
        logs::set_level(0)?;
        end_logs(lock(&LOGS).take());
        Ok(())
    })
}
