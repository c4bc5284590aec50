//! Every request code by everybody: the table in the book is what is decided.

use std::fmt::Write;
use std::path::Path;

use ferrocket_acl::{AccountRow, Accounts};
use ferrocket_protocol::acl::Credentials;
use ferrocket_protocol::requests::send::SendMessageHeader;
use ferrocket_protocol::requests::{Empty, Permission, Receiver};
use ferrocket_protocol::{ExtFields, Header, RemotingCommand, RequestCode};

const BODY: &str = r#"{"clientID":"c","clientId":"c","consumerGroup":"g","group":"g",
    "consumerDataSet":[{"groupName":"g","subscriptionDataSet":[{"topic":"T","subString":"*"}]}],
    "producerDataSet":[{"groupName":"p"}],"subscriptionData":{"topic":"T","subString":"*"},
    "mqSet":[{"topic":"T","brokerName":"b","queueId":0}]}"#;

/// A request of this code about the topic `T` and the group `g`, with every field that it can have.
fn request(code: RequestCode) -> RemotingCommand {
    let value = |name: &str, kind: &str| match (name, kind) {
        ("topic" | "originTopic", _) => "T",
        ("group" | "consumerGroup", _) => "g",
        (_, "boolean") => "false",
        (_, "int" | "long") => "0",
        _ => "x",
    };
    let fields = code.header_fields().iter();
    let mut fields: ExtFields = fields.map(|field| (field.name, value(field.name, field.kind))).collect();
    use RequestCode::*;
    if matches!(code, SendMessageV2 | SendBatchMessage | SendReplyMessageV2) {
        let header = SendMessageHeader::decode(&fields).unwrap();
        fields = ExtFields::new();
        header.encode_v2(&mut fields);
    }
    let mut request = RemotingCommand::request(code, &Empty).with_body(BODY);
    request.ext_fields = fields;
    request
}

fn row(access_key: &str, admin: bool, perms: Option<(&str, &str)>) -> AccountRow {
    AccountRow {
        access_key: Some(access_key.to_owned()),
        secret_key: Some(format!("secret of {access_key}")),
        admin,
        topic_perms: perms.map(|(topic, _)| vec![topic.to_owned()]),
        group_perms: perms.map(|(_, group)| vec![group.to_owned()]),
        ..AccountRow::default()
    }
}

/// What anonymous peers, forgers, accounts without and with the right, and administrators may send is what the
/// book says, line by line. With `FERROCKET_WRITE_DOCS=1` the table there is written anew, to be reviewed.
#[test]
fn page_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/acl.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (text, written) = page.split_at(page.find("| code |").unwrap());
    let table = table();
    if std::env::var_os("FERROCKET_WRITE_DOCS").is_some() {
        std::fs::write(&path, format!("{text}{table}")).unwrap();
        return;
    }
    assert!(
        written == table,
        "docs/src/acl.md is stale: run the tests with FERROCKET_WRITE_DOCS=1, and review"
    );
}

fn table() -> String {
    let mut accounts = Accounts::default();
    assert!(accounts.add(&row("nothing", false, None)).unwrap());
    assert!(accounts.add(&row("account", false, Some(("T=PUB|SUB", "g=SUB")))).unwrap());
    assert!(accounts.add(&row("operator", true, None)).unwrap());
    let signed = |key: &str, secret: &str| Some(Credentials::new(key.to_owned(), secret.to_owned()));
    let senders = [
        None,
        signed("operator", "another secret"),
        signed("nothing", "secret of nothing"),
        signed("account", "secret of account"),
        signed("operator", "secret of operator"),
    ];
    let peer = [10, 0, 0, 1].into();
    let mut table = String::from(
        "| code | request | receiver | needs | anonymous | wrong secret | without the right | with the right | admin |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for code in RequestCode::ALL {
        let allowed = senders.iter().map(|sender| {
            let mut request = request(*code);
            sender.iter().for_each(|sender| sender.sign(&mut request));
            if accounts.check(&request, peer).is_ok() { "yes" } else { "no" }
        });
        let allowed: Vec<&str> = allowed.collect();
        let _ = writeln!(
            table,
            "| {} | `{}` | {} | {} | {} |",
            code.code(),
            code.name(),
            receiver(code.receiver()),
            needs(code.permission()),
            allowed.join(" | ")
        );
        assert_eq!(allowed[..2], ["no", "no"], "{code} is open to everybody");
        assert_eq!(allowed[4], "yes", "{code} is closed to administrators");
        if matches!(code.permission(), Permission::Admin | Permission::Broker | Permission::Nobody) {
            assert_eq!(allowed[3], "no", "{code} is open to accounts that do not administer");
        }
    }
    table
}

fn receiver(receiver: Receiver) -> &'static str {
    match receiver {
        Receiver::Broker | Receiver::BrokerAndClient => "Broker",
        Receiver::NameServer => "NameServer",
        Receiver::Client => "client",
        Receiver::Elsewhere | Receiver::Nobody => "–",
    }
}

fn needs(permission: Permission) -> &'static str {
    match permission {
        Permission::Pub => "publish",
        Permission::Sub => "subscribe",
        Permission::Client => "client",
        Permission::Route => "route",
        Permission::Broker => "broker",
        Permission::Admin => "admin",
        Permission::Nobody => "–",
    }
}
