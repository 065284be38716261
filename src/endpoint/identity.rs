//! The identity of a server: software, models, age, simulated or real.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::failure::{EndpointFailure, excerpt};
use super::http::Http;
use super::ready::ReadyProof;
use super::served_model::{ServedModel, lists, quoted, served_models};
use super::server_metrics::ServerMetrics;
use crate::config::EndpointUrl;
use crate::redact;

/// What a server said about itself, for run records and reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Identity {
    /// The address as configured, without the values of its query.
    pub url: String,
    /// Software and version, such as `vLLM 0.32.0`; `None` where unknown.
    pub server: Option<String>,
    /// Whether the server is vLLM (or stands in for it), so that vLLM's request fields work.
    pub is_vllm: bool,
    /// The model asked for; `None` before one is chosen.
    pub model: Option<String>,
    /// The longest prompt and answer together, in tokens, that the model takes.
    pub max_model_len: Option<u64>,
    /// When the server's process started, in Unix seconds.
    pub process_start: Option<f64>,
    /// The preset, where the server is a simulated one.
    pub simulated: Option<String>,
    /// What is not known, and why.
    pub missing: Vec<Missing>,
}

/// A piece of an [`Identity`] that is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Missing {
    /// The field of [`Identity`].
    pub what: String,
    /// Why it is not known.
    pub reason: String,
}

impl Missing {
    fn new(what: &str, reason: String) -> Missing {
        let what = what.to_owned();
        Missing { what, reason }
    }
}

/// An [`Identity`] before the model is chosen, with the models to choose from.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// The identity without a model.
    pub identity: Identity,
    /// The list of `/v1/models`.
    pub models: Result<Vec<ServedModel>, EndpointFailure>,
    /// Why `/version` is not available, if it is not.
    pub version_failure: Option<EndpointFailure>,
    /// Why `/metrics` is not available, if it is not.
    pub metrics_failure: Option<EndpointFailure>,
}

#[derive(Deserialize)]
struct VersionResponse {
    version: String,
}

/// Timeout of each page.
const LIMIT: Duration = Duration::from_secs(5);

/// Reads the identity of an endpoint. Never fails as a whole: unavailable parts are in
/// [`Identity::missing`].
pub async fn probe(http: &Http, url: &EndpointUrl) -> Probe {
    let (version, models, metrics) = futures_util::future::join3(
        http.get(url.at("/version"), LIMIT),
        http.get(url.at("/v1/models"), LIMIT),
        http.get(url.at("/metrics"), LIMIT),
    )
    .await;
    let simulated = version.simulated.or(models.simulated).or(metrics.simulated);
    let version = version.outcome.and_then(|body| {
        let parsed = serde_json::from_slice::<VersionResponse>(&body);
        parsed
            .map(|answer| excerpt(answer.version.as_bytes()))
            .map_err(|error| {
                EndpointFailure::malformed(format!(
                    "its /version is not {{\"version\": …}} ({error})"
                ))
            })
    });
    let models = models.outcome.and_then(|body| served_models(&body));
    let metrics = metrics
        .outcome
        .and_then(|body| ServerMetrics::from_body(&body));
    let identity = Identity::gather(url.to_string(), &version, &models, &metrics, simulated);
    Probe {
        identity,
        models,
        version_failure: version.err(),
        metrics_failure: metrics.err(),
    }
}

/// One line: address, software, and whether it is simulated.
impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let server = self.server.as_deref().unwrap_or("unknown server");
        match &self.simulated {
            Some(preset) => write!(f, "{}  simulated {server} (preset {preset})", self.url),
            None => write!(f, "{}  {server}", self.url),
        }
    }
}

impl Identity {
    fn gather(
        url: String,
        version: &Result<String, EndpointFailure>,
        models: &Result<Vec<ServedModel>, EndpointFailure>,
        metrics: &Result<ServerMetrics, EndpointFailure>,
        simulated: Option<String>,
    ) -> Identity {
        let mut missing = Vec::new();
        let mut lacks = |what: &str, reason: String| missing.push(Missing::new(what, reason));
        let is_vllm = is_vllm(version, models, metrics);
        let server = match (is_vllm, version) {
            (true, Ok(version)) => Some(format!("vLLM {version}")),
            (true, Err(failure)) => {
                lacks("server", format!("no version: {failure}"));
                Some("vLLM".to_owned())
            }
            (false, Ok(version)) => {
                lacks(
                    "server",
                    format!("version {version} of software that is not vLLM"),
                );
                None
            }
            (false, Err(failure)) => {
                lacks("server", failure.to_string());
                None
            }
        };
        let process_start = match metrics {
            Ok(metrics) => metrics.process_start,
            Err(_) => None,
        };
        if process_start.is_none() {
            let reason = match metrics {
                Ok(_) => "its /metrics has no process_start_time_seconds".to_owned(),
                Err(failure) => failure.to_string(),
            };
            lacks("process_start", reason);
        }
        Identity {
            url,
            server,
            is_vllm,
            model: None,
            max_model_len: None,
            process_start,
            simulated,
            missing,
        }
    }
}

/// Whether the server is vLLM. It names itself in its models and metrics; where neither is available, only vLLM is
/// known to answer `/version` in its form.
fn is_vllm(
    version: &Result<String, EndpointFailure>,
    models: &Result<Vec<ServedModel>, EndpointFailure>,
    metrics: &Result<ServerMetrics, EndpointFailure>,
) -> bool {
    let owner = models
        .iter()
        .flatten()
        .find_map(|model| model.owned_by.as_deref());
    let measured = metrics.as_ref().is_ok_and(|metrics| metrics.has_vllm);
    measured || owner.map_or(version.is_ok(), |owner| owner == "vllm")
}

impl Probe {
    /// Why `/v1/models` does not list the model; `None` if it does.
    pub(crate) fn not_listed(&self, model: &str) -> Option<String> {
        match &self.models {
            Ok(models) if lists(models, model) => None,
            Ok(models) => Some(format!("lists {}, not the requested model", quoted(models))),
            Err(failure) => Some(failure.what.clone()),
        }
    }

    /// The unavailable pages of a server that is to serve `model`, each with the reason.
    pub(super) fn unavailable_pages(
        &self,
        proof: &ReadyProof,
        model: &str,
    ) -> Vec<(&'static str, EndpointFailure)> {
        let health = match proof {
            ReadyProof::Healthy => None,
            ReadyProof::Answered { health, .. } => Some(health.clone()),
        };
        let models = match &self.models {
            Err(failure) => Some(failure.clone()),
            Ok(_) => self.not_listed(model).map(EndpointFailure::malformed),
        };
        let pages = [
            ("/health", health),
            ("/version", self.version_failure.clone()),
            ("/v1/models", models),
            ("/metrics", self.metrics_failure.clone()),
        ];
        let failed = |(page, failure): (_, Option<EndpointFailure>)| Some((page, failure?));
        pages.into_iter().filter_map(failed).collect()
    }

    /// The identity of a server that is to serve `model`.
    pub fn into_identity(self, model: &str, proof: &ReadyProof) -> Identity {
        let mut missing = Vec::new();
        let mut lacks = |what: &str, reason: String| missing.push(Missing::new(what, reason));
        if let ReadyProof::Answered { health, .. } = proof {
            lacks("health", format!("{}; it answered a request", health.what));
        }
        if let Some(why) = self.not_listed(model) {
            lacks("models", format!("{why}; it answered a request"));
        }
        let entry = self
            .models
            .iter()
            .flatten()
            .find(|served| served.is_called(model));
        let max_model_len = entry.and_then(|served| served.max_model_len);
        if max_model_len.is_none() {
            lacks(
                "max_model_len",
                match &self.models {
                    Ok(_) => "its /v1/models does not give it".to_owned(),
                    Err(failure) => failure.to_string(),
                },
            );
        }
        let mut identity = self.identity;
        identity.missing.extend(missing);
        identity.max_model_len = max_model_len;
        // Requests use the exact name; what is shown and kept must not control a terminal.
        identity.model = Some(redact::line(model, redact::MOST_OF_NAME));
        identity
    }
}
