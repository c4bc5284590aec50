//! Our own peer: the `ferrocket` crate behind the line protocol of `peers/README.md`.
//!
//! Each command is a task with a [`Client`] of its own; it leaves out the admin commands.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ferrocket::{
    Client, ConsumeFromWhere, ConsumeOrderlyResult, ConsumeResult, LocalTransactionState, Message,
    MessageExt, MessageModel, MessageQueue, MessageSelector, Producer, ProducerBuilder, SendResult,
};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Keys of mode `orderly`, each with a queue of its own.
const KEYS: usize = 4;
/// Messages of a batch.
const BATCH: usize = 16;
/// Most messages of a pull from a light queue.
const PULL: u16 = 32;
/// What the producer lets pass: more than a broker takes.
const MESSAGE_MAX: usize = 15 << 20;
/// How long an asker waits.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// How often an answer is tried, and what is between two tries.
const ANSWER_TRIES: usize = 80;
const ANSWER_PAUSE: Duration = Duration::from_millis(250);
/// How long commands may take to end when the harness is gone.
const END_LIMIT: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let (mut running, mut tasks) = (HashMap::new(), JoinSet::new());
    while let Ok(Some(line)) = lines.next_line().await {
        let mut words = line.split('\t').map(str::to_owned);
        let (Some(id), Some(role)) = (words.next(), words.next()) else { continue };
        if role == "stop" {
            running.remove(&id);
            continue;
        }
        let mut options = HashMap::new();
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            options.insert(name, value);
        }
        // Dropping the sender is what tells a command to end.
        let (stop, stopped) = watch::channel(());
        running.insert(id.clone(), stop);
        tasks.spawn(Command { id, options, stopped }.run(role));
    }
    running.clear();
    let _ = tokio::time::timeout(END_LIMIT, async { while tasks.join_next().await.is_some() {} }).await;
}

/// Writes one line of the protocol.
fn say(id: &str, fields: &[&str]) {
    let line = format!("{id}\t{}\n", fields.join("\t"));
    let mut out = std::io::stdout().lock();
    // Without a harness there is nobody to tell.
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
}

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

struct Command {
    id: String,
    options: HashMap<String, String>,
    stopped: watch::Receiver<()>,
}

impl Command {
    async fn run(self, role: String) {
        let id = self.id.clone();
        let outcome = match role.as_str() {
            "send" => self.send().await.map(|()| "DONE"),
            "consume" => self.consume().await.map(|()| "STOPPED"),
            "reply" => self.reply().await.map(|()| "STOPPED"),
            other => Err(format!("unknown command {other}").into()),
        };
        match outcome {
            Ok(word) => say(&id, &[word]),
            Err(why) => say(&id, &["ERROR", &why.to_string().replace(['\t', '\n', '\r'], " ")]),
        }
    }

    fn get(&self, name: &str) -> Outcome<&str> {
        let value = self.options.get(name).map(String::as_str);
        value.ok_or_else(|| format!("{name} is missing").into())
    }

    fn number<N: std::str::FromStr>(&self, name: &str, fallback: N) -> Outcome<N>
    where
        N::Err: std::error::Error + Send + Sync + 'static,
    {
        Ok(self.options.get(name).map(|text| text.parse()).transpose()?.unwrap_or(fallback))
    }

    fn client(&self) -> Outcome<Client> {
        let mut builder = Client::builder(self.get("--namesrv")?).instance_name(format!("i{}", self.id));
        if let Ok(name) = self.get("--access-key") {
            builder = builder.acl(name, self.get("--secret-key")?);
        }
        if let Ok(namespace) = self.get("--namespace") {
            builder = builder.namespace(namespace);
        }
        if let Ok(unit) = self.get("--unit") {
            builder = builder.unit_mode(true).unit_name(unit);
        }
        Ok(builder.enable_trace(self.options.contains_key("--trace")).build()?)
    }

    /// Waits for `stop`, at most so long; whether it came.
    async fn stopped_within(&mut self, limit: Duration) -> bool {
        tokio::time::timeout(limit, self.stopped.changed()).await.is_ok()
    }

    fn is_stopped(&self) -> bool {
        self.stopped.has_changed().is_err()
    }

    async fn send(mut self) -> Outcome<()> {
        let mode = self.options.get("--mode").cloned().unwrap_or_else(|| "sync".into());
        if mode == "transaction" {
            return self.send_in_transaction().await;
        }
        let client = self.client()?;
        let producer = self.producer(&client)?.start().await?;
        let (topic, prefix) = (self.get("--topic")?.to_owned(), self.get("--prefix")?.to_owned());
        let count: usize = self.number("--count", 0)?;
        let interval = Duration::from_millis(self.number("--interval-ms", 0)?);
        let length: usize = self.number("--length", 0)?;
        let (mut batch, mut pending) = (Vec::new(), Vec::new());
        for i in 0..count {
            let key = i % KEYS;
            let body = if mode == "orderly" {
                format!("{prefix}-{key}-{}", i / KEYS)
            } else {
                format!("{prefix}-{i}")
            };
            let padding = ".".repeat(length.saturating_sub(body.len()));
            let mut message = Message::new(&topic, format!("{body}{padding}"));
            if let Ok(level) = self.get("--delay-level") {
                message = message.delay_level(level.parse()?);
            }
            if let Some(queues) = self.options.get("--dispatch") {
                message = message.property("INNER_MULTI_DISPATCH", queues);
            }
            if let Some(tag) = self.options.get("--tag") {
                message = message.tags(tag);
            }
            match mode.as_str() {
                "sync" => self.sent(&body, &producer.send(message).await?, 0),
                "async" => pending.push((body, producer.enqueue(message).await?)),
                "oneway" => {
                    producer.send_oneway(message).await?;
                    say(&self.id, &["SENT", &body, "ONEWAY"]);
                }
                "orderly" => {
                    let select = |queues: &[_], _: &_| queues.get(key % queues.len().max(1)).cloned();
                    self.sent(&body, &producer.send_with(message, select).await?, 0);
                }
                "request" => {
                    let answer = producer.request(message, REQUEST_LIMIT).await?;
                    say(&self.id, &["SENT", &body, "SEND_OK"]);
                    say(&self.id, &["RECV", &String::from_utf8_lossy(&answer.body), "0", "0", "0", "-"]);
                }
                "batch" => {
                    batch.push((body, message));
                    if batch.len() == BATCH || i + 1 == count {
                        let (bodies, messages): (Vec<_>, Vec<_>) =
                            std::mem::take(&mut batch).into_iter().unzip();
                        let result = producer.send_batch(messages).await?;
                        for (step, body) in (0..).zip(bodies) {
                            self.sent(&body, &result, step);
                        }
                    }
                }
                other => return Err(format!("unknown mode {other}").into()),
            }
            if self.is_stopped() || (!interval.is_zero() && self.stopped_within(interval).await) {
                break;
            }
        }
        for (body, answer) in pending {
            match answer.await {
                Ok(result) => self.sent(&body, &result, 0),
                Err(error) => say(&self.id, &["SENT", &body, &format!("EXCEPTION {error}")]),
            }
        }
        if self.options.contains_key("--stay") {
            let _ = self.stopped.changed().await;
        }
        producer.shutdown().await;
        Ok(client.shutdown().await?)
    }

    fn producer(&self, client: &Client) -> Outcome<ProducerBuilder> {
        let producer = client.producer(self.get("--group")?).send_msg_timeout(Duration::from_secs(10));
        Ok(producer.compress_msg_body_over_howmuch(usize::MAX).max_message_size(MESSAGE_MAX))
    }

    async fn send_in_transaction(mut self) -> Outcome<()> {
        let decision = |name: &str| {
            let states = [LocalTransactionState::CommitMessage, LocalTransactionState::RollbackMessage];
            let word = self.get(name)?;
            Outcome::Ok(
                states
                    .into_iter()
                    .find(|state| state.name() == word)
                    .unwrap_or(LocalTransactionState::Unknown),
            )
        };
        let (local, checked) = (decision("--local")?, decision("--check")?);
        let client = self.client()?;
        let id = self.id.clone();
        let producer = self.producer(&client)?.check_local_transaction(move |message| {
            say(&id, &["TOLD", "checked", &String::from_utf8_lossy(&message.body)]);
            std::future::ready(checked)
        });
        let producer = producer.start().await?;
        let (topic, prefix) = (self.get("--topic")?, self.get("--prefix")?);
        for i in 0..self.number("--count", 0)? {
            let body = format!("{prefix}-{i}");
            let message = Message::new(topic, body.clone());
            let sent = producer.send_in_transaction(message, |_| std::future::ready(local)).await?;
            // The offset it is told is the half message's.
            say(&self.id, &["SENT", &body, sent.sent.status.name(), &sent.sent.msg_id, "-", "-"]);
        }
        let _ = self.stopped.changed().await;
        producer.shutdown().await;
        Ok(client.shutdown().await?)
    }

    /// Answers requests: each is a delivery, each answer a send of `re-` and the request's body.
    async fn reply(mut self) -> Outcome<()> {
        let client = self.client()?;
        let producer = client.producer(&format!("answers-{}", self.id)).start().await?;
        let (tally, stopped) = (self.tally()?, self.stopped.clone());
        let consumer = client
            .push_consumer(self.get("--group")?)
            .subscribe(self.get("--topic")?, "*")
            .consume_from(ConsumeFromWhere::FirstOffset)
            .on_message(move |message| {
                tally.accept(&message);
                answer(tally.id.clone(), producer.clone(), message, stopped.clone())
            })
            .start()
            .await?;
        say(&self.id, &["READY"]);
        let _ = self.stopped.changed().await;
        consumer.shutdown().await;
        Ok(client.shutdown().await?)
    }

    /// A consumer that polls, and commits what it got.
    async fn consume_lite(self) -> Outcome<()> {
        let client = self.client()?;
        let consumer = client
            .lite_pull_consumer(self.get("--group")?)
            .subscribe(self.get("--topic")?, self.selector())
            .consume_from(ConsumeFromWhere::FirstOffset)
            .auto_commit(false)
            .start()
            .await?;
        say(&self.id, &["READY"]);
        let tally = self.tally()?;
        while !self.is_stopped() {
            let messages = consumer.poll(Duration::from_millis(200)).await?;
            for message in &messages {
                tally.accept(message);
            }
            if !messages.is_empty() {
                consumer.commit().await?;
            }
        }
        consumer.shutdown().await;
        Ok(client.shutdown().await?)
    }

    /// Pulls a light queue from its first message on. Its Broker is known from the topic of whose messages it is.
    async fn consume_light(mut self) -> Outcome<()> {
        let client = self.client()?;
        let consumer = client.pull_consumer(self.get("--group")?).start().await?;
        consumer.fetch_queues(self.get("--of")?).await?;
        let queue = MessageQueue::new(self.get("--topic")?, self.get("--broker-name")?, 0);
        say(&self.id, &["READY"]);
        let (tally, mut offset) = (self.tally()?, 0);
        loop {
            let pulled = tokio::select! {
                _ = self.stopped.changed() => break,
                pulled = consumer.pull_block_if_not_found(&queue, "*", offset, PULL) => pulled?,
            };
            for message in &pulled.messages {
                tally.accept(message);
            }
            offset = pulled.next_begin_offset;
        }
        consumer.shutdown().await;
        Ok(client.shutdown().await?)
    }

    fn selector(&self) -> MessageSelector {
        match self.get("--sql") {
            Ok(condition) => MessageSelector::by_sql(condition),
            Err(_) => self.options.get("--expression").map_or("*", String::as_str).into(),
        }
    }

    fn tally(&self) -> Outcome<Arc<Tally>> {
        Ok(Arc::new(Tally {
            id: self.id.clone(),
            fail_times: self.number("--fail-times", 0)?,
            length: self.get("--length").ok().map(str::parse).transpose()?,
            deliveries: Mutex::default(),
        }))
    }

    fn sent(&self, body: &str, result: &SendResult, step: i64) {
        let (queue, offset) = (result.message_queue.queue_id, result.queue_offset + step);
        let fields = [result.status.name(), &result.msg_id, &queue.to_string(), &offset.to_string()];
        say(&self.id, &[&["SENT", body], &fields[..]].concat());
    }

    async fn consume(mut self) -> Outcome<()> {
        if self.get("--mode").is_ok_and(|mode| mode == "lite") {
            return self.consume_lite().await;
        }
        if self.get("--mode").is_ok_and(|mode| mode == "light") {
            return self.consume_light().await;
        }
        let client = self.client()?;
        let mut consumer = client
            .push_consumer(self.get("--group")?)
            .subscribe(self.get("--topic")?, self.selector())
            .consume_from(ConsumeFromWhere::FirstOffset)
            .concurrency(4);
        if let Some(times) = self.options.get("--max-reconsume") {
            consumer = consumer.max_reconsume_times(times.parse()?);
        }
        let mode = self.options.get("--mode").map_or("concurrent", String::as_str);
        if mode == "broadcast" {
            consumer = consumer.message_model(MessageModel::Broadcasting);
        }
        let tally = self.tally()?;
        let consumer = if mode == "orderly" {
            consumer.on_message_orderly(answering(&tally, |ok| {
                if ok {
                    ConsumeOrderlyResult::Success
                } else {
                    ConsumeOrderlyResult::SuspendCurrentQueueAMoment
                }
            }))
        } else {
            consumer.on_message(answering(&tally, |ok| {
                if ok { ConsumeResult::Success } else { ConsumeResult::ReconsumeLater }
            }))
        };
        let consumer = consumer.start().await?;
        say(&self.id, &["READY"]);
        let _ = self.stopped.changed().await;
        consumer.shutdown().await;
        Ok(client.shutdown().await?)
    }
}

/// The Broker does not know an asker that has sent no heartbeat yet: the answer is tried for some time, and given up
/// when the command is told to end.
async fn answer(
    id: String,
    producer: Producer,
    request: MessageExt,
    mut stopped: watch::Receiver<()>,
) -> Outcome<()> {
    let body = format!("re-{}", String::from_utf8_lossy(&request.body));
    let mut left = ANSWER_TRIES;
    loop {
        match producer.send(request.reply_message(body.clone())?).await {
            Ok(sent) => {
                say(&id, &["SENT", &body, sent.status.name()]);
                return Ok(());
            }
            Err(error) if left == 0 => {
                say(&id, &["ERROR", &error.to_string().replace(['\t', '\n', '\r'], " ")]);
                return Err(error.into());
            }
            Err(error) => eprintln!("{id}: {error}"),
        }
        left -= 1;
        if tokio::time::timeout(ANSWER_PAUSE, stopped.changed()).await.is_ok() {
            return Ok(());
        }
    }
}

/// What one consumer got.
struct Tally {
    id: String,
    fail_times: u32,
    /// How long each body must be, with its padding.
    length: Option<usize>,
    /// How often each body came. Guarded for one count at a time.
    deliveries: Mutex<HashMap<String, u32>>,
}

impl Tally {
    /// Reports a delivery and decides whether it succeeds.
    fn accept(&self, message: &MessageExt) -> bool {
        let mut body = String::from_utf8_lossy(&message.body).into_owned();
        if let Some(length) = self.length {
            let bare = body.trim_end_matches('.').to_owned();
            // Nobody sent such a body: the ledger will say so.
            body = if body.len() == length { bare } else { format!("{bare}!{}", body.len()) };
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        let [queue, offset, times, age] = [
            i64::from(message.queue_id),
            message.queue_offset,
            i64::from(message.reconsume_times),
            now - message.born_timestamp,
        ]
        .map(|number| number.to_string());
        let tag = message.tags().filter(|tag| !tag.is_empty()).unwrap_or("-");
        say(&self.id, &["RECV", &body, &queue, &offset, &times, tag, &age]);
        let mut deliveries = self.deliveries.lock().unwrap_or_else(PoisonError::into_inner);
        let count = deliveries.entry(body).or_default();
        *count += 1;
        *count > self.fail_times
    }
}

/// A handler that counts and answers.
fn answering<A: Send + 'static>(
    tally: &Arc<Tally>,
    answer: fn(bool) -> A,
) -> impl Fn(MessageExt) -> std::future::Ready<A> + Send + Sync + 'static {
    let tally = Arc::clone(tally);
    move |message| std::future::ready(answer(tally.accept(&message)))
}
