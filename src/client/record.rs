//! What one request left behind: timestamps, token counts, or the cause of its failure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Timestamps;
use crate::redact;

/// Everything known of one request after it ended.
///
/// Times are nanoseconds of the run's [`Clock`](super::Clock).
#[derive(Clone, Debug)]
pub struct RequestRecord<O = Outcome> {
    /// Position of the request in the run; the prompt is a function of it and of the seed.
    pub index: u64,
    /// Which endpoint of the list served it.
    pub endpoint: usize,
    /// When it could be sent: its place in a closed loop was free.
    pub intended_ns: u64,
    /// When the user's wait began: before the safety check, if there is one.
    pub start_ns: u64,
    /// `t_send`: just before the request was handed to the HTTP client.
    /// Equal to `start_ns` when no safety check is on.
    pub sent_ns: u64,
    /// When the user's wait was over: last byte, and after it the safety check.
    pub end_ns: u64,
    /// Time spent in safety checks before and after the request (ns).
    pub safety_ns: u64,
    /// How it ended; of one that is known to have succeeded its [`Completion`].
    pub outcome: O,
}

impl<O> RequestRecord<O> {
    /// The same request with what `outcome` makes of its own outcome; `None` where it makes `None`.
    fn with_outcome<P>(self, outcome: impl FnOnce(O) -> Option<P>) -> Option<RequestRecord<P>> {
        Some(RequestRecord {
            index: self.index,
            endpoint: self.endpoint,
            intended_ns: self.intended_ns,
            start_ns: self.start_ns,
            sent_ns: self.sent_ns,
            end_ns: self.end_ns,
            safety_ns: self.safety_ns,
            outcome: outcome(self.outcome)?,
        })
    }
}

impl RequestRecord {
    /// The request if it succeeded.
    pub fn completed(self) -> Option<CompletedRequest> {
        self.with_outcome(|outcome| match outcome {
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
    /// It failed; it enters no latency or token figure.
    Failed(Failure),
    /// The safety check refused the prompt or the answer; it enters no latency or token figure.
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
    /// Tokens of the prompt as the server counted them, if it said so.
    pub usage_input: Option<u32>,
    /// Tokens generated as the server counted them, if it said so and that can be.
    pub usage_output: Option<u32>,
    /// The server's count of output tokens where it cannot be: zero although text came, or far more than was
    /// asked for. Then `usage_output` is `None`.
    pub refused_count: Option<u32>,
    /// Tokens of the prompt as the harness's tokenizer counted them.
    pub prompt_tokens: u32,
    /// The generated text, if it was asked to be kept or the server did not count it.
    pub text: Option<String>,
    /// Output tokens as the harness's tokenizer counted `text`; set where usage is missing.
    pub counted_output: Option<u32>,
    /// Why the model stopped (`length`, `stop`), as the server said.
    pub finish_reason: Option<String>,
}

impl Completion {
    /// Input tokens and who counted them.
    pub fn input_tokens(&self) -> (u32, TokenSource) {
        match self.usage_input {
            // Every prompt has a token.
            None | Some(0) => (self.prompt_tokens, TokenSource::Tokenizer),
            Some(tokens) => (tokens, TokenSource::Server),
        }
    }

    /// Output tokens and who counted them; `None` if nobody could.
    pub fn output_tokens(&self) -> Option<(u32, TokenSource)> {
        self.usage_output
            .map(|tokens| (tokens, TokenSource::Server))
            .or(self.counted_output.map(|t| (t, TokenSource::Tokenizer)))
    }
}

/// Who counted the tokens of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TokenSource {
    /// The server's `usage` object.
    Server,
    /// The harness's tokenizer.
    Tokenizer,
}

/// A failed request: what kind of failure, and the first words of it.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The kind, by which failures are counted.
    pub cause: FailureCause,
    /// What happened, for a person; holds no header and no key.
    pub message: String,
}

impl Failure {
    /// A parser, too, may quote what the server sent.
    pub(super) fn fit_to_be_shown(self) -> Failure {
        Failure {
            message: redact::line(&self.message, MOST_OF_MESSAGE),
            ..self
        }
    }
}

/// Most characters of a message: a server's words and ours.
const MOST_OF_MESSAGE: usize = 1_000;

/// Kinds of failure, as counted and shown in tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureCause {
    /// No connection: refused, unreachable, DNS, TLS.
    Connect,
    /// `REQUEST_TIMEOUT` passed before the last byte.
    Timeout,
    /// The server answered with a status that is not 2xx.
    Http(u16),
    /// The connection ended before the response or stream did.
    StreamCut,
    /// Bytes that are not the event stream or JSON that was promised.
    Malformed,
    /// The stream carried an error, as an event of that name or as an error object.
    ServerError,
    /// The whole of a response with status 200 is an error object.
    ErrorAnswer,
    /// One JSON answer where a stream was asked for, or a stream where one answer was.
    OtherForm,
    /// An answer far larger than what was asked for; it was not read to its end.
    TooLarge,
    /// A response in a content coding such as gzip, which nobody asked for.
    Compressed,
    /// The response ended without a token.
    EmptyAnswer,
    /// The response ended, but no `finish_reason` says that the answer did.
    NoFinishReason,
    /// The server stopped the request: `finish_reason` is `abort` or the like.
    Aborted,
    /// `finish_reason` is `error` or the like.
    FinishedInError,
    /// `finish_reason` is `content_filter`.
    Filtered,
    /// A `finish_reason` of which nobody knows whether the answer is whole.
    UnknownFinishReason,
    /// The safety check itself failed.
    SafetyCheck,
    /// The prompt could not be made.
    Prompt,
    /// A cause that this version does not know, read from a record.
    Unknown,
}

impl FailureCause {
    const NAMED: [FailureCause; 17] = [
        FailureCause::Connect,
        FailureCause::Timeout,
        FailureCause::StreamCut,
        FailureCause::Malformed,
        FailureCause::ServerError,
        FailureCause::ErrorAnswer,
        FailureCause::OtherForm,
        FailureCause::TooLarge,
        FailureCause::Compressed,
        FailureCause::EmptyAnswer,
        FailureCause::NoFinishReason,
        FailureCause::Aborted,
        FailureCause::FinishedInError,
        FailureCause::Filtered,
        FailureCause::UnknownFinishReason,
        FailureCause::SafetyCheck,
        FailureCause::Prompt,
    ];

    /// The cause that is shown as `name`.
    pub fn named(name: &str) -> FailureCause {
        let status = name.strip_prefix("HTTP ").and_then(|s| s.parse().ok());
        let named = FailureCause::NAMED
            .into_iter()
            .find(|cause| cause.to_string() == name);
        status
            .map(FailureCause::Http)
            .or(named)
            .unwrap_or(FailureCause::Unknown)
    }
}

impl std::fmt::Display for FailureCause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FailureCause::Connect => f.write_str("connection failed"),
            FailureCause::Timeout => f.write_str("timed out"),
            FailureCause::Http(status) => write!(f, "HTTP {status}"),
            FailureCause::StreamCut => f.write_str("stream cut short"),
            FailureCause::Malformed => f.write_str("malformed response"),
            FailureCause::ServerError => f.write_str("error event in stream"),
            FailureCause::ErrorAnswer => f.write_str("error object as answer"),
            FailureCause::OtherForm => f.write_str("answer of another form"),
            FailureCause::TooLarge => f.write_str("answer too large"),
            FailureCause::Compressed => f.write_str("compressed response"),
            FailureCause::EmptyAnswer => f.write_str("empty answer"),
            FailureCause::NoFinishReason => f.write_str("no finish reason"),
            FailureCause::Aborted => f.write_str("aborted by the server"),
            FailureCause::FinishedInError => f.write_str("finish reason of an error"),
            FailureCause::Filtered => f.write_str("cut by a content filter"),
            FailureCause::UnknownFinishReason => f.write_str("unknown finish reason"),
            FailureCause::SafetyCheck => f.write_str("safety check failed"),
            FailureCause::Prompt => f.write_str("prompt generation failed"),
            FailureCause::Unknown => f.write_str("unknown cause"),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_found_by_the_name_it_is_shown_by() {
        let causes = FailureCause::NAMED.into_iter();
        for cause in causes.chain([FailureCause::Http(503), FailureCause::Unknown]) {
            assert_eq!(FailureCause::named(&cause.to_string()), cause);
        }
    }
}
