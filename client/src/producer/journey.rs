//! One send on its way: a share of the budget, a route, and attempts until it is stored or given up.
//!
//! ```text
//! set_out → board → set_off → ask ┄ answered → arrive → the receipt, or set_off once more
//! ```
//!
//! Java counterparts: `sendDefaultImpl`, `sendKernelImpl`.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use ferrocket_protocol::body::message_queue::MessageQueue;
use ferrocket_protocol::{RemotingCommand, Text};
use ferrocket_remoting::{Connection, PendingCall};
use tokio::time::Instant;
use tracing::{Instrument, Span};

use super::Shared;
use super::hooks::SendMessageContext;
use super::parcel::Parcel;
use super::plan::{SendPlan, choose_queue, other_brokers, tries_again};
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::in_flight::{Answer, Lane, Patience, Room, Share};
use crate::message::Message;
use crate::message_ids::{as_millis, now_ms};
use crate::route::TopicRoute;
use crate::send_result::SendResult;
use crate::{spans, trace};

/// A parcel on its way. It stays in its place: too large to be handed around.
pub(super) struct Journey {
    pub(super) parcel: Parcel,
    pub(super) plan: SendPlan,
    /// `None` before it has set out.
    route: Option<Arc<TopicRoute>>,
    /// The queue of the first attempt, if it was chosen before.
    pub(super) first: Option<MessageQueue>,
    /// Its place in the window of that queue's broker, until the first attempt has ended.
    room: Option<Room>,
    pub(super) started: Instant,
    /// As read last: after each wait, and after the program's choice of a queue.
    pub(super) now: Instant,
    /// The same by the other clock.
    now_ms: i64,
    /// Stored, but less safely than hoped.
    sent: Option<Box<SendResult>>,
    /// How the last failed attempt failed.
    failure: Option<Error>,
    /// Where attempts failed.
    brokers: Vec<Text>,
    /// What a subscriber sees of it; ends with it.
    span: Span,
    /// Of the budget, given back at the end; `None` before it has set out.
    share: Option<Share>,
}

/// A broker's address, and the connection to it.
pub(super) struct Line {
    pub(super) addr: Text,
    pub(super) connection: Connection,
}

/// One attempt. It began at the journey's `now`.
pub(super) struct Leg {
    queue: MessageQueue,
    room: Option<Room>,
    /// The time of the whole send from its beginning on.
    left: Duration,
    /// The time that the attempt has of it.
    timeout: Duration,
}

/// The request of an attempt, as it is to be told of once it is answered.
pub(super) struct Asked {
    pub(super) addr: Text,
    body_len: usize,
    span: Span,
}

/// An attempt whose request is in line, or failed.
pub(super) struct Begun {
    pub(super) leg: Leg,
    pub(super) asked: Asked,
    pub(super) call: Result<PendingCall>,
}

impl Journey {
    /// Where the topic lives; nowhere before the journey has set out.
    pub(super) fn route(&self) -> &TopicRoute {
        self.route.as_deref().unwrap_or_else(|| TopicRoute::nowhere())
    }

    /// Reads the clocks anew.
    pub(super) fn look(&mut self) {
        (self.now, self.now_ms) = (Instant::now(), now_ms());
    }

    /// The error with the messages that it is about.
    pub(super) fn failed(self, error: Error) -> Error {
        error.with_unsent(self.parcel.into_messages())
    }

    /// It goes to the queue that `select` picks, and to no other.
    pub(super) fn select(
        &mut self,
        client: &Client,
        select: impl FnOnce(&[MessageQueue], &Message) -> Option<MessageQueue>,
    ) -> Result<()> {
        let message = self.parcel.message();
        match message.and_then(|message| match client.config().namespace.is_empty() {
            true => select(self.route().publish_queues(), message),
            false => select(&client.bare_queues(self.route().publish_queues()), message),
        }) {
            Some(mut queue) if queue.queue_id >= 0 => {
                self.plan.only_once();
                // As those that the producer chooses: hooks see it.
                queue.topic = self.route().topic().clone();
                self.first = Some(queue);
                Ok(())
            }
            // For such a number the broker would choose a queue itself.
            Some(queue) => {
                Err(Error::new(ErrorKind::Config, format!("the id of {queue} must be at least 0")))
            }
            None => Err(Error::new(ErrorKind::Config, "select message queue return null.")),
        }
    }

    pub(super) fn no_queue(&self) -> Error {
        Error::new(ErrorKind::NoRoute, format!("No route info of this topic: {}", self.parcel.topic()))
    }

    /// What came of all attempts.
    fn outcome(&mut self) -> Result<SendResult> {
        if let Some(sent) = self.sent.take() {
            return Ok(*sent);
        }
        let error = self.failure.take().unwrap_or_else(|| self.no_queue());
        let cost = self.started.elapsed().as_millis();
        Err(match self.brokers.len() {
            0 | 1 => error,
            times => error.with_context(format_args!(
                "Send [{times}] times, still failed, cost [{cost}]ms, Topic: {}, BrokersSent: [{}]",
                self.parcel.topic(),
                self.brokers.join(", ")
            )),
        })
    }
}

impl Shared {
    /// A journey that is about to set out. Only what is queued waits for as long as others get on.
    pub(super) fn journey(&self, parcel: Parcel, patience: Patience) -> Journey {
        let started = Instant::now();
        let retries = match patience.while_moving {
            true => self.settings.retry_times_when_send_async_failed,
            false => self.settings.retry_times_when_send_failed,
        };
        Journey {
            plan: SendPlan::new(retries, self.ms(started), as_millis(patience.timeout)),
            route: None,
            first: None,
            room: None,
            started,
            now: started,
            now_ms: parcel.made_ms(),
            sent: None,
            failure: None,
            brokers: Vec::new(),
            span: spans::send(&self.client, parcel.topic(), &self.packing.group, || parcel.msg_id()),
            share: None,
            parcel,
        }
    }

    /// Takes a share of the budget and finds the route.
    pub(super) async fn set_out(&self, journey: &mut Journey, patience: Patience) -> Result<()> {
        let (weight, in_flight) = (journey.parcel.weight(), self.client.in_flight());
        journey.share = in_flight.try_take(weight);
        if journey.share.is_none() {
            // What is rare has memory of its own, here and below: every send would carry it along.
            journey.share = Some(Box::pin(in_flight.take(weight, patience)).await?);
            journey.look();
        }
        let parcel = &journey.parcel;
        journey.route = self.client.known_publish_route(parcel.topic());
        if journey.route.is_some() {
            return Ok(());
        }
        let route = self.client.publish_route(parcel.topic(), &self.packing.template);
        let left = match patience.while_moving {
            true => patience.timeout,
            false => self.left(journey),
        };
        let Ok(route) = Box::pin(tokio::time::timeout(left, route)).await else {
            let (topic, timeout) = (parcel.topic(), patience.timeout);
            let text = format!("no NameServer answered about {topic} within {timeout:?}");
            return Err(Error::new(ErrorKind::Timeout, text));
        };
        journey.route = Some(route?);
        journey.look();
        Ok(())
    }

    /// The time that is left for a send.
    fn left(&self, journey: &Journey) -> Duration {
        millis(journey.plan.remaining_ms(self.ms(journey.now)).unwrap_or(0))
    }

    /// Chooses the queue of the first attempt, unless that is done, and takes room in its broker's window. While
    /// that is full a free choice falls on another broker that has room; and if none has, on whichever has first of
    /// the chosen one and the one that last stored something: nobody waits for a broker that hangs while another
    /// works.
    pub(super) async fn board(&self, journey: &mut Journey, patience: Patience) -> Result<()> {
        let given = journey.first.take();
        let is_free = given.is_none() && self.faults.is_none();
        let Some(mut queue) = given.or_else(|| self.choose(journey)) else {
            return Err(journey.no_queue());
        };
        let in_flight = self.client.in_flight();
        let lane = in_flight.lane(&queue.broker_name);
        let mut room = lane.try_enter();
        let mut other: Option<(&MessageQueue, Arc<Lane>)> = None;
        if room.is_none() && is_free {
            let full = queue.broker_name.clone();
            for elsewhere in other_brokers(journey.route(), &full, self.client.next_turn()) {
                let next = in_flight.lane(&elsewhere.broker_name);
                room = next.try_enter();
                if room.is_some() {
                    queue = elsewhere.clone();
                    break;
                }
                if other.as_ref().is_none_or(|(_, known)| next.stored_ms() > known.stored_ms()) {
                    other = Some((elsewhere, next));
                }
            }
        }
        let room = match room {
            Some(room) => room,
            None => {
                let room = match other {
                    None => Box::pin(lane.enter(patience)).await?,
                    Some((elsewhere, other)) => {
                        let (room, is_elsewhere) = Box::pin(lane.enter_either(&other, patience)).await?;
                        if is_elsewhere {
                            queue = elsewhere.clone();
                        }
                        room
                    }
                };
                journey.look();
                room
            }
        };
        (journey.first, journey.room) = (Some(queue), Some(room));
        Ok(())
    }

    /// Waits for room within the time of the whole send, and tries.
    pub(super) async fn go(&self, journey: &mut Journey) -> Result<SendResult> {
        let timeout = self.left(journey);
        self.board(journey, Patience { timeout, while_moving: false }).await?;
        self.travel(journey).await
    }

    /// Tries until the parcel is stored or the plan is at its end. Java: `sendDefaultImpl`.
    pub(super) async fn travel(&self, journey: &mut Journey) -> Result<SendResult> {
        while let Some(mut leg) = self.set_off(journey) {
            let result = self.attempt(journey, &leg).await;
            if let Some(end) = self.arrive(journey, &mut leg, result) {
                return end;
            }
        }
        journey.outcome()
    }

    /// The next attempt, if there is one more and time for it.
    pub(super) fn set_off(&self, journey: &mut Journey) -> Option<Leg> {
        if !journey.plan.has_attempt() {
            return None;
        }
        let queue = journey.first.take().or_else(|| self.choose(journey))?;
        let Some(left) = journey.plan.remaining_ms(self.ms(journey.now)) else {
            let late = || Error::new(ErrorKind::Timeout, "the time for this send is up");
            journey.failure.get_or_insert_with(late);
            return None;
        };
        let left = millis(left);
        let timeout = self.attempt_timeout(&journey.plan, left);
        journey.plan.attempt();
        // Further attempts are few, and go without room.
        Some(Leg { queue, room: journey.room.take(), left, timeout })
    }

    /// The time of the next attempt, when so much is left for all.
    pub(super) fn attempt_timeout(&self, plan: &SendPlan, left: Duration) -> Duration {
        let max = self.settings.send_msg_max_timeout_per_request.filter(|_| plan.has_another());
        max.map_or(left, |max| left.min(max))
    }

    /// What an attempt came to; with that, what the whole send came to, unless another is to follow.
    pub(super) fn arrive(
        &self,
        journey: &mut Journey,
        leg: &mut Leg,
        result: Result<SendResult>,
    ) -> Option<Result<SendResult>> {
        let queue = &leg.queue;
        if let Some(room) = leg.room.take() {
            // Whoever is in a hurry does not make the broker slow.
            room.leave(answer_of(&result), journey.now, leg.left.max(self.settings.send_msg_timeout));
        }
        self.record(&queue.broker_name, journey.now, result.is_err());
        match result {
            Ok(result) if result.is_ok() || !self.settings.retry_another_broker_when_not_store_ok => {
                return Some(Ok(result));
            }
            Ok(result) => {
                journey.sent = Some(Box::new(result));
                journey.brokers.push(queue.broker_name.clone());
            }
            Err(error) => {
                let topic = journey.parcel.topic();
                // With the span switched off, it is inside the program's.
                journey.span.in_scope(|| tracing::debug!(%topic, %queue, %error, "send failed"));
                journey.brokers.push(queue.broker_name.clone());
                let again = tries_again(&error);
                journey.failure = Some(error);
                if !again {
                    return Some(journey.outcome());
                }
            }
        }
        journey.look();
        None
    }

    /// A queue for the next attempt, on another broker than the last one if possible.
    pub(super) fn choose(&self, journey: &Journey) -> Option<MessageQueue> {
        let (route, last) = (journey.route(), journey.brokers.last());
        let mut faults =
            self.faults.as_ref().map(|faults| faults.lock().unwrap_or_else(PoisonError::into_inner));
        // Only faults grow old.
        let now_ms = if faults.is_some() { self.now_ms() } else { 0 };
        choose_queue(route, last, faults.as_deref_mut(), now_ms, || self.client.next_turn())
    }

    pub(super) fn record(&self, broker: &Text, began: Instant, failed: bool) {
        if let Some(faults) = &self.faults {
            let (began_ms, now) = (self.ms(began), self.now_ms());
            faults.lock().unwrap_or_else(PoisonError::into_inner).record(broker, now - began_ms, failed, now);
        }
    }

    async fn attempt(&self, journey: &Journey, leg: &Leg) -> Result<SendResult> {
        let addr = match self.addr(&leg.queue.broker_name) {
            Some(addr) => addr,
            None => Box::pin(self.find_master(journey.route().topic(), &leg.queue, leg.timeout)).await?,
        };
        let (asked, request) = self.ask(journey, &leg.queue, addr);
        let reply = async {
            let call = self.client.begin(&asked.addr, request, journey.now, leg.timeout).await?;
            Ok(self.client.replied(&asked.addr, call.await?))
        };
        let reply = reply.instrument(asked.span.clone()).await;
        self.answered(journey, leg, &asked, reply)
    }

    /// Begins an attempt over a connection: when this returns, its request is in line there, or failed.
    pub(super) async fn begin(&self, journey: &Journey, leg: Leg, line: Line) -> Begun {
        let (asked, request) = self.ask(journey, &leg.queue, line.addr);
        let call = self.client.begin_over(&line.connection, request, journey.now, leg.timeout).await;
        Begun { leg, asked, call }
    }

    /// The request of an attempt. Hooks are told of it.
    fn ask(&self, journey: &Journey, queue: &MessageQueue, addr: Text) -> (Asked, RemotingCommand) {
        let (parcel, wire_topic) = (&journey.parcel, journey.route().topic());
        let request = parcel.request(wire_topic, queue, &self.packing, &self.client, journey.now_ms);
        self.settings.hooks.before(&self.hook_context(parcel, queue, &addr));
        let span = spans::attempt(&journey.span, queue, &addr);
        (Asked { body_len: request.body.len(), addr, span }, request)
    }

    /// Reads the answer to an attempt's request. Hooks and traces are told of it.
    pub(super) fn answered(
        &self,
        journey: &Journey,
        leg: &Leg,
        asked: &Asked,
        reply: Result<RemotingCommand>,
    ) -> Result<SendResult> {
        let Asked { addr, body_len, span } = asked;
        let (parcel, queue) = (&journey.parcel, &leg.queue);
        let answered = reply.and_then(|reply| {
            let topic = self.client.unwrapped(journey.route().topic());
            SendResult::from_reply(&reply, addr, topic, &queue.broker_name, parcel.msg_id())
        });
        let context = self.hook_context(parcel, queue, addr);
        self.settings.hooks.after(&context, answered.as_ref().map(Some));
        let result = answered?;
        spans::stored(span, &result);
        let sent = trace::Sent {
            group: &self.packing.group,
            topic: &result.message_queue.topic,
            message: parcel.message().filter(|_| !parcel.is_batch()),
            body_len: *body_len,
            addr,
            began_ms: journey.now_ms,
            result: &result,
        };
        trace::sent(&self.client, &sent);
        Ok(result)
    }

    pub(super) async fn oneway(&self, journey: &Journey, queue: &MessageQueue) -> Result<()> {
        let parcel = &journey.parcel;
        let left = || millis(journey.plan.remaining_ms(self.now_ms()).unwrap_or(1));
        let addr = match self.addr(&queue.broker_name) {
            Some(addr) => addr,
            None => self.find_master(parcel.topic(), queue, left()).await?,
        };
        let request = parcel.request(journey.route().topic(), queue, &self.packing, &self.client, now_ms());
        let context = self.hook_context(parcel, queue, &addr);
        self.settings.hooks.before(&context);
        let span = spans::attempt(&journey.span, queue, &addr);
        let sent = self.client.oneway_within(&addr, request, left()).instrument(span).await;
        self.settings.hooks.after(&context, sent.as_ref().map(|()| None));
        sent
    }

    fn hook_context<'a>(
        &'a self,
        parcel: &'a Parcel,
        queue: &'a MessageQueue,
        addr: &'a str,
    ) -> SendMessageContext<'a> {
        SendMessageContext {
            producer_group: &self.packing.group,
            messages: parcel.messages(),
            message_queue: queue,
            broker_addr: addr,
        }
    }

    /// The address to send to: the master's, or its second port. Java: `MixAll.brokerVIPChannel`.
    pub(super) fn addr(&self, broker_name: &str) -> Option<Text> {
        let addr = self.client.master_addr(broker_name)?;
        if !self.client.config().vip_channel_enabled {
            return Some(addr);
        }
        let (host, port) = addr.rsplit_once(':')?;
        Some(format!("{host}:{}", port.parse::<u16>().ok()?.checked_sub(2)?).into())
    }

    /// The address to send to, when none is known: asks NameServers once more.
    pub(super) async fn find_master(
        &self,
        topic: &Text,
        queue: &MessageQueue,
        timeout: Duration,
    ) -> Result<Text> {
        let fetch = self.client.fetch_route(topic, Some(&self.packing.template));
        if let Ok(fetched) = tokio::time::timeout(timeout, fetch).await {
            fetched?;
        }
        self.addr(&queue.broker_name).ok_or_else(|| Error::no_broker(&queue.broker_name))
    }
}

fn millis(left: i64) -> Duration {
    Duration::from_millis(u64::try_from(left).unwrap_or(0))
}

/// What a broker's window learns from an attempt.
fn answer_of(result: &Result<SendResult>) -> Answer {
    match result {
        Ok(_) => Answer::Stored,
        Err(error) => match error.kind() {
            // Not our own limit, but the broker's answer.
            ErrorKind::FlowControl if error.code().is_some() => Answer::Busy,
            ErrorKind::Timeout => Answer::Missing,
            _ => Answer::Other,
        },
    }
}
