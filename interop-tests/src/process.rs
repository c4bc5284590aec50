//! Supervised child processes: output into log files, bounded stops, nothing left behind on drop.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Between two looks at a foreign process, where it gives no event to wait for. Every such wait has a limit.
pub const POLL: Duration = Duration::from_millis(50);

/// A child process whose standard output is read line by line. Killed when dropped.
pub struct Process {
    name: String,
    child: Child,
}

impl Process {
    /// Starts `command`. Standard output goes to `<logs>/<name>.out` and, line by line, to
    /// `on_line` (which is dropped at its end); standard error goes to `<logs>/<name>.err`.
    pub fn spawn(
        command: &mut Command,
        name: &str,
        logs: &Path,
        mut on_line: impl FnMut(&str) + Send + 'static,
    ) -> Result<Self, String> {
        let text = |e: std::io::Error| format!("{name}: {e}");
        let mut out = File::options().create(true).append(true).open(logs.join(format!("{name}.out")));
        let err = File::options().create(true).append(true).open(logs.join(format!("{name}.err")));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(err.map_err(text)?);
        let mut child = command.spawn().map_err(text)?;
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        thread::spawn(move || {
            let mut line = Vec::new();
            while stdout.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                if let Ok(out) = &mut out {
                    // A log that cannot be written costs a diagnosis, not the run.
                    let _ = out.write_all(&line);
                }
                on_line(String::from_utf8_lossy(&line).trim_end());
                line.clear();
            }
        });
        Ok(Self { name: name.to_owned(), child })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The child's standard input; `None` once taken.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// An error if the process is gone.
    pub fn check_alive(&mut self) -> Result<(), String> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(format!("{} ended: {status}", self.name)),
            Err(e) => Err(format!("{}: {e}", self.name)),
        }
    }

    /// Ends the process at once (SIGKILL).
    pub fn kill(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks the process to end (SIGTERM) and waits; after `limit` it is killed, which is an error.
    pub fn terminate(&mut self, limit: Duration) -> Result<(), String> {
        if self.check_alive().is_ok() {
            self.signal("-TERM")?;
        }
        self.wait(limit)
    }

    /// Sends a signal, `-INT` for what Ctrl-C does.
    pub fn signal(&self, signal: &str) -> Result<(), String> {
        // The standard library sends only SIGKILL.
        run_tool(Command::new("kill").args([signal, &self.child.id().to_string()]))
    }

    /// As [`wait`](Self::wait), and its exit code must say that it ended well.
    pub fn succeed(&mut self, limit: Duration) -> Result<(), String> {
        self.wait(limit)?;
        match self.child.try_wait() {
            Ok(Some(status)) if status.success() => Ok(()),
            other => Err(format!("{} ended with {other:?}", self.name)),
        }
    }

    /// Waits for the process to end by itself; after `limit` it is killed, which is an error.
    pub fn wait(&mut self, limit: Duration) -> Result<(), String> {
        let deadline = Instant::now() + limit;
        while self.check_alive().is_ok() {
            if Instant::now() >= deadline {
                self.kill();
                return Err(format!("{} did not end within {limit:?}", self.name));
            }
            thread::sleep(POLL);
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A field of `/proc/<process>/status`.
pub fn status(process: u32, field: &str) -> Result<String, String> {
    let file = format!("/proc/{process}/status");
    let text = std::fs::read_to_string(&file).map_err(|e| format!("{file}: {e}"))?;
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.map(|value| value.trim().to_owned()).ok_or_else(|| format!("{file} has no {field}"))
}

/// The same of a field that tells KiB, such as `VmRSS`.
pub fn status_kib(process: u32, field: &str) -> Result<u64, String> {
    let text = status(process, field)?;
    text.trim_end_matches(" kB").parse().map_err(|e| format!("{field} {text}: {e}"))
}

/// Runs a tool to its end and returns an error with the tail of its output when it fails.
pub fn run_tool(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|e| format!("{name}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let tail: Vec<&str> = text.lines().rev().take(20).collect();
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    Err(format!("{name} failed ({}):\n{}", output.status, tail.join("\n")))
}

/// A port that is free together with those a broker derives from it (two below, one above).
/// Each call looks further up, below the range the system hands out by itself.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = 12_000 + (std::process::id() % 1000) as u16 * 20;
    loop {
        let step = NEXT.fetch_add(10, Ordering::Relaxed);
        let port = 12_000 + (base - 12_000 + step % 20_000) % 20_000;
        let free = |port| TcpListener::bind(("0.0.0.0", port));
        if let (Ok(_a), Ok(_b), Ok(_c)) = (free(port - 2), free(port), free(port + 1)) {
            return port;
        }
    }
}
