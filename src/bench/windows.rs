//! The windows of a point's load: driven live by the first metric, replayed for the others.

use std::panic::resume_unwind;
use std::time::{Duration, Instant};

use super::meter::Meter;
use super::results::ServersSaid;
use super::target::Serving;
use crate::client::{Outcome, RequestRecord};
use crate::config::{Metric, Precision};
use crate::endpoint::ServerSample;
use crate::fixture::{self, Fixture, LOAD_THREADS, Sampler, Scrape};
use crate::load::{Load, Rounds, Sampling, SelfCheck, Watch, Watched, Window};
use crate::measurement::{self, Phase};
use crate::verdict;

/// A window without any success is taken again until this many requests have failed in a row.
pub const FAILURES_IN_A_ROW: usize = 20;

/// Time that a replayed iteration takes, so that Criterion can plan from it.
pub const REPLAY_PACE: Duration = Duration::from_micros(50);

/// Thrown through Criterion, which has no other way to end a benchmark early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointFailed {
    /// No request of a window succeeded.
    NoSuccess,
    /// Requests succeeded, but none of a window defines the metric.
    Undefined,
}

/// A load under way, and the windows it has given.
pub struct Live<'a> {
    load: Option<Load<Serving>>,
    fixture: &'a Fixture,
    limits: Limits,
    windows: Vec<Window>,
    /// Criterion's first phase, once there was a window.
    first_phase: Option<u32>,
    /// Windows of the warm-up, once samples are taken: a test run has none.
    warm_up: Option<usize>,
    /// Why Criterion's benchmark ended before its time, if it did.
    failed: Option<PointFailed>,
    /// Set while samples are taken.
    watch: Option<Watch>,
    watched: Option<Watched>,
    /// Set while samples are taken.
    sampler: Option<Sampler>,
    server_timeline: Vec<Vec<ServerSample>>,
    /// What the servers counted, before the samples and after the load.
    scrapes: Vec<Vec<Scrape>>,
    precision: Option<Reached>,
    meter: Meter,
}

/// How long a load goes on.
pub struct Limits {
    /// Samples after which it may stop.
    pub sample_size: Option<usize>,
    /// Whether windows come before the samples: not in a test run.
    pub warms_up: bool,
    /// How well tok/s must be known before it stops.
    pub precision: Option<Precision>,
    /// No success within this time, and the point has failed.
    pub patience: Duration,
}

/// What a load has given.
pub struct Given {
    /// The windows that were sampled and those that precision took beyond, warm-up left out. Where the load
    /// failed before, the window that showed it.
    pub windows: Vec<Window>,
    /// Whether the client kept up meanwhile.
    pub self_check: Option<SelfCheck>,
    /// What became of the precision asked for.
    pub precision: Option<Reached>,
    /// What the servers said meanwhile.
    pub servers: ServersSaid,
    /// Whether a window without success ended it before its time.
    pub ended_early: bool,
}

impl<'a> Live<'a> {
    /// Takes over a load that has just started.
    pub fn new(
        load: Load<Serving>,
        fixture: &'a Fixture,
        limits: Limits,
        meter: Meter,
    ) -> Live<'a> {
        meter.follow(load.gauge());
        Live {
            load: Some(load),
            fixture,
            limits,
            windows: Vec::new(),
            first_phase: None,
            warm_up: None,
            failed: None,
            watch: None,
            watched: None,
            sampler: None,
            server_timeline: Vec::new(),
            scrapes: Vec::new(),
            precision: None,
            meter,
        }
    }

    /// Drives the load for `iterations` rounds; returns the metric's value × `iterations`.
    ///
    /// Unwinds with [`PointFailed`] when no request succeeds, or the metric is undefined.
    pub fn sample(&mut self, metric: Metric, iterations: u64, phase: &Phase) -> f64 {
        let phase = phase.current();
        if *self.first_phase.get_or_insert(phase) != phase && self.warm_up.is_none() {
            self.begin_samples();
        }
        self.meter.show(match self.warm_up {
            None => "warm-up",
            Some(_) => "measuring",
        });
        let value = match self.take(iterations) {
            None => Err(PointFailed::NoSuccess),
            Some(window) => measurement::value(metric, window).ok_or(match succeeded(window) {
                true => PointFailed::Undefined,
                false => PointFailed::NoSuccess,
            }),
        };
        if value.is_ok() && Some(self.samples().len()) == self.limits.sample_size {
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
    pub fn complete(&mut self, sampling: &Sampling) {
        if self.failed != Some(PointFailed::Undefined) || !self.limits.warms_up {
            return;
        }
        let rounds = match self.samples().last() {
            Some(window) => window.iterations,
            None => {
                let rounds = self.complete_warm_up(sampling);
                self.begin_samples();
                rounds
            }
        };
        self.meter.show("measuring");
        while self.failed != Some(PointFailed::NoSuccess) && self.samples().len() < sampling.windows
        {
            self.take_succeeding(rounds);
        }
        if self.failed != Some(PointFailed::NoSuccess) {
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
                iterations: self.windows.iter().map(|window| window.iterations).sum(),
                requests: Vec::new(),
                carried_in: 0,
                carried_out: 0,
            };
            let is_over = u128::from(warm_up.wall_ns()) >= sampling.warm_up.as_nanos();
            if is_over || self.failed == Some(PointFailed::NoSuccess) {
                return sampling.iterations(&warm_up);
            }
            self.take_succeeding(1);
        }
    }

    /// Takes a window, and notes when it has no success.
    fn take_succeeding(&mut self, iterations: u64) {
        if !self.take(iterations).is_some_and(succeeded) {
            self.failed = Some(PointFailed::NoSuccess);
        }
    }

    /// From here on windows are results.
    fn begin_samples(&mut self) {
        self.warm_up = Some(self.windows.len());
        let before = self.fixture.scrape();
        self.watch = Some(Watch::start(self.fixture.runtime.handle(), LOAD_THREADS));
        self.sampler = Some(self.fixture.sample(&before));
        self.scrapes.push(before);
        if let Some(samples) = self.limits.sample_size {
            self.meter.plan(samples);
        }
    }

    /// Goes on as long as precision asks, and stops the load.
    fn end_samples(&mut self, iterations: u64) {
        if let Some(precision) = self.limits.precision {
            self.extend(iterations, precision);
        }
        self.stop();
    }

    /// The next window; `None` once the load has stopped.
    fn take(&mut self, iterations: u64) -> Option<&Window> {
        let load = self.load.as_mut()?;
        let mut window = succeeding_window(load, iterations, self.limits.patience);
        count_missing_tokens(&mut window.requests, self.fixture);
        self.windows.push(window);
        self.meter.window_done();
        self.windows.last()
    }

    /// The windows after the warm-up; none while it lasts.
    fn samples(&self) -> &[Window] {
        self.warm_up.map_or(&[], |warm_up| &self.windows[warm_up..])
    }

    /// Goes on sampling until output tok/s is known well enough, the budget is spent, or a window has no
    /// success.
    fn extend(&mut self, iterations: u64, precision: Precision) {
        loop {
            let reached = Reached::of(self.samples());
            self.precision = Some(reached);
            if reached.suffices(&precision) {
                return;
            }
            match self.take(iterations) {
                Some(window) if succeeded(window) => {}
                _ => return,
            }
        }
    }

    /// Stops the load; the server is idle when the next point begins.
    fn stop(&mut self) {
        self.watched = self.watch.take().map(Watch::stop).or(self.watched);
        if let Some(sampler) = self.sampler.take() {
            self.server_timeline = sampler.stop();
        }
        if self.load.take().is_some() {
            self.scrapes.push(self.fixture.scrape());
        }
    }

    /// Ends the point.
    pub fn finish(mut self) -> Given {
        self.stop();
        let begin = match self.warm_up {
            Some(warm_up) => warm_up,
            // What failed before the first sample has no result, but causes.
            None if self.limits.warms_up => match self.windows.last() {
                Some(last) if !succeeded(last) => self.windows.len() - 1,
                _ => self.windows.len(),
            },
            None => 0,
        };
        let windows = self.windows.split_off(begin);
        Given {
            self_check: self.watched.map(|watched| watched.check(&windows)),
            precision: self.precision,
            servers: ServersSaid {
                intervals: fixture::intervals(&self.scrapes),
                timeline: self.server_timeline,
            },
            ended_early: self.failed == Some(PointFailed::NoSuccess),
            windows,
        }
    }
}

/// How well output tok/s is known.
#[derive(Clone, Copy, Debug)]
pub struct Reached {
    /// Half of its 95 % interval, as a share of it; `None` where there is no interval.
    half_width: Option<f64>,
    /// Time sampled for it.
    sampled: Duration,
    windows: usize,
}

impl Reached {
    /// After these windows.
    pub fn of(windows: &[Window]) -> Reached {
        let sampled_ns = windows.iter().map(Window::wall_ns).sum();
        Reached {
            half_width: verdict::relative_half_width(windows).ok(),
            sampled: Duration::from_nanos(sampled_ns),
            windows: windows.len(),
        }
    }

    /// Whether no further window need be taken for `wanted`: it is reached, or its budget is spent.
    pub fn suffices(&self, wanted: &Precision) -> bool {
        let enough = self.half_width.is_some_and(|w| w <= wanted.half_width);
        enough || self.sampled >= wanted.budget
    }

    /// Whether `wanted` was reached, in words.
    pub fn describe(&self, wanted: &Precision) -> String {
        let percent = |share: f64| {
            let figure = format!("{:.3}", 100.0 * share);
            format!("{} %", figure.trim_end_matches('0').trim_end_matches('.'))
        };
        let known = self.half_width.map_or("n/a".to_owned(), percent);
        let verb = match self.half_width {
            Some(half_width) if half_width <= wanted.half_width => "was reached",
            _ => "was not reached within PRECISION_BUDGET",
        };
        format!(
            "PRECISION of {} {verb}: output tok/s is known to ±{known} after {} windows, {:.1} s",
            percent(wanted.half_width),
            self.windows,
            self.sampled.as_secs_f64()
        )
    }
}

/// Whether a request of the window succeeded.
pub fn succeeded(window: &Window) -> bool {
    window.completed().next().is_some()
}

/// A window with at least one success, or what there is after many failures.
pub fn succeeding_window(load: &mut impl Rounds, iterations: u64, patience: Duration) -> Window {
    let begin = Instant::now();
    let mut window = load.window(iterations);
    while window.completed().next().is_none()
        && !window.requests.is_empty()
        && window.requests.len() < FAILURES_IN_A_ROW
        && begin.elapsed() < patience
    {
        window.extend(load.window(iterations));
    }
    window
}

/// Counts the output tokens of requests whose server did not say. Where the tokenizer is a server's, the load
/// must be over.
pub fn count_missing_tokens<'r>(
    requests: impl IntoIterator<Item = &'r mut RequestRecord>,
    fixture: &Fixture,
) {
    let uncounted = Vec::from_iter(requests.into_iter().filter_map(uncounted));
    let texts = uncounted.iter().map(|uncounted| uncounted.text);
    let counts = fixture.count_outputs(&Vec::from_iter(texts));
    for (uncounted, count) in uncounted.into_iter().zip(counts) {
        *uncounted.count = count;
    }
}

/// Lets content events stand for output tokens that can only be counted when the load is over. Good for how
/// much tok/s varies, and nothing else: [`count_missing_tokens`] replaces it.
pub fn estimate_missing_tokens(requests: &mut [RequestRecord]) {
    for record in requests {
        if let Some(uncounted) = uncounted(record) {
            *uncounted.count = u32::try_from(uncounted.events).ok().filter(|n| *n > 0);
        }
    }
}

/// An answer whose server did not say how many tokens it has.
struct Uncounted<'r> {
    text: &'r str,
    events: usize,
    count: &'r mut Option<u32>,
}

fn uncounted(record: &mut RequestRecord) -> Option<Uncounted<'_>> {
    match &mut record.outcome {
        Outcome::Completed(completion) if completion.usage_output.is_none() => Some(Uncounted {
            text: completion.text.as_deref()?,
            events: completion.content_ns.len(),
            count: &mut completion.counted_output,
        }),
        _ => None,
    }
}

/// Hands out the windows of a finished load, one per sample, for another metric.
pub struct Replay<'a> {
    windows: &'a [Window],
    next: usize,
    phase: Option<u32>,
    phases: usize,
}

impl<'a> Replay<'a> {
    /// Replays `windows`; `None` where the metric is not defined for every one of them.
    pub fn new(metric: Metric, windows: &'a [Window]) -> Option<Replay<'a>> {
        let defined = |w| measurement::value(metric, w).is_some();
        (!windows.is_empty() && windows.iter().all(defined)).then_some(Replay {
            windows,
            next: 0,
            phase: None,
            phases: 0,
        })
    }

    /// Iterations of a sample of the live run.
    pub fn iterations(&self) -> u64 {
        self.windows[0].iterations
    }

    /// The next window's value × `iterations`; the samples begin anew after the warm-up.
    pub fn sample(&mut self, metric: Metric, iterations: u64, phase: &Phase) -> f64 {
        let begin = Instant::now();
        if self.phase.replace(phase.current()) != Some(phase.current()) {
            self.phases += 1;
            // The second phase is the one after the warm-up; `--quick` has many more.
            if self.phases == 2 {
                self.next = 0;
            }
        }
        let window = &self.windows[self.next % self.windows.len()];
        self.next += 1;
        // `new` has seen that every window has a value.
        let value = measurement::value(metric, window).unwrap_or(f64::NAN);
        while begin.elapsed() < REPLAY_PACE.saturating_mul(iterations.min(1_000) as u32) {
            std::hint::spin_loop();
        }
        value * iterations as f64
    }
}
