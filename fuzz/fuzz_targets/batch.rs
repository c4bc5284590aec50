//! Bodies of batches.
#![no_main]

use bytes::Bytes;
use ferrocket_protocol::batch;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(messages) = batch::decode(Bytes::copy_from_slice(data)) {
        assert_eq!(batch::decode(batch::encode(&messages)), Ok(messages));
    }
});
