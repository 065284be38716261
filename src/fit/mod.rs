//! Derives an engine preset from run records of a real server.
//!
//! The parameters of the step time are chosen so that the simulated engine, under the very load of
//! each record (shape, concurrency, prompt and output length) in virtual time, gives the record's
//! output tok/s and median TTFT. What is minimised is the sum of squared logarithms of predicted ÷
//! measured over all records and both figures, by the method of Nelder and Mead (1965), over the
//! logarithms of the parameters, which so stay positive. Records that are held out take no part
//! in it and show how well the model predicts loads that it has not seen.

mod observation;
mod search;

use crate::engine::{EngineError, Frontend, Noise, Preset, StepTime};

pub use observation::{Figures, Observation, ObservationError};

/// How the simulated engine does on one record.
#[derive(Clone, Copy, Debug)]
pub struct Prediction {
    /// What the record says.
    pub measured: Figures,
    /// What the engine gives under the same load.
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

/// No preset could be fitted.
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    /// Too few records for the parameters there are.
    #[error(
        "{given} record(s) are too few to fit seven parameters: give at least {LEAST_RECORDS}, of several concurrencies and at least two prompt lengths"
    )]
    TooFew {
        /// Records given.
        given: usize,
    },
    /// The preset to begin with cannot run a record's load.
    #[error("{load}: {source}")]
    Unfit {
        /// Which record's.
        load: String,
        /// Why.
        source: EngineError,
    },
    /// The search failed.
    #[error("the search for parameters failed: {0}")]
    Search(String),
}

/// Two figures each: as many equations as parameters need at least three; one more checks them.
const LEAST_RECORDS: usize = 4;

/// Fits the step time, the frontend's time and the noise of `like` to `observations`; all else stays.
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
            ..Noise::NONE
        },
        reproduces: Vec::new(),
        ..like.clone()
    };
    search::nelder_mead(&preset, observations)
}

/// What `preset` gives under the load of `observation`.
///
/// # Errors
/// [`FitError::Unfit`] where its scheduler cannot run that load.
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

/// Jitter of the steps: the spread of ITL above its median where prefill disturbs it least.
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
    // To three decimals: more would claim what was not measured.
    (least.unwrap_or(0.0).clamp(0.0, 0.5) * 1e3).round() / 1e3
}

/// How many parameters are fitted.
const PARAMETERS: usize = 7;

/// The parameters as the search moves them: the logarithm of each, in µs.
fn parameters(preset: &Preset) -> [f64; PARAMETERS] {
    let StepTime {
        base_us,
        per_prefill_token_us,
        per_sequence_us,
        per_context_token_us,
    } = preset.step_time;
    [
        base_us,
        per_prefill_token_us,
        per_sequence_us,
        per_context_token_us,
        preset.frontend.per_request_us,
        preset.frontend.per_prompt_token_us,
        preset.frontend.latency_us,
    ]
    .map(|us| us.max(1e-6).ln())
}

/// `preset` with other parameters, to five significant digits.
fn with_parameters(preset: &Preset, logarithms: &[f64]) -> Preset {
    let us = |at: usize| {
        let value = logarithms[at].exp();
        // By way of its decimal form, whose nearest number prints as short as it is.
        format!("{value:.4e}").parse().unwrap_or(value)
    };
    Preset {
        step_time: StepTime {
            base_us: us(0),
            per_prefill_token_us: us(1),
            per_sequence_us: us(2),
            per_context_token_us: us(3),
        },
        frontend: Frontend {
            per_request_us: us(4),
            per_prompt_token_us: us(5),
            latency_us: us(6),
        },
        ..preset.clone()
    }
}

#[cfg(test)]
mod tests;
