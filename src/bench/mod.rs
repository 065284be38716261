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

mod capacity;
mod context;
mod criterion;
mod deployed;
mod deployments;
mod drive;
mod exit_code;
mod outcome;
mod point;
mod point_info;
mod preflight;
mod progress;
mod run;
mod save;
mod session;
mod space;
mod start;

use std::error::Error;
use std::process::ExitCode;

use crate::config::{Config, Settings};
use crate::interrupt::Interrupt;
use crate::prompt::Workload;
use crate::ranks::Ranks;

pub(crate) use capacity::CapacitySearch;
#[cfg(feature = "cli")]
pub(crate) use capacity::TrialTimes;
pub use run::{Run, RunError, RunResult};

use context::{RunContext, defined_metrics};
use criterion::BenchArgs;
use drive::distributed;
use exit_code::CANNOT_RUN;

/// What a benchmark finds out.
#[derive(Clone, Copy)]
enum BenchKind {
    /// The figures of the endpoints.
    Endpoints,
    /// The figures of `DEPLOYMENTS`, and which of them is best.
    Deployments,
    /// How much the endpoints hold within `SLO`.
    Capacity,
}

/// A benchmark target: a name, a workload, and what the process exits with.
pub struct Bench {
    name: String,
    workload: Workload,
    config: Config,
    kind: BenchKind,
}

impl Bench {
    /// A benchmark called `name`, the first part of every benchmark id.
    pub fn new(name: impl Into<String>, workload: Workload) -> Bench {
        Bench {
            name: name.into(),
            workload,
            config: Config::new(),
            kind: BenchKind::Endpoints,
        }
    }

    /// A benchmark called `name` of every deployment in `DEPLOYMENTS`, one after another: each is booted,
    /// measured and stopped. At the end stands which of them is best. Without `DEPLOYMENTS` it measures
    /// the embedded engines of [`LAYOUTS`](crate::embedded::LAYOUTS).
    pub fn deployments(name: impl Into<String>, workload: Workload) -> Bench {
        Bench {
            kind: BenchKind::Deployments,
            ..Bench::new(name, workload)
        }
    }

    /// A benchmark called `name` that finds the largest concurrency within `SLO`, or in an open loop the largest rate.
    /// With `DEPLOYMENTS` it searches each, one after another, and names the one that holds the most. Without `SLO` and
    /// servers it is that of the embedded layouts. With `--test` it only says whether it could run.
    pub fn capacity(name: impl Into<String>, workload: Workload) -> Bench {
        Bench {
            kind: BenchKind::Capacity,
            ..Bench::new(name, workload)
        }
    }

    /// Sets keys of the configuration; they override the environment and the file.
    pub fn config(mut self, config: Config) -> Bench {
        self.config = config;
        self
    }

    /// Runs the benchmark as Criterion's command line says, and prints and writes its results.
    ///
    /// Exits with 0 when every point was measured, 1 when a point failed, 2 when nothing could run.
    pub fn run(self) -> ExitCode {
        crate::stdio::relay();
        crate::panics::hide_secrets();
        self.start().unwrap_or_else(|error| {
            eprintln!("error: {error}");
            ExitCode::from(CANNOT_RUN)
        })
    }

    fn start(self) -> Result<ExitCode, Box<dyn Error>> {
        // Criterion answers --help and --version, and ends the process.
        let args = BenchArgs::from_env();
        args.color().write_global();
        args.check_filter()?;
        let _ = ::criterion::Criterion::default().configure_from_args();
        if let BenchKind::Capacity = self.kind {
            return find_capacity(self.name, self.workload, self.config, args);
        }
        let ranks = Ranks::from_env()?;
        let config = Settings::load(&self.config)?;
        let of_deployments = matches!(self.kind, BenchKind::Deployments);
        match (of_deployments, ranks) {
            (true, None) => deployments::run(self.name, &self.workload, config, args),
            (true, Some(ranks)) => {
                let size = ranks.size();
                Err(format!("this is one of {size} ranks, but a bench of deployments boots its servers itself: run one process").into())
            }
            (false, ranks) => {
                let interrupt = match args.drives_load() {
                    true => Interrupt::listen(),
                    false => Interrupt::default(),
                };
                let listens = interrupt.clone();
                match context(self.name, &self.workload, config, args, ranks, interrupt) {
                    Ok(context) => Ok(context.map_or(ExitCode::SUCCESS, session::run)),
                    Err(error) => match listens.exit_code() {
                        Some(code) => {
                            eprintln!("{error}; nothing was measured");
                            Ok(ExitCode::from(code))
                        }
                        None => Err(error),
                    },
                }
            }
        }
    }
}

fn find_capacity(
    name: String,
    workload: Workload,
    config: Config,
    args: BenchArgs,
) -> Result<ExitCode, Box<dyn Error>> {
    if !args.drives_load() {
        return Ok(ExitCode::SUCCESS);
    }
    let search = CapacitySearch::of_bench(name, workload, args).config(config);
    match search.run() {
        Err(RunError::Interrupted { why, exit_code }) => {
            eprintln!("{why}; nothing was measured");
            Ok(ExitCode::from(exit_code))
        }
        Err(error) => Err(error.into()),
        Ok(found) => Ok(ExitCode::from(found.show())),
    }
}

/// The context of a bench of one deployment; `None` where no load runs, and rank 0 alone has something to do.
fn context(
    name: String,
    workload: &Workload,
    mut config: Settings,
    args: BenchArgs,
    ranks: Option<Ranks>,
    interrupt: Interrupt,
) -> Result<Option<RunContext>, Box<dyn Error>> {
    let prompts = workload.prompts(&config)?;
    // The results lie with rank 0.
    let leads = ranks.as_ref().is_none_or(|ranks| ranks.leads());
    let lock = start::lock_results(&args, &name, leads)?;
    let meeting = match ranks {
        Some(ranks) if args.drives_load() => {
            let meeting = distributed::meet(ranks, &name, &prompts, &mut config, &interrupt)?;
            Some(meeting)
        }
        Some(ranks) if !ranks.leads() => return Ok(None),
        _ => None,
    };
    let metrics = defined_metrics(&config, &prompts);
    let mut context = RunContext::new(name, prompts, config, args, metrics, lock);
    if let Some(meeting) = &meeting {
        context.run_id = meeting.decided().run_id.clone();
    }
    context.meeting = meeting;
    context.interrupt = interrupt;
    if let Err(error) = check(&context) {
        if let Some(meeting) = context.meeting {
            meeting.give_up(&error.to_string());
        }
        return Err(error);
    }
    Ok(Some(context))
}

/// Refuses what cannot be measured, or not be kept.
fn check(context: &RunContext) -> Result<(), Box<dyn Error>> {
    let runs = std::slice::from_ref(context);
    if context.leads() {
        preflight::check(runs)?;
    }
    space::problem(runs).map_or(Ok(()), |problem| Err(problem.into()))
}
