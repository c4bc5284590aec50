//! A consumer whose listener is called as messages arrive.
//!
//! ```text
//! builder.rs        settings, and the start
//! listener.rs       what the application does with messages
//! deliveries.rs     messages as a stream, answered one by one
//! concurrent.rs     work of any order: handle, send back what failed, commit
//! orderly.rs        work in order, one run per queue at a time
//! workers.rs        runs work, `concurrency` pieces at once
//! ```
//!
//! Leaves out the POP mode of 5.x.
//! Java counterparts: `DefaultMQPushConsumer`, `DefaultMQPushConsumerImpl`.

use std::fmt;
use std::sync::Arc;

use ferrocket_protocol::body::message_queue::MessageQueue;

use crate::client::Client;
use crate::consumer::{Assigned, Consumer, Sink};
use crate::error::Result;
use crate::selector::MessageSelector;
use crate::validate::within;

mod builder;
mod concurrent;
mod deliveries;
mod listener;
mod orderly;
mod workers;

pub use builder::PushConsumerBuilder;
pub use deliveries::{Deliveries, Delivery};
pub use listener::{
    ConsumeOrderlyResult, ConsumeResult, MessageListenerConcurrently, MessageListenerOrderly,
};
pub(crate) use listener::{Listener, catch_panic};
pub(crate) use listener::{concurrently, orderly as orderly_answer};
use workers::Workers;

pub use ferrocket_protocol::body::heartbeat::{ConsumeFromWhere, MessageModel};

/// A running push consumer. Cheap to clone.
///
/// Dropping it does not stop it while something else of its [`Client`] is there: [`PushConsumer::shutdown`] or
/// [`shutdown`](Client::shutdown) of its client does.
///
/// ```
/// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
/// let consumer = client
///     .push_consumer("billing")
///     .subscribe("Orders", "*")
///     .on_message(|message| async move { println!("{}", message.msg_id) })
///     .start()
///     .await?;
/// println!("{} has {} queues", consumer.group(), consumer.queues().len());
/// // Messages in hand are finished, offsets stored.
/// consumer.shutdown().await;
/// # Ok(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct PushConsumer {
    consumer: Arc<Consumer>,
    /// Who has a consumer uses the client.
    _client: Client,
}

impl PushConsumer {
    /// The group.
    pub fn group(&self) -> &str {
        &self.consumer.calls.group
    }

    /// The queues this consumer holds at the moment, ordered by topic, broker and number.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let consumer = client.push_consumer("billing").subscribe("Orders", "*").on_message(|_| async {}).start().await?;
    /// for queue in consumer.queues() {
    ///     println!("{} {} {}", queue.topic, queue.broker_name, queue.queue_id);
    /// }
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn queues(&self) -> Vec<MessageQueue> {
        self.consumer.calls.client.bare_queues(self.consumer.queues().keys())
    }

    /// Subscribes to another topic, or to the same by another expression (see
    /// [`PushConsumerBuilder::subscribe`]).
    ///
    /// ```
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let consumer = client.push_consumer("billing").subscribe("Orders", "*").on_message(|_| async {}).start().await?;
    /// consumer.subscribe("Refunds", "*").await?;
    /// // Only these of the first topic from now on.
    /// consumer.subscribe("Orders", "paid").await?;
    /// consumer.unsubscribe("Refunds");
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for a topic name or an expression that cannot work;
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) after the shutdown.
    pub async fn subscribe(&self, topic: &str, selector: impl Into<MessageSelector>) -> Result<()> {
        self.consumer.subscribe(topic, &selector.into()).await
    }

    /// Gives a topic up; its queues are released with the next division, which follows at once.
    pub fn unsubscribe(&self, topic: &str) {
        self.consumer.unsubscribe(topic);
    }

    /// Stops pulling; messages in memory are still handled. Java: `suspend`.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let consumer = client.push_consumer("billing").subscribe("Orders", "*").on_message(|_| async {}).start().await?;
    /// consumer.suspend();
    /// // The database is away; later:
    /// consumer.resume();
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn suspend(&self) {
        self.consumer.suspend();
    }

    /// Pulls again. Java: `resume`.
    pub fn resume(&self) {
        self.consumer.resume();
    }

    /// Changes how many handlers are at work at once, 1 to 1000; those at work finish what they have. Java:
    /// `updateCorePoolSize`.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let consumer = client.push_consumer("billing").subscribe("Orders", "*").on_message(|_| async {}).start().await?;
    /// // More hands for the evening.
    /// consumer.set_concurrency(200)?;
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for another number.
    pub fn set_concurrency(&self, handlers: usize) -> Result<()> {
        within("concurrency", handlers as u128, 1, 1000)?;
        if let Sink::Push(pushed) = &self.consumer.sink {
            pushed.workers.set_concurrency(handlers);
            // The next work starts what is missing; so does this, when there is work already.
            work(&self.consumer, []);
        }
        Ok(())
    }

    /// Stops pulling, lets running handlers finish (up to
    /// [`await_termination_when_shutdown`](PushConsumerBuilder::await_termination_when_shutdown)), stores the
    /// offsets, gives locks back and unregisters. Further calls wait for the first, and whoever gives up waiting does
    /// not stop it.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let consumer = client.push_consumer("billing").subscribe("Orders", "*").on_message(|_| async {}).start().await?;
    /// consumer.shutdown().await;
    /// // Producers and other consumers of the client go on.
    /// let producer = client.producer("order-service").start().await?;
    /// # Ok(()) }).unwrap();
    /// ```
    pub async fn shutdown(&self) {
        self.consumer.shutdown().await;
    }
}

impl fmt::Debug for PushConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushConsumer").field("group", &self.group()).finish_non_exhaustive()
    }
}

/// A piece of work for a handler: a run of messages, or for orderly listeners whatever the queue holds.
struct Work {
    assigned: Arc<Assigned>,
    /// Concurrent: the offsets of the run.
    offsets: Vec<i64>,
}

/// The application's listener and those who call it.
pub(crate) struct Pushed {
    pub(crate) listener: Listener,
    workers: Workers<Work>,
}

impl Pushed {
    fn new(listener: Listener, concurrency: usize) -> Self {
        Self { listener, workers: Workers::new(concurrency) }
    }

    /// Handlers at work at once.
    pub(crate) fn concurrency(&self) -> usize {
        self.workers.concurrency()
    }

    pub(crate) fn is_orderly(&self) -> bool {
        self.listener.is_orderly()
    }

    /// Throws away what has not started.
    pub(crate) fn close(&self) {
        self.workers.close();
        if let Listener::Deliveries(inbox) = &self.listener {
            inbox.close();
        }
    }

    /// Waits until no handler runs, and no delivery is in anybody's hands.
    pub(crate) async fn idle(&self) {
        self.workers.idle().await;
        if let Listener::Deliveries(inbox) = &self.listener {
            inbox.idle().await;
        }
    }

    /// Starts what has to be done with a queue's messages.
    pub(crate) fn submit(
        &self,
        consumer: &Arc<Consumer>,
        assigned: &Arc<Assigned>,
        fresh: &[i64],
        start: bool,
    ) {
        match &self.listener {
            Listener::Concurrently(_) => concurrent::submit(consumer, assigned, fresh),
            Listener::Deliveries(inbox) => inbox.submit(assigned, fresh),
            Listener::Orderly(_) if start => orderly::submit(consumer, assigned),
            Listener::Orderly(_) => {}
        }
    }

    /// Gives messages back to the broker whose handlers run for too long.
    pub(crate) async fn expire(&self, consumer: &Consumer) {
        if !self.is_orderly() && consumer.is_clustering() {
            concurrent::expire(consumer).await;
        }
    }
}

/// Has workers do these pieces of work.
fn work(consumer: &Arc<Consumer>, jobs: impl IntoIterator<Item = Work>) {
    let Sink::Push(pushed) = &consumer.sink else { return };
    let consumer = Arc::clone(consumer);
    pushed.workers.submit(jobs, move |Work { assigned, offsets }| {
        let consumer = Arc::clone(&consumer);
        async move {
            let Sink::Push(pushed) = &consumer.sink else { return };
            match &pushed.listener {
                Listener::Concurrently(listener) => {
                    concurrent::handle(&consumer, &**listener, &assigned, &offsets).await;
                }
                Listener::Orderly(listener) => orderly::run(&consumer, &**listener, &assigned).await,
                // They are taken, not handed out.
                Listener::Deliveries(_) => {}
            }
        }
    });
}
