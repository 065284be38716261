//! Waits until every endpoint can take load.
//!
//! An endpoint is ready when `/health` answers 2xx. Where it does not (it may be forbidden, absent or slow), one
//! real request has the last word: an endpoint that answers it is ready. Endpoints are asked side by side, again
//! and again at growing intervals.

mod state;

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep, timeout_at};

use super::http::Http;
use super::identity::served_models;
use super::model::{first_name, listed};
use super::{EndpointError, Failure, FailureKind, ServedModel, Trial};
use crate::client::{self, FailureCause};
use crate::config::EndpointUrl;

pub use state::{Readiness, ReadyState};

/// How an endpoint showed that it is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// `/health` says so.
    Healthy,
    /// It answered a request for this model; why `/health` does not say so.
    Answered {
        /// The model.
        model: String,
        /// Why `/health` does not say so.
        health: Failure,
    },
}

/// Why an endpoint is not ready.
enum Obstacle {
    /// It may be later.
    Passing(Failure),
    /// It never will.
    Lasting(EndpointError),
}

/// `/health` takes no longer where all is well. A server that accepts connections before it can answer is asked
/// anew.
const HEALTH_LIMIT: Duration = Duration::from_secs(2);
/// The longest to wait for a list of models.
const MODELS_LIMIT: Duration = Duration::from_secs(5);
/// The longest to wait for the first real request's answer; each further one gets twice the time, as a server
/// that has just started may be slow.
const TRIAL_LIMIT: Duration = Duration::from_secs(10);
const FIRST_INTERVAL: Duration = Duration::from_millis(100);
const LAST_INTERVAL: Duration = Duration::from_secs(2);

/// Who is asked, and how.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// Asks for pages.
    pub http: &'a Http,
    /// Sends the request that has the last word.
    pub trial: &'a Trial,
    /// The endpoints.
    pub urls: &'a [EndpointUrl],
    /// `MODEL_PATH`; without it the first model that an endpoint lists is asked for.
    pub model_path: Option<&'a str>,
}

/// Waits until every endpoint is ready, at most `limit`; how each showed it. `on_change` is called at the start
/// and after every answer.
///
/// # Errors
/// [`EndpointError::NotReady`] when the time is up; at once when waiting cannot help: an endpoint refuses the key
/// or the request, its certificate is not accepted, or no model is known to ask it for.
pub async fn wait(
    asking: Asking<'_>,
    limit: Duration,
    on_change: impl FnMut(&ReadyState),
) -> Result<Vec<Shown>, EndpointError> {
    let health_limit = HEALTH_LIMIT.min(limit / 4);
    let attempt =
        async |at: usize, before: u32| asking.attempt(&asking.urls[at], before, health_limit).await;
    each(asking.urls, limit, attempt, on_change).await
}

/// Waits until the endpoints at `places` have answered a request for `model`, at most `limit`. `lists` are what
/// all of them list.
///
/// # Errors
/// As [`wait`].
pub(super) async fn confirm(
    asking: Asking<'_>,
    model: &str,
    lists: &[Result<Vec<ServedModel>, Failure>],
    limit: Duration,
    places: &[usize],
    on_change: impl FnMut(&ReadyState),
) -> Result<(), EndpointError> {
    let urls: Vec<EndpointUrl> = places.iter().map(|at| asking.urls[*at].clone()).collect();
    let attempt = async |at: usize, before: u32| {
        let answer = asking.trial.send(&urls[at], model, trial_limit(before));
        let failure = match answer.await {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        Err(judge(&urls[at], model, &failure, &lists[places[at]], true))
    };
    each(&urls, limit, attempt, on_change).await.map(drop)
}

/// Makes an attempt at each endpoint, again and again until it succeeds.
async fn each<T>(
    urls: &[EndpointUrl],
    limit: Duration,
    attempt: impl AsyncFn(usize, u32) -> Result<T, Obstacle>,
    mut on_change: impl FnMut(&ReadyState),
) -> Result<Vec<T>, EndpointError> {
    let start = Instant::now();
    let mut state = ReadyState::new(urls, limit);
    on_change(&state);
    let ask = |position: usize, before: u32, pause: Duration| {
        let attempt = &attempt;
        async move {
            sleep(pause).await;
            (position, attempt(position, before).await)
        }
    };
    let mut asked: FuturesUnordered<_> = (0..urls.len())
        .map(|position| ask(position, 0, Duration::ZERO))
        .collect();
    let mut succeeded: Vec<Option<T>> = urls.iter().map(|_| None).collect();
    loop {
        let answer = timeout_at(start + limit, asked.next()).await;
        state.elapsed = start.elapsed();
        let (position, outcome) = match answer {
            Ok(Some(answer)) => answer,
            Ok(None) => return Ok(succeeded.into_iter().flatten().collect()),
            Err(_) => return Err(state.into_error()),
        };
        match outcome {
            Ok(value) => {
                succeeded[position] = Some(value);
                state.note(position, None);
            }
            Err(Obstacle::Passing(failure)) => {
                let before = state.note(position, Some(failure));
                asked.push(ask(position, before + 1, interval(before)));
            }
            Err(Obstacle::Lasting(error)) => return Err(error),
        }
        on_change(&state);
    }
}

/// The pause after the attempt that `before` others preceded: doubling, with a bound.
fn interval(before: u32) -> Duration {
    FIRST_INTERVAL
        .saturating_mul(1 << before.min(10))
        .min(LAST_INTERVAL)
}

/// How long the real request after `before` failed attempts may take.
fn trial_limit(before: u32) -> Duration {
    TRIAL_LIMIT.saturating_mul(1 << before.min(10))
}

/// Asks for `/health` and waits at most `limit`.
///
/// # Errors
/// Why it is not answered with 2xx.
pub async fn health(http: &Http, url: &EndpointUrl, limit: Duration) -> Result<(), Failure> {
    http.get(url.at("/health"), limit).await.outcome.map(drop)
}

impl Asking<'_> {
    async fn attempt(
        &self,
        url: &EndpointUrl,
        before: u32,
        health_limit: Duration,
    ) -> Result<Shown, Obstacle> {
        let Err(health) = health(self.http, url, health_limit).await else {
            return Ok(Shown::Healthy);
        };
        if health.kind == FailureKind::Certificate {
            return Err(Obstacle::Lasting(EndpointError::Certificate {
                url: url.to_string(),
                failure: health,
            }));
        }
        if health.is_unreachable() {
            return Err(Obstacle::Passing(health));
        }
        let model = match self.model_path {
            Some(model) => model.to_owned(),
            None => self.first_listed(url, &health).await?,
        };
        let Err(failure) = self.trial.send(url, &model, trial_limit(before)).await else {
            return Ok(Shown::Answered { model, health });
        };
        // Only a refusal is told with what the endpoint lists.
        let (lists, is_up) = match failure.cause {
            FailureCause::Http(300..=499) => {
                let lists = self.models(url).await;
                let is_up = lists.is_ok();
                (lists, is_up)
            }
            _ => (Ok(Vec::new()), false),
        };
        Err(match judge(url, &model, &failure, &lists, is_up) {
            Obstacle::Passing(failure) => Obstacle::Passing(Failure {
                what: format!("{}; its /health: {}", failure.what, health.what),
                ..failure
            }),
            lasting => lasting,
        })
    }

    async fn models(&self, url: &EndpointUrl) -> Result<Vec<ServedModel>, Failure> {
        let answer = self.http.get(url.at("/v1/models"), MODELS_LIMIT).await;
        served_models(&answer.outcome?)
    }

    /// The first model that an endpoint lists whose `/health` failed so.
    async fn first_listed(&self, url: &EndpointUrl, health: &Failure) -> Result<String, Obstacle> {
        let unknown = |failure| {
            Obstacle::Lasting(EndpointError::ModelUnknown {
                url: url.to_string(),
                failure,
            })
        };
        match self.models(url).await {
            // An empty list may fill.
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
            models => Err(Obstacle::Passing(Failure {
                what: format!(
                    "{}; its /v1/models: {}",
                    health.what,
                    models.map_or_else(|failure| failure.what, |_| "lists no model".to_owned())
                ),
                mend: match health.is_not_there() {
                    true => {
                        "check the address in MODEL_ENDPOINTS; if the server has neither page, set MODEL_PATH to its model's name"
                    }
                    false => health.mend,
                },
                ..health.clone()
            })),
        }
    }
}

/// What it means that a request for `model` failed so. `lists` is what the endpoint lists, and `is_up` whether
/// it has answered anything else as it should.
fn judge(
    url: &EndpointUrl,
    model: &str,
    failure: &client::Failure,
    lists: &Result<Vec<ServedModel>, Failure>,
    is_up: bool,
) -> Obstacle {
    let said = Failure::of_load(failure);
    let refused = |mend| {
        let lists = match lists {
            Ok(models) => {
                let ids: Vec<String> = models.iter().map(|served| served.id.clone()).collect();
                format!("Its /v1/models lists {}", listed(&ids))
            }
            Err(failure) => format!("Its /v1/models: {}", failure.what),
        };
        Obstacle::Lasting(EndpointError::Refused {
            url: url.to_string(),
            model: model.to_owned(),
            failure: said.what.clone(),
            lists,
            mend,
        })
    };
    match failure.cause {
        FailureCause::Http(401 | 403) => Obstacle::Lasting(EndpointError::Unauthorised {
            url: url.to_string(),
            failure: Failure {
                what: format!("a request for the model {model:?}: {}", said.what),
                ..said
            },
        }),
        FailureCause::Http(408 | 425 | 429 | 502..=504)
        | FailureCause::Connect
        | FailureCause::Timeout => passing(model, said),
        FailureCause::Http(300..=399) => refused(said.mend),
        FailureCause::Http(404 | 405) if is_up => refused(
            "Set MODEL_PATH to a model that it serves, and check the path in MODEL_ENDPOINTS",
        ),
        // A gateway may say so before its server is up.
        FailureCause::Http(404 | 405) => passing(model, said),
        FailureCause::Http(400..=499) => refused(
            "If it does not know the model, set MODEL_PATH to one that it serves; if it does not take a field of the request, leave that out by null in EXTRA_BODY",
        ),
        // A server that says that it is ready means what it answers; one that does not may be loading.
        FailureCause::Http(_)
        | FailureCause::StreamCut
        | FailureCause::ServerError
        | FailureCause::ErrorAnswer
            if !is_up =>
        {
            passing(model, said)
        }
        _ => refused(said.mend),
    }
}

fn passing(model: &str, failure: Failure) -> Obstacle {
    Obstacle::Passing(Failure {
        what: format!("a request for the model {model:?}: {}", failure.what),
        ..failure
    })
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
