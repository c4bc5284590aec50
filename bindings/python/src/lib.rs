//! The module `ferrocket._core`: what the Python package's typed layer is built on. Its types are in
//! `python/ferrocket/_core.pyi`.
//!
//! ```text
//! port.rs      operations, and how their outcomes come back: waited for, or through a descriptor
//! values.rs    messages and receipts
//! client.rs    the client with its administration and events
//! producer.rs  producers, transactions
//! consumer.rs  consumers, deliveries, batches
//! process.rs   errors, log lines, the end of the interpreter, the test broker
//! ```
//!
//! No task of the runtime holds an object of Python's or takes the interpreter's lock: it could be waiting for that
//! when the interpreter goes. Tasks leave values in a port's inbox, and a thread of Python's makes objects of them.

mod client;
mod consumer;
mod port;
mod process;
mod producer;
mod values;

/// Private: use the package `ferrocket`.
#[pyo3::pymodule(gil_used = false)]
mod _core {
    #[pymodule_export]
    use crate::client::{Client, Events};
    #[pymodule_export]
    use crate::consumer::{Delivery, LitePullConsumer, OrderlyBatch, OrderlyConsumer, PushConsumer};
    #[pymodule_export]
    use crate::port::{Op, Port};
    #[pymodule_export]
    use crate::process::{Broker, is_stopped, logs_fileno, set_log_level, stop, take_logs};
    #[pymodule_export]
    use crate::producer::{Check, Producer, Transaction, TransactionProducer};
    #[pymodule_export]
    use crate::values::{Message, MessageExt, MessageQueue, SendResult, TransactionSendResult};

    #[pymodule_export]
    #[allow(non_upper_case_globals)]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
