//! Asks a NameServer for a topic's route over a socket of its own, so that waiting for a route depends on no
//! client under test.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use ferrocket_protocol::requests::route::GetRouteInfoHeader;
use ferrocket_protocol::{RemotingCommand, RequestCode, ResponseCode};

use crate::process::POLL;
use crate::wire::{Outcome, Wire};

/// The route JSON of `topic` at the NameServer on local port `namesrv`, or `None` where it has none.
pub fn query(namesrv: u16, topic: &str) -> io::Result<Option<String>> {
    let header = GetRouteInfoHeader { topic: topic.into(), ..Default::default() };
    let question = RemotingCommand::request(RequestCode::GetRouteinfoByTopic, &header);
    match Wire::connect(&format!("127.0.0.1:{namesrv}"))?.ask(question)? {
        Outcome::Answered(answer) => {
            let found = answer.response_code() == ResponseCode::SUCCESS;
            Ok(found.then(|| String::from_utf8_lossy(&answer.body).into_owned()))
        }
        other => Err(io::Error::other(format!("{other:?}"))),
    }
}

/// Waits until the NameServer, which tells nobody, routes `topic` to the broker on local port `broker`.
pub fn wait(namesrv: u16, topic: &str, broker: u16, limit: Duration) -> Result<(), String> {
    let deadline = Instant::now() + limit;
    let address = format!(":{broker}\"");
    loop {
        let seen = match query(namesrv, topic) {
            Ok(Some(route)) if route.contains(&address) => return Ok(()),
            Ok(Some(route)) => route,
            Ok(None) => "no route".to_owned(),
            Err(e) => e.to_string(),
        };
        if Instant::now() >= deadline {
            return Err(format!("no route of {topic} to port {broker} within {limit:?}: {seen}"));
        }
        thread::sleep(POLL);
    }
}
