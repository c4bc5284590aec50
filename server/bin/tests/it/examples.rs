//! The programs of `examples/`, against our servers, and the page that lists them.

use std::path::Path;

use ferrocket_interop_tests::examples::{EXAMPLES, Programs};

use crate::support::{Home, Signal};

/// What is built for the tests may fill the disk beyond the usual limits.
const FULL_DISK: &str = "diskSpaceWarningLevelRatio=98\ndiskSpaceCleanForciblyRatio=97";

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Each of them works as it stands and prints what it should.
#[test]
fn run_to_their_end() {
    let home = Home::new();
    let (namesrv, broker, addr) =
        home.servers(&format!("enablePropertyFilter=true\ntraceTopicEnable=true\n{FULL_DISK}"));
    let programs = Programs::build(root()).unwrap();
    programs.run_all(&addr, &home.path(""), false).unwrap();
    broker.stop(Signal::TERM);
    namesrv.stop(Signal::TERM);
}

/// With access control on, the account's message is taken and a stranger's is not.
#[test]
fn an_account_is_looked_at() {
    let home = Home::new();
    let accounts =
        "accounts:\n- accessKey: example-account\n  secretKey: its-secret\n  defaultTopicPerm: PUB\n";
    let file = home.file("plain_acl.yml", accounts);
    let (namesrv, broker, addr) = home.servers(&format!("aclEnable=true\naclFile={file}\n{FULL_DISK}"));
    let programs = Programs::build(root()).unwrap();
    let account = |secret| [("ACCESS_KEY", "example-account"), ("SECRET_KEY", secret)];
    programs.run("acl", &addr, &home.path(""), &account("its-secret")).unwrap();
    programs.run("acl", &addr, &home.path(""), &account("another-one")).unwrap_err();
    broker.stop(Signal::TERM);
    namesrv.stop(Signal::TERM);
}

/// The folder, the tests and the page of the book have the same examples; the last two in the same order.
#[test]
fn listed() {
    let names: Vec<&str> = EXAMPLES.iter().map(|example| example.name).collect();
    let files = std::fs::read_dir(root().join("examples")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<String> =
        files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    files.sort();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(files, sorted);
    let page = std::fs::read_to_string(root().join("docs/src/examples.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    assert_eq!(rows.map(|(name, _)| name).collect::<Vec<_>>(), names);
}
