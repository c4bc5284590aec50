//! A cluster in virtual time: brokers with the real store on disks that fail, producers that retry, consumers
//! that come and go. One seed decides everything, so a run that fails can be seen again. See `README.md`.

mod broker;
mod clients;
mod ledger;
mod world;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use world::{Report, World};

const USAGE: &str = "cargo run --manifest-path sim/Cargo.toml -- [--seed N] [--seeds N] [--steps N] [--trace]

  --seed N    the first seed (default: any); without --seeds the only one
  --seeds N   how many seeds, one after the other (default 300)
  --steps N   events of each seed before everything is repaired (default 3000)
  --trace     prints every event";

fn main() -> ExitCode {
    let (mut seed, mut seeds, mut steps, mut trace) = (None, None, 3_000, false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        if arg == "--trace" {
            trace = true;
            continue;
        }
        let number = args.next().and_then(|number| number.parse().ok());
        match (arg.as_str(), number) {
            ("--seed", Some(_)) => seed = number,
            ("--seeds", Some(_)) => seeds = number,
            ("--steps", Some(number)) => steps = number,
            _ => {
                eprintln!("{USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    let seeds = seeds.unwrap_or(if seed.is_some() { 1 } else { 300 });
    let seed = seed.unwrap_or_else(|| RandomState::new().hash_one(0) >> 32);
    let started = Instant::now();
    println!("seeds {seed}..{}, {steps} steps each", seed + seeds);
    let mut total = Report::default();
    for number in seed..seed + seeds {
        let mut world = World::new(number, trace);
        let run = catch_unwind(AssertUnwindSafe(|| world.run(steps)));
        let Ok(report) = run else {
            eprintln!("seed {number} failed at {} ms, in the step: {}", world.elapsed_ms(), world.last());
            eprintln!(
                "again: cargo run --manifest-path sim/Cargo.toml -- --seed {number} --steps {steps} --trace"
            );
            return ExitCode::FAILURE;
        };
        total.add(&report);
    }
    println!("all {seeds} seeds passed in {} s: {total}", started.elapsed().as_secs());
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same seed is the same run, down to the order of everything that happens; another one is another.
    #[test]
    fn a_seed_repeats_itself() {
        let run = |seed| World::new(seed, false).run(1_000);
        let reports: Vec<Report> = (0..10).map(run).collect();
        assert_eq!(reports, (0..10).map(run).collect::<Vec<_>>());
        assert!(reports.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
