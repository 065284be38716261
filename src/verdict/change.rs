//! Two sides of one figure: the change, its interval and its p-value.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::blocks::LogEstimate;

/// How a figure changed from one side to the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// The figure before, in its unit; for several runs their geometric mean.
    pub before: f64,
    /// The figure after.
    pub after: f64,
    /// After ÷ before − 1.
    pub relative: f64,
    /// The 95 % interval of `relative`.
    pub interval: (f64, f64),
    /// Probability of a change at least as large, up or down, if there is none.
    pub p_value: f64,
}

/// Weight of the assumption, in degrees of freedom of measured differences between runs: small, as machines
/// differ much in this.
const ASSUMED_WEIGHT: f64 = 3.0;

/// Degrees of freedom of the assumption where it stands alone: it is trusted almost completely.
const ASSUMED_ALONE: f64 = 12.0;

/// Share of the difference between runs that remains for two servers measured in turns: they share the
/// machine and the hour, but not the server process.
const LEFT_IN_TURNS: f64 = 0.6;

/// A term of a variance, with its own degrees of freedom.
#[derive(Clone, Copy, Debug)]
struct VarianceTerm {
    variance: f64,
    freedom: f64,
}

/// The change between independent runs of two sides. Runs are assumed to differ by `assumed`, the standard
/// deviation of the figure's logarithm, as far as they do not show otherwise.
pub(super) fn between(before: &[LogEstimate], after: &[LogEstimate], assumed: f64) -> Change {
    let run = between_runs(&[before, after], assumed);
    let share = 1.0 / before.len() as f64 + 1.0 / after.len() as f64;
    let terms = [
        VarianceTerm {
            variance: run.variance * share,
            ..run
        },
        within_runs(before),
        within_runs(after),
    ];
    change(mean_log(before), mean_log(after), &terms)
}

/// The change between two sides that ran in turns. `ratios` are after ÷ before, and `befores` the figure
/// before, of each run.
pub(super) fn interleaved(befores: &[LogEstimate], ratios: &[LogEstimate], assumed: f64) -> Change {
    // A ratio has the offsets of two servers.
    let assumed = LEFT_IN_TURNS * assumed * std::f64::consts::SQRT_2;
    let run = between_runs(&[ratios], assumed);
    let terms = [
        VarianceTerm {
            variance: run.variance / ratios.len() as f64,
            ..run
        },
        within_runs(ratios),
    ];
    let before = mean_log(befores);
    change(before, before + mean_log(ratios), &terms)
}

/// The logarithm of a figure, and its distances to the ends of its 95 % interval.
#[derive(Clone, Copy, Debug)]
pub struct LogRange {
    /// Logarithm of the value.
    pub log_value: f64,
    /// Distance to the lower end.
    pub below: f64,
    /// Distance to the upper end.
    pub above: f64,
}

/// The change between independent runs whose figures have intervals of their own, such as those of a search: MOVER
/// (Zou and Donner 2008), with the variance between runs as a further term.
///
/// A change is less than it seems if the figure before may be smaller and the one after greater, so each end of its
/// interval has the distances on one side only.
pub(super) fn between_ranges(before: &[LogRange], after: &[LogRange], assumed: f64) -> Change {
    let mean = |range: &LogRange| (range.below + range.above) / 2.0;
    let [before_mean, after_mean] = [before, after].map(|runs| within(runs, mean));
    let run = between_runs(&[&before_mean, &after_mean], assumed);
    let share = 1.0 / before.len() as f64 + 1.0 / after.len() as f64;
    let run = VarianceTerm {
        variance: run.variance * share,
        ..run
    };
    let terms = |of_before: Reach, of_after: Reach| {
        [
            run,
            within_runs(&within(before, of_before)),
            within_runs(&within(after, of_after)),
        ]
    };
    let lower = terms(|range| range.above, |range| range.below);
    let upper = terms(|range| range.below, |range| range.above);
    let before = mean_log(&before_mean);
    let effect = mean_log(&after_mean) - before;
    let towards_none = if effect > 0.0 { &lower } else { &upper };
    Change {
        before: before.exp(),
        after: (before + effect).exp(),
        relative: effect.exp_m1(),
        interval: (
            (effect - half_width(&lower)).exp_m1(),
            (effect + half_width(&upper)).exp_m1(),
        ),
        p_value: p_value(effect, towards_none),
    }
}

type Reach = fn(&LogRange) -> f64;

/// The runs as if their errors were normal, with the distance `reach` to the end of the interval.
fn within(runs: &[LogRange], reach: Reach) -> Vec<LogEstimate> {
    let estimate = |range: &LogRange| LogEstimate {
        log_value: range.log_value,
        variance: (reach(range) / NORMAL).powi(2),
        freedom: f64::INFINITY,
    };
    runs.iter().map(estimate).collect()
}

/// The 97.5th percentile of the standard normal distribution.
const NORMAL: f64 = 1.959_963_985;

/// Variance between runs, over the sides: estimated from the runs, moderated by the assumption.
///
/// The spread of the runs' own estimates, less what the variance within them explains, is weighed
/// against the assumption by degrees of freedom (Smyth 2004, eq. 3). With one run on each side the
/// assumption stands alone; with three runs on each the runs outweigh it.
fn between_runs(sides: &[&[LogEstimate]], assumed: f64) -> VarianceTerm {
    let freedom: usize = sides.iter().map(|runs| runs.len() - 1).sum();
    let squares = |runs: &&[LogEstimate]| -> f64 {
        let mean = mean_log(runs);
        runs.iter().map(|run| (run.log_value - mean).powi(2)).sum()
    };
    let runs = || sides.iter().flat_map(|runs| runs.iter());
    let within = runs().map(|run| run.variance).sum::<f64>() / runs().count() as f64;
    let assumed = assumed * assumed;
    if freedom == 0 {
        return VarianceTerm {
            variance: assumed,
            freedom: ASSUMED_ALONE,
        };
    }
    let spread = sides.iter().map(squares).sum::<f64>() / freedom as f64;
    let seen = (spread - within).max(0.0);
    let total = ASSUMED_WEIGHT + freedom as f64;
    VarianceTerm {
        variance: (ASSUMED_WEIGHT * assumed + freedom as f64 * seen) / total,
        freedom: total,
    }
}

/// Variance of the mean over `runs` due to the variance within them.
fn within_runs(runs: &[LogEstimate]) -> VarianceTerm {
    let variance = runs.iter().map(|run| run.variance).sum::<f64>();
    VarianceTerm {
        variance: variance / (runs.len() as f64).powi(2),
        freedom: runs.iter().map(|run| run.freedom).sum(),
    }
}

/// A figure of one run, as far as the run tells.
pub trait LogFigure: Sized {
    /// The logarithm of its value.
    fn log_value(&self) -> f64;

    /// The change between independent runs of two sides, as [`between`] and [`between_ranges`].
    fn change(before: &[Self], after: &[Self], assumed: f64) -> Change;
}

impl LogFigure for LogEstimate {
    fn log_value(&self) -> f64 {
        self.log_value
    }

    fn change(before: &[LogEstimate], after: &[LogEstimate], assumed: f64) -> Change {
        between(before, after, assumed)
    }
}

impl LogFigure for LogRange {
    fn log_value(&self) -> f64 {
        self.log_value
    }

    fn change(before: &[LogRange], after: &[LogRange], assumed: f64) -> Change {
        between_ranges(before, after, assumed)
    }
}

pub(super) fn mean_log<F: LogFigure>(runs: &[F]) -> f64 {
    runs.iter().map(F::log_value).sum::<f64>() / runs.len() as f64
}

fn change(before: f64, after: f64, terms: &[VarianceTerm]) -> Change {
    let effect = after - before;
    let half = half_width(terms);
    Change {
        before: before.exp(),
        after: after.exp(),
        relative: effect.exp_m1(),
        interval: ((effect - half).exp_m1(), (effect + half).exp_m1()),
        p_value: p_value(effect, terms),
    }
}

/// Half width of the 95 % interval of a sum whose variance has these terms.
fn half_width(terms: &[VarianceTerm]) -> f64 {
    let (deviation, student) = student(terms);
    deviation * student.inverse_cdf(0.975)
}

fn p_value(effect: f64, terms: &[VarianceTerm]) -> f64 {
    let (deviation, student) = student(terms);
    match deviation > 0.0 {
        true => (2.0 * student.sf(effect.abs() / deviation)).min(1.0),
        false => 1.0,
    }
}

/// Standard deviation and t-distribution of a sum (Welch 1947 and Satterthwaite 1946).
fn student(terms: &[VarianceTerm]) -> (f64, StudentsT) {
    let variance: f64 = terms.iter().map(|term| term.variance).sum();
    let spread: f64 = terms.iter().map(|p| p.variance.powi(2) / p.freedom).sum();
    let freedom = if spread > 0.0 {
        (variance * variance / spread).max(1.0)
    } else {
        1.0
    };
    let student = StudentsT::new(0.0, 1.0, freedom);
    // Valid, as the degrees of freedom are at least 1.
    (variance.sqrt(), student.expect("a t-distribution"))
}

/// The figure of one side, for several runs their geometric mean, and its 95 % interval. For one run it covers
/// only the run itself; several show by how much runs differ, moderated by `assumed`.
pub(super) fn of_one_side(runs: &[LogEstimate], assumed: f64) -> (f64, (f64, f64)) {
    let mut terms = vec![within_runs(runs)];
    if runs.len() > 1 {
        let run = between_runs(&[runs], assumed);
        terms.push(VarianceTerm {
            variance: run.variance / runs.len() as f64,
            ..run
        });
    }
    let (log_value, half) = (mean_log(runs), half_width(&terms));
    let interval = ((log_value - half).exp(), (log_value + half).exp());
    (log_value.exp(), interval)
}

/// Half width of the 95 % interval of one run's figure, relative to it; runs may differ by more.
pub(super) fn half_width_within(run: &LogEstimate) -> f64 {
    half_width(&[within_runs(std::slice::from_ref(run))]).exp_m1()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(value: f64, deviation: f64) -> LogEstimate {
        LogEstimate {
            log_value: value.ln(),
            variance: deviation * deviation,
            freedom: 9.0,
        }
    }

    #[test]
    fn the_assumption_stands_alone_with_one_run_a_side() {
        let change = between(&[run(100.0, 0.0)], &[run(95.0, 0.0)], 0.01);
        assert!((change.relative + 0.05).abs() < 1e-12);
        assert!((change.before - 100.0).abs() < 1e-9 && (change.after - 95.0).abs() < 1e-9);
        // t(12) at 97.5 % is 2.1788.
        let half = 2.1788 * 0.01 * std::f64::consts::SQRT_2;
        let expected = ((95.0_f64 / 100.0).ln() - half).exp_m1();
        assert!((change.interval.0 - expected).abs() < 1e-6, "{change:?}");
        assert!(change.p_value < 0.01, "{change:?}");
    }

    #[test]
    fn runs_that_differ_widen_the_interval_and_runs_that_agree_narrow_it() {
        let width = |before: &[f64], after: &[f64]| {
            let runs = |values: &[f64]| values.iter().map(|v| run(*v, 0.001)).collect::<Vec<_>>();
            let change = between(&runs(before), &runs(after), 0.01);
            change.interval.1 - change.interval.0
        };
        let one = width(&[100.0], &[100.0]);
        let agreeing = width(&[100.0, 100.2, 99.9], &[100.0, 99.8, 100.1]);
        let differing = width(&[100.0, 106.0, 94.0], &[100.0, 93.0, 107.0]);
        assert!(agreeing < 0.8 * one, "{agreeing} against {one}");
        assert!(differing > 2.0 * one, "{differing} against {one}");
    }

    #[test]
    fn equal_values_without_any_spread_are_no_change() {
        let change = interleaved(&[run(50.0, 0.0)], &[run(1.0, 0.0)], 0.01);
        assert_eq!(change.relative, 0.0);
        assert!((change.p_value - 1.0).abs() < 1e-9);
        assert!((change.after - 50.0).abs() < 1e-9);
    }

    #[test]
    fn a_side_has_its_mean_and_differing_runs_widen_its_interval() {
        let (value, (low, high)) = of_one_side(&[run(10.0, 0.01)], 0.01);
        assert!((value - 10.0).abs() < 1e-9);
        assert!((high / 10.0 - 0.022622_f64.exp()).abs() < 1e-5, "{high}");
        assert!((low * high / 100.0 - 1.0).abs() < 1e-9, "{low}");
        let several = of_one_side(&[run(8.0, 0.01), run(12.5, 0.01)], 0.01);
        assert!((several.0 - 10.0).abs() < 1e-9);
        assert!(several.1.1 > 1.1 * high, "{several:?}");
    }

    #[test]
    fn the_half_width_of_one_run_is_students() {
        // t(9) at 97.5 % is 2.2622.
        let half = half_width_within(&run(10.0, 0.01));
        assert!((half - (0.022622_f64).exp_m1()).abs() < 1e-5, "{half}");
    }
}
