//! What NameServers hear from the Broker.

use std::sync::{Arc, Mutex};

use ferrocket_protocol::acl::is_signed;
use ferrocket_protocol::body::register::RegisterBrokerBody;
use ferrocket_protocol::requests::Empty;
use ferrocket_protocol::requests::route::{
    RegisterBrokerHeader, RegisterBrokerReply, UnregisterBrokerHeader,
};
use ferrocket_protocol::{Header, RemotingCommand, RequestCode, ResponseCode, message};
use ferrocket_remoting::{Connection, Handler, Listener, RemotingConfig};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::support::{PATIENCE, Rig};
use web_server::web_server;

#[path = "../../../../remoting/tests/support/web_server.rs"]
mod web_server;

/// A NameServer that says yes to everything and shows what it is told.
struct NameServer {
    addr: std::net::SocketAddr,
    heard: mpsc::UnboundedReceiver<RemotingCommand>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

struct Heard {
    sender: mpsc::UnboundedSender<RemotingCommand>,
    /// The body of answers: the table of ordered topics.
    ordered: &'static str,
}

impl Handler for Heard {
    fn handle(
        &self,
        _: &Connection,
        requests: &mut Vec<RemotingCommand>,
        replies: &mut Vec<RemotingCommand>,
    ) {
        for request in requests.drain(..) {
            let reply = request.reply_with(&RegisterBrokerReply::default());
            replies.push(reply.with_body(self.ordered));
            let _ = self.sender.send(request);
        }
    }
}

impl NameServer {
    async fn start(addr: &str, ordered: &'static str) -> Self {
        let (sender, heard) = mpsc::unbounded_channel();
        let listener = Listener::bind(addr.parse().unwrap(), RemotingConfig::default()).await.unwrap();
        let addr = listener.local_addr();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            listener.serve(Arc::new(Heard { sender, ordered }), stopped).await;
        });
        Self { addr, heard, stop, serving }
    }

    async fn shutdown(self) -> std::net::SocketAddr {
        let _ = self.stop.send(());
        self.serving.await.unwrap();
        self.addr
    }

    async fn next(&mut self) -> RemotingCommand {
        tokio::time::timeout(PATIENCE, self.heard.recv()).await.unwrap().unwrap()
    }

    /// The topics of the next registration, and its header.
    async fn registration(&mut self) -> (RegisterBrokerHeader, RegisterBrokerBody) {
        let request = self.next().await;
        assert_eq!(request.request_code(), Some(RequestCode::RegisterBroker));
        let header = RegisterBrokerHeader::decode(&request.ext_fields).unwrap();
        assert_eq!(header.body_crc32, Some(message::body_crc(&request.body)));
        let body = RegisterBrokerBody::decode(&request.body, header.compressed == Some(true)).unwrap();
        (header, body)
    }
}

fn topics(body: RegisterBrokerBody) -> Vec<String> {
    body.topic_config_serialize_wrapper.topic_config_table.into_keys().collect()
}

/// When the Broker has started, every NameServer that works knows it with all its topics; when a topic is
/// created, they know before the admin's answer; when the Broker stops, it says so.
#[tokio::test]
async fn registers_everywhere() {
    let mut servers =
        [NameServer::start("127.0.0.1:0", "").await, NameServer::start("127.0.0.1:0", "").await];
    let list = format!("{};{};127.0.0.1:1", servers[0].addr, servers[1].addr);
    let rig = Rig::start(&[("namesrvAddr", &list)]).await;
    for server in &mut servers {
        let request = server.heard.try_recv().expect("registered before the start was over");
        let header = RegisterBrokerHeader::decode(&request.ext_fields).unwrap();
        assert_eq!(
            (&*header.broker_name, &*header.cluster_name, header.broker_id),
            ("broker-a", "DefaultCluster", 0)
        );
        assert_eq!(&*header.broker_addr, rig.broker.advertised_addr());
        let port = rig.broker.local_addr().port();
        assert_eq!(&*header.ha_server_addr, format!("127.0.0.1:{}", port + 1));
        let body = RegisterBrokerBody::decode(&request.body, false).unwrap();
        let topics = topics(body);
        for topic in
            ["TBW102", "DefaultCluster", "broker-a", "SCHEDULE_TOPIC_XXXX", "DefaultCluster_REPLY_TOPIC"]
        {
            assert!(topics.iter().any(|known| known == topic), "{topic}");
        }
    }
    let peer = rig.peer().await;
    peer.topic("T", 4, 6).await;
    for server in &mut servers {
        let request = server.heard.try_recv().expect("registered before the admin was answered");
        assert_eq!(topics(RegisterBrokerBody::decode(&request.body, false).unwrap()), ["T"]);
    }
    peer.store("by-message", 0, "", "x").await;
    for server in &mut servers {
        assert_eq!(topics(server.registration().await.1), ["by-message"]);
    }
    peer.heartbeat("c@1", "g", 1, &[("T", "*")]).await;
    for server in &mut servers {
        assert_eq!(topics(server.registration().await.1), ["%RETRY%g"]);
    }
    let addr = rig.broker.advertised_addr();
    rig.broker.shutdown().await.unwrap();
    for server in &mut servers {
        let request = server.next().await;
        assert_eq!(request.request_code(), Some(RequestCode::UnregisterBroker));
        assert_eq!(&*UnregisterBrokerHeader::decode(&request.ext_fields).unwrap().broker_addr, addr);
    }
}

/// A NameServer that was restarted hears the whole table again, without waiting for the next period.
#[tokio::test]
async fn a_restarted_namesrv_hears_everything() {
    let mut server = NameServer::start("127.0.0.1:0", "").await;
    let rig = Rig::start(&[("namesrvAddr", &server.addr.to_string())]).await;
    server.registration().await;
    let addr = server.shutdown().await;
    let mut server = NameServer::start(&addr.to_string(), "").await;
    assert!(topics(server.registration().await.1).len() > 2);
    drop(rig);
}

/// Registrations can be compressed; without read or write permission topics are registered without it.
#[tokio::test]
async fn compressed_and_restricted() {
    let mut server = NameServer::start("127.0.0.1:0", "").await;
    let list = server.addr.to_string();
    let rig = Rig::start(&[("namesrvAddr", &list), ("compressedRegister", "true")]).await;
    let (header, body) = server.registration().await;
    assert_eq!(header.compressed, Some(true));
    assert_eq!(body.topic_config_serialize_wrapper.topic_config_table["TBW102"].perm, 7);
    let peer = rig.peer().await;
    let update =
        RemotingCommand::request(RequestCode::UpdateBrokerConfig, &Empty).with_body("brokerPermission=4");
    assert_eq!(peer.call(update).await.code, 0);
    let (_, body) = server.registration().await;
    assert!(body.topic_config_serialize_wrapper.topic_config_table.values().all(|topic| topic.perm == 4));
}

/// The NameServer's table of ordered topics is taken over, and registered in turn.
#[tokio::test]
async fn ordered_topics_are_taken_over() {
    let mut server = NameServer::start("127.0.0.1:0", r#"{"table":{"BenchmarkTest":"broker-a:4"}}"#).await;
    let rig = Rig::start(&[("namesrvAddr", &server.addr.to_string())]).await;
    let (_, first) = server.registration().await;
    assert!(!first.topic_config_serialize_wrapper.topic_config_table["BenchmarkTest"].order);
    let (_, second) = server.registration().await;
    assert!(second.topic_config_serialize_wrapper.topic_config_table["BenchmarkTest"].order);
    drop(rig);
}

/// The list of NameServers can change while the Broker runs.
#[tokio::test]
async fn another_list_of_servers() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    let mut server = NameServer::start("127.0.0.1:0", "").await;
    let text = format!("namesrvAddr={}", server.addr);
    let update = RemotingCommand::request(RequestCode::UpdateBrokerConfig, &Empty).with_body(text);
    assert_eq!(peer.call(update).await.response_code(), ResponseCode::SUCCESS);
    assert!(topics(server.registration().await.1).len() > 2);
}

/// A Broker that is told of an address server only registers where that one says, before its start is over.
/// `namesrvAddr` comes first, and once it is empty again the address server is asked again.
#[tokio::test]
async fn name_servers_are_found() {
    let mut servers = [
        NameServer::start("127.0.0.1:0", "").await,
        NameServer::start("127.0.0.1:0", "").await,
        NameServer::start("127.0.0.1:0", "").await,
        NameServer::start("127.0.0.1:0", "").await,
    ];
    let addrs = servers.each_ref().map(|server| server.addr.to_string());
    let list = Arc::new(Mutex::new(format!("{};{}", addrs[0], addrs[1])));
    let (web, mut asked) = web_server(list.clone()).await;
    let settings = [
        ("fetchNamesrvAddrByAddressServer", "true"),
        ("rmqAddressServerDomain", &*web.to_string()),
        ("rmqAddressServerSubGroup", "nsaddr-test"),
    ];
    let rig = Rig::start(&settings).await;
    assert_eq!(asked.recv().await.unwrap(), "GET /rocketmq/nsaddr-test HTTP/1.0");
    for server in &mut servers[..2] {
        let request = server.heard.try_recv().expect("registered before the start was over");
        assert_eq!(request.request_code(), Some(RequestCode::RegisterBroker));
    }
    let peer = rig.peer().await;
    let update = async |text: String| {
        let update = RemotingCommand::request(RequestCode::UpdateBrokerConfig, &Empty).with_body(text);
        assert_eq!(peer.call(update).await.response_code(), ResponseCode::SUCCESS);
    };
    update(format!("namesrvAddr={}", addrs[2])).await;
    *list.lock().unwrap() = addrs[3].clone();
    servers[2].registration().await;
    assert!(servers[3].heard.try_recv().is_err());
    update("namesrvAddr=".to_owned()).await;
    servers[3].registration().await;
    assert_eq!(asked.recv().await.unwrap(), "GET /rocketmq/nsaddr-test HTTP/1.0");
    rig.broker.shutdown().await.unwrap();
    // Only where it is registered it says goodbye.
    for (at, server) in servers.iter_mut().enumerate() {
        let mut codes = Vec::new();
        while let Ok(request) = server.heard.try_recv() {
            codes.push(request.request_code());
        }
        assert_eq!(codes.contains(&Some(RequestCode::UnregisterBroker)), at == 3, "{at}: {codes:?}");
    }
}

/// An address server that does not answer stops no start.
#[tokio::test]
async fn an_address_server_that_is_down() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let settings = [("fetchNamesrvAddrByAddressServer", "true"), ("rmqAddressServerDomain", &*nobody)];
    let rig = Rig::start(&settings).await;
    rig.broker.shutdown().await.unwrap();
}

/// With an account of its own, whatever the Broker asks of a NameServer is signed.
#[tokio::test]
async fn registrations_are_signed() {
    let mut server = NameServer::start("127.0.0.1:0", "").await;
    let account = [("accessKey", "broker-account"), ("secretKey", "12345678")];
    let list = server.addr.to_string();
    let rig = Rig::start(&[account[0], account[1], ("namesrvAddr", &list)]).await;
    rig.broker.shutdown().await.unwrap();
    for code in [RequestCode::RegisterBroker, RequestCode::UnregisterBroker] {
        let request = server.next().await;
        assert!(request.code == code.code() && is_signed(&request, "12345678"), "{request:?}");
    }
}
