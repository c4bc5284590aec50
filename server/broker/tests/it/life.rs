//! Starting and stopping.

use ferrocket_broker::{Broker, BrokerSettings, StartError};
use ferrocket_protocol::{RemotingCommand, RequestCode};

use crate::support::{Rig, SUSPEND, field, outcome, pull};

/// Messages, topics, offsets: everything is there again.
#[tokio::test]
async fn a_restart_forgets_nothing() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    peer.topic("T", 7, 6).await;
    peer.store("T", 6, "", "kept").await;
    peer.commit("cg", "T", 6, 1).await;
    let rig = rig.restart().await;
    let peer = rig.peer().await;
    assert_eq!(&peer.first_message("T", 6).await.body[..], b"kept");
    assert_eq!(peer.committed("cg", "T", 6).await, "1");
    assert_eq!(field(&peer.store("T", 6, "", "next").await, "queueOffset"), "1");
}

/// Stopping answers who still waits, then closes the connections.
#[tokio::test]
async fn stopping_answers_held_pulls() {
    let rig = Rig::start(&[]).await;
    let peer = rig.peer().await;
    peer.topic("T", 1, 6).await;
    let connection = peer.connection.clone();
    let mut header = pull("T", 0, 0);
    header.sys_flag |= SUSPEND;
    header.suspend_timeout_millis = 20_000;
    let held = tokio::spawn(async move {
        let request = RemotingCommand::request(RequestCode::PullMessage, &header);
        connection.call(request, crate::support::PATIENCE).await.unwrap()
    });
    tokio::task::yield_now().await;
    // Answered in order: the pull above is parked when this is here.
    assert_eq!(outcome(&peer.pull(&pull("T", 0, 0)).await), (19, "0"));
    rig.broker.shutdown().await.unwrap();
    assert_eq!(outcome(&held.await.unwrap()), (19, "0"));
    peer.connection.closed().await;
}

/// One Broker per port and per folder; the second one says why it does not start.
#[tokio::test]
async fn a_second_broker_does_not_start() {
    let rig = Rig::start(&[]).await;
    let mut settings = BrokerSettings::default();
    settings.set("bindAddress", "127.0.0.1").unwrap();
    settings.set("listenPort", &rig.broker.local_addr().port().to_string()).unwrap();
    let error = Broker::start(settings).await.unwrap_err();
    assert!(matches!(error, StartError::Bind { .. }), "{error}");
    assert_eq!(rig.broker.advertised_addr(), rig.broker.local_addr().to_string());
    assert_eq!(rig.broker.name(), "broker-a");
}
