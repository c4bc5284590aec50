//! `ferrocket standalone`: both servers in one process.

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::process::Command;

use crate::support::{Home, Process, Signal, bodies, consume, run, send};

/// Messages, topics and what groups have consumed are there again after any of the signals, and the folder looks
/// as Java leaves it.
#[tokio::test(flavor = "multi_thread")]
async fn a_clean_stop_keeps_everything() {
    let home = Home::new();
    let mut expected: BTreeSet<String> = BTreeSet::new();
    for (round, signal) in [Signal::TERM, Signal::INT, Signal::HUP].into_iter().enumerate() {
        let servers = home.standalone();
        assert!(home.path("data/store/abort").exists());
        let new = bodies(&format!("round{round}"), 12);
        send(&servers.namesrv, "Kept", &new).await;
        // The group goes on where it was: nothing of earlier rounds comes again.
        let got = consume(&servers.namesrv, "Kept", "kept_group", new.len()).await;
        assert_eq!(got, new.iter().cloned().collect());
        expected.extend(new);
        let ended = servers.process.stop(signal);
        assert_eq!(ended.out.len(), 3, "{ended:#?}");

        assert!(!home.path("data/store/abort").exists());
        let checkpoint = std::fs::read(home.path("data/store/checkpoint")).unwrap();
        assert!(i64::from_be_bytes(checkpoint[..8].try_into().unwrap()) > 1_700_000_000_000);
        for (name, word) in [
            ("topics.json", "\"Kept\""),
            ("subscriptionGroup.json", "\"kept_group\""),
            ("consumerOffset.json", "\"Kept@kept_group\""),
        ] {
            let text = home.read(&format!("data/store/config/{name}"));
            assert!(text.contains(word), "{name}: {text}");
        }
    }
    let servers = home.standalone();
    assert_eq!(consume(&servers.namesrv, "Kept", "another_group", expected.len()).await, expected);
}

/// Unless it is told otherwise it is there for this machine only; and each of the two servers says that it asks for
/// neither accounts nor TLS.
#[test]
fn is_open_on_the_loopback_address_only() {
    let home = Home::new();
    let servers = home.standalone();
    for addr in [&servers.namesrv, &servers.broker] {
        let port = addr.strip_prefix("127.0.0.1:").unwrap_or_else(|| panic!("{addr}"));
        assert!(TcpStream::connect(addr).is_ok());
        // Who listens everywhere listens on all of 127.0.0.0/8.
        assert!(TcpStream::connect(format!("127.0.0.2:{port}")).is_err(), "{addr}");
    }
    let ended = servers.process.stop(Signal::TERM);
    for words in ["access control is off", "TLS is "] {
        assert_eq!(ended.err.iter().filter(|line| line.contains(words)).count(), 2, "{words}: {ended:#?}");
    }
}

/// The address given with `--listen` is the one that clients get.
#[tokio::test(flavor = "multi_thread")]
async fn listens_where_it_is_told() {
    let home = Home::new();
    let mut command = home.command(&["standalone", "--listen", "127.0.0.2", "--namesrv-port", "0"]);
    let mut process = Process::start(command.args(["--broker-port", "0"]));
    process.out_line();
    let boot = process.out_line();
    assert!(boot.contains(", 127.0.0.2:") && boot.contains(" and name server is 127.0.0.2:"), "{boot}");
    let ready = process.out_line();
    assert!(ready.ends_with("data in ferrocket-data"), "{ready}");
    let namesrv = boot.rsplit(' ').next().unwrap();
    let sent = send(namesrv, "T", &bodies("listen", 1)).await;
    assert_eq!(consume(namesrv, "T", "g", 1).await.len(), sent.len());
    process.stop(Signal::TERM);
}

/// Listening everywhere, it names an address that can be used; and what was started with SIGHUP ignored, as
/// `nohup` does it, outlives its terminal.
#[tokio::test(flavor = "multi_thread")]
async fn everywhere_and_without_a_terminal() {
    let home = Home::new();
    let script = "trap '' HUP; exec \"$0\" standalone --listen 0.0.0.0 --namesrv-port 0 --broker-port 0";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_ferrocket")]).current_dir(home.path(""));
    let mut process = Process::start(&mut command);
    process.out_line();
    let boot = process.out_line();
    let namesrv = boot.rsplit(' ').next().unwrap();
    assert!(namesrv.starts_with("127.0.0.1:"), "{boot}");
    process.out_line();
    process.kill(Signal::HUP);
    assert!(TcpStream::connect(namesrv).is_ok());
    let ended = process.stop(Signal::TERM);
    assert!(ended.err.iter().any(|line| line.contains("SIGTERM: shutting down")), "{ended:#?}");
}

/// A start script that stops reading stops nothing.
#[tokio::test(flavor = "multi_thread")]
async fn survives_closed_output() {
    let home = Home::new();
    let mut servers = home.standalone();
    servers.process.read_no_more();
    // Each broken frame is a line of the log, which nobody reads.
    for _ in 0..20 {
        let mut junk = TcpStream::connect(&servers.broker).unwrap();
        std::io::Write::write_all(&mut junk, &[0xff; 64]).unwrap();
        let _ = std::io::Read::read(&mut junk, &mut [0; 8]);
    }
    send(&servers.namesrv, "T", &bodies("unread", 3)).await;
    servers.process.stop(Signal::TERM);
    assert!(!home.path("data/store/abort").exists());
}

/// A second one on the same folder does not start, and does not harm the first.
#[tokio::test(flavor = "multi_thread")]
async fn one_process_per_folder() {
    let home = Home::new();
    let servers = home.standalone();
    let data = home.path("data");
    let ended =
        run(home.command(&["standalone", "--namesrv-port", "0", "--broker-port", "0", "--data"]).arg(&data));
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.err.last().unwrap().starts_with("ferrocket: Lock failed,MQ already started"), "{ended:#?}");
    send(&servers.namesrv, "T", &bodies("first", 3)).await;
    servers.process.stop(Signal::TERM);
}
