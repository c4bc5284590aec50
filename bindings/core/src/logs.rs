//! The client's log lines for the language's own logging.
//!
//! Lines wait in an inbox; nobody's logger is called from a thread of the runtime.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use ferrocket::{Error, ErrorKind, Result};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{Interest, set_global_default};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::inbox::Inbox;

/// Lines that wait at most; further ones are counted and told of.
const LINES_MAX: usize = 1024;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How grave it is: 1 error, 2 warning, 3 information, 4 debugging, 5 trace.
    pub level: u8,
    /// The module it comes from, `ferrocket::producer` for instance.
    pub target: String,
    /// What it says: a sentence, and `name=value` pairs.
    pub text: String,
}

/// The least grave level that is wanted; 0 for none.
static LEVEL: AtomicU8 = AtomicU8::new(0);
/// Lines that found no room since the last that did.
static DROPPED: AtomicU64 = AtomicU64::new(0);
/// Who gets the lines; the first one's coming makes us the process's subscriber. Held for one look or change.
static SINK: Mutex<Option<Inbox<Line>>> = Mutex::new(None);

/// Has the process's lines of this level and graver ones (1 error to 5 trace, 0 none) go into this inbox, instead of
/// the one that was given before.
///
/// # Errors
/// [`ErrorKind::Config`] when something else in the process takes them already, or for another level.
pub fn forward(level: u8, inbox: Inbox<Line>) -> Result<()> {
    set_level(level)?;
    let mut sink = SINK.lock().unwrap_or_else(PoisonError::into_inner);
    if sink.is_none() {
        set_global_default(Lines)
            .map_err(|error| Error::new(ErrorKind::Config, format!("log lines: {error}")))?;
    }
    *sink = Some(inbox);
    Ok(())
}

/// Changes what is wanted.
///
/// # Errors
/// [`ErrorKind::Config`] for another level than 0 to 5.
pub fn set_level(level: u8) -> Result<()> {
    if level > 5 {
        return Err(Error::new(
            ErrorKind::Config,
            format!("log level {level}: allowed is 0 (none) to 5 (trace)"),
        ));
    }
    LEVEL.store(level, Ordering::Relaxed);
    tracing::callsite::rebuild_interest_cache();
    Ok(())
}

/// The levels by their numbers.
const FILTERS: [LevelFilter; 6] = [
    LevelFilter::OFF,
    LevelFilter::ERROR,
    LevelFilter::WARN,
    LevelFilter::INFO,
    LevelFilter::DEBUG,
    LevelFilter::TRACE,
];

fn number(level: &Level) -> u8 {
    FILTERS.iter().position(|filter| filter == level).unwrap_or_default() as u8
}

/// Takes what the client says.
struct Lines;

impl Subscriber for Lines {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && number(metadata.level()) <= LEVEL.load(Ordering::Relaxed)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        FILTERS.get(usize::from(LEVEL.load(Ordering::Relaxed))).copied()
    }

    // The client has no spans.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let sink = SINK.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(sink) = sink else { return };
        if sink.len() >= LINES_MAX {
            DROPPED.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let dropped = DROPPED.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            let text = format!("{dropped} log lines were lost, because nobody took those before");
            sink.push(Line { level: 2, target: module_path!().to_owned(), text });
        }
        let mut words = Words(String::new());
        event.record(&mut words);
        let metadata = event.metadata();
        sink.push(Line {
            level: number(metadata.level()),
            target: metadata.target().to_owned(),
            text: words.0,
        });
    }
}

/// The text of a line as it grows.
struct Words(String);

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let before = if self.0.is_empty() { "" } else { " " };
        // Writing into a text cannot fail.
        let _ = match field.name() {
            // It comes first, whatever its place.
            "message" => {
                let rest = std::mem::take(&mut self.0);
                write!(self.0, "{value:?}{before}{rest}")
            }
            name => write!(self.0, "{before}{name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of the wanted levels arrive with their fields; those beyond the limit are counted and told of.
    #[test]
    fn lines_arrive() {
        assert_eq!(set_level(6).unwrap_err().kind(), ErrorKind::Config);
        let first = Inbox::new(|| ());
        forward(3, first.clone()).unwrap();
        tracing::info!(group = "g", queues = 2, "divided");
        tracing::debug!("too fine");
        let line =
            |level, text: &str| Line { level, target: module_path!().to_owned(), text: text.to_owned() };
        assert_eq!(first.drain(9), [line(3, "divided group=\"g\" queues=2")]);
        let inbox = Inbox::new(|| ());
        forward(4, inbox.clone()).unwrap();
        for _ in 0..LINES_MAX + 2 {
            tracing::debug!("again");
        }
        assert_eq!(inbox.drain(LINES_MAX + 2).len(), LINES_MAX);
        tracing::error!("last");
        let lost = Line {
            level: 2,
            target: "ferrocket_bindings::logs".to_owned(),
            text: "2 log lines were lost, because nobody took those before".to_owned(),
        };
        assert_eq!(inbox.drain(9), [lost, line(1, "last")]);
        assert_eq!(first.len(), 0);
        set_level(0).unwrap();
        tracing::error!("nobody wants it");
        assert_eq!(inbox.len(), 0);
    }
}
