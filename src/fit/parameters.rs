use crate::engine::{Frontend, Preset, StepTime};

/// Number of fitted parameters.
const PARAMETERS: usize = 7;

/// The parameters as the search moves them: the logarithm of each, in µs.
pub(super) fn parameters(preset: &Preset) -> [f64; PARAMETERS] {
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
pub(super) fn with_parameters(preset: &Preset, logarithms: &[f64]) -> Preset {
    let us = |at: usize| {
        let value = logarithms[at].exp();
        // Rounded in decimal form, so that it prints briefly.
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
