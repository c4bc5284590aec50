//! The task that owns a connection's socket.
//!
//! ```text
//! loop:  read → decode every complete frame → Handler::handle once → write all answers at once
//!                       │ answers to own calls → their waiters
//!        queued frames (calls, late answers) → the same write
//! ```
//!
//! Nothing but the task reads, and only a caller who finds everybody idle writes, see `Connection::write`. No request
//! costs a task or a thread hop. While nothing is under way the task owns no buffer: bytes are read into a buffer of
//! the thread and copied once, sized right, so that a retained text or body keeps only the bytes of its own read
//! alive. Short answers that a dialled connection reads share blocks of [`BLOCK_LEN`] instead: nobody keeps those of
//! many peers.
//!
//! Java counterparts: `NettyDecoder`, `NettyEncoder` and the handlers of `NettyRemotingServer`.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::io::IoSlice;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker, ready};

use bytes::{BufMut, BytesMut};
use ferrocket_protocol::frame::{self, FRAME_LEN_MAX, FrameError};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use crate::config::RemotingConfig;
use crate::connection::{CLOSED, CLOSING, Connection, Handler, Totals, Writer, fitting, lock};
use crate::outbound::{Outbound, SLICES_MAX};
use crate::soon::Round;
use crate::stream::Stream;

/// Most bytes of one read; the size of each thread's read buffer.
const READ_MAX: usize = 64 * 1024;
/// Bytes of a block for short reads.
const BLOCK_LEN: usize = 4 * 1024;
/// Most bytes of a read that goes to a block.
const SHORT_MAX: usize = BLOCK_LEN / 8;
/// A frame of which so much has come, and of which so much is missing, is read straight into its place.
const DIRECT_MIN: usize = 16 * 1024;
/// Most frames handled between two writes, so that one peer cannot hold its thread for long.
const ROUND_FRAMES_MAX: usize = 256;
/// While all connections together have too much to write, those with more than this are not read.
const PRESSED_PENDING_MAX: usize = 64 * 1024;

thread_local! {
    /// Where all reads of the thread begin, and the block that short ones move to.
    static READ_BUFFER: RefCell<(Vec<u8>, BytesMut)> =
        RefCell::new((vec![0; READ_MAX], BytesMut::with_capacity(BLOCK_LEN)));
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
    /// Our share of [`Totals::partial`].
    partial_share: usize,
    /// Since when the peer has taken nothing of what is written; `None` while that is nothing.
    stalled_since: Option<Instant>,
    /// Whether the handler knows of the connection.
    opened: bool,
}

impl Driver {
    /// A connection over this socket: an accepted one if `totals` are given, else a dialled one. Nothing
    /// happens before [`Driver::run`].
    pub(crate) fn new(
        stream: &TcpStream,
        name: Option<&str>,
        handler: Arc<dyn Handler>,
        config: Arc<RemotingConfig>,
        totals: Option<Arc<Totals>>,
    ) -> io::Result<Self> {
        let accepted = totals.is_some();
        let totals = totals.unwrap_or_default();
        let connection = Connection::new(stream.peer_addr()?, stream.local_addr()?, name, config, totals);
        let partial = BytesMut::new();
        let (partial_share, stalled_since, opened) = (0, None, false);
        Ok(Self { connection, handler, accepted, partial, partial_share, stalled_since, opened })
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Serves an accepted connection until it ends, as TLS where that is taken and the peer begins with it.
    pub(crate) async fn run_accepted(self, stream: TcpStream) {
        let link = self.connection.link.clone();
        let Some(tls) = &link.config.server_tls else { return self.run(Stream::plain(stream)).await };
        let closed = async {
            while !self.connection.is_closed() {
                link.wake.notified().await;
            }
        };
        let accepted = tokio::select! {
            accepted = tls.accept(stream) => accepted,
            // Also when no whole frame comes in time.
            () = closed => return,
        };
        match accepted {
            Ok(stream) => self.run(stream).await,
            Err(error) => tracing::warn!(peer = link.name, %error, "closing a peer: no TLS handshake"),
        }
    }

    /// Serves the connection until it ends.
    pub(crate) async fn run(mut self, mut stream: Stream) {
        self.opened = true;
        lock(&self.connection.link.writer).socket = stream.shared();
        self.handler.opened(&self.connection);
        let end = self.serve(&mut stream).await;
        poll_fn(|cx| stream.poll_end(cx)).await;
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

    async fn serve(&mut self, stream: &mut Stream) -> End {
        let link = self.connection.link.clone();
        let mut drain_until = None;
        let mut more = false;
        let mut look = None;
        loop {
            if let Err(end) = self.write(stream).await {
                return end;
            }
            let closing = self.connection.is_closed();
            if closing {
                let until = *drain_until.get_or_insert_with(|| Instant::now() + link.config.drain_timeout);
                // What callers left before the state changed is seen by the next turn's write.
                let left = !lock(&link.writer).out.is_empty() || !lock(&link.queue).is_empty();
                if self.stalled_since.is_none() && !left || Instant::now() >= until {
                    return End::Closed;
                }
            }
            let reading = !closing && self.has_room();
            if reading && more {
                match self.round() {
                    Ok(again) => more = again,
                    Err(end) => return self.last_words(end, stream).await,
                }
                // Many frames in one go must not starve the thread's other connections.
                tokio::task::yield_now().await;
                continue;
            }
            let stalled = self.stalled_since.map(|since| since + link.config.write_stall);
            let (give_up, writing) = (drain_until.or(stalled), stalled.is_some());
            tokio::select! {
                // Others that are about to queue go first: many callers' frames become one write.
                () = link.wake.notified() => {
                    tokio::task::yield_now().await;
                    set(&mut look, lock(&link.calls).look_at());
                }
                () = due(&mut look) => {
                    let now = Instant::now();
                    let expired = lock(&link.calls).expire(now);
                    expired.into_iter().for_each(Waker::wake);
                    set(&mut look, lock(&link.calls).look_at());
                }
                event = self.event(stream, reading, writing), if reading || writing => match event {
                    Ok(Event::Writable) => {}
                    Ok(Event::Read(0)) => {
                        // The peer may have closed only its sending half and still read answers.
                        if link.pending.load(Ordering::Acquire) == 0 {
                            return End::PeerClosed;
                        }
                        self.connection.close();
                    }
                    Ok(Event::Read(_)) => match self.round() {
                        Ok(again) => more = again,
                        Err(end) => return self.last_words(end, stream).await,
                    },
                    Err(error) => return End::Io(error),
                },
                () = until(give_up), if writing => {
                    return if closing { End::Closed } else { End::Stalled };
                }
            }
        }
    }

    /// Whether more requests may be taken on, seen from what waits to be written.
    fn has_room(&self) -> bool {
        let (link, pending) = (&self.connection.link, self.connection.write_pending());
        if !self.accepted {
            return pending < link.config.replies_max();
        }
        pending < link.config.read_pause_at && (pending < PRESSED_PENDING_MAX || !link.is_pressed())
    }

    /// Decodes and handles what has been read; true when whole frames are left for another round.
    fn round(&mut self) -> Result<bool, End> {
        let link = &self.connection.link;
        link.note_heard();
        link.prompt.store(true, Ordering::Relaxed);
        let _round = Round::begin();
        let mut requests = Vec::new();
        let mut decoded = 0;
        let mut broken = None;
        let most = if link.is_pressed() { 1 } else { ROUND_FRAMES_MAX };
        while decoded < most {
            match frame::decode(&mut self.partial) {
                Ok(Some(command)) if command.is_response() => {
                    decoded += 1;
                    // Nobody waits any more for the answer to a call given up.
                    let waker = lock(&link.calls).answer(command.opaque, command);
                    if let Some(waker) = waker {
                        waker.wake();
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
            let out = &mut lock(&link.writer).out;
            let added: usize = replies.into_iter().map(|reply| out.push(&fitting(reply))).sum();
            link.add_pending(added);
        }
        match broken {
            Some(error) => Err(End::Broken(error)),
            None => self.keep_partial(decoded > 0).map(|()| decoded == most),
        }
    }

    /// Keeps the bytes of an incomplete frame without the memory of the frames that came with it.
    fn keep_partial(&mut self, decoded: bool) -> Result<(), End> {
        if decoded {
            self.partial = BytesMut::from(&self.partial[..]);
        }
        let (link, share) = (&self.connection.link, self.partial.len());
        let total = if share >= self.partial_share {
            let more = share - self.partial_share;
            link.totals.partial.fetch_add(more, Ordering::Relaxed) + more
        } else {
            let less = self.partial_share - share;
            link.totals.partial.fetch_sub(less, Ordering::Relaxed) - less
        };
        self.partial_share = share;
        if share > 0 && self.accepted && total > link.config.partial_total_max {
            return Err(End::PartialTotal);
        }
        Ok(())
    }

    /// Reads what is there into `partial`, or waits until writing gets on. Owns nothing while it waits.
    async fn event(&mut self, stream: &mut Stream, reading: bool, writing: bool) -> io::Result<Event> {
        poll_fn(|cx| {
            if writing && let Poll::Ready(writable) = stream.poll_writable(cx) {
                return Poll::Ready(writable.map(|()| Event::Writable));
            }
            if !reading {
                return Poll::Pending;
            }
            self.poll_read(stream, cx).map_ok(Event::Read)
        })
        .await
    }

    fn poll_read(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let partial = &mut self.partial;
        let missing = frame::missing(partial, FRAME_LEN_MAX);
        if missing >= DIRECT_MIN && partial.len() >= DIRECT_MIN {
            // Room grows with what has come, not with what the peer declares.
            let room = missing.min(partial.len().max(READ_MAX));
            partial.reserve(room);
            return pin!(stream.read_buf(&mut partial.limit(room))).poll(cx);
        }
        READ_BUFFER.with_borrow_mut(|(buffer, block)| {
            let mut buffer = ReadBuf::new(buffer);
            ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
            if !self.accepted && partial.is_empty() && buffer.filled().len() <= SHORT_MAX {
                block.extend_from_slice(buffer.filled());
                *partial = block.split();
            } else {
                partial.extend_from_slice(buffer.filled());
            }
            Poll::Ready(Ok(buffer.filled().len()))
        })
    }

    /// Writes as much as the system takes right now.
    async fn write(&mut self, stream: &mut Stream) -> Result<(), End> {
        poll_fn(|cx| Poll::Ready(self.write_now(stream, cx))).await
    }

    fn write_now(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Result<(), End> {
        let link = &self.connection.link;
        if self.stalled_since.is_none() && link.pending.load(Ordering::Acquire) == 0 {
            // Without the lock: a caller who was just answered may be writing.
            return Ok(());
        }
        let mut writer = lock(&link.writer);
        let out = &mut writer.out;
        out.append(&mut lock(&link.queue));
        let mut taken = 0;
        let result = loop {
            if out.is_empty() {
                break Ok(());
            }
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let filled = out.slices(&mut slices);
            match stream.try_write(cx, &slices[..filled]) {
                Ok(0) => break Err(End::PeerClosed),
                Ok(written) => {
                    out.advance(written);
                    taken += written;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(End::Io(error)),
            }
        };
        let flushed = match stream.poll_flush(cx) {
            Poll::Ready(Ok(())) => true,
            Poll::Ready(Err(error)) => return Err(End::Io(error)),
            Poll::Pending => false,
        };
        if taken > 0 {
            link.note_activity(Instant::now());
            link.sub_pending(taken);
            self.stalled_since = None;
        }
        if out.is_empty() && flushed {
            self.stalled_since = None;
        } else {
            self.stalled_since.get_or_insert_with(Instant::now);
        }
        result
    }

    /// Answers the good requests that came before a fault, as far as the system takes it right now.
    async fn last_words(&mut self, end: End, stream: &mut Stream) -> End {
        let _ = self.write(stream).await;
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
        *lock(&link.writer) = Writer::default();
        link.sub_pending(link.pending.load(Ordering::Acquire));
        let waiting = lock(&link.calls).close();
        waiting.into_iter().for_each(Waker::wake);
        link.room.notify_waiters();
        link.totals.partial.fetch_sub(self.partial_share, Ordering::Relaxed);
        if self.opened {
            self.handler.closed(&self.connection);
        }
        link.state.store(CLOSED, Ordering::Release);
        link.gone.notify_waiters();
    }
}

/// Sets the timer of calls, which stays as long as it is right.
fn set(look: &mut Option<Pin<Box<Sleep>>>, at: Option<Instant>) {
    match (look.as_mut(), at) {
        (_, None) => *look = None,
        (Some(sleep), Some(at)) if sleep.deadline() == at => {}
        (Some(sleep), Some(at)) => sleep.as_mut().reset(at),
        // Boxed: most connections of a server make no calls.
        (None, Some(at)) => *look = Some(Box::pin(tokio::time::sleep_until(at))),
    }
}

async fn due(look: &mut Option<Pin<Box<Sleep>>>) {
    match look {
        Some(sleep) => sleep.await,
        None => std::future::pending().await,
    }
}

/// Waits until then; for ever without a time.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// What a connection that waits is woken by.
enum Event {
    /// So many bytes were read; 0 is the end of the stream.
    Read(usize),
    /// Writing gets on.
    Writable,
}
