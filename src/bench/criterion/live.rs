//! The windows of a point's load as Criterion's samples, taken while Criterion waits for them.

use std::panic::resume_unwind;
use std::time::Instant;

use super::args::Mode;
use super::metric_bench::MetricGroup;
use super::point_failed::PointFailed;
use crate::bench::drive::{
    InterruptibleLoad, LoadObservation, LoadObservationResult, LoadResult, PrecisionReached, Spent,
    count_missing_tokens, direct,
};
use crate::bench::outcome::Results;
use crate::bench::point::Point;
use crate::bench::progress::{Meter, Progress};
use crate::client::FailureCause;
use crate::config::{Metric, Precision};
use crate::fixture::{Fixture, FixtureError};
use crate::load::{Rounds, Sampling, Window};
use crate::measurement::{self, Phase};
use crate::metrics::Unanswered;
use crate::prompt::{RequestLengths, Side};

/// Drives the load of the point under Criterion and keeps its result; returns the windows that other metrics may
/// replay, and whether the metric is defined. Where it is not, the load goes on without Criterion.
pub fn run(
    point: &Point<'_>,
    group: &mut MetricGroup<'_>,
    progress: &mut Progress,
    results: &mut Results,
) -> Result<(Vec<Window>, bool), Box<FixtureError>> {
    let (args, metric) = (&point.context.args, group.metric);
    let fixture = point.context.fixture()?;
    progress.announce(&point.info, &fixture.describe());
    let meter = progress.meter();
    let mut live = match LiveWindows::start(point, fixture, &meter) {
        Ok(live) => live,
        Err(message) => {
            let cause = FailureCause::Prompt.to_string();
            results.add_unmeasured(&point.info, fixture, &cause, message);
            return Ok((Vec::new(), true));
        }
    };
    group.plan(args.warm_up(), args.measurement());
    let failed = group.bench(&point.info, results, |iterations, phase| {
        live.sample(metric, iterations, phase)
    });
    let is_defined = failed != Some(PointFailed::Undefined);
    live.complete(&args.sampling());
    let result = live.finish();
    let is_whole = !result.is_interrupted && result.spent.is_none();
    let mut windows = result.keep(point, fixture, false, progress, results);
    // Criterion would take repeated windows for new ones, and each that precision took beyond its samples for
    // more than one.
    windows.truncate(match is_whole {
        true => args.sample_size().unwrap_or(usize::MAX),
        false => 0,
    });
    Ok((windows, is_defined))
}

/// A load under way, and the windows it has given.
struct LiveWindows<'a> {
    point: &'a Point<'a>,
    fixture: &'a Fixture,
    lengths: RequestLengths,
    /// `None` once it has ended.
    load: Option<InterruptibleLoad<'a>>,
    /// Whether windows come before the samples: not in a test run.
    warms_up: bool,
    /// Samples after which the load may stop.
    sample_size: Option<usize>,
    /// How well tok/s must be known before it stops.
    precision: Option<Precision>,
    windows: Vec<Window>,
    /// Whether the last window was cut short.
    is_cut: bool,
    /// The budget whose end has cut the last window short.
    spent: Option<Spent>,
    unanswered: Vec<Unanswered>,
    /// Criterion's first phase, once there was a window.
    first_phase: Option<u32>,
    /// Windows of the warm-up, once samples are taken: a test run has none.
    warm_up: Option<usize>,
    /// Why Criterion's benchmark ended early, if it did.
    failed: Option<PointFailed>,
    /// Set while samples are taken.
    observation: Option<LoadObservation>,
    observed: Option<LoadObservationResult>,
    /// Whether windows were taken until the precision was reached.
    is_extended: bool,
    meter: &'a Meter,
}

impl<'a> LiveWindows<'a> {
    /// Starts the load of a point.
    fn start(
        point: &'a Point<'a>,
        fixture: &'a Fixture,
        meter: &'a Meter,
    ) -> Result<LiveWindows<'a>, String> {
        let args = &point.context.args;
        let is_bench = args.mode() == Mode::Bench;
        let requests = point.requests(fixture, Side::First)?;
        let lengths = requests.source.lengths();
        let endpoints = &fixture.endpoints;
        let load = InterruptibleLoad::start(point, fixture, endpoints, requests, meter)?;
        Ok(LiveWindows {
            point,
            fixture,
            lengths,
            load: Some(load),
            warms_up: is_bench,
            sample_size: args.sample_size(),
            precision: point.context.config.precision.filter(|_| is_bench),
            windows: Vec::new(),
            is_cut: false,
            spent: None,
            unanswered: Vec::new(),
            first_phase: None,
            warm_up: None,
            failed: None,
            observation: None,
            observed: None,
            is_extended: false,
            meter,
        })
    }

    /// Drives the load for `iterations` rounds; returns the metric's value × `iterations`.
    ///
    /// Unwinds with [`PointFailed`] when no request succeeds, or the metric is undefined.
    fn sample(&mut self, metric: Metric, iterations: u64, phase: &Phase) -> f64 {
        let phase = phase.current();
        if *self.first_phase.get_or_insert(phase) != phase && self.warm_up.is_none() {
            self.begin_samples();
        }
        self.meter.show(match self.warm_up {
            None => "warm-up",
            Some(_) => "measuring",
        });
        let value = self.take(iterations).and_then(|window| {
            measurement::value(metric, window).ok_or(match window.has_success() {
                true => PointFailed::Undefined,
                false => PointFailed::NoSuccess,
            })
        });
        if value.is_ok() && Some(self.samples().len()) == self.sample_size {
            self.end_samples(iterations);
        }
        // Criterion writes to the terminal next.
        self.meter.hide();
        match value {
            Ok(value) => value * iterations as f64,
            Err(failed) => {
                self.failed = Some(failed);
                resume_unwind(Box::new(failed))
            }
        }
    }

    /// Goes on without Criterion where it was left because the metric is undefined: the load runs once for
    /// all metrics, and what else it gives does not depend on the one that drove it.
    fn complete(&mut self, sampling: &Sampling) {
        if self.failed != Some(PointFailed::Undefined) || !self.warms_up {
            return;
        }
        let rounds = match self.samples().last() {
            Some(window) => window.rounds,
            None => {
                let rounds = self.complete_warm_up(sampling);
                self.begin_samples();
                rounds
            }
        };
        self.meter.show("measuring");
        while self.failed == Some(PointFailed::Undefined) && self.samples().len() < sampling.windows
        {
            self.take_succeeding(rounds);
        }
        if self.failed == Some(PointFailed::Undefined) {
            self.end_samples(rounds);
        }
        self.meter.hide();
    }

    /// Warms up for as long as it is due; rounds of a window after it.
    fn complete_warm_up(&mut self, sampling: &Sampling) -> u64 {
        loop {
            let warm_up = Window {
                start_ns: self.windows.first().map_or(0, |window| window.start_ns),
                end_ns: self.windows.last().map_or(0, |window| window.end_ns),
                rounds: self.windows.iter().map(|window| window.rounds).sum(),
                requests: Default::default(),
                carried_in: 0,
                carried_out: 0,
                in_flight: None,
            };
            let is_warm = u128::from(warm_up.wall_ns()) >= sampling.warm_up.as_nanos();
            if is_warm || self.failed != Some(PointFailed::Undefined) {
                return sampling.rounds(&warm_up);
            }
            self.take_succeeding(1);
        }
    }

    /// Takes a window, and notes when it has no success.
    fn take_succeeding(&mut self, iterations: u64) {
        match self.take(iterations).map(Window::has_success) {
            Ok(true) => {}
            Ok(false) => self.failed = Some(PointFailed::NoSuccess),
            Err(failed) => self.failed = Some(failed),
        }
    }

    /// From here on windows are results.
    fn begin_samples(&mut self) {
        self.warm_up = Some(self.windows.len());
        self.observation = Some(LoadObservation::begin(self.fixture, true));
        let Some(load) = &mut self.load else {
            return;
        };
        let Some(samples) = self.sample_size else {
            return load.unlimit();
        };
        // Criterion takes one round a sample, or as many as its measurement time holds.
        let sampling = self.point.context.args.sampling();
        let budget = direct::budget_of(self.point, &self.windows, &sampling, 1, true);
        load.limit(budget, budget.over_at(Instant::now()));
        self.meter.plan(samples);
    }

    /// Goes on until tok/s is known as well as `PRECISION` asks, and stops the load.
    fn end_samples(&mut self, iterations: u64) {
        if let Some(precision) = self.precision {
            self.is_extended = true;
            while !PrecisionReached::of(self.samples()).suffices(&precision) {
                match self.take(iterations) {
                    Ok(window) if window.has_success() => {}
                    Err(PointFailed::Interrupted) => {
                        self.failed = Some(PointFailed::Interrupted);
                        break;
                    }
                    _ => break,
                }
            }
        }
        self.stop();
    }

    /// The next window.
    ///
    /// # Errors
    /// The load has stopped, its time is over, or a signal came.
    fn take(&mut self, iterations: u64) -> Result<&Window, PointFailed> {
        let interrupt = &self.point.context.interrupt;
        if interrupt.came() {
            return Err(PointFailed::Interrupted);
        }
        let load = self.load.as_mut().ok_or(PointFailed::NoSuccess)?;
        let mut window = load.window(iterations);
        self.is_cut = load.is_cut();
        let spent = load.spent();
        count_missing_tokens([&mut window], self.fixture);
        self.windows.push(window);
        match self.windows.last() {
            Some(window) if !self.is_cut => Ok(window),
            _ if interrupt.came() => Err(PointFailed::Interrupted),
            _ => {
                self.spent = spent;
                Err(PointFailed::OverTime)
            }
        }
    }

    /// The windows after the warm-up; none while it lasts.
    fn samples(&self) -> &[Window] {
        self.warm_up.map_or(&[], |warm_up| &self.windows[warm_up..])
    }

    /// Stops the load; the server is idle when the next point begins.
    fn stop(&mut self) {
        let load = self.load.take();
        let mut unanswered = Vec::new();
        let end_load = || unanswered = load.map_or(Vec::new(), InterruptibleLoad::abandon);
        match self.observation.take() {
            Some(observation) => self.observed = Some(observation.end(self.fixture, end_load)),
            None => end_load(),
        }
        self.unanswered.append(&mut unanswered);
    }

    /// Ends the point: its samples and the windows that precision took beyond, without the warm-up. Where the load
    /// failed before, the window that showed it; where the warm-up's time was over, the whole warm-up.
    fn finish(mut self) -> LoadResult {
        self.stop();
        let is_interrupted = self.failed == Some(PointFailed::Interrupted);
        let mut windows = self.windows;
        let windows = match self.warm_up {
            Some(warm_up) => windows.split_off(warm_up),
            None if !self.warms_up => windows,
            None if is_interrupted => Vec::new(),
            None if self.spent.is_some() => Vec::from_iter(Window::joined(windows)),
            // A load that fails before the first sample has failure causes, but no result.
            None => Vec::from_iter(windows.pop().filter(|last| !last.has_success())),
        };
        LoadResult {
            lengths: self.lengths,
            windows,
            is_cut: self.is_cut,
            is_interrupted,
            observed: self.observed,
            unanswered: self.unanswered,
            spent: self.spent,
            precision: self.precision.filter(|_| self.is_extended),
        }
    }
}
