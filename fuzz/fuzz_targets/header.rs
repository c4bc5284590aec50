//! A JSON header alone, in a frame whose lengths are right, so that the scanner sees every byte.
#![no_main]

use bytes::{BufMut, BytesMut};
use ferrocket_protocol::requests::send::SendMessageHeader;
use ferrocket_protocol::{Header, frame};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut buffer = BytesMut::new();
    buffer.put_u32(data.len() as u32 + 4);
    buffer.put_u32(data.len() as u32 & 0xff_ffff);
    buffer.put_slice(data);
    if let Ok(Some(command)) = frame::decode(&mut buffer) {
        let _ = SendMessageHeader::decode(&command.ext_fields);
        let _ = SendMessageHeader::decode_v2(&command.ext_fields);
    }
});
