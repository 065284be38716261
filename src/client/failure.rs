use std::fmt;

use crate::redact;

/// Why a request failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The kind, by which failures are counted.
    pub cause: FailureCause,
    /// The details for the user, without headers and keys.
    pub message: String,
}

impl Failure {
    /// A failure with its message.
    pub(crate) fn new(cause: FailureCause, message: impl fmt::Display) -> Failure {
        Failure {
            cause,
            message: message.to_string(),
        }
    }

    /// The failure with a message that is safe to show: it may quote the server.
    pub(super) fn safe_to_show(self) -> Failure {
        Failure {
            message: redact::line(&self.message, MOST_OF_MESSAGE),
            ..self
        }
    }
}

/// Most characters of a message.
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
    /// The bytes are not the expected event stream or JSON.
    Malformed,
    /// The stream contained an error event or error object.
    ServerError,
    /// The response has status 200 but is an error object.
    ErrorAnswer,
    /// One JSON answer where a stream was requested, or a stream where one answer was.
    OtherForm,
    /// An answer far larger than requested; it was not read to its end.
    TooLarge,
    /// A response in a content coding such as gzip, which was not requested.
    Compressed,
    /// The response ended without a token.
    EmptyAnswer,
    /// The response ended without a `finish_reason`.
    NoFinishReason,
    /// The server stopped the request: `finish_reason` is `abort` or the like.
    Aborted,
    /// `finish_reason` is `error` or the like.
    FinishedInError,
    /// `finish_reason` is `content_filter`.
    Filtered,
    /// An unknown `finish_reason`: the answer may be incomplete.
    UnknownFinishReason,
    /// The safety check itself failed.
    SafetyCheck,
    /// The prompt could not be made.
    Prompt,
    /// It arrived in an open loop when `MAX_IN_FLIGHT` requests were in flight.
    NotSent,
    /// A cause in a record of another version.
    Unknown,
}

/// The name of every cause but a status.
const NAMES: [(FailureCause, &str); 19] = [
    (FailureCause::Connect, "connection failed"),
    (FailureCause::Timeout, "timed out"),
    (FailureCause::StreamCut, "stream cut short"),
    (FailureCause::Malformed, "malformed response"),
    (FailureCause::ServerError, "error event in stream"),
    (FailureCause::ErrorAnswer, "error object as answer"),
    (FailureCause::OtherForm, "answer of another form"),
    (FailureCause::TooLarge, "answer too large"),
    (FailureCause::Compressed, "compressed response"),
    (FailureCause::EmptyAnswer, "empty answer"),
    (FailureCause::NoFinishReason, "no finish reason"),
    (FailureCause::Aborted, "aborted by the server"),
    (FailureCause::FinishedInError, "finish reason of an error"),
    (FailureCause::Filtered, "cut by a content filter"),
    (FailureCause::UnknownFinishReason, "unknown finish reason"),
    (FailureCause::SafetyCheck, "safety check failed"),
    (FailureCause::Prompt, "prompt generation failed"),
    (FailureCause::NotSent, "not sent"),
    (FailureCause::Unknown, "unknown cause"),
];

impl FailureCause {
    /// The cause that is shown as `name`.
    pub fn named(name: &str) -> FailureCause {
        let status = name.strip_prefix("HTTP ").and_then(|s| s.parse().ok());
        let named = || NAMES.into_iter().find(|(_, shown)| *shown == name);
        match status {
            Some(status) => FailureCause::Http(status),
            None => named().map_or(FailureCause::Unknown, |(cause, _)| cause),
        }
    }
}

impl fmt::Display for FailureCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, NAMES.iter().find(|(cause, _)| cause == self)) {
            (FailureCause::Http(status), _) => write!(f, "HTTP {status}"),
            (_, Some((_, name))) => f.write_str(name),
            // A test looks every cause up.
            (_, None) => f.write_str("unknown cause"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_found_by_the_name_it_is_shown_by() {
        let causes = NAMES.into_iter().map(|(cause, _)| cause);
        for cause in causes.chain([FailureCause::Http(503)]) {
            assert_eq!(FailureCause::named(&cause.to_string()), cause);
        }
    }
}
