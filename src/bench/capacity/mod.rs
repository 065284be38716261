//! The search for a deployment's capacity: one load after another, each at the level where the answer is least known.

mod result;
mod trials;

use std::time::Duration;

use super::context::RunContext;
use super::criterion::BenchArgs;
use super::deployed::Deployed;
use super::deployments::{self, LAYOUT_SLO};
use super::outcome::Results;
use super::run::{RunError, lock_run, only_the_usual, refuse_what_a_bench_does};
use super::{preflight, save, start};
use crate::capacity::{Scale, Search, objectives};
use crate::config::{Config, Metric, Settings};
use crate::interrupt::Interrupt;
use crate::level::Level;
use crate::load::{LoadShape, Sampling};
use crate::prompt::{NamedPrompt, Workload};
use crate::report;

pub(crate) use result::CapacityResult;
use trials::Trials;

/// A search for the capacity of the configured servers.
#[derive(Debug)]
pub struct CapacitySearch {
    name: String,
    workload: Workload,
    config: Config,
    times: TrialTimes,
    /// The first level, and the greatest (requests in flight, or req/s).
    first: Option<f64>,
    greatest: Option<f64>,
    /// Whether it searches each of `DEPLOYMENTS`, if there are any.
    on_deployments: bool,
    /// Criterion's arguments, where it is a bench.
    args: Option<BenchArgs>,
}

/// How long each trial of a search takes.
#[derive(Clone, Copy, Debug)]
pub struct TrialTimes {
    /// How long the load runs before the windows; 2 s without it, and 10 s in an open loop.
    pub warm_up: Option<Duration>,
    /// Least time of all windows together; 10 s without it, and 30 s in an open loop, whose queues fill slowly.
    pub least: Option<Duration>,
    /// The longest time, up to which a trial waits for enough requests to judge a percentile.
    pub longest: Duration,
    /// The windows, which show how much the requests depend on each other.
    pub windows: usize,
}

impl TrialTimes {
    /// The usual ones.
    pub const DEFAULT: TrialTimes = TrialTimes {
        warm_up: None,
        least: None,
        longest: Duration::from_secs(60),
        windows: 10,
    };

    fn sampling(&self, shape: &LoadShape) -> Sampling {
        let (warm_up, least) = match shape.is_open() {
            true => (10, 30),
            false => (2, 10),
        };
        Sampling {
            warm_up: self.warm_up.unwrap_or(Duration::from_secs(warm_up)),
            measurement: self.least.unwrap_or(Duration::from_secs(least)),
            windows: self.windows,
        }
    }

    /// As long as the requests take that a percentile needs, as far as the last trial tells.
    fn of_trial(&self, level: Level, search: &Search, least: Duration) -> Duration {
        let needed_s = search.trials().last().map_or(0.0, |last| {
            let less = (level.value() / last.level.value()).min(1.0);
            search.requests_wanted() / (last.rps * less).max(1e-3)
        });
        let most = self.longest.max(least);
        Duration::from_secs_f64(needed_s.clamp(least.as_secs_f64(), most.as_secs_f64()))
    }
}

/// The usual first levels.
const FIRST_CONCURRENCY: f64 = 4.0;
const FIRST_RATE: f64 = 1.0;

/// The usual greatest concurrency: beyond it the client is what is measured.
const GREATEST: f64 = 4_096.0;

impl CapacitySearch {
    /// A search with the usual times.
    pub fn new(name: impl Into<String>, workload: Workload) -> CapacitySearch {
        CapacitySearch {
            name: name.into(),
            workload,
            config: Config::new(),
            times: TrialTimes::DEFAULT,
            first: None,
            greatest: None,
            on_deployments: true,
            args: None,
        }
    }

    /// A search as a bench, with times that its arguments may set.
    pub(super) fn of_bench(name: String, workload: Workload, args: BenchArgs) -> CapacitySearch {
        CapacitySearch {
            args: Some(args),
            ..CapacitySearch::new(name, workload)
        }
    }

    /// Sets keys of the configuration; they override the environment and the file.
    pub fn config(mut self, config: Config) -> CapacitySearch {
        self.config = config;
        self
    }

    /// Sets how long each trial takes.
    #[cfg(feature = "cli")]
    pub fn times(mut self, times: TrialTimes) -> CapacitySearch {
        self.times = times;
        self
    }

    /// Sets the first level that is tried, and the greatest (requests in flight; req/s in an open loop).
    #[cfg(feature = "cli")]
    pub fn levels(mut self, first: Option<f64>, greatest: Option<f64>) -> CapacitySearch {
        self.first = first;
        self.greatest = greatest;
        self
    }

    /// Searches the endpoints alone, even if there are `DEPLOYMENTS`.
    #[cfg(feature = "cli")]
    pub fn on_endpoints(mut self) -> CapacitySearch {
        self.on_deployments = false;
        self
    }

    /// Searches for the capacity of each prompt on each deployment, one after another; reports its progress on stderr.
    ///
    /// # Errors
    /// [`RunError`] if nothing could be measured.
    pub fn run(self) -> Result<CapacityResult, RunError> {
        let mut config = Settings::load(&self.config).map_err(RunError::invalid)?;
        refuse_what_a_bench_does(&config)?;
        if !self.on_deployments {
            config.deployments.clear();
        }
        let mut prompts = self.workload.prompts(&config).map_err(RunError::invalid)?;
        let has_none = |prompt: &NamedPrompt| prompt.slo.is_none_or(|slo| slo.is_empty());
        if prompts.iter().any(has_none) {
            set_objectives(&mut config)?;
        }
        if config.prompt_keys.is_none() {
            only_the_usual(&mut prompts);
        }
        let lock = lock_run(&self.name).map_err(|error| RunError::Locked(error.into()))?;
        let sampling = self.times.sampling(config.load_shape);
        let args = match &self.args {
            None => BenchArgs::alone(&sampling),
            Some(args) => args.with(&sampling),
        };
        if !config.deployments.is_empty() {
            // Equal prompts for each.
            config.seed.get_or_insert_with(rand::random);
        }
        let metrics = vec![Metric::OutputTokS];
        let mut whole = RunContext::new(self.name.clone(), prompts, config, args, metrics, lock);
        whole.interrupt = Interrupt::listen();
        let mut result = CapacityResult::new(whole.interrupt.clone());
        let mut runs = match whole.config.deployments.is_empty() {
            true => vec![whole],
            false => deployments::of_each(&whole),
        };
        preflight::check(&runs).map_err(|error| RunError::invalid(error.to_string()))?;
        let complete = self.search_each(&mut runs, &mut result)?;
        if runs.len() > 1 && !result.records.is_empty() {
            let verdict = report::capacities(&self.name, &result.records);
            result.say(&verdict);
        }
        let runs = Vec::from_iter(runs.iter().zip(complete));
        let mut saved = Results::default();
        save::save_as_baselines(&runs, &mut saved);
        if saved.failed() {
            let problem = "the search could not be saved as a baseline; the warning above says why";
            result.problems.push(problem.to_owned());
        }
        Ok(result)
    }

    /// Searches on one deployment after another; returns which came to their ends.
    fn search_each(
        &self,
        runs: &mut [RunContext],
        result: &mut CapacityResult,
    ) -> Result<Vec<bool>, RunError> {
        let (mut complete, are_several) = (vec![false; runs.len()], runs.len() > 1);
        runs.iter().for_each(start::announce_plan);
        for (run, is_complete) in runs.iter_mut().zip(&mut complete) {
            let problems = result.problems.len();
            let searched = self.search_all(run, result);
            run.deployed.iter_mut().for_each(Deployed::stop);
            match searched {
                Ok(()) => *is_complete = result.problems.len() == problems,
                Err(error @ RunError::Interrupted { .. }) if result.records.is_empty() => {
                    return Err(error);
                }
                // What was found on the others stays.
                Err(error) if are_several => {
                    let problem = format!("{}: {error}", run.title());
                    eprintln!("error: {problem}");
                    result.problems.push(problem);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(complete)
    }

    /// Boots a deployment, and searches with each prompt.
    fn search_all(
        &self,
        context: &mut RunContext,
        result: &mut CapacityResult,
    ) -> Result<(), RunError> {
        context.not_interrupted()?;
        let booted = context.boot();
        context.not_interrupted()?;
        booted.map_err(|error| RunError::NotReady(error))?;
        let mut tried = Vec::new();
        for prompt in 0..context.prompts.len() {
            let search = self.start(context, prompt);
            let found = Trials::new(context, prompt, search).run(&self.times, &mut tried)?;
            let is_first = result.records.is_empty();
            match found {
                Some(record) => result.add(context, record),
                None if is_first => context.not_interrupted()?,
                None => {}
            }
            if context.interrupt.came() {
                break;
            }
        }
        // The records of the levels belong to this run.
        tried.sort();
        tried.dedup();
        context.set_levels(&tried);
        start::announce_plan(context);
        Ok(())
    }

    fn start(&self, context: &RunContext, prompt: usize) -> Search {
        let (scale, first) = match context.config.load_shape.is_open() {
            true => (Scale::Rate, FIRST_RATE),
            false => (Scale::Concurrency, FIRST_CONCURRENCY),
        };
        let objectives = objectives(&context.slo_of(prompt));
        let first = self.first.unwrap_or(first);
        Search::new(scale, objectives, first, self.greatest.unwrap_or(GREATEST))
    }
}

/// Without an objective every load is within them. The embedded engine has those of its layouts.
fn set_objectives(config: &mut Settings) -> Result<(), RunError> {
    if !config.slo.is_empty() {
        return Ok(());
    }
    if !config.endpoints().is_empty() || !config.deployments.is_empty() {
        return Err(RunError::invalid(
            "SLO limits no latency, so every load is within it. Set it, such as SERVEMARK_SLO='{\"ttft\": {\"p95\": 500}, \"tpot\": 50}', or --slo ttft.p95=500,tpot=50",
        ));
    }
    config.slo = LAYOUT_SLO;
    let limits = objectives(&config.slo).into_iter();
    let limits = Vec::from_iter(limits.map(|objective| objective.name)).join(", ");
    eprintln!("SLO is not set: {limits}");
    Ok(())
}
