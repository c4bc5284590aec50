//! What a lite pull consumer can do.

use ferrocket_bindings::ferrocket::{LitePullConsumer, MessageQueue, Result};
use serde::Deserialize;

use crate::args::{Args, Reply, Subscription, millis, time};
use crate::port::unknown;

#[derive(Deserialize)]
struct At<T> {
    queue: MessageQueue,
    #[serde(alias = "offset", alias = "time")]
    at: T,
}

#[derive(Deserialize)]
struct Of {
    queue: MessageQueue,
}

pub(crate) async fn call(consumer: &LitePullConsumer, operation: &str, args: Args) -> Result<Reply> {
    match operation {
        "poll" => return Reply::messages(&consumer.poll(millis(args.read()?)?).await?),
        "next" => {
            let next = consumer.stream().next().await;
            return Reply::messages(next.as_slice());
        }
        "assignment" => return Reply::new(&consumer.assignment()),
        "committed" => return Reply::new(&consumer.committed(&args.read::<Of>()?.queue).await?),
        "offsetForTimestamp" => {
            let At { queue, at } = args.read()?;
            return Reply::new(&consumer.offset_for_timestamp(&queue, time(at)?).await?);
        }
        "fetchQueues" => return Reply::new(&consumer.fetch_queues(&args.read::<String>()?).await?),
        "subscribe" => {
            let Subscription { topic, selector } = args.read()?;
            consumer.subscribe(&topic, selector).await?;
        }
        "unsubscribe" => consumer.unsubscribe(&args.read::<String>()?),
        "assign" => consumer.assign(args.read::<Vec<MessageQueue>>()?).await?,
        "seek" => {
            let At { queue, at } = args.read()?;
            consumer.seek(&queue, at).await?;
        }
        "seekToBegin" => consumer.seek_to_begin(&args.read::<Of>()?.queue).await?,
        "seekToEnd" => consumer.seek_to_end(&args.read::<Of>()?.queue).await?,
        "seekToTime" => {
            let At { queue, at } = args.read()?;
            consumer.seek_to_time(&queue, time(at)?).await?;
        }
        "pause" => consumer.pause(&args.read::<Vec<MessageQueue>>()?),
        "resume" => consumer.resume(&args.read::<Vec<MessageQueue>>()?),
        "commit" => match args.read::<Option<Vec<At<i64>>>>()? {
            None => consumer.commit().await?,
            Some(offsets) => {
                consumer.commit_offsets(offsets.into_iter().map(|At { queue, at }| (queue, at))).await?;
            }
        },
        _ => return Err(unknown(operation)),
    }
    Reply::empty()
}
