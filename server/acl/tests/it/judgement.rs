//! Single rules, where the table of codes does not tell them apart.

use std::net::IpAddr;

use ferrocket_acl::{AccountRow, Accounts};
use ferrocket_protocol::acl::Credentials;
use ferrocket_protocol::requests::Empty;
use ferrocket_protocol::requests::pull::PullMessageHeader;
use ferrocket_protocol::requests::send::SendMessageHeader;
use ferrocket_protocol::{ExtFields, RemotingCommand, RequestCode};

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 1, 7));

fn account() -> AccountRow {
    let text = |text: &str| Some(text.to_owned());
    AccountRow {
        access_key: text("RocketMQ"),
        secret_key: text("12345678"),
        default_topic_perm: text("SUB"),
        default_group_perm: text("SUB"),
        topic_perms: Some(vec!["closed=DENY".into(), "open = PUB|SUB".into(), "out=PUB".into()]),
        group_perms: Some(vec!["closed=DENY".into()]),
        ..AccountRow::default()
    }
}

fn verdict(row: &AccountRow, request: RemotingCommand) -> String {
    let mut accounts = Accounts::default();
    accounts.add(row).unwrap();
    let words = accounts.check(&signed(request), PEER).err().map(|denied| denied.to_string());
    let prefix = "org.apache.rocketmq.acl.common.AclException: ";
    words.map_or("allowed".to_owned(), |words| words.strip_prefix(prefix).unwrap().to_owned())
}

fn signed(mut request: RemotingCommand) -> RemotingCommand {
    Credentials::new("RocketMQ", "12345678").sign(&mut request);
    request
}

fn send(topic: &str) -> RemotingCommand {
    let header = SendMessageHeader { topic: topic.to_owned().into(), ..SendMessageHeader::default() };
    let mut request = RemotingCommand::request(RequestCode::SendMessageV2, &Empty);
    header.encode_v2(&mut request.ext_fields);
    request
}

fn pull(topic: &str, group: &str) -> RemotingCommand {
    let header = PullMessageHeader {
        topic: topic.to_owned().into(),
        consumer_group: group.to_owned().into(),
        ..PullMessageHeader::default()
    };
    RemotingCommand::request(RequestCode::PullMessage, &header)
}

/// Listed rights come before default ones; both topic and group count; texts are Java's.
#[test]
fn rights() {
    let account = account();
    for (request, expected) in [
        (send("open"), "allowed"),
        (send("out"), "allowed"),
        (send("other"), "No default permission for topic:other"),
        (send("closed"), "No default permission for topic:closed"),
        (send("RMQ_SYS_TRACE_TOPIC"), "allowed"),
        (send("%RETRY%g"), "allowed"),
        (send("%RETRY%closed"), "No default permission for group:closed"),
        (pull("other", "g"), "allowed"),
        (pull("other", "closed"), "No default permission for group:closed"),
        (pull("out", "g"), "No default permission for topic:out"),
        (pull("%RETRY%g", "g"), "allowed"),
        (pull("%RETRY%closed", "g"), "No default permission for group:closed"),
        // Messages of all topics pass through these.
        (pull("SCHEDULE_TOPIC_XXXX", "g"), "No default permission for topic:SCHEDULE_TOPIC_XXXX"),
        (pull("RMQ_SYS_TRANS_HALF_TOPIC", "g"), "No default permission for topic:RMQ_SYS_TRANS_HALF_TOPIC"),
        (
            RemotingCommand::request(RequestCode::UpdateAndCreateTopic, &Empty),
            "Need admin permission for request code=17, but accessKey=RocketMQ is not",
        ),
        // A code that nobody knows, a request without what it needs, a body that does not read.
        (
            RemotingCommand { code: 999, ..send("open") },
            "Need admin permission for request code=999, but accessKey=RocketMQ is not",
        ),
        (
            RemotingCommand { ext_fields: ExtFields::new(), ..send("open") },
            "field b is missing, a value of type text is expected",
        ),
    ] {
        assert_eq!(verdict(&account, request.clone()), expected, "{request:?}");
    }
    let heartbeat = RemotingCommand::request(RequestCode::HeartBeat, &Empty).with_body("{");
    assert!(verdict(&account, heartbeat).starts_with("the body does not read"));
}

/// A repeated account or signature is one only if it is the same each time.
#[test]
fn repeated_accounts() {
    let request = signed(send("open"));
    let value = |name: &str| request.ext_fields.get(name).unwrap().to_string();
    let mut accounts = Accounts::default();
    accounts.add(&account()).unwrap();
    for name in ["AccessKey", "Signature"] {
        // Before and behind the true one.
        let mut before = request.clone();
        before.ext_fields = ExtFields::from_iter([(name, "other")]);
        request.ext_fields.iter().for_each(|(key, value)| before.ext_fields.push(key.clone(), value.clone()));
        let mut behind = request.clone();
        behind.ext_fields.push(name.to_owned(), "other");
        for request in [before, behind] {
            let denied = accounts.check(&request, PEER).unwrap_err().to_string();
            assert!(denied.ends_with(&format!("Different values of {name}")), "{denied}");
        }
        let mut same = request.clone();
        same.ext_fields.push(name.to_owned(), value(name));
        assert!(accounts.check(&same, PEER).is_ok(), "{name}");
    }
}

/// An administrator may do everything, but for topics once rights are listed for it: as Java.
#[test]
fn administrators() {
    let listed = AccountRow { admin: true, ..account() };
    let free = AccountRow { topic_perms: None, group_perms: None, ..listed.clone() };
    let create = || RemotingCommand::request(RequestCode::UpdateAndCreateTopic, &Empty);
    assert_eq!((verdict(&listed, create()), verdict(&free, create())), ("allowed".into(), "allowed".into()));
    assert_eq!(verdict(&free, send("other")), "allowed");
    assert_eq!(verdict(&listed, send("other")), "No default permission for topic:other");
}

/// Who an unsigned request is taken for: nobody, unless its address is in a white list.
#[test]
fn white_lists() {
    let row = AccountRow { white_remote_address: Some("10.1.1.*".into()), ..account() };
    let mut accounts = Accounts::default();
    accounts.add(&row).unwrap();
    let words = |accounts: &Accounts, request: &RemotingCommand, peer: [u8; 4]| {
        let denied = accounts.check(request, peer.into()).err();
        denied
            .map_or("allowed".to_owned(), |denied| denied.to_string().split(": ").nth(1).unwrap().to_owned())
    };
    let bare = send("other");
    let mut named = bare.clone();
    named.ext_fields.push("AccessKey", "RocketMQ");
    let mut stranger = bare.clone();
    stranger.ext_fields.push("AccessKey", "");
    assert_eq!(words(&accounts, &bare, [10, 1, 1, 7]), "No accessKey is configured");
    assert_eq!(words(&accounts, &stranger, [10, 1, 1, 7]), "No acl config for ");
    assert_eq!(words(&accounts, &named, [10, 1, 2, 7]), "Check signature failed for accessKey=RocketMQ");
    assert_eq!(words(&accounts, &named, [10, 1, 1, 7]), "allowed");
    accounts.add_white("10.9.9.9,10.9.9.10").unwrap();
    assert_eq!(words(&accounts, &bare, [10, 9, 9, 10]), "allowed");
    assert!(accounts.add_white("10.9.9").is_err());
}

/// Rows that mean nothing are refused, in Java's words where tools show them.
#[test]
fn faulty_rows() {
    let mut accounts = Accounts::default();
    let row = |key: &str, secret: &str| AccountRow {
        access_key: Some(key.into()),
        secret_key: Some(secret.into()),
        ..AccountRow::default()
    };
    assert_eq!(
        accounts.add(&row("ab", "cd")).unwrap_err(),
        "The accessKey=ab and secretKey=cd cannot be null and length should longer than 6"
    );
    assert!(!accounts.add(&row("ab", "a real secret")).unwrap_err().contains("real"));
    for perm in ["T", "T=", "T=SUB=PUB", "T=sub", "T=PUB,SUB"] {
        let row = AccountRow { topic_perms: Some(vec![perm.into()]), ..row("RocketMQ", "12345678") };
        assert!(accounts.add(&row).unwrap_err().contains(perm), "{perm}");
    }
    assert!(accounts.is_empty());
    assert_eq!(accounts.add(&account()), Ok(true));
    assert_eq!((accounts.add(&account()), accounts.len()), (Ok(false), 1));
}
