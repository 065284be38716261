//! Why a server did not answer as expected, with a hint for the user.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use reqwest::header::{HeaderValue, LOCATION};
use reqwest::{Response, StatusCode};
use url::Url;

use crate::client;
use crate::client::FailureCause;
use crate::redact;
use crate::tls;

/// Why a server did not answer as expected. Holds no secret and no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointFailure {
    /// The cause, for programs.
    pub kind: FailureKind,
    /// What happened.
    pub what: String,
    /// How to fix it.
    pub hint: &'static str,
}

/// The cause of a [`EndpointFailure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// No process listens on the port.
    ConnectionRefused,
    /// The host name is not known.
    UnknownHost,
    /// No answer in time.
    TimedOut,
    /// The server's certificate is not accepted.
    Certificate,
    /// The server does not use TLS although the address starts with `https://`, or the reverse.
    Protocol,
    /// The connection broke, or could not be made for another reason.
    Connection,
    /// An answer with this HTTP status, not 2xx.
    Status(u16),
    /// An answer that is not valid.
    Malformed,
}

impl EndpointFailure {
    fn new(kind: FailureKind, what: impl Into<String>, hint: &'static str) -> EndpointFailure {
        let what = what.into();
        EndpointFailure { kind, what, hint }
    }

    /// An endpoint that did not answer within `limit`.
    pub(crate) fn timed_out(limit: Duration) -> EndpointFailure {
        let what = format!("no answer within {:.1} s", limit.as_secs_f64());
        EndpointFailure::new(FailureKind::TimedOut, what, STUCK)
    }

    /// An answer that is not valid; `what` may be a parser's message, which may quote it.
    pub(crate) fn malformed(what: impl AsRef<str>) -> EndpointFailure {
        const MOST: usize = 1_000;
        let what = redact::line(what.as_ref(), MOST);
        let hint = "is this an OpenAI-compatible server?";
        EndpointFailure::new(FailureKind::Malformed, what, hint)
    }

    /// An answer in an `encoding` that was not requested.
    pub(crate) fn compressed(encoding: &HeaderValue) -> EndpointFailure {
        let encoding = excerpt(encoding.as_bytes());
        let what = format!("an answer compressed by {encoding}, which was not requested");
        let hint = "turn compression off in the server, or in the gateway before it";
        EndpointFailure::new(FailureKind::Malformed, what, hint)
    }

    /// A redirect, which is not followed: it could carry the key elsewhere.
    pub(crate) fn of_redirect(response: &Response) -> EndpointFailure {
        let status = response.status();
        let to = response.headers().get(LOCATION).and_then(|to| {
            let mut to = response.url().join(to.to_str().ok()?).ok()?;
            strip(&mut to);
            Some(to)
        });
        let what = match to {
            Some(to) => format!("HTTP {status}, to {}", excerpt(to.as_str().as_bytes())),
            None => format!("HTTP {status}, without an address"),
        };
        EndpointFailure::new(FailureKind::Status(status.as_u16()), what, REDIRECT)
    }

    /// The failure of a request that the load's client sent.
    pub(crate) fn of_load(failure: &client::Failure) -> EndpointFailure {
        let client::Failure { cause, message } = failure;
        let (kind, hint) = match cause {
            FailureCause::Http(status) => (FailureKind::Status(*status), status_hint(*status)),
            FailureCause::Connect => (
                FailureKind::Connection,
                "is the address in MODEL_ENDPOINTS right, and the server running?",
            ),
            FailureCause::Timeout => (FailureKind::TimedOut, STUCK),
            FailureCause::StreamCut => (FailureKind::Connection, LOG),
            _ => (FailureKind::Malformed, LOG),
        };
        let what = match cause {
            // The body may repeat the key.
            FailureCause::Http(401 | 403) => cause.to_string(),
            _ if message.is_empty() => cause.to_string(),
            _ => format!("{cause}: {message}"),
        };
        EndpointFailure::new(kind, what, hint)
    }

    /// The same failure in other words.
    pub(super) fn saying(self, what: String) -> EndpointFailure {
        EndpointFailure { what, ..self }
    }

    /// Whether the server refuses the key, at least for this page.
    pub fn is_refused_key(&self) -> bool {
        matches!(self.kind, FailureKind::Status(401 | 403))
    }

    /// Whether the server is unreachable, for the load as well.
    pub(crate) fn is_unreachable(&self) -> bool {
        matches!(
            self.kind,
            FailureKind::ConnectionRefused
                | FailureKind::UnknownHost
                | FailureKind::Certificate
                | FailureKind::Protocol
        )
    }

    /// Whether the answer is a redirect.
    pub(super) fn is_redirect(&self) -> bool {
        matches!(self.kind, FailureKind::Status(300..=399))
    }

    /// Whether the server does not have the page.
    pub fn is_not_there(&self) -> bool {
        matches!(self.kind, FailureKind::Status(404 | 405 | 501))
    }

    /// An error of the HTTP client for a request with the timeout `limit`.
    pub(crate) fn of_client(error: &reqwest::Error, limit: Duration) -> EndpointFailure {
        if error.is_timeout() {
            return EndpointFailure::timed_out(limit);
        }
        if let Some(fault) = tls::fault(error) {
            let kind = match fault.is_certificate {
                true => FailureKind::Certificate,
                false => FailureKind::Protocol,
            };
            return EndpointFailure::new(kind, fault.what, fault.hint);
        }
        let (kind, what, hint) = match innermost(error) {
            (_, Some(io::ErrorKind::ConnectionRefused)) => (
                FailureKind::ConnectionRefused,
                "connection refused".to_owned(),
                "is the server running on this port?",
            ),
            (text, _) if is_lookup(&text) => (
                FailureKind::UnknownHost,
                format!("host name not found ({text})"),
                "check the host name in MODEL_ENDPOINTS",
            ),
            // Other pages may work, so this is not a lasting failure.
            (text, _) if text.contains("invalid HTTP version") => (
                FailureKind::Malformed,
                format!("not HTTP ({text})"),
                "does the server speak https? Then write https:// in MODEL_ENDPOINTS",
            ),
            (text, _) => (
                FailureKind::Connection,
                format!("the connection failed ({text})"),
                LOG,
            ),
        };
        EndpointFailure::new(kind, what, hint)
    }

    /// An answer that is not 2xx. The body is shown in part, unless it may repeat the key.
    pub(crate) fn of_status(status: StatusCode, body: &[u8]) -> EndpointFailure {
        let mut what = format!("HTTP {status}");
        if !matches!(status.as_u16(), 401 | 403) {
            let excerpt = excerpt(body);
            if !excerpt.is_empty() {
                what.push_str(&format!(" ({excerpt})"));
            }
        }
        let status = status.as_u16();
        EndpointFailure::new(FailureKind::Status(status), what, status_hint(status))
    }
}

const STUCK: &str = "is the server still loading, stuck, or behind a firewall?";
const LOG: &str = "look into the server's log";
const REDIRECT: &str =
    "servemark follows no redirects: write the address that it leads to in MODEL_ENDPOINTS";

/// The hint for an HTTP status that is not 2xx.
fn status_hint(status: u16) -> &'static str {
    match status {
        300..=399 => REDIRECT,
        401 | 403 => {
            "set OPENAI_API_KEY (or Authorization in MODEL_HEADERS) to a key this server accepts"
        }
        404 | 405 => {
            "check the path in MODEL_ENDPOINTS: it is the server's address, with or without /v1/…"
        }
        429 => "the server limits requests: use another key or wait",
        502..=504 => "the server behind this address is still loading or down",
        _ => LOG,
    }
}

/// Removes the parts of an address that may be secret.
fn strip(url: &mut Url) {
    url.set_query(None);
    url.set_fragment(None);
    // It fails for an address that cannot hold a user name.
    let _ = url.set_username("");
    let _ = url.set_password(None);
}

impl fmt::Display for EndpointFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.hint)
    }
}

/// One line of a body, short enough for a message.
pub(crate) fn excerpt(body: &[u8]) -> String {
    const MOST: usize = 160;
    redact::line_of(body, MOST)
}

/// The message of the innermost cause, and its kind if it is an I/O error.
fn innermost(error: &reqwest::Error) -> (String, Option<io::ErrorKind>) {
    let mut kind = None;
    let mut cause: &dyn Error = error;
    while let Some(next) = cause.source() {
        cause = next;
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            kind = Some(io.kind());
        }
    }
    // An error without a cause would show the address, which may hold a key.
    let text = match error.source() {
        Some(_) => cause.to_string(),
        None => "no cause given".to_owned(),
    };
    (text, kind)
}

fn is_lookup(text: &str) -> bool {
    text.contains("lookup address") || text.contains("dns error")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_key_is_reported_without_the_servers_message() {
        let failure = EndpointFailure::of_status(StatusCode::UNAUTHORIZED, b"bad key sk-secret");
        let text = failure.to_string();
        assert!(
            text.contains("401") && text.contains("OPENAI_API_KEY"),
            "{text}"
        );
        assert!(!text.contains("sk-secret"), "{text}");
        assert!(failure.is_refused_key());
    }

    #[test]
    fn a_long_body_is_cut_to_one_line() {
        let body = "model is\n loading\u{1b}[0m ".repeat(100);
        let failure = EndpointFailure::of_status(StatusCode::SERVICE_UNAVAILABLE, body.as_bytes());
        let text = failure.to_string();
        assert!(text.contains("model is loading"), "{text}");
        assert!(text.lines().count() == 1 && text.len() < 400, "{text}");
        assert!(!text.contains('\u{1b}'));
    }
}
