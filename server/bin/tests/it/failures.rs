//! What keeps a server from starting is one line that says what to change.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::Command;

use crate::support::{Home, Process, Signal, bodies, consume, refused, send};

/// A wrong value is named with its key and what is allowed.
#[test]
fn wrong_values() {
    let home = Home::new();
    for (line, words) in [
        ("listenPort=70000", "listenPort=\"70000\" is refused, allowed is a number from 0 to 65535"),
        ("flushDiskType=NEVER", "flushDiskType=\"NEVER\" is refused, allowed is ASYNC_FLUSH or SYNC_FLUSH"),
        ("autoCreateTopicEnable=yes", "autoCreateTopicEnable=\"yes\" is refused, allowed is true or false"),
        ("brokerName=a b", "brokerName=\"a b\""),
        ("brokerRole=SLAVE", "brokerRole=SLAVE: this version has masters only"),
        ("messageDelayLevel=1s 2x", "messageDelayLevel"),
        ("namesrvAddr=a:1;b", "namesrvAddr=\"a:1;b\": \"b\" is not host:port"),
        ("bindAddress=here", "bindAddress=\"here\" is not an IP address"),
        ("bindAddress=192.0.2.1", "192.0.2.1:0"),
        ("brokerIP1=no.such.host.invalid", "brokerIP1=no.such.host.invalid"),
        ("deleteWhen=25", "deleteWhen=25: \"25\" is not an hour; allowed are 00 to 23"),
        ("brokerName=\\u12", "hexadecimal"),
        ("tls.server.mode=on", "tls.server.mode=\"on\" is refused"),
        ("tls.config.file=/nowhere/tls", "tls.config.file=/nowhere/tls: No such file"),
        ("tls.test.mode.enable=false", "tls.server.certPath is missing"),
    ] {
        let said = refused(&mut home.command(&["broker", "-c", &home.broker_conf(line)]));
        assert!(said.contains(words), "{line}: {said}");
    }
    assert!(!home.path("store/commitlog").exists());
    let said = refused(&mut home.command(&["broker", "-n", "nonsense", "-c", &home.broker_conf("")]));
    assert_eq!(said, "namesrvAddr=\"nonsense\": \"nonsense\" is not host:port");
    let said = refused(home.command(&["broker"]).env("NAMESRV_ADDR", ":9876"));
    assert!(said.contains("namesrvAddr=\":9876\""), "{said}");

    for (line, words) in [
        ("listenPort=-1", "listenPort=\"-1\" is refused, allowed is a number from 0 to 65535"),
        ("bindAddress=here", "bindAddress=\"here\" is not an IP address"),
        ("tls.test.mode.enable=false", "tls.server.certPath is missing"),
        ("orderMessageEnable=2", "orderMessageEnable=\"2\" is refused, allowed is true or false"),
    ] {
        let conf = home.file("namesrv.properties", line);
        let said = refused(&mut home.command(&["namesrv", "-c", &conf]));
        assert!(said.contains(words), "{line}: {said}");
    }
    let said = refused(home.command(&["namesrv"]).env("FERROCKET_LOG", "loud"));
    assert_eq!(said, "FERROCKET_LOG=loud: allowed are error, warn, info, debug, trace");
}

/// A settings file that is not there, is a folder, or has no end.
#[test]
fn unreadable_settings() {
    let home = Home::new();
    let folder = home.path("");
    for server in ["broker", "namesrv"] {
        for (file, words) in [
            ("missing.conf", "cannot read -c missing.conf: No such file"),
            (folder.to_str().unwrap(), "Is a directory"),
            ("/dev/zero", "/dev/zero: line 1: the text is longer than 1 MiB"),
        ] {
            let said = refused(&mut home.command(&[server, "-c", file]));
            assert!(said.contains(words), "{said}");
        }
    }
}

/// A port that is taken is named.
#[test]
fn ports_in_use() {
    let home = Home::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let words = format!("cannot listen on {addr}: Address already in use");
    let line = format!("listenPort={}", addr.port());
    let said = refused(&mut home.command(&["broker", "-c", &home.broker_conf(&line)]));
    assert!(said.starts_with(&words), "{said}");
    let conf = home.file("namesrv.properties", format!("bindAddress=127.0.0.1\n{line}"));
    let said = refused(&mut home.command(&["namesrv", "-c", &conf]));
    assert!(said.starts_with(&words), "{said}");
    let port = addr.port().to_string();
    for (namesrv, broker) in [(&*port, "0"), ("0", &*port)] {
        let said =
            refused(&mut home.command(&["standalone", "--namesrv-port", namesrv, "--broker-port", broker]));
        assert!(said.starts_with(&words), "{said}");
    }
}

/// A store belongs to one process at a time.
#[test]
fn locked_store() {
    let home = Home::new();
    let conf = home.broker_conf("");
    let mut first = Process::start(&mut home.command(&["broker", "-c", &conf]));
    first.out_line();
    let said = refused(&mut home.command(&["broker", "-c", &conf]));
    assert!(said.starts_with("Lock failed,MQ already started"), "{said}");
    assert!(said.contains(home.path("store").to_str().unwrap()), "{said}");
    first.stop(Signal::TERM);
    // The lock went with its holder.
    let mut second = Process::start(&mut home.command(&["broker", "-c", &conf]));
    second.out_line();
    second.signal(Signal::KILL);
    let mut third = Process::start(&mut home.command(&["broker", "-c", &conf]));
    third.out_line();
    third.stop(Signal::TERM);
}

/// A folder that cannot be made is named.
#[test]
fn no_folder() {
    let home = Home::new();
    let file = home.file("file", "");
    let said = refused(&mut home.command(&["standalone", "--data", &file]));
    assert!(said.starts_with(&format!("cannot create {file}: ")), "{said}");
    for (key, path) in [
        ("storePathRootDir", file.clone()),
        ("storePathRootDir", format!("{file}/store")),
        ("storePathCommitLog", format!("{file}/commitlog")),
    ] {
        let said = refused(&mut home.command(&["broker", "-c", &home.broker_conf(&format!("{key}={path}"))]));
        assert!(said.contains(&path), "{said}");
    }
    home.file("store/config", "a file where a folder belongs");
    let said = refused(&mut home.command(&["broker", "-c", &home.broker_conf("")]));
    assert!(said.contains("config/topics.json: Not a directory"), "{said}");
}

/// `ferrocket standalone` once more on the folder of [`Home::standalone`].
fn again(home: &Home) -> Command {
    home.command(&["standalone", "--data", "data", "--namesrv-port", "0", "--broker-port", "0"])
}

/// A store with a file that is too short, too long or a stranger is not opened and not touched. Put right, it
/// serves what it served before.
#[tokio::test(flavor = "multi_thread")]
async fn damaged_stores() {
    let home = Home::new();
    let servers = home.standalone();
    send(&servers.namesrv, "T", &bodies("x", 3)).await;
    servers.process.stop(Signal::TERM);

    let resize = |path: &Path, length: u64| {
        OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
    };
    let log = home.path("data/store/commitlog/00000000000000000000");
    let queue =
        (0..8).map(|queue| home.path(&format!("data/store/consumequeue/T/{queue}/00000000000000000000")));
    let queue = queue.into_iter().find(|path| path.exists()).unwrap();
    for path in [log, queue] {
        let length = fs::metadata(&path).unwrap().len();
        for wrong in [length + 1, length - 1] {
            resize(&path, wrong);
            let said = refused(&mut again(&home));
            let folder = path.parent().and_then(Path::file_name).unwrap().to_str().unwrap();
            let words = format!("00000000000000000000 has {wrong} bytes instead of the configured {length}");
            assert!(said.contains(&format!("{folder}/{words}")), "{said}");
            assert_eq!(fs::metadata(&path).unwrap().len(), wrong);
        }
        resize(&path, length);
    }
    let stray = home.path("data/store/commitlog/notes.txt");
    fs::write(&stray, "x").unwrap();
    let said = refused(&mut again(&home));
    assert!(said.contains("notes.txt"), "{said}");
    fs::remove_file(stray).unwrap();

    let servers = home.standalone();
    assert_eq!(consume(&servers.namesrv, "T", "g", 3).await.len(), 3);
    servers.process.stop(Signal::TERM);
}

/// Broken JSON: a Broker with a good copy of it takes that with a warning, otherwise it does not start.
#[tokio::test(flavor = "multi_thread")]
async fn damaged_config_files() {
    let home = Home::new();
    let servers = home.standalone();
    send(&servers.namesrv, "T", &bodies("x", 3)).await;
    consume(&servers.namesrv, "T", "g", 3).await;
    servers.process.stop(Signal::TERM);
    home.file("data/store/config/delayOffset.json", "{\"offsetTable\":{}}");
    for name in ["topics.json", "consumerOffset.json", "subscriptionGroup.json", "delayOffset.json"] {
        let path = home.path(&format!("data/store/config/{name}"));
        let backup = home.path(&format!("data/store/config/{name}.bak"));
        let text = fs::read(&path).unwrap();
        let broken = &text[..text.len() / 2];
        fs::write(&path, broken).unwrap();
        // There is none yet of a file that was written once.
        let _ = fs::remove_file(&backup);
        let said = refused(&mut again(&home));
        assert!(said.contains(name), "{said}");
        assert_eq!(fs::read(&path).unwrap(), broken);

        fs::write(&backup, &text).unwrap();
        let mut servers = home.standalone();
        assert!(servers.process.err_line(name).contains("WARN"));
        servers.process.stop(Signal::TERM);
        fs::write(&path, &text).unwrap();
    }
    home.file("data/namesrv/kvConfig.json", "{\"configTable\":");
    let said = refused(&mut again(&home));
    assert!(said.contains("data/namesrv/kvConfig.json"), "{said}");
}
