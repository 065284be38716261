//! The duration of one step of the simulated engine.
//!
//! ```text
//! step = decode × (base + sequences × per_sequence + context tokens × per_context_token)
//!      + prefill × (prefill tokens × per_prefill_token)
//! ```
//! where `decode` and `prefill` are the slowdown factors. *Sequences* counts the
//! sequences scheduled in the step, *context tokens* the tokens already in their KV cache,
//! which attention reads. [`Noise`](super::Noise) is applied on top.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::option_text::{Grammar, OptionTextError};
use super::parameters::first_invalid;

const GRAMMAR: Grammar = Grammar {
    option: "slowdown",
    example: "5% or decode=5%,prefill=2%",
};

/// The work of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepLoad {
    /// Prompt tokens computed in the step (recomputed ones included).
    pub prefill_tokens: u64,
    /// Sequences scheduled.
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
}

/// Makes the engine slower by exact factors: the known truth of a "new version".
///
/// In text form `5%` (everything takes 1.05 times as long) or `decode=5%,prefill=2%`;
/// a negative percentage makes it faster.
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

    /// The same factor on both terms.
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

impl FromStr for Slowdown {
    type Err = OptionTextError;

    fn from_str(text: &str) -> Result<Slowdown, OptionTextError> {
        let factor = |percent: &str| {
            let number = percent.trim().strip_suffix('%').unwrap_or(percent);
            number
                .trim()
                .parse()
                .ok()
                .map(|percent: f64| 1.0 + percent / 100.0)
                .filter(|factor| factor.is_finite() && *factor >= 0.0)
                .ok_or_else(|| {
                    GRAMMAR.error(percent, "it is not a percentage of -100 or more".to_owned())
                })
        };
        if text.trim().is_empty() {
            return Ok(Slowdown::NONE);
        }
        if !text.contains('=') {
            return Ok(Slowdown::uniform(factor(text)?));
        }
        let mut slowdown = Slowdown::NONE;
        for entry in GRAMMAR.entries(text) {
            let entry = entry?;
            GRAMMAR.no_extra(entry)?;
            match entry.name {
                "decode" => slowdown.decode = factor(entry.value)?,
                "prefill" => slowdown.prefill = factor(entry.value)?,
                _ => {
                    let problem = "there is no such part; the parts are decode and prefill";
                    return Err(GRAMMAR.error(entry.text, problem));
                }
            }
        }
        Ok(slowdown)
    }
}

impl fmt::Display for Slowdown {
    /// The text form; empty without a slowdown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Rounded, so that 1.05 shows as 5 % and not as 5.000000000000004.
        let percent = |factor: f64| ((factor - 1.0) * 1e8).round() / 1e6;
        match (percent(self.decode), percent(self.prefill)) {
            (0.0, 0.0) => Ok(()),
            (decode, prefill) if decode == prefill => write!(f, "{decode}%"),
            (decode, 0.0) => write!(f, "decode={decode}%"),
            (0.0, prefill) => write!(f, "prefill={prefill}%"),
            (decode, prefill) => write!(f, "decode={decode}%,prefill={prefill}%"),
        }
    }
}

impl StepTime {
    /// The name of the first parameter that is negative or not a number.
    pub fn invalid_parameter(&self) -> Option<&'static str> {
        first_invalid(&[
            ("base_us", self.base_us),
            ("per_prefill_token_us", self.per_prefill_token_us),
            ("per_sequence_us", self.per_sequence_us),
            ("per_context_token_us", self.per_context_token_us),
        ])
    }

    /// Time of a step without noise (ns).
    pub fn exact_ns(&self, load: &StepLoad, slowdown: Slowdown) -> f64 {
        let decode_us = self.base_us
            + load.sequences as f64 * self.per_sequence_us
            + load.context_tokens as f64 * self.per_context_token_us;
        let prefill_us = load.prefill_tokens as f64 * self.per_prefill_token_us;
        (slowdown.decode * decode_us + slowdown.prefill * prefill_us) * 1e3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: StepTime = StepTime {
        base_us: 1000.0,
        per_prefill_token_us: 10.0,
        per_sequence_us: 5.0,
        per_context_token_us: 0.1,
    };
    const LOAD: StepLoad = StepLoad {
        prefill_tokens: 100,
        sequences: 4,
        context_tokens: 1000,
    };

    #[test]
    fn the_time_is_the_sum_of_the_stated_terms() {
        let time_ns = MODEL.exact_ns(&LOAD, Slowdown::NONE);
        assert_eq!(time_ns, 1e3 * (1000.0 + 1000.0 + 20.0 + 100.0));
    }

    #[test]
    fn a_slowdown_is_exact_in_its_part() {
        for (text, us) in [
            ("50%", 3180.0),
            ("prefill=100%", 3120.0),
            ("decode=100%", 3240.0),
            ("decode=100%,prefill=100%", 4240.0),
            ("-50%", 1060.0),
        ] {
            let slowdown: Slowdown = text.parse().expect("valid");
            let time_ns = MODEL.exact_ns(&LOAD, slowdown);
            assert!((time_ns - 1e3 * us).abs() < 1e-3, "{text}: {time_ns}");
        }
    }

    #[test]
    fn the_text_form_of_a_slowdown_is_parsed_and_formatted() {
        for text in ["5%", "decode=3%", "prefill=2.5%", "decode=-1%,prefill=4%"] {
            let slowdown: Slowdown = text.parse().expect("valid");
            assert_eq!(slowdown.to_string(), text);
        }
        assert_eq!(Slowdown::NONE.to_string(), "");
        assert_eq!("".parse(), Ok(Slowdown::NONE));
        for (text, words) in [
            ("fast", "not a percentage"),
            ("-101%", "not a percentage"),
            ("sampling=3%", "no such part"),
        ] {
            let error = text.parse::<Slowdown>().expect_err(text).to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
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
