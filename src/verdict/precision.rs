use super::change::{half_width_within, of_one_side};
use super::series::{Estimate, Series};
use super::{Figure, Unclear};
use crate::config::Slo;
use crate::load::Window;

/// A figure of one side, and how well it is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Known {
    /// The figure, in its unit; of several runs their geometric mean.
    pub value: f64,
    /// Its 95 % interval: over the windows of one run, or over several runs and their windows.
    pub interval: (f64, f64),
}

/// How well the runs of one point know `figure`. Of one run the interval says how well it knows its own
/// figure; another run may differ by more.
///
/// # Errors
/// Why there is no interval: too few windows or values, or the figure was not measured.
pub fn known<W: AsRef<[Window]>>(figure: Figure, runs: &[W], slo: &Slo) -> Result<Known, Unclear> {
    let estimate = |run: &W| Ok(Series::of(figure, run.as_ref(), slo)?.estimate());
    let estimates: Vec<Estimate> = runs.iter().map(estimate).collect::<Result<_, _>>()?;
    if estimates.is_empty() {
        return Err(Unclear::NotMeasured);
    }
    let (value, interval) = of_one_side(&estimates, figure.assumed_between_runs());
    Ok(Known { value, interval })
}

/// Half of the 95 % interval of output tok/s over the windows of one run, as a share of it.
///
/// It says how well the run knows its own mean; another run may differ by more.
///
/// # Errors
/// Why there is no interval yet: too few windows, or no tokens.
pub fn relative_half_width(windows: &[Window]) -> Result<f64, Unclear> {
    let series = Series::of(Figure::TokS, windows, &Slo::default())?;
    Ok(half_width_within(&series.estimate()))
}
