//! A run without Criterion: for quick looks, and for programs that measure.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use super::context::RunContext;
use super::criterion::BenchArgs;
use super::drive::direct;
use super::outcome::{Results, written};
use super::point::Point;
use super::progress::Progress;
use super::{preflight, space, start};
use crate::config::{Config, Metric, Settings};
use crate::fixture::Fixture;
use crate::interrupt::Interrupt;
use crate::load::Sampling;
use crate::prompt::{NamedPrompt, Workload};
use crate::ranks::Ranks;
use crate::report;
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
/// use servemark::{Config, Run, Workload};
///
/// # fn main() -> Result<(), servemark::RunError> {
/// let config = Config::new().set("CONCURRENT_LEVELS", [8, 64]);
/// let result = Run::new(Workload::chat()).config(config).measure()?;
/// for record in &result.records {
///     let figures = record.summary.as_ref();
///     println!("{}: {:?} tok/s", record.level, figures.and_then(|f| f.output_tok_s));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Run {
    workload: Workload,
    config: Config,
    sampling: Sampling,
}

/// The result of a [`Run`].
#[derive(Debug)]
#[non_exhaustive]
pub struct RunResult {
    /// The record of each point that has one: a point without a measured window has none.
    pub records: Vec<RunRecord>,
    /// The table and the notes, for a person. Failed points have a row, too.
    pub figures: String,
    /// The same with styles for a terminal.
    #[cfg(feature = "cli")]
    pub(crate) styled_figures: String,
    /// The table as a CSV file; `None` where it could not be written.
    pub csv: Option<PathBuf>,
    /// What could not be written, and why; the figures are whole all the same.
    pub unwritten: Vec<String>,
    /// Whether every point was measured to its end, and all was written.
    pub complete: bool,
    /// Listened to until the results are written and shown.
    interrupt: Interrupt,
}

impl RunResult {
    /// The exit code of a process whose run was ended by a signal (130 for Ctrl-C, 143 for SIGTERM, 129 for
    /// SIGHUP); `None` if none came. A first signal is only noted as long as the result is not dropped.
    pub fn interrupted(&self) -> Option<u8> {
        self.interrupt.exit_code()
    }
}

/// The cause of an error, to show.
type Cause = Box<dyn Error + Send + Sync>;

/// Nothing could be measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The configuration or the workload is invalid, or wants what only a bench does.
    #[error(transparent)]
    Invalid(Cause),
    /// The servers could not be started or are not ready.
    #[error(transparent)]
    NotReady(Cause),
    /// Another process writes its results into the same directory.
    #[error(transparent)]
    Locked(Cause),
    /// A signal came before anything was measured.
    #[error("{why}; nothing was measured")]
    Interrupted {
        /// Names the signal.
        why: String,
        /// What the process should exit with: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP.
        exit_code: u8,
    },
}

impl RunError {
    pub(super) fn invalid(cause: impl Into<Cause>) -> RunError {
        RunError::Invalid(cause.into())
    }
}

impl Run {
    /// A run of `workload` with [`Sampling::DEFAULT`]. [`Workload::chat`] asks the question of 100 tokens
    /// where `PROMPT_KEYS` chooses none, or every question of a file that has no such key.
    pub fn new(workload: Workload) -> Run {
        Run {
            workload,
            config: Config::new(),
            sampling: Sampling::DEFAULT,
        }
    }

    /// Sets keys of the configuration; they override the environment and the file.
    pub fn config(mut self, config: Config) -> Run {
        self.config = config;
        self
    }

    /// Sets the warm-up, the measuring time and the number of windows of each point.
    pub fn sampling(mut self, sampling: Sampling) -> Run {
        self.sampling = sampling;
        self
    }

    /// Measures every prompt at every concurrency; reports its progress on stderr.
    ///
    /// Must not be called from within a runtime. Each run boots servers and an HTTP client of its own, which are
    /// gone at its end.
    ///
    /// # Errors
    /// [`RunError`] if nothing could be measured; a point that failed is part of the [`RunResult`].
    pub fn measure(self) -> Result<RunResult, RunError> {
        let config = Settings::load(&self.config).map_err(RunError::invalid)?;
        refuse_what_a_bench_does(&config)?;
        let mut prompts = self.workload.prompts(&config).map_err(RunError::invalid)?;
        if config.prompt_keys.is_none() {
            only_the_usual(&mut prompts);
        }
        let args = BenchArgs::alone(&self.sampling);
        // One selects the point; the load gives them all.
        let metrics = vec![Metric::OutputTokS];
        let name = NAME.to_owned();
        let lock = lock_run(NAME).map_err(|error| RunError::Locked(error.into()))?;
        let mut context = RunContext::new(name, prompts, config, args, metrics, lock);
        context.interrupt = Interrupt::listen();
        let context = [context];
        preflight::check(&context).map_err(|error| RunError::invalid(error.to_string()))?;
        if let Some(problem) = space::problem(&context) {
            eprintln!("warning: {problem}; the figures are shown all the same");
        }
        let [context] = context;
        start::announce_plan(&context);
        let fixture = context.fixture();
        context.not_interrupted()?;
        let results = run(
            &context,
            fixture.map_err(|error| RunError::NotReady(error))?,
        );
        Ok(conclude(&context, &results))
    }
}

impl RunContext {
    /// # Errors
    /// [`RunError::Interrupted`] after a signal: what failed meanwhile failed because of it.
    pub(super) fn not_interrupted(&self) -> Result<(), RunError> {
        match (self.interrupt.why_partial(), self.interrupt.exit_code()) {
            (Some(why), Some(exit_code)) => Err(RunError::Interrupted { why, exit_code }),
            _ => Ok(()),
        }
    }
}

/// Refuses two sides, and a process that is one of several ranks.
pub(super) fn refuse_what_a_bench_does(config: &Settings) -> Result<(), RunError> {
    const BENCH: &str = "cargo bench --bench chat_throughput";
    if config.ab.is_some() {
        let what = "SERVEMARK_AB measures two deployments in turns, which a bench does";
        return Err(RunError::invalid(format!("{what}: {BENCH}")));
    }
    match Ranks::from_env().map_err(|error| RunError::invalid(error.to_string()))? {
        None => Ok(()),
        Some(_) => {
            let what = "this is one of several ranks, which share the load of a bench";
            Err(RunError::invalid(format!("{what}: {BENCH}")))
        }
    }
}

/// The right to write records; `None` where nothing can be written, which the plan's writing says.
pub(super) fn lock_run(name: &str) -> Result<Option<ResultsLock>, LockError> {
    let baselines = Baselines::beneath(results::criterion_directory());
    match baselines.lock_for_run(&format!("servemark {name}")) {
        Ok(lock) => Ok(Some(lock)),
        Err(BaselineError::Lock(held @ LockError::Held { .. })) => Err(held),
        Err(_) => Ok(None),
    }
}

/// Leaves the usual question, if it is among several.
pub(super) fn only_the_usual(prompts: &mut Vec<NamedPrompt>) {
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
fn conclude(context: &RunContext, results: &Results) -> RunResult {
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
    let styled_figures = results.figures(&rows);
    RunResult {
        records,
        figures: report::plain(&styled_figures),
        #[cfg(feature = "cli")]
        styled_figures,
        interrupt: context.interrupt.clone(),
        complete: !results.failed() && !context.interrupt.came() && unwritten.is_empty(),
        csv: csv_written.is_ok().then_some(csv),
        unwritten,
    }
}
