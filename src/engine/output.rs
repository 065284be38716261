//! The length of an output, and why it ends.
//!
//! The whole output of a sequence is known when it is admitted, since its tokens
//! follow from its seed. So its end is decided here, once: at the token where a
//! model would emit end-of-sequence (a seeded draw), at a stop string, or at the
//! token limit.

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, LogNormal};
use serde::{Deserialize, Serialize};

use super::text::TokenStream;
use crate::ids::ids;

/// The reason why a sequence ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FinishReason {
    /// End of sequence or a stop string.
    Stop,
    /// The token limit.
    Length,
    /// The client disconnected.
    Abort,
}

// The names that vLLM uses, in responses and as the `finished_reason` label.
ids!(FinishReason: Stop = "stop", Length = "length", Abort = "abort");

/// Log-normal distribution of the length at which the simulated model ends its output.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NaturalLength {
    /// Median, tokens.
    pub median_tokens: f64,
    /// Standard deviation of the logarithm.
    pub sigma: f64,
}

impl NaturalLength {
    fn draw(&self, seed: u64) -> u32 {
        let mut rng = StdRng::seed_from_u64(seed);
        match LogNormal::new(self.median_tokens.max(1.0).ln(), self.sigma) {
            // The cast saturates, so an extreme draw is only very long.
            Ok(lengths) => (lengths.sample(&mut rng) as u32).max(1),
            Err(_) => self.median_tokens as u32,
        }
    }
}

/// The limits of a request on its output.
#[derive(Clone, Debug, Default)]
pub struct OutputLimits {
    /// At most this many tokens; at least 1.
    pub max_tokens: u32,
    /// No end of sequence or stop string before this many tokens.
    pub min_tokens: u32,
    /// The model's own end is ignored; only the limit and stop strings end the output.
    pub ignore_eos: bool,
    /// Strings that end the output; they are not part of it.
    pub stop: Vec<String>,
}

/// The planned output of a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputPlan {
    /// Tokens generated.
    pub tokens: u32,
    /// The reason why it ends there.
    pub finish: FinishReason,
    /// The stop string that ended it.
    pub stop_reason: Option<String>,
    /// Length of the text in bytes where a stop string cuts it.
    pub text_bytes: Option<usize>,
}

/// Plans how the output of `stream` ends under `limits`.
pub fn plan(
    stream: &TokenStream,
    seed: u64,
    natural: &NaturalLength,
    limits: &OutputLimits,
) -> OutputPlan {
    let limit = limits.max_tokens.max(1);
    let own_end = if limits.ignore_eos {
        u32::MAX
    } else {
        natural.draw(seed).max(limits.min_tokens)
    };
    let (tokens, finish) = if own_end < limit {
        (own_end, FinishReason::Stop)
    } else {
        (limit, FinishReason::Length)
    };
    let unstopped = OutputPlan {
        tokens,
        finish,
        stop_reason: None,
        text_bytes: None,
    };
    first_stop(stream, tokens, limits).unwrap_or(unstopped)
}

/// The plan for the earliest stop string within the first `tokens` tokens, if any.
fn first_stop(stream: &TokenStream, tokens: u32, limits: &OutputLimits) -> Option<OutputPlan> {
    let stops: Vec<&String> = limits.stop.iter().filter(|stop| !stop.is_empty()).collect();
    let longest = stops.iter().map(|stop| stop.len()).max()?;
    let mut text = String::new();
    for index in 0..tokens {
        let mut from = text.len().saturating_sub(longest - 1);
        while !text.is_char_boundary(from) {
            from -= 1;
        }
        text.push_str(stream.piece(index));
        if index + 1 < limits.min_tokens {
            continue;
        }
        let found = stops
            .iter()
            .filter_map(|stop| text[from..].find(stop.as_str()).map(|at| (from + at, stop)))
            .min_by_key(|(at, _)| *at);
        if let Some((at, stop)) = found {
            return Some(OutputPlan {
                tokens: index + 1,
                finish: FinishReason::Stop,
                stop_reason: Some(stop.to_string()),
                text_bytes: Some(at),
            });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::text::tests::small_vocabulary;
    use super::*;

    const NATURAL: NaturalLength = NaturalLength {
        median_tokens: 50.0,
        sigma: 0.8,
    };

    fn planned(seed: u64, limits: &OutputLimits) -> OutputPlan {
        let stream = TokenStream::new(seed, small_vocabulary());
        plan(&stream, seed, &NATURAL, limits)
    }

    #[test]
    fn ignoring_the_end_of_sequence_runs_to_the_limit() {
        let limits = OutputLimits {
            max_tokens: 64,
            ignore_eos: true,
            ..Default::default()
        };
        for seed in 0..100 {
            let plan = planned(seed, &limits);
            assert_eq!((plan.tokens, plan.finish), (64, FinishReason::Length));
        }
    }

    #[test]
    fn outputs_end_by_themselves_at_lengths_that_follow_the_seed() {
        let limits = OutputLimits {
            max_tokens: 64,
            ..Default::default()
        };
        let plans: Vec<_> = (0..200).map(|seed| planned(seed, &limits)).collect();
        let stopped = plans
            .iter()
            .filter(|plan| plan.finish == FinishReason::Stop)
            .count();
        // P(log-normal of median 50, sigma 0.8 < 64) = 0.62.
        assert!((90..160).contains(&stopped), "{stopped} of 200 ended early");
        assert_eq!(plans[3], planned(3, &limits));
    }

    #[test]
    fn min_tokens_delays_the_end() {
        let limits = OutputLimits {
            max_tokens: 64,
            min_tokens: 60,
            ..Default::default()
        };
        assert!((0..100).all(|seed| planned(seed, &limits).tokens >= 60));
    }

    #[test]
    fn a_stop_string_across_tokens_ends_the_output_before_it() {
        let stream = TokenStream::new(5, small_vocabulary());
        // The end of token 9 and the start of token 10.
        let (ninth, tenth) = (stream.piece(9), stream.piece(10));
        let stop = format!("{}{}", &ninth[ninth.len() - 1..], &tenth[..2]);
        let text: String = (0..64).map(|k| stream.piece(k)).collect();
        let at = text.find(&stop).expect("it is in the text");
        let limits = OutputLimits {
            max_tokens: 64,
            ignore_eos: true,
            stop: vec!["never there".into(), stop.clone()],
            ..Default::default()
        };
        let plan = planned(5, &limits);
        assert_eq!(plan.finish, FinishReason::Stop);
        assert_eq!(plan.stop_reason, Some(stop));
        assert_eq!(plan.text_bytes, Some(at));
        assert!(plan.tokens <= 11);
    }

    #[test]
    fn an_empty_stop_string_is_ignored() {
        let limits = OutputLimits {
            max_tokens: 8,
            ignore_eos: true,
            stop: vec![String::new()],
            ..Default::default()
        };
        assert_eq!(planned(1, &limits).finish, FinishReason::Length);
    }
}
