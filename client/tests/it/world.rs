//! A small cluster to consume from: a NameServer, a broker with queues in memory, a client of both.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ferrocket::{Client, ConsumeFromWhere, MessageExt, PushConsumerBuilder};
use tokio::sync::{Semaphore, mpsc};

use crate::cluster::{Server, builder, name_server, route};
use crate::queue_broker::QueueBroker;

/// A broker called `a`, with two queues of topic T, 300 of W, one of U and one of each retry topic, and a client of it.
pub(crate) struct World {
    pub(crate) broker: QueueBroker,
    pub(crate) client: Client,
    pub(crate) names: Server,
}

impl World {
    pub(crate) async fn new() -> Self {
        let broker = QueueBroker::start().await;
        let [topic, wide, retry] = [2, 300, 1].map(|queues| route(&[("a", broker.addr, queues)]));
        let names = name_server(move |name| match name {
            "T" => Some(topic.clone()),
            "W" => Some(wide.clone()),
            _ => (name == "U" || name.starts_with("%RETRY%")).then(|| retry.clone()),
        })
        .await;
        let client = builder(&names).build().unwrap();
        Self { broker, client, names }
    }

    pub(crate) fn consumer(&self) -> PushConsumerBuilder {
        let consumer = self.client.push_consumer("g").subscribe("T", "*");
        consumer.consume_from(ConsumeFromWhere::FirstOffset)
    }
}

pub(crate) fn text(message: &MessageExt) -> String {
    String::from_utf8(message.body.to_vec()).unwrap()
}

pub(crate) type Handled = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A handler that comes to its end when it gets a permit of this gate.
pub(crate) fn stuck(gate: &Arc<Semaphore>) -> impl Fn(MessageExt) -> Handled + Send + Sync + use<> {
    let gate = Arc::clone(gate);
    move |_| {
        let gate = Arc::clone(&gate);
        Box::pin(async move { gate.acquire().await.unwrap().forget() })
    }
}

pub(crate) async fn next<T>(received: &mut mpsc::UnboundedReceiver<T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), received.recv()).await.unwrap().unwrap()
}
