//! The share of failed requests: a figure of its own, as the others are of the successful requests only.

use statrs::distribution::{ContinuousCDF, Normal};

use super::Change;
use crate::client::Outcome;
use crate::load::Window;
use crate::results::RunRecord;

/// Numbers of requests and failed requests of one side of a point.
#[derive(Clone, Debug, Default)]
pub(super) struct Failures {
    failed: u64,
    requests: u64,
    /// Both for each window.
    windows: Vec<(u64, u64)>,
}

/// 97.5 % of a standard normal distribution lie below it.
const QUANTILE: f64 = 1.959_964;

impl Failures {
    /// Counts over the records of a side and the windows of their runs, without blocked requests.
    pub fn of(records: &[RunRecord], runs: &[Vec<Window>]) -> Failures {
        let failures = records.iter().flat_map(|record| &record.failures);
        let failed = total(failures.map(|failure| failure.count as u64));
        let summaries = records.iter().filter_map(|record| record.summary.as_ref());
        let completed = total(summaries.map(|summary| summary.completed as u64));
        let mut windows: Vec<(u64, u64)> = runs.iter().flatten().map(count).collect();
        if total(windows.iter().map(|window| window.0)) != failed {
            // A record without its requests has no counts of single windows.
            windows.clear();
        }
        Failures {
            failed,
            requests: failed.saturating_add(completed),
            windows,
        }
    }

    /// The share of failed requests.
    pub fn share(&self) -> f64 {
        self.failed as f64 / self.requests.max(1) as f64
    }
}

/// The sum of counts; a damaged record may contain any.
fn total(counts: impl Iterator<Item = u64>) -> u64 {
    counts.fold(0, u64::saturating_add)
}

/// Numbers of failed requests, and of all except blocked ones.
fn count(window: &Window) -> (u64, u64) {
    window
        .requests
        .iter()
        .fold((0, 0), |(failed, all), request| match request.outcome {
            Outcome::Completed(_) => (failed, all + 1),
            Outcome::Failed(_) => (failed + 1, all + 1),
            Outcome::Blocked(_) => (failed, all),
        })
}

/// The change of the share, in percent of the requests: `relative` and its interval are the *difference* of
/// the shares, as a ratio to zero failures is undefined. `None` if a side sent nothing.
///
/// The interval is Newcombe's (1998, method 10), the p-value that of the pooled z-test with Yates's
/// correction. Failures come in bursts: if the windows of a side differ by more than chance, each
/// request has less weight (a quasi-binomial dispersion, never below one).
pub(super) fn change(before: &Failures, after: &Failures) -> Option<Change> {
    if before.requests == 0 || after.requests == 0 {
        return None;
    }
    let dispersion = dispersion([before, after]);
    let sizes = [before, after].map(|side| side.requests as f64 / dispersion);
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

/// Overdispersion of failures between windows (Pearson's statistic ÷ its degrees of
/// freedom), at least 1.
fn dispersion(sides: [&Failures; 2]) -> f64 {
    let (mut statistic, mut freedom) = (0.0, 0.0);
    for side in sides {
        let share = side.share();
        // Without failures, or with failures only, windows do not differ.
        if share <= 0.0 || share >= 1.0 {
            continue;
        }
        for (failed, requests) in side.windows.iter().filter(|window| window.1 > 0) {
            let (failed, requests) = (*failed as f64, *requests as f64);
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
        let windows: Vec<(u64, u64)> = failed.iter().map(|f| (u64::from(*f), 50)).collect();
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
        let of = |failed: u64, requests: u64| Failures {
            failed,
            requests,
            windows: vec![(failed, requests)],
        };
        let change = change(&of(48, 80), &of(56, 70)).expect("requests");
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
