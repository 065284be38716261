//! How long a load may go on without any answer: until the first one, no latency is known that a budget could follow
//! from.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::budget::Budget;
use crate::bench::point::Point;
use crate::load::Gauge;
use crate::prompt::RequestLengths;

/// Assumed time per token of the prompt: prompts are read at 1,000 tokens per second or faster.
const PER_PROMPT_TOKEN: Duration = Duration::from_millis(1);

/// Assumed time per token of an answer that is not streamed, which comes as a whole: 20 tokens per second or faster.
const PER_OUTPUT_TOKEN: Duration = Duration::from_millis(50);

/// Latency of a request to its first byte, assumed before the first answer.
pub fn assumed_latency(point: &Point<'_>, lengths: &RequestLengths) -> Duration {
    let config = &point.context.config;
    let output_tokens = match (config.stream, lengths.output) {
        (true, _) => 0,
        (false, Some(output)) => output.most,
        (false, None) => config.max_new_tokens.get(),
    };
    PER_PROMPT_TOKEN * lengths.prompt.most + PER_OUTPUT_TOKEN * output_tokens
}

/// The wait of a load for its first answer. Tokens that arrive prolong it: the servers are at work.
pub struct FirstAnswer {
    gauge: Gauge,
    /// Tokens received so far, and when that was first seen.
    latest: Cell<(u64, Instant)>,
}

impl FirstAnswer {
    /// The wait of the load of `gauge`, which starts now.
    pub fn new(gauge: Gauge) -> FirstAnswer {
        FirstAnswer {
            gauge,
            latest: Cell::new((0, Instant::now())),
        }
    }

    /// When it has taken as long as `budget`, from the latest token on.
    pub fn over_at(&self, budget: Budget) -> Option<Instant> {
        let tokens = self.gauge.read().tokens;
        if self.latest.get().0 != tokens {
            self.latest.set((tokens, Instant::now()));
        }
        budget.over_at(self.latest.get().1)
    }
}
