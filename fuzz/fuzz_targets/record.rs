//! Stored records back to back, as in the body of a pull or in a CommitLog.
#![no_main]

use bytes::Bytes;
use ferrocket_protocol::properties::Properties;
use ferrocket_protocol::{MessageRecord, RecordView};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(view) = RecordView::parse(data) {
        assert!(view.total_size <= data.len());
        let _ = view.body_crc_matches();
        let properties = Properties::parse(view.properties);
        assert_eq!(Properties::parse(&properties.to_text()), properties);
    }
    let _ = MessageRecord::decode_all(Bytes::copy_from_slice(data));
});
