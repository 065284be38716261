use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::Capacity;
use super::objective::Objective;
use super::search::Search;
use super::trial::{Count, Judgement};
use crate::level::Level;

/// What a search found, as the file `capacity.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CapacityRecord {
    /// Version of the record's schema.
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
    /// The simulated engine's preset; none for real servers.
    pub simulated: Option<String>,
    /// Address and version of each server.
    pub endpoints: Vec<String>,
    /// The configuration, without secrets.
    pub config: Value,
    /// What had to be met.
    pub objectives: Vec<Objective>,
    /// The levels that were tried, in their order.
    pub trials: Vec<TrialRecord>,
    /// What is notable of the trials, each a sentence.
    pub notes: Vec<String>,
    /// Why the search ended early, if it did.
    pub partial: Option<String>,
    /// The result.
    pub capacity: Capacity,
}

/// A level that was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrialRecord {
    /// The level.
    #[serde(flatten)]
    pub level: Level,
    /// Completed requests per second (req/s).
    pub rps: f64,
    /// Whether arrivals outran completions.
    pub saturated: bool,
    /// For each objective: requests, and those that missed it.
    pub counts: Vec<Count>,
    /// The worst of all objectives.
    pub judgement: Judgement,
}

impl CapacityRecord {
    /// The version that this program writes.
    pub const SCHEMA_VERSION: u32 = 1;

    /// When the search ended.
    pub fn ended(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis((self.ended_unix_s * 1e3) as i64).unwrap_or_default()
    }
}

impl TrialRecord {
    /// All trials of a search.
    pub fn all(search: &Search) -> Vec<TrialRecord> {
        let trials = search.trials().iter();
        let trials = trials.map(|trial| TrialRecord {
            level: trial.level,
            rps: trial.rps,
            saturated: trial.is_saturated,
            counts: trial.counts.clone(),
            judgement: trial.judge(search.objectives()),
        });
        trials.collect()
    }
}
