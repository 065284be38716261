use std::time::Duration;

use super::failure::EndpointFailure;
use super::served_model::quoted_names;

/// Why there are no endpoints to load. `Display` names each endpoint concerned and a hint.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EndpointError {
    /// An empty list of addresses.
    #[error("there is no endpoint: give at least one address in MODEL_ENDPOINTS")]
    NoEndpoints,
    /// Some endpoints were not ready in time.
    #[error("{}", not_ready(*.waited, endpoints))]
    NotReady {
        /// How long the run waited.
        waited: Duration,
        /// Address and last failure of each that is not ready.
        endpoints: Vec<(String, EndpointFailure)>,
    },
    /// The model of the other endpoints is not served by an endpoint, and `MODEL_PATH` names none.
    #[error(
        "{url} does not list the model {wanted:?}, but {}. All endpoints of a run serve the same model: set MODEL_PATH to one they share, or run them apart",
        quoted_names(.served)
    )]
    ModelNotListed {
        /// The endpoint.
        url: String,
        /// The model that the others list.
        wanted: String,
        /// What the endpoint lists.
        served: Vec<String>,
    },
    /// An endpoint refuses a request of the load's kind, or its answer is not usable.
    #[error("{url}: a request for the model {model:?} failed: {failure}. {lists}. {hint}")]
    Refused {
        /// The endpoint.
        url: String,
        /// The requested model.
        model: String,
        /// Its error.
        failure: String,
        /// The models that it lists.
        lists: String,
        /// What to do.
        hint: &'static str,
    },
    /// There is no `MODEL_PATH`, and no endpoint lists its models.
    #[error(
        "no model to request: {url} does not list its models ({failure}). Set MODEL_PATH to the model's name"
    )]
    ModelUnknown {
        /// The first endpoint.
        url: String,
        /// Why it does not list them.
        failure: EndpointFailure,
    },
    /// The certificate of an endpoint is not accepted.
    #[error("{url}: {failure}")]
    Certificate {
        /// The endpoint.
        url: String,
        /// What is wrong with it.
        failure: EndpointFailure,
    },
    /// An endpoint refuses the key.
    #[error("{url}: {failure}")]
    Unauthorised {
        /// The endpoint.
        url: String,
        /// Its response.
        failure: EndpointFailure,
    },
}

/// The message of [`EndpointError::NotReady`].
fn not_ready(waited: Duration, endpoints: &[(String, EndpointFailure)]) -> String {
    let head = format!(
        "{} endpoint(s) not ready after {:.1} s (READY_TIMEOUT sets how long to wait):",
        endpoints.len(),
        waited.as_secs_f64()
    );
    endpoints.iter().fold(head, |text, (url, failure)| {
        format!("{text}\n  - {url}: {failure}")
    })
}
