//! The project's own commands, called as `cargo xtask COMMAND`.
//!
//! `test` is the one command that passes all tests: it sets up what they need and runs every step that CI
//! runs. Each step is a function of its own; a failing step stops the run and is named.

mod budget;
mod command;
mod examples;
mod fuzz;
mod package;
mod tools;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use command::{Cmd, Failure};

const USAGE: &str = "cargo xtask COMMAND

Commands:
  test              sets up the tools and passes all tests: what CI runs
  quick             fmt, clippy and the Rust tests only
  interop [--all] [--only TEXT]
                    builds servers and packages and runs the compatibility matrix: its covering part, or
                    all of it
  soak              the resilience tests at full size and length: about an hour, and quiet cores
  dist              builds the release binary and its links into target/dist/bin
  package [--test] [python|node|c ...]
                    builds these packages, or all, into target/dist, and tests what was built
  install --prefix FOLDER
                    installs the C library, its header and its pkg-config file
  budget            counts source lines and third-party crates, and fails above the limits
  docs              builds the book and the API documentation
  fuzz [TARGET ...] gives every fuzz target, or these, a short run
  bench [ARG ...]   runs ours and Java side by side, or `scale` (see bench/README.md)";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let rest: Vec<&str> = args.iter().skip(1).map(String::as_str).collect();
    let result = match args.first().map(String::as_str) {
        Some("test") => test(),
        Some("quick") => quick(),
        Some("interop") => interop(&rest),
        Some("soak") => soak(),
        Some("dist") => dist(),
        Some("package") => package::package(&rest),
        Some("install") => package::install(&rest),
        Some("budget") => budget::check(&root()),
        Some("docs") => docs(),
        Some("fuzz") => tools::cargo_tools().and_then(|()| fuzz::run(&root(), &rest)),
        Some("bench") => bench(&rest),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// The repository's root: this package lies directly below it.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().map(PathBuf::from).unwrap_or_default()
}

fn step(name: &str, run: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    println!("\n== {name}");
    let started = Instant::now();
    run()?;
    println!("== {name}: passed in {} s", started.elapsed().as_secs());
    Ok(())
}

fn test() -> Result<(), Failure> {
    step("tools", || {
        tools::peers()?;
        tools::cargo_tools()
    })?;
    quick()?;
    step("licences, bans, sources", || {
        Cmd::cargo(["deny", "--offline", "check", "licenses", "bans", "sources"]).run()
    })?;
    step("size and dependencies", || budget::check(&root()))?;
    step("documentation", docs)?;
    // Neither keeps two cores busy by itself, and neither looks at the clock.
    std::thread::scope(|scope| {
        let simulated = scope.spawn(|| step("simulation", simulation));
        let fuzzed = step("fuzzing, a short run", || fuzz::run(&root(), &[]));
        fuzzed.and(simulated.join().unwrap_or_else(|_| Err(Failure::new("simulation: panicked"))))
    })?;
    step("release build", dist)?;
    step("quickstart", quickstart)?;
    package::test()?;
    step("crash test", || interop_test("crash"))?;
    step("interop: setup", || interop_command(&["setup"]))?;
    step("store, Java's and ours in turn", || interop_test("store_both_ways"))?;
    step("interop: TLS", || interop_test("tls"))?;
    step("our client on Java's servers", || interop_test("client"))?;
    step("quickstart on Java's servers", || interop_test("quickstart"))?;
    step("interop: examples", || interop_test("examples"))?;
    step("differential test", || interop_test("differential"))?;
    step("mqadmin", || interop_test("mqadmin"))?;
    step("resilience", || interop_test("resilience"))?;
    step("interop: matrix", || interop_command(&["run"]))?;
    println!("\nall steps passed");
    Ok(())
}

/// A test that runs real servers, ours among them.
fn interop_test(name: &str) -> Result<(), Failure> {
    Cmd::cargo(["test", "--release", "--package", "ferrocket-interop-tests", "--test", name])
        .env("FERROCKET_BIN", binary())
        .run()
}

fn quick() -> Result<(), Failure> {
    step("format", || Cmd::cargo(["fmt", "--all", "--check"]).run())?;
    step("clippy", || {
        // The second has the tests that are run only by name.
        [&["--all-targets"][..], &["--test", "*"]].iter().try_for_each(|targets| {
            let what = ["clippy", "--workspace", "--all-features"].iter().chain(*targets);
            Cmd::cargo(what.chain(&["--", "--deny", "warnings"])).run()
        })
    })?;
    step("unit and crate tests", || Cmd::cargo(["test", "--workspace", "--all-features"]).run())
}

/// The same seeds every time, so that a change that fails here is to blame. Others are tried by hand.
fn simulation() -> Result<(), Failure> {
    Cmd::cargo(["test", "--manifest-path", "sim/Cargo.toml"]).run()?;
    Cmd::cargo(["run", "--manifest-path", "sim/Cargo.toml", "--", "--seed", "0", "--seeds", "300"]).run()
}

fn docs() -> Result<(), Failure> {
    examples::check(&root())?;
    Cmd::cargo(["doc", "--workspace", "--all-features", "--no-deps", "--quiet"])
        .env("RUSTDOCFLAGS", "--deny warnings")
        .run()?;
    Cmd::new("mdbook", ["build"]).within("docs").run()
}

fn dist() -> Result<(), Failure> {
    Cmd::cargo(["build", "--release", "--package", "ferrocket-server"]).run()?;
    let bin = root().join("target/dist/bin");
    std::fs::create_dir_all(&bin)?;
    std::fs::copy(binary(), bin.join("ferrocket"))?;
    for link in ["mqnamesrv", "mqbroker"] {
        let path = bin.join(link);
        if path.symlink_metadata().is_ok() {
            std::fs::remove_file(&path)?;
        }
        std::os::unix::fs::symlink("ferrocket", &path)?;
    }
    println!("target/dist/bin: ferrocket, mqnamesrv, mqbroker");
    Ok(())
}

/// Cargo's target folder, which may have been moved by the environment.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The release binary.
fn binary() -> PathBuf {
    target().join("release/ferrocket")
}

/// The README's first command, whose last line is its promise.
fn quickstart() -> Result<(), Failure> {
    let output = Cmd::new(binary(), ["quickstart"]).output()?;
    print!("{output}");
    match output.lines().last() {
        Some("quickstart: sent 1000, received 1000, lost 0, duplicated 0") => Ok(()),
        other => Err(Failure::new(format!("quickstart ended with {other:?}"))),
    }
}

fn interop(args: &[&str]) -> Result<(), Failure> {
    tools::peers()?;
    dist()?;
    package::package(&[])?;
    let mut run = vec!["run"];
    run.extend(args);
    if args.contains(&"--all") {
        run.extend(["--write", "docs/src/compatibility-matrix.md"]);
    }
    interop_command(&run)
}

/// What CI runs scaled down.
fn soak() -> Result<(), Failure> {
    dist()?;
    interop_command(&["setup"])?;
    let test = ["test", "--release", "--package", "ferrocket-interop-tests", "--test", "resilience"];
    Cmd::cargo(test.into_iter().chain(["--", "--nocapture", "--test-threads=1"]))
        .env("FERROCKET_BIN", binary())
        .env("FERROCKET_SOAK", "1")
        .run()
}

fn interop_command(args: &[&str]) -> Result<(), Failure> {
    let base = [
        "run",
        "--quiet",
        "--release",
        "--package",
        "ferrocket-interop-tests",
        "--bin",
        "ferrocket-interop-tests",
        "--",
    ];
    Cmd::cargo(base.iter().chain(args).copied()).env("FERROCKET_BIN", binary()).run()
}

fn bench(args: &[&str]) -> Result<(), Failure> {
    dist()?;
    // No other program takes part in `scale`.
    if args.first() != Some(&"scale") {
        interop_command(&["setup"])?;
    }
    let base = ["run", "--quiet", "--release", "--package", "ferrocket-bench", "--"];
    Cmd::cargo(base.iter().chain(args).copied()).env("FERROCKET_BIN", binary()).run()
}
