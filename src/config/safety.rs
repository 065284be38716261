//! The content-safety check: `SAFE_CHECK` and the `SAFETY_*` keys.

use url::Url;

use super::api_key::ApiKey;
use crate::ids::ids;

/// The check of texts before and after a request.
#[derive(Clone, Debug, PartialEq)]
pub struct SafetyConfig {
    /// The service that checks.
    pub backend: SafetyBackend,
}

/// A service that checks texts.
#[derive(Clone, Debug, PartialEq)]
pub enum SafetyBackend {
    /// A simulated service: it takes the time of a real one and allows every text.
    Simulated {
        /// Least and greatest delay in milliseconds; delays are uniform between them.
        delay_ms: (f64, f64),
    },
    /// Azure AI Content Safety.
    Azure {
        /// The resource's address, from `AZURE_CONTENT_SAFETY_ENDPOINT`.
        endpoint: Url,
        /// Its key, from `AZURE_CONTENT_SAFETY_KEY`.
        key: ApiKey,
        /// Texts of at least this severity (1 to 6) are blocked.
        threshold: u8,
    },
}

impl SafetyBackend {
    /// The value of `SAFETY_BACKEND` that names it.
    pub fn id(&self) -> &'static str {
        match self {
            SafetyBackend::Simulated { .. } => "simulated",
            SafetyBackend::Azure { .. } => "azure",
        }
    }

    /// Least and greatest delay of a simulated check (ms).
    pub(super) fn delay_ms(&self) -> Option<(f64, f64)> {
        match self {
            SafetyBackend::Simulated { delay_ms } => Some(*delay_ms),
            SafetyBackend::Azure { .. } => None,
        }
    }

    /// The severity from which Azure blocks a text.
    pub(super) fn threshold(&self) -> Option<u8> {
        match self {
            SafetyBackend::Simulated { .. } => None,
            SafetyBackend::Azure { threshold, .. } => Some(*threshold),
        }
    }
}

/// The keys from which a [`SafetyConfig`] is made.
pub(super) struct SafetyKeys {
    /// `SAFE_CHECK`.
    pub(super) on: bool,
    /// `SAFETY_BACKEND`.
    pub(super) backend: BackendChoice,
    /// `SAFETY_DELAY_MS`.
    pub(super) delay_ms: (f64, f64),
    /// `SAFETY_SEVERITY`.
    pub(super) severity: u8,
}

impl Default for SafetyKeys {
    /// Placeholders; each key replaces its own. A faulty `SAFE_CHECK` counts as on, so that the others are checked.
    fn default() -> SafetyKeys {
        SafetyKeys {
            on: true,
            backend: BackendChoice::Simulated,
            delay_ms: (0.0, 0.0),
            severity: 1,
        }
    }
}

/// The value of `SAFETY_BACKEND`.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum BackendChoice {
    Auto,
    Simulated,
    Azure,
}

ids!(BackendChoice: Auto = "auto", Simulated = "simulated", Azure = "azure");
