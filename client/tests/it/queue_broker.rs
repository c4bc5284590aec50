//! A broker with queues in memory: it answers pulls, holds those that find nothing, keeps offsets and locks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferrocket_protocol::body::group::{CheckClientRequestBody, ConsumerListBody};
use ferrocket_protocol::body::heartbeat::HeartbeatData;
use ferrocket_protocol::body::lock::{LockBatchRequestBody, LockBatchResponseBody, UnlockBatchRequestBody};
use ferrocket_protocol::body::message_queue::MessageQueue;
use ferrocket_protocol::properties::{self, Properties, names};
use ferrocket_protocol::requests::offset::{
    GetMaxOffsetHeader, GetMaxOffsetReply, GetMinOffsetHeader, GetMinOffsetReply, QueryConsumerOffsetHeader,
    QueryConsumerOffsetReply, SearchOffsetHeader, SearchOffsetReply, UpdateConsumerOffsetHeader,
};
use ferrocket_protocol::requests::pull::{PullMessageHeader, PullMessageReply};
use ferrocket_protocol::requests::send::{ConsumerSendMsgBackHeader, SendMessageHeader, SendMessageReply};
use ferrocket_protocol::{Header, MessageRecord, RemotingCommand, RequestCode, ResponseCode, Text, fastjson};
use ferrocket_remoting::{Connection, Handler, Listener, RemotingConfig};
use tokio::sync::{oneshot, watch};

type Queue = (Text, i32);

#[derive(Default)]
pub(crate) struct State {
    queues: BTreeMap<Queue, Vec<MessageRecord>>,
    /// The lowest offset of each queue that is still there.
    pub(crate) min_offsets: BTreeMap<Queue, i64>,
    pub(crate) offsets: BTreeMap<Queue, i64>,
    pub(crate) locks: BTreeMap<MessageQueue, String>,
    /// Members of the group beside those that sent heartbeats.
    pub(crate) other_members: BTreeSet<String>,
    members: BTreeSet<String>,
    held: Vec<(Connection, RemotingCommand, PullMessageHeader)>,
    /// Whether send-backs (36) are refused.
    pub(crate) refuse_send_back: bool,
    /// Whether lite pulls (361) are unknown.
    pub(crate) refuse_lite: bool,
    /// Whether send-backs are never answered.
    pub(crate) ignore_send_back: bool,
    /// Whether sends (310) are refused.
    pub(crate) refuse_send: bool,
    /// Whether questions for stored offsets (14) are never answered.
    pub(crate) ignore_offset_query: bool,
    /// Pulls from this offset of a queue 0 on wait for a thread: nothing is done about them before `release`.
    pub(crate) stalled_from: Option<i64>,
    /// Whether offsets to store (15) wait like that.
    pub(crate) stalls_updates: bool,
    stalled: Vec<(Connection, RemotingCommand)>,
    pub(crate) connections: Vec<Connection>,
}

/// Stops when dropped.
pub(crate) struct QueueBroker {
    pub(crate) addr: SocketAddr,
    pub(crate) state: Arc<Mutex<State>>,
    seen: watch::Receiver<Vec<RemotingCommand>>,
    _stop: oneshot::Sender<()>,
}

struct Serving {
    state: Arc<Mutex<State>>,
    seen: watch::Sender<Vec<RemotingCommand>>,
}

impl QueueBroker {
    pub(crate) async fn start() -> Self {
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = Listener::bind(any_port, RemotingConfig::default()).await.unwrap();
        let (addr, state) = (listener.local_addr(), Arc::default());
        let (seen_by, seen) = watch::channel(Vec::new());
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::new(Serving { state: Arc::clone(&state), seen: seen_by });
        tokio::spawn(listener.serve(serving, async {
            let _: Result<(), _> = stopped.await;
        }));
        Self { addr, state, seen, _stop: stop }
    }

    /// Stores a message at the end of a queue.
    pub(crate) fn store(&self, topic: &str, queue_id: i32, body: &str, tags: Option<&str>) {
        let properties = tags.map(|tags| (names::TAGS, tags)).into_iter().collect::<Properties>().to_text();
        let record = record(topic.into(), queue_id, body.to_owned().into(), properties);
        let mut state = self.state.lock().unwrap();
        state.append(record);
        state.answer_held();
    }

    /// Deals with what waits for a thread; later pulls from `stalled_from` on wait.
    pub(crate) fn release(&self, stalled_from: i64) {
        let mut state = self.state.lock().unwrap();
        state.stalled_from = Some(stalled_from);
        for (connection, request) in std::mem::take(&mut state.stalled) {
            if let Some(reply) = state.take(&connection, &request) {
                connection.reply(reply);
            }
        }
    }

    /// The requests of this kind so far.
    pub(crate) fn seen(&self, code: RequestCode) -> Vec<RemotingCommand> {
        self.seen.borrow().iter().filter(|request| request.code == code.code()).cloned().collect()
    }

    /// Waits until the requests so far satisfy `enough`.
    pub(crate) async fn until(&self, enough: impl Fn(&[RemotingCommand]) -> bool) {
        let mut seen = self.seen.clone();
        let waited = tokio::time::timeout(Duration::from_secs(20), seen.wait_for(|seen| enough(seen))).await;
        assert!(waited.is_ok(), "the broker did not see what it should");
    }

    /// Waits until so many requests of this kind have come.
    pub(crate) async fn wait_for(&self, code: RequestCode, count: usize) {
        self.until(|seen| seen.iter().filter(|request| request.code == code.code()).count() >= count).await;
    }

    pub(crate) fn offset(&self, topic: &str, queue_id: i32) -> Option<i64> {
        self.state.lock().unwrap().offsets.get(&(topic.into(), queue_id)).copied()
    }

    pub(crate) fn connection(&self) -> Connection {
        self.state.lock().unwrap().connections.last().unwrap().clone()
    }
}

pub(crate) fn record(topic: Text, queue_id: i32, body: bytes::Bytes, properties: Text) -> MessageRecord {
    MessageRecord {
        topic,
        queue_id,
        flag: 0,
        sys_flag: 0,
        queue_offset: 0,
        physical_offset: 0,
        born_timestamp: 1,
        born_host: "127.0.0.1:1".parse().unwrap(),
        store_timestamp: 2,
        store_host: "127.0.0.1:10911".parse().unwrap(),
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body,
        properties,
    }
}

impl State {
    fn append(&mut self, mut record: MessageRecord) {
        record.physical_offset = self.queues.values().map(Vec::len).sum::<usize>() as i64;
        let queue = self.queues.entry((record.topic.clone(), record.queue_id)).or_default();
        record.queue_offset = queue.len() as i64;
        // A message a second.
        record.store_timestamp = 1000 * (1 + record.queue_offset);
        queue.push(record);
    }

    /// The answer to a pull, none if it has to wait.
    fn pull(&self, request: &RemotingCommand, header: &PullMessageHeader) -> Option<RemotingCommand> {
        let key = (header.topic.clone(), header.queue_id);
        let records = self.queues.get(&key).map_or(&[][..], Vec::as_slice);
        let min_offset = self.min_offsets.get(&key).copied().unwrap_or(0);
        let max_offset = records.len() as i64;
        let mut answer = PullMessageReply {
            suggest_which_broker_id: 0,
            next_begin_offset: header.queue_offset,
            min_offset,
            max_offset,
            ..Default::default()
        };
        let mut body = Vec::new();
        let mut code = ResponseCode::SUCCESS;
        if header.queue_offset > max_offset || header.queue_offset < min_offset {
            code = ResponseCode::PULL_OFFSET_MOVED;
            answer.next_begin_offset = header.queue_offset.clamp(min_offset, max_offset);
        } else if header.queue_offset == max_offset {
            return None;
        } else {
            let from = header.queue_offset as usize;
            for record in records.iter().skip(from).take(header.max_msg_nums as usize) {
                record.encode(&mut body);
                answer.next_begin_offset += 1;
            }
        }
        let mut reply = request.reply_with(&answer).with_body(body);
        reply.code = code.0;
        Some(reply)
    }

    fn answer_held(&mut self) {
        for (connection, request, header) in std::mem::take(&mut self.held) {
            match self.pull(&request, &header) {
                Some(reply) => drop(connection.reply(reply)),
                None => self.held.push((connection, request, header)),
            }
        }
    }

    fn send_back(&mut self, header: &ConsumerSendMsgBackHeader) {
        let found = self.queues.values().flatten().find(|record| record.physical_offset == header.offset);
        let mut record = found.cloned().unwrap();
        if properties::get(&record.properties, names::RETRY_TOPIC).is_none() {
            let mut properties = Properties::parse(&record.properties);
            properties.set(names::RETRY_TOPIC, record.topic.clone());
            record.properties = properties.to_text();
        }
        record.topic = format!("%RETRY%{}", header.group).into();
        record.queue_id = 0;
        record.reconsume_times += 1;
        self.append(record);
        self.answer_held();
    }

    fn take(&mut self, connection: &Connection, request: &RemotingCommand) -> Option<RemotingCommand> {
        let fields = &request.ext_fields;
        Some(match request.request_code().unwrap() {
            RequestCode::HeartBeat => {
                let data: HeartbeatData = fastjson::from_slice(&request.body).unwrap();
                self.members.insert(data.client_id);
                request.reply(ResponseCode::SUCCESS)
            }
            RequestCode::GetConsumerListByGroup => {
                let ids = self.members.union(&self.other_members).cloned().collect();
                let body = ConsumerListBody { consumer_id_list: ids };
                request.reply(ResponseCode::SUCCESS).with_body(fastjson::to_vec(&body))
            }
            RequestCode::LitePullMessage if self.refuse_lite => {
                request.reply_error(ResponseCode::REQUEST_CODE_NOT_SUPPORTED, "as in 4.9")
            }
            RequestCode::PullMessage | RequestCode::LitePullMessage => {
                let header = PullMessageHeader::decode(fields).unwrap();
                let stalls = |from| header.queue_id == 0 && header.queue_offset >= from;
                if self.stalled_from.is_some_and(stalls) {
                    self.stalled.push((connection.clone(), request.clone()));
                    return None;
                }
                if header.sys_flag & 1 != 0 {
                    let queue = (header.topic.clone(), header.queue_id);
                    self.offsets.insert(queue, header.commit_offset);
                }
                let reply = self.pull(request, &header);
                if reply.is_none() {
                    self.held.push((connection.clone(), request.clone(), header));
                }
                return reply;
            }
            RequestCode::QueryConsumerOffset if self.ignore_offset_query => return None,
            RequestCode::QueryConsumerOffset => {
                let header = QueryConsumerOffsetHeader::decode(fields).unwrap();
                match self.offsets.get(&(header.topic, header.queue_id)) {
                    Some(offset) => request.reply_with(&QueryConsumerOffsetReply { offset: *offset }),
                    None => request.reply_error(ResponseCode::QUERY_NOT_FOUND, "none"),
                }
            }
            RequestCode::UpdateConsumerOffset if self.stalls_updates => {
                self.stalled.push((connection.clone(), request.clone()));
                return None;
            }
            RequestCode::UpdateConsumerOffset => {
                let header = UpdateConsumerOffsetHeader::decode(fields).unwrap();
                self.offsets.insert((header.topic, header.queue_id), header.commit_offset);
                request.reply(ResponseCode::SUCCESS)
            }
            RequestCode::GetMaxOffset => {
                let header = GetMaxOffsetHeader::decode(fields).unwrap();
                let records = self.queues.get(&(header.topic, header.queue_id));
                request.reply_with(&GetMaxOffsetReply { offset: records.map_or(0, Vec::len) as i64 })
            }
            RequestCode::CheckClientConfig => {
                let body: CheckClientRequestBody = fastjson::from_slice(&request.body).unwrap();
                match body.subscription_data.unwrap().sub_string.contains("nonsense") {
                    true => request.reply_error(ResponseCode::SUBSCRIPTION_PARSE_FAILED, "no condition"),
                    false => request.reply(ResponseCode::SUCCESS),
                }
            }
            RequestCode::GetMinOffset => {
                let header = GetMinOffsetHeader::decode(fields).unwrap();
                let min = self.min_offsets.get(&(header.topic, header.queue_id));
                request.reply_with(&GetMinOffsetReply { offset: min.copied().unwrap_or(0) })
            }
            RequestCode::SearchOffsetByTimestamp => {
                let header = SearchOffsetHeader::decode(fields).unwrap();
                let records =
                    self.queues.get(&(header.topic, header.queue_id)).map_or(&[][..], Vec::as_slice);
                let offset = records.partition_point(|record| record.store_timestamp < header.timestamp);
                request.reply_with(&SearchOffsetReply { offset: offset as i64 })
            }
            RequestCode::ConsumerSendMsgBack if self.ignore_send_back => return None,
            RequestCode::ConsumerSendMsgBack if self.refuse_send_back => {
                request.reply_error(ResponseCode::SYSTEM_ERROR, "as told")
            }
            RequestCode::ConsumerSendMsgBack => {
                self.send_back(&ConsumerSendMsgBackHeader::decode(fields).unwrap());
                request.reply(ResponseCode::SUCCESS)
            }
            RequestCode::SendMessageV2 if self.refuse_send => {
                request.reply_error(ResponseCode::SYSTEM_ERROR, "as told")
            }
            RequestCode::SendMessageV2 => {
                let header = SendMessageHeader::decode_v2(fields).unwrap();
                let mut record =
                    record(header.topic, header.queue_id, request.body.clone(), header.properties.unwrap());
                record.reconsume_times = header.reconsume_times.unwrap();
                self.append(record);
                self.answer_held();
                request.reply_with(&SendMessageReply { msg_id: "ID".into(), ..Default::default() })
            }
            RequestCode::LockBatchMq => {
                let body: LockBatchRequestBody = fastjson::from_slice(&request.body).unwrap();
                let mut granted = LockBatchResponseBody::default();
                for queue in body.mq_set {
                    let owner = self.locks.entry(queue.clone()).or_insert_with(|| body.client_id.clone());
                    if *owner == body.client_id {
                        granted.lock_ok_mq_set.insert(queue);
                    }
                }
                request.reply(ResponseCode::SUCCESS).with_body(fastjson::to_vec(&granted))
            }
            RequestCode::UnlockBatchMq => {
                let body: UnlockBatchRequestBody = fastjson::from_slice(&request.body).unwrap();
                self.locks.retain(|queue, owner| *owner != body.client_id || !body.mq_set.contains(queue));
                request.reply(ResponseCode::SUCCESS)
            }
            _ => request.reply(ResponseCode::SUCCESS),
        })
    }
}

impl Handler for Serving {
    fn handle(
        &self,
        connection: &Connection,
        requests: &mut Vec<RemotingCommand>,
        replies: &mut Vec<RemotingCommand>,
    ) {
        for request in requests.drain(..) {
            let reply = self.state.lock().unwrap().take(connection, &request);
            replies.extend(reply.filter(|_| !request.is_oneway()));
            self.seen.send_modify(|seen| seen.push(request));
        }
    }

    fn opened(&self, connection: &Connection) {
        self.state.lock().unwrap().connections.push(connection.clone());
    }
}
