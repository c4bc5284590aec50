//! The packages for Python, Node and C: built into `target/dist`, and tested as users get them.
//!
//! `package/python.rs`, `package/node.rs` and `package/c.rs` know how: each has `build()`, which leaves its files in
//! `target/dist`, and `test()`, which installs them into a fresh environment and runs the language's own tests there.

mod c;
mod node;
mod python;

use std::path::Path;

use crate::command::{Cmd, Failure};

struct Package {
    language: &'static str,
    build: fn() -> Result<(), Failure>,
    test: fn() -> Result<(), Failure>,
}

/// Those that there are, in the order in which they are built.
const PACKAGES: &[Package] = &[
    Package { language: "python", build: python::build, test: python::test },
    Package { language: "node", build: node::build, test: node::test },
    Package { language: "c", build: c::build, test: c::test },
];

/// `cargo xtask package [--test] [LANGUAGE ...]`: these, or all.
pub(crate) fn package(args: &[&str]) -> Result<(), Failure> {
    let (is_tested, languages) = match args {
        ["--test", languages @ ..] => (true, languages),
        languages => (false, languages),
    };
    let known: Vec<&str> = PACKAGES.iter().map(|package| package.language).collect();
    if let Some(unknown) = languages.iter().find(|language| !known.contains(language)) {
        return Err(Failure::new(format!("no package for {unknown}; there are {}", known.join(", "))));
    }
    let mut wanted = PACKAGES.iter().filter(|p| languages.is_empty() || languages.contains(&p.language));
    wanted.try_for_each(|package| {
        (package.build)()?;
        if is_tested { (package.test)() } else { Ok(()) }
    })
}

/// Builds and tests all packages, each timed.
pub(crate) fn test() -> Result<(), Failure> {
    for Package { language, build, test } in PACKAGES {
        crate::step(&format!("package for {language}"), || {
            build()?;
            test()
        })?;
    }
    Ok(())
}

/// The libraries that the packages for Node and C are made of. Together, because cargo chooses the features of what they
/// share by what it builds: one after the other, the client and the servers for tests would be compiled twice.
fn libraries() -> Result<(), Failure> {
    Cmd::cargo(["build", "--release", "--lib", "--package", "ferrocket-node", "--package", "ferrocket-c"])
        .run()
}

/// `cargo xtask install --prefix FOLDER`: what a C program needs.
pub(crate) fn install(args: &[&str]) -> Result<(), Failure> {
    match args {
        ["--prefix", prefix] if !prefix.is_empty() => c::install(Path::new(prefix)),
        _ => Err(Failure::new("usage: cargo xtask install --prefix FOLDER")),
    }
}
