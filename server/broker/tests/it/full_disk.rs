//! A disk that is really full: a file system of a few MiB, mounted for the test in a namespace of its own.

use std::process::Command;

use ferrocket_protocol::{MessageRecord, ResponseCode};

use crate::support::{PATIENCE, Peer, Rig, message, pull};

/// Set in the process that has the small disk as its folder for temporary files.
const ON_SMALL_DISK: &str = "FERROCKET_TEST_ON_SMALL_DISK";
const MOUNT: &str = "mount -t tmpfs -o size=16m none \"$TMPDIR\" || exit 77";
/// What the shell says when it could not mount.
const NOT_ALLOWED: i32 = 77;
const BODY_LEN: usize = 32 * 1024;
/// Taken from the disk at first, and then given back.
const BALLAST_LEN: usize = 8 << 20;

/// Sends until the disk is full are refused with Java's code and words; what was acknowledged can be read meanwhile;
/// once there is room, sends are accepted again by the same Broker; nothing acknowledged is missing, nothing refused is
/// there, also after a restart.
#[test]
fn a_full_disk_is_recovered_from() {
    if std::env::var_os(ON_SMALL_DISK).is_some() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        // Found full by the look at it, and by a write that finds no room.
        for warning_level in ["90", "100"] {
            runtime.block_on(fill_and_recover(warning_level));
        }
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let test = std::env::current_exe().unwrap();
    let inner = "exec \"$0\" --exact full_disk::a_full_disk_is_recovered_from --nocapture";
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &format!("{MOUNT}; {inner}")])
        .arg(test);
    let ran = command.env("TMPDIR", folder.path()).env(ON_SMALL_DISK, "1").output();
    match ran {
        Ok(output) if output.status.success() => {}
        // `unshare` itself ends with 1, the tests that it runs with 101.
        Ok(output) if [Some(NOT_ALLOWED), Some(1)].contains(&output.status.code()) => {
            eprintln!("not tested: no file system can be mounted here");
        }
        Err(error) => eprintln!("not tested: unshare: {error}"),
        Ok(output) => panic!("{}", String::from_utf8_lossy(&[output.stdout, output.stderr].concat())),
    }
}

async fn fill_and_recover(warning_level: &str) {
    let ballast = std::env::temp_dir().join("ballast");
    std::fs::write(&ballast, vec![1; BALLAST_LEN]).unwrap();
    let rig = Rig::start(&[
        ("mappedFileSizeCommitLog", "1048576"),
        ("cleanResourceInterval", "100"),
        ("cleanFileForciblyEnable", "false"),
        ("diskSpaceWarningLevelRatio", warning_level),
    ])
    .await;
    let peer = rig.peer().await;
    peer.topic("T", 1, 6).await;
    let mut stored = 0;
    let refusal = loop {
        let reply = send(&peer, stored).await;
        if reply.response_code() != ResponseCode::SUCCESS {
            break reply;
        }
        stored += 1;
    };
    assert_eq!(refusal.response_code(), ResponseCode::SERVICE_NOT_AVAILABLE, "{refusal:?}");
    let words = refusal.remark.unwrap();
    assert!(words.starts_with("service not available now.") && words.contains("disk is full"), "{words}");
    assert!(stored >= 32, "{stored} of a message each");
    check(&peer, stored).await;

    std::fs::remove_file(&ballast).unwrap();
    let accepted = async { while send(&peer, stored).await.response_code() != ResponseCode::SUCCESS {} };
    tokio::time::timeout(PATIENCE, accepted).await.expect("sends are accepted again");
    stored += 1;
    for _ in 0..10 {
        assert_eq!(send(&peer, stored).await.response_code(), ResponseCode::SUCCESS);
        stored += 1;
    }
    check(&peer, stored).await;
    let rig = rig.restart().await;
    let peer = rig.peer().await;
    check(&peer, stored).await;
    rig.broker.shutdown().await.unwrap();
}

fn body(number: usize) -> Vec<u8> {
    format!("{number:0BODY_LEN$}").into_bytes()
}

async fn send(peer: &Peer, number: usize) -> ferrocket_protocol::RemotingCommand {
    peer.send(&message("T", 0, ""), body(number)).await
}

/// The queue holds exactly these messages.
async fn check(peer: &Peer, stored: usize) {
    let mut found = 0;
    while found < stored {
        let reply = peer.pull(&pull("T", 0, found as i64)).await;
        assert_eq!(reply.response_code(), ResponseCode::SUCCESS, "{found} of {stored}: {reply:?}");
        for record in MessageRecord::decode_all(reply.body).unwrap() {
            assert_eq!(record.body, body(found), "message {found}");
            found += 1;
        }
    }
    let behind = peer.pull(&pull("T", 0, stored as i64)).await;
    assert_eq!(behind.response_code(), ResponseCode::PULL_NOT_FOUND, "{behind:?}");
}
