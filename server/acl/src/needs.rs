//! What a request does, in terms of rights.
//!
//! The permission column of the request table says which right a code needs; here its topic and group are
//! found. What is not listed here needs an administrator: a code that nobody thought of is closed to all
//! others. Java counterpart: `PlainAccessValidator.parse`, which lists nine codes and five admin codes and
//! leaves all others open to every account.

use ferrocket_protocol::body::group::CheckClientRequestBody;
use ferrocket_protocol::body::heartbeat::HeartbeatData;
use ferrocket_protocol::body::lock::LockBatchRequestBody;
use ferrocket_protocol::requests::Permission;
use ferrocket_protocol::requests::client::{GetConsumerListByGroupHeader, UnregisterClientHeader};
use ferrocket_protocol::requests::offset::{
    GetEarliestMsgStoretimeHeader, GetMaxOffsetHeader, GetMinOffsetHeader, QueryConsumerOffsetHeader,
    SearchOffsetHeader, UpdateConsumerOffsetHeader,
};
use ferrocket_protocol::requests::pull::PullMessageHeader;
use ferrocket_protocol::requests::query::QueryMessageHeader;
use ferrocket_protocol::requests::send::{ConsumerSendMsgBackHeader, SendMessageHeader};
use ferrocket_protocol::requests::transaction::EndTransactionHeader;
use ferrocket_protocol::{Header, RemotingCommand, RequestCode, fastjson};
use serde::de::DeserializeOwned;

use crate::account::{RETRY_PREFIX, Right};

/// What a request needs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// To be an account that may administer.
    Admin,
    /// All of these rights, or none beyond being an account.
    Rights(Vec<(String, Right)>),
}

/// What this request needs; the error says what in it cannot be read.
///
/// It reads the fields that the handler reads, in the same way: there is no second opinion about the topic.
pub(crate) fn of(request: &RemotingCommand) -> Result<Needs, String> {
    use RequestCode as Code;
    let Some(code) = request.request_code() else { return Ok(Needs::Admin) };
    let rights = match code {
        Code::SendMessage | Code::SendReplyMessage => send(header(request)?),
        Code::SendMessageV2 | Code::SendBatchMessage | Code::SendReplyMessageV2 => {
            send(SendMessageHeader::decode_v2(&request.ext_fields).map_err(|error| error.to_string())?)
        }
        Code::EndTransaction => {
            // 4.9 names no topic; the handler asks for the one that the half message goes to.
            let EndTransactionHeader { topic, .. } = header(request)?;
            topic.iter().map(|topic| (topic.to_string(), Right::Pub)).collect()
        }
        Code::ConsumerSendMsgBack => {
            let ConsumerSendMsgBackHeader { group: name, .. } = header(request)?;
            vec![group(&name)]
        }
        Code::PullMessage | Code::LitePullMessage => {
            let PullMessageHeader { topic: name, consumer_group, .. } = header(request)?;
            vec![topic(&name), group(&consumer_group)]
        }
        Code::QueryConsumerOffset => {
            let QueryConsumerOffsetHeader { topic: name, consumer_group, .. } = header(request)?;
            vec![topic(&name), group(&consumer_group)]
        }
        Code::UpdateConsumerOffset => {
            let UpdateConsumerOffsetHeader { topic: name, consumer_group, .. } = header(request)?;
            vec![topic(&name), group(&consumer_group)]
        }
        Code::QueryMessage => vec![topic(&header::<QueryMessageHeader>(request)?.topic)],
        Code::SearchOffsetByTimestamp => vec![topic(&header::<SearchOffsetHeader>(request)?.topic)],
        Code::GetMaxOffset => vec![topic(&header::<GetMaxOffsetHeader>(request)?.topic)],
        Code::GetMinOffset => vec![topic(&header::<GetMinOffsetHeader>(request)?.topic)],
        Code::GetEarliestMsgStoretime => {
            vec![topic(&header::<GetEarliestMsgStoretimeHeader>(request)?.topic)]
        }
        // Its topic is known when it has been read: the handler asks then.
        Code::ViewMessageById => Vec::new(),
        Code::LockBatchMq | Code::UnlockBatchMq => {
            let LockBatchRequestBody { consumer_group, mq_set, .. } = body(request)?;
            let queues = mq_set.iter().map(|queue| topic(&queue.topic));
            queues.chain([group(&consumer_group)]).collect()
        }
        Code::HeartBeat => heart_beat(&body(request)?),
        Code::UnregisterClient => {
            let UnregisterClientHeader { consumer_group, .. } = header(request)?;
            consumer_group.iter().filter(|name| !name.is_empty()).map(|name| group(name)).collect()
        }
        Code::GetConsumerListByGroup => {
            vec![group(&header::<GetConsumerListByGroupHeader>(request)?.consumer_group)]
        }
        Code::CheckClientConfig => {
            let CheckClientRequestBody { group: name, subscription_data, .. } = body(request)?;
            let topics = subscription_data.iter().map(|data| topic(&data.topic));
            topics.chain([group(&name)]).collect()
        }
        _ if code.permission() == Permission::Route => Vec::new(),
        _ => return Ok(Needs::Admin),
    };
    Ok(Needs::Rights(rights))
}

fn topic(name: &str) -> (String, Right) {
    (name.to_owned(), Right::Sub)
}

fn group(name: &str) -> (String, Right) {
    (format!("{RETRY_PREFIX}{name}"), Right::Sub)
}

/// A message to a retry topic is one that a consumer gives back. Java judges such a send by the field
/// `group`, which a producer may write as it likes; here it is the group of the topic.
pub(crate) fn right_to_send(topic: &str) -> Right {
    if topic.starts_with(RETRY_PREFIX) { Right::Sub } else { Right::Pub }
}

fn send(SendMessageHeader { topic, .. }: SendMessageHeader) -> Vec<(String, Right)> {
    vec![(topic.to_string(), right_to_send(&topic))]
}

fn heart_beat(data: &HeartbeatData) -> Vec<(String, Right)> {
    let consumers = data.consumer_data_set.iter();
    consumers
        .flat_map(|consumer| {
            let topics = consumer.subscription_data_set.iter().map(|data| topic(&data.topic));
            topics.chain([group(&consumer.group_name)])
        })
        .collect()
}

fn header<H: Header>(request: &RemotingCommand) -> Result<H, String> {
    H::decode(&request.ext_fields).map_err(|error| error.to_string())
}

fn body<T: DeserializeOwned>(request: &RemotingCommand) -> Result<T, String> {
    fastjson::from_slice(&request.body).map_err(|error| format!("the body does not read: {error}"))
}
