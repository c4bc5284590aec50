//! What brokers ask of this client, over the connections it dialled.
//!
//! Java counterpart: `ClientRemotingProcessor`. Requests that are not known are refused.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use ferrocket_protocol::body::group::running_info;
use ferrocket_protocol::body::message_queue::MessageQueue;
use ferrocket_protocol::body::offset::{GetConsumerStatusBody, ResetOffsetBody, ResetOffsetBodyForC};
use ferrocket_protocol::properties::names;
use ferrocket_protocol::requests::client::{
    ConsumeMessageDirectlyHeader, GetConsumerRunningInfoHeader, NotifyConsumerIdsChangedHeader,
};
use ferrocket_protocol::requests::offset::{GetConsumerStatusHeader, ResetOffsetHeader};
use ferrocket_protocol::requests::send::ReplyMessageHeader;
use ferrocket_protocol::requests::transaction::CheckTransactionStateHeader;
use ferrocket_protocol::{Header, RemotingCommand, RequestCode, ResponseCode, fastjson};
use ferrocket_remoting::{Connection, Handler};
use tokio::sync::Semaphore;

use crate::client::{Client, Shared};
use crate::events::Event;
use crate::message::MessageExt;
use crate::message_ids::now_ms;

/// Most messages that administrators have consumed directly at once; beyond it they are told to wait.
const DIRECT_MAX: usize = 16;
/// Java's name of the version that this client behaves as.
const CLIENT_VERSION: &str = "V4_9_8";

/// Takes requests in and hands them to the registered consumers.
pub(crate) struct Callbacks {
    client: Weak<Shared>,
    direct: Arc<Semaphore>,
}

/// A reply, or none because the request is oneway or answered later.
type Answer = Result<Option<RemotingCommand>, String>;

impl Callbacks {
    pub(crate) fn new(client: Weak<Shared>) -> Self {
        Self { client, direct: Arc::new(Semaphore::new(DIRECT_MAX)) }
    }

    fn answer(&self, client: &Client, connection: &Connection, request: &RemotingCommand) -> Answer {
        match request.request_code() {
            Some(RequestCode::CheckTransactionState) => check_transaction_state(client, connection, request),
            Some(RequestCode::PushReplyMessageToClient) => push_reply_message(client, request),
            Some(RequestCode::NotifyConsumerIdsChanged) => notify_consumer_ids_changed(client, request),
            Some(RequestCode::ResetConsumerClientOffset) => reset_offset(client, request),
            Some(RequestCode::GetConsumerStatusFromClient) => get_consumer_status(client, request),
            Some(RequestCode::GetConsumerRunningInfo) => get_consumer_running_info(client, request),
            Some(RequestCode::ConsumeMessageDirectly) => {
                self.consume_message_directly(client, connection, request)
            }
            _ => {
                let remark = format!(" request type {} not supported", request.code);
                Ok(Some(request.reply_error(ResponseCode::REQUEST_CODE_NOT_SUPPORTED, remark)))
            }
        }
    }

    /// The listener runs on a task of its own; the reply follows when it is done.
    fn consume_message_directly(
        &self,
        client: &Client,
        connection: &Connection,
        request: &RemotingCommand,
    ) -> Answer {
        let header: ConsumeMessageDirectlyHeader = read(request)?;
        // Java: a consumer that pulls by itself counts as none here.
        let consumer = client.consumer(&header.consumer_group).filter(|consumer| consumer.has_listener());
        let Some(consumer) = consumer else {
            return Ok(Some(no_such_group(request, &header.consumer_group)));
        };
        let Ok(permit) = Arc::clone(&self.direct).try_acquire_owned() else {
            let remark = format!("{DIRECT_MAX} messages are being consumed directly already");
            return Ok(Some(request.reply_error(ResponseCode::SYSTEM_BUSY, remark)));
        };
        let broker_name = header.broker_name.unwrap_or_default();
        let message =
            MessageExt::decode(&mut request.body.clone(), &broker_name).map_err(|e| e.to_string())?;
        let (connection, reply) = (connection.clone(), request.reply(ResponseCode::SUCCESS));
        tokio::spawn(async move {
            let result = consumer.consume_directly(message).await;
            connection.reply(reply.with_body(fastjson::to_vec(&result)));
            drop(permit);
        });
        Ok(None)
    }
}

impl Handler for Callbacks {
    fn handle(
        &self,
        connection: &Connection,
        requests: &mut Vec<RemotingCommand>,
        replies: &mut Vec<RemotingCommand>,
    ) {
        for request in requests.drain(..) {
            let answer = match Client::upgrade(&self.client) {
                Some(client) => self.answer(&client, connection, &request),
                None => Err("the client is shut down".to_owned()),
            };
            let reply = match answer {
                Ok(reply) => reply,
                Err(remark) => {
                    tracing::warn!(code = request.code, peer = %connection.peer_addr(), "request refused: {remark}");
                    Some(request.reply_error(ResponseCode::SYSTEM_ERROR, remark))
                }
            };
            replies.extend(reply.filter(|_| !request.is_oneway()));
        }
    }

    fn opened(&self, connection: &Connection) {
        // A broker that restarted knows us again only by a heartbeat. Java 5 sends one, 4.9 waits up to 30 s.
        if let Some(client) = Client::upgrade(&self.client) {
            client.tell(|| Event::Connected { addr: connection.peer_addr() });
            client.want_heartbeat();
        }
    }

    fn closed(&self, connection: &Connection) {
        if let Some(client) = Client::upgrade(&self.client) {
            client.tell(|| Event::Disconnected { addr: connection.peer_addr() });
        }
    }
}

fn read<H: Header>(request: &RemotingCommand) -> Result<H, String> {
    H::decode(&request.ext_fields).map_err(|error| error.to_string())
}

fn no_such_group(request: &RemotingCommand, group: &str) -> RemotingCommand {
    let remark = format!("The Consumer Group <{group}> not exist in this consumer");
    request.reply_error(ResponseCode::SYSTEM_ERROR, remark)
}

/// A broker did not hear what became of a transaction. The answer is a request of its own.
fn check_transaction_state(client: &Client, connection: &Connection, request: &RemotingCommand) -> Answer {
    let header: CheckTransactionStateHeader = read(request)?;
    let broker_name = request.ext_fields.get("bname").cloned().unwrap_or_default();
    let mut message =
        MessageExt::decode(&mut request.body.clone(), &broker_name).map_err(|e| e.to_string())?;
    client.unwrap_topics(std::slice::from_mut(&mut message));
    let group = message.property(names::PRODUCER_GROUP).ok_or("the message names no producer group")?;
    match client.checks(group) {
        Some(checks) => checks.begin(client, connection, header, broker_name, message),
        // A producer of the group may be elsewhere: the broker asks another one the next time.
        None => tracing::debug!(group, "a transaction of a group that is not here is checked"),
    }
    Ok(Some(request.reply(ResponseCode::SUCCESS)))
}

/// A reply to one of our requests.
fn push_reply_message(client: &Client, request: &RemotingCommand) -> Answer {
    let header: ReplyMessageHeader = read(request)?;
    client.replies().arrived(MessageExt::from_reply(header, request.body.clone(), now_ms()));
    Ok(Some(request.reply(ResponseCode::SUCCESS)))
}

fn notify_consumer_ids_changed(client: &Client, request: &RemotingCommand) -> Answer {
    let header: NotifyConsumerIdsChangedHeader = read(request)?;
    if let Some(consumer) = client.consumer(&header.consumer_group) {
        consumer.consumer_ids_changed();
    }
    // Sent oneway by Java; a peer that waits all the same is answered.
    Ok(Some(request.reply(ResponseCode::SUCCESS)))
}

fn reset_offset(client: &Client, request: &RemotingCommand) -> Answer {
    let header: ResetOffsetHeader = read(request)?;
    let offsets = offsets_to_reset(&request.body)?;
    tracing::info!(group = %header.group, topic = %header.topic, queues = offsets.len(), "offsets are reset");
    match client.consumer(&header.group) {
        Some(consumer) => consumer.reset_offset(&header.topic, offsets),
        None => tracing::info!(group = %header.group, "offsets are reset for a group that is not here"),
    }
    Ok(Some(request.reply(ResponseCode::SUCCESS)))
}

/// Both forms: Java's map, and the list that brokers send to C++ clients.
fn offsets_to_reset(body: &Bytes) -> Result<Vec<(MessageQueue, i64)>, String> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    if let Ok(map) = fastjson::from_slice::<ResetOffsetBody>(body) {
        return Ok(map.offset_table.into_iter().collect());
    }
    let list: ResetOffsetBodyForC = fastjson::from_slice(body).map_err(|error| error.to_string())?;
    let entries = list.offset_table.into_iter();
    Ok(entries.map(|to| (MessageQueue::new(to.topic, to.broker_name, to.queue_id), to.offset)).collect())
}

fn get_consumer_status(client: &Client, request: &RemotingCommand) -> Answer {
    let header: GetConsumerStatusHeader = read(request)?;
    let offsets = client.consumer(&header.group).map(|consumer| consumer.consumer_status(&header.topic));
    let body = GetConsumerStatusBody {
        message_queue_table: offsets.unwrap_or_default().into_iter().collect(),
        ..Default::default()
    };
    Ok(Some(request.reply(ResponseCode::SUCCESS).with_body(fastjson::to_vec(&body))))
}

fn get_consumer_running_info(client: &Client, request: &RemotingCommand) -> Answer {
    let header: GetConsumerRunningInfoHeader = read(request)?;
    let Some(consumer) = client.consumer(&header.consumer_group) else {
        return Ok(Some(no_such_group(request, &header.consumer_group)));
    };
    let mut info = consumer.running_info();
    let name_servers: String =
        client.name_server_addrs().iter().flat_map(|addr| [addr.as_str(), ";"]).collect();
    info.properties.insert(running_info::NAMESERVER_ADDR.into(), name_servers);
    info.properties.insert(running_info::CLIENT_VERSION.into(), CLIENT_VERSION.into());
    Ok(Some(request.reply(ResponseCode::SUCCESS).with_body(fastjson::to_vec(&info))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Resets come as a map from Java and as a list where the tool said it was C++.
    #[test]
    fn resets_are_read_in_both_forms() {
        let map = br#"{"offsetTable":{{"brokerName":"a","queueId":1,"topic":"T"}:7}}"#;
        let list = br#"{"offsetTable":[{"brokerName":"a","offset":7,"queueId":1,"topic":"T"}]}"#;
        for body in [&map[..], &list[..]] {
            let offsets = offsets_to_reset(&Bytes::copy_from_slice(body)).unwrap();
            assert_eq!(offsets, [(MessageQueue::new("T", "a", 1), 7)]);
        }
        assert!(offsets_to_reset(&Bytes::new()).unwrap().is_empty());
        assert!(offsets_to_reset(&Bytes::from_static(b"[")).is_err());
    }
}
