use super::*;
use crate::config::Limit;
use crate::load::window_tests::{completed, window};
use crate::metrics::TooFewValues;

const MS: u64 = 1_000_000;

/// A window of `count` requests in `wall_ms`, each with a TTFT of its own around `ttft_ms`.
fn block(count: u64, wall_ms: u64, ttft_ms: u64) -> Window {
    let request = |k| {
        let first = (ttft_ms + k % 5) * MS;
        completed(0, first, first + 40 * MS, 5)
    };
    Window {
        end_ns: wall_ms * MS,
        ..window((0..count).map(request).collect(), 0, 0)
    }
}

fn series(figure: Figure, windows: &[Window]) -> Result<BlockSeries, NotComparable> {
    BlockSeries::of(figure, windows, &Slo::default())
}

#[test]
fn the_variance_is_that_of_the_mean_of_independent_windows() {
    // Windows of 90 to 110 ms in no order: the deviation of their mean is known.
    let walls = [103, 95, 108, 91, 100, 97, 110, 92, 105, 99];
    let windows: Vec<Window> = walls.iter().map(|wall| block(4, *wall, 20)).collect();
    let estimate = series(Figure::Rps, &windows).expect("enough").estimate();
    let mean: f64 = walls.iter().sum::<u64>() as f64 / 10.0;
    assert!((estimate.log_value - (4.0 / (mean * 1e-3)).ln()).abs() < 1e-12);
    let squares: f64 = walls.iter().map(|w| (*w as f64 / mean - 1.0).powi(2)).sum();
    let expected = (squares / 9.0 / 10.0).sqrt();
    let found = estimate.variance.sqrt();
    assert!((found / expected - 1.0).abs() < 0.1, "{found} {expected}");
    assert_eq!(estimate.freedom, 9.0);
}

#[test]
fn neighbours_that_resemble_each_other_are_joined() {
    // A slow wave over the run: forty windows hold far fewer independent ones.
    let wall = |k: u64| 100 + (12.0 * (k as f64 / 5.0).sin()) as u64;
    let windows: Vec<Window> = (0..40).map(|k| block(4, wall(k), 20)).collect();
    let dependent = series(Figure::TokS, &windows).expect("enough").estimate();
    assert!(dependent.freedom < 19.0, "{dependent:?}");
    let mixed: Vec<Window> = (0..40).map(|k| windows[k * 17 % 40].clone()).collect();
    let independent = series(Figure::TokS, &mixed).expect("enough").estimate();
    assert_eq!(independent.freedom, 39.0);
    assert!(dependent.variance > 2.0 * independent.variance);
}

#[test]
fn a_percentile_is_exact_and_its_resamples_lie_around_it() {
    let windows: Vec<Window> = (0..20).map(|k| block(50, 100, 20 + k % 3)).collect();
    let found = series(Figure::TtftP50, &windows).expect("enough");
    assert_eq!(found.value, 23.0);
    let even = found.resampled(&[1; 20]);
    assert!((even - 23.0).abs() <= 1.0, "{even}");
    let slow: Vec<u32> = (0..20).map(|k| u32::from(k % 3 == 2)).collect();
    assert!(found.resampled(&slow) > even);
    assert!(found.estimate().variance > 0.0);
}

#[test]
fn a_missing_estimate_has_a_reason() {
    let windows: Vec<Window> = (0..10).map(|_| block(10, 100, 20)).collect();
    let refused = |figure, windows: &[Window]| series(figure, windows).expect_err("refused");
    assert_eq!(
        refused(Figure::E2elP99, &windows),
        NotComparable::TooFewValues(TooFewValues {
            values: 100,
            needed: 1_000
        })
    );
    assert_eq!(
        refused(Figure::TokS, &windows[..3]),
        NotComparable::TooFewWindows {
            windows: 3,
            needed: 5
        }
    );
    assert_eq!(
        refused(Figure::Goodput, &windows),
        NotComparable::NotMeasured
    );
    let strict = Slo {
        ttft: Some(Limit::of_p99(1.0)),
        ..Slo::default()
    };
    let none_good = BlockSeries::of(Figure::Goodput, &windows, &strict);
    assert_eq!(none_good.expect_err("no good request"), NotComparable::Zero);
}

#[test]
fn drift_that_both_sides_share_does_not_widen_their_ratio() {
    let wall = |k: u64| 100 + (20.0 * (k as f64 / 3.0).sin()) as u64;
    let side = |slower: u64| -> Vec<Window> {
        let jitter = |k: u64| (k * 7 + slower) % 3;
        (0..12)
            .map(|k| block(4, wall(k) + slower + jitter(k), 20))
            .collect()
    };
    let (before, after) = (side(0), side(5));
    let pair = BlockSeries::pair(Figure::TokS, [&before, &after], &Slo::default()).expect("enough");
    let ratio = BlockSeries::estimate_ratio(&pair);
    let alone = pair[0].estimate();
    assert!(
        ratio.variance < alone.variance / 10.0,
        "{ratio:?} {alone:?}"
    );
    assert!((-0.07..-0.03).contains(&ratio.log_value), "{ratio:?}");
}
