//! A short run of every fuzz target. The number of inputs is fixed, not the time, so that a run costs the same
//! everywhere and a second one tries the same inputs.

use std::path::Path;

use crate::command::{Cmd, Failure};

/// The targets, and how many inputs each is given: some twenty seconds' worth.
const TARGETS: &[(&str, u32)] = &[
    ("acl", 30_000),
    ("batch", 400_000),
    ("binary_header", 300_000),
    ("compression", 80_000),
    ("fastjson", 60_000),
    ("frame", 300_000),
    ("header", 300_000),
    ("properties", 400_000),
    ("record", 300_000),
    ("register", 100_000),
    ("settings", 10_000),
    ("sql92", 300_000),
    ("store", 10_000),
    ("topics", 100_000),
];
/// Bytes of the longest input.
const INPUT_LEN_MAX: u32 = 2_048;
/// The compiler that can count branches. Without the address sanitizer, as there is no unsafe code to look at.
const TOOLCHAIN: &str = "nightly";

/// Runs these targets, all of them if none is named.
pub(crate) fn run(root: &Path, names: &[&str]) -> Result<(), Failure> {
    if let Some(unknown) = names.iter().find(|name| !TARGETS.iter().any(|(target, _)| target == *name)) {
        let known: Vec<&str> = TARGETS.iter().map(|(target, _)| *target).collect();
        return Err(Failure::new(format!("no fuzz target {unknown}; there are {}", known.join(", "))));
    }
    if Cmd::new("rustup", ["run", TOOLCHAIN, "rustc", "--version"]).output().is_err() {
        Cmd::new("rustup", ["toolchain", "install", TOOLCHAIN, "--profile", "minimal"]).run()?;
    }
    for (target, runs) in TARGETS.iter().filter(|(target, _)| names.is_empty() || names.contains(target)) {
        // What a run finds goes into the first folder; the second one is committed.
        let found = root.join("target/fuzz").join(target);
        std::fs::create_dir_all(&found)?;
        let (found, seeds) = (found.display().to_string(), format!("fuzz/seeds/{target}"));
        let limits = [format!("-runs={runs}"), format!("-max_len={INPUT_LEN_MAX}")];
        let cargo = ["run", TOOLCHAIN, "cargo", "fuzz", "run", "--sanitizer", "none", target, &found, &seeds];
        let quiet = ["--", "-seed=1", "-print_final_stats=1", "-verbosity=0", &limits[0], &limits[1]];
        Cmd::new("rustup", cargo.into_iter().chain(quiet)).run()?;
        println!("{target}: {runs} inputs");
    }
    Ok(())
}
