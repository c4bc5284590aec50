//! A JavaScript thread's calls.
//!
//! ```text
//! call(id, operation, …) -> task -> answer -> inbox -> wake -> drain: all that is ready
//! ```
//!
//! What the thread opens is kept here under numbers. When the thread ends, its port is dropped, and with it
//! everything that it had open.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use ferrocket_bindings::ferrocket::{Client, Error, ErrorKind, LitePullConsumer, Result};
use ferrocket_bindings::testing::Broker;
use ferrocket_bindings::{Inbox, Task, guard, spawn};

use crate::args::{Args, Reply, pack};
use crate::client::Watcher;
use crate::producer::Sender;
use crate::push::Push;
use crate::{admin, client, lite, logs, producer, push, servers};

/// Bytes of the longest body that is copied; no broker takes so much.
const BODY_LEN_MAX: usize = 64 << 20;
/// Answers that are drained at once.
const DRAIN_MAX: usize = 4096;

/// What JavaScript has open. Clones are the same object.
#[derive(Clone)]
pub(crate) enum Object {
    Client(Client),
    Producer(Arc<Sender>),
    Push(Arc<Push>),
    Lite(LitePullConsumer),
    Watcher(Arc<Watcher>),
    Broker(Arc<Broker>),
}

pub(crate) struct Port(Arc<Shared>);

/// What the port's tasks share.
pub(crate) struct Shared {
    answers: Inbox<(u32, Result<Reply>)>,
    /// Under way. Held for one look or change.
    tasks: Mutex<HashMap<u32, Task>>,
    /// Held for one look or change.
    objects: Mutex<BTreeMap<u32, Object>>,
    next: AtomicU32,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A body that may be copied.
pub(crate) fn body(bytes: &[u8]) -> Result<&[u8]> {
    if bytes.len() <= BODY_LEN_MAX {
        return Ok(bytes);
    }
    let text = format!("a body of {} bytes: no more than {BODY_LEN_MAX} can be sent", bytes.len());
    Err(Error::new(ErrorKind::InvalidMessage, text))
}

impl Port {
    pub(crate) fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(Shared {
            answers: Inbox::new(wake),
            tasks: Mutex::default(),
            objects: Mutex::default(),
            next: AtomicU32::new(1),
        }))
    }

    pub(crate) fn call(
        &self,
        id: u32,
        operation: String,
        handle: u32,
        args: String,
        bodies: impl FnOnce() -> Result<Vec<Bytes>>,
    ) {
        let shared = &self.0;
        if let Err(error) = guard(|| shared.begin(id, operation, handle, args, bodies()?)) {
            shared.answers.push((id, Err(error)));
        }
    }

    pub(crate) fn drain(&self) -> (String, Vec<Vec<u8>>) {
        pack(self.0.answers.drain(DRAIN_MAX))
    }

    pub(crate) fn cancel(&self, id: u32) {
        if let Some(task) = lock(&self.0.tasks).get(&id) {
            task.cancel();
        }
    }

    pub(crate) fn settle(&self, handle: u32, tickets: &[u32], level: Option<i32>) {
        // A consumer that is closed has given them back.
        let _ = guard(|| {
            if let Object::Push(push) = self.0.object(handle)? {
                push.settle(tickets, level);
            }
            Ok(())
        });
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        let shared = &self.0;
        shared.answers.close();
        for task in lock(&shared.tasks).values() {
            task.cancel();
        }
        let objects = std::mem::take(&mut *lock(&shared.objects));
        for object in objects.values() {
            if let Object::Push(push) = object {
                push.give_back();
            }
        }
        // The last that was opened is the first to go, as far as the process lives on. Nobody waits for it, and one
        // that fails does not keep the others.
        let end = async move {
            for object in objects.into_values().rev() {
                // What a lite pull consumer handed out may not be done: its client ends it, and commits no more.
                if !matches!(object, Object::Lite(_)) {
                    let _ = close(object).await;
                }
            }
            Ok(())
        };
        let _ = spawn(end, |_| ());
    }
}

impl Shared {
    fn begin(
        self: &Arc<Self>,
        id: u32,
        operation: String,
        handle: u32,
        args: String,
        bodies: Vec<Bytes>,
    ) -> Result<()> {
        let shared = Arc::clone(self);
        let answered = move |result| {
            lock(&shared.tasks).remove(&id);
            shared.answers.push((id, result));
        };
        let args = Args::new(args, bodies);
        // The order of these is that of the calls.
        if ["enqueue", "enqueueBatch"].contains(&&*operation)
            && let Object::Producer(sender) = self.object(handle)?
        {
            return sender.enqueue(args, operation == "enqueueBatch", answered);
        }
        if handle == 0 && operation == "setLogLevel" {
            answered(logs::set_level(&args));
            return Ok(());
        }
        let shared = Arc::clone(self);
        // Held while the task begins: it may be over before it is known.
        let mut tasks = lock(&self.tasks);
        let task = spawn(async move { shared.perform(&operation, handle, args).await }, answered)?;
        tasks.insert(id, task);
        Ok(())
    }

    async fn perform(&self, operation: &str, handle: u32, args: Args) -> Result<Reply> {
        if handle == 0 {
            return match operation {
                "client" => client::open(self, args),
                "cluster" => servers::open(self, args).await,
                "takeLogs" => logs::take(&args).await,
                _ => Err(unknown(operation)),
            };
        }
        if operation == "close" {
            if let Ok(object) = self.object(handle) {
                // It stays known meanwhile, for the answers that it waits for.
                let closed = close(object).await;
                lock(&self.objects).remove(&handle);
                closed?;
            }
            return Reply::empty();
        }
        match self.object(handle)? {
            Object::Client(client) => match admin::call(&client, operation, &args).await? {
                Some(reply) => Ok(reply),
                None => client::call(self, &client, operation, args).await,
            },
            Object::Producer(sender) => producer::call(&sender, operation, args).await,
            Object::Push(push) => push::call(&push, operation, args).await,
            Object::Lite(consumer) => lite::call(&consumer, operation, args).await,
            Object::Watcher(watcher) => watcher.take().await,
            Object::Broker(broker) => servers::call(&broker, operation, args).await,
        }
    }

    fn object(&self, handle: u32) -> Result<Object> {
        let object = lock(&self.objects).get(&handle).cloned();
        object.ok_or_else(|| Error::new(ErrorKind::Closed, "the object is closed"))
    }

    /// Keeps an object; answers its number.
    pub(crate) fn keep(&self, object: Object) -> u32 {
        let handle = self.next.fetch_add(1, Ordering::Relaxed);
        lock(&self.objects).insert(handle, object);
        handle
    }
}

async fn close(object: Object) -> Result<()> {
    match object {
        Object::Client(client) => client.shutdown().await,
        Object::Producer(sender) => {
            sender.close().await;
            Ok(())
        }
        Object::Push(push) => {
            push.close().await;
            Ok(())
        }
        Object::Lite(consumer) => {
            consumer.shutdown().await;
            Ok(())
        }
        Object::Watcher(_) => Ok(()),
        Object::Broker(broker) => broker.shutdown().await,
    }
}

/// The TypeScript layer of another version.
pub(crate) fn unknown(operation: &str) -> Error {
    Error::new(ErrorKind::Internal, format!("there is no operation {operation}"))
}
