//! Why a server did not answer as it should, and what a user can do about it.

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

/// Why a server did not answer as it should. Holds no secret and no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The cause, for programs.
    pub kind: FailureKind,
    /// What happened.
    pub what: String,
    /// What to do or look at.
    pub mend: &'static str,
}

/// The cause of a [`Failure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// Nothing listens on the port.
    ConnectionRefused,
    /// The host name is not known.
    UnknownHost,
    /// No answer in time.
    TimedOut,
    /// The server's certificate is not accepted.
    Certificate,
    /// The server does not speak TLS where `https://` says so, or HTTP where `http://` does.
    Protocol,
    /// The connection broke, or could not be made for another reason.
    Connection,
    /// An answer with this HTTP status, not 2xx.
    Status(u16),
    /// An answer that cannot be understood.
    Malformed,
}

impl Failure {
    /// An endpoint that did not answer within `limit`.
    pub(crate) fn timed_out(limit: Duration) -> Failure {
        Failure {
            kind: FailureKind::TimedOut,
            what: format!("no answer within {:.1} s", limit.as_secs_f64()),
            mend: "is the server still loading, stuck, or behind a firewall?",
        }
    }

    /// An answer that cannot be understood; `what` says how, perhaps in a parser's words, which may quote it.
    pub(crate) fn malformed(what: impl AsRef<str>) -> Failure {
        const MOST: usize = 1_000;
        Failure {
            kind: FailureKind::Malformed,
            what: redact::line(what.as_ref(), MOST),
            mend: "is this an OpenAI-compatible server?",
        }
    }

    /// An answer whose `encoding` nobody asked for.
    pub(crate) fn compressed(encoding: &HeaderValue) -> Failure {
        Failure {
            kind: FailureKind::Malformed,
            what: format!(
                "an answer compressed by {}, for which nobody asked",
                excerpt(encoding.as_bytes())
            ),
            mend: "turn compression off in the server, or in the gateway before it",
        }
    }

    /// A redirect, which is not followed: it could carry the key elsewhere.
    pub(crate) fn of_redirect(response: &Response) -> Failure {
        let status = response.status();
        let to = response.headers().get(LOCATION).and_then(|to| {
            let mut to = response.url().join(to.to_str().ok()?).ok()?;
            strip(&mut to);
            Some(to)
        });
        Failure {
            kind: FailureKind::Status(status.as_u16()),
            what: match to {
                Some(to) => format!("HTTP {status}, to {}", excerpt(to.as_str().as_bytes())),
                None => format!("HTTP {status}, which does not say where to"),
            },
            mend: REDIRECT,
        }
    }

    /// Why a request of the load's kind failed, sent by its own client.
    pub(crate) fn of_load(failure: &client::Failure) -> Failure {
        let client::Failure { cause, message } = failure;
        let (kind, mend) = match cause {
            FailureCause::Http(status) => (FailureKind::Status(*status), hint(*status)),
            FailureCause::Connect => (
                FailureKind::Connection,
                "is the address in MODEL_ENDPOINTS right, and the server running?",
            ),
            FailureCause::Timeout => (
                FailureKind::TimedOut,
                "is the server still loading, stuck, or behind a firewall?",
            ),
            FailureCause::StreamCut => (FailureKind::Connection, "look into the server's log"),
            _ => (FailureKind::Malformed, "look into the server's log"),
        };
        Failure {
            kind,
            what: match cause {
                // The body may repeat the key.
                FailureCause::Http(401 | 403) => cause.to_string(),
                _ if message.is_empty() => cause.to_string(),
                _ => format!("{cause}: {message}"),
            },
            mend,
        }
    }

    /// Whether the server refuses the key, or does not let it see this page.
    pub fn is_refused_key(&self) -> bool {
        matches!(self.kind, FailureKind::Status(401 | 403))
    }

    /// Whether the server cannot be reached at all: the load would not reach it either.
    pub(crate) fn is_unreachable(&self) -> bool {
        matches!(
            self.kind,
            FailureKind::ConnectionRefused
                | FailureKind::UnknownHost
                | FailureKind::Certificate
                | FailureKind::Protocol
        )
    }

    /// Whether the server says that the page is elsewhere.
    pub(super) fn is_redirect(&self) -> bool {
        matches!(self.kind, FailureKind::Status(300..=399))
    }

    /// Whether the server does not have the page asked for.
    pub fn is_not_there(&self) -> bool {
        matches!(self.kind, FailureKind::Status(404 | 405 | 501))
    }

    /// An error of the HTTP client on a request limited to `limit`.
    pub(crate) fn of_client(error: &reqwest::Error, limit: Duration) -> Failure {
        if error.is_timeout() {
            return Failure::timed_out(limit);
        }
        if let Some(fault) = tls::fault(error) {
            return Failure {
                kind: match fault.is_certificate {
                    true => FailureKind::Certificate,
                    false => FailureKind::Protocol,
                },
                what: fault.what,
                mend: fault.hint,
            };
        }
        let (kind, what, mend) = match innermost(error) {
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
            // Perhaps of this page alone: the load's own path decides.
            (text, _) if text.contains("invalid HTTP version") => (
                FailureKind::Malformed,
                format!("no HTTP ({text})"),
                "does the server speak https? Then write https:// in MODEL_ENDPOINTS",
            ),
            (text, _) => (
                FailureKind::Connection,
                format!("the connection failed ({text})"),
                "look into the server's log",
            ),
        };
        Failure { kind, what, mend }
    }

    /// An answer that is not 2xx. The body is shown in part, unless it may repeat the key.
    pub(crate) fn of_status(status: StatusCode, body: &[u8]) -> Failure {
        let mut what = format!("HTTP {status}");
        if !matches!(status.as_u16(), 401 | 403) {
            let said = excerpt(body);
            if !said.is_empty() {
                what.push_str(&format!(" ({said})"));
            }
        }
        Failure {
            kind: FailureKind::Status(status.as_u16()),
            what,
            mend: hint(status.as_u16()),
        }
    }
}

const REDIRECT: &str =
    "servemark follows no redirect: write the address that it leads to in MODEL_ENDPOINTS";

/// What to do about an HTTP status that is not 2xx.
fn hint(status: u16) -> &'static str {
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
        _ => "look into the server's log",
    }
}

/// Leaves of an address only what can be shown.
fn strip(url: &mut Url) {
    url.set_query(None);
    url.set_fragment(None);
    // An address that cannot hold a name holds none.
    let _ = url.set_username("");
    let _ = url.set_password(None);
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.mend)
    }
}

/// One line of a body, short enough for a message.
pub(crate) fn excerpt(body: &[u8]) -> String {
    const MOST: usize = 160;
    redact::line_of(body, MOST)
}

/// The text of the first cause, and its kind where it is an I/O error.
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
    fn a_refused_key_is_told_without_what_the_server_said() {
        let failure = Failure::of_status(StatusCode::UNAUTHORIZED, b"bad key sk-secret");
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
        let failure = Failure::of_status(StatusCode::SERVICE_UNAVAILABLE, body.as_bytes());
        let text = failure.to_string();
        assert!(text.contains("model is loading"), "{text}");
        assert!(text.lines().count() == 1 && text.len() < 400, "{text}");
        assert!(!text.contains('\u{1b}'));
    }
}
