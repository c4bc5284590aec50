//! The C package: a prefix with the header, both libraries and a pkg-config file.
//!
//! ```text
//! target/dist/c/include/ferrocket.h, ferrocket.hpp
//! target/dist/c/lib/libferrocket.so -> libferrocket.so.1, libferrocket.a, pkgconfig/ferrocket.pc
//! ```
//!
//! The shared library is linked here from the static one, because rustc cannot give symbols a version. Tests compile
//! what is in `bindings/c/tests` and `examples` as users do, against both libraries.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::command::{Cmd, Failure};

/// What the static library needs besides: `cargo rustc -p ferrocket-c -- --print native-static-libs`.
const NATIVE_LIBRARIES: &[&str] = &["-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl", "-lc"];
/// The version of the symbols, which changes with the `1` of `libferrocket.so.1`.
const SYMBOLS_VERSION: &str = "FERROCKET_1";
const C: &[&str] = &["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g"];
const CPP: &[&str] = &["-std=c++11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g"];
/// Without what processes keep on purpose: leaks only, and every wrong access.
const VALGRIND: &[&str] = &[
    "--quiet",
    "--leak-check=full",
    "--show-leak-kinds=definite,indirect",
    "--errors-for-leak-kinds=definite,indirect",
    "--error-exitcode=99",
    // A forked child has what its parent's threads had.
    "--child-silent-after-fork=yes",
    // Threads that send as fast as they can would keep the broker's from going on.
    "--fair-sched=yes",
];

fn sources() -> PathBuf {
    crate::root().join("bindings/c")
}

pub(crate) fn build() -> Result<(), Failure> {
    install(&crate::root().join("target/dist/c"))
}

/// Builds both libraries and puts everything below `prefix`.
pub(crate) fn install(prefix: &Path) -> Result<(), Failure> {
    let prefix = &crate::root().join(prefix);
    super::libraries()?;
    let built = crate::target().join("release/libferrocket.a");
    let (include, lib) = (prefix.join("include"), prefix.join("lib"));
    fs::create_dir_all(&include)?;
    fs::create_dir_all(lib.join("pkgconfig"))?;
    for header in ["ferrocket.h", "ferrocket.hpp"] {
        fs::copy(sources().join("include").join(header), include.join(header))?;
    }
    fs::copy(&built, lib.join("libferrocket.a"))?;
    fs::write(lib.join("pkgconfig/ferrocket.pc"), pkg_config())?;
    link(&built, &lib.join("libferrocket.so.1"))?;
    let link = lib.join("libferrocket.so");
    if link.symlink_metadata().is_ok() {
        fs::remove_file(&link)?;
    }
    #[cfg(unix)]
    std::os::unix::fs::symlink("libferrocket.so.1", &link)?;
    println!("{}: ferrocket.h, libferrocket.so.1, libferrocket.a, ferrocket.pc", prefix.display());
    Ok(())
}

/// It says where it is itself: the prefix can be moved.
fn pkg_config() -> String {
    format!(
        "prefix=${{pcfiledir}}/../..\nlibdir=${{prefix}}/lib\nincludedir=${{prefix}}/include\n\n\
         Name: ferrocket\nDescription: A client for Apache RocketMQ compatible clusters\nVersion: {}\n\
         Cflags: -I${{includedir}}\nLibs: -L${{libdir}} -lferrocket\nLibs.private: {}\n",
        env!("CARGO_PKG_VERSION"),
        NATIVE_LIBRARIES.join(" ")
    )
}

fn symbols() -> Result<Vec<String>, Failure> {
    let list = fs::read_to_string(sources().join("abi.txt"))?;
    Ok(list.lines().map(str::to_owned).collect())
}

/// Links the shared library: the functions of the list, with their version, and nothing else to be seen.
fn link(archive: &Path, library: &Path) -> Result<(), Failure> {
    let symbols = symbols()?;
    let script = crate::target().join("ferrocket.map");
    let global: String = symbols.iter().map(|symbol| format!(" {symbol};")).collect();
    fs::write(&script, format!("{SYMBOLS_VERSION} {{ global:{global} local: *; }};\n"))?;
    let mut args = vec!["-shared".to_owned(), "-o".to_owned(), library.display().to_string()];
    args.extend(symbols.iter().map(|symbol| format!("-Wl,-u,{symbol}")));
    args.push(archive.display().to_string());
    args.push(format!("-Wl,--version-script={}", script.display()));
    args.extend(["-Wl,-soname,libferrocket.so.1", "-Wl,--gc-sections", "-Wl,-S"].map(str::to_owned));
    args.extend(NATIVE_LIBRARIES.iter().map(|library| (*library).to_owned()));
    Cmd::new("cc", args).run()
}

/// A prefix that a user has unpacked somewhere, and a folder for what is compiled against it.
struct Workplace {
    prefix: PathBuf,
    made: PathBuf,
}

pub(crate) fn test() -> Result<(), Failure> {
    let folder = crate::root().join("target/package/c");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let place = Workplace { prefix: folder.join("moved/ferrocket"), made: folder.join("made") };
    for part in ["include", "lib", "lib/pkgconfig"] {
        copy(&crate::root().join("target/dist/c").join(part), &place.prefix.join(part))?;
    }
    fs::create_dir_all(&place.made)?;
    place.check_symbols()?;
    place.test_programs()?;
    place.examples()
}

/// Copies the files of a folder; links become what they point to.
fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        if path.is_file() {
            fs::copy(&path, to.join(path.file_name().unwrap_or_default()))?;
        }
    }
    Ok(())
}

/// The files of a folder with this ending, in order.
fn files(folder: &str, ending: &str) -> Result<Vec<PathBuf>, Failure> {
    let entries = fs::read_dir(sources().join(folder))?.collect::<Result<Vec<_>, _>>()?;
    let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension() == Some(OsStr::new(ending)));
    files.sort();
    Ok(files)
}

impl Workplace {
    fn library_folder(&self) -> PathBuf {
        self.prefix.join("lib")
    }

    fn pkg_config(&self, args: &[&str]) -> Result<Vec<String>, Failure> {
        let words = Cmd::new("pkg-config", args.iter().chain(&["ferrocket"]))
            .env("PKG_CONFIG_PATH", self.library_folder().join("pkgconfig"))
            .output()?;
        Ok(words.split_whitespace().map(str::to_owned).collect())
    }

    /// What programs can see of the library is what the list says, and each symbol has its version.
    fn check_symbols(&self) -> Result<(), Failure> {
        let library = self.library_folder().join("libferrocket.so.1");
        let args = ["-D", "--defined-only", "--with-symbol-versions"].map(OsStr::new);
        let seen = Cmd::new("nm", args.into_iter().chain([library.as_os_str()])).output()?;
        let mut seen: Vec<&str> = seen.lines().filter_map(|line| line.split(' ').nth(2)).collect();
        seen.retain(|symbol| {
            *symbol != SYMBOLS_VERSION && *symbol != format!("{SYMBOLS_VERSION}@@{SYMBOLS_VERSION}")
        });
        seen.sort_unstable();
        let mut wanted: Vec<String> =
            symbols()?.iter().map(|symbol| format!("{symbol}@@{SYMBOLS_VERSION}")).collect();
        wanted.sort_unstable();
        if seen == wanted {
            return Ok(());
        }
        let odd = seen.iter().find(|symbol| !wanted.iter().any(|known| known == *symbol));
        let lost = wanted.iter().find(|symbol| !seen.contains(&symbol.as_str()));
        Err(Failure::new(format!(
            "symbols differ from bindings/c/abi.txt: {odd:?} is new, {lost:?} is missing"
        )))
    }

    /// Compiles a source as a user does; answers where the program is.
    fn compile(&self, source: &Path, how: &str, more: &[&str]) -> Result<PathBuf, Failure> {
        let name = source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let program = self.made.join(format!("{name}-{how}"));
        let is_cpp = source.extension() == Some(OsStr::new("cc"));
        let (compiler, flags) = if is_cpp { ("g++", CPP) } else { ("cc", C) };
        let mut args: Vec<String> = flags.iter().chain(more).map(|flag| (*flag).to_owned()).collect();
        args.extend([source.display().to_string(), "-o".to_owned(), program.display().to_string()]);
        args.extend(self.pkg_config(&["--cflags"])?);
        if how == "static" {
            args.push(self.library_folder().join("libferrocket.a").display().to_string());
            let libraries = self.pkg_config(&["--static", "--libs-only-l"])?;
            args.extend(libraries.into_iter().filter(|library| library != "-lferrocket"));
        } else {
            args.extend(self.pkg_config(&["--libs"])?);
            args.push("-lpthread".to_owned());
        }
        Cmd::new(compiler, args).run()?;
        Ok(program)
    }

    /// Runs a program, as the last of these words.
    fn run(&self, before: &[&str], program: &Path, env: &[(&str, &str)]) -> Result<(), Failure> {
        let words = before.iter().map(OsStr::new).chain([program.as_os_str()]);
        let mut words = words.map(OsStr::to_owned);
        let first = words.next().unwrap_or_default();
        let mut command = Cmd::new(first, words).env("LD_LIBRARY_PATH", self.library_folder());
        for (key, value) in env {
            command = command.env(key, value);
        }
        command.run()
    }

    /// The tests, against both libraries; those in C under valgrind and the address sanitizer, too.
    fn test_programs(&self) -> Result<(), Failure> {
        for source in files("tests", "cc")? {
            for how in ["shared", "static"] {
                self.run(&[], &self.compile(&source, how, &[])?, &[])?;
            }
        }
        for source in files("tests", "c")? {
            let program = self.compile(&source, "shared", &[])?;
            self.run(&[], &program, &[])?;
            self.run(&[&["valgrind"], VALGRIND].concat(), &program, &[])?;
            self.run(&[], &self.compile(&source, "static", &[])?, &[])?;
            self.run(&[], &self.compile(&source, "sanitized", &["-fsanitize=address,undefined"])?, &[])?;
        }
        Ok(())
    }

    /// The examples, against the servers of a process of their own.
    fn examples(&self) -> Result<(), Failure> {
        let broker = self.compile(&sources().join("examples/testing.c"), "shared", &[])?;
        let broker = Servers::start(&broker, &self.library_folder())?;
        // Broadcasting consumers keep their offsets in the home folder.
        let home = self.made.display().to_string();
        let env = [("NAMESRV_ADDR", broker.addr.as_str()), ("HOME", home.as_str())];
        for source in [files("examples", "c")?, files("examples", "cc")?].concat() {
            // It is what the others talk to.
            if source.file_stem() != Some(OsStr::new("testing")) {
                self.run(&[], &self.compile(&source, "shared", &[])?, &env)?;
            }
        }
        let program = self.made.join("go-example");
        Cmd::new("go", ["build", "-C", "bindings/c/examples/go", "-o", &program.display().to_string(), "."])
            .env("PKG_CONFIG_PATH", self.library_folder().join("pkgconfig"))
            .run()?;
        self.run(&[], &program, &env)
    }
}

/// The program `examples/testing.c`, which says where it listens and serves until its input ends.
struct Servers {
    process: Child,
    addr: String,
}

impl Servers {
    fn start(program: &Path, libraries: &Path) -> Result<Self, Failure> {
        let mut command = Command::new(program);
        command.env("LD_LIBRARY_PATH", libraries).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn()?;
        let mut addr = String::new();
        if let Some(output) = process.stdout.take() {
            BufReader::new(output).read_line(&mut addr)?;
        }
        Ok(Self { process, addr: addr.trim().to_owned() })
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        // Nothing is left to be done about one that does not end.
        let _ = self.process.wait();
    }
}
