//! Responses whose status is not 2xx.

use std::ops::ControlFlow;

use super::failure::{Failure, FailureCause};
use super::http1::{ResponseHead, Taken};
use crate::dialect::{error_in_body, one_line};

/// Most bytes that are kept of a body which is not an answer: the reason is at its start.
const KEPT_BYTES: usize = 64 * 1024;

const REFUSED_KEY: &str = "the server refuses the key: set OPENAI_API_KEY (or Authorization in MODEL_HEADERS) to one it accepts";

/// The body of a response that is not 2xx.
#[derive(Default)]
pub(super) struct Refusal(Vec<u8>);

impl Refusal {
    /// Keeps the start of the body.
    pub fn take(&mut self, bytes: &[u8]) -> Taken {
        keep_start(&mut self.0, bytes);
        Ok(ControlFlow::Continue(()))
    }

    /// The failure, with the server's message; without it for a refused key, which it may repeat.
    pub fn failure(&self, head: &ResponseHead) -> Failure {
        let location = head
            .location
            .as_ref()
            .filter(|location| !location.trim().is_empty());
        let message = match location {
            _ if matches!(head.status.as_u16(), 401 | 403) => REFUSED_KEY.to_owned(),
            Some(location) if head.status.is_redirection() => format!(
                "redirected to {}: give that address in MODEL_ENDPOINTS, as redirects are not followed",
                without_query(location)
            ),
            _ => error_in_body(&self.0),
        };
        Failure::new(FailureCause::Http(head.status.as_u16()), message)
    }
}

/// A redirect's address; its query may hold a key.
fn without_query(location: &str) -> String {
    let end = location.find(['?', '#']).unwrap_or(location.len());
    one_line(&location[..end])
}

/// Appends bytes to the kept start of a body.
pub(super) fn keep_start(kept: &mut Vec<u8>, bytes: &[u8]) {
    let room = KEPT_BYTES - kept.len();
    kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

#[cfg(test)]
mod tests {
    use ureq_proto::http::StatusCode;

    use super::*;

    #[test]
    fn refusals_say_where_a_redirect_leads_and_never_repeat_a_key() {
        let refused = |status: u16, location: Option<&str>| {
            let mut refusal = Refusal::default();
            let _ = refusal.take(br#"{"error":"bad key sk-secret"}"#).unwrap();
            let status = StatusCode::from_u16(status).unwrap();
            let location = location.map(str::to_owned);
            refusal.failure(&ResponseHead { status, location }).message
        };
        for status in [401, 403] {
            assert!(refused(status, None).contains("OPENAI_API_KEY"));
            assert!(!refused(status, None).contains("sk-secret"));
        }
        let message = refused(307, Some("https://other/v1?key=sk-secret"));
        assert!(
            message.starts_with("redirected to https://other/v1:"),
            "{message}"
        );
        assert_eq!(refused(500, None), "bad key sk-secret");
    }
}
