//! What our client offers beside the scenarios of the matrix, on Java's 5.3.3 servers: compressions, times of delivery
//! and recall, the VIP channel, a SOCKS5 proxy, traces that it finds by itself; all of it with an account, because the
//! Broker has 5.x's access control (ACL 2.0).

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ferrocket::{
    Client, ClientBuilder, CompressionType, ConsumeFromWhere, ErrorKind, Event as ClientEvent, Message,
    MessageExt, PushConsumer, SocksProxy,
};
use ferrocket_interop_tests::cluster::Cluster;
use ferrocket_interop_tests::matrix::Server;
use ferrocket_interop_tests::peer::{self, Event, Peer};
use ferrocket_interop_tests::setup::Workshop;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(60);
const ACCOUNT: (&str, &str) = ("somebody", "12345678");
/// How long bodies are that are compressed.
const LENGTH: usize = 20_000;
/// Where a message's flags tell by what it was compressed, from 4.9.4 on.
const TYPE_SHIFT: i32 = 8;

/// Beside what every cluster has. The only account may do everything; without one nobody may do anything.
const SETTINGS: &str = "recallMessageEnable=true\n\
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
    workshop.broker_settings = SETTINGS.into();
    let cluster = Cluster::start(&workshop, Server::Java53, Server::Java53, folder.path()).unwrap();
    accounts(&cluster).await;
    tokio::join!(delivery_times(&cluster), vip_channel(&cluster), proxy(&cluster), traces(&cluster));
    let java = Peer::start(&workshop, peer::Client::Java53, folder.path()).unwrap();
    compression(&cluster, &java).await;
}

fn builder(cluster: &Cluster) -> ClientBuilder {
    Client::builder(&cluster.namesrv_address()).acl(ACCOUNT.0, ACCOUNT.1)
}

/// A consumer of a topic, from its first message on, and what it gets.
async fn consume(client: &Client, topic: &str) -> (PushConsumer, UnboundedReceiver<MessageExt>) {
    let (arrived, arrivals) = tokio::sync::mpsc::unbounded_channel();
    let consumer = client
        .push_consumer(&format!("g-{topic}"))
        .subscribe(topic, "*")
        .consume_from(ConsumeFromWhere::FirstOffset)
        .on_message(move |message| {
            let arrived = arrived.clone();
            async move { arrived.send(message) }
        })
        .start()
        .await
        .unwrap();
    (consumer, arrivals)
}

async fn next(arrivals: &mut UnboundedReceiver<MessageExt>) -> MessageExt {
    timeout(LIMIT, arrivals.recv()).await.expect("a message in time").unwrap()
}

/// ACL 2.0 reads the signatures of ACL 1.0: who has the secret is let in, who has another or none is not.
async fn accounts(cluster: &Cluster) {
    let addr = cluster.namesrv_address();
    let strangers = [Client::builder(&addr).acl(ACCOUNT.0, "87654321"), Client::builder(&addr)];
    for stranger in strangers {
        let client = stranger.build().unwrap();
        let producer = client.producer("stranger").start().await.unwrap();
        let error = producer.send(Message::new("TBW102", "no")).await.unwrap_err();
        assert_eq!(error.code(), Some(16), "no permission: {error}");
        client.shutdown().await.unwrap();
    }
    let client = builder(cluster).build().unwrap();
    let producer = client.producer("known").start().await.unwrap();
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
    let producer = client.producer("times").start().await.unwrap();
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

/// With the VIP channel messages go to the Broker's second port, two below the first, and arrive like others.
async fn vip_channel(cluster: &Cluster) {
    let client = builder(cluster).vip_channel_enabled(true).build().unwrap();
    let mut events = client.events();
    let producer = client.producer("vip").start().await.unwrap();
    assert!(producer.send(Message::new("client-vip", "important")).await.unwrap().is_ok());
    let broker: SocketAddr = cluster.broker_address().parse().unwrap();
    let vip = SocketAddr::new(broker.ip(), broker.port() - 2);
    let connected = async {
        while !matches!(events.next().await, Some(ClientEvent::Connected { addr }) if addr == vip) {}
    };
    timeout(LIMIT, connected).await.expect("a connection to the second port");
    let (_consumer, mut arrivals) = consume(&client, "client-vip").await;
    assert_eq!(next(&mut arrivals).await.body, "important");
    client.shutdown().await.unwrap();
}

/// A SOCKS5 proxy that asks nobody who he is and notes where all want to go.
async fn start_proxy() -> (SocketAddr, Arc<Mutex<BTreeSet<SocketAddr>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (addr, targets) = (listener.local_addr().unwrap(), Arc::<Mutex<BTreeSet<_>>>::default());
    let seen = Arc::clone(&targets);
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                let target = socks_target(&mut near).await?;
                seen.lock().unwrap().insert(target);
                let mut far = TcpStream::connect(target).await?;
                near.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
                copy_bidirectional(&mut near, &mut far).await
            });
        }
    });
    (addr, targets)
}

/// The greeting, answered, and the request.
async fn socks_target(near: &mut TcpStream) -> std::io::Result<SocketAddr> {
    let mut greeting = [0; 2];
    near.read_exact(&mut greeting).await?;
    near.read_exact(&mut vec![0; usize::from(greeting[1])]).await?;
    near.write_all(&[5, 0]).await?;
    let mut request = [0; 4];
    near.read_exact(&mut request).await?;
    assert_eq!(request[..2], [5, 1]);
    let host = match request[3] {
        1 => {
            let mut ip = [0; 4];
            near.read_exact(&mut ip).await?;
            SocketAddr::from((ip, 0)).ip().to_string()
        }
        _ => {
            let mut name = vec![0; usize::from(near.read_u8().await?)];
            near.read_exact(&mut name).await?;
            String::from_utf8(name).unwrap()
        }
    };
    let port = near.read_u16().await?;
    Ok(format!("{host}:{port}").parse().expect("an address of the cluster"))
}

/// NameServer and Broker are reached through the proxy, and not at all without it.
async fn proxy(cluster: &Cluster) {
    let (addr, targets) = start_proxy().await;
    let client = builder(cluster).socks_proxy(SocksProxy::new(addr.to_string())).build().unwrap();
    let producer = client.producer("proxied").start().await.unwrap();
    assert!(producer.send(Message::new("client-proxy", "through")).await.unwrap().is_ok());
    let (_consumer, mut arrivals) = consume(&client, "client-proxy").await;
    assert_eq!(next(&mut arrivals).await.body, "through");
    client.shutdown().await.unwrap();
    let due = [cluster.namesrv_address(), cluster.broker_address()].map(|addr| addr.parse().unwrap());
    assert_eq!(*targets.lock().unwrap(), BTreeSet::from(due));

    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let client = builder(cluster).socks_proxy(SocksProxy::new(gone.to_string())).build().unwrap();
    assert_eq!(client.fetch_queues("TBW102").await.unwrap_err().kind(), ErrorKind::Connect);
    client.shutdown().await.unwrap();
}

/// What the client traces it finds itself by the message's id; that Java's tools find it the matrix shows.
async fn traces(cluster: &Cluster) {
    let client = builder(cluster).enable_trace(true).build().unwrap();
    let producer = client.producer("traced").start().await.unwrap();
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

/// Each compression is read by the other side, and was in fact used.
async fn compression(cluster: &Cluster, java: &Peer) {
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
        let producer =
            client.producer(&format!("compresses-{name}")).compress_type(kind).start().await.unwrap();
        let body = format!("{name}-0{}", ".".repeat(LENGTH - name.len() - 2));
        let sent = producer.send(Message::new("client-to-java", body)).await.unwrap();
        let stored = client.admin().view_message("client-to-java", &sent.offset_msg_id).await.unwrap();
        assert_eq!(stored.sys_flag >> TYPE_SHIFT & 7, flag, "{name}");
    }
    let from_ours = [("topic", "client-to-java"), ("group", "g-client-to-java")];
    let consumer = java.command("consume", &[&common[..], &from_ours].concat(), &sender).unwrap();
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
    java.stop(consumer).unwrap();

    for (name, ..) in kinds {
        let send = [
            ("topic", "client-from-java"),
            ("group", name),
            ("prefix", name),
            ("count", "1"),
            ("compress", name),
        ];
        java.command("send", &[&common[..], &send].concat(), &sender).unwrap();
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
