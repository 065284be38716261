//! The windows of a load that is over, handed to Criterion for a further metric.

use std::time::{Duration, Instant};

use crate::config::Metric;
use crate::load::Window;
use crate::measurement::{self, Phase};

/// Time that a replayed iteration takes, so that Criterion can plan from it.
pub const REPLAY_PACE: Duration = Duration::from_micros(50);

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
    pub fn rounds(&self) -> u64 {
        self.windows[0].rounds
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
