//! How well output tok/s is known, for `PRECISION`.

use std::time::Duration;

use crate::config::Precision;
use crate::load::Window;
use crate::verdict;

/// How well output tok/s is known.
#[derive(Clone, Copy, Debug)]
pub struct PrecisionReached {
    /// Half of the 95 % interval, as a share of the figure; `None` without an interval.
    half_width: Option<f64>,
    /// Time sampled for it.
    sampled: Duration,
    windows: usize,
}

impl PrecisionReached {
    /// After these windows.
    pub fn of(windows: &[Window]) -> PrecisionReached {
        let sampled_ns = Window::total_wall_ns(windows);
        PrecisionReached {
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
