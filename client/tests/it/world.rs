//! A small cluster to consume from: a NameServer, a broker with queues in memory, a client of both.

use std::time::Duration;

use ferrocket::{Client, ConsumeFromWhere, MessageExt, PushConsumerBuilder};
use tokio::sync::mpsc;

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

pub(crate) async fn next<T>(received: &mut mpsc::UnboundedReceiver<T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), received.recv()).await.unwrap().unwrap()
}
