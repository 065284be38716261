//! All points of a benchmark, one after another, under Criterion.

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{
    BenchmarkFilter, BenchmarkGroup, Criterion, PlottingBackend, SamplingMode, Throughput,
};

use super::CANNOT_RUN;
use super::args::{BenchArgs, Mode};
use super::deployments::Deployed;
use super::interrupt::Interrupt;
use super::point::Point;
use super::progress::Progress;
use super::results::{POINT_FAILED, Results};
use super::start::new_run_id;
use super::workload::NamedPrompt;
use crate::config::{Api, Config, Metric};
use crate::fixture::{Fixture, FixtureError};
use crate::load::Sampling;
use crate::measurement::{Phase, ServingMeasurement};
use crate::ranks::{Meeting, MeetingError};
use crate::results::{CriterionGroup, DeploymentRecord};
use crate::terminal::Spinner;
use once_cell::unsync::OnceCell;

/// Criterion's bootstrap resamples; at ten samples more of them change no figure that is shown.
const RESAMPLES: usize = 10_000;

/// A benchmark about to run.
pub(super) struct Session {
    pub name: String,
    /// What all records of the run have in common.
    pub run_id: String,
    pub prompts: Vec<NamedPrompt>,
    pub config: Config,
    pub args: BenchArgs,
    pub metrics: Vec<Metric>,
    /// With whom the load is shared, if it is.
    pub meeting: Option<Meeting>,
    /// Whether somebody wants it to end early.
    pub interrupt: Interrupt,
    /// Which deployment it is of, where several are measured one after another.
    pub deployed: Option<Deployed>,
    /// Of a bench of several deployments: their names.
    pub deployments: Vec<String>,
    /// What the points are measured on, where that is not a deployment's: booted when it is first asked
    /// for, gone with the session.
    pub booted: OnceCell<Fixture>,
}

/// The run cannot go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    /// Nothing could be booted.
    #[error(transparent)]
    Fixture(#[from] Box<FixtureError>),
    /// The ranks have lost each other.
    #[error(transparent)]
    Ranks(#[from] MeetingError),
}

/// One metric's Criterion, open at the same time as the others', as they take turns at each point.
pub(super) struct Track<'a> {
    pub metric: Metric,
    /// Tells Criterion's warm-up from its samples.
    pub phase: Phase,
    pub group: BenchmarkGroup<'a, ServingMeasurement>,
}

/// A metric with the Criterion that holds its groups.
pub(super) struct Instrument {
    metric: Metric,
    phase: Phase,
    criterion: Criterion<ServingMeasurement>,
}

impl Session {
    pub fn new(
        name: String,
        prompts: Vec<NamedPrompt>,
        config: Config,
        args: BenchArgs,
        meeting: Option<Meeting>,
    ) -> Session {
        let metrics = definable(&config);
        let run_id = match &meeting {
            Some(meeting) => meeting.decided().run_id.clone(),
            None => new_run_id(),
        };
        Session {
            name,
            run_id,
            prompts,
            config,
            args,
            metrics,
            meeting,
            interrupt: Interrupt::default(),
            deployed: None,
            deployments: Vec::new(),
            booted: OnceCell::new(),
        }
    }

    /// What the points are measured on, booted if it is not yet. Of several ranks one says what was found.
    pub fn fixture(&self) -> Result<&Fixture, Box<FixtureError>> {
        match self.deployed.as_ref().and_then(Deployed::fixture) {
            Some(fixture) => Ok(fixture),
            None => self.booted.get_or_try_init(|| {
                let fixture = Fixture::boot(&self.config, self.api(), self.leads())?;
                Ok(fixture)
            }),
        }
    }

    /// Where the load goes: all prompts of a session are of one workload.
    pub fn api(&self) -> Api {
        let first = self.prompts.first();
        first.map_or(Api::ChatCompletions, |prompt| prompt.kind.api())
    }

    /// Whether it reports: the only process, or rank 0.
    pub fn leads(&self) -> bool {
        let meeting = self.meeting.as_ref();
        meeting.is_none_or(|meeting| meeting.ranks().leads())
    }

    /// The bench's name, and that of the deployment where there are several.
    pub fn title(&self) -> String {
        match self.deployment_record() {
            Some(deployment) => format!("{} · {}", self.name, deployment.name),
            None => self.name.clone(),
        }
    }

    /// Which of several deployments it is of.
    pub fn deployment_record(&self) -> Option<&DeploymentRecord> {
        self.deployed.as_ref().map(|deployed| &deployed.record)
    }

    /// What the records of the latest run are called.
    pub fn record_name(&self) -> &str {
        self.deployment_record()
            .map_or("new", |deployment| &deployment.name)
    }

    /// What a run's records are called: the latest, and the baseline if it is saved as one.
    pub fn record_names(&self) -> Vec<String> {
        let latest = self.record_name().to_owned();
        std::iter::once(latest).chain(self.saved_name()).collect()
    }

    /// Runs every point that the command line selects; the exit code says whether all were measured.
    pub fn run(mut self) -> ExitCode {
        let code = match &self.meeting {
            _ if self.selects_nothing() => {
                self.say_nothing_matches();
                0
            }
            Some(meeting) if !meeting.ranks().leads() => self.follow(meeting),
            _ => self.measure(),
        };
        ExitCode::from(match self.meeting.take() {
            None => code,
            Some(meeting) => meeting.close(code).unwrap_or_else(|error| {
                eprintln!("error: {error}");
                code.max(POINT_FAILED)
            }),
        })
    }

    /// Measures and reports: the whole work of a process of its own, and that of rank 0.
    fn measure(&self) -> u8 {
        let mut instruments = self.instruments();
        let mut results = Results::default();
        let drives_load = self.args.drives_load();
        let booted = match drives_load {
            true => self.boot(),
            // Neither listing nor loading a baseline needs a server.
            false => Ok(()),
        };
        let ran = booted.and_then(|()| match self.config.ab.is_some() && drives_load {
            true => self.run_points_in_turns(&mut results),
            false => self.run_points(&mut instruments, &mut results),
        });
        if let Err(error) = ran {
            self.end_early(&error);
            if results.is_empty() {
                return CANNOT_RUN;
            }
            results.fail();
        }
        if self.config.ab.is_none() {
            self.summarise(instruments.last());
        }
        results.conclude(self)
    }

    /// Makes this the latest run, and the servers ready.
    fn boot(&self) -> Result<(), Ended> {
        self.announce_plan();
        self.fixture()?;
        self.replace_saved();
        Ok(())
    }

    /// One for each metric.
    pub fn instruments(&self) -> Vec<Instrument> {
        self.metrics
            .iter()
            .map(|metric| Instrument::new(*metric))
            .collect()
    }

    /// Lets Criterion write the page that links all others, once no group is open any more.
    pub fn summarise(&self, instrument: Option<&Instrument>) {
        if let (Some(instrument), Mode::Bench) = (instrument, self.args.mode()) {
            instrument.criterion.final_summary();
        }
    }

    fn run_points(
        &self,
        instruments: &mut [Instrument],
        results: &mut Results,
    ) -> Result<(), Ended> {
        let points = self.count_points() * self.config.runs.get();
        let mut progress = Progress::new(points, self.args.point_time(), Progress::CRITERION);
        for (at, prompt) in self.prompts.iter().enumerate() {
            let mut tracks = self.open_tracks(instruments, prompt);
            for point in self.points_of(at) {
                point.run(&mut tracks, &mut progress, results)?;
            }
        }
        self.run_points_again(&mut progress, results)
    }

    /// The passes after the first.
    pub fn run_points_again(
        &self,
        progress: &mut Progress,
        results: &mut Results,
    ) -> Result<(), Ended> {
        let passes = self.config.runs.get();
        if passes == 1 || !self.args.drives_load() {
            return Ok(());
        }
        let fixture = self.fixture()?;
        for run in 1..passes {
            for point in self.selected() {
                point.run_alone(fixture, run, progress, results);
            }
        }
        Ok(())
    }

    /// Measures the two deployments of an A/B run in turns, point by point.
    fn run_points_in_turns(&self, results: &mut Results) -> Result<(), Ended> {
        let fixture = self.fixture()?;
        let Some(sides) = &fixture.sides else {
            return Ok(());
        };
        let passes = self.config.runs.get();
        let sampling = self.args.sampling();
        let turns = 2 * sampling.windows as u32 * sampling.warm_up + 2 * sampling.measurement;
        let points = self.count_points() * passes;
        let mut progress = Progress::new(points, turns, Duration::ZERO);
        for run in 0..passes {
            for point in self.selected() {
                point.run_in_turns(fixture, sides, run, &mut progress, results);
            }
        }
        Ok(())
    }

    /// The points of which the command line selects a metric.
    pub fn selected(&self) -> impl Iterator<Item = Point<'_>> {
        let points = (0..self.prompts.len()).flat_map(|at| self.points_of(at));
        points.filter(Point::is_selected)
    }

    /// Makes the prompts of every point that will run ready, once, so that no load shares its servers with
    /// the questions that this takes where a server counts tokens.
    pub fn prepare_prompts(&self, fixture: &Fixture) {
        let is_due = |point: &Point<'_>| !point.prompt.supply.is_ready();
        let mut due = self.selected().filter(is_due).peekable();
        let asks = due.peek().is_some() && fixture.counter.asks_a_server();
        let _spinner = asks.then(|| {
            Spinner::start(
                "preparing prompts: the server's /tokenize counts a few hundred short texts",
            )
        });
        for point in due {
            // What is wrong with a prompt is said at its points.
            let _ = point.prompt.source(fixture, &self.config);
        }
    }

    /// Drives this rank's part of every point; rank 0 reports.
    fn follow(&self, meeting: &Meeting) -> u8 {
        for (done, point) in self.selected().enumerate() {
            if let Err(error) = point.follow(meeting) {
                self.end_early(&error);
                return if done == 0 { CANNOT_RUN } else { POINT_FAILED };
            }
        }
        // Rank 0 knows how it went.
        0
    }

    /// Says why the run ends before its time, here and to the other ranks.
    fn end_early(&self, error: &Ended) {
        eprintln!("error: {error}");
        if let Some(meeting) = &self.meeting {
            meeting.give_up(&error.to_string());
        }
    }

    /// The points of a prompt, selected or not.
    pub fn points_of(&self, at: usize) -> impl Iterator<Item = Point<'_>> {
        let levels = &self.config.concurrent_levels;
        let point = move |(level, concurrency): (usize, &NonZeroUsize)| Point {
            session: self,
            prompt: &self.prompts[at],
            ordinal: (at * levels.len() + level) as u32,
            concurrency: *concurrency,
        };
        levels.iter().enumerate().map(point)
    }

    pub fn open_tracks<'a>(
        &self,
        instruments: &'a mut [Instrument],
        prompt: &NamedPrompt,
    ) -> Vec<Track<'a>> {
        let open = |instrument: &'a mut Instrument| {
            let metric = instrument.metric;
            let group = self.criterion_group(prompt, metric);
            let mut group = instrument.criterion.benchmark_group(group.id);
            group.sampling_mode(SamplingMode::Flat);
            if metric.is_rate() {
                group.throughput(Throughput::Elements(1));
            }
            Track {
                metric,
                phase: instrument.phase.clone(),
                group,
            }
        };
        instruments.iter_mut().map(open).collect()
    }

    /// The Criterion group of a metric; all of its values have one unit, so that its plots can be compared.
    pub fn criterion_group(&self, prompt: &NamedPrompt, metric: Metric) -> CriterionGroup {
        CriterionGroup::new(&self.name, &prompt.key, metric)
    }

    /// Points with a metric that the command line selects.
    pub fn count_points(&self) -> u32 {
        u32::try_from(self.selected().count()).unwrap_or(u32::MAX)
    }
}

impl Instrument {
    fn new(metric: Metric) -> Instrument {
        let measurement = ServingMeasurement::new(metric);
        Instrument {
            metric,
            phase: measurement.phase(),
            criterion: Criterion::<WallTime>::default()
                .with_measurement(measurement)
                .output_directory(&crate::results::criterion_directory())
                .plotting_backend(PlottingBackend::Plotters)
                .sample_size(Sampling::DEFAULT.windows)
                .warm_up_time(Sampling::DEFAULT.warm_up)
                .measurement_time(Sampling::DEFAULT.measurement)
                .nresamples(RESAMPLES)
                .configure_from_args()
                // Only what the command line selects is handed to Criterion, by its full name: Criterion may
                // know it by a shorter one.
                .with_benchmark_filter(BenchmarkFilter::AcceptAll),
        }
    }
}

/// The metrics that the configuration can give, and a word about those it cannot.
fn definable(config: &Config) -> Vec<Metric> {
    let undefined = |metric: &Metric| match metric {
        Metric::Ttft | Metric::Tpot if !config.stream => {
            Some("responses are not streamed (STREAM: false)")
        }
        Metric::Tpot if config.max_new_tokens.get() < 2 => {
            Some("one token has no time between tokens (MAX_NEW_TOKENS: 1)")
        }
        _ => None,
    };
    for metric in &config.metrics {
        if let Some(reason) = undefined(metric) {
            eprintln!("note: no benchmark of {}: {reason}", metric.id());
        }
    }
    let defined = |m: &&Metric| undefined(m).is_none();
    config.metrics.iter().filter(defined).copied().collect()
}
