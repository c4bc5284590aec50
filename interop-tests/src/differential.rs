//! The same request bytes to Java's servers and to ours, and what each answers, made comparable.
//!
//! [`cases`] says what is asked, [`crate::wire`] asks it over a raw socket, [`answer`] takes out of an answer what no
//! two servers have in common, and [`deviations`] reads which differences are kept on purpose.

pub mod answer;
pub mod cases;
pub mod deviations;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ferrocket_protocol::body::register::KVTable;
use ferrocket_protocol::requests::{Empty, Receiver};
use ferrocket_protocol::{RemotingCommand, RequestCode, fastjson};

use crate::cluster::Cluster;
use crate::process::POLL;
use crate::wire::{Outcome, Wire};
use answer::Answer;
use cases::Case;

/// Asks a cluster all `cases` in order. At the end of what it answers stands what it pushed to the client.
pub fn play(cluster: &Cluster, cases: &[Case]) -> Result<Vec<(String, Answer)>, String> {
    let fault = |e: std::io::Error| format!("connection: {e}");
    let mut namesrv = Wire::connect(&cluster.namesrv_address()).map_err(fault)?;
    let mut broker = Wire::connect(&cluster.broker_address()).map_err(fault)?;
    let mut client = Wire::connect(&cluster.broker_address()).map_err(fault)?;
    let mut kept = BTreeMap::new();
    let mut answers = Vec::new();
    for case in cases {
        let wire = match case.request.receiver() {
            Receiver::NameServer => &mut namesrv,
            _ if case.from_client => &mut client,
            _ => &mut broker,
        };
        if case.settled {
            settle(wire, case.delivered).map_err(fault)?;
        }
        let outcome = wire.ask(case.command(&kept)).map_err(|e| format!("{}: {e}", case.name))?;
        if let Some(name) = case.keep {
            kept.insert(name, answer::kept(&outcome).ok_or_else(|| format!("{}: {outcome:?}", case.name))?);
        }
        answers.push((case.name.clone(), Answer::of(case, &outcome)));
    }
    answers.push(("pushed to the client".to_owned(), Answer::of_pushes(&client.pushed())));
    Ok(answers)
}

/// Longest that a broker may be behind its log.
const SETTLE_LIMIT: Duration = Duration::from_secs(30);

/// Waits until a broker has put all messages of its log into their queues, which Java does behind the answers. It
/// tells nobody when it is through, so it is asked. With `delivered`, until delay level 3 is through as well, which is the
/// one that cases use.
pub fn settle(broker: &mut Wire, delivered: bool) -> std::io::Result<()> {
    // `delivered,stored`, and absent before the first delivery.
    let is_through = |info: &KVTable| {
        let offsets = info.table.get("scheduleMessageOffset_3").and_then(|offsets| offsets.split_once(','));
        offsets.is_some_and(|(at, end)| at == end)
    };
    let deadline = Instant::now() + SETTLE_LIMIT;
    loop {
        let question = RemotingCommand::request(RequestCode::GetBrokerRuntimeInfo, &Empty);
        if let Outcome::Answered(answer) = broker.ask(question)?
            && let Ok(info) = fastjson::from_slice::<KVTable>(&answer.body)
            && info.table.get("dispatchBehindBytes").is_none_or(|behind| behind == "0")
            && (!delivered || is_through(&info))
        {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let text = format!("the broker is behind its log for {SETTLE_LIMIT:?}");
            return Err(std::io::Error::new(std::io::ErrorKind::TimedOut, text));
        }
        std::thread::sleep(POLL);
    }
}
