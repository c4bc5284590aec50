//! Consumption in any order: many messages of a queue are handled at once.
//!
//! Java counterpart: `ConsumeMessageConcurrentlyService`.

use std::sync::Arc;
use std::time::Duration;

use tracing::{Instrument, Span};

use super::listener::{self, ConsumeResult, MessageListenerConcurrently};
use super::{Work, work};
use crate::consumer::stats::Event;
use crate::consumer::{Assigned, Consumer, Sink};
use crate::message::MessageExt;
use crate::message_ids::{as_millis, now_ms};
use crate::spans;
use crate::trace::{self, ConsumeReturnType};

/// Delay level of a message whose handler ran for too long.
const EXPIRED_DELAY_LEVEL: i32 = 3;
/// Pause before a message that could not be given back to the broker is handled here again.
const LOCAL_RETRY_PAUSE: Duration = Duration::from_secs(5);

/// Puts the messages with these offsets to work, in runs of the handler's batch size.
pub(crate) fn submit(consumer: &Arc<Consumer>, assigned: &Arc<Assigned>, offsets: &[i64]) {
    let runs = offsets.chunks(consumer.settings.consume_message_batch_max_size);
    work(consumer, runs.map(|run| Work { assigned: Arc::clone(assigned), offsets: run.to_vec() }));
}

/// How many messages from the front are done, and the delay level of the others.
fn split(answer: &ConsumeResult, messages: usize) -> (usize, i32) {
    match answer {
        ConsumeResult::Success => (messages, 0),
        ConsumeResult::SuccessOf(done) => ((*done).min(messages), 0),
        ConsumeResult::SuccessOfThenLevel { done, level } => ((*done).min(messages), *level),
        ConsumeResult::ReconsumeLater | ConsumeResult::Failed(_) => (0, 0),
        ConsumeResult::ReconsumeAfterLevel(level) => (0, *level),
    }
}

/// Has the listener consume the messages with these offsets, and deals with its answer.
pub(super) async fn handle(
    consumer: &Arc<Consumer>,
    listener: &dyn MessageListenerConcurrently,
    assigned: &Arc<Assigned>,
    offsets: &[i64],
) {
    let started = now_ms();
    let mut messages = assigned.process().start(offsets, started);
    if messages.is_empty() {
        return;
    }
    let handled: Vec<i64> = messages.iter().map(|message| message.queue_offset).collect();
    consumer.calls.client.unwrap_topics(&mut messages);
    let handed = Handed::new(consumer, &messages, started);
    let answer = listener::concurrently(listener, messages).instrument(handed.span.clone()).await;
    answered(consumer, assigned, &handled, answer, handed).await;
}

/// Messages were handed out.
pub(super) struct Handed {
    started_ms: i64,
    traced: Option<trace::Consuming>,
    /// What a subscriber sees of it.
    pub(super) span: Span,
}

impl Handed {
    pub(super) fn new(consumer: &Consumer, messages: &[MessageExt], started_ms: i64) -> Self {
        let (client, group) = (&consumer.calls.client, &consumer.calls.group);
        let traced = trace::consume_before(client, group, messages);
        Self { started_ms, traced, span: spans::consume(client, group, messages) }
    }

    /// Counts and traces the answer.
    pub(super) fn note(
        self,
        consumer: &Consumer,
        assigned: &Assigned,
        answer: ConsumeReturnType,
        ok: usize,
        failed: usize,
    ) {
        let ms = (now_ms() - self.started_ms).max(0) as u64;
        let success = answer == ConsumeReturnType::Success;
        let late = u128::from(ms) >= consumer.settings.consume_timeout.as_millis();
        let how = match answer {
            ConsumeReturnType::Exception => answer,
            _ if late => ConsumeReturnType::TimeOut,
            _ => answer,
        };
        spans::consumed(&self.span, how);
        trace::consume_after(&consumer.calls.client, self.traced, success, how);
        let event = Event::Handled { ms, ok: ok as u64, failed: failed as u64 };
        consumer.count(&assigned.queue().topic, event);
    }
}

/// Deals with the answer to messages that were handed out.
pub(super) async fn answered(
    consumer: &Arc<Consumer>,
    assigned: &Arc<Assigned>,
    handled: &[i64],
    answer: ConsumeResult,
    handed: Handed,
) {
    let how = match &answer {
        ConsumeResult::Success | ConsumeResult::SuccessOf(_) | ConsumeResult::SuccessOfThenLevel { .. } => {
            ConsumeReturnType::Success
        }
        ConsumeResult::ReconsumeLater | ConsumeResult::ReconsumeAfterLevel(_) => ConsumeReturnType::Failed,
        ConsumeResult::Failed(reason) => {
            log_failure(consumer, assigned, reason);
            ConsumeReturnType::Exception
        }
    };
    let (done, level) = split(&answer, handled.len());
    handed.note(consumer, assigned, how, done, handled.len() - done);
    settle(consumer, assigned, handled, done, level).await;
    assigned.handled.notify_waiters();
}

/// Messages that were handed out are done.
pub(super) fn done(consumer: &Consumer, assigned: &Assigned, handled: &[i64], handed: Handed) {
    handed.note(consumer, assigned, ConsumeReturnType::Success, handled.len(), 0);
    commit(consumer, assigned, handled.iter().copied());
    assigned.handled.notify_waiters();
}

/// Takes settled messages out and moves the offset.
fn commit(consumer: &Consumer, assigned: &Assigned, settled: impl IntoIterator<Item = i64>) {
    let offset = assigned.process().remove(settled, now_ms());
    if let Some(offset) = offset {
        // Void if the queue was revoked meanwhile.
        consumer.offsets.table().advance(&assigned.hold, offset);
    }
}

pub(super) fn log_failure(consumer: &Consumer, assigned: &Assigned, reason: &str) {
    tracing::warn!(group = %consumer.calls.group, queue = %assigned.queue(), reason, "the listener failed");
}

/// Takes the first `done` messages out, gives the others back to the broker, and commits.
async fn settle(
    consumer: &Arc<Consumer>,
    assigned: &Arc<Assigned>,
    handled: &[i64],
    done: usize,
    level: i32,
) {
    let (done, failed) = handled.split_at(done.min(handled.len()));
    let mut settled = done.to_vec();
    let mut again = Vec::new();
    if !consumer.is_clustering() {
        // Nobody else waits for these messages: broadcasting tries once.
        settled.extend(failed);
    } else {
        for offset in failed {
            let message = {
                let process = assigned.process();
                // Whoever gets the queue next gets these messages, too.
                if process.is_dropped() {
                    return;
                }
                process.get(*offset).cloned()
            };
            // One that is gone ran for too long and was given back already.
            let Some(message) = message else { continue };
            match consumer.calls.send_back(&message, level, consumer.reconsume_times_max()).await {
                Ok(()) => settled.push(*offset),
                Err(error) => {
                    tracing::warn!(group = %consumer.calls.group, message = %message.msg_id, %error, "the message is handled here again in {LOCAL_RETRY_PAUSE:?}");
                    assigned.process().try_again(*offset);
                    again.push(*offset);
                }
            }
        }
    }
    commit(consumer, assigned, settled);
    if !again.is_empty() {
        let (consumer, assigned) = (Arc::clone(consumer), Arc::clone(assigned));
        tokio::spawn(async move {
            tokio::select! {
                () = assigned.gone.raised() => {}
                () = tokio::time::sleep(LOCAL_RETRY_PAUSE) => {
                    if let Sink::Push(pushed) = &consumer.sink {
                        pushed.submit(&consumer, &assigned, &again, false);
                    }
                }
            }
        });
    }
}

/// Gives messages back whose handlers run for too long, so that others can try them.
pub(crate) async fn expire(consumer: &Consumer) {
    let timeout_ms = as_millis(consumer.settings.consume_timeout);
    let queues: Vec<Arc<Assigned>> = consumer.queues().values().cloned().collect();
    for assigned in queues {
        let stuck: Vec<MessageExt> = assigned.process().expired(timeout_ms, now_ms());
        for message in stuck {
            let level = EXPIRED_DELAY_LEVEL;
            if let Err(error) =
                consumer.calls.send_back(&message, level, consumer.reconsume_times_max()).await
            {
                tracing::warn!(group = %consumer.calls.group, message = %message.msg_id, %error, "a stuck message cannot be given back");
                break;
            }
            tracing::info!(group = %consumer.calls.group, message = %message.msg_id, "a message whose handler is stuck was given back");
            commit(consumer, &assigned, [message.queue_offset]);
        }
        assigned.handled.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A partial success counts from the front and never beyond the batch.
    #[test]
    fn answers_split_the_batch() {
        assert_eq!(split(&ConsumeResult::Success, 3), (3, 0));
        assert_eq!(split(&ConsumeResult::SuccessOf(2), 3), (2, 0));
        assert_eq!(split(&ConsumeResult::SuccessOf(9), 3), (3, 0));
        assert_eq!(split(&ConsumeResult::SuccessOfThenLevel { done: 1, level: 5 }, 3), (1, 5));
        assert_eq!(split(&ConsumeResult::ReconsumeLater, 3), (0, 0));
        assert_eq!(split(&ConsumeResult::ReconsumeAfterLevel(-1), 3), (0, -1));
    }
}
