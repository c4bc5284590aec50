//! `ferrocket quickstart`: the first thing anybody runs.

use crate::support::{Home, NOBODY, Process, Signal, run};

/// It keeps its promise, in its last line.
#[test]
fn accounts_for_every_message() {
    let home = Home::new();
    let ended = run(&mut home.command(&["quickstart", "--messages", "50"]));
    assert!(ended.status.success(), "{ended:#?}");
    assert_eq!(ended.out.last().unwrap(), "quickstart: sent 50, received 50, lost 0, duplicated 0");
    assert!(ended.out[0].starts_with("NameServer and Broker ready in "), "{ended:#?}");
    assert_eq!(ended.complaints(), [""; 0], "{ended:#?}");
}

/// Bodies as long as asked for, one message alone, and a number of messages that makes no sense.
#[test]
fn options() {
    let home = Home::new();
    let ended = run(&mut home.command(&["quickstart", "--messages", "1", "--body-size", "70000"]));
    assert!(ended.status.success(), "{ended:#?}");
    assert!(ended.out.iter().any(|line| line.starts_with("received ") && line.contains("body=70000 bytes")));
    assert_eq!(ended.out.last().unwrap(), "quickstart: sent 1, received 1, lost 0, duplicated 0");
    for wrong in [["--messages", "0"], ["--body-size", "0"], ["--body-size", "4000001"], ["--messages", "x"]]
    {
        let ended = run(home.command(&["quickstart"]).args(wrong));
        assert_eq!(ended.status.code(), Some(2));
        assert!(ended.err[0].contains(wrong[0]) && ended.err[0].contains(wrong[1]), "{ended:#?}");
    }
}

/// Twice against servers that run already: what an earlier run left on the topic is not counted.
#[test]
fn against_running_servers() {
    let home = Home::new();
    let servers = home.standalone();
    for _ in 0..2 {
        let ended = run(&mut home.command(&["quickstart", "-n", &servers.namesrv, "--messages", "20"]));
        assert!(ended.status.success(), "{ended:#?}");
        assert_eq!(ended.out.last().unwrap(), "quickstart: sent 20, received 20, lost 0, duplicated 0");
    }
    servers.process.stop(Signal::TERM);
}

/// Without a server it says whom it could not reach.
#[test]
fn against_nobody() {
    let home = Home::new();
    let ended = run(&mut home.command(&["quickstart", "-n", NOBODY, "--messages", "1"]));
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.err.last().unwrap().contains(NOBODY), "{ended:#?}");
}

/// Somebody who has read enough, as behind `| head -1`, ends nothing: the messages are accounted for all the same.
#[test]
fn closed_output() {
    let home = Home::new();
    let mut process = Process::start(&mut home.command(&["quickstart", "--messages", "50"]));
    process.out_line();
    process.read_no_more();
    assert!(process.end().status.success());
}

/// Interrupted, before and after it has begun to consume, it stops its servers and leaves no folder behind.
#[test]
fn interrupted() {
    let home = Home::new();
    let temporary = home.path("tmp");
    std::fs::create_dir(&temporary).unwrap();
    for seen in ["NameServer and Broker ready", "received "] {
        let mut process =
            Process::start(home.command(&["quickstart", "--messages", "10000000"]).env("TMPDIR", &temporary));
        while !process.out_line().starts_with(seen) {}
        assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 1);
        let ended = process.signal(Signal::INT);
        assert_eq!(ended.status.code(), Some(1));
        assert_eq!(ended.complaints(), ["ferrocket: stopped by SIGINT"], "{ended:#?}");
        assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
    }
}
