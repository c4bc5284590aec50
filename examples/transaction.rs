//! Sends messages that consumers get only if a local transaction was committed.
//!
//! Run it with a cluster at hand (`NAMESRV_ADDR`, else 127.0.0.1:9876):
//! `cargo run -p ferrocket --example transaction`

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use ferrocket::{Client, LocalTransactionState, Message};

#[tokio::main]
async fn main() -> ferrocket::Result<()> {
    let name_servers = std::env::var("NAMESRV_ADDR").unwrap_or_else(|_| "127.0.0.1:9876".into());
    let client = Client::builder(&name_servers).build()?;

    // ANCHOR: transaction
    // A program's own database: the transactions that were committed there.
    let booked: Arc<Mutex<HashSet<String>>> = Arc::default();
    let is_booked = Arc::clone(&booked);
    let producer = client
        .producer("example-transaction")
        .check_local_transaction(move |message| {
            let id = message.transaction_id().unwrap_or_default();
            let known = is_booked.lock().is_ok_and(|booked| booked.contains(id));
            async move {
                if known { LocalTransactionState::CommitMessage } else { LocalTransactionState::Unknown }
            }
        })
        .start()
        .await?;
    // ANCHOR_END: transaction

    // ANCHOR: send
    for order in ["paid", "refused"] {
        let booked = Arc::clone(&booked);
        let sent = producer
            .send_in_transaction(Message::new("TopicTest", order), |local| async move {
                if order == "refused" {
                    return Ok(LocalTransactionState::RollbackMessage);
                }
                let mut booked = booked.lock().map_err(|error| error.to_string())?;
                booked.insert(local.transaction_id);
                Ok::<_, String>(LocalTransactionState::CommitMessage)
            })
            .await?;
        println!("{order}: {} {}", sent.local_transaction_state, sent.sent);
    }
    // ANCHOR_END: send
    client.shutdown().await
}
