use argmin::core::{CostFunction, Error, Executor, State};
use argmin::solver::neldermead::NelderMead;

use super::parameters::{parameters, with_parameters};
use super::prediction::predict;
use super::{FitError, Observation};
use crate::engine::{Frontend, Preset, StepTime};

/// Number of searches, each from the best point of the previous one, in case a simplex collapses too early.
const SEARCHES: usize = 4;

const MOST_STEPS: u64 = 150;

/// Extent of the first simplex in the logarithm of each parameter, halved with each search.
const EXTENT: f64 = 0.7;

struct PredictionError<'a> {
    preset: &'a Preset,
    observations: &'a [Observation],
}

impl CostFunction for PredictionError<'_> {
    type Param = Vec<f64>;
    type Output = f64;

    /// Sum of squared logarithms of predicted ÷ measured.
    fn cost(&self, logarithms: &Vec<f64>) -> Result<f64, Error> {
        let preset = with_parameters(self.preset, logarithms);
        let mut sum = 0.0;
        for observation in self.observations {
            let prediction = predict(&preset, observation)?;
            let (measured, predicted) = (prediction.measured, prediction.predicted);
            sum += (predicted.output_tok_s / measured.output_tok_s)
                .ln()
                .powi(2);
            sum += (predicted.ttft_p50_ms / measured.ttft_p50_ms).ln().powi(2);
        }
        Ok(sum)
    }
}

pub(super) fn nelder_mead(
    preset: &Preset,
    observations: &[Observation],
) -> Result<Preset, FitError> {
    let start = Preset {
        step_time: guess(observations),
        frontend: Frontend {
            per_request_us: 300.0,
            per_prompt_token_us: 1.0,
            latency_us: 1_000.0,
        },
        ..preset.clone()
    };
    // Distinguishes a load that cannot run from a search that fails.
    for observation in observations {
        predict(&start, observation)?;
    }
    let failed = |error: Error| FitError::Search(error.to_string());
    let mut best = parameters(&start).to_vec();
    for search in 0..SEARCHES {
        let extent = EXTENT / (1 << search) as f64;
        let mut simplex = vec![best.clone()];
        for at in 0..best.len() {
            let mut corner = best.clone();
            corner[at] += extent;
            simplex.push(corner);
        }
        let solver = NelderMead::new(simplex)
            .with_sd_tolerance(1e-6)
            .map_err(failed)?;
        let misfit = PredictionError {
            preset,
            observations,
        };
        let result = Executor::new(misfit, solver)
            .configure(|state| state.max_iters(MOST_STEPS))
            .run()
            .map_err(failed)?;
        if let Some(found) = result.state().get_best_param() {
            best.clone_from(found);
        }
    }
    Ok(with_parameters(preset, &best))
}

/// An initial estimate, from how the figures grow with concurrency and prompt length.
fn guess(observations: &[Observation]) -> StepTime {
    let concurrency = |o: &&Observation| o.concurrency;
    let prompt = |o: &&Observation| o.prompt_tokens;
    let by = |key: &dyn Fn(&&Observation) -> usize| {
        let least = observations.iter().min_by_key(key);
        let most = observations.iter().max_by_key(key);
        least.zip(most)
    };
    // ms per token of one request, waiting included: C requests share the tok/s.
    let tpot_ms = |o: &Observation| 1e3 * o.concurrency as f64 / o.figures.output_tok_s;
    let slope = |rise: f64, run: usize| (rise / run.max(1) as f64).max(1e-3);
    let (mut base_us, mut per_sequence_us, mut per_prefill_token_us) = (1e3, 1e2, 1e1);
    if let Some((few, many)) = by(&concurrency) {
        base_us = 0.8 * 1e3 * tpot_ms(few);
        let more = many.concurrency - few.concurrency;
        per_sequence_us = slope(1e3 * (tpot_ms(many) - tpot_ms(few)), more);
    }
    if let Some((short, long)) = by(&prompt) {
        let more = long.prompt_tokens - short.prompt_tokens;
        let later_ms = long.figures.ttft_p50_ms - short.figures.ttft_p50_ms;
        per_prefill_token_us = slope(1e3 * later_ms, more);
    }
    StepTime {
        base_us,
        per_prefill_token_us,
        per_sequence_us,
        per_context_token_us: 0.02,
    }
}
