//! Who consumes what from where: locks, pull consumers, and what administrators do to offsets and consumers.

use super::{Names, stop_committed, verdict};
use crate::peer::Client;
use crate::play::Play;

pub(super) fn ordered_turns(mut play: Play<'_>, names: &Names) -> Result<(), String> {
    let (Names { topic, group }, orderly) = (names, [("mode", "orderly")]);
    play.prepare_topic(topic)?;
    play.send(topic, "orderly", "first", 32)?;
    let stays = play.start_consumer(topic, group, &orderly)?;
    let pace = [("mode", "orderly"), ("interval-ms", "20")];
    let sender = play.start_sender(topic, "o", 100_000, &pace)?;
    play.pump("first consumer works", |play| play.ledger.bodies(Some(stays)).len() >= 64)?;
    let guest = play.start_consumer(topic, group, &orderly)?;
    play.pump("second consumer works", |play| play.ledger.bodies(Some(guest)).len() >= 16)?;
    play.stop(guest)?;
    let after = play.ledger.sent_count();
    play.pump("sends go on", |play| play.ledger.sent_count() >= after + 32)?;
    play.stop(sender)?;
    play.pump_all("all received")?;
    play.stop(stays)?;
    let mut faults = play.ledger.at_least_once();
    faults.extend(play.ledger.first_order_faults());
    verdict(faults)
}

pub(super) fn lite_pull(mut play: Play<'_>, names: &Names) -> Result<(), String> {
    let (Names { topic, group }, lite) = (names, [("mode", "lite")]);
    play.prepare_topic(topic)?;
    play.send(topic, "sync", "first", 64)?;
    for prefix in ["second", "third"] {
        let consumer = play.start_consumer(topic, group, &lite)?;
        play.pump_all("all received")?;
        // While it polls.
        play.send(topic, "sync", prefix, 16)?;
        play.pump_all("all new received")?;
        stop_committed(&mut play, consumer, topic, group)?;
    }
    let mut faults = play.ledger.exactly_once();
    faults.extend(play.ledger.count_faults(|_| 1));
    verdict(faults)
}

pub(super) fn reset_offset(mut play: Play<'_>, names: &Names) -> Result<(), String> {
    let Names { topic, group } = names;
    play.prepare_topic(topic)?;
    play.send(topic, "sync", "m", 32)?;
    let consumer = play.start_consumer(topic, group, &[])?;
    play.pump_all("all received")?;
    // A Broker resets what it has stored of a group.
    play.wait_committed(topic, group, "32")?;
    let mut options = vec![("topic", topic.as_str()), ("group", group), ("time", "0")];
    if play.stage.peer.client == Client::Cpp {
        options.push(("c-form", "true"));
    }
    play.admin("reset-offset", &options)?;
    play.pump("all received again", |play| play.ledger.counts(None).values().all(|times| *times >= 2))?;
    play.send(topic, "sync", "new", 16)?;
    play.pump_all("new ones received")?;
    play.stop(consumer)?;
    let mut faults = play.ledger.at_least_once();
    faults.extend(play.ledger.count_faults(|body| if body.starts_with("m-") { 2 } else { 1 }));
    verdict(faults)
}

pub(super) fn clone_offset(mut play: Play<'_>, names: &Names) -> Result<(), String> {
    let Names { topic, group } = names;
    let copy = format!("{group}-copy");
    play.prepare_topic(topic)?;
    play.send(topic, "sync", "old", 32)?;
    let first = play.start_consumer(topic, group, &[])?;
    play.pump_all("all received")?;
    stop_committed(&mut play, first, topic, group)?;
    play.wait_route(&format!("%RETRY%{group}"))?;
    play.admin("clone-offset", &[("group", group), ("to", &copy), ("topic", topic)])?;
    play.send(topic, "sync", "new", 16)?;
    let second = play.start_consumer(topic, &copy, &[])?;
    play.pump_all("new ones received")?;
    play.stop(second)?;
    // Once at either: what the second gets of the old ones is a repetition.
    let mut faults = play.ledger.exactly_once();
    let old = play.ledger.delivered(Some(second), |body| body.starts_with("old"));
    if old > 0 {
        faults.push(format!("{old} messages from before the cloned offsets"));
    }
    verdict(faults)
}

/// Starts a consumer of which the Broker knows: it gets 16 messages `m-…`, and its retry topic is there.
fn start_known(play: &mut Play<'_>, Names { topic, group }: &Names) -> Result<u64, String> {
    play.prepare_topic(topic)?;
    play.send(topic, "sync", "m", 16)?;
    let consumer = play.start_consumer(topic, group, &[])?;
    play.pump_all("all received")?;
    play.wait_route(&format!("%RETRY%{group}"))?;
    Ok(consumer)
}

pub(super) fn consume_directly(mut play: Play<'_>, names: &Names) -> Result<(), String> {
    let Names { topic, group } = names;
    let consumer = start_known(&mut play, names)?;
    let chosen = ["m-0", "m-7", "m-15"];
    let mut faults = Vec::new();
    for body in chosen {
        let id = play.ledger.message_id(body).unwrap_or_default().to_owned();
        let told =
            play.ask("consume-directly", &[("topic", topic), ("group", group), ("message-id", &id)])?;
        if told != [["CR_SUCCESS"]] {
            faults.push(format!("{body}: {told:?}"));
        }
    }
    play.pump("received again", |play| {
        let counts = play.ledger.counts(None);
        chosen.iter().all(|body| counts.get(body).is_some_and(|times| *times >= 2))
    })?;
    play.stop(consumer)?;
    faults.extend(play.ledger.at_least_once());
    faults.extend(play.ledger.count_faults(|body| if chosen.contains(&body) { 2 } else { 1 }));
    verdict(faults)
}

pub(super) fn running_info(mut play: Play<'_>, names: &Names) -> Result<(), String> {
    let Names { topic, group } = names;
    let consumer = start_known(&mut play, names)?;
    let told = play.ask("running-info", &[("group", group)])?;
    play.stop(consumer)?;
    let mut faults = play.ledger.exactly_once();
    let tells = |words: &[&str]| told.iter().any(|row| row == words);
    if !tells(&["subscribes", topic]) || (0..4).any(|queue| !tells(&["holds", topic, &queue.to_string()])) {
        faults.push(format!("it tells {told:?}"));
    }
    verdict(faults)
}
