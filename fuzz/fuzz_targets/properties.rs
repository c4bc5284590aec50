//! The text of a message's properties: reading, changing, writing.
#![no_main]

use ferrocket_protocol::properties::{self, Properties};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut parsed = Properties::parse(text);
    assert_eq!(Properties::parse(&parsed.to_text()), parsed);
    let _ = properties::get(text, "TAGS");
    parsed.set("TAGS", "a");
    assert_eq!(Properties::parse(&parsed.to_text()).get("TAGS"), Some("a"));
    parsed.remove("TAGS");
    assert_eq!(parsed.get("TAGS"), None);
});
