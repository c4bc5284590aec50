//! Broken bytes from outside: thousands of deterministic mutations of valid input, which must give an error or
//! a value, but never a panic, and never more memory than the input justifies.

use bytes::{Bytes, BytesMut};
use ferrocket_protocol::batch::{self, BatchMessage};
use ferrocket_protocol::body::group::{ConsumerRunningInfo, SubscriptionGroupWrapper};
use ferrocket_protocol::body::heartbeat::HeartbeatData;
use ferrocket_protocol::body::offset::{ConsumerOffsetTable, ResetOffsetBody};
use ferrocket_protocol::body::register::RegisterBrokerBody;
use ferrocket_protocol::body::route::TopicRouteData;
use ferrocket_protocol::body::topic::TopicStatsTable;
use ferrocket_protocol::requests::send::SendMessageHeader;
use ferrocket_protocol::settings::{Setting, Settings, parse_properties};
use ferrocket_protocol::{
    ExtFields, Header, MessageRecord, RecordView, RemotingCommand, RequestCode, SerializeType, compression,
    fastjson, frame,
};

use crate::vectors::{self, Owner};

/// How often each input is mutated.
const ROUNDS: u64 = 4_000;

/// Numbers that look random and are the same on every run (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % sides.max(1) as u64) as usize
    }
}

/// Changes one to four places: bytes set, cut, doubled, moved, or replaced by what parsers stumble over.
fn mutate(input: &[u8], dice: &mut Dice) -> Vec<u8> {
    const TOKENS: [&[u8]; 16] = [
        b"{",
        b"}",
        b"[",
        b"]",
        b"\"",
        b"'",
        b":",
        b",",
        b"\\",
        b"\\u",
        b"null",
        b"-",
        b"\x00\x00\x00\x00",
        b"\x7f\xff\xff\xff",
        b"\xff\xff\xff\xff",
        b"\xf0\x9f",
    ];
    let mut bytes = input.to_vec();
    for _ in 0..=dice.roll(4) {
        let at = dice.roll(bytes.len() + 1);
        let end = at + dice.roll(bytes.len() - at + 1).min(16);
        match dice.roll(6) {
            0 => bytes.truncate(at),
            1 => {
                bytes.drain(at..end);
            }
            2 => {
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            3 => {
                let token = TOKENS[dice.roll(TOKENS.len())];
                let end = (at + token.len() * dice.roll(2)).min(bytes.len());
                bytes.splice(at..end, token.iter().copied());
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = match dice.roll(3) {
                        0 => byte.wrapping_add(1),
                        1 => *byte ^ 1 << dice.roll(8),
                        _ => dice.roll(256) as u8,
                    };
                }
            }
        }
    }
    bytes
}

/// Runs `check` on the input itself and on its mutations.
fn mutations(input: &[u8], mut check: impl FnMut(&[u8])) {
    check(input);
    for round in 0..ROUNDS {
        check(&mutate(input, &mut Dice(round)));
    }
}

/// Frames: whatever decodes can be encoded and decodes to the same again.
#[test]
fn frames() {
    let header = SendMessageHeader {
        producer_group: "group".into(),
        topic: "topic".into(),
        properties: Some("KEYS\u{1}k\u{2}TAGS\u{1}t\u{2}\u{4e2d}\u{1}\"\\".into()),
        reconsume_times: Some(3),
        ..SendMessageHeader::default()
    };
    for serialize_type in [SerializeType::Json, SerializeType::RocketMq] {
        let mut command = RemotingCommand::request(RequestCode::SendMessageV2, &header);
        command.ext_fields = ExtFields::new();
        header.clone().encode_v2(&mut command.ext_fields);
        command.remark = Some("why".into());
        command.serialize_type = serialize_type;
        command.body = Bytes::from_static(b"body");
        mutations(&frame::to_bytes(&command), |bytes| {
            let mut buffer = BytesMut::from(bytes);
            while let Ok(Some(command)) = frame::decode(&mut buffer) {
                let again =
                    frame::decode(&mut BytesMut::from(&frame::to_bytes(&command)[..])).unwrap().unwrap();
                assert_eq!(again, command);
                let _ = SendMessageHeader::decode(&command.ext_fields);
                let _ = SendMessageHeader::decode_v2(&command.ext_fields);
            }
            assert!(frame::missing(bytes, 1 << 16) <= 1 << 16);
        });
    }
}

/// Records: whatever parses has lengths within the input, and a V1 record encodes to the same bytes unless
/// its address bits or port are beyond what was ever written.
#[test]
fn records() {
    for host in ["10.0.0.1:1", "[::1]:1"] {
        let record = MessageRecord {
            topic: "T".into(),
            queue_id: 1,
            flag: 0,
            sys_flag: 0,
            queue_offset: 2,
            physical_offset: 3,
            born_timestamp: 4,
            born_host: host.parse().unwrap(),
            store_timestamp: 5,
            store_host: "10.0.0.2:2".parse().unwrap(),
            reconsume_times: 6,
            prepared_transaction_offset: 7,
            body: Bytes::from_static(b"body"),
            properties: "TAGS\u{1}t".into(),
        };
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        record.encode(&mut bytes);
        mutations(&bytes, |bytes| {
            if let Ok(view) = RecordView::parse(bytes) {
                assert!(view.total_size <= bytes.len());
                assert!(view.body.len() + view.topic.len() + view.properties.len() < view.total_size);
                let _ = view.body_crc_matches();
            }
            for record in MessageRecord::decode_all(Bytes::copy_from_slice(bytes)).unwrap_or_default() {
                let mut again = Vec::new();
                if record.topic.len() <= ferrocket_protocol::message::TOPIC_LEN_MAX {
                    record.encode(&mut again);
                    assert_eq!(again.len(), record.encoded_len());
                }
            }
        });
    }
}

/// Batches: whatever decodes encodes to a batch of the same messages.
#[test]
fn batches() {
    let message =
        BatchMessage { flag: 1, body: Bytes::from_static(b"body"), properties: "WAIT\u{1}true".into() };
    mutations(&batch::encode(&[message.clone(), message]), |bytes| {
        if let Ok(messages) = batch::decode(Bytes::copy_from_slice(bytes)) {
            assert_eq!(batch::decode(batch::encode(&messages)), Ok(messages));
        }
    });
}

/// JSON bodies, each read as every type: what reads can be written and reads as the same.
#[test]
fn json_bodies() {
    fn check<T: PartialEq + std::fmt::Debug + serde::Serialize + serde::de::DeserializeOwned>(text: &[u8]) {
        if let Ok(value) = fastjson::from_slice::<T>(text) {
            assert_eq!(fastjson::from_slice::<T>(&fastjson::to_vec(&value)).as_ref(), Ok(&value));
            assert_eq!(
                fastjson::from_slice::<T>(fastjson::to_pretty(&value).as_bytes()).as_ref(),
                Ok(&value)
            );
        }
    }
    for row in vectors::of(Owner::Protocol) {
        let text = &row.bytes[..];
        if !text.starts_with(b"{") {
            continue;
        }
        mutations(text, |text| {
            check::<HeartbeatData>(text);
            check::<TopicRouteData>(text);
            check::<TopicStatsTable>(text);
            check::<ResetOffsetBody>(text);
            check::<RegisterBrokerBody>(text);
            check::<SubscriptionGroupWrapper>(text);
            check::<ConsumerOffsetTable>(text);
            check::<serde_json::Value>(text);
            let _ = fastjson::from_slice::<ConsumerRunningInfo>(text);
        });
    }
}

/// Registrations and compressed bodies: a small stream cannot unfold to a large one.
#[test]
fn compressed() {
    let body = RegisterBrokerBody::default().encode(true);
    mutations(&body, |bytes| {
        let _ = RegisterBrokerBody::decode(bytes, true);
    });
    let bomb = compression::zlib(&vec![0; 1 << 22], 9);
    assert!(bomb.len() < 1 << 14);
    mutations(&bomb, |bytes| {
        if let Ok(plain) = compression::unzlib(bytes, 1 << 12) {
            assert!(plain.len() <= 1 << 12);
        }
    });
}

/// Settings files: whatever loads prints a text that loads to the same.
#[test]
fn settings() {
    const TABLE: &[Setting] = &[
        Setting::text("brokerName", "a", "A name."),
        Setting::int("listenPort", "1", 0, 65_535, "A port.").hot(),
        Setting::boolean("traceOn", true, "A switch."),
    ];
    let text = "# c\nbrokerName = C:\\\\x\\u4e2d \\\n  y\nlistenPort:10911\r\n!d\ntraceOn false\nother=1\n";
    mutations(text.as_bytes(), |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let _ = parse_properties(&text);
        let mut settings = Settings::from_table(TABLE);
        let _ = settings.update_hot(&text);
        if settings.load(&text).is_ok() {
            let mut again = Settings::from_table(TABLE);
            assert_eq!(again.load(&settings.properties_text()), Ok(vec![]));
            assert_eq!(again, settings);
        }
    });
}
