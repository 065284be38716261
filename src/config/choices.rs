//! The values of keys that choose one of several.

use std::time::Duration;

use crate::ids::ids;

/// How the gaps between the arrivals of an open loop are distributed, around the mean of 1 ÷ rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ArrivalProcess {
    /// Exponentially: independent users.
    Poisson,
    /// All alike.
    Constant,
    /// By a gamma distribution of this shape, the *burstiness* of `vllm bench serve`: 1 is Poisson, below 1 more
    /// bursty, above 1 more even.
    Gamma(f64),
}

/// How the rate of an open loop rises to the point's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RampStrategy {
    /// By equal steps.
    Linear,
    /// By equal factors.
    Exponential,
}

ids!(RampStrategy: Linear = "linear", Exponential = "exponential");

/// The time before the warm-up of an open loop, in which its rate rises from a tenth of the point's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ramp {
    /// How it rises.
    pub strategy: RampStrategy,
    /// How long it takes.
    pub duration: Duration,
}

/// How the requests of a steady load begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SteadyStart {
    /// All at once.
    Together,
    /// One after another, spread over the time of one request, so that their prefills are not aligned.
    Staggered,
}

ids!(SteadyStart: Together = "together", Staggered = "staggered");

/// Which endpoint gets the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Balancing {
    /// Each in turn, with equal counts.
    RoundRobin,
    /// The endpoint with the fewest requests in flight: a slow one gets fewer.
    LeastOutstanding,
}

ids!(Balancing: RoundRobin = "round_robin", LeastOutstanding = "least_outstanding");

/// The part of a prompt that the server may find in its prefix cache.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PrefixCache {
    /// None: each prompt starts differently.
    Bust,
    /// All: every request has the same prompt.
    Allow,
    /// This share of each prompt's tokens, 0 to 1, is the same in all prompts.
    Shared(f64),
}

/// Whether answers are forced to the full `MAX_NEW_TOKENS` (`ignore_eos` and `min_tokens`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FixedOutput {
    /// If the server is vLLM, which supports these fields; other servers may refuse them.
    Auto,
    /// Always.
    On,
    /// Never: the model decides where its answer ends.
    Off,
}

/// A figure that Criterion measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Output tokens per second over all requests.
    OutputTokS,
    /// Requests completed per second.
    Rps,
    /// Time to first token.
    Ttft,
    /// Time per output token after the first.
    Tpot,
    /// End-to-end latency.
    E2el,
}

ids!(Metric:
    OutputTokS = "output_tok_s",
    Rps = "rps",
    Ttft = "ttft",
    Tpot = "tpot",
    E2el = "e2el",
);

impl Metric {
    /// Whether it is a rate (tok/s, req/s), not a latency (ms).
    pub fn is_rate(self) -> bool {
        matches!(self, Metric::OutputTokS | Metric::Rps)
    }
}
