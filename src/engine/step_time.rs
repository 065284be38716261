//! How long one step of the simulated engine takes.
//!
//! ```text
//! step = decode × (base + sequences × per_sequence + context tokens × per_context_token)
//!      + prefill × (prefill tokens × per_prefill_token)
//! ```
//! times log-normal noise of mean 1, where `decode` and `prefill` are the
//! slowdown factors. *Sequences* are those that got work in the step, *context
//! tokens* the tokens already in their KV cache, which attention has to read.

use std::time::Duration;

use rand::rngs::StdRng;
use rand_distr::{Distribution, LogNormal};
use serde::{Deserialize, Serialize};

/// The work of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepLoad {
    /// Prompt tokens computed in the step (recomputed ones included).
    pub prefill_tokens: u64,
    /// Sequences that got work.
    pub sequences: u64,
    /// Tokens already in those sequences' KV cache.
    pub context_tokens: u64,
}

/// Parameters of the step time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepTime {
    /// Fixed cost of a step, µs: reading the weights and launching the kernels.
    pub base_us: f64,
    /// Cost per prompt token computed, µs.
    pub per_prefill_token_us: f64,
    /// Cost per sequence, µs.
    pub per_sequence_us: f64,
    /// Cost per token of context read, µs.
    pub per_context_token_us: f64,
    /// Standard deviation of the logarithm of a step's time; 0 is noiseless.
    pub noise_sigma: f64,
}

/// Makes the engine slower by exact factors: the known truth of a "new version".
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slowdown {
    /// Factor on the prefill term.
    pub prefill: f64,
    /// Factor on everything else.
    pub decode: f64,
}

impl Slowdown {
    /// No slowdown.
    pub const NONE: Slowdown = Slowdown::uniform(1.0);

    /// The same factor on both terms, so on the whole step.
    pub const fn uniform(factor: f64) -> Slowdown {
        Slowdown {
            prefill: factor,
            decode: factor,
        }
    }
}

impl Default for Slowdown {
    fn default() -> Self {
        Slowdown::NONE
    }
}

impl StepTime {
    /// Takes no time at all.
    pub const INSTANT: StepTime = StepTime {
        base_us: 0.0,
        per_prefill_token_us: 0.0,
        per_sequence_us: 0.0,
        per_context_token_us: 0.0,
        noise_sigma: 0.0,
    };

    /// The first parameter that is negative or not a number, by name.
    pub fn invalid_parameter(&self) -> Option<&'static str> {
        [
            ("base_us", self.base_us),
            ("per_prefill_token_us", self.per_prefill_token_us),
            ("per_sequence_us", self.per_sequence_us),
            ("per_context_token_us", self.per_context_token_us),
            ("noise_sigma", self.noise_sigma),
        ]
        .into_iter()
        .find(|(_, value)| !value.is_finite() || *value < 0.0)
        .map(|(name, _)| name)
    }

    /// Time of a step without noise.
    pub fn noiseless(&self, load: &StepLoad, slowdown: Slowdown) -> Duration {
        let decode_us = self.base_us
            + load.sequences as f64 * self.per_sequence_us
            + load.context_tokens as f64 * self.per_context_token_us;
        let prefill_us = load.prefill_tokens as f64 * self.per_prefill_token_us;
        let seconds = (slowdown.decode * decode_us + slowdown.prefill * prefill_us) * 1e-6;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO)
    }

    /// Time of a step, with one draw of noise where there is any.
    pub fn draw(&self, load: &StepLoad, slowdown: Slowdown, rng: &mut StdRng) -> Duration {
        let exact = self.noiseless(load, slowdown);
        let sigma = self.noise_sigma;
        if sigma == 0.0 {
            return exact;
        }
        // A log-normal of location -σ²/2 has mean 1: noise does not change throughput.
        match LogNormal::new(-sigma * sigma / 2.0, sigma) {
            Ok(noise) => exact.mul_f64(noise.sample(rng)),
            Err(_) => exact,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    const MODEL: StepTime = StepTime {
        base_us: 1000.0,
        per_prefill_token_us: 10.0,
        per_sequence_us: 5.0,
        per_context_token_us: 0.1,
        noise_sigma: 0.0,
    };
    const LOAD: StepLoad = StepLoad {
        prefill_tokens: 100,
        sequences: 4,
        context_tokens: 1000,
    };

    #[test]
    fn the_time_is_the_sum_of_the_stated_terms() {
        let time = MODEL.noiseless(&LOAD, Slowdown::NONE);
        assert_eq!(time, Duration::from_micros(1000 + 1000 + 20 + 100));
    }

    #[test]
    fn a_slowdown_is_exact_in_its_part() {
        let table = [
            (Slowdown::uniform(1.5), 3180),
            (
                Slowdown {
                    prefill: 2.0,
                    ..Slowdown::NONE
                },
                3120,
            ),
            (
                Slowdown {
                    decode: 2.0,
                    ..Slowdown::NONE
                },
                3240,
            ),
        ];
        for (slowdown, micros) in table {
            let time = MODEL.noiseless(&LOAD, slowdown);
            assert_eq!(time, Duration::from_micros(micros), "{slowdown:?}");
        }
    }

    #[test]
    fn noise_keeps_the_mean_and_follows_the_seed() {
        let noisy = StepTime {
            noise_sigma: 0.2,
            ..MODEL
        };
        let draws = |seed| {
            let mut rng = StdRng::seed_from_u64(seed);
            let draw = |_| noisy.draw(&LOAD, Slowdown::NONE, &mut rng).as_secs_f64();
            (0..20_000).map(draw).collect::<Vec<_>>()
        };
        let times = draws(1);
        let mean = times.iter().sum::<f64>() / times.len() as f64;
        let exact = MODEL.noiseless(&LOAD, Slowdown::NONE).as_secs_f64();
        assert!(
            (mean / exact - 1.0).abs() < 0.01,
            "mean ratio {}",
            mean / exact
        );
        assert_eq!(times, draws(1));
        assert_ne!(times, draws(2));
    }

    #[test]
    fn a_negative_parameter_is_named() {
        let bad = StepTime {
            per_sequence_us: -1.0,
            ..MODEL
        };
        assert_eq!(bad.invalid_parameter(), Some("per_sequence_us"));
        assert_eq!(MODEL.invalid_parameter(), None);
    }
}
