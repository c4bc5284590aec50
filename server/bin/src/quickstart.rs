//! `ferrocket quickstart`: the main job, shown. Messages go from a producer through a Broker to a push
//! consumer, and each is accounted for by its content.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ferrocket::{Client, ConsumeFromWhere, Message, MessageExt};
use hdrhistogram::Histogram;
use tokio::sync::Notify;

use crate::servers::{Standalone, Stop, say};
use crate::{QuickstartArgs, StandaloneArgs};

const TOPIC: &str = "TopicTest";
const TAG: &str = "TagA";
/// Results and messages printed in full.
const SHOWN: u32 = 3;
/// A consumer that hears nothing for this long has lost what is missing.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Between two questions for the new topic's route.
const ROUTE_PAUSE: Duration = Duration::from_millis(10);

/// Sends, consumes, prints, and fails when a message is lost.
pub(crate) async fn run(args: QuickstartArgs) -> Result<(), String> {
    let stop = Stop::new()?;
    match &args.namesrv_addr {
        Some(addr) => send_and_consume(addr, &args, stop).await,
        None => {
            let data =
                tempfile::tempdir().map_err(|error| format!("cannot create a temporary folder: {error}"))?;
            let started = Instant::now();
            let servers = Standalone::start(&StandaloneArgs {
                data: data.path().to_path_buf(),
                listen: [127, 0, 0, 1].into(),
                namesrv_port: 0,
                broker_port: 0,
                config_file: None,
            })
            .await?;
            say(format_args!(
                "NameServer and Broker ready in {:.1} ms",
                started.elapsed().as_secs_f64() * 1e3
            ));
            let addr = servers.namesrv_addr();
            let result = send_and_consume(&addr, &args, stop).await;
            let stopped = servers.shutdown().await;
            result.and(stopped)
        }
    }
}

/// What arrived, by the number in the message.
struct Received {
    ledger: Mutex<Ledger>,
    progress: Notify,
}

struct Ledger {
    sent_at: Vec<Option<Instant>>,
    copies: HashMap<u32, u32>,
    end_to_end_us: Histogram<u64>,
}

impl Received {
    fn new(messages: u32) -> Result<Self, String> {
        let ledger = Ledger {
            sent_at: vec![None; messages as usize],
            copies: HashMap::new(),
            end_to_end_us: histogram()?,
        };
        Ok(Self { ledger: Mutex::new(ledger), progress: Notify::new() })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Ledger> {
        // A panic while the ledger is held leaves numbers, which stay numbers.
        self.ledger.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn sending(&self, number: u32) {
        if let Some(at) = self.lock().sent_at.get_mut(number as usize) {
            *at = Some(Instant::now());
        }
    }

    /// Enters one received message; those of other runs on the same topic are left out.
    fn received(&self, message: &MessageExt, run: &str) {
        let Some(number) = message.keys().find_map(|key| number_of(key, run)) else { return };
        let mut ledger = self.lock();
        if let Some(Some(at)) = ledger.sent_at.get(number as usize) {
            let micros = at.elapsed().as_micros() as u64;
            ledger.end_to_end_us.saturating_record(micros);
        }
        let copies = ledger.copies.entry(number).or_insert(0);
        *copies += 1;
        let (count, first) = (ledger.copies.len(), ledger.copies.get(&number) == Some(&1));
        drop(ledger);
        if first && count <= SHOWN as usize {
            say(format_args!(
                "received MessageExt [topic={}, queueId={}, queueOffset={}, msgId={}, tags={}, body={} bytes]",
                message.topic,
                message.queue_id,
                message.queue_offset,
                message.msg_id,
                message.tags().unwrap_or_default(),
                message.body.len(),
            ));
        }
        self.progress.notify_one();
    }

    /// Waits until `count` different messages arrived, or nothing arrives any more.
    async fn wait_for(&self, count: u32) -> u32 {
        loop {
            let arrived = self.lock().copies.len() as u32;
            if arrived >= count || tokio::time::timeout(SILENCE_MAX, self.progress.notified()).await.is_err()
            {
                return arrived;
            }
        }
    }
}

/// An impatient user's Ctrl-C ends the work alone: the client, its consumer above all, is shut down before the
/// servers that it would otherwise go on asking.
async fn send_and_consume(namesrv_addr: &str, args: &QuickstartArgs, stop: Stop) -> Result<(), String> {
    let client = Client::builder(namesrv_addr).build().map_err(|error| error.to_string())?;
    let result = tokio::select! {
        result = through(&client, args) => result,
        signal = stop.wait() => Err(format!("stopped by {signal}")),
    };
    let stopped = client.shutdown().await.map_err(|error| error.to_string());
    result.and(stopped)
}

async fn through(client: &Client, args: &QuickstartArgs) -> Result<(), String> {
    let (messages, run) = (args.messages, run_name());
    let received = Arc::new(Received::new(messages)?);
    let producer = client.producer("quickstart_producer").start().await.map_err(|error| error.to_string())?;
    let mut latency_us = histogram()?;
    let body = vec![b'f'; args.body_size as usize];
    let send = async |number: u32, latency_us: &mut Histogram<u64>| {
        let message = Message::new(TOPIC, body.clone()).tags(TAG).key(format!("{run}-{number}"));
        received.sending(number);
        let started = Instant::now();
        let sent = producer.send(message).await.map_err(|error| format!("message {number}: {error}"))?;
        latency_us.saturating_record(started.elapsed().as_micros() as u64);
        if number < SHOWN {
            say(sent);
        }
        Ok::<(), String>(())
    };

    // The first message creates the topic. Once the NameServer has heard of it, the consumer finds its queues.
    send(0, &mut latency_us).await?;
    let asked = Instant::now();
    while let Err(error) = client.fetch_subscribe_queues(TOPIC).await {
        if asked.elapsed() > SILENCE_MAX {
            return Err(error.to_string());
        }
        tokio::time::sleep(ROUTE_PAUSE).await;
    }
    let arrivals = received.clone();
    let run_of_arrivals = run.clone();
    let consumer = client
        .push_consumer("quickstart_consumer")
        .subscribe(TOPIC, TAG)
        .consume_from(ConsumeFromWhere::FirstOffset)
        .on_message(move |message| {
            arrivals.received(&message, &run_of_arrivals);
            async {}
        })
        .start()
        .await
        .map_err(|error| error.to_string())?;
    received.wait_for(1).await;

    let started = Instant::now();
    latency_us.reset();
    received.lock().end_to_end_us.reset();
    for number in 1..messages {
        send(number, &mut latency_us).await?;
        if (number + 1) % (messages / 4).max(1) == 0 {
            say(format_args!("sent {} of {messages}, received {}", number + 1, received.lock().copies.len()));
        }
    }
    let sending = started.elapsed();
    received.wait_for(messages).await;
    let through = started.elapsed();
    consumer.shutdown().await;

    let ledger = received.lock();
    let different = ledger.copies.len() as u32;
    let copies: u32 = ledger.copies.values().sum();
    let rate = |count: u32, took: Duration| f64::from(count) / took.as_secs_f64().max(1e-9);
    say(format_args!(
        "send:       {:>8.0} messages/s, {}",
        rate(messages - 1, sending),
        percentiles(&latency_us)
    ));
    say(format_args!(
        "end to end: {:>8.0} messages/s, {}",
        rate(different, through),
        percentiles(&ledger.end_to_end_us)
    ));
    let lost = messages - different;
    say(format_args!(
        "quickstart: sent {messages}, received {different}, lost {lost}, duplicated {}",
        copies - different
    ));
    if lost == 0 { Ok(()) } else { Err(format!("{lost} of {messages} messages were lost")) }
}

fn histogram() -> Result<Histogram<u64>, String> {
    Histogram::new_with_bounds(1, 60_000_000, 3).map_err(|error| error.to_string())
}

fn percentiles(micros: &Histogram<u64>) -> String {
    let at = |quantile| micros.value_at_quantile(quantile) as f64 / 1e3;
    format!("p50 {:.3} ms, p99 {:.3} ms", at(0.5), at(0.99))
}

/// Different for each run, so that a topic's earlier messages are not counted as this run's.
fn run_name() -> String {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{:x}", since_epoch.as_nanos(), std::process::id())
}

/// The number in a key made by this run.
fn number_of(key: &str, run: &str) -> Option<u32> {
    key.strip_prefix(run)?.strip_prefix('-')?.parse().ok()
}
