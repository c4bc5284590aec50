//! The limits and times of connections.
//!
//! Java counterparts: `NettyServerConfig` and `NettyClientConfig`, of which thread pools and Netty's
//! allocator have no meaning here.

use std::time::Duration;

use crate::socks::SocksProxy;
use crate::tls::{ClientTls, ServerTls};
use ferrocket_protocol::acl::Credentials;

/// Limits and times of connections, dialled or accepted. [`Default`] is what servers and clients run with.
#[derive(Clone, Debug)]
pub struct RemotingConfig {
    /// How long a dial may take, name resolution included. Default 3 s.
    pub connect_timeout: Duration,
    /// An accepted connection without a byte in either direction for this long is closed. Default 120 s.
    pub idle_timeout: Duration,
    /// An accepted connection must have sent one whole frame by then, TLS handshake included. Default 10 s.
    pub first_frame_timeout: Duration,
    /// Bytes waiting to be written from which on `oneway` and `call` wait for room. Default 8 MiB.
    ///
    /// Answers may pile up to four times as much; then the peer, which asks and does not read, is closed.
    pub write_pending_max: usize,
    /// Bytes waiting to be written from which on an accepted connection is not read. Default 4 MiB.
    pub read_pause_at: usize,
    /// A peer that takes none of the waiting bytes for this long is closed. Default 60 s.
    pub write_stall: Duration,
    /// How long a closing connection tries to write what is waiting. Default 3 s.
    pub drain_timeout: Duration,
    /// Most connections a listener accepts at once; further ones are closed right away. Default 65,536.
    pub connections_max: usize,
    /// Most connections a listener accepts from one address at once. Default 2,048.
    pub connections_per_ip_max: usize,
    /// Most connections a listener accepts in a second, at least 1, and at once after a pause. Further ones wait
    /// in the system's queue, see [`RemotingConfig::backlog`]. Default 5,000.
    pub accepts_per_second: u32,
    /// Most calls a connection awaits the answers of. Default 65,536.
    pub calls_max: usize,
    /// Most bytes of incomplete frames that all connections of a listener hold together. Default 256 MiB.
    pub partial_total_max: usize,
    /// Most bytes that wait to be written to all connections of a listener together. Beyond it, peers that
    /// are slow to read are read no more until they have taken what waits for them. Default 256 MiB.
    pub write_total_max: usize,
    /// Threads of a listener that serve its connections, each connection on one of them for ever. Default 0:
    /// connections are tasks of the runtime that serves the listener.
    pub reactors: usize,
    /// The listener's queue of connections the system has not handed over yet. Default 1,024.
    pub backlog: i32,
    /// Silence after which the system probes whether the peer is still there. Default 60 s.
    pub keepalive: Duration,
    /// The system's send buffer in bytes, `None` for its own choice (the default).
    pub send_buffer: Option<usize>,
    /// The system's receive buffer in bytes, `None` for its own choice (the default).
    pub receive_buffer: Option<usize>,
    /// How listeners take TLS. Default `None`: plain text alone.
    pub server_tls: Option<ServerTls>,
    /// How TLS is dialled. Default `None`: plain text.
    pub client_tls: Option<ClientTls>,
    /// The proxy that everything is dialled through. Default: none.
    pub socks_proxy: Option<SocksProxy>,
    /// The account that signs every request sent on a connection; answers are never signed. Default: none.
    pub credentials: Option<Credentials>,
}

impl RemotingConfig {
    /// Bytes of waiting answers at which their peer is given up.
    pub(crate) fn replies_max(&self) -> usize {
        self.write_pending_max.saturating_mul(4)
    }
}

impl Default for RemotingConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            idle_timeout: Duration::from_secs(120),
            first_frame_timeout: Duration::from_secs(10),
            write_pending_max: 8 << 20,
            read_pause_at: 4 << 20,
            write_stall: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(3),
            connections_max: 65_536,
            connections_per_ip_max: 2_048,
            accepts_per_second: 5_000,
            calls_max: 65_536,
            partial_total_max: 256 << 20,
            write_total_max: 256 << 20,
            reactors: 0,
            backlog: 1_024,
            keepalive: Duration::from_secs(60),
            send_buffer: None,
            receive_buffer: None,
            server_tls: None,
            client_tls: None,
            socks_proxy: None,
            credentials: None,
        }
    }
}
