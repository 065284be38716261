//! The share of requests that failed: a figure of its own, as those of the others are of the successful
//! requests alone.

use statrs::distribution::{ContinuousCDF, Normal};

use super::Change;
use crate::client::Outcome;
use crate::load::Window;
use crate::results::RunRecord;

/// Requests of one side of a point, and how many of them failed.
#[derive(Clone, Debug, Default)]
pub(super) struct Failures {
    failed: f64,
    requests: f64,
    /// The same, window by window.
    windows: Vec<(f64, f64)>,
}

/// 97.5 % of a standard normal distribution lie below it.
const QUANTILE: f64 = 1.959_964;

impl Failures {
    /// Over these records of a side and the windows of their runs, blocked requests left out.
    pub fn of(records: &[RunRecord], runs: &[Vec<Window>]) -> Failures {
        let failures = records.iter().flat_map(|record| &record.failures);
        let failed = failures.map(|failure| failure.count).sum::<usize>() as f64;
        let summaries = records.iter().filter_map(|record| record.summary.as_ref());
        let completed = summaries.map(|summary| summary.completed).sum::<usize>() as f64;
        let mut windows: Vec<(f64, f64)> = runs.iter().flatten().map(count).collect();
        if windows.iter().map(|window| window.0).sum::<f64>() != failed {
            // A record without its requests tells nothing of single windows.
            windows.clear();
        }
        Failures {
            failed,
            requests: failed + completed,
            windows,
        }
    }

    /// How many of all requests failed, as a share.
    pub fn share(&self) -> f64 {
        self.failed / self.requests.max(1.0)
    }
}

/// Failed requests, and all but blocked ones.
fn count(window: &Window) -> (f64, f64) {
    window
        .requests
        .iter()
        .fold((0.0, 0.0), |(failed, all), request| match request.outcome {
            Outcome::Completed(_) => (failed, all + 1.0),
            Outcome::Failed(_) => (failed + 1.0, all + 1.0),
            Outcome::Blocked(_) => (failed, all),
        })
}

/// The change of the share, in percent of the requests: `relative` and its interval are the *difference* of
/// the shares, as a ratio to no failure is undefined. `None` where a side sent nothing.
///
/// The interval is Newcombe's (1998, method 10), the p-value that of the pooled z-test with Yates's
/// correction. Failures come in bursts: where the windows of a side differ by more than chance, each
/// request counts for less (a quasi-binomial dispersion, never below one).
pub(super) fn change(before: &Failures, after: &Failures) -> Option<Change> {
    if before.requests == 0.0 || after.requests == 0.0 {
        return None;
    }
    let dispersion = dispersion([before, after]);
    let sizes = [before.requests / dispersion, after.requests / dispersion];
    let shares = [before.share(), after.share()];
    let difference = shares[1] - shares[0];
    let [first, second] = [0, 1].map(|side| wilson(shares[side], sizes[side]));
    let spread = |a: f64, b: f64| a.hypot(b);
    Some(Change {
        before: 100.0 * shares[0],
        after: 100.0 * shares[1],
        relative: difference,
        interval: (
            difference - spread(shares[1] - second.0, first.1 - shares[0]),
            difference + spread(second.1 - shares[1], shares[0] - first.0),
        ),
        p_value: p_value(shares, sizes),
    })
}

/// By how much failures differ from window to window beyond chance (Pearson's statistic ÷ its degrees of
/// freedom), at least 1.
fn dispersion(sides: [&Failures; 2]) -> f64 {
    let (mut statistic, mut freedom) = (0.0, 0.0);
    for side in sides {
        let share = side.share();
        // Without failures, or with nothing else, no window differs from another.
        if share <= 0.0 || share >= 1.0 {
            continue;
        }
        for (failed, requests) in side.windows.iter().filter(|window| window.1 > 0.0) {
            let variance = requests * share * (1.0 - share);
            statistic += (failed - requests * share).powi(2) / variance;
            freedom += 1.0;
        }
        freedom -= f64::from(!side.windows.is_empty());
    }
    match freedom > 0.0 {
        true => f64::max(statistic / freedom, 1.0),
        false => 1.0,
    }
}

/// Wilson's 95 % interval of a share of `size` requests.
fn wilson(share: f64, size: f64) -> (f64, f64) {
    let square = QUANTILE * QUANTILE;
    let centre = share + square / (2.0 * size);
    let half = QUANTILE * (share * (1.0 - share) / size + square / (4.0 * size * size)).sqrt();
    let scale = 1.0 + square / size;
    (
        ((centre - half) / scale).max(0.0),
        ((centre + half) / scale).min(1.0),
    )
}

fn p_value(shares: [f64; 2], sizes: [f64; 2]) -> f64 {
    let pooled = (shares[0] * sizes[0] + shares[1] * sizes[1]) / (sizes[0] + sizes[1]);
    let each = 1.0 / sizes[0] + 1.0 / sizes[1];
    let deviation = (pooled * (1.0 - pooled) * each).sqrt();
    let distance = ((shares[1] - shares[0]).abs() - each / 2.0).max(0.0);
    match deviation > 0.0 {
        true => (2.0 * Normal::standard().sf(distance / deviation)).min(1.0),
        false => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Windows of 50 requests with so many failures each.
    fn side(failed: &[u32]) -> Failures {
        let windows: Vec<(f64, f64)> = failed.iter().map(|f| (f64::from(*f), 50.0)).collect();
        Failures {
            failed: windows.iter().map(|window| window.0).sum(),
            requests: windows.iter().map(|window| window.1).sum(),
            windows,
        }
    }

    #[test]
    fn the_change_is_the_difference_of_the_shares() {
        let change = change(&side(&[0; 10]), &side(&[10; 10])).expect("requests");
        assert_eq!((change.before, change.after), (0.0, 20.0));
        assert!((change.relative - 0.2).abs() < 1e-12);
        assert!(
            change.interval.0 > 0.15 && change.interval.1 < 0.25,
            "{change:?}"
        );
        assert!(change.p_value < 1e-9, "{change:?}");
    }

    #[test]
    fn newcombes_published_example_is_met() {
        // 56/70 against 48/80: difference 0.2, 95 % interval 0.0524 to 0.3339 (Newcombe 1998, table II, method 10).
        let of = |failed: f64, requests: f64| Failures {
            failed,
            requests,
            windows: vec![(failed, requests)],
        };
        let change = change(&of(48.0, 80.0), &of(56.0, 70.0)).expect("requests");
        assert!((change.interval.0 - 0.0524).abs() < 5e-4, "{change:?}");
        assert!((change.interval.1 - 0.3339).abs() < 5e-4, "{change:?}");
    }

    #[test]
    fn equal_shares_and_a_single_failure_are_no_change() {
        for after in [&[0; 10][..], &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0]] {
            let change = change(&side(&[0; 10]), &side(after)).expect("requests");
            assert!(change.p_value > 0.3, "{change:?}");
            assert!(
                change.interval.0 <= 0.0 && change.interval.1 >= 0.0,
                "{change:?}"
            );
        }
        assert_eq!(change(&side(&[]), &side(&[1])), None);
    }

    #[test]
    fn a_burst_in_one_window_tells_less_than_as_many_failures_all_along() {
        let steady = change(&side(&[0; 10]), &side(&[3; 10])).expect("requests");
        let mut burst = [0; 10];
        burst[4] = 30;
        let burst = change(&side(&[0; 10]), &side(&burst)).expect("requests");
        assert!(
            burst.p_value > 100.0 * steady.p_value,
            "{burst:?} {steady:?}"
        );
        assert!(burst.interval.1 > steady.interval.1);
    }
}
