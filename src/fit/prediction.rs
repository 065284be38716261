use super::{Figures, FitError, Observation};
use crate::engine::Preset;

/// The simulated engine compared with one record.
#[derive(Clone, Copy, Debug)]
pub struct Prediction {
    /// The record's figures.
    pub measured: Figures,
    /// The engine's figures under the same load.
    pub predicted: Figures,
}

impl Prediction {
    /// Relative error of output tok/s.
    pub fn output_tok_s_error(&self) -> f64 {
        self.predicted.output_tok_s / self.measured.output_tok_s - 1.0
    }

    /// Relative error of the median TTFT.
    pub fn ttft_error(&self) -> f64 {
        self.predicted.ttft_p50_ms / self.measured.ttft_p50_ms - 1.0
    }
}

/// Simulates the load of `observation` with `preset`.
///
/// # Errors
/// [`FitError::Unfit`] if its scheduler cannot run that load.
pub fn predict(preset: &Preset, observation: &Observation) -> Result<Prediction, FitError> {
    let predicted = observation
        .simulate(preset)
        .map_err(|source| FitError::Unfit {
            load: observation.name(),
            source,
        })?;
    Ok(Prediction {
        measured: observation.figures,
        predicted,
    })
}
