//! The handle to a connection that everybody shares, and what it shares with the connection's task.
//!
//! The task itself is in `serve.rs`.
//!
//! Java counterparts: `NettyRemotingAbstract` and Netty's `Channel`.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use ferrocket_protocol::command::RemotingCommand;
use ferrocket_protocol::frame;
use ferrocket_protocol::response_code::ResponseCode;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::calls::{Calls, NoAnswer, Refused};
use crate::config::RemotingConfig;
use crate::error::CallError;
use crate::outbound::{Outbound, too_large};
use crate::stream::send;

/// What a side of a connection does with the requests of its peer.
///
/// All methods run on the connection's task and must not block.
pub trait Handler: Send + Sync + 'static {
    /// Handles all complete requests of one read in place; `replies` go out in one write afterwards.
    ///
    /// Drains `requests`. A request that is answered later uses [`Connection::reply`]; a oneway request is
    /// not answered at all.
    fn handle(
        &self,
        connection: &Connection,
        requests: &mut Vec<RemotingCommand>,
        replies: &mut Vec<RemotingCommand>,
    );

    /// The connection is there; called before any of its requests.
    fn opened(&self, connection: &Connection) {
        let _ = connection;
    }

    /// The connection is gone; called once, after the last of its requests.
    fn closed(&self, connection: &Connection) {
        let _ = connection;
    }
}

/// The handler of a side that serves nothing: answers every request with code 3.
#[derive(Clone, Copy, Debug, Default)]
pub struct RefuseAll;

impl Handler for RefuseAll {
    fn handle(
        &self,
        _: &Connection,
        requests: &mut Vec<RemotingCommand>,
        replies: &mut Vec<RemotingCommand>,
    ) {
        for request in requests.drain(..).filter(|request| !request.is_oneway()) {
            let remark = format!(" request type {} not supported", request.code);
            replies.push(request.reply_error(ResponseCode::REQUEST_CODE_NOT_SUPPORTED, remark));
        }
    }
}

/// Reads, writes, calls and late answers are possible.
const OPEN: u8 = 0;
/// Nothing is read or queued any more; what is queued is still written.
pub(crate) const CLOSING: u8 = 1;
/// The socket is gone.
pub(crate) const CLOSED: u8 = 2;

/// A cheap handle to a connection, shared by everybody who talks to the peer.
///
/// Dropping handles does not close the connection: its task lives until either side closes it.
#[derive(Clone)]
pub struct Connection {
    pub(crate) link: Arc<Link>,
}

/// What the task and the handles of a connection share.
pub(crate) struct Link {
    id: u64,
    peer_addr: SocketAddr,
    local_addr: SocketAddr,
    /// The address as the peer is called in errors: what was dialled, or where it came from.
    pub(crate) name: String,
    pub(crate) config: Arc<RemotingConfig>,
    pub(crate) totals: Arc<Totals>,
    pub(crate) state: AtomicU8,
    /// Our own calls. Never held together with `queue`.
    pub(crate) calls: Mutex<Calls<RemotingCommand>>,
    /// Frames that nobody has begun to write. Held only to encode one frame or to take all.
    pub(crate) queue: Mutex<Outbound>,
    /// Whose turn it is to write. The task waits for it; callers try, and never hold it together with `calls`. Taken
    /// before `queue`.
    pub(crate) writer: Mutex<Writer>,
    /// Whether the next caller may write its frame itself: one may for each read, so that the frames of many callers
    /// still become one write of the task.
    pub(crate) prompt: AtomicBool,
    /// Bytes in `queue` and in `writer`.
    pub(crate) pending: AtomicUsize,
    /// Tells the task that the queue is no longer empty, that a caller could not write all, that a call ends sooner
    /// than the others, or that it shall close.
    pub(crate) wake: Notify,
    /// Tells waiting callers that `pending` fell below its limit, or that the connection closed.
    pub(crate) room: Notify,
    /// Tells [`Connection::closed`].
    pub(crate) gone: Notify,
    opened_at: Instant,
    /// When bytes last went either way, in milliseconds after `opened_at`.
    active_ms: AtomicU64,
    /// When bytes last came from the peer, in milliseconds after `opened_at`.
    heard_ms: AtomicU64,
    /// Whether a whole frame has come.
    pub(crate) framed: AtomicBool,
}

/// Where frames leave.
#[derive(Default)]
pub(crate) struct Writer {
    /// What is being written.
    pub(crate) out: Outbound,
    /// For callers who write themselves; `None` with TLS, before the connection is served and after.
    pub(crate) socket: Option<Arc<OwnedWriteHalf>>,
}

/// Heads longer than this are not kept.
const SPARE_HEAD_MAX: usize = 4 * 1024;

thread_local! {
    /// The head of the frame that a caller on this thread writes.
    static HEAD: RefCell<BytesMut> = RefCell::default();
}

/// What all connections of a listener hold together.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    /// Bytes of incomplete frames.
    pub(crate) partial: AtomicUsize,
    /// Bytes that wait to be written.
    pending: AtomicUsize,
}

impl Link {
    /// Notes that bytes went either way.
    pub(crate) fn note_activity(&self, now: Instant) {
        let ms = now.saturating_duration_since(self.opened_at).as_millis() as u64;
        self.active_ms.fetch_max(ms, Ordering::Relaxed);
    }

    /// Notes that bytes came from the peer.
    pub(crate) fn note_heard(&self) {
        self.note_activity(Instant::now());
        self.heard_ms.store(self.active_ms.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    pub(crate) fn add_pending(&self, bytes: usize) {
        self.pending.fetch_add(bytes, Ordering::AcqRel);
        self.totals.pending.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn sub_pending(&self, bytes: usize) {
        self.totals.pending.fetch_sub(bytes, Ordering::Relaxed);
        let before = self.pending.fetch_sub(bytes, Ordering::AcqRel);
        let limit = self.config.write_pending_max;
        if before >= limit && before - bytes < limit {
            self.room.notify_waiters();
        }
    }

    /// Whether all connections together have too much to write.
    pub(crate) fn is_pressed(&self) -> bool {
        self.totals.pending.load(Ordering::Relaxed) > self.config.write_total_max
    }
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What this crate locks is valid after every single operation, so a panic elsewhere does not spoil it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// When that time is up: never with one beyond all clocks.
pub(crate) fn deadline(now: Instant, timeout: Duration) -> Instant {
    now.checked_add(timeout).unwrap_or_else(|| now + Duration::from_secs(1 << 30))
}

impl Connection {
    /// The handle; `name` is what was dialled.
    pub(crate) fn new(
        peer_addr: SocketAddr,
        local_addr: SocketAddr,
        name: Option<&str>,
        config: Arc<RemotingConfig>,
        totals: Arc<Totals>,
    ) -> Self {
        let link = Link {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            peer_addr,
            local_addr,
            name: name.map_or_else(|| peer_addr.to_string(), str::to_owned),
            state: AtomicU8::new(OPEN),
            calls: Mutex::new(Calls::new(config.calls_max)),
            queue: Mutex::default(),
            writer: Mutex::default(),
            prompt: AtomicBool::new(true),
            pending: AtomicUsize::new(0),
            wake: Notify::new(),
            room: Notify::new(),
            gone: Notify::new(),
            opened_at: Instant::now(),
            active_ms: AtomicU64::new(0),
            heard_ms: AtomicU64::new(0),
            framed: AtomicBool::new(false),
            config,
            totals,
        };
        Self { link: Arc::new(link) }
    }

    /// A number that no other connection of this process has or had.
    pub fn id(&self) -> u64 {
        self.link.id
    }

    /// The peer's address.
    pub fn peer_addr(&self) -> SocketAddr {
        self.link.peer_addr
    }

    /// This side's address.
    pub fn local_addr(&self) -> SocketAddr {
        self.link.local_addr
    }

    /// Sends a request and awaits its answer. Numbers the request; waits for room first when the peer is
    /// slow to read.
    ///
    /// # Errors
    /// All but [`CallError::Connect`]. A call given up (timed out or dropped) is forgotten; its answer is
    /// ignored when it still comes.
    pub async fn call(
        &self,
        request: RemotingCommand,
        timeout: Duration,
    ) -> Result<RemotingCommand, CallError> {
        self.begin(request, Instant::now(), timeout).await?.await
    }

    /// The first half of [`call`](Self::call): when this returns, the request is in line, behind those of earlier
    /// calls. The time for the answer counts from `now`.
    ///
    /// # Errors
    /// All but [`CallError::Connect`].
    pub async fn begin(
        &self,
        mut request: RemotingCommand,
        now: Instant,
        timeout: Duration,
    ) -> Result<PendingCall, CallError> {
        let deadline = deadline(now, timeout);
        self.sign(&mut request)?;
        if self.is_full() {
            let expired = |_| CallError::Timeout { addr: self.link.name.clone(), after: timeout };
            // Rare: with memory of its own it is no part of every call.
            Box::pin(tokio::time::timeout_at(deadline, self.room())).await.map_err(expired)??;
        }
        let entered = lock(&self.link.calls).enter(deadline);
        let (opaque, is_nearer) = entered.map_err(|refused| match refused {
            Refused::Full => CallError::Busy { addr: self.link.name.clone() },
            Refused::Closed => self.closed_error(),
        })?;
        let call = PendingCall { connection: self.clone(), opaque, after: timeout, is_over: false };
        if is_nearer {
            self.link.wake.notify_one();
        }
        request.opaque = opaque;
        if self.write(&request, now) || self.queue(&request) { Ok(call) } else { Err(self.closed_error()) }
    }

    /// Sends a request that nobody answers. Waits for room when the peer is slow to read.
    ///
    /// # Errors
    /// [`CallError::Closed`] and [`CallError::TooLarge`]. Success means queued, not arrived.
    pub async fn oneway(&self, mut request: RemotingCommand) -> Result<(), CallError> {
        self.sign(&mut request)?;
        self.room().await?;
        request.opaque = lock(&self.link.calls).number();
        request.set_oneway();
        if self.write(&request, Instant::now()) || self.queue(&request) {
            Ok(())
        } else {
            Err(self.closed_error())
        }
    }

    /// Sends a request that nobody answers if there is room for it right now.
    ///
    /// Returns false, and sends nothing, when too many bytes wait to be written or the connection is closed.
    pub fn oneway_ready(&self, mut request: RemotingCommand) -> bool {
        if self.is_full() || self.sign(&mut request).is_err() {
            return false;
        }
        request.opaque = lock(&self.link.calls).number();
        request.set_oneway();
        self.queue(&request)
    }

    /// Sends an answer later than [`Handler::handle`]. Never waits.
    ///
    /// Returns false when the connection is closed. A peer that lets answers pile up beyond every limit is
    /// closed here.
    pub fn reply(&self, reply: RemotingCommand) -> bool {
        let config = &self.link.config;
        let most = if self.link.is_pressed() { config.read_pause_at } else { config.replies_max() };
        let pending = self.write_pending();
        if pending >= most {
            if !self.is_closed() {
                tracing::warn!(peer = %self.link.name, pending, "closing a peer that does not read its answers");
            }
            self.close();
            return false;
        }
        self.queue(&fitting(reply))
    }

    /// Bytes that wait to be written.
    pub fn write_pending(&self) -> usize {
        self.link.pending.load(Ordering::Acquire)
    }

    /// Whether nothing can be sent any more.
    pub fn is_closed(&self) -> bool {
        self.link.state.load(Ordering::Acquire) != OPEN
    }

    /// Closes the connection: nothing more is read or accepted, and what waits is written as far as the peer
    /// takes it within [`RemotingConfig::drain_timeout`].
    pub fn close(&self) {
        if self.link.state.compare_exchange(OPEN, CLOSING, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            self.link.wake.notify_one();
            self.link.room.notify_waiters();
        }
    }

    /// Returns once the connection is gone and [`Handler::closed`] has been called.
    pub async fn closed(&self) {
        let mut gone = pin!(self.link.gone.notified());
        gone.as_mut().enable();
        if self.link.state.load(Ordering::Acquire) != CLOSED {
            gone.await;
        }
    }

    /// How long ago bytes went either way.
    pub(crate) fn idle(&self) -> Duration {
        self.since(&self.link.active_ms)
    }

    /// How long ago bytes came from the peer, or how long it has been connected without a word.
    pub fn silent(&self) -> Duration {
        self.since(&self.link.heard_ms)
    }

    fn since(&self, ms: &AtomicU64) -> Duration {
        self.link.opened_at.elapsed().saturating_sub(Duration::from_millis(ms.load(Ordering::Relaxed)))
    }

    /// How long a peer that has not sent one whole frame has been connected.
    pub(crate) fn frameless(&self) -> Option<Duration> {
        (!self.link.framed.load(Ordering::Relaxed)).then(|| self.link.opened_at.elapsed())
    }

    fn is_full(&self) -> bool {
        self.write_pending() >= self.link.config.write_pending_max
    }

    fn closed_error(&self) -> CallError {
        CallError::Closed { addr: self.link.name.clone() }
    }

    /// Signs a request if there is an account, and checks that it fits a frame.
    fn sign(&self, request: &mut RemotingCommand) -> Result<(), CallError> {
        if let Some(credentials) = &self.link.config.credentials {
            credentials.sign(request);
        }
        match too_large(request) {
            Some(len) => Err(CallError::TooLarge { addr: self.link.name.clone(), len }),
            None => Ok(()),
        }
    }

    /// Waits until fewer bytes are pending than their limit.
    async fn room(&self) -> Result<(), CallError> {
        while self.is_full() || self.is_closed() {
            let mut room = pin!(self.link.room.notified());
            room.as_mut().enable();
            if self.is_closed() {
                return Err(self.closed_error());
            }
            if !self.is_full() {
                return Ok(());
            }
            room.await;
        }
        Ok(())
    }

    /// Writes a frame at once, on the caller's own task, which saves the way to the connection's: if it is the
    /// first since the last read and nothing is before it. False when it is still to be queued.
    fn write(&self, command: &RemotingCommand, now: Instant) -> bool {
        let link = &*self.link;
        if !link.prompt.load(Ordering::Relaxed) || !link.prompt.swap(false, Ordering::Relaxed) {
            return false;
        }
        let Ok(mut writer) = link.writer.try_lock() else { return false };
        let Some(socket) = writer.socket.clone() else { return false };
        if self.is_closed() || !writer.out.is_empty() || !lock(&link.queue).is_empty() {
            return false;
        }
        let (len, written) = HEAD.with_borrow_mut(|head| {
            frame::encode_head(command, head);
            let frame = [IoSlice::new(head), IoSlice::new(&command.body)];
            // An error shows again when the task writes what is left.
            let written = send((*socket).as_ref(), &frame).unwrap_or(0);
            let len = head.len() + command.body.len();
            if head.capacity() > SPARE_HEAD_MAX {
                *head = BytesMut::new()
            } else {
                head.clear()
            }
            (len, written)
        });
        if written > 0 {
            link.note_activity(now);
        }
        if written < len {
            link.add_pending(writer.out.push(command));
            writer.out.advance(written);
            link.sub_pending(written);
            drop(writer);
            link.wake.notify_one();
        }
        true
    }

    /// Hands a frame to the task; false when the connection is closed.
    fn queue(&self, command: &RemotingCommand) -> bool {
        let mut queue = lock(&self.link.queue);
        if self.is_closed() {
            return false;
        }
        let was_empty = queue.is_empty();
        self.link.add_pending(queue.push(command));
        drop(queue);
        // A queue that was not empty has woken the task already.
        if was_empty {
            self.link.wake.notify_one();
        }
        true
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection {} to {}", self.link.id, self.link.name)
    }
}

/// An answer that fits a frame: one that does not is replaced by its refusal, so that the peer gets one.
pub(crate) fn fitting(reply: RemotingCommand) -> RemotingCommand {
    let Some(len) = too_large(&reply) else { return reply };
    tracing::error!(opaque = reply.opaque, len, "an answer exceeds the greatest frame");
    reply.reply_error(ResponseCode::SYSTEM_ERROR, "the answer exceeds the greatest frame")
}

/// A request whose answer is awaited. Dropping it gives the call up: an answer that still comes is ignored.
///
/// The task that it wakes is woken from the connection's, with no lock held: once the answer is there, the time is up
/// or the connection is closed.
#[derive(Debug)]
#[must_use = "nobody learns of the answer"]
pub struct PendingCall {
    connection: Connection,
    opaque: i32,
    after: Duration,
    /// It is no longer in the table.
    is_over: bool,
}

impl Future for PendingCall {
    type Output = Result<RemotingCommand, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(lock(&self.connection.link.calls).poll(self.opaque, cx));
        self.is_over = true;
        Poll::Ready(answer.map_err(|reason| match reason {
            NoAnswer::Expired => {
                CallError::Timeout { addr: self.connection.link.name.clone(), after: self.after }
            }
            NoAnswer::Closed => self.connection.closed_error(),
        }))
    }
}

impl Drop for PendingCall {
    fn drop(&mut self) {
        if !self.is_over {
            // Dropped once the lock is free.
            let _call = lock(&self.connection.link.calls).forget(self.opaque);
        }
    }
}
