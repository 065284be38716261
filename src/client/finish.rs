//! Whether a response that has ended is an answer: success is judged, not assumed.

use super::failure::{Failure, FailureCause};
use crate::dialect::one_line;

/// `finish_reason`s of whole answers: OpenAI's and vLLM's, then those of TGI,
/// SGLang, Anthropic, Cohere, Mistral and llama.cpp.
const WHOLE: [&str; 24] = [
    "stop",
    "length",
    "tool_calls",
    "function_call",
    "repetition",
    "eos",
    "eos_token",
    "eos_token_id",
    "end_of_text",
    "endoftext",
    "stop_sequence",
    "stop_str",
    "stop_token",
    "stop_word",
    "matched_stop",
    "end_turn",
    "end",
    "max_tokens",
    "max_length",
    "model_length",
    "limit",
    "tool_use",
    "complete",
    "completed",
];

/// Parts of the `finish_reason`s of requests that the server stopped.
const ABORTED: [&str; 9] = [
    "abort",
    "cancel",
    "interrupt",
    "preempt",
    "evict",
    "disconnect",
    "timeout",
    "timed_out",
    "shutdown",
];

/// Parts of the `finish_reason`s of requests that failed in the server.
const FAILED: [&str; 8] = [
    "error",
    "fail",
    "exception",
    "insufficient",
    "overload",
    "unavailable",
    "reject",
    "oom",
];

/// The end of a response.
pub(super) struct ResponseEnd<'a> {
    /// `finish_reason`, if the server gave one.
    pub reason: Option<&'a str>,
    /// Whether there is generated text.
    pub has_text: bool,
    /// Tokens generated, as the server counted them.
    pub usage_output: Option<u32>,
    /// Number of content events; 0 for an answer that is not streamed.
    pub events: usize,
}

impl ResponseEnd<'_> {
    /// Fails if the response is not a whole answer.
    pub fn judge(&self) -> Result<(), Failure> {
        let after = match self.events {
            0 => String::new(),
            events => format!(" after {events} content events"),
        };
        if let Some(reason) = self.reason
            && let Some(cause) = fault(reason)
        {
            let reason = one_line(reason);
            return Err(Failure::new(
                cause,
                format!("finish_reason {reason:?}{after}"),
            ));
        }
        let finish = match self.reason {
            Some(reason) => format!("finish_reason {reason:?}"),
            None => "no finish_reason".to_owned(),
        };
        // A server that hides the reasoning still counts its tokens.
        if !self.has_text && self.usage_output.unwrap_or(0) == 0 {
            let message = format!("the response has no token and no text ({finish})");
            return Err(Failure::new(FailureCause::EmptyAnswer, message));
        }
        if self.reason.is_none() {
            let message = format!("the response ended{after} without a finish_reason");
            return Err(Failure::new(FailureCause::NoFinishReason, message));
        }
        Ok(())
    }
}

/// The cause of failure in a reason; `None` for the reasons of whole answers.
fn fault(reason: &str) -> Option<FailureCause> {
    let reason = reason.trim().to_ascii_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| reason.contains(part));
    if WHOLE.contains(&reason.as_str()) {
        None
    } else if has(&ABORTED) {
        Some(FailureCause::Aborted)
    } else if has(&FAILED) {
        Some(FailureCause::FinishedInError)
    } else if has(&["filter", "safety", "refusal"]) {
        Some(FailureCause::Filtered)
    } else {
        Some(FailureCause::UnknownFinishReason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(
        reason: Option<&str>,
        has_text: bool,
        usage_output: Option<u32>,
    ) -> Option<FailureCause> {
        let ended = ResponseEnd {
            reason,
            has_text,
            usage_output,
            events: usize::from(has_text),
        };
        ended.judge().err().map(|failure| failure.cause)
    }

    #[test]
    fn an_answer_has_tokens_and_a_reason_to_end() {
        for reason in [
            "stop",
            "length",
            "tool_calls",
            "eos_token",
            "STOP",
            "COMPLETE",
            "end_turn",
        ] {
            assert_eq!(judged(Some(reason), true, Some(3)), None, "{reason}");
            assert_eq!(judged(Some(reason), true, None), None, "{reason}");
        }
        assert_eq!(
            judged(Some("length"), false, Some(8)),
            None,
            "hidden reasoning"
        );
        assert_eq!(
            judged(Some("stop"), true, Some(0)),
            None,
            "text that was not counted"
        );
    }

    #[test]
    fn every_other_end_is_a_failure_of_its_own_cause() {
        use FailureCause::*;
        for (reason, cause) in [
            ("abort", Aborted),
            ("Aborted", Aborted),
            ("cancelled", Aborted),
            ("timeout", Aborted),
            ("error", FinishedInError),
            ("internal_error", FinishedInError),
            ("insufficient_system_resource", FinishedInError),
            ("content_filter", Filtered),
            ("because", UnknownFinishReason),
            ("null", UnknownFinishReason),
        ] {
            assert_eq!(judged(Some(reason), true, Some(3)), Some(cause), "{reason}");
            assert_eq!(judged(Some(reason), false, None), Some(cause), "{reason}");
        }
        assert_eq!(judged(None, true, Some(3)), Some(NoFinishReason));
        for usage in [None, Some(0)] {
            assert_eq!(judged(Some("stop"), false, usage), Some(EmptyAnswer));
            assert_eq!(judged(None, false, usage), Some(EmptyAnswer));
        }
    }

    #[test]
    fn the_message_has_the_servers_word() {
        let ended = ResponseEnd {
            reason: Some("abort"),
            has_text: true,
            usage_output: None,
            events: 5,
        };
        let message = ended.judge().unwrap_err().message;
        assert_eq!(message, "finish_reason \"abort\" after 5 content events");
    }
}
