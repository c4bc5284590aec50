//! What an application asks and changes of its cluster.

use ferrocket_bindings::ferrocket::admin::{SubscriptionGroupConfig, TopicConfig};
use ferrocket_bindings::ferrocket::{Client, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::args::{Args, Reply, time};

#[derive(Deserialize)]
struct Group {
    group: String,
    topic: String,
    time: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Find {
    topic: String,
    #[serde(alias = "offsetMsgId", alias = "msgId")]
    key: String,
    max: Option<u16>,
    begin: Option<f64>,
    end: Option<f64>,
}

/// `None` when the operation is another part's.
pub(crate) async fn call(client: &Client, operation: &str, args: &Args) -> Result<Option<Reply>> {
    let admin = client.admin();
    let reply = match operation {
        "clusterInfo" => Reply::new(&admin.cluster_info().await?),
        "topics" => Reply::new(&admin.topics().await?),
        "topicRoute" => Reply::new(&admin.topic_route(&args.read::<String>()?).await?),
        "createTopic" => {
            admin.create_topic(&args.read::<TopicConfig>()?).await?;
            Reply::empty()
        }
        "deleteTopic" => {
            admin.delete_topic(&args.read::<String>()?).await?;
            Reply::empty()
        }
        "createGroup" => {
            admin.create_group(&args.read::<SubscriptionGroupConfig>()?).await?;
            Reply::empty()
        }
        "deleteGroup" => {
            admin.delete_group(&args.read::<String>()?).await?;
            Reply::empty()
        }
        "topicStats" => {
            let stats = admin.topic_stats(&args.read::<String>()?).await?;
            let offsets = stats.offset_table.iter().map(|(queue, offset)| with_queue(queue, offset));
            Reply::new(&offsets.collect::<Vec<_>>())
        }
        "consumeStats" => {
            let Group { group, topic, .. } = args.read()?;
            let stats = admin.consume_stats(&group, &topic).await?;
            let offsets = stats.offset_table.iter().map(|(queue, offset)| with_queue(queue, offset));
            Reply::new(&json!({ "consumeTps": stats.consume_tps, "offsets": offsets.collect::<Vec<_>>() }))
        }
        "consumerConnection" => {
            let Group { group, topic, .. } = args.read()?;
            Reply::new(&admin.consumer_connection(&group, &topic).await?)
        }
        "viewMessage" => {
            let Find { topic, key, .. } = args.read()?;
            Reply::messages([&admin.view_message(&topic, &key).await?])
        }
        "queryMessage" => {
            let Find { topic, key, max, begin, end } = args.read()?;
            let (begin, end) = (time(begin.unwrap_or(0.0))?, time(end.unwrap_or(0.0))?);
            let found = admin.query_message(&topic, &key, max.unwrap_or(32), begin, end).await?;
            Reply::messages(&found)
        }
        "queryMessageByUniqueKey" => {
            let Find { topic, key, .. } = args.read()?;
            Reply::messages(&admin.query_message_by_unique_key(&topic, &key).await?)
        }
        "resetOffset" => {
            let Group { group, topic, time: at } = args.read()?;
            let offsets = admin.reset_offset(&group, &topic, time(at.unwrap_or(0.0))?).await?;
            let offsets =
                offsets.iter().map(|(queue, offset)| json!({ "messageQueue": queue, "offset": offset }));
            Reply::new(&offsets.collect::<Vec<_>>())
        }
        _ => return Ok(None),
    };
    reply.map(Some)
}

/// An entry of a table that has queues as keys, which JSON has not.
fn with_queue(queue: &impl serde::Serialize, value: &impl serde::Serialize) -> Value {
    let mut entry = json!(value);
    entry["messageQueue"] = json!(queue);
    entry
}
