//! One request on the wire: send, read, timestamp, and say how it ended.

mod bounds;
mod chunk;
mod clock;
mod connections;
mod finish;
#[cfg(feature = "engine")]
pub(crate) mod fuzzing;
mod http1;
mod json_repair;
mod lenient;
mod payload;
mod plain_event;
mod record;
mod response;
mod sse;
mod timestamps;
mod whole_body;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use tokio::io::{AsyncRead, AsyncWrite};
use ureq_proto::http::StatusCode;
use url::Url;

use crate::config::Config;
use crate::redact;
use crate::tls::{Tls, TlsError};

pub use clock::Clock;
pub use connections::Connections;
pub(crate) use lenient::error_in_body;
pub use payload::PayloadTemplate;
pub use record::{
    Block, BlockStage, CompletedRequest, Completion, Failure, FailureCause, Outcome, RequestRecord,
    TokenSource,
};
pub use sse::{EventName, SseDecoder, SseError};
pub use timestamps::Timestamps;
pub(crate) use whole_body::{BodyError, whole_body};

use bounds::Bounds;
use response::{Reader, Refusal};

/// Header by which a request names itself to the server and its log.
pub const REQUEST_ID: &str = "x-request-id";

/// Sends requests and times them.
#[derive(Clone, Debug)]
pub struct Client {
    connections: Connections,
    headers: http1::Headers,
    timeout: Duration,
    stream: bool,
    bounds: Bounds,
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

/// The HTTP client for all but the load: the configured headers and bearer token, the load's TLS and no proxy,
/// so that it reaches the servers by the way that the load takes. From here on, before any byte is sent, the
/// configuration's secrets are hidden in whatever is said.
///
/// # Errors
/// When the TLS backend or the resolver cannot be set up.
pub fn http_client(config: &Config, tls: &Tls) -> Result<reqwest::Client, HttpClientError> {
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

/// What every request carries.
fn headers(config: &Config) -> HeaderMap {
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

/// HTTP could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum HttpClientError {
    /// The client for questions.
    #[error("the HTTP client could not be set up: {0}")]
    Client(#[from] reqwest::Error),
    /// TLS, of both that and the load's connections.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Client {
    /// Makes a client that sends over `connections` and times on `clock`.
    pub fn new(connections: Connections, config: &Config, clock: Clock) -> Client {
        Client {
            connections,
            headers: http1::Headers::new(&headers(config)),
            timeout: config.request_timeout,
            stream: config.stream,
            bounds: Bounds::of(config),
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
    /// in flight; `heard_ns` is set to when the latest bytes came, for a request that ends without an answer.
    /// Nothing is allocated per token, logged or locked until the last byte is in.
    pub async fn send(
        &self,
        prepared: Prepared,
        events: &AtomicU32,
        heard_ns: &AtomicU64,
    ) -> Exchange {
        let mut reader = Reader::new(self.stream, self.bounds, &prepared);
        let request = http1::Request::new(prepared, &self.headers);
        let sent_ns = self.clock.now_ns();
        let exchange = async {
            let request = request?;
            let uri = request.uri().clone();
            let mut connection = self.connections.take(&uri).await?;
            let exchanged = exchange(
                request,
                &mut connection,
                self.clock,
                &mut reader,
                events,
                heard_ns,
            );
            let (outcome, is_reusable) = exchanged.await;
            if is_reusable {
                self.connections.give_back(&uri, connection);
            }
            outcome
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
            result: result
                .and_then(|()| reader.finish())
                .map_err(Failure::fit_to_be_shown),
        }
    }
}

/// Sends a request and has `reader` read the response; how that went, and whether another request can follow on
/// the connection.
async fn exchange(
    request: http1::Request,
    connection: &mut (impl AsyncRead + AsyncWrite + Unpin),
    clock: Clock,
    reader: &mut Reader,
    events: &AtomicU32,
    heard_ns: &AtomicU64,
) -> (Result<(), Failure>, bool) {
    let mut exchange = http1::Exchange::new(request);
    let mut refusal = Refusal::default();
    let take = |status: StatusCode, bytes: &[u8], arrived_ns| {
        heard_ns.store(arrived_ns, Ordering::Relaxed);
        match status.is_success() {
            true => reader.take(bytes, arrived_ns, events),
            false => refusal.take(bytes),
        }
    };
    let mut outcome = exchange.run(connection, clock, take).await;
    if reader.is_done() {
        // A reset after the stream's own end mark loses nothing.
        outcome = Ok(());
        let rest = exchange.run(connection, clock, |_, _, _| Ok(ControlFlow::Continue(())));
        // Whatever comes of it; it has no part in the answer.
        let _ = tokio::time::timeout(END_GRACE, rest).await;
    }
    let outcome = match exchange.head() {
        // Why it refused tells more than how its answer ended.
        Some(head) if !head.status.is_success() => Err(refusal.failure(head)),
        _ => outcome,
    };
    (outcome, exchange.is_reusable())
}

/// How long a connection may take to end a stream whose end mark has come, so that it can serve the next
/// request; else it is closed.
const END_GRACE: Duration = Duration::from_millis(10);

/// The innermost source of an error says what the operating system said.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// The start of some bytes, fit for a message.
fn excerpt(bytes: &[u8]) -> String {
    redact::line_of(bytes, MESSAGE_CHARS)
}

/// Most characters of a server's words in a message.
const MESSAGE_CHARS: usize = 300;

/// A server's words, fit for a message.
fn one_line(text: &str) -> String {
    redact::line(text, MESSAGE_CHARS)
}

#[cfg(test)]
mod truth_tests;
