//! What can go wrong for a caller, and whether another try helps.
//!
//! One type for the whole crate: a small [`ErrorKind`] to branch on, the server's code and remark as they
//! came, the address that was talked to, the cause, and, for sends, the messages that were not sent.
//! Java counterparts: `MQClientException`, `MQBrokerException`, `RemotingException` and its children.

use std::fmt;
use std::sync::Arc;

use ferrocket_protocol::{RemotingCommand, ResponseCode};
use ferrocket_remoting::CallError;

use crate::message::Message;

/// The result of everything in this crate.
///
/// ```
/// use ferrocket::{Message, Producer, Result, SendResult};
///
/// async fn announce(producer: &Producer, order: &str) -> Result<SendResult> {
///     producer.send(Message::new("Orders", "paid").key(order)).await
/// }
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Defines [`ErrorKind`] and what is said about its values elsewhere: bindings make their exceptions, types and
/// numbers of the same rows.
macro_rules! error_kinds {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal, retryable: $retryable:expr;)+) => {
        /// What kind of fault an [`Error`] is.
        ///
        /// ```
        /// use ferrocket::{Error, ErrorKind};
        ///
        /// /// What to tell those who wait.
        /// fn words(error: &Error) -> &'static str {
        ///     match error.kind() {
        ///         ErrorKind::NoRoute | ErrorKind::NoBroker | ErrorKind::Connect => "the cluster is away",
        ///         // It may have been stored.
        ///         ErrorKind::Timeout => "nobody knows",
        ///         _ => "it was refused",
        ///     }
        /// }
        /// // Its number never changes.
        /// assert_eq!((ErrorKind::Timeout.number(), ErrorKind::Timeout.name()), (6, "Timeout"));
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorKind {
            $($(#[doc = $doc])+ $name = $number,)+
        }

        impl ErrorKind {
            /// All kinds, by number.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The name of the value.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }

            /// What it means, in sentences.
            pub fn doc(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+).trim_ascii(),)+
                }
            }

            /// Whether the same call may succeed later without any change by the caller; `None` where the server's
            /// code decides, see [`Error::is_retryable`].
            pub fn retryable(self) -> Option<bool> {
                match self {
                    $(Self::$name => $retryable,)+
                }
            }
        }
    };
}

error_kinds! {
    /// A setting, a group or a topic name that cannot work. Trying again does not help.
    Config = 1, retryable: Some(false);
    /// The client, producer or consumer was shut down.
    Closed = 2, retryable: Some(false);
    /// No NameServer knows a route for the topic.
    NoRoute = 3, retryable: Some(true);
    /// The route names a broker that has no master address at present.
    NoBroker = 4, retryable: Some(true);
    /// No connection to the address, or it was lost. A message may have been stored nevertheless.
    Connect = 5, retryable: Some(true);
    /// No answer in time. A message may have been stored nevertheless.
    Timeout = 6, retryable: Some(true);
    /// A limit of this client is reached, or the server asked to slow down.
    FlowControl = 7, retryable: Some(true);
    /// The server answered with an error code.
    Broker = 8, retryable: None;
    /// The message breaks a rule and was not sent.
    InvalidMessage = 9, retryable: Some(false);
    /// An answer that cannot be read.
    Protocol = 10, retryable: Some(false);
    /// A local file, or a local port.
    Io = 11, retryable: Some(false);
    /// A fault of this client itself, such as a panic. It goes on; what was under way may not have happened.
    Internal = 12, retryable: Some(false);
}

impl ErrorKind {
    /// The number that stands for it where there are no names. It never changes.
    pub fn number(self) -> i32 {
        self as i32
    }
}

/// An error with all that is known about it. Cheap to move; clones share the cause.
///
/// ```
/// use ferrocket::{Error, ErrorKind, Message};
///
/// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
/// # let producer = client.producer("order-service").max_message_size(10).start().await?;
/// let error: Error = producer.send(Message::new("Orders", "x".repeat(100))).await.unwrap_err();
/// match error.kind() {
///     ErrorKind::InvalidMessage => eprintln!("never: {error}"),
///     _ if error.is_retryable() => eprintln!("later: {error}"),
///     _ => eprintln!("{error}, code {:?} of {:?}", error.code(), error.addr()),
/// }
/// let message = error.into_unsent().remove(0);
/// assert_eq!(message.topic(), "Orders");
/// # Ok(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct Error(Box<Parts>);

#[derive(Clone)]
struct Parts {
    kind: ErrorKind,
    text: String,
    code: Option<ResponseCode>,
    remark: Option<String>,
    addr: Option<String>,
    unsent: Vec<Message>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of this kind, for code that stands between this crate and an application: bindings, wrappers, and
    /// doubles in tests.
    ///
    /// ```
    /// use ferrocket::{Error, ErrorKind, Message};
    ///
    /// /// Stands for a producer in a test of what comes after a failure.
    /// fn send(message: Message) -> ferrocket::Result<()> {
    ///     Err(Error::new(ErrorKind::Timeout, "nobody answered").with_unsent(vec![message]))
    /// }
    ///
    /// let error = send(Message::new("Orders", "paid")).unwrap_err();
    /// assert!(error.is_retryable());
    /// ```
    pub fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            kind,
            text: text.into(),
            code: None,
            remark: None,
            addr: None,
            unsent: Vec::new(),
            source: None,
        }))
    }

    /// The server at `addr` refused with this code.
    pub(crate) fn broker(code: ResponseCode, remark: Option<&str>, addr: &str) -> Self {
        let kind = match code {
            ResponseCode::FLOW_CONTROL | ResponseCode::SYSTEM_BUSY => ErrorKind::FlowControl,
            _ => ErrorKind::Broker,
        };
        // Java's MQBrokerException says: CODE: n  DESC: remark BROKER: addr.
        let mut error =
            Self::new(kind, format!("{addr} answered code {code}: {}", remark.unwrap_or("no remark")));
        error.0.code = Some(code);
        error.0.remark = remark.map(str::to_owned);
        error.0.addr = Some(addr.to_owned());
        error
    }

    /// A reply of `addr` that does not read as it should.
    pub(crate) fn protocol(what: impl fmt::Display, addr: &str) -> Self {
        let mut error = Self::new(ErrorKind::Protocol, format!("an answer of {addr} cannot be read: {what}"));
        error.0.addr = Some(addr.to_owned());
        error
    }

    /// No route names a master of this name.
    pub(crate) fn no_broker(broker_name: &str) -> Self {
        Self::new(ErrorKind::NoBroker, format!("The broker[{broker_name}] not exist"))
    }

    pub(crate) fn closed(what: &str) -> Self {
        Self::new(ErrorKind::Closed, format!("{what} is shut down"))
    }

    pub(crate) fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// The same error with the code and remark of the answer that says so.
    pub(crate) fn with_answer(mut self, reply: &RemotingCommand, addr: &str) -> Self {
        self.0.code = Some(reply.response_code());
        self.0.remark = reply.remark.as_ref().map(ToString::to_string);
        self.0.addr = Some(addr.to_owned());
        self
    }

    /// The same error in the words of the operation that failed because of it.
    pub(crate) fn with_context(mut self, context: impl fmt::Display) -> Self {
        self.0.text = format!("{context}: {}", self.0.text);
        self
    }

    /// The same error with the messages that were not sent because of it.
    #[must_use]
    pub fn with_unsent(mut self, messages: Vec<Message>) -> Self {
        self.0.unsent = messages;
        self
    }

    /// The kind of fault.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The server's response code, if a server answered.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// let error = client.admin().view_message("Orders", "nonsense").await.unwrap_err();
    /// assert_eq!(error.code(), None); // No server was asked.
    /// let error = client.admin().topic_route("NoSuchTopic").await.unwrap_err();
    /// assert_eq!(error.code(), Some(17)); // TOPIC_NOT_EXIST
    /// println!("{} said {:?}", error.addr().unwrap_or("?"), error.remark());
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn code(&self) -> Option<i32> {
        self.0.code.map(|code| code.0)
    }

    /// The server's remark, word for word.
    pub fn remark(&self) -> Option<&str> {
        self.0.remark.as_deref()
    }

    /// The address that was talked to.
    pub fn addr(&self) -> Option<&str> {
        self.0.addr.as_deref()
    }

    /// The messages of a failed send as the caller handed them in; several for a batch.
    ///
    /// After [`ErrorKind::Timeout`] and a lost connection a broker may have stored them all the same.
    ///
    /// ```
    /// use ferrocket::Message;
    ///
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |cluster, client| {
    /// # let producer = client.producer("order-service").start().await?;
    /// # producer.shutdown().await;
    /// let batch = vec![Message::new("Orders", "paid").key("o-42"), Message::new("Orders", "paid").key("o-43")];
    /// if let Err(error) = producer.send_batch(batch).await {
    ///     for message in error.unsent() {
    ///         eprintln!("{:?} was not sent: {error}", message.property_value("KEYS"));
    ///     }
    /// }
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn unsent(&self) -> &[Message] {
        &self.0.unsent
    }

    /// Takes the unsent messages out.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use ferrocket::{Message, Producer, Result, SendResult};
    ///
    /// async fn send_at_last(producer: &Producer, mut message: Message) -> Result<SendResult> {
    ///     loop {
    ///         match producer.send(message).await {
    ///             Err(error) if error.is_retryable() => message = error.into_unsent().remove(0),
    ///             done => return done,
    ///         }
    ///         tokio::time::sleep(Duration::from_secs(1)).await;
    ///     }
    /// }
    /// # #[cfg(feature = "testing")] ferrocket::testing::example(async |_, client| {
    /// #     let producer = client.producer("order-service").start().await?;
    /// #     send_at_last(&producer, Message::new("Orders", "paid")).await.map(drop)
    /// # }).unwrap();
    /// ```
    pub fn into_unsent(self) -> Vec<Message> {
        self.0.unsent
    }

    /// Whether the same call may succeed later without any change by the caller.
    pub fn is_retryable(&self) -> bool {
        self.0.kind.retryable().unwrap_or_else(|| {
            self.0.code.is_some_and(|code| {
                matches!(
                    code,
                    ResponseCode::SYSTEM_ERROR
                        | ResponseCode::SERVICE_NOT_AVAILABLE
                        | ResponseCode::TOPIC_NOT_EXIST
                        | ResponseCode::NOT_IN_CURRENT_UNIT
                        | ResponseCode::GO_AWAY
                )
            })
        })
    }
}

impl From<CallError> for Error {
    fn from(fault: CallError) -> Self {
        let kind = match &fault {
            CallError::Connect { .. } | CallError::Closed { .. } => ErrorKind::Connect,
            CallError::Timeout { .. } => ErrorKind::Timeout,
            CallError::Busy { .. } => ErrorKind::FlowControl,
            CallError::TooLarge { .. } => ErrorKind::InvalidMessage,
        };
        let mut error = Self::new(kind, fault.to_string());
        error.0.addr = Some(fault.addr().to_owned());
        error.with_source(fault)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `main` prints errors this way: the sentence comes first, bodies of messages never.
        write!(f, "{} ({:?}", self.0.text, self.0.kind)?;
        if !self.0.unsent.is_empty() {
            write!(f, ", {} message(s) unsent", self.0.unsent.len())?;
        }
        f.write_str(")")
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The broker's words reach the caller untouched, and the code decides whether to try again.
    #[test]
    fn broker_answers_keep_code_and_remark() {
        let error = Error::broker(ResponseCode::NO_PERMISSION, Some("no right"), "10.0.0.1:10911");
        assert_eq!(
            (error.kind(), error.code(), error.remark()),
            (ErrorKind::Broker, Some(16), Some("no right"))
        );
        assert_eq!(error.to_string(), "10.0.0.1:10911 answered code 16 NO_PERMISSION: no right");
        assert!(!error.is_retryable());
        assert!(Error::broker(ResponseCode::SERVICE_NOT_AVAILABLE, None, "a:1").is_retryable());
        assert_eq!(Error::broker(ResponseCode::SYSTEM_BUSY, None, "a:1").kind(), ErrorKind::FlowControl);
    }

    /// Every kind has a number of its own, from 1 up, and a sentence.
    #[test]
    fn the_table_of_kinds_is_whole() {
        for (at, kind) in ErrorKind::ALL.iter().enumerate() {
            assert_eq!((kind.number(), kind.name()), (at as i32 + 1, &*format!("{kind:?}")));
            assert!(kind.doc().ends_with('.') && !kind.doc().contains("  "), "{kind:?}");
        }
        assert_eq!(ErrorKind::Broker.retryable(), None);
    }

    /// A failed send gives the message back.
    #[test]
    fn unsent_messages_come_back() {
        let error = Error::closed("producer p").with_unsent(vec![Message::new("T", "body")]);
        assert_eq!(error.unsent().len(), 1);
        assert_eq!(error.into_unsent().remove(0).topic(), "T");
    }
}
