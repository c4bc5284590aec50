//! Bodies that hold other things: batches, and compressed registrations.
#![no_main]

use bytes::Bytes;
use ferrocket_protocol::batch;
use ferrocket_protocol::body::register::RegisterBrokerBody;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(messages) = batch::decode(Bytes::copy_from_slice(data)) {
        assert_eq!(batch::decode(batch::encode(&messages)), Ok(messages));
    }
    let _ = RegisterBrokerBody::decode(data, true);
});
