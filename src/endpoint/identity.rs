//! What a server says it is: software, models, age, simulated or real.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::http::Http;
use super::{Failure, ServerMetrics};
use crate::config::EndpointUrl;

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

/// An [`Identity`] before the model is chosen, and the models to choose from.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// What is known without a model.
    pub identity: Identity,
    /// What `/v1/models` lists.
    pub models: Result<Vec<ServedModel>, Failure>,
}

/// An entry of `/v1/models`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ServedModel {
    /// The name to ask for it by.
    pub id: String,
    /// The longest prompt and answer together, in tokens; vLLM gives it.
    #[serde(default)]
    pub max_model_len: Option<u64>,
    /// The software that serves it, as that calls itself.
    #[serde(default)]
    pub owned_by: Option<String>,
}

#[derive(Deserialize)]
struct ModelList {
    data: Vec<ServedModel>,
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

const LIMIT: Duration = Duration::from_secs(10);

/// Asks an endpoint what it is. Never fails as a whole: what it does not tell is in
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
        let parsed = serde_json::from_slice::<Version>(&body);
        parsed.map(|answer| answer.version).map_err(|error| {
            Failure::malformed(format!("its /version is not {{\"version\": …}} ({error})"))
        })
    });
    let models = models.outcome.and_then(|body| {
        let parsed = serde_json::from_slice::<ModelList>(&body);
        parsed.map(|list| list.data).map_err(|error| {
            Failure::malformed(format!("its /v1/models is no list of models ({error})"))
        })
    });
    let metrics = metrics
        .outcome
        .and_then(|body| ServerMetrics::from_body(&body));
    let identity = Identity::gather(url.to_string(), &version, &models, &metrics, simulated);
    Probe { identity, models }
}

/// One line for a person: address, software, and whether it is simulated.
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
        version: &Result<String, Failure>,
        models: &Result<Vec<ServedModel>, Failure>,
        metrics: &Result<ServerMetrics, Failure>,
        simulated: Option<String>,
    ) -> Identity {
        let mut missing = Vec::new();
        let mut lacks = |what: &str, reason: String| {
            let what = what.to_owned();
            missing.push(Missing { what, reason });
        };
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

/// vLLM names itself in its models and metrics; where neither is open, only vLLM is known to
/// answer `/version` in its form.
fn is_vllm(
    version: &Result<String, Failure>,
    models: &Result<Vec<ServedModel>, Failure>,
    metrics: &Result<ServerMetrics, Failure>,
) -> bool {
    let owner = models
        .iter()
        .flatten()
        .find_map(|model| model.owned_by.as_deref());
    let measured = metrics.as_ref().is_ok_and(|metrics| metrics.has_vllm);
    measured || owner.map_or(version.is_ok(), |owner| owner == "vllm")
}

impl Probe {
    /// The identity of a server that is asked for `model`.
    pub fn into_identity(self, model: &str) -> Identity {
        let mut identity = self.identity;
        let entry = self.models.as_ref().map(|models| {
            let entry = models.iter().find(|served| served.id == model);
            entry.and_then(|served| served.max_model_len)
        });
        let reason = match entry {
            Ok(Some(length)) => {
                identity.max_model_len = Some(length);
                None
            }
            Ok(None) => Some("its /v1/models does not give it".to_owned()),
            Err(failure) => Some(failure.to_string()),
        };
        identity.missing.extend(reason.map(|reason| Missing {
            what: "max_model_len".to_owned(),
            reason,
        }));
        identity.model = Some(model.to_owned());
        identity
    }
}
