//! Derives an engine preset from run records of a real server.
//!
//! The parameters of the step time are chosen so that the simulated engine, under the very load of
//! each record (shape, concurrency, prompt and output length) in virtual time, gives the record's
//! output tok/s and median TTFT. What is minimised is the sum of squared logarithms of predicted ÷
//! measured over all records and both figures, by the method of Nelder and Mead (1965), over the
//! logarithms of the parameters, which so stay positive. Records that are held out take no part
//! in it and show how well the model predicts loads that it has not seen.

mod error;
mod observation;
mod parameters;
mod prediction;
mod search;

pub use error::FitError;
pub use observation::{Figures, Observation, ObservationError};
pub use prediction::{Prediction, predict};

use crate::engine::{Noise, Preset};
use error::LEAST_RECORDS;

/// Fits the step time, the frontend's time and the noise of `like` to `observations`; the rest of the preset is kept.
///
/// # Errors
/// [`FitError`] for too few observations, or ones whose load `like`'s scheduler cannot run.
pub fn fit(like: &Preset, observations: &[Observation]) -> Result<Preset, FitError> {
    if observations.len() < LEAST_RECORDS {
        return Err(FitError::TooFew {
            given: observations.len(),
        });
    }
    let preset = Preset {
        noise: Noise {
            step_sigma: step_sigma(observations),
            ..Noise::default()
        },
        reproduces: Vec::new(),
        ..like.clone()
    };
    search::nelder_mead(&preset, observations)
}

/// Jitter of the steps: the spread of ITL above its median in the record that prefill disturbs least.
///
/// For a log-normal, ln(p90 ÷ p50) is 1.2816 standard deviations.
fn step_sigma(observations: &[Observation]) -> f64 {
    let spread = |observation: &Observation| {
        let itl = observation.itl_ms?;
        (itl.p50 > 0.0).then(|| (itl.p90 / itl.p50).ln() / 1.2816)
    };
    let least = observations
        .iter()
        .filter_map(spread)
        .min_by(f64::total_cmp);
    // Rounded to three decimals: more are not significant.
    (least.unwrap_or(0.0).clamp(0.0, 0.5) * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests;
