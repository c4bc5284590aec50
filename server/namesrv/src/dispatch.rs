//! From a request to its handler and back.
//!
//! Java counterpart: `DefaultRequestProcessor.processRequest`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ferrocket_protocol::{HeaderError, RemotingCommand, RequestCode, ResponseCode};
use ferrocket_remoting::{Connection, Handler};

use crate::handlers::{config, kv, route, topic};
use crate::namesrv::Shared;

/// Most requests whose answers wait for a file to be written.
const WRITING_MAX: usize = 1_024;

/// Makes the answer; it may block, and runs on a thread for that.
pub(crate) type Later = Box<dyn FnOnce() -> RemotingCommand + Send>;

/// What a request is answered with.
enum Answer {
    Now(RemotingCommand),
    Later(Later),
}

/// What most handlers return: the reply, at once, or a refusal.
pub(crate) type Answered = Result<RemotingCommand, Refusal>;

/// Why a handler refuses a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: ResponseCode,
    pub(crate) remark: String,
}

impl Refusal {
    pub(crate) fn new(code: ResponseCode, remark: impl Into<String>) -> Self {
        Self { code, remark: remark.into() }
    }
}

impl From<HeaderError> for Refusal {
    fn from(error: HeaderError) -> Self {
        Self::new(ResponseCode::SYSTEM_ERROR, error.to_string())
    }
}

/// Serves the connections of a NameServer.
pub(crate) struct Dispatch(pub(crate) Arc<Shared>);

impl Handler for Dispatch {
    fn handle(
        &self,
        connection: &Connection,
        requests: &mut Vec<RemotingCommand>,
        replies: &mut Vec<RemotingCommand>,
    ) {
        for request in requests.drain(..) {
            let oneway = request.is_oneway();
            let answered = answer(&self.0, connection, &request).and_then(|answer| match answer {
                Answer::Now(reply) => Ok(Some(reply)),
                Answer::Later(work) => self.later(connection.clone(), oneway, work).map(|()| None),
            });
            let reply = answered.unwrap_or_else(|refusal| {
                tracing::debug!(?connection, code = request.code, remark = refusal.remark, "refused");
                Some(request.reply_error(refusal.code, refusal.remark))
            });
            replies.extend(reply.filter(|_| !oneway));
        }
    }

    fn closed(&self, connection: &Connection) {
        self.0.routes().connection_closed(connection.id());
    }
}

impl Dispatch {
    fn later(&self, connection: Connection, oneway: bool, work: Later) -> Result<(), Refusal> {
        if self.0.writing.fetch_add(1, Ordering::Relaxed) >= WRITING_MAX {
            self.0.writing.fetch_sub(1, Ordering::Relaxed);
            return Err(Refusal::new(ResponseCode::SYSTEM_BUSY, "too many changes wait to be written"));
        }
        let shared = self.0.clone();
        tokio::task::spawn_blocking(move || {
            let reply = work();
            shared.writing.fetch_sub(1, Ordering::Relaxed);
            if !oneway {
                connection.reply(reply);
            }
        });
        Ok(())
    }
}

fn answer(
    shared: &Arc<Shared>,
    connection: &Connection,
    request: &RemotingCommand,
) -> Result<Answer, Refusal> {
    use RequestCode::*;
    if let Some(access) = &shared.access {
        let checked = access.check(request, connection.peer_addr().ip());
        checked.map_err(|denied| Refusal::new(ResponseCode::SYSTEM_ERROR, denied.to_string()))?;
    }
    let reply = match request.request_code() {
        Some(PutKvConfig) => return kv::put_kv_config(shared, request).map(Answer::Later),
        Some(GetKvConfig) => kv::get_kv_config(shared, request)?,
        Some(DeleteKvConfig) => return kv::delete_kv_config(shared, request).map(Answer::Later),
        Some(GetKvlistByNamespace) => kv::get_kvlist_by_namespace(shared, request)?,
        Some(RegisterBroker) => route::register_broker(shared, connection, request)?,
        Some(UnregisterBroker) => route::unregister_broker(shared, request)?,
        Some(QueryDataVersion) => route::query_data_version(shared, request)?,
        Some(BrokerHeartbeat) => route::broker_heartbeat(shared, request)?,
        Some(GetRouteinfoByTopic) => route::get_routeinfo_by_topic(shared, request)?,
        Some(GetBrokerClusterInfo) => route::get_broker_cluster_info(shared, request),
        Some(GetBrokerMemberGroup) => route::get_broker_member_group(shared, request)?,
        Some(WipeWritePermOfBroker) => route::wipe_write_perm_of_broker(shared, request)?,
        Some(AddWritePermOfBroker) => route::add_write_perm_of_broker(shared, request)?,
        Some(RegisterTopicInNamesrv) => topic::register_topic_in_namesrv(shared, request)?,
        Some(DeleteTopicInNamesrv) => topic::delete_topic_in_namesrv(shared, request)?,
        Some(GetAllTopicListFromNameserver) => topic::get_all_topic_list_from_nameserver(shared, request),
        Some(GetTopicsByCluster) => topic::get_topics_by_cluster(shared, request)?,
        Some(GetSystemTopicListFromNs) => topic::get_system_topic_list_from_ns(shared, request),
        Some(GetUnitTopicList) => topic::get_unit_topic_list(shared, request),
        Some(GetHasUnitSubTopicList) => topic::get_has_unit_sub_topic_list(shared, request),
        Some(GetHasUnitSubUnunitTopicList) => topic::get_has_unit_sub_ununit_topic_list(shared, request),
        Some(UpdateNamesrvConfig) => {
            return config::update_namesrv_config(shared, request).map(Answer::Later);
        }
        Some(GetNamesrvConfig) => config::get_namesrv_config(shared, request),
        // Java 4.9 answers nothing here, and its callers wait for their timeout.
        _ => {
            let remark = format!(" request type {} not supported", request.code);
            return Err(Refusal::new(ResponseCode::REQUEST_CODE_NOT_SUPPORTED, remark));
        }
    };
    Ok(Answer::Now(reply))
}
