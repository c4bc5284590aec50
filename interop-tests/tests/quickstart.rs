//! `ferrocket quickstart -n` against Java's NameServer and Broker: it keeps the promise of its last line there, too.

use std::process::Command;

use ferrocket_interop_tests::cluster::Cluster;
use ferrocket_interop_tests::matrix::Server;
use ferrocket_interop_tests::setup::Workshop;

/// A fresh cluster makes the topic for the first run; the second one finds the first one's messages there.
fn two_runs(java: Server) {
    let workshop = Workshop::find().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(&workshop, java, java, folder.path()).unwrap();
    for messages in ["200", "100"] {
        let mut quickstart = Command::new(workshop.our_server().unwrap());
        quickstart.args(["quickstart", "-n", &cluster.namesrv_address(), "--messages", messages]);
        let output = quickstart.env("HOME", folder.path()).output().unwrap();
        let out = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{output:#?}");
        assert_eq!(
            out.lines().last().unwrap(),
            format!("quickstart: sent {messages}, received {messages}, lost 0, duplicated 0")
        );
        assert!(out.contains("SendResult [sendStatus=SEND_OK, "), "{out}");
    }
    cluster.check_alive().unwrap();
}

/// Java 4.9.7.
#[test]
fn on_java_49() {
    two_runs(Server::Java49);
}

/// Java 5.3.3.
#[test]
fn on_java_53() {
    two_runs(Server::Java53);
}
