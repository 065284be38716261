//! What a run is told: `parameters.json`, overridden key by key from the environment.
//!
//! [`Config::load`] finds the file, [`Config::from_parts`] is the same without touching the
//! process environment. Every key, its default and its meaning are tabled in
//! `docs/parameters.md`; the table the parser itself works from is [`keys`].
//!
//! Values are parsed once, here, into types that cannot hold a wrong value; nothing after this
//! module checks a setting again. All faults of a configuration are reported together, each with
//! the file (or variable), the key, what was found, what is expected and an example.

mod ab;
mod api_key;
mod deployment;
mod endpoint_url;
mod env;
mod error;
mod flags;
pub mod keys;
mod parse;
mod public;
mod reader;
mod safety;
mod sampling;
mod secrets;
mod slo;
mod template;
mod value;

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap};

pub use api_key::{ApiKey, NotAKey};
pub use deployment::{Deployment, Launch, Servers};
pub(crate) use endpoint_url::hide_query;
pub use endpoint_url::{Api, EndpointUrl, EndpointUrlError};
pub use error::{ConfigError, Origin, Problem};
pub use flags::Flag;
pub use safety::{SafetyBackend, SafetyConfig};
pub use sampling::Precision;
pub use slo::Slo;
pub use template::{Blanks, Template};

/// The `parameters.json` this crate ships, used where no file is found.
pub const BUILT_IN: &str = include_str!("../../fixtures/parameters.json");

/// Everything a run is told: `parameters.json`, the `SERVEMARK_<KEY>` overrides and the documented
/// defaults, parsed.
///
/// `Debug` prints no secret: the API key and all header values but the harmless ones are hidden.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the settings came from, for messages.
    pub source: ConfigSource,
    /// `MAX_NEW_TOKENS`: output tokens asked for per request.
    pub max_new_tokens: NonZeroU32,
    /// `CONCURRENT_LEVELS`: numbers of requests kept in flight, in the order they are run. Never
    /// empty, no duplicates.
    pub concurrent_levels: Vec<NonZeroUsize>,
    /// `MODEL_PATH`: the `model` field of requests; `None` takes what `/v1/models` names first.
    pub model_path: Option<String>,
    /// `MODEL_HEADERS`: sent with every request. Values that may be secret are marked sensitive.
    /// [`Config::request_headers`] adds the bearer token.
    pub model_headers: HeaderMap,
    /// `SAFE_CHECK` and the `SAFETY_*` keys: `Some` if texts are checked before and after a
    /// request.
    pub safety: Option<SafetyConfig>,
    /// `THRESHOLD_TPS`: requests slower than this many output tok/s are counted.
    pub threshold_tps: f64,
    /// `SLO`: what a request must meet to count for goodput; empty where there is no goodput.
    pub slo: Slo,
    /// `RUNS`: how often the load of each point is run, in passes over all points.
    pub runs: NonZeroU32,
    /// `PRECISION`, `PRECISION_BUDGET`: how well tok/s must be known; `None` samples as often as
    /// Criterion's command line says.
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
    /// `DEPLOYMENTS`: what the bench `deployments` measures, in this order; no name twice. Empty
    /// measures embedded engines.
    pub deployments: Vec<Deployment>,
    /// How deployments with `"safe_check": true` are checked; `Some` where there is one.
    pub deployment_safety: Option<SafetyConfig>,
    /// `TOKENIZER_PATH`: a tokenizer file, or a directory that holds `tokenizer.json`. Not yet
    /// known to exist.
    pub tokenizer_path: Option<PathBuf>,
    /// `NUM_GPU`: GPUs behind all endpoints together; `None` where unknown.
    pub num_gpu: Option<NonZeroU32>,
    /// `INPUT_FILE`: the chat questions. Without the key, `input.jsonl` beside the configuration
    /// file if there is one; `None` takes the questions built in. A path given by the key is not
    /// yet known to exist.
    pub input_file: Option<PathBuf>,
    /// `PROMPT_KEYS`: the keys of the input file to run; `None` runs all in the file's order.
    pub prompt_keys: Option<Vec<String>>,
    /// `STREAM`: whether answers are streamed (without it there is no TTFT).
    pub stream: bool,
    /// `LOAD_SHAPE`: when a finished request is replaced.
    pub load_shape: LoadShape,
    /// `PREFIX_CACHE`: how much of its prompts the server may find in its prefix cache.
    pub prefix_cache: PrefixCache,
    /// `FIXED_OUTPUT_LENGTH`: whether every answer is forced to `MAX_NEW_TOKENS` tokens.
    pub fixed_output: FixedOutput,
    /// `EXTRA_BODY`: fields added to every request's JSON body; they win over the harness's own, and
    /// `null` leaves one out.
    pub extra_body: serde_json::Map<String, serde_json::Value>,
    /// `CA_FILE`: certificates (PEM) that are trusted beside the platform's. Not yet known to exist.
    pub ca_file: Option<PathBuf>,
    /// `INSECURE`: whether the servers' certificates go unverified.
    pub insecure: bool,
    /// `SEED`: makes prompts and delays reproducible; `None` has one drawn and printed at start.
    pub seed: Option<u64>,
    /// `REQUEST_TIMEOUT`: the longest a request may take before it counts as failed.
    pub request_timeout: Duration,
    /// `READY_TIMEOUT`: the longest to wait for the endpoints to become ready.
    pub ready_timeout: Duration,
    /// `METRICS`: what Criterion measures, in this order. Never empty, no duplicates.
    pub metrics: Vec<Metric>,
    /// `SERVEMARK_AB`: two deployments to measure in turns, the one before first; they stand in for
    /// [`Config::model_endpoints`].
    pub ab: Option<[Deployment; 2]>,
    /// The bearer token, from the environment variable `OPENAI_API_KEY` only.
    pub api_key: Option<ApiKey>,
}

/// Where a configuration came from. `Display` gives the name used in messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// A file.
    File(PathBuf),
    /// No file was found: the shipped [`BUILT_IN`] settings.
    BuiltIn,
}

impl ConfigSource {
    /// The directory that relative paths in the file start from; `None` (the current directory)
    /// for the built-in settings.
    fn directory(&self) -> Option<&Path> {
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

/// When a closed loop of C requests starts its next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LoadShape {
    /// C requests always in flight: a finished one is replaced at once.
    Steady,
    /// C requests at once, and the next C when all have finished.
    Wave,
}

impl LoadShape {
    /// Every shape.
    pub const ALL: [LoadShape; 2] = [LoadShape::Steady, LoadShape::Wave];

    /// The value of `LOAD_SHAPE` that names it.
    pub fn id(self) -> &'static str {
        match self {
            LoadShape::Steady => "steady",
            LoadShape::Wave => "wave",
        }
    }
}

/// Which endpoint gets the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Balancing {
    /// Each in turn: equal counts.
    RoundRobin,
    /// The one with the fewest requests under way: a slow one gets fewer.
    LeastOutstanding,
}

impl Balancing {
    /// Every policy.
    pub const ALL: [Balancing; 2] = [Balancing::RoundRobin, Balancing::LeastOutstanding];

    /// The value of `BALANCING` that names it.
    pub fn id(self) -> &'static str {
        match self {
            Balancing::RoundRobin => "round_robin",
            Balancing::LeastOutstanding => "least_outstanding",
        }
    }
}

/// How much of a prompt the server may answer from its prefix cache.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PrefixCache {
    /// Nothing: each prompt starts differently.
    Bust,
    /// Everything: the same prompt every time.
    Allow,
    /// This share of each prompt's tokens, 0 to 1, is the same in all prompts.
    Shared(f64),
}

/// Whether answers are forced to the full `MAX_NEW_TOKENS` (`ignore_eos` and `min_tokens`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FixedOutput {
    /// Where the server is vLLM, which knows these fields; other servers may refuse them.
    Auto,
    /// Always.
    On,
    /// Never: the model ends its answer where it likes.
    Off,
}

/// A figure that Criterion measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Output tokens per second over all requests.
    OutputTokS,
    /// Requests completed per second.
    Rps,
    /// Time to first token.
    Ttft,
    /// Time per output token after the first.
    Tpot,
    /// End-to-end latency.
    E2el,
}

impl Metric {
    /// Every metric.
    pub const ALL: [Metric; 5] = [
        Metric::OutputTokS,
        Metric::Rps,
        Metric::Ttft,
        Metric::Tpot,
        Metric::E2el,
    ];

    /// The name in `METRICS` and in benchmark ids.
    pub fn id(self) -> &'static str {
        match self {
            Metric::OutputTokS => "output_tok_s",
            Metric::Rps => "rps",
            Metric::Ttft => "ttft",
            Metric::Tpot => "tpot",
            Metric::E2el => "e2el",
        }
    }

    /// Whether it is a rate (tok/s, req/s) and not a latency (ms).
    pub fn is_rate(self) -> bool {
        matches!(self, Metric::OutputTokS | Metric::Rps)
    }
}

impl Config {
    /// The servers under load: those of both deployments of an A/B run, else
    /// [`Config::model_endpoints`]; none boots the embedded simulated engine.
    pub fn endpoints(&self) -> Vec<EndpointUrl> {
        match &self.ab {
            Some(sides) => sides
                .iter()
                .flat_map(|side| side.endpoints().to_vec())
                .collect(),
            None => self.model_endpoints.clone(),
        }
    }

    /// The headers of every request to an endpoint: [`Config::model_headers`] and, from
    /// `OPENAI_API_KEY`, `Authorization: Bearer …` marked sensitive.
    ///
    /// An `Authorization` header in `MODEL_HEADERS` wins over the variable, as it is the more
    /// particular of the two.
    pub fn request_headers(&self) -> HeaderMap {
        let mut headers = self.model_headers.clone();
        if let Some(key) = &self.api_key {
            headers
                .entry(AUTHORIZATION)
                .or_insert_with(|| key.bearer().clone());
        }
        headers
    }
}
