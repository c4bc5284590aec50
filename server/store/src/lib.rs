//! The store of a broker: CommitLog, ConsumeQueues, index and config files in the exact format of Apache
//! RocketMQ's Java broker, so that a folder moves both ways between the two.
//!
//! ```text
//! <root>/commitlog/<20 digits>                   every message: the only truth
//! <root>/consumequeue/<topic>/<id>/<20 digits>   each queue's messages as places in the CommitLog
//! <root>/consumequeue_ext/<topic>/<id>/…         with enableConsumeQueueExt: what entries have no room for
//! <root>/index/<local time>                      keys of messages as places in the CommitLog
//! <root>/config/*.json                           what the broker keeps: topics, groups, offsets
//! <root>/checkpoint, abort, lock                 how far the disk is; that the store is open; whose it is
//! <root>/building/                               new files until they are whole
//! ```
//!
//! [`Store`] is the way in. The hard parts are apart from the disk: it is reached through [`Disk`], of which
//! [`SimDisk`] loses power, and time through [`Clock`]. Nothing here knows of sockets or of what messages mean,
//! with the exception of some properties: tags, keys, the delay level and the other queues of a message.

mod append;
mod checkpoint;
mod clock;
mod commit_log;
mod config;
mod config_files;
mod consume_queue;
mod consume_queue_ext;
mod disk;
mod durability;
mod error;
mod get;
#[cfg(test)]
mod golden;
mod index;
mod index_file;
mod keepers;
mod multi_dispatch;
mod query;
mod queue_files;
mod queues;
mod record;
mod recovery;
mod retention;
mod segments;
mod store;

pub use append::{Append, Appended};
pub use clock::{Clock, ManualClock, SystemClock};
pub use config::{FlushDiskType, StoreConfig};
pub use config_files::ConfigFiles;
pub use consume_queue::QueueEntry;
pub use consume_queue_ext::{BitMap, BitMaps};
pub use disk::{Call, DirEntry, Disk, DiskFile, DiskLock, DiskSpace, Fault, OsDisk, SimDisk};
pub use error::{AppendError, OpenError, StoreError};
pub use get::{GetLimits, GetResult, GetStatus};
pub use multi_dispatch::is_lmq;
pub use query::QueryResult;
pub use store::{Arrivals, Store, StoreStatus};
