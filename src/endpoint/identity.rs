//! What a server says it is: software, models, age, simulated or real.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::failure::excerpt;
use super::http::Http;
use super::{Failure, ServerMetrics, Shown, model};
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

/// An [`Identity`] before the model is chosen, and the models to choose from.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// What is known without a model.
    pub identity: Identity,
    /// What `/v1/models` lists.
    pub models: Result<Vec<ServedModel>, Failure>,
    /// Why `/version` told nothing, if so.
    pub version_failure: Option<Failure>,
    /// Why `/metrics` told nothing, if so.
    pub metrics_failure: Option<Failure>,
}

/// An entry of `/v1/models`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedModel {
    /// The name to ask for it by.
    pub id: String,
    /// Other names to ask for it by; llama.cpp gives them.
    pub aliases: Vec<String>,
    /// The longest prompt and answer together, in tokens; vLLM gives it.
    pub max_model_len: Option<u64>,
    /// The software that serves it, as that calls itself.
    pub owned_by: Option<String>,
}

impl ServedModel {
    /// Reads an entry; `None` for one without a name. Whatever else it lacks or has of another kind is not
    /// known.
    fn read(entry: &Value) -> Option<ServedModel> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let aliases = entry.get("aliases").and_then(Value::as_array);
        Some(ServedModel {
            id: entry.get("id").and_then(text).filter(|id| !id.is_empty())?,
            aliases: aliases.into_iter().flatten().filter_map(text).collect(),
            max_model_len: entry.get("max_model_len").and_then(Value::as_u64),
            owned_by: entry.get("owned_by").and_then(text),
        })
    }

    /// Whether it is asked for by this name.
    pub fn is_called(&self, name: &str) -> bool {
        self.id == name || self.aliases.iter().any(|alias| alias == name)
    }

    /// Whether it stands for any model of a pattern (`openai/*`), as gateways list them, and is no name.
    pub fn is_pattern(&self) -> bool {
        self.id.contains('*')
    }
}

/// What `/v1/models` lists; entries that cannot be read are passed over.
///
/// # Errors
/// What was answered is no list of models.
pub(super) fn served_models(body: &[u8]) -> Result<Vec<ServedModel>, Failure> {
    let no_list =
        |why: String| Failure::malformed(format!("its /v1/models is no list of models ({why})"));
    let answer: Value = serde_json::from_slice(body).map_err(|error| no_list(error.to_string()))?;
    match answer.get("data") {
        Some(Value::Array(entries)) => Ok(entries.iter().filter_map(ServedModel::read).collect()),
        Some(Value::Null) => Ok(Vec::new()),
        Some(_) => Err(no_list("its data is no list".to_owned())),
        None => Err(no_list("it has no data".to_owned())),
    }
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

/// A server that does not tell within this time does not tell.
const LIMIT: Duration = Duration::from_secs(5);

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
        parsed
            .map(|answer| excerpt(answer.version.as_bytes()))
            .map_err(|error| {
                Failure::malformed(format!("its /version is not {{\"version\": …}} ({error})"))
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
    /// Why `/v1/models` does not list it; `None` where it does.
    pub(crate) fn not_listed(&self, model: &str) -> Option<String> {
        match &self.models {
            Ok(models) if model::lists(models, model) => None,
            Ok(models) => {
                let ids: Vec<String> = models.iter().map(|served| served.id.clone()).collect();
                Some(format!(
                    "lists {}, not the model asked for",
                    model::listed(&ids)
                ))
            }
            Err(failure) => Some(failure.what.clone()),
        }
    }

    /// The pages that told nothing of a server that is asked for `model`, and why.
    pub(super) fn unasked(&self, shown: &Shown, model: &str) -> Vec<(&'static str, Failure)> {
        let health = match shown {
            Shown::Healthy => None,
            Shown::Answered { health, .. } => Some(health.clone()),
        };
        let models = match &self.models {
            Err(failure) => Some(failure.clone()),
            Ok(_) => self.not_listed(model).map(Failure::malformed),
        };
        let pages = [
            ("/health", health),
            ("/version", self.version_failure.clone()),
            ("/v1/models", models),
            ("/metrics", self.metrics_failure.clone()),
        ];
        let failed = |(page, failure): (_, Option<Failure>)| Some((page, failure?));
        pages.into_iter().filter_map(failed).collect()
    }

    /// The identity of a server that is asked for `model`.
    pub fn into_identity(self, model: &str, shown: &Shown) -> Identity {
        let mut missing = Vec::new();
        let mut lacks = |what: &str, reason: String| {
            let what = what.to_owned();
            missing.push(Missing { what, reason });
        };
        if let Shown::Answered { health, .. } = shown {
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
        // Requests ask for it by its own name; what is shown and kept must not steer a terminal.
        identity.model = Some(redact::line(model, redact::MOST_OF_NAME));
        identity
    }
}
