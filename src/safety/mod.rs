//! A content-safety check before and after each request, as some deployments have one.

mod azure;
mod error;
mod outcome;
mod simulated;

use crate::config::{SafetyBackend, SafetyConfig};

pub use error::{SafetyError, SafetySetupError};
pub use outcome::CheckOutcome;

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

impl SafetyCheck {
    /// The configured check; `seed` makes simulated delays reproducible.
    ///
    /// # Errors
    /// If the HTTP client cannot be set up.
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

    /// Checks one text; `index` is the number of the check in the run.
    ///
    /// # Errors
    /// [`SafetyError`] if the service returns no analysis.
    pub async fn check(&self, text: &str, index: u64) -> Result<CheckOutcome, SafetyError> {
        match &self.0 {
            Backend::Simulated(simulated) => Ok(simulated.check(index).await),
            Backend::Azure(azure) => azure.check(text).await,
        }
    }
}
