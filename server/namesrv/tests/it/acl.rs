//! Access control: who may ask a NameServer for what.

use ferrocket_namesrv::NameServer;
use ferrocket_protocol::RemotingCommand;
use ferrocket_protocol::acl::Credentials;
use ferrocket_protocol::requests::RequestCode::{self, *};

use crate::peer::{BROKER_A, World, call, refusal, registration, request, settings_in, text};

const ACCOUNTS: &str = "\
accounts:
  - {accessKey: operator, secretKey: 12345678, admin: true}
  - {accessKey: account, secretKey: 87654321, defaultTopicPerm: PUB|SUB}
";

fn by(access_key: &'static str, secret: &'static str, mut request: RemotingCommand) -> RemotingCommand {
    Credentials::new(access_key, secret).sign(&mut request);
    request
}

/// Nobody registers as a broker who is no administrator; every account may ask for routes, and nobody else.
#[tokio::test]
async fn only_accounts_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plain_acl.yml");
    std::fs::write(&file, ACCOUNTS).unwrap();
    let path = file.to_str().unwrap().to_owned();
    let world = World::start_in(folder, &[("aclEnable", "true"), ("aclFile", &path)]).await;
    let denied = |reply: &RemotingCommand| refusal(reply).1.contains("AclException: ");

    for code in RequestCode::ALL {
        assert!(denied(&world.call(*code, BROKER_A).await), "{code}");
    }
    let register = || request(RegisterBroker, BROKER_A).with_body(registration(1, &["T", "U"]).encode(false));
    assert!(denied(&call(&world.peer, by("account", "87654321", register())).await));
    assert!(denied(&call(&world.peer, by("operator", "87654321", register())).await));
    let route = || request(GetRouteinfoByTopic, &[("topic", "T")]);
    assert_eq!(call(&world.peer, by("account", "87654321", route())).await.code, 17);
    assert_eq!(call(&world.peer, by("operator", "12345678", register())).await.code, 0);
    text(&call(&world.peer, by("account", "87654321", route())).await);

    // What decides this cannot be switched off from afar.
    let update = request(UpdateNamesrvConfig, &[]).with_body("aclEnable=false");
    let reply = call(&world.peer, by("operator", "12345678", update)).await;
    assert_eq!(refusal(&reply), (16, "Can not update config in black list."));
    world.stop().await;
}

/// Settings that ask for accounts without saying where they are do not start.
#[tokio::test]
async fn needs_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.yml").to_str().unwrap().to_owned();
    for (file, words) in [("", "aclFile must name"), (missing.as_str(), "no file of accounts")] {
        let settings =
            settings_in(&folder, &[("aclEnable", "true"), ("aclFile", file), ("rocketmqHome", "")]);
        let error = NameServer::start(settings).await.unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}
