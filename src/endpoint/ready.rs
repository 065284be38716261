//! Waits until every endpoint can take load.
//!
//! An endpoint is ready when `/health` answers 2xx. Where it does not (it may be forbidden, missing or slow), one
//! real request decides: an endpoint that answers it is ready. All endpoints are probed concurrently, at growing
//! intervals.

mod proof;
mod state;

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep, timeout_at};

use super::error::EndpointError;
use super::failure::{EndpointFailure, FailureKind};
use super::http::Http;
use super::served_model::{ServedModel, first_name, quoted, served_models};
use super::trial::TrialRequest;
use crate::client::{Failure, FailureCause};
use crate::config::EndpointUrl;

pub use proof::ReadyProof;
pub use state::{Readiness, ReadyState};

/// Why an endpoint is not ready.
enum Obstacle {
    /// It may become ready.
    Temporary(EndpointFailure),
    /// It will not become ready.
    Permanent(EndpointError),
}

/// Timeout of `/health`. A server that accepts connections before it can answer is probed again.
const HEALTH_LIMIT: Duration = Duration::from_secs(2);
/// Timeout of the list of models.
const MODELS_LIMIT: Duration = Duration::from_secs(5);
/// Timeout of the first real request; it doubles with each further one, as a server that has just started may be
/// slow.
const TRIAL_LIMIT: Duration = Duration::from_secs(10);
const FIRST_INTERVAL: Duration = Duration::from_millis(100);
const LAST_INTERVAL: Duration = Duration::from_secs(2);

/// Probes endpoints: with which clients, and for which model.
#[derive(Clone, Copy, Debug)]
pub struct Prober<'a> {
    /// Reads pages.
    pub http: &'a Http,
    /// Sends the real request.
    pub trial: &'a TrialRequest,
    /// The endpoints.
    pub urls: &'a [EndpointUrl],
    /// `MODEL_PATH`; without it the first model that an endpoint lists is requested.
    pub model_path: Option<&'a str>,
}

/// Waits until every endpoint is ready, at most `limit`. Returns why each counts as ready. `on_change` is called at
/// the start and after every answer.
///
/// # Errors
/// [`EndpointError::NotReady`] at the timeout; at once when waiting cannot help: an endpoint refuses the key
/// or the request, its certificate is not accepted, or its model is unknown.
pub async fn wait(
    prober: Prober<'_>,
    limit: Duration,
    on_change: impl FnMut(&ReadyState),
) -> Result<Vec<ReadyProof>, EndpointError> {
    let health_limit = HEALTH_LIMIT.min(limit / 4);
    let attempt =
        async |at: usize, before: u32| prober.attempt(&prober.urls[at], before, health_limit).await;
    each(prober.urls, limit, attempt, on_change).await
}

/// Waits until the endpoints at `places` have answered a request for `model`, at most `limit`. `lists` are the
/// models that all endpoints list.
///
/// # Errors
/// As [`wait`].
pub(super) async fn confirm(
    prober: Prober<'_>,
    model: &str,
    lists: &[Result<Vec<ServedModel>, EndpointFailure>],
    limit: Duration,
    places: &[usize],
    on_change: impl FnMut(&ReadyState),
) -> Result<(), EndpointError> {
    let urls: Vec<EndpointUrl> = places.iter().map(|at| prober.urls[*at].clone()).collect();
    let attempt = async |at: usize, before: u32| {
        let answer = prober.trial.send(&urls[at], model, trial_limit(before));
        let failure = match answer.await {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        Err(judge(&urls[at], model, &failure, &lists[places[at]], true))
    };
    each(&urls, limit, attempt, on_change).await.map(drop)
}

/// Attempts each endpoint until all have succeeded.
async fn each<T>(
    urls: &[EndpointUrl],
    limit: Duration,
    attempt: impl AsyncFn(usize, u32) -> Result<T, Obstacle>,
    mut on_change: impl FnMut(&ReadyState),
) -> Result<Vec<T>, EndpointError> {
    let start = Instant::now();
    let mut state = ReadyState::new(urls, limit);
    on_change(&state);
    let try_at = |position: usize, before: u32, pause: Duration| {
        let attempt = &attempt;
        async move {
            sleep(pause).await;
            (position, attempt(position, before).await)
        }
    };
    let mut pending: FuturesUnordered<_> = (0..urls.len())
        .map(|position| try_at(position, 0, Duration::ZERO))
        .collect();
    let mut succeeded: Vec<Option<T>> = urls.iter().map(|_| None).collect();
    loop {
        let answer = timeout_at(start + limit, pending.next()).await;
        state.elapsed = start.elapsed();
        let (position, outcome) = match answer {
            Ok(Some(answer)) => answer,
            Ok(None) => return Ok(succeeded.into_iter().flatten().collect()),
            Err(_) => return Err(state.into_error()),
        };
        match outcome {
            Ok(value) => {
                succeeded[position] = Some(value);
                state.record(position, None);
            }
            Err(Obstacle::Temporary(failure)) => {
                let before = state.record(position, Some(failure));
                pending.push(try_at(position, before + 1, interval(before)));
            }
            Err(Obstacle::Permanent(error)) => return Err(error),
        }
        on_change(&state);
    }
}

/// The pause after an attempt that `before` others preceded: doubling, up to a limit.
fn interval(before: u32) -> Duration {
    FIRST_INTERVAL
        .saturating_mul(1 << before.min(10))
        .min(LAST_INTERVAL)
}

/// Timeout of the real request after `before` failed attempts.
fn trial_limit(before: u32) -> Duration {
    TRIAL_LIMIT.saturating_mul(1 << before.min(10))
}

/// Reads `/health` and waits at most `limit`.
///
/// # Errors
/// Why it did not answer 2xx.
pub async fn health(
    http: &Http,
    url: &EndpointUrl,
    limit: Duration,
) -> Result<(), EndpointFailure> {
    http.get(url.at("/health"), limit).await.outcome.map(drop)
}

impl Prober<'_> {
    async fn attempt(
        &self,
        url: &EndpointUrl,
        before: u32,
        health_limit: Duration,
    ) -> Result<ReadyProof, Obstacle> {
        let Err(health) = health(self.http, url, health_limit).await else {
            return Ok(ReadyProof::Healthy);
        };
        if health.kind == FailureKind::Certificate {
            return Err(Obstacle::Permanent(EndpointError::Certificate {
                url: url.to_string(),
                failure: health,
            }));
        }
        if health.is_unreachable() {
            return Err(Obstacle::Temporary(health));
        }
        let model = match self.model_path {
            Some(model) => model.to_owned(),
            None => self.first_listed(url, &health).await?,
        };
        let Err(failure) = self.trial.send(url, &model, trial_limit(before)).await else {
            return Ok(ReadyProof::Answered { model, health });
        };
        // Only the message of a refusal shows the endpoint's models.
        let (lists, is_up) = match failure.cause {
            FailureCause::Http(300..=499) => {
                let lists = self.models(url).await;
                let is_up = lists.is_ok();
                (lists, is_up)
            }
            _ => (Ok(Vec::new()), false),
        };
        Err(match judge(url, &model, &failure, &lists, is_up) {
            Obstacle::Temporary(failure) => {
                let what = format!("{}; its /health: {}", failure.what, health.what);
                Obstacle::Temporary(failure.saying(what))
            }
            permanent => permanent,
        })
    }

    async fn models(&self, url: &EndpointUrl) -> Result<Vec<ServedModel>, EndpointFailure> {
        let answer = self.http.get(url.at("/v1/models"), MODELS_LIMIT).await;
        served_models(&answer.outcome?)
    }

    /// The first model in the list of an endpoint whose `/health` failed.
    async fn first_listed(
        &self,
        url: &EndpointUrl,
        health: &EndpointFailure,
    ) -> Result<String, Obstacle> {
        let unknown = |failure| {
            Obstacle::Permanent(EndpointError::ModelUnknown {
                url: url.to_string(),
                failure,
            })
        };
        match self.models(url).await {
            // An empty list may fill later.
            Ok(models) if !models.is_empty() => {
                first_name(&models).map(str::to_owned).map_err(unknown)
            }
            Err(failure)
                if failure.is_refused_key()
                    || failure.is_redirect()
                    || failure.kind == FailureKind::Malformed =>
            {
                Err(unknown(failure))
            }
            models => Err(Obstacle::Temporary(EndpointFailure {
                what: format!(
                    "{}; its /v1/models: {}",
                    health.what,
                    models.map_or_else(|failure| failure.what, |_| "lists no model".to_owned())
                ),
                hint: match health.is_not_there() {
                    true => {
                        "check the address in MODEL_ENDPOINTS; if the server has neither page, set MODEL_PATH to its model's name"
                    }
                    false => health.hint,
                },
                ..health.clone()
            })),
        }
    }
}

/// Whether the failure of a request for `model` is permanent. `lists` are the endpoint's models, and `is_up` is
/// whether it has answered another request as expected.
fn judge(
    url: &EndpointUrl,
    model: &str,
    failure: &Failure,
    lists: &Result<Vec<ServedModel>, EndpointFailure>,
    is_up: bool,
) -> Obstacle {
    let described = EndpointFailure::of_load(failure);
    let refused = |hint| {
        let lists = match lists {
            Ok(models) => format!("Its /v1/models lists {}", quoted(models)),
            Err(failure) => format!("Its /v1/models: {}", failure.what),
        };
        Obstacle::Permanent(EndpointError::Refused {
            url: url.to_string(),
            model: model.to_owned(),
            failure: described.what.clone(),
            lists,
            hint,
        })
    };
    match failure.cause {
        FailureCause::Http(401 | 403) => Obstacle::Permanent(EndpointError::Unauthorised {
            url: url.to_string(),
            failure: of_request(model, described),
        }),
        FailureCause::Http(408 | 425 | 429 | 502..=504)
        | FailureCause::Connect
        | FailureCause::Timeout => temporary(model, described),
        FailureCause::Http(300..=399) => refused(described.hint),
        FailureCause::Http(404 | 405) if is_up => refused(
            "Set MODEL_PATH to a model that it serves, and check the path in MODEL_ENDPOINTS",
        ),
        // A gateway may answer this before its server is up.
        FailureCause::Http(404 | 405) => temporary(model, described),
        FailureCause::Http(400..=499) => refused(
            "If it does not know the model, set MODEL_PATH to one that it serves; if it does not take a field of the request, leave that out by null in EXTRA_BODY",
        ),
        // A server that is not up may still be loading.
        FailureCause::Http(_)
        | FailureCause::StreamCut
        | FailureCause::ServerError
        | FailureCause::ErrorAnswer
            if !is_up =>
        {
            temporary(model, described)
        }
        _ => refused(described.hint),
    }
}

fn temporary(model: &str, failure: EndpointFailure) -> Obstacle {
    Obstacle::Temporary(of_request(model, failure))
}

fn of_request(model: &str, failure: EndpointFailure) -> EndpointFailure {
    let what = format!("a request for the model {model:?}: {}", failure.what);
    failure.saying(what)
}
