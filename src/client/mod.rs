//! One request on the wire: send, read, timestamp, and say how it ended.

mod chunk;
mod clock;
mod payload;
mod plain_event;
mod record;
mod response;
mod sse;
mod timestamps;

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use url::Url;

use crate::config::Config;

pub(crate) use chunk::error_in_body;
pub use clock::Clock;
pub use payload::PayloadTemplate;
pub use record::{
    Block, BlockStage, Completion, Failure, FailureCause, Outcome, RequestRecord, TokenSource,
};
pub use sse::{SseDecoder, SseError};
pub use timestamps::Timestamps;

use response::Reader;

/// Header by which a request names itself to the server and its log.
pub const REQUEST_ID: &str = "x-request-id";

/// Sends requests over one connection pool and times them.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    timeout: Duration,
    stream: bool,
    expected_events: usize,
    clock: Clock,
}

/// One request that is ready to go: nothing of it is computed after the clock starts.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Where to.
    pub url: Url,
    /// The serialised body.
    pub body: Bytes,
    /// Tokens of the prompt by the harness's tokenizer.
    pub prompt_tokens: u32,
    /// Whether the generated text is wanted even where the server counts its tokens.
    pub keep_text: bool,
    /// Sent as `X-Request-Id`, by which the server's log and its response's `id` name the
    /// request; must be visible ASCII. Two requests at a time must not share one.
    pub request_id: Option<String>,
}

/// What came of one request on the wire.
#[derive(Debug)]
pub struct Exchange {
    /// `t_send` (ns).
    pub sent_ns: u64,
    /// When it was over, however it ended (ns).
    pub ended_ns: u64,
    /// The measured part, or the failure.
    pub result: Result<Completion, Failure>,
}

/// The HTTP client of a run: one pool, TCP_NODELAY, the configured headers and bearer token.
///
/// # Errors
/// When the TLS backend or the resolver cannot be set up.
pub fn http_client(config: &Config) -> Result<reqwest::Client, HttpClientError> {
    let mut headers = config.request_headers();
    headers
        .entry(CONTENT_TYPE)
        .or_insert(HeaderValue::from_static("application/json"));
    let client = reqwest::Client::builder()
        .user_agent(concat!("servemark/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        .http1_only()
        .tcp_nodelay(true)
        .pool_max_idle_per_host(usize::MAX)
        // A redirect would time two requests as one, and could carry the key elsewhere.
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    Ok(client)
}

/// The HTTP client could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client could not be set up: {0}")]
pub struct HttpClientError(#[from] reqwest::Error);

impl Client {
    /// Makes a client that times requests on `clock`.
    pub fn new(http: reqwest::Client, config: &Config, clock: Clock) -> Client {
        Client {
            http,
            timeout: config.request_timeout,
            stream: config.stream,
            // One content event per token, and room for a few more.
            expected_events: config.max_new_tokens.get() as usize + 4,
            clock,
        }
    }

    /// The clock that its timestamps are read from.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Sends one request and reads the response to its end.
    ///
    /// `events` counts content events as they arrive, so that a window can be cut while requests are
    /// in flight. Nothing is allocated per token, logged or locked until the last byte is in.
    pub async fn send(&self, prepared: Prepared, events: &AtomicU32) -> Exchange {
        let mut reader = Reader::new(self.stream, self.expected_events, &prepared);
        let mut request = self.http.post(prepared.url).body(prepared.body);
        if let Some(id) = prepared.request_id {
            request = request.header(REQUEST_ID, id);
        }
        let sent_ns = self.clock.now_ns();
        let exchange = async {
            let mut response = request.send().await.map_err(transport_failure)?;
            let status = response.status();
            if !status.is_success() {
                let body = response.bytes().await.unwrap_or_default();
                return Err(Failure {
                    cause: FailureCause::Http(status.as_u16()),
                    message: chunk::error_in_body(&body),
                });
            }
            // They lie in the connection's first read buffer, which it can use again once they are gone.
            *response.headers_mut() = HeaderMap::new();
            loop {
                let bytes = match response.chunk().await {
                    Ok(Some(bytes)) => bytes,
                    Ok(None) => break,
                    // A reset after the stream's own end mark loses nothing.
                    Err(_) if reader.is_done() => break,
                    Err(error) => return Err(transport_failure(error)),
                };
                let arrived_ns = self.clock.now_ns();
                reader.take(&bytes, arrived_ns, events)?;
            }
            Ok(())
        };
        let result = match tokio::time::timeout(self.timeout, exchange).await {
            Ok(result) => result,
            Err(_) => Err(Failure {
                cause: FailureCause::Timeout,
                message: format!(
                    "no end of the response within REQUEST_TIMEOUT = {} s",
                    self.timeout.as_secs_f64()
                ),
            }),
        };
        let ended_ns = self.clock.now_ns();
        Exchange {
            sent_ns,
            ended_ns,
            result: result.and_then(|()| reader.finish()),
        }
    }
}

/// Names the cause of an error of the HTTP client; the URL is left out, as the endpoint is known.
fn transport_failure(error: reqwest::Error) -> Failure {
    let cause = if error.is_connect() {
        FailureCause::Connect
    } else if error.is_timeout() {
        FailureCause::Timeout
    } else {
        FailureCause::StreamCut
    };
    Failure {
        cause,
        message: innermost(&error),
    }
}

/// The innermost source of an error says what the operating system said.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// The first 160 characters of some bytes, on one line, for a message.
fn excerpt(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(1024)]);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(160) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None => line,
    }
}

#[cfg(test)]
mod truth_tests;
