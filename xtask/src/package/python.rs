//! The Python package: one wheel for every CPython from 3.11 on and every Linux with glibc 2.17 or newer.

use std::path::{Path, PathBuf};

use crate::command::{Cmd, Failure};

const FOLDER: &str = "bindings/python";
const DIST: &str = "target/dist";
/// What the wheel's name has for whom it is.
const FOR_WHOM: &str = "-cp311-abi3-manylinux2014_x86_64.manylinux_2_17_x86_64.whl";

/// Builds the wheel. zig, which comes as a Python package, links it against the old glibc.
pub(crate) fn build() -> Result<(), Failure> {
    let tools = environment("python-build", &["-r", "bindings/python/requirements-build.txt"])?;
    for wheel in wheels()? {
        std::fs::remove_file(wheel)?;
    }
    let manifest = format!("{FOLDER}/Cargo.toml");
    let what =
        ["build", "--profile", "wheel", "--locked", "--manifest-path", manifest.as_str(), "--out", DIST];
    let for_whom = ["--zig", "--compatibility", "manylinux_2_17", "--interpreter", "python3"];
    let path = std::env::var("PATH").unwrap_or_default();
    Cmd::new(tools.join("bin/maturin"), what.into_iter().chain(for_whom))
        .env("PATH", format!("{}:{path}", tools.join("bin").display()))
        .run()
}

/// Installs the wheel into an environment that has nothing else, then what its tests need, and runs them.
pub(crate) fn test() -> Result<(), Failure> {
    let [wheel] = wheels()?.try_into().map_err(|found| {
        Failure::new(format!("{DIST} should have one wheel ending in {FOR_WHOM}, not {found:?}"))
    })?;
    let home = crate::root().join("target/python-test");
    if home.exists() {
        std::fs::remove_dir_all(&home)?;
    }
    let home = environment("python-test", &["--no-index", "--no-deps", &wheel.to_string_lossy()])?;
    let python = |args: &[&str]| Cmd::new(home.join("bin/python"), args.iter().copied());
    python(&["-c", "import ferrocket, ferrocket.sync, ferrocket.testing; print(ferrocket.__version__)"])
        .run()?;
    pip(&home, &["-r", "bindings/python/requirements-test.txt"])?;
    let config = "bindings/python/pyproject.toml";
    python(&["-m", "ruff", "check", FOLDER]).run()?;
    python(&["-m", "ruff", "format", "--check", FOLDER]).run()?;
    let typed = ["python/ferrocket", "tests", "examples", "bench.py"].map(|part| format!("{FOLDER}/{part}"));
    let typed: Vec<&str> = typed.iter().map(String::as_str).collect();
    python(&[&["-m", "mypy", "--strict", "--config-file", config][..], &typed].concat()).run()?;
    python(&["-m", "mypy.stubtest", "--mypy-config-file", config, "ferrocket"]).run()?;
    python(&["-m", "pytest", "--quiet", "--config-file", config, "--durations", "5", "bindings/python/tests"])
        .run()
}

/// The wheels of this kind in `target/dist`.
fn wheels() -> Result<Vec<PathBuf>, Failure> {
    let dist = crate::root().join(DIST);
    std::fs::create_dir_all(&dist)?;
    let mut wheels = Vec::new();
    for entry in std::fs::read_dir(dist)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with("ferrocket-") && name.ends_with(FOR_WHOM) {
            wheels.push(crate::root().join(DIST).join(name));
        }
    }
    Ok(wheels)
}

/// An environment of Python's below `target` with these packages; one that is there is kept.
fn environment(name: &str, packages: &[&str]) -> Result<PathBuf, Failure> {
    let home = crate::root().join("target").join(name);
    if !home.join("bin/python").exists() {
        Cmd::new("python3", ["-m".as_ref(), "venv".as_ref(), home.as_os_str()]).run()?;
    }
    pip(&home, packages)?;
    Ok(home)
}

fn pip(home: &Path, packages: &[&str]) -> Result<(), Failure> {
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    Cmd::new(home.join("bin/python"), install.iter().chain(packages).copied()).run()
}
