//! The ways to the servers: the Broker's second port, a SOCKS5 proxy, a web server that knows the NameServers.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use ferrocket::{ErrorKind, Event, Message, SocksProxy};
use ferrocket_interop_tests::cluster::Cluster;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::{ACCOUNT, LIMIT, builder, builder_at, consume, next, producer};
use socks_proxy::socks_proxy;
use web_server::web_server;

#[path = "../../../remoting/tests/support/socks_proxy.rs"]
mod socks_proxy;
#[path = "../../../remoting/tests/support/web_server.rs"]
mod web_server;

/// With the VIP channel messages go to the Broker's second port, two below the first, and arrive like others.
pub(crate) async fn vip_channel(cluster: &Cluster) {
    let client = builder(cluster).vip_channel_enabled(true).build().unwrap();
    let mut events = client.events();
    let producer = producer(&client, "vip").await;
    assert!(producer.send(Message::new("client-vip", "important")).await.unwrap().is_ok());
    let broker: SocketAddr = cluster.broker_address().parse().unwrap();
    let vip = SocketAddr::new(broker.ip(), broker.port() - 2);
    let connected =
        async { while !matches!(events.next().await, Some(Event::Connected { addr }) if addr == vip) {} };
    timeout(LIMIT, connected).await.expect("a connection to the second port");
    let (_consumer, mut arrivals) = consume(&client, "client-vip").await;
    assert_eq!(next(&mut arrivals).await.body, "important");
    client.shutdown().await.unwrap();
}

/// NameServer and Broker are reached through the proxy, and not at all without it.
pub(crate) async fn proxy(cluster: &Cluster) {
    let targets = Arc::<Mutex<BTreeSet<SocketAddr>>>::default();
    let seen = Arc::clone(&targets);
    let addr = socks_proxy(move |target| {
        let target = target.parse().expect("an address of the cluster");
        seen.lock().unwrap().insert(target);
        target
    })
    .await;
    let client = builder(cluster).socks_proxy(SocksProxy::new(addr.to_string())).build().unwrap();
    let producer = producer(&client, "proxied").await;
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

/// A client that is told of no NameServer finds it with the web server, asking once.
pub(crate) async fn discovery(cluster: &Cluster) {
    let (web, mut asked) = web_server(Arc::new(Mutex::new(cluster.namesrv_address()))).await;
    let client = builder_at("").acl(ACCOUNT.0, ACCOUNT.1).namesrv_domain(web.to_string());
    let client = client.build().unwrap();
    let producer = producer(&client, "discovers").await;
    assert!(producer.send(Message::new("client-discovery", "found")).await.unwrap().is_ok());
    let (_consumer, mut arrivals) = consume(&client, "client-discovery").await;
    assert_eq!(next(&mut arrivals).await.body, "found");
    client.shutdown().await.unwrap();
    assert_eq!(asked.try_recv().unwrap(), "GET /rocketmq/nsaddr HTTP/1.0");
    assert!(asked.try_recv().is_err());
}
