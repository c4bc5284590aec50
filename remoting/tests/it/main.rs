//! Remoting through its public calls, over loopback sockets.

mod calls;
mod hostile;
mod lifecycle;
mod limits;
mod server;
mod socks;
#[cfg(feature = "tls")]
mod tls;
