//! One scenario under way: its commands, its inbox of events and its ledger.

use std::collections::HashMap;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::ledger::Ledger;
use crate::peer::{Event, Peer};

/// Longest wait for something that takes seconds: other clients share the machine, and a lost
/// notification costs a client its whole rebalance interval (20 s in Java).
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long a topic that may be lost is waited for before something is done about it.
const ROUTE_PATIENCE: Duration = Duration::from_secs(3);

/// Where a scenario plays: the servers, the client under test, and a Java client that administers and is the
/// other side where two clients talk.
#[derive(Clone, Copy)]
pub struct Stage<'a> {
    /// The servers.
    pub cluster: &'a Cluster,
    /// The client under test.
    pub peer: &'a Peer,
    /// Drives a Java client.
    pub admin: &'a Peer,
}

/// A foreign consumer lives at least so long: it may unregister while a heartbeat of its start is under
/// way, and a Java broker that handles the two in the other order counts it for two more minutes. No event
/// shows that the heartbeat is through. Our client must not do that, so it is spared nothing.
const LIFE_MIN: Duration = Duration::from_secs(1);

struct Progress<'a> {
    /// Who carries it out.
    peer: &'a Peer,
    /// Since when the consumer runs.
    ready: Option<Instant>,
    ended: bool,
    /// Whether a failure is what the scenario is after, or at least allows.
    may_fail: bool,
    failure: Option<String>,
}

/// A scenario under way.
pub struct Play<'a> {
    /// Where it plays.
    pub stage: Stage<'a>,
    /// What was sent and received so far.
    pub ledger: Ledger,
    namesrv: String,
    events: Sender<(u64, Event)>,
    inbox: Receiver<(u64, Event)>,
    commands: HashMap<u64, Progress<'a>>,
    told: Vec<(u64, Vec<String>)>,
}

impl<'a> Play<'a> {
    /// Nothing sent yet.
    pub fn new(stage: Stage<'a>) -> Self {
        let (events, inbox) = mpsc::channel();
        let namesrv = stage.cluster.namesrv_address();
        let (ledger, commands, told) = (Ledger::default(), HashMap::new(), Vec::new());
        Self { stage, ledger, namesrv, events, inbox, commands, told }
    }

    /// Makes sure that the client can send to `topic`.
    pub fn prepare_topic(&mut self, topic: &str) -> Result<(), String> {
        if self.stage.peer.client.creates_topics() {
            return Ok(());
        }
        self.admin("create-topic", &[("topic", topic)])?;
        self.wait_route(topic)
    }

    /// Waits until `topic` is routed.
    pub fn wait_route(&mut self, topic: &str) -> Result<(), String> {
        let cluster = self.stage.cluster;
        if cluster.may_lose_topics() {
            // A change registers the topic anew, and may be lost again.
            for queues in ["5", "6", "7", "8"] {
                if cluster.wait_route_for(topic, ROUTE_PATIENCE).is_ok() {
                    return Ok(());
                }
                self.admin("create-topic", &[("topic", topic), ("read-queues", queues)])?;
            }
        }
        cluster.wait_route(topic)
    }

    /// Makes the group at the broker allow `times` redeliveries, where the client cannot say so.
    pub fn limit_retries(&mut self, group: &str, times: &str) -> Result<(), String> {
        if self.stage.peer.client.limits_retries() {
            return Ok(());
        }
        self.admin("create-group", &[("group", group), ("retry-max", times)])
    }

    /// Has the admin client do something.
    pub fn admin(&mut self, role: &str, more: &[(&str, &str)]) -> Result<(), String> {
        self.ask(role, more).map(drop)
    }

    /// Has the admin client find something out, and gives what it tells.
    pub fn ask(&mut self, role: &str, more: &[(&str, &str)]) -> Result<Vec<Vec<String>>, String> {
        let id = self.start_admin(role, more)?;
        self.pump(&format!("{role} by the admin client"), |play| play.commands[&id].ended)?;
        Ok(self.told_by(id))
    }

    /// Waits until the Broker has it that the group has consumed `count` messages of the topic.
    pub fn wait_committed(&mut self, topic: &str, group: &str, count: &str) -> Result<(), String> {
        self.wait_route(&format!("%RETRY%{group}"))?;
        self.admin("committed", &[("topic", topic), ("group", group), ("count", count)])
    }

    /// Has the admin client do something that must fail, and gives the failure.
    pub fn admin_refused(&mut self, role: &str, more: &[(&str, &str)]) -> Result<String, String> {
        let id = self.start_admin(role, more)?;
        self.refusal(id)
    }

    fn start_admin(&mut self, role: &str, more: &[(&str, &str)]) -> Result<u64, String> {
        let broker = self.stage.cluster.broker_address();
        let mut options = vec![("broker", broker.as_str())];
        options.extend_from_slice(more);
        self.command(self.stage.admin, role, &options)
    }

    /// What a command told so far.
    pub fn told_by(&self, id: u64) -> Vec<Vec<String>> {
        self.told.iter().filter(|(teller, _)| *teller == id).map(|(_, words)| words.clone()).collect()
    }

    /// Sends `count` messages `<prefix>-…` and waits for the last answer.
    pub fn send(&mut self, topic: &str, mode: &str, prefix: &str, count: usize) -> Result<(), String> {
        self.send_with(topic, mode, prefix, count, &[])
    }

    /// The same with other options.
    pub fn send_with(
        &mut self,
        topic: &str,
        mode: &str,
        prefix: &str,
        count: usize,
        more: &[(&str, &str)],
    ) -> Result<(), String> {
        let before = self.ledger.sent_count();
        let mut options = vec![("mode", mode)];
        options.extend_from_slice(more);
        let id = self.start_sender(topic, prefix, count, &options)?;
        self.pump("all sends answered", |play| play.commands[&id].ended)?;
        let sent = self.ledger.sent_count() - before;
        if sent == count { Ok(()) } else { Err(format!("{sent} of {count} sends reported")) }
    }

    /// Sends what must be refused, all of it, and gives the failure.
    pub fn send_refused(
        &mut self,
        topic: &str,
        mode: &str,
        prefix: &str,
        count: usize,
        more: &[(&str, &str)],
    ) -> Result<String, String> {
        let before = self.ledger.sent_count();
        let mut options = vec![("mode", mode)];
        options.extend_from_slice(more);
        let id = self.start_sender(topic, prefix, count, &options)?;
        let failure = self.refusal(id)?;
        let sent = self.ledger.sent_count() - before;
        if sent == 0 { Ok(failure) } else { Err(format!("{sent} sends of {prefix} were not refused")) }
    }

    /// Waits for a command that must fail.
    fn refusal(&mut self, id: u64) -> Result<String, String> {
        self.may_fail(id);
        self.pump("the refusal", |play| play.commands[&id].ended)?;
        let failure = self.commands[&id].failure.clone();
        failure.ok_or_else(|| "done, though it had to be refused".to_owned())
    }

    /// From now on a failure of this command is no failure of the scenario.
    pub fn may_fail(&mut self, id: u64) {
        if let Some(progress) = self.commands.get_mut(&id) {
            progress.may_fail = true;
        }
    }

    /// Sends `count` messages oneway. Nothing tells when they arrive, so the producer stays open:
    /// stop the returned command when they did.
    pub fn send_oneway(&mut self, topic: &str, prefix: &str, count: usize) -> Result<u64, String> {
        let expected = self.ledger.sent_count() + count;
        let id = self.start_sender(topic, prefix, count, &[("mode", "oneway"), ("stay", "true")])?;
        self.pump("all sent", |play| play.ledger.sent_count() == expected)?;
        Ok(id)
    }

    /// Starts a `send` command and leaves it running.
    pub fn start_sender(
        &mut self,
        topic: &str,
        prefix: &str,
        count: usize,
        more: &[(&str, &str)],
    ) -> Result<u64, String> {
        let (group, count) = (format!("p-{topic}-{prefix}"), count.to_string());
        let mut options = vec![("topic", topic), ("group", &group), ("prefix", prefix), ("count", &count)];
        options.extend_from_slice(more);
        self.command(self.stage.peer, "send", &options)
    }

    /// Starts a consumer once its topic is routed, and waits until it is ready.
    pub fn start_consumer(&mut self, topic: &str, group: &str, more: &[(&str, &str)]) -> Result<u64, String> {
        let namespace = more.iter().find(|(name, _)| *name == "namespace");
        self.wait_route(&namespace.map_or(topic.to_owned(), |(_, name)| format!("{name}%{topic}")))?;
        self.start_at(self.stage.peer, "consume", topic, group, more)
    }

    /// Starts a consumer of a role at a peer, and waits until it is ready.
    pub fn start_at(
        &mut self,
        peer: &'a Peer,
        role: &str,
        topic: &str,
        group: &str,
        more: &[(&str, &str)],
    ) -> Result<u64, String> {
        let mut options = vec![("topic", topic), ("group", group)];
        options.extend_from_slice(more);
        let id = self.command(peer, role, &options)?;
        self.pump("consumer ready", |play| play.commands[&id].ready.is_some())?;
        Ok(id)
    }

    /// Starts a consumer that will not be allowed to consume; whether it starts at all is its library's affair.
    pub fn start_outsider(&mut self, topic: &str, group: &str, more: &[(&str, &str)]) -> Result<u64, String> {
        let mut options = vec![("topic", topic), ("group", group)];
        options.extend_from_slice(more);
        let id = self.command(self.stage.peer, "consume", &options)?;
        self.may_fail(id);
        self.pump("consumer tried", |play| play.commands[&id].ready.is_some() || play.commands[&id].ended)?;
        Ok(id)
    }

    /// Tells a command to end and waits until it has.
    pub fn stop(&mut self, id: u64) -> Result<(), String> {
        let Progress { peer, ready, .. } = self.commands[&id];
        if let (Some(ready), true) = (ready, !peer.client.is_ours()) {
            thread::sleep(LIFE_MIN.saturating_sub(ready.elapsed()));
        }
        if !self.commands[&id].ended {
            peer.stop(id)?;
        }
        self.pump("ended after stop", |play| play.commands[&id].ended)
    }

    /// Takes events in until `enough`; an error when that needs more than [`PATIENCE`] or when a
    /// command fails.
    pub fn pump(&mut self, what: &str, mut enough: impl FnMut(&Self) -> bool) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        while !enough(self) {
            match self.inbox.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok((id, event)) => self.take(id, event)?,
                Err(RecvTimeoutError::Disconnected) => unreachable!("this play holds a sender"),
                Err(RecvTimeoutError::Timeout) => {
                    let faults = self.ledger.at_least_once().join("; ");
                    let (sent, got) = (self.ledger.sent_count(), self.ledger.bodies(None).len());
                    return Err(format!(
                        "{what}: not within {PATIENCE:?} ({sent} sent, {got} received; {faults})"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Takes events in until everything sent has arrived somewhere.
    pub fn pump_all(&mut self, what: &str) -> Result<(), String> {
        self.pump(what, |play| play.ledger.missing(None, |_| true).is_empty())
    }

    /// Gives a peer a command.
    pub fn command(&mut self, peer: &'a Peer, role: &str, options: &[(&str, &str)]) -> Result<u64, String> {
        let mut all = vec![("namesrv", self.namesrv.as_str())];
        all.extend_from_slice(options);
        let id = peer.command(role, &all, &self.events)?;
        let progress = Progress { peer, ready: None, ended: false, may_fail: false, failure: None };
        self.commands.insert(id, progress);
        Ok(id)
    }

    fn take(&mut self, id: u64, event: Event) -> Result<(), String> {
        let Some(progress) = self.commands.get_mut(&id) else { return Ok(()) };
        match event {
            Event::Ready => progress.ready = Some(Instant::now()),
            Event::Ended => progress.ended = true,
            Event::Failed(text) => {
                progress.ended = true;
                if !progress.may_fail {
                    return Err(text);
                }
                progress.failure = Some(text);
            }
            Event::Told(words) => self.told.push((id, words)),
            Event::Sent(body, sent) => self.ledger.record_sent(&body, sent),
            Event::Received(delivery) => self.ledger.record_delivery(delivery),
        }
        Ok(())
    }
}

impl Drop for Play<'_> {
    /// A failed scenario must not leave consumers running beside the next one.
    fn drop(&mut self) {
        for (id, progress) in self.commands.iter().filter(|(_, progress)| !progress.ended) {
            let _ = progress.peer.stop(*id);
        }
    }
}
