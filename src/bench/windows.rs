//! The windows of a point's load: driven live by the first metric, replayed for the others.

use std::panic::resume_unwind;
use std::time::{Duration, Instant};

use super::target::Serving;
use crate::client::{Outcome, RequestRecord};
use crate::config::Metric;
use crate::fixture::{Fixture, LOAD_THREADS};
use crate::load::{Load, SelfCheck, Watch, Watched, Window};
use crate::measurement::{self, Phase};

/// A window without any success is taken again until this many requests have failed in a row.
pub const FAILURES_IN_A_ROW: usize = 20;

/// Time that a replayed iteration takes, so that Criterion can plan from it.
pub const REPLAY_PACE: Duration = Duration::from_micros(50);

/// Thrown through Criterion, which has no other way to end a benchmark early.
pub struct PointFailed;

/// A load under way, and the windows it has given.
pub struct Live<'a> {
    load: Option<Load<Serving>>,
    fixture: &'a Fixture,
    /// Samples after which the load may stop.
    sample_size: Option<usize>,
    /// No success within this time, and the point has failed.
    patience: Duration,
    windows: Vec<(u32, Window)>,
    /// Set while samples are taken.
    watch: Option<Watch>,
    watched: Option<Watched>,
    on_boundary: Box<dyn FnMut() + 'a>,
}

impl<'a> Live<'a> {
    /// Takes over a load that has just started.
    ///
    /// `on_boundary` is called between warm-up and samples, and after the last sample.
    pub fn new(
        load: Load<Serving>,
        fixture: &'a Fixture,
        sample_size: Option<usize>,
        patience: Duration,
        on_boundary: impl FnMut() + 'a,
    ) -> Live<'a> {
        Live {
            load: Some(load),
            fixture,
            sample_size,
            patience,
            windows: Vec::new(),
            watch: None,
            watched: None,
            on_boundary: Box::new(on_boundary),
        }
    }

    /// Drives the load for `iterations` rounds; returns the metric's value × `iterations`.
    ///
    /// Unwinds with [`PointFailed`] when no request succeeds.
    pub fn sample(&mut self, metric: Metric, iterations: u64, phase: &Phase) -> f64 {
        let phase = phase.current();
        let first = self.windows.first().map_or(phase, |(first, _)| *first);
        let samples = self.windows.iter().filter(|(p, _)| *p != first).count();
        if phase != first && samples == 0 {
            (self.on_boundary)();
            self.watch = Some(Watch::start(self.fixture.runtime.handle(), LOAD_THREADS));
        }
        let Some(load) = &mut self.load else {
            resume_unwind(Box::new(PointFailed));
        };
        let mut window = succeeding_window(load, iterations, self.patience);
        count_missing_tokens(&mut window.requests, self.fixture);
        let value = measurement::value(metric, &window);
        self.windows.push((phase, window));
        if phase != first && Some(samples + 1) == self.sample_size {
            self.stop();
        }
        match value {
            Some(value) => value * iterations as f64,
            None => resume_unwind(Box::new(PointFailed)),
        }
    }

    /// Stops the load; the server is idle when the next point begins.
    fn stop(&mut self) {
        self.watched = self.watch.take().map(Watch::stop).or(self.watched);
        if self.load.take().is_some() {
            (self.on_boundary)();
        }
    }

    /// Ends the point: the windows that Criterion sampled, warm-up left out, and whether the
    /// client kept up meanwhile.
    pub fn finish(mut self) -> (Vec<Window>, Option<SelfCheck>) {
        self.stop();
        let warm_up = match (self.windows.first(), self.windows.last()) {
            (Some((first, _)), Some((last, _))) if first != last => Some(*first),
            // A single phase: a test run, which has no warm-up.
            _ => None,
        };
        let windows: Vec<Window> = self
            .windows
            .into_iter()
            .filter(|(phase, _)| Some(*phase) != warm_up)
            .map(|(_, window)| window)
            .collect();
        let self_check = self.watched.map(|watched| watched.check(&windows));
        (windows, self_check)
    }
}

/// A window with at least one success, or what there is after many failures.
fn succeeding_window(load: &mut Load<Serving>, iterations: u64, patience: Duration) -> Window {
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

/// Counts the output tokens of requests whose server did not say, now that nothing is being timed.
pub fn count_missing_tokens(requests: &mut [RequestRecord], fixture: &Fixture) {
    for record in requests {
        if let Outcome::Completed(completion) = &mut record.outcome
            && completion.usage_output.is_none()
            && let Some(text) = &completion.text
        {
            completion.counted_output = fixture.count_output(text);
        }
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
