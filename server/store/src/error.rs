//! What can go wrong, one enum per operation.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a store did not open. The CommitLog is as it was; queues and index, which can be made again from it, may
/// have been repaired.
#[derive(Debug)]
pub enum OpenError {
    /// Another program, or another store of this one, holds the folder.
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// A file's length is not the configured one. Java refuses such a folder as well.
    Length {
        /// The file.
        path: PathBuf,
        /// Its bytes.
        found: u64,
        /// The configured bytes.
        expected: u64,
    },
    /// A folder holds something that has no place there, or lacks a file.
    Layout {
        /// What.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Data that had reached the disk cannot be read. Java would cut the log here and lose what follows;
    /// `cut_damaged_log` asks for the same.
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where in the log.
        physical_offset: i64,
        /// What is wrong there.
        problem: String,
    },
    /// A setting makes no sense.
    Setting(String),
    /// The disk failed.
    Io {
        /// What was being done, to which file.
        doing: String,
        /// The failure.
        source: io::Error,
    },
}

impl OpenError {
    pub(crate) fn io(doing: &str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let doing = format!("{doing} {}", path.display());
        move |source| Self::Io { doing, source }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked { path } => write!(f, "Lock failed,MQ already started: {}", path.display()),
            Self::Length { path, found, expected } => write!(
                f,
                "{} has {found} bytes instead of the configured {expected}, please check it manually",
                path.display()
            ),
            Self::Layout { path, problem } => write!(f, "{}: {problem}", path.display()),
            Self::Damaged { path, physical_offset, problem } => write!(
                f,
                "{} is damaged at physical offset {physical_offset} ({problem}) although later records had \
                 reached the disk; start with cutDamagedLog=true to give up everything behind it",
                path.display()
            ),
            Self::Setting(problem) => f.write_str(problem),
            Self::Io { doing, source } => write!(f, "{doing}: {source}"),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Why a message was not stored. It is certain that no consumer will see it, except after
/// [`AppendError::Failed`], which leaves it open until the store is reopened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// The topic is longer than a record can hold (127 bytes) or empty. The sender's fault.
    Topic {
        /// Bytes of the topic.
        len: usize,
    },
    /// The properties are longer than a record can hold (32,767 bytes). The sender's fault.
    Properties {
        /// Bytes of the properties.
        len: usize,
    },
    /// The body, the record or the batch is too long. The sender's fault.
    Size {
        /// Bytes of it.
        len: usize,
        /// The most that is allowed.
        max: usize,
    },
    /// An append without a record, or a batch whose records go to different queues. The caller's fault.
    Batch,
    /// A queue to list the message in beside its own has no name, or there are too many. The sender's fault.
    Listed {
        /// Which of the names.
        len: usize,
        /// The most that are allowed.
        max: usize,
    },
    /// The message is for a light queue that does not exist, and there are as many as there may be.
    LightQueues {
        /// How many there may be.
        max: usize,
    },
    /// The disk is nearly full. Clears when space is free again.
    DiskFull,
    /// The store is closed.
    Closed,
    /// A write or a flush failed; nothing more is stored until the store is reopened.
    Failed(String),
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic { len } => write!(f, "message topic length {len} is not within 1..=127"),
            Self::Properties { len } => write!(f, "message properties length {len} exceeds 32767"),
            Self::Size { len, max } => write!(f, "message size {len} exceeds {max}"),
            Self::Batch => f.write_str("a batch needs messages, all for one topic and queue"),
            Self::Listed { len, max } => {
                write!(
                    f,
                    "queue {len} of INNER_MULTI_DISPATCH has no name that can be used, or is one of more than {max}"
                )
            }
            Self::LightQueues { max } => write!(f, "there are {max} light queues, which is the limit"),
            Self::DiskFull => f.write_str("the broker's disk is full"),
            Self::Closed => f.write_str("the message store is closed"),
            Self::Failed(why) => {
                write!(f, "the message store takes nothing more until it is reopened: {why}")
            }
        }
    }
}

impl std::error::Error for AppendError {}

impl From<StoreError> for AppendError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Failed(why) => Self::Failed(why),
            StoreError::Closed => Self::Closed,
        }
    }
}

/// Why the store could not make good on something already accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// A write or a flush failed. What was not flushed before may or may not survive.
    Failed(String),
    /// The store was closed or abandoned before the offset was reached.
    Closed,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(why) => write!(f, "the message store failed: {why}"),
            Self::Closed => f.write_str("the message store is closed"),
        }
    }
}

impl std::error::Error for StoreError {}
