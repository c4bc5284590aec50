//! The bridge through its public calls, with the servers in this process, from threads that are none of the
//! runtime's: so languages call it.

mod boundary;
mod consuming;
mod producing;

use std::time::Duration;

use ferrocket_bindings::block_on;
use ferrocket_bindings::ferrocket::Client;
use ferrocket_bindings::testing::Broker;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

/// A cluster with these settings of the Broker, and a client of it.
fn world(settings: &[(&str, &str)]) -> (Broker, Client) {
    let settings = settings.iter().map(|(key, value)| (key.to_string(), value.to_string()));
    block_on(async {
        let broker = Broker::start(settings).await?;
        let client = Client::builder(broker.namesrv_addr()).build()?;
        Ok((broker, client))
    })
    .unwrap()
}

fn end(broker: &Broker, client: &Client) {
    block_on(client.shutdown()).unwrap();
    block_on(broker.shutdown()).unwrap();
}
