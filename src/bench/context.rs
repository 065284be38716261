//! The context shared by all points of a run.

use std::rc::Rc;

use once_cell::unsync::OnceCell;

use super::criterion::{BenchArgs, Mode};
use super::deployed::Deployed;
use super::point_info::PointInfo;
use crate::config::{Metric, Settings, Slo};
use crate::dialect::{ChatCompletions, Dialect};
use crate::fixture::{Fixture, FixtureError};
use crate::interrupt::{Interrupt, Interrupted};
use crate::level::Level;
use crate::prompt::NamedPrompt;
use crate::ranks::{Meeting, MeetingError};
use crate::results::{DeploymentRecord, ResultsLock};

/// A run of a bench: what it measures, and what with.
pub struct RunContext {
    /// Name of the bench.
    pub name: String,
    /// The same in all records of the run.
    pub run_id: String,
    pub prompts: Vec<NamedPrompt>,
    pub config: Settings,
    pub args: BenchArgs,
    /// The metrics that are measured.
    pub metrics: Vec<Metric>,
    /// The other ranks, where several share the load.
    pub meeting: Option<Meeting>,
    /// Set by a signal that ends the run early.
    pub interrupt: Interrupt,
    /// The deployment that it measures, where several are measured one after another.
    pub deployed: Option<Deployed>,
    /// The names of all deployments of the bench, where it has several.
    pub deployments: Vec<String>,
    /// The servers where they are not a deployment's: booted at the first use.
    pub booted: OnceCell<Fixture>,
    /// The right to write records, where the process writes any.
    pub lock: Option<Rc<ResultsLock>>,
}

/// The run cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Aborted {
    /// Nothing could be booted.
    #[error(transparent)]
    Fixture(#[from] Box<FixtureError>),
    /// The ranks have lost each other.
    #[error(transparent)]
    Ranks(#[from] MeetingError),
    /// A signal came before anything was measured.
    #[error("{0}; nothing was measured")]
    Interrupted(#[from] Interrupted),
}

impl RunContext {
    /// Creates the run of a bench without deployments, with a new id.
    pub fn new(
        name: String,
        prompts: Vec<NamedPrompt>,
        config: Settings,
        args: BenchArgs,
        metrics: Vec<Metric>,
        lock: Option<ResultsLock>,
    ) -> RunContext {
        RunContext {
            name,
            run_id: new_run_id(),
            prompts,
            config,
            args,
            metrics,
            meeting: None,
            interrupt: Interrupt::default(),
            deployed: None,
            deployments: Vec::new(),
            booted: OnceCell::new(),
            lock: lock.map(Rc::new),
        }
    }

    /// The same run on one of several deployments.
    pub fn on_deployment(&self, config: Settings, deployed: Deployed) -> RunContext {
        RunContext {
            name: self.name.clone(),
            run_id: self.run_id.clone(),
            prompts: self.prompts.clone(),
            config,
            args: self.args.clone(),
            metrics: self.metrics.clone(),
            meeting: None,
            interrupt: self.interrupt.clone(),
            deployed: Some(deployed),
            deployments: Vec::new(),
            booted: OnceCell::new(),
            lock: self.lock.clone(),
        }
    }

    /// The servers that the points are measured on, booted if they are not yet. Of several ranks one prints what
    /// was found.
    pub fn fixture(&self) -> Result<&Fixture, Box<FixtureError>> {
        match self.deployed.as_ref().and_then(Deployed::fixture) {
            Some(fixture) => Ok(fixture),
            None => self.booted.get_or_try_init(|| {
                let (dialect, interrupt) = (self.dialect(), &self.interrupt);
                let fixture = Fixture::boot(&self.config, dialect, self.leads(), interrupt)?;
                Ok(fixture)
            }),
        }
    }

    /// As [`RunContext::fixture`], but after a signal an error is its consequence.
    pub fn ready_fixture(&self) -> Result<&Fixture, Aborted> {
        let fixture = self.fixture();
        self.interrupt.check()?;
        Ok(fixture?)
    }

    /// Boots the servers: its deployment's, or those that [`RunContext::fixture`] finds.
    ///
    /// # Errors
    /// Why they could not be booted.
    pub fn boot(&mut self) -> Result<(), Box<FixtureError>> {
        let dialect = self.dialect();
        match &mut self.deployed {
            Some(deployed) => Ok(deployed.boot(&self.config, dialect, &self.interrupt)?),
            None => self.fixture().map(drop),
        }
    }

    /// The dialect of the load: all prompts of a run are of one workload.
    pub fn dialect(&self) -> &'static dyn Dialect {
        let first = self.prompts.first();
        first.map_or(&ChatCompletions, |prompt| prompt.kind.dialect())
    }

    /// Whether this process reports: the only one, or rank 0.
    pub fn leads(&self) -> bool {
        let meeting = self.meeting.as_ref();
        meeting.is_none_or(|meeting| meeting.ranks().leads())
    }

    /// Whether records are written at all: listing and testing write none.
    pub fn writes_records(&self) -> bool {
        self.args.mode() == Mode::Bench && self.args.drives_load()
    }

    /// Returns the bench's name, with the deployment's name where there are several.
    pub fn title(&self) -> String {
        match self.deployment_record() {
            Some(deployment) => format!("{} · {}", self.name, deployment.name),
            None => self.name.clone(),
        }
    }

    /// The deployment that it measures, where there are several.
    pub fn deployment_record(&self) -> Option<&DeploymentRecord> {
        self.deployed.as_ref().map(|deployed| &deployed.record)
    }

    /// The name of the latest run's records.
    pub fn record_name(&self) -> &str {
        self.deployment_record()
            .map_or("new", |deployment| &deployment.name)
    }

    /// The names of the run's records while it is the last one: `new`, its deployment's name, or the names
    /// of the sides of an A/B run.
    pub fn latest_names(&self) -> Vec<String> {
        match &self.config.ab {
            Some(sides) => sides.iter().map(|side| side.name.clone()).collect(),
            None => vec![self.record_name().to_owned()],
        }
    }

    /// Every name under which the run writes records, at its end the baseline's.
    pub fn names_written(&self) -> Vec<String> {
        let mut names = self.latest_names();
        names.extend(self.saved_name());
        names
    }

    /// The baseline that the run is saved as, if it is. Sides of an A/B run have their own names.
    pub fn saved_name(&self) -> Option<String> {
        let name = self.args.save_baseline();
        let name = name.filter(|_| self.config.ab.is_none())?;
        Some(match self.deployment_record() {
            Some(deployment) => format!("{name}-{}", deployment.name),
            None => name.to_owned(),
        })
    }

    /// Makes these the levels of all prompts.
    pub fn set_levels(&mut self, levels: &[Level]) {
        let concurrency = levels.iter().filter_map(|level| level.concurrency());
        self.config.concurrent_levels = concurrency.collect();
        let rates = levels.iter().filter_map(|level| match level {
            Level::Rate(rate) => Some(*rate),
            Level::Concurrency(_) => None,
        });
        self.config.request_rates = rates.collect();
    }

    /// The objectives of a prompt: its own, or `SLO`.
    pub fn slo_of(&self, prompt: usize) -> Slo {
        self.prompts[prompt].slo.unwrap_or(self.config.slo)
    }

    /// The points of a prompt, selected or not.
    pub fn points_of(&self, prompt: usize) -> impl Iterator<Item = PointInfo<'_>> {
        let levels = self.config.levels();
        let count = levels.len();
        let point = move |(at, level): (usize, Level)| PointInfo {
            bench: &self.name,
            title: self.title(),
            prompt: &self.prompts[prompt].key,
            level,
            ordinal: (prompt * count + at) as u32,
            dialect: self.prompts[prompt].kind.dialect(),
            slo: self.slo_of(prompt),
            workload: self.prompts[prompt].kind.definition(),
            output_tokens: self.prompts[prompt].kind.output_tokens(),
            mode: self.args.mode(),
            config: &self.config,
            run_id: &self.run_id,
            deployment: self.deployment_record(),
            record_name: self.record_name(),
            agreed_request_id_prefix: self
                .meeting
                .as_ref()
                .map(|meeting| &*meeting.decided().request_id_prefix),
        };
        levels.into_iter().enumerate().map(point)
    }

    /// The points of which the command line selects a metric.
    pub fn selected(&self) -> impl Iterator<Item = PointInfo<'_>> {
        let points = (0..self.prompts.len()).flat_map(|prompt| self.points_of(prompt));
        points.filter(|point| !self.selected_metrics(point).is_empty())
    }

    /// The metrics of a point that the command line selects.
    pub fn selected_metrics(&self, point: &PointInfo<'_>) -> Vec<Metric> {
        let metrics = self.metrics.iter().copied();
        let selected = metrics.filter(|metric| point.is_selected(&self.args, *metric));
        selected.collect()
    }

    /// The number of points of which the command line selects a metric.
    pub fn count_points(&self) -> u32 {
        u32::try_from(self.selected().count()).unwrap_or(u32::MAX)
    }

    /// Whether the command line selects nothing of the bench.
    pub fn selects_nothing(&self) -> bool {
        self.selected().next().is_none()
    }

    /// Prints that the filter matches nothing. This is not a failure: the filter may be meant for another
    /// bench of the same `cargo bench`.
    pub fn warn_nothing_matches(&self) {
        if let Some(filter) = self.args.filter().filter(|_| self.leads()) {
            let bench = &self.name;
            eprintln!("note: no benchmark of {bench} matches {filter:?}; --list names them");
        }
    }
}

/// A new run's id: 16 hexadecimal digits.
pub fn new_run_id() -> String {
    format!("{:016x}", rand::random::<u64>())
}

/// The metrics that the configuration and the prompts define; prints a note about each that they do not.
pub fn defined_metrics(config: &Settings, prompts: &[NamedPrompt]) -> Vec<Metric> {
    let longest = prompts.iter().map(|prompt| {
        let own = prompt.kind.output_tokens();
        own.map_or(config.max_new_tokens.get(), |tokens| tokens.most)
    });
    let longest = longest.max().unwrap_or_default();
    let undefined = |metric: &Metric| match metric {
        Metric::Ttft | Metric::Tpot if !config.stream => {
            Some("responses are not streamed (STREAM: false)")
        }
        Metric::Tpot if longest < 2 => {
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
