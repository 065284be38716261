//! How long a point may be measured at most: a replica that stands still must not stretch it without bound.

use std::time::{Duration, Instant};

use crate::load::{Sampling, Window};
use crate::metrics::latency;

/// A point may take so many times what it is planned to take,
const TIMES: u32 = 5;

/// and this much more, or `REQUEST_TIMEOUT` where that is shorter.
const SPARE: Duration = Duration::from_secs(30);

/// The longest that a point's windows may take together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    planned: Duration,
    spare: Duration,
}

impl Budget {
    /// Of a point sampled so, as its warm-up shows: windows of `rounds` rounds, each round about as long as a
    /// request takes. Time that `PRECISION` may take is planned, too.
    pub fn after(
        warm_up: &[Window],
        sampling: &Sampling,
        rounds: u64,
        precision: Duration,
        request_timeout: Duration,
    ) -> Budget {
        let latencies = warm_up.iter().flat_map(Window::completed);
        let mut latencies = Vec::from_iter(latencies.map(|request| latency::e2el_ns(&request)));
        latencies.sort_unstable_by(f64::total_cmp);
        // The median: a replica may stand still in the warm-up already.
        let round_ns = latencies.get(latencies.len() / 2).copied().unwrap_or(0.0);
        let windows_ns = sampling.windows as f64 * rounds as f64 * round_ns;
        let windows = Duration::from_nanos(windows_ns as u64);
        Budget {
            planned: windows.max(sampling.measurement) + precision,
            spare: SPARE.min(request_timeout),
        }
    }

    /// The whole of it.
    pub fn whole(&self) -> Duration {
        self.planned
            .saturating_mul(TIMES)
            .saturating_add(self.spare)
    }

    /// When it is spent; never where that is beyond what the clock can say.
    pub fn over_at(&self) -> Option<Instant> {
        Instant::now().checked_add(self.whole())
    }

    /// Returns the note of a point whose budget ran out after `windows` whole windows.
    pub fn spent(&self, windows: usize, wanted: usize) -> String {
        format!(
            "ended early: its time is over, {:.1} s ({TIMES} × the {:.1} s planned, and {:.0} s); figures are of {windows} of {wanted} windows",
            self.whole().as_secs_f64(),
            self.planned.as_secs_f64(),
            self.spare.as_secs_f64()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::window_tests::{completed, window};

    const SECOND: u64 = 1_000_000_000;

    fn budget(latencies_s: &[u64], rounds: u64) -> Budget {
        let requests = latencies_s.iter().map(|s| completed(0, 1, s * SECOND, 4));
        let warm_up = [window(requests.collect(), 0, 0)];
        let sampling = Sampling {
            warm_up: Duration::from_secs(1),
            measurement: Duration::from_secs(3),
            windows: 10,
        };
        Budget::after(
            &warm_up,
            &sampling,
            rounds,
            Duration::ZERO,
            Duration::from_secs(600),
        )
    }

    #[test]
    fn it_is_five_times_the_plan_and_half_a_minute() {
        let seconds = |budget: Budget| budget.whole().as_secs();
        assert_eq!(seconds(budget(&[], 1)), 5 * 3 + 30, "as asked for");
        assert_eq!(
            seconds(budget(&[1, 1, 1], 2)),
            5 * 20 + 30,
            "as the warm-up shows"
        );
        assert_eq!(
            seconds(budget(&[1, 1, 500], 1)),
            5 * 10 + 30,
            "one that stood still"
        );
        let said = budget(&[1, 1, 1], 1).spent(3, 10);
        let words = "its time is over, 80.0 s (5 × the 10.0 s planned, and 30 s); figures are of 3 of 10 windows";
        assert!(said.contains(words), "{said}");
    }

    #[test]
    fn a_short_request_timeout_shortens_it() {
        let sampling = Sampling::DEFAULT;
        let timeout = Duration::from_secs(2);
        let budget = Budget::after(&[], &sampling, 1, Duration::ZERO, timeout);
        assert_eq!(budget.whole(), Duration::from_millis(12_500) + timeout);
        let long = Budget::after(&[], &sampling, 1, Duration::MAX / 2, timeout);
        assert_eq!(long.over_at(), None);
    }
}
