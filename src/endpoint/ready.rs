//! Waits until every endpoint can take load.
//!
//! An endpoint is ready when `/health` answers 2xx. Servers that have no such page are ready when
//! `/v1/models` answers 2xx. Endpoints are asked side by side, again and again at growing
//! intervals.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep, timeout_at};

use super::http::Http;
use super::{EndpointError, Failure};
use crate::config::EndpointUrl;

/// How far the waiting is, for a progress line.
#[derive(Clone, Debug)]
pub struct ReadyState {
    /// Every endpoint in the order given.
    pub endpoints: Vec<(EndpointUrl, Readiness)>,
    /// Time since the waiting began.
    pub elapsed: Duration,
    /// The longest it will go on.
    pub limit: Duration,
}

/// Whether an endpoint is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Not yet.
    Waiting {
        /// How often it was asked to the end.
        attempts: u32,
        /// Why it was not ready the last time.
        last: Option<Failure>,
    },
    /// It is.
    Ready,
}

impl ReadyState {
    fn new(urls: &[EndpointUrl], limit: Duration) -> ReadyState {
        let waiting = Readiness::Waiting {
            attempts: 0,
            last: None,
        };
        ReadyState {
            endpoints: urls
                .iter()
                .map(|url| (url.clone(), waiting.clone()))
                .collect(),
            elapsed: Duration::ZERO,
            limit,
        }
    }

    /// How many endpoints are ready.
    pub fn ready(&self) -> usize {
        let ready = |(_, state): &&(EndpointUrl, Readiness)| *state == Readiness::Ready;
        self.endpoints.iter().filter(ready).count()
    }

    /// Takes note of an attempt's outcome and returns how many failed before it.
    fn note(&mut self, position: usize, failure: Option<Failure>) -> u32 {
        let state = &mut self.endpoints[position].1;
        let before = match state {
            Readiness::Waiting { attempts, .. } => *attempts,
            Readiness::Ready => 0,
        };
        *state = match failure {
            None => Readiness::Ready,
            last => Readiness::Waiting {
                attempts: before.saturating_add(1),
                last,
            },
        };
        before
    }

    fn into_error(self) -> EndpointError {
        let limit = self.limit;
        let lagging = self
            .endpoints
            .into_iter()
            .filter_map(|(url, state)| match state {
                Readiness::Ready => None,
                Readiness::Waiting { last, .. } => Some((
                    url.to_string(),
                    last.unwrap_or_else(|| Failure::timed_out(limit)),
                )),
            });
        EndpointError::NotReady {
            waited: self.elapsed,
            endpoints: lagging.collect(),
        }
    }
}

/// The longest that one question may take: a server that accepts connections before it can answer
/// is asked anew.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(10);
const FIRST_INTERVAL: Duration = Duration::from_millis(100);
const LAST_INTERVAL: Duration = Duration::from_secs(2);

/// Waits until every endpoint is ready, at most `limit`. `on_change` is called at the start and
/// after every answer.
///
/// # Errors
/// [`EndpointError::NotReady`] when the time is up, or at once when an endpoint refuses the key,
/// which no waiting mends.
pub async fn wait(
    http: &Http,
    urls: &[EndpointUrl],
    limit: Duration,
    mut on_change: impl FnMut(&ReadyState),
) -> Result<(), EndpointError> {
    let start = Instant::now();
    let mut state = ReadyState::new(urls, limit);
    on_change(&state);
    let ask = |position: usize, pause: Duration| async move {
        sleep(pause).await;
        (position, attempt(http, &urls[position]).await)
    };
    let mut asked: FuturesUnordered<_> = (0..urls.len())
        .map(|position| ask(position, Duration::ZERO))
        .collect();
    loop {
        let answer = timeout_at(start + limit, asked.next()).await;
        state.elapsed = start.elapsed();
        let (position, outcome) = match answer {
            Ok(Some(answer)) => answer,
            Ok(None) => return Ok(()),
            Err(_) => return Err(state.into_error()),
        };
        let failure = outcome.err();
        let hopeless = failure.as_ref().is_some_and(Failure::is_refused_key);
        let failed = failure.is_some();
        let before = state.note(position, failure);
        on_change(&state);
        if hopeless {
            return Err(state.into_error());
        }
        if failed {
            asked.push(ask(position, interval(before)));
        }
    }
}

/// The pause after the attempt that `before` others preceded: doubling, with a bound.
fn interval(before: u32) -> Duration {
    FIRST_INTERVAL
        .saturating_mul(1 << before.min(10))
        .min(LAST_INTERVAL)
}

async fn attempt(http: &Http, url: &EndpointUrl) -> Result<(), Failure> {
    let health = http.get(url.at("/health"), ATTEMPT_LIMIT).await.outcome;
    match health {
        Err(failure) if failure.is_not_there() => {
            let models = http.get(url.at("/v1/models"), ATTEMPT_LIMIT).await.outcome;
            models.map(drop)
        }
        other => other.map(drop),
    }
}

/// The message of [`EndpointError::NotReady`].
pub(super) fn not_ready(waited: Duration, endpoints: &[(String, Failure)]) -> String {
    let head = format!(
        "{} endpoint(s) not ready after {:.1} s (READY_TIMEOUT sets how long to wait):",
        endpoints.len(),
        waited.as_secs_f64()
    );
    endpoints.iter().fold(head, |text, (url, failure)| {
        format!("{text}\n  - {url}: {failure}")
    })
}
