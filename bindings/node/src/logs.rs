//! Log lines for a logger of the program's.

use std::sync::{Arc, Mutex, PoisonError};

use ferrocket_bindings::ferrocket::{Error, ErrorKind, Result};
use ferrocket_bindings::{Inbox, logs};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::args::{Args, Reply};
use crate::producer::{inbox, taken};

/// By number, as the bindings count.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
/// Lines that are handed over at once.
const LINES_MAX: usize = 256;

type Lines = (Inbox<logs::Line>, Arc<Notify>);

/// Who takes the process's lines. Held for one look or change.
static LINES: Mutex<Option<Lines>> = Mutex::new(None);

/// Lines of this level go to whoever takes them from now on; those who took before get the end.
pub(crate) fn set_level(args: Args) -> Result<Reply> {
    let word: String = args.read()?;
    let level = LEVELS.iter().position(|name| *name == word).and_then(|level| u8::try_from(level).ok());
    let level = level.ok_or_else(|| {
        let text = format!("log level {word}: allowed are {}", LEVELS.join(", "));
        Error::new(ErrorKind::Config, text)
    })?;
    let lines = inbox();
    logs::forward(level, lines.0.clone())?;
    let before = LINES.lock().unwrap_or_else(PoisonError::into_inner).replace(lines);
    if let Some((inbox, _)) = before {
        inbox.finish();
    }
    Reply::empty()
}

pub(crate) async fn take() -> Result<Reply> {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let Some((inbox, bell)) = lines else { return Reply::empty() };
    let taken: Vec<Value> = taken(&inbox, &bell, LINES_MAX)
        .await
        .into_iter()
        .map(|line| json!({ "level": LEVELS[usize::from(line.level)], "target": line.target, "text": line.text }))
        .collect();
    if taken.is_empty() { Reply::empty() } else { Reply::new(&taken) }
}
