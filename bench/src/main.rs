//! Measures a Broker from outside, with frames on raw sockets and none of Ferrocket's client code, so that
//! ours and Java's are measured alike; and what a send costs the clients. See `bench/README.md`.

mod client;
mod compare;
mod end_to_end;
mod measure;
mod pull;
mod scale;
mod send;
mod wire;

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use measure::Measured;

#[derive(Debug, Parser)]
#[command(name = "ferrocket-bench", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Sends in a closed loop: window 1 is a synchronous client, more is a pipelining one
    Send(Load),
    /// Pulls a backlog: one connection to a queue, 32 messages a time
    Pull(Load),
    /// Sends at a fixed rate and measures until the long-polling consumer has it
    EndToEnd(Load),
    /// Starts our Broker and Java 4.9.7 and runs the workloads on them in turn
    Compare(compare::Options),
    /// Starts our Broker and gives it very many topics and queues
    Scale(scale::Options),
    /// What a send costs the client, ours and Java's 4.9.8 in turn
    Client(client::Options),
    /// One run of our client, for `client`
    #[command(hide = true)]
    ClientRun(client::Run),
}

/// One workload on one Broker.
#[derive(Clone, Debug, Args)]
struct Load {
    /// The Broker's address
    #[arg(long, default_value = "127.0.0.1:10911")]
    addr: SocketAddr,
    /// Made when missing
    #[arg(long, default_value = "BenchmarkLoad")]
    topic: String,
    /// Write queues of the topic
    #[arg(long, default_value_t = 4)]
    queues: u32,
    /// Connections of `send`
    #[arg(long, default_value_t = 1)]
    connections: u32,
    /// Requests under way on a connection
    #[arg(long, default_value_t = 1)]
    window: u32,
    /// Bytes in a body; `end-to-end` needs 8 at least
    #[arg(long, default_value_t = 1024)]
    body_size: u32,
    /// Messages measured
    #[arg(long, default_value_t = 100_000)]
    messages: u64,
    /// Messages sent before, not measured
    #[arg(long, default_value_t = 0)]
    warm_up: u64,
    /// Messages a second of `end-to-end`
    #[arg(long, default_value_t = 1000)]
    rate: u64,
    /// The Broker's process id, to measure its CPU time
    #[arg(long)]
    pid: Option<u32>,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Send(load) => send::run(&load).map(|measured| print(&measured)),
        Command::Pull(load) => pull::run(&load).map(|measured| print(&measured)),
        Command::EndToEnd(load) => end_to_end::run(&load).map(|measured| print(&measured)),
        Command::Compare(options) => compare::run(&options),
        Command::Scale(options) => scale::run(&options),
        Command::Client(options) => client::run(&options),
        Command::ClientRun(run) => client::run_one(&run),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("ferrocket-bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn print(measured: &Measured) {
    println!("{measured}");
}
