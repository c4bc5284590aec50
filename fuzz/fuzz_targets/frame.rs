//! A connection's bytes: frames until the first that is broken or incomplete.
#![no_main]

use bytes::BytesMut;
use ferrocket_protocol::frame;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut buffer = BytesMut::from(data);
    while let Ok(Some(command)) = frame::decode(&mut buffer) {
        let again = frame::decode(&mut BytesMut::from(&frame::to_bytes(&command)[..]));
        assert_eq!(again, Ok(Some(command)));
    }
});
