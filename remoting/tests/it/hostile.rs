//! Bytes that no peer would send.

use bytes::BytesMut;
use ferrocket_protocol::frame;
use ferrocket_remoting::RemotingConfig;
use tokio::io::AsyncWriteExt;

use crate::server::{ECHO, Server, closes, read_frame, request, soon, write_frame};

/// Whatever breaks the protocol closes its own connection and no other.
#[tokio::test]
async fn broken_frames_close_their_connection() {
    let server = Server::start(RemotingConfig::default()).await;
    let mut healthy = server.raw().await;
    let mut buffer = BytesMut::new();
    let cases: &[(&str, &[u8])] = &[
        ("a length above every frame", &[0xff, 0xff, 0xff, 0xff]),
        ("a length of zero", &[0, 0, 0, 0]),
        ("a header longer than its frame", &[0, 0, 0, 8, 0, 0, 0, 9, 0, 0, 0, 0]),
        ("a header above every header", &[0, 0xf0, 0, 0, 0, 0xff, 0xff, 0xff]),
        ("an unknown serialize type", &[0, 0, 0, 8, 9, 0, 0, 2, b'{', b'}', 0, 0]),
        ("a header that is no JSON", &[0, 0, 0, 8, 0, 0, 0, 4, b'g', b'a', b'r', b'b']),
        ("a cut binary header", &[0, 0, 0, 8, 1, 0, 0, 4, 0, 0, 0, 0]),
        ("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        ("an HTTP request", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ];
    for (number, (what, bytes)) in cases.iter().enumerate() {
        let mut hostile = server.raw().await;
        hostile.write_all(bytes).await.unwrap();
        assert!(closes(&mut hostile).await, "{what} is let through");
        write_frame(&mut healthy, number as i32, request(ECHO, *what)).await;
        assert_eq!(read_frame(&mut healthy, &mut buffer).await.body, *what);
    }
}

/// Good requests before a fault are answered; the fault then closes the connection.
#[tokio::test]
async fn good_requests_before_a_fault() {
    let server = Server::start(RemotingConfig::default()).await;
    let mut stream = server.raw().await;
    let mut bytes = BytesMut::new();
    frame::encode(&request(ECHO, "good"), &mut bytes);
    bytes.extend_from_slice(&[0xff; 8]);
    stream.write_all(&bytes).await.unwrap();
    assert_eq!(read_frame(&mut stream, &mut BytesMut::new()).await.body, "good");
    assert!(closes(&mut stream).await);
}

/// Incomplete frames are held up to their common limit; beyond it their senders are closed.
#[tokio::test]
async fn incomplete_frames_have_a_common_limit() {
    let config = RemotingConfig { partial_total_max: 1 << 20, ..RemotingConfig::default() };
    let server = Server::start(config).await;
    let whole = frame::to_bytes(&request(ECHO, vec![0; 700_000]));
    let mut patient = server.raw().await;
    patient.write_all(&whole[..600_000]).await.unwrap();
    let mut greedy = server.raw().await;
    // The second may be refused while it still writes, or the first if its bytes came last.
    let _ = greedy.write_all(&whole[..600_000]).await;
    let (mut patient_closed, mut greedy_closed) = (false, false);
    soon(async {
        tokio::select! {
            closed = closes(&mut patient) => patient_closed = closed,
            closed = closes(&mut greedy) => greedy_closed = closed,
        }
    })
    .await;
    assert!(patient_closed ^ greedy_closed);
    // What the closed one held is free again: the other completes its frame.
    let mut other = if patient_closed { greedy } else { patient };
    other.write_all(&whole[600_000..]).await.unwrap();
    assert_eq!(read_frame(&mut other, &mut BytesMut::new()).await.body.len(), 700_000);
}
