//! The search for a deployment's capacity: one load after another, each at the level where the answer is least known.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::context::RunContext;
use super::criterion::{BenchArgs, Mode};
use super::deployments::LAYOUT_SLO;
use super::drive::direct;
use super::exit_code::{POINT_FAILED, after_printing};
use super::outcome::Results;
use super::point::Point;
use super::progress::Progress;
use super::run::{RunError, lock_run, only_the_usual, refuse_what_a_bench_does};
use super::{preflight, start};
use crate::capacity::{CapacityRecord, Next, Scale, Search, Trial, TrialRecord, objectives};
use crate::config::{Config, Metric, Settings};
use crate::fixture::Fixture;
use crate::interrupt::Interrupt;
use crate::level::Level;
use crate::load::{LoadShape, Sampling};
use crate::prompt::Workload;
use crate::results::{directory, file_name, write_atomically};
use crate::{capacity, report};

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
}

/// The result of a [`CapacitySearch`].
#[derive(Debug)]
#[non_exhaustive]
pub struct CapacityResult {
    /// One for each prompt.
    pub records: Vec<CapacityRecord>,
    /// Tables and answers, for a person.
    pub figures: String,
    styled_figures: String,
    /// The pages that show them.
    pub pages: Vec<PathBuf>,
    /// What could not be written, and why.
    pub unwritten: Vec<String>,
    /// Listened to until the results are shown.
    interrupt: Interrupt,
}

/// The usual first levels.
const FIRST_CONCURRENCY: f64 = 4.0;
const FIRST_RATE: f64 = 1.0;

/// The usual greatest concurrency: beyond it the client is what is measured.
const GREATEST: f64 = 4_096.0;

impl CapacityResult {
    /// Whether every search came to its end, with an answer that fresh requests did not contradict.
    pub fn is_complete(&self) -> bool {
        let is_sound = |record: &CapacityRecord| {
            record.partial.is_none()
                && record.capacity.confirmed != Some(capacity::Judgement::Fails)
        };
        self.unwritten.is_empty() && self.records.iter().all(is_sound)
    }

    /// Prints the figures and where they are kept; returns the exit code.
    pub(crate) fn show(&self) -> u8 {
        eprintln!();
        anstream::print!("{}", self.styled_figures);
        for problem in &self.unwritten {
            eprintln!("error: {problem}");
        }
        for page in &self.pages {
            eprintln!("Picture: {}", page.display());
        }
        // Listened to until all is printed: a signal that comes before is still this search's.
        let code = if self.is_complete() { 0 } else { POINT_FAILED };
        after_printing(&self.interrupt, code)
    }
}

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

    /// Searches for the capacity of each prompt; reports its progress on stderr.
    ///
    /// # Errors
    /// [`RunError`] if nothing could be measured.
    pub fn run(self) -> Result<CapacityResult, RunError> {
        let mut config = Settings::load(&self.config).map_err(RunError::invalid)?;
        refuse_what_a_bench_does(&config)?;
        let mut prompts = self.workload.prompts(&config).map_err(RunError::invalid)?;
        if prompts
            .iter()
            .any(|prompt| prompt.slo.is_none_or(|slo| slo.is_empty()))
        {
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
        let metrics = vec![Metric::OutputTokS];
        let mut context = RunContext::new(self.name.clone(), prompts, config, args, metrics, lock);
        context.interrupt = Interrupt::listen();
        let context = [context];
        preflight::check(&context).map_err(|error| RunError::invalid(error.to_string()))?;
        let [mut context] = context;
        start::announce_plan(&context);
        let booted = context.fixture().map(drop);
        context.not_interrupted()?;
        booted.map_err(|error| RunError::NotReady(error))?;
        self.search_all(&mut context)
    }

    fn search_all(&self, context: &mut RunContext) -> Result<CapacityResult, RunError> {
        let mut result = CapacityResult {
            records: Vec::new(),
            figures: String::new(),
            styled_figures: String::new(),
            pages: Vec::new(),
            unwritten: Vec::new(),
            interrupt: context.interrupt.clone(),
        };
        let mut tried = Vec::new();
        for prompt in 0..context.prompts.len() {
            let record = self.search(context, prompt, &mut tried)?;
            let figures = report::capacity(&record) + "\n";
            result.figures.push_str(&report::plain(&figures));
            result.styled_figures.push_str(&figures);
            match context.writes_records().then(|| keep(&record)) {
                None => {}
                Some(Ok(page)) => result.pages.push(page),
                Some(Err(error)) => result.unwritten.push(error.to_string()),
            }
            result.records.push(record);
            if context.interrupt.came() {
                break;
            }
        }
        // The records of the levels belong to this run.
        tried.sort();
        tried.dedup();
        context.set_levels(&tried);
        start::announce_plan(context);
        Ok(result)
    }

    fn search(
        &self,
        context: &mut RunContext,
        prompt: usize,
        tried: &mut Vec<Level>,
    ) -> Result<CapacityRecord, RunError> {
        let mut search = self.start(context, prompt);
        let args = context.args.clone();
        let most = Search::MOST_TRIALS as u32 + 2;
        let mut progress = Progress::new(most, args.point_time(), Duration::ZERO);
        let mut client_bound = Vec::new();
        while let Next::Measure(level) = search.next_level() {
            context.set_levels(&[level]);
            context.args = args.measuring(self.time_at(level, &search, args.measurement()));
            tried.push(level);
            let nth = (prompt * 1_000 + search.trials().len()) as u32;
            let trial = try_level(
                context,
                (prompt, nth),
                &search,
                &mut progress,
                &mut client_bound,
            )?;
            if context.interrupt.came() {
                break;
            }
            search.add(trial);
            if args.mode() != Mode::Bench {
                break;
            }
        }
        let fixture = context
            .fixture()
            .map_err(|error| RunError::NotReady(error))?;
        let notes = Vec::from_iter(client_note(&client_bound));
        Ok(record(context, fixture, prompt, search, notes))
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

    /// As long as the requests take that a percentile needs, as far as the last trial tells.
    fn time_at(&self, level: Level, search: &Search, least: Duration) -> Duration {
        let needed_s = search.trials().last().map_or(0.0, |last| {
            let less = (level.value() / last.level.value()).min(1.0);
            search.requests_wanted() / (last.rps * less).max(1e-3)
        });
        let most = self.times.longest.max(least);
        Duration::from_secs_f64(needed_s.clamp(least.as_secs_f64(), most.as_secs_f64()))
    }
}

/// Without an objective every load is within them. The embedded engine has those of its layouts.
fn set_objectives(config: &mut Settings) -> Result<(), RunError> {
    if !config.slo.is_empty() {
        return Ok(());
    }
    if !config.endpoints().is_empty() {
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

/// Loads the servers at the only level of `context`, with requests that no trial before has sent.
fn try_level(
    context: &RunContext,
    (prompt, nth): (usize, u32),
    search: &Search,
    progress: &mut Progress,
    client_bound: &mut Vec<(Level, String)>,
) -> Result<Trial, RunError> {
    let fixture = context
        .fixture()
        .map_err(|error| RunError::NotReady(error))?;
    let Some(mut info) = context.points_of(prompt).next() else {
        return Err(RunError::invalid("no level"));
    };
    info.ordinal = nth;
    let level = info.level;
    let point = Point::of_prompt(context, info, prompt);
    let mut results = Results::default();
    let windows = direct::run(&point, fixture, 0, progress, &mut results);
    if windows.is_empty() && !context.interrupt.came() {
        let why = format!("the load at {level} could not be started");
        return Err(RunError::invalid(why));
    }
    let trial = Trial::of(level, &windows, search.objectives());
    eprintln!("{level}: {}", trial.judge(search.objectives()));
    client_bound.extend(results.client_bound().map(|why| (level, why)));
    Ok(trial)
}

/// Says at which levels the client, not the servers, limited the load, if it did at any.
fn client_note(client_bound: &[(Level, String)]) -> Option<String> {
    let (_, last) = client_bound.last()?;
    let mut levels = Vec::from_iter(client_bound.iter().map(|(level, _)| *level));
    levels.sort();
    levels.dedup();
    let levels = Vec::from_iter(levels.iter().map(Level::to_string)).join(", ");
    Some(format!(
        "the client did not keep up at {levels}; the last of them: {last}"
    ))
}

fn record(
    context: &RunContext,
    fixture: &Fixture,
    prompt: usize,
    mut search: Search,
    notes: Vec<String>,
) -> CapacityRecord {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let endpoints = fixture.endpoints.iter().map(|endpoint| {
        let identity = &endpoint.identity;
        match &identity.server {
            Some(server) => format!("{} {server}", identity.url),
            None => identity.url.to_string(),
        }
    });
    CapacityRecord {
        schema_version: CapacityRecord::SCHEMA_VERSION,
        servemark_version: env!("CARGO_PKG_VERSION").to_owned(),
        run_id: context.run_id.clone(),
        ended_unix_s: now.unwrap_or_default().as_secs_f64(),
        bench: context.name.clone(),
        prompt: context.prompts[prompt].key.clone(),
        simulated: fixture.endpoints.simulated().map(str::to_owned),
        endpoints: endpoints.collect(),
        config: Settings {
            slo: context.slo_of(prompt),
            ..context.config.clone()
        }
        .public_json(),
        objectives: search.objectives().to_vec(),
        trials: TrialRecord::all(&search),
        notes,
        partial: context.interrupt.why_partial(),
        capacity: search.capacity(),
    }
}

/// Writes the record and its page; returns where the page is.
fn keep(record: &CapacityRecord) -> std::io::Result<PathBuf> {
    let directory = directory()
        .join(file_name(&record.bench))
        .join(file_name(&record.prompt));
    let write = |name: &str, text: String| -> std::io::Result<PathBuf> {
        let path = Path::new(&directory).join(name);
        write_atomically(&path, text.as_bytes())?;
        Ok(path)
    };
    write(
        "capacity.json",
        serde_json::to_string_pretty(record)? + "\n",
    )?;
    write("capacity.html", report::capacity_page(record))
}
