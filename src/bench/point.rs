//! One benchmark point: a prompt at a concurrency. Its load runs once, whatever metrics are asked of it.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use criterion::BenchmarkId;

use super::args::Mode;
use super::feed::Feed;
use super::progress::Progress;
use super::results::{Measured, Origin, Results};
use super::session::{Ended, Session, Track};
use super::target::{KeepTexts, Serving};
use super::windows::{Given, Limits, Live, PointFailed, REPLAY_PACE, Replay, succeeded};
use super::workload::NamedPrompt;
use crate::client::{Client, FailureCause, PayloadTemplate};
use crate::config::{FixedOutput, Metric};
use crate::endpoint::{Balance, Endpoints};
use crate::fixture::{Fixture, FixtureError};
use crate::load::{Load, Window};
use crate::measurement::Phase;
use crate::prompt::PromptSource;
use crate::ranks::Share;
use crate::results::PointKey;
use crate::safety::SafetyCheck;

/// Texts per point whose tokens are counted again, to compare with the server's count.
const TEXTS_COUNTED_AGAIN: u32 = 16;

/// A prompt at a concurrency.
#[derive(Clone)]
pub(super) struct Point<'a> {
    pub session: &'a Session,
    pub prompt: &'a NamedPrompt,
    /// Position among all points of the session, selected or not: prompts are a function of it.
    pub ordinal: u32,
    pub concurrency: NonZeroUsize,
}

/// How doubtful it is that a load defines the metric: one that surely does drives it.
fn doubts(metric: Metric) -> u8 {
    match metric {
        Metric::OutputTokS | Metric::Rps | Metric::E2el => 0,
        Metric::Ttft => 1,
        Metric::Tpot => 2,
    }
}

impl Point<'_> {
    /// Runs each metric of the point: one that is selected drives the load, the others replay it.
    pub fn run(
        &self,
        tracks: &mut [Track<'_>],
        progress: &mut Progress,
        results: &mut Results,
    ) -> Result<(), Ended> {
        let selected = tracks.iter_mut().filter(|track| self.selects(track.metric));
        let mut selected: Vec<&mut Track<'_>> = selected.collect();
        if !self.session.args.drives_load() {
            // Neither listing nor loading a baseline calls a benchmark.
            for track in selected {
                self.bench(track, results, |_, _| 0.0);
            }
            return Ok(());
        }
        // The first, unless it may turn out to be undefined.
        let driver = (0..selected.len()).min_by_key(|at| doubts(selected[*at].metric));
        let Some(driver) = driver.map(|at| selected.remove(at)) else {
            return Ok(());
        };
        let mut undefined = Vec::new();
        let windows = self.drive_load(driver, progress, results, &mut undefined)?;
        let count = 1 + selected.len();
        for track in selected {
            undefined.extend(self.replay(track, results, &windows));
        }
        let nothing_else = undefined.len() == count;
        for metric in undefined {
            results.undefined(&self.name(), metric, nothing_else);
        }
        Ok(())
    }

    /// Drives the load of the point and gives its windows to one metric; it is undefined where that turns out.
    fn drive_load(
        &self,
        track: &mut Track<'_>,
        progress: &mut Progress,
        results: &mut Results,
        undefined: &mut Vec<Metric>,
    ) -> Result<Vec<Window>, Ended> {
        let windows = match &self.session.meeting {
            Some(meeting) => self.lead(meeting, progress, results)?,
            // Criterion wants tok/s of each window at once. A server that has to count them is asked when
            // the load is over, so it must be over before Criterion begins.
            None if self.session.fixture()?.counter.asks_a_server() => {
                self.measure_for_criterion(self.session.fixture()?, progress, results)
            }
            None => return Ok(self.measure(track, progress, results, undefined)?),
        };
        undefined.extend(self.replay(track, results, &windows));
        Ok(windows)
    }

    /// Drives the load before Criterion begins; the windows are as many as Criterion takes, or none.
    fn measure_for_criterion(
        &self,
        fixture: &Fixture,
        progress: &mut Progress,
        results: &mut Results,
    ) -> Vec<Window> {
        let samples = self.session.args.sampling().windows;
        let mut windows = self.run_alone(fixture, 0, progress, results);
        windows.truncate(samples);
        match windows.len() < samples {
            // Criterion would take repeated windows for new ones.
            true => Vec::new(),
            false => windows,
        }
    }

    /// Drives the load of the point under Criterion and keeps what came of it. Where the metric is undefined
    /// the load goes on without Criterion.
    fn measure(
        &self,
        track: &mut Track<'_>,
        progress: &mut Progress,
        results: &mut Results,
        undefined: &mut Vec<Metric>,
    ) -> Result<Vec<Window>, Box<FixtureError>> {
        let (config, args) = (&self.session.config, &self.session.args);
        let fixture = self.session.fixture()?;
        progress.announce(self, &fixture.describe());
        let started = self.source(fixture).and_then(|source| {
            let tokens = source.tokens();
            let share = Share::whole(self.concurrency);
            let target = self.target(fixture, &fixture.endpoints, source, &share);
            let target = target.map_err(|e| e.to_string())?;
            Ok((tokens, self.start(fixture, target, &share)))
        });
        let (tokens, load) = match started {
            Ok(started) => started,
            Err(message) => {
                let cause = FailureCause::Prompt.to_string();
                results.add_unmeasured(self, fixture, &cause, message);
                return Ok(Vec::new());
            }
        };
        let limits = Limits {
            sample_size: args.sample_size(),
            warms_up: args.mode() == Mode::Bench,
            precision: config.precision.filter(|_| args.mode() == Mode::Bench),
            patience: self.patience(),
        };
        let mut live = Live::new(load, fixture, limits, progress.meter());
        track.group.warm_up_time(args.warm_up());
        track.group.measurement_time(args.measurement());
        let metric = track.metric;
        let failed = self.bench(track, results, |iterations, phase| {
            live.sample(metric, iterations, phase)
        });
        if failed == Some(PointFailed::Undefined) {
            undefined.push(metric);
        }
        live.complete(&args.sampling());
        let Given {
            mut windows,
            self_check,
            precision,
            servers,
            ended_early,
        } = live.finish();
        if ended_early && windows.len() > 1 {
            results.ended_early(&self.name());
        }
        if let Some((wanted, reached)) = config.precision.zip(precision) {
            results.note(&self.name(), &reached.describe(&wanted));
        }
        progress.point_done();
        let measured = Measured {
            prompt_tokens: tokens,
            endpoints: &fixture.endpoints,
            windows: &windows,
            servers,
            self_check,
            origin: Origin::Alone,
        };
        results.add(self, fixture, measured);
        // Those that precision took beyond Criterion's samples are not replayed: it would take each for
        // more than one.
        windows.truncate(args.sample_size().unwrap_or(usize::MAX));
        Ok(windows)
    }

    /// Feeds another metric from the windows of the load that has run; the metric where it is undefined.
    fn replay(
        &self,
        track: &mut Track<'_>,
        results: &mut Results,
        windows: &[Window],
    ) -> Option<Metric> {
        let metric = track.metric;
        let Some(mut replay) = Replay::new(metric, windows) else {
            // A point that failed was reported when it did.
            let failed = windows.is_empty() || !windows.iter().all(succeeded);
            return (!failed).then_some(metric);
        };
        // Half an iteration less than the plan, as Criterion rounds up. A plan of one iteration would make
        // it advise a longer measurement, which the live run has done where it is due.
        let iterations = replay.iterations().max(2) as f64 - 0.5;
        let samples = windows.len() as f64;
        track.group.warm_up_time(Duration::from_nanos(1));
        track
            .group
            .measurement_time(REPLAY_PACE.mul_f64(iterations * samples));
        self.bench(track, results, |iterations, phase| {
            replay.sample(metric, iterations, phase)
        });
        None
    }

    /// Hands one benchmark to Criterion; what is thrown in it ends the benchmark, not the run, and is
    /// returned.
    fn bench(
        &self,
        track: &mut Track<'_>,
        results: &mut Results,
        mut sample: impl FnMut(u64, &Phase) -> f64,
    ) -> Option<PointFailed> {
        let level = format!("c={}", self.concurrency);
        let id = match self.session.deployment_record() {
            Some(deployment) => BenchmarkId::new(&*deployment.name, level),
            None => BenchmarkId::from_parameter(level),
        };
        let (group, phase) = (&mut track.group, &track.phase);
        let run = catch_unwind(AssertUnwindSafe(|| {
            group.bench_function(id, |b| b.iter_custom(|iters| sample(iters, phase)));
        }));
        let payload = run.err()?;
        let failed = payload.downcast_ref::<PointFailed>().copied();
        // Criterion has said why it gave up. A window without success fails the run, too.
        if failed != Some(PointFailed::Undefined) {
            results.fail();
        }
        failed
    }

    /// The series of the point's prompts. The first point that asks makes those of all points ready.
    pub(super) fn source(&self, fixture: &Fixture) -> Result<Arc<PromptSource>, String> {
        self.session.prepare_prompts(fixture);
        self.prompt.source(fixture, &self.session.config)
    }

    /// Prepares what a share of the point's load sends to: prompts that no load before has sent.
    pub(super) fn target(
        &self,
        fixture: &Fixture,
        endpoints: &Endpoints,
        source: Arc<PromptSource>,
        share: &Share,
    ) -> Result<Serving, Box<dyn std::error::Error>> {
        let config = &self.session.config;
        let api = self.prompt.kind.api();
        let template = self.template(fixture, endpoints);
        // Deep enough that a whole round can start at once, twice.
        let depth = 2 * share.concurrency.get() + 16;
        let indices = share.of_numbers(self.prompt.supply.numbers(self.ordinal));
        Ok(Serving {
            client: Client::new(fixture.connections.clone(), config, fixture.clock),
            feed: Feed::start(source, template, indices, depth)?,
            request_id_prefix: self.request_id_prefix(fixture),
            urls: endpoints.iter().map(|e| e.url.api(api)).collect(),
            balance: Balance::new(config.balancing, share.before, endpoints.count()),
            safety: match &config.safety {
                Some(safety) => Some(SafetyCheck::new(safety, fixture.seed)?),
                None => None,
            },
            keep_texts: match config.safety.is_some() {
                true => KeepTexts::All,
                false => KeepTexts::First(AtomicU32::new(TEXTS_COUNTED_AGAIN)),
            },
        })
    }

    /// What the point's requests have in common.
    pub(super) fn template(&self, fixture: &Fixture, endpoints: &Endpoints) -> PayloadTemplate {
        let config = &self.session.config;
        let fixed_output = match config.fixed_output {
            FixedOutput::On => true,
            FixedOutput::Off => false,
            FixedOutput::Auto => fixture.all_vllm(),
        };
        let api = self.prompt.kind.api();
        PayloadTemplate::new(config, api, endpoints.model(), fixed_output)
    }

    /// Starts a share of the point's load.
    pub(super) fn start(&self, fixture: &Fixture, target: Serving, share: &Share) -> Load<Serving> {
        Load::start(
            fixture.runtime.handle().clone(),
            Arc::new(target),
            self.session.config.load_shape,
            share.concurrency,
            fixture.clock,
        )
    }

    /// No success within this time, and there is nothing to measure.
    pub(super) fn patience(&self) -> Duration {
        2 * self.session.config.request_timeout
    }

    /// Whether the command line selects a metric of the point.
    pub fn selects(&self, metric: Metric) -> bool {
        let args = &self.session.args;
        // By the id that a user would write, or the one that --list shows.
        args.selects(&self.id(metric)) || args.selects(&self.criterion_id(metric))
    }

    /// The id of one of its benchmarks, with the prompt's full key.
    pub fn id(&self, metric: Metric) -> String {
        let group = format!("{}/{}/{}", self.session.name, self.prompt.key, metric.id());
        self.id_in(&group)
    }

    fn criterion_id(&self, metric: Metric) -> String {
        self.id_in(&self.session.criterion_group(self.prompt, metric).id)
    }

    /// Where Criterion keeps one of its benchmarks, relative to Criterion's directory.
    pub fn criterion_path(&self, metric: Metric) -> PathBuf {
        let group = self.session.criterion_group(self.prompt, metric);
        PathBuf::from(self.id_in(&group.directory))
    }

    fn id_in(&self, group: &str) -> String {
        let level = self.concurrency;
        match self.session.deployment_record() {
            Some(deployment) => format!("{group}/{}/c={level}", deployment.name),
            None => format!("{group}/c={level}"),
        }
    }

    /// What its files are named after.
    pub fn key(&self) -> PointKey {
        PointKey {
            bench: self.session.name.clone(),
            prompt: self.prompt.key.clone(),
            concurrency: self.concurrency.get(),
        }
    }

    /// Whether the command line selects any metric of the point.
    pub fn is_selected(&self) -> bool {
        let mut metrics = self.session.metrics.iter();
        metrics.any(|metric| self.selects(*metric))
    }

    /// Begin of the `X-Request-Id` of the point's requests: the same in all ranks.
    pub fn request_id_prefix(&self, fixture: &Fixture) -> Option<String> {
        let own = fixture.request_id_prefix.clone()?;
        let meeting = self.session.meeting.as_ref();
        Some(meeting.map_or(own, |m| m.decided().request_id_prefix.clone()))
    }

    /// The point's name in messages (`chat_throughput/1k c=32`).
    pub fn name(&self) -> String {
        format!(
            "{}/{} c={}",
            self.session.title(),
            self.prompt.key,
            self.concurrency
        )
    }
}
