//! Size is a feature, and so is a short list of dependencies: both are counted, and limited.

use std::collections::BTreeSet;
use std::path::Path;

use crate::command::{Cmd, Failure};

/// Source lines without tests, by folder: the plan of the house.
const LINES_MAX: &[(&str, usize)] = &[
    ("protocol", 4_610),
    ("remoting", 2_710),
    ("client", 11_400),
    ("server/acl", 1_000),
    ("server/store", 7_000),
    ("server/namesrv", 970),
    ("server/broker", 9_000),
    ("server/bin", 1_200),
    ("bindings/core", 830),
    ("bindings/python", 1_340),
    ("bindings/c", 2_610),
    ("bindings/node", 1_240),
];

/// Third-party crates in a package's normal dependency tree, with these features besides the default ones.
const CRATES_MAX: &[(&str, &str, usize)] =
    &[("ferrocket", "", 45), ("ferrocket", "tls", 65), ("ferrocket-server", "", 140)];

/// What builds C. The client needs none of it unless a feature asks for it.
const C_BUILDERS: &[&str] = &["bindgen", "cc", "cmake"];

pub(crate) fn check(root: &Path) -> Result<(), Failure> {
    let mut over = Vec::new();
    let mut total = 0;
    for (folder, max) in LINES_MAX {
        let lines = lines(&root.join(folder).join("src"))?;
        total += lines;
        println!("{folder}: {lines} lines (limit {max})");
        if lines > *max {
            over.push(format!("{folder} has {lines} lines, its limit is {max}"));
        }
    }
    println!("together: {total} lines");
    for (package, features, max) in CRATES_MAX {
        let crates = crates(package, features, "normal")?.len();
        let package = format!("{package} {features}");
        let package = package.trim_end();
        println!("{package}: {crates} third-party crates (limit {max})");
        if crates > *max {
            over.push(format!("{package} has {crates} third-party crates, its limit is {max}"));
        }
    }
    for line in crates("ferrocket", "", "normal,build")? {
        if C_BUILDERS.iter().any(|name| line.starts_with(&format!("{name} "))) {
            over.push(format!("ferrocket needs {line}, and with it a C compiler, for its default features"));
        }
    }
    if over.is_empty() { Ok(()) } else { Err(Failure::new(over.join("; "))) }
}

/// Lines of Rust below a folder, up to each file's tests; blank lines and comments do not count.
fn lines(folder: &Path) -> Result<usize, Failure> {
    let mut count = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            count += lines(&path)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = std::fs::read_to_string(&path)?;
            let code = source.lines().map(str::trim).take_while(|line| *line != "#[cfg(test)]");
            count += code.filter(|line| !line.is_empty() && !line.starts_with("//")).count();
        }
    }
    Ok(count)
}

/// The different crates in `cargo tree`, our own (which have a path) left out.
fn crates(package: &str, features: &str, edges: &str) -> Result<BTreeSet<String>, Failure> {
    let which = ["tree", "--package", package, "--features", features];
    let form = ["--edges", edges, "--prefix", "none", "--no-dedupe"];
    let tree = Cmd::cargo(which.into_iter().chain(form)).output()?;
    let crates = tree
        .lines()
        .filter(|line| !line.contains("(/"))
        .map(|line| line.trim_end_matches(" (*)").trim_end_matches(" (proc-macro)"))
        .filter(|line| !line.is_empty())
        .map(str::to_owned);
    Ok(crates.collect())
}
