/// The check failed. No message holds the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SafetyError {
    /// The service could not be reached, or not in time.
    #[error(
        "the content-safety service at {endpoint} gave no answer: {reason}; check AZURE_CONTENT_SAFETY_ENDPOINT"
    )]
    NoAnswer {
        /// Its address.
        endpoint: String,
        /// The error of the connection.
        reason: String,
    },
    /// The service refused the request.
    #[error("the content-safety service at {endpoint} answered HTTP {status}: {message}; {hint}")]
    Refused {
        /// Its address.
        endpoint: String,
        /// The HTTP status.
        status: u16,
        /// Its own message.
        message: String,
        /// How to fix it.
        hint: &'static str,
    },
    /// The answer is not an analysis.
    #[error(
        "the content-safety service at {endpoint} sent an answer that is not an analysis: {reason}"
    )]
    NotAnAnalysis {
        /// Its address.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// The HTTP client for the service could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client of the safety check could not be set up: {0}")]
pub struct SafetySetupError(#[from] reqwest::Error);
