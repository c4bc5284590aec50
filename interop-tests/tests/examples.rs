//! The programs of `examples/`, against Java's servers.

use std::path::Path;

use ferrocket_interop_tests::cluster::Cluster;
use ferrocket_interop_tests::examples::Programs;
use ferrocket_interop_tests::matrix::Server;
use ferrocket_interop_tests::setup::Workshop;

/// Each of them works with Java 4.9.7 as it works with ours.
#[test]
fn run_to_their_end() {
    run_all(Server::Java49, false);
}

/// And with 5.3.3, which can take a message back.
#[test]
fn run_to_their_end_on_5_3_3() {
    run_all(Server::Java53, true);
}

fn run_all(server: Server, takes_back: bool) {
    let folder = tempfile::tempdir().unwrap();
    let mut workshop = Workshop::find().unwrap();
    // `ordered` has several messages under way, which more threads would store in any order.
    workshop.broker_settings = "sendMessageThreadPoolNums=1\n".into();
    if takes_back {
        workshop.broker_settings += "recallMessageEnable=true\n";
    }
    let programs = Programs::build(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))).unwrap();
    let cluster = Cluster::start(&workshop, server, server, folder.path()).unwrap();
    programs.run_all(&cluster.namesrv_address(), folder.path(), takes_back).unwrap();
}
