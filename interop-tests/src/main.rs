//! `ferrocket-interop-tests setup | run`: see [`USAGE`].

use std::process::ExitCode;
use std::time::SystemTime;

use ferrocket_interop_tests::matrix::{covering, full, java_only};
use ferrocket_interop_tests::peer::Client;
use ferrocket_interop_tests::scenario::Scenario;
use ferrocket_interop_tests::setup::Workshop;
use ferrocket_interop_tests::{report, run};

const USAGE: &str = "\
usage: ferrocket-interop-tests setup
       ferrocket-interop-tests run [--all] [--only TEXT] [--scenario NAME]… [--write FILE]

setup   makes class paths, drivers and environments under target/interop (also done by run, which
        installs those of our packages there that the chosen cells play)
run     plays the covering selection of the matrix and fails if anything does
  --all            every combination with something of ours in it
  --only TEXT      only cells whose `NameServer / Broker / client` contains TEXT; repeated: all of them
  --scenario NAME  only this scenario; may be repeated
  --write FILE     also writes the table as Markdown
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match command(&arguments) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}

fn command(arguments: &[String]) -> Result<ExitCode, String> {
    let mut arguments = arguments.iter().map(String::as_str);
    match arguments.next() {
        Some("setup") => Workshop::find()?.setup().map(|()| ExitCode::SUCCESS),
        Some("run") => run_command(arguments),
        Some("-h" | "--help") => {
            print!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        _ => Err(USAGE.into()),
    }
}

fn run_command<'a>(mut arguments: impl Iterator<Item = &'a str>) -> Result<ExitCode, String> {
    let (mut cells, mut once) = (covering(), true);
    let (mut only, mut scenarios, mut write) = (Vec::new(), Vec::new(), None);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value\n\n{USAGE}"));
        match argument {
            "--all" => (cells, once) = (full(), false),
            // Proves the harness against Java alone; not part of the matrix.
            "--java-only" => cells = java_only(),
            "--only" => only.push(value()?),
            "--scenario" => {
                let name = value()?;
                let scenario = Scenario::ALL.into_iter().find(|s| s.label() == name);
                scenarios.push(scenario.ok_or(format!("no scenario {name}"))?);
            }
            "--write" => write = Some(value()?),
            other => return Err(format!("unknown option {other}\n\n{USAGE}")),
        }
    }
    cells.retain(|cell| only.iter().all(|text| cell.label().contains(text)));
    if cells.is_empty() {
        return Err("no cell is chosen".into());
    }
    if scenarios.is_empty() {
        scenarios.extend(Scenario::ALL);
    }
    let workshop = Workshop::find()?;
    workshop.setup()?;
    let played = Client::ALL.iter().filter(|&&client| cells.iter().any(|cell| cell.client == client));
    played.copied().try_for_each(|client| workshop.setup_package(client))?;
    let outcomes = run::run(&workshop, &cells, &scenarios, once);
    println!("\n{}", report::table(&outcomes));
    if let Some(file) = write {
        std::fs::write(file, report::page(&outcomes, SystemTime::now(), &workshop.tools()))
            .map_err(|e| format!("{file}: {e}"))?;
    }
    let failed = outcomes.iter().map(|outcome| outcome.failed.len()).sum::<usize>();
    let passed = outcomes.iter().map(|outcome| outcome.passed.len()).sum::<usize>();
    println!("{passed} passed, {failed} failed");
    Ok(if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
