//! The npm packages: built, packed, installed into an empty project and tested there.
//!
//! ```text
//! target/package/node/tools     TypeScript, as test/package-lock.json pins it
//! target/package/node/staged    bindings/node with what is made of it: dist/*.js and the addon
//! target/dist/*.tgz             both packages
//! target/package/node/project   an empty npm project with both installed, and the suite
//! ```

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::command::{Cmd, Failure};
use crate::root;

/// The main package, and that of the platform on which this runs.
const PACKAGES: [&str; 2] = ["ferrocket", "ferrocket-linux-x64-gnu"];

fn place(name: &str) -> PathBuf {
    root().join("target/package/node").join(name)
}

fn sources() -> PathBuf {
    root().join("bindings/node")
}

fn npm<A: AsRef<OsStr>>(folder: &Path, args: impl IntoIterator<Item = A>) -> Result<(), Failure> {
    let quiet = ["--no-audit", "--no-fund", "--no-update-notifier"];
    let args = args.into_iter().map(|arg| arg.as_ref().to_owned()).chain(quiet.iter().map(Into::into));
    Cmd::new("npm", args).within(folder).run()
}

/// Packs both packages into `target/dist/`.
pub(crate) fn build() -> Result<(), Failure> {
    tools()?;
    super::libraries()?;
    let staged = place("staged");
    replace(&sources(), &staged)?;
    let addon = crate::target().join("release/libferrocket_node.so");
    let platform = staged.join("npm/linux-x64-gnu");
    fs::copy(addon, platform.join("ferrocket.node"))?;
    symlink(place("tools/node_modules"), staged.join("node_modules"))?;
    tsc(&staged)?;
    let dist = root().join("target/dist");
    fs::create_dir_all(&dist)?;
    for folder in [&platform, &staged] {
        npm(folder, ["pack".as_ref(), "--silent".as_ref(), "--pack-destination".as_ref(), dist.as_os_str()])?;
    }
    for package in PACKAGES {
        println!("target/dist/{}", tarball(package).file_name().unwrap_or_default().to_string_lossy());
    }
    Ok(())
}

/// Installs both packages into an empty project and runs the suite there.
pub(crate) fn test() -> Result<(), Failure> {
    let project = place("project");
    if project.exists() {
        fs::remove_dir_all(&project)?;
    }
    for folder in ["test", "examples"] {
        replace(&sources().join(folder), &project.join(folder))?;
    }
    fs::write(project.join("package.json"), "{ \"name\": \"project\", \"private\": true }\n")?;
    let tarballs = PACKAGES.map(tarball);
    npm(
        &project,
        ["install".as_ref()].into_iter().chain(tarballs.iter().map(|tarball| tarball.as_os_str())),
    )?;
    for tool in ["typescript", "@types", "@typescript", "undici-types"] {
        symlink(place("tools/node_modules").join(tool), project.join("node_modules").join(tool))?;
    }
    tsc(&project.join("test"))?;
    let mut tests = Vec::new();
    for folder in ["test", "test/built"] {
        for entry in fs::read_dir(project.join(folder))? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "mjs" || end == "cjs")
                && path.to_string_lossy().contains(".test.")
            {
                tests.push(path.into_os_string());
            }
        }
    }
    tests.sort();
    let run = ["--test".into(), "--test-concurrency=2".into()];
    Cmd::new("node", run.into_iter().chain(tests)).within(&project).run()
}

/// The file that `npm pack` makes of a package. Both have the version of the crates.
fn tarball(package: &str) -> PathBuf {
    root().join(format!("target/dist/{package}-{}.tgz", env!("CARGO_PKG_VERSION")))
}

/// TypeScript and Node's types, unless they are there as the lockfile says.
fn tools() -> Result<(), Failure> {
    let tools = place("tools");
    fs::create_dir_all(&tools)?;
    // What npm leaves last.
    let mut is_fresh = !tools.join("node_modules/.package-lock.json").exists();
    for name in ["package.json", "package-lock.json"] {
        let wanted = fs::read(sources().join("test").join(name))?;
        if fs::read(tools.join(name)).is_ok_and(|found| found == wanted) {
            continue;
        }
        fs::write(tools.join(name), wanted)?;
        is_fresh = true;
    }
    if is_fresh { npm(&tools, ["ci"]) } else { Ok(()) }
}

fn tsc(project: &Path) -> Result<(), Failure> {
    let tsc = place("tools/node_modules/.bin/tsc");
    Cmd::new(tsc, ["--project".as_ref(), project.as_os_str()]).run()
}

/// Makes `to` a copy of the folder `from`, without what was installed or built there.
fn replace(from: &Path, to: &Path) -> Result<(), Failure> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if ["node_modules", "dist", "built"].iter().any(|skipped| name == *skipped) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            replace(&entry.path(), &to.join(name))?;
        } else {
            fs::copy(entry.path(), to.join(name))?;
        }
    }
    Ok(())
}
