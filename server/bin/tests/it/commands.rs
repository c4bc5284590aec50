//! `mqnamesrv` and `mqbroker`: RocketMQ's commands with its options, files, environment and ready lines.

use ferrocket_protocol::requests::Empty;
use ferrocket_protocol::{RemotingCommand, RequestCode};
use ferrocket_remoting::{RefuseAll, RemotingConfig, dial};

use crate::support::{Home, NOBODY, PATIENCE, Process, Signal, between, bodies, consume, run, send};

/// A NameServer on a free port, through its link; its address.
fn namesrv(home: &Home) -> (Process, String) {
    let conf = home.file("namesrv.properties", "listenPort=0\nbindAddress=127.0.0.1\n");
    let mut process = Process::start(&mut home.linked("mqnamesrv", &["-c", &conf]));
    assert_eq!(process.out_line(), "The Name Server boot success. serializeType=JSON");
    let line = process.err_line("the NameServer listens");
    let addr = line.split("local_addr=").nth(1).unwrap().trim().to_owned();
    (process, addr)
}

/// The two commands with RocketMQ's names: ready lines as Java's, messages through them, clean stops.
#[tokio::test(flavor = "multi_thread")]
async fn java_commands() {
    let home = Home::new();
    let (namesrv, addr) = namesrv(&home);
    let conf = home.broker_conf("");
    let mut broker = Process::start(&mut home.linked("mqbroker", &["-n", &addr, "-c", &conf]));
    let boot = broker.out_line();
    let port = boot
        .strip_prefix("The broker[broker-t, 127.0.0.1:")
        .and_then(|rest| {
            rest.strip_suffix(&format!("] boot success. serializeType=JSON and name server is {addr}"))
        })
        .unwrap_or_else(|| panic!("{boot}"));
    assert!(port.parse::<u16>().unwrap() > 0);
    send(&addr, "T", &bodies("java", 5)).await;
    assert_eq!(consume(&addr, "T", "g", 5).await.len(), 5);
    let ended = broker.stop(Signal::TERM);
    assert_eq!(ended.out.len(), 1);
    assert!(!home.path("store/abort").exists());
    assert_eq!(namesrv.stop(Signal::INT).out.len(), 1);
}

/// Two settings make both servers speak TLS alone, among themselves too.
#[cfg(feature = "tls")]
#[tokio::test(flavor = "multi_thread")]
async fn enforced_tls() {
    let home = Home::new();
    let only = "tls.server.mode=enforcing\n";
    let conf = home.file("namesrv.properties", format!("listenPort=0\nbindAddress=127.0.0.1\n{only}"));
    let mut namesrv = Process::start(&mut home.linked("mqnamesrv", &["-c", &conf]));
    let line = namesrv.err_line("the NameServer listens");
    let addr = line.split("local_addr=").nth(1).unwrap().trim().to_owned();
    let conf = home.broker_conf(only);
    let mut broker = Process::start(&mut home.linked("mqbroker", &["-n", &addr, "-c", &conf]));
    broker.err_line("registered");

    let builder = ferrocket::Client::builder(&addr);
    let client = builder.tls(ferrocket::TlsOptions::trusting_anyone()).build().unwrap();
    let producer = client.producer("p").start().await.unwrap();
    let sent = producer.send(ferrocket::Message::new("T", "secret")).await.unwrap();
    assert!(sent.to_string().contains("SEND_OK"), "{sent}");
    client.shutdown().await.unwrap();
    let plain = ferrocket::Client::builder(&addr).build().unwrap();
    assert!(plain.fetch_queues("T").await.is_err());
    broker.stop(Signal::TERM);
    namesrv.stop(Signal::TERM);
}

/// Accounts in the settings of `standalone` are asked for by both servers, and its Broker registers with its own.
#[tokio::test(flavor = "multi_thread")]
async fn standalone_with_accounts() {
    let home = Home::new();
    let accounts = "accounts:\n- {accessKey: the-broker, secretKey: '12345678', admin: true}\n\
                    - {accessKey: the-sender, secretKey: '87654321', defaultTopicPerm: PUB}\n";
    let accounts = home.file("accounts.yml", accounts);
    let conf = format!("aclEnable=true\naclFile={accounts}\naccessKey=the-broker\nsecretKey=12345678\n");
    let conf = home.file("standalone.conf", conf);
    let ports = ["--namesrv-port", "0", "--broker-port", "0", "-c", &conf];
    let mut servers = Process::start(home.command(&["standalone", "--data", "data"]).args(ports));
    let ready = [servers.out_line(), servers.out_line(), servers.out_line()];
    let addr = between(&ready[2], "standalone: name server ", ", data in ");

    let client = ferrocket::Client::builder(&addr).acl("the-sender", "87654321").build().unwrap();
    let producer = client.producer("p").start().await.unwrap();
    let sent = producer.send(ferrocket::Message::new("T", "signed")).await.unwrap();
    assert!(sent.to_string().contains("SEND_OK"), "{sent}");
    client.shutdown().await.unwrap();
    for builder in
        [ferrocket::Client::builder(&addr), ferrocket::Client::builder(&addr).acl("the-sender", "wrong-one")]
    {
        let refused = builder.build().unwrap().fetch_queues("T").await.unwrap_err();
        assert!(refused.to_string().contains("AclException"), "{refused}");
    }
    servers.stop(Signal::TERM);
}

/// A server that checks and encrypts nothing says both at start; with TLS alone it does not say that this is off.
#[test]
fn open_servers_say_so() {
    let home = Home::new();
    let off = "tls.server.mode=disabled\n";
    let conf = home.file("namesrv.properties", format!("listenPort=0\nbindAddress=127.0.0.1\n{off}"));
    let mut namesrv = Process::start(&mut home.linked("mqnamesrv", &["-c", &conf]));
    let mut broker = Process::start(&mut home.linked("mqbroker", &["-c", &home.broker_conf(off)]));
    for server in [&mut namesrv, &mut broker] {
        server.out_line();
        server.err_line("access control is off: whoever reaches the port is served");
        server.err_line("TLS is off: everything goes in plain text");
    }
    namesrv.stop(Signal::TERM);
    broker.stop(Signal::TERM);
    if cfg!(feature = "tls") {
        let conf = home.broker_conf("tls.server.mode=enforcing\n");
        let mut broker = Process::start(&mut home.linked("mqbroker", &["-c", &conf]));
        broker.out_line();
        let ended = broker.stop(Signal::TERM);
        assert!(!ended.err.iter().any(|line| line.contains("TLS is ")), "{ended:#?}");
    }
}

/// A Broker that knows no NameServer says nothing of one.
#[test]
fn a_broker_alone() {
    let home = Home::new();
    let mut broker = Process::start(&mut home.command(&["broker", "-c", &home.broker_conf("")]));
    assert!(broker.out_line().ends_with("] boot success. serializeType=JSON"));
    broker.stop(Signal::INT);
}

/// NameServers that are not there do not keep a Broker from starting.
#[test]
fn absent_name_servers() {
    let home = Home::new();
    let conf = home.broker_conf(&format!("namesrvAddr={NOBODY}"));
    let mut broker = Process::start(&mut home.command(&["broker", "-c", &conf]));
    assert!(broker.out_line().ends_with(&format!("and name server is {NOBODY}")));
    let warning = broker.err_line(&format!("cannot connect to {NOBODY}: "));
    assert!(warning.contains("WARN"), "{warning}");
    broker.stop(Signal::TERM);
}

/// The values that a command would start with.
fn printed(command: &mut std::process::Command) -> Vec<String> {
    let ended = run(command);
    assert!(ended.status.success(), "{ended:#?}");
    ended.out
}

/// The option is stronger than the file, the file stronger than the environment.
#[test]
fn precedence() {
    let home = Home::new();
    let file = home.file("b.conf", "namesrvAddr=file:1\nrocketmqHome=/file\n");
    let addr = |args: &[&str], environment: bool| {
        let mut command = home.linked("mqbroker", args);
        if environment {
            command.env("NAMESRV_ADDR", "env:1").env("ROCKETMQ_HOME", "/env");
        }
        let lines = printed(command.arg("-p"));
        ["namesrvAddr", "rocketmqHome"].map(|key| {
            let prefix = format!("{key}=");
            lines.iter().find_map(|line| line.strip_prefix(&prefix)).unwrap().to_owned()
        })
    };
    assert_eq!(addr(&[], false), ["", ""]);
    assert_eq!(addr(&[], true), ["env:1", "/env"]);
    assert_eq!(addr(&["-c", &file], true), ["file:1", "/file"]);
    assert_eq!(addr(&["-c", &file, "-n", "a:1;b:2"], true), ["a:1;b:2", "/file"]);
    assert_eq!(addr(&["-n", "a:1"], false), ["a:1", ""]);

    let namesrv = printed(home.linked("mqnamesrv", &["-p"]).env("ROCKETMQ_HOME", "/env"));
    assert!(namesrv.contains(&"rocketmqHome=/env".to_owned()), "{namesrv:#?}");
    let namesrv = printed(home.linked("mqnamesrv", &["-c", &file, "-p"]).env("ROCKETMQ_HOME", "/env"));
    assert!(namesrv.contains(&"rocketmqHome=/file".to_owned()), "{namesrv:#?}");
}

/// `-p` prints everything, `-m` what matters, `-h` the options; none of them starts anything.
#[test]
fn prints_and_exits() {
    let home = Home::new();
    let all = printed(&mut home.linked("mqbroker", &["-p"]));
    for line in ["listenPort=10911", "flushDiskType=ASYNC_FLUSH", "mappedFileSizeCommitLog=1073741824"] {
        assert!(all.contains(&line.to_owned()), "{all:#?}");
    }
    let important = printed(&mut home.linked("mqbroker", &["-m"]));
    assert!(important.len() < all.len() && important.iter().all(|line| all.contains(line)));
    assert!(important.contains(&"flushDiskType=ASYNC_FLUSH".to_owned()));
    let namesrv = printed(&mut home.linked("mqnamesrv", &["-p"]));
    assert!(namesrv.contains(&"listenPort=9876".to_owned()));
    assert!(namesrv.contains(&format!("kvConfigPath={}", home.path("namesrv/kvConfig.json").display())));
    assert!(!printed(&mut home.linked("mqnamesrv", &["-m"])).is_empty());
    for name in ["mqbroker", "mqnamesrv"] {
        let help = printed(&mut home.linked(name, &["-h"])).join("\n");
        assert!(help.contains(&format!("Usage: {name} [OPTIONS]")), "{help}");
        for option in ["-c, --configFile", "-n, --namesrvAddr", "-p, --printConfigItem", "-h, --help"] {
            assert!(help.contains(option), "{help}");
        }
    }
    assert!(!home.path("store").exists());
}

/// Files of an existing installation start as they are: Java's shipped `broker.conf`, a comment in Latin-1,
/// keys for Java alone, a misspelt key that is told with the right one.
#[test]
fn existing_files() {
    let home = Home::new();
    let shipped = "# Licensed to the Apache Software Foundation\n\nbrokerClusterName = DefaultCluster\n\
                   brokerName = broker-a\nbrokerId = 0\ndeleteWhen = 04\nfileReservedTime = 48\n\
                   brokerRole = ASYNC_MASTER\nflushDiskType = ASYNC_FLUSH\n";
    let mut text = shipped.as_bytes().to_vec();
    text.extend(b"# caf\xe9\nsendMessageThreadPoolNums=4\r\nflushDiskTyp=SYNC_FLUSH\n");
    let ended = run(&mut home.linked("mqbroker", &["-p", "-c", &home.file("broker.conf", text)]));
    assert!(ended.status.success(), "{ended:#?}");
    for line in ["brokerName=broker-a", "fileReservedTime=48", "flushDiskType=ASYNC_FLUSH"] {
        assert!(ended.out.contains(&line.to_owned()), "{ended:#?}");
    }
    let told = ended.err.join("\n");
    assert_eq!(ended.err.len(), 2, "{told}");
    assert!(told.contains("sendMessageThreadPoolNums has no meaning here"), "{told}");
    assert!(told.contains("unknown setting flushDiskTyp, did you mean flushDiskType?"), "{told}");
}

/// What is changed at runtime is saved into the NameServer's own file and holds after the next start.
#[tokio::test(flavor = "multi_thread")]
async fn namesrv_updates_its_file() {
    let home = Home::new();
    let (process, addr) = namesrv(&home);
    let connection = dial(&addr, std::sync::Arc::new(RefuseAll), &RemotingConfig::default()).await.unwrap();
    let update = RemotingCommand::request(RequestCode::UpdateNamesrvConfig, &Empty)
        .with_body("orderMessageEnable=true\n");
    let reply = connection.call(update, PATIENCE).await.unwrap();
    assert_eq!(reply.code, 0, "{reply:?}");
    process.stop(Signal::TERM);
    let text = home.read("namesrv.properties");
    assert!(text.contains("orderMessageEnable=true\n") && text.contains("listenPort=0\n"), "{text}");
    // A path without a folder means the working directory.
    let printed = printed(&mut home.linked("mqnamesrv", &["-c", "namesrv.properties", "-p"]));
    assert!(printed.contains(&"orderMessageEnable=true".to_owned()), "{printed:#?}");
    assert!(printed.contains(&"configStorePath=namesrv.properties".to_owned()), "{printed:#?}");
}

/// The same of the Broker, which leaves alone what else its file says, comments in Latin-1 included.
#[tokio::test(flavor = "multi_thread")]
async fn broker_updates_its_file() {
    let home = Home::new();
    let conf = home.broker_conf("traceOn = true");
    let path = home.path(&conf);
    let mut text = b"# caf\xe9\n".to_vec();
    text.extend(std::fs::read(&path).unwrap());
    std::fs::write(&path, text).unwrap();
    let mut broker = Process::start(&mut home.command(&["broker", "-c", &conf]));
    let addr = between_brackets(&broker.out_line());
    let connection = dial(&addr, std::sync::Arc::new(RefuseAll), &RemotingConfig::default()).await.unwrap();
    let update =
        RemotingCommand::request(RequestCode::UpdateBrokerConfig, &Empty).with_body("traceOn=false\n");
    let reply = connection.call(update, PATIENCE).await.unwrap();
    assert_eq!(reply.code, 0, "{reply:?}");
    broker.stop(Signal::TERM);
    let text = home.read(&conf);
    assert!(text.starts_with("# caf\u{e9}\n") && text.contains("\ntraceOn=false\n"), "{text}");
    let printed = printed(&mut home.linked("mqbroker", &["-c", &conf, "-p"]));
    assert!(printed.contains(&"traceOn=false".to_owned()), "{printed:#?}");
}

/// The address that clients are given is said at start, with a warning when it is for this machine only.
#[test]
fn says_where_it_is_found() {
    let home = Home::new();
    let conf = home.broker_conf("brokerIP1=");
    let mut broker = Process::start(&mut home.command(&["broker", "-c", &conf]));
    let boot = broker.out_line();
    let addr = between_brackets(&boot);
    broker.err_line(&format!("clients are given the address {addr}"));
    let warning = broker.err_line("set brokerIP1");
    assert!(warning.contains("WARN") && warning.contains("127.0.0.1"), "{warning}");
    broker.stop(Signal::TERM);

    let conf = home.broker_conf("brokerIP1=192.0.2.7");
    let mut broker = Process::start(&mut home.command(&["broker", "-c", &conf]));
    assert!(between_brackets(&broker.out_line()).starts_with("192.0.2.7:"));
    let ended = broker.stop(Signal::TERM);
    assert!(!ended.err.iter().any(|line| line.contains("brokerIP1")), "{ended:#?}");
}

fn between_brackets(boot: &str) -> String {
    crate::support::between(boot, "broker-t, ", "]")
}
