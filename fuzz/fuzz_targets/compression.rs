//! Compressed bodies of all three kinds, with a bound on what they may unfold to.
#![no_main]

use bytes::Bytes;
use ferrocket_protocol::compression::{self, CompressionError};
use libfuzzer_sys::fuzz_target;

/// No more than this may come out.
const PLAIN_LEN_MAX: usize = 1 << 16;

fuzz_target!(|data: &[u8]| {
    type Unfold = fn(&[u8], usize) -> Result<Bytes, CompressionError>;
    let kinds: [(Vec<u8>, Unfold); 3] = [
        (compression::zlib(data, 1), compression::unzlib),
        (compression::lz4(data), compression::unlz4),
        (compression::zstd(data, 1), compression::unzstd),
    ];
    for (folded, unfold) in kinds {
        if let Ok(plain) = unfold(data, PLAIN_LEN_MAX) {
            assert!(plain.len() <= PLAIN_LEN_MAX);
        }
        assert_eq!(unfold(&folded, data.len()).as_deref(), Ok(data));
    }
});
