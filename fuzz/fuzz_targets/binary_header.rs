//! A header in the ROCKETMQ form, in a frame whose lengths are right, and the typed header of whatever request it
//! names.
#![no_main]

use bytes::{BufMut, BytesMut};
use ferrocket_protocol::frame;
use ferrocket_protocol::requests::pull::PullMessageHeader;
use ferrocket_protocol::requests::topic::CreateTopicHeader;
use ferrocket_protocol::{Header, SerializeType};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut buffer = BytesMut::new();
    buffer.put_u32(data.len() as u32 + 4);
    buffer.put_u32(1 << 24 | (data.len() as u32 & 0xff_ffff));
    buffer.put_slice(data);
    if let Ok(Some(command)) = frame::decode(&mut buffer) {
        assert_eq!(command.serialize_type, SerializeType::RocketMq);
        let again = frame::decode(&mut BytesMut::from(&frame::to_bytes(&command)[..]));
        assert_eq!(again, Ok(Some(command.clone())));
        let _ = PullMessageHeader::decode(&command.ext_fields);
        let _ = CreateTopicHeader::decode(&command.ext_fields);
    }
});
