use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Percentile, SortedValues, TooFewValues};

/// Mean and percentiles of raw values, in the values' own unit.
///
/// Every percentile is that of the values that there are, however few. [`Distribution::percentile`] returns only those
/// with enough values beyond them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Distribution {
    /// Number of values; 0 if a record of an earlier version does not have it.
    #[serde(default)]
    pub count: u64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 95th percentile; null if a record of an earlier version does not have it.
    #[serde(default)]
    pub p95: Option<f64>,
    /// 99th percentile.
    pub p99: f64,
    /// 99.9th percentile; null if a record of an earlier version does not have it.
    #[serde(default)]
    pub p99_9: Option<f64>,
}

impl Distribution {
    /// Of `values`, each multiplied by `scale`; `None` if there are none.
    pub(crate) fn of(values: impl Iterator<Item = f64>, scale: f64) -> Option<Distribution> {
        Distribution::of_sorted(&values.map(|value| value * scale).collect())
    }

    /// Of these values; `None` if there are none.
    pub(crate) fn of_sorted(values: &SortedValues) -> Option<Distribution> {
        let mean = values.mean()?;
        let at = |percentile: Percentile| values.percentile(percentile.percent());
        Some(Distribution {
            count: values.len(),
            mean,
            p50: at(Percentile::P50),
            p90: at(Percentile::P90),
            p95: Some(at(Percentile::P95)),
            p99: at(Percentile::P99),
            p99_9: Some(at(Percentile::P99_9)),
        })
    }

    /// The percentile, if at least ten values lie beyond it.
    ///
    /// # Errors
    /// [`TooFewValues`] with the number of values, which is 0 if it is not known.
    pub fn percentile(&self, percentile: Percentile) -> Result<f64, TooFewValues> {
        let figure = match percentile {
            Percentile::P50 => Some(self.p50),
            Percentile::P90 => Some(self.p90),
            Percentile::P95 => self.p95,
            Percentile::P99 => Some(self.p99),
            Percentile::P99_9 => self.p99_9,
        };
        let values = figure.map_or(0, |_| self.count);
        TooFewValues::check(values, percentile.percent())?;
        Ok(figure.unwrap_or(f64::NAN))
    }

    /// Takes the number of values, and percentiles that a record of an earlier version lacks, from the same values.
    pub(super) fn fill_in(&mut self, again: &Distribution) {
        if self.count == 0 {
            self.count = again.count;
        }
        self.p95 = self.p95.or(again.p95);
        self.p99_9 = self.p99_9.or(again.p99_9);
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
        assert_eq!(distribution.count, 3);
        assert_eq!(Distribution::of(std::iter::empty(), 1.0), None);
    }

    #[test]
    fn a_percentile_of_too_few_values_is_refused() {
        let distribution = Distribution::of((0..=200).map(f64::from), 1.0).unwrap();
        assert_eq!(distribution.percentile(Percentile::P50), Ok(100.0));
        assert_eq!(distribution.percentile(Percentile::P95), Ok(190.0));
        assert_eq!(distribution.p99, 198.0);
        let few = |values, needed| Err(TooFewValues { values, needed });
        assert_eq!(distribution.percentile(Percentile::P99), few(201, 1_000));
        assert_eq!(distribution.percentile(Percentile::P99_9), few(201, 10_000));
    }

    #[test]
    fn a_distribution_of_an_earlier_version_is_read_and_filled_in() {
        let older = r#"{"mean": 1.0, "p50": 2.0, "p90": 3.0, "p99": 4.0}"#;
        let mut older: Distribution = serde_json::from_str(older).expect("it had these four");
        let unknown = TooFewValues {
            values: 0,
            needed: 20,
        };
        assert_eq!(older.percentile(Percentile::P50), Err(unknown));
        let again = Distribution::of((0..=20_000).map(f64::from), 1.0).unwrap();
        older.fill_in(&again);
        assert_eq!(older.percentile(Percentile::P99), Ok(4.0), "its own");
        assert_eq!(older.percentile(Percentile::P99_9), Ok(19_980.0));
        assert_eq!(older.count, 20_001);
    }
}
