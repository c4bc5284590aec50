//! Child processes: run from the repository's root, and named when they fail.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Why a step failed, in words.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

/// A command line.
pub(crate) struct Cmd {
    line: String,
    command: Command,
}

impl Cmd {
    pub(crate) fn new<A: AsRef<OsStr>>(
        program: impl AsRef<OsStr>,
        args: impl IntoIterator<Item = A>,
    ) -> Self {
        let args: Vec<OsString> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        let mut command = Command::new(program.as_ref());
        command.args(&args).current_dir(crate::root());
        let words = std::iter::once(program.as_ref()).chain(args.iter().map(OsString::as_os_str));
        let line = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
        Self { line, command }
    }

    /// Cargo itself, of the toolchain that runs this program.
    pub(crate) fn cargo<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Self {
        Self::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), args)
    }

    pub(crate) fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Has it run in a folder of the repository.
    pub(crate) fn within(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(crate::root().join(folder));
        self
    }

    /// Runs it with our own output.
    pub(crate) fn run(mut self) -> Result<(), Failure> {
        let status = self.command.status().map_err(|error| self.failed(&error))?;
        if status.success() { Ok(()) } else { Err(self.failed(&status)) }
    }

    /// Runs it and returns what it printed to its standard output.
    pub(crate) fn output(mut self) -> Result<String, Failure> {
        let output = self.command.stderr(Stdio::inherit()).output().map_err(|error| self.failed(&error))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            Ok(text)
        } else {
            Err(self.failed(&format!("{}\n{text}", output.status)))
        }
    }

    fn failed(&self, reason: &dyn fmt::Display) -> Failure {
        Failure::new(format!("`{}`: {reason}", self.line))
    }
}
