//! Makes a topic and a group, sees where the topic ends, looks at a message, and removes both again.
//!
//! What an application needs of Java's `DefaultMQAdminExt`; operators have `mqadmin`. Run it with a cluster at hand
//! (`NAMESRV_ADDR`, else 127.0.0.1:9876): `cargo run -p ferrocket --example admin`

use ferrocket::admin::{SubscriptionGroupConfig, TopicConfig};
use ferrocket::{Client, Message};

#[tokio::main]
async fn main() -> ferrocket::Result<()> {
    let name_servers = std::env::var("NAMESRV_ADDR").unwrap_or_else(|_| "127.0.0.1:9876".into());
    let client = Client::builder(&name_servers).build()?;

    // ANCHOR: admin
    let admin = client.admin();
    // Two queues to read, two to write; 6 is read and write permission.
    admin.create_topic(&TopicConfig::new("AdminTopic", 2, 2, 6)).await?;
    admin.create_group(&SubscriptionGroupConfig::new("example-admin-group")).await?;
    for broker in admin.topic_route("AdminTopic").await?.broker_datas {
        println!("AdminTopic is on {}", broker.broker_name);
    }
    // ANCHOR_END: admin

    let producer = client.producer("example-admin").start().await?;
    let sent = producer.send(Message::new("AdminTopic", "administered")).await?;
    let message = admin.view_message("AdminTopic", &sent.offset_msg_id).await?;
    println!("by its id: {}", String::from_utf8_lossy(&message.body));
    for (queue, offsets) in admin.topic_stats("AdminTopic").await?.offset_table {
        println!("{queue}: from {} to {}", offsets.min_offset, offsets.max_offset);
    }

    admin.delete_group("example-admin-group").await?;
    admin.delete_topic("AdminTopic").await?;
    client.shutdown().await
}
