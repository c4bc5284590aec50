//! What a consumer asks of brokers. One function per request; none keeps state.
//!
//! Java counterparts: the consumer's part of `MQClientAPIImpl`, `PullAPIWrapper`, `MQAdminImpl`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ferrocket_protocol::body::group::{CheckClientRequestBody, ConsumerListBody};
use ferrocket_protocol::body::heartbeat::SubscriptionData;
use ferrocket_protocol::body::lock::{LockBatchRequestBody, LockBatchResponseBody, UnlockBatchRequestBody};
use ferrocket_protocol::body::message_queue::MessageQueue;
use ferrocket_protocol::properties::names;
use ferrocket_protocol::requests::Empty;
use ferrocket_protocol::requests::client::GetConsumerListByGroupHeader;
use ferrocket_protocol::requests::offset::{
    GetMaxOffsetHeader, GetMaxOffsetReply, GetMinOffsetHeader, GetMinOffsetReply, QueryConsumerOffsetHeader,
    QueryConsumerOffsetReply, SearchOffsetHeader, SearchOffsetReply, UpdateConsumerOffsetHeader,
};
use ferrocket_protocol::requests::pull::{PullMessageHeader, PullMessageReply};
use ferrocket_protocol::requests::send::{ConsumerSendMsgBackHeader, SendMessageHeader};
use ferrocket_protocol::{Header, RequestCode, ResponseCode, Text, fastjson};
use tracing::Instrument;

use crate::client::{Client, Template, read_body};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Message, MessageExt, RETRY_TOPIC_PREFIX};
use crate::message_ids::{as_millis, now_ms};
use crate::route::{BrokerAddr, MASTER_ID};
use crate::spans;

const LOCK_TIMEOUT: Duration = Duration::from_secs(1);
const SEND_BACK_TIMEOUT: Duration = Duration::from_secs(5);
/// Attempts to send a message to the retry topic.
const SEND_ATTEMPTS: usize = 3;
/// The group under which a client sends on its own behalf (`MixAll.CLIENT_INNER_PRODUCER_GROUP`).
const INNER_PRODUCER_GROUP: &str = "CLIENT_INNER_PRODUCER";

/// Bits of a pull's system flag (`PullSysFlag`).
mod pull_flag {
    /// The request carries an offset to commit.
    pub(super) const COMMIT_OFFSET: i32 = 1;
    /// The broker may hold the request.
    pub(super) const SUSPEND: i32 = 2;
    /// The request carries the expression.
    pub(super) const SUBSCRIPTION: i32 = 4;
    /// The request has the number of its own that lite pulls have.
    pub(super) const LITE_PULL: i32 = 16;
}

/// The consumer group's side of a client.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    pub(crate) client: Client,
    pub(crate) group: Text,
    /// A broker does not know `LITE_PULL_MESSAGE`.
    lite_unknown: Arc<AtomicBool>,
}

/// What to pull.
#[derive(Clone, Debug)]
pub(crate) struct Pull<'a> {
    pub(crate) queue: &'a MessageQueue,
    pub(crate) offset: i64,
    pub(crate) count_max: i32,
    /// The broker that the last answer suggested.
    pub(crate) broker_id: i64,
    /// The offset to commit on the way.
    pub(crate) commit: Option<i64>,
    /// The expression, if it is to travel along.
    pub(crate) expression: Option<Text>,
    pub(crate) expression_type: Text,
    pub(crate) sub_version: i64,
    /// How long the broker may hold the request when there is nothing.
    pub(crate) suspend: Option<Duration>,
    /// How long the answer is waited for.
    pub(crate) timeout: Duration,
    /// For a lite pull consumer: flagged so, as Java's 4.9 does, and asked as `LITE_PULL_MESSAGE` (361) of brokers
    /// that know it, as Java's 5 does: they may have threads of their own for it.
    pub(crate) lite: bool,
}

/// What a pull found. Java: `PullStatus`.
///
/// ```
/// use ferrocket::{PullResult, PullStatus};
///
/// /// Whether there may be more at once.
/// fn goes_on(pulled: &PullResult) -> bool {
///     match pulled.status {
///         PullStatus::Found | PullStatus::NoMatchedMsg | PullStatus::OffsetIllegal => true,
///         PullStatus::NoNewMsg => false,
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullStatus {
    /// Messages, of which the client may still leave some out that do not match.
    Found,
    /// The queue has no more messages.
    NoNewMsg,
    /// There were messages, none of which matches.
    NoMatchedMsg,
    /// The queue does not have the offset; the answer says where to go on.
    OffsetIllegal,
}

/// The answer to a pull.
#[derive(Clone, Debug)]
pub(crate) struct Pulled {
    pub(crate) status: PullStatus,
    pub(crate) reply: PullMessageReply,
    pub(crate) body: Bytes,
}

impl Calls {
    pub(crate) fn new(client: Client, group: Text) -> Self {
        Self { client, group, lite_unknown: Arc::default() }
    }

    /// The topic of messages that the group has to consume again.
    pub(crate) fn retry_topic(&self) -> Text {
        format!("{RETRY_TOPIC_PREFIX}{}", self.group).into()
    }

    /// The broker of a queue with this id, or, unless `only_this`, whichever there is. NameServers are asked once
    /// more when none is known.
    async fn broker(&self, queue: &MessageQueue, id: i64, only_this: bool) -> Result<BrokerAddr> {
        if let Some(broker) = self.client.broker_addr(&queue.broker_name, id, only_this) {
            return Ok(broker);
        }
        self.client.fetch_route(&queue.topic, None).await?;
        let found = self.client.broker_addr(&queue.broker_name, id, only_this);
        found.ok_or_else(|| Error::no_broker(&queue.broker_name))
    }

    async fn ask<H: Header, R: Header>(&self, addr: &str, code: RequestCode, header: &H) -> Result<R> {
        let reply = self.client.call_ok(addr, self.client.request(code, header)).await?;
        R::decode(&reply.ext_fields).map_err(|error| Error::protocol(error, addr))
    }

    /// The ids of all consumers of the group (38).
    pub(crate) async fn consumer_ids(&self, topic: &Text) -> Result<Vec<String>> {
        let addr = match self.client.any_broker_of(topic) {
            Some(addr) => addr,
            None => {
                self.client.fetch_route(topic, None).await?;
                self.client.any_broker_of(topic).ok_or_else(|| {
                    Error::new(ErrorKind::NoBroker, format!("no broker of topic {topic} is known"))
                })?
            }
        };
        let header = GetConsumerListByGroupHeader { consumer_group: self.group.clone() };
        let request = self.client.request(RequestCode::GetConsumerListByGroup, &header);
        let reply = self.client.call_ok(&addr, request).await?;
        let body: ConsumerListBody = read_body(&reply, &addr)?;
        Ok(body.consumer_id_list)
    }

    /// Has a broker of the topic judge a condition (46), as Java does at the start: one that is wrong, or that the
    /// broker does not filter by, is an error. A broker that cannot be asked now refuses pulls later.
    pub(crate) async fn check_condition(&self, data: &SubscriptionData) -> Result<()> {
        let addr = self.client.any_broker_of(&data.topic).filter(|_| !data.is_tag_type());
        let Some(addr) = addr else { return Ok(()) };
        let body = CheckClientRequestBody {
            client_id: self.client.client_id().to_owned(),
            group: self.group.to_string(),
            subscription_data: Some(data.clone()),
        };
        let request =
            self.client.request(RequestCode::CheckClientConfig, &Empty).with_body(fastjson::to_vec(&body));
        match self.client.call_ok(&addr, request).await {
            Err(error) if error.code().is_some() => {
                Err(error.with_context(format_args!("the condition of topic {}", data.topic)))
            }
            Err(error) => {
                tracing::warn!(group = %self.group, topic = data.topic, %error, "the condition cannot be checked");
                Ok(())
            }
            Ok(_) => Ok(()),
        }
    }

    /// Locks queues of one broker for this client; answers those that are locked now (41).
    pub(crate) async fn lock(&self, queues: BTreeSet<MessageQueue>) -> Result<BTreeSet<MessageQueue>> {
        let Some(first) = queues.first() else { return Ok(queues) };
        let addr = self.broker(first, MASTER_ID, true).await?.addr;
        let body = LockBatchRequestBody {
            client_id: self.client.client_id().to_owned(),
            consumer_group: self.group.to_string(),
            mq_set: queues,
        };
        let request =
            self.client.request(RequestCode::LockBatchMq, &Empty).with_body(fastjson::to_vec(&body));
        let reply = self.client.call_ok_within(&addr, request, LOCK_TIMEOUT).await?;
        let locked: LockBatchResponseBody = read_body(&reply, &addr)?;
        Ok(locked.lock_ok_mq_set)
    }

    /// Gives locks on queues of one broker back (42).
    pub(crate) async fn unlock(&self, queues: BTreeSet<MessageQueue>) -> Result<()> {
        let Some(first) = queues.first() else { return Ok(()) };
        let addr = self.broker(first, MASTER_ID, true).await?.addr;
        let body = UnlockBatchRequestBody {
            client_id: self.client.client_id().to_owned(),
            consumer_group: self.group.to_string(),
            mq_set: queues,
        };
        let request =
            self.client.request(RequestCode::UnlockBatchMq, &Empty).with_body(fastjson::to_vec(&body));
        self.client.call_ok_within(&addr, request, LOCK_TIMEOUT).await.map(drop)
    }

    /// The group's stored offset, if there is one (14).
    ///
    /// Java takes every error code for "none stored", so that a busy broker makes a group skip to the end of
    /// the queue. Here only the code that says so does.
    pub(crate) async fn query_offset(&self, queue: &MessageQueue) -> Result<Option<i64>> {
        let addr = self.broker(queue, MASTER_ID, false).await?.addr;
        let header = QueryConsumerOffsetHeader {
            consumer_group: self.group.clone(),
            topic: queue.topic.clone(),
            queue_id: queue.queue_id,
            set_zero_if_not_found: None,
        };
        match self.ask(&addr, RequestCode::QueryConsumerOffset, &header).await {
            Ok(QueryConsumerOffsetReply { offset }) => Ok(Some(offset).filter(|offset| *offset >= 0)),
            Err(error) if error.code() == Some(ResponseCode::QUERY_NOT_FOUND.0) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Stores the group's offset (15). Java does not wait: what it writes last may be carried out before what it
    /// wrote first, or not at all.
    pub(crate) async fn update_offset(&self, queue: &MessageQueue, offset: i64) -> Result<()> {
        let addr = self.broker(queue, MASTER_ID, false).await?.addr;
        let header = UpdateConsumerOffsetHeader {
            consumer_group: self.group.clone(),
            topic: queue.topic.clone(),
            queue_id: queue.queue_id,
            commit_offset: offset,
        };
        let request = self.client.request(RequestCode::UpdateConsumerOffset, &header);
        self.client.call_ok(&addr, request).await.map(drop)
    }

    /// The offset behind the queue's last message (30).
    pub(crate) async fn max_offset(&self, queue: &MessageQueue) -> Result<i64> {
        let addr = self.broker(queue, MASTER_ID, false).await?.addr;
        let header =
            GetMaxOffsetHeader { topic: queue.topic.clone(), queue_id: queue.queue_id, committed: None };
        let reply: GetMaxOffsetReply = self.ask(&addr, RequestCode::GetMaxOffset, &header).await?;
        Ok(reply.offset)
    }

    /// The offset of the first message stored at `timestamp` (ms since 1970) or later (29).
    pub(crate) async fn search_offset(&self, queue: &MessageQueue, timestamp: i64) -> Result<i64> {
        let addr = self.broker(queue, MASTER_ID, false).await?.addr;
        let header = SearchOffsetHeader {
            topic: queue.topic.clone(),
            queue_id: queue.queue_id,
            timestamp,
            boundary_type: None,
        };
        let reply: SearchOffsetReply = self.ask(&addr, RequestCode::SearchOffsetByTimestamp, &header).await?;
        Ok(reply.offset)
    }

    /// The offset of the queue's first message (31).
    pub(crate) async fn min_offset(&self, queue: &MessageQueue) -> Result<i64> {
        let addr = self.broker(queue, MASTER_ID, false).await?.addr;
        let header = GetMinOffsetHeader { topic: queue.topic.clone(), queue_id: queue.queue_id };
        let reply: GetMinOffsetReply = self.ask(&addr, RequestCode::GetMinOffset, &header).await?;
        Ok(reply.offset)
    }

    /// One pull (11 or 361).
    pub(crate) async fn pull(&self, pull: Pull<'_>) -> Result<Pulled> {
        let broker = self.broker(pull.queue, pull.broker_id, false).await?;
        let mut sys_flag = if pull.suspend.is_some() { pull_flag::SUSPEND } else { 0 };
        // A slave has no offsets to commit to.
        if pull.commit.is_some() && !broker.is_slave {
            sys_flag |= pull_flag::COMMIT_OFFSET;
        }
        if pull.expression.is_some() {
            sys_flag |= pull_flag::SUBSCRIPTION;
        }
        if pull.lite {
            sys_flag |= pull_flag::LITE_PULL;
        }
        let header = PullMessageHeader {
            consumer_group: self.group.clone(),
            topic: pull.queue.topic.clone(),
            queue_id: pull.queue.queue_id,
            queue_offset: pull.offset,
            max_msg_nums: pull.count_max,
            sys_flag,
            commit_offset: pull.commit.unwrap_or(0),
            suspend_timeout_millis: pull.suspend.map_or(0, as_millis),
            subscription: pull.expression,
            sub_version: pull.sub_version,
            expression_type: Some(pull.expression_type),
            ..PullMessageHeader::default()
        };
        let span = spans::pull(&self.client, &self.group, pull.queue, pull.offset, &broker.addr);
        let ask = |code| {
            let request = self.client.request(code, &header);
            self.client.call(&broker.addr, request, pull.timeout).instrument(span.clone())
        };
        let mut reply = None;
        if pull.lite && !self.lite_unknown.load(Ordering::Relaxed) {
            let lite = ask(RequestCode::LitePullMessage).await?;
            match lite.response_code() {
                // A broker of 4.9. Others of the cluster answer 11 as well.
                ResponseCode::REQUEST_CODE_NOT_SUPPORTED => self.lite_unknown.store(true, Ordering::Relaxed),
                _ => reply = Some(lite),
            }
        }
        let reply = match reply {
            Some(reply) => reply,
            None => ask(RequestCode::PullMessage).await?,
        };
        let status = match reply.response_code() {
            ResponseCode::SUCCESS => PullStatus::Found,
            ResponseCode::PULL_NOT_FOUND => PullStatus::NoNewMsg,
            ResponseCode::PULL_RETRY_IMMEDIATELY => PullStatus::NoMatchedMsg,
            ResponseCode::PULL_OFFSET_MOVED => PullStatus::OffsetIllegal,
            code => return Err(Error::broker(code, reply.remark.as_deref(), &broker.addr)),
        };
        spans::pulled(&span, status);
        let header = PullMessageReply::decode(&reply.ext_fields)
            .map_err(|error| Error::protocol(error, &broker.addr))?;
        Ok(Pulled { status, reply: header, body: reply.body })
    }

    /// Has the group consume a message again after `delay_level` (0: the broker chooses, -1: dead letter).
    ///
    /// Asks the message's broker (36); if that fails, the message itself is sent to the retry topic.
    pub(crate) async fn send_back(
        &self,
        message: &MessageExt,
        delay_level: i32,
        reconsume_times_max: i32,
    ) -> Result<()> {
        let Err(error) = self.send_back_by_offset(message, delay_level, reconsume_times_max).await else {
            return Ok(());
        };
        tracing::warn!(group = %self.group, message = %message.msg_id, %error, "the broker did not take the message back, it is sent anew");
        self.send_to_retry(message, message.reconsume_times + 1, reconsume_times_max).await
    }

    async fn send_back_by_offset(
        &self,
        message: &MessageExt,
        delay_level: i32,
        reconsume_times_max: i32,
    ) -> Result<()> {
        let addr = self.client.master_addr(&message.broker_name).ok_or_else(|| {
            Error::new(ErrorKind::NoBroker, format!("broker {} has no master", message.broker_name))
        })?;
        let header = ConsumerSendMsgBackHeader {
            offset: message.commit_log_offset,
            group: self.group.clone(),
            delay_level,
            origin_msg_id: Some(message.msg_id.clone()),
            origin_topic: Some(message.topic.clone()),
            unit_mode: Some(false),
            max_reconsume_times: Some(reconsume_times_max),
        };
        let request = self.client.request(RequestCode::ConsumerSendMsgBack, &header);
        self.client.call_ok_within(&addr, request, SEND_BACK_TIMEOUT).await.map(drop)
    }

    /// Sends a copy of a message to the group's retry topic; the broker delivers it after a delay that grows
    /// with the attempts, or moves it to the dead letters.
    pub(crate) async fn send_to_retry(
        &self,
        message: &MessageExt,
        reconsume_times: i32,
        reconsume_times_max: i32,
    ) -> Result<()> {
        let topic = self.retry_topic();
        let copy = retry_message(message, &topic);
        let template = Template::default();
        let mut failure = Error::new(ErrorKind::NoRoute, format!("no queue of {topic} can be written"));
        for _ in 0..SEND_ATTEMPTS {
            let route = self.client.publish_route(&topic, &template).await?;
            let queues = route.publish_queues();
            let turn = self.client.next_turn();
            let Some(queue) = turn.checked_rem(queues.len()).and_then(|at| queues.get(at)) else { break };
            let Some(addr) = self.client.master_addr(&queue.broker_name) else { continue };
            let header = SendMessageHeader {
                producer_group: INNER_PRODUCER_GROUP.into(),
                topic: topic.clone(),
                default_topic: template.topic.clone(),
                default_topic_queue_nums: template.queue_nums,
                queue_id: queue.queue_id,
                sys_flag: 0,
                born_timestamp: now_ms(),
                flag: copy.flag_value(),
                properties: Some(copy.properties_text()),
                reconsume_times: Some(reconsume_times),
                unit_mode: Some(false),
                batch: Some(false),
                max_reconsume_times: Some(reconsume_times_max),
            };
            let mut request = self.client.request(RequestCode::SendMessageV2, &Empty);
            header.encode_v2(&mut request.ext_fields);
            match self
                .client
                .call_ok_within(&addr, request.with_body(copy.body().clone()), SEND_BACK_TIMEOUT)
                .await
            {
                Ok(_) => return Ok(()),
                // Stored, if not as safely as set up: one copy is enough.
                Err(error) if error.code().is_some_and(|code| (10..=12).contains(&code)) => return Ok(()),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

/// The copy that goes to the retry topic.
fn retry_message(message: &MessageExt, retry_topic: &Text) -> Message {
    let mut copy = message.to_message(retry_topic.clone());
    if message.property(names::ORIGIN_MESSAGE_ID).is_none_or(|id| id.trim().is_empty()) {
        copy.set_property(names::ORIGIN_MESSAGE_ID, message.msg_id.clone());
    }
    copy.set_property(names::RETRY_TOPIC, message.topic.clone());
    copy.remove_property(names::TRANSACTION_PREPARED);
    // Java keeps the attempts in these two on the way to the header only.
    copy.remove_property(names::RECONSUME_TIME);
    copy.remove_property(names::MAX_RECONSUME_TIMES);
    copy.set_property(names::DELAY_TIME_LEVEL, (3 + message.reconsume_times).to_string());
    copy
}
