//! Pulls one queue: one task each, from assignment to revocation.
//!
//! ```text
//! wait for room -> pull (held by the broker up to 15 s) -> filter -> process queue -> work -> pull ...
//! ```
//!
//! Java counterparts: `DefaultMQPushConsumerImpl.pullMessage`, `PullMessageService`,
//! `DefaultLitePullConsumerImpl.PullTaskImpl`.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ferrocket_protocol::body::heartbeat::SubscriptionData;
use ferrocket_protocol::properties::names;
use ferrocket_protocol::{ResponseCode, Text};

use super::calls::{Pull, PullStatus, Pulled};
use super::process_queue::Full;
use super::rebalance::Command;
use super::stats::Event;
use super::{Assigned, Consumer, Signal, Sink};
use crate::error::{Error, Result};
use crate::events;
use crate::message::{MessageExt, RETRY_TOPIC_PREFIX};
use crate::message_ids::now_ms;
use crate::route::MASTER_ID;

/// Pause while a queue is beyond a threshold; an answering handler ends it early.
const FULL_PAUSE: Duration = Duration::from_millis(50);
/// Pause after the broker asked to slow down.
const BROKER_FLOW_CONTROL_PAUSE: Duration = Duration::from_millis(20);
/// Pause while the consumer is suspended.
const SUSPENDED_PAUSE: Duration = Duration::from_secs(1);
/// How long after an illegal offset what is being handled may finish, before the corrected one is stored.
/// Java always waits that long.
const CORRECTION_DELAY_MAX: Duration = Duration::from_secs(10);
/// How long the answer to a pull that commits is waited for, before later offsets are stored.
const COMMIT_WAIT_MAX: Duration = Duration::from_secs(3);
/// One log line for so many pauses.
const LOG_EVERY: u64 = 1000;

/// Pulls from `offset` on until the queue is gone.
pub(crate) async fn run(consumer: Arc<Consumer>, assigned: Arc<Assigned>, offset: i64) {
    let committing = AtomicBool::new(false);
    let mut puller = Puller {
        consumer: &consumer,
        assigned: &assigned,
        committing: &committing,
        next: offset,
        broker_id: MASTER_ID,
        has_more: false,
        full_times: 0,
        is_full: false,
        failing: false,
    };
    let _ended = Ended(&assigned.pulled);
    let mut pulling = pin!(puller.run());
    tokio::select! {
        () = assigned.gone.raised() => {}
        () = consumer.stop.raised() => {}
        () = &mut pulling => {}
    }
    if committing.load(Ordering::Relaxed) {
        let _ = tokio::time::timeout(COMMIT_WAIT_MAX, pulling).await;
    }
}

/// Raises a signal in the end, whatever the end is.
struct Ended<'a>(&'a Signal);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.raise();
    }
}

struct Puller<'a> {
    consumer: &'a Arc<Consumer>,
    assigned: &'a Arc<Assigned>,
    /// The pull under way commits something that its answer has to be waited for.
    committing: &'a AtomicBool,
    /// The offset of the next pull.
    next: i64,
    /// The broker that the last pull suggested.
    broker_id: i64,
    /// The queue went on behind what was pulled last: the next pull is answered at once.
    has_more: bool,
    full_times: u64,
    /// Pulling pauses at present.
    is_full: bool,
    /// The last pull failed: a broker that is away for long is worth one line.
    failing: bool,
}

impl Puller<'_> {
    async fn run(&mut self) {
        loop {
            self.assigned.process().note_pull(now_ms());
            // Before the look at the flags: going on in between wakes it.
            let resumed = self.assigned.handled.notified();
            if self.consumer.is_paused() || self.assigned.is_paused() {
                let _ = tokio::time::timeout(SUSPENDED_PAUSE, resumed).await;
                continue;
            }
            if !self.has_room().await {
                continue;
            }
            match self.pull().await {
                Ok(true) => {
                    self.failing = false;
                    let interval = self.consumer.settings.pull_interval;
                    if !interval.is_zero() {
                        tokio::time::sleep(interval).await;
                    }
                }
                Ok(false) => return,
                Err(error) => self.pause_after(&error).await,
            }
        }
    }

    /// Whether another pull is allowed now; if not, waits a little.
    async fn has_room(&mut self) -> bool {
        if self.consumer.is_locking() && !self.assigned.process().is_locked(now_ms()) {
            tokio::time::sleep(self.consumer.settings.pull_delay_on_failure).await;
            return false;
        }
        let thresholds = self.consumer.thresholds();
        // Before the look at the queue: an answer in between wakes it.
        let handled = self.assigned.handled.notified();
        let full = self.assigned.process().full(&thresholds);
        let all_max = self.consumer.settings.pull_threshold_for_all;
        let full = full.or_else(|| {
            (all_max < usize::MAX && self.consumer.messages_in_memory() > all_max).then_some(Full::All)
        });
        let Some(full) = full else {
            self.is_full = false;
            return true;
        };
        if !std::mem::replace(&mut self.is_full, true) {
            let calls = &self.consumer.calls;
            let messages = self.assigned.process().count();
            calls.client.tell(|| {
                let queue = calls.client.bare_queue(self.assigned.queue());
                events::Event::FlowControl { group: calls.group.to_string(), queue, messages }
            });
        }
        if self.full_times.is_multiple_of(LOG_EVERY) {
            tracing::info!(queue = %self.assigned.queue(), ?full, times = self.full_times, "pulling pauses: too much in memory");
        }
        self.full_times += 1;
        let _ = tokio::time::timeout(FULL_PAUSE, handled).await;
        false
    }

    /// One pull. Answers whether pulling goes on.
    async fn pull(&mut self) -> Result<bool> {
        let (consumer, queue) = (self.consumer, self.assigned.queue());
        let subscription = consumer.subscription(&queue.topic)?;
        let lite = matches!(consumer.sink, Sink::Poll(_));
        // Java's lite pull leaves commits to those who are asked for them.
        let commit = match consumer.is_clustering() && !lite && self.next > 0 {
            true => consumer.offsets.table().get(queue).filter(|offset| *offset > 0),
            false => None,
        };
        // A pull may wait for a thread of its broker, and must not take back then what a shutdown stores meanwhile,
        // as Java's does. While nothing is left to handle it cannot; when the broker holds nothing back, its answer
        // is waited for; else the keeper stores what is handled.
        let commit = commit.filter(|offset| *offset == self.next || self.has_more);
        let awaited = commit.is_some_and(|offset| offset != self.next);
        let expression = consumer
            .settings
            .post_subscription_when_pull
            .then(|| Text::from(subscription.data.sub_string.as_str()));
        let pull = Pull {
            queue,
            offset: self.next,
            count_max: consumer.settings.pull_batch_size,
            broker_id: self.broker_id,
            commit,
            expression,
            expression_type: subscription.data.expression_type.as_str().into(),
            // Java: only conditions have a version here.
            sub_version: if lite && subscription.data.is_tag_type() { 0 } else { subscription.pull_version },
            suspend: Some(consumer.settings.broker_suspend_max),
            timeout: consumer.settings.pull_timeout,
            lite,
        };
        let begin = now_ms();
        self.committing.store(awaited, Ordering::Relaxed);
        let pulled = consumer.calls.pull(pull).await;
        self.committing.store(false, Ordering::Relaxed);
        if awaited && (self.assigned.gone.is_raised() || consumer.stop.is_raised()) {
            return Ok(false);
        }
        let pulled = pulled?;
        self.has_more = pulled.reply.max_offset > pulled.reply.next_begin_offset;
        self.broker_id = pulled.reply.suggest_which_broker_id;
        match pulled.status {
            PullStatus::Found => {
                let next = pulled.reply.next_begin_offset;
                let ms = (now_ms() - begin).max(0) as u64;
                let messages = self.read(pulled, &subscription.data)?;
                self.next = next;
                if messages.is_empty() {
                    return Ok(true);
                }
                let event = Event::Pulled { messages: messages.len() as u64, ms };
                consumer.count(&queue.topic, event);
                let put = self.assigned.process().put(messages);
                match &consumer.sink {
                    Sink::Push(pushed) => pushed.submit(consumer, self.assigned, &put.fresh, put.start),
                    Sink::Poll(polls) => polls.bell.ring(),
                }
            }
            PullStatus::NoNewMsg | PullStatus::NoMatchedMsg => {
                self.next = pulled.reply.next_begin_offset;
                // Nothing in memory: what the filter passed over is consumed.
                if self.assigned.process().count() == 0 {
                    match &consumer.sink {
                        Sink::Push(_) => consumer.offsets.table().advance(&self.assigned.hold, self.next),
                        Sink::Poll(polls) => polls.passed(&self.assigned.hold, self.next),
                    }
                }
            }
            PullStatus::OffsetIllegal => {
                let offset = pulled.reply.next_begin_offset;
                tracing::warn!(%queue, wrong = self.next, right = offset, "the offset is outside the queue, it is corrected");
                if let Sink::Poll(_) = consumer.sink {
                    // What is stored changes when the application commits.
                    self.next = offset;
                    tokio::time::sleep(consumer.settings.pull_delay_on_failure).await;
                    return Ok(true);
                }
                self.assigned.correcting.store(true, Ordering::Release);
                self.assigned.process().drop_queue();
                // At least a little, lest a confused broker keeps us in a loop.
                tokio::time::sleep(consumer.settings.pull_delay_on_failure).await;
                let _ = tokio::time::timeout(CORRECTION_DELAY_MAX, self.nothing_in_memory()).await;
                let assigned = Arc::clone(self.assigned);
                // Waits for a keeper that is behind: nobody else takes the queue anew. An error is the keeper's end.
                let _ = consumer.commands.send(Command::Correct { assigned, offset }).await;
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn nothing_in_memory(&self) {
        loop {
            let handled = self.assigned.handled.notified();
            if self.assigned.process().count() == 0 {
                return;
            }
            handled.await;
        }
    }

    /// The messages of an answer that the group really wants.
    fn read(&self, pulled: Pulled, subscription: &SubscriptionData) -> Result<Vec<MessageExt>> {
        let queue = self.assigned.queue();
        let mut messages = read(pulled, &queue.broker_name, subscription)?;
        if queue.topic.starts_with(RETRY_TOPIC_PREFIX) {
            messages.iter_mut().for_each(restore_topic);
        }
        Ok(messages)
    }

    async fn pause_after(&mut self, error: &Error) {
        let queue = self.assigned.queue();
        let code = error.code().map(ResponseCode);
        match code {
            // Routine around starts and changes: the broker has not heard of the group yet.
            Some(
                ResponseCode::SUBSCRIPTION_NOT_EXIST
                | ResponseCode::SUBSCRIPTION_NOT_LATEST
                | ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST,
            ) => {
                tracing::debug!(%queue, %error, "the broker does not know the subscription yet");
                self.consumer.calls.client.want_heartbeat();
            }
            _ if self.failing || queue.topic.starts_with(RETRY_TOPIC_PREFIX) => {
                tracing::debug!(%queue, %error, "pull failed");
            }
            _ => tracing::warn!(%queue, %error, "pull failed"),
        }
        self.failing = true;
        let pause = match code {
            // The next pull goes over a new connection.
            Some(ResponseCode::FLOW_CONTROL | ResponseCode::GO_AWAY) => BROKER_FLOW_CONTROL_PAUSE,
            _ => self.consumer.settings.pull_delay_on_failure,
        };
        tokio::time::sleep(pause).await;
    }
}

/// The messages of an answer that match a subscription. Java: `processPullResult`.
pub(crate) fn read(
    pulled: Pulled,
    broker_name: &Text,
    subscription: &SubscriptionData,
) -> Result<Vec<MessageExt>> {
    let mut messages = MessageExt::decode_all(pulled.body, broker_name)?;
    messages.retain(|message| matches(subscription, message.tags()));
    let min_offset = Text::from(pulled.reply.min_offset.to_string());
    let max_offset = Text::from(pulled.reply.max_offset.to_string());
    for message in &mut messages {
        message.set_property(Text::from_static(names::MIN_OFFSET), min_offset.clone());
        message.set_property(Text::from_static(names::MAX_OFFSET), max_offset.clone());
    }
    Ok(messages)
}

/// Gives a message of the retry topic its first topic back.
pub(crate) fn restore_topic(message: &mut MessageExt) {
    if let Some(topic) = message.property(names::RETRY_TOPIC).map(Text::from) {
        message.topic = topic;
    }
}

/// Whether the broker, which compares hashes only, was right about a message with these tags.
fn matches(subscription: &SubscriptionData, tags: Option<&str>) -> bool {
    subscription.tags_set.is_empty()
        || subscription.class_filter_mode
        || tags.is_some_and(|tags| subscription.tags_set.contains(tags))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two tags with one hash pass the broker's filter and are told apart here; without tags nothing is.
    #[test]
    fn equal_hashes_are_told_apart() {
        let wanted = SubscriptionData::tags("T", "Aa || C", 0).unwrap();
        assert!(wanted.matches_tags_code(ferrocket_protocol::message::tags_code(Some("BB"))));
        assert!(matches(&wanted, Some("Aa")) && matches(&wanted, Some("C")));
        assert!(!matches(&wanted, Some("BB")));
        assert!(!matches(&wanted, None));
        assert!(matches(&SubscriptionData::tags("T", "*", 0).unwrap(), None));
    }
}
