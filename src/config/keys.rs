//! The table of all configuration keys, and what is derived from it: parsing, the documentation's defaults, the
//! configuration in run records, and which keys two comparable runs must share.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::choices::{Balancing, Metric, SteadyStart};
use super::deployment::Deployment;
pub use super::key::Key;
use super::key::{KeyKind, Public, Syntax};
use super::safety::{BackendChoice, SafetyBackend};
use super::sampling::Precision;
use super::settings::Settings;
use super::workloads::MixedWorkload;
use super::{deployment, public, sampling, slo, value, workloads};
use crate::load::{LOAD_SHAPES, STEADY};
use crate::redact::HIDDEN;

/// Makes a static of each row, and the list of all.
macro_rules! keys {
    ($(
        $name:ident: $syntax:ident, $kind:ident, $default:literal, $expected:expr, $example:literal,
        |$draft:ident, $value:ident| $set:expr,
        |$config:ident| $public:expr;
    )*) => {
        $(
            #[doc = concat!("`", stringify!($name), "`.")]
            pub static $name: Key = Key {
                name: stringify!($name),
                default: $default,
                expected: || $expected.to_string(),
                example: $example,
                syntax: Syntax::$syntax,
                kind: KeyKind::$kind,
                set: |$draft, $value| {
                    $set;
                    Ok(())
                },
                public: |$config| $public.into(),
            };
        )*
        /// Every key, in the order of the documentation.
        pub static ALL: &[&Key] = &[$(&$name),*];
    };
}

// Name: syntax of its variable, kind, default, expected, example, parser, value in run records.
keys! {
    MAX_NEW_TOKENS: Single, Workload, "32", "a whole number of tokens from 1 to 1000000", "256",
        |d, v| d.config.max_new_tokens = value::count_u32(v, 1_000_000)?,
        |c| json!(c.max_new_tokens);
    CONCURRENT_LEVELS: Numbers, Incidental, "[1, 8, 32]",
        "a list of different whole numbers from 1 to 100000", "[1, 8, 32]",
        |d, v| d.config.concurrent_levels = value::distinct(v, |level| value::count(level, 100_000))?,
        |c| json!(c.concurrent_levels);
    MODEL_PATH: Single, Incidental, "null",
        "the model's name as the server lists it, or \"\" to ask the server",
        "\"meta-llama/Llama-3.1-8B-Instruct\"",
        |d, v| d.config.model_path = Some(value::text(v)?),
        |c| json!(c.model_path);
    MODEL_HEADERS: Single, Reported, "{}", "an object of header names and string values",
        "{\"Content-Type\": \"application/json\"}",
        |d, v| d.config.model_headers = value::headers(v)?,
        |c| public::headers(&c.model_headers);
    SAFE_CHECK: Single, Workload, "false", "true or false", "false",
        |d, v| d.safety.on = value::flag(v)?,
        |c| json!(c.safety.is_some());
    THRESHOLD_TPS: Single, Incidental, "7", "a number of tokens per second from 0 to 1000000", "7",
        |d, v| d.config.threshold_tps = value::number(v, |rate| (0.0..=1e6).contains(&rate))?,
        |c| json!(c.threshold_tps);
    RANDOM_PROMPT_LENGTH: Single, Incidental, "1000", "a whole number of tokens from 1 to 10000000", "1000",
        |d, v| d.config.random_prompt_length = value::count(v, 10_000_000)?,
        |c| json!(c.random_prompt_length);
    TEMPERATURE: Single, Workload, "0.6", "a number from 0 to 100", "0.6",
        |d, v| d.config.temperature = value::number(v, |temperature| (0.0..=100.0).contains(&temperature))?,
        |c| json!(c.temperature);
    TOP_P: Single, Workload, "0.9", "a number above 0 and at most 1", "0.9",
        |d, v| d.config.top_p = value::number(v, |mass| mass > 0.0 && mass <= 1.0)?,
        |c| json!(c.top_p);
    MODEL_ENDPOINTS: Strings, Incidental, "[]",
        "a list of http:// or https:// addresses, or [] for the embedded simulated engine",
        "[\"http://localhost:8000/v1/chat/completions\"]",
        |d, v| d.config.model_endpoints = value::endpoints(v)?,
        |c| json!(Vec::from_iter(c.model_endpoints.iter().map(ToString::to_string)));
    BALANCING: Single, Reported, "\"round_robin\"", one_of(&Balancing::ALL, Balancing::id), "\"least_outstanding\"",
        |d, v| d.config.balancing = value::one_of(v, &Balancing::ALL, Balancing::id)?,
        |c| json!(c.balancing.id());
    DEPLOYMENTS: Single, Incidental, "[]",
        "a list of objects, each with a name and either a command or endpoints (docs/deployments.md)",
        "[{\"name\": \"2x4\", \"replicas\": 2, \"gpus_per_replica\": 4, \"command\": \"vllm serve meta-llama/Llama-3.1-70B-Instruct --tensor-parallel-size {tp} --port {port}\"}]",
        |d, v| d.config.deployments = deployment::list(v)?,
        |c| json!(Vec::from_iter(c.deployments.iter().map(|deployment| &deployment.name)));
    TOKENIZER_PATH: Single, Local, "null",
        "the path of a tokenizer.json or of a directory that holds one, or \"\"", "\"../tokenizer\"",
        |d, v| d.config.tokenizer_path = d.path(v)?,
        |c| public::path(&c.tokenizer_path);
    NUM_GPU: Single, Incidental, "null", "a whole number of GPUs from 1 to 100000, or null if unknown", "8",
        |d, v| d.config.num_gpu = Some(value::count_u32(v, 100_000)?),
        |c| json!(c.num_gpu);
    INPUT_FILE: Single, Local, "null", "the path of a file of questions, or \"\"", "\"input.jsonl\"",
        |d, v| d.config.input_file = d.path(v)?,
        |c| public::path(&c.input_file);
    PROMPT_KEYS: Strings, Incidental, "null",
        "a list of different keys of the input file, or null for all", "[\"25\", \"1k\"]",
        |d, v| d.config.prompt_keys = Some(value::prompt_keys(v)?),
        |c| json!(c.prompt_keys);
    WORKLOADS: Strings, Incidental, "[\"chat\", \"rag\", \"summarise\", \"code\"]", workloads::expected(),
        "[\"rag\", {\"name\": \"short\", \"lengths\": \"N(480,240)/(300,150)\"}]",
        |d, v| d.config.workloads = workloads::list(v)?,
        |c| json!(Vec::from_iter(c.workloads.iter().map(MixedWorkload::to_json)));
    STREAM: Single, Workload, "true", "true or false", "true",
        |d, v| d.config.stream = value::flag(v)?,
        |c| json!(c.stream);
    LOAD_SHAPE: Single, Workload, "\"steady\"", one_of(LOAD_SHAPES, |shape| shape.id), "\"steady\"",
        |d, v| d.config.load_shape = value::one_of(v, LOAD_SHAPES, |shape| shape.id)?,
        |c| json!(c.load_shape.id);
    START: Single, Reported, "\"together\"", one_of(&SteadyStart::ALL, SteadyStart::id), "\"staggered\"",
        |d, v| d.config.start = value::one_of(v, &SteadyStart::ALL, SteadyStart::id)?,
        |c| (*c.load_shape == STEADY).then(|| json!(c.start.id()));
    REQUEST_RATES: Numbers, Incidental, "[1, 4, 16]",
        "a list of different numbers of requests per second from 0.001 to 100000, or \"max\"", "[2, 8, \"max\"]",
        |d, v| d.config.request_rates = value::distinct(v, value::request_rate)?,
        |c| of_open_loop(c, json!(c.request_rates));
    ARRIVALS: Single, Workload, "\"poisson\"",
        "\"poisson\", \"constant\" or {\"gamma\": shape} with a shape from 0.01 to 1000", "{\"gamma\": 0.5}",
        |d, v| d.config.arrivals = value::arrivals(v)?,
        |c| of_open_loop(c, public::arrivals(c.arrivals));
    RAMP: Single, Reported, "null",
        "{\"linear\": seconds} or {\"exponential\": seconds} with a number of seconds above 0 and up to 86400, or null",
        "{\"linear\": 10}",
        |d, v| d.config.ramp = Some(value::ramp(v)?),
        |c| of_open_loop(c, public::ramp(c.ramp));
    MAX_IN_FLIGHT: Single, Reported, "4096", "a whole number of requests from 1 to 100000", "1000",
        |d, v| d.config.max_in_flight = value::count(v, 100_000)?,
        |c| of_open_loop(c, json!(c.max_in_flight));
    PREFIX_CACHE: Single, Workload, "\"bust\"",
        "\"bust\", \"allow\" or the shared fraction, a number from 0 to 1", "\"bust\"",
        |d, v| d.config.prefix_cache = value::prefix_cache(v)?,
        |c| public::prefix_cache(c.prefix_cache);
    FIXED_OUTPUT_LENGTH: Single, Workload, "\"auto\"", "\"auto\", true or false", "\"auto\"",
        |d, v| d.config.fixed_output = value::fixed_output(v)?,
        |c| public::fixed_output(c.fixed_output);
    EXTRA_BODY: Single, Workload, "{}",
        "an object of request fields other than stream, messages, prompt and n; null leaves a field out",
        "{\"top_k\": 20}",
        |d, v| d.config.extra_body = value::extra_body(v)?,
        |c| json!(c.extra_body);
    CA_FILE: Single, Incidental, "null", "the path of a file of certificates in PEM form, or \"\"",
        "\"company-ca.pem\"",
        |d, v| d.config.ca_file = d.path(v)?,
        |c| public::path(&c.ca_file);
    INSECURE: Single, Reported, "false", "true or false", "false",
        |d, v| d.config.insecure = value::flag(v)?,
        |c| json!(c.insecure);
    SEED: Single, Incidental, "null", "a whole number from 0 to 18446744073709551615, or null to draw one", "42",
        |d, v| d.config.seed = Some(value::whole(v, 0, u64::MAX)?),
        |c| json!(c.seed);
    REQUEST_TIMEOUT: Single, Reported, "600", "a number of seconds above 0 and at most 604800", "600",
        |d, v| d.config.request_timeout = value::seconds(v)?,
        |c| json!(c.request_timeout.as_secs_f64());
    READY_TIMEOUT: Single, Incidental, "300", "a number of seconds above 0 and at most 604800", "300",
        |d, v| d.config.ready_timeout = value::seconds(v)?,
        |c| json!(c.ready_timeout.as_secs_f64());
    METRICS: Strings, Incidental, "[\"output_tok_s\", \"rps\", \"ttft\", \"tpot\", \"e2el\"]",
        "a list of different names out of output_tok_s, rps, ttft, tpot, e2el", "[\"output_tok_s\", \"rps\"]",
        |d, v| d.config.metrics = value::metrics(v)?,
        |c| json!(Vec::from_iter(c.metrics.iter().map(|metric: &Metric| metric.id())));
    SLO: Single, Reported, "{}",
        "an object of limits in ms, any of ttft, tpot, itl and e2el, each a number above 0 or an object of one of p50, p90, p95, p99, p99.9 and such a number, and failed, a share from 0 to 1",
        "{\"ttft\": {\"p95\": 500}, \"tpot\": 50, \"failed\": 0.01}",
        |d, v| d.config.slo = slo::read(v)?,
        |c| json!(c.slo);
    RUNS: Single, Reported, "1", "a whole number of runs from 1 to 100", "3",
        |d, v| d.config.runs = value::count_u32(v, 100)?,
        |c| json!(c.runs);
    PRECISION: Single, Reported, "null", "a share above 0 and below 1 such as \"1%\" or 0.01, or null", "\"1%\"",
        |d, v| d.config.precision = Some(Precision { half_width: sampling::share(v)?, budget: Duration::ZERO }),
        |c| json!(c.precision.map(|precision| precision.half_width));
    // After PRECISION, whose budget it sets.
    PRECISION_BUDGET: Single, Reported, "60", "a number of seconds above 0 and at most 604800", "60",
        |d, v| {
            let budget = value::seconds(v)?;
            d.config.precision.iter_mut().for_each(|precision| precision.budget = budget);
        },
        |c| json!(c.precision.map(|precision| precision.budget.as_secs_f64()));
    SAFETY_BACKEND: Single, Workload, "\"auto\"", one_of(&BackendChoice::ALL, BackendChoice::id), "\"auto\"",
        |d, v| d.safety.backend = value::one_of(v, &BackendChoice::ALL, BackendChoice::id)?,
        |c| backend(c).map(|backend| json!(backend.id()));
    SAFETY_DELAY_MS: Numbers, Workload, "[300, 400]",
        "two numbers of milliseconds from 0 to 600000, the lesser first", "[300, 400]",
        |d, v| d.safety.delay_ms = value::delay_ms(v)?,
        |c| backend(c).and_then(|backend| Some(json!(backend.delay_ms()?)));
    SAFETY_SEVERITY: Single, Workload, "4", "a whole number from 1 to 6", "4",
        |d, v| d.safety.severity = value::whole(v, 1, 6)? as u8,
        |c| backend(c).and_then(|backend| Some(json!(backend.threshold()?)));
}

/// Names the values of a key: `"a", "b" or "c"`.
fn one_of<T: Copy>(all: &[T], id: fn(T) -> &'static str) -> String {
    let quoted = Vec::from_iter(all.iter().map(|one| format!("\"{}\"", id(*one))));
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// A setting that other loads do not use is not part of their records.
fn of_open_loop(config: &Settings, value: Value) -> Option<Value> {
    config.load_shape.is_open().then_some(value)
}

fn backend(config: &Settings) -> Option<&SafetyBackend> {
    config.safety.as_ref().map(|safety| &safety.backend)
}

/// Settings that are not keys of `parameters.json`.
const OTHERS: [(&str, KeyKind, Public); 3] = [
    ("CONFIG", KeyKind::Local, |c| {
        Some(json!(c.source.to_string()))
    }),
    ("AB", KeyKind::Reported, |c| {
        let names = |sides: &[Deployment; 2]| sides.each_ref().map(|side| side.name.clone());
        Some(json!(c.ab.as_ref().map(names)))
    }),
    ("OPENAI_API_KEY", KeyKind::Reported, |c| {
        Some(json!(c.api_key.as_ref().map(|_| HIDDEN)))
    }),
];

/// The names of all keys.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|key| key.name)
}

/// Every setting that run records hold.
fn settings() -> impl Iterator<Item = (&'static str, KeyKind, Public)> {
    let keys = ALL.iter().map(|key| (key.name, key.kind, key.public));
    OTHERS.into_iter().chain(keys)
}

/// The kind of a setting of a run record; one that another version of servemark wrote is reported.
pub(crate) fn kind(name: &str) -> KeyKind {
    let known = settings().find(|setting| setting.0 == name);
    known.map_or(KeyKind::Reported, |setting| setting.1)
}

/// The keys that define a workload.
pub(crate) fn of_workload() -> impl Iterator<Item = &'static str> {
    settings()
        .filter(|setting| setting.1 == KeyKind::Workload)
        .map(|setting| setting.0)
}

impl Settings {
    /// The effective configuration under the names of `parameters.json`, for run records.
    ///
    /// Secrets are left out: header values other than of `Content-Type`, `Accept` and `User-Agent`, and query values
    /// of addresses, are hidden; of API keys only whether they are set is told. `CONFIG` is where the settings came
    /// from.
    pub fn public_json(&self) -> Value {
        Value::Object(self.public_settings(|_| true))
    }

    /// The part of [`Settings::public_json`] that all ranks of one run must have in common.
    pub(crate) fn shared_settings(&self) -> Map<String, Value> {
        self.public_settings(|kind| kind != KeyKind::Local)
    }

    fn public_settings(&self, wanted: impl Fn(KeyKind) -> bool) -> Map<String, Value> {
        settings()
            .filter(|(_, kind, _)| wanted(*kind))
            .filter_map(|(name, _, public)| Some((name.to_owned(), public(self)?)))
            .collect()
    }
}

#[cfg(test)]
mod tests;
