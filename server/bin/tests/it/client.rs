//! What the client offers beyond plain sends and consumption, with both servers as processes.

use std::time::Duration;

use ferrocket::{Client, ConsumeFromWhere, LocalTransactionState, Message};
use tokio::sync::mpsc;

use crate::support::{Home, PATIENCE, Signal, arrival, arrivals, text};

/// Committed messages arrive and rolled back ones do not; what nobody ended is decided by a check, which goes
/// to another producer of the group when the first one is gone.
#[tokio::test(flavor = "multi_thread")]
async fn transactions() {
    let home = Home::new();
    let settings = "transactionCheckInterval=200\ntransactionTimeOut=100";
    let (namesrv, broker, addr) = home.servers(settings);

    let dying = Client::builder(&addr).instance_name("dying").build().unwrap();
    let unknown = |_| async { LocalTransactionState::Unknown };
    let first = dying.producer("orders").check_local_transaction(unknown).start().await.unwrap();
    for (body, state) in [
        ("committed", LocalTransactionState::CommitMessage),
        ("rolled back", LocalTransactionState::RollbackMessage),
        ("checked", LocalTransactionState::Unknown),
    ] {
        let sent = first.send_in_transaction(Message::new("T", body), move |_| async move { state }).await;
        assert_eq!(sent.unwrap().local_transaction_state, state);
    }
    dying.shutdown().await.unwrap();

    let client =
        Client::builder(&addr).heartbeat_broker_interval(Duration::from_millis(100)).build().unwrap();
    let (asked_by, mut asked) = mpsc::unbounded_channel();
    let second = client
        .producer("orders")
        .check_local_transaction(move |message| {
            let _ = asked_by.send(message);
            async { LocalTransactionState::CommitMessage }
        })
        .start()
        .await
        .unwrap();
    assert!(second.producer().send(Message::new("T", "plain")).await.unwrap().is_ok());
    let builder = client.push_consumer("consumers").subscribe("T", "*");
    let (_consumer, mut received) = arrivals(builder.consume_from(ConsumeFromWhere::FirstOffset)).await;
    let checked = arrival(&mut asked).await;
    assert_eq!(
        (&*checked.topic, &*checked.body, checked.transaction_id()),
        ("T", &b"checked"[..], Some(&*checked.msg_id))
    );

    let mut bodies = Vec::new();
    while bodies.len() < 3 {
        bodies.push(text(&arrival(&mut received).await));
    }
    bodies.sort();
    assert_eq!(bodies, ["checked", "committed", "plain"]);
    client.shutdown().await.unwrap();
    broker.stop(Signal::TERM);
    namesrv.stop(Signal::TERM);
}

/// A request is answered by its consumer, with the request's own words in the reply.
#[tokio::test(flavor = "multi_thread")]
async fn request_and_reply() {
    let home = Home::new();
    let servers = home.standalone();
    let asking = Client::builder(&servers.namesrv).instance_name("asking").build().unwrap();
    let answering = Client::builder(&servers.namesrv).instance_name("answering").build().unwrap();
    let asker = asking.producer("askers").start().await.unwrap();
    assert!(asker.send(Message::new("Questions", "not a request")).await.unwrap().is_ok());
    let replier = answering.producer("repliers").start().await.unwrap();
    let _consumer = answering
        .push_consumer("answerers")
        .subscribe("Questions", "*")
        .consume_from(ConsumeFromWhere::LastOffset)
        .on_message(move |message| {
            let replier = replier.clone();
            async move {
                let reply = message.reply_message([b"re: ", &message.body[..]].concat())?;
                replier.send(reply).await.map(drop)
            }
        })
        .start()
        .await
        .unwrap();
    for question in ["one", "two"] {
        let reply = asker.request(Message::new("Questions", question), PATIENCE).await.unwrap();
        assert_eq!(reply.body, format!("re: {question}"));
        assert!(reply.property("PUSH_REPLY_TIME").is_some(), "{reply:?}");
    }
    asking.shutdown().await.unwrap();
    answering.shutdown().await.unwrap();
    servers.process.stop(Signal::TERM);
}
