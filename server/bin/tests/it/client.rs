//! What the client offers beyond plain sends and consumption, with both servers as processes.

use std::time::Duration;

use ferrocket::{Client, ConsumeFromWhere, LocalTransactionState, Message, MessageExt, PushConsumer};
use tokio::sync::mpsc;

use crate::support::{Home, PATIENCE, Process, Signal};

/// A NameServer and a Broker with these settings, and the NameServer's address.
pub(crate) fn servers(home: &Home, settings: &str) -> (Process, Process, String) {
    let conf = home.file("namesrv.properties", "listenPort=0\nbindAddress=127.0.0.1\n");
    let mut namesrv = Process::start(&mut home.command(&["namesrv", "-c", &conf]));
    let line = namesrv.err_line("the NameServer listens");
    let addr = line.split("local_addr=").nth(1).unwrap().trim().to_owned();
    let conf = home.broker_conf(settings);
    let mut broker = Process::start(&mut home.command(&["broker", "-n", &addr, "-c", &conf]));
    broker.err_line("registered");
    (namesrv, broker, addr)
}

/// A consumer of `topic` from its start, and what arrives there.
async fn consumer(client: &Client, topic: &str) -> (PushConsumer, mpsc::UnboundedReceiver<MessageExt>) {
    let (sender, arrivals) = mpsc::unbounded_channel();
    let consumer = client
        .push_consumer("consumers")
        .subscribe(topic, "*")
        .consume_from(ConsumeFromWhere::FirstOffset)
        .on_message(move |message| {
            let _ = sender.send(message);
            async {}
        })
        .start()
        .await
        .unwrap();
    (consumer, arrivals)
}

async fn arrival(arrivals: &mut mpsc::UnboundedReceiver<MessageExt>) -> MessageExt {
    tokio::time::timeout(PATIENCE, arrivals.recv()).await.expect("nothing arrived").unwrap()
}

/// Committed messages arrive and rolled back ones do not; what nobody ended is decided by a check, which goes
/// to another producer of the group when the first one is gone.
#[tokio::test(flavor = "multi_thread")]
async fn transactions() {
    let home = Home::new();
    let settings = "transactionCheckInterval=200\ntransactionTimeOut=100";
    let (namesrv, broker, addr) = servers(&home, settings);

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
    let (_consumer, mut arrivals) = consumer(&client, "T").await;
    let checked = arrival(&mut asked).await;
    assert_eq!(
        (&*checked.topic, &*checked.body, checked.transaction_id()),
        ("T", &b"checked"[..], Some(&*checked.msg_id))
    );

    let mut bodies = Vec::new();
    while bodies.len() < 3 {
        let message = arrival(&mut arrivals).await;
        bodies.push(String::from_utf8(message.body.to_vec()).unwrap());
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
