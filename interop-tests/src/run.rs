//! Runs cells: one cluster per NameServer / Broker pair, its clients side by side.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use crate::cluster::Cluster;
use crate::matrix::{Cell, grouped, one_per_broker};
use crate::peer::{Client, Peer};
use crate::play::Stage;
use crate::report::Outcome;
use crate::scenario::{Scenario, accounts, after_restart, before_restart};
use crate::setup::Workshop;

/// Scenarios under way at once; most of their time is spent waiting.
const SCENARIOS_MAX: usize = 16;

/// What Brokers have besides, for what is off by default: light queues.
const SETTINGS: &str = "enableLmq=true\nenableMultiDispatch=true\n";

/// What is played where.
struct Bill {
    scenarios: Vec<Scenario>,
    /// Where scenarios between Broker and client are played; everywhere without it.
    chosen: Option<BTreeSet<Cell>>,
}

impl Bill {
    fn has(&self, cell: &Cell, scenario: Scenario) -> bool {
        let chosen = self.chosen.as_ref().is_none_or(|chosen| chosen.contains(cell));
        cell.lacks(scenario).is_none()
            && self.scenarios.contains(&scenario)
            && (chosen || !scenario.is_between_broker_and_client())
    }
}

/// Runs all `cells` that play something, group by group. With `once`, what is between Broker and client is played
/// in one cell of each such pair.
pub fn run(workshop: &Workshop, cells: &[Cell], scenarios: &[Scenario], once: bool) -> Vec<Outcome> {
    let workshop = &Workshop { broker_settings: SETTINGS.into(), ..workshop.clone() };
    let bill = Bill { scenarios: scenarios.to_vec(), chosen: once.then(|| one_per_broker(cells)) };
    let folder = std::env::temp_dir().join(format!("ferrocket-interop-{}", std::process::id()));
    let mut outcomes = Vec::new();
    for group in grouped(cells) {
        let started = Instant::now();
        let (namesrv, broker) = (group[0].namesrv, group[0].broker);
        let place = folder.join(format!("{namesrv:?}-{broker:?}").to_lowercase());
        let played = run_group(workshop, &group, &bill, &place);
        let took = started.elapsed().as_secs_f32();
        println!("{} / {}: {took:.0} s", namesrv.label(), broker.label());
        for outcome in &played {
            let (client, failed) = (outcome.cell.client.label(), outcome.failed.len());
            println!("  {client}: {} passed, {failed} failed", outcome.passed.len());
            for (scenario, why) in &outcome.failed {
                println!("    {}: {why}", scenario.label());
            }
        }
        if played.iter().all(|outcome| outcome.failed.is_empty()) {
            let _ = fs::remove_dir_all(&place);
        } else {
            println!("  logs: {}", place.display());
        }
        outcomes.extend(played);
    }
    // Only if nothing failed: then it is empty.
    let _ = fs::remove_dir(&folder);
    outcomes
}

/// Results of one cell while it runs. Guarded for single pushes.
type Results = Mutex<Vec<(Scenario, Result<(), String>)>>;

fn run_group(workshop: &Workshop, group: &[Cell], bill: &Bill, place: &Path) -> Vec<Outcome> {
    let results: Vec<Results> = group.iter().map(|_| Results::default()).collect();
    let note = |i: usize, scenario, result| {
        results[i].lock().unwrap_or_else(PoisonError::into_inner).push((scenario, result));
    };
    let fails_all = |why: String| {
        for (i, cell) in group.iter().enumerate() {
            for scenario in bill.scenarios.iter().filter(|s| bill.has(cell, **s)) {
                note(i, *scenario, Err(why.clone()));
            }
        }
    };
    if let Err(why) = play_group(workshop, group, bill, place, &note) {
        fails_all(why);
    }
    group
        .iter()
        .zip(results)
        .map(|(cell, results)| {
            let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
            let mut passed: Vec<Scenario> =
                results.iter().filter(|(_, result)| result.is_ok()).map(|(scenario, _)| *scenario).collect();
            passed.sort();
            let mut failed: Vec<_> = results
                .into_iter()
                .filter_map(|(scenario, result)| Some((scenario, result.err()?)))
                .collect();
            failed.sort();
            Outcome { cell: *cell, passed, failed }
        })
        .collect()
}

/// The whole life of one cluster. An error means that it or a driver could not be started.
fn play_group(
    workshop: &Workshop,
    group: &[Cell],
    bill: &Bill,
    place: &Path,
    note: &(impl Fn(usize, Scenario, Result<(), String>) + Sync),
) -> Result<(), String> {
    fs::create_dir_all(place).map_err(|e| format!("{}: {e}", place.display()))?;
    let mut cluster = Cluster::start(workshop, group[0].namesrv, group[0].broker, place)?;
    let cast = Cast::start(workshop, group, place)?;
    let permits = Permits::new(SCENARIOS_MAX);
    let before: Results = Mutex::default();
    thread::scope(|scope| {
        for scenario in in_starting_order(&bill.scenarios) {
            for (i, cell) in group.iter().enumerate().filter(|(_, cell)| bill.has(cell, scenario)) {
                let (permits, cluster, before, cast) = (&permits, &cluster, &before, &cast);
                scope.spawn(move || {
                    let _permit = permits.take();
                    let started = Instant::now();
                    let result = match scenario {
                        Scenario::Restart => before_restart(cast.stage(cluster, i)),
                        _ => scenario.play(cast.stage(cluster, i)),
                    };
                    if std::env::var_os("FERROCKET_INTEROP_TIMES").is_some() {
                        let took = started.elapsed().as_secs_f32();
                        println!("    {} {}: {took:.1} s", cell.client.word(), scenario.label());
                    }
                    match result {
                        Ok(()) if scenario == Scenario::Restart => {}
                        Err(why) if scenario == Scenario::Restart => {
                            note(i, scenario, Err(format!("before the restart: {why}")));
                            let mut before = before.lock().unwrap_or_else(PoisonError::into_inner);
                            before.push((scenario, Err(cell.label())));
                        }
                        result => note(i, scenario, result),
                    }
                });
            }
        }
    });
    if let Err(why) = cluster.check_alive() {
        println!("  {why}");
    }
    let before = before.into_inner().unwrap_or_else(PoisonError::into_inner);
    let failed = |cell: &Cell| before.iter().any(|(_, result)| *result == Err(cell.label()));
    let restarting = |i: &usize| bill.has(&group[*i], Scenario::Restart) && !failed(&group[*i]);
    let restarting: Vec<usize> = (0..group.len()).filter(restarting).collect();
    if !restarting.is_empty() {
        let restarted = cluster.restart_broker();
        play_after(&restarting, restarted, |i, restarted| {
            note(i, Scenario::Restart, restarted.and_then(|()| after_restart(cast.stage(&cluster, i))));
        });
    }
    let secured: Vec<usize> = (0..group.len()).filter(|i| bill.has(&group[*i], Scenario::Acl)).collect();
    if !secured.is_empty() {
        let restarted = cluster.restart_with_accounts(&accounts());
        play_after(&secured, restarted, |i, restarted| {
            note(i, Scenario::Acl, restarted.and_then(|()| Scenario::Acl.play(cast.stage(&cluster, i))));
        });
    }
    Ok(())
}

/// Plays something with some of the cast, once the Broker was restarted.
fn play_after(
    cells: &[usize],
    restarted: Result<(), String>,
    play: impl Fn(usize, Result<(), String>) + Sync,
) {
    thread::scope(|scope| {
        for i in cells {
            scope.spawn(|| play(*i, restarted.clone()));
        }
    });
}

/// The drivers of one group.
struct Cast {
    peers: Vec<Peer>,
    /// A Java driver to administer, when no client of the group is Java.
    lone_admin: Option<Peer>,
}

impl Cast {
    fn start(workshop: &Workshop, group: &[Cell], place: &Path) -> Result<Self, String> {
        let peers = group.iter().map(|cell| Peer::start(workshop, cell.client, place));
        let peers = peers.collect::<Result<Vec<_>, _>>()?;
        let mut cast = Self { peers, lone_admin: None };
        if cast.java().is_none() {
            cast.lone_admin = Some(Peer::start(workshop, Client::Java49, place)?);
        }
        Ok(cast)
    }

    fn java(&self) -> Option<&Peer> {
        self.peers.iter().find(|peer| matches!(peer.client, Client::Java49 | Client::Java53))
    }

    fn stage<'a>(&'a self, cluster: &'a Cluster, i: usize) -> Stage<'a> {
        let peer = &self.peers[i];
        Stage { cluster, peer, admin: self.java().or(self.lone_admin.as_ref()).unwrap_or(peer) }
    }
}

/// The scenarios that wait longest first.
fn in_starting_order(scenarios: &[Scenario]) -> Vec<Scenario> {
    let waits = |scenario: &Scenario| match scenario {
        Scenario::JoinLeave | Scenario::OrderedTurns | Scenario::ResetOffset => 0,
        Scenario::DeadLetter | Scenario::Retry | Scenario::Broadcast => 1,
        Scenario::Transaction | Scenario::Park => 1,
        _ => 2,
    };
    let mut order: Vec<Scenario> = scenarios.iter().copied().filter(|s| *s != Scenario::Acl).collect();
    order.sort_by_key(waits);
    order
}

/// A counting semaphore.
struct Permits {
    /// How many are left. Guarded for one count at a time; waiters hold nothing else.
    left: Mutex<usize>,
    returned: Condvar,
}

impl Permits {
    fn new(count: usize) -> Self {
        Self { left: Mutex::new(count), returned: Condvar::new() }
    }

    fn take(&self) -> Permit<'_> {
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left =
            self.returned.wait_while(left, |left| *left == 0).unwrap_or_else(PoisonError::into_inner);
        *left -= 1;
        Permit(self)
    }
}

struct Permit<'a>(&'a Permits);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *self.0.left.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.returned.notify_one();
    }
}
