//! A server's `/tokenize` (vLLM's protocol).

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, stream};
use reqwest::{Client, header::HeaderMap};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use url::Url;

use super::error::TokenizeError;
use super::special_tokens::SpecialTokens;
use crate::config::hide_query;
use crate::endpoint::{FailureKind, Http};

/// Timeout of one count. Tokenizing takes milliseconds; a server that is busy loading may
/// take longer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Timeout of the first count, which shows whether the server counts at all.
pub(crate) const PROBE_LIMIT: Duration = Duration::from_secs(5);

/// Most requests in flight: enough that a distant server's latency does not add up, few enough that no server is
/// busy with them.
const CONCURRENCY: usize = 8;

/// Has a server tokenize, or another of its replicas when that one does not answer.
///
/// Its calls block the calling thread until the server answers, at most 30 s. They panic on a
/// thread that is driving async tasks, so call them from a plain or a `spawn_blocking` thread, and
/// give a handle of a multi-threaded runtime, whose own threads then do the work.
#[derive(Clone)]
pub struct ServerTokenizer {
    /// The `/tokenize` of each replica: at least one.
    pub(super) urls: Vec<Url>,
    /// Position of the replica in use; the next takes over when it fails.
    current: Arc<AtomicUsize>,
    model: Option<String>,
    http: Http,
    limit: Duration,
    runtime: Handle,
}

impl fmt::Debug for ServerTokenizer {
    /// Leaves the headers out: they may carry a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTokenizer")
            .field("url", &self.shown_url().as_str())
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct TokenizeRequest<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    prompt: &'a str,
    add_special_tokens: bool,
}

/// The response of `/tokenize`; other fields are ignored.
#[derive(Deserialize)]
struct TokenizeResponse {
    count: usize,
    tokens: Vec<u32>,
}

impl ServerTokenizer {
    /// Tokenizes for `model` at `url`, the whole URL of the `/tokenize` route.
    ///
    /// `headers` go with every request (a bearer token, for instance) and are never shown; nor are the values
    /// of the URL's query.
    pub fn new(
        url: Url,
        model: Option<String>,
        headers: HeaderMap,
        client: Client,
        runtime: Handle,
    ) -> Self {
        Self {
            urls: vec![url],
            current: Arc::default(),
            model,
            http: Http::new(client, headers),
            limit: TIMEOUT,
            runtime,
        }
    }

    /// Adds the `/tokenize` of further replicas of the same model, which take over in turn when the current one
    /// cannot be reached, does not answer in time, or fails (HTTP 5xx).
    pub fn or_replicas(mut self, urls: impl IntoIterator<Item = Url>) -> Self {
        self.urls.extend(urls);
        self
    }

    /// The first URL, without the values of its query, which may be keys.
    pub fn shown_url(&self) -> Url {
        hide_query(&self.urls[0])
    }

    /// Limits the wait for each answer.
    pub(crate) fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    pub(super) fn tokenize(
        &self,
        text: &str,
        special: SpecialTokens,
    ) -> Result<Vec<u32>, TokenizeError> {
        self.runtime
            .block_on(self.ask(text, special))
            .map_err(|reason| self.error(reason))
    }

    /// The tokens of several texts, in their order; a few requests are in flight at a time.
    pub(super) fn tokenize_each(
        &self,
        texts: &[&str],
        special: SpecialTokens,
    ) -> Vec<Result<Vec<u32>, TokenizeError>> {
        let each = texts.iter().map(|text| self.ask(text, special));
        let answers = stream::iter(each).buffered(CONCURRENCY).collect::<Vec<_>>();
        let answers = self.runtime.block_on(answers).into_iter();
        answers
            .map(|answer| answer.map_err(|reason| self.error(reason)))
            .collect()
    }

    fn error(&self, reason: String) -> TokenizeError {
        TokenizeError::Server {
            url: self.shown_url(),
            reason,
        }
    }

    async fn ask(&self, text: &str, special: SpecialTokens) -> Result<Vec<u32>, String> {
        let request = TokenizeRequest {
            model: self.model.as_deref(),
            prompt: text,
            add_special_tokens: special == SpecialTokens::Added,
        };
        let body = self.ask_replicas(&request).await?;
        let answer: TokenizeResponse = serde_json::from_slice(&body).map_err(|error| {
            format!("its answer is not {{\"count\": …, \"tokens\": […]}} ({error})")
        })?;
        if answer.count != answer.tokens.len() {
            return Err(format!(
                "its answer contradicts itself: count {} but {} tokens",
                answer.count,
                answer.tokens.len()
            ));
        }
        Ok(answer.tokens)
    }

    /// The body of the first answer, starting with the current replica.
    async fn ask_replicas(&self, request: &TokenizeRequest<'_>) -> Result<Vec<u8>, String> {
        let (first, count) = (self.current.load(Ordering::Relaxed), self.urls.len());
        let mut reasons = Vec::new();
        for at in (first..first + count).map(|at| at % count) {
            let url = &self.urls[at];
            let failure = match self.http.post(url.clone(), request, self.limit).await {
                Ok(body) => {
                    self.switch(first, at);
                    return Ok(body);
                }
                Err(failure) => failure,
            };
            let is_refusal = matches!(failure.kind, FailureKind::Status(..=499));
            reasons.push(match count {
                1 => failure.what,
                _ => format!("{}: {}", hide_query(url), failure.what),
            });
            if is_refusal {
                // Its replicas would refuse, too.
                break;
            }
        }
        Err(reasons.join("; "))
    }

    /// Makes the replica that answered the current one; prints a note if it was not.
    fn switch(&self, before: usize, at: usize) {
        let (current, relaxed) = (&self.current, Ordering::Relaxed);
        if before != at
            && current
                .compare_exchange(before, at, relaxed, relaxed)
                .is_ok()
        {
            eprintln!(
                "note      {} does not answer: tokens are counted by {} from now on",
                hide_query(&self.urls[before]),
                hide_query(&self.urls[at])
            );
        }
    }
}
