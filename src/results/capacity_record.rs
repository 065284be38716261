use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::store::write_atomically;
use super::{CapacityKey, DeploymentRecord, RecordError, Setup};
use crate::capacity::{Capacity, Objective, TrialRecord, UnknownCapacity};
use crate::endpoint::Identity;
use crate::level::Level;
use crate::metrics::Lengths;
use crate::prompt::RequestLengths;

/// What a search for the capacity of a prompt found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CapacityRecord {
    /// Version of the record's format.
    pub schema_version: u32,
    /// Version of servemark that wrote it.
    pub servemark_version: String,
    /// The same in all records of the run.
    pub run_id: String,
    /// When the search ended (s since 1970).
    pub ended_unix_s: f64,
    /// The bench.
    pub bench: String,
    /// The prompt's key.
    pub prompt: String,
    /// Tokens of the prompt as the harness's tokenizer counts them.
    pub prompt_tokens: usize,
    /// The lengths of the requests where they differ, or are not those of `MAX_NEW_TOKENS`; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lengths: Option<RequestLengths>,
    /// The definition of a workload whose name does not say what it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<Value>,
    /// The API of the requests.
    pub api: String,
    /// The simulated engine's preset; none for real servers.
    pub simulated: Option<String>,
    /// The deployment that was searched, of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentRecord>,
    /// The endpoints that answered.
    pub endpoints: Vec<Identity>,
    /// The configuration, without secrets.
    pub config: Value,
    /// What had to be met.
    pub objectives: Vec<Objective>,
    /// The levels that were tried, in their order.
    pub trials: Vec<TrialRecord>,
    /// Output tokens of the answers of all trials.
    pub output_tokens: Lengths,
    /// Levels at which the client did not keep up, in their order.
    pub client_bound: Vec<Level>,
    /// What is notable of the trials, each a sentence.
    pub notes: Vec<String>,
    /// Why the search ended early, if it did.
    pub partial: Option<String>,
    /// The result.
    pub capacity: Capacity,
}

impl CapacityRecord {
    /// The version that this program writes and reads.
    pub const SCHEMA_VERSION: u32 = 1;

    /// Reads the record at `path`.
    ///
    /// # Errors
    /// [`RecordError`], which names the file.
    pub fn read(path: &Path) -> Result<CapacityRecord, RecordError> {
        let named = || path.display().to_string();
        let file = File::open(path).map_err(|source| RecordError::Unreadable {
            path: named(),
            source,
        })?;
        let read = serde_json::from_reader(BufReader::new(file));
        let read = read.and_then(CapacityRecord::with_all_counts);
        let record = read.map_err(|source| RecordError::InvalidCapacity {
            path: named(),
            source,
        })?;
        match record.schema_version {
            CapacityRecord::SCHEMA_VERSION => Ok(record),
            version => Err(RecordError::OtherSchema {
                path: named(),
                version,
                reads: CapacityRecord::SCHEMA_VERSION,
            }),
        }
    }

    /// Checks that every trial has the counts of every objective.
    fn with_all_counts(self) -> serde_json::Result<CapacityRecord> {
        let has_all = |trial: &TrialRecord| trial.counts.len() == self.objectives.len();
        match self.trials.iter().all(has_all) {
            true => Ok(self),
            false => Err(serde_json::Error::custom(
                "a trial lacks counts of an objective",
            )),
        }
    }

    /// Writes the record completely or not at all.
    ///
    /// # Errors
    /// An I/O error that names the path.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let json = serde_json::to_string_pretty(self)? + "\n";
        write_atomically(path, json.as_bytes())
    }

    /// Whose capacity it is.
    pub fn key(&self) -> CapacityKey {
        CapacityKey {
            bench: self.bench.clone(),
            prompt: self.prompt.clone(),
        }
    }

    /// How it was measured.
    pub fn setup(&self) -> Setup<'_> {
        Setup {
            bench: &self.bench,
            lengths: self
                .lengths
                .unwrap_or(RequestLengths::of_prompt(self.prompt_tokens)),
            workload: self.workload.as_ref(),
            api: Some(&self.api),
            servemark_version: &self.servemark_version,
            ended_unix_s: self.ended_unix_s,
            simulated: self.simulated.as_deref(),
            config: &self.config,
            endpoints: &self.endpoints,
            deployment: self.deployment.as_ref(),
        }
    }

    /// Why the capacity is not known well enough to be compared with another, if it is not.
    pub fn unknown(&self) -> Option<UnknownCapacity> {
        match self.partial {
            Some(_) => Some(UnknownCapacity::Partial),
            None => self.capacity.unknown(),
        }
    }

    /// The levels that decided the capacity although the client did not keep up at them: within the interval, or the
    /// first that fails.
    pub fn decided_by_client(&self) -> Vec<Level> {
        let capacity = &self.capacity;
        let failing = capacity.first_failing.map(Level::value);
        let reach = capacity.upper.into_iter().chain(failing).reduce(f64::max);
        let deciding = capacity.lower..=reach.unwrap_or(f64::INFINITY);
        let levels = self.client_bound.iter().copied();
        levels
            .filter(|level| deciding.contains(&level.value()))
            .collect()
    }

    /// Whether two records are of the same search: one may be a copy of the other.
    pub(crate) fn is_same_run(&self, other: &CapacityRecord) -> bool {
        let search = |r: &CapacityRecord| (r.run_id.clone(), r.ended_unix_s.to_bits());
        search(self) == search(other)
    }
}

#[cfg(test)]
pub(crate) mod capacity_record_tests {
    use serde_json::json;

    use super::*;
    use crate::capacity::{Judgement, objectives};
    use crate::config::{Limit, Slo};

    pub(crate) fn users(level: usize) -> Level {
        Level::Concurrency(level.try_into().expect("above 0"))
    }

    /// A search that found so many users, with this interval.
    pub(crate) fn found(level: usize, lower: f64, upper: f64) -> CapacityRecord {
        let slo = Slo {
            ttft: Some(Limit::of_p99(500.0)),
            ..Slo::default()
        };
        CapacityRecord {
            schema_version: CapacityRecord::SCHEMA_VERSION,
            servemark_version: "0".to_owned(),
            run_id: format!("{level} {lower} {upper}"),
            ended_unix_s: 0.0,
            bench: "capacity".to_owned(),
            prompt: "25".to_owned(),
            prompt_tokens: 25,
            lengths: None,
            workload: None,
            api: "chat_completions".to_owned(),
            simulated: None,
            deployment: None,
            endpoints: Vec::new(),
            config: json!({"SLO": slo, "MAX_NEW_TOKENS": 16}),
            objectives: objectives(&slo),
            trials: Vec::new(),
            output_tokens: Lengths::default(),
            client_bound: Vec::new(),
            notes: Vec::new(),
            partial: None,
            capacity: Capacity {
                level: Some(users(level)),
                lower,
                upper: Some(upper),
                bound_by: None,
                first_failing: None,
                confirmed: Some(Judgement::Passes),
                not_monotone: None,
            },
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written_and_half_a_one_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("new.json");
        let mut record = found(64, 60.0, 68.0);
        record.trials.push(TrialRecord {
            level: users(64),
            rps: 10.5,
            saturated: false,
            counts: vec![crate::capacity::Count::of([(1, 100)].into_iter()); 2],
            judgement: Judgement::Passes,
        });
        record.write(&path).expect("written");
        assert_eq!(CapacityRecord::read(&path).expect("readable"), record);
        record.trials[0].counts.pop();
        record.write(&path).expect("written");
        let error = CapacityRecord::read(&path)
            .expect_err("no count")
            .to_string();
        assert!(
            error.contains("new.json") && error.contains("objective"),
            "{error}"
        );
        record.schema_version = 9;
        record.trials.clear();
        record.write(&path).expect("written");
        let error = CapacityRecord::read(&path).expect_err("newer").to_string();
        assert!(error.contains("is 9, this servemark reads 1"), "{error}");
    }
}
