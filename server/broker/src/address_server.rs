//! Finds the NameServers when `namesrvAddr` names none and a web server knows them (`rmqAddressServerDomain`).
//!
//! Java counterparts: `BrokerOuterAPI.fetchNameServerAddr` and the task of `BrokerController` that calls it. Java asks
//! ten seconds after the start for the first time; here the start waits for the answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::broker::Shared;
use crate::registration::Registration;

/// Between two questions.
const ASK_EVERY: Duration = Duration::from_secs(120);
/// After a question without an answer.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(10);
/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// What a question has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// There is a list, or nobody to ask: the settings name NameServers.
    Settled,
    /// No answer.
    Failed,
    /// The Broker is gone.
    Over,
}

/// Asks once, then keeps asking in a task that ends with the registration.
pub(crate) async fn find_name_servers(broker: &Arc<Shared>) {
    let asked = ask(broker).await;
    let at_once = broker.registration.ask_at_once.clone();
    let weak = Arc::downgrade(broker);
    let task = keep_asking(asked, at_once, move || {
        let broker = weak.upgrade();
        async move {
            match &broker {
                Some(broker) => ask(broker).await,
                None => Asked::Over,
            }
        }
    });
    broker.registration.keep(tokio::spawn(task));
}

async fn ask(broker: &Arc<Shared>) -> Asked {
    let Some(server) = broker.settings.now().address_server.clone() else { return Asked::Settled };
    match server.fetch(ANSWER_TIMEOUT).await {
        Ok(list) => {
            Registration::set_servers(broker, &list);
            Asked::Settled
        }
        Err(error) => {
            tracing::warn!(%error, "NameServers stay as they were");
            Asked::Failed
        }
    }
}

async fn keep_asking<F: Future<Output = Asked>>(mut asked: Asked, at_once: Arc<Notify>, ask: impl Fn() -> F) {
    loop {
        let pause = match asked {
            Asked::Settled => ASK_EVERY,
            Asked::Failed => ASK_AGAIN_AFTER,
            Asked::Over => return,
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = at_once.notified() => {}
        }
        asked = ask().await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;
    use tokio::time::Instant;

    use super::*;

    /// Every two minutes; ten seconds after a failure; at once when the settings ask for it; not without the Broker.
    #[tokio::test(start_paused = true)]
    async fn when_it_is_asked() {
        let at_once = Arc::new(Notify::new());
        let (times, mut heard) = mpsc::unbounded_channel();
        let start = Instant::now();
        let task = tokio::spawn(keep_asking(Asked::Failed, at_once.clone(), move || {
            let at = start.elapsed().as_secs();
            times.send(at).unwrap();
            let asked = match at {
                10 => Asked::Failed,
                20 | 140 | 141 => Asked::Settled,
                _ => Asked::Over,
            };
            std::future::ready(asked)
        }));
        for at in [10, 20, 140] {
            assert_eq!(heard.recv().await, Some(at));
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        at_once.notify_one();
        for at in [141, 261] {
            assert_eq!(heard.recv().await, Some(at));
        }
        task.await.unwrap();
    }
}
