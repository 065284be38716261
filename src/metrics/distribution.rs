use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SortedValues;
use crate::config::Percentile;

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
    pub(crate) fn of(values: impl Iterator<Item = f64>, scale: f64) -> Option<Distribution> {
        Distribution::of_sorted(&values.map(|value| value * scale).collect())
    }

    /// Of these values; `None` if there are none.
    pub(crate) fn of_sorted(values: &SortedValues) -> Option<Distribution> {
        Some(Distribution {
            mean: values.mean()?,
            p50: values.percentile(50.0),
            p90: values.percentile(90.0),
            p99: values.percentile(99.0),
        })
    }
}

impl Distribution {
    /// A percentile that an objective names; `None` where it is not kept.
    pub fn at(&self, percentile: Percentile) -> Option<f64> {
        match percentile {
            Percentile::P50 => Some(self.p50),
            Percentile::P90 => Some(self.p90),
            Percentile::P99 => Some(self.p99),
            Percentile::P95 | Percentile::P99_9 => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_need_not_be_sorted_and_none_give_none() {
        let values = [3.0, 1.0, 2.0];
        let distribution = Distribution::of(values.into_iter(), 10.0).unwrap();
        assert_eq!((distribution.mean, distribution.p50), (20.0, 20.0));
        assert_eq!(Distribution::of(std::iter::empty(), 1.0), None);
    }
}
