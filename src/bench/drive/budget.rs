//! How long a point may be measured at most: a replica that stands still must not stretch it without bound.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::bench::point::Point;
use crate::client::CompletedRequest;
use crate::load::Sampling;
use crate::metrics::latency;

/// A point may take so many times what it is planned to take,
const TIMES: u32 = 5;

/// and this much more, or `REQUEST_TIMEOUT` where that is shorter.
const SPARE: Duration = Duration::from_secs(30);

/// Rounds that are planned for a warm-up: it ends with a round, which is as long as its slowest request.
const WARM_UP_ROUNDS: u32 = 10;

/// The longest that a part of a point may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    planned: Duration,
    spare: Duration,
}

/// A budget that was over before its part of the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// The warm-up's.
    WarmUp(Budget),
    /// The windows'.
    Windows(Budget),
}

/// What the budgets of a point follow from, besides the latencies of its requests.
#[derive(Clone, Copy, Debug)]
pub struct BudgetPlan {
    sampling: Sampling,
    /// The shortest round: time between two arrivals of an open loop.
    gap: Duration,
    /// Time in which the rate of an open loop rises, a part of the warm-up.
    ramp: Duration,
    request_timeout: Duration,
}

impl Budget {
    /// The whole of it.
    pub fn whole(&self) -> Duration {
        self.planned
            .saturating_mul(TIMES)
            .saturating_add(self.spare)
    }

    /// When it is over, if it begins at `start`; never where that is beyond what the clock can say.
    pub fn over_at(&self, start: Instant) -> Option<Instant> {
        start.checked_add(self.whole())
    }
}

impl Spent {
    /// Why the point's record is partial, if its figures are those of a warm-up.
    pub fn in_warm_up(&self) -> Option<&'static str> {
        match self {
            Spent::WarmUp(_) => Some("its time was over in its warm-up"),
            Spent::Windows(_) => None,
        }
    }

    /// The note of the point, which has figures of `windows` windows.
    pub fn describe(&self, windows: usize, wanted: usize) -> String {
        let (Spent::WarmUp(budget) | Spent::Windows(budget)) = self;
        let time = format!(
            "its time is over, {:.1} s ({TIMES} × the {:.1} s planned, and {:.0} s)",
            budget.whole().as_secs_f64(),
            budget.planned.as_secs_f64(),
            budget.spare.as_secs_f64()
        );
        match self {
            _ if windows == 0 => time,
            Spent::WarmUp(_) => {
                format!("ended early, in its warm-up: {time}; figures are of the warm-up")
            }
            Spent::Windows(_) => {
                format!("ended early: {time}; figures are of {windows} of {wanted} windows")
            }
        }
    }
}

impl BudgetPlan {
    /// The plan of a point whose load is sampled so.
    pub fn of(point: &Point<'_>, sampling: Sampling) -> BudgetPlan {
        let config = &point.context.config;
        BudgetPlan {
            sampling,
            gap: point.gap(),
            ramp: config.ramp.map_or(Duration::ZERO, |ramp| ramp.duration),
            request_timeout: config.request_timeout,
        }
    }

    /// The same plan of a process that sends every nth arrival.
    pub fn of_one_in(self, processes: usize) -> BudgetPlan {
        let processes = u32::try_from(processes).unwrap_or(u32::MAX);
        BudgetPlan {
            gap: self.gap.saturating_mul(processes),
            ..self
        }
    }

    /// The budget of a warm-up, after requests of this latency.
    pub fn warm_up(&self, latency: Duration) -> Budget {
        let rounds = self.round(latency).saturating_mul(WARM_UP_ROUNDS);
        self.budget(self.ramp.saturating_add(self.sampling.warm_up.max(rounds)))
    }

    /// The budget of the windows, of `rounds` rounds each, after requests of this latency. `precision` is the time
    /// that may be added until the figures are precise.
    pub fn windows(&self, latency: Duration, rounds: u64, precision: Duration) -> Budget {
        let windows = self.sampling.windows as f64 * rounds as f64;
        let windows = seconds(windows * self.round(latency).as_secs_f64());
        self.budget(windows.max(self.sampling.measurement) + precision)
    }

    /// The budget of two loads in turns, each of which is warmed up before each of its windows.
    pub fn turns(&self, latency: Duration, rounds: u64) -> Budget {
        let windows = self.windows(latency, rounds, Duration::ZERO).planned;
        let warm_up = self.sampling.warm_up.max(self.round(latency)) + self.ramp;
        let warm_ups = seconds(self.sampling.windows as f64 * warm_up.as_secs_f64());
        self.budget(windows.saturating_add(warm_ups).saturating_mul(2))
    }

    /// A round is about as long as a request takes, or as the next arrival.
    fn round(&self, latency: Duration) -> Duration {
        latency.max(self.gap)
    }

    fn budget(&self, planned: Duration) -> Budget {
        Budget {
            planned,
            spare: SPARE.min(self.request_timeout),
        }
    }
}

/// The median latency of these requests, as a replica may stand still already; zero for none.
pub fn median_latency(requests: impl Iterator<Item = CompletedRequest>) -> Duration {
    let mut latencies = Vec::from_iter(requests.map(|request| latency::e2el_ns(&request)));
    latencies.sort_unstable_by(f64::total_cmp);
    let median_ns = latencies.get(latencies.len() / 2).copied().unwrap_or(0.0);
    Duration::from_nanos(median_ns as u64)
}

/// The longest duration for a number that no duration holds.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::window_tests::completed;

    const SECOND: Duration = Duration::from_secs(1);

    fn plan() -> BudgetPlan {
        BudgetPlan {
            sampling: Sampling {
                warm_up: SECOND,
                measurement: 3 * SECOND,
                windows: 10,
            },
            gap: Duration::ZERO,
            ramp: Duration::ZERO,
            request_timeout: 600 * SECOND,
        }
    }

    #[test]
    fn it_is_five_times_the_plan_and_half_a_minute() {
        let windows = |latency, rounds| {
            let budget = plan().windows(latency, rounds, Duration::ZERO);
            budget.whole().as_secs()
        };
        assert_eq!(windows(Duration::ZERO, 1), 5 * 3 + 30, "as asked for");
        assert_eq!(windows(SECOND, 2), 5 * 20 + 30, "as the requests show");
        let warm_up = |latency| plan().warm_up(latency).whole().as_secs();
        assert_eq!(warm_up(SECOND / 100), 5 + 30, "as asked for");
        assert_eq!(warm_up(SECOND), 5 * 10 + 30, "as the requests show");
        let turns = plan().turns(SECOND / 100, 20);
        assert_eq!(turns.whole().as_secs(), 5 * 2 * (3 + 10) + 30);
    }

    #[test]
    fn a_request_that_stood_still_does_not_stretch_it() {
        let requests = [1, 1, 500].map(|s| completed(0, 1, s * 1_000_000_000, 4));
        let requests = requests.into_iter().filter_map(|r| r.completed());
        assert_eq!(median_latency(requests), SECOND);
        assert_eq!(median_latency(std::iter::empty()), Duration::ZERO);
    }

    #[test]
    fn rounds_of_an_open_loop_are_as_long_as_its_gaps() {
        let plan = BudgetPlan {
            gap: 10 * SECOND,
            ramp: 7 * SECOND,
            ..plan()
        };
        let windows = plan.windows(SECOND, 1, Duration::ZERO);
        assert_eq!(windows.whole().as_secs(), 5 * 100 + 30);
        assert_eq!(plan.warm_up(SECOND).whole().as_secs(), 5 * 107 + 30);
        let windows = plan.of_one_in(3).windows(SECOND, 1, Duration::ZERO);
        assert_eq!(windows.whole().as_secs(), 5 * 300 + 30);
    }

    #[test]
    fn a_short_request_timeout_shortens_it() {
        let plan = BudgetPlan {
            request_timeout: 2 * SECOND,
            ..plan()
        };
        let budget = plan.windows(Duration::ZERO, 1, Duration::ZERO);
        assert_eq!(budget.whole(), 15 * SECOND + 2 * SECOND);
        let long = plan.windows(Duration::ZERO, 1, Duration::MAX / 2);
        assert_eq!(long.over_at(Instant::now()), None);
    }

    #[test]
    fn its_note_says_how_it_was_counted_and_what_the_figures_are_of() {
        let budget = plan().windows(SECOND, 1, Duration::ZERO);
        let said = Spent::Windows(budget).describe(3, 10);
        let time = "its time is over, 80.0 s (5 × the 10.0 s planned, and 30 s)";
        let words = format!("ended early: {time}; figures are of 3 of 10 windows");
        assert_eq!(said, words);
        let said = Spent::WarmUp(budget).describe(1, 10);
        let words = format!("ended early, in its warm-up: {time}; figures are of the warm-up");
        assert_eq!(said, words);
        assert_eq!(Spent::Windows(budget).describe(0, 10), time);
    }
}
