//! SQL92 expressions of consumers, judged against the properties of a message: the first line is the expression.
#![no_main]

use ferrocket_broker::sql92_wants;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (expression, properties) = text.split_once('\n').unwrap_or((text, ""));
    let wanted = sql92_wants(expression, properties);
    assert_eq!(wanted, sql92_wants(expression, properties), "the same question has the same answer");
});
