use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statrs::statistics::Statistics;

/// Mean and percentiles of raw values, in the values' own unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Distribution {
    /// Arithmetic mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
}

impl Distribution {
    /// Of `values`, each multiplied by `scale`; `None` if there are none.
    pub fn of(values: impl Iterator<Item = f64>, scale: f64) -> Option<Distribution> {
        let mut values: Vec<f64> = values.map(|v| v * scale).collect();
        if values.is_empty() {
            return None;
        }
        values.sort_unstable_by(f64::total_cmp);
        Some(Distribution {
            mean: values.iter().sum::<f64>() / values.len() as f64,
            p50: percentile(&values, 50.0),
            p90: percentile(&values, 90.0),
            p99: percentile(&values, 99.0),
        })
    }
}

/// The percentile `p` (0–100) of sorted values by linear interpolation between order statistics, which is
/// numpy's default and definition 7 of Hyndman and Fan (1996).
///
/// # Panics
/// If `sorted` is empty.
pub fn percentile(sorted: &[f64], p: f64) -> f64 {
    let rank = (sorted.len() - 1) as f64 * p.clamp(0.0, 100.0) / 100.0;
    let (below, above) = (sorted[rank.floor() as usize], sorted[rank.ceil() as usize]);
    below + (above - below) * rank.fract()
}

/// Standard deviation of `values` taken for the whole population, which is numpy's default (`ddof=0`), in
/// their own unit; `None` of none.
pub fn population_std(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.population_std_dev())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_deviation_is_numpys() {
        // numpy.std([15, 20, 35, 40, 50])
        let std = population_std(&[15.0, 20.0, 35.0, 40.0, 50.0]).unwrap();
        assert!((std - 12.884_098_726_725_126).abs() < 1e-12, "{std}");
        assert_eq!(population_std(&[7.0]), Some(0.0));
        assert_eq!(population_std(&[]), None);
    }

    #[test]
    fn percentiles_agree_with_numpy() {
        // numpy.percentile([15, 20, 35, 40, 50], [0, 25, 40, 50, 90, 99, 100])
        let values = [15.0, 20.0, 35.0, 40.0, 50.0];
        for (p, expected) in [
            (0.0, 15.0),
            (25.0, 20.0),
            (40.0, 29.0),
            (50.0, 35.0),
            (90.0, 46.0),
            (99.0, 49.6),
            (100.0, 50.0),
        ] {
            assert!((percentile(&values, p) - expected).abs() < 1e-9, "p{p}");
        }
        assert_eq!(percentile(&[7.0], 99.0), 7.0);
    }

    #[test]
    fn values_need_not_be_sorted_and_none_give_none() {
        let values = [3.0, 1.0, 2.0];
        let distribution = Distribution::of(values.into_iter(), 10.0).unwrap();
        assert_eq!((distribution.mean, distribution.p50), (20.0, 20.0));
        assert_eq!(Distribution::of(std::iter::empty(), 1.0), None);
    }
}
