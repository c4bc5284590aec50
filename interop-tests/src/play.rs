//! One scenario under way: its commands, its inbox of events and its ledger.

use std::collections::HashMap;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::ledger::Ledger;
use crate::peer::{Client, Event, Peer};

/// Longest wait for something that takes seconds: other clients share the machine, and a lost
/// notification costs a client its whole rebalance interval (20 s in Java).
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long a topic that may be lost is waited for before something is done about it.
const ROUTE_PATIENCE: Duration = Duration::from_secs(3);

/// Where a scenario plays: the servers, the client under test, and an admin client for topics
/// that the client cannot create.
#[derive(Clone, Copy)]
pub struct Stage<'a> {
    /// The servers.
    pub cluster: &'a Cluster,
    /// The client under test.
    pub peer: &'a Peer,
    /// Drives a Java admin client.
    pub admin: &'a Peer,
}

/// A foreign consumer lives at least so long: it may unregister while a heartbeat of its start is under
/// way, and a Java broker that handles the two in the other order counts it for two more minutes. No event
/// shows that the heartbeat is through. Our client must not do that, so it is spared nothing.
const LIFE_MIN: Duration = Duration::from_secs(1);

#[derive(Default, Clone, Copy)]
struct Progress {
    /// Since when the consumer runs.
    ready: Option<Instant>,
    ended: bool,
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
    commands: HashMap<u64, Progress>,
}

impl<'a> Play<'a> {
    /// Nothing sent yet.
    pub fn new(stage: Stage<'a>) -> Self {
        let (events, inbox) = mpsc::channel();
        let namesrv = stage.cluster.namesrv_address();
        Self { stage, ledger: Ledger::default(), namesrv, events, inbox, commands: HashMap::new() }
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

    fn admin(&mut self, role: &str, more: &[(&str, &str)]) -> Result<(), String> {
        let broker = self.stage.cluster.broker_address();
        let mut options = vec![("namesrv", self.namesrv.as_str()), ("broker", &broker)];
        options.extend_from_slice(more);
        let id = self.stage.admin.command(role, &options, &self.events)?;
        self.commands.insert(id, Progress::default());
        self.pump(&format!("{role} by the admin client"), |play| play.commands[&id].ended)
    }

    /// Sends `count` messages `<prefix>-…` and waits for the last answer.
    pub fn send(&mut self, topic: &str, mode: &str, prefix: &str, count: usize) -> Result<(), String> {
        self.send_tagged(topic, mode, prefix, count, None)
    }

    /// The same with a tag.
    pub fn send_tagged(
        &mut self,
        topic: &str,
        mode: &str,
        prefix: &str,
        count: usize,
        tag: Option<&str>,
    ) -> Result<(), String> {
        let before = self.ledger.sent_count();
        let mut options = vec![("mode", mode)];
        options.extend(tag.map(|tag| ("tag", tag)));
        let id = self.start_sender(topic, prefix, count, &options)?;
        self.pump("all sends answered", |play| play.commands[&id].ended)?;
        let sent = self.ledger.sent_count() - before;
        if sent == count { Ok(()) } else { Err(format!("{sent} of {count} sends reported")) }
    }

    /// Sends `count` messages oneway. Nothing tells when they arrive, so the producer stays open:
    /// stop the returned command when they did.
    pub fn send_oneway(&mut self, topic: &str, prefix: &str, count: usize) -> Result<u64, String> {
        let expected = self.ledger.sent_count() + count;
        let id = self.start_sender(topic, prefix, count, &[("mode", "oneway")])?;
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
        self.command("send", &options)
    }

    /// Starts a consumer once its topic is routed, and waits until it is ready.
    pub fn start_consumer(&mut self, topic: &str, group: &str, more: &[(&str, &str)]) -> Result<u64, String> {
        self.wait_route(topic)?;
        let mut options = vec![("topic", topic), ("group", group)];
        options.extend_from_slice(more);
        let id = self.command("consume", &options)?;
        self.pump("consumer ready", |play| play.commands[&id].ready.is_some())?;
        Ok(id)
    }

    /// Tells a command to end and waits until it has.
    pub fn stop(&mut self, id: u64) -> Result<(), String> {
        let life = self.commands[&id].ready.map(|ready| ready.elapsed());
        if let (Some(life), true) = (life, self.stage.peer.client != Client::Ours) {
            thread::sleep(LIFE_MIN.saturating_sub(life));
        }
        self.stage.peer.stop(id)?;
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

    fn command(&mut self, role: &str, options: &[(&str, &str)]) -> Result<u64, String> {
        let mut all = vec![("namesrv", self.namesrv.as_str())];
        all.extend_from_slice(options);
        let id = self.stage.peer.command(role, &all, &self.events)?;
        self.commands.insert(id, Progress::default());
        Ok(id)
    }

    fn take(&mut self, id: u64, event: Event) -> Result<(), String> {
        let progress = self.commands.entry(id).or_default();
        match event {
            Event::Ready => progress.ready = Some(Instant::now()),
            Event::Ended => progress.ended = true,
            Event::Failed(text) => {
                progress.ended = true;
                return Err(text);
            }
            Event::Sent(body, sent) => self.ledger.record_sent(&body, sent),
            Event::Received(delivery) => self.ledger.record_delivery(delivery),
        }
        Ok(())
    }
}

impl Drop for Play<'_> {
    /// A failed scenario must not leave consumers running beside the next one.
    fn drop(&mut self) {
        for (id, _) in self.commands.iter().filter(|(_, progress)| !progress.ended) {
            let _ = self.stage.peer.stop(*id);
        }
    }
}
