//! A throughput benchmark as a `cargo bench` target: a workload, handed to Criterion.
//!
//! ```no_run
//! // benches/mine.rs, with `harness = false` in Cargo.toml
//! use servemark::{Bench, Workload};
//!
//! fn main() -> std::process::ExitCode {
//!     Bench::new("mine", Workload::questions([("hello", "What is a good name for a grey cat?")])).run()
//! }
//! ```

mod args;
mod deployments;
mod driven;
mod feed;
mod interrupt;
mod meter;
mod notes;
mod part;
mod point;
mod preflight;
mod progress;
mod ranked;
mod record;
mod results;
mod run;
mod session;
mod start;
mod supply;
mod target;
mod windows;
mod workload;

use std::process::ExitCode;

use crate::config::Config;
use crate::ranks::Ranks;
use crate::results::{check_writable_directory, directory, file_name};

pub use run::{Ran, Run, RunError};
pub use workload::{Workload, WorkloadError};

use args::{BenchArgs, Mode};
use session::Session;

/// A benchmark target: a name, a workload, and what the process exits with.
pub struct Bench {
    name: String,
    workload: Workload,
    configure: Box<dyn FnOnce(&mut Config)>,
    /// Whether it measures `DEPLOYMENTS`, and not the endpoints.
    of_deployments: bool,
}

/// Exit code for a run that could not begin: configuration, endpoints, tokenizer.
const CANNOT_RUN: u8 = 2;

impl Bench {
    /// A benchmark called `name`, the first part of every benchmark id.
    pub fn new(name: impl Into<String>, workload: Workload) -> Bench {
        Bench {
            name: name.into(),
            workload,
            configure: Box::new(|_| {}),
            of_deployments: false,
        }
    }

    /// A benchmark called `name` of every deployment in `DEPLOYMENTS`, one after another: each is booted,
    /// measured and stopped. At the end stands which of them is best. Without `DEPLOYMENTS` it measures
    /// the embedded engines of [`LAYOUTS`](crate::deployment::layouts::LAYOUTS).
    pub fn deployments(name: impl Into<String>, workload: Workload) -> Bench {
        Bench {
            of_deployments: true,
            ..Bench::new(name, workload)
        }
    }

    /// Changes the configuration after it was read; what is set here wins over files and environment.
    pub fn configure(mut self, change: impl FnOnce(&mut Config) + 'static) -> Bench {
        self.configure = Box::new(change);
        self
    }

    /// Runs the benchmark as Criterion's command line says, and prints and writes its results.
    ///
    /// Exits with 0 when every point was measured, 1 when a point failed, 2 when nothing could run.
    pub fn run(self) -> ExitCode {
        crate::stdio::relay();
        if self.of_deployments {
            return deployments::run(self).unwrap_or_else(|error| cannot_run(&*error));
        }
        match self.session() {
            Ok(Some(session)) => session.run(),
            Ok(None) => ExitCode::SUCCESS,
            Err(error) => cannot_run(&error),
        }
    }

    /// `None` where the load is driven by nobody and rank 0 alone has something to do.
    fn session(self) -> Result<Option<Session>, Box<dyn std::error::Error>> {
        // Criterion answers --help and --version, and ends the process.
        let args = BenchArgs::from_env();
        args.color().write_global();
        args.check_filter()?;
        let _ = criterion::Criterion::default().configure_from_args();
        let ranks = Ranks::from_env()?;
        let mut config = Config::load()?;
        (self.configure)(&mut config);
        let prompts = self.workload.prompts(&config)?;
        check_results(&args, &self.name)?;
        let meeting = match ranks {
            Some(ranks) if args.drives_load() => {
                Some(ranked::meet(ranks, &self.name, &prompts, &mut config)?)
            }
            Some(ranks) if !ranks.leads() => return Ok(None),
            _ => None,
        };
        let session = Session::new(self.name, prompts, config, args, meeting);
        let sessions = [session];
        // The results lie with rank 0.
        let checked = match sessions[0].leads() {
            true => preflight::check(&sessions),
            false => Ok(()),
        };
        if let Err(error) = checked {
            let [session] = sessions;
            if let Some(meeting) = session.meeting {
                meeting.give_up(&error.to_string());
            }
            return Err(error.into());
        }
        let [session] = sessions;
        Ok(Some(session))
    }
}

/// Finds out before the load whether what a bench measures could be written.
fn check_results(args: &BenchArgs, bench: &str) -> Result<(), String> {
    if args.mode() != Mode::Bench || !args.drives_load() {
        return Ok(());
    }
    check_writable_directory(&directory().join(file_name(bench))).map_err(|error| {
        format!("the results cannot be written, and nothing was measured: {error}")
    })
}

fn cannot_run(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::from(CANNOT_RUN)
}
