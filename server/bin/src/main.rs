//! The one binary: NameServer, Broker, both in one process, and a first run.
//!
//! Called through a link named `mqnamesrv` or `mqbroker` it takes that RocketMQ command's options, so that
//! start scripts keep working. Java: `NamesrvStartup`, `BrokerStartup`.

mod quickstart;
mod servers;

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, FromArgMatches, Parser, Subcommand};

/// RocketMQ, rebuilt in Rust.
#[derive(Debug, Parser)]
#[command(name = "ferrocket", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// NameServer and Broker in one process, ready in milliseconds
    Standalone(StandaloneArgs),
    /// The NameServer, with mqnamesrv's options
    Namesrv(ServerArgs),
    /// The Broker, with mqbroker's options
    Broker(ServerArgs),
    /// Sends messages and consumes them, to see that everything works
    Quickstart(QuickstartArgs),
}

/// Options of `standalone`.
#[derive(Debug, Args)]
struct StandaloneArgs {
    /// Where messages and settings are kept
    #[arg(long, value_name = "DIR", default_value = "ferrocket-data")]
    data: PathBuf,
    /// The address to listen on, also given to clients
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1")]
    listen: IpAddr,
    /// The NameServer's port; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 9876)]
    namesrv_port: u16,
    /// The Broker's port; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 10911)]
    broker_port: u16,
    /// More settings of the Broker; those of accounts and TLS are the NameServer's, too
    #[arg(short = 'c', long = "configFile", value_name = "FILE")]
    config_file: Option<PathBuf>,
}

/// Options of `mqnamesrv` and `mqbroker`.
#[derive(Debug, Args)]
struct ServerArgs {
    /// Settings, a .properties file as RocketMQ's
    #[arg(short = 'c', long = "configFile", value_name = "FILE")]
    config_file: Option<PathBuf>,
    /// NameServers, `;` between; before the file's namesrvAddr and the environment's NAMESRV_ADDR
    #[arg(short = 'n', long = "namesrvAddr", value_name = "ADDR;ADDR")]
    namesrv_addr: Option<String>,
    /// Prints all settings and exits
    #[arg(short = 'p', long = "printConfigItem")]
    print_all: bool,
    /// Prints the important settings and exits
    #[arg(short = 'm', long = "printImportantConfig")]
    print_important: bool,
}

/// Options of `quickstart`.
#[derive(Debug, Args)]
struct QuickstartArgs {
    /// A NameServer that runs already; without it both servers are started here on free ports
    #[arg(short = 'n', long = "namesrvAddr", value_name = "HOST:PORT")]
    namesrv_addr: Option<String>,
    /// How many messages
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    messages: u32,
    /// Bytes in a message's body
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=4_000_000))]
    body_size: u32,
}

fn main() -> ExitCode {
    let command = parse(std::env::args_os().collect());
    let quiet = matches!(command, Command::Quickstart(_));
    if let Err(failure) = init_log(quiet) {
        return fail(&failure);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start the runtime: {error}")),
    };
    let result = runtime.block_on(async {
        match command {
            Command::Standalone(args) => servers::standalone(args).await,
            Command::Namesrv(args) => servers::namesrv(args).await,
            Command::Broker(args) => servers::broker(args).await,
            Command::Quickstart(args) => quickstart::run(args).await,
        }
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(&failure),
    }
}

/// One line that says what is wrong, and the exit code that scripts look at.
fn fail(failure: &str) -> ExitCode {
    eprintln!("ferrocket: {failure}");
    ExitCode::FAILURE
}

/// What to do. A link's name stands for the subcommand: `mqbroker -c FILE` is `ferrocket broker -c FILE`.
fn parse(args: Vec<OsString>) -> Command {
    let linked = |name: &'static str| {
        let matches = ServerArgs::augment_args(clap::Command::new(name)).get_matches_from(&args);
        ServerArgs::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    };
    match args.first().map(Path::new).and_then(Path::file_stem).and_then(|name| name.to_str()) {
        Some("mqnamesrv") => Command::Namesrv(linked("mqnamesrv")),
        Some("mqbroker") => Command::Broker(linked("mqbroker")),
        _ => Cli::parse_from(args).command,
    }
}

/// Log lines go to stderr. `FERROCKET_LOG` sets the level; `quiet` commands show warnings only.
fn init_log(quiet: bool) -> Result<(), String> {
    let default = if quiet { tracing::Level::WARN } else { tracing::Level::INFO };
    let level = match std::env::var("FERROCKET_LOG") {
        Ok(text) => text
            .parse()
            .map_err(|_| format!("FERROCKET_LOG={text}: allowed are error, warn, info, debug, trace"))?,
        Err(_) => default,
    };
    // A server whose stderr is closed logs into nowhere; complaining about that on stderr would end it.
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .log_internal_errors(false)
        .init();
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// The table of options is consistent; clap checks it only when asked.
    #[test]
    fn options_are_consistent() {
        Cli::command().debug_assert();
    }

    /// A runbook's `mqbroker -n a;b -c file` means the same through the link.
    #[test]
    fn a_link_stands_for_its_command() {
        let args = ["/opt/bin/mqbroker", "-n", "a:1;b:2", "-c", "broker.conf"].map(OsString::from).to_vec();
        let Command::Broker(args) = parse(args) else { panic!("mqbroker is not the broker") };
        assert_eq!(args.namesrv_addr.as_deref(), Some("a:1;b:2"));
        assert_eq!(args.config_file.as_deref(), Some(Path::new("broker.conf")));
    }
}
