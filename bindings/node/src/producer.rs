//! What a producer can do.

use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use ferrocket_bindings::ferrocket::{
    Error, ErrorKind, LocalTransactionState, Message, Producer, Result, TransactionProducer,
    TransactionSendResult,
};
use ferrocket_bindings::{Check, Inbox, Load, LocalWork, Pipeline, TransactionAnswer, send_in_transaction};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Notify;

use crate::args::{Args, Reply, receipt};
use crate::port::unknown;

/// Checks that are handed over at once.
const CHECKS_MAX: usize = 64;

/// A producer, and what of its transactions waits for an answer.
pub(crate) struct Sender {
    producer: Producer,
    line: Pipeline,
    transactions: Option<Transactions>,
}

struct Transactions {
    producer: TransactionProducer,
    checks: Inbox<Check>,
    bell: Arc<Notify>,
    open: Tickets<Check>,
    works: Tickets<Work>,
}

type Sending = Pin<Box<dyn Future<Output = Result<TransactionSendResult>> + Send>>;

/// A transaction whose local work is being done.
struct Work {
    question: LocalWork,
    sending: Sending,
}

/// An inbox that a task waits at.
pub(crate) fn inbox<T>() -> (Inbox<T>, Arc<Notify>) {
    let bell = Arc::new(Notify::new());
    let ring = Arc::clone(&bell);
    (Inbox::new(move || ring.notify_one()), bell)
}

/// What is there, once something is; nothing at the end. One task waits at a time.
pub(crate) async fn taken<T>(inbox: &Inbox<T>, bell: &Notify, max: usize) -> Vec<T> {
    loop {
        let taken = inbox.drain(max);
        if !taken.is_empty() || inbox.is_ended() {
            return taken;
        }
        bell.notified().await;
    }
}

/// What JavaScript has to answer, by number. Bounded by what asks.
pub(crate) struct Tickets<T>(Mutex<(u32, Option<HashMap<u32, T>>)>);

impl<T> Default for Tickets<T> {
    fn default() -> Self {
        Self(Mutex::new((0, Some(HashMap::new()))))
    }
}

impl<T> Tickets<T> {
    /// Keeps these under consecutive numbers; answers the first.
    pub(crate) fn keep(&self, values: impl IntoIterator<Item = T>) -> u32 {
        let mut tickets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (next, open) = &mut *tickets;
        let first = *next;
        for value in values {
            if let Some(open) = open {
                open.insert(*next, value);
            }
            *next = next.wrapping_add(1);
        }
        first
    }

    pub(crate) fn take(&self, ticket: u32) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.as_mut()?.remove(&ticket)
    }

    /// Nobody answers any more: what is open is dropped, and what comes.
    pub(crate) fn close(&self) {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner).1.take();
        drop(open);
    }
}

impl Sender {
    pub(crate) fn plain(producer: Producer) -> Result<Self> {
        Ok(Self { line: Pipeline::new(producer.clone())?, producer, transactions: None })
    }

    pub(crate) fn transactional(
        producer: TransactionProducer,
        checks: Inbox<Check>,
        bell: Arc<Notify>,
    ) -> Result<Self> {
        let mut sender = Self::plain(producer.producer().clone())?;
        let (open, works) = (Tickets::default(), Tickets::default());
        sender.transactions = Some(Transactions { producer, checks, bell, open, works });
        Ok(sender)
    }

    /// Puts a message, or a batch, in line behind those of earlier calls.
    pub(crate) fn enqueue(
        &self,
        mut args: Args,
        is_batch: bool,
        answered: impl FnOnce(Result<Reply>) + Send + 'static,
    ) -> Result<()> {
        let (load, terms) = if is_batch {
            let (messages, terms) = args.messages_and_terms()?;
            (Load::from(messages), terms)
        } else {
            let (message, terms) = args.message_and_terms()?;
            (Load::from(message), terms)
        };
        self.line.send(load, terms, |sent| answered(sent.and_then(|sent| Reply::sent(&sent))))
    }

    pub(crate) async fn close(&self) {
        self.line.flush().await;
        self.producer.shutdown().await;
        if let Some(transactions) = &self.transactions {
            transactions.checks.close();
            // Unanswered: the broker asks somebody else.
            transactions.open.close();
            transactions.works.close();
        }
    }
}

pub(crate) async fn call(sender: &Sender, operation: &str, mut args: Args) -> Result<Reply> {
    let producer = &sender.producer;
    match operation {
        "send" => {
            let (message, terms) = args.message_and_terms()?;
            Reply::sent(&terms.send(producer, message).await?)
        }
        "sendOneway" => {
            let (message, terms) = args.message_and_terms()?;
            terms.send_oneway(producer, message).await?;
            Reply::empty()
        }
        "sendBatch" => {
            let (messages, terms) = args.messages_and_terms()?;
            Reply::sent(&terms.send_batch(producer, messages).await?)
        }
        "request" => {
            let (message, terms) = args.message_and_terms()?;
            let missing = || Error::new(ErrorKind::Config, "a request has a timeout");
            let timeout = terms.timeout.ok_or_else(missing)?;
            Reply::messages([&producer.request(message, timeout).await?])
        }
        "reply" => {
            let request: BTreeMap<String, String> = args.read()?;
            let reply = Message::reply_to(|name| request.get(name).map(String::as_str), args.body())?;
            Reply::sent(&producer.send(reply).await?)
        }
        "recall" => {
            #[derive(Deserialize)]
            #[serde(rename_all = "camelCase")]
            struct Recall {
                topic: String,
                recall_handle: String,
            }
            let Recall { topic, recall_handle } = args.read()?;
            Reply::new(&producer.recall(&topic, &recall_handle).await?)
        }
        "fetchQueues" => Reply::new(&producer.fetch_queues(&args.read::<String>()?).await?),
        _ => match &sender.transactions {
            Some(transactions) => transactions.call(operation, args).await,
            None => Err(unknown(operation)),
        },
    }
}

#[derive(Deserialize)]
struct Outcome {
    ticket: u32,
    state: State,
    failure: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum State {
    CommitMessage,
    RollbackMessage,
    Unknown,
}

impl Outcome {
    fn answer(self) -> TransactionAnswer {
        match (self.failure, self.state) {
            (Some(failure), _) => Err(failure),
            (None, State::CommitMessage) => Ok(LocalTransactionState::CommitMessage),
            (None, State::RollbackMessage) => Ok(LocalTransactionState::RollbackMessage),
            (None, State::Unknown) => Ok(LocalTransactionState::Unknown),
        }
    }
}

impl Transactions {
    async fn call(&self, operation: &str, mut args: Args) -> Result<Reply> {
        match operation {
            "sendHalf" => self.send_half(args.message()?).await,
            "endTransaction" => {
                let outcome: Outcome = args.read()?;
                let work = self.works.take(outcome.ticket).ok_or_else(settled)?;
                work.question.answer(outcome.answer());
                drop(work.sending.await?);
                Reply::empty()
            }
            "takeChecks" => {
                let checks = taken(&self.checks, &self.bell, CHECKS_MAX).await;
                if checks.is_empty() {
                    return Reply::empty();
                }
                let messages: Vec<_> = checks.iter().map(|check| check.subject.clone()).collect();
                Reply::new(&self.open.keep(checks))?.with_messages(&messages)
            }
            "answerCheck" => {
                let outcome: Outcome = args.read()?;
                let check = self.open.take(outcome.ticket).ok_or_else(settled)?;
                check.answer(outcome.answer());
                Reply::empty()
            }
            _ => Err(unknown(operation)),
        }
    }

    /// Sends a half message; answers once the local work is to be done, or will not be.
    async fn send_half(&self, message: Message) -> Result<Reply> {
        let (producer, works) = (self.producer.clone(), Inbox::new(|| ()));
        let inbox = works.clone();
        let mut sending: Sending =
            Box::pin(async move { send_in_transaction(&producer, message, &inbox).await });
        // It asks in its own course.
        let asked = poll_fn(|context| match sending.as_mut().poll(context) {
            Poll::Ready(sent) => Poll::Ready(Err(sent)),
            Poll::Pending => works.drain(1).pop().map_or(Poll::Pending, |question| Poll::Ready(Ok(question))),
        });
        match asked.await {
            Ok(question) => {
                let local = &question.subject;
                let answer = (receipt(&local.half), local.transaction_id.clone());
                let ticket = self.works.keep([Work { question, sending }]);
                Reply::new(&json!({ "ticket": ticket, "transactionId": answer.1, "half": answer.0 }))
            }
            Err(sent) => {
                let sent = sent?.sent;
                Reply::new(&json!({ "half": receipt(&sent), "transactionId": &*sent.msg_id }))
            }
        }
    }
}

fn settled() -> Error {
    Error::new(ErrorKind::Closed, "nobody waits for this answer any more")
}
