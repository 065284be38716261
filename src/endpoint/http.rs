//! Requests outside the load: small, and limited in time and size.

use std::time::Duration;

use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use reqwest::{Client, RequestBuilder, Response};
use serde::Serialize;
use url::Url;

use super::failure::{EndpointFailure, excerpt};
use crate::client::{BodyError, whole_body};
use crate::simulated::SIMULATED_HEADER;

/// The shared HTTP client with the headers of the configuration
/// ([`Settings::request_headers`](crate::config::Settings::request_headers)).
#[derive(Clone, Debug)]
pub struct Http {
    client: Client,
    headers: HeaderMap,
}

/// Largest answer: `/metrics` of a large deployment is much smaller.
const MOST_BYTES: usize = 16 << 20;

/// The body of a 2xx answer, or the failure.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) outcome: Result<Vec<u8>, EndpointFailure>,
    /// The preset of a simulated server.
    pub(super) simulated: Option<String>,
}

impl Http {
    /// Requests over `client` with `headers`.
    pub fn new(client: Client, mut headers: HeaderMap) -> Http {
        // A GET request has no content, and JSON brings its own type.
        headers.remove(CONTENT_TYPE);
        Http { client, headers }
    }

    /// Reads a page, with the timeout `limit`.
    pub(super) async fn get(&self, url: Url, limit: Duration) -> Reply {
        self.ask(self.client.get(url), limit).await
    }

    /// Posts a JSON body and reads the answer, with the timeout `limit`.
    pub(crate) async fn post(
        &self,
        url: Url,
        body: &impl Serialize,
        limit: Duration,
    ) -> Result<Vec<u8>, EndpointFailure> {
        let request = self.client.post(url).json(body);
        self.ask(request, limit).await.outcome
    }

    async fn ask(&self, request: RequestBuilder, limit: Duration) -> Reply {
        let request = request.headers(self.headers.clone());
        let mut response = match request.timeout(limit).send().await {
            Ok(response) => response,
            Err(error) => {
                return Reply {
                    outcome: Err(EndpointFailure::of_client(&error, limit)),
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

/// The body of a 2xx answer.
async fn read(response: &mut Response, limit: Duration) -> Result<Vec<u8>, EndpointFailure> {
    let status = response.status();
    if status.is_redirection() {
        return Err(EndpointFailure::of_redirect(response));
    }
    let encoding = response.headers().get(CONTENT_ENCODING).cloned();
    let body = match whole_body(response, MOST_BYTES).await {
        Ok(body) => body,
        // The status is more useful than why the body ended.
        Err(_) if !status.is_success() => Vec::new(),
        Err(BodyError::Broken(error)) => return Err(EndpointFailure::of_client(&error, limit)),
        Err(error) => return Err(EndpointFailure::malformed(error.to_string())),
    };
    match encoding.filter(|encoding| encoding != "identity") {
        _ if !status.is_success() => Err(EndpointFailure::of_status(status, &body)),
        Some(encoding) => Err(EndpointFailure::compressed(&encoding)),
        None => Ok(body),
    }
}
