//! One connection: the handle that everybody shares, and the task that owns the socket.
//!
//! ```text
//! loop:  read → decode every complete frame → Handler::handle once → write all answers at once
//!                       │ answers to own calls → their waiters
//!        queued frames (calls, late answers) → the same write
//! ```
//!
//! Nothing but the task touches the socket, and no request costs a task or a thread hop. While nothing is
//! under way the task owns no buffer: bytes are read into a buffer of the thread and copied once, sized
//! right, so that a retained text or body keeps only the bytes of its own read alive.
//!
//! Java counterparts: `NettyRemotingAbstract` and the handlers of `NettyRemotingServer`.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, ready};
use std::time::Duration;
use std::{fmt, io};

use bytes::{BufMut, BytesMut};
use ferrocket_protocol::command::RemotingCommand;
use ferrocket_protocol::frame::{self, FRAME_LEN_MAX, FrameError};
use ferrocket_protocol::response_code::ResponseCode;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::ReadHalf;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::calls::{Calls, Refused};
use crate::config::RemotingConfig;
use crate::error::CallError;
use crate::outbound::{Outbound, SLICES_MAX, too_large};

/// Most bytes of one read; the size of each thread's read buffer.
const READ_MAX: usize = 64 * 1024;
/// A frame of which so much has come, and of which so much is missing, is read straight into its place.
const DIRECT_MIN: usize = 16 * 1024;
/// Most frames handled between two writes, so that one peer cannot hold its thread for long.
const ROUND_FRAMES_MAX: usize = 256;

thread_local! {
    static READ_BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_MAX]);
}

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
const CLOSING: u8 = 1;
/// The socket is gone.
const CLOSED: u8 = 2;

/// A cheap handle to a connection, shared by everybody who talks to the peer.
///
/// Dropping handles does not close the connection: its task lives until either side closes it.
#[derive(Clone)]
pub struct Connection {
    link: Arc<Link>,
}

/// What the task and the handles of a connection share.
struct Link {
    id: u64,
    peer_addr: SocketAddr,
    local_addr: SocketAddr,
    /// The address as the peer is called in errors: what was dialled, or where it came from.
    name: String,
    config: Arc<RemotingConfig>,
    state: AtomicU8,
    /// Waiters of our own calls. Never held together with `queue`.
    calls: Mutex<Calls<oneshot::Sender<RemotingCommand>>>,
    /// Frames that the task has not taken over yet. Held only to encode one frame or to take all.
    queue: Mutex<Outbound>,
    /// Bytes in `queue` and in the task's own output.
    pending: AtomicUsize,
    /// Tells the task that the queue is no longer empty, or that it shall close.
    wake: Notify,
    /// Tells waiting callers that `pending` fell below its limit, or that the connection closed.
    room: Notify,
    /// Tells [`Connection::closed`].
    gone: Notify,
    opened_at: Instant,
    /// When bytes last went either way, in milliseconds after `opened_at`.
    active_ms: AtomicU64,
    /// Whether a whole frame has come.
    framed: AtomicBool,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Both tables are valid after every single operation, so a panic elsewhere does not spoil them.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Connection {
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
        match tokio::time::timeout(timeout, self.answer(request)).await {
            Ok(answered) => answered,
            Err(_) => Err(CallError::Timeout { addr: self.link.name.clone(), after: timeout }),
        }
    }

    async fn answer(&self, mut request: RemotingCommand) -> Result<RemotingCommand, CallError> {
        self.fits(&request)?;
        self.room().await?;
        let (waiter, answer) = oneshot::channel();
        let opaque = lock(&self.link.calls).enter(waiter).map_err(|refused| match refused {
            Refused::Full => CallError::Busy { addr: self.link.name.clone() },
            Refused::Closed => self.closed_error(),
        })?;
        let _waiting = Waiting { link: &self.link, opaque };
        request.opaque = opaque;
        if !self.queue(&request) {
            return Err(self.closed_error());
        }
        drop(request);
        answer.await.map_err(|_| self.closed_error())
    }

    /// Sends a request that nobody answers. Waits for room when the peer is slow to read.
    ///
    /// # Errors
    /// [`CallError::Closed`] and [`CallError::TooLarge`]. Success means queued, not arrived.
    pub async fn oneway(&self, mut request: RemotingCommand) -> Result<(), CallError> {
        self.fits(&request)?;
        self.room().await?;
        request.opaque = lock(&self.link.calls).number();
        request.set_oneway();
        if self.queue(&request) { Ok(()) } else { Err(self.closed_error()) }
    }

    /// Sends a request that nobody answers if there is room for it right now.
    ///
    /// Returns false, and sends nothing, when too many bytes wait to be written or the connection is closed.
    pub fn oneway_ready(&self, mut request: RemotingCommand) -> bool {
        if self.is_full() || self.fits(&request).is_err() {
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
        let most = self.link.config.write_pending_max.saturating_mul(RemotingConfig::REPLIES_FACTOR);
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
        let active = Duration::from_millis(self.link.active_ms.load(Ordering::Relaxed));
        self.link.opened_at.elapsed().saturating_sub(active)
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

    fn fits(&self, request: &RemotingCommand) -> Result<(), CallError> {
        match too_large(request) {
            Some(len) => Err(CallError::TooLarge { addr: self.link.name.clone(), len }),
            None => Ok(()),
        }
    }

    /// Waits until fewer bytes are pending than their limit.
    async fn room(&self) -> Result<(), CallError> {
        loop {
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
    }

    /// Hands a frame to the task; false when the connection is closed.
    fn queue(&self, command: &RemotingCommand) -> bool {
        let mut queue = lock(&self.link.queue);
        if self.is_closed() {
            return false;
        }
        let was_empty = queue.is_empty();
        let added = queue.push(command);
        self.link.pending.fetch_add(added, Ordering::AcqRel);
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
fn fitting(reply: RemotingCommand) -> RemotingCommand {
    let Some(len) = too_large(&reply) else { return reply };
    tracing::error!(opaque = reply.opaque, len, "an answer exceeds the greatest frame");
    reply.reply_error(ResponseCode::SYSTEM_ERROR, "the answer exceeds the greatest frame")
}

/// Forgets a call whose caller no longer waits.
struct Waiting<'a> {
    link: &'a Link,
    opaque: i32,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        lock(&self.link.calls).take(self.opaque);
    }
}

/// Why a connection ends.
enum End {
    /// Somebody on this side closed it, and everything is written.
    Closed,
    /// The peer closed it.
    PeerClosed,
    /// The system reports an error.
    Io(io::Error),
    /// The peer's bytes are no frames.
    Broken(FrameError),
    /// The peer reads nothing.
    Stalled,
    /// All connections together hold too many bytes of incomplete frames.
    PartialTotal,
}

/// What the first four bytes probably were if they were no frame length.
fn looks_like(error: &FrameError) -> &'static str {
    let FrameError::Length(len) = error else { return "" };
    match len.to_be_bytes() {
        [0x16, 0x03, ..] => "a TLS hello; this port speaks plain text",
        [b'G', b'E', b'T', b' ']
        | [b'P', b'U', b'T', b' ']
        | [b'P', b'O', b'S', b'T']
        | [b'H', b'E', b'A', b'D'] => "an HTTP request",
        _ => "",
    }
}

/// Owns the socket; runs as one task.
pub(crate) struct Driver {
    connection: Connection,
    handler: Arc<dyn Handler>,
    /// Accepted rather than dialled. Only an accepting side stops reading while its output waits: if both
    /// sides did, two busy peers could wait for each other for ever.
    accepted: bool,
    /// Bytes of the frame, or frames, not handled yet.
    partial: BytesMut,
    /// Bytes of incomplete frames of all connections of the listener, and our share of it.
    partial_total: Arc<AtomicUsize>,
    partial_share: usize,
    /// What is being written.
    out: Outbound,
    /// Since when the peer has taken nothing of `out`.
    stalled_since: Instant,
}

impl Driver {
    /// A connection over this socket. Nothing happens before [`Driver::run`].
    pub(crate) fn new(
        stream: &TcpStream,
        name: Option<&str>,
        handler: Arc<dyn Handler>,
        config: Arc<RemotingConfig>,
        partial_total: Option<Arc<AtomicUsize>>,
    ) -> io::Result<Self> {
        let peer_addr = stream.peer_addr()?;
        let now = Instant::now();
        let link = Link {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            peer_addr,
            local_addr: stream.local_addr()?,
            name: name.map_or_else(|| peer_addr.to_string(), str::to_owned),
            state: AtomicU8::new(OPEN),
            calls: Mutex::new(Calls::new(config.calls_max)),
            queue: Mutex::default(),
            pending: AtomicUsize::new(0),
            wake: Notify::new(),
            room: Notify::new(),
            gone: Notify::new(),
            opened_at: now,
            active_ms: AtomicU64::new(0),
            framed: AtomicBool::new(false),
            config,
        };
        Ok(Self {
            connection: Connection { link: Arc::new(link) },
            handler,
            accepted: partial_total.is_some(),
            partial: BytesMut::new(),
            partial_total: partial_total.unwrap_or_default(),
            partial_share: 0,
            out: Outbound::default(),
            stalled_since: now,
        })
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Serves the connection until it ends.
    pub(crate) async fn run(mut self, mut stream: TcpStream) {
        self.handler.opened(&self.connection);
        let end = self.serve(&mut stream).await;
        let peer = &self.connection.link.name;
        match end {
            End::Closed => tracing::debug!(peer, "connection closed"),
            End::PeerClosed => tracing::debug!(peer, "connection closed by the peer"),
            End::Io(error) => tracing::debug!(peer, %error, "connection failed"),
            End::Broken(error) => {
                let looks_like = looks_like(&error);
                tracing::warn!(peer, %error, looks_like, "closing a peer that breaks the protocol");
            }
            End::Stalled => tracing::warn!(peer, "closing a peer that does not read"),
            End::PartialTotal => tracing::warn!(peer, "closing a peer: too many incomplete frames are held"),
        }
    }

    async fn serve(&mut self, stream: &mut TcpStream) -> End {
        let link = self.connection.link.clone();
        let (mut reader, writer) = stream.split();
        let mut drain_until = None;
        let mut more = false;
        loop {
            self.out.append(&mut lock(&link.queue));
            if let Err(end) = self.write(|slices| writer.try_write_vectored(slices)) {
                return end;
            }
            let closing = self.connection.is_closed();
            if closing {
                let until = *drain_until.get_or_insert_with(|| Instant::now() + link.config.drain_timeout);
                // A frame that was queued before the state changed is seen by the next turn's append.
                if self.out.is_empty() && lock(&link.queue).is_empty() || Instant::now() >= until {
                    return End::Closed;
                }
            }
            let reading =
                !closing && (!self.accepted || self.connection.write_pending() < link.config.read_pause_at);
            if reading && more {
                match self.round() {
                    Ok(again) => more = again,
                    Err(end) => return self.last_words(end, |slices| writer.try_write_vectored(slices)),
                }
                // Many frames in one go must not starve the thread's other connections.
                tokio::task::yield_now().await;
                continue;
            }
            let waiting = !self.out.is_empty();
            let give_up = drain_until.unwrap_or(self.stalled_since + link.config.write_stall);
            tokio::select! {
                () = link.wake.notified() => {}
                read = read(&mut reader, &mut self.partial), if reading => match read {
                    Ok(0) => {
                        // The peer may have closed only its sending half and still read answers.
                        if link.pending.load(Ordering::Acquire) == 0 {
                            return End::PeerClosed;
                        }
                        self.connection.close();
                    }
                    Ok(_) => match self.round() {
                        Ok(again) => more = again,
                        Err(end) => return self.last_words(end, |slices| writer.try_write_vectored(slices)),
                    },
                    Err(error) => return End::Io(error),
                },
                writable = writer.writable(), if waiting => if let Err(error) = writable {
                    return End::Io(error);
                },
                () = tokio::time::sleep_until(give_up), if waiting => {
                    return if closing { End::Closed } else { End::Stalled };
                }
            }
        }
    }

    /// Decodes and handles what has been read; true when whole frames are left for another round.
    fn round(&mut self) -> Result<bool, End> {
        let link = &self.connection.link;
        link.active_ms.store(link.opened_at.elapsed().as_millis() as u64, Ordering::Relaxed);
        let mut requests = Vec::new();
        let mut decoded = 0;
        let mut broken = None;
        while decoded < ROUND_FRAMES_MAX {
            match frame::decode(&mut self.partial) {
                Ok(Some(command)) if command.is_response() => {
                    decoded += 1;
                    // Nobody waits any more for the answer to a call given up.
                    let waiter = lock(&link.calls).take(command.opaque);
                    if let Some(waiter) = waiter {
                        let _ = waiter.send(command);
                    }
                }
                Ok(Some(command)) => {
                    decoded += 1;
                    requests.push(command);
                }
                Ok(None) => break,
                Err(error) => {
                    broken = Some(error);
                    break;
                }
            }
        }
        if decoded > 0 {
            link.framed.store(true, Ordering::Relaxed);
        }
        if !requests.is_empty() {
            let mut replies = Vec::with_capacity(requests.len());
            self.handler.handle(&self.connection, &mut requests, &mut replies);
            let before = self.out.len();
            for reply in replies {
                self.out.push(&fitting(reply));
            }
            self.connection.link.pending.fetch_add(self.out.len() - before, Ordering::AcqRel);
        }
        match broken {
            Some(error) => Err(End::Broken(error)),
            None => self.keep_partial(decoded > 0).map(|()| decoded == ROUND_FRAMES_MAX),
        }
    }

    /// Keeps the bytes of an incomplete frame without the memory of the frames that came with it.
    fn keep_partial(&mut self, decoded: bool) -> Result<(), End> {
        if decoded {
            self.partial = BytesMut::from(&self.partial[..]);
        }
        let share = self.partial.len();
        let total = if share >= self.partial_share {
            let more = share - self.partial_share;
            self.partial_total.fetch_add(more, Ordering::Relaxed) + more
        } else {
            let less = self.partial_share - share;
            self.partial_total.fetch_sub(less, Ordering::Relaxed) - less
        };
        self.partial_share = share;
        if share > 0 && self.accepted && total > self.connection.link.config.partial_total_max {
            return Err(End::PartialTotal);
        }
        Ok(())
    }

    /// Writes as much as the system takes right now.
    fn write(&mut self, try_write: impl Fn(&[IoSlice<'_>]) -> io::Result<usize>) -> Result<(), End> {
        let link = &self.connection.link;
        let mut taken = 0;
        let result = loop {
            if self.out.is_empty() {
                break Ok(());
            }
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let filled = self.out.slices(&mut slices);
            match try_write(&slices[..filled]) {
                Ok(0) => break Err(End::PeerClosed),
                Ok(written) => {
                    self.out.advance(written);
                    taken += written;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(End::Io(error)),
            }
        };
        if taken > 0 {
            let now = Instant::now();
            self.stalled_since = now;
            link.active_ms.store((now - link.opened_at).as_millis() as u64, Ordering::Relaxed);
            let before = link.pending.fetch_sub(taken, Ordering::AcqRel);
            let limit = link.config.write_pending_max;
            if before >= limit && before - taken < limit {
                link.room.notify_waiters();
            }
        }
        result
    }

    /// Answers the good requests that came before a fault, as far as the system takes it right now.
    fn last_words(&mut self, end: End, try_write: impl Fn(&[IoSlice<'_>]) -> io::Result<usize>) -> End {
        let _ = self.write(try_write);
        end
    }
}

impl Drop for Driver {
    // Here and not at the end of `run`, so that waiters learn of it after a handler's panic or when the
    // runtime drops the task.
    fn drop(&mut self) {
        let link = &self.connection.link;
        {
            // Under the queue's lock: what is queued from now on is refused.
            let mut queue = lock(&link.queue);
            link.state.store(CLOSING, Ordering::Release);
            *queue = Outbound::default();
        }
        link.pending.store(0, Ordering::Release);
        drop(lock(&link.calls).close());
        link.room.notify_waiters();
        self.partial_total.fetch_sub(self.partial_share, Ordering::Relaxed);
        self.handler.closed(&self.connection);
        link.state.store(CLOSED, Ordering::Release);
        link.gone.notify_waiters();
    }
}

/// Reads what is there into `partial`; 0 at the end of the stream. Owns nothing while it waits.
async fn read(reader: &mut ReadHalf<'_>, partial: &mut BytesMut) -> io::Result<usize> {
    let missing = frame::missing(partial, FRAME_LEN_MAX);
    if missing >= DIRECT_MIN && partial.len() >= DIRECT_MIN {
        // Room grows with what has come, not with what the peer declares.
        let room = missing.min(partial.len().max(READ_MAX));
        partial.reserve(room);
        return reader.read_buf(&mut partial.limit(room)).await;
    }
    poll_fn(|cx| {
        READ_BUFFER.with_borrow_mut(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            ready!(Pin::new(&mut *reader).poll_read(cx, &mut buffer))?;
            partial.extend_from_slice(buffer.filled());
            Poll::Ready(Ok(buffer.filled().len()))
        })
    })
    .await
}
