//! A connection's bytes: plain, or through TLS.
//!
//! Plain sockets take vectored writes straight from where the frames lie, also from callers; nothing is between them
//! and the system. Java counterpart: Netty's pipeline with and without its `SslHandler`.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

#[cfg(feature = "tls")]
type TlsStream = tokio_rustls::TlsStream<TcpStream>;

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
                write.try_write_vectored(slices)
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
