use crate::capacity::UnknownCapacity;
use crate::metrics::TooFewValues;

/// Why a figure cannot be compared.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NotComparable {
    /// A side does not have it, for example without streaming or without `SLO`.
    #[error("not measured on both sides")]
    NotMeasured,
    /// Too few windows to estimate the variance within the run.
    #[error("{windows} windows, {needed} are needed: measure longer (--sample-size)")]
    TooFewWindows {
        /// Number of windows.
        windows: usize,
        /// Number of windows that are needed.
        needed: usize,
    },
    /// Too few values beyond the percentile.
    #[error(transparent)]
    TooFewValues(#[from] TooFewValues),
    /// A relative change from or to zero is undefined.
    #[error("zero on one side")]
    Zero,
    /// A search did not find the capacity of a side, or found only one end of its interval.
    #[error(transparent)]
    UnknownCapacity(UnknownCapacity),
    /// With different objectives, goodput and capacity are not the same figures.
    #[error("the sides have different SLOs")]
    OtherSlo,
}
