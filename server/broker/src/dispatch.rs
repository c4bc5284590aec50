//! Every request of the Broker, one arm each. A request without an arm does not compile.
//!
//! Everything is handled in place, on the connection's own task. Consecutive sends of a round are planned one
//! by one and stored as one group. What is not served is answered with code 3: that is part of the protocol,
//! peers ask for things that only other versions know. Java counterpart: `BrokerController.registerProcessor`.

use std::sync::Arc;

use ferrocket_protocol::requests::Lane;
use ferrocket_protocol::response_code::ResponseCode;
use ferrocket_protocol::{RemotingCommand, RequestCode};
use ferrocket_remoting::{Connection, Handler};

use crate::broker::Shared;
use crate::handlers::send::{self, Outgoing};
use crate::handlers::{
    Answer, acl, client, config, group, lock, offset, pull, query, reply, stats, topic, transaction,
};
use crate::refusal::Refusal;

/// Handles the requests of all connections, on the main port and on the VIP port alike.
#[derive(Clone)]
pub(crate) struct Dispatch {
    broker: Arc<Shared>,
}

impl Dispatch {
    /// The requests of this Broker.
    pub(crate) fn new(broker: Arc<Shared>) -> Self {
        Self { broker }
    }
}

/// Bytes of answers of one round from which on its pulls are put off: they are read only when the peer has
/// taken what it asked for before.
const ROUND_BYTES_MAX: usize = 8 << 20;

/// What becomes of a request in this round.
enum Step {
    /// It is answered, now or later.
    Done(Option<RemotingCommand>),
    /// It is a send that is appended with its neighbours.
    Append(Outgoing),
}

impl Handler for Dispatch {
    fn handle(
        &self,
        connection: &Connection,
        requests: &mut Vec<RemotingCommand>,
        replies: &mut Vec<RemotingCommand>,
    ) {
        let mut outgoing = Vec::new();
        let mut round_bytes = connection.write_pending();
        for request in requests.drain(..) {
            // Nothing is served, refused or even known to be unknown before this.
            let admitted = self.broker.admit(connection, &request);
            let step = admitted.and_then(|()| match request.request_code() {
                Some(RequestCode::PullMessage | RequestCode::LitePullMessage)
                    if round_bytes > ROUND_BYTES_MAX =>
                {
                    pull::put_off(&self.broker, &request).map(Step::Done)
                }
                _ => step(&self.broker, connection, &request),
            });
            if !matches!(step, Ok(Step::Append(_))) {
                // What was sent before must be visible to this request.
                send::append(&self.broker, connection, &mut outgoing, replies);
            }
            let reply = match step {
                Ok(Step::Append(send)) => {
                    outgoing.push((request, send));
                    continue;
                }
                Ok(Step::Done(reply)) => reply,
                Err(refusal) => Some(refuse(&self.broker, &request, refusal)),
            };
            if let Some(reply) = reply.filter(|_| !request.is_oneway()) {
                round_bytes += reply.body.len();
                replies.push(reply);
            }
        }
        send::append(&self.broker, connection, &mut outgoing, replies);
    }

    fn opened(&self, connection: &Connection) {
        tracing::debug!(peer = %connection.peer_addr(), "connected");
    }

    fn closed(&self, connection: &Connection) {
        self.broker.clients.closed(connection, self.broker.settings.now().notify_consumer_ids_changed);
    }
}

fn refuse(broker: &Shared, request: &RemotingCommand, refusal: Refusal) -> RemotingCommand {
    match request.request_code().map(RequestCode::lane) {
        Some(Lane::Send) => send::refused(broker, request, refusal),
        _ => refusal.reply_to(request),
    }
}

/// What this Broker does not serve. Java's words, and for codes that other versions serve their name.
fn not_supported(request: &RemotingCommand) -> Refusal {
    let mut remark = format!(" request type {} not supported", request.code);
    if let Some(code) = request.request_code() {
        remark.push_str(": ");
        remark.push_str(code.name());
    }
    Refusal::new(ResponseCode::REQUEST_CODE_NOT_SUPPORTED, remark)
}

fn step(broker: &Arc<Shared>, connection: &Connection, request: &RemotingCommand) -> Result<Step, Refusal> {
    use RequestCode as Code;
    let Some(code) = request.request_code() else { return Err(not_supported(request)) };
    let handler: fn(&Arc<Shared>, &Connection, &RemotingCommand) -> Answer = match code {
        Code::SendMessage | Code::SendMessageV2 | Code::SendBatchMessage | Code::ConsumerSendMsgBack => {
            return send::plan(broker, connection, request).map(Step::Append);
        }
        Code::SendReplyMessage | Code::SendReplyMessageV2 => reply::send_reply_message,
        Code::PullMessage | Code::LitePullMessage => pull::pull_message,
        Code::QueryMessage => query::query_message,
        Code::QueryConsumerOffset => offset::query_consumer_offset,
        Code::UpdateConsumerOffset => offset::update_consumer_offset,
        Code::UpdateAndCreateTopic => topic::update_and_create_topic,
        Code::GetAllTopicConfig => topic::get_all_topic_config,
        Code::UpdateBrokerConfig => config::update_broker_config,
        Code::GetBrokerConfig => config::get_broker_config,
        Code::GetBrokerRuntimeInfo => stats::get_broker_runtime_info,
        Code::SearchOffsetByTimestamp => offset::search_offset_by_timestamp,
        Code::GetMaxOffset => offset::get_max_offset,
        Code::GetMinOffset => offset::get_min_offset,
        Code::GetEarliestMsgStoretime => offset::get_earliest_msg_storetime,
        Code::ViewMessageById => query::view_message_by_id,
        Code::HeartBeat => client::heart_beat,
        Code::EndTransaction => transaction::end_transaction,
        Code::UnregisterClient => client::unregister_client,
        Code::GetConsumerListByGroup => client::get_consumer_list_by_group,
        Code::LockBatchMq => lock::lock_batch_mq,
        Code::UnlockBatchMq => lock::unlock_batch_mq,
        Code::GetAllConsumerOffset => offset::get_all_consumer_offset,
        Code::GetAllDelayOffset => offset::get_all_delay_offset,
        Code::CheckClientConfig => client::check_client_config,
        Code::UpdateAndCreateAclConfig => acl::update_and_create_acl_config,
        Code::DeleteAclConfig => acl::delete_acl_config,
        Code::GetBrokerClusterAclInfo => acl::get_broker_cluster_acl_info,
        Code::UpdateGlobalWhiteAddrsConfig => acl::update_global_white_addrs_config,
        Code::GetBrokerClusterAclConfig => acl::get_broker_cluster_acl_config,
        Code::UpdateAndCreateSubscriptiongroup => group::update_and_create_subscriptiongroup,
        Code::GetAllSubscriptiongroupConfig => group::get_all_subscriptiongroup_config,
        Code::GetTopicStatsInfo => topic::get_topic_stats_info,
        Code::GetConsumerConnectionList => client::get_consumer_connection_list,
        Code::GetProducerConnectionList => client::get_producer_connection_list,
        Code::DeleteSubscriptiongroup => group::delete_subscriptiongroup,
        Code::GetConsumeStats => group::get_consume_stats,
        Code::DeleteTopicInBroker => topic::delete_topic_in_broker,
        Code::InvokeBrokerToResetOffset => offset::invoke_broker_to_reset_offset,
        Code::InvokeBrokerToGetConsumerStatus => offset::invoke_broker_to_get_consumer_status,
        Code::QueryTopicConsumeByWho => group::query_topic_consume_by_who,
        Code::QueryConsumeTimeSpan => group::query_consume_time_span,
        Code::GetSystemTopicListFromBroker => topic::get_system_topic_list_from_broker,
        Code::CleanExpiredConsumequeue => config::clean_expired_consumequeue,
        Code::GetConsumerRunningInfo => client::get_consumer_running_info,
        Code::QueryCorrectionOffset => offset::query_correction_offset,
        Code::ConsumeMessageDirectly => client::consume_message_directly,
        Code::CloneGroupOffset => offset::clone_group_offset,
        Code::ViewBrokerStatsData => stats::view_broker_stats_data,
        Code::CleanUnusedTopic => topic::clean_unused_topic,
        Code::GetBrokerConsumeStats => group::get_broker_consume_stats,
        Code::QueryConsumeQueue => query::query_consume_queue,
        Code::GetAllProducerInfo => client::get_all_producer_info,
        Code::DeleteExpiredCommitlog => config::delete_expired_commitlog,
        Code::ResumeCheckHalfMessage => transaction::resume_check_half_message,
        // What only 5.x clients and tools ask for.
        Code::UpdateAndCreateTopicList => topic::update_and_create_topic_list,
        Code::UpdateAndCreateSubscriptiongroupList => group::update_and_create_subscriptiongroup_list,
        Code::QueryTopicsByConsumer => group::query_topics_by_consumer,
        Code::QuerySubscriptionByConsumer => group::query_subscription_by_consumer,
        Code::GetTopicConfig => topic::get_topic_config,
        Code::GetSubscriptiongroupConfig => group::get_subscriptiongroup_config,
        // Other receivers' requests, other versions' and what is left out of this one.
        Code::QueryBrokerOffset
        | Code::GetTopicConfigList
        | Code::GetTopicNameList
        | Code::TriggerDeleteFiles
        | Code::CheckTransactionState
        | Code::NotifyConsumerIdsChanged
        | Code::GetClientConfig
        | Code::GetTimerCheckPoint
        | Code::GetTimerMetrics
        | Code::PutKvConfig
        | Code::GetKvConfig
        | Code::DeleteKvConfig
        | Code::RegisterBroker
        | Code::UnregisterBroker
        | Code::GetRouteinfoByTopic
        | Code::GetBrokerClusterInfo
        | Code::WipeWritePermOfBroker
        | Code::GetAllTopicListFromNameserver
        | Code::SuspendConsumer
        | Code::ResumeConsumer
        | Code::ResetConsumerOffsetInConsumer
        | Code::ResetConsumerOffsetInBroker
        | Code::AdjustConsumerThreadPool
        | Code::WhoConsumeTheMessage
        | Code::DeleteTopicInNamesrv
        | Code::RegisterTopicInNamesrv
        | Code::GetKvlistByNamespace
        | Code::ResetConsumerClientOffset
        | Code::GetConsumerStatusFromClient
        | Code::GetTopicsByCluster
        | Code::RegisterFilterServer
        | Code::RegisterMessageFilterClass
        | Code::GetSystemTopicListFromNs
        | Code::GetUnitTopicList
        | Code::GetHasUnitSubTopicList
        | Code::GetHasUnitSubUnunitTopicList
        | Code::UpdateNamesrvConfig
        | Code::GetNamesrvConfig
        | Code::QueryDataVersion
        | Code::PushReplyMessageToClient
        | Code::AddWritePermOfBroker
        | Code::UpdateAndGetGroupForbidden
        | Code::CheckRocksdbCqWriteProgress
        | Code::ExportRocksdbConfigToJson
        | Code::RecallMessage
        | Code::QueryAssignment
        | Code::SetMessageRequestMode
        | Code::GetAllMessageRequestMode
        | Code::UpdateAndCreateStaticTopic
        | Code::GetBrokerMemberGroup
        | Code::AddBroker
        | Code::RemoveBroker
        | Code::BrokerHeartbeat
        | Code::NotifyMinBrokerIdChange
        | Code::ExchangeBrokerHaInfo
        | Code::GetBrokerHaStatus
        | Code::ResetMasterFlushOffset
        | Code::ControllerAlterSyncStateSet
        | Code::ControllerElectMaster
        | Code::ControllerRegisterBroker
        | Code::ControllerGetReplicaInfo
        | Code::ControllerGetMetadataInfo
        | Code::ControllerGetSyncStateData
        | Code::GetBrokerEpochCache
        | Code::NotifyBrokerRoleChanged
        | Code::UpdateControllerConfig
        | Code::GetControllerConfig
        | Code::CleanBrokerData
        | Code::ControllerGetNextBrokerId
        | Code::ControllerApplyBrokerId
        | Code::BrokerCloseChannelRequest
        | Code::CheckNotActiveBrokerRequest
        | Code::GetBrokerLiveInfoRequest
        | Code::GetSyncStateDataRequest
        | Code::RaftBrokerHeartBeatEventRequest
        | Code::UpdateColdDataFlowCtrConfig
        | Code::RemoveColdDataFlowCtrConfig
        | Code::GetColdDataFlowCtrInfo
        | Code::SetCommitlogReadMode
        | Code::AuthCreateUser
        | Code::AuthUpdateUser
        | Code::AuthDeleteUser
        | Code::AuthGetUser
        | Code::AuthListUser
        | Code::AuthCreateAcl
        | Code::AuthUpdateAcl
        | Code::AuthDeleteAcl
        | Code::AuthGetAcl
        | Code::AuthListAcl
        | Code::PopMessage
        | Code::AckMessage
        | Code::PeekMessage
        | Code::ChangeMessageInvisibletime
        | Code::Notification
        | Code::PollingInfo
        | Code::PopRollback
        | Code::BatchAckMessage => return Err(not_supported(request)),
    };
    handler(broker, connection, request).map(Step::Done)
}
