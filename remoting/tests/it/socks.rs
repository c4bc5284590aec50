//! Connections through a SOCKS5 proxy.

use std::net::SocketAddr;
use std::sync::Arc;

use ferrocket_remoting::{CallError, RefuseAll, RemotingConfig, SocksProxy, dial};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::server::{ECHO, SOON, Server, request};

/// A proxy that takes one account, or none, and resolves every name to `target`; it serves one connection.
async fn proxy(account: Option<(&'static str, &'static str)>, target: SocketAddr, code: u8) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut greeting = [0; 3];
        client.read_exact(&mut greeting).await.unwrap();
        let method = if account.is_some() { 2 } else { 0 };
        client.write_all(&[5, if greeting[2] == method { method } else { 0xff }]).await.unwrap();
        if let Some((name, password)) = account {
            let mut login = vec![0; 3 + name.len() + password.len()];
            client.read_exact(&mut login).await.unwrap();
            let good = login[2..2 + name.len()] == *name.as_bytes() && login.ends_with(password.as_bytes());
            client.write_all(&[1, u8::from(!good)]).await.unwrap();
        }
        let mut head = [0; 5];
        client.read_exact(&mut head).await.unwrap();
        let rest = if head[3] == 3 { usize::from(head[4]) + 2 } else { 5 };
        client.read_exact(&mut vec![0; rest]).await.unwrap();
        client.write_all(&[5, code, 0, 3, 1, b'x', 0, 1]).await.unwrap();
        if code == 0 {
            let mut server = TcpStream::connect(target).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        }
    });
    addr
}

async fn through(proxy: SocksProxy, target: &str) -> Result<(), CallError> {
    let config = RemotingConfig { socks_proxy: Some(proxy), ..Default::default() };
    let connection = dial(target, Arc::new(RefuseAll), &config).await?;
    let reply = connection.call(request(ECHO, "through"), SOON).await?;
    assert_eq!(reply.body, "through");
    Ok(())
}

/// Names only the proxy can resolve are reached, with and without an account.
#[tokio::test]
async fn dials_through_a_proxy() {
    let server = Server::start(RemotingConfig::default()).await;
    let free = proxy(None, server.addr, 0).await;
    through(SocksProxy::new(free.to_string()), "broker.invalid:10911").await.unwrap();
    let guarded = proxy(Some(("me", "secret")), server.addr, 0).await;
    let account = SocksProxy::new(guarded.to_string()).login("me", "secret");
    through(account, &server.addr.to_string()).await.unwrap();
}

/// What a proxy refuses is an error that names it and its reason.
#[tokio::test]
async fn proxies_refuse() {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    let closed = proxy(None, nowhere, 5).await;
    let error = through(SocksProxy::new(closed.to_string()), "10.0.0.1:1").await.unwrap_err();
    let CallError::Connect { source, .. } = error else { panic!("{error}") };
    assert_eq!(source.to_string(), format!("SOCKS proxy {closed}: connection refused"));
    let guarded = proxy(Some(("me", "secret")), nowhere, 0).await;
    let wrong = SocksProxy::new(guarded.to_string()).login("me", "secreT");
    let CallError::Connect { source, .. } = through(wrong, "10.0.0.1:1").await.unwrap_err() else { panic!() };
    assert!(source.to_string().ends_with("it does not accept the account"), "{source}");
    // It has served its one connection, and nobody is there any more.
    let CallError::Connect { source, .. } =
        through(SocksProxy::new(closed.to_string()), "10.0.0.1:1").await.unwrap_err()
    else {
        panic!()
    };
    assert!(source.to_string().starts_with(&format!("SOCKS proxy {closed}: ")), "{source}");
}
