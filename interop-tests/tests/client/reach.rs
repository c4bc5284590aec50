//! The ways to the servers: the Broker's second port, a SOCKS5 proxy, a web server that knows the NameServers.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use ferrocket::{ErrorKind, Event, Message, SocksProxy};
use ferrocket_interop_tests::cluster::Cluster;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::{ACCOUNT, LIMIT, builder, builder_at, consume, next, producer};

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
pub(crate) async fn proxy(cluster: &Cluster) {
    let (addr, targets) = start_proxy().await;
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

/// A web server that answers every question with this text, and the first lines of the questions.
async fn web_server(text: String) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (addr, asked) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<_>>>::default());
    let lines = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            let request = String::from_utf8(request).unwrap();
            lines.lock().unwrap().push(request.lines().next().unwrap_or_default().to_owned());
            let answer = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{text}\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (addr, asked)
}

/// A client that is told of no NameServer finds it with the web server, asking once.
pub(crate) async fn discovery(cluster: &Cluster) {
    let (web, asked) = web_server(cluster.namesrv_address()).await;
    let client = builder_at("").acl(ACCOUNT.0, ACCOUNT.1).namesrv_domain(web.to_string());
    let client = client.build().unwrap();
    let producer = producer(&client, "discovers").await;
    assert!(producer.send(Message::new("client-discovery", "found")).await.unwrap().is_ok());
    let (_consumer, mut arrivals) = consume(&client, "client-discovery").await;
    assert_eq!(next(&mut arrivals).await.body, "found");
    client.shutdown().await.unwrap();
    assert_eq!(*asked.lock().unwrap(), ["GET /rocketmq/nsaddr HTTP/1.0"]);
}
