//! The table of topics and the changes behind it, as a Broker finds them at its start.
#![no_main]

use ferrocket_broker::topics_of_files;
use libfuzzer_sys::fuzz_target;

const TABLE: &str = r#"{"dataVersion":{"counter":1,"timestamp":2},"topicConfigTable":{"T":{"perm":6}}}"#;
/// The first line of changes that come after [`TABLE`].
const AFTER: &str = r#"{"counter":1,"timestamp":2}"#;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = topics_of_files(text, text);
    let _ = topics_of_files(TABLE, text);
    let table = topics_of_files(TABLE, &format!("{AFTER}\n{text}")).expect("the table is one");
    // What is read back may be corrected once.
    let again = topics_of_files(&table, "").expect("what was written can be read");
    assert_eq!(topics_of_files(&again, ""), Ok(again));
});
