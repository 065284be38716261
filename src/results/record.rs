use std::collections::BTreeSet;
use std::path::Path;

use chrono::{DateTime, Utc};
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::columns::RequestColumns;
use super::rank_part::RankPart;
use super::{DeploymentRecord, PointKey};
use crate::config::Slo;
use crate::endpoint::{Identity, MetricsInterval, ServerSample};
use crate::load::{SelfCheck, Window};
use crate::metrics::{Blocked, FailureCount, Summary};

/// Version of the record's form; raised when a reader of the old form would misread the new.
pub const SCHEMA_VERSION: u32 = 2;

/// Everything known of one point of one run; the input of reports and comparisons.
///
/// Times are nanoseconds of the run's monotonic clock. Secrets are never part of it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RunRecord {
    /// Version of the record's form.
    pub schema_version: u32,
    /// Version of servemark that wrote it.
    pub servemark_version: String,
    /// Names the run: the same in the records of all points, ranks, sides and deployments that one start of
    /// a bench measured; null in records older than the field.
    #[serde(default)]
    pub run_id: Option<String>,
    /// Wall-clock time at which the point ended (seconds since 1970).
    pub ended_unix_s: f64,
    /// Wall-clock time of the run's clock at zero (nanoseconds since 1970): brings the times of
    /// several processes onto one axis.
    pub clock_unix_ns: u64,
    /// Name of the benchmark.
    pub bench: String,
    /// Which prompt.
    pub prompt: String,
    /// Tokens of the prompt as the harness's tokenizer counts them.
    pub prompt_tokens: usize,
    /// Who counts prompts: the tokenizer in use.
    pub tokenizer: String,
    /// What was asked: `chat_completions` or `completions`; null in records older than the field.
    #[serde(default)]
    pub api: Option<String>,
    /// Requests in flight.
    pub concurrency: usize,
    /// The seed of prompts.
    pub seed: u64,
    /// What a request's `X-Request-Id` begins with, its index in hexadecimal follows; null where
    /// the configuration sets the header. vLLM's log and response ids name the request by it.
    pub request_id_prefix: Option<String>,
    /// What the endpoints simulate; null for a real server.
    pub simulated: Option<String>,
    /// The effective configuration without its secrets.
    pub config: Value,
    /// Who answered.
    pub endpoints: Vec<Identity>,
    /// The figures; null where no request succeeded, and in the record of one rank's part.
    pub summary: Option<Summary>,
    /// Failures by cause, warm-up left out.
    pub failures: Vec<FailureCount>,
    /// What the safety check stopped.
    pub blocked: Vec<Blocked>,
    /// The server's own counters over about the same interval, for each endpoint.
    pub server_metrics: Vec<Option<MetricsInterval>>,
    /// The servers' own state while the load ran, for each endpoint, in the order of time; of the first run
    /// where there are several. Empty where nobody asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub server_timeline: Vec<Vec<ServerSample>>,
    /// Whether the client kept up; null where it was not watched.
    pub self_check: Option<SelfCheck>,
    /// Names the session in which this side and another ran in turns; null for a run of its own.
    /// Window i of the one was measured beside window i of the other.
    #[serde(default)]
    pub interleaved: Option<String>,
    /// On which of several deployments it was measured; null where there was but one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentRecord>,
    /// In the record of one rank's part: whose. Such a record has one window with all that the rank sent,
    /// warm-up and drain included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<RankPart>,
    /// The processes that shared the load, by rank; empty where one drove it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranks: Vec<RankPart>,
    /// The measured windows, in order.
    pub windows: Vec<WindowRecord>,
    /// The requests that ended in them, in order, as columns.
    pub requests: RequestColumns,
}

/// A window without its requests.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WindowRecord {
    /// Which run of the point's `RUNS` it is of, from 0 on.
    #[serde(default)]
    pub run: u32,
    /// Begin (ns).
    pub start_ns: u64,
    /// End (ns).
    pub end_ns: u64,
    /// Rounds of C finished requests in it.
    pub iterations: u64,
    /// How many of the record's requests ended in it.
    pub requests: usize,
    /// Content events already received at its begin by requests that were in flight then.
    pub carried_in: u64,
    /// Content events already received at its end by requests still in flight.
    pub carried_out: u64,
    /// Output tokens received in it.
    pub output_tokens: Option<f64>,
}

/// A file that is no run record, or not one that can be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// Its path.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is no run record.
    #[error(
        "{path}: no run record of servemark: {source}; give target/criterion/servemark/<bench>/<prompt>/c=<concurrency>/new.json"
    )]
    NoRecord {
        /// Its path.
        path: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A record of another form.
    #[error(
        "{path}: its schema_version is {version}, this servemark reads {SCHEMA_VERSION}; measure again, or read it with the servemark that wrote it"
    )]
    OtherSchema {
        /// Its path.
        path: String,
        /// The form it says it has.
        version: u32,
    },
}

impl RunRecord {
    /// Reads the record at `path`.
    ///
    /// # Errors
    /// [`RecordError`], naming the file.
    pub fn read(path: &Path) -> Result<RunRecord, RecordError> {
        /// What every form of record says.
        #[derive(Deserialize)]
        struct Form {
            schema_version: u32,
        }
        let named = || path.display().to_string();
        let no_record = |source| RecordError::NoRecord {
            path: named(),
            source,
        };
        let text = std::fs::read(path).map_err(|source| RecordError::Unreadable {
            path: named(),
            source,
        })?;
        // The form first: a record of another one lacks fields, which is not what is wrong with it.
        let Form { schema_version } = serde_json::from_slice(&text).map_err(no_record)?;
        if schema_version != SCHEMA_VERSION {
            return Err(RecordError::OtherSchema {
                path: named(),
                version: schema_version,
            });
        }
        serde_json::from_slice(&text).map_err(no_record)
    }

    /// The JSON Schema (draft 2020-12) of the records that this version writes; `docs/record.schema.json`
    /// is a copy of it.
    pub fn json_schema() -> Value {
        let settings = SchemaSettings::draft2020_12()
            .for_serialize()
            .with_transform(RecursiveTransform(demand_no_defaults));
        let mut schema = settings
            .into_generator()
            .into_root_schema_for::<RunRecord>();
        let version = schema.pointer_mut("/properties/schema_version");
        if let Some(version) = version.and_then(Value::as_object_mut) {
            version.insert("const".to_owned(), SCHEMA_VERSION.into());
        }
        schema.to_value()
    }

    /// Windows and requests of one or several runs in the record's form.
    pub fn columns<W: AsRef<[Window]>>(runs: &[W]) -> (Vec<WindowRecord>, RequestColumns) {
        let windows = || runs.iter().flat_map(AsRef::as_ref);
        let requests = windows().flat_map(|w| &w.requests).collect();
        let of_run = |(run, windows): (u32, &W)| -> Vec<WindowRecord> {
            let windows = windows.as_ref().iter();
            windows
                .map(|window| WindowRecord::of(run, window))
                .collect()
        };
        ((0..).zip(runs).flat_map(of_run).collect(), requests)
    }

    /// The point that it is of.
    pub fn point(&self) -> PointKey {
        PointKey {
            bench: self.bench.clone(),
            prompt: self.prompt.clone(),
            concurrency: self.concurrency,
        }
    }

    /// When the point ended.
    pub fn ended(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis((self.ended_unix_s * 1e3) as i64).unwrap_or_default()
    }

    /// How many runs of the point are in it.
    pub fn run_count(&self) -> usize {
        let runs = self.windows.iter().map(|window| window.run);
        Vec::from_iter(runs).chunk_by(u32::eq).count()
    }

    /// Software and version of its servers (`vLLM 0.32.0`); different ones between commas.
    pub fn server(&self) -> String {
        self.each_endpoint(|endpoint| endpoint.server.clone())
    }

    /// The models asked for; different ones between commas.
    pub fn model(&self) -> String {
        self.each_endpoint(|endpoint| endpoint.model.clone())
    }

    /// A fact of every endpoint, each of its values once; `unknown` where one has none.
    pub(crate) fn each_endpoint(&self, fact: impl Fn(&Identity) -> Option<String>) -> String {
        let fact = |endpoint| fact(endpoint).unwrap_or_else(|| "unknown".to_owned());
        let facts: BTreeSet<String> = self.endpoints.iter().map(fact).collect();
        Vec::from_iter(facts).join(", ")
    }

    /// What a request had to meet to count for goodput; nothing where no objective was set.
    pub fn slo(&self) -> Slo {
        // A record of before the key has none.
        serde_json::from_value(self.config["SLO"].clone()).unwrap_or_default()
    }

    /// Whether the servers' certificates were not verified (`INSECURE`).
    pub fn insecure(&self) -> bool {
        self.config.get("INSECURE").and_then(Value::as_bool) == Some(true)
    }

    /// GPUs behind all endpoints together, where the configuration said how many.
    pub fn num_gpu(&self) -> Option<u32> {
        let gpus = self.config["NUM_GPU"].as_u64()?;
        u32::try_from(gpus).ok().filter(|gpus| *gpus > 0)
    }

    /// Whether two records, one perhaps a copy of the other, were taken at the same moment.
    pub fn is_same_run(&self, other: &RunRecord) -> bool {
        let moment = |r: &RunRecord| (r.ended_unix_s.to_bits(), r.clock_unix_ns, r.seed);
        moment(self) == moment(other)
    }

    /// The measured windows of each run, in order.
    pub fn runs(&self) -> Vec<Vec<Window>> {
        let windows = self.windows.iter().zip(self.measured_windows());
        let mut runs: Vec<Vec<Window>> = Vec::new();
        let mut last = None;
        for (record, window) in windows {
            match runs.last_mut() {
                Some(run) if last == Some(record.run) => run.push(window),
                _ => runs.push(vec![window]),
            }
            last = Some(record.run);
        }
        runs
    }

    /// The windows with their requests as they were measured, but for texts and for content
    /// events, whose times are kept to the microsecond: every figure can be taken from them again.
    pub fn measured_windows(&self) -> Vec<Window> {
        let mut requests = self.requests.iter();
        let window = |w: &WindowRecord| Window {
            start_ns: w.start_ns,
            end_ns: w.end_ns,
            iterations: w.iterations,
            requests: requests.by_ref().take(w.requests).collect(),
            carried_in: w.carried_in,
            carried_out: w.carried_out,
        };
        self.windows.iter().map(window).collect()
    }
}

/// A field that has a default is younger than the form: records of earlier versions may lack it.
fn demand_no_defaults(schema: &mut Schema) {
    let properties = schema.get("properties").cloned().unwrap_or_default();
    let young = |name: &Value| {
        let name = name.as_str().unwrap_or_default();
        properties[name].get("default").is_some()
    };
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| !young(name));
    }
}

impl WindowRecord {
    fn of(run: u32, window: &Window) -> WindowRecord {
        WindowRecord {
            run,
            start_ns: window.start_ns,
            end_ns: window.end_ns,
            iterations: window.iterations,
            requests: window.requests.len(),
            carried_in: window.carried_in,
            carried_out: window.carried_out,
            output_tokens: window.output_tokens(),
        }
    }
}
