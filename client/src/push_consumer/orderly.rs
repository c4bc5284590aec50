//! Consumption in order: of each queue one run of messages at a time, in one place of the cluster.
//!
//! The broker's lock on the queue keeps other consumers out, the process queue keeps a second run out.
//! Java counterpart: `ConsumeMessageOrderlyService`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument;

use super::concurrent::{Handed, log_failure};
use super::listener::{self, ConsumeOrderlyResult, MessageListenerOrderly};
use super::{Work, work};
use crate::consumer::{Assigned, Consumer};
use crate::message::MessageExt;
use crate::message_ids::now_ms;
use crate::trace::ConsumeReturnType;

/// How long one queue may keep a worker.
const CONTINUOUS_MAX_MS: i64 = 60_000;
/// Shortest and longest pause of a queue.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Before the lock is asked for again.
const RELOCK_PAUSE: Duration = Duration::from_millis(100);
/// After the lock was refused.
const REFUSED_PAUSE: Duration = Duration::from_secs(3);

/// Puts a queue to work; the caller has made sure that it is not at work already.
pub(crate) fn submit(consumer: &Arc<Consumer>, assigned: &Arc<Assigned>) {
    work(consumer, [Work { assigned: Arc::clone(assigned), offsets: Vec::new() }]);
}

fn submit_later(consumer: &Arc<Consumer>, assigned: &Arc<Assigned>, pause: Duration) {
    let (consumer, assigned) = (Arc::clone(consumer), Arc::clone(assigned));
    let pause = pause.clamp(PAUSE_MIN, PAUSE_MAX);
    tokio::spawn(async move {
        tokio::select! {
            () = assigned.gone.raised() => {}
            () = tokio::time::sleep(pause) => submit(&consumer, &assigned),
        }
    });
}

/// Asks for the broker's lock again, then goes on.
fn relock(consumer: &Arc<Consumer>, assigned: &Arc<Assigned>) {
    let (consumer, assigned) = (Arc::clone(consumer), Arc::clone(assigned));
    tokio::spawn(async move {
        let lock = async {
            tokio::time::sleep(RELOCK_PAUSE).await;
            let queues = BTreeSet::from([assigned.queue().clone()]);
            matches!(consumer.calls.lock(queues).await, Ok(locked) if locked.contains(assigned.queue()))
        };
        tokio::select! {
            () = assigned.gone.raised() => {}
            locked = lock => {
                if locked {
                    assigned.process().lock(now_ms());
                }
                submit_later(&consumer, &assigned, if locked { PAUSE_MIN } else { REFUSED_PAUSE });
            }
        }
    });
}

/// Has the listener consume what the queue holds, run after run, and deals with its answers.
pub(super) async fn run(
    consumer: &Arc<Consumer>,
    listener: &dyn MessageListenerOrderly,
    assigned: &Arc<Assigned>,
) {
    let begin = now_ms();
    loop {
        let now = now_ms();
        if assigned.gone.is_raised() {
            return;
        }
        if consumer.is_locking() && !assigned.process().is_locked(now) {
            relock(consumer, assigned);
            return;
        }
        if now - begin > CONTINUOUS_MAX_MS {
            submit_later(consumer, assigned, PAUSE_MIN);
            return;
        }
        let messages = assigned.process().take(consumer.settings.consume_message_batch_max_size, now);
        if messages.is_empty() {
            return;
        }
        let handed = Handed::new(consumer, &messages, now);
        let mut copies = messages.clone();
        consumer.calls.client.unwrap_topics(&mut copies);
        let answer = listener::orderly(listener, copies).instrument(handed.span.clone()).await;
        let pause = settle(consumer, assigned, messages, answer, handed).await;
        assigned.process().end_handling();
        assigned.handled.notify_waiters();
        if let Some(pause) = pause {
            submit_later(consumer, assigned, pause);
            return;
        }
    }
}

/// What an answer does to the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Commit,
    Keep,
    Rollback,
    TryAgain(Option<Duration>),
}

fn effect(answer: &ConsumeOrderlyResult, auto_commit: bool) -> Effect {
    match answer {
        ConsumeOrderlyResult::SuspendCurrentQueueAMoment | ConsumeOrderlyResult::Failed(_) => {
            Effect::TryAgain(None)
        }
        ConsumeOrderlyResult::SuspendCurrentQueueFor(pause) => Effect::TryAgain(Some(*pause)),
        _ if auto_commit => Effect::Commit,
        ConsumeOrderlyResult::Success => Effect::Keep,
        ConsumeOrderlyResult::Commit => Effect::Commit,
        ConsumeOrderlyResult::Rollback => Effect::Rollback,
    }
}

/// Deals with the answer to messages that were handed out. The queue goes on after the pause that is returned, or at once.
async fn settle(
    consumer: &Arc<Consumer>,
    assigned: &Arc<Assigned>,
    messages: Vec<MessageExt>,
    answer: ConsumeOrderlyResult,
    handed: Handed,
) -> Option<Duration> {
    let how = match &answer {
        ConsumeOrderlyResult::Success | ConsumeOrderlyResult::Commit => ConsumeReturnType::Success,
        ConsumeOrderlyResult::Failed(reason) => {
            log_failure(consumer, assigned, reason);
            ConsumeReturnType::Exception
        }
        _ => ConsumeReturnType::Failed,
    };
    let effect = effect(&answer, consumer.settings.auto_commit);
    let failed = matches!(effect, Effect::TryAgain(_) | Effect::Rollback);
    let (ok, failed) = if failed { (0, messages.len()) } else { (messages.len(), 0) };
    handed.note(consumer, assigned, how, ok, failed);
    let usual_pause = consumer.settings.suspend_current_queue_time;
    match effect {
        Effect::Keep => None,
        Effect::Commit => {
            commit(consumer, assigned);
            None
        }
        Effect::Rollback => {
            assigned.process().rollback();
            Some(usual_pause)
        }
        Effect::TryAgain(pause) => {
            let again = tries_left(consumer, messages).await;
            if again.is_empty() {
                if consumer.settings.auto_commit {
                    commit(consumer, assigned);
                }
                return None;
            }
            assigned.process().put_back(again);
            Some(pause.unwrap_or(usual_pause))
        }
    }
}

fn commit(consumer: &Consumer, assigned: &Assigned) {
    let offset = assigned.process().commit();
    if let Some(offset) = offset {
        // The run ended before the queue was revoked, or this is void.
        consumer.offsets.table().set(&assigned.hold, offset);
    }
}

/// The messages that are to be tried again here; those out of attempts become dead letters.
async fn tries_left(consumer: &Consumer, messages: Vec<MessageExt>) -> Vec<MessageExt> {
    let mut again = Vec::new();
    // Java: without a limit an orderly message is tried for ever.
    let limit = consumer.settings.max_reconsume_times.unwrap_or(i32::MAX);
    for mut message in messages {
        if message.reconsume_times >= limit && consumer.is_clustering() {
            match consumer.calls.send_to_retry(&message, message.reconsume_times, limit).await {
                Ok(()) => continue,
                Err(error) => {
                    tracing::warn!(group = %consumer.calls.group, message = %message.msg_id, %error, "the message is out of attempts and cannot be given back");
                }
            }
        }
        message.reconsume_times = message.reconsume_times.saturating_add(1);
        again.push(message);
    }
    again
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With automatic commits only a suspension does not commit; without, success waits for a commit.
    #[test]
    fn answers_as_in_java() {
        use ConsumeOrderlyResult::{Commit, Rollback, Success, SuspendCurrentQueueAMoment};
        for answer in [Success, Commit, Rollback] {
            assert_eq!(effect(&answer, true), Effect::Commit);
        }
        assert_eq!(effect(&Success, false), Effect::Keep);
        assert_eq!(effect(&Commit, false), Effect::Commit);
        assert_eq!(effect(&Rollback, false), Effect::Rollback);
        for auto_commit in [true, false] {
            assert_eq!(effect(&SuspendCurrentQueueAMoment, auto_commit), Effect::TryAgain(None));
        }
    }
}
