//! JSON bodies, as the types with the oddest keys.
#![no_main]

use ferrocket_protocol::body::group::ConsumerRunningInfo;
use ferrocket_protocol::body::heartbeat::HeartbeatData;
use ferrocket_protocol::body::offset::ResetOffsetBody;
use ferrocket_protocol::body::route::TopicRouteData;
use ferrocket_protocol::fastjson;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(body) = fastjson::from_slice::<ResetOffsetBody>(data) {
        assert_eq!(fastjson::from_slice(&fastjson::to_vec(&body)), Ok(body));
    }
    if let Ok(route) = fastjson::from_slice::<TopicRouteData>(data) {
        assert_eq!(fastjson::from_slice(&fastjson::to_vec_lenient(&route)), Ok(route));
    }
    if let Ok(value) = fastjson::from_slice::<serde_json::Value>(data) {
        assert_eq!(fastjson::from_slice(&fastjson::to_vec(&value)), Ok(value));
    }
    let _ = fastjson::from_slice::<HeartbeatData>(data);
    let _ = fastjson::from_slice::<ConsumerRunningInfo>(data);
});
