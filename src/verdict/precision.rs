use super::change::half_width_within;
use super::series::Series;
use super::{Figure, Unclear};
use crate::config::Slo;
use crate::load::Window;

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
