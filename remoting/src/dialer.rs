//! Connections to peers by address.
//!
//! Java counterpart: `NettyRemotingClient` and its `channelTables`.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferrocket_protocol::command::RemotingCommand;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::config::RemotingConfig;
use crate::connection::{Connection, Handler, PendingCall, deadline, lock};
use crate::error::CallError;
use crate::serve::Driver;
use crate::stream::Stream;

/// Opens a connection to `host:port` and serves it on a task of its own.
///
/// # Errors
/// [`CallError::Connect`], also when [`RemotingConfig::connect_timeout`] passes.
pub async fn dial(
    addr: &str,
    handler: Arc<dyn Handler>,
    config: &RemotingConfig,
) -> Result<Connection, CallError> {
    open(addr, handler, Arc::new(config.clone()))
        .await
        .map_err(|source| CallError::Connect { addr: addr.to_owned(), source })
}

async fn open(addr: &str, handler: Arc<dyn Handler>, config: Arc<RemotingConfig>) -> io::Result<Connection> {
    let timeout = config.connect_timeout;
    let dialled = async {
        let stream = match &config.socks_proxy {
            None => TcpStream::connect(addr).await?,
            Some(proxy) => proxy.connect(addr).await?,
        };
        prepare(&stream, &config)?;
        let driver = Driver::new(&stream, Some(addr), handler, config.clone(), None)?;
        let stream = match &config.client_tls {
            None => Stream::plain(stream),
            Some(tls) => tls.connect(addr, stream).await?,
        };
        io::Result::Ok((driver, stream))
    };
    let Ok(dialled) = tokio::time::timeout(timeout, dialled).await else {
        let text = format!("no connection within {timeout:?}");
        return Err(io::Error::new(io::ErrorKind::TimedOut, text));
    };
    let (driver, stream) = dialled?;
    let connection = driver.connection().clone();
    tokio::spawn(driver.run(stream));
    Ok(connection)
}

/// Sets what every socket has: no delay of small writes, and probes for peers that vanished.
pub(crate) fn prepare(stream: &TcpStream, config: &RemotingConfig) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(config.keepalive))?;
    if let Some(len) = config.send_buffer {
        socket.set_send_buffer_size(len)?;
    }
    if let Some(len) = config.receive_buffer {
        socket.set_recv_buffer_size(len)?;
    }
    Ok(())
}

/// One live connection per address, dialled when it is first needed, once for all who wait for it, and
/// again after it was lost.
#[derive(Clone)]
pub struct Dialer {
    handler: Arc<dyn Handler>,
    config: Arc<RemotingConfig>,
    /// Whom we are connected to or about to be. Held only to look up, which in so small a map costs less than a hash,
    /// and to exchange entries.
    peers: Arc<Mutex<BTreeMap<String, Peer>>>,
}

/// What waiters of a dial see: nothing yet, then the connection or why there is none.
type Dialled = Option<Result<Connection, (io::ErrorKind, String)>>;

#[derive(Clone)]
enum Peer {
    Dialling(watch::Receiver<Dialled>),
    Connected(Connection),
}

impl Dialer {
    /// No connections yet. `handler` handles what peers request of us.
    pub fn new(handler: Arc<dyn Handler>, config: RemotingConfig) -> Self {
        Self { handler, config: Arc::new(config), peers: Arc::default() }
    }

    /// The connection to `addr` (`host:port`), dialled if there is none.
    ///
    /// # Errors
    /// [`CallError::Connect`]; [`CallError::Closed`] when it was closed meanwhile by
    /// [`Dialer::forget`] or [`Dialer::close_all`].
    pub async fn connection(&self, addr: &str) -> Result<Connection, CallError> {
        let mut dialled = match self.look_up(addr) {
            Peer::Connected(connection) => return Ok(connection),
            Peer::Dialling(dialled) => dialled,
        };
        match dialled.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(Ok(connection))) => Ok(connection.clone()),
            Ok(Some(Err((kind, text)))) => {
                Err(CallError::Connect { addr: addr.to_owned(), source: io::Error::new(*kind, text.clone()) })
            }
            Ok(None) | Err(_) => Err(CallError::Closed { addr: addr.to_owned() }),
        }
    }

    /// The live connection or the dial under way; begins a dial if there is neither.
    fn look_up(&self, addr: &str) -> Peer {
        let mut peers = lock(&self.peers);
        match peers.get(addr) {
            Some(Peer::Connected(connection)) if connection.is_closed() => {}
            Some(peer) => return peer.clone(),
            None => {}
        }
        peers.retain(|_, peer| !matches!(peer, Peer::Connected(connection) if connection.is_closed()));
        let (dialled, waiter) = watch::channel(None);
        peers.insert(addr.to_owned(), Peer::Dialling(waiter.clone()));
        // A task of its own: a caller that gives up must not take the others' dial with it.
        tokio::spawn(self.clone().dial(addr.to_owned(), dialled));
        Peer::Dialling(waiter)
    }

    async fn dial(self, addr: String, dialled: watch::Sender<Dialled>) {
        let result = open(&addr, self.handler.clone(), self.config.clone()).await;
        let mut peers = lock(&self.peers);
        let ours =
            matches!(peers.get(&addr), Some(Peer::Dialling(dial)) if dial.same_channel(&dialled.subscribe()));
        match result {
            Ok(connection) if ours => {
                peers.insert(addr, Peer::Connected(connection.clone()));
                dialled.send_replace(Some(Ok(connection)));
            }
            // Forgotten while it was dialled: dropping the sender tells the waiters.
            Ok(connection) => connection.close(),
            Err(error) => {
                if ours {
                    peers.remove(&addr);
                }
                dialled.send_replace(Some(Err((error.kind(), error.to_string()))));
            }
        }
    }

    /// [`Connection::call`] over the connection to `addr`; `timeout` covers the dial too.
    ///
    /// # Errors
    /// As [`Dialer::connection`] and [`Connection::call`].
    pub async fn call(
        &self,
        addr: &str,
        request: RemotingCommand,
        timeout: Duration,
    ) -> Result<RemotingCommand, CallError> {
        self.begin(addr, request, Instant::now(), timeout).await?.await
    }

    /// [`Connection::begin`] over the connection to `addr`. The time for dial and answer counts from `now`.
    ///
    /// # Errors
    /// As [`Dialer::connection`] and [`Connection::begin`].
    pub async fn begin(
        &self,
        addr: &str,
        request: RemotingCommand,
        now: Instant,
        timeout: Duration,
    ) -> Result<PendingCall, CallError> {
        let connection = match self.existing(addr) {
            Some(connection) => connection,
            // Rare: with memory of its own it is no part of every call.
            None => Box::pin(self.connection_by(addr, now, timeout)).await?,
        };
        connection.begin(request, now, timeout).await
    }

    /// [`Dialer::connection`] within the time of a call.
    async fn connection_by(
        &self,
        addr: &str,
        now: Instant,
        timeout: Duration,
    ) -> Result<Connection, CallError> {
        match tokio::time::timeout_at(deadline(now, timeout), self.connection(addr)).await {
            Ok(dialled) => dialled,
            Err(_) => Err(CallError::Timeout { addr: addr.to_owned(), after: timeout }),
        }
    }

    /// [`Connection::oneway`] over the connection to `addr`.
    ///
    /// # Errors
    /// As [`Dialer::connection`] and [`Connection::oneway`].
    pub async fn oneway(&self, addr: &str, request: RemotingCommand) -> Result<(), CallError> {
        self.connection(addr).await?.oneway(request).await
    }

    /// The connection to `addr` if there is a live one.
    pub fn existing(&self, addr: &str) -> Option<Connection> {
        match lock(&self.peers).get(addr) {
            Some(Peer::Connected(connection)) if !connection.is_closed() => Some(connection.clone()),
            _ => None,
        }
    }

    /// Closes the connection to `addr`, or gives up its dial.
    pub fn forget(&self, addr: &str) {
        if let Some(Peer::Connected(connection)) = lock(&self.peers).remove(addr) {
            connection.close();
        }
    }

    /// Has the next call to `addr` dial anew. The connection it has finishes what is under way, and ends when its
    /// peer closes it or it has been idle: for a peer that said that it is about to go.
    pub fn retire(&self, addr: &str) {
        let mut peers = lock(&self.peers);
        // A dial under way is as new as it can be.
        if let Some(Peer::Connected(_)) = peers.get(addr) {
            peers.remove(addr);
        }
    }

    /// Closes all connections and gives up all dials. The dialer can be used again.
    pub fn close_all(&self) {
        for (_, peer) in std::mem::take(&mut *lock(&self.peers)) {
            if let Peer::Connected(connection) = peer {
                connection.close();
            }
        }
    }
}
