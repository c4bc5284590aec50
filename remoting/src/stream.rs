//! A connection's bytes: plain, or through TLS.
//!
//! Plain sockets take vectored writes straight from where the frames lie, also from callers; nothing is between them
//! and the system. Java counterpart: Netty's pipeline with and without its `SslHandler`.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

#[cfg(feature = "tls")]
type TlsStream = tokio_rustls::TlsStream<Signalless>;

/// A peer that is gone is an error and no signal, which would end a C program. Where the flag is missing, tokio's
/// sockets are made without the signal.
#[cfg(target_os = "linux")]
const SEND_FLAGS: i32 = libc::MSG_NOSIGNAL;
#[cfg(not(target_os = "linux"))]
const SEND_FLAGS: i32 = 0;

/// Writes what is taken right now; `WouldBlock` when that is nothing. The standard library's vectored write is
/// `writev`, which signals.
pub(crate) fn send(tcp: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    let send = || SockRef::from(tcp).send_vectored_with_flags(slices, SEND_FLAGS);
    tcp.try_io(Interest::WRITABLE, send)
}

/// What a connection's task reads and writes.
pub(crate) enum Stream {
    Plain(OwnedReadHalf, Arc<OwnedWriteHalf>),
    /// Boxed, so that a plain connection's task stays small.
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream>),
}

impl Stream {
    pub(crate) fn plain(tcp: TcpStream) -> Self {
        let (read, write) = tcp.into_split();
        Self::Plain(read, Arc::new(write))
    }

    /// What others than the task may write to.
    pub(crate) fn shared(&self) -> Option<Arc<OwnedWriteHalf>> {
        match self {
            Self::Plain(_, write) => Some(Arc::clone(write)),
            #[cfg(feature = "tls")]
            Self::Tls(_) => None,
        }
    }

    /// Writes what is taken right now; `WouldBlock` when that is nothing.
    pub(crate) fn try_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(_, write) => {
                let _ = cx;
                send((**write).as_ref(), slices)
            }
            #[cfg(feature = "tls")]
            Self::Tls(tls) => match tokio::io::AsyncWrite::poll_write_vectored(Pin::new(tls), cx, slices) {
                Poll::Ready(written) => written,
                Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
            },
        }
    }

    /// Ready once the system has everything that was written. TLS holds up to 64 KiB.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(..) => {
                let _ = cx;
                Poll::Ready(Ok(()))
            }
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tokio::io::AsyncWrite::poll_flush(Pin::new(tls), cx),
        }
    }

    /// Ready when writing gets on again after a `WouldBlock`.
    pub(crate) fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(read, _) => AsRef::<TcpStream>::as_ref(read).poll_write_ready(cx),
            #[cfg(feature = "tls")]
            Self::Tls(_) => self.poll_flush(cx),
        }
    }

    /// Tells a TLS peer that nothing was cut off, as far as the system takes it right now: always ready.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Plain(..) => {
                let _ = cx;
            }
            #[cfg(feature = "tls")]
            Self::Tls(tls) => {
                let _ = tokio::io::AsyncWrite::poll_shutdown(Pin::new(tls), cx);
            }
        }
        Poll::Ready(())
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(read, _) => Pin::new(read).poll_read(cx, buffer),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        }
    }
}

/// A socket below TLS, written with [`send`].
#[cfg(feature = "tls")]
pub(crate) struct Signalless(pub(crate) TcpStream);

#[cfg(feature = "tls")]
impl AsyncRead for Signalless {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

#[cfg(feature = "tls")]
impl tokio::io::AsyncWrite for Signalless {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            std::task::ready!(self.0.poll_write_ready(cx))?;
            match send(&self.0, slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
