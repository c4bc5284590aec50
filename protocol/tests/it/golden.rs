//! Every row of the golden vectors that is the protocol's, in both directions.

use bytes::{Bytes, BytesMut};
use ferrocket_protocol::acl::{Credentials, SIGNATURE, is_signed};
use ferrocket_protocol::batch::{self, BatchMessage};
use ferrocket_protocol::body::group::SubscriptionGroupConfig;
use ferrocket_protocol::body::heartbeat::{
    ConsumeFromWhere, ConsumeType, HeartbeatData, MessageModel, SubscriptionData,
};
use ferrocket_protocol::body::lock::LockBatchRequestBody;
use ferrocket_protocol::body::message_queue::MessageQueue;
use ferrocket_protocol::body::offset::{DelayOffsetTable, ResetOffsetBody};
use ferrocket_protocol::body::register::{KVConfig, RegisterBrokerBody};
use ferrocket_protocol::body::route::TopicRouteData;
use ferrocket_protocol::body::topic::{TopicConfig, TopicStatsTable};
use ferrocket_protocol::message::{body_crc, java_hash, sys_flag, tags_code};
use ferrocket_protocol::message_id::OffsetMessageId;
use ferrocket_protocol::properties::Properties;
use ferrocket_protocol::requests::Empty;
use ferrocket_protocol::requests::offset::GetMaxOffsetReply;
use ferrocket_protocol::requests::pull::PullMessageHeader;
use ferrocket_protocol::{
    Header, LanguageCode, MessageRecord, RemotingCommand, RequestCode, SerializeType, compression, fastjson,
    frame,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::vectors::{self, Owner, Vector};

/// A row that no branch knows fails: a new vector cannot be forgotten.
#[test]
fn every_row() {
    // The frame of a pull request with a JSON header, which two rows have in parts and two more sign.
    let mut pull = Vec::new();
    for row in vectors::of(Owner::Protocol) {
        let Vector { name, version, text: expected, bytes, .. } = &row;
        let java4 = version.starts_with("4.9");
        match name.as_str() {
            "store message v4 addresses" => record(bytes, false, java4),
            "store message v6 addresses" => record(bytes, true, java4),
            "client batch body, two messages" => batch_body(bytes, java4),
            "crc32 of 'Hello' (31 bit)" => assert_eq!(body_crc(b"Hello").to_string(), *expected),
            "tag hash TagA" => assert_eq!(tags_code(Some("TagA")).to_string(), *expected),
            "index hash of TopicTest#key1" => {
                assert_eq!(java_hash("TopicTest#key1").unsigned_abs().to_string(), *expected)
            }
            "zlib level 5 body of 'Hello' x20" => zlib(bytes),
            "remoting frame, ROCKETMQ header, pull request" => {
                let command = pull_request(bytes);
                assert_eq!(command.serialize_type, SerializeType::RocketMq);
                assert_eq!(frame::to_bytes(&command), *bytes);
            }
            "remoting JSON header, pull request" => {
                pull.extend_from_slice(bytes);
                let command = pull_request(&pull);
                assert_eq!(command.serialize_type, SerializeType::Json);
                assert_eq!(frame::to_bytes(&command), pull);
            }
            "remoting frame, ROCKETMQ header, GET_MAX_OFFSET response" => max_offset_reply(bytes),
            "HeartbeatData JSON" if java4 => heartbeat(expected),
            "HeartbeatData JSON" => {
                let data: HeartbeatData = json(expected, false);
                assert_eq!((data.client_id.as_str(), data.consumer_data_set.len()), ("c", 0));
                assert_eq!(data.producer_data_set[0].group_name, "PG");
                assert_eq!((data.heartbeat_fingerprint, data.without_sub), (Some(5), Some(false)));
            }
            "TopicRouteData JSON, lenient" => route(&json(expected, true)),
            "TopicRouteData JSON, strict" => route(&json(expected, false)),
            "TopicStatsTable JSON" => {
                let table: TopicStatsTable = json(expected, false);
                let offset = table.offset_table[&MessageQueue::new("TopicA", "broker-a", 0)];
                assert_eq!((offset.max_offset, offset.last_update_timestamp), (3, 1_795_395_431_488));
            }
            "ResetOffsetBody JSON" => {
                let body: ResetOffsetBody = json(expected, false);
                assert_eq!(body.offset_table[&MessageQueue::new("T", "b", 0)], 5);
            }
            "LockBatchRequestBody JSON" => {
                let body: LockBatchRequestBody = json(expected, false);
                assert_eq!((body.client_id.as_str(), body.consumer_group.as_str()), ("c", "CG"));
                assert!(body.mq_set.contains(&MessageQueue::new("T", "b", 0)));
            }
            "RegisterBrokerBody JSON" => registration(&json(expected, false)),
            // The frame before, signed: the signature is over exactly the content of this row.
            "ACL signed content" => {
                let only = expected.strip_suffix("body").unwrap();
                let request = RemotingCommand::request(RequestCode::PullMessage, &Empty);
                assert_eq!(signature(request, only), signature(pull_request(&pull), "rocketmq2"));
            }
            "ACL Signature" => {
                assert_eq!(signature(pull_request(&pull), "rocketmq2"), *expected)
            }
            "RegisterBrokerBody compressed" => compressed_registration(bytes),
            "TopicConfig line in compressed registration" => {
                let config = TopicConfig::from_line(expected).unwrap();
                assert_eq!(config.attributes.as_ref().unwrap()["+message.type"], "FIFO");
                let attributes = String::from_utf8(fastjson::to_vec(&config.attributes)).unwrap();
                assert_eq!(format!("{} {attributes}", config.to_line()), *expected);
            }
            "SubscriptionGroupConfig JSON" => {
                let config: SubscriptionGroupConfig = json(expected, false);
                assert_eq!((config.group_name.as_str(), config.consume_timeout_minute), ("G", Some(15)));
            }
            "delayOffset.json" => {
                let table: DelayOffsetTable = json(expected, true);
                assert_eq!(table.offset_table[&3], 2);
            }
            "kvConfig.json (name server)" => {
                let config: KVConfig = json(expected, false);
                assert_eq!(config.config_table["ORDER_TOPIC_CONFIG"]["TopicA"], "broker-a:4");
            }
            // Of 5.x, and nothing here speaks them: at least the dialect holds.
            "BatchAckMessageRequestBody JSON"
            | "AckMsg JSON (revive topic body, tag ack)"
            | "PopCheckPoint JSON (revive topic body, tag ck)"
            | "QueryAssignmentResponseBody JSON"
            | "AclInfo JSON" => assert!(json::<serde_json::Value>(expected, false).is_object()),
            "remoting frame, JSON header, pull request: first 8 bytes" => pull.extend_from_slice(bytes),
            id if id.starts_with("offsetMsgId ") => message_id(id, expected),
            other => panic!("no test for {other}"),
        }
    }
}

/// Reads a text and writes it back: the same text, in fastjson's form or the strict one.
fn json<T: Serialize + DeserializeOwned>(text: &str, lenient: bool) -> T {
    let value: T = fastjson::from_slice(text.as_bytes()).unwrap();
    let written = if lenient { fastjson::to_vec_lenient(&value) } else { fastjson::to_vec(&value) };
    assert_eq!(String::from_utf8(written).unwrap(), text);
    value
}

fn record(bytes: &[u8], v6: bool, java4: bool) {
    let (born, store) = match v6 {
        false => ("10.0.0.1:12345", "10.0.0.2:10911"),
        true => ("[2001:db8::1]:12345", "[2001:db8::2]:10911"),
    };
    let end = if java4 { "" } else { "\u{2}" };
    let record = MessageRecord {
        topic: "TopicTest".into(),
        queue_id: 3,
        flag: 0,
        sys_flag: if v6 { sys_flag::BORN_HOST_V6 | sys_flag::STORE_HOST_V6 } else { 0 },
        queue_offset: 42,
        physical_offset: 1024,
        born_timestamp: 1_700_000_000_000,
        born_host: born.parse().unwrap(),
        store_timestamp: 1_700_000_000_123,
        store_host: store.parse().unwrap(),
        reconsume_times: 1,
        prepared_transaction_offset: 0,
        body: Bytes::from_static(b"Hello"),
        properties: format!("a\u{1}1\u{2}TAGS\u{1}TagA{end}").into(),
    };
    assert_eq!(
        MessageRecord::decode_all(Bytes::copy_from_slice(bytes)).as_deref(),
        Ok(&[record.clone()][..])
    );
    let mut written = Vec::new();
    record.encode(&mut written);
    assert_eq!(written, bytes);
    assert_eq!(Properties::parse(&record.properties).get("TAGS"), Some("TagA"));
}

fn message_id(name: &str, expected: &str) {
    let words: Vec<_> = name.split(' ').collect();
    let id = OffsetMessageId { host: words[1].parse().unwrap(), physical_offset: words[3].parse().unwrap() };
    assert_eq!(id.to_string(), expected);
    assert_eq!(OffsetMessageId::parse(expected), Some(id));
}

fn batch_body(bytes: &[u8], java4: bool) {
    let end = if java4 { "" } else { "\u{2}" };
    let message = |body: &'static str, properties: &str| BatchMessage {
        flag: 0,
        body: Bytes::from_static(body.as_bytes()),
        properties: format!("{properties}{end}").into(),
    };
    let messages =
        [message("a", "WAIT\u{1}true"), message("bb", "KEYS\u{1}k\u{2}WAIT\u{1}true\u{2}TAGS\u{1}TagB")];
    assert_eq!(batch::encode(&messages), bytes);
    assert_eq!(batch::decode(Bytes::copy_from_slice(bytes)).as_deref(), Ok(&messages[..]));
}

fn zlib(bytes: &[u8]) {
    let plain = "Hello".repeat(20);
    assert_eq!(compression::unzlib(bytes, plain.len()).unwrap(), plain);
    assert_eq!(compression::zlib(plain.as_bytes(), 5), bytes);
}

fn pull_request(bytes: &[u8]) -> RemotingCommand {
    let command = frame::decode(&mut BytesMut::from(bytes)).unwrap().unwrap();
    assert_eq!(command.request_code(), Some(RequestCode::PullMessage));
    assert_eq!((command.opaque, command.version, command.language), (7, 0, LanguageCode::JAVA));
    let expected = PullMessageHeader {
        consumer_group: "CG".into(),
        topic: "T".into(),
        queue_id: 1,
        queue_offset: 2,
        max_msg_nums: 32,
        sys_flag: 6,
        commit_offset: 0,
        suspend_timeout_millis: 15_000,
        subscription: Some("*".into()),
        sub_version: 1,
        expression_type: Some("TAG".into()),
        ..PullMessageHeader::default()
    };
    assert_eq!(PullMessageHeader::decode(&command.ext_fields).as_ref(), Ok(&expected));
    let written = RemotingCommand::request(RequestCode::PullMessage, &expected);
    for (name, value) in command.ext_fields.iter() {
        assert_eq!(written.ext_fields.get(name), Some(value), "{name}");
    }
    assert_eq!(written.ext_fields.len(), command.ext_fields.len());
    command
}

/// The signature of a request with the body and the secret of the rows.
fn signature(request: RemotingCommand, access_key: &str) -> String {
    let mut request = request.with_body("body");
    Credentials::new(access_key.to_owned(), "12345678").sign(&mut request);
    assert!(is_signed(&request, "12345678"));
    request.ext_fields.get(SIGNATURE).unwrap().to_string()
}

fn max_offset_reply(bytes: &[u8]) {
    let command = frame::decode(&mut BytesMut::from(bytes)).unwrap().unwrap();
    assert_eq!((command.code, command.version, command.opaque), (0, 409, 7));
    assert!(command.is_response() && command.remark.is_none());
    assert_eq!(GetMaxOffsetReply::decode(&command.ext_fields), Ok(GetMaxOffsetReply { offset: 3 }));
    let mut request = RemotingCommand::request(RequestCode::GetMaxOffset, &Empty);
    (request.opaque, request.serialize_type) = (7, SerializeType::RocketMq);
    assert_eq!(frame::to_bytes(&request.reply_with(&GetMaxOffsetReply { offset: 3 })), bytes);
}

fn heartbeat(text: &str) {
    let data: HeartbeatData = json(text, false);
    assert_eq!(data.client_id, "192.0.2.2@pid");
    assert_eq!(data.producer_data_set[0].group_name, "PG");
    let consumer = &data.consumer_data_set[0];
    assert_eq!(consumer.consume_from_where, ConsumeFromWhere::LastOffset);
    assert_eq!(
        (consumer.consume_type, consumer.message_model),
        (ConsumeType::Passively, MessageModel::Clustering)
    );
    assert_eq!(
        Some(&consumer.subscription_data_set[0]),
        SubscriptionData::tags("T", "TagA || TagB", 1).as_ref()
    );
}

fn route(route: &TopicRouteData) {
    assert_eq!(route.broker_datas[0].broker_addrs[&0], "127.0.0.1:40911");
    assert_eq!((route.queue_datas[0].perm, route.queue_datas[0].read_queue_nums), (6, 4));
}

fn registration(body: &RegisterBrokerBody) {
    let table = &body.topic_config_serialize_wrapper;
    assert_eq!((table.data_version.counter, table.data_version.timestamp), (0, 1_795_395_760_829));
    assert_eq!(table.topic_config_table["T"], TopicConfig::new("T", 16, 16, 6));
}

fn compressed_registration(bytes: &[u8]) {
    let body = RegisterBrokerBody::decode(bytes, true).unwrap();
    registration(&body);
    assert_eq!(body.encode(true), bytes);
}
