//! The percentiles that are reported, and how many values each needs.

/// Values that must lie beyond a percentile. With fewer, single requests decide it, and another run would give another
/// figure.
const LEAST_BEYOND: f64 = 10.0;

/// A percentile of latencies that servemark reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Percentile {
    /// The median.
    P50,
    /// The 90th percentile.
    P90,
    /// The 95th percentile.
    P95,
    /// The 99th percentile.
    P99,
    /// The 99.9th percentile.
    P99_9,
}

impl Percentile {
    /// The P99 and those below it, the highest first.
    pub(crate) const UP_TO_P99: [Percentile; 4] = [
        Percentile::P99,
        Percentile::P95,
        Percentile::P90,
        Percentile::P50,
    ];

    /// The percentile as a number from 0 to 100.
    pub fn percent(self) -> f64 {
        match self {
            Percentile::P50 => 50.0,
            Percentile::P90 => 90.0,
            Percentile::P95 => 95.0,
            Percentile::P99 => 99.0,
            Percentile::P99_9 => 99.9,
        }
    }

    /// Its name in tables and plots (`P99.9`).
    pub fn name(self) -> &'static str {
        match self {
            Percentile::P50 => "P50",
            Percentile::P90 => "P90",
            Percentile::P95 => "P95",
            Percentile::P99 => "P99",
            Percentile::P99_9 => "P99.9",
        }
    }
}

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
