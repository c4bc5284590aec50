//! The packages for Python, Node and C: built into `target/dist`, and tested as users get them.
//!
//! `package/python.rs`, `package/node.rs` and `package/c.rs` know how: each has `build()`, which leaves its files in
//! `target/dist`, and `test()`, which installs them into a fresh environment and runs the language's own tests there.

mod python;

use crate::command::Failure;

/// Those that there are, in the order in which they are built.
const LANGUAGES: &[&str] = &["python"];

// To add one: `mod python;` above with `pub(crate) fn build() -> Result<(), Failure>` and `pub(crate) fn test()` alike
// (`c.rs` also `install(prefix: &Path)`), its name in LANGUAGES, and `"python" => python::build(),` in the matches.

fn build(language: &str) -> Result<(), Failure> {
    match language {
        "python" => python::build(),
        _ => Err(unknown(language)),
    }
}

fn test(language: &str) -> Result<(), Failure> {
    match language {
        "python" => python::test(),
        _ => Err(unknown(language)),
    }
}

fn unknown(language: &str) -> Failure {
    Failure::new(format!("there is no package for {language:?}, only for: {}", LANGUAGES.join(", ")))
}

/// `cargo xtask package [LANGUAGE ...]`: these, or all.
pub(crate) fn package(languages: &[&str]) -> Result<(), Failure> {
    let languages = if languages.is_empty() { LANGUAGES } else { languages };
    languages.iter().try_for_each(|language| build(language))
}

/// Builds and tests all packages, each timed.
pub(crate) fn test_all() -> Result<(), Failure> {
    for language in LANGUAGES {
        crate::step(&format!("package for {language}"), || {
            build(language)?;
            test(language)
        })?;
    }
    Ok(())
}

/// `cargo xtask install --prefix FOLDER`: what a C program needs.
pub(crate) fn install(args: &[&str]) -> Result<(), Failure> {
    match args {
        ["--prefix", prefix] if !prefix.is_empty() => Err(unknown("c")),
        _ => Err(Failure::new("usage: cargo xtask install --prefix FOLDER")),
    }
}
