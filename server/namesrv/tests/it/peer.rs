//! A NameServer of the test's own, and a peer that speaks to it.

use std::sync::Arc;
use std::time::Duration;

use ferrocket_namesrv::{NameServer, NamesrvSettings};
use ferrocket_protocol::body::register::RegisterBrokerBody;
use ferrocket_protocol::body::topic::{DataVersion, TopicConfig};
use ferrocket_protocol::command::{ExtFields, RemotingCommand};
use ferrocket_protocol::requests::{Empty, RequestCode};
use ferrocket_remoting::{Connection, RefuseAll, RemotingConfig, dial};

/// Long enough for anything that is bound to happen.
const SOON: Duration = Duration::from_secs(120);

pub(crate) struct World {
    pub(crate) server: NameServer,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) peer: Connection,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), &[]).await
    }

    pub(crate) async fn start_in(folder: tempfile::TempDir, settings: &[(&str, &str)]) -> Self {
        let server = NameServer::start(settings_in(&folder, settings)).await.unwrap();
        let peer = connect(&server).await;
        Self { server, folder, peer }
    }

    /// Stops the server; the folder stays.
    pub(crate) async fn stop(self) -> tempfile::TempDir {
        self.server.shutdown().await;
        self.folder
    }

    pub(crate) async fn call(&self, code: RequestCode, fields: &[(&str, &str)]) -> RemotingCommand {
        call(&self.peer, request(code, fields)).await
    }

    pub(crate) async fn body(&self, code: RequestCode, fields: &[(&str, &str)]) -> String {
        text(&self.call(code, fields).await)
    }

    /// Registers the master `broker-a` with these topics.
    pub(crate) async fn register(&self, topics: &[&str]) -> RemotingCommand {
        let body = registration(1, topics).encode(false);
        call(&self.peer, request(RequestCode::RegisterBroker, BROKER_A).with_body(body)).await
    }
}

pub(crate) fn settings_in(folder: &tempfile::TempDir, settings: &[(&str, &str)]) -> NamesrvSettings {
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let mut all = NamesrvSettings::default();
    all.set("bindAddress", "127.0.0.1").unwrap();
    all.set("listenPort", "0").unwrap();
    all.set("kvConfigPath", &path("kvConfig.json")).unwrap();
    all.set("configStorePath", &path("namesrv.properties")).unwrap();
    for (key, value) in settings {
        all.set(key, value).unwrap();
    }
    all
}

/// The header of `broker-a`'s registrations.
pub(crate) const BROKER_A: &[(&str, &str)] = &[
    ("brokerName", "broker-a"),
    ("brokerAddr", "127.0.0.1:40911"),
    ("clusterName", "DefaultCluster"),
    ("haServerAddr", "127.0.0.1:40912"),
    ("brokerId", "0"),
];

/// A header with one field replaced or added.
pub(crate) fn with<'a>(
    fields: &[(&'a str, &'a str)],
    name: &'a str,
    value: &'a str,
) -> Vec<(&'a str, &'a str)> {
    fields.iter().copied().filter(|(other, _)| *other != name).chain([(name, value)]).collect()
}

pub(crate) fn registration(counter: i64, topics: &[&str]) -> RegisterBrokerBody {
    let mut body = RegisterBrokerBody::default();
    let table = &mut body.topic_config_serialize_wrapper;
    table.data_version = DataVersion { counter, state_version: 0, timestamp: 1_795_395_760_829 };
    for topic in topics {
        table.topic_config_table.insert((*topic).to_owned(), TopicConfig::new(*topic, 4, 4, 6));
    }
    body
}

pub(crate) async fn connect(server: &NameServer) -> Connection {
    dial(&server.local_addr().to_string(), Arc::new(RefuseAll), &RemotingConfig::default()).await.unwrap()
}

pub(crate) fn request(code: RequestCode, fields: &[(&str, &str)]) -> RemotingCommand {
    let mut request = RemotingCommand::request(code, &Empty);
    request.ext_fields =
        ExtFields::from_iter(fields.iter().map(|(name, value)| (name.to_string(), value.to_string())));
    request
}

pub(crate) async fn call(peer: &Connection, request: RemotingCommand) -> RemotingCommand {
    peer.call(request, SOON).await.unwrap()
}

/// The body of a success.
pub(crate) fn text(reply: &RemotingCommand) -> String {
    assert_eq!((reply.code, &reply.remark), (0, &None));
    String::from_utf8(reply.body.to_vec()).unwrap()
}

/// The code and the remark of a refusal.
pub(crate) fn refusal(reply: &RemotingCommand) -> (i32, &str) {
    (reply.code, reply.remark.as_deref().unwrap_or(""))
}
