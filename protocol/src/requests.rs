//! The table of all requests: one row per request code of 4.9 and 5.3.
//!
//! A row makes the code, its Java name, the typed header and reply, who receives it, its lane and the right
//! it needs. To find request `GET_MAX_OFFSET`: its row is here, its header in
//! `requests/offset.rs`, its handler is `fn get_max_offset` in the receiver's `handlers/offset.rs`.
//!
//! Java counterparts: `RequestCode` and the classes in `protocol/header`.

use std::fmt;

use crate::command::{ExtFields, Text};
use crate::decimal::Decimal;
use crate::text_block;

pub mod auth;
pub mod client;
pub mod config;
pub mod group;
pub mod kv;
pub mod offset;
pub mod pull;
pub mod query;
pub mod route;
pub mod send;
pub mod stats;
pub mod topic;
pub mod topic_list;
pub mod transaction;

/// A typed view of a command's extension fields.
pub trait Header: Sized {
    /// The fields in written order.
    const FIELDS: &'static [Field];
    /// Reads the fields this type knows and ignores all others.
    fn decode(fields: &ExtFields) -> Result<Self, HeaderError>;
    /// Appends the fields that have a value.
    fn encode(&self, fields: &mut ExtFields);
}

/// One field of a header, for documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The name on the wire.
    pub name: &'static str,
    /// What its text must be: `text`, `int`, `long` or `boolean`.
    pub kind: &'static str,
    /// Whether a request without it is refused.
    pub required: bool,
}

/// A field that is missing or does not read as what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderError {
    /// The name on the wire.
    pub field: &'static str,
    /// The text that was there, `None` if the field is missing.
    pub value: Option<Text>,
    /// What was expected.
    pub expected: &'static str,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            None => {
                write!(f, "field {} is missing, a value of type {} is expected", self.field, self.expected)
            }
            Some(value) => {
                let shown: String = value.chars().take(64).collect();
                write!(f, "field {} is {shown:?}, a value of type {} is expected", self.field, self.expected)
            }
        }
    }
}

impl std::error::Error for HeaderError {}

/// A type that a field's text can be read as. Java writes every value with `toString`.
pub trait FieldValue: Sized {
    /// What the text must be, in words.
    const KIND: &'static str;
    /// Reads the text.
    fn from_text(text: &Text) -> Option<Self>;
    /// The text that Java would write.
    fn into_text(self) -> Text;
}

impl FieldValue for Text {
    const KIND: &'static str = "text";
    fn from_text(text: &Text) -> Option<Self> {
        Some(text.clone())
    }
    fn into_text(self) -> Text {
        self
    }
}

impl FieldValue for i32 {
    const KIND: &'static str = "int";
    fn from_text(text: &Text) -> Option<Self> {
        match text.as_bytes()[..] {
            [digit @ b'0'..=b'9'] => Some(i32::from(digit - b'0')),
            _ => text.parse().ok(),
        }
    }
    fn into_text(self) -> Text {
        // Flags, queue numbers and counts are mostly small: those need no memory of their own.
        let small = usize::try_from(self).ok().and_then(|at| SMALL_NUMBERS.get(at));
        small.map_or_else(|| i64::from(self).into_text(), |text| Text::from_static(text))
    }
}

impl FieldValue for i64 {
    const KIND: &'static str = "long";
    fn from_text(text: &Text) -> Option<Self> {
        text.parse().ok()
    }
    fn into_text(self) -> Text {
        text_block::text(&[Decimal::new(self).as_bytes()])
    }
}

impl FieldValue for bool {
    const KIND: &'static str = "boolean";
    // Java's `Boolean.parseBoolean`: everything but "true" is false, also "1".
    fn from_text(text: &Text) -> Option<Self> {
        Some(text.eq_ignore_ascii_case("true"))
    }
    fn into_text(self) -> Text {
        Text::from_static(if self { "true" } else { "false" })
    }
}

/// The texts of the numbers from 0 on.
const SMALL_NUMBERS: [&str; 16] =
    ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15"];

/// A field's name, and its text if the field is there.
type Found<'a> = (&'static str, Option<&'a Text>);

/// The fields of these names, of those with the same name the last. Inlined, so that the names are constants to compare
/// with and not texts to walk through.
#[inline(always)]
fn find<'a, const N: usize>(fields: &'a ExtFields, names: [&'static str; N]) -> [Found<'a>; N] {
    let mut found = names.map(|name| (name, None));
    for (name, text) in fields.iter() {
        for at in 0..N {
            if names[at] == &**name {
                found[at].1 = Some(text);
                break;
            }
        }
    }
    found
}

/// Reads one optional field.
fn read<T: FieldValue>((field, text): Found<'_>) -> Result<Option<T>, HeaderError> {
    let Some(text) = text else { return Ok(None) };
    match T::from_text(text) {
        Some(value) => Ok(Some(value)),
        None => Err(HeaderError { field, value: Some(text.clone()), expected: T::KIND }),
    }
}

fn missing<T: FieldValue>(field: &'static str) -> HeaderError {
    HeaderError { field, value: None, expected: T::KIND }
}

/// Defines headers: `field: Type = "wireName" mode`, where the mode is `required` (refused without),
/// `default` (zero or empty without: real clients leave it out) or `optional` (an `Option`).
macro_rules! headers {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty = $wire:literal $mode:ident,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, Default, PartialEq, Eq)]
            pub struct $name {
                $(
                    #[doc = concat!("`", $wire, "`, ", stringify!($mode), ".")]
                    pub $field: headers!(@type $mode $type),
                )*
            }

            impl $name {
                /// Reads the fields under these names (in declaration order).
                #[inline(always)]
                pub(crate) fn decode_named(
                    fields: &$crate::command::ExtFields,
                    names: [&'static str; <Self as super::Header>::FIELDS.len()],
                ) -> Result<Self, super::HeaderError> {
                    let [$($field),*] = super::find(fields, names);
                    Ok(Self { $($field: headers!(@read $mode $type, $field),)* })
                }

                /// Appends the fields that have a value under these names (in declaration order).
                pub(crate) fn encode_named(
                    self,
                    fields: &mut $crate::command::ExtFields,
                    names: [&'static str; <Self as super::Header>::FIELDS.len()],
                ) {
                    fields.reserve(names.len());
                    let [$($field),*] = names;
                    $(headers!(@write $mode self.$field, fields, $field);)*
                }
            }

            impl super::Header for $name {
                const FIELDS: &'static [super::Field] = &[
                    $(super::Field {
                        name: $wire,
                        kind: <$type as super::FieldValue>::KIND,
                        required: headers!(@required $mode),
                    },)*
                ];

                fn decode(fields: &$crate::command::ExtFields) -> Result<Self, super::HeaderError> {
                    Self::decode_named(fields, [$($wire),*])
                }

                fn encode(&self, fields: &mut $crate::command::ExtFields) {
                    self.clone().encode_named(fields, [$($wire),*]);
                }
            }
        )*
    };
    (@type optional $type:ty) => { Option<$type> };
    (@type $mode:ident $type:ty) => { $type };
    (@read required $type:ty, $found:ident) => {
        super::read::<$type>($found)?.ok_or_else(|| super::missing::<$type>($found.0))?
    };
    (@read default $type:ty, $found:ident) => { super::read::<$type>($found)?.unwrap_or_default() };
    (@read optional $type:ty, $found:ident) => { super::read::<$type>($found)? };
    (@required required) => { true };
    (@required $mode:ident) => { false };
    (@write optional $value:expr, $fields:ident, $name:ident) => {
        if let Some(value) = $value {
            $fields.push($crate::command::Text::from_static($name), super::FieldValue::into_text(value));
        }
    };
    (@write $mode:ident $value:expr, $fields:ident, $name:ident) => {
        $fields.push($crate::command::Text::from_static($name), super::FieldValue::into_text($value));
    };
}
use headers;

/// No fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Empty;

impl Header for Empty {
    const FIELDS: &'static [Field] = &[];
    fn decode(_: &ExtFields) -> Result<Self, HeaderError> {
        Ok(Self)
    }
    fn encode(&self, _: &mut ExtFields) {}
}

/// Fields that nothing here reads: of requests of 5.x that nothing here handles, or by name alone.
pub type Untyped = Empty;

/// Who a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Receiver {
    /// The Broker.
    Broker,
    /// The NameServer.
    NameServer,
    /// A client, from its Broker.
    Client,
    /// The Broker, which relays it to a client.
    BrokerAndClient,
    /// A process that is not part of a 4.9 cluster (controller, container).
    Elsewhere,
    /// Nobody: a number without sender or handler in Java.
    Nobody,
}

/// The kind of work a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Lane {
    Send,
    Pull,
    Query,
    Transaction,
    Heartbeat,
    Offset,
    Route,
    Admin,
    Callback,
    Nowhere,
}

/// The right a request needs once access control is on. What is not granted is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    /// To publish to its topic.
    Pub,
    /// To subscribe to its topic with its group.
    Sub,
    /// To be a client; topics and groups inside are judged one by one.
    Client,
    /// To ask for routes.
    Route,
    /// To act as a broker of the cluster.
    Broker,
    /// To administer.
    Admin,
    /// Nobody may send it to a server.
    Nobody,
}

macro_rules! requests {
    ($($code:literal $java:ident $name:ident($header:ty) -> $reply:ty, $receiver:ident, $lane:ident, $permission:ident;)*) => {
        /// A request code that this build knows.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum RequestCode {
            $(
                #[doc = concat!("`", stringify!($java), "` (", stringify!($code), ")")]
                $name = $code,
            )*
        }

        impl RequestCode {
            /// Every row of the table in order of its code.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The row with this code.
            pub fn from_code(code: i32) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The number on the wire.
            pub const fn code(self) -> i32 {
                self as i32
            }

            /// Java's name of the constant.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($java),)*
                }
            }

            /// Who receives it.
            pub const fn receiver(self) -> Receiver {
                match self {
                    $(Self::$name => Receiver::$receiver,)*
                }
            }

            /// The kind of work it is.
            pub const fn lane(self) -> Lane {
                match self {
                    $(Self::$name => Lane::$lane,)*
                }
            }

            /// The right it needs.
            pub const fn permission(self) -> Permission {
                match self {
                    $(Self::$name => Permission::$permission,)*
                }
            }

            /// The fields of its header.
            pub const fn header_fields(self) -> &'static [Field] {
                match self {
                    $(Self::$name => <$header as Header>::FIELDS,)*
                }
            }

            /// The fields of its reply.
            pub const fn reply_fields(self) -> &'static [Field] {
                match self {
                    $(Self::$name => <$reply as Header>::FIELDS,)*
                }
            }
        }
    };
}

impl fmt::Display for RequestCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.code())
    }
}

use auth::{
    CreateAccessConfigHeader, DeleteAccessConfigHeader, GetBrokerAclConfigReply,
    UpdateGlobalWhiteAddrsConfigHeader,
};
use client::{
    ConsumeMessageDirectlyHeader, GetConsumerConnectionListHeader, GetConsumerListByGroupHeader,
    GetConsumerRunningInfoHeader, GetProducerConnectionListHeader, NotifyConsumerIdsChangedHeader,
    UnregisterClientHeader,
};
use config::GetBrokerConfigReply;
use group::{
    DeleteSubscriptionGroupHeader, GetConsumeStatsHeader, GetConsumeStatsInBrokerHeader,
    GetSubscriptionGroupConfigHeader, QueryConsumeTimeSpanHeader, QuerySubscriptionByConsumerHeader,
    QueryTopicConsumeByWhoHeader, QueryTopicsByConsumerHeader,
};
use kv::{
    DeleteKVConfigHeader, GetKVConfigHeader, GetKVConfigReply, GetKVListByNamespaceHeader, PutKVConfigHeader,
};
use offset::{
    CloneGroupOffsetHeader, GetConsumerStatusHeader, GetEarliestMsgStoretimeHeader,
    GetEarliestMsgStoretimeReply, GetMaxOffsetHeader, GetMaxOffsetReply, GetMinOffsetHeader,
    GetMinOffsetReply, QueryConsumerOffsetHeader, QueryConsumerOffsetReply, QueryCorrectionOffsetHeader,
    ResetOffsetHeader, SearchOffsetHeader, SearchOffsetReply, UpdateConsumerOffsetHeader,
};
use pull::{PullMessageHeader, PullMessageReply};
use query::{QueryConsumeQueueHeader, QueryMessageHeader, QueryMessageReply, ViewMessageHeader};
use route::{
    AddWritePermOfBrokerHeader, AddWritePermOfBrokerReply, GetRouteInfoHeader, QueryDataVersionHeader,
    QueryDataVersionReply, RegisterBrokerHeader, RegisterBrokerReply, UnregisterBrokerHeader,
    WipeWritePermOfBrokerHeader, WipeWritePermOfBrokerReply,
};
use send::{ConsumerSendMsgBackHeader, ReplyMessageHeader, SendMessageHeader, SendMessageReply};
use stats::ViewBrokerStatsDataHeader;
use topic::{CreateTopicHeader, DeleteTopicHeader, GetTopicConfigHeader, GetTopicStatsInfoHeader};
use topic_list::{DeleteTopicFromNamesrvHeader, GetTopicsByClusterHeader};
use transaction::{CheckTransactionStateHeader, EndTransactionHeader, ResumeCheckHalfMessageHeader};

requests! {
    // code NAME Variant(Header) -> Reply, receiver, lane, permission;
    10 SEND_MESSAGE SendMessage(SendMessageHeader) -> SendMessageReply, Broker, Send, Pub;
    11 PULL_MESSAGE PullMessage(PullMessageHeader) -> PullMessageReply, Broker, Pull, Sub;
    12 QUERY_MESSAGE QueryMessage(QueryMessageHeader) -> QueryMessageReply, Broker, Query, Sub;
    13 QUERY_BROKER_OFFSET QueryBrokerOffset(Empty) -> Empty, Nobody, Nowhere, Nobody;
    14 QUERY_CONSUMER_OFFSET QueryConsumerOffset(QueryConsumerOffsetHeader) -> QueryConsumerOffsetReply, Broker, Offset, Sub;
    15 UPDATE_CONSUMER_OFFSET UpdateConsumerOffset(UpdateConsumerOffsetHeader) -> Empty, Broker, Offset, Sub;
    17 UPDATE_AND_CREATE_TOPIC UpdateAndCreateTopic(CreateTopicHeader) -> Empty, Broker, Admin, Admin;
    18 UPDATE_AND_CREATE_TOPIC_LIST UpdateAndCreateTopicList(Empty) -> Empty, Broker, Admin, Admin;
    21 GET_ALL_TOPIC_CONFIG GetAllTopicConfig(Empty) -> Empty, Broker, Admin, Broker;
    22 GET_TOPIC_CONFIG_LIST GetTopicConfigList(Empty) -> Empty, Nobody, Nowhere, Nobody;
    23 GET_TOPIC_NAME_LIST GetTopicNameList(Empty) -> Empty, Nobody, Nowhere, Nobody;
    25 UPDATE_BROKER_CONFIG UpdateBrokerConfig(Empty) -> Empty, Broker, Admin, Admin;
    26 GET_BROKER_CONFIG GetBrokerConfig(Empty) -> GetBrokerConfigReply, Broker, Admin, Admin;
    27 TRIGGER_DELETE_FILES TriggerDeleteFiles(Empty) -> Empty, Nobody, Nowhere, Nobody;
    28 GET_BROKER_RUNTIME_INFO GetBrokerRuntimeInfo(Empty) -> Empty, Broker, Admin, Admin;
    29 SEARCH_OFFSET_BY_TIMESTAMP SearchOffsetByTimestamp(SearchOffsetHeader) -> SearchOffsetReply, Broker, Admin, Sub;
    30 GET_MAX_OFFSET GetMaxOffset(GetMaxOffsetHeader) -> GetMaxOffsetReply, Broker, Admin, Sub;
    31 GET_MIN_OFFSET GetMinOffset(GetMinOffsetHeader) -> GetMinOffsetReply, Broker, Admin, Sub;
    32 GET_EARLIEST_MSG_STORETIME GetEarliestMsgStoretime(GetEarliestMsgStoretimeHeader) -> GetEarliestMsgStoretimeReply, Broker, Admin, Sub;
    33 VIEW_MESSAGE_BY_ID ViewMessageById(ViewMessageHeader) -> Empty, Broker, Query, Sub;
    34 HEART_BEAT HeartBeat(Empty) -> Empty, Broker, Heartbeat, Client;
    35 UNREGISTER_CLIENT UnregisterClient(UnregisterClientHeader) -> Empty, Broker, Heartbeat, Client;
    36 CONSUMER_SEND_MSG_BACK ConsumerSendMsgBack(ConsumerSendMsgBackHeader) -> Empty, Broker, Send, Sub;
    37 END_TRANSACTION EndTransaction(EndTransactionHeader) -> Empty, Broker, Transaction, Pub;
    38 GET_CONSUMER_LIST_BY_GROUP GetConsumerListByGroup(GetConsumerListByGroupHeader) -> Empty, Broker, Offset, Sub;
    39 CHECK_TRANSACTION_STATE CheckTransactionState(CheckTransactionStateHeader) -> Empty, Client, Callback, Nobody;
    40 NOTIFY_CONSUMER_IDS_CHANGED NotifyConsumerIdsChanged(NotifyConsumerIdsChangedHeader) -> Empty, Client, Callback, Nobody;
    41 LOCK_BATCH_MQ LockBatchMq(Empty) -> Empty, Broker, Admin, Sub;
    42 UNLOCK_BATCH_MQ UnlockBatchMq(Empty) -> Empty, Broker, Admin, Sub;
    43 GET_ALL_CONSUMER_OFFSET GetAllConsumerOffset(Empty) -> Empty, Broker, Admin, Broker;
    45 GET_ALL_DELAY_OFFSET GetAllDelayOffset(Empty) -> Empty, Broker, Admin, Broker;
    46 CHECK_CLIENT_CONFIG CheckClientConfig(Empty) -> Empty, Broker, Heartbeat, Client;
    47 GET_CLIENT_CONFIG GetClientConfig(Empty) -> Empty, Nobody, Nowhere, Nobody;
    50 UPDATE_AND_CREATE_ACL_CONFIG UpdateAndCreateAclConfig(CreateAccessConfigHeader) -> Empty, Broker, Admin, Admin;
    51 DELETE_ACL_CONFIG DeleteAclConfig(DeleteAccessConfigHeader) -> Empty, Broker, Admin, Admin;
    52 GET_BROKER_CLUSTER_ACL_INFO GetBrokerClusterAclInfo(Empty) -> GetBrokerAclConfigReply, Broker, Admin, Admin;
    53 UPDATE_GLOBAL_WHITE_ADDRS_CONFIG UpdateGlobalWhiteAddrsConfig(UpdateGlobalWhiteAddrsConfigHeader) -> Empty, Broker, Admin, Admin;
    54 GET_BROKER_CLUSTER_ACL_CONFIG GetBrokerClusterAclConfig(Empty) -> Empty, Broker, Admin, Admin;
    60 GET_TIMER_CHECK_POINT GetTimerCheckPoint(Empty) -> Empty, Broker, Admin, Admin;
    61 GET_TIMER_METRICS GetTimerMetrics(Empty) -> Empty, Broker, Admin, Admin;
    100 PUT_KV_CONFIG PutKvConfig(PutKVConfigHeader) -> Empty, NameServer, Admin, Admin;
    101 GET_KV_CONFIG GetKvConfig(GetKVConfigHeader) -> GetKVConfigReply, NameServer, Admin, Admin;
    102 DELETE_KV_CONFIG DeleteKvConfig(DeleteKVConfigHeader) -> Empty, NameServer, Admin, Admin;
    103 REGISTER_BROKER RegisterBroker(RegisterBrokerHeader) -> RegisterBrokerReply, NameServer, Admin, Broker;
    104 UNREGISTER_BROKER UnregisterBroker(UnregisterBrokerHeader) -> Empty, NameServer, Admin, Broker;
    105 GET_ROUTEINFO_BY_TOPIC GetRouteinfoByTopic(GetRouteInfoHeader) -> Empty, NameServer, Route, Route;
    106 GET_BROKER_CLUSTER_INFO GetBrokerClusterInfo(Empty) -> Empty, NameServer, Admin, Route;
    200 UPDATE_AND_CREATE_SUBSCRIPTIONGROUP UpdateAndCreateSubscriptiongroup(Empty) -> Empty, Broker, Admin, Admin;
    201 GET_ALL_SUBSCRIPTIONGROUP_CONFIG GetAllSubscriptiongroupConfig(Empty) -> Empty, Broker, Admin, Admin;
    202 GET_TOPIC_STATS_INFO GetTopicStatsInfo(GetTopicStatsInfoHeader) -> Empty, Broker, Admin, Admin;
    203 GET_CONSUMER_CONNECTION_LIST GetConsumerConnectionList(GetConsumerConnectionListHeader) -> Empty, Broker, Admin, Admin;
    204 GET_PRODUCER_CONNECTION_LIST GetProducerConnectionList(GetProducerConnectionListHeader) -> Empty, Broker, Admin, Admin;
    205 WIPE_WRITE_PERM_OF_BROKER WipeWritePermOfBroker(WipeWritePermOfBrokerHeader) -> WipeWritePermOfBrokerReply, NameServer, Admin, Admin;
    206 GET_ALL_TOPIC_LIST_FROM_NAMESERVER GetAllTopicListFromNameserver(Empty) -> Empty, NameServer, Admin, Admin;
    207 DELETE_SUBSCRIPTIONGROUP DeleteSubscriptiongroup(DeleteSubscriptionGroupHeader) -> Empty, Broker, Admin, Admin;
    208 GET_CONSUME_STATS GetConsumeStats(GetConsumeStatsHeader) -> Empty, Broker, Admin, Admin;
    209 SUSPEND_CONSUMER SuspendConsumer(Empty) -> Empty, Nobody, Nowhere, Nobody;
    210 RESUME_CONSUMER ResumeConsumer(Empty) -> Empty, Nobody, Nowhere, Nobody;
    211 RESET_CONSUMER_OFFSET_IN_CONSUMER ResetConsumerOffsetInConsumer(Empty) -> Empty, Nobody, Nowhere, Nobody;
    212 RESET_CONSUMER_OFFSET_IN_BROKER ResetConsumerOffsetInBroker(Empty) -> Empty, Nobody, Nowhere, Nobody;
    213 ADJUST_CONSUMER_THREAD_POOL AdjustConsumerThreadPool(Empty) -> Empty, Nobody, Nowhere, Nobody;
    214 WHO_CONSUME_THE_MESSAGE WhoConsumeTheMessage(Empty) -> Empty, Nobody, Nowhere, Nobody;
    215 DELETE_TOPIC_IN_BROKER DeleteTopicInBroker(DeleteTopicHeader) -> Empty, Broker, Admin, Admin;
    216 DELETE_TOPIC_IN_NAMESRV DeleteTopicInNamesrv(DeleteTopicFromNamesrvHeader) -> Empty, NameServer, Admin, Admin;
    217 REGISTER_TOPIC_IN_NAMESRV RegisterTopicInNamesrv(Untyped) -> Empty, NameServer, Admin, Admin;
    219 GET_KVLIST_BY_NAMESPACE GetKvlistByNamespace(GetKVListByNamespaceHeader) -> Empty, NameServer, Admin, Admin;
    220 RESET_CONSUMER_CLIENT_OFFSET ResetConsumerClientOffset(ResetOffsetHeader) -> Empty, Client, Callback, Nobody;
    221 GET_CONSUMER_STATUS_FROM_CLIENT GetConsumerStatusFromClient(GetConsumerStatusHeader) -> Empty, Client, Callback, Nobody;
    222 INVOKE_BROKER_TO_RESET_OFFSET InvokeBrokerToResetOffset(ResetOffsetHeader) -> Empty, Broker, Admin, Admin;
    223 INVOKE_BROKER_TO_GET_CONSUMER_STATUS InvokeBrokerToGetConsumerStatus(GetConsumerStatusHeader) -> Empty, Broker, Admin, Admin;
    224 GET_TOPICS_BY_CLUSTER GetTopicsByCluster(GetTopicsByClusterHeader) -> Empty, NameServer, Admin, Admin;
    225 UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST UpdateAndCreateSubscriptiongroupList(Empty) -> Empty, Broker, Admin, Admin;
    300 QUERY_TOPIC_CONSUME_BY_WHO QueryTopicConsumeByWho(QueryTopicConsumeByWhoHeader) -> Empty, Broker, Admin, Admin;
    301 REGISTER_FILTER_SERVER RegisterFilterServer(Untyped) -> Empty, Nobody, Nowhere, Nobody;
    302 REGISTER_MESSAGE_FILTER_CLASS RegisterMessageFilterClass(Untyped) -> Empty, Nobody, Nowhere, Nobody;
    303 QUERY_CONSUME_TIME_SPAN QueryConsumeTimeSpan(QueryConsumeTimeSpanHeader) -> Empty, Broker, Admin, Admin;
    304 GET_SYSTEM_TOPIC_LIST_FROM_NS GetSystemTopicListFromNs(Empty) -> Empty, NameServer, Admin, Admin;
    305 GET_SYSTEM_TOPIC_LIST_FROM_BROKER GetSystemTopicListFromBroker(Empty) -> Empty, Broker, Admin, Admin;
    306 CLEAN_EXPIRED_CONSUMEQUEUE CleanExpiredConsumequeue(Empty) -> Empty, Broker, Admin, Admin;
    307 GET_CONSUMER_RUNNING_INFO GetConsumerRunningInfo(GetConsumerRunningInfoHeader) -> Empty, BrokerAndClient, Admin, Admin;
    308 QUERY_CORRECTION_OFFSET QueryCorrectionOffset(QueryCorrectionOffsetHeader) -> Empty, Broker, Admin, Admin;
    309 CONSUME_MESSAGE_DIRECTLY ConsumeMessageDirectly(ConsumeMessageDirectlyHeader) -> Empty, BrokerAndClient, Admin, Admin;
    310 SEND_MESSAGE_V2 SendMessageV2(SendMessageHeader) -> SendMessageReply, Broker, Send, Pub;
    311 GET_UNIT_TOPIC_LIST GetUnitTopicList(Empty) -> Empty, NameServer, Admin, Admin;
    312 GET_HAS_UNIT_SUB_TOPIC_LIST GetHasUnitSubTopicList(Empty) -> Empty, NameServer, Admin, Admin;
    313 GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST GetHasUnitSubUnunitTopicList(Empty) -> Empty, NameServer, Admin, Admin;
    314 CLONE_GROUP_OFFSET CloneGroupOffset(CloneGroupOffsetHeader) -> Empty, Broker, Admin, Admin;
    315 VIEW_BROKER_STATS_DATA ViewBrokerStatsData(ViewBrokerStatsDataHeader) -> Empty, Broker, Admin, Admin;
    316 CLEAN_UNUSED_TOPIC CleanUnusedTopic(Empty) -> Empty, Broker, Admin, Admin;
    317 GET_BROKER_CONSUME_STATS GetBrokerConsumeStats(GetConsumeStatsInBrokerHeader) -> Empty, Broker, Admin, Admin;
    318 UPDATE_NAMESRV_CONFIG UpdateNamesrvConfig(Empty) -> Empty, NameServer, Admin, Admin;
    319 GET_NAMESRV_CONFIG GetNamesrvConfig(Empty) -> Empty, NameServer, Admin, Admin;
    320 SEND_BATCH_MESSAGE SendBatchMessage(SendMessageHeader) -> SendMessageReply, Broker, Send, Pub;
    321 QUERY_CONSUME_QUEUE QueryConsumeQueue(QueryConsumeQueueHeader) -> Empty, Broker, Admin, Admin;
    322 QUERY_DATA_VERSION QueryDataVersion(QueryDataVersionHeader) -> QueryDataVersionReply, NameServer, Admin, Broker;
    323 RESUME_CHECK_HALF_MESSAGE ResumeCheckHalfMessage(ResumeCheckHalfMessageHeader) -> Empty, Broker, Admin, Admin;
    324 SEND_REPLY_MESSAGE SendReplyMessage(SendMessageHeader) -> SendMessageReply, Broker, Send, Pub;
    325 SEND_REPLY_MESSAGE_V2 SendReplyMessageV2(SendMessageHeader) -> SendMessageReply, Broker, Send, Pub;
    326 PUSH_REPLY_MESSAGE_TO_CLIENT PushReplyMessageToClient(ReplyMessageHeader) -> Empty, Client, Callback, Nobody;
    327 ADD_WRITE_PERM_OF_BROKER AddWritePermOfBroker(AddWritePermOfBrokerHeader) -> AddWritePermOfBrokerReply, NameServer, Admin, Admin;
    328 GET_ALL_PRODUCER_INFO GetAllProducerInfo(Empty) -> Empty, Broker, Admin, Admin;
    329 DELETE_EXPIRED_COMMITLOG DeleteExpiredCommitlog(Empty) -> Empty, Broker, Admin, Admin;
    343 QUERY_TOPICS_BY_CONSUMER QueryTopicsByConsumer(QueryTopicsByConsumerHeader) -> Empty, Broker, Admin, Admin;
    345 QUERY_SUBSCRIPTION_BY_CONSUMER QuerySubscriptionByConsumer(QuerySubscriptionByConsumerHeader) -> Empty, Broker, Admin, Admin;
    351 GET_TOPIC_CONFIG GetTopicConfig(GetTopicConfigHeader) -> Empty, Broker, Admin, Admin;
    352 GET_SUBSCRIPTIONGROUP_CONFIG GetSubscriptiongroupConfig(GetSubscriptionGroupConfigHeader) -> Empty, Broker, Admin, Admin;
    353 UPDATE_AND_GET_GROUP_FORBIDDEN UpdateAndGetGroupForbidden(Untyped) -> Empty, Broker, Admin, Admin;
    354 CHECK_ROCKSDB_CQ_WRITE_PROGRESS CheckRocksdbCqWriteProgress(Untyped) -> Empty, Broker, Admin, Admin;
    355 EXPORT_ROCKSDB_CONFIG_TO_JSON ExportRocksdbConfigToJson(Untyped) -> Empty, Broker, Admin, Admin;
    361 LITE_PULL_MESSAGE LitePullMessage(PullMessageHeader) -> PullMessageReply, Broker, Pull, Sub;
    370 RECALL_MESSAGE RecallMessage(Untyped) -> Empty, Broker, Admin, Pub;
    400 QUERY_ASSIGNMENT QueryAssignment(Empty) -> Empty, Broker, Admin, Sub;
    401 SET_MESSAGE_REQUEST_MODE SetMessageRequestMode(Empty) -> Empty, Broker, Admin, Admin;
    402 GET_ALL_MESSAGE_REQUEST_MODE GetAllMessageRequestMode(Empty) -> Empty, Broker, Admin, Admin;
    513 UPDATE_AND_CREATE_STATIC_TOPIC UpdateAndCreateStaticTopic(Untyped) -> Empty, Broker, Admin, Admin;
    901 GET_BROKER_MEMBER_GROUP GetBrokerMemberGroup(Untyped) -> Empty, NameServer, Admin, Admin;
    902 ADD_BROKER AddBroker(Untyped) -> Empty, Elsewhere, Nowhere, Admin;
    903 REMOVE_BROKER RemoveBroker(Untyped) -> Empty, Elsewhere, Nowhere, Admin;
    904 BROKER_HEARTBEAT BrokerHeartbeat(Untyped) -> Empty, NameServer, Admin, Admin;
    905 NOTIFY_MIN_BROKER_ID_CHANGE NotifyMinBrokerIdChange(Untyped) -> Empty, Broker, Admin, Admin;
    906 EXCHANGE_BROKER_HA_INFO ExchangeBrokerHaInfo(Untyped) -> Empty, Broker, Admin, Admin;
    907 GET_BROKER_HA_STATUS GetBrokerHaStatus(Empty) -> Empty, Broker, Admin, Admin;
    908 RESET_MASTER_FLUSH_OFFSET ResetMasterFlushOffset(Untyped) -> Empty, Broker, Admin, Admin;
    1001 CONTROLLER_ALTER_SYNC_STATE_SET ControllerAlterSyncStateSet(Untyped) -> Empty, Elsewhere, Nowhere, Admin;
    1002 CONTROLLER_ELECT_MASTER ControllerElectMaster(Untyped) -> Empty, Elsewhere, Nowhere, Admin;
    1003 CONTROLLER_REGISTER_BROKER ControllerRegisterBroker(Untyped) -> Empty, Elsewhere, Nowhere, Admin;
    1004 CONTROLLER_GET_REPLICA_INFO ControllerGetReplicaInfo(Untyped) -> Empty, Elsewhere, Nowhere, Admin;
    1005 CONTROLLER_GET_METADATA_INFO ControllerGetMetadataInfo(Empty) -> Empty, Elsewhere, Nowhere, Admin;
    1006 CONTROLLER_GET_SYNC_STATE_DATA ControllerGetSyncStateData(Empty) -> Empty, Elsewhere, Nowhere, Admin;
    1007 GET_BROKER_EPOCH_CACHE GetBrokerEpochCache(Empty) -> Empty, Broker, Admin, Admin;
    1008 NOTIFY_BROKER_ROLE_CHANGED NotifyBrokerRoleChanged(Untyped) -> Empty, Broker, Admin, Admin;
    1009 UPDATE_CONTROLLER_CONFIG UpdateControllerConfig(Empty) -> Empty, Elsewhere, Nowhere, Admin;
    1010 GET_CONTROLLER_CONFIG GetControllerConfig(Empty) -> Empty, Elsewhere, Nowhere, Admin;
    1011 CLEAN_BROKER_DATA CleanBrokerData(Untyped) -> Empty, Elsewhere, Nowhere, Admin;
    1012 CONTROLLER_GET_NEXT_BROKER_ID ControllerGetNextBrokerId(Untyped) -> Empty, Elsewhere, Nowhere, Admin;
    1013 CONTROLLER_APPLY_BROKER_ID ControllerApplyBrokerId(Untyped) -> Empty, Elsewhere, Nowhere, Admin;
    1014 BROKER_CLOSE_CHANNEL_REQUEST BrokerCloseChannelRequest(Untyped) -> Empty, Elsewhere, Nowhere, Admin;
    1015 CHECK_NOT_ACTIVE_BROKER_REQUEST CheckNotActiveBrokerRequest(Untyped) -> Empty, Elsewhere, Nowhere, Admin;
    1016 GET_BROKER_LIVE_INFO_REQUEST GetBrokerLiveInfoRequest(Untyped) -> Empty, Elsewhere, Nowhere, Admin;
    1017 GET_SYNC_STATE_DATA_REQUEST GetSyncStateDataRequest(Empty) -> Empty, Nobody, Nowhere, Nobody;
    1018 RAFT_BROKER_HEART_BEAT_EVENT_REQUEST RaftBrokerHeartBeatEventRequest(Untyped) -> Empty, Elsewhere, Nowhere, Admin;
    2001 UPDATE_COLD_DATA_FLOW_CTR_CONFIG UpdateColdDataFlowCtrConfig(Empty) -> Empty, Broker, Admin, Admin;
    2002 REMOVE_COLD_DATA_FLOW_CTR_CONFIG RemoveColdDataFlowCtrConfig(Empty) -> Empty, Broker, Admin, Admin;
    2003 GET_COLD_DATA_FLOW_CTR_INFO GetColdDataFlowCtrInfo(Empty) -> Empty, Broker, Admin, Admin;
    2004 SET_COMMITLOG_READ_MODE SetCommitlogReadMode(Empty) -> Empty, Broker, Admin, Admin;
    3001 AUTH_CREATE_USER AuthCreateUser(Untyped) -> Empty, Broker, Admin, Admin;
    3002 AUTH_UPDATE_USER AuthUpdateUser(Untyped) -> Empty, Broker, Admin, Admin;
    3003 AUTH_DELETE_USER AuthDeleteUser(Untyped) -> Empty, Broker, Admin, Admin;
    3004 AUTH_GET_USER AuthGetUser(Untyped) -> Empty, Broker, Admin, Admin;
    3005 AUTH_LIST_USER AuthListUser(Untyped) -> Empty, Broker, Admin, Admin;
    3006 AUTH_CREATE_ACL AuthCreateAcl(Untyped) -> Empty, Broker, Admin, Admin;
    3007 AUTH_UPDATE_ACL AuthUpdateAcl(Untyped) -> Empty, Broker, Admin, Admin;
    3008 AUTH_DELETE_ACL AuthDeleteAcl(Untyped) -> Empty, Broker, Admin, Admin;
    3009 AUTH_GET_ACL AuthGetAcl(Untyped) -> Empty, Broker, Admin, Admin;
    3010 AUTH_LIST_ACL AuthListAcl(Untyped) -> Empty, Broker, Admin, Admin;
    200050 POP_MESSAGE PopMessage(Untyped) -> Empty, Broker, Admin, Sub;
    200051 ACK_MESSAGE AckMessage(Untyped) -> Empty, Broker, Admin, Sub;
    200052 PEEK_MESSAGE PeekMessage(Untyped) -> Empty, Broker, Admin, Sub;
    200053 CHANGE_MESSAGE_INVISIBLETIME ChangeMessageInvisibletime(Untyped) -> Empty, Broker, Admin, Sub;
    200054 NOTIFICATION Notification(Untyped) -> Empty, Broker, Admin, Sub;
    200055 POLLING_INFO PollingInfo(Untyped) -> Empty, Broker, Admin, Sub;
    200056 POP_ROLLBACK PopRollback(Empty) -> Empty, Broker, Admin, Admin;
    200151 BATCH_ACK_MESSAGE BatchAckMessage(Empty) -> Empty, Broker, Admin, Sub;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requests::offset::GetMaxOffsetHeader;

    /// Codes are unique, ascending, and lead back to their rows.
    #[test]
    fn table_is_consistent() {
        assert!(RequestCode::ALL.is_sorted_by_key(|row| row.code()));
        for row in RequestCode::ALL {
            assert_eq!(RequestCode::from_code(row.code()), Some(*row));
        }
        assert_eq!(RequestCode::from_code(-1), None);
    }

    /// Fields are found in any order, among others; of two with one name the last counts.
    #[test]
    fn fields_come_in_any_order() {
        let written = [
            ("queueId", "1"),
            ("x", "y"),
            ("topic", "old"),
            ("committed", "true"),
            ("topic", "T"),
            ("queueId", "2"),
        ];
        let header = GetMaxOffsetHeader::decode(&ExtFields::from_iter(written)).unwrap();
        assert_eq!(header, GetMaxOffsetHeader { topic: "T".into(), queue_id: 2, committed: Some(true) });
    }

    /// A bad field is named with its value; a missing one is named too.
    #[test]
    fn errors_name_the_field() {
        let fields = ExtFields::from_iter([("topic", "T"), ("queueId", "x")]);
        let error = GetMaxOffsetHeader::decode(&fields).unwrap_err();
        assert_eq!(error.to_string(), "field queueId is \"x\", a value of type int is expected");
        let error = GetMaxOffsetHeader::decode(&ExtFields::new()).unwrap_err();
        assert_eq!(error.to_string(), "field topic is missing, a value of type text is expected");
    }
}
