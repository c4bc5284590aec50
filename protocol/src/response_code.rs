//! The codes of replies: a number with known names; unknown numbers survive.
//!
//! Java counterpart: `ResponseCode` and `RemotingSysResponseCode`. Codes 209 to 211 mean an ACL failure to
//! 4.9 tools and a pop or container state to 5.x; both names are listed.

use std::fmt;

/// A reply's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ResponseCode(pub i32);

macro_rules! response_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {
        impl ResponseCode {
            $($(#[$doc])* pub const $name: Self = Self($code);)*

            /// Java's name of the code, `None` for a number nobody knows.
            pub fn name(self) -> Option<&'static str> {
                const NAMES: &[(i32, &str)] = &[$(($code, stringify!($name))),*];
                NAMES.iter().find(|(code, _)| *code == self.0).map(|(_, name)| *name)
            }
        }
    };
}

response_codes! {
    /// Ok.
    SUCCESS = 0;
    /// Generic failure; remark holds the reason; also the code of uncaught server exceptions and of ACL
    /// 1.0 rejections thrown in the RPC hook.
    SYSTEM_ERROR = 1;
    /// Flow control: page cache busy, thread pool queue full or queued too long; client may retry.
    SYSTEM_BUSY = 2;
    /// No processor for the request code.
    REQUEST_CODE_NOT_SUPPORTED = 3;
    /// Adding the message to the transaction store failed (legacy).
    TRANSACTION_FAILED = 4;
    /// Message appended but sync flush did not finish in syncFlushTimeout.
    FLUSH_DISK_TIMEOUT = 10;
    /// Sync replication requested but no usable slave.
    SLAVE_NOT_AVAILABLE = 11;
    /// Message appended but slave ack did not come in slaveTimeout.
    FLUSH_SLAVE_TIMEOUT = 12;
    /// Message rejected: body, topic or properties too large or malformed.
    MESSAGE_ILLEGAL = 13;
    /// Store not writable: shutting down, slave role, disk full or other store refusal.
    SERVICE_NOT_AVAILABLE = 14;
    /// 5.x proxy: remoting request lacks the broker name (client too old); otherwise unused.
    VERSION_NOT_SUPPORTED = 15;
    /// Forbidden by broker/topic/group permission, black-listed config key, or auth denial.
    NO_PERMISSION = 16;
    /// Topic unknown (name server route lookup, pull, stats).
    TOPIC_NOT_EXIST = 17;
    /// Topic already exists (legacy, not returned by current processors).
    TOPIC_EXIST_ALREADY = 18;
    /// No message at the requested offset yet; with suspend flag the broker holds the request instead.
    PULL_NOT_FOUND = 19;
    /// Nothing matched the filter or a queue file is being removed; pull again from nextBeginOffset.
    PULL_RETRY_IMMEDIATELY = 20;
    /// Requested offset outside the queue; continue from nextBeginOffset.
    PULL_OFFSET_MOVED = 21;
    /// Nothing found: message query, committed offset, or KV config.
    QUERY_NOT_FOUND = 22;
    /// Filter expression cannot be parsed.
    SUBSCRIPTION_PARSE_FAILED = 23;
    /// Group has no heartbeat/subscription for the topic.
    SUBSCRIPTION_NOT_EXIST = 24;
    /// Broker holds an older subscription version than the request subVersion.
    SUBSCRIPTION_NOT_LATEST = 25;
    /// Consumer group not configured and auto creation disabled.
    SUBSCRIPTION_GROUP_NOT_EXIST = 26;
    /// No compiled SQL92 filter for the group/topic.
    FILTER_DATA_NOT_EXIST = 27;
    /// Compiled SQL92 filter older than the request subVersion.
    FILTER_DATA_NOT_LATEST = 28;
    /// Bad argument in an admin or update request.
    INVALID_PARAMETER = 29;
    /// Legacy transaction state: commit.
    TRANSACTION_SHOULD_COMMIT = 200;
    /// Legacy transaction state: rollback.
    TRANSACTION_SHOULD_ROLLBACK = 201;
    /// Legacy transaction state: unknown.
    TRANSACTION_STATE_UNKNOW = 202;
    /// Legacy transaction state: producer group mismatch.
    TRANSACTION_STATE_GROUP_WRONG = 203;
    /// Buyer id property missing (unit deployment, legacy; in the producer retry set).
    NO_BUYER_ID = 204;
    /// Message does not belong to this unit (legacy; in the producer retry set).
    NOT_IN_CURRENT_UNIT = 205;
    /// No live connection for the consumer group.
    CONSUMER_NOT_ONLINE = 206;
    /// Direct consumption by a client timed out.
    CONSUME_MSG_TIMEOUT = 207;
    /// 5.x: ack or change-invisible offset outside the queue; both: local client code when a query finds
    /// nothing.
    NO_MESSAGE = 208;
    /// Pop long-polling table full.
    POLLING_FULL = 209;
    /// ACL 1.0 account update failed (same number as POLLING_FULL in 5.x).
    UPDATE_AND_CREATE_ACL_CONFIG_FAILED = 209;
    /// ACL 1.0 account delete failed (same number as POLLING_TIMEOUT in 5.x).
    DELETE_ACL_CONFIG_FAILED = 210;
    /// Pop/notification long poll expired with no message.
    POLLING_TIMEOUT = 210;
    /// Broker not present in the container.
    BROKER_NOT_EXIST = 211;
    /// ACL 1.0 global white list update failed (same number as BROKER_NOT_EXIST in 5.x).
    UPDATE_GLOBAL_WHITE_ADDRS_CONFIG_FAILED = 211;
    /// Recovered broker has not finished dispatching the commit log.
    BROKER_DISPATCH_NOT_COMPLETE = 212;
    /// Operation not possible for a broadcasting group (consumer progress).
    BROADCAST_CONSUMPTION = 213;
    /// Push/lite-pull clients back off 20 ms on it; no broker path in these trees returns it.
    FLOW_CONTROL = 215;
    /// Static topic: this broker is not the current owner of the logical queue.
    NOT_LEADER_FOR_QUEUE = 501;
    /// Operation refused: recall disabled or not recallable; 5.x end-transaction on an expired half
    /// message.
    ILLEGAL_OPERATION = 604;
    /// Server shutting down gracefully; client (version above 5.3.1) should reconnect elsewhere and
    /// resend.
    GO_AWAY = 1500;
    /// Master epoch in the request is stale.
    CONTROLLER_FENCED_MASTER_EPOCH = 2000;
    /// Sync-state-set epoch in the request is stale.
    CONTROLLER_FENCED_SYNC_STATE_SET_EPOCH = 2001;
    /// Requester is not the registered master.
    CONTROLLER_INVALID_MASTER = 2002;
    /// Sync-state-set contains unknown replicas.
    CONTROLLER_INVALID_REPLICAS = 2003;
    /// No live master for the broker set.
    CONTROLLER_MASTER_NOT_AVAILABLE = 2004;
    /// Malformed controller request.
    CONTROLLER_INVALID_REQUEST = 2005;
    /// Broker named in the request is not alive.
    CONTROLLER_BROKER_NOT_ALIVE = 2006;
    /// Controller node is not the leader; retry on the leader.
    CONTROLLER_NOT_LEADER = 2007;
    /// Broker set unknown to the controller.
    CONTROLLER_BROKER_METADATA_NOT_EXIST = 2008;
    /// Metadata clean request refused.
    CONTROLLER_INVALID_CLEAN_BROKER_METADATA = 2009;
    /// Broker must register first.
    CONTROLLER_BROKER_NEED_TO_BE_REGISTERED = 2010;
    /// Election refused: current master alive.
    CONTROLLER_MASTER_STILL_EXIST = 2011;
    /// Election found no candidate.
    CONTROLLER_ELECT_MASTER_FAILED = 2012;
    /// Sync-state-set change refused.
    CONTROLLER_ALTER_SYNC_STATE_SET_FAILED = 2013;
    /// Broker id already taken or not the next free id.
    CONTROLLER_BROKER_ID_INVALID = 2014;
    /// JRaft controller internal failure.
    CONTROLLER_JRAFT_INTERNAL_ERROR = 2015;
    /// No heartbeat info for the broker.
    CONTROLLER_BROKER_LIVE_INFO_NOT_EXISTS = 2016;
    /// Auth 2.0 user unknown.
    USER_NOT_EXIST = 3001;
    /// Auth 2.0 policy unknown.
    POLICY_NOT_EXIST = 3002;
}

impl fmt::Display for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} {name}", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}
