//! What the Python, Node and C packages have in common, so that each adds its language and nothing else.
//!
//! ```text
//! runtime.rs   the process's one Tokio runtime: spawn, block_on, guard, stop; refused after a fork
//! inbox.rs     values on their way to the language, taken in batches; it is woken, not called
//! event_fd.rs  a descriptor to be woken by, for event loops
//! consume.rs   deliveries in batches; questions that the language answers: orderly batches, transactions
//! pipeline.rs  sends in the order of their calls
//! terms.rs     the queue and the time of one send
//! logs.rs      log lines for the language's own logging
//! testing.rs   the servers in the process of a test
//! ```
//!
//! Three rules hold for every binding. Nothing of the language is held or called by a task of the runtime: tasks put
//! values into an [`Inbox`] and wake the language's own thread. Batches cross the boundary, not single messages. A
//! panic ends at the boundary: every entry goes through [`guard`].
//!
//! Leaves out: everything of one language's, and settings, which the client's builders take by key
//! (`ClientBuilder::set` and its kin).

mod consume;
#[cfg(unix)]
mod event_fd;
mod inbox;
pub mod logs;
mod pipeline;
mod runtime;
mod terms;
#[cfg(feature = "testing")]
pub mod testing;

pub use consume::{
    Check, Deliveries, LocalWork, OrderlyBatch, Question, TransactionAnswer, Watched, deliveries, events,
    on_check, orderly, send_in_transaction,
};
#[cfg(unix)]
pub use event_fd::EventFd;
pub use ferrocket;
pub use inbox::{Inbox, StreamInbox};
pub use pipeline::Pipeline;
pub use runtime::{Bridge, Held, Task, block_on, guard, is_forked, runtime, spawn};
pub use terms::{Destination, Load, Terms};
