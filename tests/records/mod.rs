//! Run records made in virtual time, in a results directory of the test's own, and the command on them.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::num::NonZeroUsize;
use std::path::Path;
use std::process::Command;

use servemark::internals::engine::Preset;
use servemark::internals::results::{RunRecord, write_atomically};
use servemark::internals::simulation::{self, VirtualLoad, VirtualSetup};
use tempfile::TempDir;

/// Returns Criterion's name of the output directory.
pub struct Results(TempDir);

/// One run of one point.
pub struct Run {
    pub seed: u64,
    pub slowdown: &'static str,
    pub concurrency: usize,
    pub windows: usize,
}

impl Run {
    /// Ten windows at concurrency 8.
    pub fn new(seed: u64, slowdown: &'static str) -> Run {
        Run {
            seed,
            slowdown,
            concurrency: 8,
            windows: 10,
        }
    }

    /// The record of it, as of a server of this version.
    pub fn record(&self, version: &str) -> RunRecord {
        self.record_of(4, version)
    }

    /// The same, with so many rounds in each window.
    pub fn record_of(&self, rounds: u64, version: &str) -> RunRecord {
        let setup = VirtualSetup {
            seeds: self.seed.into(),
            noise: "step=0.03".parse().expect("valid"),
            slowdown: self.slowdown.parse().expect("valid"),
            concurrency: NonZeroUsize::new(self.concurrency).expect("some"),
            ..VirtualSetup::new(Preset::named("sim-small").expect("shipped"))
        };
        let mut load = VirtualLoad::start(setup.clone()).expect("sound");
        load.window(2);
        let windows = (0..self.windows).map(|_| load.window(rounds)).collect();
        let mut record = simulation::record(&setup, "chat_throughput", &[windows]);
        for endpoint in &mut record.endpoints {
            endpoint.server = Some(format!("vLLM {version}"));
        }
        record
    }
}

impl Results {
    pub fn new() -> Results {
        Results(tempfile::tempdir().expect("a temporary directory"))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a record under a name, with the files that Criterion would have written.
    pub fn write(&self, name: &str, record: &RunRecord) -> &Results {
        let point = record.point();
        let json = serde_json::to_vec(record).expect("JSON");
        let path = self.path().join(point.record_path(name));
        write_atomically(&path, &json).expect("written");
        for directory in point.criterion_paths(name).take(2) {
            for file in ["benchmark", "estimates", "sample", "tukey"] {
                let path = self.path().join(&directory).join(format!("{file}.json"));
                write_atomically(&path, b"{}").expect("written");
            }
        }
        self
    }

    /// The command, to be run here.
    pub fn command(&self, arguments: &[&str]) -> Command {
        command(self.path(), arguments)
    }

    /// Runs the command here; its exit code and what it printed, errors last.
    pub fn servemark(&self, arguments: &[&str]) -> (Option<i32>, String) {
        servemark(self.path(), arguments)
    }

    /// The same for a command that must succeed.
    pub fn succeed(&self, arguments: &[&str]) -> String {
        let (code, text) = self.servemark(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {text}");
        text
    }

    /// The same for one that must not; what it said.
    pub fn fail(&self, arguments: &[&str]) -> String {
        let (code, text) = self.servemark(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {text}");
        assert!(text.contains("error: "), "{text}");
        text
    }
}

fn command(results: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_servemark"));
    command
        .args(arguments)
        .current_dir(results)
        .env("CRITERION_HOME", results)
        .env_remove("GITHUB_STEP_SUMMARY");
    command
}

/// Runs the command on the results in a directory; its exit code and what it printed, errors last.
pub fn servemark(results: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = command(results, arguments).output();
    let output = output.expect("the command runs");
    let text = [output.stdout, output.stderr].map(|b| String::from_utf8_lossy(&b).into_owned());
    (output.status.code(), text.concat())
}
