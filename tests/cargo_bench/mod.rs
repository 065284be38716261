//! Runs `cargo bench` as a user does, with its results in a directory of the test's own.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::rc::Rc;

use serde_json::Value;
use tempfile::TempDir;

/// A bench target about to run.
pub struct CargoBench {
    bench: String,
    command: Command,
    results: Rc<TempDir>,
}

/// The output and files of a run.
pub struct Ran {
    pub succeeded: bool,
    /// stdout, then stderr.
    pub text: String,
    bench: String,
    results: Rc<TempDir>,
}

impl CargoBench {
    /// A bench of this package.
    pub fn new(bench: &str) -> CargoBench {
        CargoBench::in_package(bench, Path::new(env!("CARGO_MANIFEST_DIR")))
    }

    /// A bench of the package in `directory`.
    pub fn in_package(bench: &str, directory: &Path) -> CargoBench {
        let results = Rc::new(tempfile::tempdir().expect("a temporary directory"));
        let mut command = Command::new(env!("CARGO"));
        // The dev profile has been built for the tests already.
        command
            .args([
                "bench",
                "--quiet",
                "--profile",
                "dev",
                "--offline",
                "--bench",
                bench,
                "--",
            ])
            .current_dir(directory)
            .env("CRITERION_HOME", results.path());
        // The environment of whoever runs the tests must not configure them.
        for (key, _) in std::env::vars() {
            let configures = ["SERVEMARK_", "OMPI_", "SLURM_"]
                .iter()
                .any(|prefix| key.starts_with(prefix));
            if configures || ["OPENAI_API_KEY", "JOB_COMPLETION_INDEX"].contains(&&*key) {
                command.env_remove(key);
            }
        }
        CargoBench {
            bench: bench.to_owned(),
            command,
            results,
        }
    }

    /// The chat bench with one point: the 25-token question, four in flight, short answers.
    pub fn one_point() -> CargoBench {
        let mut bench = CargoBench::new("chat_throughput");
        bench
            .env("SERVEMARK_PROMPT_KEYS", "25")
            .env("SERVEMARK_MAX_NEW_TOKENS", "16")
            .env("SERVEMARK_CONCURRENT_LEVELS", "4");
        bench
    }

    /// Sets a variable of the run's environment.
    pub fn env(&mut self, key: &str, value: &str) -> &mut CargoBench {
        self.command.env(key, value);
        self
    }

    /// Runs it with Criterion's arguments; may be called again, with the results of before still there.
    pub fn run(&mut self, args: &[&str]) -> Ran {
        let mut command = self.command(self.command.get_program());
        command.args(self.command.get_args()).args(args);
        self.ran(&command.output().expect("cargo runs"))
    }

    /// Another program in the run's environment and directory.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        for (key, value) in self.command.get_envs() {
            match value {
                Some(value) => command.env(key, value),
                None => command.env_remove(key),
            };
        }
        if let Some(directory) = self.command.get_current_dir() {
            command.current_dir(directory);
        }
        command
    }

    /// Creates the result of a run from its process's `output`.
    pub fn ran(&self, output: &Output) -> Ran {
        let text = [&output.stdout, &output.stderr].map(|b| String::from_utf8_lossy(b));
        Ran {
            succeeded: output.status.success(),
            text: text.concat(),
            bench: self.bench.clone(),
            results: Rc::clone(&self.results),
        }
    }

    /// Builds the bench and returns its executable, which several processes can run at once.
    pub fn executable(&self) -> PathBuf {
        let mut command = self.command(self.command.get_program());
        let options = self.command.get_args().filter(|option| *option != "--");
        command
            .args(options)
            .args(["--no-run", "--message-format=json"]);
        let output = command.output().expect("cargo runs");
        let messages = String::from_utf8_lossy(&output.stdout);
        let named = |message: Value| {
            let built = message["target"]["name"] == *self.bench;
            let executable = message["executable"].as_str().filter(|_| built);
            executable.map(PathBuf::from)
        };
        messages
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .find_map(named)
            .expect("an executable")
    }

    /// Criterion's output directory of the run.
    pub fn results(&self) -> &Path {
        self.results.path()
    }
}

impl Ran {
    /// Criterion's output directory of the run.
    pub fn results(&self) -> &Path {
        self.results.path()
    }

    fn directory(&self) -> PathBuf {
        self.results.path().join("servemark").join(&self.bench)
    }

    /// The only run record that was written.
    pub fn record(&self) -> Value {
        let text = std::fs::read_to_string(self.record_path()).expect("a readable record");
        serde_json::from_str(&text).expect("a record in JSON")
    }

    /// Where it lies.
    pub fn record_path(&self) -> PathBuf {
        let mut found = Vec::new();
        find(&self.directory(), "new.json", &mut found);
        assert_eq!(found.len(), 1, "records: {found:?}\n{}", self.text);
        found.remove(0)
    }

    /// The CSV file's text.
    pub fn csv(&self) -> String {
        std::fs::read_to_string(self.directory().join("performance_metrics.csv"))
            .expect("a CSV file")
    }
}

fn find(directory: &Path, name: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            find(&path, name, found);
        } else if path.file_name() == Some(name.as_ref()) {
            found.push(path);
        }
    }
}

/// The target directory that this test was built in.
pub fn target_directory() -> String {
    // …/<target>/<profile>/deps/<this test>
    let test = std::env::current_exe().expect("the test's own path");
    let target = test.ancestors().nth(3).expect("a target directory");
    target.display().to_string()
}
