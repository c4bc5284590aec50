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

/// Who takes the process's lines, and the number that it was given. Held for one look or change.
static LINES: Mutex<(u32, Option<Lines>)> = Mutex::new((0, None));

/// Lines of this level go from now on to whoever takes them by the number that this answers; those who took before
/// get the end.
pub(crate) fn set_level(args: &Args) -> Result<Reply> {
    let word: String = args.read()?;
    let level = LEVELS.iter().position(|name| *name == word).and_then(|level| u8::try_from(level).ok());
    let level = level.ok_or_else(|| {
        let text = format!("log level {word}: allowed are {}", LEVELS.join(", "));
        Error::new(ErrorKind::Config, text)
    })?;
    let new = inbox();
    let mut kept = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    let (number, lines) = &mut *kept;
    logs::forward(level, new.0.clone())?;
    if let Some((inbox, _)) = lines.replace(new) {
        inbox.finish();
    }
    *number = number.wrapping_add(1);
    Reply::new(number)
}

pub(crate) async fn take(args: &Args) -> Result<Reply> {
    let number: u32 = args.read()?;
    let (current, lines) = LINES.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let Some((inbox, bell)) = lines.filter(|_| number == current) else { return Reply::empty() };
    let taken: Vec<Value> = taken(&inbox, &bell, LINES_MAX)
        .await
        .into_iter()
        .map(|line| json!({ "level": LEVELS[usize::from(line.level)], "target": line.target, "text": line.text }))
        .collect();
    if taken.is_empty() { Reply::empty() } else { Reply::new(&taken) }
}
