//! The programs of `examples/`, against Java's servers.

use std::path::Path;

use ferrocket_interop_tests::cluster::Cluster;
use ferrocket_interop_tests::examples::Programs;
use ferrocket_interop_tests::matrix::Server;
use ferrocket_interop_tests::setup::Workshop;

/// Each of them works with Java 4.9.7 as it works with ours.
#[test]
fn run_to_their_end() {
    let folder = tempfile::tempdir().unwrap();
    let workshop = Workshop::find().unwrap();
    let programs = Programs::build(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))).unwrap();
    let cluster = Cluster::start(&workshop, Server::Java49, Server::Java49, folder.path()).unwrap();
    programs.run_all(&cluster.namesrv_address(), folder.path()).unwrap();
}
