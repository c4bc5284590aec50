//! The consumer as the client core and, through it, brokers and administrators see it.
//!
//! Java counterpart: the `MQConsumerInner` part of `DefaultMQPushConsumerImpl`.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use ferrocket_protocol::Text;
use ferrocket_protocol::body::group::{
    CMResult, ConsumeMessageDirectlyResult, ConsumerRunningInfo, ProcessQueueInfo, running_info,
};
use ferrocket_protocol::body::heartbeat::ConsumerData;
use ferrocket_protocol::body::message_queue::MessageQueue;
use tracing::Instrument;

use super::pull::restore_topic;
use super::rebalance::Command;
use super::{Assigned, Consumer, ConsumerHandle, Sink};
use crate::message::MessageExt;
use crate::message_ids::now_ms;
use crate::push_consumer::{ConsumeOrderlyResult, ConsumeResult, Listener, concurrently, orderly_answer};
use crate::spans;

/// The consumer in the client's list.
pub(crate) struct Registered(pub(crate) Arc<Consumer>);

#[async_trait]
impl ConsumerHandle for Registered {
    fn group(&self) -> &Text {
        &self.0.calls.group
    }

    fn consumer_data(&self) -> ConsumerData {
        let by_hand = self.0.by_hand().is_some();
        let subscriptions = self.0.subscriptions();
        // Java: who chose queues subscribes to nothing.
        let announced = subscriptions.values().filter(|_| !by_hand).map(|known| known.data.clone());
        ConsumerData {
            consume_from_where: self.0.settings.consume_from_where,
            consume_type: self.0.consume_type(),
            group_name: self.0.calls.group.to_string(),
            message_model: self.0.settings.message_model,
            subscription_data_set: announced.collect(),
            unit_mode: self.0.calls.client.config().unit_mode,
        }
    }

    fn topics(&self) -> Vec<Text> {
        let mut topics = self.0.topics();
        if let Sink::Poll(polls) = &self.0.sink {
            topics.extend(polls.watched_topics());
        }
        topics.into_iter().collect()
    }

    fn route_changed(&self, topic: &Text) {
        // The keeper reads the queues from the client's table; it only has to look sooner.
        if self.topics().contains(topic) {
            self.0.wake.notify_one();
        }
    }

    fn consumer_ids_changed(&self) {
        self.0.wake.notify_one();
    }

    fn reset_offset(&self, topic: &Text, offsets: Vec<(MessageQueue, i64)>) {
        // On the connection's task, which never waits: a keeper that far behind gets no more.
        if let Err(error) = self.0.commands.try_send(Command::Reset { topic: topic.clone(), offsets }) {
            tracing::warn!(group = %self.0.calls.group, %topic, %error, "the consumer is too busy for a reset of offsets");
        }
    }

    fn consumer_status(&self, topic: &str) -> Vec<(MessageQueue, i64)> {
        let mut pending = self.0.offsets.table().pending();
        pending.retain(|(queue, _)| *queue.topic == *topic);
        pending
    }

    fn running_info(&self) -> ConsumerRunningInfo {
        let consumer = &self.0;
        let settings = &consumer.settings;
        let queues: Vec<Arc<Assigned>> = consumer.queues().values().cloned().collect();
        let queue_info = |assigned: &Arc<Assigned>| {
            let commit_offset = consumer.offsets.table().get(assigned.queue()).unwrap_or(-1);
            let info = ProcessQueueInfo { commit_offset, ..assigned.process().info() };
            (assigned.queue().clone(), info)
        };
        let mq_table = queues.iter().map(queue_info).collect();
        let subscriptions: Vec<_> =
            consumer.subscriptions().values().map(|known| known.data.clone()).collect();
        let status_table = {
            let stats = consumer.stats.lock().unwrap_or_else(PoisonError::into_inner);
            let topics = subscriptions.iter().map(|data| data.topic.clone());
            topics.map(|topic| (topic.clone(), stats.rates(&topic, now_ms()))).collect()
        };
        let concurrency = match &consumer.sink {
            Sink::Push(pushed) => pushed.concurrency(),
            Sink::Poll(_) => 0,
        };
        let property = |name: &str, value: &dyn ToString| (name.to_owned(), value.to_string());
        let properties = BTreeMap::from([
            property(running_info::CONSUME_ORDERLY, &consumer.is_orderly()),
            property(running_info::THREADPOOL_CORE_SIZE, &concurrency),
            property(running_info::CONSUMER_START_TIMESTAMP, &consumer.started_ms),
            property(running_info::CONSUME_TYPE, &consumer.consume_type().name()),
            property("consumerGroup", &consumer.calls.group),
            property("messageModel", &settings.message_model.name()),
            property("consumeFromWhere", &settings.consume_from_where.name()),
            property("consumeThreadMin", &concurrency),
            property("consumeThreadMax", &concurrency),
            property("pullBatchSize", &settings.pull_batch_size),
            property("consumeMessageBatchMaxSize", &settings.consume_message_batch_max_size),
            property("pullThresholdForQueue", &settings.pull_threshold_for_queue),
            property("pullThresholdSizeForQueue", &settings.pull_threshold_size_for_queue),
            property("consumeConcurrentlyMaxSpan", &settings.consume_max_span),
            property("maxReconsumeTimes", &settings.max_reconsume_times.unwrap_or(-1)),
        ]);
        ConsumerRunningInfo {
            mq_table,
            properties,
            status_table,
            subscription_set: subscriptions,
            ..ConsumerRunningInfo::default()
        }
    }

    fn has_listener(&self) -> bool {
        matches!(self.0.sink, Sink::Push(_))
    }

    async fn consume_directly(&self, message: MessageExt) -> ConsumeMessageDirectlyResult {
        consume_directly(&self.0, message).await
    }

    async fn shutdown(&self) {
        self.0.shutdown().await;
    }
}

async fn consume_directly(consumer: &Consumer, mut message: MessageExt) -> ConsumeMessageDirectlyResult {
    if message.topic == consumer.calls.retry_topic() {
        restore_topic(&mut message);
    }
    consumer.calls.client.unwrap_topics(std::slice::from_mut(&mut message));
    let begin = now_ms();
    let (client, group) = (&consumer.calls.client, &consumer.calls.group);
    let span = spans::consume(client, group, std::slice::from_ref(&message));
    let listener = match &consumer.sink {
        Sink::Push(pushed) => Some(&pushed.listener),
        Sink::Poll(_) => None,
    };
    let told = |answer: ConsumeResult| match answer {
        ConsumeResult::Success
        | ConsumeResult::SuccessOf(1..)
        | ConsumeResult::SuccessOfThenLevel { done: 1.., .. } => (CMResult::Success, None),
        ConsumeResult::SuccessOf(_)
        | ConsumeResult::SuccessOfThenLevel { .. }
        | ConsumeResult::ReconsumeLater
        | ConsumeResult::ReconsumeAfterLevel(_) => (CMResult::Later, None),
        ConsumeResult::Failed(reason) => (CMResult::ThrowException, Some(reason)),
    };
    let answer = async {
        match listener {
            None => (CMResult::ReturnNull, None),
            Some(Listener::Concurrently(listener)) => told(concurrently(&**listener, vec![message]).await),
            Some(Listener::Deliveries(inbox)) => told(inbox.direct(message).await),
            Some(Listener::Orderly(listener)) => match orderly_answer(&**listener, vec![message]).await {
                ConsumeOrderlyResult::Success => (CMResult::Success, None),
                ConsumeOrderlyResult::Commit => (CMResult::Commit, None),
                ConsumeOrderlyResult::Rollback => (CMResult::Rollback, None),
                ConsumeOrderlyResult::SuspendCurrentQueueAMoment
                | ConsumeOrderlyResult::SuspendCurrentQueueFor(_) => (CMResult::Later, None),
                ConsumeOrderlyResult::Failed(reason) => (CMResult::ThrowException, Some(reason)),
            },
        }
    };
    let (consume_result, remark) = answer.instrument(span).await;
    ConsumeMessageDirectlyResult {
        auto_commit: consumer.settings.auto_commit,
        consume_result,
        order: consumer.is_orderly(),
        remark,
        spent_time_mills: now_ms() - begin,
    }
}
