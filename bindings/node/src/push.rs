//! What a push consumer can do: its messages are taken in batches and answered one by one, or, of an orderly consumer,
//! in turns of queues.

use std::sync::Arc;
use std::time::Duration;

use ferrocket_bindings::ferrocket::{
    ConsumeOrderlyResult, Deliveries, Delivery, PushConsumer, PushConsumerBuilder, Result,
};
use ferrocket_bindings::{Inbox, OrderlyBatch, orderly};
use serde::Deserialize;
use tokio::sync::{Mutex, Notify};

use crate::args::{Args, Reply, Subscription, millis};
use crate::client::ready;
use crate::port::unknown;
use crate::producer::{Tickets, inbox, taken};

/// A push consumer and what of its messages JavaScript has.
pub(crate) struct Push {
    consumer: PushConsumer,
    source: Source,
}

enum Source {
    Concurrent { deliveries: Mutex<Deliveries>, open: Tickets<Delivery> },
    Orderly { batches: Inbox<OrderlyBatch>, bell: Arc<Notify>, open: Tickets<OrderlyBatch> },
}

#[derive(Deserialize)]
struct Answered {
    ticket: u32,
    result: Turn,
    failure: Option<String>,
}

/// What an orderly handler answered.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "an orderly handler answers nothing, SUCCESS, COMMIT, ROLLBACK, \
                               SUSPEND_CURRENT_QUEUE_A_MOMENT or {suspendMs}"
)]
enum Turn {
    Word(Word),
    #[serde(rename_all = "camelCase")]
    Suspend {
        suspend_ms: f64,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Word {
    Success,
    Commit,
    Rollback,
    SuspendCurrentQueueAMoment,
}

impl Answered {
    fn result(self) -> Result<ConsumeOrderlyResult> {
        Ok(match (self.failure, self.result) {
            (Some(failure), _) => ConsumeOrderlyResult::Failed(failure),
            (None, Turn::Word(Word::Success)) => ConsumeOrderlyResult::Success,
            (None, Turn::Word(Word::Commit)) => ConsumeOrderlyResult::Commit,
            (None, Turn::Word(Word::Rollback)) => ConsumeOrderlyResult::Rollback,
            (None, Turn::Word(Word::SuspendCurrentQueueAMoment)) => {
                ConsumeOrderlyResult::SuspendCurrentQueueAMoment
            }
            (None, Turn::Suspend { suspend_ms }) => {
                let pause: Duration = millis(suspend_ms)?;
                ConsumeOrderlyResult::SuspendCurrentQueueFor(pause)
            }
        })
    }
}

impl Push {
    pub(crate) async fn start(builder: PushConsumerBuilder, is_orderly: bool) -> Result<Self> {
        if is_orderly {
            let (batches, bell) = inbox();
            let consumer = orderly(builder, &batches).start().await?;
            return Ok(Self {
                consumer,
                source: Source::Orderly { batches, bell, open: Tickets::default() },
            });
        }
        let (consumer, deliveries) = builder.deliveries().await?;
        let deliveries = Mutex::new(deliveries);
        Ok(Self { consumer, source: Source::Concurrent { deliveries, open: Tickets::default() } })
    }

    /// Messages, once there are some; nothing at the end.
    async fn take(&self, max: usize) -> Result<Reply> {
        match &self.source {
            Source::Concurrent { deliveries, open } => {
                let taken = ready(&mut *deliveries.lock().await, max).await;
                if taken.is_empty() {
                    return Reply::empty();
                }
                let reply = Reply::messages(taken.iter().map(Delivery::message))?;
                Ok(reply.with_value(open.keep(taken)))
            }
            Source::Orderly { batches, bell, open } => match taken(batches, bell, 1).await.pop() {
                None => Reply::empty(),
                Some(batch) => {
                    let reply = Reply::messages(&batch.subject)?;
                    Ok(reply.with_value(open.keep([batch])))
                }
            },
        }
    }

    /// These are done, or come again after a delay. What was answered before, or given back meanwhile, is passed over.
    pub(crate) fn settle(&self, tickets: &[u32], level: Option<i32>) {
        let Source::Concurrent { open, .. } = &self.source else { return };
        for delivery in tickets.iter().filter_map(|ticket| open.take(*ticket)) {
            match level {
                None => delivery.ack(),
                Some(level) => delivery.retry_later(level),
            }
        }
    }

    /// An orderly handler's answer; after one that is none the messages still wait for theirs.
    fn answer(&self, args: &Args) -> Result<Reply> {
        let Source::Orderly { open, .. } = &self.source else { return Err(unknown("answer")) };
        let answered: Answered = args.read()?;
        let (ticket, result) = (answered.ticket, answered.result()?);
        if let Some(batch) = open.take(ticket) {
            batch.answer(result);
        }
        Reply::empty()
    }

    /// Messages that JavaScript still has are waited for, as the settings say.
    pub(crate) async fn close(&self) {
        self.consumer.shutdown().await;
        self.give_back();
    }

    /// Nobody answers any more: what JavaScript has comes again.
    pub(crate) fn give_back(&self) {
        match &self.source {
            Source::Concurrent { open, .. } => open.close(),
            Source::Orderly { batches, open, .. } => {
                batches.close();
                open.close();
            }
        }
    }
}

pub(crate) async fn call(push: &Push, operation: &str, args: Args) -> Result<Reply> {
    let consumer = &push.consumer;
    match operation {
        "take" => return push.take(args.read()?).await,
        "answer" => return push.answer(&args),
        "assignment" => return Reply::new(&consumer.queues()),
        "subscribe" => {
            let Subscription { topic, selector } = args.read()?;
            consumer.subscribe(&topic, selector).await?;
        }
        "unsubscribe" => consumer.unsubscribe(&args.read::<String>()?),
        "suspend" => consumer.suspend(),
        "resume" => consumer.resume(),
        _ => return Err(unknown(operation)),
    }
    Reply::empty()
}
