//! Transactional messages: a half message, the local work, and what becomes of the message.
//!
//! ```text
//! half message (TRAN_MSG, PGROUP) ──▶ broker keeps it from consumers
//! local work ──▶ END_TRANSACTION (37, oneway): commit, rollback or unknown
//! no end heard: CHECK_TRANSACTION_STATE (39) to any producer of the group ──▶ END_TRANSACTION
//! ```
//!
//! Java counterparts: `TransactionMQProducer`, `TransactionListener`, `endTransaction` and
//! `checkTransactionState` of `DefaultMQProducerImpl`.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ferrocket_protocol::message::sys_flag;
use ferrocket_protocol::message_id::OffsetMessageId;
use ferrocket_protocol::properties::names;
use ferrocket_protocol::requests::transaction::{CheckTransactionStateHeader, EndTransactionHeader};
use ferrocket_protocol::{RemotingCommand, RequestCode, Text};
use ferrocket_remoting::Connection;
use tokio::sync::Semaphore;

use super::parcel::set_unique_key;
use super::{Producer, ProducerBuilder};
use crate::client::Client;
use crate::error::{Error, Result};
use crate::message::{Message, MessageExt};
use crate::message_ids::now_ms;
use crate::push_consumer::catch_panic;
use crate::send_result::{SendResult, SendStatus};
use crate::trace;
use crate::validate::within;

/// Java's `checkRequestHoldMax`: most checks that wait or run.
const CHECK_REQUEST_HOLD_MAX: usize = 2_000;
/// How long the answer to a check waits for room in the connection.
const CHECK_ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// What became of a local transaction. Java: `LocalTransactionState`, whose `UNKNOW` is spelt right here.
///
/// ```
/// use ferrocket::LocalTransactionState;
///
/// /// What a row of the program's database says about a transaction.
/// fn state(paid: Option<bool>) -> LocalTransactionState {
///     match paid {
///         Some(true) => LocalTransactionState::CommitMessage,
///         Some(false) => LocalTransactionState::RollbackMessage,
///         // Not there yet: the broker asks again.
///         None => LocalTransactionState::Unknown,
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LocalTransactionState {
    /// It was committed: consumers get the message.
    CommitMessage,
    /// It was rolled back: nobody gets the message.
    RollbackMessage,
    /// Not known yet: the broker asks again later.
    Unknown,
}

impl LocalTransactionState {
    /// Java's name of the constant.
    pub fn name(self) -> &'static str {
        match self {
            Self::CommitMessage => "COMMIT_MESSAGE",
            Self::RollbackMessage => "ROLLBACK_MESSAGE",
            Self::Unknown => "UNKNOW",
        }
    }

    /// The bits of `commitOrRollback`.
    fn bits(self) -> i32 {
        match self {
            Self::CommitMessage => sys_flag::TRANSACTION_COMMIT,
            Self::RollbackMessage => sys_flag::TRANSACTION_ROLLBACK,
            Self::Unknown => 0,
        }
    }
}

impl fmt::Display for LocalTransactionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What local work and checks may answer: a [`LocalTransactionState`], or a `Result` whose error means
/// [`Unknown`](LocalTransactionState::Unknown) and is told to the broker. Java: an exception.
///
/// ```
/// use ferrocket::{LocalTransactionAnswer, LocalTransactionState};
///
/// async fn pay(order: &str) -> std::io::Result<LocalTransactionState> {
///     std::fs::read(order)?;
///     Ok(LocalTransactionState::CommitMessage)
/// }
///
/// # #[cfg(feature = "blocking")] {
/// # use ferrocket::blocking::Wait;
/// # let paid = pay("there is no such order").wait();
/// let (state, why) = paid.into_state();
/// assert_eq!(state, LocalTransactionState::Unknown);
/// println!("{why:?}");
/// # }
/// ```
pub trait LocalTransactionAnswer {
    /// The state, and why there is no better one.
    fn into_state(self) -> (LocalTransactionState, Option<String>);
}

impl LocalTransactionAnswer for LocalTransactionState {
    fn into_state(self) -> (LocalTransactionState, Option<String>) {
        (self, None)
    }
}

impl<E: fmt::Display> LocalTransactionAnswer for Result<LocalTransactionState, E> {
    fn into_state(self) -> (LocalTransactionState, Option<String>) {
        match self {
            Ok(state) => (state, None),
            Err(error) => (LocalTransactionState::Unknown, Some(error.to_string())),
        }
    }
}

/// What the local work of a transaction is given.
///
/// ```
/// use ferrocket::{LocalTransaction, LocalTransactionState};
///
/// /// The row tells a later check that the order was paid.
/// async fn pay(local: LocalTransaction) -> std::io::Result<LocalTransactionState> {
///     let (id, order) = (&local.transaction_id, local.message.body());
///     println!("INSERT INTO paid VALUES ({id}, {order:?})");
///     Ok(LocalTransactionState::CommitMessage)
/// }
///
/// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
/// # let producer = client.producer("orders").check_local_transaction(|_| async { LocalTransactionState::Unknown });
/// # let producer = producer.start().await?;
/// let done = producer.send_in_transaction(ferrocket::Message::new("Orders", "o-42"), pay).await?;
/// assert_eq!(done.local_transaction_state, LocalTransactionState::CommitMessage);
/// # Ok(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LocalTransaction {
    /// The message as it was sent, with its id.
    pub message: Message,
    /// Names the transaction: a check brings the same id, see [`MessageExt::transaction_id`].
    pub transaction_id: String,
    /// The broker's receipt for the half message.
    pub half: SendResult,
}

/// What became of a transactional message. Java: `TransactionSendResult`.
///
/// ```
/// use ferrocket::{LocalTransactionState, Message};
///
/// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
/// # let producer = client.producer("orders").check_local_transaction(|_| async { LocalTransactionState::Unknown });
/// # let producer = producer.start().await?;
/// let broke = |_| async { Err::<LocalTransactionState, _>("no connection to the database") };
/// let done = producer.send_in_transaction(Message::new("Orders", "o-42"), broke).await?;
/// assert!(done.sent.is_ok());
/// assert_eq!(done.local_transaction_state, LocalTransactionState::Unknown);
/// assert_eq!(done.failure.as_deref(), Some("no connection to the database"));
/// # Ok(()) }).unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub struct TransactionSendResult {
    /// The broker's receipt for the half message.
    pub sent: SendResult,
    /// What the broker was told.
    pub local_transaction_state: LocalTransactionState,
    /// Why the local work failed, where it answered an error or panicked.
    pub failure: Option<String>,
}

type Checked = Pin<Box<dyn Future<Output = (LocalTransactionState, Option<String>)> + Send>>;

/// The checks of one group: the application's answer to them, and how many may be under way.
pub(crate) struct Checks {
    group: Text,
    check: Box<dyn Fn(MessageExt) -> Checked + Send + Sync>,
    /// Places for checks that wait or run.
    held: Arc<Semaphore>,
    /// Places for checks that run.
    running: Semaphore,
}

impl Checks {
    /// Has a check answered on a task of its own, over the connection it came on. One too many is not
    /// answered: the broker asks again.
    pub(crate) fn begin(
        self: Arc<Self>,
        client: &Client,
        connection: &Connection,
        header: CheckTransactionStateHeader,
        broker_name: Text,
        message: MessageExt,
    ) {
        let Ok(place) = Arc::clone(&self.held).try_acquire_owned() else {
            tracing::warn!(group = %self.group, message = %message.msg_id, "too many transactions are being checked; the broker will ask again");
            return;
        };
        let (client, connection) = (client.clone(), connection.clone());
        tokio::spawn(async move {
            // Never closed.
            let Ok(_turn) = self.running.acquire().await else { return };
            let unique_key = message.property(names::UNIQ_CLIENT_MESSAGE_ID_KEYIDX).map(Text::from);
            let msg_id = unique_key.unwrap_or_else(|| message.msg_id.clone());
            let checked = catch_panic(async { (self.check)(message.clone()).await }).await;
            let (state, failure) =
                checked.unwrap_or_else(|panic| (LocalTransactionState::Unknown, Some(panic)));
            if state != LocalTransactionState::CommitMessage {
                tracing::info!(group = %self.group, %msg_id, %state, failure, "a checked transaction is not committed");
            }
            let ended = trace::Ended {
                group: &self.group,
                topic: &message.topic,
                msg_id: &msg_id,
                tags: message.tags(),
                keys: message.property(names::KEYS),
                region: message.property(names::MSG_REGION),
                addr: &connection.peer_addr().to_string(),
                transaction_id: message.transaction_id(),
                state,
                from_check: true,
            };
            trace::ended(&client, &ended);
            let end = EndTransactionHeader {
                topic: header.topic,
                producer_group: self.group.clone(),
                tran_state_table_offset: header.tran_state_table_offset,
                commit_log_offset: header.commit_log_offset,
                commit_or_rollback: state.bits(),
                from_transaction_check: Some(true),
                msg_id,
                transaction_id: header.transaction_id,
            };
            let remark = failure.map(|failure| format!("checkLocalTransactionState Exception: {failure}"));
            let request = end_transaction(&client, &end, &broker_name, remark);
            match tokio::time::timeout(CHECK_ANSWER_TIMEOUT, connection.oneway(request)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(msg_id = %end.msg_id, %error, "a check is not answered"),
                Err(_) => tracing::warn!(msg_id = %end.msg_id, "a check is not answered: no room"),
            }
            drop(place);
        });
    }
}

/// The request that ends a transaction.
fn end_transaction(
    client: &Client,
    header: &EndTransactionHeader,
    broker_name: &Text,
    remark: Option<String>,
) -> RemotingCommand {
    let mut request = client.request(RequestCode::EndTransaction, header);
    if !broker_name.is_empty() {
        request.ext_fields.push(Text::from_static("bname"), broker_name.clone());
    }
    request.remark = remark.map(Text::from);
    request
}

/// Sets up a [`TransactionProducer`]. Obtained from [`ProducerBuilder::check_local_transaction`].
///
/// ```
/// use ferrocket::LocalTransactionState;
///
/// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
/// let producer = client
///     .producer("order-service")
///     .check_local_transaction(|_| async { LocalTransactionState::Unknown })
///     .check_thread_pool_max_size(8)
///     .check_request_hold_max(500)
///     .start()
///     .await?;
/// # Ok(()) }).unwrap();
/// ```
#[must_use]
pub struct TransactionProducerBuilder {
    pub(crate) producer: ProducerBuilder,
    check: Box<dyn Fn(MessageExt) -> Checked + Send + Sync>,
    pub(crate) check_request_hold_max: usize,
    pub(crate) check_thread_pool_max_size: usize,
}

impl ProducerBuilder {
    /// Turns to a producer of transactional messages. `check` is asked by brokers what became of a message
    /// whose end they did not hear of, also one of another producer of the group that is gone: it should look
    /// into what the local work left behind, such as a row of a database.
    /// Java: `TransactionListener.checkLocalTransaction`.
    ///
    /// ```
    /// use ferrocket::{LocalTransactionState, Message};
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # async fn is_paid(_: Option<&str>) -> bool { true }
    /// let producer = client
    ///     .producer("orders")
    ///     .check_local_transaction(|message| async move {
    ///         match is_paid(message.transaction_id()).await {
    ///             true => LocalTransactionState::CommitMessage,
    ///             false => LocalTransactionState::Unknown,
    ///         }
    ///     })
    ///     .start()
    ///     .await?;
    /// let sent = producer
    ///     .send_in_transaction(Message::new("Orders", "paid"), |local| async move {
    ///         println!("transaction {}", local.transaction_id);
    ///         LocalTransactionState::CommitMessage
    ///     })
    ///     .await?;
    /// println!("{} {}", sent.sent, sent.local_transaction_state);
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn check_local_transaction<F, A>(self, check: F) -> TransactionProducerBuilder
    where
        F: Fn(MessageExt) -> A + Send + Sync + 'static,
        A: Future<Output: LocalTransactionAnswer> + Send + 'static,
    {
        TransactionProducerBuilder {
            producer: self,
            check: Box::new(move |message| {
                let checked = check(message);
                Box::pin(async move { checked.await.into_state() })
            }),
            check_request_hold_max: CHECK_REQUEST_HOLD_MAX,
            check_thread_pool_max_size: 1,
        }
    }
}

impl TransactionProducerBuilder {
    /// `checkThreadPoolMaxSize`: checks that run at once. Default 1.
    pub fn check_thread_pool_max_size(mut self, checks: usize) -> Self {
        self.check_thread_pool_max_size = checks;
        self
    }

    /// `checkRequestHoldMax`: checks that wait or run; brokers ask again about further ones. Default 2,000.
    pub fn check_request_hold_max(mut self, checks: usize) -> Self {
        self.check_request_hold_max = checks;
        self
    }

    /// Starts the producer.
    ///
    /// # Errors
    /// As [`ProducerBuilder::start`]; [`ErrorKind::Config`](crate::ErrorKind::Config) for limits of checks that
    /// are 0 or beyond 2^29.
    pub async fn start(self) -> Result<TransactionProducer> {
        within("check_thread_pool_max_size", self.check_thread_pool_max_size as u128, 1, 1 << 29)?;
        within("check_request_hold_max", self.check_request_hold_max as u128, 1, 1 << 29)?;
        let checks = Checks {
            group: self.producer.group_name()?,
            check: self.check,
            held: Arc::new(Semaphore::new(self.check_request_hold_max)),
            running: Semaphore::new(self.check_thread_pool_max_size),
        };
        Ok(TransactionProducer { producer: self.producer.open(Some(Arc::new(checks)))? })
    }
}

impl fmt::Debug for TransactionProducerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionProducerBuilder").field("producer", &self.producer).finish_non_exhaustive()
    }
}

/// Sends messages that consumers get only if a local transaction was committed. Cheap to clone.
///
/// It answers brokers' checks until its shutdown, or its client's. Java: `TransactionMQProducer`.
///
/// ```
/// use ferrocket::{LocalTransactionState, Message};
///
/// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
/// let check = |_| async { LocalTransactionState::CommitMessage };
/// let orders = client.producer("order-service").check_local_transaction(check).start().await?;
/// // Consumers never see it.
/// let cancelled = |_| async { LocalTransactionState::RollbackMessage };
/// let done = orders.send_in_transaction(Message::new("Orders", "o-42"), cancelled).await?;
/// assert_eq!(done.local_transaction_state, LocalTransactionState::RollbackMessage);
/// // The same group without a transaction.
/// let sent = orders.producer().send(Message::new("Orders", "o-43")).await?;
/// # Ok(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct TransactionProducer {
    producer: Producer,
}

impl TransactionProducer {
    /// Sends a half message, runs `local`, and tells the broker what became of it. `local` does not run when
    /// the half message was stored with another status than `SEND_OK`: then it is rolled back, as in Java.
    ///
    /// An error or a panic of `local` counts as [`LocalTransactionState::Unknown`]. A caller that stops
    /// polling, a process that ends and an end that is lost are all the same to the broker: it asks the group's
    /// `check`. A delay level is ignored.
    ///
    /// ```
    /// use ferrocket::{LocalTransactionState, Message};
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let check = |_| async { LocalTransactionState::CommitMessage };
    /// # let producer = client.producer("order-service").check_local_transaction(check).start().await?;
    /// # async fn pay(order: &[u8]) -> std::io::Result<()> { Ok(()) }
    /// let done = producer
    ///     .send_in_transaction(Message::new("Orders", "o-42"), |local| async move {
    ///         pay(local.message.body()).await.map(|()| LocalTransactionState::CommitMessage)
    ///     })
    ///     .await?;
    /// println!("{}: {}", done.sent.msg_id, done.local_transaction_state);
    /// # Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`Producer::send`], for the half message: `local` did not run. The message comes back in
    /// [`Error::unsent`]; where the half message was stored all the same, a check finds no local work done.
    pub async fn send_in_transaction<F, A>(&self, message: Message, local: F) -> Result<TransactionSendResult>
    where
        F: FnOnce(LocalTransaction) -> A,
        A: Future<Output: LocalTransactionAnswer>,
    {
        let shared = &self.producer.shared;
        let mut message = message.delay_level(0);
        set_unique_key(&mut message, &shared.client, now_ms());
        let mut half = message.clone();
        half.set_property(Text::from_static(names::TRANSACTION_PREPARED), Text::from_static("true"));
        half.set_property(Text::from_static(names::PRODUCER_GROUP), shared.packing.group.clone());
        let sent = match self.producer.send(half.clone()).await {
            Ok(sent) => sent,
            Err(error) => {
                let error = error.with_context("the half message was not sent");
                // What comes back is what was handed in: sent again as it is it must not become a half message.
                return Err(if error.unsent().is_empty() { error } else { error.with_unsent(vec![message]) });
            }
        };
        let (state, failure) = match sent.status {
            SendStatus::SendOk => {
                if let Some(id) = &sent.transaction_id {
                    half.set_property(Text::from_static(names::TRANSACTION_ID), id.clone());
                }
                let transaction = LocalTransaction {
                    message: half,
                    transaction_id: sent.msg_id.to_string(),
                    half: sent.clone(),
                };
                match catch_panic(async { local(transaction).await.into_state() }).await {
                    Ok(answer) => answer,
                    Err(panic) => (LocalTransactionState::Unknown, Some(panic)),
                }
            }
            _ => (LocalTransactionState::RollbackMessage, None),
        };
        if let Err(error) = self.end(&message, &sent, state, failure.as_deref()).await {
            tracing::warn!(msg_id = %sent.msg_id, %state, %error, "the broker was not told; it will ask");
        }
        Ok(TransactionSendResult { sent, local_transaction_state: state, failure })
    }

    /// Tells the broker that has the half message. Nobody waits for its answer.
    async fn end(
        &self,
        message: &Message,
        sent: &SendResult,
        state: LocalTransactionState,
        failure: Option<&str>,
    ) -> Result<()> {
        let shared = &self.producer.shared;
        let broker_name = &sent.message_queue.broker_name;
        let addr = shared.client.master_addr(broker_name).ok_or_else(|| Error::no_broker(broker_name))?;
        let id = OffsetMessageId::parse(&sent.offset_msg_id)
            .ok_or_else(|| Error::protocol(format_args!("message id {:?}", sent.offset_msg_id), &addr))?;
        let header = EndTransactionHeader {
            topic: Some(shared.client.wrapped(&sent.message_queue.topic)),
            producer_group: shared.packing.group.clone(),
            tran_state_table_offset: sent.queue_offset,
            commit_log_offset: id.physical_offset,
            commit_or_rollback: state.bits(),
            from_transaction_check: Some(false),
            msg_id: sent.msg_id.clone(),
            transaction_id: sent.transaction_id.clone(),
        };
        let ended = trace::Ended {
            group: &shared.packing.group,
            topic: message.topic(),
            msg_id: &sent.msg_id,
            tags: message.property_value(names::TAGS),
            keys: message.property_value(names::KEYS),
            region: None,
            addr: &addr,
            transaction_id: Some(&sent.msg_id),
            state,
            from_check: false,
        };
        trace::ended(&shared.client, &ended);
        let remark = failure.map(|failure| format!("executeLocalTransactionBranch exception: {failure}"));
        let request = end_transaction(&shared.client, &header, broker_name, remark);
        let timeout = shared.settings.send_msg_timeout;
        shared.client.oneway_within(&addr, request, timeout).await
    }

    /// The producer of the same group, for messages without transaction.
    pub fn producer(&self) -> &Producer {
        &self.producer
    }

    /// As [`Producer::shutdown`]; checks under way are still answered, and no more are taken.
    pub async fn shutdown(&self) {
        self.producer.shutdown().await;
    }
}
