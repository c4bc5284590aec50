//! Accepts connections and looks after them.
//!
//! Java counterpart: `NettyRemotingServer`.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior};

use crate::accept_rate::AcceptRate;
use crate::config::RemotingConfig;
use crate::connection::{Connection, Handler, Totals, lock};
use crate::dialer::prepare;
use crate::serve::Driver;
use crate::tls::ServerTls;

/// How long accepting pauses after the system refused it (no descriptors left, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Refused and delayed connections are logged no more often than this.
const FLOOD_LOG_EVERY: Duration = Duration::from_secs(10);
/// Longest time between two looks for idle connections.
const SWEEP_MAX: Duration = Duration::from_secs(5);

/// A listening socket.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    local_addr: SocketAddr,
    config: Arc<RemotingConfig>,
    reactors: Reactors,
}

impl Listener {
    /// Listens on `addr`; port 0 takes any free port.
    ///
    /// # Errors
    /// The system's reason why the address cannot be listened on, or no thread be started.
    pub async fn bind(addr: SocketAddr, config: RemotingConfig) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        // A server that is started again right away finds its port held by dead connections otherwise.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&addr.into())?;
        socket.listen(config.backlog)?;
        let socket = TcpListener::from_std(socket.into())?;
        let reactors = Reactors::start(config.reactors)?;
        Ok(Self { local_addr: socket.local_addr()?, socket, config: Arc::new(config), reactors })
    }

    /// The address it listens on, with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves connections until `shutdown` completes. Then accepts and reads no more, writes what is waiting,
    /// closes all connections and returns once they are gone.
    pub async fn serve(self, handler: Arc<dyn Handler>, shutdown: impl Future<Output = ()> + Send) {
        let roster = Arc::new(Roster::default());
        let totals = Arc::new(Totals::default());
        let quickest = self.config.idle_timeout.min(self.config.first_frame_timeout);
        let mut sweep = tokio::time::interval((quickest / 4).clamp(Duration::from_millis(10), SWEEP_MAX));
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut refused, mut delayed) = (Flood::default(), Flood::default());
        let mut rate = AcceptRate::new(self.config.accepts_per_second, Instant::now());
        let mut shutdown = pin!(shutdown);
        let mut certificates = pin!(keep_current(self.config.server_tls.clone()));
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                () = &mut certificates => {}
                _ = sweep.tick() => roster.sweep(&self.config),
                accepted = self.accept(rate.next_at()) => match accepted {
                    Ok((stream, peer)) => {
                        let now = Instant::now();
                        rate.accepted(now);
                        if rate.next_at() > now {
                            delayed.log(peer, "connections come too fast, further ones wait");
                        }
                        match roster.admit(peer.ip(), &self.config) {
                            Some(seat) => self.start(stream, seat, &handler, &totals),
                            None => refused.log(peer, "too many connections"),
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }
        drop(self.socket);
        let connections: Vec<Connection> = lock(&roster.seats).connections.values().cloned().collect();
        for connection in &connections {
            connection.close();
        }
        for connection in connections {
            connection.closed().await;
        }
    }

    /// The next connection, not before `at`: until then it waits in the system's queue.
    async fn accept(&self, at: Instant) -> io::Result<(TcpStream, SocketAddr)> {
        tokio::time::sleep_until(at).await;
        self.socket.accept().await
    }

    fn start(&self, stream: TcpStream, seat: Seat, handler: &Arc<dyn Handler>, totals: &Arc<Totals>) {
        let driver = prepare(&stream, &self.config).and_then(|()| {
            Driver::new(&stream, None, handler.clone(), self.config.clone(), Some(totals.clone()))
        });
        // The peer has gone again already.
        let Ok(driver) = driver else { return };
        let connection = driver.connection();
        let seat = TakenSeat { id: connection.id(), seat };
        lock(&seat.seat.roster.seats).connections.insert(connection.id(), connection.clone());
        match self.reactors.for_connection(connection.id()) {
            None => {
                tokio::spawn(async move {
                    let _seat = seat;
                    driver.run_accepted(stream).await;
                });
            }
            Some(reactor) => {
                reactor.spawn(async move {
                    let _seat = seat;
                    match stream.into_std().and_then(TcpStream::from_std) {
                        Ok(stream) => driver.run_accepted(stream).await,
                        Err(error) => tracing::warn!(%error, "cannot serve an accepted connection"),
                    }
                });
            }
        }
    }
}

/// Follows the files of certificates, for ever.
async fn keep_current(tls: Option<ServerTls>) {
    match tls {
        Some(tls) => tls.keep_current().await,
        None => std::future::pending().await,
    }
}

/// Threads with a runtime each; they end when this is dropped.
#[derive(Debug, Default)]
struct Reactors(Vec<(Handle, oneshot::Sender<()>)>);

impl Reactors {
    fn start(count: usize) -> io::Result<Self> {
        let mut reactors = Vec::new();
        for number in 0..count {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let (stop, stopped) = oneshot::channel::<()>();
            reactors.push((runtime.handle().clone(), stop));
            let run = move || {
                // Completes when its sender is dropped.
                let _ = runtime.block_on(stopped);
            };
            std::thread::Builder::new().name(format!("reactor-{number}")).spawn(run)?;
        }
        Ok(Self(reactors))
    }

    fn for_connection(&self, id: u64) -> Option<&Handle> {
        self.0.get(id as usize % self.0.len().max(1)).map(|(handle, _)| handle)
    }
}

/// Who is connected.
#[derive(Default)]
struct Roster {
    /// Held only to look up and to exchange entries.
    seats: Mutex<Seats>,
}

#[derive(Default)]
struct Seats {
    connections: HashMap<u64, Connection>,
    taken: usize,
    taken_per_ip: HashMap<IpAddr, usize>,
}

impl Roster {
    /// A place for one more connection from `ip`, within the limits.
    fn admit(self: &Arc<Self>, ip: IpAddr, config: &RemotingConfig) -> Option<Seat> {
        let mut seats = lock(&self.seats);
        if seats.taken >= config.connections_max {
            return None;
        }
        let from_ip = seats.taken_per_ip.entry(ip).or_default();
        if *from_ip >= config.connections_per_ip_max {
            return None;
        }
        *from_ip += 1;
        seats.taken += 1;
        Some(Seat { roster: self.clone(), ip })
    }

    /// Closes those who have been silent for too long, or have sent no frame since they came.
    fn sweep(&self, config: &RemotingConfig) {
        for connection in lock(&self.seats).connections.values() {
            if connection.idle() >= config.idle_timeout {
                tracing::info!(?connection, "closing an idle connection");
                connection.close();
            } else if connection.frameless().is_some_and(|since| since >= config.first_frame_timeout) {
                tracing::info!(?connection, "closing a connection that sent no whole frame");
                connection.close();
            }
        }
    }
}

/// One place among the limits; given back when dropped.
struct Seat {
    roster: Arc<Roster>,
    ip: IpAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = lock(&self.roster.seats);
        seats.taken -= 1;
        if let Some(from_ip) = seats.taken_per_ip.get_mut(&self.ip) {
            *from_ip -= 1;
            if *from_ip == 0 {
                seats.taken_per_ip.remove(&self.ip);
            }
        }
    }
}

/// The place of a running connection.
struct TakenSeat {
    seat: Seat,
    id: u64,
}

impl Drop for TakenSeat {
    fn drop(&mut self) {
        lock(&self.seat.roster.seats).connections.remove(&self.id);
    }
}

/// Logs what happens to many connections without letting a flood of them flood the log.
#[derive(Default)]
struct Flood {
    logged_at: Option<Instant>,
    unlogged: usize,
}

impl Flood {
    fn log(&mut self, peer: SocketAddr, what: &str) {
        self.unlogged += 1;
        if self.logged_at.is_none_or(|at| at.elapsed() >= FLOOD_LOG_EVERY) {
            tracing::warn!(%peer, connections = self.unlogged, "{what}");
            self.logged_at = Some(Instant::now());
            self.unlogged = 0;
        }
    }
}
