//! The servers under load: waiting until they are ready, what they are, and who gets the next
//! request.
//!
//! [`connect`] does it all in order: it waits for every endpoint ([`ready`]), asks each what it is
//! ([`identity`]) and settles on the one model that all of them serve ([`model`]). None of the pages it asks for
//! must exist: where they leave a doubt, a real request has the last word ([`Trial`]).

pub mod balance;
mod failure;
mod http;
pub mod identity;
mod interval;
pub mod model;
pub mod ready;
mod sample;
mod scraper;
pub mod server_metrics;
mod trial;

use std::num::NonZeroUsize;
use std::time::Duration;

pub use balance::{Balance, LeastOutstanding, RoundRobin, Turn};
pub use failure::{Failure, FailureKind};
pub use http::Http;
pub use identity::{Identity, Missing, Probe, ServedModel, probe};
pub use interval::MetricsInterval;
pub use ready::{Asking, Readiness, ReadyState, Shown};
pub use sample::ServerSample;
pub use scraper::Scraper;
pub use server_metrics::{CountersReset, ServerCounters, ServerMetrics};
#[cfg(feature = "cli")]
pub(crate) use trial::QUESTION;
pub use trial::Trial;

use crate::config::EndpointUrl;

/// One server under load.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Where it is.
    pub url: EndpointUrl,
    /// What it said about itself before the load.
    pub identity: Identity,
    /// What it could not be asked, page and reason.
    pub unasked: Vec<(&'static str, Failure)>,
}

impl Endpoint {
    /// What it could not be asked, in one line; `None` where it answered everything.
    pub fn unanswered(&self) -> Option<String> {
        let pages = self.unasked.iter();
        let pages = Vec::from_iter(pages.map(|(page, why)| format!("{page} ({})", why.what)));
        (!pages.is_empty()).then(|| {
            format!(
                "{}: not answered as expected: {}; the load does not need them",
                self.url,
                pages.join(", ")
            )
        })
    }
}

/// The servers under load: at least one, all serving the same model.
#[derive(Clone, Debug)]
pub struct Endpoints {
    list: Vec<Endpoint>,
    count: NonZeroUsize,
    model: String,
}

/// Why there are no endpoints to load. `Display` names each endpoint concerned and the mend.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EndpointError {
    /// An empty list of addresses.
    #[error("there is no endpoint: give at least one address in MODEL_ENDPOINTS")]
    NoEndpoints,
    /// Some endpoints were not ready in time, or will never be.
    #[error("{}", ready::not_ready(*.waited, endpoints))]
    NotReady {
        /// How long they were waited for.
        waited: Duration,
        /// Address and last failure of each that is not ready.
        endpoints: Vec<(String, Failure)>,
    },
    /// The model of the other endpoints is not served by an endpoint, and `MODEL_PATH` names none.
    #[error(
        "{url} does not list the model {wanted:?}, but {}. All endpoints of a run serve the same model: set MODEL_PATH to one they share, or run them apart",
        model::listed(.served)
    )]
    ModelNotListed {
        /// The endpoint.
        url: String,
        /// The model that the others list.
        wanted: String,
        /// What the endpoint lists.
        served: Vec<String>,
    },
    /// An endpoint refuses a request of the load's kind, or answers it as the load cannot use it.
    #[error("{url}: a request for the model {model:?} failed: {failure}. {lists}. {mend}")]
    Refused {
        /// The endpoint.
        url: String,
        /// The model asked for.
        model: String,
        /// What it said.
        failure: String,
        /// What it lists.
        lists: String,
        /// What to do.
        mend: &'static str,
    },
    /// No `MODEL_PATH` and no endpoint that says what it serves.
    #[error(
        "no model to ask for: {url} does not list its models ({failure}). Set MODEL_PATH to the model's name"
    )]
    ModelUnknown {
        /// The first endpoint.
        url: String,
        /// Why it does not list them.
        failure: Failure,
    },
    /// The certificate of an endpoint is not accepted.
    #[error("{url}: {failure}")]
    Certificate {
        /// The endpoint.
        url: String,
        /// What is wrong with it.
        failure: Failure,
    },
    /// An endpoint refuses the key.
    #[error("{url}: {failure}")]
    Unauthorised {
        /// The endpoint.
        url: String,
        /// What it said.
        failure: Failure,
    },
}

impl Endpoints {
    /// Takes endpoints that all serve `model`.
    ///
    /// # Errors
    /// [`EndpointError::NoEndpoints`] for an empty list.
    pub fn new(list: Vec<Endpoint>, model: String) -> Result<Endpoints, EndpointError> {
        let count = NonZeroUsize::new(list.len()).ok_or(EndpointError::NoEndpoints)?;
        Ok(Endpoints { list, count, model })
    }

    /// The `model` field of requests to any of them.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// How many there are.
    pub fn count(&self) -> NonZeroUsize {
        self.count
    }

    /// The endpoints in the order they were given; a [`Balance`] picks positions in it.
    pub fn as_slice(&self) -> &[Endpoint] {
        &self.list
    }

    /// The endpoints in the order they were given.
    pub fn iter(&self) -> std::slice::Iter<'_, Endpoint> {
        self.list.iter()
    }

    /// The preset of the first simulated endpoint, if any of them is simulated.
    pub fn simulated(&self) -> Option<&str> {
        self.iter()
            .find_map(|endpoint| endpoint.identity.simulated.as_deref())
    }
}

impl<'a> IntoIterator for &'a Endpoints {
    type Item = &'a Endpoint;
    type IntoIter = std::slice::Iter<'a, Endpoint>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Waits until every endpoint is ready, asks each what it is and settles on the model. Endpoints that do not list
/// it must answer a request for it.
///
/// Without [`Asking::model_path`] the first model listed by the first endpoint is taken. `on_progress` hears of
/// every change while waiting, at most for `ready_timeout`, and as long again for such a request.
///
/// # Errors
/// See [`EndpointError`].
pub async fn connect(
    asking: Asking<'_>,
    ready_timeout: Duration,
    mut on_progress: impl FnMut(&ReadyState),
) -> Result<Endpoints, EndpointError> {
    let shown = ready::wait(asking, ready_timeout, &mut on_progress).await?;
    let probes = asking.urls.iter().map(|url| probe(asking.http, url));
    let probes = futures_util::future::join_all(probes).await;
    let model = model::choose(&probes, asking.model_path)?;
    let lists: Vec<_> = probes.iter().map(|probe| probe.models.clone()).collect();
    let doubtful: Vec<usize> = (0..probes.len())
        .filter(|at| match &shown[*at] {
            Shown::Answered { model: asked, .. } => *asked != model,
            Shown::Healthy => probes[*at].not_listed(&model).is_some(),
        })
        .collect();
    if !doubtful.is_empty() {
        ready::confirm(
            asking,
            &model,
            &lists,
            ready_timeout,
            &doubtful,
            on_progress,
        )
        .await?;
    }
    let each = asking.urls.iter().zip(probes).zip(shown);
    let list = each.map(|((url, probe), shown)| Endpoint {
        url: url.clone(),
        unasked: probe.unasked(&shown, &model),
        identity: probe.into_identity(&model, &shown),
    });
    Endpoints::new(list.collect(), model)
}
