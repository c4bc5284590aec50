//! The servers in the process of a test.

use std::collections::BTreeMap;
use std::sync::Arc;

use ferrocket_bindings::ferrocket::Result;
use ferrocket_bindings::testing::Broker;
use serde_json::json;

use crate::args::{Args, Reply, millis};
use crate::port::{Object, Shared, unknown};

pub(crate) async fn open(port: &Shared, args: Args) -> Result<Reply> {
    let broker = Arc::new(Broker::start(args.read::<BTreeMap<String, String>>()?).await?);
    let addr = broker.namesrv_addr().to_owned();
    Reply::new(&json!({ "handle": port.keep(Object::Broker(broker)), "namesrvAddr": addr }))
}

pub(crate) async fn call(broker: &Broker, operation: &str, args: Args) -> Result<Reply> {
    match operation {
        "advance" => broker.advance(millis(args.read()?)?).await?,
        _ => return Err(unknown(operation)),
    }
    Reply::empty()
}
