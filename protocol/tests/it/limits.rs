//! The limits of frames, headers, bodies and compressed texts: what lies on one is read, one more is refused.

use bytes::BytesMut;
use ferrocket_protocol::body::heartbeat::HeartbeatData;
use ferrocket_protocol::body::register::{REGISTRATION_LEN_MAX, RegisterBrokerBody, RegistrationError};
use ferrocket_protocol::compression::{self, CompressionError};
use ferrocket_protocol::frame::{
    self, ANSWER_HEADER_LEN_MAX, EXT_FIELDS_MAX, EXT_KEY_LEN_MAX, FRAME_LEN_MAX, FrameError, HEADER_LEN_MAX,
};
use ferrocket_protocol::message::PROPERTIES_LEN_MAX;
use ferrocket_protocol::requests::Empty;
use ferrocket_protocol::{RemotingCommand, RequestCode, SerializeType, fastjson};

/// A frame with a JSON header, or as much of it as says how long it is.
fn json_frame(header: &str, body_len: usize) -> BytesMut {
    let mut bytes = BytesMut::new();
    bytes.extend_from_slice(&((4 + header.len() + body_len) as u32).to_be_bytes());
    bytes.extend_from_slice(&(header.len() as u32).to_be_bytes());
    bytes.extend_from_slice(header.as_bytes());
    bytes.resize(bytes.len() + body_len, 0);
    bytes
}

fn decode(mut bytes: BytesMut) -> Result<RemotingCommand, FrameError> {
    frame::decode(&mut bytes).map(|command| command.expect("a whole frame"))
}

/// `value` within so many lists.
fn nested(lists: usize, value: &str) -> String {
    format!("{}{value}{}", "[".repeat(lists), "]".repeat(lists))
}

/// A frame that is too long is refused by its first four bytes, a header that is too long for anything by its first
/// eight: nothing is waited for, and nothing kept. Answers may have longer headers than requests.
#[test]
fn lengths() {
    let header = "{\"code\":1}";
    let room = FRAME_LEN_MAX - 8 - header.len();
    assert_eq!(decode(json_frame(header, room)).unwrap().body.len(), room);
    let longer = json_frame(header, room + 1);
    let declared = FRAME_LEN_MAX as u32 - 3;
    assert_eq!(frame::decode(&mut longer[..4].into()), Err(FrameError::Length(declared)));
    let padded =
        |header: &str, len: usize| json_frame(&format!("{header}{}", " ".repeat(len - header.len())), 0);
    let too_long = |len: usize| FrameError::HeaderLength(len as u32 + 1);
    assert_eq!(decode(padded(header, HEADER_LEN_MAX)).unwrap().code, 1);
    assert_eq!(decode(padded(header, HEADER_LEN_MAX + 1)), Err(too_long(HEADER_LEN_MAX)));
    let answer = "{\"code\":1,\"flag\":1}";
    assert_eq!(decode(padded(answer, ANSWER_HEADER_LEN_MAX)).unwrap().code, 1);
    let longer = padded(answer, ANSWER_HEADER_LEN_MAX + 1);
    assert_eq!(frame::decode(&mut longer[..8].into()), Err(too_long(ANSWER_HEADER_LEN_MAX)));
}

/// Fields have a greatest number and their names a greatest length, in both forms of header. The longest legal
/// properties fit, also where JSON takes six bytes for each of theirs.
#[test]
fn fields() {
    for serialize_type in [SerializeType::Json, SerializeType::RocketMq] {
        let read = |fields: usize, name_len: usize| {
            let mut command = RemotingCommand::request(RequestCode::PullMessage, &Empty);
            command.serialize_type = serialize_type;
            for number in 0..fields {
                command.ext_fields.push(format!("{number:0name_len$}"), "x");
            }
            decode(BytesMut::from(&frame::to_bytes(&command)[..])).map(|command| command.ext_fields.len())
        };
        assert_eq!(read(EXT_FIELDS_MAX, 10), Ok(EXT_FIELDS_MAX));
        assert!(matches!(read(EXT_FIELDS_MAX + 1, 10), Err(FrameError::Header(_))));
        assert_eq!(read(2, EXT_KEY_LEN_MAX), Ok(2));
        assert!(matches!(read(2, EXT_KEY_LEN_MAX + 1), Err(FrameError::Header(_))));

        let mut command = RemotingCommand::request(RequestCode::SendMessage, &Empty);
        command.serialize_type = serialize_type;
        command.ext_fields.push("properties", "\u{1}".repeat(PROPERTIES_LEN_MAX));
        let read = decode(BytesMut::from(&frame::to_bytes(&command)[..])).unwrap();
        assert_eq!(read.ext_fields.get("properties"), command.ext_fields.get("properties"));
    }
}

/// Headers and bodies may be nested equally deep, also in what nobody reads.
#[test]
fn nesting() {
    for (depth, expected) in [(fastjson::DEPTH_MAX, true), (fastjson::DEPTH_MAX + 1, false)] {
        let inner = nested(depth - 1, "7");
        let header = json_frame(&format!("{{\"code\":1,\"more\":{inner}}}"), 0);
        assert_eq!(decode(header).is_ok(), expected, "header of depth {depth}");
        let body = format!("{{\"clientID\":\"c\",\"more\":{inner}}}");
        let body = fastjson::from_slice::<HeartbeatData>(body.as_bytes());
        assert_eq!(body.is_ok_and(|data| data.client_id == "c"), expected, "body of depth {depth}");
        let value = fastjson::from_slice::<serde_json::Value>(nested(depth, "7").as_bytes());
        assert_eq!(value.is_ok(), expected, "value of depth {depth}");
    }
}

/// A small compressed registration does not unfold beyond its limit, however well it is packed.
#[test]
fn unfolding() {
    let bomb = compression::zlib(&vec![0; REGISTRATION_LEN_MAX + 1], 1);
    assert!(bomb.len() < REGISTRATION_LEN_MAX / 100);
    assert_eq!(
        RegisterBrokerBody::decode(&bomb, true).unwrap_err(),
        RegistrationError::Compression(CompressionError::TooLong(REGISTRATION_LEN_MAX))
    );
}
