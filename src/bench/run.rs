//! A run without Criterion: for quick looks, and for programs that measure.

use std::path::PathBuf;
use std::time::Duration;

use super::context::RunContext;
use super::criterion::BenchArgs;
use super::drive::direct;
use super::outcome::{Results, written};
use super::point::Point;
use super::progress::Progress;
use super::{preflight, space, start};
use crate::config::{Metric, Settings};
use crate::fixture::{Fixture, FixtureError};
use crate::interrupt::Interrupt;
use crate::load::Sampling;
use crate::prompt::{NamedPrompt, Workload, WorkloadError};
use crate::ranks::Ranks;
use crate::report::{self, Row};
use crate::results::baseline::BaselineError;
use crate::results::{self, Baselines, LockError, ResultsLock, RunRecord};

/// Name of the benchmark under which a [`Run`] keeps its records.
const NAME: &str = "run";

/// The question that a run asks where none is chosen.
const USUAL_PROMPT: &str = "100";

/// Measures a workload as a [`Bench`](crate::Bench) does, but without Criterion: no analysis, no plots, no
/// command line.
///
/// The load, the windows, the figures and the records are the bench's; the records are those of a benchmark
/// called `run`. The first Ctrl-C, SIGTERM or SIGHUP ends the point under way and the run, and
/// what was measured stays.
///
/// ```no_run
/// use servemark::internals::config::Settings;
/// use servemark::{Run, Workload};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let ran = Run::new(Workload::chat(), Settings::load()?).measure()?;
/// print!("{}", ran.figures);
/// # Ok(())
/// # }
/// ```
pub struct Run {
    workload: Workload,
    config: Settings,
    sampling: Sampling,
}

/// What a [`Run`] has measured.
#[derive(Debug)]
pub struct Ran {
    /// A row for each point that was begun, failed ones included.
    pub rows: Vec<Row>,
    /// The record of each point that has one.
    pub records: Vec<RunRecord>,
    /// The table and the notes, for a person.
    pub figures: String,
    /// The rows as a CSV file; `None` where it could not be written.
    pub csv: Option<PathBuf>,
    /// What could not be written, and why; the figures are whole all the same.
    pub unwritten: Vec<String>,
    /// Whether every point was measured to its end, and all was written.
    pub complete: bool,
    /// Listened to until what was measured is written and shown.
    interrupt: Interrupt,
}

impl Ran {
    /// What the process should exit with where a signal ended the run (130 of Ctrl-C, 143 of SIGTERM, 129 of
    /// SIGHUP); `None` where none did. As long as it is not dropped, a first signal ends nothing by itself.
    pub fn interrupted(&self) -> Option<u8> {
        self.interrupt.exit_code()
    }
}

/// Nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is nothing to ask.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// Points that would share files.
    #[error("{0}")]
    CannotBegin(String),
    /// Nothing could be booted.
    #[error(transparent)]
    Fixture(#[from] Box<FixtureError>),
    /// The configuration wants what only a bench does.
    #[error(
        "SERVEMARK_AB measures two deployments in turns, which a bench does: cargo bench --bench chat_throughput"
    )]
    Ab,
    /// Several processes were started to share a load.
    #[error(
        "this is one of several ranks, which share the load of a bench: cargo bench --bench chat_throughput"
    )]
    Ranks,
    /// A signal came before.
    #[error("{why}; nothing was measured")]
    Interrupted {
        /// Which.
        why: String,
        /// What the process should exit with: 130 of Ctrl-C, 143 of SIGTERM, 129 of SIGHUP.
        exit_code: u8,
    },
    /// It is not clear whether there are ranks.
    #[error("{0}")]
    UnclearRanks(String),
    /// Another process writes its results where this one would.
    #[error(transparent)]
    Lock(#[from] LockError),
}

impl Run {
    /// A run of `workload` with [`Sampling::DEFAULT`]. [`Workload::chat`] asks the question of 100 tokens
    /// where `PROMPT_KEYS` chooses none, or every question of a file that has no such key.
    pub fn new(workload: Workload, config: Settings) -> Run {
        Run {
            workload,
            config,
            sampling: Sampling::DEFAULT,
        }
    }

    /// Measures each point so long.
    pub fn sampling(mut self, sampling: Sampling) -> Run {
        self.sampling = sampling;
        self
    }

    /// Measures every prompt at every concurrency; says on stderr what runs.
    ///
    /// Must not be called from within a runtime. Each run boots a [`Fixture`] of its own, which is gone at
    /// its end.
    ///
    /// # Errors
    /// [`RunError`]; points that fail are no error but stand in [`Ran`].
    pub fn measure(self) -> Result<Ran, RunError> {
        if self.config.ab.is_some() {
            return Err(RunError::Ab);
        }
        match Ranks::from_env() {
            Ok(None) => {}
            Ok(Some(_)) => return Err(RunError::Ranks),
            Err(error) => return Err(RunError::UnclearRanks(error.to_string())),
        }
        let mut prompts = self.workload.prompts(&self.config)?;
        if self.config.prompt_keys.is_none() {
            only_the_usual(&mut prompts);
        }
        let args = BenchArgs::alone(&self.sampling);
        // One selects the point; the load gives them all.
        let metrics = vec![Metric::OutputTokS];
        let name = NAME.to_owned();
        let mut context = RunContext::new(name, prompts, self.config, args, metrics, lock_run()?);
        context.interrupt = Interrupt::listen();
        let context = [context];
        preflight::check(&context).map_err(|error| RunError::CannotBegin(error.to_string()))?;
        if let Some(problem) = space::problem(&context) {
            eprintln!("warning: {problem}; the figures are shown all the same");
        }
        let [context] = context;
        start::announce_plan(&context);
        let fixture = context.fixture();
        // What failed meanwhile failed because of the signal.
        let interrupt = &context.interrupt;
        if let (Some(why), Some(exit_code)) = (interrupt.why_partial(), interrupt.exit_code()) {
            return Err(RunError::Interrupted { why, exit_code });
        }
        let results = run(&context, fixture?);
        Ok(conclude(&context, &results))
    }
}

/// The right to write records; `None` where nothing can be written, which the plan's writing says.
fn lock_run() -> Result<Option<ResultsLock>, LockError> {
    let baselines = Baselines::beneath(results::criterion_directory());
    match baselines.lock_for_run("servemark run") {
        Ok(lock) => Ok(Some(lock)),
        Err(BaselineError::Lock(held @ LockError::Held { .. })) => Err(held),
        Err(_) => Ok(None),
    }
}

/// Leaves the usual question, if it is among several.
fn only_the_usual(prompts: &mut Vec<NamedPrompt>) {
    if prompts.iter().any(|prompt| prompt.key == USUAL_PROMPT) {
        prompts.retain(|prompt| prompt.key == USUAL_PROMPT);
    }
}

fn run(context: &RunContext, fixture: &Fixture) -> Results {
    let runs = context.config.runs.get();
    let mut results = Results::default();
    let points = context.count_points() * runs;
    let mut progress = Progress::new(points, context.args.point_time(), Duration::ZERO);
    for run in 0..runs {
        for info in context.selected() {
            if context.interrupt.came() {
                return results;
            }
            direct::run(
                &Point::new(context, info),
                fixture,
                run,
                &mut progress,
                &mut results,
            );
        }
    }
    results
}

/// Writes the CSV file and gathers what was measured. Nothing that cannot be written takes the figures away.
fn conclude(context: &RunContext, results: &Results) -> Ran {
    let rows = results.rows();
    let mut unwritten = Vec::new();
    let csv = results::directory()
        .join(NAME)
        .join("performance_metrics.csv");
    let csv_written = report::write_csv(&csv, &rows);
    if let Err(error) = &csv_written {
        unwritten.push(format!("the CSV file cannot be written: {error}"));
    }
    let records = written(context.selected(), context.record_name());
    let records = records.unwrap_or_else(|error| {
        unwritten.push(error.to_string());
        Vec::new()
    });
    Ran {
        records,
        figures: results.figures(&rows),
        interrupt: context.interrupt.clone(),
        complete: !results.failed() && !context.interrupt.came() && unwritten.is_empty(),
        rows,
        csv: csv_written.is_ok().then_some(csv),
        unwritten,
    }
}
