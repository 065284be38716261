#[cfg(feature = "engine")]
use crate::config::EndpointUrlError;
#[cfg(feature = "engine")]
use crate::engine::EngineError;
#[cfg(feature = "engine")]
use crate::prompt::TokenizeError;

/// The embedded engine could not be started.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// The engine.
    #[cfg(feature = "engine")]
    #[error("the embedded engine could not be started: {0}")]
    Engine(#[from] EngineError),
    /// The engine's own address.
    #[cfg(feature = "engine")]
    #[error("the embedded engine has no usable address: {0}")]
    Address(#[from] EndpointUrlError),
    /// The tokenizer.
    #[cfg(feature = "engine")]
    #[error(transparent)]
    Tokenizer(#[from] TokenizeError),
    /// There is none.
    #[cfg(not(feature = "engine"))]
    #[error(
        "no endpoint is configured, and this program was built without the embedded engine (Cargo feature \"engine\" of servemark); set MODEL_ENDPOINTS"
    )]
    NotBuilt,
}
