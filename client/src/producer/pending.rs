//! A queued send under way: whoever brings the answer carries it on.
//!
//! A task for each message would be woken, put in line and polled once more for every answer. What is left to do then
//! is little: the answer is read and whoever waits for the receipt is woken. So that is done by the connection's task,
//! in the call that would have woken a task. Only what is not over with the first answer, a message that is sent
//! again, becomes a task.
//!
//! Java counterpart: `InvokeCallback`.

use std::fmt;
use std::future::Future;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use ferrocket_protocol::RemotingCommand;
use ferrocket_remoting::{PendingCall, wake_soon};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::Shared;
use super::journey::{Asked, Begun, Journey, Leg};
use crate::error::{Error, ErrorKind, Result};
use crate::send_result::SendResult;

/// The receipt of a queued message, to be awaited. Dropping it does not take the message back.
///
/// ```
/// use ferrocket::Message;
///
/// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
/// # let producer = client.producer("order-service").start().await?;
/// let pending = producer.enqueue(Message::new("Orders", "paid")).await?;
/// // Something else meanwhile, then
/// match pending.await {
///     Ok(sent) => println!("{sent}"),
///     Err(error) => println!("{error}; not sent: {:?}", error.unsent()),
/// }
/// # Ok(()) }).unwrap();
/// ```
#[must_use = "without awaiting it nobody learns whether the message was stored"]
pub struct PendingSend(Arc<Errand>);

/// What the receipt and the connection share.
struct Errand {
    /// What the answer is read for. Held by whoever has taken the answer, nobody else: it is large, and stays in its
    /// place.
    first: Mutex<Option<FirstAttempt>>,
    /// Held for exchanges, never while the send is carried on. Not taken while `first` is held.
    state: Mutex<State>,
}

struct State {
    stage: Stage,
    /// Who waits for the receipt.
    waiter: Option<Waker>,
}

#[expect(clippy::large_enum_variant, reason = "memory of its own for each send would cost more")]
enum Stage {
    /// The request of the first attempt is in line, or sent.
    UnderWay(PendingCall),
    /// Its answer is being read.
    Answered,
    /// What the answer left to do.
    Task(JoinHandle<Result<SendResult>>),
    Over(Result<SendResult>),
    /// The receipt has been taken.
    Taken,
}

struct FirstAttempt {
    owner: Arc<Shared>,
    journey: Journey,
    leg: Leg,
    asked: Asked,
}

impl PendingSend {
    /// The receipt of a journey whose first attempt has begun, or was not possible. Inlined: what it is given is moved
    /// once, to where it stays.
    #[inline(always)]
    pub(super) fn new(owner: Arc<Shared>, journey: Journey, begun: Option<Begun>) -> Self {
        let Some(Begun { leg, asked, call }) = begun else {
            return Self::begun(None, spawn(travel(owner, journey)));
        };
        let first = Some(FirstAttempt { owner, journey, leg, asked });
        match call {
            Ok(call) => Self::begun(first, Stage::UnderWay(call)),
            Err(error) => {
                let errand = Self::begun(first, Stage::Answered);
                errand.0.answer(Err(error));
                errand
            }
        }
    }

    #[inline(always)]
    fn begun(first: Option<FirstAttempt>, stage: Stage) -> Self {
        let state = Mutex::new(State { stage, waiter: None });
        let errand = Arc::new(Errand { first: Mutex::new(first), state });
        errand.carry_on();
        Self(errand)
    }
}

impl FirstAttempt {
    /// Reads the answer; `None` if the journey goes on.
    fn read(&mut self, reply: Result<RemotingCommand>) -> Option<Result<SendResult>> {
        let reply = reply.map(|reply| self.owner.client.replied(&self.asked.addr, reply));
        let result = self.owner.answered(&self.journey, &self.leg, &self.asked, reply);
        self.owner.arrive(&mut self.journey, &mut self.leg, result)
    }

    /// The same, and what follows.
    async fn read_on(mut self, reply: Result<RemotingCommand>) -> Result<SendResult> {
        match self.read(reply) {
            Some(end) => end.map_err(|error| self.journey.failed(error)),
            None => travel(self.owner, self.journey).await,
        }
    }
}

async fn travel(owner: Arc<Shared>, mut journey: Journey) -> Result<SendResult> {
    owner.travel(&mut journey).await.map_err(|error| journey.failed(error))
}

fn spawn(rest: impl Future<Output = Result<SendResult>> + Send + 'static) -> Stage {
    match Handle::try_current() {
        Ok(runtime) => Stage::Task(runtime.spawn(rest)),
        Err(_) => over(),
    }
}

fn over() -> Stage {
    Stage::Over(Err(torn_down()))
}

fn torn_down() -> Error {
    Error::closed("the runtime")
}

impl Future for PendingSend {
    type Output = Result<SendResult>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_receipt(cx)
    }
}

impl fmt::Debug for PendingSend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingSend").finish_non_exhaustive()
    }
}

impl Errand {
    fn state(&self) -> MutexGuard<'_, State> {
        // Whole after each statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the answer, once it is there.
    fn carry_on(self: &Arc<Self>) {
        let waker = Waker::from(Arc::clone(self));
        let mut state = self.state();
        let Stage::UnderWay(call) = &mut state.stage else { return };
        let Poll::Ready(reply) = Pin::new(call).poll(&mut Context::from_waker(&waker)) else { return };
        state.stage = Stage::Answered;
        drop(state);
        self.answer(reply.map_err(Error::from));
    }

    /// Goes on with the answer to the first attempt, and wakes who waits.
    fn answer(&self, reply: Result<RemotingCommand>) {
        let stage = self.read(reply);
        let mut state = self.state();
        state.stage = stage;
        let waiter = state.waiter.take();
        drop(state);
        if let Some(waiter) = waiter {
            wake_soon(waiter);
        }
    }

    /// What follows the answer to the first attempt.
    fn read(&self, reply: Result<RemotingCommand>) -> Stage {
        let mut slot = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(first) = slot.as_mut() else { return over() };
        // What hooks of the program do must not end the connection.
        if !first.owner.settings.hooks.is_empty() {
            return slot.take().map_or_else(over, |first| spawn(first.read_on(reply)));
        }
        // Nor must its subscriber.
        let read = catch_unwind(AssertUnwindSafe(|| first.read(reply)));
        let panicked = |_| Some(Err(Error::new(ErrorKind::Internal, "a panic while the answer was read")));
        let end = read.unwrap_or_else(panicked);
        if let Some(Ok(result)) = end {
            *slot = None;
            return Stage::Over(Ok(result));
        }
        slot.take().map_or_else(over, |first| match end {
            Some(end) => Stage::Over(end.map_err(|error| first.journey.failed(error))),
            None => spawn(travel(first.owner, first.journey)),
        })
    }

    /// The receipt, once it is there.
    fn poll_receipt(&self, cx: &mut Context<'_>) -> Poll<Result<SendResult>> {
        let mut state = self.state();
        match &mut state.stage {
            Stage::Task(task) => Pin::new(task).poll(cx).map(|ended| {
                ended.unwrap_or_else(|error| match error.is_panic() {
                    true => Err(Error::new(ErrorKind::Internal, error.to_string())),
                    // It goes without a word only when the runtime is torn down.
                    false => Err(torn_down()),
                })
            }),
            Stage::Over(_) => match mem::replace(&mut state.stage, Stage::Taken) {
                Stage::Over(result) => Poll::Ready(result),
                _ => Poll::Pending,
            },
            _ => {
                state.waiter = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Wake for Errand {
    fn wake(self: Arc<Self>) {
        self.carry_on();
    }
}
