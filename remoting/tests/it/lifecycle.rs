//! Opening, losing, closing and reopening connections.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use ferrocket_protocol::response_code::ResponseCode;
use ferrocket_remoting::{CallError, Dialer, RefuseAll, RemotingConfig, SocksProxy, dial};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::server::{BYTES, ECHO, HOLD, PANIC, SOON, Server, closes, read_frame, request, soon, write_frame};

fn dialer() -> Dialer {
    Dialer::new(Arc::new(RefuseAll), RemotingConfig::default())
}

/// Calls under way learn that the connection closed, and so does the handler, once.
#[tokio::test]
async fn closing_fails_calls() {
    let mut server = Server::start(RemotingConfig::default()).await;
    let addr = server.addr.to_string();
    let connection = dial(&addr, Arc::new(RefuseAll), &RemotingConfig::default()).await.unwrap();
    let call = tokio::spawn({
        let connection = connection.clone();
        async move { connection.call(request(HOLD, ""), SOON).await }
    });
    let (peer, held) = soon(server.events.held.recv()).await.unwrap();
    peer.close();
    soon(peer.closed()).await;
    assert_eq!(soon(server.events.closed.recv()).await, Some(peer.id()));
    assert!(!peer.reply(held.reply(ResponseCode::SUCCESS)));
    let error = soon(call).await.unwrap().unwrap_err();
    assert!(matches!(&error, CallError::Closed { addr: named } if *named == addr), "{error}");
    soon(connection.closed()).await;
    let error = connection.call(request(ECHO, ""), SOON).await.unwrap_err();
    assert!(matches!(error, CallError::Closed { .. }));
    assert!(!connection.oneway_ready(request(ECHO, "")));
    assert!(server.events.closed.try_recv().is_err());
}

/// A handler that panics costs its own connection only.
#[tokio::test]
async fn panic_costs_one_connection() {
    let mut server = Server::start(RemotingConfig::default()).await;
    let dialer = dialer();
    let addr = server.addr.to_string();
    let error = dialer.call(&addr, request(PANIC, ""), SOON).await.unwrap_err();
    assert!(matches!(error, CallError::Closed { .. }), "{error}");
    soon(server.events.closed.recv()).await.unwrap();
    dialer.call(&addr, request(ECHO, ""), SOON).await.unwrap();
}

/// What is queued before a close still arrives.
#[tokio::test]
async fn close_writes_what_waits() {
    let mut server = Server::start(RemotingConfig::default()).await;
    let mut stream = server.raw().await;
    write_frame(&mut stream, 5, request(HOLD, "")).await;
    let (peer, held) = soon(server.events.held.recv()).await.unwrap();
    assert!(peer.reply(held.reply(ResponseCode::SUCCESS).with_body(vec![3; 5_000_000])));
    peer.close();
    let answer = read_frame(&mut stream, &mut BytesMut::new()).await;
    assert_eq!((answer.opaque, answer.body.len()), (5, 5_000_000));
    assert!(closes(&mut stream).await);
}

/// A peer that closes its sending half still reads its answers.
#[tokio::test]
async fn half_closed_peer_gets_its_answers() {
    let server = Server::start(RemotingConfig::default()).await;
    let mut stream = server.raw().await;
    write_frame(&mut stream, 5, request(BYTES, "5000000")).await;
    stream.shutdown().await.unwrap();
    assert_eq!(read_frame(&mut stream, &mut BytesMut::new()).await.body.len(), 5_000_000);
    assert!(closes(&mut stream).await);
}

/// A stopping server writes answers that wait, closes every connection and frees its port.
#[tokio::test]
async fn graceful_stop() {
    let mut server = Server::start(RemotingConfig::default()).await;
    let addr = server.addr;
    let (mut idle, mut busy) = (server.raw().await, server.raw().await);
    write_frame(&mut busy, 5, request(HOLD, "")).await;
    let (peer, held) = soon(server.events.held.recv()).await.unwrap();
    soon(server.events.opened.recv()).await.unwrap();
    soon(server.events.opened.recv()).await.unwrap();
    assert!(peer.reply(held.reply(ResponseCode::SUCCESS).with_body(vec![3; 5_000_000])));
    let (stopped, mut events) = server.stop();
    assert_eq!(read_frame(&mut busy, &mut BytesMut::new()).await.body.len(), 5_000_000);
    assert!(closes(&mut busy).await && closes(&mut idle).await);
    soon(stopped).await.unwrap();
    assert!(events.closed.try_recv().is_ok() && events.closed.try_recv().is_ok());
    Server::start_on(addr, RemotingConfig::default()).await;
}

/// Connections on reactors of their own work and stop like others.
#[tokio::test]
async fn reactors() {
    let server = Server::start(RemotingConfig { reactors: 2, ..RemotingConfig::default() }).await;
    let addr = server.addr.to_string();
    let mut connections = Vec::new();
    for _ in 0..5 {
        let connection = dial(&addr, Arc::new(RefuseAll), &RemotingConfig::default()).await.unwrap();
        connection.call(request(ECHO, ""), SOON).await.unwrap();
        connections.push(connection);
    }
    soon(server.stop().0).await.unwrap();
    for connection in connections {
        soon(connection.closed()).await;
    }
}

/// A stopping server waits only so long for a peer that does not read.
#[tokio::test]
async fn stop_does_not_wait_for_ever() {
    let config = RemotingConfig { drain_timeout: Duration::from_millis(50), ..RemotingConfig::default() };
    let mut server = Server::start(config).await;
    let mut stream = server.raw().await;
    write_frame(&mut stream, 5, request(HOLD, "")).await;
    let (peer, held) = soon(server.events.held.recv()).await.unwrap();
    assert!(peer.reply(held.reply(ResponseCode::SUCCESS).with_body(vec![3; 15_000_000])));
    soon(server.stop().0).await.unwrap();
}

/// Everybody who needs an address shares one dial and one connection.
#[tokio::test]
async fn single_flight() {
    let mut server = Server::start(RemotingConfig::default()).await;
    let (dialer, addr) = (dialer(), server.addr.to_string());
    let mut waiters = JoinSet::new();
    for _ in 0..50 {
        let (dialer, addr) = (dialer.clone(), addr.clone());
        waiters.spawn(async move { dialer.connection(&addr).await.unwrap().id() });
    }
    let ids = waiters.join_all().await;
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert_eq!(dialer.existing(&addr).unwrap().id(), ids[0]);
    soon(server.events.opened.recv()).await.unwrap();
    dialer.call(&addr, request(ECHO, ""), SOON).await.unwrap();
    assert!(server.events.opened.try_recv().is_err(), "a second connection was opened");
}

/// A lost connection is dialled again when it is next needed; a forgotten one is closed.
#[tokio::test]
async fn reconnects() {
    let server = Server::start(RemotingConfig::default()).await;
    let (dialer, addr) = (dialer(), server.addr);
    let text = addr.to_string();
    let first = dialer.connection(&text).await.unwrap();
    soon(server.stop().0).await.unwrap();
    soon(first.closed()).await;
    assert!(dialer.existing(&text).is_none());
    let error = dialer.call(&text, request(ECHO, ""), SOON).await.unwrap_err();
    assert!(matches!(&error, CallError::Connect { addr, .. } if *addr == text), "{error}");
    assert!(error.to_string().starts_with(&format!("cannot connect to {text}: ")));
    let _server = Server::start_on(addr, RemotingConfig::default()).await;
    dialer.call(&text, request(ECHO, ""), SOON).await.unwrap();
    let second = dialer.existing(&text).unwrap();
    assert_ne!(first.id(), second.id());
    dialer.retire(&text);
    dialer.call(&text, request(ECHO, ""), SOON).await.unwrap();
    assert_ne!(dialer.existing(&text).unwrap().id(), second.id());
    // What is under way on a retired connection is finished.
    second.call(request(ECHO, ""), SOON).await.unwrap();
    let second = dialer.existing(&text).unwrap();
    dialer.forget(&text);
    soon(second.closed()).await;
    dialer.oneway(&text, request(ECHO, "")).await.unwrap();
    let third = dialer.existing(&text).unwrap();
    dialer.close_all();
    soon(third.closed()).await;
}

/// The time that a dial takes is part of the call's, which may have begun before; the dial goes on without it.
#[tokio::test(start_paused = true)]
async fn dialling_is_part_of_the_calls_time() {
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socks_proxy = Some(SocksProxy::new(mute.local_addr().unwrap().to_string()));
    let config = RemotingConfig { socks_proxy, connect_timeout: SOON, ..Default::default() };
    let dialer = Dialer::new(Arc::new(RefuseAll), config);
    let (addr, began) = ("broker.test:10911", Instant::now());
    tokio::time::advance(SOON / 4).await;
    let late = dialer.begin(addr, request(ECHO, ""), began, SOON / 2).await.unwrap_err();
    assert!(
        matches!(&late, CallError::Timeout { addr: named, after } if *named == addr && *after == SOON / 2)
    );
    assert!(began.elapsed() < SOON * 5 / 8, "{:?}", began.elapsed());
    let error = dialer.call(addr, request(ECHO, ""), SOON * 2).await.unwrap_err();
    assert!(matches!(error, CallError::Connect { .. }), "{error}");
    assert!(began.elapsed() < SOON * 11 / 8, "{:?}", began.elapsed());
}

/// A caller that gives up its dial takes nobody else's with it.
#[tokio::test]
async fn dial_outlives_its_first_caller() {
    let server = Server::start(RemotingConfig::default()).await;
    let (dialer, addr) = (dialer(), server.addr.to_string());
    let first = {
        let mut first = Box::pin(dialer.connection(&addr));
        // One poll begins the dial.
        assert!(
            std::future::poll_fn(|cx| std::task::Poll::Ready(first.as_mut().poll(cx).is_pending())).await
        );
        first
    };
    let second = tokio::spawn({
        let (dialer, addr) = (dialer.clone(), addr.clone());
        async move { dialer.connection(&addr).await }
    });
    drop(first);
    soon(second).await.unwrap().unwrap();
}
