//! What one run measured, and where the numbers come from.

use std::fmt;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// One run's figures.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) messages: u64,
    pub(crate) took: Duration,
    pub(crate) latency_us: Histogram<u64>,
    /// CPU time of the Broker, user and system, when its process was given.
    pub(crate) server_cpu: Option<Duration>,
    pub(crate) own_cpu: Duration,
}

impl Measured {
    /// Messages a second.
    pub(crate) fn rate(&self) -> f64 {
        self.messages as f64 / self.took.as_secs_f64().max(1e-9)
    }

    /// Microseconds of the Broker's CPU for a message.
    pub(crate) fn cpu_us(&self) -> Option<f64> {
        self.server_cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / self.messages.max(1) as f64)
    }

    /// A latency in microseconds.
    pub(crate) fn latency_us(&self, quantile: f64) -> f64 {
        self.latency_us.value_at_quantile(quantile) as f64
    }

    /// Whether the generator, not the Broker, set the pace: it used more than 90 % of one core.
    pub(crate) fn client_bound(&self) -> bool {
        self.own_cpu.as_secs_f64() > 0.9 * self.took.as_secs_f64()
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} messages in {:.2} s: {:.0}/s", self.messages, self.took.as_secs_f64(), self.rate())?;
        if !self.latency_us.is_empty() {
            let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|quantile| self.latency_us(quantile));
            write!(f, ", p50 {p50:.0} us, p99 {p99:.0} us, p99.9 {p999:.0} us")?;
        }
        if let Some(cpu) = self.cpu_us() {
            write!(f, ", broker CPU {cpu:.2} us/message")?;
        }
        write!(f, ", own CPU {:.2} s", self.own_cpu.as_secs_f64())?;
        if self.client_bound() { f.write_str(" (client-bound)") } else { Ok(()) }
    }
}

/// Runs from its making to [`Meter::stop`].
pub(crate) struct Meter {
    started: Instant,
    pid: Option<u32>,
    server_cpu: Option<Duration>,
    own_cpu: Duration,
}

impl Meter {
    pub(crate) fn start(pid: Option<u32>) -> Result<Self, String> {
        let own_cpu = cpu_time(std::process::id())?;
        Ok(Self { server_cpu: pid.map(cpu_time).transpose()?, pid, own_cpu, started: Instant::now() })
    }

    pub(crate) fn stop(self, messages: u64, latency_us: Histogram<u64>) -> Result<Measured, String> {
        let took = self.started.elapsed();
        let after = self.pid.map(cpu_time).transpose()?;
        let server_cpu = after.zip(self.server_cpu).map(|(after, before)| after.saturating_sub(before));
        let own_cpu = cpu_time(std::process::id())?.saturating_sub(self.own_cpu);
        Ok(Measured { messages, took, latency_us, server_cpu, own_cpu })
    }
}

/// A histogram of microseconds up to a minute.
pub(crate) fn latencies() -> Result<Histogram<u64>, String> {
    Histogram::new_with_bounds(1, 60_000_000, 3).map_err(|error| error.to_string())
}

/// User and system time of a process so far. The kernel counts in ticks of 10 ms.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration, String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .map_err(|error| format!("CPU time of process {pid}: {error}"))?;
    // The second field is the name in parentheses and may hold spaces; utime and stime are 14 and 15.
    let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks: u64 =
        fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 10))
}
