//! What our client offers beside the scenarios of the matrix, on Java's servers: ways to reach them (`reach.rs`), what
//! consumers are told while they run (`consumers.rs`), compressions, traces that it finds by itself. Of 5.3.3 also times
//! of delivery and recall, and a Broker that asks to go away; all of it with an account, because that Broker has 5.x's
//! access control (ACL 2.0). 4.9.7 does not ask for one.

mod consumers;
mod reach;

use std::collections::BTreeSet;
use std::panic::Location;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ferrocket::{
    Client, ClientBuilder, CompressionType, ConsumeFromWhere, Event as ClientEvent, Message, MessageExt,
    Producer, PushConsumer, PushConsumerBuilder,
};
use ferrocket_interop_tests::cluster::Cluster;
use ferrocket_interop_tests::matrix::Server;
use ferrocket_interop_tests::peer::{self, Event, Peer};
use ferrocket_interop_tests::process::POLL;
use ferrocket_interop_tests::setup::Workshop;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(60);
/// How long a call may take: the servers' processes may get a turn late.
const CALL: Duration = Duration::from_secs(20);
const ACCOUNT: (&str, &str) = ("somebody", "12345678");
/// How long bodies are that are compressed.
const LENGTH: usize = 20_000;
/// Where a message's flags tell by what it was compressed, from 4.9.4 on.
const TYPE_SHIFT: i32 = 8;

/// The version of 5.3.3, Java's ordinal. Older ones are not asked to go away.
const VERSION: i32 = 479;
const GO_AWAY: i32 = 1500;

/// Beside what every cluster has. Without it the Broker has a new group begin with a queue's first message, whatever
/// the group says, as long as it takes that message to be in memory. 5.3.3 looks into the memory instead.
const SETTINGS_49: &str = "accessMessageInMemoryMaxRatio=0\n";

/// Beside what every cluster has. The only account may do everything; without one nobody may do anything. Told to end,
/// the Broker goes on for some seconds, in which it asks clients to go away, with each of its ports in turn.
const SETTINGS_53: &str = "recallMessageEnable=true\n\
    enableShutdownGracefully=true\n\
    shutdownWaitTimeSeconds=5\n\
    authenticationEnabled=true\n\
    authenticationProvider=org.apache.rocketmq.auth.authentication.provider.DefaultAuthenticationProvider\n\
    authenticationMetadataProvider=org.apache.rocketmq.auth.authentication.provider.LocalAuthenticationMetadataProvider\n\
    authorizationEnabled=true\n\
    authorizationProvider=org.apache.rocketmq.auth.authorization.provider.DefaultAuthorizationProvider\n\
    authorizationMetadataProvider=org.apache.rocketmq.auth.authorization.provider.LocalAuthorizationMetadataProvider\n\
    initAuthenticationUser={\"username\":\"somebody\",\"password\":\"12345678\"}\n\
    innerClientAuthenticationCredentials={\"accessKey\":\"somebody\",\"secretKey\":\"12345678\"}\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_java_53() {
    let folder = tempfile::tempdir().unwrap();
    let mut workshop = Workshop::find().unwrap();
    workshop.broker_settings = SETTINGS_53.into();
    let cluster = Cluster::start(&workshop, Server::Java53, Server::Java53, folder.path()).unwrap();
    accounts(&cluster).await;
    tokio::join!(delivery_times(&cluster), on_any(&cluster));
    let java = Peer::start(&workshop, peer::Client::Java53, folder.path()).unwrap();
    compression(&cluster, &java, &java).await;
    go_away(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_java_49() {
    let folder = tempfile::tempdir().unwrap();
    let mut workshop = Workshop::find().unwrap();
    workshop.broker_settings = SETTINGS_49.into();
    let cluster = Cluster::start(&workshop, Server::Java49, Server::Java49, folder.path()).unwrap();
    tokio::join!(consumers::from_a_time(&cluster), on_any(&cluster));
    let [old, new] = [peer::Client::Java49, peer::Client::Java53]
        .map(|client| Peer::start(&workshop, client, folder.path()).unwrap());
    // Its producers compress only as their whole process is told.
    compression(&cluster, &old, &new).await;
}

/// What servers of both versions have.
async fn on_any(cluster: &Cluster) {
    tokio::join!(
        reach::vip_channel(cluster),
        reach::proxy(cluster),
        reach::discovery(cluster),
        consumers::suspension(cluster),
        consumers::subscriptions(cluster),
        consumers::queue_listeners(cluster),
        consumers::topic_growth(cluster),
        consumers::slow_handlers(cluster),
        traces(cluster),
    );
}

fn builder(cluster: &Cluster) -> ClientBuilder {
    builder_at(&cluster.namesrv_address()).acl(ACCOUNT.0, ACCOUNT.1)
}

fn builder_at(namesrv: &str) -> ClientBuilder {
    Client::builder(namesrv).mq_client_api_timeout(CALL)
}

async fn producer(client: &Client, group: &str) -> Producer {
    client.producer(group).send_msg_timeout(CALL).start().await.unwrap()
}

/// A consumer of a topic, from its first message on, that is not started yet, and what it gets.
fn subscriber(
    client: &Client,
    group: &str,
    topic: &str,
) -> (PushConsumerBuilder, UnboundedReceiver<MessageExt>) {
    let (arrived, arrivals) = tokio::sync::mpsc::unbounded_channel();
    let consumer = client
        .push_consumer(group)
        .subscribe(topic, "*")
        .consume_from(ConsumeFromWhere::FirstOffset)
        .on_message(move |message| {
            let arrived = arrived.clone();
            async move { arrived.send(message) }
        });
    (consumer, arrivals)
}

/// The same in the topic's own group, started.
async fn consume(client: &Client, topic: &str) -> (PushConsumer, UnboundedReceiver<MessageExt>) {
    let (consumer, arrivals) = subscriber(client, &format!("g-{topic}"), topic);
    (consumer.start().await.unwrap(), arrivals)
}

#[track_caller]
fn next(arrivals: &mut UnboundedReceiver<MessageExt>) -> impl Future<Output = MessageExt> {
    let asked_at = Location::caller();
    async move {
        let message = timeout(LIMIT, arrivals.recv()).await;
        message.unwrap_or_else(|_| panic!("no message in time at {asked_at}")).unwrap()
    }
}

/// Waits until the NameServer, which tells nobody, knows a topic that a first message has made.
async fn until_routed(client: &Client, topic: &str) {
    let routed = async {
        while client.fetch_queues(topic).await.is_err() {
            tokio::time::sleep(POLL).await;
        }
    };
    timeout(LIMIT, routed).await.expect("a route in time");
}

/// ACL 2.0 reads the signatures of ACL 1.0: who has the secret is let in, who has another or none is not.
async fn accounts(cluster: &Cluster) {
    let addr = cluster.namesrv_address();
    let strangers = [builder_at(&addr).acl(ACCOUNT.0, "87654321"), builder_at(&addr)];
    for stranger in strangers {
        let client = stranger.build().unwrap();
        let producer = producer(&client, "stranger").await;
        let error = producer.send(Message::new("TBW102", "no")).await.unwrap_err();
        assert_eq!(error.code(), Some(16), "no permission: {error}");
        client.shutdown().await.unwrap();
    }
    let client = builder(cluster).build().unwrap();
    let producer = producer(&client, "known").await;
    assert!(producer.send(Message::new("client-accounts", "yes")).await.unwrap().is_ok());
    assert!(
        producer
            .send_batch(vec![Message::new("client-accounts", "a"), Message::new("client-accounts", "b")])
            .await
            .unwrap()
            .is_ok()
    );
    producer.send_oneway(Message::new("client-accounts", "oneway")).await.unwrap();
    let (_consumer, mut arrivals) = consume(&client, "client-accounts").await;
    let mut got = BTreeSet::new();
    while got.len() < 4 {
        got.insert(String::from_utf8(next(&mut arrivals).await.body.to_vec()).unwrap());
    }
    assert_eq!(got, ["a", "b", "oneway", "yes"].map(String::from).into());
    client.shutdown().await.unwrap();
}

/// A message arrives when it should, and one that was recalled does not.
async fn delivery_times(cluster: &Cluster) {
    let client = builder(cluster).build().unwrap();
    let producer = producer(&client, "times").await;
    let topic = "client-times";
    assert!(producer.send(Message::new(topic, "now")).await.unwrap().is_ok());
    let (_consumer, mut arrivals) = consume(&client, topic).await;
    assert_eq!(next(&mut arrivals).await.body, "now");
    let recalled = Message::new(topic, "recalled").deliver_after(Duration::from_secs(2));
    let recalled = producer.send(recalled).await.unwrap();
    let due = SystemTime::now() + Duration::from_secs(4);
    assert!(producer.send(Message::new(topic, "later").deliver_at(due)).await.unwrap().is_ok());
    let handle = recalled.recall_handle.as_deref().expect("a handle");
    assert_eq!(*producer.recall(topic, handle).await.unwrap(), *recalled.msg_id);
    assert_eq!(next(&mut arrivals).await.body, "later");
    assert!(SystemTime::now() >= due);
    client.shutdown().await.unwrap();
}

/// What the client traces it finds itself by the message's id; that Java's tools find it the matrix shows.
async fn traces(cluster: &Cluster) {
    let client = builder(cluster).enable_trace(true).build().unwrap();
    let producer = producer(&client, "traced").await;
    let sent = producer.send(Message::new("client-trace", "followed")).await.unwrap();
    let (_consumer, mut arrivals) = consume(&client, "client-trace").await;
    assert_eq!(next(&mut arrivals).await.msg_id, sent.msg_id);
    // What it has not sent yet goes out now.
    client.shutdown().await.unwrap();
    let client = builder(cluster).build().unwrap();
    let found = async {
        loop {
            let until = SystemTime::now() + Duration::from_secs(3600);
            let found = client
                .admin()
                .query_message("RMQ_SYS_TRACE_TOPIC", &sent.msg_id, 32, UNIX_EPOCH, until)
                .await;
            // Nothing is there before the first trace is stored and indexed.
            let found = found.unwrap_or_default();
            let texts = found.iter().map(|trace| String::from_utf8_lossy(&trace.body));
            let text = texts.collect::<Vec<_>>().concat();
            if ["Pub", "SubBefore", "SubAfter"].iter().all(|kind| text.contains(kind)) {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let text = timeout(LIMIT, found).await.expect("traces of all three kinds");
    assert!(text.contains("traced") && text.contains("g-client-trace"), "{text}");
    client.shutdown().await.unwrap();
}

/// A Broker that was told to end asks clients to go away: each try of a send comes over a new connection, and the
/// last one's answer is the send's.
async fn go_away(cluster: &Cluster) {
    let client = builder(cluster).version(VERSION).build().unwrap();
    let mut events = client.events();
    let producer = producer(&client, "goes-away").await;
    assert!(producer.send(Message::new("client-go-away", "in time")).await.unwrap().is_ok());
    cluster.signal_broker("-TERM").unwrap();
    let refused = async {
        loop {
            match producer.send(Message::new("client-go-away", "late")).await {
                Err(error) if error.code() == Some(GO_AWAY) => return,
                // It has not come so far, or another port of the Broker is in its turn.
                _ => tokio::time::sleep(POLL).await,
            }
        }
    };
    timeout(LIMIT, refused).await.expect("the request to go away");
    let broker = cluster.broker_address().parse().unwrap();
    let connected = async {
        for _ in 0..2 {
            while !matches!(events.next().await, Some(ClientEvent::Connected { addr }) if addr == broker) {}
        }
    };
    timeout(LIMIT, connected).await.expect("a second connection");
    client.shutdown().await.unwrap();
}

/// Each compression is read by the other side, and was in fact used.
async fn compression(cluster: &Cluster, reader: &Peer, writer: &Peer) {
    let kinds = [
        ("LZ4", CompressionType::Lz4, 1),
        ("ZSTD", CompressionType::Zstd, 2),
        ("ZLIB", CompressionType::Zlib, 3),
    ];
    let client = builder(cluster).build().unwrap();
    let namesrv = cluster.namesrv_address();
    let (sender, mut events) = mpsc::channel();
    let length = LENGTH.to_string();
    let common =
        [("namesrv", &*namesrv), ("access-key", ACCOUNT.0), ("secret-key", ACCOUNT.1), ("length", &*length)];

    for (name, kind, flag) in kinds {
        let producer = client
            .producer(&format!("compresses-{name}"))
            .compress_type(kind)
            .send_msg_timeout(CALL)
            .start()
            .await
            .unwrap();
        let body = format!("{name}-0{}", ".".repeat(LENGTH - name.len() - 2));
        let sent = producer.send(Message::new("client-to-java", body)).await.unwrap();
        until_routed(&client, "client-to-java").await;
        let stored = client.admin().view_message("client-to-java", &sent.offset_msg_id).await.unwrap();
        assert_eq!(stored.sys_flag >> TYPE_SHIFT & 7, flag, "{name}");
    }
    let from_ours = [("topic", "client-to-java"), ("group", "g-client-to-java")];
    let consumer = reader.command("consume", &[&common[..], &from_ours].concat(), &sender).unwrap();
    let due: BTreeSet<String> = kinds.iter().map(|(name, ..)| format!("{name}-0")).collect();
    let mut got = BTreeSet::new();
    while got != due {
        let event;
        (event, events) = next_event(events).await;
        if let Event::Received(delivery) = event {
            assert!(due.contains(&delivery.body), "{}", delivery.body);
            got.insert(delivery.body);
        }
    }
    reader.stop(consumer).unwrap();

    for (name, ..) in kinds {
        let send = [
            ("topic", "client-from-java"),
            ("group", name),
            ("prefix", name),
            ("count", "1"),
            ("compress", name),
        ];
        writer.command("send", &[&common[..], &send].concat(), &sender).unwrap();
    }
    let mut sent = 0;
    while sent < kinds.len() {
        let event;
        (event, events) = next_event(events).await;
        sent += usize::from(matches!(event, Event::Sent(..)));
    }
    let (_consumer, mut arrivals) = consume(&client, "client-from-java").await;
    let mut flags = BTreeSet::new();
    for _ in kinds {
        let message = next(&mut arrivals).await;
        let body = String::from_utf8(message.body.to_vec()).unwrap();
        assert_eq!(
            (body.len(), body.matches('.').count()),
            (LENGTH, LENGTH - body.trim_end_matches('.').len())
        );
        flags.insert((body.trim_end_matches('.').to_owned(), message.sys_flag >> TYPE_SHIFT & 7));
    }
    assert_eq!(flags, kinds.map(|(name, _, flag)| (format!("{name}-0"), flag)).into());
    client.shutdown().await.unwrap();
}

/// The next event of any command; a failed one fails the test.
async fn next_event(events: Receiver<(u64, Event)>) -> (Event, Receiver<(u64, Event)>) {
    let waiting = tokio::task::spawn_blocking(move || match events.recv_timeout(LIMIT) {
        Ok((_, Event::Failed(text))) => panic!("{text}"),
        Ok((_, event)) => (event, events),
        Err(_) => panic!("nothing within {LIMIT:?}"),
    });
    waiting.await.unwrap()
}
