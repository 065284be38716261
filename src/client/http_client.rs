//! HTTP for all requests but the load's, and the headers of both.

use reqwest::header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};

use crate::config::Settings;
use crate::redact;
use crate::tls::{Tls, TlsError};

/// HTTP could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum HttpClientError {
    /// The client.
    #[error("the HTTP client could not be set up: {0}")]
    Client(#[from] reqwest::Error),
    /// TLS, of the client and of the load's connections.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// The HTTP client for all requests but the load's: with the configured headers and bearer token, the load's TLS
/// and no proxy, so that it takes the load's way to the servers. From here on, before any byte is sent, every
/// message hides the configuration's secrets.
///
/// # Errors
/// When the TLS backend or the resolver cannot be set up.
pub fn http_client(config: &Settings, tls: &Tls) -> Result<reqwest::Client, HttpClientError> {
    redact::learn(config.secrets());
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls.client_config())
        .default_headers(headers(config))
        .no_proxy()
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    Ok(client)
}

/// The headers of every request.
pub(super) fn headers(config: &Settings) -> HeaderMap {
    let mut headers = config.request_headers();
    for (name, value) in [
        (CONTENT_TYPE, "application/json"),
        (USER_AGENT, concat!("servemark/", env!("CARGO_PKG_VERSION"))),
        // A coding would bundle tokens, and no arrival could be timed.
        (ACCEPT_ENCODING, "identity"),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    headers
}

/// The message of the innermost source of an error, which is the operating system's.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
