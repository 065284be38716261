use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use chrono::{DateTime, Utc};
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::rank_part::RankPart;
use super::store::write_in_pieces;
use super::{DeploymentRecord, PointKey, Setup};
use crate::config::Slo;
use crate::endpoint::{Identity, MetricsInterval, ServerSample};
use crate::level::Level;
use crate::load::{SelfCheck, Window};
use crate::metrics::{Blocked, FailureCount, Outage, Summary};
use crate::prompt::RequestLengths;
use crate::requests::{RequestColumns, Requests};

/// Version of the record's format; raised when a reader of the old format would misread the new one.
pub const SCHEMA_VERSION: u32 = 2;

/// Everything that is known about one point of one run: the input of reports and comparisons.
///
/// Times are nanoseconds of the run's monotonic clock. Secrets are never part of it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RunRecord {
    /// Version of the record's format.
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
    /// Key of the prompt.
    pub prompt: String,
    /// Tokens of the prompt as the harness's tokenizer counts them; the rounded mean where they differ.
    pub prompt_tokens: usize,
    /// The lengths of the requests where they differ, or are not those of `MAX_NEW_TOKENS`; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lengths: Option<RequestLengths>,
    /// The definition of a workload whose name does not say what it is: only runs with equal definitions are
    /// compared. Absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<Value>,
    /// The tokenizer that counts prompts.
    pub tokenizer: String,
    /// The API that was used: `chat_completions` or `completions`; null in records older than the field.
    #[serde(default)]
    pub api: Option<String>,
    /// How hard the servers were loaded: one key and its value.
    #[serde(flatten)]
    pub level: Level,
    /// The seed of prompts.
    pub seed: u64,
    /// Prefix of a request's `X-Request-Id`, before its index in hexadecimal; null if the configuration
    /// sets the header. vLLM's log and response ids contain it.
    pub request_id_prefix: Option<String>,
    /// The preset that the endpoints simulate; null for a real server.
    pub simulated: Option<String>,
    /// The effective configuration without its secrets.
    pub config: Value,
    /// The endpoints that answered.
    pub endpoints: Vec<Identity>,
    /// The figures; null if no request succeeded, and in the record of one rank's part.
    pub summary: Option<Summary>,
    /// Failures by cause, without the warm-up.
    pub failures: Vec<FailureCount>,
    /// Requests that the safety check blocked.
    pub blocked: Vec<Blocked>,
    /// When an endpoint served nothing, if no request succeeded; else `summary` has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outages: Vec<Outage>,
    /// Each endpoint's own counters over about the same interval.
    pub server_metrics: Vec<Option<MetricsInterval>>,
    /// Each endpoint's own state during the load, in order of time; of the first run if there are several.
    /// Empty if it was not sampled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub server_timeline: Vec<Vec<ServerSample>>,
    /// Whether the client kept up; null if it was not checked.
    pub self_check: Option<SelfCheck>,
    /// Why the point has less than planned: what ended its run early (`SIGTERM ended the run`). Null or
    /// absent if it was measured completely.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<String>,
    /// Id of the session in which this side and another ran in turns; null for a separate run.
    /// Window i of the one was measured beside window i of the other.
    #[serde(default)]
    pub interleaved: Option<String>,
    /// The deployment that was measured, of several; null if there was only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentRecord>,
    /// The rank, in the record of one rank's part. Such a record has one window with all requests of the
    /// rank, including warm-up and drain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<RankPart>,
    /// The processes that shared the load, by rank; empty if one process sent it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranks: Vec<RankPart>,
    /// The measured windows, in order.
    pub windows: Vec<WindowRecord>,
    /// The requests that ended in the windows, in order, as columns.
    pub requests: RequestColumns,
}

/// A window without its requests.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WindowRecord {
    /// Index of its run among the point's `RUNS`, from 0.
    #[serde(default)]
    pub run: u32,
    /// Start (ns).
    pub start_ns: u64,
    /// End (ns).
    pub end_ns: u64,
    /// Rounds in it: of C completed requests in a closed loop, of equal times in an open loop.
    pub iterations: u64,
    /// Number of the record's requests that ended in it.
    pub requests: usize,
    /// Content events that requests in flight at its start had received before.
    pub carried_in: u64,
    /// Content events that requests in flight at its end have received until then.
    pub carried_out: u64,
    /// Requests in flight at its end, in an open loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<u64>,
    /// Output tokens received in it.
    pub output_tokens: Option<f64>,
}

/// A run record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// Its path.
        path: String,
        /// The error.
        source: std::io::Error,
    },
    /// The file is not a run record.
    #[error(
        "{path}: not a run record of servemark: {source}; give target/criterion/servemark/<bench>/<prompt>/c=<concurrency>/new.json"
    )]
    Invalid {
        /// Its path.
        path: String,
        /// The error.
        source: serde_json::Error,
    },
    /// The file is not the record of a capacity.
    #[error(
        "{path}: not a capacity that servemark found: {source}; give target/criterion/servemark/<bench>/<prompt>/capacity/new.json"
    )]
    InvalidCapacity {
        /// Its path.
        path: String,
        /// The error.
        source: serde_json::Error,
    },
    /// A record in another version of the format.
    #[error(
        "{path}: its schema_version is {version}, this servemark reads {reads}; measure again, or read it with the servemark that wrote it"
    )]
    OtherSchema {
        /// Its path.
        path: String,
        /// Its version.
        version: u32,
        /// The version that is read.
        reads: u32,
    },
}

impl RunRecord {
    /// Reads the record at `path`.
    ///
    /// # Errors
    /// [`RecordError`], which names the file.
    pub fn read(path: &Path) -> Result<RunRecord, RecordError> {
        /// The field that all versions have.
        #[derive(Deserialize)]
        struct Version {
            schema_version: u32,
        }
        let named = || path.display().to_string();
        let no_record = |source| RecordError::Invalid {
            path: named(),
            source,
        };
        let open = || {
            let file = File::open(path).map_err(|source| RecordError::Unreadable {
                path: named(),
                source,
            });
            file.map(BufReader::new)
        };
        let read = serde_json::from_reader(open()?);
        if let Ok(RunRecord { schema_version, .. }) = &read
            && *schema_version == SCHEMA_VERSION
        {
            return read.map(RunRecord::with_all_percentiles).map_err(no_record);
        }
        // The fields that a record of another version lacks are not the problem.
        let Version { schema_version } = serde_json::from_reader(open()?).map_err(no_record)?;
        match schema_version {
            SCHEMA_VERSION => read.map_err(no_record),
            version => Err(RecordError::OtherSchema {
                path: named(),
                version,
                reads: SCHEMA_VERSION,
            }),
        }
    }

    /// With the percentiles that records of earlier versions lack.
    fn with_all_percentiles(mut self) -> RunRecord {
        let summary = self.summary.take();
        let windows = || self.measured_windows();
        self.summary = summary.map(|summary| summary.with_all_percentiles(windows));
        self
    }

    /// Writes the record completely or not at all, without holding its whole text in memory.
    ///
    /// # Errors
    /// An I/O error that names the path.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        write_in_pieces(path, |file| Ok(serde_json::to_writer(file, self)?))
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

    /// Windows and requests of one or several runs as fields of a record.
    pub(crate) fn columns<W: AsRef<[Window]>>(runs: &[W]) -> (Vec<WindowRecord>, RequestColumns) {
        let windows = runs.iter().flat_map(AsRef::as_ref);
        let requests = windows.map(|window| window.requests.clone()).collect();
        let of_run = |(run, windows): (u32, &W)| -> Vec<WindowRecord> {
            let windows = windows.as_ref().iter();
            windows
                .map(|window| WindowRecord::of(run, window))
                .collect()
        };
        ((0..).zip(runs).flat_map(of_run).collect(), requests)
    }

    /// Its point.
    pub fn point(&self) -> PointKey {
        PointKey {
            bench: self.bench.clone(),
            prompt: self.prompt.clone(),
            level: self.level,
        }
    }

    /// When the point ended.
    pub(crate) fn ended(&self) -> DateTime<Utc> {
        self.setup().ended()
    }

    /// The lengths of its requests.
    pub fn lengths(&self) -> RequestLengths {
        self.lengths
            .unwrap_or(RequestLengths::of_prompt(self.prompt_tokens))
    }

    /// Number of the point's runs in it.
    pub fn run_count(&self) -> usize {
        let runs = self.windows.iter().map(|window| window.run);
        Vec::from_iter(runs).chunk_by(u32::eq).count()
    }

    /// How it was measured.
    pub fn setup(&self) -> Setup<'_> {
        Setup {
            bench: &self.bench,
            lengths: self.lengths(),
            workload: self.workload.as_ref(),
            api: self.api.as_deref(),
            servemark_version: &self.servemark_version,
            ended_unix_s: self.ended_unix_s,
            simulated: self.simulated.as_deref(),
            config: &self.config,
            endpoints: &self.endpoints,
            deployment: self.deployment.as_ref(),
        }
    }

    /// Software and version of its servers (`vLLM 0.32.0`); different ones separated by commas.
    pub fn server(&self) -> String {
        self.setup().server()
    }

    /// The requested models; different ones separated by commas.
    pub fn model(&self) -> String {
        self.setup().model()
    }

    /// The objectives that a request had to meet to count for goodput; empty if none was set.
    pub fn slo(&self) -> Slo {
        self.setup().slo()
    }

    /// Whether the servers' certificates were not verified (`INSECURE`).
    pub fn insecure(&self) -> bool {
        self.setup().insecure()
    }

    /// GPUs behind all endpoints together, if configured.
    pub fn num_gpu(&self) -> Option<u32> {
        self.setup().num_gpu()
    }

    /// Whether two records are of the same measurement: one may be a copy of the other.
    pub(crate) fn is_same_run(&self, other: &RunRecord) -> bool {
        let moment = |r: &RunRecord| (r.ended_unix_s.to_bits(), r.clock_unix_ns, r.seed);
        moment(self) == moment(other)
    }

    /// The measured windows of each run, in order.
    #[doc(hidden)]
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

    /// The windows with their requests as they were measured, without texts and with content events to the
    /// microsecond: every figure can be computed from them again.
    #[doc(hidden)]
    pub fn measured_windows(&self) -> Vec<Window> {
        let requests = self
            .requests
            .divided(self.windows.iter().map(|w| w.requests));
        let window = |(w, requests): (&WindowRecord, Requests)| Window {
            start_ns: w.start_ns,
            end_ns: w.end_ns,
            rounds: w.iterations,
            requests,
            carried_in: w.carried_in,
            carried_out: w.carried_out,
            in_flight: w.in_flight,
        };
        self.windows.iter().zip(requests).map(window).collect()
    }
}

/// Makes fields with a default optional: records of earlier versions may lack them.
fn demand_no_defaults(schema: &mut Schema) {
    let properties = schema.get("properties").cloned().unwrap_or_default();
    let has_default = |name: &Value| {
        let name = name.as_str().unwrap_or_default();
        properties[name].get("default").is_some()
    };
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| !has_default(name));
    }
}

impl WindowRecord {
    fn of(run: u32, window: &Window) -> WindowRecord {
        WindowRecord {
            run,
            start_ns: window.start_ns,
            end_ns: window.end_ns,
            iterations: window.rounds,
            requests: window.requests.len(),
            carried_in: window.carried_in,
            carried_out: window.carried_out,
            in_flight: window.in_flight,
            output_tokens: window.output_tokens(),
        }
    }
}
