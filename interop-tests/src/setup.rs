//! Gets the peers ready under `target/interop/`: class paths, compiled drivers, a Python
//! environment, Node packages. Each step leaves a stamp with the inputs it was made from, so a
//! second setup only compares files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::peer::Client;
use crate::process::run_tool;

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

    /// The driver of our own client, built beside this program.
    pub fn our_driver(&self) -> Result<PathBuf, String> {
        let here = std::env::current_exe().map_err(|e| format!("this program: {e}"))?;
        Ok(here.with_file_name("ferrocket-peer"))
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

    /// Makes everything that servers and clients need, our own servers apart.
    pub fn setup(&self) -> Result<(), String> {
        self.ours()?;
        self.java()?;
        self.go()?;
        self.python()?;
        self.our_python()?;
        self.our_node()?;
        self.our_c()?;
        self.node()
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

    /// The Go driver.
    pub fn go_driver(&self) -> PathBuf {
        self.made.join("go/driver")
    }

    fn go(&self) -> Result<(), String> {
        let sources = self.peers.join("go");
        let inputs = ["main.go", "go.mod", "go.sum"].map(|name| sources.join(name));
        self.step("go", &inputs.each_ref().map(PathBuf::as_path), || {
            let mut go = Command::new("go");
            run_tool(go.current_dir(&sources).arg("build").arg("-o").arg(self.go_driver()).arg("."))
        })
    }

    /// The interpreter that has the Python package installed.
    pub fn python(&self) -> Result<PathBuf, String> {
        let home = self.made.join("python");
        let python = home.join("bin/python3");
        let requirements = self.peers.join("python/requirements.txt");
        self.step("python", &[&requirements], || {
            run_tool(Command::new("python3").args(["-m", "venv"]).arg(&home))?;
            run_tool(Command::new(&python).args(["-m", "pip", "install", "-q", "-r"]).arg(&requirements))
        })?;
        Ok(python)
    }

    /// The interpreter that has our Python package installed, from its wheel in `target/dist`.
    pub fn our_python(&self) -> Result<PathBuf, String> {
        let home = self.made.join("ferrocket-python");
        let python = home.join("bin/python3");
        let dist = self.peers.join("../../target/dist");
        let wheels = fs::read_dir(&dist).map_err(|e| format!("{}: {e}", dist.display()))?;
        let wheels = wheels.filter_map(|entry| Some(entry.ok()?.path()));
        let wheel = wheels.filter(|path| path.extension().is_some_and(|end| end == "whl")).max();
        let wheel = wheel.ok_or("no wheel in target/dist: run `cargo xtask package python` first")?;
        self.step("ferrocket-python", &[&wheel], || {
            run_tool(Command::new("python3").args(["-m", "venv"]).arg(&home))?;
            let install = ["-m", "pip", "install", "-q", "--no-index", "--force-reinstall"];
            run_tool(Command::new(&python).args(install).arg(&wheel))
        })?;
        Ok(python)
    }

    /// The folder in which our npm package is installed, and its driver.
    pub fn our_node_home(&self) -> PathBuf {
        self.made.join("ferrocket-node")
    }

    /// Installs it from its tarballs in `target/dist`.
    fn our_node(&self) -> Result<(), String> {
        let home = self.our_node_home();
        let tarballs = ["ferrocket-linux-x64-gnu", "ferrocket"].map(|package| {
            let file = format!("../../target/dist/{package}-{}.tgz", env!("CARGO_PKG_VERSION"));
            self.peers.join(file)
        });
        if let Some(missing) = tarballs.iter().find(|tarball| !tarball.is_file()) {
            return Err(format!("no {}: run `cargo xtask package node` first", missing.display()));
        }
        self.step("ferrocket-node", &tarballs.each_ref().map(PathBuf::as_path), || {
            // What is installed already would be kept: the version is the same.
            let _ = fs::remove_dir_all(&home);
            make_dir(&home)?;
            fs::write(home.join("package.json"), "{ \"name\": \"driver\", \"private\": true }\n")
                .map_err(|e| format!("package.json: {e}"))?;
            let install = ["install", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"];
            run_tool(Command::new("npm").current_dir(&home).args(install).args(&tarballs))
        })?;
        // Copied each time, as the other Node driver.
        let driver = fs::copy(self.peers.join("ferrocket-node/driver.mjs"), home.join("driver.mjs"));
        driver.map_err(|e| format!("driver.mjs: {e}")).map(drop)
    }

    /// The driver of our C library.
    pub fn our_c_driver(&self) -> PathBuf {
        self.made.join("ferrocket-c/driver")
    }

    /// Compiles that driver with the static library in `target/dist`, so that it needs nothing else to run.
    fn our_c(&self) -> Result<(), String> {
        let source = self.peers.join("ferrocket-c/driver.c");
        let prefix = self.peers.join("../../target/dist/c");
        let (library, config) = (prefix.join("lib/libferrocket.a"), prefix.join("lib/pkgconfig"));
        if !library.is_file() {
            return Err("no libferrocket.a in target/dist/c: run `cargo xtask package c` first".to_owned());
        }
        // The library is too long for a stamp; its package is made anew with a header and libraries of one time.
        make_dir(&self.made.join("ferrocket-c"))?;
        let mut pkg = Command::new("pkg-config");
        let flags =
            pkg.args(["--cflags", "--static", "--libs-only-l", "ferrocket"]).env("PKG_CONFIG_PATH", config);
        let flags = flags.output().map_err(|e| format!("pkg-config: {e}"))?.stdout;
        let flags = String::from_utf8_lossy(&flags).replace("-lferrocket", &library.display().to_string());
        let mut cc = Command::new("cc");
        cc.args(["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g"]).arg(&source);
        run_tool(cc.args(flags.split_whitespace()).arg("-o").arg(self.our_c_driver()))
    }

    /// The folder in which the Node driver and its packages live.
    pub fn node_home(&self) -> PathBuf {
        self.made.join("node")
    }

    fn node(&self) -> Result<(), String> {
        let home = self.node_home();
        let inputs = ["package.json", "package-lock.json", ".npmrc"];
        let sources = inputs.map(|name| self.peers.join("node").join(name));
        self.step("node", &sources.each_ref().map(PathBuf::as_path), || {
            make_dir(&home)?;
            for (source, name) in sources.iter().zip(inputs) {
                fs::copy(source, home.join(name)).map_err(|e| format!("{name}: {e}"))?;
            }
            run_tool(Command::new("npm").current_dir(&home).args(["ci", "--silent", "--ignore-scripts"]))
        })?;
        // Next to its packages, where Node looks for them; copied each time, it is one small file.
        let driver = fs::copy(self.peers.join("node/driver.js"), home.join("driver.js"));
        driver.map_err(|e| format!("driver.js: {e}")).map(drop)
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

fn make_dir(dir: &Path) -> Result<(), String> {
    fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))
}
