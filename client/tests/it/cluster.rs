//! A NameServer and brokers that answer what a test tells them to, and remember what they were asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferrocket::{Client, ClientBuilder};
use ferrocket_protocol::body::route::{BrokerData, MASTER_ID, QueueData, TopicRouteData};
use ferrocket_protocol::requests::route::GetRouteInfoHeader;
use ferrocket_protocol::requests::send::{SendMessageHeader, SendMessageReply};
use ferrocket_protocol::{Header, RemotingCommand, RequestCode, ResponseCode, fastjson};
use ferrocket_remoting::{Connection, Handler, Listener, RemotingConfig};
use tokio::sync::{oneshot, watch};

/// How a server takes one request.
pub(crate) enum Take {
    Reply(RemotingCommand),
    /// Never answers.
    Silence,
    /// Closes the connection instead.
    HangUp,
}

type Script = dyn Fn(&RemotingCommand) -> Take + Send + Sync;

/// A server with a script. Stops when dropped.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    seen: watch::Receiver<Vec<RemotingCommand>>,
    connections: Arc<Mutex<Vec<Connection>>>,
    _stop: oneshot::Sender<()>,
}

struct Scripted {
    script: Box<Script>,
    seen: watch::Sender<Vec<RemotingCommand>>,
    connections: Arc<Mutex<Vec<Connection>>>,
}

impl Handler for Scripted {
    fn handle(
        &self,
        connection: &Connection,
        requests: &mut Vec<RemotingCommand>,
        replies: &mut Vec<RemotingCommand>,
    ) {
        for request in requests.drain(..) {
            let take = (self.script)(&request);
            match take {
                Take::Reply(reply) if !request.is_oneway() => replies.push(reply),
                Take::Reply(_) | Take::Silence => {}
                Take::HangUp => connection.close(),
            }
            self.seen.send_modify(|seen| seen.push(request));
        }
    }

    fn opened(&self, connection: &Connection) {
        self.connections.lock().unwrap().push(connection.clone());
    }
}

impl Server {
    pub(crate) async fn start(script: impl Fn(&RemotingCommand) -> Take + Send + Sync + 'static) -> Self {
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = Listener::bind(any_port, RemotingConfig::default()).await.unwrap();
        let (addr, connections) = (listener.local_addr(), Arc::default());
        let (seen_by, seen) = watch::channel(Vec::new());
        let scripted =
            Scripted { script: Box::new(script), seen: seen_by, connections: Arc::clone(&connections) };
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(listener.serve(Arc::new(scripted), async {
            let _: Result<(), _> = stopped.await;
        }));
        Self { addr, seen, connections, _stop: stop }
    }

    /// A broker that stores everything.
    pub(crate) async fn broker() -> Self {
        Self::start(|request| Take::Reply(stored(request))).await
    }

    /// A broker that answers sends with this code, and everything else as it should.
    pub(crate) async fn refusing(code: ResponseCode) -> Self {
        Self::start(move |request| match is_send(request) {
            true => Take::Reply(request.reply_error(code, "as told")),
            false => Take::Reply(stored(request)),
        })
        .await
    }

    /// The requests of this kind so far.
    pub(crate) fn seen(&self, code: RequestCode) -> Vec<RemotingCommand> {
        self.seen.borrow().iter().filter(|request| request.code == code.code()).cloned().collect()
    }

    /// Waits until so many requests of this kind have come.
    pub(crate) async fn wait_for(&self, code: RequestCode, count: usize) -> Vec<RemotingCommand> {
        let mut seen = self.seen.clone();
        let enough = |seen: &Vec<RemotingCommand>| {
            seen.iter().filter(|request| request.code == code.code()).count() >= count
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), seen.wait_for(enough)).await;
        assert!(waited.is_ok(), "{count} requests {code} did not come");
        self.seen(code)
    }

    /// All connections that clients opened.
    pub(crate) fn connections(&self) -> Vec<Connection> {
        self.connections.lock().unwrap().clone()
    }

    /// The last connection a client opened.
    pub(crate) fn connection(&self) -> Connection {
        self.connections.lock().unwrap().last().unwrap().clone()
    }
}

/// Whether a request stores messages.
pub(crate) fn is_send(request: &RemotingCommand) -> bool {
    [RequestCode::SendMessageV2, RequestCode::SendBatchMessage, RequestCode::SendReplyMessageV2]
        .iter()
        .any(|code| code.code() == request.code)
}

/// The header of a send.
pub(crate) fn send_header(request: &RemotingCommand) -> SendMessageHeader {
    SendMessageHeader::decode_v2(&request.ext_fields).unwrap()
}

/// A good broker's reply.
pub(crate) fn stored(request: &RemotingCommand) -> RemotingCommand {
    if !is_send(request) {
        return request.reply(ResponseCode::SUCCESS);
    }
    request.reply_with(&SendMessageReply {
        msg_id: "7F00000100002A9F0000000000000400".into(),
        queue_id: send_header(request).queue_id,
        queue_offset: 9,
        ..Default::default()
    })
}

/// The route of a topic over these brokers, all of whose queues can be read and written.
pub(crate) fn route(brokers: &[(&str, SocketAddr, i32)]) -> TopicRouteData {
    let mut data = TopicRouteData::default();
    for (name, addr, queues) in brokers {
        data.queue_datas.push(QueueData {
            broker_name: (*name).into(),
            perm: 7,
            read_queue_nums: *queues,
            write_queue_nums: *queues,
            topic_sys_flag: 0,
        });
        data.broker_datas.push(BrokerData {
            broker_name: (*name).into(),
            cluster: "c".into(),
            broker_addrs: [(MASTER_ID, addr.to_string())].into_iter().collect(),
        });
    }
    data
}

/// A NameServer that knows the routes `look_up` answers.
pub(crate) async fn name_server(
    look_up: impl Fn(&str) -> Option<TopicRouteData> + Send + Sync + 'static,
) -> Server {
    Server::start(move |request| {
        assert_eq!(request.request_code(), Some(RequestCode::GetRouteinfoByTopic));
        let topic = GetRouteInfoHeader::decode(&request.ext_fields).unwrap().topic;
        Take::Reply(match look_up(&topic) {
            Some(data) => request.reply(ResponseCode::SUCCESS).with_body(fastjson::to_vec(&data)),
            None => request.reply_error(
                ResponseCode::TOPIC_NOT_EXIST,
                format!("No topic route info in name server for the topic: {topic}"),
            ),
        })
    })
    .await
}

/// A NameServer that has topic `T` on these brokers, and nothing else.
pub(crate) async fn name_server_for(brokers: &[(&str, SocketAddr, i32)]) -> Server {
    let data = route(brokers);
    name_server(move |topic| (topic == "T").then(|| data.clone())).await
}

/// A client of this NameServer with short intervals.
pub(crate) fn builder(name_server: &Server) -> ClientBuilder {
    Client::builder(&name_server.addr.to_string()).heartbeat_broker_interval(Duration::from_millis(20))
}
