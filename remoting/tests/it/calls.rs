//! Calls and answers.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ferrocket_protocol::frame;
use ferrocket_protocol::response_code::ResponseCode;
use ferrocket_remoting::{CallError, RefuseAll, RemotingConfig, dial};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::server::{ECHO, HOLD, Recorder, SOON, Server, read_frame, request, soon};

/// Many calls share a connection; answers that come in reverse order reach their callers.
#[tokio::test]
async fn answers_in_any_order() {
    let mut server = Server::start(RemotingConfig::default()).await;
    let config = RemotingConfig::default();
    let connection = dial(&server.addr.to_string(), Arc::new(RefuseAll), &config).await.unwrap();
    let mut calls = JoinSet::new();
    for number in 0..500 {
        let connection = connection.clone();
        calls.spawn(async move {
            let answer = connection.call(request(HOLD, number.to_string()), SOON).await.unwrap();
            (number, answer.body)
        });
    }
    let mut held = Vec::new();
    while held.len() < 500 {
        held.push(soon(server.events.held.recv()).await.unwrap());
    }
    for (connection, request) in held.into_iter().rev() {
        assert!(connection.reply(request.reply(ResponseCode::SUCCESS).with_body(request.body.clone())));
    }
    while let Some(done) = calls.join_next().await {
        let (number, body) = done.unwrap();
        assert_eq!(body, Bytes::from(number.to_string()));
    }
}

/// A call times out on its own; its late answer disturbs nobody.
#[tokio::test]
async fn timeout_and_late_answer() {
    let mut server = Server::start(RemotingConfig::default()).await;
    let addr = server.addr.to_string();
    let connection = dial(&addr, Arc::new(RefuseAll), &RemotingConfig::default()).await.unwrap();
    let after = Duration::from_millis(20);
    let error = connection.call(request(HOLD, "late"), after).await.unwrap_err();
    assert!(matches!(&error, CallError::Timeout { addr: named, .. } if *named == addr), "{error}");
    assert_eq!(error.to_string(), format!("no answer from {addr} within 20ms"));
    let (peer, held) = soon(server.events.held.recv()).await.unwrap();
    assert!(peer.reply(held.reply(ResponseCode::SUCCESS)));
    let answer = connection.call(request(ECHO, "next"), SOON).await.unwrap();
    assert_eq!(answer.body, "next");
}

/// Each of many calls ends by itself: with its answer, when its time is up, though a longer call is under way, or with
/// the connection.
#[tokio::test]
async fn each_call_ends_by_itself() {
    let mut server = Server::start(RemotingConfig::default()).await;
    let connection =
        dial(&server.addr.to_string(), Arc::new(RefuseAll), &RemotingConfig::default()).await.unwrap();
    let begin = |code, body: &'static str, timeout| {
        let connection = connection.clone();
        tokio::spawn(async move { connection.call(request(code, body), timeout).await })
    };
    let held = begin(HOLD, "held", SOON);
    let late = begin(HOLD, "late", Duration::from_millis(20));
    for (answer, body) in ["a", "b", "c"].map(|body| (begin(ECHO, body, SOON), body)) {
        assert_eq!(answer.await.unwrap().unwrap().body, body);
    }
    let error = late.await.unwrap().unwrap_err();
    assert!(
        matches!(error, CallError::Timeout { after, .. } if after == Duration::from_millis(20)),
        "{error}"
    );
    let (peer, _) = soon(server.events.held.recv()).await.unwrap();
    peer.close();
    assert!(matches!(held.await.unwrap().unwrap_err(), CallError::Closed { .. }));
    let refused = connection.call(request(ECHO, "x"), SOON).await.unwrap_err();
    assert!(matches!(refused, CallError::Closed { .. }));
}

/// A caller that writes its frame itself, and more of it than the system takes, leaves the rest to the connection: what
/// others send meanwhile comes behind it, whole and in order.
#[tokio::test]
async fn frames_stay_whole_and_in_order() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let config = RemotingConfig { send_buffer: Some(64 << 10), ..RemotingConfig::default() };
    let (dialled, accepted) = tokio::join!(dial(&addr, Arc::new(RefuseAll), &config), listener.accept());
    let (connection, (mut peer, _)) = (dialled.unwrap(), accepted.unwrap());
    let mut buffer = BytesMut::new();
    for round in 0..5_u8 {
        // The answer that ends a round allows the next caller to write.
        let lens = [400_000, 20, 100_000, 10];
        for len in lens {
            connection.oneway(request(ECHO, vec![round; len])).await.unwrap();
        }
        for len in lens {
            let frame = soon(read_frame(&mut peer, &mut buffer)).await;
            assert!(frame.body == vec![round; len], "round {round}, frame of {len}");
        }
        let call = connection.call(request(ECHO, "ends the round"), SOON);
        let answer = async {
            let asked = read_frame(&mut peer, &mut buffer).await;
            let reply = asked.reply(ResponseCode::SUCCESS);
            peer.write_all(&frame::to_bytes(&reply)).await.unwrap();
        };
        assert!(tokio::join!(call, answer).0.is_ok());
    }
}

/// The accepting side calls the dialling side over the same connection, while the numbers of both meet.
#[tokio::test]
async fn server_initiated_requests() {
    let mut server = Server::start(RemotingConfig::default()).await;
    let (recorder, _client) = Recorder::new();
    let dialled = dial(&server.addr.to_string(), recorder.clone(), &RemotingConfig::default()).await.unwrap();
    let accepted = soon(server.events.opened.recv()).await.unwrap();
    for _ in 0..3 {
        let (up, down) =
            tokio::join!(dialled.call(request(ECHO, "up"), SOON), accepted.call(request(ECHO, "down"), SOON));
        assert_eq!((up.unwrap().body, down.unwrap().body), (Bytes::from("up"), Bytes::from("down")));
    }
    accepted.oneway(request(ECHO, "waits")).await.unwrap();
    assert!(accepted.oneway_ready(request(ECHO, "ready")));
    // An answered call behind the oneway requests proves that they have been handled.
    accepted.call(request(ECHO, ""), SOON).await.unwrap();
    assert_eq!(*recorder.oneways.lock().unwrap(), ["waits", "ready"]);
}

/// A side without requests of its own answers code 3, naming the request.
#[tokio::test]
async fn refuses_what_it_does_not_serve() {
    let mut server = Server::start(RemotingConfig::default()).await;
    let _dialled =
        dial(&server.addr.to_string(), Arc::new(RefuseAll), &RemotingConfig::default()).await.unwrap();
    let accepted = soon(server.events.opened.recv()).await.unwrap();
    let answer = accepted.call(request(ECHO, ""), SOON).await.unwrap();
    assert_eq!(answer.response_code(), ResponseCode::REQUEST_CODE_NOT_SUPPORTED);
    assert_eq!(answer.remark.unwrap(), " request type 10 not supported");
}

/// Large frames survive in both directions, next to small ones; one that fits no frame is refused.
#[tokio::test]
async fn large_frames() {
    let server = Server::start(RemotingConfig::default()).await;
    let connection =
        dial(&server.addr.to_string(), Arc::new(RefuseAll), &RemotingConfig::default()).await.unwrap();
    let mut calls = JoinSet::new();
    for number in 0..5_u8 {
        let connection = connection.clone();
        let len = if number % 2 == 0 { 3_000_000 } else { 100 } + usize::from(number);
        calls.spawn(async move {
            let body = Bytes::from(vec![number; len]);
            let answer = connection.call(request(ECHO, body.clone()), SOON).await.unwrap();
            assert!(answer.body == body, "body {number} differs");
        });
    }
    while let Some(done) = calls.join_next().await {
        done.unwrap();
    }
    let error = connection.call(request(ECHO, vec![0; 16 << 20]), SOON).await.unwrap_err();
    assert!(matches!(error, CallError::TooLarge { .. }));
    assert!(!connection.is_closed());
}

/// Frames that come byte by byte, and many in one segment, are answered in order.
#[tokio::test]
async fn any_segmentation() {
    let server = Server::start(RemotingConfig::default()).await;
    let mut stream = server.raw().await;
    stream.set_nodelay(true).unwrap();
    let mut buffer = BytesMut::new();
    for byte in frame::to_bytes(&request(ECHO, "slowly")) {
        stream.write_all(&[byte]).await.unwrap();
    }
    assert_eq!(read_frame(&mut stream, &mut buffer).await.body, "slowly");
    let mut many = BytesMut::new();
    for number in 0..1_000 {
        let mut request = request(ECHO, number.to_string());
        request.opaque = number;
        frame::encode(&request, &mut many);
    }
    stream.write_all(&many).await.unwrap();
    for number in 0..1_000 {
        let answer = read_frame(&mut stream, &mut buffer).await;
        assert_eq!((answer.opaque, answer.body), (number, Bytes::from(number.to_string())));
    }
}
