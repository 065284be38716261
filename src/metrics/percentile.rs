//! How many values a percentile needs.

/// Values that must lie beyond a percentile. With fewer, single requests decide it, and another run would give another
/// figure.
const LEAST_BEYOND: f64 = 10.0;

/// Too few values lie beyond a percentile for it to be a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{values} values, {needed} are needed: measure longer (--measurement-time)")]
pub struct TooFewValues {
    /// Number of values.
    pub values: u64,
    /// Number of values that are needed.
    pub needed: u64,
}

impl TooFewValues {
    /// Returns an error if fewer than ten of `values` values lie beyond the percentile `percent` (0 to 100): the P50
    /// needs 20 values, the P99 1,000.
    ///
    /// # Errors
    /// [`TooFewValues`] with both numbers.
    pub fn check(values: u64, percent: f64) -> Result<(), TooFewValues> {
        let rarer = percent.max(100.0 - percent);
        let needed = (LEAST_BEYOND * 100.0 / (100.0 - rarer)).round() as u64;
        match values < needed {
            true => Err(TooFewValues { values, needed }),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Percentile;

    #[test]
    fn ten_values_must_lie_beyond_a_percentile() {
        for (percentile, needed) in [
            (Percentile::P50, 20),
            (Percentile::P90, 100),
            (Percentile::P95, 200),
            (Percentile::P99, 1_000),
            (Percentile::P99_9, 10_000),
        ] {
            let check = |values| TooFewValues::check(values, percentile.percent());
            assert_eq!(check(needed), Ok(()), "{percentile:?}");
            let values = needed - 1;
            assert_eq!(check(values), Err(TooFewValues { values, needed }));
        }
        let few = TooFewValues::check(20, 1.0).expect_err("as the P99");
        assert_eq!((few.values, few.needed), (20, 1_000));
    }
}
