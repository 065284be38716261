use super::blocks::{BlockSeries, estimates};
use super::change::{half_width_within, of_one_side};
use super::{Figure, NotComparable};
use crate::config::Slo;
use crate::load::Window;

/// A figure of one side with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The figure, in its unit; for several runs their geometric mean.
    pub value: f64,
    /// Its 95 % interval: over the windows of one run, or over several runs and their windows.
    pub interval: (f64, f64),
}

/// Estimates `figure` from the runs of one point. For one run the interval covers only the variance within it;
/// another run may differ by more.
///
/// # Errors
/// [`NotComparable`] with too few windows or values for an interval, or without the figure.
pub fn estimate<W: AsRef<[Window]>>(
    figure: Figure,
    runs: &[W],
    slo: &Slo,
) -> Result<Estimate, NotComparable> {
    let estimates = estimates(figure, runs, slo)?;
    let (value, interval) = of_one_side(&estimates, figure.assumed_between_runs());
    Ok(Estimate { value, interval })
}

/// Half width of the 95 % interval of output tok/s over the windows of one run, relative to it.
///
/// It covers only the variance within the run; another run may differ by more.
///
/// # Errors
/// [`NotComparable`] with too few windows, or without tokens.
pub fn relative_half_width(windows: &[Window]) -> Result<f64, NotComparable> {
    let series = BlockSeries::of(Figure::TokS, windows, &Slo::default())?;
    Ok(half_width_within(&series.estimate()))
}
