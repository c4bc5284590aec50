//! Access control at the Broker's door, and the requests that change it.

use std::path::PathBuf;

use ferrocket_protocol::acl::Credentials;
use ferrocket_protocol::body::acl::AclConfig;
use ferrocket_protocol::requests::Empty;
use ferrocket_protocol::requests::send::SendMessageHeader;
use ferrocket_protocol::requests::transaction::EndTransactionHeader;
use ferrocket_protocol::{ExtFields, RemotingCommand, RequestCode, ResponseCode, fastjson};
use tempfile::TempDir;

use crate::support::{Peer, Rig, field, message, send_request};

const ACCOUNTS: &str = "\
accounts:
  - {accessKey: operator, secretKey: 12345678, admin: true}
  - {accessKey: account, secretKey: 87654321, topicPerms: [T=PUB|SUB], groupPerms: [cg=SUB]}
  - {accessKey: outsider, secretKey: 11112222, topicPerms: [other=SUB], groupPerms: [og=SUB]}
";

struct Secured {
    rig: Rig,
    peer: Peer,
    home: TempDir,
}

impl Secured {
    async fn start() -> Self {
        Self::start_with(&[]).await
    }

    async fn start_with(more: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("plain_acl.yml"), ACCOUNTS).unwrap();
        let file = home.path().join("plain_acl.yml");
        let settings = [
            ("aclEnable", "true"),
            ("aclFile", file.to_str().unwrap()),
            ("accessKey", "operator"),
            ("secretKey", "12345678"),
        ];
        let rig = Rig::start(&[&settings, more].concat()).await;
        Self { peer: rig.peer().await, rig, home }
    }

    async fn by(&self, account: &str, mut request: RemotingCommand) -> RemotingCommand {
        let secret = match account {
            "operator" => "12345678",
            "account" => "87654321",
            _ => "11112222",
        };
        Credentials::new(account.to_owned(), secret).sign(&mut request);
        self.peer.call(request).await
    }

    async fn admin(&self, code: RequestCode, fields: &[(&str, &str)]) -> RemotingCommand {
        self.by("operator", request(code, fields)).await
    }

    fn file(&self) -> PathBuf {
        self.home.path().join("plain_acl.yml")
    }
}

fn request(code: RequestCode, fields: &[(&str, &str)]) -> RemotingCommand {
    let mut request = RemotingCommand::request(code, &Empty);
    request.ext_fields = fields.iter().copied().collect::<ExtFields>();
    request
}

fn is_denied(reply: &RemotingCommand) -> bool {
    reply.response_code() == ResponseCode::SYSTEM_ERROR
        && reply.remark.as_ref().is_some_and(|remark| remark.contains("AclException: "))
}

/// No handler is reached without an account: every code, known or not, is denied first.
#[tokio::test]
async fn nothing_is_open() {
    let secured = Secured::start().await;
    for code in RequestCode::ALL.iter().map(|code| code.code()).chain([-1, 9_999]) {
        let unsigned = RemotingCommand { code, ..request(RequestCode::SendMessage, &[("topic", "T")]) };
        let reply = secured.peer.call(unsigned.clone()).await;
        assert!(is_denied(&reply), "{code}: {reply:?}");
        let reply = secured.by("outsider", unsigned).await;
        let known = RequestCode::from_code(code);
        // Of what is open to every account, nothing is about a topic of others.
        let harmless = [
            RequestCode::GetRouteinfoByTopic,
            RequestCode::GetBrokerClusterInfo,
            RequestCode::ViewMessageById,
            RequestCode::UnregisterClient,
            RequestCode::EndTransaction,
        ];
        assert!(is_denied(&reply) || known.is_some_and(|code| harmless.contains(&code)), "{code}: {reply:?}");
    }
    let reply = secured.admin(RequestCode::PopMessage, &[]).await;
    assert_eq!(reply.response_code(), ResponseCode::REQUEST_CODE_NOT_SUPPORTED);
}

/// Whoever lists a message in a topic must be allowed to send to it; light queues are nobody's.
#[tokio::test]
async fn listing_needs_a_right() {
    let secured = Secured::start_with(&[("enableMultiDispatch", "true"), ("enableLmq", "true")]).await;
    let list =
        |queues: &str| send_request(&message("T", 0, &format!("INNER_MULTI_DISPATCH\u{1}{queues}")), "x");
    secured.by("operator", send_request(&message("other", 0, ""), "x")).await;
    assert!(is_denied(&secured.by("account", list("%LMQ%a,other")).await));
    for (account, queues) in [("account", "%LMQ%a,T"), ("operator", "%LMQ%a,other")] {
        let reply = secured.by(account, list(queues)).await;
        assert_eq!(reply.response_code(), ResponseCode::SUCCESS, "{account}: {reply:?}");
    }
}

/// An account does what it has the right to. A message is not given away by its place in the log either.
#[tokio::test]
async fn rights_are_kept() {
    let secured = Secured::start().await;
    let send = send_request(&message("T", 0, ""), "x");
    assert!(is_denied(&secured.peer.call(send.clone()).await));
    assert!(is_denied(&secured.by("outsider", send.clone()).await));
    let sent = secured.by("account", send).await;
    assert_eq!(sent.response_code(), ResponseCode::SUCCESS, "{sent:?}");
    let view = request(RequestCode::ViewMessageById, &[("offset", "0")]);
    let reply = secured.by("outsider", view.clone()).await;
    assert!(is_denied(&reply) && reply.body.is_empty(), "{reply:?}");
    let first = secured.by("account", view).await;
    assert_eq!(first.response_code(), ResponseCode::SUCCESS);

    // A delayed message is stored elsewhere first, and belongs to its topic there too.
    let delayed = send_request(&message("T", 0, "DELAY\u{1}18"), "x");
    assert_eq!(secured.by("account", delayed).await.response_code(), ResponseCode::SUCCESS);
    let second = first.body.len().to_string();
    let view = request(RequestCode::ViewMessageById, &[("offset", &second)]);
    assert!(is_denied(&secured.by("outsider", view.clone()).await));
    assert!(is_denied(&secured.by("account", view.clone()).await));
    assert_eq!(secured.by("operator", view).await.response_code(), ResponseCode::SUCCESS);
    let settings = secured.admin(RequestCode::GetBrokerConfig, &[]).await;
    let text = String::from_utf8(settings.body.to_vec()).unwrap();
    assert!(text.contains("aclEnable=true") && !text.contains("12345678"), "{text}");
}

/// A half message is ended only by who may send to its topic, though 4.9's request names none.
#[tokio::test]
async fn half_messages_are_ended_by_their_own() {
    let secured = Secured::start().await;
    let half = SendMessageHeader { sys_flag: 4, ..message("T", 0, "TRAN_MSG\u{1}true\u{2}PGROUP\u{1}pg") };
    let sent = secured.by("account", send_request(&half, "x")).await;
    assert_eq!(sent.response_code(), ResponseCode::SUCCESS, "{sent:?}");
    let end = EndTransactionHeader {
        producer_group: "pg".into(),
        commit_or_rollback: 8,
        ..EndTransactionHeader::default()
    };
    let end = RemotingCommand::request(RequestCode::EndTransaction, &end);
    assert!(is_denied(&secured.by("outsider", end.clone()).await));
    assert_eq!(secured.by("account", end).await.response_code(), ResponseCode::SUCCESS);
}

/// A message cannot be taken from the log by giving it back to a group of one's own.
#[tokio::test]
async fn messages_are_given_back_by_who_may_read_them() {
    let secured = Secured::start().await;
    let sent = secured.by("account", send_request(&message("T", 0, ""), "x")).await;
    assert_eq!(sent.response_code(), ResponseCode::SUCCESS, "{sent:?}");
    let back = |group| {
        let fields = [("offset", "0"), ("group", group), ("delayLevel", "0")];
        request(RequestCode::ConsumerSendMsgBack, &fields)
    };
    assert!(is_denied(&secured.by("outsider", back("og")).await));
    assert_eq!(secured.by("account", back("cg")).await.response_code(), ResponseCode::SUCCESS);
}

/// Tools change accounts, and what they change holds at once, on disk and after a restart.
#[tokio::test]
async fn tools_change_accounts() {
    let secured = Secured::start().await;
    let account = [
        ("accessKey", "newcomer"),
        ("secretKey", "11112222"),
        ("admin", "false"),
        ("defaultTopicPerm", "DENY"),
        ("topicPerms", "A=PUB,B=SUB"),
    ];
    let send = || send_request(&message("A", 0, ""), "x");
    assert!(is_denied(&secured.by("newcomer", send()).await));
    let reply = secured.admin(RequestCode::UpdateAndCreateAclConfig, &account).await;
    assert_eq!(reply.response_code(), ResponseCode::SUCCESS, "{reply:?}");
    assert_eq!(secured.by("newcomer", send()).await.response_code(), ResponseCode::SUCCESS);

    let reply = secured
        .admin(RequestCode::UpdateAndCreateAclConfig, &[("accessKey", "ab"), ("secretKey", "cd")])
        .await;
    assert_eq!(reply.response_code(), ResponseCode::UPDATE_AND_CREATE_ACL_CONFIG_FAILED);
    assert_eq!(
        reply.remark.as_deref(),
        Some("The accessKey=ab and secretKey=cd cannot be null and length should longer than 6")
    );
    let reply = secured.admin(RequestCode::DeleteAclConfig, &[("accessKey", "nobody there")]).await;
    assert_eq!(reply.response_code(), ResponseCode::DELETE_ACL_CONFIG_FAILED);
    let words = "The accesskey[nobody there] corresponding to accessConfig has been deleted failed.";
    assert_eq!(reply.remark.as_deref(), Some(words));

    let reply = secured.admin(RequestCode::GetBrokerClusterAclInfo, &[]).await;
    assert!(field(&reply, "version").starts_with(r#"{"counter":1,"timestamp":"#), "{reply:?}");
    let file = secured.file().display().to_string();
    assert!(
        field(&reply, "allAclFileVersion").starts_with(&format!(r#"{{"{file}":{{"counter":1,"#)),
        "{reply:?}"
    );
    assert_eq!((field(&reply, "brokerName"), field(&reply, "clusterName")), ("broker-a", "DefaultCluster"));

    let reply = secured.admin(RequestCode::GetBrokerClusterAclConfig, &[]).await;
    let shown: AclConfig = fastjson::from_slice(&reply.body).unwrap();
    assert_eq!(shown.plain_access_configs.len(), 4);
    let text = String::from_utf8(reply.body.to_vec()).unwrap();
    assert!(["12345678", "87654321", "11112222"].iter().all(|secret| !text.contains(secret)), "{text}");

    let white = [("globalWhiteAddrs", "10.0.0.1,127.0.0.*"), ("aclFileFullPath", "/etc/passwd")];
    let reply = secured.admin(RequestCode::UpdateGlobalWhiteAddrsConfig, &white).await;
    assert_eq!(reply.response_code(), ResponseCode::UPDATE_GLOBAL_WHITE_ADDRS_CONFIG_FAILED);
    let reply = secured.admin(RequestCode::UpdateGlobalWhiteAddrsConfig, &white[..1]).await;
    assert_eq!(reply.response_code(), ResponseCode::SUCCESS, "{reply:?}");
    // This peer is in the white list now.
    assert_eq!(secured.peer.call(send()).await.response_code(), ResponseCode::SUCCESS);

    let Secured { rig, peer, home } = secured;
    drop(peer);
    let rig = rig.restart().await;
    let reply = rig.peer().await.call(send()).await;
    assert_eq!(reply.response_code(), ResponseCode::SUCCESS, "{reply:?}");
    rig.broker.shutdown().await.unwrap();
    drop(home);
}

/// Without access control its requests say so.
#[tokio::test]
async fn off() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    let reply = peer.call(request(RequestCode::DeleteAclConfig, &[("accessKey", "x")])).await;
    assert_eq!(reply.response_code(), ResponseCode::DELETE_ACL_CONFIG_FAILED);
    assert_eq!(reply.remark.as_deref(), Some("access control is off: aclEnable=false"));
}
