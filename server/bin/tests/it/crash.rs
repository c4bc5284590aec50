//! A killed process: what was acknowledged is served again.

use std::collections::BTreeSet;

use ferrocket::{Client, Message};

use crate::support::{Home, Signal, bodies, consume, send};

/// Killed in the middle of sending, twice: the next process serves every acknowledged message, and goes on.
#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_messages_survive_kill() {
    let home = Home::new();
    let mut acknowledged = BTreeSet::new();
    for round in 0..2 {
        let servers = home.standalone();
        let client = Client::builder(&servers.namesrv).build().unwrap();
        let producer = client.producer("p").retries(0).start().await.unwrap();
        let (told, mut acknowledgements) = tokio::sync::mpsc::unbounded_channel();
        let sender = tokio::spawn(async move {
            for body in bodies(&format!("round{round}"), 1_000_000) {
                match producer.send(Message::new("Crash", body.clone())).await {
                    Ok(_) => drop(told.send(body)),
                    Err(_) => return,
                }
            }
        });
        for _ in 0..300 {
            acknowledged.insert(acknowledgements.recv().await.unwrap());
        }
        servers.process.signal(Signal::KILL);
        sender.await.unwrap();
        while let Some(body) = acknowledgements.recv().await {
            acknowledged.insert(body);
        }
        client.shutdown().await.unwrap();
    }
    let servers = home.standalone();
    let after = bodies("after", 3);
    send(&servers.namesrv, "Crash", &after).await;
    acknowledged.extend(after);
    // Messages whose acknowledgement the kill swallowed may be there as well.
    let got = consume_at_least(&servers.namesrv, &acknowledged).await;
    assert!(got.is_superset(&acknowledged));
    servers.process.stop(Signal::TERM);
}

async fn consume_at_least(namesrv: &str, expected: &BTreeSet<String>) -> BTreeSet<String> {
    let mut got = BTreeSet::new();
    // A group of its own for each try: one more message each time, at most one per killed process is extra.
    for extra in 0..=2 {
        got = consume(namesrv, "Crash", &format!("g{extra}"), expected.len() + extra).await;
        if got.is_superset(expected) {
            break;
        }
    }
    got
}
