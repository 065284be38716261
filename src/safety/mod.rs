//! A content-safety check before and after a request, as a deployment with one does it.

mod azure;
mod simulated;

use crate::config::{SafetyBackend, SafetyConfig};

use azure::Azure;
use simulated::Simulated;

/// A service that checks texts.
#[derive(Debug)]
pub struct SafetyCheck(Backend);

#[derive(Debug)]
enum Backend {
    Simulated(Simulated),
    Azure(Box<Azure>),
}

/// What a check says of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It may pass.
    Allowed,
    /// It may not.
    Blocked {
        /// The worst category.
        category: String,
        /// Its severity.
        severity: u8,
    },
}

/// The check gave no answer. No message holds the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SafetyError {
    /// The service could not be reached, or not in time.
    #[error(
        "the content-safety service at {endpoint} gave no answer: {reason}; check AZURE_CONTENT_SAFETY_ENDPOINT"
    )]
    NoAnswer {
        /// Its address.
        endpoint: String,
        /// What the connection said.
        reason: String,
    },
    /// It refused.
    #[error("the content-safety service at {endpoint} answered HTTP {status}: {message}; {mend}")]
    Refused {
        /// Its address.
        endpoint: String,
        /// The HTTP status.
        status: u16,
        /// Its own message.
        message: String,
        /// What to do about it.
        mend: &'static str,
    },
    /// It answered something that is no analysis.
    #[error(
        "the content-safety service at {endpoint} answered something that is no analysis: {reason}"
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

impl SafetyCheck {
    /// The check that the configuration asks for; `seed` makes simulated delays reproducible.
    ///
    /// # Errors
    /// When no HTTP client can be made for a real service.
    pub fn new(config: &SafetyConfig, seed: u64) -> Result<SafetyCheck, SafetySetupError> {
        Ok(SafetyCheck(match &config.backend {
            SafetyBackend::Simulated { delay_ms } => {
                Backend::Simulated(Simulated::new(*delay_ms, seed))
            }
            SafetyBackend::Azure {
                endpoint,
                key,
                threshold,
            } => Backend::Azure(Box::new(Azure::new(endpoint, key.clone(), *threshold)?)),
        }))
    }

    /// Checks one text; `index` numbers the checks of a run, whatever order they are made in.
    ///
    /// # Errors
    /// [`SafetyError`] when the service gives no verdict.
    pub async fn check(&self, text: &str, index: u64) -> Result<Outcome, SafetyError> {
        match &self.0 {
            Backend::Simulated(simulated) => Ok(simulated.check(index).await),
            Backend::Azure(azure) => azure.check(text).await,
        }
    }
}
