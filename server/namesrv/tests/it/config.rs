//! The NameServer's settings, and how it starts with them.

use ferrocket_namesrv::{NameServer, NamesrvSettings};
use ferrocket_protocol::command::RemotingCommand;
use ferrocket_protocol::requests::RequestCode::*;

use crate::peer::{World, call, refusal, request, settings_in, text};

async fn update(world: &World, body: &str) -> RemotingCommand {
    call(&world.peer, request(UpdateNamesrvConfig, &[]).with_body(body.to_owned())).await
}

/// Settings are shown as `key=value` lines; hot ones change, are saved and hold after a restart from that
/// file.
#[tokio::test]
async fn hot_settings_change() {
    let world = World::start().await;
    let shown = world.body(GetNamesrvConfig, &[]).await;
    for line in ["orderMessageEnable=false", "productEnvName=center", "serverChannelMaxIdleTimeSeconds=120"] {
        assert!(shown.lines().any(|other| other == line), "{line} is not in {shown}");
    }
    text(&update(&world, "orderMessageEnable=true\n").await);
    let shown = world.body(GetNamesrvConfig, &[]).await;
    assert!(shown.contains("orderMessageEnable=true\n"));
    let saved = std::fs::read_to_string(world.folder.path().join("namesrv.properties")).unwrap();
    assert_eq!(saved, shown);
    let mut settings = NamesrvSettings::default();
    assert_eq!(settings.load(&saved), Ok(vec![]));
    assert_eq!(settings.print_all(), saved);
}

/// A key's password is shown to nobody, and still in the file that the next start reads.
#[tokio::test]
async fn passwords_are_hidden() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start_in(folder, &[("tls.server.keyPassword", "hidden")]).await;
    text(&update(&world, "orderMessageEnable=true\n").await);
    let shown = world.body(GetNamesrvConfig, &[]).await;
    assert!(shown.contains("tls.server.keyPassword=******\n") && !shown.contains("hidden"), "{shown}");
    let saved = std::fs::read_to_string(world.folder.path().join("namesrv.properties")).unwrap();
    assert!(saved.contains("tls.server.keyPassword=hidden\n"), "{saved}");
}

/// What is not hot is refused, and nothing of such an update is taken; unknown keys are passed over, as in
/// Java.
#[tokio::test]
async fn other_settings_do_not() {
    let world = World::start().await;
    let before = world.body(GetNamesrvConfig, &[]).await;
    for key in ["kvConfigPath", "configStorePath", "configBlackList", "rocketmqHome"] {
        let reply = update(&world, &format!("orderMessageEnable=true\n{key}=/tmp/x\n")).await;
        assert_eq!(refusal(&reply), (16, "Can not update config in black list."));
    }
    let reply = update(&world, "orderMessageEnable=true\nlistenPort=1\n").await;
    assert_eq!(refusal(&reply), (16, "listenPort cannot be changed while the process runs"));
    let reply = update(&world, "orderMessageEnable=perhaps\n").await;
    assert_eq!(reply.code, 1);
    assert_eq!(refusal(&update(&world, "a=\\u12").await), (1, "string2Properties error"));
    let reply = call(&world.peer, request(UpdateNamesrvConfig, &[]).with_body(vec![0xff, 0xfe])).await;
    assert_eq!(refusal(&reply), (1, "string2Properties error"));
    let reply = update(&world, "orderMesageEnable=true\n").await;
    assert_eq!(refusal(&reply), (0, "unknown settings passed over: orderMesageEnable"));
    // Known ones of Java's that do nothing here are no unknown ones.
    let reply = update(&world, "serverWorkerThreads=8\nclusterTest=true\nsupportActingMaster=true\n").await;
    let remark = "without effect here: serverWorkerThreads, clusterTest, supportActingMaster";
    assert_eq!(refusal(&reply), (0, remark));
    let reply = update(&world, "orderMesageEnable=true\nserverWorkerThreads=8\n").await;
    let remark = "without effect here: serverWorkerThreads; unknown settings passed over: orderMesageEnable";
    assert_eq!(refusal(&reply), (0, remark));
    text(&update(&world, "").await);
    assert_eq!(world.body(GetNamesrvConfig, &[]).await, before);
}

/// Faults at start are named; a port that is free again can be listened on at once.
#[tokio::test]
async fn starts_and_stops() {
    let world = World::start().await;
    let port = world.server.local_addr().port().to_string();
    let folder = tempfile::tempdir().unwrap();
    let taken = NameServer::start(settings_in(&folder, &[("listenPort", &port)])).await.unwrap_err();
    assert!(taken.to_string().starts_with(&format!("cannot listen on 127.0.0.1:{port}: ")), "{taken}");
    world.stop().await;
    let again = NameServer::start(settings_in(&folder, &[("listenPort", &port)])).await.unwrap();
    again.shutdown().await;

    let wrong = NameServer::start(settings_in(&folder, &[("bindAddress", "localhost:1")])).await.unwrap_err();
    assert_eq!(wrong.to_string(), "bindAddress=\"localhost:1\" is not an IP address");
    std::fs::write(folder.path().join("kvConfig.json"), "{\"configTable\":").unwrap();
    let broken = NameServer::start(settings_in(&folder, &[])).await.unwrap_err();
    assert!(broken.to_string().contains("kvConfig.json: "), "{broken}");
    assert!(NamesrvSettings::default().print_important().contains("listenPort=9876\n"));
}
