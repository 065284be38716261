//! The configuration of a run, after parsing.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap};

use super::api_key::ApiKey;
use super::choices::{
    ArrivalProcess, Balancing, FixedOutput, Metric, PrefixCache, Ramp, SteadyStart,
};
use super::deployment::Deployment;
use super::endpoint_url::EndpointUrl;
use super::safety::SafetyConfig;
use super::sampling::Precision;
use super::slo::Slo;
use super::workloads::MixedWorkload;
use crate::level::Level;
use crate::load::LoadShape;
use crate::request_rate::RequestRate;

/// The configuration of a run: `parameters.json`, the `SERVEMARK_<KEY>` overrides and the documented defaults, parsed.
///
/// `Debug` prints no secret: it hides the API key and all header values except harmless ones.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the settings came from, for messages.
    pub source: ConfigSource,
    /// `MAX_NEW_TOKENS`: output tokens requested from each request.
    pub max_new_tokens: NonZeroU32,
    /// `CONCURRENT_LEVELS`: numbers of requests kept in flight, in the order they are run. Never
    /// empty, no duplicates.
    pub concurrent_levels: Vec<NonZeroUsize>,
    /// `MODEL_PATH`: the `model` field of requests; `None` is the first model of `/v1/models`.
    pub model_path: Option<String>,
    /// `MODEL_HEADERS`: sent with every request. Values that may be secret are marked sensitive.
    /// [`Settings::request_headers`] adds the bearer token.
    pub model_headers: HeaderMap,
    /// `SAFE_CHECK` and the `SAFETY_*` keys: `Some` if texts are checked before and after a request.
    pub safety: Option<SafetyConfig>,
    /// `THRESHOLD_TPS`: requests slower than this many output tok/s are counted.
    pub threshold_tps: f64,
    /// `SLO`: limits that a request must meet to count for goodput; empty if there is no goodput.
    pub slo: Slo,
    /// `RUNS`: how often the load of each point runs, in passes over all points.
    pub runs: NonZeroU32,
    /// `PRECISION`, `PRECISION_BUDGET`: the precision that tok/s needs; `None` takes the number of samples of Criterion's
    /// command line.
    pub precision: Option<Precision>,
    /// `RANDOM_PROMPT_LENGTH`: length of a random-token prompt in tokens.
    pub random_prompt_length: NonZeroUsize,
    /// `TEMPERATURE`: sampling temperature; 0 is greedy.
    pub temperature: f64,
    /// `TOP_P`: nucleus sampling mass, above 0 and at most 1.
    pub top_p: f64,
    /// `MODEL_ENDPOINTS`: the servers under load; empty boots the embedded simulated engine.
    pub model_endpoints: Vec<EndpointUrl>,
    /// `BALANCING`: which endpoint gets the next request.
    pub balancing: Balancing,
    /// `DEPLOYMENTS`: what the bench `deployments` measures, in this order, without duplicate names. If empty, it measures
    /// embedded engines.
    pub deployments: Vec<Deployment>,
    /// How deployments with `"safe_check": true` are checked; `Some` if there is one.
    pub deployment_safety: Option<SafetyConfig>,
    /// `TOKENIZER_PATH`: a tokenizer file, or a directory that holds `tokenizer.json`. It may not exist.
    pub tokenizer_path: Option<PathBuf>,
    /// `NUM_GPU`: GPUs of all endpoints together; `None` if unknown.
    pub num_gpu: Option<NonZeroU32>,
    /// `INPUT_FILE`: the chat questions. Without the key, `input.jsonl` beside the configuration
    /// file if there is one; `None` takes the built-in questions. A path given by the key may not
    /// exist.
    pub input_file: Option<PathBuf>,
    /// `PROMPT_KEYS`: the keys of the input file to run; `None` runs all in the file's order.
    pub prompt_keys: Option<Vec<String>>,
    /// `WORKLOADS`: the workloads of mixed lengths, in the order they are run. Never empty, no duplicate names.
    pub workloads: Vec<MixedWorkload>,
    /// `STREAM`: whether answers are streamed (without it there is no TTFT).
    pub stream: bool,
    /// `LOAD_SHAPE`: when the next request starts.
    pub load_shape: &'static LoadShape,
    /// `START`: how the requests of a steady load begin.
    pub start: SteadyStart,
    /// `REQUEST_RATES`: the rates of an open loop, in the order they are run. No duplicates; not empty in an open
    /// loop.
    pub request_rates: Vec<RequestRate>,
    /// `ARRIVALS`: how the gaps between the arrivals of an open loop are distributed.
    pub arrivals: ArrivalProcess,
    /// `RAMP`: how the rate of an open loop rises to the point's own; at once without it.
    pub ramp: Option<Ramp>,
    /// `MAX_IN_FLIGHT`: requests of an open loop that may be in flight; those that arrive beyond it are not sent.
    pub max_in_flight: NonZeroUsize,
    /// `PREFIX_CACHE`: the part of each prompt that the server may find in its prefix cache.
    pub prefix_cache: PrefixCache,
    /// `FIXED_OUTPUT_LENGTH`: whether every answer is forced to `MAX_NEW_TOKENS` tokens.
    pub fixed_output: FixedOutput,
    /// `EXTRA_BODY`: fields added to every request's JSON body. They override the harness's own, and `null` omits one.
    pub extra_body: serde_json::Map<String, serde_json::Value>,
    /// `CA_FILE`: certificates (PEM) that are trusted in addition to the platform's. It may not exist.
    pub ca_file: Option<PathBuf>,
    /// `INSECURE`: whether the servers' certificates are not verified.
    pub insecure: bool,
    /// `SEED`: makes prompts and delays reproducible; with `None` one is drawn and printed at the start.
    pub seed: Option<u64>,
    /// `REQUEST_TIMEOUT`: the longest a request may take before it counts as failed.
    pub request_timeout: Duration,
    /// `READY_TIMEOUT`: the longest to wait for the endpoints to become ready.
    pub ready_timeout: Duration,
    /// `METRICS`: what Criterion measures, in this order. Never empty, no duplicates.
    pub metrics: Vec<Metric>,
    /// `SERVEMARK_AB`: two deployments to measure in turns, the older one first. They replace
    /// [`Settings::model_endpoints`].
    pub ab: Option<[Deployment; 2]>,
    /// The bearer token, from the environment variable `OPENAI_API_KEY` only.
    pub api_key: Option<ApiKey>,
}

/// The source of a configuration. `Display` gives its name in messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// A file.
    File(PathBuf),
    /// The shipped [`BUILT_IN`](super::BUILT_IN) settings, as no file was found.
    BuiltIn,
}

impl ConfigSource {
    /// The directory that relative paths in the file start from; `None` (the current directory) for the built-in settings.
    pub(super) fn directory(&self) -> Option<&Path> {
        match self {
            ConfigSource::File(path) => path.parent(),
            ConfigSource::BuiltIn => None,
        }
    }
}

impl std::fmt::Display for ConfigSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ConfigSource::File(path) => write!(f, "{}", path.display()),
            ConfigSource::BuiltIn => f.write_str("the built-in parameters.json"),
        }
    }
}

impl Settings {
    /// The levels of each prompt, in the order they are run.
    pub fn levels(&self) -> Vec<Level> {
        if self.load_shape.is_open() {
            let rates = self.request_rates.iter().copied();
            rates.map(Level::Rate).collect()
        } else {
            let levels = self.concurrent_levels.iter().copied();
            levels.map(Level::from).collect()
        }
    }

    /// The most requests that may be in flight at this level.
    pub fn most_in_flight(&self, level: Level) -> NonZeroUsize {
        level.concurrency().unwrap_or(self.max_in_flight)
    }

    /// The servers under load: those of both deployments of an A/B run, else
    /// [`Settings::model_endpoints`]; without one, the embedded simulated engine is booted.
    pub fn endpoints(&self) -> Vec<EndpointUrl> {
        match &self.ab {
            Some(sides) => sides
                .iter()
                .flat_map(|side| side.endpoints().to_vec())
                .collect(),
            None => self.model_endpoints.clone(),
        }
    }

    /// The headers of every request to an endpoint: [`Settings::model_headers`] and, from
    /// `OPENAI_API_KEY`, `Authorization: Bearer …` marked sensitive.
    ///
    /// An `Authorization` header in `MODEL_HEADERS` overrides the variable, as it is more specific.
    pub fn request_headers(&self) -> HeaderMap {
        let mut headers = self.model_headers.clone();
        if let Some(key) = &self.api_key {
            headers
                .entry(AUTHORIZATION)
                .or_insert_with(|| key.bearer().clone());
        }
        headers
    }

    /// The configuration while `deployment` is measured: with its endpoints, GPUs, balancing and safety check.
    pub fn of_deployment(&self, deployment: &Deployment) -> Settings {
        Settings {
            model_endpoints: deployment.endpoints().to_vec(),
            num_gpu: deployment.gpus().or(self.num_gpu),
            balancing: deployment.balancing.unwrap_or(self.balancing),
            safety: match deployment.safe_check {
                None => self.safety.clone(),
                Some(false) => None,
                Some(true) => self.deployment_safety.clone(),
            },
            deployments: Vec::new(),
            ..self.clone()
        }
    }
}
