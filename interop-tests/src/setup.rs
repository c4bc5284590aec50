//! Gets the peers ready under `target/interop/`: class paths, compiled drivers, a Python
//! environment, Node packages. Each step leaves a stamp with the inputs it was made from, so a
//! second setup only compares files.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::peer::Client;
use crate::process::run_tool;

/// Of our packages; they have the version of the crates.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Where the drivers' sources are and where what is made from them goes.
#[derive(Clone, Debug)]
pub struct Workshop {
    /// `interop-tests/peers`.
    pub peers: PathBuf,
    /// `target/interop`.
    pub made: PathBuf,
    /// A `tls.properties`: with it servers and Java clients run with TLS on.
    pub tls_config: Option<PathBuf>,
    /// Lines for Brokers' configurations beside those of every cluster.
    pub broker_settings: String,
}

impl Workshop {
    /// Finds the repository from the current directory upwards.
    pub fn find() -> Result<Self, String> {
        let here = std::env::current_dir().map_err(|e| format!("current directory: {e}"))?;
        let root = here.ancestors().find(|dir| dir.join("interop-tests/peers").is_dir());
        let root = root.ok_or("run this inside the repository: no interop-tests/peers above here")?;
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        Ok(Self {
            peers: root.join("interop-tests/peers"),
            made: target.join("interop"),
            tls_config: None,
            broker_settings: String::new(),
        })
    }

    /// A class path file's content: `servers-4.9.7`, `client-5.3.3`, …
    pub fn class_path(&self, name: &str) -> Result<String, String> {
        let file = self.made.join(format!("java/{name}.classpath"));
        let text = fs::read_to_string(&file);
        text.map_err(|_| "not set up: run `ferrocket-interop-tests setup` first".to_owned())
    }

    /// What a JVM is told about TLS.
    pub(crate) fn java_tls(&self) -> Vec<String> {
        let told = |path: &PathBuf| {
            ["-Dtls.enable=true".to_owned(), format!("-Dtls.config.file={}", path.display())].into()
        };
        self.tls_config.as_ref().map(told).unwrap_or_default()
    }

    /// Our server program: `$FERROCKET_BIN`, else the newest build under the target folder.
    pub fn our_server(&self) -> Result<PathBuf, String> {
        if let Some(path) = std::env::var_os("FERROCKET_BIN") {
            return Ok(path.into());
        }
        let target = self.made.parent().unwrap_or(&self.made);
        let built = ["release", "debug"].map(|profile| target.join(profile).join("ferrocket"));
        let built = built.into_iter().filter(|path| path.is_file());
        let newest = built.max_by_key(|path| path.metadata().and_then(|m| m.modified()).ok());
        newest
            .ok_or_else(|| format!("no ferrocket in {}/{{release,debug}}: build it first", target.display()))
    }

    /// The driver of our own client, built beside this program, or beside the folder of this test.
    pub fn our_driver(&self) -> Result<PathBuf, String> {
        let here = std::env::current_exe().map_err(|e| format!("this program: {e}"))?;
        let folder = here.ancestors().skip(1).find(|folder| !folder.ends_with("deps"));
        Ok(folder.ok_or("this program is in no folder")?.join("ferrocket-peer"))
    }

    /// What runs the peers, with versions; a tool that does not say its version is left out.
    pub fn tools(&self) -> Vec<String> {
        let ask = |name: &str, argument: &str| -> Option<String> {
            let output = Command::new(name).arg(argument).output().ok()?;
            let text = String::from_utf8(output.stdout).ok()?;
            Some(text.lines().next()?.trim().to_owned())
        };
        let node =
            ask("node", "--version").map(|version| format!("Node {}", version.trim_start_matches('v')));
        let lines = [ask("java", "--version"), ask("go", "version"), ask("python3", "--version"), node];
        lines.into_iter().flatten().collect()
    }

    /// Builds our own driver; cargo knows whether it must. In the profile of this program, which the
    /// name of its folder tells.
    fn ours(&self) -> Result<(), String> {
        let release = self.our_driver()?.parent().is_some_and(|dir| dir.ends_with("release"));
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(&self.peers).args(["build", "--quiet", "--bin", "ferrocket-peer"]);
        run_tool(cargo.args(release.then_some("--release")))
    }

    /// The folder with the source of a client's driver.
    pub(crate) fn sources(&self, client: Client) -> PathBuf {
        self.peers.join(client.folder())
    }

    /// The folder with what is made of it, and of the client's library.
    pub(crate) fn home(&self, client: Client) -> PathBuf {
        self.made.join(client.folder())
    }

    /// What `cargo xtask package LANGUAGE` has made.
    fn packed(&self, path: &str, language: &str) -> Result<PathBuf, String> {
        let packed = self.peers.join("../../target/dist").join(path);
        let missing = || format!("no target/dist/{path}: run `cargo xtask package {language}` first");
        packed.is_file().then_some(packed).ok_or_else(missing)
    }

    /// Makes everything that servers and clients need, our own servers and packages apart.
    pub fn setup(&self) -> Result<(), String> {
        self.ours()?;
        self.java()?;
        self.go()?;
        self.python()?;
        self.node()
    }

    /// Makes what a client needs that is a package of ours; does nothing for others.
    pub fn setup_package(&self, client: Client) -> Result<(), String> {
        match client {
            Client::OursPython => self.our_python(),
            Client::OursNode => self.our_node(),
            Client::OursC => self.our_c(),
            _ => Ok(()),
        }
    }

    fn java(&self) -> Result<(), String> {
        for name in ["servers-4.9.7", "servers-5.3.3", "client-4.9.8", "client-5.3.3"] {
            let pom = self.peers.join(format!("java/pom-{name}.xml"));
            let out = self.made.join(format!("java/{name}.classpath"));
            self.step(&format!("java-{name}"), &[&pom], || {
                make_dir(&self.made.join("java"))?;
                let mut mvn = Command::new("mvn");
                mvn.args(["-q", "-B", "dependency:build-classpath"]).arg("-f").arg(&pom);
                run_tool(mvn.arg(format!("-Dmdep.outputFile={}", out.display())))
            })?;
        }
        for client in [Client::Java49, Client::Java53] {
            let version = client.version();
            let source = self.peers.join("java/Driver.java");
            let pom = self.peers.join(format!("java/pom-client-{version}.xml"));
            self.step(&format!("java-driver-{version}"), &[&source, &pom], || {
                let classes = self.java_driver(version);
                make_dir(&classes)?;
                let class_path = self.class_path(&format!("client-{version}"))?;
                let mut javac = Command::new("javac");
                run_tool(javac.args(["-nowarn", "-cp", &class_path, "-d"]).arg(classes).arg(&source))
            })?;
        }
        Ok(())
    }

    /// The folder with the Java driver compiled for client `version`.
    pub fn java_driver(&self, version: &str) -> PathBuf {
        self.made.join(format!("java/driver-{version}"))
    }

    fn go(&self) -> Result<(), String> {
        let sources = self.sources(Client::Go);
        let inputs = ["main.go", "go.mod", "go.sum"].map(|name| sources.join(name));
        self.step("go", &inputs.each_ref().map(PathBuf::as_path), || {
            let driver = self.home(Client::Go).join("driver");
            run_tool(Command::new("go").current_dir(&sources).arg("build").arg("-o").arg(driver).arg("."))
        })
    }

    fn python(&self) -> Result<(), String> {
        let requirements = self.sources(Client::Cpp).join("requirements.txt");
        self.step("python", &[&requirements], || {
            environment(&self.home(Client::Cpp), &["-r".as_ref(), requirements.as_os_str()])
        })
    }

    fn our_python(&self) -> Result<(), String> {
        let wheel = format!("ferrocket-{VERSION}-cp311-abi3-manylinux2014_x86_64.manylinux_2_17_x86_64.whl");
        let wheel = self.packed(&wheel, "python")?;
        self.step("ferrocket-python", &[&wheel], || {
            let install = ["--no-index", "--force-reinstall"].map(OsStr::new);
            environment(&self.home(Client::OursPython), &[&install[..], &[wheel.as_os_str()]].concat())
        })
    }

    fn node(&self) -> Result<(), String> {
        let home = self.home(Client::Node);
        let inputs = ["package.json", "package-lock.json", ".npmrc"];
        let sources = inputs.map(|name| self.sources(Client::Node).join(name));
        self.step("node", &sources.each_ref().map(PathBuf::as_path), || {
            make_dir(&home)?;
            for (source, name) in sources.iter().zip(inputs) {
                copy(source, &home.join(name))?;
            }
            run_tool(Command::new("npm").current_dir(&home).args(["ci", "--silent", "--ignore-scripts"]))
        })?;
        self.copy_node_driver(Client::Node)
    }

    fn our_node(&self) -> Result<(), String> {
        let home = self.home(Client::OursNode);
        let tarball = |package: &str| self.packed(&format!("{package}-{VERSION}.tgz"), "node");
        let tarballs = [tarball("ferrocket-linux-x64-gnu")?, tarball("ferrocket")?];
        self.step("ferrocket-node", &tarballs.each_ref().map(PathBuf::as_path), || {
            // What is installed already would be kept: the version is the same.
            if home.exists() {
                fs::remove_dir_all(&home).map_err(|e| format!("{}: {e}", home.display()))?;
            }
            make_dir(&home)?;
            fs::write(home.join("package.json"), "{ \"name\": \"driver\", \"private\": true }\n")
                .map_err(|e| format!("package.json: {e}"))?;
            let install = ["install", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"];
            run_tool(Command::new("npm").current_dir(&home).args(install).args(&tarballs))
        })?;
        self.copy_node_driver(Client::OursNode)
    }

    /// Next to its packages, where Node looks for them; copied each time, it is one small file.
    fn copy_node_driver(&self, client: Client) -> Result<(), String> {
        let name = client.node_driver();
        copy(&self.sources(client).join(name), &self.home(client).join(name))
    }

    /// Compiles the driver with the static library, so that it needs nothing else to run.
    fn our_c(&self) -> Result<(), String> {
        let library = self.packed("c/lib/libferrocket.a", "c")?;
        let config = self.packed("c/lib/pkgconfig/ferrocket.pc", "c")?;
        // The library is too long for a stamp.
        let (source, home) = (self.sources(Client::OursC).join("driver.c"), self.home(Client::OursC));
        make_dir(&home)?;
        let mut pkg = Command::new("pkg-config");
        let flags = pkg.args(["--cflags", "--static", "--libs-only-l"]).arg(config).output();
        let flags = flags.map_err(|e| format!("pkg-config: {e}"))?;
        if !flags.status.success() {
            return Err(format!("pkg-config: {}", String::from_utf8_lossy(&flags.stderr)));
        }
        let flags = String::from_utf8_lossy(&flags.stdout);
        let flags = flags.replace("-lferrocket", &library.display().to_string());
        let mut cc = Command::new("cc");
        cc.args(["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g"]).arg(&source);
        run_tool(cc.args(flags.split_whitespace()).arg("-o").arg(home.join("driver")))
    }

    /// Runs `make` unless the step's stamp says that it was made from the same inputs.
    fn step(
        &self,
        name: &str,
        inputs: &[&Path],
        make: impl FnOnce() -> Result<(), String>,
    ) -> Result<(), String> {
        let mut content = Vec::new();
        for input in inputs {
            content.extend(fs::read(input).map_err(|e| format!("{}: {e}", input.display()))?);
        }
        let stamp = self.made.join("stamps").join(name);
        if fs::read(&stamp).is_ok_and(|made_from| made_from == content) {
            return Ok(());
        }
        println!("setup: {name}");
        make()?;
        make_dir(&self.made.join("stamps"))?;
        fs::write(&stamp, content).map_err(|e| format!("{}: {e}", stamp.display()))
    }
}

/// Makes a Python environment, with what `install` tells pip.
fn environment(home: &Path, install: &[&OsStr]) -> Result<(), String> {
    run_tool(Command::new("python3").args(["-m", "venv"]).arg(home))?;
    run_tool(Command::new(home.join("bin/python3")).args(["-m", "pip", "install", "-q"]).args(install))
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::copy(from, to).map(drop).map_err(|e| format!("{}: {e}", from.display()))
}

fn make_dir(dir: &Path) -> Result<(), String> {
    fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))
}
