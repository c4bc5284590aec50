//! The server that the tests talk to: echoes, holds, refuses and remembers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferrocket_protocol::command::RemotingCommand;
use ferrocket_protocol::frame;
use ferrocket_protocol::requests::{Empty, RequestCode};
use ferrocket_protocol::response_code::ResponseCode;
use ferrocket_remoting::{Connection, Handler, Listener, RemotingConfig};
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Long enough for anything that is bound to happen, short enough to fail a test.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Answered at once with the same body.
pub(crate) const ECHO: RequestCode = RequestCode::SendMessage;
/// Handed to the test, which answers it or not.
pub(crate) const HOLD: RequestCode = RequestCode::PullMessage;
/// Answered with a body of as many bytes as the body says.
pub(crate) const BYTES: RequestCode = RequestCode::QueryMessage;
/// Breaks the handler.
pub(crate) const PANIC: RequestCode = RequestCode::GetBrokerConfig;

pub(crate) fn request(code: RequestCode, body: impl Into<bytes::Bytes>) -> RemotingCommand {
    RemotingCommand::request(code, &Empty).with_body(body)
}

/// What the server's handler tells the test.
pub(crate) struct Events {
    pub(crate) opened: mpsc::UnboundedReceiver<Connection>,
    pub(crate) held: mpsc::UnboundedReceiver<(Connection, RemotingCommand)>,
    pub(crate) closed: mpsc::UnboundedReceiver<u64>,
}

pub(crate) struct Recorder {
    opened: mpsc::UnboundedSender<Connection>,
    held: mpsc::UnboundedSender<(Connection, RemotingCommand)>,
    closed: mpsc::UnboundedSender<u64>,
    /// The most bytes that waited to be written when a request was handled.
    pub(crate) pending_max: AtomicUsize,
    /// Bodies of oneway requests.
    pub(crate) oneways: Mutex<Vec<bytes::Bytes>>,
}

impl Recorder {
    pub(crate) fn new() -> (Arc<Self>, Events) {
        let (opened, opened_events) = mpsc::unbounded_channel();
        let (held, held_events) = mpsc::unbounded_channel();
        let (closed, closed_events) = mpsc::unbounded_channel();
        let (pending_max, oneways) = (AtomicUsize::new(0), Mutex::default());
        (
            Arc::new(Self { opened, held, closed, pending_max, oneways }),
            Events { opened: opened_events, held: held_events, closed: closed_events },
        )
    }
}

impl Handler for Recorder {
    fn handle(
        &self,
        connection: &Connection,
        requests: &mut Vec<RemotingCommand>,
        replies: &mut Vec<RemotingCommand>,
    ) {
        self.pending_max.fetch_max(connection.write_pending(), Ordering::Relaxed);
        for request in requests.drain(..) {
            if request.is_oneway() {
                self.oneways.lock().unwrap().push(request.body);
                continue;
            }
            match request.request_code() {
                Some(ECHO) => {
                    replies.push(request.reply(ResponseCode::SUCCESS).with_body(request.body.clone()))
                }
                Some(BYTES) => {
                    let len = std::str::from_utf8(&request.body).unwrap().trim().parse().unwrap();
                    replies.push(request.reply(ResponseCode::SUCCESS).with_body(vec![1; len]));
                }
                Some(HOLD) => self.held.send((connection.clone(), request)).unwrap(),
                Some(PANIC) => panic!("the test asked for it"),
                _ => replies.push(request.reply(ResponseCode::REQUEST_CODE_NOT_SUPPORTED)),
            }
        }
    }

    fn opened(&self, connection: &Connection) {
        let _ = self.opened.send(connection.clone());
    }

    fn closed(&self, connection: &Connection) {
        let _ = self.closed.send(connection.id());
    }
}

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) events: Events,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(config: RemotingConfig) -> Self {
        Self::start_on("127.0.0.1:0".parse().unwrap(), config).await
    }

    pub(crate) async fn start_on(addr: SocketAddr, config: RemotingConfig) -> Self {
        let listener = Listener::bind(addr, config).await.unwrap();
        let addr = listener.local_addr();
        let (recorder, events) = Recorder::new();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(listener.serve(recorder.clone(), async {
            let _ = stopped.await;
        }));
        Self { addr, recorder, events, stop, serving }
    }

    /// Begins the stop; the handle completes once every connection is gone.
    pub(crate) fn stop(self) -> (JoinHandle<()>, Events) {
        let _ = self.stop.send(());
        (self.serving, self.events)
    }

    /// A peer that speaks in bytes.
    pub(crate) async fn raw(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.unwrap()
    }
}

/// Writes a frame as a peer of another make would.
pub(crate) async fn write_frame(stream: &mut TcpStream, opaque: i32, mut command: RemotingCommand) {
    command.opaque = opaque;
    stream.write_all(&frame::to_bytes(&command)).await.unwrap();
}

/// Reads the next frame.
pub(crate) async fn read_frame(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut bytes::BytesMut,
) -> RemotingCommand {
    loop {
        if let Some(command) = frame::decode(buffer).unwrap() {
            return command;
        }
        assert!(soon(stream.read_buf(buffer)).await.unwrap() > 0, "closed in the middle of a frame");
    }
}

/// Whether the peer closes the connection without a further byte.
pub(crate) async fn closes(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    match soon(stream.read_to_end(&mut rest)).await {
        Ok(_) => rest.is_empty(),
        // Closing while the other side's bytes are unread resets the connection.
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

/// Awaits what is bound to happen.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(SOON, future).await.expect("it did not happen in time")
}
