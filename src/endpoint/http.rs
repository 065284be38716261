//! Questions to a server beside the load: small requests, bounded in time and size.

use std::time::Duration;

use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use reqwest::{Client, RequestBuilder, Response};
use serde::Serialize;
use url::Url;

use super::Failure;
use super::failure::excerpt;
use crate::client::{BodyError, whole_body};
use crate::simulated::SIMULATED_HEADER;

/// The shared HTTP client with the headers of the configuration
/// ([`Config::request_headers`](crate::config::Config::request_headers)).
#[derive(Clone, Debug)]
pub struct Http {
    client: Client,
    headers: HeaderMap,
}

/// The most that is read of an answer: `/metrics` of a large deployment stays well below.
const MOST_BYTES: usize = 16 << 20;

/// An answer with a 2xx status, or the failure, and what is known in either case.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) outcome: Result<Vec<u8>, Failure>,
    /// The preset, where the server says that it is simulated.
    pub(super) simulated: Option<String>,
}

impl Http {
    /// Questions go through `client` and carry `headers`.
    pub fn new(client: Client, mut headers: HeaderMap) -> Http {
        // A GET request has no content, and JSON brings its own type.
        headers.remove(CONTENT_TYPE);
        Http { client, headers }
    }

    /// Asks for a page and waits at most `limit` for the whole of it.
    pub(super) async fn get(&self, url: Url, limit: Duration) -> Reply {
        self.ask(self.client.get(url), limit).await
    }

    /// Posts a question as JSON and waits at most `limit` for the whole of the answer.
    pub(crate) async fn post(
        &self,
        url: Url,
        question: &impl Serialize,
        limit: Duration,
    ) -> Result<Vec<u8>, Failure> {
        let request = self.client.post(url).json(question);
        self.ask(request, limit).await.outcome
    }

    async fn ask(&self, request: RequestBuilder, limit: Duration) -> Reply {
        let request = request.headers(self.headers.clone());
        let mut response = match request.timeout(limit).send().await {
            Ok(response) => response,
            Err(error) => {
                return Reply {
                    outcome: Err(Failure::of_client(&error, limit)),
                    simulated: None,
                };
            }
        };
        let simulated = response
            .headers()
            .get(SIMULATED_HEADER)
            .map(|preset| excerpt(preset.as_bytes()));
        Reply {
            outcome: read(&mut response, limit).await,
            simulated,
        }
    }
}

/// The body of a 2xx answer, or what is wrong with it.
async fn read(response: &mut Response, limit: Duration) -> Result<Vec<u8>, Failure> {
    let status = response.status();
    if status.is_redirection() {
        return Err(Failure::of_redirect(response));
    }
    let encoding = response.headers().get(CONTENT_ENCODING).cloned();
    let body = match whole_body(response, MOST_BYTES).await {
        Ok(body) => body,
        // The status says more than how the rest of the answer came.
        Err(_) if !status.is_success() => Vec::new(),
        Err(BodyError::Broken(error)) => return Err(Failure::of_client(&error, limit)),
        Err(error) => return Err(Failure::malformed(error.to_string())),
    };
    match encoding.filter(|encoding| encoding != "identity") {
        _ if !status.is_success() => Err(Failure::of_status(status, &body)),
        Some(encoding) => Err(Failure::compressed(&encoding)),
        None => Ok(body),
    }
}
