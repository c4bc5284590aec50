//! The tools that tests need: looked for, installed where that is possible, named where it is not.

use std::process::Command;

use crate::command::{Cmd, Failure};

/// A program of another ecosystem.
struct Tool {
    program: &'static str,
    /// Prints the version.
    version_arg: &'static str,
    /// The oldest major version that will do.
    major: u32,
    /// For versions that begin with a constant part, such as Go's `go1.`.
    after: &'static str,
    debian: &'static [&'static str],
}

const PEERS: &[Tool] = &[
    Tool {
        program: "javac",
        version_arg: "-version",
        major: 17,
        after: "javac ",
        debian: &["openjdk-17-jdk-headless"],
    },
    Tool { program: "mvn", version_arg: "-version", major: 3, after: "Apache Maven ", debian: &["maven"] },
    Tool { program: "node", version_arg: "--version", major: 20, after: "v", debian: &["nodejs"] },
    Tool { program: "npm", version_arg: "--version", major: 9, after: "", debian: &["npm"] },
    Tool {
        program: "python3",
        version_arg: "--version",
        major: 11,
        after: "Python 3.",
        debian: &["python3", "python3-venv"],
    },
    Tool { program: "go", version_arg: "version", major: 19, after: "go1.", debian: &["golang-go"] },
    Tool { program: "g++", version_arg: "--version", major: 9, after: ") ", debian: &["g++"] },
    Tool { program: "pkg-config", version_arg: "--version", major: 0, after: "", debian: &["pkg-config"] },
    Tool {
        program: "valgrind",
        version_arg: "--version",
        major: 3,
        after: "valgrind-",
        debian: &["valgrind"],
    },
];

/// Cargo's own extensions, pinned.
const CARGO_TOOLS: &[(&str, &str, &[&str])] = &[
    ("cargo-deny", "0.20.2", &[]),
    ("cargo-fuzz", "0.13.1", &[]),
    ("mdbook", "0.5.4", &["--no-default-features", "--features", "search"]),
];

/// Java, Maven, Node, Python and Go for the peers of the interop tests, and what tests of the C package need.
pub(crate) fn peers() -> Result<(), Failure> {
    for tool in PEERS {
        if tool.found().is_none_or(|major| major < tool.major) {
            install(tool)?;
        }
        match tool.found() {
            Some(major) if major >= tool.major => {}
            found => {
                let found = found.map_or("none".to_owned(), |major| format!("{}{major}", tool.after.trim()));
                return Err(Failure::new(format!(
                    "{} {}{} or newer is needed, found {found}; install it: apt-get install {}",
                    tool.program,
                    tool.after.trim(),
                    tool.major,
                    tool.debian.join(" ")
                )));
            }
        }
    }
    Ok(())
}

impl Tool {
    /// The version's decisive number, `None` if the program is not there.
    fn found(&self) -> Option<u32> {
        let output = Command::new(self.program).arg(self.version_arg).output().ok()?;
        let text =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let at = text.find(self.after)? + self.after.len();
        let digits: String = text[at..].chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    }
}

/// Installs Debian's packages when running as root there.
fn install(tool: &Tool) -> Result<(), Failure> {
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.starts_with(b"0\n"));
    let debian = Command::new("apt-get").arg("--version").output().is_ok();
    if !(root && debian) {
        return Ok(());
    }
    println!("{} is missing or too old: installing {}", tool.program, tool.debian.join(" "));
    Cmd::new("apt-get", ["update", "-q"]).run()?;
    let packages = ["install", "-q", "-y", "--no-install-recommends"].iter().chain(tool.debian);
    Cmd::new("apt-get", packages).env("DEBIAN_FRONTEND", "noninteractive").run()
}

/// cargo-deny, cargo-fuzz and mdbook, built from their published sources when missing.
pub(crate) fn cargo_tools() -> Result<(), Failure> {
    for (name, version, features) in CARGO_TOOLS {
        let found = Command::new(name).arg("--version").output();
        if found.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(version)) {
            continue;
        }
        println!("{name} {version} is missing: building it");
        let spec = format!("{name}@{version}");
        let install = ["install", "--locked", "--quiet", spec.as_str()];
        Cmd::cargo(install.iter().chain(*features)).run()?;
    }
    Ok(())
}
