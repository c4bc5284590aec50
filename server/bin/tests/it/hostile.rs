//! Bytes that no client would send, on every port: the connection is closed or answered, memory stays within
//! bounds, and the process serves on.

use std::net::SocketAddr;
use std::time::Duration;

use ferrocket_protocol::{RemotingCommand, RequestCode, requests::Empty};
use ferrocket_remoting::{RefuseAll, RemotingConfig, dial};
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use rustix::process::{Resource, Rlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::{Home, PATIENCE, Signal, Standalone, bodies, consume, send};

/// What the process may hold beyond what it held before, in KiB: less than one longest frame for each of the
/// connections that these tests open at once.
const GROWTH_MAX_KIB: u64 = 128 * 1024;

/// Servers of which the VIP port could be had as well.
fn servers(home: &Home) -> Standalone {
    for _ in 0..10 {
        let servers = home.standalone();
        if std::net::TcpStream::connect(vip(&servers)).is_ok() {
            return servers;
        }
        servers.process.stop(Signal::TERM);
    }
    panic!("the port two below the Broker's is always taken");
}

fn vip(servers: &Standalone) -> String {
    let (host, port) = servers.broker.rsplit_once(':').unwrap();
    format!("{host}:{}", port.parse::<u16>().unwrap() - 2)
}

fn ports(servers: &Standalone) -> [String; 3] {
    [servers.namesrv.clone(), servers.broker.clone(), vip(servers)]
}

/// A frame around any header and body.
fn frame(header: &[u8], body: &[u8]) -> Vec<u8> {
    let mut frame = ((4 + header.len() + body.len()) as u32).to_be_bytes().to_vec();
    frame.extend((header.len() as u32).to_be_bytes());
    frame.extend(header);
    frame.extend(body);
    frame
}

fn request(code: i32, opaque: i32, fields: &str, body: &[u8]) -> Vec<u8> {
    let header = format!(
        "{{\"code\":{code},\"language\":\"JAVA\",\"version\":399,\"opaque\":{opaque},\"flag\":0,\"extFields\":{{{fields}}}}}"
    );
    frame(header.as_bytes(), body)
}

/// Writes all of it and reads until the peer closes; `None` if the peer resets the connection.
async fn exchange(addr: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    // The peer may close, or reset, before it has everything.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    match tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await {
        Err(_) => panic!("{addr} neither answers nor closes after {:?}", &bytes[..bytes.len().min(64)]),
        Ok(Err(_)) => None,
        Ok(Ok(_)) => Some(answer),
    }
}

/// Each port answers a proper request, and messages go through.
async fn assert_serving(servers: &Standalone, name: &str) {
    for addr in ports(servers) {
        let connection =
            dial(&addr, std::sync::Arc::new(RefuseAll), &RemotingConfig::default()).await.unwrap();
        let code = if addr == servers.namesrv {
            RequestCode::GetNamesrvConfig
        } else {
            RequestCode::GetBrokerConfig
        };
        let reply = connection.call(RemotingCommand::request(code, &Empty), PATIENCE).await.unwrap();
        assert_eq!(reply.code, 0, "{addr} after {name}");
    }
    send(&servers.namesrv, name, &bodies(name, 3)).await;
    assert_eq!(consume(&servers.namesrv, name, name, 3).await.len(), 3);
}

/// The same, and the process never held more than `max_kib`.
async fn assert_bounded(servers: &Standalone, name: &str, max_kib: u64) {
    assert_serving(servers, name).await;
    let most = servers.process.memory_kib("VmHWM");
    println!("{name}: at most {most} KiB of {max_kib} KiB");
    assert!(most < max_kib, "{name}: grew to {most} KiB, allowed are {max_kib} KiB");
}

/// Stops the servers and sees that nothing panicked on the way.
fn stop(servers: Standalone) {
    let ended = servers.process.stop(Signal::TERM);
    let panics: Vec<&String> = ended.err.iter().filter(|line| line.contains("panicked")).collect();
    assert!(panics.is_empty(), "{panics:#?}");
}

/// Other protocols, wrong lengths and headers: the connection is closed at once, without waiting for more.
#[tokio::test(flavor = "multi_thread")]
async fn foreign_bytes_close_the_connection() {
    let home = Home::new();
    let servers = servers(&home);
    let deep_header = [b"{\"code\":".as_slice(), &b"[".repeat(200_000)].concat();
    let payloads: Vec<(&str, Vec<u8>)> = vec![
        ("http", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        ("http2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        ("tls", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(), &[7; 500]].concat()),
        ("ssh", b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()),
        ("negative length", vec![0xff; 16]),
        ("greatest length", b"\x7f\xff\xff\xff\x00\x00\x00\x10{}".to_vec()),
        ("zero length", vec![0; 8]),
        ("too short", b"\x00\x00\x00\x03abc".to_vec()),
        ("one above the limit", [(16_u32 << 20).to_be_bytes().as_slice(), &[0; 64]].concat()),
        ("header beyond the frame", b"\x00\x00\x00\x08\x00\x00\x00\x09abcd".to_vec()),
        ("header beyond its limit", b"\x00\x50\x00\x00\x00\x4f\x00\x00".to_vec()),
        ("unknown serialization", b"\x00\x00\x00\x08\x07\x00\x00\x04abcd".to_vec()),
        ("no JSON", frame(b"not json at all", b"")),
        ("an array", frame(b"[1,2,3]", b"")),
        ("a code that is no number", frame(b"{\"code\":\"x\",\"opaque\":1}", b"")),
        ("no UTF-8", frame(b"{\"code\":1,\"remark\":\"\xff\xfe\"}", b"")),
        ("deep nesting", frame(&deep_header, b"")),
        ("short binary header", b"\x00\x00\x00\x08\x01\x00\x00\x04abcd".to_vec()),
        (
            "binary fields beyond the header",
            b"\x00\x00\x00\x19\x01\x00\x00\x15\x00\x0a\x00\x01\x8f\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x7f\xff\xff\xff".to_vec(),
        ),
    ];
    for addr in ports(&servers) {
        for (name, bytes) in &payloads {
            if let Some(answer) = exchange(&addr, bytes).await {
                assert!(answer.is_empty(), "{addr} answers {name}: {answer:?}");
            }
        }
    }
    assert_serving(&servers, "foreign").await;
    stop(servers);
}

/// Random bytes, and proper requests with random bytes changed, in several thousand connections of which a
/// few hundred are open at a time; most go without a word, in the middle of a frame.
#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_junk_connections() {
    let home = Home::new();
    let servers = servers(&home);
    assert_serving(&servers, "before").await;
    let before = servers.process.memory_kib("VmRSS");
    let ports = ports(&servers);
    let mut random = StdRng::seed_from_u64(0xF0);
    for _ in 0..10 {
        let mut wave = Vec::new();
        for number in 0..300 {
            let mut bytes = match number % 3 {
                0 => vec![0; random.random_range(1..200)],
                _ => {
                    request(random.random_range(0..400), number, "\"topic\":\"T\",\"queueId\":\"0\"", b"body")
                }
            };
            match number % 3 {
                0 => random.fill_bytes(&mut bytes),
                1 => {
                    let at = random.random_range(0..bytes.len());
                    bytes[at] = random.random();
                }
                _ => bytes.truncate(random.random_range(1..bytes.len())),
            }
            wave.push((ports[number as usize % ports.len()].clone(), bytes));
        }
        let wave = wave.into_iter().map(|(addr, bytes)| async move {
            let mut stream = TcpStream::connect(addr).await.unwrap();
            let _ = stream.write_all(&bytes).await;
            stream
        });
        let tasks: Vec<_> = wave.map(tokio::spawn).collect();
        let mut open = Vec::new();
        for task in tasks {
            open.push(task.await.unwrap());
        }
    }
    assert_bounded(&servers, "junk", before + GROWTH_MAX_KIB).await;
    stop(servers);
}

/// A thousand peers announce the longest frame and send a kilobyte of it: nobody's memory is reserved for
/// what was only announced. Whoever sends nothing more is closed.
#[tokio::test(flavor = "multi_thread")]
async fn half_frames_cost_what_was_sent() {
    let home = Home::new();
    let servers = servers(&home);
    let before = servers.process.memory_kib("VmRSS");
    let mut open = Vec::new();
    for number in 0..1000 {
        let mut stream = TcpStream::connect(&ports(&servers)[number % 3]).await.unwrap();
        let mut half = ((16_u32 << 20) - 4).to_be_bytes().to_vec();
        half.extend([0, 0, 0, 100]);
        half.extend([b' '; 1024]);
        stream.write_all(&half).await.unwrap();
        open.push(stream);
    }
    assert_bounded(&servers, "half", before + GROWTH_MAX_KIB).await;
    for mut stream in open {
        let closed = tokio::time::timeout(PATIENCE, stream.read(&mut [0; 16])).await;
        assert!(matches!(closed, Ok(Ok(0) | Err(_))), "{closed:?}");
    }
    assert_serving(&servers, "whole").await;
    stop(servers);
}

/// Ten thousand peers announce the longest frame and send one byte of it: a connection costs 5 KiB.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_connections() {
    const EACH_MAX_KIB: u64 = 5;
    // Each of them is a file here and one in the process, which inherits the limit.
    let files = rustix::process::getrlimit(Resource::Nofile);
    rustix::process::setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files }).unwrap();
    // Fewer only where the system lets no process have so many; tests beside this one need some, too.
    let connections = files.maximum.map_or(10_000, |most| most.saturating_sub(2_000).clamp(1_000, 10_000));
    let home = Home::new();
    let servers = servers(&home);
    assert_serving(&servers, "before").await;
    let before = servers.process.memory_kib("VmRSS");
    let [announced, rest] = [&((16_u32 << 20) - 4).to_be_bytes()[..], b" "];
    let mut open = Vec::new();
    for number in 0..connections as usize {
        let socket = TcpSocket::new_v4().unwrap();
        // Few enough from each address.
        socket.bind(SocketAddr::from(([127, 0, 0, 2 + (number / 3 % 8) as u8], 0))).unwrap();
        let port = ports(&servers)[number % 3].parse().unwrap();
        let mut stream = socket.connect(port).await.unwrap();
        stream.write_all(&[announced, rest].concat()).await.unwrap();
        open.push(stream);
    }
    assert_bounded(&servers, "many", before + connections * EACH_MAX_KIB).await;
    drop(open);
    stop(servers);
}

/// What incomplete frames of all connections, and answers that wait for all connections, may take each, in
/// KiB: `partial_total_max` and `write_total_max` of the listeners.
const TOTAL_MAX_KIB: u64 = 256 * 1024;

/// Peers that send most of the longest frame and then nothing: what they hold together has a limit, and
/// proper clients are served meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn unfinished_long_frames_have_a_limit() {
    let home = Home::new();
    let servers = servers(&home);
    let before = servers.process.memory_kib("VmRSS");
    let mut frame = ((16_u32 << 20) - 4).to_be_bytes().to_vec();
    frame.extend([0, 0, 0, 100]);
    frame.resize(12 << 20, b' ');
    let frame = std::sync::Arc::new(frame);
    let writers = (0..50).map(|_| {
        let (addr, frame) = (servers.broker.clone(), frame.clone());
        tokio::spawn(async move {
            let mut stream = TcpStream::connect(addr).await.unwrap();
            // Refused or left waiting, once the limit is reached.
            let _ = tokio::time::timeout(Duration::from_secs(1), stream.write_all(&frame)).await;
            stream
        })
    });
    let mut open = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        open.push(writer.await.unwrap());
    }
    assert_bounded(&servers, "long", before + TOTAL_MAX_KIB + GROWTH_MAX_KIB).await;
    drop(open);
    stop(servers);
}

/// Peers that ask for long answers and never read: what waits for them has a limit, and proper clients are
/// served meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn unread_answers_have_a_limit() {
    let home = Home::new();
    let servers = servers(&home);
    let mut random = StdRng::seed_from_u64(0xF1);
    // Such that they stay long when the producer compresses them.
    let mut letters = || (0..400_000).map(|_| char::from(random.random_range(b' '..b'~'))).collect();
    let long: Vec<String> = (0..20).map(|_| letters()).collect();
    let sent = send(&servers.namesrv, "Long", &long).await;
    let before = servers.process.memory_kib("VmRSS");
    let fields = format!(
        "\"consumerGroup\":\"g\",\"topic\":\"Long\",\"queueId\":\"{}\",\"queueOffset\":\"0\",\"maxMsgNums\":\"32\",\
         \"sysFlag\":\"4\",\"commitOffset\":\"0\",\"suspendTimeoutMillis\":\"0\",\"subscription\":\"*\",\"subVersion\":\"0\"",
        sent[0].message_queue.queue_id
    );
    let pulls: Vec<u8> = (0..200).flat_map(|opaque| request(11, opaque, &fields, b"")).collect();
    let mut open = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(&servers.broker).await.unwrap();
        let _ = stream.write_all(&pulls).await;
        open.push(stream);
    }
    // One of them reads after all: these were indeed long answers.
    let len = tokio::time::timeout(PATIENCE, open[0].read_u32()).await.unwrap().unwrap();
    assert!(len > 300_000, "{len}");
    assert_bounded(&servers, "unread", before + TOTAL_MAX_KIB + GROWTH_MAX_KIB).await;
    drop(open);
    stop(servers);
}

/// Every request code with fields and bodies that make no sense: each request is answered or closes its
/// connection, and none of them ends a task.
#[tokio::test(flavor = "multi_thread")]
async fn every_request_with_nonsense() {
    let home = Home::new();
    let servers = servers(&home);
    let before = servers.process.memory_kib("VmRSS");
    let numbers = |value: &str| {
        let names = [
            "queueId",
            "queueOffset",
            "commitOffset",
            "offset",
            "maxMsgNums",
            "sysFlag",
            "subVersion",
            "timestamp",
            "suspendTimeoutMillis",
            "maxNum",
            "beginTimestamp",
            "endTimestamp",
            "readQueueNums",
            "writeQueueNums",
            "perm",
            "defaultTopicQueueNums",
            "bornTimestamp",
            "flag",
            "reconsumeTimes",
            "delayLevel",
            "brokerId",
            "bodyCrc32",
            "msgId",
            "originMsgId",
            "maxReconsumeTimes",
            "tranStateTableOffset",
            "commitLogOffset",
            "d",
            "e",
            "f",
            "g",
            "h",
            "j",
            "l",
        ];
        names.map(|name| format!("\"{name}\":\"{value}\"")).join(",")
    };
    let texts = |value: &str| {
        let names = [
            "topic",
            "consumerGroup",
            "producerGroup",
            "group",
            "groupName",
            "originTopic",
            "defaultTopic",
            "key",
            "subscription",
            "properties",
            "brokerName",
            "brokerAddr",
            "clusterName",
            "haServerAddr",
            "clientID",
            "namespace",
            "value",
            "topicFilterType",
            "a",
            "b",
            "c",
            "i",
            "k",
            "m",
        ];
        names.map(|name| format!("\"{name}\":\"{value}\"")).join(",")
    };
    let all_fields = [
        String::new(),
        format!("{},{}", texts("T"), numbers("0")),
        format!("{},{}", texts("T"), numbers("-1")),
        format!("{},{}", texts("%RETRY%T"), numbers("2147483647")),
        format!("{},{}", texts("T"), numbers("9223372036854775807")),
        format!("{},{}", texts("T"), numbers("-9223372036854775808")),
        format!("{},{}", texts("../../etc/passwd"), numbers("1")),
        format!("{},{}", texts("\\u0001\\u0002\\u0000"), numbers("1e9")),
        format!("{},{}", texts(&"x".repeat(1000)), numbers("")),
    ];
    let deep_objects = b"{\"a\":".repeat(100_000);
    let deep_keys = b"{".repeat(100_000);
    let all_bodies: [&[u8]; 7] = [
        b"",
        b"junk",
        b"{}",
        b"[]",
        b"\x00\x00\x00\x10\xff\xff\xff\xff\xff\xff\xff\xff",
        &deep_objects,
        &deep_keys,
    ];
    for (port, addr) in ports(&servers).into_iter().enumerate() {
        for (variant, fields) in all_fields.iter().enumerate() {
            // All bodies with sensible fields, one with each kind of the others.
            let bodies =
                if variant == 1 { &all_bodies[..] } else { &all_bodies[(variant + port) % 5..][..1] };
            for body in bodies {
                every_code(&addr, fields, body).await;
            }
        }
    }
    assert_bounded(&servers, "nonsense", before + GROWTH_MAX_KIB).await;
    assert!(!home.path("etc").exists());
    stop(servers);
}

/// Sends one request of each code on one connection, each once the one before is answered. Pulls that wait
/// for messages are not waited for: what shows that the connection is served is a request behind them.
async fn every_code(addr: &str, fields: &str, body: &[u8]) {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let codes = (0..60).chain(100..110).chain(200..235).chain(300..360).chain([-1, 1000, 2008, i32::MAX]);
    for (opaque, code) in codes.enumerate() {
        let opaque = opaque as i32 * 2;
        let mut bytes = request(code, opaque, fields, body);
        // Known to neither server, so that it is always answered at once.
        bytes.extend(request(999, opaque + 1, "", b""));
        let answered = async {
            stream.write_all(&bytes).await?;
            loop {
                let len = stream.read_u32().await?;
                let mut reply = vec![0; len as usize];
                stream.read_exact(&mut reply).await?;
                let text = String::from_utf8_lossy(&reply);
                if text.contains(&format!("\"opaque\":{}", opaque + 1)) {
                    return std::io::Result::Ok(());
                }
            }
        };
        let answered = tokio::time::timeout(Duration::from_secs(30), answered).await;
        let answered = answered.unwrap_or_else(|_| {
            panic!("{addr}: silence after code {code} with {fields:.300} and {} bytes", body.len())
        });
        answered.unwrap_or_else(|error| panic!("{addr}: {error} after code {code} with {fields:.300}"));
    }
}
