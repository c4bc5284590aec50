//! What a broker registers with, plain and compressed, and compressed bodies of messages.
#![no_main]

use ferrocket_protocol::body::register::RegisterBrokerBody;
use ferrocket_protocol::compression;
use libfuzzer_sys::fuzz_target;

/// No more than this may come out of what is compressed.
const PLAIN_LEN_MAX: usize = 1 << 16;

fuzz_target!(|data: &[u8]| {
    for compressed in [false, true] {
        if let Ok(body) = RegisterBrokerBody::decode(data, compressed) {
            assert_eq!(RegisterBrokerBody::decode(&body.encode(compressed), compressed), Ok(body));
        }
    }
    if let Ok(plain) = compression::unzlib(data, PLAIN_LEN_MAX) {
        assert!(plain.len() <= PLAIN_LEN_MAX);
    }
});
