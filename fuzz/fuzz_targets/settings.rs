//! Settings files: the syntax, and what a Broker and an update at run time make of it.
#![no_main]

use ferrocket_broker::BrokerSettings;
use ferrocket_protocol::settings::{parse_properties, replace_values};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = BrokerSettings::default().load(text);
    let Ok(pairs) = parse_properties(text) else { return };
    for (key, value) in pairs.iter().take(16) {
        let _ = BrokerSettings::default().set(key, value);
    }
    let written = replace_values(text, &[("brokerName", "a\\b")]).expect("what was read can be changed");
    let again = parse_properties(&written).expect("what was written can be read");
    assert!(again.contains(&("brokerName".to_owned(), "a\\b".to_owned())), "{written:?}");
});
