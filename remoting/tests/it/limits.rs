//! Limits: slow readers, silent peers, too many of anything.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::BytesMut;
use ferrocket_protocol::frame;
use ferrocket_protocol::response_code::ResponseCode;
use ferrocket_remoting::{CallError, RefuseAll, RemotingConfig, dial};
use tokio::io::AsyncWriteExt;

use crate::server::{BYTES, ECHO, HOLD, SOON, Server, closes, read_frame, request, soon, write_frame};

/// A peer that asks for much and does not read is not read either: what waits for it stays bounded, and it
/// gets every answer once it reads.
#[tokio::test]
async fn slow_reader_does_not_grow_memory() {
    let config = RemotingConfig { read_pause_at: 1 << 20, ..RemotingConfig::default() };
    let mut server = Server::start(config).await;
    let stream = server.raw().await;
    let peer = soon(server.events.opened.recv()).await.unwrap();
    // About as long as what one read takes, so that each read brings about one request.
    let ask = format!("{:<60000}", 256 << 10);
    let count = 400;
    let (mut reader, mut writer) = stream.into_split();
    let asking = tokio::spawn(async move {
        for opaque in 0..count {
            let mut request = request(BYTES, ask.clone());
            request.opaque = opaque;
            writer.write_all(&frame::to_bytes(&request)).await.unwrap();
        }
        writer
    });
    // Everything runs on this thread: each turn lets the server and the asking task do what they can.
    for _ in 0..100_000 {
        tokio::task::yield_now().await;
    }
    assert!(!asking.is_finished(), "the server reads on although nobody takes its answers");
    assert!(peer.write_pending() >= 1 << 20);
    let mut buffer = BytesMut::new();
    for opaque in 0..count {
        let answer = read_frame(&mut reader, &mut buffer).await;
        assert_eq!((answer.opaque, answer.body.len()), (opaque, 256 << 10));
    }
    assert!(server.recorder.pending_max.load(Ordering::Relaxed) < 2 << 20);
    asking.await.unwrap();
}

/// When all connections together have too much to write, the slow ones are read no more; others are.
#[tokio::test]
async fn common_write_limit() {
    let config =
        RemotingConfig { write_total_max: 1 << 20, read_pause_at: 64 << 20, ..RemotingConfig::default() };
    let mut server = Server::start(config).await;
    let (mut slow, mut brisk) = (server.raw().await, server.raw().await);
    let (mut slow_buffer, mut brisk_buffer) = (BytesMut::new(), BytesMut::new());
    write_frame(&mut slow, 1, request(BYTES, "15000000")).await;
    let peer = soon(server.events.opened.recv()).await.unwrap();
    soon(async {
        while peer.write_pending() < 1 << 20 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    write_frame(&mut slow, 2, request(HOLD, "")).await;
    for opaque in 0..10 {
        write_frame(&mut brisk, opaque, request(ECHO, "")).await;
        assert_eq!(read_frame(&mut brisk, &mut brisk_buffer).await.opaque, opaque);
    }
    assert!(server.events.held.try_recv().is_err(), "the slow one is still read");
    assert_eq!(read_frame(&mut slow, &mut slow_buffer).await.body.len(), 15_000_000);
    soon(server.events.held.recv()).await.unwrap();
}

/// How long a connection was quiet before says nothing about a peer that reads.
#[tokio::test]
async fn stall_counts_from_the_first_unwritten_byte() {
    let stall = Duration::from_millis(400);
    let config = RemotingConfig { write_stall: stall, ..RemotingConfig::default() };
    let server = Server::start(config).await;
    let config = RemotingConfig::default();
    let connection = dial(&server.addr.to_string(), Arc::new(RefuseAll), &config).await.unwrap();
    connection.call(request(HOLD, ""), stall + stall / 4).await.unwrap_err();
    for _ in 0..5 {
        let answer = connection.call(request(BYTES, "15000000"), SOON).await.unwrap();
        assert_eq!(answer.body.len(), 15_000_000);
    }
}

/// A peer that takes nothing of its answers is closed.
#[tokio::test]
async fn stalled_reader_is_closed() {
    let config = RemotingConfig { write_stall: Duration::from_millis(50), ..RemotingConfig::default() };
    let mut server = Server::start(config).await;
    let mut stream = server.raw().await;
    write_frame(&mut stream, 1, request(BYTES, "15000000")).await;
    let peer = soon(server.events.opened.recv()).await.unwrap();
    assert_eq!(soon(server.events.closed.recv()).await, Some(peer.id()));
    assert!(peer.is_closed() && peer.write_pending() == 0);
}

/// Callers of a peer that does not read wait for room, or are told at once that there is none.
#[tokio::test]
async fn callers_wait_for_room() {
    let config = RemotingConfig { write_pending_max: 1 << 20, ..RemotingConfig::default() };
    let mut server = Server::start(config).await;
    let mut stream = server.raw().await;
    let peer = soon(server.events.opened.recv()).await.unwrap();
    // The socket's own buffers fill first.
    while peer.oneway_ready(request(ECHO, vec![0; 256 << 10])) {
        tokio::task::yield_now().await;
    }
    assert!(peer.write_pending() >= 1 << 20);
    let error = peer.call(request(ECHO, ""), Duration::from_millis(10)).await.unwrap_err();
    assert!(matches!(error, CallError::Timeout { .. }));
    let waiting = tokio::spawn(async move { peer.oneway(request(ECHO, "last")).await });
    let mut buffer = BytesMut::new();
    while read_frame(&mut stream, &mut buffer).await.body != "last" {}
    waiting.await.unwrap().unwrap();
}

/// Late answers pile up only so far; then the peer that does not read them is closed.
#[tokio::test]
async fn late_answers_have_a_limit() {
    let config = RemotingConfig { write_pending_max: 1 << 20, ..RemotingConfig::default() };
    let mut server = Server::start(config).await;
    let mut stream = server.raw().await;
    write_frame(&mut stream, 1, request(HOLD, "")).await;
    let (peer, held) = soon(server.events.held.recv()).await.unwrap();
    let answer = || held.reply(ResponseCode::SUCCESS).with_body(vec![0; 256 << 10]);
    let mut answers = 0;
    while peer.reply(answer()) {
        answers += 1;
    }
    assert!(answers >= 16, "closed after {answers} answers");
    assert!(peer.is_closed());
}

/// A connection awaits only so many answers.
#[tokio::test]
async fn calls_have_a_limit() {
    let mut server = Server::start(RemotingConfig::default()).await;
    let config = RemotingConfig { calls_max: 1, ..RemotingConfig::default() };
    let connection = dial(&server.addr.to_string(), Arc::new(RefuseAll), &config).await.unwrap();
    let first = tokio::spawn({
        let connection = connection.clone();
        async move { connection.call(request(HOLD, ""), SOON).await }
    });
    let (peer, held) = soon(server.events.held.recv()).await.unwrap();
    let error = connection.call(request(ECHO, ""), SOON).await.unwrap_err();
    assert!(matches!(error, CallError::Busy { .. }));
    peer.reply(held.reply(ResponseCode::SUCCESS));
    first.await.unwrap().unwrap();
    connection.call(request(ECHO, ""), SOON).await.unwrap();
}

/// Connections beyond a limit are closed at once; places are given back.
#[tokio::test]
async fn connections_have_limits() {
    for (connections_max, connections_per_ip_max) in [(2, 100), (100, 2)] {
        let config = RemotingConfig { connections_max, connections_per_ip_max, ..RemotingConfig::default() };
        let mut server = Server::start(config).await;
        let first = server.raw().await;
        let _second = server.raw().await;
        soon(server.events.opened.recv()).await.unwrap();
        soon(server.events.opened.recv()).await.unwrap();
        assert!(closes(&mut server.raw().await).await);
        drop(first);
        soon(server.events.closed.recv()).await.unwrap();
        // The place is given back right after the handler has heard of the end.
        let config = RemotingConfig::default();
        let addr = server.addr.to_string();
        soon(async {
            loop {
                let connection = dial(&addr, Arc::new(RefuseAll), &config).await.unwrap();
                if connection.call(request(ECHO, ""), SOON).await.is_ok() {
                    break;
                }
            }
        })
        .await;
    }
}

/// Connections that come too fast wait; nobody is refused. The clock is turned by hand.
#[tokio::test(start_paused = true)]
async fn connections_come_at_a_rate() {
    // While a blocking task runs, the paused clock stands still instead of jumping to the next timer.
    let (done, stand_still) = std::sync::mpsc::channel::<()>();
    tokio::task::spawn_blocking(move || stand_still.recv());
    let mut server =
        Server::start(RemotingConfig { accepts_per_second: 2, ..RemotingConfig::default() }).await;
    let mut streams = Vec::new();
    for opaque in 0..5 {
        let mut stream = server.raw().await;
        write_frame(&mut stream, opaque, request(ECHO, "")).await;
        streams.push(stream);
    }
    let mut served = 0;
    for (millis, expected) in [(0, 2), (499, 2), (1, 3), (500, 4), (500, 5)] {
        tokio::time::advance(Duration::from_millis(millis)).await;
        // Everything runs on this thread: each turn lets the server do what it can.
        for _ in 0..20_000 {
            tokio::task::yield_now().await;
            served += usize::from(server.events.opened.try_recv().is_ok());
        }
        assert_eq!(served, expected, "after {millis} ms more");
    }
    for (stream, opaque) in streams.iter_mut().zip(0..) {
        assert_eq!(read_frame(stream, &mut BytesMut::new()).await.opaque, opaque);
    }
    drop(done);
}

/// A peer that sends no whole frame is closed soon, one that falls silent later.
#[tokio::test]
async fn silent_peers_are_closed() {
    let config = RemotingConfig {
        first_frame_timeout: Duration::from_millis(40),
        idle_timeout: Duration::from_secs(3600),
        ..RemotingConfig::default()
    };
    let server = Server::start(config).await;
    assert!(closes(&mut server.raw().await).await);
    let config = RemotingConfig { idle_timeout: Duration::from_millis(40), ..RemotingConfig::default() };
    let server = Server::start(config).await;
    let mut stream = server.raw().await;
    write_frame(&mut stream, 1, request(ECHO, "")).await;
    read_frame(&mut stream, &mut BytesMut::new()).await;
    assert!(closes(&mut stream).await);
}
