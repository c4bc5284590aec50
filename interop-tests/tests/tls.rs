//! Mutual TLS between ours and Java's, and with our packages: both sides show a certificate, and check who issued the other's.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use ferrocket::{Client, ConsumeFromWhere, Message, TlsOptions};
use ferrocket_interop_tests::cluster::Cluster;
use ferrocket_interop_tests::matrix::Server;
use ferrocket_interop_tests::peer::{self, Event, Peer};
use ferrocket_interop_tests::setup::Workshop;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

const COUNT: usize = 50;
const LIMIT: Duration = Duration::from_secs(60);

/// Certificates and a `tls.properties` for all, in `folder`.
fn workshop(folder: &Path) -> Workshop {
    let write = |name: &str, text: String| std::fs::write(folder.join(name), text).unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    write("ca.pem", authority.pem());
    // Not for any host here: Java does not compare.
    for name in ["server", "client"] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![format!("{name}.example")]).unwrap();
        write(&format!("{name}.pem"), params.signed_by(&key, &authority).unwrap().pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
    let mut settings = "tls.test.mode.enable=false\ntls.server.need.client.auth=require\n\
                        tls.server.authClient=true\ntls.client.authServer=true\n"
        .to_owned();
    for side in ["server", "client"] {
        let file = |name: &str| folder.join(name).display().to_string();
        settings += &format!("tls.{side}.certPath={}\n", file(&format!("{side}.pem")));
        settings += &format!("tls.{side}.keyPath={}\n", file(&format!("{side}.key")));
        settings += &format!("tls.{side}.trustCertPath={}\n", file("ca.pem"));
    }
    write("tls.properties", settings);
    let mut workshop = Workshop::find().unwrap();
    workshop.tls_config = Some(folder.join("tls.properties"));
    workshop
}

/// The next event of any command; a failed one fails the test.
fn next(events: &Receiver<(u64, Event)>) -> Event {
    match events.recv_timeout(LIMIT) {
        Ok((_, Event::Failed(text))) => panic!("{text}"),
        Ok((_, event)) => event,
        Err(_) => panic!("nothing within {LIMIT:?}"),
    }
}

/// Java clients with `tls.enable`, and our packages, send to our servers and consume from them; our Broker registers
/// so too. Who shows no certificate gets nowhere.
#[test]
fn clients_with_our_servers() {
    let folder = tempfile::tempdir().unwrap();
    let workshop = workshop(folder.path());
    let cluster = Cluster::start(&workshop, Server::Ours, Server::Ours, folder.path()).unwrap();
    let namesrv = cluster.namesrv_address();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let [authority, certificate, key] = ["ca.pem", "client.pem", "client.key"].map(file);
    let [trust, identity] = [vec![("ca", &*authority)], vec![("certificate", &*certificate), ("key", &*key)]];
    let packages = [peer::Client::OursPython, peer::Client::OursNode, peer::Client::OursC];
    for client in [peer::Client::Java49, peer::Client::Java53].into_iter().chain(packages) {
        // A JVM is told of TLS when it starts.
        let is_package = packages.contains(&client);
        if is_package {
            workshop.setup_package(client).unwrap();
        }
        let peer = Peer::start(&workshop, client, folder.path()).unwrap();
        let topic = format!("tls-{}", client.word());
        let count = COUNT.to_string();
        let (sender, events) = mpsc::channel();
        let mut common = vec![("namesrv", &*namesrv), ("topic", &*topic), ("group", &*topic)];
        let what = [("prefix", "p"), ("count", &*count)];
        if is_package {
            common.extend(&trust);
            peer.command("send", &[&common[..], &what].concat(), &sender).unwrap();
            let refused = events.recv_timeout(LIMIT).unwrap().1;
            assert!(matches!(refused, Event::Failed(_)), "{refused:?} without a certificate");
            common.extend(&identity);
        }
        peer.command("send", &[&common[..], &what].concat(), &sender).unwrap();
        let mut sent = BTreeSet::new();
        loop {
            match next(&events) {
                Event::Sent(body, _) => assert!(sent.insert(body)),
                Event::Ended => break,
                _ => {}
            }
        }
        assert_eq!(sent.len(), COUNT);
        let consumer = peer.command("consume", &common, &sender).unwrap();
        let mut received = BTreeSet::new();
        while received != sent {
            if let Event::Received(delivery) = next(&events) {
                received.insert(delivery.body);
            }
        }
        peer.stop(consumer).unwrap();
        while !matches!(next(&events), Event::Ended) {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_client_with_java_49() {
    our_client_with(Server::Java49).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_client_with_java_53() {
    our_client_with(Server::Java53).await;
}

/// Our client sends to Java's servers through TLS and consumes from them.
async fn our_client_with(java: Server) {
    let folder = tempfile::tempdir().unwrap();
    let workshop = workshop(folder.path());
    let cluster = Cluster::start(&workshop, java, java, folder.path()).unwrap();
    let file = |name: &str| folder.path().join(name);
    let stranger = TlsOptions::trusting(file("ca.pem")).any_host_name();
    let known = stranger.clone().identity(file("client.pem"), file("client.key"));

    let refused = Client::builder(&cluster.namesrv_address()).tls(stranger).build().unwrap();
    assert!(refused.fetch_queues("TBW102").await.is_err());

    let client = Client::builder(&cluster.namesrv_address()).tls(known).build().unwrap();
    let producer = client.producer("tls-producer").start().await.unwrap();
    let mut sent = BTreeSet::new();
    for number in 0..COUNT {
        // Some larger than what one TLS record holds.
        let body = format!("{number}-{}", "x".repeat(number * 1_000));
        let _receipt = producer.send(Message::new("tls-ours", body.clone())).await.unwrap();
        sent.insert(body);
    }
    let (arrived, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
    let _consumer = client
        .push_consumer("tls-consumer")
        .subscribe("tls-ours", "*")
        .consume_from(ConsumeFromWhere::FirstOffset)
        .on_message(move |message| {
            let arrived = arrived.clone();
            async move { arrived.send(String::from_utf8(message.body.to_vec()).unwrap()) }
        })
        .start()
        .await
        .unwrap();
    let mut received = BTreeSet::new();
    while received != sent {
        received.insert(tokio::time::timeout(LIMIT, arrivals.recv()).await.unwrap().unwrap());
    }
    client.shutdown().await.unwrap();
}
