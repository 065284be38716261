//! Sends one request of the load and times its answer.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use ureq_proto::http::StatusCode;

use super::bounds::Bounds;
use super::clock::Clock;
use super::connections::Connections;
use super::failure::{Failure, FailureCause};
use super::http_client::headers;
use super::http1;
use super::prepared::Prepared;
use super::record::Completion;
use super::refusal::Refusal;
use super::response::ResponseReader;
use crate::config::Settings;
use crate::dialect::Dialect;

/// How long a server may take to end a stream after its end mark; later the connection is closed and not reused.
const END_GRACE: Duration = Duration::from_millis(10);

/// Sends requests and times them.
#[derive(Clone, Debug)]
pub struct Client {
    connections: Connections,
    dialect: &'static dyn Dialect,
    headers: http1::Headers,
    timeout: Duration,
    stream: bool,
    bounds: Bounds,
    clock: Clock,
}

/// One request that was sent, and its result.
#[derive(Debug)]
pub struct Exchange {
    /// `t_send` (ns).
    pub sent_ns: u64,
    /// When it ended, successfully or not (ns).
    pub ended_ns: u64,
    /// The measured part, or the failure.
    pub result: Result<Completion, Failure>,
}

impl Client {
    /// A client that sends over `connections` and times on `clock`.
    pub fn new(
        connections: Connections,
        config: &Settings,
        dialect: &'static dyn Dialect,
        clock: Clock,
    ) -> Client {
        Client {
            connections,
            dialect,
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
    /// in flight; `heard_ns` is set to the arrival of the latest bytes, for a request that ends without an answer.
    /// Until the last byte has arrived, no token costs an allocation, and nothing is logged or locked.
    pub async fn send(
        &self,
        prepared: Prepared,
        events: &AtomicU32,
        heard_ns: &AtomicU64,
    ) -> Exchange {
        let mut reader = ResponseReader::new(self.dialect, self.stream, self.bounds, &prepared);
        let request = http1::Request::new(prepared, &self.headers);
        let sent_ns = self.clock.now_ns();
        let exchange = async {
            let request = request?;
            let uri = request.uri().clone();
            let mut connection = self.connections.take(&uri).await?;
            let run = exchange(
                request,
                &mut connection,
                self.clock,
                &mut reader,
                (events, heard_ns),
            );
            let (outcome, is_reusable) = run.await;
            if is_reusable {
                self.connections.give_back(&uri, connection);
            }
            outcome
        };
        let result = match tokio::time::timeout(self.timeout, exchange).await {
            Ok(result) => result,
            Err(_) => Err(Failure::new(
                FailureCause::Timeout,
                format!(
                    "no end of the response within REQUEST_TIMEOUT = {} s",
                    self.timeout.as_secs_f64()
                ),
            )),
        };
        let ended_ns = self.clock.now_ns();
        Exchange {
            sent_ns,
            ended_ns,
            result: result
                .and_then(|()| reader.finish())
                .map_err(Failure::safe_to_show),
        }
    }
}

/// Sends a request and has `reader` read the response. Returns the result, and whether the connection can be reused.
/// The atomics are the content events so far, and the arrival of the latest bytes.
pub(super) async fn exchange(
    request: http1::Request,
    connection: &mut (impl AsyncRead + AsyncWrite + Unpin),
    clock: Clock,
    reader: &mut ResponseReader,
    (events, heard_ns): (&AtomicU32, &AtomicU64),
) -> (Result<(), Failure>, bool) {
    let mut transaction = http1::Transaction::new(request);
    let mut refusal = Refusal::default();
    let take = |status: StatusCode, bytes: &[u8], arrived_ns| {
        heard_ns.store(arrived_ns, Ordering::Relaxed);
        match status.is_success() {
            true => reader.take(bytes, arrived_ns, events),
            false => refusal.take(bytes),
        }
    };
    let mut outcome = transaction.run(connection, clock, take).await;
    if reader.is_done() {
        // A reset after the stream's own end mark loses nothing.
        outcome = Ok(());
        let rest = transaction.run(connection, clock, |_, _, _| Ok(ControlFlow::Continue(())));
        // The answer is complete, however the rest ends.
        let _ = tokio::time::timeout(END_GRACE, rest).await;
    }
    let outcome = match transaction.head() {
        // The reason of a refusal is more useful than how its body ended.
        Some(head) if !head.status.is_success() => Err(refusal.failure(head)),
        _ => outcome,
    };
    (outcome, transaction.is_reusable())
}
