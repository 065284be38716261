//! The record of one request: timestamps, token counts, or the cause of its failure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::failure::{Failure, FailureCause};
use super::timestamps::Timestamps;

/// One request after it ended.
///
/// Times are nanoseconds of the run's [`Clock`](super::Clock).
#[derive(Clone, Debug)]
pub struct RequestRecord<O = Outcome> {
    /// Position of the request in the run; the prompt is a function of it and of the seed.
    pub index: u64,
    /// Which endpoint of the list served it.
    pub endpoint: usize,
    /// When it could be sent: its place in a closed loop was free, or its arrival in an open loop was due.
    pub intended_ns: u64,
    /// Whether an open loop scheduled it: its latencies count from `intended_ns`, so that a client that sends late
    /// does not shorten the wait (no coordinated omission).
    pub is_scheduled: bool,
    /// When the user's wait began: before the safety check, if there is one.
    pub start_ns: u64,
    /// `t_send`: just before the request was handed to the HTTP client.
    /// Equal to `start_ns` when no safety check is on.
    pub sent_ns: u64,
    /// When the user's wait ended: at the last byte, or after the safety check.
    pub end_ns: u64,
    /// Time spent in safety checks before and after the request (ns).
    pub safety_ns: u64,
    /// How it ended; the [`Completion`] in a [`CompletedRequest`].
    pub outcome: O,
}

impl<O> RequestRecord<O> {
    /// Where E2EL begins (ns).
    pub fn e2el_from_ns(&self) -> u64 {
        match self.is_scheduled {
            true => self.intended_ns,
            false => self.start_ns,
        }
    }

    /// Where TTFT begins (ns).
    pub fn ttft_from_ns(&self) -> u64 {
        match self.is_scheduled {
            true => self.intended_ns,
            false => self.sent_ns,
        }
    }

    /// The same request with another outcome; `None` if `outcome` returns `None`.
    fn map_outcome<P>(self, outcome: impl FnOnce(O) -> Option<P>) -> Option<RequestRecord<P>> {
        Some(RequestRecord {
            index: self.index,
            endpoint: self.endpoint,
            intended_ns: self.intended_ns,
            is_scheduled: self.is_scheduled,
            start_ns: self.start_ns,
            sent_ns: self.sent_ns,
            end_ns: self.end_ns,
            safety_ns: self.safety_ns,
            outcome: outcome(self.outcome)?,
        })
    }
}

impl RequestRecord {
    /// Whether it left the client: not an arrival beyond `MAX_IN_FLIGHT`.
    pub fn was_sent(&self) -> bool {
        !matches!(&self.outcome, Outcome::Failed(failure) if failure.cause == FailureCause::NotSent)
    }

    /// The request if it succeeded.
    pub fn completed(self) -> Option<CompletedRequest> {
        self.map_outcome(|outcome| match outcome {
            Outcome::Completed(completion) => Some(completion),
            Outcome::Failed(_) | Outcome::Blocked(_) => None,
        })
    }
}

/// A request that succeeded.
pub type CompletedRequest = RequestRecord<Completion>;

/// How a request ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// HTTP 2xx, and the response or stream ended properly.
    Completed(Completion),
    /// It failed; latency and token figures leave it out.
    Failed(Failure),
    /// The safety check refused the prompt or the answer; latency and token figures leave it out.
    Blocked(Block),
}

/// The measured part of a successful request.
#[derive(Clone, Debug)]
pub struct Completion {
    /// Arrival of the last byte (ns).
    pub last_byte_ns: u64,
    /// Arrival of each content event (ns), in order; empty when the response was not streamed.
    pub content_ns: Timestamps,
    /// Arrival of the first event of the answer itself (ns), where reasoning came before it.
    pub first_answer_ns: Option<u64>,
    /// Tokens of the prompt as the server counted them.
    pub usage_input: Option<u32>,
    /// Tokens generated as the server counted them; `None` where the count is impossible.
    pub usage_output: Option<u32>,
    /// The server's count of output tokens where it is impossible: zero although there is text, or far more than
    /// requested. Then `usage_output` is `None`.
    pub refused_count: Option<u32>,
    /// Tokens of the prompt as the harness's tokenizer counted them.
    pub prompt_tokens: u32,
    /// Output tokens that the request asked for, where its length is its own.
    pub requested_output: Option<u32>,
    /// The generated text, if it is to be kept or the server did not count its tokens.
    pub text: Option<String>,
    /// Output tokens as the harness's tokenizer counted `text`; set where usage is missing.
    pub counted_output: Option<u32>,
    /// The server's reason why the model stopped (`length`, `stop`).
    pub finish_reason: Option<String>,
}

impl Completion {
    /// Input tokens, and where the count comes from.
    pub fn input_tokens(&self) -> (u32, TokenSource) {
        match self.usage_input {
            // Every prompt has at least one token.
            None | Some(0) => (self.prompt_tokens, TokenSource::Tokenizer),
            Some(tokens) => (tokens, TokenSource::Server),
        }
    }

    /// Output tokens, and where the count comes from; `None` if they were not counted.
    pub fn output_tokens(&self) -> Option<(u32, TokenSource)> {
        self.usage_output
            .map(|tokens| (tokens, TokenSource::Server))
            .or(self.counted_output.map(|t| (t, TokenSource::Tokenizer)))
    }
}

/// Where the token count of a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TokenSource {
    /// The server's `usage` object.
    Server,
    /// The harness's tokenizer.
    Tokenizer,
}

/// A request that the safety check stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Block {
    /// Whether the prompt or the answer was refused.
    pub stage: BlockStage,
    /// The category that the check named.
    pub category: String,
    /// Severity as the check gave it.
    pub severity: u8,
}

/// Which text the safety check refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BlockStage {
    /// The prompt; the request was not sent.
    Prompt,
    /// The generated answer.
    Answer,
}

impl std::fmt::Display for BlockStage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            BlockStage::Prompt => "prompt",
            BlockStage::Answer => "answer",
        })
    }
}
