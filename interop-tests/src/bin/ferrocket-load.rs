//! The client under test of `tests/resilience.rs`, in a process of its own: one that can be killed, and whose memory
//! is nobody else's.
//!
//! ```text
//! ferrocket-load consume NAMESRV TOPIC GROUP orderly|concurrent
//! ferrocket-load load    NAMESRV TOPIC SENDERS PER_SECOND      sends, and consumes what it sent
//! ferrocket-load flood   NAMESRV TOPIC COUNT WINDOW TIMEOUT_S  enqueues as fast as it is let
//! ```
//!
//! It says what happens, a line each, fields between tabs: `READY`, `RECV body queue offset time`, `ACK body time`,
//! `FAIL body why`, `TASKS number`, `FLOODED acknowledged failed peak-KiB`, `STOPPED`. Times are microseconds since
//! 1970. It ends in order when its standard input does; a line there asks `load` for its tasks.

use std::fmt::Display;
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ferrocket::{Client, ConsumeFromWhere, ConsumeOrderlyResult, Message, MessageExt, PushConsumer};
use ferrocket_interop_tests::process::status_kib;
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// Bytes of a flood's message.
const FLOOD_LEN: usize = 1024;
/// Receipts that `flood` holds until they are looked at, beyond what is under way.
const RECEIPTS_MAX: usize = 1024;

type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Outcome {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let stdin = BufReader::new(tokio::io::stdin()).lines();
    match words[..] {
        ["consume", namesrv, topic, group, mode] => {
            let client = Client::builder(namesrv).build()?;
            let consumer = consumer(&client, topic, group, mode == "orderly").await?;
            wait_for_end(stdin).await;
            consumer.shutdown().await;
            client.shutdown().await?;
        }
        ["load", namesrv, topic, senders, per_second] => {
            load(stdin, namesrv, topic, senders.parse()?, per_second.parse()?).await?;
        }
        ["flood", namesrv, topic, count, window, timeout_s] => {
            let timeout = Duration::from_secs(timeout_s.parse()?);
            flood(namesrv, topic, count.parse()?, window.parse()?, timeout).await?;
            wait_for_end(stdin).await;
        }
        _ => return Err("see the head of ferrocket-load.rs".into()),
    }
    say("STOPPED", &[]);
    Ok(())
}

fn say(word: &str, fields: &[&dyn Display]) {
    let mut line = word.to_owned();
    for field in fields {
        line += &format!("\t{field}").replace('\n', " ");
    }
    line.push('\n');
    let mut out = std::io::stdout().lock();
    // Without a harness there is nobody to tell. One write to a line: a kill cuts none in two.
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
}

fn now_us() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros())
}

/// Answers every line with the number of tasks, until there are no more.
async fn wait_for_end(mut stdin: Lines<BufReader<Stdin>>) {
    while let Ok(Some(_)) = stdin.next_line().await {
        say("TASKS", &[&Handle::current().metrics().num_alive_tasks()]);
    }
}

async fn consumer(
    client: &Client,
    topic: &str,
    group: &str,
    orderly: bool,
) -> ferrocket::Result<PushConsumer> {
    let consumer = client
        .push_consumer(group)
        .subscribe(topic, "*")
        .consume_from(ConsumeFromWhere::FirstOffset)
        .concurrency(8)
        .pull_batch_size(8);
    let consumer = if orderly {
        consumer.on_message_orderly(|message: MessageExt| {
            received(&message);
            std::future::ready(ConsumeOrderlyResult::Success)
        })
    } else {
        consumer.on_message(|message: MessageExt| {
            received(&message);
            std::future::ready(())
        })
    };
    let consumer = consumer.start().await?;
    say("READY", &[]);
    Ok(consumer)
}

fn received(message: &MessageExt) {
    let body = String::from_utf8_lossy(&message.body);
    say("RECV", &[&body, &message.queue_id, &message.queue_offset, &now_us()]);
}

/// Sends at a steady rate, whatever becomes of it, and consumes.
async fn load(
    stdin: Lines<BufReader<Stdin>>,
    namesrv: &str,
    topic: &str,
    senders: u32,
    per_second: u32,
) -> Outcome {
    let client = Client::builder(namesrv).build()?;
    let producer = client.producer("load-producer").start().await?;
    let consumer = consumer(&client, topic, "load-consumer", false).await?;
    let pause = Duration::from_secs(1) * senders / per_second;
    let mut tasks = JoinSet::new();
    for sender in 0..senders {
        let (producer, topic) = (producer.clone(), topic.to_owned());
        tasks.spawn(async move {
            let mut ticks = interval(pause);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            for number in 0u64.. {
                ticks.tick().await;
                let body = format!("load-{sender}-{number}");
                match producer.send(Message::new(&topic, body.clone())).await {
                    Ok(sent) if sent.is_ok() => say("ACK", &[&body, &now_us()]),
                    Ok(sent) => say("FAIL", &[&body, &sent.status.name()]),
                    Err(error) => say("FAIL", &[&body, &error]),
                }
            }
        });
    }
    wait_for_end(stdin).await;
    tasks.shutdown().await;
    consumer.shutdown().await;
    Ok(client.shutdown().await?)
}

/// Enqueues without any wait of its own, and counts what became of it.
async fn flood(namesrv: &str, topic: &str, count: u64, window: usize, timeout: Duration) -> Outcome {
    let client = Client::builder(namesrv).in_flight_max(window).build()?;
    let producer = client.producer("flood-producer").send_msg_timeout(timeout).start().await?;
    let (receipts, mut inbox) = mpsc::channel(RECEIPTS_MAX + window);
    let counted = tokio::spawn(async move {
        let (mut acknowledged, mut failed) = (0u64, 0u64);
        while let Some((body, receipt)) = inbox.recv().await {
            let receipt: ferrocket::PendingSend = receipt;
            match receipt.await {
                Ok(_) => acknowledged += 1,
                Err(error) => {
                    failed += 1;
                    say("FAIL", &[&body, &error]);
                }
            }
        }
        (acknowledged, failed)
    });
    let mut refused = 0;
    say("READY", &[]);
    for number in 0..count {
        match producer.enqueue(Message::new(topic, vec![b'x'; FLOOD_LEN])).await {
            Ok(receipt) => receipts.send((number, receipt)).await?,
            Err(error) => {
                refused += 1;
                say("FAIL", &[&number, &error]);
            }
        }
    }
    drop(receipts);
    let (acknowledged, failed) = counted.await?;
    let peak_kib = status_kib(std::process::id(), "VmHWM")?;
    say("FLOODED", &[&acknowledged, &(failed + refused), &peak_kib]);
    Ok(client.shutdown().await?)
}
