//! The effective configuration without its secrets, for run records.

use reqwest::header::{HeaderMap, HeaderName};
use serde_json::{Map, Value, json};

use super::value::is_open_header;
use super::{Config, FixedOutput, Metric, PrefixCache, SafetyBackend, SafetyConfig};
use crate::redact::HIDDEN;

impl Config {
    /// The effective configuration under the names of `parameters.json`, for run records.
    ///
    /// Secrets are left out: header values other than of `Content-Type`, `Accept` and
    /// `User-Agent` and query values of addresses are hidden; of API keys only whether they are
    /// set is told. `CONFIG` is where the settings came from.
    pub fn public_json(&self) -> Value {
        let mut keys = json!({
            "CONFIG": self.source.to_string(),
            "MAX_NEW_TOKENS": self.max_new_tokens,
            "CONCURRENT_LEVELS": self.concurrent_levels,
            "MODEL_PATH": self.model_path,
            "MODEL_HEADERS": open_headers(&self.model_headers),
            "SAFE_CHECK": self.safety.is_some(),
            "THRESHOLD_TPS": self.threshold_tps,
            "RANDOM_PROMPT_LENGTH": self.random_prompt_length,
            "TEMPERATURE": self.temperature,
            "TOP_P": self.top_p,
            "MODEL_ENDPOINTS": texts(&self.model_endpoints),
            "BALANCING": self.balancing.id(),
            "DEPLOYMENTS": self.deployments.iter().map(|d| &d.name).collect::<Vec<_>>(),
            "TOKENIZER_PATH": self.tokenizer_path.as_ref().map(|path| path.to_string_lossy()),
            "NUM_GPU": self.num_gpu,
            "INPUT_FILE": self.input_file.as_ref().map(|path| path.to_string_lossy()),
            "PROMPT_KEYS": self.prompt_keys,
            "STREAM": self.stream,
            "LOAD_SHAPE": self.load_shape.id(),
            "PREFIX_CACHE": prefix_cache(self.prefix_cache),
            "FIXED_OUTPUT_LENGTH": fixed_output(self.fixed_output),
            "EXTRA_BODY": self.extra_body,
            "CA_FILE": self.ca_file.as_ref().map(|path| path.to_string_lossy()),
            "INSECURE": self.insecure,
            "SEED": self.seed,
            "REQUEST_TIMEOUT": self.request_timeout.as_secs_f64(),
            "READY_TIMEOUT": self.ready_timeout.as_secs_f64(),
            "METRICS": self.metrics.iter().map(|metric: &Metric| metric.id()).collect::<Vec<_>>(),
            "SLO": self.slo,
            "RUNS": self.runs,
            "PRECISION": self.precision.map(|precision| precision.half_width),
            "PRECISION_BUDGET": self.precision.map(|precision| precision.budget.as_secs_f64()),
            "AB": self.ab.as_ref().map(|sides| sides.each_ref().map(|side| &side.name)),
            "OPENAI_API_KEY": self.api_key.as_ref().map(|_| HIDDEN),
        });
        if let (Some(keys), Some(safety)) = (keys.as_object_mut(), &self.safety) {
            keys.extend(safety_keys(safety));
        }
        keys
    }
}

fn texts<T: ToString>(list: &[T]) -> Vec<String> {
    list.iter().map(T::to_string).collect()
}

fn open_headers(headers: &HeaderMap) -> Map<String, Value> {
    let value = |name: &HeaderName| {
        let open = is_open_header(name).then(|| headers.get(name)?.to_str().ok());
        open.flatten().unwrap_or(HIDDEN)
    };
    headers
        .keys()
        .map(|name| (name.to_string(), value(name).into()))
        .collect()
}

fn prefix_cache(policy: PrefixCache) -> Value {
    match policy {
        PrefixCache::Bust => "bust".into(),
        PrefixCache::Allow => "allow".into(),
        PrefixCache::Shared(share) => share.into(),
    }
}

fn fixed_output(fixed: FixedOutput) -> Value {
    match fixed {
        FixedOutput::Auto => "auto".into(),
        FixedOutput::On => true.into(),
        FixedOutput::Off => false.into(),
    }
}

fn safety_keys(safety: &SafetyConfig) -> Map<String, Value> {
    let mut keys = Map::new();
    match &safety.backend {
        SafetyBackend::Simulated {
            delay_ms: (least, most),
        } => {
            keys.insert("SAFETY_BACKEND".into(), "simulated".into());
            keys.insert("SAFETY_DELAY_MS".into(), json!([least, most]));
        }
        SafetyBackend::Azure { threshold, .. } => {
            keys.insert("SAFETY_BACKEND".into(), "azure".into());
            keys.insert("SAFETY_SEVERITY".into(), json!(threshold));
        }
    }
    keys
}
