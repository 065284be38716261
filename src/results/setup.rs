use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::DeploymentRecord;
use crate::config::Slo;
use crate::endpoint::Identity;
use crate::prompt::RequestLengths;

/// How a result was measured: on which servers, with which configuration, and when. Every record has it.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// The bench.
    pub bench: &'a str,
    /// The lengths of the requests.
    pub lengths: RequestLengths,
    /// The definition of the workload, if its name does not say it.
    pub workload: Option<&'a Value>,
    /// The API of the requests, if recorded.
    pub api: Option<&'a str>,
    /// Version of servemark.
    pub servemark_version: &'a str,
    /// When the measurement ended (seconds since 1970).
    pub ended_unix_s: f64,
    /// The preset that the servers simulate; none for real servers.
    pub simulated: Option<&'a str>,
    /// The configuration without its secrets.
    pub config: &'a Value,
    /// The endpoints that answered.
    pub endpoints: &'a [Identity],
    /// The deployment, of several.
    pub deployment: Option<&'a DeploymentRecord>,
}

impl Setup<'_> {
    /// When the measurement ended.
    pub fn ended(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis((self.ended_unix_s * 1e3) as i64).unwrap_or_default()
    }

    /// Software and version of the servers (`vLLM 0.32.0`); different ones separated by commas.
    pub fn server(&self) -> String {
        self.each_endpoint(|endpoint| endpoint.server.clone())
    }

    /// The requested models; different ones separated by commas.
    pub fn model(&self) -> String {
        self.each_endpoint(|endpoint| endpoint.model.clone())
    }

    /// The distinct values of a property of all endpoints; `unknown` for an endpoint without it.
    pub(crate) fn each_endpoint(&self, fact: impl Fn(&Identity) -> Option<String>) -> String {
        let fact = |endpoint| fact(endpoint).unwrap_or_else(|| "unknown".to_owned());
        let facts: BTreeSet<String> = self.endpoints.iter().map(fact).collect();
        Vec::from_iter(facts).join(", ")
    }

    /// Value of a configuration key as text, or `not set`.
    pub(crate) fn setting(&self, key: &str) -> String {
        match self.config.get(key) {
            None | Some(Value::Null) => "not set".to_owned(),
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
        }
    }

    /// The objectives; empty if none was set.
    pub fn slo(&self) -> Slo {
        // Records older than the key have no objectives.
        serde_json::from_value(self.config["SLO"].clone()).unwrap_or_default()
    }

    /// Whether the servers' certificates were not verified (`INSECURE`).
    pub fn insecure(&self) -> bool {
        self.config.get("INSECURE").and_then(Value::as_bool) == Some(true)
    }

    /// GPUs behind all endpoints together, if configured.
    pub fn num_gpu(&self) -> Option<u32> {
        let gpus = self.config["NUM_GPU"].as_u64()?;
        u32::try_from(gpus).ok().filter(|gpus| *gpus > 0)
    }
}
